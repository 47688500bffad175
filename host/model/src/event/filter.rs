//! Filters: which events somebody wants. Type patterns with `*` and `**`, conditions on the envelope, and one in CEL: all must hold.
//! Finding the filters that match an event without asking each is the type index's.

use serde::{Deserialize, Serialize};

use super::{Condition, ConditionError, Event, EventType, EventTypeError, Severity};
use crate::catalogue;

/// A pattern over event types: `task:*` (one segment), `task:**` (any depth), `*:failed`, `**`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// Why a filter is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Neither a type nor a pattern.
    #[error("type pattern '{pattern}' is malformed: {reason}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its condition is none.
    #[error("when: {0}")]
    When(#[from] ConditionError),
}

impl Pattern {
    /// Takes a pattern, or the foreign name of a type, which is brought into form.
    ///
    /// # Errors
    /// [`FilterError::Pattern`] where it is neither.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if let Some(known) = catalogue::filter_alias(text) {
            return Ok(Self(known.to_owned()));
        }
        if !text.contains('*') {
            return EventType::normalise(text)
                .map(|event_type| Self(event_type.to_string()))
                .map_err(|error: EventTypeError| FilterError::Pattern { pattern: text.to_owned(), reason: error.to_string() });
        }
        let wrong = |reason: &str| Err(FilterError::Pattern { pattern: text.to_owned(), reason: reason.to_owned() });
        if text == "**" {
            return Ok(Self(text.to_owned()));
        }
        let segments: Vec<&str> = text.split(':').collect();
        for (index, segment) in segments.iter().enumerate() {
            match *segment {
                "*" => {}
                "**" if index + 1 == segments.len() => {}
                "**" => return wrong("'**' may only stand last"),
                plain if plain.contains('*') => return wrong("'*' stands for a whole segment, as in 'task:*'"),
                plain if EventType::parse(&format!("{plain}:x")).is_err() => {
                    return wrong("segments are of a-z, 0-9, '_', '.' and '-'");
                }
                _ => {}
            }
        }
        if segments.len() < 2 {
            return wrong("write 'component:action', as in '*:failed', or '**' for everything");
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it names this type.
    pub fn matches(&self, event_type: &str) -> bool {
        if self.0 == "**" {
            return true;
        }
        let mut types = event_type.split(':');
        for pattern in self.0.split(':') {
            if pattern == "**" {
                return types.next().is_some();
            }
            match types.next() {
                Some(segment) if pattern == "*" || pattern == segment => {}
                _ => return false,
            }
        }
        types.next().is_none()
    }

    /// The one type it names, if it has no wildcard.
    pub fn exact(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(self.0.as_str())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Pattern {
    type Error = FilterError;
    fn try_from(text: String) -> Result<Self, FilterError> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

/// Which events somebody wants. Every condition that is given must hold; an empty list never does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// `None`: every type.
    pub event_types: Option<Vec<Pattern>>,
    /// This severity and above.
    pub min_severity: Option<Severity>,
    /// Any of these sources.
    pub source_components: Option<Vec<String>>,
    /// Any of these correlations.
    pub correlation_ids: Option<Vec<String>>,
    /// Any of these workflows.
    pub workflow_ids: Option<Vec<String>>,
    /// Any of these tasks.
    pub task_ids: Option<Vec<String>>,
    /// Any of these providers.
    pub provider_ids: Option<Vec<String>>,
    /// What must hold besides, in CEL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

impl Filter {
    /// Wants every event of these patterns.
    ///
    /// # Errors
    /// [`FilterError`] for the first pattern that is malformed.
    pub fn types<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, FilterError> {
        let event_types = patterns.into_iter().map(Pattern::parse).collect::<Result<_, _>>()?;
        Ok(Self { event_types: Some(event_types), ..Self::default() })
    }

    /// Whether a type passes the type condition.
    pub fn matches_type(&self, event_type: &str) -> bool {
        self.event_types.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(event_type)))
    }

    /// Whether all conditions but the one on the type hold. With one in CEL that may take its time: [`Condition::holds`].
    pub fn matches_rest(&self, event: &Event) -> bool {
        self.matches_envelope(event) && self.when.as_ref().is_none_or(|condition| condition.holds(event))
    }

    /// Whether all conditions hold but the one on the type and the one in CEL.
    pub fn matches_envelope(&self, event: &Event) -> bool {
        let listed = |list: &Option<Vec<String>>, value: Option<&str>| {
            list.as_ref().is_none_or(|list| value.is_some_and(|value| list.iter().any(|item| item == value)))
        };
        self.min_severity.is_none_or(|least| event.severity >= least)
            && listed(&self.source_components, Some(&event.source_component))
            && listed(&self.correlation_ids, Some(&event.correlation_id))
            && listed(&self.workflow_ids, event.workflow_id.as_deref())
            && listed(&self.task_ids, event.task_id.as_deref())
            && listed(&self.provider_ids, event.provider_id.as_deref())
    }

    /// Whether all conditions hold.
    pub fn matches(&self, event: &Event) -> bool {
        self.matches_type(&event.event_type) && self.matches_rest(event)
    }

    /// Whether it asks for every fact.
    pub fn is_every_fact(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a plugin with this filter sees narration: only if it names types, and one of them is narrated.
    pub fn names_narration(&self) -> bool {
        self.event_types.as_ref().is_some_and(|patterns| {
            catalogue::ENTRIES.iter().any(|entry| entry.is_narration() && patterns.iter().any(|pattern| pattern.matches(entry.event_type)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, event_type: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(event_type)
    }

    #[test]
    fn patterns_match_by_segment() {
        for (pattern, event_type, expected) in [
            ("task:*", "task:ready", true),
            ("task:*", "task:a:b", false),
            ("task:**", "task:a:b", true),
            ("task:**", "task:ready", true),
            ("task:**", "tasks:ready", false),
            ("*:failed", "task:failed", true),
            ("*:failed", "task:failed:late", false),
            ("**", "a:b:c", true),
            ("task:ready", "task:ready", true),
            ("task:ready", "task:read", false),
            ("*:*:ready", "dependent:task:ready", true),
        ] {
            assert_eq!(matches(pattern, event_type), expected, "{pattern} on {event_type}");
        }
    }

    #[test]
    fn foreign_names_are_aliases_in_filters() {
        assert_eq!(Pattern::parse("PipelineCompleted").unwrap().as_str(), "workflow:completed");
        assert_eq!(Pattern::parse("TRAINING_COMPLETED").unwrap().as_str(), "training:completed");
    }

    #[test]
    fn malformed_patterns_say_why() {
        for pattern in ["task", "ta*:x", "**:x", "*", "a b:*", ""] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn an_empty_list_never_matches() {
        assert!(!Filter { event_types: Some(Vec::new()), ..Filter::default() }.matches_type("a:b"));
        assert!(Filter::default().matches_type("a:b"));
    }
}
