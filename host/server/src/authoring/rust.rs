//! Building a Rust project: the target, which rustup adds if it is missing, and cargo, whose progress and errors are seen as they come.
//! How a component is optimised is said by the project's own manifest.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{BuildError, Project, ToolError, command};

const TARGET: &str = "wasm32-wasip2";
const REMEDY: &str = "  by rustup, https://rustup.rs";

/// Builds the project; the component's bytes.
pub(super) fn build(project: &Project, say: &mut dyn FnMut(&str)) -> Result<(Vec<u8>, Duration), BuildError> {
    let missing = |what| ToolError::Missing { what, language: "Rust", remedy: REMEDY };
    let cargo = program("CARGO", "cargo").ok_or_else(|| missing("cargo"))?;
    let rustc = program("RUSTC", "rustc").ok_or_else(|| missing("rustc"))?;
    see_to_the_target(&rustc, &project.folder, say)?;
    say(&format!("building {} (Rust)", project.name));
    let begun = Instant::now();
    let mut command = command::tool(&cargo, &project.folder);
    command.args(["build", "--release", "--target", TARGET, "--lib", "--message-format", "json-render-diagnostics"]);
    let said = command::run_in_sight(&mut command)?;
    if !said.success {
        return Err(BuildError::Told(project.name.clone()));
    }
    let manifest = fs::canonicalize(project.folder.join("Cargo.toml")).unwrap_or_default();
    let path = component(&said.out, &manifest).ok_or_else(|| {
        let message = format!("{} has no component: write crate-type = [\"cdylib\"] under [lib] of its Cargo.toml", project.name);
        BuildError::NoComponent(message)
    })?;
    let component = fs::read(&path).map_err(|source| BuildError::File { path, source })?;
    Ok((component, begun.elapsed()))
}

/// The one that a variable names, as cargo's own subcommands find it; else the one on the PATH.
fn program(variable: &str, name: &str) -> Option<OsString> {
    env::var_os(variable).filter(|value| !value.is_empty()).or_else(|| command::find(&[name]).map(PathBuf::into_os_string))
}

fn see_to_the_target(rustc: &OsString, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<(), BuildError> {
    if has_target(rustc, folder)? {
        return Ok(());
    }
    say(&format!("adding the standard library for {TARGET} (once)"));
    let said = match command::find(&["rustup"]) {
        Some(rustup) => command::run_in_sight(command::tool(rustup, folder).args(["target", "add", TARGET]))?.all,
        None => "there is no rustup on the PATH".to_owned(),
    };
    if has_target(rustc, folder)? {
        return Ok(());
    }
    let remedy = format!(
        "type, in the project's folder:\n  rustup target add {TARGET}\nor, with a distribution's Rust, install its package of that target, in the compiler's own version"
    );
    Err(ToolError::NotInstalled { what: format!("the standard library for {TARGET}"), said, remedy }.into())
}

fn has_target(rustc: &OsString, folder: &Path) -> Result<bool, BuildError> {
    let said = command::run(command::tool(rustc, folder).args(["--print", "target-libdir", "--target", TARGET]))?;
    let Ok(entries) = Path::new(said.out.trim()).read_dir() else { return Ok(false) };
    Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
}

/// The component among the files that cargo says it has made, of the package with this manifest.
fn component(messages: &str, manifest: &Path) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut components = artifacts.filter(|message| {
        message["reason"] == "compiler-artifact" && message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest)
    });
    components.find_map(|message| {
        let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from);
        files.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_is_found_among_what_cargo_made() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/p/sdk/Cargo.toml","filenames":["/t/libsdk.rlib"]}"#,
            "\nnot JSON\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/night_watch.wasm","/t/libnight_watch.rlib"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(component(messages, Path::new("/p/Cargo.toml")), Some(PathBuf::from("/t/night_watch.wasm")));
        assert_eq!(component(messages, Path::new("/p/sdk/Cargo.toml")), None);
    }
}
