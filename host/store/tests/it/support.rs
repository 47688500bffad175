//! What the tests share: a directory, a clock that the test sets, events to append.

use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use trackside_model::{
    control::{Admitted, Verdict},
    event::{Draft, EnvelopeLimits, Event, Incoming},
    json::Json,
    time::Timestamp,
};
use trackside_store::{Appended, Batch, Entry, Flush, Store, StoreOptions};
use uuid::Uuid;

/// The real time.
pub(crate) fn clock() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp(u64::try_from(now.as_nanos()).expect("before 2554"))
}

static ORDER: AtomicU64 = AtomicU64::new(1);

/// An incoming event of a type, with a payload of its own.
pub(crate) fn incoming(event_type: &str) -> Incoming {
    let number = ORDER.fetch_add(1, Ordering::Relaxed);
    Incoming {
        event_type: event_type.to_owned(),
        source_component: "shop".to_owned(),
        payload: Some(Json::trusted(format!("{{\"n\":{number}}}"))),
        ..Incoming::default()
    }
}

/// The draft of an incoming event.
pub(crate) fn draft(incoming: Incoming) -> Draft {
    incoming.into_draft(clock(), Uuid::now_v7(), &EnvelopeLimits::default()).expect("a valid event")
}

/// Admission, by a chain that nobody is part of.
pub(crate) fn admit(draft: Draft) -> Admitted {
    let passed = Verdict::Proceed(None).let_through(draft);
    Admitted::passed(passed.expect("nobody objects"))
}

/// An entry of an incoming event.
pub(crate) fn entry(incoming: Incoming) -> Entry {
    Entry::fresh(admit(draft(incoming)))
}

/// Options in a directory, with small bounds where a test wants to meet them.
pub(crate) fn options(dir: &TempDir) -> StoreOptions {
    StoreOptions::new(dir.path())
}

/// A directory with an open store.
pub(crate) fn fresh() -> (TempDir, Store) {
    let dir = TempDir::new().expect("a directory");
    let store = open(&dir);
    (dir, store)
}

/// The store in a directory.
pub(crate) fn open(dir: &TempDir) -> Store {
    Store::open(options(dir), clock).expect("opens")
}

/// Appends one batch and waits for the disk.
pub(crate) fn append(store: &Store, batch: Batch) -> Appended {
    let appended = store.append(batch, Flush::Now).expect("appends");
    appended.ticket.wait().expect("durable");
    appended
}

/// Appends events of these types, each in a batch of its own.
pub(crate) fn append_types(store: &Store, types: &[&str]) {
    for event_type in types {
        append(store, Batch::of([entry(incoming(event_type))]));
    }
}

/// All durable events, page after page.
pub(crate) fn all(store: &trackside_store::ReadStore) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.sequence_number);
        let page = store.read(after, 1_000, 1 << 20).expect("reads");
        if page.is_empty() {
            return events;
        }
        events.extend(page.iter().map(|event| (**event).clone()));
    }
}
