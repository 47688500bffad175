//! `trackside schemas`: those that are in force at a host, the text of one, and whether files on this machine are any, and what fits them.
//! Reading and compiling are `schemas`'.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use trackside_model::{json::Json, schema::Schema};

use super::{
    CliError,
    client::HostArg,
    print::{self, Out},
    publish::json_argument,
    source::segment,
};
use crate::schemas;

#[derive(Args)]
pub(super) struct SchemasArgs {
    #[command(subcommand)]
    verb: SchemasVerb,
}

#[derive(Subcommand)]
enum SchemasVerb {
    /// List the schemas of a host, with the types that each is about, and what is wrong with those that are not taken.
    List(ListArgs),
    /// Show a schema as it is in force.
    Show(ShowArgs),
    /// Check a file, or a directory of them, without a host.
    Check(CheckArgs),
}

#[derive(Args)]
struct ListArgs {
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
struct ShowArgs {
    /// Its name: that of its file, without the ending.
    name: String,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
struct CheckArgs {
    /// A schema, or a directory of them.
    path: PathBuf,
    /// Whether this fits each of them: any JSON, or @FILE.
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
}

pub(super) fn run(args: SchemasArgs) -> Result<(), CliError> {
    match args.verb {
        SchemasVerb::List(args) => list(&args),
        SchemasVerb::Show(args) => show(&args),
        SchemasVerb::Check(args) => check(&args),
    }
}

fn list(args: &ListArgs) -> Result<(), CliError> {
    let listed = args.host.client()?.get("/v1/schemas", &[])?.done()?;
    let mut out = Out::new();
    if args.json {
        return out.line(&listed.to_string());
    }
    let text = |schema: &Value, name: &str| schema[name].as_str().unwrap_or_default().to_owned();
    let types = |schema: &Value| {
        let types: Vec<&str> = schema["event_types"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        types.join(", ")
    };
    let rows: Vec<Vec<String>> = listed["schemas"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|schema| {
            let digest: String = text(schema, "digest").chars().take(12).collect();
            vec![text(schema, "name"), types(schema), digest, text(schema, "error")]
        })
        .collect();
    for line in print::table(&["schema", "in force for", "version", "not taken because"], &rows) {
        out.line(&line)?;
    }
    out.flush()
}

fn show(args: &ShowArgs) -> Result<(), CliError> {
    let answered = args.host.client()?.get(&format!("/v1/schemas/{}", segment(&args.name)), &[])?;
    if answered.status >= 400 {
        return Err(answered.refusal());
    }
    Out::new().line(answered.text.trim_end())
}

fn check(args: &CheckArgs) -> Result<(), CliError> {
    let payload = args.payload.as_deref().map(|payload| json_argument("--payload", payload)).transpose()?.map(Json::from);
    let checked = schemas::check(&args.path).map_err(|error| CliError::Failed(format!("{}: {error}", args.path.display())))?;
    let (mut out, mut wrong) = (Out::new(), 0);
    for (name, compiled) in checked {
        let said = match compiled {
            Ok(schema) => said_of(&schema, payload.as_ref()),
            Err(error) => Err(error),
        };
        match said {
            Ok(said) => out.line(&format!("{name}: {said}"))?,
            Err(error) => {
                wrong += 1;
                eprintln!("{name}: {error}");
            }
        }
    }
    out.flush()?;
    if wrong > 0 { Err(CliError::Told) } else { Ok(()) }
}

fn said_of(schema: &Schema, payload: Option<&Json>) -> Result<String, String> {
    let types: Vec<&str> = schema.patterns().iter().map(|pattern| pattern.as_str()).collect();
    match payload {
        None => Ok(format!("a schema for {}", types.join(", "))),
        Some(payload) => schema.check(payload).map(|()| "the payload fits".to_owned()).map_err(|violation| violation.to_string()),
    }
}
