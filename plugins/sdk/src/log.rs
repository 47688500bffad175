//! Owns lines in the host's log: one function a level.
//! Leaves bounds, the plugin's name and the correlation of each line to the host.

use crate::bindings::host::trackside::plugin::log as wit;
use crate::{Event, Severity};

/// Writes a line about the event at hand.
pub fn write(severity: Severity, message: impl AsRef<str>) {
    // While a batch is judged, the host cannot know which of its events that is.
    crate::packed::with_id_at_hand(|id| wit::log(severity.into_wit(), message.as_ref(), id));
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
