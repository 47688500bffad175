//! Each limit that a call can meet, by its true name, in each role; and the instance that follows.

use std::time::{Duration, Instant};

use trackside_model::{
    control::Signal,
    json::Json,
    ports::{FaultKind, Guest, Subject},
};

use crate::support::{Bench, check, context, event, expect_fault, observe, run, run_task, task, within};

/// Calls all three roles of a hostile guest, which misbehaves in each.
fn in_all_roles(name: &str, settings: &str, kind: FaultKind) -> Vec<trackside_model::ports::Fault> {
    let bench = Bench::new();
    let guest = bench.load(name, settings);
    let faults = vec![
        expect_fault(&check(&*guest), kind),
        expect_fault(&observe(&*guest, 2), kind),
        expect_fault(&run(&*guest, &format!("{name}/run"), "null"), kind),
    ];
    // The instance is gone; the next call meets a new one and the same fate, not a poisoned store.
    assert_eq!(expect_fault(&check(&*guest), kind), faults[0].clone(), "{name}");
    faults
}

#[test]
fn a_spinning_guest_is_cut_at_its_deadline() {
    let bench = Bench::new();
    let guest = bench.load("spin", "[limits]\ntimeout_ms = 50");
    for report_ns in [
        (expect_fault(&check(&*guest), FaultKind::Deadline), check(&*guest).usage.duration_ns),
        (expect_fault(&observe(&*guest, 1), FaultKind::Deadline), observe(&*guest, 1).usage.duration_ns),
        (expect_fault(&run(&*guest, "spin/run", "null"), FaultKind::Deadline), run(&*guest, "spin/run", "null").usage.duration_ns),
    ] {
        let (fault, ns) = report_ns;
        assert_eq!(fault.allowed, 50);
        assert!(fault.used >= 50 && ns >= 50_000_000, "never early: {fault}");
        within(ns, Duration::from_millis(1_000));
    }
}

#[test]
fn the_chains_budget_is_a_deadline_too() {
    let bench = Bench::new();
    let guest = bench.load("spin", "");
    let event = event("order:placed", 1);
    let mut context = context();
    context.remaining_ms = 20;
    let fault = expect_fault(&guest.check(&Subject::new(&event, None), &context), FaultKind::Deadline);
    assert_eq!(fault.allowed, 20);
}

#[test]
fn host_calls_count_into_the_deadline() {
    for call in ["log", "clock"] {
        let bench = Bench::new();
        let guest = bench.load("spin-host", &format!("[limits]\ntimeout_ms = 50\n[settings]\ncall = '{call}'"));
        expect_fault(&check(&*guest), FaultKind::Deadline);
        expect_fault(&run(&*guest, "spin-host/run", "null"), FaultKind::Deadline);
    }
}

#[test]
fn host_calls_that_pass_text_for_ever_meet_the_byte_limit() {
    let bench = Bench::new();
    let guest = bench.load("spin-host", "[limits]\ntimeout_ms = 10000\nresult_bytes = 100000");
    let fault = expect_fault(&check(&*guest), FaultKind::Bytes);
    assert_eq!(fault.allowed, 100_000);
    assert!(fault.used > 100_000);
}

#[test]
fn fuel_is_a_budget() {
    for fault in in_all_roles("spin", "[limits]\nfuel = 1000000", FaultKind::Fuel) {
        assert_eq!((fault.used, fault.allowed), (1_000_000, 1_000_000));
    }
}

#[test]
fn fuel_of_a_fault_is_all_of_it() {
    let bench = Bench::new();
    let guest = bench.load("spin", "[limits]\nfuel = 1000000");
    assert_eq!(check(&*guest).usage.fuel, 1_000_000);
}

#[test]
fn memory_is_named_though_the_guest_only_traps() {
    for fault in in_all_roles("memory-bomb", "[limits]\nmemory_bytes = 8000000", FaultKind::Memory) {
        assert_eq!(fault.allowed, 8_000_000);
        assert!(fault.used > 8_000_000);
    }
}

#[test]
fn a_component_that_starts_with_too_much_memory_is_refused() {
    let bench = Bench::new();
    let error = bench.try_load("minimal", "[limits]\nmemory_bytes = 1000").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("memory_bytes allows 1000"), "{error}");
}

#[test]
fn tables_are_counted() {
    let bench = Bench::new();
    let error = bench.try_load("minimal", "[limits]\ntable_elements = 1").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("table_elements allows 1"), "{error}");
    for fault in in_all_roles("table-bomb", "[limits]\ntable_elements = 5000", FaultKind::Tables) {
        assert_eq!(fault.allowed, 5_000);
    }
}

#[test]
fn the_stack_has_an_end() {
    for fault in in_all_roles("recurse", "", FaultKind::Stack) {
        assert_eq!(fault.allowed, 512 << 10);
    }
}

#[test]
fn a_component_of_too_many_parts_is_refused() {
    let bench = Bench::new();
    let error = bench.try_load("minimal", "[limits]\ninstances = 1").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("limits.instances"), "{error}");
}

#[test]
fn giant_answers_are_not_taken() {
    for fault in in_all_roles("giant-result", "[limits]\nresult_bytes = 1000000", FaultKind::Bytes) {
        assert_eq!(fault.allowed, 1_000_000);
    }
}

#[test]
fn giant_arguments_are_not_handed_over() {
    let bench = Bench::new();
    let guest = bench.load("neighbour", "[limits]\nargument_bytes = 500");
    let big = Json::trusted(format!("\"{}\"", "x".repeat(600)));
    let mut event = event("order:placed", 1);
    event.payload = big.clone();
    let fault = expect_fault(&guest.check(&Subject::new(&event, None), &context()), FaultKind::Bytes);
    assert_eq!(fault.allowed, 500);
    expect_fault(&observe(&*guest, 20), FaultKind::Bytes);
    let mut task = task("neighbour/echo", "null");
    task.parameters = big;
    expect_fault(&run_task(&*guest, &task), FaultKind::Bytes);
    assert_eq!(check(&*guest).outcome.unwrap(), Signal::Proceed(None));
}

#[test]
fn traps_and_panics_say_what_they_said() {
    for fault in in_all_roles("trap", "", FaultKind::Trap) {
        assert!(fault.message.contains("unreachable"), "{fault}");
    }
    for fault in in_all_roles("panic", "", FaultKind::Trap) {
        assert!(fault.message.contains("the guest has lost its nerve"), "{fault}");
    }
}

#[test]
fn answers_that_are_not_json_are_malformed() {
    let bench = Bench::new();
    for signal in ["proceed", "fallback"] {
        let guest = bench.load("malformed", &format!("[settings]\nsignal = '{signal}'"));
        let fault = expect_fault(&check(&*guest), FaultKind::Malformed);
        assert!(fault.message.contains(signal), "{fault}");
        expect_fault(&run(&*guest, "malformed/run", "null"), FaultKind::Malformed);
    }
}

#[test]
fn a_flood_of_lines_is_cut_and_said_once() {
    for to in ["log", "stderr"] {
        let bench = Bench::new();
        let guest =
            bench.load("log-flood", &format!("[limits]\nlog_bytes = 10000\ntimeout_ms = 20000\n[settings]\nlines = 2000\nto = '{to}'"));
        assert_eq!(check(&*guest).outcome.unwrap(), Signal::Proceed(None), "{to}");
        let lines = bench.lines();
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes <= 10_200, "{to}: {bytes}");
        assert_eq!(lines.iter().filter(|line| line.contains("log_bytes allows 10000")).count(), 1, "{to}");
        assert_eq!(*bench.calls.cut.lock(), [("log_bytes".to_owned(), 10_000)], "{to}");
        // The next call has its own bytes.
        bench.calls.lines.lock().clear();
        check(&*guest);
        assert!(!bench.lines().is_empty(), "{to}");
        assert_eq!(bench.calls.cut.lock().len(), 1, "{to}: once a version");
    }
}

#[test]
fn what_the_host_lends_has_an_end() {
    let bench = Bench::new();
    let folder = bench.dir.path().join("input");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("x"), "x").unwrap();
    let settings = format!("[[grants.folders]]\npath = '{}'\nguest = '/input'\n", folder.display());
    let guest = bench.load("hoarder", &settings);
    let fault = expect_fault(&run(&*guest, "hoarder/open", r#"{"path": "/input/x"}"#), FaultKind::Tables);
    assert_eq!((fault.used, fault.allowed), (10_001, 10_000));
    assert!(fault.message.contains("10000 resources"), "{fault}");

    let reports = |times: u32, chunk_bytes: u32| {
        let parameters = format!(r#"{{"times": {times}, "chunk_bytes": {chunk_bytes}}}"#);
        run(&*guest, "hoarder/report", &parameters).outcome.unwrap().unwrap().to_value()
    };
    assert_eq!(reports(10_005, 2), serde_json::json!({"taken": 10_000, "refused": {"TooMany": 5}}));
    assert_eq!(reports(1, 65_536), serde_json::json!({"taken": 1, "refused": {}}));
    assert_eq!(reports(1, 65_537), serde_json::json!({"taken": 0, "refused": {"TooLarge": 1}}));
}

#[test]
fn a_busy_pool_is_unavailable_in_time() {
    let bench = Bench::with(|options| options.pools.control = 1);
    let guest = bench.load("spin", "[limits]\ntimeout_ms = 300");
    std::thread::scope(|scope| {
        let long = scope.spawn(|| check(&*guest));
        std::thread::sleep(Duration::from_millis(100));
        let event = event("order:placed", 1);
        let mut context = context();
        context.remaining_ms = 30;
        let short = guest.check(&Subject::new(&event, None), &context);
        expect_fault(&short, FaultKind::Unavailable);
        within(short.usage.duration_ns, Duration::from_millis(200));
        expect_fault(&long.join().unwrap(), FaultKind::Deadline);
    });
}

#[test]
fn a_spinning_worker_lets_its_neighbour_work_on_the_same_thread() {
    let bench = Bench::new();
    let spin = bench.load("spin", "[limits]\ntimeout_ms = 2000");
    let neighbour = bench.load("neighbour", "");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (spinning, echoing) = (task("spin/run", "null"), task("neighbour/echo", "1"));
    let started = Instant::now();
    let (spun, echoed) = runtime.block_on(async {
        tokio::join!(spin.run(&spinning), async {
            // Starts when the other is spinning.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let report = neighbour.run(&echoing).await;
            assert_eq!(report.outcome.unwrap().unwrap().as_str(), "1");
            started.elapsed()
        })
    });
    expect_fault(&spun, FaultKind::Deadline);
    assert!(echoed < Duration::from_millis(1_500), "{echoed:?}: it had to wait for the other's end");
}

#[test]
fn dropping_a_run_cuts_it() {
    let bench = Bench::new();
    let guest = bench.load("spin", "[limits]\ntimeout_ms = 400");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let task = task("spin/run", "null");
    runtime.block_on(async {
        let cut = tokio::time::timeout(Duration::from_millis(50), guest.run(&task)).await;
        assert!(cut.is_err(), "it was still running");
    });
    // The one instance that the pool allows is free again: the next call is made, and has all of its time.
    expect_fault(&runtime.block_on(guest.run(&task)), FaultKind::Deadline);
}

#[test]
fn a_role_that_is_not_there_is_unavailable() {
    let bench = Bench::new();
    let guest: std::sync::Arc<dyn Guest> = bench.load("minimal", "");
    expect_fault(&observe(&*guest, 1), FaultKind::Unavailable);
    expect_fault(&run(&*guest, "x/y", "null"), FaultKind::Unavailable);
}
