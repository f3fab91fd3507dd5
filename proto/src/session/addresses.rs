//! What an address says of who is there: whether somebody here is in charge of its network, and what counts as one.

use std::net::{IpAddr, Ipv6Addr};

/// What counts as one address: of IPv6 the network's 64 bits, for who has one such network has 2⁶⁴ addresses. Not on the local
/// link and in unique local networks, where everybody is in the same one.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None if address.is_unique_local() || address.is_unicast_link_local() => IpAddr::V6(address),
            None => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 64))),
        },
        address => address,
    }
}

/// Loopback, link-local or private: a network somebody here is in charge of.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some_and(|address| is_private(IpAddr::V4(address)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_a_local_network_count_as_private() {
        for private in
            ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.1.1", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8", "100.64.0.1"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
