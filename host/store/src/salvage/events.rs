//! The events of a damaged log: read in stretches, and one by one where a stretch cannot be read. What reads as no event is not taken for one.

use rusqlite::{Connection, OptionalExtension, params};
use trackside_model::{event::Event, json::Json, keeping::Gap, time::Timestamp};

use crate::{
    event_types::{RememberedNames, TypeNames},
    rows::{self, count, integer},
    tail,
    write::WriteConnection,
};

/// Events of one stretch.
const STRETCH: u64 = 256;

/// Where a log ends, by everything that speaks of a place in it: its own end may be what cannot be read.
const ENDS: [&str; 6] = [
    "SELECT max(sequence) FROM events",
    "SELECT max(sequence) FROM (SELECT max(sequence) AS sequence FROM events INDEXED BY events_by_type GROUP BY type_id)",
    "SELECT max(sequence) FROM decisions",
    "SELECT max(sequence) FROM cursors",
    "SELECT max(last_sequence) FROM workflows",
    "SELECT max(last) FROM trimmed",
];

/// What was found.
pub(super) struct Found {
    pub(super) saved: u64,
    /// Where the log ends; 0: nothing can be read.
    pub(super) last: u64,
    pub(super) recorded_at: Timestamp,
    pub(super) gaps: Vec<Gap>,
}

/// Copies every event that can be read.
pub(super) fn copy(damaged: &Connection, whole: &mut WriteConnection, mut tell: impl FnMut(u64, u64)) -> rusqlite::Result<Found> {
    let end = ENDS.iter().filter_map(|sql| damaged.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).ok().flatten());
    let end = end.max().unwrap_or(0).cast_unsigned();
    let remembered = RememberedNames::default();
    let names = TypeNames { connection: damaged, remembered: &remembered };
    let mut found = Found { saved: 0, last: 0, recorded_at: Timestamp(0), gaps: Vec::new() };
    let mut after = 0;
    while after < end {
        let through = (after + STRETCH).min(end);
        let stretch = stretch(&names, after, through).or_else(|_| one_by_one(&names, after, through))?;
        for event in stretch {
            // A time that fell, an id that stands twice: the page says something else than it did.
            if event.recorded_at < found.recorded_at || !is_whole(&event) || whole.has_event(&event.event_id)? {
                continue;
            }
            whole.put_event(&event)?;
            if event.sequence_number > found.last + 1 {
                found.gaps.push(Gap { from: found.last + 1, to: event.sequence_number - 1 });
            }
            (found.last, found.recorded_at) = (event.sequence_number, event.recorded_at);
            found.saved += 1;
        }
        after = through;
        tell(after, end);
    }
    if found.last > 0 && found.last < end {
        found.gaps.push(Gap { from: found.last + 1, to: end });
        found.last = end;
    }
    Ok(found)
}

fn stretch(names: &TypeNames<'_>, after: u64, through: u64) -> rusqlite::Result<Vec<Event>> {
    let mut select = names.connection.prepare_cached(tail::BEHIND)?;
    let limit = i64::try_from(STRETCH).unwrap_or(i64::MAX);
    let events = select.query_map(params![integer(after), integer(through), limit], |row| {
        let event = rows::decode(row, names)?;
        // A page of another place would give its own sequences.
        Ok((count(row, 0)?, event))
    })?;
    let mut last = after;
    let mut read = Vec::new();
    for event in events {
        let (sequence, event) = event?;
        if sequence <= last || sequence > through {
            return Err(rows::damaged(0, format!("{sequence} behind {last}")));
        }
        last = sequence;
        read.push(event);
    }
    Ok(read)
}

fn one_by_one(names: &TypeNames<'_>, after: u64, through: u64) -> rusqlite::Result<Vec<Event>> {
    let mut read = Vec::new();
    for sequence in after + 1..=through {
        let mut select = names.connection.prepare_cached(tail::BEHIND)?;
        let event = select.query_row(params![integer(sequence - 1), integer(sequence), 1], |row| rows::decode(row, names)).optional();
        // What cannot be read is lost; that is what this is about.
        read.extend(event.ok().flatten().filter(|event| event.sequence_number == sequence));
    }
    Ok(read)
}

/// Whether the texts are what they must be: nobody looks at them when the log is read.
fn is_whole(event: &Event) -> bool {
    let is_json = |json: &Json| serde_json::from_str::<serde_json::Value>(json.as_str()).is_ok();
    let narration = event.narration.as_str().is_none_or(|text| serde_json::from_str::<serde_json::Value>(text).is_ok());
    event.sequence_number > 0 && is_json(&event.payload) && narration
}
