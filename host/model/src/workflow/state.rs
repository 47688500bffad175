//! The state of workflows and tasks, as the facts leave it. Only `apply` changes it; everybody else reads.
//! What is merely under way (queues, calls, timers) is not here but in `flight`.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;

use super::{
    definition::Definition,
    facts::{Outcome, TaskError, TaskResult},
};
use crate::{
    control::{DecisionPoint, Origin},
    event::{Metadata, Text},
    json::Json,
    plugin::Digest,
    time::Timestamp,
};

/// All workflows that have not ended, and those that ended until the loop forgets them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// By id.
    pub workflows: HashMap<Text, Workflow>,
    definitions: Definitions,
}

/// Definitions by digest: content, not state, so two states with the same workflows are equal.
#[derive(Clone, Debug, Default)]
struct Definitions(HashMap<Digest, Used>);

#[derive(Clone, Debug)]
struct Used {
    definition: Arc<Definition>,
    by: usize,
}

impl PartialEq for Definitions {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl State {
    /// Hands in the content of a definition's digest, before a fact that names it is applied.
    pub fn provide(&mut self, definition: Arc<Definition>) {
        self.definitions.0.entry(definition.digest).or_insert(Used { definition, by: 0 });
    }

    /// The definition of this digest, if it is here.
    pub fn definition(&self, digest: &Digest) -> Option<&Arc<Definition>> {
        self.definitions.0.get(digest).map(|used| &used.definition)
    }

    /// The same, for one more workflow.
    pub(super) fn use_definition(&mut self, digest: &Digest) -> Option<Arc<Definition>> {
        let used = self.definitions.0.get_mut(digest)?;
        used.by += 1;
        Some(used.definition.clone())
    }

    /// Drops a workflow that has ended, and its definition if it was the last to use it.
    pub fn forget(&mut self, workflow_id: &str) {
        let Some(workflow) = self.workflows.remove(workflow_id) else { return };
        let digest = workflow.definition.digest;
        if let Some(used) = self.definitions.0.get_mut(&digest) {
            used.by = used.by.saturating_sub(1);
            if used.by == 0 {
                self.definitions.0.remove(&digest);
            }
        }
    }
}

impl PartialEq for Definition {
    /// Content-addressed: one digest, one definition.
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// Where a workflow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowStatus {
    /// In the log, not yet started.
    Submitted,
    /// Its tasks are at work.
    Running,
    /// All tasks are completed or skipped.
    Completed,
    /// A task failed, or a control handler refused it.
    Failed,
    /// Its time was up.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// A control handler left it out.
    Skipped,
}

impl WorkflowStatus {
    /// Whether nothing will happen to it any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Submitted | Self::Running)
    }

    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// One run of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Its id.
    pub workflow_id: Text,
    /// The definition's name.
    pub name: Text,
    /// What it runs; it stays on the definition that it began with.
    pub definition: Arc<Definition>,
    /// What it was submitted with, as amended.
    pub input: Json,
    /// Of all its events.
    pub correlation_id: Text,
    /// Carried on from the submission to every fact: `traceparent`, `request_id`, ….
    pub metadata: Metadata,
    /// Where it was submitted.
    pub origin: Origin,
    /// Who submitted it, where that is known.
    pub principal: Option<Text>,
    /// Where it stands.
    pub status: WorkflowStatus,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its time is up.
    pub deadline: Option<Timestamp>,
    /// Why it did not complete.
    pub reason: Option<String>,
    /// A control handler's value in place of results.
    pub value: Option<Json>,
    /// A chain has put the start off.
    pub waits: Option<Wait>,
    /// By index in the definition.
    pub tasks: Vec<Task>,
    /// Tasks that are not final.
    pub(super) unfinished: usize,
    /// Of each wave, tasks that are not final, and what was told.
    pub(super) waves: Vec<Wave>,
    /// The last fact about the workflow as a whole.
    pub(super) cause: Text,
}

impl Workflow {
    /// The index of a task.
    pub fn task_index(&self, task_id: &str) -> Option<usize> {
        self.definition.tasks.iter().position(|task| &*task.id == task_id)
    }
}

/// Tasks at one depth of the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wave {
    pub(super) unfinished: u32,
    pub(super) started: bool,
    pub(super) told_completed: bool,
    pub(super) ended_at: Timestamp,
}

/// A chain that has put something off.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// Where it was asked.
    pub point: DecisionPoint,
    /// Who put it off.
    pub by: Text,
    /// Why.
    pub reason: String,
    /// When it is asked again.
    pub until: Timestamp,
    /// Whether it is held because a handler could not judge, and not because one said later.
    pub held: bool,
    /// How often it has been put off in a row.
    pub times: u32,
    /// Since when it is held.
    pub since: Timestamp,
    /// What is to be judged.
    pub outcome: Option<Outcome>,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Dependencies are missing.
    Waiting,
    /// It may run.
    Ready,
    /// An attempt is under way.
    Running,
    /// An attempt failed; the next one has its time.
    Retrying,
    /// It has a result.
    Completed,
    /// It was left out; its result is null.
    Skipped,
    /// It failed for good.
    Failed,
    /// Its workflow ended before it did.
    Cancelled,
}

impl TaskStatus {
    /// Whether nothing will happen to it any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Skipped | Self::Failed | Self::Cancelled)
    }
}

/// One node of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Where it stands.
    pub status: TaskStatus,
    /// Dependencies that are not final.
    pub missing: u32,
    /// Attempts begun.
    pub attempt: u32,
    /// Who has, or had, the last attempt.
    pub provider_id: Option<Text>,
    /// When it became ready.
    pub ready_at: Option<Timestamp>,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub ended_at: Option<Timestamp>,
    /// When the attempt's time is up.
    pub deadline: Option<Timestamp>,
    /// When the next attempt begins, while retrying.
    pub retry_at: Option<Timestamp>,
    /// Its result.
    pub result: Option<TaskResult>,
    /// Its last error.
    pub error: Option<TaskError>,
    /// Parameters that a control handler put in place of the definition's.
    pub parameters: Option<Json>,
    /// A chain has put it off.
    pub waits: Option<Wait>,
    /// The last fact that it follows from.
    pub(super) cause: Text,
}
