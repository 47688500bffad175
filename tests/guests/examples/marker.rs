//! `marker`: a control handler that lets everything through and writes into its payload, an object, which version looked: `seen_by`.
//! The version is what its setting `mark` says; 0 if it says nothing.

use serde_json::{Map, Value};
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Signal, settings};

struct Marker;

impl Plugin for Marker {
    fn describe() -> Description {
        Description::new("marker").summary("Says which version has seen an event.").controls(Filter::types(["load:*"]))
    }
}

impl Control for Marker {
    fn check(event: &Event, _: &Context) -> Signal {
        let mark: u64 = match settings::get("mark") {
            Ok(mark) => mark.unwrap_or_default(),
            Err(error) => return Signal::error(error.to_string()),
        };
        match event.payload::<Map<String, Value>>() {
            Ok(mut payload) => {
                payload.insert("seen_by".to_owned(), mark.into());
                Signal::amend(&payload)
            }
            Err(error) => Signal::error(error.to_string()),
        }
    }
}

trackside_sdk::export!(Marker: control);
