//! How far each reader has come, as of what is durable.
//! Moving a cursor goes with the batch that the reader's work produced.

use rusqlite::{Connection, OptionalExtension, Row, params};
use trackside_model::event::Position;

use crate::{
    durable_readers::{ReaderChange, reader_cursor},
    readers::ReadError,
    rows::{count, integer},
    store::ReadStore,
};

/// What a batch does to cursors, in order: one that is taken away and set again in one commit is there.
pub(crate) fn changes(readers: &[ReaderChange], gone: Vec<String>, set: Vec<(String, Position)>) -> Vec<(String, Option<Position>)> {
    let removed = readers.iter().filter_map(|change| match change {
        ReaderChange::Remove { name } => Some(reader_cursor(name)),
        ReaderChange::Set { .. } | ReaderChange::Remember { .. } => None,
    });
    let gone = removed.chain(gone).map(|name| (name, None));
    gone.chain(set.into_iter().map(|(name, position)| (name, Some(position)))).collect()
}

/// Writes the changes, in order.
pub(crate) fn write(connection: &Connection, changes: &[(String, Option<Position>)]) -> rusqlite::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut set = connection.prepare_cached("INSERT OR REPLACE INTO cursors (name, sequence, part) VALUES (?1, ?2, ?3)")?;
    for (name, position) in changes {
        match position {
            Some(position) => set.execute(params![name, integer(position.sequence), position.part])?,
            None => connection.prepare_cached("DELETE FROM cursors WHERE name = ?1")?.execute([name])?,
        };
    }
    Ok(())
}

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
