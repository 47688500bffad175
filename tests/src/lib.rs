//! What whole-system tests share: the built binary, places to run it in, hosts, an HTTP client, servers of the world outside, an event
//! stream, and waiting.
//! What is true of the system is said by the tests in `tests/`.

mod binary;
mod cli;
mod host;
mod http;
mod outside;
mod site;
mod socket;
mod sse;
mod wait;

pub use self::{
    binary::binary,
    cli::{Ran, command, finish, run, trackside},
    host::Host,
    http::{Response, request},
    outside::{Answer, Authority, Came, Outside},
    site::Site,
    socket::Socket,
    sse::{Sent, Stream},
    wait::{PATIENCE, eventually, eventually_within},
};
pub use serde_json::{Value, json};
