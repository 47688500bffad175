//! `route`: a control handler on `assignment:candidate_found` that passes over providers by rules. It needs the `kv` grant for `prefer`.
//!
//! A rule is about tasks, by method, workflow and conditions, and says which providers they may have. The first rule that has something to say
//! about the task and the candidate decides: `skip` passes the provider over, and the host looks for another; otherwise it proceeds.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `prefer_for_ms` | 60000 | how long a task remembers which providers it was offered while a better one was looked for |
//! | `rules` | none | the rules, in order |
//! | `rules[].methods` | all | tasks of these methods, as in `llm/*` |
//! | `rules[].workflows` | all | tasks of workflows of these names |
//! | `rules[].when` | none | conditions on fields, all of which hold: on `metadata.KEY`, on `/parameters/…`, on `/workflow/input/…` |
//! | `rules[].forbid` | none | these providers are passed over |
//! | `rules[].only` | all | all providers but these are passed over |
//! | `rules[].prefer` | none | all providers but these are passed over at first, and taken if none of these is free |
//!
//! A rule with `forbid` has nothing to say about providers that it does not forbid, and one with `only` nothing about those that it names, so
//! that later rules are asked about them. A preferred provider is taken at once. A task that is offered the same other provider a second time
//! has been offered all there are: `prefer` then leaves it to later rules.

mod rule;

use rule::{Opinion, RawRule, Rule};
use serde::Deserialize;
use trackside_policy_kit::{Configuration, Configured, Facts, get_json, hex_digest, set_json_for_ms};
use trackside_sdk::{Context, Control, Description, Error, Event, Filter, Plugin, Point, Signal};

struct Route;

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    prefer_for_ms: u64,
    rules: Vec<RawRule>,
}

impl Default for Raw {
    fn default() -> Self {
        Raw { prefer_for_ms: 60_000, rules: Vec::new() }
    }
}

/// The settings, checked.
struct Routes {
    prefer_for_ms: u64,
    rules: Vec<Rule>,
}

impl Configured for Routes {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        if raw.prefer_for_ms == 0 {
            return Err("`prefer_for_ms`: give at least 1".into());
        }
        let checked =
            |(place, rule): (usize, RawRule)| Rule::checked(rule).map_err(|wrong| format!("`rules`: number {}: {wrong}", place + 1));
        Ok(Routes { prefer_for_ms: raw.prefer_for_ms, rules: raw.rules.into_iter().enumerate().map(checked).collect::<Result<_, _>>()? })
    }
}

static ROUTES: Configuration<Routes> = Configuration::new();

impl Plugin for Route {
    fn describe() -> Description {
        Description::new("route")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Passes over providers by rules.")
            .controls(Filter::types(["assignment:candidate_found"]))
            .priority(15)
            .memoryless()
    }
}

impl Control for Route {
    fn check(event: &Event, context: &Context) -> Signal {
        if context.point != Point::CandidateFound {
            return Signal::proceed();
        }
        match ROUTES.get().and_then(|routes| judge(routes, event, context, offered_before)) {
            Ok(signal) => signal,
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(Route: control);

/// The signal of the first rule that has something to say. `offered_before` is asked only where a rule prefers others.
fn judge(
    routes: &Routes,
    event: &Event,
    context: &Context,
    offered_before: impl Fn(&Routes, &Event, &Context, &str) -> Result<bool, Error>,
) -> Result<Signal, Error> {
    let facts = Facts::of_decision(event, context);
    let provider = event.provider_id().unwrap_or_default();
    for (place, rule) in routes.rules.iter().enumerate().filter(|(_, rule)| rule.is_about(&facts)) {
        let number = place + 1;
        match rule.opinion(provider) {
            Opinion::None => {}
            Opinion::Take => return Ok(Signal::proceed()),
            Opinion::PassOver => return Ok(Signal::skip(format!("rule {number} does not let {provider} have it"))),
            Opinion::RatherNot if offered_before(routes, event, context, provider)? => {}
            Opinion::RatherNot => return Ok(Signal::skip(format!("rule {number} prefers others to {provider}"))),
        }
    }
    Ok(Signal::proceed())
}

/// Whether this attempt was offered this provider before; from now on it was.
fn offered_before(routes: &Routes, event: &Event, context: &Context, provider: &str) -> Result<bool, Error> {
    let (workflow, task) = (event.workflow_id().unwrap_or_default(), event.task_id().unwrap_or_default());
    let key = format!("offered/{}", hex_digest(&[workflow, task, &context.attempt.to_string()]));
    let mut offered: Vec<String> = get_json(&key)?.unwrap_or_default();
    if offered.iter().any(|one| one == provider) {
        return Ok(true);
    }
    offered.push(provider.to_owned());
    set_json_for_ms(&key, &offered, routes.prefer_for_ms)?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trackside_policy_kit::read;
    use trackside_sdk::EventBuf;

    fn judged(rules: Value, provider: &str, before: bool) -> Signal {
        let task = EventBuf::new("assignment:candidate_found")
            .provider_id(provider)
            .metadata("tenant", "acme")
            .payload(json!({ "method": "llm/chat", "workflow": { "name": "nightly-1" }, "parameters": { "tier": "gold" } }));
        let routes = read(&json!({ "rules": rules })).expect("these settings are right");
        judge(&routes, &task.view(), &Context::at(Point::CandidateFound), |_, _, _, _| Ok(before)).expect("a signal")
    }

    fn passed_over(signal: &Signal) -> bool {
        matches!(signal, Signal::Skip(_))
    }

    #[test]
    fn the_first_rule_with_something_to_say_decides() {
        let rules = json!([
            { "methods": ["sim/*"], "forbid": ["*"] },
            { "methods": ["llm/*"], "when": [{ "field": "/parameters/tier", "equals": "gold" }], "forbid": ["llm-free"] },
            { "workflows": ["nightly-*"], "only": ["llm-*"] },
        ]);
        assert_eq!(judged(rules.clone(), "llm-free", false), Signal::skip("rule 2 does not let llm-free have it"));
        assert_eq!(judged(rules.clone(), "other", false), Signal::skip("rule 3 does not let other have it"));
        assert_eq!(judged(rules, "llm-eu", false), Signal::proceed());
        assert!(!passed_over(&judged(
            json!([{ "when": [{ "field": "metadata.tenant", "equals": "other" }], "forbid": ["*"] }]),
            "p",
            false
        )));
    }

    #[test]
    fn preferred_providers_are_waited_for_once() {
        let rules = json!([{ "prefer": ["llm-eu"] }, { "forbid": ["llm-free"] }]);
        assert_eq!(judged(rules.clone(), "llm-eu", false), Signal::proceed());
        assert_eq!(judged(rules.clone(), "llm-us", false), Signal::skip("rule 1 prefers others to llm-us"));
        assert_eq!(judged(rules.clone(), "llm-us", true), Signal::proceed());
        assert_eq!(judged(rules, "llm-free", true), Signal::skip("rule 2 does not let llm-free have it"), "later rules are asked then");
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (settings, says) in [
            (json!({ "rules": [{ "methods": ["llm/*"] }] }), "`rules`: number 1: give one of forbid, only and prefer"),
            (json!({ "rules": [{ "forbid": ["a"], "prefer": ["b"] }] }), "`rules`: number 1: give one of"),
            (json!({ "rules": [{ "forbid": ["a"], "when": [{ "field": "/x" }] }] }), "`rules`: number 1: a condition asks nothing"),
            (json!({ "rules": [{ "forbid": ["a"], "when": [{ "field": "x", "equals": 1 }] }] }), "`rules`: 'x' names no field"),
            (json!({ "rule": [] }), "`rule`"),
        ] {
            let error = read::<Routes>(&settings).err().expect("these settings are wrong");
            assert!(error.message().contains(says), "{error}");
        }
    }
}
