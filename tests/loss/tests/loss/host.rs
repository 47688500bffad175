//! One life of a host between two losses: a store and an engine on a disk, with guests in service. It is taken down in a way that leaves no thread
//! behind, whether its disk is still there or not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::Notify};
use trackside_engine::{Caller, Engine, EngineOptions, HostSide, InboxOptions, now};
use trackside_loss_tests::Disk;
use trackside_model::{control::Origin, event::Pattern};
use trackside_store::{Inbox, OpenError, RetentionRule, Store, StoreOptions};

use crate::guests;

/// How long anything may take before the test has failed: far more than it needs.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// Events of the noise that are kept.
pub(crate) const NOISE_KEPT: u64 = 15;

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
            let engine = Engine::start(store, side, options()).map_err(|error| error.to_string())?;
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
