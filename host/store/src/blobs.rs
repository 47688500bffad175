//! Blobs: definitions and large values, kept once by the digest of their bytes.
//! Who refers to them is told by the events.

use std::sync::Arc;

use rusqlite::OptionalExtension;
use trackside_model::plugin::Digest;

use crate::{
    append::AppendError,
    batch::{Batch, Flush},
    readers::ReadError,
    store::{ReadStore, Store},
    ticket::Ticket,
};

impl Store {
    /// Keeps some bytes, alone. With the event that refers to them they go in its batch.
    ///
    /// # Errors
    /// [`AppendError`], by what stands against it.
    pub fn put_blob(&self, bytes: Arc<[u8]>, flush: Flush) -> Result<(Digest, Ticket), AppendError> {
        let digest = Digest::of(&bytes);
        let appended = self.append(Batch { blobs: vec![(digest, bytes)], ..Batch::default() }, flush)?;
        Ok((digest, appended.ticket))
    }

    /// The bytes with this digest, durable or about to be.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, ReadError> {
        if let Some(bytes) = self.shared().state().pending.blob(digest) {
            return Ok(Some(bytes));
        }
        ReadStore::blob(self, digest)
    }
}

impl ReadStore {
    /// The durable bytes with this digest.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached("SELECT bytes FROM blobs WHERE digest = ?1")?;
            select.query_row([digest.0], |row| Ok(Arc::from(row.get_ref(0)?.as_blob()?))).optional()
        })
    }
}
