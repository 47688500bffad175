//! `rate-limit`: a control handler with a token bucket for each value of a field, such as each source. It needs the `kv` grant.
//!
//! An event for which there is a token goes through and takes it. Where the bucket is empty it answers `retry` with the exact wait: at a
//! publish that is "busy, retry-after", at `workflow:submitted`, `task:ready` and `assignment:candidate_found` "later". At `task:completed` and
//! `task:failed` it always proceeds: what has been done cannot be put off.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `key` | `source_component` | whose bucket: a field of the envelope, `metadata.KEY`, `principal`, or a JSON pointer into the payload |
//! | `rate_per_s` | 10 | tokens that come back in a second |
//! | `burst` | 20 | tokens that a full bucket has |
//! | `without_key` | `limit` | events that lack the field share one bucket; `pass` lets them through |
//!
//! It limits `workflow:submit`; `[controls]` in its settings file names other types. Time is the host's, never the publisher's. A bucket is one
//! number in `kv` that goes by itself when the bucket is full again. Two checks of one bucket at the same time cannot both take its last
//! token: the host notes what they read, and asks the later one again.

mod bucket;

use bucket::{Bucket, Limit, Taken};
use serde::Deserialize;
use trackside_policy_kit::{Configuration, Configured, Facts, Field, key_of};
use trackside_sdk::{Context, Control, Description, Error, Event, Filter, Plugin, Point, Signal, kv};

struct RateLimit;

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    key: Field,
    rate_per_s: f64,
    burst: u32,
    without_key: WithoutKey,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum WithoutKey {
    Limit,
    Pass,
}

impl Default for Raw {
    fn default() -> Self {
        Raw { key: Field::source_component(), rate_per_s: 10.0, burst: 20, without_key: WithoutKey::Limit }
    }
}

/// The settings, checked.
struct Settings {
    key: Field,
    limit: Limit,
    without_key: WithoutKey,
}

impl Configured for Settings {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        Ok(Settings { key: raw.key, limit: Limit::new(raw.rate_per_s, raw.burst)?, without_key: raw.without_key })
    }
}

static SETTINGS: Configuration<Settings> = Configuration::new();

impl Plugin for RateLimit {
    fn describe() -> Description {
        Description::new("rate-limit")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Lets through so many events a second, for each value of a field.")
            .controls(Filter::types(["workflow:submit"]))
            .priority(30)
            .memoryless()
    }
}

impl Control for RateLimit {
    fn check(event: &Event, context: &Context) -> Signal {
        if matches!(context.point, Point::TaskCompleted | Point::TaskFailed) {
            return Signal::proceed();
        }
        match SETTINGS.get().and_then(|settings| take(settings, event, context)) {
            Ok(signal) => signal,
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(RateLimit: control);

/// Takes a token, if there is one.
fn take(settings: &Settings, event: &Event, context: &Context) -> Result<Signal, Error> {
    let Some(whose) = owner(settings, event, context) else { return Ok(Signal::proceed()) };
    let key = key_of("bucket", &whose);
    let bucket = kv::get_text(&key)?.map_or(Ok(Bucket::FULL), |text| text.parse())?;
    match bucket.take(&settings.limit, context.now_ns) {
        Taken::Token { left, full_in_ms } => {
            kv::set_for_ms(&key, left.to_string(), full_in_ms)?;
            Ok(Signal::proceed())
        }
        Taken::Empty { wait_ms } => Ok(Signal::retry_after_ms(wait_ms, format!("'{whose}' has used up its {}", settings.limit))),
    }
}

/// Whose bucket the event takes from; `None`: nobody's.
fn owner(settings: &Settings, event: &Event, context: &Context) -> Option<String> {
    let whose = settings.key.text(&Facts::of_decision(event, context));
    whose.or((settings.without_key == WithoutKey::Limit).then(String::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trackside_policy_kit::read;
    use trackside_sdk::EventBuf;

    fn owner_by(settings: Value) -> Option<String> {
        let event = EventBuf::new("order:placed").source_component("shop").payload(json!({ "tenant": "acme" }));
        owner(&read(&settings).expect("these settings are right"), &event.view(), &Context::at(Point::Publish))
    }

    #[test]
    fn a_bucket_belongs_to_what_the_key_names() {
        assert_eq!(owner_by(json!({})).as_deref(), Some("shop"));
        assert_eq!(owner_by(json!({ "key": "/tenant" })).as_deref(), Some("acme"));
        assert_eq!(owner_by(json!({ "key": "/nothing" })).as_deref(), Some(""));
        assert_eq!(owner_by(json!({ "key": "/nothing", "without_key": "pass" })), None);
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (settings, name) in [
            (json!({ "key": "source" }), "`key`"),
            (json!({ "rate_per_s": 0 }), "`rate_per_s`"),
            (json!({ "burst": 0 }), "`burst`"),
            (json!({ "without_key": "drop" }), "`without_key`"),
            (json!({ "rate": 1 }), "`rate`"),
        ] {
            let error = read::<Settings>(&settings).err().expect("these settings are wrong");
            assert!(error.message().contains(name), "{error}");
        }
    }
}
