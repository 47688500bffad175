//! How a durable reader reads: what its owner may say, in which bounds.
//! What follows from it is the reader's.

use serde::{Deserialize, Serialize};

use crate::event::Filter;

/// Bytes of a reader's name at most.
const NAME_BYTES: usize = 100;
/// Events out at a time at most.
const MOST_IN_FLIGHT: u32 = 1_000;
/// Deliveries of one event at most.
const MOST_DELIVERIES: u32 = 1_000;
/// A day in milliseconds: the longest that an event is waited for.
const DAY_MS: u64 = 86_400_000;

/// In which order events are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As the log has them, as far as there is room; one that must be handed out again does not hold up the others.
    #[default]
    None,
    /// Within a correlation one after the other; correlations beside each other.
    Correlation,
    /// One after the other.
    Log,
}

/// How a durable reader reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReaderOptions {
    /// What it wants.
    pub filter: Filter,
    /// Whether it sees narration.
    pub narration: bool,
    /// Events handed out and not settled, at most.
    pub in_flight: u32,
    /// In which order.
    pub order: Order,
    /// Milliseconds that an event may be out before it is handed out again.
    pub ack_wait_ms: u64,
    /// Deliveries of one event before it is a dead letter.
    pub deliveries: u32,
    /// Milliseconds before the second delivery; doubled each time.
    pub backoff_ms: u64,
    /// The longest pause before a delivery, in milliseconds.
    pub most_backoff_ms: u64,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            narration: false,
            in_flight: 64,
            order: Order::None,
            ack_wait_ms: 30_000,
            deliveries: 5,
            backoff_ms: 100,
            most_backoff_ms: 10_000,
        }
    }
}

/// Why a reader is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReaderError {
    /// Its name is none.
    #[error("'{0}' is no name for a reader; write 1 to {NAME_BYTES} of a-z, A-Z, 0-9, '_', '.' and '-'")]
    Name(String),
    /// A number is out of its bounds.
    #[error("{what}: {value} is not from {least} to {most}")]
    Bounds {
        /// The option.
        what: &'static str,
        /// What it was given.
        value: u64,
        /// The least it may be.
        least: u64,
        /// The most it may be.
        most: u64,
    },
}

impl ReaderOptions {
    /// Holds the numbers against their bounds.
    ///
    /// # Errors
    /// [`ReaderError::Bounds`] for the first that is outside.
    pub fn check(&self) -> Result<(), ReaderError> {
        let bounds = [
            ("in_flight", u64::from(self.in_flight), 1, u64::from(MOST_IN_FLIGHT)),
            ("ack_wait_ms", self.ack_wait_ms, 1, DAY_MS),
            ("deliveries", u64::from(self.deliveries), 1, u64::from(MOST_DELIVERIES)),
            ("backoff_ms", self.backoff_ms, 0, DAY_MS),
            ("most_backoff_ms", self.most_backoff_ms, 0, DAY_MS),
        ];
        match bounds.into_iter().find(|(_, value, least, most)| value < least || value > most) {
            Some((what, value, least, most)) => Err(ReaderError::Bounds { what, value, least, most }),
            None => Ok(()),
        }
    }

    /// Milliseconds before the next delivery of what has been delivered so often.
    pub(super) fn pause_ms(&self, deliveries: u32) -> u64 {
        let doubled = 1u64.checked_shl(deliveries.saturating_sub(1)).unwrap_or(u64::MAX);
        self.backoff_ms.saturating_mul(doubled).min(self.most_backoff_ms)
    }
}

/// Whether a reader may have this name.
///
/// # Errors
/// [`ReaderError::Name`] if not.
pub fn check_name(name: &str) -> Result<(), ReaderError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(good) {
        return Ok(());
    }
    Err(ReaderError::Name(name.chars().take(NAME_BYTES).collect()))
}
