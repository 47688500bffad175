//! A plugin's kv space in memory: what the calls of a run have released. It begins with what a file says, and can be written to one.
//! What a call sees of its own writes before they are released is the plugin host's.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trackside_model::{
    ports::{KvOp, KvWrite},
    time::Timestamp,
};

use super::OfflineError;
use crate::kv_value;

/// Keys and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Space {
    entries: BTreeMap<String, Held>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    value: Vec<u8>,
    expires_at: Option<Timestamp>,
}

impl Held {
    fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}

impl Space {
    /// What a JSON object says: each member a key and its value.
    ///
    /// # Errors
    /// [`OfflineError`] names the key.
    pub(crate) fn from_json(members: &Map<String, Value>, now: Timestamp) -> Result<Self, OfflineError> {
        let mut entries = BTreeMap::new();
        for (key, value) in members {
            let (value, ttl_ms) = kv_value::from_json(value).map_err(|error| OfflineError::at(format!("kv.{key}"), error))?;
            entries.insert(key.clone(), Held { value, expires_at: ttl_ms.map(|ttl_ms| now.plus_ms(ttl_ms)) });
        }
        Ok(Self { entries })
    }

    /// The same way back.
    pub(crate) fn to_json(&self, now: Timestamp) -> Map<String, Value> {
        self.entries.keys().filter_map(|key| Some((key.clone(), self.value_json(key, now)?))).collect()
    }

    /// One value, if it is there.
    pub(crate) fn value_json(&self, key: &str, now: Timestamp) -> Option<Value> {
        let held = self.live(key, now)?;
        Some(kv_value::to_json(&held.value, held.expires_at.map(|end| end.ms_since(now))))
    }

    pub(crate) fn get(&self, key: &str, now: Timestamp) -> Option<Vec<u8>> {
        self.live(key, now).map(|held| held.value.clone())
    }

    pub(crate) fn keys(&self, prefix: &str, after: Option<&str>, limit: u32, now: Timestamp) -> Vec<String> {
        let live = self.entries.iter().filter(|(_, held)| held.is_live(now)).map(|(key, _)| key);
        let wanted = live.filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        wanted.take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect()
    }

    pub(crate) fn bytes(&self, now: Timestamp) -> u64 {
        self.entries.iter().filter(|(_, held)| held.is_live(now)).map(|(key, held)| (key.len() + held.value.len()) as u64).sum()
    }

    /// Takes what a call has released.
    pub(crate) fn apply(&mut self, write: KvWrite, now: Timestamp) {
        let KvWrite { key, op } = write;
        match op {
            KvOp::Set { value, expires_at } => drop(self.entries.insert(key, Held { value, expires_at })),
            KvOp::Delete => drop(self.entries.remove(&key)),
            KvOp::Add { by, expires_at } => {
                let fresh = || Held { value: by.to_string().into_bytes(), expires_at };
                let new = match self.live(&key, now) {
                    None => fresh(),
                    // What is no number stays: the guest was told so when it asked.
                    Some(old) => match std::str::from_utf8(&old.value).ok().and_then(|text| text.parse::<i64>().ok()) {
                        None => old.clone(),
                        Some(number) => Held { value: number.saturating_add(by).to_string().into_bytes(), expires_at: old.expires_at },
                    },
                };
                self.entries.insert(key, new);
            }
        }
    }

    fn live(&self, key: &str, now: Timestamp) -> Option<&Held> {
        self.entries.get(key).filter(|held| held.is_live(now))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn space(value: &Value) -> Space {
        Space::from_json(value.as_object().unwrap(), NOW).unwrap()
    }

    #[test]
    fn what_was_written_is_seen_until_its_time_is_over() {
        let mut space = space(&json!({"a": "1", "b": {"text": "soon gone", "ttl_ms": 5}}));
        let write = |key: &str, op| KvWrite { key: key.to_owned(), op };
        space.apply(write("a", KvOp::Add { by: 2, expires_at: None }), NOW);
        space.apply(write("c", KvOp::Set { value: vec![0xff], expires_at: Some(NOW.plus_ms(7)) }), NOW);
        assert_eq!(
            Value::Object(space.to_json(NOW)),
            json!({"a": "3", "b": {"text": "soon gone", "ttl_ms": 5}, "c": {"hex": "ff", "ttl_ms": 7}})
        );
        assert_eq!(space.bytes(NOW), 2 + 10 + 2);
        let later = NOW.plus_ms(6);
        assert_eq!((space.get("b", later), space.keys("", None, 10, later)), (None, vec!["a".to_owned(), "c".to_owned()]));
        assert_eq!(space.keys("", Some("a"), 10, later), ["c"]);
        space.apply(write("a", KvOp::Delete), NOW);
        assert_eq!(space.get("a", NOW), None);
    }

    #[test]
    fn an_addition_to_what_is_no_number_changes_nothing() {
        let mut space = space(&json!({"a": "x"}));
        space.apply(KvWrite { key: "a".to_owned(), op: KvOp::Add { by: 1, expires_at: None } }, NOW);
        assert_eq!(space.get("a", NOW), Some(b"x".to_vec()));
    }

    #[test]
    fn a_wrong_value_is_named_by_its_key() {
        let error = Space::from_json(json!({"a": "x", "list": []}).as_object().unwrap(), NOW).unwrap_err();
        assert!(error.to_string().starts_with("kv.list: a value is a string"), "{error}");
    }
}
