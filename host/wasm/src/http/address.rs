//! Owns which addresses are everybody's, and which are this machine's, a private network's or nobody's.
//! Leaves who may dial the others to the grants.

use std::net::{IpAddr, Ipv4Addr};

/// Whether an address is one that everybody can reach: none of this machine, of a private or of a reserved network, in whatever form it is
/// written. By the special-purpose registries of IANA.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            !matches!(
                (a, b, c),
                // This network, private ones, those behind a carrier's NAT, this machine, this link.
                (0 | 10 | 127, _, _) | (100, 64..=127, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _)
                // For protocols, documents, relays and benchmarks; multicast and what is left.
                | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) | (224..=255, _, _)
            )
        }
        IpAddr::V6(address) => {
            if let Some(inner) = address.to_ipv4_mapped() {
                return is_public(IpAddr::V4(inner));
            }
            let [a, b, c, ..] = address.segments();
            let embedded = |high: u16, low: u16| is_public(IpAddr::V4((u32::from(high) << 16 | u32::from(low)).into()));
            match (a, b, c) {
                // Translated to IPv4 by a gateway, and tunnelled: what is meant is inside.
                (0x64, 0xff9b, 0) if address.segments()[2..6] == [0; 4] => embedded(address.segments()[6], address.segments()[7]),
                (0x2002, _, _) => embedded(b, c),
                // For protocols (Teredo, benchmarks, ORCHID), and documents.
                (0x2001, 0..=0x01ff | 0x0db8, _) | (0x3fff, 0..=0x0fff, _) => false,
                // What is handed out is 2000::/3: this machine, this link, private and multicast ones lie elsewhere.
                _ => (0x2000..=0x3fff).contains(&a),
            }
        }
    }
}

/// Whether an address is no single machine's: nothing can be dialled there, whatever is granted.
pub(super) fn is_nobodys(address: IpAddr) -> bool {
    let plain = match address {
        IpAddr::V6(inner) => inner.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    plain.is_unspecified() || plain.is_multicast() || plain == IpAddr::V4(Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_and_of_private_networks_are_not_everybodys() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:a00:1::",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.0.1",
            "223.255.255.1",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn nothing_is_dialled_where_no_single_machine_is() {
        for address in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:224.0.0.1"] {
            assert!(is_nobodys(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "::1", "10.0.0.1", "8.8.8.8"] {
            assert!(!is_nobodys(address.parse().unwrap()), "{address}");
        }
    }
}
