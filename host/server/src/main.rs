//! The `trackside` program: reads its arguments and ends with the exit code that the verb came to.
//! Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    trackside::cli::main()
}
