//! Files that are written whole or not at all: whoever reads one, a host that watches a directory included, never reads half of it.
//! What stands in them is the callers'.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

/// Puts these bytes in place under this name in one step. Meanwhile they stand beside it, under a hidden name that hosts pass over.
///
/// # Errors
/// What the system says; the file is then what it was.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.new"));
    let mut file = File::create(&unfinished)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // Nobody reads what is hidden and unfinished.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Removes a file that may not be there. Whether it was.
///
/// # Errors
/// What the system says.
pub(crate) fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
