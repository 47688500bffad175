//! Waiting for what will come true, however slow the machine is.
//! What it is that is waited for, and what it means if it never comes, is the asker's.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for anything: long enough that only a system that is broken lets it pass.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until there is something, and gives it.
///
/// # Panics
/// When it does not come for as long as [`PATIENCE`]; names `what` was waited for.
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// The same for what takes longer on a slow machine, such as a build.
///
/// # Panics
/// When it does not come for as long as that; names `what` was waited for.
pub fn eventually_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < patience, "{what}: not within {} s", patience.as_secs());
        thread::sleep(PAUSE);
    }
}
