//! The engine's knobs and limits, each with its name and default.
//! Where they come from (file, environment, flags) is the server's.

use trackside_model::{
    event::{Aliases, DedupWindows, EnvelopeLimits},
    rate::Rate,
};
use trackside_store::RetentionRule;

/// How the engine runs.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Publishes under way at a time; more are answered busy.
    pub publish_slots: usize,
    /// Milliseconds that a publish or a workflow's point waits for its control chain, a free thread included.
    pub chain_budget_ms: u64,
    /// Threads on which control handlers run.
    pub guest_threads: usize,
    /// Events that a control handler is asked about in one call, at most; 1: each alone.
    pub check_batch: usize,
    /// Threads on which observers run: how many observe at a time.
    pub observer_threads: usize,
    /// Threads on which workers compute. Workers that wait hold none.
    pub worker_threads: usize,
    /// Events that an observer is handed at a time, at most.
    pub observer_batch: usize,
    /// Deliveries of one event to an observer before it is a dead letter.
    pub observer_deliveries: u32,
    /// Bounds on what an edge may send.
    pub envelope: EnvelopeLimits,
    /// Types by other names that publishers use for them.
    pub aliases: Aliases,
    /// Milliseconds in which two events of the same content from an edge are one; 0: never.
    pub dedup_window_ms: u64,
    /// The same for some types, where it is another time for them.
    pub dedup_windows: DedupWindows,
    /// Contents remembered for that at most; past it the oldest is forgotten.
    pub dedup_entries: usize,
    /// Publishes by plugins that one event may lead to, one after the other.
    pub most_hops: u32,
    /// Publishes of one plugin: more are dead letters.
    pub plugin_rate: Rate,
    /// Publishes by plugins of one correlation, whoever they are: more are dead letters.
    pub correlation_rate: Rate,
    /// Milliseconds between two heartbeats of the providers; 0: none.
    pub heartbeat_ms: u64,
    /// What is kept of the log; without rules, all of it.
    pub retention: Vec<RetentionRule>,
    /// Milliseconds between two looks at what the rules let go.
    pub retention_interval_ms: u64,
    /// Milliseconds for which the id of a trimmed event is remembered.
    pub id_memory_ms: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            publish_slots: 1_024,
            chain_budget_ms: 1_000,
            guest_threads: 4,
            check_batch: 64,
            observer_threads: 10,
            worker_threads: 2,
            observer_batch: 512,
            observer_deliveries: 5,
            envelope: EnvelopeLimits::default(),
            aliases: Aliases::default(),
            dedup_window_ms: 60_000,
            dedup_windows: DedupWindows::default(),
            dedup_entries: 100_000,
            most_hops: 8,
            plugin_rate: Rate { per_sec: 10_000, burst: 20_000 },
            correlation_rate: Rate { per_sec: 1_000, burst: 10_000 },
            heartbeat_ms: 10_000,
            retention: Vec::new(),
            retention_interval_ms: 60_000,
            id_memory_ms: 7 * 24 * 3_600_000,
        }
    }
}
