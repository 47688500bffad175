//! `events`: grants, form, identity and number of publishes; `raise`; and what nobody is granted yet.

use serde_json::Value;
use trackside_model::json::Json;
use trackside_model::ports::{CallReport, EventBatch, Failure, FaultKind, Guest};

use crate::support::{Bench, DELIVERY, events, expect_fault, observe, run, run_task, task};

const GRANT: &str = "[grants]\npublish = ['order:*', 'workflow:submit']";

fn publish(guest: &dyn Guest, orders: &str) -> CallReport<Result<Json, Failure>> {
    run(guest, "publisher/publish", orders)
}

/// The ids and refusals that the guest saw.
fn seen(report: &CallReport<Result<Json, Failure>>) -> (Vec<String>, Vec<String>) {
    let answer: Value = report.outcome.as_ref().unwrap().as_ref().unwrap().to_value();
    let list = |name: &str| answer[name].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect();
    (list("published"), list("refused"))
}

fn refused(guest: &dyn Guest, draft: &str) -> String {
    let report = publish(guest, &format!(r#"{{"drafts": [{draft}]}}"#));
    assert!(report.outbox.is_empty(), "{draft}");
    seen(&report).1.remove(0)
}

#[test]
fn a_publish_waits_in_the_outbox() {
    let bench = Bench::new();
    let guest = bench.load("publisher", GRANT);
    let report = publish(&*guest, r#"{"drafts": [{"event_type": "OrderPlaced", "payload": {"n": 1}, "correlation_id": "mine"}]}"#);
    let [waiting] = report.outbox.publishes.as_slice() else { panic!("{:?}", report.outbox) };
    assert_eq!(waiting.event_type, "order:placed", "normalised");
    assert_eq!((waiting.payload.as_str(), waiting.correlation_id.as_deref(), waiting.raised), (r#"{"n":1}"#, Some("mine"), false));
    assert_eq!(seen(&report).0, [waiting.event_id.to_string()]);
}

#[test]
fn commands_can_be_granted_and_facts_of_the_host_cannot() {
    let bench = Bench::new();
    let guest = bench.load("publisher", "[grants]\npublish = true");
    assert_eq!(publish(&*guest, r#"{"drafts": [{"event_type": "workflow:submit", "payload": {}}]}"#).outbox.publishes.len(), 1);
    assert_eq!(refused(&*guest, r#"{"event_type": "task:completed"}"#), "ReservedType");
}

#[test]
fn each_refusal_has_its_name() {
    let bench = Bench::new();
    let guest = bench.load("publisher", GRANT);
    assert_eq!(refused(&*guest, r#"{"event_type": "order"}"#), "Invalid");
    assert_eq!(refused(&*guest, r#"{"event_type": "order:placed", "payload_text": "{"}"#), "Invalid");
    assert_eq!(refused(&*guest, &format!(r#"{{"event_type": "order:placed", "payload": "{}"}}"#, "x".repeat(1 << 20))), "TooLarge");
    assert_eq!(refused(&*guest, r#"{"event_type": "stock:moved"}"#), "NotGranted");
    let reports = bench.not_granted();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].1, "[grants]\npublish = [\"order:*\", \"workflow:submit\", \"stock:moved\"]");
}

#[test]
fn the_number_of_publishes_is_limited() {
    let bench = Bench::new();
    let guest = bench.load("publisher", &format!("{GRANT}\n[limits]\npublishes = 3"));
    let report = publish(&*guest, r#"{"drafts": [{"event_type": "order:placed"}], "repeat": 5}"#);
    assert_eq!(report.outbox.publishes.len(), 3);
    assert_eq!(seen(&report).1, ["TooMany", "TooMany"]);
}

#[test]
fn a_repeated_call_gives_the_same_ids_and_another_attempt_others() {
    let bench = Bench::new();
    let guest = bench.load("publisher", GRANT);
    let orders = r#"{"drafts": [{"event_type": "order:placed"}], "repeat": 2}"#;
    let first = seen(&publish(&*guest, orders)).0;
    assert_ne!(first[0], first[1]);
    assert_eq!(seen(&publish(&*guest, orders)).0, first);
    let mut next = task("publisher/publish", orders);
    next.idempotency_key = "w1/t1/2".into();
    next.attempt = 2;
    let second = seen(&run_task(&*guest, &next)).0;
    assert!(first.iter().all(|id| !second.contains(id)));
}

#[test]
fn a_plugins_own_key_is_the_identity() {
    let bench = Bench::new();
    let guest = bench.load("publisher", GRANT);
    let orders = r#"{"drafts": [{"event_type": "order:placed", "key": "k"}]}"#;
    let first = seen(&publish(&*guest, orders)).0;
    let mut next = task("publisher/publish", orders);
    next.idempotency_key = "another".into();
    assert_eq!(seen(&run_task(&*guest, &next)).0, first);
}

#[test]
fn an_observer_derives_the_same_ids_in_a_batch_and_alone() {
    let bench = Bench::new();
    let settings = format!("{GRANT}\n[settings]\ndrafts = [{{event_type = 'order:seen'}}]");
    let guest = bench.load("publisher", &settings);
    let batch = observe(&*guest, 3);
    let last = EventBatch::new(events(3).split_off(2));
    let mut again = DELIVERY;
    again.attempt = 2;
    let alone = guest.observe(&last, &again);
    assert_eq!(batch.outbox.publishes[0].event_id, alone.outbox.publishes[0].event_id);
    assert_eq!(bench.calls.lines.lock()[0].0, "c3", "its line has the correlation of the batch's last");
}

#[test]
fn an_observers_error_releases_only_its_lines() {
    let bench = Bench::new();
    let guest = bench.load("publisher", &format!("{GRANT}\n[settings]\ndrafts = [{{event_type = 'order:seen'}}]\nthen = 'fail'"));
    let report = observe(&*guest, 1);
    assert_eq!(report.outcome.unwrap(), Err("told to fail".to_owned()));
    assert!(report.outbox.is_empty());
    assert_eq!(bench.lines().len(), 1);
}

#[test]
fn a_trap_drops_the_outbox() {
    let bench = Bench::new();
    let guest = bench.load("publisher", GRANT);
    expect_fault(&publish(&*guest, r#"{"drafts": [{"event_type": "order:placed"}], "then": "trap"}"#), FaultKind::Trap);
}

#[test]
fn raising_needs_no_grant() {
    let bench = Bench::new();
    let guest = bench.load("publisher", "");
    let report = publish(&*guest, r#"{"raise": "something is off"}"#);
    let [raised] = report.outbox.publishes.as_slice() else { panic!("{:?}", report.outbox) };
    assert!(raised.raised && raised.event_type == "error:raised");
    assert_eq!(raised.payload.as_str(), r#"{"message":"something is off"}"#);
    assert!(bench.not_granted().is_empty());
}
