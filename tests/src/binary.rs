//! The binary under test: the one that `TRACKSIDE_BIN` names, or else the debug build beside these tests, brought up to date.
//! Running it is left to `cli` and `host`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The variable with which `cargo xtask test` says what it has built.
const VARIABLE: &str = "TRACKSIDE_BIN";

/// Where the binary is.
///
/// # Panics
/// When there is none and it cannot be built; the message holds what cargo said.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os(VARIABLE) {
        Some(given) => PathBuf::from(given),
        None => build(),
    })
}

/// Builds it into the target folder that this test program lies in. The outer cargo has let go of that by the time tests run.
fn build() -> PathBuf {
    let this = env::current_exe().expect("the system says where this program is");
    let target = this.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).expect("tests are run from a target folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--quiet", "--package", "trackside", "--target-dir"]).arg(target);
    let output = command.output().expect("cargo starts");
    assert!(output.status.success(), "the binary could not be built:\n{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug").join(format!("trackside{}", env::consts::EXE_SUFFIX))
}
