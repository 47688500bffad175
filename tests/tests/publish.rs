//! Publishing, as clients see it: what comes in by every edge is in the log, in order, once, and goes out again to whoever asks or listens.
//! What is refused at the door is `bad_input`'s.

use std::collections::BTreeSet;

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, json};
use uuid::Uuid;

fn event(event_type: &str, number: usize) -> Value {
    json!({"event_type": event_type, "source_component": "shop", "payload": {"number": number}})
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["payload"]["number"].as_u64().unwrap_or_else(|| panic!("{event}"))).collect()
}

fn sequence(event: &Value) -> u64 {
    event["sequence_number"].as_u64().unwrap_or_else(|| panic!("{event}"))
}

#[test]
fn one_an_array_and_lines_are_published_found_and_streamed() {
    let site = Site::new();
    let host = site.start();
    let mut stream = host.stream("/v1/events/stream?type=order:*");

    let one = host.publish(&event("order:placed", 0)).expect(201);
    assert_eq!(one["outcome"], "appended");
    assert!(one["event_id"].is_string() && one["sequence_number"].is_u64(), "{one}");

    let array = host.post("/v1/events", &json!([event("order:placed", 1), event("OrderPaid", 2)])).expect(200);
    assert_eq!(array[0]["status"], 201);
    assert_eq!(array[1]["status"], 201);

    let lines: String = (3..103).map(|number| format!("{}\n", event("order:placed", number))).collect();
    let answers = host.send("POST", "/v1/events?ordered=true", &[("Content-Type", "application/x-ndjson")], lines).json_lines();
    assert_eq!(answers.len(), 100);
    for (place, answer) in answers.iter().enumerate() {
        assert_eq!((&answer["status"], &answer["line"]), (&json!(201), &json!(place + 1)), "{answer}");
    }

    let found = host.events("type=order:*");
    assert_eq!(numbers(&found), (0..103).collect::<Vec<_>>());
    assert_eq!(found[0]["event_id"], one["event_id"]);
    assert_eq!(found[2]["event_type"], "order:paid", "foreign spellings are normalised");
    for field in ["timestamp", "recorded_at", "correlation_id", "severity"] {
        assert!(found[0][field].is_string(), "{field}: {}", found[0]);
    }

    let streamed = stream.until("the last event", |sent| sent.event["payload"]["number"] == 102);
    let streamed: Vec<Value> = streamed.into_iter().map(|sent| sent.event).collect();
    assert_eq!(streamed, found, "a stream gives what a query gives");
}

#[test]
fn each_filter_finds_what_it_says() {
    let site = Site::new();
    let host = site.start();
    let publish = |name: &str, fields: Value| {
        let mut event = json!({"event_type": "lab:measured", "source_component": "lab", "payload": {"name": name}});
        event.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let answer = host.publish(&event).expect(201);
        host.get(&format!("/v1/events/{}", answer["event_id"].as_str().unwrap_or_default())).expect(200)["event"].clone()
    };
    publish("plain", json!({}));
    publish("typed", json!({"event_type": "lab:deep:measured"}));
    publish("severe", json!({"severity": "error"}));
    let marked = publish("marked", json!({"correlation_id": "c 1&x=ä"}));
    publish("sourced", json!({"source_component": "annex"}));
    publish("worked", json!({"workflow_id": "w1", "task_id": "t1"}));
    let last = publish("provided", json!({"provider_id": "p1"}));
    let (since, before_last) = (marked["recorded_at"].as_str().unwrap_or_default(), last["recorded_at"].as_str().unwrap_or_default());
    let after = sequence(&marked);

    for (query, expected) in [
        ("type=lab:measured".to_owned(), vec!["plain", "severe", "marked", "sourced", "worked", "provided"]),
        ("type=lab:**&limit=1000".to_owned(), vec!["plain", "typed", "severe", "marked", "sourced", "worked", "provided"]),
        ("type=lab:*,lab:deep:*&severity=warning".to_owned(), vec!["severe"]),
        ("type=lab:deep:*".to_owned(), vec!["typed"]),
        ("correlation_id=c%201%26x%3D%C3%A4".to_owned(), vec!["marked"]),
        ("source=annex".to_owned(), vec!["sourced"]),
        ("source=annex&source=lab&workflow_id=w1".to_owned(), vec!["worked"]),
        ("task_id=t1".to_owned(), vec!["worked"]),
        ("provider_id=p1".to_owned(), vec!["provided"]),
        ("type=lab:*&when=event.payload.name.endsWith(%27ed%27)".to_owned(), vec!["marked", "sourced", "worked", "provided"]),
        (format!("type=lab:**&since={since}"), vec!["marked", "sourced", "worked", "provided"]),
        (format!("type=lab:**&since={since}&until={before_last}"), vec!["marked", "sourced", "worked"]),
        (format!("type=lab:**&after={after}"), vec!["sourced", "worked", "provided"]),
        ("workflow_id=nobody".to_owned(), vec![]),
    ] {
        let page = host.get(&format!("/v1/events?{query}")).expect(200);
        let names: Vec<&str> =
            page["events"].as_array().into_iter().flatten().filter_map(|event| event["payload"]["name"].as_str()).collect();
        assert_eq!(names, expected, "{query}");
        assert_eq!(page["next"], Value::Null, "{query}");
    }
}

#[test]
fn pages_follow_each_other_without_loss_or_repeat() {
    let site = Site::new();
    let host = site.start();
    let events: Vec<Value> = (0..23).map(|number| event("page:turned", number)).collect();
    host.post("/v1/events?ordered=true", &Value::Array(events)).expect(200);
    let (mut seen, mut sizes, mut after) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = host.get(&format!("/v1/events?type=page:*&limit=10{after}")).expect(200);
        let events = page["events"].as_array().expect("a page has events");
        seen.extend(numbers(events));
        sizes.push(events.len());
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
        // What comes in between is on a later page, and moves nothing.
        host.publish(&event("other:thing", seen.len())).expect(201);
    }
    assert_eq!(seen, (0..23).collect::<Vec<_>>());
    assert_eq!(sizes, [10, 10, 3]);
}

#[test]
fn a_stream_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let site = Site::new();
    site.shipped(&["sim"]);
    let host = site.start();
    // A workflow's story has narration: positions inside a fact must be resumed at too.
    host.finish("name: told\ntasks:\n  - {id: a, method: sim/echo}\n  - {id: b, method: sim/echo, dependencies: [a]}\n");
    host.publish(&event("stream:end", 0)).expect(201);
    let whole = host.stream("/v1/events/stream?after=0").until("the end", |sent| sent.event_type() == "stream:end");
    let ids: Vec<&str> = whole.iter().map(|sent| sent.id.as_str()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "every id is another");
    assert!(ids.iter().any(|id| id.contains('.')), "some are parts of a fact: {ids:?}");

    // Cut after every single event, the pieces are the whole.
    let mut pieces = Vec::new();
    let mut last = "0".to_owned();
    while pieces.len() < whole.len() {
        let mut stream = trackside_tests::Stream::open(host.address(), "/v1/events/stream", Some(&last));
        let sent = stream.next_sent().expect("there is more");
        last = sent.id.clone();
        pieces.push(sent);
    }
    let of = |all: &[trackside_tests::Sent]| all.iter().map(|sent| (sent.id.clone(), sent.event.clone())).collect::<Vec<_>>();
    assert_eq!(of(&pieces), of(&whole));

    // What is published while nobody listens is there when somebody comes back.
    for number in 0..5 {
        host.publish(&event("stream:missed", number)).expect(201);
    }
    let mut stream = trackside_tests::Stream::open(host.address(), "/v1/events/stream?type=stream:*", Some(&last));
    let missed = stream.until("the last missed one", |sent| sent.event["payload"]["number"] == 4);
    assert_eq!(numbers(&missed.into_iter().map(|sent| sent.event).collect::<Vec<_>>()), [0, 1, 2, 3, 4]);
}

#[test]
fn an_id_is_the_identity_of_its_event() {
    let site = Site::new();
    let host = site.start();
    let mut given = event("order:placed", 1);
    given["event_id"] = json!("0198f2b4-0000-7000-8000-000000000001");
    let first = host.publish(&given).expect(201);
    let again = host.publish(&given).expect(200);
    assert_eq!(
        (&again["outcome"], &again["sequence_number"], &again["event_id"]),
        (&json!("duplicate"), &first["sequence_number"], &given["event_id"])
    );
    given["payload"] = json!({"number": 2});
    let conflict = host.publish(&given).expect(409);
    assert!(conflict["detail"].as_str().is_some_and(|detail| detail.contains("with other content")), "{conflict}");

    let keyed = |body: &Value| {
        host.send("POST", "/v1/events", &[("Content-Type", "application/json"), ("Idempotency-Key", "order 7")], body.to_string())
    };
    let first = keyed(&event("order:keyed", 1)).expect(201);
    assert_eq!(keyed(&event("order:keyed", 1)).expect(200)["event_id"], first["event_id"]);
    keyed(&event("order:keyed", 2)).expect(409);

    // It holds across a restart.
    drop(host);
    let host = site.start();
    given["payload"] = json!({"number": 1});
    assert_eq!(host.publish(&given).expect(200)["outcome"], "duplicate");
    assert_eq!(host.events("type=order:placed").len(), 1);
    assert_eq!(host.events("type=order:keyed").len(), 1);
}

#[test]
fn the_same_content_within_the_window_is_one_event() {
    let site = Site::new();
    let host = site.start();
    let first = host.publish(&event("order:placed", 1)).expect(201);
    assert_eq!(host.publish(&event("order:placed", 1)).expect(200)["sequence_number"], first["sequence_number"]);
    host.publish(&event("order:placed", 2)).expect(201);
    let mut other = event("order:placed", 1);
    other["source_component"] = json!("annex");
    host.publish(&other).expect(201);
    // Two heartbeats of the same content are two.
    host.publish(&event("node:heartbeat", 1)).expect(201);
    host.publish(&event("node:heartbeat", 1)).expect(201);
    // The window is rebuilt from the log.
    assert_eq!(host.stop(), 0);
    let host = site.start();
    host.publish(&event("order:placed", 1)).expect(200);
    assert_eq!(host.stop(), 0);
    let host = site.start_with(|command| command.env("TRACKSIDE_DEDUP_WINDOW_SECS", "0"));
    host.publish(&event("order:placed", 1)).expect(201);
}

#[test]
fn narration_is_told_to_whoever_asks_for_it() {
    let site = Site::new();
    site.shipped(&["sim"]);
    let host = site.start();
    let workflow_id = host.submit("name: told\ntasks:\n  - {id: a, method: sim/echo, parameters: {x: 1}}\n");
    assert_eq!(host.ended(&workflow_id)["status"], "completed");
    let of_workflow = format!("workflow_id={workflow_id}");
    let told = host.events(&of_workflow);
    let types =
        |events: &[Value]| events.iter().map(|event| event["event_type"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    let all: BTreeSet<String> = types(&told).into_iter().collect();
    for expected in [
        "workflow:submitted",
        "task:ready",
        "task:queued",
        "parameters:resolved",
        "assignment:requested",
        "task:assigned",
        "task:started",
        "task:completed",
        "workflow:completed",
    ] {
        assert!(all.contains(expected), "{expected} is missing in {all:?}");
    }
    // Parts are numbered from 0 before their fact, which stands last.
    let positions: Vec<(u64, u64)> = told.iter().map(|event| (sequence(event), event["part"].as_u64().unwrap_or_default())).collect();
    assert!(positions.is_sorted() && positions.iter().collect::<BTreeSet<_>>().len() == positions.len(), "{positions:?}");
    let facts = host.events(&format!("{of_workflow}&narration=false"));
    assert!(facts.len() < told.len());
    for fact in &facts {
        let last = told.iter().rfind(|event| sequence(event) == sequence(fact));
        assert_eq!(last.map(|event| &event["event_id"]), Some(&fact["event_id"]), "a fact comes behind what led to it");
    }
    assert!(types(&facts).len() <= 4 + 4, "at most four facts a task: {:?}", types(&facts));
    assert_eq!(host.events(&format!("{of_workflow}&type=task:ready")).len(), 1, "narration is found by its type");
}

/// The settings with which `steer` gives one signal to every order.
fn steering(settings: &str) -> String {
    format!("[controls]\nevent_types = [\"order:*\"]\n[settings]\n{settings}\n")
}

fn steered(site: &Site, host: &Host, settings: &str) {
    site.plugin("steer", guests::build().bytes("steer"), &steering(settings));
    host.reload("steer").expect(200);
}

#[test]
fn each_signal_has_its_answer_and_its_event() {
    let site = Site::new();
    let host = site.start();
    // settings, status, outcome, the event that tells of it, whether the order is in the log, and with which payload
    type Case = (&'static str, u16, &'static str, Option<&'static str>, Option<Value>);
    let cases: [Case; 7] = [
        ("signal = 'proceed'", 201, "appended", None, Some(json!({"number": 0}))),
        ("signal = 'amend'\nvalue = {checked = true}", 201, "appended", None, Some(json!({"checked": true}))),
        ("signal = 'fallback'\nvalue = {safe = 1}", 201, "appended", Some("control:fallback"), Some(json!({"safe": 1}))),
        ("signal = 'skip'\nreason = 'at night'", 200, "skipped", Some("control:skipped"), None),
        ("signal = 'fail'\nreason = 'too dear'", 403, "refused", Some("control:failed"), None),
        ("signal = 'error'\nreason = 'no rates'", 403, "refused", Some("control:error"), None),
        ("signal = 'retry'\nafter_ms = 2500\nreason = 'busy hour'", 429, "busy", Some("control:retried"), None),
    ];
    for (number, (settings, status, outcome, told, payload)) in cases.into_iter().enumerate() {
        steered(&site, &host, settings);
        let order = json!({"event_type": "order:placed", "source_component": "shop", "payload": {"number": 0}, "correlation_id": format!("c{number}")});
        let answer = host.publish(&order);
        let document = answer.expect(status);
        assert_eq!(document["outcome"], outcome, "{settings}: {document}");
        let in_log = host.events(&format!("correlation_id=c{number}"));
        let order = in_log.iter().find(|event| event["event_type"] == "order:placed");
        assert_eq!(order.map(|event| event["payload"].clone()), payload, "{settings}");
        let telling: Vec<&Value> = in_log.iter().filter(|event| event["event_type"] != "order:placed").collect();
        assert_eq!(
            telling.iter().filter_map(|event| event["event_type"].as_str()).collect::<Vec<_>>(),
            told.into_iter().collect::<Vec<_>>(),
            "{settings}"
        );
        for event in telling {
            assert_eq!((&event["payload"]["by"], &event["source_component"]), (&json!("steer"), &json!("control_manager")), "{event}");
        }
        if status >= 400 {
            assert_eq!(document["by"], "steer", "{document}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer}");
        }
        if status == 429 {
            assert_eq!(answer.header("retry-after"), Some("3"), "{answer}");
            assert_eq!(document["retry_after_ms"], 2500);
        }
    }
    // What its filter does not name, it is not asked about.
    host.publish(&event("invoice:sent", 0)).expect(201);
}

#[test]
fn the_decision_record_says_who_looked_and_what_each_said() {
    let site = Site::new();
    let host = site.start();
    let bytes = guests::build().bytes("steer");
    site.plugin("second", &bytes, &format!("priority = 20\n{}", steering("signal = 'amend'\nvalue = {by = 'second'}")));
    site.plugin("first", &bytes, &format!("priority = 10\n{}", steering("signal = 'proceed'")));
    site.plugin(
        "third",
        &bytes,
        &format!("priority = 20\n{}", steering("signal = 'fallback'\nvalue = {by = 'third'}\nreason = 'its turn'")),
    );
    site.plugin("never", &bytes, &format!("priority = 30\n{}", steering("signal = 'fail'")));
    for name in ["first", "second", "third", "never"] {
        host.reload(name).expect(200);
    }
    let published = host.cli(&["publish", "--type", "order:placed", "--source", "shop", "--payload", r#"{"a": 1}"#, "--json"]).json();
    let id = published["event_id"].as_str().expect("an id");
    let explained = host.cli(&["events", "explain", id, "--json"]).json();
    assert_eq!(explained["event"]["payload"], json!({"by": "third"}));
    let record = &explained["decisions"][0];
    assert_eq!((&record["point"], &record["ended_by"]), (&json!("publish"), &json!("third")), "{record}");
    let checks = record["checks"].as_array().expect("checks");
    let said: Vec<(&str, &str, bool)> = checks
        .iter()
        .map(|check| (check["plugin"].as_str().unwrap_or_default(), check["answer"].as_str().unwrap_or_default(), check["amended"] == true))
        .collect();
    assert_eq!(said, [("first", "proceed", false), ("second", "proceed", true), ("third", "fallback", false)]);
    let version = host.plugin("first")["version"].as_str().unwrap_or_default().to_owned();
    for check in checks {
        assert!(version.starts_with(check["version"].as_str().unwrap_or("?")), "{check}");
        assert!(check["fuel"].as_u64().is_some_and(|fuel| fuel > 0) && check["duration_ns"].as_u64().is_some_and(|ns| ns > 0), "{check}");
    }
    // The same for people, by the sequence number, and from the directory without the host.
    let number = published["sequence_number"].to_string();
    let text = host.cli(&["events", "explain", &number]).ok();
    for expected in ["order:placed", "ended by third", "proceed (amended)", "its turn"] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    assert_eq!(host.stop(), 0);
    assert_eq!(site.read(["events", "explain", &number]).ok(), text);
}

#[test]
fn an_operator_has_types_known_by_other_names() {
    let site = Site::new();
    let host = site.start_with(|command| command.env("TRACKSIDE_EVENTS_ALIASES", "Done=order:placed"));
    let named = |number| event("Done", number);
    host.publish(&named(1)).expect(201);
    let send = |query: &str, media: &str, body: String| host.send("POST", &format!("/v1/events{query}"), &[("Content-Type", media)], body);
    send("", "application/json", json!([named(2)]).to_string()).expect(200);
    send("?atomic=true", "application/json", json!([named(3), named(4)]).to_string()).expect(201);
    send("", "application/x-ndjson", format!("{}\n", named(5)));
    assert_eq!(numbers(&host.events("type=order:placed")), [1, 2, 3, 4, 5]);
}

#[test]
fn a_trace_shows_what_followed_from_what() {
    let site = Site::new();
    site.shipped(&["sim"]);
    site.plugin("reactor", guests::build().bytes("reactor"), "");
    let host = site.start();
    let published = host.publish(&json!({"event_type": "case:came", "source_component": "test", "payload": {"number": 1}})).expect(201);
    let id = published["event_id"].as_str().expect("an id").to_owned();
    let ended = host.wait_for("type=workflow:completed", |event| event["correlation_id"] == id.as_str());

    let traced = host.cli(&["events", "trace", &id, "--json"]).json();
    assert_eq!((&traced["correlation_id"], &traced["complete"]), (&json!(id), &json!(true)));
    let tree: Vec<(u64, &str)> = traced["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|traced| (traced["depth"].as_u64().unwrap_or_default(), traced["event"]["event_type"].as_str().unwrap_or_default()))
        .collect();
    let expected = ["case:came", "workflow:submit", "workflow:submitted", "workflow:started", "task:started", "task:completed"];
    assert_eq!(tree[..6], (0..).zip(expected).collect::<Vec<_>>()[..], "{tree:?}");
    let root = &traced["events"][0];
    assert!(root["took_ms"].as_f64() >= traced["events"][5]["offset_ms"].as_f64() && root["took_ms"].as_f64() > Some(0.0), "{root}");

    // By its workflow, by its place, and from the directory without the host, for people.
    let workflow_id = ended["workflow_id"].as_str().expect("a workflow");
    let number = published["sequence_number"].to_string();
    let text = host.cli(&["events", "trace", workflow_id]).ok();
    assert_eq!(host.cli(&["events", "trace", &number]).ok(), text);
    for expected in [&format!("correlation {id}: "), "└─ workflow:submit", "│  └─ task:completed"] {
        assert!(text.contains(expected), "'{expected}' is missing in\n{text}");
    }
    // What is not shown is said, for people and for programs.
    let cut = host.cli(&["events", "trace", &id, "--most", "3", "--explain", "1"]).ok();
    let (said, lines) = ("… what was decided is shown of the first 1 events: --explain N shows it of more", cut.lines().count());
    assert!(cut.contains(said) && cut.ends_with("… and more: the first 3 events are shown; --most N shows more\n") && lines == 6, "{cut}");
    let cut = host.cli(&["events", "trace", &id, "--most", "3", "--explain", "1", "--json"]).json();
    assert_eq!((&cut["complete"], &cut["explained"], cut["events"].as_array().map(Vec::len)), (&json!(false), &json!(1), Some(3)));
    assert_eq!(traced["explained"].as_u64(), traced["events"].as_array().map(|events| events.len() as u64));
    let unknown = host.cli(&["events", "trace", "nobody"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("the log has no event, correlation or workflow 'nobody'"), "{unknown}");
    assert_eq!(host.stop(), 0);
    assert_eq!(site.read(["events", "trace", &number]).ok(), text);
}

#[test]
fn the_command_line_publishes_and_lists() {
    let site = Site::new();
    let host = site.start();
    let said = host
        .cli(&["publish", "--type", "order:placed", "--payload", r#"{"number": 0}"#, "--severity", "warning", "--metadata", "a=b"])
        .ok();
    assert!(said.starts_with("appended as number "), "{said}");
    let lines: String = (1..1_201).map(|number| format!("{}\n", event("order:placed", number))).collect();
    let file = site.file("orders.ndjson", lines);
    let said = host.cli(&["publish", "--ordered", &file.to_string_lossy()]).ok();
    assert_eq!(said, "1200 taken, 0 refused\n");
    let array = site.file("orders.json", json!([event("order:placed", 1_201), event("order:paid", 1_202)]).to_string());
    assert_eq!(host.cli(&["publish", &array.to_string_lossy()]).ok(), "2 taken, 0 refused\n");

    let listed = host.cli(&["events", "--type", "order:*", "--json"]).json_lines();
    assert_eq!(numbers(&listed), (0..1_203).collect::<Vec<_>>(), "every match, oldest first, however many pages");
    assert_eq!(listed[0]["metadata"]["a"], "b");
    assert_eq!(host.cli(&["events", "list", "--type", "order:*", "--severity", "warning", "--json"]).json_lines().len(), 1);
    assert_eq!(numbers(&host.cli(&["events", "--type", "order:*", "--limit", "2", "--json"]).json_lines()), [0, 1]);
    let text = host.cli(&["events", "--type", "order:*", "--limit", "3"]).ok();
    assert_eq!(text.lines().count(), 3);
    assert!(text.contains("order:placed") && !text.contains('\x1b'), "{text}");
    // The same from the directory, beside the running host and after it.
    assert_eq!(site.read(["events", "--type", "order:*", "--json"]).json_lines(), listed);
    assert_eq!(host.stop(), 0);
    assert_eq!(site.read(["events", "--type", "order:*", "--json"]).json_lines(), listed);
}

#[test]
fn requests_and_traces_are_kept_with_the_event() {
    let site = Site::new();
    let host = site.start();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("Content-Type", "application/json"), ("X-Request-Id", "r-1"), ("traceparent", trace)];
    host.send("POST", "/v1/events", &headers, event("order:placed", 1).to_string()).expect(201);
    let metadata = host.events("type=order:placed")[0]["metadata"].clone();
    assert_eq!((&metadata["request_id"], &metadata["parent_span_id"]), (&json!("r-1"), &json!("00f067aa0ba902b7")), "{metadata}");
}

#[test]
fn what_a_plugin_publishes_comes_through_the_same_door() {
    let site = Site::new();
    let settings = "[grants]\npublish = ['echo:*']\n[observes]\nevent_types = ['order:placed']\n[settings]\n\
                    drafts = [{event_type = 'echo:heard', payload = {loud = true}}, {event_type = 'other:thing'}, {event_type = 'task:completed'}]\n";
    site.plugin("publisher", guests::build().bytes("publisher"), settings);
    let host = site.start();
    let placed = host.publish(&event("order:placed", 1)).expect(201);
    let heard = host.wait_for("type=echo:heard", |_| true);
    assert_eq!(heard["source_component"], "publisher");
    assert_eq!((&heard["causation_id"], &heard["correlation_id"]), (&placed["event_id"], &placed["event_id"]));
    assert!(host.events("type=other:thing").is_empty(), "only what it was granted");
    assert!(host.events("type=task:completed").is_empty(), "nobody forges a fact");
    assert!(Uuid::parse_str(heard["event_id"].as_str().unwrap_or_default()).is_ok());
}

#[test]
fn an_array_is_all_or_nothing_if_that_is_asked_for() {
    let site = Site::new();
    let host = site.start();
    let atomic = |events: &Value| host.send("POST", "/v1/events?atomic=true", &[("Content-Type", "application/json")], events.to_string());
    let mut cart = event("cart:opened", 1);
    cart["workflow_id"] = json!("cart-7");
    cart["expected_sequence"] = json!(0);
    let taken = atomic(&json!([cart, event("cart:filled", 2)])).expect(201);
    let sequences: Vec<u64> = taken.as_array().into_iter().flatten().filter_map(|answer| answer["sequence_number"].as_u64()).collect();
    assert_eq!(sequences[1], sequences[0] + 1);
    let again = atomic(&json!([cart, event("cart:filled", 2)])).expect(200);
    assert_eq!((&again[0]["outcome"], &again[1]["sequence_number"]), (&json!("duplicate"), &json!(sequences[1])));
    cart["payload"] = json!({"other": true});
    let refused = atomic(&json!([event("cart:filled", 3), cart])).expect(409);
    assert_eq!((&refused["place"], &refused["actual_sequence"]), (&json!(1), &json!(sequences[0])));
    let detail = refused["detail"].as_str().unwrap_or_default();
    assert!(
        detail.starts_with("[1]: expected_sequence: the last event of workflow 'cart-7' is")
            && detail.ends_with("nothing of the array was done"),
        "{detail}"
    );
    assert_eq!(host.events("type=cart:filled").len(), 1);
    let alone = atomic(&event("cart:filled", 4)).expect(400);
    assert_eq!(alone["detail"], "with atomic=true the body is an array of events");
    let lines = host.send("POST", "/v1/events?atomic=true", &[("Content-Type", "application/x-ndjson")], "{}\n").expect(415);
    assert!(
        lines["detail"].as_str().is_some_and(|detail| detail.ends_with("send application/json or application/cloudevents-batch+json")),
        "{lines}"
    );
    // By the command line.
    let file = site.file("cart.json", json!([event("cart:closed", 5), event("cart:paid", 6)]).to_string());
    assert_eq!(host.cli(&["publish", "--atomic", file.to_str().unwrap_or_default()]).stdout.trim(), "2 taken, 0 refused");
    let late = host.cli(&["publish", "--type", "cart:paid", "--workflow-id", "cart-7", "--expected-sequence", "1"]);
    assert!(late.code == 1 && late.stderr.contains("the last event of workflow 'cart-7' is"), "{late:?}");
}
