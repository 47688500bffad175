//! Full text: the words of payloads, of events whose types are opted in. The index has no text of its own; its rows are written and taken away in one
//! transaction with their events, and made anew when other types are opted in. Where none are, it costs nothing.

mod words;

use std::{cmp::Ordering, collections::HashMap};

use rusqlite::{Connection, params};
use serde_json::Value;
use trackside_model::{
    event::{Event, EventType, Filter, Pattern},
    json::Json,
};

pub use self::words::{Words, WordsError};
use crate::{
    event_types::{RememberedNames, TypeNames},
    readers::ReadError,
    rows::{self, damaged, event_columns, integer},
    store::ReadStore,
};

/// Types remembered at most, as opted in or not; past it each is asked of the patterns.
const REMEMBERED_TYPES: usize = 16_384;

const INSERT: &str = "INSERT INTO full_text (rowid, words) VALUES (?1, ?2)";
const EMPTY: &str = "INSERT INTO full_text (full_text) VALUES ('delete-all')";
const TABLE: &str = "CREATE VIRTUAL TABLE full_text USING fts5(words, content = '', contentless_delete = 1)";
const OF_TYPE: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE type_id = ?1 ORDER BY sequence");
const WORDS: &str = "SELECT term, doc, offset FROM temp.full_text_words ORDER BY term, doc, offset";

/// The writer's side.
#[derive(Debug)]
pub(crate) struct FullText {
    types: Vec<Pattern>,
    remembered: HashMap<EventType, bool>,
}

impl FullText {
    /// As the log has it; `None`: no type is opted in.
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let types = types(connection)?;
        Ok((!types.is_empty()).then(|| Self { types, remembered: HashMap::new() }))
    }

    /// An event has come.
    pub(crate) fn put(&mut self, connection: &Connection, event: &Event) -> rusqlite::Result<()> {
        let is_in = match self.remembered.get(&event.event_type) {
            Some(is_in) => *is_in,
            None => {
                let is_in = self.types.iter().any(|pattern| pattern.matches(&event.event_type));
                if self.remembered.len() < REMEMBERED_TYPES {
                    self.remembered.insert(event.event_type.clone(), is_in);
                }
                is_in
            }
        };
        if is_in { insert(connection, event) } else { Ok(()) }
    }

    /// These have gone.
    pub(crate) fn forget(connection: &Connection, sequences: impl Iterator<Item = u64>) -> rusqlite::Result<()> {
        let mut delete = connection.prepare_cached("DELETE FROM full_text WHERE rowid = ?1")?;
        for sequence in sequences {
            delete.execute([integer(sequence)])?;
        }
        Ok(())
    }
}

fn insert(connection: &Connection, event: &Event) -> rusqlite::Result<()> {
    let words = words_of(&event.payload);
    if !words.is_empty() {
        connection.prepare_cached(INSERT)?.execute(params![integer(event.sequence_number), words])?;
    }
    Ok(())
}

/// Texts and numbers of a payload, one a line; not the names of members.
fn words_of(payload: &Json) -> String {
    let mut words = String::new();
    let mut values = vec![payload.to_value()];
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) => push(&mut words, &text),
            Value::Number(number) => push(&mut words, &number.to_string()),
            Value::Array(elements) => values.extend(elements.into_iter().rev()),
            Value::Object(members) => values.extend(members.into_iter().map(|(_, value)| value).rev()),
            Value::Null | Value::Bool(_) => {}
        }
    }
    words
}

fn push(words: &mut String, text: &str) {
    if !words.is_empty() {
        words.push('\n');
    }
    words.push_str(text);
}

/// The types that are opted in.
pub(crate) fn types(connection: &Connection) -> rusqlite::Result<Vec<Pattern>> {
    let mut select = connection.prepare("SELECT pattern FROM full_text_types ORDER BY pattern")?;
    let patterns = select.query_map([], |row| Pattern::parse(row.get_ref(0)?.as_str()?).map_err(|error| damaged(0, error.to_string())))?;
    patterns.collect()
}

/// Opts these types in, and no others. What the log has of them is read where they are others than before.
pub(crate) fn opt_in(connection: &mut Connection, wanted: &[Pattern]) -> rusqlite::Result<()> {
    let mut wanted: Vec<&str> = wanted.iter().map(Pattern::as_str).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let before = types(connection)?;
    if before.iter().map(Pattern::as_str).eq(wanted.iter().copied()) {
        return Ok(());
    }
    tracing::info!(types = wanted.join(","), "makes the full text anew");
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM full_text_types", [])?;
    for pattern in &wanted {
        transaction.execute("INSERT INTO full_text_types (pattern) VALUES (?1)", [pattern])?;
    }
    rebuild(&transaction)?;
    transaction.commit()
}

/// Makes it anew from the events.
pub(crate) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(EMPTY, [])?;
    fill(connection, connection)
}

fn fill(from: &Connection, to: &Connection) -> rusqlite::Result<()> {
    let types = types(from)?;
    if types.is_empty() {
        return Ok(());
    }
    let remembered = RememberedNames::default();
    let names = TypeNames { connection: from, remembered: &remembered };
    let filter = Filter { event_types: Some(types), ..Filter::default() };
    let mut select = from.prepare(OF_TYPE)?;
    for type_id in names.named_by(&filter)?.unwrap_or_default() {
        let mut events = select.query([type_id])?;
        while let Some(row) = events.next()? {
            insert(to, &rows::decode(row, &names)?)?;
        }
    }
    Ok(())
}

/// Compares it with what follows from the events, word by word. The first event of which it says something else; `None`: it is as it must be.
pub(crate) fn differs(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    // On the disk, without a name, until it is closed.
    let anew = Connection::open("")?;
    anew.execute_batch(&format!("{TABLE}; BEGIN"))?;
    fill(connection, &anew)?;
    anew.execute_batch("COMMIT")?;
    for connection in [connection, &anew] {
        connection.execute_batch("CREATE VIRTUAL TABLE temp.full_text_words USING fts5vocab(main, full_text, instance)")?;
    }
    let (mut stored, mut made) = (connection.prepare(WORDS)?, anew.prepare(WORDS)?);
    let (mut stored, mut made) = (stored.query([])?, made.query([])?);
    loop {
        let place =
            |row: &rusqlite::Row<'_>| Ok::<_, rusqlite::Error>((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
        let (one, other) = (stored.next()?.map(place).transpose()?, made.next()?.map(place).transpose()?);
        let differs = match (one, other) {
            (None, None) => return Ok(None),
            (Some(one), None) => one,
            (None, Some(other)) => other,
            (Some(one), Some(other)) => match one.cmp(&other) {
                Ordering::Equal => continue,
                Ordering::Less => one,
                Ordering::Greater => other,
            },
        };
        return Ok(Some(differs.1.cast_unsigned()));
    }
}

impl ReadStore {
    /// The types whose events are in the full text.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn full_text_types(&self) -> Result<Vec<Pattern>, ReadError> {
        self.readers().read(|names| types(names.connection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_words_and_names_are_not() {
        let words = |json: &str| words_of(&Json::trusted(json));
        assert_eq!(words(r#"{"a":"one \"two\"\nthree","b":[1.5,null,true,{"c":"f\u00fcnf"}]}"#), "one \"two\"\nthree\n1.5\nfünf");
        assert_eq!(words("{}"), "");
        assert_eq!(words("\"x\""), "x");
    }
}
