//! The one door: what becomes of a draft, by identity, by the chain's verdict, and by what the door itself refuses.
//! What workflows and commands do is tested elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use expect_test::{Expect, expect};
use serde_json::json;
use trackside_engine::{EngineOptions, Outcome};
use trackside_model::{
    control::{Check, CheckAnswer, Signal},
    event::{Condition, EnvelopeLimits, Filter, Incoming, Severity},
    json::Json,
    ports::{FaultKind, HostCalls},
};
use uuid::Uuid;

use crate::{support::*, workflows::echo};

/// What one order comes to with these guests: the answer, and what the log is told.
#[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
fn check(guests: impl IntoIterator<Item = Scripted>, expected: Expect) -> Host {
    let host = Host::with(guests);
    let answer = host.publish(order(1));
    expected.assert_eq(&format!("{}\n{}", told(&answer), host.types().join(" ")));
    host
}

fn says(name: &str, priority: i32, signal: Signal) -> Scripted {
    Scripted::control(name, priority, &["order:*"], move |_, _| answer(signal.clone()))
}

fn noting(name: &str, priority: i32, seen: &Seen) -> Scripted {
    let (seen, own) = (seen.clone(), name.to_owned());
    Scripted::control(name, priority, &["order:*"], move |event, _| {
        seen.note(format!("{own} {}", event.payload));
        proceed()
    })
}

#[test]
fn nobody_objects() {
    let host = check(
        [],
        expect![[r#"
        appended
        order:placed"#]],
    );
    let [event] = &host.of_type("order:placed")[..] else { panic!("one event") };
    assert_eq!((&*event.source_component, event.payload.as_str()), ("shop", r#"{"n":1}"#));
    assert_eq!(*event.correlation_id, *event.event_id.to_string());
}

#[test]
fn each_signal_has_its_answer() {
    let because = || "because".to_owned();
    check(
        [says("gate", 1, Signal::Proceed(None))],
        expect![[r#"
        appended
        order:placed"#]],
    );
    check(
        [says("gate", 1, Signal::Skip(because()))],
        expect![[r#"
        skipped by gate: because
        control:skipped"#]],
    );
    check(
        [says("gate", 1, Signal::Retry { after_ms: Some(70), reason: because() })],
        expect![[r#"
        busy by gate: because (again in 70 ms)
        control:retried"#]],
    );
    check(
        [says("gate", 1, Signal::Retry { after_ms: None, reason: because() })],
        expect![[r#"
        busy by gate: because (again in 1000 ms)
        control:retried"#]],
    );
    let host = check(
        [says("gate", 1, Signal::Fallback { value: Json::trusted("7"), reason: because() })],
        expect![[r#"
        appended by gate: because
        order:placed control:fallback"#]],
    );
    assert_eq!(host.of_type("order:placed")[0].payload.as_str(), "7");
    check(
        [says("gate", 1, Signal::Fail(because()))],
        expect![[r#"
        refused by gate: because
        control:failed"#]],
    );
    check(
        [says("gate", 1, Signal::Error(because()))],
        expect![[r#"
        refused by gate: because
        control:error"#]],
    );
}

#[test]
fn a_notice_follows_from_the_event_that_it_is_about() {
    let host = Host::with([says("gate", 1, Signal::Skip("because".to_owned()))]);
    let answer = host.publish(Incoming { correlation_id: Some("trip".to_owned()), ..order(1) });
    let [notice] = &host.of_type("control:skipped")[..] else { panic!("one notice") };
    assert_eq!(&*notice.correlation_id, "trip");
    assert_eq!(notice.causation_id.as_deref(), answer.event_id.map(|id| id.to_string()).as_deref());
    assert_eq!(notice.payload.to_value()["by"], "gate");
}

#[test]
fn handlers_are_asked_by_priority_and_name() {
    let seen = Seen::default();
    let host = Host::with([
        noting("d", 100, &seen),
        noting("b", 7, &seen),
        noting("a", 100, &seen),
        noting("c", -5, &seen),
        noting("aa", 7, &seen),
    ]);
    host.publish(order(1));
    let names: Vec<String> = seen.all().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["c", "aa", "b", "a", "d"]);
}

#[test]
fn the_first_who_does_not_proceed_ends_the_chain() {
    let seen = Seen::default();
    let host = Host::with([noting("first", 1, &seen), says("second", 2, Signal::Fail("no".to_owned())), noting("third", 3, &seen)]);
    assert_eq!(told(&host.publish(order(1))), "refused by second: no");
    assert_eq!(seen.all(), [r#"first {"n":1}"#]);
}

#[test]
fn a_filter_that_does_not_match_costs_no_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = |name: &str, filter: Filter| {
        let calls = calls.clone();
        Scripted::control(name, 1, &[], move |_, _| {
            calls.fetch_add(1, SeqCst);
            proceed()
        })
        .with(|info| info.controls = filter)
    };
    let host = Host::with([
        counting("other-type", types(&["invoice:*"])),
        counting("never", Filter { event_types: Some(Vec::new()), ..Filter::default() }),
        counting("severe", Filter { min_severity: Some(Severity::Error), ..Filter::default() }),
        counting(
            "other-payload",
            Filter { when: Some(Condition::parse("event.payload.n == 3").expect("a condition")), ..Filter::default() },
        ),
        counting("other-source", Filter { source_components: Some(vec!["mill".to_owned()]), ..Filter::default() }),
    ]);
    host.publish(order(1));
    assert_eq!((calls.load(SeqCst), host.engine().stats().checks), (0, 0));
    host.publish(Incoming { severity: Some(Severity::Critical), ..order(2) });
    assert_eq!(calls.load(SeqCst), 1);
    host.publish(order(3));
    assert_eq!(calls.load(SeqCst), 2, "its condition holds");
}

#[test]
fn an_amendment_is_what_the_next_handler_sees_and_what_is_appended() {
    let seen = Seen::default();
    let redact = Scripted::control("redact", 1, &["order:*"], |_, _| amend(&json!({"n": "***"})));
    let host = Host::with([redact, noting("after", 2, &seen)]);
    assert_eq!(told(&host.publish(order(1))), "appended");
    assert_eq!(seen.all(), [r#"after {"n":"***"}"#]);
    assert_eq!(host.of_type("order:placed")[0].payload.as_str(), r#"{"n":"***"}"#);
}

#[test]
fn a_publisher_who_repeats_an_amended_event_is_told_of_the_first() {
    let redact = Scripted::control("redact", 1, &["order:*"], |_, _| amend(&json!({"n": "***"})));
    let host = Host::with([redact]);
    let again = Incoming { event_id: Some(Uuid::new_v4()), ..order(1) };
    let first = host.publish(again.clone());
    let second = host.publish(again.clone());
    assert_eq!((told(&second), second.sequence_number), ("duplicate".to_owned(), first.sequence_number));
    assert!(host.publish(Incoming { payload: Some(Json::trusted("2")), ..again.clone() }).conflict, "other content, same id");
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    assert_eq!(told(&host.publish(again)), "duplicate");
    assert_eq!(told(&host.publish(order(1))), "appended", "the window is about those that came without an id");
}

#[test]
fn the_window_is_about_what_was_sent() {
    let redact = || Scripted::control("redact", 1, &["order:*"], |_, _| amend(&json!({"n": "***"})));
    let host = Host::with([redact()]);
    let first = host.publish(order(1));
    let host = Host::over(host.stop(), options(), |_| vec![redact()]);
    let again = host.publish(order(1));
    assert_eq!((told(&again), again.sequence_number), ("duplicate".to_owned(), first.sequence_number));
    assert_eq!(told(&host.publish(order(2))), "appended");
}

#[test]
fn an_amendment_that_no_edge_could_have_sent_is_a_fault() {
    let large = Scripted::control("large", 1, &["order:*"], |_, _| amend(&json!("x".repeat(100))));
    let options = EngineOptions { envelope: EnvelopeLimits { payload_bytes: 50, ..EnvelopeLimits::default() }, ..options() };
    let host = Host::tuned(options, [large]);
    let answer = host.publish(order(1));
    assert_eq!(told(&answer), "appended");
    assert_eq!(host.of_type("order:placed")[0].payload.as_str(), r#"{"n":1}"#);
    let records = host.engine().store().decisions(answer.sequence_number.unwrap()).unwrap();
    assert_eq!(records[0].checks[0].answer, CheckAnswer::Fault);
    assert!(records[0].checks[0].reason.as_deref().unwrap().starts_with("malformed answer:"), "{records:?}");
}

#[test]
fn the_decision_record_keeps_who_looked_in_order_and_version() {
    let host = Host::with([
        says("second", 2, Signal::Proceed(Some(Json::trusted("2")))),
        says("first", 1, Signal::Proceed(None)),
        says("third", 3, Signal::Proceed(None)),
    ]);
    let answer = host.publish(order(1));
    let records = host.engine().store().decisions(answer.sequence_number.unwrap()).unwrap();
    let [record] = &records[..] else { panic!("one record: {records:?}") };
    let line = |check: &Check| format!("{} {} {:?} {}", check.by.plugin, check.by.version, check.answer, check.amended);
    let lines: Vec<String> = record.checks.iter().map(line).collect();
    let version = |name: &str| trackside_model::plugin::Digest::of(name.as_bytes()).short();
    let expected = [
        format!("first {} Proceed false", version("first")),
        format!("second {} Proceed true", version("second")),
        format!("third {} Proceed false", version("third")),
    ];
    assert_eq!(lines, expected);
    assert_eq!(record.ended_by, None);
}

#[test]
fn a_refusal_keeps_its_decision_record_beside_its_notice() {
    let host = Host::with([says("first", 1, Signal::Proceed(None)), says("second", 2, Signal::Fail("no".to_owned()))]);
    host.publish(order(1));
    let notice = &host.of_type("control:failed")[0];
    let records = host.engine().store().decisions(notice.sequence_number).unwrap();
    assert_eq!(records[0].checks.iter().map(|check| check.answer).collect::<Vec<_>>(), [CheckAnswer::Proceed, CheckAnswer::Fail]);
    assert_eq!(records[0].ended_by.as_deref(), Some("second"));
}

#[test]
fn what_only_the_host_may_say_is_refused() {
    let host = Host::with([says("gate", 1, Signal::Proceed(None))]);
    let from = |source: &str, event_type: &str| Incoming { source_component: source.to_owned(), ..incoming(event_type, &json!({})) };
    let refusals: Vec<String> = [
        from("shop", "task:completed"),
        from("shop", "plugin:loaded"),
        from("execution_engine", "order:placed"),
        from("host", "order:placed"),
        from("gate", "order:placed"),
        from("", "order:placed"),
        from("shop", "order"),
        from("shop", "workflow:pause"),
    ]
    .into_iter()
    .map(|incoming| told(&host.publish(incoming)))
    .collect();
    expect![[r#"
        refused: event_type: 'task:completed' is engine-owned: only the host publishes it; publish a fact of your own, or ask with a command such as workflow:submit
        refused: event_type: 'plugin:loaded' is engine-owned: only the host publishes it; publish a fact of your own, or ask with a command such as workflow:submit
        refused: source_component: 'execution_engine' is reserved for a host component; publish under a name of your own
        refused: source_component: 'host' is reserved for a host component; publish under a name of your own
        refused: source_component: 'gate' is a plugin of this host; publish under a name of your own
        refused: source_component: required: the name of the component that publishes
        refused: event_type: event type 'order' is one word; write 'component:action', for example 'order:happened'
        refused: event_type: this host does not carry out 'workflow:pause'; it knows workflow:submit and workflow:cancel"#]]
    .assert_eq(&refusals.join("\n"));
    assert_eq!(host.types(), Vec::<String>::new());
}

#[test]
fn an_id_is_an_identity() {
    let host = Host::with([]);
    let id = Uuid::new_v4();
    let first = host.publish(Incoming { event_id: Some(id), ..order(1) });
    let twin = host.publish(Incoming { event_id: Some(id), ..order(1) });
    assert_eq!((first.outcome, twin.outcome), (Outcome::Appended, Outcome::Duplicate));
    assert_eq!((twin.sequence_number, twin.event_id), (first.sequence_number, Some(id)));
    let other = host.publish(Incoming { event_id: Some(id), ..order(2) });
    assert_eq!((other.outcome, other.conflict), (Outcome::Refused, true), "{other:?}");
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    let twin = host.publish(Incoming { event_id: Some(id), ..order(1) });
    assert_eq!((twin.outcome, twin.sequence_number), (Outcome::Duplicate, first.sequence_number));
    assert_eq!(host.count("order:placed"), 1);
}

#[test]
fn content_is_an_identity_within_the_window() {
    let host = Host::with([]);
    let first = host.publish(order(1));
    let spaced = Incoming { payload: Some(Json::trusted(r#"{ "n" : 1 }"#)), ..order(1) };
    let twin = host.publish(spaced);
    assert_eq!((twin.outcome, twin.sequence_number, twin.event_id), (Outcome::Duplicate, first.sequence_number, first.event_id));
    assert_eq!(host.publish(order(2)).outcome, Outcome::Appended);
    assert_eq!(host.publish(Incoming { correlation_id: Some("c".to_owned()), ..order(1) }).outcome, Outcome::Appended);
    for _ in 0..2 {
        assert_eq!(host.publish(incoming("sensor:heartbeat", &json!({}))).outcome, Outcome::Appended, "the same again is news");
    }
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    assert_eq!(host.publish(order(1)).outcome, Outcome::Duplicate, "the window outlives a restart");
    let host = Host::over(host.stop(), EngineOptions { dedup_window_ms: 0, ..options() }, |_| Vec::new());
    assert_eq!(host.publish(order(1)).outcome, Outcome::Appended, "there is no window");
}

#[test]
fn some_types_have_windows_of_their_own() {
    let windows = |text: &str| EngineOptions { dedup_windows: text.parse().unwrap(), dedup_window_ms: 0, ..options() };
    let host = Host::tuned(windows("order:draft=0, order:*=60, *:heartbeat=1"), []);
    let twice = |host: &Host, event_type: &str| {
        let publish = |_| host.publish(incoming(event_type, &json!({"n": 1}))).outcome;
        [0, 1].map(publish)
    };
    assert_eq!(twice(&host, "order:placed"), [Outcome::Appended, Outcome::Duplicate]);
    assert_eq!(twice(&host, "order:draft"), [Outcome::Appended; 2], "the first pattern that matches counts");
    assert_eq!(twice(&host, "note:taken"), [Outcome::Appended; 2], "all others have the window of all others");
    assert_eq!(twice(&host, "sensor:heartbeat"), [Outcome::Appended, Outcome::Duplicate], "what is named is no longer news each time");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(host.publish(incoming("sensor:heartbeat", &json!({"n": 1}))).outcome, Outcome::Appended, "its window has ended");
    let host = Host::over(host.stop(), windows("order:*=60"), |_| Vec::new());
    assert_eq!(twice(&host, "order:placed"), [Outcome::Duplicate; 2], "a longer window than that of all others outlives a restart");
    let bounded = EngineOptions { dedup_entries: 2, ..windows("order:*=60, note:*=50") };
    let host = Host::over(host.stop(), bounded, |_| Vec::new());
    for event_type in ["order:first", "note:second", "order:third", "note:fourth"] {
        host.publish(incoming(event_type, &json!({})));
    }
    let again = ["order:first", "note:fourth"].map(|event_type| host.publish(incoming(event_type, &json!({}))).outcome);
    assert_eq!(again, [Outcome::Appended, Outcome::Duplicate], "beyond the bound the oldest of all windows is forgotten");
}

#[test]
fn a_thousand_twins_cost_one_check() {
    let seen = Seen::default();
    for id in [Some(Uuid::new_v4()), None] {
        let host = Host::with([noting("gate", 1, &seen)]);
        let before = seen.len();
        let outcomes = host.run(async {
            let mut twins = tokio::task::JoinSet::new();
            for _ in 0..200 {
                let engine = host.engine().clone();
                twins.spawn(async move { engine.publish(Incoming { event_id: id, ..order(1) }, caller()).await });
            }
            twins.join_all().await
        });
        let appended: Vec<_> = outcomes.iter().filter(|answer| answer.outcome == Outcome::Appended).collect();
        assert_eq!((appended.len(), seen.len() - before, host.count("order:placed")), (1, 1, 1));
        for twin in &outcomes {
            assert_eq!((twin.sequence_number, twin.event_id), (appended[0].sequence_number, appended[0].event_id), "{twin:?}");
        }
    }
}

#[test]
fn a_twin_of_what_was_refused_is_asked_about_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let gate = Scripted::control("gate", 1, &["order:*"], move |_, _| match count.fetch_add(1, SeqCst) {
        0 => answer(Signal::Fail("not yet".to_owned())),
        _ => proceed(),
    });
    let host = Host::with([gate]);
    let again = Incoming { event_id: Some(Uuid::new_v4()), ..order(1) };
    assert_eq!(host.publish(again.clone()).outcome, Outcome::Refused);
    assert_eq!(host.publish(again).outcome, Outcome::Appended);
}

#[test]
fn more_publishes_than_slots_are_answered_busy() {
    let (open, opened) = std::sync::mpsc::sync_channel::<()>(8);
    let opened = parking_lot::Mutex::new(opened);
    let waiting = Arc::new(AtomicUsize::new(0));
    let arrived = waiting.clone();
    let slow = Scripted::control("slow", 1, &["order:*"], move |_, _| {
        arrived.fetch_add(1, SeqCst);
        let _ = opened.lock().recv();
        proceed()
    });
    let host = Host::tuned(EngineOptions { publish_slots: 2, chain_budget_ms: 60_000, ..options() }, [slow]);
    host.run(async {
        let mut under_way = tokio::task::JoinSet::new();
        for n in 0..2 {
            let engine = host.engine().clone();
            under_way.spawn(async move {
                loop {
                    let answer = engine.publish(order(n), caller()).await;
                    // One of the events below may hold the slot just then.
                    if answer.outcome != Outcome::Busy {
                        break answer;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        while waiting.load(SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The second is under way too once a third has no slot.
        loop {
            let third = host.engine().publish(incoming("other:event", &json!({})), caller()).await;
            if third.outcome == Outcome::Busy {
                assert_eq!(told(&third), "busy: 2 publishes are under way, which is the most at a time (again in 50 ms)");
                break;
            }
        }
        for _ in 0..2 {
            open.send(()).unwrap();
        }
        for answer in under_way.join_all().await {
            assert_eq!(answer.outcome, Outcome::Appended);
        }
    });
}

#[test]
fn a_chain_whose_budget_is_spent_asks_nobody_any_more() {
    let seen = Seen::default();
    let slow = || {
        Scripted::control("slow", 1, &["order:*"], |_, context| {
            std::thread::sleep(Duration::from_millis(context.remaining_ms + 30));
            proceed()
        })
    };
    let options = EngineOptions { chain_budget_ms: 20, ..options() };
    let host = Host::tuned(options.clone(), [slow(), noting("late", 2, &seen)]);
    let answer = host.publish(order(1));
    assert_eq!(told(&answer), "appended", "a handler that is not asked has nothing against it");
    let records = host.engine().store().decisions(answer.sequence_number.unwrap()).unwrap();
    let late = &records[0].checks[1];
    assert_eq!((late.answer, late.reason.as_deref()), (CheckAnswer::NotAsked, Some("the chain's 20 ms were spent before its turn")));
    assert_eq!(seen.len(), 0);
    let host = Host::tuned(options, [slow(), noting("late", 2, &seen).holding()]);
    assert_eq!(
        told(&host.publish(order(1))),
        "busy by late: 'late' cannot answer: the chain's 20 ms were spent before its turn (again in 20 ms)"
    );
}

#[test]
fn a_fault_lets_pass_or_holds_as_the_operator_wants_it() {
    let faulty = || Scripted::control("faulty", 1, &["order:*"], |_, _| fault(FaultKind::Trap));
    let host = check(
        [faulty()],
        expect![[r#"
        appended
        plugin:fault order:placed"#]],
    );
    let told_of = &host.of_type("plugin:fault")[0];
    assert_eq!((told_of.payload.to_value()["kind"].as_str(), told_of.provider_id.as_deref()), (Some("trap"), Some("faulty")));
    check(
        [faulty().holding()],
        expect![[r#"
        busy by faulty: 'faulty' cannot answer: trap: a scripted trap (again in 1000 ms)
        plugin:fault"#]],
    );
}

#[test]
fn a_quarantined_handler_is_not_called() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let spinning = Scripted::control("spinning", 1, &["order:*"], move |_, _| {
        count.fetch_add(1, SeqCst);
        fault(FaultKind::Deadline)
    });
    let host = Host::with([spinning.holding().backing_off(3_600_000)]);
    for n in 0..4 {
        assert_eq!(host.publish(order(n)).outcome, Outcome::Busy);
    }
    assert_eq!(calls.load(SeqCst), 2, "two deadline faults in a row are enough");
    assert_eq!(host.types(), ["plugin:fault", "plugin:fault", "plugin:quarantined", "circuit:opened"]);
    let held = host.publish(order(9));
    assert_eq!(held.by.as_deref(), Some("spinning"));
    assert!(held.reason.unwrap().ends_with("quarantined") && held.retry_after_ms.unwrap() > 3_000_000);
}

#[test]
fn any_verdict_releases_the_outbox() {
    for (signal, outcome) in [
        (Signal::Proceed(None), Outcome::Appended),
        (Signal::Skip("because".to_owned()), Outcome::Skipped),
        (Signal::Fail("because".to_owned()), Outcome::Refused),
    ] {
        let gate = Scripted::control("gate", 1, &["order:*"], move |event, _| {
            answer(signal.clone()).publishing(event.event_id, "gate:noticed", &json!({})).adding("looked", 1)
        });
        let host = Host::with([gate]);
        let answer = host.publish(order(1));
        assert_eq!((answer.outcome, host.kv("gate", "looked").as_deref()), (outcome, Some("1")));
        host.until_told("gate:noticed", 1);
        let published = &host.of_type("gate:noticed")[0];
        assert_eq!(&*published.source_component, "gate");
        assert_eq!(published.causation_id.as_deref(), answer.event_id.map(|id| id.to_string()).as_deref());
        assert_eq!(*published.correlation_id, *answer.event_id.unwrap().to_string());
    }
}

#[test]
fn a_fault_drops_the_outbox() {
    let gate = Scripted::control("gate", 1, &["order:*"], |_, _| fault(FaultKind::Trap).adding("looked", 1));
    // The port says that it is empty then; a counting guest that faults has counted nothing.
    let gate = gate.with(|info| info.priority = 2);
    let host = Host::with([gate]);
    host.publish(order(1));
    assert_eq!(host.kv("gate", "looked"), None);
}

/// A handler that counts by reading and writing, and somebody who changes the same key under it so many times.
pub(crate) fn counting_under_change(changes: usize) -> (Host, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let host = Host::serving(|World { side, store }| {
        let (side, store) = (side.clone(), store.clone());
        let gate = Scripted::control("gate", 1, &["order:*", "workflow:submit"], move |_, _| {
            let read = side.kv_get("gate", "n").expect("reads");
            let n: u64 = read.value.as_deref().map_or(0, |value| std::str::from_utf8(value).unwrap().parse().unwrap());
            if count.fetch_add(1, SeqCst) < changes {
                change(&store);
            }
            proceed().setting("n", &(n + 1).to_string(), &read)
        });
        vec![gate, echo()]
    });
    (host, calls)
}

fn change(store: &trackside_store::Store) {
    use trackside_model::ports::{KvOp, KvWrite};
    let write = KvWrite { key: "n".to_owned(), op: KvOp::Add { by: 10, expires_at: None } };
    let batch = trackside_store::Batch { kv: vec![("gate".into(), vec![write])], ..trackside_store::Batch::default() };
    store.append(batch, trackside_store::Flush::Now).expect("appends");
}

#[test]
fn a_chain_is_run_again_when_what_it_read_has_changed() {
    let (host, calls) = counting_under_change(3);
    assert_eq!(told(&host.publish(order(1))), "appended");
    assert_eq!((calls.load(SeqCst), host.kv("gate", "n").as_deref()), (4, Some("31")));
    let (host, calls) = counting_under_change(usize::MAX);
    let answer = host.publish(order(1));
    assert_eq!((answer.outcome, calls.load(SeqCst)), (Outcome::Busy, 4), "three times more, at most: {answer:?}");
    assert_eq!(host.count("order:placed"), 0);
}

#[test]
fn names_that_the_operator_has_a_type_known_by_are_brought_into_form_first() {
    let options = EngineOptions { aliases: "Done=order:placed, NodeStarted=node:begun".parse().unwrap(), ..options() };
    let forwarding = Scripted::observer("forwarding", types(&["order:*"]), |events, _| {
        events.iter().fold(taken(), |report, event| report.publishing(event.event_id, "NodeStarted", &json!({})))
    });
    let host = Host::tuned(options, [forwarding]);
    let answer = host.publish(incoming("Done", &json!({"n": 1})));
    assert_eq!(answer.outcome, Outcome::Appended, "one word alone, which is no type: {answer:?}");
    assert_eq!(host.publish(order(1)).outcome, Outcome::Duplicate, "it is the same event by any of its names");
    host.until_told("node:begun", 1);
    assert_eq!(host.publish(incoming("Finished", &json!({}))).outcome, Outcome::Refused);
}
