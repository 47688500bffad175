//! A check beside Extism's: the same handler over the same event, there as JSON in and out, each under a deadline and a memory limit.
//! Extism stands in a process of its own, because it brings another wasmtime; both are called in turn.

use std::{env, fs, process::Command};

use anyhow::Result;
use trackside_model::ports::Subject;

use crate::{
    Effort,
    beside::Beside,
    calls::{HANDLER, context, proceeds},
    disk, events,
    host::Host,
    report::Figure,
    samples::{interleave, ns_each},
};

const CALLS_A_SAMPLE: u32 = 1_000;

/// The figure. None where Extism was not built: `cargo xtask bench` says why.
///
/// # Errors
/// If one of the two handlers does not do what it is asked.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let (Some(program), Some(guest)) = (env::var_os("EXTISM_HOST"), env::var_os("EXTISM_GUEST")) else {
        eprintln!("  left out: it was not built");
        return Ok(Vec::new());
    };
    let host = Host::new()?;
    host.add(HANDLER, &trackside_test_guests::build().bytes(HANDLER))?;
    let own = host.plugins.load(HANDLER)?;
    let event = events::checked("order:placed")?;
    let folder = disk::scratch()?;
    let json = folder.path().join("event.json");
    fs::write(&json, serde_json::to_vec(&event)?)?;
    let mut extism = Beside::start(Command::new(program).arg(guest).arg(json))?;
    let (subject, context) = (Subject::new(&event, None), context());
    let [own, extism] = interleave(
        effort.of(200, 40),
        [&mut || Ok(ns_each(CALLS_A_SAMPLE, || proceeds(own.check(&subject, &context).outcome))? / 1e3), &mut || {
            Ok(extism.ns_each(&CALLS_A_SAMPLE.to_string(), CALLS_A_SAMPLE)? / 1e3)
        }],
    )?;
    Ok(vec![Figure::new("check_vs_extism", "µs", own, "µs: Extism's call, JSON in and out", extism)])
}
