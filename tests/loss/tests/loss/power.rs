//! The store alone on a disk that loses power, fails a sync or is full.

use fastrand::Rng;
use trackside_engine::now;
use trackside_loss_tests::{Disk, Trouble, install};
use trackside_model::{
    control::{Admitted, Verdict},
    event::{EnvelopeLimits, Incoming},
};
use trackside_store::{Batch, Entry, Flush, Store};
use uuid::Uuid;

use crate::host::open;

/// Appends one event and waits for the disk; `None`: the store says that it cannot.
fn append(store: &Store) -> Option<u64> {
    let incoming = Incoming { event_type: "a:b".to_owned(), source_component: "shop".to_owned(), ..Incoming::default() };
    let draft = incoming.into_draft(now(), Uuid::now_v7(), &EnvelopeLimits::default()).unwrap();
    let admitted = Admitted::passed(Verdict::Proceed(None).let_through(draft).unwrap());
    let appended = store.append(Batch::of([Entry::fresh(admitted)]), Flush::Now).ok()?;
    appended.ticket.wait().ok().map(|()| appended.events[0].sequence_number)
}

#[test]
fn what_was_synced_outlives_the_power_at_every_step() {
    install();
    // From the first write on, which makes the file.
    for step in 1..120 {
        let disk = Disk::empty();
        disk.plan(Some(Trouble::PowerAt(step)));
        let mut durable = 0;
        if let Ok(store) = open(&disk, 16) {
            while let Some(sequence) = append(&store) {
                durable = sequence;
            }
            assert!(store.poisoned().is_some());
            let _ = store.close();
        }
        for seed in 0..4 {
            let after = disk.after_power_loss(&mut Rng::with_seed(seed));
            let store = open(&after, 16).unwrap_or_else(|error| panic!("at step {step}, seed {seed}: {error}"));
            assert!(store.durable_head() >= durable, "{durable} was durable at step {step}, and {} is left", store.durable_head());
            assert_eq!(append(&store), Some(store.durable_head()));
        }
    }
}

#[test]
fn a_sync_that_fails_and_a_full_disk_poison_the_store() {
    install();
    for trouble in [Trouble::SyncAt(3), Trouble::FullAfter(100_000)] {
        let disk = Disk::empty();
        let store = open(&disk, 1_000).unwrap();
        disk.plan(Some(trouble));
        let mut durable = 0;
        while let Some(sequence) = append(&store) {
            durable = sequence;
        }
        let said = store.poisoned().unwrap().to_string();
        assert!(said.contains("Make room or mend the disk, then start the host again"), "{said}");
        assert_eq!(store.durable_head(), durable, "readers see what is durable");
        assert!(store.close().is_err());
        let store = open(&disk.after_kill(), 1_000).unwrap();
        assert!(store.durable_head() >= durable);
        assert!(append(&store).is_some(), "with a disk that works it goes on");
    }
}

#[test]
fn what_a_killed_host_had_not_synced_is_not_shown_before_it_is() {
    install();
    let mut shown_and_synced = 0;
    for seed in 0..40 {
        let disk = Disk::empty();
        let store = open(&disk, 1_000).unwrap();
        append(&store).unwrap();
        // Written, and not synced: the host is killed in between.
        disk.plan(Some(Trouble::SyncAt(1)));
        assert_eq!(append(&store), None);
        // Before the store is closed: that would carry over what was synced, and take away what was not.
        let killed = disk.after_kill();
        let _ = store.close();
        let store = open(&killed, 1_000).unwrap();
        let shown = store.durable_head();
        let after = killed.after_power_loss(&mut Rng::with_seed(seed));
        drop(store);
        let left = open(&after, 1_000).unwrap().durable_head();
        assert!(left >= shown, "{shown} events were shown as durable, and {left} are left");
        shown_and_synced += shown;
    }
    assert!(shown_and_synced > 40, "what was written before the kill is taken up");
}
