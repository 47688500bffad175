//! The WASI floor: time, randomness, waits, folders, sockets and standard output, granted and not.

use serde_json::Value;
use trackside_model::{
    json::Json,
    ports::{CallReport, Failure, FaultKind},
};

use crate::support::{Bench, NOW, check, expect_fault, run};

fn value(report: &CallReport<Result<Json, Failure>>) -> Value {
    report.outcome.as_ref().unwrap().as_ref().unwrap().to_value()
}

#[test]
fn without_grants_the_world_stands_still_and_repeats() {
    let bench = Bench::new();
    // Fresh instances: what a guest keeps of an earlier call's randomness is its own affair.
    let guest = bench.load("senses", "fresh = true");
    let first = value(&run(&*guest, "senses/sense", "{}"));
    assert_eq!(first["wall_ns"], Value::from(NOW.0));
    assert_eq!(first["elapsed_ns"], Value::from(0));
    assert_eq!(first["arguments"], Value::from(0));
    assert_eq!(first["variables"], Value::from(0));
    assert_eq!(first["socket"], Value::from("refused"));
    assert_eq!(first["root"], Value::from("refused"));
    assert_eq!(value(&run(&*guest, "senses/sense", "{}")), first, "a repeated call draws the same numbers");
    assert!(bench.not_granted().is_empty(), "harmless things are not reported");
}

#[test]
fn granted_time_and_randomness_are_real() {
    let bench = Bench::new();
    let guest = bench.load("senses", "fresh = true\n[grants]\nclock = true\nrandom = true");
    let first = value(&run(&*guest, "senses/sense", "{}"));
    let second = value(&run(&*guest, "senses/sense", "{}"));
    assert!(first["elapsed_ns"].as_u64().unwrap() > 0);
    assert_ne!(first["random"], second["random"]);
}

#[test]
fn an_ungranted_wait_is_a_fault_that_names_the_grant() {
    let bench = Bench::new();
    let guest = bench.load("spin-host", "[settings]\ncall = 'sleep'");
    for fault in
        [expect_fault(&check(&*guest), FaultKind::NotGranted), expect_fault(&run(&*guest, "spin-host/run", "null"), FaultKind::NotGranted)]
    {
        assert!(fault.message.contains("timers = true"), "{fault}");
    }
    assert_eq!(bench.not_granted(), [("waiting (wasi:clocks)".to_owned(), "[grants]\ntimers = true".to_owned())]);
}

#[test]
fn a_granted_wait_ends_at_the_deadline() {
    let bench = Bench::new();
    let guest = bench.load("spin-host", "[settings]\ncall = 'sleep'\n[grants]\ntimers = true\n[limits]\ntimeout_ms = 60");
    expect_fault(&check(&*guest), FaultKind::Deadline);
    expect_fault(&run(&*guest, "spin-host/run", "null"), FaultKind::Deadline);
}

#[test]
fn a_granted_wait_waits() {
    let bench = Bench::new();
    let guest = bench.load("sim", "[grants]\ntimers = true\nclock = true");
    let report = run(&*guest, "sim/sleep", r#"{"ms": 40}"#);
    assert!(report.outcome.unwrap().is_ok());
    assert!(report.usage.duration_ns >= 40_000_000);
}

#[test]
fn granted_folders_can_be_read_and_not_written() {
    let bench = Bench::new();
    let input = bench.dir.path().join("input");
    std::fs::create_dir(&input).unwrap();
    std::fs::write(input.join("a.txt"), "hello").unwrap();
    let guest = bench.load("senses", &format!("[[grants.folders]]\npath = '{}'\nguest = '/input'", input.display()));
    assert_eq!(guest.info().effect_class, trackside_model::plugin::EffectClass::Effectful);
    let seen = value(&run(&*guest, "senses/sense", r#"{"read": "/input/a.txt", "write": "/input/b.txt"}"#));
    assert_eq!(seen["read"], Value::from("hello"));
    assert_eq!(seen["write"], Value::from("refused"));
    assert!(!input.join("b.txt").exists());
    let outside = value(&run(&*guest, "senses/sense", r#"{"read": "/input/../secret"}"#));
    assert_eq!(outside["read"], Value::from("refused"));
}

#[test]
fn folders_are_for_workers() {
    let bench = Bench::new();
    let settings = format!("[[grants.folders]]\npath = '{}'\nguest = '/x'", bench.dir.path().display());
    let error = bench.try_load("minimal", &settings).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("which only workers can read"), "{error}");
}

#[test]
fn what_is_printed_becomes_lines() {
    let bench = Bench::new();
    let guest = bench.load("senses", "");
    run(&*guest, "senses/sense", r#"{"print": "to out", "eprint": "to err"}"#).outcome.unwrap().unwrap();
    assert_eq!(bench.lines(), ["to out", "to err"]);
}

#[test]
fn progress_arrives_and_cancellation_is_told() {
    let bench = Bench::new();
    let guest = bench.load("senses", "");
    let seen = value(&run(&*guest, "senses/sense", r#"{"progress": 1.5}"#));
    assert_eq!((&seen["progress"], &seen["cancelled"]), (&Value::from("taken"), &Value::from(false)));
    assert_eq!(*bench.calls.progress.lock(), [(Some(1.0), None)]);
    bench.calls.cancelled.store(true, std::sync::atomic::Ordering::SeqCst);
    let seen = value(&run(&*guest, "senses/sense", r#"{"progress": 0.5}"#));
    assert_eq!((&seen["progress"], &seen["cancelled"]), (&Value::from("Cancelled"), &Value::from(true)));
    assert_eq!(bench.calls.progress.lock().len(), 1);
}

#[test]
fn progress_can_be_taken_away() {
    let bench = Bench::new();
    let guest = bench.load("senses", "[grants]\nprogress = false");
    assert_eq!(value(&run(&*guest, "senses/sense", r#"{"progress": 0.5}"#))["progress"], Value::from("taken"));
    assert!(bench.calls.progress.lock().is_empty());
    assert_eq!(bench.not_granted()[0].1, "[grants]\nprogress = true");
}

#[test]
fn a_secret_that_is_not_granted_says_so_with_its_lines() {
    let bench = Bench::new();
    let guest = bench.load("senses", "");
    let seen = value(&run(&*guest, "senses/sense", r#"{"ask": true}"#));
    assert_eq!(seen["secret"], Value::from("NotGranted"));
    let reports = bench.not_granted();
    let lines = "[[grants.secrets]]\nname = \"key\"\nfile = \"PATH\"\nhosts = []";
    assert_eq!(reports, [("the secret 'key' (secrets)".to_owned(), lines.to_owned())]);
}
