//! `cargo xtask test`: sets up, builds everything once, runs every test, the whole-system ones against the binary that was just built.
//! What is tested stands beside the code and in `tests/`.

use std::{path::Path, process::Command, time::Instant};

use crate::{setup, shell};

/// What every cargo call selects. One selection: another would unify features in another way and build dependencies twice.
const SELECTION: [&str; 1] = ["--workspace"];

/// Runs the tests. Words before `--` choose tests by name, those behind it go to the test programs.
///
/// # Errors
/// If something does not build, or a test fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let start = Instant::now();
    setup::check()?;

    // Binaries, tests and examples together, as `cargo test` wants them: it finds all of it built, the host's binary included.
    shell::run(shell::cargo().arg("build").args(SELECTION).args(["--lib", "--bins", "--tests", "--examples"]))?;

    let host = shell::target_dir()?.join("debug").join(format!("trackside{}", std::env::consts::EXE_SUFFIX));
    if !host.is_file() {
        return Err(format!("cargo has built no host at {}", host.display()));
    }
    shell::run(&mut tests(&host, arguments))?;
    eprintln!("\nevery test passed, in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Unit tests, integration tests, whole-system tests and documentation tests; a failure does not hide the next.
fn tests(host: &Path, arguments: &[String]) -> Command {
    let mut command = shell::cargo();
    command.arg("test").args(SELECTION).arg("--no-fail-fast").args(arguments).env("TRACKSIDE_BIN", host);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arguments_go_to_the_tests() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let command = tests(Path::new("built/trackside"), &words("crash -- --nocapture"));
        let arguments: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(arguments, words("test --workspace --no-fail-fast crash -- --nocapture"));
        assert!(command.get_envs().any(|(name, value)| name == "TRACKSIDE_BIN" && value == Some(Path::new("built/trackside").as_os_str())));
    }
}
