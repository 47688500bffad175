//! Fifty observers beside the publishers: what they add to a publish, and what an event costs for all of them together.
//! What one call of an observer costs is part of that; what a handler on the publisher's path costs is `chain`'s.

use std::{
    cell::Cell,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use trackside_engine::Outcome;
use trackside_model::ports::Guest;

use crate::{
    Effort,
    engine::{EmbeddedEngine, caller},
    events,
    host::Host,
    process::{PROCESS, cpu, us_each},
    publish,
    report::{Figure, Target},
    samples::{Samples, interleave},
};

const OBSERVERS: u32 = 50;
const OBSERVER: &str = "watcher";
const IN_FLIGHT: usize = 512;
const LONGEST: Duration = Duration::from_secs(60);

/// The figures of observers.
///
/// # Errors
/// If an observer cannot be made, or an event is not appended.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    eprintln!("  compiling {OBSERVERS} observers, unless an earlier run has");
    let component = trackside_test_guests::build().bytes(OBSERVER);
    let (watched, unwatched) = (Side::new(Some(&component))?, Side::new(None)?);
    let (rounds, events) = (effort.of(25, 5), effort.of(80, 20) * IN_FLIGHT);
    eprintln!("  {rounds} rounds of {events} publishes, {IN_FLIGHT} in flight, with observers and without");
    let (mut with, mut without) = (Sides::default(), Sides::default());
    for _ in 0..rounds {
        with.push(&watched.round(events)?);
        without.push(&unwatched.round(events)?);
    }
    let alone = effort.of(400, 60);
    eprintln!("  {alone} publishes, one at a time, with observers and without");
    let [with_wall, without_wall] = interleave(alone, [&mut || watched.one(), &mut || unwatched.one()])?;
    watched.stop();
    unwatched.stop();
    let cpu = "µs: processor time of a publish without observers";
    let path = "µs: processor time of the publisher's thread without observers";
    Ok(vec![
        Figure::new("observers_50_cpu", "µs", with.cpu.minus(&without.cpu), cpu, without.cpu).target(Target::AtMost(4.0)),
        Figure::new("observers_50_publisher_added", "µs", with.path.minus(&without.path), path, without.path).target(Target::AtMost(1.0)),
        Figure::new("publish_beside_50_observers", "µs", with_wall, "µs: without observers", without_wall),
    ])
}

/// What one round used, in microseconds an event.
struct Round {
    /// Processor time of the whole process, until the last observer had the last event.
    cpu_us: f64,
    /// Processor time of the one thread that publishes.
    path_us: f64,
}

/// The rounds of one side.
#[derive(Default)]
struct Sides {
    cpu: Samples,
    path: Samples,
}

impl Sides {
    fn push(&mut self, round: &Round) {
        self.cpu.push(round.cpu_us);
        self.path.push(round.path_us);
    }
}

/// An engine, with observers or without.
struct Side {
    host: Host,
    engine: EmbeddedEngine,
    observers: Vec<String>,
    published: Cell<usize>,
}

impl Side {
    fn new(observer: Option<&[u8]>) -> Result<Self> {
        let host = Host::new()?;
        host.settle()?;
        let (mut guests, mut observers) = (Vec::<Arc<dyn Guest>>::new(), Vec::new());
        for number in 0..observer.map_or(0, |_| OBSERVERS) {
            let name = format!("{OBSERVER}-{number:02}");
            host.add(&name, &trackside_test_guests::distinct(observer.unwrap_or_default(), number))?;
            guests.push(host.plugins.load(&name)?);
            observers.push(name);
        }
        let engine = EmbeddedEngine::start(&host, &guests)?;
        Ok(Self { host, engine, observers, published: Cell::new(0) })
    }

    fn stop(self) {
        self.engine.stop();
    }

    /// Publishes from one thread that does nothing else, and waits for the observers.
    fn round(&self, count: usize) -> Result<Round> {
        let first = self.published.replace(self.published.get() + count);
        let process = cpu(PROCESS)?;
        let engine = self.engine.engine.clone();
        let path = thread::spawn(move || -> Result<Duration> {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let begun = cpu(libc::CLOCK_THREAD_CPUTIME_ID)?;
            runtime.block_on(publish::rate(&engine, IN_FLIGHT, first, count))?;
            Ok(cpu(libc::CLOCK_THREAD_CPUTIME_ID)? - begun)
        });
        let path = path.join().ok().context("the publisher panicked")??;
        self.wait_for_observers()?;
        let process = cpu(PROCESS)? - process;
        Ok(Round { cpu_us: us_each(process, count), path_us: us_each(path, count) })
    }

    /// Microseconds from publishing one event to its answer; the observers have it before the next one is measured.
    fn one(&self) -> Result<f64> {
        let number = self.published.replace(self.published.get() + 1);
        let event = events::incoming("order:placed", number);
        let begun = Instant::now();
        self.engine.runtime.block_on(appended(self.engine.engine.publish(event, caller())))?;
        let us = begun.elapsed().as_secs_f64() * 1e6;
        self.wait_for_observers()?;
        Ok(us)
    }

    /// Until each observer's cursor stands behind all that is in the log now.
    fn wait_for_observers(&self) -> Result<()> {
        let head = self.host.store.durable_head();
        let begun = Instant::now();
        for name in &self.observers {
            while self.host.store.cursor(&format!("observer/{name}"))?.is_none_or(|cursor| cursor.sequence < head) {
                ensure!(begun.elapsed() < LONGEST, "{name} does not read on");
                // Seldom, because looking is processor time too.
                thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }
}

async fn appended(publish: impl Future<Output = trackside_engine::Answer>) -> Result<()> {
    let answer = publish.await;
    ensure!(answer.outcome == Outcome::Appended, "an event was not appended: {answer:?}");
    Ok(())
}
