//! Many events in one call of a control handler: each judged as it would be alone, by the packed form as by the record.

use std::sync::Arc;

use trackside_model::{
    control::{CheckContext, DecisionPoint, Origin, Signal},
    event::{Event, Incoming},
    json::Json,
    ports::{BatchTurn, BatchVerdicts, CallReport, CheckBatch, FaultKind, Guest, Subject},
};
use uuid::Uuid;

use crate::support::{Bench, NOW, context, expect_fault};

const SAYS: [&str; 8] = ["proceed", "amend", "skip", "retry", "fallback", "fail", "error", "proceed"];
const TURN: BatchTurn = BatchTurn { now: NOW, since_ms: 4, remaining_ms: 5_000 };

fn asked(number: u32, say: &str) -> (Event, CheckContext) {
    let incoming = Incoming {
        event_type: format!("order:kind_{number}"),
        source_component: "shop".to_owned(),
        // Lengths of every remainder, so that events begin at places that are not theirs by chance.
        correlation_id: Some("c".repeat(1 + number as usize)),
        payload: Some(Json::trusted(format!(r#"{{"say":"{say}"}}"#))),
        ..Incoming::default()
    };
    let draft = incoming.into_draft(NOW, Uuid::from_u128(u128::from(number) + 1), &Default::default()).unwrap();
    let points = [DecisionPoint::Publish, DecisionPoint::TaskReady, DecisionPoint::TaskFailed];
    let origins = [Origin::Http, Origin::Inbox, Origin::Host];
    let context = CheckContext {
        point: points[number as usize % 3],
        attempt: number,
        elapsed_ms: u64::from(number) * 10,
        origin: origins[number as usize % 3],
        ..context()
    };
    (draft.into_event(u64::from(number), NOW), context)
}

fn batch<'a>(says: impl IntoIterator<Item = &'a str>) -> CheckBatch {
    let principal = |number: u32| (number % 2 == 1).then(|| format!("p{number}").into());
    let asked = (0..).zip(says).map(|(number, say)| {
        let (event, context) = asked(number, say);
        (Arc::new(Subject::owned(event, principal(number))), context)
    });
    CheckBatch::new(asked.collect())
}

fn together(guest: &dyn Guest, batch: &CheckBatch) -> CallReport<BatchVerdicts> {
    guest.check_batch(batch, &TURN)
}

/// What each event of a batch comes to by itself.
fn alone(batch: &CheckBatch, mut check: impl FnMut(&Subject<'_>, &CheckContext) -> Signal) -> BatchVerdicts {
    let checked = batch.asked().iter().map(|(subject, context)| {
        let elapsed_ms = context.elapsed_ms + TURN.since_ms;
        check(subject, &CheckContext { elapsed_ms, now: TURN.now, remaining_ms: TURN.remaining_ms, ..context.clone() })
    });
    checked.enumerate().filter(|(_, signal)| *signal != Signal::Proceed(None)).collect()
}

#[test]
fn together_packed_and_by_record_the_answers_are_the_same() {
    let bench = Bench::new();
    let guest = bench.load("judge", "[limits]\ntimeout_ms = 5_000");
    assert!(guest.info().batches);
    let mut raw = bench.host.raw_control("judge").unwrap();
    for count in [1, 2, 3, 8, 64, 200] {
        let batch = batch(SAYS.iter().copied().cycle().take(count));
        let report = together(&*guest, &batch);
        let verdicts = report.outcome.unwrap();
        assert_eq!(verdicts.len(), (0..count).filter(|number| SAYS[number % SAYS.len()] != "proceed").count());
        assert_eq!(verdicts, alone(&batch, |subject, context| guest.check(subject, context).outcome.unwrap()));
        assert_eq!(verdicts, alone(&batch, |subject, context| raw.check_packed(subject, context).unwrap()));
        assert_eq!(verdicts, alone(&batch, |subject, context| raw.check_record(subject, context).unwrap()));
        assert!(report.outbox.is_untouched());
    }
    let told = together(&*guest, &batch(["proceed", "skip"])).outcome.unwrap();
    let expected = "order:kind_1 cc TaskReady 1 14 5000 Inbox Some(\"p1\")";
    assert_eq!(told, [(1, Signal::Skip(expected.to_owned()))], "what it is told is its own");
}

#[test]
fn a_line_is_about_the_event_that_was_being_judged() {
    let bench = Bench::new();
    let guest = bench.load("judge", "");
    assert_eq!(together(&*guest, &batch(["log", "proceed", "log", "proceed"])).outcome.unwrap(), []);
    let lines = bench.calls.lines.lock();
    let about: Vec<&str> = lines.iter().map(|(correlation, _)| correlation.as_str()).collect();
    assert_eq!(about, ["c", "ccc"]);
}

#[test]
fn a_fault_ends_the_call_for_all_and_is_named() {
    let bench = Bench::new();
    let guest = bench.load("judge", "[limits]\ntimeout_ms = 50");
    expect_fault(&together(&*guest, &batch(["proceed", "trap", "fail"])), FaultKind::Trap);
    expect_fault(&together(&*guest, &batch(["fail", "proceed", "spin"])), FaultKind::Deadline);
    assert_eq!(together(&*guest, &batch(["proceed", "fail"])).outcome.unwrap().len(), 1, "the next call has an instance of its own");
}

#[test]
fn each_event_has_the_fuel_that_it_would_have_alone() {
    let bench = Bench::new();
    let guest = bench.load("judge", "");
    let (one, many) = (batch(["fail"]), batch(["fail"; 50]));
    let _warm = (together(&*guest, &one), together(&*guest, &many));
    let used = together(&*guest, &one).usage.fuel;
    let guest = bench.load("judge", &format!("[limits]\nfuel = {}", used * 2));
    assert_eq!(together(&*guest, &many).outcome.unwrap().len(), 50);
    let guest = bench.load("judge", &format!("[limits]\nfuel = {}", used / 2));
    let fault = expect_fault(&together(&*guest, &many), FaultKind::Fuel);
    assert_eq!(fault.allowed, used / 2 * 50);
}

#[test]
fn a_batch_above_the_argument_limit_is_a_fault_by_its_name() {
    let bench = Bench::new();
    let guest = bench.load("judge", "[limits]\nargument_bytes = 2_000");
    assert!(together(&*guest, &batch(["proceed"; 2])).outcome.is_ok());
    let fault = expect_fault(&together(&*guest, &batch(["proceed"; 60])), FaultKind::Bytes);
    assert_eq!(fault.allowed, 2_000);
}

#[test]
fn who_reaches_for_more_than_an_answer_is_asked_about_one_event_at_a_time() {
    let bench = Bench::new();
    assert!(bench.load("minimal", "").info().batches);
    assert!(bench.load("steer", "").info().batches, "settings are no reach");
    assert!(!bench.load("steer", "fresh = true").info().batches, "each call meets a fresh instance");
    assert!(!bench.load("neighbour", "").info().batches, "it keeps counts in its kv");
    assert!(!bench.load("publisher", "").info().batches, "it publishes");
}
