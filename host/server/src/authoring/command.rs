//! Running a tool: found on the PATH or not, with its output kept, and an environment in which it does not find what belongs to somebody else.
//! What is run, and what its output means, is its caller's.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A tool does not start.
#[derive(Debug, thiserror::Error)]
#[error("failed to start {program}: {source}")]
pub struct CommandError {
    /// The tool.
    pub program: String,
    /// What the system says.
    pub source: std::io::Error,
}

/// What a tool said, and whether it did what it was asked.
pub(super) struct Said {
    pub(super) success: bool,
    pub(super) out: String,
    /// Standard error, and what it printed before.
    pub(super) all: String,
}

/// The first of these programs that is on the PATH.
pub(super) fn find(programs: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    programs.iter().find_map(|program| env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()))
}

/// A tool to be run in a folder, without input.
pub(super) fn tool(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs a tool to its end, without a word on the terminal.
pub(super) fn run(command: &mut Command) -> Result<Said, CommandError> {
    let Output { status, stdout, stderr } = command.output().map_err(|source| not_started(command, source))?;
    let (out, err) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned());
    let all = [out.trim(), err.trim()].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join("\n");
    Ok(Said { success: status.success(), out, all })
}

/// Runs a tool to its end; what it complains about, and its progress, goes to standard error as it comes.
pub(super) fn run_in_sight(command: &mut Command) -> Result<Said, CommandError> {
    run(command.stderr(Stdio::inherit()))
}

fn not_started(command: &Command, source: std::io::Error) -> CommandError {
    CommandError { program: Path::new(command.get_program()).display().to_string(), source }
}
