//! The decision record: which handlers looked at a gated event, in which order and version, what each said and what it used.
//! Keeping it beside the event is the store's; printing it is `trackside events explain`.

use serde::{Deserialize, Serialize};

use super::DecisionPoint;
use crate::event::Text;

/// One handler's look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The plugin's name.
    pub plugin: Text,
    /// Digest of its bytes, shortened to 12 hexadecimal digits.
    pub version: Text,
    /// Digest of its settings, shortened likewise.
    pub settings: Text,
    /// `proceed`, `skip`, …, or `fault`.
    pub answer: Text,
    /// The reason it gave, or the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it changed what may be changed here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub amended: bool,
    /// Nanoseconds from asking to answer.
    pub duration_ns: u64,
    /// Fuel used.
    pub fuel: u64,
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
