//! `trackside run`: a host in the foreground, from the first line that it prints to the signal that ends it.
//! Starting and stopping are `boot`'s.

use std::{env, path::PathBuf};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{CliError, print::Out};
use crate::{
    boot::{Host, HostOptions},
    config::{Config, Log, LogFormat, Overrides, Source},
};

#[derive(Args)]
pub(super) struct RunArgs {
    /// Where the components and their settings are [default: ./trackside-plugins].
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Where the log is kept [default: ./trackside-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where HTTP is served; port 0 takes a free one [default: 127.0.0.1:7070].
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Take files of the plugin directory up only when `trackside plugin reload` says so.
    #[arg(long)]
    no_watch: bool,
    /// The configuration [default: ./trackside.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: RunArgs) -> Result<(), CliError> {
    let flags =
        Overrides { file: args.config, data_dir: args.data, plugin_dir: args.plugins, listen: args.listen, no_watch: args.no_watch };
    // Variables that are not text cannot be keys of ours.
    let environment = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let source = Config::read(&flags, &environment).map_err(CliError::failed)?;
    start_logging(&source.config.log)?;
    for warning in &source.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("failed to start threads: {error}")))?;
    runtime.block_on(host(source))
}

async fn host(source: Source) -> Result<(), CliError> {
    let mut signals = Signals::new()?;
    let (plugin_dir, data_dir) = (source.config.plugin_dir.clone(), source.config.data_dir.clone());
    let options = HostOptions::new(source.config).map_err(|error| CliError::Failed(format!("failed to find this program: {error}")))?;
    let host = tokio::select! {
        started = Host::start(options) => started.map_err(CliError::failed)?,
        name = signals.next() => return Err(CliError::Failed(format!("{name} came before the host was ready; nothing was under way"))),
    };
    {
        let mut out = Out::new();
        out.line(&format!("listening on {}", host.url()))?;
        out.line(&format!(
            "plugins in {} ({} in service, {} refused)",
            plugin_dir.display(),
            host.engine().plugins().len(),
            host.plugins().refused().len()
        ))?;
        out.line(&format!("data in {}", data_dir.display()))?;
        out.line(&format!("token in {}", host.token_path().display()))?;
        if let Some(file) = source.file {
            out.line(&format!("configuration from {}", file.display()))?;
        }
        out.flush()?;
    }
    let name = signals.next().await;
    tracing::info!("{name}: stopping; another one stops at once");
    tokio::select! {
        stopped = host.stop() => stopped.map_err(CliError::failed),
        name = signals.next() => Err(CliError::Failed(format!("{name} came a second time: stopped at once; what was under way goes on at the next start"))),
    }
}

/// What tells a host to stop.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, CliError> {
        let failed = |error| CliError::Failed(format!("failed to listen for signals: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// The host's log goes to standard error; its level was checked with the configuration.
fn start_logging(log: &Log) -> Result<(), CliError> {
    let targets: Targets = log.level.parse().map_err(|error| CliError::Failed(format!("log.level: {error}")))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match log.format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(targets))
        .try_init()
        .map_err(|error| CliError::Failed(format!("failed to start the host's log: {error}")))
}
