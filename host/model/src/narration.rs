//! Narration: the finer story of how a fact came about, carried inside the fact in a few bytes a line.
//! Expanded into events only for readers whose filter asks; nobody asking, it costs the bytes alone.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    catalogue,
    event::{Event, EventType, Text},
    json::Json,
    time::Timestamp,
};

/// One moment of the story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// A narration type of the catalogue, which also names source and severity.
    #[serde(rename = "t")]
    pub event_type: EventType,
    /// When it happened.
    #[serde(rename = "at", with = "nanoseconds")]
    pub timestamp: Timestamp,
    /// Another task than the fact's.
    #[serde(rename = "task", default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<Text>,
    /// The provider that it is about.
    #[serde(rename = "provider", default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<Text>,
    /// What there is to say; absent for `{}`.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
}

impl Moment {
    /// A moment without a payload, about the fact's own task.
    ///
    /// # Panics
    /// In debug builds, if the catalogue does not list the type.
    pub fn new(event_type: &str, timestamp: Timestamp) -> Self {
        debug_assert!(catalogue::entry(event_type).is_some(), "{event_type} is not in the catalogue");
        Self { event_type: EventType::known(event_type), timestamp, task_id: None, provider_id: None, payload: None }
    }

    /// The same, with a payload.
    #[must_use]
    pub fn with(mut self, payload: impl Into<Json>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// The same, about another task than the fact's.
    #[must_use]
    pub fn about_task(mut self, task_id: &Text) -> Self {
        self.task_id = Some(task_id.clone());
        self
    }

    /// The same, about a provider.
    #[must_use]
    pub fn about_provider(mut self, provider_id: &Text) -> Self {
        self.provider_id = Some(provider_id.clone());
        self
    }
}

/// The moments of one fact, in order, as stored. Cloning shares them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Narration(Option<Arc<Story>>);

#[derive(Debug, PartialEq)]
struct Story {
    parts: u32,
    text: String,
}

impl Narration {
    /// The story of these moments.
    pub fn of(moments: &[Moment]) -> Self {
        if moments.is_empty() {
            return Self::default();
        }
        let text = serde_json::to_string(moments).expect("moments have string keys");
        Self(Some(Arc::new(Story { parts: u32::try_from(moments.len()).unwrap_or(u32::MAX), text })))
    }

    /// As stored, with its number of parts.
    pub fn stored(text: String, parts: u32) -> Self {
        Self(Some(Arc::new(Story { parts, text })))
    }

    /// What is stored; `None` where there is no story.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_ref().map(|story| story.text.as_str())
    }

    /// How many moments there are.
    pub fn parts(&self) -> u32 {
        self.0.as_ref().map_or(0, |story| story.parts)
    }

    /// Each moment as an event; what it does not say itself it has from `fact`.
    pub fn events<'a>(&self, fact: &'a Event) -> impl Iterator<Item = Event> + use<'a> {
        let moments: Vec<Moment> = self.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        moments.into_iter().zip(0..).map(|(moment, part)| told(moment, part, fact))
    }
}

fn told(moment: Moment, part: u32, fact: &Event) -> Event {
    let entry = catalogue::entry(&moment.event_type);
    Event {
        event_id: Uuid::new_v5(&fact.event_id, &part.to_le_bytes()),
        timestamp: moment.timestamp,
        recorded_at: fact.recorded_at,
        sequence_number: fact.sequence_number,
        part,
        source_component: entry.map_or_else(|| fact.source_component.clone(), |entry| Text::from(entry.source)),
        correlation_id: fact.correlation_id.clone(),
        causation_id: fact.causation_id.clone(),
        workflow_id: fact.workflow_id.clone(),
        // A moment about a wave or the workflow is about no task, though a task's fact carries it.
        task_id: moment.task_id.or_else(|| fact.task_id.clone()).filter(|_| !matches!(moment.event_type.component(), "wave" | "workflow")),
        // The fact's provider may have come into it only after this moment.
        provider_id: moment.provider_id,
        severity: entry.map_or(fact.severity, |entry| entry.severity),
        payload: moment.payload.unwrap_or_else(|| Json::trusted("{}")),
        metadata: fact.metadata.clone(),
        narration: Narration::default(),
        event_type: moment.event_type,
    }
}

mod nanoseconds {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::Timestamp;

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        u64::deserialize(deserializer).map(Timestamp)
    }
}
