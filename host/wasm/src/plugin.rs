//! Owns one loaded plugin version as the engine calls it: which function of which role is called, with what.
//! Leaves limits and outcomes to `call`, and how it came to be to `load`.

use std::{sync::Arc, time::Instant};

use trackside_model::{
    control::{CheckContext, Signal},
    event::trace::Carried,
    json::Json,
    packed,
    plugin::PluginInfo,
    ports::{
        BatchTurn, BatchVerdicts, BoxFuture, CallReport, CheckBatch, Delivery, EventBatch, Failure, Fault, FaultKind, Guest, Outbox,
        Subject, TaskCall, Usage,
    },
    time::Timestamp,
};

use crate::{
    bindings::{
        exports::trackside::plugin::{observer, worker},
        waiting::exports::trackside::plugin::observer as waiting_observer,
    },
    call::{self, Terms, guarded, guarded_waiting, repeated, repeated_waiting},
    convert::{self, RecordTexts},
    fault,
    instance::{ControlExports, Live, ObserverExports, WaitingObserver},
    pool::{AsyncPool, Pool},
    spot_check::{self, SpotChecks},
    state::Cause,
};

/// One loaded plugin version.
pub(crate) struct Plugin {
    pub(crate) info: PluginInfo,
    pub(crate) control: Option<Pool<ControlExports>>,
    pub(crate) observer: Option<Pool<ObserverExports>>,
    /// In its place, if it waits for the world outside.
    pub(crate) waiting_observer: Option<AsyncPool<WaitingObserver>>,
    pub(crate) worker: Option<AsyncPool<worker::Guest>>,
    pub(crate) spot_checks: SpotChecks,
}

/// The report of a call in a role that the plugin does not have.
fn no_role<T>(name: &str, role: &str) -> CallReport<T> {
    call::unanswered(Instant::now(), fault::plain(FaultKind::Unavailable, format!("{name} has no {role}")))
}

fn too_large<T>(used: u64, allowed: u64) -> CallReport<T> {
    call::unanswered(Instant::now(), fault::argument_bytes(used, allowed))
}

/// A batch that was not taken comes again, and so does what it would have caused.
fn released_if_taken(mut report: CallReport<Result<(), String>>) -> CallReport<Result<(), String>> {
    if matches!(report.outcome, Ok(Err(_))) {
        report.outbox = Outbox::default();
    }
    report
}

impl Plugin {
    /// The terms of a call about one thing.
    fn terms(&self, timeout_ms: u64, now: Timestamp, cause: Cause) -> Terms {
        Terms { timeout_ms, now, cause, fuel: self.info.limits.fuel }
    }

    /// The terms of a batch, or how many bytes it has if those are too many.
    fn batch(&self, batch: &EventBatch, delivery: &Delivery) -> Result<Terms, u64> {
        let bytes = batch.text_bytes();
        if bytes > self.info.limits.argument_bytes {
            return Err(bytes);
        }
        let cause = Cause::Batch {
            events: Arc::clone(batch.names()),
            last_sequence: batch.events().last().map_or(0, |event| event.sequence_number),
            trace: Carried::about(batch.events().iter().map(|event| &event.metadata)),
        };
        Ok(self.terms(self.info.limits.timeout_ms, delivery.now, cause))
    }

    /// Asks about the last event of a batch again, alone: the one before which there was most to keep.
    fn broken_promise(&self, batch: &CheckBatch, turn: &BatchTurn, verdicts: &BatchVerdicts, usage: Usage) -> Option<Fault> {
        let (last, (subject, context)) = batch.asked().iter().enumerate().next_back()?;
        let elapsed_ms = context.elapsed_ms.saturating_add(turn.since_ms);
        let context = CheckContext { now: turn.now, elapsed_ms, remaining_ms: turn.remaining_ms, ..context.clone() };
        let pool = self.control.as_ref()?;
        let timeout_ms = turn.remaining_ms.min(self.info.limits.timeout_ms);
        let terms = self.terms(timeout_ms, turn.now, Cause::of_check(&subject.event, &context)).again_after(usage)?;
        let verdict = verdicts.iter().find(|(place, _)| *place == last).map(|(_, signal)| signal.clone());
        let outcome = Ok(verdict.unwrap_or(Signal::Proceed(None)));
        let report = CallReport { outcome, outbox: Outbox::default(), usage };
        let again = repeated(pool, terms, |live| check(live, subject, &context, timeout_ms));
        spot_check::compared(report, again, || pool.forget()).outcome.err()
    }
}

impl Guest for Plugin {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn check(&self, subject: &Subject<'_>, context: &CheckContext) -> CallReport<Signal> {
        let Some(pool) = &self.control else { return no_role(&self.info.name, "control handler") };
        let bytes = subject.event.text_bytes();
        if bytes > self.info.limits.argument_bytes {
            return too_large(bytes, self.info.limits.argument_bytes);
        }
        let timeout_ms = context.remaining_ms.min(self.info.limits.timeout_ms);
        let cause = Cause::of_check(&subject.event, context);
        let terms = self.terms(timeout_ms, context.now, cause);
        let to_repeat = self.spot_checks.is_due().then(|| terms.clone());
        let report = guarded(pool, terms, |live| check(live, subject, context, timeout_ms));
        match to_repeat.and_then(|terms| terms.again_after(report.usage)) {
            Some(terms) => {
                let again = repeated(pool, terms, |live| check(live, subject, context, timeout_ms));
                spot_check::compared(report, again, || pool.forget())
            }
            None => report,
        }
    }

    fn check_batch(&self, batch: &CheckBatch, turn: &BatchTurn) -> CallReport<BatchVerdicts> {
        let Some(pool) = &self.control else { return no_role(&self.info.name, "control handler") };
        let (bytes, count) = (batch.packed().len() as u64, batch.asked().len());
        if bytes > self.info.limits.argument_bytes.saturating_add(packed::checks_table_bytes(count)) {
            return too_large(bytes, self.info.limits.argument_bytes);
        }
        let timeout_ms = turn.remaining_ms.min(self.info.limits.timeout_ms);
        // Each event has the fuel that it would have alone.
        let fuel = self.info.limits.fuel.saturating_mul(count as u64);
        let terms = Terms { timeout_ms, now: turn.now, cause: Cause::Checks(Arc::clone(batch.names())), fuel };
        let mut report = guarded(pool, terms, |live| check_batch(live, batch, turn, timeout_ms));
        if let Ok(verdicts) = &report.outcome
            && self.spot_checks.is_due()
            && let Some(fault) = self.broken_promise(batch, turn, verdicts, report.usage)
        {
            report.outcome = Err(fault);
        }
        report
    }

    fn observe(&self, batch: &EventBatch, delivery: &Delivery) -> CallReport<Result<(), String>> {
        let Some(pool) = &self.observer else { return no_role(&self.info.name, "observer that is called and waited for") };
        match self.batch(batch, delivery) {
            Ok(terms) => {
                let timeout_ms = terms.timeout_ms;
                released_if_taken(guarded(pool, terms, |live| observe(live, batch, delivery, timeout_ms)))
            }
            Err(bytes) => too_large(bytes, self.info.limits.argument_bytes),
        }
    }

    fn observe_waiting<'a>(&'a self, batch: &'a EventBatch, delivery: &'a Delivery) -> BoxFuture<'a, CallReport<Result<(), String>>> {
        Box::pin(async move {
            let Some(pool) = &self.waiting_observer else { return self.observe(batch, delivery) };
            match self.batch(batch, delivery) {
                Ok(terms) => {
                    let timeout_ms = terms.timeout_ms;
                    let body = async |live: &mut Live<WaitingObserver>| observe_waiting(live, batch, delivery, timeout_ms).await;
                    released_if_taken(guarded_waiting(pool, terms, body).await)
                }
                Err(bytes) => too_large(bytes, self.info.limits.argument_bytes),
            }
        })
    }

    fn run<'a>(&'a self, task: &'a TaskCall) -> BoxFuture<'a, CallReport<Result<Json, Failure>>> {
        Box::pin(async move {
            let Some(pool) = &self.worker else { return no_role(&self.info.name, "worker") };
            let bytes = convert::task_bytes(task);
            if bytes > self.info.limits.argument_bytes {
                return too_large(bytes, self.info.limits.argument_bytes);
            }
            // An attempt's own time is the scheduler's to keep: it is no fault of the plugin's when that is up.
            let timeout_ms = self.info.limits.timeout_ms;
            let terms = self.terms(timeout_ms, pool.role.core.calls.now(), Cause::Task(Arc::new(task.clone())));
            // What is repeated is done within the attempt, whose result it holds up.
            let within = timeout_ms.min(task.timeout_ms);
            let to_repeat = self.spot_checks.is_due().then(|| Terms { timeout_ms: within, ..terms.clone() });
            let body = async |live: &mut Live<worker::Guest>| work(live, task, timeout_ms.min(task.timeout_ms)).await;
            let mut report = guarded_waiting(pool, terms, body).await;
            if let Some(terms) = to_repeat.and_then(|terms| terms.again_after(report.usage)) {
                let again = repeated_waiting(pool, terms, body).await;
                // Told to stop meanwhile, it answers that it was.
                if !pool.role.core.calls.cancelled(task) {
                    report = spot_check::compared(report, again, || pool.forget());
                }
            }
            if matches!(report.outcome, Ok(Err(_))) {
                // A failure releases log and progress only, and those are out already.
                report.outbox = Outbox::default();
            }
            report
        })
    }
}

pub(crate) fn check(
    live: &mut Live<ControlExports>,
    subject: &Subject<'_>,
    context: &CheckContext,
    remaining_ms: u64,
) -> wasmtime::Result<Signal> {
    let Live { store, exports } = live;
    match exports {
        ControlExports::Packed(guest) => {
            let (point, origin) = (context.point.ordinal(), context.origin.ordinal());
            let answered = guest.call_check(
                &mut *store,
                point,
                origin,
                context.attempt,
                context.now.0,
                context.elapsed_ms,
                remaining_ms,
                subject.packed(),
            )?;
            if answered { convert::packed_signal(guest.call_verdict(store)?) } else { Ok(Signal::Proceed(None)) }
        }
        ControlExports::Record(guest) => {
            let texts = RecordTexts::new(&subject.event);
            let context = convert::context(context, subject.principal.as_deref(), remaining_ms);
            convert::signal(guest.call_check(store, texts.record(), context)?)
        }
    }
}

fn check_batch(
    live: &mut Live<ControlExports>,
    batch: &CheckBatch,
    turn: &BatchTurn,
    remaining_ms: u64,
) -> wasmtime::Result<BatchVerdicts> {
    let Live { store, exports } = live;
    let ControlExports::Packed(guest) = exports else {
        return Err(fault::malformed("only a handler of the packed shape judges many events in one call".to_owned()));
    };
    match guest.call_check_batch(&mut *store, turn.now.0, remaining_ms, turn.since_ms, batch.packed())? {
        0 => Ok(Vec::new()),
        announced => convert::verdicts(guest.call_verdicts(store)?, announced, batch.asked().len()),
    }
}

pub(crate) fn observe(
    live: &mut Live<ObserverExports>,
    batch: &EventBatch,
    delivery: &Delivery,
    remaining_ms: u64,
) -> wasmtime::Result<Result<(), String>> {
    let Live { store, exports } = live;
    match exports {
        ObserverExports::Packed(guest) => {
            let failed = guest.call_observe(
                &mut *store,
                delivery.now.0,
                remaining_ms,
                delivery.attempt,
                delivery.replay,
                delivery.missed,
                batch.packed(),
            )?;
            if failed { Ok(Err(guest.call_failure(store)?)) } else { Ok(Ok(())) }
        }
        ObserverExports::Record(guest) => {
            let texts: Vec<RecordTexts<'_>> = batch.events().iter().map(|event| RecordTexts::new(event)).collect();
            let records: Vec<_> = texts.iter().map(RecordTexts::record).collect();
            let Delivery { now, attempt, replay, missed } = *delivery;
            guest.call_observe(store, &records, observer::Delivery { now: now.0, remaining_ms, attempt, replay, missed })
        }
    }
}

/// As [`observe`].
async fn observe_waiting(
    live: &mut Live<WaitingObserver>,
    batch: &EventBatch,
    delivery: &Delivery,
    remaining_ms: u64,
) -> wasmtime::Result<Result<(), String>> {
    let Live { store, exports } = live;
    let Delivery { now, attempt, replay, missed } = *delivery;
    match exports {
        WaitingObserver::Packed(guest) => {
            let failed = guest.call_observe(&mut *store, now.0, remaining_ms, attempt, replay, missed, batch.packed()).await?;
            if failed { Ok(Err(guest.call_failure(store).await?)) } else { Ok(Ok(())) }
        }
        WaitingObserver::Record(guest) => {
            let texts: Vec<RecordTexts<'_>> = batch.events().iter().map(|event| RecordTexts::new(event)).collect();
            let records: Vec<_> = texts.iter().map(RecordTexts::record).collect();
            let delivery = waiting_observer::Delivery { now: now.0, remaining_ms, attempt, replay, missed };
            guest.call_observe(store, &records, delivery).await
        }
    }
}

async fn work(live: &mut Live<worker::Guest>, task: &TaskCall, timeout_ms: u64) -> wasmtime::Result<Result<Json, Failure>> {
    let Live { store, exports } = live;
    let metadata = convert::task_metadata(task);
    convert::result(exports.call_run(store, convert::task(task, &metadata, timeout_ms)).await?)
}
