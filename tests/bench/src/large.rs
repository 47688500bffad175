//! Ten million events in one log (one million with `--quick`): appending to it beside appending to an empty one, starting on it, and the memory
//! that the host takes there. Each event is one of twenty of a correlation, so that the index over correlations is large, too.

use std::{
    cell::Cell,
    collections::VecDeque,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use trackside_model::event::Incoming;
use trackside_store::{Batch, Flush, Store, StoreOptions, Ticket};
use uuid::Uuid;

use crate::{
    Effort, events,
    host::CARRIED,
    http::Client,
    process::resident_kib,
    publish::per_second,
    report::{Figure, Target},
    samples::interleave,
    start::{Place, program},
};

const EVENTS_A_COMMIT: usize = 512;
/// Commits that are prepared while one is on its way to the disk.
const COMMITS_AHEAD: usize = 2;
/// Commits of one round.
const ROUND_COMMITS: usize = 80;
/// Events of one correlation, and how many correlations are under way at a time.
const OF_ONE_CORRELATION: usize = 20;
const CORRELATIONS: usize = 50;
/// Events that are published before a host is killed.
const KILLED_EVENTS: usize = 10_000;

/// The figures of a large log.
///
/// # Errors
/// If a log takes nothing, or a host does not start on it.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let events = effort.of(10_000_000, 1_000_000);
    let program = program()?;
    let (large, small) = (Place::new(&program, &[])?, Place::new(&program, &[])?);
    let mut figures = append(effort, events, &large.data(), &small.data())?;
    figures.extend(restart(effort, &large, &small)?);
    figures.extend(resident(effort, &large, &small)?);
    Ok(figures)
}

fn append(effort: Effort, events: usize, large: &Path, small: &Path) -> Result<Vec<Figure>> {
    let (mut large, mut small) = (Log::open(large)?, Log::open(small)?);
    let begun = Instant::now();
    large.append(events.div_ceil(EVENTS_A_COMMIT))?;
    let filled = begun.elapsed().as_secs_f64();
    // Until its write-ahead file is written over.
    small.append(ROUND_COMMITS)?;
    std::thread::sleep(CARRIED);
    eprintln!("  {events} events in {filled:.0} s");
    let rounds = effort.of(15, 5);
    let [into_large, into_small] = interleave(rounds, [&mut || large.append(ROUND_COMMITS), &mut || small.append(ROUND_COMMITS)])?;
    large.store.close()?;
    small.store.close()?;
    let beside = "events/s: into a log that was empty";
    Ok(vec![Figure::new("append_at_10m_vs_empty", "events/s", into_large, beside, into_small).target(Target::RatioAtLeast(0.8))])
}

/// A log in this process, and how many events it has been given.
struct Log {
    store: Store,
    events: usize,
}

impl Log {
    fn open(data: &Path) -> Result<Self> {
        fs::create_dir_all(data)?;
        Ok(Self { store: Store::open(StoreOptions::new(data), trackside_engine::now)?, events: 0 })
    }

    /// Events a second in which so many commits come to be durable.
    fn append(&mut self, commits: usize) -> Result<f64> {
        let mut ahead: VecDeque<Ticket> = VecDeque::new();
        let begun = Instant::now();
        for _ in 0..commits {
            let entries = (self.events..self.events + EVENTS_A_COMMIT).map(|number| events::entry(event(number)));
            self.events += EVENTS_A_COMMIT;
            ahead.push_back(self.store.append(Batch::of(entries.collect::<Result<Vec<_>>>()?), Flush::Now)?.ticket);
            if ahead.len() > COMMITS_AHEAD
                && let Some(first) = ahead.pop_front()
            {
                first.wait()?;
            }
        }
        ahead.into_iter().try_for_each(|ticket| ticket.wait())?;
        Ok(per_second(commits * EVENTS_A_COMMIT, begun))
    }
}

/// An event of a correlation, of which several are under way at a time. Its id is as random as a publisher's.
fn event(number: usize) -> Incoming {
    let correlation = number / (OF_ONE_CORRELATION * CORRELATIONS) * CORRELATIONS + number % CORRELATIONS;
    let random = (correlation as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let id = Uuid::from_u64_pair(random, random.rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9));
    Incoming { correlation_id: Some(id.to_string()), ..events::incoming("order:placed", number) }
}

/// From spawning to ready: after a stop, and after a host that was killed with all that it had in its write-ahead file.
fn restart(effort: Effort, large: &Place, small: &Place) -> Result<Vec<Figure>> {
    let rounds = effort.of(20, 5);
    eprintln!("  {rounds} starts on it, and as many after a kill");
    let [stopped, small_stopped] = interleave(rounds, [&mut || large.start_ms(), &mut || small.start_ms()])?;
    let number = Cell::new(0);
    let killed = |place: &Place| {
        let (host, address) = place.start()?;
        let first = number.replace(number.get() + KILLED_EVENTS);
        Client::connect(address)?.publish_all(&events::ndjson("bench:killed", first, KILLED_EVENTS))?;
        drop(host);
        place.start_ms()
    };
    let [after_kill, small_after_kill] = interleave(effort.of(8, 3), [&mut || killed(large), &mut || killed(small)])?;
    let beside = "ms: the same with a small log";
    Ok(vec![
        Figure::new("restart_10m_events", "ms", stopped, beside, small_stopped).target(Target::AtMost(500.0)),
        Figure::new("restart_10m_events_killed", "ms", after_kill, beside, small_after_kill).target(Target::AtMost(500.0)),
    ])
}

/// What a host takes of the memory after the same work on a large log and on a small one: publishing, a page of the log, a correlation.
fn resident(effort: Effort, large: &Place, small: &Place) -> Result<Vec<Figure>> {
    const PUBLISHED: usize = 50_000;
    const WARM: Duration = Duration::from_millis(300);
    eprintln!("  memory of a host on it");
    let number = Cell::new(0);
    let used = |place: &Place| {
        let (host, address) = place.start()?;
        let mut client = Client::connect(address)?;
        let first = number.replace(number.get() + PUBLISHED);
        client.publish_all(&events::ndjson("bench:remembered", first, PUBLISHED))?;
        let correlation = event(0).correlation_id.unwrap_or_default();
        for query in [format!("correlation_id={correlation}"), "type=order:placed&limit=1000".to_owned()] {
            let (status, answer) = client.ask(&format!("GET /v1/events?{query}"), "", "")?;
            ensure!(status == 200, "the log is not listed: {status} {answer}");
        }
        std::thread::sleep(WARM);
        let mib = resident_kib(&host.process())? / 1024.0;
        host.stop()?;
        Ok(mib)
    };
    let [on_large, on_small] = interleave(effort.of(5, 2), [&mut || used(large), &mut || used(small)])?;
    let beside = "MiB: the same with a small log";
    Ok(vec![Figure::new("resident_10m_vs_small", "MiB", on_large, beside, on_small).target(Target::RatioAtMost(1.1))])
}
