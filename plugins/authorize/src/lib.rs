//! `authorize`: a control handler that lets through what its rules allow, and refuses the rest by the name of a rule. It needs no grant.
//!
//! A rule is a condition in [CEL](https://cel.dev) with an effect. If one that denies holds, the answer is `fail`; else, if one that allows
//! holds, it proceeds; else the default decides. So the order of rules does not matter.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `default` | `allow` | what is done with what no rule is about: `allow` or `deny` |
//! | `points` | `["publish", "task_ready"]` | where it judges; `workflow_submitted` and `candidate_found` are the others |
//! | `rules` | none | the rules |
//! | `rules[].name` | required | what a refusal names |
//! | `rules[].effect` | required | `allow` or `deny` |
//! | `rules[].when` | required | the condition |
//!
//! A condition names `event_type`, `source` (who published, as the event says), `principal` (who that is, as the host knows; empty if it does
//! not), `origin` (`http`, `cli`, `stream_client`, `inbox`, `plugin`, `embedded`, `host`), `point`, `severity`, `correlation_id`, `metadata` (a map of
//! strings), `method` and `workflow` (of a task; empty elsewhere), `provider` (at `candidate_found`) and `payload`. Besides operators it has CEL's
//! macros and its functions on strings, lists and maps, without `matches` and times.
//!
//! It fails closed: a rule that does not read, that names what there is not, or whose condition cannot be evaluated for an event (a key that is
//! not there: ask `has(payload.tenant)` first) is answered `error`, which refuses or holds; and a fault of the plugin holds, for it is critical.

mod policy;
mod rule;
mod subject;

use policy::{Judgement, Policy};
use subject::Subject;
use trackside_policy_kit::Configuration;
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Signal};

struct Authorize;

static POLICY: Configuration<Policy> = Configuration::new();

impl Plugin for Authorize {
    fn describe() -> Description {
        Description::new("authorize")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Lets through what its rules allow.")
            .controls(Filter::facts())
            .priority(10)
            .critical()
            .memoryless()
    }
}

impl Control for Authorize {
    fn check(event: &Event, context: &Context) -> Signal {
        match POLICY.get() {
            Ok(policy) => judge(policy, event, context),
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(Authorize: control);

fn judge(policy: &Policy, event: &Event, context: &Context) -> Signal {
    if !policy.is_for(context.point) {
        return Signal::proceed();
    }
    match policy.judge(&Subject::new(event, context)) {
        Ok(Judgement::Allowed) => Signal::proceed(),
        Ok(Judgement::DeniedBy(rule)) => Signal::fail(format!("denied by the rule '{rule}'")),
        Ok(Judgement::AllowedByNone) => Signal::fail("no rule allows it, and the default is to deny"),
        Err(wrong) => Signal::error(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trackside_policy_kit::read;
    use trackside_sdk::{EventBuf, Point};

    fn judged(settings: Value, context: &Context) -> Signal {
        let event = EventBuf::new("order:placed").source_component("shop").payload(json!({ "amount": 20 }));
        judge(&read(&settings).expect("these settings are right"), &event.view(), context)
    }

    fn rule(name: &str, effect: &str, when: &str) -> Value {
        json!({ "name": name, "effect": effect, "when": when })
    }

    #[test]
    fn what_denies_wins_and_is_named() {
        let at = Context::at(Point::Publish);
        let rules = json!([rule("shop", "allow", "source == 'shop'"), rule("large", "deny", "payload.amount > 10")]);
        assert_eq!(judged(json!({ "rules": rules }), &at), Signal::fail("denied by the rule 'large'"));
        let rules = json!([rule("large", "deny", "payload.amount > 100"), rule("shop", "allow", "source == 'shop'")]);
        assert_eq!(judged(json!({ "default": "deny", "rules": rules }), &at), Signal::proceed());
    }

    #[test]
    fn the_default_decides_where_no_rule_holds() {
        let at = Context::at(Point::Publish);
        let rules = json!([rule("night", "allow", "source == 'night'")]);
        assert_eq!(judged(json!({ "rules": rules }), &at), Signal::proceed());
        let none = Signal::fail("no rule allows it, and the default is to deny");
        assert_eq!(judged(json!({ "default": "deny", "rules": rules }), &at), none);
        assert_eq!(judged(json!({ "default": "deny" }), &Context::at(Point::TaskCompleted)), Signal::proceed(), "not one of its points");
        assert_eq!(judged(json!({ "default": "deny" }), &Context::at(Point::TaskReady)), none);
    }

    #[test]
    fn a_condition_that_cannot_be_evaluated_is_an_error_that_names_the_rule() {
        let rules = json!([rule("tenants", "allow", "payload.tenant == 'acme'")]);
        let signal = judged(json!({ "rules": rules }), &Context::at(Point::Publish));
        assert!(matches!(&signal, Signal::Error(reason) if reason.contains("'tenants'") && reason.contains("tenant")), "{signal:?}");
        let asked = json!([rule("tenants", "allow", "has(payload.tenant) && payload.tenant == 'acme'")]);
        assert_eq!(judged(json!({ "rules": asked }), &Context::at(Point::Publish)), Signal::proceed());
        let number = json!([rule("number", "allow", "payload.amount")]);
        assert!(
            matches!(judged(json!({ "rules": number }), &Context::at(Point::Publish)), Signal::Error(reason) if reason.contains("'number'"))
        );
    }
}
