//! Workflows as their events tell of them, to compare the list with, or to make it anew. What happens in a workflow is the model's.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use trackside_model::{
    event::{Event, Text},
    keeping::{TRIMMED, TrimmedEvents},
    plugin::Digest,
    time::Timestamp,
};

use crate::{
    event_types::{RememberedNames, TypeNames},
    rows::{self, StoredId, event_columns, integer},
};

const OF_WORKFLOWS: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE workflow_id IS NOT NULL ORDER BY sequence");

/// One.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) name: Option<String>,
    pub(crate) submitted: u64,
    pub(crate) correlation_id: Text,
    pub(crate) submitted_at: Timestamp,
    /// Its end: the status that goes with it, and when it was.
    pub(crate) ended: Option<(&'static str, Timestamp)>,
    pub(crate) definition: Option<Digest>,
    has_started: bool,
    /// Its first event: the command that asked for it, where there is one.
    first: u64,
    last: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct TellWorkflows {
    pub(crate) told: HashMap<Text, Told>,
    /// Commands that no submission has followed yet.
    asked: HashMap<Text, u64>,
    /// Whether the log is what could be read of a damaged one.
    pub(crate) is_salvaged: bool,
}

impl TellWorkflows {
    /// Of everything in a log.
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let remembered = RememberedNames::default();
        let names = TypeNames { connection, remembered: &remembered };
        let mut select = connection.prepare(OF_WORKFLOWS)?;
        let mut told = Self::default();
        for event in select.query_map([], |row| rows::decode(row, &names))? {
            told.note(&event?);
        }
        Ok(told)
    }

    /// The next event.
    pub(crate) fn note(&mut self, event: &Event) {
        if &*event.event_type == TRIMMED {
            self.is_salvaged |= event.payload.read::<TrimmedEvents>().is_ok_and(|told| &*told.reason == "salvage");
        }
        let Some(workflow_id) = &event.workflow_id else { return };
        let payload = |name: &str| event.payload.to_value()[name].clone();
        if &*event.event_type == "workflow:submitted" {
            let submitted = Told {
                name: payload("name").as_str().map(str::to_owned),
                submitted: event.sequence_number,
                correlation_id: event.correlation_id.clone(),
                submitted_at: event.timestamp,
                ended: None,
                definition: payload("definition").as_str().and_then(|digest| digest.parse().ok()),
                has_started: false,
                first: self.asked.remove(workflow_id).unwrap_or(event.sequence_number),
                last: event.sequence_number,
            };
            self.told.insert(workflow_id.clone(), submitted);
            return;
        }
        let Some(workflow) = self.told.get_mut(workflow_id) else {
            if &*event.event_type == "workflow:submit" {
                self.asked.insert(workflow_id.clone(), event.sequence_number);
            }
            return;
        };
        workflow.last = event.sequence_number;
        let ended = match &*event.event_type {
            "workflow:started" => {
                workflow.has_started = true;
                return;
            }
            "workflow:completed" if payload("left_out") == true => "skipped",
            "workflow:completed" => "completed",
            "workflow:failed" => "failed",
            "workflow:timeout" => "timed_out",
            "workflow:cancelled" => "cancelled",
            _ => return,
        };
        workflow.ended = Some((ended, event.timestamp));
    }

    /// Makes the list anew.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute("DELETE FROM workflows", [])?;
        let sql = "INSERT INTO workflows (first_sequence, workflow_id, name, status, correlation_id, last_sequence, submitted_at, ended_at) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let mut insert = connection.prepare(sql)?;
        for (workflow_id, told) in &self.told {
            let status = told.ended.map_or(if told.has_started { "running" } else { "submitted" }, |(status, _)| status);
            insert.execute(params![
                integer(told.first),
                StoredId::of(workflow_id),
                told.name.as_deref().unwrap_or_default(),
                status,
                StoredId::of(&told.correlation_id),
                integer(told.last),
                integer(told.submitted_at.0),
                told.ended.map(|(_, at)| integer(at.0))
            ])?;
        }
        Ok(())
    }
}
