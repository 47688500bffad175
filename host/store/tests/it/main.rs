//! The store with real files: every test has a directory of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stands")]

mod append;
mod beside;
mod crash;
mod export;
mod frozen;
mod full_text;
mod kv;
mod opening;
mod query;
mod reading;
mod salvage;
mod support;
mod survey;
