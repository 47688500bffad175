//! `cargo xtask bench`: builds the host and the benches in release, and runs the benches.
//! What is measured, and how it is printed, is `tests/bench`'s; this program keeps to stderr, so that `--json` gives JSON alone.

use std::process::Command;

use crate::{setup, shell};

const PACKAGE: &str = "trackside-bench";

/// Builds, then runs with `arguments` passed through.
///
/// # Errors
/// If the build or a bench fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    setup::check()?;
    // Both in one selection: built one after the other, cargo might unify features in two ways and build dependencies twice.
    shell::run(shell::cargo().args(["build", "--release", "--package", "trackside", "--package", PACKAGE]))?;
    let release = shell::target_dir()?.join("release");
    let suffix = std::env::consts::EXE_SUFFIX;
    let host = release.join(format!("trackside{suffix}"));
    let mut bench = Command::new(release.join(format!("{PACKAGE}{suffix}")));
    shell::run(bench.args(arguments).current_dir(shell::root()).env("TRACKSIDE_BIN", host))
}
