//! The compiling process of tests and benches, which have no `trackside` binary to start.
//! Leaves everything to the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    trackside_wasm::compile_child_main(std::env::args_os().skip(1))
}
