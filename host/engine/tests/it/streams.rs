//! Readers at the head of the log and behind it: each sees what its filter asks for, once and in order, whoever else reads and however slowly.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::json;
use trackside_engine::{Frame, Reading, Told};
use trackside_model::event::{Event, Filter, Incoming, Position};

use crate::support::*;

const READERS: usize = 150;
const EVENTS: usize = 1_200;

fn event(n: usize) -> Incoming {
    let (first, second) = (["order", "task", "stock", "mail"][n % 4], ["placed", "failed", "moved"][n % 3]);
    Incoming {
        event_type: format!("{first}:{second}"),
        source_component: format!("s{}", n % 5),
        correlation_id: Some(format!("c{}", n % 7)),
        workflow_id: n.is_multiple_of(2).then(|| format!("w{}", n % 6)),
        payload: Some(json!({"n": n}).into()),
        ..Incoming::default()
    }
}

/// Filters of every shape that the index tells apart.
fn filter(reader: usize) -> Filter {
    let of = |value: serde_json::Value| serde_json::from_value(value).expect("a filter");
    match reader % 8 {
        0 => Filter::default(),
        1 => of(json!({"event_types": ["order:*", "*:failed"]})),
        2 => of(json!({"event_types": ["stock:moved"], "source_components": [format!("s{}", reader % 5)]})),
        3 => of(json!({"correlation_ids": [format!("c{}", reader % 7), "c1"]})),
        4 => of(json!({"workflow_ids": [format!("w{}", reader % 6)], "event_types": ["order:**", "mail:**"]})),
        5 => of(json!({"when": format!("event.payload.n % 10 == {}", reader % 10), "event_types": ["task:**", "mail:**"]})),
        6 => of(json!({"event_types": []})),
        _ => of(json!({"event_types": ["**"], "min_severity": "info"})),
    }
}

fn positions(frames: &[Arc<Frame>]) -> Vec<Position> {
    frames.iter().map(|frame| frame.position()).collect()
}

#[test]
fn every_reader_sees_what_it_asks_for_however_many_there_are() {
    let host = Host::with([]);
    let engine = host.engine().clone();
    // The log's last sequence, once everything is published.
    let end = AtomicU64::new(u64::MAX);
    let seen: Vec<Vec<Arc<Event>>> = host.run(async {
        let readers = (0..READERS).map(|reader| {
            let (engine, end) = (engine.clone(), &end);
            async move {
                // Some begin behind the head and some at it, and each comes back time and again.
                tokio::time::sleep(Duration::from_millis((reader % 20) as u64)).await;
                let (mut seen, mut after): (Vec<Arc<Event>>, _) = (Vec::new(), Position::default());
                while after.sequence < end.load(SeqCst) {
                    let mut subscription = engine.subscribe(Reading { filter: filter(reader), after, ..Reading::default() });
                    for _ in 0..3 {
                        if let Ok(events) = tokio::time::timeout(Duration::from_millis(100), subscription.events()).await {
                            seen.extend(events.expect("reads"));
                        }
                    }
                    after = subscription.position();
                }
                seen
            }
        });
        let publisher = async {
            for n in 0..EVENTS {
                engine.publish(event(n), caller()).await;
            }
            end.store(engine.store().durable_head(), SeqCst);
        };
        tokio::join!(futures_util::future::join_all(readers), publisher).0
    });
    let log = host.events();
    for (reader, seen) in seen.iter().enumerate() {
        let wanted = filter(reader);
        let expected: Vec<u64> = log.iter().filter(|event| wanted.matches(event)).map(|event| event.sequence_number).collect();
        assert_eq!(seen.iter().map(|event| event.sequence_number).collect::<Vec<_>>(), expected, "reader {reader}");
    }
}

#[test]
fn a_reader_that_lets_events_pile_up_goes_back_to_the_log_and_misses_none() {
    let host = Host::with([]);
    let mut slow = host.engine().subscribe(Reading { filter: types(&["order:*"]), ..Reading::default() });
    // It sits at the head.
    assert!(host.run(async { tokio::time::timeout(Duration::from_millis(50), slow.next()).await }).is_err());
    let count = 1_000;
    let engine = host.engine().clone();
    host.run(futures_util::future::join_all((0..count).map(|n| engine.publish(order(n), caller()))));
    let seen = host.run(async {
        let mut seen = Vec::new();
        while seen.len() < count {
            seen.extend(slow.events().await.expect("reads"));
        }
        seen
    });
    let sequences: Vec<u64> = host.of_type("order:placed").iter().map(|event| event.sequence_number).collect();
    assert_eq!(seen.iter().map(|event| event.sequence_number).collect::<Vec<_>>(), sequences);
}

#[test]
fn a_live_reader_goes_on_at_the_head_and_is_told_what_it_missed() {
    let host = Host::with([]);
    let mut live = host.engine().subscribe(Reading { filter: types(&["order:*"]), most_behind: Some(100), ..Reading::default() });
    (0..20).for_each(|n| drop(host.publish(order(n))));
    let Ok(Told::Events(frames)) = host.run(live.next()) else { panic!("it is near the head") };
    assert_eq!(frames.len(), 20);
    let last = frames[19].position().sequence;
    let engine = host.engine().clone();
    host.run(futures_util::future::join_all((20..1_000).map(|n| engine.publish(order(n), caller()))));
    let Ok(Told::Missed { from, to }) = host.run(live.next()) else { panic!("it is far behind") };
    assert_eq!((from, to), (last + 1, host.events().len() as u64));
    host.publish(order(9_999));
    let Ok(Told::Events(frames)) = host.run(live.next()) else { panic!("it is at the head again") };
    assert_eq!(positions(&frames).len(), 1);
}
