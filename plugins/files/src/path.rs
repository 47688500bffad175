//! Owns how a path in a task becomes a path in the guest's file system.
//! Leaves what may be opened to the host, which grants folders and follows no link out of them.

use trackside_sdk::Failure;

/// Where relative paths begin.
pub(crate) struct Root(String);

impl Root {
    pub(crate) fn new(root: &str) -> Self {
        Root(root.trim_end_matches('/').into())
    }

    /// The guest's path of a task's path. `..` is refused, so that a task cannot reach beside the folder that it names.
    pub(crate) fn resolve(&self, path: &str) -> Result<String, Failure> {
        if path.contains('\0') || path.split(['/', '\\']).any(|segment| segment == "..") {
            return Err(Failure::permanent(format!("path {path:?}: `..` and NUL are not allowed in paths")).code("invalid-path"));
        }
        let inside = path.trim_end_matches('/');
        match path.starts_with('/') {
            true if inside.is_empty() => Ok("/".into()),
            true => Ok(inside.into()),
            false if inside.is_empty() || inside == "." => Ok(if self.0.is_empty() { "/".into() } else { self.0.clone() }),
            false => Ok(format!("{}/{}", self.0, inside.trim_start_matches("./"))),
        }
    }
}

/// `name` in `folder`, written as the task wrote the folder, so that the result can be handed to `files/read`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    match folder.trim_end_matches('/') {
        "" if folder.starts_with('/') => format!("/{name}"),
        "" | "." => name.into(),
        folder => format!("{folder}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_the_root_or_at_the_guests_own() {
        let root = Root::new("/docs/");
        let resolved = |path| root.resolve(path).map_err(|failure| failure.code_text().map(String::from));
        for (path, expected) in
            [("", "/docs"), (".", "/docs"), ("a/b.md", "/docs/a/b.md"), ("./a", "/docs/a"), ("/other/", "/other"), ("/", "/")]
        {
            assert_eq!(resolved(path), Ok(expected.to_owned()), "{path}");
        }
        for path in ["..", "a/../../b", "/docs/..", "a\0b"] {
            assert_eq!(resolved(path), Err(Some("invalid-path".to_owned())), "{path}");
        }
        assert_eq!(resolved("a..b"), Ok("/docs/a..b".to_owned()));
    }

    #[test]
    fn listed_paths_can_be_read_as_they_are() {
        for (folder, expected) in [("", "x"), (".", "x"), ("a", "a/x"), ("a/", "a/x"), ("/docs", "/docs/x"), ("/", "/x")] {
            assert_eq!(join(folder, "x"), expected, "{folder}");
        }
    }
}
