//! The host as a process: health, readiness, the gentle stop, the guard at its door, and where its configuration comes from.
//! What it does with events and workflows is told elsewhere.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use trackside_tests::{Site, Stream, Value, eventually, finish, json, request};

#[test]
fn it_says_when_it_is_alive_and_ready() {
    let site = Site::new();
    site.shipped(&["sim", "text"]);
    site.plugin("junk", "no component at all", "");
    let host = site.start();
    assert_eq!(host.get("/healthz").expect(200)["status"], "ok");
    let ready = host.get("/readyz").expect(200);
    assert_eq!(
        (&ready["status"], &ready["plugins"], &ready["refused"]),
        (&json!("ready"), &json!(2), &json!(1)),
        "every file is loaded or refused"
    );
    let output = host.output();
    for expected in [format!("listening on {}", host.url()), "2 in service, 1 refused".to_owned(), "token in ".to_owned()] {
        assert!(output.contains(&expected), "{expected} is missing in\n{output}");
    }
    assert!(!output.contains('\x1b'), "no colours in a file");
    for event_type in ["engine:started", "system:started"] {
        host.wait_for(&format!("type={event_type}"), |_| true);
    }
}

#[test]
fn a_stop_loses_nothing_that_was_acknowledged() {
    let site = Site::new();
    site.shipped(&["sim", "audit"]);
    let host = site.start();
    let workflow_id = host.submit("name: under way\ntasks:\n  - {id: a, method: sim/sleep, parameters: {ms: 300}}\n  - {id: b, method: sim/echo, dependencies: [a]}\n");
    let mut stream = host.stream("/v1/events/stream?type=stop:*");
    let stopping = AtomicBool::new(false);
    let address = host.address();
    let (code, acknowledged) = thread::scope(|scope| {
        let publishers: Vec<_> = (0..4)
            .map(|publisher| {
                let stopping = &stopping;
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    for number in 0.. {
                        let event = json!({"event_type": "stop:counted", "source_component": format!("p{publisher}"), "payload": {"number": number}});
                        match request(address, "POST", "/v1/events", &[("Content-Type", "application/json")], event.to_string().as_bytes()) {
                            Ok(answer) if answer.status == 201 => acknowledged.push(answer.json()),
                            Ok(answer) => assert!(answer.status == 429 || answer.status == 503, "{answer}"),
                            Err(_) if stopping.load(Ordering::Relaxed) => return acknowledged,
                            Err(error) => panic!("before the stop: {error}"),
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        host.wait_for("type=stop:counted", |event| event["payload"]["number"].as_u64() > Some(5));
        stopping.store(true, Ordering::Relaxed);
        let code = host.stop();
        let acknowledged: Vec<Value> = publishers.into_iter().flat_map(|publisher| publisher.join().expect("a publisher ends")).collect();
        (code, acknowledged)
    });
    assert_eq!(code, 0);
    assert!(!site.data().join("address").exists(), "nobody is sent to a host that is gone");
    while stream.next_sent().is_some() {}

    let logged = site.read(["events", "--no-narration", "--json"]).json_lines();
    for (place, event) in logged.iter().enumerate() {
        assert_eq!(event["sequence_number"], place + 1, "sequence numbers have no gaps");
    }
    for answer in &acknowledged {
        let sequence = answer["sequence_number"].as_u64().expect("a number") as usize;
        assert_eq!(logged[sequence - 1]["event_id"], answer["event_id"], "{answer}");
    }
    let last = |event_type: &str| logged.iter().rposition(|event| event["event_type"] == event_type);
    assert_eq!(last("engine:stopped"), Some(logged.len() - 1), "the last event is the stop's");
    assert!(last("system:stopping").is_some());

    // What was under way goes on.
    let host = site.start();
    assert_eq!(host.ended(&workflow_id)["status"], "completed");
}

#[test]
fn only_requests_that_are_meant_for_it_are_answered() {
    let site = Site::new();
    let host = site.start();
    let port = host.address().port();
    let own = format!("127.0.0.1:{port}");
    let cases: [(&[(&str, String)], u16); 9] = [
        (&[("Host", own.clone())], 200),
        (&[("Host", format!("localhost:{port}"))], 200),
        (&[("Host", own.clone()), ("Origin", format!("http://127.0.0.1:{port}"))], 200),
        (&[("Host", "evil.example".to_owned())], 403),
        (&[("Host", format!("evil.example:{port}"))], 403),
        (&[("Host", format!("127.0.0.1.evil.example:{port}"))], 403),
        (&[("Host", own.clone()), ("Origin", "http://evil.example".to_owned())], 403),
        (&[("Host", own.clone()), ("Origin", "null".to_owned())], 403),
        (&[("Host", own), ("Origin", format!("https://127.0.0.1:{port}"))], 403),
    ];
    for (headers, status) in &cases {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for path in ["/healthz", "/v1/events", "/v1/plugins"] {
            assert_eq!(host.send("GET", path, &headers, "").status, *status, "{headers:?} {path}");
        }
    }
}

#[test]
fn the_token_is_its_owners_alone_and_stays() {
    let site = Site::new();
    let host = site.start();
    let path = site.data().join("token");
    let mode = fs::metadata(&path).expect("there is a token").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = host.token();
    assert!(token.len() >= 32 && !host.output().contains(&token), "it is nowhere but in its file");
    assert_eq!(host.stop(), 0);
    assert_eq!(site.start().token(), token);
}

#[test]
fn flags_win_over_variables_and_variables_over_the_file() {
    let site = Site::new();
    let listening = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = site.command(["run", "--config", "my.toml"]);
        command.args(arguments).envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the host starts");
        let data = site.root().join("found");
        // Whatever the data directory is called, its address file says that the host is up.
        let found = eventually("an address file", || {
            assert!(child.try_wait().expect("a child can be waited for").is_none(), "it ended: {arguments:?}");
            fs::read_dir(&data).ok()?.flatten().find(|entry| entry.path().join("address").exists()).map(|entry| entry.file_name())
        });
        child.kill().expect("a child can be killed");
        finish(child);
        fs::remove_dir_all(&data).expect("a directory can be removed");
        found.to_string_lossy().into_owned()
    };
    site.file("my.toml", "listen = '127.0.0.1:0'\ndata_dir = 'found/by-file'\nplugin_dir = 'plugins'\n");
    assert_eq!(listening(&[], &[]), "by-file");
    assert_eq!(listening(&[], &[("TRACKSIDE_DATA_DIR", "found/by-variable")]), "by-variable");
    assert_eq!(listening(&["--data", "found/by-flag"], &[("TRACKSIDE_DATA_DIR", "found/by-variable")]), "by-flag");
    // The usual file is read without being named, and so is the one that a variable names.
    fs::rename(site.root().join("my.toml"), site.root().join("trackside.toml")).expect("a file can be renamed");
    let ran = site.command(["config", "check"]).output().expect("it runs");
    assert!(ran.status.success());
}

#[test]
fn the_default_configuration_is_right_and_says_what_everything_means() {
    let site = Site::new();
    let text = site.run(["config", "default"]).ok();
    let path = site.file("mine.toml", &text);
    assert_eq!(site.run(["config", "check", "mine.toml"]).ok(), "mine.toml is right\n");
    for key in ["data_dir", "plugin_dir", "listen", "[engine]", "chain_budget_ms", "payload_bytes", "window_secs"] {
        assert!(text.contains(key), "{key}");
    }
    // Every key has a comment above it.
    let lines: Vec<&str> = text.lines().collect();
    for (place, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
        assert!(place > 0 && lines[place - 1].starts_with("# "), "{line} is not explained");
    }
    let host = site.start_with(|command| command.arg("--config").arg(&path));
    assert_eq!(host.get("/healthz").status, 200);
}

#[test]
fn a_log_level_from_the_environment_counts() {
    let site = Site::new();
    site.shipped(&["audit"]);
    for (level, lines) in [("warn", false), ("info", true)] {
        let host = site.start_with(|command| command.env("TRACKSIDE_LOG_LEVEL", level));
        let before = host.output().len();
        host.publish(&json!({"event_type": "seen:once", "source_component": "test", "payload": {"level": level}})).expect(201);
        if lines {
            eventually("audit's line", || host.output()[before..].contains("seen:once").then_some(()));
        } else {
            eventually("audit's count", || (site.kv_number("audit", "count/seen:once") > 0).then_some(()));
            assert!(!host.output()[before..].contains("seen:once"), "{}", host.output());
        }
        assert_eq!(host.stop(), 0);
    }
}

#[test]
fn a_client_that_dawdles_or_vanishes_harms_nobody() {
    let site = Site::new();
    let host = site.start();
    use std::{io::Write as _, net::TcpStream};
    // Half a head, half a body, and a stream that nobody reads.
    let mut half_head = TcpStream::connect(host.address()).expect("a connection");
    half_head.write_all(b"POST /v1/events HTTP/1.1\r\nHost: ").expect("half a head");
    let mut half_body = TcpStream::connect(host.address()).expect("a connection");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{{\"event",
        host.address()
    );
    half_body.write_all(head.as_bytes()).expect("half a body");
    drop(half_body);
    let _unread = Stream::open(host.address(), "/v1/events/stream?after=0", None);
    let payload = "x".repeat(100_000);
    for number in 0..50 {
        host.publish(&json!({"event_type": "big:one", "source_component": "test", "payload": {"number": number, "text": payload}}))
            .expect(201);
    }
    assert_eq!(host.events("type=big:one&narration=false").len(), 50);
    assert!(host.events("type=**").iter().all(|event| event["event_type"] != "event"), "half an event is none");
    assert_eq!(host.stop(), 0, "the stop waits for nobody who does not answer");
}
