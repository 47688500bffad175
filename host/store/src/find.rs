//! Finding one event: by its id, which is its identity, durable or not; or by its place.
//! Searching for many is `query`'s.

use std::sync::Arc;

use rusqlite::params;
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
    /// The event.
    pub event: Arc<Event>,
    /// Whoever is told of it waits with this until it is durable.
    pub ticket: Ticket,
}

impl Found {
    fn durable(event: Arc<Event>) -> Self {
        let sequence = event.sequence_number;
        Self { sequence, event, ticket: Ticket::durable_already(sequence) }
    }
}

pub(crate) const BY_ID: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE event_id = ?1 AND sequence <= ?2");

/// The event with this id, not behind `head`.
fn by_id(names: &TypeNames<'_>, event_id: &Uuid, head: u64) -> rusqlite::Result<Option<Arc<Event>>> {
    let mut select = names.connection.prepare_cached(BY_ID)?;
    let mut found = select.query(params![event_id.as_bytes(), integer(head)])?;
    found.next()?.map(|row| rows::decode(row, names).map(Arc::new)).transpose()
}

impl Shared {
    /// The event with this id, wherever it is.
    pub(crate) fn find(&self, event_id: &Uuid) -> Result<Option<Found>, ReadError> {
        loop {
            if let Some(found) = self.find_in_memory(event_id) {
                return Ok(Some(found));
            }
            let as_of = self.durable_head();
            if let Some(event) = self.readers.read(|names| by_id(names, event_id, as_of))? {
                return Ok(Some(Found::durable(event)));
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
                return Some(Found { sequence, event, ticket });
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
