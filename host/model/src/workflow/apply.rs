//! `apply`: the only thing that changes workflow state, live and in replay. It sees no clock, no randomness, no input but the event.
//! Deciding which fact comes next is the machine's.

use serde::de::DeserializeOwned;

use super::{
    facts::{Ended, RetryScheduled, Started, Submitted, TaskCompleted, TaskFailed, TaskResult, TaskSkipped, TaskStarted, Waits},
    state::{State, Task, TaskStatus, Wait, Wave, Workflow, WorkflowStatus},
};
use crate::{
    event::{Event, Text},
    json::Json,
    time::Timestamp,
};

/// What followed from one fact.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Applied {
    /// Tasks whose last dependency is now there.
    pub(super) ready: Vec<usize>,
}

/// A fact that does not fit the state: the log is damaged, or written by a newer host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fact {event_type} of workflow '{workflow_id}' at {sequence} cannot be applied: {reason}")]
pub struct ApplyError {
    event_type: String,
    workflow_id: String,
    sequence: u64,
    reason: String,
}

impl State {
    /// Takes one event of the log into account; those that are no workflow facts change nothing.
    ///
    /// # Errors
    /// [`ApplyError`] if the event contradicts what is there. The state is unchanged then.
    pub fn apply(&mut self, event: &Event) -> Result<(), ApplyError> {
        self.apply_fact(event).map(|_| ())
    }

    pub(super) fn apply_fact(&mut self, event: &Event) -> Result<Applied, ApplyError> {
        let Some(workflow_id) = &event.workflow_id else { return Ok(Applied::default()) };
        let fail = |reason: String| ApplyError {
            event_type: event.event_type.to_string(),
            workflow_id: workflow_id.to_string(),
            sequence: event.sequence_number,
            reason,
        };
        if &*event.event_type == "workflow:submitted" {
            return self.submitted(event, workflow_id).map_err(fail);
        }
        if !changes_state(&event.event_type) {
            return Ok(Applied::default());
        }
        let workflow = self.workflows.get_mut(workflow_id).ok_or_else(|| fail("it was never submitted".to_owned()))?;
        if workflow.status.is_final() {
            return Err(fail(format!("it has already ended, {}", workflow.status.as_str())));
        }
        match &event.task_id {
            Some(task_id) => {
                let index = workflow.task_index(task_id).ok_or_else(|| fail(format!("it has no task '{task_id}'")))?;
                workflow.task_fact(index, event).map_err(fail)
            }
            None => workflow.fact(event).map_err(fail),
        }
    }

    fn submitted(&mut self, event: &Event, workflow_id: &Text) -> Result<Applied, String> {
        let fact: Submitted = read(event)?;
        if self.workflows.contains_key(workflow_id) {
            return Err("it was submitted before".to_owned());
        }
        let definition = self.use_definition(&fact.definition).ok_or_else(|| format!("definition {} is not here", fact.definition))?;
        let cause = Text::from(event.event_id.to_string());
        let task = |missing: usize| Task {
            status: TaskStatus::Waiting,
            missing: u32::try_from(missing).unwrap_or(u32::MAX),
            attempt: 0,
            provider_id: None,
            ready_at: None,
            started_at: None,
            ended_at: None,
            deadline: None,
            retry_at: None,
            result: None,
            error: None,
            parameters: None,
            waits: None,
            cause: cause.clone(),
        };
        let tasks: Vec<Task> = definition.tasks.iter().map(|definition| task(definition.dependencies.len())).collect();
        let mut waves = Vec::new();
        for wave in definition.waves() {
            let wave = wave as usize;
            if waves.len() <= wave {
                waves.resize(wave + 1, Wave::default());
            }
            waves[wave].unfinished += 1;
        }
        self.workflows.insert(
            workflow_id.clone(),
            Workflow {
                workflow_id: workflow_id.clone(),
                name: fact.name,
                input: fact.input,
                correlation_id: event.correlation_id.clone(),
                metadata: event.metadata.clone(),
                origin: fact.origin,
                principal: fact.principal,
                status: WorkflowStatus::Submitted,
                submitted_at: event.timestamp,
                started_at: None,
                ended_at: None,
                deadline: None,
                reason: None,
                value: None,
                waits: None,
                unfinished: tasks.len(),
                tasks,
                waves,
                cause,
                definition,
            },
        );
        Ok(Applied::default())
    }
}

fn changes_state(event_type: &str) -> bool {
    matches!(
        event_type,
        "workflow:started"
            | "workflow:completed"
            | "workflow:failed"
            | "workflow:timeout"
            | "workflow:cancelled"
            | "task:started"
            | "task:completed"
            | "task:failed"
            | "task:skipped"
            | "task:retry_scheduled"
            | "control:retried"
            | "control:error"
    )
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, String> {
    event.payload.read().map_err(|error| format!("its payload cannot be read: {error}"))
}

impl Workflow {
    fn fact(&mut self, event: &Event) -> Result<Applied, String> {
        self.cause = Text::from(event.event_id.to_string());
        match &*event.event_type {
            "workflow:started" => {
                let fact: Started = read(event)?;
                self.status = WorkflowStatus::Running;
                self.started_at = Some(event.timestamp);
                self.deadline = fact.deadline;
                self.waits = None;
                if let Some(input) = fact.input {
                    self.input = input;
                }
                let ready: Vec<usize> = (0..self.tasks.len()).filter(|&index| self.tasks[index].missing == 0).collect();
                for &index in &ready {
                    self.tasks[index].becomes_ready(event.timestamp, &self.cause);
                }
                Ok(Applied { ready })
            }
            "workflow:completed" | "workflow:failed" | "workflow:timeout" | "workflow:cancelled" => {
                let fact: Ended = read(event)?;
                self.status = match &*event.event_type {
                    "workflow:completed" if fact.left_out => WorkflowStatus::Skipped,
                    "workflow:completed" => WorkflowStatus::Completed,
                    "workflow:failed" => WorkflowStatus::Failed,
                    "workflow:timeout" => WorkflowStatus::TimedOut,
                    _ => WorkflowStatus::Cancelled,
                };
                self.ended_at = Some(event.timestamp);
                self.reason = fact.reason;
                self.value = fact.value;
                self.waits = None;
                for task in self.tasks.iter_mut().filter(|task| !task.status.is_final()) {
                    task.status = TaskStatus::Cancelled;
                    task.ended_at = Some(event.timestamp);
                    task.waits = None;
                }
                self.unfinished = 0;
                Ok(Applied::default())
            }
            _ => {
                let fact: Waits = read(event)?;
                self.waits = Some(wait(self.waits.take(), fact, event));
                Ok(Applied::default())
            }
        }
    }

    fn task_fact(&mut self, index: usize, event: &Event) -> Result<Applied, String> {
        let cause = Text::from(event.event_id.to_string());
        if self.tasks[index].status.is_final() {
            return Err("the task has already ended".to_owned());
        }
        match &*event.event_type {
            "task:started" => {
                let fact: TaskStarted = read(event)?;
                self.tell_waves();
                let wave = self.definition.wave(index) as usize;
                self.waves[wave].started = true;
                let task = &mut self.tasks[index];
                task.status = TaskStatus::Running;
                task.attempt = fact.attempt;
                task.provider_id.clone_from(&event.provider_id);
                task.started_at = Some(event.timestamp);
                task.deadline = fact.deadline;
                task.retry_at = None;
                task.waits = None;
                if fact.parameters.is_some() {
                    task.parameters = fact.parameters;
                }
                task.cause = cause;
                Ok(Applied::default())
            }
            "task:completed" => {
                let fact: TaskCompleted = read(event)?;
                self.tasks[index].result = Some(fact.outcome()?);
                Ok(self.finish(index, TaskStatus::Completed, event, cause))
            }
            "task:skipped" => {
                let _: TaskSkipped = read(event)?;
                self.tasks[index].result = Some(TaskResult::Inline(Json::null()));
                Ok(self.finish(index, TaskStatus::Skipped, event, cause))
            }
            "task:failed" => {
                let fact: TaskFailed = read(event)?;
                self.tasks[index].error = Some(fact.error);
                self.tasks[index].waits = None;
                if fact.is_final {
                    return Ok(self.finish(index, TaskStatus::Failed, event, cause));
                }
                // The retry that follows in the same commit says when.
                self.tasks[index].status = TaskStatus::Retrying;
                self.tasks[index].cause = cause;
                Ok(Applied::default())
            }
            "task:retry_scheduled" => {
                let fact: RetryScheduled = read(event)?;
                let task = &mut self.tasks[index];
                task.status = TaskStatus::Retrying;
                task.retry_at = Some(fact.at);
                task.waits = None;
                task.cause = cause;
                Ok(Applied::default())
            }
            _ => {
                let fact: Waits = read(event)?;
                let task = &mut self.tasks[index];
                task.waits = Some(wait(task.waits.take(), fact, event));
                task.cause = cause;
                Ok(Applied::default())
            }
        }
    }

    /// A task became final: its dependents may be ready.
    fn finish(&mut self, index: usize, status: TaskStatus, event: &Event, cause: Text) -> Applied {
        let task = &mut self.tasks[index];
        task.status = status;
        task.ended_at = Some(event.timestamp);
        task.waits = None;
        task.cause = cause.clone();
        self.unfinished -= 1;
        let wave = &mut self.waves[self.definition.wave(index) as usize];
        wave.unfinished -= 1;
        wave.ended_at = event.timestamp;
        let mut ready = Vec::new();
        if status == TaskStatus::Failed {
            return Applied::default();
        }
        let definition = self.definition.clone();
        for &dependent in &definition.dependents()[index] {
            let task = &mut self.tasks[dependent];
            task.missing -= 1;
            if task.missing == 0 {
                task.becomes_ready(event.timestamp, &cause);
                ready.push(dependent);
            }
        }
        Applied { ready }
    }

    /// Waves that are over are told by the next task that starts.
    fn tell_waves(&mut self) {
        for wave in self.waves.iter_mut().filter(|wave| wave.started && wave.unfinished == 0) {
            wave.told_completed = true;
        }
    }
}

impl Task {
    fn becomes_ready(&mut self, at: Timestamp, cause: &Text) {
        self.status = TaskStatus::Ready;
        self.ready_at = Some(at);
        self.cause = cause.clone();
    }
}

/// The wait that a fact announces, counted on from the one before at the same point.
fn wait(before: Option<Wait>, fact: Waits, event: &Event) -> Wait {
    let held = &*event.event_type == "control:error";
    let before = before.filter(|before| before.point == fact.point && before.held == held);
    Wait {
        point: fact.point,
        by: fact.by,
        reason: fact.reason,
        until: fact.until,
        held,
        times: before.as_ref().map_or(0, |before| before.times) + 1,
        since: before.map_or(event.timestamp, |before| before.since),
        outcome: fact.outcome,
    }
}
