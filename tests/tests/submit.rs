//! Workflows, from the file that a person wrote to the result: submitted, run, retried, waited for, listed, shown, cancelled.
//! What is wrong in a definition is `bad_input`'s; what a crash does to a workflow is `crash`'s.

use trackside_test_guests as guests;
use trackside_tests::{Site, Value, eventually, json};

const DIAMOND: &str = r#"
name: diamond
tasks:
  - id: start
    method: sim/echo
    parameters: {items: [1, 2.5, "drei"], who: "${workflow.input.who}"}
  - id: left
    method: sim/echo
    parameters: {first: "${start.items[0]}"}
  - id: right
    method: sim/sleep
    dependencies: [start]
    parameters: {ms: 5}
  - id: join
    method: sim/echo
    parameters:
      whole: "${task_start_result}"
      text: "for ${start.who}: ${left} after ${right.slept_ms} ms, $${kept}"
"#;

fn task<'a>(view: &'a Value, id: &str) -> &'a Value {
    let found = view["tasks"].as_array().and_then(|tasks| tasks.iter().find(|task| task["id"] == id));
    found.unwrap_or_else(|| panic!("no task {id}: {view}"))
}

fn sim() -> Site {
    let site = Site::new();
    site.shipped(&["sim"]);
    site
}

#[test]
fn an_event_starts_a_workflow_by_a_trigger() {
    let site = Site::new();
    site.plugin("reactor", guests::build().bytes("reactor"), "[grants]\npublish = ['workflow:submit']\n");
    site.plugin("neighbour", guests::build().bytes("neighbour"), "");
    let host = site.start();
    let publish = |event_type: &str, number: i64| {
        host.publish(&json!({"event_type": event_type, "source_component": "test", "payload": {"number": number}})).expect(201)
    };
    let started = |name: &str| {
        let submitted = host.wait_for("type=workflow:submitted", |event| event["payload"]["name"] == name);
        host.ended(submitted["workflow_id"].as_str().unwrap_or_default())
    };
    publish("case:came", 0);
    publish("case:came", 7);
    let view = started("reactor/each by reactor");
    assert_eq!((&view["status"], &task(&view, "run")["result"]["event"]["payload"]["number"]), (&json!("completed"), &json!(7)), "{view}");
    for number in 1..=5 {
        publish("case:noise", number);
    }
    let burst = task(&started("reactor/burst by reactor"), "run")["result"].clone();
    let numbers: Vec<i64> =
        burst["events"].as_array().into_iter().flatten().filter_map(|event| event["payload"]["number"].as_i64()).collect();
    assert_eq!((numbers, &burst["passed_over"]), (vec![3, 4, 5], &json!(2)), "{burst}");
    // Another plugin's method, once in an hour: at the first, and at those that were read together with it.
    let echoed = task(&started("neighbour/echo by reactor"), "run")["result"].clone();
    assert_eq!(echoed["event"]["payload"]["number"].as_i64(), echoed["passed_over"].as_i64().map(|over| over + 1), "{echoed}");
    // The filter's condition holds for one of two, and each burst is one start.
    assert_eq!(host.events("type=workflow:submitted").len(), 3);
}

#[test]
fn a_file_is_submitted_waited_for_and_shown() {
    let site = sim();
    let host = site.start();
    let file = site.file("diamond.yaml", DIAMOND).to_string_lossy().into_owned();
    let ended = host.cli(&["submit", &file, "--input", r#"{"who": "Ada"}"#, "--wait", "--json"]).json();
    assert_eq!((&ended["status"], &ended["name"]), (&json!("completed"), &json!("diamond")));
    let joined = json!({
        "whole": {"items": [1, 2.5, "drei"], "who": "Ada"},
        "text": r#"for Ada: {"first":1} after 5 ms, ${kept}"#,
    });
    assert_eq!(task(&ended, "join")["result"], joined);
    assert_eq!(task(&ended, "join")["dependencies"].as_array().map(Vec::len), Some(3), "references imply dependencies: {ended}");

    let id = ended["workflow_id"].as_str().expect("an id");
    let shown = host.cli(&["workflow", "show", id]).ok();
    for expected in ["diamond", "completed", "wave 1", "wave 3", "sim/sleep", "@sim"] {
        assert!(shown.contains(expected), "{expected} is missing in\n{shown}");
    }
    assert_eq!(host.cli(&["workflow", "show", id, "--json"]).json(), ended);
    // The same from the directory alone.
    assert_eq!(host.stop(), 0);
    assert_eq!(site.read(["workflow", "show", id, "--json"]).json(), ended);
    assert_eq!(site.read(["workflow", "list", "--json"]).json_lines()[0]["workflow_id"], id);
}

#[test]
fn yaml_and_json_by_every_edge_mean_the_same() {
    let site = sim();
    let host = site.start();
    let yaml = "name: same\ntasks:\n  - {id: a, method: sim/echo, parameters: {n: \"${workflow.input.n}\"}}\n";
    let definition = json!({"name": "same", "tasks": [{"id": "a", "method": "sim/echo", "parameters": {"n": "${workflow.input.n}"}}]});
    let typed = |media: &str, path: &str, body: String| host.send("POST", path, &[("Content-Type", media)], body).expect(201);
    let answers = [
        typed("application/yaml", "/v1/workflows?input=%7B%22n%22%3A7%7D", yaml.to_owned()),
        typed("application/json", "/v1/workflows?input=%7B%22n%22%3A7%7D", definition.to_string()),
        typed("application/json", "/v1/workflows", json!({"definition": definition, "input": {"n": 7}}).to_string()),
        typed("application/json", "/v1/workflows", json!({"definition": yaml, "format": "yaml", "input": {"n": 7}}).to_string()),
        // A command is an event too.
        host.publish(
            &json!({"event_type": "workflow:submit", "source_component": "shop", "payload": {"definition": definition, "input": {"n": 7}}}),
        )
        .expect(201),
    ];
    let mut ids: Vec<String> = answers.iter().map(|answer| answer["workflow_id"].as_str().expect("an id").to_owned()).collect();
    for (name, text) in [("same.yaml", yaml.to_owned()), ("same.json", definition.to_string()), ("same.txt", yaml.to_owned())] {
        let file = site.file(name, text).to_string_lossy().into_owned();
        ids.push(host.cli(&["submit", &file, "--input", r#"{"n": 7}"#]).ok().trim().to_owned());
    }
    for id in &ids {
        let ended = host.ended(id);
        assert_eq!((&ended["status"], &task(&ended, "a")["result"]), (&json!("completed"), &json!({"n": 7})), "{ended}");
    }
    let location =
        host.send("POST", "/v1/workflows", &[("Content-Type", "application/yaml")], "name: x\ntasks: [{id: a, method: sim/echo}]");
    assert_eq!(
        location.header("location").map(str::to_owned),
        location.json()["workflow_id"].as_str().map(|id| format!("/v1/workflows/{id}"))
    );
}

#[test]
fn the_exit_code_says_whether_it_completed() {
    let site = sim();
    let host = site.start();
    let good = site.file("good.yaml", "name: good\ntasks: [{id: a, method: sim/echo}]").to_string_lossy().into_owned();
    let bad = site
        .file("bad.yaml", "name: bad\ntasks: [{id: a, method: sim/fail, parameters: {message: 'no luck'}}]")
        .to_string_lossy()
        .into_owned();
    let ran = host.cli(&["submit", &good, "--wait"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("completed"), "{ran}");
    let ran = host.cli(&["submit", &bad, "--wait"]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stdout.contains("no luck"), "{ran}");
    let ran = host.cli(&["submit", &bad, "--wait", "--json"]);
    assert_eq!(ran.code, 1, "{ran}");
    let view: Value = serde_json::from_str(&ran.stdout).expect("JSON all the same");
    assert_eq!((&view["status"], &task(&view, "a")["error"]["message"]), (&json!("failed"), &json!("no luck")));
    let ran = host.cli(&["submit", &bad]);
    assert_eq!(ran.code, 0, "without --wait it was only handed over: {ran}");
}

#[test]
fn retry_policy_brings_a_flaky_task_home() {
    let site = sim();
    site.shipped(&["retry-policy"]);
    let host = site.start();
    let definition = "name: flaky\ntasks:\n  - {id: f, method: sim/flaky, parameters: {fail_first: 2, result: home}}\n";
    let id = host.submit(definition);
    let ended = host.ended(&id);
    assert_eq!(
        (&ended["status"], &task(&ended, "f")["result"], &task(&ended, "f")["attempts"]),
        (&json!("completed"), &json!("home"), &json!(3))
    );
    let retries = host.events(&format!("workflow_id={id}&type=task:retry_scheduled"));
    assert_eq!(retries.len(), 2);
    for (retry, attempt) in retries.iter().zip(2..) {
        assert_eq!((&retry["payload"]["by"], &retry["payload"]["attempt"]), (&json!("retry-policy"), &json!(attempt)), "{retry}");
    }
    // Without the policy the task's own, which is one attempt, decides.
    std::fs::remove_file(site.plugins().join("retry-policy.wasm")).expect("a file can be removed");
    host.reload("retry-policy").expect(200);
    assert_eq!(host.finish(definition)["status"], "failed");
    // And with one of its own it needs no plugin.
    let own = "name: own\ntasks:\n  - {id: f, method: sim/flaky, parameters: {fail_first: 2, result: home}, retry: {attempts: 3, initial_delay: 0.01}}\n";
    let ended = host.finish(own);
    assert_eq!((&ended["status"], &task(&ended, "f")["attempts"]), (&json!("completed"), &json!(3)));
}

#[test]
fn what_runs_can_be_listed_and_cancelled() {
    let site = sim();
    let host = site.start();
    let long = "name: long\ntasks:\n  - {id: wait, method: sim/sleep, parameters: {ms: 50000}}\n  - {id: after, method: sim/echo, dependencies: [wait]}\n";
    let id = host.submit(long);
    eventually("the task's start", || {
        (task(&host.get(&format!("/v1/workflows/{id}")).expect(200), "wait")["status"] == "running").then_some(())
    });
    let running = host.cli(&["workflow", "list", "--status", "running", "--json"]).json_lines();
    assert_eq!(running.iter().filter_map(|row| row["workflow_id"].as_str()).collect::<Vec<_>>(), [id.as_str()]);
    assert!(host.cli(&["workflow", "list"]).ok().contains(&id));

    let said = host.cli(&["workflow", "cancel", &id, "--reason", "changed my mind"]).ok();
    assert!(said.starts_with("cancelled"), "{said}");
    let ended = host.ended(&id);
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("cancelled"), &json!("changed my mind")), "{ended}");
    assert_eq!(task(&ended, "after")["status"], "cancelled");
    assert!(host.get("/v1/workflows?status=running").expect(200)["workflows"].as_array().is_some_and(Vec::is_empty));
    // Once more changes nothing, and says so.
    let answer = host.post(&format!("/v1/workflows/{id}/cancel"), &json!({}));
    assert!((400..500).contains(&answer.status), "{answer}");
    assert_eq!(host.ended(&id), ended);
}

#[test]
fn timeouts_end_what_takes_too_long() {
    let site = sim();
    let host = site.start();
    let view = host.finish("name: t\ntasks:\n  - {id: slow, method: sim/sleep, parameters: {ms: 50000}, timeout: 0.1}\n");
    assert_eq!((&view["status"], &task(&view, "slow")["error"]["code"]), (&json!("failed"), &json!("timeout")), "{view}");
    let view = host.finish("name: w\ntimeout: 0.1\ntasks:\n  - {id: slow, method: sim/sleep, parameters: {ms: 50000}}\n");
    assert_eq!(view["status"], "timed_out", "{view}");
}

#[test]
fn each_signal_does_its_work_at_each_point_of_a_workflow() {
    let site = sim();
    let host = site.start();
    let definition = "name: steered\ntasks:\n  - {id: a, method: sim/echo, parameters: {n: 1}}\n  - {id: b, method: sim/echo, parameters: {of_a: '${a}'}}\n";
    // settings of `steer`, the workflow's status, a's status and result, b's result
    let cases = [
        ("signal = 'fail'\npoints = ['workflow-submitted']", "failed", None, None),
        ("signal = 'skip'\npoints = ['workflow-submitted']", "skipped", None, None),
        ("signal = 'fallback'\npoints = ['workflow-submitted']\nvalue = 'instead'", "completed", None, None),
        (
            "signal = 'skip'\npoints = ['task-ready']\ntasks = ['a']",
            "completed",
            Some(("skipped", json!(null))),
            Some(json!({"of_a": null})),
        ),
        ("signal = 'fail'\npoints = ['task-ready']\ntasks = ['a']", "failed", Some(("failed", json!(null))), None),
        (
            "signal = 'fallback'\npoints = ['task-ready']\ntasks = ['a']\nvalue = 'instead'",
            "completed",
            Some(("completed", json!("instead"))),
            Some(json!({"of_a": "instead"})),
        ),
        (
            "signal = 'amend'\npoints = ['task-ready']\ntasks = ['a']\nvalue = {n = 2}",
            "completed",
            Some(("completed", json!({"n": 2}))),
            Some(json!({"of_a": {"n": 2}})),
        ),
        (
            "signal = 'amend'\npoints = ['task-completed']\ntasks = ['a']\nvalue = 'other'",
            "completed",
            Some(("completed", json!("other"))),
            Some(json!({"of_a": "other"})),
        ),
        (
            "signal = 'skip'\npoints = ['task-completed']\ntasks = ['a']",
            "completed",
            Some(("completed", json!(null))),
            Some(json!({"of_a": null})),
        ),
        (
            "signal = 'retry'\npoints = ['task-completed']\ntasks = ['a']\nbelow_attempt = 2\nafter_ms = 1",
            "completed",
            Some(("completed", json!({"n": 1}))),
            Some(json!({"of_a": {"n": 1}})),
        ),
    ];
    for (settings, status, a, b) in cases {
        site.plugin("steer", guests::build().bytes("steer"), &format!("[settings]\n{settings}\n"));
        host.reload("steer").expect(200);
        let view = host.finish(definition);
        assert_eq!(view["status"], status, "{settings}: {view}");
        if let Some((status, result)) = a {
            assert_eq!((&task(&view, "a")["status"], &task(&view, "a")["result"]), (&json!(status), &result), "{settings}: {view}");
        }
        if let Some(result) = b {
            assert_eq!(task(&view, "b")["result"], result, "{settings}: {view}");
        }
        if status == "completed" && settings.contains("workflow-submitted") {
            assert_eq!(view["value"], "instead", "{settings}: {view}");
        }
        if settings.contains("below_attempt") {
            assert_eq!(task(&view, "a")["attempts"], 2, "{settings}: {view}");
        }
    }
}

#[test]
fn a_workers_kv_and_publishes_are_released_with_its_result_or_not_at_all() {
    let site = sim();
    site.plugin("kv-user", guests::build().bytes("kv-user"), "[grants]\nkv = true\n");
    site.plugin("publisher", guests::build().bytes("publisher"), "[grants]\npublish = true\n");
    let host = site.start();
    let run = |then: &str| {
        let parameters = json!({"operations": [{"increment": ["n", 1]}, {"set": ["who", then]}, {"get": "who"}], "then": then});
        let view = host.finish(&format!("name: kv\ntasks:\n  - {{id: k, method: kv-user/run, parameters: {parameters}}}\n"));
        (view["status"].as_str().unwrap_or_default().to_owned(), task(&view, "k")["result"].clone())
    };
    assert_eq!(run("ok"), ("completed".to_owned(), json!([1, null, "ok"])), "a call sees its own writes");
    assert_eq!(run("fail").0, "failed");
    assert_eq!(run("trap").0, "failed");
    assert_eq!(run("ok"), ("completed".to_owned(), json!([2, null, "ok"])), "what failed has left nothing");
    eventually("the number in the log", || (site.kv_number("kv-user", "n") == 2).then_some(()));

    for (then, published) in [("ok", 1), ("fail", 0), ("trap", 0)] {
        let parameters = json!({"drafts": [{"event_type": format!("made:{then}"), "payload": {"a": 1}}], "then": then});
        host.finish(&format!("name: p\ntasks:\n  - {{id: p, method: publisher/publish, parameters: {parameters}}}\n"));
        if published > 0 {
            host.wait_for(&format!("type=made:{then}"), |_| true);
        }
        assert_eq!(host.events(&format!("type=made:{then}")).len(), published, "{then}");
    }
}
