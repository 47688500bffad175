//! The operator's aliases: names that publishers use, and the types under which they stand in the log. They go before the rule by which every
//! other name is brought into form. Where they are written is the configuration's.

use std::{collections::BTreeMap, str::FromStr};

use super::{EventType, MAX_EVENT_TYPE_BYTES};
use crate::catalogue::{self, Owner};

/// Aliases at most.
pub const MOST_ALIASES: usize = 1_000;

/// Types by the names that stand for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<String, EventType>);

/// Why a text is none: the first pair that is wrong, and what is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{pair}': {reason}")]
pub struct AliasError {
    pair: String,
    reason: String,
}

impl Aliases {
    /// The type that a name stands for.
    pub fn of(&self, name: &str) -> Option<&EventType> {
        self.0.get(name)
    }
}

/// `NAME=TYPE, NAME=TYPE`.
impl FromStr for Aliases {
    type Err = AliasError;
    fn from_str(text: &str) -> Result<Self, AliasError> {
        let mut aliases = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let wrong = |reason: String| AliasError { pair: pair.to_owned(), reason };
            let (name, event_type) = pair.split_once('=').ok_or_else(|| wrong("is not NAME=TYPE".to_owned()))?;
            let name = name.trim();
            if name.is_empty() || name.len() > MAX_EVENT_TYPE_BYTES {
                return Err(wrong(format!("a name has 1 to {MAX_EVENT_TYPE_BYTES} bytes")));
            }
            if catalogue::entry(name).is_some() {
                return Err(wrong(format!("'{name}' is a type of this host's, which nothing can stand for")));
            }
            let event_type = EventType::parse(event_type.trim()).map_err(|error| wrong(error.to_string()))?;
            // Who may say such a thing is asked of the name that he uses.
            if catalogue::entry(&event_type).is_some_and(|entry| entry.owner != Owner::Open) {
                return Err(wrong(format!("'{event_type}' is a command, or the host's own to tell: nothing else may stand for it")));
            }
            if aliases.insert(name.to_owned(), event_type).is_some() {
                return Err(wrong(format!("'{name}' stands for something already")));
            }
        }
        if aliases.len() > MOST_ALIASES {
            return Err(AliasError { pair: format!("{} aliases", aliases.len()), reason: format!("{MOST_ALIASES} are allowed") });
        }
        // What is in form stays as it is: to bring it into form again changes nothing.
        if let Some((name, event_type)) = aliases.iter().find(|(_, event_type)| aliases.contains_key(event_type.as_str())) {
            return Err(AliasError { pair: format!("{name}={event_type}"), reason: format!("'{event_type}' is an alias itself") });
        }
        Ok(Self(aliases))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_types() {
        let aliases: Aliases = " TrainingDone=training:completed, shop.order = order:placed ,".parse().unwrap();
        let known = |name: &str| aliases.of(name).map(EventType::as_str);
        assert_eq!([known("TrainingDone"), known("shop.order")], [Some("training:completed"), Some("order:placed")]);
        assert_eq!(known("Trainingdone"), None);
        assert_eq!("".parse::<Aliases>().unwrap(), Aliases::default());
    }

    #[test]
    fn what_is_none_is_named() {
        for (text, says) in [
            ("Done", "'Done': is not NAME=TYPE"),
            ("=a:b", "a name has 1 to 200 bytes"),
            ("Done=done", "'done' is one word"),
            ("Done=a:b, Done=a:c", "'Done=a:c': 'Done' stands for something already"),
            ("workflow:submit=a:b", "'workflow:submit' is a type of this host's"),
            ("Go=workflow:submit", "'workflow:submit' is a command"),
            ("Go=task:completed", "'task:completed' is a command, or the host's own to tell"),
            ("x=a:b, a:b=a:c", "'x=a:b': 'a:b' is an alias itself"),
        ] {
            let error = text.parse::<Aliases>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let many: String = (0..=MOST_ALIASES).map(|number| format!("N{number}=a:b,")).collect();
        assert_eq!(many.parse::<Aliases>().unwrap_err().to_string(), "'1001 aliases': 1000 are allowed");
    }
}
