//! How a durable reader is to read, written as pairs of names and values.
//! In which bounds its numbers are is the model's.

use trackside_model::{
    event::Position,
    reader::{Order, ReaderOptions},
};

use super::{EventParams, ParamError, of, unknown};

/// What may be said of a durable reader.
pub const READER_PARAMS: [&str; 16] = [
    "type",
    "severity",
    "source",
    "correlation_id",
    "workflow_id",
    "task_id",
    "provider_id",
    "when",
    "narration",
    "from",
    "in_flight",
    "order",
    "ack_wait_ms",
    "deliveries",
    "backoff_ms",
    "most_backoff_ms",
];
/// How many of them say which events it wants.
const OF_EVENTS: usize = 9;

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With the first event of the log.
    Start,
    /// With what comes.
    End,
    /// Behind this position.
    Behind(Position),
}

/// A durable reader as it is asked for.
#[derive(Clone, Debug)]
pub struct ReaderParams {
    /// How it reads.
    pub options: ReaderOptions,
    /// Where it begins; `None`: a new one with what comes, another where it is.
    pub from: Option<From>,
}

impl ReaderParams {
    /// Reads pairs. A list may be written with commas, or by repeating the name.
    ///
    /// # Errors
    /// [`ParamError`] for the first pair that is wrong.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParamError> {
        let (of_events, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| READER_PARAMS[..OF_EVENTS].contains(name));
        let narration = of_events.iter().any(|(name, _)| *name == "narration");
        let events = EventParams::parse(of_events, &READER_PARAMS[..OF_EVENTS])?;
        let options = ReaderOptions { filter: events.filter, narration: narration && events.narration, ..ReaderOptions::default() };
        let mut params = Self { options, from: None };
        let mut seen = Vec::new();
        for (name, value) in others {
            if seen.contains(&name) {
                return Err(ParamError(format!("{name}: is given twice")));
            }
            seen.push(name);
            params.set(name, value)?;
        }
        params.options.check().map_err(|error| ParamError(error.to_string()))?;
        Ok(params)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ParamError> {
        let options = &mut self.options;
        match name {
            "from" => self.from = Some(from(name, value)?),
            "order" => options.order = order(name, value)?,
            "in_flight" => options.in_flight = number(name, value)?,
            "deliveries" => options.deliveries = number(name, value)?,
            "ack_wait_ms" => options.ack_wait_ms = number(name, value)?,
            "backoff_ms" => options.backoff_ms = number(name, value)?,
            "most_backoff_ms" => options.most_backoff_ms = number(name, value)?,
            other => return Err(unknown(other, &READER_PARAMS)),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, ParamError> {
    value.parse().map_err(|_| ParamError(format!("{name}: '{value}' is not a whole number in its bounds")))
}

fn order(name: &str, value: &str) -> Result<Order, ParamError> {
    match value {
        "none" => Ok(Order::None),
        "correlation" => Ok(Order::Correlation),
        "log" => Ok(Order::Log),
        _ => Err(ParamError(format!("{name}: '{value}' is not one of none, correlation, log"))),
    }
}

fn from(name: &str, value: &str) -> Result<From, ParamError> {
    match value {
        "start" => Ok(From::Start),
        "end" => Ok(From::End),
        position => position.parse().map(From::Behind).map_err(|error: String| of(name, format!("{error}; or start, or end"))),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(pairs: &[(&str, &str)], expected: Expect) {
        let actual = match ReaderParams::parse(pairs.iter().copied()) {
            Ok(ReaderParams { options, from }) => format!("{} {from:?}", serde_json::to_string(&options).unwrap()),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn a_reader_is_said_in_pairs() {
        check(
            &[],
            expect![[
                r#"{"filter":{"event_types":null,"min_severity":null,"source_components":null,"correlation_ids":null,"workflow_ids":null,"task_ids":null,"provider_ids":null},"narration":false,"in_flight":64,"order":"none","ack_wait_ms":30000,"deliveries":5,"backoff_ms":100,"most_backoff_ms":10000} None"#
            ]],
        );
        check(
            &[("type", "order:*"), ("from", "12.3"), ("order", "correlation"), ("in_flight", "2"), ("narration", "")],
            expect![[
                r#"{"filter":{"event_types":["order:*"],"min_severity":null,"source_components":null,"correlation_ids":null,"workflow_ids":null,"task_ids":null,"provider_ids":null},"narration":true,"in_flight":2,"order":"correlation","ack_wait_ms":30000,"deliveries":5,"backoff_ms":100,"most_backoff_ms":10000} Some(Behind(Position { sequence: 12, part: 3 }))"#
            ]],
        );
    }

    #[test]
    fn wrong_pairs_are_named_and_helped() {
        check(&[("form", "start")], expect!["unknown query parameter 'form'; did you mean 'from'?"]);
        check(
            &[("limit", "5")],
            expect![
                "unknown query parameter 'limit'; known are type, severity, source, correlation_id, workflow_id, task_id, provider_id, when, narration, from, in_flight, order, ack_wait_ms, deliveries, backoff_ms, most_backoff_ms"
            ],
        );
        check(
            &[("from", "begin")],
            expect!["from: 'begin' is not a position; write a sequence number such as 12, or 12.3 for a part of it; or start, or end"],
        );
        check(&[("order", "fifo")], expect!["order: 'fifo' is not one of none, correlation, log"]);
        check(&[("in_flight", "0")], expect!["in_flight: 0 is not from 1 to 1000"]);
        check(&[("in_flight", "many")], expect!["in_flight: 'many' is not a whole number in its bounds"]);
        check(&[("deliveries", "1"), ("deliveries", "2")], expect!["deliveries: is given twice"]);
    }
}
