//! The inbox, as other processes use it: events put there by SQL are in the log, in order, once, whatever happens in between; what cannot be taken
//! says why; and nobody who holds its lock holds up anything else.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, params};
use trackside_tests::{Host, Site, Value, eventually, json, run};

/// Processes that publish at a time.
const PROCESSES: usize = 10;
/// Events of each.
const EVENTS: usize = 20;

/// Puts events into an inbox, each in a transaction of its own: what the documents show, as a program.
const PUBLISH: &str = r#"
import json, sqlite3, sys
path, source, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
inbox = sqlite3.connect(path, timeout=30)
for number in range(count):
    with inbox:
        inbox.execute("INSERT INTO inbox (event_type, source_component, payload) VALUES (?, ?, ?)",
                      ("count:counted", source, json.dumps({"number": number})))
"#;

fn inbox(site: &Site) -> Connection {
    let path = site.data().join("inbox/inbox.db");
    let opened = eventually("an inbox", || Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).ok());
    opened.busy_timeout(Duration::from_secs(30)).expect("a timeout can be set");
    opened
}

fn put(inbox: &Connection, columns: &str, values: &[&str]) -> i64 {
    let marks = vec!["?"; values.len()].join(", ");
    let sql = format!("INSERT INTO inbox ({columns}) VALUES ({marks})");
    inbox.execute(&sql, rusqlite::params_from_iter(values)).expect("a row can be put there");
    inbox.last_insert_rowid()
}

/// The outcome of a row, its sequence and its reason, once they are told.
fn told(inbox: &Connection, id: i64) -> (String, Option<i64>, Option<String>) {
    eventually(&format!("an outcome of row {id}"), || {
        let sql = "SELECT outcome, sequence_number, reason FROM inbox WHERE id = ?1 AND outcome IS NOT NULL";
        inbox.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).ok()
    })
}

fn counted(host: &Host) -> Vec<Value> {
    host.events("type=count:counted")
}

#[test]
fn what_is_put_there_is_published_and_told() {
    let site = Site::new();
    // A look without a hint would come long after the test.
    let host = site.start_with(|command| command.env("TRACKSIDE_INBOX_POLL_INTERVAL_SECS", "3600"));
    let inbox = inbox(&site);
    let id = put(
        &inbox,
        "event_type, source_component, payload, severity, correlation_id, metadata",
        &["OrderPlaced", "shop", r#"{"amount": 20.50}"#, "warning", "c-1", r#"{"tenant": "acme"}"#],
    );
    let (outcome, sequence, reason) = told(&inbox, id);
    assert_eq!((outcome.as_str(), reason), ("appended", None));
    let found = host.get(&format!("/v1/events/{}", sequence.expect("a place in the log"))).expect(200)["event"].clone();
    assert_eq!(
        (&found["event_type"], &found["source_component"], &found["severity"], &found["correlation_id"], &found["metadata"]["tenant"]),
        (&json!("order:placed"), &json!("shop"), &json!("warning"), &json!("c-1"), &json!("acme"))
    );
    assert!(host.get(&format!("/v1/events/{}", sequence.unwrap_or_default())).text().contains(r#"{"amount": 20.50}"#), "as it was written");
    let given: String = inbox.query_row("SELECT event_id FROM inbox WHERE id = ?1", [id], |row| row.get(0)).expect("its id is told");
    assert_eq!(found["event_id"], given.as_str());

    // A workflow is started like anything else.
    let with_id = "0198f2b4-0000-7000-8000-00000000000a";
    for outcome in ["appended", "duplicate"] {
        let id = put(&inbox, "event_type, source_component, payload, event_id", &["order:paid", "shop", "1", with_id]);
        assert_eq!(told(&inbox, id).0, outcome, "by the id that was given");
    }
}

fn cloud_event(id: &str) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "com.example.OrderPlaced", "region": "eu", "data": {"id": id}})
}

#[test]
fn a_row_may_hold_a_cloud_event() {
    let site = Site::new();
    let host = site.start();
    let inbox = inbox(&site);
    let first = put(&inbox, "cloud_event", &[&cloud_event("1").to_string()]);
    let (outcome, sequence, reason) = told(&inbox, first);
    assert_eq!((outcome.as_str(), reason), ("appended", None));
    let found = host.get(&format!("/v1/events/{}?format=cloudevents", sequence.expect("a place in the log"))).expect(200)["event"].clone();
    for (name, value) in cloud_event("1").as_object().expect("an event is an object") {
        assert_eq!(found.get(name), Some(value), "{name}: {found}");
    }
    assert_eq!(told(&inbox, put(&inbox, "cloud_event", &[&cloud_event("1").to_string()])).0, "duplicate", "source and id are its identity");
    let batch = json!([cloud_event("2"), cloud_event("3")]).to_string();
    inbox.execute("INSERT INTO inbox (cloud_event) SELECT value FROM json_each(?1)", [batch]).expect("a batch is some rows");
    assert_eq!(told(&inbox, inbox.last_insert_rowid()).0, "appended");
    let ids: Vec<Value> = host.events("type=com.example:order_placed").iter().map(|event| event["payload"]["id"].clone()).collect();
    assert_eq!(ids, ["1", "2", "3"]);

    let mut sourceless = cloud_event("4");
    sourceless["source"] = json!("");
    let own = cloud_event("5").to_string().replace("com.example.OrderPlaced", "task:completed");
    for (columns, values, expected) in [
        ("cloud_event", vec!["{"], "cloud_event: EOF"),
        ("cloud_event", vec!["[]"], "cloud_event: an event is a JSON object"),
        ("cloud_event", vec![&*sourceless.to_string()], "cloud_event.source: required"),
        ("cloud_event", vec![&*own], "'task:completed' is engine-owned"),
        ("cloud_event, payload", vec![&*cloud_event("6").to_string(), "{}"], "payload: there is a 'cloud_event' besides"),
        ("cloud_event, event_id", vec![&*cloud_event("6").to_string(), "0198f2b4-0000-7000-8000-00000000000a"], "event_id: there is a"),
    ] {
        let (outcome, sequence, reason) = told(&inbox, put(&inbox, columns, &values));
        assert_eq!((outcome.as_str(), sequence), ("refused", None), "{values:?}");
        assert!(reason.as_deref().is_some_and(|reason| reason.contains(expected)), "{values:?}: {reason:?} does not hold '{expected}'");
    }
    let said = inbox.execute("INSERT INTO inbox (event_type) VALUES ('a:b')", []).expect_err("half an event is none");
    assert!(said.to_string().contains("event_type_and_source_component_or_cloud_event"), "{said}");
}

/// An inbox as hosts made it before there were CloudEvents in it.
const VERSION_1: &str = "
CREATE TABLE identity (id TEXT NOT NULL);
INSERT INTO identity VALUES ('0198f2b4-0000-4000-8000-000000000001');
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event_type TEXT NOT NULL, source_component TEXT NOT NULL, payload TEXT, severity TEXT, event_id TEXT,
    timestamp TEXT, correlation_id TEXT, causation_id TEXT, workflow_id TEXT, task_id TEXT, provider_id TEXT, metadata TEXT,
    outcome TEXT, sequence_number INTEGER, reason TEXT, settled_at INTEGER
);
CREATE INDEX inbox_waiting ON inbox (id) WHERE outcome IS NULL;
CREATE INDEX inbox_settled ON inbox (settled_at) WHERE settled_at IS NOT NULL;
INSERT INTO inbox (id, event_type, source_component, outcome, reason, settled_at) VALUES (7, 'a:b', 'shop', 'refused', 'because', 4000000000000000000);
INSERT INTO inbox (event_type, source_component, payload) VALUES ('order:placed', 'shop', '{\"n\": 8}'), ('order:placed', 'shop', '{\"n\": 9}');
DELETE FROM inbox WHERE id = 9;
PRAGMA application_id = 0x54525349;
PRAGMA user_version = 1;
";

#[test]
fn an_inbox_of_an_earlier_version_goes_on() {
    let site = Site::new();
    std::fs::create_dir_all(site.data().join("inbox")).expect("a folder can be made");
    let old = Connection::open(site.data().join("inbox/inbox.db")).expect("a file can be made");
    old.pragma_update(None, "journal_mode", "WAL").expect("it can be set");
    old.execute_batch(VERSION_1).expect("it is SQL");
    let host = site.start();
    // Who has had it open all along goes on too.
    assert_eq!(told(&old, 8).0, "appended");
    assert_eq!(told(&old, 7), ("refused".to_owned(), None, Some("because".to_owned())));
    assert_eq!(put(&old, "event_type, source_component", &["order:placed", "shop"]), 10, "a number is never given twice");
    assert_eq!(told(&old, put(&old, "cloud_event", &[&cloud_event("1").to_string()])).0, "appended");
    assert_eq!(
        host.events("type=order:placed").iter().map(|event| event["payload"].clone()).collect::<Vec<_>>(),
        [json!({"n": 8}), json!({})]
    );
}

#[test]
fn what_cannot_be_taken_says_why() {
    let site = Site::new();
    let _host = site.start();
    let inbox = inbox(&site);
    for (columns, values, expected) in [
        ("event_type, source_component", vec!["one word", "shop"], "event_type: event type 'one word'"),
        ("event_type, source_component, payload", vec!["a:b", "shop", "{half"], "payload: "),
        ("event_type, source_component, severity", vec!["a:b", "shop", "loud"], "severity 'loud' is not one of"),
        ("event_type, source_component, event_id", vec!["a:b", "shop", "mine"], "event_id: 'mine' is not a UUID"),
        ("event_type, source_component, metadata", vec!["a:b", "shop", "[]"], "metadata: not an object of strings"),
        ("event_type, source_component", vec!["task:completed", "shop"], "'task:completed' is engine-owned"),
        ("event_type, source_component", vec!["a:b", "event_store"], "source_component: "),
        ("event_type, source_component", vec!["workflow:submit", "shop"], "payload: "),
    ] {
        let (outcome, sequence, reason) = told(&inbox, put(&inbox, columns, &values));
        assert_eq!((outcome.as_str(), sequence), ("refused", None), "{values:?}");
        assert!(reason.as_deref().is_some_and(|reason| reason.contains(expected)), "{values:?}: {reason:?} does not hold '{expected}'");
    }
    inbox.execute("INSERT INTO inbox (event_type, source_component, payload) VALUES ('a:b', 'shop', x'ff00')", []).expect("a blob fits");
    assert_eq!(told(&inbox, inbox.last_insert_rowid()).2.as_deref(), Some("payload: must be text in UTF-8"));
}

#[test]
fn rows_that_have_to_wait_hold_up_no_others_and_are_not_asked_about_without_end() {
    let site = Site::new();
    let settings = "[controls]\nevent_types = [\"slow:*\"]\n[settings]\nrate_per_s = 0.001\nburst = 1\n[grants]\nkv = true\n";
    site.shipped(&["rate-limit"]);
    site.file("plugins/rate-limit.toml", settings);
    let host = site.start();
    let inbox = inbox(&site);
    let row = |event_type: &str, number: usize| {
        put(&inbox, "event_type, source_component, payload", &[event_type, "shop", &json!({"number": number}).to_string()])
    };
    for number in 0..300 {
        row("slow:counted", number);
    }
    for number in 0..5 {
        assert_eq!(told(&inbox, row("quick:counted", number)).0, "appended");
    }
    let asked = host.events("type=control:retried").len();
    assert!(asked >= 299, "{asked}");
    // Each is told to come again in a quarter of an hour, and is not asked about at every look.
    for number in 5..10 {
        assert_eq!(told(&inbox, row("quick:counted", number)).0, "appended");
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(host.events("type=control:retried").len(), asked);
    assert_eq!(host.events("type=slow:counted").len(), 1);
}

#[test]
fn a_row_that_is_too_large_is_refused_unread() {
    let site = Site::new();
    let host = site.start();
    let inbox = inbox(&site);
    let large = "x".repeat(40_000_000);
    let id = put(&inbox, "event_type, source_component, event_id", &["a:b", "shop", &large]);
    let (outcome, _, reason) = told(&inbox, id);
    assert_eq!(outcome, "refused");
    assert!(reason.as_deref().is_some_and(|reason| reason.len() < 200 && reason.contains("the row has 40000007 bytes")), "{reason:?}");
    // Numbers below zero are rows too.
    inbox
        .execute("INSERT INTO inbox (id, event_type, source_component) VALUES (-5, 'a:b', 'shop')", [])
        .expect("a row of a number of one's own");
    assert_eq!(told(&inbox, -5).0, "appended");
    assert_eq!(host.events("type=a:b").len(), 1);
}

#[test]
fn who_puts_a_trigger_in_the_way_is_named_and_costs_no_processor() {
    let site = Site::new();
    let host = site.start();
    let inbox = inbox(&site);
    inbox.execute_batch("CREATE TRIGGER q BEFORE UPDATE OF outcome ON inbox BEGIN SELECT RAISE(IGNORE); END").expect("a trigger");
    let id = put(&inbox, "event_type, source_component", &["a:b", "shop"]);
    host.wait_for("type=a:b", |_| true);
    eventually("a word about it", || host.output().contains("a trigger or a view stands in the way").then_some(()));
    inbox.execute_batch("DROP TRIGGER q").expect("it goes");
    assert_eq!(told(&inbox, id).0, "appended");
    assert_eq!(host.events("type=a:b").len(), 1);
}

#[test]
fn ten_processes_publish_at_once_and_each_in_its_order() {
    let site = Site::new();
    let host = site.start();
    let _there = inbox(&site);
    let script = site.file("publish.py", PUBLISH);
    let path = site.data().join("inbox/inbox.db");
    let publish = |number: usize| {
        let arguments = [path.display().to_string(), format!("process-{number}"), EVENTS.to_string()];
        Command::new("python3").arg(&script).args(arguments).stderr(Stdio::inherit()).spawn().expect("python3 starts")
    };
    let mut processes: Vec<Child> = (0..PROCESSES).map(publish).collect();
    assert!(processes.iter_mut().all(|process| process.wait().is_ok_and(|status| status.success())));
    let events = eventually("all of them", || Some(counted(&host)).filter(|events| events.len() >= PROCESSES * EVENTS));
    for number in 0..PROCESSES {
        let source = json!(format!("process-{number}"));
        let of_it: Vec<i64> = events
            .iter()
            .filter(|event| event["source_component"] == source)
            .filter_map(|event| event["payload"]["number"].as_i64())
            .collect();
        assert_eq!(of_it, (0..i64::try_from(EVENTS).unwrap_or_default()).collect::<Vec<_>>());
    }

    // And they are read by SQL, without asking the host.
    let log = Connection::open_with_flags(site.data().join("log.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the log can be read");
    let sql =
        "SELECT count(*), max(sequence), min(event_id), max(recorded_at) FROM log WHERE event_type = 'count:counted' AND sequence > ?1";
    let after = events[9]["sequence_number"].as_i64().unwrap_or_default();
    let read = log.query_row(sql, [after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    let (count, last, least_id, recorded_at): (i64, i64, String, String) = read.expect("the view can be read");
    assert_eq!(
        (count, Some(last)),
        (i64::try_from(PROCESSES * EVENTS - 10).unwrap_or_default(), events.last().and_then(|event| event["sequence_number"].as_i64()))
    );
    assert!(events.iter().any(|event| event["event_id"] == least_id.as_str()), "{least_id}");
    assert_eq!(events.last().map(|event| event["recorded_at"].clone()), Some(json!(recorded_at)));
}

#[test]
fn who_holds_its_lock_holds_up_nobody_else() {
    let site = Site::new();
    let host = site.start();
    let mut holding = inbox(&site);
    let id = put(&holding, "event_type, source_component, payload", &["count:counted", "shop", r#"{"number": 1}"#]);
    told(&holding, id);
    let id = put(&holding, "event_type, source_component, payload", &["count:counted", "shop", r#"{"number": 2}"#]);
    let held = holding.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("a transaction");
    for number in 0..20 {
        host.publish(&json!({"event_type": "order:placed", "source_component": "shop", "payload": {"number": number}})).expect(201);
    }
    eventually("the event behind the lock", || (counted(&host).len() == 2).then_some(()));
    held.rollback().expect("it ends");
    assert_eq!(told(&holding, id).0, "appended", "its outcome is told once that is possible");
    assert_eq!(counted(&host).len(), 2, "once");
}

#[test]
fn each_row_is_one_event_however_often_the_host_dies() {
    let site = Site::new();
    let script = site.file("publish.py", PUBLISH);
    let path = site.data().join("inbox/inbox.db");
    let mut host = site.start();
    let _there = inbox(&site);
    for round in 0..5_u64 {
        let arguments = [path.display().to_string(), format!("round-{round}"), "30".to_owned()];
        let mut publishing = Command::new("python3").arg(&script).args(arguments).spawn().expect("python3 starts");
        std::thread::sleep(Duration::from_millis(30 + 17 * round));
        host.kill();
        assert!(publishing.wait().is_ok_and(|status| status.success()), "nobody who publishes notices");
        host = site.start();
    }
    let connection = inbox(&site);
    eventually("all outcomes", || {
        let waiting = connection.query_row("SELECT count(*) FROM inbox WHERE outcome IS NULL", [], |row| row.get::<_, i64>(0));
        (waiting.is_ok_and(|waiting| waiting == 0)).then_some(())
    });
    let mut seen: Vec<String> =
        counted(&host).iter().map(|event| format!("{} {}", event["source_component"], event["payload"]["number"])).collect();
    assert_eq!(seen.len(), 150, "every row, and none twice");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 150);
}

#[test]
fn rows_that_were_told_go_after_a_while_and_a_file_of_somebody_else_is_left_alone() {
    let site = Site::new();
    let host = site.start_with(|command| command.env("TRACKSIDE_INBOX_KEEP_SECS", "0"));
    let connection = inbox(&site);
    for number in 0..3 {
        let id = put(&connection, "event_type, source_component, payload", &["count:counted", "shop", &number.to_string()]);
        eventually("the row before it gone", || {
            let before = connection.query_row("SELECT count(*) FROM inbox WHERE id < ?1", params![id], |row| row.get::<_, i64>(0));
            (before.is_ok_and(|before| before == 0)).then_some(())
        });
    }
    drop(connection);
    host.stop();

    let path = site.data().join("inbox/inbox.db");
    for leftover in ["inbox.db", "inbox.db-wal", "inbox.db-shm"] {
        let _ = std::fs::remove_file(site.data().join("inbox").join(leftover));
    }
    Connection::open(&path)
        .and_then(|other| other.execute_batch("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)"))
        .expect("another file");
    let host = site.start();
    host.publish(&json!({"event_type": "order:placed", "source_component": "shop", "payload": 1})).expect(201);
    assert!(host.output().contains("is not an inbox of this program; move it away"), "{}", host.output());
    let ran = run(Command::new("sqlite3").arg(&path).arg("SELECT count(*) FROM mine"));
    assert_eq!((ran.code, ran.stdout.trim()), (0, "1"), "{ran}");
}
