//! Owns the circuit: what is answered and what changes when a candidate is found, an attempt succeeds, or one fails.
//! Leaves reading and writing it to `state`.

use crate::settings::Breaker;
use serde::{Deserialize, Serialize};
use trackside_sdk::Signal;

/// A circuit as it stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Circuit {
    /// Failures in the window, while it is closed.
    pub(crate) failures: u64,
    /// Since it opened.
    pub(crate) open: Option<Open>,
    /// The task that was let through as a probe, as long as there may be word of it.
    pub(crate) probe: Option<String>,
}

/// An open circuit; half open once its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) until_ms: u64,
    pub(crate) cooldown_ms: u64,
}

/// What a decision changes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Open(Open),
    /// This task is the probe, for as long.
    Probe {
        task: String,
        for_ms: u64,
    },
    Close,
}

/// A provider is about to be given this task.
pub(crate) fn at_candidate(breaker: &Breaker, circuit: &Circuit, id: &str, task: &str, now_ms: u64) -> (Signal, Option<Change>) {
    let Some(open) = &circuit.open else {
        // Failures that were judged at the same moment may each have seen too few: the next candidate sees them all.
        if circuit.failures < breaker.failures {
            return (Signal::proceed(), None);
        }
        let open = Open { until_ms: now_ms + breaker.cooldown_ms, cooldown_ms: breaker.cooldown_ms };
        return (passed_over(id, &open, now_ms), Some(Change::Open(open)));
    };
    if now_ms < open.until_ms {
        return (passed_over(id, open, now_ms), None);
    }
    match &circuit.probe {
        // Asked about again, after a restart for example.
        Some(probe) if probe == task => (Signal::proceed(), None),
        Some(_) => (Signal::skip(format!("the circuit of {id} is half open and its probe is under way")), None),
        None => (Signal::proceed(), Some(Change::Probe { task: task.to_owned(), for_ms: breaker.probe_ms })),
    }
}

fn passed_over(id: &str, open: &Open, now_ms: u64) -> Signal {
    Signal::skip(format!("the circuit of {id} is open for another {} ms", open.until_ms - now_ms))
}

/// An attempt has given a result. One that was under way when the circuit opened is old news.
pub(crate) fn at_success(circuit: &Circuit, now_ms: u64) -> Option<Change> {
    circuit.open.as_ref().filter(|open| now_ms >= open.until_ms).map(|_| Change::Close)
}

/// An attempt has failed, and is counted.
pub(crate) fn at_failure(breaker: &Breaker, circuit: &Circuit, now_ms: u64) -> Option<Change> {
    let cooldown_ms = match &circuit.open {
        None if circuit.failures < breaker.failures => return None,
        None => breaker.cooldown_ms,
        Some(open) if now_ms < open.until_ms => return None,
        Some(open) => open.cooldown_ms.saturating_mul(2).min(breaker.max_cooldown_ms),
    };
    Some(Change::Open(Open { until_ms: now_ms + cooldown_ms, cooldown_ms }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_policy_kit::read;

    fn breaker() -> Breaker {
        read(&json!({ "failures": 3, "cooldown_ms": 100, "max_cooldown_ms": 300, "probe_ms": 50 })).expect("these settings are right")
    }

    fn open(until_ms: u64, cooldown_ms: u64) -> Open {
        Open { until_ms, cooldown_ms }
    }

    fn opened(open: Open, probe: Option<&str>) -> Circuit {
        Circuit { failures: 0, open: Some(open), probe: probe.map(str::to_owned) }
    }

    fn closed(failures: u64) -> Circuit {
        Circuit { failures, ..Circuit::default() }
    }

    #[test]
    fn enough_failures_open_it_and_each_failed_probe_doubles_its_time_up_to_the_cap() {
        assert_eq!(at_failure(&breaker(), &closed(2), 1_000), None);
        assert_eq!(at_failure(&breaker(), &closed(3), 1_000), Some(Change::Open(open(1_100, 100))));
        assert_eq!(at_failure(&breaker(), &opened(open(1_100, 100), None), 1_050), None, "what was under way says nothing new");
        assert_eq!(at_failure(&breaker(), &opened(open(1_100, 100), Some("w/t")), 1_100), Some(Change::Open(open(1_300, 200))));
        assert_eq!(at_failure(&breaker(), &opened(open(1_300, 200), Some("w/t")), 1_300), Some(Change::Open(open(1_600, 300))));
    }

    #[test]
    fn a_provider_is_passed_over_while_the_circuit_is_open() {
        let at = |circuit: &Circuit, now_ms: u64| at_candidate(&breaker(), circuit, "p", "w/t", now_ms);
        assert_eq!(at(&closed(2), 1_000), (Signal::proceed(), None));
        let skip = |left_ms: u64| Signal::skip(format!("the circuit of p is open for another {left_ms} ms"));
        assert_eq!(at(&opened(open(1_100, 100), None), 1_040), (skip(60), None));
        assert_eq!(at(&closed(3), 1_000), (skip(100), Some(Change::Open(open(1_100, 100)))), "counted, and nobody has opened it yet");
    }

    #[test]
    fn one_task_is_the_probe() {
        let at = |probe: Option<&str>| at_candidate(&breaker(), &opened(open(1_100, 100), probe), "p", "w/t", 1_100);
        assert_eq!(at(None), (Signal::proceed(), Some(Change::Probe { task: "w/t".into(), for_ms: 50 })));
        assert_eq!(at(Some("w/t")), (Signal::proceed(), None));
        assert!(matches!(at(Some("w/other")), (Signal::Skip(reason), None) if reason.contains("its probe is under way")));
    }

    #[test]
    fn a_success_closes_it_once_it_is_half_open() {
        assert_eq!(at_success(&closed(2), 1_000), None);
        assert_eq!(at_success(&opened(open(1_100, 100), None), 1_099), None, "begun before it opened");
        assert_eq!(at_success(&opened(open(1_100, 100), Some("w/t")), 1_100), Some(Change::Close));
    }
}
