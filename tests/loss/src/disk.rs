//! A disk: a directory whose SQLite files are watched. It can be told what is to go wrong and when, and what it holds afterwards is a new directory,
//! so that whoever still has the old files open reaches nothing any more.

use std::{
    collections::BTreeMap,
    ffi::c_int,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use fastrand::Rng;
use rusqlite::ffi;
use tempfile::TempDir;

use crate::image::Image;

/// Every disk of this process that is still held.
static DISKS: Mutex<Vec<Weak<Disk>>> = Mutex::new(Vec::new());

/// What is to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The power goes with the nth write, truncation, sync or deletion from now on; that one may be carried out in part.
    PowerAt(u64),
    /// The nth sync from now on fails.
    SyncAt(u64),
    /// There is no room for more than so many bytes.
    FullAfter(u64),
}

/// A directory whose SQLite files are watched.
#[derive(Debug)]
pub struct Disk {
    directory: TempDir,
    /// As SQLite names it.
    root: PathBuf,
    state: Mutex<State>,
    lost_power: Condvar,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Image>,
    /// Deleted, and the directory not synced since: they may be there again.
    deleted: Vec<(PathBuf, Image)>,
    has_lost_power: bool,
    trouble: Option<Trouble>,
}

impl Disk {
    /// An empty one.
    ///
    /// # Panics
    /// If there is no directory to be had.
    pub fn empty() -> Arc<Self> {
        Self::with(State::default(), &BTreeMap::new())
    }

    fn with(state: State, files: &BTreeMap<PathBuf, Vec<u8>>) -> Arc<Self> {
        let directory = TempDir::new().expect("a directory");
        let root = directory.path().canonicalize().expect("the directory is there");
        for (path, bytes) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
            fs::write(path, bytes).expect("there is room");
        }
        let disk = Arc::new(Self { directory, root, state: Mutex::new(state), lost_power: Condvar::new() });
        let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        disks.retain(|disk| disk.strong_count() > 0);
        disks.push(Arc::downgrade(&disk));
        disk
    }

    /// The disk that a path is on.
    pub(crate) fn of(path: &Path) -> Option<Arc<Self>> {
        let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        disks.iter().filter_map(Weak::upgrade).find(|disk| path.starts_with(&disk.root))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Has something go wrong, in place of what was to before.
    pub fn plan(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// The power goes now.
    pub fn cut(&self) {
        self.lose_power(&mut self.state());
    }

    /// Whether it is still there.
    pub fn has_power(&self) -> bool {
        !self.state().has_lost_power
    }

    /// Waits until it is gone, at most so long. `false`: it is still there.
    pub fn wait_for_loss(&self, most: Duration) -> bool {
        let waited = self.lost_power.wait_timeout_while(self.state(), most, |state| !state.has_lost_power);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_lost_power
    }

    /// The disk after the power was lost, by chance one of those that it may be. This one is without power from here on.
    pub fn after_power_loss(&self, random: &mut Rng) -> Arc<Self> {
        let mut state = self.state();
        self.lose_power(&mut state);
        let mut left = BTreeMap::new();
        for (path, image) in &state.files {
            if image.is_named || random.bool() {
                left.insert(path.clone(), image.after_power_loss(random));
            }
        }
        for (path, image) in &state.deleted {
            if !left.contains_key(path) && random.bool() {
                left.insert(path.clone(), image.after_power_loss(random));
            }
        }
        let files = left.iter().map(|(path, bytes)| (path.clone(), Image::of(bytes.clone()))).collect();
        Self::with(State { files, ..State::default() }, &left)
    }

    /// The disk after its host was killed: everything that was written is there, and what was not synced is not yet on the disk. This one is without
    /// power from here on.
    pub fn after_kill(&self) -> Arc<Self> {
        let mut state = self.state();
        self.lose_power(&mut state);
        let read = |path: &PathBuf| fs::read(self.root.join(path)).ok().map(|bytes| (path.clone(), bytes));
        let left = state.files.keys().filter_map(read).collect();
        let (files, deleted) = (state.files.clone(), state.deleted.clone());
        Self::with(State { files, deleted, ..State::default() }, &left)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose_power(&self, state: &mut State) {
        state.has_lost_power = true;
        self.lost_power.notify_all();
    }

    fn name(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).expect("it was found by its root").to_owned()
    }

    /// A file was opened; `existed`: it was not made by that.
    pub(crate) fn opened(&self, path: &Path, existed: bool) {
        let name = self.name(path);
        let mut state = self.state();
        // One that SQLite did not make was put there by somebody who has synced it.
        let image = || if existed { Image::of(fs::read(path).unwrap_or_default()) } else { Image::default() };
        state.files.entry(name).or_insert_with(image);
    }

    pub(crate) fn write(&self, path: &Path, offset: usize, bytes: &[u8], really: impl FnOnce() -> c_int) -> c_int {
        let mut state = self.state();
        if state.has_lost_power {
            return ffi::SQLITE_IOERR_WRITE;
        }
        if let Some(Trouble::FullAfter(left)) = &mut state.trouble {
            match left.checked_sub(bytes.len() as u64) {
                Some(less) => *left = less,
                None => return ffi::SQLITE_FULL,
            }
        }
        let written = really();
        if written == ffi::SQLITE_OK {
            state.file(self.name(path)).write(offset, bytes);
        }
        if self.goes_with_this(&mut state) { ffi::SQLITE_IOERR_WRITE } else { written }
    }

    pub(crate) fn truncate(&self, path: &Path, size: usize, really: impl FnOnce() -> c_int) -> c_int {
        let mut state = self.state();
        if state.has_lost_power {
            return ffi::SQLITE_IOERR_TRUNCATE;
        }
        let truncated = really();
        if truncated == ffi::SQLITE_OK {
            state.file(self.name(path)).truncate(size);
        }
        if self.goes_with_this(&mut state) { ffi::SQLITE_IOERR_TRUNCATE } else { truncated }
    }

    pub(crate) fn sync(&self, path: &Path, syncs_directory: bool) -> c_int {
        let mut state = self.state();
        if state.has_lost_power || self.goes_with_this(&mut state) {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        if let Some(Trouble::SyncAt(left)) = &mut state.trouble {
            *left = left.saturating_sub(1);
            if *left == 0 {
                state.trouble = None;
                return ffi::SQLITE_IOERR_FSYNC;
            }
        }
        let name = self.name(path);
        state.file(name.clone()).sync();
        if syncs_directory {
            state.sync_directory(name.parent());
        }
        ffi::SQLITE_OK
    }

    pub(crate) fn delete(&self, path: &Path, syncs_directory: bool, really: impl FnOnce() -> c_int) -> c_int {
        let mut state = self.state();
        if state.has_lost_power || self.goes_with_this(&mut state) {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let deleted = really();
        if deleted == ffi::SQLITE_OK {
            let name = self.name(path);
            let gone = state.files.remove(&name);
            state.deleted.extend(gone.filter(|image| image.is_named).map(|image| (name.clone(), image)));
            if syncs_directory {
                state.sync_directory(name.parent());
            }
        }
        deleted
    }

    /// Whether the power goes with this step.
    fn goes_with_this(&self, state: &mut State) -> bool {
        let Some(Trouble::PowerAt(left)) = &mut state.trouble else { return false };
        *left = left.saturating_sub(1);
        let goes = *left == 0;
        if goes {
            self.lose_power(state);
        }
        goes
    }
}

impl State {
    fn file(&mut self, name: PathBuf) -> &mut Image {
        self.files.entry(name).or_default()
    }

    /// Every name that a directory holds is on the disk, and what was deleted from it is gone.
    fn sync_directory(&mut self, directory: Option<&Path>) {
        self.files.iter_mut().filter(|(name, _)| name.parent() == directory).for_each(|(_, image)| image.is_named = true);
        self.deleted.retain(|(name, _)| name.parent() != directory);
    }
}
