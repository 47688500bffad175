//! The lines of an export, written and read: one JSON value each, and the only place that knows their shape. An event's line is its envelope, with its
//! narration and its decision records as they are kept. Which lines come in which order is `export`'s and `import`'s.

use serde::Deserialize;
use serde_json::value::RawValue;
use trackside_model::{
    control::DecisionRecord,
    event::Event,
    json::Json,
    keeping::Gap,
    narration::{Moment, Narration},
    plugin::Digest,
};

/// The version of this shape.
const VERSION: u32 = 1;
/// What an export is called in its first line.
const KIND: &str = "events";

/// One line of an export.
#[derive(Debug)]
pub(crate) enum Line {
    /// The first: what this is.
    Head,
    /// Bytes that events behind it speak of.
    Blob { digest: Digest, bytes: Vec<u8> },
    /// What is not there between the event before it and the one behind it.
    Trimmed(Gap),
    /// An event, and what was decided about it, as the text that is kept.
    Event { event: Box<Event>, decisions: Option<String> },
    /// The last: how many events there were.
    End { events: u64 },
}

impl Line {
    /// Writes the line, with the newline behind it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Head => out.extend_from_slice(format!("{{\"trackside\":\"{KIND}\",\"version\":{VERSION}}}").as_bytes()),
            Self::Trimmed(gap) => {
                out.extend_from_slice(b"{\"trimmed\":");
                serde_json::to_writer(&mut *out, gap)?;
                out.push(b'}');
            }
            Self::Blob { digest, bytes } => {
                out.extend_from_slice(format!("{{\"blob\":\"{digest}\",").as_bytes());
                match std::str::from_utf8(bytes) {
                    Ok(text) => {
                        out.extend_from_slice(b"\"text\":");
                        serde_json::to_writer(&mut *out, text)?;
                    }
                    Err(_) => {
                        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                        out.extend_from_slice(format!("\"hex\":\"{hex}\"").as_bytes());
                    }
                }
                out.push(b'}');
            }
            Self::Event { event, decisions } => write_event(out, event, decisions.as_deref())?,
            Self::End { events } => out.extend_from_slice(format!("{{\"end\":{{\"events\":{events}}}}}").as_bytes()),
        }
        out.push(b'\n');
        Ok(())
    }

    /// Reads a line that has no newline.
    ///
    /// # Errors
    /// What is wrong with it. A line that an export would write otherwise is wrong too: what is taken here is given again byte for byte.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let shape: Shape<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let line = match shape {
            Shape { trackside: Some(kind), version, .. } => match (kind, version) {
                (KIND, Some(VERSION)) => Self::Head,
                (KIND, Some(version)) => {
                    return Err(format!("the export is of version {version}, and this program knows version {VERSION}"));
                }
                _ => return Err("this is no export of events".to_owned()),
            },
            Shape { blob: Some(digest), text, hex, .. } => blob(digest, text, hex.as_deref())?,
            Shape { trimmed: Some(gap), .. } if gap.from == 0 || gap.from > gap.to => {
                return Err(format!("{} to {} is no stretch of a log", gap.from, gap.to));
            }
            Shape { trimmed: Some(gap), .. } => Self::Trimmed(gap),
            Shape { end: Some(End { events }), .. } => Self::End { events },
            Shape { event_id: Some(_), .. } => event(text, &serde_json::from_str(text).map_err(|error| error.to_string())?)?,
            _ => return Err("this is no line of an export".to_owned()),
        };
        let mut again = Vec::with_capacity(text.len() + 1);
        line.write(&mut again).map_err(|error| error.to_string())?;
        again.pop();
        match again.iter().zip(text.as_bytes()).position(|(one, other)| one != other) {
            None if again.len() == text.len() => Ok(line),
            at => Err(format!("an export would write it otherwise from byte {} on", at.unwrap_or(again.len().min(text.len())) + 1)),
        }
    }
}

/// What a line may have, as far as one kind must be told from another.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow)]
    trackside: Option<&'a str>,
    version: Option<u32>,
    blob: Option<Digest>,
    text: Option<String>,
    hex: Option<String>,
    trimmed: Option<Gap>,
    end: Option<End>,
    event_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct End {
    events: u64,
}

/// What stands in an event's line besides its envelope. A text that spans lines is shown on one, and kept exactly as a string.
#[derive(Deserialize)]
struct Beside<'a> {
    payload_text: Option<String>,
    #[serde(borrow)]
    narration: Option<&'a RawValue>,
    narration_text: Option<String>,
    decisions: Option<&'a RawValue>,
    decisions_text: Option<String>,
}

/// JSON on one line: white space between its parts may be line breaks, its strings hold none.
fn one_line(json: &str) -> Option<String> {
    json.contains(['\n', '\r']).then(|| json.replace(['\n', '\r'], " "))
}

fn write_event(out: &mut Vec<u8>, event: &Event, decisions: Option<&str>) -> serde_json::Result<()> {
    let payload = one_line(event.payload.as_str());
    match &payload {
        Some(payload) => serde_json::to_writer(&mut *out, &Event { payload: Json::trusted(payload.as_str()), ..event.clone() })?,
        None => serde_json::to_writer(&mut *out, event)?,
    }
    // The brace comes behind what is put into the object.
    out.pop();
    if payload.is_some() {
        write_exactly(out, "payload", event.payload.as_str())?;
    }
    for (name, text) in [("narration", event.narration.as_str()), ("decisions", decisions)] {
        let Some(text) = text else { continue };
        let shown = one_line(text);
        out.extend_from_slice(format!(",\"{name}\":{}", shown.as_deref().unwrap_or(text)).as_bytes());
        if shown.is_some() {
            write_exactly(out, name, text)?;
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_exactly(out: &mut Vec<u8>, name: &str, text: &str) -> serde_json::Result<()> {
    out.extend_from_slice(format!(",\"{name}_text\":").as_bytes());
    serde_json::to_writer(out, text)
}

fn event(line: &str, beside: &Beside<'_>) -> Result<Line, String> {
    let mut event: Event = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let payload = beside.payload_text.as_deref().unwrap_or(event.payload.as_str());
    event.payload = Json::check(payload, usize::MAX, usize::MAX).map_err(|error| format!("payload: {error}"))?;
    let exactly = |shown: Option<&RawValue>, text: &Option<String>| text.clone().or_else(|| shown.map(|json| json.get().to_owned()));
    if let Some(text) = exactly(beside.narration, &beside.narration_text) {
        let moments: Vec<Moment> = serde_json::from_str(&text).map_err(|error| format!("narration: {error}"))?;
        event.narration = Narration::stored(text, u32::try_from(moments.len()).unwrap_or(u32::MAX));
    }
    event.part = event.narration.parts();
    let decisions = exactly(beside.decisions, &beside.decisions_text);
    if let Some(text) = &decisions {
        serde_json::from_str::<Vec<DecisionRecord>>(text).map_err(|error| format!("decisions: {error}"))?;
    }
    Ok(Line::Event { event: Box::new(event), decisions })
}

fn blob(digest: Digest, text: Option<String>, hex: Option<&str>) -> Result<Line, String> {
    let bytes = match (text, hex) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(hex)) => of_hex(hex).ok_or("hex: these are no bytes")?,
        _ => return Err("a blob has either 'text' or 'hex'".to_owned()),
    };
    if Digest::of(&bytes) != digest {
        return Err(format!("the blob {digest} holds something else than it did"));
    }
    Ok(Line::Blob { digest, bytes })
}

fn of_hex(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|_| pair.len() == 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0198f2b4-0000-7000-8000-000000000001";

    fn line(payload: &str, beside: &str) -> String {
        format!(
            "{{\"event_id\":\"{ID}\",\"event_type\":\"a:b\",\"timestamp\":\"2026-01-31T10:30:00.000000001Z\",\
             \"recorded_at\":\"2026-01-31T10:30:00.000000002Z\",\"sequence_number\":7,\"source_component\":\"shop\",\
             \"correlation_id\":\"{ID}\",\"severity\":\"info\",\"payload\":{payload}{beside}}}"
        )
    }

    fn read(text: &str) -> String {
        match Line::read(text) {
            Ok(Line::Event { event, decisions }) => format!("event {} {decisions:?}", event.payload),
            Ok(line) => format!("{line:?}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn each_kind_of_line_is_read_as_it_is_written() {
        assert_eq!(read(r#"{"trackside":"events","version":1}"#), "Head");
        assert_eq!(read(r#"{"trimmed":{"from":1,"to":3}}"#), "Trimmed(Gap { from: 1, to: 3 })");
        assert_eq!(read(r#"{"end":{"events":4}}"#), "End { events: 4 }");
        assert_eq!(read(&line(r#"{ "a" : 1.0 }"#, "")), r#"event { "a" : 1.0 } None"#);
        let text = Line::Blob { digest: Digest::of(b"a\n"), bytes: b"a\n".to_vec() };
        let bytes = Line::Blob { digest: Digest::of(&[0xFF, 7]), bytes: vec![0xFF, 7] };
        for blob in [text, bytes] {
            let mut written = Vec::new();
            blob.write(&mut written).unwrap();
            assert_eq!(read(std::str::from_utf8(&written).unwrap().trim_end()), format!("{blob:?}"));
        }
    }

    #[test]
    fn a_payload_over_several_lines_is_kept_to_the_byte() {
        let exactly = line("{ \"a\":  1}", r#","payload_text":"{\n\"a\":\r\n1}""#);
        assert_eq!(read(&exactly), "event {\n\"a\":\r\n1} None");
        let another = line("{ \"a\":  1}", r#","payload_text":"{\n\"a\":\r\n2}""#);
        assert!(read(&another).starts_with("error: an export would write it otherwise from byte "), "{}", read(&another));
    }

    #[test]
    fn what_would_not_be_given_again_is_not_taken() {
        let blob = |beside: &str| format!(r#"{{"blob":"{}"{beside}}}"#, Digest::of(b"x"));
        for (text, expected) in [
            ("{".to_owned(), "EOF while parsing"),
            ("{}".to_owned(), "this is no line of an export"),
            (r#"{"trackside":"plugins","version":1}"#.to_owned(), "this is no export of events"),
            (r#"{"trackside":"events","version":2}"#.to_owned(), "the export is of version 2, and this program knows version 1"),
            (r#"{"trimmed":{"from":0,"to":3}}"#.to_owned(), "0 to 3 is no stretch of a log"),
            (r#"{"end": {"events":4}}"#.to_owned(), "an export would write it otherwise from byte 8 on"),
            (line("1", r#","colour":"red""#), "an export would write it otherwise from byte "),
            (line("\"\\ud800\"", ""), "payload: "),
            (line("1", r#","decisions":[{"point":"publish"}]"#), "decisions: missing field"),
            (blob(r#","text":"y""#), "holds something else than it did"),
            (blob(""), "a blob has either 'text' or 'hex'"),
            (blob(r#","hex":"7""#), "hex: these are no bytes"),
        ] {
            assert!(read(&text).starts_with("error: ") && read(&text).contains(expected), "{text}: {}", read(&text));
        }
    }
}
