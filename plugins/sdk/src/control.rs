//! Owns the control role: the trait, the context of a decision and the six signals.
//! Leaves the two shapes in which the host calls it to `export`.

use crate::bindings::control::exports::trackside::packed::control as packed;
use crate::bindings::control::exports::trackside::plugin::control as record;
use crate::{Event, Plugin};
use serde::Serialize;

/// Steers: judges events on the publisher's or the workflow's path, inside a deadline.
///
/// ```
/// use trackside_sdk::*;
/// struct NightWatch;
/// impl Plugin for NightWatch {
///     fn describe() -> Description {
///         Description::new("night-watch").controls(Filter::types(["deploy:requested"]))
///     }
/// }
/// impl Control for NightWatch {
///     fn check(event: &Event, _context: &Context) -> Signal {
///         match event.metadata("approved_by") {
///             Some(_) => Signal::proceed(),
///             None => Signal::fail("a deployment needs an approval"),
///         }
///     }
/// }
/// ```
pub trait Control: Plugin {
    /// Judges one event. The chain ends at the first answer other than proceed.
    fn check(event: &Event<'_>, context: &Context<'_>) -> Signal;
}

/// Where a decision is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// An event arrives from outside or from a plugin.
    Publish,
    /// A workflow has been submitted.
    WorkflowSubmitted,
    /// A task has everything it depends on.
    TaskReady,
    /// A provider is about to be given the task; `Event::provider_id` names it.
    CandidateFound,
    /// A task has a result.
    TaskCompleted,
    /// An attempt at a task has failed.
    TaskFailed,
}

impl Point {
    pub(crate) fn from_ordinal(ordinal: u8) -> Self {
        match ordinal {
            0 => Point::Publish,
            1 => Point::WorkflowSubmitted,
            2 => Point::TaskReady,
            3 => Point::CandidateFound,
            4 => Point::TaskCompleted,
            _ => Point::TaskFailed,
        }
    }
}

/// Where a draft came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The HTTP interface.
    Http,
    /// The command line.
    Cli,
    /// A client with a standing connection.
    StreamClient,
    /// The inbox file that other processes write.
    Inbox,
    /// Another plugin.
    Plugin,
    /// The program that the host is embedded in.
    Embedded,
    /// The host itself.
    Host,
}

impl Origin {
    pub(crate) fn from_ordinal(ordinal: u8) -> Self {
        match ordinal {
            0 => Origin::Http,
            1 => Origin::Cli,
            2 => Origin::StreamClient,
            3 => Origin::Inbox,
            4 => Origin::Plugin,
            5 => Origin::Embedded,
            _ => Origin::Host,
        }
    }
}

/// What is known about the decision beside the event.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Where the decision is asked for.
    pub point: Point,
    /// Attempts made so far at this task; 0 before the first.
    pub attempt: u32,
    /// The host's clock at the start of the call, in nanoseconds since 1970.
    pub now_ns: u64,
    /// Milliseconds since the workflow, or the publish, began.
    pub elapsed_ms: u64,
    /// Milliseconds left to answer in.
    pub remaining_ms: u64,
    /// Where the draft, or the workflow, came in.
    pub origin: Origin,
    /// Who published or submitted, where that is known.
    pub principal: Option<&'a str>,
}

impl Context<'_> {
    /// A context at this point with nothing else known: for unit tests.
    #[must_use]
    pub fn at(point: Point) -> Self {
        Context { point, attempt: 0, now_ns: 0, elapsed_ms: 0, remaining_ms: 1_000, origin: Origin::Http, principal: None }
    }
}

/// A control handler's answer. What each means at each point is the operator's manual's table of decision points.
///
/// Values are JSON text; `Signal::amend` and `Signal::fallback` write it from anything that serialises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Go on; with JSON text, go on with that in place of what may be amended here:
    /// the payload (publish), input (submitted), parameters (ready) or result (completed).
    Proceed(Option<String>),
    /// Leave it out, for this reason.
    Skip(String),
    /// Try later.
    Retry {
        /// Milliseconds to wait; `None` leaves it to the task's own policy.
        after_ms: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Use this value instead.
    Fallback {
        /// JSON text.
        value: String,
        /// Why.
        reason: String,
    },
    /// Stop: refused, for a reason that the caller is told.
    Fail(String),
    /// This handler could not judge, for this reason. Ends the chain.
    Error(String),
}

impl Signal {
    /// Go on.
    #[must_use]
    pub fn proceed() -> Self {
        Signal::Proceed(None)
    }

    /// Go on with this value in place of the payload, input, parameters or result. An error signal if it does not serialise.
    #[must_use]
    pub fn amend(value: impl Serialize) -> Self {
        match serde_json::to_string(&value) {
            Ok(json) => Signal::Proceed(Some(json)),
            Err(error) => Signal::Error(format!("the amendment does not serialise: {error}")),
        }
    }

    /// Leave it out.
    #[must_use]
    pub fn skip(reason: impl Into<String>) -> Self {
        Signal::Skip(reason.into())
    }

    /// Try later, when the task's own policy says.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Signal::Retry { after_ms: None, reason: reason.into() }
    }

    /// Try again after this many milliseconds.
    #[must_use]
    pub fn retry_after_ms(after_ms: u64, reason: impl Into<String>) -> Self {
        Signal::Retry { after_ms: Some(after_ms), reason: reason.into() }
    }

    /// Use this value instead. An error signal if it does not serialise.
    #[must_use]
    pub fn fallback(value: impl Serialize, reason: impl Into<String>) -> Self {
        match serde_json::to_string(&value) {
            Ok(value) => Signal::Fallback { value, reason: reason.into() },
            Err(error) => Signal::Error(format!("the fallback does not serialise: {error}")),
        }
    }

    /// Stop; the caller is told the reason.
    #[must_use]
    pub fn fail(reason: impl Into<String>) -> Self {
        Signal::Fail(reason.into())
    }

    /// This handler could not judge.
    #[must_use]
    pub fn error(reason: impl Into<String>) -> Self {
        Signal::Error(reason.into())
    }

    pub(crate) fn into_record(self) -> record::Signal {
        match self {
            Signal::Proceed(amendment) => record::Signal::Proceed(amendment),
            Signal::Skip(reason) => record::Signal::Skip(reason),
            Signal::Retry { after_ms, reason } => record::Signal::Retry(record::Delay { after_ms, reason }),
            Signal::Fallback { value, reason } => record::Signal::Fallback(record::Replacement { value, reason }),
            Signal::Fail(reason) => record::Signal::Fail(reason),
            Signal::Error(reason) => record::Signal::Error(reason),
        }
    }

    pub(crate) fn into_packed(self) -> packed::Signal {
        match self {
            Signal::Proceed(amendment) => packed::Signal::Proceed(amendment),
            Signal::Skip(reason) => packed::Signal::Skip(reason),
            Signal::Retry { after_ms, reason } => packed::Signal::Retry(packed::Delay { after_ms, reason }),
            Signal::Fallback { value, reason } => packed::Signal::Fallback(packed::Replacement { value, reason }),
            Signal::Fail(reason) => packed::Signal::Fail(reason),
            Signal::Error(reason) => packed::Signal::Error(reason),
        }
    }
}
