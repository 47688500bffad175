//! The verbs of the plugins' kv spaces: get, keys, bytes, as of everything released; and making room of what is over.
//! What is in memory is `kv_space`'s; changes come with batches, through `append`.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::{OptionalExtension, params};
use trackside_model::{
    event::Text,
    ports::{KvValue, KvWrite},
    time::Timestamp,
};

use crate::{
    batch::Flush,
    event_types::TypeNames,
    kv_space::{Slot, Stored},
    pending::Rows,
    readers::ReadError,
    rows::integer,
    shared::{Shared, State},
    store::Store,
};

/// How often keys that are over are removed, at the most.
const PURGE_EVERY_MS: u64 = 1_000;
/// Keys removed at a time.
const PURGED_KEYS: u32 = 256;

pub(crate) const VALUE: &str = "SELECT value, expires_at FROM kv WHERE plugin = ?1 AND key = ?2";
pub(crate) const KEYS: &str =
    "SELECT key FROM kv WHERE plugin = ?1 AND key >= ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY key LIMIT ?4";
pub(crate) const BYTES: &str = "SELECT coalesce(sum(octet_length(key) + octet_length(value)), 0) FROM kv WHERE plugin = ?1";
pub(crate) const OVER: &str = "SELECT plugin, key FROM kv WHERE expires_at <= ?1 LIMIT ?2";

impl Store {
    /// A value of the plugin's space, as of everything that has been released. One that is over is not there.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn kv_get(&self, plugin: &str, key: &str) -> Result<KvValue, ReadError> {
        let shared = self.shared();
        let now = (shared.now)();
        let live = |stored: &Option<Stored>| stored.as_ref().filter(|stored| stored.is_live(now)).map(|stored| stored.value.to_vec());
        shared.with_key(plugin, key, |slot, clock| KvValue { value: live(&slot.stored), stamp: clock })
    }

    /// Keys of the plugin's space with this prefix behind `after`, in order of their bytes, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn kv_keys(&self, plugin: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, ReadError> {
        let shared = self.shared();
        shared.begin_space(plugin)?;
        loop {
            let now = (shared.now)();
            let (in_memory, forgettings) = {
                let state = shared.state();
                (state.kv.keys(plugin, prefix, after, now), state.kv.forgettings())
            };
            // Keys in memory may hide as many of the file's.
            let wanted = limit as usize + in_memory.len();
            let in_file = shared.readers.read(|names| file_keys(names, plugin, prefix, after, now, wanted))?;
            if shared.state().kv.forgettings() != forgettings {
                continue;
            }
            // Behind the last key that was read the file may have more.
            let cut_at = (in_file.len() == wanted).then(|| in_file.last().cloned()).flatten();
            let mut keys: BTreeMap<String, bool> = in_file.into_iter().map(|key| (key, true)).collect();
            keys.extend(in_memory);
            let live = keys.into_iter().filter(|(_, live)| *live).map(|(key, _)| key);
            let whole = live.take_while(|key| cut_at.as_ref().is_none_or(|cut| key <= cut));
            return Ok(whole.take(limit as usize).collect());
        }
    }

    /// Bytes of keys and values that the plugin's space holds. One that is over counts until it is removed, about a second later.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn kv_bytes(&self, plugin: &str) -> Result<u64, ReadError> {
        let shared = self.shared();
        shared.purge_kv()?;
        loop {
            shared.begin_space(plugin)?;
            if let Some(bytes) = shared.state().kv.bytes(plugin) {
                return Ok(bytes);
            }
        }
    }
}

impl Shared {
    /// Brings every key that a batch changes into memory, so that changing them needs no file.
    pub(crate) fn load_kv(&self, kv: &[(Text, Vec<KvWrite>)]) -> Result<(), ReadError> {
        if !kv.is_empty() {
            self.purge_kv()?;
        }
        for (plugin, writes) in kv {
            for write in writes {
                self.with_key(plugin, &write.key, |_, _| ())?;
            }
        }
        Ok(())
    }

    /// Brings the rest of them into memory: those that were forgotten since, or did not fit. While the state is held nothing is forgotten.
    pub(crate) fn load_forgotten_kv(&self, state: &mut State, kv: &[(Text, Vec<KvWrite>)]) -> Result<(), ReadError> {
        for (plugin, writes) in kv {
            for write in writes {
                if state.kv.slot(plugin, &write.key).is_none() {
                    let stored = self.readers.read(|names| file_value(names, plugin, &write.key))?;
                    state.kv.fill(plugin, &write.key, stored);
                }
            }
        }
        Ok(())
    }

    /// Hands over a key as it stands, read from the file if it is not in memory, and the clock.
    fn with_key<T>(&self, plugin: &str, key: &str, mut take: impl FnMut(&Slot, u64) -> T) -> Result<T, ReadError> {
        loop {
            let forgettings = {
                let state = self.state();
                if let Some(slot) = state.kv.slot(plugin, key) {
                    return Ok(take(slot, state.kv.clock()));
                }
                state.kv.forgettings()
            };
            self.begin_space(plugin)?;
            let stored = self.readers.read(|names| file_value(names, plugin, key))?;
            let mut state = self.state();
            // Changed and forgotten since: what was read may be older than that change.
            if state.kv.forgettings() == forgettings {
                state.kv.fill(plugin, key, stored);
                let taken = state.kv.slot(plugin, key).map(|slot| take(slot, state.kv.clock()));
                let durable_commit = state.durable_commit;
                state.kv.trim(durable_commit);
                if let Some(taken) = taken {
                    return Ok(taken);
                }
            }
        }
    }

    /// Counts a space that nobody has touched yet. Nothing of it can change meanwhile: changing needs it counted.
    fn begin_space(&self, plugin: &str) -> Result<(), ReadError> {
        if self.state().kv.bytes(plugin).is_some() {
            return Ok(());
        }
        let bytes = self.readers.read(|names| names.connection.prepare_cached(BYTES)?.query_row([plugin], |row| row.get::<_, i64>(0)))?;
        self.state().kv.begin_space(plugin, bytes.cast_unsigned());
        Ok(())
    }

    /// Removes keys that are over, now and then.
    fn purge_kv(&self) -> Result<(), ReadError> {
        let now = (self.now)();
        {
            let mut state = self.state();
            if state.poisoned.is_some() || state.closing || (state.kv_purged_at.0 != 0 && now.ms_since(state.kv_purged_at) < PURGE_EVERY_MS)
            {
                return Ok(());
            }
            state.kv_purged_at = now;
        }
        let over = self.readers.read(|names| file_keys_over(names, now))?;
        for (plugin, key) in &over {
            self.with_key(plugin, key, |_, _| ())?;
        }
        let mut state = self.state();
        if over.is_empty() || state.poisoned.is_some() || state.closing {
            return Ok(());
        }
        if over.len() == PURGED_KEYS as usize {
            // There may be more.
            state.kv_purged_at = Timestamp(0);
        }
        let commit = state.pending.open_group(self.options.max_commit_events, self.lazy());
        let kv = over.iter().filter_map(|(plugin, key)| state.kv.expire(plugin, key, now, commit)).collect();
        let last_sequence = state.end.sequence;
        state.pending.push(Rows { kv, ..Rows::default() }, last_sequence, Flush::Lazy);
        self.wake_writer(&mut state);
        Ok(())
    }
}

fn file_value(names: &TypeNames<'_>, plugin: &str, key: &str) -> rusqlite::Result<Option<Stored>> {
    let mut select = names.connection.prepare_cached(VALUE)?;
    let stored = select.query_row([plugin, key], |row| {
        let expires_at: Option<i64> = row.get(1)?;
        Ok(Stored { value: Arc::from(row.get_ref(0)?.as_blob()?), expires_at: expires_at.map(|end| Timestamp(end.cast_unsigned())) })
    });
    stored.optional()
}

fn file_keys(
    names: &TypeNames<'_>,
    plugin: &str,
    prefix: &str,
    after: Option<&str>,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let mut select = names.connection.prepare_cached(KEYS)?;
    // The first text behind another one is that one and a zero byte.
    let behind = after.map(|after| format!("{after}\0")).unwrap_or_default();
    let from = prefix.max(&behind);
    let mut rows = select.query(params![plugin, from, integer(now.0), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_str()?;
        if !key.starts_with(prefix) {
            break;
        }
        keys.push(key.to_owned());
    }
    Ok(keys)
}

fn file_keys_over(names: &TypeNames<'_>, now: Timestamp) -> rusqlite::Result<Vec<(Text, String)>> {
    let mut select = names.connection.prepare_cached(OVER)?;
    let rows = select.query_map(params![integer(now.0), PURGED_KEYS], |row| Ok((Text::from(row.get_ref(0)?.as_str()?), row.get(1)?)))?;
    rows.collect()
}
