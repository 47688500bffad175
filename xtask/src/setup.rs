//! What a machine needs before anything is built: a C compiler for SQLite, and the standard library for `wasm32-wasip2`, which is added if it can be.
//! Nothing else is installed.

use std::{env, ffi::OsString, path::Path, process::Command};

use crate::shell;

/// The target that guests are built for.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// Sees to it that guests can be built.
///
/// # Errors
/// Says what to type where it could not be done from here.
pub(crate) fn check() -> Result<(), String> {
    c_compiler()?;
    target(GUEST_TARGET)
}

/// Sees to it that a target can be built for.
///
/// # Errors
/// Says what to type where its standard library could not be added.
pub(crate) fn target(target: &str) -> Result<(), String> {
    if is_there(target)? {
        return Ok(());
    }
    eprintln!("the standard library for {target}, which plugins are built for, is missing; adding it");
    let added = shell::run(Command::new("rustup").args(["target", "add", target]).current_dir(shell::root()));
    match (added, is_there(target)?) {
        (_, true) => Ok(()),
        (Ok(()), false) => Err(remedy(target, "rustup added it to another toolchain than the one that builds here")),
        (Err(why), false) => Err(remedy(target, &why)),
    }
}

/// Asks the compiler, and not rustup: it is the compiler that needs it, and distributions ship it without rustup.
fn is_there(target: &str) -> Result<bool, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let folder = shell::capture(Command::new(rustc).args(["--print", "target-libdir", "--target", target]).current_dir(shell::root()))?;
    Ok(has_standard_library(Path::new(folder.trim())))
}

fn has_standard_library(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

fn remedy(target: &str, why: &str) -> String {
    format!(
        "the standard library for {target} could not be added: {why}\n\
         with rustup (https://rustup.rs), type in this folder:   rustup target add {target}\n\
         with a distribution's Rust, install its package of that target (Fedora: rust-std-static-{target}), in the compiler's own version"
    )
}

/// SQLite travels as C source.
fn c_compiler() -> Result<(), String> {
    let named = ["CC", "HOST_CC"].iter().any(|name| env::var_os(name).is_some());
    let found = || ["cc", "gcc", "clang"].iter().any(|name| on_path(name));
    if named || found() {
        return Ok(());
    }
    Err("no C compiler is on the PATH; SQLite is built from source, and Rust links with it\n\
         Debian, Ubuntu:   sudo apt-get install build-essential\n\
         Fedora:           sudo dnf install gcc\n\
         macOS:            xcode-select --install\n\
         or name one in CC"
        .into())
}

/// Whether a program of this name is on the PATH.
pub(crate) fn on_path(program: &str) -> bool {
    let Some(path) = env::var_os("PATH") else { return false };
    env::split_paths(&path).any(|folder| folder.join(program).is_file() || folder.join(format!("{program}.exe")).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_standard_library_is_not_enough() {
        assert!(!has_standard_library(&shell::root().join("xtask/src")));
        assert!(!has_standard_library(Path::new("/no/such/folder")));
    }

    #[test]
    fn the_remedy_can_be_typed() {
        assert!(remedy(GUEST_TARGET, "offline").contains("rustup target add wasm32-wasip2"));
    }

    #[test]
    fn programs_are_looked_for_on_the_path() {
        assert!(on_path("cargo"));
        assert!(!on_path("no-such-program-anywhere"));
    }
}
