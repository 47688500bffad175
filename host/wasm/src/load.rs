//! Owns the way from a file to a plugin that can be called: read, look, compile or take from the cache, link, describe, join with the
//! settings, make the first instances. Leaves each step to the file that is named after it.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::Instant,
};

use parking_lot::Mutex;
use trackside_model::{
    event::Text,
    plugin::{Digest, Limits, OUTGOING_HTTP, PluginInfo},
    ports::{Guest, HostCalls},
};
use wasmtime::component::{Component, InstancePre};

use crate::{
    cache::{Cache, Entry, Key},
    compile,
    component::{self, Outline},
    describe::{self, Described, Linked},
    directory::{self, PluginFile, Scan, ScanError},
    engines::{EngineKind, Engines, RUNTIME_COMPONENT_BYTES},
    error::{HostError, LoadError, LoadProblem},
    http::Client,
    instance::Role,
    limits::SETTINGS_BYTES,
    options::WasmOptions,
    plugin::Plugin,
    pool::{AsyncPool, Pool},
    secrets::Secrets,
    settings::{Settings, SettingsError, grant_line},
    spot_check::SpotChecks,
    state::{Core, State},
};

/// Loads plugins from a directory. What it has loaded lives on without it.
pub struct PluginHost {
    pub(crate) options: WasmOptions,
    calls: Arc<dyn HostCalls>,
    engines: Arc<Engines>,
    cache: Cache,
    client: Arc<Client>,
    /// By the plugin's name, the version that could not be compiled ahead, and why: not yet said by a load.
    failed_ahead: Mutex<HashMap<String, (Digest, LoadProblem)>>,
}

/// Failures to compile ahead that are kept until a load says them, at most; one that is not kept is found out again.
const MOST_FAILED_AHEAD: usize = 256;

/// The bytes of a plugin's files, read once: what is checked, kept and loaded is the same.
#[derive(Clone, PartialEq, Eq)]
pub struct PluginBytes {
    /// The component.
    pub component: Vec<u8>,
    /// Its settings; empty if it has no settings file.
    pub settings: Vec<u8>,
}

/// A plugin's files, looked through.
pub(crate) struct Source {
    pub(crate) bytes: Vec<u8>,
    pub(crate) version: Digest,
    pub(crate) settings: Settings,
    pub(crate) settings_digest: Digest,
    pub(crate) outline: Outline,
}

/// A plugin that has been compiled, linked and asked what it is, but has no instances yet.
pub(crate) struct Prepared {
    pub(crate) info: PluginInfo,
    pub(crate) described: Described,
    pub(crate) secrets: Secrets,
    pub(crate) from_cache: bool,
    /// Milliseconds that getting machine code took.
    pub(crate) compile_ms: u64,
    /// What serves its control handler and observer.
    pub(crate) engine: EngineKind,
    /// Linked with that engine, if one of these is called synchronously.
    synchronous: Option<InstancePre<State>>,
    /// Linked with the asynchronous engine, if a worker or a waiting observer needs it.
    asynchronous: Option<InstancePre<State>>,
}

impl PluginHost {
    /// Makes the engines and opens the cache. Nothing is loaded yet.
    ///
    /// # Errors
    /// [`HostError`], by what is missing.
    pub fn new(options: WasmOptions, calls: Arc<dyn HostCalls>) -> Result<Self, HostError> {
        directory::scan(&options.plugin_dir)?;
        let cache = Cache::open(&options.cache_dir)?;
        let client = Arc::new(Client::new(&options.outgoing)?);
        let engines = Arc::new(Engines::new(&options.pools)?);
        Ok(Self { options, calls, engines, cache, client, failed_ahead: Mutex::default() })
    }

    /// Looks through the plugin directory.
    ///
    /// # Errors
    /// [`ScanError`] if it cannot be read.
    pub fn scan(&self) -> Result<Scan, ScanError> {
        directory::scan(&self.options.plugin_dir)
    }

    /// Loads the plugin of this name: its version of this moment, ready to be called. Blocks: for milliseconds if it is in the cache,
    /// for as long as compiling takes if it is not.
    ///
    /// # Errors
    /// [`LoadError`] says what is wrong, where, and what to do.
    pub fn load(&self, name: &str) -> Result<Arc<dyn Guest>, LoadError> {
        self.load_bytes(name, self.read_bytes(name)?)
    }

    /// Reads the files of the plugin of this name.
    ///
    /// # Errors
    /// [`LoadError`] if it cannot have this name, or a file cannot be read or is too large.
    pub fn read_bytes(&self, name: &str) -> Result<PluginBytes, LoadError> {
        let files = directory::files_of(&self.options.plugin_dir, name);
        directory::check_name(name).map_err(|error| at_component(&files, error.into()))?;
        self.bytes_of(&files)
    }

    /// The same as [`load`](Self::load), of a version that is at hand.
    ///
    /// # Errors
    /// [`LoadError`], as if the bytes stood in the plugin directory.
    pub fn load_bytes(&self, name: &str, bytes: PluginBytes) -> Result<Arc<dyn Guest>, LoadError> {
        let files = directory::files_of(&self.options.plugin_dir, name);
        directory::check_name(name).map_err(|error| at_component(&files, error.into()))?;
        let source = self.look_through(&files, bytes)?;
        if source.settings.enabled == Some(false) {
            return Err(at_settings(&files, LoadProblem::Disabled));
        }
        let prepared = self.prepare(&files, &source)?;
        let plugin = self.instantiate(&source, prepared).map_err(|problem| at_component(&files, problem))?;
        Ok(Arc::new(plugin))
    }

    /// Compiles the component as it stands there at this moment, so that loading it finds it in the cache. What is wrong with it, loading says,
    /// without compiling it once more; a component that carries a language runtime, which takes seconds, is left to that as well.
    pub fn compile_ahead(&self, name: &str) {
        let files = directory::files_of(&self.options.plugin_dir, name);
        let Ok(bytes) = self.read_bytes(name) else { return };
        if bytes.component.len() >= RUNTIME_COMPONENT_BYTES {
            return;
        }
        if let Ok(source) = self.look_through(&files, bytes)
            && source.settings.enabled != Some(false)
        {
            let failed = self.compiled(name, &source).err().map(|problem| (source.version, problem));
            let mut ahead = self.failed_ahead.lock();
            ahead.remove(name);
            if let Some(failed) = failed
                && ahead.len() < MOST_FAILED_AHEAD
            {
                ahead.insert(name.to_owned(), failed);
            }
        }
    }

    /// Reads both files, once each: what is checked is what is used.
    pub(crate) fn read(&self, files: &PluginFile) -> Result<Source, LoadError> {
        self.look_through(files, self.bytes_of(files)?)
    }

    fn bytes_of(&self, files: &PluginFile) -> Result<PluginBytes, LoadError> {
        let limit = self.options.compile.component_bytes;
        let component = read_bounded(&files.path, limit).map_err(|error| at_component(files, error.into()))?;
        let settings = match read_bounded(&files.settings_path, SETTINGS_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(at_settings(files, error.into())),
        };
        Ok(PluginBytes { component, settings })
    }

    fn look_through(&self, files: &PluginFile, bytes: PluginBytes) -> Result<Source, LoadError> {
        let PluginBytes { component: bytes, settings: settings_bytes } = bytes;
        let limit = self.options.compile.component_bytes;
        if bytes.len() as u64 > limit {
            return Err(at_component(files, LoadProblem::TooLarge { limit }));
        }
        let settings = parse_settings(&settings_bytes).map_err(|error| at_settings(files, error.into()))?;
        let outline = component::outline(&bytes).map_err(|problem| at_component(files, problem))?;
        Ok(Source { version: Digest::of(&bytes), settings_digest: Digest::of(&settings_bytes), bytes, settings, outline })
    }

    /// Compiles, links and describes, and joins the description with the settings.
    pub(crate) fn prepare(&self, files: &PluginFile, source: &Source) -> Result<Prepared, LoadError> {
        let component = |problem| at_component(files, problem);
        let roles = source.outline.roles();
        if !(roles.observer || roles.control || roles.worker) {
            return Err(component(LoadProblem::NoRole(source.outline.foreign_versions())));
        }
        if !source.outline.describes() {
            return Err(component(LoadProblem::NoDescription));
        }
        let defaults = Limits::for_roles(roles);
        let carries_runtime = source.bytes.len() >= RUNTIME_COMPONENT_BYTES;
        let limits = source.settings.limits(if carries_runtime { defaults.with_runtime() } else { defaults });
        let engine = EngineKind::of_synchronous(source.bytes.len(), &limits, &self.options.pools);
        let grants = source.settings.grants(roles.worker);
        if !grants.folders.is_empty() && !roles.worker {
            return Err(at_settings(files, LoadProblem::FoldersWithoutWorker));
        }
        if !(grants.http.is_empty() || roles.worker || roles.observer) {
            return Err(at_settings(files, LoadProblem::HttpForControl));
        }
        let secrets = Secrets::read(&files.name, &grants.secrets).map_err(|error| at_settings(files, error.into()))?;
        let started = Instant::now();
        let (code, from_cache) = self.machine_code(&files.name, source).map_err(component)?;
        let compile_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let name = Text::from(files.name.as_str());
        // Mapped once for each engine that serves it, and described by the first of them.
        let link = |kind, serves: bool| serves.then(|| self.linked(kind, &code)).transpose().map_err(component);
        let waits = roles.observer && !grants.http.is_empty() && source.outline.imports(OUTGOING_HTTP);
        let synchronous = link(engine, roles.control || (roles.observer && !waits))?;
        let asynchronous = link(EngineKind::Asynchronous, roles.worker || waits)?;
        let described = self.describe(&name, synchronous.as_ref(), asynchronous.as_ref(), &limits, source).map_err(component)?;
        let settings = &source.settings;
        let (mut triggers, not_granted) = describe::may_trigger(&described, &grants);
        if settings.triggers == Some(false) {
            triggers.clear();
        } else {
            for method in not_granted {
                let what = format!("starting {method}, which is another plugin's, at events (a trigger)");
                self.calls.not_granted(&name, &what, &grant_line("publish", &format!("[\"{}\"]", describe::SUBMIT)));
            }
        }
        let info = PluginInfo {
            version: source.version,
            settings: source.settings_digest,
            display_name: described.display_name.clone(),
            display_version: described.display_version.clone(),
            summary: described.summary.clone(),
            roles,
            effect_class: describe::effect_class(&source.outline, &grants, described.memoryless || settings.fresh),
            observes: settings.observes.clone().unwrap_or_else(|| described.observes.clone()),
            live_behind: settings.live_behind,
            controls: settings.controls.clone().unwrap_or_else(|| described.controls.clone()),
            priority: settings.priority.unwrap_or(described.priority),
            on_fault: describe::on_fault(settings, &described),
            batches: describe::may_batch(&source.outline, roles, &grants, settings.fresh),
            methods: described.methods.clone(),
            triggers,
            workers: settings.workers.unwrap_or(1),
            breaker: settings.breaker(),
            allow_growth: settings.allow_growth,
            imports: source.outline.imports.clone(),
            name,
            limits,
            grants,
        };
        Ok(Prepared { info, described, secrets, from_cache, compile_ms, engine, synchronous, asynchronous })
    }

    /// Machine code from the cache, or compiled and put there. What compiling it ahead came to is said once, and not found out again: whoever asks
    /// once more has it tried once more.
    fn machine_code(&self, name: &str, source: &Source) -> Result<(Vec<u8>, bool), LoadProblem> {
        let failed = self.failed_ahead.lock().remove(name);
        match failed {
            Some((version, problem)) if version == source.version => Err(problem),
            _ => self.compiled(name, source),
        }
    }

    fn compiled(&self, name: &str, source: &Source) -> Result<(Vec<u8>, bool), LoadProblem> {
        let key = Key::new(&self.engines.pooled.settings, &source.version);
        match self.cache.get(&key) {
            Entry::Found(code) => return Ok((code, true)),
            Entry::Missing => {}
            Entry::Tampered => tracing::warn!(plugin = name, "the compiled form in the cache is not what this host wrote; compiling again"),
        }
        let scratch = |purpose| self.cache.scratch(purpose).map_err(LoadProblem::Read);
        let code =
            compile::in_child(&self.options.compiler, &self.options.compile, &source.bytes, scratch("component")?, scratch("compiled")?)?;
        self.cache.put(&key, &code)?;
        Ok((code, false))
    }

    /// Machine code as a component of an engine, with every import found.
    fn linked(&self, kind: EngineKind, code: &[u8]) -> Result<InstancePre<State>, LoadProblem> {
        let engine = self.engines.of(kind);
        // SAFETY: the bytes come from the compiling process of this host, directly or through the cache, which authenticates them from
        // the one time that it reads them; the engines share the compiling process's settings, which are part of the cache's key.
        let component = unsafe { Component::deserialize(&engine.engine, code) };
        let component = component.map_err(|error| LoadProblem::Engine(format!("{error:#}")))?;
        engine.link(&component).map_err(link_problem)
    }

    fn describe(
        &self,
        name: &Text,
        synchronous: Option<&InstancePre<State>>,
        asynchronous: Option<&InstancePre<State>>,
        limits: &Limits,
        source: &Source,
    ) -> Result<Described, LoadProblem> {
        let linked = match (synchronous, asynchronous) {
            (Some(pre), _) => Linked::Blocking(pre.clone()),
            (None, Some(pre)) => Linked::Waiting(pre.clone()),
            (None, None) => return Err(LoadProblem::NoRole(source.outline.foreign_versions())),
        };
        describe::ask(
            name,
            linked,
            Arc::clone(&self.engines),
            Arc::clone(&self.client),
            Arc::clone(&self.calls),
            limits,
            source.outline.roles(),
        )
    }

    /// Makes the pools and their first instances: what cannot be instantiated fails now.
    pub(crate) fn instantiate(&self, source: &Source, prepared: Prepared) -> Result<Plugin, LoadProblem> {
        let Prepared { info, secrets, synchronous, asynchronous, .. } = prepared;
        let core = Arc::new(Core {
            name: Arc::clone(&info.name),
            limits: info.limits.clone(),
            grants: info.grants.clone(),
            values: source.settings.values(),
            secrets,
            client: Arc::clone(&self.client),
            calls: Arc::clone(&self.calls),
            engines: Arc::clone(&self.engines),
            describing: false,
            reported: Default::default(),
        });
        let pools = &self.options.pools;
        let (roles, fresh) = (info.roles, source.settings.fresh);
        let blocking_observer = roles.observer && !info.observer_waits();
        let spot_checks = SpotChecks::of(&info, fresh);
        let mut plugin = Plugin { info, control: None, observer: None, waiting_observer: None, worker: None, spot_checks };
        let warm_ms = plugin.info.limits.timeout_ms.max(crate::limits::DESCRIBE_TIMEOUT_MS);
        let instance = |fault| LoadProblem::Fault { what: "making its first instance", fault };
        if let (true, Some(pre)) = (roles.control, &synchronous) {
            let role = Role::new(Arc::clone(&core), pre.clone(), Vec::new()).map_err(link_problem)?;
            plugin.info.batches &= role.is_packed();
            let pool = Pool::new(role, pools.control, fresh);
            pool.warm(warm_ms).map_err(instance)?;
            plugin.control = Some(pool);
        }
        if let (true, Some(pre)) = (blocking_observer, &synchronous) {
            let role = Role::new(Arc::clone(&core), pre.clone(), Vec::new()).map_err(link_problem)?;
            let pool = Pool::new(role, pools.observer, fresh);
            pool.warm(warm_ms).map_err(instance)?;
            plugin.observer = Some(pool);
        }
        if let (true, Some(pre)) = (plugin.info.observer_waits(), &asynchronous) {
            let role = Role::new(Arc::clone(&core), pre.clone(), Vec::new()).map_err(link_problem)?;
            plugin.waiting_observer = Some(AsyncPool::new(role, pools.observer, fresh));
        }
        if let (true, Some(pre)) = (roles.worker, asynchronous) {
            let role = Role::new(Arc::clone(&core), pre, core.grants.folders.clone()).map_err(link_problem)?;
            plugin.worker = Some(AsyncPool::new(role, plugin.info.workers, fresh));
        }
        Ok(plugin)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "stands where an error is mapped")]
fn link_problem(error: wasmtime::Error) -> LoadProblem {
    LoadProblem::Link(format!("{error:#}"))
}

fn parse_settings(bytes: &[u8]) -> Result<Settings, SettingsError> {
    if bytes.len() as u64 > SETTINGS_BYTES {
        return Err(SettingsError { line: 1, message: format!("larger than the {SETTINGS_BYTES} bytes that a settings file may have") });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        SettingsError { line, message: "is not UTF-8".to_owned() }
    })?;
    Settings::parse(text)
}

pub(crate) fn at_component(files: &PluginFile, problem: LoadProblem) -> LoadError {
    LoadError { plugin: files.name.clone(), path: files.path.clone(), problem }
}

pub(crate) fn at_settings(files: &PluginFile, problem: LoadProblem) -> LoadError {
    LoadError { plugin: files.name.clone(), path: files.settings_path.clone(), problem }
}

/// Bytes of a file, at most `most` and one more: enough to see that it is too large.
fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
