//! Events as rows and back. The columns are the schema's; ids that are UUIDs take 16 bytes.
//! Which rows to read is said by `tail`, `find` and `query`.

use std::sync::LazyLock;

use rusqlite::{
    Row, Statement, ToSql,
    types::{ToSqlOutput, Type, ValueRef},
};
use trackside_model::{
    event::{Event, Metadata, Severity, Text},
    json::Json,
    narration::Narration,
    time::Timestamp,
};
use uuid::Uuid;

use crate::event_types::TypeNames;

/// The columns, in the order that [`bind`] and [`decode`] keep.
macro_rules! event_columns {
    () => {
        "sequence, event_id, type_id, severity, timestamp, recorded_at, source_component, correlation_id, causation_id, workflow_id, \
         task_id, provider_id, payload, metadata, narration, parts"
    };
}
pub(crate) use event_columns;

/// How many columns that are.
const COLUMNS: usize = 16;
/// Events that one statement takes where there are as many. Each execution opens a cursor on the table and on each index: shared by so many, a
/// row costs a quarter less; by twice as many no less again.
pub(crate) const MANY: usize = 16;

/// Takes one event.
pub(crate) static INSERT: LazyLock<String> = LazyLock::new(|| insert("INSERT", 1));
/// Takes [`MANY`] events. One that is refused ends the whole transaction: SQLite need not remember how to take back the statement alone.
pub(crate) static INSERT_MANY: LazyLock<String> = LazyLock::new(|| insert("INSERT OR ROLLBACK", MANY));

fn insert(verb: &str, events: usize) -> String {
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    format!("{verb} INTO events ({}) VALUES {}", event_columns!(), vec![row; events].join(", "))
}

/// An id as it is stored: 16 bytes for a UUID in its usual spelling, else the text.
pub(crate) enum StoredId<'a> {
    Uuid(Uuid),
    Text(&'a str),
}

impl<'a> StoredId<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let mut spelling = Uuid::encode_buffer();
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.as_hyphenated().encode_lower(&mut spelling) == text => Self::Uuid(uuid),
            _ => Self::Text(text),
        }
    }
}

impl ToSql for StoredId<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// A sequence, a time or another count as SQLite's integer; the bits are kept.
pub(crate) fn integer(value: u64) -> i64 {
    value.cast_signed()
}

/// Binds an event to [`INSERT`], or as the one at this place, from 0, to [`INSERT_MANY`].
pub(crate) fn bind(insert: &mut Statement<'_>, place: usize, event: &Event, type_id: i64) -> rusqlite::Result<()> {
    let own_id = event.event_id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == &*event.correlation_id;
    let correlation_id = (!own_id).then(|| StoredId::of(&event.correlation_id));
    let metadata = (!event.metadata.is_empty()).then(|| serde_json::to_string(&event.metadata).expect("metadata is strings"));
    let first = place * COLUMNS;
    insert.raw_bind_parameter(first + 1, integer(event.sequence_number))?;
    insert.raw_bind_parameter(first + 2, event.event_id.as_bytes())?;
    insert.raw_bind_parameter(first + 3, type_id)?;
    insert.raw_bind_parameter(first + 4, event.severity as u8)?;
    insert.raw_bind_parameter(first + 5, integer(event.timestamp.0))?;
    insert.raw_bind_parameter(first + 6, integer(event.recorded_at.0))?;
    insert.raw_bind_parameter(first + 7, &*event.source_component)?;
    insert.raw_bind_parameter(first + 8, correlation_id)?;
    insert.raw_bind_parameter(first + 9, event.causation_id.as_deref().map(StoredId::of))?;
    insert.raw_bind_parameter(first + 10, event.workflow_id.as_deref().map(StoredId::of))?;
    insert.raw_bind_parameter(first + 11, event.task_id.as_deref())?;
    insert.raw_bind_parameter(first + 12, event.provider_id.as_deref())?;
    insert.raw_bind_parameter(first + 13, event.payload.as_str())?;
    insert.raw_bind_parameter(first + 14, metadata)?;
    insert.raw_bind_parameter(first + 15, event.narration.as_str())?;
    insert.raw_bind_parameter(first + 16, event.narration.parts())
}

/// The event of a row that has [`COLUMNS`].
pub(crate) fn decode(row: &Row<'_>, names: &TypeNames<'_>) -> rusqlite::Result<Event> {
    let event_id = uuid(row, 1)?;
    let severity: u8 = row.get(3)?;
    let severity = *Severity::ALL.get(usize::from(severity)).ok_or_else(|| damaged(3, format!("severity {severity}")))?;
    let narration = match optional_text(row, 14)? {
        Some(text) => Narration::stored(text.to_owned(), row.get(15)?),
        None => Narration::default(),
    };
    Ok(Event {
        event_id,
        event_type: names.name(row.get(2)?)?,
        timestamp: time(row, 4)?,
        recorded_at: time(row, 5)?,
        sequence_number: count(row, 0)?,
        part: narration.parts(),
        source_component: Text::from(text(row, 6)?),
        correlation_id: id(row, 7)?.unwrap_or_else(|| Text::from(event_id.to_string())),
        causation_id: id(row, 8)?,
        workflow_id: id(row, 9)?,
        task_id: optional_text(row, 10)?.map(Text::from),
        provider_id: optional_text(row, 11)?.map(Text::from),
        severity,
        payload: Json::trusted(text(row, 12)?),
        metadata: match optional_text(row, 13)? {
            Some(text) => serde_json::from_str(text).map_err(|error| damaged(13, error.to_string()))?,
            None => Metadata::new(),
        },
        narration,
    })
}

/// A value that the store cannot have written.
pub(crate) fn damaged(column: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, what.into())
}

pub(crate) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    count(row, column).map(Timestamp)
}

/// A column that holds a [`StoredId`].
pub(crate) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Text>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(_) => Ok(Some(Text::from(uuid(row, column)?.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) as &str))),
        _ => text(row, column).map(|text| Some(Text::from(text))),
    }
}

fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    let bytes = row.get_ref(column)?.as_blob()?;
    Uuid::from_slice(bytes).map_err(|error| damaged(column, error.to_string()))
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}

fn optional_text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<&'a str>> {
    Ok(row.get_ref(column)?.as_str_or_null()?)
}
