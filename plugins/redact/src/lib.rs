//! `redact`: a control handler that takes secrets and personal data out of payloads before they are in the log. It needs no grant.
//!
//! It proceeds with the payload amended, or unamended where there was nothing to take out. Handlers behind it see what is left.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `points` | `["publish"]` | where: `publish` (payload), `workflow_submitted` (input), `task_ready` (parameters), `task_completed` (result) |
//! | `keys` | passwords, tokens and the like | values under these names, wherever they stand; capitals, `-` and `_` make no difference |
//! | `patterns` | `["email", "card", "bearer"]` | what these find inside of any text: e-mail addresses, card numbers, bearer tokens |
//! | `pointers` | none | values at these places, as JSON pointers in which `*` is any key or index |
//! | `mask` | `[redacted]` | what stands there afterwards |
//! | `digest_key` | none | instead of the mask, a digest under this key: the same value gives the same digest, and only who has the key can guess |
//!
//! A value at a pointer or under a key goes whole, whatever it is; a pattern takes its own part of a text and leaves the rest. Card numbers are 13 to
//! 19 digits, in groups or not, that keep to Luhn's sum; numbers are looked at as texts are. Commands (`workflow:submit` and the like) mean what
//! their sender wrote and are left as they are at a publish: name `workflow_submitted` among the points to amend a workflow's input.

mod cover;
mod places;
mod scan;

use cover::Cover;
use places::Places;
use scan::Scanner;
use serde::Deserialize;
use serde_json::Value;
use trackside_policy_kit::{Configuration, Configured};
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Point, Signal};

struct Redact;

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    points: Vec<RawPoint>,
    keys: Vec<String>,
    patterns: Vec<Scanner>,
    pointers: Vec<String>,
    mask: String,
    digest_key: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum RawPoint {
    Publish,
    WorkflowSubmitted,
    TaskReady,
    TaskCompleted,
}

impl Default for Raw {
    fn default() -> Self {
        Raw {
            points: vec![RawPoint::Publish],
            keys: ["password", "passwd", "secret", "token", "api_key", "authorization"].map(str::to_owned).into(),
            patterns: vec![Scanner::Email, Scanner::Card, Scanner::Bearer],
            pointers: Vec::new(),
            mask: "[redacted]".into(),
            digest_key: None,
        }
    }
}

/// The settings, checked.
struct Settings {
    points: Vec<RawPoint>,
    places: Places,
}

impl Configured for Settings {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        let cover = match raw.digest_key {
            Some(key) if key.len() < 16 => return Err("`digest_key`: give at least 16 bytes; a short key is guessed".into()),
            Some(key) => Cover::Digest(key.into_bytes()),
            None => Cover::Mask(raw.mask),
        };
        Ok(Settings { points: raw.points, places: Places::new(&raw.pointers, &raw.keys, raw.patterns, cover)? })
    }
}

static SETTINGS: Configuration<Settings> = Configuration::new();

impl Plugin for Redact {
    fn describe() -> Description {
        Description::new("redact")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Takes secrets and personal data out of payloads.")
            .controls(Filter::facts())
            .priority(80)
            .memoryless()
    }
}

impl Control for Redact {
    fn check(event: &Event, context: &Context) -> Signal {
        match SETTINGS.get() {
            Ok(settings) => amend(settings, event, context),
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(Redact: control);

fn amend(settings: &Settings, event: &Event, context: &Context) -> Signal {
    let (point, place) = match context.point {
        Point::Publish if is_command(event.event_type()) => return Signal::proceed(),
        Point::Publish => (RawPoint::Publish, ""),
        Point::WorkflowSubmitted => (RawPoint::WorkflowSubmitted, "/workflow/input"),
        Point::TaskReady => (RawPoint::TaskReady, "/parameters"),
        Point::TaskCompleted => (RawPoint::TaskCompleted, "/result"),
        Point::CandidateFound | Point::TaskFailed => return Signal::proceed(),
    };
    if !settings.points.contains(&point) {
        return Signal::proceed();
    }
    let mut payload: Value = match event.payload() {
        Ok(payload) => payload,
        Err(error) => return Signal::error(error.message()),
    };
    match payload.pointer_mut(place).map(|value| (settings.places.cover(value), value)) {
        Some((true, value)) => Signal::amend(value),
        _ => Signal::proceed(),
    }
}

/// Types of these components belong to the host, but for its commands: at a publish, nothing else of them comes by.
fn is_command(event_type: &str) -> bool {
    matches!(event_type.split(':').next(), Some("workflow" | "task" | "engine"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_policy_kit::read;
    use trackside_sdk::EventBuf;

    fn amended(settings: Value, point: Point, event: &EventBuf) -> Option<Value> {
        match amend(&read(&settings).expect("these settings are right"), &event.view(), &Context::at(point)) {
            Signal::Proceed(value) => value.map(|text| serde_json::from_str(&text).expect("an amendment is JSON")),
            other => panic!("it always proceeds: {other:?}"),
        }
    }

    #[test]
    fn what_is_amended_is_what_the_point_is_about() {
        let published = EventBuf::new("user:created").payload(json!({ "password": "x", "name": "Ann" }));
        assert_eq!(amended(json!({}), Point::Publish, &published), Some(json!({ "password": "[redacted]", "name": "Ann" })));
        assert_eq!(amended(json!({}), Point::Publish, &EventBuf::new("user:created").payload(json!({ "name": "Ann" }))), None);
        let submitted = EventBuf::new("workflow:submitted").payload(json!({ "workflow": { "input": { "token": "x" }, "name": "token" } }));
        assert_eq!(amended(json!({}), Point::WorkflowSubmitted, &submitted), None, "not one of its points");
        let points = json!({ "points": ["workflow_submitted", "task_completed"] });
        assert_eq!(amended(points.clone(), Point::WorkflowSubmitted, &submitted), Some(json!({ "token": "[redacted]" })));
        let completed =
            EventBuf::new("task:completed").payload(json!({ "result": "from ann@example.com", "parameters": { "token": "x" } }));
        assert_eq!(amended(points, Point::TaskCompleted, &completed), Some(json!("from [redacted]")));
    }

    #[test]
    fn a_command_is_left_as_it_is() {
        let command = EventBuf::new("workflow:submit").payload(json!({ "input": { "password": "x" } }));
        assert_eq!(amended(json!({}), Point::Publish, &command), None);
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (settings, name) in [
            (json!({ "digest_key": "short" }), "`digest_key`"),
            (json!({ "patterns": ["phone"] }), "`patterns`"),
            (json!({ "pointers": ["customer/phone"] }), "`pointers`"),
            (json!({ "points": ["task_failed"] }), "`points`"),
            (json!({ "key": [] }), "`key`"),
        ] {
            let error = read::<Settings>(&settings).err().expect("these settings are wrong");
            assert!(error.message().contains(name), "{error}");
        }
    }
}
