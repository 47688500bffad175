//! Which events somebody asks for, written as pairs of names and values: query parameters of a URL, or flags of the command line.
//! Here they become a query or a filter; asking the store is the edges'.

pub mod reader;
pub mod replay;

use trackside_model::{
    event::{Condition, Filter, Pattern, Position, Severity, cloud_event::Form},
    text::nearest,
    time::Timestamp,
};
use trackside_store::{ExportQuery, Query, Words};

/// Events on a page, if nothing is said.
pub const DEFAULT_LIMIT: usize = 100;
/// Events on a page, at the most.
pub const MAX_LIMIT: usize = 1_000;

/// What a listing of events may be asked.
pub const LIST_PARAMS: [&str; 15] = [
    "type",
    "severity",
    "source",
    "correlation_id",
    "workflow_id",
    "task_id",
    "provider_id",
    "when",
    "text",
    "since",
    "until",
    "after",
    "limit",
    "narration",
    "format",
];
/// What a stream of events may be asked: it has no pages.
pub const STREAM_PARAMS: [&str; 14] = [
    "type",
    "severity",
    "source",
    "correlation_id",
    "workflow_id",
    "task_id",
    "provider_id",
    "when",
    "since",
    "until",
    "after",
    "narration",
    "slow",
    "format",
];
/// What an export may be asked.
pub const EXPORT_PARAMS: [&str; 12] =
    ["type", "severity", "source", "correlation_id", "workflow_id", "task_id", "provider_id", "when", "since", "until", "from", "to"];

/// A name or value that is not understood: what, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParamError(pub String);

/// What becomes of a client that reads a stream more slowly than events come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowPolicy {
    /// It gets every event, however late.
    #[default]
    Wait,
    /// Too far behind, it goes on with the newest, and is told what it missed.
    Skip,
    /// Too far behind, its stream ends; it may come back where it was.
    Close,
}

/// Which events.
#[derive(Clone, Debug)]
pub struct EventParams {
    /// Every condition must hold.
    pub filter: Filter,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before then.
    pub until: Option<Timestamp>,
    /// Behind this position.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
    /// Whether narration is expanded.
    pub narration: bool,
    /// What becomes of a slow client.
    pub slow: SlowPolicy,
    /// How each event is written.
    pub form: Form,
    /// Whose payloads have these words.
    pub text: Option<Words>,
    /// From this sequence.
    pub from: Option<u64>,
    /// To this sequence.
    pub to: Option<u64>,
}

impl Default for EventParams {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            since: None,
            until: None,
            after: None,
            limit: DEFAULT_LIMIT,
            narration: true,
            slow: SlowPolicy::Wait,
            form: Form::Trackside,
            text: None,
            from: None,
            to: None,
        }
    }
}

impl EventParams {
    /// Reads pairs, of which only the names in `known` are taken. A list may be written with commas, or by repeating the name.
    ///
    /// # Errors
    /// [`ParamError`] for the first pair that is wrong.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, known: &[&str]) -> Result<Self, ParamError> {
        let mut params = Self::default();
        let mut seen = Vec::new();
        for (name, value) in pairs {
            if !known.contains(&name) {
                return Err(unknown(name, known));
            }
            if !is_list(name) && seen.contains(&name) {
                return Err(ParamError(format!("{name}: is given twice")));
            }
            seen.push(name);
            params.set(name, value)?;
        }
        Ok(params)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ParamError> {
        let filter = &mut self.filter;
        match name {
            "type" => {
                let patterns = filter.event_types.get_or_insert_default();
                for part in value.split(',') {
                    patterns.push(Pattern::parse(part.trim()).map_err(|error| of(name, error))?);
                }
            }
            "severity" => filter.min_severity = Some(value.parse::<Severity>().map_err(|error| of(name, error))?),
            "source" => add(&mut filter.source_components, name, value)?,
            "correlation_id" => add(&mut filter.correlation_ids, name, value)?,
            "workflow_id" => add(&mut filter.workflow_ids, name, value)?,
            "task_id" => add(&mut filter.task_ids, name, value)?,
            "provider_id" => add(&mut filter.provider_ids, name, value)?,
            "when" => filter.when = Some(Condition::parse(value).map_err(|error| of(name, error))?),
            "since" => self.since = Some(value.parse().map_err(|error| of(name, error))?),
            "until" => self.until = Some(value.parse().map_err(|error| of(name, error))?),
            "after" => self.after = Some(value.parse().map_err(|error| of(name, error))?),
            "limit" => self.limit = limit(name, value)?,
            "format" => self.form = value.parse().map_err(|error: String| of(name, error))?,
            "slow" => self.slow = slow(name, value)?,
            "text" => self.text = Some(Words::parse(value).map_err(|error| of(name, error))?),
            "from" => self.from = Some(sequence(name, value)?),
            "to" => self.to = Some(sequence(name, value)?),
            _ => self.narration = truth(name, value)?,
        }
        Ok(())
    }

    /// A page of them, as the store is asked.
    pub fn query(&self) -> Query {
        Query {
            filter: self.filter.clone(),
            since: self.since,
            until: self.until,
            after: self.after,
            limit: self.limit,
            narration: self.narration,
            words: self.text.clone(),
            ..Query::default()
        }
    }

    /// Whether what is asked of payloads can be answered, where these types are opted in for full text.
    ///
    /// # Errors
    /// [`ParamError`], if nothing could be found whatever there is.
    pub fn check_text(&self, opted_in: &[Pattern]) -> Result<(), ParamError> {
        if self.text.is_none() {
            return Ok(());
        }
        if opted_in.is_empty() {
            return Err(ParamError(
                "text: no type of event is opted in; name some in store.full_text of the host's configuration, as in \"chat:*\"".to_owned(),
            ));
        }
        let exact: Option<Vec<&str>> = self.filter.event_types.as_ref().and_then(|types| types.iter().map(Pattern::exact).collect());
        match exact {
            Some(types) if !types.iter().any(|name| opted_in.iter().any(|pattern| pattern.matches(name))) => {
                let opted_in: Vec<&str> = opted_in.iter().map(Pattern::as_str).collect();
                Err(ParamError(format!(
                    "text: {} is not opted in; store.full_text of the host's configuration names {}",
                    types.join(", "),
                    opted_in.join(", ")
                )))
            }
            _ => Ok(()),
        }
    }

    /// A stretch of the log with them, as the store is asked.
    ///
    /// # Errors
    /// [`ParamError`], if it ends before it begins.
    pub fn export(&self) -> Result<ExportQuery, ParamError> {
        let Self { filter, since, until, from, to, .. } = self.clone();
        match (from, to) {
            (Some(from), Some(to)) if from > to => Err(ParamError(format!("to: {to} lies before {from}, with which the export begins"))),
            _ => Ok(ExportQuery { filter, since, until, from, to }),
        }
    }
}

fn is_list(name: &str) -> bool {
    matches!(name, "type" | "source" | "correlation_id" | "workflow_id" | "task_id" | "provider_id")
}

fn of(name: &str, error: impl std::fmt::Display) -> ParamError {
    ParamError(format!("{name}: {error}"))
}

fn add(list: &mut Option<Vec<String>>, name: &str, value: &str) -> Result<(), ParamError> {
    for part in parts(value) {
        if part.is_empty() {
            return Err(ParamError(format!("{name}: must not be empty; leave it out to see all")));
        }
        list.get_or_insert_default().push(part);
    }
    Ok(())
}

/// What stands between commas; `\,` is a comma of a name.
fn parts(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        let last = parts.last_mut().expect("there is one from the beginning");
        match character {
            '\\' if characters.peek() == Some(&',') => last.extend(characters.next()),
            ',' => parts.push(String::new()),
            other => last.push(other),
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

fn slow(name: &str, value: &str) -> Result<SlowPolicy, ParamError> {
    match value {
        "wait" => Ok(SlowPolicy::Wait),
        "skip" => Ok(SlowPolicy::Skip),
        "close" => Ok(SlowPolicy::Close),
        _ => Err(ParamError(format!("{name}: '{value}' is not one of wait, skip, close"))),
    }
}

/// A number of items on a page.
///
/// # Errors
/// [`ParamError`], if it is none from 1 to [`MAX_LIMIT`].
pub fn limit(name: &str, value: &str) -> Result<usize, ParamError> {
    match value.parse() {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(ParamError(format!("{name}: '{value}' is not a number from 1 to {MAX_LIMIT}"))),
    }
}

/// Patterns with commas between them; an empty text has none.
///
/// # Errors
/// [`ParamError`] for the first that is none.
pub fn patterns(text: &str) -> Result<Vec<Pattern>, ParamError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| Pattern::parse(part).map_err(|error| ParamError(error.to_string()))).collect()
}

fn sequence(name: &str, value: &str) -> Result<u64, ParamError> {
    match value.parse() {
        Ok(sequence @ 1..) => Ok(sequence),
        _ => Err(ParamError(format!("{name}: '{value}' is not a sequence number, from 1 on"))),
    }
}

/// How an event is written: what a route may be asked that takes nothing else.
///
/// # Errors
/// [`ParamError`] for the first pair that is wrong.
pub fn form<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Form, ParamError> {
    EventParams::parse(pairs, &["format"]).map(|params| params.form)
}

/// `true` or `false`.
///
/// # Errors
/// [`ParamError`] for anything else.
pub fn truth(name: &str, value: &str) -> Result<bool, ParamError> {
    match value {
        "true" | "" => Ok(true),
        "false" => Ok(false),
        _ => Err(ParamError(format!("{name}: '{value}' is neither true nor false"))),
    }
}

/// A length of time, as in `10m` or `1h30m`, in milliseconds.
///
/// # Errors
/// [`ParamError`] for anything else.
pub fn duration_ms(name: &str, value: &str) -> Result<u64, ParamError> {
    trackside_model::workflow::duration_ms(value).map_err(|error| of(name, error))
}

/// What to say of a parameter that nobody knows.
pub fn unknown(name: &str, known: &[&str]) -> ParamError {
    ParamError(match (nearest(name, known.iter().copied()), known) {
        (Some(near), _) => format!("unknown query parameter '{name}'; did you mean '{near}'?"),
        (None, []) => format!("unknown query parameter '{name}'; this takes none"),
        (None, known) => format!("unknown query parameter '{name}'; known are {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(pairs: &[(&str, &str)], expected: Expect) {
        let actual = match EventParams::parse(pairs.iter().copied(), &LIST_PARAMS) {
            Ok(params) => format!(
                "{:?} {:?} {} {} {}",
                params.filter.event_types.map(|patterns| patterns.len()),
                params.filter.workflow_ids,
                params.limit,
                params.narration,
                params.after.unwrap_or_default()
            ),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn nothing_said_is_everything_a_hundred_at_a_time() {
        check(&[], expect!["None None 100 true 0.0"]);
    }

    #[test]
    fn lists_are_written_with_commas_or_repeated() {
        check(
            &[
                ("type", "task:*,workflow:**"),
                ("type", "NodeStarted"),
                ("workflow_id", "a"),
                ("limit", "1000"),
                ("narration", "false"),
                ("after", "7.2"),
            ],
            expect![[r#"Some(3) Some(["a"]) 1000 false 7.2"#]],
        );
    }

    #[test]
    fn a_comma_of_a_name_is_written_with_a_backslash() {
        check(&[("workflow_id", r"a\,b,c\d, e\")], expect![[r#"None Some(["a,b", "c\\d", "e\\"]) 100 true 0.0"#]]);
    }

    #[test]
    fn wrong_pairs_are_named_and_helped() {
        check(&[("typ", "a:b")], expect!["unknown query parameter 'typ'; did you mean 'type'?"]);
        check(
            &[("zzz", "")],
            expect![
                "unknown query parameter 'zzz'; known are type, severity, source, correlation_id, workflow_id, task_id, provider_id, when, text, since, until, after, limit, narration, format"
            ],
        );
        check(&[("limit", "0")], expect!["limit: '0' is not a number from 1 to 1000"]);
        check(&[("limit", "1001")], expect!["limit: '1001' is not a number from 1 to 1000"]);
        check(&[("limit", "5"), ("limit", "6")], expect!["limit: is given twice"]);
        check(
            &[("type", "task")],
            expect![
                "type: type pattern 'task' is malformed: event type 'task' is one word; write 'component:action', for example 'task:happened'"
            ],
        );
        check(&[("severity", "loud")], expect!["severity: severity 'loud' is not one of debug, info, warning, error, critical"]);
        check(&[("since", "yesterday")], expect!["since: 'yesterday' is not an RFC 3339 time after 1970, such as 2026-01-31T10:30:00Z"]);
        check(
            &[("when", "payload.amount > 1")],
            expect!["when: there is no 'payload'; a condition is about `event`, as in event.payload or event.event_type"],
        );
        check(&[("after", "x")], expect!["after: 'x' is not a position; write a sequence number such as 12, or 12.3 for a part of it"]);
        check(&[("source", "")], expect!["source: must not be empty; leave it out to see all"]);
        check(&[("format", "xml")], expect!["format: 'xml' is not one of trackside, cloudevents"]);
        check(&[("narration", "maybe")], expect!["narration: 'maybe' is neither true nor false"]);
    }

    #[test]
    fn full_text_is_of_types_that_are_opted_in() {
        let check = |pairs: &[(&str, &str)], opted_in: &str| {
            let params = EventParams::parse(pairs.iter().copied(), &LIST_PARAMS).unwrap();
            params.check_text(&patterns(opted_in).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[], ""), Ok(()));
        assert!(check(&[("text", "a")], "").unwrap_err().starts_with("text: no type of event is opted in; name some in store.full_text"));
        assert_eq!(check(&[("text", "a")], "chat:*"), Ok(()));
        assert_eq!(check(&[("text", "a"), ("type", "order:*")], "chat:*"), Ok(()));
        assert_eq!(check(&[("text", "a"), ("type", "order:placed,chat:said")], "chat:*, note:**"), Ok(()));
        assert_eq!(
            check(&[("text", "a"), ("type", "order:placed")], "chat:*, note:**").unwrap_err(),
            "text: order:placed is not opted in; store.full_text of the host's configuration names chat:*, note:**"
        );
        assert!(patterns("chat").is_err());
    }

    #[test]
    fn an_export_has_a_beginning_and_an_end() {
        let export = |pairs: &[(&str, &str)]| {
            let params = EventParams::parse(pairs.iter().copied(), &EXPORT_PARAMS).and_then(|params| params.export());
            params.map(|query| (query.from, query.to)).map_err(|error| error.to_string())
        };
        assert_eq!(export(&[("from", "7"), ("to", "7")]), Ok((Some(7), Some(7))));
        assert_eq!(export(&[("from", "8"), ("to", "7")]).unwrap_err(), "to: 7 lies before 8, with which the export begins");
        assert_eq!(export(&[("from", "0")]).unwrap_err(), "from: '0' is not a sequence number, from 1 on");
        assert!(export(&[("limit", "5")]).unwrap_err().starts_with("unknown query parameter 'limit'"));
    }

    #[test]
    fn a_stream_has_no_pages() {
        let error = EventParams::parse([("limit", "5")], &STREAM_PARAMS).unwrap_err();
        assert!(error.to_string().starts_with("unknown query parameter 'limit'"), "{error}");
    }
}
