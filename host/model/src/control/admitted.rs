//! Admission as a type: what the log appends is an [`Admitted`], and there are three ways to come by one.
//! A draft from an edge or a plugin needs the chain's [`Passed`], a fact comes out of `decide`, and the host's own components leave a [`Notice`].

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    catalogue::{self, Owner},
    event::{Draft, Event, EventType, HOPS, Metadata, Severity, Text, trace},
    json::Json,
    narration::Narration,
    time::Timestamp,
};

/// Something that may be appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted(Draft);

impl Admitted {
    /// By the control chain.
    pub fn passed(passed: Passed) -> Self {
        Self(passed.0)
    }

    /// By the engine's `decide`.
    pub fn fact(fact: Fact) -> Self {
        Self(fact.0)
    }

    /// By a component of the host, past every gate.
    pub fn notice(notice: Notice) -> Self {
        Self(notice.0)
    }

    /// What is to be appended.
    pub fn draft(&self) -> &Draft {
        &self.0
    }

    /// The event at its place in the log, to be shared.
    pub fn recorded(self, sequence_number: u64, recorded_at: Timestamp) -> Arc<Event> {
        self.0.recorded(sequence_number, recorded_at)
    }

    /// The event at its place in the log.
    pub fn into_event(self, sequence_number: u64, recorded_at: Timestamp) -> Event {
        self.0.into_event(sequence_number, recorded_at)
    }
}

/// A draft that the publish chain let through. Only the chain makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed(Draft);

impl Passed {
    pub(super) fn new(draft: Draft) -> Self {
        Self(draft)
    }

    /// What passed.
    pub fn draft(&self) -> &Draft {
        &self.0
    }
}

/// An event that changes workflow state. Only `decide` makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact(Draft);

impl Fact {
    pub(crate) fn new(event: Event) -> Self {
        Self(Draft::new(event))
    }

    /// What it says.
    pub fn draft(&self) -> &Draft {
        &self.0
    }
}

/// What a component of the host has to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice(Draft);

/// Why a notice cannot be made: a mistake in the host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a type that the host announces")]
pub struct NoticeError(String);

impl Notice {
    /// A notice of a catalogue type that the host owns, with the type's source and severity.
    ///
    /// # Errors
    /// [`NoticeError`] if the catalogue does not give the type to the host.
    pub fn new(event_type: &str, event_id: Uuid, now: Timestamp, payload: impl Into<Json>) -> Result<Self, NoticeError> {
        let entry = catalogue::entry(event_type)
            .filter(|entry| entry.owner != Owner::Command && !entry.source.is_empty())
            .ok_or_else(|| NoticeError(event_type.to_owned()))?;
        Ok(Self(Draft::new(Event {
            event_id,
            event_type: EventType::known(event_type),
            timestamp: now,
            recorded_at: Timestamp(0),
            sequence_number: 0,
            part: 0,
            source_component: Text::from(entry.source),
            correlation_id: Text::from(event_id.to_string()),
            causation_id: None,
            workflow_id: None,
            task_id: None,
            provider_id: None,
            severity: entry.severity,
            payload: payload.into(),
            metadata: Metadata::new(),
            narration: Narration::default(),
        })))
    }

    fn edit(self, edit: impl FnOnce(&mut Event)) -> Self {
        let mut event = (*self.0).clone();
        edit(&mut event);
        Self(Draft::new(event))
    }

    /// The same, as an effect of `cause`: its correlation, workflow and task.
    #[must_use]
    pub fn caused_by(self, cause: &Event) -> Self {
        self.edit(|event| {
            event.correlation_id = cause.correlation_id.clone();
            event.causation_id = Some(Text::from(cause.event_id.to_string()));
            event.workflow_id.clone_from(&cause.workflow_id);
            event.task_id.clone_from(&cause.task_id);
            if let Some(hops) = cause.metadata.get(HOPS) {
                event.metadata.insert(HOPS.to_owned(), hops.clone());
            }
            trace::follow(&mut event.metadata, cause);
            trace::continue_from(&mut event.metadata, event.event_id, event.causation_id.as_deref());
        })
    }

    /// The same, so many publishes by plugins away from what began it all.
    #[must_use]
    pub fn hops(self, hops: u32) -> Self {
        self.edit(|event| drop(event.metadata.insert(HOPS.to_owned(), hops.to_string())))
    }

    /// The same, in somebody's correlation.
    #[must_use]
    pub fn correlated(self, correlation_id: &Text) -> Self {
        self.edit(|event| event.correlation_id = correlation_id.clone())
    }

    /// The same, about a workflow's task.
    #[must_use]
    pub fn about_task(self, correlation_id: &Text, workflow_id: &Text, task_id: Option<&Text>) -> Self {
        self.edit(|event| {
            event.correlation_id = correlation_id.clone();
            event.workflow_id = Some(workflow_id.clone());
            event.task_id = task_id.cloned();
        })
    }

    /// The same, about a provider.
    #[must_use]
    pub fn about_provider(self, provider_id: &Text) -> Self {
        self.edit(|event| event.provider_id = Some(provider_id.clone()))
    }

    /// The same, at another severity.
    #[must_use]
    pub fn severity(self, severity: Severity) -> Self {
        self.edit(|event| event.severity = severity)
    }
}
