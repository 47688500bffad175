//! `trackside token`: adds, lists and removes the tokens of a data directory, whether a host runs on it or not. A secret is shown once, when it
//! is made; what is kept of it is its digest. Who has to show one is the host's.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use trackside_model::{plugin::Digest, time::Timestamp};

use super::{
    CliError,
    print::{self, Out},
};
use crate::{
    access::{Entry, Scope, TokenFile, check_name, secret, words},
    config::Config,
    params,
};

#[derive(Subcommand)]
pub(super) enum TokenVerb {
    /// Make a token, and print its secret: this once.
    Add {
        /// Who gets it: the principal of what is done with it.
        name: String,
        /// What it lets its holder do: publish, read, submit, plugins or admin. Give it again for more.
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// For how long, as in 90d or 12h [default: until it is removed].
        #[arg(long = "for", value_name = "TIME")]
        length: Option<String>,
        /// The token as one JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        directory: DirectoryArg,
    },
    /// Show which tokens there are, and what each lets its holder do.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        directory: DirectoryArg,
    },
    /// Take a token away: within a second or two nothing more is done with it, and its streams end.
    Remove {
        /// Its name.
        name: String,
        #[command(flatten)]
        directory: DirectoryArg,
    },
}

/// Whose tokens.
#[derive(Args, Clone, Debug)]
pub(super) struct DirectoryArg {
    /// The host's data directory [default: ./trackside-data].
    #[arg(long = "data", env = "TRACKSIDE_DATA_DIR", value_name = "DIR")]
    data: Option<PathBuf>,
}

impl DirectoryArg {
    fn file(&self) -> TokenFile {
        TokenFile::in_directory(&self.data.clone().unwrap_or_else(|| Config::default().data_dir))
    }
}

pub(super) fn run(verb: TokenVerb) -> Result<(), CliError> {
    match verb {
        TokenVerb::Add { name, scopes, length, json, directory } => add(name, &scopes, length.as_deref(), json, &directory.file()),
        TokenVerb::List { json, directory } => list(json, &directory.file()),
        TokenVerb::Remove { name, directory } => remove(&name, &directory.file()),
    }
}

fn add(name: String, scopes: &[String], length: Option<&str>, json: bool, file: &TokenFile) -> Result<(), CliError> {
    check_name(&name).map_err(CliError::Usage)?;
    let mut wanted: Vec<Scope> = Vec::new();
    for scope in scopes {
        wanted.push(scope.parse().map_err(|error| CliError::Usage(format!("--scope: {error}")))?);
    }
    wanted.sort_unstable();
    wanted.dedup();
    let made_at = trackside_engine::now();
    let expires_at = length.map(|length| expiry(made_at, length)).transpose()?;
    let secret = secret::fresh();
    let entry = Entry { name, scopes: wanted, sha256: Digest::of(secret.as_bytes()), made_at, expires_at };
    let shown = shown(&entry);
    file.add(entry).map_err(CliError::failed)?;
    let mut out = Out::new();
    if json {
        let mut shown = shown;
        shown["token"] = secret.into();
        return out.line(&shown.to_string());
    }
    // On a line of its own and alone on standard output, so that it can go into a file or a variable.
    out.line(&secret)?;
    out.flush()?;
    eprintln!("this is shown once; {} keeps its digest", file.path().display());
    Ok(())
}

fn expiry(made_at: Timestamp, length: &str) -> Result<Timestamp, CliError> {
    match params::duration_ms("--for", length) {
        Ok(0) => {
            Err(CliError::Usage("--for: a token that expires at once lets nobody do anything; leave it out, or give a time".to_owned()))
        }
        Ok(ms) => Ok(made_at.plus_ms(ms)),
        Err(error) => Err(CliError::Usage(error.to_string())),
    }
}

fn list(json: bool, file: &TokenFile) -> Result<(), CliError> {
    let tokens = file.read().map_err(CliError::failed)?;
    let mut out = Out::new();
    if json {
        return tokens.iter().try_for_each(|token| out.line(&shown(token).to_string()));
    }
    if tokens.is_empty() {
        return out.line("there are no tokens but the host's own; `trackside token add NAME --scope SCOPE` makes one");
    }
    let now = trackside_engine::now();
    let until = |token: &Entry| match token.expires_at {
        None => "removed".to_owned(),
        Some(at) if token.is_valid(now) => at.to_string(),
        Some(at) => format!("{at} (over)"),
    };
    let cells: Vec<Vec<String>> =
        tokens.iter().map(|token| vec![token.name.clone(), words(&token.scopes), token.made_at.to_string(), until(token)]).collect();
    print::table(&["token", "scopes", "made", "until"], &cells).iter().try_for_each(|line| out.line(line))
}

fn remove(name: &str, file: &TokenFile) -> Result<(), CliError> {
    file.remove(name).map_err(CliError::failed)?;
    Out::new().line(&format!("the token {name} is removed"))
}

/// For programs: everything but the secret.
fn shown(entry: &Entry) -> serde_json::Value {
    json!({"name": entry.name, "scopes": entry.scopes, "made_at": entry.made_at, "expires_at": entry.expires_at})
}
