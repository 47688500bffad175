//! Dispatch alone: what an event costs to be looked at for all who wait at the head of the log, when there are ten of them and when there are
//! ten thousand, of which few want it. In process; the processor time of the one thread that dispatch and readers are on, without the append.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use trackside_engine::{Engine, EngineOptions, Reading, Subscription};
use trackside_model::event::{Filter, Incoming, Pattern, Position, Severity};
use trackside_store::{Batch, Flush, Store};

use crate::{
    Effort, events,
    host::Host,
    process::cpu,
    report::{Figure, Target},
    samples::interleave,
};

const FEW: usize = 10;
const MANY: usize = 10_000;
/// Events that become durable together.
const EVENTS: usize = 2_000;
/// Of so many events one is wanted, by one reader.
const WANTED_OF: usize = 100;
/// By then all readers have read what there is and sit at the head.
const SEATED: Duration = Duration::from_secs(1);
/// The last event of a batch.
const LAST: &str = "batch:ended";
const GRACE: Duration = Duration::from_secs(5);

/// The figure of dispatch.
///
/// # Errors
/// If a reader does not get what it wants.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let rounds = effort.of(60, 12);
    eprintln!("  {rounds} rounds of {EVENTS} events to {MANY} filters and to {FEW}, one event in {WANTED_OF} wanted");
    let (mut many, mut few) = (Side::new(MANY)?, Side::new(FEW)?);
    let [with_many, with_few] = interleave(rounds, [&mut || many.round(), &mut || few.round()])?;
    many.stop();
    few.stop();
    let beside = "ns an event: with ten filters";
    Ok(vec![Figure::new("dispatch_10000_filters_vs_10", "ns", with_many, beside, with_few).target(Target::RatioAtMost(1.2))])
}

/// An engine with readers, all on one thread: this one.
struct Side {
    runtime: Runtime,
    engine: Engine,
    store: Store,
    _host: Host,
    readers: JoinSet<()>,
    /// Events that readers were handed.
    handed: Arc<AtomicUsize>,
    /// Reads the last event of each batch.
    last: Subscription,
    filters: usize,
    batches: usize,
}

impl Side {
    fn new(filters: usize) -> Result<Self> {
        let host = Host::new()?;
        let store = host.store.clone();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let engine = runtime.block_on(async { Engine::start(store.clone(), host.side.clone(), EngineOptions::default()) })?;
        let (mut readers, handed) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        let after = Position::end_of(store.durable_head());
        for number in 0..filters {
            let mut reader = engine.subscribe(Reading { filter: filter(number)?, after, ..Reading::default() });
            let handed = handed.clone();
            let reading = async move {
                while let Ok(events) = reader.events().await {
                    handed.fetch_add(events.len(), Relaxed);
                }
            };
            readers.spawn_on(reading, runtime.handle());
        }
        let only_last = Filter { event_types: Some(vec![Pattern::parse(LAST)?]), ..Filter::default() };
        let last = engine.subscribe(Reading { filter: only_last, after, ..Reading::default() });
        runtime.block_on(async { tokio::time::sleep(SEATED).await });
        Ok(Self { runtime, engine, store, _host: host, readers, handed, last, filters, batches: 0 })
    }

    /// Nanoseconds of this thread for an event of a batch, from durable to the last reader.
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    fn round(&mut self) -> Result<f64> {
        let mut batch = Vec::with_capacity(EVENTS);
        for number in 0..EVENTS - 1 {
            batch.push(events::entry(event(self.batches * EVENTS + number, self.filters))?);
        }
        batch.push(events::entry(events::incoming(LAST, self.batches))?);
        self.batches += 1;
        let wanted = self.handed.load(Relaxed) + (EVENTS - 1).div_ceil(WANTED_OF);
        let ticket = self.store.append(Batch::of(batch), Flush::Now)?.ticket;
        // On another thread; nothing runs here meanwhile.
        ticket.wait()?;
        let begun = cpu(libc::CLOCK_THREAD_CPUTIME_ID)?;
        self.runtime.block_on(async {
            self.last.events().await?;
            while self.handed.load(Relaxed) < wanted {
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        })?;
        let took = cpu(libc::CLOCK_THREAD_CPUTIME_ID)? - begun;
        let handed = self.handed.load(Relaxed);
        ensure!(handed == wanted, "readers were handed {handed} events where they wanted {wanted}");
        Ok(took.as_secs_f64() * 1e9 / EVENTS as f64)
    }

    fn stop(mut self) {
        self.runtime.block_on(self.engine.stop(GRACE));
        self.readers.abort_all();
    }
}

/// What reader `number` wants: a type, a type from some severity on, a component, or a correlation.
fn filter(number: usize) -> Result<Filter> {
    let types = |pattern: String| Ok::<_, anyhow::Error>(Some(vec![Pattern::parse(&pattern)?]));
    Ok(match number % 4 {
        0 => Filter { event_types: types(format!("wanted:by-{number}"))?, ..Filter::default() },
        1 => Filter { event_types: types(format!("wanted:by-{number}"))?, min_severity: Some(Severity::Info), ..Filter::default() },
        2 => Filter { event_types: types(format!("wanted-by-{number}:*"))?, ..Filter::default() },
        _ => Filter { correlation_ids: Some(vec![format!("wanted-by-{number}")]), ..Filter::default() },
    })
}

/// One of `WANTED_OF` is wanted by one reader, another one each time; the others by nobody.
fn event(number: usize, filters: usize) -> Incoming {
    if !number.is_multiple_of(WANTED_OF) {
        return events::incoming(&format!("order:kind-{}", number % 1_000), number);
    }
    let reader = number / WANTED_OF * 7 % filters;
    match reader % 4 {
        0 | 1 => events::incoming(&format!("wanted:by-{reader}"), number),
        2 => events::incoming(&format!("wanted-by-{reader}:came"), number),
        _ => Incoming { correlation_id: Some(format!("wanted-by-{reader}")), ..events::incoming("order:placed", number) },
    }
}
