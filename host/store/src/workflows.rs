//! Workflows as lists see them, the work that is to be done, and a workflow's events.
//! What state they are in is a fold over those events, and the model's.

use std::{cmp::Reverse, sync::Arc};

use rusqlite::{OptionalExtension, Row, params};
use trackside_model::{
    event::{Event, Text},
    time::Timestamp,
};

use crate::{
    event_types::TypeNames,
    readers::ReadError,
    ring::event_bytes,
    rows::{self, StoredId, count, event_columns, id, integer, time},
    store::ReadStore,
};

macro_rules! workflow_columns {
    () => {
        "first_sequence, workflow_id, name, status, correlation_id, last_sequence, submitted_at, ended_at"
    };
}

pub(crate) const ONE: &str = concat!("SELECT ", workflow_columns!(), " FROM workflows WHERE workflow_id = ?1");
pub(crate) const UNFINISHED: &str =
    concat!("SELECT ", workflow_columns!(), " FROM workflows WHERE ended_at IS NULL ORDER BY first_sequence");
pub(crate) const NEWEST: &str =
    concat!("SELECT ", workflow_columns!(), " FROM workflows WHERE first_sequence < ?1 ORDER BY first_sequence DESC LIMIT ?2");
pub(crate) const NEWEST_OF: &str = concat!(
    "SELECT ",
    workflow_columns!(),
    " FROM workflows WHERE status = ?1 AND first_sequence < ?2 ORDER BY first_sequence DESC LIMIT ?3"
);
pub(crate) const EVENTS: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events WHERE workflow_id = ?1 AND sequence > ?2 AND sequence <= ?3 ORDER BY sequence LIMIT ?4"
);

/// A workflow as lists see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRow {
    /// Which.
    pub workflow_id: Text,
    /// Its definition's name.
    pub name: Text,
    /// The model's word for where it stands.
    pub status: Text,
    /// Its correlation.
    pub correlation_id: Text,
    /// Its first event: lists are in the order of these.
    pub first_sequence: u64,
    /// Its last event when the row was last changed.
    pub last_sequence: u64,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended; `None`: there is work to be done.
    pub ended_at: Option<Timestamp>,
}

/// Which workflows to list.
#[derive(Clone, Debug, Default)]
pub struct WorkflowQuery {
    /// Any of these; `None`: all.
    pub statuses: Option<Vec<String>>,
    /// Older than this [`WorkflowRow::first_sequence`]; `None`: from the newest.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkflowPage {
    /// Newest first.
    pub workflows: Vec<WorkflowRow>,
    /// [`WorkflowQuery::before`] of the next part; `None`: there is none.
    pub next: Option<u64>,
}

impl ReadStore {
    /// A workflow.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn workflow(&self, workflow_id: &str) -> Result<Option<WorkflowRow>, ReadError> {
        self.readers().read(|names| names.connection.prepare_cached(ONE)?.query_row([StoredId::of(workflow_id)], decode).optional())
    }

    /// Workflows, newest first.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn workflows(&self, query: &WorkflowQuery) -> Result<WorkflowPage, ReadError> {
        let before = query.before.map_or(i64::MAX, integer);
        // One more than asked for tells whether there is a next part.
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut workflows = self.readers().read(|names| match &query.statuses {
            None => newest(names, before, limit),
            Some(statuses) => statuses.iter().try_fold(Vec::new(), |mut found, status| {
                found.append(&mut newest_of(names, status, before, limit)?);
                Ok(found)
            }),
        })?;
        workflows.sort_unstable_by_key(|workflow| Reverse(workflow.first_sequence));
        workflows.dedup_by_key(|workflow| workflow.first_sequence);
        let more = workflows.len() > query.limit;
        workflows.truncate(query.limit);
        let next = workflows.last().filter(|_| more).map(|workflow| workflow.first_sequence);
        Ok(WorkflowPage { workflows, next })
    }

    /// Workflows that have not ended, oldest first, whatever the number of those that have.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn unfinished_workflows(&self) -> Result<Vec<WorkflowRow>, ReadError> {
        self.readers().read(|names| names.connection.prepare_cached(UNFINISHED)?.query_map([], decode)?.collect())
    }

    /// Durable events of a workflow behind the sequence `after`, oldest first: at most `max_events` and about `max_bytes` of them, but at
    /// least one if there is one. All of them have been read when nothing comes.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn workflow_events(
        &self,
        workflow_id: &str,
        after: u64,
        max_events: usize,
        max_bytes: usize,
    ) -> Result<Vec<Arc<Event>>, ReadError> {
        let head = self.head()?;
        self.readers().read(|names| events(names, workflow_id, after, head, max_events, max_bytes))
    }
}

fn newest(names: &TypeNames<'_>, before: i64, limit: i64) -> rusqlite::Result<Vec<WorkflowRow>> {
    names.connection.prepare_cached(NEWEST)?.query_map([before, limit], decode)?.collect()
}

fn newest_of(names: &TypeNames<'_>, status: &str, before: i64, limit: i64) -> rusqlite::Result<Vec<WorkflowRow>> {
    names.connection.prepare_cached(NEWEST_OF)?.query_map(params![status, before, limit], decode)?.collect()
}

fn events(
    names: &TypeNames<'_>,
    workflow_id: &str,
    after: u64,
    head: u64,
    max_events: usize,
    max_bytes: usize,
) -> rusqlite::Result<Vec<Arc<Event>>> {
    let mut select = names.connection.prepare_cached(EVENTS)?;
    let limit = i64::try_from(max_events).unwrap_or(i64::MAX);
    let mut found = select.query(params![StoredId::of(workflow_id), integer(after), integer(head), limit])?;
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

fn decode(row: &Row<'_>) -> rusqlite::Result<WorkflowRow> {
    let text = |column: usize| Ok::<_, rusqlite::Error>(Text::from(row.get_ref(column)?.as_str()?));
    Ok(WorkflowRow {
        first_sequence: count(row, 0)?,
        workflow_id: id(row, 1)?.unwrap_or_default(),
        name: text(2)?,
        status: text(3)?,
        correlation_id: id(row, 4)?.unwrap_or_default(),
        last_sequence: count(row, 5)?,
        submitted_at: time(row, 6)?,
        ended_at: row.get::<_, Option<i64>>(7)?.map(|end| Timestamp(end.cast_unsigned())),
    })
}
