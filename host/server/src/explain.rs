//! One event with its narration and with what control handlers decided about it: what `events explain` shows.
//! Finding and deciding are the store's and the engine's.

use std::{fmt, str::FromStr};

use serde::Serialize;
use trackside_model::{
    control::DecisionRecord,
    event::{
        Event,
        cloud_event::{CloudEvent, Form},
    },
};
use trackside_store::{ReadError, ReadStore};
use uuid::Uuid;

/// How an event is named: by its id, or by its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventId {
    /// `event_id`.
    Id(Uuid),
    /// `sequence_number`.
    Sequence(u64),
}

/// Text that names no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither an event id (a UUID) nor a sequence number")]
pub struct EventIdError(String);

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        // A place inside a fact's narration (12.3) is explained by its fact.
        let sequence = text.split_once('.').filter(|(_, part)| part.parse::<u32>().is_ok()).map_or(text, |(sequence, _)| sequence);
        match (sequence.parse(), Uuid::parse_str(text)) {
            (Ok(sequence), _) => Ok(Self::Sequence(sequence)),
            (_, Ok(id)) => Ok(Self::Id(id)),
            _ => Err(EventIdError(text.to_owned())),
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Sequence(sequence) => write!(f, "{sequence}"),
        }
    }
}

/// An event and all that is known of how it came about.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The fact.
    pub event: Event,
    /// The moments that led to it.
    pub narration: Vec<Event>,
    /// Which control handlers looked, in which order and version, and what each said.
    pub decisions: Vec<DecisionRecord>,
}

/// The same as it is written.
#[derive(Serialize)]
struct Written<'a, E> {
    event: E,
    narration: Vec<E>,
    decisions: &'a [DecisionRecord],
}

impl Explained {
    /// As JSON, with each event in this form.
    ///
    /// # Errors
    /// [`serde_json::Error`], if it cannot be written, which no event in the log is.
    pub fn json(&self, form: Form) -> serde_json::Result<String> {
        let decisions = &*self.decisions;
        match form {
            Form::Trackside => {
                serde_json::to_string(&Written { event: &self.event, narration: self.narration.iter().collect(), decisions })
            }
            Form::CloudEvents => {
                let narration = self.narration.iter().map(CloudEvent::of).collect();
                serde_json::to_string(&Written { event: CloudEvent::of(&self.event), narration, decisions })
            }
        }
    }

    /// Finds an event; `None`: the log has none of this name.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub fn find(store: &ReadStore, id: &EventId) -> Result<Option<Self>, ReadError> {
        let found = match id {
            EventId::Id(id) => store.event_by_id(id)?,
            EventId::Sequence(sequence) => store.event(*sequence)?,
        };
        let Some(event) = found else { return Ok(None) };
        let decisions = store.decisions(event.sequence_number)?;
        Ok(Some(Self { narration: event.narration.events(&event).collect(), decisions, event: (*event).clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_named_by_id_or_place() {
        assert_eq!("12".parse(), Ok(EventId::Sequence(12)));
        assert_eq!("12.3".parse(), Ok(EventId::Sequence(12)));
        assert_eq!("00000000-0000-0000-0000-000000000007".parse(), Ok(EventId::Id(Uuid::from_u128(7))));
        for wrong in ["", "x", "12.x", "-1"] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong}");
        }
    }
}
