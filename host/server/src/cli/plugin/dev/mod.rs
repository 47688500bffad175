//! `trackside plugin dev`: an author's project in a host of its own, built and taken into service again whenever a file changes, with every call of it
//! on the terminal. What has changed is `sources`', building and taking into service `cycle`'s, the lines `show`'s; the host is `trackside run`'s.

mod cycle;
mod show;
mod sources;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use tokio::sync::mpsc;
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use trackside_engine::OnStop;

use self::{
    cycle::{Cycle, News},
    show::Show,
};
use super::{super::run::Signals, CliError, Out, build};
use crate::{
    authoring::Project,
    boot::{BootError, Host, HostOptions},
    config::Config,
};

/// News that may wait to be shown.
const MOST_NEWS: usize = 64;

#[derive(Args)]
pub(in crate::cli) struct DevArgs {
    /// The project's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// A plugin directory whose plugins run beside it, as they are now.
    #[arg(long, value_name = "DIR")]
    with: Option<PathBuf>,
    /// Where the log is kept [default: .trackside/dev in the project].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where HTTP is served [default: 7070, or a free port if that is taken].
    #[arg(long)]
    port: Option<u16>,
}

pub(super) fn run(args: &DevArgs) -> Result<(), CliError> {
    let project = Project::find(&args.folder).map_err(CliError::failed)?;
    let plugins = project.scratch().join("plugins");
    let failed = |path: &Path, error: std::io::Error| CliError::Failed(format!("{}: {error}", path.display()));
    // What an earlier one has left is not this one's.
    match fs::remove_dir_all(&plugins) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&plugins, error)),
        _ => fs::create_dir_all(&plugins).map_err(|error| failed(&plugins, error))?,
    }
    if let Some(with) = &args.with {
        bring(with, &plugins, &project.name)?;
    }
    let mut out = Out::new();
    out.line(&format!("{} in {} ({}); Ctrl-C ends this", project.name, project.folder.display(), project.language.name()))?;
    out.flush()?;
    // Before the host is there: whoever finds its address finds the plugin in service.
    let seen = sources::look(&project);
    match build::build(&project) {
        Ok(built) => {
            out.line(&format!("wrote {}", build::told(&built)))?;
            cycle::put(&project, &plugins).map_err(|error| CliError::Failed(format!("{}: {error}", plugins.display())))?;
        }
        Err(error) => eprintln!("error: {error}"),
    }
    start_logging()?;
    let mut config = Config { plugin_dir: plugins, ..Config::default() };
    config.data_dir = args.data.clone().unwrap_or_else(|| project.scratch().join("dev"));
    config.plugins.watch = false;
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::failed)?;
    runtime.block_on(perform(project, seen, config, args.port, Show::new(out, args.with.is_some())))
}

/// Runs the host until it is told to stop.
async fn perform(project: Project, seen: sources::Look, config: Config, port: Option<u16>, mut show: Show) -> Result<(), CliError> {
    let mut signals = Signals::new()?;
    let host = tokio::select! {
        started = start(config, port) => started?,
        name = signals.next() => return Err(CliError::Failed(format!("{name} came before the host was ready"))),
    };
    let mut onlooker = host.engine().watch_plugins();
    let (tell, mut news) = mpsc::channel(MOST_NEWS);
    let cycle = Cycle::new(project, host.engine().clone(), host.plugins().clone(), seen, tell);
    cycle.take_up_first().await;
    show.address(host.address())?;
    host.engine().tasks().spawn("plugin dev", OnStop::Abort, cycle.run());
    let stopped_by = loop {
        let shown = tokio::select! {
            name = signals.next() => break Ok(name),
            Some(sighting) = onlooker.next() => show.sighting(&sighting, onlooker.missed()),
            Some(told) = news.recv() => show.news(&told),
        };
        if let Err(error) = shown {
            break Err(error);
        }
    };
    let stopped = host.stop().await.map_err(CliError::failed);
    stopped_by.and(stopped)
}

/// On the port that was given; else on the usual one, or on a free one if that is taken.
async fn start(config: Config, port: Option<u16>) -> Result<Host, CliError> {
    let on = |port: u16| {
        let config = Config { listen: SocketAddr::from(([127, 0, 0, 1], port)), ..config.clone() };
        HostOptions::new(config).map_err(|error| CliError::Failed(format!("failed to find this program: {error}")))
    };
    match (port, Host::start(on(port.unwrap_or(config.listen.port()))?).await) {
        (None, Err(BootError::Bind(_))) => Host::start(on(0)?).await.map_err(CliError::failed),
        (_, started) => started.map_err(CliError::failed),
    }
}

/// Copies the files of a plugin directory, those of the plugin at hand apart.
fn bring(from: &Path, to: &Path, but: &str) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("--with {}: {error}", from.display()));
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let wanted = path.extension().is_some_and(|extension| extension == "wasm" || extension == "toml");
        if let (true, Some(name)) = (wanted && path.file_stem().is_some_and(|stem| stem != but), path.file_name()) {
            fs::copy(&path, to.join(name)).map_err(failed)?;
        }
    }
    Ok(())
}

/// What goes wrong in the host; what plugins write is shown with their calls.
fn start_logging() -> Result<(), CliError> {
    let targets = Targets::new().with_default(tracing::Level::ERROR).with_target("plugin", tracing_subscriber::filter::LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let started = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
    started.map_err(|error| CliError::Failed(format!("failed to start the host's log: {error}")))
}

/// News of the project itself.
impl News {
    fn new(word: &'static str, text: impl Into<String>) -> Self {
        Self { word, text: text.into(), is_error: false }
    }

    fn error(word: &'static str, text: impl Into<String>) -> Self {
        Self { word, text: text.into(), is_error: true }
    }
}
