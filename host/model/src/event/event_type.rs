//! Event types: what a valid name is, and how foreign names are brought into form.
//! Which types exist and who may publish them is the catalogue's.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest event type, in bytes.
pub const MAX_EVENT_TYPE_BYTES: usize = 200;

/// A valid `component:action` name. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Arc<str>);

/// Why a text is not an event type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventTypeError {
    /// One word alone: nobody can tell component from action.
    #[error("event type '{0}' is one word; write 'component:action', for example '{0}:happened'")]
    OneWord(String),
    /// Characters outside of `[a-z0-9_.-]`, or an empty segment.
    #[error("event type '{0}' is malformed; write 'component:action' with segments of a-z, 0-9, '_', '.' and '-'")]
    Malformed(String),
    /// Longer than [`MAX_EVENT_TYPE_BYTES`].
    #[error("event type of {0} bytes is longer than the {MAX_EVENT_TYPE_BYTES} allowed")]
    TooLong(usize),
}

impl EventType {
    /// Takes a name that already has the form.
    ///
    /// # Errors
    /// [`EventTypeError`], by what was wrong.
    pub fn parse(text: &str) -> Result<Self, EventTypeError> {
        if text.len() > MAX_EVENT_TYPE_BYTES {
            return Err(EventTypeError::TooLong(text.len()));
        }
        if is_valid(text) {
            return Ok(Self(Arc::from(text)));
        }
        let one_word = !text.contains(':') && !text.is_empty() && text.bytes().all(is_segment_byte);
        Err(if one_word { EventTypeError::OneWord(text.to_owned()) } else { EventTypeError::Malformed(text.to_owned()) })
    }

    /// Brings foreign spellings into form: a valid type stays; `SCREAMING_SNAKE`, `PascalCase` (acronyms stay whole) and
    /// `snake_case` give their first word as component and the rest, joined by `_`, as action. Applying it twice changes nothing.
    ///
    /// # Errors
    /// [`EventTypeError`] where no form can be found.
    pub fn normalise(text: &str) -> Result<Self, EventTypeError> {
        match Self::parse(text) {
            Ok(valid) => Ok(valid),
            Err(EventTypeError::TooLong(bytes)) => Err(EventTypeError::TooLong(bytes)),
            Err(error) => match words(text).as_slice() {
                [] => Err(error),
                [one] => Err(EventTypeError::OneWord(one.clone())),
                [component, action @ ..] => Self::parse(&format!("{component}:{}", action.join("_"))),
            },
        }
    }

    /// A word of any of the usual cases as a segment, or as a part of one; `None`: it has characters that cannot stand there.
    pub(crate) fn segment_of(text: &str) -> Option<String> {
        if !text.is_empty() && text.bytes().all(is_segment_byte) {
            return Some(text.to_owned());
        }
        let words = words(text);
        (!words.is_empty()).then(|| words.join("_"))
    }

    /// A name from the catalogue, which a test has checked.
    pub(crate) fn known(text: &str) -> Self {
        debug_assert!(is_valid(text), "{text}");
        Self(Arc::from(text))
    }

    /// Text that was an [`EventType`] when it was stored.
    pub fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first segment.
    pub fn component(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// The last segment.
    pub fn action(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or_default()
    }
}

fn is_segment_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-')
}

fn is_valid(text: &str) -> bool {
    let mut segments = 0;
    text.split(':').all(|segment| {
        segments += 1;
        !segment.is_empty() && segment.bytes().all(is_segment_byte)
    }) && segments > 1
}

/// The lower-cased words of an identifier in any of the usual cases; empty if it holds anything but ASCII letters, digits and `_`.
fn words(text: &str) -> Vec<String> {
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Vec::new();
    }
    let bytes = text.as_bytes();
    let mut words = vec![String::new()];
    for (index, &byte) in bytes.iter().enumerate() {
        let previous = index.checked_sub(1).map(|at| bytes[at]);
        let next = bytes.get(index + 1);
        let after_lower = previous.is_some_and(|p| p.is_ascii_lowercase() || p.is_ascii_digit());
        // `LLMPrompt`: the `P` begins a word because a small letter follows it.
        let ends_acronym = previous.is_some_and(|p| p.is_ascii_uppercase()) && next.is_some_and(u8::is_ascii_lowercase);
        if byte == b'_' || (byte.is_ascii_uppercase() && (after_lower || ends_acronym)) {
            words.push(String::new());
        }
        if byte != b'_'
            && let Some(word) = words.last_mut()
        {
            word.push(byte.to_ascii_lowercase() as char);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

impl Deref for EventType {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for EventType {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(input: &str, expected: Expect) {
        let actual = match EventType::normalise(input) {
            Ok(event_type) => event_type.to_string(),
            Err(error) => format!("error: {error}"),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn valid_types_are_untouched() {
        check("task:completed", expect!["task:completed"]);
        check("dependent:task:ready", expect!["dependent:task:ready"]);
        check("my-app.x:did_1", expect!["my-app.x:did_1"]);
    }

    #[test]
    fn foreign_cases_are_split_into_words() {
        check("TRAINING_LOSS_TREND", expect!["training:loss_trend"]);
        check("NewTurn", expect!["new:turn"]);
        check("LLMPromptSent", expect!["llm:prompt_sent"]);
        check("model_promoted", expect!["model:promoted"]);
        check("NPZ_EXPORTED", expect!["npz:exported"]);
        check("newTurn2Go", expect!["new:turn2_go"]);
    }

    #[test]
    fn what_has_no_form_is_refused_with_a_hint() {
        check("started", expect!["error: event type 'started' is one word; write 'component:action', for example 'started:happened'"]);
        check("Started", expect!["error: event type 'started' is one word; write 'component:action', for example 'started:happened'"]);
        check(
            "a b:c",
            expect!["error: event type 'a b:c' is malformed; write 'component:action' with segments of a-z, 0-9, '_', '.' and '-'"],
        );
        check(
            "a::b",
            expect!["error: event type 'a::b' is malformed; write 'component:action' with segments of a-z, 0-9, '_', '.' and '-'"],
        );
        check("", expect!["error: event type '' is malformed; write 'component:action' with segments of a-z, 0-9, '_', '.' and '-'"]);
        check(&format!("a:{}", "b".repeat(199)), expect!["error: event type of 201 bytes is longer than the 200 allowed"]);
    }

    proptest! {
        #[test]
        fn normalising_is_total_and_idempotent(text in ".{0,40}") {
            if let Ok(once) = EventType::normalise(&text) {
                prop_assert_eq!(EventType::normalise(&once), Ok(once));
            }
        }

        #[test]
        fn words_of_any_case_become_the_same_type(words in proptest::collection::vec("[a-z]{2,6}", 2..5)) {
            let snake = EventType::normalise(&words.join("_")).unwrap();
            let screaming = EventType::normalise(&words.join("_").to_uppercase()).unwrap();
            let pascal: String = words.iter().map(|w| w[..1].to_uppercase() + &w[1..]).collect();
            prop_assert_eq!(&snake, &screaming);
            prop_assert_eq!(&snake, &EventType::normalise(&pascal).unwrap());
        }
    }
}
