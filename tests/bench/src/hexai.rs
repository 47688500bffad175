//! HexAI's two benchmarks as they stand in its document, beside its idea in Python: 100 control handlers and 1,000 checks, and 50 observers
//! that are notified of an event. There the handlers are bare functions; here each is a sandboxed component under every limit.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use trackside_model::{
    control::Verdict,
    ports::{Delivery, EventBatch},
};

use crate::{
    Effort,
    beside::Beside,
    calls::HANDLER,
    engine::EmbeddedEngine,
    events,
    host::Host,
    report::Figure,
    samples::{interleave, us},
};

const HANDLERS: u32 = 100;
const CHECKS: usize = 1_000;
const OBSERVERS: u32 = 50;
const NOTIFICATIONS: usize = 64;

/// The figures. None where there is no Python.
///
/// # Errors
/// If a plugin does not do what it is asked.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/hexai.py");
    let Ok(python) = Beside::start(Command::new("python3").arg(&script)) else {
        eprintln!("  left out: there is no python3");
        return Ok(Vec::new());
    };
    let python = std::cell::RefCell::new(python);
    let guests = trackside_test_guests::build();
    let host = Host::new()?;
    let load = |name: &str, component: &[u8], settings: &str, count: u32| -> Result<Vec<_>> {
        (0..count)
            .map(|number| {
                let name = format!("{name}-{number:03}");
                host.add(&name, &trackside_test_guests::distinct(component, number))?;
                host.settings(&name, settings)?;
                Ok(host.plugins.load(&name)?)
            })
            .collect()
    };
    let handlers = load("handler", &guests.bytes(HANDLER), "[controls]\nevent_types = ['order:*']\n", HANDLERS)?;
    let observers = load("watcher", &guests.bytes("watcher"), "", OBSERVERS)?;
    let service = EmbeddedEngine::start(&host, &handlers)?;
    let event = events::checked("order:placed")?;
    let judged = |together: usize| -> Result<f64> {
        let events: Vec<_> = (0..CHECKS / together).map(|_| vec![event.clone(); together]).collect();
        let took_us = us(|| {
            for events in events {
                let judged = service.engine.judge_unlogged(events);
                ensure!(judged.iter().all(|(verdict, _)| *verdict == Verdict::Proceed(None)), "all handlers proceed");
            }
            Ok(())
        })?;
        Ok(took_us / (CHECKS / together * together) as f64)
    };
    let shared = std::sync::Arc::new(event.clone());
    let delivery = Delivery { now: trackside_engine::now(), attempt: 1, replay: false, missed: 0 };
    let notified = |together: usize| -> Result<f64> {
        let batch = EventBatch::new(vec![shared.clone(); together]);
        let took_us = us(|| {
            observers.iter().try_for_each(|observer| {
                observer.observe(&batch, &delivery).outcome?.map_err(anyhow::Error::msg).context("the observer takes everything")
            })
        })?;
        Ok(took_us / together as f64)
    };
    let checks = u32::try_from(CHECKS)?;
    let [alone, together, python_checks, one, batch, python_notified] = interleave(
        effort.of(20, 5),
        [
            &mut || judged(1),
            &mut || judged(64),
            &mut || Ok(python.borrow_mut().ns_each(&format!("control {checks}"), checks)? / 1e3),
            &mut || notified(1),
            &mut || notified(NOTIFICATIONS),
            &mut || Ok(python.borrow_mut().ns_each("observers 100", 100)? / 1e3),
        ],
    )?;
    service.stop();
    let (bare_checks, bare_notified) = ("µs: HexAI's idea in Python, a check", "µs: HexAI's idea in Python, a notification");
    Ok(vec![
        Figure::new("hexai_100_handlers", "µs", alone, bare_checks, python_checks.clone()),
        Figure::new("hexai_100_handlers_batch_64", "µs", together, bare_checks, python_checks),
        Figure::new("hexai_50_observers", "µs", one, bare_notified, python_notified.clone()),
        Figure::new("hexai_50_observers_batch_64", "µs", batch, bare_notified, python_notified),
    ])
}
