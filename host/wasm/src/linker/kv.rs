//! Owns `kv`: a plugin's own space as one call sees it, with the call's own writes over what has been released.
//! Leaves storing the writes, and finding out that a read has gone stale, to whoever releases the outbox.

use std::collections::{BTreeMap, BTreeSet};

use trackside_model::{
    ports::{FaultKind, HostCallError, KvOp, KvRead, KvWrite},
    time::Timestamp,
};

use crate::{
    bindings::trackside::plugin::kv::{self, Refusal},
    fault,
    limits::{KV_KEY_BYTES, KV_KEYS, KV_VALUE_BYTES},
    state::State,
};

/// The space as the call sees it.
#[derive(Debug, Default)]
pub(crate) struct Space {
    pub(crate) writes: Vec<KvWrite>,
    pub(crate) reads: Vec<KvRead>,
    keys: BTreeMap<String, Seen>,
    /// Bytes that the space held when the call first wrote.
    held: Option<u64>,
}

/// A key that the call has touched.
#[derive(Debug)]
struct Seen {
    /// As the call sees it now.
    value: Option<Vec<u8>>,
    /// As it was released, if the call has looked: the value's bytes (`None`: no such key), the stamp.
    released: Option<(Option<usize>, u64)>,
    /// Whether a read of the released value has been noted, or the call has put its own value in its place.
    settled: bool,
    written: bool,
}

type Answer<T> = wasmtime::Result<Result<T, Refusal>>;

impl State {
    /// Whether the plugin has a space at all, and the key fits into it.
    fn kv_open(&mut self, key: &str, bytes: usize) -> Answer<()> {
        self.count(key.len().saturating_add(bytes))?;
        if !self.core.grants.kv {
            self.core.not_granted_key("its key-value space (kv)", "kv", "true");
            return Ok(Err(Refusal::NotGranted));
        }
        Ok(if key.len() > KV_KEY_BYTES { Err(Refusal::KeyTooLong) } else { Ok(()) })
    }

    /// The key as the call sees it, looked up in what has been released if the call has not touched it.
    fn kv_look(&mut self, key: &str) -> wasmtime::Result<&mut Seen> {
        let known = self.call.space.keys.get(key).is_some_and(|seen| seen.written || seen.released.is_some());
        if !known {
            let found = self.core.calls.kv_get(&self.core.name, key).map_err(unreadable)?;
            self.count(found.value.as_ref().map_or(0, Vec::len))?;
            let released = Some((found.value.as_ref().map(Vec::len), found.stamp));
            self.call.space.keys.insert(key.to_owned(), Seen { value: found.value, released, settled: false, written: false });
        }
        Ok(self.call.space.keys.get_mut(key).expect("it was there or has just been put there"))
    }

    /// The same for an answer that rests on the value, which is then noted.
    fn kv_read(&mut self, key: &str) -> wasmtime::Result<Option<Vec<u8>>> {
        let seen = self.kv_look(key)?;
        let value = seen.value.clone();
        let note = seen.released.filter(|_| !seen.settled);
        seen.settled = true;
        if let Some((_, stamp)) = note {
            self.call.space.reads.push(KvRead { key: key.to_owned(), stamp });
        }
        Ok(value)
    }

    fn kv_expiry(&self, ttl_ms: Option<u64>) -> Option<Timestamp> {
        ttl_ms.map(|ttl_ms| self.call.now.plus_ms(ttl_ms))
    }

    /// Writes, if the space has room for it.
    fn kv_write(&mut self, key: String, value: Option<Vec<u8>>, op: KvOp) -> Answer<()> {
        if let Some(value) = &value
            && !self.kv_has_room(&key, value.len())?
        {
            return Ok(Err(Refusal::Full));
        }
        let replaces = !matches!(op, KvOp::Add { .. });
        match self.call.space.keys.get_mut(&key) {
            Some(seen) => {
                seen.value = value;
                seen.written = true;
                seen.settled |= replaces;
            }
            None => {
                self.call.space.keys.insert(key.clone(), Seen { value, released: None, settled: replaces, written: true });
            }
        }
        self.call.space.writes.push(KvWrite { key, op });
        Ok(Ok(()))
    }

    fn kv_has_room(&mut self, key: &str, value_bytes: usize) -> wasmtime::Result<bool> {
        let held = match self.call.space.held {
            Some(held) => held,
            None => {
                let held = self.core.calls.kv_bytes(&self.core.name).map_err(unreadable)?;
                self.call.space.held = Some(held);
                held
            }
        };
        let allowed = self.core.limits.kv_bytes;
        let new = (key.len() + value_bytes) as u64;
        if held.saturating_add(self.kv_added(key)).saturating_add(new) <= allowed {
            return Ok(true);
        }
        // Only near the limit does it matter what the written keys took before.
        let unknown: Vec<String> = self.call.space.unlooked().chain([key]).map(str::to_owned).collect();
        for key in unknown {
            self.kv_look_released(&key)?;
        }
        let freed = self.call.space.released_bytes(key);
        let total = held.saturating_sub(freed).saturating_add(self.kv_added(key)).saturating_add(new);
        Ok(total <= allowed)
    }

    /// Bytes of what the call has written, `key` apart.
    fn kv_added(&self, key: &str) -> u64 {
        let written = self.call.space.keys.iter().filter(|(other, seen)| seen.written && *other != key);
        written.filter_map(|(other, seen)| seen.value.as_ref().map(|value| (other.len() + value.len()) as u64)).sum()
    }

    fn kv_look_released(&mut self, key: &str) -> wasmtime::Result<()> {
        if self.call.space.keys.get(key).is_some_and(|seen| seen.released.is_some()) {
            return Ok(());
        }
        let found = self.core.calls.kv_get(&self.core.name, key).map_err(unreadable)?;
        let released = Some((found.value.as_ref().map(Vec::len), found.stamp));
        match self.call.space.keys.get_mut(key) {
            Some(seen) => seen.released = released,
            None => {
                self.call.space.keys.insert(key.to_owned(), Seen { value: found.value, released, settled: false, written: false });
            }
        }
        Ok(())
    }
}

impl Space {
    /// Keys that were written without a look at what they held.
    fn unlooked(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter(|(_, seen)| seen.written && seen.released.is_none()).map(|(key, _)| key.as_str())
    }

    /// Bytes that the written keys, and `key`, took before the call.
    fn released_bytes(&self, key: &str) -> u64 {
        let touched = self.keys.iter().filter(|(other, seen)| seen.written || *other == key);
        touched.filter_map(|(other, seen)| seen.released.and_then(|(bytes, _)| bytes).map(|bytes| (other.len() + bytes) as u64)).sum()
    }
}

fn unreadable(error: HostCallError) -> wasmtime::Error {
    fault::plain(FaultKind::Unavailable, format!("its key-value space cannot be read: {error}")).into()
}

/// A number as it is stored; 0 where there is none.
fn number(value: Option<&[u8]>) -> Option<i64> {
    match value {
        None => Some(0),
        Some(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
    }
}

/// Leaves the function with a refusal, if there is one.
macro_rules! granted {
    ($answer:expr) => {
        if let Err(refusal) = $answer {
            return Ok(Err(refusal));
        }
    };
}

impl kv::Host for State {
    fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        granted!(self.kv_open(&key, 0)?);
        self.kv_read(&key).map(Ok)
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> Answer<()> {
        granted!(self.kv_open(&key, value.len())?);
        if value.len() > KV_VALUE_BYTES {
            return Ok(Err(Refusal::ValueTooLarge));
        }
        let op = KvOp::Set { value: value.clone(), expires_at: self.kv_expiry(ttl_ms) };
        self.kv_write(key, Some(value), op)
    }

    fn delete(&mut self, key: String) -> Answer<bool> {
        granted!(self.kv_open(&key, 0)?);
        let existed = self.kv_read(&key)?.is_some();
        Ok(self.kv_write(key, None, KvOp::Delete)?.map(|()| existed))
    }

    fn increment(&mut self, key: String, by: i64, ttl_ms: Option<u64>) -> Answer<i64> {
        granted!(self.kv_open(&key, 0)?);
        // Not noted as a read: an addition holds whatever the number has become.
        let Some(before) = number(self.kv_look(&key)?.value.as_deref()) else { return Ok(Err(Refusal::NotANumber)) };
        let sum = before.saturating_add(by);
        let op = KvOp::Add { by, expires_at: self.kv_expiry(ttl_ms) };
        Ok(self.kv_write(key, Some(sum.to_string().into_bytes()), op)?.map(|()| sum))
    }

    fn compare_and_swap(&mut self, key: String, expected: Option<Vec<u8>>, value: Option<Vec<u8>>, ttl_ms: Option<u64>) -> Answer<()> {
        let bytes = expected.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len);
        granted!(self.kv_open(&key, bytes)?);
        if value.as_ref().is_some_and(|value| value.len() > KV_VALUE_BYTES) {
            return Ok(Err(Refusal::ValueTooLarge));
        }
        if self.kv_read(&key)? != expected {
            return Ok(Err(Refusal::Conflict));
        }
        let op = match &value {
            Some(value) => KvOp::Set { value: value.clone(), expires_at: self.kv_expiry(ttl_ms) },
            None => KvOp::Delete,
        };
        self.kv_write(key, value, op)
    }

    fn keys(&mut self, prefix: String, after: Option<String>, limit: u32) -> Answer<Vec<String>> {
        granted!(self.kv_open(&prefix, after.as_deref().map_or(0, str::len))?);
        let limit = limit.min(KV_KEYS);
        let space = &self.call.space;
        let gone = space.keys.values().filter(|seen| seen.written && seen.value.is_none()).count();
        let wanted = limit.saturating_add(u32::try_from(gone).unwrap_or(u32::MAX));
        let keys = self.core.calls.kv_keys(&self.core.name, &prefix, after.as_deref(), wanted).map_err(unreadable)?;
        let own = space
            .keys
            .iter()
            .filter(|(key, seen)| seen.written && key.starts_with(&prefix) && after.as_ref().is_none_or(|after| *key > after));
        let mut keys: BTreeSet<String> = keys.into_iter().collect();
        for (key, seen) in own {
            match seen.value {
                Some(_) => keys.insert(key.clone()),
                None => keys.remove(key),
            };
        }
        let mut keys: Vec<String> = keys.into_iter().collect();
        keys.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        self.count(keys.iter().map(String::len).sum())?;
        Ok(Ok(keys))
    }
}
