//! A plugin version in service: the guest, its breaker, and what is known of its calls.
//! The rules of the breaker are the model's; telling the log of its turns is `calls`'.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde::Serialize;
use trackside_model::{
    breaker::{Breaker, BreakerState, Permission, Transition},
    control::{Handler, Judged, next_batch},
    event::Text,
    plugin::PluginInfo,
    ports::{Fault, FaultKind, Guest, Usage},
    time::Timestamp,
};

use crate::{bypass::Bypass, clock, latency::Latencies};

/// A plugin version in service.
pub(crate) struct Slot {
    guest: Arc<dyn Guest>,
    handler: Handler,
    /// Events that its next call may be about, if it takes many.
    batch: AtomicUsize,
    breaker: Mutex<Breaker>,
    bypass: ArcSwapOption<Bypass>,
    calls: AtomicU64,
    faults: AtomicU64,
    last_fault: Mutex<Option<LastFault>>,
    latencies: Latencies,
    http: Mutex<HttpTotals>,
}

/// What all calls of a version have sent and got over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpTotals {
    /// Requests that went out.
    pub requests: u64,
    /// Bytes of their bodies.
    pub request_bytes: u64,
    /// Bytes of the answers' bodies.
    pub response_bytes: u64,
}

/// The last fault, for people.
#[derive(Clone, Debug, Serialize)]
pub struct LastFault {
    /// Its true cause.
    pub kind: FaultKind,
    /// What happened.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A plugin as it is shown to people and clients.
#[derive(Clone, Debug, Serialize)]
pub struct PluginStatus {
    /// What is known of it.
    #[serde(flatten)]
    pub info: PluginInfo,
    /// `serving`, `quarantined` while its breaker is open, or `bypassed` while an operator has it passed over.
    pub state: &'static str,
    /// The bypass, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Arc<Bypass>>,
    /// Milliseconds until a probe, while quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Calls since it came into service.
    pub calls: u64,
    /// Calls of those that ended in a fault.
    pub faults: u64,
    /// The last fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<LastFault>,
    /// Median of its calls' time in microseconds, waiting for an instance included.
    pub p50_us: f64,
    /// 99th percentile of the same.
    pub p99_us: f64,
    /// What it has sent and got over HTTP since then, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpTotals>,
}

impl Slot {
    pub(crate) fn new(guest: Arc<dyn Guest>) -> Self {
        let breaker = Breaker::new(guest.info().breaker);
        Self {
            handler: Handler::of(guest.info()),
            // The first calls say how much more it can be given.
            batch: AtomicUsize::new(1),
            guest,
            breaker: Mutex::new(breaker),
            bypass: ArcSwapOption::empty(),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            last_fault: Mutex::default(),
            latencies: Latencies::default(),
            http: Mutex::default(),
        }
    }

    pub(crate) fn info(&self) -> &PluginInfo {
        self.guest.info()
    }

    /// What a chain knows of it.
    pub(crate) fn handler(&self) -> &Handler {
        &self.handler
    }

    /// Whether it is asked before this other one.
    pub(crate) fn stands_before(&self, other: &Self) -> bool {
        (self.info().priority, self.name()) < (other.info().priority, other.name())
    }

    /// Events that its next call may be about.
    pub(crate) fn batch(&self) -> usize {
        self.batch.load(Relaxed)
    }

    /// Takes note of how a call went that could have been about many events.
    pub(crate) fn judged(&self, judged: Judged, most: usize) {
        let now = self.batch();
        let next = next_batch(now, judged, self.info().limits.timeout_ms, most);
        if next != now {
            self.batch.store(next, Relaxed);
        }
    }

    pub(crate) fn guest(&self) -> &Arc<dyn Guest> {
        &self.guest
    }

    /// The bypass that it is passed over by, if there is one at this moment.
    pub(crate) fn bypassed(&self, now: Timestamp) -> Option<Arc<Bypass>> {
        self.bypass.load().as_ref().filter(|bypass| bypass.until > now).cloned()
    }

    pub(crate) fn set_bypass(&self, bypass: Option<Arc<Bypass>>) {
        self.bypass.store(bypass);
    }

    /// Whether its breaker lets a call through; a probe counts as one.
    pub(crate) fn permission(&self, now: Timestamp) -> Permission {
        self.breaker.lock().allow(now)
    }

    /// Whether a call would be let through, without taking a probe.
    pub(crate) fn may_be_called(&self) -> bool {
        if self.bypassed(clock::now()).is_some() {
            return false;
        }
        let breaker = self.breaker.lock();
        match breaker.state() {
            BreakerState::Closed => true,
            BreakerState::Open => breaker.open_until().is_some_and(|until| until <= clock::now()),
            BreakerState::HalfOpen => false,
        }
    }

    /// Milliseconds until it may be called again, while quarantined.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        let breaker = self.breaker.lock();
        match breaker.state() {
            BreakerState::Closed => None,
            BreakerState::Open | BreakerState::HalfOpen => Some(breaker.open_until().map_or(0, |until| until.ms_since(clock::now()))),
        }
    }

    /// Takes note of a call about so many events, each of which counts as one with its share of the time. Cancelled calls say nothing about
    /// the plugin.
    pub(crate) fn called(&self, fault: Option<&Fault>, usage: Usage, events: u64, now: Timestamp) -> Option<Transition> {
        self.calls.fetch_add(events, Relaxed);
        self.latencies.record_many(usage.duration_ns / events.max(1), events);
        if usage.http.requests > 0 {
            let mut http = self.http.lock();
            http.requests += u64::from(usage.http.requests);
            http.request_bytes += usage.http.request_bytes;
            http.response_bytes += usage.http.response_bytes;
        }
        match fault {
            None => self.breaker.lock().success(now),
            Some(fault) if fault.kind == FaultKind::Cancelled => {
                self.breaker.lock().abandon(now);
                None
            }
            Some(fault) => {
                self.faults.fetch_add(1, Relaxed);
                *self.last_fault.lock() = Some(LastFault { kind: fault.kind, message: fault.message.clone(), at: now });
                self.breaker.lock().fault(now, fault.kind == FaultKind::Deadline)
            }
        }
    }

    /// A call that was let through was cut before it came back. Whether a probe's place is free again by that.
    pub(crate) fn abandoned(&self, now: Timestamp) -> bool {
        let mut breaker = self.breaker.lock();
        let probing = breaker.state() == BreakerState::HalfOpen;
        breaker.abandon(now);
        probing
    }

    pub(crate) fn status(&self) -> PluginStatus {
        let retry_after_ms = self.retry_after_ms();
        let bypass = self.bypassed(clock::now());
        let [p50_us, p99_us] = self.latencies.percentiles_us([0.5, 0.99]);
        PluginStatus {
            info: self.info().clone(),
            state: match (&bypass, retry_after_ms) {
                (Some(_), _) => "bypassed",
                (None, Some(_)) => "quarantined",
                (None, None) => "serving",
            },
            bypass,
            retry_after_ms,
            calls: self.calls.load(Relaxed),
            faults: self.faults.load(Relaxed),
            last_fault: self.last_fault.lock().clone(),
            p50_us,
            p99_us,
            http: Some(*self.http.lock()).filter(|http| http.requests > 0),
        }
    }

    pub(crate) fn name(&self) -> &Text {
        &self.info().name
    }
}
