//! Whole stories, narration and all, beside the lifecycles of the systems that this one follows.
//! The facts alone, and what leads to them, are compared elsewhere.

use expect_test::expect;
use serde_json::json;

use crate::{support::*, workflows::echo};

#[test]
fn two_tasks_from_submission_to_end() {
    let host = Host::with([echo()]);
    let workflow = host.submit("name: w\ntasks:\n  - {id: first, method: sim/echo, parameters: {v: 1}}\n  - {id: second, method: sim/echo, parameters: {v: '${first.v}'}}\n");
    host.ended(&workflow);
    expect![[r#"
        workflow:submit
        workflow:submitted
        workflow:state_changed
        task:submitted first
        task:created first
        task:submitted second
        task:created second
        workflow:started
        wave:started
        task:ready first
        queue:task_enqueued first
        task:queued first
        task:available first
        assignment:requested first
        assignment:candidate_found first @echo
        assignment:validated first @echo
        assignment:approved first @echo
        queue:task_dequeued first
        task:claimed first @echo
        task:assigned first @echo
        parameters:resolve_requested first
        parameters:resolved first
        assignment:executed first @echo
        worker:busy first @echo
        task:started first @echo
        worker:idle first @echo
        task:duration first
        task:completed first @echo
        wave:completed
        wave:started
        dependency:satisfied second
        dependent:task:ready second
        task:ready second
        queue:task_enqueued second
        task:queued second
        task:available second
        assignment:requested second
        assignment:candidate_found second @echo
        assignment:validated second @echo
        assignment:approved second @echo
        queue:task_dequeued second
        task:claimed second @echo
        task:assigned second @echo
        parameters:resolve_requested second
        parameters:resolved second
        assignment:executed second @echo
        worker:busy second @echo
        task:started second @echo
        worker:idle second @echo
        task:duration second
        task:completed second @echo
        wave:completed
        workflow:state_changed
        workflow:duration
        workflow:completed
    "#]]
    .assert_eq(&host.story(&workflow));
}

/// The lifecycles that Gleitzeit V3 draws (its sections 1 to 4): in this order, whatever is told in between.
#[test]
fn the_story_holds_the_lifecycles_of_the_reference() {
    let host = Host::with([echo()]);
    let workflow = host.submit("name: w\ntasks:\n  - {id: a, method: sim/echo, parameters: {v: 1}}\n  - {id: b, method: sim/echo, parameters: {v: '${task_a_result}'}}\n");
    host.ended(&workflow);
    let story = host.story(&workflow);
    for lifecycle in [
        "workflow:submit, workflow:submitted, task:created a, task:created b, task:ready a",
        "task:ready a, assignment:candidate_found a, assignment:validated a, assignment:approved a, task:assigned a",
        "task:assigned a, parameters:resolve_requested a, parameters:resolved a, task:started a, task:completed a",
        "task:completed a, dependency:satisfied b, task:ready b, task:assigned b, task:started b, task:completed b, workflow:completed",
        "task:assigned b, parameters:resolve_requested b, parameters:resolved b, task:started b",
    ] {
        in_order(&story, lifecycle);
    }
    let events = host.events();
    let resolved = events
        .iter()
        .flat_map(|event| event.expand().collect::<Vec<_>>())
        .find(|event| &*event.event_type == "parameters:resolved" && event.task_id.as_deref() == Some("b"));
    let audit = resolved.unwrap().payload.to_value()["substitutions"].clone();
    assert_eq!(audit.as_array().map(Vec::len), Some(1), "every substitution is told: {audit}");
}

/// Gleitzeit V4's retry pattern and trace: one correlation from the submission to the end.
#[test]
fn a_retry_is_told_as_the_reference_tells_it() {
    let flaky =
        Scripted::worker(
            "flaky",
            &["sim/flaky"],
            |task| async move { if task.attempt == 1 { failed("no", true) } else { result(&json!(1)) } },
        );
    let host = Host::with([flaky, echo()]);
    let definition = "name: w\ntasks:\n  - {id: one, method: sim/echo}\n  - {id: two, method: sim/flaky, dependencies: [one], retry: {max_attempts: 2, base_delay: 1ms, jitter: false}}\n";
    let workflow = host.submit(definition);
    host.ended(&workflow);
    let story = host.story(&workflow);
    in_order(
        &story,
        "task:failed two, task:retry_scheduled two, task:retry two, task:retry_executed two, task:started two, task:completed two, workflow:completed",
    );
    in_order(
        &story,
        "workflow:submitted, task:started one, task:completed one, task:started two, task:failed two, task:retry_scheduled two",
    );
    let events = host.events();
    let of_it: Vec<_> = events.iter().filter(|event| event.workflow_id.as_deref() == Some(&workflow)).collect();
    assert!(of_it.iter().all(|event| *event.correlation_id == *workflow));
    let ids: Vec<String> = of_it.iter().map(|event| event.event_id.to_string()).collect();
    for event in &of_it[1..] {
        let cause = event.causation_id.as_deref().expect("every fact has its cause");
        let place = ids.iter().position(|id| id == cause).expect("which is in the log");
        assert!(of_it[place].sequence_number < event.sequence_number, "and came before it");
    }
}

/// The sources that Gleitzeit V4's matrix names.
#[test]
fn each_event_comes_from_its_component() {
    let flaky =
        Scripted::worker(
            "flaky",
            &["sim/flaky"],
            |task| async move { if task.attempt == 1 { failed("no", true) } else { result(&json!(1)) } },
        );
    let host = Host::with([flaky]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/flaky, retry: {max_attempts: 2, base_delay: 1ms}}]\n");
    host.ended(&workflow);
    let events: Vec<_> = host.events().iter().flat_map(|event| event.expand().collect::<Vec<_>>()).collect();
    for (event_type, source) in [
        ("workflow:submitted", "execution_engine"),
        ("task:started", "execution_engine"),
        ("task:completed", "execution_engine"),
        ("task:retry", "event_scheduler"),
        ("task:retry_scheduled", "retry_manager"),
        ("task:retry_executed", "retry_manager"),
        ("queue:task_enqueued", "queue_manager"),
        ("dependency:satisfied", "dependency_resolver"),
        ("worker:busy", "provider_worker"),
    ] {
        for event in events.iter().filter(|event| &*event.event_type == event_type) {
            assert_eq!(&*event.source_component, source, "{event_type}");
        }
        assert!(
            event_type.starts_with("dependency") || events.iter().any(|event| &*event.event_type == event_type),
            "{event_type} is told"
        );
    }
}

/// The wanted lines stand in the story in this order.
fn in_order(story: &str, wanted: &str) {
    let mut lines = story.lines();
    for next in wanted.split(", ") {
        let found = lines.any(|line| line == next || line.strip_prefix(next).is_some_and(|rest| rest.starts_with(" @")));
        assert!(found, "'{next}' is missing, or too early, of: {wanted}\n{story}");
    }
}
