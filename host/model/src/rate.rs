//! Rates: how much of something may happen in how short a time, for each of many keys. The generic cell rate algorithm (ITU-T I.371): one
//! number a key, and no timer. Times are given.

use std::{collections::HashMap, hash::Hash};

use crate::time::Timestamp;

/// Nanoseconds in a second.
const NS_PER_SEC: u64 = 1_000_000_000;
/// Keys that are remembered before those are looked for that are at rest.
const SWEEP_AT: usize = 1_024;

/// A rate and what may go beyond it in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many in a second, lastingly; 0: any number.
    pub per_sec: u32,
    /// How many at once.
    pub burst: u32,
}

/// What each key has used of its rate.
#[derive(Debug)]
pub struct Rates<K> {
    rate: Rate,
    /// When each would be at rest if nothing more came.
    at_rest: HashMap<K, u64>,
    sweep_at: usize,
}

impl<K: Eq + Hash + Clone> Rates<K> {
    /// Nothing used.
    pub fn new(rate: Rate) -> Self {
        Self { rate, at_rest: HashMap::new(), sweep_at: SWEEP_AT }
    }

    fn interval(&self) -> u64 {
        NS_PER_SEC / u64::from(self.rate.per_sec.max(1))
    }

    /// Whether one more is within the rate, and counts it if so.
    pub fn take(&mut self, key: &K, now: Timestamp) -> bool {
        if self.rate.per_sec == 0 {
            return true;
        }
        let (interval, burst) = (self.interval(), u64::from(self.rate.burst.max(1)));
        let before = self.at_rest.get(key).copied().unwrap_or(0).max(now.0);
        let after = before.saturating_add(interval);
        if after - now.0 > interval.saturating_mul(burst) {
            return false;
        }
        self.at_rest.insert(key.clone(), after);
        self.sweep(now);
        true
    }

    /// Takes back what was counted and did not happen.
    pub fn give_back(&mut self, key: &K) {
        let interval = self.interval();
        if let Some(at_rest) = self.at_rest.get_mut(key) {
            *at_rest = at_rest.saturating_sub(interval);
        }
    }

    /// A key at rest is as good as one never seen. Looked for each time there are twice as many as were left the last time.
    fn sweep(&mut self, now: Timestamp) {
        if self.at_rest.len() < self.sweep_at {
            return;
        }
        self.at_rest.retain(|_, at_rest| *at_rest > now.0);
        self.sweep_at = (self.at_rest.len() * 2).max(SWEEP_AT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let mut rates = Rates::new(Rate { per_sec: 100, burst: 3 });
        let taken = |rates: &mut Rates<&str>, ms: u64| (0..10).filter(|_| rates.take(&"a", Timestamp(ms * MS))).count();
        assert_eq!(taken(&mut rates, 1_000), 3);
        assert_eq!(taken(&mut rates, 1_009), 0);
        assert_eq!(taken(&mut rates, 1_010), 1);
        assert_eq!(taken(&mut rates, 1_035), 2);
        assert!(rates.take(&"b", Timestamp(1_035 * MS)), "another key has its own");
        rates.give_back(&"a");
        assert_eq!(taken(&mut rates, 1_035), 1);
        assert_eq!(taken(&mut rates, 60_000), 3);
    }

    #[test]
    fn none_is_no_bound_and_keys_at_rest_are_forgotten() {
        let mut none = Rates::new(Rate { per_sec: 0, burst: 0 });
        assert!((0..10_000).all(|_| none.take(&0, Timestamp(0))));
        let mut rates = Rates::new(Rate { per_sec: 1_000, burst: 1 });
        for key in 0..100_000u64 {
            assert!(rates.take(&key, Timestamp(key * MS)));
        }
        assert!(rates.at_rest.len() <= 2 * SWEEP_AT, "{}", rates.at_rest.len());
    }
}
