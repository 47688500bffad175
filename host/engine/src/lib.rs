//! The engine: the one door, the control chain's driver, the observers, the workflow loop, the workers' calls, and the registry of
//! every task and thread in the host.
//!
//! Knows no SQL, no wasmtime types, no HTTP types and no configuration text.

mod answer;
mod atomic;
mod bypass;
mod calls;
mod chain;
mod clock;
mod commands;
mod conditions;
mod dead_letters;
mod definitions;
mod dispatch;
mod engine;
mod fold;
mod forget;
mod guest_threads;
mod host_side;
mod identity;
mod inbox;
mod latency;
mod library;
mod native;
mod observers;
mod options;
mod outbox;
mod publish;
mod raw;
mod readers;
mod replay;
mod retention;
mod roster;
mod runs;
mod schemas;
mod service;
mod sightings;
mod slot;
mod stretch;
mod subscription;
mod tasks;
mod triggers;
mod workflows;

pub use self::{
    answer::{Answer, Caller, Outcome},
    atomic::Together,
    bypass::{Bypass, BypassError, MOST_BYPASS_MS},
    clock::now,
    commands::{SubmitError, SubmitRequest},
    dead_letters::{RedriveError, redrives},
    dispatch::Frame,
    engine::{Engine, StartError, Stats},
    fold::workflow as fold_workflow,
    forget::ForgetError,
    host_side::HostSide,
    inbox::InboxOptions,
    latency::Latencies,
    library::{Emitter, Listening, RegisterError},
    native::{Effects, Native},
    options::EngineOptions,
    readers::{Delivery, DurableReader, ReaderStatus, ReadersError},
    replay::{MOST_REPLAYS, ReplayError, ReplayRequest, ReplayStatus},
    retention::retention_of,
    sightings::{Answered, Call, MOST_SIGHTINGS, Onlooker, Sighting},
    slot::{LastFault, PluginStatus},
    subscription::{Reading, Subscription, Told},
    tasks::{OnStop, Stopping, Tasks},
};
