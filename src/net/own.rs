//! Which addresses of this machine others can dial, for telling a person.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Somewhere on the Internet, where nothing is ever sent: the networks of documentation (RFC 5737, RFC 3849).
const FAR: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// The addresses by which others reach a socket bound to `bound`, the most likely first: that of the default route, then IPv4
/// before IPv6. Empty where there are none; link-local ones, which need the other side's interface, are left out.
pub fn addresses(bound: IpAddr) -> Vec<IpAddr> {
    if !bound.is_unspecified() {
        return vec![bound];
    }
    let mut listed = Vec::new();
    for interface in getifaddrs().into_iter().flatten() {
        if !interface.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING) {
            continue;
        }
        let Some(address) = interface.address else { continue };
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        listed.extend(v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))));
    }
    ranked(listed, FAR.map(source), bound.is_ipv4())
}

/// The address the kernel would send from to get there.
fn source(far: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if far.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Of a UDP socket this sends nothing; 9 is the port of "discard".
    socket.connect(SocketAddr::new(far, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn ranked(mut listed: Vec<IpAddr>, routed: [Option<IpAddr>; 2], v4_alone: bool) -> Vec<IpAddr> {
    listed.retain(|address| match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v4_alone,
    });
    listed.sort_by_key(|address| (!routed.contains(&Some(*address)), address.is_ipv6(), *address));
    listed.dedup();
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().expect("an address")).collect()
    }

    #[test]
    fn the_address_of_the_default_route_comes_first_and_those_nobody_can_dial_are_left_out() {
        let listed = list(&["127.0.0.1", "::1", "172.17.0.1", "fe80::1", "10.8.0.2", "fd00::5", "192.168.1.17", "2001:db8:7::9"]);
        let routed = [Some("192.168.1.17".parse().expect("an address")), Some("2001:db8:7::9".parse().expect("an address"))];
        let wanted = list(&["192.168.1.17", "2001:db8:7::9", "10.8.0.2", "172.17.0.1", "fd00::5"]);
        assert_eq!(ranked(listed.clone(), routed, false), wanted);
        assert_eq!(ranked(listed, [None, None], true), list(&["10.8.0.2", "172.17.0.1", "192.168.1.17"]));
    }

    #[test]
    fn a_socket_of_one_address_has_that_one() {
        assert_eq!(addresses("127.0.0.1".parse().expect("an address")), list(&["127.0.0.1"]));
    }
}
