//! The store with real files: every test has a directory of its own.

mod support;

mod append;
