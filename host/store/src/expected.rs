//! What an optimistic writer expects of the log: the last event of a workflow or of a correlation. Settled before a sequence is given, against
//! everything that has one, durable or not.

use rusqlite::OptionalExtension as _;
use trackside_model::event::{Event, Text};
use uuid::Uuid;

use crate::{
    append::AppendError,
    event_types::TypeNames,
    readers::ReadError,
    rows::{StoredId, count, integer},
    shared::{Shared, State},
};

pub(crate) const LAST_OF_WORKFLOW: &str =
    "SELECT sequence FROM events WHERE workflow_id = ?1 AND sequence <= ?2 ORDER BY sequence DESC LIMIT 1";
pub(crate) const LAST_OF_CORRELATION: &str =
    "SELECT sequence FROM events WHERE correlation_id = ?1 AND sequence <= ?2 ORDER BY sequence DESC LIMIT 1";
/// An event whose correlation is its own id keeps none.
pub(crate) const OF_OWN_ID: &str = "SELECT sequence FROM events WHERE event_id = ?1 AND correlation_id IS NULL AND sequence <= ?2";

/// A stretch of the log that belongs together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// The events of a workflow.
    Workflow(Text),
    /// The events of a correlation.
    Correlation(Text),
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Workflow(id) => write!(f, "workflow '{id}'"),
            Self::Correlation(id) => write!(f, "correlation '{id}'"),
        }
    }
}

/// That the last event of a line is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Of what.
    pub line: Line,
    /// The sequence of its last event; 0: it has none.
    pub sequence: u64,
}

impl Line {
    fn has(&self, event: &Event) -> bool {
        match self {
            Self::Workflow(id) => event.workflow_id.as_ref() == Some(id),
            Self::Correlation(id) => event.correlation_id == *id,
        }
    }

    /// The last one of the file, not behind `head`.
    fn last_in(&self, names: &TypeNames<'_>, head: u64) -> rusqlite::Result<u64> {
        let last = |sql: &str, id: StoredId<'_>| {
            let mut select = names.connection.prepare_cached(sql)?;
            select.query_row(rusqlite::params![id, integer(head)], |row| count(row, 0)).optional()
        };
        match self {
            Self::Workflow(id) => Ok(last(LAST_OF_WORKFLOW, StoredId::of(id))?.unwrap_or(0)),
            Self::Correlation(id) => {
                let others = last(LAST_OF_CORRELATION, StoredId::of(id))?;
                let own = Uuid::try_parse(id).ok().map(|uuid| last(OF_OWN_ID, StoredId::Uuid(uuid))).transpose()?.flatten();
                Ok(others.max(own).unwrap_or(0))
            }
        }
    }
}

impl Shared {
    /// The last event of each line, as far as `head`.
    pub(crate) fn last_of(&self, expected: &[Expected], head: u64) -> Result<Vec<u64>, ReadError> {
        if expected.is_empty() {
            return Ok(Vec::new());
        }
        self.readers.read(|names| expected.iter().map(|expected| expected.line.last_in(names, head)).collect())
    }

    /// Holds what is expected against the log: `last` as of `as_of`, and what came since. `None`: that cannot be told any more; ask anew.
    pub(crate) fn meets(&self, state: &State, expected: &[Expected], last: &[u64], as_of: u64) -> Option<Result<(), AppendError>> {
        if expected.is_empty() {
            return Some(Ok(()));
        }
        let durable = self.durable_head();
        let since = if durable > as_of { self.ring.read(as_of, usize::MAX, usize::MAX)? } else { Vec::new() };
        for (expected, last) in expected.iter().zip(last) {
            let newer = since.iter().chain(state.pending.waiting()).filter(|event| expected.line.has(event));
            let actual = newer.map(|event| event.sequence_number).max().unwrap_or(0).max(*last);
            if actual != expected.sequence {
                return Some(Err(AppendError::Unexpected { expected: expected.clone(), actual }));
            }
        }
        Some(Ok(()))
    }
}
