//! The outbox: publishes that calls have released and that have not been taken through the door yet, as of what is durable.
//! Putting and ending them goes with batches; taking them through the door is the engine's.

use rusqlite::{Row, params};
use trackside_model::event::Text;

use crate::{
    batch::OutboxRow,
    readers::ReadError,
    rows::{count, damaged, integer},
    store::ReadStore,
};

pub(crate) const WAITING: &str = "SELECT id, plugin, publish, correlation_id, causation_id, workflow_id, task_id, hops \
     FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2";

/// A publish that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxEntry {
    /// Given by the store, in order; [`Batch::outbox_done`](crate::Batch::outbox_done) takes it.
    pub id: u64,
    /// What is to be published, and whence it comes.
    pub row: OutboxRow,
}

impl ReadStore {
    /// Waiting publishes behind the id `after`, in the order of their release, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn outbox(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached(WAITING)?;
            select.query_map(params![integer(after), i64::try_from(limit).unwrap_or(i64::MAX)], entry)?.collect()
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
