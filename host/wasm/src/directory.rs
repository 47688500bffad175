//! Owns what counts as a plugin in the plugin directory: which files, under which names.
//! Leaves reading the files to `load` and `settings`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use trackside_model::catalogue::HOST_COMPONENTS;

/// A component in the plugin directory, and where its settings are, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginFile {
    /// The file's stem: the plugin's identity.
    pub name: String,
    /// The component.
    pub path: PathBuf,
    /// `NAME.toml` beside it; need not exist.
    pub settings_path: PathBuf,
}

/// A file in the plugin directory that is no plugin, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Junk {
    /// The file.
    pub path: PathBuf,
    /// What is wrong and what to do.
    pub reason: String,
}

/// What is in the plugin directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scan {
    /// By name.
    pub plugins: Vec<PluginFile>,
    /// By path.
    pub junk: Vec<Junk>,
}

/// Why the plugin directory cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("plugin directory {}: {source}; give an existing directory with --plugins", self.path.display())]
pub struct ScanError {
    /// The directory.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Why a name is no plugin's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Other characters, or too long.
    #[error("'{0}' is not a plugin name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit")]
    Form(String),
    /// The host publishes under it.
    #[error("'{0}' is the name of a host component; rename the file")]
    HostComponent(String),
}

/// Whether a plugin can have this name.
///
/// # Errors
/// [`NameError`] says why not.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let bytes = name.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let form = bytes.len() <= 64 && bytes.first().is_some_and(plain) && bytes.iter().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'));
    if !form {
        return Err(NameError::Form(name.to_owned()));
    }
    if HOST_COMPONENTS.contains(&name) {
        return Err(NameError::HostComponent(name.to_owned()));
    }
    Ok(())
}

/// The files of a plugin with this name, whether they exist or not.
pub(crate) fn files_of(dir: &Path, name: &str) -> PluginFile {
    PluginFile { name: name.to_owned(), path: dir.join(format!("{name}.wasm")), settings_path: dir.join(format!("{name}.toml")) }
}

/// Looks through the plugin directory. Names that begin with a dot are left alone: editors and package managers keep theirs there.
///
/// # Errors
/// [`ScanError`] if the directory cannot be read.
pub(crate) fn scan(dir: &Path) -> Result<Scan, ScanError> {
    let failed = |source| ScanError { path: dir.to_owned(), source };
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden {
            let is_file = path.is_file();
            entries.insert(path, is_file);
        }
    }
    let mut scan = Scan::default();
    for (path, is_file) in &entries {
        match judge(path, *is_file, &entries) {
            Ok(Some(plugin)) => scan.plugins.push(plugin),
            Ok(None) => {}
            Err(reason) => scan.junk.push(Junk { path: path.clone(), reason }),
        }
    }
    Ok(scan)
}

/// A plugin, nothing (a settings file that has its plugin), or the reason why it is junk.
fn judge(path: &Path, is_file: bool, entries: &BTreeMap<PathBuf, bool>) -> Result<Option<PluginFile>, String> {
    if !is_file {
        return Err("not a file; the plugin directory holds NAME.wasm and NAME.toml only".to_owned());
    }
    let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
        return Err("the name is not UTF-8; rename the file".to_owned());
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("wasm") => {
            check_name(name).map_err(|error| error.to_string())?;
            let dir = path.parent().unwrap_or(Path::new("."));
            Ok(Some(files_of(dir, name)))
        }
        Some("toml") if entries.get(&path.with_extension("wasm")).copied().unwrap_or_default() => Ok(None),
        Some("toml") => Err(format!("settings without a component: put {name}.wasm beside it, or remove it")),
        _ => Err("neither a component (NAME.wasm) nor a settings file (NAME.toml); remove it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(files: &[&str], expected: Expect) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            match file.strip_suffix('/') {
                Some(sub) => fs::create_dir(dir.path().join(sub)).unwrap(),
                None => fs::write(dir.path().join(file), "").unwrap(),
            }
        }
        let scan = scan(dir.path()).unwrap();
        let mut lines: Vec<String> = scan.plugins.iter().map(|plugin| format!("plugin {}", plugin.name)).collect();
        lines.extend(scan.junk.iter().map(|junk| format!("{}: {}", junk.path.file_name().unwrap().to_str().unwrap(), junk.reason)));
        expected.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn plugins_are_found_by_their_files() {
        check(
            &["b.wasm", "a-1_x.wasm", "a-1_x.toml", ".hidden"],
            expect![[r#"
            plugin a-1_x
            plugin b"#]],
        );
    }

    #[test]
    fn junk_is_named_with_the_remedy() {
        check(
            &["lonely.toml", "readme.md", "Big.wasm", "host.wasm", "-x.wasm", "sub/", "noext"],
            expect![[r#"
                -x.wasm: '-x' is not a plugin name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit
                Big.wasm: 'Big' is not a plugin name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit
                host.wasm: 'host' is the name of a host component; rename the file
                lonely.toml: settings without a component: put lonely.wasm beside it, or remove it
                noext: neither a component (NAME.wasm) nor a settings file (NAME.toml); remove it
                readme.md: neither a component (NAME.wasm) nor a settings file (NAME.toml); remove it
                sub: not a file; the plugin directory holds NAME.wasm and NAME.toml only"#]],
        );
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = scan(Path::new("/nowhere/plugins")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/plugins"), "{error}");
    }
}
