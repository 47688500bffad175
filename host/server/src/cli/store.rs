//! `trackside store`: a copy of the log while the host runs, and the look through a whole one.
//! Both are the store's.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    time::Instant,
};

use clap::{Args, Subcommand};
use trackside_store::{Verified, backup, verify};

use super::{
    CliError,
    print::{self, Out},
};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum StoreVerb {
    /// Copy the log into a file, while a host may be running, and look the copy through.
    Backup(BackupArgs),
    /// Look a whole log through: of a data directory, or a copy.
    Verify(VerifyArgs),
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
    let data_dir = |given: Option<PathBuf>| given.unwrap_or_else(|| Config::default().data_dir);
    let (what, done) = match verb {
        StoreVerb::Backup(args) => {
            ("copied and looked through", backup(&data_dir(args.data), &args.file, progress).map_err(CliError::failed)?)
        }
        StoreVerb::Verify(args) => {
            let path = args.file.unwrap_or_else(|| trackside_store::log_path(&data_dir(args.data)));
            ("looked through", verify(&path, progress).map_err(CliError::failed)?)
        }
    };
    let Verified { first, last, bytes } = done;
    let events = match last {
        0 => "no events".to_owned(),
        _ => format!("events {first} to {last}"),
    };
    let mut out = Out::new();
    out.line(&format!("{what}: {events}, {bytes} bytes, in {}", print::duration(begun.elapsed().as_secs_f64() * 1e3)))?;
    out.flush()
}

/// How far it has come, for whoever watches.
fn progress(done: u64, of: u64) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let end = if done == of { "\r\x1b[K" } else { "" };
        // Nobody reads it: nothing is lost.
        let _ = write!(stderr, "\r{done} of {of} events{end}");
    }
}
