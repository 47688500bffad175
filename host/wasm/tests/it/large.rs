//! The large engine: who is served by it, and that its limits are those of the pool's.

use trackside_model::{control::Signal, ports::FaultKind};
use trackside_wasm::EngineKind;

use crate::support::{Bench, check};

/// A component that is as large as one with a language runtime: the same, with a section that nobody reads.
fn heavy(bench: &Bench, name: &str, settings: &str) -> std::path::PathBuf {
    const PADDING: u32 = 2 << 20;
    let mut component = trackside_test_guests::build().bytes(name);
    let mut size = vec![0; 5];
    // LEB128, always in five bytes: the section's name is empty and takes one.
    for (place, byte) in size.iter_mut().enumerate() {
        *byte = (((PADDING + 1) >> (7 * place)) & 0x7f) as u8 | if place < 4 { 0x80 } else { 0 };
    }
    component.push(0);
    component.extend(size);
    component.push(0);
    component.resize(component.len() + PADDING as usize, 0);
    let path = bench.plugins().join(format!("{name}.wasm"));
    std::fs::write(&path, component).unwrap();
    std::fs::write(path.with_extension("toml"), settings).unwrap();
    path
}

#[test]
fn what_the_pool_has_no_room_for_is_served_on_demand_under_the_same_limits() {
    let bench = Bench::new();
    for (settings, engine, memory) in [
        ("", EngineKind::Pooled, 64 << 20),
        ("[limits]\nmemory_bytes = 300_000_000", EngineKind::Large, 300_000_000),
        ("[limits]\ntable_elements = 30_000", EngineKind::Large, 64 << 20),
    ] {
        let guest = bench.load("minimal", settings);
        let report = bench.host.check_file(&bench.plugins().join("minimal.wasm")).unwrap();
        assert_eq!((report.engine, report.info.limits.memory_bytes), (engine, memory), "{settings}");
        assert_eq!(check(&*guest).outcome.unwrap(), Signal::Proceed(None), "{settings}");
    }
    let report = bench.host.check_file(&heavy(&bench, "minimal", "")).unwrap();
    assert_eq!((report.engine, report.info.limits.memory_bytes), (EngineKind::Large, 256 << 20), "a runtime has more by itself");
    assert_eq!(check(&*bench.host.load("minimal").unwrap()).outcome.unwrap(), Signal::Proceed(None));

    for (name, settings, kind) in [
        ("spin", "[limits]\ntimeout_ms = 20", FaultKind::Deadline),
        ("spin", "[limits]\nfuel = 100_000", FaultKind::Fuel),
        ("memory-bomb", "[limits]\ntimeout_ms = 60_000\nmemory_bytes = 8_000_000", FaultKind::Memory),
        ("recurse", "[limits]\ntimeout_ms = 60_000", FaultKind::Stack),
    ] {
        heavy(&bench, name, settings);
        let guest = bench.host.load(name).unwrap();
        for _ in 0..2 {
            assert_eq!(check(&*guest).outcome.unwrap_err().kind, kind, "{name}");
        }
    }
}
