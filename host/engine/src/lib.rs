//! The engine: the one door, the control chain's driver, the observers, the workflow loop, the workers' calls, and the registry of
//! every task and thread in the host.
//!
//! Knows no SQL, no wasmtime types, no HTTP types and no configuration text.

mod answer;
mod bypass;
mod calls;
mod chain;
mod clock;
mod commands;
mod dead_letters;
mod definitions;
mod engine;
mod fold;
mod guest_threads;
mod host_side;
mod identity;
mod inbox;
mod latency;
mod observers;
mod options;
mod outbox;
mod publish;
mod raw;
mod retention;
mod roster;
mod runs;
mod sightings;
mod slot;
mod stretch;
mod subscription;
mod tasks;
mod triggers;
mod workflows;

pub use self::{
    answer::{Answer, Caller, Outcome},
    bypass::{Bypass, BypassError, MOST_BYPASS_MS},
    clock::now,
    commands::{SubmitError, SubmitRequest},
    dead_letters::{RedriveError, redrives},
    engine::{Engine, StartError, Stats},
    fold::workflow as fold_workflow,
    host_side::HostSide,
    inbox::InboxOptions,
    latency::Latencies,
    options::EngineOptions,
    retention::retention_of,
    sightings::{Answered, Call, MOST_SIGHTINGS, Onlooker, Sighting},
    slot::{LastFault, PluginStatus},
    subscription::Subscription,
    tasks::{OnStop, Stopping, Tasks},
};
