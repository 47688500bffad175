//! Listing a plugin's kv space, page by page, as it is durable: for people who look into it.
//! What plugins themselves read of it is `kv`'s.

use rusqlite::params;
use trackside_model::time::Timestamp;

use crate::{event_types::TypeNames, readers::ReadError, rows::integer, store::ReadStore};

/// Bytes of keys and values on a page, about; but at least one entry, if there is one.
const PAGE_BYTES: usize = 4 << 20;

pub(crate) const LIST: &str = "SELECT key, value, expires_at FROM kv WHERE plugin = ?1 AND key >= ?2 AND (expires_at IS NULL OR expires_at > ?3) ORDER BY key LIMIT ?4";

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// When it is gone; `None`: it stays.
    pub expires_at: Option<Timestamp>,
}

/// A part of a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvPage {
    /// In the order of the keys' bytes.
    pub entries: Vec<KvEntry>,
    /// Behind which key to go on; `None`: that was all.
    pub next: Option<String>,
}

impl ReadStore {
    /// Entries of the plugin's space whose keys begin with `prefix`, behind the key `after`, at most `limit`, without those that are over
    /// at `now`.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn kv_list(&self, plugin: &str, prefix: &str, after: Option<&str>, limit: usize, now: Timestamp) -> Result<KvPage, ReadError> {
        self.readers().read(|names| page(names, plugin, prefix, after, limit, now))
    }
}

fn page(names: &TypeNames<'_>, plugin: &str, prefix: &str, after: Option<&str>, limit: usize, now: Timestamp) -> rusqlite::Result<KvPage> {
    let mut select = names.connection.prepare_cached(LIST)?;
    // The first text behind another one is that one and a zero byte.
    let behind = after.map(|after| format!("{after}\0")).unwrap_or_default();
    let from = prefix.max(&behind);
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = select.query(params![plugin, from, integer(now.0), one_more])?;
    let mut page = KvPage::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_str()?;
        if !key.starts_with(prefix) {
            break;
        }
        if page.entries.len() == limit || bytes > PAGE_BYTES {
            page.next = page.entries.last().map(|entry| entry.key.clone());
            break;
        }
        let value = row.get_ref(1)?.as_blob()?.to_vec();
        let expires_at: Option<i64> = row.get(2)?;
        bytes += key.len() + value.len();
        page.entries.push(KvEntry { key: key.to_owned(), value, expires_at: expires_at.map(|end| Timestamp(end.cast_unsigned())) });
    }
    Ok(page)
}
