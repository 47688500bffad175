//! `retry-policy`: a control handler on `task:failed` that has failed tasks tried again, with exponential backoff.
//! It answers `retry` while there are attempts left and proceeds after that, which leaves the task to its own retry policy. It needs no grant.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `max_attempts` | 4 | attempts in all, the first included |
//! | `base_ms` | 100 | the wait before the second attempt |
//! | `factor` | 2 | by how much each wait is longer than the one before |
//! | `cap_ms` | 10000 | no wait of its own is longer |
//! | `jitter` | 0.5 | the part of the wait, 0 to 1, that differs from task to task, so that tasks that failed together do not return together |
//! | `methods` | all | which methods it is for: names, or beginnings such as `llm/*` |
//! | `retry_codes` | none | failures with these codes are tried again though the worker said that it would not help |
//! | `give_up_codes` | none | failures with these codes are not tried again |
//!
//! A worker's own `retry_after_ms` is kept if it is the longer wait. The jitter is made of the task's identity and attempt: no randomness,
//! so a replay waits as long as the first time.

mod policy;

use policy::{Decision, Failed, Policy};
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Settings, Signal};

struct RetryPolicy;

/// The operator's settings.
static POLICY: Settings<Policy> = Settings::new();

impl Plugin for RetryPolicy {
    fn describe() -> Description {
        Description::new("retry-policy")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Tries failed tasks again, with exponential backoff.")
            .controls(Filter::types(["task:failed"]))
            .priority(50)
            .memoryless()
    }
}

impl Control for RetryPolicy {
    fn check(event: &Event, context: &Context) -> Signal {
        match POLICY.get() {
            Ok(policy) => judge(policy, event, context),
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(RetryPolicy: control);

/// The signal that the policy has for this failure.
fn judge(policy: &Policy, event: &Event, context: &Context) -> Signal {
    let failed = match event.payload::<Failed>() {
        Ok(failed) => failed,
        Err(error) => return Signal::error(error.message()),
    };
    let identity = [event.workflow_id().unwrap_or_default(), event.task_id().unwrap_or_default()];
    match policy.decide(&failed, context.attempt, identity) {
        Decision::Retry { after_ms } => {
            let reason = format!("attempt {} of {} failed: {}", context.attempt, policy.max_attempts, failed.error.message);
            Signal::retry_after_ms(after_ms, reason)
        }
        Decision::Leave => Signal::proceed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_sdk::{EventBuf, Point};

    fn judged(payload: serde_json::Value, attempt: u32) -> Signal {
        let policy = Policy { jitter: 0.0, ..Policy::default() };
        let event = EventBuf::new("task:failed").workflow_id("w").task_id("fetch").payload(payload);
        judge(&policy, &event.view(), &Context { attempt, ..Context::at(Point::TaskFailed) })
    }

    #[test]
    fn a_retryable_failure_is_tried_again_until_the_attempts_are_used_up() {
        let failed = json!({ "method": "sim/flaky", "error": { "message": "not yet", "retryable": true } });
        assert_eq!(judged(failed.clone(), 1), Signal::retry_after_ms(100, "attempt 1 of 4 failed: not yet"));
        assert_eq!(judged(failed.clone(), 3), Signal::retry_after_ms(400, "attempt 3 of 4 failed: not yet"));
        assert_eq!(judged(failed, 4), Signal::proceed());
    }

    #[test]
    fn a_payload_that_tells_of_no_error_cannot_be_judged() {
        assert!(matches!(judged(json!({ "method": "sim/flaky" }), 1), Signal::Error(reason) if reason.contains("error")));
    }
}
