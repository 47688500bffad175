//! One append at a time, durable: the store's own, and the engine's whole publish, each beside a bare fdatasync in the same folder.
//! Many at a time are `publish`'s.

use anyhow::{Result, bail};
use trackside_engine::Outcome;
use trackside_store::{Batch, Flush};

use crate::{
    Effort,
    disk::Probe,
    engine::{EmbeddedEngine, caller},
    events,
    host::Host,
    report::{Figure, Target},
    samples::{interleave, us},
};

/// The figures of one durable append.
///
/// # Errors
/// If the log takes nothing.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let rounds = effort.of(3_000, 400);
    eprintln!("  {rounds} appends and publishes, one at a time");
    let host = Host::new()?;
    host.settle()?;
    let mut probe = Probe::new(host.folder.path())?;
    let engine = EmbeddedEngine::start(&host, &[])?;
    let (store, number) = (host.store.clone(), std::cell::Cell::new(0));
    let next = || {
        number.set(number.get() + 1);
        events::incoming("order:placed", number.get())
    };
    let [sync, append, publish] = interleave(
        rounds,
        [
            &mut || probe.sync_us(),
            &mut || {
                let batch = Batch::of([events::entry(next())?]);
                us(|| Ok(store.append(batch, Flush::Now)?.ticket.wait()?))
            },
            &mut || {
                let incoming = next();
                us(|| match engine.runtime.block_on(engine.engine.publish(incoming, caller())).outcome {
                    Outcome::Appended => Ok(()),
                    other => bail!("an event was not appended, but {other:?}"),
                })
            },
        ],
    )?;
    engine.stop();
    let beside = "µs: a bare fdatasync";
    Ok(vec![
        Figure::new("append_1_in_flight", "µs", append, beside, sync.clone()).target(Target::RatioAtMost(1.4)),
        Figure::new("publish_1_in_flight", "µs", publish, beside, sync),
    ])
}
