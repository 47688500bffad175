//! Durable readers and streams from outside: over HTTP, over WebSockets, by the command line, and over a kill.
//! How they behave inside is the engine's tests.

use std::collections::BTreeSet;

use trackside_tests::{Site, Socket, Value, json, request};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn order(number: u64) -> Value {
    json!({"event_type": "order:placed", "source_component": "shop", "payload": {"number": number}})
}

fn numbers(deliveries: &[Value]) -> Vec<u64> {
    deliveries.iter().filter_map(|delivery| delivery["event"]["payload"]["number"].as_u64()).collect()
}

fn next(host: &trackside_tests::Host, query: &str) -> Vec<Value> {
    let answer = host.send("POST", &format!("/v1/readers/billing/next{query}"), &[], "").expect(200);
    answer["deliveries"].as_array().cloned().unwrap_or_default()
}

fn settle(host: &trackside_tests::Host, said: &Value) -> Value {
    host.send("POST", "/v1/readers/billing/settle", &[JSON], said.to_string()).expect(200)
}

fn positions(deliveries: &[Value]) -> Vec<Value> {
    deliveries.iter().map(|delivery| delivery["position"].clone()).collect()
}

#[test]
fn what_a_client_has_acknowledged_survives_a_kill_and_nothing_else_is_lost() {
    let site = Site::new();
    let mut host = site.start();
    host.send("PUT", "/v1/readers/billing?type=order:*&from=start&order=log&in_flight=10&ack_wait_ms=50", &[], "").expect(201);
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 0..5u64 {
        (0..10).for_each(|number| drop(host.publish(&order(round * 10 + number)).expect(201)));
        for _ in 0..3 {
            let deliveries = next(&host, "?limit=4&wait_ms=5000");
            let first = &deliveries[..1];
            acknowledged.extend(numbers(first));
            assert_eq!(settle(&host, &json!({"acknowledge": positions(first)}))["acknowledged"], json!(positions(first)));
        }
        host.kill();
        host = site.start();
    }
    while acknowledged.len() < 50 {
        let deliveries = next(&host, "?wait_ms=5000");
        acknowledged.extend(numbers(&deliveries));
        settle(&host, &json!({"acknowledge": positions(&deliveries)}));
    }
    assert_eq!(acknowledged, (0..50).collect::<Vec<_>>());
    assert_eq!(host.get("/v1/readers/billing").expect(200)["in_flight"], 0);
}

#[test]
fn a_reader_over_a_websocket_is_handed_events_and_heard() {
    let site = Site::new();
    let host = site.start();
    host.send("PUT", "/v1/readers/billing?type=order:*&deliveries=2&backoff_ms=1", &[], "").expect(201);
    let mut socket = Socket::open(host.address(), "/v1/readers/billing/socket");
    (0..3).for_each(|number| drop(host.publish(&order(number)).expect(201)));
    let handed: Vec<Value> = (0..3).filter_map(|_| socket.next_message()).collect();
    assert_eq!(numbers(&handed), [0, 1, 2]);
    let second = json!({"position": handed[1]["position"], "delivery": 1, "reason": "later", "retry_after_ms": 1});
    socket.say(&json!({"acknowledge": [handed[0]["position"]], "give_back": [second], "extend": [{"position": handed[2]["position"], "delivery": 1}]}));
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(socket.next_message());
    }
    heard.sort_by_key(|message| message["heard"].is_null());
    let all = &heard[0]["heard"];
    let place = |which: usize| json!([handed[which]["position"]]);
    assert_eq!((&all["acknowledged"], &all["given_back"], &all["extended"]), (&place(0), &place(1), &place(2)));
    assert_eq!((numbers(&heard[1..]), &heard[1]["delivery"]), (vec![1], &json!(2)));
    socket.say(&json!({"acknowlege": []}));
    let error = socket.next_message().expect("an answer");
    assert!(error["error"].as_str().is_some_and(|error| error.contains("unknown field `acknowlege`")), "{error}");
    // What a connection holds is handed out again when it ends; the second is a dead letter by then.
    drop(socket);
    let mut again = Socket::open(host.address(), "/v1/readers/billing/socket");
    let message = again.next_message().expect("the third");
    assert_eq!((numbers(std::slice::from_ref(&message)), &message["delivery"]), (vec![2], &json!(2)));
    let dead = host.wait_for("type=event:dead_lettered", |_| true);
    assert_eq!(
        (&dead["payload"]["plugin"], &dead["payload"]["reason"]),
        (&json!("reader/billing"), &json!("the connection that had it ended"))
    );
    // The stop is told.
    host.signal("TERM");
    let end = again.next_message().expect("a word");
    assert_eq!(end["end"], "the host is stopping");
    assert_eq!(again.next_message(), None);
}

#[test]
fn a_stream_over_a_websocket_is_the_stream() {
    let site = Site::new();
    site.shipped(&["sim"]);
    let host = site.start();
    host.finish("name: told\ntasks:\n  - {id: a, method: sim/echo}\n");
    host.publish(&order(1)).expect(201);
    let sent = host.stream("/v1/events/stream?after=0").until("the order", |sent| sent.event_type() == "order:placed");
    let mut socket = Socket::open(host.address(), "/v1/events/socket?after=0");
    for sent in sent {
        let message = socket.next_message().expect("the same");
        assert_eq!((message["position"].as_str(), &message["event"]), (Some(sent.id.as_str()), &sent.event));
    }
    host.publish(&order(2)).expect(201);
    assert_eq!(numbers(&[socket.next_message().expect("what comes")]), [2]);
}

#[test]
fn a_client_that_reads_too_slowly_skips_or_is_sent_away_if_it_asks_for_that() {
    let site = Site::new();
    let host = site.start_with(|command| command.env("TRACKSIDE_HTTP_SLOW_EVENTS", "20").env("TRACKSIDE_HTTP_SOCKETS", "1"));
    let mut skipping = host.stream("/v1/events/stream?slow=skip&type=order:*");
    let mut closing = host.stream("/v1/events/stream?slow=close&type=order:*");
    // Nothing is read meanwhile: the events fill what the system keeps for a connection, and more.
    let large = |number: u64| json!({"event_type": "order:placed", "source_component": "shop", "payload": {"number": number, "text": "x".repeat(200_000)}});
    (0..120).for_each(|number| drop(host.publish(&large(number)).expect(201)));
    let (mut seen, mut missed) = (BTreeSet::new(), 0);
    // What comes after it was told that it missed some, comes to it.
    let mut last = 119;
    while !seen.contains(&last) {
        let sent = skipping.next_sent().expect("it goes on");
        match sent.event["payload"]["number"].as_u64() {
            Some(number) => assert!(seen.insert(number)),
            None => {
                missed += sent.event["events"].as_u64().expect("how many");
                last = 1_000 + missed;
                host.publish(&order(last)).expect(201);
            }
        }
    }
    assert!(missed > 0 && seen.len() as u64 + missed >= 120, "{missed} {seen:?}");
    let mut seen = 0;
    while closing.next_sent().is_some() {
        seen += 1;
    }
    assert!(seen < 120, "it was sent away");
    let _first = Socket::open(host.address(), "/v1/events/socket");
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let refused = request(host.address(), "GET", "/v1/events/socket", &upgrade, b"").expect("an answer").expect(503);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("http.sockets")), "{refused}");
}

#[test]
fn the_command_line_reads_each_event_once() {
    let site = Site::new();
    let host = site.start();
    assert_eq!(host.cli(&["readers", "list"]).stdout.trim(), "there is no durable reader; trackside readers set NAME makes one");
    let made = host.cli(&["readers", "set", "billing", "--type", "order:*", "--from", "start"]);
    assert!(made.stdout.starts_with("billing was made: it stands at 0, "), "{made:?}");
    (0..5).for_each(|number| drop(host.publish(&order(number)).expect(201)));
    let lines = |ran: trackside_tests::Ran| -> Vec<u64> {
        assert!(ran.code == 0, "{ran:?}");
        ran.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["payload"]["number"].as_u64()).collect()
    };
    assert_eq!(lines(host.cli(&["readers", "read", "billing", "--limit", "2", "--json", "--wait", "5s"])), [0, 1]);
    assert_eq!(lines(host.cli(&["readers", "read", "billing", "--json"])), [2, 3, 4]);
    assert_eq!(lines(host.cli(&["readers", "read", "billing", "--json", "--wait", "50ms"])), [0; 0]);
    let listed = host.cli(&["readers", "list"]).stdout;
    assert!(listed.lines().nth(1).is_some_and(|line| line.starts_with("billing") && line.contains("order:*")), "{listed}");
    assert!(host.cli(&["readers", "remove", "billing"]).stdout.contains("billing is gone"));
    for (arguments, code, said) in [
        (vec!["readers", "remove", "billing"], 1, "there is no durable reader 'billing'"),
        (vec!["readers", "read", "billing"], 1, "there is no durable reader 'billing'"),
        (vec!["readers", "read", "a b"], 2, "'a b' is no name for a reader"),
        (vec!["readers", "set", "billing", "--order", "fifo"], 1, "order: 'fifo' is not one of none, correlation, log"),
        (vec!["readers", "set", "billing", "--in-flight", "0"], 1, "in_flight: 0 is not from 1 to 1000"),
        (vec!["readers", "read", "billing", "--wait", "long"], 2, "--wait"),
    ] {
        let ran = host.cli(&arguments);
        assert!(ran.code == code && ran.stderr.contains(said), "{arguments:?}: {ran:?}");
    }
}
