//! Owns where a circuit stands in `kv`: its failures as a number that goes with the window, its opening, and its probe, which goes by itself.
//! Leaves what follows from it to `circuit`.

use crate::circuit::{Change, Circuit, Open};
use trackside_policy_kit::{get_json, key_of, set_json};
use trackside_sdk::{Error, kv};

fn failures_key(id: &str) -> String {
    key_of("failures", id)
}

fn open_key(id: &str) -> String {
    key_of("open", id)
}

fn probe_key(id: &str) -> String {
    key_of("probe", id)
}

/// All of it.
pub(crate) fn read(id: &str) -> Result<Circuit, Error> {
    let circuit = read_open(id)?;
    if circuit.open.is_some() {
        return Ok(Circuit { probe: kv::get_text(&probe_key(id))?, ..circuit });
    }
    let failures = kv::get_text(&failures_key(id))?.and_then(|number| number.parse().ok()).unwrap_or(0);
    Ok(Circuit { failures, ..circuit })
}

/// Whether it is open, and nothing else: failures that are counted meanwhile change nothing here.
pub(crate) fn read_open(id: &str) -> Result<Circuit, Error> {
    Ok(Circuit { open: get_json::<Open>(&open_key(id))?, ..Circuit::default() })
}

/// Counts a failure; how many there are in the window.
pub(crate) fn count_failure(id: &str, window_ms: u64) -> Result<u64, Error> {
    Ok(kv::increment_for_ms(&failures_key(id), 1, window_ms)?.unsigned_abs())
}

/// Writes what a decision changes.
pub(crate) fn write(id: &str, change: &Change) -> Result<(), Error> {
    match change {
        Change::Open(open) => {
            set_json(&open_key(id), open)?;
            // Set, not deleted: deleting looks at what was there, and would conflict with every failure that is counted meanwhile.
            kv::set_for_ms(&failures_key(id), "0", 1)?;
            kv::delete(&probe_key(id))?;
        }
        Change::Probe { task, for_ms } => kv::set_for_ms(&probe_key(id), task, *for_ms)?,
        Change::Close => {
            kv::delete(&open_key(id))?;
            kv::delete(&probe_key(id))?;
        }
    }
    Ok(())
}
