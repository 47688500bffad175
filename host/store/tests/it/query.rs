//! Queries: every condition, stretches of time, pages, narration, and the bound on one call.

use std::sync::atomic::{AtomicU64, Ordering};

use trackside_model::{
    event::{Condition, Filter, Incoming, Position, Severity},
    narration::{Moment, Narration},
    time::Timestamp,
};
use trackside_store::{Batch, Page, Query, ReadStore, Store};

use crate::support::{append, clock, entry, fresh, incoming, options};

fn numbers(page: &Page) -> Vec<String> {
    page.events.iter().map(|event| format!("{}.{} {}", event.sequence_number, event.part, event.event_type)).collect()
}

fn sequences(store: &ReadStore, query: &Query) -> Vec<u64> {
    let page = store.query(query).unwrap();
    assert_eq!(page.next, None);
    page.events.iter().map(|event| event.sequence_number).collect()
}

fn filtered(store: &ReadStore, edit: impl FnOnce(&mut Filter)) -> Vec<u64> {
    let mut query = Query::default();
    edit(&mut query.filter);
    let found = sequences(store, &query);
    query.narration = true;
    assert_eq!(sequences(store, &query), found, "where nothing is narrated, expanding changes nothing");
    found
}

fn texts(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn with(event_type: &str, edit: impl FnOnce(&mut Incoming)) -> Incoming {
    let mut incoming = incoming(event_type);
    edit(&mut incoming);
    incoming
}

#[test]
fn every_condition_of_a_filter_holds() {
    let (_dir, store) = fresh();
    let uuid = "0190a0b0-0000-7000-8000-00000000000f";
    let own = uuid::Uuid::from_u128(0xAB);
    append(
        &store,
        Batch::of(
            [
                with("order:placed", |event| event.correlation_id = Some(uuid.to_owned())),
                with("order:paid", |event| (event.severity, event.correlation_id) = (Some(Severity::Warning), Some("mine".to_owned()))),
                with("stock:low", |event| (event.severity, event.source_component) = (Some(Severity::Error), "store".to_owned())),
                with("order:line:added", |event| (event.workflow_id, event.task_id) = (Some(uuid.to_owned()), Some("t1".to_owned()))),
                with("stock:low", |event| (event.workflow_id, event.task_id) = (Some("w".to_owned()), Some("t2".to_owned()))),
                with("order:paid", |event| (event.provider_id, event.event_id) = (Some("files".to_owned()), Some(own))),
            ]
            .map(entry),
        ),
    );
    let types = |patterns: &[&str]| filtered(&store, |filter| *filter = Filter::types(patterns.iter().copied()).unwrap());
    assert_eq!(filtered(&store, |_| {}), [1, 2, 3, 4, 5, 6]);
    assert_eq!(types(&["order:paid"]), [2, 6]);
    assert_eq!(types(&["order:*"]), [1, 2, 6]);
    assert_eq!(types(&["order:**", "stock:low"]), [1, 2, 3, 4, 5, 6]);
    assert_eq!(types(&["*:low", "order:placed"]), [1, 3, 5]);
    assert_eq!(types(&["never:seen"]), [] as [u64; 0]);
    assert_eq!(types(&[]), [] as [u64; 0], "an empty list means never");
    assert_eq!(filtered(&store, |filter| filter.min_severity = Some(Severity::Warning)), [2, 3]);
    assert_eq!(filtered(&store, |filter| filter.source_components = texts(&["store", "x"])), [3]);
    assert_eq!(filtered(&store, |filter| filter.correlation_ids = texts(&["mine", uuid])), [1, 2]);
    assert_eq!(filtered(&store, |filter| filter.correlation_ids = texts(&[&own.to_string()])), [6], "its own id is its correlation");
    assert_eq!(filtered(&store, |filter| filter.correlation_ids = texts(&[&own.to_string().to_uppercase()])), [] as [u64; 0]);
    assert_eq!(filtered(&store, |filter| filter.workflow_ids = texts(&["w", uuid])), [4, 5]);
    assert_eq!(filtered(&store, |filter| filter.workflow_ids = texts(&[])), [] as [u64; 0]);
    assert_eq!(filtered(&store, |filter| filter.task_ids = texts(&["t2"])), [5]);
    assert_eq!(filtered(&store, |filter| filter.provider_ids = texts(&["files"])), [6]);
    let both = |filter: &mut Filter| {
        (filter.workflow_ids, filter.event_types) = (texts(&["w", uuid]), Filter::types(["stock:*"]).unwrap().event_types)
    };
    assert_eq!(filtered(&store, both), [5]);
    let many: Vec<String> = (0..100).map(|n| format!("w{n}")).chain(["w".to_owned()]).collect();
    assert_eq!(filtered(&store, |filter| filter.workflow_ids = Some(many)), [5], "too many for the index");
}

#[test]
fn stretches_of_time_are_found_by_halving() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    fn set_clock() -> Timestamp {
        Timestamp(NOW.load(Ordering::Relaxed))
    }
    let dir = tempfile::TempDir::new().unwrap();
    let store = Store::open(options(&dir), set_clock).unwrap();
    for time in [10, 10, 20, 30, 30, 30, 40] {
        NOW.store(time, Ordering::Relaxed);
        append(&store, Batch::of([entry(incoming("a:b"))]));
    }
    for since in 0..45 {
        for until in 0..45 {
            let query = Query { since: Some(Timestamp(since)), until: Some(Timestamp(until)), ..Query::default() };
            let expected: Vec<u64> = (1..)
                .zip([10, 10, 20, 30, 30, 30, 40])
                .filter(|(_, time)| (since..until).contains(time))
                .map(|(sequence, _)| sequence)
                .collect();
            assert_eq!(sequences(&store, &query), expected, "{since}..{until}");
        }
    }
    let from = Query { since: Some(Timestamp(15)), after: Some(Position::end_of(5)), ..Query::default() };
    assert_eq!(sequences(&store, &from), [6, 7]);
}

#[test]
fn pages_follow_each_other_without_gap_or_repetition() {
    let (_dir, store) = fresh();
    append(&store, Batch::of((0..3_000).map(|n| entry(incoming(if n % 3 == 0 { "a:third" } else { "a:other" })))));
    for (patterns, step) in [(&["**"][..], 1), (&["a:third"], 3), (&["a:third", "a:other"], 1), (&["a:third", "a:none", "a:other"], 1)] {
        let mut query = Query { filter: Filter::types(patterns.iter().copied()).unwrap(), limit: 70, ..Query::default() };
        let mut found = Vec::new();
        loop {
            let page = store.query(&query).unwrap();
            assert!(page.events.len() <= 70);
            found.extend(page.events.iter().map(|event| event.sequence_number));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        assert_eq!(found, (1..=3_000).step_by(step).collect::<Vec<_>>());
    }
    let exact = Query { filter: Filter::types(["a:third"]).unwrap(), limit: 1_000, ..Query::default() };
    assert_eq!(store.query(&exact).unwrap().next, None, "a full page that is the last says so");
    assert_eq!(store.query(&Query { limit: 0, ..Query::default() }).unwrap(), Page::default());
}

#[test]
fn one_call_looks_at_a_bounded_stretch() {
    let (_dir, store) = fresh();
    for _ in 0..30 {
        append(&store, Batch::of((0..2_000).map(|_| entry(incoming("a:b")))));
    }
    append(&store, Batch::of([entry(with("a:b", |event| event.task_id = Some("rare".to_owned())))]));
    let mut query = Query::default();
    query.filter.task_ids = texts(&["rare"]);
    let first = store.query(&query).unwrap();
    assert_eq!((first.events.len(), first.next), (0, Some(Position::end_of(25_000))));
    query.after = Some(Position::end_of(40_000));
    assert_eq!(sequences(&store, &query), [60_001]);
    // A condition costs more, and ends a page sooner.
    query.filter = Filter { when: Some(Condition::parse("event.task_id == 'rare'").unwrap()), ..Filter::default() };
    query.after = None;
    let short = store.query(&query).unwrap().next.unwrap().sequence;
    assert!((1_000..5_000).contains(&short), "{short}");
}

/// A log whose second event is narrated in two parts, as the engine's facts are.
fn narrated() -> (tempfile::TempDir, Store) {
    let (dir, store) = fresh();
    append(
        &store,
        Batch::of([
            entry(incoming("order:placed")),
            entry(with("order:paid", |event| (event.workflow_id, event.task_id) = (Some("w".to_owned()), Some("t".to_owned())))),
            entry(incoming("order:sent")),
        ]),
    );
    store.close().unwrap();
    drop(store);
    let moments = [
        Moment::new("task:queued", Timestamp(7)),
        Moment::new("task:assigned", Timestamp(8)).about_task(&"other".into()).about_provider(&"files".into()),
    ];
    let narration = Narration::of(&moments);
    let file = rusqlite::Connection::open(dir.path().join("log.db")).unwrap();
    file.execute("UPDATE events SET narration = ?1, parts = 2 WHERE sequence = 2", [narration.as_str()]).unwrap();
    drop(file);
    let store = crate::support::open(&dir);
    (dir, store)
}

#[test]
fn narration_is_expanded_before_its_fact_where_it_is_asked_for() {
    let (_dir, store) = narrated();
    let plain = store.query(&Query::default()).unwrap();
    assert_eq!(numbers(&plain), ["1.0 order:placed", "2.2 order:paid", "3.0 order:sent"]);
    let story = |edit: &dyn Fn(&mut Query)| {
        let mut query = Query { narration: true, ..Query::default() };
        edit(&mut query);
        numbers(&store.query(&query).unwrap())
    };
    assert_eq!(story(&|_| {}), ["1.0 order:placed", "2.0 task:queued", "2.1 task:assigned", "2.2 order:paid", "3.0 order:sent"]);
    assert_eq!(
        story(&|query| query.filter = Filter::types(["task:*", "order:sent"]).unwrap()),
        ["2.0 task:queued", "2.1 task:assigned", "3.0 order:sent"]
    );
    assert_eq!(story(&|query| query.filter.task_ids = texts(&["other"])), ["2.1 task:assigned"]);
    assert_eq!(story(&|query| query.filter.workflow_ids = texts(&["w"])), ["2.0 task:queued", "2.1 task:assigned", "2.2 order:paid"]);
    assert_eq!(story(&|query| query.filter = Filter::types(["order:paid"]).unwrap()), ["2.2 order:paid"]);
    assert_eq!(story(&|query| query.after = Some("2.0".parse().unwrap())), ["2.1 task:assigned", "2.2 order:paid", "3.0 order:sent"]);
    assert_eq!(story(&|query| query.after = Some("2".parse().unwrap())), ["3.0 order:sent"]);
    let mut page = Query { narration: true, limit: 1, ..Query::default() };
    let mut one_by_one = Vec::new();
    loop {
        let found = store.query(&page).unwrap();
        one_by_one.extend(numbers(&found));
        let Some(next) = found.next else { break };
        page.after = Some(next);
    }
    assert_eq!(one_by_one, story(&|_| {}));
    let fact = store.read(1, 1, 1 << 20).unwrap();
    assert_eq!((fact[0].part, fact[0].narration.parts()), (2, 2), "carried unexpanded along the log");
}

#[test]
fn a_page_of_large_events_is_bounded_in_bytes() {
    let (_dir, store) = fresh();
    let large =
        || with("a:b", |event| event.payload = Some(trackside_model::json::Json::trusted(format!("\"{}\"", "x".repeat(1_000_000)))));
    for _ in 0..3 {
        append(&store, Batch::of((0..8).map(|_| entry(large()))));
    }
    let page = store.query(&Query { limit: 1_000, ..Query::default() }).unwrap();
    assert!((16..20).contains(&page.events.len()), "{}", page.events.len());
    let rest = store.query(&Query { limit: 1_000, after: page.next, ..Query::default() }).unwrap();
    assert_eq!((page.events.len() + rest.events.len(), rest.next), (24, None));
    let _ = clock();
}
