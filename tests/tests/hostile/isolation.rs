//! Isolation in time: nobody waits for what never returns, two deadlines are a quarantine, and work that must hold says for whom.

use trackside_test_guests as guests;
use trackside_tests::{Value, eventually, json};

use crate::stage::{Stage, case};

#[test]
fn nothing_else_waits_for_what_never_returns() {
    let mut stage = Stage::new();
    // Each spins for a minute if it is let: all that follows must be over long before the first fault.
    stage.enter(&case("spin", "[limits]\ntimeout_ms = 60_000", "", ""), "observer");
    stage.enter(&case("spin-host", "[limits]\ntimeout_ms = 60_000\n[grants]\ntimers = true\n[settings]\ncall = 'sleep'", "", ""), "worker");
    stage.host.submit("name: sleeps\ntasks:\n  - {id: s, method: spin-host/run}\n");
    for _ in 0..20 {
        stage.publish();
        stage.work();
    }
    stage.neighbour_is_unharmed();
    assert_eq!(stage.host.events("type=plugin:fault"), [] as [Value; 0], "they are still at it");
}

#[test]
fn two_deadlines_in_a_row_are_a_quarantine_and_a_probe_ends_it() {
    let stage = Stage::new();
    let settings = "priority = 1\n[limits]\ntimeout_ms = 50\n[breaker]\nbackoff_ms = 50\n[controls]\nevent_types = ['case:*']\n[observes]\nevent_types = []\n\
                    [settings]\nrole = 'control'\nevent_type = 'case:evil'\n";
    stage.site.plugin("spin", guests::build().bytes("spin"), settings);
    stage.host.reload("spin").expect(200);
    let publish = |event_type: &str, number: u32| {
        stage.host.publish(&json!({"event_type": event_type, "source_component": "test", "payload": {"number": number}})).expect(201)
    };
    publish("case:evil", 1);
    publish("case:evil", 2);
    let opened = stage.host.wait_for("type=plugin:quarantined", |event| event["provider_id"] == "spin");
    assert!(opened["payload"]["until"].is_string(), "{opened}");
    stage.host.wait_for("type=circuit:opened", |event| event["provider_id"] == "spin");
    // Well-behaved events are its probes.
    let mut number = 2;
    eventually("its restoration", || {
        number += 1;
        publish("case:kind", number);
        (!stage.host.events("type=plugin:restored&provider_id=spin").is_empty()).then_some(())
    });
    stage.host.wait_for("type=circuit:closed", |event| event["provider_id"] == "spin");
    assert_eq!(stage.host.plugin("spin")["state"], "serving");
}

#[test]
fn with_on_fault_fail_the_work_holds_and_says_for_whom() {
    let mut stage = Stage::new();
    let settings = "on_fault = 'fail'\npriority = 1\n[controls]\nevent_types = ['held:*', 'task:ready']\n[observes]\nevent_types = []\n[breaker]\nbackoff_ms = 100\n\
                    [settings]\nrole = 'control'\n";
    stage.site.plugin("trap", guests::build().bytes("trap"), settings);
    stage.host.reload("trap").expect(200);
    let answer = stage.host.publish(&json!({"event_type": "held:back", "source_component": "test"}));
    let problem = answer.expect(429);
    assert_eq!((&problem["outcome"], &problem["by"]), (&json!("busy"), &json!("trap")), "{problem}");
    assert!(answer.header("retry-after").is_some(), "{answer}");
    assert_eq!(stage.host.events("type=held:back"), [] as [Value; 0]);

    let id = stage.host.submit("name: held\ntasks:\n  - {id: n, method: neighbour/echo, parameters: {n: 1}}\n");
    stage.worked += 1;
    let task = eventually("the task to be held", || {
        let task = stage.host.get(&format!("/v1/workflows/{id}")).expect(200)["tasks"][0].clone();
        task["waits_for"].as_str().is_some_and(|waits_for| waits_for.contains("'trap'")).then_some(task)
    });
    assert!(task.get("result").is_none(), "{task}");
    // Out of service, it holds nobody any more.
    stage.leave(&case("trap", "", "", ""));
    assert_eq!(stage.host.ended(&id)["status"], "completed");
    stage.publish();
    stage.neighbour_is_unharmed();
}
