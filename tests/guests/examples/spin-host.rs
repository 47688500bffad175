//! `spin-host`: never returns, and spends its time in the host: in an endless row of host calls, or in one endless wait.
//! Leaves the settings that say where to `support`; its own is `call`: `settings` (default), `log`, `kv`, `clock` or `sleep`.

mod support;

use std::time::{Duration, Instant};
use trackside_sdk::{kv, log, settings};

/// As far away as a timer goes.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

fn spin() -> ! {
    let call = settings::get::<String>("call").ok().flatten().unwrap_or_else(|| "settings".into());
    loop {
        match call.as_str() {
            "log" => log::info("again"),
            "kv" => drop(std::hint::black_box(kv::get("again"))),
            "clock" => drop(std::hint::black_box(Instant::now())),
            "sleep" => std::thread::sleep(FOR_EVER),
            _ => drop(std::hint::black_box(settings::get::<bool>("again"))),
        }
    }
}

support::hostile!("spin-host", "Never returns from calling the host.", control: spin(), observer: spin(), worker: spin());
