//! Conditions: CEL over an event's envelope and payload. Read once, with every name looked up; evaluated in bounded time, and at once only where
//! that takes few steps. Which of a filter's conditions must hold is `filter`'s; where one may take its time is the asker's to know.

mod names;
mod seen;

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Program, Value};
use serde::{Deserialize, Serialize};

use self::names::Uses;
pub use self::seen::Sight;
use super::Event;

/// Bytes of a condition's text at most.
pub const CONDITION_BYTES: usize = 2_048;
/// Bytes of a payload that a condition looks into at most; an event with a larger one counts as one for which it holds.
pub const CONDITION_PAYLOAD_BYTES: usize = 256 << 10;
/// Steps of a condition on one event at most: its parts, each as often as the loops around it go round, and the texts that they copy and look at.
pub const CONDITION_STEPS: u64 = 20_000;

/// Steps that all conditions on one event may take together on a thread that others wait for.
pub const QUICK_STEPS: u64 = 500;
/// Bytes of a payload that is looked into on such a thread.
pub const QUICK_PAYLOAD_BYTES: usize = 4 << 10;

/// What a condition is written about.
const EVENT: &str = "event";

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A condition over one event, such as `event.payload.amount > 100.0 && event.severity != 'debug'`.
///
/// `event` has the envelope's fields by the names that they have in JSON; those that an event does not have are not there
/// (`has(event.workflow_id)`). Where it cannot be said whether the condition holds, because something that it names is not there or is of another
/// type, it does not. Where that would take longer than is allowed ([`CONDITION_PAYLOAD_BYTES`], [`CONDITION_STEPS`]) it does: whoever wrote it is
/// given one too many rather than one too few.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition(Arc<Read>);

#[derive(Debug)]
struct Read {
    text: String,
    program: Program,
    uses: Uses,
}

/// Why a condition is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It is too long.
    #[error("a condition has {CONDITION_BYTES} bytes at most, this one has {0}")]
    TooLong(usize),
    /// It is not CEL.
    #[error("is not a condition in CEL: {0}")]
    Syntax(String),
    /// It names something that there is not.
    #[error("there is no '{unknown}'; a condition is about {known}")]
    Unknown {
        /// What it names.
        unknown: String,
        /// What there is.
        known: String,
    },
    /// It adds too often.
    #[error("it adds {0} times, {most} are allowed", most = names::MOST_ADDITIONS)]
    TooManyAdditions(u64),
    /// Its parts stand too deep inside each other; a long chain of operators does, too.
    #[error("its parts stand more than {most} deep inside each other; write it in fewer steps, or as `value in [..]`", most = names::MOST_DEPTH)]
    TooNested,
    /// Its loops are too deep.
    #[error("its loops stand {0} deep inside each other, {most} are allowed", most = names::MOST_LOOPS)]
    TooDeep(usize),
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// [`ConditionError`], if it is not CEL, or names what there is not.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        if text.len() > CONDITION_BYTES {
            return Err(ConditionError::TooLong(text.len()));
        }
        let program = ENV.compile(text).map_err(|error| {
            let told = error.to_string();
            ConditionError::Syntax(told.split_whitespace().collect::<Vec<_>>().join(" "))
        })?;
        let uses = Uses::of(program.expression())?;
        Ok(Self(Arc::new(Read { text: text.to_owned(), program, uses })))
    }

    /// Whether it holds for this event. It may take its time: tens of milliseconds on a large payload.
    pub fn holds(&self, event: &Event) -> bool {
        self.holds_in(&Sight::of(event))
    }

    /// The same for one of several conditions on an event, which is read once for all of them.
    pub fn holds_in(&self, sight: &Sight<'_>) -> bool {
        let uses = &self.0.uses;
        if uses.field("payload") && sight.payload_bytes() > CONDITION_PAYLOAD_BYTES {
            return true;
        }
        uses.steps(&sight.weight(uses)) > CONDITION_STEPS || self.executed(sight)
    }

    /// The same where it takes no more steps than are left, which are taken off. `None`: it may take its time, and nothing was evaluated.
    pub fn holds_within(&self, sight: &Sight<'_>, left: &mut u64) -> Option<bool> {
        let uses = &self.0.uses;
        if uses.field("payload") && !sight.is_read() {
            match sight.payload_bytes() {
                bytes if bytes > CONDITION_PAYLOAD_BYTES => return Some(true),
                bytes if bytes > QUICK_PAYLOAD_BYTES => return None,
                _ => {}
            }
        }
        let steps = uses.steps(&sight.weight(uses));
        if steps > CONDITION_STEPS {
            return Some(true);
        }
        *left = left.checked_sub(steps)?;
        Some(self.executed(sight))
    }

    fn executed(&self, sight: &Sight<'_>) -> bool {
        let Read { program, uses, .. } = &*self.0;
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.add_variable_from_value(EVENT, sight.seen(uses));
        matches!(program.execute(&context), Ok(Value::Bool(true)))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl TryFrom<String> for Condition {
    type Error = ConditionError;
    fn try_from(text: String) -> Result<Self, ConditionError> {
        Self::parse(&text)
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.0.text.clone()
    }
}

#[cfg(test)]
mod tests;
