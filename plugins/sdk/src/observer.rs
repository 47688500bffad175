//! Owns the observer role: the trait and what a delivery says.
//! Leaves the two shapes in which the host calls it to `export`.

use crate::{Error, Events, Plugin};

/// Watches. Never on anyone's path; sees only what is durable, and its own publishes only if its filter names it as a source.
///
/// ```
/// use trackside_sdk::*;
/// struct Counter;
/// impl Plugin for Counter {
///     fn describe() -> Description {
///         Description::new("counter").observes(Filter::types(["order:**"]))
///     }
/// }
/// impl Observer for Counter {
///     fn observe(events: Events, _delivery: &Delivery) -> Result<(), Error> {
///         for event in events {
///             kv::increment(event.event_type(), 1)?;
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Observer: Plugin {
    /// Takes a batch, in order, all or nothing.
    ///
    /// # Errors
    /// After an error, or a fault, the host delivers again with backoff, in smaller batches until the event that cannot be
    /// handled is alone. What the call published and wrote to `kv` happens only if it returns `Ok`.
    fn observe(events: Events<'_>, delivery: &Delivery) -> Result<(), Error>;
}

/// What is known about a batch beside its events.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The host's clock at the start of the call, in nanoseconds since 1970.
    pub now_ns: u64,
    /// Milliseconds left.
    pub remaining_ms: u64,
    /// 1 for the first delivery of this batch.
    pub attempt: u32,
    /// Whether these events are replayed from the past.
    pub replay: bool,
    /// Events that a live reader was too slow for since its last batch.
    pub missed: u64,
}
