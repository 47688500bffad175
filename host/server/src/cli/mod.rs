//! The command line: which verbs there are, and with which exit code each ends. Every verb has a file.
//! What the verbs do is done by a host, over HTTP, or by the parts of one.

mod client;
mod config;
mod dead_letters;
mod events;
mod plugin;
pub mod print;
mod publish;
mod readers;
mod replay;
mod run;
mod schemas;
mod source;
mod store;
mod submit;
mod token;
mod trust;
mod workflow;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{boot::COMPILE_VERB, demo};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed or refused: what, where and what to do is on standard error
  2  the command line is wrong
  3  no host can be reached

Client verbs speak to http://127.0.0.1:7070 unless --url or TRACKSIDE_URL names another host.";

/// Trackside: an event bus, a durable log and a workflow scheduler, steered by WebAssembly plugins.
#[derive(Parser)]
#[command(name = "trackside", version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// See it at work: a workflow over text files, a policy, an observer, and a hostile plugin that is cut off.
    Demo(demo::DemoArgs),
    /// Run a host until it is told to stop (Ctrl-C, SIGTERM).
    Run(run::RunArgs),
    /// Publish events: from a file, from standard input, or from flags.
    Publish(Box<publish::PublishArgs>),
    /// List, follow and explain events.
    Events(Box<events::EventsArgs>),
    /// Submit a workflow, and wait for its end if asked to.
    Submit(submit::SubmitArgs),
    /// List, show and cancel workflows.
    #[command(subcommand)]
    Workflow(workflow::WorkflowVerb),
    /// List, show, redrive and purge what could not be handed over or published.
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetterVerb),
    /// List, add, remove, reload, put back, bypass, check, call and test plugins; begin, build and develop your own.
    #[command(subcommand)]
    Plugin(plugin::PluginVerb),
    /// List and show the schemas that payloads must fit, and check files of them.
    Schemas(schemas::SchemasArgs),
    /// List, make and take away durable readers, and read from one.
    #[command(subcommand)]
    Readers(readers::ReadersVerb),
    /// Hand a stretch of the past once more to one observer or durable reader; list, show and stop what is under way.
    #[command(subcommand)]
    Replay(replay::ReplayVerb),
    /// Copy the log while a host runs, or look a whole one through.
    /// Copy the log while a host runs, look a whole one through, say what retention would take, give back space.
    #[command(subcommand)]
    Store(store::StoreVerb),
    /// Make, list and remove the tokens that a host asks for.
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Print the default configuration, or check a file.
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// Compiles a component from standard input to standard output; the host calls itself with this.
    #[command(name = COMPILE_VERB, hide = true, disable_help_flag = true)]
    Compile {
        /// The limits that the host gives.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Why a verb did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CliError {
    /// It failed, or was refused.
    #[error("{0}")]
    Failed(String),
    /// It failed, and what there is to say has been said.
    #[error("")]
    Told,
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// There is no host to be reached.
    #[error("{0}")]
    Unreachable(String),
    /// Whoever reads the output has had enough: no failure.
    #[error("")]
    OutputClosed,
}

impl CliError {
    /// A failure, from whatever says what it was.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Failed(_) | Self::Told => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
        }
    }
}

/// Reads the program's arguments and does what they say.
pub fn main() -> ExitCode {
    // Wrong arguments end with 2 and help with 0, in words that clap has.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nobody reads it any more: there is nothing left to say.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli.verb) {
        Ok(code) => code,
        Err(error) => {
            let text = error.to_string();
            if !text.is_empty() {
                eprintln!("error: {text}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode, CliError> {
    #[cfg(debug_assertions)]
    if let Ok(text) = std::env::var(crate::failpoint::VARIABLE) {
        crate::failpoint::arm(&text).map_err(CliError::Failed)?;
    }
    match verb {
        Verb::Demo(args) => demo::run(args)?,
        Verb::Run(args) => run::run(args)?,
        Verb::Publish(args) => publish::run(&args)?,
        Verb::Events(args) => events::run(*args)?,
        Verb::Submit(args) => submit::run(args)?,
        Verb::Workflow(verb) => workflow::run(verb)?,
        Verb::DeadLetters(verb) => dead_letters::run(verb)?,
        Verb::Plugin(verb) => plugin::run(verb)?,
        Verb::Schemas(args) => schemas::run(args)?,
        Verb::Readers(verb) => readers::run(verb)?,
        Verb::Replay(verb) => replay::run(verb)?,
        Verb::Store(verb) => store::run(verb)?,
        Verb::Token(verb) => token::run(verb)?,
        Verb::Config(verb) => config::run(verb)?,
        Verb::Compile { args } => return Ok(crate::compile_child(args)),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_usual_calls_are_understood() {
        for line in [
            "trackside run --plugins p --data d --listen 127.0.0.1:0 --config f",
            "trackside publish -",
            "trackside publish --type a:b --source s --payload {}",
            "trackside events",
            "trackside events --type task:* --json",
            "trackside events list --workflow-id x --data d",
            "trackside events explain 12",
            "trackside events trace 12 --data d --json",
            "trackside store backup copy.db --data d",
            "trackside store verify copy.db",
            "trackside dead-letters list --type order:* --plugin files --older-than 2h --limit 5 --json --data d",
            "trackside dead-letters show 12 --data d",
            "trackside dead-letters redrive 12 --payload f --token-file t",
            "trackside dead-letters redrive --plugin files",
            "trackside dead-letters purge 12 --reason old",
            "trackside dead-letters purge --all --json",
            "trackside store salvage saved.db --data d",
            "trackside store salvage saved.db --from log.db",
            "trackside store trim --dry-run --data d --config f",
            "trackside store compact --data d",
            "trackside store import log.ndjson --data d",
            "trackside store import -",
            "trackside events export --type order:* --from 5 --to 9 -o log.ndjson",
            "trackside events export --data d",
            "trackside events stats",
            "trackside events list --text late",
            "trackside events stats --by severity,minute --type order:* --json --data d",
            "trackside events durations --start order:placed --end order:shipped --pair workflow",
            "trackside events rates --success *:completed --failure *:failed --by source --since 2026-01-31T10:30:00Z",
            "trackside events --follow",
            "trackside readers list --json",
            "trackside readers set billing --type order:* --from start --order correlation --in-flight 10",
            "trackside readers read billing --limit 5 --wait 10s --json",
            "trackside readers read billing -f",
            "trackside readers remove billing",
            "trackside replay begin observer/audit --type order:* --from 1 --through 9 --pace recorded --speed 60 --wait",
            "trackside replay begin reader/billing --effects-of x --token-file t --json",
            "trackside replay list --json",
            "trackside replay show 0198f2b4-0000-7000-8000-000000000001",
            "trackside replay stop 0198f2b4-0000-7000-8000-000000000001",
            "trackside submit f.yaml --input {} --wait --json",
            "trackside workflow list",
            "trackside workflow show x --data d",
            "trackside workflow cancel x --reason late",
            "trackside plugin add files --plugins p",
            "trackside plugin reload files --token-file t",
            "trackside plugin reload files --accept",
            "trackside plugin versions files",
            "trackside plugin rollback files",
            "trackside plugin rollback files 0123/4567 --accept --json",
            "trackside plugin bypass files --for 10m --reason x",
            "trackside plugin bypass files --off",
            "trackside plugin forget files --json --token-file t",
            "trackside plugin check a.wasm --against files",
            "trackside plugin call a.wasm --event e.json --event - --point task-ready --attempt 2 --settings s.toml --json",
            "trackside plugin call a.wasm --event e.json --observe --kv kv.json --log log",
            "trackside plugin call a.wasm --task t.json --role worker",
            "trackside plugin test a.wasm --events cases --update --json",
            "trackside plugin kv files count/ --limit 5 --json --token-file t",
            "trackside plugin kv files --data d",
            "trackside plugin new night-watch",
            "trackside plugin new night-watch --role control,worker --role observer --lang python",
            "trackside plugin new night-watch --lang javascript",
            "trackside plugin build night-watch",
            "trackside plugin dev",
            "trackside plugin dev night-watch --with plugins --data d --port 7171",
            "trackside token add shop --scope publish --scope read --for 90d --data d --json",
            "trackside token list --json",
            "trackside token remove shop",
            "trackside events --token t --url http://localhost:1",
            "trackside publish --type a:b --token-file f --ca c.pem",
            "trackside run --no-watch",
            "trackside config default",
            "trackside compile-component 1 2",
        ] {
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn wrong_calls_are_refused() {
        for line in [
            "trackside",
            "trackside evnets",
            "trackside events --typ x",
            "trackside publish",
            "trackside submit",
            "trackside plugin bypass files",
            "trackside plugin new",
            "trackside plugin new x --role steer",
            "trackside plugin new x --lang cobol",
            "trackside plugin bypass files --for 1m --off",
            "trackside plugin call a.wasm",
            "trackside plugin call a.wasm --event e.json --task t.json",
            "trackside plugin call a.wasm --event e.json --observe --role control",
            "trackside plugin call a.wasm --event e.json --point somewhere",
            "trackside plugin call a.wasm --event e.json --observe --point publish",
            "trackside plugin call a.wasm --task t.json --attempt 2",
            "trackside plugin test a.wasm",
            "trackside publish f --type a:b",
            "trackside readers read billing -f --limit 3",
            "trackside readers set",
            "trackside replay begin",
            "trackside replay begin observer/a --from x",
            "trackside store trim",
            "trackside token",
            "trackside token add shop",
            "trackside token add --scope read",
            "trackside store import",
            "trackside events durations --start a:b",
            "trackside events --text late --follow",
            "trackside events rates --success a:b",
            "trackside dead-letters redrive --payload f",
            "trackside dead-letters purge 12 --all",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
