//! What the tests share: a host in a directory of its own, with scripted guests; its log as lines to compare.
//! Nothing waits for a time: `until` waits for a condition, with a bound that only a test that hangs will ever see.

mod scripted;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use trackside_engine::{Answer, Caller, Engine, EngineOptions, HostSide, Outcome, SubmitError, SubmitRequest, now};
use trackside_model::{
    control::Origin,
    event::{Event, Incoming, Metadata},
    json::Json,
    workflow::{Format, WorkflowView},
};
use trackside_store::{Batch, Flush, Store, StoreOptions};

pub(crate) use self::scripted::*;

/// How long a condition may take before the test has failed: far more than any needs.
const LONGEST: Duration = Duration::from_secs(120);
/// What every start and every plugin leaves in the log, and no story is about.
const BOOKKEEPING: [&str; 9] = [
    "engine:started",
    "engine:stopped",
    "system:started",
    "system:stopping",
    "plugin:loaded",
    "plugin:reloaded",
    "provider:registered",
    "provider:available",
    "method:available",
];

/// What a script may reach besides its call: the host's side of a guest's calls, and the store behind it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) side: Arc<HostSide>,
    pub(crate) store: Store,
}

/// A host with its data directory and a runtime of its own.
pub(crate) struct Host {
    engine: Engine,
    runtime: Option<Runtime>,
    dir: Option<TempDir>,
}

/// The options of most tests: the defaults, without heartbeats.
pub(crate) fn options() -> EngineOptions {
    EngineOptions { heartbeat_ms: 0, ..EngineOptions::default() }
}

impl Host {
    /// A host with an empty log and these guests.
    pub(crate) fn with(guests: impl IntoIterator<Item = Scripted>) -> Self {
        Self::over(TempDir::new().expect("a directory"), options(), |_| guests.into_iter().collect())
    }

    /// The same, with other options.
    pub(crate) fn tuned(options: EngineOptions, guests: impl IntoIterator<Item = Scripted>) -> Self {
        Self::over(TempDir::new().expect("a directory"), options, |_| guests.into_iter().collect())
    }

    /// A host whose guests call it.
    pub(crate) fn serving(guests: impl FnOnce(&World) -> Vec<Scripted>) -> Self {
        Self::over(TempDir::new().expect("a directory"), options(), guests)
    }

    /// A host over what a directory holds.
    pub(crate) fn over(dir: TempDir, options: EngineOptions, guests: impl FnOnce(&World) -> Vec<Scripted>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let store = open(dir.path());
        let side = HostSide::new(store.clone());
        let world = World { side: side.clone(), store: store.clone() };
        let engine = runtime.block_on(async { Engine::start(store, side, options).expect("starts") });
        for guest in guests(&world) {
            runtime.block_on(async { engine.install(Arc::new(guest)) });
        }
        runtime.block_on(async { engine.ready() });
        Self { engine, runtime: Some(runtime), dir: Some(dir) }
    }

    /// The engine, for what has no shorter form here.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs a future on the host's runtime.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("a host that is not stopped").block_on(future)
    }

    /// One more guest, or another version of one.
    pub(crate) fn install(&self, guest: Scripted) {
        self.run(async { self.engine.install(Arc::new(guest)) });
    }

    /// Stops in an orderly way; the directory stays.
    pub(crate) fn stop(mut self) -> TempDir {
        self.run(self.engine.stop(Duration::from_secs(30)));
        self.engine.store().close().expect("closes");
        self.dir.take().expect("only a stop takes it")
    }

    fn dir(&self) -> &Path {
        self.dir.as_ref().expect("only a stop takes it").path()
    }

    /// What the disk would hold if the host ended at this moment, as a directory of its own. This host goes on.
    pub(crate) fn crashed(&self) -> TempDir {
        let copy = TempDir::new().expect("a directory");
        loop {
            // Log before journal: frames that are only half there are no commit. Until the log has stood still meanwhile.
            let before = contents(self.dir(), |name| !name.ends_with("-wal") && !name.ends_with("-shm"));
            let journal = contents(self.dir(), |name| name.ends_with("-wal"));
            if before == contents(self.dir(), |name| !name.ends_with("-wal") && !name.ends_with("-shm")) {
                for (name, bytes) in before.into_iter().chain(journal) {
                    fs::write(copy.path().join(name), bytes).expect("writes a copy");
                }
                return copy;
            }
        }
    }

    /// Publishes.
    pub(crate) fn publish(&self, incoming: Incoming) -> Answer {
        self.run(self.engine.publish(incoming, caller()))
    }

    /// Submits a definition in YAML, with an input.
    pub(crate) fn try_submit(&self, definition: &str, input: &Value) -> Result<Answer, SubmitError> {
        self.run(self.engine.submit(request(definition, input), caller()))
    }

    /// Submits, and is let in.
    pub(crate) fn submit(&self, definition: &str) -> String {
        let answer = self.try_submit(definition, &json!({})).expect("a valid definition");
        assert_eq!(answer.outcome, Outcome::Appended, "{answer:?}");
        answer.workflow_id.expect("a workflow").to_string()
    }

    /// Waits for a workflow's end.
    pub(crate) fn ended(&self, workflow_id: &str) -> WorkflowView {
        let waited = self.run(async { tokio::time::timeout(LONGEST, self.engine.wait(workflow_id)).await });
        let Ok(view) = waited else { panic!("'{workflow_id}' does not end:\n{}", self.lines().join("\n")) };
        let view = view.expect("the log is readable").expect("the workflow is there");
        assert!(view.status.is_final(), "told of an end that is none: {view:?}");
        view
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < LONGEST, "waited in vain until {what}:\n{}", self.lines().join("\n"));
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Waits until the log has so many events of a type.
    pub(crate) fn until_told(&self, event_type: &str, times: usize) {
        self.until(&format!("{times} × {event_type}"), |host| host.count(event_type) >= times);
    }

    /// How many events of a type the log has.
    pub(crate) fn count(&self, event_type: &str) -> usize {
        self.events().iter().filter(|event| &*event.event_type == event_type).count()
    }

    /// The events of a type.
    pub(crate) fn of_type(&self, event_type: &str) -> Vec<Arc<Event>> {
        self.events().into_iter().filter(|event| &*event.event_type == event_type).collect()
    }

    /// Everything in the log, once what was appended so far is durable.
    pub(crate) fn events(&self) -> Vec<Arc<Event>> {
        let store = self.engine.store();
        if let Ok(appended) = store.append(Batch::default(), Flush::Now) {
            appended.ticket.wait().expect("durable");
        }
        let mut events: Vec<Arc<Event>> = Vec::new();
        loop {
            let after = events.last().map_or(0, |event| event.sequence_number);
            let page = store.read(after, 1_000, 1 << 20).expect("reads");
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }

    /// The types in the log, without bookkeeping.
    pub(crate) fn types(&self) -> Vec<String> {
        let events = self.events();
        let types = events.iter().map(|event| event.event_type.to_string());
        types.filter(|event_type| !BOOKKEEPING.contains(&event_type.as_str())).collect()
    }

    /// The log as lines, for whoever has to find out why.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.events().iter().map(|event| format!("{} {} {}", event.sequence_number, line(event), event.payload)).collect()
    }

    /// A workflow's events with their narration.
    pub(crate) fn story(&self, workflow_id: &str) -> String {
        let events = self.events();
        let of_it = events.iter().filter(|event| event.workflow_id.as_deref() == Some(workflow_id));
        of_it.flat_map(|event| event.expand().collect::<Vec<_>>()).map(|event| line(&event) + "\n").collect()
    }

    /// A workflow's facts.
    pub(crate) fn facts(&self, workflow_id: &str) -> Vec<String> {
        let events = self.events();
        events.iter().filter(|event| event.workflow_id.as_deref() == Some(workflow_id)).map(|event| line(event)).collect()
    }

    /// A value of a plugin's kv space.
    pub(crate) fn kv(&self, plugin: &str, key: &str) -> Option<String> {
        let value = self.engine.store().kv_get(plugin, key).expect("reads").value;
        value.map(|value| String::from_utf8(value).expect("text"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What still runs is cut with its runtime; a guest that hangs must not hang the test.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens the store in a directory; whoever had it before may need a moment to let go.
fn open(dir: &Path) -> Store {
    let begun = Instant::now();
    loop {
        match Store::open(StoreOptions::new(dir), now) {
            Ok(store) => return store,
            Err(error) => assert!(begun.elapsed() < LONGEST, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn contents(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().into_string().expect("a name")).filter(|name| wanted(name));
    let mut files: Vec<(String, Vec<u8>)> = names.map(|name| (name.clone(), fs::read(dir.join(&name)).unwrap_or_default())).collect();
    files.sort();
    files
}

fn line(event: &Event) -> String {
    let of = |what: &str, id: &Option<trackside_model::event::Text>| id.as_ref().map_or(String::new(), |id| format!(" {what}{id}"));
    format!("{}{}{}", event.event_type, of("", &event.task_id), of("@", &event.provider_id))
}

/// An embedding program.
pub(crate) fn caller() -> Caller {
    Caller { origin: Origin::Embedded, principal: None }
}

/// An event with a payload, published by a shop.
pub(crate) fn incoming(event_type: &str, payload: &Value) -> Incoming {
    Incoming {
        event_type: event_type.to_owned(),
        source_component: "shop".to_owned(),
        payload: Some(Json::from_value(payload)),
        ..Incoming::default()
    }
}

/// An order, told from others by its number.
pub(crate) fn order(n: usize) -> Incoming {
    incoming("order:placed", &json!({"n": n}))
}

/// A submission.
pub(crate) fn request(definition: &str, input: &Value) -> SubmitRequest {
    SubmitRequest {
        definition: definition.to_owned(),
        format: Format::guess(definition),
        input: Json::from_value(input),
        event_id: None,
        correlation_id: None,
        metadata: Metadata::new(),
    }
}

/// An answer without what differs from run to run.
pub(crate) fn told(answer: &Answer) -> String {
    let mut told = format!("{:?}", answer.outcome).to_lowercase();
    if let Some(by) = &answer.by {
        told.push_str(&format!(" by {by}"));
    }
    if let Some(reason) = &answer.reason {
        told.push_str(&format!(": {reason}"));
    }
    if let Some(retry_after_ms) = answer.retry_after_ms {
        told.push_str(&format!(" (again in {retry_after_ms} ms)"));
    }
    told
}
