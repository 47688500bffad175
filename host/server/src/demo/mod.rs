//! `trackside demo`: a workflow over the user's own files, by the plugins that ship, steered, watched, and with a hostile one among them.
//! The stage is set by `scene`, what is seen is drawn by `show`; the host is the same as `trackside run`'s.

mod scene;
mod show;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use trackside_engine::{Caller, Engine, Reading, SubmitRequest};
use trackside_model::{
    control::Origin,
    event::{Incoming, Metadata},
    json::Json,
    workflow::{Format, WorkflowStatus, WorkflowView},
};

use self::{
    scene::Scene,
    show::{Show, Tally},
};
use crate::{
    boot::{Host, HostOptions},
    cli::CliError,
};

/// The workflow that is run.
const WORKFLOW: &str = include_str!("workflow.yaml");
/// How long the demo waits for the workflow at the most.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events of an application's own that it publishes first, one after the other: they come through the same door.
const GREETINGS: u32 = 5;
/// How long it waits after that for the spinner to be quarantined.
const PATIENCE_FOR_SPINNER: Duration = Duration::from_secs(5);

/// Runs a workflow over text files, with everything that this host does in sight.
#[derive(Args, Clone, Debug, Default)]
pub struct DemoArgs {
    /// Folder with text files to run it over; the project's own documents if absent.
    #[arg(long, value_name = "DIR")]
    pub input: Option<PathBuf>,
    /// Keep the log in this directory, which is never removed; a temporary one if absent.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Keep the temporary directory.
    #[arg(long)]
    pub keep: bool,
}

/// Runs the demo.
///
/// # Errors
/// What stands against it, in a sentence.
pub fn run(args: DemoArgs) -> Result<(), CliError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::failed)?;
    runtime.block_on(perform(args)).map_err(|error| CliError::Failed(format!("{error:#}")))
}

async fn perform(args: DemoArgs) -> anyhow::Result<()> {
    let scene = Scene::set(&args)?;
    let mut show = Show::new();
    show.title(&scene);
    show.waiting("compiling the plugins to machine code…");
    let host = Host::start(HostOptions::new(scene.config())?).await.context("failed to start the host")?;
    let played = play(host.engine(), &mut show).await;
    let stopped = host.stop().await;
    let (view, tally) = played?;
    stopped.context("failed to stop the host")?;
    show.digest(&view);
    show.providers(&tally);
    show.table(&tally, &view);
    scene.close(&mut show, &view)?;
    match view.status {
        WorkflowStatus::Completed => Ok(()),
        status => bail!("the workflow ended {}: {}", status.as_str(), view.reason.unwrap_or_default()),
    }
}

/// Submits the workflow, shows the stream, and waits for the end of all that is to be seen.
async fn play(engine: &Engine, show: &mut Show) -> anyhow::Result<(WorkflowView, Tally)> {
    let mut stream = engine.subscribe(Reading { narration: true, ..Reading::default() });
    let caller = Caller { origin: Origin::Cli, principal: None };
    for number in 1..=GREETINGS {
        let incoming = Incoming {
            event_type: "DemoGreeted".to_owned(),
            source_component: "demo".to_owned(),
            payload: Some(Json::from(serde_json::json!({"number": number}))),
            ..Incoming::default()
        };
        engine.publish(incoming, caller.clone()).await;
    }
    let request = SubmitRequest {
        definition: WORKFLOW.to_owned(),
        format: Format::Yaml,
        input: Json::trusted("{}"),
        event_id: None,
        correlation_id: None,
        metadata: Metadata::new(),
    };
    let answer = engine.submit(request, caller).await?;
    let workflow_id = answer.workflow_id.ok_or_else(|| anyhow!("the workflow was not taken: {}", answer.reason.unwrap_or_default()))?;
    let mut tally = Tally::default();
    let begun = Instant::now();
    while !done(&tally, begun) {
        let Ok(events) = tokio::time::timeout(Duration::from_millis(100), stream.events()).await else { continue };
        for event in events.context("failed to read the log")? {
            tally.take(&event, &workflow_id);
            show.event(&event, &tally);
        }
    }
    show.end_of_stream();
    let view = engine.workflow(&workflow_id).await?.ok_or_else(|| anyhow!("the log has no workflow {workflow_id}"))?;
    tally.close(engine);
    Ok((view, tally))
}

/// Whether there is nothing left to wait for: the workflow has ended, and the spinner is in quarantine.
fn done(tally: &Tally, begun: Instant) -> bool {
    let ended = tally.workflow_ended;
    (ended && (tally.quarantined || begun.elapsed() > PATIENCE_FOR_SPINNER)) || begun.elapsed() > PATIENCE
}
