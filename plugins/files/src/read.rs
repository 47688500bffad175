//! Owns `files/read`: the text of files.
//! Leaves paths to `path` and finding files to `list`.

use crate::path::Root;
use crate::{count, failure};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use trackside_sdk::Failure;

/// A file is read up to this many bytes if the task does not say.
const DEFAULT_MAX_BYTES: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    path: Option<String>,
    paths: Option<Paths>,
    #[serde(default = "default_max_bytes")]
    max_bytes: u64,
    #[serde(default)]
    skip_unreadable: bool,
}

fn default_max_bytes() -> u64 {
    DEFAULT_MAX_BYTES
}

/// A list of paths, written as strings, as objects with a `path`, or as the result of `files/list`.
struct Paths(Vec<String>);

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let items = match value.get_mut("files").map(Value::take).unwrap_or(value) {
            Value::Array(items) => items,
            other => return Err(D::Error::custom(format!("expected a list of paths or the result of files/list, found {other}"))),
        };
        let path = |item: Value| match &item {
            Value::String(path) => Ok(path.clone()),
            item => item.get("path").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("expected a path, found {item}")),
        };
        items.into_iter().map(path).collect::<Result<_, _>>().map(Paths).map_err(D::Error::custom)
    }
}

#[derive(Serialize, Debug)]
#[serde(untagged)]
pub(crate) enum Answer {
    One(Text),
    Several(Texts),
}

#[derive(Serialize, Debug)]
pub(crate) struct Text {
    path: String,
    text: String,
    bytes: usize,
    lines: usize,
}

#[derive(Serialize, Debug)]
pub(crate) struct Texts {
    files: Vec<Text>,
    /// Of all files together.
    bytes: usize,
    /// Of all files together.
    lines: usize,
    /// Files that could not be read, where the task allows that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<Skipped>,
}

#[derive(Serialize, Debug)]
struct Skipped {
    path: String,
    reason: String,
}

pub(crate) fn run(root: &Root, parameters: Parameters) -> Result<Answer, Failure> {
    match (parameters.path, parameters.paths) {
        (Some(path), None) => read(root, path, parameters.max_bytes).map(Answer::One),
        (None, Some(paths)) => several(root, paths.0, parameters.max_bytes, parameters.skip_unreadable).map(Answer::Several),
        _ => Err(Failure::permanent("parameters of files/read: give either `path` or `paths`").code("invalid-parameters")),
    }
}

fn several(root: &Root, paths: Vec<String>, max_bytes: u64, skip_unreadable: bool) -> Result<Texts, Failure> {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for path in paths {
        match read(root, path.clone(), max_bytes) {
            Ok(text) => files.push(text),
            Err(failure) if skip_unreadable => skipped.push(Skipped { path, reason: failure.message().into() }),
            Err(failure) => return Err(failure),
        }
    }
    let bytes = files.iter().map(|file| file.bytes).sum();
    let lines = files.iter().map(|file| file.lines).sum();
    Ok(Texts { files, bytes, lines, skipped })
}

/// Reads one file whole, or says why not.
fn read(root: &Root, path: String, max_bytes: u64) -> Result<Text, Failure> {
    let file = File::open(root.resolve(&path)?).map_err(|error| failure::at(&path, "open", &error))?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large, whatever its size says.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failure::at(&path, "read", &error))?;
    if bytes.len() as u64 > max_bytes {
        return Err(Failure::permanent(format!("failed to read {path}: it is larger than `max_bytes`, {max_bytes}")).code("too-large"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::permanent(format!("failed to read {path}: not UTF-8 text from byte {at} on")).code("not-text")
    })?;
    Ok(Text { bytes: text.len(), lines: text.lines().count(), path, text })
}

/// The schema of the parameters.
pub(crate) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "one file" },
            "paths": { "type": ["array", "object"], "description": "several: paths, objects with a `path`, or the result of files/list" },
            "max_bytes": { "type": "integer", "minimum": 0, "default": DEFAULT_MAX_BYTES, "description": "a larger file is a failure" },
            "skip_unreadable": { "type": "boolean", "default": false, "description": "leave out files that cannot be read, and say which" }
        },
        "oneOf": [{ "required": ["path"] }, { "required": ["paths"] }],
        "additionalProperties": false
    })
}

/// The schema of the result.
pub(crate) fn returns() -> Value {
    let text = json!({
        "type": "object",
        "properties": { "path": { "type": "string" }, "text": { "type": "string" }, "bytes": count(), "lines": count() },
        "required": ["path", "text", "bytes", "lines"]
    });
    let skipped = json!({
        "type": "object",
        "properties": { "path": { "type": "string" }, "reason": { "type": "string" } },
        "required": ["path", "reason"]
    });
    let texts = json!({
        "type": "object",
        "properties": {
            "files": { "type": "array", "items": text }, "bytes": count(), "lines": count(),
            "skipped": { "type": "array", "items": skipped }
        },
        "required": ["files", "bytes", "lines"]
    });
    json!({ "oneOf": [text, texts] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in_folder(parameters: Value) -> Result<Value, Failure> {
        let folder = tempfile::tempdir().expect("a folder to read from");
        std::fs::write(folder.path().join("a.md"), "one\ntwo\n").expect("a file can be written");
        std::fs::write(folder.path().join("b.md"), "é").expect("a file can be written");
        std::fs::write(folder.path().join("c.bin"), [b'a', 0xff]).expect("a file can be written");
        let root = Root::new(folder.path().to_str().expect("the path is text"));
        let answer = run(&root, serde_json::from_value(parameters).expect("these parameters are right"))?;
        Ok(serde_json::to_value(answer).expect("answers serialise"))
    }

    #[test]
    fn one_file_comes_with_its_sizes() {
        let read = read_in_folder(json!({ "path": "a.md" })).expect("it is there");
        assert_eq!(read, json!({ "path": "a.md", "text": "one\ntwo\n", "bytes": 8, "lines": 2 }));
    }

    #[test]
    fn several_files_come_in_order_however_they_are_named() {
        for paths in [json!(["b.md", "a.md"]), json!({ "files": [{ "path": "b.md", "bytes": 2 }, { "path": "a.md" }], "bytes": 10 })] {
            let read = read_in_folder(json!({ "paths": paths })).expect("they are there");
            assert_eq!((&read["files"][0]["text"], &read["bytes"], &read["lines"]), (&json!("é"), &json!(10), &json!(3)));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_reason() {
        let cases = [
            (json!({ "path": "none.md" }), "not-found", "none.md"),
            (json!({ "path": "c.bin" }), "not-text", "byte 1"),
            (json!({ "path": "a.md", "max_bytes": 7 }), "too-large", "7"),
            (json!({ "path": "../a.md" }), "invalid-path", ".."),
            (json!({}), "invalid-parameters", "path"),
            (json!({ "path": "a.md", "paths": [] }), "invalid-parameters", "either"),
        ];
        for (parameters, code, named) in cases {
            let failure = read_in_folder(parameters).expect_err("it cannot be read");
            assert_eq!(failure.code_text(), Some(code));
            assert!(failure.message().contains(named), "{}", failure.message());
        }
        assert!(read_in_folder(json!({ "path": "a.md", "max_bytes": 8 })).is_ok());
    }

    #[test]
    fn unreadable_files_are_left_out_where_the_task_allows_it() {
        let read = read_in_folder(json!({ "paths": ["c.bin", "a.md"], "skip_unreadable": true })).expect("one is there");
        assert_eq!((read["files"].as_array().map(Vec::len), &read["skipped"][0]["path"]), (Some(1), &json!("c.bin")));
    }
}
