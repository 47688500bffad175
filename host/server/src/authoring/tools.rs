//! The tools that are not the language's own: which versions, where they are kept, and how they get there. Each is installed once, into a cache of
//! the user's, under a lock, and counts as installed only when that came to its end.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::command::{self, CommandError};

/// What makes components of Python; from PyPI.
const COMPONENTIZE_PY: &str = "0.25.1";
/// What makes components of JavaScript, on QuickJS; from npm.
const COMPONENTIZE_QJS: &str = "0.4.5";
/// Another place for the tools.
const FOLDER_VARIABLE: &str = "TRACKSIDE_TOOLS_DIR";
/// Written when a tool is whole.
const WHOLE: &str = "installed";

/// A tool is not there and could not be installed: why, and what to type.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The language itself is missing.
    #[error("{what} is not on the PATH, and {language} plugins are built with it; install it:\n{remedy}")]
    Missing {
        /// The program.
        what: &'static str,
        /// The language.
        language: &'static str,
        /// A line for each system.
        remedy: &'static str,
    },
    /// It could not be installed.
    #[error("{what} could not be installed:\n{said}\n{remedy}")]
    NotInstalled {
        /// The tool.
        what: String,
        /// By whoever installs.
        said: String,
        /// What to type.
        remedy: String,
    },
    /// A program does not start.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The cache cannot be used.
    #[error("{}: {source}; {FOLDER_VARIABLE} names another place for tools", path.display())]
    Cache {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no home.
    #[error("there is no place for tools: set {FOLDER_VARIABLE}, XDG_CACHE_HOME or HOME")]
    NoPlace,
}

pub(super) const PYTHON_REMEDY: &str = "  Debian, Ubuntu:   sudo apt-get install python3 python3-venv\n  Fedora:           sudo dnf install python3\n  macOS:            brew install python3";
pub(super) const NODE_REMEDY: &str = "  Debian, Ubuntu:   sudo apt-get install nodejs npm\n  Fedora:           sudo dnf install nodejs npm\n  macOS:            brew install node";

/// The Python of an environment of its own with componentize-py in it.
pub(super) fn componentize_py(say: &mut dyn FnMut(&str)) -> Result<PathBuf, ToolError> {
    let python =
        command::find(&["python3", "python"]).ok_or(ToolError::Missing { what: "python3", language: "Python", remedy: PYTHON_REMEDY })?;
    let what = format!("componentize-py {COMPONENTIZE_PY}");
    let folder = installed(&format!("componentize-py-{COMPONENTIZE_PY}"), &what, say, |folder| {
        let not_installed = |said: String, remedy: String| ToolError::NotInstalled { what: what.clone(), said, remedy };
        let here = folder.parent().unwrap_or(folder);
        let made = command::run(command::tool(&python, here).args(["-m", "venv"]).arg(folder))?;
        if !made.success {
            return Err(not_installed(made.all, format!("it needs Python 3.10 or later with venv and pip; type:\n{PYTHON_REMEDY}")));
        }
        let inner = folder.join("bin/python");
        let wanted = format!("componentize-py=={COMPONENTIZE_PY}");
        let mut pip = command::tool(&inner, here);
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--quiet", &wanted]);
        let fetched = command::run(&mut pip)?;
        if !fetched.success {
            let remedy = "it comes from https://pypi.org, once; where that cannot be reached, set PIP_INDEX_URL to a mirror, or try with:";
            return Err(not_installed(fetched.all, format!("{remedy}\n  python3 -m pip download {wanted}")));
        }
        Ok(())
    })?;
    Ok(folder.join("bin/python"))
}

/// Node.js, and the folder with componentize-qjs in it.
pub(super) fn componentize_qjs(say: &mut dyn FnMut(&str)) -> Result<(PathBuf, PathBuf), ToolError> {
    let missing = |what| ToolError::Missing { what, language: "JavaScript", remedy: NODE_REMEDY };
    let node = command::find(&["node"]).ok_or_else(|| missing("node"))?;
    let what = format!("componentize-qjs {COMPONENTIZE_QJS}");
    let folder = installed(&format!("componentize-qjs-{COMPONENTIZE_QJS}"), &what, say, |folder| {
        let npm = command::find(&["npm"]).ok_or_else(|| missing("npm"))?;
        let failed = |source| ToolError::Cache { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        // Without a manifest of its own, npm would install into a project further up.
        fs::write(folder.join("package.json"), "{\"private\": true}\n").map_err(failed)?;
        let wanted = format!("componentize-qjs@{COMPONENTIZE_QJS}");
        let mut install = command::tool(npm, folder);
        install.args(["install", "--no-fund", "--no-audit", "--no-update-notifier", "--ignore-scripts", "--save-exact", &wanted]);
        let fetched = command::run(&mut install)?;
        if !fetched.success {
            let remedy = "it comes from https://registry.npmjs.org, once; where that cannot be reached, name a mirror:\n  npm config set registry URL";
            return Err(ToolError::NotInstalled { what: what.clone(), said: fetched.all, remedy: remedy.to_owned() });
        }
        Ok(())
    })?;
    Ok((node, folder.join("node_modules/componentize-qjs")))
}

/// The folder of a tool, which is installed if it is not there.
fn installed(
    folder: &str,
    what: &str,
    say: &mut dyn FnMut(&str),
    install: impl FnOnce(&Path) -> Result<(), ToolError>,
) -> Result<PathBuf, ToolError> {
    let all = cache()?;
    let lock_path = all.join(format!("{folder}.lock"));
    let folder = all.join(folder);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ToolError::Cache { path, source }
    };
    fs::create_dir_all(&all).map_err(failed(&all))?;
    if folder.join(WHOLE).is_file() {
        return Ok(folder);
    }
    // Two builds at a time install it once; the lock goes with the file.
    let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
    lock.lock().map_err(failed(&lock_path))?;
    if folder.join(WHOLE).is_file() {
        return Ok(folder);
    }
    say(&format!("installing {what} into {} (once)", all.display()));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed(&folder))?;
    }
    install(&folder)?;
    fs::write(folder.join(WHOLE), "").map_err(failed(&folder))?;
    Ok(folder)
}

fn cache() -> Result<PathBuf, ToolError> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = named(FOLDER_VARIABLE)
        .or_else(|| named("XDG_CACHE_HOME").map(|cache| cache.join("trackside/tools")))
        .or_else(|| named("HOME").map(|home| home.join(".cache/trackside/tools")))
        .ok_or(ToolError::NoPlace)?;
    std::path::absolute(&folder).map_err(|source| ToolError::Cache { path: folder, source })
}

/// The environment that a Python belongs to.
pub(super) fn environment_of(python: &Path) -> &Path {
    python.ancestors().nth(2).unwrap_or(python)
}
