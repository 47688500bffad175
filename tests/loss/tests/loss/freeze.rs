//! Freezing a log: what a host of this version writes, as SQL, to be opened by every later version. Run once for each version of the schema, before
//! the next one is begun: `cargo test --workspace --test loss -- --ignored freeze`.

use std::{fmt::Write as _, fs, path::Path, sync::Arc, time::Duration};

use rusqlite::Connection;
use serde_json::json;
use trackside_engine::{Delivery, DurableReader, Engine, Native, Outcome, SubmitRequest, now};
use trackside_loss_tests::Disk;
use trackside_model::{
    control::Signal,
    event::{Filter, Incoming, Metadata, Position, Severity, Text},
    json::Json,
    keeping::Attempt,
    plugin::Digest,
    ports::{KvOp, KvWrite, OutboxPublish},
    reader::ReaderOptions,
    time::Timestamp,
    workflow::Format,
};
use trackside_store::{AttemptChange, Batch, Flush, OutboxRow, log_path, verify};
use uuid::Uuid;

use crate::{
    guests::number,
    host::{Host, caller, open},
};

const WORKFLOW: &str =
    "name: NAME\ntasks:\n  - {id: a, method: loss/echo, parameters: {v: 1}}\n  - {id: b, method: METHOD, parameters: {v: \"${a.v}\"}}\n";
/// Further than any test will ever be run.
const FAR: Timestamp = Timestamp(9_000_000_000_000_000_000);

#[test]
#[ignore = "writes a file of the repository: run it when a version of the schema is done"]
fn freeze() {
    let disk = Disk::empty();
    let host = Host::start(&disk, open(&disk, 1_000).unwrap()).unwrap();
    let gate = Native::control("gate", Filter::types(["order:*"]).unwrap(), |event, _, _| match number(event) {
        5 => Signal::Fail("five is too many".to_owned()),
        _ => Signal::Proceed(None),
    });
    host.engine.register(gate).unwrap();
    host.run(work(&host.engine));
    host.until("the observers have come to the end", |host| is_done(&host.engine));
    host.run(be_noisy(&host.engine));
    host.until("retention has come past", |host| !host.engine.store().trimmed(0, u64::MAX >> 1, 1).unwrap().is_empty());
    keep_waiting(&host.engine);
    host.take_down(Duration::from_secs(5));
    verify(&log_path(disk.path()), |_, _| ()).unwrap();
    let (version, text) = as_sql(&log_path(disk.path()));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../host/store/tests/frozen/version-{version}.sql"));
    fs::write(&path, text).unwrap();
    println!("{} is written", path.display());
}

/// Something for every table.
async fn work(engine: &Engine) {
    let options = ReaderOptions { filter: Filter::types(["order:*"]).unwrap(), in_flight: 8, ..ReaderOptions::default() };
    engine.set_reader("desk", options, Some(Position::default()), "test").await.unwrap();
    order(engine, 1..=7).await;
    for (name, method) in [("whole", "loss/echo"), ("waiting", "loss/wait")] {
        let definition = WORKFLOW.replace("NAME", name).replace("METHOD", method);
        let request = SubmitRequest {
            format: Format::guess(&definition),
            definition,
            input: Json::from_value(&json!({"of": name})),
            event_id: None,
            correlation_id: None,
            metadata: Metadata::new(),
        };
        let answer = engine.submit(request, caller()).await.unwrap();
        if name == "whole" {
            engine.wait(answer.workflow_id.as_deref().unwrap()).await.unwrap();
        }
    }
    let desk = engine.reader("desk").unwrap();
    let handed = take(&desk, 6).await;
    desk.acknowledge(&handed.iter().map(|delivery| delivery.position).collect::<Vec<_>>()).await.unwrap();
}

async fn order(engine: &Engine, numbers: impl IntoIterator<Item = i64>) {
    for n in numbers {
        let correlation_id = (n > 3).then(|| "basket-7".to_owned());
        let metadata = [("tenant".to_owned(), "acme".to_owned())].into_iter().collect();
        let severity = Some(if n == 4 { Severity::Error } else { Severity::Info });
        let payload = Some(Json::from_value(&json!({"n": n, "item": "Lämpchen"})));
        let (event_type, source_component) = ("order:placed".to_owned(), "shop".to_owned());
        let incoming = Incoming { event_type, source_component, payload, correlation_id, metadata, severity, ..Incoming::default() };
        let answer = engine.publish(incoming, caller()).await;
        assert_eq!(answer.outcome == Outcome::Appended, n != 5, "{answer:?}");
    }
}

/// What retention takes out, and what brings the reader past it; one that it has settled is ahead of one that it has not.
async fn be_noisy(engine: &Engine) {
    for _ in 0..20 {
        let noise = Incoming { event_type: "noise:made".to_owned(), source_component: "shop".to_owned(), ..Incoming::default() };
        engine.publish(noise, caller()).await;
    }
    order(engine, 8..=10).await;
    let desk = engine.reader("desk").unwrap();
    let handed = take(&desk, 3).await;
    desk.acknowledge(&[handed[0].position, handed[2].position]).await.unwrap();
}

async fn take(desk: &DurableReader, events: usize) -> Vec<Delivery> {
    let mut handed = Vec::new();
    while handed.len() < events {
        handed.extend(desk.next(events - handed.len()).await.unwrap());
    }
    handed
}

fn is_done(engine: &Engine) -> bool {
    let at = |name: &str| engine.store().cursor(name).unwrap().unwrap_or_default().sequence;
    engine.store().unfinished_workflows().unwrap().len() == 1
        && at("observer/ledger") >= 7
        && at("observer/grumbler") >= 7
        && engine.store().outbox(0, 1).unwrap().is_empty()
}

/// What a host leaves behind that is not at its end: a schedule, a key with an end, a blob.
fn keep_waiting(engine: &Engine) {
    let publish = OutboxPublish {
        event_id: Uuid::from_u128(0x0198_f2b4_0000_7000_8000_0000_0000_0001),
        event_type: "ledger:closed".to_owned(),
        severity: Severity::Warning,
        payload: Json::from_value(&json!({"of": 1})),
        metadata: Metadata::new(),
        cause: None,
        correlation_id: None,
        timestamp: None,
        due: Some(FAR),
        raised: false,
    };
    let row = OutboxRow {
        plugin: Text::from("ledger"),
        publish,
        correlation_id: Text::from("basket-7"),
        causation_id: None,
        workflow_id: None,
        task_id: None,
        hops: 1,
    };
    let blob: Arc<[u8]> = Arc::from(&b"a blob"[..]);
    let write = KvWrite { key: "closing".to_owned(), op: KvOp::Set { value: b"soon".to_vec(), expires_at: Some(FAR) } };
    let batch = Batch {
        outbox_put: vec![row],
        blobs: vec![(Digest::of(&blob), blob)],
        kv: vec![(Text::from("ledger"), vec![write])],
        attempts: vec![AttemptChange::Failed {
            reader: "observer/grumbler".to_owned(),
            position: Position::end_of(engine.store().durable_head()),
            attempt: Attempt::new(1, now(), None, "not now"),
        }],
        ..Batch::default()
    };
    engine.store().append(batch, Flush::Now).unwrap().ticket.wait().unwrap();
}

/// The whole file as SQL, and its version.
fn as_sql(path: &Path) -> (u32, String) {
    let file = Connection::open(path).unwrap();
    let pragma = |name: &str| -> i64 { file.pragma_query_value(None, name, |row| row.get(0)).unwrap() };
    let version = u32::try_from(pragma("user_version")).unwrap();
    let mut text = format!(
        "-- A log as a host of version {version} of the schema left it. Frozen: every later version opens it.\n\
         PRAGMA application_id = {};\nPRAGMA user_version = {version};\n\n",
        pragma("application_id")
    );
    let mut select = file.prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid").unwrap();
    let made = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let made: Vec<(String, String, String)> = made.map(Result::unwrap).collect();
    made.iter().for_each(|(_, _, sql)| writeln!(text, "{sql};").unwrap());
    for (_, table, _) in made.iter().filter(|(kind, ..)| kind == "table") {
        let mut columns = file.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        let columns: Vec<String> = columns.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let mut rows = file.prepare(&format!("SELECT {} FROM {table}", quoted.join(" || ', ' || "))).unwrap();
        text.push('\n');
        for row in rows.query_map([], |row| row.get::<_, String>(0)).unwrap() {
            writeln!(text, "INSERT INTO {table} VALUES ({});", row.unwrap()).unwrap();
        }
    }
    (version, text)
}
