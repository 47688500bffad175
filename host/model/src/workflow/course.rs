//! The course of a whole workflow: submitted, started, put off, cancelled, timed out, ended.
//! What its tasks do meanwhile is in `tasks`; asking control handlers is in `asking`.

use super::{
    facts::{Ended, Started, Submitted, TaskError},
    flight::{Asked, Timer},
    io::{Effect, Env, RunKey, Step, Submission},
    machine::{Machine, blank},
    state::WorkflowStatus,
    story,
};
use crate::{
    control::{DecisionPoint, Signal, Verdict},
    event::Text,
    json::Json,
    narration::Narration,
};

impl Machine {
    pub(super) fn submit(&mut self, submission: Submission, env: &mut Env<'_>, step: &mut Step) {
        let Submission { workflow_id, definition, input, correlation_id, cause, metadata, origin, principal } = submission;
        let fact = Submitted {
            name: definition.name.clone(),
            definition: definition.digest,
            input,
            tasks: definition.tasks.len(),
            principal,
            origin,
        };
        self.state.provide(definition);
        let mut event = blank("workflow:submitted", env);
        event.payload = Json::from_value(&fact);
        event.correlation_id = correlation_id;
        event.causation_id = Some(cause);
        event.workflow_id = Some(workflow_id.clone());
        event.metadata = metadata;
        self.apply(event, step);
        self.ask_or_start(&workflow_id, env, step);
    }

    pub(super) fn ask_or_start(&mut self, workflow_id: &Text, env: &mut Env<'_>, step: &mut Step) {
        if self.flight.points.contains(DecisionPoint::WorkflowSubmitted) {
            self.ask(workflow_id, None, DecisionPoint::WorkflowSubmitted, Asked::Nothing, env, step);
        } else {
            self.start(workflow_id, None, env, step);
        }
    }

    pub(super) fn start(&mut self, workflow_id: &Text, input: Option<Json>, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let deadline = workflow.definition.timeout_ms.map(|timeout_ms| env.now.plus_ms(timeout_ms));
        let mut event = workflow.event("workflow:started", env, &Started { deadline, input });
        event.narration = Narration::of(&story::of_start(workflow, env.now));
        if let Some(deadline) = deadline {
            self.flight.at(deadline, Timer::Workflow(workflow_id.clone()));
        }
        let applied = self.apply(event, step);
        for task in applied.ready {
            self.ready(workflow_id, task, env, step);
        }
        self.assign_all(env, step);
    }

    pub(super) fn cancel(&mut self, workflow_id: &Text, reason: String, by: Text, cause: Text, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else {
            step.accepted = false;
            return;
        };
        let mut ended = workflow.ended(env.now);
        ended.reason = Some(reason);
        ended.by = Some(by);
        self.end(workflow_id, "workflow:cancelled", &ended, Some(cause), env, step);
    }

    /// Ends a workflow: the fact, and everything of it that is still out is called back.
    pub(super) fn end(
        &mut self,
        workflow_id: &Text,
        event_type: &str,
        ended: &Ended,
        cause: Option<Text>,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let to = match event_type {
            "workflow:completed" if ended.left_out => WorkflowStatus::Skipped,
            "workflow:completed" => WorkflowStatus::Completed,
            "workflow:failed" => WorkflowStatus::Failed,
            "workflow:timeout" => WorkflowStatus::TimedOut,
            _ => WorkflowStatus::Cancelled,
        };
        let mut event = workflow.event(event_type, env, ended);
        event.narration = Narration::of(&story::of_end(workflow, env.now, to.as_str()));
        if cause.is_some() {
            event.causation_id = cause;
        }
        let tasks = workflow.tasks.len();
        self.apply(event, step);
        self.call_back(workflow_id, tasks, step);
        step.effects.push(Effect::Ended(workflow_id.clone()));
        self.assign_all(env, step);
    }

    pub(super) fn call_back(&mut self, workflow_id: &Text, tasks: usize, step: &mut Step) {
        for task in 0..tasks {
            let attempt = self.state.workflows.get(workflow_id).map_or(0, |workflow| workflow.tasks[task].attempt);
            let key = RunKey { workflow_id: workflow_id.clone(), task, attempt };
            if let Some(run) = self.flight.runs.remove(&key) {
                self.flight.release(&run.provider_id);
                step.effects.push(Effect::Cut(key));
            }
        }
        self.flight.questions.retain(|key, _| key.workflow_id != *workflow_id);
        self.flight.amended.retain(|(id, _), _| id != workflow_id);
        self.flight.passed_over.retain(|(id, _), _| id != workflow_id);
        self.flight.blobs.retain(|(id, _), _| id != workflow_id);
    }

    pub(super) fn submission_answered(&mut self, workflow_id: &Text, verdict: Verdict, env: &mut Env<'_>, step: &mut Step) {
        let point = DecisionPoint::WorkflowSubmitted;
        let (by, signal) = match verdict {
            Verdict::Proceed(input) => return self.start(workflow_id, input, env, step),
            Verdict::Held { by, reason, .. } => (by, Signal::Error(reason)),
            Verdict::Signal { by, signal } => (by, signal),
        };
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let mut ended = workflow.ended(env.now);
        ended.by = Some(by.clone());
        ended.reason = signal.reason().map(str::to_owned);
        match signal {
            Signal::Proceed(input) => self.start(workflow_id, input, env, step),
            Signal::Skip(reason) => {
                ended.left_out = true;
                self.tell(workflow_id, None, "control:skipped", point, by, reason, env, step);
                self.end(workflow_id, "workflow:completed", &ended, None, env, step);
            }
            Signal::Fallback { value, reason } => {
                ended.value = Some(value);
                self.tell(workflow_id, None, "control:fallback", point, by, reason, env, step);
                self.end(workflow_id, "workflow:completed", &ended, None, env, step);
            }
            Signal::Fail(reason) => {
                self.tell(workflow_id, None, "control:failed", point, by, reason, env, step);
                self.end(workflow_id, "workflow:failed", &ended, None, env, step);
            }
            Signal::Retry { after_ms, reason } => {
                if !self.put_off(workflow_id, None, "control:retried", point, by, reason, after_ms, None, env, step) {
                    self.end(workflow_id, "workflow:failed", &ended, None, env, step);
                }
            }
            Signal::Error(reason) => {
                if !self.put_off(workflow_id, None, "control:error", point, by, reason, None, None, env, step) {
                    self.end(workflow_id, "workflow:failed", &ended, None, env, step);
                }
            }
        }
    }

    pub(super) fn workflow_timed_out(&mut self, workflow_id: &Text, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else { return };
        let mut ended = workflow.ended(env.now);
        ended.reason = Some(format!("not done within its {} ms", workflow.definition.timeout_ms.unwrap_or_default()));
        self.end(workflow_id, "workflow:timeout", &ended, None, env, step);
    }

    /// Ends a workflow whose last task is final.
    pub(super) fn complete_if_done(&mut self, workflow_id: &Text, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else { return };
        let failed = workflow.tasks.iter().position(|task| task.status == super::TaskStatus::Failed);
        let mut ended = workflow.ended(env.now);
        if let Some(failed) = failed {
            let id = workflow.definition.tasks[failed].id.clone();
            let message = workflow.tasks[failed].error.as_ref().map_or("", |error: &TaskError| error.message.as_str());
            ended.reason = Some(format!("task '{id}' failed: {message}"));
            ended.task = Some(id);
            self.end(workflow_id, "workflow:failed", &ended, None, env, step);
        } else if workflow.unfinished == 0 {
            self.end(workflow_id, "workflow:completed", &ended, None, env, step);
        }
    }
}
