//! A disk that loses power. In a process that has called [`install`], SQLite's files in the directory of a [`Disk`] are watched: what was synced is
//! known from what was only written, and a loss of power keeps the first and any part of the second.
//!
//! The files themselves lie where they always do, and hold what the system's cache would: [`Disk`] is the model beside them, `vfs` the thin layer
//! by which SQLite tells of every write. Shared memory and locks are SQLite's own.

mod disk;
mod image;
mod vfs;

pub use self::{
    disk::{Disk, Trouble},
    vfs::install,
};
