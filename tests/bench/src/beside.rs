//! Another program that is measured beside the product: told how often to do what, it answers with the nanoseconds that it took.
//! What it is told, and what is compared with it, is the parts' own.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result};

/// A program that runs until this is dropped.
pub(crate) struct Beside {
    child: Child,
    say: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Beside {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let say = child.stdin.take().context("it was given a pipe")?;
        let told = BufReader::new(child.stdout.take().context("it was given a pipe")?);
        Ok(Self { child, say, told })
    }

    /// Nanoseconds that one of `count` takes; `what` is what it is told.
    ///
    /// # Errors
    /// If it has come to an end.
    pub(crate) fn ns_each(&mut self, what: &str, count: u32) -> Result<f64> {
        writeln!(self.say, "{what}")?;
        self.say.flush()?;
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        let all: f64 = line.trim().parse().context("what is measured beside has come to an end; what it said stands above")?;
        Ok(all / f64::from(count))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Both fail only if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
