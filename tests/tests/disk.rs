//! Disks that refuse: a full one, one that is mounted for reading only, one that has lost a page. The host says what is wrong and what to do, and keeps
//! what it said. What a disk forgets is `tests/loss`.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    process::Command,
};

use trackside_tests::{Site, eventually, json, run};

/// A small file system in memory, mounted for as long as this lives.
struct Mounted {
    path: PathBuf,
}

impl Mounted {
    /// `None`: this machine does not let us, and says why.
    fn new(site: &Site, size: &str) -> Option<Self> {
        let path = site.root().join("small");
        fs::create_dir(&path).expect("a directory can be made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&path).output();
        let refused = match mounted {
            Ok(output) if output.status.success() => return Some(Self { path }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!(
            "\n*** NOT TESTED HERE: no file system can be mounted ({refused}). In its place stand the full disk of tests/loss, and the one of \
             host/store/tests/it/crash.rs. Run this as root to have it tested.\n"
        );
        None
    }

    /// Has the data directory of a site lie there.
    fn hold_data_of(&self, site: &Site) {
        let data = self.path.join("data");
        fs::create_dir(&data).expect("a directory can be made");
        std::os::unix::fs::symlink(&data, site.data()).expect("a link can be made");
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.path).status();
        assert!(done.expect("there is a mount").success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a host that a failed test has left may still be there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

#[test]
fn a_full_disk_is_named_and_takes_nothing_that_was_acknowledged() {
    let site = Site::new();
    let Some(small) = Mounted::new(&site, "6m") else { return };
    small.hold_data_of(&site);
    let ballast = small.path.join("ballast");
    fs::write(&ballast, vec![0; 2 << 20]).expect("there is room for it");
    let host = site.start();
    let mut acknowledged = Vec::new();
    let refused = loop {
        let payload = json!({"number": acknowledged.len(), "weight": "x".repeat(20_000)});
        let answer = host.publish(&json!({"event_type": "disk:filled", "source_component": "p", "payload": payload}));
        if answer.status != 201 {
            break answer;
        }
        acknowledged.push(answer.json()["event_id"].as_str().expect("an id").to_owned());
        assert!(acknowledged.len() < 1_000, "the disk is never full");
    };
    assert_eq!(refused.status, 503, "{refused}");
    let said = refused.json();
    assert_eq!(said["outcome"], "unknown", "{said}");
    assert!(
        said["reason"].as_str().is_some_and(|reason| reason.contains("disk is full") && reason.contains("Make room or mend the disk")),
        "{said}"
    );
    assert_eq!(host.get("/readyz").status, 503);
    assert_eq!(host.get("/v1/events?limit=5").expect(200)["events"].as_array().map(Vec::len), Some(5), "reading goes on");
    let unanswered = said["event_id"].as_str().expect("an id").to_owned();
    host.kill();

    fs::remove_file(&ballast).expect("it can be removed");
    let host = site.start();
    let there: Vec<String> =
        host.events("type=disk:filled").iter().map(|event| event["event_id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(there[..acknowledged.len()], acknowledged[..]);
    assert!(there[acknowledged.len()..].iter().all(|id| *id == unanswered), "{there:?}");
    host.publish(&json!({"event_type": "disk:filled", "source_component": "p", "payload": {}})).expect(201);
    host.stop();
}

#[test]
fn a_directory_that_is_for_reading_only_is_named() {
    let site = Site::new();
    let Some(small) = Mounted::new(&site, "8m") else { return };
    small.hold_data_of(&site);
    let host = site.start();
    host.publish(&json!({"event_type": "a:b", "source_component": "p"})).expect(201);
    host.stop();
    small.remount("ro");
    let ran = run(site.command(["run", "--listen", "127.0.0.1:0", "--plugins"]).arg(site.plugins()).arg("--data").arg(site.data()));
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stderr.contains(&site.data().display().to_string()) && ran.stderr.contains("Read-only file system"), "{ran}");
    // What is there can be read all the same.
    let read = site.read(["events", "list"]);
    assert!(read.code == 0 && read.stdout.contains("a:b"), "{read}");
    small.remount("rw");
    site.start().stop();
}

#[test]
fn a_lost_page_at_the_end_of_the_log_is_refused_with_what_to_do() {
    let site = Site::new();
    let host = site.start();
    for number in 0..300 {
        host.publish(&json!({"event_type": "page:written", "source_component": "p", "payload": {"number": number}})).expect(201);
    }
    let last = eventually("the last event", || host.events("type=page:written").pop());
    host.stop();
    let path = site.data().join("log.db");
    let mut log = fs::File::options().read(true).write(true).open(&path).expect("the log can be opened");
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes).expect("it can be read");
    // The page with the last event's payload.
    let payload = last["payload"].to_string();
    let at = bytes.windows(payload.len()).position(|window| window == payload.as_bytes()).expect("the payload stands in the file");
    log.seek(SeekFrom::Start(at as u64 / 4096 * 4096)).and_then(|_| log.write_all(&[0xA5; 4096])).expect("it can be written");
    drop(log);
    let ran = run(site.command(["run", "--listen", "127.0.0.1:0", "--plugins"]).arg(site.plugins()).arg("--data").arg(site.data()));
    assert_eq!(ran.code, 1, "{ran}");
    for told in ["the log is damaged", "put a backup in its place", "trackside store salvage FILE"] {
        assert!(ran.stderr.contains(told), "{told}: {ran}");
    }
    let salvaged = site.read(["store", "salvage", "saved.db"]);
    assert_eq!(salvaged.code, 0, "{salvaged}");
}
