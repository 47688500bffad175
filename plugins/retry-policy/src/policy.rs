//! Owns the decision: whether a failed attempt is followed by another, and after how long.
//! Leaves events and signals to the plugin around it.

use serde::Deserialize;

/// The operator's settings. What each means is in the plugin's description.
#[derive(Deserialize, Debug)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) max_attempts: u32,
    pub(crate) base_ms: u64,
    pub(crate) factor: f64,
    pub(crate) cap_ms: u64,
    pub(crate) jitter: f64,
    pub(crate) methods: Option<Vec<String>>,
    pub(crate) retry_codes: Vec<String>,
    pub(crate) give_up_codes: Vec<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            max_attempts: 4,
            base_ms: 100,
            factor: 2.0,
            cap_ms: 10_000,
            jitter: 0.5,
            methods: None,
            retry_codes: Vec::new(),
            give_up_codes: Vec::new(),
        }
    }
}

/// What the event says of the attempt.
#[derive(Deserialize, Debug)]
pub(crate) struct Failed {
    #[serde(default)]
    pub(crate) method: String,
    pub(crate) error: TaskError,
}

/// What the worker, or the host, said went wrong.
#[derive(Deserialize, Debug)]
pub(crate) struct TaskError {
    #[serde(default)]
    pub(crate) message: String,
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) retryable: bool,
    pub(crate) retry_after_ms: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Another attempt, after this wait.
    Retry { after_ms: u64 },
    /// Nothing to say: the task's own policy decides.
    Leave,
}

impl Policy {
    /// What follows a failure after so many attempts, of the task with this identity.
    pub(crate) fn decide(&self, failed: &Failed, attempts: u32, identity: [&str; 2]) -> Decision {
        if attempts >= self.max_attempts || !self.is_for(&failed.method) || !self.may_help(&failed.error) {
            return Decision::Leave;
        }
        let own = self.wait_ms(attempts, identity);
        Decision::Retry { after_ms: own.max(failed.error.retry_after_ms.unwrap_or(0)) }
    }

    fn is_for(&self, method: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => method.starts_with(beginning),
            None => pattern == method,
        };
        self.methods.as_ref().is_none_or(|patterns| patterns.iter().any(matches))
    }

    fn may_help(&self, error: &TaskError) -> bool {
        let listed = |codes: &[String]| error.code.as_ref().is_some_and(|code| codes.contains(code));
        !listed(&self.give_up_codes) && (error.retryable || listed(&self.retry_codes))
    }

    /// The wait after so many attempts: exponential, capped, then shortened by up to its jittering part.
    fn wait_ms(&self, attempts: u32, identity: [&str; 2]) -> u64 {
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        // A power that overflows is infinite, and the cap takes it.
        let wait = (self.base_ms as f64 * self.factor.max(0.0).powi(exponent)).min(self.cap_ms as f64);
        let shortened = wait * (1.0 - self.jitter.clamp(0.0, 1.0) * fraction(attempts, identity));
        shortened.round() as u64
    }
}

/// A number in 0..1 that is the same for the same attempt at the same task, and looks random from one to the next: FNV-1a, mixed.
fn fraction(attempts: u32, identity: [&str; 2]) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let attempts = attempts.to_le_bytes();
    for byte in identity.iter().flat_map(|part| part.bytes().chain([0])).chain(attempts) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn decide(policy: Value, failed: Value, attempts: u32) -> Decision {
        let mut policy: Policy = serde_json::from_value(policy).expect("these settings are right");
        if policy.jitter == Policy::default().jitter {
            policy.jitter = 0.0;
        }
        policy.decide(&serde_json::from_value(failed).expect("this failure is right"), attempts, ["w", "t"])
    }

    fn retry(after_ms: u64) -> Decision {
        Decision::Retry { after_ms }
    }

    #[test]
    fn waits_grow_by_the_factor_up_to_the_cap() {
        let policy = json!({ "base_ms": 50, "factor": 3, "cap_ms": 1000, "max_attempts": 100 });
        let failed = json!({ "error": { "retryable": true } });
        let waits: Vec<_> = (1..=5).map(|attempts| decide(policy.clone(), failed.clone(), attempts)).collect();
        assert_eq!(waits, [retry(50), retry(150), retry(450), retry(1000), retry(1000)]);
        assert_eq!(decide(policy, failed, 99), retry(1000));
    }

    #[test]
    fn the_workers_own_wait_is_kept_if_it_is_longer() {
        let failed = json!({ "error": { "retryable": true, "retry_after_ms": 250 } });
        assert_eq!(decide(json!({}), failed.clone(), 1), retry(250));
        assert_eq!(decide(json!({ "base_ms": 300 }), failed, 1), retry(300));
    }

    #[test]
    fn codes_overrule_what_the_worker_said() {
        let policy = json!({ "retry_codes": ["busy"], "give_up_codes": ["quota"] });
        let failed = |code: &str, retryable: bool| json!({ "error": { "code": code, "retryable": retryable } });
        assert_eq!(decide(policy.clone(), failed("busy", false), 1), retry(100));
        assert_eq!(decide(policy.clone(), failed("quota", true), 1), Decision::Leave);
        assert_eq!(decide(policy.clone(), failed("other", false), 1), Decision::Leave);
        assert_eq!(decide(policy, failed("other", true), 1), retry(100));
    }

    #[test]
    fn only_listed_methods_are_looked_at() {
        let policy = json!({ "methods": ["llm/*", "sim/flaky"] });
        let failed = |method: &str| json!({ "method": method, "error": { "retryable": true } });
        assert_eq!(decide(policy.clone(), failed("llm/chat"), 1), retry(100));
        assert_eq!(decide(policy.clone(), failed("sim/flaky"), 1), retry(100));
        assert_eq!(decide(policy, failed("sim/fail"), 1), Decision::Leave);
    }

    #[test]
    fn jitter_shortens_by_at_most_its_part_and_repeats_itself() {
        let policy = Policy { jitter: 0.5, base_ms: 1_000, cap_ms: 1_000, ..Policy::default() };
        let tasks: Vec<String> = (0..200).map(|number| format!("task-{number}")).collect();
        let waits: Vec<u64> = tasks.iter().map(|task| policy.wait_ms(1, ["w", task])).collect();
        assert!(waits.iter().all(|wait| (500..=1_000).contains(wait)));
        let (low, high) = (waits.iter().filter(|wait| **wait < 650).count(), waits.iter().filter(|wait| **wait > 850).count());
        assert!(low > 20 && high > 20, "spread out: {low} low, {high} high");
        assert_eq!(policy.wait_ms(1, ["w", "task-0"]), waits[0]);
    }

    #[test]
    fn unknown_settings_are_named() {
        let error = serde_json::from_value::<Policy>(json!({ "max_attempt": 3 })).expect_err("there is no such setting");
        assert!(error.to_string().contains("max_attempt"), "{error}");
    }
}
