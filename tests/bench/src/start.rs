//! How long the host takes to start: from spawning `trackside run` to the first 200 of `/readyz`, with twenty plugins in the cache and
//! with none. The program is the one that `TRACKSIDE_BIN` names.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    Effort, disk, events,
    host::{CARRIED, GROWN_BYTES},
    http::Client,
    report::{Figure, Target},
    samples::interleave,
};

/// Each several times, and each time another file with machine code of its own.
const PLUGINS: [&str; 5] = ["audit", "minimal", "retry-policy", "sim", "text"];
const COPIES: u32 = 4;
/// The first start compiles.
const LONGEST_START: Duration = Duration::from_secs(120);
const EVENTS_A_BODY: usize = 2_000;
const LOOK: Duration = Duration::from_micros(200);

/// The figure of a start.
///
/// # Errors
/// If the host does not become ready.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let program = program()?;
    let (with, without) = (Place::new(&program, &twenty())?, Place::new(&program, &[])?);
    eprintln!("  compiling {} plugins, unless an earlier run has", PLUGINS.len() as u32 * COPIES);
    with.start_ms()?;
    without.start_ms()?;
    let rounds = effort.of(40, 8);
    eprintln!("  {rounds} starts with them and without");
    let [twenty, none] = interleave(rounds, [&mut || with.start_ms(), &mut || without.start_ms()])?;
    Ok(vec![Figure::new("start_20_plugins", "ms", twenty, "ms: a start without plugins", none).target(Target::AtMost(60.0))])
}

/// The host that is measured.
///
/// # Errors
/// If nobody has named one.
pub(crate) fn program() -> Result<OsString> {
    env::var_os("TRACKSIDE_BIN").context("TRACKSIDE_BIN names no host; run this with `cargo xtask bench`")
}

/// The twenty, by name.
fn twenty() -> Vec<(String, Vec<u8>)> {
    let guests = trackside_test_guests::build();
    let copies = |name: &'static str| {
        (0..COPIES).map(move |copy| (format!("{name}-{copy}"), trackside_test_guests::distinct(&guests.bytes(name), copy)))
    };
    PLUGINS.into_iter().flat_map(copies).collect()
}

/// A data directory and a plugin directory, for a host that is started again and again.
pub(crate) struct Place {
    program: PathBuf,
    folder: TempDir,
}

impl Place {
    pub(crate) fn new(program: &OsStr, plugins: &[(String, Vec<u8>)]) -> Result<Self> {
        let place = Self { program: program.into(), folder: disk::scratch()? };
        fs::create_dir(place.plugins())?;
        plugins.iter().try_for_each(|(name, component)| fs::write(place.plugins().join(format!("{name}.wasm")), component))?;
        Ok(place)
    }

    /// Its plugin directory.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder that both lie in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A running host whose write-ahead file has its size and is written over from its start, as in `Host::settle`.
    ///
    /// # Errors
    /// If the host does not become ready, or takes nothing.
    pub(crate) fn start_settled(&self) -> Result<(Running, SocketAddr)> {
        let (host, address) = self.start()?;
        let mut client = Client::connect(address)?;
        let write_ahead = self.data().join("log.db-wal");
        for first in (0..).step_by(EVENTS_A_BODY) {
            client.publish_all(&events::ndjson("bench:settled", first, EVENTS_A_BODY))?;
            if fs::metadata(&write_ahead)?.len() >= GROWN_BYTES {
                break;
            }
        }
        thread::sleep(CARRIED);
        Ok((host, address))
    }

    /// Milliseconds from spawning to ready; the host is stopped afterwards.
    pub(crate) fn start_ms(&self) -> Result<f64> {
        let begun = Instant::now();
        let (host, _) = self.start()?;
        let ready_ms = begun.elapsed().as_secs_f64() * 1e3;
        host.stop()?;
        Ok(ready_ms)
    }

    /// A host that is ready, and where it listens.
    ///
    /// # Errors
    /// If it does not become ready.
    pub(crate) fn start(&self) -> Result<(Running, SocketAddr)> {
        let address = free_address()?;
        let begun = Instant::now();
        let mut host = Running(self.spawn(address)?);
        while !is_ready(address) {
            if let Some(status) = host.0.try_wait()? {
                bail!("the host ended before it was ready ({status}):\n{}", self.complaint());
            }
            ensure!(begun.elapsed() < LONGEST_START, "the host was not ready after {LONGEST_START:?}:\n{}", self.complaint());
            thread::sleep(LOOK);
        }
        Ok((host, address))
    }

    fn spawn(&self, address: SocketAddr) -> Result<Child> {
        let folder = self.folder.path();
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--plugins").arg(folder.join("plugins")).arg("--data").arg(folder.join("data"));
        command.arg("--listen").arg(address.to_string()).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(folder.join("stderr"))?);
        command.spawn().with_context(|| format!("failed to start {}", self.program.display()))
    }

    fn complaint(&self) -> String {
        read(&self.folder.path().join("stderr"))
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("(nothing to be read in {}: {error})", path.display()))
}

/// A port that was free just now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Whether `/readyz` answers 200.
fn is_ready(address: SocketAddr) -> bool {
    let asked = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        std::io::Result::Ok(head)
    };
    asked().is_ok_and(|head| &head[9..] == b"200")
}

/// A host that does not outlive the bench.
pub(crate) struct Running(Child);

impl Running {
    /// Its number as a process.
    pub(crate) fn process(&self) -> String {
        self.0.id().to_string()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        let process = libc::pid_t::try_from(self.0.id())?;
        // SAFETY: the call takes numbers only, and the child has not been waited for, so that the number is still its own.
        let told = unsafe { libc::kill(process, libc::SIGTERM) };
        ensure!(told == 0, "the host cannot be told to stop: {}", std::io::Error::last_os_error());
        let status = self.0.wait()?;
        ensure!(status.success(), "the host did not stop cleanly ({status})");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
