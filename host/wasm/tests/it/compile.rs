//! The compiling process and its cache: limits, tampering, what is taken again.

use std::{
    fs,
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
