//! Compacting: a log whose empty pages are given back to the file system. It is written anew, so no host may be running meanwhile; while one runs,
//! what was trimmed makes room for what comes.

use std::{fs, io, path::Path};

use rusqlite::{Connection, OpenFlags};

use crate::{backup::BackupError, directory, open::OpenError, schema};

/// Gives back what is empty. The bytes of the file before and after. A crash on the way leaves the log as it was.
///
/// # Errors
/// [`BackupError`], by what stands against it.
pub fn compact(data_dir: &Path) -> Result<(u64, u64), BackupError> {
    let path = directory::log_path(data_dir);
    if !path.is_file() {
        return Err(BackupError::Missing(path));
    }
    let wrong = |source| BackupError::Open { path: data_dir.to_owned(), source };
    let _held = directory::hold(data_dir).map_err(wrong)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags).map_err(|error| wrong(OpenError::of(error)))?;
    schema::identify(&connection).map_err(wrong)?;
    let failed = |source| BackupError::Database { path: path.clone(), source };
    let bytes = || -> io::Result<u64> { Ok(fs::metadata(&path)?.len()) };
    let measured = |bytes: io::Result<u64>| bytes.map_err(|source| BackupError::Io { path: path.clone(), source });
    let carried = || connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed);
    carried()?;
    let before = measured(bytes())?;
    connection.execute_batch("PRAGMA synchronous = FULL; VACUUM").map_err(failed)?;
    carried()?;
    Ok((before, measured(bytes())?))
}
