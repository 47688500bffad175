//! Writing a group: its rows, in one transaction, through statements that are prepared once.
//! When to write, and what follows from success or failure, is the writer's.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use rusqlite::{Connection, params};
use trackside_model::{control::DecisionRecord, event::Event, keeping::LetterChange};
use uuid::Uuid;

use crate::{
    attempts, cursors, dead_letters, durable_readers,
    event_types::TypeIds,
    full_text::FullText,
    pending::{PlacedWorkflow, Rows},
    rows::{self, StoredId, integer},
    trimmed,
};

/// The one connection that writes.
#[derive(Debug)]
pub(crate) struct WriteConnection {
    connection: Connection,
    types: TypeIds,
    /// Where a type is opted in.
    full_text: Option<FullText>,
    wal_pages: Arc<AtomicU32>,
}

impl WriteConnection {
    /// Takes a connection that is set up for writing.
    pub(crate) fn new(mut connection: Connection) -> rusqlite::Result<Self> {
        let wal_pages = Arc::new(AtomicU32::new(0));
        let counted = wal_pages.clone();
        connection.wal_hook(Some(move |_: &mut _, pages| {
            counted.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        let full_text = FullText::of(&connection)?;
        Ok(Self { connection, types: TypeIds::default(), full_text, wal_pages })
    }

    /// Pages in the WAL after the last commit.
    pub(crate) fn wal_pages(&self) -> u32 {
        self.wal_pages.load(Ordering::Relaxed)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Commits the rows. When it returns without error they are on the disk.
    pub(crate) fn commit(&mut self, rows: &Rows) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.raw_execute()?;
        let written = self.write(rows).and_then(|()| self.connection.prepare_cached("COMMIT")?.raw_execute().map(drop));
        if written.is_err() && !self.connection.is_autocommit() {
            // The store is about to be poisoned; a rollback that fails as well changes nothing about that.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        written
    }

    fn write(&mut self, rows: &Rows) -> rusqlite::Result<()> {
        self.write_events(rows)?;
        self.write_kv(rows)?;
        self.write_outbox(rows)?;
        cursors::write(&self.connection, &rows.cursors)?;
        durable_readers::write(&self.connection, &rows.readers)?;
        let mut blob = self.connection.prepare_cached("INSERT OR IGNORE INTO blobs (digest, bytes) VALUES (?1, ?2)")?;
        for (digest, bytes) in &rows.blobs {
            blob.execute(params![digest.0, &**bytes])?;
        }
        rows.workflows.iter().try_for_each(|workflow| self.write_workflow(workflow))?;
        attempts::write(&self.connection, &rows.attempts)?;
        // Last: what goes may be spoken of by what has just come.
        trimmed::write(&self.connection, &rows.trim, rows.events.last().map(|event| event.recorded_at))?;
        if self.full_text.is_some() {
            FullText::forget(&self.connection, rows.trim.events.iter().map(|gone| gone.sequence))?;
        }
        Ok(())
    }

    fn write_events(&mut self, rows: &Rows) -> rusqlite::Result<()> {
        let (many, rest) = rows.events.as_chunks::<{ rows::MANY }>();
        self.insert(&rows::INSERT_MANY, many.iter().map(|events| &events[..]))?;
        self.insert(&rows::INSERT, rest.iter().map(std::slice::from_ref))?;
        for event in &rows.events {
            if let Some(full_text) = &mut self.full_text {
                full_text.put(&self.connection, event)?;
            }
            if let Some(change) = LetterChange::of(event) {
                dead_letters::write(&self.connection, &change)?;
            }
        }
        let mut decided = self.connection.prepare_cached("INSERT INTO decisions (sequence, records) VALUES (?1, ?2)")?;
        // Events that were judged together share a record: its text is made once.
        let mut last: Option<(&[Arc<DecisionRecord>], String)> = None;
        for (sequence, records) in &rows.decisions {
            let text = match last.take() {
                Some((same, text))
                    if same.len() == records.len() && same.iter().zip(records).all(|(one, other)| Arc::ptr_eq(one, other)) =>
                {
                    text
                }
                _ => serde_json::to_string(records).expect("records have string keys"),
            };
            decided.execute(params![integer(*sequence), text])?;
            last = Some((records, text));
        }
        Ok(())
    }

    /// Executes a statement about so many events, for each such number of them.
    fn insert<'a>(&mut self, sql: &str, executions: impl ExactSizeIterator<Item = &'a [Arc<Event>]>) -> rusqlite::Result<()> {
        if executions.len() == 0 {
            return Ok(());
        }
        let mut insert = self.connection.prepare_cached(sql)?;
        for events in executions {
            for (place, event) in events.iter().enumerate() {
                let type_id = self.types.id(&self.connection, &event.event_type)?;
                rows::bind(&mut insert, place, event, type_id)?;
            }
            insert.raw_execute()?;
        }
        Ok(())
    }

    /// One event, as it is: for a log that is made of another one.
    pub(crate) fn put_event(&mut self, event: &Event) -> rusqlite::Result<()> {
        let type_id = self.types.id(&self.connection, &event.event_type)?;
        let mut insert = self.connection.prepare_cached(&rows::INSERT)?;
        rows::bind(&mut insert, 0, event, type_id)?;
        insert.raw_execute().map(drop)
    }

    /// Whether there is an event of this id.
    pub(crate) fn has_event(&self, event_id: &Uuid) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM events WHERE event_id = ?1")?.exists([event_id.as_bytes()])
    }

    fn write_kv(&self, rows: &Rows) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO kv (plugin, key, value, expires_at) VALUES (?1, ?2, ?3, ?4)";
        let mut set = self.connection.prepare_cached(sql)?;
        let mut delete = self.connection.prepare_cached("DELETE FROM kv WHERE plugin = ?1 AND key = ?2")?;
        for row in &rows.kv {
            match &row.stored {
                Some(stored) => set.execute(params![row.plugin, row.key, &*stored.value, stored.expires_at.map(|end| integer(end.0))])?,
                None => delete.execute(params![row.plugin, row.key])?,
            };
        }
        Ok(())
    }

    fn write_outbox(&self, rows: &Rows) -> rusqlite::Result<()> {
        let sql = "INSERT INTO outbox (id, plugin, event_id, due, publish, correlation_id, causation_id, workflow_id, task_id, hops) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let mut put = self.connection.prepare_cached(sql)?;
        for (id, row) in &rows.outbox_put {
            let publish = serde_json::to_string(&row.publish).expect("publishes have string keys");
            let (causation_id, workflow_id) = (row.causation_id.as_deref(), row.workflow_id.as_deref());
            put.execute(params![
                integer(*id),
                row.plugin,
                row.publish.event_id.as_bytes(),
                row.publish.due.map(|due| integer(due.0)),
                publish,
                row.correlation_id,
                causation_id,
                workflow_id,
                row.task_id.as_deref(),
                row.hops
            ])?;
        }
        let mut cancel = self.connection.prepare_cached("DELETE FROM outbox WHERE plugin = ?1 AND event_id = ?2 AND due IS NOT NULL")?;
        for (plugin, event_id) in &rows.outbox_cancelled {
            cancel.execute(params![plugin, event_id.as_bytes()])?;
        }
        let mut done = self.connection.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
        for id in &rows.outbox_done {
            done.execute([integer(*id)])?;
        }
        Ok(())
    }

    fn write_workflow(&self, workflow: &PlacedWorkflow) -> rusqlite::Result<()> {
        let PlacedWorkflow { change, sequences } = workflow;
        let ended_at = change.ended_at.map(|end| integer(end.0));
        let workflow_id = StoredId::of(&change.workflow_id);
        let Some((first, last)) = sequences else {
            let sql = "UPDATE workflows SET name = ?2, status = ?3, ended_at = ?4 WHERE workflow_id = ?1";
            self.connection.prepare_cached(sql)?.execute(params![workflow_id, change.name, change.status, ended_at])?;
            return Ok(());
        };
        let sql = "INSERT INTO workflows (first_sequence, workflow_id, name, status, correlation_id, last_sequence, submitted_at, ended_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (workflow_id) DO UPDATE SET name = excluded.name, \
                   status = excluded.status, last_sequence = excluded.last_sequence, ended_at = excluded.ended_at";
        self.connection.prepare_cached(sql)?.execute(params![
            integer(*first),
            workflow_id,
            change.name,
            change.status,
            StoredId::of(&change.correlation_id),
            integer(*last),
            integer(change.submitted_at.0),
            ended_at
        ])?;
        Ok(())
    }
}
