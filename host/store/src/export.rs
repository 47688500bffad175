//! Export: a stretch of the log as lines, a step at a time, so that importing them makes the same log and exporting that gives the same bytes.
//! The shape of a line is `lines`'; what matches is `query`'s.

use std::collections::HashSet;

use rusqlite::OptionalExtension;
use trackside_model::{
    event::{Event, Filter, Position},
    keeping::Gap,
    plugin::Digest,
    time::Timestamp,
};

use crate::{
    event_types::TypeNames,
    lines::Line,
    query::Query,
    readers::ReadError,
    retention::blobs,
    rows::{damaged, integer},
    store::ReadStore,
    trimmed,
};

/// Events of one step, at the most.
const STEP_EVENTS: usize = 256;
/// Blobs that are remembered as told, at the most: then all are forgotten, and told once more.
const MOST_REMEMBERED_BLOBS: usize = 65_536;

/// Which part of the log.
#[derive(Clone, Debug, Default)]
pub struct ExportQuery {
    /// Every condition must hold. It is asked of facts, which go with all of their narration.
    pub filter: Filter,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before then.
    pub until: Option<Timestamp>,
    /// From this sequence; `None`: from the first.
    pub from: Option<u64>,
    /// To this sequence, which is part of it; `None`: to the head as it is when the export begins.
    pub to: Option<u64>,
}

/// An export under way.
#[derive(Debug)]
pub struct Export {
    query: Query,
    /// The last sequence that is told of, as an event or as missing.
    last: u64,
    events: u64,
    /// Whether everything goes that is there: then what is not must have been trimmed.
    is_whole: bool,
    told: HashSet<Digest>,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Events,
    Ended,
}

impl Export {
    /// Begins an export of what is durable now.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn begin(store: &ReadStore, asked: ExportQuery) -> Result<Self, ReadError> {
        let head = store.head()?;
        let last = asked.from.unwrap_or(1).saturating_sub(1);
        let ExportQuery { filter, since, until, to, .. } = asked;
        let is_whole = filter.is_every_fact() && since.is_none();
        let query = Query {
            filter,
            since,
            until,
            after: Some(Position::end_of(last)),
            through: Some(to.map_or(head, |to| to.min(head))),
            limit: STEP_EVENTS,
            narration: false,
            words: None,
        };
        Ok(Self { query, last, events: 0, is_whole, told: HashSet::new(), stage: Stage::Head })
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Writes the next lines. `false`: it had come to its end before, and nothing was written.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read, or lacks what nobody has taken out.
    pub fn step(&mut self, store: &ReadStore, out: &mut Vec<u8>) -> Result<bool, ReadError> {
        match self.stage {
            Stage::Ended => return Ok(false),
            Stage::Head => {
                write(&Line::Head, out).map_err(ReadError::of)?;
                self.stage = Stage::Events;
            }
            Stage::Events => {
                let page = store.query(&self.query)?;
                store.readers().read(|names| page.events.into_iter().try_for_each(|event| self.event(names, event, out)))?;
                self.query.after = page.next;
                if page.next.is_none() {
                    write(&Line::End { events: self.events }, out).map_err(ReadError::of)?;
                    self.stage = Stage::Ended;
                }
            }
        }
        Ok(true)
    }

    fn event(&mut self, names: &TypeNames<'_>, event: Event, out: &mut Vec<u8>) -> rusqlite::Result<()> {
        let sequence = event.sequence_number;
        if sequence > self.last + 1 {
            let gap = Gap { from: self.last + 1, to: sequence - 1 };
            if self.is_whole && !trimmed::covers(names.connection, gap)? {
                return Err(damaged(0, format!("of {} to {} there is nothing, and it was not trimmed", gap.from, gap.to)));
            }
            write(&Line::Trimmed(gap), out)?;
        }
        self.blobs(names, &event, out)?;
        let mut select = names.connection.prepare_cached("SELECT records FROM decisions WHERE sequence = ?1")?;
        let decisions = select.query_row([integer(sequence)], |row| row.get(0)).optional()?;
        write(&Line::Event { event: Box::new(event), decisions }, out)?;
        self.last = sequence;
        self.events += 1;
        Ok(())
    }

    /// What the event speaks of, before it.
    fn blobs(&mut self, names: &TypeNames<'_>, event: &Event, out: &mut Vec<u8>) -> rusqlite::Result<()> {
        if event.workflow_id.is_none() {
            return Ok(());
        }
        let texts = [Some(event.payload.as_str()), event.narration.as_str()];
        for digest in texts.into_iter().flatten().flat_map(blobs::digests) {
            if self.told.contains(&digest) {
                continue;
            }
            let mut select = names.connection.prepare_cached("SELECT bytes FROM blobs WHERE digest = ?1")?;
            if let Some(bytes) = select.query_row([digest.0], |row| row.get(0)).optional()? {
                write(&Line::Blob { digest, bytes }, out)?;
                if self.told.len() >= MOST_REMEMBERED_BLOBS {
                    self.told.clear();
                }
                self.told.insert(digest);
            }
        }
        Ok(())
    }
}

fn write(line: &Line, out: &mut Vec<u8>) -> rusqlite::Result<()> {
    // Texts that are no JSON any more are damage to the file.
    line.write(out).map_err(|error| damaged(0, error.to_string()))
}
