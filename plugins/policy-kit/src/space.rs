//! Owns JSON values in the plugin's key-value space, and keys made of text that somebody else chose.
//! Leaves durability and conflicts between calls to the host: a call that read what was changed meanwhile is run again.

use crate::hex_digest;
use serde::{Serialize, de::DeserializeOwned};
use trackside_sdk::{Error, kv};

/// Text above this many bytes stands in a key by its digest: the host takes 512 in all.
const MOST_KEY_TEXT_BYTES: usize = 200;

/// A key for a text that somebody else chose, of any length.
#[must_use]
pub fn key_of(prefix: &str, text: &str) -> String {
    if text.len() <= MOST_KEY_TEXT_BYTES {
        return format!("{prefix}/{text}");
    }
    // No text that is short enough begins so and is as long.
    format!("{prefix}/sha256:{}", hex_digest(&[text]))
}

/// The value of a key.
///
/// # Errors
/// The host's refusal, or a value of another shape, by its key.
pub fn get_json<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    let Some(bytes) = kv::get(key)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::new(format!("kv {key}: {error}")))
}

/// Sets a value that stays.
///
/// # Errors
/// The host's refusal.
pub fn set_json(key: &str, value: &impl Serialize) -> Result<(), Error> {
    Ok(kv::set(key, serde_json::to_vec(value)?)?)
}

/// Sets a value that goes after this many milliseconds.
///
/// # Errors
/// The host's refusal.
pub fn set_json_for_ms(key: &str, value: &impl Serialize, ttl_ms: u64) -> Result<(), Error> {
    Ok(kv::set_for_ms(key, serde_json::to_vec(value)?, ttl_ms)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_the_hosts_limit() {
        assert_eq!(key_of("bucket", "shop"), "bucket/shop");
        let long = key_of("bucket", &"x".repeat(10_000));
        assert!(long.len() < 100 && long.starts_with("bucket/sha256:"), "{long}");
        assert_ne!(long, key_of("bucket", &"x".repeat(10_001)));
    }
}
