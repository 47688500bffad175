//! A workflow of three pure tasks, one after the other: from submission to its durable end, alone and with 64 in flight, and once more
//! when the log holds many finished ones. The tasks are `sim/echo`, run by the shipped component under all its limits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;
use trackside_engine::{Engine, SubmitRequest};
use trackside_model::{
    event::Metadata,
    json::Json,
    plugin::EffectClass,
    workflow::{Format, WorkflowStatus},
};

use crate::{
    Effort,
    disk::Probe,
    engine::{EmbeddedEngine, caller},
    host::Host,
    publish::per_second,
    report::{Figure, Target},
    samples::{interleave, us},
};

const WORKER: &str = "sim";
const IN_FLIGHT: usize = 64;
/// Each step hands on what it was given.
const DEFINITION: &str = r#"{"name": "three-steps", "tasks": [
    {"id": "first", "method": "sim/echo", "parameters": {"text": "${workflow.input.text}"}},
    {"id": "second", "method": "sim/echo", "parameters": {"text": "${first.text}"}},
    {"id": "third", "method": "sim/echo", "parameters": {"text": "${second.text}"}}]}"#;

/// The figures of a workflow.
///
/// # Errors
/// If a workflow does not complete.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let host = Host::new()?;
    host.settle()?;
    host.add(WORKER, &trackside_test_guests::build().bytes(WORKER))?;
    let worker = host.plugins.load(WORKER)?;
    ensure!(worker.info().effect_class == EffectClass::Pure, "the steps are pure tasks");
    let mut probe = Probe::new(host.folder.path())?;
    let engine = EmbeddedEngine::start(&host, &[worker])?;

    let alone = effort.of(1_500, 200);
    eprintln!("  {alone} workflows, one at a time");
    let [sync, one] = interleave(alone, [&mut || probe.sync_us(), &mut || us(|| engine.runtime.block_on(run(&engine.engine)))])?;

    let (rounds, a_round) = (effort.of(9, 3), effort.of(1_500, 300));
    eprintln!("  {rounds} rounds of {a_round} workflows, {IN_FLIGHT} in flight");
    let mut rates =
        || interleave(rounds, [&mut || syncs_per_second(&mut probe), &mut || engine.runtime.block_on(rate(&engine.engine, a_round))]);
    let [syncs, many] = rates()?;
    let stored = effort.of(100_000, 3_000);
    eprintln!("  the same when the log holds {stored} finished ones");
    let ended = usize::try_from(engine.engine.stats().workflows_ended)?;
    engine.runtime.block_on(rate(&engine.engine, stored.saturating_sub(ended).max(IN_FLIGHT)))?;
    let [later_syncs, later] = rates()?;
    engine.stop();

    let beside = "workflows/s: bare fdatasyncs, one after the other";
    Ok(vec![
        Figure::new("workflow_3_step_p50", "µs", one, "µs: a bare fdatasync", sync).target(Target::RatioAtMost(4.0)),
        Figure::new("workflow_3_step_rate", "workflows/s", many, beside, syncs).target(Target::AtLeast(3_000.0)),
        Figure::new("workflow_3_step_rate_stored", "workflows/s", later, beside, later_syncs).target(Target::AtLeast(3_000.0)),
    ])
}

/// Submits one and waits for its durable end.
async fn run(engine: &Engine) -> Result<()> {
    let request = SubmitRequest {
        definition: DEFINITION.to_owned(),
        format: Format::Json,
        input: Json::trusted(r#"{"text":"a line of text that goes through three steps"}"#),
        event_id: None,
        correlation_id: None,
        metadata: Metadata::new(),
    };
    let answer = engine.submit(request, caller()).await?;
    let Some(workflow_id) = &answer.workflow_id else { bail!("a workflow was not taken: {answer:?}") };
    let ended = engine.wait(workflow_id).await?.context("a workflow that was taken is known")?;
    ensure!(ended.status == WorkflowStatus::Completed, "a workflow did not complete: {ended:?}");
    Ok(())
}

/// Workflows a second that 64 clients come to, each of which waits for one's end before it submits the next.
async fn rate(engine: &Engine, count: usize) -> Result<f64> {
    let begun_with = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..IN_FLIGHT {
        let (engine, begun_with) = (engine.clone(), begun_with.clone());
        clients.spawn(async move {
            while begun_with.fetch_add(1, Relaxed) < count {
                run(&engine).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(per_second(count, begun))
}

fn syncs_per_second(probe: &mut Probe) -> Result<f64> {
    const SYNCS: usize = 200;
    let begun = Instant::now();
    for _ in 0..SYNCS {
        probe.sync_us()?;
    }
    Ok(per_second(SYNCS, begun))
}
