//! Owns hashes that are the same on every machine and in every version: a share of 0 to 1 for sampling, and a digest for keys.
//! Leaves secrets to whoever has them: neither is keyed.

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A number in 0..1 that is the same for the same parts, and looks random from one to the next.
#[must_use]
pub fn share(parts: &[&str]) -> f64 {
    let digest = digest(parts);
    let first = u64::from_be_bytes(std::array::from_fn(|place| digest[place]));
    (first >> 11) as f64 / (1_u64 << 53) as f64
}

/// SHA-256 of the parts, in hexadecimal digits. Where one part ends matters.
#[must_use]
pub fn hex_digest(parts: &[&str]) -> String {
    digest(parts).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_spread_evenly_and_repeat_themselves() {
        let ids: Vec<String> = (0..2_000).map(|number| format!("id-{number}")).collect();
        let below = ids.iter().filter(|id| share(&["flag", id]) < 0.25).count();
        assert!((400..600).contains(&below), "{below} of 2000 below a quarter");
        // Written down: a share that changes with a version would move everybody to another side.
        assert_eq!(hex_digest(&["flag", "id-0"])[..16], *"6d1aea8725934caa");
    }

    #[test]
    fn where_a_part_ends_matters() {
        assert_ne!(hex_digest(&["ab", "c"]), hex_digest(&["a", "bc"]));
    }
}
