//! For how long events of some types are remembered by their content, where that is another time than for all others. Where it is written is the
//! configuration's, what is remembered the engine's.

use std::str::FromStr;

use super::{EventType, Pattern};

/// Patterns at most.
pub const MOST_DEDUP_WINDOWS: usize = 100;
/// Seconds of a window at most: a day.
pub const LONGEST_DEDUP_WINDOW_SECS: u64 = 86_400;

/// Windows by the types that they are for. The first pattern that a type matches decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DedupWindows(Vec<(Pattern, u64)>);

/// Why a text is none: the first pair that is wrong, and what is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{pair}': {reason}")]
pub struct DedupWindowError {
    pair: String,
    reason: String,
}

impl DedupWindows {
    /// Milliseconds for a type; 0: it is not remembered; `None`: as all others.
    pub fn of(&self, event_type: &EventType) -> Option<u64> {
        self.0.iter().find(|(pattern, _)| pattern.matches(event_type)).map(|(_, window_ms)| *window_ms)
    }

    /// The longest of them in milliseconds; 0 where there is none.
    pub fn longest_ms(&self) -> u64 {
        self.0.iter().map(|(_, window_ms)| *window_ms).max().unwrap_or(0)
    }
}

/// `PATTERN=SECONDS, PATTERN=SECONDS`.
impl FromStr for DedupWindows {
    type Err = DedupWindowError;
    fn from_str(text: &str) -> Result<Self, DedupWindowError> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let read = |pair: &str| {
            let wrong = |reason: String| DedupWindowError { pair: pair.to_owned(), reason };
            let (pattern, seconds) = pair.split_once('=').ok_or_else(|| wrong("is not PATTERN=SECONDS".to_owned()))?;
            let pattern = Pattern::parse(pattern.trim()).map_err(|error| wrong(error.to_string()))?;
            let seconds = seconds.trim().parse::<u64>().ok().filter(|seconds| *seconds <= LONGEST_DEDUP_WINDOW_SECS);
            let seconds = seconds.ok_or_else(|| wrong(format!("a window has 0 to {LONGEST_DEDUP_WINDOW_SECS} whole seconds")))?;
            Ok((pattern, seconds * 1_000))
        };
        let windows = pairs.map(read).collect::<Result<Vec<_>, _>>()?;
        match windows.len() {
            0..=MOST_DEDUP_WINDOWS => Ok(Self(windows)),
            many => Err(DedupWindowError { pair: format!("{many} windows"), reason: format!("{MOST_DEDUP_WINDOWS} are allowed") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_decides() {
        let windows: DedupWindows = "sensor:door=5, sensor:*=0 , order:**=300,".parse().unwrap();
        let of = |event_type: &str| windows.of(&EventType::parse(event_type).unwrap());
        assert_eq!([of("sensor:door"), of("sensor:heat"), of("order:paid:twice")], [Some(5_000), Some(0), Some(300_000)]);
        assert_eq!((of("note:taken"), windows.longest_ms()), (None, 300_000));
        assert_eq!("".parse::<DedupWindows>().unwrap().longest_ms(), 0);
    }

    #[test]
    fn what_is_none_is_named() {
        for (text, says) in [
            ("sensor:*", "'sensor:*': is not PATTERN=SECONDS"),
            ("sensor:*=soon", "'sensor:*=soon': a window has 0 to 86400 whole seconds"),
            ("a:b=1, sensor:*=86401", "'sensor:*=86401': a window has 0 to 86400 whole seconds"),
            ("Sensor Heat=1", "'Sensor Heat=1': "),
        ] {
            let error = text.parse::<DedupWindows>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!("sensor:*=86400".parse::<DedupWindows>().is_ok());
        let many = "a:b=1,".repeat(MOST_DEDUP_WINDOWS + 1);
        assert_eq!(many.parse::<DedupWindows>().unwrap_err().to_string(), "'101 windows': 100 are allowed");
    }
}
