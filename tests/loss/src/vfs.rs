//! The layer under SQLite: its own file system for everything, except that writes, syncs, truncations and deletions of watched files go by way of
//! their [`Disk`]. All that is unsafe here is speaking C with SQLite; what a disk does about it is `disk`'s.

use std::{
    ffi::{CStr, OsStr, c_char, c_int, c_void},
    mem::size_of,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    ptr, slice,
    sync::{Arc, OnceLock},
};

use rusqlite::ffi;

use crate::disk::Disk;

/// SQLite's own file system.
struct Real(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite registers it once and for ever, and calls it from every thread itself.
unsafe impl Send for Real {}
// SAFETY: as above.
unsafe impl Sync for Real {}

static REAL: OnceLock<Real> = OnceLock::new();

/// What is kept beside an open file that is watched. Its address is written behind SQLite's own part of the file.
struct Handle {
    disk: Arc<Disk>,
    path: PathBuf,
    /// A journal that may have been made by this opening: SQLite syncs its directory with it.
    syncs_directory: bool,
    real: ffi::sqlite3_io_methods,
    /// The same, with those replaced that a disk hears of.
    watched: ffi::sqlite3_io_methods,
}

/// Has every file that SQLite opens from here on in this process watched, if it lies on a [`Disk`].
pub fn install() {
    REAL.get_or_init(|| {
        // SAFETY: without a name this gives the default file system, which is never taken away.
        let real = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!real.is_null(), "SQLite has a file system");
        // SAFETY: it is not null, and a plain structure. The functions that are taken over from it use nothing of it but its limits, which are copied.
        let copy = unsafe { *real };
        let room = c_int::try_from(size_of::<*mut Handle>()).expect("a pointer is small");
        let ours = ffi::sqlite3_vfs {
            szOsFile: copy.szOsFile + room,
            pNext: ptr::null_mut(),
            zName: c"loss".as_ptr(),
            xOpen: Some(open),
            xDelete: Some(delete),
            ..copy
        };
        // SAFETY: what is registered lives as long as the process.
        let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1) };
        assert_eq!(registered, ffi::SQLITE_OK, "SQLite takes a file system");
        Real(real)
    });
}

fn real() -> *mut ffi::sqlite3_vfs {
    REAL.get().expect("files are opened through what was installed").0
}

/// Where the address of a file's handle is kept.
///
/// # Safety
/// `file` is one that SQLite made room for by the `szOsFile` of [`install`].
unsafe fn place(file: *mut ffi::sqlite3_file) -> *mut *mut Handle {
    // SAFETY: `install` has asked for this much room; `szOsFile` is the size of a C structure with pointers, so that what is behind it is aligned.
    unsafe { file.cast::<u8>().add(usize::try_from((*real()).szOsFile).expect("a size")).cast() }
}

/// The handle of a watched file.
///
/// # Safety
/// `file` was opened by [`open`] with the methods of a handle, and is not closed.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a Handle {
    // SAFETY: `open` has put it there, and only `close` takes it away, after which SQLite does not call.
    unsafe { &**place(file) }
}

/// The path that SQLite names.
///
/// # Safety
/// `name` is null, or text that ends with a zero.
unsafe fn path_of<'a>(name: *const c_char) -> Option<&'a Path> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by what the caller promises.
    let name = unsafe { CStr::from_ptr(name) };
    Some(Path::new(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a path, or null for a file that nobody else sees.
    let path = unsafe { path_of(name) };
    let disk = path.and_then(Disk::of);
    if disk.as_ref().is_some_and(|disk| !disk.has_power()) {
        // SAFETY: SQLite gives room for a file; without methods it is not closed.
        unsafe { (*file).pMethods = ptr::null() };
        return ffi::SQLITE_CANTOPEN;
    }
    let existed = path.is_some_and(Path::exists);
    // SAFETY: SQLite's own function, with what SQLite gave.
    let opened = unsafe { (*real()).xOpen.expect("it opens files")(real(), name, file, flags, out_flags) };
    let (Some(path), Some(disk), ffi::SQLITE_OK) = (path, disk, opened) else { return opened };
    disk.opened(path, existed);
    const JOURNALS: c_int = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
    // SAFETY: a file that was opened has methods.
    let methods = unsafe { *(*file).pMethods };
    let watched = ffi::sqlite3_io_methods {
        xClose: Some(close),
        xRead: Some(read),
        xWrite: Some(write),
        xTruncate: Some(truncate),
        xSync: Some(sync),
        ..methods
    };
    let syncs_directory = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & JOURNALS != 0;
    let handle = Box::into_raw(Box::new(Handle { disk, path: path.to_owned(), syncs_directory, real: methods, watched }));
    // SAFETY: there is room for the address; the handle, with the methods in it, lives until `close`.
    unsafe {
        *place(file) = handle;
        (*file).pMethods = &raw const (*handle).watched;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite's own function, with what SQLite gave.
    let really = || unsafe { (*real()).xDelete.expect("it deletes files")(real(), name, sync_directory) };
    // SAFETY: SQLite gives a path.
    match unsafe { path_of(name) }.and_then(|path| Some((path, Disk::of(path)?))) {
        Some((path, disk)) => disk.delete(path, sync_directory != 0, really),
        None => really(),
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` has put the handle there, and this is the last call for this file.
    let handle = unsafe { Box::from_raw(*place(file)) };
    // SAFETY: SQLite's own method, for the file that it is of.
    unsafe { handle.real.xClose.expect("it closes")(file) }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, bytes: c_int, offset: i64) -> c_int {
    // SAFETY: only the methods of a handle lead here.
    let handle = unsafe { handle(file) };
    if !handle.disk.has_power() {
        return ffi::SQLITE_IOERR_READ;
    }
    // SAFETY: SQLite's own method, for the file that it is of, with what SQLite gave.
    unsafe { handle.real.xRead.expect("it reads")(file, into, bytes, offset) }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, bytes: c_int, offset: i64) -> c_int {
    // SAFETY: only the methods of a handle lead here.
    let handle = unsafe { handle(file) };
    // SAFETY: SQLite gives so many bytes, and they stay as they are during this call.
    let written = unsafe { slice::from_raw_parts(from.cast::<u8>(), usize::try_from(bytes).expect("a length")) };
    // SAFETY: SQLite's own method, for the file that it is of, with what SQLite gave.
    let really = || unsafe { handle.real.xWrite.expect("it writes")(file, from, bytes, offset) };
    handle.disk.write(&handle.path, usize::try_from(offset).expect("a place"), written, really)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: only the methods of a handle lead here.
    let handle = unsafe { handle(file) };
    // SAFETY: SQLite's own method, for the file that it is of, with what SQLite gave.
    let really = || unsafe { handle.real.xTruncate.expect("it truncates")(file, size) };
    handle.disk.truncate(&handle.path, usize::try_from(size).expect("a size"), really)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: only the methods of a handle lead here.
    let handle = unsafe { handle(file) };
    // The real one would cost what a real disk costs, and tell nothing: this disk is the model.
    handle.disk.sync(&handle.path, handle.syncs_directory)
}
