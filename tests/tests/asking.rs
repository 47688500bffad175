//! Asking the log, with the real binary: what is exported and imported again, what many events come to, over HTTP and from a data directory alike.
//! What the store does with the lines and the counts is tested beside it.

use std::fs;

use trackside_tests::{Host, Ran, Site, Value, command, json, run};

const WORKFLOW: &str = "name: count\ntasks:\n  - {id: first, method: sim/echo}\n  - {id: then, method: sim/echo, dependencies: [first]}\n";

fn publish(host: &Host, event_type: &str, order: usize, source: &str) {
    let event = json!({
        "event_type": event_type, "source_component": source, "correlation_id": format!("order-{order}"), "payload": {"order": order}
    });
    host.publish(&event).expect(201);
}

/// A host with orders of which a third failed, and a workflow that ended.
fn desk(site: &Site) -> Host {
    site.shipped(&["sim"]);
    let host = site.start();
    for order in 0..30 {
        let source = ["web", "app"][order % 2];
        publish(&host, "order:placed", order, source);
        publish(&host, if order % 3 == 0 { "order:failed" } else { "order:shipped" }, order, source);
    }
    host.send(
        "POST",
        "/v1/events",
        &[("Content-Type", "application/json")],
        "{\"event_type\": \"note:made\", \"source_component\": \"x\", \"payload\": {\n  \"a\": 1.00}}",
    )
    .expect(201);
    assert_eq!(host.finish(WORKFLOW)["status"], "completed");
    host
}

fn in_site(site: &Site, arguments: &[&str]) -> Ran {
    run(command(arguments).current_dir(site.root()))
}

#[test]
fn what_a_host_exports_is_imported_and_exported_again_to_the_byte() {
    let site = Site::new();
    let host = desk(&site);
    let all = host.cli(&["events", "export"]).ok();
    assert!(
        all.contains("\"narration\":[") && all.contains("{\"blob\":") && all.contains("\"payload_text\":\"{\\n  \\\"a\\\": 1.00}\""),
        "{all}"
    );
    let file = site.root().join("log.ndjson");
    let path = file.to_str().expect("a path is text");
    host.cli(&["events", "export", "--to", "50", "-o", path]).ok();
    let to_fifty = fs::read_to_string(&file).expect("it was written");
    assert!(all.starts_with(&to_fifty[..to_fifty.rfind("{\"end\"").expect("it has an end")]), "{to_fifty}");
    let again = host.cli(&["events", "export", "-o", path]);
    assert!(again.code == 1 && again.stderr.contains("exists already; name a file that does not"), "{again}");
    let paid = host.cli(&["events", "export", "--type", "order:shipped", "--from", "20"]).ok();
    assert_eq!(host.stop(), 0);

    // Without a host, from its directory, up to the same place.
    let count = all.matches("\"sequence_number\":").count();
    let to = all.lines().rev().nth(1).and_then(|line| serde_json::from_str::<Value>(line).ok()).expect("an event")["sequence_number"]
        .to_string();
    assert_eq!(in_site(&site, &["events", "export", "--to", &to, "--data", "data"]).ok(), all);

    fs::write(site.root().join("all.ndjson"), &all).expect("a file can be written");
    let imported = in_site(&site, &["store", "import", "all.ndjson", "--data", "copy"]).ok();
    assert!(imported.starts_with(&format!("imported: {count} events, 1 to {to}, in ")), "{imported}");
    assert_eq!(in_site(&site, &["events", "export", "--data", "copy"]).ok(), all);
    assert!(in_site(&site, &["store", "verify", "--data", "copy"]).ok().contains(&format!("events 1 to {to}")));
    let of_copy = in_site(&site, &["workflow", "list", "--data", "copy", "--json"]).json();
    assert_eq!(of_copy, in_site(&site, &["workflow", "list", "--data", "data", "--json"]).json());

    // A part, into an empty directory, and a second time.
    fs::write(site.root().join("paid.ndjson"), &paid).expect("a file can be written");
    let imported = in_site(&site, &["store", "import", "paid.ndjson", "--data", "part"]).ok();
    assert!(imported.contains(" more noted as trimmed, in "), "{imported}");
    assert_eq!(in_site(&site, &["events", "export", "--from", "20", "--data", "part"]).ok(), paid);
    in_site(&site, &["store", "verify", "--data", "part"]).ok();
    let twice = in_site(&site, &["store", "import", "paid.ndjson", "--data", "part"]);
    assert!(twice.code == 1 && twice.stderr.starts_with("error: paid.ndjson: line 2: the log ends with "), "{twice}");

    // A host goes on with the copy, and keeps its directory to itself.
    let other = Site::new();
    fs::rename(site.root().join("copy"), other.data()).expect("a directory can be moved");
    let host = other.start();
    publish(&host, "order:placed", 99, "web");
    assert_eq!(host.events("type=order:placed").len(), 31);
    let refused = run(command(["store", "import", "-", "--data"]).arg(other.data()));
    assert!(refused.code == 1 && refused.stderr.contains("is in use by another host"), "{refused}");
}

#[test]
fn an_export_that_breaks_off_is_not_imported() {
    let site = Site::new();
    let host = desk(&site);
    let all = host.cli(&["events", "export"]).ok();
    fs::write(site.root().join("half.ndjson"), &all[..all.len() / 2]).expect("a file can be written");
    let ran = in_site(&site, &["store", "import", "half.ndjson", "--data", "new"]);
    assert!(ran.code == 1 && ran.stderr.starts_with("error: half.ndjson: line ") && ran.stderr.contains("nothing was imported"), "{ran}");
    assert!(!site.root().join("new/log.db").exists());
    let missing = in_site(&site, &["store", "import", "none.ndjson", "--data", "new"]);
    assert!(missing.code == 1 && missing.stderr.contains("none.ndjson: No such file"), "{missing}");
}

/// The same question to the host and to its directory.
fn both(site: &Site, host: &Host, arguments: &[&str]) -> Value {
    let asked = host.cli(&[arguments, &["--json"]].concat()).json();
    assert_eq!(site.read([arguments, &["--json"]].concat()).json(), asked, "{arguments:?}");
    asked
}

#[test]
fn counts_durations_and_rates_are_asked_of_a_host_and_of_a_directory() {
    let site = Site::new();
    let host = desk(&site);
    let orders = ["events", "stats", "--type", "order:*"];
    let counted = both(&site, &host, &orders);
    assert_eq!(
        counted["groups"],
        json!([
            {"type": "order:placed", "count": 30}, {"type": "order:shipped", "count": 20}, {"type": "order:failed", "count": 10}
        ])
    );
    assert_eq!((&counted["events"], &counted["others"], &counted["cut"]), (&json!(60), &json!(0), &Value::Null));
    let by_source = both(&site, &host, &[&orders[..], &["--by", "source,component"]].concat());
    assert_eq!(
        by_source["groups"],
        json!([
            {"source": "app", "component": "order", "count": 30}, {"source": "web", "component": "order", "count": 30}
        ])
    );
    let minutes = both(&site, &host, &[&orders[..], &["--by", "minute"]].concat());
    let first = minutes["groups"][0]["minute"].as_str().unwrap_or_default();
    assert!(first.ends_with(":00.000000000Z"), "{minutes}");
    let shown = host.cli(&orders).ok();
    assert!(shown.starts_with("type           events\norder:placed   30      ████") && shown.ends_with("\n60 events\n"), "{shown}");

    let took = both(&site, &host, &["events", "durations", "--start", "order:placed", "--end", "order:shipped"]);
    assert_eq!((&took["count"], &took["unfinished"], &took["unstarted"]), (&json!(20), &json!(10), &json!(0)));
    let ms = |name: &str| took["ms"][name].as_f64().unwrap_or(-1.0);
    assert!(0.0 < ms("p50") && ms("p50") <= ms("p95") && ms("p95") <= ms("p99") && ms("p99") <= ms("max"), "{took}");
    let tasks = both(&site, &host, &["events", "durations", "--start", "task:started", "--end", "task:completed", "--pair", "task"]);
    assert_eq!((&tasks["count"], &tasks["unfinished"]), (&json!(2), &json!(0)));
    let shown = host.cli(&["events", "durations", "--start", "order:placed", "--end", "order:shipped"]).ok();
    assert!(shown.starts_with("20 ended, 10 did not\n") && shown.contains("\np99 "), "{shown}");

    let rates = ["events", "rates", "--success", "order:shipped", "--failure", "*:failed", "--by", "source"];
    let failed = both(&site, &host, &rates);
    assert_eq!((&failed["succeeded"], &failed["failed"]), (&json!(20), &json!(10)));
    assert_eq!(failed["groups"][0], json!({"source": "app", "succeeded": 10, "failed": 5, "failure_rate": 5.0 / 15.0}));
    let shown = host.cli(&rates).ok();
    assert!(shown.contains("app     10         5       33.3 %") && shown.contains("\nall     20         10      33.3 %"), "{shown}");
    let none = both(&site, &host, &["events", "rates", "--success", "a:b", "--failure", "a:c"]);
    assert_eq!((&none["failure_rate"], &none["groups"]), (&Value::Null, &json!([])));
}

#[test]
fn words_are_looked_for_in_the_payloads_of_types_that_are_opted_in() {
    let site = Site::new();
    let host = site.start_with(|command| command.env("TRACKSIDE_STORE_FULL_TEXT", "chat:*, note:**"));
    for (event_type, text) in
        [("chat:said", "the order is late"), ("chat:said", "all is well"), ("order:placed", "late"), ("note:made:up", "late too")]
    {
        host.publish(&json!({"event_type": event_type, "source_component": "desk", "payload": {"text": text}})).expect(201);
    }
    let types = |ran: Ran| -> Vec<Value> { ran.json_lines().into_iter().map(|event| event["event_type"].clone()).collect() };
    let late = ["events", "list", "--text", "late", "--json"];
    assert_eq!(types(host.cli(&late)), ["chat:said", "note:made:up"]);
    assert_eq!(types(site.read(late)), ["chat:said", "note:made:up"]);
    assert_eq!(types(host.cli(&["events", "--text", "(late OR well) NOT too", "--type", "chat:*", "--json"])), ["chat:said", "chat:said"]);
    let problem = |path: &str| {
        let answer = host.get(path);
        (answer.status, answer.json()["detail"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(problem("/v1/events?text=late%20AND"), (400, "text: character 9: a word or a phrase is missing at the end".to_owned()));
    let (status, detail) = problem("/v1/events?text=late&type=order:placed");
    assert_eq!(
        (status, &*detail),
        (400, "text: order:placed is not opted in; store.full_text of the host's configuration names chat:*, note:**")
    );
    let wrong = site.read(["events", "--text", "\"late"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("text: character 1: the phrase that begins here has no closing quote"), "{wrong}");
    assert_eq!(host.stop(), 0);
    site.read(["store", "verify"]).ok();

    // Others are opted in at a start; without any there is nothing to ask.
    let host = site.start_with(|command| command.env("TRACKSIDE_STORE_FULL_TEXT", "order:placed"));
    assert_eq!(types(host.cli(&late)), ["order:placed"]);
    host.stop();
    let host = site.start();
    let refused = host.cli(&late);
    assert!(refused.code == 1 && refused.stderr.contains("no type of event is opted in; name some in store.full_text"), "{refused}");
    host.stop();
    let wrong = run(site.command(["run"]).env("TRACKSIDE_STORE_FULL_TEXT", "chat"));
    assert!(wrong.code == 1 && wrong.stderr.contains("store.full_text: type pattern 'chat' is malformed"), "{wrong}");
}
