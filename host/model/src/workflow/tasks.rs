//! What a single task does next: ready, queued, assigned, run, judged, retried, skipped or ended.
//! The workflow around it is in `course`, what an attempt comes to in `judgement`.

use serde_json::{Map, Value, json};

use super::{
    facts::{Outcome, RetryScheduled, TaskCompleted, TaskError, TaskFailed, TaskResult, TaskSkipped, TaskStarted},
    flight::{Asked, Flight, Place, Provider, Run, Timer},
    io::{Effect, Env, RunKey, Step},
    machine::{Machine, narrated},
    references::{Source, Substitution},
    state::{TaskStatus, Workflow},
    story,
};
use crate::{
    control::DecisionPoint,
    event::{Text, trace},
    json::Json,
    narration::Moment,
    plugin::EffectClass,
    ports::{Failure, Fault, TaskCall},
    time::Timestamp,
};

/// Milliseconds until a queue is looked at again whose every provider was passed over.
const PASSED_OVER_MS: u64 = 1_000;

impl Machine {
    /// A task's dependencies are there.
    pub(super) fn ready(&mut self, workflow_id: &Text, task: usize, env: &mut Env<'_>, step: &mut Step) {
        if self.flight.points.contains(DecisionPoint::TaskReady) {
            self.ask(workflow_id, Some(task), DecisionPoint::TaskReady, Asked::Nothing, env, step);
        } else {
            self.enqueue(workflow_id, task);
        }
    }

    pub(super) fn enqueue(&mut self, workflow_id: &Text, task: usize) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let definition = workflow.definition.clone();
        let definition = &definition.tasks[task];
        self.flight.enqueue(&definition.method, definition.priority, workflow_id, task);
    }

    /// Looks at every queue.
    pub(super) fn assign_all(&mut self, env: &mut Env<'_>, step: &mut Step) {
        let methods: Vec<Text> =
            self.flight.queues.iter().filter(|(_, queue)| !queue.is_empty()).map(|(method, _)| method.clone()).collect();
        for method in methods {
            self.assign(&method, env, step);
        }
    }

    /// Gives a method's queued tasks to providers, as long as there are both.
    pub(super) fn assign(&mut self, method: &Text, env: &mut Env<'_>, step: &mut Step) {
        let mut set_aside = Vec::new();
        while let Some(place) = self.flight.queues.get_mut(method).and_then(std::collections::BinaryHeap::pop) {
            if !self.still_queued(&place) {
                continue;
            }
            let task = (place.workflow_id.clone(), place.task);
            let (candidates, chosen) = self.choose(method, &task, env);
            match chosen {
                Some(provider) if self.flight.points.contains(DecisionPoint::CandidateFound) => {
                    self.ask(
                        &place.workflow_id,
                        Some(place.task),
                        DecisionPoint::CandidateFound,
                        Asked::Candidate(provider.provider_id),
                        env,
                        step,
                    );
                }
                Some(provider) => self.start_task(&place.workflow_id, place.task, &provider, candidates, env, step),
                None => {
                    let passed_over = self.flight.passed_over.remove(&task).is_some();
                    set_aside.push(place);
                    // Somebody else's task may still find a provider that this one was told to pass over.
                    if !passed_over {
                        break;
                    }
                    self.flight.at(env.now.plus_ms(PASSED_OVER_MS), Timer::Queue(method.clone()));
                }
            }
        }
        if let Some(queue) = self.flight.queues.get_mut(method) {
            queue.extend(set_aside);
            if queue.is_empty() {
                self.flight.queues.remove(method);
            }
        }
    }

    pub(super) fn still_queued(&self, place: &Place) -> bool {
        self.state.workflows.get(&place.workflow_id).is_some_and(|workflow| {
            let task = &workflow.tasks[place.task];
            let under_way =
                self.flight.runs.contains_key(&RunKey { workflow_id: place.workflow_id.clone(), task: place.task, attempt: task.attempt });
            !workflow.status.is_final() && !task.status.is_final() && !under_way
        })
    }

    /// Of two random providers that have a free place, the one with more of it.
    pub(super) fn choose(&self, method: &Text, task: &(Text, usize), env: &mut Env<'_>) -> (usize, Option<Provider>) {
        let passed_over = self.flight.passed_over.get(task);
        let able = |provider: &&Provider| {
            provider.allowed
                && provider.methods.contains(method)
                && self.flight.free(provider) > 0
                && !passed_over.is_some_and(|passed| passed.contains(&provider.provider_id))
        };
        let candidates: Vec<&Provider> = self.flight.providers.iter().filter(able).collect();
        if candidates.len() < 2 {
            return (candidates.len(), candidates.first().map(|&provider| provider.clone()));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number in 0..len")]
        let mut pick = || candidates[((env.chance.unit() * candidates.len() as f64) as usize).min(candidates.len() - 1)];
        let (one, other) = (pick(), pick());
        let share = |provider: &Provider| f64::from(self.flight.free(provider)) / f64::from(provider.capacity.max(1));
        let best = if share(other) > share(one) { other } else { one };
        (candidates.len(), Some(best.clone()))
    }

    pub(super) fn start_task(
        &mut self,
        workflow_id: &Text,
        index: usize,
        provider: &Provider,
        candidates: usize,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let queue_depth =
            self.state.workflows.get(workflow_id).map_or(0, |workflow| self.flight.depth(&workflow.definition.tasks[index].method));
        let amended = self.flight.amended.remove(&(workflow_id.clone(), index));
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let (parameters, substitutions) = match workflow.parameters(index, amended.as_ref(), &self.flight) {
            Ok(resolved) => resolved,
            Err(message) => return self.unresolved(workflow_id, index, &message, env, step),
        };
        let (definition, task) = (&workflow.definition.tasks[index], &workflow.tasks[index]);
        let redelivered = task.status == TaskStatus::Running;
        let attempt = if redelivered { task.attempt } else { task.attempt + 1 };
        let deadline = definition.timeout_ms.map(|timeout_ms| env.now.plus_ms(timeout_ms));
        let timeout_ms = definition.timeout_ms.unwrap_or(provider.timeout_ms).min(provider.timeout_ms);
        let told = story::TaskStart {
            provider_id: &provider.provider_id,
            candidates,
            queue_depth,
            substitutions: &substitutions,
            resolved_at: env.now,
        };
        let fact = TaskStarted {
            method: definition.method.clone(),
            attempt,
            version: provider.version.clone(),
            deadline,
            parameters: amended,
            redelivered,
        };
        let event = workflow.about(Some(index), workflow.event("task:started", env, &fact));
        let mut event = narrated(event, &story::of_task_start(workflow, index, env.now, &told));
        event.provider_id = Some(provider.provider_id.clone());
        // What the worker calls in its turn is a child of this attempt.
        trace::continue_from(&mut event.metadata, event.event_id, event.causation_id.as_deref());
        let key = RunKey { workflow_id: workflow_id.clone(), task: index, attempt };
        let call = TaskCall {
            method: definition.method.clone(),
            parameters,
            workflow_id: workflow_id.clone(),
            task_id: definition.id.clone(),
            attempt,
            idempotency_key: Text::from(format!("{workflow_id}/{}/{attempt}", definition.id)),
            correlation_id: workflow.correlation_id.clone(),
            cause: Text::from(event.event_id.to_string()),
            timeout_ms,
            metadata: event.metadata.clone(),
        };
        self.apply(event, step);
        self.flight.passed_over.remove(&(workflow_id.clone(), index));
        *self.flight.busy.entry(provider.provider_id.clone()).or_default() += 1;
        self.flight.runs.insert(key.clone(), Run { provider_id: provider.provider_id.clone(), attempt });
        if let Some(deadline) = deadline {
            self.flight.at(deadline, Timer::Attempt(key.clone()));
        }
        let after_commit = provider.effect_class == EffectClass::Effectful;
        step.effects.push(Effect::Run { key, provider_id: provider.provider_id.clone(), call, after_commit });
    }

    pub(super) fn unresolved(&mut self, workflow_id: &Text, index: usize, message: &str, env: &mut Env<'_>, step: &mut Step) {
        let error = TaskError::verdict("parameters", message);
        let moments = [
            Moment::new("parameters:resolve_requested", env.now),
            Moment::new("parameters:resolution_failed", env.now).with(json!({"reason": message})),
        ];
        self.fail_task(workflow_id, index, error, None, &moments, env, step);
    }

    /// A call to a worker is over.
    pub(super) fn finished(&mut self, key: &RunKey, outcome: Result<Result<Json, Failure>, Fault>, env: &mut Env<'_>, step: &mut Step) {
        let Some(run) = self.flight.runs.remove(key) else {
            step.accepted = false;
            return;
        };
        self.flight.release(&run.provider_id);
        let outcome = match outcome {
            Ok(Ok(result)) => Outcome::Result(self.keep(&key.workflow_id, result, step)),
            Ok(Err(failure)) => Outcome::Error(failure.into()),
            Err(fault) => Outcome::Error(fault.into()),
        };
        self.judge(&key.workflow_id, key.task, outcome, env, step);
        self.assign_all(env, step);
    }

    /// Nobody has done anything yet: the same attempt goes to whoever can take it. Its provider is left out until there is word of it.
    pub(super) fn not_called(&mut self, key: &RunKey, env: &mut Env<'_>, step: &mut Step) {
        let Some(run) = self.flight.runs.remove(key) else {
            step.accepted = false;
            return;
        };
        self.flight.release(&run.provider_id);
        for provider in self.flight.providers.iter_mut().filter(|provider| provider.provider_id == run.provider_id) {
            provider.allowed = false;
        }
        self.enqueue(&key.workflow_id, key.task);
        self.assign_all(env, step);
    }

    pub(super) fn attempt_timed_out(&mut self, key: &RunKey, env: &mut Env<'_>, step: &mut Step) {
        // The timer of a delivery that was not made: the attempt was delivered again, and has a later one.
        let deadline = self.state.workflows.get(&key.workflow_id).and_then(|workflow| workflow.tasks[key.task].deadline);
        if deadline.is_some_and(|deadline| deadline > env.now) {
            return;
        }
        let Some(run) = self.flight.runs.remove(key) else { return };
        self.flight.release(&run.provider_id);
        step.effects.push(Effect::Cut(key.clone()));
        let timeout_ms = self.state.workflows.get(&key.workflow_id).and_then(|workflow| workflow.definition.tasks[key.task].timeout_ms);
        let message = format!("no answer within the attempt's {} ms", timeout_ms.unwrap_or_default());
        let error = TaskError { retryable: true, ..TaskError::verdict("timeout", message) };
        self.judge(&key.workflow_id, key.task, Outcome::Error(error), env, step);
        self.assign_all(env, step);
    }

    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn retry_task(
        &mut self,
        workflow_id: &Text,
        index: usize,
        error: TaskError,
        delay_ms: u64,
        by: Option<Text>,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let (method, attempt) = (workflow.definition.tasks[index].method.clone(), workflow.tasks[index].attempt);
        let moments = error_moments(workflow, index, &error, env.now);
        let failed =
            workflow.task_event(index, "task:failed", env, &TaskFailed { method, attempt, error, is_final: false, by: by.clone() });
        let at = env.now.plus_ms(delay_ms);
        self.apply(narrated(failed, &moments), step);
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let event = workflow
            .about(Some(index), workflow.event("task:retry_scheduled", env, &RetryScheduled { attempt: attempt + 1, at, delay_ms, by }));
        self.apply(event, step);
        self.flight.at(at, Timer::Task(workflow_id.clone(), index));
    }

    /// The task fails for good, and its workflow with it.
    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn fail_task(
        &mut self,
        workflow_id: &Text,
        index: usize,
        error: TaskError,
        by: Option<Text>,
        moments: &[Moment],
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let (method, attempt) = (workflow.definition.tasks[index].method.clone(), workflow.tasks[index].attempt);
        let mut moments = moments.to_vec();
        moments.extend(error_moments(workflow, index, &error, env.now));
        let event = workflow.task_event(index, "task:failed", env, &TaskFailed { method, attempt, error, is_final: true, by });
        self.apply(narrated(event, &moments), step);
        self.complete_if_done(workflow_id, env, step);
    }

    pub(super) fn complete_task(
        &mut self,
        workflow_id: &Text,
        index: usize,
        result: TaskResult,
        by: Option<Text>,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let (definition, task) = (&workflow.definition.tasks[index], &workflow.tasks[index]);
        let duration_ms = task.started_at.map_or(0, |started_at| env.now.ms_since(started_at));
        let (result, result_blob) = result.into_fact();
        let fact = TaskCompleted { method: definition.method.clone(), attempt: task.attempt, result, result_blob, duration_ms, by };
        let event = workflow.task_event(index, "task:completed", env, &fact);
        let event = narrated(event, &story::of_task_end(workflow, index, env.now));
        let applied = self.apply(event, step);
        self.go_on(workflow_id, applied.ready, env, step);
    }

    pub(super) fn skip_task(
        &mut self,
        workflow_id: &Text,
        index: usize,
        reason: String,
        by: Option<Text>,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let event = workflow.task_event(index, "task:skipped", env, &TaskSkipped { reason, by });
        let applied = self.apply(event, step);
        self.go_on(workflow_id, applied.ready, env, step);
    }

    pub(super) fn go_on(&mut self, workflow_id: &Text, ready: Vec<usize>, env: &mut Env<'_>, step: &mut Step) {
        for task in ready {
            self.ready(workflow_id, task, env, step);
        }
        self.complete_if_done(workflow_id, env, step);
        self.assign_all(env, step);
    }

    /// A task's time to be taken up again has come: a retry, or a chain that put it off.
    pub(super) fn task_wait_over(&mut self, workflow_id: &Text, index: usize, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else { return };
        if workflow.tasks[index].waits.as_ref().is_none_or(|waits| waits.until <= env.now) {
            self.ask_task_again(workflow_id, index, env, step);
        }
    }

    /// The same, whatever the time it was to be over at.
    pub(super) fn ask_task_again(&mut self, workflow_id: &Text, index: usize, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else { return };
        let task = &workflow.tasks[index];
        let waits = task.waits.clone();
        match (task.status, waits) {
            (TaskStatus::Running, Some(super::state::Wait { outcome: Some(outcome), .. })) => {
                self.judge(workflow_id, index, outcome, env, step)
            }
            // A running task without an outcome is an attempt that is delivered again, and was put off at a candidate.
            (_, Some(waits)) if waits.point == DecisionPoint::CandidateFound => {
                self.enqueue(workflow_id, index);
                self.assign_all(env, step);
            }
            (TaskStatus::Ready, Some(_)) => {
                self.ready(workflow_id, index, env, step);
                self.assign_all(env, step);
            }
            (TaskStatus::Retrying, None) if task.retry_at.is_some_and(|at| at <= env.now) => {
                self.enqueue(workflow_id, index);
                self.assign_all(env, step);
            }
            _ => {}
        }
    }

    /// After a restart.
    pub(super) fn task_recovered(&mut self, workflow_id: &Text, index: usize, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else { return };
        let task = &workflow.tasks[index];
        match (task.status, &task.waits, task.retry_at) {
            (TaskStatus::Ready | TaskStatus::Running | TaskStatus::Retrying, Some(waits), _) => {
                let until = waits.until;
                self.flight.at(until, Timer::Task(workflow_id.clone(), index));
            }
            (TaskStatus::Retrying, None, Some(at)) => self.flight.at(at, Timer::Task(workflow_id.clone(), index)),
            (TaskStatus::Ready, None, _) => self.ready(workflow_id, index, env, step),
            // The attempt's answer was lost with the host: the same attempt again, under the same idempotency key.
            (TaskStatus::Running, None, _) => self.enqueue(workflow_id, index),
            _ => {}
        }
    }

    /// What handlers see at a workflow's point.
    pub(super) fn question_payload(&self, workflow: &Workflow, task: Option<usize>, asked: &Asked) -> Map<String, Value> {
        let mut payload = Map::new();
        payload.insert("workflow".to_owned(), json!({"name": &*workflow.name, "input": workflow.input, "tags": []}));
        let Some(index) = task else { return payload };
        let definition = &workflow.definition.tasks[index];
        payload.insert("task".to_owned(), json!(&*definition.id));
        payload.insert("method".to_owned(), json!(&*definition.method));
        let amended = self.flight.amended.get(&(workflow.workflow_id.clone(), index));
        if let Ok((parameters, _)) = workflow.parameters(index, amended, &self.flight) {
            payload.insert("parameters".to_owned(), parameters.to_value());
        }
        match asked {
            Asked::Outcome(Outcome::Result(result)) => {
                let result = self.flight.open(&workflow.workflow_id, result).map_or(Value::Null, |result| result.to_value());
                payload.insert("result".to_owned(), result);
            }
            Asked::Outcome(Outcome::Error(error)) => {
                payload.insert("error".to_owned(), json!(error));
                let (policy, attempt) = (&definition.retry, workflow.tasks[index].attempt);
                payload.insert("final".to_owned(), json!(!error.retryable || attempt >= policy.max_attempts));
            }
            Asked::Nothing | Asked::Candidate(_) => {}
        }
        payload
    }
}

fn error_moments(workflow: &Workflow, index: usize, error: &TaskError, now: Timestamp) -> Vec<Moment> {
    let mut moments = story::of_task_end(workflow, index, now);
    if error.code.as_deref() == Some("timeout") {
        let timeout = Moment::new("task:timeout", now);
        moments.push(match &workflow.tasks[index].provider_id {
            Some(provider) => timeout.about_provider(provider),
            None => timeout,
        });
    }
    moments
}

impl Workflow {
    pub(super) fn task_event(
        &self,
        index: usize,
        event_type: &str,
        env: &mut Env<'_>,
        payload: &impl serde::Serialize,
    ) -> crate::event::Event {
        let mut event = self.about(Some(index), self.event(event_type, env, payload));
        event.provider_id.clone_from(&self.tasks[index].provider_id);
        event
    }

    /// A task's parameters with every reference resolved, or those that a control handler put in their place.
    pub(super) fn parameters(&self, index: usize, amended: Option<&Json>, flight: &Flight) -> Result<(Json, Vec<Substitution>), String> {
        if let Some(parameters) = amended.or(self.tasks[index].parameters.as_ref()) {
            return Ok((parameters.clone(), Vec::new()));
        }
        let lookup = |source: Source| match source {
            Source::Input => Some(self.input.clone()),
            Source::Task(task) => self.tasks[task].result.as_ref().and_then(|result| flight.open(&self.workflow_id, result)),
        };
        self.definition.tasks[index].parameters.resolve(&lookup).map_err(|error| error.to_string())
    }
}
