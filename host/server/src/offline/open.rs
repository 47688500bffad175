//! The way from a file to a plugin that can be called without a host: its settings beside it or given, read once, and loaded as a host
//! would. What is compiled is kept for the next time where the system keeps what may be lost.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};
use trackside_model::ports::{Guest, HostCalls};
use trackside_wasm::{LoadError, OutgoingOptions, PluginBytes, PluginHost, WasmOptions, check_name};

use super::{MemoryHost, OfflineError};
use crate::{boot::HostOptions, config::Config};

/// Compiled components that are kept.
const KEPT_COMPILED: usize = 64;

/// The bytes of a plugin, and a plugin host to load them.
pub(crate) struct Offline {
    host: PluginHost,
    calls: Arc<MemoryHost>,
    name: String,
    bytes: PluginBytes,
    /// Where the settings came from, if it was not beside the component.
    settings_path: Option<PathBuf>,
}

/// A plugin host over the folder of a component, with nothing behind its plugins' calls but `calls`.
///
/// # Errors
/// [`OfflineError`], by what stands against it.
pub(crate) fn plugin_host(component: &Path, calls: Arc<dyn HostCalls>) -> Result<PluginHost, OfflineError> {
    let options = HostOptions::new(Config::default()).map_err(OfflineError::of)?;
    let cache_dir = env::temp_dir().join(format!("trackside-compiled-{}", users_own()));
    forget_old(&cache_dir);
    let folder = component.parent().filter(|parent| !parent.as_os_str().is_empty());
    let wasm_options = WasmOptions {
        plugin_dir: folder.map_or_else(|| PathBuf::from("."), PathBuf::from),
        cache_dir,
        compiler: options.compiler,
        compile: options.config.compile_limits(),
        pools: options.config.pool_sizes(),
        outgoing: OutgoingOptions::default(),
    };
    PluginHost::new(wasm_options, calls).map_err(OfflineError::of)
}

/// Removes what was compiled longest ago: each version of a component that is being written leaves one behind, and none is ever asked for again.
fn forget_old(cache_dir: &Path) {
    // What cannot be seen or removed is in nobody's way yet.
    let entries = fs::read_dir(cache_dir).into_iter().flatten().flatten();
    let compiled = entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "cwasm"));
    let mut aged: Vec<_> = compiled.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    aged.sort_unstable();
    for (_, path) in aged.iter().rev().skip(KEPT_COMPILED) {
        let _ = fs::remove_file(path);
    }
}

/// Different users do not share what they have compiled.
fn users_own() -> String {
    env::var("USER").ok().filter(|user| check_name(user).is_ok()).unwrap_or_else(|| "user".to_owned())
}

impl Offline {
    /// Reads a component, and its settings: those that are given, else those beside it.
    ///
    /// # Errors
    /// [`OfflineError`], in a host's words where a host would refuse them too.
    pub(crate) fn open(component: &Path, settings: Option<&Path>) -> Result<Self, OfflineError> {
        let name = component.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let calls = Arc::new(MemoryHost::default());
        let host = plugin_host(component, calls.clone())?;
        let mut bytes = host.read_bytes(&name).map_err(OfflineError::of)?;
        if let Some(path) = settings {
            bytes.settings = fs::read(path).map_err(|error| OfflineError::at(path.display(), error))?;
        }
        Ok(Self { host, calls, name, bytes, settings_path: settings.map(Path::to_owned) })
    }

    /// What stands behind its calls.
    pub(crate) fn calls(&self) -> Arc<MemoryHost> {
        self.calls.clone()
    }

    /// Loads it. `values` are laid over what stands under `[settings]`; `null` takes one away.
    ///
    /// # Errors
    /// [`OfflineError`], in a host's words.
    pub(crate) fn load(&self, values: Option<&Map<String, Value>>) -> Result<Arc<dyn Guest>, OfflineError> {
        let mut bytes = self.bytes.clone();
        if let Some(values) = values {
            // What is not well formed is for the plugin host to say, with its line.
            if let Some(text) = std::str::from_utf8(&bytes.settings).ok().and_then(|text| text.parse::<toml::Table>().ok()) {
                bytes.settings = with_values(text, values)?.into_bytes();
            }
        }
        self.host.load_bytes(&self.name, bytes).map_err(|error| OfflineError::of(self.placed(error)))
    }

    /// The error, at the settings file that was read.
    fn placed(&self, mut error: LoadError) -> LoadError {
        let is_settings = error.path.extension().is_some_and(|extension| extension == "toml");
        if let Some(path) = self.settings_path.as_ref().filter(|_| is_settings) {
            error.path.clone_from(path);
        }
        error
    }
}

/// A settings file with other values under `[settings]`.
fn with_values(mut table: toml::Table, values: &Map<String, Value>) -> Result<String, OfflineError> {
    let section = table.entry("settings").or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let Some(section) = section.as_table_mut() {
        for (name, value) in values {
            if value.is_null() {
                section.remove(name);
                continue;
            }
            let value = toml::Value::try_from(value)
                .map_err(|error| OfflineError::at(format!("settings.{name}"), format!("cannot stand in a settings file: {error}")))?;
            section.insert(name.clone(), value);
        }
    }
    toml::to_string(&table).map_err(OfflineError::of)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn laid(text: &str, values: &Value) -> Result<String, String> {
        with_values(text.parse().unwrap(), values.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_laid_over_and_null_takes_away() {
        let text = "priority = 5\n[settings]\nkept = 1\ngone = 2\nother = 3\n";
        let laid_over = laid(text, &json!({"gone": null, "other": [1, {"x": "y"}], "new": 1.5})).unwrap();
        let table: toml::Table = laid_over.parse().unwrap();
        assert_eq!(table["priority"].as_integer(), Some(5));
        assert_eq!(table["settings"], "kept = 1\nnew = 1.5\nother = [1, {x = 'y'}]".parse::<toml::Table>().unwrap().into());
        assert_eq!(laid("", &json!({"a": 1})).unwrap().trim(), "[settings]\na = 1");
    }

    #[test]
    fn what_was_compiled_longest_ago_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = |number: u64| folder.path().join(format!("{number:03}.cwasm"));
        for number in 0..KEPT_COMPILED as u64 + 3 {
            let file = fs::File::create(path(number)).unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000 - number)).unwrap();
        }
        fs::write(folder.path().join("key"), "").unwrap();
        forget_old(folder.path());
        assert!(path(0).exists() && path(KEPT_COMPILED as u64 - 1).exists() && folder.path().join("key").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), KEPT_COMPILED + 1);
        forget_old(&folder.path().join("nowhere"));
    }

    #[test]
    fn what_no_settings_file_can_hold_is_named() {
        let error = laid("", &json!({"list": [1, null]})).unwrap_err();
        assert!(error.starts_with("settings.list: cannot stand in a settings file"), "{error}");
    }
}
