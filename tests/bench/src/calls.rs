//! One control check: raw and guarded, packed and by record, with fuel and without, all beside the empty call.
//! The handler is `minimal`, a guest in Rust that looks at the event's task and proceeds; a hundred different ones are `chain`'s.

use anyhow::{Result, bail, ensure};
use trackside_model::{
    control::{CheckContext, DecisionPoint, Origin, Signal},
    packed,
    ports::{Fault, Subject},
};
use trackside_wasm::raw::RawNothing;

use crate::{
    Effort,
    bare::Bare,
    chain, events,
    host::Host,
    report::{Figure, Target},
    samples::{interleave, ns_each},
};

/// The guest that is called.
pub(crate) const HANDLER: &str = "minimal";
const CALLS_A_SAMPLE: u32 = 1_000;

/// What a handler is told at the door.
pub(crate) fn context() -> CheckContext {
    CheckContext {
        point: DecisionPoint::Publish,
        attempt: 0,
        now: trackside_engine::now(),
        elapsed_ms: 0,
        remaining_ms: 100,
        origin: Origin::Embedded,
        principal: None,
    }
}

/// A handler proceeds with every event of the benches: anything else is measured wrongly.
pub(crate) fn proceeds(outcome: Result<Signal, Fault>) -> Result<()> {
    match outcome {
        Ok(Signal::Proceed(None)) => Ok(()),
        other => bail!("the handler proceeds with this event, but {other:?} came back"),
    }
}

/// The figures of one call, and of a chain of a hundred.
///
/// # Errors
/// If a handler cannot be made, or does not proceed.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    eprintln!("  building the guests");
    let component = trackside_test_guests::build().bytes(HANDLER);
    let host = Host::new()?;
    let mut figures = one_call(effort, &host, &component)?;
    figures.extend(chain::measure(effort, &host, &component)?);
    Ok(figures)
}

fn one_call(effort: Effort, host: &Host, component: &[u8]) -> Result<Vec<Figure>> {
    host.add(HANDLER, component)?;
    let mut raw = host.plugins.raw_control(HANDLER)?;
    ensure!(raw.has_packed(), "the SDK gives its handlers the packed shape");
    let guest = host.plugins.load(HANDLER)?;
    let mut nothing = RawNothing::new()?;
    let (mut bare_fuel, mut bare) = (Bare::new(component, true)?, Bare::new(component, false)?);

    let (event, context) = (events::checked("order:placed")?, context());
    let subject = Subject::new(&event, None);
    let buffer: &'static [u8] = Box::leak(packed::event(&event, None).into_boxed_slice());
    eprintln!("  one call: an event of {} bytes, packed", buffer.len());
    // The record takes `&mut raw` as the packed call does, and both are sides: each its own instance.
    let mut by_record = host.plugins.raw_control(HANDLER)?;
    let sides = interleave(
        effort.of(400, 60),
        [
            &mut || ns_each(CALLS_A_SAMPLE, || Ok(nothing.call()?)),
            &mut || ns_each(CALLS_A_SAMPLE, || proceeds(raw.check_packed(&subject, &context))),
            &mut || ns_each(CALLS_A_SAMPLE, || proceeds(guest.check(&subject, &context).outcome)),
            &mut || ns_each(CALLS_A_SAMPLE, || proceeds(by_record.check_record(&subject, &context))),
            &mut || ns_each(CALLS_A_SAMPLE, || bare_fuel.check(buffer, &context)),
            &mut || ns_each(CALLS_A_SAMPLE, || bare.check(buffer, &context)),
            &mut || {
                ns_each(CALLS_A_SAMPLE, || {
                    std::hint::black_box(packed::event(&event, None));
                    Ok(())
                })
            },
        ],
    )?;
    let [empty, packed, guarded, record, with_fuel, without_fuel, packing] = sides;
    let beside = "ns: the empty call";
    Ok(vec![
        Figure::new("control_check_packed", "ns", packed.clone(), beside, empty.clone()).target(Target::AtMost(450.0)),
        Figure::new("control_check_guarded", "ns", guarded, beside, empty.clone()).target(Target::AtMost(650.0)),
        Figure::new("control_check_record", "ns", record, beside, empty.clone()),
        Figure::new("control_check_packed_no_fuel", "ns", without_fuel, "ns: the same by wasmtime alone, with fuel", with_fuel),
        Figure::new("event_pack", "ns", packing, beside, empty),
    ])
}
