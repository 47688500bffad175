//! Isolation in time: nobody waits for what never returns, two deadlines are a quarantine, and work that must hold says for whom.

use trackside_test_guests as guests;
use trackside_tests::{Value, eventually, json};

use crate::stage::{Stage, extra};

#[test]
fn nothing_else_waits_for_what_never_returns() {
    let mut stage = Stage::new();
    // Each spins for a minute if it is let: all that follows must be over long before the first fault.
    stage.enter(&extra("spin", "[limits]\ntimeout_ms = 60_000"), "observer");
    stage.enter(&extra("spin-host", "[limits]\ntimeout_ms = 60_000\n[grants]\ntimers = true\n[settings]\ncall = 'sleep'"), "worker");
    stage.host.submit("name: sleeps\ntasks:\n  - {id: s, method: spin-host/run}\n");
    for _ in 0..20 {
        stage.publish();
        stage.work();
    }
    stage.neighbour_is_unharmed();
    assert_eq!(stage.host.events("type=plugin:fault"), [] as [Value; 0], "they are still at it");
}

/// What a control handler was asked about an event, in the records of all events of a type.
fn checks_of(stage: &Stage, event_type: &str, plugin: &str) -> Vec<(u64, Vec<Value>)> {
    let events = stage.host.events(&format!("type={event_type}"));
    let decisions = stage.site.decisions();
    let of = |sequence: u64| decisions.iter().filter(move |(at, _)| *at == sequence).map(|(_, records)| records);
    let checks = |records: &Value| records[0]["checks"].as_array().cloned().unwrap_or_default();
    events
        .iter()
        .map(|event| {
            let publisher = event["payload"]["publisher"].as_u64().unwrap_or_default();
            let all = of(event["sequence_number"].as_u64().unwrap_or_default()).flat_map(checks);
            (publisher, all.filter(|check| check["plugin"] == plugin).collect())
        })
        .collect()
}

#[test]
fn a_spinning_handler_costs_a_publisher_two_deadlines_at_most_and_others_nothing() {
    const PUBLISHERS: u64 = 6;
    const EVENTS: u64 = 8;
    let stage = Stage::new();
    // On the path of every publish but those of `calm:*`, and in quarantine for longer than the test.
    let settings = "priority = 1\n[limits]\ntimeout_ms = 100\n[breaker]\nbackoff_ms = 3_600_000\n[controls]\nevent_types = ['case:*']\n\
                    [observes]\nevent_types = []\n[settings]\nrole = 'control'\n";
    stage.site.plugin("spin", guests::build().bytes("spin"), settings);
    stage.host.reload("spin").expect(200);
    let publish = |publisher: u64, event_type: &str, number: u64| {
        let payload = json!({"publisher": publisher, "number": number});
        stage.host.publish(&json!({"event_type": event_type, "source_component": "test", "payload": payload})).expect(201);
    };
    std::thread::scope(|scope| {
        for publisher in 1..=PUBLISHERS {
            scope.spawn(move || (1..=EVENTS).for_each(|number| publish(publisher, "case:came", number)));
        }
        scope.spawn(|| (1..=EVENTS).for_each(|number| publish(0, "calm:came", number)));
    });
    let records = checks_of(&stage, "case:came", "spin");
    assert_eq!(records.len() as u64, PUBLISHERS * EVENTS, "every event is in the log");
    for publisher in 1..=PUBLISHERS {
        let own: Vec<&Value> = records.iter().filter(|(by, _)| *by == publisher).map(|(_, checks)| &checks[0]).collect();
        let waited = own.iter().filter(|check| check["answer"] == "fault").count();
        assert!(waited <= 2, "publisher {publisher} waited {waited} times: {own:?}");
        // In the order of the log, whoever was passed over once is never kept waiting again.
        let passed_over = own.iter().skip_while(|check| check["answer"] == "fault");
        assert!(passed_over.clone().all(|check| check["answer"] == "not_asked" && check["reason"] == "quarantined"), "{own:?}");
        assert!(passed_over.count() as u64 >= EVENTS - 2);
    }
    let waited = records.iter().filter(|(_, checks)| checks[0]["answer"] == "fault").count();
    assert!(waited >= 2, "it spun: {records:?}");
    assert!(checks_of(&stage, "calm:came", "spin").iter().all(|(_, checks)| checks.is_empty()), "who it does not look at never meets it");
    assert_eq!(stage.host.events("type=plugin:quarantined").len(), 1);
}

#[test]
fn a_fallen_handler_is_back_after_its_backoff_without_a_restart() {
    let stage = Stage::new();
    let settings = "on_fault = 'fail'\npriority = 1\n[breaker]\nfaults = 2\nbackoff_ms = 300\n[controls]\nevent_types = ['held:*']\n[observes]\nevent_types = []\n\
                    [settings]\nrole = 'control'\nevent_type = 'held:evil'\n";
    stage.site.plugin("trap", guests::build().bytes("trap"), settings);
    stage.host.reload("trap").expect(200);
    let publish = |event_type: &str, number: u32| {
        stage.host.publish(&json!({"event_type": event_type, "source_component": "test", "payload": {"number": number}}))
    };
    publish("held:evil", 1).expect(429);
    publish("held:evil", 2).expect(429);
    let opened = stage.host.wait_for("type=plugin:quarantined", |event| event["provider_id"] == "trap");
    // What it would let through holds until then, and the answer says for how long.
    let held = publish("held:kind", 3);
    held.expect(429);
    assert!(held.header("retry-after").is_some(), "{held}");
    eventually("a publish to pass", || (publish("held:kind", 3).status == 201).then_some(()));
    let came = stage.host.wait_for("type=held:kind", |_| true);
    let restored = stage.host.wait_for("type=plugin:restored", |event| event["provider_id"] == "trap");
    let time = |event: &Value, of: &str| event[of].as_str().unwrap_or_default().to_owned();
    let until = opened["payload"]["until"].as_str().unwrap_or_default();
    // By when it was recorded: a publish may begin before the backoff is over and be asked about after it.
    assert!(!until.is_empty() && until <= time(&came, "recorded_at").as_str(), "not before its backoff was over: {opened} {came}");
    assert!(time(&opened, "recorded_at") <= time(&restored, "recorded_at"));
    assert_eq!(stage.host.plugin("trap")["state"], "serving");
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
    stage.leave(&extra("trap", ""));
    assert_eq!(stage.host.ended(&id)["status"], "completed");
    stage.publish();
    stage.neighbour_is_unharmed();
}
