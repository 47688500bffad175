//! Forgetting how far a plugin had come that is out of service for good: its cursors hold nothing back any more. One that comes back begins with what
//! comes then. What it keeps in its kv space stays.

use serde_json::json;
use trackside_model::control::{Admitted, Notice};
use trackside_store::{AppendError, AttemptChange, Batch, Entry, Flush, Poisoned, ReadError};

use crate::{clock, engine::Engine, observers, triggers};

/// Why nothing is forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// It is read for.
    #[error("'{0}' is in service, or comes to an end just now; take it out first (trackside plugin remove {0})")]
    InService(String),
    /// It has none.
    #[error("no cursor of a plugin '{0}' holds anything back; `trackside store trim --dry-run` names those that do")]
    Nothing(String),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log does not take it.
    #[error("the log did not take it: {0}")]
    Append(#[from] AppendError),
    /// The same.
    #[error("what came of it is known after a restart: {0}")]
    Poisoned(#[from] Poisoned),
}

impl Engine {
    /// Takes the cursors of a plugin away that is out of service, and tells which those were. Answers when that is durable.
    ///
    /// # Errors
    /// [`ForgetError`], by what stands against it.
    pub async fn forget_cursors(&self, plugin: &str, by: &str) -> Result<Vec<String>, ForgetError> {
        let shared = self.shared();
        let (cursors, ticket) = {
            // Nobody comes into service meanwhile and begins to read.
            let _changing = shared.changing.lock();
            if shared.roster.load().get(plugin).is_some() || shared.reading.lock().contains(plugin) {
                return Err(ForgetError::InService(plugin.to_owned()));
            }
            let (observer, triggers) = (observers::cursor_key(plugin), triggers::cursors_of(plugin));
            let all = shared.store.cursors()?.into_iter().map(|(name, _)| name);
            let cursors: Vec<String> = all.filter(|name| *name == observer || name.starts_with(&triggers)).collect();
            if cursors.is_empty() {
                return Err(ForgetError::Nothing(plugin.to_owned()));
            }
            let payload = json!({"plugin": plugin, "cursors": cursors, "by": by});
            let notice = Notice::new("plugin:forgotten", clock::fresh_id(), clock::now(), payload).expect("the catalogue has it");
            let batch = Batch {
                cursors_gone: cursors.clone(),
                attempts: vec![AttemptChange::Past(observer)],
                ..Batch::of([Entry::fresh(Admitted::notice(notice))])
            };
            (cursors, shared.store.append(batch, Flush::Now)?.ticket)
        };
        ticket.durable().await?;
        Ok(cursors)
    }
}
