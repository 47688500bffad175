//! What a condition names, and how often each of its parts is evaluated: looked up once, when it is read.

use std::collections::BTreeSet;

use cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr},
};

use super::{ConditionError, EVENT};

/// The fields of an event, as conditions name them.
pub(super) const FIELDS: [&str; 15] = [
    "event_id",
    "event_type",
    "timestamp",
    "recorded_at",
    "sequence_number",
    "part",
    "source_component",
    "correlation_id",
    "causation_id",
    "workflow_id",
    "task_id",
    "provider_id",
    "severity",
    "payload",
    "metadata",
];

/// Loops inside each other at most.
pub(super) const MOST_LOOPS: usize = 2;

/// Bytes that are copied in about the time of a step.
const BYTES_COPIED: u64 = 1 << 10;
/// Bytes that are compared or searched in about the time of a step.
const BYTES_LOOKED_AT: u64 = 8 << 10;

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Fields of the event; empty with `all`.
    fields: BTreeSet<&'static str>,
    /// Whether it may look at any of them, as in `event[name]`.
    all: bool,
    /// Parts, by the number of loops around them.
    parts: [u64; MOST_LOOPS + 1],
    /// Calls of functions and operators among them, each of which may look at a whole text of the event.
    calls: [u64; MOST_LOOPS + 1],
    /// Additions among them, each of which may copy as much as all additions before it have made.
    copies: [u64; MOST_LOOPS + 1],
    /// Additions, each of which may make one list of two.
    additions: u64,
    /// The longest list that it writes out.
    longest: u64,
}

impl Uses {
    pub(super) fn of(expression: &IdedExpr) -> Result<Self, ConditionError> {
        let mut uses = Self::default();
        uses.look(expression, 0, &mut vec![EVENT])?;
        Ok(uses)
    }

    /// Whether it looks at this field.
    pub(super) fn field(&self, name: &str) -> bool {
        self.all || self.fields.contains(name)
    }

    /// Steps at most, if the longest list or map of the event has so many members, and its payload so many bytes.
    pub(super) fn steps(&self, longest: u64, payload_bytes: u64) -> u64 {
        let rounds = longest.max(self.longest).max(1).saturating_mul(1 + self.additions);
        let copied = payload_bytes.saturating_mul(1 + self.copies.iter().sum::<u64>()) / BYTES_COPIED;
        let looked_at = payload_bytes / BYTES_LOOKED_AT;
        let each = self.parts.iter().zip(&self.calls).zip(&self.copies).rev();
        each.fold(0, |inner: u64, ((parts, calls), copies)| {
            let bytes = calls.saturating_mul(looked_at).saturating_add(copies.saturating_mul(copied));
            inner.saturating_mul(rounds).saturating_add(*parts).saturating_add(bytes)
        })
    }

    /// `known` grows and shrinks with the variables of loops.
    fn look<'a>(&mut self, expression: &'a IdedExpr, loops: usize, known: &mut Vec<&'a str>) -> Result<(), ConditionError> {
        let Some(parts) = self.parts.get_mut(loops) else { return Err(ConditionError::TooDeep(loops)) };
        *parts += 1;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            // Alone it may be asked for any field.
            Expr::Ident(name) if name == EVENT => {
                self.all = true;
                Ok(())
            }
            Expr::Ident(name) if name.starts_with('@') || known.contains(&name.as_str()) => Ok(()),
            Expr::Ident(name) => Err(unknown(name, "`event`, as in event.payload or event.event_type".to_owned())),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if name == EVENT => self.look_at_field(&select.field),
                _ => self.look(&select.operand, loops, known),
            },
            Expr::Call(call) => {
                let added = call.func_name == "_+_";
                self.additions += u64::from(added);
                // What a loop gathers is a list of what its rounds have made.
                let gathers = call
                    .target
                    .iter()
                    .map(|target| &**target)
                    .chain(&call.args)
                    .any(|part| matches!(&part.expr, Expr::Ident(name) if name.starts_with('@')));
                self.copies[loops] += u64::from(added && !gathers);
                self.calls[loops] += u64::from(!added);
                call.target.iter().map(|target| &**target).chain(&call.args).try_for_each(|part| self.look(part, loops, known))
            }
            Expr::List(list) => {
                self.longest = self.longest.max(list.elements.len() as u64);
                list.elements.iter().try_for_each(|element| self.look(element, loops, known))
            }
            Expr::Map(map) => {
                self.longest = self.longest.max(map.entries.len() as u64);
                map.entries.iter().try_for_each(|entry| self.look_at_entry(&entry.expr, loops, known))
            }
            Expr::Struct(made) => made.entries.iter().try_for_each(|entry| self.look_at_entry(&entry.expr, loops, known)),
            Expr::Comprehension(comprehension) => {
                self.look(&comprehension.iter_range, loops, known)?;
                self.look(&comprehension.accu_init, loops, known)?;
                let before = known.len();
                known.extend([&comprehension.iter_var, &comprehension.accu_var].map(String::as_str));
                known.extend(comprehension.iter_var2.as_deref());
                self.look(&comprehension.loop_cond, loops + 1, known)?;
                self.look(&comprehension.loop_step, loops + 1, known)?;
                self.look(&comprehension.result, loops, known)?;
                known.truncate(before);
                Ok(())
            }
        }
    }

    fn look_at_entry<'a>(&mut self, entry: &'a EntryExpr, loops: usize, known: &mut Vec<&'a str>) -> Result<(), ConditionError> {
        match entry {
            EntryExpr::StructField(field) => self.look(&field.value, loops, known),
            EntryExpr::MapEntry(entry) => {
                self.look(&entry.key, loops, known)?;
                self.look(&entry.value, loops, known)
            }
        }
    }

    fn look_at_field(&mut self, name: &str) -> Result<(), ConditionError> {
        let Some(field) = FIELDS.into_iter().find(|field| *field == name) else {
            return Err(unknown(&format!("event.{name}"), format!("the fields {}", FIELDS.join(", "))));
        };
        self.fields.insert(field);
        Ok(())
    }
}

fn unknown(name: &str, known: String) -> ConditionError {
    ConditionError::Unknown { unknown: name.to_owned(), known }
}
