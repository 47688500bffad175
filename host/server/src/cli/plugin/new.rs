//! `trackside plugin new`: begins an author's project, and says what to type next. What stands in it is `authoring`'s.

use std::path::Path;

use clap::Args;

use super::{CliError, Out};
use crate::authoring::{self, Language, Project, Role};

#[derive(Args)]
pub(in crate::cli) struct NewArgs {
    /// The plugin's name; the project is written into a folder of that name.
    name: String,
    /// What it is: control (it steers), observer (it watches), worker (it does tasks); several with commas, or by giving it again.
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', default_value = "control")]
    roles: Vec<Role>,
    /// What it is written in.
    #[arg(long = "lang", value_name = "LANGUAGE", default_value = "rust")]
    language: Language,
}

pub(super) fn run(args: &NewArgs) -> Result<(), CliError> {
    let (project, files) = authoring::begin(Path::new(""), &args.name, args.language, &args.roles).map_err(CliError::failed)?;
    let mut out = Out::new();
    out.line(&format!("wrote {}/, a plugin in {}:", args.name, args.language.name()))?;
    for file in &files {
        out.line(format!("  {file:<24}  {}", purpose(file, &project)).trim_end())?;
    }
    out.line(&format!("  {:<24}  the SDK and the contract", "trackside/"))?;
    out.line("build it, run it in a host of its own, and again whenever a file changes:")?;
    out.line(&format!("  trackside plugin dev {}", args.name))?;
    out.flush()
}

fn purpose(file: &str, project: &Project) -> &'static str {
    match file {
        "src/lib.rs" | "plugin.py" | "plugin.js" => "the plugin: begin here",
        "test_plugin.py" | "plugin.test.js" => "its unit tests, which need no host",
        "workflow.yaml" => "a workflow that gives it something to do",
        file if file.starts_with("events/") => "an event, and what should become of it",
        file if project.settings().ends_with(file) => "its settings, limits and grants: the operator's word",
        file if file.ends_with(".md") => "what to type",
        "Cargo.toml" | "pyproject.toml" | "package.json" => "its name, and how it is built",
        _ => "",
    }
}
