//! `events trace`: everything that one request set in motion, as a tree, with times and decisions.
//! The tree is `trace`'s.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};
use trackside_model::event::{Event, cloud_event::Form, trace::TraceParent};

use super::super::{
    CliError,
    print::{self, Out},
    source::{EventPage, Pairs, Source, SourceArg},
};
use crate::{
    explain::EventId,
    params::MAX_LIMIT,
    trace::{Traced, tree},
};

/// Events of a tree at most, whatever is asked for: all of them are held at a time.
const MOST_EVENTS: u64 = 1_000_000;
/// Events about which is asked what was decided, if nothing else is said: one request each.
const MOST_EXPLAINED: &str = "2000";
/// Levels that are drawn; what is deeper stands at the last of them.
const MOST_LEVELS: usize = 32;

#[derive(Args)]
pub(super) struct TraceArgs {
    /// An event's id or sequence number, a correlation, or a workflow.
    id: String,
    /// Events that are shown at most, from the first on.
    #[arg(long, value_name = "EVENTS", default_value = "10000", value_parser = clap::value_parser!(u64).range(1..=MOST_EVENTS))]
    most: u64,
    /// Events of which is shown what was decided about them, at most, from the first on.
    #[arg(long, value_name = "EVENTS", default_value = MOST_EXPLAINED)]
    explain: usize,
    /// One JSON object: the events in the order of the tree, each with its depth.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: SourceArg,
}

pub(super) fn run(args: &TraceArgs) -> Result<(), CliError> {
    let source = args.at.open()?;
    let most = usize::try_from(args.most).unwrap_or(usize::MAX);
    let (correlation_id, mut events, is_cut) = find(&source, &args.id, most)?;
    events.truncate(most);
    let explained = events.len().min(args.explain);
    let cut = Cut { events: is_cut.then_some(most), explained: (explained < events.len()).then_some(explained) };
    let mut decided = Vec::with_capacity(events.len());
    for (number, event) in events.into_iter().enumerate() {
        let decisions = match number < explained {
            true => source.explain(&EventId::Sequence(event.sequence_number), Form::Trackside)?["decisions"].take(),
            false => Value::Null,
        };
        decided.push((event, decisions));
    }
    let traced = tree(decided);
    let mut out = Out::new();
    if args.json {
        let object = json!({"correlation_id": correlation_id, "complete": !is_cut, "explained": explained, "events": traced});
        return out.line(&object.to_string());
    }
    show(&mut out, &correlation_id, &traced, &cut)
}

/// What is not shown.
struct Cut {
    /// Events behind so many.
    events: Option<usize>,
    /// What was decided about those behind so many.
    explained: Option<usize>,
}

/// The correlation that is meant, its facts, and whether there are more than are shown.
fn find(source: &Source, id: &str, most: usize) -> Result<(String, Vec<Event>, bool), CliError> {
    if let Ok(event_id) = id.parse::<EventId>()
        && let Ok(explained) = source.explain(&event_id, Form::Trackside)
        && let Some(correlation_id) = explained["event"]["correlation_id"].as_str()
    {
        let (events, is_cut) = all(source, correlation_id, most)?;
        return Ok((correlation_id.to_owned(), events, is_cut));
    }
    let (events, is_cut) = all(source, id, most)?;
    if !events.is_empty() {
        return Ok((id.to_owned(), events, is_cut));
    }
    let page = source.events(&pairs("workflow_id", id, None, 1))?;
    let Some(first) = read(page)?.pop() else {
        return Err(CliError::Failed(format!("the log has no event, correlation or workflow '{id}'")));
    };
    let (events, is_cut) = all(source, &first.correlation_id, most)?;
    Ok((first.correlation_id.to_string(), events, is_cut))
}

fn pairs(name: &str, value: &str, after: Option<String>, limit: usize) -> Pairs {
    let mut pairs = vec![
        // Of one thing, whose name may hold what stands between several.
        (name.to_owned(), value.replace(',', "\\,")),
        ("narration".to_owned(), "false".to_owned()),
        ("limit".to_owned(), limit.min(MAX_LIMIT).to_string()),
    ];
    pairs.extend(after.map(|after| ("after".to_owned(), after)));
    pairs
}

/// The facts of a correlation, until there are more than `most`.
fn all(source: &Source, correlation_id: &str, most: usize) -> Result<(Vec<Event>, bool), CliError> {
    let (mut events, mut after) = (Vec::new(), None);
    loop {
        let page = source.events(&pairs("correlation_id", correlation_id, after, MAX_LIMIT))?;
        after = page.next.clone();
        events.extend(read(page)?);
        if events.len() > most {
            return Ok((events, true));
        }
        if after.is_none() {
            return Ok((events, false));
        }
    }
}

fn read(page: EventPage) -> Result<Vec<Event>, CliError> {
    let event = |text: &str| serde_json::from_str(text).map_err(|error| CliError::Failed(format!("the answer holds no event: {error}")));
    page.events.iter().map(|text| event(text.get())).collect()
}

fn show(out: &mut Out, correlation_id: &str, traced: &[Traced], cut: &Cut) -> Result<(), CliError> {
    let took_ms = traced.iter().map(|traced| traced.offset_ms).fold(0.0, f64::max);
    let count = match traced.len() {
        1 => "one event".to_owned(),
        count => format!("{count} events in {}", print::duration(took_ms)),
    };
    let traces = traces_of(traced).map_or_else(String::new, |traces| format!(", {traces}"));
    out.line(&format!("correlation {correlation_id}: {count}{traces}"))?;
    // By level, whether more follow from the one above.
    let mut going_on = Vec::new();
    for traced in traced {
        going_on.truncate(traced.depth);
        let branch: String = going_on
            .iter()
            .skip(1)
            .take(MOST_LEVELS)
            .map(|goes_on| if *goes_on { "│  " } else { "   " })
            .chain((traced.depth > 0).then_some(if traced.is_last { "└─ " } else { "├─ " }))
            .collect();
        going_on.push(!traced.is_last);
        out.line(&line(out, traced, &branch))?;
    }
    if let Some(explained) = cut.explained {
        out.line(&format!("… what was decided is shown of the first {explained} events: --explain N shows it of more"))?;
    }
    if let Some(most) = cut.events {
        out.line(&format!("… and more: the first {most} events are shown; --most N shows more"))?;
    }
    out.flush()
}

/// The W3C traces that these events belong to, so that they can be looked up where the rest of them is kept.
fn traces_of(traced: &[Traced]) -> Option<String> {
    let ids = traced.iter().filter_map(|traced| TraceParent::in_metadata(&traced.event.metadata)).map(|parent| parent.trace_id);
    let ids: BTreeSet<u128> = ids.collect();
    let first = ids.first()?;
    let others = if ids.len() > 1 { format!(" and {} others", ids.len() - 1) } else { String::new() };
    Some(format!("trace {first:032x}{others}"))
}

fn line(out: &Out, traced: &Traced, branch: &str) -> String {
    let event = &traced.event;
    let offset = format!("+{}", print::duration(traced.offset_ms));
    let event_type = out.styled(print::style_of(event.severity), &event.event_type);
    let took = if traced.took_ms > 0.0 { format!("  ({})", print::duration(traced.took_ms)) } else { String::new() };
    let decided = decided(&traced.decisions).map_or_else(String::new, |decided| format!("  [{decided}]"));
    let text = format!(
        "{:>8}  {offset:>10}  {branch}{event_type}  {}  {}{took}{decided}",
        event.sequence_number,
        &*event.source_component,
        print::what(event)
    );
    text.trim_end().to_owned()
}

/// Who was asked, and what those said who did not simply let it through.
fn decided(decisions: &Value) -> Option<String> {
    let checks: Vec<&Value> = decisions.as_array()?.iter().flat_map(|record| record["checks"].as_array().into_iter().flatten()).collect();
    if checks.is_empty() {
        return None;
    }
    let said = checks.iter().filter_map(|check| {
        let (plugin, answer) = (check["plugin"].as_str()?, check["answer"].as_str()?);
        let amended = check["amended"].as_bool() == Some(true);
        match (answer, amended) {
            ("proceed", false) => None,
            ("proceed", true) => Some(format!("{plugin}: amended")),
            _ => Some(format!("{plugin}: {answer}")),
        }
    });
    let said: Vec<String> = said.collect();
    Some(match (said.is_empty(), checks.len()) {
        (true, 1) => format!("{} let it through", checks[0]["plugin"].as_str().unwrap_or_default()),
        (true, count) => format!("{count} handlers let it through"),
        (false, _) => said.join(", "),
    })
}
