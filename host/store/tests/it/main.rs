//! The store with real files: every test has a directory of its own.

mod append;
mod beside;
mod crash;
mod kv;
mod opening;
mod query;
mod reading;
mod support;
