//! Owns the translation of what the file system says into failures that say what was tried, and where.
//! Leaves which file system that is to the host's grants.

use std::io;
use trackside_sdk::Failure;

/// The failure for an error at a path, as the task wrote the path.
pub(crate) fn at(path: &str, doing: &str, error: &io::Error) -> Failure {
    let shown = if path.is_empty() { "." } else { path };
    let (code, hint) = match error.kind() {
        io::ErrorKind::NotFound => ("not-found", "; only folders under [grants] are seen"),
        io::ErrorKind::PermissionDenied => ("not-granted", "; is it in a folder under [grants]?"),
        io::ErrorKind::InvalidData => ("not-text", ""),
        _ if error.to_string().contains("pre-opened") => ("not-granted", "; is it in a folder under [grants]?"),
        _ => ("io", ""),
    };
    Failure::permanent(format!("failed to {doing} {shown}: {error}{hint}")).code(code)
}
