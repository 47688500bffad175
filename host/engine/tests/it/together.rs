//! Writers that expect something of the log, events that go together, and plugins that publish too fast.

use std::collections::BTreeSet;

use serde_json::json;
use trackside_engine::{Answer, EngineOptions, Outcome, Together};
use trackside_model::{
    control::Signal,
    event::{Filter, Incoming},
    rate::Rate,
};
use uuid::Uuid;

use crate::support::*;

fn expecting(sequence: u64, n: usize) -> Incoming {
    Incoming { workflow_id: Some("cart".to_owned()), expected_sequence: Some(sequence), ..order(n) }
}

fn together(host: &Host, incoming: Vec<Incoming>) -> Together {
    host.run(host.engine().publish_together(incoming, caller()))
}

fn all(together: Together) -> Vec<Answer> {
    match together {
        Together::All(answers) => answers,
        Together::None { place, answer } => panic!("{place} stands against it: {answer:?}"),
    }
}

fn against(together: Together) -> (usize, Answer) {
    match together {
        Together::None { place, answer } => (place, *answer),
        Together::All(answers) => panic!("nothing stands against it: {answers:?}"),
    }
}

#[test]
fn a_writer_that_expects_another_last_event_is_told_of_it_and_writes_nothing() {
    let host = Host::with([]);
    let first = host.publish(expecting(0, 1)).sequence_number.expect("the first of its workflow");
    host.publish(order(2));
    let refused = host.publish(expecting(0, 3));
    assert_eq!((refused.outcome, refused.conflict, refused.actual_sequence), (Outcome::Refused, true, Some(first)));
    // The same again, after another: what was refused left no trace in the window.
    let second = host.publish(expecting(first, 3)).sequence_number.expect("appended");
    let third = host.publish(expecting(second, 3)).sequence_number.expect("the same content, expecting something else, is another event");
    assert_eq!(host.publish(expecting(second, 3)).outcome, Outcome::Duplicate, "and the same once more is not");
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    assert_eq!(host.publish(expecting(second, 9)).actual_sequence, Some(third), "over a restart");
    let trip = |sequence| Incoming { correlation_id: Some("trip".to_owned()), expected_sequence: Some(sequence), ..order(7) };
    let begun = host.publish(trip(0)).sequence_number.expect("the first of its correlation");
    assert_eq!(host.publish(Incoming { payload: Some(json!({"n": 8}).into()), ..trip(5) }).actual_sequence, Some(begun));
    let own = host.publish(order(11));
    let of_own =
        |sequence| Incoming { correlation_id: own.event_id.map(|id| id.to_string()), expected_sequence: Some(sequence), ..order(12) };
    assert_eq!(host.publish(of_own(0)).actual_sequence, own.sequence_number, "an event is the first of its own correlation");
    assert_eq!(host.publish(of_own(own.sequence_number.unwrap_or(0))).outcome, Outcome::Appended);
    let nothing = host.publish(Incoming { expected_sequence: Some(1), ..order(13) });
    assert_eq!(nothing.rejection.map(|rejection| rejection.field), Some("expected_sequence".to_owned()));
}

#[test]
fn of_writers_that_expect_the_same_one_wins_each_time() {
    let host = Host::with([]);
    let engine = host.engine().clone();
    let written = host.run(futures_util::future::join_all((0..8).map(|writer| {
        let engine = engine.clone();
        async move {
            let (mut last, mut written) = (0, 0);
            while written < 25 {
                let answer = engine.publish(expecting(last, writer * 1_000 + written), caller()).await;
                match (answer.outcome, answer.actual_sequence) {
                    (Outcome::Appended, _) => {
                        (last, written) = (answer.sequence_number.expect("its place"), written + 1);
                    }
                    (Outcome::Refused, Some(actual)) => last = actual,
                    _ => panic!("{answer:?}"),
                }
            }
            written
        }
    })));
    assert_eq!(written.iter().sum::<usize>(), 200);
    // Each event expected the one before it: the payloads do not say so, the count and the log's own order do.
    assert_eq!(host.of_type("order:placed").len(), 200);
}

#[test]
fn events_that_go_together_are_all_there_or_none_is() {
    let picky = Scripted::control("picky", 1, &["order:*"], |event, _| {
        let signal = match event.payload.to_value()["n"].as_u64() {
            Some(13) => Signal::Fail("unlucky".to_owned()),
            Some(14) => Signal::Skip("quiet".to_owned()),
            _ => Signal::Proceed(None),
        };
        answer(signal).adding("asked", 1)
    });
    let host = Host::with([picky]);
    let answers = all(together(&host, vec![order(1), order(2), order(3)]));
    let sequences: Vec<u64> = answers.iter().filter_map(|answer| answer.sequence_number).collect();
    assert_eq!(sequences, (sequences[0]..sequences[0] + 3).collect::<Vec<_>>());
    assert_eq!(host.kv("picky", "asked").as_deref(), Some("3"));
    // One that may not be stands against all, and what was asked about the others happened not.
    let (place, answer) = against(together(&host, vec![order(4), order(13), order(5)]));
    assert_eq!((place, answer.outcome, answer.reason.as_deref()), (1, Outcome::Refused, Some("unlucky")));
    let (place, answer) = against(together(&host, vec![order(4), order(5), order(14)]));
    assert_eq!((place, answer.outcome), (2, Outcome::Skipped));
    assert_eq!((host.count("order:placed"), host.count("control:failed"), host.count("control:skipped")), (3, 1, 1));
    assert_eq!(host.kv("picky", "asked").as_deref(), Some("3"));
    // Sent again, all of them are duplicates; some of them with others are not taken.
    let again = all(together(&host, vec![order(1), order(2), order(3)]));
    assert_eq!(again.iter().filter_map(|answer| answer.sequence_number).collect::<Vec<_>>(), sequences);
    assert!(again.iter().all(|answer| answer.outcome == Outcome::Duplicate));
    let (place, answer) = against(together(&host, vec![order(4), order(2)]));
    assert!(place == 1 && answer.conflict && answer.reason.is_some_and(|reason| reason.contains("in the log already")));
    let (place, answer) = against(together(&host, vec![order(4), order(4)]));
    assert!(place == 1 && answer.rejection.is_some());
    // By what is expected, too: the whole is compared with the log as it is before it.
    let cart =
        |n| Incoming { workflow_id: Some("cart".to_owned()), event_id: Some(Uuid::new_v4()), expected_sequence: Some(0), ..order(n) };
    let last = all(together(&host, vec![cart(20), cart(21)]))[1].sequence_number;
    let (place, answer) = against(together(&host, vec![order(30), cart(22)]));
    assert_eq!((place, answer.actual_sequence), (1, last));
    let (place, answer) = against(together(&host, vec![order(30), incoming("workflow:submit", &json!({}))]));
    assert!(place == 1 && answer.rejection.is_some());
    assert_eq!(all(together(&host, vec![])), []);
    // What was refused may be published alone.
    assert_eq!(host.publish(order(4)).outcome, Outcome::Appended);
}

#[test]
fn batches_that_have_events_in_common_do_not_wait_for_each_other_for_ever() {
    let host = Host::with([]);
    let engine = host.engine().clone();
    host.run(async {
        let batches = (0..20).map(|turn| {
            let engine = engine.clone();
            async move {
                let mut numbers: Vec<usize> = (0..10).collect();
                if turn % 2 == 1 {
                    numbers.reverse();
                }
                engine.publish_together(numbers.into_iter().map(order).collect(), caller()).await
            }
        });
        let done = tokio::time::timeout(std::time::Duration::from_secs(60), futures_util::future::join_all(batches)).await;
        let sequences: BTreeSet<Vec<u64>> = done
            .expect("all of them end")
            .into_iter()
            .map(|together| {
                let mut sequences: Vec<u64> = all(together).iter().filter_map(|answer| answer.sequence_number).collect();
                sequences.sort_unstable();
                sequences
            })
            .collect();
        assert_eq!(sequences.len(), 1, "all are told of the same events");
    });
    assert_eq!(host.count("order:placed"), 10);
}

#[test]
fn a_plugin_that_publishes_too_fast_is_cut_and_named() {
    // Each of its events becomes two.
    let sources = Some(vec!["shop".to_owned(), "rabbit".to_owned()]);
    let filter = Filter { source_components: sources, ..types(&["order:*", "rabbit:*"]) };
    let rabbit = Scripted::observer("rabbit", filter, |events, _| {
        events.iter().fold(taken(), |report, event| {
            report.publishing(event.event_id, "rabbit:born", &json!({})).publishing(event.event_id, "rabbit:born", &json!({}))
        })
    });
    let rate = Rate { per_sec: 1, burst: 40 };
    let host = Host::tuned(EngineOptions { most_hops: 1_000, correlation_rate: rate, ..options() }, [rabbit]);
    host.publish(order(1));
    host.until_told("event:dead_lettered", 20);
    let told = host.of_type("event:dead_lettered")[0].payload.to_value();
    assert_eq!((&told["code"], &told["plugin"]), (&json!("too_fast"), &json!("rabbit")));
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("engine.correlation_rate")), "{told}");
    assert!(host.count("rabbit:born") < 60, "{}", host.count("rabbit:born"));
    // Others go on.
    assert_eq!(host.publish(order(2)).outcome, Outcome::Appended);
}
