//! Import: what an export wrote, into a log that no host has open: all of it in one commit, or nothing. What follows from the events is made anew.
//! The shape of a line is `lines`'.

use std::{
    fs,
    io::{self, BufRead, Read as _},
    path::Path,
};

use rusqlite::params;
use trackside_model::{event::Event, keeping::Gap};

use crate::{
    checkpoint, directory,
    lines::Line,
    open::{OpenError, open_for_writing},
    projections,
    rows::integer,
    schema::End,
    trimmed,
    write::WriteConnection,
};

/// Bytes of a line, at the most.
const MAX_LINE_BYTES: u64 = 1 << 30;
/// Lines from one word about how far it has come to the next.
const TOLD_EVERY: u64 = 1_000;

/// What was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Events.
    pub events: u64,
    /// The first sequence; 0: there was none.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Sequences among them and before them that are noted as trimmed.
    pub trimmed: u64,
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A line is wrong, or does not go with what is there.
    #[error("line {line}: {what}; nothing was imported")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The lines cannot be read.
    #[error("line {line}: {source}; nothing was imported")]
    Io {
        /// From 1.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The log cannot be written.
    #[error("failed to write the log: {0}; nothing was imported")]
    Database(#[from] rusqlite::Error),
}

/// Imports an export behind the end of the log of a data directory, which is made if there is none. `tell` hears how many bytes were read.
///
/// # Errors
/// [`ImportError`]; the log is then what it was.
pub fn import(data_dir: &Path, lines: impl BufRead, tell: impl FnMut(u64)) -> Result<Imported, ImportError> {
    let held = directory::hold(data_dir)?;
    let path = directory::log_path(data_dir);
    let was_there = path.exists();
    let imported = into(&path, lines, MAX_LINE_BYTES, tell);
    if imported.is_err() && !was_there {
        for file in ["log.db", "log.db-wal", "log.db-shm"] {
            // There was no log before, and there is none now.
            let _ = fs::remove_file(data_dir.join(file));
        }
    }
    drop(held);
    imported
}

fn into(path: &Path, lines: impl BufRead, max_line_bytes: u64, tell: impl FnMut(u64)) -> Result<Imported, ImportError> {
    let (connection, end) = open_for_writing(path)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let connection = WriteConnection::new(connection)?;
    let mut import = Import::new(connection, end);
    // A connection that is closed inside a transaction takes it back.
    import.read(lines, max_line_bytes, tell)?;
    let Import { connection, imported, .. } = import;
    let connection = connection.connection();
    trimmed::forget_what_is_there(connection)?;
    projections::rebuild(connection)?;
    connection.execute_batch("COMMIT")?;
    checkpoint::finish(connection);
    Ok(imported)
}

struct Import {
    connection: WriteConnection,
    /// The end of the log, and then of what was imported.
    last: u64,
    recorded_at_ns: u64,
    /// Whether the log was empty.
    was_empty: bool,
    /// Said to be missing behind the last event.
    gap: Option<Gap>,
    line: u64,
    has_head: bool,
    ended: bool,
    imported: Imported,
}

impl Import {
    fn new(connection: WriteConnection, end: End) -> Self {
        Self {
            connection,
            last: end.sequence,
            recorded_at_ns: end.recorded_at_ns,
            was_empty: end.sequence == 0,
            gap: None,
            line: 0,
            has_head: false,
            ended: false,
            imported: Imported { events: 0, first: 0, last: 0, trimmed: 0 },
        }
    }

    fn read(&mut self, mut lines: impl BufRead, max_line_bytes: u64, mut tell: impl FnMut(u64)) -> Result<(), ImportError> {
        let mut text = Vec::new();
        let mut bytes = 0;
        loop {
            text.clear();
            self.line += 1;
            let read = (&mut lines).take(max_line_bytes + 1).read_until(b'\n', &mut text);
            let read = read.map_err(|source| ImportError::Io { line: self.line, source })?;
            if read == 0 {
                break;
            }
            bytes += read as u64;
            if text.last() == Some(&b'\n') {
                text.pop();
            } else if text.len() as u64 > max_line_bytes {
                return self.wrong(format!("it is longer than the {max_line_bytes} bytes allowed"));
            }
            let line = std::str::from_utf8(&text).map_err(|error| error.to_string()).and_then(Line::read);
            let line = line.or_else(|error| self.wrong(error))?;
            self.take(&line)?;
            if self.line.is_multiple_of(TOLD_EVERY) {
                tell(bytes);
            }
        }
        if !self.ended {
            return self.wrong("the export breaks off here: its last line, which says how many events there are, is missing".to_owned());
        }
        tell(bytes);
        Ok(())
    }

    fn wrong<T>(&self, what: String) -> Result<T, ImportError> {
        Err(ImportError::Line { line: self.line, what })
    }

    fn take(&mut self, line: &Line) -> Result<(), ImportError> {
        if self.ended {
            return self.wrong("there is more behind the export's end".to_owned());
        }
        if !self.has_head && !matches!(line, Line::Head) {
            return self.wrong("this is no export: the first line says what it is".to_owned());
        }
        match line {
            Line::Head if self.has_head => self.wrong("a second export begins; import them one after the other".to_owned()),
            Line::Head => {
                self.has_head = true;
                Ok(())
            }
            Line::Blob { digest, bytes } => {
                let mut insert = self.statement("INSERT OR IGNORE INTO blobs (digest, bytes) VALUES (?1, ?2)")?;
                insert.execute(params![digest.0, bytes])?;
                Ok(())
            }
            Line::Trimmed(gap) => self.missing(*gap),
            Line::Event { event, decisions } => self.event(event, decisions.as_deref()),
            Line::End { events } if self.gap.is_some() => {
                self.wrong(format!("behind the {events} events something is said to be trimmed; a log ends with an event"))
            }
            Line::End { events } if *events != self.imported.events => {
                self.wrong(format!("the export had {events} events, and {} are here", self.imported.events))
            }
            Line::End { .. } => {
                self.ended = true;
                Ok(())
            }
        }
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<rusqlite::CachedStatement<'_>> {
        self.connection.connection().prepare_cached(sql)
    }

    fn missing(&mut self, gap: Gap) -> Result<(), ImportError> {
        if self.gap.is_some() {
            return self.wrong("two stretches that are missing follow each other".to_owned());
        }
        self.follows(gap.from)?;
        self.gap = Some(gap);
        Ok(())
    }

    /// Whether this is the sequence that comes next. Into an empty log, an export may begin anywhere.
    fn follows(&mut self, sequence: u64) -> Result<(), ImportError> {
        let next = self.gap.map_or(self.last, |gap| gap.to).saturating_add(1);
        if self.was_empty && self.last == 0 && self.gap.is_none() && sequence > next {
            self.note(Gap { from: next, to: sequence - 1 })?;
            return Ok(());
        }
        if sequence == next {
            return Ok(());
        }
        let last = self.last;
        self.wrong(match self.imported.events {
            0 if sequence > next => format!("the log ends with {last}, and the export begins with {sequence}: export from {next} on"),
            0 => format!(
                "the log ends with {last}, and the export begins with {sequence}: export from {next} on, or import into an empty directory"
            ),
            _ => format!("{sequence} does not follow {last}, and nothing says that what is between was trimmed"),
        })
    }

    fn note(&mut self, gap: Gap) -> Result<(), ImportError> {
        trimmed::note(self.connection.connection(), gap)?;
        self.imported.trimmed += gap.events();
        Ok(())
    }

    fn event(&mut self, event: &Event, decisions: Option<&str>) -> Result<(), ImportError> {
        let sequence = event.sequence_number;
        if sequence == 0 || i64::try_from(sequence).is_err() {
            return self.wrong(format!("{sequence} is no place in a log"));
        }
        self.follows(sequence)?;
        if event.recorded_at.0 < self.recorded_at_ns {
            return self.wrong(format!("event {sequence} was recorded before event {}", self.last));
        }
        if self.connection.has_event(&event.event_id)? {
            return self.wrong(format!("the log has an event {} already", event.event_id));
        }
        if let Some(gap) = self.gap.take() {
            self.note(gap)?;
        }
        self.connection.put_event(event)?;
        if let Some(records) = decisions {
            self.statement("INSERT INTO decisions (sequence, records) VALUES (?1, ?2)")?.execute(params![integer(sequence), records])?;
        }
        if self.imported.events == 0 {
            self.imported.first = sequence;
        }
        self.imported.events += 1;
        self.imported.last = sequence;
        (self.last, self.recorded_at_ns) = (sequence, event.recorded_at.0);
        Ok(())
    }
}
