//! Running other programs: every command is printed before it runs and timed when it is done, on stderr, so that stdout stays the program's own.
//! What is run, and in which order, is the commands' own.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that started this program, so that both are of one toolchain.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// Runs `command` with this program's own input and output.
///
/// # Errors
/// If it cannot be started, or does not end with success.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let line = spell(command);
    eprintln!("\n▸ {line}");
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("failed to start `{line}`: {error}"))?;
    eprintln!("  {:.1} s", start.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})")) }
}

/// Runs `command` and gives what it printed, without a word on the terminal.
///
/// # Errors
/// If it cannot be started, or does not end with success; holds what it complained about.
pub(crate) fn capture(command: &mut Command) -> Result<String, String> {
    let line = spell(command);
    let output = command.output().map_err(|error| format!("failed to start `{line}`: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("`{line}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

/// The command as one would type it in the repository's folder, with the variables that it was given.
fn spell(command: &Command) -> String {
    let given = command.get_envs().filter_map(|(name, value)| Some(format!("{}={}", name.display(), value?.display())));
    let program = Path::new(command.get_program()).file_stem().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.display().to_string());
    given.chain(words).collect::<Vec<_>>().join(" ")
}

/// The folder that cargo builds into.
///
/// # Errors
/// If cargo does not say.
pub(crate) fn target_dir() -> Result<PathBuf, String> {
    let metadata = capture(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let path = json_string(&metadata, "target_directory").ok_or("`cargo metadata` names no target_directory")?;
    Ok(PathBuf::from(path))
}

/// The string that stands under `name` in `json`: enough for a path in cargo's answer, and no dependency.
fn json_string(json: &str, name: &str) -> Option<String> {
    let (_, rest) = json.split_once(&format!("\"{name}\":\""))?;
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_in_cargos_answer() {
        let answer = r#"{"packages":[],"target_directory":"C:\\here\\target","version":1}"#;
        assert_eq!(json_string(answer, "target_directory").as_deref(), Some(r"C:\here\target"));
        assert_eq!(json_string(answer, "absent"), None);
    }

    #[test]
    fn a_command_is_spelled_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["test", "--workspace"]).env("TRACKSIDE_BIN", "here");
        assert_eq!(spell(&command), "TRACKSIDE_BIN=here cargo test --workspace");
    }

    #[test]
    fn a_command_that_fails_says_what_it_said() {
        let error = capture(cargo().arg("no-such-command")).expect_err("there is no such command");
        assert!(error.contains("cargo no-such-command") && error.contains("no such command"), "{error}");
    }
}
