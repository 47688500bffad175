//! The compiling process and its cache: limits, tampering, what is taken again.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use trackside_wasm::{CompileError, LoadProblem};

use crate::support::{Bench, check, compiler};

/// A bench with a cache of its own.
fn bench(change: impl FnOnce(&mut trackside_wasm::WasmOptions)) -> (Bench, PathBuf) {
    let cache = tempfile::tempdir().unwrap().keep();
    let dir = cache.join("cache");
    let of_options = dir.clone();
    let bench = Bench::with(|options| {
        options.cache_dir = of_options;
        change(options);
    });
    (bench, dir)
}

fn entry(cache: &Path) -> PathBuf {
    let mut entries = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).expect("one entry")
}

#[test]
fn what_was_compiled_is_found_again_and_what_was_tampered_with_is_not_run() {
    let (bench, cache) = bench(|_| {});
    let path = bench.plugins().join("minimal.wasm");
    trackside_test_guests::build().install("minimal", &bench.plugins(), None);
    assert!(!bench.host.check_file(&path).unwrap().from_cache);
    assert!(bench.host.check_file(&path).unwrap().from_cache);

    let entry = entry(&cache);
    let mut bytes = fs::read(&entry).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&entry, &bytes).unwrap();
    assert!(!bench.host.check_file(&path).unwrap().from_cache, "compiled again");
    assert!(bench.host.check_file(&path).unwrap().from_cache, "and put right");
    assert!(check(&*bench.host.load("minimal").unwrap()).outcome.is_ok());
    let left: Vec<_> = fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn both_engines_share_one_compilation() {
    let (bench, cache) = bench(|_| {});
    bench.load("neighbour", "");
    let compiled =
        fs::read_dir(&cache).unwrap().filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "cwasm")).count();
    assert_eq!(compiled, 1);
}

#[test]
fn a_compiler_with_too_little_memory_is_named() {
    let (bench, _cache) = bench(|options| options.compile.memory_bytes = 1 << 20);
    let error = bench.try_load("neighbour", "").map(|_| ()).unwrap_err();
    assert!(matches!(error.problem, LoadProblem::Compile(CompileError::Killed { memory_bytes, .. }) if memory_bytes == 1 << 20), "{error}");
}

#[test]
fn a_compiler_that_takes_too_long_is_ended() {
    let (bench, _cache) = bench(|options| options.compile.timeout_ms = 1);
    trackside_test_guests::build();
    let started = Instant::now();
    let error = bench.try_load("neighbour", "").map(|_| ()).unwrap_err();
    assert!(matches!(error.problem, LoadProblem::Compile(CompileError::Timeout { timeout_ms: 1 })), "{error}");
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn what_did_not_compile_ahead_is_said_by_the_next_load_and_tried_again_by_the_one_after() {
    let scratch = tempfile::tempdir().unwrap();
    let (program, log) = (scratch.path().join("compiler"), scratch.path().join("log"));
    fs::write(&program, format!("#!/bin/sh\necho run >> {}\nexec sleep 60\n", log.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (bench, _cache) = bench(|options| {
        options.compiler.program = program;
        options.compile.timeout_ms = 300;
    });
    let guests = trackside_test_guests::build();
    guests.install("neighbour", &bench.plugins(), None);
    let runs = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    let says_why = || match bench.host.load("neighbour") {
        Ok(_) => panic!("it cannot have been compiled"),
        Err(error) => assert!(matches!(error.problem, LoadProblem::Compile(CompileError::Timeout { timeout_ms: 300 })), "{error}"),
    };
    bench.host.compile_ahead("neighbour");
    says_why();
    assert_eq!(runs(), 1, "it is not compiled once more");
    says_why();
    assert_eq!(runs(), 2, "who asks again has it tried again");
    // Another component under its name is none that has failed.
    bench.host.compile_ahead("neighbour");
    fs::write(bench.plugins().join("neighbour.wasm"), guests.bytes("minimal")).unwrap();
    says_why();
    assert_eq!(runs(), 4);
}

#[test]
fn a_compiler_that_is_not_there_is_named() {
    let (bench, _cache) = bench(|options| options.compiler.program = "/nowhere/compiler".into());
    let error = bench.try_load("minimal", "").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("cannot run the compiler /nowhere/compiler"), "{error}");
}

#[test]
fn the_compiling_process_explains_its_usage() {
    let output = Command::new(compiler().program).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("two numbers"));
}
