//! The outbox: what calls want published goes through the door once, whatever is delivered again; what cannot go through is told.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::json;
use trackside_engine::{EngineOptions, Outcome};
use trackside_model::{control::Signal, ports::FaultKind};

use crate::support::*;

/// Answers each event of `from` with one of `to`.
fn forwarding(name: &str, from: &str, to: &'static str) -> Scripted {
    Scripted::observer(name, types(&[from]), move |events, _| {
        events.iter().fold(taken(), |report, event| report.publishing(event.event_id, to, &event.payload.to_value()))
    })
}

#[test]
fn a_publish_is_stamped_correlated_and_caused() {
    let host = Host::with([forwarding("mill", "order:placed", "mill:ground")]);
    let answer = host.publish(trackside_model::event::Incoming { correlation_id: Some("trip".to_owned()), ..order(1) });
    host.until_told("mill:ground", 1);
    let event = &host.of_type("mill:ground")[0];
    assert_eq!((&*event.source_component, &*event.correlation_id), ("mill", "trip"));
    assert_eq!(event.causation_id.as_deref(), answer.event_id.map(|id| id.to_string()).as_deref());
    assert_eq!(event.metadata.get("hops").map(String::as_str), Some("1"));
}

#[test]
fn a_call_that_is_delivered_again_publishes_nothing_twice() {
    let deliveries = Arc::new(AtomicUsize::new(0));
    let count = deliveries.clone();
    let worker = Scripted::worker("mill", &["mill/grind"], move |task| {
        let again = count.fetch_add(1, SeqCst) == 0;
        // As the plugin host does it: under the key of the attempt, not of the delivery.
        let key = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, task.idempotency_key.as_bytes());
        async move {
            let report = result(&json!(1)).publishing(key, "mill:ground", &json!({}));
            if again { failed("once more", true) } else { report }
        }
    });
    let worker_again = || {
        Scripted::worker("mill", &["mill/grind"], |task| async move {
            let key = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, task.idempotency_key.as_bytes());
            result(&json!(1)).publishing(key, "mill:ground", &json!({}))
        })
    };
    let host = Host::with([worker]);
    let definition = "name: w\ntasks: [{id: a, method: mill/grind, retry: {max_attempts: 2, base_delay: 1ms}}]\n";
    host.ended(&host.submit(definition));
    host.until_told("mill:ground", 1);
    assert_eq!((deliveries.load(SeqCst), host.count("mill:ground")), (2, 1), "a failure released nothing");
    // Two publishes of one call under one id: the second finds the first.
    let twice = Scripted::observer("twice", types(&["order:*"]), |events, _| {
        let one = taken().publishing(events[0].event_id, "twice:told", &json!({}));
        let mut report = one.clone();
        report.outbox.publishes.extend(one.outbox.publishes);
        report
    });
    host.install(twice);
    host.install(worker_again());
    host.publish(order(1));
    host.until("the outbox is empty", |host| {
        host.count("twice:told") > 0 && host.engine().store().outbox(0, 10).expect("reads").is_empty()
    });
    assert_eq!(host.count("twice:told"), 1);
    assert_eq!(host.count("event:dead_lettered"), 0);
}

#[test]
fn plugins_cannot_answer_each_other_for_ever() {
    let host = Host::tuned(
        EngineOptions { most_hops: 5, ..options() },
        [forwarding("ping", "pong:said", "ping:said"), forwarding("pong", "ping:said", "pong:said")],
    );
    host.publish(incoming("ping:said", &json!({"begun": true})));
    host.until_told("event:dead_lettered", 1);
    let [dead] = &host.of_type("event:dead_lettered")[..] else { panic!("one dead letter") };
    let payload = dead.payload.to_value();
    assert_eq!((&payload["code"], &payload["hops"]), (&json!("too_many_hops"), &json!(6)));
    assert_eq!((host.count("ping:said"), host.count("pong:said")), (3, 3));
    assert!(host.engine().store().outbox(0, 10).expect("reads").is_empty());
}

#[test]
fn who_answers_dead_letters_does_not_make_them() {
    let host = Host::tuned(
        EngineOptions { most_hops: 3, ..options() },
        [
            forwarding("echo", "echo:said", "echo:heard"),
            forwarding("back", "echo:heard", "echo:said"),
            forwarding("nurse", "event:dead_lettered", "echo:said"),
        ],
    );
    host.publish(incoming("echo:said", &json!({})));
    host.until_told("event:dead_lettered", 1);
    host.until("the outbox runs dry", |host| host.engine().store().outbox(0, 10).expect("reads").is_empty());
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(host.count("event:dead_lettered"), 1);
}

#[test]
fn a_raised_error_is_an_event_of_the_plugin_host() {
    let complaining =
        Scripted::observer("complaining", types(&["order:*"]), |events, _| taken().raising(events[0].event_id, &json!({"message": "odd"})));
    let host = Host::with([complaining]);
    let answer = host.publish(order(1));
    host.until_told("error:raised", 1);
    let raised = &host.of_type("error:raised")[0];
    let expected = json!({"plugin": "complaining", "cause": answer.event_id, "error": {"message": "odd"}});
    assert_eq!((&*raised.source_component, raised.payload.to_value()), ("plugin_host", expected));
    assert_eq!(*raised.correlation_id, *answer.event_id.unwrap().to_string());
}

#[test]
fn a_publish_that_is_refused_is_an_event() {
    let gate = Scripted::control("gate", 1, &["mill:*"], |_, _| answer(Signal::Fail("no milling".to_owned())));
    let host =
        Host::with([forwarding("mill", "order:placed", "mill:ground"), forwarding("forger", "order:placed", "task:completed"), gate]);
    host.publish(order(1));
    host.until_told("control:failed", 1);
    host.until_told("event:dead_lettered", 1);
    assert_eq!(host.of_type("control:failed")[0].payload.to_value()["event"]["event_type"], "mill:ground");
    let dead = host.of_type("event:dead_lettered")[0].payload.to_value();
    assert_eq!((&dead["plugin"], &dead["code"], &dead["event_type"]), (&json!("forger"), &json!("refused"), &json!("task:completed")));
    host.until("the outbox is empty", |host| host.engine().store().outbox(0, 10).expect("reads").is_empty());
}

#[test]
fn a_publish_that_is_put_off_is_taken_up_again() {
    let times = Arc::new(AtomicUsize::new(0));
    let count = times.clone();
    let gate = Scripted::control("gate", 1, &["mill:*"], move |_, _| match count.fetch_add(1, SeqCst) {
        0 => answer(Signal::Retry { after_ms: None, reason: "later".to_owned() }),
        1 => fault(FaultKind::Trap),
        _ => proceed(),
    });
    let host = Host::with([forwarding("mill", "order:placed", "mill:ground"), gate.holding()]);
    host.publish(order(1));
    host.until_told("mill:ground", 1);
    assert_eq!(times.load(SeqCst), 3);
}

#[test]
fn what_was_stored_and_not_dispatched_is_dispatched_after_a_crash() {
    let gate = Scripted::control("gate", 1, &["mill:*"], |_, _| answer(Signal::Retry { after_ms: None, reason: "later".to_owned() }));
    let host = Host::with([forwarding("mill", "order:placed", "mill:ground"), gate]);
    host.publish(order(1));
    host.until_told("control:retried", 1);
    let host = Host::over(host.crashed(), options(), |_| vec![forwarding("mill", "order:placed", "mill:ground")]);
    host.until_told("mill:ground", 1);
    assert_eq!(host.count("mill:ground"), 1);
}

#[test]
fn a_plugin_may_ask_for_a_workflow() {
    let starting = Scripted::observer("starting", types(&["order:*"]), |events, _| {
        let definition = json!({"definition": {"name": "w", "tasks": [{"id": "a", "method": "sim/echo", "parameters": {"n": "${workflow.input.n}"}}]}, "input": events[0].payload.to_value()});
        taken().publishing(events[0].event_id, "workflow:submit", &definition)
    });
    let worker = Scripted::worker("echo", &["sim/echo"], |task| async move { result(&task.parameters.to_value()) });
    let host = Host::with([starting, worker]);
    host.publish(order(4));
    host.until_told("workflow:completed", 1);
    let workflow_id = host.of_type("workflow:completed")[0].workflow_id.clone().unwrap();
    assert_eq!(host.ended(&workflow_id).tasks[0].result.as_ref().unwrap().as_str(), r#"{"n":4}"#);
    host.until("the outbox is empty", |host| host.engine().store().outbox(0, 10).expect("reads").is_empty());
}

#[test]
fn a_command_of_a_plugin_that_is_refused_is_not_tried_for_ever() {
    for signal in [Signal::Fail("no".to_owned()), Signal::Skip("no".to_owned())] {
        let looks = Arc::new(AtomicUsize::new(0));
        let (count, said) = (looks.clone(), signal.clone());
        let gate = Scripted::control("gate", 1, &["workflow:submit"], move |_, _| {
            count.fetch_add(1, SeqCst);
            answer(said.clone()).adding("looked", 1)
        });
        let starting = Scripted::observer("starting", types(&["order:*"]), |events, _| {
            let definition = json!({"definition": {"name": "w", "tasks": [{"id": "a", "method": "sim/echo"}]}});
            taken().publishing(events[0].event_id, "workflow:submit", &definition)
        });
        let worker = Scripted::worker("echo", &["sim/echo"], |task| async move { result(&task.parameters.to_value()) });
        let host = Host::with([starting, worker, gate]);
        assert_eq!(host.publish(order(4)).outcome, Outcome::Appended);
        host.until("the outbox is empty", |host| looks.load(SeqCst) > 0 && host.engine().store().outbox(0, 10).expect("reads").is_empty());
        assert_eq!((looks.load(SeqCst), host.kv("gate", "looked").as_deref()), (1, Some("1")));
        let notice = &host.events().into_iter().find(|event| event.event_type.starts_with("control:")).expect("a notice");
        assert_eq!(host.engine().store().decisions(notice.sequence_number).unwrap().len(), 1, "with its record");
    }
}

/// Answers each `order:placed` with an `order:reminded` so much later; `order:paid` takes back what `order:placed` of that id would have had.
fn reminding(later_ms: u64) -> Scripted {
    Scripted::observer("mill", types(&["order:placed", "order:paid"]), move |events, _| {
        events.iter().fold(taken(), |report, event| match &*event.event_type {
            "order:placed" => {
                let when = trackside_engine::now().plus_ms(later_ms);
                report.publishing(event.event_id, "order:reminded", &event.payload.to_value()).due(when)
            }
            _ => report.cancelling(event.payload.to_value()["reminder"].as_str().unwrap().parse().unwrap()),
        })
    })
}

#[test]
fn what_is_scheduled_is_published_once_it_is_due() {
    let host = Host::with([reminding(60)]);
    let placed = host.publish(order(1));
    host.until_told("order:reminded", 1);
    let reminded = &host.of_type("order:reminded")[0];
    let order = host.of_type("order:placed").remove(0);
    assert!(reminded.recorded_at.ms_since(order.recorded_at) >= 60, "not before its time");
    assert_eq!(reminded.causation_id.as_deref(), placed.event_id.map(|id| id.to_string()).as_deref());
    assert_eq!(host.engine().store().scheduled("mill").unwrap(), 0, "and is gone from the schedule");
    assert_eq!(host.count("order:reminded"), 1);
}

#[test]
fn a_schedule_outlives_a_crash_and_comes_due_once() {
    let host = Host::with([reminding(400)]);
    host.publish(order(1));
    host.until("it is scheduled", |host| host.engine().store().scheduled("mill").unwrap() == 1);
    let dir = host.crashed();
    drop(host);
    let host = Host::over(dir, options(), |_| vec![reminding(400)]);
    host.until_told("order:reminded", 1);
    let host = Host::over(host.crashed(), options(), |_| vec![reminding(400)]);
    host.publish(order(2));
    host.until_told("order:reminded", 2);
    assert_eq!(host.count("order:reminded"), 2, "one for each order");
}

#[test]
fn what_is_taken_back_never_comes() {
    let host = Host::with([reminding(300)]);
    let (first, second) = (host.publish(order(1)), host.publish(order(2)));
    host.until("both are scheduled", |host| host.engine().store().scheduled("mill").unwrap() == 2);
    let reminder = uuid::Uuid::new_v5(&first.event_id.unwrap(), b"order:reminded/0");
    host.publish(incoming("order:paid", &json!({"reminder": reminder})));
    host.until_told("order:reminded", 1);
    let reminded = &host.of_type("order:reminded")[0];
    assert_eq!(reminded.causation_id.as_deref(), second.event_id.map(|id| id.to_string()).as_deref());
    assert_eq!(host.engine().store().scheduled("mill").unwrap(), 0);
}
