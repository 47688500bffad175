//! Opening: take the directory, bring the file to the known version, look at its end, start the threads.
//! What a log looks like is `schema`'s; closing is the store's.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use trackside_model::time::Timestamp;

use crate::{
    checkpoint::{self, Checkpoints},
    directory::{self, HeldDirectory},
    full_text,
    options::StoreOptions,
    readers::Readers,
    schema::{self, End},
    shared::Shared,
    store::{ReadStore, Store, Threads},
    write::WriteConnection,
    writer::Writer,
};

/// Readers of a log that is opened for reading only.
const READ_ONLY_READERS: usize = 4;
/// How long to wait for the lock of a process that reads the file at the moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements of the writer.
const CACHED_STATEMENTS: usize = 64;
/// Kibibytes of pages that the writer keeps: the ends of the tables and indices that it appends to.
const WRITER_CACHE_KIB: i64 = 32 << 10;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another host has the directory.
    #[error(
        "{} is in use by another host{}; stop that one, or use another data directory",
        data_dir.display(),
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// Which.
        data_dir: PathBuf,
        /// The other host's process, if it has said so.
        pid: Option<u32>,
    },
    /// A newer program has written it.
    #[error(
        "the log is of version {found}, and this program knows versions up to {known}; use a program at least as new as the one that wrote it"
    )]
    Newer {
        /// In the file.
        found: u32,
        /// To this program.
        known: u32,
    },
    /// An older program has written it, and reading alone cannot bring it up to date.
    #[error("the log is of version {found}, and this program reads version {known}; start a host on it once, which brings it up to date")]
    Older {
        /// In the file.
        found: u32,
        /// To this program.
        known: u32,
    },
    /// There is no log.
    #[error("there is no log in {}; has a host ever run there?", data_dir.display())]
    Missing {
        /// Where it was looked for.
        data_dir: PathBuf,
    },
    /// A file of somebody else.
    #[error("the file log.db there is not a log of this program; use another data directory, or restore a backup of the log")]
    Foreign,
    /// The end of the log is not whole.
    #[error(
        "the log is damaged{}: {what}; keep a copy of the directory, and put a backup in its place (docs/backup.md), or save what can be read \
         with `trackside store salvage FILE` (docs/retention.md)",
        if *after == 0 { String::new() } else { format!(" behind event {after}") }
    )]
    Damaged {
        /// The last sequence known to be whole, or 0.
        after: u64,
        /// What is wrong.
        what: String,
    },
    /// The file system lacks what a shared write-ahead file needs.
    #[error(
        "the file system of the data directory cannot keep a write-ahead log (SQLite offers '{offered}'); use a directory on a local disk"
    )]
    Unsuitable {
        /// The journal mode that SQLite falls back to.
        offered: String,
    },
    /// The file system refuses.
    #[error("failed to {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What it said.
        source: io::Error,
    },
    /// The database refuses.
    #[error("failed to open the log: {0}")]
    Database(#[source] Box<dyn Error + Send + Sync>),
}

impl OpenError {
    pub(crate) fn of(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { after: 0, what: error.to_string() },
            _ => Self::Database(Box::new(error)),
        }
    }
}

impl Store {
    /// Opens the log for appending, and makes one if there is none. `now` is the host's clock.
    ///
    /// # Errors
    /// [`OpenError`], by what stands against it.
    pub fn open(options: StoreOptions, now: fn() -> Timestamp) -> Result<Self, OpenError> {
        let held = directory::hold(&options.data_dir)?;
        let path = directory::log_path(&options.data_dir);
        let (mut connection, end) = open_for_writing(&path)?;
        full_text::opt_in(&mut connection, &options.full_text).map_err(OpenError::of)?;
        let carrier = open_for_carrying(&path)?;
        let readers = Arc::new(Readers::new(path, options.max_readers));
        let shared = Arc::new(Shared::new(options, now, readers, end));
        let threads = start(shared.clone(), connection, carrier, held)?;
        Ok(Self::new(shared, threads))
    }

    /// Opens the log for reading only; a host may be running on it.
    ///
    /// # Errors
    /// [`OpenError`], by what stands against it.
    pub fn open_read_only(data_dir: impl AsRef<Path>) -> Result<ReadStore, OpenError> {
        let data_dir = data_dir.as_ref();
        let path = directory::log_path(data_dir);
        if !path.is_file() {
            return Err(OpenError::Missing { data_dir: data_dir.to_owned() });
        }
        let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(OpenError::of)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(OpenError::of)?;
        match (schema::identify(&connection)?, schema::known()) {
            (found, known) if found == known => Ok(ReadStore::of_file(Arc::new(Readers::new(path, READ_ONLY_READERS)))),
            // A host has made the file and not got further.
            (0, _) => Err(OpenError::Missing { data_dir: data_dir.to_owned() }),
            (found, known) => Err(OpenError::Older { found, known }),
        }
    }
}

/// The one connection that writes, and where the log ends.
pub(crate) fn open_for_writing(path: &Path) -> Result<(Connection, End), OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(OpenError::of)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(OpenError::of)?;
    // Before anything is changed: a file that is not ours stays as it is.
    let found = schema::identify(&connection)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(OpenError::of)?;
    if mode != "wal" {
        return Err(OpenError::Unsuitable { offered: mode });
    }
    set_up(&connection).map_err(OpenError::of)?;
    schema::migrate(&mut connection, found)?;
    sync(&connection).map_err(OpenError::of)?;
    let end = schema::check_tail(&connection)?;
    Ok((connection, end))
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // A commit is on the disk when it returns.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints have a thread; the WAL is kept at its size and written over, which spares the file system work at each sync.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", -1)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// What a host that was killed had written and not synced is in the log from now on: it must be on the disk before anybody is shown it. A commit of
/// anything syncs all that stands before it in the write-ahead file.
fn sync(connection: &Connection) -> rusqlite::Result<()> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update(None, "user_version", version)
}

fn open_for_carrying(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(OpenError::of)?;
    // A checkpoint that meets another one gives way.
    connection.busy_timeout(Duration::ZERO).map_err(OpenError::of)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(OpenError::of)?;
    Ok(connection)
}

#[expect(clippy::disallowed_methods, reason = "the store's own threads, joined by close")]
fn start(shared: Arc<Shared>, connection: Connection, carrier: Connection, held: HeldDirectory) -> Result<Threads, OpenError> {
    let failed = |source| OpenError::Io { what: "start the store's threads".to_owned(), source };
    let connection = WriteConnection::new(connection).map_err(OpenError::of)?;
    let checkpoints = Arc::new(Checkpoints::new(shared.options.checkpoint_pages));
    let writer = Writer { shared, connection, checkpoints: checkpoints.clone(), held };
    let stop = checkpoints.clone();
    let checkpointer = thread::Builder::new()
        .name("trackside-store-checkpointer".to_owned())
        .spawn(move || checkpoint::run(checkpoints, carrier))
        .map_err(failed)?;
    let writer = thread::Builder::new().name("trackside-store-writer".to_owned()).spawn(move || writer.run()).map_err(|source| {
        stop.stop();
        failed(source)
    })?;
    Ok(Threads { writer, checkpointer })
}
