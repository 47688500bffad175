//! The plugin host: from a component's file to calls under limits.
//!
//! It implements the port [`Guest`](trackside_model::ports::Guest) over wasmtime, and calls the host through
//! [`HostCalls`](trackside_model::ports::HostCalls). It does not know the log, routing, retries or breakers.

mod bindings;
mod block_on;
mod cache;
mod call;
mod compile;
mod component;
mod convert;
mod describe;
mod directory;
mod engines;
mod error;
mod fault;
mod http;
mod instance;
pub mod limits;
mod linker;
mod load;
mod options;
mod plugin;
mod pool;
pub mod raw;
mod report;
mod secrets;
mod settings;
mod spot_check;
mod state;
mod ticker;
mod wasi;

pub use self::{
    cache::CacheError,
    compile::{CompileError, compile_child_main},
    directory::{Junk, NameError, PluginFile, Scan, ScanError, check_name},
    engines::{EngineError, EngineKind},
    error::{HostError, LoadError, LoadProblem},
    http::OutgoingError,
    load::{PluginBytes, PluginHost},
    options::{CompileLimits, CompilerCommand, OutgoingOptions, PoolSizes, WasmOptions},
    report::{CheckReport, GrantUse},
    secrets::SecretError,
    settings::{MAX_TIMEOUT_MS, MAX_WORKERS, SettingsError},
};
