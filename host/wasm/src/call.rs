//! Owns the guarded call: an instance, the call's limits, the guest, and then an outcome with its outbox and what it used.
//! Leaves which function is called with what to `plugin`.

use std::time::{Duration, Instant};

use trackside_model::{
    ports::{CallReport, Fault, Outbox, Usage},
    time::Timestamp,
};
use wasmtime::Store;

use crate::{
    fault,
    instance::{Live, RoleExports, arm},
    pool::{AsyncPool, Pool},
    state::{Call, Cause, State},
};

/// A repetition may take this part of what a call has left.
const SHARE_OF_REPETITION: u64 = 8;

/// What a call is about, and how long it may take.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) timeout_ms: u64,
    pub(crate) now: Timestamp,
    pub(crate) cause: Cause,
    /// What it may use.
    pub(crate) fuel: u64,
}

impl Terms {
    /// The terms of a repetition: an eighth of the time that the call has left, which others behind it need; `None`: it would hardly be done in that.
    pub(crate) fn again_after(mut self, usage: Usage) -> Option<Self> {
        let used_ms = usage.duration_ns.div_ceil(1_000_000);
        self.timeout_ms = self.timeout_ms.saturating_sub(used_ms) / SHARE_OF_REPETITION;
        (self.timeout_ms > used_ms).then_some(self)
    }
}

/// Calls a guest on this thread. Comes back within the deadline, whatever the guest does.
pub(crate) fn guarded<R: RoleExports, T>(
    pool: &Pool<R>,
    terms: Terms,
    body: impl FnOnce(&mut Live<R>) -> wasmtime::Result<T>,
) -> CallReport<T> {
    let started = Instant::now();
    let core = &pool.role.core;
    let _ticking = core.engines.ticker.run();
    let mut lease = match pool.take(started, terms.timeout_ms) {
        Ok(lease) => lease,
        Err(fault) => return unanswered(started, fault),
    };
    let live = lease.live();
    let answer = begin(&mut live.store, started, terms).and_then(|()| body(live));
    let report = end(&mut live.store, answer, started);
    if report.outcome.is_ok() {
        lease.give_back();
    }
    report
}

/// Makes a call again on an instance of its own, unheard: what it answers is compared with what the warm instance did.
pub(crate) fn repeated<R: RoleExports, T>(
    pool: &Pool<R>,
    terms: Terms,
    body: impl FnOnce(&mut Live<R>) -> wasmtime::Result<T>,
) -> CallReport<T> {
    let started = Instant::now();
    let _ticking = pool.role.core.engines.ticker.run();
    match pool.role.make(started, terms.timeout_ms) {
        Err(fault) => unanswered(started, fault),
        Ok(mut live) => {
            let answer = begin_unheard(&mut live.store, started, terms).and_then(|()| body(&mut live));
            end(&mut live.store, answer, started)
        }
    }
}

/// The same as [`repeated`], of a call that is a future.
pub(crate) async fn repeated_waiting<R: RoleExports, T>(
    pool: &AsyncPool<R>,
    terms: Terms,
    body: impl AsyncFnOnce(&mut Live<R>) -> wasmtime::Result<T>,
) -> CallReport<T> {
    let started = Instant::now();
    let _ticking = pool.role.core.engines.ticker.run();
    match pool.role.make_async(started, terms.timeout_ms).await {
        Err(fault) => unanswered(started, fault),
        Ok(mut live) => {
            let answer = match begin_unheard(&mut live.store, started, terms) {
                Ok(()) => body(&mut live).await,
                Err(error) => Err(error),
            };
            end(&mut live.store, answer, started)
        }
    }
}

/// Calls a guest whose calls are futures. It computes inside the future's polls, and yields now and then; dropping the future cuts the call.
pub(crate) async fn guarded_waiting<R: RoleExports, T>(
    pool: &AsyncPool<R>,
    terms: Terms,
    body: impl AsyncFnOnce(&mut Live<R>) -> wasmtime::Result<T>,
) -> CallReport<T> {
    let started = Instant::now();
    let timeout_ms = terms.timeout_ms;
    let core = &pool.role.core;
    let _ticking = core.engines.ticker.run();
    let mut lease = match pool.take(started, timeout_ms).await {
        Ok(lease) => lease,
        Err(fault) => return unanswered(started, fault),
    };
    let live = lease.live();
    let answer = match begin(&mut live.store, started, terms) {
        Ok(()) => {
            // Epochs end a guest that computes; this ends one that waits.
            let deadline = tokio::time::Instant::from_std(started + Duration::from_millis(timeout_ms));
            match tokio::time::timeout_at(deadline, body(live)).await {
                Ok(answer) => answer,
                Err(_) => Err(fault::deadline(started, timeout_ms).into()),
            }
        }
        Err(error) => Err(error),
    };
    let report = end(&mut live.store, answer, started);
    if report.outcome.is_ok() {
        lease.give_back();
    }
    report
}

/// The report of a call that did not reach a guest.
pub(crate) fn unanswered<T>(started: Instant, fault: Fault) -> CallReport<T> {
    CallReport { outcome: Err(fault), outbox: Outbox::default(), usage: Usage { duration_ns: ns_since(started), ..Usage::default() } }
}

fn ns_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Gives a store its call: deadline, fuel, an empty outbox.
pub(crate) fn begin(store: &mut Store<State>, started: Instant, terms: Terms) -> wasmtime::Result<()> {
    let state = store.data_mut();
    state.limiter.refused = None;
    state.call = Call::new(started, terms.timeout_ms, terms.now, terms.cause, terms.fuel);
    arm(store, started)
}

fn begin_unheard(store: &mut Store<State>, started: Instant, terms: Terms) -> wasmtime::Result<()> {
    begin(store, started, terms)?;
    store.data_mut().call.silent = true;
    Ok(())
}

/// Takes stock of a call: the outcome by its true name, the outbox only if there was no fault.
pub(crate) fn end<T>(store: &mut Store<State>, answer: wasmtime::Result<T>, started: Instant) -> CallReport<T> {
    let fuel = store.data().call.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    let state = store.data_mut();
    let duration_ns = ns_since(started);
    let outcome = match answer {
        // An answer that comes too late is none: whoever waited has gone on.
        Ok(_) if duration_ns > state.call.timeout_ms.saturating_mul(1_000_000) => Err(fault::deadline(started, state.call.timeout_ms)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(fault::of_error(&error, state)),
    };
    state.drain_stdio();
    let http = state.end_requests();
    let outbox = if outcome.is_ok() { state.call.take_outbox() } else { Outbox::default() };
    CallReport { outcome, outbox, usage: Usage { duration_ns, fuel, http } }
}
