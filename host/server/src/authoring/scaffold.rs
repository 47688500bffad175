//! Beginning a project: a folder with a working example of the roles, its settings, events to try it on, and the SDK, which the binary carries.
//! Nothing that is there is written over.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    BuildError,
    carried::{self, FOLDER},
    project::{Language, Project, Role},
};

/// Names of what is in the way that are told.
const MOST_TOLD: usize = 5;

/// A file of a project: its path, and its template. `{{name}}` stands for the plugin's name, and lines between `{{#word}}` and `{{/word}}` are for
/// projects with that role only.
type Template = (&'static str, &'static str);

const COMMON: [Template; 6] = [
    ("{{name}}.toml", include_str!("templates/settings.toml")),
    (".gitignore", include_str!("templates/gitignore")),
    ("events/order.json", include_str!("templates/order.json")),
    ("events/large-order.json", include_str!("templates/large-order.json")),
    ("workflow.yaml", include_str!("templates/workflow.yaml")),
    ("README.md", include_str!("templates/README.md")),
];
const RUST: [Template; 2] =
    [("Cargo.toml", include_str!("templates/rust/manifest.toml")), ("src/lib.rs", include_str!("templates/rust/lib.rs"))];
const PYTHON: [Template; 3] = [
    ("pyproject.toml", include_str!("templates/python/pyproject.toml")),
    ("plugin.py", include_str!("templates/python/plugin.py")),
    ("test_plugin.py", include_str!("templates/python/test_plugin.py")),
];
const JAVASCRIPT: [Template; 3] = [
    ("package.json", include_str!("templates/js/package.json")),
    ("plugin.js", include_str!("templates/js/plugin.js")),
    ("plugin.test.js", include_str!("templates/js/plugin.test.js")),
];

/// Why a project was not begun. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name cannot be a plugin's.
    #[error(transparent)]
    Name(#[from] trackside_wasm::NameError),
    /// The name cannot be a package's.
    #[error("'{0}' begins with a digit, and a Rust package cannot; give another name, or another --lang")]
    Package(String),
    /// Something is there.
    #[error("{} is there already, with {}: give another name, or remove it first", folder.display(), there.join(", "))]
    InTheWay {
        /// The folder.
        folder: PathBuf,
        /// What is in it.
        there: Vec<String>,
    },
    /// A file cannot be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Begins a project in the folder `NAME` of `parent`. Gives the project, and the paths of what an author may edit, from its folder.
///
/// # Errors
/// [`ScaffoldError`], by what stands against it.
pub fn begin(parent: &Path, name: &str, language: Language, roles: &[Role]) -> Result<(Project, Vec<String>), ScaffoldError> {
    trackside_wasm::check_name(name)?;
    if language == Language::Rust && name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(ScaffoldError::Package(name.to_owned()));
    }
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    let folder = parent.join(name);
    let was_there = clear(&folder)?;
    let files = authors_files(name, language, &roles);
    let written = write_all(&folder, language, &files).map_err(|(path, source)| ScaffoldError::Write { path, source });
    if written.is_err() && !was_there {
        // What stands against writing it may stand against removing it; the first is what is told.
        let _ = fs::remove_dir_all(&folder);
    }
    written?;
    let main = match language {
        Language::Rust => "src/lib.rs",
        Language::Python => "plugin.py",
        Language::Js => "plugin.js",
    };
    let paths = files.into_iter().map(|(path, _)| path).collect();
    Ok((Project { folder, language, name: name.to_owned(), roles, main: main.to_owned() }, paths))
}

/// Whether there is a folder already; it must be empty.
fn clear(folder: &Path) -> Result<bool, ScaffoldError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(ScaffoldError::InTheWay { folder: folder.to_owned(), there: vec!["a file of that name".to_owned()] });
        }
        Err(source) => return Err(ScaffoldError::Write { path: folder.to_owned(), source }),
    };
    let mut there: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    there.sort();
    if there.len() > MOST_TOLD {
        let more = there.len() - MOST_TOLD;
        there.truncate(MOST_TOLD);
        there.push(format!("{more} more"));
    }
    if there.is_empty() { Ok(true) } else { Err(ScaffoldError::InTheWay { folder: folder.to_owned(), there }) }
}

/// What the author goes on from.
fn authors_files(name: &str, language: Language, roles: &[Role]) -> Vec<(String, String)> {
    let templates: &[Template] = match language {
        Language::Rust => &RUST,
        Language::Python => &PYTHON,
        Language::Js => &JAVASCRIPT,
    };
    let has = |role| roles.contains(&role);
    let order = templates.iter().chain(&COMMON).filter(|(path, _)| match *path {
        "events/order.json" => has(Role::Control) || has(Role::Observer),
        "events/large-order.json" => has(Role::Control),
        "workflow.yaml" => has(Role::Worker),
        _ => true,
    });
    order.map(|(path, template)| (render(path, name, language, roles), render(template, name, language, roles))).collect()
}

/// Fills a template in.
fn render(template: &str, name: &str, language: Language, roles: &[Role]) -> String {
    let has = |word: &str| match word {
        "settings" => roles.contains(&Role::Control) || roles.contains(&Role::Worker),
        "rust" => language == Language::Rust,
        "python" => language == Language::Python,
        "js" => language == Language::Js,
        word => roles.iter().any(|role| role.name() == word),
    };
    let mut open: Vec<bool> = Vec::new();
    let mut text = String::with_capacity(template.len());
    for line in template.split_inclusive('\n') {
        let mark = line.trim().trim_start_matches(['#', '/']).trim_start();
        match (mark.strip_prefix("{{#"), mark.starts_with("{{/")) {
            (Some(word), _) => open.push(has(word.trim_end_matches("}}"))),
            (None, true) => drop(open.pop()),
            (None, false) if open.iter().all(|shown| *shown) => text.push_str(line),
            (None, false) => {}
        }
    }
    let quoted: Vec<String> = roles.iter().map(|role| format!("\"{}\"", role.name())).collect();
    let plain: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    text.replace("{{name}}", name)
        .replace("{{quoted_roles}}", &quoted.join(", "))
        .replace("{{roles}}", &plain.join(", "))
        .replace("{{imports}}", &joined(imports(language, roles)))
        .replace("{{test_imports}}", &joined(test_imports(roles)))
        .replace("{{language}}", language.name())
}

fn joined(names: BTreeSet<&str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// What the example takes from the SDK, in the order of the alphabet.
fn imports(language: Language, roles: &[Role]) -> BTreeSet<&'static str> {
    let of_role = |role: &Role| match (language, role) {
        (Language::Rust, _) => &[][..],
        (Language::Python, Role::Control) => &["Context", "Event", "Signal", "settings"],
        (Language::Python, Role::Observer) => &["Delivery", "Event", "kv", "log"],
        (Language::Python, Role::Worker) => &["Failure", "Task", "settings"],
        (Language::Js, Role::Control) => &["Signal", "settings"],
        (Language::Js, Role::Observer) => &["kv", "log"],
        (Language::Js, Role::Worker) => &["Failure", "settings"],
    };
    let plugin = if language == Language::Python { "Plugin" } else { "plugin" };
    roles.iter().flat_map(of_role).copied().chain([plugin]).collect()
}

/// What the Python example's tests take from it.
fn test_imports(roles: &[Role]) -> BTreeSet<&'static str> {
    let of_role = |role: &Role| match role {
        Role::Control => &["Context", "Event", "Signal"][..],
        Role::Observer => &["Delivery", "Event"],
        Role::Worker => &["Failure", "Task"],
    };
    roles.iter().flat_map(of_role).copied().collect()
}

fn write_all(folder: &Path, language: Language, files: &[(String, String)]) -> Result<(), (PathBuf, io::Error)> {
    for (path, text) in files {
        write_file(&folder.join(path), text)?;
    }
    if language == Language::Rust {
        write_file(&folder.join("Cargo.lock"), carried::rust_lock())?;
    }
    provide_files(folder, language)
}

fn provide_files(folder: &Path, language: Language) -> Result<(), (PathBuf, io::Error)> {
    carried::files(language).iter().try_for_each(|(path, text)| write_file(&folder.join(path), text))
}

fn write_file(path: &Path, text: &str) -> Result<(), (PathBuf, io::Error)> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).and_then(|()| fs::write(path, text)).map_err(|source| (path.to_owned(), source))
}

/// Sees to it that a project has the SDK: one that was cloned without the folder gets this binary's.
pub(super) fn provide(project: &Project, say: &mut dyn FnMut(&str)) -> Result<(), BuildError> {
    let provided = project.folder.join(FOLDER);
    // A Rust project may have its SDK from elsewhere.
    if provided.is_dir() || (project.language == Language::Rust && !names_the_folder(project)) {
        return Ok(());
    }
    say(&format!("writing the SDK into {}", provided.display()));
    let mut written = provide_files(&project.folder, project.language);
    let lock = project.folder.join("Cargo.lock");
    if project.language == Language::Rust && !lock.exists() {
        written = written.and_then(|()| write_file(&lock, carried::rust_lock()));
    }
    written.map_err(|(path, source)| BuildError::File { path, source })
}

fn names_the_folder(project: &Project) -> bool {
    fs::read_to_string(project.folder.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("\"trackside/sdk\""))
}

/// Writes a file of the project, unless it is as it should be.
pub(super) fn write(folder: &Path, path: &str, text: &str) -> Result<(), BuildError> {
    let path = folder.join(path);
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    write_file(&path, text).map_err(|(path, source)| BuildError::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANGUAGES: [Language; 3] = [Language::Rust, Language::Python, Language::Js];

    #[test]
    fn lines_are_for_those_who_have_the_role() {
        let template = "a {{name}}\n# {{#control}}\nb\n    {{#observer}}\nc\n    {{/observer}}\n# {{/control}}\nd\n";
        let render = |roles: &[Role]| render(template, "x", Language::Rust, roles);
        assert_eq!(render(&[]), "a x\nd\n");
        assert_eq!(render(&[Role::Control]), "a x\nb\nd\n");
        assert_eq!(render(&[Role::Control, Role::Observer]), "a x\nb\nc\nd\n");
        assert_eq!(render(&[Role::Observer]), "a x\nd\n");
    }

    #[test]
    fn a_project_is_whole_in_every_language_and_role() {
        let parent = tempfile::tempdir().unwrap();
        let all = [Role::Control, Role::Observer, Role::Worker];
        for language in LANGUAGES {
            for (name, roles) in [("c", &all[..1]), ("o", &all[1..2]), ("w", &all[2..]), ("all", &all[..])] {
                let name = format!("{name}-{}", language.name().to_lowercase());
                let (project, files) = begin(parent.path(), &name, language, roles).unwrap();
                let mut found = Project::find(&project.folder).unwrap();
                if language == Language::Rust {
                    found.roles = roles.to_vec();
                }
                assert_eq!(found, project, "its manifest says the same");
                for file in &files {
                    let text = fs::read_to_string(project.folder.join(file)).unwrap();
                    assert!(!text.contains("{{") || language == Language::Rust && file == "src/lib.rs", "{file}: {text}");
                    assert!(text.ends_with('\n') && !text.contains("\n\n\n\n"), "{file}: {text}");
                    if file.ends_with(".json") {
                        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
                    }
                    if file.ends_with(".toml") {
                        text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{file}: {error}"));
                    }
                }
                assert_eq!(files.iter().any(|file| file == "workflow.yaml"), roles.contains(&Role::Worker));
            }
        }
    }

    #[test]
    fn nothing_that_is_there_is_written_over() {
        let parent = tempfile::tempdir().unwrap();
        let begin = |name: &str| begin(parent.path(), name, Language::Rust, &[Role::Control]).map(drop).map_err(|error| error.to_string());
        fs::create_dir(parent.path().join("empty")).unwrap();
        assert_eq!(begin("empty"), Ok(()));
        assert!(begin("empty").unwrap_err().contains("is there already, with .gitignore, Cargo.lock,"));
        fs::write(parent.path().join("file"), "").unwrap();
        assert!(begin("file").unwrap_err().contains("a file of that name"));
        assert!(begin("Loud").unwrap_err().contains("'Loud'"));
        assert!(begin("7up").unwrap_err().contains("begins with a digit"));
        assert!(begin("control_manager").unwrap_err().contains("host component"));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2, "nothing else was begun");
    }
}
