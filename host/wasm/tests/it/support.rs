//! Owns what the tests share: a host over a temporary plugin directory, and the other side of its port, which remembers.
//! Leaves the guests themselves to `trackside-test-guests`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use trackside_model::{
    control::{CheckContext, DecisionPoint, Origin, Signal},
    event::{Event, Filter, Incoming, Metadata},
    json::Json,
    ports::{
        CallReport, Delivery, EventBatch, Failure, Fault, FaultKind, Found, Guest, HostCallError, HostCalls, KvValue, LogLine, Subject,
        TaskCall,
    },
    time::Timestamp,
};
use trackside_wasm::{CompileLimits, CompilerCommand, LoadError, OutgoingOptions, PluginHost, PoolSizes, WasmOptions};
use uuid::Uuid;

/// The host's clock in tests.
pub(crate) const NOW: Timestamp = Timestamp(1_750_000_000_000_000_000);

/// What plugins did, in order.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) lines: Mutex<Vec<(String, String)>>,
    pub(crate) not_granted: Mutex<Vec<(String, String)>>,
    pub(crate) cut: Mutex<Vec<(String, u64)>>,
    /// What guests see of the log.
    pub(crate) log: Mutex<Vec<Event>>,
    /// Events that wait in schedules.
    pub(crate) scheduled: Mutex<Vec<Uuid>>,
    pub(crate) progress: Mutex<Vec<(Option<f64>, Option<String>)>>,
    pub(crate) space: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) cancelled: AtomicBool,
}

impl HostCalls for Recorder {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn kv_get(&self, _plugin: &str, key: &str) -> Result<KvValue, HostCallError> {
        if key == "broken" {
            return Err(HostCallError("the disk is gone".to_owned()));
        }
        Ok(KvValue { value: self.space.lock().get(key).cloned(), stamp: 7 })
    }

    fn kv_keys(&self, _plugin: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, HostCallError> {
        let space = self.space.lock();
        let keys = space.keys().filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        Ok(keys.take(limit as usize).cloned().collect())
    }

    fn kv_bytes(&self, _plugin: &str) -> Result<u64, HostCallError> {
        Ok(self.space.lock().iter().map(|(key, value)| (key.len() + value.len()) as u64).sum())
    }

    fn head(&self) -> u64 {
        self.log.lock().last().map_or(0, |event| event.sequence_number)
    }

    fn query(&self, filter: &Filter, after: Option<u64>, through: u64, limit: u32) -> Result<Found, HostCallError> {
        let log = self.log.lock();
        let behind = after.unwrap_or(0);
        let matching = log.iter().filter(|event| (behind + 1..=through).contains(&event.sequence_number) && filter.matches(event));
        let events: Vec<Event> = matching.clone().take(limit as usize).cloned().collect();
        let next = events.last().map(|event| event.sequence_number).filter(|_| matching.count() > events.len());
        Ok(Found { events, next })
    }

    fn schedules(&self, _plugin: &str) -> Result<u32, HostCallError> {
        Ok(self.scheduled.lock().len() as u32)
    }

    fn is_scheduled(&self, _plugin: &str, event_id: Uuid) -> Result<bool, HostCallError> {
        Ok(self.scheduled.lock().contains(&event_id))
    }

    fn log(&self, _plugin: &str, line: LogLine<'_>) {
        self.lines.lock().push((line.correlation_id.to_owned(), line.message.to_owned()));
    }

    fn progress(&self, _task: &TaskCall, fraction: Option<f64>, chunk: Option<Json>) {
        self.progress.lock().push((fraction, chunk.map(|chunk| chunk.to_string())));
    }

    fn cancelled(&self, _task: &TaskCall) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn not_granted(&self, _plugin: &str, what: &str, line: &str) {
        self.not_granted.lock().push((what.to_owned(), line.to_owned()));
    }

    fn cut(&self, _plugin: &str, limit: &str, allowed: u64) {
        self.cut.lock().push((limit.to_owned(), allowed));
    }
}

/// A host over directories of its own.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) calls: Arc<Recorder>,
    pub(crate) host: PluginHost,
}

/// The compiling process of tests.
pub(crate) fn compiler() -> CompilerCommand {
    let exe = std::env::current_exe().expect("this process has a file");
    let examples = exe.parent().and_then(Path::parent).expect("target/PROFILE/deps/it").join("examples");
    let program = examples.join("compile_child");
    assert!(program.is_file(), "{} is missing; run: cargo build -p trackside-wasm --examples", program.display());
    CompilerCommand { program, args: Vec::new() }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut WasmOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("plugins")).unwrap();
        let calls = Arc::new(Recorder::default());
        let host = host(dir.path(), &calls, change);
        Self { dir, calls, host }
    }

    pub(crate) fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    pub(crate) fn try_load(&self, name: &str, settings: &str) -> Result<Arc<dyn Guest>, LoadError> {
        trackside_test_guests::build().install(name, &self.plugins(), Some(settings));
        self.host.load(name)
    }

    pub(crate) fn load(&self, name: &str, settings: &str) -> Arc<dyn Guest> {
        self.try_load(name, settings).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Loads a guest without a settings file.
    pub(crate) fn load_alone(&self, name: &str) -> Arc<dyn Guest> {
        trackside_test_guests::build().install(name, &self.plugins(), None);
        self.host.load(name).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn not_granted(&self) -> Vec<(String, String)> {
        self.calls.not_granted.lock().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.calls.lines.lock().iter().map(|(_, line)| line.clone()).collect()
    }
}

fn host(dir: &Path, calls: &Arc<Recorder>, change: impl FnOnce(&mut WasmOptions)) -> PluginHost {
    let mut options = WasmOptions {
        plugin_dir: dir.join("plugins"),
        // Shared by all tests: what one has compiled, the others find.
        cache_dir: shared_cache(),
        compiler: compiler(),
        compile: CompileLimits::default(),
        pools: PoolSizes { total: 100, ..PoolSizes::default() },
        outgoing: OutgoingOptions::default(),
    };
    change(&mut options);
    let calls: Arc<dyn HostCalls> = Arc::<Recorder>::clone(calls);
    PluginHost::new(options, calls).unwrap_or_else(|error| panic!("{error}"))
}

fn shared_cache() -> PathBuf {
    let exe = std::env::current_exe().expect("this process has a file");
    exe.parent().expect("target/PROFILE/deps").join("trackside-wasm-test-cache")
}

pub(crate) fn event(event_type: &str, number: u128) -> Event {
    let incoming = Incoming {
        event_type: event_type.to_owned(),
        source_component: "shop".to_owned(),
        correlation_id: Some(format!("c{number}")),
        payload: Some(Json::trusted(r#"{"n":1}"#)),
        metadata: Metadata::from([("request_id".to_owned(), "r1".to_owned())]),
        ..Incoming::default()
    };
    let draft = incoming.into_draft(NOW, Uuid::from_u128(number), &Default::default()).unwrap();
    draft.into_event(u64::try_from(number).unwrap(), NOW)
}

pub(crate) fn events(count: u128) -> Vec<Arc<Event>> {
    (1..=count).map(|number| Arc::new(event("order:placed", number))).collect()
}

pub(crate) fn context() -> CheckContext {
    CheckContext {
        point: DecisionPoint::Publish,
        attempt: 0,
        now: NOW,
        elapsed_ms: 0,
        remaining_ms: 5_000,
        origin: Origin::Http,
        principal: None,
    }
}

pub(crate) fn check(guest: &dyn Guest) -> CallReport<Signal> {
    let event = event("order:placed", 1);
    guest.check(&Subject::new(&event, Some("alice")), &context())
}

pub(crate) const DELIVERY: Delivery = Delivery { now: NOW, attempt: 1, replay: false, missed: 0 };

pub(crate) fn observe(guest: &dyn Guest, count: u128) -> CallReport<Result<(), String>> {
    guest.observe(&EventBatch::new(events(count)), &DELIVERY)
}

pub(crate) fn task(method: &str, parameters: &str) -> TaskCall {
    TaskCall {
        method: method.into(),
        parameters: Json::trusted(parameters),
        workflow_id: "w1".into(),
        task_id: "t1".into(),
        attempt: 1,
        idempotency_key: "w1/t1/1".into(),
        correlation_id: "c1".into(),
        cause: Uuid::from_u128(99).to_string().into(),
        timeout_ms: 20_000,
        metadata: Metadata::new(),
    }
}

pub(crate) fn run_task(guest: &dyn Guest, task: &TaskCall) -> CallReport<Result<Json, Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(guest.run(task))
}

pub(crate) fn run(guest: &dyn Guest, method: &str, parameters: &str) -> CallReport<Result<Json, Failure>> {
    run_task(guest, &task(method, parameters))
}

/// The fault that a call ended in.
pub(crate) fn fault<T: std::fmt::Debug>(report: &CallReport<T>) -> Fault {
    assert!(report.outbox.is_empty(), "a fault releases nothing");
    report.outcome.as_ref().expect_err("a fault").clone()
}

/// The fault of a role, which must be of this kind.
pub(crate) fn expect_fault<T: std::fmt::Debug>(report: &CallReport<T>, kind: FaultKind) -> Fault {
    let fault = fault(report);
    assert_eq!(fault.kind, kind, "{fault}");
    fault
}

/// A call's time, with room for a busy machine.
pub(crate) fn within(report_ns: u64, limit: Duration) {
    assert!(u128::from(report_ns) < limit.as_nanos(), "{} ms", report_ns / 1_000_000);
}
