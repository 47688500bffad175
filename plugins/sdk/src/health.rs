//! Owns the optional health role.
//! Leaves what the host makes of an answer to the host.

use crate::Plugin;
use crate::bindings::health::exports::trackside::plugin::health as wit;

/// Says how it is. Asked now and then of a warm instance.
pub trait Health: Plugin {
    /// How it is now.
    fn check_health() -> Status;
}

/// How a plugin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Serving,
    /// Working, but slower or with less than it should, for this reason.
    Degraded(String),
    /// Not to be given work, for this reason.
    Unavailable(String),
}

impl Status {
    pub(crate) fn into_wit(self) -> wit::Status {
        match self {
            Status::Serving => wit::Status::Serving,
            Status::Degraded(reason) => wit::Status::Degraded(reason),
            Status::Unavailable(reason) => wit::Status::Unavailable(reason),
        }
    }
}
