//! Owns the token bucket as one number: the time at which it is full again. Every token that was taken puts that time off by what a token
//! takes to come back, so that no tokens have to be counted as time goes by. Leaves keeping the number to the plugin around it.

use std::{fmt, str::FromStr};
use trackside_sdk::Error;

/// How fast tokens come back, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    rate_per_s: f64,
    burst: u32,
    /// Nanoseconds in which one token comes back.
    token_ns: u64,
}

impl Limit {
    pub(crate) fn new(rate_per_s: f64, burst: u32) -> Result<Self, String> {
        // A token a nanosecond is the most that can be told apart, one in ten days the least that is a rate.
        if !(1e-6..=1e9).contains(&rate_per_s) {
            return Err(format!("`rate_per_s`: {rate_per_s} is not between 0.000001 and 1000000000"));
        }
        if burst == 0 {
            return Err("`burst`: a bucket without tokens lets nothing through; give at least 1".into());
        }
        Ok(Limit { rate_per_s, burst, token_ns: (1e9 / rate_per_s).round() as u64 })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} tokens ({} a second come back)", self.burst, self.rate_per_s)
    }
}

/// When the bucket is full again, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket(u64);

/// What came of taking a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Token { left: Bucket, full_in_ms: u64 },
    Empty { wait_ms: u64 },
}

impl Bucket {
    pub(crate) const FULL: Bucket = Bucket(0);

    pub(crate) fn take(self, limit: &Limit, now_ns: u64) -> Taken {
        let full_at = self.0.max(now_ns).saturating_add(limit.token_ns);
        // Full again no later than it takes to fill an empty one: else a token was taken that was not there.
        let latest = now_ns.saturating_add(limit.token_ns.saturating_mul(u64::from(limit.burst)));
        if full_at > latest {
            return Taken::Empty { wait_ms: (full_at - latest).div_ceil(1_000_000) };
        }
        Taken::Token { left: Bucket(full_at), full_in_ms: (full_at - now_ns).div_ceil(1_000_000) }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Bucket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse().map(Bucket).map_err(|_| Error::new(format!("kv: '{text}' is no bucket")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn take(bucket: &mut Bucket, limit: &Limit, now_ns: u64) -> Option<u64> {
        match bucket.take(limit, now_ns) {
            Taken::Token { left, .. } => {
                *bucket = left;
                None
            }
            Taken::Empty { wait_ms } => Some(wait_ms),
        }
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_the_exact_wait() {
        let (limit, mut bucket, now) = (Limit::new(10.0, 3).expect("a limit"), Bucket::FULL, 7_000 * MS);
        assert_eq!([(); 3].map(|()| take(&mut bucket, &limit, now)), [None; 3]);
        assert_eq!(take(&mut bucket, &limit, now), Some(100));
        assert_eq!(take(&mut bucket, &limit, now + 40 * MS), Some(60));
        assert_eq!(take(&mut bucket, &limit, now + 99 * MS + 1), Some(1), "a wait is never too short");
        assert_eq!(take(&mut bucket, &limit, now + 100 * MS), None);
        assert_eq!(take(&mut bucket, &limit, now + 100 * MS), Some(100));
    }

    #[test]
    fn over_a_long_time_it_is_the_rate() {
        let (limit, mut bucket) = (Limit::new(50.0, 5).expect("a limit"), Bucket::FULL);
        let taken = (0..10_000).filter(|millisecond| take(&mut bucket, &limit, (1 + millisecond) * MS).is_none()).count();
        assert!((500..=505).contains(&taken), "{taken} in ten seconds at 50 a second");
    }

    #[test]
    fn it_goes_from_memory_when_it_is_full_again() {
        let limit = Limit::new(10.0, 3).expect("a limit");
        assert_eq!(Bucket::FULL.take(&limit, 1_000 * MS), Taken::Token { left: Bucket(1_100 * MS), full_in_ms: 100 });
        assert_eq!("1100000000".parse::<Bucket>().map(|bucket| bucket.to_string()), Ok("1100000000".into()));
        assert!("x".parse::<Bucket>().is_err());
    }
}
