//! Owns the limiter of an instance's memory and tables, and the bounds that no settings file changes.
//! Leaves the limits themselves to the plugin's settings, and naming the fault to `fault`.

use trackside_model::plugin::Limits;
use wasmtime::{Error, ResourceLimiter};

/// Bytes of a key in a plugin's kv space.
pub const KV_KEY_BYTES: usize = 512;
/// Bytes of a value in a plugin's kv space.
pub const KV_VALUE_BYTES: usize = 256 << 10;
/// Bytes that the kv space of a plugin may hold whose settings do not speak of kv.
pub const SMALL_KV_BYTES: u64 = 1 << 20;
/// Keys that one `kv.keys` gives.
pub const KV_KEYS: u32 = 1_000;
/// Bytes of one chunk of progress.
pub const PROGRESS_CHUNK_BYTES: usize = 64 << 10;
/// Reports of progress of one call.
pub const PROGRESS_REPORTS: u32 = 10_000;
/// Bytes that each host call counts besides those it passes, against `result_bytes`: what the host keeps for it.
pub const HOST_CALL_BYTES: u64 = 64;
/// Bytes that each log line counts besides its text, against `log_bytes`.
pub const LOG_LINE_BYTES: u64 = 16;
/// Random bytes that one call of `wasi:random` gives.
pub const RANDOM_BYTES: u64 = 1 << 20;
/// Farthest that an event can be scheduled ahead, in milliseconds: ten years.
pub const SCHEDULE_AHEAD_MS: u64 = 10 * 366 * 24 * 3_600_000;
/// Things that are reported of one plugin version: as not granted, or cut at a limit. What comes after them is still refused.
pub const REPORTS: usize = 100;
/// Resources of WASI (streams, pollables, files) that an instance holds at a time.
pub const RESOURCES: usize = 10_000;
/// Milliseconds that `describe` has.
pub const DESCRIBE_TIMEOUT_MS: u64 = 2_000;
/// Fuel that `describe` has.
pub const DESCRIBE_FUEL: u64 = 20_000_000_000;
/// Bytes of a settings file.
pub const SETTINGS_BYTES: u64 = 1 << 20;

/// Memory or tables that were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Bytes wanted in all.
    Memory(u64),
    /// Elements wanted in all.
    Tables(u64),
}

/// Counts the memory and table elements of a store. A guest only sees that growing failed and usually traps later; what was refused
/// is noted here, so that the fault has its true name.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: Count,
    tables: Count,
    instances: usize,
    /// What was refused last in this call.
    pub(crate) refused: Option<Refused>,
}

#[derive(Debug)]
struct Count {
    used: u64,
    allowed: u64,
    /// The last growth went past the maximum that the guest itself declares: its failure is the guest's own affair.
    past_own_maximum: bool,
}

impl Count {
    /// Takes a growth, or gives what is wanted in all if that is too much.
    ///
    /// A growth that is allowed here but fails afterwards stays counted: a wrong count in the guest's favour could be repeated.
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<(), u64> {
        // A maximum no smaller than what is allowed is the pool's slot, and meeting it is meeting the limit.
        self.past_own_maximum = maximum.is_some_and(|maximum| desired > maximum && (maximum as u64) < self.allowed);
        if self.past_own_maximum {
            return Ok(());
        }
        let wanted = self.used.saturating_add(desired.saturating_sub(current) as u64);
        if wanted > self.allowed {
            return Err(wanted);
        }
        self.used = wanted;
        Ok(())
    }
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: Count { used: 0, allowed: limits.memory_bytes, past_own_maximum: false },
            tables: Count { used: 0, allowed: limits.table_elements, past_own_maximum: false },
            instances: usize::try_from(limits.instances).unwrap_or(usize::MAX),
            refused: None,
        }
    }

    /// The limit that `refused` ran into.
    pub(crate) fn allowed(&self, refused: Refused) -> u64 {
        match refused {
            Refused::Memory(_) => self.memory.allowed,
            Refused::Tables(_) => self.tables.allowed,
        }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        match self.memory.grow(current, desired, maximum) {
            Ok(()) => Ok(true),
            Err(wanted) => {
                self.refused = Some(Refused::Memory(wanted));
                Ok(false)
            }
        }
    }

    fn memory_grow_failed(&mut self, _error: Error) -> wasmtime::Result<()> {
        if !self.memory.past_own_maximum {
            self.refused = Some(Refused::Memory(self.memory.used));
        }
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        match self.tables.grow(current, desired, maximum) {
            Ok(()) => Ok(true),
            Err(wanted) => {
                self.refused = Some(Refused::Tables(wanted));
                Ok(false)
            }
        }
    }

    fn table_grow_failed(&mut self, _error: Error) -> wasmtime::Result<()> {
        if !self.tables.past_own_maximum {
            self.refused = Some(Refused::Tables(self.tables.used));
        }
        Ok(())
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}
