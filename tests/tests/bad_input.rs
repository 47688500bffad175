//! Wrong input by every edge: the answer says what is wrong, where, and what to do; the status or the exit code says that it is; nothing changes.
//! What hostile plugins do is `hostile`'s.

use expect_test::{Expect, expect};
use rusqlite::Connection;
use trackside_tests::{Host, Ran, Site, Value, run};

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

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const NDJSON: &str = "application/x-ndjson";

impl Door {
    fn new() -> Self {
        let site = Site::new();
        let host = host_on(&site);
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
    door.publish("{\"event_type\": \"order:placed\",\n \"source_component\": }", expect![[""]]);
    door.publish("", expect![[""]]);
    door.publish("\"order:placed\"", expect![[""]]);
    door.publish("{}", expect![[""]]);
    door.publish(r#"{"event_type": "order:placed"}"#, expect![[""]]);
    door.publish(r#"{"source_component": "shop"}"#, expect![[""]]);
    door.publish(r#"{"event_type": "order", "source_component": "shop"}"#, expect![[""]]);
    door.publish(r#"{"event_type": "order:", "source_component": "shop"}"#, expect![[""]]);
    door.publish(r#"{"event_type": "order: placed!", "source_component": "shop"}"#, expect![[""]]);
    door.publish(&format!(r#"{{"event_type": "order:{}", "source_component": "shop"}}"#, "x".repeat(200)), expect![[""]]);
    door.publish(&order(r#", "paylod": {}"#), expect![[""]]);
    door.publish(&order(r#", "colour": "red""#), expect![[""]]);
    door.publish(&order(r#", "event_id": "seven""#), expect![[""]]);
    door.publish(&order(r#", "timestamp": "yesterday""#), expect![[""]]);
    door.publish(&order(r#", "severity": "loud""#), expect![[""]]);
    door.publish(&order(r#", "metadata": {"a": 1}"#), expect![[""]]);
    door.publish(&order(r#", "correlation_id": 7"#), expect![[""]]);
    door.publish(&order(&format!(r#", "correlation_id": "{}""#, "c".repeat(300))), expect![[""]]);
    door.publish(&order(&format!(r#", "payload": "{}""#, "x".repeat(1_500))), expect![[""]]);
    door.publish(&order(&format!(r#", "payload": {}{}"#, "[".repeat(65), "]".repeat(65))), expect![[""]]);
    door.publish(&order(&format!(r#", "payload": "{}""#, "x".repeat(5_000))), expect![[""]]);
    door.publish(r#"{"event_type": "task:completed", "source_component": "shop"}"#, expect![[""]]);
    door.publish(r#"{"event_type": "NodeCompleted", "source_component": "shop"}"#, expect![[""]]);
    door.publish(r#"{"event_type": "order:placed", "source_component": "execution_engine"}"#, expect![[""]]);
    door.publish(r#"{"event_type": "order:placed", "source_component": "sim"}"#, expect![[""]]);
    door.publish(r#"{"event_type": "workflow:pause", "source_component": "shop"}"#, expect![[""]]);
    door.publish(r#"{"event_type": "workflow:cancel", "source_component": "shop", "payload": {"workflow_id": "nobody"}}"#, expect![[""]]);
    door.publish(r#"[{"event_type": "order:placed", "source_component": "shop"}, {"event_type": "order:placed"}]"#, expect![[""]]);
    door.publish(r#"[{}, {}, {}, {}]"#, expect![[""]]);
    door.publish("[1", expect![[""]]);
    door.check("POST", "/v1/events", &[("Content-Type", "text/plain")], "{}", expect![[""]]);
    door.check("POST", "/v1/events", &[], "{}", expect![[""]]);
    door.check("POST", "/v1/events", &[("Content-Type", "application/json; charset=latin1")], "{}", expect![[""]]);
    door.check("POST", "/v1/events", &[("Content-Type", JSON), ("Content-Encoding", "gzip")], "{}", expect![[""]]);
    door.check("POST", "/v1/events?orderd=true", &[("Content-Type", JSON)], "{}", expect![[""]]);
    door.check("POST", "/v1/events?ordered=perhaps", &[("Content-Type", JSON)], "{}", expect![[""]]);
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
    expect![[""]].assert_eq(&shown.join("\n"));
    assert_eq!(door.log().len(), before + 2);
}

#[test]
fn queries() {
    let door = Door::new();
    door.get("/v1/events?limit=0", expect![[""]]);
    door.get("/v1/events?limit=1001", expect![[""]]);
    door.get("/v1/events?limit=5&limit=6", expect![[""]]);
    door.get("/v1/events?typ=a:b", expect![[""]]);
    door.get("/v1/events?type=order", expect![[""]]);
    door.get("/v1/events?severity=loud", expect![[""]]);
    door.get("/v1/events?since=yesterday", expect![[""]]);
    door.get("/v1/events?after=x", expect![[""]]);
    door.get("/v1/events?source=", expect![[""]]);
    door.get("/v1/events?type=%FF", expect![[""]]);
    door.get("/v1/events/nobody", expect![[""]]);
    door.get("/v1/events/999999", expect![[""]]);
    door.get("/v1/events/00000000-0000-0000-0000-000000000007", expect![[""]]);
    door.get("/v1/events/stream?limit=5", expect![[""]]);
    door.check("GET", "/v1/events/stream", &[("Last-Event-ID", "x")], "", expect![[""]]);
    door.get("/v1/workflows?status=faild", expect![[""]]);
    door.get("/v1/workflows?before=x", expect![[""]]);
    door.get("/v1/workflows/nobody", expect![[""]]);
    door.get("/v1/workflows/nobody?wait=maybe", expect![[""]]);
    door.get("/v1/plugins?all=1", expect![[""]]);
    door.get("/v1/event", expect![[""]]);
    door.get("/", expect![[""]]);
    door.check("DELETE", "/v1/events", &[], "", expect![[""]]);
    door.check("PUT", "/v1/workflows/x", &[], "", expect![[""]]);
    door.check("GET", "/v1/events", &[("Host", "evil.example")], "", expect![[""]]);
    door.check("GET", "/v1/events", &[("Origin", "http://evil.example")], "", expect![[""]]);
    door.check("POST", "/v1/workflows/nobody/cancel", &[("Content-Type", JSON)], "{}", expect![[""]]);
    door.check("POST", "/v1/workflows/nobody/cancel", &[("Content-Type", JSON)], r#"{"resaon": "x"}"#, expect![[""]]);
    door.check("POST", "/v1/plugins/sim/reload", &[], "", expect![[""]]);
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
        expect![[""]],
    );
    door.submit("name: x\ntasks:\n  - {id: a, method: nobody/knows}\n  - {id: b, method: sim/slep}\n", expect![[""]]);
    door.submit("name: x\ntasks: [", expect![[""]]);
    door.submit("name: x\n", expect![[""]]);
    door.submit("", expect![[""]]);
    door.submit(&format!("name: {}\n", "x".repeat(5_000)), expect![[""]]);
    let json = |body: &str, expected| door.check("POST", "/v1/workflows", &[("Content-Type", JSON)], body, expected);
    json("{\"name\":\n x}", expect![[""]]);
    json(r#"{"definition": {"name": "x", "tasks": [{"id": "a", "method": "sim/echo"}]}, "inptu": 1}"#, expect![[""]]);
    json(r#"{"definition": {"name": "x", "tasks": [{"id": "a", "method": "sim/echo"}]}, "format": "yaml"}"#, expect![[""]]);
    json(r#"{"definition": {"name": "x", "tasks": [{"id": "a", "method": "sim/echo", "depends": []}]}}"#, expect![[""]]);
    door.check("POST", "/v1/workflows", &[("Content-Type", NDJSON)], "{}", expect![[""]]);
    door.check("POST", "/v1/workflows?input=%7B", &[("Content-Type", YAML)], "name: x\ntasks: [{id: a, method: sim/echo}]", expect![[""]]);
    door.publish(r#"{"event_type": "workflow:submit", "source_component": "shop", "payload": {"definiton": {}}}"#, expect![[""]]);
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
    let before = terminal.host.as_ref().map(|host| host.events("narration=false").len());
    terminal.check(&["publish", "broken.json"], expect![[""]]);
    terminal.check(&["publish", "empty.json"], expect![[""]]);
    terminal.check(&["publish", "nowhere.json"], expect![[""]]);
    terminal.check(&["publish", "--type", "order"], expect![[""]]);
    terminal.check(&["publish", "--type", "order:placed", "--payload", "{x}"], expect![[""]]);
    terminal.check(&["publish", "--type", "task:completed"], expect![[""]]);
    terminal.check(&["publish", "--type", "order:placed", "--metadata", "x"], expect![[""]]);
    terminal.check(&["events", "--type", "order"], expect![[""]]);
    terminal.check(&["events", "--since", "monday"], expect![[""]]);
    terminal.check(&["events", "explain", "x"], expect![[""]]);
    terminal.check(&["events", "explain", "99999"], expect![[""]]);
    terminal.check(&["submit", "bad.yaml"], expect![[""]]);
    terminal.check(&["submit", "nowhere.yaml"], expect![[""]]);
    terminal.check(&["submit", "bad.yaml", "--input", "{"], expect![[""]]);
    terminal.check(&["workflow", "show", "nobody"], expect![[""]]);
    terminal.check(&["workflow", "cancel", "nobody"], expect![[""]]);
    terminal.check(&["workflow", "list", "--status", "runing"], expect![[""]]);
    terminal.check(&["plugin", "reload", "sim"], expect![[""]]);
    terminal.check(&["plugin", "reload", "Sim!"], expect![[""]]);
    let after = terminal.host.as_ref().map(|host| host.events("narration=false").len());
    assert_eq!(before, after, "the log has changed");
}

#[test]
fn commands_without_a_host() {
    let terminal = Terminal { site: Site::new(), host: None };
    terminal.check(&["evnets"], expect![[""]]);
    terminal.check(&["publish", "--type", "a:b", "--url", "http://127.0.0.1:1"], expect![[""]]);
    terminal.check(&["events", "--url", "https://127.0.0.1:1"], expect![[""]]);
    terminal.check(&["events", "--data", "nowhere"], expect![[""]]);
    terminal.check(&["workflow", "show", "x", "--data", "plugins"], expect![[""]]);
    terminal.check(&["plugin", "add", "simm"], expect![[""]]);
    terminal.check(&["plugin", "add", "nowhere.wasm"], expect![[""]]);
    terminal.check(&["plugin", "remove", "sim", "--plugins", "nowhere"], expect![[""]]);
    terminal.check(&["plugin", "check", "sim", "--plugins", "nowhere"], expect![[""]]);
    terminal.check(&["config", "check", "nowhere.toml"], expect![[""]]);
    terminal.site.file("mine.toml", "listne = 'x'\n[engine]\nchain_budget = 5\n[http]\nbody_bytes = 1\n[log]\nlevel = 5\n");
    terminal.check(&["config", "check", "mine.toml"], expect![[""]]);
    terminal.site.file("syntax.toml", "listen = \n");
    terminal.check(&["config", "check", "syntax.toml"], expect![[""]]);
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
    start(&["--listen", &taken, "--data", "fresh", "--plugins", "plugins"], &[], expect![[""]]);
    start(&host_at("0.0.0.0:0", "fresh", "plugins"), &[], expect![[""]]);
    start(&host_at("7070", "fresh", "plugins"), &[], expect![[""]]);
    // The data directory.
    start(&["--listen", "127.0.0.1:0", "--data", &data.to_string_lossy(), "--plugins", "plugins"], &[], expect![[""]]);
    site.file("a-file", "not a directory");
    start(&host_at("127.0.0.1:0", "a-file", "plugins"), &[], expect![[""]]);
    newer(&site.file("newer/.keep", "").with_file_name("log.db"));
    start(&host_at("127.0.0.1:0", "newer", "plugins"), &[], expect![[""]]);
    site.file("junk/log.db", "this is no database, and never was one\n".repeat(100));
    start(&host_at("127.0.0.1:0", "junk", "plugins"), &[], expect![[""]]);
    site.file("foreign/.keep", "");
    let foreign = Connection::open(site.root().join("foreign/log.db"));
    foreign.and_then(|foreign| foreign.execute_batch("CREATE TABLE recipes (name TEXT)")).expect("a database of somebody else");
    start(&host_at("127.0.0.1:0", "foreign", "plugins"), &[], expect![[""]]);
    // The plugin directory.
    start(&host_at("127.0.0.1:0", "fresh", "a-file"), &[], expect![[""]]);
    // The configuration.
    start(&[&fresh[..], &["--config", "nowhere.toml"]].concat(), &[], expect![[""]]);
    site.file("bad.toml", "listen = '127.0.0.1:0'\n[stop]\ngrace = 5\n");
    start(&[&fresh[..], &["--config", "bad.toml"]].concat(), &[], expect![[""]]);
    start(&fresh, &[("TRACKSIDE_STOP_GRACE_MS", "soon")], expect![[""]]);
    start(&fresh, &[("TRACKSIDE_LOG_LEVEL", "shouting")], expect![[""]]);
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
    expect![[""]].assert_eq(&steady(&site, None, &refused.join("\n")));
    assert_eq!(listed["plugins"], Value::Array(Vec::new()));
    assert_eq!(host.events("type=plugin:reload_failed").len(), refused.len());
    // Put right while the host runs, they serve.
    site.file("plugins/sim.toml", "workers = 3\n");
    host.reload("sim").expect(200);
}
