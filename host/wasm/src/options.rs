//! Owns what the plugin host is started with: its directories, the compiler's command, and the sizes of its pools.
//! Leaves where the values come from (configuration, flags) to the program, and what a single plugin may use to its settings file.

use std::{ffi::OsString, net::IpAddr, path::PathBuf};

/// How to start the process that compiles components: the host's own binary with whatever makes it call
/// [`compile_child_main`](crate::compile_child_main).
#[derive(Clone, Debug)]
pub struct CompilerCommand {
    /// The program.
    pub program: PathBuf,
    /// Arguments before those of a compilation.
    pub args: Vec<OsString>,
}

/// How much one compilation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Address space of the compiling process, in bytes.
    pub memory_bytes: u64,
    /// Wall-clock and processor time of the compiling process, in milliseconds.
    pub timeout_ms: u64,
    /// Size of a component's file, in bytes.
    pub component_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { memory_bytes: 4 << 30, timeout_ms: 120_000, component_bytes: 64 << 20 }
    }
}

/// How many instances there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSizes {
    /// Instances of one control handler: as many checks of it can run at a time.
    pub control: u32,
    /// Instances of one observer.
    pub observer: u32,
    /// Component instances of all control handlers and observers together. Each takes four mappings of the process, of which
    /// Linux allows 65,530 by default.
    pub total: u32,
    /// Linear memory that a slot of the pool has, in bytes: control handlers and observers that may have more are not pooled.
    pub memory_bytes: u64,
}

impl Default for PoolSizes {
    fn default() -> Self {
        Self { control: 4, observer: 1, total: 2_000, memory_bytes: 256 << 20 }
    }
}

/// How requests of plugins to the world outside are connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingOptions {
    /// Certificates in PEM that are trusted besides this machine's own roots.
    pub ca_file: Option<PathBuf>,
    /// Hosts whose addresses are not asked of the system, and their addresses.
    pub resolve: Vec<(String, IpAddr)>,
}

/// Everything that the plugin host is started with.
#[derive(Clone, Debug)]
pub struct WasmOptions {
    /// Where the components and their settings files are.
    pub plugin_dir: PathBuf,
    /// Where compiled components are kept. Made with mode 0700 if it is missing; nobody else may write to it, for what is in it is
    /// run as native code (files are authenticated besides).
    pub cache_dir: PathBuf,
    /// How to start the compiling process.
    pub compiler: CompilerCommand,
    /// How much one compilation may use.
    pub compile: CompileLimits,
    /// How many instances there may be.
    pub pools: PoolSizes,
    /// How requests to the world outside are connected.
    pub outgoing: OutgoingOptions,
}
