//! From nothing to a component: what an author's project is, how one is begun, and how it becomes `NAME.wasm`, in three languages.
//! What is said about it, and what a running host does with the component, is the command line's.

mod carried;
mod command;
mod javascript;
mod project;
mod python;
mod rust;
mod scaffold;
mod tools;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use self::{
    command::CommandError,
    project::{Language, Project, ProjectError, Role},
    scaffold::{ScaffoldError, begin},
    tools::ToolError,
};
use crate::whole_file;

/// A component that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Where it is: `NAME.wasm` in the project's folder.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// How long it took, tools apart.
    pub took: Duration,
}

/// Why a project was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is missing, and could not be installed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A tool does not start.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// What the author wrote is wrong, in the words of the language.
    #[error("{name} was not built:\n{said}")]
    Refused {
        /// The project.
        name: String,
        /// By the language's tool.
        said: String,
    },
    /// The same, where the tool has said it already.
    #[error("{0} was not built; what is wrong is said above")]
    Told(String),
    /// The tool has built no component.
    #[error("{0}")]
    NoComponent(String),
    /// A file of the project cannot be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Builds a project and leaves `NAME.wasm` in its folder, written whole or not at all. `say` gets a line for each thing that takes a while.
///
/// # Errors
/// [`BuildError`], by what stands against it; a component of an earlier build stays.
pub fn build(project: &Project, say: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
    scaffold::provide(project, say)?;
    let (component, took) = match project.language {
        Language::Rust => rust::build(project, say)?,
        Language::Python => python::build(project, say)?,
        Language::Js => javascript::build(project, say)?,
    };
    let path = project.component();
    whole_file::write(&path, &component).map_err(|source| BuildError::File { path: path.clone(), source })?;
    Ok(Built { path, bytes: component.len() as u64, took })
}

/// Has a tool write a component into the project's scratch folder, and takes it from there.
fn by_way_of(project: &Project, make: impl FnOnce(&Path) -> Result<(), BuildError>) -> Result<(Vec<u8>, Duration), BuildError> {
    // Tools run in the project's folder, which may have been named from another.
    let scratch = std::path::absolute(project.scratch()).map_err(|source| BuildError::File { path: project.scratch(), source })?;
    fs::create_dir_all(&scratch).map_err(|source| BuildError::File { path: scratch.clone(), source })?;
    let made = scratch.join(format!("{}.wasm", project.name));
    let begun = Instant::now();
    make(&made)?;
    let component = fs::read(&made).map_err(|source| BuildError::File { path: made, source })?;
    Ok((component, begun.elapsed()))
}
