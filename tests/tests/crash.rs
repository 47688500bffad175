//! A host that is killed at any moment and started again: what was acknowledged is there, every workflow ends as it would have undisturbed,
//! the log has no gaps, and what observers have counted is what the log holds.
//! A gentle stop is `server`'s.

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use trackside_test_guests as guests;
use trackside_tests::{Host, PATIENCE, Site, Value, eventually, json, request};

/// Rounds of start, load and kill.
const ROUNDS: u64 = 50;
/// The latest moment of a kill, in milliseconds after the load began.
const LATEST_MS: u64 = 200;
/// Publishers at a time.
const PUBLISHERS: usize = 3;
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// Every way for a workflow to go on: waves, references, waits, retries by policy and of the task's own, failures, skips by cause.
const WORKFLOWS: [&str; 3] = [
    "name: wide
tasks:
  - {id: start, method: sim/echo, parameters: {n: 3}}
  - {id: a, method: sim/sleep, dependencies: [start], parameters: {ms: 20}}
  - {id: b, method: sim/echo, parameters: {of: '${start.n}'}}
  - {id: c, method: sim/sleep, dependencies: [b], parameters: {ms: 10}}
  - {id: join, method: sim/echo, parameters: {a: '${a.slept_ms}', b: '${b}', c: '${c}', text: 'n = ${start.n}'}}
",
    "name: flaky
tasks:
  - {id: policy, method: sim/flaky, parameters: {fail_first: 2, result: by policy}}
  - {id: own, method: sim/flaky, parameters: {fail_first: 1, result: by itself}, retry: {attempts: 4, initial_delay: 0.03}}
  - {id: join, method: sim/echo, parameters: {both: ['${policy}', '${own}']}}
",
    "name: failing
tasks:
  - {id: long, method: sim/sleep, parameters: {ms: 40}}
  - {id: bad, method: sim/fail, dependencies: [long], parameters: {message: no luck}}
  - {id: never, method: sim/echo, dependencies: [bad]}
",
];

/// The answers that a publisher, or a submitter, was given.
#[derive(Default)]
struct Acknowledged {
    events: Vec<Value>,
    workflows: Vec<(usize, String)>,
}

/// What of a workflow must not depend on when the power failed.
fn final_state(view: &Value) -> Value {
    let tasks: Vec<Value> = view["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|task| json!({"id": task["id"], "status": task["status"], "result": task["result"], "error": task["error"]["message"]}))
        .collect();
    json!({"name": view["name"], "status": view["status"], "tasks": tasks})
}

fn site() -> Site {
    let site = Site::new();
    site.shipped(&["sim", "retry-policy", "audit"]);
    // Retries are quick here, and audit leaves the lines out.
    site.file("plugins/retry-policy.toml", "[settings]\nmax_attempts = 6\nbase_ms = 20\ncap_ms = 50\n");
    site.file("plugins/audit.toml", "[settings]\nlines = false\n[grants]\nkv = true\n");
    site
}

fn undisturbed() -> Vec<Value> {
    let site = site();
    let host = site.start();
    let ids: Vec<String> = WORKFLOWS.iter().map(|definition| host.submit(definition)).collect();
    ids.iter().map(|id| final_state(&host.ended(id))).collect()
}

/// Submits and publishes until the host is gone.
fn load(address: SocketAddr, round: u64, publisher: usize, gone: &AtomicBool) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    for (place, definition) in WORKFLOWS.iter().enumerate() {
        let answer = request(address, "POST", "/v1/workflows", &[("Content-Type", "application/yaml")], definition.as_bytes());
        if let Ok(answer) = answer.as_ref() {
            assert_eq!(answer.status, 201, "{answer}");
            let id = answer.json()["workflow_id"].as_str().expect("an id").to_owned();
            acknowledged.workflows.push((place, id));
        }
    }
    for number in 0_u64.. {
        let event = json!({"event_type": "crash:counted", "source_component": format!("p{publisher}"), "payload": {"round": round, "number": number}});
        match request(address, "POST", "/v1/events", &[JSON], event.to_string().as_bytes()) {
            Ok(answer) if answer.status == 201 => acknowledged.events.push(answer.json()),
            Ok(answer) => panic!("{answer}"),
            Err(_) if gone.load(Ordering::Relaxed) => break,
            // It is going at this very moment.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
    acknowledged
}

fn seed() -> u64 {
    let given = env::var("TRACKSIDE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("TRACKSIDE_SEED={seed}");
    seed
}

#[test]
fn what_was_acknowledged_survives_and_workflows_end_as_they_would_have() {
    let mut random = fastrand::Rng::with_seed(seed());
    let expected = undisturbed();
    let site = site();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let host = site.start();
        let (address, gone, moment) = (host.address(), AtomicBool::new(false), random.u64(1..LATEST_MS));
        println!("round {round}: killed after {moment} ms");
        acknowledged.extend(thread::scope(|scope| {
            let publishers: Vec<_> = (0..PUBLISHERS)
                .map(|publisher| (publisher, &gone))
                .map(|(publisher, gone)| scope.spawn(move || load(address, round, publisher, gone)))
                .collect();
            thread::sleep(Duration::from_millis(moment));
            host.kill();
            gone.store(true, Ordering::Relaxed);
            publishers.into_iter().map(|publisher| publisher.join().expect("a publisher ends")).collect::<Vec<_>>()
        }));
    }

    // Everything goes on, and ends as it would have.
    let host = site.start();
    let mut workflows = 0;
    for (place, id) in acknowledged.iter().flat_map(|acknowledged| &acknowledged.workflows) {
        assert_eq!(final_state(&host.ended(id)), expected[*place], "workflow {id}");
        workflows += 1;
    }
    // Those whose answer was lost on the way end too.
    eventually("all to end", || {
        host.get("/v1/workflows?status=running,submitted").expect(200)["workflows"].as_array().is_some_and(Vec::is_empty).then_some(())
    });

    let logged = host.events("narration=false");
    for (place, event) in logged.iter().enumerate() {
        assert_eq!(event["sequence_number"], place + 1, "sequence numbers have no gaps");
    }
    let mut events = 0;
    for answer in acknowledged.iter().flat_map(|acknowledged| &acknowledged.events) {
        let sequence = answer["sequence_number"].as_u64().expect("a number") as usize;
        assert_eq!(logged.get(sequence - 1).map(|event| &event["event_id"]), Some(&answer["event_id"]), "{answer} was acknowledged");
        events += 1;
    }
    println!("{workflows} workflows and {events} events were acknowledged; the log has {} facts", logged.len());
    assert!(workflows > 0 && events > 0, "nothing was under way");

    // Each task ended once, whatever was done twice; the observer counted each event once, whatever was delivered twice.
    let mut ended: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for event in &logged {
        let event_type = event["event_type"].as_str().expect("a type");
        *counts.entry(event_type).or_default() += 1;
        let is_final = matches!(event_type, "task:completed" | "task:skipped" | "task:cancelled")
            || (event_type == "task:failed" && event["payload"]["final"] == true);
        if is_final {
            *ended.entry((event["workflow_id"].to_string(), event["task_id"].to_string())).or_default() += 1;
        }
    }
    assert!(ended.values().all(|times| *times == 1), "{ended:?}");
    for event_type in [
        "crash:counted",
        "workflow:submitted",
        "workflow:completed",
        "workflow:failed",
        "task:started",
        "task:completed",
        "task:failed",
        "task:retry_scheduled",
    ] {
        let logged = counts.get(event_type).copied().unwrap_or_default();
        eventually(&format!("audit's count of {event_type} to be {logged}"), || {
            (site.kv_number("audit", &format!("count/{event_type}")) == logged).then_some(())
        });
    }
}

#[test]
fn a_host_that_is_killed_while_it_starts_starts_again() {
    let mut random = fastrand::Rng::with_seed(seed());
    let site = site();
    let host = site.start();
    let published = host.publish(&json!({"event_type": "crash:counted", "source_component": "p", "payload": {"number": 1}})).expect(201);
    host.kill();
    for _ in 0..8 {
        let mut command = site.command(["run", "--listen", "127.0.0.1:0"]);
        command.arg("--plugins").arg(site.plugins()).arg("--data").arg(site.data());
        let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts");
        thread::sleep(Duration::from_millis(random.u64(0..120)));
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }
    let host = site.start();
    let found = host.get(&format!("/v1/events/{}", published["sequence_number"])).expect(200);
    assert_eq!(found["event"]["event_id"], published["event_id"]);
    assert_eq!(host.finish(WORKFLOWS[0])["status"], "completed");
}

/// Where the host is ended: the failpoint, how often it is passed before, and whether it is stopped gently, so that it gets there.
const PLACES: [(&str, u64, bool); 18] = [
    ("migration-before", 2, false),
    ("migration-after", 3, false),
    ("version-before", 1, false),
    ("version-after", 1, false),
    ("commit-before", 20, false),
    ("commit-after", 20, false),
    ("observer-before", 3, false),
    ("observer-after", 3, false),
    ("outbox-before", 3, false),
    ("outbox-after", 3, false),
    ("reader-before", 3, false),
    ("reader-after", 3, false),
    ("inbox-before", 2, false),
    ("inbox-after", 2, false),
    ("retention-before", 2, false),
    ("retention-after", 2, false),
    ("checkpoint-before", 1, true),
    ("checkpoint-after", 1, true),
];

/// Where a copy of the log is ended, and whether it is there then.
const PLACES_OF_COPIES: [(&str, bool); 2] = [("backup-before", false), ("backup-after", true)];

/// What a host said before it ended.
#[derive(Default)]
struct Said {
    /// Numbers of events that it acknowledged.
    acknowledged: Vec<u64>,
    /// Rows that were put into the inbox.
    rows: u64,
    /// Numbers of events that a durable reader's client has done, and the host has taken note of.
    done: Vec<u64>,
    /// Those of which the client was not told whether it had.
    in_doubt: Vec<u64>,
}

/// A durable reader's client: takes some events and says that they are done.
fn handle(at: SocketAddr, said: &mut Said) -> Option<()> {
    let ask = |method: &str, path: &str, body: &Value| {
        let answer = request(at, method, path, &[JSON], body.to_string().as_bytes()).ok()?;
        // It is stopping, which is as good as gone.
        let is_going = answer.status == 429 || answer.status >= 500;
        assert!(is_going || answer.status < 300 || answer.status == 404, "{path}: {answer}");
        (!is_going).then(|| (answer.status, answer.json()))
    };
    if ask("GET", "/v1/readers/desk", &json!(null))?.0 == 404 {
        ask("PUT", "/v1/readers/desk?type=crash:counted&from=start&order=log&ack_wait_ms=50", &json!(null))?;
    }
    let (_, handed) = ask("POST", "/v1/readers/desk/next?limit=3&wait_ms=20", &json!(null))?;
    let deliveries = handed["deliveries"].as_array().cloned().unwrap_or_default();
    let numbers = |of: &[Value]| of.iter().filter_map(|delivery| delivery["event"]["payload"]["number"].as_u64()).collect::<Vec<u64>>();
    let again: Vec<u64> = numbers(&deliveries).into_iter().filter(|number| said.done.contains(number)).collect();
    assert!(again.is_empty(), "{again:?} were done, and were handed out again");
    if deliveries.is_empty() {
        return Some(());
    }
    let positions: Vec<&Value> = deliveries.iter().map(|delivery| &delivery["position"]).collect();
    match ask("POST", "/v1/readers/desk/settle", &json!({"acknowledge": positions})) {
        Some((_, told)) => {
            let taken = told["acknowledged"].as_array().cloned().unwrap_or_default();
            let taken: Vec<Value> = deliveries.into_iter().filter(|delivery| taken.contains(&delivery["position"])).collect();
            said.done.extend(numbers(&taken));
        }
        None => said.in_doubt.extend(numbers(&deliveries)),
    }
    Some(())
}

/// Runs a host that ends at a failpoint, with everything at work that comes past one.
fn run_to(site: &Site, place: &str, times: u64, stops: bool) -> Said {
    let address = site.data().join("address");
    let _ = fs::remove_file(&address);
    let mut command = site.command(["run", "--listen", "127.0.0.1:0"]);
    command.arg("--plugins").arg(site.plugins()).arg("--data").arg(site.data());
    command.env("TRACKSIDE_FAILPOINT", format!("{place}:{times}"));
    command.env("TRACKSIDE_RETENTION", r#"[{types = ["noise:**"], max_events = 3}]"#).env("TRACKSIDE_STORE_RETENTION_INTERVAL_SECS", "1");
    command.env("TRACKSIDE_DEDUP_WINDOW_SECS", "0");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let (mut said, mut number) = (Said::default(), 0);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "the host does not come past {place}: is it a debug build?");
        let at = fs::read_to_string(&address).ok().and_then(|text| text.trim().trim_start_matches("http://").parse().ok());
        let Some(at) = at else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        number += 1;
        for event_type in ["crash:counted", "noise:made"] {
            let event = json!({"event_type": event_type, "source_component": place, "payload": {"number": number}});
            if request(at, "POST", "/v1/events", &[JSON], event.to_string().as_bytes()).is_ok_and(|answer| answer.status == 201)
                && event_type == "crash:counted"
            {
                said.acknowledged.push(number);
            }
        }
        if number % 4 == 0 {
            let inbox = rusqlite::Connection::open(site.data().join("inbox/inbox.db")).expect("the inbox can be opened");
            inbox.busy_timeout(PATIENCE).expect("a timeout can be set");
            let sql = "INSERT INTO inbox (event_type, source_component, payload) VALUES ('crash:row', ?1, ?2)";
            // The host may have made the file and no table yet.
            if inbox.execute(sql, [place, &json!({"number": said.rows}).to_string()]).is_ok() {
                said.rows += 1;
            }
        }
        if number % 3 == 0 && handle(at, &mut said).is_none() {
            // It is going at this very moment.
            thread::sleep(Duration::from_millis(1));
        }
        if stops && number == 8 {
            let sent = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status();
            assert!(sent.expect("there is a kill").success());
        }
    };
    assert_eq!(status.signal(), Some(6), "it is ended at {place}, and ends no other way: {status}");
    said
}

/// Holds a host to what the one before it said.
fn keeps(site: &Site, host: &Host, place: &str, mut said: Said) {
    let numbers = |event_type: &str| -> Vec<u64> {
        let events = host.events(&format!("type={event_type}"));
        events.iter().map(|event| event["payload"]["number"].as_u64().expect("a number")).collect()
    };
    let counted = numbers("crash:counted");
    let Said { acknowledged, rows, .. } = &said;
    assert!(acknowledged.iter().all(|number| counted.contains(number)), "{place}: {acknowledged:?} of {counted:?}");
    assert!(counted.windows(2).all(|pair| pair[0] < pair[1]), "{place}: {counted:?}");
    eventually(&format!("{rows} rows of the inbox, each once, after {place}"), || {
        (numbers("crash:row") == (0..*rows).collect::<Vec<_>>()).then_some(())
    });
    eventually(&format!("audit's count after {place}"), || {
        (site.kv_number("audit", "count/crash:counted") == counted.len() as u64).then_some(())
    });
    eventually(&format!("an echo of each of {} events after {place}", counted.len()), || {
        (host.events("type=crash:echo").len() == counted.len()).then_some(())
    });
    let mut causes: Vec<String> = host.events("type=crash:echo").iter().map(|echo| echo["causation_id"].to_string()).collect();
    causes.sort();
    causes.dedup();
    assert_eq!(causes.len(), counted.len(), "{place}: each is echoed once");
    println!("{place}: {} events and {rows} rows were acknowledged, {} events done", acknowledged.len(), said.done.len());
    eventually(&format!("the reader's client to have done all after {place}"), || {
        handle(host.address(), &mut said).expect("it is there");
        counted.iter().all(|number| said.done.contains(number) || said.in_doubt.contains(number)).then_some(())
    });
}

#[test]
fn a_host_that_ends_before_or_after_any_durable_step_keeps_what_it_said() {
    for (place, times, stops) in PLACES {
        let site = site();
        let echo = "[grants]\npublish = ['crash:echo']\n[observes]\nevent_types = ['crash:counted']\n[limits]\nobserve_events = 1\n\
                    [settings]\ndrafts = [{event_type = 'crash:echo'}]\n";
        site.plugin("publisher", guests::build().bytes("publisher"), echo);
        let said = run_to(&site, place, times, stops);
        let host = site.start();
        keeps(&site, &host, place, said);
        let verified = site.read(["store", "verify"]);
        assert_eq!(verified.code, 0, "{place}: {verified}");
    }
}

#[test]
fn a_copy_that_ends_before_or_after_it_is_in_place_is_not_there_or_whole() {
    let site = site();
    let host = site.start();
    for number in 0..20 {
        host.publish(&json!({"event_type": "crash:counted", "source_component": "p", "payload": {"number": number}})).expect(201);
    }
    let backup = |copy: &str| {
        let mut command = site.command(["store", "backup", copy, "--data"]);
        command.arg(site.data());
        command
    };
    for (place, is_there) in PLACES_OF_COPIES {
        let copy = format!("{place}.db");
        // Of one that was cut off.
        site.file(&format!("{copy}.part"), "half of it");
        let ended = backup(&copy).env("TRACKSIDE_FAILPOINT", format!("{place}:1")).output().expect("it starts");
        assert_eq!(ended.status.signal(), Some(6), "{place}: {ended:?}");
        assert_eq!(site.root().join(&copy).exists(), is_there, "{place}");
        if !is_there {
            trackside_tests::run(&mut backup(&copy)).ok();
        }
        assert!(!site.root().join(format!("{copy}.part")).exists(), "{place}");
        let verified = site.run(["store", "verify", &copy]).ok();
        assert!(verified.starts_with("looked through: events 1 to "), "{place}: {verified}");
    }
}

#[test]
fn there_is_a_case_for_each_side_of_every_durable_step() {
    let refused = site().command(["run"]).env("TRACKSIDE_FAILPOINT", "nowhere").output().expect("it starts");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let steps = said.split_once("STEP one of ").unwrap_or_else(|| panic!("they are named: {said}")).1.trim();
    let mut wanted: Vec<String> = steps.split(", ").flat_map(|step| [format!("{step}-before"), format!("{step}-after")]).collect();
    let mut cases: Vec<&str> = PLACES.iter().map(|(place, ..)| *place).chain(PLACES_OF_COPIES.iter().map(|(place, _)| *place)).collect();
    wanted.sort();
    cases.sort_unstable();
    assert_eq!(cases, wanted);
}
