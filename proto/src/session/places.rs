//! Who has a place among the peers, and whose place a newcomer gets where all are taken.
//!
//! **Problem.** A hello costs nothing. Peers that say one and then nothing, and peers that died without a goodbye, whose keys
//! live on for a quarter of an hour, would keep everybody else out.
//!
//! **Choice.** A newcomer takes the place of whoever is of the least use, [`Idle`] says in which order. Where all are of use it
//! takes one of the address that has the most, if that has more than the newcomer's own will. Of one address there are few peers
//! at a time, unless whoever comes has proved to have the key: a whole class may be behind one router. Beyond that number a
//! newcomer competes with its own neighbours only. It is decided when the hello is there, for until then a connection is worth
//! nothing; but where nobody would give way, a newcomer is told so before it has shaken hands.
//!
//! **Rejected.** Throwing idle peers out as soon as they are idle: a laptop that slept comes back to a running picture. Asking
//! for a proof of work: the machines that watch are the weak ones.

use super::link::{Link, LinkId};
use crate::crypto::Side;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Peers: a class or a grid, and what one sender's uplink could ever feed.
pub const MAX_PEERS: usize = 256;

/// Peers of one address where nobody has a key: a wall of screens on one machine. A quarter of all, so that four addresses are
/// needed to take every place.
pub const MAX_OF_ADDRESS: usize = 64;

/// From a hello to the first datagram a slow path takes so long. A newcomer keeps its place meanwhile, …
const FIRST: Duration = Duration::from_secs(1);

/// … unless so many have not been heard yet: that is a flood, and each of them would come anew.
const FLOOD: usize = 16;

/// Whether there is a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Free,
    /// This one gives its place away.
    Of(LinkId),
    /// All are taken by peers that are of use.
    Taken(Limit),
}

/// What there are too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Limit {
    #[error("all {MAX_PEERS} places are taken")]
    All,
    /// Peers of the newcomer's address.
    #[error("all {MAX_OF_ADDRESS} places of one address are taken (with a --key on both sides it may have more)")]
    Address,
}

/// Why a peer is of no use, the least useful first, and since when: of two the longer one gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Idle {
    /// Its connection broke without a goodbye, and no datagram comes.
    Gone(Instant),
    /// None ever came.
    NeverHeard(Instant),
    /// None comes any more.
    Quiet(Instant),
}

fn idle(now: Instant, link: &Link) -> Option<Idle> {
    let path = link.path.as_ref()?;
    if link.side == Side::Dialler {
        // We dialled it: it is here because somebody wants it to be.
        return None;
    }
    let since = link.last_datagram().or_hello();
    match (path.awaited_since().is_some(), path.is_quiet(now)) {
        (_, true) if link.liveness.is_detached() => Some(Idle::Gone(since)),
        (true, _) => Some(Idle::NeverHeard(since)),
        (false, true) => Some(Idle::Quiet(since)),
        (false, false) => None,
    }
}

fn peers(links: &BTreeMap<LinkId, Link>, besides: Option<LinkId>) -> impl Iterator<Item = (LinkId, &Link)> {
    // Of those whom a meeting point tells of there are few.
    let is_peer = move |(id, link): &(&LinkId, &Link)| {
        link.is_met() && !link.liveness.is_retired() && Some(**id) != besides && link.direct.is_none()
    };
    links.iter().filter(is_peer).map(|(id, link)| (*id, link))
}

/// The place for a newcomer from this address, which is none of the peers yet (`besides`: although it has said its hello).
pub(super) fn place(
    now: Instant,
    links: &BTreeMap<LinkId, Link>,
    address: IpAddr,
    keyed: bool,
    besides: Option<LinkId>,
) -> Place {
    let peers = || peers(links, besides);
    let own = peers().filter(|(_, link)| link.remote.ip() == address).count();
    let of_address = !keyed && own >= MAX_OF_ADDRESS;
    if !of_address && peers().count() < MAX_PEERS {
        return Place::Free;
    }
    let may = |link: &Link| !of_address || link.remote.ip() == address;
    let idlers = || peers().filter(|(_, link)| may(link)).filter_map(|(id, link)| Some((idle(now, link)?, id)));
    match idlers().min() {
        Some((Idle::NeverHeard(since), _)) if now < since + FIRST && idlers().count() < FLOOD => {}
        Some((_, idler)) => return Place::Of(idler),
        None => {}
    }
    if of_address {
        return Place::Taken(Limit::Address);
    }
    let mut crowds: BTreeMap<IpAddr, (usize, LinkId)> = BTreeMap::new();
    for (id, link) in peers().filter(|(_, link)| link.side == Side::Listener) {
        let crowd = crowds.entry(link.remote.ip()).or_insert((0, id));
        *crowd = (crowd.0 + 1, id); // of a crowd the one that came last
    }
    match crowds.into_values().max() {
        Some((count, last)) if count > own + 1 => Place::Of(last),
        _ => Place::Taken(Limit::All),
    }
}

/// Whether a newcomer is told at once that there is no place: nobody would give way, and nobody is missing who might be coming
/// back.
pub(super) fn none(now: Instant, links: &BTreeMap<LinkId, Link>, address: IpAddr, keyed: bool) -> Option<Limit> {
    let missing = || peers(links, None).any(|(_, link)| link.liveness.is_lost());
    match place(now, links, address, keyed, None) {
        Place::Taken(limit) if !missing() => Some(limit),
        _ => None,
    }
}
