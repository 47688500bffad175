//! The breaker of one plugin version: closed, open, half-open, by the faults of its calls.
//! Making the calls, and telling the log of the transitions, is left to the engine.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{plugin::BreakerPolicy, time::Timestamp};

/// How often the backoff of the policy may grow.
pub const MAX_BACKOFF_GROWTH: u64 = 100;
/// Deadline faults in a row that open a breaker, whatever the policy counts.
pub const DEADLINES_THAT_OPEN: u32 = 2;

/// Whether a plugin may be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Call,
    /// Yes, and what becomes of this call decides whether the breaker closes. Half-open begins here.
    Probe,
    /// No: the version is quarantined.
    Refused {
        /// Milliseconds after which to ask again, at least 1.
        retry_after_ms: u64,
    },
}

/// A change worth an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The version is quarantined.
    Opened {
        /// When the first probe may pass.
        until: Timestamp,
    },
    /// A probe passed: the version is restored.
    Closed,
}

/// Where a breaker stands, for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// No call passes before the time is up.
    Open,
    /// One probe is under way.
    HalfOpen,
}

/// A pure state machine. Every call that [`Breaker::allow`] let pass is told back with exactly one of
/// [`success`](Self::success), [`fault`](Self::fault) and [`abandon`](Self::abandon).
///
/// An answer without a fault is a success, a worker's own failure included. Answers of calls that began before the breaker opened
/// count for nothing while it is open, and as the probe's while it is half-open: they say the same of the same version.
#[derive(Clone, Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Closed {
        /// The faults of the window, oldest first; never more than the policy counts.
        faults: VecDeque<Timestamp>,
        deadlines_in_a_row: u32,
    },
    Open {
        until: Timestamp,
        backoff_ms: u64,
    },
    HalfOpen {
        backoff_ms: u64,
    },
}

impl Breaker {
    /// A closed breaker that has seen nothing.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: State::CLEAN }
    }

    /// Where it stands.
    pub fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// When the first probe may pass, while it is open.
    pub fn open_until(&self) -> Option<Timestamp> {
        match self.state {
            State::Open { until, .. } => Some(until),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Asks for one call. The first to ask after an open breaker's time is up gets the probe; until that is told back, nobody else
    /// gets anything.
    pub fn allow(&mut self, now: Timestamp) -> Permission {
        match self.state {
            State::Closed { .. } => Permission::Call,
            State::Open { until, backoff_ms } if now >= until => {
                self.state = State::HalfOpen { backoff_ms };
                Permission::Probe
            }
            // Rounded up: asking then must not be too early again.
            State::Open { until, .. } => Permission::Refused { retry_after_ms: (until.0 - now.0).div_ceil(1_000_000) },
            State::HalfOpen { .. } => Permission::Refused { retry_after_ms: self.policy.backoff_ms.max(1) },
        }
    }

    /// A call came back without a fault.
    pub fn success(&mut self, _now: Timestamp) -> Option<Transition> {
        match &mut self.state {
            State::Closed { deadlines_in_a_row, .. } => {
                *deadlines_in_a_row = 0;
                None
            }
            State::Open { .. } => None,
            State::HalfOpen { .. } => {
                self.state = State::CLEAN;
                Some(Transition::Closed)
            }
        }
    }

    /// A call ended in a fault; `is_deadline` if its time was up.
    pub fn fault(&mut self, now: Timestamp, is_deadline: bool) -> Option<Transition> {
        let policy = self.policy;
        match &mut self.state {
            State::Closed { faults, deadlines_in_a_row } => {
                *deadlines_in_a_row = if is_deadline { *deadlines_in_a_row + 1 } else { 0 };
                faults.push_back(now);
                while faults.front().is_some_and(|then| now.ms_since(*then) >= policy.window_ms.max(1)) {
                    faults.pop_front();
                }
                let enough = faults.len() >= policy.faults.max(1) as usize || *deadlines_in_a_row >= DEADLINES_THAT_OPEN;
                enough.then(|| self.open(now, policy.backoff_ms))
            }
            State::Open { .. } => None,
            State::HalfOpen { backoff_ms } => {
                let most = policy.backoff_ms.saturating_mul(MAX_BACKOFF_GROWTH);
                let doubled = backoff_ms.saturating_mul(2).min(most);
                Some(self.open(now, doubled))
            }
        }
    }

    /// A call ended without saying anything of the plugin: it was cancelled, or never made. A probe may then be had again at once.
    pub fn abandon(&mut self, now: Timestamp) {
        if let State::HalfOpen { backoff_ms } = self.state {
            self.state = State::Open { until: now, backoff_ms };
        }
    }

    fn open(&mut self, now: Timestamp, backoff_ms: u64) -> Transition {
        let until = now.plus_ms(backoff_ms);
        self.state = State::Open { until, backoff_ms };
        Transition::Opened { until }
    }
}

impl State {
    const CLEAN: Self = Self::Closed { faults: VecDeque::new(), deadlines_in_a_row: 0 };
}

#[cfg(test)]
mod tests;
