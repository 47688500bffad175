//! Event types by number: the writer gives the numbers, readers give back the names, queries turn patterns into numbers.
//! Both sides remember a bounded part of the table.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension};
use trackside_model::event::{EventType, Filter};

/// Types remembered at most; past it each is asked of the file, so that a publisher of random types grows no memory.
const REMEMBERED_TYPES: usize = 16_384;

/// The writer's side.
#[derive(Debug, Default)]
pub(crate) struct TypeIds(HashMap<EventType, i64, RandomState>);

impl TypeIds {
    /// The type's number, given now if it has none.
    pub(crate) fn id(&mut self, connection: &Connection, event_type: &EventType) -> rusqlite::Result<i64> {
        if let Some(id) = self.0.get(event_type) {
            return Ok(*id);
        }
        let known = find(connection, event_type)?;
        let id = match known {
            Some(id) => id,
            None => connection.prepare_cached("INSERT INTO event_types (name) VALUES (?1)")?.insert([event_type.as_str()])?,
        };
        if self.0.len() < REMEMBERED_TYPES {
            self.0.insert(event_type.clone(), id);
        }
        Ok(id)
    }
}

fn find(connection: &Connection, event_type: &str) -> rusqlite::Result<Option<i64>> {
    let mut find = connection.prepare_cached("SELECT type_id FROM event_types WHERE name = ?1")?;
    find.query_row([event_type], |row| row.get(0)).optional()
}

/// What readers remember; a number never changes its name.
#[derive(Debug, Default)]
pub(crate) struct RememberedNames(RwLock<HashMap<i64, EventType>>);

/// The readers' side, on a connection.
pub(crate) struct TypeNames<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) remembered: &'a RememberedNames,
}

impl TypeNames<'_> {
    /// The name behind a number.
    pub(crate) fn name(&self, type_id: i64) -> rusqlite::Result<EventType> {
        if let Some(name) = self.remembered.0.read().get(&type_id) {
            return Ok(name.clone());
        }
        let mut find = self.connection.prepare_cached("SELECT name FROM event_types WHERE type_id = ?1")?;
        let name = find.query_row([type_id], |row| Ok(EventType::trusted(row.get_ref(0)?.as_str()?)))?;
        let mut remembered = self.remembered.0.write();
        if remembered.len() < REMEMBERED_TYPES {
            remembered.insert(type_id, name.clone());
        }
        Ok(name)
    }

    /// The numbers that a filter's type condition names, ascending; `None`: it has none.
    pub(crate) fn named_by(&self, filter: &Filter) -> rusqlite::Result<Option<Vec<i64>>> {
        let Some(patterns) = &filter.event_types else { return Ok(None) };
        let mut ids = Vec::new();
        if patterns.iter().all(|pattern| pattern.exact().is_some()) {
            for exact in patterns.iter().filter_map(|pattern| pattern.exact()) {
                ids.extend(find(self.connection, exact)?);
            }
        } else {
            let mut all = self.connection.prepare_cached("SELECT type_id, name FROM event_types")?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                if filter.matches_type(row.get_ref(1)?.as_str()?) {
                    ids.push(row.get(0)?);
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(ids))
    }
}
