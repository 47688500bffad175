//! What follows from the events alone, made anew from them: the list of workflows, the dead letters, the full text. For a log that was not written by a host
//! but made of another one, by `salvage` or `import`, and compared by `verify`.

use rusqlite::Connection;

use crate::{dead_letters, full_text, told_workflows::TellWorkflows};

/// Writes every table that follows from the events, in place of what is there.
pub(crate) fn rebuild(connection: &Connection) -> rusqlite::Result<()> {
    dead_letters::rebuild(connection)?;
    full_text::rebuild(connection)?;
    // One that was never seen to be submitted is no longer in the list; one whose end was lost goes on.
    TellWorkflows::of(connection)?.write(connection)
}
