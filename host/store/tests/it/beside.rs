//! What is kept beside the events: cursors, the outbox, blobs, workflows.

use std::sync::Arc;

use trackside_model::{
    event::{Metadata, Position, Severity, Text},
    json::Json,
    plugin::Digest,
    ports::OutboxPublish,
    time::Timestamp,
};
use trackside_store::{Batch, Flush, OutboxRow, Store, WorkflowChange, WorkflowQuery};

use crate::support::{append, entry, fresh, incoming, open};

#[test]
fn cursors_move_with_their_batch() {
    let (dir, store) = fresh();
    assert_eq!(store.cursor("observer/audit").unwrap(), None);
    let to = |name: &str, sequence, part| Batch { cursors: vec![(name.to_owned(), Position { sequence, part })], ..Batch::default() };
    append(&store, to("observer/audit", 7, u32::MAX));
    append(&store, to("observer/audit", 9, 2));
    append(&store, to("outbox", 1, 0));
    drop(store);
    let store = open(&dir);
    assert_eq!(store.cursor("observer/audit").unwrap(), Some(Position { sequence: 9, part: 2 }));
    let names: Vec<String> = store.cursors().unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["observer/audit", "outbox"]);
}

fn publish(number: u128) -> OutboxRow {
    OutboxRow {
        plugin: Text::from("audit"),
        publish: OutboxPublish {
            event_id: uuid::Uuid::from_u128(number),
            event_type: "audit:counted".to_owned(),
            severity: Severity::Warning,
            payload: Json::trusted("{\"n\": [1]}"),
            metadata: Metadata::from([("a".to_owned(), "b".to_owned())]),
            cause: Some("cause".to_owned()),
            correlation_id: None,
            timestamp: Some(Timestamp(5)),
            due: None,
            raised: number.is_multiple_of(2),
        },
        correlation_id: Text::from("corr"),
        causation_id: Some(Text::from("cause")),
        workflow_id: None,
        task_id: Some(Text::from("t")),
        hops: 3,
    }
}

#[test]
fn the_outbox_keeps_order_until_done() {
    let (dir, store) = fresh();
    append(&store, Batch { outbox_put: vec![publish(1), publish(2)], ..Batch::default() });
    append(&store, Batch { outbox_put: vec![publish(3)], ..Batch::of([entry(incoming("a:b"))]) });
    let waiting = |store: &Store, after, limit| -> Vec<u64> { store.outbox(after, limit).unwrap().iter().map(|entry| entry.id).collect() };
    let entries = store.outbox(0, 10).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.row.clone()).collect::<Vec<_>>(), [publish(1), publish(2), publish(3)]);
    assert_eq!(waiting(&store, 0, 2), [1, 2]);
    assert_eq!(waiting(&store, 2, 2), [3]);
    append(&store, Batch { outbox_done: vec![2], ..Batch::of([entry(incoming("audit:counted"))]) });
    drop(store);
    let store = open(&dir);
    assert_eq!(waiting(&store, 0, 10), [1, 3]);
    append(&store, Batch { outbox_put: vec![publish(4)], ..Batch::default() });
    assert_eq!(waiting(&store, 0, 10), [1, 3, 4], "ids that wait are not given again");
}

#[test]
fn blobs_are_kept_once_and_found_at_once() {
    let (dir, store) = fresh();
    let bytes: Arc<[u8]> = Arc::from(vec![7u8; 3 << 20]);
    let (digest, ticket) = store.put_blob(bytes.clone(), Flush::Lazy).unwrap();
    assert_eq!(digest, Digest::of(&bytes));
    assert_eq!(store.blob(&digest).unwrap(), Some(bytes.clone()), "also while it waits for the disk");
    ticket.wait().unwrap();
    assert_eq!(store.put_blob(bytes.clone(), Flush::Now).unwrap().0, digest);
    append(&store, Batch::default());
    drop(store);
    let store = open(&dir);
    assert_eq!(store.blob(&digest).unwrap(), Some(bytes));
    assert_eq!(store.blob(&Digest::of(b"other")).unwrap(), None);
    let rows: i64 = rusqlite::Connection::open(dir.path().join("log.db"))
        .unwrap()
        .query_row("SELECT count(*) FROM blobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1);
}

fn change(id: &str, status: &str, ended: bool) -> WorkflowChange {
    WorkflowChange {
        workflow_id: Text::from(id),
        name: Text::from("digest"),
        status: Text::from(status),
        correlation_id: Text::from("corr"),
        submitted_at: Timestamp(5),
        ended_at: ended.then_some(Timestamp(9)),
    }
}

fn step(store: &Store, id: &str, status: &str, ended: bool) {
    let mut event = incoming("shop:step");
    event.workflow_id = Some(id.to_owned());
    append(store, Batch { workflows: vec![change(id, status, ended)], ..Batch::of([entry(incoming("a:b")), entry(event)]) });
}

#[test]
fn unfinished_workflows_are_found_and_lists_are_newest_first() {
    let (dir, store) = fresh();
    let uuid = uuid::Uuid::now_v7().to_string();
    for (id, status, ended) in
        [("w1", "running", false), (&*uuid, "running", false), ("w3", "paused", false), ("w1", "completed", true), ("w4", "failed", true)]
    {
        step(&store, id, status, ended);
    }
    append(&store, Batch { workflows: vec![change("w3", "cancelled", true), change("unknown", "running", false)], ..Batch::default() });
    drop(store);
    let store = open(&dir);
    let unfinished: Vec<String> = store.unfinished_workflows().unwrap().iter().map(|row| row.workflow_id.to_string()).collect();
    assert_eq!(unfinished, [uuid.as_str()]);
    let first = store.workflow("w1").unwrap().unwrap();
    assert_eq!((first.first_sequence, first.last_sequence, &*first.status, first.ended_at), (2, 8, "completed", Some(Timestamp(9))));
    assert_eq!((first.submitted_at, &*first.correlation_id, &*first.name), (Timestamp(5), "corr", "digest"));
    assert!(store.workflow("unknown").unwrap().is_none());
    let listed = |statuses: Option<&[&str]>, before, limit| {
        let statuses = statuses.map(|statuses| statuses.iter().map(|status| (*status).to_owned()).collect());
        let page = store.workflows(&WorkflowQuery { statuses, before, limit }).unwrap();
        (page.workflows.iter().map(|row| row.first_sequence).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(listed(None, None, 10), (vec![10, 6, 4, 2], None));
    assert_eq!(listed(None, None, 2), (vec![10, 6], Some(6)));
    assert_eq!(listed(None, Some(6), 2), (vec![4, 2], None));
    assert_eq!(listed(Some(&["failed", "completed"]), None, 1), (vec![10], Some(10)));
    assert_eq!(listed(Some(&["failed", "completed"]), Some(10), 1), (vec![2], None));
    assert_eq!(listed(Some(&["nonsense"]), None, 1), (vec![], None));
}

#[test]
fn a_workflow_s_events_come_in_order_and_in_parts() {
    let (_dir, store) = fresh();
    for _ in 0..5 {
        step(&store, "w", "running", false);
        step(&store, "other", "running", false);
    }
    let read = |after, events, bytes| -> Vec<u64> {
        store.workflow_events("w", after, events, bytes).unwrap().iter().map(|event| event.sequence_number).collect()
    };
    assert_eq!(read(0, 100, 1 << 20), [2, 6, 10, 14, 18]);
    assert_eq!(read(6, 2, 1 << 20), [10, 14]);
    assert_eq!(read(6, 100, 1), [10]);
    assert!(read(18, 100, 1 << 20).is_empty());
}
