//! Owns the run of cargo that builds the guests: which packages, into which folder, in which environment.
//! Leaves where the results go to the library.

use crate::BuildError;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "guest";

/// The plugins that ship, and those of `examples/`; each is a package of this name.
pub(crate) const PLUGINS: [&str; 6] = ["audit", "files", "order-limit", "retry-policy", "sim", "text"];

/// The root of the checkout.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where cargo puts what it makes: `TRACKSIDE_GUEST_TARGET_DIR`, or `target/guests` in the checkout.
///
/// It is not the outer cargo's own folder, which is locked while that runs.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("TRACKSIDE_GUEST_TARGET_DIR").map_or_else(|| workspace().join("target/guests"), PathBuf::from)
}

/// Builds the test guests and the shipped plugins, and gives the files: stem, path.
pub(crate) fn build(examples: &[String]) -> Result<Vec<(String, PathBuf)>, BuildError> {
    see_to_target()?;
    let target_dir = target_dir();
    let common = |package: &str| {
        let mut command = scrubbed(cargo());
        command.current_dir(workspace()).args(["build", "--target", TARGET, "--profile", PROFILE, "--package", package]);
        command.arg("--target-dir").arg(&target_dir);
        command
    };
    // Two runs, because `--examples` is for every package that is named beside it, and the plugins' libraries are wanted.
    run(common("trackside-test-guests").arg("--examples"))?;
    let mut plugins = common(PLUGINS[0]);
    plugins.args(PLUGINS[1..].iter().flat_map(|name| ["--package", name]));
    run(&mut plugins)?;

    let made = target_dir.join(TARGET).join(PROFILE);
    let file = |folder: &Path, name: &str| (name.to_owned(), folder.join(format!("{}.wasm", name.replace('-', "_"))));
    let examples = examples.iter().map(|name| file(&made.join("examples"), name));
    Ok(examples.chain(PLUGINS.iter().map(|name| file(&made, name))).collect())
}

/// Sees that guests can be compiled, and adds what is missing if that can be done.
fn see_to_target() -> Result<(), BuildError> {
    if has_target()? {
        return Ok(());
    }
    eprintln!("the {TARGET} target is missing: running `rustup target add {TARGET}`");
    let added = scrubbed(Command::new("rustup")).current_dir(workspace()).args(["target", "add", TARGET]).output();
    match added {
        Ok(output) if output.status.success() && has_target()? => Ok(()),
        Ok(output) => Err(BuildError::NoTarget { reason: String::from_utf8_lossy(&output.stderr).trim().to_owned() }),
        Err(error) => Err(BuildError::NoTarget { reason: format!("rustup does not start: {error}") }),
    }
}

/// Whether the compiler has the target's standard library.
fn has_target() -> Result<bool, BuildError> {
    let mut command = scrubbed(Command::new("rustc"));
    let output = run(command.current_dir(workspace()).args(["--print", "target-libdir", "--target", TARGET]))?;
    Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// The cargo that runs these tests, or the one in the path.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// Takes from a command's environment what an outer cargo has put there for its own crates: flags for the host would reach the guests, and
/// wrappers and locks belong to the outer run.
fn scrubbed(mut command: Command) -> Command {
    const KEPT: [&str; 6] = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_BUILD_JOBS"];
    const DROPPED: [&str; 6] = ["CARGO", "RUSTFLAGS", "RUSTC", "RUSTDOC", "MAKEFLAGS", "LD_LIBRARY_PATH"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let begins = |list: &[&str]| list.iter().any(|beginning| text.starts_with(beginning));
        if begins(&DROPPED) && !begins(&KEPT) {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end; what it says is shown only if it fails.
fn run(command: &mut Command) -> Result<Output, BuildError> {
    let shown = || format!("{command:?}").replace('"', "");
    let told = shown();
    let output = command.output().map_err(|error| BuildError::NotStarted { command: told.clone(), reason: error.to_string() })?;
    if output.status.success() {
        return Ok(output);
    }
    Err(BuildError::Failed { command: told, stderr: String::from_utf8_lossy(&output.stderr).into_owned() })
}
