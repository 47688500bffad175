//! Owns a surface to measure with: the bare calls of one instance under every limit, without the guard around them.
//! Leaves guarded calls, which are what the host makes, to [`Guest`](trackside_model::ports::Guest).

use std::{sync::Arc, time::Instant};

use trackside_model::{
    control::{CheckContext, Signal},
    ports::{Fault, Subject},
    time::Timestamp,
};
use wasmtime::{
    Engine, Store,
    component::{Component, InstancePre, Linker, TypedFunc},
};

use crate::{
    bindings::exports::trackside::{packed, plugin},
    call::{self, Terms},
    convert::{self, RecordTexts},
    directory::{self, PluginFile},
    engines,
    error::{LoadError, LoadProblem},
    fault,
    instance::{ControlExports, Live, Role, RoleExports, arm},
    limits::DESCRIBE_TIMEOUT_MS,
    load::{PluginHost, at_component},
    state::{Cause, State},
};

/// A component with one function that does nothing, to compare with.
const NOTHING: &[u8] = include_bytes!("nothing.wasm");

/// A control handler's instances, one for each shape of the call. Fuel and deadline are set before each call, as in a guarded one.
pub struct RawControl {
    packed: Option<RawInstance>,
    record: Live<RecordOnly>,
}

/// One warm instance of a control handler of the packed shape.
pub struct RawInstance(Live<PackedOnly>);

struct PackedOnly(packed::control::Guest);
struct RecordOnly(plugin::control::Guest);

impl RoleExports for PackedOnly {
    type Indices = packed::control::GuestIndices;
    fn find(pre: &InstancePre<State>) -> wasmtime::Result<Self::Indices> {
        packed::control::GuestIndices::new(pre)
    }
    fn load(indices: &Self::Indices, store: &mut Store<State>, instance: &wasmtime::component::Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance).map(Self)
    }
}

impl RoleExports for RecordOnly {
    type Indices = plugin::control::GuestIndices;
    fn find(pre: &InstancePre<State>) -> wasmtime::Result<Self::Indices> {
        plugin::control::GuestIndices::new(pre)
    }
    fn load(indices: &Self::Indices, store: &mut Store<State>, instance: &wasmtime::component::Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance).map(Self)
    }
}

/// Milliseconds that a bare call has.
const TIMEOUT_MS: u64 = 1_000;

fn prepare<R>(live: &mut Live<R>) -> Result<(), Fault> {
    // The deadline is as far as at the first call: no clock is read here, which is what tells this from a guarded call.
    let started = live.store.data().call.started;
    arm(&mut live.store, started).map_err(|error| fault::of_error(&error, live.store.data()))
}

fn open<R>(live: &mut Live<R>) -> Result<(), Fault> {
    let terms = Terms { timeout_ms: TIMEOUT_MS, now: Timestamp::default(), cause: Cause::None, fuel: live.store.data().core.limits.fuel };
    call::begin(&mut live.store, Instant::now(), terms).map_err(|error| fault::of_error(&error, live.store.data()))
}

impl PluginHost {
    /// A control handler in both shapes, an instance each, to measure with.
    ///
    /// # Errors
    /// [`LoadError`], as loading it would; [`LoadProblem::NoRole`] if it is no control handler.
    pub fn raw_control(&self, name: &str) -> Result<RawControl, LoadError> {
        let (files, role) = self.control_role(name)?;
        let at = |problem| at_component(&files, problem);
        let instance = |fault| at(LoadProblem::Fault { what: "making its first instance", fault });
        let record = Role::<RecordOnly>::new(Arc::clone(&role.core), role.pre.clone(), Vec::new());
        let record = record.map_err(|error| at(LoadProblem::Link(format!("{error:#}"))))?;
        let record = opened(&record).map_err(instance)?;
        let packed = Role::<PackedOnly>::new(Arc::clone(&role.core), role.pre.clone(), Vec::new()).ok();
        let packed = packed.map(|packed| opened(&packed).map(RawInstance)).transpose().map_err(instance)?;
        Ok(RawControl { packed, record })
    }

    /// So many instances of a plugin's control handler, which must have the packed shape.
    ///
    /// # Errors
    /// [`LoadError`], as loading it would; [`LoadProblem::Link`] if it does not have that shape.
    pub fn raw_instances(&self, name: &str, count: usize) -> Result<Vec<RawInstance>, LoadError> {
        let (files, role) = self.control_role(name)?;
        let at = |problem| at_component(&files, problem);
        let packed = Role::<PackedOnly>::new(Arc::clone(&role.core), role.pre.clone(), Vec::new());
        let packed = packed.map_err(|error| at(LoadProblem::Link(format!("{error:#}"))))?;
        let made: Result<Vec<RawInstance>, Fault> = (0..count).map(|_| opened(&packed).map(RawInstance)).collect();
        made.map_err(|fault| at(LoadProblem::Fault { what: "making its first instance", fault }))
    }

    fn control_role(&self, name: &str) -> Result<(PluginFile, Role<ControlExports>), LoadError> {
        let files = directory::files_of(&self.options.plugin_dir, name);
        let source = self.read(&files)?;
        let prepared = self.prepare(&files, &source)?;
        let plugin = self.instantiate(&source, prepared).map_err(|problem| at_component(&files, problem))?;
        match plugin.control {
            Some(pool) => Ok((files, pool.role)),
            None => Err(at_component(&files, LoadProblem::NoRole(Vec::new()))),
        }
    }
}

/// An instance with a call begun, whose limits are what each raw call starts from.
fn opened<R: RoleExports>(role: &Role<R>) -> Result<Live<R>, Fault> {
    let mut live = role.make(Instant::now(), DESCRIBE_TIMEOUT_MS)?;
    open(&mut live).map(|()| live)
}

impl RawInstance {
    /// The packed call.
    ///
    /// # Errors
    /// The fault; the instance is of no use then.
    pub fn check(&mut self, subject: &Subject<'_>, context: &CheckContext) -> Result<Signal, Fault> {
        let Self(live) = self;
        prepare(live)?;
        let Live { store, exports } = live;
        let (point, origin) = (context.point.ordinal(), context.origin.ordinal());
        let (attempt, now, elapsed_ms, remaining_ms) = (context.attempt, context.now.0, context.elapsed_ms, context.remaining_ms);
        let packed = subject.packed();
        let signal = match exports.0.call_check(&mut *store, point, origin, attempt, now, elapsed_ms, remaining_ms, packed) {
            Ok(false) => return Ok(Signal::Proceed(None)),
            Ok(true) => exports.0.call_verdict(&mut *store).and_then(convert::packed_signal),
            Err(error) => Err(error),
        };
        signal.map_err(|error| fault::of_error(&error, store.data()))
    }
}

impl RawControl {
    /// Whether the component has the packed shape.
    pub fn has_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// The packed call; the record call if the component has no other.
    ///
    /// # Errors
    /// The fault; the instance is of no use then.
    pub fn check_packed(&mut self, subject: &Subject<'_>, context: &CheckContext) -> Result<Signal, Fault> {
        match &mut self.packed {
            Some(instance) => instance.check(subject, context),
            None => self.check_record(subject, context),
        }
    }

    /// The record call.
    ///
    /// # Errors
    /// The fault; the instance is of no use then.
    pub fn check_record(&mut self, subject: &Subject<'_>, context: &CheckContext) -> Result<Signal, Fault> {
        prepare(&mut self.record)?;
        let Live { store, exports } = &mut self.record;
        let texts = RecordTexts::new(&subject.event);
        let record_context = convert::context(context, subject.principal.as_deref(), context.remaining_ms);
        let signal = exports.0.call_check(&mut *store, texts.record(), record_context).and_then(convert::signal);
        signal.map_err(|error| fault::of_error(&error, store.data()))
    }
}

/// A call of nothing: what the component model itself costs, on the engine and under the limits of control handlers.
pub struct RawNothing {
    store: Store<()>,
    function: TypedFunc<(), ()>,
}

impl RawNothing {
    /// Makes the instance.
    ///
    /// # Errors
    /// If the engine cannot be made.
    pub fn new() -> Result<Self, engines::EngineError> {
        Self::make().map_err(engines::EngineError::Engine)
    }

    fn make() -> wasmtime::Result<Self> {
        let engine = Engine::new(&engines::config())?;
        let component = Component::from_binary(&engine, NOTHING)?;
        let mut store = Store::new(&engine, ());
        store.set_fuel(u64::MAX)?;
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = Linker::new(&engine).instantiate(&mut store, &component)?;
        let function = instance.get_typed_func(&mut store, "nothing")?;
        Ok(Self { store, function })
    }

    /// Calls it.
    ///
    /// # Errors
    /// None that is known: the function is empty.
    pub fn call(&mut self) -> wasmtime::Result<()> {
        self.store.set_fuel(1_000_000)?;
        self.store.set_epoch_deadline(1_000);
        self.function.call(&mut self.store, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_what_its_text_says() {
        let text = r#"(component
            (core module (func (export "nothing")))
            (core instance (instantiate 0))
            (func (export "nothing") (canon lift (core func 0 "nothing"))))"#;
        assert_eq!(wat::parse_str(text).unwrap(), NOTHING, "write the bytes of the text to nothing.wasm");
        RawNothing::new().unwrap().call().unwrap();
    }
}
