//! Workflows over scripted workers: references, fan-out, retries, timeouts, cancellation, capacity, providers that come and go.
//! What control handlers do to them is in `points`, what a crash does in `recovery`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use expect_test::expect;
use serde_json::{Value, json};
use trackside_engine::{Reading, SubmitError};
use trackside_model::{
    plugin::EffectClass,
    ports::{FaultKind, HostCalls},
    workflow::{WorkflowStatus, WorkflowView},
};

use crate::support::*;

/// Answers with its parameters.
pub(crate) fn echo() -> Scripted {
    Scripted::worker("echo", &["sim/echo"], |task| async move { result(&task.parameters.to_value()) })
}

/// Never answers.
fn hanging(name: &str) -> Scripted {
    Scripted::worker(name, &["sim/hang"], |_| std::future::pending())
}

fn result_of(view: &WorkflowView, id: &str) -> Value {
    let task = view.tasks.iter().find(|task| &*task.id == id).expect("a task");
    task.result.as_ref().map_or(Value::Null, trackside_model::json::Json::to_value)
}

#[test]
fn results_go_where_references_say() {
    let host = Host::with([echo()]);
    let definition = r#"
name: chain
tasks:
  - {id: a, method: sim/echo, parameters: {items: [10, {x: y}], who: "${workflow.input.who}"}}
  - {id: b, method: sim/echo, parameters: {whole: "${a}", one: "${a.items[1].x}", text: "for ${a.who}: ${a.items}"}}
  - {id: c, method: sim/echo, parameters: {v: "${task_b_result}", literal: "$${a}"}}
"#;
    let answer = host.try_submit(definition, &json!({"who": "Ada"})).unwrap();
    let view = host.ended(&answer.workflow_id.unwrap());
    assert_eq!(view.status, WorkflowStatus::Completed);
    let b = json!({"whole": {"items": [10, {"x": "y"}], "who": "Ada"}, "one": "y", "text": "for Ada: [10,{\"x\":\"y\"}]"});
    assert_eq!(result_of(&view, "c"), json!({"v": b, "literal": "${a}"}));
}

#[test]
fn a_fan_waits_for_all_its_blades() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, high) = (running.clone(), most.clone());
    let blades = Scripted::worker("mill", &["mill/grind"], move |task| {
        let (now, high) = (now.clone(), high.clone());
        async move {
            high.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(Duration::from_millis(3)).await;
            now.fetch_sub(1, SeqCst);
            result(&task.parameters.to_value()["n"])
        }
    });
    let host = Host::with([blades.with(|info| info.workers = 3), echo()]);
    let mut definition = "name: fan\ntasks:\n  - {id: begin, method: sim/echo}\n".to_owned();
    for n in 0..30 {
        definition.push_str(&format!("  - {{id: t{n}, method: mill/grind, dependencies: [begin], parameters: {{n: {n}}}}}\n"));
    }
    let all: Vec<String> = (0..30).map(|n| format!("\"${{t{n}}}\"")).collect();
    definition.push_str(&format!("  - {{id: join, method: sim/echo, parameters: {{all: [{}]}}}}\n", all.join(", ")));
    let view = host.ended(&host.submit(&definition));
    assert_eq!(result_of(&view, "join"), json!({"all": (0..30).collect::<Vec<_>>()}));
    assert_eq!(most.load(SeqCst), 3, "as many at a time as it takes, and no more");
}

#[test]
fn two_workflows_share_their_workers() {
    let host = Host::with([echo().with(|info| info.workers = 1)]);
    let definition = "name: w\ntasks:\n  - {id: a, method: sim/echo}\n  - {id: b, method: sim/echo, dependencies: [a]}\n";
    let workflows: Vec<String> = (0..20).map(|_| host.submit(definition)).collect();
    for workflow in &workflows {
        assert_eq!(host.ended(workflow).status, WorkflowStatus::Completed);
    }
    assert_eq!(host.count("task:completed"), 40);
    assert_eq!(host.engine().stats().workflows_ended, 20);
}

#[test]
fn a_wait_is_told_the_end_and_nothing_less() {
    let host = Host::with([echo().with(|info| info.effect_class = EffectClass::Pure)]);
    for _ in 0..200 {
        let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/echo}]\n");
        assert_eq!(host.ended(&workflow).status, WorkflowStatus::Completed);
    }
    assert!(host.run(host.engine().wait("nobody")).unwrap().is_none());
}

#[test]
fn a_task_is_tried_as_often_as_its_policy_says() {
    let attempts = Seen::default();
    let seen = attempts.clone();
    let flaky = Scripted::worker("flaky", &["sim/flaky"], move |task| {
        seen.note(format!("{} {}", task.attempt, task.idempotency_key.rsplit('/').next().unwrap()));
        let fail_first = task.parameters.to_value()["fail_first"].as_u64().unwrap();
        async move { if u64::from(task.attempt) <= fail_first { failed("not yet", true) } else { result(&json!("at last")) } }
    });
    let host = Host::with([flaky]);
    let definition = |fail_first: u32| {
        format!(
            "name: w\ntasks: [{{id: a, method: sim/flaky, parameters: {{fail_first: {fail_first}}}, retry: {{max_attempts: 3, base_delay: 2ms, factor: 3, jitter: false}}}}]\n"
        )
    };
    let workflow = host.submit(&definition(2));
    assert_eq!(host.ended(&workflow).status, WorkflowStatus::Completed);
    assert_eq!(attempts.all(), ["1 1", "2 2", "3 3"]);
    expect![[r#"
        ["workflow:submit", "workflow:submitted", "workflow:started", "task:started a @flaky", "task:failed a @flaky", "task:retry_scheduled a", "task:started a @flaky", "task:failed a @flaky", "task:retry_scheduled a", "task:started a @flaky", "task:completed a @flaky", "workflow:completed"]"#]]
    .assert_eq(&format!("{:?}", host.facts(&workflow)));
    let delays: Vec<Value> =
        host.of_type("task:retry_scheduled").iter().map(|event| event.payload.to_value()["delay_ms"].clone()).collect();
    assert_eq!(delays, [2, 6]);
    let view = host.ended(&host.submit(&definition(3)));
    assert_eq!((view.status, view.reason.as_deref()), (WorkflowStatus::Failed, Some("task 'a' failed: not yet")));
    assert_eq!(view.tasks[0].attempts, 3);
}

#[test]
fn failures_that_no_attempt_changes_end_at_once_and_faults_may_be_tried_again() {
    let cases: [(fn() -> Run, u32, &str); 4] = [
        (|| failed("never", false), 1, "never"),
        (|| failed("perhaps", true), 3, "perhaps"),
        (|| fault(FaultKind::Trap), 3, "a scripted trap"),
        (|| fault(FaultKind::Malformed), 3, "a scripted malformed"),
    ];
    for (outcome, attempts, message) in cases {
        let host = Host::with([Scripted::worker("w", &["sim/fail"], move |_| async move { outcome() })]);
        let view = host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/fail, retry: {max_attempts: 3, base_delay: 0ms}}]\n"));
        assert_eq!((view.status, view.tasks[0].attempts), (WorkflowStatus::Failed, attempts), "{message}");
        assert_eq!(view.tasks[0].error.as_ref().unwrap().message, message);
    }
}

#[test]
fn a_failure_ends_its_workflow_and_calls_the_rest_back() {
    let failing = Scripted::worker("failing", &["sim/fail"], |_| async { failed("no", false) });
    let host = Host::with([failing, hanging("hanging")]);
    let definition = "name: w\ntasks:\n  - {id: slow, method: sim/hang, priority: urgent}\n  - {id: bad, method: sim/fail}\n  - {id: next, method: sim/hang, dependencies: [bad]}\n";
    let view = host.ended(&host.submit(definition));
    assert_eq!((view.status, view.reason.as_deref()), (WorkflowStatus::Failed, Some("task 'bad' failed: no")));
    let statuses: Vec<String> = view.tasks.iter().map(|task| format!("{:?}", task.status)).collect();
    assert_eq!(statuses, ["Cancelled", "Failed", "Cancelled"]);
    // The place of what was called back is free again.
    let workflows: Vec<String> = (0..6).map(|_| host.submit(definition)).collect();
    for workflow in workflows {
        assert_eq!(host.ended(&workflow).status, WorkflowStatus::Failed);
    }
}

#[test]
fn an_attempt_has_its_time_and_a_workflow_too() {
    let host = Host::with([hanging("hanging"), echo()]);
    let attempts = host.submit("name: w\ntasks: [{id: a, method: sim/hang, timeout: 20ms, retry: {max_attempts: 2, base_delay: 0ms}}]\n");
    let view = host.ended(&attempts);
    assert_eq!((view.status, view.tasks[0].attempts), (WorkflowStatus::Failed, 2));
    let error = view.tasks[0].error.clone().unwrap();
    assert_eq!((error.code.as_deref(), error.message.as_str()), (Some("timeout"), "no answer within the attempt's 20 ms"));
    let whole = host.submit("name: w\ntimeout: 30ms\ntasks:\n  - {id: a, method: sim/hang}\n  - {id: b, method: sim/echo}\n");
    let view = host.ended(&whole);
    assert_eq!((view.status, view.reason.as_deref()), (WorkflowStatus::TimedOut, Some("not done within its 30 ms")));
    assert_eq!(host.facts(&whole).last().map(String::as_str), Some("workflow:timeout"));
    let story = host.story(&attempts);
    assert_eq!(story.matches("task:timeout a @hanging\n").count(), 2, "{story}");
}

#[test]
fn a_worker_is_told_that_its_attempt_is_cancelled_and_then_cut() {
    struct Cut(Seen);
    impl Drop for Cut {
        fn drop(&mut self) {
            self.0.note("cut");
        }
    }
    let seen = Seen::default();
    let noted = seen.clone();
    let host = Host::serving(move |World { side, .. }| {
        let side = side.clone();
        let deaf = noted.clone();
        vec![
            Scripted::worker("polite", &["sim/polite"], move |task| {
                let (side, noted) = (side.clone(), noted.clone());
                async move {
                    noted.note("polite begins");
                    while !side.cancelled(&task) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    noted.note("polite is told");
                    fault(FaultKind::Cancelled)
                }
            }),
            Scripted::worker("deaf", &["sim/deaf"], move |_| {
                let cut = Cut(deaf.clone());
                deaf.note("deaf begins");
                async move {
                    let _cut = cut;
                    std::future::pending().await
                }
            }),
        ]
    });
    for (method, begins, ends) in [("sim/polite", "polite begins", "polite is told"), ("sim/deaf", "deaf begins", "cut")] {
        let workflow = host.submit(&format!("name: w\ntasks: [{{id: a, method: {method}}}]\n"));
        host.until("it has begun", |_| seen.all().iter().any(|line| line == begins));
        let answer = host.run(host.engine().cancel(&workflow, "changed my mind".to_owned(), caller()));
        assert_eq!(told(&answer), "appended");
        let view = host.ended(&workflow);
        assert_eq!((view.status, view.reason.as_deref()), (WorkflowStatus::Cancelled, Some("changed my mind")));
        host.until("it has ended", |_| seen.all().iter().any(|line| line == ends));
        assert_eq!(
            host.facts(&workflow)[3..],
            ["task:started a @".to_owned() + &method[4..], "workflow:cancel".to_owned(), "workflow:cancelled".to_owned()]
        );
    }
    host.until("nobody is at work", |host| host.engine().plugins().iter().all(|plugin| plugin.faults == 0));
    assert_eq!(host.count("plugin:fault"), 0, "a cancelled call says nothing of the plugin");
}

#[test]
fn everything_wrong_with_a_submission_is_told_at_once() {
    let host = Host::with([echo()]);
    let definition = "name: w\ntasks:\n  - {id: a, method: sim/ecko}\n  - {id: b, method: nobody/knows}\n  - {id: c, method: sim/echo}\n";
    let Err(SubmitError::Definition(errors)) = host.try_submit(definition, &json!({})) else { panic!("refused") };
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    expect![[r#"
        line 3: tasks[0].method: no provider offers 'sim/ecko'; did you mean 'sim/echo'?
        line 4: tasks[1].method: no provider offers 'nobody/knows'; offered are sim/echo"#]]
    .assert_eq(&errors.join("\n"));
    let cyclic = "name: w\ntasks:\n  - {id: a, method: sim/echo, dependencies: [b, nobody]}\n  - {id: b, method: sim/echo, dependencies: [a]}\n  - {id: b, method: sim/echo}\n";
    let Err(SubmitError::Definition(errors)) = host.try_submit(cyclic, &json!({})) else { panic!("refused") };
    assert!(errors.len() >= 2, "{errors:?}");
    assert_eq!(host.types(), Vec::<String>::new(), "and the log is told nothing");
}

#[test]
fn a_provider_that_is_gone_is_waited_for() {
    let host = Host::with([echo()]);
    assert!(host.run(async { host.engine().remove("echo", "maintenance") }));
    assert!(matches!(host.try_submit("name: w\ntasks: [{id: a, method: sim/echo}]\n", &json!({})), Err(SubmitError::Definition(_))));
    let workflow = host.submit("name: w\nwait_for_provider: true\ntasks: [{id: a, method: sim/echo}]\n");
    let view = host.run(host.engine().workflow(&workflow)).unwrap().unwrap();
    assert_eq!(view.tasks[0].waits_for.as_deref(), Some("a free worker that offers sim/echo"));
    host.install(echo());
    assert_eq!(host.ended(&workflow).status, WorkflowStatus::Completed);
    let about: Vec<String> = host
        .events()
        .iter()
        .map(|event| event.event_type.to_string())
        .filter(|event_type| event_type.contains("unloaded") || event_type.contains("unavailable"))
        .collect();
    assert_eq!(about, ["plugin:unloaded", "method:unavailable"]);
}

#[test]
fn what_runs_on_a_provider_that_goes_ends_there() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let slow = Scripted::worker("slow", &["sim/slow"], move |_| {
        let mut gone = gone.clone();
        async move {
            let _ = gone.wait_for(|gone| *gone).await;
            result(&json!("old version"))
        }
    });
    let host = Host::with([slow]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/slow}]\n");
    host.until_told("task:started", 1);
    host.install(Scripted::worker("slow", &["sim/slow"], |_| async { result(&json!("new version")) }));
    go.send(true).unwrap();
    assert_eq!(result_of(&host.ended(&workflow), "a"), "old version");
    assert_eq!(result_of(&host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/slow}]\n")), "a"), "new version");
}

#[test]
fn a_worker_that_reports_progress_is_heard() {
    let host = Host::serving(|World { side, .. }| {
        let side = side.clone();
        vec![Scripted::worker("talker", &["sim/talk"], move |task| {
            let side = side.clone();
            async move {
                for part in 0..100 {
                    side.progress(&task, Some(f64::from(part) / 100.0), Some(trackside_model::json::Json::from_value(&part)));
                }
                result(&json!("done"))
            }
        })]
    });
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/talk}]\n");
    host.ended(&workflow);
    host.until("all parts are told", |host| chunks(host).len() == 100);
    assert_eq!(chunks(&host), (0..100).collect::<Vec<i64>>());
    assert!(host.count("task:progress") < 20, "coalesced, not one by one");
    assert!(
        host.of_type("task:progress")
            .iter()
            .all(|event| event.workflow_id.as_deref() == Some(&workflow) && event.task_id.as_deref() == Some("a"))
    );
}

fn chunks(host: &Host) -> Vec<i64> {
    let events = host.of_type("task:progress");
    events
        .iter()
        .flat_map(|event| event.payload.to_value()["chunks"].as_array().unwrap().clone())
        .filter_map(|chunk| chunk.as_i64())
        .collect()
}

#[test]
fn an_effectful_worker_is_called_only_when_its_start_is_durable() {
    let seen = Seen::default();
    let noted = seen.clone();
    let host = Host::serving(|World { store, .. }| {
        let store = store.clone();
        let outside = Scripted::worker("outside", &["sim/act"], move |task| {
            let started = task.cause.parse().expect("an event's id");
            let durable = store.event_by_id(&started).expect("reads").is_some();
            noted.note(format!("{durable}"));
            async { result(&json!(null)) }
        });
        vec![outside.with(|info| info.effect_class = EffectClass::Effectful), echo().with(|info| info.effect_class = EffectClass::Pure)]
    });
    let mut definition = "name: w\ntasks:\n  - {id: e, method: sim/echo}\n".to_owned();
    for n in 0..20 {
        definition.push_str(&format!("  - {{id: a{n}, method: sim/act, dependencies: [e]}}\n"));
    }
    host.ended(&host.submit(&definition));
    assert_eq!(seen.all(), vec!["true"; 20]);
}

#[test]
fn a_worker_counts_in_its_kv_space_without_losing_anything() {
    let host = Host::serving(|World { side, .. }| {
        let side = side.clone();
        vec![
            Scripted::worker("teller", &["sim/count"], move |_| {
                let side = side.clone();
                async move {
                    let read = side.kv_get("teller", "n").expect("reads");
                    let n: u64 = read.value.as_deref().map_or(0, |value| std::str::from_utf8(value).unwrap().parse().unwrap());
                    // Both have read before either is back.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    result(&json!(n + 1)).setting("n", &(n + 1).to_string(), &read)
                }
            })
            .with(|info| info.workers = 2),
        ]
    });
    host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/count}, {id: b, method: sim/count}]\n"));
    assert_eq!(host.kv("teller", "n").as_deref(), Some("2"));
}

#[test]
fn a_probe_that_is_cut_does_not_leave_its_provider_out_for_ever() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let ill = Scripted::worker("ill", &["sim/ill"], move |_| {
        let call = count.fetch_add(1, SeqCst);
        async move {
            match call {
                0 | 1 => fault(FaultKind::Deadline),
                2 => std::future::pending().await,
                _ => result(&json!("well")),
            }
        }
    });
    let host = Host::with([ill.backing_off(30)]);
    let definition = "name: w\ntasks: [{id: a, method: sim/ill, timeout: 50ms, retry: {max_attempts: 2, base_delay: 0ms}}]\n";
    assert_eq!(host.ended(&host.submit(definition)).status, WorkflowStatus::Failed);
    assert_eq!(host.count("plugin:quarantined"), 1);
    let probed = host.submit("name: w\ntasks: [{id: a, method: sim/ill, timeout: 50ms}]\n");
    assert_eq!(host.ended(&probed).status, WorkflowStatus::Failed);
    let well = host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/ill}]\n"));
    assert_eq!(well.status, WorkflowStatus::Completed);
}

#[test]
fn subscribers_see_the_log_in_order_and_from_where_they_were() {
    let host = Host::with([echo()]);
    let mut reading = host.engine().subscribe(Reading { narration: true, ..Reading::default() });
    host.ended(&host.submit("name: w\ntasks: [{id: a, method: sim/echo}]\n"));
    let seen: Vec<_> = host.run(async {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|event: &std::sync::Arc<trackside_model::event::Event>| &*event.event_type != "workflow:completed") {
            seen.extend(reading.events().await.expect("reads"));
        }
        seen
    });
    assert!(seen.is_sorted_by(|one, other| one.position() < other.position()));
    let half = seen[seen.len() / 2].position();
    let mut again = host.engine().subscribe(Reading { after: half, narration: true, ..Reading::default() });
    let rest = host.run(async {
        let mut rest = Vec::new();
        while rest.len() < seen.len() - seen.len() / 2 - 1 {
            rest.extend(again.events().await.expect("reads"));
        }
        rest
    });
    assert_eq!(rest, seen[seen.len() / 2 + 1..]);
}
