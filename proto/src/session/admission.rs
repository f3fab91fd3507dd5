//! Who gets in before anybody said who they are: few strangers at a time, fewer of one address, and without a key only those of a
//! local network. Those who did are `places`' matter.

use super::link::{Link, LinkId};
use crate::crypto::Side;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Connections before their hello.
pub const MAX_HANDSHAKES: usize = 32;

/// Of them, from one address, or one network where nobody shares it ([`network`]).
pub const MAX_PER_ADDRESS: usize = 4;

/// Whether there is room for one more before its hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// Once this one has gone.
    InPlaceOf(LinkId),
    Full,
}

/// Room for a newcomer from `address`: where there are too many strangers, of that address or of all, one of them gives way.
/// Those that have said nothing first, of them the oldest: who wants to be let in speaks at once. Who waits because wrong keys
/// came from its address (`guesses`) gives way to nobody of that address: it may be the one with the right key, and the newcomer
/// one more guess.
pub(super) fn room(links: &BTreeMap<LinkId, Link>, address: IpAddr) -> Room {
    let strangers = || links.iter().filter(|(_, link)| !link.is_met() && link.side == Side::Listener);
    let neighbours = || strangers().filter(|(_, link)| network(link.remote.ip()) == network(address));
    let first = |(_, link): &(&LinkId, &Link)| (link.has_spoken(), link.began);
    let gives_way = if neighbours().count() >= MAX_PER_ADDRESS {
        neighbours().filter(|(_, link)| link.held_until().is_none() || !link.has_spoken()).min_by_key(first)
    } else if strangers().count() >= MAX_HANDSHAKES {
        strangers().min_by_key(first)
    } else {
        return Room::Free;
    };
    gives_way.map_or(Room::Full, |(id, _)| Room::InPlaceOf(*id))
}

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
