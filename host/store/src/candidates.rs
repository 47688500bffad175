//! Candidates of a query: sequences that the best index of the file gives, merged into the log's order.
//! Whether a candidate matches is asked by `query`.

use rusqlite::{ToSql, params, types::ToSqlOutput};
use trackside_model::event::Filter;
use uuid::Uuid;

use crate::{
    event_types::TypeNames,
    full_text::Words,
    rows::{StoredId, integer},
};

/// Ids or types that are looked for through an index, at the most: more, and the stretch is read through.
const MAX_PROBES: usize = 64;
/// Candidates taken at a time, and the least of one key's among those of many.
const CHUNK: usize = 1_024;
const LEAST_OF_ONE: usize = 64;

pub(crate) const BY_TYPE: &str =
    "SELECT sequence FROM events WHERE type_id = ?1 AND sequence > ?2 AND sequence <= ?3 ORDER BY sequence LIMIT ?4";
pub(crate) const BY_WORKFLOW: &str =
    "SELECT sequence FROM events WHERE workflow_id = ?1 AND sequence > ?2 AND sequence <= ?3 ORDER BY sequence LIMIT ?4";
pub(crate) const BY_CORRELATION: &str =
    "SELECT sequence FROM events WHERE correlation_id = ?1 AND sequence > ?2 AND sequence <= ?3 ORDER BY sequence LIMIT ?4";
/// An event whose correlation is its own id keeps none.
pub(crate) const BY_OWN_ID: &str =
    "SELECT sequence FROM events WHERE event_id = ?1 AND sequence > ?2 AND sequence <= ?3 ORDER BY sequence LIMIT ?4";

/// Events in whose payloads the words are; one that has just been trimmed may be among them.
pub(crate) const BY_TEXT: &str =
    "SELECT rowid FROM full_text WHERE full_text MATCH ?1 AND rowid > ?2 AND rowid <= ?3 ORDER BY rowid LIMIT ?4";

/// One key to look up in one index.
struct Probe<'a> {
    sql: &'static str,
    key: Key<'a>,
}

enum Key<'a> {
    Type(i64),
    Id(StoredId<'a>),
    Words(&'a Words),
}

impl ToSql for Key<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Type(type_id) => type_id.to_sql(),
            Self::Id(id) => id.to_sql(),
            Self::Words(words) => words.expression().to_sql(),
        }
    }
}

/// How a query finds its candidates.
pub(crate) struct Candidates<'a>(Vec<Probe<'a>>);

impl<'a> Candidates<'a> {
    /// The narrowest index for this filter; `None`: none is narrower than the log. `types` are those that candidates must have.
    pub(crate) fn of(filter: &'a Filter, types: Option<&[i64]>) -> Option<Self> {
        let ids = |ids: &'a Option<Vec<String>>| ids.as_deref().filter(|ids| ids.len() <= MAX_PROBES);
        if let Some(workflows) = ids(&filter.workflow_ids) {
            return Some(Self(workflows.iter().map(|id| Probe { sql: BY_WORKFLOW, key: Key::Id(StoredId::of(id)) }).collect()));
        }
        if let Some(correlations) = ids(&filter.correlation_ids) {
            let others = correlations.iter().map(|id| Probe { sql: BY_CORRELATION, key: Key::Id(StoredId::of(id)) });
            let own = correlations.iter().filter_map(|id| Uuid::try_parse(id).ok());
            let own = own.map(|uuid| Probe { sql: BY_OWN_ID, key: Key::Id(StoredId::Uuid(uuid)) });
            return Some(Self(others.chain(own).collect()));
        }
        let types = types.filter(|types| types.len() <= MAX_PROBES)?;
        Some(Self(types.iter().map(|type_id| Probe { sql: BY_TYPE, key: Key::Type(*type_id) }).collect()))
    }

    /// Those in whose payloads these words are.
    pub(crate) fn of_words(words: &'a Words) -> Self {
        Self(vec![Probe { sql: BY_TEXT, key: Key::Words(words) }])
    }

    /// The next candidates behind `after` and not behind `last`, in order; empty: there are none.
    pub(crate) fn next(&self, names: &TypeNames<'_>, after: u64, last: u64) -> rusqlite::Result<Vec<i64>> {
        let most = (CHUNK / self.0.len().max(1)).max(LEAST_OF_ONE);
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let mut sequences: Vec<i64> = Vec::new();
        // Behind this, a key may have more than were taken of it.
        let mut known = i64::MAX;
        for probe in &self.0 {
            let before = sequences.len();
            let mut select = names.connection.prepare_cached(probe.sql)?;
            let mut rows = select.query(params![probe.key, integer(after), integer(last), limit])?;
            while let Some(row) = rows.next()? {
                sequences.push(row.get(0)?);
            }
            if let (true, Some(furthest)) = (sequences.len() - before == most, sequences.last()) {
                known = known.min(*furthest);
            }
        }
        sequences.retain(|sequence| *sequence <= known);
        sequences.sort_unstable();
        sequences.dedup();
        Ok(sequences)
    }
}
