//! Asking a log of a million events: a correlation, and pages under every kind of filter, at the beginning, in the middle and at the end.
//! Beside each, the plainest question there is: the first page of everything.

use std::time::Instant;

use anyhow::{Result, ensure};
use trackside_model::event::{Condition, Filter, Incoming, Position, Severity};
use trackside_store::{Batch, Bounds, By, Flush, Query, Stats, Store, StoreOptions, Surveyed, Words};
use uuid::Uuid;

use crate::{
    Effort, disk, events,
    report::{Figure, Target},
    samples::Samples,
};

const TYPES: usize = 200;
const SOURCES: usize = 40;
/// Events of one correlation.
const EVENTS_A_CORRELATION: usize = 5;
/// Events of one workflow; a tenth of all are of one.
const EVENTS_A_WORKFLOW: usize = 50;
const EVENTS_A_COMMIT: usize = 2_000;

/// The figures of questions to a large log.
///
/// # Errors
/// If the log takes nothing, or cannot be asked.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let (events, rounds) = (effort.of(1_000_000, 100_000), effort.of(15, 5));
    let folder = disk::scratch()?;
    let options =
        StoreOptions { full_text: Filter::types(["kind-7:*"])?.event_types.unwrap_or_default(), ..StoreOptions::new(folder.path()) };
    let store = Store::open(options, trackside_engine::now)?;
    let begun = Instant::now();
    fill(&store, events)?;
    eprintln!("  {events} events, appended in {:.0} s", begun.elapsed().as_secs_f64());

    let mut plain = Samples::default();
    let mut correlation = Samples::default();
    for round in 0..rounds * 20 {
        plain.push(ms(|| page(&store, &Query::default()))?.0);
        let chosen = (round * 7_919) % (events / EVENTS_A_CORRELATION);
        let filter = Filter { correlation_ids: Some(vec![correlation_id(chosen)]), ..Filter::default() };
        let (took, found) = ms(|| page(&store, &Query { filter, narration: true, ..Query::default() }))?;
        ensure!(found.0 == EVENTS_A_CORRELATION, "a correlation has {EVENTS_A_CORRELATION} events, and {} were found", found.0);
        correlation.push(took * 1e3);
    }

    let mut slowest: (f64, Samples) = (0.0, Samples::default());
    for (name, query) in questions(events)? {
        for place in [0, events / 2, events - 2_000] {
            let mut samples = Samples::default();
            let mut found = (0, false);
            for _ in 0..rounds {
                let after = Some(Position::end_of(place as u64));
                let (took, page) = ms(|| page(&store, &Query { after, ..query.clone() }))?;
                samples.push(took);
                found = page;
            }
            let (events, more) = found;
            eprintln!(
                "  {name:<28} behind {place:>7}: {:>8.2} ms, {events} events{}",
                samples.median(),
                if more { ", and more" } else { "" }
            );
            if samples.median() > slowest.0 {
                slowest = (samples.median(), samples);
            }
        }
    }

    let mut counted = Samples::default();
    for by in [vec![By::Type], vec![By::Source, By::Severity], vec![By::Minute]] {
        let (took, counts) = ms(|| {
            let mut stats = Stats::begin(&store, Surveyed::default(), by, Bounds::default())?;
            while stats.step(&store)? {}
            Ok(stats.answer())
        })?;
        ensure!(counts.events == events as u64, "{} of {events} events were counted", counts.events);
        counted.push(took);
    }
    store.close()?;
    let beside = "ms: the first page of everything";
    Ok(vec![
        Figure::new("correlation_of_a_million", "µs", correlation, "µs: the first page of everything", plain.map(|ms| ms * 1e3))
            .target(Target::AtMost(1_000.0)),
        Figure::new("slowest_page_of_a_million", "ms", slowest.1, beside, plain.clone()).target(Target::AtMost(50.0)),
        Figure::new("counts_of_a_million", "ms", counted, beside, plain),
    ])
}

fn fill(store: &Store, events: usize) -> Result<()> {
    let mut last = None;
    for first in (0..events).step_by(EVENTS_A_COMMIT) {
        let entries = (first..(first + EVENTS_A_COMMIT).min(events)).map(|number| events::entry(event(number, events)));
        let appended = store.append(Batch::of(entries.collect::<Result<Vec<_>>>()?), Flush::Now)?;
        // One commit under way while the next is made.
        if let Some(before) = last.replace(appended.ticket) {
            before.wait()?;
        }
    }
    last.map_or(Ok(()), |ticket| ticket.wait().map(drop))?;
    Ok(())
}

/// What looks like chance, and is the same in each run.
fn dice(number: usize) -> usize {
    let mixed = (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or(0)
}

fn correlation_id(correlation: usize) -> String {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + correlation as u128).to_string()
}

fn event(number: usize, events: usize) -> Incoming {
    let dice = dice(number);
    let mut event = events::incoming(&format!("kind-{}:happened", dice % TYPES), number);
    event.source_component = format!("source-{}", dice / TYPES % SOURCES);
    event.severity = Some(if dice.is_multiple_of(1_000) { Severity::Critical } else { Severity::ALL[dice / 7 % 4] });
    // The five of one correlation are far from each other.
    event.correlation_id = Some(correlation_id(number % (events / EVENTS_A_CORRELATION)));
    if dice.is_multiple_of(10) {
        event.workflow_id = Some(format!("workflow-{}", number / (EVENTS_A_WORKFLOW * 10)));
        event.task_id = Some(format!("task-{}", dice / 10 % 7));
        event.provider_id = dice.is_multiple_of(20).then(|| "files".to_owned());
    }
    event
}

/// Every kind of filter: wide and narrow ones, and such as match nothing.
fn questions(events: usize) -> Result<Vec<(&'static str, Query)>> {
    let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    let of = |filter: Filter| Query { filter, limit: 1_000, narration: true, ..Query::default() };
    let all = Filter::default;
    let many: Vec<String> = (0..60).map(|kind| format!("kind-{kind}:happened")).collect();
    let many = Filter::types(many.iter().map(String::as_str))?;
    let middle = format!("workflow-{}", events / (EVENTS_A_WORKFLOW * 10) / 2);
    Ok(vec![
        ("everything", of(all())),
        ("one type", of(Filter::types(["kind-7:happened"])?)),
        ("sixty types", of(many)),
        ("a pattern for every type", of(Filter::types(["*:happened"])?)),
        ("a type that is not there", of(Filter::types(["never:happened"])?)),
        ("critical", of(Filter { min_severity: Some(Severity::Critical), ..all() })),
        ("one source", of(Filter { source_components: texts(&["source-7"]), ..all() })),
        ("a source that is not there", of(Filter { source_components: texts(&["nobody"]), ..all() })),
        ("a type of one source", of(Filter { source_components: texts(&["source-7"]), ..Filter::types(["kind-7:happened"])? })),
        ("one workflow", of(Filter { workflow_ids: texts(&[&middle]), ..all() })),
        ("one task", of(Filter { task_ids: texts(&["task-3"]), ..all() })),
        ("one provider", of(Filter { provider_ids: texts(&["files"]), ..all() })),
        ("a condition that holds", of(Filter { when: Some(Condition::parse("event.payload.total_cents > 6000")?), ..all() })),
        ("a condition that does not", of(Filter { when: Some(Condition::parse("event.payload.total_cents > 7000")?), ..all() })),
        ("a word that is everywhere", Query { words: Some(Words::parse("kettle")?), ..of(all()) }),
        ("two words, one of them rare", Query { words: Some(Words::parse("EUR order-0000000777 OR 0000500007")?), ..of(all()) }),
        (
            "words, of another source",
            Query { words: Some(Words::parse("kettle*")?), ..of(Filter { source_components: texts(&["nobody"]), ..all() }) },
        ),
    ])
}

/// How many were found, and whether there may be more.
fn page(store: &Store, query: &Query) -> Result<(usize, bool)> {
    let page = store.query(query)?;
    Ok((page.events.len(), page.next.is_some()))
}

/// Milliseconds that it takes, and what comes of it.
fn ms<T>(ask: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let begun = Instant::now();
    let answer = ask()?;
    Ok((begun.elapsed().as_secs_f64() * 1e3, answer))
}
