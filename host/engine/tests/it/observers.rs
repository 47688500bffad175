//! Observers: every event once and in order, whatever they answer and whenever the host ends; and nobody waits for them.
//! What they publish is the outbox's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::json;
use trackside_engine::{EngineOptions, Outcome};
use trackside_model::{event::Filter, ports::FaultKind};

use crate::support::*;

fn orders() -> Filter {
    types(&["order:*"])
}

/// Notes what it is handed, and counts it in its kv space.
fn counting(name: &str, filter: Filter, seen: &Seen) -> Scripted {
    let seen = seen.clone();
    Scripted::observer(name, filter, move |events, _| {
        for event in events {
            seen.note(format!("{} {}", event.event_type, event.payload));
        }
        taken().adding("count", i64::try_from(events.len()).unwrap())
    })
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("order:placed {{\"n\":{n}}}")).collect()
}

fn publish_orders(host: &Host, from: usize, to: usize) {
    for n in from..to {
        assert_eq!(host.publish(order(n)).outcome, Outcome::Appended);
    }
}

#[test]
fn every_event_comes_once_and_in_order() {
    let seen = Seen::default();
    let host = Host::with([counting("ledger", orders(), &seen)]);
    publish_orders(&host, 0, 300);
    host.until("all are counted", |host| host.kv("ledger", "count").as_deref() == Some("300"));
    assert_eq!(seen.all(), numbers(0, 300));
}

#[test]
fn a_batch_is_no_larger_than_a_call_may_carry() {
    let (seen, sizes) = (Seen::default(), Seen::default());
    let narrow = || {
        let (seen, sizes) = (seen.clone(), sizes.clone());
        let observer = Scripted::observer("narrow", orders(), move |events, _| {
            sizes.note(events.iter().map(|event| event.text_bytes()).sum::<u64>().to_string());
            events.iter().for_each(|event| seen.note(format!("{} {}", event.event_type, event.payload)));
            taken()
        });
        observer.with(|info| info.limits.argument_bytes = 500)
    };
    // What comes while it is away waits for it all together.
    let host = Host::with([narrow()]);
    host.run(async { host.engine().remove("narrow", "for a while") });
    publish_orders(&host, 0, 60);
    host.install(narrow());
    host.until("all have come", |_| seen.len() == 60);
    assert_eq!(seen.all(), numbers(0, 60));
    let sizes: Vec<u64> = sizes.all().iter().filter_map(|bytes| bytes.parse().ok()).collect();
    assert!(sizes.iter().all(|bytes| *bytes <= 500) && sizes.iter().any(|bytes| *bytes > 250), "{sizes:?}");
}

#[test]
fn what_is_published_behind_the_install_is_observed() {
    for _ in 0..30 {
        let seen = Seen::default();
        let host = Host::with([]);
        publish_orders(&host, 0, 1);
        host.install(counting("ledger", orders(), &seen));
        publish_orders(&host, 1, 3);
        host.until("both are there", |_| seen.len() >= 2);
        assert_eq!(seen.all(), numbers(1, 3), "from the install on, and nothing before");
    }
}

#[test]
fn what_came_before_the_first_delivery_is_not_lost_in_a_crash() {
    let busy = Scripted::observer("ledger", orders(), |_, _| {
        std::thread::sleep(Duration::from_millis(200));
        fault(FaultKind::Trap)
    });
    let host = Host::with([busy]);
    publish_orders(&host, 0, 5);
    let (dir, seen) = (host.crashed(), Seen::default());
    let host = Host::over(dir, options(), |_| vec![counting("ledger", orders(), &seen)]);
    host.until("they are observed", |host| host.kv("ledger", "count").as_deref() == Some("5"));
    assert_eq!(seen.all(), numbers(0, 5));
}

#[test]
fn cursor_kv_and_outbox_are_one_commit_at_any_moment() {
    let forwarding = || {
        Scripted::observer("ledger", orders(), |events, _| {
            let counted = taken().adding("count", i64::try_from(events.len()).unwrap());
            events.iter().fold(counted, |report, event| report.publishing(event.event_id, "ledger:noted", &event.payload.to_value()))
        })
    };
    let mut host = Host::with([forwarding()]);
    let mut published = 0;
    for round in 0..8 {
        let publishing = host.engine().clone();
        let (from, to) = (published, published + 40);
        let acknowledged = host.run(async {
            let mut answers = Vec::new();
            for n in from..to {
                answers.push(publishing.publish(order(n), caller()).await);
            }
            answers
        });
        assert!(acknowledged.iter().all(|answer| answer.outcome == Outcome::Appended));
        published = to;
        // Without a stop, a little later each time: in the middle of a delivery, of a dispatch, or of neither.
        std::thread::sleep(Duration::from_micros(700 * round));
        let dir = host.crashed();
        host = Host::over(dir, options(), |_| vec![forwarding()]);
    }
    let all = published.to_string();
    host.until("all are counted", |host| host.kv("ledger", "count").as_deref() == Some(&all));
    host.until_told("ledger:noted", published);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!((host.kv("ledger", "count"), host.count("order:placed"), host.count("ledger:noted")), (Some(all), published, published));
}

#[test]
fn an_orderly_restart_repeats_nothing() {
    let seen = Seen::default();
    let mut host = Host::with([counting("ledger", orders(), &seen)]);
    for round in 0..4 {
        publish_orders(&host, round * 10, round * 10 + 10);
        host = Host::over(host.stop(), options(), |_| vec![counting("ledger", orders(), &seen)]);
    }
    host.until("all are counted", |host| host.kv("ledger", "count").as_deref() == Some("40"));
    assert_eq!(seen.all(), numbers(0, 40));
}

#[test]
fn an_event_that_cannot_be_handled_is_found_and_set_aside() {
    let (seen, open) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let (noted, gate) = (seen.clone(), open.clone());
    let picky = Scripted::observer("picky", orders(), move |events, delivery| {
        if !gate.load(SeqCst) {
            return answer(Err("not yet".to_owned()));
        }
        let poisoned = events.iter().any(|event| event.payload.as_str() == r#"{"n":13}"#);
        noted.note(format!("{} {}{}", events.len(), delivery.attempt, if poisoned { " poisoned" } else { "" }));
        if poisoned { answer(Err("thirteen".to_owned())) } else { taken().adding("count", i64::try_from(events.len()).unwrap()) }
    });
    let options = EngineOptions { observer_deliveries: 3, observer_batch: 16, ..options() };
    let host = Host::tuned(options, [picky]);
    // Enough behind each other that they come in batches once the gate is open.
    open.store(true, SeqCst);
    host.run(async {
        let mut publishing = tokio::task::JoinSet::new();
        for n in 0..40 {
            let engine = host.engine().clone();
            publishing.spawn(async move { engine.publish(order(n), caller()).await });
        }
        publishing.join_all().await
    });
    host.until("the others are counted", |host| host.kv("picky", "count").as_deref() == Some("39"));
    let [dead] = &host.of_type("event:dead_lettered")[..] else { panic!("one dead letter") };
    let payload = dead.payload.to_value();
    assert_eq!((&payload["plugin"], &payload["code"], &payload["reason"]), (&json!("picky"), &json!("deliveries"), &json!("thirteen")));
    assert_eq!((&payload["deliveries"], &payload["event_type"]), (&json!(3), &json!("order:placed")));
    let poisoned: Vec<_> = host.of_type("order:placed").into_iter().filter(|event| event.payload.as_str() == r#"{"n":13}"#).collect();
    assert_eq!(payload["sequence_number"], poisoned[0].sequence_number);
    assert_eq!(dead.causation_id.as_deref(), Some(&*poisoned[0].event_id.to_string()));
    let alone: Vec<String> = seen.all().into_iter().filter(|line| line.starts_with("1 ") && line.ends_with("poisoned")).collect();
    assert_eq!(alone, ["1 1 poisoned", "1 2 poisoned", "1 3 poisoned"]);
}

#[test]
fn an_event_that_comes_alone_is_delivered_no_oftener_than_allowed() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let refusing = Scripted::observer("refusing", orders(), move |_, _| {
        count.fetch_add(1, SeqCst);
        answer(Err("no".to_owned()))
    });
    let host = Host::tuned(EngineOptions { observer_deliveries: 3, ..options() }, [refusing]);
    publish_orders(&host, 0, 1);
    host.until_told("event:dead_lettered", 1);
    assert_eq!(calls.load(SeqCst), 3);
}

#[test]
fn a_spinning_observer_is_quarantined_probed_and_restored() {
    let (healed, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_healed, count) = (healed.clone(), calls.clone());
    let spinning = Scripted::observer("spinning", orders(), move |events, _| {
        count.fetch_add(1, SeqCst);
        if is_healed.load(SeqCst) { taken().adding("count", i64::try_from(events.len()).unwrap()) } else { fault(FaultKind::Deadline) }
    });
    let host = Host::with([spinning.backing_off(150)]);
    publish_orders(&host, 0, 4);
    host.until_told("plugin:quarantined", 1);
    assert_eq!(calls.load(SeqCst), 2, "two deadlines in a row are enough");
    let status = host.engine().plugins().into_iter().next().unwrap();
    assert_eq!((status.state, status.faults), ("quarantined", 2));
    healed.store(true, SeqCst);
    host.until_told("plugin:restored", 1);
    host.until("all are counted", |host| host.kv("spinning", "count").as_deref() == Some("4"));
    let types: Vec<String> = host.types().into_iter().filter(|event_type| event_type != "order:placed").collect();
    let expected =
        ["plugin:fault", "plugin:fault", "plugin:quarantined", "circuit:opened", "circuit:half_open", "plugin:restored", "circuit:closed"];
    assert_eq!(types, expected);
    assert_eq!(host.engine().plugins()[0].state, "serving");
}

#[test]
fn a_slow_observer_delays_nobody() {
    let (open, opened) = std::sync::mpsc::sync_channel::<()>(1);
    let opened = parking_lot::Mutex::new(opened);
    let slow = Scripted::observer("slow", orders(), move |events, _| {
        let _ = opened.lock().recv();
        taken().adding("count", i64::try_from(events.len()).unwrap())
    });
    let seen = Seen::default();
    let worker = Scripted::worker("echo", &["sim/echo"], |task| async move { result(&task.parameters.to_value()) });
    let host = Host::with([slow, counting("quick", orders(), &seen), worker]);
    publish_orders(&host, 0, 50);
    host.until("the quick one is done", |_| seen.len() == 50);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/echo}]\n");
    host.ended(&workflow);
    assert_eq!(host.kv("slow", "count"), None);
    drop(open);
    host.until("the slow one is done", |host| host.kv("slow", "count").as_deref() == Some("50"));
}

#[test]
fn nobody_observes_what_he_publishes_unless_he_names_himself() {
    let echoing = |name: &str, filter: Filter, seen: &Seen| {
        let (seen, own) = (seen.clone(), format!("{name}:echoed"));
        Scripted::observer(name, filter, move |events, _| {
            let mut report = taken();
            for event in events {
                seen.note(event.event_type.to_string());
                if event.event_type.as_str() == "order:placed" {
                    report = report.publishing(event.event_id, &own, &json!({}));
                }
            }
            report
        })
    };
    let (modest, vain) = (Seen::default(), Seen::default());
    let naming = Filter { source_components: Some(vec!["shop".to_owned(), "vain".to_owned()]), ..Filter::default() };
    let host = Host::with([echoing("modest", types(&["order:*", "modest:*"]), &modest), echoing("vain", naming, &vain)]);
    publish_orders(&host, 0, 1);
    host.until("the vain one has seen itself", |_| vain.all() == ["order:placed", "vain:echoed"]);
    host.until_told("modest:echoed", 1);
    publish_orders(&host, 1, 2);
    host.until("the modest one has seen the next", |_| modest.len() >= 2);
    assert_eq!(modest.all(), ["order:placed", "order:placed"]);
}

#[test]
fn narration_comes_only_to_those_who_name_it() {
    let (all, named, facts) = (Seen::default(), Seen::default(), Seen::default());
    let noting = |name: &str, filter: Filter, seen: &Seen| {
        let seen = seen.clone();
        Scripted::observer(name, filter, move |events, _| {
            events.iter().filter(|event| event.workflow_id.is_some()).for_each(|event| seen.note(event.event_type.to_string()));
            taken()
        })
    };
    let worker = Scripted::worker("echo", &["sim/echo"], |task| async move { result(&task.parameters.to_value()) });
    let host = Host::with([
        worker,
        noting("all", Filter::default(), &all),
        noting("named", types(&["task:assigned", "task:completed", "workflow:duration", "workflow:completed"]), &named),
        noting("facts", types(&["task:started", "workflow:completed"]), &facts),
    ]);
    host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/echo}]\n"));
    for seen in [&all, &named, &facts] {
        host.until("the end is observed", |_| seen.all().last().is_some_and(|last| last == "workflow:completed"));
    }
    assert_eq!(named.all(), ["task:assigned", "task:completed", "workflow:duration", "workflow:completed"]);
    assert_eq!(facts.all(), ["task:started", "workflow:completed"]);
    assert_eq!(
        all.all(),
        ["workflow:submit", "workflow:submitted", "workflow:started", "task:started", "task:completed", "workflow:completed"]
    );
}

#[test]
fn one_fact_of_which_much_is_told_is_set_aside_too() {
    let refusing = Scripted::observer("refusing", types(&["task:*", "assignment:*"]), |_, _| answer(Err("no".to_owned())));
    let worker = Scripted::worker("echo", &["sim/echo"], |task| async move { result(&task.parameters.to_value()) });
    let host = Host::tuned(EngineOptions { observer_deliveries: 2, observer_batch: 8, ..options() }, [refusing, worker]);
    host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/echo}]\n"));
    host.until("every fact that tells of the task is set aside", |host| {
        let dead = host.of_type("event:dead_lettered");
        let types: Vec<_> =
            dead.iter().map(|event| event.payload.to_value()["event_type"].as_str().unwrap_or_default().to_owned()).collect();
        types.ends_with(&["task:started".to_owned(), "task:completed".to_owned()])
    });
}

#[test]
fn a_reloaded_observer_goes_on_where_its_old_version_was() {
    let seen = Seen::default();
    let host = Host::with([counting("ledger", orders(), &seen)]);
    publish_orders(&host, 0, 5);
    host.install(counting("ledger", orders(), &seen).with(|info| info.version = trackside_model::plugin::Digest::of(b"2")));
    publish_orders(&host, 5, 10);
    host.until("all are counted", |host| host.kv("ledger", "count").as_deref() == Some("10"));
    for round in 1..10 {
        assert!(host.run(async { host.engine().remove("ledger", "a test") }));
        publish_orders(&host, round * 10, round * 10 + 5);
        host.install(counting("ledger", orders(), &seen));
        publish_orders(&host, round * 10 + 5, round * 10 + 10);
    }
    host.until("all are counted", |host| host.kv("ledger", "count").as_deref() == Some("100"));
    assert_eq!(seen.all(), numbers(0, 100));
}
