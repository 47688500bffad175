//! Live observers: handed what is new, told what they missed, and holding nothing back.
//! What an observer is that misses nothing is `observers`'.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use trackside_model::ports::Delivery;

use crate::support::*;

/// What it was handed, what it was told that it missed, and whether it may come back.
#[derive(Clone, Default)]
struct Watched {
    seen: Seen,
    missed: Arc<AtomicU64>,
    open: Arc<AtomicBool>,
}

impl Watched {
    fn observer(&self, live_behind: Option<u64>) -> Scripted {
        let watched = self.clone();
        let observe = move |events: &[Arc<trackside_model::event::Event>], delivery: &Delivery| {
            watched.missed.fetch_add(delivery.missed, SeqCst);
            events.iter().for_each(|event| watched.seen.note(event.payload.to_value()["n"].to_string()));
            while !watched.open.load(SeqCst) {
                std::thread::yield_now();
            }
            taken().adding("count", i64::try_from(events.len()).unwrap())
        };
        Scripted::observer("watcher", types(&["order:*"]), observe).with(|info| info.live_behind = live_behind)
    }
}

#[test]
fn one_that_is_too_slow_goes_on_at_the_head_and_is_told_what_it_missed() {
    let watched = Watched::default();
    let host = Host::with([watched.observer(Some(10))]);
    host.publish(order(0));
    host.until("it is at work", |_| watched.seen.len() == 1);
    (1..100).for_each(|n| drop(host.publish(order(n))));
    watched.open.store(true, SeqCst);
    host.until_told("plugin:missed", 1);
    host.publish(order(100));
    host.until("it is at the head again", |_| watched.seen.all().last().is_some_and(|last| last == "100"));
    host.until("it has come back", |host| host.kv("watcher", "count").is_some_and(|count| count == watched.seen.len().to_string()));
    let told = host.of_type("plugin:missed")[0].payload.to_value();
    assert!(watched.seen.len() < 20, "{:?}", watched.seen.all());
    // Every event of the log that it was not handed, whether it would have wanted it or not.
    assert_eq!(watched.missed.load(SeqCst), told["events"].as_u64().unwrap());
    assert!(told["events"].as_u64().unwrap() >= 99 - watched.seen.len() as u64, "{told}");
    assert_eq!((told["plugin"].as_str(), told["reason"].as_str()), (Some("watcher"), Some("it was too slow for them")));
    assert_eq!(host.engine().store().cursor("observer/watcher").unwrap(), None, "it holds nothing back");
}

#[test]
fn what_it_does_not_take_is_not_handed_over_again() {
    let calls = Seen::default();
    let noted = calls.clone();
    let host = Host::with([Scripted::observer("watcher", types(&["order:*"]), move |events, delivery| {
        noted.note(format!("{} missed {}", events[0].payload.to_value()["n"], delivery.missed));
        let odd = events[0].payload.to_value()["n"].as_u64().is_some_and(|n| n % 2 == 1);
        if odd { answer(Err("not an odd one".to_owned())) } else { taken() }
    })
    .with(|info| info.live_behind = Some(1_000))]);
    for n in 0..3 {
        host.publish(order(n));
        host.until("it was handed over", |_| calls.len() == n + 1);
    }
    assert_eq!(calls.all(), ["0 missed 0", "1 missed 0", "2 missed 1"]);
    host.until_told("plugin:missed", 1);
    let told = host.of_type("plugin:missed")[0].payload.to_value();
    assert_eq!((told["events"].as_u64(), told["reason"].as_str()), (Some(1), Some("not an odd one")));
    // Within a second of that, and nothing comes behind it: the log is told all the same.
    host.publish(order(3));
    host.until_told("plugin:missed", 2);
    assert_eq!(host.count("event:dead_lettered"), 0);
}

#[test]
fn an_observer_becomes_live_and_misses_nothing_again() {
    let watched = Watched::default();
    watched.open.store(true, SeqCst);
    let host = Host::with([watched.observer(None)]);
    host.publish(order(0));
    host.until("it is handed over", |_| watched.seen.len() == 1);
    assert!(host.engine().store().cursor("observer/watcher").unwrap().is_some());
    host.install(watched.observer(Some(5)).with(|info| info.version = trackside_model::plugin::Digest::of(b"live")));
    host.until("its cursor is gone", |host| {
        host.events();
        host.engine().store().cursor("observer/watcher").unwrap().is_none()
    });
    host.publish(order(1));
    host.until("it is handed over", |_| watched.seen.len() == 2);
    host.install(watched.observer(None).with(|info| info.version = trackside_model::plugin::Digest::of(b"durable")));
    host.publish(order(2));
    host.until("its cursor is back", |host| host.engine().store().cursor("observer/watcher").unwrap().is_some());
    // Over a crash it goes on where it was.
    let host = Host::over(host.crashed(), options(), |_| Vec::new());
    host.publish(order(3));
    host.install(watched.observer(None));
    host.until("it has caught up", |_| watched.seen.all().last().is_some_and(|last| last == "3"));
    let mut seen = watched.seen.all();
    seen.dedup();
    assert_eq!(seen, ["0", "1", "2", "3"]);
}

#[test]
fn what_it_publishes_about_a_batch_follows_from_the_event_that_it_names() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let host = Host::with([Scripted::observer("watcher", types(&["order:*"]), move |events, _| {
        while !gate.load(SeqCst) {
            std::thread::yield_now();
        }
        let report = taken().adding("batches", 1);
        events.iter().fold(report, |report, event| report.publishing(event.event_id, "note:made", &event.payload.to_value()))
    })
    .with(|info| info.live_behind = Some(1_000))]);
    let orders: Vec<_> = (0..30).map(|n| host.publish(order(n))).collect();
    open.store(true, SeqCst);
    host.until_told("note:made", 30);
    let batches: usize = host.kv("watcher", "batches").unwrap().parse().unwrap();
    assert!(batches < 30, "no batch had several events");
    for (note, order) in host.of_type("note:made").iter().zip(&orders) {
        let order = order.event_id.unwrap().to_string();
        // A notice begins nothing of its own: it belongs to what its order set in motion.
        assert_eq!((note.causation_id.as_deref(), &*note.correlation_id), (Some(order.as_str()), order.as_str()), "{note:?}");
        assert_eq!(note.metadata["hops"], "1");
    }
}
