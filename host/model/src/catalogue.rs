//! The catalogue: every event type of the host, with its class, its owner and the component that emits it.
//! What the types carry is said by the payload types beside the code that emits them.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use Class::{Fact, Narration, Telemetry};
use Owner::{Command, Engine, Open};

use crate::event::Severity;

/// How an event of a type comes into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Appended: it changes state or is worth a row of its own.
    Fact,
    /// Carried inside the fact it leads to.
    Narration,
    /// Summarised by the host, never on the durable hot path.
    Telemetry,
}

/// Who may publish a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody but the host.
    Engine,
    /// Edges, to ask for something.
    Command,
    /// Anybody.
    Open,
}

/// One line of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `component:action`.
    pub event_type: &'static str,
    /// How it comes into the log.
    pub class: Class,
    /// Who may publish it.
    pub owner: Owner,
    /// The component that emits it; empty where plugins do, under their own names.
    pub source: &'static str,
    /// The severity it has unless its emitter says otherwise.
    pub severity: Severity,
}

impl Entry {
    /// Whether it is carried inside a fact.
    pub fn is_narration(&self) -> bool {
        self.class == Narration
    }
}

const fn entry_of(event_type: &'static str, class: Class, owner: Owner, source: &'static str, severity: Severity) -> Entry {
    Entry { event_type, class, owner, source, severity }
}

/// Every host event, by name.
pub const ENTRIES: &[Entry] = &[
    entry_of("alert:triggered", Fact, Open, "health_monitor", Severity::Warning),
    entry_of("assignment:approved", Narration, Engine, "assignment_coordinator", Severity::Info),
    entry_of("assignment:candidate_found", Narration, Engine, "assignment_coordinator", Severity::Info),
    entry_of("assignment:executed", Narration, Engine, "assignment_coordinator", Severity::Info),
    entry_of("assignment:requested", Narration, Engine, "assignment_coordinator", Severity::Info),
    entry_of("assignment:validated", Narration, Engine, "assignment_coordinator", Severity::Info),
    entry_of("backpressure:critical", Fact, Engine, "backpressure_monitor", Severity::Critical),
    entry_of("backpressure:high", Fact, Engine, "backpressure_monitor", Severity::Warning),
    entry_of("backpressure:normal", Fact, Engine, "backpressure_monitor", Severity::Info),
    entry_of("circuit:closed", Fact, Engine, "circuit_breaker", Severity::Info),
    entry_of("circuit:half_open", Fact, Engine, "circuit_breaker", Severity::Info),
    entry_of("circuit:opened", Fact, Engine, "circuit_breaker", Severity::Warning),
    entry_of("cleanup:completed", Fact, Engine, "event_scheduler", Severity::Info),
    entry_of("cleanup:started", Fact, Engine, "event_scheduler", Severity::Info),
    entry_of("control:error", Fact, Engine, "control_manager", Severity::Error),
    entry_of("control:failed", Fact, Engine, "control_manager", Severity::Warning),
    entry_of("control:fallback", Fact, Engine, "control_manager", Severity::Info),
    entry_of("control:retried", Fact, Engine, "control_manager", Severity::Info),
    entry_of("control:skipped", Fact, Engine, "control_manager", Severity::Info),
    entry_of("daemon:started", Fact, Open, "", Severity::Info),
    entry_of("daemon:status_changed", Fact, Open, "", Severity::Info),
    entry_of("daemon:stopped", Fact, Open, "", Severity::Info),
    entry_of("dependency:invalid", Narration, Engine, "dependency_resolver", Severity::Warning),
    entry_of("dependency:satisfied", Narration, Engine, "dependency_resolver", Severity::Info),
    entry_of("dependent:task:ready", Narration, Engine, "dependency_resolver", Severity::Info),
    entry_of("engine:pause", Fact, Command, "host", Severity::Info),
    entry_of("engine:paused", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("engine:resume", Fact, Command, "host", Severity::Info),
    entry_of("engine:resumed", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("engine:started", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("engine:stopped", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("error:raised", Fact, Engine, "plugin_host", Severity::Error),
    entry_of("event:dead_lettered", Fact, Engine, "event_store", Severity::Error),
    entry_of("event:purged", Fact, Engine, "event_store", Severity::Info),
    entry_of("event:redriven", Fact, Engine, "event_store", Severity::Info),
    entry_of("event:trimmed", Fact, Engine, "event_store", Severity::Info),
    entry_of("health:check", Telemetry, Engine, "event_scheduler", Severity::Debug),
    entry_of("health:check_completed", Telemetry, Engine, "health_monitor", Severity::Debug),
    entry_of("health:check_failed", Fact, Engine, "health_monitor", Severity::Warning),
    entry_of("health:check_started", Telemetry, Engine, "health_monitor", Severity::Debug),
    entry_of("llm:prompt_sent", Fact, Open, "", Severity::Info),
    entry_of("llm:response_received", Fact, Open, "", Severity::Info),
    entry_of("method:available", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("method:unavailable", Fact, Engine, "plugin_host", Severity::Warning),
    entry_of("metrics:collected", Telemetry, Open, "health_monitor", Severity::Debug),
    entry_of("parameters:resolution_failed", Narration, Engine, "parameter_resolver", Severity::Error),
    entry_of("parameters:resolve_requested", Narration, Engine, "parameter_resolver", Severity::Info),
    entry_of("parameters:resolved", Narration, Engine, "parameter_resolver", Severity::Info),
    entry_of("plugin:bypass_ended", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("plugin:bypassed", Fact, Engine, "plugin_host", Severity::Warning),
    entry_of("plugin:fault", Fact, Engine, "plugin_host", Severity::Error),
    entry_of("plugin:forgotten", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("plugin:loaded", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("plugin:missed", Fact, Engine, "plugin_host", Severity::Warning),
    entry_of("plugin:quarantined", Fact, Engine, "plugin_host", Severity::Warning),
    entry_of("plugin:reload_failed", Fact, Engine, "plugin_host", Severity::Error),
    entry_of("plugin:reloaded", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("plugin:restored", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("plugin:unloaded", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("pool:metrics", Telemetry, Engine, "provider_pool", Severity::Debug),
    entry_of("pool:scale_down", Fact, Engine, "provider_pool", Severity::Info),
    entry_of("pool:scale_requested", Fact, Engine, "provider_pool", Severity::Info),
    entry_of("pool:scale_up", Fact, Engine, "provider_pool", Severity::Info),
    entry_of("pool:scaled", Fact, Engine, "provider_pool", Severity::Info),
    entry_of("pool:scaled_down", Fact, Engine, "provider_pool", Severity::Info),
    entry_of("pool:scaled_up", Fact, Engine, "provider_pool", Severity::Info),
    entry_of("provider:available", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("provider:busy", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("provider:error", Fact, Engine, "plugin_host", Severity::Error),
    entry_of("provider:heartbeat", Telemetry, Engine, "plugin_host", Severity::Debug),
    entry_of("provider:registered", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("provider:started", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("provider:stopped", Fact, Engine, "plugin_host", Severity::Info),
    entry_of("queue:empty", Narration, Engine, "queue_manager", Severity::Debug),
    entry_of("queue:full", Fact, Engine, "queue_manager", Severity::Warning),
    entry_of("queue:metrics", Telemetry, Engine, "queue_manager", Severity::Debug),
    entry_of("queue:priority_changed", Narration, Engine, "queue_manager", Severity::Debug),
    entry_of("queue:task_dequeued", Narration, Engine, "queue_manager", Severity::Debug),
    entry_of("queue:task_enqueued", Narration, Engine, "queue_manager", Severity::Debug),
    entry_of("reader:changed", Fact, Engine, "event_store", Severity::Info),
    entry_of("reader:created", Fact, Engine, "event_store", Severity::Info),
    entry_of("reader:removed", Fact, Engine, "event_store", Severity::Info),
    entry_of("replay:ended", Fact, Engine, "event_store", Severity::Info),
    entry_of("replay:started", Fact, Engine, "event_store", Severity::Info),
    entry_of("schedule:due", Fact, Engine, "event_scheduler", Severity::Info),
    entry_of("system:started", Fact, Engine, "host", Severity::Info),
    entry_of("system:stopping", Fact, Engine, "host", Severity::Info),
    entry_of("task:assigned", Narration, Engine, "assignment_coordinator", Severity::Info),
    entry_of("task:available", Narration, Engine, "queue_manager", Severity::Info),
    entry_of("task:cancelled", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("task:claimed", Narration, Engine, "provider_worker", Severity::Info),
    entry_of("task:completed", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("task:created", Narration, Engine, "execution_engine", Severity::Info),
    entry_of("task:duration", Narration, Engine, "execution_engine", Severity::Info),
    entry_of("task:failed", Fact, Engine, "execution_engine", Severity::Warning),
    entry_of("task:progress", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("task:queued", Narration, Engine, "queue_manager", Severity::Info),
    entry_of("task:ready", Narration, Engine, "dependency_resolver", Severity::Info),
    entry_of("task:reprioritise", Fact, Command, "host", Severity::Info),
    entry_of("task:retry", Narration, Engine, "event_scheduler", Severity::Info),
    entry_of("task:retry_executed", Narration, Engine, "retry_manager", Severity::Info),
    entry_of("task:retry_scheduled", Fact, Engine, "retry_manager", Severity::Info),
    entry_of("task:skipped", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("task:started", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("task:submitted", Narration, Engine, "execution_engine", Severity::Info),
    entry_of("task:timeout", Narration, Engine, "execution_engine", Severity::Warning),
    entry_of("tick:periodic", Fact, Engine, "event_scheduler", Severity::Debug),
    entry_of("tool:called", Fact, Open, "", Severity::Info),
    entry_of("tool:completed", Fact, Open, "", Severity::Info),
    entry_of("wave:completed", Narration, Engine, "execution_engine", Severity::Info),
    entry_of("wave:started", Narration, Engine, "execution_engine", Severity::Info),
    entry_of("worker:busy", Narration, Engine, "provider_worker", Severity::Debug),
    entry_of("worker:failed", Fact, Engine, "provider_worker", Severity::Warning),
    entry_of("worker:heartbeat", Telemetry, Engine, "provider_worker", Severity::Debug),
    entry_of("worker:idle", Narration, Engine, "provider_worker", Severity::Debug),
    entry_of("worker:started", Fact, Engine, "provider_worker", Severity::Info),
    entry_of("worker:stopped", Fact, Engine, "provider_worker", Severity::Info),
    entry_of("workflow:approve", Fact, Command, "host", Severity::Info),
    entry_of("workflow:cancel", Fact, Command, "host", Severity::Info),
    entry_of("workflow:cancelled", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("workflow:completed", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("workflow:duration", Narration, Engine, "execution_engine", Severity::Debug),
    entry_of("workflow:failed", Fact, Engine, "execution_engine", Severity::Error),
    entry_of("workflow:pause", Fact, Command, "host", Severity::Info),
    entry_of("workflow:restart", Fact, Command, "host", Severity::Info),
    entry_of("workflow:resume", Fact, Command, "host", Severity::Info),
    entry_of("workflow:retry", Fact, Command, "host", Severity::Info),
    entry_of("workflow:started", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("workflow:state_changed", Narration, Engine, "execution_engine", Severity::Debug),
    entry_of("workflow:step_completed", Narration, Engine, "execution_engine", Severity::Debug),
    entry_of("workflow:submit", Fact, Command, "host", Severity::Info),
    entry_of("workflow:submitted", Fact, Engine, "execution_engine", Severity::Info),
    entry_of("workflow:timeout", Fact, Engine, "event_scheduler", Severity::Error),
];

/// The host's own components: source names that nobody else may use.
pub const HOST_COMPONENTS: [&str; 16] = [
    "assignment_coordinator",
    "backpressure_monitor",
    "circuit_breaker",
    "control_manager",
    "dependency_resolver",
    "event_scheduler",
    "event_store",
    "execution_engine",
    "health_monitor",
    "host",
    "parameter_resolver",
    "plugin_host",
    "provider_pool",
    "provider_worker",
    "queue_manager",
    "retry_manager",
];

/// Names of the reference systems whose split would give another type than the catalogue's.
const PUBLISH_ALIASES: [(&str, &str); 3] =
    [("PeriodicTick", "tick:periodic"), ("cleanup", "cleanup:started"), ("ToolExecuted", "tool:completed")];

/// Foreign names of engine-owned types: known where events are read, refused where they are published.
const FILTER_ALIASES: [(&str, &str); 8] = [
    ("NodeStarted", "task:started"),
    ("NodeCompleted", "task:completed"),
    ("NodeFailed", "task:failed"),
    ("NodeSkipped", "task:skipped"),
    ("PipelineStarted", "workflow:started"),
    ("PipelineCompleted", "workflow:completed"),
    ("WaveStarted", "wave:started"),
    ("WaveCompleted", "wave:completed"),
];

static BY_TYPE: LazyLock<HashMap<&'static str, &'static Entry, RandomState>> =
    LazyLock::new(|| ENTRIES.iter().map(|entry| (entry.event_type, entry)).collect());

/// The catalogue's line for a type; `None` for a type that is an application's own.
pub fn entry(event_type: &str) -> Option<&'static Entry> {
    BY_TYPE.get(event_type).copied()
}

/// The catalogue type that a publisher's foreign name stands for.
pub fn publish_alias(name: &str) -> Option<&'static str> {
    PUBLISH_ALIASES.iter().find(|(foreign, _)| *foreign == name).map(|(_, known)| *known)
}

/// The catalogue type that a foreign name stands for in a filter.
pub fn filter_alias(name: &str) -> Option<&'static str> {
    FILTER_ALIASES.iter().find(|(foreign, _)| *foreign == name).map(|(_, known)| *known).or_else(|| publish_alias(name))
}

/// Whom a source name is reserved for, if it is. Plugins' names are reserved too; the door that knows them asks for those.
pub fn reserved_source(source: &str) -> Option<&'static str> {
    HOST_COMPONENTS.contains(&source).then_some("a host component")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::event::EventType;

    #[test]
    fn every_entry_is_valid_and_named_once() {
        let mut seen = HashSet::new();
        for entry in ENTRIES {
            assert!(EventType::parse(entry.event_type).is_ok(), "{}", entry.event_type);
            assert!(seen.insert(entry.event_type), "{} stands twice", entry.event_type);
            assert!(entry.source.is_empty() || HOST_COMPONENTS.contains(&entry.source), "{}", entry.source);
        }
        assert!(ENTRIES.is_sorted_by_key(|entry| entry.event_type));
    }

    #[test]
    fn aliases_lead_into_the_catalogue() {
        for (_, known) in PUBLISH_ALIASES.iter().chain(&FILTER_ALIASES) {
            assert!(entry(known).is_some(), "{known}");
        }
    }
}
