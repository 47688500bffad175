//! Appending: order, durability, conditions, limits.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use trackside_model::time::Timestamp;
use trackside_store::{AppendError, Batch, Entry, Flush, Store};

use crate::support::{admit, all, append, clock, draft, entry, fresh, incoming, open, options};

#[test]
fn sequences_have_no_gaps_under_eight_threads() {
    let (_dir, store) = fresh();
    let given: HashSet<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut given = Vec::new();
                    for round in 0..100 {
                        let batch = Batch::of((0..=round % 3).map(|_| entry(incoming("order:placed"))));
                        let flush = if round % 2 == 0 { Flush::Now } else { Flush::Lazy };
                        let appended = store.append(batch, flush).unwrap();
                        given.extend(appended.events.iter().map(|event| event.sequence_number));
                        if round % 10 == 0 {
                            appended.ticket.wait().unwrap();
                            assert!(store.durable_head() >= appended.ticket.last_sequence());
                        }
                    }
                    given
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let last = given.len() as u64;
    assert_eq!(given, (1..=last).collect());
    store.append(Batch::default(), Flush::Now).unwrap().ticket.wait().unwrap();
    assert_eq!((store.appended(), store.durable_head()), (last, last));
    let sequences: Vec<u64> = all(&store).iter().map(|event| event.sequence_number).collect();
    assert_eq!(sequences, (1..=last).collect::<Vec<_>>());
}

#[test]
fn what_was_appended_is_there_after_close_and_after_drop() {
    let (dir, store) = fresh();
    append(&store, Batch::of([entry(incoming("order:placed"))]));
    store.close().unwrap();
    assert!(matches!(store.append(Batch::of([entry(incoming("order:placed"))]), Flush::Now), Err(AppendError::Closed)));
    assert_eq!(all(&store).len(), 1, "reading goes on");
    drop(store);
    let store = open(&dir);
    store.append(Batch::of([entry(incoming("order:paid"))]), Flush::Lazy).unwrap();
    drop(store);
    let store = open(&dir);
    let types: Vec<String> = all(&store).iter().map(|event| event.event_type.to_string()).collect();
    assert_eq!(types, ["order:placed", "order:paid"]);
    assert_eq!(append(&store, Batch::of([entry(incoming("order:sent"))])).events[0].sequence_number, 3);
}

#[test]
fn a_lazy_batch_is_committed_by_itself() {
    let (_dir, store) = fresh();
    let appended = store.append(Batch::of([entry(incoming("order:placed"))]), Flush::Lazy).unwrap();
    assert_eq!(store.appended(), 1);
    appended.ticket.wait().unwrap();
    assert_eq!(store.durable_head(), 1);
}

#[test]
fn record_times_never_fall_when_the_clock_does() {
    fn backwards() -> Timestamp {
        static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1_000_000);
        Timestamp(NOW.fetch_sub(1_000, std::sync::atomic::Ordering::Relaxed))
    }
    let dir = tempfile::TempDir::new().unwrap();
    let store = Store::open(options(&dir), backwards).unwrap();
    for _ in 0..3 {
        append(&store, Batch::of([entry(incoming("order:placed"))]));
    }
    drop(store);
    let store = Store::open(options(&dir), || Timestamp(5)).unwrap();
    append(&store, Batch::of([entry(incoming("order:placed"))]));
    let times: Vec<u64> = all(&store).iter().map(|event| event.recorded_at.0).collect();
    assert_eq!(times, [1_000_000; 4]);
}

#[test]
fn an_id_is_appended_once() {
    let (dir, store) = fresh();
    let given = |incoming: &trackside_model::event::Incoming| Entry::given(admit(draft(incoming.clone())));
    let mut first = incoming("order:placed");
    first.event_id = Some(uuid::Uuid::from_u128(7));
    let appended = store.append(Batch::of([given(&first)]), Flush::Lazy).unwrap();
    let refused = |store: &Store| match store.append(Batch::of([entry(incoming("a:b")), given(&first)]), Flush::Now) {
        Err(AppendError::Duplicate { place: 1, found }) => {
            found.ticket.wait().unwrap();
            assert_eq!((found.sequence, found.event_id), (1, uuid::Uuid::from_u128(7)));
        }
        other => panic!("{other:?}"),
    };
    refused(&store);
    appended.ticket.wait().unwrap();
    refused(&store);
    assert_eq!(store.find(&uuid::Uuid::from_u128(7)).unwrap().unwrap().sequence, 1);
    drop(store);
    let store = open(&dir);
    refused(&store);
    assert!(store.find(&uuid::Uuid::from_u128(8)).unwrap().is_none());
    assert_eq!(store.appended(), 1, "refused batches take no numbers");
    let twice = store.append(Batch::of([given(&incoming("a:b")), entry(incoming("a:b"))]), Flush::Now);
    assert!(twice.is_ok());
    let mut second = incoming("a:b");
    second.event_id = Some(uuid::Uuid::from_u128(9));
    let twice = store.append(Batch::of([given(&second), given(&second)]), Flush::Now);
    assert!(matches!(twice, Err(AppendError::Twice { place: 1, .. })));
}

#[test]
fn too_much_that_waits_is_refused_by_name() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut small = options(&dir);
    (small.max_pending_events, small.lazy_commit_us) = (3, 60_000_000);
    let store = Store::open(small, clock).unwrap();
    store.append(Batch::of((0..3).map(|_| entry(incoming("a:b")))), Flush::Lazy).unwrap();
    match store.append(Batch::of([entry(incoming("a:b"))]), Flush::Lazy) {
        Err(error @ AppendError::Busy { limit: "max_pending_events", allowed: 3 }) => {
            assert_eq!(error.to_string(), "the disk is behind: max_pending_events (3) is reached; try again");
        }
        other => panic!("{other:?}"),
    }
    drop(store);
    let mut small = options(&dir);
    (small.max_pending_bytes, small.lazy_commit_us) = (1_000, 60_000_000);
    let store = Store::open(small, clock).unwrap();
    store.append(Batch::of((0..3).map(|_| entry(incoming("a:b")))), Flush::Lazy).unwrap();
    let refused = store.append(Batch::of([entry(incoming("a:b"))]), Flush::Lazy);
    assert!(matches!(refused, Err(AppendError::Busy { limit: "max_pending_bytes", .. })), "{refused:?}");
    assert_eq!(all(&store).len(), 3, "only what is durable is read");
}

#[test]
fn one_of_many_twins_is_appended() {
    let (_dir, store) = fresh();
    for round in 0..20 {
        let mut twin = incoming("order:placed");
        twin.event_id = Some(uuid::Uuid::from_u128(round));
        let outcomes: Vec<_> = thread::scope(|scope| {
            let append = || store.append(Batch::of([Entry::given(admit(draft(twin.clone())))]), Flush::Lazy);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(append)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for outcome in outcomes {
            match outcome {
                Ok(appended) => appended.ticket.wait().unwrap(),
                Err(AppendError::Duplicate { place: 0, found }) => assert_eq!(found.sequence, store.appended()),
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert_eq!(store.appended(), 20);
}

#[test]
fn ids_that_are_no_longer_remembered_are_found_in_the_file() {
    let (_dir, store) = fresh();
    let first = append(&store, Batch::of([entry(incoming("a:b"))])).events[0].event_id;
    for _ in 0..20 {
        append(&store, Batch::of((0..2_000).map(|_| entry(incoming("a:b")))));
    }
    assert_eq!(store.find(&first).unwrap().unwrap().sequence, 1);
    let mut twin = incoming("a:b");
    twin.event_id = Some(first);
    let refused = store.append(Batch::of([Entry::given(admit(draft(twin)))]), Flush::Now);
    assert!(matches!(refused, Err(AppendError::Duplicate { .. })));
}

#[test]
fn a_full_commit_does_not_wait_for_company() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut small = options(&dir);
    (small.max_commit_events, small.lazy_commit_us) = (2, 60_000_000);
    let store = Store::open(small, clock).unwrap();
    let tickets: Vec<_> = (0..5).map(|_| store.append(Batch::of([entry(incoming("a:b"))]), Flush::Lazy).unwrap().ticket).collect();
    tickets[..4].iter().for_each(|ticket| ticket.wait().unwrap());
    assert_eq!((tickets[4].outcome(), store.durable_head(), store.appended()), (None, 4, 5));
    store.close().unwrap();
    assert_eq!(tickets[4].outcome(), Some(Ok(())));
}

#[test]
fn a_follower_sees_everything_once_and_in_order() {
    let (_dir, store) = fresh();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| drop(store.append(Batch::of([entry(incoming("a:b"))]), Flush::Now).unwrap())));
        }
        scope.spawn(|| {
            let mut seen = 0;
            while seen < 2_000 {
                for event in store.read(seen, 7, 1 << 20).unwrap() {
                    seen += 1;
                    assert_eq!(event.sequence_number, seen);
                }
            }
        });
    });
}

#[test]
fn the_last_handle_may_go_on_the_writer_s_own_thread() {
    struct LastHandle(Mutex<Option<Store>>);
    impl Wake for LastHandle {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }
    let dir = tempfile::TempDir::new().unwrap();
    let mut slow = options(&dir);
    slow.lazy_commit_us = 50_000;
    let store = Store::open(slow, clock).unwrap();
    let ticket = store.append(Batch::of([entry(incoming("a:b"))]), Flush::Lazy).unwrap().ticket;
    let mut durable = store.durable(&ticket);
    let last = Arc::new(LastHandle(Mutex::new(None)));
    let waker = Waker::from(last.clone());
    assert!(std::pin::Pin::new(&mut durable).poll(&mut Context::from_waker(&waker)).is_pending());
    *last.0.lock().unwrap() = Some(store);
    let started = Instant::now();
    let reopened = loop {
        match Store::open(options(&dir), clock) {
            Ok(store) => break store,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(20), "{error}"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(all(&reopened).len(), 1);
}

#[test]
fn the_write_ahead_file_is_carried_over_and_reused() {
    let (dir, store) = fresh();
    let wal = || std::fs::metadata(dir.path().join("log.db-wal")).map_or(0, |file| file.len());
    for _ in 0..25 {
        let large = || {
            let mut large = incoming("a:b");
            large.payload = Some(trackside_model::json::Json::trusted(format!("\"{}\"", "x".repeat((1 << 20) - 2))));
            entry(large)
        };
        append(&store, Batch::of((0..8).map(|_| large())));
    }
    assert!(wal() < 100 << 20, "{} MiB after 200 MiB of events", wal() >> 20);
    store.close().unwrap();
    assert_eq!(wal(), 0, "nothing is left to recover");
    assert!(std::fs::metadata(dir.path().join("log.db")).unwrap().len() > 200 << 20);
}
