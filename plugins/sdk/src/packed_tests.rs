//! Owns the tests of the packed shape: an encoder that follows the table in `packed.wit`, and that both shapes say the same.
//! Leaves the host's own encoder to the host, whose tests hold it to the same table.

use super::*;
use crate::bindings::control::exports::trackside::packed::control::Guest as PackedControl;
use crate::bindings::control::exports::trackside::plugin::control as record;
use crate::bindings::host::trackside::plugin::types;
use crate::bindings::observer::exports::trackside::packed::observer::Guest as PackedObserver;
use crate::export::Role;
use crate::{Context, Control, Delivery, Description, Error, Event, EventBuf, Events, Observer, Plugin, Severity, Signal};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Everything that an event may say.
struct Sample {
    severity: u32,
    required: [&'static str; 4],
    /// Causation, workflow, task, provider, principal.
    optional: [Option<&'static str>; 5],
    payload: &'static str,
    metadata: &'static [(&'static str, &'static str)],
}

const FULL: Sample = Sample {
    severity: 3,
    required: ["id-1", "task:failed", "execution_engine", "corr"],
    optional: [Some("cause"), Some("wf"), Some("täsk"), Some("provider"), Some("me")],
    payload: r#"{"error":{"code":"busy"}}"#,
    metadata: &[("traceparent", "00-1"), ("request_id", ""), ("é", "ü")],
};

const BARE: Sample = Sample { severity: 0, required: ["id-2", "a:b", "cli", "c"], optional: [None; 5], payload: "null", metadata: &[] };

/// The buffer of one event, written field by field as the table in `packed.wit` has them.
fn encode(sample: &Sample) -> Vec<u8> {
    let present = sample.optional.iter().enumerate().filter(|(_, value)| value.is_some());
    let flags = present.fold(sample.severity, |flags, (index, _)| flags | 1 << (8 + index));
    let mut strings: Vec<&str> = sample.required.to_vec();
    strings.extend(sample.optional.iter().map(|value| value.unwrap_or_default()));
    strings.push(sample.payload);
    strings.extend(sample.metadata.iter().flat_map(|(key, value)| [*key, *value]));

    let mut bytes = Vec::new();
    for number in [42u64, 1_000_000_001, 2_000_000_002] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [7, flags, u32::try_from(sample.metadata.len()).expect("few pairs")] {
        bytes.extend(number.to_le_bytes());
    }
    let mut end = 0u32;
    for string in &strings {
        end += u32::try_from(string.len()).expect("short strings");
        bytes.extend(end.to_le_bytes());
    }
    assert_eq!(bytes.len(), 76 + 8 * sample.metadata.len());
    strings.iter().for_each(|string| bytes.extend(string.as_bytes()));
    bytes
}

/// The same event as a record.
fn record_of(sample: &Sample) -> types::Event {
    let [event_id, event_type, source_component, correlation_id] = sample.required.map(String::from);
    let [causation_id, workflow_id, task_id, provider_id, _] = sample.optional.map(|value| value.map(String::from));
    let severity =
        [types::Severity::Debug, types::Severity::Info, types::Severity::Warning, types::Severity::Error][sample.severity as usize];
    types::Event {
        event_id,
        event_type,
        sequence_number: 42,
        part: 7,
        timestamp: 1_000_000_001,
        recorded_at: 2_000_000_002,
        source_component,
        correlation_id,
        causation_id,
        workflow_id,
        task_id,
        provider_id,
        severity,
        payload: sample.payload.into(),
        metadata: sample.metadata.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    }
}

/// A batch: a count, the offsets, the events, each at a multiple of 4.
fn encode_batch(samples: &[&Sample]) -> Vec<u8> {
    let mut head = u32::try_from(samples.len()).expect("few events").to_le_bytes().to_vec();
    let mut body = Vec::new();
    for sample in samples {
        body.resize(body.len().next_multiple_of(4), 0);
        let offset = 4 + 4 * samples.len() + body.len();
        head.extend(u32::try_from(offset).expect("a small batch").to_le_bytes());
        body.extend(encode(sample));
    }
    head.extend(body);
    head
}

/// Everything that an author can read from an event, as text.
fn everything(event: &Event<'_>) -> String {
    format!(
        "{} {} {} {} {} {} {} {} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?}",
        event.event_id(),
        event.event_type(),
        event.sequence_number(),
        event.part(),
        event.timestamp_ns(),
        event.recorded_at_ns(),
        event.source_component(),
        event.correlation_id(),
        event.causation_id(),
        event.workflow_id(),
        event.task_id(),
        event.provider_id(),
        event.severity(),
        event.payload_text(),
        event.metadata_pairs(),
        event.metadata("request_id"),
    )
}

/// Answers every signal in turn, by the attempt, with all that it was told in the reason.
struct Echo;

impl Plugin for Echo {
    fn describe() -> Description {
        Description::new("echo")
    }
}

impl Control for Echo {
    fn check(event: &Event<'_>, context: &Context<'_>) -> Signal {
        let told = || format!("{} {context:?}", everything(event));
        match context.attempt {
            0 => Signal::proceed(),
            1 => Signal::amend(told()),
            2 => Signal::skip(told()),
            3 => Signal::retry(told()),
            4 => Signal::retry_after_ms(9, told()),
            5 => Signal::fallback([1, 2], told()),
            6 => Signal::fail(told()),
            _ => Signal::error(told()),
        }
    }
}

impl Observer for Echo {
    fn observe(events: Events<'_>, delivery: &Delivery) -> Result<(), Error> {
        match delivery.attempt {
            1 => Ok(()),
            _ => Err(Error::new(events.iter().map(|event| everything(&event)).collect::<Vec<_>>().join("; "))),
        }
    }
}

#[test]
fn both_shapes_of_check_give_the_same_answer() {
    for sample in [FULL, BARE] {
        for attempt in 0..8 {
            let context = record::Context {
                point: record::DecisionPoint::TaskFailed,
                attempt,
                now: 11,
                elapsed_ms: 12,
                remaining_ms: 13,
                origin: record::Origin::Inbox,
                principal: sample.optional[4].map(String::from),
            };
            let by_record = <Role<Echo> as record::Guest>::check(record_of(&sample), context);
            let waits = <Role<Echo> as PackedControl>::check(5, 3, attempt, 11, 12, 13, encode(&sample));
            assert_eq!(waits, attempt != 0);
            let by_buffer = <Role<Echo> as PackedControl>::verdict();
            assert_eq!(format!("{by_record:?}").replace("after-ms", "after_ms"), format!("{by_buffer:?}").replace("after-ms", "after_ms"));
        }
    }
}

#[test]
fn both_shapes_of_observe_show_the_same_events() {
    let samples = [&FULL, &BARE, &FULL];
    let buffer = encode_batch(&samples);
    let records: Vec<_> = samples.iter().map(|sample| record_of(sample)).collect();
    let shown = |events: Events<'_>| events.into_iter().map(|event| everything(&event)).collect::<Vec<_>>();
    assert_eq!(shown(Events::packed(&buffer)), shown(Events::records(&records)));

    assert!(!<Role<Echo> as PackedObserver>::observe(1, 2, 1, false, 0, buffer.clone()));
    assert!(<Role<Echo> as PackedObserver>::observe(1, 2, 2, false, 0, buffer));
    let failure = <Role<Echo> as PackedObserver>::failure();
    assert_eq!(failure, shown(Events::records(&records)).join("; "));
}

#[test]
fn absent_and_empty_fields_are_told_apart() {
    let sample = Sample { optional: [None, Some(""), None, Some("p"), None], ..BARE };
    let buffer = encode(&sample);
    let event = Event::packed(View::new(&buffer));
    assert_eq!((event.causation_id(), event.workflow_id(), event.task_id(), event.provider_id()), (None, Some(""), None, Some("p")));
}

#[test]
fn an_event_is_seen_in_the_middle_of_a_buffer() {
    let mut buffer = encode(&BARE);
    buffer.extend(encode(&FULL));
    assert_eq!(Event::packed(View::new(&buffer)).payload_text(), "null");
    assert_eq!(Event::packed(View::new(&buffer)).severity(), Severity::Debug);
}

#[test]
fn every_shorter_buffer_is_refused_by_a_panic_and_not_read_beyond() {
    let whole = encode(&FULL);
    for length in 0..whole.len() {
        let part = whole[..length].to_vec();
        let read = std::panic::catch_unwind(move || everything(&Event::packed(View::new(&part))));
        assert!(read.is_err(), "{length} bytes of {}", whole.len());
    }
}

#[test]
fn counts_and_offsets_that_lie_are_refused_by_a_panic() {
    let lies: [&[u8]; 4] = [&[], &[255; 4], &[1, 0, 0, 0], &[1, 0, 0, 0, 200, 0, 0, 0]];
    for lie in lies {
        let read = std::panic::catch_unwind(|| Events::packed(lie).iter().count());
        assert!(read.is_err(), "{lie:?}");
    }
}

/// Counts the allocations of each thread, for the promise that proceeding makes none.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches a constant-initialised thread local, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the system allocator's, which made the pointer.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn proceeding_allocates_nothing_beside_the_hosts_buffer() {
    struct Reads;
    impl Plugin for Reads {
        fn describe() -> Description {
            Description::new("reads")
        }
    }
    impl Control for Reads {
        fn check(event: &Event<'_>, context: &Context<'_>) -> Signal {
            let seen = event.event_type().len() + event.payload_text().len() + context.principal.map_or(0, str::len);
            if event.metadata("traceparent").is_none() || seen == 0 { Signal::fail("nothing to see") } else { Signal::proceed() }
        }
    }
    let buffer = encode(&FULL);
    let before = ALLOCATIONS.get();
    let waits = <Role<Reads> as PackedControl>::check(5, 0, 1, 0, 0, 0, buffer);
    assert_eq!((waits, ALLOCATIONS.get() - before), (false, 0));
}

#[test]
fn an_owned_event_reads_as_it_was_built() {
    let owned = EventBuf::new("a:b").severity(Severity::Warning).workflow_id("w").metadata("k", "v").payload([1, 2]);
    let event = owned.view();
    assert_eq!((event.event_type(), event.workflow_id(), event.metadata("k")), ("a:b", Some("w"), Some("v")));
    assert_eq!(event.payload::<Vec<u8>>().expect("a list of numbers"), [1, 2]);
    assert!(event.payload::<bool>().expect_err("not a bool").message().starts_with("payload of a:b: "));
}
