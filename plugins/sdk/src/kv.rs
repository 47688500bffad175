//! Owns access to the plugin's own durable key-value space.
//! Leaves durability, conflicts between calls and limits to the host: a call sees its own writes at once, everybody else when it has
//! returned without a fault; if something it read was changed meanwhile, it is run again.

use crate::bindings::host::trackside::plugin::kv as wit;
use crate::refusal::refusal;

refusal! {
    wit::Refusal {
        /// The operator's settings do not grant it.
        NotGranted => "the key-value space is not granted: the settings need `kv = true` under [grants]",
        /// The key is above the limit.
        KeyTooLong => "the key is longer than the limit for keys",
        /// The value is above the limit.
        ValueTooLarge => "the value is larger than the limit for values",
        /// The plugin's space, or this call's share of writes, is used up.
        Full => "the key-value space is full: see `kv_bytes` under [limits]",
        /// What `compare_and_swap` expected is not what stands there.
        Conflict => "the value is not the expected one",
        /// `increment` met something that is not a number.
        NotANumber => "the value is not a number",
    }
}

/// The value of this key.
///
/// # Errors
/// A refusal.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Refusal> {
    Ok(wit::get(key)?)
}

/// The value of this key as text; bytes that are not UTF-8 are replaced.
///
/// # Errors
/// A refusal.
pub fn get_text(key: &str) -> Result<Option<String>, Refusal> {
    Ok(get(key)?.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

/// Sets a value that stays.
///
/// # Errors
/// A refusal; the old value stands.
pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<(), Refusal> {
    Ok(wit::set(key, value.as_ref(), None)?)
}

/// Sets a value that goes after this many milliseconds.
///
/// # Errors
/// A refusal; the old value stands.
pub fn set_for_ms(key: &str, value: impl AsRef<[u8]>, ttl_ms: u64) -> Result<(), Refusal> {
    Ok(wit::set(key, value.as_ref(), Some(ttl_ms))?)
}

/// Deletes a key. Gives whether it was there.
///
/// # Errors
/// A refusal.
pub fn delete(key: &str) -> Result<bool, Refusal> {
    Ok(wit::delete(key)?)
}

/// Adds to a number (0 if absent; saturates) and gives the sum. Taken as an addition, so it never conflicts.
///
/// # Errors
/// A refusal; the number is unchanged.
pub fn increment(key: &str, by: i64) -> Result<i64, Refusal> {
    Ok(wit::increment(key, by, None)?)
}

/// As `increment`, for a number that goes this many milliseconds after it was first set.
///
/// # Errors
/// A refusal; the number is unchanged.
pub fn increment_for_ms(key: &str, by: i64, ttl_ms: u64) -> Result<i64, Refusal> {
    Ok(wit::increment(key, by, Some(ttl_ms))?)
}

/// Sets (`None`: deletes) a value if the key has the expected one (`None`: is absent).
///
/// # Errors
/// `Refusal::Conflict` if it has another, or another refusal; the old value stands.
pub fn compare_and_swap(key: &str, expected: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Refusal> {
    Ok(wit::compare_and_swap(key, expected, value, None)?)
}

/// At most `limit` keys that begin with `prefix`, in order, after the key `after`.
///
/// # Errors
/// A refusal.
pub fn keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Refusal> {
    Ok(wit::keys(prefix, after, limit)?)
}
