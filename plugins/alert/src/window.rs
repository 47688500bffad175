//! Owns what a rule has counted: the times of its last events, as many as its threshold, and whether it has triggered.
//! Leaves keeping it to the plugin around it.

use crate::rule::Rule;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What a rule has counted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Window {
    /// When its last events were recorded, oldest first.
    times_ms: VecDeque<u64>,
    /// Whether this crossing of the threshold has been told.
    told: bool,
    /// When it triggered last; 0 before it did.
    triggered_ms: u64,
}

impl Window {
    /// Counts an event. Whether the rule triggers.
    pub(crate) fn add(&mut self, now_ms: u64, rule: &Rule) -> bool {
        let oldest_ms = now_ms.saturating_sub(rule.window_ms);
        self.times_ms.retain(|time_ms| *time_ms > oldest_ms);
        if self.times_ms.len() < rule.count {
            self.told = false;
        }
        self.times_ms.push_back(now_ms);
        // The last ones tell whether there are enough: older ones are not needed for that.
        while self.times_ms.len() > rule.count {
            self.times_ms.pop_front();
        }
        let cool = self.triggered_ms == 0 || now_ms >= self.triggered_ms.saturating_add(rule.cooldown_ms);
        if self.times_ms.len() < rule.count || self.told || !cool {
            return false;
        }
        (self.told, self.triggered_ms) = (true, now_ms);
        true
    }

    pub(crate) fn count(&self) -> usize {
        self.times_ms.len()
    }

    pub(crate) fn first_ms(&self) -> u64 {
        self.times_ms.front().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The times at which a rule triggers, of events at these times.
    fn triggered(count: usize, window_ms: u64, cooldown_ms: u64, times_ms: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let raw = json!({ "name": "r", "count": count, "window_ms": window_ms, "cooldown_ms": cooldown_ms });
        let rule = Rule::checked(serde_json::from_value(raw).expect("a rule")).expect("a rule");
        let mut window = Window::default();
        times_ms.into_iter().filter(|time_ms| window.add(*time_ms, &rule)).collect()
    }

    #[test]
    fn it_triggers_once_a_crossing() {
        assert_eq!(triggered(3, 100, 0, [10, 20, 30, 40, 50, 60]), [30]);
        assert_eq!(triggered(3, 100, 0, [10, 20, 30, 500, 510, 520]), [30, 520], "again after there were fewer");
        assert_eq!(triggered(3, 100, 0, [10, 60, 111, 165, 205]), [205], "three within a hundred at last");
        assert_eq!(triggered(1, 100, 0, [10, 50, 90, 500]), [10, 500]);
    }

    #[test]
    fn it_keeps_quiet_for_the_cooldown_and_then_tells_what_still_is() {
        assert_eq!(triggered(2, 100, 1_000, [10, 20, 500, 510, 1_500, 1_510]), [20, 1_510]);
        let steady = (0..300).map(|number| 10 + number * 10);
        assert_eq!(triggered(2, 100, 1_000, steady), [20], "one crossing that goes on is one alert");
        assert_eq!(
            triggered(2, 100, 1_000, [10, 20, 900, 950, 1_000, 1_020, 1_040]),
            [20, 1_020],
            "crossed in the cooldown, told at its end"
        );
    }

    #[test]
    fn no_more_is_kept_than_is_needed() {
        let raw = json!({ "name": "r", "count": 3, "window_ms": 1_000_000 });
        let rule = Rule::checked(serde_json::from_value(raw).expect("a rule")).expect("a rule");
        let mut window = Window::default();
        (0..1_000).for_each(|time_ms| {
            window.add(time_ms, &rule);
        });
        assert_eq!((window.count(), window.first_ms()), (3, 997));
    }
}
