//! One append at a time, durable: the store's own, and the engine's whole publish, each beside a bare fdatasync in the same folder; and the
//! same publish over HTTP, to a host in a process of its own. Many at a time are `publish`'s.

use anyhow::{Result, bail};
use trackside_engine::Outcome;
use trackside_store::{Batch, Flush};

use crate::{
    Effort,
    disk::Probe,
    engine::{EmbeddedEngine, caller},
    events,
    host::Host,
    http::Client,
    report::{Figure, Target},
    samples::{interleave, us},
    start::{Place, program},
};

/// The figures of one durable append.
///
/// # Errors
/// If the log takes nothing.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let program = program()?;
    let rounds = effort.of(3_000, 400);
    eprintln!("  {rounds} appends and publishes, one at a time");
    let host = Host::new()?;
    host.settle()?;
    let mut probe = Probe::new(host.folder.path())?;
    let engine = EmbeddedEngine::start(&host, &[])?;
    let place = Place::new(&program, &[])?;
    let (over_http, address) = place.start_settled()?;
    let mut client = Client::connect(address)?;
    let (store, number) = (host.store.clone(), std::cell::Cell::new(0));
    let next = || {
        number.set(number.get() + 1);
        events::incoming("order:placed", number.get())
    };
    let [sync, append, publish, http] = interleave(
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
            &mut || {
                number.set(number.get() + 1);
                let event = events::json("order:placed", number.get());
                us(|| client.publish(&event))
            },
        ],
    )?;
    engine.stop();
    over_http.stop()?;
    let beside = "µs: a bare fdatasync";
    Ok(vec![
        Figure::new("append_1_in_flight", "µs", append, beside, sync.clone()).target(Target::RatioAtMost(1.4)),
        Figure::new("publish_1_in_flight", "µs", publish.clone(), beside, sync).target(Target::RatioAtMost(1.5)),
        Figure::new("publish_1_http_added", "µs", http.minus(&publish), "µs: the same in process", publish).target(Target::AtMost(80.0)),
    ])
}
