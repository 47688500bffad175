//! Owns one rule: which tasks it is about, and what it has to say about a provider.
//! Leaves the order of rules, and what a task was offered before, to the plugin around it.

use serde::Deserialize;
use trackside_policy_kit::{Condition, Facts, NamePattern, all_hold, any_matches};

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    #[serde(default)]
    methods: Vec<NamePattern>,
    #[serde(default)]
    workflows: Vec<NamePattern>,
    #[serde(default)]
    when: Vec<Condition>,
    forbid: Option<Vec<NamePattern>>,
    only: Option<Vec<NamePattern>>,
    prefer: Option<Vec<NamePattern>>,
}

/// A rule, checked.
pub(crate) struct Rule {
    methods: Vec<NamePattern>,
    workflows: Vec<NamePattern>,
    when: Vec<Condition>,
    says: Says,
}

enum Says {
    Forbid(Vec<NamePattern>),
    Only(Vec<NamePattern>),
    Prefer(Vec<NamePattern>),
}

/// What a rule has to say about a provider.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    None,
    Take,
    PassOver,
    /// Not as long as there may be one that is preferred.
    RatherNot,
}

impl Rule {
    pub(crate) fn checked(raw: RawRule) -> Result<Self, String> {
        if raw.when.iter().any(|condition| !condition.says_something()) {
            return Err("a condition asks nothing: give equals, one_of, matches, above, exists or the like".into());
        }
        let says = match (raw.forbid, raw.only, raw.prefer) {
            (Some(forbid), None, None) => Says::Forbid(forbid),
            (None, Some(only), None) => Says::Only(only),
            (None, None, Some(prefer)) => Says::Prefer(prefer),
            _ => return Err("give one of forbid, only and prefer".into()),
        };
        Ok(Rule { methods: raw.methods, workflows: raw.workflows, when: raw.when, says })
    }

    /// Whether it is about this task.
    pub(crate) fn is_about(&self, facts: &Facts<'_>) -> bool {
        any_matches(&self.methods, facts.text_at("/method"))
            && any_matches(&self.workflows, facts.text_at("/workflow/name"))
            && all_hold(&self.when, facts)
    }

    /// What it has to say about this provider.
    pub(crate) fn opinion(&self, provider: &str) -> Opinion {
        let named = |patterns: &[NamePattern]| patterns.iter().any(|pattern| pattern.matches(provider));
        match &self.says {
            Says::Forbid(providers) if named(providers) => Opinion::PassOver,
            Says::Only(providers) if !named(providers) => Opinion::PassOver,
            Says::Prefer(providers) if named(providers) => Opinion::Take,
            Says::Prefer(_) => Opinion::RatherNot,
            Says::Forbid(_) | Says::Only(_) => Opinion::None,
        }
    }
}
