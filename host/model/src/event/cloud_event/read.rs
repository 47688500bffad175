//! From CloudEvents to what enters: attributes into fields and metadata, data into the payload.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{
    BASE64, CE_DATA, CE_ID, CE_SOURCE, CE_TAKEN, CE_TIME, CE_TYPE, CE_TYPE_OF, KEPT, METADATA, NONE, TAKEN, event_type_of, identity,
    is_name, write,
};
use crate::{
    event::{EnvelopeLimits, EventType, Incoming, Metadata, Rejection, incoming},
    json::Json,
    text::kind_of,
    time::Timestamp,
};

/// What an event is about, as it came.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// There is none.
    None,
    /// JSON, which is not looked into yet.
    Json(Json),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Bytes in base64.
    Base64(String),
}

/// Attributes as they come, of which some are needed to make sense of the others.
#[derive(Default)]
struct Attributes {
    id: String,
    source: String,
    event_type: String,
    time: Option<String>,
    own_id: Option<Uuid>,
    own_source: Option<String>,
}

/// Reads one event in the structured JSON form.
///
/// # Errors
/// A [`Rejection`] that names line and column, or the attribute.
pub fn read(text: &str, limits: &EnvelopeLimits) -> Result<Incoming, Rejection> {
    incoming::check_form(text, "data", limits)?;
    if !text.trim_start().starts_with('{') {
        let like = r#"{"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "data": {}}"#;
        return Err(Rejection::malformed("", format!("an event is a JSON object such as {like}")));
    }
    let mut members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(text).map_err(|error| Rejection::malformed("", error.to_string()))?;
    let data = match (members.remove("data"), members.remove("data_base64").filter(|data| data.get() != "null")) {
        (None, None) => Data::None,
        (Some(data), None) => Data::Json(Json::trusted(data.get())),
        (None, Some(data)) => Data::Base64(string("data_base64", value_of(&data)?)?),
        (Some(_), Some(_)) => return Err(Rejection::malformed("data_base64", "there is 'data' besides; an event has one of them")),
    };
    let attributes = members.into_iter().map(|(name, value)| Ok((name, value_of(&value)?))).collect::<Result<Vec<_>, Rejection>>()?;
    of_attributes(attributes, data)
}

fn value_of(raw: &RawValue) -> Result<Value, Rejection> {
    serde_json::from_str(raw.get()).map_err(|error| Rejection::malformed("", error.to_string()))
}

/// Makes an event of its attributes, the specification's and extensions, and its data.
///
/// # Errors
/// A [`Rejection`] that names the attribute.
pub fn of_attributes(attributes: impl IntoIterator<Item = (String, Value)>, data: Data) -> Result<Incoming, Rejection> {
    let (mut incoming, mut read, mut is_version_1) = (Incoming::default(), Attributes::default(), false);
    for (name, value) in attributes {
        if !is_name(&name) {
            return Err(Rejection::malformed(&name, "is no name of an attribute: these are of a-z and 0-9"));
        }
        // A member that is null is one that is not there.
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("specversion", value) => {
                is_version_1 = string(&name, value)? == "1.0";
                if !is_version_1 {
                    return Err(Rejection::malformed(name, "this host speaks CloudEvents 1.0"));
                }
            }
            (_, value) => set(&mut incoming, &mut read, name, value)?,
        }
    }
    if !is_version_1 {
        return Err(Rejection::malformed("specversion", "required: \"1.0\""));
    }
    put_data(&mut incoming, data)?;
    complete(incoming, read)
}

fn set(incoming: &mut Incoming, read: &mut Attributes, name: String, value: Value) -> Result<(), Rejection> {
    match name.as_str() {
        "id" => read.id = string(&name, value)?,
        "source" => read.source = string(&name, value)?,
        "type" => read.event_type = string(&name, value)?,
        "time" => {
            let text = string(&name, value)?;
            incoming.timestamp = Some(text.parse().map_err(|error| Rejection::malformed(name, format!("{error}")))?);
            read.time = Some(text);
        }
        "eventid" => {
            let text = string(&name, value)?;
            read.own_id = Some(Uuid::parse_str(&text).map_err(|_| Rejection::malformed(name, format!("'{text}' is not a UUID")))?);
        }
        "sourcecomponent" => read.own_source = Some(string(&name, value)?),
        "correlationid" => incoming.correlation_id = Some(string(&name, value)?),
        "causationid" => incoming.causation_id = Some(string(&name, value)?),
        "workflowid" => incoming.workflow_id = Some(string(&name, value)?),
        "taskid" => incoming.task_id = Some(string(&name, value)?),
        "providerid" => incoming.provider_id = Some(string(&name, value)?),
        "severity" => {
            incoming.severity = Some(string(&name, value)?.parse().map_err(|error: String| Rejection::malformed(name, error))?);
        }
        // Given anew where it is published.
        "sequencenumber" | "recordedat" | "part" => {}
        _ => return keep(&mut incoming.metadata, name, value),
    }
    Ok(())
}

/// What the envelope has no field for.
fn keep(metadata: &mut Metadata, name: String, value: Value) -> Result<(), Rejection> {
    if let Some((_, key)) = KEPT.iter().find(|(kept, _)| *kept == name) {
        metadata.insert((*key).to_owned(), string(&name, value)?);
        return Ok(());
    }
    let (text, value_type) = match value {
        Value::String(text) => (text, None),
        Value::Bool(truth) => (truth.to_string(), Some("boolean")),
        Value::Number(number) => match number.as_i64().and_then(|number| i32::try_from(number).ok()) {
            Some(number) => (number.to_string(), Some("integer")),
            None => return Err(Rejection::malformed(name, format!("{number} is no integer of 32 bits, which numbers are in CloudEvents"))),
        },
        other => {
            return Err(Rejection::malformed(name, format!("an attribute is a string, a number or a boolean, not {}", kind_of(&other))));
        }
    };
    if name == METADATA {
        let own: Metadata = serde_json::from_str(&text)
            .map_err(|error| Rejection::malformed(name, format!("expected the text of a JSON object of strings: {error}")))?;
        metadata.extend(own);
        return Ok(());
    }
    if let Some(value_type) = value_type {
        metadata.insert(format!("{CE_TYPE_OF}{name}"), value_type.to_owned());
    }
    metadata.insert(if name == TAKEN { CE_TAKEN.to_owned() } else { name }, text);
    Ok(())
}

fn put_data(incoming: &mut Incoming, data: Data) -> Result<(), Rejection> {
    let (payload, what) = match data {
        Data::Json(payload) => (payload, None),
        Data::None => (Json::trusted("{}"), Some(NONE)),
        Data::Bytes(bytes) => (Json::from_value(&STANDARD.encode(bytes)), Some(BASE64)),
        Data::Base64(text) => {
            STANDARD.decode(&text).map_err(|error| Rejection::malformed("data_base64", format!("is not base64: {error}")))?;
            (Json::from_value(&text), Some(BASE64))
        }
    };
    incoming.payload = Some(payload);
    if let Some(what) = what {
        incoming.metadata.insert(CE_DATA.to_owned(), what.to_owned());
    }
    Ok(())
}

/// Gives it type, source and identity, and keeps what they were where that does not follow from them.
fn complete(mut incoming: Incoming, read: Attributes) -> Result<Incoming, Rejection> {
    let Attributes { id, source, event_type, time, own_id, own_source } = read;
    for (name, text) in [("id", &id), ("source", &source), ("type", &event_type)] {
        if text.is_empty() {
            return Err(Rejection::malformed(name, "required, and not empty"));
        }
    }
    let known = event_type_of(&event_type).ok_or_else(|| {
        // What normalisation says of it fits best; it has failed, or there would be a type.
        let why = EventType::normalise(&event_type).err().map_or_else(String::new, |error| error.to_string());
        Rejection::malformed("type", format!("{why}, or a name with a reversed domain, such as 'com.example.order.placed'"))
    })?;
    incoming.event_id = Some(own_id.unwrap_or_else(|| identity(&source, &id)));
    let mut keep = |key: &str, text: String| incoming.metadata.insert(key.to_owned(), text);
    if event_type != *known {
        keep(CE_TYPE, event_type);
    }
    if let (Some(time), Some(at)) = (time, incoming.timestamp)
        && time != Timestamp::to_string(&at)
    {
        keep(CE_TIME, time);
    }
    if own_id.is_none_or(|own_id| own_id.to_string() != id) {
        keep(CE_ID, id);
    }
    let source_component = own_source.unwrap_or_else(|| source.clone());
    // One that is no reference as it stands, or another than follows from the component.
    if write::source_of(&source_component) != source {
        keep(CE_SOURCE, source);
    }
    incoming.event_type = known.to_string();
    incoming.source_component = source_component;
    Ok(incoming)
}

fn string(name: &str, value: Value) -> Result<String, Rejection> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(Rejection::malformed(name, format!("expected a string, found {}", kind_of(&other)))),
    }
}
