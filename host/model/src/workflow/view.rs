//! A workflow as it is shown to people and clients: status, tasks, times, results.
//! Rebuilt from the log at any time; how it is printed is the edge's.

use serde::Serialize;

use super::{
    facts::{Blob, TaskError},
    state::{State, TaskStatus, Workflow, WorkflowStatus},
};
use crate::{event::Text, json::Json, plugin::Digest, time::Timestamp};

/// A workflow, for showing.
#[derive(Clone, Debug, Serialize)]
pub struct WorkflowView {
    /// Its id.
    pub workflow_id: Text,
    /// The definition's name.
    pub name: Text,
    /// Where it stands.
    pub status: WorkflowStatus,
    /// Of all its events.
    pub correlation_id: Text,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Milliseconds from submission to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it did not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A control handler's value in place of results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// What it waits for, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// What it was submitted with.
    pub input: Json,
    /// In the definition's order.
    pub tasks: Vec<TaskView>,
}

/// A task, for showing.
#[derive(Clone, Debug, Serialize)]
pub struct TaskView {
    /// Its id.
    pub id: Text,
    /// What it does.
    pub method: Text,
    /// Ids of the tasks it depends on.
    pub dependencies: Vec<Text>,
    /// Where it stands.
    pub status: TaskStatus,
    /// Attempts begun.
    pub attempts: u32,
    /// Who has, or had, the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<Text>,
    /// When the last attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it became final.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What it waits for, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Where its result is, if that is large; [`WorkflowView::open`] puts the content in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_blob: Option<Blob>,
    /// Its last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

impl WorkflowView {
    /// A workflow of a state.
    pub fn of(state: &State, workflow_id: &str) -> Option<Self> {
        state.workflows.get(workflow_id).map(Self::new)
    }

    /// Puts the content of large results in their places.
    pub fn open(&mut self, content: impl Fn(&Digest) -> Option<Json>) {
        for task in &mut self.tasks {
            if let Some(blob) = &task.result_blob {
                task.result = content(&blob.digest);
            }
        }
    }

    fn new(workflow: &Workflow) -> Self {
        let definitions = &workflow.definition.tasks;
        let tasks = definitions.iter().zip(&workflow.tasks).map(|(definition, task)| TaskView {
            id: definition.id.clone(),
            method: definition.method.clone(),
            dependencies: definition.dependencies.iter().map(|&index| definitions[index].id.clone()).collect(),
            status: task.status,
            attempts: task.attempt,
            provider_id: task.provider_id.clone(),
            started_at: task.started_at,
            ended_at: task.ended_at,
            waits_for: match (&task.waits, task.status, task.retry_at) {
                (Some(waits), ..) => Some(waiting(&waits.by, &waits.reason, waits.until)),
                (None, TaskStatus::Ready, _) => Some(format!("a free worker that offers {}", definition.method)),
                (None, TaskStatus::Retrying, Some(at)) => Some(format!("its next attempt at {at}")),
                _ => None,
            },
            result: task.result.clone().and_then(|result| result.into_fact().0),
            result_blob: task.result.clone().and_then(|result| result.into_fact().1),
            error: task.error.clone(),
        });
        Self {
            workflow_id: workflow.workflow_id.clone(),
            name: workflow.name.clone(),
            status: workflow.status,
            correlation_id: workflow.correlation_id.clone(),
            submitted_at: workflow.submitted_at,
            started_at: workflow.started_at,
            ended_at: workflow.ended_at,
            duration_ms: workflow.ended_at.map(|ended_at| ended_at.ms_since(workflow.submitted_at)),
            reason: workflow.reason.clone(),
            value: workflow.value.clone(),
            waits_for: workflow.waits.as_ref().map(|waits| waiting(&waits.by, &waits.reason, waits.until)),
            input: workflow.input.clone(),
            tasks: tasks.collect(),
        }
    }
}

fn waiting(by: &str, reason: &str, until: Timestamp) -> String {
    format!("'{by}' until {until}: {reason}")
}
