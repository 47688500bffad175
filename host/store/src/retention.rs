//! Retention: which events go, by age, number and the store's size, each rule for some types and severities. Found a step at a time, from the oldest on;
//! never past a cursor, never of a workflow that has not ended, never what a dead letter is about. Taking a step out is an append like any other.
//! When to look, and who tells of it, is the engine's.

pub(crate) mod blobs;
pub(crate) mod keep;

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Row, params};
use trackside_model::{
    event::{Event, Pattern, Severity},
    time::Timestamp,
};

pub use self::blobs::BlobSearch;
use self::keep::Keep;
use crate::{
    event_types::TypeNames,
    readers::ReadError,
    rows::{self, count, event_columns, integer, time},
    store::ReadStore,
};

/// Events that one step takes, at the most: what one commit carries beside the publishes that it is shared with.
const STEP_EVENTS: usize = 256;
/// Bytes of events that one step takes, about.
const STEP_BYTES: usize = 4 << 20;
/// Events that one step looks at, at the most.
const STEP_LOOKED_AT: usize = 2_048;
/// Bytes that an event takes in the file besides its texts, with its places in the indices: about.
const ROW_BYTES: u64 = 160;
/// What an event may take at the most, by its bytes: large ones leave half of a page empty.
const PAGES_HALF_FULL: u64 = 2;

pub(crate) const NEXT: &str =
    concat!("SELECT ", event_columns!(), " FROM events WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3");
pub(crate) const KINDS: &str =
    "SELECT sequence, type_id, severity FROM events WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence LIMIT ?3";

/// What is kept of some events. An event falls under the first rule that names it, and goes as soon as that rule has a reason; one that no rule names
/// stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetentionRule {
    /// Types that it is about; `None`: all.
    pub types: Option<Vec<Pattern>>,
    /// The severity that it is about, and those below; `None`: all.
    pub max_severity: Option<Severity>,
    /// Older ones go, in milliseconds.
    pub max_age_ms: Option<u64>,
    /// The oldest go when there are more.
    pub max_events: Option<u64>,
    /// The oldest go while the store is larger, all that is in it counted.
    pub max_store_bytes: Option<u64>,
}

impl RetentionRule {
    fn names(&self, event_type: &str, severity: u8) -> bool {
        self.types.as_ref().is_none_or(|types| types.iter().any(|pattern| pattern.matches(event_type)))
            && self.max_severity.is_none_or(|most| severity <= most as u8)
    }

    /// Whether anything ever goes by it.
    fn limits(&self) -> bool {
        self.max_age_ms.is_some() || self.max_events.is_some() || self.max_store_bytes.is_some()
    }
}

/// Rules, and how far they have been followed.
#[derive(Debug)]
pub struct Retention {
    rules: Vec<RetentionRule>,
    /// Events younger than this stay, whatever the rules say, in milliseconds.
    min_age_ms: u64,
    /// Types whose events stay longer than that, in milliseconds.
    lasting: Vec<(Pattern, u64)>,
    /// The rule of a type's number and a severity.
    kinds: HashMap<(i64, u8), Option<usize>>,
    /// Of each rule: everything up to there is gone, or is another rule's.
    positions: Vec<u64>,
    /// Of each rule: how many events it is about, up to `counted`.
    counts: Vec<u64>,
    counted: u64,
}

/// What keeps an event that a rule would have gone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// A reader has not come past it.
    Reader(String),
    /// Its workflow has not ended, or not long enough ago.
    Workflow,
    /// A dead letter is about it, or says what became of one.
    DeadLetter,
    /// The host needs it for what it goes on with after a start.
    Host,
}

/// One time that the rules are followed.
#[derive(Debug)]
pub struct Cleanup {
    now: Timestamp,
    /// No further than this, and why.
    through: u64,
    reader: Option<String>,
    rule: usize,
    at: u64,
    first_held: Option<u64>,
    /// Of the rule at hand: how many it may still take for their number.
    surplus: u64,
    /// Bytes in use when they were measured last; 0: only age counts.
    used_bytes: u64,
    /// Bytes that go, or would if nothing kept them, of what was found since; and of the latter all.
    found_bytes: u64,
    held_bytes: u64,
    /// Whether nothing goes: what there would be is not measured, but reckoned.
    only_looks: bool,
    /// What was kept that would have gone, and why.
    pub held: BTreeMap<Held, u64>,
}

/// What goes next.
#[derive(Debug, Default)]
pub struct Step {
    /// The place of the rule, from 0.
    pub rule: usize,
    /// The events, in order.
    pub events: Vec<Event>,
    /// About what they took in the file.
    pub bytes: u64,
}

impl Retention {
    /// Follows these rules. Younger events than `min_age_ms` stay, those of `lasting` types as much longer as it says.
    pub fn new(rules: Vec<RetentionRule>, min_age_ms: u64, lasting: Vec<(Pattern, u64)>) -> Self {
        let (positions, counts) = (vec![0; rules.len()], vec![0; rules.len()]);
        Self { rules, min_age_ms, lasting, kinds: HashMap::new(), positions, counts, counted: 0 }
    }

    /// The rules.
    pub fn rules(&self) -> &[RetentionRule] {
        &self.rules
    }

    /// Counts on, where a rule asks for a number. `false`: there is more to be counted before a cleanup can begin.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn count(&mut self, store: &ReadStore) -> Result<bool, ReadError> {
        if self.rules.iter().all(|rule| rule.max_events.is_none()) {
            return Ok(true);
        }
        let head = store.head()?;
        let read = store.readers().read(|names| {
            let mut select = names.connection.prepare_cached(KINDS)?;
            let limit = i64::try_from(STEP_LOOKED_AT * 4).unwrap_or(i64::MAX);
            let mut found = select.query(params![integer(self.counted), integer(head), limit])?;
            let mut read = 0;
            while let Some(row) = found.next()? {
                if let Some(rule) = kind(&self.rules, &mut self.kinds, names, row.get(1)?, row.get(2)?)? {
                    self.counts[rule] += 1;
                }
                self.counted = count(row, 0)?;
                read += 1;
            }
            Ok(read)
        })?;
        Ok(read < STEP_LOOKED_AT * 4)
    }

    /// Begins to follow the rules, as of `now`. With `for_age`, number and size are left alone.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn begin(&self, store: &ReadStore, now: Timestamp, for_age: bool) -> Result<Cleanup, ReadError> {
        let head = store.head()?;
        // The last event stays: it says how far the log is.
        let (mut through, mut reader) = (head.saturating_sub(1), None);
        for (name, cursor) in store.cursors()? {
            // A cursor inside a fact has not come past it.
            let past = if cursor.part == u32::MAX { cursor.sequence } else { cursor.sequence.saturating_sub(1) };
            if past < through {
                (through, reader) = (past, Some(name));
            }
        }
        let used_bytes = if for_age { 0 } else { store.used_bytes()? };
        let mut cleanup = Cleanup {
            now,
            through,
            reader,
            rule: 0,
            at: 0,
            first_held: None,
            surplus: 0,
            used_bytes,
            found_bytes: 0,
            held_bytes: 0,
            only_looks: false,
            held: BTreeMap::new(),
        };
        self.enter(&mut cleanup, 0);
        Ok(cleanup)
    }

    /// Goes on with a rule.
    fn enter(&self, cleanup: &mut Cleanup, rule: usize) {
        cleanup.rule = rule;
        cleanup.first_held = None;
        cleanup.at = self.positions.get(rule).copied().unwrap_or_default();
        let most = self.rules.get(rule).and_then(|rule| rule.max_events).filter(|_| cleanup.used_bytes > 0);
        cleanup.surplus = most.map_or(0, |most| self.counts[rule].saturating_sub(most));
    }

    /// What goes next, which may be nothing where there was much to look at; `None`: that was all. What a step gives is taken to be gone.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn step(&mut self, store: &ReadStore, cleanup: &mut Cleanup) -> Result<Option<Step>, ReadError> {
        let Some(rule) = self.rules.get(cleanup.rule) else { return Ok(None) };
        let mut step = Step { rule: cleanup.rule, ..Step::default() };
        if !rule.limits() {
            self.enter(cleanup, cleanup.rule + 1);
            return Ok(Some(step));
        }
        let by_size = rule.max_store_bytes.is_some() && cleanup.used_bytes > 0 && !cleanup.only_looks;
        if by_size {
            // What a page holds besides is not known beforehand: measured anew before each step, no more goes than must.
            (cleanup.used_bytes, cleanup.found_bytes) = (store.used_bytes()?, cleanup.held_bytes);
        }
        let ended = store.readers().read(|names| self.look(names, cleanup, &mut step))?;
        if let Some(count) = self.counts.get_mut(step.rule) {
            *count = count.saturating_sub(step.events.len() as u64);
        }
        // What was reckoned to be enough is measured once more when it has gone.
        let measures_again = by_size && !step.events.is_empty();
        if ended && !measures_again {
            self.positions[step.rule] = cleanup.first_held.map_or(cleanup.at, |first| first - 1);
            self.enter(cleanup, step.rule + 1);
        }
        Ok(Some(step))
    }

    /// Looks at what lies behind the place of a cleanup. `true`: there is nothing more for its rule.
    fn look(&mut self, names: &TypeNames<'_>, cleanup: &mut Cleanup, step: &mut Step) -> rusqlite::Result<bool> {
        let limit = i64::try_from(STEP_LOOKED_AT).unwrap_or(i64::MAX);
        let mut select = names.connection.prepare_cached(NEXT)?;
        // What a reader stands before is looked at for once, so that it can be said who keeps it.
        let head = if cleanup.reader.is_some() { cleanup.through + 1 } else { cleanup.through };
        let mut found = select.query(params![integer(cleanup.at), integer(head), limit])?;
        let mut keep = Keep::new(names, cleanup.now)?;
        let mut looked_at = 0;
        while let Some(row) = found.next()? {
            looked_at += 1;
            let sequence = count(row, 0)?;
            if kind(&self.rules, &mut self.kinds, names, row.get(2)?, row.get(3)?)? == Some(step.rule) {
                let recorded_at = time(row, 5)?;
                let age_ms = cleanup.now.ms_since(recorded_at);
                let goes = cleanup.goes(&self.rules[step.rule], age_ms);
                if !goes || age_ms < self.min_age_ms {
                    return Ok(true);
                }
                if sequence > cleanup.through {
                    cleanup.hold(sequence, Held::Reader(cleanup.reader.clone().unwrap_or_default()));
                    return Ok(true);
                }
                self.take(names, &mut keep, cleanup, step, row)?;
            }
            cleanup.at = sequence;
            if step.events.len() >= STEP_EVENTS || usize::try_from(step.bytes).unwrap_or(usize::MAX) >= STEP_BYTES {
                return Ok(false);
            }
        }
        Ok(looked_at < STEP_LOOKED_AT)
    }

    /// Takes an event, or keeps it for a reason.
    fn take(
        &self,
        names: &TypeNames<'_>,
        keep: &mut Keep<'_>,
        cleanup: &mut Cleanup,
        step: &mut Step,
        row: &Row<'_>,
    ) -> rusqlite::Result<()> {
        let event = rows::decode(row, names)?;
        let bytes = event.text_bytes() + event.narration.as_str().map_or(0, str::len) as u64 + ROW_BYTES;
        let rule = &self.rules[step.rule];
        // Only an age is asked of a workflow as a whole.
        let max_age_ms = rule.max_age_ms.filter(|_| !cleanup.is_beyond(rule));
        // What is kept counts as if it had gone: nothing younger goes in its place.
        cleanup.surplus = cleanup.surplus.saturating_sub(1);
        cleanup.found_bytes += if cleanup.only_looks { bytes } else { bytes * PAGES_HALF_FULL };
        let lasts = self.lasting.iter().find(|(pattern, _)| pattern.matches(&event.event_type));
        let held = match lasts {
            Some((_, ms)) if cleanup.now.ms_since(event.recorded_at) < *ms => Some(Held::Host),
            _ => keep.holds(&event, max_age_ms)?,
        };
        match held {
            Some(held) => {
                cleanup.held_bytes += bytes;
                cleanup.hold(event.sequence_number, held);
            }
            None => {
                step.bytes += bytes;
                step.events.push(event);
            }
        }
        Ok(())
    }
}

impl Cleanup {
    /// The same for somebody who only wants to know: the steps are taken to be gone, but nothing is.
    #[must_use]
    pub fn only_looks(self) -> Self {
        Self { only_looks: true, ..self }
    }

    /// How far it may go.
    pub fn through(&self) -> u64 {
        self.through
    }

    /// Whether the rule at hand has a reason for an event of this age to go.
    fn goes(&self, rule: &RetentionRule, age_ms: u64) -> bool {
        rule.max_age_ms.is_some_and(|most| age_ms > most) || self.is_beyond(rule)
    }

    /// Whether there are too many, or they take too much.
    fn is_beyond(&self, rule: &RetentionRule) -> bool {
        self.surplus > 0 || rule.max_store_bytes.is_some_and(|most| self.used_bytes.saturating_sub(self.found_bytes) > most)
    }

    fn hold(&mut self, sequence: u64, held: Held) {
        self.first_held.get_or_insert(sequence);
        *self.held.entry(held).or_default() += 1;
    }
}

/// The rule that a type and a severity fall under.
fn kind(
    rules: &[RetentionRule],
    kinds: &mut HashMap<(i64, u8), Option<usize>>,
    names: &TypeNames<'_>,
    type_id: i64,
    severity: u8,
) -> rusqlite::Result<Option<usize>> {
    /// Remembered at most; past it each is asked of the rules.
    const REMEMBERED: usize = 65_536;
    if let Some(rule) = kinds.get(&(type_id, severity)) {
        return Ok(*rule);
    }
    let name = names.name(type_id)?;
    let rule = rules.iter().position(|rule| rule.names(&name, severity));
    if kinds.len() < REMEMBERED {
        kinds.insert((type_id, severity), rule);
    }
    Ok(rule)
}

impl ReadStore {
    /// Bytes of the file that hold something.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn used_bytes(&self) -> Result<u64, ReadError> {
        self.readers().read(|names| {
            let pragma = |name: &str| names.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            let (pages, free, size) = (pragma("page_count")?, pragma("freelist_count")?, pragma("page_size")?);
            Ok(pages.saturating_sub(free).saturating_mul(size).cast_unsigned())
        })
    }
}
