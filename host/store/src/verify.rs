//! The look through a whole file that says whether it is a log: used for a copy, for what was salvaged, and for any log that somebody doubts. What the
//! tables say is compared with what follows from the events. At start only the end is looked at, which `schema` does.

use std::{collections::HashMap, fs, path::Path};

use rusqlite::{Connection, params};
use trackside_model::{
    event::{Event, Text},
    json::Json,
    keeping::Letter,
    plugin::Digest,
    time::Timestamp,
};

use crate::{
    backup::{BackupError, open},
    dead_letters,
    event_types::{RememberedNames, TypeNames},
    full_text,
    rows::{self, StoredId, count, event_columns, integer},
    told_workflows::{TellWorkflows, Told},
    trimmed,
};

/// Findings of SQLite's own check that are told at most.
const MOST_FINDINGS: u32 = 10;
/// Events from one word about how far it has come to the next.
const TOLD_EVERY: u64 = 10_000;

/// What stands beside the events and does not follow from them, so that nothing can be compared.
pub const NOT_COMPARED: [&str; 3] = ["plugins' kv spaces", "publishes in the outbox", "failed deliveries"];

const ALL: &str = concat!("SELECT ", event_columns!(), " FROM events ORDER BY sequence");
/// Whoever says more than the log has.
const AHEAD: &str = "SELECT name FROM cursors WHERE sequence > ?1 UNION ALL SELECT 'a decision record' FROM decisions WHERE sequence > ?1 \
     UNION ALL SELECT 'what is noted as trimmed' FROM trimmed WHERE last > ?1 LIMIT 1";
/// A decision record without its event.
const ALONE: &str = "SELECT sequence FROM decisions WHERE sequence NOT IN (SELECT sequence FROM events) LIMIT 1";
/// An id that is remembered as trimmed, and is there, or is of a place that was not trimmed.
const NOT_TRIMMED: &str = "SELECT sequence FROM trimmed_ids AS t WHERE EXISTS (SELECT 1 FROM events WHERE event_id = t.event_id) \
     OR NOT EXISTS (SELECT 1 FROM trimmed WHERE first <= t.sequence AND last >= t.sequence) LIMIT 1";

/// What a log holds that was looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The first sequence that is still there; 0: it is empty.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Events that were there and are no longer.
    pub trimmed: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Looks a whole log through: what SQLite says of the file, every event readable, no gap but what was trimmed, record times that never fall, nobody
/// further than the log is, and every table that follows from the events as it must be.
///
/// # Errors
/// [`BackupError::Damaged`] says what is wrong and where; the others that it could not be looked at.
pub fn verify(path: &Path, tell: impl FnMut(u64, u64)) -> Result<Verified, BackupError> {
    let connection = open(path)?;
    // One state of the file, though a host may be writing it.
    connection.execute_batch("BEGIN").map_err(|source| BackupError::Database { path: path.to_owned(), source })?;
    let look = Look { path, connection: &connection };
    look.at_the_file()?;
    let mut workflows = TellWorkflows::default();
    let (first, last) = look.at_the_events(tell, |event| workflows.note(event))?;
    let trimmed = look.at_what_is_gone(last)?;
    look.at_workflows(&workflows.told)?;
    let dead_letters = look.at_dead_letters()?;
    look.at_blobs(&workflows)?;
    look.at_full_text()?;
    let bytes = fs::metadata(path).map_err(|source| BackupError::Io { path: path.to_owned(), source })?.len();
    Ok(Verified { first, last, trimmed, dead_letters, bytes })
}

struct Look<'a> {
    path: &'a Path,
    connection: &'a Connection,
}

impl Look<'_> {
    fn damaged<T>(&self, what: String) -> Result<T, BackupError> {
        Err(BackupError::Damaged { path: self.path.to_owned(), what })
    }

    fn asked<T>(&self, asked: rusqlite::Result<T>) -> Result<T, BackupError> {
        asked.map_err(|source| BackupError::Database { path: self.path.to_owned(), source })
    }

    /// The first text that a query gives.
    fn first(&self, sql: &str, last: Option<u64>) -> Result<Option<String>, BackupError> {
        self.asked(self.connection.prepare(sql).and_then(|mut select| {
            let text = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
            let mut found = match last {
                Some(last) => select.query_map([integer(last)], text)?.collect::<rusqlite::Result<Vec<_>>>()?,
                None => select.query_map([], text)?.collect::<rusqlite::Result<Vec<_>>>()?,
            };
            Ok(found.pop().map(|value| match value {
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            }))
        }))
    }

    fn at_the_file(&self) -> Result<(), BackupError> {
        let findings: Vec<String> = self.asked(
            self.connection
                .prepare(&format!("PRAGMA integrity_check({MOST_FINDINGS})"))
                .and_then(|mut check| check.query_map([], |row| row.get(0))?.collect()),
        )?;
        if findings == ["ok"] { Ok(()) } else { self.damaged(findings.join("; ")) }
    }

    /// The first and the last sequence.
    fn at_the_events(&self, mut tell: impl FnMut(u64, u64), mut note: impl FnMut(&Event)) -> Result<(u64, u64), BackupError> {
        let all: i64 = self.asked(self.connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)))?;
        let all = all.cast_unsigned();
        let remembered = RememberedNames::default();
        let names = TypeNames { connection: self.connection, remembered: &remembered };
        let mut select = self.asked(self.connection.prepare(ALL))?;
        let events = self.asked(select.query_map([], |row| rows::decode(row, &names)))?;
        let (mut first, mut last, mut recorded_at) = (0, 0, 0);
        for (number, event) in (1..).zip(events) {
            let event = event.or_else(|error| self.damaged(format!("the event behind {last} cannot be read: {error}")))?;
            let sequence = event.sequence_number;
            if !self.asked(trimmed::follows(self.connection, last, sequence))? {
                return self.damaged(format!("event {sequence} does not follow {last}"));
            }
            if event.recorded_at.0 < recorded_at {
                return self.damaged(format!("event {sequence} was recorded before event {last}"));
            }
            if let Err(error) = Json::check(event.payload.as_str(), usize::MAX, usize::MAX) {
                return self.damaged(format!("the payload of event {sequence} is no JSON any more: {error}"));
            }
            first = if first == 0 { sequence } else { first };
            (last, recorded_at) = (sequence, event.recorded_at.0);
            note(&event);
            if number % TOLD_EVERY == 0 {
                tell(number, all);
            }
        }
        tell(all, all);
        Ok((first, last))
    }

    /// How many events were there and are no longer.
    fn at_what_is_gone(&self, last: u64) -> Result<u64, BackupError> {
        if let Some(name) = self.first(AHEAD, Some(last))? {
            return self.damaged(format!("'{name}' is further than the log, which ends with {last}"));
        }
        if let Some(sequence) = self.first(ALONE, None)? {
            return self.damaged(format!("there is a decision record of event {sequence}, and no such event"));
        }
        if let Some(sequence) = self.first(NOT_TRIMMED, None)? {
            return self.damaged(format!("an id is remembered as that of event {sequence}, which was not trimmed"));
        }
        let sql = "SELECT coalesce(sum(last - first + 1), 0), (SELECT count(*) FROM events) FROM trimmed";
        let (gone, there) = self.asked(self.connection.query_row(sql, [], |row| Ok((count(row, 0)?, count(row, 1)?))))?;
        if gone + there != last {
            return self.damaged(format!("{gone} events are noted as trimmed and {there} are there, of {last}"));
        }
        Ok(gone)
    }

    fn at_workflows(&self, told: &HashMap<Text, Told>) -> Result<(), BackupError> {
        let sql = "SELECT workflow_id, status, correlation_id, first_sequence, last_sequence, submitted_at, ended_at, name FROM workflows";
        let mut select = self.asked(self.connection.prepare(sql))?;
        let mut found = self.asked(select.query([]))?;
        let mut listed = 0;
        while let Some(row) = self.asked(found.next())? {
            let workflow_id = self.asked(rows::id(row, 0))?.unwrap_or_default();
            let Some(told) = told.get(&workflow_id) else {
                return self.damaged(format!("workflow '{workflow_id}' is in the list, and no event says that it was submitted"));
            };
            let (status, correlation_id) = (self.asked(row.get::<_, String>(1))?, self.asked(rows::id(row, 2))?);
            let (first, last) = (self.asked(count(row, 3))?, self.asked(count(row, 4))?);
            let (submitted_at, name) = (self.asked(rows::time(row, 5))?, self.asked(row.get::<_, String>(7))?);
            let ended_at = self.asked(row.get::<_, Option<i64>>(6))?.map(|ended_at| Timestamp(ended_at.cast_unsigned()));
            let ended = told.ended.map(|(_, at)| at);
            let is_as_told = correlation_id.as_deref() == Some(&*told.correlation_id)
                && submitted_at == told.submitted_at
                && (first..=last).contains(&told.submitted)
                && ended_at == ended
                && told.name.as_deref().is_none_or(|told| told == name)
                && told.ended.is_none_or(|(ended, _)| ended == status);
            if !is_as_told {
                return self.damaged(format!("workflow '{workflow_id}' is in the list as {status}, and its events say otherwise"));
            }
            listed += 1;
        }
        if listed < told.len() {
            let is_listed = |workflow_id: &Text| {
                self.connection.query_row(
                    "SELECT EXISTS (SELECT 1 FROM workflows WHERE workflow_id = ?1)",
                    params![StoredId::of(workflow_id)],
                    |row| row.get::<_, bool>(0),
                )
            };
            for workflow_id in told.keys() {
                if !self.asked(is_listed(workflow_id))? {
                    return self.damaged(format!("workflow '{workflow_id}' was submitted, and is not in the list"));
                }
            }
        }
        Ok(())
    }

    /// How many there are.
    fn at_dead_letters(&self) -> Result<u64, BackupError> {
        let folded = self.asked(dead_letters::folded(self.connection))?;
        let stored = self.asked(dead_letters::stored(self.connection))?;
        let differs = |letter: &&Letter| folded.get(&letter.sequence) != Some(letter);
        if let Some(letter) = stored.values().find(differs) {
            return self.damaged(format!("dead letter {} is kept, and the log says otherwise", letter.sequence));
        }
        if let Some(sequence) = folded.keys().find(|sequence| !stored.contains_key(sequence)) {
            return self.damaged(format!("dead letter {sequence} is not kept, and the log does not say that it was redriven or purged"));
        }
        Ok(stored.len() as u64)
    }

    fn at_full_text(&self) -> Result<(), BackupError> {
        match self.asked(full_text::differs(self.connection))? {
            Some(sequence) => self.damaged(format!("the full text has other words for event {sequence} than its payload")),
            None => Ok(()),
        }
    }

    fn at_blobs(&self, workflows: &TellWorkflows) -> Result<(), BackupError> {
        let mut select = self.asked(self.connection.prepare("SELECT digest, bytes FROM blobs"))?;
        let mut found = self.asked(select.query([]))?;
        while let Some(row) = self.asked(found.next())? {
            let digest = Digest(self.asked(row.get(0))?);
            let bytes = self.asked(row.get_ref(1))?.as_blob().unwrap_or_default();
            if Digest::of(bytes) != digest {
                return self.damaged(format!("the blob {digest} holds something else than it did"));
            }
        }
        let mut is_there = self.asked(self.connection.prepare("SELECT 1 FROM blobs WHERE digest = ?1"))?;
        // What was lost with a damaged log has been told of.
        let unfinished = workflows.told.iter().filter(|(_, told)| told.ended.is_none() && !workflows.is_salvaged);
        for (workflow_id, told) in unfinished {
            if let Some(definition) = told.definition
                && !self.asked(is_there.exists([definition.0]))?
            {
                return self.damaged(format!("the definition {definition} of workflow '{workflow_id}', which has not ended, is not there"));
            }
        }
        Ok(())
    }
}
