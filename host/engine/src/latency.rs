//! A latency distribution in fixed memory: buckets that are a sixteenth of their value wide.
//! Who records what is the callers'.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Sixteen buckets for each power of two, up to 2^40 ns (18 minutes).
const BUCKETS: usize = 16 * 41;

/// Counts of durations.
#[derive(Debug)]
pub struct Latencies {
    counts: Box<[AtomicU64]>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&self, duration_ns: u64) {
        self.record_many(duration_ns, 1);
    }

    /// Counts so many of the same duration.
    pub fn record_many(&self, duration_ns: u64, count: u64) {
        self.counts[bucket(duration_ns)].fetch_add(count, Relaxed);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// The durations in microseconds below which these shares lie, to within a sixteenth; 0 where nothing was counted.
    pub fn percentiles_us<const N: usize>(&self, shares: [f64; N]) -> [f64; N] {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        shares.map(|share| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a count")]
            let rank = ((total as f64 * share).ceil() as u64).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            found.map_or(0.0, |index| middle_ns(index) / 1_000.0)
        })
    }
}

fn bucket(duration_ns: u64) -> usize {
    let value = duration_ns.max(16);
    let power = 63 - value.leading_zeros() as usize;
    let fraction = (value >> (power - 4)) as usize & 15;
    ((power - 4) * 16 + fraction).min(BUCKETS - 1)
}

#[expect(clippy::cast_precision_loss, reason = "good to a sixteenth")]
fn middle_ns(bucket: usize) -> f64 {
    let (power, fraction) = (bucket / 16 + 4, bucket % 16);
    let width = (1u64 << (power - 4)) as f64;
    (16 + fraction) as f64 * width + width / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_true_to_a_sixteenth() {
        let latencies = Latencies::default();
        for duration_us in 1..=1_000u64 {
            latencies.record(duration_us * 1_000);
        }
        let [p50, p99] = latencies.percentiles_us([0.5, 0.99]);
        assert!((p50 - 500.0).abs() < 500.0 / 16.0, "{p50}");
        assert!((p99 - 990.0).abs() < 990.0 / 16.0, "{p99}");
        assert_eq!(Latencies::default().percentiles_us([0.5]), [0.0]);
    }

    #[test]
    fn the_shortest_and_the_longest_have_a_bucket() {
        let latencies = Latencies::default();
        latencies.record(0);
        latencies.record(u64::MAX);
        assert_eq!(latencies.count(), 2);
    }
}
