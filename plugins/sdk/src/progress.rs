//! Owns what a worker tells and is told while it works.
//! Leaves `task:progress` events and the decision to cancel to the host.

use crate::bindings::host::trackside::plugin::progress as wit;
use crate::refusal::refusal;
use serde::Serialize;

refusal! {
    wit::Refusal {
        /// The chunk is above the limit.
        TooLarge => "the chunk is larger than the limit",
        /// More reports than the limit.
        TooMany => "more reports than the limit",
        /// The attempt is no longer wanted.
        Cancelled => "the attempt is no longer wanted",
    }
}

/// Says how far the attempt is, 0 to 1.
///
/// # Errors
/// A refusal. `Refusal::Cancelled` is the moment to stop working.
pub fn report(fraction: f64) -> Result<(), Refusal> {
    Ok(wit::report(Some(fraction), None)?)
}

/// Hands out a piece of the result while the rest is in the making. A chunk that does not serialise is sent as null.
///
/// # Errors
/// A refusal. `Refusal::Cancelled` is the moment to stop working.
pub fn stream(chunk: impl Serialize) -> Result<(), Refusal> {
    let chunk = serde_json::to_string(&chunk).unwrap_or_else(|_| "null".into());
    Ok(wit::report(None, Some(&chunk))?)
}

/// Whether the attempt is no longer wanted.
#[must_use]
pub fn cancelled() -> bool {
    wit::cancelled()
}
