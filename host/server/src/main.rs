//! The `trackside` program: reads its arguments and ends with the exit code that the verb came to.
//! Everything else is in the library.

use std::process::ExitCode;

/// Events are made on one thread and let go on another, which the system's allocator is slow at: with this one a publish takes an eighth less of
/// the processors.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    trackside::cli::main()
}
