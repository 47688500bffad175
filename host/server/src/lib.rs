//! The `trackside` program as a library: boot and stop order, configuration, HTTP and the command line, so that a host can be embedded.
//! Business rules are the engine's and the model's.

mod access;
pub mod authoring;
pub mod boot;
pub mod cli;
pub mod config;
pub mod demo;
pub mod explain;
#[cfg(debug_assertions)]
mod failpoint;
mod file_mark;
pub mod http;
mod inbox;
mod kv_value;
mod offline;
pub mod params;
pub mod plugins;
pub mod schemas;
pub mod shipped;
pub mod survey;
pub mod trace;
mod whole_file;

pub use trackside_wasm::compile_child_main as compile_child;
