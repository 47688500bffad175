//! How long it takes from one event to another: from the first of some types to the next of others that has the same key.

use std::{collections::HashMap, str::FromStr};

use rusqlite::types::Value;
use trackside_model::{
    event::{Filter, Pattern},
    time::Timestamp,
};

use super::{
    Bounds, Cut, Extent, Scan, Surveyed,
    conditions::{Conditions, bound},
};
use crate::{
    event_types::TypeNames,
    readers::ReadError,
    rows::{self, event_columns},
    store::ReadStore,
};

/// What is looked at in one slice; behind it come the conditions and [`IN_ORDER`].
pub(crate) const SEEN: &str = "SELECT type_id, recorded_at, coalesce(correlation_id, event_id), workflow_id, task_id FROM events WHERE ";
pub(crate) const IN_ORDER: &str = " ORDER BY sequence";
const EACH: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE ");

/// What an end has in common with its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pairing {
    /// The correlation.
    #[default]
    Correlation,
    /// The workflow.
    Workflow,
    /// The workflow and the task.
    Task,
}

impl FromStr for Pairing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "correlation" => Ok(Self::Correlation),
            "workflow" => Ok(Self::Workflow),
            "task" => Ok(Self::Task),
            _ => Err(format!("'{text}' is not one of correlation, workflow, task")),
        }
    }
}

/// What starts, what ends, and which of them belong together.
#[derive(Clone, Debug)]
pub struct DurationsOf {
    /// Types of starts.
    pub start: Vec<Pattern>,
    /// Types of ends. A type that both name ends what is open, and starts anew.
    pub end: Vec<Pattern>,
    /// What they have in common.
    pub by: Pairing,
}

/// Measuring under way.
#[derive(Debug)]
pub struct Durations {
    scan: Scan,
    pairs: DurationsOf,
    /// When what has not ended began.
    open: HashMap<Key, Timestamp>,
    took_ns: Vec<u64>,
    unstarted: u64,
    without_key: u64,
}

/// The ids as they are stored: a UUID's bytes, or text.
type Key = (Vec<u8>, Option<String>);

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationsAnswer {
    /// What was looked at.
    pub extent: Extent,
    /// Nanoseconds from start to end, ascending.
    pub took_ns: Vec<u64>,
    /// Starts without an end.
    pub unfinished: u64,
    /// Ends whose start is not there.
    pub unstarted: u64,
    /// Starts and ends that belong to no workflow or task, where that is what they would have in common.
    pub without_key: u64,
}

impl DurationsAnswer {
    /// The duration that this part of all does not exceed, by the nearest rank; `None`: nothing has ended.
    pub fn percentile_ns(&self, part: f64) -> Option<u64> {
        let count = self.took_ns.len();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among no more than a bound"
        )]
        let rank = (part * count as f64).ceil() as usize;
        self.took_ns.get(rank.clamp(1, count.max(1)) - 1).copied()
    }
}

impl Durations {
    /// Begins to measure, by when the events were recorded; the types of the filter are replaced by those of starts and ends.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn begin(store: &ReadStore, mut surveyed: Surveyed, pairs: DurationsOf, bounds: Bounds) -> Result<Self, ReadError> {
        surveyed.filter.event_types = Some(pairs.start.iter().chain(&pairs.end).cloned().collect());
        let scan = Scan::begin(store, surveyed, bounds)?;
        Ok(Self { scan, pairs, open: HashMap::new(), took_ns: Vec::new(), unstarted: 0, without_key: 0 })
    }

    /// Measures on. `false`: it is done.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn step(&mut self, store: &ReadStore) -> Result<bool, ReadError> {
        if self.open.len().max(self.took_ns.len()) >= self.scan.bounds.kept && self.scan.extent.through < self.scan.extent.to {
            return Ok(self.scan.cut(Cut::Kept));
        }
        let Self { scan, pairs, open, took_ns, unstarted, without_key } = self;
        let mut seen = Seen { pairs, open, took_ns, unstarted, without_key };
        scan.step(store, |names, filter, after, through| seen.look(names, filter, after, through))
    }

    /// What was measured so far.
    pub fn answer(mut self) -> DurationsAnswer {
        self.took_ns.sort_unstable();
        DurationsAnswer {
            extent: self.scan.extent,
            took_ns: self.took_ns,
            unfinished: self.open.len() as u64,
            unstarted: self.unstarted,
            without_key: self.without_key,
        }
    }
}

struct Seen<'a> {
    pairs: &'a DurationsOf,
    open: &'a mut HashMap<Key, Timestamp>,
    took_ns: &'a mut Vec<u64>,
    unstarted: &'a mut u64,
    without_key: &'a mut u64,
}

impl Seen<'_> {
    fn look(&mut self, names: &TypeNames<'_>, filter: &Filter, after: u64, through: u64) -> rusqlite::Result<()> {
        let types = names.named_by(filter)?;
        let conditions = Conditions::of(filter, types.as_deref(), after, through);
        let decoded = filter.when.is_some();
        let sql = format!("{}{}{IN_ORDER}", if decoded { EACH } else { SEEN }, conditions.sql);
        let mut select = names.connection.prepare_cached(&sql)?;
        let mut found = select.query(rusqlite::params_from_iter(bound(&conditions.values)))?;
        while let Some(row) = found.next()? {
            if decoded {
                let event = rows::decode(row, names)?;
                if filter.matches(&event) {
                    let bytes = |text: &str| text.as_bytes().to_vec();
                    let key = match self.pairs.by {
                        Pairing::Correlation => Some((bytes(&event.correlation_id), None)),
                        Pairing::Workflow => event.workflow_id.as_deref().map(|id| (bytes(id), None)),
                        Pairing::Task => {
                            event.workflow_id.as_deref().map(bytes).zip(event.task_id.as_deref().map(|id| Some(id.to_owned())))
                        }
                    };
                    self.take(key, &event.event_type, event.recorded_at);
                }
                continue;
            }
            let id = |column: usize| -> rusqlite::Result<Option<Vec<u8>>> {
                Ok(match row.get(column)? {
                    Value::Blob(bytes) => Some(bytes),
                    Value::Text(text) => Some(text.into_bytes()),
                    _ => None,
                })
            };
            let key = match self.pairs.by {
                Pairing::Correlation => id(2)?.map(|id| (id, None)),
                Pairing::Workflow => id(3)?.map(|id| (id, None)),
                Pairing::Task => id(3)?.zip(row.get::<_, Option<String>>(4)?.map(Some)),
            };
            self.take(key, &names.name(row.get(0)?)?, rows::time(row, 1)?);
        }
        Ok(())
    }

    fn take(&mut self, key: Option<Key>, event_type: &str, at: Timestamp) {
        let is_one = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(event_type));
        let Some(key) = key else {
            *self.without_key += 1;
            return;
        };
        let starts = is_one(&self.pairs.start);
        if is_one(&self.pairs.end) {
            match self.open.remove(&key) {
                Some(began) => self.took_ns.push(at.0.saturating_sub(began.0)),
                // The first of its kind, where each ends the one before it.
                None if starts => {}
                None => *self.unstarted += 1,
            }
        }
        if starts {
            // A start that comes again, as a task's next attempt does, belongs to the first.
            self.open.entry(key).or_insert(at);
        }
    }
}
