//! The networks of this machine, as far as they say whether an address can be right.

use std::net::{IpAddr, Ipv4Addr};

use mdns_sd::ScopedIp;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::listing::Address;

/// See the module text.
#[derive(Debug, Default)]
pub struct Networks {
    /// Addresses and masks.
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// The names of loopback interfaces.
    loopback: Vec<String>,
}

impl Networks {
    /// As they are now.
    pub fn now() -> Networks {
        let mut networks = Networks::default();
        for interface in getifaddrs().into_iter().flatten() {
            let v4 = |address: Option<nix::sys::socket::SockaddrStorage>| Some(address?.as_sockaddr_in()?.ip());
            networks.v4.extend(v4(interface.address).zip(v4(interface.netmask)));
            if interface.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
                networks.loopback.push(interface.interface_name);
            }
        }
        networks
    }

    /// What somebody says to have, and whether that can be.
    pub fn address(&self, scoped: &ScopedIp) -> Address {
        let is_loopback = |name: &String| self.loopback.contains(name);
        let (interface, here) = match scoped {
            ScopedIp::V6(v6) => (v6.scope_id().index, is_loopback(&v6.scope_id().name)),
            ScopedIp::V4(v4) => (0, v4.interface_ids().iter().any(|id| is_loopback(&id.name))),
            _ => (0, false),
        };
        let ip = scoped.to_ip_addr();
        let near = match ip {
            _ if ip.is_loopback() => here,
            IpAddr::V4(v4) => self.v4.iter().any(|(own, mask)| own & mask == v4 & *mask),
            IpAddr::V6(_) => true,
        };
        Address { ip, interface, near }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdns_sd::{InterfaceId, ScopedIpV4};

    #[test]
    fn loopback_is_near_where_it_was_heard_there_and_other_addresses_in_a_network_of_ours() {
        let v4 = vec![(Ipv4Addr::new(10, 0, 1, 7), Ipv4Addr::new(255, 255, 255, 0))];
        let networks = Networks { v4, loopback: vec!["lo".into()] };
        let near = |ip: [u8; 4], name: &str, index| {
            let id = InterfaceId { name: name.into(), index };
            networks.address(&ScopedIp::V4(ScopedIpV4::new(ip.into(), id))).near
        };
        assert!(near([127, 0, 0, 1], "lo", 1) && !near([127, 0, 0, 1], "eth0", 2));
        assert!(near([10, 0, 1, 200], "eth0", 2) && !near([10, 0, 2, 1], "eth0", 2) && !near([8, 8, 8, 8], "eth0", 2));
    }
}
