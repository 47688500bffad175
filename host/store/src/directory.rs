//! The data directory: made if missing, and held by one host at a time through a lock that dies with its holder.
//! What lies in it is the other files' business.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::open::OpenError;

/// The lock file; holds the pid of the host that has the directory.
const LOCK_FILE: &str = "host.lock";
/// The log.
const LOG_FILE: &str = "log.db";

/// A directory that nobody else writes while this lives.
#[derive(Debug)]
pub(crate) struct HeldDirectory {
    _lock: File,
}

/// The log's path in a data directory.
pub fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.join(LOG_FILE)
}

/// Makes the directory and takes it.
pub(crate) fn hold(data_dir: &Path) -> Result<HeldDirectory, OpenError> {
    let io = |what: &str, source| OpenError::Io { what: format!("{what} {}", data_dir.display()), source };
    fs::create_dir_all(data_dir).map_err(|source| io("make the data directory", source))?;
    let path = data_dir.join(LOCK_FILE);
    let mut lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| io("open the lock file in", source))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The pid is a courtesy: a holder that has not written it yet is named without.
            let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { data_dir: data_dir.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(io("lock", source)),
    }
    let written = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
    written.map_err(|source| io("write the lock file in", source))?;
    Ok(HeldDirectory { _lock: lock })
}
