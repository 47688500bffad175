//! `hoarder`: a worker that takes more of what the host lends than it lends: open files, reports of progress.
//!
//! `hoarder/open` takes `{path}` and opens that file until it can no more. `hoarder/report` takes `{times, chunk_bytes}` and gives how many
//! reports were taken, and the refusals, each with how often.

use std::{collections::BTreeMap, fs::File};

use serde::{Deserialize, Serialize};
use trackside_sdk::{Description, Failure, Method, Methods, Plugin, Task, Worker, progress};

struct Hoarder;

impl Plugin for Hoarder {
    fn describe() -> Description {
        Description::new("hoarder").summary("Takes more than it is lent.")
    }
}

impl Worker for Hoarder {
    fn methods() -> Methods {
        Methods::new().with(Method::new("hoarder/open", "Opens a file without end.", open)).with(Method::new(
            "hoarder/report",
            "Reports progress many times.",
            report,
        ))
    }
}

trackside_sdk::export!(Hoarder: worker);

#[derive(Deserialize)]
struct Open {
    path: String,
}

fn open(wanted: Open, _task: &Task) -> Result<usize, Failure> {
    let mut kept = Vec::new();
    while let Ok(file) = File::open(&wanted.path) {
        kept.push(file);
    }
    Ok(kept.len())
}

#[derive(Deserialize)]
struct Reports {
    times: u32,
    chunk_bytes: usize,
}

#[derive(Serialize, Default)]
struct Told {
    taken: u32,
    refused: BTreeMap<String, u32>,
}

fn report(wanted: Reports, _task: &Task) -> Result<Told, Failure> {
    let mut told = Told::default();
    // Two marks stand around the text.
    let chunk = "c".repeat(wanted.chunk_bytes.saturating_sub(2));
    for _ in 0..wanted.times {
        match progress::stream(&chunk) {
            Ok(()) => told.taken += 1,
            Err(refusal) => *told.refused.entry(format!("{refusal:?}")).or_default() += 1,
        }
    }
    Ok(told)
}
