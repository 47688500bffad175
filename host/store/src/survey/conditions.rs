//! A filter as SQL: everything of it but its condition in CEL, which is asked of the events that are left.

use rusqlite::{ToSql, types::Value};
use trackside_model::event::Filter;
use uuid::Uuid;

use crate::rows::{StoredId, integer};

/// A `WHERE` and its values.
#[derive(Debug)]
pub(crate) struct Conditions {
    /// The text, without the word.
    pub(crate) sql: String,
    /// In the order of the text's places.
    pub(crate) values: Vec<Value>,
}

impl Conditions {
    /// Events behind `after` and not behind `through` for which the filter's conditions hold; `types` are those that its patterns name.
    pub(crate) fn of(filter: &Filter, types: Option<&[i64]>, after: u64, through: u64) -> Self {
        let mut conditions = Self {
            sql: "sequence > ? AND sequence <= ?".to_owned(),
            values: vec![Value::Integer(integer(after)), Value::Integer(integer(through))],
        };
        if let Some(types) = types {
            conditions.one_of("type_id", types.iter().map(|type_id| Value::Integer(*type_id)));
        }
        if let Some(least) = filter.min_severity {
            conditions.sql.push_str(" AND severity >= ?");
            conditions.values.push(Value::Integer(i64::from(least as u8)));
        }
        if let Some(sources) = &filter.source_components {
            conditions.one_of("source_component", sources.iter().cloned().map(Value::Text));
        }
        if let Some(ids) = &filter.correlation_ids {
            // An event whose correlation is its own id keeps none.
            conditions.sql.push_str(" AND (correlation_id IN ");
            conditions.list(ids.iter().map(|id| stored(id)));
            conditions.sql.push_str(" OR (correlation_id IS NULL AND event_id IN ");
            conditions.list(ids.iter().filter(|id| matches!(StoredId::of(id), StoredId::Uuid(_))).map(|id| stored(id)));
            conditions.sql.push_str("))");
        }
        if let Some(ids) = &filter.workflow_ids {
            conditions.one_of("workflow_id", ids.iter().map(|id| stored(id)));
        }
        for (column, texts) in [("task_id", &filter.task_ids), ("provider_id", &filter.provider_ids)] {
            if let Some(texts) = texts {
                conditions.one_of(column, texts.iter().cloned().map(Value::Text));
            }
        }
        conditions
    }

    fn one_of(&mut self, column: &str, values: impl Iterator<Item = Value>) {
        self.sql.push_str(&format!(" AND {column} IN "));
        self.list(values);
    }

    fn list(&mut self, values: impl Iterator<Item = Value>) {
        let before = self.values.len();
        self.values.extend(values);
        let places = vec!["?"; self.values.len() - before].join(", ");
        self.sql.push_str(&format!("({places})"));
    }
}

fn stored(id: &str) -> Value {
    match StoredId::of(id) {
        StoredId::Uuid(uuid) => Value::Blob(Uuid::as_bytes(&uuid).to_vec()),
        StoredId::Text(text) => Value::Text(text.to_owned()),
    }
}

/// The values as a statement takes them.
pub(super) fn bound(values: &[Value]) -> impl Iterator<Item = &dyn ToSql> {
    values.iter().map(|value| value as &dyn ToSql)
}
