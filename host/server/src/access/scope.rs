//! The scopes: what a request may be allowed to do, each by a word of its own. None includes another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use trackside_model::text::nearest;

/// What a request needs to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// Publish events.
    Publish,
    /// See events, workflows and what is in service, and read on as a durable reader.
    Read,
    /// Submit and cancel workflows.
    Submit,
    /// Change what is in service, and see what plugins keep.
    Plugins,
    /// Decide about what the host keeps, and hand it over once more.
    Admin,
}

impl Scope {
    /// All of them, in the order of the documents.
    pub(crate) const ALL: [Self; 5] = [Self::Publish, Self::Read, Self::Submit, Self::Plugins, Self::Admin];

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

    /// Those that every program of this machine has, where the host asks nobody for a token.
    pub(crate) fn everybodys() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|scope| scope.is_everybodys())
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

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| match nearest(text, words) {
            Some(near) => format!("'{text}' is no scope; did you mean '{near}'?"),
            None => format!("'{text}' is no scope; there are {}", words.join(", ")),
        })
    }
}

/// Their words, for messages.
pub(crate) fn words(scopes: &[Scope]) -> String {
    scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_its_word_everywhere() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        assert_eq!("plugin".parse::<Scope>(), Err("'plugin' is no scope; did you mean 'plugins'?".to_owned()));
        assert_eq!("*".parse::<Scope>(), Err("'*' is no scope; there are publish, read, submit, plugins, admin".to_owned()));
    }
}
