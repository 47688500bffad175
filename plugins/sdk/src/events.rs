//! Owns what a plugin can ask of the bus: publish, raise an error, look into the log.
//! Leaves the outbox (publishes happen if the call returns without a fault) and the control chain to the host.

use crate::bindings::host::trackside::plugin::{events as wit, types};
use crate::refusal::refusal;
use crate::{Event, EventBuf, Filter, Severity};
use serde::Serialize;

refusal! {
    wit::Refusal {
        /// The operator's settings do not grant it.
        NotGranted => "publishing is not granted: the settings need `publish` under [grants]",
        /// The type, payload or cause is not well formed.
        Invalid => "the draft is not valid: look at its type, its payload and its cause",
        /// The payload is above the limit.
        TooLarge => "the draft is larger than the limit for payloads",
        /// More publishes in one call than the limit.
        TooMany => "more publishes in one call than its limit",
        /// Only the host publishes this type.
        ReservedType => "the type is reserved for the host",
        /// The event at hand already stems from too long a chain of plugins.
        TooManyHops => "too many plugins in a row have answered each other",
    }
}

/// An event that a plugin wants published. The host adds source, causation and, where they are not given, the rest.
///
/// ```no_run
/// use trackside_sdk::{Draft, events};
/// events::publish(Draft::new("stock:low").payload(serde_json::json!({ "item": "tea", "left": 2 })))?;
/// # Ok::<(), events::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct Draft(types::Draft);

impl Draft {
    /// A draft of this type, severity info, with an empty object for payload.
    #[must_use]
    pub fn new(event_type: impl Into<String>) -> Self {
        Draft(types::Draft {
            event_type: event_type.into(),
            severity: types::Severity::Info,
            payload: "{}".into(),
            metadata: Vec::new(),
            cause: None,
            correlation_id: None,
            timestamp: None,
            key: None,
        })
    }

    /// With this payload. One that does not serialise is refused as invalid when the draft is published.
    #[must_use]
    pub fn payload(mut self, payload: impl Serialize) -> Self {
        self.0.payload = serde_json::to_string(&payload).unwrap_or_default();
        self
    }

    /// With this JSON text for payload.
    #[must_use]
    pub fn payload_text(mut self, json: impl Into<String>) -> Self {
        self.0.payload = json.into();
        self
    }

    /// With this severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.0.severity = severity.into_wit();
        self
    }

    /// With this metadata pair beside the others.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.push((key.into(), value.into()));
        self
    }

    /// Following from this event of the batch at hand. Correlation, workflow and task default to its.
    #[must_use]
    pub fn cause(mut self, cause: &Event<'_>) -> Self {
        self.0.cause = Some(cause.event_id().into());
        self
    }

    /// In this correlation in place of the cause's.
    #[must_use]
    pub fn correlation_id(mut self, correlation_id: impl Into<String>) -> Self {
        self.0.correlation_id = Some(correlation_id.into());
        self
    }

    /// Said to have happened at this time, in nanoseconds since 1970.
    #[must_use]
    pub fn timestamp_ns(mut self, timestamp_ns: u64) -> Self {
        self.0.timestamp = Some(timestamp_ns);
        self
    }

    /// With this identity for dedup, in place of the one that is derived from plugin, cause and place in the call.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.key = Some(key.into());
        self
    }

    pub(crate) fn as_wit(&self) -> &types::Draft {
        &self.0
    }
}

/// Publishes, once this call has returned without a fault. Gives the event's id.
///
/// # Errors
/// A refusal; the other publishes of the call stand.
pub fn publish(draft: Draft) -> Result<String, Refusal> {
    wit::publish(draft.as_wit()).map_err(Refusal::from)
}

/// Says that something is wrong with the event at hand: `error:raised`.
///
/// # Errors
/// A refusal; nothing is raised.
pub fn raise(message: impl AsRef<str>) -> Result<(), Refusal> {
    wit::raise(message.as_ref(), None, None).map_err(Refusal::from)
}

/// Says that something is wrong with one event of a batch, with facts for machines. Details that do not serialise are left out.
///
/// # Errors
/// A refusal; nothing is raised.
pub fn raise_about(cause: &Event<'_>, message: impl AsRef<str>, details: impl Serialize) -> Result<(), Refusal> {
    let details = serde_json::to_string(&details).ok();
    wit::raise(message.as_ref(), details.as_deref(), Some(cause.event_id())).map_err(Refusal::from)
}

/// A page of the log.
#[derive(Clone, Debug)]
pub struct Page {
    /// The events, oldest first.
    pub events: Vec<EventBuf>,
    /// What to give as `after` for the next page; `None`: there is none.
    pub next: Option<u64>,
}

/// Looks into the log as it stood at the last event at hand, after this sequence number, for at most `limit` events.
///
/// # Errors
/// A refusal.
pub fn query(filter: &Filter, after: Option<u64>, limit: u32) -> Result<Page, Refusal> {
    let page = wit::query(filter.as_wit(), after, limit)?;
    Ok(Page { events: page.events.into_iter().map(EventBuf::from_wit).collect(), next: page.next })
}
