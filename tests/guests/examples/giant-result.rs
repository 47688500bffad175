//! `giant-result`: answers with more than it may: a result, a replaced value, or the text of an error.
//! Leaves the settings that say where to `support`; its own is `bytes` (default 8 MiB).

mod support;

use trackside_sdk::settings;

fn giant() -> String {
    "g".repeat(settings::get("bytes").ok().flatten().unwrap_or(8 << 20))
}

support::hostile!(
    "giant-result", "Answers with more than it may.",
    control: Signal::fallback(giant(), "a giant"),
    observer: Err(Error::new(giant())),
    worker: Ok(format!("\"{}\"", giant())),
);
