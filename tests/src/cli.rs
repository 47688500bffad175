//! Running the binary as a command: its exit code, and what it printed.
//! What it should have printed is said by the tests.

use std::{
    ffi::OsStr,
    fmt,
    io::Read,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{binary::binary, wait::PATIENCE};

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Ran {
    /// What it printed, of a command that must have succeeded.
    ///
    /// # Panics
    /// When it did not.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self}");
        self.stdout
    }

    /// What it printed, as one JSON value, of a command that must have succeeded.
    ///
    /// # Panics
    /// When it did not, or did not print JSON.
    pub fn json(self) -> Value {
        let shown = self.to_string();
        serde_json::from_str(&self.ok()).unwrap_or_else(|error| panic!("{error}\n{shown}"))
    }

    /// What it printed, as one JSON value a line, of a command that must have succeeded.
    ///
    /// # Panics
    /// When it did not, or did not print JSON.
    pub fn json_lines(self) -> Vec<Value> {
        let text = self.ok();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The binary with these arguments and none of this process's own `TRACKSIDE_` variables.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRACKSIDE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the binary with these arguments to its end.
pub fn trackside<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    run(&mut command(arguments))
}

/// Runs a command to its end.
///
/// # Panics
/// When it does not start, or does not end.
pub fn run(command: &mut Command) -> Ran {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    finish(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// Waits for the end of a process, whose output goes into pipes.
///
/// # Panics
/// When it does not end; it is killed then.
pub fn finish(mut child: Child) -> Ran {
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if begun.elapsed() > 2 * PATIENCE {
            child.kill().expect("a child can be killed");
            let said = |output: thread::JoinHandle<String>| output.join().expect("pipes can be read");
            panic!("it does not end\n--- stdout\n{}\n--- stderr\n{}", said(stdout), said(stderr));
        }
        thread::sleep(Duration::from_millis(2));
    };
    let text = |output: thread::JoinHandle<String>| output.join().expect("pipes can be read");
    Ran { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
