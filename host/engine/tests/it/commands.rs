//! Commands as events: what edges ask for comes through the same door, under an id of its own, and is answered after the commit.

use std::sync::atomic::Ordering::SeqCst;

use expect_test::expect;
use serde_json::{Value, json};
use trackside_engine::Outcome;
use trackside_model::{
    control::{CheckAnswer, Signal},
    event::Incoming,
    json::Json,
    plugin::OnFault,
    workflow::WorkflowStatus,
};
use uuid::Uuid;

use crate::{publish::counting_under_change, support::*, workflows::echo};

fn submit(payload: &Value) -> Incoming {
    incoming("workflow:submit", payload)
}

fn definition() -> Value {
    json!({"name": "w", "tasks": [{"id": "a", "method": "sim/echo", "parameters": {"n": "${workflow.input.n}"}}]})
}

#[test]
fn a_workflow_may_be_submitted_as_an_event() {
    let host = Host::with([echo()]);
    let answer = host.publish(submit(&json!({"definition": definition(), "input": {"n": 3}})));
    assert_eq!(answer.outcome, Outcome::Appended);
    let workflow = answer.workflow_id.unwrap();
    assert_eq!(*workflow, *answer.event_id.unwrap().to_string());
    assert_eq!(host.ended(&workflow).tasks[0].result.as_ref().unwrap().as_str(), r#"{"n":3}"#);
    // In the log stands the digest, which serves from now on.
    let digest = host.of_type("workflow:submit")[0].payload.to_value()["definition"].clone();
    let again = host.publish(submit(&json!({"definition": digest, "input": {"n": 4}})));
    assert_eq!(host.ended(&again.workflow_id.unwrap()).tasks[0].result.as_ref().unwrap().as_str(), r#"{"n":4}"#);
}

#[test]
fn the_command_and_what_follows_are_one_commit() {
    let host = Host::with([echo()]);
    let workflow = host.submit(&definition().to_string());
    host.ended(&workflow);
    let [command, submitted] =
        &host.events().into_iter().filter(|event| event.event_type.starts_with("workflow:submit")).collect::<Vec<_>>()[..]
    else {
        panic!("two")
    };
    assert_eq!(submitted.sequence_number, command.sequence_number + 1);
    assert_eq!(submitted.causation_id.as_deref(), Some(&*command.event_id.to_string()));
}

#[test]
fn the_same_submission_again_is_told_of_the_same_workflow() {
    let host = Host::with([echo()]);
    let id = Some(Uuid::new_v4());
    let request = |n: u32| trackside_engine::SubmitRequest { event_id: id, ..request(&definition().to_string(), &json!({"n": n})) };
    let first = host.run(host.engine().submit(request(1), caller())).unwrap();
    let second = host.run(host.engine().submit(request(1), caller())).unwrap();
    assert_eq!((first.outcome, second.outcome), (Outcome::Appended, Outcome::Duplicate));
    assert_eq!((&second.workflow_id, second.sequence_number), (&first.workflow_id, first.sequence_number));
    let other = host.run(host.engine().submit(request(2), caller())).unwrap();
    assert!(other.conflict, "the same id for something else: {other:?}");
    host.ended(&first.workflow_id.unwrap());
    let twins = host.run(async {
        let id = Some(Uuid::new_v4());
        let mut twins = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let engine = host.engine().clone();
            let command = Incoming { event_id: id, ..submit(&json!({"definition": definition(), "input": {"n": 1}})) };
            twins.spawn(async move { engine.publish(command, caller()).await });
        }
        twins.join_all().await
    });
    let count = |outcome| twins.iter().filter(|answer| answer.outcome == outcome).count();
    assert_eq!((count(Outcome::Appended), count(Outcome::Duplicate)), (1, 49), "{twins:?}");
    assert_eq!(host.count("workflow:submitted"), 2);
}

#[test]
fn commands_are_not_duplicates_by_their_content() {
    let host = Host::with([echo()]);
    let one = host.publish(submit(&json!({"definition": definition()})));
    let other = host.publish(submit(&json!({"definition": definition()})));
    assert_eq!(other.outcome, Outcome::Appended);
    assert_ne!(one.workflow_id, other.workflow_id);
}

#[test]
fn what_cannot_be_carried_out_is_refused_and_changes_nothing() {
    let host = Host::with([echo()]);
    let ended = host.submit(&definition().to_string());
    host.ended(&ended);
    let before = host.events().len();
    let refusals: Vec<String> = [
        submit(&json!({})),
        submit(&json!({"definition": {"name": "w", "tasks": [{"id": "a", "method": "sim/ecko"}, {"id": "b", "method": "sim/echo", "dependencies": ["c"]}]}})),
        submit(&json!({"definition": {"name": "w", "tasks": [{"id": "a", "method": "sim/ecko"}, {"id": "b", "method": "x/y"}]}})),
        submit(&json!({"definition": "0123"})),
        submit(&json!({"definition": "0".repeat(64)})),
        submit(&json!({"definition": definition(), "inputs": {}})),
        incoming("workflow:cancel", &json!({})),
        incoming("workflow:cancel", &json!({"workflow_id": "nobody"})),
        incoming("workflow:cancel", &json!({"workflow_id": ended})),
        incoming("workflow:restart", &json!({"workflow_id": ended})),
        incoming("engine:pause", &json!({})),
        incoming("task:reprioritise", &json!({})),
    ]
    .into_iter()
    .map(|incoming| told(&host.publish(incoming)).replace(&ended, "ENDED"))
    .collect();
    expect![[r#"
        refused: payload: missing field `definition` at line 1 column 2
        refused: payload.definition: line 1: tasks[1].dependencies: no task 'c'; line 1: tasks[0].method: no provider offers 'sim/ecko'; did you mean 'sim/echo'?
        refused: payload.definition: line 1: tasks[0].method: no provider offers 'sim/ecko'; did you mean 'sim/echo'?; line 1: tasks[1].method: no provider offers 'x/y'; offered are sim/echo
        refused: payload.definition: '0123' is not a SHA-256 digest of 64 hexadecimal digits
        refused: payload.definition: no definition 0000000000000000000000000000000000000000000000000000000000000000 is here; send it whole
        refused: payload: unknown field `inputs`, expected one of `definition`, `input`, `name` at line 1 column 117
        refused: workflow_id: required: the workflow to be cancelled
        refused: workflow_id: no workflow 'nobody' is known; `trackside workflow list` shows them
        refused: workflow_id: 'ENDED' has ended already: failed
        refused: event_type: this host does not carry out 'workflow:restart'; it knows workflow:submit and workflow:cancel
        refused: event_type: this host does not carry out 'engine:pause'; it knows workflow:submit and workflow:cancel
        refused: event_type: this host does not carry out 'task:reprioritise'; it knows workflow:submit and workflow:cancel"#]].assert_eq(&refusals.join("\n"));
    assert_eq!(host.events().len(), before);
}

#[test]
fn a_cancellation_that_is_repeated_is_told_of_the_first() {
    let hanging = Scripted::worker("hanging", &["sim/hang"], |_| std::future::pending());
    let host = Host::with([hanging]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/hang}]\n");
    let cancel = Incoming { event_id: Some(Uuid::new_v4()), ..incoming("workflow:cancel", &json!({"workflow_id": workflow})) };
    let first = host.publish(cancel.clone());
    assert_eq!(host.ended(&workflow).status, WorkflowStatus::Cancelled);
    let again = host.publish(cancel);
    assert_eq!((first.outcome, again.outcome), (Outcome::Appended, Outcome::Duplicate), "{again:?}");
    assert_eq!(again.sequence_number, first.sequence_number);
}

#[test]
fn a_command_is_asked_about_like_any_event() {
    let gate = |signal: Signal| Scripted::control("gate", 1, &["workflow:submit"], move |_, _| answer(signal.clone()));
    let because = || "because".to_owned();
    let mut answers = Vec::new();
    for signal in [
        Signal::Proceed(None),
        Signal::Proceed(Some(Json::trusted("{}"))),
        Signal::Skip(because()),
        Signal::Retry { after_ms: Some(5), reason: because() },
        Signal::Fallback { value: Json::trusted("{}"), reason: because() },
        Signal::Fail(because()),
        Signal::Error(because()),
    ] {
        let host = Host::with([echo(), gate(signal)]);
        let answer = host.try_submit(&definition().to_string(), &json!({"n": 1})).unwrap();
        if answer.outcome == Outcome::Appended {
            host.ended(answer.workflow_id.as_ref().unwrap());
        }
        answers.push(format!("{} | {}", told(&answer), host.types().join(" ")).trim_end().to_owned());
    }
    expect![[r#"
        appended | workflow:submit workflow:submitted workflow:started task:started task:completed workflow:completed
        appended | workflow:submit workflow:submitted workflow:started task:started task:completed workflow:completed
        skipped by gate: because | control:skipped
        busy by gate: because (again in 5 ms) | control:retried
        appended | workflow:submit workflow:submitted workflow:started task:started task:completed workflow:completed
        refused by gate: because | control:failed
        refused by gate: because | control:error"#]]
    .assert_eq(&answers.join("\n"));
}

#[test]
fn what_a_command_says_cannot_be_replaced_and_trying_is_on_record() {
    for signal in [Signal::Proceed(Some(Json::trusted("{}"))), Signal::Fallback { value: Json::trusted("{}"), reason: "mine".to_owned() }] {
        let gate = |on_fault| {
            let signal = signal.clone();
            Scripted::control("gate", 1, &["workflow:submit"], move |_, _| answer(signal.clone())).with(|info| info.on_fault = on_fault)
        };
        let host = Host::with([echo(), gate(OnFault::Proceed)]);
        let answer = host.try_submit(&definition().to_string(), &json!({"n": 1})).unwrap();
        assert_eq!(host.ended(answer.workflow_id.as_ref().unwrap()).tasks[0].result.as_ref().unwrap().as_str(), r#"{"n":1}"#);
        let records = host.engine().store().decisions(answer.sequence_number.unwrap()).unwrap();
        let check = &records[0].checks[0];
        assert_eq!((check.answer, check.amended), (CheckAnswer::Fault, false));
        assert_eq!(check.reason.as_deref(), Some("malformed answer: nobody may replace what a command says"));
        let host = Host::with([echo(), gate(OnFault::Fail)]);
        let held = host.try_submit(&definition().to_string(), &json!({"n": 1})).unwrap();
        assert_eq!((held.outcome, host.types().len()), (Outcome::Busy, 0), "{held:?}");
    }
}

#[test]
fn a_submission_that_is_repeated_after_its_plugin_has_gone_is_told_of_the_first() {
    let host = Host::with([echo()]);
    let request =
        trackside_engine::SubmitRequest { event_id: Some(Uuid::new_v4()), ..request(&definition().to_string(), &json!({"n": 1})) };
    let first = host.run(host.engine().submit(request.clone(), caller())).unwrap();
    host.ended(&first.workflow_id.unwrap());
    assert!(host.engine().remove("echo", "for good"));
    let again = host.run(host.engine().submit(request.clone(), caller())).unwrap();
    assert_eq!((again.outcome, again.sequence_number), (Outcome::Duplicate, first.sequence_number));
    let new = trackside_engine::SubmitRequest { event_id: Some(Uuid::new_v4()), ..request };
    let refused = host.run(host.engine().submit(new, caller())).unwrap_err().to_string();
    assert!(refused.contains("sim/echo"), "{refused}");
}

#[test]
fn a_command_is_asked_about_again_when_what_a_handler_read_has_changed() {
    let (host, calls) = counting_under_change(3);
    host.ended(&host.submit(&definition().to_string()));
    assert_eq!((calls.load(SeqCst), host.kv("gate", "n").as_deref()), (4, Some("31")));
    assert_eq!(host.count("workflow:submit"), 1);
    let (host, calls) = counting_under_change(usize::MAX);
    let answer = host.try_submit(&definition().to_string(), &json!({})).unwrap();
    assert_eq!((answer.outcome, calls.load(SeqCst), host.count("workflow:submit")), (Outcome::Busy, 4, 0), "{answer:?}");
}
