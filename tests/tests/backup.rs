//! A copy of the log that is taken while the host works: whole, checked, and a log to go on from. What is damaged is found and named.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rusqlite::Connection;
use trackside_tests::{Host, Ran, Site, Value, command, json, run};

fn publish(host: &Host, number: usize) -> Value {
    host.publish(&json!({"event_type": "count:counted", "source_component": "test", "payload": {"number": number}})).expect(201)
}

fn store(site: &Site, arguments: &[&str]) -> Ran {
    run(command(arguments).current_dir(site.root()))
}

#[test]
fn a_copy_is_taken_beside_the_host_and_goes_on_as_a_log() {
    let site = Site::new();
    let host = site.start();
    for number in 0..50 {
        publish(&host, number);
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 50.. {
                publish(&host, number);
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let copied = store(&site, &["store", "backup", "copy.db", "--data", "data"]);
        over.store(true, Ordering::Relaxed);
        assert!(copied.stdout.starts_with("copied and looked through: events 1 to "), "{copied}");
    });
    let again = store(&site, &["store", "backup", "copy.db", "--data", "data"]);
    assert_eq!((again.code, again.stderr.trim()), (1, "error: copy.db exists already; name a file that does not"));
    let looked = store(&site, &["store", "verify", "--data", "data"]);
    assert!(looked.stdout.starts_with("looked through: events 1 to "), "beside the host: {looked}");
    let all = host.events("type=count:counted");
    host.stop();
    assert!(!site.root().join("copy.db.part").exists());

    // Another host begins with the copy.
    let copy = site.root().join("copy.db");
    let other = Site::new();
    fs::create_dir(other.data()).and_then(|()| fs::copy(&copy, other.data().join("log.db"))).expect("a file can be copied");
    let host = other.start();
    let kept = host.events("type=count:counted");
    assert!(kept.len() >= 50 && kept[..] == all[..kept.len()], "{} of {}", kept.len(), all.len());
    let next = publish(&host, 1_000)["sequence_number"].as_u64();
    assert!(next > kept.last().and_then(|event| event["sequence_number"].as_u64()));
}

#[test]
fn what_is_damaged_is_found_and_named() {
    let site = Site::new();
    let host = site.start();
    for number in 0..200 {
        publish(&host, number);
    }
    host.stop();
    let damage = |name: &str, sql: &str| {
        let path = site.root().join(name);
        fs::copy(site.data().join("log.db"), &path).expect("a file can be copied");
        Connection::open(&path).and_then(|log| log.execute_batch(sql)).expect("it can be damaged");
        store(&site, &["store", "verify", name])
    };
    for (name, sql, expected) in [
        ("whole.db", "", "looked through: events 1 to "),
        ("gap.db", "DELETE FROM events WHERE sequence = 100", "gap.db is damaged: event 101 does not follow 99"),
        ("times.db", "UPDATE events SET recorded_at = 1 WHERE sequence = 100", "event 100 was recorded before event 99"),
        ("row.db", "UPDATE events SET severity = 9 WHERE sequence = 100", "the event behind 99 cannot be read: "),
        ("ahead.db", "INSERT INTO cursors VALUES ('observer/x', 9999, 0)", "'observer/x' is further than the log, which ends with "),
        ("other.db", "PRAGMA application_id = 7", "is not a log of this program"),
        ("newer.db", "PRAGMA user_version = 99", "the log is of version 99"),
    ] {
        let ran = damage(name, sql);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(expected), "{name}: {ran}");
        assert_eq!(ran.code, i32::from(name != "whole.db"), "{ran}");
    }
    // Pages that the disk has lost.
    let path = site.root().join("pages.db");
    let mut bytes = fs::read(site.data().join("log.db")).expect("it can be read");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xA5);
    fs::write(&path, bytes).expect("it can be written");
    let ran = store(&site, &["store", "verify", "pages.db"]);
    assert!(ran.code == 1 && ran.stderr.contains("pages.db"), "{ran}");
    let absent = store(&site, &["store", "backup", "copy.db", "--data", "nowhere"]);
    assert!(absent.code == 1 && absent.stderr.contains("nowhere/log.db does not exist; name the data directory"), "{absent}");
}
