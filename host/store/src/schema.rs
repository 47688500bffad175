//! The schema's versions: numbered migrations, each applied in one transaction, and the checks before the file is believed.
//! The tables explain themselves in `migrations/`.

use rusqlite::Connection;

use crate::{
    dead_letters,
    event_types::{RememberedNames, TypeNames},
    failpoint,
    open::OpenError,
    ring::event_bytes,
    rows::{self, event_columns},
    trimmed::follows,
};

/// `TRSK`: marks a file as a Trackside log.
const APPLICATION_ID: i64 = 0x5452_534B;
/// Version n is made by the nth of these.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
];
/// The version from which on there is a table of dead letters.
const DEAD_LETTERS_SINCE: u32 = 3;
/// Events that are read at start to see whether the end of the log is whole.
const TAIL_EVENTS: i64 = 256;

/// About how many bytes of them, at the most.
const TAIL_BYTES: usize = 4 << 20;
pub(crate) const TAIL: &str = concat!("SELECT ", event_columns!(), " FROM events ORDER BY sequence DESC LIMIT ?1");

/// Where the log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// The last sequence; 0: the log is empty.
    pub(crate) sequence: u64,
    /// The last event's record time, in nanoseconds since 1970.
    pub(crate) recorded_at_ns: u64,
    /// The highest id in the outbox.
    pub(crate) outbox_id: u64,
}

/// The version that this program writes.
pub(crate) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

fn version(connection: &Connection) -> Result<u32, OpenError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(OpenError::of)
}

/// Refuses what is not a log, or a newer one. The version of what is left.
pub(crate) fn identify(connection: &Connection) -> Result<u32, OpenError> {
    let mark: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(OpenError::of)?;
    let found = version(connection)?;
    let empty: bool =
        connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0)).map_err(OpenError::of)?;
    if mark != APPLICATION_ID && !(empty && found == 0) {
        return Err(OpenError::Foreign);
    }
    match known() {
        known if found > known => Err(OpenError::Newer { found, known }),
        _ => Ok(found),
    }
}

/// Brings the file to the known version.
pub(crate) fn migrate(connection: &mut Connection, found: u32) -> Result<(), OpenError> {
    for (number, migration) in (1u32..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
        failpoint::before("migration");
        let transaction = connection.transaction().map_err(OpenError::of)?;
        transaction.execute_batch(migration).map_err(OpenError::of)?;
        if number == DEAD_LETTERS_SINCE {
            dead_letters::rebuild(&transaction).map_err(OpenError::of)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(OpenError::of)?;
        transaction.pragma_update(None, "user_version", number).map_err(OpenError::of)?;
        transaction.commit().map_err(OpenError::of)?;
        failpoint::after("migration");
        tracing::info!(version = number, "migrated the log");
    }
    Ok(())
}

/// Reads the end of the log, and makes sure that it is whole: no gap but what was trimmed, no row that cannot be read, times in order.
pub(crate) fn check_tail(connection: &Connection) -> Result<End, OpenError> {
    let remembered = RememberedNames::default();
    let names = TypeNames { connection, remembered: &remembered };
    let mut tail = connection.prepare(TAIL).map_err(OpenError::of)?;
    let events = tail.query_map([TAIL_EVENTS], |row| rows::decode(row, &names)).map_err(OpenError::of)?;
    let mut end = End::default();
    let mut later: Option<(u64, u64)> = None;
    let mut bytes = 0;
    for event in events {
        let event =
            event.map_err(|error| OpenError::Damaged { after: later.map_or(0, |(sequence, _)| sequence), what: error.to_string() })?;
        let (sequence, recorded_at) = (event.sequence_number, event.recorded_at.0);
        if let Some((next, next_recorded_at)) = later
            && (recorded_at > next_recorded_at || !follows(connection, sequence, next).map_err(OpenError::of)?)
        {
            return Err(OpenError::Damaged { after: sequence, what: format!("event {next} does not follow") });
        }
        if later.is_none() {
            end = End { sequence, recorded_at_ns: recorded_at, outbox_id: 0 };
        }
        later = Some((sequence, recorded_at));
        bytes += event_bytes(&event);
        if bytes > TAIL_BYTES {
            break;
        }
    }
    let outbox_id: Option<i64> = connection.query_row("SELECT max(id) FROM outbox", [], |row| row.get(0)).map_err(OpenError::of)?;
    end.outbox_id = outbox_id.unwrap_or(0).cast_unsigned();
    Ok(end)
}
