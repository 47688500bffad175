//! `tracestate`: what each system that a trace went through noted about it, the latest first. It is carried on as it is.

/// Members of the list at most, as the specification has it.
const MOST_MEMBERS: usize = 32;
/// Bytes of the list that are carried on: as many as the specification asks for.
const MOST_BYTES: usize = 512;
/// Bytes of a key, and of a value, at most.
const MOST_MEMBER_BYTES: usize = 256;

/// Why a text is no such list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write a list such as 'vendor=value,other=value', as W3C Trace Context has it")]
pub struct TraceStateError(String);

/// The list without its blanks and empty members; what is beyond 512 bytes is cut off behind a member.
///
/// # Errors
/// What is wrong with the first member that is none.
pub fn trace_state(text: &str) -> Result<String, TraceStateError> {
    let members: Vec<&str> = text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()).collect();
    if members.len() > MOST_MEMBERS {
        return Err(TraceStateError(format!("{} members are more than the {MOST_MEMBERS} allowed", members.len())));
    }
    let mut keys = Vec::with_capacity(members.len());
    let mut kept = String::new();
    for member in members {
        let key = key_of(member).ok_or_else(|| TraceStateError(format!("'{}' is no member", shown(member))))?;
        if keys.contains(&key) {
            return Err(TraceStateError(format!("'{}' stands in it twice", shown(key))));
        }
        keys.push(key);
        if kept.len() + 1 + member.len() <= MOST_BYTES {
            if !kept.is_empty() {
                kept.push(',');
            }
            kept.push_str(member);
        }
    }
    Ok(kept)
}

fn key_of(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let begins = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let keys = key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'));
    // A comma was split at, and blanks at the end are gone.
    let values = value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
    let small = key.len() <= MOST_MEMBER_BYTES && (1..=MOST_MEMBER_BYTES).contains(&value.len());
    (begins && keys && values && small).then_some(key)
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
