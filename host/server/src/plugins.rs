//! The plugin directory in a running host: every file loaded at the start, one file loaded again when somebody asks, and what was refused.
//! Loading is the plugin host's, the swap the engine's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use trackside_engine::Engine;
use trackside_model::plugin::PluginInfo;
use trackside_wasm::{LoadError, PluginHost, ScanError};

use crate::http::Readiness;

/// The plugin host, and what it has refused.
pub struct Plugins {
    host: PluginHost,
    plugin_dir: PathBuf,
    refused: Mutex<BTreeMap<String, String>>,
}

/// What became of a reload.
#[derive(Debug)]
pub enum Reloaded {
    /// The file's version of this moment is in service.
    Loaded(Box<PluginInfo>),
    /// The file is gone or turned off, and so is the plugin.
    Removed,
    /// It did not load, and what was in service stays.
    Refused(String),
    /// There is neither a file nor a plugin of this name; holds the directory.
    Unknown(PathBuf),
}

impl Plugins {
    /// Nothing loaded yet.
    pub fn new(host: PluginHost, plugin_dir: &Path) -> Self {
        Self { host, plugin_dir: plugin_dir.to_owned(), refused: Mutex::default() }
    }

    /// What did not load, by name, and why.
    pub fn refused(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    /// Loads every file of the directory, as many at a time as there are cores. Blocks. What is refused is an event and a line in the
    /// host's log; the others go on.
    ///
    /// # Errors
    /// [`ScanError`] if the directory cannot be read.
    pub fn load_all(&self, engine: &Engine, readiness: &Readiness) -> Result<(), ScanError> {
        let scan = self.host.scan()?;
        for junk in &scan.junk {
            let name = junk.path.file_name().unwrap_or_default().to_string_lossy();
            self.refuse(engine, &name, &junk.reason);
        }
        for plugin in &scan.plugins {
            readiness.await_for(&plugin.name);
        }
        let names = Mutex::new(scan.plugins.iter().map(|plugin| plugin.name.as_str()));
        let threads = thread::available_parallelism().map_or(1, Into::into).min(scan.plugins.len());
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(name) = next_of(&names) {
                        self.reload(engine, name);
                        readiness.done(name);
                    }
                });
            }
        });
        Ok(())
    }

    /// Takes the file's version of this moment into service, or the plugin out of it if the file is gone. Blocks while it compiles.
    pub fn reload(&self, engine: &Engine, name: &str) -> Reloaded {
        if !self.plugin_dir.join(format!("{name}.wasm")).exists() {
            return self.take_out(engine, name, "its file is gone");
        }
        match self.host.load(name) {
            Ok(guest) => {
                let info = guest.info().clone();
                tracing::info!(plugin = name, version = info.version.short(), "loaded");
                engine.install(guest);
                self.lock().remove(name);
                Reloaded::Loaded(Box::new(info))
            }
            Err(error) if error.is_disabled() => {
                tracing::info!(plugin = name, "is turned off in its settings");
                let _ = self.take_out(engine, name, "turned off in its settings");
                Reloaded::Removed
            }
            Err(error) => self.refuse(engine, name, &without_path(&error)),
        }
    }

    fn take_out(&self, engine: &Engine, name: &str, reason: &str) -> Reloaded {
        self.lock().remove(name);
        if engine.remove(name, reason) {
            tracing::info!(plugin = name, "unloaded: {reason}");
            return Reloaded::Removed;
        }
        Reloaded::Unknown(self.plugin_dir.clone())
    }

    fn refuse(&self, engine: &Engine, name: &str, reason: &str) -> Reloaded {
        tracing::warn!(plugin = name, "refused: {reason}");
        self.lock().insert(name.to_owned(), reason.to_owned());
        engine.refused(name, reason);
        Reloaded::Refused(reason.to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // A map of texts is whole whatever happened to who held it.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn next_of<'a>(names: &Mutex<impl Iterator<Item = &'a str>>) -> Option<&'a str> {
    names.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// The file's name and what is wrong in it: the directory is known, and no client's business.
fn without_path(error: &LoadError) -> String {
    let file = error.path.file_name().unwrap_or_default().to_string_lossy();
    format!("{file}: {}", error.problem)
}
