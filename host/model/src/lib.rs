//! The model: what an event, a filter, a signal and a workflow are, and the rules by which state follows from events.
//!
//! Pure: time and randomness are arguments. Nothing here knows a runtime, a clock, a file, SQL, wasmtime or HTTP.

pub mod breaker;
pub mod capability;
pub mod catalogue;
pub mod control;
pub mod emit;
pub mod event;
pub mod json;
pub mod keeping;
pub mod narration;
pub mod outside;
pub mod packed;
pub mod plugin;
pub mod ports;
pub mod rate;
pub mod reader;
pub mod replay;
pub mod retry;
pub mod schema;
pub mod text;
pub mod time;
pub mod trigger;
pub mod workflow;
