//! What an author does without a host: a component is checked, called with an event, a batch or a task, and held to a folder of cases.
//! What the same component does in service is told by the other tests.

use std::{fs, process::Stdio};

use expect_test::{Expect, expect};
use trackside_test_guests as guests;
use trackside_tests::{Ran, Site, Value, json, run};

/// A site with a guest and its settings.
fn with(guest: &str, settings: &str) -> Site {
    let site = Site::new();
    site.plugin(guest, guests::build().bytes(guest), settings);
    site
}

fn call(site: &Site, guest: &str, more: &[&str]) -> Ran {
    let file = format!("plugins/{guest}.wasm");
    site.run([&["plugin", "call", &file], more].concat())
}

/// What is told of a call, without what differs from run to run.
fn lasting(mut told: Value) -> Value {
    let members = told.as_object_mut().expect("a call is told as an object");
    assert!(members.remove("fuel").is_some_and(|fuel| fuel.is_u64()), "a call has its fuel");
    assert!(members.remove("duration_us").is_some_and(|time| time.is_u64()), "a call has its time");
    for publish in members.get_mut("publishes").and_then(Value::as_array_mut).into_iter().flatten() {
        publish.as_object_mut().and_then(|publish| publish.remove("event_id")).expect("a publish has its id");
    }
    told
}

#[test]
fn a_control_handler_is_asked_about_an_event() {
    let site = with("steer", "[settings]\nsignal = 'fallback'\nreason = 'closed'\nvalue = { open = false }\n");
    site.file("e.json", r#"{"event_type": "OrderPlaced", "payload": {"amount": 20}}"#);
    let told = call(&site, "steer", &["--event", "e.json", "--json"]).json();
    assert_eq!(
        lasting(told),
        json!({"role": "control", "point": "publish", "event_type": "order:placed", "signal": "fallback", "reason": "closed", "value": {"open": false}})
    );
    let said = call(&site, "steer", &["--event", "e.json"]).ok();
    assert!(said.starts_with("steer as control, order:placed at publish: fallback with {\"open\":false}: closed\n"), "{said}");
    assert!(said.contains(" fuel\n"), "{said}");
}

#[test]
fn an_answer_that_a_host_would_not_take_is_a_fault_here_too() {
    let site = with("steer", "[settings]\nsignal = 'amend'\nvalue = { replaced = true }\n");
    site.file("e.json", r#"{"event_type": "workflow:submit", "payload": {"definition": "name: x"}}"#);
    let ran = call(&site, "steer", &["--event", "e.json"]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stdout.contains("fault: malformed: malformed answer: nobody may replace what a command says"), "{ran}");
    site.file("e.json", r#"{"event_type": "order:placed"}"#);
    assert_eq!(call(&site, "steer", &["--event", "e.json", "--json"]).json()["value"], json!({"replaced": true}));
}

#[test]
fn an_event_comes_from_standard_input_and_the_point_by_its_type() {
    let site = with("steer", "[settings]\nsignal = 'retry'\nafter_ms = 250\npoints = ['task-failed']\n");
    let event = site.file("e.json", r#"{"event_type": "task:failed", "payload": {"error": {"message": "no"}}}"#);
    let mut command = site.command(["plugin", "call", "plugins/steer.wasm", "--event", "-", "--json", "--attempt", "2"]);
    let told = run(command.stdin(Stdio::from(fs::File::open(event).expect("a file can be opened")))).json();
    assert_eq!((&told["point"], &told["signal"], &told["after_ms"]), (&json!("task_failed"), &json!("retry"), &json!(250)));
    // Elsewhere it proceeds; and an event of another type cannot come there.
    site.file("ready.json", r#"{"event_type": "task:ready"}"#);
    assert_eq!(call(&site, "steer", &["--event", "ready.json", "--json"]).json()["signal"], "proceed");
    let ran = call(&site, "steer", &["--event", "ready.json", "--point", "task-failed"]);
    assert_eq!((ran.code, ran.stderr.contains("asked about task:failed; the event is task:ready")), (1, true), "{ran}");
}

#[test]
fn an_observer_takes_a_batch_and_its_space_is_kept_in_a_file() {
    let site = with("neighbour", "");
    site.file("two.ndjson", "{\"event_type\": \"a:b\"}\n{\"event_type\": \"a:c\"}\n");
    let observe = || call(&site, "neighbour", &["--event", "two.ndjson", "--observe", "--kv", "kv.json", "--json"]).json();
    assert_eq!(
        lasting(observe()),
        json!({"role": "observer", "events": 2, "taken": true, "kv": {"seen": "2"}, "reads": [{"kv": "seen", "bytes": null}]})
    );
    assert_eq!(observe()["kv"], json!({"seen": "4"}));
    let kept: Value = serde_json::from_slice(&fs::read(site.root().join("kv.json")).expect("the space was written")).expect("as JSON");
    assert_eq!(kept, json!({"seen": "4"}));
    // As a control handler it is asked about each, one after the other, over the same space.
    let told = call(&site, "neighbour", &["--event", "two.ndjson", "--kv", "kv.json", "--json"]).json_lines();
    let counts: Vec<&Value> = told.iter().map(|told| &told["kv"]["checked"]).collect();
    assert_eq!(counts, ["1", "2"]);
}

#[test]
fn a_worker_does_a_task() {
    let site = with("kv-user", "");
    site.file("t.json", r#"{"parameters": {"operations": [{"set": ["a", "x"]}, {"get": "a"}, {"get": "b"}]}}"#);
    site.file("space.json", r#"{"b": {"hex": "c3a9"}, "c": "other"}"#);
    let told = call(&site, "kv-user", &["--task", "t.json", "--kv", "space.json", "--json"]).json();
    assert_eq!((&told["method"], &told["kv"]), (&json!("kv-user/run"), &json!({"a": "x"})));
    assert_eq!(told["result"], json!([null, "x", "é"]), "{told}");
    assert_eq!(told["reads"], json!([{"kv": "b", "bytes": 2}]), "its own write needs no look");
    site.file("t.json", r#"{"method": "kv-user/rnu"}"#);
    let ran = call(&site, "kv-user", &["--task", "t.json"]);
    assert!(ran.stderr.contains("kv-user has no method 'kv-user/rnu'; did you mean 'kv-user/run'?"), "{ran}");
    site.file("t.json", r#"{"parameters": {"operations": [{"set": ["a", "y"]}], "then": "fail"}}"#);
    let told = call(&site, "kv-user", &["--task", "t.json", "--json"]).json();
    assert!(told["failure"]["message"].is_string() && told.get("kv").is_none(), "a failure releases nothing: {told}");
}

#[test]
fn a_fault_is_told_by_its_cause_and_ends_with_1() {
    let site = with("spin", "[limits]\ntimeout_ms = 50\n");
    site.file("e.json", r#"{"event_type": "a:b"}"#);
    let ran = call(&site, "spin", &["--event", "e.json", "--json"]);
    assert_eq!(ran.code, 1, "{ran}");
    let told: Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!((&told["fault"]["kind"], &told["fault"]["allowed"]), (&json!("deadline"), &json!(50)), "{told}");
    assert!(told["fault"]["used"].as_u64() >= Some(50), "{told}");
    assert!(told.get("signal").is_none() && ran.stderr.is_empty(), "{ran}");
    let site = with("spin", "[limits]\nfuel = 1_000_000\n");
    site.file("e.json", r#"{"event_type": "a:b"}"#);
    let ran = call(&site, "spin", &["--event", "e.json"]);
    assert!(ran.stdout.contains("fault: fuel: it burnt all of its 1000000 fuel (used 1000000, allowed 1000000)"), "{ran}");
}

#[test]
fn what_it_looks_up_publishes_and_plans_is_told() {
    let site = with("historian", "[grants]\nquery = ['order:*']\npublish = ['order:*']\nschedule = true\n");
    let lines: String = (1..=3).map(|n| format!("{{\"event_type\": \"order:placed\", \"payload\": {{\"n\": {n}}}}}\n")).collect();
    site.file("log/a.ndjson", lines);
    site.file("log/b.ndjson", "{\"event_type\": \"other:thing\"}\n");
    site.file("t.json", r#"{"method": "historian/look", "parameters": {"types": ["order:*"], "limit": 2}}"#);
    let told = call(&site, "historian", &["--task", "t.json", "--log", "log", "--json"]).json();
    assert_eq!(told["result"]["pages"], json!([{"events": [[1, "order:placed"], [2, "order:placed"]], "next": 2}]), "{told}");
    assert_eq!(told["reads"], json!([{"query": ["order:*"], "found": 2}]));
    site.file("t.json", r#"{"method": "historian/plan", "parameters": {"drafts": [{"event_type": "order:late", "after_ms": 60000}]}}"#);
    let told = call(&site, "historian", &["--task", "t.json", "--json"]).json();
    assert_eq!(told["publishes"][0]["event_type"], "order:late", "{told}");
    assert!(told["publishes"][0]["due"].is_string(), "{told}");
    let site = with("historian", "");
    site.file("t.json", r#"{"method": "historian/look"}"#);
    let said = call(&site, "historian", &["--task", "t.json"]).ok();
    assert!(
        said.contains(
            "not granted   looking into the log (events.query); to grant it, write into its settings file: [grants] query = true"
        ),
        "{said}"
    );
}

#[test]
fn a_call_that_cannot_be_made_says_why() {
    let site = with("minimal", "");
    site.file("e.json", r#"{"event_type": "order:placed"}"#);
    site.file("wrong.json", r#"{"event_typ": "order:placed"}"#);
    site.file("bad.toml", "\npriorty = 1\n");
    site.file("t.json", "{}");
    for (arguments, code, says) in [
        (vec!["--event", "wrong.json"], 1, "wrong.json: event_typ: unknown field 'event_typ'; did you mean 'event_type'?"),
        (vec!["--event", "nowhere.json"], 1, "nowhere.json: No such file"),
        (vec!["--event", "e.json", "--observe"], 1, "minimal has no role observer; it has control"),
        (vec!["--task", "t.json"], 1, "minimal has no role worker; it has control"),
        (vec!["--event", "e.json", "--settings", "bad.toml"], 1, "bad.toml: line 2: unknown key 'priorty'; did you mean 'priority'?"),
        (vec!["--event", "e.json", "--point", "nowhere"], 2, "'nowhere' is no decision point"),
        (vec![], 2, "--event"),
    ] {
        let ran = call(&site, "minimal", &arguments);
        assert_eq!((ran.code, ran.stderr.contains(says)), (code, true), "{arguments:?}: {ran}");
    }
    let said = call(&site, "minimal", &["--event", "e.json"]).ok();
    assert!(said.contains("a host would not ask it: its filter does not want this event"), "{said}");
    let ran = site.run(["plugin", "call", "nobody", "--event", "e.json", "--plugins", "plugins"]);
    assert_eq!((ran.code, ran.stderr.contains("there is no component at plugins/nobody.wasm")), (1, true), "{ran}");
}

#[test]
fn a_component_is_checked_with_all_that_would_hold_for_it() {
    let site = with(
        "neighbour",
        "priority = 7\n[controls]\nevent_types = ['order:*']\nmin_severity = 'warning'\n[limits]\nfuel = 5_000_000\n[grants]\nkv = false\n",
    );
    let report = site.run(["plugin", "check", "plugins/neighbour.wasm", "--json"]).json();
    assert_eq!((&report["priority"], &report["limits"]["fuel"], &report["engine"]), (&json!(7), &json!(5_000_000), &json!("pooled")));
    let said = site.run(["plugin", "check", "neighbour", "--plugins", "plugins"]).ok();
    for row in [
        "plugins/neighbour.wasm would load\n",
        "  roles         observer, control, worker\n",
        "  methods       neighbour/echo  Gives its parameters back.\n",
        "  observes      every fact\n",
        "  controls      order:*; of severity warning or higher\n",
        "  priority      7\n",
        "  on fault      proceed\n",
        "  effect class  stateful\n",
        "  engine        pooled: instances from a pool; asynchronous, for its worker\n",
        "fuel = 5000000",
        "table_elements = 20000",
        "    its key-value space   not granted: every call answers not-granted\n",
        "  to grant what it needs of this, write into plugins/neighbour.toml:\n    [grants]\n    kv = true\n",
    ] {
        assert!(said.contains(row), "{row}: {said}");
    }
    let limits = report["limits"].as_object().expect("limits");
    assert!(limits.iter().all(|(name, value)| said.contains(&format!("{name} = {value}"))), "every limit is shown: {said}");
}

#[test]
fn what_a_host_would_refuse_is_refused_in_its_words() {
    let site = Site::new();
    let host = site.start();
    let cases = [
        ("core-module", "", "is a core module, not a component"),
        ("unknown-import", "", "imports `acme:oracle/tomorrow@1.0.0`"),
        ("spin-describe", "", "2000 ms were allowed"),
        ("minimal", "[limits]\ninstances = 1\n", "limits.instances"),
        ("neighbour", "priorty = 1\n", "line 1: unknown key 'priorty'; did you mean 'priority'?"),
    ];
    for (guest, settings, says) in cases {
        site.plugin(guest, guests::build().bytes(guest), settings);
        let file = format!("plugins/{guest}.wasm");
        let ran = site.run(["plugin", "check", &file]);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.contains(says)), (1, "", true), "{ran}");
        let refused = host.reload(guest).expect(422)["reason"].as_str().unwrap_or_default().to_owned();
        let (words, hosts) = (ran.stderr.trim_start_matches("error: ").trim_end(), refused.as_str());
        if guest != "spin-describe" {
            // Its message has the milliseconds that it took.
            assert!(hosts.ends_with(words.trim_start_matches("plugins/")), "'{words}' is not '{hosts}'");
        }
    }
    site.plugin("trap", guests::build().bytes("trap"), "enabled = false\n");
    let ran = site.run(["plugin", "check", "plugins/trap.wasm"]);
    assert_eq!((ran.code, ran.stderr.contains("trap.toml: is turned off")), (1, true), "{ran}");
}

/// Runs the cases of `cases/` and compares what is printed.
fn check(site: &Site, guest: &str, more: &[&str], code: i32, expected: Expect) {
    let file = format!("plugins/{guest}.wasm");
    let ran = site.run([&["plugin", "test", &file, "--events", "cases"], more].concat());
    assert_eq!(ran.code, code, "{ran}");
    expected.assert_eq(&ran.stdout);
}

#[test]
fn cases_hold_or_say_in_what_they_do_not() {
    let site = with("steer", "[settings]\nsignal = 'fail'\nreason = 'the shop is closed'\n");
    site.file(
        "cases/1-closed.json",
        r#"{"event": {"event_type": "order:placed"}, "expect": {"signal": "fail", "reason": "the shop is closed"}}"#,
    );
    site.file(
        "cases/2-other-settings.json",
        r#"{"event": {"event_type": "order:placed"}, "settings": {"signal": "fallback", "value": {"a": 1, "b": 2}}, "expect": {"signal": "fallback", "value": {"a": 1}}}"#,
    );
    site.file(
        "cases/3-each.json",
        r#"{"events": [{"event_type": "a:b"}, {"event_type": "a:c"}], "expect": [{"event_type": "a:b"}, {"event_type": "a:c", "signal": "fail"}]}"#,
    );
    check(
        &site,
        "steer",
        &[],
        0,
        expect![[r#"
        passed  1-closed.json
        passed  2-other-settings.json
        passed  3-each.json

        3 passed, 0 failed
    "#]],
    );
    site.file(
        "cases/1-closed.json",
        r#"{"event": {"event_type": "order:placed"}, "expect": {"signal": "skip", "value": {"a": 1}, "kv": {"x": "1", "y": null}}}"#,
    );
    site.file("cases/2-other-settings.json", r#"{"event": {"event_type": "order:placed"}, "setings": {}}"#);
    site.file("cases/4-open.json", r#"{"event_type": "order:placed"}"#);
    check(
        &site,
        "steer",
        &[],
        1,
        expect![[r#"
        FAILED  1-closed.json
                kv.x: expected "1", was not there
                signal: expected "skip", was "fail"
                value: expected {"a":1}, was not there
        FAILED  2-other-settings.json
                unknown field 'setings'; did you mean 'settings'?
        passed  3-each.json
        FAILED  4-open.json
                nothing is expected: put `expect` into it, or run again with --update

        1 passed, 3 failed
    "#]],
    );
    let lines = site.run(["plugin", "test", "plugins/steer.wasm", "--events", "cases", "--json"]);
    assert_eq!(lines.code, 1, "{lines}");
    let lines: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["differences"][1], json!({"at": "signal", "expected": "skip", "actual": "fail"}));
    assert_eq!(lines[4], json!({"passed": 1, "failed": 3}));
}

#[test]
fn snapshots_are_written_compared_and_hold_nothing_that_passes() {
    let site = with("neighbour", "");
    site.file("cases/recorded.ndjson", "{\"event_type\": \"a:b\", \"timestamp\": \"2026-01-31T10:30:00Z\"}\n{\"event_type\": \"a:c\"}\n");
    site.file("cases/batch.json", r#"{"role": "observer", "events": [{"event_type": "a:b"}, {"event_type": "a:c"}], "kv": {"seen": 40}}"#);
    check(
        &site,
        "neighbour",
        &["--update"],
        0,
        expect![[r#"
        written batch.json
        written recorded.ndjson

        2 passed, 0 failed
    "#]],
    );
    let snapshot = |name: &str| fs::read_to_string(site.root().join("cases").join(name)).expect("it was written");
    expect![[r#"
        {
          "events": 2,
          "kv": {
            "seen": "42"
          },
          "role": "observer",
          "taken": true
        }
    "#]]
    .assert_eq(&snapshot("batch.expected.json"));
    expect![[r#"
        [
          {
            "event_type": "a:b",
            "kv": {
              "checked": "1"
            },
            "point": "publish",
            "role": "control",
            "signal": "proceed"
          },
          {
            "event_type": "a:c",
            "kv": {
              "checked": "2"
            },
            "point": "publish",
            "role": "control",
            "signal": "proceed"
          }
        ]
    "#]]
    .assert_eq(&snapshot("recorded.expected.json"));
    check(
        &site,
        "neighbour",
        &[],
        0,
        expect![[r#"
        passed  batch.json
        passed  recorded.ndjson

        2 passed, 0 failed
    "#]],
    );
    site.file("cases/batch.expected.json", snapshot("batch.expected.json").replace("42", "41"));
    check(
        &site,
        "neighbour",
        &[],
        1,
        expect![[r#"
        FAILED  batch.json
                kv.seen: expected "41", was "42"
        passed  recorded.ndjson

        1 passed, 1 failed
    "#]],
    );
}

#[test]
fn what_its_filter_does_not_want_is_not_asked_about() {
    let site = with("minimal", "");
    site.file("cases/other.json", r#"{"event": {"event_type": "order:placed"}, "expect": {"asked": false}}"#);
    site.file(
        "cases/refused.json",
        r#"{"event": {"event_type": "task:ready", "task_id": "refused"}, "expect": {"signal": "fail", "point": "task_ready"}}"#,
    );
    check(
        &site,
        "minimal",
        &[],
        0,
        expect![[r#"
        passed  other.json
        passed  refused.json

        2 passed, 0 failed
    "#]],
    );
}

#[test]
fn tests_of_nothing_are_wrong_calls() {
    let site = with("minimal", "");
    fs::create_dir(site.root().join("empty")).expect("a directory can be made");
    for (folder, says) in [("empty", "there is no case in empty"), ("nowhere", "--events: nowhere: No such file")] {
        let ran = site.run(["plugin", "test", "plugins/minimal.wasm", "--events", folder]);
        assert_eq!((ran.code, ran.stderr.contains(says)), (2, true), "{ran}");
    }
    site.file("cases/a.json", r#"{"event_type": "a:b"}"#);
    site.plugin("core-module", guests::build().bytes("core-module"), "");
    let ran = site.run(["plugin", "test", "plugins/core-module.wasm", "--events", "cases"]);
    assert_eq!((ran.code, ran.stderr.contains("is a core module, not a component")), (1, true), "{ran}");
}
