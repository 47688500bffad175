//! Signals, decision points and what a handler is told besides the event: the host's side of the contract's `control` interface.
//! What each signal does at each point is said by the publish path and by the workflow's `decide`.

use serde::{Deserialize, Serialize};

use crate::{event::Text, json::Json, time::Timestamp};

/// A control handler's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// Go on; with a value, go on with that in place of what may be amended here.
    Proceed(Option<Json>),
    /// Leave it out, with a reason.
    Skip(String),
    /// Try later; `None` leaves the time to the policy of what is tried.
    Retry {
        /// Milliseconds to wait.
        after_ms: Option<u64>,
        /// For people.
        reason: String,
    },
    /// Use this value instead.
    Fallback {
        /// What to use.
        value: Json,
        /// For people.
        reason: String,
    },
    /// Stop: refused, for a reason that the caller is told.
    Fail(String),
    /// The handler could not judge.
    Error(String),
}

impl Signal {
    /// The name in records and events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proceed(_) => "proceed",
            Self::Skip(_) => "skip",
            Self::Retry { .. } => "retry",
            Self::Fallback { .. } => "fallback",
            Self::Fail(_) => "fail",
            Self::Error(_) => "error",
        }
    }

    /// The reason given; `None` for proceed.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Proceed(_) => None,
            Self::Skip(reason) | Self::Fail(reason) | Self::Error(reason) => Some(reason),
            Self::Retry { reason, .. } | Self::Fallback { reason, .. } => Some(reason),
        }
    }
}

/// Where a chain of control handlers is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionPoint {
    /// An event arrives from an edge or a plugin.
    Publish,
    /// A workflow was submitted.
    WorkflowSubmitted,
    /// A task's dependencies are there.
    TaskReady,
    /// A provider is about to be given the task.
    CandidateFound,
    /// A worker has answered.
    TaskCompleted,
    /// A worker has failed.
    TaskFailed,
}

impl DecisionPoint {
    /// The ordinal in the plugin contract.
    pub fn ordinal(self) -> u8 {
        self as u8
    }

    /// The event type that a handler's filter names to be asked here; `None` at `Publish`, where it is the event's own.
    pub fn event_type(self) -> Option<&'static str> {
        match self {
            Self::Publish => None,
            Self::WorkflowSubmitted => Some("workflow:submitted"),
            Self::TaskReady => Some("task:ready"),
            Self::CandidateFound => Some("assignment:candidate_found"),
            Self::TaskCompleted => Some("task:completed"),
            Self::TaskFailed => Some("task:failed"),
        }
    }
}

/// Where a draft came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The HTTP interface.
    Http,
    /// The command line, over HTTP.
    Cli,
    /// A stream's client.
    StreamClient,
    /// The inbox file.
    Inbox,
    /// A plugin's outbox.
    Plugin,
    /// The program that embeds the host.
    Embedded,
    /// The host itself.
    Host,
}

impl Origin {
    /// The ordinal in the plugin contract.
    pub fn ordinal(self) -> u8 {
        self as u8
    }
}

/// What a control handler is told besides the event.
#[derive(Clone, Debug)]
pub struct CheckContext {
    /// Where in its course the event is.
    pub point: DecisionPoint,
    /// Attempts made so far at the task, 0 before the first.
    pub attempt: u32,
    /// The host's clock.
    pub now: Timestamp,
    /// Since the workflow, or the publish, began.
    pub elapsed_ms: u64,
    /// Left to answer in: of the chain's budget, or the handler's own deadline if that is nearer.
    pub remaining_ms: u64,
    /// Where it came in.
    pub origin: Origin,
    /// Who published or submitted, where that is known.
    pub principal: Option<Text>,
}
