//! How often a task is tried and how long it waits in between: exponential backoff with a cap and full jitter.
//! Whether a failure is worth another try is decided by the workflow; random numbers come from the caller.

use serde::{Deserialize, Serialize};

/// Most attempts that a policy may ask for.
pub const MAX_ATTEMPTS: u32 = 1_000;
/// Longest delay and longest timeout that a definition may ask for, in milliseconds: 366 days.
pub const MAX_DURATION_MS: u64 = 366 * 24 * 60 * 60 * 1_000;
/// Largest growth of the delay from one attempt to the next.
pub const MAX_FACTOR: f64 = 100.0;

/// A task's own answer to its failures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub max_attempts: u32,
    /// Upper bound of the delay after the first failure, in milliseconds.
    pub base_ms: u64,
    /// What the bound is multiplied with after each further failure.
    pub factor: f64,
    /// What the bound never exceeds, in milliseconds.
    pub cap_ms: u64,
    /// Whether the delay is drawn between 0 and the bound; otherwise it is the bound.
    pub jitter: bool,
}

impl RetryPolicy {
    /// The policy of a task that says nothing: one attempt. A worker's side effects are nobody's to repeat unasked.
    pub const ONCE: Self = Self { max_attempts: 1, ..Self::RETRYING };

    /// What a `retry` block leaves unsaid: three attempts, one second, doubled, a minute at most, with jitter.
    pub const RETRYING: Self = Self { max_attempts: 3, base_ms: 1_000, factor: 2.0, cap_ms: 60_000, jitter: true };

    /// Whether an attempt is left after `attempts` of them (1: the first one failed).
    pub fn allows_after(&self, attempts: u32) -> bool {
        attempts < self.max_attempts
    }

    /// Milliseconds from the failure of attempt `attempt_failed` (1 for the first) to the next try, never more than the cap.
    /// `random` is drawn evenly from 0 up to 1 and only looked at with jitter; what lies outside counts as the nearest end.
    ///
    /// Full jitter, `random_between(0, min(cap, base * factor ^ n))`, from "Exponential Backoff And Jitter" in the AWS
    /// Architecture Blog (Marc Brooker, 2015): of the variants compared there it needs the fewest calls, because clients that
    /// failed together do not come back together.
    pub fn delay_ms(&self, attempt_failed: u32, random: f64) -> u64 {
        let exponent = i32::try_from(attempt_failed.saturating_sub(1)).unwrap_or(i32::MAX);
        // Overflow to infinity and 0 * infinity are both settled by the cap: `f64::min` passes over a NaN.
        let bound = (self.base_ms as f64 * self.factor.powi(exponent)).min(self.cap_ms as f64);
        let share = match self.jitter {
            false => 1.0,
            true if random > 0.0 => random.min(1.0),
            // A NaN too.
            true => 0.0,
        };
        (bound * share) as u64
    }
}

impl Default for RetryPolicy {
    /// [`RetryPolicy::ONCE`].
    fn default() -> Self {
        Self::ONCE
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    /// The delays after the first seven failures.
    #[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
    fn check(policy: RetryPolicy, random: f64, expected: Expect) {
        let delays: Vec<u64> = (1..=7).map(|attempt| policy.delay_ms(attempt, random)).collect();
        expected.assert_eq(&format!("{delays:?}"));
    }

    const STEADY: RetryPolicy = RetryPolicy { jitter: false, ..RetryPolicy::RETRYING };

    #[test]
    fn delays_grow_by_the_factor_up_to_the_cap() {
        check(STEADY, 0.5, expect!["[1000, 2000, 4000, 8000, 16000, 32000, 60000]"]);
        check(RetryPolicy { factor: 1.0, ..STEADY }, 0.5, expect!["[1000, 1000, 1000, 1000, 1000, 1000, 1000]"]);
        check(RetryPolicy { base_ms: 0, ..STEADY }, 0.5, expect!["[0, 0, 0, 0, 0, 0, 0]"]);
        check(RetryPolicy { cap_ms: 300, ..STEADY }, 0.5, expect!["[300, 300, 300, 300, 300, 300, 300]"]);
    }

    #[test]
    fn full_jitter_takes_a_share_of_the_bound() {
        check(RetryPolicy::RETRYING, 0.0, expect!["[0, 0, 0, 0, 0, 0, 0]"]);
        check(RetryPolicy::RETRYING, 0.25, expect!["[250, 500, 1000, 2000, 4000, 8000, 15000]"]);
        check(RetryPolicy::RETRYING, f64::NAN, expect!["[0, 0, 0, 0, 0, 0, 0]"]);
        check(RetryPolicy::RETRYING, 7.0, expect!["[1000, 2000, 4000, 8000, 16000, 32000, 60000]"]);
    }

    #[test]
    fn a_task_that_says_nothing_is_tried_once() {
        assert!(!RetryPolicy::default().allows_after(1));
        assert!(RetryPolicy::RETRYING.allows_after(2));
        assert!(!RetryPolicy::RETRYING.allows_after(3));
    }

    fn policies() -> impl Strategy<Value = RetryPolicy> {
        (1..MAX_ATTEMPTS, 0..MAX_DURATION_MS, 1.0..MAX_FACTOR, 0..MAX_DURATION_MS, any::<bool>())
            .prop_map(|(max_attempts, base_ms, factor, cap_ms, jitter)| RetryPolicy { max_attempts, base_ms, factor, cap_ms, jitter })
    }

    proptest! {
        #[test]
        fn no_delay_exceeds_the_cap(policy in policies(), attempt in any::<u32>(), random in any::<f64>()) {
            prop_assert!(policy.delay_ms(attempt, random) <= policy.cap_ms);
        }

        #[test]
        fn bounds_never_shrink(policy in policies(), attempt in prop_oneof![1..50u32, 1..u32::MAX]) {
            let steady = RetryPolicy { jitter: false, ..policy };
            prop_assert!(steady.delay_ms(attempt, 0.0) <= steady.delay_ms(attempt + 1, 0.0));
        }

        #[test]
        fn jitter_never_adds(policy in policies(), attempt in any::<u32>(), random in 0.0..1.0) {
            let (jittered, steady) = (RetryPolicy { jitter: true, ..policy }, RetryPolicy { jitter: false, ..policy });
            prop_assert!(jittered.delay_ms(attempt, random) <= steady.delay_ms(attempt, random));
        }
    }
}
