//! Owns a histogram of durations: their number, sum, longest, and how many fall into each bucket.
//! Leaves whose durations they are to `totals`.

use serde::{Deserialize, Serialize};

/// Durations in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Histogram {
    pub(crate) count: u64,
    pub(crate) sum_ms: u64,
    pub(crate) max_ms: u64,
    /// One for each end, and one for what is above the last.
    pub(crate) buckets: Vec<u64>,
}

impl Histogram {
    /// Counts a duration. A histogram that was made for another number of buckets begins anew.
    pub(crate) fn add(&mut self, duration_ms: u64, ends_ms: &[u64]) {
        if self.buckets.len() != ends_ms.len() + 1 {
            *self = Histogram { buckets: vec![0; ends_ms.len() + 1], ..Histogram::default() };
        }
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(duration_ms);
        self.max_ms = self.max_ms.max(duration_ms);
        self.buckets[ends_ms.partition_point(|end| *end < duration_ms)] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_belongs_to_its_bucket() {
        let mut histogram = Histogram::default();
        for duration_ms in [0, 10, 11, 100, 101, 5_000] {
            histogram.add(duration_ms, &[10, 100]);
        }
        assert_eq!(histogram, Histogram { count: 6, sum_ms: 5_222, max_ms: 5_000, buckets: vec![2, 2, 2] });
        histogram.add(1, &[10]);
        assert_eq!(histogram, Histogram { count: 1, sum_ms: 1, max_ms: 1, buckets: vec![1, 0] });
    }
}
