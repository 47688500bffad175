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

/// Additions that are written in a condition at most: each may make twice as much of what it is given.
pub(super) const MOST_ADDITIONS: u64 = 8;
/// How deep the parts of a condition may stand inside each other: they are evaluated on a stack.
pub(super) const MOST_DEPTH: usize = 64;

/// Loops inside each other at most.
pub(super) const MOST_LOOPS: usize = 2;

/// Bytes that are copied in about the time of a step.
const BYTES_COPIED: u64 = 1 << 10;
/// Bytes that are compared or searched in about the time of a step.
const BYTES_LOOKED_AT: u64 = 8 << 10;

/// Values inside a value that are copied, or compared, in about the time of a step.
const NODES_COPIED: u64 = 4;

/// How much there is to an event's payload and metadata, as far as a condition looks at them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    /// Members of the longest list or map.
    pub(super) longest: u64,
    /// Bytes of the payload's text.
    pub(super) bytes: u64,
    /// Values in the payload.
    pub(super) nodes: u64,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Fields of the event; empty with `all`.
    fields: BTreeSet<&'static str>,
    /// Whether it may look at any of them, as in `event[name]`.
    all: bool,
    /// Parts, by the number of loops around them.
    parts: [u64; MOST_LOOPS + 1],
    /// Places among them where the event is named: each may hand on, or compare, all that there is to it.
    named: [u64; MOST_LOOPS + 1],
    /// Additions that are written in it, each of which may double what it is given, list or text.
    copies: [u64; MOST_LOOPS + 1],
    /// Lists that loops gather, each of which may be as long as all before it together.
    gathered: u64,
    /// How deep the part that is looked at stands.
    depth: usize,
    /// The longest list that it writes out.
    longest: u64,
}

impl Uses {
    pub(super) fn of(expression: &IdedExpr) -> Result<Self, ConditionError> {
        let mut uses = Self::default();
        uses.look(expression, 0, &mut vec![EVENT])?;
        match uses.additions() {
            additions if additions > MOST_ADDITIONS => Err(ConditionError::TooManyAdditions(additions)),
            _ => Ok(uses),
        }
    }

    /// Whether it looks at this field.
    pub(super) fn field(&self, name: &str) -> bool {
        self.all || self.fields.contains(name)
    }

    /// Steps at most on an event of this weight.
    pub(super) fn steps(&self, weight: &Weight) -> u64 {
        let grown = 1_u64 << self.additions().min(MOST_ADDITIONS);
        let rounds = weight.longest.max(self.longest).max(1).saturating_mul(1 + self.gathered).saturating_mul(grown);
        let copied = weight.bytes.saturating_mul(grown) / BYTES_COPIED + weight.nodes.saturating_mul(grown) / NODES_COPIED;
        let looked_at = weight.bytes / BYTES_LOOKED_AT + weight.nodes / NODES_COPIED;
        let each = self.parts.iter().zip(&self.named).zip(&self.copies).rev();
        each.fold(0, |inner: u64, ((parts, named), copies)| {
            let own = parts.saturating_add(named.saturating_mul(looked_at)).saturating_add(copies.saturating_mul(copied));
            inner.saturating_mul(rounds).saturating_add(own)
        })
    }

    fn additions(&self) -> u64 {
        self.copies.iter().sum()
    }

    /// One level deeper, if there may be one.
    fn look<'a>(&mut self, expression: &'a IdedExpr, loops: usize, known: &mut Vec<&'a str>) -> Result<(), ConditionError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(ConditionError::TooNested);
        }
        let looked = self.look_at(expression, loops, known);
        self.depth -= 1;
        looked
    }

    /// `known` grows and shrinks with the variables of loops.
    fn look_at<'a>(&mut self, expression: &'a IdedExpr, loops: usize, known: &mut Vec<&'a str>) -> Result<(), ConditionError> {
        let Some(parts) = self.parts.get_mut(loops) else { return Err(ConditionError::TooDeep(loops)) };
        *parts += 1;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            // Alone it may be asked for any field.
            Expr::Ident(name) if name == EVENT => {
                self.named[loops] += 1;
                self.all = true;
                Ok(())
            }
            Expr::Ident(name) if name.starts_with('@') || known.contains(&name.as_str()) => Ok(()),
            Expr::Ident(name) => Err(unknown(name, "`event`, as in event.payload or event.event_type".to_owned())),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if name == EVENT => {
                    self.named[loops] += 1;
                    self.look_at_field(&select.field)
                }
                _ => self.look(&select.operand, loops, known),
            },
            Expr::Call(call) => {
                let added = call.func_name == "_+_";
                // What a loop gathers is a list of what its rounds have made.
                let gathers = call
                    .target
                    .iter()
                    .map(|target| &**target)
                    .chain(&call.args)
                    .any(|part| matches!(&part.expr, Expr::Ident(name) if name.starts_with('@')));
                self.copies[loops] += u64::from(added && !gathers);
                self.gathered += u64::from(added && gathers);
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
