//! Durable readers: handed out until acknowledged, over crashes too; what cannot be done is a dead letter and holds nobody up.
//! The rules under a seed are the model's tests.

use std::{collections::BTreeSet, time::Duration};

use trackside_engine::{Delivery, ReadersError};
use trackside_model::{
    event::Position,
    reader::{Order, ReaderOptions},
};

use crate::support::*;

fn quick() -> ReaderOptions {
    ReaderOptions { filter: types(&["order:*"]), backoff_ms: 1, most_backoff_ms: 5, ..ReaderOptions::default() }
}

/// What is handed out within a moment; nothing, if nothing is.
fn next(host: &Host, most: usize) -> Vec<Delivery> {
    let reader = host.engine().reader("billing").expect("the reader");
    let next = host.run(async { tokio::time::timeout(Duration::from_millis(200), reader.next(most)).await });
    next.map(|next| next.expect("reads")).unwrap_or_default()
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.frame.event().payload.to_value()["n"].as_u64().expect("a number")).collect()
}

fn acknowledge(host: &Host, deliveries: &[Delivery]) -> usize {
    let positions: Vec<Position> = deliveries.iter().map(|delivery| delivery.position).collect();
    let reader = host.engine().reader("billing").expect("the reader");
    let before = host.run(reader.acknowledge(&positions)).expect("settles");
    positions.len() - before.len()
}

fn set(host: &Host, options: ReaderOptions, from: Option<Position>) -> bool {
    host.run(host.engine().set_reader("billing", options, from, "test")).expect("takes the reader")
}

#[test]
fn what_is_acknowledged_does_not_come_again_and_everything_else_does() {
    let host = Host::with([]);
    assert!(set(&host, quick(), None));
    (0..30).for_each(|n| drop(host.publish(order(n))));
    let first = next(&host, 10);
    assert_eq!(numbers(&first), (0..10).collect::<Vec<_>>());
    assert_eq!(acknowledge(&host, &first[3..]), 7);
    assert_eq!(acknowledge(&host, &first[3..]), 0, "said twice, it is settled once");
    let host = Host::over(host.crashed(), options(), |_| Vec::new());
    let mut seen = BTreeSet::new();
    loop {
        let deliveries = next(&host, 7);
        if deliveries.is_empty() {
            break;
        }
        for delivery in &deliveries {
            let again = delivery.position <= first[2].position;
            assert_eq!(delivery.delivery, if again { 2 } else { 1 }, "what was out before the crash is counted");
        }
        seen.extend(numbers(&deliveries));
        acknowledge(&host, &deliveries);
    }
    assert_eq!(seen, (0..3).chain(10..30).collect());
    let status = &host.engine().readers()[0];
    assert_eq!((status.in_flight, status.waiting), (0, 0));
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    assert!(next(&host, 7).is_empty());
    assert_eq!(host.count("reader:created"), 1);
}

#[test]
fn an_event_that_cannot_be_done_is_a_dead_letter_and_holds_nobody_up() {
    let host = Host::with([]);
    set(&host, ReaderOptions { deliveries: 3, in_flight: 4, ..quick() }, None);
    (0..6).for_each(|n| drop(host.publish(order(n))));
    let reader = host.engine().reader("billing").expect("the reader");
    let mut deliveries_of_two = Vec::new();
    let mut done = BTreeSet::new();
    while done.len() < 5 || deliveries_of_two.len() < 3 {
        for delivery in next(&host, 4) {
            if numbers(std::slice::from_ref(&delivery)) == [2] {
                deliveries_of_two.push(delivery.delivery);
                assert!(reader.give_back(delivery.position, delivery.delivery, "no such customer", None).expect("takes it back"));
                assert!(!reader.give_back(delivery.position, delivery.delivery, "again", None).expect("knows better"));
            } else {
                done.extend(numbers(std::slice::from_ref(&delivery)));
                acknowledge(&host, &[delivery]);
            }
        }
    }
    assert_eq!(deliveries_of_two, [1, 2, 3]);
    host.until_told("event:dead_lettered", 1);
    let told = &host.of_type("event:dead_lettered")[0];
    let payload = told.payload.to_value();
    assert_eq!(
        (&payload["plugin"], &payload["deliveries"], &payload["reason"]),
        (&"reader/billing".into(), &3.into(), &"no such customer".into())
    );
    assert_eq!(told.causation_id.as_deref(), payload["event_id"].as_str());
    // Somebody wants it once more: it is in the reader's hands, over a crash too, and the letter is gone.
    let letter = told.sequence_number;
    let redriven = |host: &Host| host.run(host.engine().redrive(letter, None, "test"));
    assert!(host.run(host.engine().redrive(letter, Some(serde_json::json!({}).into()), "test")).is_err(), "as it is in the log");
    assert_eq!(redriven(&host).expect("hands it on").outcome, trackside_model::keeping::Redrive::HandedOn);
    assert!(redriven(&host).is_err(), "it is no dead letter any more");
    let host = Host::over(host.crashed(), options(), |_| Vec::new());
    let again = next(&host, 7);
    assert_eq!((numbers(&again), again[0].delivery), (vec![2], 1));
    assert_eq!(acknowledge(&host, &again), 1);
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    assert!(next(&host, 7).is_empty(), "it is behind the cursor");
}

#[test]
fn what_is_not_acknowledged_in_time_comes_again_unless_more_time_is_asked_for() {
    let host = Host::with([]);
    set(&host, ReaderOptions { ack_wait_ms: 300, ..quick() }, None);
    (0..2).for_each(|n| drop(host.publish(order(n))));
    let first = next(&host, 9);
    let reader = host.engine().reader("billing").expect("the reader");
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(150));
        assert!(reader.extend(first[0].position, 1).expect("gives time"));
    }
    let again = next(&host, 9);
    assert_eq!((numbers(&again), again[0].delivery), (vec![1], 2));
    assert!(!reader.extend(first[1].position, 1).expect("knows better"), "that delivery is over");
    assert_eq!(acknowledge(&host, &first), 2, "late, it is done all the same");
}

#[test]
fn clients_share_a_reader_and_a_correlation_keeps_its_order() {
    let host = Host::with([]);
    set(&host, ReaderOptions { order: Order::Correlation, ..quick() }, None);
    for n in 0..40 {
        let mut incoming = order(n);
        incoming.correlation_id = Some(format!("c{}", n % 4));
        host.publish(incoming);
    }
    let reader = host.engine().reader("billing").expect("the reader");
    let done = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    host.run(async {
        let clients = (0..4).map(|_| {
            let (reader, done) = (reader.clone(), done.clone());
            async move {
                while done.lock().len() < 40 {
                    let Ok(next) = tokio::time::timeout(Duration::from_millis(50), reader.next(3)).await else { continue };
                    for delivery in next.expect("reads") {
                        tokio::time::sleep(Duration::from_millis(delivery.position.sequence % 3)).await;
                        done.lock().push(numbers(std::slice::from_ref(&delivery))[0]);
                        reader.acknowledge(&[delivery.position]).await.expect("settles");
                    }
                }
            }
        });
        futures_util::future::join_all(clients).await;
    });
    let done = done.lock().clone();
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), 40);
    for correlation in 0..4 {
        let of_it: Vec<u64> = done.iter().copied().filter(|n| n % 4 == correlation).collect();
        assert!(of_it.is_sorted(), "{of_it:?}");
    }
    assert!(!done.is_sorted(), "the correlations went beside each other");
}

#[test]
fn a_reader_is_changed_begun_anew_and_taken_away() {
    let host = Host::with([]);
    (0..5).for_each(|n| drop(host.publish(order(n))));
    assert!(set(&host, quick(), Some(Position::default())));
    let first = next(&host, 2);
    acknowledge(&host, &first);
    let old = host.engine().reader("billing").expect("the reader");
    assert!(!set(&host, ReaderOptions { in_flight: 1, ..quick() }, None), "there is one");
    assert!(matches!(host.run(old.next(1)), Err(ReadersError::Gone(_))), "who asks the old one is told");
    assert_eq!(numbers(&next(&host, 9)), [2], "from where it was, one at a time");
    set(&host, quick(), Some(Position::default()));
    assert_eq!(numbers(&next(&host, 9)), [0, 1, 2, 3, 4]);
    assert!(host.run(host.engine().remove_reader("billing", "test")).expect("takes it away"));
    assert!(!host.run(host.engine().remove_reader("billing", "test")).expect("knows none"));
    assert_eq!((host.count("reader:changed"), host.count("reader:removed")), (2, 1));
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    assert!(host.engine().reader("billing").is_none());
    assert!(host.engine().store().cursors().expect("reads").iter().all(|(name, _)| name != "reader/billing"));
    let refused = host.run(host.engine().set_reader("a b", quick(), None, "test")).expect_err("no name");
    assert!(matches!(refused, ReadersError::Options(_)));
}
