//! A hundred control handlers, each a component of its own with machine code of its own, behind the host's filter.
//! One handler alone, which flatters whatever is measured with it, is `calls`'.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use trackside_model::{
    control::{CheckContext, DecisionRecord, Verdict},
    event::{Event, Filter, TypeIndex},
    ports::Subject,
};
use trackside_wasm::raw::{RawControl, RawNothing};

use crate::{
    Effort,
    calls::{context, proceeds},
    engine::EmbeddedEngine,
    events,
    host::Host,
    report::{Figure, Target},
    samples::{Samples, interleave, ns_each},
};

const HANDLERS: usize = 100;
/// Each handler wants one of these types, so that ten of a hundred match any of them.
const TYPES: usize = 10;
const EVENTS_A_SAMPLE: u32 = 100;
/// Events that are judged one after the other for a sample.
const ALONE: u32 = 10;
/// As many as a handler is asked about in one call by default.
const TOGETHER: usize = 64;

/// The handlers in the chain's order, and what finds those that match.
struct Handlers {
    raw: Vec<RawControl>,
    filters: Vec<Filter>,
    index: TypeIndex,
}

impl Handlers {
    fn new(host: &Host, component: &[u8]) -> Result<Self> {
        let (mut raw, mut filters) = (Vec::new(), Vec::new());
        for number in 0..HANDLERS {
            let name = format!("handler-{number:03}");
            host.add(&name, &trackside_test_guests::distinct(component, u32::try_from(number)?))?;
            raw.push(host.plugins.raw_control(&name)?);
            filters.push(Filter::types([event_type(number % TYPES).as_str()])?);
        }
        let index = TypeIndex::new(&filters);
        Ok(Self { raw, filters, index })
    }

    /// What the engine does with an event, guards and records apart: find the handlers, pack the event once, ask each.
    fn check(&mut self, event: &Event, context: &CheckContext) -> Result<usize> {
        let subject = Subject::new(event, None);
        let mut asked = 0;
        for &place in self.index.matching(&event.event_type).iter() {
            let place = place as usize;
            if self.filters[place].matches_rest(event) {
                proceeds(self.raw[place].check_packed(&subject, context))?;
                asked += 1;
            }
        }
        Ok(asked)
    }

    /// The same without the filter: every handler is asked.
    fn check_all(&mut self, event: &Event, context: &CheckContext) -> Result<()> {
        let subject = Subject::new(event, None);
        self.raw.iter_mut().try_for_each(|handler| proceeds(handler.check_packed(&subject, context)))
    }
}

fn event_type(number: usize) -> String {
    format!("order:kind_{number}")
}

/// The figures of a chain.
///
/// # Errors
/// If a handler cannot be made, or does not proceed.
pub(crate) fn measure(effort: Effort, host: &Host, component: &[u8]) -> Result<Vec<Figure>> {
    eprintln!("  a chain: compiling {HANDLERS} components, unless an earlier run has");
    let mut handlers = Handlers::new(host, component)?;
    let events = (0..TYPES).map(|number| events::checked(&event_type(number))).collect::<Result<Vec<Event>>>()?;
    let (context, mut nothing) = (context(), RawNothing::new()?);
    ensure!(handlers.check(&events[0], &context)? == HANDLERS / TYPES, "ten of a hundred match");

    eprintln!("  a chain: one event after the other");
    let handlers = std::cell::RefCell::new(&mut handlers);
    let mut next = 0;
    let sides = interleave(
        effort.of(300, 40),
        [
            &mut || ns_each(EVENTS_A_SAMPLE, || (0..HANDLERS / TYPES).try_for_each(|_| Ok(nothing.call()?))),
            &mut || ns_each(EVENTS_A_SAMPLE, || handlers.borrow_mut().check(&events[0], &context).map(drop)),
            &mut || {
                ns_each(EVENTS_A_SAMPLE, || {
                    next = (next + 1) % TYPES;
                    handlers.borrow_mut().check(&events[next], &context).map(drop)
                })
            },
            &mut || ns_each(EVENTS_A_SAMPLE / 10, || handlers.borrow_mut().check_all(&events[0], &context)),
        ],
    )?;
    let [empty, matching, rotating, all] = sides.map(|samples: Samples| samples.map(|ns| ns / 1e3));
    let beside = "µs: ten empty calls";
    let mut figures = vec![
        Figure::new("control_chain_100_match_10", "µs", matching, beside, empty.clone()).target(Target::AtMost(6.0)),
        Figure::new("control_chain_100_match_10_rotating", "µs", rotating, beside, empty.clone()),
        Figure::new("control_chain_100_match_100", "µs", all, "µs: a hundred empty calls", empty.map(|ten| ten * 10.0)),
    ];
    figures.extend(in_service(effort, host)?);
    Ok(figures)
}

/// The same hundred as an engine asks them, every one guarded, told to its breaker and kept in the event's decision record: about one event,
/// and about as many as are judged together.
fn in_service(effort: Effort, host: &Host) -> Result<Vec<Figure>> {
    let mut guests = Vec::new();
    for number in 0..HANDLERS {
        let name = format!("handler-{number:03}");
        host.settings(&name, "[controls]\nevent_types = ['order:*']\n")?;
        guests.push(host.plugins.load(&name)?);
    }
    let service = EmbeddedEngine::start(host, &guests)?;
    let (event, mut nothing) = (events::checked("order:placed")?, RawNothing::new()?);
    let judge = |count: usize| -> Result<f64> {
        let events = vec![event.clone(); count];
        let begun = Instant::now();
        let judged = service.engine.judge_unlogged(events);
        let took_us = begun.elapsed().as_secs_f64() * 1e6;
        for (verdict, record) in judged {
            ensure!(verdict == Verdict::Proceed(None), "all handlers proceed, but {verdict:?} came back");
            let record = record.context("what was judged has a record")?;
            ensure!(record.checks.len() == HANDLERS, "every handler is asked");
        }
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        Ok(took_us / count as f64)
    };
    // The first calls find out how many events each may be given.
    for _ in 0..10 {
        judge(TOGETHER)?;
    }
    let batches = service.engine.judge_unlogged(vec![event.clone(); TOGETHER]);
    let together = |record: &DecisionRecord| record.checks.iter().all(|check| check.batch as usize == TOGETHER);
    ensure!(batches.iter().all(|(_, record)| record.as_deref().is_some_and(together)), "all are judged in one call a handler");
    let [empty, one, together] = interleave(
        effort.of(300, 40),
        [
            &mut || Ok(ns_each(100, || (0..HANDLERS).try_for_each(|_| Ok(nothing.call()?)))? / 1e3),
            // One after the other, as often as the raw calls above: only the first after a batch meets cold caches.
            &mut || Ok((0..ALONE).map(|_| judge(1)).sum::<Result<f64>>()? / f64::from(ALONE)),
            &mut || judge(TOGETHER),
        ],
    )?;
    service.stop();
    let beside = "µs: a hundred empty calls";
    Ok(vec![
        Figure::new("control_chain_100_all", "µs", one, beside, empty.clone()).target(Target::AtMost(130.0)),
        Figure::new("control_chain_100_all_batch_64", "µs", together, beside, empty).target(Target::AtMost(7.0)),
    ])
}
