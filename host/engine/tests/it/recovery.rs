//! Crashes in the middle of workflows: the log gives the state, the attempt under way is delivered again, the end is the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::json;
use trackside_engine::Outcome;
use trackside_model::{control::Signal, event::Incoming, workflow::WorkflowStatus};
use uuid::Uuid;

use crate::{support::*, workflows::echo};

const CHAIN: &str = r#"
name: chain
tasks:
  - {id: a, method: sim/step, parameters: {v: 1}}
  - {id: b, method: sim/step, parameters: {v: "${a.v}"}}
  - {id: c, method: sim/step, parameters: {v: "${b.v}"}, retry: {max_attempts: 3, base_delay: 1ms, jitter: false}}
  - {id: d, method: sim/step, parameters: {v: "${c.v}"}}
"#;

/// Takes a moment for each step; the third fails at its first attempt.
fn stepping(calls: &Seen) -> Scripted {
    let calls = calls.clone();
    Scripted::worker("steps", &["sim/step"], move |task| {
        calls.note(&*task.idempotency_key);
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if &*task.task_id == "c" && task.attempt == 1 { failed("not yet", true) } else { result(&task.parameters.to_value()) }
        }
    })
}

#[test]
fn a_workflow_that_is_interrupted_anywhere_ends_as_if_it_had_not_been() {
    for pause_ms in 0..14 {
        let calls = Seen::default();
        let host = Host::with([stepping(&calls)]);
        let workflow = host.submit(CHAIN);
        std::thread::sleep(Duration::from_millis(pause_ms));
        let host = Host::over(host.crashed(), options(), |_| vec![stepping(&calls)]);
        let view = host.ended(&workflow);
        assert_eq!(view.status, WorkflowStatus::Completed);
        let tasks: Vec<String> =
            view.tasks.iter().map(|task| format!("{} {} {}", task.id, task.attempts, task.result.as_ref().unwrap())).collect();
        assert_eq!(tasks, [r#"a 1 {"v":1}"#, r#"b 1 {"v":1}"#, r#"c 2 {"v":1}"#, r#"d 1 {"v":1}"#], "after {pause_ms} ms");
        // Twice in a row, at every place, is nothing else than once.
        let again = Host::over(host.crashed(), options(), |_| vec![stepping(&calls)]);
        assert_eq!(again.ended(&workflow).tasks.len(), 4);
        assert_eq!(again.count("workflow:completed"), 1);
    }
}

#[test]
fn an_attempt_under_way_is_delivered_again_under_its_key() {
    let (calls, hang) = (Seen::default(), Arc::new(AtomicBool::new(true)));
    let worker = || {
        let (calls, hang) = (calls.clone(), hang.clone());
        Scripted::worker("worker", &["sim/do"], move |task| {
            calls.note(format!("{} {}", task.idempotency_key, task.attempt));
            let hangs = hang.load(SeqCst);
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                result(&json!("done"))
            }
        })
    };
    let host = Host::with([worker()]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/do}]\n");
    host.until("it has begun", |host| calls.len() == 1 && host.count("task:started") == 1);
    hang.store(false, SeqCst);
    let host = Host::over(host.crashed(), options(), |_| vec![worker()]);
    assert_eq!(host.ended(&workflow).tasks[0].attempts, 1);
    assert_eq!(calls.all(), [format!("{workflow}/a/1 1"), format!("{workflow}/a/1 1")]);
    let redelivered: Vec<bool> = host.of_type("task:started").iter().map(|event| event.payload.to_value()["redelivered"] == true).collect();
    assert_eq!(redelivered, [false, true]);
}

#[test]
fn what_waits_for_its_time_still_does_after_a_crash() {
    let retried = Scripted::control("gate", 1, &["workflow:submitted", "task:ready"], |_, _| {
        answer(Signal::Retry { after_ms: Some(60_000), reason: "later".to_owned() })
    });
    let host = Host::with([echo(), retried]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/echo}]\n");
    host.until_told("control:retried", 1);
    let host = Host::over(host.crashed(), options(), |_| vec![echo()]);
    let view = host.run(host.engine().workflow(&workflow)).unwrap().unwrap();
    assert_eq!(view.status, WorkflowStatus::Submitted);
    assert!(view.waits_for.unwrap().starts_with("'gate' until "));
    host.run(host.engine().cancel(&workflow, "enough".to_owned(), caller()));
    assert_eq!(host.ended(&workflow).status, WorkflowStatus::Cancelled);
    // A deadline of before the crash holds after it.
    let hanging = || Scripted::worker("hanging", &["sim/hang"], |_| std::future::pending());
    let host = Host::with([hanging()]);
    let workflow = host.submit("name: w\ntimeout: 300ms\ntasks: [{id: a, method: sim/hang}]\n");
    let host = Host::over(host.crashed(), options(), |_| vec![hanging()]);
    assert_eq!(host.ended(&workflow).status, WorkflowStatus::TimedOut);
}

#[test]
fn nothing_that_was_acknowledged_is_lost_in_a_crash() {
    let mut host = Host::with([echo()]);
    let mut acknowledged: Vec<(Uuid, u64)> = Vec::new();
    for round in 0..6_u64 {
        let engine = host.engine().clone();
        let (tell, mut told) = tokio::sync::mpsc::channel(1_000);
        host.run(async {
            let mut publishing = tokio::task::JoinSet::new();
            for n in 0..100 {
                let (engine, tell) = (engine.clone(), tell.clone());
                publishing.spawn(async move {
                    let event = Incoming { event_id: Some(Uuid::new_v4()), ..order(n) };
                    let answer = engine.publish(event, caller()).await;
                    if answer.outcome == Outcome::Appended {
                        let _ = tell.send((answer.event_id.unwrap(), answer.sequence_number.unwrap())).await;
                    }
                });
            }
            tokio::time::sleep(Duration::from_millis(2 + 3 * round)).await;
            publishing.detach_all();
        });
        // Acknowledged first, then looked at the disk.
        while let Ok(one) = told.try_recv() {
            acknowledged.push(one);
        }
        host = Host::over(host.crashed(), options(), |_| vec![echo()]);
        for (event_id, sequence) in &acknowledged {
            let event = host.engine().store().event_by_id(event_id).unwrap().expect("it was acknowledged");
            assert_eq!(event.sequence_number, *sequence);
        }
    }
    assert!(!acknowledged.is_empty());
    let sequences: Vec<u64> = host.events().iter().map(|event| event.sequence_number).collect();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>(), "without gaps");
}
