//! One peer, one address: a dual-stack socket calls `10.0.0.1` `::ffff:10.0.0.1`, the core never hears of that.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// As the core knows it: mapped addresses are IPv4, and an IPv6 flow label is no part of an address.
pub(super) fn toward_core(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
        v4 => v4,
    }
}

/// As a socket wants it: an IPv6 socket reaches IPv4 by mapped addresses.
pub(super) fn toward_socket(address: SocketAddr, socket_is_v6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if socket_is_v6 => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_become_v4_and_return_and_scopes_stay() {
        let mapped: SocketAddr = "[::ffff:10.1.2.3]:9".parse().expect("an address");
        let plain: SocketAddr = "10.1.2.3:9".parse().expect("an address");
        assert_eq!(toward_core(mapped), plain);
        assert_eq!(toward_core(plain), plain);
        assert_eq!(toward_socket(plain, true), mapped);
        assert_eq!(toward_socket(plain, false), plain);
        let labelled = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().expect("an address"), 9, 77, 3));
        let clean = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().expect("an address"), 9, 0, 3));
        assert_eq!(toward_core(labelled), clean);
        assert_eq!(toward_socket(clean, true), clean);
    }
}
