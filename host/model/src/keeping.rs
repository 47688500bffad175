//! What the log says of its own keeping: dead letters and what became of them, and stretches that are no longer there.
//! Which events are trimmed is the store's to find, and when is the engine's.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    event::{Event, Metadata, Severity, Text},
    json::Json,
    time::Timestamp,
};

/// The type that keeps a dead letter.
pub const DEAD_LETTERED: &str = "event:dead_lettered";
/// The type that says that one was tried again.
pub const REDRIVEN: &str = "event:redriven";
/// The type that says that some were given up.
pub const PURGED: &str = "event:purged";
/// The type that says what is no longer there.
pub const TRIMMED: &str = "event:trimmed";

/// Bytes of an attempt's error that are kept.
pub const MOST_ERROR_BYTES: usize = 1_024;
/// Attempts of one delivery that are kept: the newest.
pub const MOST_ATTEMPTS: usize = 20;

/// A stretch of the log that is no longer there, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// The first sequence.
    pub from: u64,
    /// The last one.
    pub to: u64,
}

impl Gap {
    /// The gaps that these sequences leave, which ascend.
    pub fn of(sequences: impl IntoIterator<Item = u64>) -> Vec<Self> {
        let mut gaps: Vec<Self> = Vec::new();
        for sequence in sequences {
            match gaps.last_mut() {
                Some(last) if last.to + 1 == sequence => last.to = sequence,
                _ => gaps.push(Self { from: sequence, to: sequence }),
            }
        }
        gaps
    }

    /// How many sequences it has.
    pub fn events(&self) -> u64 {
        self.to - self.from + 1
    }
}

/// One delivery, or publish, that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// The version of the plugin, as it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Text>,
    /// What it said, or what it died of; clipped.
    pub error: String,
}

impl Attempt {
    /// An attempt with as much of its error as is kept.
    pub fn new(attempt: u32, at: Timestamp, version: Option<Text>, error: &str) -> Self {
        let end = (0..=MOST_ERROR_BYTES.min(error.len())).rev().find(|end| error.is_char_boundary(*end)).unwrap_or(0);
        Self { attempt, at, version, error: error[..end].to_owned() }
    }
}

/// `event:dead_lettered`: a delivery to an observer that was never taken, or a publish that was refused. What logs of earlier versions do not say is
/// absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeadLettered {
    /// Whose delivery, or whose publish.
    pub plugin: Text,
    /// Its version, of an observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Text>,
    /// `deliveries`, `refused`, `too_many_hops`.
    pub code: Text,
    /// The last error.
    pub reason: String,
    /// Deliveries, of an observer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<u32>,
    /// What each attempt came to, the newest.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// Of the event that was not taken, or the id under which it should have been published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    /// Of the same.
    pub event_type: String,
    /// Where the event that was not taken stands; `None`: a publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_number: Option<u64>,
    /// The same, inside narration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Publishes by plugins that led to it, of a publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hops: Option<u32>,
    /// Of a publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Of a publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// Of a publish.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// When the plugin says it happened, of a publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// The event that a publish follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Text>,
}

/// What a redrive came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redrive {
    /// The observer took it; the letter is gone.
    Taken,
    /// It is on its way to the door, under a new id; the letter is gone.
    Published,
    /// It is in its durable reader's hands; the letter is gone.
    HandedOn,
    /// The observer did not take it; the letter stays.
    NotTaken,
}

/// `event:redriven`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redriven {
    /// The letter: the sequence of its `event:dead_lettered`.
    pub dead_letter: u64,
    /// Whose it was.
    pub plugin: Text,
    /// What came of it.
    pub outcome: Redrive,
    /// Who wanted it.
    pub by: Text,
    /// Why the observer did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// The id of the new publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    /// The payload in place of the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
}

/// `event:purged`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Purged {
    /// The letters: the sequences of their `event:dead_lettered`.
    pub dead_letters: Vec<u64>,
    /// Who wanted it.
    pub by: Text,
    /// Why, in the words of whoever wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `event:trimmed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrimmedEvents {
    /// What is no longer there, in order.
    pub ranges: Vec<Gap>,
    /// How many events that were.
    pub events: u64,
    /// `retention`, or `salvage`: they could not be read.
    pub reason: Text,
    /// The place of the retention rule that took them, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
}

/// A dead letter, as lists and the store's table have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its name: the sequence of its `event:dead_lettered`.
    pub sequence: u64,
    /// Whose delivery, or whose publish.
    pub plugin: Text,
    /// `deliveries`, `refused`, `too_many_hops`.
    pub code: Text,
    /// Of what could not be handed over, or published.
    pub event_type: Text,
    /// Where that stands; `None`: a publish.
    pub event_sequence: Option<u64>,
    /// When it died.
    pub dead_at: Timestamp,
}

/// What an event changes about the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterChange {
    /// There is one more.
    Kept(Letter),
    /// These are gone.
    Gone(Vec<u64>),
}

impl LetterChange {
    /// What this event changes; `None`: nothing. The letters are a fold over these.
    pub fn of(event: &Event) -> Option<Self> {
        match &*event.event_type {
            DEAD_LETTERED => {
                // One that says nothing of what it is about is kept all the same: it is told of, and can be purged.
                let dead: DeadLettered = event.payload.read().unwrap_or_default();
                Some(Self::Kept(Letter {
                    sequence: event.sequence_number,
                    plugin: dead.plugin,
                    code: dead.code,
                    event_type: Text::from(dead.event_type),
                    event_sequence: dead.sequence_number,
                    dead_at: event.recorded_at,
                }))
            }
            REDRIVEN => {
                let redriven: Redriven = event.payload.read().ok()?;
                (redriven.outcome != Redrive::NotTaken).then(|| Self::Gone(vec![redriven.dead_letter]))
            }
            PURGED => Some(Self::Gone(event.payload.read::<Purged>().ok()?.dead_letters)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_that_touch_are_one_gap() {
        let gaps = Gap::of([1, 2, 3, 7, 9, 10]);
        assert_eq!(gaps, [(1, 3), (7, 7), (9, 10)].map(|(from, to)| Gap { from, to }));
        assert_eq!(gaps.iter().map(Gap::events).sum::<u64>(), 6);
    }

    #[test]
    fn an_error_is_clipped_between_characters() {
        let attempt = Attempt::new(1, Timestamp(0), None, &"é".repeat(1_000));
        assert_eq!(attempt.error, "é".repeat(MOST_ERROR_BYTES / 2));
        let attempt = Attempt::new(1, Timestamp(0), None, &format!("x{}", "é".repeat(1_000)));
        assert_eq!(attempt.error.len(), MOST_ERROR_BYTES - 1);
    }
}
