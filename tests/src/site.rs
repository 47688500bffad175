//! A place to run a host in: a temporary directory with a plugin directory, a data directory and whatever files a test needs.
//! The host that runs there is `host`'s.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tempfile::TempDir;

use crate::{
    cli::{self, Ran},
    host::Host,
    outside::Authority,
};

/// A place to run a host in; gone when it is dropped.
pub struct Site {
    root: TempDir,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// An empty one: a plugin directory without plugins, and no data.
    ///
    /// # Panics
    /// When the system has no place for it.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("trackside-test-").tempdir().expect("a temporary directory can be made");
        fs::create_dir(root.path().join("plugins")).expect("a directory can be made");
        Self { root }
    }

    /// The directory of it all.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The plugin directory.
    pub fn plugins(&self) -> PathBuf {
        self.root().join("plugins")
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap_or(self.root())).expect("folders can be made");
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Puts a component into the plugin directory under this name, with this text as its settings; an empty text is no settings file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn plugin(&self, name: &str, component: impl AsRef<[u8]>, settings: &str) -> &Self {
        // In place in one step: a host may be looking.
        let beside = self.file(&format!("plugins/.{name}.part"), component);
        fs::rename(beside, self.plugins().join(format!("{name}.wasm"))).expect("a file can be renamed");
        if !settings.is_empty() {
            self.file(&format!("plugins/{name}.toml"), settings);
        }
        self
    }

    /// Adds plugins that ship, as a user would.
    ///
    /// # Panics
    /// When the binary refuses.
    pub fn shipped(&self, names: &[&str]) -> &Self {
        for name in names {
            cli::run(cli::command(["plugin", "add", name, "--plugins"]).arg(self.plugins()).current_dir(self.root())).ok();
        }
        self
    }

    /// Starts a host here.
    pub fn start(&self) -> Host {
        self.start_with(|command| command)
    }

    /// Starts a host here, with more arguments or variables.
    pub fn start_with(&self, more: impl FnOnce(&mut Command) -> &mut Command) -> Host {
        Host::start(self, more)
    }

    /// Starts a host here that other machines can reach, with a certificate for this one from this authority.
    pub fn start_secure(&self, authority: &Authority, more: impl FnOnce(&mut Command) -> &mut Command) -> Host {
        let [cert, key] = authority.issue(self.root(), &["127.0.0.1"]);
        Host::start_secure(self, authority.client(), |command| {
            more(command.env("TRACKSIDE_HTTP_TLS_CERT", cert).env("TRACKSIDE_HTTP_TLS_KEY", key))
        })
    }

    /// Starts a host here that watches its plugin directory.
    pub fn start_watching(&self) -> Host {
        self.start_with(|command| command.env_remove("TRACKSIDE_PLUGINS_WATCH"))
    }

    /// The binary with these arguments, run here.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = cli::command(arguments);
        command.current_dir(self.root());
        command
    }

    /// Runs the binary with these arguments here, to its end.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        cli::run(&mut self.command(arguments))
    }

    /// Runs the binary with these arguments and `--data`, which needs no host.
    pub fn read<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        cli::run(self.command(arguments).arg("--data").arg(self.data()))
    }

    /// A value of a plugin's key-value space, as it is durable. Looks into the log's file: plugins alone can ask the host for it.
    ///
    /// # Panics
    /// When the file cannot be read.
    pub fn kv(&self, plugin: &str, key: &str) -> Option<String> {
        let log = Connection::open_with_flags(self.data().join("log.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the log can be opened");
        log.busy_timeout(crate::wait::PATIENCE).expect("a timeout can be set");
        let value: Option<Vec<u8>> = log
            .query_row("SELECT value FROM kv WHERE plugin = ?1 AND key = ?2", [plugin, key], |row| row.get(0))
            .optional()
            .expect("the plugins' spaces can be read");
        value.map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    /// What control handlers said of each event, by its sequence, as it is durable.
    ///
    /// # Panics
    /// When the file cannot be read.
    pub fn decisions(&self) -> Vec<(u64, serde_json::Value)> {
        let log = Connection::open_with_flags(self.data().join("log.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the log can be opened");
        log.busy_timeout(crate::wait::PATIENCE).expect("a timeout can be set");
        let mut select = log.prepare("SELECT sequence, records FROM decisions ORDER BY sequence").expect("there are decisions");
        let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).expect("they can be read");
        let of_row = |(sequence, records): (i64, String)| {
            (sequence.unsigned_abs(), serde_json::from_str(&records).expect("decision records are JSON"))
        };
        rows.map(|row| of_row(row.expect("they can be read"))).collect()
    }

    /// A number of a plugin's key-value space; 0 if it is not there.
    ///
    /// # Panics
    /// When it is no number.
    pub fn kv_number(&self, plugin: &str, key: &str) -> u64 {
        self.kv(plugin, key).map_or(0, |value| value.parse().unwrap_or_else(|error| panic!("{plugin} {key} = {value}: {error}")))
    }
}
