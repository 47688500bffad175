//! A host in this process: the log in a folder of its own, guests from a plugin directory, and for some parts the engine over both.
//! What is asked of it is the parts' own.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;
use trackside_engine::HostSide;
use trackside_store::{Batch, Flush, Store, StoreOptions};
use trackside_wasm::{CompileLimits, CompilerCommand, OutgoingOptions, PluginHost, PoolSizes, WasmOptions};

use crate::{COMPILE, disk, events};

/// Size of a write-ahead file that grows no more: past the 16 MiB at which the store begins to carry it into the log.
pub(crate) const GROWN_BYTES: u64 = 20 << 20;
/// By then it has been carried to the last page: only then it is written over.
pub(crate) const CARRIED: Duration = Duration::from_millis(500);

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
            outgoing: OutgoingOptions::default(),
        };
        let plugins = PluginHost::new(options, side.clone())?;
        Ok(Self { store, side, plugins, plugin_dir, folder })
    }

    /// Appends until the log's write-ahead file has its size and is written over from its start. While it grows, each commit also waits
    /// for the journal of the file system: true of the first few hundred commits after a start, and of no other.
    ///
    /// # Errors
    /// If the log takes nothing.
    pub(crate) fn settle(&self) -> Result<()> {
        const EVENTS_A_COMMIT: usize = 512;
        let write_ahead = self.folder.path().join("data/log.db-wal");
        for first in (0..).step_by(EVENTS_A_COMMIT) {
            let entries = (first..first + EVENTS_A_COMMIT).map(|event| events::entry(events::incoming("bench:settled", event)));
            self.store.append(Batch::of(entries.collect::<Result<Vec<_>>>()?), Flush::Now)?.ticket.wait()?;
            if fs::metadata(&write_ahead)?.len() >= GROWN_BYTES {
                break;
            }
        }
        std::thread::sleep(CARRIED);
        Ok(())
    }

    /// Puts a component into the plugin directory, under this name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn add(&self, name: &str, component: &[u8]) -> Result<()> {
        self.write(&format!("{name}.wasm"), component)
    }

    /// Puts a settings file beside it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn settings(&self, name: &str, settings: &str) -> Result<()> {
        self.write(&format!("{name}.toml"), settings.as_bytes())
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let path = self.plugin_dir.join(file);
        fs::write(&path, bytes).with_context(|| format!("failed to write {}", path.display()))
    }
}
