//! Reading along the log: events behind a sequence, in order, as the store keeps them.
//! Searching is `query`'s.

use std::sync::Arc;

use rusqlite::params;
use trackside_model::event::Event;

use crate::{
    event_types::TypeNames,
    ring::event_bytes,
    rows::{self, event_columns, integer},
};

pub(crate) const BEHIND: &str =
    concat!("SELECT ", event_columns!(), " FROM events WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3");

/// Events behind `after` and not behind `head`, at most `max_events` and about `max_bytes` of them, but at least one if there is one.
pub(crate) fn read(names: &TypeNames<'_>, after: u64, head: u64, max_events: usize, max_bytes: usize) -> rusqlite::Result<Vec<Arc<Event>>> {
    let mut select = names.connection.prepare_cached(BEHIND)?;
    let mut found = select.query(params![integer(after), integer(head), i64::try_from(max_events).unwrap_or(i64::MAX)])?;
    let mut events = Vec::new();
    let mut bytes = 0;
    while let Some(row) = found.next()? {
        let event = rows::decode(row, names)?;
        bytes += event_bytes(&event);
        if bytes > max_bytes && !events.is_empty() {
            break;
        }
        events.push(Arc::new(event));
    }
    Ok(events)
}

/// The event at this place.
pub(crate) fn event(names: &TypeNames<'_>, sequence: u64) -> rusqlite::Result<Option<Arc<Event>>> {
    Ok(match sequence.checked_sub(1) {
        Some(before) => read(names, before, sequence, 1, usize::MAX)?.pop(),
        None => None,
    })
}
