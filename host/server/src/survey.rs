//! Surveys as they are asked for and answered: pairs of names and values become a question, and what was counted becomes JSON.
//! Counting is the store's; asking it step by step is the edges'.

use serde_json::{Map, Value, json};
use trackside_model::event::Pattern;
use trackside_store::{
    Bounds, By, Durations, DurationsAnswer, DurationsOf, Extent, Group, Pairing, Rates, RatesAnswer, ReadError, ReadStore, Stats,
    StatsAnswer, Surveyed,
};

use crate::params::{EventParams, ParamError, unknown};

/// What says which events a survey is about.
const OF_EVENTS: [&str; 10] =
    ["type", "severity", "source", "correlation_id", "workflow_id", "task_id", "provider_id", "when", "since", "until"];

/// What is asked of many events.
#[derive(Clone, Debug)]
pub enum Question {
    /// How many there are, by all of these together.
    Stats(Surveyed, Vec<By>),
    /// How long it takes from one to another.
    Durations(Surveyed, DurationsOf),
    /// How much failed: types of successes and of failures, and by what.
    Rates(Surveyed, Vec<Pattern>, Vec<Pattern>, Vec<By>),
}

impl Question {
    /// `type`, …, `by`.
    ///
    /// # Errors
    /// [`ParamError`] for the first pair that is wrong.
    pub fn stats<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParamError> {
        let mut by = Vec::new();
        let surveyed = surveyed(pairs, &OF_EVENTS, &["by"], |_, value| add_by(&mut by, value))?;
        Ok(Self::Stats(surveyed, if by.is_empty() { vec![By::Type] } else { by }))
    }

    /// `start`, `end`, `pair`, and what is asked of both.
    ///
    /// # Errors
    /// [`ParamError`] for the first pair that is wrong.
    pub fn durations<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParamError> {
        let mut of = DurationsOf { start: Vec::new(), end: Vec::new(), by: Pairing::default() };
        let surveyed = surveyed(pairs, &OF_EVENTS[1..], &["start", "end", "pair"], |name, value| match name {
            "start" => add_patterns(&mut of.start, name, value),
            "end" => add_patterns(&mut of.end, name, value),
            _ => {
                of.by = value.parse().map_err(|error| ParamError(format!("{name}: {error}")))?;
                Ok(())
            }
        })?;
        required(&of.start, "start", "the types with which it begins, as in start=order:placed")?;
        required(&of.end, "end", "the types with which it ends, as in end=order:shipped")?;
        Ok(Self::Durations(surveyed, of))
    }

    /// `success`, `failure`, `by`, and what is asked of both.
    ///
    /// # Errors
    /// [`ParamError`] for the first pair that is wrong.
    pub fn rates<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParamError> {
        let (mut success, mut failure, mut by) = (Vec::new(), Vec::new(), Vec::new());
        let surveyed = surveyed(pairs, &OF_EVENTS[1..], &["success", "failure", "by"], |name, value| match name {
            "success" => add_patterns(&mut success, name, value),
            "failure" => add_patterns(&mut failure, name, value),
            _ => add_by(&mut by, value),
        })?;
        required(&success, "success", "the types of what went well, as in success=*:completed")?;
        required(&failure, "failure", "the types of what did not, as in failure=*:failed")?;
        Ok(Self::Rates(surveyed, success, failure, by))
    }
}

/// Splits the pairs into those that say which events, and the others, which `take` is given.
fn surveyed<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    of_events: &[&str],
    own: &[&str],
    mut take: impl FnMut(&str, &str) -> Result<(), ParamError>,
) -> Result<Surveyed, ParamError> {
    let (events, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| of_events.contains(name));
    let EventParams { filter, since, until, .. } = EventParams::parse(events, of_events)?;
    for (name, value) in others {
        if !own.contains(&name) {
            return Err(unknown(name, &[own, of_events].concat()));
        }
        take(name, value)?;
    }
    Ok(Surveyed { filter, since, until })
}

fn add_patterns(patterns: &mut Vec<Pattern>, name: &str, value: &str) -> Result<(), ParamError> {
    for part in value.split(',') {
        patterns.push(Pattern::parse(part.trim()).map_err(|error| ParamError(format!("{name}: {error}")))?);
    }
    Ok(())
}

fn add_by(all: &mut Vec<By>, value: &str) -> Result<(), ParamError> {
    for part in value.split(',').map(str::trim) {
        let by: By = part.parse().map_err(|error| ParamError(format!("by: {error}")))?;
        for (one, other) in [(By::Type, By::Component), (By::Minute, By::Hour)] {
            let both = [one, other];
            if both.contains(&by) && all.iter().any(|before| both.contains(before) && *before != by) {
                return Err(ParamError(format!("by: {} and {} go into one group each; name one of them", one.as_str(), other.as_str())));
            }
        }
        if !all.contains(&by) {
            all.push(by);
        }
    }
    Ok(())
}

fn required(patterns: &[Pattern], name: &str, what: &str) -> Result<(), ParamError> {
    if patterns.is_empty() { Err(ParamError(format!("{name}: required: {what}"))) } else { Ok(()) }
}

/// A question on its way to an answer.
pub enum Survey {
    /// Counting.
    Stats(Stats, Vec<By>),
    /// Measuring.
    Durations(Durations),
    /// Counting what failed.
    Rates(Rates, Vec<By>),
}

impl Survey {
    /// Begins to look.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub fn begin(store: &ReadStore, question: Question) -> Result<Self, ReadError> {
        let bounds = Bounds::default();
        Ok(match question {
            Question::Stats(surveyed, by) => Self::Stats(Stats::begin(store, surveyed, by.clone(), bounds)?, by),
            Question::Durations(surveyed, of) => Self::Durations(Durations::begin(store, surveyed, of, bounds)?),
            Question::Rates(surveyed, success, failure, by) => {
                Self::Rates(Rates::begin(store, surveyed, &success, failure, by.clone(), bounds)?, by)
            }
        })
    }

    /// Looks on. `false`: it is done.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub fn step(&mut self, store: &ReadStore) -> Result<bool, ReadError> {
        match self {
            Self::Stats(stats, _) => stats.step(store),
            Self::Durations(durations) => durations.step(store),
            Self::Rates(rates, _) => rates.step(store),
        }
    }

    /// What it came to.
    pub fn answer(self) -> Value {
        match self {
            Self::Stats(stats, by) => stats_json(&stats.answer(), &by),
            Self::Durations(durations) => durations_json(&durations.answer()),
            Self::Rates(rates, by) => rates_json(&rates.answer(), &by),
        }
    }
}

fn stats_json(answer: &StatsAnswer, by: &[By]) -> Value {
    let groups = answer.groups.iter().map(|(group, count)| {
        let mut members = group_json(group, by);
        members.insert("count".to_owned(), json!(count));
        Value::Object(members)
    });
    let groups: Vec<Value> = groups.collect();
    with_extent(json!({"by": names(by), "events": answer.events, "groups": groups, "others": answer.others}), &answer.extent)
}

fn rates_json(answer: &RatesAnswer, by: &[By]) -> Value {
    let counts = |mut members: Map<String, Value>, (succeeded, failed): (u64, u64)| {
        members.insert("succeeded".to_owned(), json!(succeeded));
        members.insert("failed".to_owned(), json!(failed));
        members.insert("failure_rate".to_owned(), json!(failure_rate(succeeded, failed)));
        Value::Object(members)
    };
    let groups: Vec<Value> = answer.groups.iter().map(|(group, both)| counts(group_json(group, by), *both)).collect();
    let mut all = counts(Map::new(), answer.all);
    all["by"] = json!(names(by));
    // Without something to group by there is one group, which is all.
    all["groups"] = if by.is_empty() { json!([]) } else { json!(groups) };
    all["others"] = counts(Map::new(), answer.others);
    with_extent(all, &answer.extent)
}

#[expect(clippy::cast_precision_loss, reason = "a rate, of counts that are far below 2^53")]
fn failure_rate(succeeded: u64, failed: u64) -> Option<f64> {
    let all = succeeded + failed;
    (all > 0).then(|| failed as f64 / all as f64)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds, to a part in 2^53")]
fn durations_json(answer: &DurationsAnswer) -> Value {
    let ms = |ns: u64| ns as f64 / 1e6;
    let count = answer.took_ns.len();
    let percentile = |part: f64| answer.percentile_ns(part).map(ms);
    let mean = (count > 0).then(|| answer.took_ns.iter().map(|ns| ms(*ns)).sum::<f64>() / count as f64);
    let ms = json!({
        "mean": mean, "p50": percentile(0.5), "p95": percentile(0.95), "p99": percentile(0.99), "max": percentile(1.0)
    });
    let answered = json!({
        "count": count, "unfinished": answer.unfinished, "unstarted": answer.unstarted, "without_key": answer.without_key, "ms": ms
    });
    with_extent(answered, &answer.extent)
}

fn names(by: &[By]) -> Vec<&'static str> {
    by.iter().map(|by| by.as_str()).collect()
}

fn group_json(group: &Group, by: &[By]) -> Map<String, Value> {
    by.iter()
        .map(|by| {
            let value = match by {
                By::Type | By::Component => json!(group.event_type),
                By::Source => json!(group.source),
                By::Severity => json!(group.severity),
                By::Minute | By::Hour => json!(group.at),
            };
            (by.as_str().to_owned(), value)
        })
        .collect()
}

fn with_extent(mut answer: Value, extent: &Extent) -> Value {
    answer["looked_at"] = json!({"from": extent.from, "through": extent.through, "to": extent.to});
    answer["cut"] = json!(extent.cut.map(trackside_store::Cut::as_str));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: Result<Question, ParamError>, expected: &str) {
        let said = match question {
            Ok(question) => format!("{question:?}"),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn questions_are_asked_in_pairs() {
        check(Question::stats([]), "[Type]");
        check(Question::stats([("by", "severity, minute"), ("by", "source"), ("type", "a:*")]), "[Severity, Minute, Source]");
        check(Question::durations([("start", "a:b,a:c"), ("end", "a:d"), ("pair", "task")]), "by: Task");
        check(Question::rates([("success", "*:done"), ("failure", "*:failed"), ("source", "x")]), "Some([\"x\"])");
    }

    #[test]
    fn wrong_questions_are_named_and_helped() {
        check(Question::stats([("by", "colour")]), "by: 'colour' is not one of type, component, source, severity, minute, hour");
        check(Question::stats([("by", "minute,hour")]), "by: minute and hour go into one group each; name one of them");
        check(Question::stats([("bye", "type")]), "unknown query parameter 'bye'; did you mean 'by'?");
        check(Question::durations([("end", "a:b")]), "start: required: the types with which it begins");
        check(Question::durations([("start", "a:b")]), "end: required: the types with which it ends");
        check(Question::durations([("start", "a")]), "start: type pattern 'a' is malformed");
        check(Question::durations([("pair", "source")]), "pair: 'source' is not one of correlation, workflow, task");
        check(Question::durations([("type", "a:b")]), "unknown query parameter 'type'");
        check(Question::rates([("success", "a:b")]), "failure: required: the types of what did not");
        check(Question::rates([("failure", "a:b")]), "success: required: the types of what went well");
    }
}
