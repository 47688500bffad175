//! What conditions see, and what they are refused for.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    event::{Incoming, Severity},
    json::Json,
    time::Timestamp,
};

fn event(payload: serde_json::Value) -> Event {
    let incoming = Incoming {
        event_type: "order:placed".to_owned(),
        source_component: "shop".to_owned(),
        workflow_id: Some("w-1".to_owned()),
        severity: Some(Severity::Warning),
        payload: Some(Json::from(payload)),
        metadata: [("tenant".to_owned(), "acme".to_owned())].into(),
        ..Incoming::default()
    };
    incoming.into_draft(Timestamp(1), Uuid::from_u128(7), &Default::default()).unwrap().into_event(3, Timestamp(2))
}

fn holds(condition: &str, payload: serde_json::Value) -> bool {
    Condition::parse(condition).unwrap().holds(&event(payload))
}

fn refused(condition: &str) -> String {
    Condition::parse(condition).unwrap_err().to_string()
}

#[test]
fn it_sees_envelope_and_payload() {
    let payload = json!({"amount": 120, "rate": 1.5, "items": [{"sku": "tea"}, {"sku": "cup"}], "note": null});
    for condition in [
        "event.event_type == 'order:placed' && event.source_component == 'shop' && event.severity == 'warning'",
        "event.sequence_number == 3 && event.part == 0 && event.event_id.endsWith('7') && event.correlation_id == event.event_id",
        "event.workflow_id == 'w-1' && !has(event.task_id) && !has(event.causation_id) && !has(event.provider_id)",
        "event.timestamp.startsWith('1970-01-01T') && event.recorded_at > event.timestamp",
        "event.metadata.tenant == 'acme' && !('other' in event.metadata)",
        "event.payload.amount > 100 && event.payload.amount > 100.5 && event.payload.rate < 2.0 && event.payload.note == null",
        "event.payload.items.exists(item, item.sku == 'cup') && size(event.payload.items) == 2",
        "event.payload.items.all(one, event.payload.items.exists(other, one.sku == other.sku))",
        "event['payload'].amount == 120",
        "[event].all(e, e.payload.amount == 120)",
    ] {
        assert!(holds(condition, payload.clone()), "{condition}");
    }
}

#[test]
fn what_cannot_be_said_does_not_hold() {
    for condition in ["event.payload.amount > 100", "event.payload.items.all(i, true)", "event.task_id == 't'", "event.payload", "1"] {
        assert!(!holds(condition, json!({"amount": "much"})), "{condition}");
    }
}

#[test]
fn names_are_looked_up_when_it_is_read() {
    assert_eq!(
        refused("payload.amount > 1"),
        "there is no 'payload'; a condition is about `event`, as in event.payload or event.event_type"
    );
    assert!(refused("event.evnt_type == 'a:b'").starts_with("there is no 'event.evnt_type'; a condition is about the fields event_id, "));
    assert!(refused("event.payload.items.all(item, itme == 1)").contains("'itme'"));
    assert!(refused("event.payload.items.all(item, true) && item == 1").contains("'item'"));
    assert!(refused("event.payload >").starts_with("is not a condition in CEL: "));
    assert!(refused("").starts_with("is not a condition in CEL: "));
    assert_eq!(
        refused(&format!("'{}' == ''", "x".repeat(CONDITION_BYTES))),
        format!("a condition has 2048 bytes at most, this one has {}", CONDITION_BYTES + 8)
    );
}

#[test]
fn loops_are_bounded() {
    let nested = |depth: usize| (0..depth).fold("true".to_owned(), |inner, level| format!("event.payload.all(x{level}, {inner})"));
    assert!(Condition::parse(&nested(2)).is_ok());
    assert_eq!(refused(&nested(3)), "its loops stand 3 deep inside each other, 2 are allowed");
    // Within the steps it is evaluated, and does not hold; past them it counts as true.
    let never = "event.payload.all(one, event.payload.exists(other, one + other == -1))";
    assert!(!holds(never, json!(vec![1; 10])));
    assert!(holds(never, json!(vec![1; 500])));
    let short = "event.payload.exists(one, one == -1)";
    assert!(!holds(short, json!(vec![1; 1_000])));
    assert!(holds(short, json!(vec![1; 50_000])));
}

#[test]
fn payloads_are_bounded() {
    let large = json!("x".repeat(CONDITION_PAYLOAD_BYTES));
    assert!(holds("event.payload == 'y'", large.clone()), "not looked into");
    assert!(!holds("event.source_component == 'mill'", large), "nobody needs to look into it");
    assert!(!holds("event.payload == 'y'", json!("x".repeat(CONDITION_PAYLOAD_BYTES - 2))));
}

#[test]
fn texts_that_it_copies_and_looks_at_are_bounded() {
    let text = "x".repeat(200_000);
    let begun = std::time::Instant::now();
    for condition in [
        // Copies, each longer than the one before.
        format!("({}) == ''", ["event.payload.text"; 9].join(" + ")),
        "event.payload.items.map(item, event.payload.text + item).size() == 7".to_owned(),
        "event.payload.items.all(item, event.payload.items.all(other, !event.payload.text.contains(other)))".to_owned(),
    ] {
        let items: Vec<String> = (0..100).map(|number| format!("y{number}")).collect();
        assert!(holds(&condition, json!({"text": text, "items": items})), "too much to be said: {condition}");
    }
    // Lists and texts that double time and again.
    for doubled in [2, 8] {
        let text = format!("['x']{}.exists(x, x == '')", ".map(x, x + x)".repeat(doubled));
        assert!(!holds(&text, json!(null)) || doubled == 8, "{text}");
    }
    assert_eq!(refused(&format!("['x']{}.exists(x, x == '')", ".map(x, x + x)".repeat(28))), "it adds 28 times, 8 are allowed");
    // A payload of very many small values, handed on in each round.
    let nodes = json!({"items": vec![0; 1_000], "many": vec![json!([]); 60_000]});
    assert!(holds("event.payload.items.map(i, event.payload).size() == 7", nodes));
    assert!(begun.elapsed().as_secs() < 20, "nothing of that was done");
    // What is small is done.
    assert!(!holds("event.payload.items.map(item, event.payload.text + item).size() == 7", json!({"text": "a", "items": ["b", "c"]})));
    assert!(holds("(event.payload.text + '!') == 'a!'", json!({"text": "a"})));
}

#[test]
fn hostile_texts_are_refused_and_harm_nobody() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(CONDITION_BYTES / 2), close.repeat(CONDITION_BYTES / 2));
    let chain = |part: &str| format!("event.payload{}", part.repeat((CONDITION_BYTES - 13) / part.len()));
    for text in [
        deep("(", ")"),
        deep("[", "]"),
        "!".repeat(CONDITION_BYTES),
        "-".repeat(CONDITION_BYTES),
        chain(".a"),
        chain("[0]"),
        chain("+1"),
        chain("&&1"),
        "a?b:".repeat(500),
        chain("?1:1"),
    ] {
        if let Ok(condition) = Condition::parse(&text) {
            assert!(!condition.holds(&event(json!(null))), "{text}");
        }
    }
}

#[test]
fn it_is_its_text() {
    let condition: Condition = serde_json::from_value(json!("event.part == 0")).unwrap();
    assert_eq!(condition, Condition::parse("event.part == 0").unwrap());
    assert_ne!(condition, Condition::parse("event.part == 1").unwrap());
    assert_eq!(serde_json::to_value(&condition).unwrap(), json!("event.part == 0"));
    assert!(serde_json::from_value::<Condition>(json!("part == 0")).unwrap_err().to_string().contains("there is no 'part'"));
}

#[test]
fn on_a_thread_that_others_wait_for_it_takes_few_steps_or_none() {
    let condition = |text: &str| Condition::parse(text).unwrap();
    let within = |text: &str, event: &Event, left: u64| {
        let mut left = left;
        (condition(text).holds_within(&Sight::of(event), &mut left), left)
    };
    let small = event(json!({"items": [1, 2, 3]}));
    let (holds, left) = within("event.payload.items.exists(item, item == 3)", &small, QUICK_STEPS);
    assert_eq!(holds, Some(true));
    assert!(left < QUICK_STEPS && left > QUICK_STEPS / 2, "{left} are left");
    assert_eq!(within("event.payload.items.exists(item, item == 4)", &small, QUICK_STEPS).0, Some(false));
    // What the conditions before it have spent is spent.
    assert_eq!(within("event.payload.items.exists(item, item == 3)", &small, 1), (None, 1));
    let many = event(json!(vec![0; 1_000]));
    assert_eq!(within("event.payload.exists(item, item == 3)", &many, QUICK_STEPS), (None, QUICK_STEPS));
    // A payload is read for the first condition that looks at it, unless that is long; what does not look at it can be said.
    let long = event(json!({"text": "x".repeat(QUICK_PAYLOAD_BYTES)}));
    assert_eq!(within("event.payload.text == 'x'", &long, u64::MAX).0, None);
    let sight = Sight::of(&long);
    assert!(!condition("event.payload.text == 'x'").holds_in(&sight));
    assert_eq!(condition("event.payload.text == 'x'").holds_within(&sight, &mut u64::MAX.clone()), Some(false));
    assert_eq!(within("event.severity == 'warning'", &long, QUICK_STEPS).0, Some(true));
    // What is never looked into needs no time.
    let large = event(json!("x".repeat(CONDITION_PAYLOAD_BYTES)));
    assert_eq!(within("event.payload == 'y'", &large, 0), (Some(true), 0));
}
