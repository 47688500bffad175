//! Where the engine has its time and its randomness from: the only place that asks.
//! Everything below it gets both as arguments.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use trackside_model::{time::Timestamp, workflow::Chance};
use uuid::Uuid;

const NS_PER_MS: u64 = 1_000_000;

/// The wall clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

thread_local! {
    /// Seeded by the operating system, once a thread.
    static DICE: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::with_seed(Uuid::new_v4().as_u64_pair().1));
}

/// A new event id: UUIDv7, ordered by time to a quarter of a microsecond. An id is no secret, and asking the operating system for the
/// rest of each costs more than anything at the door but the digest.
pub(crate) fn fresh_id() -> Uuid {
    let ns = now().0;
    let within_ms = u16::try_from(ns % NS_PER_MS * 4_096 / NS_PER_MS).unwrap_or(u16::MAX);
    let mut rest = [0; 10];
    rest[..2].copy_from_slice(&within_ms.to_be_bytes());
    DICE.with_borrow_mut(|dice| dice.fill(&mut rest[2..]));
    uuid::Builder::from_unix_timestamp_millis(ns / NS_PER_MS, &rest).into_uuid()
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
