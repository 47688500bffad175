//! Owns one loaded plugin version as the engine calls it: which function of which role is called, with what.
//! Leaves limits and outcomes to `call`, and how it came to be to `load`.

use std::{sync::Arc, time::Instant};

use trackside_model::{
    control::{CheckContext, Signal},
    event::Event,
    json::Json,
    packed,
    plugin::PluginInfo,
    ports::{BoxFuture, CallReport, Delivery, Failure, FaultKind, Guest, Outbox, Subject, TaskCall},
};

use crate::{
    bindings::exports::trackside::plugin::{observer, worker},
    call::{self, Terms, guarded, guarded_run},
    convert::{self, RecordTexts},
    fault,
    instance::{ControlExports, Live, ObserverExports},
    pool::{AsyncPool, Pool},
    state::Cause,
};

/// One loaded plugin version.
pub(crate) struct Plugin {
    pub(crate) info: PluginInfo,
    pub(crate) control: Option<Pool<ControlExports>>,
    pub(crate) observer: Option<Pool<ObserverExports>>,
    pub(crate) worker: Option<AsyncPool<worker::Guest>>,
}

/// The report of a call in a role that the plugin does not have.
fn no_role<T>(name: &str, role: &str) -> CallReport<T> {
    call::unanswered(Instant::now(), fault::plain(FaultKind::Unavailable, format!("{name} has no {role}")))
}

fn too_large<T>(used: u64, allowed: u64) -> CallReport<T> {
    call::unanswered(Instant::now(), fault::argument_bytes(used, allowed))
}

impl Guest for Plugin {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn check(&self, subject: &Subject<'_>, context: &CheckContext) -> CallReport<Signal> {
        let Some(pool) = &self.control else { return no_role(&self.info.name, "control handler") };
        let bytes = convert::event_bytes(subject.event);
        if bytes > self.info.limits.argument_bytes {
            return too_large(bytes, self.info.limits.argument_bytes);
        }
        let timeout_ms = context.remaining_ms.min(self.info.limits.timeout_ms);
        let cause = Cause::Check {
            event_id: subject.event.event_id,
            correlation_id: Arc::clone(&subject.event.correlation_id),
            point: context.point.ordinal(),
            attempt: context.attempt,
        };
        guarded(pool, Terms { timeout_ms, now: context.now, cause }, |live| check(live, subject, context, timeout_ms))
    }

    fn observe(&self, events: &[Arc<Event>], delivery: &Delivery) -> CallReport<Result<(), String>> {
        let Some(pool) = &self.observer else { return no_role(&self.info.name, "observer") };
        let bytes = events.iter().map(|event| convert::event_bytes(event)).sum();
        if bytes > self.info.limits.argument_bytes {
            return too_large(bytes, self.info.limits.argument_bytes);
        }
        let timeout_ms = self.info.limits.timeout_ms;
        let cause = Cause::Batch {
            events: events.iter().map(|event| (event.event_id, Arc::clone(&event.correlation_id))).collect(),
            last_sequence: events.last().map_or(0, |event| event.sequence_number),
        };
        let mut report = guarded(pool, Terms { timeout_ms, now: delivery.now, cause }, |live| observe(live, events, delivery, timeout_ms));
        if matches!(report.outcome, Ok(Err(_))) {
            // The batch was not taken: it comes again, and so does what it would have caused.
            report.outbox = Outbox::default();
        }
        report
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
            let terms = Terms { timeout_ms, now: pool.role.core.calls.now(), cause: Cause::Task(Arc::new(task.clone())) };
            guarded_run(pool, terms, task).await
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
            let texts = RecordTexts::new(subject.event);
            let context = convert::context(context, subject.principal, remaining_ms);
            convert::signal(guest.call_check(store, texts.record(), context)?)
        }
    }
}

pub(crate) fn observe(
    live: &mut Live<ObserverExports>,
    events: &[Arc<Event>],
    delivery: &Delivery,
    remaining_ms: u64,
) -> wasmtime::Result<Result<(), String>> {
    let Live { store, exports } = live;
    match exports {
        ObserverExports::Packed(guest) => {
            let batch = packed::batch(events.iter().map(|event| &**event));
            let failed = guest.call_observe(
                &mut *store,
                delivery.now.0,
                remaining_ms,
                delivery.attempt,
                delivery.replay,
                delivery.missed,
                &batch,
            )?;
            if failed { Ok(Err(guest.call_failure(store)?)) } else { Ok(Ok(())) }
        }
        ObserverExports::Record(guest) => {
            let texts: Vec<RecordTexts<'_>> = events.iter().map(|event| RecordTexts::new(event)).collect();
            let records: Vec<_> = texts.iter().map(RecordTexts::record).collect();
            let Delivery { now, attempt, replay, missed } = *delivery;
            guest.call_observe(store, &records, observer::Delivery { now: now.0, remaining_ms, attempt, replay, missed })
        }
    }
}
