//! The writer thread: takes one group after the other, commits it and tells everybody. It owns the only connection that writes.
//! What is in a group is `append`'s, how it becomes rows is `write`'s.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    checkpoint::{self, Checkpoints},
    directory::HeldDirectory,
    failpoint,
    pending::Group,
    shared::Shared,
    write::WriteConnection,
};

/// What the thread owns.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connection: WriteConnection,
    pub(crate) checkpoints: Arc<Checkpoints>,
    /// Let go of when the connection is closed: the next host must not meet this one.
    pub(crate) held: HeldDirectory,
}

impl Writer {
    /// The thread's whole life: until the store is closed or a commit fails.
    pub(crate) fn run(mut self) {
        let ended = self.commit_until_closed();
        self.checkpoints.stop();
        match ended {
            Ok(()) => checkpoint::finish(self.connection.connection()),
            Err(cause) => self.shared.poison(&cause),
        }
        let Self { connection, held, .. } = self;
        drop(connection);
        drop(held);
    }

    fn commit_until_closed(&mut self) -> Result<(), String> {
        while let Some(group) = self.shared.next_group() {
            failpoint::before("commit");
            self.commit(&group)?;
            failpoint::after("commit");
            self.shared.committed(&group);
            self.checkpoints.after_commit(self.connection.connection(), self.connection.wal_pages());
        }
        Ok(())
    }

    /// A panic here is a mistake in the host; those who wait must hear of it as of any other failure.
    fn commit(&mut self, group: &Group) -> Result<(), String> {
        match catch_unwind(AssertUnwindSafe(|| self.connection.commit(&group.rows))) {
            Ok(committed) => committed.map_err(|error| error.to_string()),
            Err(_) => Err("the writer thread panicked".to_owned()),
        }
    }
}
