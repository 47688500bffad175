//! The shipped `webhook` against real servers: what they are sent, what is sent again, and what is given up.
//! How it reads its settings is told by its own tests.

use std::sync::atomic::{AtomicU16, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use trackside_tests::{Answer, Authority, Host, Outside, Site, Value, eventually, json};

/// A host with a webhook to this server, whose settings go on with `more`.
fn start(site: &Site, authority: &Authority, server: &Outside, settings: &str, more: &str) -> Host {
    site.shipped(&["webhook"]);
    let settings = format!(
        "[observes]\nevent_types = ['order:*']\n[settings]\nurl = 'https://hooks.test:{port}/in?x=1'\n{settings}\n\
         [[grants.http]]\nhost = 'hooks.test'\nport = {port}\nmethods = ['POST']\npath_prefix = '/in'\nprivate = true\n{more}",
        port = server.port()
    );
    site.file("plugins/webhook.toml", settings);
    site.start_with(|command| {
        command
            .env("TRACKSIDE_OUTGOING_CA_FILE", authority.file())
            .env("TRACKSIDE_OUTGOING_RESOLVE", "hooks.test=127.0.0.1")
            .env("HOOK_TOKEN", "t0ken")
    })
}

fn place(host: &Host, number: u32) -> Value {
    host.publish(&json!({"event_type": "order:placed", "source_component": "shop", "payload": {"number": number}})).expect(201)
}

#[test]
fn events_are_posted_signed_and_in_order() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let server = Outside::https(&authority, &["hooks.test"], |_| Answer::text(204, ""));
    let key = site.file("key", "whsec\n");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode can be set");
    let secrets = format!(
        "[[grants.secrets]]\nname = 'signing'\nfile = '{}'\n[[grants.secrets]]\nname = 'token'\nenv = 'HOOK_TOKEN'\nhosts = ['hooks.test']\n",
        key.display()
    );
    let host = start(&site, &authority, &server, "secret = 'signing'\nbearer = 'token'\nheaders = { x-tenant = 'shop' }", &secrets);
    let ids: Vec<Value> = (1..=3).map(|number| place(&host, number)["event_id"].clone()).collect();
    let came = eventually("three requests", || Some(server.came()).filter(|came| came.len() == 3));
    for (came, (number, id)) in came.iter().zip((1..).zip(&ids)) {
        let event: Value = serde_json(&came.body);
        assert_eq!((&event["event_id"], &event["event_type"], &event["payload"]["number"]), (id, &json!("order:placed"), &json!(number)));
        assert_eq!(Some(&event), host.events("type=order:placed").iter().find(|placed| placed["event_id"] == *id), "as clients read it");
        assert_eq!((came.path.as_str(), came.header("content-type")), ("/in?x=1", Some("application/json")));
        assert_eq!((came.header("idempotency-key"), came.header("x-tenant")), (id.as_str(), Some("shop")));
        assert_eq!(came.header("authorization"), Some("Bearer t0ken"));
        let signature = came.header("trackside-signature").expect("it is signed");
        let (time, digest) = signature.trim_start_matches("t=").split_once(",v1=").expect("it has its two parts");
        assert_eq!(digest, sign("whsec", &format!("{time}.{}", came.text())));
    }
    eventually("the count", || (site.kv_number("webhook", "delivered") == 3).then_some(()));
    assert_eq!(host.events("type=error:raised"), [] as [Value; 0]);
}

fn serde_json(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).expect("it is text").parse().expect("it is JSON")
}

/// HMAC-SHA-256, as who receives a webhook computes it.
fn sign(key: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key is one");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_fails_for_now_comes_again_and_what_is_refused_is_given_up() {
    static STATUS: AtomicU16 = AtomicU16::new(503);
    let site = Site::new();
    let authority = Authority::new(site.root());
    let server = Outside::https(&authority, &["hooks.test"], |_| Answer::text(STATUS.load(Ordering::SeqCst), ""));
    let host = start(&site, &authority, &server, "", "");
    let id = place(&host, 1)["event_id"].clone();
    let came = eventually("a second delivery", || Some(server.came()).filter(|came| came.len() >= 2));
    assert!(came.iter().all(|came| came.header("idempotency-key") == id.as_str()), "under the same key");
    assert_eq!((site.kv_number("webhook", "delivered"), came[0].header("trackside-signature")), (0, None));
    STATUS.store(200, Ordering::SeqCst);
    eventually("the delivery", || (site.kv_number("webhook", "delivered") == 1).then_some(()));
    // A redirect is not followed.
    STATUS.store(410, Ordering::SeqCst);
    let before = server.came().len();
    let gone = place(&host, 2)["event_id"].clone();
    eventually("the count", || (site.kv_number("webhook", "given_up") == 1).then_some(()));
    eventually("the line", || host.output().contains(&format!("gave up order:placed {}: answered 410", gone.as_str()?)).then_some(()));
    assert_eq!((server.came().len(), site.kv_number("webhook", "delivered")), (before + 1, 1));
}

#[test]
fn what_is_never_taken_is_a_dead_letter_and_the_next_goes_on() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let server =
        Outside::https(&authority, &["hooks.test"], |came| Answer::text(if came.text().contains("\"number\":1}") { 500 } else { 200 }, ""));
    site.shipped(&["webhook"]);
    let host = start(&site, &authority, &server, "", "");
    place(&host, 1);
    host.stop();
    // Two deliveries are enough.
    let host = site.start_with(|command| {
        command
            .env("TRACKSIDE_OUTGOING_CA_FILE", authority.file())
            .env("TRACKSIDE_OUTGOING_RESOLVE", "hooks.test=127.0.0.1")
            .env("TRACKSIDE_ENGINE_OBSERVER_DELIVERIES", "2")
    });
    place(&host, 2);
    let letter = host.wait_for("type=event:dead_lettered", |_| true);
    let reason = letter["payload"]["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("https://hooks.test:") && reason.ends_with("answered 500"), "{letter}");
    eventually("the next", || (site.kv_number("webhook", "delivered") == 1).then_some(()));

    // It is kept, shown, and handed over again with another payload; by whoever holds the token.
    let (token, number) = (site.data().join("token").display().to_string(), letter["sequence_number"].to_string());
    let kept = host.cli(&["dead-letters", "list", "--type", "order:*", "--plugin", "webhook", "--json"]).json_lines();
    assert_eq!((kept.len(), &kept[0]["dead_letter"], &kept[0]["code"]), (1, &letter["sequence_number"], &json!("deliveries")));
    let shown = host.cli(&["dead-letters", "show", &number, "--json"]).json();
    assert_eq!((&shown["event"]["payload"]["number"], shown["attempts"].as_array().map(Vec::len)), (&json!(1), Some(2)), "{shown}");
    let shown = site.read(["dead-letters", "show", &number]).ok();
    assert!(shown.contains("attempt 1") && shown.contains("attempt 2") && shown.contains("answered 500"), "{shown}");
    let path = format!("/v1/dead-letters/{number}/redrive");
    host.send("POST", &path, &[], "").expect(401);
    let bearer = format!("Bearer {}", host.token());
    let ask = |path: &str, body: &str| host.send("POST", path, &[("Authorization", &bearer), ("Content-Type", "application/json")], body);
    let problem = ask(&path, "").expect(422);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("stays a dead letter")), "{problem}");
    for (path, body, status) in [
        (&*path, r#"{"paylod": 1}"#, 422),
        (&path, "{", 400),
        ("/v1/dead-letters/77777/redrive", "", 404),
        ("/v1/dead-letters/x/redrive", "", 400),
        ("/v1/dead-letters/purge", "", 400),
        ("/v1/dead-letters/purge?all=true&plugin=webhook", "", 400),
        ("/v1/dead-letters/purge?typ=a:b", "", 400),
    ] {
        ask(path, body).expect(status);
    }
    let payload = site.file("payload.json", r#"{"number": 3}"#).display().to_string();
    let said = host.cli(&["dead-letters", "redrive", &number, "--payload", &payload, "--token-file", &token]).ok();
    assert_eq!(said, format!("{number}: 'webhook' took it\n"));
    assert_eq!(server.came().last().map(|came| serde_json(&came.body)["payload"].clone()), Some(json!({"number": 3})));
    assert_eq!(host.get("/v1/dead-letters").expect(200)["dead_letters"], json!([]));
    let other = json!({"event_type": "order:placed", "source_component": "shop", "payload": {"again": true, "number": 1}});
    host.publish(&other).expect(201);
    let again = host.wait_for("type=event:dead_lettered", |event| event["sequence_number"] != letter["sequence_number"]);
    let said = host.cli(&["dead-letters", "redrive", "--plugin", "webhook", "--token-file", &token]).ok();
    assert!(said.starts_with(&format!("{}: it was not taken, and stays: ", again["sequence_number"])), "{said}");
    let said = host.cli(&["dead-letters", "purge", "--older-than", "1ms", "--reason", "over", "--token-file", &token]).ok();
    assert_eq!(said, "purged: 1 dead letters\n");
    assert_eq!(host.events("type=event:purged")[0]["payload"]["reason"], "over");
    host.stop();
    trackside_tests::run(trackside_tests::command(["store", "verify", "--data"]).arg(site.data())).ok();
}

#[test]
fn a_batch_is_an_array_and_deliveries_have_a_size() {
    let site = Site::new();
    let authority = Authority::new(site.root());
    let server = Outside::https(&authority, &["hooks.test"], |_| Answer::text(200, ""));
    let host = start(&site, &authority, &server, "batch = 4", "[limits]\nobserve_events = 4\n");
    // Out of service while events come, so that many wait.
    host.change("POST", "webhook/bypass?for=10m", "").expect(200);
    (1..=10).for_each(|number| drop(place(&host, number)));
    host.change("POST", "webhook/bypass?off=true", "").expect(200);
    eventually("all of them", || (site.kv_number("webhook", "delivered") == 10).then_some(()));
    let sizes: Vec<usize> = server.came().iter().map(|came| serde_json(&came.body).as_array().map_or(0, Vec::len)).collect();
    assert_eq!((sizes.iter().sum::<usize>(), sizes.iter().max()), (10, Some(&4)), "{sizes:?}");
}

#[test]
fn each_request_is_in_the_trace_of_its_event() {
    static STATUS: AtomicU16 = AtomicU16::new(503);
    let site = Site::new();
    let authority = Authority::new(site.root());
    let server = Outside::https(&authority, &["hooks.test"], |_| Answer::text(STATUS.load(Ordering::SeqCst), ""));
    let host = start(&site, &authority, &server, "", "");
    // While the first is not taken, the others gather behind it, to be delivered together.
    let traces = ["4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c", ""];
    for (number, trace) in traces.iter().enumerate() {
        let event = json!({"event_type": "order:placed", "source_component": "shop", "payload": {"number": number}});
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend((!trace.is_empty()).then_some(("traceparent", &*parent)));
        host.send("POST", "/v1/events", &headers, event.to_string()).expect(201);
    }
    STATUS.store(204, Ordering::SeqCst);
    eventually("the count", || (site.kv_number("webhook", "delivered") == 3).then_some(()));
    for event in host.events("type=order:placed") {
        let came = server.came();
        let came = came.iter().rfind(|came| came.header("idempotency-key") == event["event_id"].as_str()).expect("it was posted");
        assert_eq!(came.header("traceparent"), event["metadata"]["traceparent"].as_str(), "{event}");
    }
}
