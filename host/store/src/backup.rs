//! A copy of the log while a host may be writing it. Looking it through is `verify`'s.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use crate::{
    directory, failpoint,
    open::OpenError,
    schema,
    verify::{Verified, verify},
};

/// Why there is no copy, or why a file is no whole log.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nothing is written over.
    #[error("{} exists already; name a file that does not", .0.display())]
    Exists(PathBuf),
    /// There is nothing.
    #[error("{} does not exist; name the data directory of a host, or a copy of its log", .0.display())]
    Missing(PathBuf),
    /// It is no log, or none that this program reads.
    #[error("{}: {source}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// What stands against it.
        source: OpenError,
    },
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be read, or the copy not be written.
    #[error("{}: {source}", path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// What the database says.
        source: rusqlite::Error,
    },
    /// It is not whole.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
}

/// Copies the log of a data directory into a file that does not exist, and looks the copy through; a host may be running meanwhile. The copy is
/// what the log was at one moment, and appears under its name when it is whole. `tell` hears how many of how many events were looked at.
///
/// # Errors
/// [`BackupError`]; nothing is left behind then.
pub fn backup(data_dir: &Path, to: &Path, tell: impl FnMut(u64, u64)) -> Result<Verified, BackupError> {
    let from = directory::log_path(data_dir);
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let source = open(&from)?;
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    failpoint::before("backup");
    let copied = copy(&source, &part).and_then(|()| verify(&part, tell)).and_then(|verified| {
        put_in_place(&part, to).map_err(|source| BackupError::Io { path: to.to_owned(), source })?;
        failpoint::after("backup");
        Ok(verified)
    });
    if copied.is_err() {
        // What could not be finished is of no use to anybody.
        let _ = fs::remove_file(&part);
    }
    copied
}

fn copy(source: &Connection, part: &Path) -> Result<(), BackupError> {
    // Of an earlier one that was cut off.
    if part.exists() {
        fs::remove_file(part).map_err(|source| BackupError::Io { path: part.to_owned(), source })?;
    }
    let copied = source.execute("VACUUM INTO ?1", [part.to_string_lossy()]);
    copied.map(drop).map_err(|source| BackupError::Database { path: part.to_owned(), source })
}

/// On the disk, and then under its name.
pub(crate) fn put_in_place(part: &Path, to: &Path) -> io::Result<()> {
    put_by(|part, to| fs::hard_link(part, to), part, to)
}

/// The same, with a second name given by `link`.
fn put_by(link: impl FnOnce(&Path, &Path) -> io::Result<()>, part: &Path, to: &Path) -> io::Result<()> {
    File::open(part)?.sync_all()?;
    // Not over a file that has come there meanwhile.
    match link(part, to) {
        Ok(()) => fs::remove_file(part)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // A file system without second names for a file, such as those of memory cards and many networks: there the name is only looked for.
        Err(_) if to.try_exists()? => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(part, to)?,
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A log of the version that this program reads.
pub(crate) fn open(path: &Path) -> Result<Connection, BackupError> {
    let wrong = |source| BackupError::Open { path: path.to_owned(), source };
    let (connection, found) = identified(path)?;
    match schema::known() {
        known if found == known => Ok(connection),
        known => Err(wrong(OpenError::Older { found, known })),
    }
}

/// A log of any version up to that, whatever is wrong with it otherwise.
pub(crate) fn open_any(path: &Path) -> Result<Connection, BackupError> {
    identified(path).map(|(connection, _)| connection)
}

fn identified(path: &Path) -> Result<(Connection, u32), BackupError> {
    let wrong = |source| BackupError::Open { path: path.to_owned(), source };
    if !path.is_file() {
        return Err(BackupError::Missing(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| wrong(OpenError::of(error)))?;
    let found = schema::identify(&connection).map_err(wrong)?;
    Ok((connection, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_put_in_place_without_second_names_too_and_over_nothing() {
        type Link = fn(&Path, &Path) -> io::Result<()>;
        let links: [Link; 2] = [|part, to| fs::hard_link(part, to), |_, _| Err(io::ErrorKind::PermissionDenied.into())];
        for link in links {
            let dir = tempfile::tempdir().unwrap();
            let (part, to) = (dir.path().join("copy.part"), dir.path().join("copy"));
            fs::write(&part, "new").unwrap();
            put_by(link, &part, &to).unwrap();
            assert_eq!((fs::read_to_string(&to).unwrap(), part.exists()), ("new".to_owned(), false));
            fs::write(&part, "newer").unwrap();
            assert_eq!(put_by(link, &part, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        }
    }
}
