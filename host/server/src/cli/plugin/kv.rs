//! `trackside plugin kv`: what a plugin keeps in its key-value space, of a running host or of a data directory.
//! Where it is read is `source`'s.

use clap::Args;
use serde_json::Value;

use super::{
    super::{
        CliError,
        print::{self, Out},
        source::{Pairs, SourceArg},
    },
    lifecycle,
};
use crate::params::MAX_LIMIT;

/// Characters of a value at most, where the line is for people.
const MOST_VALUE: usize = 100;

#[derive(Args)]
pub(in crate::cli) struct KvArgs {
    /// The plugin.
    name: String,
    /// Keys that begin with this [default: all].
    prefix: Option<String>,
    /// So many at most [default: all].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// One JSON object a key: `text`, or `hex` where the value is no text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: SourceArg,
}

pub(super) fn run(args: &KvArgs) -> Result<(), CliError> {
    lifecycle::check(&args.name)?;
    let source = args.at.open_as_operator()?;
    let mut out = Out::new();
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut after: Option<String> = None;
    let mut rows = Vec::new();
    while left > 0 {
        let mut pairs = Pairs::from([("limit".to_owned(), left.min(MAX_LIMIT).to_string())]);
        pairs.extend(args.prefix.iter().map(|prefix| ("prefix".to_owned(), prefix.clone())));
        pairs.extend(after.take().map(|after| ("after".to_owned(), after)));
        let page = source.kv(&args.name, &pairs)?;
        for entry in page["entries"].as_array().into_iter().flatten() {
            left = left.saturating_sub(1);
            if args.json {
                out.line(&entry.to_string())?;
            } else {
                rows.push(cells(entry));
            }
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    if args.json {
        return out.flush();
    }
    if rows.is_empty() {
        let of = args.prefix.as_ref().map(|prefix| format!(" under '{prefix}'")).unwrap_or_default();
        return out.line(&format!("{} keeps nothing{of}", args.name));
    }
    print::table(&["key", "value", "bytes", "goes in"], &rows).iter().try_for_each(|line| out.line(line))
}

fn cells(entry: &Value) -> Vec<String> {
    let text =
        |name: &str| entry[name].as_str().map(|text| print::clip(&text.escape_debug().to_string().replace("\\\"", "\""), MOST_VALUE));
    let value = text("text").or_else(|| text("hex").map(|digits| format!("0x{digits}")));
    vec![
        text("key").unwrap_or_default(),
        value.unwrap_or_default(),
        entry["bytes"].to_string(),
        entry["ttl_ms"].as_f64().map(print::duration).unwrap_or_default(),
    ]
}
