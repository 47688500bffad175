//! Durable readers: how each reads, and what of it outlives the host besides its cursor.
//! What both mean is the model's; here they are text under a name.

use rusqlite::{Connection, OptionalExtension, params};
use trackside_model::event::Position;

use crate::{readers::ReadError, rows::count, store::ReadStore};

/// What happens to a durable reader's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderChange {
    /// It reads like this from now on.
    Set {
        /// Which.
        name: String,
        /// How it reads, as JSON.
        options: String,
        /// What is kept of it, as JSON.
        memory: String,
    },
    /// This is kept of it from now on.
    Remember {
        /// Which.
        name: String,
        /// As JSON.
        memory: String,
    },
    /// It is gone, its cursor too.
    Remove {
        /// Which.
        name: String,
    },
}

/// A durable reader as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderRow {
    /// Which.
    pub name: String,
    /// How it reads, as JSON.
    pub options: String,
    /// What is kept of it, as JSON.
    pub memory: String,
    /// Everything up to here is settled.
    pub cursor: Position,
}

/// The name of its cursor.
pub fn reader_cursor(name: &str) -> String {
    format!("reader/{name}")
}

impl ReadStore {
    /// All durable readers, by name.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn durable_readers(&self) -> Result<Vec<ReaderRow>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached("SELECT name, options, memory FROM readers ORDER BY name")?;
            let mut cursor = names.connection.prepare_cached("SELECT sequence, part FROM cursors WHERE name = ?1")?;
            let rows = select.query_map([], |row| {
                let name: String = row.get(0)?;
                let at = cursor
                    .query_row([reader_cursor(&name)], |row| Ok(Position { sequence: count(row, 0)?, part: row.get(1)? }))
                    .optional()?;
                Ok(ReaderRow { options: row.get(1)?, memory: row.get(2)?, cursor: at.unwrap_or_default(), name })
            })?;
            rows.collect()
        })
    }
}

/// Writes the changes, in order.
pub(crate) fn write(connection: &Connection, changes: &[ReaderChange]) -> rusqlite::Result<()> {
    for change in changes {
        match change {
            ReaderChange::Set { name, options, memory } => {
                let sql = "INSERT OR REPLACE INTO readers (name, options, memory) VALUES (?1, ?2, ?3)";
                connection.prepare_cached(sql)?.execute(params![name, options, memory])?;
            }
            ReaderChange::Remember { name, memory } => {
                connection.prepare_cached("UPDATE readers SET memory = ?2 WHERE name = ?1")?.execute(params![name, memory])?;
            }
            ReaderChange::Remove { name } => {
                connection.prepare_cached("DELETE FROM readers WHERE name = ?1")?.execute([name])?;
            }
        }
    }
    Ok(())
}
