//! Owns making instances: a store with its limits, the component in it, and handles to what a role exports.
//! Leaves when they are made and thrown away to `pool`, and calling them to `call`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trackside_model::{
    plugin::FolderGrant,
    ports::{Fault, FaultKind},
    time::Timestamp,
};
use wasmtime::{
    Store, StoreContextMut, UpdateDeadline,
    component::{ComponentExportIndex, Instance, InstancePre, ResourceTable, TypedFunc},
};

use crate::{
    bindings::{
        exports::trackside::{packed, plugin},
        waiting::exports::trackside as waiting,
    },
    fault,
    http::Http,
    limits::{Limiter, RESOURCES},
    linker::stdio::Stdio,
    state::{Call, Cause, Core, State},
    wasi,
};

/// Ticks after which a call that can be suspended lets others go on.
const YIELD_TICKS: u64 = 2;

/// Handles to what a role exports.
pub(crate) trait RoleExports: Sized + Send + 'static {
    /// Where the exports are in the component.
    type Indices: Send + Sync;
    /// Finds them.
    fn find(pre: &InstancePre<State>) -> wasmtime::Result<Self::Indices>;
    /// Takes hold of them in an instance.
    fn load(indices: &Self::Indices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self>;
}

/// A control handler, in the shape that costs less if the component has both.
pub(crate) enum ControlExports {
    Packed(packed::control::Guest),
    Record(plugin::control::Guest),
}

/// See [`ControlExports`].
pub(crate) enum ControlIndices {
    Packed(packed::control::GuestIndices),
    Record(plugin::control::GuestIndices),
}

impl RoleExports for ControlExports {
    type Indices = ControlIndices;

    fn find(pre: &InstancePre<State>) -> wasmtime::Result<ControlIndices> {
        match packed::control::GuestIndices::new(pre) {
            Ok(indices) => Ok(ControlIndices::Packed(indices)),
            Err(_) => plugin::control::GuestIndices::new(pre).map(ControlIndices::Record),
        }
    }

    fn load(indices: &ControlIndices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self> {
        match indices {
            ControlIndices::Packed(indices) => indices.load(store, instance).map(Self::Packed),
            ControlIndices::Record(indices) => indices.load(store, instance).map(Self::Record),
        }
    }
}

impl Role<ControlExports> {
    /// Whether it has the shape that costs less, which is the one that takes many events in a call.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self.indices, ControlIndices::Packed(_))
    }
}

/// An observer, in the shape that costs less if the component has both.
pub(crate) enum ObserverExports {
    Packed(packed::observer::Guest),
    Record(plugin::observer::Guest),
}

/// See [`ObserverExports`].
pub(crate) enum ObserverIndices {
    Packed(packed::observer::GuestIndices),
    Record(plugin::observer::GuestIndices),
}

impl RoleExports for ObserverExports {
    type Indices = ObserverIndices;

    fn find(pre: &InstancePre<State>) -> wasmtime::Result<ObserverIndices> {
        match packed::observer::GuestIndices::new(pre) {
            Ok(indices) => Ok(ObserverIndices::Packed(indices)),
            Err(_) => plugin::observer::GuestIndices::new(pre).map(ObserverIndices::Record),
        }
    }

    fn load(indices: &ObserverIndices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self> {
        match indices {
            ObserverIndices::Packed(indices) => indices.load(store, instance).map(Self::Packed),
            ObserverIndices::Record(indices) => indices.load(store, instance).map(Self::Record),
        }
    }
}

/// An observer that waits for the world outside, in the shape that costs less if the component has both.
pub(crate) enum WaitingObserver {
    Packed(waiting::packed::observer::Guest),
    Record(waiting::plugin::observer::Guest),
}

/// See [`WaitingObserver`].
pub(crate) enum WaitingIndices {
    Packed(waiting::packed::observer::GuestIndices),
    Record(waiting::plugin::observer::GuestIndices),
}

impl RoleExports for WaitingObserver {
    type Indices = WaitingIndices;

    fn find(pre: &InstancePre<State>) -> wasmtime::Result<WaitingIndices> {
        match waiting::packed::observer::GuestIndices::new(pre) {
            Ok(indices) => Ok(WaitingIndices::Packed(indices)),
            Err(_) => waiting::plugin::observer::GuestIndices::new(pre).map(WaitingIndices::Record),
        }
    }

    fn load(indices: &WaitingIndices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self> {
        match indices {
            WaitingIndices::Packed(indices) => indices.load(store, instance).map(Self::Packed),
            WaitingIndices::Record(indices) => indices.load(store, instance).map(Self::Record),
        }
    }
}

impl RoleExports for plugin::worker::Guest {
    type Indices = plugin::worker::GuestIndices;

    fn find(pre: &InstancePre<State>) -> wasmtime::Result<Self::Indices> {
        plugin::worker::GuestIndices::new(pre)
    }

    fn load(indices: &Self::Indices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance)
    }
}

/// What says what a plugin is. Called the one way or the other, by the engine that serves its roles: a component is not mapped twice for it.
pub(crate) struct Describing(pub(crate) TypedFunc<(), (plugin::description::About,)>);

impl RoleExports for Describing {
    type Indices = ComponentExportIndex;

    fn find(pre: &InstancePre<State>) -> wasmtime::Result<Self::Indices> {
        let component = pre.component();
        let interface = component.get_export_index(None, "trackside:plugin/description@0.1.0");
        let function = interface.and_then(|interface| component.get_export_index(Some(&interface), "describe"));
        function.ok_or_else(|| wasmtime::Error::msg("it exports no trackside:plugin/description with a function describe"))
    }

    fn load(indices: &Self::Indices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Self> {
        instance.get_typed_func(store, indices).map(Self)
    }
}

/// One instance, in a store of its own: a trap poisons a store, and with it everything in it.
pub(crate) struct Live<R> {
    pub(crate) store: Store<State>,
    pub(crate) exports: R,
}

/// One role of a plugin version: what its instances are made from.
pub(crate) struct Role<R: RoleExports> {
    pub(crate) core: Arc<Core>,
    pub(crate) pre: InstancePre<State>,
    indices: R::Indices,
    folders: Vec<FolderGrant>,
}

impl<R: RoleExports> Role<R> {
    /// Finds the role's exports in a linked component.
    ///
    /// # Errors
    /// If it does not have them, in the contract's shape.
    pub(crate) fn new(core: Arc<Core>, pre: InstancePre<State>, folders: Vec<FolderGrant>) -> wasmtime::Result<Self> {
        let indices = R::find(&pre)?;
        Ok(Self { core, pre, indices, folders })
    }

    /// Makes an instance that is called synchronously.
    ///
    /// # Errors
    /// The fault of the component's own start, or that there is no room.
    pub(crate) fn make(&self, started: Instant, timeout_ms: u64) -> Result<Live<R>, Fault> {
        let mut store = self.store(started, timeout_ms, false)?;
        let made = self.pre.instantiate(&mut store).and_then(|instance| R::load(&self.indices, &mut store, &instance));
        live(made, store)
    }

    /// Makes an instance that is called asynchronously.
    ///
    /// # Errors
    /// As [`Role::make`].
    pub(crate) async fn make_async(&self, started: Instant, timeout_ms: u64) -> Result<Live<R>, Fault> {
        let mut store = self.store(started, timeout_ms, true)?;
        let made = self.pre.instantiate_async(&mut store).await.and_then(|instance| R::load(&self.indices, &mut store, &instance));
        live(made, store)
    }

    fn store(&self, started: Instant, timeout_ms: u64, suspends: bool) -> Result<Store<State>, Fault> {
        let core = Arc::clone(&self.core);
        let limits = &core.limits;
        let stdio = Stdio::new(limits.log_bytes);
        let wasi = wasi::context(&stdio, &self.folders).map_err(|error| fault::plain(FaultKind::Unavailable, format!("{error:#}")))?;
        let limiter = Limiter::new(limits);
        let result_bytes = usize::try_from(limits.result_bytes).unwrap_or(usize::MAX);
        let call = Call::new(started, timeout_ms, Timestamp::default(), Cause::None, limits.fuel);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES);
        let state = State { limiter, call, stdio, wasi, http: Http::new(), table, core, suspends };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(result_bytes);
        store.set_max_component_handles(RESOURCES);
        store.epoch_deadline_callback(if suspends { on_tick_async } else { on_tick });
        arm(&mut store, started).map_err(|error| fault::of_error(&error, store.data()))?;
        Ok(store)
    }
}

fn live<R>(made: wasmtime::Result<R>, store: Store<State>) -> Result<Live<R>, Fault> {
    match made {
        Ok(exports) => Ok(Live { store, exports }),
        Err(error) => Err(fault::of_error(&error, store.data())),
    }
}

/// Gives the store a call's fuel, and has it look at the clock before the call's time is up. `now` is a recent reading of the clock.
pub(crate) fn arm(store: &mut Store<State>, now: Instant) -> wasmtime::Result<()> {
    let state = store.data();
    let fuel = state.call.fuel;
    let ticks = if state.suspends { YIELD_TICKS } else { ticks_until(state.call.deadline.saturating_duration_since(now)) };
    store.set_fuel(fuel)?;
    store.set_epoch_deadline(ticks);
    Ok(())
}

/// When to look next. The ticker may be late under load but never early by much, so an eighth is left for a second look.
fn ticks_until(left: Duration) -> u64 {
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    (left_ms - left_ms / 8).max(1)
}

fn on_tick(store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let call = &store.data().call;
    let left = call.deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(fault::deadline(call.started, call.timeout_ms).into());
    }
    Ok(UpdateDeadline::Continue(ticks_until(left)))
}

fn on_tick_async(store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let call = &store.data().call;
    if Instant::now() >= call.deadline {
        return Err(fault::deadline(call.started, call.timeout_ms).into());
    }
    Ok(UpdateDeadline::Yield(YIELD_TICKS))
}
