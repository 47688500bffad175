//! The plugin directory in a running host: which version of each plugin is in service, how another one takes its place, and what was refused.
//! Loading is the plugin host's, the swap the engine's; seeing that a file has changed is `watch`'s.

mod settle;
pub mod versions;
pub mod watch;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::{Mutex as Turn, MutexGuard as HeldTurn};
use trackside_engine::Engine;
use trackside_model::{
    capability::CapabilityDiff,
    plugin::{Digest, PluginInfo},
    ports::Guest,
};
use trackside_wasm::{LoadError, PluginBytes, PluginHost, ScanError, check_name};

use self::versions::{History, Version, VersionError, Versions};
use crate::{http::Readiness, whole_file};

/// What is written into the log where a settings file lets authority grow.
const BY_SETTINGS: &str = "allow_growth";

/// The plugin host, the versions that are kept, and what was refused.
pub struct Plugins {
    host: PluginHost,
    plugin_dir: PathBuf,
    versions: Versions,
    state: Mutex<State>,
    /// One change at a time: compiling takes a whole core, and two changes of one plugin must not overtake each other.
    turn: Turn<()>,
}

#[derive(Default)]
struct State {
    /// What did not come into service, and why, by name.
    refused: BTreeMap<String, String>,
    /// The digests of the files that were looked at last, by name, whatever came of it.
    looked_at: BTreeMap<String, (Digest, Digest)>,
}

/// Who says that a version may do more than the one in service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Nobody, unless its settings say `allow_growth`.
    Settings,
    /// Whoever asks for the change.
    Asker(String),
}

/// What became of a change.
#[derive(Debug)]
pub enum Changed {
    /// This version is in service.
    Loaded {
        /// What is known of it.
        info: Box<PluginInfo>,
        /// What it changed about the one before it, if there was one.
        changes: Option<CapabilityDiff>,
    },
    /// The file is gone or turned off, and so is the plugin.
    Removed,
    /// It did not come into service, and what was in service stays.
    Refused(Refusal),
    /// There is neither a file nor a plugin of this name; holds the directory.
    Unknown(PathBuf),
}

/// Why a version did not come into service.
#[derive(Clone, Debug, Default)]
pub struct Refusal {
    /// What is wrong, and what to do.
    pub reason: String,
    /// What it would have changed, where that is what stands against it.
    pub changes: CapabilityDiff,
}

/// Why a version was not put back.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// There is no such version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The plugin directory cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A file of the plugin directory cannot be written, or removed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct WriteError {
    /// Which one.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl Plugins {
    /// Nothing loaded yet.
    pub fn new(host: PluginHost, plugin_dir: &Path, versions: Versions) -> Self {
        Self { host, plugin_dir: plugin_dir.to_owned(), versions, state: Mutex::default(), turn: Turn::default() }
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.plugin_dir
    }

    /// What did not come into service, by name, and why.
    pub fn refused(&self) -> BTreeMap<String, String> {
        self.state().refused.clone()
    }

    /// The versions of a plugin that are kept.
    ///
    /// # Errors
    /// [`VersionError`], if they cannot be read.
    pub fn history(&self, name: &str) -> Result<History, VersionError> {
        self.versions.history(name)
    }

    /// Waits until nobody else changes plugins.
    pub async fn turn(&self) -> HeldTurn<'_, ()> {
        self.turn.lock().await
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
            self.refuse(engine, &name, Refusal { reason: junk.reason.clone(), ..Refusal::default() });
        }
        for plugin in &scan.plugins {
            readiness.await_for(&plugin.name);
        }
        // What was taken out while the host was not there is new when it comes back.
        for name in self.versions.plugins().iter().filter(|name| !scan.plugins.iter().any(|plugin| plugin.name == **name)) {
            self.note_out_of_service(name);
        }
        let names = Mutex::new(scan.plugins.iter().map(|plugin| plugin.name.as_str()));
        let threads = thread::available_parallelism().map_or(1, Into::into).min(scan.plugins.len());
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(name) = next_of(&names) {
                        self.start(engine, name);
                        readiness.done(name);
                    }
                });
            }
        });
        Ok(())
    }

    /// A plugin at the host's start. A restart is no consent: a file that was changed meanwhile is judged against the version that was in
    /// service last, and that one goes on if the file does not load or could do more.
    fn start(&self, engine: &Engine, name: &str) {
        let Some((last, last_bytes)) = self.last_in_service(name) else {
            self.reload(engine, name, Consent::Settings);
            return;
        };
        let judged = self.host.read_bytes(name).map_err(|error| Unfit::Refused(of_load(&error))).and_then(|bytes| {
            self.note_looked_at(name, &bytes);
            let judged = self.load_and_judge(name, &bytes, Some(last.info()), Consent::Settings, &reload_remedy(name))?;
            Ok((judged, bytes))
        });
        match judged {
            Ok((judged, bytes)) => drop(self.install(engine, judged, &bytes)),
            Err(Unfit::Disabled) => drop(self.turn_off(engine, name)),
            Err(Unfit::Refused(refusal)) => {
                self.install(engine, Judged { guest: last, changes: None, accepted_by: None }, &last_bytes);
                self.refuse(engine, name, refusal);
            }
        }
    }

    /// The version that was in service last, where the files are others by now.
    fn last_in_service(&self, name: &str) -> Option<(Arc<dyn Guest>, PluginBytes)> {
        let history = self.versions.history(name).map_err(|error| tracing::warn!(plugin = name, "{error}")).ok()?;
        let last = history.current()?;
        if let Ok(bytes) = self.host.read_bytes(name)
            && last.is_of(&Digest::of(&bytes.component), &Digest::of(&bytes.settings))
        {
            return None;
        }
        let bytes = self.versions.bytes(name, last).map_err(|error| tracing::warn!(plugin = name, "{error}")).ok()?;
        let loaded = self.host.load_bytes(name, bytes.clone());
        let unfit =
            |error: LoadError| tracing::warn!(plugin = name, "the version that was in service last does not load: {}", error.problem);
        loaded.map_err(unfit).ok().map(|guest| (guest, bytes))
    }

    /// Takes the file's version of this moment into service, or the plugin out of it if the file is gone. Blocks while it compiles.
    pub fn reload(&self, engine: &Engine, name: &str, consent: Consent) -> Changed {
        if !self.component_path(name).exists() {
            self.state().looked_at.remove(name);
            return self.take_out(engine, name, "its file is gone");
        }
        match self.host.read_bytes(name) {
            Ok(bytes) => self.take_up(engine, name, &bytes, consent),
            Err(error) => self.refuse(engine, name, of_load(&error)),
        }
    }

    /// Compiles what stands there while it has yet to settle.
    fn compile_ahead(&self, name: &str) {
        self.host.compile_ahead(name);
    }

    /// The same, if the files are others than those that were looked at last, and were whole: `still_as_seen` is asked once they are read.
    /// `None`: nothing is to be done, or not yet.
    pub fn reload_if_changed(&self, engine: &Engine, name: &str, still_as_seen: impl FnOnce() -> bool) -> Option<Changed> {
        let read = self.host.read_bytes(name);
        if !still_as_seen() {
            return None;
        }
        let Ok(bytes) = read else { return Some(self.reload(engine, name, Consent::Settings)) };
        let digests = (Digest::of(&bytes.component), Digest::of(&bytes.settings));
        if self.state().looked_at.get(name) == Some(&digests) {
            return None;
        }
        Some(self.take_up(engine, name, &bytes, Consent::Settings))
    }

    fn take_up(&self, engine: &Engine, name: &str, bytes: &PluginBytes, consent: Consent) -> Changed {
        self.note_looked_at(name, bytes);
        match self.load_and_judge(name, bytes, engine.running(name).as_ref(), consent, &reload_remedy(name)) {
            Ok(judged) => self.install(engine, judged, bytes),
            Err(Unfit::Disabled) => self.turn_off(engine, name),
            Err(Unfit::Refused(refusal)) => self.refuse(engine, name, refusal),
        }
    }

    /// Loads, and compares with what runs: growth needs consent.
    fn load_and_judge(
        &self,
        name: &str,
        bytes: &PluginBytes,
        running: Option<&PluginInfo>,
        consent: Consent,
        remedy: &str,
    ) -> Result<Judged, Unfit> {
        let guest = self.host.load_bytes(name, bytes.clone()).map_err(|error| Unfit::of(&error))?;
        let changes = running.map(|running| CapabilityDiff::between(running, guest.info()));
        let accepted_by = match changes.as_ref().filter(|changes| changes.grows()) {
            None => None,
            Some(changes) => Some(accepted_by(guest.info(), changes, consent, remedy).map_err(Unfit::Refused)?),
        };
        Ok(Judged { guest, changes, accepted_by })
    }

    fn install(&self, engine: &Engine, judged: Judged, bytes: &PluginBytes) -> Changed {
        let Judged { guest, changes, accepted_by } = judged;
        let info = guest.info().clone();
        let grows = changes.as_ref().filter(|changes| changes.grows()).map(CapabilityDiff::growth);
        tracing::info!(plugin = &*info.name, version = info.version.short(), grows, accepted_by, "loaded");
        match &accepted_by {
            Some(accepted_by) => engine.install_accepted(guest, accepted_by),
            None => engine.install(guest),
        }
        self.note_in_service(&info, bytes);
        Changed::Loaded { info: Box::new(info), changes }
    }

    fn turn_off(&self, engine: &Engine, name: &str) -> Changed {
        tracing::info!(plugin = name, "is turned off in its settings");
        let _ = self.take_out(engine, name, "turned off in its settings");
        Changed::Removed
    }

    /// Puts an earlier version back: as files of the plugin directory, so that what is there is what runs. Blocks while it loads.
    ///
    /// # Errors
    /// [`RollbackError`]: nothing has changed.
    pub fn rollback(&self, engine: &Engine, name: &str, wanted: Option<&str>, consent: Consent) -> Result<Changed, RollbackError> {
        let history = self.versions.history(name)?;
        let version = history.find(name, wanted)?;
        let bytes = self.versions.bytes(name, version)?;
        let remedy = format!("trackside plugin rollback {name} {} --accept", version.id());
        Ok(self.put(engine, name, &bytes, consent, &remedy)?)
    }

    /// Puts a component into the plugin directory, beside the settings that stand there, and into service. Blocks while it compiles.
    ///
    /// # Errors
    /// [`WriteError`]: nothing has changed.
    pub fn put_component(&self, engine: &Engine, name: &str, component: Vec<u8>, consent: Consent) -> Result<Changed, WriteError> {
        let path = self.settings_path(name);
        let settings = match std::fs::read(&path) {
            Ok(settings) => settings,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(WriteError { path, source }),
        };
        let remedy = format!("send it with ?accept=true, or write allow_growth = true into {name}.toml");
        self.put(engine, name, &PluginBytes { component, settings }, consent, &remedy)
    }

    /// Loads, judges, writes, swaps, in this order: what is refused changes no file.
    fn put(&self, engine: &Engine, name: &str, bytes: &PluginBytes, consent: Consent, remedy: &str) -> Result<Changed, WriteError> {
        match self.load_and_judge(name, bytes, engine.running(name).as_ref(), consent, remedy) {
            Ok(judged) => {
                self.write(name, bytes)?;
                self.note_looked_at(name, bytes);
                Ok(self.install(engine, judged, bytes))
            }
            Err(Unfit::Disabled) => {
                let reason = format!("{name}.toml has enabled = false; remove that line first");
                Ok(self.refuse_sent(engine, name, Refusal { reason, ..Refusal::default() }))
            }
            Err(Unfit::Refused(refusal)) => Ok(self.refuse_sent(engine, name, refusal)),
        }
    }

    /// Settings first: a component never stands beside settings that were not meant for it and grant it more.
    fn write(&self, name: &str, bytes: &PluginBytes) -> Result<(), WriteError> {
        let settings = self.settings_path(name);
        let written =
            if bytes.settings.is_empty() { whole_file::remove(&settings).map(drop) } else { whole_file::write(&settings, &bytes.settings) };
        written.map_err(|source| WriteError { path: settings, source })?;
        let component = self.component_path(name);
        whole_file::write(&component, &bytes.component).map_err(|source| WriteError { path: component, source })
    }

    /// Removes a plugin's files, and takes it out of service.
    ///
    /// # Errors
    /// [`WriteError`], if a file cannot be removed.
    pub fn remove(&self, engine: &Engine, name: &str) -> Result<Changed, WriteError> {
        let mut removed = false;
        for path in [self.component_path(name), self.settings_path(name)] {
            removed |= whole_file::remove(&path).map_err(|source| WriteError { path, source })?;
        }
        self.state().looked_at.remove(name);
        match self.take_out(engine, name, "removed") {
            Changed::Unknown(_) if removed => Ok(Changed::Removed),
            changed => Ok(changed),
        }
    }

    fn take_out(&self, engine: &Engine, name: &str, reason: &str) -> Changed {
        self.forget_refusal(name);
        self.note_out_of_service(name);
        if engine.remove(name, reason) {
            tracing::info!(plugin = name, "unloaded: {reason}");
            return Changed::Removed;
        }
        Changed::Unknown(self.plugin_dir.clone())
    }

    fn refuse(&self, engine: &Engine, name: &str, refusal: Refusal) -> Changed {
        self.state().refused.insert(name.to_owned(), refusal.reason.clone());
        self.refuse_sent(engine, name, refusal)
    }

    /// What is refused and stands in no file is told, and not listed.
    fn refuse_sent(&self, engine: &Engine, name: &str, refusal: Refusal) -> Changed {
        tracing::warn!(plugin = name, "refused: {}", refusal.reason);
        engine.refused(name, &refusal.reason, &refusal.changes);
        Changed::Refused(refusal)
    }

    /// A file that cannot be a plugin's, such as one with a wrong name, has come or gone.
    pub(crate) fn junk(&self, engine: &Engine, name: &str, is_there: bool) {
        let file = format!("{name}.wasm");
        match check_name(name) {
            Err(error) if is_there => drop(self.refuse(engine, &file, Refusal { reason: error.to_string(), ..Refusal::default() })),
            _ => drop(self.state().refused.remove(&file)),
        }
    }

    fn note_looked_at(&self, name: &str, bytes: &PluginBytes) {
        let digests = (Digest::of(&bytes.component), Digest::of(&bytes.settings));
        self.state().looked_at.insert(name.to_owned(), digests);
    }

    fn note_in_service(&self, info: &PluginInfo, bytes: &PluginBytes) {
        self.forget_refusal(&info.name);
        if let Err(error) = self.versions.keep(info, bytes, trackside_engine::now()) {
            tracing::error!(plugin = &*info.name, "is in service, but this version is not kept: {error}");
        }
    }

    fn note_out_of_service(&self, name: &str) {
        if let Err(error) = self.versions.out_of_service(name) {
            tracing::error!(plugin = name, "{error}");
        }
    }

    fn forget_refusal(&self, name: &str) {
        let mut state = self.state();
        state.refused.remove(name);
        // Its settings may have stood there alone before.
        state.refused.remove(&format!("{name}.toml"));
    }

    fn component_path(&self, name: &str) -> PathBuf {
        self.plugin_dir.join(format!("{name}.wasm"))
    }

    fn settings_path(&self, name: &str) -> PathBuf {
        self.plugin_dir.join(format!("{name}.toml"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Maps of texts are whole whatever happened to who held them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A version that may come into service.
struct Judged {
    guest: Arc<dyn Guest>,
    changes: Option<CapabilityDiff>,
    /// Who consents to what it could do more, if it could.
    accepted_by: Option<String>,
}

/// Why a version may not.
enum Unfit {
    Disabled,
    Refused(Refusal),
}

impl Unfit {
    fn of(error: &LoadError) -> Self {
        if error.is_disabled() { Self::Disabled } else { Self::Refused(of_load(error)) }
    }
}

/// Who consents to this growth.
fn accepted_by(info: &PluginInfo, changes: &CapabilityDiff, consent: Consent, remedy: &str) -> Result<String, Refusal> {
    match consent {
        Consent::Asker(who) => Ok(who),
        Consent::Settings if info.allow_growth => Ok(BY_SETTINGS.to_owned()),
        Consent::Settings => {
            let growth = changes.growth();
            let reason = format!("it could do more than the version in service ({growth}); to take it all the same: {remedy}");
            Err(Refusal { reason, changes: changes.clone() })
        }
    }
}

fn reload_remedy(name: &str) -> String {
    format!("trackside plugin reload {name} --accept, or write allow_growth = true into {name}.toml")
}

fn next_of<'a>(names: &Mutex<impl Iterator<Item = &'a str>>) -> Option<&'a str> {
    names.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// The file's name and what is wrong in it: the directory is known, and no client's business.
fn of_load(error: &LoadError) -> Refusal {
    let file = error.path.file_name().unwrap_or_default().to_string_lossy();
    Refusal { reason: format!("{file}: {}", error.problem), ..Refusal::default() }
}

impl Version {
    /// For people and clients: with what names it, and whether it runs.
    pub fn to_json(&self, in_service: bool) -> serde_json::Value {
        serde_json::json!({
            "id": self.id(), "version": self.version, "settings": self.settings, "display_version": self.display_version,
            "since": self.since, "in_service": in_service,
        })
    }
}
