//! Owns `files/list`: walking a folder.
//! Leaves paths to `path`, patterns to `glob` and reading to `read`.

use crate::path::{Root, join};
use crate::{count, failure, glob};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::{self, FileType};
use trackside_sdk::Failure;

/// Folders inside folders that are followed; beyond, a tree is taken for a mistake.
const MOST_LEVELS: usize = 64;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Parameters {
    path: String,
    extensions: Option<Vec<String>>,
    glob: Option<String>,
    recursive: bool,
    hidden: bool,
    max_files: usize,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters { path: String::new(), extensions: None, glob: None, recursive: true, hidden: false, max_files: 1_000 }
    }
}

#[derive(Serialize, Debug)]
pub(crate) struct Listing {
    files: Vec<File>,
    /// The sizes of all files together.
    bytes: u64,
    /// Whether there are more files than `max_files`.
    truncated: bool,
}

#[derive(Serialize, Debug)]
struct File {
    path: String,
    bytes: u64,
}

pub(crate) fn run(root: &Root, parameters: Parameters) -> Result<Listing, Failure> {
    let mut files = Vec::new();
    walk(root, &parameters, "", 0, &mut files)?;
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let truncated = files.len() > parameters.max_files;
    files.truncate(parameters.max_files);
    Ok(Listing { bytes: files.iter().map(|file| file.bytes).sum(), files, truncated })
}

/// Adds the files of a folder, which is `inside` the listed one, until one more than wanted has been found.
fn walk(root: &Root, wanted: &Parameters, inside: &str, level: usize, files: &mut Vec<File>) -> Result<(), Failure> {
    let folder = if inside.is_empty() { wanted.path.clone() } else { join(&wanted.path, inside) };
    let entries = fs::read_dir(root.resolve(&folder)?).map_err(|error| failure::at(&folder, "list", &error))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failure::at(&folder, "list", &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().map_err(|error| failure::at(&join(&folder, &name), "look at", &error))?;
        names.push((name, kind));
    }
    // In order, so that what is left out of a long listing is always the same.
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in names.into_iter().filter(|(name, _)| wanted.hidden || !name.starts_with('.')) {
        if files.len() > wanted.max_files {
            return Ok(());
        }
        take(root, wanted, &relative(inside, &name), kind, level, files)?;
    }
    Ok(())
}

/// Takes one entry: a file that is wanted, or a folder to walk. Links are neither.
fn take(root: &Root, wanted: &Parameters, inside: &str, kind: FileType, level: usize, files: &mut Vec<File>) -> Result<(), Failure> {
    if kind.is_dir() && wanted.recursive && level < MOST_LEVELS {
        return walk(root, wanted, inside, level + 1, files);
    }
    if kind.is_file() && wants(wanted, inside) {
        let path = join(&wanted.path, inside);
        let metadata = fs::metadata(root.resolve(&path)?).map_err(|error| failure::at(&path, "look at", &error))?;
        files.push(File { path, bytes: metadata.len() });
    }
    Ok(())
}

fn relative(inside: &str, name: &str) -> String {
    if inside.is_empty() { name.into() } else { format!("{inside}/{name}") }
}

/// Whether a file's path, relative to the listed folder, has a wanted extension and fits the pattern.
fn wants(wanted: &Parameters, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let listed = |extensions: &Vec<String>| extensions.iter().any(|one| one.trim_start_matches('.').eq_ignore_ascii_case(extension));
    wanted.extensions.as_ref().is_none_or(listed) && wanted.glob.as_ref().is_none_or(|pattern| glob::matches(pattern, path))
}

/// The schema of the parameters.
pub(crate) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "the folder; by default the root" },
            "extensions": { "type": "array", "items": { "type": "string" }, "description": "such as md; in any case" },
            "glob": { "type": "string", "description": "* and ? inside a segment, ** over segments; without / it is for names" },
            "recursive": { "type": "boolean", "default": true },
            "hidden": { "type": "boolean", "default": false, "description": "whether names that begin with a dot are listed" },
            "max_files": { "type": "integer", "minimum": 0, "default": 1000 }
        },
        "additionalProperties": false
    })
}

/// The schema of the result.
pub(crate) fn returns() -> Value {
    let file = json!({
        "type": "object",
        "properties": { "path": { "type": "string" }, "bytes": count() },
        "required": ["path", "bytes"]
    });
    json!({
        "type": "object",
        "properties": { "files": { "type": "array", "items": file }, "bytes": count(), "truncated": { "type": "boolean" } },
        "required": ["files", "bytes", "truncated"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(parameters: Value) -> Result<Vec<String>, Failure> {
        let folder = tempfile::tempdir().expect("a folder to list");
        for path in ["b.md", "a.TXT", ".hidden.md", "sub/c.md", "sub/deep/d.rs"] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
            fs::write(path, "text").expect("a file can be written");
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink("/", folder.path().join("link")).expect("a link can be made");
        let root = Root::new(folder.path().to_str().expect("the path is text"));
        let parameters = serde_json::from_value(parameters).expect("these parameters are right");
        run(&root, parameters).map(|listing| listing.files.into_iter().map(|file| file.path).collect())
    }

    #[test]
    fn files_are_found_by_path_extension_and_pattern() {
        let cases = [
            (json!({}), vec!["a.TXT", "b.md", "sub/c.md", "sub/deep/d.rs"]),
            (json!({ "recursive": false }), vec!["a.TXT", "b.md"]),
            (json!({ "hidden": true, "extensions": [".md"] }), vec![".hidden.md", "b.md", "sub/c.md"]),
            (json!({ "extensions": ["txt", "rs"] }), vec!["a.TXT", "sub/deep/d.rs"]),
            (json!({ "path": "sub" }), vec!["sub/c.md", "sub/deep/d.rs"]),
            (json!({ "path": "sub/", "glob": "deep/*" }), vec!["sub/deep/d.rs"]),
            (json!({ "max_files": 1 }), vec!["a.TXT"]),
        ];
        for (parameters, expected) in cases {
            assert_eq!(list(parameters.clone()).expect("the folder is there"), expected, "{parameters}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let failure = list(json!({ "path": "nowhere" })).expect_err("it is not there");
        assert_eq!(failure.code_text(), Some("not-found"));
        assert!(failure.message().contains("nowhere"), "{}", failure.message());
    }
}
