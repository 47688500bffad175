//! Wrong input by every edge: the answer says what is wrong, where, and what to do; the status or the exit code says that it is; nothing changes.
//! What hostile plugins do is `hostile`'s.

use expect_test::{Expect, expect};
use rusqlite::Connection;
use trackside_tests::{Authority, Host, Ran, Site, Value, eventually, run};

/// Text in which what differs from run to run has a name instead.
fn steady(site: &Site, port: Option<u16>, text: &str) -> String {
    let root = site.root().to_string_lossy();
    let real = site.root().canonicalize().expect("the site is there");
    let mut text = text.replace(&*real.to_string_lossy(), "SITE").replace(&*root, "SITE");
    if let Some(port) = port {
        text = text.replace(&port.to_string(), "PORT");
    }
    text
}

fn host_on(site: &Site) -> Host {
    site.shipped(&["sim"]);
    // Nothing but what a test does comes into the log.
    site.start_with(|command| {
        command
            .env("TRACKSIDE_ENGINE_HEARTBEAT_MS", "0")
            .env("TRACKSIDE_EVENTS_PAYLOAD_BYTES", "1000")
            .env("TRACKSIDE_HTTP_BODY_BYTES", "4000");
        command
            .env("TRACKSIDE_HTTP_LINE_BYTES", "2000")
            .env("TRACKSIDE_HTTP_BATCH_EVENTS", "3")
            .env("TRACKSIDE_HTTP_DEFINITION_BYTES", "4000")
    })
}

/// What a request is answered, and that it has changed nothing.
struct Door {
    site: Site,
    host: Host,
}

/// A file of tokens with a name that none can have.
const SHOP: &str = "[[token]]\nname = 'Shop'\nscopes = ['read']\nsha256 = '0000000000000000000000000000000000000000000000000000000000000000'\nmade_at = '2026-01-31T10:30:00Z'\n";

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const NDJSON: &str = "application/x-ndjson";

impl Door {
    fn new() -> Self {
        let site = Site::new();
        let host = host_on(&site);
        // The last that a start tells of.
        host.wait_for("type=system:started", |_| true);
        Self { site, host }
    }

    fn log(&self) -> Vec<Value> {
        self.host.events("narration=false")
    }

    #[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
    fn check(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str, expected: Expect) {
        let before = self.log();
        let answer = self.host.send(method, path, headers, body);
        assert!((400..500).contains(&answer.status), "{method} {path}: {answer}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer}");
        let problem = answer.json();
        assert_eq!(problem["status"], answer.status, "{answer}");
        assert!(problem["title"].is_string() && problem["type"].is_string(), "{answer}");
        let mut text = format!("{} {}", answer.status, problem["detail"].as_str().unwrap_or_default());
        for error in problem["errors"].as_array().into_iter().flatten() {
            text.push_str(&format!("\n  {error}"));
        }
        expected.assert_eq(&steady(&self.site, Some(self.host.address().port()), &text));
        assert_eq!(self.log(), before, "{method} {path} has changed the log");
    }

    fn publish(&self, body: &str, expected: Expect) {
        self.check("POST", "/v1/events", &[("Content-Type", JSON)], body, expected);
    }

    fn submit(&self, yaml: &str, expected: Expect) {
        self.check("POST", "/v1/workflows", &[("Content-Type", YAML)], yaml, expected);
    }

    fn get(&self, path: &str, expected: Expect) {
        self.check("GET", path, &[], "", expected);
    }
}

#[test]
fn events() {
    let door = Door::new();
    let order = |fields: &str| format!(r#"{{"event_type": "order:placed", "source_component": "shop"{fields}}}"#);
    door.publish("{\"event_type\": \"order:placed\",\n \"source_component\": }", expect!["400 expected value at line 2 column 22"]);
    door.publish("", expect!["400 EOF while parsing a value at line 1 column 0"]);
    door.publish(
        "\"order:placed\"",
        expect![[r#"400 an event is a JSON object such as {"event_type": "order:placed", "source_component": "shop"}"#]],
    );
    door.publish("{}", expect!["422 source_component: required: the name of the component that publishes"]);
    door.publish(r#"{"event_type": "order:placed"}"#, expect!["422 source_component: required: the name of the component that publishes"]);
    door.publish(r#"{"source_component": "shop"}"#, expect!["422 event_type: required: 'component:action', for example 'order:placed'"]);
    door.publish(
        r#"{"event_type": "order", "source_component": "shop"}"#,
        expect!["422 event_type: event type 'order' is one word; write 'component:action', for example 'order:happened'"],
    );
    door.publish(
        r#"{"event_type": "order:", "source_component": "shop"}"#,
        expect!["422 event_type: event type 'order:' is malformed; write 'component:action' with segments of a-z, 0-9, '_', '.' and '-'"],
    );
    door.publish(
        r#"{"event_type": "order: placed!", "source_component": "shop"}"#,
        expect![
            "422 event_type: event type 'order: placed!' is malformed; write 'component:action' with segments of a-z, 0-9, '_', '.' and '-'"
        ],
    );
    door.publish(
        &format!(r#"{{"event_type": "order:{}", "source_component": "shop"}}"#, "x".repeat(200)),
        expect!["422 event_type: event type of 206 bytes is longer than the 200 allowed"],
    );
    door.publish(&order(r#", "paylod": {}"#), expect!["422 paylod: unknown field 'paylod'; did you mean 'payload'?"]);
    door.publish(&order(r#", "colour": "red""#), expect!["422 colour: unknown field 'colour'; known are event_id, event_type, timestamp, source_component, correlation_id, causation_id, workflow_id, task_id, provider_id, severity, payload, metadata, expected_sequence"]);
    door.publish(&order(r#", "event_id": "seven""#), expect!["422 event_id: 'seven' is not a UUID"]);
    door.publish(
        &order(r#", "timestamp": "yesterday""#),
        expect!["422 timestamp: 'yesterday' is not an RFC 3339 time after 1970, such as 2026-01-31T10:30:00Z"],
    );
    door.publish(
        &order(r#", "severity": "loud""#),
        expect!["422 severity: severity 'loud' is not one of debug, info, warning, error, critical"],
    );
    door.publish(&order(r#", "metadata": {"a": 1}"#), expect!["422 metadata.a: expected a string, found a number"]);
    door.publish(&order(r#", "correlation_id": 7"#), expect!["422 correlation_id: expected a string, found a number"]);
    door.publish(
        &order(&format!(r#", "correlation_id": "{}""#, "c".repeat(300))),
        expect!["413 correlation_id: 300 bytes are more than the 256 allowed"],
    );
    door.publish(
        &order(&format!(r#", "payload": "{}""#, "x".repeat(1_500))),
        expect!["413 payload: 1502 bytes are more than the 1000 allowed"],
    );
    door.publish(
        &order(&format!(r#", "payload": {}{}"#, "[".repeat(65), "]".repeat(65))),
        expect!["413 payload: nested deeper than the 64 levels allowed"],
    );
    door.publish(
        &order(&format!(r#", "payload": "{}""#, "x".repeat(5_000))),
        expect!["413 the body is larger than the 4000 bytes allowed (http.body_bytes in the host's configuration)"],
    );
    door.publish(r#"{"event_type": "task:completed", "source_component": "shop"}"#, expect!["403 event_type: 'task:completed' is engine-owned: only the host publishes it; publish a fact of your own, or ask with a command such as workflow:submit"]);
    door.publish(r#"{"event_type": "TaskCompleted", "source_component": "shop"}"#, expect!["403 event_type: 'task:completed' is engine-owned: only the host publishes it; publish a fact of your own, or ask with a command such as workflow:submit"]);
    door.publish(
        r#"{"event_type": "order:placed", "source_component": "execution_engine"}"#,
        expect!["403 source_component: 'execution_engine' is reserved for a host component; publish under a name of your own"],
    );
    door.publish(
        r#"{"event_type": "order:placed", "source_component": "sim"}"#,
        expect!["403 source_component: 'sim' is a plugin of this host; publish under a name of your own"],
    );
    door.publish(
        r#"{"event_type": "workflow:pause", "source_component": "shop"}"#,
        expect!["403 event_type: this host does not carry out 'workflow:pause'; it knows workflow:submit and workflow:cancel"],
    );
    door.publish(
        r#"{"event_type": "workflow:cancel", "source_component": "shop", "payload": {"workflow_id": "nobody"}}"#,
        expect!["422 workflow_id: no workflow 'nobody' is known; `trackside workflow list` shows them"],
    );
    door.publish(
        r#"[{"event_type": "order:placed", "source_component": "shop"}, {"event_type": "order:placed"}]"#,
        expect!["422 [1].source_component: required: the name of the component that publishes"],
    );
    door.publish(r#"[{}, {}, {}, {}]"#, expect!["413 4 events are more than the 3 allowed in one array (http.batch_events in the host's configuration); send NDJSON, or several arrays"]);
    door.publish("[1", expect!["400 EOF while parsing a list at line 1 column 2"]);
    door.check(
        "POST",
        "/v1/events",
        &[("Content-Type", "text/plain")],
        "{}",
        expect!["415 the content type 'text/plain' is not taken; send application/json or application/x-ndjson or application/cloudevents+json or application/cloudevents-batch+json"],
    );
    door.check("POST", "/v1/events", &[], "{}", expect!["415 there is no Content-Type; send application/json or application/x-ndjson or application/cloudevents+json or application/cloudevents-batch+json"]);
    door.check("POST", "/v1/events", &[("Content-Type", "application/json; charset=latin1")], "{}", expect!["415 the content type 'application/json; charset=latin1' is in another character set than UTF-8; send application/json or application/x-ndjson or application/cloudevents+json or application/cloudevents-batch+json"]);
    door.check(
        "POST",
        "/v1/events",
        &[("Content-Type", JSON), ("Content-Encoding", "gzip")],
        "{}",
        expect![[r#"415 the content encoding "gzip" is not taken: send the body as it is"#]],
    );
    door.check(
        "POST",
        "/v1/events?orderd=true",
        &[("Content-Type", JSON)],
        "{}",
        expect!["400 unknown query parameter 'orderd'; did you mean 'ordered'?"],
    );
    door.check(
        "POST",
        "/v1/events?ordered=perhaps",
        &[("Content-Type", JSON)],
        "{}",
        expect!["400 ordered: 'perhaps' is neither true nor false"],
    );
}

#[test]
fn lines_have_their_own_answers() {
    let door = Door::new();
    let before = door.log().len();
    let body = format!(
        "{}\n\n{}\nnot json\n{}\n{}\n",
        r#"{"event_type": "order:placed", "source_component": "shop", "payload": 1}"#,
        r#"{"event_type": "order:placed", "source_component": "shop", "paylod": 1}"#,
        r#"{"event_type": "order:placed", "source_component": "shop", "payload": 2}"#,
        "x".repeat(3_000),
    );
    let answers = door.host.send("POST", "/v1/events", &[("Content-Type", NDJSON)], body).json_lines();
    let shown: Vec<String> = answers
        .iter()
        .map(|answer| format!("line {} {} {}", answer["line"], answer["status"], answer["detail"].as_str().unwrap_or("-")))
        .collect();
    expect![[r#"
        line 1 201 -
        line 3 422 paylod: unknown field 'paylod'; did you mean 'payload'?
        line 4 400 expected ident at line 1 column 2
        line 5 201 -
        line 6 413 the line is larger than the 2000 bytes allowed (http.line_bytes in the host's configuration)"#]]
    .assert_eq(&shown.join("\n"));
    assert_eq!(door.log().len(), before + 2);
}

#[test]
fn queries() {
    let door = Door::new();
    door.get("/v1/events?limit=0", expect!["400 limit: '0' is not a number from 1 to 1000"]);
    door.get("/v1/events?limit=1001", expect!["400 limit: '1001' is not a number from 1 to 1000"]);
    door.get("/v1/events?limit=5&limit=6", expect!["400 limit: is given twice"]);
    door.get("/v1/events?typ=a:b", expect!["400 unknown query parameter 'typ'; did you mean 'type'?"]);
    door.get("/v1/events?type=order", expect!["400 type: type pattern 'order' is malformed: event type 'order' is one word; write 'component:action', for example 'order:happened'"]);
    door.get("/v1/events?severity=loud", expect!["400 severity: severity 'loud' is not one of debug, info, warning, error, critical"]);
    door.get(
        "/v1/events?since=yesterday",
        expect!["400 since: 'yesterday' is not an RFC 3339 time after 1970, such as 2026-01-31T10:30:00Z"],
    );
    door.get(
        "/v1/events?after=x",
        expect!["400 after: 'x' is not a position; write a sequence number such as 12, or 12.3 for a part of it"],
    );
    door.get("/v1/events?source=", expect!["400 source: must not be empty; leave it out to see all"]);
    door.get("/v1/events?type=%FF", expect!["400 type: type pattern '�' is malformed: event type '�' is malformed; write 'component:action' with segments of a-z, 0-9, '_', '.' and '-'"]);
    door.get("/v1/events/nobody", expect!["400 'nobody' is neither an event id (a UUID) nor a sequence number"]);
    door.get("/v1/events/1?format=xml", expect!["400 format: 'xml' is not one of trackside, cloudevents"]);
    door.get("/v1/events/1?from=1", expect!["400 unknown query parameter 'from'; did you mean 'format'?"]);
    door.get("/v1/events/999999", expect!["404 there is no event 999999 in the log"]);
    door.get(
        "/v1/events/00000000-0000-0000-0000-000000000007",
        expect!["404 there is no event 00000000-0000-0000-0000-000000000007 in the log"],
    );
    door.get("/v1/events/stream?limit=5", expect!["400 unknown query parameter 'limit'; known are type, severity, source, correlation_id, workflow_id, task_id, provider_id, when, since, until, after, narration, slow, format"]);
    door.check(
        "GET",
        "/v1/events/stream",
        &[("Last-Event-ID", "x")],
        "",
        expect!["400 Last-Event-ID: 'x' is not a position; write a sequence number such as 12, or 12.3 for a part of it"],
    );
    door.get("/v1/workflows?status=faild", expect!["400 status: 'faild' is none; did you mean 'failed'?"]);
    door.get("/v1/workflows?before=x", expect!["400 before: 'x' is not what 'next' of a listing said"]);
    door.get("/v1/workflows/nobody", expect!["404 there is no workflow 'nobody' in the log"]);
    door.get("/v1/workflows/nobody?wait=maybe", expect!["400 wait: 'maybe' is neither true nor false"]);
    door.get("/v1/plugins?all=1", expect!["400 unknown query parameter 'all'; this takes none"]);
    door.get("/v1/event", expect!["404 there is nothing at /v1/event; did you mean /v1/events?"]);
    door.get("/", expect!["404 there is nothing at /; known are /v1/events, /v1/events/stream, /v1/events/socket, /v1/events/export, /v1/events/stats, /v1/events/durations, /v1/events/rates, /v1/readers, /v1/replays, /v1/workflows, /v1/plugins, /v1/schemas, /v1/dead-letters, /v1/dead-letters/redrive, /v1/dead-letters/purge, /healthz, /readyz"]);
    door.check("DELETE", "/v1/events", &[], "", expect!["405 /v1/events does not take DELETE; the header Allow says what it takes"]);
    door.check("PUT", "/v1/workflows/x", &[], "", expect!["405 /v1/workflows/x does not take PUT; the header Allow says what it takes"]);
    door.check(
        "GET",
        "/v1/events",
        &[("Host", "evil.example")],
        "",
        expect!["403 'evil.example' is not this host; use http://127.0.0.1:PORT or http://localhost:PORT, or put the name into http.names in the host's configuration"],
    );
    door.check(
        "GET",
        "/v1/events",
        &[("Origin", "http://evil.example")],
        "",
        expect!["403 pages of the origin 'http://evil.example' may not use this host; only its own may"],
    );
    door.check(
        "POST",
        "/v1/workflows/nobody/cancel",
        &[("Content-Type", JSON)],
        "{}",
        expect!["404 there is no workflow 'nobody' in the log"],
    );
    door.check(
        "POST",
        "/v1/workflows/nobody/cancel",
        &[("Content-Type", JSON)],
        r#"{"resaon": "x"}"#,
        expect!["422 resaon: unknown field 'resaon'; did you mean 'reason'?"],
    );
    door.check(
        "POST",
        "/v1/plugins/sim/reload",
        &[],
        "",
        expect!["401 POST /v1/plugins/sim/reload needs a token with the scope 'plugins'; send 'Authorization: Bearer TOKEN' with the content of SITE/data/token"],
    );
    let allowed = door.host.send("DELETE", "/v1/events", &[], "");
    assert_eq!(allowed.header("allow").map(|allow| allow.contains("GET") && allow.contains("POST")), Some(true), "{allowed}");
}

#[test]
fn workflows() {
    let door = Door::new();
    // Everything that is wrong, in one answer.
    door.submit(
        "name: wrong\ntiemout: 5\ntasks:\n  - {id: a, method: sim/echo, dependencies: [b]}\n  - {id: b, method: sim/echo, parameters: {x: '${a}'}}\n  \
         - {id: c, method: sim/ehco, dependencies: [nobody]}\n  - {id: c, method: sim/echo}\n  - {id: d, method: sim/echo, parameters: {x: '${e.y}', z: '${d'}}\n",
        expect![[r#"
            422 the definition has 7 errors: line 2: unknown field 'tiemout'; did you mean 'timeout'?; line 4: tasks[0].dependencies: depends on itself: a → b → a; line 6: tasks[2].dependencies: no task 'nobody'; line 6: tasks[2].method: no provider offers 'sim/ehco'; did you mean 'sim/echo'?; line 7: tasks[3].id: 'c' is the id of tasks[2] already, on line 6; line 8: tasks[4].parameters.x: ${e.y}: no task 'e' ($${ stands for the text ${); line 8: tasks[4].parameters.z: ${d: the closing brace is missing
              {"line":2,"message":"unknown field 'tiemout'; did you mean 'timeout'?","place":""}
              {"line":4,"message":"depends on itself: a → b → a","place":"tasks[0].dependencies"}
              {"line":6,"message":"no task 'nobody'","place":"tasks[2].dependencies"}
              {"line":6,"message":"no provider offers 'sim/ehco'; did you mean 'sim/echo'?","place":"tasks[2].method"}
              {"line":7,"message":"'c' is the id of tasks[2] already, on line 6","place":"tasks[3].id"}
              {"line":8,"message":"${e.y}: no task 'e' ($${ stands for the text ${)","place":"tasks[4].parameters.x"}
              {"line":8,"message":"${d: the closing brace is missing","place":"tasks[4].parameters.z"}"#]],
    );
    door.submit("name: x\ntasks:\n  - {id: a, method: nobody/knows}\n  - {id: b, method: sim/slep}\n", expect![[r#"
        422 the definition has 2 errors: line 3: tasks[0].method: no provider offers 'nobody/knows'; offered are sim/echo, sim/fail, sim/flaky, sim/sleep; line 4: tasks[1].method: no provider offers 'sim/slep'; did you mean 'sim/sleep'?
          {"line":3,"message":"no provider offers 'nobody/knows'; offered are sim/echo, sim/fail, sim/flaky, sim/sleep","place":"tasks[0].method"}
          {"line":4,"message":"no provider offers 'sim/slep'; did you mean 'sim/sleep'?","place":"tasks[1].method"}"#]]);
    door.submit(
        "name: x\ntasks: [",
        expect![[r#"
        422 the definition has one error: line 3: not YAML: while parsing a node, did not find expected node content at column 1
          {"line":3,"message":"not YAML: while parsing a node, did not find expected node content at column 1","place":""}"#]],
    );
    door.submit(
        "name: x\n",
        expect![[r#"
        422 the definition has one error: line 1: tasks: is missing; a workflow has a list of tasks
          {"line":1,"message":"is missing; a workflow has a list of tasks","place":"tasks"}"#]],
    );
    door.submit(
        "",
        expect![[r#"
        422 the definition has one error: there is nothing here; a workflow has a list of tasks
          {"line":null,"message":"there is nothing here; a workflow has a list of tasks","place":""}"#]],
    );
    door.submit(
        &format!("name: {}\n", "x".repeat(5_000)),
        expect!["413 the body is larger than the 4000 bytes allowed (http.definition_bytes in the host's configuration)"],
    );
    let json = |body: &str, expected| door.check("POST", "/v1/workflows", &[("Content-Type", JSON)], body, expected);
    json("{\"name\":\n x}", expect!["400 expected value at line 2 column 2"]);
    json(
        r#"{"definition": {"name": "x", "tasks": [{"id": "a", "method": "sim/echo"}]}, "inptu": 1}"#,
        expect!["422 inptu: unknown field 'inptu'; did you mean 'input'?"],
    );
    json(
        r#"{"definition": {"name": "x", "tasks": [{"id": "a", "method": "sim/echo"}]}, "format": "yaml"}"#,
        expect!["422 format: says how the definition's text is to be read, but the definition is an object; leave it out"],
    );
    json(
        r#"{"definition": {"name": "x", "tasks": [{"id": "a", "method": "sim/echo", "depends": []}]}}"#,
        expect![[r#"
        422 the definition has one error: line 1: tasks[0]: unknown field 'depends'; did you mean 'depends_on'?
          {"line":1,"message":"unknown field 'depends'; did you mean 'depends_on'?","place":"tasks[0]"}"#]],
    );
    door.check(
        "POST",
        "/v1/workflows",
        &[("Content-Type", NDJSON)],
        "{}",
        expect!["415 the content type 'application/x-ndjson' is not taken; send application/yaml or application/json"],
    );
    door.check(
        "POST",
        "/v1/workflows?input=%7B",
        &[("Content-Type", YAML)],
        "name: x\ntasks: [{id: a, method: sim/echo}]",
        expect!["422 input: EOF while parsing an object at line 1 column 1"],
    );
    door.publish(
        r#"{"event_type": "workflow:submit", "source_component": "shop", "payload": {"definiton": {}}}"#,
        expect!["422 payload: unknown field `definiton`, expected one of `definition`, `input`, `name` at line 1 column 12"],
    );
}

/// The command line, where it is wrong.
struct Terminal {
    site: Site,
    host: Option<Host>,
}

impl Terminal {
    fn port(&self) -> Option<u16> {
        self.host.as_ref().map(|host| host.address().port())
    }

    #[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
    fn says(&self, ran: &Ran, expected: Expect) {
        assert_ne!(ran.code, 0, "{ran}");
        expected.assert_eq(&steady(&self.site, self.port(), &format!("{} {}", ran.code, ran.stderr)));
    }

    fn check(&self, arguments: &[&str], expected: Expect) {
        let ran = match &self.host {
            Some(host) => run(self.site.command(arguments).args(["--url", &host.url()])),
            None => self.site.run(arguments),
        };
        assert_eq!(ran.stdout, "", "{ran}");
        self.says(&ran, expected);
    }
}

#[test]
fn commands_to_a_host() {
    let site = Site::new();
    let host = host_on(&site);
    site.file("broken.json", "{\"event_type\":\n oops}");
    site.file("empty.json", "");
    site.file("bad.yaml", "name: bad\ntasks:\n  - {id: a, method: sim/ehco}\n  - {id: a, method: sim/echo}\n");
    let terminal = Terminal { site, host: Some(host) };
    let length = || terminal.host.as_ref().map(|host| host.events("narration=false").len());
    eventually("the start to be told", || terminal.host.as_ref().and_then(|host| host.events("type=system:started").pop()));
    let before = length();
    terminal.check(
        &["publish", "broken.json"],
        expect![[r#"
        1 error: broken.json: expected value at line 2 column 2
    "#]],
    );
    terminal.check(
        &["publish", "empty.json"],
        expect![[r#"
        1 error: empty.json: there is no event in it
    "#]],
    );
    terminal.check(
        &["publish", "nowhere.json"],
        expect![[r#"
        1 error: nowhere.json: No such file or directory (os error 2)
    "#]],
    );
    terminal.check(
        &["publish", "--type", "order"],
        expect![[r#"
        1 error: event_type: event type 'order' is one word; write 'component:action', for example 'order:happened'
    "#]],
    );
    terminal.check(
        &["publish", "--type", "order:placed", "--payload", "{x}"],
        expect![[r#"
        1 error: --payload: key must be a string at line 1 column 2; write JSON, such as '{"a": 1}', or @FILE
    "#]],
    );
    terminal.check(&["publish", "--type", "task:completed"], expect![[r#"
        1 error: event_type: 'task:completed' is engine-owned: only the host publishes it; publish a fact of your own, or ask with a command such as workflow:submit
    "#]]);
    terminal.check(
        &["publish", "--type", "order:placed", "--metadata", "x"],
        expect![[r#"
        2 error: --metadata: 'x' is not KEY=VALUE
    "#]],
    );
    terminal.check(&["events", "--type", "order"], expect![[r#"
        1 error: type: type pattern 'order' is malformed: event type 'order' is one word; write 'component:action', for example 'order:happened'
    "#]]);
    terminal.check(
        &["events", "--since", "monday"],
        expect![[r#"
        1 error: since: 'monday' is not an RFC 3339 time after 1970, such as 2026-01-31T10:30:00Z
    "#]],
    );
    terminal.check(
        &["events", "explain", "x"],
        expect![[r#"
        2 error: 'x' is neither an event id (a UUID) nor a sequence number
    "#]],
    );
    terminal.check(
        &["events", "explain", "99999"],
        expect![[r#"
        1 error: there is no event 99999 in the log
    "#]],
    );
    terminal.check(
        &["submit", "bad.yaml"],
        expect![[r#"
        1 error: bad.yaml:3: tasks[0].method: no provider offers 'sim/ehco'; did you mean 'sim/echo'?
        bad.yaml:4: tasks[1].id: 'a' is the id of tasks[0] already, on line 3
    "#]],
    );
    terminal.check(
        &["submit", "nowhere.yaml"],
        expect![[r#"
        1 error: nowhere.yaml: No such file or directory (os error 2)
    "#]],
    );
    terminal.check(
        &["submit", "bad.yaml", "--input", "{"],
        expect![[r#"
        1 error: --input: EOF while parsing an object at line 1 column 1; write JSON, such as '{"a": 1}', or @FILE
    "#]],
    );
    terminal.check(
        &["workflow", "show", "nobody"],
        expect![[r#"
        1 error: there is no workflow 'nobody' in the log
    "#]],
    );
    terminal.check(
        &["workflow", "cancel", "nobody"],
        expect![[r#"
        1 error: there is no workflow 'nobody' in the log
    "#]],
    );
    terminal.check(
        &["workflow", "list", "--status", "runing"],
        expect![[r#"
        1 error: status: 'runing' is none; did you mean 'running'?
    "#]],
    );
    terminal.check(&["plugin", "reload", "sim"], expect![[r#"
        1 error: ./trackside-data/token: No such file or directory (os error 2); name the host's token with --token-file FILE (a host prints where it is) or TRACKSIDE_TOKEN
    "#]]);
    terminal.check(
        &["plugin", "reload", "Sim!"],
        expect![[r#"
        2 error: 'Sim!' is not a plugin name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit
    "#]],
    );
    assert_eq!(length(), before, "the log has changed");
}

#[test]
fn commands_without_a_host() {
    let terminal = Terminal { site: Site::new(), host: None };
    terminal.check(
        &["evnets"],
        expect![[r#"
        2 error: unrecognized subcommand 'evnets'

          tip: a similar subcommand exists: 'events'

        Usage: trackside <COMMAND>

        For more information, try '--help'.
    "#]],
    );
    terminal.check(&["publish", "--type", "a:b", "--url", "http://127.0.0.1:1"], expect![[r#"
        3 error: no host answers at http://127.0.0.1:1: Connection refused (os error 111); start one with `trackside run`, or name another with --url
    "#]]);
    terminal.check(
        &["events", "--url", "ftp://127.0.0.1:1"],
        expect![[r#"
        2 error: 'ftp://127.0.0.1:1' is not an address of a host; write it as http://127.0.0.1:7070, or with https://
    "#]],
    );
    terminal.check(
        &["events", "--data", "nowhere"],
        expect![[r#"
        1 error: nowhere: there is no log in nowhere; has a host ever run there?
    "#]],
    );
    terminal.check(
        &["workflow", "show", "x", "--data", "plugins"],
        expect![[r#"
        1 error: plugins: there is no log in plugins; has a host ever run there?
    "#]],
    );
    terminal.check(&["plugin", "add", "simm"], expect![[r#"
        1 error: 'simm' is no plugin that ships (alert, audit, authorize, circuit-breaker, fallback-cache, feature-flag, files, metrics, rate-limit, redact, retry-policy, route, schema-guard, sim, spinner, text, webhook) and no component (a path that ends in .wasm)
    "#]]);
    terminal.check(
        &["plugin", "add", "nowhere.wasm"],
        expect![[r#"
        1 error: nowhere.wasm: No such file or directory (os error 2)
    "#]],
    );
    terminal.check(
        &["plugin", "remove", "sim", "--plugins", "nowhere"],
        expect![[r#"
        1 error: there is no plugin 'sim' in nowhere
    "#]],
    );
    terminal.check(
        &["plugin", "check", "sim", "--plugins", "nowhere"],
        expect![[r#"
        1 error: there is no component at nowhere/sim.wasm
    "#]],
    );
    let events = ["events", "--url", "https://127.0.0.1:1", "--ca"];
    terminal.check(
        &[&events[..], &["nowhere.pem"]].concat(),
        expect![[r#"
        1 error: --ca: nowhere.pem: No such file or directory (os error 2)
    "#]],
    );
    terminal.site.file("junk.pem", "no certificate\n");
    terminal.check(
        &[&events[..], &["junk.pem"]].concat(),
        expect![[r#"
        1 error: --ca: junk.pem: there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)
    "#]],
    );
    terminal.check(&["events", "--token-file", "nowhere.token"], expect![[r#"
        1 error: nowhere.token: No such file or directory (os error 2); name the host's token with --token-file FILE (a host prints where it is) or TRACKSIDE_TOKEN
    "#]]);
    terminal.check(
        &["events", "--token", "two\nlines"],
        expect![[r#"
        2 error: the token is not one line of plain text
    "#]],
    );
    terminal.check(
        &["events", "--url", "http://192.0.2.7:1", "--token", "t"],
        expect![[r#"
        2 error: a token is not sent to http://192.0.2.7:1, where others could read it on its way; use https://
    "#]],
    );
    // Where there is no data directory there is no token either; what is wrong with a word is said first.
    terminal.check(
        &["token", "add", "Shop", "--scope", "read"],
        expect![[r#"
        2 error: 'Shop' is not a token's name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit
    "#]],
    );
    terminal.check(
        &["token", "add", "operator", "--scope", "read"],
        expect![[r#"
        2 error: 'operator' is the host's own token, in the file 'token'; give this one another name
    "#]],
    );
    terminal.check(
        &["token", "add", "shop", "--scope", "reed"],
        expect![[r#"
        2 error: --scope: 'reed' is no scope; did you mean 'read'?
    "#]],
    );
    terminal.check(
        &["token", "add", "shop", "--scope", "*"],
        expect![[r#"
        2 error: --scope: '*' is no scope; there are publish, read, submit, plugins, admin
    "#]],
    );
    terminal.check(
        &["token", "add", "shop", "--scope", "read", "--for", "soon"],
        expect![[r#"
        2 error: --for: 'soon' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
    "#]],
    );
    terminal.check(
        &["token", "add", "shop", "--scope", "read", "--for", "0s"],
        expect![[r#"
        2 error: --for: a token that expires at once lets nobody do anything; leave it out, or give a time
    "#]],
    );
    terminal.check(
        &["token", "add", "shop", "--scope", "read"],
        expect![[r#"
        1 error: there is no data directory ./trackside-data; name a host's with --data
    "#]],
    );
    terminal.check(
        &["token", "remove", "shop", "--data", "plugins"],
        expect![[r#"
        1 error: there is no token 'shop'; `trackside token list` shows which there are
    "#]],
    );
    terminal.site.file("broken/tokens.toml", SHOP);
    terminal.check(&["token", "list", "--data", "broken"], expect![[r#"
        1 error: broken/tokens.toml: 'Shop' is not a token's name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit; `trackside token` writes this file
    "#]]);
    terminal.check(
        &["config", "check", "nowhere.toml"],
        expect![[r#"
        1 error: nowhere.toml: No such file or directory (os error 2); `trackside config default` prints a file to begin with
    "#]],
    );
    terminal.site.file("mine.toml", "listne = 'x'\n[engine]\nchain_budget = 5\n[http]\nbody_bytes = 1\n[log]\nlevel = 5\n");
    terminal.check(
        &["config", "check", "mine.toml"],
        expect![[r#"
        1 error: mine.toml:1: unknown key 'listne'; did you mean 'listen'?
        mine.toml:3: unknown key 'chain_budget' in [engine]; did you mean 'chain_budget_ms'?
        mine.toml:5: http.body_bytes: 1 is out of bounds; give 1024 to 1073741824 (bytes)
        mine.toml:7: log.level: expected text in quotes, found a number
    "#]],
    );
    terminal.site.file("syntax.toml", "listen = \n");
    terminal.check(
        &["config", "check", "syntax.toml"],
        expect![[r#"
        1 error: syntax.toml:1: string values must be quoted, expected literal string
    "#]],
    );
}

#[test]
fn hosts_that_do_not_start() {
    let site = Site::new();
    let host = host_on(&site);
    let terminal = Terminal { site, host: Some(host) };
    let site = &terminal.site;
    let (taken, data) = (terminal.host.as_ref().map(|host| host.address().to_string()).unwrap_or_default(), site.data());
    let start = |arguments: &[&str], variables: &[(&str, &str)], expected: Expect| {
        let ran = run(site.command(["run"]).args(arguments).envs(variables.iter().copied()));
        assert_eq!(ran.stdout, "", "{ran}");
        let said: String = ran
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: ") || !line.contains(" INFO "))
            .map(|line| format!("{line}\n"))
            .collect();
        let pid = terminal.host.as_ref().map(Host::pid).unwrap_or_default();
        let ran = Ran { stderr: said.replace(&format!("process {pid}"), "process PID"), ..ran };
        terminal.says(&ran, expected);
    };
    let host_at =
        |listen: &'static str, data: &'static str, plugins: &'static str| ["--listen", listen, "--data", data, "--plugins", plugins];
    let fresh = host_at("127.0.0.1:0", "fresh", "plugins");

    // The address.
    start(
        &["--listen", &taken, "--data", "fresh", "--plugins", "plugins"],
        &[],
        expect![[r#"
        1 error: port PORT is in use by another program, perhaps another host; choose another with --listen 127.0.0.1:PORT (0 takes a free one)
    "#]],
    );
    start(
        &host_at("0.0.0.0:0", "fresh", "plugins"),
        &[],
        expect![[r#"
        1 error: configuration: listen: 0.0.0.0:0 is reachable from other machines, which needs TLS: name a certificate and its key with http.tls_cert and http.tls_key, or listen on 127.0.0.1:0 or [::1]:0
    "#]],
    );
    start(
        &host_at("0.0.0.0:0", "fresh", "plugins"),
        &[("TRACKSIDE_HTTP_TLS_CERT", "nowhere.pem"), ("TRACKSIDE_HTTP_TLS_KEY", "nowhere.key")],
        expect![[r#"
        1 error: http.tls_cert: nowhere.pem: No such file or directory (os error 2)
    "#]],
    );
    start(
        &host_at("0.0.0.0:0", "fresh", "plugins"),
        &[("TRACKSIDE_HTTP_TLS_KEY", "nowhere.key")],
        expect![[r#"
        1 error: configuration: http.tls_cert: is missing; a certificate (http.tls_cert) and its key (http.tls_key) go together
    "#]],
    );
    let folder = site.root().join("tls");
    std::fs::create_dir(&folder).expect("a folder can be made");
    let authority = Authority::new(&folder);
    authority.issue(&folder, &["127.0.0.1"]);
    site.file("tls/junk.pem", "no certificate\n");
    let with = |cert: &'static str, key: &'static str| [("TRACKSIDE_HTTP_TLS_CERT", cert), ("TRACKSIDE_HTTP_TLS_KEY", key)];
    start(
        &fresh,
        &with("tls/junk.pem", "tls/host.key"),
        expect![[r#"
        1 error: http.tls_cert: tls/junk.pem: there is no certificate in it (PEM, -----BEGIN CERTIFICATE-----)
    "#]],
    );
    start(
        &fresh,
        &with("tls/host.pem", "tls/junk.pem"),
        expect![[r#"
        1 error: http.tls_key: tls/junk.pem: there is no private key in it (PEM, -----BEGIN PRIVATE KEY-----, without a passphrase)
    "#]],
    );
    start(
        &fresh,
        &[("TRACKSIDE_HTTP_NAMES", "https://desk")],
        expect![[r#"
        1 error: TRACKSIDE_HTTP_NAMES: http.names: 'https://desk' is not the name of a host; write it as in 'desk.example.com', or 'desk:8443' for one port only
    "#]],
    );
    start(
        &fresh,
        &[("TRACKSIDE_EVENTS_ALIASES", "Done=order:placed, Go=workflow:submit")],
        expect![[r#"
        1 error: TRACKSIDE_EVENTS_ALIASES: events.aliases: 'Go=workflow:submit': 'workflow:submit' is a command, or the host's own to tell: nothing else may stand for it
    "#]],
    );
    start(
        &fresh,
        &[("TRACKSIDE_HTTP_REQUIRE_TOKENS", "perhaps")],
        expect![[r#"
        1 error: TRACKSIDE_HTTP_REQUIRE_TOKENS: http.require_tokens: expected true or false, found 'perhaps'
    "#]],
    );
    site.file("tokens/tokens.toml", SHOP);
    start(
        &host_at("127.0.0.1:0", "tokens", "plugins"),
        &[],
        expect![[r#"
        1 error: the tokens in tokens: tokens/tokens.toml: 'Shop' is not a token's name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit; `trackside token` writes this file
    "#]],
    );
    start(
        &host_at("7070", "fresh", "plugins"),
        &[],
        expect![[r#"
        1 error: --listen: listen: '7070' is not an address and a port, such as 127.0.0.1:7070 or [::1]:7070
    "#]],
    );
    // The data directory.
    start(
        &["--listen", "127.0.0.1:0", "--data", &data.to_string_lossy(), "--plugins", "plugins"],
        &[],
        expect![[r#"
        1 error: SITE/data is in use by another host (process PID); stop that one, or use another data directory
    "#]],
    );
    site.file("a-file", "not a directory");
    start(
        &host_at("127.0.0.1:0", "a-file", "plugins"),
        &[],
        expect![[r#"
        1 error: the data directory a-file is not a directory; name another with --data
    "#]],
    );
    newer(&site.file("newer/.keep", "").with_file_name("log.db"));
    start(
        &host_at("127.0.0.1:0", "newer", "plugins"),
        &[],
        expect![[r#"
        1 error: newer: the log is of version 6, and this program knows versions up to 5; use a program at least as new as the one that wrote it
    "#]],
    );
    site.file("junk/log.db", "this is no database, and never was one\n".repeat(100));
    start(
        &host_at("127.0.0.1:0", "junk", "plugins"),
        &[],
        expect![[r#"
        1 error: junk: the file log.db there is not a log of this program; use another data directory, or restore a backup of the log
    "#]],
    );
    site.file("foreign/.keep", "");
    let foreign = Connection::open(site.root().join("foreign/log.db"));
    foreign.and_then(|foreign| foreign.execute_batch("CREATE TABLE recipes (name TEXT)")).expect("a database of somebody else");
    start(
        &host_at("127.0.0.1:0", "foreign", "plugins"),
        &[],
        expect![[r#"
        1 error: foreign: the file log.db there is not a log of this program; use another data directory, or restore a backup of the log
    "#]],
    );
    // The plugin directory.
    start(
        &host_at("127.0.0.1:0", "fresh", "a-file"),
        &[],
        expect![[r#"
        1 error: the plugin directory a-file is not a directory; name another with --plugins
    "#]],
    );
    // The configuration.
    start(
        &[&fresh[..], &["--config", "nowhere.toml"]].concat(),
        &[],
        expect![[r#"
        1 error: nowhere.toml: No such file or directory (os error 2); `trackside config default` prints a file to begin with
    "#]],
    );
    site.file("bad.toml", "listen = '127.0.0.1:0'\n[stop]\ngrace = 5\n");
    start(
        &[&fresh[..], &["--config", "bad.toml"]].concat(),
        &[],
        expect![[r#"
        1 error: bad.toml:3: unknown key 'grace' in [stop]; did you mean 'grace_ms'?
    "#]],
    );
    start(
        &fresh,
        &[("TRACKSIDE_STOP_GRACE_MS", "soon")],
        expect![[r#"
        1 error: TRACKSIDE_STOP_GRACE_MS: stop.grace_ms: expected a whole number (milliseconds), found 'soon'
    "#]],
    );
    start(
        &fresh,
        &[("TRACKSIDE_LOG_LEVEL", "shouting")],
        expect![[r#"
        1 error: TRACKSIDE_LOG_LEVEL: log.level: 'shouting' is not a level (trace, debug, info, warn, error, off) or a list such as 'info,trackside_wasm=debug'
    "#]],
    );
    assert!(!site.root().join("fresh/log.db").exists(), "nothing was begun");
    assert_eq!(terminal.host.as_ref().map(|host| host.get("/healthz").status), Some(200), "the other host is untouched");
}

/// A log as a program of the future would leave it: this one's, with a higher version.
fn newer(path: &std::path::Path) {
    let site = Site::new();
    assert_eq!(site.start().stop(), 0);
    std::fs::copy(site.data().join("log.db"), path).expect("a file can be copied");
    let log = Connection::open(path).expect("the log can be opened");
    let version: u32 = log.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("it has a version");
    log.pragma_update(None, "user_version", version + 1).expect("the version can be raised");
}

#[test]
fn settings_and_junk_in_a_plugin_directory() {
    let site = Site::new();
    site.shipped(&["sim", "text", "audit", "files"]);
    site.file("plugins/sim.toml", "worker = 3\n");
    site.file("plugins/text.toml", "[limits]\ntimeout_msec = 5\n");
    site.file("plugins/audit.toml", "[grants]\ntimeout_ms = 5\n");
    site.file("plugins/files.toml", "[grants]\nfolders = [{path = 'nowhere', guest = '/in'}]\n");
    site.file("plugins/orphan.toml", "[settings]\n");
    site.file("plugins/notes.txt", "do not forget");
    site.file("plugins/Loud.wasm", "junk");
    site.file("plugins/host.wasm", "junk");
    site.file("plugins/folder/inside.wasm", "junk");
    site.file("plugins/.hidden", "left alone");
    let host = site.start();
    let listed = host.get("/v1/plugins").expect(200);
    let mut refused: Vec<String> = listed["refused"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|refused| format!("{}: {}", refused["name"].as_str().unwrap_or_default(), refused["reason"].as_str().unwrap_or_default()))
        .collect();
    refused.sort();
    expect![[r#"
        Loud.wasm: 'Loud' is not a plugin name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit
        audit: audit.toml: line 2: unknown key 'timeout_ms' in [grants]; did you mean 'timers'?
        files: files.toml: line 2: folders: SITE/nowhere is not a folder of this machine
        folder: not a file; the plugin directory holds NAME.wasm and NAME.toml only
        host.wasm: 'host' is the name of a host component; rename the file
        notes.txt: neither a component (NAME.wasm) nor a settings file (NAME.toml); remove it
        orphan.toml: settings without a component: put orphan.wasm beside it, or remove it
        sim: sim.toml: line 1: unknown key 'worker'; did you mean 'workers'?
        text: text.toml: line 2: unknown key 'timeout_msec' in [limits]; did you mean 'timeout_ms'?"#]]
    .assert_eq(&steady(&site, None, &refused.join("\n")));
    assert_eq!(listed["plugins"], Value::Array(Vec::new()));
    eventually("all to be told", || (host.events("type=plugin:reload_failed").len() == refused.len()).then_some(()));
    // Put right while the host runs, they serve.
    site.file("plugins/sim.toml", "workers = 3\n");
    host.reload("sim").expect(200);
}
