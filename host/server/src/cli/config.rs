//! `trackside config`: the commented default file, and what is wrong in a file.
//! Reading and judging are the configuration's.

use std::{fs, path::PathBuf};

use clap::Subcommand;

use super::{CliError, print::Out};
use crate::config::{Config, check_text};

#[derive(Subcommand)]
pub(super) enum ConfigVerb {
    /// Print the configuration with every key, its default and what it means.
    Default,
    /// Say all that is wrong in a configuration file.
    Check {
        /// The file.
        #[arg(default_value = "trackside.toml", value_name = "FILE")]
        file: PathBuf,
    },
}

pub(super) fn run(verb: ConfigVerb) -> Result<(), CliError> {
    let mut out = Out::new();
    match verb {
        ConfigVerb::Default => out.line(Config::default().to_commented_toml().trim_end()),
        ConfigVerb::Check { file } => {
            let place = file.display().to_string();
            let text = fs::read_to_string(&file)
                .map_err(|error| CliError::Failed(format!("{place}: {error}; `trackside config default` prints a file to begin with")))?;
            check_text(&place, &text).map_err(CliError::failed)?;
            out.line(&format!("{place} is right"))
        }
    }
}
