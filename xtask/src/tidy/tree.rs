//! The tree that the rules look at: every file that is tracked, or would be if it were added.
//! Which of them a rule cares about is the rule's own.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use crate::shell;

/// The files, by path from the repository's folder, with `/` between the parts.
pub(super) struct Tree {
    /// `None` for what is not text.
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// The repository at `root`.
    ///
    /// # Errors
    /// If git does not answer, or a file cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let listed = shell::capture(
            Command::new("git")
                .args(["-c", "core.quotePath=false", "ls-files", "--cached", "--others", "--exclude-standard"])
                .current_dir(root),
        )
        .map_err(|error| format!("the house rules look at what git tracks: {error}"))?;
        let mut files = BTreeMap::new();
        for path in listed.lines().filter(|path| root.join(path).is_file()) {
            let bytes = fs::read(root.join(path)).map_err(|error| format!("failed to read {path}: {error}"))?;
            files.insert(path.to_owned(), String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')));
        }
        Ok(Self { files })
    }

    /// A sample.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))).collect() }
    }

    /// The text files, by path.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text files whose name ends so.
    pub(super) fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    /// One file's text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether there is a file, or a folder with files, at `path`; the empty path is the repository's folder.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty() || self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }

    /// The product's Rust files: those of the host and of the plugins, tests apart.
    pub(super) fn product(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending(".rs").filter(|(path, _)| {
            let room = path.starts_with("host/") || path.starts_with("plugins/");
            let test = path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/");
            room && path.contains("/src/") && !test
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_host_and_plugins_without_their_tests() {
        let paths = [
            "host/model/src/lib.rs",
            "host/model/src/workflow/tests.rs",
            "host/model/src/workflow/tests/cycles.rs",
            "host/model/tests/all.rs",
            "host/server/build.rs",
            "plugins/sdk/macros/src/lib.rs",
            "plugins/sdk/src/packed_tests.rs",
            "tests/src/lib.rs",
            "xtask/src/main.rs",
        ];
        let tree = Tree::of(&paths.map(|path| (path, "")));
        let product: Vec<_> = tree.product().map(|(path, _)| path).collect();
        assert_eq!(product, ["host/model/src/lib.rs", "plugins/sdk/macros/src/lib.rs"]);
    }

    #[test]
    fn folders_are_there_because_of_their_files() {
        let tree = Tree::of(&[("wit/a/b.wit", "")]);
        assert!(tree.has("wit") && tree.has("wit/a") && tree.has("wit/a/b.wit") && tree.has(""));
        assert!(!tree.has("wit/b") && !tree.has("wi"));
    }

    #[test]
    fn this_repository_can_be_read() {
        let tree = Tree::read(&shell::root()).expect("git answers");
        assert!(tree.text("xtask/src/tidy/tree.rs").is_some_and(|text| text.contains("this_repository_can_be_read")));
        assert!(!tree.has("target"));
    }
}
