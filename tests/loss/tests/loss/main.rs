//! Loss of power and of whole processes, by chance and hundreds of times: a host with publishers, readers, observers, workflows, an inbox and
//! retention at work loses its disk at any moment, is started again, and must have kept what it said. `power` looks at the store alone.
//!
//! `TRACKSIDE_LOSS_ROUNDS=N TRACKSIDE_LOSS_SEED=S cargo test --workspace --test loss -- --nocapture` runs any number of rounds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stands")]

mod books;
mod clients;
mod freeze;
mod guests;
mod host;
mod life;
mod power;
