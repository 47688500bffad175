//! Owns the operator's settings: what a circuit is for, and which failures count.
//! Leaves what follows from failures to `circuit`.

use crate::Failure;
use serde::Deserialize;
use trackside_policy_kit::{Configured, NamePattern, any_matches};

/// The settings as they are written. What each means is in the plugin's description.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raw {
    per: Vec<Per>,
    failures: u64,
    window_ms: u64,
    cooldown_ms: u64,
    max_cooldown_ms: u64,
    probe_ms: u64,
    only_retryable: bool,
    ignore_codes: Vec<String>,
    methods: Vec<NamePattern>,
    providers: Vec<NamePattern>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Per {
    Provider,
    Method,
}

impl Default for Raw {
    fn default() -> Self {
        Raw {
            per: vec![Per::Provider],
            failures: 5,
            window_ms: 60_000,
            cooldown_ms: 30_000,
            max_cooldown_ms: 300_000,
            probe_ms: 60_000,
            only_retryable: true,
            ignore_codes: Vec::new(),
            methods: Vec::new(),
            providers: Vec::new(),
        }
    }
}

/// The settings, checked.
pub(crate) struct Breaker {
    raw: Raw,
    pub(crate) failures: u64,
    pub(crate) window_ms: u64,
    pub(crate) cooldown_ms: u64,
    pub(crate) max_cooldown_ms: u64,
    pub(crate) probe_ms: u64,
}

impl Configured for Breaker {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        if raw.per.is_empty() {
            return Err("`per`: name \"provider\", \"method\" or both".into());
        }
        let times =
            [("window_ms", raw.window_ms), ("cooldown_ms", raw.cooldown_ms), ("probe_ms", raw.probe_ms), ("failures", raw.failures)];
        if let Some((name, _)) = times.iter().find(|(_, value)| *value == 0) {
            return Err(format!("`{name}`: give at least 1"));
        }
        if raw.max_cooldown_ms < raw.cooldown_ms {
            return Err(format!("`max_cooldown_ms`: {} is less than cooldown_ms, {}", raw.max_cooldown_ms, raw.cooldown_ms));
        }
        Ok(Breaker {
            failures: raw.failures,
            window_ms: raw.window_ms,
            cooldown_ms: raw.cooldown_ms,
            max_cooldown_ms: raw.max_cooldown_ms,
            probe_ms: raw.probe_ms,
            raw,
        })
    }
}

impl Breaker {
    /// The circuit that a provider's work on a method belongs to, if it belongs to one.
    pub(crate) fn circuit_of(&self, provider: &str, method: &str) -> Option<String> {
        if provider.is_empty() || !any_matches(&self.raw.methods, Some(method)) || !any_matches(&self.raw.providers, Some(provider)) {
            return None;
        }
        let part = |per: Per, name: &str| self.raw.per.contains(&per).then(|| name.to_owned());
        let parts: Vec<String> = [part(Per::Provider, provider), part(Per::Method, method)].into_iter().flatten().collect();
        Some(parts.join(" "))
    }

    /// Whether a failure says something about the provider's health.
    pub(crate) fn counts(&self, failure: &Failure) -> bool {
        let ignored = failure.code.as_ref().is_some_and(|code| self.raw.ignore_codes.contains(code));
        !ignored && (failure.retryable || !self.raw.only_retryable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trackside_policy_kit::read;

    fn breaker(settings: Value) -> Breaker {
        read(&settings).expect("these settings are right")
    }

    #[test]
    fn a_circuit_is_for_what_the_settings_say() {
        assert_eq!(breaker(json!({})).circuit_of("llm-eu", "llm/chat").as_deref(), Some("llm-eu"));
        assert_eq!(breaker(json!({ "per": ["method"] })).circuit_of("llm-eu", "llm/chat").as_deref(), Some("llm/chat"));
        assert_eq!(breaker(json!({ "per": ["method", "provider"] })).circuit_of("llm-eu", "llm/chat").as_deref(), Some("llm-eu llm/chat"));
        assert_eq!(breaker(json!({ "methods": ["sim/*"] })).circuit_of("llm-eu", "llm/chat"), None);
        assert_eq!(breaker(json!({ "providers": ["*-us"] })).circuit_of("llm-eu", "llm/chat"), None);
    }

    #[test]
    fn only_failures_that_say_something_about_health_count() {
        let failure = |code: &str, retryable: bool| Failure { code: Some(code.into()), retryable };
        let usual = breaker(json!({ "ignore_codes": ["busy"] }));
        assert!(
            usual.counts(&failure("timeout", true)) && !usual.counts(&failure("busy", true)) && !usual.counts(&failure("refused", false))
        );
        assert!(breaker(json!({ "only_retryable": false })).counts(&failure("refused", false)));
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (settings, name) in [
            (json!({ "per": [] }), "`per`"),
            (json!({ "per": ["task"] }), "`per`"),
            (json!({ "failures": 0 }), "`failures`"),
            (json!({ "cooldown_ms": 10, "max_cooldown_ms": 9 }), "`max_cooldown_ms`"),
            (json!({ "cooldown": 10 }), "`cooldown`"),
        ] {
            let error = read::<Breaker>(&settings).err().expect("these settings are wrong");
            assert!(error.message().contains(name), "{error}");
        }
    }
}
