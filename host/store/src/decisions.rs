//! What control handlers said about an event, as it was kept beside it.
//! What a record says is the model's.

use rusqlite::OptionalExtension;
use trackside_model::control::DecisionRecord;

use crate::{
    readers::ReadError,
    rows::{damaged, integer},
    store::ReadStore,
};

impl ReadStore {
    /// What was decided about the event at this place; empty where nobody looked.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn decisions(&self, sequence: u64) -> Result<Vec<DecisionRecord>, ReadError> {
        self.readers().read(|names| {
            let mut select = names.connection.prepare_cached("SELECT records FROM decisions WHERE sequence = ?1")?;
            let records = select.query_row([integer(sequence)], |row| {
                serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|error| damaged(0, error.to_string()))
            });
            Ok(records.optional()?.unwrap_or_default())
        })
    }
}
