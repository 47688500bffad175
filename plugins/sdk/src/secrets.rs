//! Owns the use of secrets by reference: a plugin never sees one.
//! Leaves keeping them, and filling them into requests, to the host.

use crate::bindings::host::trackside::plugin::secrets as wit;
use crate::refusal::refusal;

refusal! {
    wit::Refusal {
        /// The operator's settings do not grant it.
        NotGranted => "the secret is not granted",
        /// It is granted, but has no value.
        Unknown => "the secret has no value: the file, or the variable, that the settings name is not there",
    }
}

/// Text that stands for the secret: the host puts the value in its place in the values of headers of https requests to hosts that the
/// secret is bound to. Anywhere else it stays what it is. Ask for it in each call, and keep it nowhere.
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

/// The same in hexadecimal digits, as signatures are usually written.
///
/// # Errors
/// A refusal.
pub fn hmac_hex(name: &str, message: &[u8]) -> Result<String, Refusal> {
    Ok(hex(&hmac(name, message)?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn signatures_are_written_in_hexadecimal_digits() {
        assert_eq!(super::hex(&[0, 0x0f, 0xa5, 0xff]), "000fa5ff");
    }
}
