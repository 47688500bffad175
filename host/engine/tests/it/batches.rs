//! Events that wait for a guest thread at the same time: judged together where the handler takes that, each as if it were alone.
//! What a batch costs is the bench's to say; how a component takes one is tested with the plugin host.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use trackside_engine::{Answer, EngineOptions, HostSide, Outcome};
use trackside_model::{
    control::{Check, CheckAnswer, Signal},
    event::Event,
    json::Json,
    ports::{FaultKind, HostCalls},
};

use crate::support::*;

/// One guest thread, so that whatever is asked while it is held is taken together.
fn one_thread() -> EngineOptions {
    EngineOptions { guest_threads: 1, chain_budget_ms: 60_000, ..options() }
}

/// Holds the guest thread, by an event of its own type, until it is let go.
fn gate() -> (Scripted, mpsc::SyncSender<()>) {
    let (open, opened) = mpsc::sync_channel(1);
    let opened = Mutex::new(opened);
    let gate = Scripted::control("gate", 1, &["gate:held"], move |_, _| {
        opened.lock().recv().expect("somebody lets it go");
        proceed()
    });
    (gate, open)
}

/// Publishes so many orders that wait for the thread at the same time.
fn publish_together(host: &Host, open: &mpsc::SyncSender<()>, numbers: Range<usize>) -> Vec<Answer> {
    let mut held = Box::pin(host.engine().publish(incoming("gate:held", &json!({"before": numbers.start})), caller()));
    host.run(async {
        let mut orders: Vec<_> = numbers.map(|n| Box::pin(host.engine().publish(order(n), caller()))).collect();
        std::future::poll_fn(|context| {
            assert!(held.as_mut().poll(context).is_pending(), "the gate holds");
            for order in &mut orders {
                assert!(order.as_mut().poll(context).is_pending(), "each waits behind the gate");
            }
            std::task::Poll::Ready(())
        })
        .await;
        open.send(()).expect("the gate waits");
        assert_eq!(held.await.outcome, Outcome::Appended);
        let mut answers = Vec::new();
        for order in orders {
            answers.push(order.await);
        }
        answers
    })
}

fn number(event: &Event) -> u64 {
    event.payload.to_value()["n"].as_u64().unwrap_or(u64::MAX)
}

fn checks_of(host: &Host, answer: &Answer) -> Vec<Check> {
    let sequence = answer.sequence_number.expect("a decision has a place in the log");
    host.engine().store().decisions(sequence).expect("reads").remove(0).checks
}

#[test]
fn each_event_of_a_batch_has_its_own_verdict() {
    let (gate, open) = gate();
    let judge = Scripted::control("judge", 1, &["order:*"], |event, _| match number(event) % 4 {
        0 => answer(Signal::Fail(format!("not {}", number(event)))),
        1 => amend(&json!({"n": number(event) + 1000})),
        _ => proceed(),
    });
    let seen = Seen::default();
    let noted = seen.clone();
    let next = Scripted::control("next", 2, &["order:*"], move |event, _| {
        noted.note(number(event).to_string());
        proceed()
    });
    let host = Host::tuned(one_thread(), [gate, judge.batching(), next.batching()]);
    let answers = publish_together(&host, &open, 0..32);
    let mut largest = 0;
    for (n, answer) in (0..).zip(&answers) {
        let checks = checks_of(&host, answer);
        largest = largest.max(checks[0].batch);
        let expected = match n % 4 {
            0 => (Outcome::Refused, CheckAnswer::Fail, 1),
            _ => (Outcome::Appended, CheckAnswer::Proceed, 2),
        };
        assert_eq!((answer.outcome, checks[0].answer, checks.len()), expected, "{n}: {checks:?}");
        assert_eq!(checks[0].amended, n % 4 == 1);
    }
    assert!(largest > 1, "some were judged together");
    let mut kept: Vec<u64> = host.of_type("order:placed").iter().map(|event| number(event)).collect();
    kept.sort_unstable();
    let mut expected: Vec<u64> = (0..32).filter(|n| n % 4 != 0).map(|n| if n % 4 == 1 { n + 1000 } else { n }).collect();
    expected.sort_unstable();
    assert_eq!(kept, expected);
    let mut shown: Vec<u64> = seen.all().iter().map(|n| n.parse().expect("a number")).collect();
    shown.sort_unstable();
    assert_eq!(shown, expected, "the next handler sees what the first let through, as it left it");
}

#[test]
fn handlers_are_asked_in_order_whatever_waits_together() {
    let (gate, open) = gate();
    let seen = Seen::default();
    let noting = |name: &'static str, priority, types: &[&str]| {
        let seen = seen.clone();
        Scripted::control(name, priority, types, move |event, _| {
            seen.note(format!("{} {name}", number(event)));
            proceed()
        })
        .batching()
    };
    let guests = [gate, noting("last", 3, &["order:*"]), noting("first", 1, &["order:*"]), noting("second", 2, &["order:*"])];
    let host = Host::tuned(one_thread(), guests);
    publish_together(&host, &open, 0..20);
    for n in 0..20 {
        let own: Vec<String> = seen.all().into_iter().filter(|line| line.starts_with(&format!("{n} "))).collect();
        assert_eq!(own, [format!("{n} first"), format!("{n} second"), format!("{n} last")]);
    }
}

#[test]
fn events_whose_handlers_take_one_at_a_time_do_not_wait_for_each_other() {
    let (gate, open) = gate();
    let seen = Seen::default();
    let noting = |name: &'static str, priority| {
        let seen = seen.clone();
        Scripted::control(name, priority, &["order:*"], move |event, _| {
            seen.note(format!("{} {name}", number(event)));
            proceed()
        })
    };
    let host = Host::tuned(one_thread(), [gate, noting("first", 1).batching(), noting("second", 2)]);
    publish_together(&host, &open, 0..8);
    let expected: Vec<String> = (0..8).flat_map(|n| [format!("{n} first"), format!("{n} second")]).collect();
    assert_eq!(seen.all(), expected, "each comes to its end before the next begins");
}

#[test]
fn nobodys_call_is_shorter_for_its_company() {
    let (gate, open) = gate();
    let judge = Scripted::control("judge", 1, &["order:*"], |_, _| proceed()).batching();
    // Nobody in this chain has as much left as the handler may take.
    let judge = judge.with(|info| info.limits.timeout_ms = 120_000);
    let host = Host::tuned(one_thread(), [gate, judge]);
    let answers = publish_together(&host, &open, 0..16);
    assert!(answers.iter().all(|answer| checks_of(&host, answer)[0].batch == 1));
}

#[test]
fn only_the_event_that_a_fault_is_about_is_answered_by_it() {
    let (gate, open) = gate();
    let judge = Scripted::control("judge", 1, &["order:*"], |event, _| match number(event) {
        13 => fault(FaultKind::Trap),
        _ => proceed(),
    });
    let host = Host::tuned(one_thread(), [gate, judge.batching().holding()]);
    let answers = publish_together(&host, &open, 0..24);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.outcome, if n == 13 { Outcome::Busy } else { Outcome::Appended }, "{n}: {answer:?}");
    }
    let faults = host.of_type("plugin:fault");
    assert_eq!(faults.len(), 1, "the culprit is charged, and nobody else");
    assert_eq!(faults[0].payload.to_value()["event"]["event_id"], json!(answers[13].event_id));
    assert_eq!(host.engine().plugins().iter().find(|plugin| &*plugin.info.name == "judge").map(|plugin| plugin.faults), Some(1));
}

#[test]
fn a_handler_that_begins_to_spin_takes_two_deadlines_and_no_more() {
    let (gate, open) = gate();
    let spinning = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let (spins, counted) = (spinning.clone(), calls.clone());
    let spinner = Scripted::control("spinner", 1, &["order:*"], move |_, _| {
        if !spins.load(SeqCst) {
            return proceed();
        }
        counted.fetch_add(1, SeqCst);
        fault(FaultKind::Deadline)
    });
    let host = Host::tuned(one_thread(), [gate, spinner.batching().backing_off(3_600_000)]);
    publish_together(&host, &open, 0..40);
    spinning.store(true, SeqCst);
    let answers = publish_together(&host, &open, 100..140);
    assert_eq!(calls.load(SeqCst), 2, "one for all of them, one for the first alone, and it is quarantined");
    assert_eq!((host.count("plugin:fault"), host.count("plugin:quarantined")), (2, 1));
    let told: Vec<CheckAnswer> = answers.iter().map(|answer| checks_of(&host, answer)[0].answer).collect();
    assert_eq!(told.iter().filter(|answer| **answer == CheckAnswer::Fault).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|answer| **answer == CheckAnswer::NotAsked).count(), 39, "{told:?}");
}

#[test]
fn a_call_that_wants_something_to_happen_is_about_one_event() {
    let (gate, open) = gate();
    let judge = Scripted::control("judge", 1, &["order:*"], |event, _| proceed().adding(&format!("n{}", number(event)), 1));
    let host = Host::tuned(one_thread(), [gate, judge.batching()]);
    let answers = publish_together(&host, &open, 0..16);
    let side = HostSide::new(host.engine().store().clone());
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(checks_of(&host, answer)[0].batch, 1);
        let count = side.kv_get("judge", &format!("n{n}")).expect("reads").value;
        assert_eq!(count.as_deref(), Some(&b"1"[..]), "counted once");
    }
}

#[test]
fn with_a_batch_of_one_each_event_is_judged_alone() {
    let (gate, open) = gate();
    let host = Host::tuned(
        EngineOptions { check_batch: 1, ..one_thread() },
        [gate, Scripted::control("judge", 1, &["order:*"], |_, _| proceed()).batching()],
    );
    let answers = publish_together(&host, &open, 0..16);
    assert!(answers.iter().all(|answer| checks_of(&host, answer)[0].batch == 1));
}

#[test]
fn the_same_events_come_to_the_same_alone_and_together() {
    let judged = |batching: bool| -> Vec<(String, Value)> {
        let (gate, open) = gate();
        let judge = |name: &'static str, priority: i32, add: u64| {
            let judge = Scripted::control(name, priority, &["order:*"], move |event, _| match (number(event) + add) % 5 {
                0 => answer(Signal::Skip("five".to_owned())),
                1 => amend(&json!({"n": number(event) + 5})),
                2 => answer(Signal::Fallback { value: Json::trusted(r#"{"n":"instead"}"#), reason: "two".to_owned() }),
                3 if number(event) > 20 => fault(FaultKind::Trap),
                _ => proceed(),
            });
            if batching { judge.batching() } else { judge }
        };
        let judges = [gate, judge("one", 1, 0), judge("two", 2, 3), judge("three", 3, 1)];
        let roomy = |judge: Scripted| judge.with(|info| info.breaker.faults = 1_000);
        let host = Host::tuned(one_thread(), judges.map(roomy));
        let answers = publish_together(&host, &open, 0..40);
        let record = |answer: &Answer| {
            let checks = answer.sequence_number.map(|_| checks_of(&host, answer)).unwrap_or_default();
            let checks = checks.iter().map(|check| json!([&*check.by.plugin, check.answer, check.amended, check.reason])).collect();
            (told(answer), Value::Array(checks))
        };
        answers.iter().map(record).collect()
    };
    assert_eq!(judged(false), judged(true));
}
