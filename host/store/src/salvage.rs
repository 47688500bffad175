//! Salvage: a new log out of a damaged one, with every event that can be read. What cannot is noted as a gap, like what was trimmed, and told by an
//! event, so that readers hear of it. The damaged file is only read; what follows from the events is made anew from them.

mod copy;
mod events;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};
use trackside_model::{
    control::{Admitted, Notice},
    event::Text,
    json::Json,
    keeping::{Gap, TRIMMED, TrimmedEvents},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    backup::{BackupError, open_any, put_in_place},
    open::OpenError,
    projections, schema, trimmed,
    verify::{Verified, verify},
    write::WriteConnection,
};

/// Gaps that one event tells of, at the most.
const GAPS_TOLD_AT_ONCE: usize = 512;

/// What was saved, and what was not.
#[derive(Debug)]
pub struct Salvaged {
    /// Events that could be read.
    pub saved: u64,
    /// Events that could not, in order.
    pub lost: Vec<Gap>,
    /// Tables of which rows could not be read, by name.
    pub torn: Vec<&'static str>,
    /// The new log, looked through.
    pub verified: Verified,
}

/// Writes a new log, with what can be read of a damaged one, into a file that does not exist. `now` and `event_id` are for the event that tells of it;
/// `tell` hears how far it has come.
///
/// # Errors
/// [`BackupError`]; nothing is left behind then.
pub fn salvage(
    from: &Path,
    to: &Path,
    now: Timestamp,
    mut event_id: impl FnMut() -> Uuid,
    tell: impl FnMut(u64, u64),
) -> Result<Salvaged, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let damaged = open_any(from).map_err(|error| match error {
        BackupError::Open { source: OpenError::Damaged { what, .. }, path } => {
            let what =
                format!("not even its tables can be made out ({what}), so that nothing of it can be saved; a backup is what is left");
            BackupError::Damaged { path, what }
        }
        error => error,
    })?;
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let salvaged = write(&damaged, from, &part, now, &mut event_id, tell).and_then(|(saved, lost, torn)| {
        let verified = verify(&part, |_, _| ())?;
        put_in_place(&part, to).map_err(|source| BackupError::Io { path: to.to_owned(), source })?;
        Ok(Salvaged { saved, lost, torn, verified })
    });
    if salvaged.is_err() {
        // What could not be finished is of no use to anybody.
        let _ = fs::remove_file(&part);
    }
    salvaged
}

type Written = (u64, Vec<Gap>, Vec<&'static str>);

fn write(
    damaged: &Connection,
    from: &Path,
    part: &Path,
    now: Timestamp,
    event_id: &mut dyn FnMut() -> Uuid,
    tell: impl FnMut(u64, u64),
) -> Result<Written, BackupError> {
    let failed = |source| BackupError::Database { path: part.to_owned(), source };
    // Of an earlier one that was cut off.
    if part.exists() {
        fs::remove_file(part).map_err(|source| BackupError::Io { path: part.to_owned(), source })?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut whole = Connection::open_with_flags(part, flags).map_err(failed)?;
    schema::migrate(&mut whole, 0).map_err(|source| BackupError::Open { path: part.to_owned(), source })?;
    whole.execute_batch("BEGIN").map_err(failed)?;
    let mut whole = WriteConnection::new(whole).map_err(failed)?;
    let found = events::copy(damaged, &mut whole, tell).map_err(failed)?;
    if found.last == 0 {
        return Err(BackupError::Damaged { path: from.to_owned(), what: "no event of it can be read".to_owned() });
    }
    let torn = copy::copy(damaged, whole.connection(), found.last).map_err(failed)?;
    let known = copy::known_gaps(damaged);
    let lost = lost(&found.gaps, &known);
    found.gaps.iter().try_for_each(|gap| trimmed::note(whole.connection(), *gap)).map_err(failed)?;
    trimmed::forget_what_is_there(whole.connection()).map_err(failed)?;
    let mut last = found.last;
    let mut recorded_at = found.recorded_at;
    for some in lost.chunks(GAPS_TOLD_AT_ONCE).chain(lost.is_empty().then_some(&[][..])) {
        last += 1;
        recorded_at = recorded_at.max(now);
        let told =
            TrimmedEvents { ranges: some.to_vec(), events: some.iter().map(Gap::events).sum(), reason: Text::from("salvage"), rule: None };
        let notice = Notice::new(TRIMMED, event_id(), now, Json::from_value(&told)).expect("the catalogue has the type");
        let event = Admitted::notice(notice).into_event(last, recorded_at);
        whole.put_event(&event).map_err(failed)?;
    }
    projections::rebuild(whole.connection()).map_err(failed)?;
    whole.connection().execute_batch("COMMIT").map_err(failed)?;
    Ok((found.saved, lost, torn))
}

/// What is not there, but for what was trimmed before.
fn lost(gaps: &[Gap], known: &[Gap]) -> Vec<Gap> {
    let mut lost = Vec::new();
    for gap in gaps {
        let mut from = gap.from;
        for trimmed in known.iter().filter(|trimmed| trimmed.to >= gap.from && trimmed.from <= gap.to) {
            if trimmed.from > from {
                lost.push(Gap { from, to: trimmed.from - 1 });
            }
            from = from.max(trimmed.to.saturating_add(1));
        }
        if from <= gap.to {
            lost.push(Gap { from, to: gap.to });
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_trimmed_before_is_not_lost() {
        let gaps = |pairs: &[(u64, u64)]| pairs.iter().map(|(from, to)| Gap { from: *from, to: *to }).collect::<Vec<_>>();
        let check = |there: &[(u64, u64)], known: &[(u64, u64)], expected: &[(u64, u64)]| {
            assert_eq!(lost(&gaps(there), &gaps(known)), gaps(expected), "{there:?} {known:?}");
        };
        check(&[(1, 10)], &[], &[(1, 10)]);
        check(&[(1, 10)], &[(1, 10)], &[]);
        check(&[(1, 10), (20, 30)], &[(3, 5), (8, 8), (25, 30)], &[(1, 2), (6, 7), (9, 10), (20, 24)]);
    }
}
