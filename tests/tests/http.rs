//! Plugins that call out: what goes out where it is granted, what the world outside sees of it, and what stays here.
//! What hostile ones try is told by `hostile`.

use trackside_test_guests as guests;
use trackside_tests::{Answer, Authority, Host, Outside, Site, Value, eventually, json};

/// A host whose plugins find these names on this machine, and trust the authority.
fn start(site: &Site, authority: &Authority) -> Host {
    start_with(site, authority, &[])
}

fn start_with(site: &Site, authority: &Authority, variables: &[(&str, &str)]) -> Host {
    site.start_with(|command| {
        command
            .env("TRACKSIDE_OUTGOING_CA_FILE", authority.file())
            .env("TRACKSIDE_OUTGOING_RESOLVE", "shop.test=127.0.0.1, other.test=127.0.0.1")
            .envs(variables.iter().copied())
    })
}

fn caller(site: &Site, settings: &str) {
    site.plugin(
        "caller",
        guests::build().bytes("caller"),
        &format!("[controls]\nevent_types = []\n[observes]\nevent_types = []\n{settings}"),
    );
}

fn grant(host: &str, port: u16, more: &str) -> String {
    format!("[[grants.http]]\nhost = '{host}'\nport = {port}\nprivate = true\n{more}\n")
}

/// What came of a call, in the guest's words.
fn call(host: &Host, parameters: &Value) -> Value {
    let view = host.finish(&format!("name: call\ntasks:\n  - {{id: c, method: caller/call, parameters: {parameters}}}\n"));
    assert_eq!(view["status"], "completed", "{view}");
    view["tasks"][0]["result"].clone()
}

#[test]
fn a_worker_calls_where_it_is_granted_and_what_it_used_is_counted() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let shop = Outside::https(&authority, &["shop.test"], |came| {
        Answer::Whole(201, vec![("x-kind".to_owned(), "order".to_owned())], [b"got ".as_slice(), came.body.as_slice()].concat())
    });
    caller(&site, &grant("shop.test", shop.port(), "methods = ['POST']\npath_prefix = '/v1'"));
    let host = start(&site, &authority);
    let url = format!("https://shop.test:{}/v1/orders?a=b%20c", shop.port());
    let got = call(&host, &json!({"url": url, "method": "POST", "body": "three", "headers": {"x-one": "1"}, "timeout_ms": 20_000}));
    assert_eq!((&got["status"], &got["body"], &got["headers"]["x-kind"]), (&json!(201), &json!("got three"), &json!("order")), "{got}");

    let came = shop.came();
    assert_eq!((came.len(), came[0].method.as_str(), came[0].path.as_str()), (1, "POST", "/v1/orders?a=b%20c"));
    assert_eq!(came[0].header("host"), Some(format!("shop.test:{}", shop.port()).as_str()));
    assert_eq!((came[0].header("x-one"), came[0].header("content-length"), came[0].text().as_str()), (Some("1"), Some("5"), "three"));

    let status = host.plugin("caller");
    assert_eq!(status["http"], json!({"requests": 1, "request_bytes": 5, "response_bytes": 9}), "{status}");
    assert_eq!(status["effect_class"], "effectful");
    assert_eq!(status["grants"]["http"][0]["host"], "shop.test");
    assert_eq!(host.events("type=error:raised"), [] as [Value; 0]);
}

#[test]
fn each_part_of_a_grant_is_looked_at_and_what_is_missing_is_reported_once_with_its_lines() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let shop = Outside::https(&authority, &["shop.test", "other.test"], |_| Answer::text(200, "no"));
    let port = shop.port();
    caller(&site, &grant("shop.test", port, "methods = ['GET']\npath_prefix = '/v1'"));
    let host = start(&site, &authority);
    let refused = [
        ("GET", format!("https://other.test:{port}/v1"), format!("host = \"other.test\"\nport = {port}\nmethods = [\"GET\"]")),
        ("GET", "https://shop.test/v1".to_owned(), "host = \"shop.test\"\nmethods = [\"GET\"]".to_owned()),
        ("PUT", format!("https://shop.test:{port}/v1"), format!("host = \"shop.test\"\nport = {port}\nmethods = [\"PUT\"]")),
        (
            "GET",
            format!("https://shop.test:{port}/v10"),
            format!("host = \"shop.test\"\nport = {port}\nmethods = [\"GET\"]\npath_prefix = \"/v10\""),
        ),
        ("GET", format!("http://shop.test:{port}/v1"), format!("host = \"shop.test\"\nport = {port}\nmethods = [\"GET\"]\nplain = true")),
    ];
    for (method, url, _) in &refused {
        for _ in 0..2 {
            let got = call(&host, &json!({"url": url, "method": method}));
            assert_eq!((&got["error"], &got["answers"]), (&json!("NotGranted"), &json!(0)), "{method} {url}");
        }
    }
    assert_eq!(shop.connections(), 0, "nothing was dialled");
    let reported: Vec<Value> = host.events("type=error:raised").iter().map(|event| event["payload"]["error"]["grant"].clone()).collect();
    let expected: Vec<Value> = refused.iter().map(|(_, _, lines)| json!(format!("[[grants.http]]\n{lines}"))).collect();
    assert_eq!(reported, expected);

    // With those lines in its settings, it goes out.
    caller(&site, &grant("shop.test", port, "methods = ['PUT']"));
    host.reload("caller").expect(200);
    assert_eq!(call(&host, &json!({"url": format!("https://shop.test:{port}/v1"), "method": "PUT"}))["status"], 200);
}

#[test]
fn a_secret_goes_to_its_hosts_in_headers_over_tls_and_nowhere_else() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let https = Outside::https(&authority, &["shop.test", "other.test"], |_| Answer::text(200, "ok"));
    let http = Outside::http(|_| Answer::text(200, "ok"));
    let file = site.file("key.txt", "s3cret-value\n");
    set_mode(&file, 0o600);
    let settings = format!(
        "{}{}{}[[grants.secrets]]\nname = 'key'\nfile = '{}'\nhosts = ['shop.test']\n[[grants.secrets]]\nname = 'absent'\nenv = 'NO_SUCH_VARIABLE'\n",
        grant("shop.test", https.port(), ""),
        grant("other.test", https.port(), ""),
        grant("shop.test", http.port(), "plain = true"),
        file.display(),
    );
    caller(&site, &settings);
    let host = start(&site, &authority);
    let ask = |url: String| call(&host, &json!({"url": url, "method": "POST", "secret": "key", "sign": "message"}));

    let got = ask(format!("https://shop.test:{}/SECRET", https.port()));
    let placeholder = got["placeholder"].as_str().expect("it has a placeholder").to_owned();
    // HMAC-SHA-256 of `message` under `s3cret-value`.
    assert_eq!(got["signature"], "50a6879976cd71347ed90a5a194384eb2c5156b0041583e2d5547a5475356312");
    ask(format!("https://other.test:{}/", https.port()));
    ask(format!("http://shop.test:{}/", http.port()));
    let came = https.came();
    assert_eq!(came[0].header("authorization"), Some("Bearer s3cret-value"));
    assert_eq!((came[0].path.as_str(), came[0].text()), (format!("/{placeholder}").as_str(), placeholder.clone()));
    assert_eq!(came[1].header("authorization"), Some(format!("Bearer {placeholder}").as_str()), "another host");
    assert_eq!(http.came()[0].header("authorization"), Some(format!("Bearer {placeholder}").as_str()), "without TLS");

    // What is not there is unknown, what is not listed not granted, with the lines.
    assert_eq!(call(&host, &json!({"secret": "absent"}))["error"], "Unknown");
    assert_eq!(call(&host, &json!({"secret": "others"}))["error"], "NotGranted");
    let reported = host.wait_for("type=error:raised", |event| event["payload"].to_string().contains("others"));
    let lines = reported["payload"]["error"]["grant"].as_str().unwrap_or_default();
    assert!(lines.starts_with("[[grants.secrets]]\nname = \"others\""), "{reported}");

    // The placeholder stands in the log; the value nowhere but at its host.
    assert!(host.output().contains(&format!("the secret is {placeholder}")), "{}", host.output());
    let everything = [
        host.output(),
        host.get("/v1/plugins").text(),
        host.cli(&["plugin", "list"]).stdout,
        site.run(["plugin", "check", "plugins/caller.wasm"]).stdout,
        host.events("narration=true").iter().map(ToString::to_string).collect(),
    ];
    for text in everything {
        assert!(!text.contains("s3cret-value"), "{text}");
    }

    // Another value is taken up at a reload.
    site.file("key.txt", "another-value");
    host.reload("caller").expect(200);
    ask(format!("https://shop.test:{}/", https.port()));
    assert_eq!(https.came().last().expect("it came").header("authorization"), Some("Bearer another-value"));

    // One that everybody can read is refused, and what runs goes on.
    set_mode(&file, 0o604);
    let refused = host.reload("caller");
    assert!(refused.status == 422 && refused.text().contains("can be read by everybody"), "{refused}");
    assert!(!refused.text().contains("another-value"), "{refused}");
    ask(format!("https://shop.test:{}/", https.port()));
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_spoken_to() {
    let site = Site::new();
    let elsewhere = Site::new();
    let (trusted, stranger) = (Authority::new(site.root()), Authority::new(elsewhere.root()));
    let one = Outside::https(&stranger, &["shop.test"], |_| Answer::text(200, "no"));
    let other = Outside::https(&trusted, &["another.test"], |_| Answer::text(200, "no"));
    let plain = Outside::http(|_| Answer::text(200, "no"));
    caller(&site, &[one.port(), other.port(), plain.port()].map(|port| grant("shop.test", port, "")).concat());
    let host = start(&site, &trusted);
    for (server, says) in [(&one, "certificate is not trusted"), (&other, "certificate is not trusted"), (&plain, "Broken(")] {
        let got = call(&host, &json!({"url": format!("https://shop.test:{}/", server.port())}));
        let error = got["error"].as_str().unwrap_or_default();
        assert!(error.contains(says), "{got}");
        assert!(server.came().is_empty(), "nothing was said");
    }
}

#[test]
fn an_observer_that_calls_out_holds_no_thread_and_is_delivered_as_any_other() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let shop = Outside::http(|_| Answer::text(204, ""));
    let slow = Outside::http(|_| Answer::Silence);
    let settings = |url: String, more: &str| {
        format!("[controls]\nevent_types = []\n[observes]\nevent_types = ['order:*']\n[settings]\nurl = '{url}'\n{more}")
    };
    let caller = guests::build().bytes("caller");
    let granted = grant("127.0.0.1", shop.port(), "plain = true");
    site.plugin("caller", &caller, &settings(format!("http://127.0.0.1:{}/", shop.port()), &granted));
    // More of them than there are threads for observers, and all of them wait.
    for number in 0..4 {
        let more = format!("[limits]\ntimeout_ms = 60_000\nhttp_timeout_ms = 60_000\n{}", grant("127.0.0.1", slow.port(), "plain = true"));
        site.plugin(&format!("slow-{number}"), &caller, &settings(format!("http://127.0.0.1:{}/", slow.port()), &more));
    }
    let host = start_with(&site, &authority, &[("TRACKSIDE_ENGINE_OBSERVER_THREADS", "2"), ("TRACKSIDE_ENGINE_WORKER_THREADS", "1")]);
    for number in 1..=5 {
        host.publish(&json!({"event_type": "order:placed", "source_component": "shop", "payload": {"n": number}})).expect(201);
        eventually("the observer's count", || (site.kv("caller", "got")?.as_str() == "204").then_some(()));
    }
    eventually("all slow ones to wait", || (slow.came().len() == 4).then_some(()));
    eventually("every event", || {
        (shop.came().len() as u64 >= site.kv_number("caller", "observed") && site.kv_number("caller", "observed") > 0).then_some(())
    });
    assert_eq!(host.events("type=plugin:fault"), [] as [Value; 0]);
    // They do not keep the host from stopping.
    drop(slow);
    assert_eq!(host.stop(), 0);
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The publisher's span, as its header.
fn traced() -> (&'static str, String) {
    ("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
}

#[test]
fn a_request_continues_the_trace_of_what_the_call_is_about() {
    let site = Site::new();
    let shop = Outside::http(|_| Answer::text(204, ""));
    let url = format!("http://127.0.0.1:{}/", shop.port());
    let more = format!("[settings]\nurl = '{url}'\n{}", grant("127.0.0.1", shop.port(), "plain = true"));
    let settings = format!("[controls]\nevent_types = []\n[observes]\nevent_types = ['order:*']\n{more}");
    site.plugin("caller", guests::build().bytes("caller"), &settings);
    let host = site.start();
    let (name, parent) = traced();
    let publish = |number: u32, headers: &[(&str, &str)]| {
        let event = json!({"event_type": "order:placed", "source_component": "shop", "payload": {"n": number}});
        let headers: Vec<(&str, &str)> = [("Content-Type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
        let answer = host.send("POST", "/v1/events", &headers, event.to_string()).expect(201);
        let came = eventually("its request", || shop.came().get(number as usize).map(|came| came.header(name).map(str::to_owned)));
        (host.get(&format!("/v1/events/{}", answer["sequence_number"])).expect(200)["event"].take(), came)
    };
    // An observer's requests come from the event's own span.
    let (event, came) = publish(0, &[(name, &parent), ("tracestate", "shop=1")]);
    assert_eq!(came.as_deref(), event["metadata"]["traceparent"].as_str(), "{event}");
    assert!(came.is_some_and(|came| came.contains(TRACE) && came != parent));
    assert_eq!(shop.came()[0].header("tracestate"), Some("shop=1"));
    // What is of no trace begins none.
    assert_eq!(publish(1, &[]).1, None);

    // A worker's come from the span of its attempt, or from where the guest says.
    let ran = |parameters: &Value| {
        let before = shop.came().len();
        let definition = json!({"name": "call", "tasks": [{"id": "c", "method": "caller/call", "parameters": parameters}]});
        let headers = [("Content-Type", "application/json"), (name, &*parent)];
        let body = json!({"definition": definition}).to_string();
        let submitted = host.send("POST", "/v1/workflows", &headers, body).expect(201);
        let workflow = submitted["workflow_id"].as_str().expect("it has an id").to_owned();
        host.ended(&workflow);
        (host.events(&format!("type=task:started&workflow_id={workflow}"))[0].clone(), shop.came()[before].header(name).map(str::to_owned))
    };
    let (started, came) = ran(&json!({"url": url}));
    assert_eq!(came.as_deref(), started["metadata"]["traceparent"].as_str(), "{started}");
    assert!(came.is_some_and(|came| came.contains(TRACE)));
    let own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    assert_eq!(ran(&json!({"url": url, "headers": {"traceparent": own}})).1.as_deref(), Some(own));
}

#[test]
fn control_handlers_do_not_call_out() {
    let site = Site::new();
    let shop = Outside::http(|_| Answer::text(200, "no"));
    let granted = grant("127.0.0.1", shop.port(), "plain = true");
    site.plugin("minimal", guests::build().bytes("minimal"), &granted);
    let settings = format!(
        "[controls]\nevent_types = ['order:*']\n[observes]\nevent_types = []\n[settings]\nsteers = true\nurl = 'http://127.0.0.1:{}/'\n{granted}",
        shop.port()
    );
    site.plugin("caller", guests::build().bytes("caller"), &settings);
    let host = site.start();
    let refused = host.get("/v1/plugins").expect(200)["refused"].clone();
    assert!(refused[0]["name"] == "minimal" && refused.to_string().contains("is a control handler alone"), "{refused}");
    // A component with other roles is in service, and its handler is answered that it may not.
    host.publish(&json!({"event_type": "order:placed", "source_component": "shop"})).expect(201);
    assert_eq!(site.kv("caller", "decided").as_deref(), Some("NotGranted"));
    assert_eq!(shop.connections(), 0);
    let told = host.wait_for("type=error:raised", |event| event["provider_id"] == "caller");
    assert!(told["payload"]["error"]["grant"].as_str().is_some_and(|line| line.contains("control handlers do not call out")), "{told}");
}

#[test]
fn what_a_plugin_may_reach_is_shown_by_name() {
    let site = Site::new();
    let settings = "[[grants.http]]\nhost = 'api.example.com'\nmethods = ['GET']\npath_prefix = '/v1'\n\
                    [[grants.secrets]]\nname = 'key'\nenv = 'NO_SUCH_VARIABLE'\nhosts = ['api.example.com']\n";
    caller(&site, settings);
    let said = site.run(["plugin", "check", "plugins/caller.wasm"]).ok();
    for expected in ["effectful", "GET https://api.example.com/v1", "key for api.example.com", "without value", "calling out over HTTP"] {
        assert!(said.contains(expected), "{expected} is missing in\n{said}");
    }
    let report = site.run(["plugin", "check", "plugins/caller.wasm", "--json"]).json();
    assert_eq!(report["absent_secrets"], json!(["key"]), "{report}");
    assert_eq!(report["grants"]["secrets"], json!([{"name": "key", "hosts": ["api.example.com"]}]), "no more of it is shown");

    let host = site.start();
    let listed = host.cli(&["plugin", "list"]).ok();
    assert!(listed.contains("caller may use GET https://api.example.com/v1, the secret key for api.example.com"), "{listed}");
    // More of it is growth, which needs a word.
    caller(&site, &settings.replace("methods = ['GET']\n", ""));
    let refused = host.change("POST", "caller/reload", "");
    let grown = "grants.http: GET https://api.example.com/v1 -> https://api.example.com/v1";
    assert!(refused.status == 422 && refused.text().contains(grown), "{refused}");

    let added = site.run(["plugin", "add", "webhook", "--plugins", "more"]).ok();
    assert!(added.contains("calling POST https://hooks.example.com/trackside"), "{added}");
}
