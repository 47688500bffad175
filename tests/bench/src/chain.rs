//! A hundred control handlers, each a component of its own with machine code of its own, behind the host's filter.
//! One handler alone, which flatters whatever is measured with it, is `calls`'.

use anyhow::{Result, ensure};
use trackside_model::{
    control::CheckContext,
    event::{Event, Filter, TypeIndex},
    ports::Subject,
};
use trackside_wasm::raw::{RawControl, RawNothing};

use crate::{
    Effort,
    calls::{context, proceeds},
    events,
    host::Host,
    report::{Figure, Target},
    samples::{Samples, interleave, ns_each},
};

const HANDLERS: usize = 100;
/// Each handler wants one of these types, so that ten of a hundred match any of them.
const TYPES: usize = 10;
const EVENTS_A_SAMPLE: u32 = 100;

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
    Ok(vec![
        Figure::new("control_chain_100_match_10", "µs", matching, beside, empty.clone()).target(Target::AtMost(8.0)),
        Figure::new("control_chain_100_match_10_rotating", "µs", rotating, beside, empty.clone()),
        Figure::new("control_chain_100_match_100", "µs", all, "µs: a hundred empty calls", empty.map(|ten| ten * 10.0)),
    ])
}
