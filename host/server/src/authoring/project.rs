//! What an author's project is: a folder with the manifest of its language, which says the plugin's name and, where the code does not, its
//! roles. Writing one is `scaffold`'s.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::Value;

/// A language that plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// By cargo.
    Rust,
    /// By componentize-py.
    Python,
    /// JavaScript, by componentize-qjs.
    #[value(alias = "javascript")]
    Js,
}

impl Language {
    const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::Js];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::Js => "JavaScript",
        }
    }

    /// The file that says that a folder is a project of this language.
    pub(super) fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Python => "pyproject.toml",
            Self::Js => "package.json",
        }
    }
}

/// A role, as authors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// It steers.
    Control,
    /// It watches.
    Observer,
    /// It works.
    Worker,
}

impl Role {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Observer => "observer",
            Self::Worker => "worker",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Control, Self::Observer, Self::Worker].into_iter().find(|role| role.name() == text)
    }
}

/// An author's project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its folder.
    pub folder: PathBuf,
    /// What it is written in.
    pub language: Language,
    /// The plugin's name.
    pub name: String,
    /// Its roles; empty for Rust, where `export!` says them.
    pub(super) roles: Vec<Role>,
    /// The module that has the plugin, from the folder.
    pub(super) main: String,
}

/// Why a folder is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// None of the manifests is there.
    #[error("{} is no plugin project: there is no Cargo.toml, pyproject.toml or package.json; `trackside plugin new NAME` begins one", .0.display())]
    None(PathBuf),
    /// More than one is there.
    #[error("{} has {}: a plugin project has one language", folder.display(), found.join(" and "))]
    Several {
        /// The folder.
        folder: PathBuf,
        /// The manifests.
        found: Vec<&'static str>,
    },
    /// The manifest cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The manifest does not say what it must.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// Which one.
        path: PathBuf,
        /// What is wrong, and what to write.
        message: String,
    },
}

impl Project {
    /// The project in this folder.
    ///
    /// # Errors
    /// [`ProjectError`], by what is missing or wrong.
    pub fn find(folder: &Path) -> Result<Self, ProjectError> {
        let there: Vec<Language> = Language::ALL.into_iter().filter(|language| folder.join(language.manifest()).is_file()).collect();
        let language = match there[..] {
            [language] => language,
            [] => return Err(ProjectError::None(folder.to_owned())),
            _ => {
                let found = there.iter().map(|language| language.manifest()).collect();
                return Err(ProjectError::Several { folder: folder.to_owned(), found });
            }
        };
        let path = folder.join(language.manifest());
        let text = fs::read_to_string(&path).map_err(|source| ProjectError::Read { path: path.clone(), source })?;
        Self::read(folder, language, &text).map_err(|message| ProjectError::Manifest { path, message })
    }

    fn read(folder: &Path, language: Language, text: &str) -> Result<Self, String> {
        let manifest = match language {
            Language::Js => serde_json::from_str(text).map_err(|error| error.to_string())?,
            Language::Rust | Language::Python => {
                let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
                serde_json::to_value(table).map_err(|error| error.to_string())?
            }
        };
        let (name, hint) = match language {
            Language::Rust => (&manifest["package"]["name"], "name under [package]"),
            Language::Python => (&manifest["project"]["name"], "name under [project]"),
            Language::Js => (&manifest["name"], "\"name\""),
        };
        let name = name.as_str().ok_or_else(|| format!("there is no {hint}, which is the plugin's name"))?;
        trackside_wasm::check_name(name).map_err(|error| error.to_string())?;
        let (roles, main) = match language {
            Language::Rust => (Vec::new(), "src/lib.rs".to_owned()),
            Language::Python => {
                let remedy = "write [tool.trackside] with roles = [\"control\"], or those of control, observer and worker that it has";
                (roles(&manifest["tool"]["trackside"]["roles"], remedy)?, "plugin.py".to_owned())
            }
            Language::Js => {
                let remedy = "write \"trackside\": { \"roles\": [\"control\"] }, or those of control, observer and worker that it has";
                let main = manifest["main"].as_str().unwrap_or("plugin.js").trim_start_matches("./");
                (roles(&manifest["trackside"]["roles"], remedy)?, main.to_owned())
            }
        };
        Ok(Self { folder: folder.to_owned(), language, name: name.to_owned(), roles, main })
    }

    /// Where its component is put.
    pub fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    /// Where its settings file is, if it has one.
    pub fn settings(&self) -> PathBuf {
        self.folder.join(format!("{}.toml", self.name))
    }

    /// A folder of its own for what need not be kept.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join(".trackside")
    }
}

/// The roles that a manifest says; each once.
fn roles(listed: &Value, remedy: &str) -> Result<Vec<Role>, String> {
    let listed = listed.as_array().filter(|listed| !listed.is_empty()).ok_or_else(|| format!("it names no roles; {remedy}"))?;
    let mut roles = Vec::new();
    for role in listed {
        let role = role.as_str().and_then(Role::parse).ok_or_else(|| format!("{role} is no role; {remedy}"))?;
        roles.push(role);
    }
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(files: &[(&str, &str)]) -> Result<Project, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Project::find(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_manifest_says_language_name_and_roles() {
        let rust = find(&[("Cargo.toml", "[package]\nname = \"a\"\n")]).unwrap();
        assert_eq!((rust.language, rust.name.as_str()), (Language::Rust, "a"));
        let python = "[project]\nname = \"b\"\n[tool.trackside]\nroles = [\"worker\", \"control\", \"worker\"]\n";
        let python = find(&[("pyproject.toml", python)]).unwrap();
        assert_eq!((python.language, python.roles), (Language::Python, vec![Role::Control, Role::Worker]));
        let js = find(&[("package.json", r#"{"name": "c", "main": "./src/x.js", "trackside": {"roles": ["observer"]}}"#)]).unwrap();
        assert_eq!((js.language, js.main.as_str(), js.roles), (Language::Js, "src/x.js", vec![Role::Observer]));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (files, said) in [
            (&[][..], "`trackside plugin new NAME` begins one"),
            (&[("Cargo.toml", ""), ("package.json", "{}")], "Cargo.toml and package.json: a plugin project has one language"),
            (&[("Cargo.toml", "[workspace]\n")], "no name under [package]"),
            (&[("Cargo.toml", "[package\n")], "TOML parse error"),
            (&[("Cargo.toml", "[package]\nname = \"A\"\n")], "'A'"),
            (&[("pyproject.toml", "[project]\nname = \"a\"\n")], "it names no roles; write [tool.trackside]"),
            (&[("package.json", r#"{"name": "a", "trackside": {"roles": ["steer"]}}"#)], "\"steer\" is no role"),
            (&[("package.json", "{")], "EOF while parsing"),
        ] {
            let error = find(files).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
