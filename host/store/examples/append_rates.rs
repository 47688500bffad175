//! Measures appending against the disk it appends to: one in flight beside a bare fdatasync, 512 in flight beside bare SQLite.
//! `cargo run --release -p trackside-store --example append_rates [DIRECTORY]`

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};
use tokio::task::JoinSet;
use trackside_model::{
    control::{Admitted, Verdict},
    event::{EnvelopeLimits, Incoming},
    json::Json,
    time::Timestamp,
};
use trackside_store::{Batch, Entry, Flush, Store, StoreOptions};
use uuid::Uuid;

fn clock() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Timestamp(u64::try_from(now.as_nanos()).expect("before 2554"))
}

fn payload() -> Json {
    Json::trusted(format!("{{\"text\":\"{}\"}}", "x".repeat(300)))
}

fn entry(payload: &Json) -> Entry {
    let incoming = Incoming {
        event_type: "order:placed".to_owned(),
        source_component: "shop".to_owned(),
        payload: Some(payload.clone()),
        ..Incoming::default()
    };
    let draft = incoming.into_draft(clock(), Uuid::now_v7(), &EnvelopeLimits::default()).expect("valid");
    let passed = Verdict::Proceed(None).let_through(draft);
    Entry::fresh(Admitted::passed(passed.expect("nobody objects")))
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// One append and one fdatasync in turn, over the same seconds.
fn one_in_flight(dir: &Path, store: &Store, rounds: usize) {
    let payload = payload();
    let mut file = File::create(dir.join("probe")).expect("a file");
    file.write_all(&vec![0; 64 << 20]).and_then(|()| file.sync_all()).and_then(|()| file.rewind()).expect("prewritten");
    let (mut bare, mut appends) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let start = Instant::now();
        file.seek(SeekFrom::Start((round as u64 % 8_192) * 4_096)).expect("seeks");
        file.write_all(&[1; 512]).and_then(|()| file.sync_data()).expect("syncs");
        bare.push(start.elapsed());
        let start = Instant::now();
        store.append(Batch::of([entry(&payload)]), Flush::Now).expect("appends").ticket.wait().expect("durable");
        appends.push(start.elapsed());
    }
    let (bare, append) = (median(bare), median(appends));
    println!("1 in flight: append {append:.0} µs, bare fdatasync {bare:.0} µs, ratio {:.2}", append / bare);
}

/// Nanoseconds on a processor so far, of the writer thread and of all others.
fn processor_ns() -> (u64, u64) {
    let (mut writer, mut others) = (0, 0);
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let ns: u64 = read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        // The kernel keeps 15 bytes of a name.
        *(if read("comm").starts_with("trackside-store") { &mut writer } else { &mut others }) += ns;
    }
    (writer, others)
}

async fn many_in_flight(store: &Store, in_flight: usize, for_time: Duration) -> f64 {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let store = store.clone();
        let payload = payload();
        tasks.spawn(async move {
            let mut appended = 0u64;
            while start.elapsed() < for_time {
                let ticket = store.append(Batch::of([entry(&payload)]), Flush::Now).expect("appends").ticket;
                store.durable(&ticket).await.expect("durable");
                appended += 1;
            }
            appended
        });
    }
    let total: u64 = tasks.join_all().await.into_iter().sum();
    total as f64 / start.elapsed().as_secs_f64()
}

/// The same rows by hand: one connection, one statement, 512 rows a commit, the same columns' worth of bytes and four indices.
fn bare_sqlite(dir: &Path, for_time: Duration) -> f64 {
    let mut connection = Connection::open(dir.join("bare.db")).expect("opens");
    connection
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE e (s INTEGER PRIMARY KEY, id BLOB, t INTEGER, c BLOB, w TEXT, at INTEGER, p TEXT);
             CREATE UNIQUE INDEX a ON e(id); CREATE INDEX b ON e(t); CREATE INDEX c ON e(c) WHERE c IS NOT NULL; CREATE INDEX d ON e(w) WHERE w IS NOT NULL;",
        )
        .expect("a schema");
    let payload = payload();
    let start = Instant::now();
    let mut total = 0u64;
    while start.elapsed() < for_time {
        let transaction = connection.transaction().expect("begins");
        {
            let mut insert = transaction.prepare_cached("INSERT INTO e (id, t, at, p) VALUES (?1, ?2, ?3, ?4)").expect("prepares");
            for _ in 0..512 {
                insert.execute(params![Uuid::now_v7().as_bytes(), 1, clock().0.cast_signed(), payload.as_str()]).expect("inserts");
            }
        }
        transaction.commit().expect("commits");
        total += 512;
    }
    total as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let dir = base.join(format!("trackside-append-rates-{}", std::process::id()));
    let store = Store::open(StoreOptions::new(&dir), clock).expect("opens");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for _ in 0..3 {
        one_in_flight(&dir, &store, 1_000);
        for in_flight in [64, 512] {
            let (before, appended) = (processor_ns(), store.appended());
            let rate = runtime.block_on(many_in_flight(&store, in_flight, Duration::from_secs(2)));
            let (after, events) = (processor_ns(), (store.appended() - appended) as f64);
            let us = |ns: u64| ns as f64 / 1e3 / events;
            let (writer, others) = (us(after.0 - before.0), us(after.1 - before.1));
            println!("{in_flight} in flight: {rate:.0} events/s; processor an event: writer {writer:.1} µs, callers {others:.1} µs");
        }
        let before = processor_ns().1;
        let rate = bare_sqlite(&dir, Duration::from_secs(1));
        let us = (processor_ns().1 - before) as f64 / 1e3 / rate;
        println!("bare SQLite, 512 a commit: {rate:.0} events/s; processor an event: {us:.1} µs");
        std::fs::remove_file(dir.join("bare.db")).expect("removes");
    }
    let wal = std::fs::metadata(dir.join("log.db-wal")).map_or(0, |file| file.len() >> 20);
    println!("{} events in the log, {wal} MiB in its write-ahead file", store.appended());
    let start = Instant::now();
    store.close().expect("closes");
    drop(store);
    println!("closed in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    drop(Store::open(StoreOptions::new(&dir), clock).expect("opens"));
    println!("opened and closed in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    std::fs::remove_dir_all(&dir).expect("removes");
}
