//! Owns the operator's settings as a policy, and its judgement: what denies wins, then what allows, then the default.
//! Leaves conditions to `rule`, and what they see to `subject`.

use crate::{rule::Rule, subject::Subject};
use cel::Env;
use serde::Deserialize;
use std::sync::Arc;
use trackside_policy_kit::Configured;
use trackside_sdk::Point;

/// The settings as they are written. What each means is in the plugin's description.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raw {
    default: Effect,
    points: Vec<RawPoint>,
    rules: Vec<RawRule>,
}

impl Default for Raw {
    fn default() -> Self {
        Raw { default: Effect::Allow, points: vec![RawPoint::Publish, RawPoint::TaskReady], rules: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: String,
    effect: Effect,
    when: String,
}

/// What follows from a rule that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Effect {
    Allow,
    Deny,
}

/// The points at which there is something to refuse.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawPoint {
    Publish,
    WorkflowSubmitted,
    TaskReady,
    CandidateFound,
}

/// The rules, read.
pub(crate) struct Policy {
    default: Effect,
    points: Vec<RawPoint>,
    deny: Vec<Rule>,
    allow: Vec<Rule>,
    env: Arc<Env>,
}

/// What a policy comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement<'a> {
    Allowed,
    DeniedBy(&'a str),
    AllowedByNone,
}

impl Configured for Policy {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        let env = Arc::new(Env::stdlib());
        let (mut deny, mut allow) = (Vec::new(), Vec::new());
        for RawRule { name, effect, when } in raw.rules {
            let rule = Rule::read(name, &when, &env).map_err(|wrong| format!("`rules`: {wrong}"))?;
            match effect {
                Effect::Deny => deny.push(rule),
                Effect::Allow => allow.push(rule),
            }
        }
        Ok(Policy { default: raw.default, points: raw.points, deny, allow, env })
    }
}

impl Policy {
    /// Whether it judges here.
    pub(crate) fn is_for(&self, point: Point) -> bool {
        let point = match point {
            Point::Publish => RawPoint::Publish,
            Point::WorkflowSubmitted => RawPoint::WorkflowSubmitted,
            Point::TaskReady => RawPoint::TaskReady,
            Point::CandidateFound => RawPoint::CandidateFound,
            Point::TaskCompleted | Point::TaskFailed => return false,
        };
        self.points.contains(&point)
    }

    /// What the rules come to; an error where one of them cannot be evaluated.
    pub(crate) fn judge(&self, subject: &Subject<'_>) -> Result<Judgement<'_>, String> {
        if self.deny.is_empty() && self.allow.is_empty() {
            return Ok(self.by_default());
        }
        let wants_payload = self.deny.iter().chain(&self.allow).any(Rule::wants_payload);
        let context = subject.context(&self.env, wants_payload);
        for rule in &self.deny {
            if rule.holds(&context)? {
                return Ok(Judgement::DeniedBy(&rule.name));
            }
        }
        for rule in &self.allow {
            if rule.holds(&context)? {
                return Ok(Judgement::Allowed);
            }
        }
        Ok(self.by_default())
    }

    fn by_default(&self) -> Judgement<'_> {
        match self.default {
            Effect::Allow => Judgement::Allowed,
            Effect::Deny => Judgement::AllowedByNone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_policy_kit::read;

    #[test]
    fn broken_rules_are_named_when_the_settings_are_read() {
        for (settings, says) in [
            (json!({ "rules": [{ "name": "half", "effect": "allow", "when": "source ==" }] }), "`rules`: 'half': "),
            (json!({ "rules": [{ "name": "typo", "effect": "deny", "when": "sorce == 'shop'" }] }), "`rules`: 'typo': there is no 'sorce'"),
            (json!({ "rules": [{ "name": "a", "effect": "permit", "when": "true" }] }), "`rules`"),
            (json!({ "rules": [{ "name": "a", "effect": "allow" }] }), "`rules`"),
            (json!({ "default": "maybe" }), "`default`"),
            (json!({ "points": ["task_failed"] }), "`points`"),
            (json!({ "policies": [] }), "`policies`"),
        ] {
            let error = read::<Policy>(&settings).err().expect("these settings are wrong");
            assert!(error.message().contains(says), "{error}");
        }
    }
}
