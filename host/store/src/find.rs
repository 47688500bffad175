//! Finding one event: by its id, which is its identity, durable or not; or by its place.
//! Searching for many is `query`'s.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use trackside_model::event::Event;
use uuid::Uuid;

use crate::{
    event_types::TypeNames,
    readers::ReadError,
    rows::{self, event_columns, integer},
    shared::Shared,
    store::{ReadStore, Store},
    tail,
    ticket::Ticket,
};

/// An event that has an id.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its place in the log.
    pub sequence: u64,
    /// The id.
    pub event_id: Uuid,
    /// What is there of it.
    pub event: Remains,
    /// Whoever is told of it waits with this until it is durable.
    pub ticket: Ticket,
}

/// What is there of an event.
#[derive(Clone, Debug)]
pub enum Remains {
    /// All of it.
    Whole(Arc<Event>),
    /// It was trimmed a while ago: what it is known again by.
    Trimmed(Arc<[u8]>),
}

impl Found {
    fn whole(event: Arc<Event>, ticket: Ticket) -> Self {
        Self { sequence: event.sequence_number, event_id: event.event_id, event: Remains::Whole(event), ticket }
    }

    /// The event, if it is still there.
    pub fn event(&self) -> Option<&Arc<Event>> {
        match &self.event {
            Remains::Whole(event) => Some(event),
            Remains::Trimmed(_) => None,
        }
    }

    fn durable(event: Arc<Event>) -> Self {
        let ticket = Ticket::durable_already(event.sequence_number);
        Self::whole(event, ticket)
    }
}

pub(crate) const BY_ID: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE event_id = ?1 AND sequence <= ?2");

/// The event with this id, not behind `head`.
fn by_id(names: &TypeNames<'_>, event_id: &Uuid, head: u64) -> rusqlite::Result<Option<Arc<Event>>> {
    let mut select = names.connection.prepare_cached(BY_ID)?;
    let mut found = select.query(params![event_id.as_bytes(), integer(head)])?;
    found.next()?.map(|row| rows::decode(row, names).map(Arc::new)).transpose()
}

pub(crate) const TRIMMED_BY_ID: &str = "SELECT sequence, content FROM trimmed_ids WHERE event_id = ?1";

/// What is remembered of an event that was trimmed.
fn trimmed_by_id(names: &TypeNames<'_>, event_id: &Uuid) -> rusqlite::Result<Option<Found>> {
    let mut select = names.connection.prepare_cached(TRIMMED_BY_ID)?;
    let found = select.query_row([event_id.as_bytes()], |row| {
        let sequence = rows::count(row, 0)?;
        let event = Remains::Trimmed(Arc::from(row.get_ref(1)?.as_blob()?));
        Ok(Found { sequence, event_id: *event_id, event, ticket: Ticket::durable_already(sequence) })
    });
    found.optional()
}

impl Shared {
    /// The event with this id, wherever it is.
    pub(crate) fn find(&self, event_id: &Uuid) -> Result<Option<Found>, ReadError> {
        loop {
            if let Some(found) = self.find_in_memory(event_id) {
                return Ok(Some(found));
            }
            let as_of = self.durable_head();
            let found = self.readers.read(|names| match by_id(names, event_id, as_of)? {
                Some(event) => Ok(Some(Found::durable(event))),
                // In this order: it may be trimmed just now.
                None => trimmed_by_id(names, event_id),
            })?;
            if found.is_some() {
                return Ok(found);
            }
            // What has come since the file was asked is in memory, unless so much has come that it has been forgotten again.
            let state = self.state();
            if state.recent.floor() <= as_of && state.recent.get(event_id).is_none() {
                return Ok(None);
            }
        }
    }

    fn find_in_memory(&self, event_id: &Uuid) -> Option<Found> {
        let sequence = {
            let state = self.state();
            let sequence = state.recent.get(event_id)?;
            if let Some((event, ticket)) = state.pending.event(sequence) {
                return Some(Found::whole(event, ticket));
            }
            sequence
        };
        self.ring.get(sequence).map(Found::durable)
    }
}

impl Store {
    /// The event with this id, durable or about to be. What a publisher's id means is settled with this, and again by append.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn find(&self, event_id: &Uuid) -> Result<Option<Found>, ReadError> {
        self.shared().find(event_id)
    }
}

impl ReadStore {
    /// The durable event with this id.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn event_by_id(&self, event_id: &Uuid) -> Result<Option<Arc<Event>>, ReadError> {
        let head = self.head()?;
        self.readers().read(|names| by_id(names, event_id, head))
    }

    /// The durable event at this place in the log.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn event(&self, sequence: u64) -> Result<Option<Arc<Event>>, ReadError> {
        if sequence > self.head()? {
            return Ok(None);
        }
        self.readers().read(|names| tail::event(names, sequence))
    }
}
