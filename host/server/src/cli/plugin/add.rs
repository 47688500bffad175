//! `trackside plugin add`: a plugin that ships, with the settings that it needs, or a component of somebody's own, with the settings that stand
//! beside it, put into a plugin directory. Nothing is written over without a word. What the plugin may do is shown, and decided by whoever edits its settings.

use std::{
    ffi::OsStr,
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::de::DeserializeOwned;
use trackside_model::outside::{HttpGrant, SecretGrant};

use super::{CliError, DirectoryArg, Out};
use crate::{shipped, whole_file};

/// How every component and core module begins.
const MAGIC: &[u8] = b"\0asm";

#[derive(Args)]
pub(in crate::cli) struct AddArgs {
    /// The name of a plugin that ships (audit, metrics, rate-limit, retry-policy, sim, …), or the path of a component (NAME.wasm).
    #[arg(value_name = "NAME|FILE")]
    what: PathBuf,
    /// Write over files with other content.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    at: DirectoryArg,
}

/// A file to be written.
struct New<'a> {
    path: PathBuf,
    bytes: &'a [u8],
}

pub(super) fn run(args: &AddArgs) -> Result<(), CliError> {
    let directory = args.at.path();
    let is_file = args.what.extension() == Some(OsStr::new("wasm"));
    let mut out = Out::new();
    if is_file {
        let (name, bytes) = own_component(&args.what)?;
        let component = New { path: directory.join(format!("{name}.wasm")), bytes: &bytes };
        let settings = directory.join(format!("{name}.toml"));
        match own_settings(&args.what)? {
            // The operator's word is not written over by the author's.
            _ if settings.exists() => {
                write_all(&mut out, &directory, &[component], args.force)?;
                out.line(&format!("{} stays as it is", settings.display()))?;
            }
            Some(text) => {
                write_all(&mut out, &directory, &[New { path: settings.clone(), bytes: &text }, component], args.force)?;
                show_grants(&mut out, &settings)?;
            }
            None => {
                write_all(&mut out, &directory, &[component], args.force)?;
                out.line(
                    "without a settings file it has log, settings and a small kv space; put grants and limits into NAME.toml beside it",
                )?;
            }
        }
        return hint(&mut out, &name);
    }
    let shipped = args.what.to_str().and_then(shipped::find).ok_or_else(|| unknown(&args.what))?;
    let name = shipped.name;
    let settings = directory.join(format!("{name}.toml"));
    // Settings first: a host that watches never takes the component up without its grants, which would be growth when they come.
    let files = [
        New { path: settings.clone(), bytes: shipped.settings.as_bytes() },
        New { path: directory.join(format!("{name}.wasm")), bytes: shipped.component },
    ];
    write_all(&mut out, &directory, &files, args.force)?;
    show_grants(&mut out, &settings)?;
    hint(&mut out, name)
}

fn unknown(what: &Path) -> CliError {
    let names: Vec<&str> = shipped::all().iter().map(|shipped| shipped.name).collect();
    CliError::Failed(format!(
        "'{}' is no plugin that ships ({}) and no component (a path that ends in .wasm)",
        what.display(),
        names.join(", ")
    ))
}

fn own_component(path: &Path) -> Result<(String, Vec<u8>), CliError> {
    let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    trackside_wasm::check_name(&name).map_err(CliError::failed)?;
    let bytes = fs::read(path).map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))?;
    if !bytes.starts_with(MAGIC) {
        return Err(CliError::Failed(format!(
            "{} is not WebAssembly; `trackside plugin check` says more about a component",
            path.display()
        )));
    }
    Ok((name, bytes))
}

/// The settings file beside a component, if there is one.
fn own_settings(component: &Path) -> Result<Option<Vec<u8>>, CliError> {
    let path = component.with_extension("toml");
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::Failed(format!("{}: {error}", path.display()))),
    }
}

/// Writes all of them, or, if something else stands in the way of one, none.
fn write_all(out: &mut Out, directory: &Path, files: &[New<'_>], force: bool) -> Result<(), CliError> {
    let failed = |path: &Path, error: io::Error| CliError::Failed(format!("{}: {error}", path.display()));
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let mut missing = Vec::new();
    for file in files {
        match fs::read(&file.path) {
            Ok(there) if there == file.bytes => out.line(&format!("{} is there already", file.path.display()))?,
            Ok(_) if !force => {
                return Err(CliError::Failed(format!("{} is there with other content; --force writes over it", file.path.display())));
            }
            Ok(_) => missing.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(file),
            Err(error) => return Err(failed(&file.path, error)),
        }
    }
    for file in missing {
        whole_file::write(&file.path, file.bytes).map_err(|error| failed(&file.path, error))?;
        out.line(&format!("wrote {} ({} bytes)", file.path.display(), file.bytes.len()))?;
    }
    Ok(())
}

/// What the settings file lets the plugin reach, and what of it this machine does not have.
fn show_grants(out: &mut Out, settings: &Path) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::Failed(format!("{}: {error}", settings.display()));
    let text = fs::read_to_string(settings).map_err(|error| failed(&error))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(&error))?;
    let grants = table.get("grants").and_then(toml::Value::as_table).filter(|grants| !grants.is_empty());
    let Some(grants) = grants else { return out.line("it needs no grants") };
    out.line("it is granted:")?;
    for (name, value) in grants {
        let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match name.as_str() {
            "http" => shown::<HttpGrant>(out, "calling", entries)?,
            "secrets" => shown::<SecretGrant>(out, "the secret", entries)?,
            _ => out.line(&format!("  {name} = {value}"))?,
        }
    }
    for secret in grants.get("secrets").and_then(toml::Value::as_array).into_iter().flatten() {
        let file = secret.get("file").and_then(toml::Value::as_str).filter(|file| !Path::new(file).exists());
        if let Some(file) = file {
            out.line(&format!("the file '{file}' is not here: put the secret there, readable by the host's user alone"))?;
        }
    }
    for folder in grants.get("folders").and_then(toml::Value::as_array).into_iter().flatten() {
        let path = folder.get("path").and_then(toml::Value::as_str).unwrap_or_default();
        if !Path::new(path).is_dir() {
            out.line(&format!("the folder '{path}' is not here: put the one that it may read into {}", settings.display()))?;
        }
    }
    Ok(())
}

/// Grants of the network, as they are told everywhere; what cannot be read is told when it is loaded.
fn shown<T: DeserializeOwned + Display>(out: &mut Out, what: &str, entries: &[toml::Value]) -> Result<(), CliError> {
    let mut grants = entries.iter().filter_map(|entry| entry.clone().try_into::<T>().ok());
    grants.try_for_each(|grant| out.line(&format!("  {what} {grant}")))
}

fn hint(out: &mut Out, name: &str) -> Result<(), CliError> {
    out.line(&format!("a host takes it when it starts, a running one by itself, or with `trackside plugin reload {name}`"))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(directory: &Path, what: &str, force: bool) -> Result<(), String> {
        run(&AddArgs { what: what.into(), force, at: DirectoryArg { plugins: Some(directory.to_owned()) } })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_ships_is_written_once_and_not_over_something_else() {
        let directory = tempfile::tempdir().unwrap();
        let plugins = directory.path().join("made");
        assert_eq!(add(&plugins, "sim", false), Ok(()));
        assert_eq!(add(&plugins, "sim", false), Ok(()));
        let settings = plugins.join("sim.toml");
        fs::write(&settings, "# mine\n").unwrap();
        assert!(add(&plugins, "sim", false).unwrap_err().contains("other content; --force"));
        assert_eq!(fs::read_to_string(&settings).unwrap(), "# mine\n");
        assert_eq!(add(&plugins, "sim", true), Ok(()));
        assert_eq!(fs::read_to_string(&settings).unwrap(), shipped::find("sim").unwrap().settings);
        assert_eq!(fs::read_dir(&plugins).unwrap().count(), 2, "nothing unfinished is left");
    }

    #[test]
    fn a_component_takes_its_settings_along() {
        let directory = tempfile::tempdir().unwrap();
        let (built, plugins) = (directory.path().join("mine.wasm"), directory.path().join("plugins"));
        fs::write(&built, b"\0asm").unwrap();
        assert_eq!(add(&plugins, built.to_str().unwrap(), false), Ok(()));
        assert!(!plugins.join("mine.toml").exists());
        fs::write(directory.path().join("mine.toml"), "priority = 7\n").unwrap();
        assert_eq!(add(&plugins, built.to_str().unwrap(), false), Ok(()));
        assert_eq!(fs::read_to_string(plugins.join("mine.toml")).unwrap(), "priority = 7\n");
        fs::write(plugins.join("mine.toml"), "priority = 8\n").unwrap();
        fs::write(&built, b"\0asm-new").unwrap();
        assert!(add(&plugins, built.to_str().unwrap(), false).unwrap_err().contains("mine.wasm is there with other content"));
        assert_eq!(add(&plugins, built.to_str().unwrap(), true), Ok(()));
        assert_eq!(fs::read_to_string(plugins.join("mine.toml")).unwrap(), "priority = 8\n", "the operator's word");
    }

    #[test]
    fn wrong_names_and_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        assert!(add(directory.path(), "simm", false).unwrap_err().contains("no plugin that ships (alert, audit, authorize,"));
        let text = directory.path().join("text-file.wasm");
        fs::write(&text, "hello").unwrap();
        assert!(add(directory.path(), text.to_str().unwrap(), false).unwrap_err().contains("is not WebAssembly"));
        assert!(add(directory.path(), "/x/host.wasm", false).unwrap_err().contains("host component"));
        assert!(add(directory.path(), "/nowhere/x.wasm", false).unwrap_err().contains("No such file"));
    }
}
