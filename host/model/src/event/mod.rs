//! The event envelope: the one shape of every fact, from any edge to the log and back.
//! What an edge may send is `incoming`'s; which types exist is the catalogue's.

mod aliases;
pub mod cloud_event;
mod condition;
mod dedup_windows;
mod event_type;
mod filter;
mod incoming;
mod index;
pub mod trace;

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    aliases::{AliasError, Aliases, MOST_ALIASES},
    condition::{
        CONDITION_BYTES, CONDITION_PAYLOAD_BYTES, CONDITION_STEPS, Condition, ConditionError, QUICK_PAYLOAD_BYTES, QUICK_STEPS, Sight,
    },
    dedup_windows::{DedupWindowError, DedupWindows, LONGEST_DEDUP_WINDOW_SECS, MOST_DEDUP_WINDOWS},
    event_type::{EventType, EventTypeError, MAX_EVENT_TYPE_BYTES},
    filter::{Filter, FilterError, Pattern},
    incoming::{DRAFT_FIELDS, EnvelopeLimits, Incoming, Rejection, RejectionKind},
    index::TypeIndex,
};
use crate::{json::Json, narration::Narration, time::Timestamp};

/// Short shared text: ids and names that many events carry.
pub type Text = Arc<str>;

/// Small string facts beside the payload: `traceparent`, `request_id`, ….
pub type Metadata = BTreeMap<String, String>;

/// How much an event matters; ordered, `Debug` lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For whoever hunts a fault.
    Debug,
    /// The usual course.
    #[default]
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
    /// Someone has to act.
    Critical,
}

impl Severity {
    /// All of them, lowest first: the ordinals of the plugin contract.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        ["debug", "info", "warning", "error", "critical"][self as usize]
    }
}

impl FromStr for Severity {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| format!("severity '{text}' is not one of debug, info, warning, error, critical"))
    }
}

/// In an event's metadata: how many publishes by plugins led to it, one after the other. The host's to write.
pub const HOPS: &str = "hops";

/// A place in the log, as cursors, `after` and stream ids write it: the sequence, and the part where a fact is narrated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// [`Event::sequence_number`].
    pub sequence: u64,
    /// [`Event::part`].
    pub part: u32,
}

impl Position {
    /// Behind everything that has this sequence, narration and fact.
    pub fn end_of(sequence: u64) -> Self {
        Self { sequence, part: u32::MAX }
    }

    /// The last sequence that this is behind with all its parts.
    pub fn whole_through(self) -> u64 {
        if self.part == u32::MAX { self.sequence } else { self.sequence.saturating_sub(1) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            u32::MAX => write!(f, "{}", self.sequence),
            part => write!(f, "{}.{part}", self.sequence),
        }
    }
}

impl FromStr for Position {
    type Err = String;
    /// `12` is behind all of 12; `12.3` behind part 3 of it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("'{text}' is not a position; write a sequence number such as 12, or 12.3 for a part of it");
        match text.split_once('.') {
            None => Ok(Self::end_of(text.parse().map_err(wrong)?)),
            Some((sequence, part)) => Ok(Self { sequence: sequence.parse().map_err(wrong)?, part: part.parse().map_err(wrong)? }),
        }
    }
}

/// One immutable fact, as it stands in the log. An `Event` in hand is valid; nobody checks it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Identity; UUIDv7 if the host gave it.
    pub event_id: Uuid,
    /// `component:action`.
    pub event_type: EventType,
    /// The publisher's claim of when it happened.
    pub timestamp: Timestamp,
    /// When the host recorded it; never runs backwards along the log.
    pub recorded_at: Timestamp,
    /// Place in the log, from 1, without gaps.
    pub sequence_number: u64,
    /// Narration's place before its fact; the fact has the number of its parts. 0 where there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u32,
    /// Who published it; stamped by the host for plugins and for itself.
    pub source_component: Text,
    /// Groups all that one request set in motion.
    pub correlation_id: Text,
    /// The event that caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Text>,
    /// The workflow it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Text>,
    /// The task it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<Text>,
    /// The provider it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<Text>,
    /// How much it matters.
    pub severity: Severity,
    /// Any JSON.
    pub payload: Json,
    /// Small string facts beside the payload.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: Metadata,
    /// The finer story that led here; expanded by [`Event::expand`], not part of the envelope's JSON.
    #[serde(skip)]
    pub narration: Narration,
}

fn is_zero(part: &u32) -> bool {
    *part == 0
}

impl Event {
    /// Where it stands in the log.
    pub fn position(&self) -> Position {
        Position { sequence: self.sequence_number, part: self.part }
    }

    /// Bytes of its texts, the id as people write it: what a guest is charged for being handed it.
    pub fn text_bytes(&self) -> u64 {
        let optional = [&self.causation_id, &self.workflow_id, &self.task_id, &self.provider_id];
        let texts = self.event_type.len() + self.source_component.len() + self.correlation_id.len() + self.payload.as_str().len();
        let optional: usize = optional.into_iter().flatten().map(|text| text.len()).sum();
        let metadata: usize = self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        (texts + optional + metadata + uuid::fmt::Hyphenated::LENGTH) as u64
    }

    /// The narration that led to this fact, each as an event of its own, and the fact last.
    pub fn expand(&self) -> impl Iterator<Item = Event> + '_ {
        self.narration.events(self).chain(std::iter::once(self.clone()))
    }
}

/// The same before it is admitted: valid and normalised, but without a place in the log. Cloning shares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft(Arc<Event>);

impl Draft {
    /// What `event` says, as something yet to be recorded.
    pub(crate) fn new(mut event: Event) -> Self {
        event.sequence_number = 0;
        event.recorded_at = Timestamp(0);
        event.part = event.narration.parts();
        Self(Arc::new(event))
    }

    /// The event this becomes at its place in the log.
    pub fn into_event(self, sequence_number: u64, recorded_at: Timestamp) -> Event {
        Arc::unwrap_or_clone(self.recorded(sequence_number, recorded_at))
    }

    /// The same, to be shared: nothing is copied unless somebody else still has the draft.
    pub fn recorded(mut self, sequence_number: u64, recorded_at: Timestamp) -> Arc<Event> {
        let event = Arc::make_mut(&mut self.0);
        event.sequence_number = sequence_number;
        event.recorded_at = recorded_at;
        self.0
    }

    /// The same, belonging to a workflow: a command that concerns it.
    #[must_use]
    pub fn of_workflow(mut self, workflow_id: &Text) -> Self {
        Arc::make_mut(&mut self.0).workflow_id = Some(workflow_id.clone());
        self
    }

    /// The same with one more string beside the payload.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: String) -> Self {
        Arc::make_mut(&mut self.0).metadata.insert(key.to_owned(), value);
        self
    }

    /// The same with another payload: a control handler's amendment, or a definition moved into a blob.
    #[must_use]
    pub fn with_payload(mut self, payload: Json) -> Self {
        Arc::make_mut(&mut self.0).payload = payload;
        self
    }
}

impl std::ops::Deref for Draft {
    type Target = Event;
    /// As control handlers see it: sequence and record time 0.
    fn deref(&self) -> &Event {
        &self.0
    }
}
