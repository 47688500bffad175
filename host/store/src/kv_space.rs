//! The plugins' kv spaces as they stand with everything that has been released, durable or not; and who has changed what since when.
//! Holds a bounded part in memory; reading the rest from the file is `kv`'s.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use trackside_model::{
    event::Text,
    ports::{KvOp, KvRead, KvWrite},
    time::Timestamp,
};

/// Keys kept in memory besides those that wait for the disk.
const KEPT_KEYS: usize = 16_384;
/// Bytes kept in memory besides those that wait for the disk.
const KEPT_BYTES: usize = 32 << 20;

/// A value with its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) value: Arc<[u8]>,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Stored {
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}

/// A key's row from now on; `None`: there is none.
#[derive(Debug)]
pub(crate) struct KvRow {
    pub(crate) plugin: Text,
    pub(crate) key: String,
    pub(crate) stored: Option<Stored>,
}

impl KvRow {
    pub(crate) fn bytes(&self) -> usize {
        self.plugin.len() + row_bytes(&self.key, self.stored.as_ref()) + 64
    }
}

fn row_bytes(key: &str, stored: Option<&Stored>) -> usize {
    stored.map_or(0, |stored| key.len() + stored.value.len())
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) stored: Option<Stored>,
    /// The clock at its last change, or the floor at the time it was read.
    stamp: u64,
    /// The commit that makes it durable.
    commit: u64,
}

#[derive(Debug)]
struct Space {
    /// Bytes of keys and values of all its rows.
    bytes: u64,
    slots: BTreeMap<String, Slot>,
}

/// All spaces.
#[derive(Debug, Default)]
pub(crate) struct KvSpaces {
    /// Counts batches that changed something.
    clock: u64,
    /// A key that is not here was changed at this time at the latest.
    floor: u64,
    forgettings: u64,
    kept_keys: usize,
    kept_bytes: usize,
    spaces: HashMap<Text, Space>,
}

impl KvSpaces {
    pub(crate) fn clock(&self) -> u64 {
        self.clock
    }

    /// Changes whenever keys have been forgotten: what was read from the file before may be older than what was forgotten.
    pub(crate) fn forgettings(&self) -> u64 {
        self.forgettings
    }

    /// Bytes of the space; `None`: not asked of the file yet.
    pub(crate) fn bytes(&self, plugin: &str) -> Option<u64> {
        self.spaces.get(plugin).map(|space| space.bytes)
    }

    /// Takes what the file says of a space, unless it is known.
    pub(crate) fn begin_space(&mut self, plugin: &str, bytes: u64) {
        if !self.spaces.contains_key(plugin) {
            self.spaces.insert(Text::from(plugin), Space { bytes, slots: BTreeMap::new() });
        }
    }

    pub(crate) fn slot(&self, plugin: &str, key: &str) -> Option<&Slot> {
        self.spaces.get(plugin)?.slots.get(key)
    }

    /// Takes what the file says of a key, unless it is known.
    pub(crate) fn fill(&mut self, plugin: &str, key: &str, stored: Option<Stored>) {
        let Some(space) = self.spaces.get_mut(plugin) else { return };
        if !space.slots.contains_key(key) {
            self.kept_keys += 1;
            self.kept_bytes += key.len() + row_bytes(key, stored.as_ref());
            space.slots.insert(key.to_owned(), Slot { stored, stamp: self.floor, commit: 0 });
        }
    }

    /// Keys in memory with this prefix behind `after`, in order, with whether they are live.
    pub(crate) fn keys(&self, plugin: &str, prefix: &str, after: Option<&str>, now: Timestamp) -> Vec<(String, bool)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let Some(space) = self.spaces.get(plugin) else { return Vec::new() };
        let range = space.slots.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        range.map(|(key, slot)| (key.clone(), slot.stored.as_ref().is_some_and(|stored| stored.is_live(now)))).collect()
    }

    /// Whether the key has, or may have, changed since it was read.
    pub(crate) fn changed_since(&self, plugin: &str, read: &KvRead) -> bool {
        self.slot(plugin, &read.key).map_or(self.floor, |slot| slot.stamp) > read.stamp
    }

    /// A batch that changes something begins.
    pub(crate) fn tick(&mut self) {
        self.clock += 1;
    }

    /// Changes a key that is in memory. The row that is to be written.
    pub(crate) fn write(&mut self, plugin: &Text, write: KvWrite, now: Timestamp, commit: u64) -> KvRow {
        let old = self.slot(plugin, &write.key).and_then(|slot| slot.stored.clone());
        let live = old.as_ref().filter(|stored| stored.is_live(now));
        let new = match write.op {
            KvOp::Set { value, expires_at } => Some(Stored { value: value.into(), expires_at }),
            KvOp::Delete => None,
            KvOp::Add { by, expires_at } => Some(added(live, by, expires_at)),
        };
        self.put(plugin, &write.key, old.as_ref(), new.clone(), commit);
        KvRow { plugin: plugin.clone(), key: write.key, stored: new }
    }

    /// Removes a key if it is over: the row that is to be written.
    pub(crate) fn expire(&mut self, plugin: &Text, key: &str, now: Timestamp, commit: u64) -> Option<KvRow> {
        let old = self.slot(plugin, key)?.stored.clone()?;
        if old.is_live(now) {
            return None;
        }
        // Nobody sees a difference, so nobody's read is out of date: the stamp stays.
        let stamp = self.slot(plugin, key).map_or(0, |slot| slot.stamp);
        self.put(plugin, key, Some(&old), None, commit);
        if let Some(slot) = self.spaces.get_mut(plugin).and_then(|space| space.slots.get_mut(key)) {
            slot.stamp = stamp;
        }
        Some(KvRow { plugin: plugin.clone(), key: key.to_owned(), stored: None })
    }

    fn put(&mut self, plugin: &Text, key: &str, old: Option<&Stored>, new: Option<Stored>, commit: u64) {
        let (before, after) = (row_bytes(key, old), row_bytes(key, new.as_ref()));
        self.kept_bytes = self.kept_bytes + after - before.min(self.kept_bytes);
        let space = self.spaces.get_mut(plugin).expect("the space was begun before its keys were changed");
        space.bytes = (space.bytes + after as u64).saturating_sub(before as u64);
        if space.slots.insert(key.to_owned(), Slot { stored: new, stamp: self.clock, commit }).is_none() {
            self.kept_keys += 1;
            self.kept_bytes += key.len();
        }
    }

    /// Forgets the keys that have not changed for longest, beyond the bounds and as far as they are durable.
    pub(crate) fn trim(&mut self, durable_commit: u64) {
        let mut cutoff = self.floor;
        while self.kept_keys > KEPT_KEYS || self.kept_bytes > KEPT_BYTES {
            let before = self.kept_keys;
            self.forget(|slot| slot.stamp <= cutoff && slot.commit <= durable_commit);
            if self.kept_keys < before {
                self.floor = cutoff;
            }
            if cutoff == self.clock {
                break;
            }
            cutoff += (self.clock - cutoff).div_ceil(2);
        }
    }

    /// Forgets everything: what was released and is not durable will never be.
    pub(crate) fn reset(&mut self) {
        self.clock += 1;
        self.floor = self.clock;
        self.forgettings += 1;
        self.kept_keys = 0;
        self.kept_bytes = 0;
        self.spaces.clear();
    }

    fn forget(&mut self, forgotten: impl Fn(&Slot) -> bool) {
        let (mut keys, mut bytes) = (0, 0);
        for space in self.spaces.values_mut() {
            space.slots.retain(|key, slot| {
                let keep = !forgotten(slot);
                if keep {
                    keys += 1;
                    bytes += key.len() + row_bytes(key, slot.stored.as_ref());
                }
                keep
            });
        }
        (self.kept_keys, self.kept_bytes) = (keys, bytes);
        self.forgettings += 1;
    }
}

/// A number in decimal text that is `by` more. What is no number stays: the guest was told so when it asked.
fn added(live: Option<&Stored>, by: i64, expires_at: Option<Timestamp>) -> Stored {
    let Some(old) = live else { return Stored { value: by.to_string().into_bytes().into(), expires_at } };
    match std::str::from_utf8(&old.value).ok().and_then(|text| text.parse::<i64>().ok()) {
        Some(number) => Stored { value: number.saturating_add(by).to_string().into_bytes().into(), expires_at: old.expires_at },
        None => old.clone(),
    }
}
