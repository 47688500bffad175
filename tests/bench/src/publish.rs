//! Publishing with 512 in flight, in process, beside bare SQLite that commits the same events 512 at a time, and beside brokers with as many
//! in flight over the sockets of this machine. One at a time is `log`'s.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Result, bail};
use tokio::task::JoinSet;
use trackside_engine::{Engine, Outcome};
use trackside_model::event::Event;

use crate::{
    Effort,
    brokers::{Broker, Kind},
    engine::{EmbeddedEngine, caller},
    events,
    host::Host,
    process::{PROCESS, cpu, us_each},
    report::{Figure, Target},
    samples::{Samples, Side, interleave_all},
    sqlite::BareSqlite,
};

const IN_FLIGHT: usize = 512;

/// A broker beside the host: the figure's name, what it is held against, the target, and how much of a round it has, in parts of a hundred.
/// A slow one has a shorter turn, so that all of them meet the same moments.
const BROKERS: [(Kind, &str, &str, f64, usize); 3] = [
    (Kind::RedisAlways, "publish_512_vs_redis_always", "events/s: Redis 7 streams, appendfsync always", 1.2, 60),
    (Kind::JetStreamSynced, "publish_512_vs_jetstream_synced", "events/s: NATS JetStream, sync_interval always", 10.0, 6),
    (Kind::JetStreamDefault, "publish_512_vs_jetstream_default", "events/s: NATS JetStream as it comes, unsynced", 0.9, 100),
];

/// The figures of many publishes at a time.
///
/// # Errors
/// If an event is not appended.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let rounds = effort.of(15, 4);
    let (commits, events_a_round) = (effort.of(160, 40), effort.of(160, 40) * IN_FLIGHT);
    let mut brokers = Vec::new();
    for (kind, name, baseline, least, share) in BROKERS {
        if let Some(broker) = Broker::start(kind)? {
            brokers.push((broker, name, baseline, least, events_a_round * share / 100));
        }
    }
    eprintln!("  {rounds} rounds of {events_a_round} publishes, {IN_FLIGHT} in flight");
    let host = Host::new()?;
    host.settle()?;
    let mut sqlite = BareSqlite::new(host.folder.path())?;
    let engine = EmbeddedEngine::start(&host, &[])?;
    let begun_with = &Cell::new(0);
    let (published_cpu, bare_cpu) = (RefCell::new(Samples::default()), RefCell::new(Samples::default()));
    let mut publish = || {
        let first = begun_with.replace(begun_with.get() + events_a_round);
        let begun = cpu(PROCESS)?;
        let rate = engine.runtime.block_on(rate(&engine.engine, IN_FLIGHT, first, events_a_round))?;
        published_cpu.borrow_mut().push(us_each(cpu(PROCESS)? - begun, events_a_round));
        Ok(rate)
    };
    let mut bare = || {
        let (rate, cpu) = bare_rate(&mut sqlite, commits)?;
        bare_cpu.borrow_mut().push(cpu);
        Ok(rate)
    };
    let mut beside: Vec<_> =
        brokers.iter_mut().map(|(broker, .., count)| move || broker.rate(IN_FLIGHT, begun_with.get(), *count)).collect();
    let mut sides: Vec<Side<'_>> = vec![&mut publish, &mut bare];
    sides.extend(beside.iter_mut().map(|side| side as Side<'_>));
    let mut samples = interleave_all(rounds, &mut sides)?.into_iter();
    engine.stop();
    let (published, bare) = (samples.next().unwrap_or_default(), samples.next().unwrap_or_default());
    let mut figures = vec![
        Figure::new("publish_512_in_flight", "events/s", published.clone(), "events/s: bare SQLite, 512 a commit", bare.clone())
            .target(Target::AtLeast(100_000.0)),
        Figure::new("publish_512_vs_sqlite", "events/s", published.clone(), "events/s: bare SQLite, 512 a commit", bare)
            .target(Target::RatioAtLeast(0.8)),
        Figure::new("publish_512_cpu", "µs", published_cpu.take(), "µs: processor time of an event in bare SQLite", bare_cpu.take()),
    ];
    figures.extend(brokers.iter().zip(samples).map(|((_, name, baseline, least, _), beside)| {
        Figure::new(name, "events/s", published.clone(), baseline, beside).target(Target::RatioAtLeast(*least))
    }));
    Ok(figures)
}

/// Events a second that so many publishers come to, each of which waits for its answer before it publishes again.
///
/// # Errors
/// If an event is not appended.
pub(crate) async fn rate(engine: &Engine, in_flight: usize, first: usize, count: usize) -> Result<f64> {
    let next = Arc::new(AtomicUsize::new(first));
    let mut publishers = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..in_flight {
        let (engine, next) = (engine.clone(), next.clone());
        publishers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= first + count {
                    return Ok(());
                }
                let answer = engine.publish(events::incoming("order:placed", number), caller()).await;
                if answer.outcome != Outcome::Appended {
                    bail!("an event was not appended: {answer:?}");
                }
            }
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    Ok(per_second(count, begun))
}

/// Events a second, and the microseconds of processor time that one of them takes.
fn bare_rate(sqlite: &mut BareSqlite, commits: usize) -> Result<(f64, f64)> {
    // What an engine does to make an event of a draft is not what SQLite is measured for.
    let events = (0..commits).map(|commit| batch(commit * IN_FLIGHT)).collect::<Result<Vec<Vec<Event>>>>()?;
    let (begun, begun_cpu) = (Instant::now(), cpu(PROCESS)?);
    events.iter().try_for_each(|events| sqlite.commit(events))?;
    Ok((per_second(commits * IN_FLIGHT, begun), us_each(cpu(PROCESS)? - begun_cpu, commits * IN_FLIGHT)))
}

fn batch(first: usize) -> Result<Vec<Event>> {
    let now = trackside_engine::now();
    (first..first + IN_FLIGHT).map(|number| Ok(events::draft(events::incoming("order:placed", number))?.into_event(0, now))).collect()
}

/// How many a second that is.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
pub(crate) fn per_second(count: usize, begun: Instant) -> f64 {
    count as f64 / begun.elapsed().as_secs_f64()
}
