//! `recurse`: calls itself until a stack is used up.
//! Leaves the settings that say where to `support`; its own is `stack`: `calls` (default, the engine's own stack) or `memory` (the stack that
//! the guest keeps in its memory, which ends in an access out of bounds).

mod support;

use trackside_sdk::settings;

/// Keeps nothing in memory, so that only the engine's stack grows. The rotation is done after the call, so that it is not a loop.
#[inline(never)]
fn by_calls(depth: u64, last: u64) -> u64 {
    if depth == last { depth } else { by_calls(depth + 1, last).rotate_left(1) ^ depth }
}

/// Keeps a kilobyte in memory for every call.
#[inline(never)]
fn by_memory(depth: u64) -> u64 {
    let kept = std::hint::black_box([depth; 128]);
    if depth == u64::MAX { depth } else { by_memory(depth + 1) ^ kept[7] }
}

fn recurse() -> String {
    let stack = settings::get::<String>("stack").ok().flatten();
    let depth = if stack.as_deref() == Some("memory") { by_memory(0) } else { by_calls(0, std::hint::black_box(u64::MAX)) };
    depth.to_string()
}

support::hostile!(
    "recurse", "Calls itself for ever.",
    control: Signal::fail(recurse()),
    observer: Err(Error::new(recurse())),
    worker: Ok(recurse()),
);
