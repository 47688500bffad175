//! JSON that travels through the host as text: checked once where it enters, shared without copying, parsed only by who looks inside.
//! What the values mean is left to the types that own them.

mod canonical;
mod strict;

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

/// Valid JSON text in UTF-8. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

/// Why a text is not taken as JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON; the position is where reading stopped.
    #[error("{message} at line {line} column {column}")]
    Syntax {
        /// What the reader expected.
        message: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// More bytes than allowed.
    #[error("{bytes} bytes are more than the {limit} allowed")]
    TooLarge {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Arrays and objects inside each other deeper than allowed.
    #[error("nested deeper than the {limit} levels allowed")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
        Self::Syntax { message, line: error.line(), column: error.column() }
    }
}

impl Json {
    /// `null`.
    pub fn null() -> Self {
        Self(Arc::from("null"))
    }

    /// Checks `text` for syntax, size in bytes and nesting.
    ///
    /// # Errors
    /// [`JsonError`], by what was wrong.
    pub fn check(text: &str, max_bytes: usize, max_depth: usize) -> Result<Self, JsonError> {
        Ok(Self(Arc::from(Self::readable(text, max_bytes, max_depth)?)))
    }

    /// The same for a text that came in unchecked.
    ///
    /// # Errors
    /// [`JsonError`], by what was wrong.
    pub fn checked(self, max_bytes: usize, max_depth: usize) -> Result<Self, JsonError> {
        let readable = Self::readable(&self.0, max_bytes, max_depth)?;
        Ok(if readable.len() == self.0.len() { self } else { Self(Arc::from(readable)) })
    }

    fn readable(text: &str, max_bytes: usize, max_depth: usize) -> Result<&str, JsonError> {
        let text = Self::bounded(text, max_bytes, max_depth)?;
        // Every number and every text is read: what is taken here can be read by whoever looks inside.
        serde_json::from_str::<strict::Strict>(text)?;
        Ok(text)
    }

    /// Checks the form alone, for a reader that tells better what is wrong with a number or a text.
    ///
    /// # Errors
    /// [`JsonError`], by what was wrong.
    pub fn check_form(text: &str, max_bytes: usize, max_depth: usize) -> Result<(), JsonError> {
        serde_json::from_str::<serde::de::IgnoredAny>(Self::bounded(text, max_bytes, max_depth)?)?;
        Ok(())
    }

    /// Checks size and nesting alone, of a text that may be no JSON.
    ///
    /// # Errors
    /// [`JsonError`], by the limit.
    pub fn check_bounds(text: &str, max_bytes: usize, max_depth: usize) -> Result<(), JsonError> {
        Self::bounded(text, max_bytes, max_depth).map(drop)
    }

    fn bounded(text: &str, max_bytes: usize, max_depth: usize) -> Result<&str, JsonError> {
        let text = text.trim();
        if text.len() > max_bytes {
            return Err(JsonError::TooLarge { bytes: text.len(), limit: max_bytes });
        }
        // Before the parser, which has a depth of its own and would call it bad syntax.
        if brackets(text) > max_depth && depth(text) > max_depth {
            return Err(JsonError::TooDeep { limit: max_depth });
        }
        Ok(text)
    }

    /// Text that is known to be valid JSON: written by a serialiser, or read back from the store.
    pub fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The JSON form of a value.
    ///
    /// # Panics
    /// Never for the types of this project, whose keys are all strings.
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(Arc::from(serde_json::to_string(value).expect("values here have string keys").as_str()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads it as a type.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] if the text has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        Ok(serde_json::from_str(&self.0)?)
    }

    /// The whole tree; `null` cannot fail to be one.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }

    /// Keys sorted, no white space: two texts of one value are equal in this form.
    /// Numbers keep their text's value as `serde_json` reads it.
    pub fn canonical(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        self.write_canonical(&mut text);
        text
    }

    /// Appends the [`canonical`](Self::canonical) form to a text.
    pub fn write_canonical(&self, out: &mut String) {
        let begin = out.len();
        if canonical::write(&self.0, out).is_none() {
            out.truncate(begin);
            out.push_str("null");
        }
    }
}

/// How many arrays and objects begin at most: no text nests deeper, and the processor counts them many at a time.
fn brackets(text: &str) -> usize {
    text.bytes().map(|byte| usize::from(matches!(byte, b'[' | b'{'))).sum()
}

/// How deep arrays and objects nest, counted without a parser so that it cannot overflow a stack.
fn depth(text: &str) -> usize {
    let (mut now, mut most, mut in_string, mut escaped) = (0usize, 0usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self(Arc::from(value.to_string().as_str()))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(Arc::from(raw.get())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_reached() {
        assert!(Json::check("[[1]]", 5, 2).is_ok());
        assert_eq!(Json::check("[[1]]", 4, 2), Err(JsonError::TooLarge { bytes: 5, limit: 4 }));
        assert_eq!(Json::check("[[1]]", 5, 1), Err(JsonError::TooDeep { limit: 1 }));
        assert!(Json::check(&"[".repeat(100_000), 1 << 20, 64).is_err(), "no stack overflow");
    }

    #[test]
    fn syntax_errors_name_the_place() {
        let error = Json::check("{\n  \"a\": x}", 100, 64).unwrap_err();
        assert_eq!(error.to_string(), "expected value at line 2 column 8");
    }

    #[test]
    fn brackets_in_strings_are_text() {
        assert!(Json::check(r#"{"a": "[[[[\"[["}"#, 100, 1).is_ok());
    }

    #[test]
    fn canonical_forms_of_equal_values_are_equal() {
        let one = Json::trusted(r#"{ "b": 1, "a": [ 2 ] }"#);
        let other = Json::trusted(r#"{"a":[2],"b":1}"#);
        assert_eq!(one.canonical(), other.canonical());
    }
}
