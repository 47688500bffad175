//! Triggers: an event starts what it starts once, whatever happens in between, and nobody waits for it.
//! How many events go into a start, and when, is tested with the model.

use std::time::Duration;

use serde_json::{Value, json};
use trackside_engine::Outcome;
use trackside_model::{
    event::{Condition, Filter, Text},
    trigger::Trigger,
};

use trackside_store::{Batch, Flush, Store, StoreOptions};

use crate::support::*;

fn trigger(method: &str, types_of: &[&str]) -> Trigger {
    Trigger { filter: types(types_of), method: Text::from(method), debounce_ms: None, throttle_ms: None, batch_max: 1 }
}

/// Notes what it is given, and says it again.
fn noting(seen: &Seen, triggers: Vec<Trigger>) -> Scripted {
    let seen = seen.clone();
    let worker = Scripted::worker("clerk", &["clerk/note"], move |task| {
        let parameters = task.parameters.to_value();
        let number = |event: &Value| event["payload"]["n"].to_string();
        let numbers = match parameters["events"].as_array() {
            Some(events) => events.iter().map(number).collect::<Vec<_>>().join(" "),
            None => number(&parameters["event"]),
        };
        let passed_over = parameters.get("passed_over").map_or_else(String::new, |count| format!(" over {count}"));
        seen.note(format!("{numbers}{passed_over}"));
        async move { result(&parameters) }
    });
    worker.with(|info| info.triggers = triggers)
}

fn each(seen: &Seen) -> Scripted {
    noting(seen, vec![trigger("clerk/note", &["order:*"])])
}

#[test]
fn an_event_starts_a_workflow_of_one_task() {
    let seen = Seen::default();
    let host = Host::with([each(&seen)]);
    let answer = host.publish(order(7));
    host.publish(incoming("stock:moved", &json!({"n": 8})));
    host.until_told("workflow:completed", 1);
    assert_eq!(seen.all(), ["7"]);
    let ended = &host.of_type("workflow:completed")[0];
    let event_id = answer.event_id.unwrap().to_string();
    assert_eq!(&*ended.correlation_id, event_id, "it belongs to what the event set in motion");
    let submitted = &host.of_type("workflow:submit")[0];
    assert_eq!((submitted.causation_id.as_deref(), &*submitted.source_component), (Some(event_id.as_str()), "clerk"));
    let view = host.ended(ended.workflow_id.as_deref().unwrap());
    assert_eq!((&*view.name, view.tasks.len()), ("clerk/note by clerk", 1));
    let given = view.tasks[0].result.as_ref().unwrap().to_value();
    assert_eq!((&given["event"]["event_type"], &given["event"]["payload"]), (&json!("order:placed"), &json!({"n": 7})));
}

#[test]
fn what_it_waits_for_may_be_a_condition() {
    let seen = Seen::default();
    let when = Some(Condition::parse("event.payload.n > 10").unwrap());
    let filter = Filter { when, ..types(&["order:*"]) };
    let host = Host::with([noting(&seen, vec![Trigger { filter, ..trigger("clerk/note", &[]) }])]);
    for n in [3, 30, 5, 50] {
        host.publish(order(n));
    }
    host.until_told("workflow:completed", 2);
    let mut noted = seen.all();
    noted.sort();
    assert_eq!(noted, ["30", "50"]);
}

#[test]
fn a_burst_is_one_start() {
    let seen = Seen::default();
    let quiet = Trigger { debounce_ms: Some(1_000), batch_max: 2, ..trigger("clerk/note", &["order:*"]) };
    let host = Host::with([noting(&seen, vec![quiet])]);
    for n in 0..5 {
        host.publish(order(n));
    }
    host.until_told("workflow:completed", 1);
    assert_eq!(seen.all(), ["3 4 over 3"]);
}

#[test]
fn each_event_starts_once_wherever_the_host_ends() {
    for pause_ms in 0..12 {
        let seen = Seen::default();
        let host = Host::with([each(&seen)]);
        for n in 0..4 {
            assert_eq!(host.publish(order(n)).outcome, Outcome::Appended);
        }
        std::thread::sleep(Duration::from_millis(pause_ms));
        let host = Host::over(host.crashed(), options(), |_| vec![each(&seen)]);
        host.publish(order(4));
        host.until_told("workflow:completed", 5);
        let mut started: Vec<Value> = host
            .of_type("workflow:submit")
            .iter()
            .map(|event| event.payload.to_value()["input"]["event"]["payload"]["n"].clone())
            .collect();
        started.sort_by_key(Value::to_string);
        assert_eq!(started, [json!(0), json!(1), json!(2), json!(3), json!(4)]);
    }
}

#[test]
fn one_that_stands_inside_of_a_facts_narration_goes_on_there() {
    let trigger = || Trigger {
        filter: Filter { task_ids: Some(vec!["watched".to_owned()]), ..types(&["assignment:*"]) },
        batch_max: 3,
        ..trigger("clerk/note", &[])
    };
    let seen = Seen::default();
    let host = Host::with([noting(&seen, Vec::new())]);
    let workflow = host.submit("name: w\ntasks:\n  - {id: watched, method: clerk/note}\n");
    host.ended(&workflow);
    let told = |host: &Host| -> Vec<String> {
        let submits = host.of_type("workflow:submit").into_iter().map(|event| event.payload.to_value()["input"]["events"].clone());
        let events: Vec<Value> = submits.flat_map(|events| events.as_array().cloned().unwrap_or_default()).collect();
        events.iter().map(|event| format!("{}.{}", event["sequence_number"], event["part"].as_u64().unwrap_or(0))).collect()
    };
    let facts = host.events();
    let narrated = facts.iter().flat_map(|fact| fact.expand().collect::<Vec<_>>());
    let wanted: Vec<_> = narrated.filter(|event| trigger().filter.matches(event)).map(|event| event.position()).collect();
    assert!(wanted.len() > 3, "{wanted:?}");
    let cursor = |position| Batch { cursors: vec![("trigger/clerk/clerk/note".to_owned(), position)], ..Batch::default() };
    // As if the host had ended between two starts.
    let dir = host.stop();
    let store = Store::open(StoreOptions::new(dir.path()), trackside_engine::now).unwrap();
    store.append(cursor(wanted[1]), Flush::Now).unwrap().ticket.wait().unwrap();
    store.close().unwrap();
    drop(store);
    let host = Host::over(dir, options(), |_| vec![noting(&seen, vec![trigger()])]);
    let rest: Vec<String> = wanted[2..].iter().map(ToString::to_string).collect();
    host.until("the rest of it is told", |host| told(host).len() >= rest.len());
    assert_eq!(told(&host), rest);
}

#[test]
fn what_comes_while_the_plugin_is_away_starts_when_it_is_back() {
    let seen = Seen::default();
    let host = Host::with([each(&seen)]);
    host.publish(order(1));
    host.until_told("workflow:completed", 1);
    host.run(async { host.engine().remove("clerk", "for a while") });
    host.publish(order(2));
    host.install(each(&seen));
    host.until_told("workflow:completed", 2);
    assert_eq!(seen.all(), ["1", "2"]);
    // A version without it starts nothing more.
    host.install(noting(&seen, Vec::new()));
    host.publish(order(3));
    host.install(noting(&seen, vec![trigger("clerk/note", &["stock:*"])]));
    host.publish(incoming("stock:moved", &json!({"n": 4})));
    host.until_told("workflow:completed", 3);
    assert_eq!(seen.all(), ["1", "2", "4"]);
}

#[test]
fn a_trigger_that_feeds_itself_is_cut() {
    let seen = Seen::default();
    let host = Host::with([noting(&seen, vec![trigger("clerk/note", &["order:*", "workflow:completed"])])]);
    host.publish(order(1));
    host.until_told("event:dead_lettered", 1);
    let dead = host.of_type("event:dead_lettered")[0].payload.to_value();
    assert_eq!(
        (&dead["code"], &dead["plugin"], &dead["event_type"]),
        (&json!("too_many_hops"), &json!("clerk"), &json!("workflow:submit"))
    );
    assert_eq!(host.count("workflow:completed"), 8, "as many as engine.most_hops allows");
}

#[test]
fn a_trigger_on_errors_is_not_fed_by_the_host_telling_of_its_own() {
    let worker = Scripted::worker("clerk", &["clerk/note"], |_| async { failed("the mail server is down", false) });
    let worker = worker.with(|info| info.triggers = vec![trigger("clerk/note", &["alarm:*", "workflow:failed", "event:dead_lettered"])]);
    let host = Host::with([worker]);
    host.publish(incoming("alarm:raised", &json!({})));
    host.until_told("event:dead_lettered", 1);
    // What follows from the dead letter is dropped: the outbox runs dry.
    host.until("nothing is left to be started", |host| host.engine().store().outbox(0, 10).expect("reads").is_empty());
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!((host.count("event:dead_lettered"), host.count("workflow:failed")), (1, 8));
}
