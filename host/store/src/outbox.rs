//! The outbox: publishes that calls have released and that have not been taken through the door yet, as of what is durable: at once, or
//! when they are due.
//! Putting and ending them goes with batches; taking them through the door is the engine's.

use rusqlite::{Row, params};
use trackside_model::{event::Text, time::Timestamp};
use uuid::Uuid;

use crate::{
    batch::OutboxRow,
    readers::ReadError,
    rows::{count, damaged, integer},
    store::ReadStore,
};

pub(crate) const WAITING: &str = "SELECT id, plugin, publish, correlation_id, causation_id, workflow_id, task_id, hops \
     FROM outbox WHERE due IS NULL AND id > ?1 ORDER BY id LIMIT ?2";
pub(crate) const DUE: &str = "SELECT id, plugin, publish, correlation_id, causation_id, workflow_id, task_id, hops \
     FROM outbox WHERE due <= ?1 ORDER BY due LIMIT ?2";
pub(crate) const NEXT_DUE: &str = "SELECT min(due) FROM outbox WHERE due IS NOT NULL";
pub(crate) const SCHEDULED: &str = "SELECT count(*) FROM outbox WHERE plugin = ?1 AND due IS NOT NULL";
pub(crate) const IS_SCHEDULED: &str = "SELECT EXISTS (SELECT 1 FROM outbox WHERE plugin = ?1 AND event_id = ?2 AND due IS NOT NULL)";

/// A publish that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEntry {
    /// Given by the store, in order; [`Batch::outbox_done`](crate::Batch::outbox_done) takes it.
    pub id: u64,
    /// What is to be published, and whence it comes.
    pub row: OutboxRow,
}

impl ReadStore {
    /// Waiting publishes that go at once, behind the id `after`, in the order of their release, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached(WAITING)?;
            select.query_map(params![integer(after), i64::try_from(limit).unwrap_or(i64::MAX)], entry)?.collect()
        })
    }

    /// Scheduled publishes that are due, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn outbox_due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxEntry>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached(DUE)?;
            select.query_map(params![integer(now.0), i64::try_from(limit).unwrap_or(i64::MAX)], entry)?.collect()
        })
    }

    /// When the next scheduled publish is due; `None`: there is none.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn outbox_next_due(&self) -> Result<Option<Timestamp>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached(NEXT_DUE)?;
            select.query_row([], |row| Ok(row.get::<_, Option<i64>>(0)?.map(|due| Timestamp(due.cast_unsigned()))))
        })
    }

    /// How many publishes of this plugin are scheduled.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn scheduled(&self, plugin: &str) -> Result<u32, ReadError> {
        self.readers().read(|names| names.connection.prepare_cached(SCHEDULED)?.query_row([plugin], |row| row.get(0)))
    }

    /// Whether this publish of this plugin is scheduled.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn is_scheduled(&self, plugin: &str, event_id: &Uuid) -> Result<bool, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached(IS_SCHEDULED)?;
            select.query_row(params![plugin, event_id.as_bytes()], |row| row.get(0))
        })
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<OutboxEntry> {
    let text = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?.map(Text::from));
    Ok(OutboxEntry {
        id: count(row, 0)?,
        row: OutboxRow {
            plugin: text(1)?.unwrap_or_default(),
            publish: serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(|error| damaged(2, error.to_string()))?,
            correlation_id: text(3)?.unwrap_or_default(),
            causation_id: text(4)?,
            workflow_id: text(5)?,
            task_id: text(6)?,
            hops: row.get(7)?,
        },
    })
}
