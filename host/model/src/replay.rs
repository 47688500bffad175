//! A replay: a stretch of the past, handed once more to one observer or durable reader. What may be asked for, how fast it goes, and what the log
//! says of it. Reading and handing over are the engine's.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    event::{Filter, Text},
    reader::check_name,
    text::nearest,
    time::Timestamp,
};

/// The type that begins one.
pub const REPLAY_STARTED: &str = "replay:started";
/// The type that says how one ended.
pub const REPLAY_ENDED: &str = "replay:ended";
/// In the metadata of what an observer publishes in a replay: the replay's id.
pub const REPLAY: &str = "replay";

/// The slowest that a recorded pace is followed.
const LEAST_SPEED: f64 = 0.001;
/// The fastest.
const MOST_SPEED: f64 = 1_000_000.0;

/// To whom the past is handed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// A plugin with this role, or a native observer.
    Observer(Text),
    /// A durable reader.
    Reader(Text),
}

impl Target {
    /// The plugin's, or the reader's.
    pub fn name(&self) -> &Text {
        match self {
            Self::Observer(name) | Self::Reader(name) => name,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observer(name) => write!(f, "observer/{name}"),
            Self::Reader(name) => write!(f, "reader/{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let example = "write observer/NAME or reader/NAME";
        let Some((kind, name)) = text.split_once('/') else {
            return Err(format!("'{text}' does not say to whom; {example}"));
        };
        if name.is_empty() {
            return Err(format!("'{text}' names nobody; {example}"));
        }
        match kind {
            "observer" => Ok(Self::Observer(Text::from(name))),
            "reader" => check_name(name).map(|()| Self::Reader(Text::from(name))).map_err(|error| error.to_string()),
            other => match nearest(other, ["observer", "reader"]) {
                Some(near) => Err(format!("'{other}' is not one of observer, reader; did you mean {near}/{name}?")),
                None => Err(format!("'{other}' is not one of observer, reader; {example}")),
            },
        }
    }
}

impl TryFrom<String> for Target {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

/// How fast it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As fast as events are taken.
    #[default]
    Full,
    /// With the pauses between them with which they were recorded, this many times as fast.
    Recorded(f64),
}

impl Pace {
    /// When an event is due that was recorded at `at`, in a replay that went on at `begun` with one that was recorded at `first`.
    pub fn due(self, begun: Timestamp, first: Timestamp, at: Timestamp) -> Timestamp {
        match self {
            Self::Full => begun,
            Self::Recorded(speed) => {
                let apart = at.0.saturating_sub(first.0) as f64 / speed;
                // A float beyond its range becomes the end of it.
                Timestamp(begun.0.saturating_add(apart as u64))
            }
        }
    }
}

/// What is to be replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// To whom.
    pub to: Target,
    /// Which events, of those that it wants anyway.
    #[serde(default)]
    pub filter: Filter,
    /// Recorded then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Recorded before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// From this sequence on.
    pub from: u64,
    /// Up to this sequence.
    pub through: u64,
    /// How fast.
    #[serde(default)]
    pub pace: Pace,
    /// The plugin that may reach the world outside once more, by its name: said by whoever knows what that means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects_of: Option<Text>,
}

/// Why a replay is not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The stretch is none.
    #[error("from {from} through {through} is no stretch of the log; its first event is 1, and 'through' is not before 'from'")]
    Stretch {
        /// The first sequence.
        from: u64,
        /// The last one.
        through: u64,
    },
    /// The speed is out of its bounds.
    #[error("speed: {0} is not from {LEAST_SPEED} to {MOST_SPEED}; 1 is as it was recorded, 60 makes an hour a minute")]
    Speed(String),
}

impl Plan {
    /// Holds it against its bounds.
    ///
    /// # Errors
    /// [`PlanError`] for what is outside.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.from == 0 || self.through < self.from {
            return Err(PlanError::Stretch { from: self.from, through: self.through });
        }
        match self.pace {
            Pace::Recorded(speed) if !(LEAST_SPEED..=MOST_SPEED).contains(&speed) => Err(PlanError::Speed(speed.to_string())),
            _ => Ok(()),
        }
    }
}

/// `replay:started`. Its event's id is the replay's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayStarted {
    /// What is replayed.
    #[serde(flatten)]
    pub plan: Plan,
    /// Events of the stretch that were trimmed before.
    pub trimmed: u64,
    /// Who wanted it.
    pub by: Text,
}

/// How a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOutcome {
    /// All of it was handed over.
    Completed,
    /// Somebody ended it.
    Stopped,
    /// An event was not taken, or its target is not there any more.
    Failed,
}

/// `replay:ended`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayEnded {
    /// Which.
    pub replay: Uuid,
    /// To whom.
    pub to: Target,
    /// How.
    pub outcome: ReplayOutcome,
    /// Events that were handed over: taken by an observer, put into a reader's hands.
    pub events: u64,
    /// How far it came: another one goes on with the sequence behind this.
    pub through: u64,
    /// Who ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Text>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(from: u64, through: u64, pace: Pace) -> Plan {
        let to = Target::Observer(Text::from("audit"));
        Plan { to, filter: Filter::default(), since: None, until: None, from, through, pace, effects_of: None }
    }

    #[test]
    fn a_target_is_said_with_its_kind() {
        for text in ["observer/audit", "reader/billing.v2"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        let wrong = |text: &str| text.parse::<Target>().unwrap_err();
        assert_eq!(wrong("audit"), "'audit' does not say to whom; write observer/NAME or reader/NAME");
        assert_eq!(wrong("observer/"), "'observer/' names nobody; write observer/NAME or reader/NAME");
        assert_eq!(wrong("readers/x"), "'readers' is not one of observer, reader; did you mean reader/x?");
        assert_eq!(wrong("worker/x"), "'worker' is not one of observer, reader; write observer/NAME or reader/NAME");
        assert!(wrong("reader/a b").starts_with("'a b' is no name for a reader"));
    }

    #[test]
    fn a_recorded_pace_keeps_the_pauses_and_scales_them() {
        let (begun, first) = (Timestamp(5_000), Timestamp(100));
        assert_eq!(Pace::Full.due(begun, first, Timestamp(900)), begun);
        assert_eq!(Pace::Recorded(1.0).due(begun, first, Timestamp(900)), Timestamp(5_800));
        assert_eq!(Pace::Recorded(4.0).due(begun, first, Timestamp(900)), Timestamp(5_200));
        assert_eq!(Pace::Recorded(0.5).due(begun, first, Timestamp(900)), Timestamp(6_600));
        // Never before its time, and never past the end of it.
        assert_eq!(Pace::Recorded(1.0).due(begun, first, Timestamp(50)), begun);
        assert_eq!(Pace::Recorded(LEAST_SPEED).due(begun, Timestamp(0), Timestamp(u64::MAX)), Timestamp(u64::MAX));
    }

    #[test]
    fn a_plan_is_held_to_its_bounds() {
        assert_eq!(plan(1, 1, Pace::Recorded(60.0)).check(), Ok(()));
        assert_eq!(plan(0, 5, Pace::Full).check(), Err(PlanError::Stretch { from: 0, through: 5 }));
        assert_eq!(plan(6, 5, Pace::Full).check(), Err(PlanError::Stretch { from: 6, through: 5 }));
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.000_1] {
            assert!(matches!(plan(1, 5, Pace::Recorded(speed)).check(), Err(PlanError::Speed(_))), "{speed}");
        }
    }

    #[test]
    fn what_the_log_says_is_read_back() {
        let plan = Plan { effects_of: Some(Text::from("webhook")), since: Some(Timestamp(7)), ..plan(2, 9, Pace::Recorded(2.5)) };
        let started = ReplayStarted { plan, trimmed: 3, by: Text::from("ops") };
        let text = serde_json::to_string(&started).unwrap();
        assert_eq!(serde_json::from_str::<ReplayStarted>(&text).unwrap(), started, "{text}");
    }
}
