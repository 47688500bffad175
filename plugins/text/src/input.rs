//! Owns the shapes in which text comes in, and makes a list of texts of any of them.
//! Leaves what is in the texts to `prose`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One text, and the path that it came from where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) path: Option<String>,
    pub(crate) text: String,
}

/// The texts of a task, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inputs(pub(crate) Vec<Input>);

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut inputs = Vec::new();
        collect(Value::deserialize(deserializer)?, &mut inputs).map_err(D::Error::custom)?;
        Ok(Inputs(inputs))
    }
}

/// Adds every text in `value` to `inputs`.
fn collect(value: Value, inputs: &mut Vec<Input>) -> Result<(), String> {
    match value {
        Value::String(text) => inputs.push(Input { path: None, text }),
        Value::Array(values) => values.into_iter().try_for_each(|value| collect(value, inputs))?,
        // Skipped tasks have null for a result: nothing to read.
        Value::Null => {}
        Value::Object(mut object) => match (object.remove("text"), object.remove("files")) {
            (Some(Value::String(text)), _) => {
                let path = object.remove("path").and_then(|path| path.as_str().map(str::to_owned));
                inputs.push(Input { path, text });
            }
            (Some(inner), _) => collect(inner, inputs)?,
            (None, Some(files)) => collect(files, inputs)?,
            (None, None) => {
                let keys: Vec<_> = object.keys().map(String::as_str).collect();
                return Err(format!("expected `text` or `files` in the object, found {}", keys.join(", ")));
            }
        },
        other => return Err(format!("expected a text, a list of texts or the result of files/read, found {other}")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(value: Value) -> Result<Vec<(Option<String>, String)>, String> {
        serde_json::from_value::<Inputs>(value)
            .map(|inputs| inputs.0.into_iter().map(|input| (input.path, input.text)).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_shape_gives_its_texts_in_order() {
        let plain = |text: &str| (None, text.to_owned());
        assert_eq!(texts(json!("a")), Ok(vec![plain("a")]));
        assert_eq!(texts(json!(["a", "b"])), Ok(vec![plain("a"), plain("b")]));
        assert_eq!(texts(json!({ "text": "a", "bytes": 1 })), Ok(vec![plain("a")]));
        assert_eq!(
            texts(json!({ "files": [{ "path": "x", "text": "a" }, { "path": "y", "text": "b" }] })),
            Ok(vec![(Some("x".into()), "a".into()), (Some("y".into()), "b".into())])
        );
        assert_eq!(texts(json!(["a", { "path": "x", "text": "b" }, null])), Ok(vec![plain("a"), (Some("x".into()), "b".into())]));
    }

    #[test]
    fn other_shapes_are_refused_by_what_was_found() {
        assert!(texts(json!(3)).expect_err("a number is no text").contains('3'));
        assert!(texts(json!({ "body": "a" })).expect_err("there is no text").contains("body"));
    }
}
