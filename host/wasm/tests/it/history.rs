//! `events.query` and `schedule`: grants, limits, what a call sees of the log, and what waits in its outbox.

use serde_json::{Value, json};
use trackside_model::{
    event::Condition,
    json::Json,
    ports::{CallReport, FaultKind},
    time::Timestamp,
};
use trackside_wasm::limits::SCHEDULE_AHEAD_MS;
use uuid::Uuid;

use crate::support::{Bench, NOW, event, expect_fault, run};

fn asked(guest: &dyn trackside_model::ports::Guest, method: &str, parameters: &Value) -> (Value, trackside_model::ports::Outbox) {
    let CallReport { outcome, outbox, .. } = run(guest, method, &parameters.to_string());
    (outcome.unwrap().unwrap().to_value(), outbox)
}

/// A log of so many events, every third an `order:paid`.
fn fill(bench: &Bench, count: u128) {
    let types = ["order:paid", "order:placed", "stock:moved"];
    *bench.calls.log.lock() = (1..=count).map(|number| event(types[number as usize % 3], number)).collect();
}

#[test]
fn what_is_granted_can_be_looked_up_page_by_page() {
    let bench = Bench::new();
    let guest = bench.load("historian", "[grants]\nquery = ['order:*']");
    fill(&bench, 9);
    let (seen, outbox) = asked(&*guest, "historian/look", &json!({"limit": 4, "pages": 5}));
    assert_eq!(
        seen["pages"],
        json!([
            {"events": [[1, "order:placed"], [3, "order:paid"], [4, "order:placed"], [6, "order:paid"]], "next": 6},
            {"events": [[7, "order:placed"], [9, "order:paid"]], "next": null}
        ])
    );
    assert!(outbox.is_empty());
    let paid = asked(&*guest, "historian/look", &json!({"types": ["*:paid", "stock:*"], "after": 3})).0;
    assert_eq!(paid["pages"][0]["events"], json!([[6, "order:paid"], [9, "order:paid"]]), "no type that was not granted");
    let late = asked(&*guest, "historian/look", &json!({"when": "event.sequence_number > 6"})).0;
    assert_eq!(late["pages"][0]["events"], json!([[7, "order:placed"], [9, "order:paid"]]));
}

#[test]
fn a_page_is_cut_to_the_plugins_limit_and_to_the_bytes_of_the_call() {
    let bench = Bench::new();
    fill(&bench, 90);
    let guest = bench.load("historian", "[grants]\nquery = true\n[limits]\nquery_events = 7");
    let seen = asked(&*guest, "historian/look", &json!({"limit": 50})).0;
    assert_eq!((seen["pages"][0]["events"].as_array().unwrap().len(), &seen["pages"][0]["next"]), (7, &json!(7)));
    let guest = bench.load("historian", "[grants]\nquery = true\n[limits]\nresult_bytes = 2000");
    let cut = asked(&*guest, "historian/look", &json!({})).0;
    let events = cut["pages"][0]["events"].as_array().unwrap();
    assert!((1..90).contains(&events.len()), "{cut}");
    assert_eq!(cut["pages"][0]["next"], events.last().unwrap()[0], "it goes on behind what there was room for");
}

#[test]
fn looking_needs_the_grant_and_a_filter_that_can_be_asked() {
    let bench = Bench::new();
    fill(&bench, 3);
    let guest = bench.load("historian", "");
    assert_eq!(asked(&*guest, "historian/look", &json!({})).0["refused"], "NotGranted");
    assert_eq!(bench.not_granted(), [("looking into the log (events.query)".to_owned(), "[grants]\nquery = true".to_owned())]);
    let guest = bench.load("historian", "[grants]\nquery = true");
    assert_eq!(asked(&*guest, "historian/look", &json!({"types": ["not a type"]})).0["refused"], "Invalid");
    assert_eq!(asked(&*guest, "historian/look", &json!({"when": "payload.n == 2"})).0["refused"], "Invalid");
}

#[test]
fn what_a_condition_costs_is_the_calls_time() {
    let bench = Bench::new();
    let many = serde_json::to_string(&vec![1; 1_000]).unwrap();
    *bench.calls.log.lock() = (1..=2_000)
        .map(|number| {
            let mut event = event("order:paid", number);
            event.payload = Json::trusted(many.as_str());
            event
        })
        .collect();
    let guest =
        bench.load("historian", "[grants]\nquery = true\n[limits]\ntimeout_ms = 20\nquery_events = 2000\nresult_bytes = 100_000_000");
    let when = "event.payload.exists(one, one == -1)";
    let report = run(&*guest, "historian/look", &json!({"when": when, "limit": 2_000}).to_string());
    expect_fault(&report, FaultKind::Deadline);
    // It is ended at its deadline, and not once all have been looked at.
    let begun = std::time::Instant::now();
    let condition = Condition::parse(when).unwrap();
    assert!(bench.calls.log.lock().iter().all(|event| !condition.holds(event)));
    assert!(u128::from(report.usage.duration_ns) * 2 < begun.elapsed().as_nanos(), "{:?} of {:?}", report.usage, begun.elapsed());
}

const SCHEDULES: &str = "[grants]\nschedule = true\npublish = ['plan:*']\n";

#[test]
fn what_is_scheduled_waits_in_the_outbox_with_its_time() {
    let bench = Bench::new();
    let guest = bench.load("historian", SCHEDULES);
    let at_ns = NOW.0 + 5_000_000_000;
    let drafts = json!([{"event_type": "plan:soon", "after_ms": 1500}, {"event_type": "plan:then", "at_ns": at_ns, "key": "mine"}]);
    let (answer, outbox) = asked(&*guest, "historian/plan", &json!({"drafts": drafts}));
    let due: Vec<Option<Timestamp>> = outbox.publishes.iter().map(|publish| publish.due).collect();
    assert_eq!(due, [Some(NOW.plus_ms(1500)), Some(Timestamp(at_ns))]);
    let ids: Vec<String> = outbox.publishes.iter().map(|publish| publish.event_id.to_string()).collect();
    assert_eq!(answer["planned"], json!(ids));
    let again = asked(&*guest, "historian/plan", &json!({"drafts": drafts})).1;
    assert_eq!(again.publishes[1].event_id, outbox.publishes[1].event_id, "a key names the event");
}

#[test]
fn what_waits_can_be_taken_back() {
    let bench = Bench::new();
    let guest = bench.load("historian", SCHEDULES);
    let waiting = Uuid::new_v4();
    bench.calls.scheduled.lock().push(waiting);
    let (answer, outbox) = asked(
        &*guest,
        "historian/plan",
        &json!({
            "drafts": [{"event_type": "plan:a"}, {"event_type": "plan:b"}],
            "cancel": ["#0", waiting.to_string(), waiting.to_string(), Uuid::nil().to_string(), "nothing"],
        }),
    );
    assert_eq!(answer["cancelled"], json!([true, true, false, false, "Invalid"]));
    let left: Vec<&str> = outbox.publishes.iter().map(|publish| publish.event_type.as_str()).collect();
    assert_eq!((left, outbox.cancelled), (vec!["plan:b"], vec![waiting]));
}

#[test]
fn each_refusal_of_the_schedule_has_its_name() {
    let bench = Bench::new();
    let answer = |settings: &str, draft: Value| {
        let guest = bench.load("historian", settings);
        let (answer, outbox) = asked(&*guest, "historian/plan", &json!({"drafts": [draft], "cancel": []}));
        assert!(outbox.is_empty());
        answer["planned"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(answer("", json!({"event_type": "plan:a"})), "NotGranted");
    assert_eq!(answer("[grants]\nschedule = true", json!({"event_type": "plan:a"})), "NotGranted", "nor may it publish the type");
    assert_eq!(answer(SCHEDULES, json!({"event_type": "one"})), "Invalid");
    assert_eq!(answer(SCHEDULES, json!({"event_type": "plan:a", "after_ms": SCHEDULE_AHEAD_MS + 1})), "TooFar");
    bench.calls.scheduled.lock().push(Uuid::new_v4());
    assert_eq!(answer(&format!("{SCHEDULES}[limits]\nschedules = 1"), json!({"event_type": "plan:a"})), "TooMany");
}
