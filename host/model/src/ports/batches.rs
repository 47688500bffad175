//! What one call carries to a guest: a subject of a decision, a batch of them, a batch of events for observers. Each is made once and serves
//! every guest that is asked about the same; the layout of the packed form is `packed`'s.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use uuid::Uuid;

use crate::{
    control::{CheckContext, Signal},
    event::{Event, Text},
    packed,
    time::Timestamp,
};

/// What an event is to a chain: the event, and its packed form, made at most once for all handlers that take it.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The event.
    pub event: Cow<'a, Event>,
    /// Who published or submitted.
    pub principal: Option<Text>,
    packed: OnceLock<Box<[u8]>>,
}

impl<'a> Subject<'a> {
    /// A subject whose packed form nobody has needed yet.
    pub fn new(event: &'a Event, principal: Option<&str>) -> Self {
        Self { event: Cow::Borrowed(event), principal: principal.map(Text::from), packed: OnceLock::new() }
    }

    /// The same, of an event that it keeps.
    pub fn owned(event: Event, principal: Option<Text>) -> Subject<'static> {
        Subject { event: Cow::Owned(event), principal, packed: OnceLock::new() }
    }

    /// The packed form (`wit/trackside-packed`).
    pub fn packed(&self) -> &[u8] {
        self.packed.get_or_init(|| packed::event(&self.event, self.principal.as_deref()).into_boxed_slice())
    }
}

/// Several events that one handler judges in one call, each as if it were alone. It serves one handler after the other, for as long as
/// the same events, unchanged, are what they are asked about.
#[derive(Debug)]
pub struct CheckBatch {
    asked: Vec<(Arc<Subject<'static>>, CheckContext)>,
    names: Arc<[(Uuid, Text)]>,
    packed: OnceLock<Box<[u8]>>,
}

impl CheckBatch {
    /// A batch of these events, each with what is known about its decision now.
    pub fn new(asked: Vec<(Arc<Subject<'static>>, CheckContext)>) -> Self {
        let names = asked.iter().map(|(subject, _)| (subject.event.event_id, subject.event.correlation_id.clone())).collect();
        Self { asked, names, packed: OnceLock::new() }
    }

    /// The events, each with what was known about its decision when the batch was made.
    pub fn asked(&self) -> &[(Arc<Subject<'static>>, CheckContext)] {
        &self.asked
    }

    /// Id and correlation of each event.
    pub fn names(&self) -> &Arc<[(Uuid, Text)]> {
        &self.names
    }

    /// The packed form (`wit/trackside-packed`). It has the bytes of these events and of no others: what a handler was not asked about, or
    /// what stood in an event before somebody amended it, is not there to be found.
    pub fn packed(&self) -> &[u8] {
        self.packed
            .get_or_init(|| packed::checks(self.asked.iter().map(|(subject, context)| (subject.packed(), context))).into_boxed_slice())
    }
}

/// What has changed since a batch was made.
#[derive(Clone, Copy, Debug)]
pub struct BatchTurn {
    /// The host's clock.
    pub now: Timestamp,
    /// Milliseconds since the batch was made: what is to be added to each `elapsed_ms`.
    pub since_ms: u64,
    /// Left to answer in, for all of them together.
    pub remaining_ms: u64,
}

/// The answers other than a plain proceed, each with its event's place in the batch, in that order.
pub type BatchVerdicts = Vec<(usize, Signal)>;

/// Events that observers are handed in one call: one batch serves all that want the same of a stretch of the log.
#[derive(Debug)]
pub struct EventBatch {
    events: Vec<Arc<Event>>,
    names: Arc<[(Uuid, Text)]>,
    text_bytes: u64,
    packed: OnceLock<Box<[u8]>>,
}

impl EventBatch {
    /// A batch of these events, in order.
    pub fn new(events: Vec<Arc<Event>>) -> Self {
        let names = events.iter().map(|event| (event.event_id, event.correlation_id.clone())).collect();
        let text_bytes = events.iter().map(|event| event.text_bytes()).sum();
        Self { events, names, text_bytes, packed: OnceLock::new() }
    }

    /// The events.
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// Id and correlation of each event.
    pub fn names(&self) -> &Arc<[(Uuid, Text)]> {
        &self.names
    }

    /// [`Event::text_bytes`] of all of them.
    pub fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// The packed form (`wit/trackside-packed`).
    pub fn packed(&self) -> &[u8] {
        self.packed.get_or_init(|| packed::batch(self.events.iter().map(|event| &**event)).into_boxed_slice())
    }
}
