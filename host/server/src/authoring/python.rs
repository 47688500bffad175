//! Building a Python project: the world of its roles, componentize-py, and what that says about the author's code without what it says about
//! itself. Which functions have which roles is checked by the SDK's `entry`, while it builds.

use std::{env, time::Duration};

use super::{BuildError, Project, by_way_of, carried, command, scaffold, tools};

/// Builds the project; the component's bytes.
pub(super) fn build(project: &Project, say: &mut dyn FnMut(&str)) -> Result<(Vec<u8>, Duration), BuildError> {
    let python = tools::componentize_py(say)?;
    scaffold::write(&project.folder, "trackside/wit/world.wit", &carried::world(&project.roles))?;
    say(&format!("building {} (Python, which takes some seconds)", project.name));
    by_way_of(project, |made| {
        let environment = tools::environment_of(&python);
        let mut command = command::tool(&python, &project.folder);
        command.arg(environment.join("bin/componentize-py")).args(["--quiet", "--wit-path", "trackside/wit", "--world", carried::WORLD]);
        command.args(["componentize", "--python-path", ".", "trackside.entry", "--output"]).arg(made);
        // An environment that the author has activated gives its packages; else only the standard library is there.
        if env::var_os("VIRTUAL_ENV").is_none() {
            command.env("VIRTUAL_ENV", environment);
        }
        let said = command::run(&mut command)?;
        if said.success { Ok(()) } else { Err(BuildError::Refused { name: project.name.clone(), said: about_the_author(&said.all) }) }
    })
}

/// The traceback of the author's module, without the tool's own around it, and with the paths of the project.
fn about_the_author(said: &str) -> String {
    let (_, inner) = said.split_once("AssertionError: ").unwrap_or(("", said));
    let end = ["\nCaused by:", "\nStack backtrace:"].iter().filter_map(|mark| inner.find(mark)).min().unwrap_or(inner.len());
    let told = inner[..end].trim().replace("File \"/0/", "File \"");
    if told.is_empty() { said.to_owned() } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_traceback_is_what_is_shown() {
        let said = "Traceback (most recent call last):\n  File \"/x/bin/componentize-py\", line 8, in <module>\nAssertionError: Traceback (most recent call last):\n  \
                    File \"/0/plugin.py\", line 1\n    def x(:\n          ^\nSyntaxError: invalid syntax\n\n\nCaused by:\n    SyntaxError\n\nStack backtrace:\n   0: anyhow\n";
        assert_eq!(
            about_the_author(said),
            "Traceback (most recent call last):\n  File \"plugin.py\", line 1\n    def x(:\n          ^\nSyntaxError: invalid syntax"
        );
        assert_eq!(about_the_author("no such file"), "no such file");
    }
}
