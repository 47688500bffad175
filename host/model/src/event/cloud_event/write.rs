//! From the envelope to CloudEvents: what was kept stands where it stood, and what CloudEvents has no attribute for becomes an extension.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;

use super::{
    BASE64, CE_DATA, CE_ID, CE_SOURCE, CE_TAKEN, CE_TIME, CE_TYPE, CE_TYPE_OF, KEPT, METADATA, NAMED, NONE, TAKEN, event_type_of, identity,
    is_name,
};
use crate::{
    event::{Event, Metadata},
    json::Json,
    time::Timestamp,
};

/// Attributes in the order in which they are written.
type Attributes<'a> = Vec<(&'a str, Value)>;

/// An event in the structured JSON form, to be serialised.
#[derive(Clone, Debug)]
pub struct CloudEvent<'a> {
    attributes: Attributes<'a>,
    data: Option<(&'static str, &'a Json)>,
}

impl<'a> CloudEvent<'a> {
    /// The same event in this form.
    pub fn of(event: &'a Event) -> Self {
        let mut attributes: Attributes<'a> = vec![("specversion", "1.0".into())];
        put_identity(&mut attributes, event);
        put_kept(&mut attributes, &event.metadata);
        put_fields(&mut attributes, event);
        put_extensions(&mut attributes, &event.metadata);
        let data = match event.metadata.get(CE_DATA).map(String::as_str) {
            // A control handler may have given it another payload.
            Some(NONE) if event.payload.as_str() == "{}" => None,
            Some(BASE64) if event.payload.as_str().starts_with('"') => Some(("data_base64", &event.payload)),
            _ => Some(("data", &event.payload)),
        };
        Self { attributes, data }
    }
}

impl Serialize for CloudEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.attributes.len() + usize::from(self.data.is_some())))?;
        for (name, value) in &self.attributes {
            map.serialize_entry(name, value)?;
        }
        if let Some((name, data)) = &self.data {
            map.serialize_entry(name, data)?;
        }
        map.end()
    }
}

/// `id`, `source`, `type` and `time`, as they came if they did, and what they would not say of the envelope's.
fn put_identity(attributes: &mut Attributes<'_>, event: &Event) {
    let kept = |key: &str| event.metadata.get(key).map(String::as_str);
    let event_id = event.event_id.to_string();
    let id = kept(CE_ID).unwrap_or(&event_id);
    let source = kept(CE_SOURCE).map_or_else(|| source_of(&event.source_component), Cow::Borrowed);
    let event_type = kept(CE_TYPE).filter(|kept| event_type_of(kept).as_ref() == Some(&event.event_type));
    let time = kept(CE_TIME).filter(|kept| kept.parse::<Timestamp>() == Ok(event.timestamp));
    attributes.push(("id", id.into()));
    attributes.push(("source", (*source).into()));
    attributes.push(("type", event_type.unwrap_or(&event.event_type).into()));
    attributes.push(("time", time.map_or_else(|| event.timestamp.to_string(), str::to_owned).into()));
    if identity(&source, id) != event.event_id {
        attributes.push(("eventid", event_id.into()));
    }
    if *source != *event.source_component {
        attributes.push(("sourcecomponent", (*event.source_component).into()));
    }
}

/// The attributes of the specification that the envelope has no field for.
fn put_kept(attributes: &mut Attributes<'_>, metadata: &Metadata) {
    let kept = KEPT.into_iter().filter_map(|(name, key)| Some((name, metadata.get(key)?.as_str().into())));
    attributes.extend(kept);
}

/// The fields of the envelope.
fn put_fields(attributes: &mut Attributes<'_>, event: &Event) {
    let optional = [
        ("causationid", &event.causation_id),
        ("workflowid", &event.workflow_id),
        ("taskid", &event.task_id),
        ("providerid", &event.provider_id),
    ];
    attributes.push(("correlationid", (*event.correlation_id).into()));
    attributes.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?.into()))));
    attributes.push(("severity", event.severity.as_str().into()));
    // A number of CloudEvents has 32 bits.
    attributes.push(("sequencenumber", event.sequence_number.to_string().into()));
    attributes.push(("recordedat", event.recorded_at.to_string().into()));
    if event.part != 0 {
        attributes.push(("part", event.part.to_string().into()));
    }
}

/// Extensions as they came, and the metadata whose keys can be names; the rest of it as one text.
fn put_extensions<'a>(attributes: &mut Attributes<'a>, metadata: &'a Metadata) {
    let mut rest = BTreeMap::new();
    for (key, value) in metadata {
        let name = if key == CE_TAKEN { TAKEN } else { key.as_str() };
        if key == CE_TAKEN || (is_name(key) && !NAMED.contains(&key.as_str())) {
            attributes.push((name, typed(metadata.get(&format!("{CE_TYPE_OF}{name}")), value)));
        } else if !is_told(key, metadata) {
            rest.insert(key.as_str(), value.as_str());
        }
    }
    if !rest.is_empty() {
        attributes.push((METADATA, Json::from_value(&rest).as_str().into()));
    }
}

/// Whether a key of metadata is only there for what is said elsewhere.
fn is_told(key: &str, metadata: &Metadata) -> bool {
    let is_extension = |name: &str| metadata.contains_key(if name == TAKEN { CE_TAKEN } else { name });
    matches!(key, CE_ID | CE_SOURCE | CE_TYPE | CE_TIME | CE_DATA)
        || KEPT.iter().any(|(_, kept)| *kept == key)
        || key.strip_prefix(CE_TYPE_OF).is_some_and(|name| is_name(name) && is_extension(name))
}

/// A value of the type that it came with.
fn typed(value_type: Option<&String>, text: &str) -> Value {
    let typed = match value_type.map(String::as_str) {
        Some("boolean") => text.parse().ok().map(Value::Bool),
        Some("integer") => text.parse::<i32>().ok().map(Value::from),
        _ => None,
    };
    typed.unwrap_or_else(|| text.into())
}

/// A source as a reference: what cannot stand in one is written in percent.
pub(super) fn source_of(source: &str) -> Cow<'_, str> {
    let bytes = source.as_bytes();
    let stands = |place: usize| match bytes[place] {
        b'%' => bytes.get(place + 1..place + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte),
    };
    if (0..bytes.len()).all(stands) {
        return Cow::Borrowed(source);
    }
    let written = (0..bytes.len()).map(|place| match bytes[place] {
        byte if stands(place) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    Cow::Owned(written.collect())
}
