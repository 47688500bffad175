//! `trackside events stats`, `durations` and `rates`: what many events come to, with bars for people.
//! Counting is the store's.

use clap::Args;
use serde_json::Value;

use super::{FilterArgs, Pairs};
use crate::{
    cli::{
        CliError,
        print::{self, Out},
        source::{Asked, SourceArg},
    },
    survey::Question,
};

/// Characters of the longest bar.
const BAR: f64 = 40.0;

#[derive(Args)]
pub(super) struct StatsArgs {
    /// What makes a group: type, component (the type's first word), source, severity, minute, hour; several with commas [default: type].
    #[arg(long, value_name = "WHAT")]
    by: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args)]
pub(super) struct DurationsArgs {
    /// Types or patterns of what begins.
    #[arg(long, value_name = "PATTERN", required = true)]
    start: Vec<String>,
    /// Types or patterns of what ends it.
    #[arg(long, value_name = "PATTERN", required = true)]
    end: Vec<String>,
    /// What an end has in common with its start: correlation, workflow, task [default: correlation].
    #[arg(long, value_name = "WHAT")]
    pair: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args)]
pub(super) struct RatesArgs {
    /// Types or patterns of what went well: `*:completed`.
    #[arg(long, value_name = "PATTERN", required = true)]
    success: Vec<String>,
    /// Types or patterns of what did not: `*:failed`.
    #[arg(long, value_name = "PATTERN", required = true)]
    failure: Vec<String>,
    /// What makes a group: type, component (the type's first word), source, severity, minute, hour; several with commas.
    #[arg(long, value_name = "WHAT")]
    by: Vec<String>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args)]
struct HowArgs {
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: SourceArg,
}

/// The pairs of the filter, and these.
fn pairs(filter: &FilterArgs, more: &[(&str, &[String])]) -> Pairs {
    let mut pairs = filter.pairs();
    for (name, values) in more {
        pairs.extend(values.iter().map(|value| ((*name).to_owned(), value.clone())));
    }
    pairs
}

impl HowArgs {
    /// The answer, unless it has been printed as JSON.
    fn ask(&self, asked: Asked, pairs: &Pairs, out: &mut Out) -> Result<Option<Value>, CliError> {
        let answer = self.at.open()?.survey(asked, pairs)?;
        if self.json {
            return out.line(&answer.to_string()).map(|()| None);
        }
        Ok(Some(answer))
    }
}

pub(super) fn stats(args: &StatsArgs) -> Result<(), CliError> {
    let mut out = Out::new();
    let asked = Asked { path: "/v1/events/stats", read: |pairs| Question::stats(pairs.iter().copied()) };
    let Some(answer) = args.how.ask(asked, &pairs(&args.filter, &[("by", &args.by)]), &mut out)? else { return Ok(()) };
    let groups = answer["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let most = groups.iter().map(|group| number(&group["count"])).fold(0.0, f64::max);
    let (mut head, by) = head(&answer);
    head.extend(["events", ""]);
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let mut row = cells(group, &by);
            row.extend([group["count"].to_string(), bar(number(&group["count"]), most)]);
            row
        })
        .collect();
    lines(&mut out, &head, &rows)?;
    out.line(&format!("{} events", answer["events"]))?;
    tell_others(&mut out, &answer["others"])?;
    tell_extent(&answer);
    out.flush()
}

pub(super) fn rates(args: &RatesArgs) -> Result<(), CliError> {
    let mut out = Out::new();
    let asked = Asked { path: "/v1/events/rates", read: |pairs| Question::rates(pairs.iter().copied()) };
    let pairs = pairs(&args.filter, &[("success", &args.success), ("failure", &args.failure), ("by", &args.by)]);
    let Some(answer) = args.how.ask(asked, &pairs, &mut out)? else { return Ok(()) };
    let (mut head, by) = head(&answer);
    head.extend(["succeeded", "failed", "rate", ""]);
    let row = |group: &Value, mut row: Vec<String>| {
        let rate = group["failure_rate"].as_f64();
        let shown = rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        row.extend([group["succeeded"].to_string(), group["failed"].to_string(), shown, bar(rate.unwrap_or(0.0), 1.0)]);
        row
    };
    let groups = answer["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rows: Vec<Vec<String>> = groups.iter().map(|group| row(group, cells(group, &by))).collect();
    let all: Vec<String> = by.iter().enumerate().map(|(at, _)| if at == 0 { "all".to_owned() } else { String::new() }).collect();
    rows.push(row(&answer, all));
    lines(&mut out, &head, &rows)?;
    tell_extent(&answer);
    out.flush()
}

pub(super) fn durations(args: &DurationsArgs) -> Result<(), CliError> {
    let mut out = Out::new();
    let asked = Asked { path: "/v1/events/durations", read: |pairs| Question::durations(pairs.iter().copied()) };
    let pair: Vec<String> = args.pair.iter().cloned().collect();
    let pairs = pairs(&args.filter, &[("start", &args.start), ("end", &args.end), ("pair", &pair)]);
    let Some(answer) = args.how.ask(asked, &pairs, &mut out)? else { return Ok(()) };
    out.line(&format!("{} ended, {} did not", answer["count"], answer["unfinished"]))?;
    for (name, what) in
        [("unstarted", "ends without their start"), ("without_key", "without what an end would have in common with its start")]
    {
        if number(&answer[name]) > 0.0 {
            out.line(&format!("{} {what}", answer[name]))?;
        }
    }
    let ms = &answer["ms"];
    if let Some(most) = ms["max"].as_f64() {
        let rows: Vec<Vec<String>> = ["mean", "p50", "p95", "p99", "max"]
            .iter()
            .map(|name| vec![(*name).to_owned(), print::duration(number(&ms[*name])), bar(number(&ms[*name]), most)])
            .collect();
        lines(&mut out, &["", "took", ""], &rows)?;
    }
    tell_extent(&answer);
    out.flush()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn lines(out: &mut Out, head: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
    print::table(head, rows).iter().try_for_each(|line| out.line(line))
}

/// The heads of the columns that make a group.
fn head(answer: &Value) -> (Vec<&str>, Vec<&str>) {
    let by: Vec<&str> = answer["by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    (by.clone(), by)
}

fn cells(group: &Value, by: &[&str]) -> Vec<String> {
    // Of a minute or an hour the parts of it are nothing to read.
    let text = |name: &str| group[name].as_str().map_or_else(String::new, |text| text.split(".0000").next().unwrap_or(text).to_owned());
    by.iter().map(|name| text(name)).collect()
}

/// As long as its part of the longest one; what is there at all is seen.
fn bar(value: f64, most: f64) -> String {
    let part = if most > 0.0 { value / most } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to the length of a bar")]
    let length = (part.clamp(0.0, 1.0) * BAR).round() as usize;
    "█".repeat(length.max(usize::from(value > 0.0)))
}

fn tell_others(out: &mut Out, others: &Value) -> Result<(), CliError> {
    if number(others) == 0.0 { Ok(()) } else { out.line(&format!("{others} of them in further groups")) }
}

/// Beside the output: that it is not about everything.
fn tell_extent(answer: &Value) {
    let Some(cut) = answer["cut"].as_str() else { return };
    let at = &answer["looked_at"];
    eprintln!(
        "note: cut short ({cut}): of {} to {}, only what comes before {} was looked at; narrow it with --since, --until or --type",
        at["from"],
        at["to"],
        number(&at["through"]) + 1.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        let length = |value, most| bar(value, most).chars().count();
        assert_eq!((length(10.0, 10.0), length(5.0, 10.0), length(0.001, 10.0), length(0.0, 10.0), length(0.0, 0.0)), (40, 20, 1, 0, 0));
    }
}
