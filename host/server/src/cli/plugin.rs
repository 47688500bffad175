//! `trackside plugin`: what a host has in service, the files of a plugin directory, and the projects of authors.
//! Loading and checking are the plugin host's.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::Deserialize as _;
use serde_json::Value;
use trackside_model::outside::HttpGrant;

use super::{
    CliError,
    client::HostArg,
    print::{self, Out},
};

mod add;
mod build;
mod call;
mod check;
mod dev;
mod kv;
mod lifecycle;
mod new;
mod test;

#[derive(Subcommand)]
pub(super) enum PluginVerb {
    /// List the plugins in service, with calls, faults and times, and the files that were refused.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArg,
    },
    /// Put a plugin that ships, or a component of your own, into a plugin directory.
    Add(add::AddArgs),
    /// Remove a plugin's files from a plugin directory.
    Remove(RemoveArgs),
    /// Have a running host take a plugin's files as they are now.
    Reload(lifecycle::ReloadArgs),
    /// List the versions of a plugin that a running host keeps.
    Versions(lifecycle::VersionsArgs),
    /// Have a running host put an earlier version of a plugin back.
    Rollback(lifecycle::RollbackArgs),
    /// Have a running host pass a plugin over for a while.
    Bypass(lifecycle::BypassArgs),
    /// Have a running host forget how far a plugin had come that was removed for good: its cursors hold retention up no longer.
    Forget(lifecycle::ForgetArgs),
    /// Show what a plugin keeps in its key-value space.
    Kv(kv::KvArgs),
    /// Say whether a component would load, and what it is and may do.
    Check(check::CheckArgs),
    /// Call a component with an event, a batch or a task, without a host.
    Call(Box<call::CallArgs>),
    /// Hold a component to a folder of recorded events and what is expected of it.
    Test(test::TestArgs),
    /// Begin a plugin of your own: a project in Rust, Python or JavaScript, with a working example.
    New(new::NewArgs),
    /// Build a project: leaves NAME.wasm in its folder.
    Build(build::BuildArgs),
    /// Run a project in a host of its own: build it again whenever a file changes, and show every call.
    Dev(dev::DevArgs),
}

/// Which plugin directory.
#[derive(Args, Clone, Debug)]
struct DirectoryArg {
    /// The plugin directory [default: ./trackside-plugins].
    #[arg(long, value_name = "DIR", env = "TRACKSIDE_PLUGIN_DIR")]
    plugins: Option<PathBuf>,
}

impl DirectoryArg {
    fn path(&self) -> PathBuf {
        self.plugins.clone().unwrap_or_else(|| crate::config::Config::default().plugin_dir)
    }
}

/// The component that is meant: a path, or a plugin of the plugin directory by its name.
fn component_path(what: &Path, at: &DirectoryArg) -> Result<PathBuf, CliError> {
    let is_file = what.extension() == Some(OsStr::new("wasm"));
    let path = if is_file { what.to_owned() } else { at.path().join(format!("{}.wasm", what.display())) };
    if path.is_file() { Ok(path) } else { Err(CliError::Failed(format!("there is no component at {}", path.display()))) }
}

#[derive(Args)]
pub(super) struct RemoveArgs {
    /// The plugin.
    name: String,
    #[command(flatten)]
    at: DirectoryArg,
}

pub(super) fn run(verb: PluginVerb) -> Result<(), CliError> {
    match verb {
        PluginVerb::List { json, host } => list(json, &host),
        PluginVerb::Add(args) => add::run(&args),
        PluginVerb::Remove(args) => remove(&args),
        PluginVerb::Reload(args) => lifecycle::reload(&args),
        PluginVerb::Versions(args) => lifecycle::versions(&args),
        PluginVerb::Rollback(args) => lifecycle::rollback(&args),
        PluginVerb::Bypass(args) => lifecycle::bypass(&args),
        PluginVerb::Forget(args) => lifecycle::forget(&args),
        PluginVerb::Kv(args) => kv::run(&args),
        PluginVerb::Check(args) => check::run(&args),
        PluginVerb::Call(args) => call::run(&args),
        PluginVerb::Test(args) => test::run(&args),
        PluginVerb::New(args) => new::run(&args),
        PluginVerb::Build(args) => build::run(&args),
        PluginVerb::Dev(args) => dev::run(&args),
    }
}

fn list(json: bool, host: &HostArg) -> Result<(), CliError> {
    let answer = host.client()?.get("/v1/plugins", &[])?.done()?;
    let plugins = answer["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = Out::new();
    if json {
        return plugins.iter().try_for_each(|plugin| out.line(&plugin.to_string()));
    }
    let cells: Vec<Vec<String>> = plugins.iter().map(cells).collect();
    for line in print::table(&["plugin", "version", "roles", "class", "state", "calls", "faults", "p50", "p99", "what"], &cells) {
        out.line(&line)?;
    }
    for line in plugins.iter().filter_map(reaches) {
        out.line(&line)?;
    }
    for refused in answer["refused"].as_array().into_iter().flatten() {
        out.line(&format!(
            "refused: {}: {}",
            refused["name"].as_str().unwrap_or_default(),
            refused["reason"].as_str().unwrap_or_default()
        ))?;
    }
    Ok(())
}

fn cells(plugin: &Value) -> Vec<String> {
    let text = |name: &str| plugin[name].as_str().unwrap_or_default().to_owned();
    let time = |name: &str| print::duration(plugin[name].as_f64().unwrap_or_default() / 1_000.0);
    let called = plugin["calls"].as_u64().unwrap_or_default();
    vec![
        text("name"),
        version(plugin).to_owned(),
        roles(&plugin["roles"]),
        text("effect_class"),
        state(plugin),
        called.to_string(),
        plugin["faults"].as_u64().unwrap_or_default().to_string(),
        if called == 0 { String::new() } else { time("p50_us") },
        if called == 0 { String::new() } else { time("p99_us") },
        print::clip(&text("summary"), 60),
    ]
}

/// Where a plugin may call, and which secrets it may use, by name; `None`: nothing of it.
fn reaches(plugin: &Value) -> Option<String> {
    let listed = |name: &str| plugin["grants"][name].as_array().map(Vec::as_slice).unwrap_or_default();
    let calls = listed("http").iter().filter_map(|grant| Some(HttpGrant::deserialize(grant).ok()?.to_string()));
    let secrets = listed("secrets").iter().filter_map(|secret| {
        let hosts: Vec<&str> = secret["hosts"].as_array()?.iter().filter_map(Value::as_str).collect();
        let hosts = if hosts.is_empty() { "signing alone".to_owned() } else { hosts.join(" and ") };
        Some(format!("the secret {} for {hosts}", secret["name"].as_str()?))
    });
    let all: Vec<String> = calls.chain(secrets).collect();
    let name = plugin["name"].as_str().unwrap_or_default();
    (!all.is_empty()).then(|| format!("{name} may use {}", all.join(", ")))
}

/// As many digits as events and decisions show.
fn version(plugin: &Value) -> &str {
    digits(&plugin["version"])
}

fn digits(digest: &Value) -> &str {
    let digits = digest.as_str().unwrap_or_default();
    digits.get(..12).unwrap_or(digits)
}

/// Version and settings, as `trackside plugin versions` names them.
fn version_id(plugin: &Value) -> String {
    format!("{}/{}", version(plugin), digits(&plugin["settings"]))
}

/// Where it stands, and until when.
fn state(plugin: &Value) -> String {
    let state = plugin["state"].as_str().unwrap_or_default();
    let until = plugin["bypass"]["until"].as_str().and_then(|until| until.get(..19)).map(|until| format!("until {until}Z"));
    let probe = plugin["retry_after_ms"].as_f64().map(|ms| format!("for {}", print::duration(ms)));
    let how_long = until.or(probe).filter(|_| state != "serving");
    how_long.map_or_else(|| state.to_owned(), |how_long| format!("{state} {how_long}"))
}

fn roles(roles: &Value) -> String {
    let has = |name: &&str| roles[*name].as_bool() == Some(true);
    ["observer", "control", "worker"].into_iter().filter(has).collect::<Vec<_>>().join(",")
}

fn remove(args: &RemoveArgs) -> Result<(), CliError> {
    trackside_wasm::check_name(&args.name).map_err(|error| CliError::Usage(error.to_string()))?;
    let mut out = Out::new();
    let mut removed = 0;
    for extension in ["wasm", "toml"] {
        let path = args.at.path().join(format!("{}.{extension}", args.name));
        match std::fs::remove_file(&path) {
            Ok(()) => {
                removed += 1;
                out.line(&format!("removed {}", path.display()))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(CliError::Failed(format!("{}: {error}", path.display()))),
        }
    }
    if removed == 0 {
        return Err(CliError::Failed(format!("there is no plugin '{}' in {}", args.name, args.at.path().display())));
    }
    out.line(&format!(
        "a running host that watches this directory takes it out of service by itself, any other with `trackside plugin reload {}`",
        args.name
    ))
}
