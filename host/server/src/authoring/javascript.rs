//! Building a JavaScript project: the world of its roles, an entry that joins the author's module with the component's imports, and
//! componentize-qjs. Whether the module has the roles is checked by the SDK, while it builds.

use std::{path::Path, time::Duration};

use super::{BuildError, Project, Role, by_way_of, carried, command, scaffold, tools};

/// Interfaces of the host that every role imports.
const IMPORTS: [&str; 6] = ["events", "kv", "log", "schedule", "secrets", "settings"];

/// Builds the project; the component's bytes.
pub(super) fn build(project: &Project, say: &mut dyn FnMut(&str)) -> Result<(Vec<u8>, Duration), BuildError> {
    let (node, tool) = tools::componentize_qjs(say)?;
    scaffold::write(&project.folder, "trackside/wit/world.wit", &carried::world(&project.roles))?;
    scaffold::write(&project.folder, "trackside/entry.js", &entry(project))?;
    say(&format!("building {} (JavaScript)", project.name));
    by_way_of(project, |made| {
        let mut command = command::tool(&node, &project.folder);
        command.arg(tool.join("cli.mjs")).args(["--wit", "trackside/wit", "--world", carried::WORLD, "--js", "trackside/entry.js"]);
        // Without `--sync` it would need the component model's asynchronous functions, which the host does not offer.
        command.args(["--module-root", ".", "--sync", "--output"]).arg(made);
        // The tool prints a colour and a path for everything it does.
        let said = command::run(command.env("NO_COLOR", "1"))?;
        if said.success && made.is_file() {
            return Ok(());
        }
        Err(BuildError::Refused { name: project.name.clone(), said: about_the_author(&said.all, &project.folder) })
    })
}

/// The module that the tool begins with.
fn entry(project: &Project) -> String {
    let progress = project.roles.contains(&Role::Worker).then_some("progress");
    let interfaces: Vec<&str> = IMPORTS.into_iter().chain(progress).collect();
    let imports: String = interfaces.iter().map(|name| format!("import * as {name} from \"trackside:plugin/{name}@0.1.0\";\n")).collect();
    let roles: Vec<&str> = project.roles.iter().map(|role| role.name()).collect();
    format!(
        "// Written by `trackside plugin build`.\n{imports}import author from \"../{}\";\nimport {{ component }} from \"./component.js\";\n\n\
         export const {{ description, {} }} = component(author, {roles:?}, {{ {} }});\n",
        project.main,
        roles.join(", "),
        interfaces.join(", ")
    )
}

/// What is wrong with the author's module, without what the tool says of itself, and with the paths of the project.
fn about_the_author(said: &str, folder: &Path) -> String {
    let told = match said.split_once("Error: : ") {
        Some((_, told)) => told.trim_start_matches("Failed to evaluate user JavaScript module: "),
        None => said,
    };
    let told = told.replace(&format!("{}/", folder.display()), "");
    told.replace("(/", "(").replace("at /", "at ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tool_says_is_about_the_authors_files() {
        let said = "componentize-qjs\n  WIT:    trackside/wit\nError: : Failed to evaluate user JavaScript module: Failed to declare JavaScript module: \
                    Error: invalid property name\n    at /plugin.js:2:1\n    at plugin (/trackside/index.js:14:1)\n";
        assert_eq!(
            about_the_author(said, Path::new("/p")),
            "Failed to declare JavaScript module: Error: invalid property name\n    at plugin.js:2:1\n    at plugin (trackside/index.js:14:1)"
        );
        assert_eq!(about_the_author("no such file", Path::new("/p")), "no such file");
    }
}
