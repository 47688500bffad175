//! Owns lines in the host's log: one function a level.
//! Leaves bounds, the plugin's name and the correlation of each line to the host.

use crate::bindings::host::trackside::plugin::log as wit;
use crate::{Event, Severity};
use std::cell::Cell;

/// Bytes of a UUID as text.
const ID_BYTES: usize = 36;

thread_local! {
    /// The id of the event at hand, while a batch is judged: the host cannot know which of them it is.
    static AT_HAND: Cell<Option<[u8; ID_BYTES]>> = const { Cell::new(None) };
}

/// Has the lines that `judge` writes be about this event.
pub(crate) fn about<T>(event: &Event<'_>, judge: impl FnOnce() -> T) -> T {
    AT_HAND.set(event.event_id().as_bytes().try_into().ok());
    let judged = judge();
    AT_HAND.set(None);
    judged
}

/// Writes a line about the event at hand.
pub fn write(severity: Severity, message: impl AsRef<str>) {
    let at_hand = AT_HAND.get();
    let at_hand = at_hand.as_ref().and_then(|id| std::str::from_utf8(id).ok());
    wit::log(severity.into_wit(), message.as_ref(), at_hand);
}

/// Writes a line about one event of a batch.
pub fn write_about(severity: Severity, message: impl AsRef<str>, cause: &Event<'_>) {
    wit::log(severity.into_wit(), message.as_ref(), Some(cause.event_id()));
}

/// For whoever looks closely.
pub fn debug(message: impl AsRef<str>) {
    write(Severity::Debug, message);
}

/// The ordinary course of things.
pub fn info(message: impl AsRef<str>) {
    write(Severity::Info, message);
}

/// Not wrong yet.
pub fn warning(message: impl AsRef<str>) {
    write(Severity::Warning, message);
}

/// Something failed.
pub fn error(message: impl AsRef<str>) {
    write(Severity::Error, message);
}

/// Somebody should look now.
pub fn critical(message: impl AsRef<str>) {
    write(Severity::Critical, message);
}
