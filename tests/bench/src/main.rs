//! `trackside-bench`: what a control check, an append, a publish, a workflow and a start cost, each beside a baseline measured in the
//! same seconds. Here are the parts and their order; what is measured is in the file of each part, how it is told in `report`.
//!
//! `cargo xtask bench [--json] [--quick] [PART…]` builds everything in release and runs this. `BENCHMARKS.md` says what the figures mean.

mod asking;
mod bare;
mod beside;
mod brokers;
mod calls;
mod chain;
mod crowd;
mod disk;
mod dispatch;
mod engine;
mod events;
mod extism;
mod hexai;
mod host;
mod http;
mod large;
mod log;
mod observers;
mod plugins;
mod process;
mod publish;
mod reload;
mod report;
mod samples;
mod sqlite;
mod start;
mod streams;
mod workflows;

use std::{env, ffi::OsString, process::ExitCode};

use anyhow::{Result, bail};

use crate::report::Figure;

/// The host's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The first argument of the process that compiles components: this program serves as its own.
const COMPILE: &str = "compile-component";

const USAGE: &str = "usage: trackside-bench [--json] [--quick] [calls] [log] [asking] [publish] [streams] [dispatch] [large] [observers] [workflows] [plugins] [start] \
     [reload] [hexai] [extism]";

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    quick: bool,
}

impl Effort {
    /// The one number, or with `--quick` the other.
    pub(crate) fn of(self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

/// A part: its name on the command line, and what measures it.
type Part = (&'static str, fn(Effort) -> Result<Vec<Figure>>);

const PARTS: [Part; 14] = [
    ("calls", calls::measure),
    ("log", log::measure),
    ("asking", asking::measure),
    ("publish", publish::measure),
    ("streams", streams::measure),
    ("dispatch", dispatch::measure),
    ("large", large::measure),
    ("observers", observers::measure),
    ("workflows", workflows::measure),
    ("plugins", plugins::measure),
    ("start", start::measure),
    ("reload", reload::measure),
    ("hexai", hexai::measure),
    ("extism", extism::measure),
];

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == COMPILE) {
        return trackside_wasm::compile_child_main(arguments.drain(1..));
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[OsString]) -> Result<()> {
    let (mut json, mut effort, mut chosen) = (false, Effort { quick: false }, Vec::new());
    for argument in arguments {
        match argument.to_str() {
            Some("--json") => json = true,
            Some("--quick") => effort.quick = true,
            Some(name) if PARTS.iter().any(|(part, _)| *part == name) => chosen.push(name),
            _ => bail!("'{}' is not known here\n{USAGE}", argument.display()),
        }
    }
    let mut figures = Vec::new();
    for (name, measure) in PARTS {
        if chosen.is_empty() || chosen.contains(&name) {
            eprintln!("▸ {name}");
            let measured = measure(effort)?;
            if json {
                measured.iter().try_for_each(report::print_json)?;
            }
            figures.extend(measured);
        }
    }
    if !json {
        report::print_table(&figures);
    }
    Ok(())
}
