//! Queries: a filter over a stretch of the log, a page at a time, oldest first. The file gives candidates by its best index; the
//! filter itself is asked of each, so that it means here what it means everywhere. What one call looks at is bounded.

use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Row, params};
use trackside_model::{
    event::{Event, Filter, Position, Severity},
    keeping::Gap,
    time::Timestamp,
};

use crate::{
    candidates::Candidates,
    event_types::TypeNames,
    full_text::Words,
    readers::ReadError,
    ring::event_bytes,
    rows::{self, count, event_columns, integer},
    store::ReadStore,
    trimmed,
};

/// What one call may cost, in rows that are passed over on the way along the log: where few match, pages are short and `next` leads on. Some ten
/// milliseconds.
const MAX_COST: usize = 25_000;
/// A row that an index leads to, in the same.
const FOUND_COST: usize = 3;
/// A row that is made an event of, and a part of one.
const READ_COST: usize = 3;
/// A condition in CEL that is asked of one, and of how many bytes of its payload it costs one more.
const CONDITION_COST: usize = 15;
const CONDITION_BYTES: usize = 128;
/// Bytes of one page, about.
const MAX_PAGE_BYTES: usize = 16 << 20;
/// Gaps that one page tells of, at the most.
const MOST_TRIMMED_TOLD: usize = 100;

pub(crate) const THROUGH: &str =
    concat!("SELECT ", event_columns!(), " FROM events WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence");
pub(crate) const AT: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE sequence = ?1");
pub(crate) const TIME_AT: &str = "SELECT recorded_at FROM events WHERE sequence >= ?1 ORDER BY sequence LIMIT 1";

/// What to look for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Every condition must hold.
    pub filter: Filter,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before then.
    pub until: Option<Timestamp>,
    /// Behind this position.
    pub after: Option<Position>,
    /// No further than this sequence.
    pub through: Option<u64>,
    /// Events on a page, at the most.
    pub limit: usize,
    /// Whether narration is expanded, and the filter asked of each part too.
    pub narration: bool,
    /// Whose payloads have these words, of the types that are opted in. Narration is not looked for, and not expanded.
    pub words: Option<Words>,
}

impl Default for Query {
    /// Every fact, a hundred at a time.
    fn default() -> Self {
        Self { filter: Filter::default(), since: None, until: None, after: None, through: None, limit: 100, narration: false, words: None }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Oldest first. Few or none do not mean that there are no more: `next` does.
    pub events: Vec<Event>,
    /// [`Query::after`] of the next page; `None`: the stretch has been looked through as far as it is durable.
    pub next: Option<Position>,
    /// What is no longer there of the stretch that was looked through, the first hundred gaps.
    pub trimmed: Vec<Gap>,
}

impl ReadStore {
    /// One page of what matches.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn query(&self, query: &Query) -> Result<Page, ReadError> {
        let head = self.head()?;
        self.readers().read(|names| Search::new(names, query, head)?.run())
    }
}

/// A query under way.
struct Search<'a> {
    names: &'a TypeNames<'a>,
    query: &'a Query,
    /// Types that the filter names; `None`: all.
    types: Option<Vec<i64>>,
    /// Whether narration is expanded.
    narration: bool,
    /// Whether a part of the narration may match where the fact itself does not.
    parts_may_match: bool,
    /// Looked at so far: everything up to this sequence. Starts where the stretch does.
    behind: u64,
    /// Where the stretch ends.
    last: u64,
    cost: usize,
    page: Page,
    page_bytes: usize,
    /// The position of the last event on the page.
    taken: Position,
}

impl<'a> Search<'a> {
    fn new(names: &'a TypeNames<'a>, query: &'a Query, head: u64) -> rusqlite::Result<Self> {
        let behind = match query.after {
            None => 0,
            Some(Position { sequence, part: u32::MAX }) => sequence,
            // Some parts of that one may be still to come.
            Some(Position { sequence, .. }) => sequence.saturating_sub(1),
        };
        let since = query.since.map_or(Ok(0), |since| recorded_before(names, since, head))?;
        let head = query.through.map_or(head, |through| through.min(head));
        let last = query.until.map_or(Ok(head), |until| recorded_before(names, until, head))?;
        let narration = query.narration && query.words.is_none();
        Ok(Self {
            names,
            query,
            narration,
            types: names.named_by(&query.filter)?,
            parts_may_match: narration && (query.filter.event_types.is_none() || query.filter.names_narration()),
            behind: behind.max(since),
            last,
            cost: 0,
            page: Page::default(),
            page_bytes: 0,
            taken: Position::default(),
        })
    }

    fn run(mut self) -> rusqlite::Result<Page> {
        if self.query.limit == 0 || self.behind >= self.last {
            return Ok(self.page);
        }
        let from = self.behind;
        let types = self.types.clone().filter(|_| !self.parts_may_match);
        let candidates = match &self.query.words {
            Some(words) => Some(Candidates::of_words(words)),
            None => Candidates::of(&self.query.filter, types.as_deref()),
        };
        let ended = match candidates {
            Some(candidates) => self.look_at_each(&candidates)?,
            None => self.look_through()?,
        };
        if ended.is_continue() {
            self.page.next = None;
        }
        let through = self.page.next.map_or(self.last, |next| next.sequence);
        self.page.trimmed = trimmed::within(self.names.connection, from, through, MOST_TRIMMED_TOLD)?;
        Ok(self.page)
    }

    fn look_through(&mut self) -> rusqlite::Result<ControlFlow<()>> {
        let mut select = self.names.connection.prepare_cached(THROUGH)?;
        let mut found = select.query(params![integer(self.behind), integer(self.last)])?;
        while let Some(row) = found.next()? {
            if self.look_at(row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn look_at_each(&mut self, candidates: &Candidates<'_>) -> rusqlite::Result<ControlFlow<()>> {
        let mut select = self.names.connection.prepare_cached(AT)?;
        loop {
            let sequences = candidates.next(self.names, self.behind, self.last)?;
            if sequences.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            for sequence in sequences {
                let mut found = select.query([sequence])?;
                self.cost += FOUND_COST;
                match found.next()? {
                    Some(row) if self.look_at(row)?.is_break() => return Ok(ControlFlow::Break(())),
                    Some(_) => {}
                    // Trimmed meanwhile.
                    None => self.behind = sequence.cast_unsigned(),
                }
            }
        }
    }

    /// Looks at one event. Breaks when the call has done enough, with `next` set.
    fn look_at(&mut self, row: &Row<'_>) -> rusqlite::Result<ControlFlow<()>> {
        if self.cost >= MAX_COST {
            self.page.next = Some(Position::end_of(self.behind));
            return Ok(ControlFlow::Break(()));
        }
        self.cost += 1;
        if !self.is_out(row)? {
            let fact = rows::decode(row, self.names)?;
            let parts = fact.narration.parts();
            let taken = match self.narration && parts > 0 {
                true => fact.expand().try_for_each(|event| self.take(event, parts)),
                false => self.take(fact, parts),
            };
            if taken.is_break() {
                return Ok(taken);
            }
        }
        self.behind = count(row, 0)?;
        Ok(ControlFlow::Continue(()))
    }

    /// Whether type, severity or a text of the envelope rules the event out, seen without decoding it.
    fn is_out(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        if self.narration && row.get::<_, u32>(15)? > 0 {
            return Ok(false);
        }
        let type_id = row.get(2)?;
        let severity: u8 = row.get(3)?;
        let below = |least: Severity| severity < least as u8;
        let filter = &self.query.filter;
        if self.types.as_ref().is_some_and(|types| types.binary_search(&type_id).is_err()) || filter.min_severity.is_some_and(below) {
            return Ok(true);
        }
        for (column, wanted) in [(6, &filter.source_components), (10, &filter.task_ids), (11, &filter.provider_ids)] {
            if let Some(wanted) = wanted {
                let text = row.get_ref(column)?.as_str_or_null()?;
                if !text.is_some_and(|text| wanted.iter().any(|wanted| wanted == text)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Takes an event onto the page, if it matches. Breaks when it matches and the page is full.
    /// `parts` are those of its fact, behind which the sequence ends.
    fn take(&mut self, event: Event, parts: u32) -> ControlFlow<()> {
        self.cost += READ_COST;
        if self.query.filter.when.is_some() {
            self.cost += CONDITION_COST + event.payload.as_str().len() / CONDITION_BYTES;
        }
        if self.query.after.is_some_and(|after| event.position() <= after) || !self.query.filter.matches(&event) {
            return ControlFlow::Continue(());
        }
        if self.page.events.len() >= self.query.limit || self.page_bytes >= MAX_PAGE_BYTES {
            self.page.next = Some(self.taken);
            return ControlFlow::Break(());
        }
        self.taken = if event.part == parts { Position::end_of(event.sequence_number) } else { event.position() };
        self.page_bytes += event_bytes(&event);
        self.page.events.push(event);
        ControlFlow::Continue(())
    }
}

/// The last sequence that was recorded before `time`, found by halving: times never fall along the log.
pub(crate) fn recorded_before(names: &TypeNames<'_>, time: Timestamp, head: u64) -> rusqlite::Result<u64> {
    let mut select = names.connection.prepare_cached(TIME_AT)?;
    let (mut before, mut last) = (0, head);
    while before < last {
        let middle = before + (last - before).div_ceil(2);
        let recorded_at = select.query_row([integer(middle)], |row| rows::time(row, 0)).optional()?;
        match recorded_at {
            Some(recorded_at) if recorded_at < time => before = middle,
            _ => last = middle - 1,
        }
    }
    Ok(before)
}
