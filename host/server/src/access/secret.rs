//! Secrets: made from the system's randomness, kept as digests only, and compared in a time that does not tell how near a guess was.

use trackside_model::plugin::Digest;
use uuid::Uuid;

/// The shortest text that is taken for a secret, in bytes.
pub(super) const LEAST_BYTES: usize = 32;

/// A new secret: 64 hexadecimal digits.
pub(crate) fn fresh() -> String {
    // A UUIDv4 has 122 random bits; three of them are hashed so that every digit is random.
    let seed: Vec<u8> = (0..3).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
    Digest::of(&seed).to_string()
}

/// Whether two digests are the same, in a time that does not depend on where they differ.
pub(super) fn same(one: &Digest, other: &Digest) -> bool {
    let differing = one.0.iter().zip(&other.0).fold(0, |differing, (one, other)| std::hint::black_box(differing | (one ^ other)));
    differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_is_another_and_only_the_same_is_the_same() {
        let (one, other) = (fresh(), fresh());
        assert!(one != other && one.len() >= LEAST_BYTES && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digest = Digest::of(one.as_bytes());
        assert!(same(&digest, &Digest::of(one.as_bytes())));
        for place in 0..32 {
            let mut near = digest;
            near.0[place] ^= 1;
            assert!(!same(&digest, &near), "byte {place}");
        }
    }
}
