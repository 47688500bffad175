//! A copy of the log while a host may be writing it, and the look through a whole file that says whether it is one: used for the copy, and for any
//! log that somebody doubts. At start only the end is looked at, which `schema` does.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use crate::{
    directory,
    event_types::{RememberedNames, TypeNames},
    open::OpenError,
    rows::{self, event_columns},
    schema,
};

/// Findings of SQLite's own check that are told at most.
const MOST_FINDINGS: u32 = 10;
/// Events from one word about how far it has come to the next.
const TOLD_EVERY: u64 = 10_000;

const ALL: &str = concat!("SELECT ", event_columns!(), " FROM events ORDER BY sequence");

/// What a log holds that was looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The first sequence; 0: it is empty.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

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
    let copied = copy(&source, &part).and_then(|()| verify(&part, tell)).and_then(|verified| {
        put_in_place(&part, to).map_err(|source| BackupError::Io { path: to.to_owned(), source })?;
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
fn put_in_place(part: &Path, to: &Path) -> io::Result<()> {
    File::open(part)?.sync_all()?;
    // Not over a file that has come there meanwhile.
    fs::hard_link(part, to)?;
    fs::remove_file(part)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn open(path: &Path) -> Result<Connection, BackupError> {
    let wrong = |source| BackupError::Open { path: path.to_owned(), source };
    if !path.is_file() {
        return Err(BackupError::Missing(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| wrong(OpenError::of(error)))?;
    let found = schema::identify(&connection).map_err(wrong)?;
    match schema::known() {
        known if found == known => Ok(connection),
        known => Err(wrong(OpenError::Older { found, known })),
    }
}

/// Looks a whole log through: what SQLite says of the file, every event readable, their order without gaps, record times that never fall, and
/// nobody further than the log is.
///
/// # Errors
/// [`BackupError::Damaged`] says what is wrong and where; the others that it could not be looked at.
pub fn verify(path: &Path, mut tell: impl FnMut(u64, u64)) -> Result<Verified, BackupError> {
    let connection = open(path)?;
    let failed = |source| BackupError::Database { path: path.to_owned(), source };
    let damaged = |what: String| BackupError::Damaged { path: path.to_owned(), what };
    let findings: Vec<String> = connection
        .prepare(&format!("PRAGMA integrity_check({MOST_FINDINGS})"))
        .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect())
        .map_err(failed)?;
    if findings != ["ok"] {
        return Err(damaged(findings.join("; ")));
    }
    let count: i64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).map_err(failed)?;
    let count = count.cast_unsigned();
    let remembered = RememberedNames::default();
    let names = TypeNames { connection: &connection, remembered: &remembered };
    let mut select = connection.prepare(ALL).map_err(failed)?;
    let events = select.query_map([], |row| rows::decode(row, &names)).map_err(failed)?;
    let (mut first, mut last, mut recorded_at) = (0, 0, 0);
    for (number, event) in (1..).zip(events) {
        let event = event.map_err(|error| damaged(format!("the event behind {last} cannot be read: {error}")))?;
        let sequence = event.sequence_number;
        if first == 0 {
            first = sequence;
        } else if sequence != last + 1 {
            return Err(damaged(format!("event {sequence} does not follow {last}")));
        }
        if event.recorded_at.0 < recorded_at {
            return Err(damaged(format!("event {sequence} was recorded before event {last}")));
        }
        (last, recorded_at) = (sequence, event.recorded_at.0);
        if number % TOLD_EVERY == 0 {
            tell(number, count);
        }
    }
    let ahead = "SELECT name FROM cursors WHERE sequence > ?1 UNION ALL SELECT 'decisions' FROM decisions WHERE sequence > ?1 LIMIT 1";
    let ahead: Vec<String> = connection
        .prepare(ahead)
        .and_then(|mut select| select.query_map([rows::integer(last)], |row| row.get(0))?.collect())
        .map_err(failed)?;
    if let Some(name) = ahead.first() {
        return Err(damaged(format!("'{name}' is further than the log, which ends with {last}")));
    }
    tell(count, count);
    let bytes = fs::metadata(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })?.len();
    Ok(Verified { first, last, bytes })
}
