//! What each signal does at each point of a workflow, as a table: DESIGN section 7, read row by row.
//! The chain itself is tested at the door, in `publish`.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use expect_test::{Expect, expect};
use serde_json::json;
use trackside_model::{control::Signal, json::Json, ports::FaultKind, workflow::WorkflowStatus};

use crate::{support::*, workflows::echo};

const POINTS: [&str; 5] = ["workflow:submitted", "task:ready", "assignment:candidate_found", "task:completed", "task:failed"];

/// Two tasks, the second of which takes the first's result; at `task:failed` the first fails once.
fn run(point: &'static str, guest: Scripted) -> String {
    let fails = point == "task:failed";
    let worker = Scripted::worker("worker", &["sim/do"], move |task| async move {
        if fails && task.attempt == 1 && &*task.task_id == "a" { failed("ouch", true) } else { result(&task.parameters.to_value()) }
    });
    let host = Host::with([worker, guest]);
    let definition =
        "name: w\ntasks:\n  - {id: a, method: sim/do, parameters: {v: 1}}\n  - {id: b, method: sim/do, parameters: {of_a: '${a}'}}\n";
    let workflow = host.submit(definition);
    let view = host.ended(&workflow);
    let mut told = view.status.as_str().to_owned();
    if let Some(reason) = &view.reason {
        write!(told, " ({reason})").unwrap();
    }
    if let Some(value) = &view.value {
        write!(told, " = {value}").unwrap();
    }
    for task in &view.tasks {
        let result = task.result.as_ref().map_or(String::new(), |result| format!(" = {result}"));
        write!(told, ", {} {:?}{result}", task.id, task.status).unwrap();
    }
    let facts: Vec<String> = host.facts(&workflow).into_iter().skip(2).collect();
    format!("{told}\n    {}\n", facts.join(", "))
}

/// One handler that says it once about the first task, and then has nothing against anything.
fn once(point: &'static str, said: impl Fn() -> trackside_model::ports::CallReport<Signal> + Send + Sync + 'static) -> Scripted {
    let spoken = AtomicBool::new(false);
    Scripted::control("gate", 1, &[point], move |event, _| {
        let about = event.task_id.as_deref().is_none_or(|task| task == "a");
        if about && !spoken.swap(true, SeqCst) { said() } else { proceed() }
    })
}

#[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
fn check(said: impl Fn() -> Signal + Copy + Send + Sync + 'static, expected: Expect) {
    let mut table = String::new();
    for point in POINTS {
        write!(table, "{point}: {}", run(point, once(point, move || answer(said())))).unwrap();
    }
    expected.assert_eq(&table);
}

fn because() -> String {
    "because".to_owned()
}

#[test]
fn proceed_goes_on() {
    check(
        || Signal::Proceed(None),
        expect![[r#"
        workflow:submitted: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:ready: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        assignment:candidate_found: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:completed: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:failed: failed (task 'a' failed: ouch), a Failed, b Cancelled
            workflow:started, task:started a @worker, task:failed a @worker, workflow:failed
    "#]],
    );
}

#[test]
fn skip_leaves_out() {
    check(
        || Signal::Skip(because()),
        expect![[r#"
        workflow:submitted: skipped (because), a Cancelled, b Cancelled
            control:skipped, workflow:completed
        task:ready: completed, a Skipped = null, b Completed = {"of_a":null}
            workflow:started, control:skipped a, task:skipped a, task:started b @worker, task:completed b @worker, workflow:completed
        assignment:candidate_found: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, control:skipped a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:completed: completed, a Completed = null, b Completed = {"of_a":null}
            workflow:started, task:started a @worker, control:skipped a, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:failed: completed, a Skipped = null, b Completed = {"of_a":null}
            workflow:started, task:started a @worker, control:skipped a, task:skipped a @worker, task:started b @worker, task:completed b @worker, workflow:completed
    "#]],
    );
}

#[test]
fn retry_asks_or_runs_again() {
    check(
        || Signal::Retry { after_ms: Some(1), reason: because() },
        expect![[r#"
        workflow:submitted: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            control:retried, workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:ready: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, control:retried a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        assignment:candidate_found: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, control:retried a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:completed: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, control:retried a, task:failed a @worker, task:retry_scheduled a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:failed: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, control:retried a, task:failed a @worker, task:retry_scheduled a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
    "#]],
    );
}

#[test]
fn fallback_stands_in() {
    check(
        || Signal::Fallback { value: Json::trusted(r#""instead""#), reason: because() },
        expect![[r#"
        workflow:submitted: completed (because) = "instead", a Cancelled, b Cancelled
            control:fallback, workflow:completed
        task:ready: completed, a Completed = "instead", b Completed = {"of_a":"instead"}
            workflow:started, control:fallback a, task:completed a, task:started b @worker, task:completed b @worker, workflow:completed
        assignment:candidate_found: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, control:error a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:completed: completed, a Completed = "instead", b Completed = {"of_a":"instead"}
            workflow:started, task:started a @worker, control:fallback a, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:failed: completed, a Completed = "instead", b Completed = {"of_a":"instead"}
            workflow:started, task:started a @worker, control:fallback a, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
    "#]],
    );
}

#[test]
fn fail_ends() {
    check(
        || Signal::Fail(because()),
        expect![[r#"
        workflow:submitted: failed (because), a Cancelled, b Cancelled
            control:failed, workflow:failed
        task:ready: failed (task 'a' failed: because), a Failed, b Cancelled
            workflow:started, control:failed a, task:failed a, workflow:failed
        assignment:candidate_found: failed (task 'a' failed: because), a Failed, b Cancelled
            workflow:started, control:failed a, task:failed a, workflow:failed
        task:completed: failed (task 'a' failed: because), a Failed, b Cancelled
            workflow:started, task:started a @worker, control:failed a, task:failed a @worker, workflow:failed
        task:failed: failed (task 'a' failed: ouch), a Failed, b Cancelled
            workflow:started, task:started a @worker, control:failed a, task:failed a @worker, workflow:failed
    "#]],
    );
}

#[test]
fn error_holds() {
    check(
        || Signal::Error(because()),
        expect![[r#"
        workflow:submitted: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            control:error, workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:ready: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, control:error a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        assignment:candidate_found: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, control:error a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:completed: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, control:error a, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:failed: failed (task 'a' failed: ouch), a Failed, b Cancelled
            workflow:started, task:started a @worker, control:error a, task:failed a @worker, workflow:failed
    "#]],
    );
}

#[test]
fn an_amendment_takes_the_place_of_what_the_point_is_about() {
    check(
        || Signal::Proceed(Some(Json::trusted(r#"{"amended":true}"#))),
        expect![[r#"
        workflow:submitted: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:ready: completed, a Completed = {"amended":true}, b Completed = {"of_a":{"amended":true}}
            workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        assignment:candidate_found: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:completed: completed, a Completed = {"amended":true}, b Completed = {"of_a":{"amended":true}}
            workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:failed: failed (task 'a' failed: ouch), a Failed, b Cancelled
            workflow:started, task:started a @worker, task:failed a @worker, workflow:failed
    "#]],
    );
}

#[test]
fn a_fault_of_a_handler_that_must_answer_holds_and_its_recovery_releases() {
    let mut table = String::new();
    for point in POINTS {
        write!(table, "{point}: {}", run(point, once(point, || fault(FaultKind::Trap)).holding())).unwrap();
    }
    expect![[r#"
        workflow:submitted: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            plugin:fault @gate, control:error, workflow:started, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:ready: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, plugin:fault a @gate, control:error a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        assignment:candidate_found: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, plugin:fault a @gate, control:error a, task:started a @worker, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:completed: completed, a Completed = {"v":1}, b Completed = {"of_a":{"v":1}}
            workflow:started, task:started a @worker, plugin:fault a @gate, control:error a, task:completed a @worker, task:started b @worker, task:completed b @worker, workflow:completed
        task:failed: failed (task 'a' failed: ouch), a Failed, b Cancelled
            workflow:started, task:started a @worker, plugin:fault a @gate, control:error a, task:failed a @worker, workflow:failed
    "#]].assert_eq(&table);
}

#[test]
fn a_fault_of_a_handler_that_need_not_answer_changes_nothing() {
    for point in POINTS {
        let with = run(point, once(point, || fault(FaultKind::Trap)));
        assert_eq!(
            with.replace("plugin:fault a @gate, ", "").replace("plugin:fault @gate, ", ""),
            run(point, once(point, proceed)),
            "{point}"
        );
    }
}

#[test]
fn the_next_handler_sees_what_the_one_before_has_put_in_place() {
    for (point, field) in [("workflow:submitted", "/workflow/input"), ("task:ready", "/parameters"), ("task:completed", "/result")] {
        let seen = Seen::default();
        let noted = seen.clone();
        let host = Host::with([
            echo(),
            Scripted::control("first", 1, &[point], |_, _| amend(&json!({"amended": true}))),
            Scripted::control("second", 2, &[point], move |event, _| {
                noted.note(event.payload.to_value().pointer(field).unwrap().to_string());
                proceed()
            }),
        ]);
        host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/echo, parameters: {v: 1}}]\n"));
        assert_eq!(seen.all(), [r#"{"amended":true}"#], "{point}");
    }
}

#[test]
fn a_provider_that_is_passed_over_leaves_the_task_to_another() {
    let named = |name: &'static str| Scripted::worker(name, &["sim/do"], move |_| async move { result(&json!(name)) });
    let choosy = Scripted::control("choosy", 1, &["assignment:candidate_found"], |event, _| {
        if event.provider_id.as_deref() == Some("good") { proceed() } else { answer(Signal::Skip("not this one".to_owned())) }
    });
    let host = Host::with([named("bad"), named("worse"), named("good"), choosy]);
    for _ in 0..10 {
        let view = host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/do}]\n"));
        assert_eq!(view.tasks[0].provider_id.as_deref(), Some("good"));
    }
}

#[test]
fn a_handler_is_told_where_and_how_often() {
    let seen = Seen::default();
    let noted = seen.clone();
    let all = Scripted::control("all", 1, &POINTS, move |event, context| {
        let payload = event.payload.to_value();
        let known: Vec<&String> = payload.as_object().unwrap().keys().collect();
        noted.note(format!("{:?} {} {known:?}", context.point, context.attempt));
        assert_eq!(context.origin, trackside_model::control::Origin::Embedded);
        assert!(context.remaining_ms > 0 && context.remaining_ms <= 100);
        proceed()
    });
    let flaky =
        Scripted::worker(
            "flaky",
            &["sim/flaky"],
            |task| async move { if task.attempt == 1 { failed("no", true) } else { result(&json!(1)) } },
        );
    let host = Host::with([all, flaky]);
    host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/flaky, retry: {max_attempts: 2, base_delay: 0ms}}]\n"));
    expect![[r#"
        WorkflowSubmitted 0 ["workflow"]
        TaskReady 0 ["method", "parameters", "task", "workflow"]
        CandidateFound 0 ["method", "parameters", "task", "workflow"]
        TaskFailed 1 ["error", "final", "method", "parameters", "task", "workflow"]
        CandidateFound 1 ["method", "parameters", "task", "workflow"]
        TaskCompleted 2 ["method", "parameters", "result", "task", "workflow"]"#]]
    .assert_eq(&seen.all().join("\n"));
}

#[test]
fn a_policy_may_bring_home_what_has_no_policy_of_its_own() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    let flaky = Scripted::worker("flaky", &["sim/flaky"], move |_| {
        let call = count.fetch_add(1, SeqCst);
        async move { if call < 3 { failed("no", true) } else { result(&json!("home")) } }
    });
    let policy = Scripted::control("retry-policy", 1, &["task:failed"], |_, context| {
        if context.attempt < 5 { answer(Signal::Retry { after_ms: Some(0), reason: "again".to_owned() }) } else { proceed() }
    });
    let host = Host::with([flaky, policy]);
    let view = host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/flaky}]\n"));
    assert_eq!((view.status, view.tasks[0].attempts), (WorkflowStatus::Completed, 4));
}

#[test]
fn a_handler_at_a_point_counts_once_for_each_question() {
    let gate = Scripted::control("gate", 1, &["task:ready", "task:completed"], |event, _| {
        proceed().adding(&event.event_type, 1).publishing(event.event_id, "gate:asked", &json!({}))
    });
    let host = Host::with([echo(), gate]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/echo}, {id: b, method: sim/echo, dependencies: [a]}]\n");
    host.ended(&workflow);
    host.until_told("gate:asked", 4);
    assert_eq!((host.kv("gate", "task:ready").as_deref(), host.kv("gate", "task:completed").as_deref()), (Some("2"), Some("2")));
    let events = host.events();
    for asked in events.iter().filter(|event| &*event.event_type == "gate:asked") {
        assert_eq!((asked.workflow_id.as_deref(), &*asked.correlation_id), (Some(&*workflow), &*workflow));
    }
}

#[test]
fn a_handler_that_publishes_about_what_it_reads_and_writes_loses_nothing() {
    use trackside_model::ports::HostCalls;
    let host = Host::serving(|World { side, .. }| {
        let side = side.clone();
        let counting = Scripted::control("gate", 1, &["task:ready"], move |_, _| {
            let read = side.kv_get("gate", "n").expect("reads");
            let n: u64 = read.value.as_deref().map_or(0, |value| std::str::from_utf8(value).unwrap().parse().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(5));
            proceed().setting("n", &(n + 1).to_string(), &read)
        });
        vec![counting, echo()]
    });
    let tasks: Vec<String> = (0..3).map(|n| format!("{{id: t{n}, method: sim/echo}}")).collect();
    host.ended(&host.submit(&format!("name: w\ntasks: [{}]\n", tasks.join(", "))));
    assert_eq!(host.kv("gate", "n").as_deref(), Some("3"));
}
