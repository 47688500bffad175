//! W3C trace context: what a publisher may say of a trace, and how an event continues it. Each event is a span of its own, whose id follows
//! from the event's, so that nothing has to be looked up to name the span of a cause. Which headers carry it is the edges' to know.

mod state;

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub use self::state::trace_state;
use super::{Event, Metadata, Rejection};

/// In an event's metadata: the trace that it belongs to, and its own span.
pub const TRACE_PARENT: &str = "traceparent";
/// In an event's metadata, beside [`TRACE_PARENT`]: what other systems noted about the trace.
pub const TRACE_STATE: &str = "tracestate";
/// In an event's metadata, beside [`TRACE_PARENT`]: the span that this one is a child of. The host's to write.
pub const PARENT_SPAN: &str = "parent_span_id";

/// Length of the form of version 00, which later versions begin with.
const LENGTH: usize = 55;
/// What the flags may say, as far as it is known: sampled, and that the trace's id is random.
const FLAGS: u8 = 0b11;
/// The flag of a trace that is recorded.
const SAMPLED: u8 = 0b01;

/// A span of a trace, as `traceparent` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub span_id: u64,
    /// Of version 00; what is not known of a later version is left out.
    pub flags: u8,
}

/// Why a text names no span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write 00-TRACE-SPAN-FLAGS in lower-case hexadecimal, 2, 32, 16 and 2 digits, as W3C Trace Context has it")]
pub struct TraceError(&'static str);

impl FromStr for TraceParent {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let bytes = text.as_bytes();
        let Some(head) = bytes.get(..LENGTH).filter(|_| text.is_ascii()) else { return Err(TraceError("it is too short")) };
        if [2, 35, 52].iter().any(|&place| head[place] != b'-') {
            return Err(TraceError("its parts have other lengths"));
        }
        let number = |from: usize, to: usize| -> Result<u128, TraceError> {
            let digits = &text[from..to];
            let lower = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let read = u128::from_str_radix(digits, 16).ok().filter(|_| lower);
            read.ok_or(TraceError("it holds something else than lower-case hexadecimal digits"))
        };
        let (version, trace_id, span_id, flags) = (number(0, 2)?, number(3, 35)?, number(36, 52)?, number(53, 55)?);
        match (version, bytes.get(LENGTH)) {
            (0xff, _) => return Err(TraceError("there is no version ff")),
            (0, Some(_)) => return Err(TraceError("version 00 ends with the flags")),
            (_, Some(more)) if *more != b'-' => return Err(TraceError("its parts have other lengths")),
            _ => {}
        }
        if trace_id == 0 || span_id == 0 {
            return Err(TraceError("a trace or a span of zeros only is none"));
        }
        // The digits are 16 and 2.
        Ok(Self { trace_id, span_id: span_id as u64, flags: flags as u8 & FLAGS })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl TraceParent {
    /// A trace that begins with a request of this id: what a request has whose own trace cannot be read.
    pub fn begun(request: Uuid) -> Self {
        let digest = digest_of("trace", request.as_bytes());
        let (trace_id, span_id) = (u128::from_be_bytes(first(&digest)), span_of(request));
        Self { trace_id: trace_id.max(1), span_id, flags: SAMPLED }
    }

    /// The span that an event with this metadata is, or is to continue.
    pub fn in_metadata(metadata: &Metadata) -> Option<Self> {
        metadata.get(TRACE_PARENT)?.parse().ok()
    }
}

/// The span that an event is.
pub fn span_of(event_id: Uuid) -> u64 {
    u64::from_be_bytes(first(&digest_of("span", event_id.as_bytes()))).max(1)
}

fn digest_of(what: &str, id: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update("trackside/").chain_update(what).chain_update(id).finalize().into()
}

fn first<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|place| digest[place])
}

/// Makes the event a child of the span that its publisher named, if he named one. One that was in a log before, and names its own span, is left
/// as it is.
///
/// # Errors
/// A [`Rejection`] that says what is malformed.
pub(super) fn enter(metadata: &mut Metadata, event_id: Uuid) -> Result<(), Rejection> {
    let Some(given) = metadata.get(TRACE_PARENT) else {
        metadata.remove(PARENT_SPAN);
        return match metadata.get(TRACE_STATE) {
            None => Ok(()),
            Some(_) => Err(malformed(TRACE_STATE, "it belongs to a 'traceparent', which is missing".to_owned())),
        };
    };
    let given: TraceParent = given.parse().map_err(|error: TraceError| malformed(TRACE_PARENT, error.to_string()))?;
    if let Some(state) = metadata.get_mut(TRACE_STATE) {
        *state = trace_state(state).map_err(|error| malformed(TRACE_STATE, error.to_string()))?;
    }
    let own = span_of(event_id);
    if given.span_id != own {
        be_child(metadata, given, own, given.span_id);
    } else if metadata.get(PARENT_SPAN).is_some_and(|parent| !is_span(parent)) {
        metadata.remove(PARENT_SPAN);
    }
    Ok(())
}

fn malformed(key: &str, message: String) -> Rejection {
    Rejection::malformed(format!("metadata.{key}"), message)
}

fn is_span(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn be_child(metadata: &mut Metadata, of: TraceParent, own: u64, parent: u64) {
    metadata.insert(TRACE_PARENT.to_owned(), TraceParent { span_id: own, ..of }.to_string());
    metadata.insert(PARENT_SPAN.to_owned(), format!("{parent:016x}"));
}

/// Puts an event of the host into the trace that stands in its metadata, taken from what began it all: as a child of its cause, whose span
/// follows from its id.
pub(crate) fn continue_from(metadata: &mut Metadata, event_id: Uuid, cause: Option<&str>) {
    let Some(trace) = TraceParent::in_metadata(metadata) else { return };
    let parent = cause.and_then(|cause| Uuid::parse_str(cause).ok()).map_or(trace.span_id, span_of);
    be_child(metadata, trace, span_of(event_id), parent);
}

/// Has what follows from `cause` belong to its trace, unless it names one of its own.
pub fn follow(metadata: &mut Metadata, cause: &Event) {
    if metadata.contains_key(TRACE_PARENT) {
        return;
    }
    for key in [TRACE_PARENT, TRACE_STATE] {
        if let Some(value) = cause.metadata.get(key) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
}

/// What a request that goes out on behalf of something carries, so that whoever gets it continues the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The span that the request comes from, as the header has it.
    pub parent: String,
    /// What other systems noted about the trace, if they did.
    pub state: Option<String>,
}

impl Carried {
    /// What a request carries that is about all of these: the last one's span. `None` if they are of no trace, or not of one and the same.
    pub fn about<'a>(all: impl IntoIterator<Item = &'a Metadata>) -> Option<Self> {
        let mut last = None;
        for metadata in all {
            let trace = TraceParent::in_metadata(metadata)?;
            if last.is_some_and(|(before, _): (TraceParent, _)| before.trace_id != trace.trace_id) {
                return None;
            }
            last = Some((trace, metadata));
        }
        last.map(|(trace, metadata)| Self { parent: trace.to_string(), state: metadata.get(TRACE_STATE).cloned() })
    }
}

#[cfg(test)]
#[path = "trace/tests.rs"]
mod tests;
