//! Owns the naming of faults: what an error out of wasmtime means, with the limit that was met.
//! Leaves what a fault leads to (breaker, events) to the engine.

use std::time::Instant;

use trackside_model::ports::{Fault, FaultKind};
use wasmtime::{PoolConcurrencyLimitError, Trap};
use wasmtime_wasi::{I32Exit, ResourceTableError};

use crate::{
    engines::STACK_BYTES,
    limits::{RESOURCES, Refused},
    state::State,
};

/// What wasmtime says, without a type of its own, when a guest passes more than the store's hostcall fuel in one go.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// Of the errors without a type of their own, those that can follow from a refused growth: an allocator of the guest that gave up, and a
/// component that begins with more than it may have.
const AFTER_REFUSAL: [&str; 3] = ["realloc return", "exceeds memory limits", "exceeds table limits"];

/// The traps that can follow from a refused growth.
const AFTER_REFUSAL_TRAPS: [Trap; 4] =
    [Trap::UnreachableCodeReached, Trap::MemoryOutOfBounds, Trap::TableOutOfBounds, Trap::IndirectCallToNull];

/// The same for more handles than the store allows.
const HANDLES: &str = "store handle limit exceeded";

/// A fault that met no limit.
pub(crate) fn plain(kind: FaultKind, message: impl Into<String>) -> Fault {
    Fault { kind, message: message.into(), used: 0, allowed: 0 }
}

/// A fault for an answer that is not what the contract says, as an error that ends the call.
pub(crate) fn malformed(message: impl Into<String>) -> wasmtime::Error {
    plain(FaultKind::Malformed, message).into()
}

/// The fault of a call whose time was up.
pub(crate) fn deadline(started: Instant, timeout_ms: u64) -> Fault {
    let used = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let message = format!("took {used} ms, {timeout_ms} ms were allowed");
    Fault { kind: FaultKind::Deadline, message, used, allowed: timeout_ms }
}

/// The fault of a call for which no instance was free in time.
pub(crate) fn no_instance(instances: usize, timeout_ms: u64) -> Fault {
    let message = format!("all {instances} instances were busy for the {timeout_ms} ms that the call had");
    Fault { kind: FaultKind::Unavailable, message, used: timeout_ms, allowed: timeout_ms }
}

/// The fault of a call whose arguments are too large; the guest was not called.
pub(crate) fn argument_bytes(used: u64, allowed: u64) -> Fault {
    Fault {
        kind: FaultKind::Bytes,
        message: format!("the call has {used} bytes of arguments, argument_bytes allows {allowed}"),
        used,
        allowed,
    }
}

/// What an error that ended a call means.
pub(crate) fn of_error(error: &wasmtime::Error, state: &State) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return of_trap(*trap, state);
    }
    let text = format!("{error:#}");
    let exited = error.downcast_ref::<I32Exit>().is_some();
    // A guest may have been refused memory, have made do without it, and then have ended otherwise.
    if let Some(refused) = state.limiter.refused.filter(|_| exited || AFTER_REFUSAL.iter().any(|words| text.contains(words))) {
        return of_refused(refused, state);
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return plain(FaultKind::Trap, with_last_words(format!("it exited with status {}", exit.0), state));
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return plain(FaultKind::Unavailable, format!("the pool of all plugins has no room: {error}"));
    }
    if text.contains(HOSTCALL_FUEL) {
        let allowed = state.core.limits.result_bytes;
        let message = format!("it passed more than the {allowed} bytes that result_bytes allows");
        return Fault { kind: FaultKind::Bytes, message, used: allowed.saturating_add(1), allowed };
    }
    if text.contains(HANDLES) || matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        let allowed = RESOURCES as u64;
        let message = format!("it held more than the {allowed} resources that an instance may hold at a time");
        return Fault { kind: FaultKind::Tables, message, used: allowed.saturating_add(1), allowed };
    }
    if text.contains("resource limit exceeded") {
        let allowed = u64::from(state.core.limits.instances);
        return Fault {
            kind: FaultKind::Unavailable,
            message: format!("it is made of more parts than limits.instances allows: {text}"),
            used: 0,
            allowed,
        };
    }
    // What is left comes from the canonical ABI: text that is not UTF-8, pointers out of bounds, unknown discriminants.
    plain(FaultKind::Malformed, text)
}

fn of_trap(trap: Trap, state: &State) -> Fault {
    match trap {
        Trap::StackOverflow => Fault {
            kind: FaultKind::Stack,
            message: format!("its calls went deeper than the {STACK_BYTES} bytes of stack"),
            used: STACK_BYTES,
            allowed: STACK_BYTES,
        },
        Trap::OutOfFuel => {
            let allowed = state.call.fuel;
            Fault { kind: FaultKind::Fuel, message: format!("it burnt all of its {allowed} fuel"), used: allowed, allowed }
        }
        Trap::Interrupt => deadline(state.call.started, state.call.timeout_ms),
        // A guest that was refused memory stops itself, or reaches for what it did not get. No other trap follows from that.
        _ => match state.limiter.refused.filter(|_| AFTER_REFUSAL_TRAPS.contains(&trap)) {
            Some(refused) => of_refused(refused, state),
            None => {
                let text = trap.to_string();
                plain(FaultKind::Trap, with_last_words(text.trim_start_matches("wasm trap: ").to_owned(), state))
            }
        },
    }
}

fn of_refused(refused: Refused, state: &State) -> Fault {
    let allowed = state.limiter.allowed(refused);
    match refused {
        Refused::Memory(used) => {
            let message = format!("it wanted {used} bytes of memory, memory_bytes allows {allowed}");
            Fault { kind: FaultKind::Memory, message, used, allowed }
        }
        Refused::Tables(used) => {
            let message = format!("it wanted {used} table elements, table_elements allows {allowed}");
            Fault { kind: FaultKind::Tables, message, used, allowed }
        }
    }
}

/// What a guest wrote before it stopped itself says more than the trap does.
fn with_last_words(what: String, state: &State) -> String {
    match state.stdio.last_words() {
        Some(words) => format!("{what}: {words}"),
        None => what,
    }
}
