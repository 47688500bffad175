//! How many events a handler judges, or an observer is handed, in one call: as many as leave most of its deadline unused, found out from call to
//! call.
//! Counting what waits and calling is the engine's.

/// The share of a handler's deadline that a call may take before the next ones are made smaller.
const SHARE_OF_DEADLINE: u64 = 8;
const NS_A_MS: u64 = 1_000_000;

/// What a call was like.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// Events in it.
    pub events: usize,
    /// Nanoseconds that it took.
    pub duration_ns: u64,
    /// Whether it ended in a fault.
    pub faulted: bool,
}

/// The most events for the next call, after one like this under the limit of `now`: half as many after a fault, or where it took more than an
/// eighth of `timeout_ms`; twice as many where it was as large as it might be; never above `most`.
pub fn next_batch(now: usize, judged: Judged, timeout_ms: u64, most: usize) -> usize {
    let slow = judged.duration_ns > timeout_ms.saturating_mul(NS_A_MS) / SHARE_OF_DEADLINE;
    let next = if judged.faulted || slow {
        judged.events.min(now) / 2
    } else if judged.events >= now {
        now.saturating_mul(2)
    } else {
        now
    };
    next.clamp(1, most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Judged = Judged { events: 1, duration_ns: 1_000, faulted: false };

    #[test]
    fn a_fast_handler_is_given_twice_as_many_each_time_up_to_the_most() {
        let mut batch = 1;
        let sizes: Vec<usize> = std::iter::repeat_with(|| {
            batch = next_batch(batch, Judged { events: batch, ..FAST }, 100, 20);
            batch
        })
        .take(6)
        .collect();
        assert_eq!(sizes, [2, 4, 8, 16, 20, 20]);
    }

    #[test]
    fn a_call_that_was_not_full_says_nothing_about_larger_ones() {
        assert_eq!(next_batch(16, Judged { events: 5, ..FAST }, 100, 64), 16);
    }

    #[test]
    fn a_slow_or_faulting_call_halves_the_next_ones_and_one_is_the_least() {
        let slow = Judged { events: 16, duration_ns: 12_600_000, faulted: false };
        assert_eq!(next_batch(16, slow, 100, 64), 8, "an eighth of 100 ms is 12.5 ms");
        assert_eq!(next_batch(64, slow, 100, 64), 8, "what was slow is what is halved");
        assert_eq!(next_batch(16, Judged { duration_ns: 12_400_000, ..slow }, 100, 64), 32);
        assert_eq!(next_batch(16, Judged { events: 16, faulted: true, ..FAST }, 100, 64), 8);
        assert_eq!(next_batch(1, Judged { faulted: true, ..FAST }, 100, 64), 1);
    }
}
