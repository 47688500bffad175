//! How a value of a plugin's kv space is written as JSON, and read back: text as text, other bytes in hexadecimal digits.
//! Which space it belongs to, and who may see it, is the callers'.

use serde_json::{Map, Value, json};

/// A value that cannot be read, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct KvValueError(String);

/// The one member that holds the bytes: `text`, or `hex`.
pub(crate) fn member(bytes: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("text", text.to_owned()),
        Err(_) => ("hex", bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

/// A value as it stands in a file, with the time it has left: a string if it is text and stays, else an object.
pub(crate) fn to_json(bytes: &[u8], ttl_ms: Option<u64>) -> Value {
    match (member(bytes), ttl_ms) {
        (("text", text), None) => Value::String(text),
        ((name, digits), None) => json!({name: digits}),
        ((name, value), Some(ttl_ms)) => json!({name: value, "ttl_ms": ttl_ms}),
    }
}

/// The bytes of a value, and the time it has left. A number or a truth stands for its text, as `increment` keeps numbers.
///
/// # Errors
/// [`KvValueError`], for every other form.
pub(crate) fn from_json(value: &Value) -> Result<(Vec<u8>, Option<u64>), KvValueError> {
    match value {
        Value::String(text) => Ok((text.clone().into_bytes(), None)),
        Value::Number(_) | Value::Bool(_) => Ok((value.to_string().into_bytes(), None)),
        Value::Object(members) => of_members(members),
        Value::Null | Value::Array(_) => Err(wrong()),
    }
}

fn wrong() -> KvValueError {
    KvValueError(
        r#"a value is a string, a number, {"text": "…"} or {"hex": "00ff"}, both with "ttl_ms": N if it goes after a while"#.to_owned(),
    )
}

fn of_members(members: &Map<String, Value>) -> Result<(Vec<u8>, Option<u64>), KvValueError> {
    let ttl_ms = members.get("ttl_ms").map(|ttl_ms| ttl_ms.as_u64().ok_or_else(wrong)).transpose()?;
    let values = members.len() - usize::from(ttl_ms.is_some());
    let bytes = match (members.get("text"), members.get("hex")) {
        (Some(Value::String(text)), None) if values == 1 => text.clone().into_bytes(),
        (None, Some(Value::String(digits))) if values == 1 => unhex(digits).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    Ok((bytes, ttl_ms))
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [_, _] => u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_written() {
        for (bytes, ttl_ms, written) in [
            (&b"three"[..], None, json!("three")),
            (b"\xff\x00", None, json!({"hex": "ff00"})),
            ("é".as_bytes(), Some(5), json!({"text": "é", "ttl_ms": 5})),
            (b"", None, json!("")),
        ] {
            assert_eq!(to_json(bytes, ttl_ms), written);
            assert_eq!(from_json(&written), Ok((bytes.to_vec(), ttl_ms)));
        }
        assert_eq!(from_json(&json!(3)), Ok((b"3".to_vec(), None)));
    }

    #[test]
    fn other_forms_are_refused() {
        for value in [
            json!(null),
            json!([1]),
            json!({}),
            json!({"text": 1}),
            json!({"hex": "0"}),
            json!({"hex": "zz"}),
            json!({"text": "a", "hex": "00"}),
            json!({"text": "a", "ttl": 1}),
            json!({"text": "a", "ttl_ms": -1}),
        ] {
            assert!(from_json(&value).is_err(), "{value}");
        }
    }
}
