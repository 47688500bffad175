//! Hostile guests, one for each way to break a rule, in every role: the log names the true cause, and a neighbour's calls go on unharmed.
//! Every guest's misbehaviour is told at the top of its file in `tests/guests/examples`.

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, eventually, json};

/// A guest, what the operator says of it, and the fault that it must come to.
struct Case {
    guest: &'static str,
    /// Lines of its settings file besides those that every case has.
    settings: &'static str,
    kind: &'static str,
    /// What the message must hold.
    says: &'static str,
}

const fn case(guest: &'static str, settings: &'static str, kind: &'static str, says: &'static str) -> Case {
    Case { guest, settings, kind, says }
}

/// What ends in the same fault whatever the role.
const IN_EVERY_ROLE: [Case; 13] = [
    case("spin", "[limits]\ntimeout_ms = 50", "deadline", "50 ms were allowed"),
    case("spin", "[limits]\nfuel = 1_000_000", "fuel", "1000000 fuel"),
    case(
        "spin-host",
        "[limits]\ntimeout_ms = 50\nresult_bytes = 1_000_000_000\n[settings]\ncall = 'settings'",
        "deadline",
        "50 ms were allowed",
    ),
    case(
        "spin-host",
        "[limits]\ntimeout_ms = 50\nresult_bytes = 1_000_000_000\n[settings]\ncall = 'log'",
        "deadline",
        "50 ms were allowed",
    ),
    case("spin-host", "[limits]\ntimeout_ms = 50\nresult_bytes = 1_000_000_000\n[settings]\ncall = 'kv'", "deadline", "50 ms were allowed"),
    case(
        "spin-host",
        "[limits]\ntimeout_ms = 50\nresult_bytes = 1_000_000_000\n[settings]\ncall = 'clock'",
        "deadline",
        "50 ms were allowed",
    ),
    case("spin-host", "[settings]\ncall = 'settings'", "bytes", "result_bytes allows 4194304"),
    case("spin-host", "[settings]\ncall = 'sleep'", "not_granted", "timers = true"),
    case("trap", "", "trap", ""),
    case("panic", "", "trap", "panicked"),
    case("recurse", "", "stack", "bytes of stack"),
    case("recurse", "[settings]\nstack = 'memory'", "trap", ""),
    case("memory-bomb", "", "memory", "memory_bytes allows 67108864"),
];

/// The longest that a call of a case may take that is not about time: so long that only a system that hangs reaches it.
const LONG: &str = "timeout_ms = 60_000";

/// A host with a neighbour in all three roles, whose counts must be right whatever stands beside it.
struct Stage {
    site: Site,
    host: Host,
    published: u64,
    worked: u64,
}

impl Stage {
    fn new() -> Self {
        let site = Site::new();
        let events = "event_types = ['case:*']";
        let settings = format!("priority = 200\n[controls]\n{events}\n[observes]\n{events}\n[limits]\n{LONG}\n");
        site.plugin("neighbour", guests::build().bytes("neighbour"), &settings);
        let host = site.start_with(|command| command.env("TRACKSIDE_ENGINE_CHAIN_BUDGET_MS", "60000"));
        Self { site, host, published: 0, worked: 0 }
    }

    /// Puts the case's guest into service, misbehaving in one role only.
    fn enter(&self, case: &Case, role: &str) {
        let mut settings = format!("[breaker]\nfaults = 1000\nbackoff_ms = 3_600_000\n{}\n", case.settings);
        if !settings.contains("[limits]") {
            settings.push_str(&format!("[limits]\n{LONG}\n"));
        }
        settings = match settings.split_once("[settings]\n") {
            Some((before, after)) => format!("{before}[settings]\nrole = '{role}'\n{after}"),
            None => format!("{settings}[settings]\nrole = '{role}'\n"),
        };
        for filter in ["controls", "observes"] {
            settings.push_str(&format!("[{filter}]\nevent_types = ['case:*']\n"));
        }
        self.site.plugin(case.guest, guests::build().bytes(case.guest), &settings);
        self.host.reload(case.guest).expect(200);
    }

    /// Takes it out of service again.
    fn leave(&self, case: &Case) {
        std::fs::remove_file(self.site.plugins().join(format!("{}.wasm", case.guest))).expect("a file can be removed");
        self.host.reload(case.guest).expect(200);
    }

    /// Publishes an event, which must be taken, and gives the answer.
    fn publish(&mut self) -> Value {
        self.published += 1;
        self.host
            .publish(&json!({"event_type": "case:came", "source_component": "test", "payload": {"number": self.published}}))
            .expect(201)
    }

    /// Has the neighbour work, which must succeed.
    fn work(&mut self) {
        self.worked += 1;
        let view =
            self.host.finish(&format!("name: n\ntasks:\n  - {{id: n, method: neighbour/echo, parameters: {{n: {}}}}}\n", self.worked));
        assert_eq!((&view["status"], &view["tasks"][0]["result"]), (&json!("completed"), &json!({"n": self.worked})), "{view}");
    }

    /// The case's fault, as the log tells it, behind a position.
    fn fault(&self, case: &Case, call: &str, after: u64) -> Value {
        let query = format!("type=plugin:fault&provider_id={}&after={after}", case.guest);
        let fault = self.host.wait_for(&query, |fault| fault["payload"]["call"] == call);
        let payload = &fault["payload"];
        assert_eq!(payload["kind"], case.kind, "{call} of {} {}: {payload}", case.guest, case.settings);
        let message = payload["message"].as_str().unwrap_or_default();
        assert!(message.contains(case.says), "{call} of {}: '{message}' does not hold '{}'", case.guest, case.says);
        assert!(payload["version"].as_str().is_some_and(|version| version.len() == 12), "{payload}");
        assert_eq!(
            (&payload["plugin"], &fault["severity"], &fault["source_component"]),
            (&json!(case.guest), &json!("error"), &json!("plugin_host"))
        );
        fault
    }

    fn head(&self) -> u64 {
        self.host.events("narration=false").last().and_then(|event| event["sequence_number"].as_u64()).unwrap_or_default()
    }

    /// The neighbour was called for everything, once, and never faulted.
    fn neighbour_is_unharmed(&self) {
        for (key, expected) in [("checked", self.published), ("seen", self.published), ("worked", self.worked)] {
            eventually(&format!("the neighbour's {key} to be {expected}"), || {
                (self.site.kv_number("neighbour", key) == expected).then_some(())
            });
        }
        assert_eq!(self.host.events("type=plugin:fault&provider_id=neighbour"), [] as [Value; 0]);
        let status = self.host.plugin("neighbour");
        assert_eq!((&status["state"], &status["faults"]), (&json!("serving"), &json!(0)), "{status}");
        assert_eq!(self.host.get("/healthz").status, 200);
    }
}

fn cases_of(role: &str) -> Vec<Case> {
    let mut cases = Vec::from(IN_EVERY_ROLE);
    cases.push(case("giant-result", "", "bytes", "result_bytes"));
    // Hand-made, without settings of its own: it misbehaves wherever it is called.
    cases.push(case("table-bomb", "", "tables", "table_elements allows 20000"));
    if role != "observer" {
        cases.push(case("malformed", "", "malformed", "JSON"));
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

#[test]
fn a_log_flood_is_cut_and_said() {
    let mut stage = Stage::new();
    for to in ["log", "stderr"] {
        let flood = case("log-flood", if to == "log" { "[settings]\nto = 'log'" } else { "[settings]\nto = 'stderr'" }, "", "");
        for role in ["control", "observer", "worker"] {
            let before = stage.host.output().len();
            stage.enter(&flood, role);
            if role == "worker" {
                let view = stage.host.finish("name: flood\ntasks:\n  - {id: f, method: log-flood/run}\n");
                assert_eq!(view["status"], "completed", "{view}");
            } else {
                stage.publish();
            }
            let said = eventually("the cut", || {
                let output = stage.host.output()[before..].to_owned();
                output.contains("log_bytes allows 65536 a call").then_some(output)
            });
            let lines: Vec<&str> = said.lines().filter(|line| line.contains("ffffffff")).collect();
            assert!(!lines.is_empty() && lines.len() <= 80, "{role}, {to}: {} lines of the flood came through", lines.len());
            stage.leave(&flood);
        }
    }
    assert_eq!(stage.host.events("type=plugin:fault"), [] as [Value; 0], "a flood is cut, and the call goes on");
    let told = eventually("an event of each version", || {
        let told = stage.host.events("type=error:raised");
        (told.len() >= 6).then_some(told)
    });
    assert_eq!(told.len(), 6, "once a version: {told:?}");
    for event in told {
        let error = &event["payload"]["error"];
        assert_eq!((&event["provider_id"], &event["severity"]), (&json!("log-flood"), &json!("warning")));
        assert_eq!((&error["limit"], &error["allowed"]), (&json!("log_bytes"), &json!(65_536)), "{error}");
    }
    stage.work();
    stage.neighbour_is_unharmed();
}

#[test]
fn an_observer_that_publishes_what_is_no_json_is_refused_and_goes_on() {
    let mut stage = Stage::new();
    stage.site.plugin(
        "malformed",
        guests::build().bytes("malformed"),
        "[grants]\npublish = true\n[observes]\nevent_types = ['case:*']\n[controls]\nevent_types = []\n",
    );
    stage.host.reload("malformed").expect(200);
    stage.publish();
    eventually("the observer's call", || (stage.host.plugin("malformed")["calls"].as_u64() >= Some(1)).then_some(()));
    // An error of the observer would be delivered again, and become a dead letter.
    stage.publish();
    stage.neighbour_is_unharmed();
    assert_eq!(stage.host.events("type=malformed:published,plugin:fault,event:dead_lettered"), [] as [Value; 0]);
}

#[test]
fn what_is_no_plugin_is_refused_by_name_at_the_start_and_at_a_reload() {
    let mut stage = Stage::new();
    let refused = [
        ("unknown-import", "imports `acme:oracle/tomorrow@1.0.0`, which this host does not offer"),
        ("core-module", "is a core module, not a component"),
        ("plain-text", "is not a WebAssembly component"),
        ("empty", "is not a WebAssembly component"),
        ("truncated", "is not a valid component"),
    ];
    for (guest, says) in refused {
        stage.site.plugin(guest, guests::build().bytes(guest), "");
        let problem = stage.host.reload(guest).expect(422);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{guest}: {problem}");
        let event = stage.host.wait_for("type=plugin:reload_failed", |event| event["payload"]["plugin"] == guest);
        let reason = event["payload"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(says), "{guest}: '{reason}' does not hold '{says}'");
        stage.publish();
        stage.work();
    }
    stage.neighbour_is_unharmed();
    assert_eq!(stage.host.stop(), 0);
    let host = stage.site.start();
    let listed = host.get("/v1/plugins").expect(200);
    assert_eq!(listed["refused"].as_array().map(Vec::len), Some(refused.len()), "{listed}");
    eventually("all to be told", || (host.events("type=plugin:reload_failed").len() == 2 * refused.len()).then_some(()));
    host.plugin("neighbour");
}

#[test]
fn nothing_else_waits_for_what_never_returns() {
    let mut stage = Stage::new();
    // Each spins for a minute if it is let: all that follows must be over long before the first fault.
    stage.enter(&case("spin", "[limits]\ntimeout_ms = 60_000", "", ""), "observer");
    stage.enter(&case("spin-host", "[limits]\ntimeout_ms = 60_000\n[grants]\ntimers = true\n[settings]\ncall = 'sleep'", "", ""), "worker");
    stage.host.submit("name: sleeps\ntasks:\n  - {id: s, method: spin-host/run}\n");
    for _ in 0..20 {
        stage.publish();
        stage.work();
    }
    stage.neighbour_is_unharmed();
    assert_eq!(stage.host.events("type=plugin:fault"), [] as [Value; 0], "they are still at it");
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
    stage.leave(&case("trap", "", "", ""));
    assert_eq!(stage.host.ended(&id)["status"], "completed");
    stage.publish();
    stage.neighbour_is_unharmed();
}
