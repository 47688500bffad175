//! Owns patterns: over event types, as the host's filters have them, and over names such as methods, providers and workflows.
//! Leaves which of them decides to the rules that hold them.

use serde::Deserialize;

/// A pattern over event types: `task:*` (one segment), `task:**` (any depth), `*:failed`, `**`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TypePattern(String);

impl TypePattern {
    /// Whether it names this type.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        if self.0 == "**" {
            return true;
        }
        let mut types = event_type.split(':');
        for pattern in self.0.split(':') {
            match types.next() {
                Some(_) if pattern == "**" => return true,
                Some(segment) if pattern == "*" || pattern == segment => {}
                _ => return false,
            }
        }
        types.next().is_none()
    }
}

impl TryFrom<String> for TypePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let segments: Vec<&str> = text.split(':').collect();
        let plain = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
        };
        let last = segments.len() - 1;
        let formed = segments.iter().enumerate().all(|(place, segment)| match *segment {
            "*" => true,
            "**" => place == last,
            segment => plain(segment),
        });
        if text == "**" || (formed && last > 0) {
            return Ok(TypePattern(text));
        }
        Err(format!("'{text}' is no type pattern: write 'order:placed', 'order:*', '*:failed', 'order:**' or '**'"))
    }
}

/// A pattern over names, in which each `*` stands for any run of characters: `llm/*`, `*-eu`, `files/read`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct NamePattern(String);

impl NamePattern {
    /// Whether it names this one.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some((beginning, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(beginning) else { return false };
        // What stands between two stars is found where it comes first, which leaves the most for the others; the end must be the end.
        let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in between.split('*').filter(|part| !part.is_empty()) {
            let Some(at) = name.find(part) else { return false };
            name = &name[at + part.len()..];
        }
        name.ends_with(end)
    }
}

impl From<String> for NamePattern {
    fn from(text: String) -> Self {
        NamePattern(text)
    }
}

impl From<&str> for NamePattern {
    fn from(text: &str) -> Self {
        NamePattern(text.into())
    }
}

/// Whether one of the patterns names this one. No patterns name everything; what has no name is named by no pattern.
#[must_use]
pub fn any_matches(patterns: &[NamePattern], name: Option<&str>) -> bool {
    patterns.is_empty() || name.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_type(pattern: &str, event_type: &str) -> bool {
        TypePattern::try_from(pattern.to_owned()).expect("a pattern").matches(event_type)
    }

    #[test]
    fn types_match_by_segment() {
        for (pattern, event_type, expected) in [
            ("task:*", "task:ready", true),
            ("task:*", "task:a:b", false),
            ("task:**", "task:a:b", true),
            ("task:**", "task", false),
            ("*:failed", "task:failed", true),
            ("*:failed", "task:failed:late", false),
            ("**", "a:b:c", true),
            ("task:ready", "task:read", false),
        ] {
            assert_eq!(names_type(pattern, event_type), expected, "{pattern} on {event_type}");
        }
    }

    #[test]
    fn malformed_type_patterns_are_refused() {
        for text in ["", "task", "*", "Task:done", "task:**:done", "ta*:done", "task: done"] {
            assert!(TypePattern::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn stars_in_names_stand_for_anything() {
        for (pattern, name, expected) in [
            ("llm/*", "llm/chat", true),
            ("llm/*", "lm/chat", false),
            ("files/read", "files/read", true),
            ("files/read", "files/reader", false),
            ("*-eu", "llm-eu", true),
            ("*-eu", "llm-us", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*bc*c", "abc", false),
            ("*", "", true),
        ] {
            assert_eq!(NamePattern::from(pattern).matches(name), expected, "{pattern} on {name}");
        }
        assert!(any_matches(&[], None) && !any_matches(&["*".into()], None));
    }
}
