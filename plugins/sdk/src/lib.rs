//! What a Rust author of a Trackside plugin imports: a trait for each role, `export!`, and the host's interfaces as plain functions.
//! Leaves the contract itself to `wit/`, and everything that happens outside a call to the host.
//!
//! A plugin is a type that implements [`Plugin`] and the traits of its roles ([`Control`], [`Observer`], [`Worker`], [`Health`]),
//! compiled as a `cdylib` for `wasm32-wasip2`:
//!
//! ```
//! use trackside_sdk::*;
//!
//! struct Patience;
//!
//! impl Plugin for Patience {
//!     fn describe() -> Description {
//!         Description::new("patience").controls(Filter::types(["task:failed"])).priority(50)
//!     }
//! }
//!
//! impl Control for Patience {
//!     fn check(_event: &Event, context: &Context) -> Signal {
//!         match context.attempt {
//!             attempt if attempt < 3 => Signal::retry_after_ms(100 << attempt, "it may work the next time"),
//!             _ => Signal::proceed(),
//!         }
//!     }
//! }
//!
//! export!(Patience: control);
//! ```
//!
//! The host's interfaces are the modules [`log`], [`settings`], [`events`], [`kv`], [`schedule`], [`secrets`], [`http`] and [`progress`]. A component
//! imports those that its code reaches and no others. What the operator did not grant answers with a refusal that says so.

// The generated code names this crate by its own name, here and in a plugin.
extern crate self as trackside_sdk;

#[doc(hidden)]
pub mod bindings;
mod control;
mod description;
mod envelope;
mod error;
mod event;
pub mod events;
mod export;
mod health;
pub mod http;
pub mod kv;
pub mod log;
mod observer;
mod packed;
pub mod progress;
mod refusal;
pub mod schedule;
pub mod secrets;
pub mod settings;
mod worker;

pub use control::{Context, Control, Origin, Point, Signal};
pub use description::{Description, Filter, Plugin, Trigger};
pub use error::Error;
pub use event::{Event, EventBuf, Events, EventsBuf, Iter, Severity};
pub use events::Draft;
pub use health::{Health, Status};
pub use observer::{Delivery, Observer};
pub use settings::Settings;
pub use worker::{Failure, Method, Methods, Task, Worker};

/// What `export!` expands to. Not an interface: nothing here is kept from one version to the next.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings;
    pub use crate::export::{Role, into_about, run, with_methods};
    pub use wit_bindgen;
}
