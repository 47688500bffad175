//! Owns asking a plugin what it is, checking the answer, and joining it with the operator's settings, which win.
//! Leaves what the roles do with the result to the engine.

use std::{sync::Arc, time::Instant};

use trackside_model::{
    event::{Filter, Text},
    json::Json,
    plugin::{EffectClass, Grants, Limits, Method, OUTGOING_HTTP, OnFault, Roles},
    ports::{CallReport, HostCalls},
    time::Timestamp,
    trigger::{MOST_EVENTS, MOST_PAUSE_MS, Trigger},
};
use wasmtime::component::InstancePre;

use crate::{
    bindings::{
        exports::trackside::plugin::description::{self, About},
        trackside::plugin::types,
    },
    block_on::block_on,
    call::{self, Terms},
    component::Outline,
    convert,
    engines::Engines,
    error::LoadProblem,
    http::Client,
    instance::{Describing, Live, Role},
    limits::{DESCRIBE_FUEL, DESCRIBE_TIMEOUT_MS},
    secrets::Secrets,
    settings::Settings,
    state::{Cause, Core, State},
};

/// Place in the control chain of a handler that names none.
const DEFAULT_PRIORITY: i32 = 100;

/// The command that starts workflows.
pub(crate) const SUBMIT: &str = "workflow:submit";

/// What a plugin says of itself, checked.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) display_name: String,
    pub(crate) display_version: String,
    pub(crate) summary: String,
    pub(crate) observes: Filter,
    pub(crate) controls: Filter,
    pub(crate) priority: i32,
    pub(crate) critical: bool,
    pub(crate) memoryless: bool,
    pub(crate) methods: Vec<Method>,
    pub(crate) triggers: Vec<Trigger>,
    /// Fuel that saying it took.
    pub(crate) fuel: u64,
}

/// A component linked with the engine that serves it.
pub(crate) enum Linked {
    /// One that is called synchronously.
    Blocking(InstancePre<State>),
    /// The asynchronous one.
    Waiting(InstancePre<State>),
}

/// Asks a linked component, once, without grants and under a short deadline.
///
/// # Errors
/// The fault it ended in, or what is wrong with the answer.
pub(crate) fn ask(
    name: &Text,
    linked: Linked,
    engines: Arc<Engines>,
    client: Arc<Client>,
    calls: Arc<dyn HostCalls>,
    limits: &Limits,
    roles: Roles,
) -> Result<Described, LoadProblem> {
    let now = calls.now();
    let core = Core {
        name: Arc::clone(name),
        limits: Limits { fuel: DESCRIBE_FUEL, timeout_ms: DESCRIBE_TIMEOUT_MS, ..limits.clone() },
        grants: Grants::default(),
        values: Settings::default().values(),
        secrets: Secrets::default(),
        client,
        calls,
        engines,
        describing: true,
        reported: Default::default(),
    };
    let role = |pre| Role::<Describing>::new(Arc::new(core), pre, Vec::new()).map_err(|error| LoadProblem::Link(format!("{error:#}")));
    let report = match linked {
        Linked::Blocking(pre) => call_describe(&role(pre)?, now),
        Linked::Waiting(pre) => block_on(call_describe_waiting(&role(pre)?, now)),
    };
    let about = report.outcome.map_err(|fault| LoadProblem::Fault { what: "describe", fault })?;
    check(about, roles, report.usage.fuel)
}

fn terms(now: Timestamp) -> Terms {
    Terms { timeout_ms: DESCRIBE_TIMEOUT_MS, now, cause: Cause::None, fuel: DESCRIBE_FUEL }
}

fn call_describe(role: &Role<Describing>, now: Timestamp) -> CallReport<About> {
    let started = Instant::now();
    let _ticking = role.core.engines.ticker.run();
    let Live { mut store, exports } = match role.make(started, DESCRIBE_TIMEOUT_MS) {
        Ok(live) => live,
        Err(fault) => return call::unanswered(started, fault),
    };
    let answer = call::begin(&mut store, started, terms(now)).and_then(|()| exports.0.call(&mut store, ()));
    call::end(&mut store, answer.map(|(about,)| about), started)
}

async fn call_describe_waiting(role: &Role<Describing>, now: Timestamp) -> CallReport<About> {
    let started = Instant::now();
    let _ticking = role.core.engines.ticker.run();
    let Live { mut store, exports } = match role.make_async(started, DESCRIBE_TIMEOUT_MS).await {
        Ok(live) => live,
        Err(fault) => return call::unanswered(started, fault),
    };
    let answer = match call::begin(&mut store, started, terms(now)) {
        Ok(()) => exports.0.call_async(&mut store, ()).await,
        Err(error) => Err(error),
    };
    call::end(&mut store, answer.map(|(about,)| about), started)
}

fn check(about: About, roles: Roles, fuel: u64) -> Result<Described, LoadProblem> {
    let described = Described {
        observes: filter("observes", about.observes)?,
        controls: filter("controls", about.controls)?,
        methods: methods(about.methods, roles)?,
        triggers: triggers(about.triggers)?,
        display_name: about.name,
        display_version: about.version,
        summary: about.summary,
        priority: about.priority.unwrap_or(DEFAULT_PRIORITY),
        critical: about.critical,
        memoryless: about.memoryless,
        fuel,
    };
    Ok(described)
}

/// A filter of the contract; `none` wants every fact.
fn filter(what: &'static str, filter: Option<types::Filter>) -> Result<Filter, LoadProblem> {
    let Some(filter) = filter else { return Ok(Filter::default()) };
    convert::filter(filter).map_err(|error| LoadProblem::Description(format!("filter `{what}`: {error}")))
}

/// Triggers that an instance may name.
const MOST_TRIGGERS: usize = 64;

fn triggers(triggers: Vec<description::Trigger>) -> Result<Vec<Trigger>, LoadProblem> {
    let wrong = |message: String| Err(LoadProblem::Description(message));
    if triggers.len() > MOST_TRIGGERS {
        return wrong(format!("it names {} triggers, {MOST_TRIGGERS} are allowed", triggers.len()));
    }
    let mut checked: Vec<Trigger> = Vec::new();
    for trigger in triggers {
        let method = trigger.method;
        if !is_method_name(&method) {
            return wrong(format!("the trigger of '{method}': a method is of the form namespace/name, with a-z, 0-9, '_', '.' and '-'"));
        }
        if checked.iter().any(|other| *other.method == *method) {
            return wrong(format!("the trigger of '{method}' stands twice: one filter may name many types"));
        }
        if [trigger.debounce_ms, trigger.throttle_ms].into_iter().flatten().any(|pause_ms| pause_ms == 0 || pause_ms > MOST_PAUSE_MS) {
            return wrong(format!("the trigger of '{method}': a pause has 1 to {MOST_PAUSE_MS} milliseconds"));
        }
        let batch_max = trigger.batch_max.unwrap_or(1);
        if batch_max == 0 || batch_max > MOST_EVENTS {
            return wrong(format!("the trigger of '{method}': batch_max is 1 to {MOST_EVENTS}"));
        }
        let filter = convert::filter(trigger.filter)
            .map_err(|error| LoadProblem::Description(format!("the filter of the trigger of '{method}': {error}")))?;
        let (debounce_ms, throttle_ms) = (trigger.debounce_ms, trigger.throttle_ms);
        checked.push(Trigger { filter, method: Text::from(method), debounce_ms, throttle_ms, batch_max });
    }
    Ok(checked)
}

/// Those of a plugin's triggers that it may have: of its own methods, and of others' if it may submit workflows.
pub(crate) fn may_trigger(described: &Described, grants: &Grants) -> (Vec<Trigger>, Vec<Text>) {
    let may_submit = grants.publish.iter().flatten().any(|pattern| pattern.matches(SUBMIT));
    let is_own = |trigger: &Trigger| described.methods.iter().any(|method| method.name == trigger.method);
    let (granted, others): (Vec<_>, Vec<_>) = described.triggers.iter().cloned().partition(|trigger| may_submit || is_own(trigger));
    (granted, others.into_iter().map(|trigger| trigger.method).collect())
}

fn methods(methods: Vec<description::Method>, roles: Roles) -> Result<Vec<Method>, LoadProblem> {
    let wrong = |message: String| Err(LoadProblem::Description(message));
    match (roles.worker, methods.is_empty()) {
        (true, true) => return wrong("it is a worker, but names no methods".to_owned()),
        (false, false) => return wrong("it names methods, but does not export worker".to_owned()),
        _ => {}
    }
    let mut checked: Vec<Method> = Vec::new();
    for method in methods {
        if !is_method_name(&method.name) {
            return wrong(format!("method '{}' is not of the form namespace/name, with a-z, 0-9, '_', '.' and '-'", method.name));
        }
        if checked.iter().any(|other| *other.name == *method.name) {
            return wrong(format!("method '{}' stands twice", method.name));
        }
        let parameters = schema(&method.name, "parameters", method.parameters)?;
        let returns = schema(&method.name, "returns", method.returns)?;
        checked.push(Method { name: Text::from(method.name), summary: method.summary, parameters, returns });
    }
    Ok(checked)
}

fn is_method_name(name: &str) -> bool {
    let segment = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-'))
    };
    name.len() <= 128 && name.split_once('/').is_some_and(|(namespace, name)| segment(namespace) && segment(name))
}

/// A JSON Schema is an object or a boolean; its meaning is looked at where it is used.
fn schema(method: &str, what: &str, text: Option<String>) -> Result<Option<Json>, LoadProblem> {
    let Some(text) = text else { return Ok(None) };
    let schema = convert::json(&text).map_err(|error| LoadProblem::Description(format!("schema of the {what} of {method}: {error}")))?;
    let first = schema.as_str().as_bytes().first();
    match first {
        Some(b'{' | b't' | b'f') => Ok(Some(schema)),
        _ => Err(LoadProblem::Description(format!("schema of the {what} of {method}: a JSON Schema is an object or a boolean"))),
    }
}

/// What the plugin may touch, by what it both imports and is granted.
pub(crate) fn effect_class(outline: &Outline, grants: &Grants, memoryless: bool) -> EffectClass {
    let uses = |granted: bool, prefix: &str| granted && outline.imports(prefix);
    if uses(!grants.folders.is_empty(), "wasi:filesystem/") || uses(!grants.http.is_empty(), OUTGOING_HTTP) {
        return EffectClass::Effectful;
    }
    let stateful = uses(grants.kv, "trackside:plugin/kv@")
        || uses(grants.publish.is_some() || grants.query.is_some(), "trackside:plugin/events@")
        || uses(grants.schedule, "trackside:plugin/schedule@")
        || uses(grants.clock || grants.timers, "wasi:clocks/")
        || uses(grants.random, "wasi:random/")
        || !memoryless;
    if stateful { EffectClass::Stateful } else { EffectClass::Pure }
}

/// Whether many events may be judged in one call: nothing that a call wants could be told apart by event, and nothing may be left from one
/// event to the next where each call is to meet a fresh instance, or draws from a stream that the call seeds.
pub(crate) fn may_batch(outline: &Outline, roles: Roles, grants: &Grants, fresh: bool) -> bool {
    let wants = ["trackside:plugin/kv@", "trackside:plugin/events@", "trackside:plugin/schedule@"];
    let seeded = !grants.random && outline.imports("wasi:random/");
    roles.control && !fresh && !seeded && !wants.into_iter().any(|interface| outline.imports(interface))
}

/// What a fault does: the operator's word, else by whether the plugin calls itself critical.
pub(crate) fn on_fault(settings: &Settings, described: &Described) -> OnFault {
    settings.on_fault.unwrap_or(if described.critical { OnFault::Fail } else { OnFault::Proceed })
}
