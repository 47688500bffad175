//! Compiling in a running host: a component that never ends to be compiled, and compiled forms that another has written.
//! The compiling process itself is tested beside the code.

use std::{
    fs,
    path::{Path, PathBuf},
};

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, eventually};

use crate::stage::Stage;

/// The most memory that the host has had, in kibibytes.
fn peak_kib(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).expect("a host's status can be read");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has its peak");
    line.trim().trim_end_matches(" kB").parse().expect("in kibibytes")
}

/// Processes whose parent is the host.
fn children(host: &Host) -> Vec<String> {
    let parent = host.pid().to_string();
    let stats = fs::read_dir("/proc")
        .expect("there are processes")
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.split_whitespace().nth(1) == Some(parent.as_str()))).collect()
}

#[test]
fn a_compile_bomb_costs_a_child_its_limits_and_the_host_nothing() {
    let mut stage = Stage::on(Site::new(), |command| command.env("TRACKSIDE_COMPILE_TIMEOUT_MS", "6000"));
    stage.publish();
    let before = peak_kib(&stage.host);
    stage.site.plugin("compile-bomb", guests::compile_bomb(3_000), "");
    let problem = std::thread::scope(|scope| {
        let reload = scope.spawn(|| stage.host.reload("compile-bomb").expect(422));
        eventually("the child", || (!children(&stage.host).is_empty()).then_some(()));
        // Meanwhile everybody else goes on.
        for number in 0..20 {
            let event = trackside_tests::json!({"event_type": "case:came", "source_component": "test", "payload": {"while": number}});
            stage.host.publish(&event).expect(201);
        }
        reload.join().expect("it is answered")
    });
    stage.published += 20;
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains("took longer to compile than the 6000 ms allowed")),
        "{problem}"
    );
    let left = children(&stage.host);
    assert!(left.is_empty(), "{left:?}");
    let grown = peak_kib(&stage.host) - before;
    assert!(grown < 64 << 10, "the host took {grown} KiB more");
    stage.work();
    stage.neighbour_is_unharmed();
}

fn compiled(site: &Site) -> PathBuf {
    let is_code = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "cwasm");
    let entries = fs::read_dir(site.data().join("compiled")).expect("there is a cache").flatten();
    entries.map(|entry| entry.path()).find(is_code).expect("one component was compiled")
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(path, bytes).expect("it can be written");
}

#[test]
fn a_compiled_form_that_another_wrote_is_compiled_again_and_said() {
    let site = Site::new();
    site.plugin("neighbour", guests::build().bytes("neighbour"), "");
    const SAYS: &str = "the compiled form in the cache is not what this host wrote; compiling again";
    let start = |spoil: &dyn Fn(), said: usize| {
        spoil();
        let host = site.start();
        assert_eq!(host.plugin("neighbour")["state"], "serving");
        assert_eq!(host.output().matches(SAYS).count(), said, "{}", host.output());
        assert_eq!(host.stop(), 0);
    };
    start(&|| {}, 0);
    start(&|| {}, 0);
    start(&|| flip(&compiled(&site)), 1);
    start(&|| {}, 1);
    // The cache of another host, whose secret is not this one's.
    start(&|| flip(&site.data().join("compiled/key")), 2);
    start(&|| {}, 2);
    // What another version has compiled stands under another name, and is nobody's.
    let stale = site.data().join(format!("compiled/{}.cwasm", "0".repeat(64)));
    start(&|| fs::rename(compiled(&site), &stale).expect("a file can be renamed"), 2);
    fs::remove_file(&stale).expect("it is still there");
    compiled(&site);
}
