//! Reading along the log: the ring and the file say the same, and both keep their bounds.

use trackside_model::{
    control::{Check, CheckAnswer, CheckedBy, DecisionPoint, DecisionRecord},
    event::{Metadata, Severity, Text},
    json::Json,
};
use trackside_store::{Batch, Flush, Store};

use crate::support::{all, append, clock, draft, entry, fresh, incoming, open, options};

/// An event that has everything an event can have.
fn full() -> trackside_model::event::Incoming {
    let mut full = incoming("deep:order:placed");
    full.timestamp = Some("2020-02-29T23:59:59.123456789Z".parse().unwrap());
    full.correlation_id = Some("0190A0B0-0000-7000-8000-00000000000F".to_owned());
    full.causation_id = Some(uuid::Uuid::now_v7().to_string());
    full.workflow_id = Some(uuid::Uuid::now_v7().simple().to_string());
    full.task_id = Some("übung\u{1F600}".to_owned());
    full.provider_id = Some("files".to_owned());
    full.severity = Some(Severity::Critical);
    full.payload = Some(Json::trusted(r#"{ "b" : [1.50, null], "a": "é" }"#));
    full.metadata = Metadata::from([("request_id".to_owned(), "\"7\"".to_owned()), ("note".to_owned(), String::new())]);
    full
}

fn batches() -> Vec<Batch> {
    let uuid = uuid::Uuid::now_v7().to_string();
    let mut same_ids = incoming("order:placed");
    (same_ids.correlation_id, same_ids.workflow_id) = (Some(uuid.clone()), Some(uuid));
    let plain = || Batch::of([entry(incoming("order:placed")), entry(incoming("order:paid"))]);
    vec![plain(), Batch::of([entry(full())]), Batch::of([entry(same_ids)]), plain()]
}

#[test]
fn ring_and_file_give_the_same_events() {
    let (dir, store) = fresh();
    let appended: Vec<_> = batches().into_iter().flat_map(|batch| append(&store, batch).events).map(|event| (*event).clone()).collect();
    let from_ring = all_of(&store);
    let from_file = all(&store);
    assert_eq!(from_ring, appended);
    assert_eq!(from_file, appended);
    let beside = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(all(&beside), appended);
    assert_eq!(*store.event(3).unwrap().unwrap(), appended[2]);
    assert_eq!(*store.event_by_id(&appended[2].event_id).unwrap().unwrap(), appended[2]);
    assert!(store.event(0).unwrap().is_none() && store.event(99).unwrap().is_none());
    drop((store, beside));
    assert_eq!(all_of(&open(&dir)), appended);
}

fn all_of(store: &Store) -> Vec<trackside_model::event::Event> {
    let mut events = Vec::new();
    while let Some(next) = store.read(events.len() as u64, 2, 1 << 20).unwrap().as_slice().first() {
        events.push((**next).clone());
    }
    events
}

#[test]
fn reads_keep_their_bounds_and_give_at_least_one() {
    let (_dir, store) = fresh();
    append(&store, Batch::of((0..10).map(|_| entry(incoming("order:placed")))));
    for read in [Store::read, |store: &Store, after, events, bytes| trackside_store::ReadStore::read(store, after, events, bytes)] {
        let numbers = |after, events, bytes| -> Vec<u64> {
            read(&store, after, events, bytes).unwrap().iter().map(|event| event.sequence_number).collect()
        };
        assert_eq!(numbers(0, 3, 1 << 20), [1, 2, 3]);
        assert_eq!(numbers(8, 3, 1 << 20), [9, 10]);
        assert_eq!(numbers(4, 3, 1), [5]);
        assert_eq!(numbers(4, 5, 1_300), [5, 6]);
        assert!(numbers(10, 3, 1 << 20).is_empty());
        assert!(numbers(u64::MAX, 3, 1 << 20).is_empty());
    }
}

#[test]
fn a_reader_behind_the_ring_reads_the_file() {
    let dir = tempfile::TempDir::new().unwrap();
    for (events, bytes) in [(4, usize::MAX), (usize::MAX, 2_000), (0, 0)] {
        let mut small = options(&dir);
        (small.ring_events, small.ring_bytes) = (events, bytes);
        let store = Store::open(small, clock).unwrap();
        for _ in 0..10 {
            append(&store, Batch::of([entry(incoming("order:placed"))]));
        }
        let mut after = 0;
        while after < store.durable_head() {
            let next = store.read(after, 3, 1 << 20).unwrap();
            assert_eq!(next[0].sequence_number, after + 1);
            after = next.last().unwrap().sequence_number;
        }
        let found = store.find(&store.event(after - 9).unwrap().unwrap().event_id).unwrap().unwrap();
        assert_eq!(found.sequence, after - 9, "remembered by id, and read from the file");
    }
}

#[test]
fn readers_see_only_what_is_durable_and_are_told() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut slow = options(&dir);
    slow.lazy_commit_us = 60_000_000;
    let store = Store::open(slow, clock).unwrap();
    let mut heads = store.watch_durable();
    let lazy = store.append(Batch::of([entry(incoming("a:b"))]), Flush::Lazy).unwrap();
    assert!(all(&store).is_empty() && all_of(&store).is_empty());
    assert!(store.event_by_id(&lazy.events[0].event_id).unwrap().is_none());
    assert!(lazy.ticket.outcome().is_none());
    assert!(!heads.has_changed().unwrap());
    let now = store.append(Batch::of([entry(incoming("a:b"))]), Flush::Now).unwrap();
    now.ticket.wait().unwrap();
    assert_eq!(lazy.ticket.outcome(), Some(Ok(())), "committed with the next one");
    // Told right after those who wait for an answer.
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(heads.changed()).unwrap();
    assert_eq!(*heads.borrow_and_update(), 2);
}

#[test]
fn a_ticket_wakes_a_task() {
    let (_dir, store) = fresh();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let appended = store.append(Batch::of([entry(incoming("a:b"))]), Flush::Lazy).unwrap();
        let (one, two) = tokio::join!(store.durable(&appended.ticket), store.durable(&appended.ticket));
        assert_eq!((one, two), (Ok(()), Ok(())));
        assert_eq!(store.durable(&appended.ticket).await, Ok(()), "also when it has long been");
    });
}

#[test]
fn decisions_are_kept_beside_their_event() {
    let (_dir, store) = fresh();
    let by = CheckedBy { plugin: Text::from("budget"), version: Text::from("0123456789ab"), settings: Text::from("ba9876543210") };
    let check = Check { by: by.into(), answer: CheckAnswer::Proceed, reason: None, amended: true, batch: 1, duration_ns: 5, fuel: 6 };
    let together = Check { reason: Some("why".into()), answer: CheckAnswer::NotAsked, batch: 64, ..check.clone() };
    let record = DecisionRecord { point: DecisionPoint::Publish, checks: vec![check, together], ended_by: None };
    let decided = trackside_store::Entry::fresh(crate::support::admit(draft(incoming("a:b")))).decided(vec![record.clone().into()]);
    append(&store, Batch::of([entry(incoming("a:b")), decided]));
    assert_eq!(store.decisions(2).unwrap(), [record]);
    assert!(store.decisions(1).unwrap().is_empty() && store.decisions(9).unwrap().is_empty());
}
