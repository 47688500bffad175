//! The one shape of answer that every edge gives.
//! Turning it into a status code, an exit code or a line is the edge's.

use serde::Serialize;
use trackside_model::{
    control::Origin,
    event::{Rejection, Text},
};
use trackside_store::AppendError;
use uuid::Uuid;

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The edge.
    pub origin: Origin,
    /// Who it is, where that is known.
    pub principal: Option<Text>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the log, durable.
    Appended,
    /// It had been in the log; the sequence is the original's.
    Duplicate,
    /// A control handler left it out.
    Skipped,
    /// It will not be taken as it is.
    Refused,
    /// Not now: try again after a while.
    Busy,
    /// The commit failed under it: try again with the same `event_id`.
    Unknown,
}

/// The answer to a publish or a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// What became of it.
    pub outcome: Outcome,
    /// Its place in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_number: Option<u64>,
    /// Its identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    /// The workflow that it started or concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Text>,
    /// The plugin that decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Text>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last event of the workflow or correlation, where another was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual_sequence: Option<u64>,
    /// When trying again may help, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What was wrong with it, for a refusal at the door.
    #[serde(skip)]
    pub rejection: Option<Rejection>,
    /// Whether it was refused for what stands in the log: the same id with other content, or another last event than was expected.
    #[serde(skip)]
    pub conflict: bool,
}

impl Answer {
    pub(crate) fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            sequence_number: None,
            event_id: None,
            workflow_id: None,
            by: None,
            reason: None,
            actual_sequence: None,
            retry_after_ms: None,
            rejection: None,
            conflict: false,
        }
    }

    pub(crate) fn appended(sequence_number: u64, event_id: Uuid, workflow_id: Option<Text>) -> Self {
        Self { sequence_number: Some(sequence_number), event_id: Some(event_id), workflow_id, ..Self::new(Outcome::Appended) }
    }

    pub(crate) fn duplicate(sequence_number: u64, event_id: Uuid, workflow_id: Option<Text>) -> Self {
        Self { outcome: Outcome::Duplicate, ..Self::appended(sequence_number, event_id, workflow_id) }
    }

    pub(crate) fn rejected(rejection: Rejection) -> Self {
        Self { reason: Some(rejection.to_string()), rejection: Some(rejection), ..Self::new(Outcome::Refused) }
    }

    pub(crate) fn conflict(event_id: Uuid) -> Self {
        let reason = format!("event_id: {event_id} stands in the log with other content; give a new event its own id");
        Self { event_id: Some(event_id), reason: Some(reason), conflict: true, ..Self::new(Outcome::Refused) }
    }

    pub(crate) fn busy(reason: impl Into<String>, retry_after_ms: u64) -> Self {
        Self { reason: Some(reason.into()), retry_after_ms: Some(retry_after_ms), ..Self::new(Outcome::Busy) }
    }

    pub(crate) fn unknown(reason: impl Into<String>, event_id: Uuid) -> Self {
        Self { reason: Some(reason.into()), event_id: Some(event_id), ..Self::new(Outcome::Unknown) }
    }

    pub(crate) fn stopping() -> Self {
        Self::busy("the host is stopping", 5_000)
    }

    /// The answer to an append that the store did not take.
    pub(crate) fn not_appended(error: &AppendError, event_id: Uuid) -> Self {
        match error {
            AppendError::Poisoned(poisoned) => Self::unknown(poisoned.to_string(), event_id),
            AppendError::Unexpected { actual, .. } => {
                let reason = format!("expected_sequence: {error}; read what came, and decide anew");
                let unexpected = Self { event_id: Some(event_id), reason: Some(reason), conflict: true, ..Self::new(Outcome::Refused) };
                Self { actual_sequence: Some(*actual), ..unexpected }
            }
            AppendError::Conflict { .. } => Self::busy("what a control handler had read changed three times under it", 50),
            other => Self::busy(other.to_string(), 100),
        }
    }
}
