//! Owns the events that an author meets: `Event` (a view, whichever shape it came in), `Events` (a batch) and `EventBuf` (owned).
//! Leaves the packed layout to `packed`, and publishing to `events`.

use crate::Error;
use crate::bindings::host::trackside::plugin::types;
use crate::packed::{Batch, Field, View};
use serde::{Deserialize, Serialize};

/// How much an event matters. Ordered: `Debug` is the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For whoever looks closely.
    Debug,
    /// The ordinary course of things.
    #[default]
    Info,
    /// Not wrong yet.
    Warning,
    /// Something failed.
    Error,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// The name in the JSON envelope: `debug`, `info`, `warning`, `error` or `critical`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Debug => "debug",
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }

    pub(crate) fn from_wit(severity: types::Severity) -> Self {
        match severity {
            types::Severity::Debug => Severity::Debug,
            types::Severity::Info => Severity::Info,
            types::Severity::Warning => Severity::Warning,
            types::Severity::Error => Severity::Error,
            types::Severity::Critical => Severity::Critical,
        }
    }

    pub(crate) fn into_wit(self) -> types::Severity {
        match self {
            Severity::Debug => types::Severity::Debug,
            Severity::Info => types::Severity::Info,
            Severity::Warning => types::Severity::Warning,
            Severity::Error => types::Severity::Error,
            Severity::Critical => types::Severity::Critical,
        }
    }

    fn from_ordinal(ordinal: u8) -> Self {
        match ordinal {
            0 => Severity::Debug,
            1 => Severity::Info,
            2 => Severity::Warning,
            3 => Severity::Error,
            _ => Severity::Critical,
        }
    }
}

/// One immutable fact, or one piece of a fact's narration, as the host handed it over.
///
/// A view: reading a field copies nothing, and a field that is not read costs nothing.
#[derive(Clone, Copy)]
pub struct Event<'a>(Shape<'a>);

#[derive(Clone, Copy)]
enum Shape<'a> {
    Packed(View<'a>),
    Record(&'a types::Event),
}

/// One accessor a field, the same for both shapes.
macro_rules! accessors {
    ($($(#[$doc:meta])* $name:ident: $type:ty = |$packed:ident| $from_packed:expr, |$record:ident| $from_record:expr;)*) => {
        impl<'a> Event<'a> {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> $type {
                match self.0 {
                    Shape::Packed($packed) => $from_packed,
                    Shape::Record($record) => $from_record,
                }
            })*
        }
    };
}

accessors! {
    /// UUID, unique for as long as the event is retained.
    event_id: &'a str = |view| view.field(Field::EventId), |event| &event.event_id;
    /// `component:action`, for example `task:completed`.
    event_type: &'a str = |view| view.field(Field::EventType), |event| &event.event_type;
    /// Place in the log; 0 in `Control::check`, where it has none yet.
    sequence_number: u64 = |view| view.sequence_number(), |event| event.sequence_number;
    /// Narration counts up to the fact that it leads to, which comes last; 0 where there is none.
    part: u32 = |view| view.part(), |event| event.part;
    /// When the publisher says it happened, in nanoseconds since 1970. Not to be trusted for limits.
    timestamp_ns: u64 = |view| view.timestamp_ns(), |event| event.timestamp;
    /// When the host recorded it, in nanoseconds since 1970; 0 in `Control::check`. Never runs backwards.
    recorded_at_ns: u64 = |view| view.recorded_at_ns(), |event| event.recorded_at;
    /// The component or plugin that published it. The host vouches for plugins and for itself.
    source_component: &'a str = |view| view.field(Field::SourceComponent), |event| &event.source_component;
    /// Groups everything that one request set in motion.
    correlation_id: &'a str = |view| view.field(Field::CorrelationId), |event| &event.correlation_id;
    /// Id of the event that caused this one.
    causation_id: Option<&'a str> = |view| view.optional(Field::CausationId), |event| event.causation_id.as_deref();
    /// The workflow that it belongs to.
    workflow_id: Option<&'a str> = |view| view.optional(Field::WorkflowId), |event| event.workflow_id.as_deref();
    /// The task that it is about.
    task_id: Option<&'a str> = |view| view.optional(Field::TaskId), |event| event.task_id.as_deref();
    /// The provider that it is about.
    provider_id: Option<&'a str> = |view| view.optional(Field::ProviderId), |event| event.provider_id.as_deref();
    /// How much it matters.
    severity: Severity = |view| Severity::from_ordinal(view.severity()), |event| Severity::from_wit(event.severity);
    /// The payload's JSON text, as it was published.
    payload_text: &'a str = |view| view.field(Field::Payload), |event| &event.payload;
}

impl<'a> Event<'a> {
    /// The payload as `T`, which may borrow from it.
    ///
    /// # Errors
    /// When the payload does not have the shape of `T`.
    pub fn payload<T: Deserialize<'a>>(&self) -> Result<T, Error> {
        serde_json::from_str(self.payload_text()).map_err(|error| Error::new(format!("payload of {}: {error}", self.event_type())))
    }

    /// One of the small string facts beside the payload: `traceparent`, `request_id`, …
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&'a str> {
        match self.0 {
            Shape::Packed(view) => view.metadata().find(|(name, _)| *name == key).map(|(_, value)| value),
            Shape::Record(event) => event.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()),
        }
    }

    /// Every metadata pair, in the publisher's order.
    #[must_use]
    pub fn metadata_pairs(&self) -> Vec<(&'a str, &'a str)> {
        match self.0 {
            Shape::Packed(view) => view.metadata().collect(),
            Shape::Record(event) => event.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        }
    }

    pub(crate) fn packed(view: View<'a>) -> Self {
        Event(Shape::Packed(view))
    }

    pub(crate) fn record(event: &'a types::Event) -> Self {
        Event(Shape::Record(event))
    }
}

impl std::fmt::Debug for Event<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Event({} {} {})", self.event_id(), self.event_type(), self.payload_text())
    }
}

/// A batch of events, in the order of the log. Iterate over it: `for event in events`.
#[derive(Clone, Copy)]
pub struct Events<'a>(Batches<'a>);

#[derive(Clone, Copy)]
enum Batches<'a> {
    Packed(Batch<'a>),
    Records(&'a [types::Event]),
}

impl<'a> Events<'a> {
    /// How many there are. The host never delivers an empty batch.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Batches::Packed(batch) => batch.len(),
            Batches::Records(events) => events.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event at `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Event<'a>> {
        (index < self.len()).then(|| match self.0 {
            Batches::Packed(batch) => Event::packed(batch.get(index)),
            Batches::Records(events) => Event::record(&events[index]),
        })
    }

    /// The events, in order.
    pub fn iter(&self) -> impl Iterator<Item = Event<'a>> + use<'a> {
        let events = *self;
        (0..events.len()).filter_map(move |index| events.get(index))
    }

    pub(crate) fn packed(buffer: &'a [u8]) -> Self {
        Events(Batches::Packed(Batch::new(buffer)))
    }

    pub(crate) fn records(events: &'a [types::Event]) -> Self {
        Events(Batches::Records(events))
    }
}

impl<'a> IntoIterator for Events<'a> {
    type Item = Event<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter { events: self, next: 0 }
    }
}

/// The events of a batch, one by one.
#[derive(Clone)]
pub struct Iter<'a> {
    events: Events<'a>,
    next: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        let event = self.events.get(self.next)?;
        self.next += 1;
        Some(event)
    }
}

/// An event that is held, not seen: what a query gives, and what a unit test of a handler is fed.
///
/// ```
/// use trackside_sdk::EventBuf;
/// let failed = EventBuf::new("task:failed").task_id("fetch").payload(serde_json::json!({ "error": { "code": "busy" } }));
/// assert_eq!(failed.view().task_id(), Some("fetch"));
/// ```
#[derive(Clone, Debug)]
pub struct EventBuf(types::Event);

impl EventBuf {
    /// An event of this type with an empty object for payload and nothing else set.
    #[must_use]
    pub fn new(event_type: &str) -> Self {
        EventBuf(types::Event {
            event_id: "00000000-0000-7000-8000-000000000000".into(),
            event_type: event_type.into(),
            sequence_number: 0,
            part: 0,
            timestamp: 0,
            recorded_at: 0,
            source_component: "test".into(),
            correlation_id: "00000000-0000-7000-8000-000000000000".into(),
            causation_id: None,
            workflow_id: None,
            task_id: None,
            provider_id: None,
            severity: types::Severity::Info,
            payload: "{}".into(),
            metadata: Vec::new(),
        })
    }

    /// With this payload. A value that does not serialise becomes null.
    #[must_use]
    pub fn payload(mut self, payload: impl Serialize) -> Self {
        self.0.payload = serde_json::to_string(&payload).unwrap_or_else(|_| "null".into());
        self
    }

    /// With this severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.0.severity = severity.into_wit();
        self
    }

    /// Published by this component.
    #[must_use]
    pub fn source_component(mut self, source: &str) -> Self {
        self.0.source_component = source.into();
        self
    }

    /// In this correlation.
    #[must_use]
    pub fn correlation_id(mut self, correlation_id: &str) -> Self {
        self.0.correlation_id = correlation_id.into();
        self
    }

    /// Recorded by the host, and said to have happened, at this time, in nanoseconds since 1970.
    #[must_use]
    pub fn recorded_at_ns(mut self, recorded_at_ns: u64) -> Self {
        self.0.recorded_at = recorded_at_ns;
        self.0.timestamp = recorded_at_ns;
        self
    }

    /// Of this workflow.
    #[must_use]
    pub fn workflow_id(mut self, workflow_id: &str) -> Self {
        self.0.workflow_id = Some(workflow_id.into());
        self
    }

    /// About this task.
    #[must_use]
    pub fn task_id(mut self, task_id: &str) -> Self {
        self.0.task_id = Some(task_id.into());
        self
    }

    /// About this provider.
    #[must_use]
    pub fn provider_id(mut self, provider_id: &str) -> Self {
        self.0.provider_id = Some(provider_id.into());
        self
    }

    /// With this metadata pair beside the others.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.0.metadata.push((key.into(), value.into()));
        self
    }

    /// The event, as a handler sees it.
    #[must_use]
    pub fn view(&self) -> Event<'_> {
        Event::record(&self.0)
    }

    pub(crate) fn from_wit(event: types::Event) -> Self {
        EventBuf(event)
    }
}

/// A batch of events that is held: what a unit test of an observer is fed.
#[derive(Clone, Debug, Default)]
pub struct EventsBuf(Vec<types::Event>);

impl EventsBuf {
    /// The batch, as an observer sees it.
    #[must_use]
    pub fn view(&self) -> Events<'_> {
        Events::records(&self.0)
    }
}

impl FromIterator<EventBuf> for EventsBuf {
    fn from_iter<I: IntoIterator<Item = EventBuf>>(events: I) -> Self {
        EventsBuf(events.into_iter().map(|event| event.0).collect())
    }
}
