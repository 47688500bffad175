//! What plugins cost besides their calls: loading a hundred of them, an instance after a fault, the memory of a warm one, and how soon a
//! new version answers. One call is `calls`'; a whole start is `start`'s.

use anyhow::{Result, bail};
use trackside_model::{
    event::Event,
    json::Json,
    ports::{FaultKind, Subject},
};

use crate::{
    Effort,
    calls::{HANDLER, context, proceeds},
    events,
    host::Host,
    process::{SELF, resident_kib},
    report::{Figure, Target},
    samples::{Side, interleave, us},
};

/// The guest that traps when an event says so.
const JUDGE: &str = "judge";
const PLUGINS: u32 = 100;
const INSTANCES: usize = 400;

/// The figures.
///
/// # Errors
/// If a plugin does not load, or does not do what it is asked.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let mut figures = rebuild(effort)?;
    figures.extend(load(effort)?);
    figures.extend(resident(effort)?);
    Ok(figures)
}

fn saying(say: &str) -> Result<Event> {
    let event = events::checked("order:placed")?;
    Ok(Event { payload: Json::trusted(format!(r#"{{"say":"{say}"}}"#)), ..event })
}

/// The first call after a fault, which makes its instance, beside the same call of a warm one.
fn rebuild(effort: Effort) -> Result<Vec<Figure>> {
    let host = Host::new()?;
    host.add(JUDGE, &trackside_test_guests::build().bytes(JUDGE))?;
    let guest = host.plugins.load(JUDGE)?;
    let (kind, trap, context) = (saying("proceed")?, saying("trap")?, context());
    let (kind, trap) = (Subject::new(&kind, None), Subject::new(&trap, None));
    let (rounds, warm) = (effort.of(3_000, 400), || us(|| proceeds(guest.check(&kind, &context).outcome)));
    eprintln!("  {rounds} faults, each followed by a call");
    let [after_fault, warm] = interleave(
        rounds,
        [
            &mut || match guest.check(&trap, &context).outcome {
                Err(fault) if fault.kind == FaultKind::Trap => warm(),
                other => bail!("the guest traps when it is told to, but {other:?} came back"),
            },
            &mut || warm(),
        ],
    )?;
    let added = after_fault.minus(&warm);
    Ok(vec![Figure::new("fault_rebuild", "µs", added, "µs: a guarded call of a warm instance", warm).target(Target::AtMost(15.0))])
}

/// A hundred different plugins from the cache: read, authenticated, linked, described, and each with its first instance.
fn load(effort: Effort) -> Result<Vec<Figure>> {
    let component = trackside_test_guests::build().bytes(HANDLER);
    let names: Vec<String> = (0..PLUGINS).map(|number| format!("plugin-{number:03}")).collect();
    let host = Host::new()?;
    for (number, name) in (0..).zip(&names) {
        host.add(name, &trackside_test_guests::distinct(&component, number))?;
    }
    eprintln!("  {PLUGINS} plugins: compiling, unless an earlier run has, then loading");
    let all = || names.iter().map(|name| Ok(host.plugins.load(name)?)).collect::<Result<Vec<_>>>();
    drop(all()?);
    let read = || names.iter().try_for_each(|name| host.plugins.read_bytes(name).map(drop).map_err(Into::into));
    let sides: [Side<'_>; 2] = [&mut || Ok(us(|| all().map(drop))? / 1e3), &mut || Ok(us(read)? / 1e3)];
    let [loaded, read] = interleave(effort.of(30, 6), sides)?;
    let beside = "ms: reading their files";
    Ok(vec![Figure::new("load_100_plugins", "ms", loaded, beside, read).target(Target::AtMost(60.0))])
}

/// What a warm instance takes of the memory that is in use.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn resident(effort: Effort) -> Result<Vec<Figure>> {
    let component = trackside_test_guests::build().bytes(HANDLER);
    eprintln!("  {INSTANCES} warm instances");
    let event = saying("proceed")?;
    let subject = Subject::new(&event, None);
    let [resident, code] = interleave(
        effort.of(8, 3),
        [
            &mut || {
                // A host of its own: a pool keeps what was touched before.
                let host = Host::new()?;
                host.add(HANDLER, &component)?;
                drop(host.plugins.raw_instances(HANDLER, 1)?);
                let before = resident_kib(SELF)?;
                let mut instances = host.plugins.raw_instances(HANDLER, INSTANCES)?;
                for instance in &mut instances {
                    proceeds(instance.check(&subject, &context()))?;
                }
                Ok((resident_kib(SELF)? - before) / INSTANCES as f64)
            },
            &mut || Ok(component.len() as f64 / 1024.0),
        ],
    )?;
    let beside = "KiB: the component's file";
    Ok(vec![Figure::new("resident_per_instance", "KiB", resident, beside, code).target(Target::AtMost(40.0))])
}
