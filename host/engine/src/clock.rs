//! Where the engine has its time and its randomness from: the only place that asks.
//! Everything below it gets both as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

use trackside_model::{time::Timestamp, workflow::Chance};
use uuid::Uuid;

/// The wall clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// A new event id, ordered by time.
pub(crate) fn fresh_id() -> Uuid {
    Uuid::now_v7()
}

/// Ids and jitter from the operating system's randomness.
#[derive(Debug, Default)]
pub(crate) struct Dice(fastrand::Rng);

impl Chance for Dice {
    fn id(&mut self) -> Uuid {
        fresh_id()
    }

    fn unit(&mut self) -> f64 {
        self.0.f64()
    }
}
