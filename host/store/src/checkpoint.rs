//! Checkpoints: carrying committed pages from the WAL into the log's file, on a thread and a connection of their own, so that commits
//! do not wait for it. The WAL is kept and written over from its start once all of it has been carried.

use std::{sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::failpoint;

/// So many times the pages that wake the thread have the writer carry what is left: under load the thread never catches up with the last page, and
/// only a WAL that has been carried to the last page is written over from its start.
const FINISH_AT_TIMES: u32 = 4;

/// Where the writer asks for a checkpoint.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// Pages in the WAL that wake the thread.
    carry_at_pages: u32,
    wanted: Mutex<Wanted>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    pages: bool,
    stop: bool,
}

impl Checkpoints {
    pub(crate) fn new(carry_at_pages: u32) -> Self {
        Self { carry_at_pages: carry_at_pages.max(1), wanted: Mutex::default(), wake: Condvar::new() }
    }

    /// After a commit on `connection` that has left so many pages in the WAL.
    pub(crate) fn after_commit(&self, connection: &Connection, wal_pages: u32) {
        if wal_pages >= self.carry_at_pages.saturating_mul(FINISH_AT_TIMES) {
            carry(connection);
        } else if wal_pages >= self.carry_at_pages {
            self.wanted.lock().pages = true;
            self.wake.notify_one();
        }
    }

    /// The thread ends.
    pub(crate) fn stop(&self) {
        self.wanted.lock().stop = true;
        self.wake.notify_one();
    }
}

/// The thread's whole life.
#[expect(clippy::needless_pass_by_value, reason = "the thread owns both")]
pub(crate) fn run(checkpoints: Arc<Checkpoints>, connection: Connection) {
    let mut wanted = checkpoints.wanted.lock();
    loop {
        if wanted.stop {
            return;
        }
        if std::mem::take(&mut wanted.pages) {
            drop(wanted);
            carry(&connection);
            wanted = checkpoints.wanted.lock();
        } else {
            checkpoints.wake.wait(&mut wanted);
        }
    }
}

/// Carries everything and empties the WAL, so that the next start has nothing to recover; what readers hold up stays for then.
pub(crate) fn finish(connection: &Connection) {
    failpoint::before("checkpoint");
    let finished =
        connection.busy_timeout(Duration::ZERO).and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    if let Err(error) = finished {
        tracing::warn!(%error, "the log's write-ahead file is carried over at the next start");
    }
    failpoint::after("checkpoint");
}

/// Carries what can be carried without holding anybody up. A failure is no loss: the pages stay in the WAL, and are tried again.
fn carry(connection: &Connection) {
    failpoint::before("checkpoint");
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the log's write-ahead file could not be carried over; it grows until it can");
    }
    failpoint::after("checkpoint");
}
