//! The decision record: which handlers looked at a gated event, in which order and version, what each said and what it used.
//! Keeping it beside the event is the store's; printing it is `trackside events explain`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DecisionPoint, Signal};
use crate::{event::Text, plugin::PluginInfo};

/// The version of a handler that looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedBy {
    /// The plugin's name.
    pub plugin: Text,
    /// Digest of its bytes, shortened to 12 hexadecimal digits.
    pub version: Text,
    /// Digest of its settings, shortened likewise.
    pub settings: Text,
}

impl CheckedBy {
    /// This plugin version.
    pub fn of(plugin: &PluginInfo) -> Self {
        Self { plugin: plugin.name.clone(), version: plugin.short_version(), settings: plugin.short_settings() }
    }
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckAnswer {
    /// The signal.
    Proceed,
    /// The signal.
    Skip,
    /// The signal.
    Retry,
    /// The signal.
    Fallback,
    /// The signal.
    Fail,
    /// The signal.
    Error,
    /// No answer, or none that is well formed.
    Fault,
    /// It could not be asked: quarantined, or the chain's time was up.
    NotAsked,
    /// An operator has it passed over.
    Bypassed,
}

impl From<&Signal> for CheckAnswer {
    fn from(signal: &Signal) -> Self {
        match signal {
            Signal::Proceed(_) => Self::Proceed,
            Signal::Skip(_) => Self::Skip,
            Signal::Retry { .. } => Self::Retry,
            Signal::Fallback { .. } => Self::Fallback,
            Signal::Fail(_) => Self::Fail,
            Signal::Error(_) => Self::Error,
        }
    }
}

/// One handler's look. A chain of a hundred makes a hundred of these an event, so that they are small and share what they can.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Who looked.
    #[serde(flatten)]
    pub by: Arc<CheckedBy>,
    /// What it came to.
    pub answer: CheckAnswer,
    /// The reason it gave, or the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
    /// Whether it changed what may be changed here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub amended: bool,
    /// How many events were judged in the same call, this one included.
    #[serde(default = "alone", skip_serializing_if = "is_alone")]
    pub batch: u32,
    /// Nanoseconds from asking to answer; of a batch, its share.
    pub duration_ns: u64,
    /// Fuel used; of a batch, its share.
    pub fuel: u64,
}

fn alone() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_alone(batch: &u32) -> bool {
    *batch == 1
}

/// All that was decided about one event at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Where it was asked.
    pub point: DecisionPoint,
    /// Who looked, in order.
    pub checks: Vec<Check>,
    /// Who ended the chain before its end, if anybody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Text>,
}
