//! `trackside store`: a copy of the log while the host runs, the look through a whole one, and what becomes of what is old.
//! All of it is the store's.

use std::{
    env,
    fmt::Display,
    fs::File,
    io::{BufReader, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, Subcommand};
use trackside_model::keeping::Gap;
use trackside_store::{Held, ImportError, NOT_COMPARED, Salvaged, Store, Verified, backup, compact, import, salvage, verify};

use super::{
    CliError,
    print::{self, Out},
};
use crate::config::{Config, Overrides};

#[derive(Subcommand)]
pub(super) enum StoreVerb {
    /// Copy the log into a file, while a host may be running, and look the copy through.
    Backup(BackupArgs),
    /// Look a whole log through: of a data directory, or a copy.
    Verify(VerifyArgs),
    /// Write a new log with every event of a damaged one that can be read.
    Salvage(SalvageArgs),
    /// Import what `trackside events export` wrote, behind the end of a log that no host has open; an empty directory gets one.
    Import(ImportArgs),
    /// Say what the rules of retention would let go now; a host may be running.
    Trim(TrimArgs),
    /// Give back the space of what was trimmed, while no host runs.
    Compact(CompactArgs),
}

#[derive(Args)]
pub(super) struct SalvageArgs {
    /// Where the new log goes; the file must not exist.
    file: PathBuf,
    /// The damaged log; without it, that of the data directory.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    from: Option<PathBuf>,
    /// The data directory [default: ./trackside-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ImportArgs {
    /// The export; `-` for standard input.
    file: PathBuf,
    /// The data directory [default: ./trackside-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct TrimArgs {
    /// Nothing is changed: it is the host that trims.
    #[arg(long, required = true)]
    dry_run: bool,
    /// The configuration file [default: ./trackside.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory [default: ./trackside-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct CompactArgs {
    /// The data directory [default: ./trackside-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct BackupArgs {
    /// Where the copy goes; the file must not exist.
    file: PathBuf,
    /// The data directory [default: ./trackside-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// A copy; without it, the log of the data directory.
    file: Option<PathBuf>,
    /// The data directory [default: ./trackside-data].
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    data: Option<PathBuf>,
}

pub(super) fn run(verb: StoreVerb) -> Result<(), CliError> {
    let begun = Instant::now();
    let events = |done, of| progress(done, of, "events");
    let data_dir = |given: Option<PathBuf>| given.unwrap_or_else(|| Config::default().data_dir);
    let (what, done) = match verb {
        StoreVerb::Backup(args) => {
            ("copied and looked through", backup(&data_dir(args.data), &args.file, events).map_err(CliError::failed)?)
        }
        StoreVerb::Verify(args) => {
            let path = args.file.unwrap_or_else(|| trackside_store::log_path(&data_dir(args.data)));
            ("looked through", verify(&path, events).map_err(CliError::failed)?)
        }
        StoreVerb::Salvage(args) => {
            let from = args.from.unwrap_or_else(|| trackside_store::log_path(&data_dir(args.data)));
            let now = trackside_engine::now();
            let saved = salvage(&from, &args.file, now, uuid::Uuid::now_v7, events).map_err(CliError::failed)?;
            tell_salvaged(&saved)?;
            ("looked through", saved.verified)
        }
        StoreVerb::Trim(args) => return trim(args),
        StoreVerb::Import(args) => return import_file(&args.file, &data_dir(args.data)),
        StoreVerb::Compact(args) => {
            let (before, after) = compact(&data_dir(args.data)).map_err(CliError::failed)?;
            let took = print::duration(begun.elapsed().as_secs_f64() * 1e3);
            return Out::new().line(&format!("compacted: from {before} to {after} bytes, in {took}"));
        }
    };
    let Verified { first, last, trimmed, dead_letters, bytes } = done;
    let events = match last {
        0 => "no events".to_owned(),
        _ => format!("events {first} to {last}"),
    };
    let trimmed = if trimmed == 0 { String::new() } else { format!(", {trimmed} of them trimmed") };
    let letters = if dead_letters == 0 { String::new() } else { format!(", {dead_letters} dead letters") };
    let mut out = Out::new();
    let took = print::duration(begun.elapsed().as_secs_f64() * 1e3);
    out.line(&format!("{what}: {events}{trimmed}{letters}, {bytes} bytes, in {took}"))?;
    out.line(&format!("nothing to compare with the events: {}", NOT_COMPARED.join(", ")))?;
    out.flush()
}

/// What was saved, and what was lost.
fn tell_salvaged(saved: &Salvaged) -> Result<(), CliError> {
    let lost: u64 = saved.lost.iter().map(Gap::events).sum();
    let mut out = Out::new();
    out.line(&format!("saved {} events, lost {lost}", saved.saved))?;
    for gap in &saved.lost {
        out.line(&format!("lost: {} to {}", gap.from, gap.to))?;
    }
    for table in &saved.torn {
        out.line(&format!("lost: some rows of the table '{table}'"))?;
    }
    out.flush()
}

fn import_file(file: &Path, data_dir: &Path) -> Result<(), CliError> {
    let begun = Instant::now();
    let failed = |error: &dyn Display| CliError::Failed(format!("{}: {error}", file.display()));
    let imported = if file == Path::new("-") {
        import(data_dir, std::io::stdin().lock(), |_| ()).map_err(|error| CliError::Failed(format!("standard input: {error}")))?
    } else {
        let lines = File::open(file).map_err(|error| failed(&error))?;
        let bytes = lines.metadata().map_err(|error| failed(&error))?.len();
        import(data_dir, BufReader::new(lines), |read| progress(read, bytes, "bytes")).map_err(|error| match error {
            ImportError::Open(error) => CliError::Failed(format!("{}: {error}", data_dir.display())),
            error => failed(&error),
        })?
    };
    let took = print::duration(begun.elapsed().as_secs_f64() * 1e3);
    let mut out = Out::new();
    match imported.events {
        0 => out.line("imported: no events")?,
        events => {
            let missing = if imported.trimmed == 0 { String::new() } else { format!(", {} more noted as trimmed", imported.trimmed) };
            out.line(&format!("imported: {events} events, {} to {}{missing}, in {took}", imported.first, imported.last))?;
        }
    }
    out.flush()
}

/// What would go, rule by rule, and what keeps the rest.
fn trim(args: TrimArgs) -> Result<(), CliError> {
    let flags = Overrides { file: args.config, data_dir: args.data, ..Overrides::default() };
    let environment = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    let config = Config::read(&flags, &environment).map_err(CliError::failed)?.config;
    let store =
        Store::open_read_only(&config.data_dir).map_err(|error| CliError::Failed(format!("{}: {error}", config.data_dir.display())))?;
    let options = config.engine_options();
    let mut out = Out::new();
    if options.retention.is_empty() {
        return out.line("there are no rules of retention: nothing goes");
    }
    let mut retention = trackside_engine::retention_of(&options);
    while !retention.count(&store).map_err(CliError::failed)? {}
    let mut cleanup = retention.begin(&store, trackside_engine::now(), false).map_err(CliError::failed)?.only_looks();
    let mut found = vec![(0_usize, 0_u64, None::<(u64, u64)>); options.retention.len()];
    while let Some(step) = retention.step(&store, &mut cleanup).map_err(CliError::failed)? {
        let (events, bytes, stretch) = &mut found[step.rule];
        *events += step.events.len();
        *bytes += step.bytes;
        for event in &step.events {
            let sequence = event.sequence_number;
            *stretch = Some(stretch.map_or((sequence, sequence), |(first, _)| (first, sequence)));
        }
    }
    for (number, (events, bytes, stretch)) in (1..).zip(&found) {
        let between = stretch.map(|(first, last)| format!(" between {first} and {last}")).unwrap_or_default();
        out.line(&format!("rule {number}: {events} events{between} would go, about {bytes} bytes"))?;
    }
    for (by, events) in &cleanup.held {
        out.line(&match by {
            Held::Reader(name) => format!("kept: what '{name}' has not come past, from {} on", cleanup.through() + 1),
            Held::Workflow => format!("kept: {events} events of workflows that have not ended, or not long enough ago"),
            Held::DeadLetter => format!("kept: {events} events of dead letters"),
            Held::Host => format!("kept: {events} events that the host goes on with after a start"),
        })?;
    }
    out.flush()
}

/// How far it has come, for whoever watches.
fn progress(done: u64, of: u64, what: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let end = if done == of { "\r\x1b[K" } else { "" };
        // Nobody reads it: nothing is lost.
        let _ = write!(stderr, "\r{done} of {of} {what}{end}");
    }
}
