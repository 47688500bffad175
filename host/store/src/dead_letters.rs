//! Dead letters: a table that follows from the log alone. What an event changes about it is the model's [`LetterChange`]; here it is written,
//! rebuilt and read.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params, types::Value};
use trackside_model::{
    event::{Pattern, Text},
    keeping::{DEAD_LETTERED, Letter, LetterChange, PURGED, REDRIVEN},
    time::Timestamp,
};

use crate::{
    event_types::{RememberedNames, TypeNames},
    readers::ReadError,
    rows::{self, count, event_columns, integer, time},
    store::ReadStore,
};

/// Letters that one call looks at, at the most: where few match, pages are short and `next` leads on.
const MAX_LOOKED_AT: usize = 10_000;

macro_rules! letter_columns {
    () => {
        "sequence, plugin, code, event_type, event_sequence, dead_at"
    };
}
pub(crate) const ONE: &str = concat!("SELECT ", letter_columns!(), " FROM dead_letters WHERE sequence = ?1");
pub(crate) const BEHIND: &str = concat!("SELECT ", letter_columns!(), " FROM dead_letters WHERE sequence > ?1 ORDER BY sequence");
const CHANGES: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events WHERE type_id IN (SELECT type_id FROM event_types WHERE name IN (?1, ?2, ?3)) ORDER BY sequence"
);

/// Which dead letters.
#[derive(Clone, Debug, Default)]
pub struct LetterQuery {
    /// Any of these, by name; `None`: all.
    pub ids: Option<Vec<u64>>,
    /// Of a type that one of these names; `None`: all.
    pub types: Option<Vec<Pattern>>,
    /// Any of these plugins; `None`: all.
    pub plugins: Option<Vec<String>>,
    /// Died before then.
    pub before: Option<Timestamp>,
    /// Behind this one.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
}

impl LetterQuery {
    fn matches(&self, letter: &Letter) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&letter.sequence))
            && self.types.as_ref().is_none_or(|types| types.iter().any(|pattern| pattern.matches(&letter.event_type)))
            && self.plugins.as_ref().is_none_or(|plugins| plugins.iter().any(|plugin| **plugin == *letter.plugin))
            && self.before.is_none_or(|before| letter.dead_at < before)
    }
}

/// A part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterPage {
    /// Oldest first.
    pub letters: Vec<Letter>,
    /// [`LetterQuery::after`] of the next part; `None`: there is none.
    pub next: Option<u64>,
}

pub(crate) fn write(connection: &Connection, change: &LetterChange) -> rusqlite::Result<()> {
    match change {
        LetterChange::Kept(letter) => {
            let sql = "INSERT OR REPLACE INTO dead_letters (sequence, plugin, code, event_type, event_sequence, dead_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let event_sequence = letter.event_sequence.map_or(Value::Null, |sequence| Value::Integer(integer(sequence)));
            let (sequence, dead_at) = (integer(letter.sequence), integer(letter.dead_at.0));
            connection.prepare_cached(sql)?.execute(params![
                sequence,
                letter.plugin,
                letter.code,
                letter.event_type,
                event_sequence,
                dead_at
            ])?;
        }
        LetterChange::Gone(sequences) => {
            let mut delete = connection.prepare_cached("DELETE FROM dead_letters WHERE sequence = ?1")?;
            for sequence in sequences {
                delete.execute([integer(*sequence)])?;
            }
        }
    }
    Ok(())
}

/// Writes what follows from the events, in place of what is there.
pub(crate) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM dead_letters", [])?;
    folded(connection)?.into_values().try_for_each(|letter| write(connection, &LetterChange::Kept(letter)))
}

/// What follows from the events.
pub(crate) fn folded(connection: &Connection) -> rusqlite::Result<BTreeMap<u64, Letter>> {
    let remembered = RememberedNames::default();
    let names = TypeNames { connection, remembered: &remembered };
    let mut select = connection.prepare(CHANGES)?;
    let mut letters = BTreeMap::new();
    for event in select.query_map([DEAD_LETTERED, REDRIVEN, PURGED], |row| rows::decode(row, &names))? {
        match LetterChange::of(&event?) {
            Some(LetterChange::Kept(letter)) => drop(letters.insert(letter.sequence, letter)),
            Some(LetterChange::Gone(sequences)) => sequences.iter().for_each(|sequence| drop(letters.remove(sequence))),
            None => {}
        }
    }
    Ok(letters)
}

/// What the table says.
pub(crate) fn stored(connection: &Connection) -> rusqlite::Result<BTreeMap<u64, Letter>> {
    let mut select = connection.prepare(BEHIND)?;
    let letters = select.query_map([0], decode)?;
    letters.map(|letter| letter.map(|letter| (letter.sequence, letter))).collect()
}

impl ReadStore {
    /// A dead letter; `None`: there is none of this name, or it was redriven or purged.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn dead_letter(&self, sequence: u64) -> Result<Option<Letter>, ReadError> {
        use rusqlite::OptionalExtension as _;
        self.readers().read(|names| names.connection.prepare_cached(ONE)?.query_row([integer(sequence)], decode).optional())
    }

    /// Dead letters, oldest first.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn dead_letters(&self, query: &LetterQuery) -> Result<LetterPage, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached(BEHIND)?;
            let mut found = select.query([integer(query.after)])?;
            let mut page = LetterPage::default();
            let (mut looked_at, mut last) = (0, query.after);
            while let Some(row) = found.next()? {
                let letter = decode(row)?;
                let wanted = query.matches(&letter);
                if looked_at >= MAX_LOOKED_AT || (wanted && page.letters.len() >= query.limit) {
                    page.next = Some(last);
                    break;
                }
                looked_at += 1;
                last = letter.sequence;
                page.letters.extend(wanted.then_some(letter));
            }
            Ok(page)
        })
    }
}

fn decode(row: &Row<'_>) -> rusqlite::Result<Letter> {
    let text = |column: usize| Ok::<_, rusqlite::Error>(Text::from(row.get_ref(column)?.as_str()?));
    Ok(Letter {
        sequence: count(row, 0)?,
        plugin: text(1)?,
        code: text(2)?,
        event_type: text(3)?,
        event_sequence: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
        dead_at: time(row, 5)?,
    })
}
