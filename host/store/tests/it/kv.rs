//! The plugins' kv spaces: what a call sees, what conflicts, what is over, and that all of it survives.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use proptest::prelude::*;
use tempfile::TempDir;
use trackside_model::{
    event::Text,
    ports::{KvOp, KvRead, KvWrite},
    time::Timestamp,
};
use trackside_store::{AppendError, Batch, Flush, KvPage, ReadStore, Store};

use crate::support::{append, entry, fresh, incoming, open, options};

fn set(key: &str, value: &str) -> KvWrite {
    KvWrite { key: key.to_owned(), op: KvOp::Set { value: value.as_bytes().to_vec(), expires_at: None } }
}

fn add(key: &str, by: i64) -> KvWrite {
    KvWrite { key: key.to_owned(), op: KvOp::Add { by, expires_at: None } }
}

fn delete(key: &str) -> KvWrite {
    KvWrite { key: key.to_owned(), op: KvOp::Delete }
}

fn writes(plugin: &str, writes: impl IntoIterator<Item = KvWrite>) -> Batch {
    Batch { kv: vec![(Text::from(plugin), writes.into_iter().collect())], ..Batch::default() }
}

fn resting_on(mut batch: Batch, plugin: &str, key: &str, stamp: u64) -> Batch {
    batch.kv_reads.push((Text::from(plugin), vec![KvRead { key: key.to_owned(), stamp }]));
    batch
}

fn get(store: &Store, plugin: &str, key: &str) -> Option<String> {
    store.kv_get(plugin, key).unwrap().value.map(|value| String::from_utf8(value).unwrap())
}

#[test]
fn what_was_released_is_seen_at_once_and_kept() {
    let dir = TempDir::new().unwrap();
    let mut slow = options(&dir);
    slow.lazy_commit_us = 60_000_000;
    let store = Store::open(slow, crate::support::clock).unwrap();
    store.append(writes("a", [set("k", "1"), set("gone", "x"), delete("gone"), set("k2", "2")]), Flush::Lazy).unwrap();
    let seen = |store: &Store| {
        assert_eq!((get(store, "a", "k"), get(store, "a", "gone"), get(store, "b", "k")), (Some("1".to_owned()), None, None));
        assert_eq!(store.kv_keys("a", "", None, 10).unwrap(), ["k", "k2"]);
        assert_eq!((store.kv_bytes("a").unwrap(), store.kv_bytes("b").unwrap()), (5, 0));
    };
    seen(&store);
    store.append(Batch::of([entry(incoming("a:b"))]), Flush::Now).unwrap().ticket.wait().unwrap();
    seen(&store);
    drop(store);
    seen(&open(&dir));
}

#[test]
fn increments_are_additions() {
    let (dir, store) = fresh();
    append(&store, writes("a", [add("n", 5), add("n", -2), add("new", i64::MAX), add("new", 1), set("text", "x"), add("text", 1)]));
    let stale = store.kv_get("a", "n").unwrap().stamp;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| drop(store.append(writes("a", [add("n", 1)]), Flush::Lazy).unwrap())));
        }
    });
    append(&store, writes("a", [add("n", 1)]));
    assert_eq!(get(&store, "a", "n").as_deref(), Some("204"));
    assert_eq!(get(&store, "a", "new"), Some(i64::MAX.to_string()), "saturates");
    assert_eq!(get(&store, "a", "text").as_deref(), Some("x"), "what is no number stays");
    let conflict = store.append(resting_on(writes("a", [add("m", 1)]), "a", "n", stale), Flush::Now);
    assert!(matches!(conflict, Err(AppendError::Conflict { .. })), "but it changes what others have read");
    drop(store);
    assert_eq!(get(&open(&dir), "a", "n").as_deref(), Some("204"));
}

#[test]
fn a_read_that_is_out_of_date_conflicts_and_changes_nothing() {
    let (dir, store) = fresh();
    append(&store, writes("a", [set("k", "1"), set("other", "1")]));
    drop(store);
    let store = open(&dir);
    let read = store.kv_get("a", "k").unwrap();
    let missing = store.kv_get("a", "missing").unwrap();
    append(&store, writes("a", [set("other", "2")]));
    append(&store, writes("b", [set("k", "2")]));
    let swap = |stamp, value| store.append(resting_on(writes("a", [set("k", value)]), "a", "k", stamp), Flush::Now);
    swap(read.stamp, "2").unwrap();
    match swap(read.stamp, "3") {
        Err(AppendError::Conflict { plugin, key }) => assert_eq!((&*plugin, &*key), ("a", "k")),
        other => panic!("{other:?}"),
    }
    assert_eq!(get(&store, "a", "k").as_deref(), Some("2"));
    let again = store.kv_get("a", "k").unwrap();
    swap(again.stamp, "3").unwrap();
    store.append(resting_on(writes("a", [set("missing", "x")]), "a", "missing", missing.stamp), Flush::Now).unwrap();
    let both = resting_on(Batch::of([entry(incoming("a:b"))]), "a", "missing", missing.stamp);
    assert!(matches!(store.append(both, Flush::Now), Err(AppendError::Conflict { .. })));
    assert_eq!(store.appended(), 0, "the event of a refused batch takes no number");
}

#[test]
fn what_follows_from_a_read_is_decided_before_anybody_can_change_it() {
    let (_dir, store) = fresh();
    append(&store, writes("a", [set("k", "1")]));
    let read = store.kv_get("a", "k").unwrap();
    let (overtaker, began) = (store.clone(), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let began = &began;
        let overtaking = scope.spawn(move || {
            began.wait();
            overtaker.append(writes("a", [set("k", "overtaken")]), Flush::Now).unwrap().ticket.last_sequence()
        });
        let decided = store.append_then(resting_on(Batch::default(), "a", "k", read.stamp), |batch| {
            began.wait();
            // Long enough for the other one to be at the store's door.
            std::thread::sleep(std::time::Duration::from_millis(20));
            batch.events.push(entry(incoming("a:decided")));
            Flush::Now
        });
        assert_eq!(decided.unwrap().events[0].sequence_number, 1);
        assert_eq!(overtaking.join().unwrap(), 1, "the other one came after");
    });
    let late = store.append_then(resting_on(writes("a", [set("k", "2")]), "a", "k", read.stamp), |_| unreachable!("it has changed"));
    assert!(matches!(late, Err(AppendError::Conflict { .. })));
    assert_eq!(get(&store, "a", "k").as_deref(), Some("overtaken"));
}

#[test]
fn reads_older_than_what_is_remembered_conflict() {
    let (_dir, store) = fresh();
    append(&store, writes("a", [set("k", "1")]));
    let old = store.kv_get("a", "k").unwrap();
    for round in 0..40 {
        append(&store, writes("b", (0..1_000).map(|n| set(&format!("{round}/{n}"), "x"))));
    }
    let young = store.kv_get("a", "k").unwrap();
    let swap = |stamp| store.append(resting_on(writes("a", [set("k", "2")]), "a", "k", stamp), Flush::Now);
    assert!(matches!(swap(old.stamp), Err(AppendError::Conflict { .. })), "nobody can say any more");
    swap(young.stamp).unwrap();
    assert_eq!(store.kv_keys("b", "39/99", None, 20).unwrap().len(), 11);
    assert_eq!(store.kv_keys("b", "", Some("9/998"), 20).unwrap(), ["9/999"]);
    assert_eq!(store.kv_keys("b", "", None, 100_000).unwrap().len(), 40_000);
}

#[test]
fn a_batch_may_change_more_keys_than_are_kept_in_memory() {
    let (dir, store) = fresh();
    let many = |by| writes("a", (0..20_000).map(|n| add(&format!("k{n}"), by)));
    append(&store, many(1));
    drop(store);
    let store = open(&dir);
    append(&store, many(2));
    append(&store, many(3));
    assert_eq!(get(&store, "a", "k0").as_deref(), Some("6"));
    assert_eq!(get(&store, "a", "k19999").as_deref(), Some("6"));
    let bytes = store.kv_bytes("a").unwrap();
    drop(store);
    assert_eq!(open(&dir).kv_bytes("a").unwrap(), bytes);
}

#[test]
fn what_is_over_is_gone_and_later_removed() {
    static NOW: AtomicU64 = AtomicU64::new(1);
    fn set_clock() -> Timestamp {
        Timestamp(0).plus_ms(NOW.load(Ordering::Relaxed))
    }
    let until =
        |key: &str, ms| KvWrite { key: key.to_owned(), op: KvOp::Set { value: b"5".to_vec(), expires_at: Some(Timestamp(0).plus_ms(ms)) } };
    let rows = |dir: &TempDir| -> i64 {
        let file = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
        file.query_row("SELECT count(*) FROM kv", [], |row| row.get(0)).unwrap()
    };
    let dir = TempDir::new().unwrap();
    let store = Store::open(options(&dir), set_clock).unwrap();
    let counted = KvWrite { key: "c".to_owned(), op: KvOp::Add { by: 1, expires_at: Some(Timestamp(0).plus_ms(100)) } };
    append(&store, writes("a", [until("k", 100), set("stays", "1"), until("n", 100), counted]));
    NOW.store(99, Ordering::Relaxed);
    append(&store, writes("a", [KvWrite { key: "c".to_owned(), op: KvOp::Add { by: 1, expires_at: Some(Timestamp(0).plus_ms(900)) } }]));
    assert_eq!((get(&store, "a", "k").as_deref(), get(&store, "a", "c").as_deref()), (Some("5"), Some("2")));
    NOW.store(100, Ordering::Relaxed);
    let read = store.kv_get("a", "k").unwrap();
    assert_eq!((&read.value, get(&store, "a", "c")), (&None, None), "an existing key keeps its own end");
    assert_eq!(store.kv_keys("a", "", None, 10).unwrap(), ["stays"]);
    append(&store, writes("a", [add("n", 1)]));
    assert_eq!(get(&store, "a", "n").as_deref(), Some("1"), "an addition begins anew");
    drop(store);
    let store = Store::open(options(&dir), set_clock).unwrap();
    assert_eq!(store.kv_keys("a", "", None, 10).unwrap(), ["n", "stays"], "in the file too");
    assert_eq!(rows(&dir), 4);
    NOW.store(5_000, Ordering::Relaxed);
    let read = store.kv_get("a", "k").unwrap();
    store.kv_bytes("a").unwrap();
    append(&store, Batch::of([entry(incoming("a:b"))]));
    assert_eq!(rows(&dir), 2);
    assert_eq!(store.kv_bytes("a").unwrap(), 2 + 6);
    store
        .append(resting_on(writes("a", [set("k", "1")]), "a", "k", read.stamp), Flush::Now)
        .expect("removing what is over changes nothing for a reader");
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8, KvOp),
    Pass(u64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let op = prop_oneof![
        3 => ("[0-9x]{0,3}", proptest::option::of(0u64..40)).prop_map(|(value, ttl)| KvOp::Set { value: value.into_bytes(), expires_at: ttl.map(Timestamp) }),
        1 => Just(KvOp::Delete),
        3 => (-5i64..5, proptest::option::of(0u64..40)).prop_map(|(by, ttl)| KvOp::Add { by, expires_at: ttl.map(Timestamp) }),
    ];
    let step = prop_oneof![10 => (0u8..6, op).prop_map(|(key, op)| Step::Write(key, op)), 3 => (0u64..20).prop_map(Step::Pass), 1 => Just(Step::Reopen)];
    proptest::collection::vec(step, 1..60)
}

static MODEL_NOW: AtomicU64 = AtomicU64::new(0);

fn model_clock() -> Timestamp {
    Timestamp(0).plus_ms(MODEL_NOW.load(Ordering::Relaxed))
}

#[test]
fn a_space_is_listed_page_by_page_as_it_is_durable() {
    let (dir, store) = fresh();
    let over = KvWrite { key: "b/over".to_owned(), op: KvOp::Set { value: b"x".to_vec(), expires_at: Some(Timestamp(5)) } };
    append(&store, writes("a", [set("b/1", "one"), set("b/2", "two"), over, set("c", "three")]));
    append(&store, writes("other", [set("b/1", "not its own")]));
    let list =
        |store: &ReadStore, prefix: &str, after: Option<&str>, limit| store.kv_list("a", prefix, after, limit, Timestamp(10)).unwrap();
    let keys = |page: &KvPage| page.entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>();
    let page = list(&store, "", None, 2);
    assert_eq!((keys(&page), page.next.as_deref()), (vec!["b/1".to_owned(), "b/2".to_owned()], Some("b/2")));
    let page = list(&store, "", Some("b/2"), 2);
    assert_eq!((keys(&page), page.next, page.entries[0].value.as_slice()), (vec!["c".to_owned()], None, &b"three"[..]));
    assert_eq!(keys(&list(&store, "b/", Some("a"), 9)), ["b/1", "b/2"]);
    // Large values fill a page sooner than many.
    let large = KvWrite { key: "d/1".to_owned(), op: KvOp::Set { value: vec![b'x'; 5 << 20], expires_at: Some(Timestamp(20)) } };
    append(&store, writes("a", [large, set("d/2", "")]));
    let page = list(&store, "d/", None, 9);
    assert_eq!((keys(&page), page.next.as_deref(), page.entries[0].expires_at), (vec!["d/1".to_owned()], Some("d/1"), Some(Timestamp(20))));
    store.close().unwrap();
    let beside = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(keys(&list(&beside, "d/", Some("d/1"), 9)), ["d/2"]);
    assert_eq!(keys(&list(&beside, "", None, 9)).len(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_space_behaves_as_a_map_does(steps in steps()) {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(options(&dir), model_clock).unwrap();
        let mut model: BTreeMap<String, (String, Option<Timestamp>)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Pass(ms) => drop(MODEL_NOW.fetch_add(ms, Ordering::Relaxed)),
                Step::Reopen => {
                    drop(store);
                    store = Store::open(options(&dir), model_clock).unwrap();
                }
                Step::Write(key, op) => {
                    let (key, now) = (format!("k{key}"), model_clock());
                    let at = |ttl: Option<Timestamp>| ttl.map(|ttl| now.plus_ms(ttl.0));
                    let op = match op {
                        KvOp::Set { value, expires_at } => KvOp::Set { value, expires_at: at(expires_at) },
                        KvOp::Add { by, expires_at } => KvOp::Add { by, expires_at: at(expires_at) },
                        KvOp::Delete => KvOp::Delete,
                    };
                    model.retain(|_, (_, end)| end.is_none_or(|end| end > now));
                    match &op {
                        KvOp::Set { value, expires_at } => drop(model.insert(key.clone(), (String::from_utf8(value.clone()).unwrap(), *expires_at))),
                        KvOp::Delete => drop(model.remove(&key)),
                        KvOp::Add { by, expires_at } => {
                            let (value, _) = model.entry(key.clone()).or_insert(("0".to_owned(), *expires_at));
                            if let Ok(number) = value.parse::<i64>() {
                                *value = (number + by).to_string();
                            }
                        }
                    }
                    store.append(writes("a", [KvWrite { key, op }]), Flush::Lazy).unwrap();
                }
            }
            let now = model_clock();
            model.retain(|_, (_, end)| end.is_none_or(|end| end > now));
            let keys = store.kv_keys("a", "k", None, 10).unwrap();
            prop_assert_eq!(&keys, &model.keys().cloned().collect::<Vec<_>>());
            prop_assert_eq!(&store.kv_keys("a", "", Some("k1"), 2).unwrap(), &keys.iter().filter(|key| &***key > "k1").take(2).cloned().collect::<Vec<_>>());
            for (key, (value, _)) in &model {
                let read = get(&store, "a", key);
                prop_assert_eq!(read.as_ref(), Some(value));
            }
        }
        // Counted anew from the file, the bytes are what was counted along the way.
        let counted = store.kv_bytes("a").unwrap();
        append(&store, Batch::default());
        drop(store);
        prop_assert_eq!(open(&dir).kv_bytes("a").unwrap() <= counted, true);
    }
}
