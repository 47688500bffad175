//! `trackside plugin build`: makes a component of an author's project. How that is done in each language is `authoring`'s.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{CliError, Out, print};
use crate::authoring::{self, Built, Project};

#[derive(Args)]
pub(in crate::cli) struct BuildArgs {
    /// The project's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(args: &BuildArgs) -> Result<(), CliError> {
    let project = Project::find(&args.folder).map_err(CliError::failed)?;
    let built = build(&project)?;
    let mut out = Out::new();
    out.line(&format!("wrote {}", told(&built)))?;
    out.flush()
}

/// Builds, and says on standard error what takes a while.
pub(super) fn build(project: &Project) -> Result<Built, CliError> {
    authoring::build(project, &mut |line| eprintln!("{line}…")).map_err(CliError::failed)
}

/// What was built, in few words.
pub(super) fn told(built: &Built) -> String {
    let took = print::duration(built.took.as_secs_f64() * 1_000.0);
    format!("{} ({}, in {took})", shown(&built.path), size(built.bytes))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn size(bytes: u64) -> String {
    let kb = bytes as f64 / 1_000.0;
    if kb < 1_000.0 { format!("{kb:.0} kB") } else { format!("{:.1} MB", kb / 1_000.0) }
}
