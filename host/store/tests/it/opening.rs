//! Opening: what stands against it is named, and nothing is changed.

use rusqlite::Connection;
use tempfile::TempDir;
use trackside_store::{Batch, OpenError, Store};

use crate::support::{all, append, append_types, clock, entry, fresh, incoming, open, options};

fn refused(dir: &TempDir) -> OpenError {
    match Store::open(options(dir), clock) {
        Err(error) => error,
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn one_host_has_a_directory() {
    let (dir, store) = fresh();
    let error = refused(&dir);
    assert!(matches!(error, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert!(error.to_string().contains(&format!("in use by another host (process {})", std::process::id())));
    let handle = store.clone();
    drop(store);
    assert!(matches!(refused(&dir), OpenError::InUse { .. }), "a handle is left");
    drop(handle);
    open(&dir);
}

#[test]
fn a_newer_log_is_left_alone() {
    let (dir, store) = fresh();
    append_types(&store, &["a:b"]);
    drop(store);
    let file = Connection::open(dir.path().join("log.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    for error in [refused(&dir), Store::open_read_only(dir.path()).unwrap_err()] {
        assert!(matches!(error, OpenError::Newer { found: 99, known: 5 }), "{error}");
    }
}

#[test]
fn a_log_of_the_first_version_is_brought_up_to_date() {
    let dir = TempDir::new().unwrap();
    let file = Connection::open(dir.path().join("log.db")).unwrap();
    file.execute_batch(include_str!("../frozen/version-1.sql")).unwrap();
    drop(file);
    assert!(matches!(Store::open_read_only(dir.path()).unwrap_err(), OpenError::Older { found: 1, known: 5 }));
    let store = open(&dir);
    let events = all(&store);
    assert_eq!((events.len(), events[0].payload.as_str(), &*events[1].correlation_id), (2, r#"{"amount": 20.50}"#, "basket-7"));
    assert_eq!(store.cursor("observer/audit").unwrap().map(|cursor| cursor.sequence), Some(1));
    append_types(&store, &["a:b"]);
    drop(store);

    // The view shows ids and times as people write them, of what was there before and of what came after.
    let file = Connection::open(dir.path().join("log.db")).unwrap();
    let shown = |sequence: i64| -> Vec<String> {
        let columns = "event_id || ' ' || event_type || ' ' || severity || ' ' || timestamp || ' ' || source_component || ' ' || correlation_id, \
                       coalesce(causation_id, '-') || ' ' || coalesce(workflow_id, '-') || ' ' || payload || ' ' || coalesce(metadata, '-')";
        let row = |row: &rusqlite::Row<'_>| Ok(vec![row.get(0)?, row.get(1)?]);
        file.query_row(&format!("SELECT {columns} FROM log WHERE sequence = ?1"), [sequence], row).unwrap()
    };
    assert_eq!(
        shown(1),
        [
            "0198f2b4-0000-7000-8000-000000000001 order:placed info 2023-11-14T22:13:20.123456789Z shop 0198f2b4-0000-7000-8000-000000000001",
            r#"- - {"amount": 20.50} -"#
        ]
    );
    assert_eq!(
        shown(2),
        [
            "0198f2b4-0000-7000-8000-000000000002 workflow:submitted error 2023-11-14T22:13:21.000000001Z shop basket-7",
            r#"0198f2b4-0000-7000-8000-000000000001 w-1 null {"tenant":"acme"}"#
        ]
    );
    assert!(shown(3)[0].contains(" a:b info "));
}

#[test]
fn other_databases_and_other_files_are_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("log.db");
    let file = Connection::open(&path).unwrap();
    file.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(file);
    assert!(matches!(refused(&dir), OpenError::Foreign));
    let theirs: String =
        Connection::open(&path).unwrap().query_row("SELECT group_concat(name) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(theirs, "theirs");
    std::fs::write(&path, "these are words, and no database, for more than a hundred bytes: ".repeat(20)).unwrap();
    assert!(matches!(refused(&dir), OpenError::Foreign));
    std::fs::write(dir.path().join("plain"), "").unwrap();
    let error = Store::open(trackside_store::StoreOptions::new(dir.path().join("plain")), clock).err().unwrap();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[test]
fn a_torn_tail_is_named() {
    let (dir, store) = fresh();
    append_types(&store, &["a:b", "a:b", "a:b"]);
    drop(store);
    let file = Connection::open(dir.path().join("log.db")).unwrap();
    file.execute("DELETE FROM events WHERE sequence = 2", []).unwrap();
    drop(file);
    let error = refused(&dir);
    assert!(matches!(error, OpenError::Damaged { after: 1, .. }), "{error}");
}

#[test]
fn reading_needs_no_host_and_disturbs_none() {
    let dir = TempDir::new().unwrap();
    let error = Store::open_read_only(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    let store = open(&dir);
    append_types(&store, &["a:b", "a:c"]);
    let beside = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(all(&beside).len(), 2);
    append_types(&store, &["a:d"]);
    assert_eq!(all(&beside).len(), 3, "it follows");
    store.close().unwrap();
    drop(store);
    assert_eq!(all(&beside).len(), 3);
    let alone = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(all(&alone), all(&beside));
    append_types(&open(&dir), &["a:e"]);
    assert_eq!(all(&alone).len(), 4);
}

#[test]
fn an_unfinished_first_start_is_taken_up() {
    let dir = TempDir::new().unwrap();
    drop(Connection::open(dir.path().join("log.db")).unwrap().pragma_update(None, "journal_mode", "WAL"));
    assert!(matches!(Store::open_read_only(dir.path()), Err(OpenError::Missing { .. })));
    append(&open(&dir), Batch::of([entry(incoming("a:b"))]));
}

#[test]
fn the_bundled_sqlite_has_no_wal_reset_bug() {
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}
