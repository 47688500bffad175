//! The addresses that the operator gives to hosts: read from `HOST=ADDRESS, HOST=ADDRESS`.
//! Using them is the plugin host's.

use std::net::IpAddr;

/// Hosts and their addresses, in the order of the text.
///
/// # Errors
/// What is wrong with the first that is.
pub(super) fn parse(text: &str) -> Result<Vec<(String, IpAddr)>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (host, address) = pair.split_once('=').ok_or_else(|| format!("'{pair}' is not HOST=ADDRESS"))?;
            let host = host.trim().to_ascii_lowercase();
            if host.is_empty() || host.contains(['/', ':', ' ']) {
                return Err(format!("'{host}' in '{pair}' is not the name of a host"));
            }
            let address = address.trim().parse().map_err(|_| format!("'{}' in '{pair}' is not an IP address", address.trim()))?;
            Ok((host, address))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_addresses_and_what_is_none_is_named() {
        let given = parse("Api.example.com=192.0.2.7, db.local = 10.0.0.5,v6.test=::1,").unwrap();
        let expected = [("api.example.com", "192.0.2.7"), ("db.local", "10.0.0.5"), ("v6.test", "::1")];
        assert_eq!(given, expected.map(|(host, address)| (host.to_owned(), address.parse().unwrap())));
        assert_eq!(parse("").unwrap(), []);
        for (text, says) in
            [("a.test", "not HOST=ADDRESS"), ("=1.2.3.4", "not the name of a host"), ("a.test=localhost", "not an IP address")]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
