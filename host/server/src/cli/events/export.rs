//! `trackside events export`: a stretch of the log as lines, from a host or a data directory, into a file or to standard output.
//! The lines are the store's.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use trackside_store::{Export, ReadStore};

use super::{FilterArgs, Pairs};
use crate::{
    cli::{
        CliError,
        client::Client,
        source::{Source, SourceArg},
    },
    params::{EXPORT_PARAMS, EventParams},
};

/// How the last line of an export begins.
const END: &[u8] = b"{\"end\":";

#[derive(Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// From this sequence number [default: the first].
    #[arg(long, value_name = "SEQUENCE")]
    from: Option<String>,
    /// To this sequence number, which is part of it [default: the last].
    #[arg(long, value_name = "SEQUENCE")]
    to: Option<String>,
    /// Where it goes; the file must not exist [default: standard output].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    at: SourceArg,
}

pub(super) fn run(args: &ExportArgs) -> Result<(), CliError> {
    let mut pairs = args.filter.pairs();
    for (name, value) in [("from", &args.from), ("to", &args.to)] {
        pairs.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
    }
    let source = args.at.open()?;
    match &args.output {
        None => write(&source, &pairs, &mut Output { to: io::stdout().lock(), name: "standard output".to_owned() }),
        Some(file) => into_file(&source, &pairs, file),
    }
}

/// Under its name when it is whole.
fn into_file(source: &Source, pairs: &Pairs, file: &Path) -> Result<(), CliError> {
    if file.exists() {
        return Err(CliError::Failed(format!("{} exists already; name a file that does not", file.display())));
    }
    let failed = |error: io::Error| CliError::Failed(format!("{}: {error}", file.display()));
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut output = Output { to: BufWriter::new(File::create(&part).map_err(failed)?), name: file.display().to_string() };
    let written = write(source, pairs, &mut output)
        .and_then(|()| output.to.into_inner().map_err(io::IntoInnerError::into_error).and_then(|part| part.sync_all()).map_err(failed))
        // Not over a file that has come there meanwhile.
        .and_then(|()| fs::hard_link(&part, file).map_err(failed));
    // What could not be finished is of no use to anybody.
    let removed = fs::remove_file(&part).map_err(failed);
    written.and(removed)
}

/// Where it goes, by name.
struct Output<W> {
    to: W,
    name: String,
}

impl<W: Write> Output<W> {
    fn write(&mut self, lines: &[u8]) -> Result<(), CliError> {
        self.to.write_all(lines).map_err(|error| self.of(&error))
    }

    fn of(&self, error: &io::Error) -> CliError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::OutputClosed,
            _ => CliError::Failed(format!("{}: {error}", self.name)),
        }
    }
}

fn write(source: &Source, pairs: &Pairs, output: &mut Output<impl Write>) -> Result<(), CliError> {
    match source {
        Source::Host(client) => of_host(client, pairs, output),
        Source::Directory(store) => of_directory(store, pairs, output),
    }?;
    output.to.flush().map_err(|error| output.of(&error))
}

fn of_host(client: &Client, pairs: &Pairs, output: &mut Output<impl Write>) -> Result<(), CliError> {
    let broken = |why: &str| CliError::Unreachable(format!("the host at {} broke off the export: {why}", client.base()));
    let mut lines = client.lines("/v1/events/export", pairs)?;
    let mut line = Vec::new();
    loop {
        let is_end = line.starts_with(END);
        line.clear();
        match lines.read_until(b'\n', &mut line) {
            Ok(0) if is_end => return Ok(()),
            Ok(0) => return Err(broken("its last line is missing")),
            Ok(_) => output.write(&line)?,
            Err(error) => return Err(broken(&error.to_string())),
        }
    }
}

fn of_directory(store: &ReadStore, pairs: &Pairs, output: &mut Output<impl Write>) -> Result<(), CliError> {
    let borrowed = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let asked = EventParams::parse(borrowed, &EXPORT_PARAMS).and_then(|params| params.export()).map_err(CliError::failed)?;
    let mut export = Export::begin(store, asked).map_err(CliError::failed)?;
    let mut lines = Vec::new();
    while export.step(store, &mut lines).map_err(CliError::failed)? {
        output.write(&lines)?;
        lines.clear();
    }
    Ok(())
}
