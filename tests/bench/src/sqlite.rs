//! Bare SQLite with the log's own schema: what the store is held against where many events share a commit.
//! The schema is the store's migration; which events are written is `publish`'s.

use std::path::Path;

use anyhow::Result;
use rusqlite::{Connection, Statement};
use trackside_model::event::Event;

const SCHEMA: &str = include_str!("../../../host/store/src/migrations/0001.sql");
const INSERT: &str = "INSERT INTO events (sequence, event_id, type_id, severity, timestamp, recorded_at, source_component, correlation_id, \
     causation_id, workflow_id, task_id, provider_id, payload, metadata, narration, parts) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
/// Pages in the write-ahead file at which SQLite carries them over, as the store does.
const CHECKPOINT_PAGES: i64 = 4_096;

/// A database with the log's tables and indices, and one type of event in it.
pub(crate) struct BareSqlite {
    connection: Connection,
    sequence: i64,
}

impl BareSqlite {
    /// Makes it, in this folder.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let connection = Connection::open(folder.join("bare.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", -1)?;
        connection.pragma_update(None, "cache_size", -(32 << 10))?;
        connection.execute_batch(SCHEMA)?;
        connection.execute("INSERT INTO event_types (type_id, name) VALUES (1, 'order:placed')", [])?;
        Ok(Self { connection, sequence: 0 })
    }

    /// Writes the events in one transaction, which is on the disk when this returns.
    ///
    /// # Errors
    /// If SQLite refuses.
    pub(crate) fn commit(&mut self, events: &[Event]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for event in events {
                self.sequence += 1;
                bind(&mut insert, event, self.sequence)?;
                insert.raw_execute()?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// The same columns with the same kinds of value as the store writes for an event without correlation, workflow or metadata.
fn bind(insert: &mut Statement<'_>, event: &Event, sequence: i64) -> rusqlite::Result<()> {
    let nothing = rusqlite::types::Null;
    insert.raw_bind_parameter(1, sequence)?;
    insert.raw_bind_parameter(2, event.event_id.as_bytes())?;
    insert.raw_bind_parameter(3, 1)?;
    insert.raw_bind_parameter(4, event.severity as u8)?;
    insert.raw_bind_parameter(5, event.timestamp.0.cast_signed())?;
    insert.raw_bind_parameter(6, event.recorded_at.0.cast_signed())?;
    insert.raw_bind_parameter(7, &*event.source_component)?;
    for column in 8..=12 {
        insert.raw_bind_parameter(column, nothing)?;
    }
    insert.raw_bind_parameter(13, event.payload.as_str())?;
    insert.raw_bind_parameter(14, nothing)?;
    insert.raw_bind_parameter(15, nothing)?;
    insert.raw_bind_parameter(16, 0)
}
