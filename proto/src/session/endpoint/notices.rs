//! What an endpoint tells its role: notices, what a datagram holds, and what was turned away.

use super::super::HostId;
use super::super::keyring::Pair;
use super::super::link::LinkId;
use super::super::unreachable::Unreachable;
use crate::time::MediaTime;
use crate::wire::datagram::Message;
use crate::wire::record::Reason;
use std::net::SocketAddr;
use std::time::Instant;

/// What the role is told.
#[derive(Debug)]
pub enum Notice {
    /// A peer said hello. `replaces` is its earlier link, which is gone.
    Up {
        /// The new link.
        link: LinkId,
        /// The earlier one.
        replaces: Option<LinkId>,
    },
    /// Who comes up next knew the code, or showed it: from now on it has this key, by way of this host where we dialled it.
    Paired(Pair, Option<HostId>),
    /// Somebody dials us, and it is to be said whether he is let in.
    Rings(LinkId),
    /// He is not asked about any more.
    RingOver(LinkId),
    /// Where we dialled somebody is asked about us.
    Calling(HostId, LinkId),
    /// Datagrams go both ways now.
    Path(LinkId),
    /// TCP goes on, but no datagram came for two seconds, or the peer says so of ours.
    NoUdp(LinkId, SocketAddr),
    /// A link is gone for good, and why.
    Down(LinkId, Option<Reason>, String),
    /// Somebody was turned away.
    TurnedAway(SocketAddr, String),
    /// A host could not be reached; it is dialled again unless `fatal`, or nobody is dialled again.
    Unreachable {
        host: HostId,
        error: Unreachable,
        /// Dialling again will not help.
        fatal: bool,
    },
}

/// How much was not taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Discarded {
    /// Datagrams that were not for us or no datagrams of ours.
    pub unknown: u64,
    /// Datagrams and records of a peer that hold no message known here: skipped.
    pub skipped: u64,
    /// Datagrams that did not open.
    pub forged: u64,
    /// Datagrams that came twice.
    pub replayed: u64,
    /// Connections turned away, thrown out or gone before their hello.
    pub turned_away: u64,
}

/// What a datagram holds for the role. Every packet number is told, for gaps in them are how loss shows.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one call")]
pub enum Incoming<'a> {
    Message(u64, Message<'a>),
    /// A clock exchange.
    Clock {
        /// Its packet number.
        number: u64,
        /// When we asked.
        asked: Instant,
        /// When it came there.
        received: MediaTime,
        /// When it was answered there.
        replied: MediaTime,
    },
    /// Dealt with already, or skipped.
    Control(u64),
    /// Dealt with, too, and says that the packet before it, which did not come, is no loss.
    Probe {
        /// Its packet number.
        number: u64,
        /// The number before it.
        lost: u64,
    },
}
