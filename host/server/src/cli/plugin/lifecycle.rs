//! The verbs that change what a running host has in service: `reload`, `versions`, `rollback`, `bypass`, `forget`. Each asks the host, and shows what
//! the change means for the plugin's authority. Judging it is the host's.

use clap::Args;
use serde_json::Value;

use super::{
    super::{
        CliError,
        client::{Answered, HostArg},
        print::{self, Out},
    },
    version_id,
};

#[derive(Args)]
pub(in crate::cli) struct ReloadArgs {
    /// The plugin.
    name: String,
    /// Take a version that can do more than the one in service.
    #[arg(long)]
    accept: bool,
    /// The host's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
pub(in crate::cli) struct VersionsArgs {
    /// The plugin.
    name: String,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
pub(in crate::cli) struct RollbackArgs {
    /// The plugin.
    name: String,
    /// The version, by its first digits, as `trackside plugin versions` shows them [default: the one before].
    #[arg(value_name = "VERSION")]
    wanted: Option<String>,
    /// Take a version that can do more than the one in service.
    #[arg(long)]
    accept: bool,
    /// The host's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
pub(in crate::cli) struct BypassArgs {
    /// The plugin.
    name: String,
    /// For how long, as in 10m or 1h30m; a week at most.
    #[arg(long = "for", value_name = "TIME", required_unless_present = "off", conflicts_with = "off")]
    length: Option<String>,
    /// End the bypass now.
    #[arg(long)]
    off: bool,
    /// Why, for the log.
    #[arg(long, value_name = "TEXT", conflicts_with = "off")]
    reason: Option<String>,
    /// The host's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
pub(in crate::cli) struct ForgetArgs {
    /// The plugin.
    name: String,
    /// The host's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

pub(super) fn reload(args: &ReloadArgs) -> Result<(), CliError> {
    let query = accept(args.accept);
    changed(&ask(&args.name, "reload", &query, &args.host)?, &args.name, args.json)
}

pub(super) fn rollback(args: &RollbackArgs) -> Result<(), CliError> {
    let mut query = accept(args.accept);
    query.extend(args.wanted.iter().map(|version| ("version", version.clone())));
    changed(&ask(&args.name, "rollback", &query, &args.host)?, &args.name, args.json)
}

fn accept(accept: bool) -> Vec<(&'static str, String)> {
    if accept { vec![("accept", "true".to_owned())] } else { Vec::new() }
}

fn ask(name: &str, verb: &str, query: &[(&str, String)], host: &HostArg) -> Result<Answered, CliError> {
    check(name)?;
    host.operator()?.post_query(&format!("/v1/plugins/{name}/{verb}"), query)
}

pub(super) fn check(name: &str) -> Result<(), CliError> {
    trackside_wasm::check_name(name).map_err(|error| CliError::Usage(error.to_string()))
}

/// What came of a swap.
fn changed(answered: &Answered, name: &str, json: bool) -> Result<(), CliError> {
    let mut out = Out::new();
    if json {
        return told_as_json(&mut out, answered);
    }
    let answer = answered.done()?;
    match answer["outcome"].as_str() {
        Some("loaded") => {
            out.line(&format!("{name} is in service, version {}", version_id(&answer["plugin"])))?;
            print_changes(&mut out, &answer["changes"])
        }
        _ => out.line(&format!("{name} is out of service")),
    }
}

fn told_as_json(out: &mut Out, answered: &Answered) -> Result<(), CliError> {
    out.line(&print::one_line(&answered.text))?;
    if answered.status < 400 { Ok(()) } else { Err(CliError::Told) }
}

/// What a swap changes, a line each; `+` stands before what grows.
pub(super) fn print_changes(out: &mut Out, changes: &Value) -> Result<(), CliError> {
    for change in changes.as_array().into_iter().flatten() {
        let text = |name: &str| change[name].as_str().unwrap_or_default();
        let sign = if change["grows"].as_bool() == Some(true) { '+' } else { ' ' };
        out.line(&format!("{sign} {}: {} -> {}", text("what"), text("before"), text("after")))?;
    }
    Ok(())
}

pub(super) fn versions(args: &VersionsArgs) -> Result<(), CliError> {
    check(&args.name)?;
    let answer = args.host.client()?.get(&format!("/v1/plugins/{}/versions", args.name), &[])?.done()?;
    let versions = answer["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = Out::new();
    if args.json {
        return versions.iter().try_for_each(|version| out.line(&version.to_string()));
    }
    if versions.is_empty() {
        return out.line(&format!("no version of {} has been in service here", args.name));
    }
    let text = |version: &Value, name: &str| version[name].as_str().unwrap_or_default().to_owned();
    let state = |version: &Value| if version["in_service"] == true { "in service" } else { "" }.to_owned();
    let cells: Vec<Vec<String>> = versions
        .iter()
        .map(|version| vec![text(version, "id"), text(version, "display_version"), text(version, "since"), state(version)])
        .collect();
    print::table(&["version/settings", "calls itself", "in service since", "state"], &cells).iter().try_for_each(|line| out.line(line))
}

pub(super) fn bypass(args: &BypassArgs) -> Result<(), CliError> {
    let mut query = Vec::new();
    query.extend(args.length.iter().map(|length| ("for", length.clone())));
    query.extend(args.reason.iter().map(|reason| ("reason", reason.clone())));
    if args.off {
        query.push(("off", "true".to_owned()));
    }
    let answered = ask(&args.name, "bypass", &query, &args.host)?;
    let mut out = Out::new();
    if args.json {
        return told_as_json(&mut out, &answered);
    }
    let answer = answered.done()?;
    out.line(&match answer["outcome"].as_str() {
        Some("bypassed") => format!("{} is bypassed until {}", args.name, answer["until"].as_str().unwrap_or_default()),
        Some("ended") => format!("{} is no longer bypassed", args.name),
        _ => format!("{} was not bypassed", args.name),
    })
}

pub(super) fn forget(args: &ForgetArgs) -> Result<(), CliError> {
    let answered = ask(&args.name, "forget", &[], &args.host)?;
    let mut out = Out::new();
    if args.json {
        return told_as_json(&mut out, &answered);
    }
    let answer = answered.done()?;
    let cursors: Vec<&str> = answer["cursors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    out.line(&format!("{} is forgotten: {} holds nothing back any more", args.name, cursors.join(", ")))
}
