//! Connections that only read: a small pool, shared by everybody who asks the file.
//! What is asked is said by the files named after the verbs.

use std::{error::Error, path::PathBuf, time::Duration};

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, OpenFlags};

use crate::event_types::{RememberedNames, TypeNames};

/// Prepared statements that a connection keeps.
const CACHED_STATEMENTS: usize = 64;
/// How long a reader waits for a lock that another process holds for a moment, as when it recovers the log.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The log could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the log could not be read: {0}")]
pub struct ReadError(#[source] Box<dyn Error + Send + Sync>);

impl ReadError {
    pub(crate) fn of(error: rusqlite::Error) -> Self {
        Self(Box::new(error))
    }
}

/// The pool.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    max: usize,
    pool: Mutex<Pool>,
    freed: Condvar,
    names: RememberedNames,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    open: usize,
}

/// A connection on loan.
struct Loan<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool.lock();
        match self.connection.take() {
            Some(connection) => pool.idle.push(connection),
            None => pool.open -= 1,
        }
        self.readers.freed.notify_one();
    }
}

impl Readers {
    pub(crate) fn new(path: PathBuf, max: usize) -> Self {
        Self { path, max: max.max(1), pool: Mutex::default(), freed: Condvar::new(), names: RememberedNames::default() }
    }

    /// Runs `ask` on a connection of its own. It must not ask for another one.
    ///
    /// # Errors
    /// [`ReadError`], if no connection can be opened, and for whatever `ask` meets.
    pub(crate) fn read<T>(&self, ask: impl FnOnce(&TypeNames<'_>) -> rusqlite::Result<T>) -> Result<T, ReadError> {
        let mut loan = self.borrow();
        if loan.connection.is_none() {
            loan.connection = Some(self.open().map_err(ReadError::of)?);
        }
        let connection = loan.connection.as_ref().expect("opened just now");
        ask(&TypeNames { connection, remembered: &self.names }).map_err(ReadError::of)
    }

    fn borrow(&self) -> Loan<'_> {
        let mut pool = self.pool.lock();
        loop {
            if let Some(connection) = pool.idle.pop() {
                return Loan { readers: self, connection: Some(connection) };
            }
            if pool.open < self.max {
                pool.open += 1;
                return Loan { readers: self, connection: None };
            }
            self.freed.wait(&mut pool);
        }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}
