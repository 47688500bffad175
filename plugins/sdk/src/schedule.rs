//! Owns asking for events in the future.
//! Leaves keeping them, and publishing them when they are due, to the host.

use crate::Draft;
use crate::bindings::host::trackside::plugin::schedule as wit;
use crate::refusal::refusal;

refusal! {
    wit::Refusal {
        /// The operator's settings do not grant it.
        NotGranted => "scheduling is not granted",
        /// The draft is not well formed.
        Invalid => "the draft is not valid: look at its type, its payload and its cause",
        /// More schedules than the limit.
        TooMany => "more schedules than the limit",
        /// Farther in the future than the limit.
        TooFar => "farther in the future than the limit",
    }
}

/// Publishes at this time, in nanoseconds since 1970. Gives the schedule's id.
///
/// # Errors
/// A refusal; nothing is scheduled.
pub fn at_ns(when_ns: u64, draft: &Draft) -> Result<String, Refusal> {
    Ok(wit::at(when_ns, draft.as_wit())?)
}

/// Publishes after this many milliseconds. Gives the schedule's id.
///
/// # Errors
/// A refusal; nothing is scheduled.
pub fn after_ms(delay_ms: u64, draft: &Draft) -> Result<String, Refusal> {
    Ok(wit::after(delay_ms, draft.as_wit())?)
}

/// Takes a schedule back. Gives whether it was still waiting.
///
/// # Errors
/// A refusal.
pub fn cancel(id: &str) -> Result<bool, Refusal> {
    Ok(wit::cancel(id)?)
}
