//! What was taken out of the log: the rows go and the stretch is noted in one transaction, so that the log has no gap that nobody knows of.
//! Which events go is `retention`'s.

use rusqlite::{Connection, OptionalExtension, params};
use trackside_model::{keeping::Gap, time::Timestamp};
use uuid::Uuid;

use crate::{
    batch::Trim,
    readers::ReadError,
    rows::{StoredId, count, damaged, integer},
    store::ReadStore,
};

pub(crate) const WITHIN: &str = "SELECT first, last FROM trimmed WHERE first >= ?1 AND first <= ?2 AND last > ?3 ORDER BY first LIMIT ?4";
pub(crate) const BEFORE: &str = "SELECT first, last FROM trimmed WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
/// Whether an event that has come behind a place speaks of a digest.
pub(crate) const SPOKEN_OF: &str =
    "SELECT EXISTS (SELECT 1 FROM events WHERE sequence > ?1 AND workflow_id IS NOT NULL AND instr(payload, ?2) > 0)";

/// Takes out what is to go.
pub(crate) fn write(connection: &Connection, trim: &Trim, now: Option<Timestamp>) -> rusqlite::Result<()> {
    if trim.is_empty() {
        return Ok(());
    }
    let mut event = connection.prepare_cached("DELETE FROM events WHERE sequence = ?1")?;
    let mut decisions = connection.prepare_cached("DELETE FROM decisions WHERE sequence = ?1")?;
    let mut id = connection
        .prepare_cached("INSERT OR REPLACE INTO trimmed_ids (event_id, sequence, content, trimmed_at) VALUES (?1, ?2, ?3, ?4)")?;
    let now = integer(now.unwrap_or_default().0);
    for gone in &trim.events {
        let sequence = integer(gone.sequence);
        event.execute([sequence])?;
        decisions.execute([sequence])?;
        id.execute(params![gone.event_id.as_bytes(), sequence, &*gone.content, now])?;
        if let Some(workflow_id) = &gone.began {
            connection.prepare_cached("DELETE FROM workflows WHERE workflow_id = ?1")?.execute([StoredId::of(workflow_id)])?;
        }
    }
    Gap::of(trim.events.iter().map(|gone| gone.sequence)).into_iter().try_for_each(|gap| note(connection, gap))?;
    for event_id in &trim.forgotten {
        connection.prepare_cached("DELETE FROM trimmed_ids WHERE event_id = ?1")?.execute([event_id.as_bytes()])?;
    }
    for (digest, as_of) in &trim.blobs {
        let spoken_of: bool =
            connection.prepare_cached(SPOKEN_OF)?.query_row(params![integer(*as_of), digest.to_string()], |row| row.get(0))?;
        if !spoken_of {
            connection.prepare_cached("DELETE FROM blobs WHERE digest = ?1")?.execute([digest.0])?;
        }
    }
    Ok(())
}

/// Notes a stretch, as one with those that it touches.
pub(crate) fn note(connection: &Connection, Gap { from, to }: Gap) -> rusqlite::Result<()> {
    let (mut first, mut last) = (from, to);
    let mut delete = connection.prepare_cached("DELETE FROM trimmed WHERE first = ?1")?;
    let mut before = connection.prepare_cached(BEFORE)?;
    // The one that begins before it, and the one that begins right behind it.
    for at in [from, to.saturating_add(1)] {
        let found = before.query_row([integer(at)], |row| Ok((count(row, 0)?, count(row, 1)?))).optional()?;
        if let Some((its_first, its_last)) = found
            && its_last.saturating_add(1) >= first
        {
            delete.execute([integer(its_first)])?;
            (first, last) = (first.min(its_first), last.max(its_last));
        }
    }
    connection.prepare_cached("INSERT INTO trimmed (first, last) VALUES (?1, ?2)")?.execute([integer(first), integer(last)])?;
    Ok(())
}

/// Whether `next` is the event behind `sequence`: what lies between was trimmed, all of it.
pub(crate) fn follows(connection: &Connection, sequence: u64, next: u64) -> rusqlite::Result<bool> {
    if sequence.saturating_add(1) >= next {
        return Ok(sequence + 1 == next);
    }
    let found = connection.prepare_cached(BEFORE)?.query_row([integer(next)], |row| Ok((count(row, 0)?, count(row, 1)?))).optional()?;
    Ok(found == Some((sequence + 1, next - 1)))
}

/// Ids of events that are there are not those of trimmed ones.
pub(crate) fn forget_what_is_there(whole: &Connection) -> rusqlite::Result<()> {
    let sql = "DELETE FROM trimmed_ids WHERE event_id IN (SELECT event_id FROM events) \
               OR NOT EXISTS (SELECT 1 FROM trimmed WHERE first <= sequence AND last >= sequence)";
    whole.execute(sql, []).map(drop)
}

/// Whether all of it was trimmed.
pub(crate) fn covers(connection: &Connection, gap: Gap) -> rusqlite::Result<bool> {
    let found = connection.prepare_cached(BEFORE)?.query_row([integer(gap.to)], |row| Ok((count(row, 0)?, count(row, 1)?))).optional()?;
    Ok(found.is_some_and(|(first, last)| first <= gap.from && last >= gap.to))
}

/// Stretches that have something behind `after` and not behind `through`, at most `limit`.
pub(crate) fn within(connection: &Connection, after: u64, through: u64, limit: usize) -> rusqlite::Result<Vec<Gap>> {
    // The first may begin before `after`; all others begin behind it.
    let first = connection.prepare_cached(BEFORE)?.query_row([integer(after)], |row| count(row, 0)).optional()?;
    let mut select = connection.prepare_cached(WITHIN)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = select.query_map(params![integer(first.unwrap_or(0)), integer(through), integer(after), limit], |row| {
        Ok(Gap { from: count(row, 0)?.max(after + 1), to: count(row, 1)? })
    })?;
    found.collect()
}

pub(crate) const FORGOTTEN: &str = "SELECT event_id FROM trimmed_ids WHERE trimmed_at < ?1 ORDER BY trimmed_at LIMIT ?2";

impl ReadStore {
    /// Ids of events that were trimmed before then, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn trimmed_ids(&self, before: Timestamp, limit: usize) -> Result<Vec<Uuid>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached(FORGOTTEN)?;
            let ids = select.query_map(params![integer(before.0), i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                let bytes = row.get_ref(0)?.as_blob()?;
                Uuid::from_slice(bytes).map_err(|error| damaged(0, error.to_string()))
            })?;
            ids.collect()
        })
    }

    /// What is no longer there behind the sequence `after` and not behind `through`, at most `limit` stretches.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn trimmed(&self, after: u64, through: u64, limit: usize) -> Result<Vec<Gap>, ReadError> {
        self.readers().read(|names| within(names.connection, after, through, limit))
    }
}
