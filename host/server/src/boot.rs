//! The host as a whole: the order in which its parts start, and the order in which they stop.
//! What the parts do is theirs; what is printed on the way is the command line's.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use trackside_engine::{Engine, HostSide, StartError};
use trackside_store::{OpenError, Poisoned, Store};
use trackside_wasm::{CompilerCommand, HostError, PluginHost, ScanError, WasmOptions};

use crate::{
    access::Access,
    config::Config,
    http::{self, Api, BindError, Called, Certificate, CertificateError, Listener, Parts, Readiness, Server},
    inbox::OpenInbox,
    plugins::{Plugins, versions::Versions, watch::Watch},
    schemas::SchemaDirectory,
};

/// The hidden verb with which the host calls itself to compile a component.
pub const COMPILE_VERB: &str = "compile-component";
/// Where the log's other end is written: the address that is listened on.
const ADDRESS_FILE: &str = "address";
/// Where the versions of plugins are kept, in the data directory.
const VERSIONS_DIR: &str = "versions";
/// Where compiled components are kept, in the data directory.
const CACHE_DIR: &str = "compiled";
/// What readiness waits for besides the plugins' files.
const RECOVERY: &str = "recovery";

/// What a host is started with.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Everything that the operator can say.
    pub config: Config,
    /// How to start the process that compiles components: a program that calls [`crate::compile_child`].
    pub compiler: CompilerCommand,
    /// Where compiled components are kept; `None`: in the data directory.
    pub cache_dir: Option<PathBuf>,
}

/// Why a host does not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A directory that is not there cannot be made.
    #[error("{what} {}: {source}", path.display())]
    Directory {
        /// Which one.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The configuration, of a program that made it itself.
    #[error("{0}")]
    Configuration(String),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Something else is where a directory must be.
    #[error("{what} {} is not a directory; name another with {flag}", path.display())]
    NotADirectory {
        /// Which one.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What names another.
        flag: &'static str,
    },
    /// The log, in a directory that the message names.
    #[error(transparent)]
    Taken(OpenError),
    /// The log.
    #[error("{}: {source}", path.display())]
    Open {
        /// The data directory.
        path: PathBuf,
        /// What stands against it.
        source: OpenError,
    },
    /// The tokens.
    #[error("the tokens in {}: {source}", path.display())]
    Token {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The plugin host.
    #[error(transparent)]
    Plugins(#[from] HostError),
    /// The plugin directory.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The directory of schemas.
    #[error("{}: {source}; schemas.dir in the host's configuration names the directory of schemas", path.display())]
    Schemas {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// What the host tells of itself cannot be written.
    #[error("failed to write {}: {source}", path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A running host.
pub struct Host {
    engine: Engine,
    store: Store,
    server: Server,
    plugins: Arc<Plugins>,
    schemas: Arc<SchemaDirectory>,
    address: SocketAddr,
    scheme: &'static str,
    address_file: PathBuf,
    token_path: PathBuf,
    grace: Duration,
    /// As long as this host is there.
    inbox: Option<OpenInbox>,
}

impl HostOptions {
    /// The usual ones: components are compiled by this very program.
    ///
    /// # Errors
    /// If the system does not say where this program is.
    pub fn new(config: Config) -> io::Result<Self> {
        let compiler = CompilerCommand { program: std::env::current_exe()?, args: vec![COMPILE_VERB.into()] };
        Ok(Self { config, compiler, cache_dir: None })
    }
}

impl Host {
    /// Starts a host on the tokio runtime that this is called on, which must have several threads. When this returns, it is ready.
    ///
    /// # Errors
    /// [`BootError`], by what stands against it.
    pub async fn start(options: HostOptions) -> Result<Self, BootError> {
        let config = &options.config;
        config.check_together().map_err(BootError::Configuration)?;
        // First what fails without having changed anything: the certificate, the address, then the lock on the data directory.
        let certificate = config.certificate_files().map(|(cert, key)| Certificate::load(cert, key)).transpose()?;
        let listener = Listener::bind(config.listen, certificate).await?;
        make_directory("the plugin directory", &config.plugin_dir, "--plugins")?;
        refuse_file("the data directory", &config.data_dir, "--data")?;
        let store = open_store(config)?;
        match Self::start_on(&store, listener, &options).await {
            Ok(host) => Ok(host),
            Err(error) => {
                if let Err(poisoned) = store.close() {
                    tracing::error!("{poisoned}");
                }
                Err(error)
            }
        }
    }

    async fn start_on(store: &Store, listener: Listener, options: &HostOptions) -> Result<Self, BootError> {
        let config = &options.config;
        let (address, scheme, address_file) = (listener.address(), listener.scheme(), config.data_dir.join(ADDRESS_FILE));
        let called = Called { scheme, listen: address, names: config.names() };
        let access = Access::in_directory(&config.data_dir, config.requires_tokens())
            .map_err(|source| BootError::Token { path: config.data_dir.clone(), source })?;
        let token_path = access.own_path().to_owned();
        let host_side = HostSide::new(store.clone());
        let plugin_host = PluginHost::new(wasm_options(options), host_side.clone())?;
        let versions = Versions::new(config.data_dir.join(VERSIONS_DIR), config.plugins.versions);
        let plugins = Arc::new(Plugins::new(plugin_host, &config.plugin_dir, versions));
        let engine = Engine::start(store.clone(), host_side, config.engine_options())?;

        let readiness = Arc::new(Readiness::default());
        readiness.await_for(RECOVERY);
        let schemas = SchemaDirectory::new(&config.schemas.dir);
        let parts = || Parts { engine: engine.clone(), plugins: plugins.clone(), schemas: schemas.clone() };
        let api = |ending| Api::new(parts(), config, called.clone(), access.clone(), readiness.clone(), ending);
        let server = Server::start(listener, &config.http, engine.tasks(), |ending| http::router(Arc::new(api(ending))));
        access.watch(engine.tasks());
        let (grace, inbox) = (config.stop_grace(), OpenInbox::in_directory(&config.data_dir, &config.inbox));
        let mut host =
            Self { engine, store: store.clone(), server, plugins, schemas, address, scheme, address_file, token_path, grace, inbox };

        // Before the files are read, so that no change falls in between.
        let watch = config.plugins.watch.then(|| Watch::begin(&config.plugin_dir, config.watch_pauses()));
        match host.make_ready(config, &readiness) {
            Ok(()) => {
                host.schemas.clone().watch(host.engine.clone(), Duration::from_millis(config.schemas.rescan_ms));
                if let Some(inbox) = &mut host.inbox {
                    inbox.serve(&host.engine);
                }
                if let Some(watch) = watch {
                    watch.start(host.engine.clone(), host.plugins.clone());
                }
                Ok(host)
            }
            Err(error) => {
                host.stop_parts().await;
                Err(error)
            }
        }
    }

    /// Takes up the schemas and loads the plugins; then what was under way before goes on, and work is taken.
    fn make_ready(&self, config: &Config, readiness: &Readiness) -> Result<(), BootError> {
        let not_read = |source| BootError::Schemas { path: config.schemas.dir.clone(), source };
        tokio::task::block_in_place(|| self.schemas.take_up(&self.engine)).map_err(not_read)?;
        tokio::task::block_in_place(|| self.plugins.load_all(&self.engine, readiness))?;
        self.engine.ready();
        readiness.done(RECOVERY);
        let failed = |source| BootError::Address { path: self.address_file.clone(), source };
        fs::write(&self.address_file, format!("{}\n", self.url())).map_err(failed)
    }

    /// Stops, in this order: no more connections and requests, then the engine with all that is out, then the log.
    ///
    /// # Errors
    /// [`Poisoned`] if the log could not be written, now or before.
    pub async fn stop(self) -> Result<(), Poisoned> {
        let (store, address_file) = (self.store.clone(), self.address_file.clone());
        self.stop_parts().await;
        let closed = tokio::task::block_in_place(|| store.close());
        if let Err(error) = fs::remove_file(&address_file) {
            tracing::warn!("{} could not be removed: {error}", address_file.display());
        }
        closed
    }

    async fn stop_parts(self) {
        self.server.stop(self.grace).await;
        self.engine.stop(self.grace).await;
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The address, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the host's own token is kept.
    pub fn token_path(&self) -> &Path {
        &self.token_path
    }

    /// The engine, for programs that embed the host.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The plugin directory.
    pub fn plugins(&self) -> &Arc<Plugins> {
        &self.plugins
    }
}

fn refuse_file(what: &'static str, path: &Path, flag: &'static str) -> Result<(), BootError> {
    let is_directory = fs::metadata(path).map_or(true, |found| found.is_dir());
    if is_directory { Ok(()) } else { Err(BootError::NotADirectory { what, path: path.to_owned(), flag }) }
}

fn make_directory(what: &'static str, path: &Path, flag: &'static str) -> Result<(), BootError> {
    refuse_file(what, path, flag)?;
    fs::create_dir_all(path).map_err(|source| BootError::Directory { what, path: path.to_owned(), source })
}

fn open_store(config: &Config) -> Result<Store, BootError> {
    let opened = tokio::task::block_in_place(|| Store::open(config.store_options(), trackside_engine::now));
    opened.map_err(|source| match source {
        OpenError::InUse { .. } => BootError::Taken(source),
        source => BootError::Open { path: config.data_dir.clone(), source },
    })
}

fn wasm_options(options: &HostOptions) -> WasmOptions {
    let config = &options.config;
    WasmOptions {
        plugin_dir: config.plugin_dir.clone(),
        cache_dir: options.cache_dir.clone().unwrap_or_else(|| config.data_dir.join(CACHE_DIR)),
        compiler: options.compiler.clone(),
        compile: config.compile_limits(),
        pools: config.pool_sizes(),
        outgoing: config.outgoing_options(),
    }
}
