//! A packed check by wasmtime alone, with fuel and without: what counting fuel adds to a call. Two engines that differ in nothing else.
//! The product's own calls, which always have fuel, are `calls`'.

use anyhow::{Context, Result, ensure};
use trackside_model::control::CheckContext;
use wasmtime::{
    Config, Engine, Store, StoreLimits, StoreLimitsBuilder,
    component::{Component, Linker, TypedFunc},
};

type Parameters = (u8, u8, u32, u64, u64, u64, &'static [u8]);

const FUEL: u64 = 1_000_000_000;
const TICKS: u64 = 1_000;
const MEMORY_BYTES: usize = 64 << 20;

/// One instance on an engine of its own, under an epoch deadline, a limiter, and fuel if it is wanted.
pub(crate) struct Bare {
    store: Store<StoreLimits>,
    check: TypedFunc<Parameters, (bool,)>,
    with_fuel: bool,
}

impl Bare {
    /// Compiles and instantiates a control handler that imports nothing of the host's.
    ///
    /// # Errors
    /// If it cannot be compiled, or has no packed check.
    pub(crate) fn new(component: &[u8], with_fuel: bool) -> Result<Self> {
        let mut config = Config::new();
        // As the product's engines are set, fuel apart.
        config.epoch_interruption(true).concurrency_support(false).consume_fuel(with_fuel);
        let engine = Engine::new(&config)?;
        let component = Component::from_binary(&engine, component)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).build();
        let mut store = Store::new(&engine, limits);
        store.limiter(|limits| limits);
        let mut bare = {
            arm(&mut store, with_fuel)?;
            let instance = linker.instantiate(&mut store, &component)?;
            let interface = instance.get_export_index(&mut store, None, "trackside:packed/control@0.1.0");
            let function = instance.get_export_index(&mut store, interface.as_ref(), "check").context("the handler has no packed check")?;
            let check = instance.get_typed_func(&mut store, function)?;
            Self { store, check, with_fuel }
        };
        arm(&mut bare.store, with_fuel)?;
        Ok(bare)
    }

    /// Asks it about an event that it proceeds with.
    ///
    /// # Errors
    /// If it traps, or does not proceed.
    pub(crate) fn check(&mut self, packed: &'static [u8], context: &CheckContext) -> Result<()> {
        arm(&mut self.store, self.with_fuel)?;
        let CheckContext { point, origin, attempt, now, elapsed_ms, remaining_ms, .. } = context;
        let parameters = (point.ordinal(), origin.ordinal(), *attempt, now.0, *elapsed_ms, *remaining_ms, packed);
        let (answers,) = self.check.call(&mut self.store, parameters)?;
        ensure!(!answers, "the handler proceeds with this event");
        Ok(())
    }
}

fn arm(store: &mut Store<StoreLimits>, with_fuel: bool) -> Result<()> {
    if with_fuel {
        store.set_fuel(FUEL)?;
    }
    store.set_epoch_deadline(TICKS);
    Ok(())
}
