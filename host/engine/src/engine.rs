//! The engine: what its parts share, how it starts and how it stops. Its verbs for edges and embedding programs are here too,
//! each a call into the part that carries it out.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Semaphore, oneshot, watch};
use trackside_model::{
    capability::CapabilityDiff,
    control::{Admitted, Notice},
    event::{Incoming, Position, Text},
    json::Json,
    plugin::PluginInfo,
    ports::Guest,
    reader::ReaderOptions,
    schema::Schemas,
    workflow::{Input, WorkflowView},
};
use trackside_store::{AppendError, Batch, Entry, Flush, ReadError, Store};

use crate::{
    answer::{Answer, Caller},
    atomic::Together,
    bypass::{Bypass, BypassError, Bypasses},
    chain::{self, ChainJob},
    clock,
    commands::{SubmitError, SubmitRequest},
    definitions::Definitions,
    dispatch::Dispatch,
    fold,
    guest_threads::{AnyJob, GuestThreads, WorkerRuntime},
    host_side::HostSide,
    identity::Identity,
    latency::Latencies,
    options::EngineOptions,
    outbox::Cascades,
    readers::{DurableReader, ReaderStatus, Readers, ReadersError},
    replay::Replays,
    roster::Roster,
    runs::Runs,
    sightings::Onlooker,
    slot::PluginStatus,
    stretch::Stretches,
    subscription::{Reading, Subscription},
    tasks::{OnStop, Stopping, Tasks},
    workflows::{self, LoopSender, Message, WorkflowLoop},
};

/// Messages that may wait for the workflow loop; whoever sends more waits.
const MOST_MESSAGES: usize = 65_536;

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread, or no runtime, was to be had.
    #[error("failed to start a thread: {0}")]
    Threads(#[from] std::io::Error),
    /// The log could not be read.
    #[error("failed to recover from the log: {0}")]
    Recovery(#[from] ReadError),
    /// The log takes nothing.
    #[error("failed to begin: {0}")]
    Append(#[from] AppendError),
}

/// What the engine's parts share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) host: Arc<HostSide>,
    pub(crate) options: EngineOptions,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) stopping: Stopping,
    pub(crate) roster: ArcSwap<Roster>,
    pub(crate) schemas: ArcSwap<Schemas>,
    pub(crate) slots: Semaphore,
    pub(crate) identity: Arc<Identity>,
    pub(crate) definitions: Mutex<Definitions>,
    pub(crate) guest_threads: GuestThreads<ChainJob>,
    pub(crate) observer_threads: GuestThreads<AnyJob>,
    pub(crate) workers: WorkerRuntime,
    pub(crate) runs: Runs,
    /// Observers that are being read for.
    pub(crate) reading: Mutex<HashSet<Text>>,
    pub(crate) stretches: Stretches,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) readers: Readers,
    pub(crate) replays: Replays,
    /// Told whenever a version comes into service or goes.
    pub(crate) in_service: watch::Sender<()>,
    pub(crate) cascades: Mutex<Cascades>,
    pub(crate) checks: Latencies,
    pub(crate) appends: Latencies,
    pub(crate) ended: AtomicU64,
    workflows: LoopSender,
    stands_still: AtomicBool,
    pub(crate) bypasses: Bypasses,
    /// One dead letter at a time is decided about.
    pub(crate) redriving: tokio::sync::Mutex<()>,
    /// Serialises changes of the roster.
    pub(crate) changing: Mutex<()>,
}

/// Figures of a running engine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stats {
    /// The log's durable head.
    pub events: u64,
    /// Workflows that ended since the start.
    pub workflows_ended: u64,
    /// Control checks since the start.
    pub checks: u64,
    /// Median of a control check in microseconds.
    pub check_p50_us: f64,
    /// 99th percentile of the same.
    pub check_p99_us: f64,
    /// Median of an append in microseconds, from handing over to durable.
    pub append_p50_us: f64,
    /// 99th percentile of the same.
    pub append_p99_us: f64,
}

/// A running engine. Cloning shares it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// Recovers from the log and starts, on the tokio runtime that this is called on, which is a multi-threaded one.
    ///
    /// # Errors
    /// [`StartError`], by what failed.
    pub fn start(store: Store, host: Arc<HostSide>, options: EngineOptions) -> Result<Self, StartError> {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let machine = fold::machine(&store)?;
        let identity = Identity::new(options.dedup_window_ms, options.dedup_windows.clone(), options.dedup_entries);
        fold::window(&store, &identity)?;
        let (workflows, messages) = workflows::messages(MOST_MESSAGES);
        let shared = Arc::new(Shared {
            guest_threads: GuestThreads::start(
                &tasks,
                "guest",
                options.guest_threads,
                options.check_batch,
                ChainJob::may_share,
                chain::do_jobs,
            )?,
            observer_threads: GuestThreads::start(
                &tasks,
                "observer",
                options.observer_threads,
                1,
                |_| false,
                |jobs| {
                    jobs.into_iter().for_each(|job: AnyJob| job());
                },
            )?,
            workers: WorkerRuntime::start(options.worker_threads)?,
            slots: Semaphore::new(options.publish_slots),
            stopping: tasks.stopping(),
            definitions: Mutex::default(),
            roster: ArcSwap::default(),
            schemas: ArcSwap::default(),
            runs: Runs::default(),
            reading: Mutex::default(),
            stretches: Stretches::default(),
            dispatch: Arc::default(),
            readers: Readers::default(),
            replays: Replays::default(),
            in_service: watch::Sender::default(),
            cascades: Mutex::new(Cascades::new(&options)),
            checks: Latencies::default(),
            appends: Latencies::default(),
            ended: AtomicU64::new(0),
            stands_still: AtomicBool::new(false),
            bypasses: Bypasses::recover(&store, clock::now())?,
            redriving: tokio::sync::Mutex::default(),
            changing: Mutex::default(),
            store,
            host,
            options,
            tasks,
            identity,
            workflows,
        });
        shared.readers.recover(&shared)?;
        let workflow_loop = WorkflowLoop::new(Arc::downgrade(&shared), machine);
        shared.tasks.thread("workflows", move || workflow_loop.run(&messages.waiting))?;
        shared.tasks.spawn("dispatch", OnStop::Drain, shared.dispatch.clone().run(shared.store.clone(), shared.tasks.stopping()));
        shared.announce("engine:started", json!({}))?;
        Ok(Self { shared })
    }

    /// Everything that is to be loaded is loaded: what was under way before the start goes on.
    pub fn ready(&self) {
        let shared = &self.shared;
        shared.tasks.spawn("outbox", OnStop::Drain, shared.clone().dispatch_outbox());
        shared.resume_bypasses();
        shared.resume_replays();
        shared.tasks.spawn("heartbeats", OnStop::Abort, shared.clone().beat());
        shared.tasks.spawn("retention", OnStop::Drain, shared.clone().follow_retention());
        shared.notify(Notice::new(
            "system:started",
            clock::fresh_id(),
            clock::now(),
            json!({"plugins": shared.roster.load().all().count()}),
        ));
        shared.tell_loop(Message::Input(Box::new(Input::Recovered), None));
    }

    /// Takes a plugin version into service, in one step, in place of another of its name. Calls in flight finish on the version they began with.
    pub fn install(&self, guest: Arc<dyn Guest>) {
        self.shared.install(guest, None);
    }

    /// The same, of a version that can do more than the one before it, by the consent of whoever is named.
    pub fn install_accepted(&self, guest: Arc<dyn Guest>, accepted_by: &str) {
        self.shared.install(guest, Some(accepted_by));
    }

    /// What is known of the version of this name that is in service, if one is.
    pub fn running(&self, name: &str) -> Option<PluginInfo> {
        self.shared.roster.load().get(name).map(|slot| slot.info().clone())
    }

    /// Takes a plugin out of service. `false` if there is none of this name.
    pub fn remove(&self, name: &str, reason: &str) -> bool {
        self.shared.remove(name, reason)
    }

    /// Takes note of a file or a version that did not load, or that can do more than it may; what runs goes on.
    pub fn refused(&self, name: &str, reason: &str, changes: &CapabilityDiff) {
        let running = self.shared.roster.load().get(name).map(|slot| slot.info().short_version());
        let payload = json!({"plugin": name, "reason": reason, "running": running, "changes": changes});
        self.shared.notify(Notice::new("plugin:reload_failed", clock::fresh_id(), clock::now(), payload));
    }

    /// Has a plugin passed over for a while: not asked, not handed events, not given work. Logged first; outlives a restart, ends by itself.
    ///
    /// # Errors
    /// [`BypassError`], by what stands against it.
    pub async fn bypass(&self, plugin: &str, for_ms: u64, by: &str, reason: Option<String>) -> Result<Bypass, BypassError> {
        self.shared.bypass(plugin, for_ms, by, reason).await
    }

    /// Ends a bypass before its time. `false`: there is none.
    ///
    /// # Errors
    /// [`BypassError`] if the log does not take it.
    pub async fn end_bypass(&self, plugin: &str, by: &str) -> Result<bool, BypassError> {
        self.shared.end_bypass(plugin, by).await
    }

    /// The plugins in service, by name.
    pub fn plugins(&self) -> Vec<PluginStatus> {
        self.shared.roster.load().all().map(|slot| slot.status()).collect()
    }

    /// Puts the type in place of a name that the operator has it known by, as a publish does.
    pub fn name_as_in_the_log(&self, incoming: &mut Incoming) {
        self.shared.name_as_in_the_log(incoming);
    }

    /// Publishes one event: the answer comes when it is durable, or when it is clear that it will not be.
    pub async fn publish(&self, incoming: Incoming, caller: Caller) -> Answer {
        self.shared.publish(incoming, caller).await
    }

    /// Publishes all of these events in one commit, or none of them.
    pub async fn publish_together(&self, incoming: Vec<Incoming>, caller: Caller) -> Together {
        self.shared.publish_together(incoming, caller).await
    }

    /// Submits a workflow: the answer comes when it is durable.
    ///
    /// # Errors
    /// [`SubmitError`] with everything that is wrong with the request.
    pub async fn submit(&self, request: SubmitRequest, caller: Caller) -> Result<Answer, SubmitError> {
        self.shared.submit(request, caller).await
    }

    /// Cancels a workflow.
    pub async fn cancel(&self, workflow_id: &str, reason: String, caller: Caller) -> Answer {
        let payload = json!({"workflow_id": workflow_id, "reason": reason});
        let source = caller.principal.as_deref().unwrap_or("client").to_owned();
        let incoming = Incoming {
            event_type: "workflow:cancel".to_owned(),
            source_component: source,
            payload: Some(Json::from(payload)),
            ..Incoming::default()
        };
        self.shared.publish(incoming, caller).await
    }

    /// Waits for a workflow's end, and for that to be durable. `None`: there is no such workflow.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub async fn wait(&self, workflow_id: &str) -> Result<Option<WorkflowView>, ReadError> {
        let (tell, told) = oneshot::channel();
        self.shared.tell_loop(Message::Watch(Text::from(workflow_id), tell));
        if let Ok(Some(ending)) = told.await
            && ending.ticket.durable().await.is_ok()
        {
            return Ok(Some(fold::opened(&self.shared.store, ending.view)));
        }
        // It may have ended a moment ago, in a commit that is still on its way.
        if let Ok(appended) = self.shared.store.append(Batch::default(), Flush::Now) {
            let _ = appended.ticket.durable().await;
        }
        self.workflow(workflow_id).await
    }

    /// A workflow as it stands. `None`: there is no such workflow.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub async fn workflow(&self, workflow_id: &str) -> Result<Option<WorkflowView>, ReadError> {
        match self.shared.show(&Text::from(workflow_id)).await {
            Some(view) => Ok(Some(fold::opened(&self.shared.store, view))),
            None => fold::workflow(&self.shared.store, workflow_id),
        }
    }

    /// Reads the log from behind a position, and waits for more at its end.
    pub fn subscribe(&self, reading: Reading) -> Subscription {
        Subscription::new(self.shared.store.clone(), self.shared.dispatch.clone(), reading)
    }

    /// Makes a durable reader, or has one read differently from now on; its cursor stays unless `from` is given. A new one begins at the head, or
    /// there. `true`: it is new.
    ///
    /// # Errors
    /// [`ReadersError`], by what stands against it.
    pub async fn set_reader(&self, name: &str, options: ReaderOptions, from: Option<Position>, by: &str) -> Result<bool, ReadersError> {
        self.shared.set_reader(name, options, from, by).await
    }

    /// Takes a durable reader away, its cursor too. `false`: there is none of this name.
    ///
    /// # Errors
    /// [`ReadersError`] if the log does not take it.
    pub async fn remove_reader(&self, name: &str, by: &str) -> Result<bool, ReadersError> {
        self.shared.remove_reader(name, by).await
    }

    /// The durable reader of this name, if there is one.
    pub fn reader(&self, name: &str) -> Option<Arc<DurableReader>> {
        self.shared.durable_reader(name)
    }

    /// The durable readers as they stand, by name.
    pub fn readers(&self) -> Vec<ReaderStatus> {
        self.shared.durable_readers().iter().map(|reader| reader.status()).collect()
    }

    /// What its parts share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Looks on at what plugins do, in place of whoever did before: for display, and lossy.
    pub fn watch_plugins(&self) -> Onlooker {
        self.shared.host.sightings.watch()
    }

    /// The store, for queries.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The registry, for the tasks of whoever runs this engine.
    pub fn tasks(&self) -> &Arc<Tasks> {
        &self.shared.tasks
    }

    /// Figures.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let [check_p50_us, check_p99_us] = shared.checks.percentiles_us([0.5, 0.99]);
        let [append_p50_us, append_p99_us] = shared.appends.percentiles_us([0.5, 0.99]);
        Stats {
            events: shared.store.durable_head(),
            workflows_ended: shared.ended.load(Relaxed),
            checks: shared.checks.count(),
            check_p50_us,
            check_p99_us,
            append_p50_us,
            append_p99_us,
        }
    }

    /// Why the host can do no more than read, if that is so.
    pub fn trouble(&self) -> Option<String> {
        if let Some(poisoned) = self.shared.store.poisoned() {
            return Some(poisoned.to_string());
        }
        self.shared.stands_still.load(Relaxed).then(|| "the workflows stand still; see the host's log, and restart the host".to_owned())
    }

    /// Stops: nothing more comes in, what is out has the grace period, the log is told, the threads are joined. The store stays open.
    pub async fn stop(&self, grace: Duration) {
        let shared = &self.shared;
        shared.notify(Notice::new("system:stopping", clock::fresh_id(), clock::now(), json!({"grace_ms": grace.as_millis() as u64})));
        let deadline = tokio::time::Instant::now() + grace;
        shared.tasks.stop(grace).await;
        shared.drain_runs(deadline).await;
        shared.tell_loop(Message::Stop);
        shared.guest_threads.close();
        shared.observer_threads.close();
        let tasks = shared.tasks.clone();
        tasks.join_threads();
        shared.guest_threads.let_go();
        shared.observer_threads.let_go();
        if let Err(error) = shared.announce("engine:stopped", json!({})) {
            tracing::warn!("the log was not told of the stop: {error}");
        }
    }
}

impl Shared {
    fn announce(&self, event_type: &str, payload: serde_json::Value) -> Result<(), AppendError> {
        if let Ok(notice) = Notice::new(event_type, clock::fresh_id(), clock::now(), payload) {
            self.store.append(Batch::of([Entry::fresh(Admitted::notice(notice))]), Flush::Now)?;
        }
        Ok(())
    }

    /// Tells the workflow loop. A loop that has come to an end takes nothing, and needs nothing.
    pub(crate) fn tell_loop(&self, message: Message) {
        self.workflows.tell(message);
    }

    /// The loop has come to an end in trouble.
    pub(crate) fn workflows_stopped(&self) {
        self.stands_still.store(true, Relaxed);
    }

    /// A workflow that is under way.
    pub(crate) async fn show(&self, workflow_id: &Text) -> Option<WorkflowView> {
        let (tell, told) = oneshot::channel();
        self.tell_loop(Message::Show(workflow_id.clone(), tell));
        told.await.ok().flatten()
    }

    /// Tells the workflow loop who is in service now.
    pub(crate) fn roster_changed(&self) {
        let roster = self.roster.load();
        self.tell_loop(Message::Input(Box::new(Input::Points(roster.points())), None));
        self.tell_loop(Message::Input(Box::new(Input::Providers(roster.providers())), None));
    }

    /// What this handler held is asked about again: it is gone, another version, restored or bypassed.
    pub(crate) fn freed(&self, plugin: &Text) {
        self.tell_loop(Message::Input(Box::new(Input::Freed(plugin.clone())), None));
    }

    /// Waits for the calls to workers that are out, for as long as the grace lasts; what is cut is made again after the restart.
    async fn drain_runs(&self, deadline: tokio::time::Instant) {
        let empty = async {
            while !self.runs.lock().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout_at(deadline, empty).await.is_err() {
            for (_, handle) in self.runs.lock().drain() {
                handle.abort();
            }
        }
    }
}
