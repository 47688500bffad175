//! The names by which the host is called: read from `NAME, NAME:PORT`.
//! Comparing requests with them is the guard's.

/// The names, in lower case, in the order of the text.
///
/// # Errors
/// What is wrong with the first that is.
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| if is_name(name) { Ok(name.to_ascii_lowercase()) } else { Err(wrong(name)) }).collect()
}

fn wrong(name: &str) -> String {
    format!("'{name}' is not the name of a host; write it as in 'desk.example.com', or 'desk:8443' for one port only")
}

/// A name or an IPv4 address, with a port or without, or an IPv6 address in brackets.
fn is_name(text: &str) -> bool {
    let after_address = text.rfind(']').map_or(0, |bracket| bracket + 1);
    let (name, port) = match text[after_address..].rfind(':') {
        Some(colon) => (&text[..after_address + colon], Some(&text[after_address + colon + 1..])),
        None => (text, None),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(plain),
    };
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_hosts_with_a_port_or_without() {
        assert_eq!(
            parse("Desk.example.com, desk:8443,[::1]:7,10.0.0.7,").unwrap(),
            ["desk.example.com", "desk:8443", "[::1]:7", "10.0.0.7"]
        );
        assert_eq!(parse("").unwrap(), [""; 0]);
        for wrong in ["https://desk", "desk/", "desk:x", "desk:70000", ":1", "a b", "*", "::1", "[desk]"] {
            assert!(parse(wrong).unwrap_err().contains("is not the name of a host"), "{wrong}");
        }
    }
}
