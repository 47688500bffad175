//! Deliveries that failed, as long as their event may yet be taken: a host that ends in between goes on counting where it was.
//! What a delivery is, and how often there is one, is the engine's.

use rusqlite::{Connection, params};
use trackside_model::{
    event::Position,
    keeping::{Attempt, MOST_ATTEMPTS},
};

use crate::{
    batch::AttemptChange,
    readers::ReadError,
    rows::{count, damaged, integer},
    store::ReadStore,
};

const OF_READER: &str = "SELECT sequence, part, told FROM attempts WHERE reader = ?1 ORDER BY sequence, part, attempt";

pub(crate) fn write(connection: &Connection, changes: &[AttemptChange]) -> rusqlite::Result<()> {
    for change in changes {
        match change {
            AttemptChange::Failed { reader, position, attempt } => {
                let told = serde_json::to_string(attempt).expect("attempts have string keys");
                let sequence = integer(position.sequence);
                let sql = "INSERT OR REPLACE INTO attempts (reader, sequence, part, attempt, told) VALUES (?1, ?2, ?3, ?4, ?5)";
                connection.prepare_cached(sql)?.execute(params![reader, sequence, position.part, attempt.attempt, told])?;
                // One event at a time can be in the way, and the newest attempts say enough.
                let sql = "DELETE FROM attempts WHERE reader = ?1 AND (sequence <> ?2 OR part <> ?3 OR attempt <= ?4)";
                let least = attempt.attempt.saturating_sub(u32::try_from(MOST_ATTEMPTS).unwrap_or(u32::MAX));
                connection.prepare_cached(sql)?.execute(params![reader, sequence, position.part, least])?;
            }
            AttemptChange::Past(reader) => {
                connection.prepare_cached("DELETE FROM attempts WHERE reader = ?1")?.execute([reader])?;
            }
        }
    }
    Ok(())
}

impl ReadStore {
    /// What the event that a reader stands before has been tried, and which one it is; `None`: nothing has failed.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn attempts(&self, reader: &str) -> Result<Option<(Position, Vec<Attempt>)>, ReadError> {
        let rows: Vec<(Position, Attempt)> = self.readers().read(|names| {
            let mut select = names.connection.prepare_cached(OF_READER)?;
            let rows = select.query_map([reader], |row| {
                let attempt = serde_json::from_str(row.get_ref(2)?.as_str()?).map_err(|error| damaged(2, error.to_string()))?;
                Ok((Position { sequence: count(row, 0)?, part: row.get(1)? }, attempt))
            })?;
            rows.collect()
        })?;
        let Some((position, _)) = rows.last() else { return Ok(None) };
        let position = *position;
        Ok(Some((position, rows.into_iter().filter(|(of, _)| *of == position).map(|(_, attempt)| attempt).collect())))
    }
}
