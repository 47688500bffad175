//! Logs that earlier versions of the program left, frozen as SQL: each is opened, brought up to date, looked through and gone on with, for ever.
//! `tests/loss` writes the one of the version at hand.

use std::collections::BTreeMap;

use rusqlite::Connection;
use tempfile::TempDir;
use trackside_store::{OpenError, Store, log_path, verify};

use crate::support::{all, append_types, open};

/// The version, and a log of it.
const FROZEN: [(u32, &str); 4] = [
    (1, include_str!("../frozen/version-1.sql")),
    (2, include_str!("../frozen/version-2.sql")),
    (3, include_str!("../frozen/version-3.sql")),
    (4, include_str!("../frozen/version-4.sql")),
];

fn file(dir: &TempDir) -> Connection {
    Connection::open(log_path(dir.path())).unwrap()
}

fn version(dir: &TempDir) -> u32 {
    file(dir).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// Everything that the schema is made of.
fn schema(dir: &TempDir) -> BTreeMap<String, String> {
    let file = file(dir);
    let mut select = file.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Every row of a table, as SQL has it; none if there is no such table.
fn rows(dir: &TempDir, table: &str) -> Vec<String> {
    let file = file(dir);
    let mut columns = file.prepare("SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info(?1)").unwrap();
    let Some(columns) = columns.query_row([table], |row| row.get::<_, Option<String>>(0)).unwrap() else { return Vec::new() };
    let mut select = file.prepare(&format!("SELECT {columns} FROM {table}")).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A version that is done is frozen before the next one is begun.
#[test]
fn every_version_before_this_one_is_frozen() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir));
    let known = version(&dir);
    let frozen: Vec<u32> = FROZEN.iter().map(|(version, _)| *version).collect();
    for version in 1..known {
        assert!(
            frozen.contains(&version),
            "there is a migration to version {known} of the schema, and no frozen log of version {version}: check out the commit before the migration, \
             run `cargo test --workspace --test loss -- --ignored freeze`, and add the file that it writes to host/store/tests/frozen and to FROZEN"
        );
    }
}

#[test]
fn a_log_of_every_version_is_brought_up_to_date_and_goes_on() {
    let fresh = TempDir::new().unwrap();
    drop(open(&fresh));
    let known = version(&fresh);
    for (frozen, sql) in FROZEN {
        let dir = TempDir::new().unwrap();
        file(&dir).execute_batch(sql).unwrap();
        assert_eq!(version(&dir), frozen, "the file says which it is");
        if frozen < known {
            let error = Store::open_read_only(dir.path()).unwrap_err();
            assert!(matches!(error, OpenError::Older { found, .. } if found == frozen), "version {frozen}: {error}");
        }
        let kept = [
            "event_types",
            "events",
            "decisions",
            "cursors",
            "kv",
            "outbox",
            "blobs",
            "workflows",
            "trimmed",
            "trimmed_ids",
            "attempts",
            "readers",
        ];
        let before: Vec<Vec<String>> = kept.iter().map(|table| rows(&dir, table)).collect();

        let store = open(&dir);
        let events = all(&store);
        assert!(events.len() > 1 && events.last().map(|event| event.sequence_number) == Some(store.durable_head()), "version {frozen}");
        assert!(events.iter().all(|event| event.payload.to_value().is_object() || event.payload.as_str() == "null"), "version {frozen}");
        for (table, before) in kept.iter().zip(&before) {
            assert_eq!(rows(&dir, table), *before, "{table}, from version {frozen}");
        }
        assert_eq!(schema(&dir), schema(&fresh), "from version {frozen}, what the migrations make of it is what they make from nothing");
        append_types(&store, &["a:b"]);
        store.close().unwrap();
        drop(store);
        let verified = verify(&log_path(dir.path()), |_, _| ()).unwrap_or_else(|error| panic!("from version {frozen}: {error}"));
        assert_eq!(verified.last, events.last().unwrap().sequence_number + 1, "version {frozen}");
    }
}

/// A frozen log is of use only for the tables that it has rows in.
#[test]
fn frozen_logs_have_something_in_every_table() {
    for (frozen, sql) in FROZEN.into_iter().filter(|(version, _)| *version > 1) {
        let dir = TempDir::new().unwrap();
        let file = file(&dir);
        file.execute_batch(sql).unwrap();
        let mut select = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        let tables = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for table in tables.map(Result::unwrap) {
            assert!(!rows(&dir, &table).is_empty(), "version {frozen} has nothing in {table}");
        }
    }
}
