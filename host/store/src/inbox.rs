//! The inbox: a file of its own into which any process of the machine puts events, with one INSERT. What is in it is taken by whoever asks, and
//! told what became of it. Nobody's lock on it reaches the log; taking an event through the door is the engine's.

use std::{fs, path::Path, time::Duration};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, params, types::ValueRef};
use trackside_model::time::Timestamp;
use uuid::Uuid;

use crate::{failpoint, rows::integer};

/// Its folder in the data directory: what happens there is heard of apart from what happens in the log.
const FOLDER: &str = "inbox";
const FILE: &str = "inbox.db";
/// `TRSI`: marks a file as an inbox.
const APPLICATION_ID: i64 = 0x5452_5349;
const VERSION: u32 = 2;
/// How long a write waits for an outsider's; the outcome is written later, if it is longer.
const BUSY_TIMEOUT: Duration = Duration::from_millis(20);
/// Settled rows that are removed at a time.
const REMOVED_AT_A_TIME: i64 = 1_000;

/// The inbox of a data directory.
#[derive(Debug)]
pub struct Inbox {
    connection: Mutex<Connection>,
    identity: Uuid,
}

/// A row that waits, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxRow {
    /// Its number.
    pub id: i64,
    /// The event's identity: the one that was given, or its text, or else derived from the inbox and the number; a CloudEvent's stands in itself.
    pub event_id: Result<Option<Uuid>, String>,
    /// The fields by their columns' names; those that are not there are not given.
    pub fields: Vec<(&'static str, String)>,
    /// A column that holds something else than text.
    pub malformed: Option<&'static str>,
    /// Bytes of its texts, where they are more than was asked for: then none of them is here.
    pub too_large: Option<u64>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The row.
    pub id: i64,
    /// In the words of the answers on every edge.
    pub outcome: &'static str,
    /// The event's place in the log, if it has one.
    pub sequence_number: Option<u64>,
    /// The event's id.
    pub event_id: Option<Uuid>,
    /// Why, where there is something to say.
    pub reason: Option<String>,
}

/// Why the inbox cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The folder cannot be made.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is some other file.
    #[error("{0} is not an inbox of this program; move it away, and a new one is made at the next start")]
    Foreign(String),
    /// What was written did not become so: a trigger or a view stands in the way.
    #[error("what became of row {0} cannot be written down: a trigger or a view stands in the way, which somebody has added; remove it")]
    Hindered(i64),
    /// Somebody else is writing it; try again later.
    #[error("another process holds a write transaction on it open")]
    Busy,
    /// The database refuses.
    #[error("{0}")]
    Database(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for InboxError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Database(error),
        }
    }
}

/// The text columns that make an event, in the order in which they are read behind `id` and `event_id`.
const FIELDS: [&str; 12] = [
    "event_type",
    "source_component",
    "payload",
    "severity",
    "timestamp",
    "correlation_id",
    "causation_id",
    "workflow_id",
    "task_id",
    "provider_id",
    "metadata",
    "cloud_event",
];

/// What waits, without the texts of rows that are too large: they are not to be read into memory to be refused.
const WAITING: &str = "SELECT id, iif(bytes > ?3, NULL, event_id), iif(bytes > ?3, NULL, event_type), iif(bytes > ?3, NULL, source_component), \
     iif(bytes > ?3, NULL, payload), iif(bytes > ?3, NULL, severity), iif(bytes > ?3, NULL, timestamp), iif(bytes > ?3, NULL, correlation_id), \
     iif(bytes > ?3, NULL, causation_id), iif(bytes > ?3, NULL, workflow_id), iif(bytes > ?3, NULL, task_id), \
     iif(bytes > ?3, NULL, provider_id), iif(bytes > ?3, NULL, metadata), iif(bytes > ?3, NULL, cloud_event), bytes FROM (SELECT *, \
     ifnull(octet_length(event_id), 0) + ifnull(octet_length(event_type), 0) + ifnull(octet_length(source_component), 0) \
     + ifnull(octet_length(payload), 0) + ifnull(octet_length(severity), 0) + ifnull(octet_length(timestamp), 0) \
     + ifnull(octet_length(correlation_id), 0) + ifnull(octet_length(causation_id), 0) + ifnull(octet_length(workflow_id), 0) \
     + ifnull(octet_length(task_id), 0) + ifnull(octet_length(provider_id), 0) + ifnull(octet_length(metadata), 0) \
     + ifnull(octet_length(cloud_event), 0) AS bytes \
     FROM inbox WHERE outcome IS NULL AND id > ?1 ORDER BY id LIMIT ?2)";
/// Bytes of the rows that are read in one go, about.
const PAGE_BYTES: u64 = 4 << 20;

impl Inbox {
    /// Where an inbox of a data directory lies: its folder and its file.
    pub fn path(data_dir: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
        let folder = data_dir.join(FOLDER);
        let file = folder.join(FILE);
        (folder, file)
    }

    /// Opens it, and makes one if there is none.
    ///
    /// # Errors
    /// [`InboxError`], by what stands against it.
    pub fn open(data_dir: &Path) -> Result<Self, InboxError> {
        let (folder, path) = Self::path(data_dir);
        fs::create_dir_all(&folder).map_err(|source| InboxError::Folder { path: folder.display().to_string(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        let foreign = || InboxError::Foreign(path.display().to_string());
        let of_file = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => foreign(),
            _ => error.into(),
        };
        let mark: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(of_file)?;
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(of_file)?;
        let is_empty: bool =
            connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0)).map_err(of_file)?;
        if !(is_empty && version == 0) && (mark != APPLICATION_ID || !(1..=VERSION).contains(&version)) {
            return Err(foreign());
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // What was taken is in the log; an outcome that a power loss takes back is found again by the row's identity.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        if version < VERSION {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            match version {
                0 => {
                    transaction.execute_batch(include_str!("inbox.sql"))?;
                    transaction.execute("INSERT INTO identity (id) VALUES (?1)", [Uuid::new_v4().to_string()])?;
                    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
                }
                _ => {
                    // Indices keep their names when their table is given another one.
                    transaction.execute_batch("ALTER TABLE inbox RENAME TO inbox_1; DROP INDEX inbox_waiting; DROP INDEX inbox_settled")?;
                    transaction.execute_batch(include_str!("inbox.sql"))?;
                    transaction.execute_batch(include_str!("inbox_from_1.sql"))?;
                }
            }
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        let identity: Option<String> = connection.query_row("SELECT id FROM identity", [], |row| row.get(0)).optional()?;
        let identity = identity.and_then(|text| Uuid::parse_str(&text).ok()).ok_or_else(foreign)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(Self { connection: Mutex::new(connection), identity })
    }

    /// Rows that wait behind `after`, in order, at most so many, and of so many bytes each.
    ///
    /// # Errors
    /// [`InboxError`] if the file cannot be read.
    pub fn waiting(&self, after: i64, most: usize, most_bytes: u64) -> Result<Vec<InboxRow>, InboxError> {
        let connection = self.connection.lock();
        let mut select = connection.prepare_cached(WAITING)?;
        let mut found = select.query(params![after, i64::try_from(most).unwrap_or(i64::MAX), integer(most_bytes)])?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = found.next()?
        {
            let row_bytes = row.get::<_, i64>(14)?.cast_unsigned();
            let too_large = (row_bytes > most_bytes).then_some(row_bytes);
            bytes += if too_large.is_some() { 0 } else { row_bytes };
            rows.push(InboxRow { too_large, ..self.decode(row)? });
        }
        Ok(rows)
    }

    fn decode(&self, row: &Row<'_>) -> rusqlite::Result<InboxRow> {
        let id: i64 = row.get(0)?;
        let mut malformed = None;
        let mut text = |column: usize, name: &'static str| -> rusqlite::Result<Option<String>> {
            Ok(match row.get_ref(column)? {
                ValueRef::Null => None,
                ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => Some(text.to_owned()),
                    Err(_) => {
                        malformed = Some(name);
                        None
                    }
                },
                // A number for an id, or a payload that is one.
                ValueRef::Integer(number) => Some(number.to_string()),
                ValueRef::Real(number) => Some(number.to_string()),
                ValueRef::Blob(_) => {
                    malformed = Some(name);
                    None
                }
            })
        };
        let given = text(1, "event_id")?;
        let mut fields = Vec::new();
        for (column, name) in (2..).zip(FIELDS) {
            fields.extend(text(column, name)?.map(|value| (name, value)));
        }
        let event_id = match given {
            Some(given) => Uuid::parse_str(&given).map(Some).map_err(|_| given),
            // A CloudEvent has an identity of its own.
            None if fields.iter().any(|(name, _)| *name == "cloud_event") => Ok(None),
            None => Ok(Some(self.identity_of(id, &fields))),
        };
        Ok(InboxRow { id, event_id, fields, malformed, too_large: None })
    }

    /// The identity of a row that was given none. What stands in the row is part of it: after a loss of power that took back a row whose writer had
    /// not synced it, its number is given to another one.
    fn identity_of(&self, id: i64, fields: &[(&'static str, String)]) -> Uuid {
        let mut text = format!("inbox {id}");
        for (name, value) in fields {
            // With its length, so that no two rows read alike.
            text.push_str(&format!("\n{name} {} {value}", value.len()));
        }
        Uuid::new_v5(&self.identity, text.as_bytes())
    }

    /// Writes down what became of rows, and removes those that were settled before `keep_since`.
    ///
    /// # Errors
    /// [`InboxError::Busy`] while somebody else writes: nothing was written.
    pub fn settle(&self, settled: &[Settled], now: Timestamp, keep_since: Timestamp) -> Result<(), InboxError> {
        failpoint::before("inbox");
        let mut connection = self.connection.lock();
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let sql = "UPDATE inbox SET outcome = ?2, sequence_number = ?3, event_id = coalesce(?4, event_id), reason = ?5, settled_at = ?6 \
                       WHERE id = ?1 AND outcome IS NULL";
            let mut update = transaction.prepare_cached(sql)?;
            for row in settled {
                let (sequence, event_id) = (row.sequence_number.map(integer), row.event_id.map(|id| id.to_string()));
                let told = update.execute(params![row.id, row.outcome, sequence, event_id, row.reason, integer(now.0)])?;
                let sql = "SELECT EXISTS (SELECT 1 FROM inbox WHERE id = ?1 AND outcome IS NULL)";
                // One that is not there any more was taken away by whoever put it there.
                if told == 0 && transaction.prepare_cached(sql)?.query_row([row.id], |row| row.get(0))? {
                    return Err(InboxError::Hindered(row.id));
                }
            }
            let sql = "DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE settled_at < ?1 ORDER BY settled_at LIMIT ?2)";
            transaction.prepare_cached(sql)?.execute(params![integer(keep_since.0), REMOVED_AT_A_TIME])?;
        }
        transaction.commit()?;
        failpoint::after("inbox");
        Ok(())
    }
}
