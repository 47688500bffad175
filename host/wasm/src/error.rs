//! Owns the errors of loading a plugin: what is wrong, where, and what to do.
//! Leaves errors of calls, which are faults, to `fault`.

use std::{io, path::PathBuf};

use trackside_model::ports::Fault;

use crate::{
    cache::CacheError,
    compile::CompileError,
    directory::{NameError, ScanError},
    engines::EngineError,
    http::OutgoingError,
    secrets::SecretError,
    settings::SettingsError,
};

/// Why the plugin host cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engines.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The compile cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The plugin directory.
    #[error(transparent)]
    Directory(#[from] ScanError),
    /// What plugins send.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
}

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", self.path.display())]
pub struct LoadError {
    /// The plugin.
    pub plugin: String,
    /// The file that is at fault: the component, or its settings.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub problem: LoadProblem,
}

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblem {
    /// The name cannot be a plugin's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The operator has turned it off.
    #[error("is turned off; remove `enabled = false` to load it")]
    Disabled,
    /// Larger than components may be.
    #[error("is larger than the {limit} bytes allowed for a component")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Something else altogether.
    #[error("is not a WebAssembly component: {0}")]
    NotWebAssembly(String),
    /// A core module.
    #[error("is a core module, not a component; build it for wasm32-wasip2, or wrap it with: wasm-tools component new FILE -o FILE")]
    CoreModule,
    /// Looks like a component, but is none.
    #[error("is not a valid component: {0}")]
    Malformed(String),
    /// It needs what this host does not have.
    #[error(
        "imports {}, which this host does not offer; it offers what the worlds observer-plugin, control-plugin and worker-plugin of \
         trackside:plugin@0.1.0 import, and wasi:cli, clocks, filesystem, http, io, random and sockets 0.2", quoted(.0)
    )]
    UnknownImports(Vec<String>),
    /// An interface has another shape than this host's.
    #[error("does not fit this host's interfaces: {0}")]
    Link(String),
    /// It does nothing that this host would call.
    #[error("exports neither observer nor control nor worker of trackside:plugin@0.1{}; build it against one of the worlds in wit/", foreign(.0))]
    NoRole(Vec<String>),
    /// It does not say what it is.
    #[error("does not export trackside:plugin/description@0.1.0, which every world of trackside:plugin has")]
    NoDescription,
    /// It could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its machine code could not be taken.
    #[error("cannot be taken into the engine: {0}")]
    Engine(String),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The settings file.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Describing itself, or its first instance, ended in a fault.
    #[error("{what} ended in a fault: {fault}")]
    Fault {
        /// What was tried.
        what: &'static str,
        /// How it ended.
        fault: Fault,
    },
    /// What it says of itself cannot be.
    #[error("describes itself wrongly: {0}")]
    Description(String),
    /// The settings grant folders to roles that cannot use them.
    #[error("is granted folders, which only workers can read; remove the [[grants.folders]] from its settings file")]
    FoldersWithoutWorker,
    /// The settings grant HTTP to a control handler.
    #[error(
        "is granted HTTP, and is a control handler alone: those decide by what they have, and do not call out; remove the [[grants.http]] \
         from its settings file, or let an observer or a worker of the same component call out and leave in kv what the handler needs"
    )]
    HttpForControl,
    /// A secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl LoadError {
    /// Whether the operator wanted it so.
    pub fn is_disabled(&self) -> bool {
        matches!(self.problem, LoadProblem::Disabled)
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn foreign(exports: &[String]) -> String {
    if exports.is_empty() { String::new() } else { format!(" (but {}, of another version)", quoted(exports)) }
}
