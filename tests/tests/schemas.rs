//! Schemas at a running host: what does not fit is refused by every edge with its place, changes are taken up, and a file that is broken changes
//! nothing. What a schema may say is the model's, and tested there.

use rusqlite::Connection;
use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, eventually, json};

const ORDER: &str = r#"{
  "type": "object",
  "required": ["items"],
  "properties": {"items": {"type": "array", "items": {"type": "object", "required": ["price"], "properties": {"price": {"type": "number"}}}}}
}"#;

fn site() -> Site {
    let site = Site::new();
    site.file("schemas/order:placed.json", ORDER);
    site
}

fn start(site: &Site) -> Host {
    site.start_with(|command| command.env("TRACKSIDE_SCHEMAS_DIR", site.root().join("schemas")).env("TRACKSIDE_SCHEMAS_RESCAN_MS", "20"))
}

fn order(payload: Value) -> Value {
    json!({"event_type": "OrderPlaced", "source_component": "shop", "payload": payload})
}

fn schema(host: &Host, name: &str) -> Value {
    let listed = host.get("/v1/schemas").expect(200);
    let found = listed["schemas"].as_array().and_then(|schemas| schemas.iter().find(|schema| schema["name"] == name));
    found.cloned().unwrap_or_default()
}

#[test]
fn a_payload_that_does_not_fit_is_refused_with_its_place() {
    let site = site();
    let host = start(&site);
    host.publish(&order(json!({"items": [{"price": 1}]}))).expect(201);
    let refused = host.publish(&order(json!({"items": [{"price": 1}, {"price": "1"}]}))).expect(422);
    assert_eq!((&refused["field"], &refused["outcome"]), (&json!("payload/items/1/price"), &json!("refused")), "{refused}");
    let detail = refused["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("order:placed") && detail.contains("/properties/items/items/properties/price/type"), "{detail}");
    // Of an array, each event for itself; together, all or nothing.
    let both = json!([order(json!({"items": []})), order(json!({}))]);
    let answers = host.post("/v1/events", &both).expect(200);
    assert_eq!(
        (&answers[0]["status"], &answers[1]["status"], &answers[1]["field"]),
        (&json!(201), &json!(422), &json!("payload")),
        "{answers}"
    );
    let refused = host.post("/v1/events?atomic=true", &json!([order(json!({"items": [{"price": 9}]})), order(json!({}))])).expect(422);
    assert_eq!(refused["place"], 1, "{refused}");
    let lines = format!("{}\n{}\n", order(json!({"items": [], "line": 1})), order(json!({"items": 2})));
    let taken = host.send("POST", "/v1/events", &[("Content-Type", "application/x-ndjson")], lines);
    let second = &taken.json_lines()[1];
    assert_eq!((&second["status"], &second["field"]), (&json!(422), &json!("payload/items")), "{taken}");
    // In CloudEvents' form the payload is called data.
    let event = json!({"specversion": "1.0", "id": "1", "source": "shop", "type": "order.placed", "data": {"items": [{}]}});
    let refused = host.send("POST", "/v1/events", &[("Content-Type", "application/cloudevents+json")], event.to_string()).expect(422);
    assert_eq!(refused["field"], "payload/items/0", "{refused}");
    assert_eq!(host.events("type=order:placed").len(), 3);
    let said = host.cli(&["publish", "--type", "order:placed", "--payload", "{}"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("\"items\" is a required property"), "{said}");
    // What no schema is about is anybody's affair.
    host.publish(&json!({"event_type": "order:paid", "source_component": "shop", "payload": 7})).expect(201);
}

#[test]
fn the_inbox_and_plugins_are_held_to_them_too() {
    let site = site();
    site.plugin("publisher", guests::build().bytes("publisher"), "[grants]\npublish = ['order:placed']\n[observes]\nevent_types = ['cart:closed']\n[settings]\ndrafts = [{event_type = 'order:placed', payload = {items = 1}}]\n");
    let host = start(&site);
    host.publish(&json!({"event_type": "cart:closed", "source_component": "shop"})).expect(201);
    let letter = host.wait_for("type=event:dead_lettered", |_| true);
    let reason = letter["payload"]["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("payload/items: value is not of type \"array\""), "{letter}");

    let inbox = eventually("an inbox", || Connection::open(site.data().join("inbox/inbox.db")).ok());
    inbox.execute("INSERT INTO inbox (event_type, source_component, payload) VALUES ('order:placed', 'shop', '{}')", []).expect("a row");
    let (outcome, reason): (String, String) = eventually("an outcome", || {
        inbox.query_row("SELECT outcome, reason FROM inbox WHERE outcome IS NOT NULL", [], |row| Ok((row.get(0)?, row.get(1)?))).ok()
    });
    assert_eq!(outcome, "refused");
    assert!(reason.contains("is a required property"), "{reason}");
    assert!(host.events("type=order:placed").is_empty());
}

#[test]
fn what_a_control_handler_makes_of_a_payload_must_fit() {
    let site = Site::new();
    site.file("schemas/order:placed.json", r#"{"properties": {"card": {"type": "integer"}}}"#);
    site.shipped(&["redact"]);
    site.file("plugins/redact.toml", "[controls]\nevent_types = ['order:*']\n[settings]\nkeys = ['card']\n");
    let host = start(&site);
    host.publish(&json!({"event_type": "order:placed", "source_component": "shop", "payload": {"amount": 1}})).expect(201);
    let refused = host.publish(&json!({"event_type": "order:placed", "source_component": "shop", "payload": {"card": 4111}})).expect(403);
    assert_eq!(refused["by"], "redact", "{refused}");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("does not fit: payload/card")), "{refused}");
    let told = host.wait_for("type=control:error", |_| true);
    assert_eq!(told["payload"]["by"], "redact", "{told}");
    assert_eq!(host.events("type=order:placed").len(), 1);
}

#[test]
fn a_change_is_taken_up_and_a_broken_file_changes_nothing() {
    let site = site();
    let host = start(&site);
    let first = schema(&host, "order:placed");
    assert_eq!(first["event_types"], json!(["order:placed"]));

    site.file("schemas/order:placed.json", r#"{"type": "nonsense"}"#);
    let broken = eventually("that it is told", || Some(schema(&host, "order:placed")).filter(|schema| !schema["error"].is_null()));
    assert_eq!(broken["digest"], first["digest"], "what it was before stays");
    assert!(broken["error"].as_str().is_some_and(|error| error.starts_with("at /type: ")), "{broken}");
    host.publish(&order(json!({}))).expect(422);

    site.file("schemas/order:placed.json", r#"{"required": ["customer"]}"#);
    eventually("the new one", || (schema(&host, "order:placed")["digest"] != first["digest"]).then_some(()));
    assert!(schema(&host, "order:placed")["error"].is_null());
    let refused = host.publish(&order(json!({}))).expect(422);
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("\"customer\"")), "{refused}");

    site.file("schemas/all-orders.json", r#"{"x-event-types": ["order:*"], "required": ["shop"]}"#);
    eventually("one more", || (!schema(&host, "all-orders").is_null()).then_some(()));
    host.publish(&order(json!({"customer": 1}))).expect(422);
    std::fs::remove_file(site.root().join("schemas/order:placed.json")).expect("it is there");
    std::fs::remove_file(site.root().join("schemas/all-orders.json")).expect("it is there");
    eventually("none", || (host.get("/v1/schemas").expect(200)["schemas"] == json!([])).then_some(()));
    host.publish(&order(json!({}))).expect(201);
}

#[test]
fn they_are_listed_shown_and_checked() {
    let site = site();
    site.file("schemas/broken:one.json", r#"{"$ref": "https://example.com/x.json"}"#);
    let host = start(&site);
    let listed = host.cli(&["schemas", "list"]).ok();
    assert!(listed.contains("order:placed") && listed.contains("broken:one"), "{listed}");
    let shown = host.cli(&["schemas", "show", "order:placed"]).ok();
    assert_eq!(serde(&shown), serde(ORDER));
    let none = host.get("/v1/schemas/other").expect(404);
    assert!(none["detail"].as_str().is_some_and(|detail| detail.contains("GET /v1/schemas lists them")), "{none}");

    let dir = site.root().join("schemas").display().to_string();
    let checked = site.run(["schemas", "check", &dir]);
    assert_eq!(checked.code, 1, "{checked}");
    assert!(checked.stdout.contains("order:placed: a schema for order:placed") && checked.stderr.contains("broken:one: "), "{checked}");
    let file = format!("{dir}/order:placed.json");
    assert_eq!(site.run(["schemas", "check", &file, "--payload", r#"{"items": []}"#]).ok(), "order:placed: the payload fits\n");
    let refused = site.run(["schemas", "check", &file, "--payload", r#"{"items": 1}"#]);
    assert!(refused.code == 1 && refused.stderr.contains("payload/items: "), "{refused}");
}

fn serde(text: &str) -> Value {
    text.parse().expect("a schema is JSON")
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let site = Site::new();
    let ran = trackside_tests::run(site.command(["run", "--listen", "127.0.0.1:0"]).env("TRACKSIDE_SCHEMAS_DIR", "nowhere"));
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stderr.contains("nowhere") && ran.stderr.contains("schemas.dir"), "{ran}");
}
