//! `feature-flag`: a control handler that lets a share of correlations through and leaves the others out. It needs no grant.
//!
//! The first flag that is about an event or a task decides: who is in proceeds, everybody else is answered `skip`. At a publish that means
//! not appended, at `workflow:submitted` that the workflow ends skipped, at `task:ready` that the task is left out and its dependents see null.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `flags` | none | the flags, in order |
//! | `flags[].name` | required | part of what decides who is in: another name draws anew |
//! | `flags[].types` | all | events of these types, as in `order:*` |
//! | `flags[].methods` | all | tasks of these methods, as in `text/*` |
//! | `flags[].workflows` | all | workflows of these names, and their tasks |
//! | `flags[].percent` | required | the share of correlation ids that is let through, 0 to 100 |
//! | `flags[].allow_correlation_ids` | none | correlations that are let through whatever the share says |
//! | `flags[].allow_metadata` | none | by metadata key, values with which an event is let through whatever the share says |
//!
//! A flag names types, methods or workflows. Who is in is a stable hash of the flag's name and the correlation id: the same for every event of a
//! correlation, on every host, and whoever is in at 10 percent is in at 20. It looks at `task:ready` and `workflow:submitted`; `[controls]`
//! in its settings file names more.

mod flag;

use flag::{Flag, RawFlag};
use serde::Deserialize;
use trackside_policy_kit::{Configuration, Configured, Facts};
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Point, Signal};

struct FeatureFlag;

/// The settings as they are written.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    flags: Vec<RawFlag>,
}

/// The settings, checked.
struct Flags(Vec<Flag>);

impl Configured for Flags {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        raw.flags.into_iter().map(Flag::checked).collect::<Result<_, _>>().map(Flags)
    }
}

static FLAGS: Configuration<Flags> = Configuration::new();

impl Plugin for FeatureFlag {
    fn describe() -> Description {
        Description::new("feature-flag")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Lets a share of correlations through and leaves the others out.")
            .controls(Filter::types(["task:ready", "workflow:submitted"]))
            .priority(25)
            .memoryless()
    }
}

impl Control for FeatureFlag {
    fn check(event: &Event, context: &Context) -> Signal {
        match FLAGS.get() {
            Ok(flags) => judge(flags, event, context),
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(FeatureFlag: control);

/// The signal of the first flag that is about this.
fn judge(flags: &Flags, event: &Event, context: &Context) -> Signal {
    if !matches!(context.point, Point::Publish | Point::WorkflowSubmitted | Point::TaskReady) {
        return Signal::proceed();
    }
    let facts = Facts::of_decision(event, context);
    match flags.0.iter().find(|flag| flag.is_about(&facts)) {
        Some(flag) if !flag.lets_in(event) => {
            Signal::skip(format!("the flag '{}' is on for {} % and not for this", flag.name, flag.percent))
        }
        _ => Signal::proceed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trackside_policy_kit::read;
    use trackside_sdk::EventBuf;

    fn judged(flags: Value, point: Point, event: &EventBuf) -> Signal {
        judge(&read(&json!({ "flags": flags })).expect("these settings are right"), &event.view(), &Context::at(point))
    }

    #[test]
    fn the_first_flag_that_is_about_it_decides() {
        let task = EventBuf::new("task:ready").payload(json!({ "method": "text/summary", "workflow": { "name": "nightly-1" } }));
        let off = json!({ "name": "off", "methods": ["text/*"], "percent": 0 });
        let on = json!({ "name": "on", "workflows": ["nightly-*"], "percent": 100 });
        let skip = Signal::skip("the flag 'off' is on for 0 % and not for this");
        assert_eq!(judged(json!([off, on]), Point::TaskReady, &task), skip);
        assert_eq!(judged(json!([on, off]), Point::TaskReady, &task), Signal::proceed());
        assert_eq!(judged(json!([off]), Point::TaskFailed, &task), Signal::proceed(), "what has been done cannot be left out");
        assert_eq!(judged(json!([]), Point::TaskReady, &task), Signal::proceed());
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for flag in [
            json!({ "name": "f", "percent": 10 }),
            json!({ "name": "f", "methods": ["a/b"], "percent": 101 }),
            json!({ "name": "f", "methods": ["a/b"] }),
            json!({ "name": "f", "types": ["order"], "percent": 10 }),
            json!({ "name": "f", "method": ["a/b"], "percent": 10 }),
        ] {
            let error = read::<Flags>(&json!({ "flags": [flag.clone()] })).err().unwrap_or_else(|| panic!("{flag} is wrong"));
            assert!(error.message().starts_with("setting `flags`"), "{error}");
        }
    }
}
