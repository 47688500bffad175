//! Owns `wasi:random`: the system's randomness where it is granted, and a stream seeded by the call where it is not.
//! Leaves the system's generator to WASI's implementation.

use wasmtime_wasi::{
    p2::bindings::random::{insecure, insecure_seed, random},
    random::WasiRandomView as _,
};

use crate::{
    fault,
    limits::RANDOM_BYTES,
    state::{Cause, State},
};

impl State {
    /// The next number of the call's own stream (SplitMix64). The seed is the call's identity, so that a repetition draws the same.
    fn next_random(&mut self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        if self.call.random == 0 {
            self.call.random = seed(&self.core.name, &self.call.cause);
        }
        self.call.random = self.call.random.wrapping_add(STEP);
        let mut mixed = self.call.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM_BYTES {
            return Err(fault::malformed(format!("it asked for {length} random bytes at once, there are at most {RANDOM_BYTES}")));
        }
        if self.core.grants.random {
            return random::Host::get_random_bytes(self.random(), length);
        }
        let words = (0..length.div_ceil(8)).flat_map(|_| self.next_random().to_le_bytes());
        Ok(words.take(usize::try_from(length).unwrap_or(0)).collect())
    }

    fn random_word(&mut self) -> wasmtime::Result<u64> {
        if self.core.grants.random { random::Host::get_random_u64(self.random()) } else { Ok(self.next_random()) }
    }
}

/// Never 0, which stands for "not seeded".
fn seed(plugin: &str, cause: &Cause) -> u64 {
    let event = cause.event(None).unwrap_or_default();
    let id = uuid::Uuid::new_v5(&event, format!("{plugin}\0{}", cause.call_key()).as_bytes());
    id.as_u64_pair().0 | 1
}

impl random::Host for State {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_word()
    }
}

impl insecure::Host for State {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_word()
    }
}

impl insecure_seed::Host for State {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_word()?, self.random_word()?))
    }
}
