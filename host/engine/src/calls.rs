//! One guarded call, as the engine sees it: ask the breaker, call, tell breaker and log what became of it.
//! What the answer means is the caller's; how the guest is guarded is the plugin host's.

use std::sync::Arc;

use serde_json::json;
use trackside_model::{
    breaker::{Permission, Transition},
    control::{Admitted, CheckContext, Judged, Notice, NoticeError, Signal},
    event::{Event, HOPS, Text},
    json::Json,
    ports::{BatchTurn, BatchVerdicts, CallReport, CheckBatch, Delivery, EventBatch, Failure, Fault, FaultKind, Subject, TaskCall, Usage},
    time::Timestamp,
};
use trackside_store::{Batch, Entry, Flush};

use crate::{
    bypass::Bypass,
    clock,
    engine::Shared,
    outbox,
    sightings::{Answered, Call, Sighting},
    slot::Slot,
    tasks::OnStop,
};

/// When a call was over that began at `now`: the clock is not asked again for each of a hundred handlers.
fn after(now: Timestamp, usage: Usage) -> Timestamp {
    Timestamp(now.0.saturating_add(usage.duration_ns))
}

/// What a plugin was called about: names the events of its faults.
pub(crate) struct About<'a> {
    pub(crate) call: &'static str,
    /// The first of a batch.
    pub(crate) event: Option<&'a Event>,
    /// How many there are of a batch.
    pub(crate) events: usize,
    pub(crate) task: Option<&'a TaskCall>,
}

impl<'a> About<'a> {
    /// An observer's batch.
    fn batch(batch: &'a EventBatch) -> Self {
        let events = batch.events();
        Self { call: "observe", event: events.first().map(Arc::as_ref), events: events.len(), task: None }
    }

    /// The event's type, or the task's method.
    fn text(&self) -> Text {
        match (self.event, self.task) {
            (Some(event), _) => Text::from(&*event.event_type),
            (None, Some(task)) => task.method.clone(),
            (None, None) => Text::default(),
        }
    }
}

/// An answer, for whoever looks on.
trait Brief {
    fn in_few_words(&self) -> Answered;
}

impl Brief for Signal {
    fn in_few_words(&self) -> Answered {
        Answered { word: self.name(), reason: self.reason().map(str::to_owned) }
    }
}

/// A batch's is that of the first event that did not simply proceed.
impl Brief for BatchVerdicts {
    fn in_few_words(&self) -> Answered {
        let Some((_, first)) = self.first() else { return Signal::Proceed(None).in_few_words() };
        let reason =
            first.reason().map(|reason| if self.len() == 1 { reason.to_owned() } else { format!("{reason} ({} of them)", self.len()) });
        Answered { word: first.name(), reason }
    }
}

impl Brief for Result<(), String> {
    fn in_few_words(&self) -> Answered {
        let word = if self.is_ok() { "done" } else { "error" };
        Answered { word, reason: self.as_ref().err().cloned() }
    }
}

impl Brief for Result<Json, Failure> {
    fn in_few_words(&self) -> Answered {
        let word = if self.is_ok() { "done" } else { "failed" };
        Answered { word, reason: self.as_ref().err().map(|failure| failure.message.clone()) }
    }
}

/// A call that was let through and has not come back. Dropped with its future, when the attempt is cut, it says nothing about the plugin;
/// but a probe's place must be free again.
struct Untold<'a>(Option<(&'a Arc<Shared>, &'a Slot)>);

impl Untold<'_> {
    fn came_back(mut self) {
        self.0 = None;
    }
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if let Some((shared, slot)) = self.0
            && slot.abandoned(clock::now())
        {
            // Whoever waits for this provider may try.
            shared.roster_changed();
        }
    }
}

/// A call is not made.
pub(crate) enum NotCalled {
    /// The breaker does not let it through.
    Quarantined { retry_after_ms: u64 },
    /// An operator has the plugin passed over.
    Bypassed(Arc<Bypass>),
}

impl NotCalled {
    /// When asking again may help, in milliseconds.
    pub(crate) fn retry_after_ms(&self) -> u64 {
        match self {
            Self::Quarantined { retry_after_ms } => *retry_after_ms,
            Self::Bypassed(bypass) => bypass.until.ms_since(clock::now()) + 1,
        }
    }
}

impl Shared {
    /// Asks a control handler.
    pub(crate) fn check(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        subject: &Subject<'_>,
        context: &CheckContext,
    ) -> Result<CallReport<Signal>, NotCalled> {
        self.permitted(slot, context.now)?;
        let mut report = slot.guest().check(subject, context);
        outbox::name_version(&mut report.outbox, slot);
        let about = About { call: "check", event: Some(&subject.event), events: 1, task: None };
        self.called(slot, &report, 1, &about, after(context.now, report.usage));
        self.judged(slot, &report, 1);
        Ok(report)
    }

    /// Asks a control handler about several events at once.
    pub(crate) fn check_batch(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        batch: &CheckBatch,
        turn: &BatchTurn,
    ) -> Result<CallReport<BatchVerdicts>, NotCalled> {
        self.permitted(slot, turn.now)?;
        let report = slot.guest().check_batch(batch, turn);
        let now = after(turn.now, report.usage);
        let events = batch.asked().len();
        self.judged(slot, &report, events);
        let first = batch.asked().first().map(|(subject, _)| &*subject.event);
        let about = About { call: "check", event: first, events, task: None };
        match &report.outcome {
            Ok(_) => self.called(slot, &report, events as u64, &about, now),
            // The time is gone for everybody who waits behind it, whichever event it was; and a promise is broken whichever it was.
            Err(fault) if matches!(fault.kind, FaultKind::Deadline | FaultKind::Promise) => self.called(slot, &report, 1, &about, now),
            // Whose event it was is found out by asking one by one, and that call is charged.
            Err(_) => {
                if slot.abandoned(now) {
                    self.roster_changed();
                }
            }
        }
        Ok(report)
    }

    fn judged<T>(&self, slot: &Slot, report: &CallReport<T>, events: usize) {
        if slot.info().batches {
            let judged = Judged { events, duration_ns: report.usage.duration_ns, faulted: report.outcome.is_err() };
            slot.judged(judged, self.options.check_batch);
        }
    }

    /// Hands a batch to an observer.
    pub(crate) fn observe(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        batch: &EventBatch,
        delivery: &Delivery,
    ) -> Result<CallReport<Result<(), String>>, NotCalled> {
        self.permitted(slot, clock::now())?;
        let mut report = slot.guest().observe(batch, delivery);
        outbox::name_version(&mut report.outbox, slot);
        let about = About::batch(batch);
        self.called(slot, &report, 1, &about, clock::now());
        Ok(report)
    }

    /// The same for an observer that waits for the world outside: its call is a future.
    pub(crate) async fn observe_waiting(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        batch: &EventBatch,
        delivery: &Delivery,
    ) -> Result<CallReport<Result<(), String>>, NotCalled> {
        self.permitted(slot, clock::now())?;
        let untold = Untold(Some((self, slot)));
        let mut report = slot.guest().observe_waiting(batch, delivery).await;
        outbox::name_version(&mut report.outbox, slot);
        untold.came_back();
        let about = About::batch(batch);
        self.called(slot, &report, 1, &about, clock::now());
        Ok(report)
    }

    /// Has a worker do a task.
    pub(crate) async fn run(self: &Arc<Self>, slot: &Arc<Slot>, task: &TaskCall) -> Result<CallReport<Result<Json, Failure>>, NotCalled> {
        self.permitted(slot, clock::now())?;
        let untold = Untold(Some((self, slot)));
        let mut report = slot.guest().run(task).await;
        outbox::name_version(&mut report.outbox, slot);
        untold.came_back();
        let about = About { call: "run", event: None, events: 1, task: Some(task) };
        self.called(slot, &report, 1, &about, clock::now());
        Ok(report)
    }

    fn permitted(&self, slot: &Slot, now: Timestamp) -> Result<(), NotCalled> {
        if let Some(bypass) = slot.bypassed(now) {
            return Err(NotCalled::Bypassed(bypass));
        }
        match slot.permission(now) {
            Permission::Call => Ok(()),
            Permission::Probe => {
                self.tell_probe(slot);
                Ok(())
            }
            Permission::Refused { retry_after_ms } => Err(NotCalled::Quarantined { retry_after_ms }),
        }
    }

    fn tell_probe(&self, slot: &Slot) {
        let info = slot.info();
        let payload = json!({"plugin": &*info.name, "version": &*info.short_version()});
        let notice = Notice::new("circuit:half_open", clock::fresh_id(), clock::now(), payload);
        self.notify(notice.map(|notice| notice.about_provider(&info.name)));
    }

    fn called<T: Brief>(self: &Arc<Self>, slot: &Arc<Slot>, report: &CallReport<T>, events: u64, about: &About<'_>, now: Timestamp) {
        self.host.sightings.show(|| {
            Sighting::Call(Call {
                plugin: slot.name().clone(),
                call: about.call,
                about: about.text(),
                events: about.events,
                outcome: report.outcome.as_ref().map(Brief::in_few_words).map_err(Clone::clone),
                usage: report.usage,
                publishes: report.outbox.publishes.len(),
                kv_writes: report.outbox.kv_writes.len(),
            })
        });
        let fault = report.outcome.as_ref().err();
        let transition = slot.called(fault, report.usage, events, now);
        match fault {
            // It may have been a probe, whose place is free again.
            Some(fault) if fault.kind == FaultKind::Cancelled => self.roster_changed(),
            Some(fault) => self.tell_fault(slot, fault, report.usage, about),
            None => {}
        }
        if let Some(transition) = transition {
            self.tell_transition(slot, transition);
        }
    }

    fn tell_fault(&self, slot: &Slot, fault: &Fault, usage: Usage, about: &About<'_>) {
        let info = slot.info();
        let payload = json!({
            "plugin": &*info.name,
            "version": &*info.short_version(),
            "settings": &*info.short_settings(),
            "call": about.call,
            "kind": fault.kind,
            "message": fault.message,
            "used": fault.used,
            "allowed": fault.allowed,
            "duration_ms": usage.duration_ns / 1_000_000,
            "http_requests": usage.http.requests,
            "event": about.event.map(|event| json!({"event_id": event.event_id, "event_type": event.event_type, "sequence_number": event.sequence_number})),
        });
        self.notify(Notice::new("plugin:fault", clock::fresh_id(), clock::now(), payload).map(|notice| {
            let notice = notice.about_provider(&info.name);
            match (about.event, about.task) {
                (Some(event), _) => notice.caused_by(event),
                (None, Some(task)) => {
                    let hops = task.metadata.get(HOPS).and_then(|hops| hops.parse().ok());
                    let notice = notice.about_task(&task.correlation_id, &task.workflow_id, Some(&task.task_id));
                    hops.map_or(notice.clone(), |hops| notice.hops(hops))
                }
                (None, None) => notice,
            }
        }));
    }

    fn tell_transition(self: &Arc<Self>, slot: &Arc<Slot>, transition: Transition) {
        let info = slot.info();
        if transition == Transition::Closed {
            self.freed(&info.name);
        }
        let (event_type, circuit, payload) = match transition {
            Transition::Opened { until } => {
                let payload = json!({"plugin": &*info.name, "version": &*info.short_version(), "until": until, "on_fault": info.on_fault});
                self.wake_at(until);
                ("plugin:quarantined", "circuit:opened", payload)
            }
            Transition::Closed => ("plugin:restored", "circuit:closed", json!({"plugin": &*info.name, "version": &*info.short_version()})),
        };
        for event_type in [event_type, circuit] {
            let notice = Notice::new(event_type, clock::fresh_id(), clock::now(), payload.clone());
            self.notify(notice.map(|notice| notice.about_provider(&info.name)));
        }
        self.roster_changed();
    }

    /// Lets the workflows look for providers again when a quarantine is over.
    pub(crate) fn wake_at(self: &Arc<Self>, until: trackside_model::time::Timestamp) {
        let shared = Arc::downgrade(self);
        let wait = std::time::Duration::from_millis(until.ms_since(clock::now()) + 1);
        self.tasks.spawn("quarantine", OnStop::Abort, async move {
            tokio::time::sleep(wait).await;
            if let Some(shared) = shared.upgrade() {
                shared.roster_changed();
            }
        });
    }

    /// Puts a notice into the log, with the next commit.
    pub(crate) fn notify(&self, notice: Result<Notice, NoticeError>) {
        let appended = notice.map_err(|error| error.to_string()).and_then(|notice| {
            let batch = Batch::of([Entry::fresh(Admitted::notice(notice))]);
            self.store.append(batch, Flush::Lazy).map_err(|error| error.to_string())
        });
        if let Err(error) = appended {
            tracing::error!("the log does not take a notice of the host: {error}");
        }
    }
}
