//! One life of a host between two losses: a store and an engine on a disk, with guests in service. It is taken down in a way that leaves no thread
//! behind, whether its disk is still there or not.

use std::{
    env,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::Notify};
use trackside_engine::{Caller, Engine, EngineOptions, HostSide, InboxOptions, now};
use trackside_loss_tests::Disk;
use trackside_model::{
    control::Origin,
    event::Pattern,
    ports::{Guest, HostCalls},
};
use trackside_store::{Inbox, OpenError, RetentionRule, Store, StoreOptions};

use trackside_wasm::{CompileLimits, CompilerCommand, OutgoingOptions, PluginHost, PoolSizes, WasmOptions};

use crate::guests;

/// How long anything may take before the test has failed: far more than it needs.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// Events of the noise that are kept.
pub(crate) const NOISE_KEPT: u64 = 15;

/// Where the component stands that every host has in service, beside what it was compiled to.
static PLUGINS: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap().keep();
    let settings = format!("[controls]\nevent_types = []\n[observes]\nevent_types = {:?}\n[grants]\nkv = true\n", guests::COUNTED);
    std::fs::create_dir(dir.join("plugins")).unwrap();
    trackside_test_guests::build().install("neighbour", &dir.join("plugins"), Some(&settings));
    dir
});

/// A component, with its own pool and its own space: what it counts goes through the outbox of a real call.
fn neighbour(calls: Arc<dyn HostCalls>) -> Arc<dyn Guest> {
    let examples = env::current_exe().unwrap().parent().unwrap().with_file_name("examples");
    let options = WasmOptions {
        plugin_dir: PLUGINS.join("plugins"),
        // Compiled for the first host, and found by all others.
        cache_dir: PLUGINS.join("compiled"),
        compiler: CompilerCommand { program: examples.join("compile_child"), args: Vec::new() },
        compile: CompileLimits::default(),
        pools: PoolSizes { total: 8, ..PoolSizes::default() },
        outgoing: OutgoingOptions::default(),
    };
    PluginHost::new(options, calls).unwrap().load("neighbour").unwrap()
}

/// A running host.
pub(crate) struct Host {
    pub(crate) engine: Engine,
    runtime: Runtime,
}

/// The store on a disk, with a write-ahead file that is carried after so many pages.
pub(crate) fn open(disk: &Disk, checkpoint_pages: u32) -> Result<Store, OpenError> {
    Store::open(StoreOptions { checkpoint_pages, ..StoreOptions::new(disk.path()) }, now)
}

fn options() -> EngineOptions {
    let noise =
        RetentionRule { types: Some(vec![Pattern::parse("noise:**").unwrap()]), max_events: Some(NOISE_KEPT), ..RetentionRule::default() };
    EngineOptions {
        heartbeat_ms: 0,
        dedup_window_ms: 0,
        observer_deliveries: 2,
        guest_threads: 1,
        observer_threads: 2,
        worker_threads: 1,
        retention: vec![noise],
        retention_interval_ms: 15,
        ..EngineOptions::default()
    }
}

/// An embedding program.
pub(crate) fn caller() -> Caller {
    Caller { origin: Origin::Embedded, principal: None }
}

impl Host {
    /// Starts; an error says what the disk did about it.
    pub(crate) fn start(disk: &Disk, store: Store) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let side = HostSide::new(store.clone());
        let started: Result<Engine, String> = runtime.block_on(async {
            let inbox = Inbox::open(disk.path()).map_err(|error| error.to_string())?;
            let engine = Engine::start(store, side.clone(), options()).map_err(|error| error.to_string())?;
            engine.install(neighbour(side));
            engine.register(guests::ledger()).unwrap();
            engine.register(guests::grumbler()).unwrap();
            engine.install(Arc::new(guests::Echo::new()));
            let options = InboxOptions { poll: Duration::from_millis(5), keep: Duration::from_secs(3_600), hint: Arc::new(Notify::new()) };
            engine.serve_inbox(inbox, options);
            engine.ready();
            Ok(engine)
        });
        Ok(Self { engine: started?, runtime })
    }

    /// Runs a future on the host's runtime.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Where clients run.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < LONGEST, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Ends the host's threads. With its disk gone, all that it still wants to write fails.
    pub(crate) fn take_down(self, grace: Duration) {
        let stopped = self.runtime.block_on(async { tokio::time::timeout(LONGEST, self.engine.stop(grace)).await });
        assert!(stopped.is_ok(), "the host does not come to its end");
        let store = self.engine.store().clone();
        self.runtime.shutdown_timeout(Duration::from_secs(10));
        drop(self.engine);
        // Poisoned, or not: the disk decides.
        let _ = store.close();
    }
}
