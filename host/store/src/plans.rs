//! Query plans: every statement on a path that must stay fast whatever the size of the log is explained here, against the real schema.
//! A plan that scans what it should search fails the build's tests, not an operator's night.

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use crate::{
        candidates, dead_letters, expected, find, kv, kv_list, outbox, query,
        retention::{self, blobs, keep},
        schema, tail, trimmed, workflows,
    };

    /// What SQLite says it does, one step a line.
    fn plan(connection: &Connection, sql: &str) -> String {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = vec![rusqlite::types::Value::Null; explain.parameter_count()];
        let steps = explain.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>("detail")).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn hot_statements_search_and_do_not_sort() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection, 0).unwrap();
        let events = "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        for (sql, expected) in [
            (tail::BEHIND, events),
            (query::THROUGH, events),
            (query::AT, "SEARCH events USING INTEGER PRIMARY KEY (rowid=?)"),
            (query::TIME_AT, "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)"),
            (schema::TAIL, "SCAN events"),
            (find::BY_ID, "SEARCH events USING INDEX events_by_id (event_id=?)"),
            (expected::LAST_OF_WORKFLOW, "SEARCH events USING COVERING INDEX events_by_workflow (workflow_id=? AND rowid<?)"),
            (expected::LAST_OF_CORRELATION, "SEARCH events USING COVERING INDEX events_by_correlation (correlation_id=? AND rowid<?)"),
            (expected::OF_OWN_ID, "SEARCH events USING INDEX events_by_id (event_id=?)"),
            (candidates::BY_OWN_ID, "SEARCH events USING COVERING INDEX events_by_id (event_id=?)"),
            (candidates::BY_TYPE, "SEARCH events USING COVERING INDEX events_by_type (type_id=? AND rowid>? AND rowid<?)"),
            (
                candidates::BY_CORRELATION,
                "SEARCH events USING COVERING INDEX events_by_correlation (correlation_id=? AND rowid>? AND rowid<?)",
            ),
            (candidates::BY_WORKFLOW, "SEARCH events USING COVERING INDEX events_by_workflow (workflow_id=? AND rowid>? AND rowid<?)"),
            (candidates::BY_TEXT, "SCAN full_text VIRTUAL TABLE INDEX 64:M1><"),
            (workflows::EVENTS, "SEARCH events USING INDEX events_by_workflow (workflow_id=? AND rowid>? AND rowid<?)"),
            (workflows::ONE, "SEARCH workflows USING INDEX sqlite_autoindex_workflows_1 (workflow_id=?)"),
            (workflows::UNFINISHED, "SCAN workflows USING INDEX workflows_unfinished"),
            (workflows::NEWEST, "SEARCH workflows USING INTEGER PRIMARY KEY (rowid<?)"),
            (workflows::NEWEST_OF, "SEARCH workflows USING INDEX workflows_by_status (status=? AND rowid<?)"),
            (outbox::WAITING, "SEARCH outbox USING INDEX outbox_by_due (due=? AND rowid>?)"),
            (outbox::DUE, "SEARCH outbox USING INDEX outbox_by_due (due<?)"),
            (outbox::NEXT_DUE, "SEARCH outbox USING COVERING INDEX outbox_by_due (due>?)"),
            (outbox::SCHEDULED, "SEARCH outbox USING INDEX outbox_scheduled (plugin=?)"),
            (
                outbox::IS_SCHEDULED,
                "SCAN CONSTANT ROW; SCALAR SUBQUERY 1; SEARCH outbox USING INDEX outbox_scheduled (plugin=? AND event_id=?)",
            ),
            (kv::VALUE, "SEARCH kv USING PRIMARY KEY (plugin=? AND key=?)"),
            (kv::KEYS, "SEARCH kv USING PRIMARY KEY (plugin=? AND key>?)"),
            (kv_list::LIST, "SEARCH kv USING PRIMARY KEY (plugin=? AND key>?)"),
            (kv::BYTES, "SEARCH kv USING PRIMARY KEY (plugin=?)"),
            (retention::NEXT, events),
            (retention::KINDS, events),
            (blobs::SPEAKING, events),
            (keep::WORKFLOW, "SEARCH workflows USING INDEX sqlite_autoindex_workflows_1 (workflow_id=?)"),
            (keep::DEAD_LETTER_AT, "SEARCH dead_letters USING COVERING INDEX dead_letters_by_event (event_sequence=?)"),
            (
                keep::FIRST_DEAD,
                "SEARCH events USING COVERING INDEX events_by_type (type_id=?); SCALAR SUBQUERY 1; \
                 SEARCH event_types USING COVERING INDEX sqlite_autoindex_event_types_1 (name=?)",
            ),
            (dead_letters::ONE, "SEARCH dead_letters USING INTEGER PRIMARY KEY (rowid=?)"),
            (dead_letters::BEHIND, "SEARCH dead_letters USING INTEGER PRIMARY KEY (rowid>?)"),
            (find::TRIMMED_BY_ID, "SEARCH trimmed_ids USING PRIMARY KEY (event_id=?)"),
            (trimmed::WITHIN, "SEARCH trimmed USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            (trimmed::BEFORE, "SEARCH trimmed USING INTEGER PRIMARY KEY (rowid<?)"),
            (trimmed::FORGOTTEN, "SEARCH trimmed_ids USING COVERING INDEX trimmed_ids_by_time (trimmed_at<?)"),
            (trimmed::SPOKEN_OF, "SCAN CONSTANT ROW; SCALAR SUBQUERY 1; SEARCH events USING INTEGER PRIMARY KEY (rowid>?)"),
            (kv::OVER, "SEARCH kv USING COVERING INDEX kv_by_expiry (expires_at<?)"),
        ] {
            assert_eq!(plan(&connection, sql), expected, "{sql}");
        }
    }
}
