//! A plugin without a host: one component and its settings, called with what an author gives it. `trackside plugin check`, `call` and
//! `test` stand on it. Guarding the calls is the plugin host's, as in service; what is printed is the command line's.

mod call;
mod case;
mod compare;
mod input;
mod memory;
mod open;
mod space;
mod told;

use std::fmt;

pub(crate) use self::{
    call::{Call, Manner, Role, Stand},
    case::{Case, Verdict, cases_in},
    compare::Difference,
    input::{Circumstances, events, log, point, task},
    memory::MemoryHost,
    open::{Offline, plugin_host},
    space::Space,
    told::Told,
};

/// What stands against a call: what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OfflineError(String);

impl OfflineError {
    /// Of whatever says what it was.
    pub(crate) fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }

    /// The same, with the place where it was.
    pub(crate) fn at(place: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self(format!("{place}: {error}"))
    }
}
