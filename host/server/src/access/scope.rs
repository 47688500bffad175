//! The scopes: what a request may be allowed to do, each by a word of its own. None includes another.

use std::fmt;

/// What a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Publish events.
    Publish,
    /// See events, workflows and what is in service, and read on as a durable reader.
    Read,
    /// Submit and cancel workflows.
    Submit,
    /// Change what is in service, and see what plugins keep.
    Plugins,
    /// Decide about what the host keeps.
    Admin,
}

impl Scope {
    /// Its word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Plugins => "plugins",
            Self::Admin => "admin",
        }
    }

    /// Whether every program of this machine has it, where the host asks nobody for a token.
    pub(crate) fn is_everybodys(self) -> bool {
        matches!(self, Self::Publish | Self::Read | Self::Submit)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
