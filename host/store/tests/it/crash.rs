//! Crashes and failing disks, for real: this test binary starts itself again as a child, which is killed, or whose files may not grow.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use trackside_model::{
    event::Text,
    ports::{KvOp, KvWrite},
};
use trackside_store::{AppendError, Batch, Flush, Store, StoreOptions};

use crate::support::{all, append, clock, entry, incoming, open};

const DIRECTORY: &str = "TRACKSIDE_STORE_TEST_DIRECTORY";

/// Runs one of the tests below in a process of its own, in this directory.
fn child(test: &str, dir: &TempDir) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

#[test]
fn what_was_answered_survives_a_kill() {
    let dir = TempDir::new().unwrap();
    for round in 1..=3 {
        let mut child = child("crash::appends_until_killed", &dir);
        let mut answered: BTreeMap<u64, String> = BTreeMap::new();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines {
            if let Some((sequence, event_id)) = line.unwrap().strip_prefix("answered ").and_then(|rest| rest.split_once(' ')) {
                answered.insert(sequence.parse().unwrap(), event_id.to_owned());
            }
            if answered.len() == 150 * round {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        let beside = all(&Store::open_read_only(dir.path()).unwrap());
        let store = open(&dir);
        let events = all(&store);
        assert_eq!(beside, events, "reading alone recovers too");
        assert_eq!(events.iter().map(|event| event.sequence_number).collect::<Vec<_>>(), (1..=store.appended()).collect::<Vec<_>>());
        for (sequence, event_id) in answered {
            assert_eq!(store.event(sequence).unwrap().unwrap().event_id.to_string(), event_id);
        }
        let counted: u64 = String::from_utf8(store.kv_get("p", "n").unwrap().value.unwrap()).unwrap().parse().unwrap();
        let batches = events.iter().filter(|event| &*event.event_type == "a:first").count() as u64;
        assert_eq!((counted, events.len() as u64), (batches, 2 * batches), "a batch is there as a whole");
    }
}

/// The child of [`what_was_answered_survives_a_kill`].
#[test]
fn appends_until_killed() {
    let Some(dir) = directory() else { return };
    let store = Store::open(StoreOptions::new(dir), clock).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let add = KvWrite { key: "n".to_owned(), op: KvOp::Add { by: 1, expires_at: None } };
                    let kv = vec![(Text::from("p"), vec![add])];
                    let batch = Batch { kv, ..Batch::of([entry(incoming("a:first")), entry(incoming("a:second"))]) };
                    let appended = store.append(batch, Flush::Now).unwrap();
                    appended.ticket.wait().unwrap();
                    let mut out = std::io::stdout().lock();
                    for event in appended.events {
                        writeln!(out, "answered {} {}", event.sequence_number, event.event_id).unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn a_failing_disk_poisons_the_store() {
    let dir = TempDir::new().unwrap();
    let mut child = child("crash::appends_until_poisoned", &dir);
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{lines:#?}");
    let durable: usize = lines.iter().find_map(|line| line.strip_prefix("durable ")).unwrap().parse().unwrap();
    let store = open(&dir);
    let events = all(&store);
    assert!(events.len() >= durable, "recovered {} of {durable}", events.len());
    assert_eq!(events.iter().map(|event| event.sequence_number).collect::<Vec<_>>(), (1..=store.appended()).collect::<Vec<_>>());
    append(&store, Batch::of([entry(incoming("a:b"))]));
}

/// The child of [`a_failing_disk_poisons_the_store`]: its files may not grow past a limit, so that a commit fails in the middle.
#[test]
fn appends_until_poisoned() {
    let Some(dir) = directory() else { return };
    let store = Store::open(StoreOptions::new(dir), clock).unwrap();
    limit_files(256 << 10);
    let set = |value: &str| {
        let write = KvWrite { key: "k".to_owned(), op: KvOp::Set { value: value.as_bytes().to_vec(), expires_at: None } };
        vec![(Text::from("p"), vec![write])]
    };
    let large = || {
        let mut large = incoming("a:b");
        large.payload = Some(trackside_model::json::Json::trusted(format!("\"{}\"", "x".repeat(3_000))));
        entry(large)
    };
    append(&store, Batch { kv: set("before"), ..Batch::of([large()]) });
    let (poisoned, waiting) = loop {
        let head = store.durable_head();
        let first = store.append(Batch::of([large()]), Flush::Lazy).unwrap();
        let second = store.append(Batch { kv: set("after"), ..Batch::of([large(), large(), large()]) }, Flush::Now).unwrap();
        match second.ticket.wait() {
            Ok(()) => append(&store, Batch { kv: set("before"), ..Batch::default() }),
            Err(poisoned) => {
                assert_eq!(first.ticket.wait(), Err(poisoned.clone()), "one commit, one end");
                assert_eq!(store.durable_head(), head, "the head stays behind what is not committed");
                break (poisoned, second);
            }
        };
    };
    let said = poisoned.to_string();
    assert!(said.contains("Make room or mend the disk, then start the host again"), "{said}");
    match store.append(Batch::of([large()]), Flush::Now) {
        Err(AppendError::Poisoned(again)) => assert_eq!(again, poisoned),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.poisoned(), Some(poisoned.clone()));
    let durable = store.durable_head();
    assert_eq!(all(&store).len() as u64, durable, "reading goes on");
    assert!(store.find(&waiting.events[0].event_id).unwrap().is_none(), "what is not durable is nobody's twin");
    assert_eq!(store.kv_get("p", "k").unwrap().value.as_deref(), Some(&b"before"[..]), "what was released with it is taken back");
    assert_eq!(store.close(), Err(poisoned));
    println!("\ndurable {durable}");
}

/// Lets no file of this process grow past so many bytes: writes beyond fail as on a full disk.
fn limit_files(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: both calls take plain values; without the handler the kernel would end the process instead of failing the write.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}
