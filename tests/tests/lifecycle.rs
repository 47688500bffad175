//! What an operator does with plugins that run: takes versions that can do more, puts earlier ones back, sends and removes them from afar,
//! and passes one over that stands in the way. And what a host does by itself with one that keeps everybody waiting.

use std::{fs, thread};

use trackside_test_guests as guests;
use trackside_tests::{Host, Response, Site, Value, eventually, json};

fn publish(host: &Host, event_type: &str, number: u64) -> Response {
    host.publish(&json!({"event_type": event_type, "source_component": "test", "payload": {"number": number}}))
}

/// What the first handler said of an event.
fn first_check(host: &Host, answer: &Value) -> Value {
    let explained = host.get(&format!("/v1/events/{}", answer["sequence_number"])).expect(200);
    explained["decisions"][0]["checks"][0].clone()
}

/// Runs a verb against a host with its token.
fn plugin(site: &Site, host: &Host, arguments: &[&str]) -> trackside_tests::Ran {
    let token = site.data().join("token");
    host.cli(&[&["plugin"], arguments, &["--token-file", &token.to_string_lossy()]].concat())
}

fn version(host: &Host, name: &str) -> String {
    host.plugin(name)["version"].as_str().unwrap_or_default()[..12].to_owned()
}

#[test]
fn what_could_do_more_waits_for_a_word() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "priority = 100\n");
    let host = site.start();
    let memory = host.plugin("neighbour")["limits"]["memory_bytes"].clone();
    site.plugin("neighbour", &component, "priority = 10\n[limits]\nlog_bytes = 100_000\n[grants]\nclock = true\n");
    let growth = "priority: 100 -> 10; grants.clock: false -> true; limits.log_bytes: 65536 -> 100000";
    let problem = host.change("POST", "neighbour/reload", "").expect(422);
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(growth), "{problem}");
    let remedy = "trackside plugin reload neighbour --accept, or write allow_growth = true into neighbour.toml";
    assert!(detail.ends_with(remedy), "{problem}");
    let told = host.wait_for("type=plugin:reload_failed", |_| true);
    assert_eq!((&told["payload"]["reason"], &told["payload"]["changes"]), (&problem["reason"], &problem["changes"]), "{told}");
    assert_eq!((&host.plugin("neighbour")["priority"], &host.plugin("neighbour")["limits"]["memory_bytes"]), (&json!(100), &memory));
    let ran = plugin(&site, &host, &["reload", "neighbour"]);
    assert!(ran.code == 1 && ran.stderr.contains(growth), "{ran}");

    // With the word it is taken, and shown.
    let said = plugin(&site, &host, &["reload", "neighbour", "--accept"]).ok();
    for line in ["+ priority: 100 -> 10\n", "+ grants.clock: false -> true\n", "+ limits.log_bytes: 65536 -> 100000\n"] {
        assert!(said.contains(line), "{line} is missing in\n{said}");
    }
    let reloaded = host.wait_for("type=plugin:reloaded", |_| true);
    assert_eq!((&reloaded["payload"]["accepted_by"], &reloaded["payload"]["changes"]), (&json!("operator"), &problem["changes"]));
    assert_eq!(host.plugin("neighbour")["priority"], 10);

    // Less needs none; and the settings can say it once for all.
    site.plugin("neighbour", &component, "allow_growth = true\n");
    let said = plugin(&site, &host, &["reload", "neighbour"]).ok();
    assert!(said.contains("  priority: 10 -> 100\n") && !said.contains('+'), "{said}");
    site.plugin("neighbour", &component, "allow_growth = true\npriority = 1\n");
    host.change("POST", "neighbour/reload", "").expect(200);
    host.wait_for("type=plugin:reloaded", |event| event["payload"]["accepted_by"] == "allow_growth");
}

#[test]
fn growth_by_the_component_alone_waits_for_a_word_too() {
    let site = Site::new();
    let settings = "[grants]\ntimers = true\n";
    // Another component under the name: a worker, which waits by the grant that has stood there unused.
    site.plugin("changing", guests::build().bytes("minimal"), settings);
    let host = site.start();
    site.plugin("changing", guests::build().bytes("sim"), settings);
    let problem = host.change("POST", "changing/reload", "").expect(422);
    let changes = problem["changes"].as_array().cloned().unwrap_or_default();
    let grown: Vec<&str> = changes.iter().filter(|change| change["grows"] == true).filter_map(|change| change["what"].as_str()).collect();
    assert_eq!(grown, ["roles", "effect_class", "methods", "imports wasi:clocks", "grants.progress", "limits.timeout_ms", "limits.fuel"]);
    let site_file = site.file("mine/changing.wasm", guests::build().bytes("sim"));
    site.file("mine/changing.toml", settings);
    site.plugin("changing", guests::build().bytes("minimal"), settings);
    let checked = site.run(["plugin", "check", &site_file.to_string_lossy(), "--against", "changing", "--plugins", "plugins"]).ok();
    assert!(checked.contains("+ roles: control -> worker\n") && checked.contains("+ imports wasi:clocks: "), "{checked}");
    let report = site.run(["plugin", "check", &site_file.to_string_lossy(), "--against", "plugins/changing.wasm", "--json"]).json();
    assert_eq!(report["changes"], problem["changes"]);
}

#[test]
fn a_restart_is_no_word() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "");
    let host = site.start();
    let before = version(&host, "neighbour");
    assert_eq!(host.stop(), 0);
    let grown = guests::distinct(&component, 1);
    site.plugin("neighbour", &grown, "priority = 1\n");
    let host = site.start();
    assert_eq!((version(&host, "neighbour"), &host.plugin("neighbour")["priority"]), (before.clone(), &json!(100)));
    let refused = host.get("/v1/plugins").expect(200)["refused"][0].clone();
    assert!(refused["reason"].as_str().is_some_and(|reason| reason.contains("priority: 100 -> 1")), "{refused}");
    assert_eq!(host.stop(), 0);
    // Nor is a file that does not load a reason to go without.
    site.plugin("neighbour", b"junk", "priority = 1\n");
    let host = site.start();
    assert_eq!(version(&host, "neighbour"), before);
    site.plugin("neighbour", &grown, "priority = 1\n");
    assert!(plugin(&site, &host, &["reload", "neighbour", "--accept"]).ok().contains("+ priority: 100 -> 1"));
    let after = version(&host, "neighbour");
    assert_ne!(after, before);
    assert_eq!(host.stop(), 0);
    // What was taken stays taken, and what only changed is taken at a start.
    site.plugin("neighbour", &component, "priority = 2\n");
    let host = site.start();
    assert_eq!((version(&host, "neighbour"), &host.plugin("neighbour")["priority"]), (before, &json!(2)));
    assert_eq!(host.get("/v1/plugins").expect(200)["refused"], json!([]));
}

#[test]
fn earlier_versions_are_listed_and_put_back_as_files() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    let numbered = |number| guests::distinct(&component, number);
    site.plugin("neighbour", numbered(0), "");
    let host = site.start_with(|command| command.env("TRACKSIDE_PLUGINS_VERSIONS", "3"));
    let mut versions = vec![version(&host, "neighbour")];
    for number in 1..5 {
        site.plugin("neighbour", numbered(number), &format!("priority = {}\n", 100 + number));
        host.reload("neighbour").expect(200);
        versions.push(version(&host, "neighbour"));
    }
    let listed = host.cli(&["plugin", "versions", "neighbour", "--json"]).json_lines();
    let kept: Vec<&str> = listed.iter().filter_map(|version| version["version"].as_str().map(|version| &version[..12])).collect();
    assert_eq!(kept, [&versions[4], &versions[3], &versions[2]], "the last three");
    assert_eq!(listed.iter().map(|version| version["in_service"] == true).collect::<Vec<_>>(), [true, false, false]);
    assert!(host.cli(&["plugin", "versions", "neighbour"]).ok().contains("in service"));

    // The one before has an earlier place in the chain.
    let ran = plugin(&site, &host, &["rollback", "neighbour"]);
    assert!(ran.code == 1 && ran.stderr.contains("priority: 104 -> 103") && ran.stderr.contains("--accept"), "{ran}");
    assert_eq!(fs::read(site.plugins().join("neighbour.wasm")).expect("a file"), numbered(4), "what is refused changes no file");
    let said = plugin(&site, &host, &["rollback", "neighbour", "--accept"]).ok();
    assert!(
        said.contains(&format!("neighbour is in service, version {}", versions[3])) && said.contains("+ priority: 104 -> 103"),
        "{said}"
    );
    assert_eq!(fs::read(site.plugins().join("neighbour.wasm")).expect("a file"), numbered(3));
    assert_eq!(fs::read_to_string(site.plugins().join("neighbour.toml")).expect("a file"), "priority = 103\n");

    // Any of them, by its digits.
    plugin(&site, &host, &["rollback", "neighbour", &versions[4]]).ok();
    assert_eq!(version(&host, "neighbour"), versions[4]);
    for (wanted, says) in
        [("0000", "no version '0000'"), (versions[0].as_str(), "no version"), (versions[4].as_str(), "in service already")]
    {
        let ran = plugin(&site, &host, &["rollback", "neighbour", wanted]);
        assert!(ran.code == 1 && ran.stderr.contains(says), "{ran}");
    }
    let ran = plugin(&site, &host, &["rollback", "nobody"]);
    assert!(ran.code == 1 && ran.stderr.contains("no earlier version of 'nobody' is kept"), "{ran}");

    // Every event of the swaps names its version.
    let reloaded = eventually("an event of each swap", || {
        let events = host.events("type=plugin:reloaded");
        (events.len() >= 6).then_some(events)
    });
    let named: Vec<Value> = reloaded.into_iter().map(|event| event["payload"]["version"].clone()).collect();
    assert_eq!(
        named.iter().filter_map(|version| version.as_str().map(|version| &version[..12])).collect::<Vec<_>>(),
        [&versions[1], &versions[2], &versions[3], &versions[4], &versions[3], &versions[4]]
    );
}

#[test]
fn plugins_are_sent_and_removed_from_afar_by_who_has_the_token() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    let host = site.start_with(|command| command.env("TRACKSIDE_COMPILE_COMPONENT_BYTES", (component.len() + 100).to_string()));
    assert_eq!(host.send("PUT", "/v1/plugins/neighbour", &[("Content-Type", "application/wasm")], &component).status, 401);
    assert_eq!(host.send("DELETE", "/v1/plugins/neighbour", &[], "").status, 401);
    assert_eq!(host.send("POST", "/v1/plugins/neighbour/bypass?for=1m", &[], "").status, 401);
    assert_eq!(host.send("POST", "/v1/plugins/neighbour/rollback", &[], "").status, 401);

    site.file("plugins/neighbour.toml", "priority = 120\n");
    let loaded = host.change("PUT", "neighbour", &component).expect(200);
    assert_eq!((&loaded["outcome"], &loaded["plugin"]["priority"]), (&json!("loaded"), &json!(120)), "its settings are kept");
    assert_eq!(fs::read(site.plugins().join("neighbour.wasm")).expect("a file"), component);
    // What does not load, or is too large, changes nothing.
    host.change("PUT", "neighbour", b"junk").expect(422);
    host.change("PUT", "neighbour", vec![0; component.len() + 101]).expect(413);
    host.change("PUT", "No..Name", &component).expect(422);
    assert_eq!(fs::read(site.plugins().join("neighbour.wasm")).expect("a file"), component);
    let changed = guests::distinct(&component, 1);
    host.change("PUT", "neighbour", &changed).expect(200);
    assert_eq!(host.change("POST", "neighbour/rollback", "").expect(200)["outcome"], "loaded");
    assert_eq!(fs::read(site.plugins().join("neighbour.wasm")).expect("a file"), component);
    let problem = host.change("POST", "neighbour/rollback?versoin=1", "").expect(400);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("did you mean 'version'?")), "{problem}");

    assert_eq!(host.change("DELETE", "neighbour", "").expect(200)["outcome"], "unloaded");
    assert_eq!(fs::read_dir(site.plugins()).expect("a directory").count(), 0);
    host.change("DELETE", "neighbour", "").expect(404);
    // Back as it was, settings included: taken out, it is new, and nothing to compare it with.
    host.change("POST", "neighbour/rollback", "").expect(200);
    assert_eq!(host.plugin("neighbour")["priority"], 120);
}

#[test]
fn a_handler_that_holds_everything_is_passed_over_and_the_log_knows_by_whom() {
    let site = Site::new();
    let settings = "on_fault = 'fail'\n[controls]\nevent_types = ['held:*', 'task:ready']\n[observes]\nevent_types = []\n[breaker]\nbackoff_ms = 50\n[settings]\nrole = 'control'\n";
    site.plugin("trap", guests::build().bytes("trap"), settings);
    site.plugin("neighbour", guests::build().bytes("neighbour"), "[controls]\nevent_types = []\n[observes]\nevent_types = []\n");
    let host = site.start();
    publish(&host, "held:back", 1).expect(429);
    let held = host.submit("name: held\ntasks:\n  - {id: n, method: neighbour/echo, parameters: {n: 1}}\n");
    eventually("the task to be held", || {
        let view = host.get(&format!("/v1/workflows/{held}")).expect(200);
        view["tasks"][0]["waits_for"].as_str().is_some_and(|waits_for| waits_for.contains("'trap'")).then_some(())
    });
    let said = plugin(&site, &host, &["bypass", "trap", "--for", "1h", "--reason", "it holds up the shop"]).ok();
    assert!(said.starts_with("trap is bypassed until 20"), "{said}");
    let event = host.wait_for("type=plugin:bypassed", |_| true);
    let payload = &event["payload"];
    assert_eq!(
        (&payload["plugin"], &payload["by"], &payload["reason"], &payload["for_ms"]),
        (&json!("trap"), &json!("operator"), &json!("it holds up the shop"), &json!(3_600_000)),
        "{event}"
    );
    assert_eq!(host.plugin("trap")["state"], "bypassed");
    let listed = host.cli(&["plugin", "list"]).ok();
    assert!(listed.contains("bypassed until 20"), "{listed}");
    let answer = publish(&host, "held:back", 2).expect(201);
    let check = first_check(&host, &answer);
    assert_eq!((&check["plugin"], &check["answer"]), (&json!("trap"), &json!("bypassed")), "{check}");
    assert!(check["reason"].as_str().is_some_and(|reason| reason.contains("by operator")), "{check}");
    assert_eq!(host.ended(&held)["status"], "completed", "what was held goes on");

    // A restart does not end it, nor does another version.
    assert_eq!(host.stop(), 0);
    let host = site.start();
    publish(&host, "held:back", 3).expect(201);
    host.reload("trap").expect(200);
    publish(&host, "held:back", 4).expect(201);
    assert!(plugin(&site, &host, &["bypass", "trap", "--off"]).ok().contains("no longer bypassed"));
    publish(&host, "held:back", 5).expect(429);
    assert_eq!(plugin(&site, &host, &["bypass", "trap", "--off"]).ok(), "trap was not bypassed\n");

    // By itself it ends too.
    host.change("POST", "trap/bypass?for=200ms", "").expect(200);
    host.wait_for("type=plugin:bypass_ended", |event| event["payload"]["by"] == "host");
    publish(&host, "held:back", 6).expect(429);
    for (path, status) in [("nobody/bypass?for=1m", 404), ("trap/bypass?for=8d", 400), ("trap/bypass?for=soon", 400), ("trap/bypass", 400)]
    {
        host.change("POST", path, "").expect(status);
    }
}

#[test]
fn a_bypassed_observer_stands_still_and_a_bypassed_worker_gets_nothing() {
    let site = Site::new();
    site.plugin("neighbour", guests::build().bytes("neighbour"), "[controls]\nevent_types = []\n[observes]\nevent_types = ['case:*']\n");
    let host = site.start();
    publish(&host, "case:came", 1).expect(201);
    eventually("the first to be seen", || (site.kv_number("neighbour", "seen") == 1).then_some(()));
    host.change("POST", "neighbour/bypass?for=1h", "").expect(200);
    for number in 2..6 {
        publish(&host, "case:came", number).expect(201);
    }
    let id = host.submit("name: waits\ntasks:\n  - {id: n, method: neighbour/echo, parameters: {n: 1}}\n");
    thread::sleep(std::time::Duration::from_millis(200));
    let status = host.get(&format!("/v1/workflows/{id}")).expect(200)["status"].clone();
    assert_eq!((site.kv_number("neighbour", "seen"), site.kv_number("neighbour", "worked"), status), (1, 0, json!("running")));
    host.change("POST", "neighbour/bypass?off=true", "").expect(200);
    assert_eq!(host.ended(&id)["status"], "completed");
    eventually("the others to be seen, each once", || (site.kv_number("neighbour", "seen") == 5).then_some(()));
}

#[test]
fn several_versions_are_at_work_at_a_time() {
    let site = Site::new();
    let component = guests::build().bytes("sim");
    let settings = "workers = 4\n[grants]\ntimers = true\nclock = true\n";
    site.plugin("sim", &component, settings);
    let host = site.start();
    let started = |id: &str| host.wait_for(&format!("type=task:started&workflow_id={id}"), |_| true)["payload"]["version"].clone();
    let mut sleepers = Vec::new();
    for number in 1..4 {
        let id = host.submit("name: sleeps\ntasks:\n  - {id: s, method: sim/sleep, parameters: {ms: 3600000}, timeout: 2h}\n");
        assert_eq!(started(&id), version(&host, "sim"));
        sleepers.push((id, version(&host, "sim")));
        site.plugin("sim", guests::distinct(&component, number), settings);
        host.reload("sim").expect(200);
        let view = host.finish("name: e\ntasks:\n  - {id: e, method: sim/echo}\n");
        assert_eq!(view["status"], "completed", "the new version works while the old ones are still at it");
    }
    let versions: std::collections::BTreeSet<&String> = sleepers.iter().map(|(_, version)| version).collect();
    assert_eq!(versions.len(), 3);
    for (id, _) in &sleepers {
        assert_eq!(host.get(&format!("/v1/workflows/{id}")).expect(200)["status"], "running");
        host.post(&format!("/v1/workflows/{id}/cancel"), &json!({})).expect(201);
    }
    // What a plugin publishes names its version as well.
    site.plugin("publisher", guests::build().bytes("publisher"), "[grants]\npublish = true\n");
    host.reload("publisher").expect(200);
    host.finish("name: p\ntasks:\n  - {id: p, method: publisher/publish, parameters: {drafts: [{event_type: 'made:up'}]}}\n");
    let made = host.wait_for("type=made:up", |_| true);
    assert_eq!(made["metadata"]["plugin_version"], version(&host, "publisher"), "{made}");
}

#[test]
fn a_spinning_handler_keeps_nobody_waiting_longer_than_its_deadline_and_twice_at_most() {
    let site = Site::new();
    let settings = "priority = 1\n[limits]\ntimeout_ms = 50\n[breaker]\nbackoff_ms = 3_600_000\n[controls]\nevent_types = ['case:*']\n[observes]\nevent_types = []\n[settings]\nrole = 'control'\n";
    site.plugin("spin", guests::build().bytes("spin"), settings);
    let threads = 4;
    let host = site.start_with(|command| {
        command.env("TRACKSIDE_ENGINE_GUEST_THREADS", threads.to_string()).env("TRACKSIDE_ENGINE_CHAIN_BUDGET_MS", "60000")
    });
    let (publishers, each) = (8, 10);
    thread::scope(|scope| {
        for publisher in 0..publishers {
            let host = &host;
            scope.spawn(move || (0..each).for_each(|number| drop(publish(host, "case:came", publisher * each + number).expect(201))));
        }
    });
    // A deadline is the most that one look takes; nobody was looked at twice, and hardly anybody once.
    let checks: Vec<Value> = site.decisions().into_iter().map(|(_, records)| records[0]["checks"].clone()).collect();
    assert_eq!(checks.len() as u64, publishers * each);
    let faulted = checks.iter().filter(|checks| checks[0]["answer"] == "fault").count();
    let passed_over = checks.iter().filter(|checks| checks[0]["answer"] == "not_asked" && checks[0]["reason"] == "quarantined").count();
    assert_eq!(faulted + passed_over, checks.len());
    assert!(checks.iter().all(|checks| checks.as_array().map(Vec::len) == Some(1)), "asked once an event");
    // Two in a row open the breaker; besides them there are only those that had begun by then, one a thread.
    assert!((2..=threads + 1).contains(&faulted), "{faulted} publishers were kept waiting");
    let quarantined = host.events("type=plugin:quarantined");
    assert_eq!(quarantined.len(), 1);
    assert_eq!(host.plugin("spin")["faults"].as_u64(), Some(faulted as u64));
}

#[test]
fn a_fallen_handler_is_back_within_its_backoff() {
    let site = Site::new();
    let settings = "on_fault = 'fail'\n[limits]\ntimeout_ms = 50\n[breaker]\nbackoff_ms = 300\n[controls]\nevent_types = ['case:*']\n[observes]\nevent_types = []\n[settings]\nrole = 'control'\nevent_type = 'case:evil'\n";
    site.plugin("spin", guests::build().bytes("spin"), settings);
    let host = site.start();
    for number in 0..2 {
        publish(&host, "case:evil", number).expect(429);
    }
    let quarantined = host.wait_for("type=plugin:quarantined", |_| true);
    let held = publish(&host, "case:kind", 2).expect(429);
    assert!(held["retry_after_ms"].as_u64().is_some_and(|wait_ms| wait_ms <= 300), "not longer than the backoff: {held}");
    // Whoever waits for as long as he was told is let in: his event is the probe.
    thread::sleep(std::time::Duration::from_millis(held["retry_after_ms"].as_u64().unwrap_or_default()));
    let answer = publish(&host, "case:kind", 3).expect(201);
    assert_eq!(first_check(&host, &answer)["answer"], "proceed");
    let order: Vec<Value> = host
        .events("type=plugin:quarantined,circuit:half_open,plugin:restored&provider_id=spin")
        .into_iter()
        .map(|event| event["event_type"].clone())
        .collect();
    assert_eq!(order, ["plugin:quarantined", "circuit:half_open", "plugin:restored"]);
    assert_eq!((&quarantined["payload"]["plugin"], &host.plugin("spin")["state"]), (&json!("spin"), &json!("serving")));
}
