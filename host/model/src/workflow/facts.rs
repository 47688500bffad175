//! What the workflow's facts carry: one payload type for each, read by `apply` and by people.
//! Everything that was decided stands in them: times, jitter, provider, signals.

use serde::{Deserialize, Serialize};

use crate::{
    control::DecisionPoint,
    event::Text,
    json::Json,
    plugin::Digest,
    ports::{Failure, Fault},
    time::Timestamp,
};

/// `workflow:submitted`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Submitted {
    pub(super) name: Text,
    /// The definition's blob.
    pub(super) definition: Digest,
    pub(super) input: Json,
    pub(super) tasks: usize,
    /// Who submitted, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) principal: Option<Text>,
    pub(super) origin: crate::control::Origin,
}

/// `workflow:started`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Started {
    /// When the workflow's time is up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deadline: Option<Timestamp>,
    /// The input, if a control handler amended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<Json>,
}

/// `task:started`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskStarted {
    pub(super) method: Text,
    pub(super) attempt: u32,
    /// The provider's version, 12 digits.
    pub(super) version: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deadline: Option<Timestamp>,
    /// The parameters, if a control handler amended them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<Json>,
    /// Whether the attempt was under way before when the host went down.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) redelivered: bool,
}

/// How an attempt ended that did not answer: a worker's own failure, a fault of its call, or the engine's verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskError {
    /// For people.
    pub message: String,
    /// For policies: the worker's code, the fault's kind, `timeout`, `denied`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether trying again may help.
    pub retryable: bool,
    /// When it may help, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// More, for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
    /// Whether it was a fault of the call, not an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fault: bool,
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        Self {
            message: failure.message,
            code: failure.code,
            retryable: failure.retryable,
            retry_after_ms: failure.retry_after_ms,
            details: failure.details,
            fault: false,
        }
    }
}

impl From<Fault> for TaskError {
    fn from(fault: Fault) -> Self {
        Self {
            message: fault.message,
            code: Some(fault.kind.as_str().to_owned()),
            retryable: true,
            retry_after_ms: None,
            details: None,
            fault: true,
        }
    }
}

impl TaskError {
    /// A verdict of the engine or of a control handler: no attempt will change it.
    pub(super) fn verdict(code: &str, message: impl Into<String>) -> Self {
        Self { message: message.into(), code: Some(code.to_owned()), retryable: false, retry_after_ms: None, details: None, fault: false }
    }
}

/// `task:completed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskCompleted {
    pub(super) method: Text,
    pub(super) attempt: u32,
    /// A small result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<Json>,
    /// A large one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) result_blob: Option<Blob>,
    pub(super) duration_ms: u64,
    /// The control handler whose value this is, if it is not the worker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Text>,
}

/// `task:failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskFailed {
    pub(super) method: Text,
    pub(super) attempt: u32,
    pub(super) error: TaskError,
    /// Whether no further attempt follows.
    #[serde(rename = "final")]
    pub(super) is_final: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Text>,
}

/// `task:retry_scheduled`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RetryScheduled {
    /// The attempt that will be made.
    pub(super) attempt: u32,
    pub(super) at: Timestamp,
    pub(super) delay_ms: u64,
    /// The control handler that decided it; absent where the task's own policy did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Text>,
}

/// `task:skipped`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskSkipped {
    pub(super) reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Text>,
}

/// Results above this many bytes are kept by digest, beside the log.
pub(super) const MOST_INLINE_BYTES: usize = 64 << 10;

/// Content that is kept beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Of the JSON text.
    pub digest: Digest,
    /// Length of the text.
    pub bytes: usize,
}

/// A task's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskResult {
    /// It stands in the fact.
    Inline(Json),
    /// The fact names it.
    Blob(Blob),
}

impl TaskResult {
    /// What the fact says of it: the value, or the blob.
    pub(super) fn into_fact(self) -> (Option<Json>, Option<Blob>) {
        match self {
            Self::Inline(value) => (Some(value), None),
            Self::Blob(blob) => (None, Some(blob)),
        }
    }
}

impl TaskCompleted {
    pub(super) fn outcome(self) -> Result<TaskResult, String> {
        match (self.result, self.result_blob) {
            (_, Some(blob)) => Ok(TaskResult::Blob(blob)),
            (Some(value), None) => Ok(TaskResult::Inline(value)),
            // A result of `null` reads as an absent one.
            (None, None) => Ok(TaskResult::Inline(Json::null())),
        }
    }
}

/// What an attempt came to, kept while a chain that has to judge it is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The worker's result.
    Result(TaskResult),
    /// Its failure, or its fault.
    Error(TaskError),
}

/// `control:retried` and `control:error` at a workflow's points: who made it wait, and until when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Waits {
    pub(super) point: DecisionPoint,
    pub(super) by: Text,
    pub(super) reason: String,
    pub(super) until: Timestamp,
    /// What is to be judged then, at `task:completed` and `task:failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Outcome>,
}

/// `control:skipped`, `control:fallback`, `control:failed`: who decided what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Decided {
    pub(super) point: DecisionPoint,
    pub(super) by: Text,
    pub(super) reason: String,
}

/// `workflow:completed`, `failed`, `timeout`, `cancelled`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) name: Text,
    pub(super) duration_ms: u64,
    pub(super) completed: usize,
    pub(super) skipped: usize,
    /// Why it did not complete by its tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The task that failed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<Text>,
    /// Who ended it: a control handler, or who cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Text>,
    /// Whether a control handler left the workflow out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) left_out: bool,
    /// A control handler's value in place of the tasks' results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Json>,
}
