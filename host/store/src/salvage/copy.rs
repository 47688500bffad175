//! What stands beside the events of a damaged log: copied row by row from both ends of each table, as far as it can be read, and only what goes with the
//! events that were saved.

use rusqlite::{Connection, params_from_iter, types::Value};
use trackside_model::{keeping::Gap, plugin::Digest};

use crate::rows::{count, integer};

/// Tables that are copied as they are: name, columns, and the order in which they are read.
const TABLES: [(&str, &str, &str); 8] = [
    ("decisions", "sequence, records", "sequence"),
    ("cursors", "name, sequence, part", "name"),
    ("kv", "plugin, key, value, expires_at", "plugin, key"),
    ("outbox", "id, plugin, event_id, due, publish, correlation_id, causation_id, workflow_id, task_id, hops", "id"),
    ("blobs", "digest, bytes", "rowid"),
    ("trimmed_ids", "event_id, sequence, content, trimmed_at", "event_id"),
    ("full_text_types", "pattern", "pattern"),
    ("attempts", "reader, sequence, part, attempt, told", "reader, sequence, part, attempt"),
];

/// Copies them. The tables of which not all could be read.
pub(super) fn copy(damaged: &Connection, whole: &Connection, last: u64) -> rusqlite::Result<Vec<&'static str>> {
    let mut torn = Vec::new();
    for (table, columns, order) in TABLES {
        let up: Vec<&str> = order.split(", ").collect();
        let down: Vec<String> = up.iter().map(|column| format!("{column} DESC")).collect();
        if !rows(damaged, whole, table, columns, &up.join(", "))? {
            torn.push(table);
            // From the other end up to the same place.
            rows(damaged, whole, table, columns, &down.join(", "))?;
        }
    }
    whole.execute("UPDATE cursors SET sequence = ?1 WHERE sequence > ?1", [integer(last)])?;
    whole.execute("DELETE FROM decisions WHERE sequence NOT IN (SELECT sequence FROM events)", [])?;
    drop_false_blobs(whole)?;
    Ok(torn)
}

/// `false`: it broke off.
fn rows(damaged: &Connection, whole: &Connection, table: &str, columns: &str, order: &str) -> rusqlite::Result<bool> {
    let is_there = damaged.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?1").and_then(|mut is_there| is_there.exists([table]));
    if matches!(is_there, Ok(false)) {
        // Of an earlier version.
        return Ok(true);
    }
    let Ok(mut select) = damaged.prepare(&format!("SELECT {columns} FROM {table} ORDER BY {order}")) else { return Ok(false) };
    let width = columns.split(", ").count();
    let places: Vec<String> = (1..=width).map(|place| format!("?{place}")).collect();
    let mut insert = whole.prepare(&format!("INSERT OR IGNORE INTO {table} ({columns}) VALUES ({})", places.join(", ")))?;
    let Ok(mut found) = select.query([]) else { return Ok(false) };
    loop {
        match found.next() {
            Ok(Some(row)) => {
                let values: rusqlite::Result<Vec<Value>> = (0..width).map(|column| row.get(column)).collect();
                // A row that is not what it was is none: its texts are no texts, or the table does not take it.
                if let Ok(values) = values {
                    let _ = insert.execute(params_from_iter(values));
                }
            }
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

/// What was trimmed before it was damaged, as far as that can be read.
pub(super) fn known_gaps(damaged: &Connection) -> Vec<Gap> {
    let Ok(mut select) = damaged.prepare("SELECT first, last FROM trimmed ORDER BY first") else { return Vec::new() };
    let gaps = select.query_map([], |row| Ok(Gap { from: count(row, 0)?, to: count(row, 1)? }));
    gaps.map(|gaps| gaps.map_while(Result::ok).collect()).unwrap_or_default()
}

fn drop_false_blobs(whole: &Connection) -> rusqlite::Result<()> {
    let mut select = whole.prepare("SELECT rowid, digest, bytes FROM blobs")?;
    let mut found = select.query([])?;
    let mut false_ones = Vec::new();
    while let Some(row) = found.next()? {
        let digest: Vec<u8> = row.get(1)?;
        if Digest::of(row.get_ref(2)?.as_blob().unwrap_or_default()).0[..] != digest[..] {
            false_ones.push(row.get::<_, i64>(0)?);
        }
    }
    false_ones.iter().try_for_each(|rowid| whole.execute("DELETE FROM blobs WHERE rowid = ?1", [rowid]).map(drop))
}
