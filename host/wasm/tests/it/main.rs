//! Guests at the port: each limit, each host interface, each way in which loading fails, over real components.
//! Leaves events, breakers and neighbours to the whole-system tests.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod batches;
mod compile;
mod events;
mod faults;
mod history;
mod kv;
mod large;
mod load;
mod promises;
mod roles;
mod seeded;
mod support;
mod wasi;
