//! Blobs that nobody speaks of any more. Events name a blob by its digest in their payload; those of workflows are the only ones that do.
//! Looked for a step at a time; one that an event has come to speak of meanwhile is found out by the writer, and stays.

use std::collections::HashSet;

use rusqlite::params;
use trackside_model::plugin::Digest;

use super::Retention;
use crate::{
    readers::ReadError,
    rows::{count, integer},
    store::ReadStore,
};

/// Blobs that one search is about, at the most: the next one finds the others.
const MOST_BLOBS: usize = 100_000;
/// Events that one step reads, at the most.
const STEP_EVENTS: i64 = 512;
/// Digits of a digest.
const DIGITS: usize = 64;

pub(crate) const SPEAKING: &str = "SELECT sequence, payload, narration FROM events \
     WHERE sequence > ?1 AND sequence <= ?2 AND workflow_id IS NOT NULL ORDER BY sequence LIMIT ?3";

/// A search for blobs that nobody speaks of.
#[derive(Debug)]
pub struct BlobSearch {
    unspoken_of: HashSet<Digest>,
    at: u64,
    through: u64,
}

impl Retention {
    /// Begins a search: which blobs does no event speak of, up to now?
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn search_blobs(&self, store: &ReadStore) -> Result<BlobSearch, ReadError> {
        // The blobs first: what is put later is not among them.
        let unspoken_of = store.readers().read(|names| {
            let mut select = names.connection.prepare_cached("SELECT digest FROM blobs LIMIT ?1")?;
            let digests = select.query_map([i64::try_from(MOST_BLOBS).unwrap_or(i64::MAX)], |row| row.get(0).map(Digest))?;
            digests.collect::<rusqlite::Result<_>>()
        })?;
        Ok(BlobSearch { unspoken_of, at: 0, through: store.head()? })
    }
}

impl BlobSearch {
    /// Looks on. `true`: it has come to its end.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn look(&mut self, store: &ReadStore) -> Result<bool, ReadError> {
        if self.unspoken_of.is_empty() {
            return Ok(true);
        }
        store.readers().read(|names| {
            let mut select = names.connection.prepare_cached(SPEAKING)?;
            let mut found = select.query(params![integer(self.at), integer(self.through), STEP_EVENTS])?;
            let mut read = 0;
            while let Some(row) = found.next()? {
                read += 1;
                self.at = count(row, 0)?;
                for column in [1, 2] {
                    let text = row.get_ref(column)?.as_str_or_null()?.unwrap_or_default();
                    for digest in digests(text) {
                        self.unspoken_of.remove(&digest);
                    }
                }
            }
            Ok(read < STEP_EVENTS)
        })
    }

    /// What was found, once it has come to its end, as [`Trim::blobs`](crate::Trim::blobs) takes it: at most this many, and those are found once.
    pub fn take(&mut self, most: usize) -> Vec<(Digest, u64)> {
        let taken: Vec<Digest> = self.unspoken_of.iter().take(most).copied().collect();
        taken.into_iter().filter(|digest| self.unspoken_of.remove(digest)).map(|digest| (digest, self.through)).collect()
    }
}

/// Runs of exactly as many hexadecimal digits as a digest has.
pub(crate) fn digests(text: &str) -> impl Iterator<Item = Digest> + '_ {
    text.split(|character: char| !character.is_ascii_hexdigit()).filter(|run| run.len() == DIGITS).filter_map(|run| run.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_in_any_text() {
        let digest = Digest::of(b"x");
        let text = format!(r#"{{"a":"{digest}","b":"{digest}0","c":[{{"d":"x{digest}"}}]}}"#);
        assert_eq!(digests(&text).collect::<Vec<_>>(), [digest, digest]);
    }
}
