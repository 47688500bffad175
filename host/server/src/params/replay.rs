//! What is to be replayed, written as pairs of names and values.
//! Whether it can be is the engine's to say.

use trackside_engine::ReplayRequest;
use trackside_model::{event::Text, replay::Pace};

use super::{EventParams, ParamError, of, unknown};

/// What may be said of a replay.
pub const REPLAY_PARAMS: [&str; 16] = [
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
    "to",
    "from",
    "through",
    "pace",
    "speed",
    "effects_of",
];
/// How many of them say which events.
const OF_EVENTS: usize = 10;

/// Reads pairs. A list may be written with commas, or by repeating the name.
///
/// # Errors
/// [`ParamError`] for the first pair that is wrong, and where it is not said to whom.
pub fn request<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<ReplayRequest, ParamError> {
    let (of_events, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| REPLAY_PARAMS[..OF_EVENTS].contains(name));
    let events = EventParams::parse(of_events, &REPLAY_PARAMS[..OF_EVENTS])?;
    let (mut to, mut from, mut through, mut pace, mut speed, mut effects_of) = (None, None, None, None, None, None);
    let mut seen = Vec::new();
    for (name, value) in others {
        if seen.contains(&name) {
            return Err(ParamError(format!("{name}: is given twice")));
        }
        seen.push(name);
        match name {
            "to" => to = Some(value.parse().map_err(|error: String| of(name, error))?),
            "from" => from = Some(sequence(name, value)?),
            "through" => through = Some(sequence(name, value)?),
            "pace" => pace = Some(value),
            "speed" => speed = Some(factor(name, value)?),
            "effects_of" => effects_of = Some(Text::from(value)),
            other => return Err(unknown(other, &REPLAY_PARAMS)),
        }
    }
    let Some(to) = to else {
        return Err(ParamError("to: is missing; say to whom, observer/NAME or reader/NAME".to_owned()));
    };
    let pace = match (pace, speed) {
        (None | Some("full"), None) => Pace::Full,
        (None | Some("recorded"), speed) => Pace::Recorded(speed.unwrap_or(1.0)),
        (Some("full"), Some(_)) => return Err(ParamError("speed: is of a recorded pace; leave it out, or say pace=recorded".to_owned())),
        (Some(other), _) => return Err(ParamError(format!("pace: '{other}' is not one of full, recorded"))),
    };
    Ok(ReplayRequest { to, filter: events.filter, since: events.since, until: events.until, from, through, pace, effects_of })
}

fn sequence(name: &str, value: &str) -> Result<u64, ParamError> {
    value.parse().map_err(|_| ParamError(format!("{name}: '{value}' is not a sequence number such as 12")))
}

fn factor(name: &str, value: &str) -> Result<f64, ParamError> {
    value.parse().map_err(|_| ParamError(format!("{name}: '{value}' is not a number; 1 is as it was recorded, 60 makes an hour a minute")))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(pairs: &[(&str, &str)], expected: Expect) {
        let actual = match request(pairs.iter().copied()) {
            Ok(request) => format!(
                "{} {:?} {:?} {:?} {:?} {:?}",
                request.to,
                request.filter.event_types.map(|patterns| patterns.len()),
                request.from,
                request.through,
                request.pace,
                request.effects_of
            ),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn a_replay_is_said_in_pairs() {
        check(&[("to", "observer/audit")], expect!["observer/audit None None None Full None"]);
        check(
            &[("to", "reader/billing"), ("type", "order:*"), ("from", "3"), ("through", "9"), ("speed", "60"), ("effects_of", "x")],
            expect![[r#"reader/billing Some(1) Some(3) Some(9) Recorded(60.0) Some("x")"#]],
        );
        check(&[("to", "observer/audit"), ("pace", "recorded")], expect!["observer/audit None None None Recorded(1.0) None"]);
    }

    #[test]
    fn wrong_pairs_are_named_and_helped() {
        check(&[], expect!["to: is missing; say to whom, observer/NAME or reader/NAME"]);
        check(&[("to", "audit")], expect!["to: 'audit' does not say to whom; write observer/NAME or reader/NAME"]);
        check(&[("too", "x")], expect!["unknown query parameter 'too'; did you mean 'to'?"]);
        check(&[("to", "observer/a"), ("from", "start")], expect!["from: 'start' is not a sequence number such as 12"]);
        check(&[("to", "observer/a"), ("pace", "slow")], expect!["pace: 'slow' is not one of full, recorded"]);
        check(
            &[("to", "observer/a"), ("pace", "full"), ("speed", "2")],
            expect!["speed: is of a recorded pace; leave it out, or say pace=recorded"],
        );
        check(
            &[("to", "observer/a"), ("speed", "fast")],
            expect!["speed: 'fast' is not a number; 1 is as it was recorded, 60 makes an hour a minute"],
        );
        check(&[("to", "observer/a"), ("to", "observer/b")], expect!["to: is given twice"]);
    }
}
