//! What hostile guests try with HTTP and secrets: each comes to what is said here, and a neighbour's calls go on unharmed.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use trackside_test_guests as guests;
use trackside_tests::{Answer, Authority, Outside, Value, eventually, json};

use crate::stage::Stage;

/// A stage on which names of the world outside lead to this machine.
fn stage() -> (Stage, Authority) {
    let site = trackside_tests::Site::new();
    let authority = Authority::new(site.root());
    let file = authority.file().to_owned();
    let stage = Stage::on(site, move |command| {
        command.env("TRACKSIDE_OUTGOING_CA_FILE", file).env(
            "TRACKSIDE_OUTGOING_RESOLVE",
            "granted.test=127.0.0.1, other.test=127.0.0.1, metadata.test=169.254.169.254, inside.test=10.0.0.1",
        )
    });
    (stage, authority)
}

/// The grant that lets it reach a server of this test, as far as it should.
fn granted(host: &str, port: u16) -> String {
    format!("[[grants.http]]\nhost = '{host}'\nport = {port}\nplain = true\nprivate = true\n")
}

impl Stage {
    fn caller(&self, settings: &str) {
        let settings = format!("[controls]\nevent_types = []\n[observes]\nevent_types = []\n[breaker]\nfaults = 1000\n{settings}");
        self.site.plugin("caller", guests::build().bytes("caller"), &settings);
        self.host.reload("caller").expect(200);
    }

    /// What came of a call, in the guest's words; the neighbour is at work meanwhile.
    fn call(&mut self, parameters: &Value) -> Value {
        let id = self.start(parameters);
        self.publish();
        self.work();
        let view = self.host.ended(&id);
        assert_eq!(view["status"], "completed", "{view}");
        view["tasks"][0]["result"].clone()
    }

    fn start(&self, parameters: &Value) -> String {
        self.host.submit(&format!("name: call\ntasks:\n  - {{id: c, method: caller/call, parameters: {parameters}}}\n"))
    }
}

#[test]
fn a_host_that_is_not_granted_is_not_dialled() {
    let (mut stage, _) = stage();
    let server = Outside::http(|_| Answer::text(200, "no"));
    stage.caller("");
    for url in [format!("http://127.0.0.1:{}/", server.port()), format!("http://granted.test:{}/", server.port())] {
        assert_eq!(stage.call(&json!({"url": url}))["error"], "NotGranted");
    }
    assert_eq!(stage.host.events("type=error:raised").len(), 2);
    // Ever new names are refused, and the first hundred things are reported.
    let many = stage.call(&json!({"url": "https://nobody-{n}.test/", "times": 150}));
    assert_eq!((&many["error"], &many["answers"]), (&json!("NotGranted"), &json!(0)), "{many}");
    assert_eq!(server.connections(), 0);
    assert_eq!(stage.host.events("type=error:raised").len(), 100);
    stage.neighbour_is_unharmed();
}

#[test]
fn this_machine_and_private_networks_are_not_dialled_whatever_their_name() {
    let (mut stage, _) = stage();
    let server = Outside::http(|_| Answer::text(200, "no"));
    let port = server.port();
    // All of these are granted, but for where they lead.
    let hosts = ["127.0.0.1", "localhost", "granted.test", "metadata.test", "inside.test", "::1", "0.0.0.0", "2130706433", "::ffff:7f00:1"];
    let grants: String = hosts.map(|host| granted(host, port).replace("private = true\n", "")).concat();
    stage.caller(&grants);
    for host in ["127.0.0.1", "localhost", "granted.test", "metadata.test", "inside.test", "[::1]", "2130706433", "[::ffff:7f00:1]"] {
        let got = stage.call(&json!({"url": format!("http://{host}:{port}/")}));
        assert_eq!(got["error"], "PrivateAddress", "{host}: {got}");
    }
    let nobody = stage.call(&json!({"url": format!("http://0.0.0.0:{port}/")}));
    assert!(nobody["error"].as_str().is_some_and(|error| error.starts_with("Unreachable")), "{nobody}");
    assert_eq!(server.connections(), 0);
    let told = stage.host.wait_for("type=error:raised", |event| event["payload"].to_string().contains("localhost"));
    let lines = format!("[[grants.http]]\nhost = \"localhost\"\nport = {port}\nmethods = [\"GET\"]\nplain = true\nprivate = true");
    assert_eq!(told["payload"]["error"]["grant"], lines, "{told}");
    stage.neighbour_is_unharmed();
}

#[test]
fn a_redirect_is_a_request_that_is_looked_at_anew() {
    let (mut stage, _) = stage();
    let secret_place = Outside::http(|_| Answer::text(200, "no"));
    let to = format!("http://other.test:{}/", secret_place.port());
    let server = Outside::http(move |_| Answer::redirect(&to));
    stage.caller(&granted("granted.test", server.port()));
    let url = format!("http://granted.test:{}/", server.port());
    let answer = stage.call(&json!({"url": url}));
    assert_eq!(answer["status"], 302, "the host follows none: {answer}");
    assert_eq!(stage.call(&json!({"url": url, "follow": 1}))["error"], "NotGranted");
    assert_eq!((server.came().len(), secret_place.connections()), (2, 0));
    stage.neighbour_is_unharmed();
}

#[test]
fn an_answer_without_end_is_cut() {
    let (mut stage, _) = stage();
    let server = Outside::http(|_| Answer::Endless);
    let url = format!("http://granted.test:{}/", server.port());
    // By the time of a request.
    stage.caller(&format!("[limits]\nhttp_timeout_ms = 300\n{}", granted("granted.test", server.port())));
    assert_eq!(stage.call(&json!({"url": url}))["error"], "Timeout");
    // By its bytes.
    stage.caller(&format!("[limits]\nhttp_response_bytes = 100\n{}", granted("granted.test", server.port())));
    assert_eq!(stage.call(&json!({"url": url}))["error"], "ResponseTooLarge");
    // By the deadline of the call.
    stage.caller(&format!("[limits]\ntimeout_ms = 300\n{}", granted("granted.test", server.port())));
    let id = stage.start(&json!({"url": url}));
    let view = stage.host.ended(&id);
    assert_eq!((&view["tasks"][0]["error"]["code"], &view["tasks"][0]["error"]["fault"]), (&json!("deadline"), &json!(true)), "{view}");
    stage.publish();
    stage.work();
    stage.neighbour_is_unharmed();
}

#[test]
fn answers_and_bodies_above_their_limits_are_refused_and_said() {
    let (mut stage, _) = stage();
    let server = Outside::http(|_| Answer::Whole(200, Vec::new(), vec![b'x'; 300_000]));
    let url = format!("http://granted.test:{}/", server.port());
    stage.caller(&format!(
        "[limits]\nhttp_response_bytes = 200_000\nhttp_request_bytes = 100_000\n{}",
        granted("granted.test", server.port())
    ));
    assert_eq!(stage.call(&json!({"url": url}))["error"], "ResponseTooLarge");
    let got = stage.call(&json!({"url": url, "method": "POST", "body_bytes": 150_000}));
    assert_eq!(got["error"], "RequestTooLarge", "{got}");
    for (limit, allowed) in [("http_response_bytes", 200_000), ("http_request_bytes", 100_000)] {
        let told = stage.host.wait_for("type=error:raised", |event| event["payload"]["error"]["limit"] == limit);
        assert_eq!(told["payload"]["error"]["allowed"], allowed, "{told}");
    }
    stage.neighbour_is_unharmed();
}

#[test]
fn too_many_requests_are_refused_and_said() {
    let (mut stage, _) = stage();
    let server = Outside::http(|_| Answer::text(200, "ok"));
    let silent = Outside::http(|_| Answer::Silence);
    let grants = [server.port(), silent.port()].map(|port| granted("granted.test", port)).concat();
    stage.caller(&format!("[limits]\nhttp_requests = 5\nhttp_concurrent = 2\nhttp_timeout_ms = 500\n{grants}"));
    let got = stage.call(&json!({"url": format!("http://granted.test:{}/", server.port()), "times": 20}));
    assert_eq!((&got["error"], &got["answers"]), (&json!("TooMany"), &json!(5)), "{got}");
    let got = stage.call(&json!({"url": format!("http://granted.test:{}/", silent.port()), "together": 3}));
    assert_eq!((&got["error"], &got["answers"]), (&json!("TooMany"), &json!(0)), "{got}");
    let got = stage.call(&json!({"url": format!("http://granted.test:{}/", server.port()), "together": 2}));
    assert_eq!((&got["error"], &got["answers"]), (&Value::Null, &json!(2)), "{got}");
    assert!(server.came().len() == 7 && silent.connections() <= 2, "{} {}", server.came().len(), silent.connections());
    for limit in ["http_requests", "http_concurrent"] {
        stage.host.wait_for("type=error:raised", |event| event["payload"]["error"]["limit"] == limit);
    }
    stage.neighbour_is_unharmed();
}

#[test]
fn who_waits_past_the_deadline_ends_by_it_in_every_role_that_calls_out() {
    let (mut stage, _) = stage();
    let server = Outside::http(|_| Answer::Silence);
    let url = format!("http://granted.test:{}/", server.port());
    stage.caller(&format!("[limits]\ntimeout_ms = 300\n{}", granted("granted.test", server.port())));
    let view = stage.host.ended(&stage.start(&json!({"url": url})));
    assert_eq!((&view["tasks"][0]["error"]["code"], &view["tasks"][0]["error"]["fault"]), (&json!("deadline"), &json!(true)), "{view}");

    let settings = format!(
        "[controls]\nevent_types = []\n[observes]\nevent_types = ['case:*']\n[limits]\ntimeout_ms = 300\n[settings]\nurl = '{url}'\n{}",
        granted("granted.test", server.port())
    );
    stage.site.plugin("caller", guests::build().bytes("caller"), &settings);
    stage.host.reload("caller").expect(200);
    stage.publish();
    let fault = stage.host.wait_for("type=plugin:fault&provider_id=caller", |fault| fault["payload"]["call"] == "observe");
    assert_eq!((&fault["payload"]["kind"], &fault["payload"]["allowed"]), (&json!("deadline"), &json!(300)), "{fault}");
    assert_eq!(fault["payload"]["http_requests"], 1, "{fault}");
    stage.work();
    stage.neighbour_is_unharmed();
}

#[test]
fn a_connection_that_is_not_made_is_given_up() {
    let (mut stage, _) = stage();
    // A port that nobody listens on any more, and one where nobody says a word of TLS.
    let gone = Outside::http(|_| Answer::Silence).port();
    let mute = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
    let mute_port = mute.local_addr().expect("it has an address").port();
    let grants = format!("{}[[grants.http]]\nhost = 'granted.test'\nport = {mute_port}\nprivate = true\n", granted("granted.test", gone));
    stage.caller(&format!("[limits]\nhttp_connect_ms = 300\n{grants}"));
    let got = stage.call(&json!({"url": format!("http://granted.test:{gone}/")}));
    assert_eq!(got["error"], "Unreachable(\"it takes no connection\")", "{got}");
    let begun = Instant::now();
    assert_eq!(stage.call(&json!({"url": format!("https://granted.test:{mute_port}/")}))["error"], "Timeout");
    assert!(begun.elapsed() < Duration::from_secs(15), "http_timeout_ms is not what ended it");
    let got = stage.call(&json!({"url": "https://user:password@granted.test/"}));
    assert!(got["error"].as_str().is_some_and(|error| error.starts_with("Invalid")), "{got}");
    stage.neighbour_is_unharmed();
}

#[test]
fn a_secret_reaches_nobody_it_is_not_for() {
    let (mut stage, authority) = stage();
    let evil = Outside::https(&authority, &["other.test"], |came| Answer::text(200, came.header("authorization").unwrap_or_default()));
    let secret = format!(
        "[[grants.http]]\nhost = 'other.test'\nport = {}\nprivate = true\n[[grants.secrets]]\nname = 'key'\nenv = 'HOSTILE_TEST_SECRET'\nhosts = ['granted.test']\n",
        evil.port()
    );
    stage.caller(&secret);
    // It has no value yet; with one, it takes a host that has it in its environment.
    assert_eq!(stage.call(&json!({"secret": "key"}))["error"], "Unknown");
    let file = stage.site.file("key", "s3cret-value");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode can be set");
    stage.caller(&secret.replace("env = 'HOSTILE_TEST_SECRET'", &format!("file = '{}'", file.display())));
    let got = stage.call(&json!({"url": format!("https://other.test:{}/SECRET", evil.port()), "method": "POST", "secret": "key"}));
    let placeholder = got["placeholder"].as_str().expect("it has a placeholder").to_owned();
    assert_eq!(got["body"], format!("Bearer {placeholder}"), "to a host that the secret is not for it stays what it is");
    eventually("the line", || stage.host.output().contains(&format!("the secret is {placeholder}")).then_some(()));
    let said: String = stage.host.events("narration=true").iter().map(ToString::to_string).collect();
    assert!(!said.contains("s3cret-value") && !stage.host.output().contains("s3cret-value"));
    stage.neighbour_is_unharmed();
}
