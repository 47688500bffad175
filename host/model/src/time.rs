//! Points in time as the host counts them: nanoseconds since 1970, and their RFC 3339 text.
//! Reading a clock is left to the callers; nothing in this crate knows what time it is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Nanoseconds since 1970-01-01T00:00:00Z. Its JSON form is RFC 3339 in UTC with nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// Nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;

impl Timestamp {
    /// The point `ms` milliseconds later, at the latest the end of time.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(NS_PER_MS)))
    }

    /// Milliseconds from `earlier` to here, 0 if `earlier` is later.
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / NS_PER_MS
    }
}

/// Text that is not RFC 3339, or a time before 1970.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is not an RFC 3339 time after 1970, such as 2026-01-31T10:30:00Z")]
pub struct TimeError(String);

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let parsed: jiff::Timestamp = text.parse().map_err(|_| TimeError(text.to_owned()))?;
        u64::try_from(parsed.as_nanosecond()).map(Self).map_err(|_| TimeError(text.to_owned()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{time:.9}"),
            // Past jiff's year 9999: still a number that can be read back by eye.
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_to_the_nanosecond() {
        let time: Timestamp = "2025-08-11T10:30:00.123456789Z".parse().unwrap();
        assert_eq!(time.to_string(), "2025-08-11T10:30:00.123456789Z");
        assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn other_zones_are_read_and_nonsense_is_named() {
        let time: Timestamp = "2025-08-11T12:30:00+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2025-08-11T10:30:00.000000000Z");
        assert!("yesterday".parse::<Timestamp>().unwrap_err().to_string().contains("'yesterday'"));
        assert!("1969-12-31T23:59:59Z".parse::<Timestamp>().is_err());
    }
}
