//! How far each reader has come, as of what is durable.
//! Moving a cursor goes with the batch that the reader's work produced.

use rusqlite::{OptionalExtension, Row};
use trackside_model::event::Position;

use crate::{readers::ReadError, rows::count, store::ReadStore};

impl ReadStore {
    /// A reader's cursor; `None`: it has never moved.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn cursor(&self, name: &str) -> Result<Option<Position>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached("SELECT sequence, part FROM cursors WHERE name = ?1")?;
            select.query_row([name], |row| position(row, 0)).optional()
        })
    }

    /// All cursors, by name.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn cursors(&self) -> Result<Vec<(String, Position)>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached("SELECT name, sequence, part FROM cursors ORDER BY name")?;
            select.query_map([], |row| Ok((row.get(0)?, position(row, 1)?)))?.collect()
        })
    }
}

fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<Position> {
    Ok(Position { sequence: count(row, column)?, part: row.get(column + 1)? })
}
