//! Retention: what goes and what stays, who is told, and what a crash in the middle of it leaves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use trackside_engine::{EngineOptions, Outcome, Reading, Told};
use trackside_model::{
    event::{Incoming, Pattern, Position, Severity},
    keeping::{Gap, TrimmedEvents},
    plugin::Digest,
};
use trackside_store::{RetentionRule, Verified, log_path, verify};
use uuid::Uuid;

use crate::{support::*, workflows::echo};

fn rule(types: &[&str]) -> RetentionRule {
    RetentionRule { types: Some(types.iter().map(|text| Pattern::parse(text).unwrap()).collect()), ..RetentionRule::default() }
}

fn keeping(rules: impl IntoIterator<Item = RetentionRule>) -> EngineOptions {
    EngineOptions { retention: rules.into_iter().collect(), retention_interval_ms: 20, dedup_window_ms: 0, ..options() }
}

fn at_most(events: u64) -> EngineOptions {
    keeping([RetentionRule { max_events: Some(events), ..rule(&["order:*"]) }])
}

fn publish_orders(host: &Host, from: usize, to: usize) {
    for n in from..to {
        assert_eq!(host.publish(order(n)).outcome, Outcome::Appended);
    }
}

fn numbers(host: &Host) -> Vec<u64> {
    host.of_type("order:placed").iter().map(|event| event.payload.to_value()["n"].as_u64().unwrap()).collect()
}

fn told(host: &Host) -> Vec<Gap> {
    let told = host.of_type("event:trimmed").into_iter();
    told.flat_map(|event| event.payload.read::<TrimmedEvents>().unwrap().ranges).collect()
}

/// What is not there, by looking.
fn gaps(host: &Host) -> Vec<Gap> {
    let there: Vec<u64> = host.events().iter().map(|event| event.sequence_number).collect();
    let last = *there.last().unwrap();
    Gap::of((1..=last).filter(|sequence| there.binary_search(sequence).is_err()))
}

fn verified(dir: &TempDir) -> Verified {
    verify(&log_path(dir.path()), |_, _| ()).unwrap()
}

#[test]
fn the_oldest_go_when_there_are_too_many_and_the_log_says_so() {
    let host = Host::tuned(at_most(50), []);
    publish_orders(&host, 0, 700);
    host.publish(incoming("other:thing", &json!({})));
    host.until("the oldest are gone", |host| host.count("order:placed") == 50 && host.count("cleanup:completed") > 0);
    assert_eq!(numbers(&host), (650..700).collect::<Vec<_>>());
    assert_eq!(host.count("other:thing"), 1);
    let gone: u64 = told(&host).iter().map(Gap::events).sum();
    assert_eq!(gone, 650);
    let head = host.engine().store().durable_head();
    assert_eq!(host.engine().store().trimmed(0, head, 1_000).unwrap(), gaps(&host));
    host.until("it is told as done", |host| {
        let done = host.of_type("cleanup:completed").into_iter().map(|event| event.payload.to_value()["events"].as_u64().unwrap());
        done.sum::<u64>() == 650
    });
    // What the ring no longer has, the file has not either.
    let dir = host.stop();
    assert_eq!(verified(&dir).trimmed, 650);
    let host = Host::over(dir, at_most(50), |_| Vec::new());
    assert_eq!(numbers(&host), (650..700).collect::<Vec<_>>());
    assert_eq!(host.publish(order(1_000)).outcome, Outcome::Appended, "the log goes on");
}

#[test]
fn the_first_rule_that_names_an_event_decides() {
    let all = RetentionRule { max_age_ms: Some(1), ..RetentionRule::default() };
    let loud = RetentionRule { max_severity: Some(Severity::Info), max_age_ms: Some(1), ..rule(&["order:*"]) };
    let host = Host::tuned(keeping([rule(&["order:kept"]), loud, rule(&["order:*"]), all]), []);
    let publish = |event_type: &str, severity| {
        let answer = host.publish(Incoming { severity: Some(severity), ..incoming(event_type, &json!({})) });
        assert_eq!(answer.outcome, Outcome::Appended);
    };
    publish("order:kept", Severity::Debug);
    publish("order:quiet", Severity::Info);
    publish("order:loud", Severity::Warning);
    publish("note:taken", Severity::Critical);
    host.until("they are gone", |host| host.count("order:quiet") + host.count("note:taken") == 0);
    assert_eq!((host.count("order:kept"), host.count("order:loud")), (1, 1));
}

#[test]
fn a_store_that_is_too_large_loses_its_oldest() {
    let text = "x".repeat(2_000);
    let large = |n: usize| incoming("order:placed", &json!({"n": n, "text": text}));
    let limit = RetentionRule { max_store_bytes: Some(400_000), ..rule(&["order:*"]) };
    let host = Host::tuned(keeping([limit]), []);
    for n in 0..500 {
        host.publish(large(n));
    }
    host.until("it has become small", |host| host.engine().store().used_bytes().unwrap() < 450_000);
    let left = numbers(&host);
    // An event and what it takes besides are about a page; the empty tables are about as much as all that are left.
    assert!(left.len() > 30 && left.last() == Some(&499) && left.is_sorted(), "{left:?}");
}

#[test]
fn nothing_goes_that_a_reader_has_not_come_past() {
    let takes = Arc::new(AtomicBool::new(false));
    let does = takes.clone();
    let slow = Scripted::observer("slow", types(&["order:*"]), move |_, _| match does.load(SeqCst) {
        true => taken(),
        false => answer(Err("not yet".to_owned())),
    });
    let options = EngineOptions { observer_deliveries: 1_000, observer_batch: 1, ..at_most(1) };
    let host = Host::tuned(options, [slow]);
    publish_orders(&host, 0, 20);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(host.count("order:placed"), 20, "the observer has seen none of them");
    takes.store(true, SeqCst);
    // Ten seconds at the most until a cursor behind what nobody wanted is written down.
    host.until("they are gone", |host| host.count("order:placed") <= 1);
}

#[test]
fn a_plugin_that_is_gone_for_good_can_be_forgotten() {
    let slow = || Scripted::observer("slow", types(&["order:*"]), |_, _| answer(Err("never".to_owned())));
    let options = EngineOptions { observer_deliveries: 1_000, observer_batch: 1, ..at_most(1) };
    let host = Host::tuned(options, [slow()]);
    publish_orders(&host, 0, 20);
    let forget = |name: &str| host.run(host.engine().forget_cursors(name, "test"));
    assert!(forget("slow").unwrap_err().to_string().contains("is in service"));
    assert!(forget("nobody").unwrap_err().to_string().contains("no cursor of a plugin 'nobody'"));
    assert!(host.engine().remove("slow", "test"));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(host.count("order:placed"), 20, "its cursor holds them");
    host.until("its reading has ended", |_| forget("slow").is_ok_and(|cursors| cursors == ["observer/slow"]));
    host.until("they are gone", |host| host.count("order:placed") <= 1);
    assert_eq!(host.of_type("plugin:forgotten")[0].payload.to_value()["cursors"], json!(["observer/slow"]));
    // One that comes back begins with what comes then, with all of its deliveries.
    let seen = Seen::default();
    let noted = seen.clone();
    host.install(Scripted::observer("slow", types(&["order:*"]), move |events, delivery| {
        events.iter().for_each(|event| noted.note(format!("{} {}", event.payload.to_value()["n"], delivery.attempt)));
        taken()
    }));
    publish_orders(&host, 20, 21);
    host.until("it is handed over", |_| seen.len() == 1);
    assert_eq!(seen.all(), ["20 1"]);
}

#[test]
fn a_workflow_goes_as_a_whole_when_it_has_ended() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let waiting = Scripted::worker("waiting", &["sim/wait"], move |_| {
        let gate = gate.clone();
        async move {
            while !gate.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            result(&json!("done"))
        }
    });
    let everything = RetentionRule { max_age_ms: Some(1), ..RetentionRule::default() };
    let host = Host::tuned(keeping([everything]), [echo(), waiting]);
    let long = host.submit("name: long\ntasks:\n  - {id: a, method: sim/echo}\n  - {id: b, method: sim/wait, dependencies: [a]}\n");
    let short = host.submit("name: short\ntasks:\n  - {id: a, method: sim/echo}\n");
    host.ended(&short);
    host.until("the short one is gone", |host| host.story(&short).is_empty());
    let store = host.engine().store();
    assert_eq!((store.workflow(&short).unwrap(), store.workflow(&long).unwrap().is_some()), (None, true));
    assert_eq!(host.facts(&long).first().map(String::as_str), Some("workflow:submit"));
    let submitted = host.of_type("workflow:submitted").remove(0).payload.to_value();
    let definition: Digest = submitted["definition"].as_str().unwrap().parse().unwrap();
    assert!(store.blob(&definition).unwrap().is_some());
    open.store(true, SeqCst);
    host.ended(&long);
    host.until("the long one is gone", |host| host.story(&long).is_empty() && host.engine().store().workflow(&long).unwrap().is_none());
    host.until("its definition is gone", |host| host.engine().store().blob(&definition).unwrap().is_none());
    verified(&host.stop());
}

#[test]
fn an_id_is_remembered_for_a_while_after_its_event_has_gone() {
    let id = Uuid::from_u128(0x7000_0000_0000_0000_0007);
    let given = |n: usize| Incoming { event_id: Some(id), ..order(n) };
    let host = Host::tuned(at_most(1), []);
    let first = host.publish(given(1)).sequence_number;
    publish_orders(&host, 2, 10);
    host.until("it is gone", |host| numbers(host) == [9]);
    let again = host.publish(given(1));
    assert_eq!((again.outcome, again.sequence_number), (Outcome::Duplicate, first));
    let other = host.publish(given(2));
    assert_eq!(other.outcome, Outcome::Refused, "{other:?}");
    assert_eq!(numbers(&host), [9]);
    // Over a restart, and until the memory is over.
    let host = Host::over(host.stop(), at_most(1), |_| Vec::new());
    assert_eq!(host.publish(given(1)).outcome, Outcome::Duplicate);
    let host = Host::over(host.stop(), EngineOptions { id_memory_ms: 1, ..at_most(1) }, |_| Vec::new());
    host.until("it is forgotten", |host| host.publish(given(1)).outcome == Outcome::Appended);
}

#[test]
fn readers_that_come_back_are_told_what_they_missed() {
    let host = Host::tuned(at_most(5), []);
    publish_orders(&host, 0, 300);
    host.until("the oldest are gone", |host| host.count("order:placed") == 5);
    let expected = gaps(&host);
    let mut reading = host.engine().subscribe(Reading { filter: types(&["order:*"]), ..Reading::default() });
    let (mut events, mut trimmed) = (Vec::new(), Vec::new());
    while events.len() < 5 {
        match host.run(reading.next()).unwrap() {
            Told::Events(frames) => events.extend(frames),
            Told::Trimmed(gaps) => trimmed.extend(gaps),
            missed @ Told::Missed { .. } => panic!("{missed:?}"),
        }
    }
    assert_eq!(trimmed, expected);
    // One that was inside a gap is told of the rest of it.
    let inside = expected[0].from + 10;
    let mut reading = host.engine().subscribe(Reading { after: Position::end_of(inside), ..Reading::default() });
    let Told::Trimmed(told) = host.run(reading.next()).unwrap() else { panic!("it is told first") };
    assert_eq!(told[0], Gap { from: inside + 1, to: expected[0].to });
    let page =
        host.engine().store().query(&trackside_store::Query { after: Some(Position::end_of(inside)), ..Default::default() }).unwrap();
    assert_eq!(page.trimmed[0], Gap { from: inside + 1, to: expected[0].to });
    let all = host.engine().store().query(&trackside_store::Query::default()).unwrap();
    assert_eq!(all.trimmed[0], expected[0]);
}

#[test]
fn a_crash_at_any_moment_leaves_a_whole_log() {
    let host = Host::tuned(at_most(10), [echo()]);
    for round in 0..6 {
        publish_orders(&host, round * 300, (round + 1) * 300);
        host.submit("name: short\ntasks:\n  - {id: a, method: sim/echo}\n");
        for _ in 0..3 {
            let left = host.crashed();
            let again = Host::over(left, at_most(10), |_| vec![echo()]);
            let dir = again.stop();
            let looked = verified(&dir);
            assert!(looked.last > 0);
        }
    }
    host.until("they are gone", |host| host.count("order:placed") <= 10);
}
