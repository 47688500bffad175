//! `malformed`: answers with text that is not JSON where JSON is asked for: a result, an amendment, a value in place of another.
//! Leaves the settings that say where to `support`; its own is `signal`: `proceed` (default: an amendment) or `fallback`. An observer has no JSON
//! to answer with: it publishes such a payload, and expects the refusal.

mod support;

use trackside_sdk::{Draft, events, settings};

const NOT_JSON: &str = r#"{"unfinished": "#;

fn signal() -> Signal {
    match settings::get::<String>("signal").ok().flatten().as_deref() {
        Some("fallback") => Signal::Fallback { value: NOT_JSON.into(), reason: "malformed".into() },
        _ => Signal::Proceed(Some(NOT_JSON.into())),
    }
}

fn publish() -> Result<(), Error> {
    match events::publish(Draft::new("malformed:published").payload_text(NOT_JSON)) {
        Ok(id) => Err(Error::new(format!("a payload that is not JSON was taken as {id}"))),
        Err(_) => Ok(()),
    }
}

support::hostile!("malformed", "Answers with what is not JSON.", control: signal(), observer: publish(), worker: Ok(NOT_JSON.into()));
