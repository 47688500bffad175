//! Files that are written whole or not at all: whoever reads one, a host that watches a directory included, never reads half of it.
//! What stands in them is the callers'.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// What a new file is made with, less what the environment takes away.
const FOR_ALL: u32 = 0o666;
/// The same, for a file that holds what nobody else should know.
const FOR_OWNER: u32 = 0o600;

/// Puts these bytes in place under this name in one step. Meanwhile they stand beside it, under a hidden name that hosts pass over.
/// Who may read the file that was there before may read this one, and nobody else.
///
/// # Errors
/// What the system says; the file is then what it was.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, FOR_ALL)
}

/// The same, of a file that its owner alone may read from its first moment on.
///
/// # Errors
/// What the system says; the file is then what it was.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes, FOR_OWNER)
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.new"));
    // One that somebody began and never finished is in the way, with whatever mode it has.
    remove(&unfinished)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
    let written = fs::metadata(path)
        .map_or(Ok(()), |before| file.set_permissions(before.permissions()))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path))
        // The new name too is on the disk when this is done.
        .and_then(|()| fs::File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all());
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_stays_as_private_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        write(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing unfinished is left");
        assert!(remove(&path).unwrap() && !remove(&path).unwrap());
        // A folder stands in the way: nothing is left beside it.
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"three").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_private_file_is_private_from_the_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        // What was left by a program that ended in the middle is not what it goes on with.
        fs::write(dir.path().join(".a.toml.new"), "half").unwrap();
        write_private(&path, b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
