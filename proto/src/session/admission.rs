//! Who gets in before anybody said who they are: few strangers at a time, fewer of one address, and without a key only those of a
//! local network. Those who did are `places`' matter.

use super::addresses::network;
use super::link::{Link, LinkId};
use crate::crypto::Side;
use std::collections::BTreeMap;
use std::net::IpAddr;

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
    let strangers = || links.iter().filter(|(_, link)| !link.is_met() && link.side == Side::Listener && link.direct.is_none());
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
