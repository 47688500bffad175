//! Owns compilation: the child process that does it under limits, and its other half in the host, which starts it and takes the result.
//! Leaves what is compiled when to `load`, and keeping the result to `cache`.

use std::{
    ffi::OsString,
    io::{self, Read, Seek, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use wasmtime::Engine;

use crate::{
    cache::Scratch,
    engines,
    options::{CompileLimits, CompilerCommand},
};

/// How much nicer than the host the child is: publishers go before compilers.
const NICE: i32 = 10;
/// Threads that the child compiles on, where there are so many cores. They are as nice as it is.
const THREADS: u64 = 2;
/// Where rayon, which spreads the functions over them, is told how many.
const THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";
/// Bytes of the child's complaint that are kept.
const COMPLAINT_BYTES: usize = 4 << 10;
/// Longest time between two looks at whether the child has ended.
const LOOK: Duration = Duration::from_millis(2);

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The child cannot be started, or its files not be used.
    #[error("cannot run the compiler {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// The child says that the bytes are no valid component.
    #[error("is not a valid component: {0}")]
    Invalid(String),
    /// The child was not done in time.
    #[error("took longer to compile than the {timeout_ms} ms allowed; raise the compiler's time limit or use a smaller component")]
    Timeout {
        /// The limit.
        timeout_ms: u64,
    },
    /// The child was ended by the system: memory, mostly.
    #[error("the compiler was ended by the system ({status}) with {memory_bytes} bytes of memory allowed; {complaint}")]
    Killed {
        /// How it ended.
        status: String,
        /// The limit.
        memory_bytes: u64,
        /// What it wrote last.
        complaint: String,
    },
}

/// Compiles a component in a child process, between two private files.
///
/// # Errors
/// [`CompileError`], by what went wrong.
pub(crate) fn in_child(
    command: &CompilerCommand,
    limits: &CompileLimits,
    component: &[u8],
    mut input: Scratch,
    mut output: Scratch,
) -> Result<Vec<u8>, CompileError> {
    let failed = |source| CompileError::Start { program: command.program.display().to_string(), source };
    input.file.write_all(component).and_then(|()| input.file.rewind()).map_err(failed)?;
    let mut child = Command::new(&command.program)
        .args(&command.args)
        .arg(limits.memory_bytes.to_string())
        .arg(limits.timeout_ms.to_string())
        .env_clear()
        .env(THREADS_VARIABLE, threads().to_string())
        .stdin(Stdio::from(input.file.try_clone().map_err(failed)?))
        .stdout(Stdio::from(output.file.try_clone().map_err(failed)?))
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let status = wait(&mut child, Duration::from_millis(limits.timeout_ms)).map_err(failed)?;
    let complaint = complaint(&mut child);
    match status {
        None => Err(CompileError::Timeout { timeout_ms: limits.timeout_ms }),
        Some(status) if status.success() => {
            let mut code = Vec::new();
            output.file.rewind().and_then(|()| output.file.read_to_end(&mut code)).map_err(failed)?;
            Ok(code)
        }
        Some(status) => Err(of_status(status, limits, complaint)),
    }
}

fn threads() -> u64 {
    thread::available_parallelism().map_or(1, |cores| cores.get() as u64).min(THREADS)
}

fn of_status(status: ExitStatus, limits: &CompileLimits, complaint: String) -> CompileError {
    match (status.signal(), status.code()) {
        (Some(libc::SIGXCPU), _) => CompileError::Timeout { timeout_ms: limits.timeout_ms },
        (None, Some(code)) if code == i32::from(INVALID) => CompileError::Invalid(complaint),
        _ => CompileError::Killed { status: status.to_string(), memory_bytes: limits.memory_bytes, complaint },
    }
}

/// Waits for the child, and ends it when the time is up. `None`: it was ended.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + timeout;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LOOK);
    }
}

/// What the child has written to its standard error. It has ended, and the pipe holds more than is kept.
fn complaint(child: &mut Child) -> String {
    let mut bytes = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What cannot be read is not worth more than the exit status, which is there.
        let _ = stderr.take(COMPLAINT_BYTES as u64).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).trim().replace('\n', "; ")
}

/// Exit code for bytes that are no valid component.
const INVALID: u8 = 3;
/// Exit code for everything else.
const BROKEN: u8 = 4;

/// What the compiling process runs: reads a component from standard input, writes machine code to standard output, complaints to
/// standard error. `args` are the two that the host appends to [`CompilerCommand::args`]: bytes of memory, milliseconds.
///
/// Few threads, nice, and under limits that the process sets for itself before it reads the first byte.
pub fn compile_child_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match compile(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            // The parent keeps a part of it only, and a pipe holds more than this.
            let message: String = message.chars().take(COMPLAINT_BYTES).collect();
            let _ = writeln!(io::stderr(), "{message}");
            ExitCode::from(code)
        }
    }
}

fn compile(args: impl IntoIterator<Item = OsString>) -> Result<(), (u8, String)> {
    let broken = |message: String| (BROKEN, message);
    let numbers: Option<Vec<u64>> = args.into_iter().map(|arg| arg.to_str().and_then(|text| text.parse().ok())).collect();
    let Some([memory_bytes, timeout_ms]) = numbers.as_deref() else {
        return Err(broken("usage: two numbers, bytes of memory and milliseconds; the host gives them".to_owned()));
    };
    confine(*memory_bytes, *timeout_ms).map_err(|error| broken(format!("cannot limit the compiler: {error}")))?;
    let mut component = Vec::new();
    io::stdin().read_to_end(&mut component).map_err(|error| broken(format!("cannot read the component: {error}")))?;
    let engine = Engine::new(&engines::config()).map_err(|error| broken(format!("{error:#}")))?;
    let code = engine.precompile_component(&component).map_err(|error| (INVALID, format!("{error:#}")))?;
    let written = io::stdout().write_all(&code).and_then(|()| io::stdout().flush());
    written.map_err(|error| broken(format!("cannot write the machine code: {error}")))
}

/// Memory, processor time and priority of this process.
fn confine(memory_bytes: u64, timeout_ms: u64) -> io::Result<()> {
    set_limit(libc::RLIMIT_AS, memory_bytes)?;
    // The parent's clock is the limit; this one holds if the parent is gone.
    set_limit(libc::RLIMIT_CPU, THREADS * timeout_ms.div_ceil(1_000) + 1)?;
    set_limit(libc::RLIMIT_CORE, 0)?;
    // SAFETY: the call takes numbers only. That it may fail for want of rights is no harm.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    Ok(())
}

fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `limit` lives through the call, which only reads it.
    match unsafe { libc::setrlimit(resource, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
