//! The events that are measured with: an order of a shop, of about 300 bytes in a call and about 500 in the log.
//! Who publishes, appends or checks them is the parts' own.

use anyhow::{Result, anyhow};
use trackside_model::{
    control::{Admitted, Verdict},
    event::{Draft, EnvelopeLimits, Event, Incoming},
    json::Json,
};
use trackside_store::Entry;
use uuid::Uuid;

/// An order, like no other of this run.
pub(crate) fn incoming(event_type: &str, number: usize) -> Incoming {
    Incoming {
        event_type: event_type.to_owned(),
        source_component: "shop".to_owned(),
        payload: Some(Json::trusted(payload(number))),
        ..Incoming::default()
    }
}

/// Its payload.
pub(crate) fn payload(number: usize) -> String {
    format!(
        r#"{{"order":"order-{number:010}","customer":"customer-{:06}","items":[{{"sku":"kettle-steel-1l7","count":1,"price_cents":4990}},{{"sku":"filter-paper-100","count":3,"price_cents":349}}],"currency":"EUR","total_cents":6037,"express":false}}"#,
        number % 1_000_003
    )
}

/// The same event as a publisher writes it for HTTP, on one line.
pub(crate) fn json(event_type: &str, number: usize) -> String {
    format!(r#"{{"event_type":"{event_type}","source_component":"shop","payload":{}}}"#, payload(number))
}

/// So many of them, one a line.
pub(crate) fn ndjson(event_type: &str, first: usize, count: usize) -> String {
    (first..first + count).map(|number| json(event_type, number) + "\n").collect()
}

/// The same as readers are sent it.
pub(crate) fn envelope(number: usize) -> String {
    let id = Uuid::from_u128(number as u128);
    format!(
        r#"{{"event_id":"{id}","event_type":"order:placed","timestamp":"2026-01-31T10:30:00.123456789Z","recorded_at":"2026-01-31T10:30:00.123456789Z","sequence_number":{number},"source_component":"shop","correlation_id":"{id}","severity":"info","payload":{}}}"#,
        payload(number)
    )
}

/// The same at the door.
pub(crate) fn draft(incoming: Incoming) -> Result<Draft> {
    Ok(incoming.into_draft(trackside_engine::now(), Uuid::now_v7(), &EnvelopeLimits::default())?)
}

/// The same, let through by a chain that nobody is part of.
pub(crate) fn entry(incoming: Incoming) -> Result<Entry> {
    let passed = Verdict::Proceed(None).let_through(draft(incoming)?);
    Ok(Entry::fresh(Admitted::passed(passed.map_err(|_| anyhow!("an empty chain lets everything through"))?)))
}

/// An event as a handler sees it: with a correlation, a workflow, a task and two pairs of metadata.
pub(crate) fn checked(event_type: &str) -> Result<Event> {
    let mut incoming = Incoming {
        correlation_id: Some("8c4d7a52-1a7e-4a0e-9d53-6c3f0a3f1d11".to_owned()),
        workflow_id: Some("0193fd50-5a1c-7cc4-b7c0-2f6f6f0c7a01".to_owned()),
        task_id: Some("reserve".to_owned()),
        payload: Some(Json::trusted(r#"{"order":"order-0000004711","customer":"customer-000815","total_cents":6037}"#)),
        ..incoming(event_type, 0)
    };
    incoming.metadata.insert("request_id".to_owned(), "f3a9c1".to_owned());
    incoming.metadata.insert("traceparent".to_owned(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    Ok(draft(incoming)?.into_event(4_711, trackside_engine::now()))
}
