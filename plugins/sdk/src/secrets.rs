//! Owns the use of secrets by reference: a plugin never sees one.
//! Leaves keeping them, and filling them into requests, to the host.

use crate::bindings::host::trackside::plugin::secrets as wit;
use crate::refusal::refusal;

refusal! {
    wit::Refusal {
        /// The operator's settings do not grant it.
        NotGranted => "the secret is not granted",
        /// There is no secret of this name.
        Unknown => "there is no secret of this name",
    }
}

/// A placeholder that the host fills into header values of requests to the hosts bound to this secret.
///
/// # Errors
/// A refusal.
pub fn placeholder(name: &str) -> Result<String, Refusal> {
    Ok(wit::placeholder(name)?)
}

/// HMAC-SHA-256 of `message` under the secret.
///
/// # Errors
/// A refusal.
pub fn hmac(name: &str, message: &[u8]) -> Result<Vec<u8>, Refusal> {
    Ok(wit::hmac(name, message)?)
}
