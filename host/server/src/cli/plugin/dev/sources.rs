//! What an author's project is made of, as it stands at a moment: enough to see that something has changed, and whether it must be built again.
//! What the tools write, and what the SDK brought, is no source.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::sync::Arc;
use tokio::sync::Notify;

use crate::authoring::Project;

/// Files that are looked at, at most: a project is not larger.
const MOST_FILES: usize = 10_000;
/// Folders that hold no sources.
const NO_SOURCES: [&str; 5] = ["target", "trackside", "node_modules", "__pycache__", "events"];

/// The sources, and the settings file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) sources: BTreeMap<PathBuf, (SystemTime, u64)>,
    pub(super) settings: Option<(SystemTime, u64)>,
}

/// Looks at a project. What cannot be read is not there.
pub(super) fn look(project: &Project) -> Look {
    let mark = |path: &Path| fs::metadata(path).ok().and_then(|found| Some((found.modified().ok()?, found.len())));
    let mut look = Look { settings: mark(&project.settings()), ..Look::default() };
    let mut folders = vec![project.folder.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if name.starts_with('.') || look.sources.len() >= MOST_FILES {
                continue;
            }
            if is_folder && !NO_SOURCES.contains(&&*name) {
                folders.push(path);
            } else if !is_folder
                && is_source(&path, project)
                && let Some(mark) = mark(&path)
            {
                look.sources.insert(path, mark);
            }
        }
    }
    look
}

fn is_source(path: &Path, project: &Project) -> bool {
    let extension = path.extension().unwrap_or_default();
    let made = ["wasm", "md", "lock", "yaml", "swp"].iter().any(|other| extension == *other);
    !made && path != project.settings() && !path.to_string_lossy().ends_with('~')
}

/// The system's watch over a project: it says when to look. Over, when this is dropped.
pub(super) struct Hints {
    look: Arc<Notify>,
    _watcher: Option<RecommendedWatcher>,
}

impl Hints {
    /// Begins to watch; where the system gives no watch, there are no hints, and looking now and then must do.
    pub(super) fn of(project: &Project) -> Self {
        let look = Arc::new(Notify::new());
        let told = look.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading is told too, and is no change.
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                told.notify_one();
            }
        });
        let watched = watcher.and_then(|mut watcher| watcher.watch(&project.folder, RecursiveMode::Recursive).map(|()| watcher));
        if let Err(error) = &watched {
            tracing::warn!("the project is not watched, only looked at now and then: {error}");
        }
        Self { look, _watcher: watched.ok() }
    }

    /// Waits for one.
    pub(super) async fn next(&self) {
        self.look.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authoring::{Language, Role, begin};

    #[test]
    fn sources_are_what_an_author_writes() {
        for (language, expected) in [
            (Language::Rust, &["Cargo.toml", "src/lib.rs"][..]),
            (Language::Python, &["plugin.py", "pyproject.toml", "test_plugin.py"]),
            (Language::Js, &["package.json", "plugin.js", "plugin.test.js"]),
        ] {
            let parent = tempfile::tempdir().unwrap();
            let (project, _) = begin(parent.path(), "p", language, &[Role::Control]).unwrap();
            for made in ["target/x.rs", "p.wasm", ".trackside/p.wasm", "plugin.py~"] {
                fs::create_dir_all(project.folder.join(made).parent().unwrap()).unwrap();
                fs::write(project.folder.join(made), "x").unwrap();
            }
            let before = look(&project);
            let found: Vec<_> = before.sources.keys().map(|path| path.strip_prefix(&project.folder).unwrap().to_str().unwrap()).collect();
            assert_eq!(found, expected);
            fs::write(project.settings(), "enabled = false\n").unwrap();
            let after = look(&project);
            assert!(after.sources == before.sources && after.settings != before.settings);
        }
    }
}
