//! The promise to keep nothing between calls, and that it is looked after.

use std::sync::Arc;

use trackside_model::{
    control::Signal,
    plugin::EffectClass,
    ports::{BatchTurn, CheckBatch, FaultKind, Subject},
};

use crate::support::{Bench, NOW, check, context, event, expect_fault, run};

const TURN: BatchTurn = BatchTurn { now: NOW, since_ms: 0, remaining_ms: 5_000 };

#[test]
fn who_keeps_what_it_said_it_would_not_is_found_out() {
    let bench = Bench::new();
    let guest = bench.load("pretender", "[limits]\ntimeout_ms = 5_000");
    assert_eq!(guest.info().effect_class, EffectClass::Pure);
    assert_eq!(check(&*guest).outcome.unwrap(), Signal::Skip("number 1".into()));
    let fault = expect_fault(&check(&*guest), FaultKind::Promise);
    assert_eq!(
        fault.message,
        r#"it says that it keeps nothing between calls (memoryless), but answered Skip("number 2"), and Skip("number 1") where it had kept nothing; take `memoryless` from its description, or set `fresh = true`"#
    );
    assert_eq!(bench.lines(), ["asked", "asked"], "the repetition is not heard of");
    // A fault ends the instance, and what it had kept with it.
    assert_eq!(check(&*guest).outcome.unwrap(), Signal::Skip("number 1".into()));
}

#[test]
fn a_worker_is_found_out_too() {
    let bench = Bench::new();
    let guest = bench.load("pretender", "");
    assert_eq!(run(&*guest, "pretender/count", "null").outcome.unwrap().unwrap().as_str(), "1");
    let fault = expect_fault(&run(&*guest, "pretender/count", "null"), FaultKind::Promise);
    assert!(fault.message.contains("answered Ok(2), and Ok(1)"), "{fault}");
}

#[test]
fn in_a_batch_it_is_the_last_event_that_tells() {
    let bench = Bench::new();
    let guest = bench.load("pretender", "[limits]\ntimeout_ms = 5_000\n[settings]\nafter = 3");
    let subject = || Arc::new(Subject::owned(event("order:placed", 1), None));
    let batch = |count: usize| CheckBatch::new((0..count).map(|_| (subject(), context())).collect());
    assert_eq!(guest.check_batch(&batch(2), &TURN).outcome.unwrap(), [], "one call, and it kept its word for three events");
    let fault = expect_fault(&guest.check_batch(&batch(2), &TURN), FaultKind::Promise);
    assert!(fault.message.contains("answered Skip(\"number 1\"), and Proceed(None)"), "{fault}");
}

#[test]
fn who_has_an_instance_for_each_call_keeps_its_promise() {
    let bench = Bench::new();
    let guest = bench.load("pretender", "fresh = true");
    for _ in 0..20 {
        assert_eq!(check(&*guest).outcome.unwrap(), Signal::Skip("number 1".into()));
        assert_eq!(run(&*guest, "pretender/count", "null").outcome.unwrap().unwrap().as_str(), "1");
    }
    assert_eq!(bench.lines().len(), 40, "nothing is asked twice");
}

#[test]
fn who_keeps_its_promise_is_not_heard_of() {
    let bench = Bench::new();
    let guest = bench.load("minimal", "");
    for _ in 0..5_000 {
        assert_eq!(check(&*guest).outcome.unwrap(), Signal::Proceed(None));
    }
}
