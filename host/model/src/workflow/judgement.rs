//! What an attempt comes to: judged by the control chain, or by the task's own policy where nobody wants to judge.
//! The facts themselves are `tasks`'; asking is `asking`'s.

use super::{
    facts::{Outcome, TaskError, TaskResult, Waits},
    flight::Asked,
    io::{Env, QuestionKey, Step},
    machine::Machine,
};
use crate::{
    control::{DecisionPoint, Signal, Verdict},
    event::Text,
    json::Json,
};

/// Attempts that control handlers may bring a task to, whatever its own policy says.
pub(super) const MOST_ATTEMPTS: u32 = 100;

impl Machine {
    /// Has the chain judge what an attempt came to, or goes by the task's own rules where nobody wants to.
    pub(super) fn judge(&mut self, workflow_id: &Text, task: usize, outcome: Outcome, env: &mut Env<'_>, step: &mut Step) {
        let point = match outcome {
            Outcome::Result(_) => DecisionPoint::TaskCompleted,
            Outcome::Error(_) => DecisionPoint::TaskFailed,
        };
        if self.flight.points.contains(point) {
            return self.ask(workflow_id, Some(task), point, Asked::Outcome(outcome), env, step);
        }
        match outcome {
            Outcome::Result(result) => self.complete_task(workflow_id, task, result, None, env, step),
            Outcome::Error(error) => self.own_policy(workflow_id, task, error, env, step),
        }
    }

    /// The task's own retry policy.
    pub(super) fn own_policy(&mut self, workflow_id: &Text, index: usize, error: TaskError, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let (policy, attempt) = (&workflow.definition.tasks[index].retry, workflow.tasks[index].attempt);
        if !error.retryable || attempt >= policy.max_attempts {
            return self.fail_task(workflow_id, index, error, None, &[], env, step);
        }
        let delay_ms = policy.delay_ms(attempt, env.chance.unit()).max(error.retry_after_ms.unwrap_or(0));
        self.retry_task(workflow_id, index, error, delay_ms, None, env, step);
    }

    /// The chain has come to a verdict on a task.
    pub(super) fn task_answered(
        &mut self,
        key: &QuestionKey,
        task: usize,
        verdict: Verdict,
        asked: Asked,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let workflow_id = &key.workflow_id;
        match verdict {
            Verdict::Proceed(amended) => self.task_proceeds(workflow_id, task, asked, key.point, amended, env, step),
            Verdict::Held { by, reason, .. } => self.task_signal(workflow_id, task, key.point, by, Signal::Error(reason), asked, env, step),
            Verdict::Signal { by, signal } => self.task_signal(workflow_id, task, key.point, by, signal, asked, env, step),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn task_proceeds(
        &mut self,
        workflow_id: &Text,
        task: usize,
        asked: Asked,
        point: DecisionPoint,
        amended: Option<Json>,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        match (point, asked) {
            (_, Asked::Outcome(Outcome::Result(result))) => {
                let result = match amended {
                    Some(value) => self.keep(workflow_id, value, step),
                    None => result,
                };
                self.complete_task(workflow_id, task, result, None, env, step);
            }
            (_, Asked::Outcome(Outcome::Error(error))) => self.own_policy(workflow_id, task, error, env, step),
            (_, Asked::Candidate(provider_id)) => {
                let provider = self.flight.providers.iter().find(|provider| provider.provider_id == provider_id && provider.allowed);
                match provider.filter(|provider| self.flight.free(provider) > 0).cloned() {
                    Some(provider) => self.start_task(workflow_id, task, &provider, 1, env, step),
                    None => self.enqueue(workflow_id, task),
                }
                self.assign_all(env, step);
            }
            (_, Asked::Nothing) => {
                if let Some(parameters) = amended {
                    self.flight.amended.insert((workflow_id.clone(), task), parameters);
                }
                self.enqueue(workflow_id, task);
                self.assign_all(env, step);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn task_signal(
        &mut self,
        workflow_id: &Text,
        task: usize,
        point: DecisionPoint,
        by: Text,
        signal: Signal,
        asked: Asked,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let attempt = self.state.workflows.get(workflow_id).map_or(0, |workflow| workflow.tasks[task].attempt);
        let outcome = match &asked {
            Asked::Outcome(outcome) => Some(outcome.clone()),
            _ => None,
        };
        match (signal, asked) {
            (Signal::Proceed(value), asked) => self.task_proceeds(workflow_id, task, asked, point, value, env, step),
            (Signal::Skip(reason), Asked::Candidate(provider_id)) => {
                self.tell(workflow_id, Some(task), "control:skipped", point, by, reason, env, step);
                self.flight.passed_over.entry((workflow_id.clone(), task)).or_default().insert(provider_id);
                self.enqueue(workflow_id, task);
                self.assign_all(env, step);
            }
            (Signal::Skip(reason), Asked::Outcome(Outcome::Result(_))) => {
                self.tell(workflow_id, Some(task), "control:skipped", point, by.clone(), reason, env, step);
                self.complete_task(workflow_id, task, TaskResult::Inline(Json::null()), Some(by), env, step);
            }
            (Signal::Skip(reason), _) => {
                self.tell(workflow_id, Some(task), "control:skipped", point, by.clone(), reason.clone(), env, step);
                self.skip_task(workflow_id, task, reason, Some(by), env, step);
            }
            (Signal::Fallback { value, reason }, asked) => match asked {
                // A candidate has nothing that a value could stand for.
                Asked::Candidate(_) => {
                    self.hold(workflow_id, task, point, by, format!("fallback means nothing at a candidate: {reason}"), outcome, env, step)
                }
                _ => {
                    self.tell(workflow_id, Some(task), "control:fallback", point, by.clone(), reason, env, step);
                    let value = self.keep(workflow_id, value, step);
                    self.complete_task(workflow_id, task, value, Some(by), env, step);
                }
            },
            (Signal::Fail(reason), _) => {
                self.tell(workflow_id, Some(task), "control:failed", point, by.clone(), reason.clone(), env, step);
                let error = match outcome {
                    Some(Outcome::Error(error)) => error,
                    _ => TaskError::verdict("refused", reason),
                };
                self.fail_task(workflow_id, task, error, Some(by), &[], env, step);
            }
            (Signal::Retry { after_ms, reason }, Asked::Outcome(outcome)) if attempt < MOST_ATTEMPTS => {
                let error = match outcome {
                    Outcome::Error(error) => error,
                    Outcome::Result(_) => TaskError { retryable: true, ..TaskError::verdict("retried", reason.clone()) },
                };
                let own = self
                    .state
                    .workflows
                    .get(workflow_id)
                    .map(|workflow| workflow.definition.tasks[task].retry.delay_ms(attempt, env.chance.unit()));
                let delay_ms = after_ms.or(own).unwrap_or_default();
                self.tell_retried(workflow_id, task, point, by.clone(), reason, delay_ms, env, step);
                self.retry_task(workflow_id, task, error, delay_ms, Some(by), env, step);
            }
            (Signal::Retry { reason, .. }, Asked::Outcome(_)) => {
                let error = TaskError::verdict("attempts", format!("{MOST_ATTEMPTS} attempts are the most there are; last: {reason}"));
                self.fail_task(workflow_id, task, error, Some(by), &[], env, step);
            }
            (Signal::Retry { after_ms, reason }, _) => {
                if !self.put_off(workflow_id, Some(task), "control:retried", point, by.clone(), reason.clone(), after_ms, None, env, step) {
                    let error = TaskError::verdict("put_off", format!("put off too often, at last: {reason}"));
                    self.fail_task(workflow_id, task, error, Some(by), &[], env, step);
                }
            }
            (Signal::Error(reason), _) => self.hold(workflow_id, task, point, by, reason, outcome, env, step),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn tell_retried(
        &mut self,
        workflow_id: &Text,
        task: usize,
        point: DecisionPoint,
        by: Text,
        reason: String,
        delay_ms: u64,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let waits = Waits { point, by, reason, until: env.now.plus_ms(delay_ms), outcome: None };
        let event = workflow.about(Some(task), workflow.event("control:retried", env, &waits));
        self.apply(event, step);
    }

    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn hold(
        &mut self,
        workflow_id: &Text,
        task: usize,
        point: DecisionPoint,
        by: Text,
        reason: String,
        outcome: Option<Outcome>,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        if !self.put_off(workflow_id, Some(task), "control:error", point, by.clone(), reason.clone(), None, outcome, env, step) {
            let error = TaskError::verdict("held", format!("held for as long as it may be, by '{by}': {reason}"));
            self.fail_task(workflow_id, task, error, Some(by), &[], env, step);
        }
    }
}
