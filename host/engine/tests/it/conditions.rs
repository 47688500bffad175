//! Conditions that may take their time, as hostile as they may be written: they are asked inside the chain's budget, or where nobody waits for
//! the thread, and say the same as those that are asked at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinSet;
use trackside_engine::{EngineOptions, Outcome, Reading};
use trackside_model::{
    control::Signal,
    event::{Condition, Filter, Incoming, Text},
    trigger::Trigger,
};

use crate::support::*;

/// More than is looked into at once, and not more than a condition may look at.
const ITEMS: usize = 2_100;

/// An order with many items, the last of which is this.
fn heavy(last: usize) -> Incoming {
    let mut items = vec![0; ITEMS];
    items.push(last);
    incoming("order:placed", &json!({"items": items}))
}

/// An order of which nearly as much is looked at as may be.
fn costly(n: usize) -> Incoming {
    incoming("order:placed", &json!({"items": vec![n; 30], "more": vec![vec![vec![0; 30]; 30]; 30]}))
}

const COSTLY: &str = "event.payload.items.all(one, one >= 0)";

fn when(text: &str) -> Filter {
    Filter { when: Some(Condition::parse(text).unwrap()), ..types(&["order:*"]) }
}

#[test]
fn one_that_is_not_asked_at_once_says_the_same() {
    let seen = Seen::default();
    let noting = |name: &'static str, number: usize| {
        let seen = seen.clone();
        Scripted::control(name, 1, &[], move |_, _| {
            seen.note(name.to_owned());
            proceed()
        })
        .with(|info| info.controls = when(&format!("event.payload.items.exists(item, item == {number})")))
    };
    let refusing = Scripted::control("refusing", 2, &[], |_, _| answer(Signal::Fail("not that one".to_owned())))
        .with(|info| info.controls = when("event.payload.items.exists(item, item == 9)"));
    let host = Host::with([noting("seven", 7), noting("eight", 8), refusing]);
    for (last, outcome, asked) in [(6, Outcome::Appended, ""), (7, Outcome::Appended, "seven"), (9, Outcome::Refused, "seven")] {
        let answer = host.publish(heavy(last));
        assert_eq!((answer.outcome, seen.all().concat()), (outcome, asked.to_owned()), "{last}: {answer:?}");
    }
    // Those that are asked at once, of small events.
    let small = |last: usize| host.publish(incoming("order:placed", &json!({"items": [last]})));
    assert_eq!((small(6).outcome, small(9).outcome, seen.len()), (Outcome::Appended, Outcome::Refused, 1));
    assert_eq!((small(8).outcome, seen.all().concat()), (Outcome::Appended, "seveneight".to_owned()));
}

#[test]
fn one_that_the_chain_has_no_time_for_counts_as_one_that_holds() {
    let open = Arc::new(AtomicBool::new(false));
    let busy = {
        let open = open.clone();
        Scripted::control("busy", 1, &["mail:*"], move |_, _| {
            while !open.load(SeqCst) {
                std::thread::yield_now();
            }
            proceed()
        })
    };
    let late = Scripted::control("late", 2, &[], |_, _| answer(Signal::Fail("it is asked".to_owned())))
        .with(|info| info.controls = when("event.payload.items.exists(item, item == 7)"))
        .holding();
    let options = EngineOptions { chain_budget_ms: 30, guest_threads: 1, ..options() };
    let host = Host::tuned(options, [busy, late]);
    let engine = host.engine().clone();
    let held = host.run(async {
        // The one thread is taken for longer than the budget lasts.
        let first = engine.publish(incoming("mail:sent", &json!({})), caller());
        let held = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            engine.publish(heavy(0), caller()).await
        };
        let opened = async {
            tokio::time::sleep(Duration::from_millis(80)).await;
            open.store(true, SeqCst);
        };
        tokio::join!(held, first, opened).0
    });
    assert_eq!(told(&held), "busy by late: 'late' cannot answer: the chain's 30 ms were spent before its turn (again in 30 ms)");
    assert_eq!(host.publish(heavy(0)).outcome, Outcome::Appended, "with time it is asked, and does not hold");
}

/// Publishes what costs much, and gives the longest time for which the host's threads did nothing else, and how long all of it took.
fn longest_pause(host: &Host, events: usize, is_over: impl Fn() -> bool) -> (Duration, Duration) {
    let engine = host.engine().clone();
    let over = Arc::new(AtomicBool::new(false));
    let mut ticks = JoinSet::new();
    host.run(async { drop(ticks.spawn(tick(over.clone()))) });
    let begun = Instant::now();
    host.run(async move {
        for n in 0..events {
            engine.publish(costly(n), caller()).await;
        }
    });
    host.until("all of it was looked at", |_| is_over());
    let took = begun.elapsed();
    over.store(true, SeqCst);
    (host.run(ticks.join_next()).unwrap().unwrap(), took)
}

async fn tick(over: Arc<AtomicBool>) -> Duration {
    let mut longest = Duration::ZERO;
    while !over.load(SeqCst) {
        let asleep = Instant::now();
        tokio::time::sleep(Duration::from_millis(1)).await;
        longest = longest.max(asleep.elapsed());
    }
    longest
}

#[test]
fn those_of_readers_leave_the_hosts_threads_to_others() {
    const EVENTS: usize = 12;
    const READERS: usize = 6;
    let host = Host::with([]);
    let seen = Seen::default();
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let mut reader = host.engine().subscribe(Reading { filter: when(COSTLY), ..Reading::default() });
        let seen = seen.clone();
        let read = async move {
            while let Ok(events) = reader.events().await {
                events.iter().for_each(|event| seen.note(event.sequence_number.to_string()));
            }
        };
        host.run(async { drop(readers.spawn(read)) });
    }
    let (pause, took) = longest_pause(&host, EVENTS, || seen.len() == EVENTS * READERS);
    assert!(pause < took / 4, "nothing else was done for {pause:?} of {took:?}");
}

#[test]
fn those_of_plugins_are_asked_on_plugins_threads() {
    const EVENTS: usize = 12;
    const PLUGINS: usize = 6;
    let seen = Seen::default();
    let guests = (0..PLUGINS).map(|number| {
        let seen = seen.clone();
        let observe = move |events: &[Arc<trackside_model::event::Event>], _: &trackside_model::ports::Delivery| {
            events.iter().for_each(|event| seen.note(event.sequence_number.to_string()));
            taken()
        };
        Scripted::observer(&format!("watcher-{number}"), when(COSTLY), observe)
    });
    let started = Seen::default();
    let workers = (0..PLUGINS).map(|number| {
        let started = started.clone();
        let method = format!("case/{number}");
        let run = move |_| {
            started.note(String::new());
            async { result(&json!({})) }
        };
        let trigger =
            Trigger { filter: when(COSTLY), method: Text::from(method.as_str()), debounce_ms: None, throttle_ms: None, batch_max: 1 };
        Scripted::worker(&format!("starter-{number}"), &[&method], run).with(|info| info.triggers = vec![trigger])
    });
    let host = Host::with(guests.chain(workers));
    let (pause, took) = longest_pause(&host, EVENTS, || seen.len() == EVENTS * PLUGINS && started.len() == EVENTS * PLUGINS);
    assert!(pause < took / 4, "nothing else was done for {pause:?} of {took:?}");
}
