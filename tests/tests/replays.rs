//! Replays from outside: by the command line and over HTTP, over a kill, to a real component and to a durable reader.
//! What a replay does inside is the engine's tests.

use trackside_tests::{Host, Response, Site, Value, eventually, json};

const NDJSON: (&str, &str) = ("Content-Type", "application/x-ndjson");

fn order(number: u64) -> Value {
    json!({"event_type": "order:placed", "source_component": "shop", "payload": {"number": number}})
}

fn with_token(host: &Host, method: &str, path: &str) -> Response {
    let bearer = format!("Bearer {}", host.token());
    host.send(method, path, &[("Authorization", &bearer)], "")
}

/// Waits for its end.
fn ended(host: &Host, id: &str) -> Value {
    eventually("the replay has ended", || {
        let replay = host.get(&format!("/v1/replays/{id}")).expect(200);
        (!matches!(replay["state"].as_str(), Some("running" | "waiting"))).then_some(replay)
    })
}

#[test]
fn a_replay_to_a_component_goes_on_after_a_kill() {
    let site = Site::new();
    site.shipped(&["metrics"]);
    let host = site.start();
    let events: String = (0..2_000).map(|number| format!("{}\n", order(number))).collect();
    assert_eq!(host.send("POST", "/v1/events", &[NDJSON], &events).status, 200);
    // At a fifth of the pace it is under way for a while.
    let begun = with_token(&host, "POST", "/v1/replays?to=observer/metrics&type=order:*&speed=0.2").expect(201);
    let id = begun["id"].as_str().expect("an id").to_owned();
    eventually("it is under way", || host.get(&format!("/v1/replays/{id}")).expect(200)["events"].as_u64().filter(|events| *events > 0));
    host.kill();
    let host = site.start();
    let replay = host.get(&format!("/v1/replays/{id}")).expect(200);
    assert_eq!((&replay["to"], &replay["pace"]["recorded"]), (&json!("observer/metrics"), &json!(0.2)));
    let end = ended(&host, &id);
    assert_eq!((&end["state"], &end["events"]), (&json!("completed"), &json!(2_000)));
    assert_eq!(host.events("type=replay:*").len(), 2);
    assert!(host.cli(&["replay", "show", &id]).ok().contains("completed"));
    assert!(host.cli(&["replay", "list"]).ok().starts_with("no replay is under way"));
}

#[test]
fn a_reader_s_client_sees_what_is_replayed_and_a_replay_can_be_stopped() {
    let site = Site::new();
    let host = site.start();
    host.send("PUT", "/v1/readers/billing?type=order:*&in_flight=4", &[], "").expect(201);
    (0..10).for_each(|number| drop(host.publish(&order(number)).expect(201)));
    let next = || {
        let answer = host.send("POST", "/v1/readers/billing/next?limit=10&wait_ms=5000", &[], "").expect(200);
        let deliveries = answer["deliveries"].as_array().cloned().unwrap_or_default();
        let positions: Vec<&Value> = deliveries.iter().map(|delivery| &delivery["position"]).collect();
        let said = json!({"acknowledge": positions}).to_string();
        host.send("POST", "/v1/readers/billing/settle", &[("Content-Type", "application/json")], said).expect(200);
        deliveries
    };
    let mut first = 0;
    while first < 10 {
        let deliveries = next();
        assert!(deliveries.iter().all(|delivery| delivery["replay"].is_null()));
        first += deliveries.len();
    }
    let begun = with_token(&host, "POST", "/v1/replays?to=reader/billing&type=order:*").expect(201);
    let deliveries = next();
    assert_eq!((deliveries.len(), &deliveries[0]["replay"], &deliveries[0]["event"]["payload"]["number"]), (2, &json!(true), &json!(0)));
    let path = format!("/v1/replays/{}", begun["id"].as_str().unwrap_or_default());
    let stopped = with_token(&host, "DELETE", &path).expect(200);
    assert_eq!((&stopped["state"], &host.get(&path).expect(200)["state"]), (&json!("stopped"), &json!("stopped")));
    assert!(stopped["events"].as_u64().is_some_and(|events| (2..10).contains(&events)), "{stopped}");
    with_token(&host, "DELETE", &path).expect(404);
}

#[test]
fn what_is_no_replay_is_refused_with_what_to_do() {
    let site = Site::new();
    let host = site.start();
    host.publish(&order(0)).expect(201);
    let refused = |query: &str, status: u16, says: &str| {
        let problem = with_token(&host, "POST", &format!("/v1/replays{query}")).expect(status);
        let detail = problem["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(says), "{query}: {detail}");
    };
    refused("", 400, "to: is missing");
    refused("?to=audit", 400, "write observer/NAME or reader/NAME");
    refused("?to=observer/audit&form=1", 400, "did you mean 'from'?");
    refused("?to=observer/audit", 409, "'audit' is not in service");
    refused("?to=reader/billing", 409, "there is no durable reader 'billing'");
    refused("?to=observer/audit&from=99999", 422, "the log ends at");
    refused("?to=observer/audit&speed=0", 422, "speed: 0 is not from");
    assert!(host.send("POST", "/v1/replays?to=observer/audit", &[], "").expect(401)["detail"].is_string());
    assert!(host.get("/v1/replays/x").expect(400)["detail"].as_str().is_some_and(|detail| detail.contains("no replay's id")));
    host.get("/v1/replays/0198f2b4-0000-7000-8000-000000000001").expect(404);
    assert_eq!(host.cli(&["replay", "show", "a b"]).code, 2);
}
