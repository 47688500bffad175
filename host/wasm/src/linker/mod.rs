//! Owns what a guest finds when it looks for its imports: Trackside's interfaces, and the inert WASI floor, one file each.
//! Leaves authority to the grants, which every file asks at the call; an interface that is not here fails at load.

mod clocks;
mod events;
mod http;
pub(crate) mod kv;
mod log;
mod progress;
mod random;
mod schedule;
mod secrets;
mod settings;
pub(crate) mod stdio;

use wasmtime::{
    Engine,
    component::{HasSelf, Linker},
};
use wasmtime_wasi::p2::{
    self,
    bindings::{clocks as wasi_clocks, random as wasi_random},
};

use crate::{bindings::trackside::plugin, engines::EngineKind, state::State};

/// Interfaces of `trackside:plugin` that a plugin may import.
pub(crate) const OWN: [&str; 8] = ["types", "log", "settings", "events", "kv", "schedule", "secrets", "progress"];
/// Packages of WASI 0.2 that a plugin may import.
pub(crate) const WASI: [&str; 7] = ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:http", "wasi:io", "wasi:random", "wasi:sockets"];

/// A linker with everything that a plugin may import.
pub(crate) fn new(engine: &Engine, kind: EngineKind) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    match kind {
        EngineKind::Pooled | EngineKind::Large => p2::add_to_linker_sync(&mut linker)?,
        EngineKind::Asynchronous => p2::add_to_linker_async(&mut linker)?,
    }
    let linked = &mut linker;
    // Time and randomness come from the host, so that a call can be repeated: these stand in front of WASI's own.
    linked.allow_shadowing(true);
    wasi_clocks::wall_clock::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    wasi_clocks::monotonic_clock::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    wasi_random::random::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    wasi_random::insecure::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    wasi_random::insecure_seed::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    linked.allow_shadowing(false);
    http::add_to_linker(linked)?;
    plugin::types::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    plugin::log::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    plugin::settings::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    plugin::events::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    plugin::kv::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    plugin::schedule::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    plugin::secrets::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    plugin::progress::add_to_linker::<State, HasSelf<State>>(linked, |state| state)?;
    Ok(linker)
}

/// Types have no functions of their own.
impl plugin::types::Host for State {}
