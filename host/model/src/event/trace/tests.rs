//! Trace context as it is read, and as it goes on from an event to what follows from it. Headers are tested where they are read.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::{
    event::{EnvelopeLimits, Incoming},
    time::Timestamp,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&text.parse::<TraceParent>().map_or_else(|error| error.to_string(), |parent| parent.to_string()));
}

#[test]
fn a_span_is_read_by_the_rules() {
    check(GIVEN, expect!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]);
    // A later version may say more, and is carried on as 00; flags that are not known are left out.
    check(&format!("cc-{TRACE}-00f067aa0ba902b7-ff-more"), expect!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"]);
    for wrong in [
        "",
        "nonsense",
        &format!("00-{TRACE}-00f067aa0ba902b7"),
        &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
        &format!("{GIVEN}-"),
        &format!("cc-{TRACE}-00f067aa0ba902b7-01more"),
        &GIVEN.to_uppercase(),
        &GIVEN.replace('-', "_"),
        &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        &format!("00-{TRACE}-0000000000000000-01"),
        &format!("00-{TRACE}-+0f067aa0ba902b7-01"),
        &format!("00-{}é-00f067aa0ba902b7-01", &TRACE[..30]),
    ] {
        assert!(wrong.parse::<TraceParent>().is_err(), "{wrong}");
    }
}

#[test]
fn a_state_is_carried_on_without_its_blanks() {
    assert_eq!(trace_state(" a=1 ,\t, b@c=x y ").as_deref(), Ok("a=1,b@c=x y"));
    assert_eq!(trace_state("").as_deref(), Ok(""));
    for wrong in ["a", "=1", "a=", "A=1", "a=1=2", "a=\u{e9}", "a=1,a=2", "-a=1", &format!("a={}", "1".repeat(257))] {
        assert!(trace_state(wrong).is_err(), "{wrong}");
    }
    let list = |members: usize| (0..members).map(|member| format!("k{member}=v")).collect::<Vec<_>>().join(",");
    assert!(trace_state(&list(32)).is_ok() && trace_state(&list(33)).is_err());
    let long: Vec<String> = (0..3).map(|member| format!("k{member}={}", "v".repeat(200))).collect();
    assert_eq!(trace_state(&long.join(",")), Ok(long[..2].join(",")), "behind a member, not within one");
}

fn entered(metadata: &[(&str, &str)], event_id: Uuid) -> Result<Event, Rejection> {
    let incoming = Incoming {
        event_type: "a:b".to_owned(),
        source_component: "s".to_owned(),
        event_id: Some(event_id),
        metadata: metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..Incoming::default()
    };
    Ok((*incoming.into_draft(Timestamp(0), Uuid::nil(), &EnvelopeLimits::default())?).clone())
}

#[test]
fn an_event_is_a_child_of_its_publishers_span_and_stays_it() {
    let id = Uuid::from_u128(7);
    let event = entered(&[(TRACE_PARENT, GIVEN), (TRACE_STATE, "a=1, b=2"), (PARENT_SPAN, "mine")], id).unwrap();
    assert_eq!(event.metadata[TRACE_PARENT], format!("00-{TRACE}-{:016x}-01", span_of(id)));
    assert_eq!((&*event.metadata[TRACE_STATE], &*event.metadata[PARENT_SPAN]), ("a=1,b=2", "00f067aa0ba902b7"));
    // What was read from a log and is published into another one is the same span there.
    let again: Vec<(&str, &str)> = event.metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(entered(&again, id).unwrap().metadata, event.metadata);
}

#[test]
fn what_is_said_of_no_trace_or_wrongly_is_named() {
    assert!(entered(&[(PARENT_SPAN, "00f067aa0ba902b7")], Uuid::nil()).unwrap().metadata.is_empty());
    let refused = |metadata: &[(&str, &str)]| entered(metadata, Uuid::nil()).unwrap_err().to_string();
    expect![[
        r#"metadata.traceparent: it is too short; write 00-TRACE-SPAN-FLAGS in lower-case hexadecimal, 2, 32, 16 and 2 digits, as W3C Trace Context has it"#
    ]]
    .assert_eq(&refused(&[(TRACE_PARENT, "x")]));
    expect!["metadata.tracestate: it belongs to a 'traceparent', which is missing"].assert_eq(&refused(&[(TRACE_STATE, "a=1")]));
    expect!["metadata.tracestate: 'a' is no member; write a list such as 'vendor=value,other=value', as W3C Trace Context has it"]
        .assert_eq(&refused(&[(TRACE_PARENT, GIVEN), (TRACE_STATE, "a")]));
}

#[test]
fn what_follows_is_in_the_trace_of_its_cause() {
    let cause = entered(&[(TRACE_PARENT, GIVEN), (TRACE_STATE, "a=1")], Uuid::from_u128(7)).unwrap();
    let mut metadata = Metadata::new();
    follow(&mut metadata, &cause);
    continue_from(&mut metadata, Uuid::from_u128(8), Some(&cause.event_id.to_string()));
    assert_eq!(TraceParent::in_metadata(&metadata).unwrap().trace_id, TraceParent::in_metadata(&cause.metadata).unwrap().trace_id);
    assert_eq!((&*metadata[PARENT_SPAN], &*metadata[TRACE_STATE]), (&*format!("{:016x}", span_of(cause.event_id)), "a=1"));
    let mut own: Metadata = [(TRACE_PARENT.to_owned(), GIVEN.to_owned())].into();
    follow(&mut own, &cause);
    assert_eq!((own.len(), &*own[TRACE_PARENT]), (1, GIVEN));
}

#[test]
fn a_trace_that_begins_here_can_be_read() {
    let begun = TraceParent::begun(Uuid::from_u128(1));
    assert_eq!(begun.to_string().parse(), Ok(begun));
    assert_ne!(begun.trace_id, TraceParent::begun(Uuid::from_u128(2)).trace_id);
}

proptest! {
    #[test]
    fn reading_is_total_and_what_is_written_is_read(text in "\\PC{0,60}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{0,4})?", state in "\\PC{0,60}") {
        if let Ok(parent) = text.parse::<TraceParent>() {
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
        }
        if let Ok(kept) = trace_state(&state) {
            prop_assert_eq!(trace_state(&kept), Ok(kept.clone()));
        }
    }
}

#[test]
fn a_request_carries_the_trace_that_all_it_is_about_are_of() {
    let of = |trace: &str, span: &str, state: Option<&str>| {
        let state = state.map(|state| (TRACE_STATE.to_owned(), state.to_owned()));
        Metadata::from_iter([(TRACE_PARENT.to_owned(), format!("00-{trace}-{span}-01"))].into_iter().chain(state))
    };
    let (first, second) = (of(TRACE, "00f067aa0ba902b7", None), of(TRACE, "00f067aa0ba902b8", Some("a=1")));
    let (other, none) = (of(&TRACE.replace('4', "5"), "00f067aa0ba902b9", None), Metadata::default());
    let carried = |all: &[&Metadata]| Carried::about(all.iter().copied()).map(|carried| (carried.parent, carried.state));
    let last = Some((second[TRACE_PARENT].clone(), Some("a=1".to_owned())));
    assert_eq!(carried(&[&first]), Some((first[TRACE_PARENT].clone(), None)));
    assert_eq!(carried(&[&first, &second]), last);
    for all in [&[&first, &other][..], &[&first, &none], &[&none, &first], &[]] {
        assert_eq!(carried(all), None);
    }
}
