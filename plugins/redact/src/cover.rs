//! Owns what stands in the place of what was taken out: a mask, or a digest under a key.
//! Leaves finding the places to `places` and `scan`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What stands there afterwards.
pub(crate) enum Cover {
    Mask(String),
    /// Under this key.
    Digest(Vec<u8>),
}

/// Bytes of a digest that are shown: enough that no two values of one log have the same by chance.
const SHOWN_BYTES: usize = 12;

impl Cover {
    /// What stands in the place of this text.
    pub(crate) fn of(&self, text: &str) -> String {
        match self {
            Cover::Mask(mask) => mask.clone(),
            Cover::Digest(key) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
                mac.update(text.as_bytes());
                let digest = mac.finalize().into_bytes();
                let shown: String = digest.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
                format!("hmac:{shown}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_same_for_the_same_value_and_another_under_another_key() {
        let (one, other) = (Cover::Digest(b"one key of bytes".to_vec()), Cover::Digest(b"other key, bytes".to_vec()));
        assert_eq!(one.of("ann@example.com"), one.of("ann@example.com"));
        assert_ne!(one.of("ann@example.com"), one.of("bob@example.com"));
        assert_ne!(one.of("ann@example.com"), other.of("ann@example.com"));
        assert_eq!(one.of("x").len(), "hmac:".len() + 2 * SHOWN_BYTES);
    }

    #[test]
    fn it_is_hmac_sha_256() {
        // RFC 4231, test case 2.
        assert_eq!(Cover::Digest(b"Jefe".to_vec()).of("what do ya want for nothing?"), "hmac:5bdcc146bf60754e6a042426");
    }
}
