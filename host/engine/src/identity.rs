//! Identity: an event is published once. By the publisher's id for as long as the log has it, and a while longer, else by content within a window.
//! Settled before the chain, so that a thousand twins cost one check; the twins wait for the first one's answer.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use sha2_key::ContentKey;
use tokio::sync::oneshot;
use trackside_model::{
    catalogue::{self, Owner},
    event::{DedupWindows, Event, EventType},
    time::Timestamp,
};
use trackside_store::Ticket;
use uuid::Uuid;

/// In an event's metadata, where a control handler has put another payload in place: the digest of what was sent, by which its repetition is known.
pub(crate) const SENT_CONTENT: &str = "trackside-sent";

/// A key of contents as text.
pub(crate) fn hex(content: &ContentKey) -> String {
    content.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same, read back.
pub(crate) fn unhex(text: &str) -> Option<ContentKey> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

/// What an event is known again by when it has been trimmed: its content, or the digest of what was sent. The first byte says which.
pub(crate) fn trace_of(event: &Event) -> Arc<[u8]> {
    let sent = event.metadata.get(SENT_CONTENT).and_then(|sent| unhex(sent));
    let (kind, key) = sent.map_or_else(|| (CONTENT, sha2_key::of_payload(event)), |sent| (SENT, sent));
    std::iter::once(kind).chain(key).collect()
}

/// Whether a draft under the id of a trimmed event is that event.
pub(crate) fn is_trace_of(trace: &[u8], draft: &Event, given_correlation: bool) -> bool {
    match trace.split_first() {
        Some((&SENT, key)) => *key == sha2_key::of(draft, given_correlation),
        Some((_, key)) => *key == sha2_key::of_payload(draft),
        None => false,
    }
}

const CONTENT: u8 = 0;
const SENT: u8 = 1;

/// What two publishes of one event have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// The publisher's id.
    Id(Uuid),
    /// The content.
    Content(ContentKey),
}

/// The first of its kind, as its twins are told of it.
#[derive(Clone, Debug)]
pub(crate) struct Original {
    pub(crate) event_id: Uuid,
    pub(crate) sequence_number: u64,
    pub(crate) ticket: Ticket,
    /// What was published: the same id with other content is a conflict.
    pub(crate) content: ContentKey,
}

/// Whether a publish goes on.
pub(crate) enum Claimed {
    /// It is the first: settle or drop the claim.
    First(Claim),
    /// It was published before.
    Twin(Original),
    /// Its twin is under way: wait, then claim again if the twin came to nothing.
    Wait(oneshot::Receiver<Option<Original>>),
}

/// The right to publish an event. Dropped unsettled, the next twin may try.
pub(crate) struct Claim {
    key: Key,
    /// How long its content is remembered.
    window_ms: u64,
    identity: Arc<Identity>,
    settled: bool,
}

enum State {
    UnderWay(Vec<oneshot::Sender<Option<Original>>>),
    Known(Original),
}

#[derive(Default)]
struct Known {
    states: HashMap<Key, State, RandomState>,
    /// A queue for each length of a window. There are as many as the configuration names.
    windows: Vec<Window>,
    /// Contents in all of them.
    remembered: usize,
}

/// Contents that are remembered equally long, in the order in which that ends.
struct Window {
    window_ms: u64,
    contents: VecDeque<(Timestamp, Key)>,
}

/// What is under way and what the window remembers.
pub(crate) struct Identity {
    known: Mutex<Known>,
    window_ms: u64,
    windows: DedupWindows,
    most_entries: usize,
}

impl Identity {
    pub(crate) fn new(window_ms: u64, windows: DedupWindows, most_entries: usize) -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), window_ms, windows, most_entries })
    }

    /// How long the content of an event of this type is remembered.
    pub(crate) fn window_ms(&self, event_type: &EventType) -> u64 {
        match self.windows.of(event_type) {
            Some(window_ms) => window_ms,
            None if is_repetitive(event_type) => 0,
            None => self.window_ms,
        }
    }

    /// How far back contents may be remembered.
    pub(crate) fn longest_window_ms(&self) -> u64 {
        self.window_ms.max(self.windows.longest_ms())
    }

    /// How two publishes of this event are told to be one; `None`: they never are.
    pub(crate) fn key(&self, event: &Event, given_id: Option<Uuid>, content: impl FnOnce() -> ContentKey) -> Option<Key> {
        match given_id {
            Some(id) => Some(Key::Id(id)),
            None if is_command(&event.event_type) || self.window_ms(&event.event_type) == 0 => None,
            None => Some(Key::Content(content())),
        }
    }

    /// Claims the right to publish.
    pub(crate) fn claim(self: &Arc<Self>, key: Key, window_ms: u64, now: Timestamp) -> Claimed {
        let mut known = self.known.lock();
        known.forget(now, self.most_entries);
        match known.states.get_mut(&key) {
            None => {
                known.states.insert(key, State::UnderWay(Vec::new()));
                Claimed::First(Claim { key, window_ms, identity: self.clone(), settled: false })
            }
            Some(State::UnderWay(twins)) => {
                let (tell, told) = oneshot::channel();
                twins.push(tell);
                Claimed::Wait(told)
            }
            Some(State::Known(original)) => Claimed::Twin(original.clone()),
        }
    }

    /// Puts an event of the log's tail back into the window, after a restart.
    pub(crate) fn remember(&self, content: ContentKey, original: Original, at: Timestamp, window_ms: u64) {
        let key = Key::Content(content);
        let mut known = self.known.lock();
        known.states.insert(key, State::Known(original));
        known.remember(at, key, window_ms);
    }
}

impl Known {
    fn remember(&mut self, at: Timestamp, key: Key, window_ms: u64) {
        self.remembered += 1;
        match self.windows.iter_mut().find(|window| window.window_ms == window_ms) {
            Some(window) => window.contents.push_back((at, key)),
            None => self.windows.push(Window { window_ms, contents: VecDeque::from([(at, key)]) }),
        }
    }

    /// Forgets what has been remembered long enough, and beyond the bound what is the oldest.
    fn forget(&mut self, now: Timestamp, most_entries: usize) {
        for window in &mut self.windows {
            while let Some((_, key)) = window.contents.pop_front_if(|(at, _)| now.ms_since(*at) >= window.window_ms) {
                self.remembered -= 1;
                forget(&mut self.states, &key);
            }
        }
        while self.remembered > most_entries {
            let oldest = self.windows.iter_mut().filter(|window| !window.contents.is_empty());
            let oldest = oldest.min_by_key(|window| window.contents.front().map(|(at, _)| *at));
            let Some((_, key)) = oldest.and_then(|window| window.contents.pop_front()) else { break };
            self.remembered -= 1;
            forget(&mut self.states, &key);
        }
    }
}

/// What is under way again under a content that was known is not forgotten.
fn forget(states: &mut HashMap<Key, State, RandomState>, key: &Key) {
    if matches!(states.get(key), Some(State::Known(_))) {
        states.remove(key);
    }
}

impl Claim {
    /// The event is in the log, durable or about to be.
    pub(crate) fn settle(mut self, original: Original, now: Timestamp) {
        self.settled = true;
        let mut known = self.identity.known.lock();
        // Under way until now: its claim is the only one that ends it.
        let twins = match self.key {
            // The store knows ids from here on.
            Key::Id(_) => known.states.remove(&self.key),
            Key::Content(_) => {
                known.remember(now, self.key, self.window_ms);
                known.states.get_mut(&self.key).map(|state| std::mem::replace(state, State::Known(original.clone())))
            }
        };
        drop(known);
        tell(twins, Some(&original));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.settled {
            let twins = self.identity.known.lock().states.remove(&self.key);
            tell(twins, None);
        }
    }
}

fn tell(twins: Option<State>, original: Option<&Original>) {
    if let Some(State::UnderWay(twins)) = twins {
        for twin in twins {
            // A twin whose caller has gone needs no answer.
            let _ = twin.send(original.cloned());
        }
    }
}

/// Commands, which go by id alone.
fn is_command(event_type: &str) -> bool {
    catalogue::entry(event_type).is_some_and(|entry| entry.owner == Owner::Command)
}

/// Types of which the same content again is news unless the configuration says otherwise: heartbeats, ticks, metrics, progress.
fn is_repetitive(event_type: &str) -> bool {
    let mut segments = event_type.split(':');
    segments.next().is_some_and(|first| matches!(first, "tick" | "metrics"))
        || segments.any(|segment| matches!(segment, "heartbeat" | "metrics" | "progress"))
}

/// The digest of what makes two events the same.
pub(crate) mod sha2_key {
    use trackside_model::{event::Event, plugin::Digest};

    /// The first half of a SHA-256.
    pub(crate) type ContentKey = [u8; 16];

    /// The key of a content beside a number.
    pub(crate) fn beside(content: &ContentKey, number: u64) -> ContentKey {
        half(&[&content[..], &number.to_le_bytes()].concat())
    }

    /// Over type, source and canonical payload: what the log's own event is compared by.
    pub(crate) fn of_payload(event: &Event) -> ContentKey {
        half(format!("{}\u{1f}{}\u{1f}{}", event.event_type, event.source_component, event.payload.canonical()).as_bytes())
    }

    /// Over type, source, workflow, task, provider, the correlation that the publisher gave, and the canonical payload.
    pub(crate) fn of(event: &Event, given_correlation: bool) -> ContentKey {
        let mut text = String::with_capacity(256 + event.payload.as_str().len());
        let correlation = if given_correlation { &*event.correlation_id } else { "" };
        let ids = [event.workflow_id.as_deref(), event.task_id.as_deref(), event.provider_id.as_deref()];
        for part in [&*event.event_type, &event.source_component, correlation].into_iter().chain(ids.map(Option::unwrap_or_default)) {
            text.push_str(part);
            // Control characters are refused at the door, so that this cannot be part of one.
            text.push('\u{1f}');
        }
        event.payload.write_canonical(&mut text);
        half(text.as_bytes())
    }

    fn half(bytes: &[u8]) -> ContentKey {
        let Digest(digest) = Digest::of(bytes);
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        key
    }
}
