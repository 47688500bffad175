//! Each key of `[limits]`, reached: what the guest that reaches it is told or ends in, and that the log names what was allowed.
//! In which roles each fault comes is `roles`'.

use std::collections::BTreeSet;

use trackside_test_guests as guests;
use trackside_tests::{Value, eventually, json};

use crate::stage::{Case, Stage, case, extra};

/// A key of `[limits]`, and a scene in which it is reached.
type Scene = (&'static str, fn(&mut Stage));

const SCENES: [Scene; 13] = [
    ("timeout_ms", |stage| faults(stage, &case("spin", "[limits]\ntimeout_ms = 30", "deadline", 30, "30 ms were allowed"))),
    ("fuel", |stage| faults(stage, &case("spin", "[limits]\nfuel = 12_345", "fuel", 12_345, "12345 fuel"))),
    ("memory_bytes", |stage| {
        faults(stage, &case("memory-bomb", "[limits]\nmemory_bytes = 8_000_000", "memory", 8_000_000, "memory_bytes allows 8000000"));
    }),
    ("table_elements", |stage| {
        faults(stage, &case("table-bomb", "[limits]\ntable_elements = 5_000", "tables", 5_000, "table_elements allows 5000"));
    }),
    ("stack_bytes", |stage| faults(stage, &case("recurse", "", "stack", 524_288, "524288 bytes of stack"))),
    ("argument_bytes", |stage| {
        faults(stage, &case("trap", "[limits]\nargument_bytes = 20", "bytes", 20, "argument_bytes allows 20"));
    }),
    ("result_bytes", |stage| {
        faults(stage, &case("giant-result", "[limits]\nresult_bytes = 100_000", "bytes", 100_000, "result_bytes"));
        one_byte_more(stage);
    }),
    ("instances", |stage| {
        stage.site.plugin("minimal", guests::build().bytes("minimal"), "[limits]\ninstances = 1\n");
        let problem = stage.host.reload("minimal").expect(422);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("limits.instances")), "{problem}");
    }),
    ("log_bytes", |stage| {
        let flood = extra("log-flood", "[limits]\nlog_bytes = 10_000\n[settings]\nlines = 10_000");
        stage.enter(&flood, "control");
        stage.publish();
        let told = stage.host.wait_for("type=error:raised", |event| event["provider_id"] == "log-flood");
        let error = &told["payload"]["error"];
        assert_eq!((&error["limit"], &error["allowed"]), (&json!("log_bytes"), &json!(10_000)), "{told}");
        stage.leave(&flood);
    }),
    ("publishes", |stage| {
        let drafts = "drafts: [{event_type: 'publisher:said'}], repeat: 5";
        let answer = task(stage, "publisher", "[grants]\npublish = true\n[limits]\npublishes = 3\n", "publish", drafts);
        assert_eq!(answer["refused"], json!(["TooMany", "TooMany"]), "{answer}");
        eventually("what it was allowed", || (stage.host.events("type=publisher:said").len() == 3).then_some(()));
    }),
    ("query_events", |stage| {
        let answer = task(stage, "historian", "[grants]\nquery = true\n[limits]\nquery_events = 2\n", "look", "limit: 50");
        assert_eq!(answer["pages"][0]["events"].as_array().map(Vec::len), Some(2), "{answer}");
    }),
    ("schedules", |stage| {
        let settings = "[grants]\npublish = true\nschedule = true\n[limits]\nschedules = 1\n";
        let drafts = "drafts: [{event_type: 'plan:a', after_ms: 3600000}, {event_type: 'plan:b', after_ms: 3600000}]";
        let answer = task(stage, "historian", settings, "plan", drafts);
        assert!(answer.to_string().contains("TooMany"), "{answer}");
    }),
    ("kv_bytes", |stage| {
        let answer = task(stage, "kv-user", "[limits]\nkv_bytes = 100\n", "run", "operations: [{fill: [a, 50]}, {fill: [b, 60]}]");
        assert_eq!(answer[1], json!({"refused": "Full"}), "{answer}");
    }),
];

/// The fault of a control handler, with what was used and allowed.
fn faults(stage: &mut Stage, case: &Case) {
    let after = stage.head();
    stage.enter(case, "control");
    stage.publish();
    stage.fault(case, "check", after);
    stage.leave(case);
}

/// A result of exactly as many bytes as are allowed is one; with one byte more it is none.
fn one_byte_more(stage: &mut Stage) {
    for (bytes, fits) in [(9_998, true), (9_999, false)] {
        // Two marks stand around the text.
        let giant = case("giant-result", "", "bytes", 10_000, "result_bytes allows");
        let settings = format!("[limits]\nresult_bytes = 10_000\n[settings]\nrole = 'worker'\nbytes = {bytes}\n");
        stage.site.plugin(giant.guest, guests::build().bytes(giant.guest), &settings);
        let after = stage.head();
        stage.host.reload(giant.guest).expect(200);
        let view = stage.host.finish("name: giant\ntasks:\n  - {id: g, method: giant-result/run, parameters: {}}\n");
        if fits {
            assert_eq!(view["tasks"][0]["result"].as_str().map(str::len), Some(9_998), "{view}");
        } else {
            assert_eq!(view["tasks"][0]["error"]["code"], "bytes", "{view}");
            stage.fault(&giant, "run", after);
        }
        stage.leave(&giant);
    }
}

/// What a worker answers to a task, of a plugin that is in service for that only.
fn task(stage: &mut Stage, guest: &'static str, settings: &str, method: &str, parameters: &str) -> Value {
    stage.site.plugin(guest, guests::build().bytes(guest), settings);
    stage.host.reload(guest).expect(200);
    let view = stage.host.finish(&format!("name: t\ntasks:\n  - {{id: t, method: {guest}/{method}, parameters: {{{parameters}}}}}\n"));
    assert_eq!(view["status"], "completed", "{view}");
    stage.leave(&extra(guest, ""));
    view["tasks"][0]["result"].clone()
}

#[test]
fn every_limit_is_reached_and_named() {
    let mut stage = Stage::new();
    let report = stage.site.run(["plugin", "check", "plugins/neighbour.wasm", "--json"]).json();
    let limits = report["limits"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    // What is about calling out has scenes of its own, and how many events an observer is handed the webhook's.
    let limits: BTreeSet<&str> = limits.filter(|name| !name.starts_with("http_") && *name != "observe_events").collect();
    assert_eq!(SCENES.map(|(name, _)| name).into_iter().collect::<BTreeSet<_>>(), limits, "a scene for each limit");
    for (name, scene) in SCENES {
        eprintln!("{name}");
        scene(&mut stage);
        stage.publish();
        stage.work();
    }
    stage.neighbour_is_unharmed();
}

#[test]
fn the_operators_page_names_every_limit() {
    let page = include_str!("../../../docs/operating-plugins.md");
    for (name, _) in SCENES.iter().filter(|(name, _)| *name != "stack_bytes") {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is missing in the table of limits");
    }
}
