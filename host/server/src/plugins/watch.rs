//! The watch over the plugin directory: what is added, changed or removed there is taken up by itself, once it has settled. What the system
//! tells is a hint to look; the directory is the truth, and a slow look without a hint finds what was not told. Loading is `Plugins`'.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::Notify;
use trackside_engine::{Engine, OnStop};
use trackside_wasm::check_name;

use super::{
    Plugins,
    settle::{Look, Pair, Settle},
};
use crate::file_mark::FileMark;

/// Files that may be open at a time before it is no longer kept in mind which.
const MOST_OPEN: usize = 10_000;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// For a file to stay as it is before it is taken up.
    pub settle: Duration,
    /// Between two looks without a hint.
    pub rescan: Duration,
}

/// A watch that has begun: what changes from then on is seen.
pub struct Watch {
    dir: PathBuf,
    pauses: Pauses,
    hints: Arc<Hints>,
    armed: Option<Armed>,
    settle: Settle,
}

/// What the system has told.
#[derive(Default)]
struct Hints {
    look: Notify,
    /// Files that were changed and not closed since.
    open: Mutex<BTreeSet<PathBuf>>,
}

/// The system's watch over one directory, if it gives one; over, when this is dropped.
struct Armed {
    _watcher: Option<RecommendedWatcher>,
    directory: (u64, u64),
}

impl Watch {
    /// Begins: what stands there now is taken for taken up.
    pub fn begin(dir: &Path, pauses: Pauses) -> Self {
        let hints = Arc::new(Hints::default());
        let armed = arm(dir, &hints);
        let known = look_at(dir).unwrap_or_default();
        Self { dir: dir.to_owned(), pauses, hints, armed, settle: Settle::new(pauses.settle, known) }
    }

    /// Goes on until the host stops.
    pub fn start(self, engine: Engine, plugins: Arc<Plugins>) {
        engine.tasks().clone().spawn("plugin watch", OnStop::Drain, self.run(engine, plugins));
    }

    async fn run(mut self, engine: Engine, plugins: Arc<Plugins>) {
        let mut stopping = engine.tasks().stopping();
        loop {
            for (name, seen) in tokio::task::block_in_place(|| self.look()) {
                let _turn = plugins.turn().await;
                tokio::task::block_in_place(|| self.take_up(&engine, &plugins, &name, seen));
            }
            let coming = self.settle.take_compilable(&self.hints.open_names());
            if !coming.is_empty() {
                // The pause is spent on it, and what has changed meanwhile is seen by the next look.
                tokio::task::block_in_place(|| coming.iter().for_each(|name| plugins.compile_ahead(name)));
                continue;
            }
            let pause = if self.settle.is_moving() { self.pauses.settle / 4 + Duration::from_millis(1) } else { self.pauses.rescan };
            tokio::select! {
                () = self.hints.look.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = stopping.wait() => return,
            }
        }
    }

    /// Those whose files have settled to something new.
    fn look(&mut self) -> Vec<(String, Pair)> {
        if directory_of(&self.dir) != self.armed.as_ref().map(|armed| armed.directory) {
            // Another directory stands there now, as after the switch of a link.
            self.armed = arm(&self.dir, &self.hints);
        }
        match look_at(&self.dir) {
            Ok(seen) => self.settle.look(&seen, &self.hints.open_names(), Instant::now()),
            // A directory that cannot be read says nothing of the plugins: what runs goes on.
            Err(error) => {
                tracing::warn!("the plugin directory {} cannot be read: {error}", self.dir.display());
                Vec::new()
            }
        }
    }

    fn take_up(&self, engine: &Engine, plugins: &Plugins, name: &str, seen: Pair) {
        if check_name(name).is_err() {
            plugins.junk(engine, name, self.dir.join(format!("{name}.wasm")).exists());
            return;
        }
        // Written again while it was read, it may be half of this and half of that: the next look finds that it is not as it was.
        let still_as_seen = || look_at(&self.dir).is_ok_and(|look| look.get(name).copied().unwrap_or_default() == seen);
        plugins.reload_if_changed(engine, name, still_as_seen);
        self.hints.look.notify_one();
    }
}

impl Hints {
    fn told(&self, event: &Event) {
        // Reading a file is told too: who looks because somebody looked never comes to an end.
        let closed = matches!(event.kind, EventKind::Access(AccessKind::Close(AccessMode::Write)));
        if matches!(event.kind, EventKind::Access(_)) && !closed {
            return;
        }
        let is_empty = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.len() == 0);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for path in &event.paths {
            let being_written = match event.kind {
                EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => true,
                // Somebody is about to write; a link is whole from the first.
                EventKind::Create(_) => is_empty(path),
                EventKind::Modify(ModifyKind::Metadata(_)) => open.contains(path),
                _ => false,
            };
            if being_written && open.len() < MOST_OPEN {
                open.insert(path.clone());
            } else {
                open.remove(path);
            }
        }
        if event.need_rescan() {
            open.clear();
        }
        drop(open);
        self.look.notify_one();
    }

    /// The plugins of which a file is being written.
    fn open_names(&self) -> BTreeSet<String> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect()
    }
}

fn arm(dir: &Path, hints: &Arc<Hints>) -> Option<Armed> {
    let directory = directory_of(dir)?;
    hints.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let told = hints.clone();
    let armed = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
        Ok(event) => told.told(&event),
        Err(error) => tracing::warn!("the watch over the plugin directory: {error}"),
    })
    .and_then(|mut watcher| watcher.watch(dir, RecursiveMode::NonRecursive).map(|()| watcher));
    let unarmed = |error| tracing::warn!("the plugin directory is not watched, only looked at now and then (plugins.rescan_ms): {error}");
    Some(Armed { _watcher: armed.map_err(unarmed).ok(), directory })
}

/// What tells one directory from another under the same name.
fn directory_of(dir: &Path) -> Option<(u64, u64)> {
    fs::metadata(dir).ok().map(|found| (found.dev(), found.ino()))
}

/// The components and settings that stand there. Names that begin with a dot are nobody's yet, and other files nobody's at all.
fn look_at(dir: &Path) -> io::Result<Look> {
    let mut look = Look::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let (Some(name), Some(kind)) = (path.file_stem().and_then(|name| name.to_str()), path.extension().and_then(|kind| kind.to_str()))
        else {
            continue;
        };
        // Gone again, or a folder: as if it were not there.
        let Some(found) = fs::metadata(&path).ok().filter(fs::Metadata::is_file) else { continue };
        let mark = FileMark::from(&found);
        match kind {
            _ if name.starts_with('.') => {}
            "wasm" => look.entry(name.to_owned()).or_default().component = Some(mark),
            "toml" => look.entry(name.to_owned()).or_default().settings = Some(mark),
            _ => {}
        }
    }
    Ok(look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_components_and_settings_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.wasm", "a.toml", "b.toml", ".a.wasm.new", ".c.wasm", "a.wasm~", "a.wasm.swp", "4913", "noext"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        fs::create_dir(dir.path().join("d.wasm")).unwrap();
        let seen: Vec<_> = look_at(dir.path())
            .unwrap()
            .into_iter()
            .map(|(name, Pair { component, settings })| (name, component.is_some(), settings.is_some()))
            .collect();
        assert_eq!(seen, [("a".to_owned(), true, true), ("b".to_owned(), false, true)]);
        assert!(look_at(&dir.path().join("nowhere")).is_err());
    }

    #[test]
    fn looking_is_no_reason_to_look() {
        let hints = Hints::default();
        let event = |kind| Event::new(kind).add_path(PathBuf::from("/p/a.wasm"));
        hints.told(&event(EventKind::Access(AccessKind::Open(AccessMode::Any))));
        hints.told(&event(EventKind::Access(AccessKind::Close(AccessMode::Read))));
        let was_woken = |hints: &Hints| {
            use futures_util::FutureExt as _;
            hints.look.notified().now_or_never().is_some()
        };
        assert!(!was_woken(&hints));
        hints.told(&event(EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any))));
        assert!(was_woken(&hints));
        assert_eq!(hints.open_names(), BTreeSet::from(["a".to_owned()]));
        hints.told(&event(EventKind::Access(AccessKind::Close(AccessMode::Write))));
        assert!(was_woken(&hints) && hints.open_names().is_empty());
    }
}
