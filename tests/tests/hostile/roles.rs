//! Each guest that ends in a fault, in each role that it has.

use trackside_tests::json;

use crate::stage::{Case, Stage, case};

/// Settings of a guest that calls the host for ever, and may.
macro_rules! busy {
    ($call:literal) => {
        concat!("[limits]\ntimeout_ms = 50\nresult_bytes = 1_000_000_000\n[settings]\ncall = ", $call)
    };
}
const SPINS: &str = "50 ms were allowed";
const STACK: u64 = 512 << 10;
const MEMORY: u64 = 64 << 20;
const RESULT: u64 = 4 << 20;

/// What ends in the same fault whatever the role.
const IN_EVERY_ROLE: [Case; 14] = [
    case("spin", "[limits]\ntimeout_ms = 50", "deadline", 50, SPINS),
    case("spin", "[limits]\nfuel = 1_000_000", "fuel", 1_000_000, "1000000 fuel"),
    case("spin-host", busy!("'settings'"), "deadline", 50, SPINS),
    case("spin-host", busy!("'log'"), "deadline", 50, SPINS),
    case("spin-host", busy!("'kv'"), "deadline", 50, SPINS),
    case("spin-host", busy!("'clock'"), "deadline", 50, SPINS),
    case("spin-host", "[settings]\ncall = 'settings'", "bytes", RESULT, "result_bytes allows 4194304"),
    case("spin-host", "[settings]\ncall = 'sleep'", "not_granted", 0, "timers = true"),
    case("trap", "", "trap", 0, ""),
    case("panic", "", "trap", 0, "panicked"),
    case("recurse", "", "stack", STACK, "bytes of stack"),
    case("recurse", "[settings]\nstack = 'memory'", "trap", 0, ""),
    case("memory-bomb", "", "memory", MEMORY, "memory_bytes allows 67108864"),
    case("small-allocations", "", "memory", MEMORY, "memory_bytes allows 67108864"),
];

fn cases_of(role: &str) -> Vec<Case> {
    let mut cases = Vec::from(IN_EVERY_ROLE);
    cases.push(case("giant-result", "", "bytes", RESULT, "result_bytes"));
    // Hand-made, without settings of its own: it misbehaves wherever it is called.
    cases.push(case("table-bomb", "", "tables", 20_000, "table_elements allows 20000"));
    // More than a slot of the pool has room for: served from elsewhere, to the limit that it was given.
    cases.push(case("table-bomb", "[limits]\ntable_elements = 50_000", "tables", 50_000, "table_elements allows 50000"));
    cases.push(case("spin-realloc", "[limits]\ntimeout_ms = 50", "deadline", 50, SPINS));
    cases.push(case("spin-post", "[limits]\ntimeout_ms = 50", "deadline", 50, SPINS));
    cases.push(case("recurse-wide", "[limits]\ntimeout_ms = 50", "deadline", 50, SPINS));
    cases.push(case("recurse-wide", "[limits]\nfuel = 1_000_000", "fuel", 1_000_000, "1000000 fuel"));
    cases.push(case("grow-page", "", "memory", MEMORY, "memory_bytes allows 67108864"));
    // It was refused memory, and went on: what ended it is its time.
    cases.push(case("grow-on", "[limits]\ntimeout_ms = 500\nmemory_bytes = 1_000_000", "deadline", 500, "500 ms were allowed"));
    // It was refused memory, and ended by something else; and by just that.
    cases.push(case("refused-utf8", "", "malformed", 0, "utf-8"));
    cases.push(case("refused-divide", "", "trap", 0, "divide by zero"));
    cases.push(case("refused-realloc", "", "memory", MEMORY, "memory_bytes allows 67108864"));
    for guest in ["realloc-outside", "bad-utf8", "endless-text", "text-outside", "no-such-case", "answer-outside"] {
        cases.push(case(guest, "", "malformed", 0, ""));
    }
    if role != "worker" {
        // A worker's task without metadata has nothing that would have to be aligned.
        cases.push(case("realloc-odd", "", "malformed", 0, ""));
    }
    if role != "observer" {
        cases.push(case("malformed", "", "malformed", 0, "JSON"));
    }
    cases
}

#[test]
fn as_control_handlers() {
    let mut stage = Stage::new();
    for case in cases_of("control") {
        let after = stage.head();
        stage.enter(&case, "control");
        let answer = stage.publish();
        let fault = stage.fault(&case, "check", after);
        assert_eq!(fault["causation_id"], answer["event_id"], "the fault names the event: {fault}");
        assert_eq!(fault["payload"]["event"]["event_type"], "case:came", "{fault}");
        // The record shows that it was asked, how it ended, and that the neighbour was asked behind it.
        let explained = stage.host.get(&format!("/v1/events/{}", answer["sequence_number"])).expect(200);
        let checks = explained["decisions"][0]["checks"].as_array().cloned().unwrap_or_default();
        let asked: Vec<&str> = checks.iter().filter_map(|check| check["plugin"].as_str()).collect();
        assert_eq!(asked, [case.guest, "neighbour"], "{explained}");
        assert!(checks[0].to_string().contains(case.kind), "{explained}");
        stage.publish();
        stage.work();
        stage.leave(&case);
    }
    stage.neighbour_is_unharmed();
}

#[test]
fn as_observers() {
    let mut stage = Stage::new();
    for case in cases_of("observer") {
        let after = stage.head();
        stage.enter(&case, "observer");
        stage.publish();
        stage.fault(&case, "observe", after);
        stage.publish();
        stage.work();
        stage.leave(&case);
    }
    stage.neighbour_is_unharmed();
}

#[test]
fn as_workers() {
    let mut stage = Stage::new();
    for case in cases_of("worker") {
        let after = stage.head();
        stage.enter(&case, "worker");
        let view = stage.host.finish(&format!("name: hostile\ntasks:\n  - {{id: h, method: {}/run, parameters: {{}}}}\n", case.guest));
        let error = &view["tasks"][0]["error"];
        assert_eq!((&view["status"], &error["code"], &error["fault"]), (&json!("failed"), &json!(case.kind), &json!(true)), "{view}");
        let fault = stage.fault(&case, "run", after);
        assert_eq!((&fault["task_id"], &fault["workflow_id"]), (&json!("h"), &view["workflow_id"]), "{fault}");
        // Hand-made, the table bomb goes off in its other roles too; the neighbour does not care.
        stage.publish();
        stage.work();
        stage.leave(&case);
    }
    stage.neighbour_is_unharmed();
}
