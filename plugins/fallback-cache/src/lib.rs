//! `fallback-cache`: a control handler that answers a failed task with the last good result for the same method and parameters.
//! It needs the `kv` grant.
//!
//! At `task:completed` it keeps the result and proceeds. At `task:failed`, when no further attempt follows, it answers `fallback` with what it
//! has kept, and the task completes with that value; where it has nothing it proceeds.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `methods` | all | only tasks of these methods, as in `rates/*` |
//! | `ttl_ms` | 86400000 | how old a result may be |
//! | `max_result_bytes` | 65536 | larger results are not kept; at most 262144 |
//! | `after_attempts` | none | answer after so many attempts; if absent, when no further attempt follows |
//! | `codes` | all | only failures with these codes |
//!
//! It stands behind `retry-policy`, which ends the chain while it has the task tried again, and behind `redact`, so that it keeps what was let
//! through: a value in a result's place ends the chain, and nobody would look at it again. Parameters are compared by their digest, in which
//! the order of an object's keys does not matter. `kv_bytes` under `[limits]` bounds all results together: what does not fit is not kept,
//! which is said in the host's log.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use trackside_policy_kit::{Configuration, Configured, NamePattern, any_matches, get_json, hex_digest};
use trackside_sdk::{Context, Control, Description, Error, Event, Filter, Plugin, Point, Signal, kv, log};

struct FallbackCache;

/// The most that a value of the key-value space has.
const MOST_VALUE_BYTES: usize = 262_144;
/// What stands around a result in its value.
const ENVELOPE_BYTES: usize = 64;

/// The operator's settings. What each means is in the plugin's description.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    methods: Vec<NamePattern>,
    ttl_ms: u64,
    max_result_bytes: usize,
    after_attempts: Option<u32>,
    codes: Option<Vec<String>>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { methods: Vec::new(), ttl_ms: 86_400_000, max_result_bytes: 65_536, after_attempts: None, codes: None }
    }
}

impl Configured for Settings {
    type Raw = Self;

    fn configured(raw: Self) -> Result<Self, String> {
        if raw.ttl_ms == 0 {
            return Err("`ttl_ms`: nothing would be kept; give at least 1".into());
        }
        if raw.max_result_bytes > MOST_VALUE_BYTES {
            return Err(format!("`max_result_bytes`: at most {MOST_VALUE_BYTES}, which a value of kv may have"));
        }
        Ok(raw)
    }
}

static SETTINGS: Configuration<Settings> = Configuration::new();

impl Plugin for FallbackCache {
    fn describe() -> Description {
        Description::new("fallback-cache")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Answers a failed task with its last good result.")
            .controls(Filter::types(["task:completed", "task:failed"]))
            .priority(90)
            .memoryless()
    }
}

impl Control for FallbackCache {
    fn check(event: &Event, context: &Context) -> Signal {
        match SETTINGS.get().and_then(|settings| judge(settings, event, context)) {
            Ok(signal) => signal,
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(FallbackCache: control);

/// What the payload says of the task and its attempt.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(default)]
    method: String,
    #[serde(default)]
    parameters: Value,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Failure>,
    /// Whether no further attempt follows.
    #[serde(rename = "final", default)]
    is_final: bool,
}

#[derive(Deserialize)]
struct Failure {
    code: Option<String>,
}

/// A result that is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    at_ms: u64,
    result: Box<RawValue>,
}

fn judge(settings: &Settings, event: &Event, context: &Context) -> Result<Signal, Error> {
    let told: Told = event.payload()?;
    if !any_matches(&settings.methods, Some(&told.method)) {
        return Ok(Signal::proceed());
    }
    let now_ms = context.now_ns / 1_000_000;
    match (context.point, told.result, &told.error) {
        (Point::TaskCompleted, Some(result), _) => keep(settings, &told, result, now_ms)?,
        (Point::TaskFailed, _, Some(failure)) if is_due(settings, failure, told.is_final, context.attempt) => {
            if let Some(kept) = get_json::<Kept>(&key(&told))? {
                let age_s = now_ms.saturating_sub(kept.at_ms) / 1_000;
                return Ok(Signal::fallback(kept.result, format!("the last good result, of {age_s} s ago")));
            }
        }
        _ => {}
    }
    Ok(Signal::proceed())
}

/// Whether this failure is to be answered.
fn is_due(settings: &Settings, failure: &Failure, is_final: bool, attempts: u32) -> bool {
    let wanted = settings.codes.as_ref().is_none_or(|codes| failure.code.as_ref().is_some_and(|code| codes.contains(code)));
    wanted && settings.after_attempts.map_or(is_final, |enough| attempts >= enough)
}

/// Keeps a result, if it is small enough and there is room.
fn keep(settings: &Settings, told: &Told, result: &RawValue, now_ms: u64) -> Result<(), Error> {
    let bytes = result.get().len();
    if bytes > settings.max_result_bytes || bytes + ENVELOPE_BYTES > MOST_VALUE_BYTES {
        return Ok(());
    }
    let kept = serde_json::to_vec(&Kept { at_ms: now_ms, result: result.to_owned() })?;
    match kv::set_for_ms(&key(told), kept, settings.ttl_ms) {
        Err(kv::Refusal::Full) => {
            log::warning(format!("a result of {} is not kept: {}", told.method, kv::Refusal::Full));
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Where the result for these parameters is kept.
fn key(told: &Told) -> String {
    // Keys of an object stand in their order when it is written, whatever the order in which it came.
    format!("last/{}", hex_digest(&[&told.method, &told.parameters.to_string()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_policy_kit::read;

    fn settings(settings: Value) -> Settings {
        read(&settings).expect("these settings are right")
    }

    fn key_in(payload: &str) -> String {
        key(&serde_json::from_str(payload).expect("a payload"))
    }

    #[test]
    fn the_same_parameters_have_the_same_key_in_any_order() {
        let one = key_in(r#"{"method": "rates/get", "parameters": {"from": "EUR", "to": {"b": 1, "a": 2}}, "result": 1}"#);
        let other = key_in(r#"{"method": "rates/get", "parameters": {"to": {"a": 2, "b": 1}, "from": "EUR"}, "error": {"message": "x"}}"#);
        assert_eq!(one, other);
        assert_ne!(one, key_in(r#"{"method": "rates/get", "parameters": {"from": "USD", "to": {"a": 2, "b": 1}}}"#));
        assert_ne!(one, key_in(r#"{"method": "rates/put", "parameters": {"from": "EUR", "to": {"b": 1, "a": 2}}}"#));
    }

    #[test]
    fn a_failure_is_answered_when_it_is_final_or_after_enough_attempts() {
        let timeout = Failure { code: Some("timeout".into()) };
        let usual = settings(json!({}));
        assert!(is_due(&usual, &timeout, true, 1) && !is_due(&usual, &timeout, false, 9));
        let second = settings(json!({ "after_attempts": 2 }));
        assert!(!is_due(&second, &timeout, true, 1) && is_due(&second, &timeout, false, 2));
        let only = settings(json!({ "codes": ["timeout"] }));
        assert!(is_due(&only, &timeout, true, 1) && !is_due(&only, &Failure { code: None }, true, 1));
    }

    #[test]
    fn a_kept_result_keeps_its_text() {
        let kept = Kept { at_ms: 1, result: RawValue::from_string("[1.10, 1e3]".into()).expect("JSON") };
        let again: Kept = serde_json::from_slice(&serde_json::to_vec(&kept).expect("it serialises")).expect("it reads back");
        assert_eq!((again.at_ms, again.result.get()), (1, "[1.10, 1e3]"));
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (settings, name) in [
            (json!({ "ttl_ms": 0 }), "`ttl_ms`"),
            (json!({ "max_result_bytes": 300_000 }), "`max_result_bytes`"),
            (json!({ "methods": "rates/*" }), "`methods`"),
            (json!({ "ttl": 1 }), "`ttl`"),
        ] {
            let error = read::<Settings>(&settings).err().expect("these settings are wrong");
            assert!(error.message().contains(name), "{error}");
        }
    }
}
