//! Owns the three engines: the pooled one for control handlers and observers, the large one for those that a slot of the pool has no room
//! for, and the asynchronous one for workers; their settings, which the compiling process must share, their linkers, and which of them
//! serves a component. Leaves moving their epochs to `ticker`.

use std::{hash::Hash as _, io};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use trackside_model::plugin::Limits;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    component::{Component, InstancePre, Linker},
};

use crate::{linker, options::PoolSizes, state::State, ticker::Ticker};

/// Stack that a call of a guest has, in bytes: one size for all.
pub(crate) const STACK_BYTES: u64 = 512 << 10;
/// Stack of a call that can be suspended: the guest's, and room for the host calls below it.
const ASYNC_STACK_BYTES: usize = 2 << 20;
/// Bytes of an instance that stay resident when it is given back to the pool, where the kernel can tell which were touched.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;
/// Table elements that a slot of the pool has room for.
const POOLED_TABLE_ELEMENTS: usize = 20_000;
/// Core instances that a component of the pool is made of, on average: toolchains add one or two small ones to the guest's own.
const CORE_INSTANCES_EACH: u32 = 4;

/// The version whose machine code this host can run.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";

/// A component of this many bytes carries a language runtime (JavaScript's takes 1.6 MB, Python's 18 MB); one of a compiled language
/// takes a tenth of it.
pub(crate) const RUNTIME_COMPONENT_BYTES: usize = 1 << 20;

/// Which of the engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Control handlers and observers: instances from a pool, made in microseconds.
    Pooled,
    /// Control handlers and observers that carry a language runtime, or may have more memory or table elements than a slot of the pool:
    /// instances are made on demand, whatever their size.
    Large,
    /// Workers.
    Asynchronous,
}

impl EngineKind {
    /// The engine of a component's control handler and observer.
    pub(crate) fn of_synchronous(component_bytes: usize, limits: &Limits, pools: &PoolSizes) -> Self {
        let fits = component_bytes < RUNTIME_COMPONENT_BYTES
            && limits.memory_bytes <= pools.memory_bytes
            && limits.table_elements <= POOLED_TABLE_ELEMENTS as u64;
        if fits { Self::Pooled } else { Self::Large }
    }
}

/// An engine and what its components are linked with.
pub(crate) struct LinkedEngine {
    pub(crate) engine: Engine,
    pub(crate) settings: [u8; 32],
    linker: Linker<State>,
}

impl LinkedEngine {
    fn new(config: &Config, kind: EngineKind) -> wasmtime::Result<Self> {
        let engine = Engine::new(config)?;
        let linker = linker::new(&engine, kind)?;
        let settings = settings_digest(&engine);
        Ok(Self { engine, settings, linker })
    }

    /// Finds every import of the component, so that a missing one fails here and not at the first event.
    pub(crate) fn link(&self, component: &Component) -> wasmtime::Result<InstancePre<State>> {
        self.linker.instantiate_pre(component)
    }
}

/// The engines, and the thread that moves their epochs.
pub(crate) struct Engines {
    pub(crate) pooled: LinkedEngine,
    pub(crate) large: LinkedEngine,
    pub(crate) asynchronous: LinkedEngine,
    pub(crate) ticker: Ticker,
}

/// Why the engines cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The settings do not suit this machine.
    #[error("cannot make the WebAssembly engines: {0:#}")]
    Engine(wasmtime::Error),
    /// No thread for the ticker.
    #[error("cannot start the thread that keeps deadlines: {0}")]
    Ticker(#[from] io::Error),
}

impl Engines {
    pub(crate) fn new(pools: &PoolSizes) -> Result<Self, EngineError> {
        let mut from_pool = config();
        from_pool.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(pools)));
        let pooled = LinkedEngine::new(&from_pool, EngineKind::Pooled).map_err(EngineError::Engine)?;
        let large = LinkedEngine::new(&config(), EngineKind::Large).map_err(EngineError::Engine)?;
        let asynchronous = LinkedEngine::new(&config(), EngineKind::Asynchronous).map_err(EngineError::Engine)?;
        let ticker = Ticker::start([&pooled, &large, &asynchronous].map(|linked| linked.engine.clone()).into())?;
        Ok(Self { pooled, large, asynchronous, ticker })
    }

    pub(crate) fn of(&self, kind: EngineKind) -> &LinkedEngine {
        match kind {
            EngineKind::Pooled => &self.pooled,
            EngineKind::Large => &self.large,
            EngineKind::Asynchronous => &self.asynchronous,
        }
    }
}

/// What decides over the machine code: the same for all engines and in the compiling process, so that a component with several roles
/// is compiled once. How instances are allocated is not part of it.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.consume_fuel(true);
    // Calls into one instance never overlap here, and allowing it costs a quarter of a call.
    config.concurrency_support(false);
    config.cranelift_opt_level(OptLevel::Speed);
    config.memory_init_cow(true);
    // Faults are named without a backtrace: what only backtraces and profilers need would be a third of what a start reads and maps.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    // The same bits everywhere, so that a call can be repeated elsewhere.
    config.relaxed_simd_deterministic(true);
    config.max_wasm_stack(usize::try_from(STACK_BYTES).expect("half a mebibyte"));
    config.async_stack_size(ASYNC_STACK_BYTES);
    config
}

fn pooling(pools: &PoolSizes) -> PoolingAllocationConfig {
    let mut pooling = PoolingAllocationConfig::new();
    let total = pools.total.max(1);
    let core = total.saturating_mul(CORE_INSTANCES_EACH);
    pooling.total_component_instances(total);
    pooling.total_core_instances(core);
    pooling.total_memories(total);
    pooling.total_tables(core);
    pooling.total_stacks(100);
    pooling.table_elements(POOLED_TABLE_ELEMENTS);
    pooling.max_memory_size(usize::try_from(pools.memory_bytes).unwrap_or(usize::MAX));
    pooling.max_unused_warm_slots(total.min(200));
    // Keeping pages resident pays only where the kernel can say which of them were written.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pooling.pagemap_scan(Enabled::Yes);
        pooling.linear_memory_keep_resident(KEEP_RESIDENT_BYTES);
        pooling.table_keep_resident(KEEP_RESIDENT_BYTES);
    }
    pooling
}

/// A digest of everything that decides whether machine code suits an engine.
pub(crate) fn settings_digest(engine: &Engine) -> [u8; 32] {
    struct Sink(Sha256);
    impl std::hash::Hasher for Sink {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sink = Sink(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sink);
    sink.0.finalize().into()
}

#[cfg(test)]
mod tests {
    use trackside_model::plugin::Roles;

    use super::*;

    #[test]
    fn the_compiling_process_shares_the_settings_whatever_the_allocator() {
        let engines = Engines::new(&PoolSizes::default()).unwrap();
        let compiling = Engine::new(&config()).unwrap();
        for linked in [&engines.pooled, &engines.large, &engines.asynchronous] {
            assert_eq!(settings_digest(&compiling), linked.settings);
        }
    }

    #[test]
    fn what_a_slot_of_the_pool_has_no_room_for_is_served_on_demand() {
        let (pools, limits) = (PoolSizes::default(), Limits::for_roles(Roles { control: true, ..Roles::default() }));
        let kind = |bytes, limits: &Limits| EngineKind::of_synchronous(bytes, limits, &pools);
        assert_eq!(kind(RUNTIME_COMPONENT_BYTES - 1, &limits), EngineKind::Pooled);
        assert_eq!(kind(RUNTIME_COMPONENT_BYTES, &limits), EngineKind::Large);
        assert_eq!(kind(1, &Limits { memory_bytes: pools.memory_bytes + 1, ..limits.clone() }), EngineKind::Large);
        assert_eq!(kind(1, &Limits { table_elements: POOLED_TABLE_ELEMENTS as u64 + 1, ..limits }), EngineKind::Large);
    }

    #[test]
    fn the_version_is_the_one_that_is_linked() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"")), "update WASMTIME_VERSION");
    }
}
