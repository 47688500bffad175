//! A host in this process: the log in a folder of its own, guests from a plugin directory, and for some parts the engine over both.
//! What is asked of it is the parts' own.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use tempfile::TempDir;
use trackside_engine::HostSide;
use trackside_store::{Store, StoreOptions};
use trackside_wasm::{CompileLimits, CompilerCommand, PluginHost, PoolSizes, WasmOptions};

use crate::{COMPILE, disk};

/// Log, plugins and cache. The log and the plugins go when this is dropped; the cache of compiled components stays for the next run.
pub(crate) struct Host {
    pub(crate) store: Store,
    pub(crate) side: Arc<HostSide>,
    pub(crate) plugins: PluginHost,
    plugin_dir: PathBuf,
    pub(crate) folder: TempDir,
}

impl Host {
    /// A host without plugins and with an empty log.
    ///
    /// # Errors
    /// If one of its parts does not start.
    pub(crate) fn new() -> Result<Self> {
        let folder = disk::scratch()?;
        let plugin_dir = folder.path().join("plugins");
        fs::create_dir(&plugin_dir)?;
        let store = Store::open(StoreOptions::new(folder.path().join("data")), trackside_engine::now)?;
        let side = HostSide::new(store.clone());
        let options = WasmOptions {
            plugin_dir: plugin_dir.clone(),
            cache_dir: disk::folder()?.join("compiled"),
            compiler: CompilerCommand { program: std::env::current_exe()?, args: vec![COMPILE.into()] },
            compile: CompileLimits::default(),
            pools: PoolSizes::default(),
        };
        let plugins = PluginHost::new(options, side.clone())?;
        Ok(Self { store, side, plugins, plugin_dir, folder })
    }

    /// Puts a component into the plugin directory, under this name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn add(&self, name: &str, component: &[u8]) -> Result<()> {
        let path = self.plugin_dir.join(format!("{name}.wasm"));
        fs::write(&path, component).with_context(|| format!("failed to write {}", path.display()))
    }
}
