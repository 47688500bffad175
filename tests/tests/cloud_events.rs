//! CloudEvents over the wire and on the command line: in by each form, out by each form, and what went in comes out. What each attribute becomes is
//! the model's, and tested there, with a property test.

use trackside_tests::{Host, Site, Socket, Value, json};

const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn order(number: u32) -> Value {
    json!({
        "specversion": "1.0", "id": format!("o-{number}"), "source": "https://shop.example/orders", "type": "com.example.order.placed",
        "time": "2026-01-31T10:30:00+01:00", "subject": "basket", "region": "eu", "priority": 3, "gift": true, "correlationid": "basket-7",
        "data": {"number": number}
    })
}

fn send(host: &Host, media: &str, path: &str, body: &Value) -> trackside_tests::Response {
    host.send("POST", path, &[("Content-Type", media)], body.to_string())
}

/// That everything of `sent` is in `got`.
fn holds(got: &Value, sent: &Value) {
    for (name, value) in sent.as_object().expect("an event is an object") {
        assert_eq!(got.get(name), Some(value), "{name}: {got}");
    }
}

#[test]
fn an_event_goes_in_and_comes_out_whole() {
    let site = Site::new();
    let host = site.start();
    let answer = send(&host, ONE, "/v1/events", &order(1)).expect(201);
    assert_eq!(send(&host, ONE, "/v1/events", &order(1)).expect(200)["outcome"], "duplicate", "source and id are its identity");

    let own = host.get("/v1/events?type=com.example.order:placed").expect(200)["events"][0].clone();
    assert_eq!(
        (&own["source_component"], &own["correlation_id"], &own["payload"]),
        (&json!("https://shop.example/orders"), &json!("basket-7"), &json!({"number": 1}))
    );
    assert_eq!(
        (&own["metadata"]["region"], &own["metadata"]["ce-type.priority"], &own["metadata"]["ce-id"]),
        (&json!("eu"), &json!("integer"), &json!("o-1"))
    );
    assert_eq!(own["timestamp"], "2026-01-31T09:30:00.000000000Z");

    let page = host.get("/v1/events?type=com.example.order:placed&format=cloudevents").expect(200);
    holds(&page["events"][0], &order(1));
    let explained = host.get(&format!("/v1/events/{}?format=cloudevents", answer["sequence_number"])).expect(200);
    holds(&explained["event"], &order(1));
    assert!(explained["decisions"].is_array());
    let bare = host.send("GET", &format!("/v1/events/{}", answer["sequence_number"]), &[("Accept", ONE)], "");
    assert_eq!(bare.header("content-type"), Some(ONE));
    holds(&bare.expect(200), &order(1));
}

#[test]
fn a_batch_goes_in_and_comes_out_page_by_page() {
    let site = Site::new();
    let host = site.start();
    let batch = json!([order(1), order(2), order(3)]);
    let answers = send(&host, BATCH, "/v1/events", &batch).expect(200);
    assert_eq!(answers.as_array().map(Vec::len), Some(3), "{answers}");
    let mut wrong = order(5);
    wrong["source"] = json!("");
    let refused = send(&host, BATCH, "/v1/events", &json!([order(4), wrong])).expect(422);
    assert_eq!(refused["field"], "[1].source", "{refused}");
    send(&host, BATCH, "/v1/events?atomic=true", &json!([order(6), order(7)])).expect(201);

    let first = host.send("GET", "/v1/events?type=com.example.order:*&limit=3", &[("Accept", BATCH)], "");
    assert_eq!(first.header("content-type"), Some(BATCH));
    let next = first.header("trackside-next").expect("there is more").to_owned();
    let page = first.expect(200);
    for (got, sent) in page.as_array().expect("a batch is an array").iter().zip(batch.as_array().expect("so is this")) {
        holds(got, sent);
    }
    let last = host.send("GET", &format!("/v1/events?type=com.example.order:*&after={next}"), &[("Accept", BATCH)], "");
    assert_eq!((last.expect(200).as_array().map(Vec::len), last.header("trackside-next")), (Some(2), None));
}

#[test]
fn attributes_may_stand_in_headers() {
    let site = Site::new();
    let host = site.start();
    let headers = |id: &'static str, media: &'static str| {
        [
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/shop"),
            ("ce-type", "order.placed"),
            ("ce-note", "caf%C3%A9"),
            ("Content-Type", media),
        ]
    };
    host.send("POST", "/v1/events", &headers("1", "application/json"), r#"{"amount": 1}"#).expect(201);
    host.send("POST", "/v1/events", &headers("2", "application/octet-stream"), [0xff, 0x00]).expect(201);
    host.send("POST", "/v1/events", &headers("3", "text/plain"), "hello").expect(201);
    let events = host.events("type=order:placed&format=cloudevents");
    assert_eq!((&events[0]["data"], &events[0]["note"]), (&json!({"amount": 1}), &json!("café")));
    assert_eq!((&events[1]["data_base64"], &events[1]["datacontenttype"]), (&json!("/wA="), &json!("application/octet-stream")));
    assert_eq!(events[2]["data"], "hello");
    let refused = host.send("POST", "/v1/events", &headers("4", "application/json"), "{");
    assert_eq!(refused.status, 422, "{refused}");
}

#[test]
fn streams_and_the_command_line_speak_the_form() {
    let site = Site::new();
    let host = site.start();
    let file = site.file("orders.ndjson", format!("{}\n\n{}\n", order(1), order(2)));
    let said = host.cli(&["publish", &file.display().to_string()]).ok();
    assert!(said.contains("2 taken, 0 refused"), "{said}");
    let single = site.file("order.json", order(3).to_string());
    host.cli(&["publish", &single.display().to_string()]).ok();

    let mut stream = host.stream("/v1/events/stream?after=0&type=com.example.order:*&format=cloudevents");
    for number in 1..=3 {
        holds(&stream.next_sent().expect("there is one more").event, &order(number));
    }

    // What one host writes another one reads, the host's own facts left out: their identity is the same there.
    let written = host.cli(&["events", "--type", "com.example.order:*", "--format", "cloudevents"]).ok();
    assert_eq!(written.lines().count(), 3, "{written}");
    let other_site = Site::new();
    let other = other_site.start();
    let copy = other_site.file("copy.ndjson", &written);
    other.cli(&["publish", &copy.display().to_string()]).ok();
    let ids = |host: &Host| host.events("type=com.example.order:*").iter().map(|event| event["event_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&host), ids(&other));
    let read = site.read(["events", "--type", "com.example.order:*", "--format", "cloudevents"]).ok();
    assert_eq!(read, written, "without a host too");
}

#[test]
fn durable_readers_hand_them_out() {
    let site = Site::new();
    let host = site.start();
    send(&host, BATCH, "/v1/events", &json!([order(1), order(2), order(3)])).expect(200);
    host.send("PUT", "/v1/readers/exports?type=com.example.order:*&from=start", &[], "").expect(201);
    let handed = host.send("POST", "/v1/readers/exports/next?limit=1&format=cloudevents", &[], "").expect(200);
    holds(&handed["deliveries"][0]["event"], &order(1));
    let refused = host.send("POST", "/v1/readers/exports/next?format=xml", &[], "").expect(400);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("'xml' is not one of trackside, cloudevents")), "{refused}");

    let mut socket = Socket::open(host.address(), "/v1/readers/exports/socket?format=cloudevents");
    let message = socket.next_message().expect("the second is handed out");
    holds(&message["event"], &order(2));
    drop(socket);
    let mut stream = Socket::open(host.address(), "/v1/events/socket?after=0&type=com.example.order:*&format=cloudevents");
    holds(&stream.next_message().expect("there is one")["event"], &order(1));

    let position = handed["deliveries"][0]["position"].clone();
    send(&host, "application/json", "/v1/readers/exports/settle", &json!({"acknowledge": [position]})).expect(200);
    let read = host.cli(&["readers", "read", "exports", "--format", "cloudevents", "--limit", "2", "--wait", "30s"]).ok();
    let read: Vec<Value> = read.lines().map(|line| line.parse().expect("a line is an event")).collect();
    for (got, number) in read.iter().zip(2..) {
        holds(got, &order(number));
    }
    assert_eq!(read.len(), 2, "{read:?}");
}

#[test]
fn an_event_of_this_host_is_itself_again() {
    let site = Site::new();
    let host = site.start();
    host.publish(
        &json!({"event_type": "order:placed", "source_component": "my shop", "payload": {"a": 1}, "workflow_id": "w", "severity": "warning",
        "metadata": {"a_key": "v", "note": "n"}}),
    )
    .expect(201);
    let written = host.get("/v1/events?type=order:placed&format=cloudevents").expect(200)["events"][0].clone();
    assert_eq!(
        (&written["source"], &written["sourcecomponent"], &written["type"]),
        (&json!("my%20shop"), &json!("my shop"), &json!("order:placed"))
    );
    let other_site = Site::new();
    let other = other_site.start();
    send(&other, ONE, "/v1/events", &written).expect(201);
    let (mut here, mut there) = (host.events("type=order:placed")[0].clone(), other.events("type=order:placed")[0].clone());
    for event in [&mut here, &mut there] {
        for given in ["sequence_number", "recorded_at"] {
            event.as_object_mut().expect("an event is an object").remove(given);
        }
    }
    assert_eq!(here, there);
}
