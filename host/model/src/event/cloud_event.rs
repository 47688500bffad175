//! CloudEvents 1.0: the envelope in the form that other systems speak, in both directions and without loss. What the envelope has a field for goes
//! there; everything else is kept in metadata, with its type. Which media type or header says that this form is meant is the edges' to know.
//!
//! | CloudEvents | envelope |
//! |---|---|
//! | `source`, `id` | `source_component`; `event_id` is a UUIDv5 of both, `id` is kept as `ce-id` |
//! | `type` | `event_type`, brought into form; what it was is kept as `ce-type` |
//! | `time` | `timestamp`; another text of the same time is kept as `ce-time` |
//! | `subject`, `datacontenttype`, `dataschema` | metadata `ce-subject`, `ce-datacontenttype`, `ce-dataschema` |
//! | `data` | `payload` |
//! | `data_base64` | `payload` as a string, with `ce-data` = `base64` |
//! | neither | `payload` `{}`, with `ce-data` = `none` |
//! | `correlationid`, `causationid`, `workflowid`, `taskid`, `providerid`, `severity` | the fields of these names |
//! | `eventid`, `sourcecomponent` | `event_id` and `source_component` of an event that was one here, in place of what follows from `source` and `id` |
//! | `sequencenumber`, `recordedat`, `part` | the host's to give, and passed over where they come in |
//! | `tracksidemetadata` | metadata whose keys are no names in CloudEvents, as the text of a JSON object |
//! | any other extension | metadata of its name, with `ce-type.NAME` where it is a number or a boolean |

mod read;
mod write;

use std::{fmt, str::FromStr};

use uuid::Uuid;

pub use self::{
    read::{Data, of_attributes, read},
    write::CloudEvent,
};
use super::{Event, EventType, HOPS};
use crate::catalogue;

const CE_ID: &str = "ce-id";
const CE_SOURCE: &str = "ce-source";
const CE_TYPE: &str = "ce-type";
const CE_TIME: &str = "ce-time";
const CE_DATA: &str = "ce-data";
/// With the name of an extension behind it: what type its value has, if it is no string.
const CE_TYPE_OF: &str = "ce-type.";
/// The value of an extension whose name is [`TAKEN`].
const CE_TAKEN: &str = "ce-ext.hops";
const BASE64: &str = "base64";
const NONE: &str = "none";

/// Attributes of the specification that the envelope has no field for.
const KEPT: [(&str, &str); 3] = [("subject", "ce-subject"), ("datacontenttype", "ce-datacontenttype"), ("dataschema", "ce-dataschema")];
/// Metadata of this name is the host's own: an extension that is called so is kept under another key.
const TAKEN: &str = HOPS;
/// The extension for metadata that can be none by itself.
const METADATA: &str = "tracksidemetadata";
/// Attributes and extensions that are never found in metadata under their own names.
const NAMED: [&str; 22] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "dataschema",
    "data",
    "tracksidemetadata",
    "hops",
    "eventid",
    "sourcecomponent",
    "correlationid",
    "causationid",
    "workflowid",
    "taskid",
    "providerid",
    "severity",
    "sequencenumber",
    "recordedat",
    "part",
];

/// The form in which events are written for whoever reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The envelope, as it stands in the log.
    #[default]
    Trackside,
    /// CloudEvents 1.0, structured.
    CloudEvents,
}

impl Form {
    /// An event in this form, as JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`], if it cannot be written, which no event in the log is.
    pub fn json(self, event: &Event) -> serde_json::Result<String> {
        match self {
            Self::Trackside => serde_json::to_string(event),
            Self::CloudEvents => serde_json::to_string(&CloudEvent::of(event)),
        }
    }
}

impl FromStr for Form {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "trackside" => Ok(Self::Trackside),
            "cloudevents" => Ok(Self::CloudEvents),
            other => Err(format!("'{other}' is not one of trackside, cloudevents")),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trackside => "trackside",
            Self::CloudEvents => "cloudevents",
        })
    }
}

/// The identity of what a source calls by this id.
fn identity(source: &str, id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("trackside/cloudevent/{source}\n{id}").as_bytes())
}

/// The type of the catalogue's form that a CloudEvents type becomes: in any spelling that normalisation knows, or with a reversed domain in front
/// (`com.example.OrderPlaced` is `com.example:order_placed`). `None`: in none.
fn event_type_of(text: &str) -> Option<EventType> {
    if let Some(known) = catalogue::publish_alias(text) {
        return Some(EventType::known(known));
    }
    EventType::normalise(text).ok().or_else(|| {
        let (component, action) = text.rsplit_once('.')?;
        let component: Vec<String> = component.split('.').map(EventType::segment_of).collect::<Option<_>>()?;
        EventType::parse(&format!("{}:{}", component.join("."), EventType::segment_of(action)?)).ok()
    })
}

/// Whether a text may be the name of an attribute.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
