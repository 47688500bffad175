//! One plugin called in one of its roles, and what its call released kept for the next one. The host's own rules about an answer hold here too.
//! What there is to tell of a call is put into JSON by `told`.

use std::sync::Arc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::json;
use trackside_model::{
    catalogue::{self, Entry, Owner},
    control::{DecisionPoint, Signal},
    event::{EnvelopeLimits, Event},
    json::Json,
    plugin::PluginInfo,
    ports::{CallReport, Delivery, EventBatch, Fault, FaultKind, Guest, HostCalls as _, Outbox, Subject, TaskCall},
    time::Timestamp,
};

use super::{Circumstances, MemoryHost, OfflineError, Told, input::TaskText};

/// When it is in a rehearsal, where neither the case nor its events say: 2026-01-01T00:00:00Z.
pub(crate) const REHEARSED_AT: Timestamp = Timestamp(1_767_225_600_000_000_000);

/// What a plugin is called as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// It judges each event, in a call of its own.
    Control,
    /// It is handed all events in one batch.
    Observer,
    /// It does a task.
    Worker,
}

impl Role {
    /// The name in files and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Observer => "observer",
            Self::Worker => "worker",
        }
    }
}

/// What a plugin is to be called with.
pub(crate) enum Call {
    /// Events, for a control handler or an observer.
    Events(Vec<Event>),
    /// A task, for a worker.
    Task(TaskText),
}

/// How a plugin is called without a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// To see what it does: at this time, and even where its filter would keep the event from it, which is said.
    Trial,
    /// To see that it does the same again: at the events' own time, and only with what its filter wants, as in a host.
    Rehearsal,
}

/// A loaded plugin, and the host's side in memory.
pub(crate) struct Stand {
    guest: Arc<dyn Guest>,
    calls: Arc<MemoryHost>,
    manner: Manner,
}

impl Stand {
    pub(crate) fn new(guest: Arc<dyn Guest>, calls: Arc<MemoryHost>, manner: Manner) -> Self {
        // Describing itself is over: what it said then belongs to no call.
        calls.take_trace();
        Self { guest, calls, manner }
    }

    pub(crate) fn info(&self) -> &PluginInfo {
        self.guest.info()
    }

    /// Calls it: a control handler once for each event, an observer once for all, a worker once.
    ///
    /// # Errors
    /// [`OfflineError`], if it cannot be called so.
    pub(crate) fn call(&self, call: Call, role: Option<Role>, circumstances: &Circumstances) -> Result<Vec<Told>, OfflineError> {
        let role = self.role(role, &call)?;
        match (call, role) {
            (Call::Task(task), _) => Ok(vec![self.run(&task.call(self.info())?, circumstances)?]),
            (Call::Events(events), Role::Observer) => Ok(vec![self.observe(events, circumstances)?]),
            (Call::Events(events), _) => events.into_iter().map(|event| self.check(&event, circumstances)).collect(),
        }
    }

    /// The role that suits: the one that is asked for, else worker for a task, and control before observer for events.
    fn role(&self, asked: Option<Role>, call: &Call) -> Result<Role, OfflineError> {
        let roles = self.info().roles;
        let role = match (asked, call) {
            (Some(role), _) => role,
            (None, Call::Task(_)) => Role::Worker,
            (None, Call::Events(_)) if roles.control || !roles.observer => Role::Control,
            (None, Call::Events(_)) => Role::Observer,
        };
        let has = match role {
            Role::Control => roles.control,
            Role::Observer => roles.observer,
            Role::Worker => roles.worker,
        };
        let suits = matches!(call, Call::Task(_)) == (role == Role::Worker);
        match (has, suits) {
            (false, _) => {
                Err(OfflineError(format!("{} has no role {}; it has {}", self.info().name, role.name(), roles.names().join(", "))))
            }
            (_, false) => Err(OfflineError(match role {
                Role::Worker => "a worker is given a task, not an event".to_owned(),
                _ => "a task is for a worker; give an event".to_owned(),
            })),
            (true, true) => Ok(role),
        }
    }

    fn check(&self, event: &Event, circumstances: &Circumstances) -> Result<Told, OfflineError> {
        let point = circumstances.point_of(event)?;
        let wanted = self.info().controls.matches(event);
        if !wanted && self.manner == Manner::Rehearsal {
            return Ok(Told::not_asked(Role::Control, json!({"event_type": event.event_type})));
        }
        let now = self.clock(circumstances, event.timestamp);
        let context = circumstances.check_context(point, now, self.info());
        // At the door an event has no place in the log yet.
        let mut at_door = event.clone();
        at_door.sequence_number = 0;
        let answered = self.guest.check(&Subject::new(&at_door, context.principal.as_deref()), &context);
        let report = judged(answered, &at_door, point);
        let told = self.told(now, report, |outcome| Told::checked(outcome, point, event));
        Ok(told.wanted(wanted))
    }

    fn observe(&self, events: Vec<Event>, circumstances: &Circumstances) -> Result<Told, OfflineError> {
        let all = events.len();
        let wanted: Vec<Event> = match self.manner {
            Manner::Trial => events,
            Manner::Rehearsal => events.into_iter().filter(|event| self.observes(event)).collect(),
        };
        let is_wanted = wanted.iter().all(|event| self.observes(event));
        let Some(last) = wanted.last() else { return Ok(Told::not_asked(Role::Observer, json!({"events": all}))) };
        let now = self.clock(circumstances, last.timestamp);
        let batch = EventBatch::new(wanted.into_iter().map(|event| Arc::new(self.placed(event))).collect());
        let delivery: Delivery = circumstances.delivery(now);
        let report = if self.info().observer_waits() {
            waiting(self.guest.observe_waiting(&batch, &delivery))?
        } else {
            self.guest.observe(&batch, &delivery)
        };
        Ok(self.told(now, report, |outcome| Told::observed(outcome, batch.events().len())).wanted(is_wanted))
    }

    /// Whether a host hands its observer this event. Narration is for those alone who name it.
    fn observes(&self, event: &Event) -> bool {
        let filter = &self.info().observes;
        let is_narration = catalogue::entry(&event.event_type).is_some_and(Entry::is_narration);
        filter.matches(event) && (!is_narration || filter.names_narration())
    }

    /// The event at its place in the log: its own, if it was recorded behind the last, else the next.
    fn placed(&self, mut event: Event) -> Event {
        let next = self.calls.head() + 1;
        if event.sequence_number < next {
            event.sequence_number = next;
        }
        self.calls.append(event.clone());
        event
    }

    fn run(&self, task: &TaskCall, circumstances: &Circumstances) -> Result<Told, OfflineError> {
        let now = self.clock(circumstances, REHEARSED_AT);
        let report = waiting(self.guest.run(task))?;
        Ok(self.told(now, report, |outcome| Told::worked(outcome, task)))
    }

    /// When a call is: what the circumstances say, else the real time, or in a rehearsal `own`, where time then stands.
    fn clock(&self, circumstances: &Circumstances, own: Timestamp) -> Timestamp {
        let stands = circumstances.now.or((self.manner == Manner::Rehearsal).then_some(own));
        if let Some(now) = stands {
            self.calls.set_now(now);
        }
        self.calls.now()
    }

    fn told<T>(&self, now: Timestamp, report: CallReport<T>, outcome: impl FnOnce(Result<T, Fault>) -> Told) -> Told {
        let CallReport { outcome: answer, outbox, usage } = report;
        self.calls.release(outbox.clone(), now);
        outcome(answer).with(usage, &outbox, self.calls.take_trace(), &self.calls.space(), now)
    }
}

/// Waits for a call that is a future.
fn waiting<T>(call: impl Future<Output = T>) -> Result<T, OfflineError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OfflineError::of)?;
    Ok(runtime.block_on(call))
}

/// A value that a host would not take is a malformed answer: one that no edge could have sent, or one in place of what a command says.
fn judged(mut report: CallReport<Signal>, event: &Event, point: DecisionPoint) -> CallReport<Signal> {
    let limits = EnvelopeLimits::default();
    let value: Option<&Json> = match &report.outcome {
        Ok(Signal::Proceed(Some(value)) | Signal::Fallback { value, .. }) => Some(value),
        _ => None,
    };
    let is_command = catalogue::entry(&event.event_type).is_some_and(|entry| entry.owner == Owner::Command);
    let refused = match value {
        Some(_) if is_command && point == DecisionPoint::Publish => Some("nobody may replace what a command says".to_owned()),
        Some(value) => Json::check(value.as_str(), limits.payload_bytes, limits.payload_depth).err().map(|error| error.to_string()),
        None => None,
    };
    if let Some(error) = refused {
        let message = format!("malformed answer: {error}");
        report.outcome = Err(Fault { kind: FaultKind::Malformed, message, used: 0, allowed: 0 });
        report.outbox = Outbox::default();
    }
    report
}
