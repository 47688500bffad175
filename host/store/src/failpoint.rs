//! Failpoints: the places before and after each durable step, by name, so that a test can end the host exactly there. What happens at one is said by
//! whoever sets a hook; a release build has neither hooks nor places. Outside of the store a step is done when the log has taken it in; that it is on
//! the disk is `commit`'s.

/// Every durable step. Its places are `STEP-before` and `STEP-after`.
pub const STEPS: [&str; 10] =
    ["backup", "checkpoint", "commit", "inbox", "migration", "observer", "outbox", "reader", "retention", "version"];

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nothing of it is done.
    Before,
    /// All of it is done, and nobody told.
    After,
}

/// What is called at each place, with the step's name.
#[cfg(debug_assertions)]
type Hook = Box<dyn Fn(&'static str, Side) + Send + Sync>;

#[cfg(debug_assertions)]
static HOOK: std::sync::OnceLock<Hook> = std::sync::OnceLock::new();

/// Has every place call this, on the thread that comes past it. Only the first hook of a process counts. `false`: there was one before.
#[cfg(debug_assertions)]
pub fn hook(hook: impl Fn(&'static str, Side) + Send + Sync + 'static) -> bool {
    HOOK.set(Box::new(hook)).is_ok()
}

/// The step is about to be done.
#[inline]
pub fn before(step: &'static str) {
    reach(step, Side::Before);
}

/// The step is done.
#[inline]
pub fn after(step: &'static str) {
    reach(step, Side::After);
}

#[inline]
fn reach(step: &'static str, side: Side) {
    #[cfg(debug_assertions)]
    if let Some(hook) = HOOK.get() {
        debug_assert!(STEPS.contains(&step), "'{step}' stands among the steps");
        hook(step, side);
    }
    #[cfg(not(debug_assertions))]
    let _ = (step, side);
}
