//! By what events are counted, and the groups that come of it. Counting is SQL's, where no condition in CEL must be asked.

use std::{
    collections::{HashMap, hash_map::Entry},
    str::FromStr,
};

use rusqlite::{Row, types::Value};
use trackside_model::{
    event::{Event, Filter, Severity, Text},
    time::Timestamp,
};

use super::conditions::{Conditions, bound};
use crate::{
    event_types::TypeNames,
    rows::{self, count, event_columns},
};

const NS_PER_MINUTE: u64 = 60_000_000_000;

/// What is counted in one slice; behind it come the conditions and [`GROUPED`].
pub(crate) const COUNTED: &str = "SELECT type_id, CASE ? WHEN 1 THEN severity END, CASE ? WHEN 1 THEN source_component END, \
     CASE ? WHEN 0 THEN NULL ELSE recorded_at / ? END, count(*) FROM events WHERE ";
const GROUPED: &str = " GROUP BY 1, 2, 3, 4";
const EACH: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE ");

/// What makes a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The event's type.
    Type,
    /// The first word of its type.
    Component,
    /// Its source.
    Source,
    /// Its severity.
    Severity,
    /// The minute in which it was recorded.
    Minute,
    /// The hour in which it was recorded.
    Hour,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Type, Self::Component, Self::Source, Self::Severity, Self::Minute, Self::Hour];

    /// The name.
    pub fn as_str(self) -> &'static str {
        ["type", "component", "source", "severity", "minute", "hour"][self as usize]
    }
}

impl FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|by| by.as_str() == text);
        found.ok_or_else(|| format!("'{text}' is not one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What the events of a group have in common, of that by which they are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// The beginning of the minute or hour.
    pub at: Option<Timestamp>,
    /// The type, or its first word.
    pub event_type: Option<Text>,
    /// The source.
    pub source: Option<Text>,
    /// The severity.
    pub severity: Option<Severity>,
}

/// Counts by group, of which there are no more than a bound.
#[derive(Debug)]
pub(super) struct Groups<C> {
    by: Vec<By>,
    most: usize,
    pub(super) counts: HashMap<Group, C>,
    /// Of everything that belongs to a group too many.
    pub(super) others: C,
}

impl<C: Copy + Default> Groups<C> {
    pub(super) fn new(by: Vec<By>, most: usize) -> Self {
        Self { by, most, counts: HashMap::new(), others: C::default() }
    }

    fn at(&mut self, group: Group) -> &mut C {
        let is_full = self.counts.len() >= self.most;
        match self.counts.entry(group) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(_) if is_full => &mut self.others,
            Entry::Vacant(entry) => entry.insert(C::default()),
        }
    }

    fn has(&self, by: By) -> bool {
        self.by.contains(&by)
    }

    fn unit(&self) -> u64 {
        match () {
            () if self.has(By::Minute) => NS_PER_MINUTE,
            () if self.has(By::Hour) => 60 * NS_PER_MINUTE,
            () => 0,
        }
    }

    /// The type as the group shows it.
    fn shown(&self, event_type: &str) -> Option<Text> {
        match () {
            () if self.has(By::Type) => Some(Text::from(event_type)),
            () if self.has(By::Component) => event_type.split(':').next().map(Text::from),
            () => None,
        }
    }

    /// Counts what lies behind `after` and not behind `through`. `add` is told of each type how often it is there, and where to count it.
    pub(super) fn count(
        &mut self,
        names: &TypeNames<'_>,
        filter: &Filter,
        (after, through): (u64, u64),
        mut add: impl FnMut(&mut C, &str, u64),
    ) -> rusqlite::Result<()> {
        let types = names.named_by(filter)?;
        let conditions = Conditions::of(filter, types.as_deref(), after, through);
        if filter.when.is_some() {
            return self.count_each(names, filter, &conditions, add);
        }
        let unit = self.unit();
        let flag = |is: bool| Value::Integer(i64::from(is));
        let mut values = vec![flag(self.has(By::Severity)), flag(self.has(By::Source)), flag(unit > 0)];
        values.push(Value::Integer(i64::try_from(unit.max(1)).unwrap_or(i64::MAX)));
        values.extend(conditions.values);
        let mut select = names.connection.prepare_cached(&format!("{COUNTED}{}{GROUPED}", conditions.sql))?;
        let mut found = select.query(rusqlite::params_from_iter(bound(&values)))?;
        while let Some(row) = found.next()? {
            let event_type = names.name(row.get(0)?)?;
            let group = self.group_of(row, &event_type, unit)?;
            add(self.at(group), &event_type, count(row, 4)?);
        }
        Ok(())
    }

    fn group_of(&self, row: &Row<'_>, event_type: &str, unit: u64) -> rusqlite::Result<Group> {
        let severity: Option<u8> = row.get(1)?;
        Ok(Group {
            at: row.get::<_, Option<i64>>(3)?.map(|slot| Timestamp(slot.cast_unsigned().saturating_mul(unit))),
            event_type: self.shown(event_type),
            source: row.get_ref(2)?.as_str_or_null()?.map(Text::from),
            severity: severity.and_then(|severity| Severity::ALL.get(usize::from(severity)).copied()),
        })
    }

    /// One by one, where a condition in CEL is asked.
    fn count_each(
        &mut self,
        names: &TypeNames<'_>,
        filter: &Filter,
        conditions: &Conditions,
        mut add: impl FnMut(&mut C, &str, u64),
    ) -> rusqlite::Result<()> {
        let unit = self.unit();
        let mut select = names.connection.prepare_cached(&format!("{EACH}{}", conditions.sql))?;
        let mut found = select.query(rusqlite::params_from_iter(bound(&conditions.values)))?;
        while let Some(row) = found.next()? {
            let event: Event = rows::decode(row, names)?;
            if filter.matches(&event) {
                let group = Group {
                    at: (unit > 0).then(|| Timestamp(event.recorded_at.0 / unit.max(1) * unit)),
                    event_type: self.shown(&event.event_type),
                    source: self.has(By::Source).then(|| event.source_component.clone()),
                    severity: self.has(By::Severity).then_some(event.severity),
                };
                add(self.at(group), &event.event_type, 1);
            }
        }
        Ok(())
    }
}
