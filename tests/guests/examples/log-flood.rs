//! `log-flood`: writes far more into the log than it may, then answers as if nothing had happened.
//! Leaves the settings that say where to `support`; its own are `lines` (default 100,000), `line_bytes` (default 1,000) and `to` (`log`, the
//! default, or `stderr`).

mod support;

use trackside_sdk::{log, settings};

fn flood() {
    let line = "f".repeat(settings::get("line_bytes").ok().flatten().unwrap_or(1_000));
    let to_stderr = settings::get::<String>("to").ok().flatten().as_deref() == Some("stderr");
    for _ in 0..settings::get("lines").ok().flatten().unwrap_or(100_000) {
        if to_stderr { eprintln!("{line}") } else { log::info(&line) }
    }
}

support::hostile!(
    "log-flood", "Writes without end.",
    control: { flood(); Signal::proceed() },
    observer: { flood(); Ok(()) },
    worker: { flood(); Ok("null".into()) },
);
