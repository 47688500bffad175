//! `cargo xtask`: what a developer runs besides cargo. This file reads the command line and turns a failure into an exit code.
//! Each command is a file of its own; the house rules are the folder `tidy`.

use std::process::ExitCode;

mod bench;
mod setup;
mod shell;
mod test;
mod tidy;

const USAGE: &str = "\
cargo xtask test [NAME] [-- ARGS…]    set up, build once, run every test; NAME and ARGS go to the tests as with `cargo test`
cargo xtask bench [--json] [--quick]  build the benches in release and run them
cargo xtask tidy                      hold the tree to the house rules";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let done = match command {
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "tidy" if rest.is_empty() => tidy::run(),
        "tidy" => Err(format!("'tidy' takes no arguments, but was given '{}'", rest.join(" "))),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => Err(format!("'{unknown}' is not a command; there are:\n\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\nerror: {message}");
            ExitCode::FAILURE
        }
    }
}
