//! What a receiving session is made with, what the application says to it, and what it is told.

use crate::media::clock::{Epoch, Mapping};
use crate::media::depacketizer::{Part, Settled, Slice};
use crate::session::link::Identity;
use crate::session::stats::ReceiverStats;
use crate::session::unreachable::Unreachable;
use crate::session::{HostId, PeerId, TrackId};
use crate::time::MediaTime;
use crate::wire::record::{Reason, Track};
use std::net::SocketAddr;

/// How a receiver is set up.
pub struct Config {
    /// Who we are; what we want is `lossless` when a file is written.
    pub me: Identity,
    /// How many hosts to dial.
    pub hosts: usize,
    /// How many senders to receive from at once, at most [`MOST_SENDERS`](super::MOST_SENDERS).
    pub senders: usize,
    /// Dial or wait again when a sender is lost.
    pub reconnect: bool,
    /// This process's clock.
    pub epoch: Epoch,
}

/// What the application says.
pub enum Command {
    /// So many more pictures of this track were shown.
    Shown(TrackId, u32),
    /// Every picture of this track below this number is written: a film's sender may go on.
    Written(TrackId, u64),
    /// Say goodbye, with this sentence.
    Stop(String),
}

/// What the application is told.
pub enum Event {
    /// A sender is here.
    SenderUp {
        /// What it is called from now on.
        peer: PeerId,
        /// Its name.
        name: String,
        /// Where it is.
        address: SocketAddr,
        /// The host that was dialled for it, if we dialled.
        host: Option<HostId>,
        /// It was here before and continues.
        again: bool,
        /// It skips nothing: it plays a film.
        film: bool,
        /// It sends pictures; else sound alone.
        pictures: bool,
    },
    /// What a track is: what it has, its name, whose it is. Before anything else of it, mostly, and whenever that changes.
    Track(TrackId, Track),
    /// A slice is whole.
    Slice(TrackId, Slice),
    /// What came of a slice whose picture will not become whole; before that picture's [`Event::Settled`].
    Part(TrackId, Part),
    /// A picture is whole, or will not become so. In order, each number once.
    Settled(TrackId, Settled),
    /// A block of sound.
    Sound {
        /// Whose.
        track: TrackId,
        /// Its number.
        number: u64,
        /// When its first sample was caught.
        capture: MediaTime,
        /// 1 or 2.
        channels: u8,
        /// Interleaved s16, little endian.
        samples: Vec<u8>,
    },
    /// How a sender's clock maps to ours, whenever it is known better.
    Clock(PeerId, Mapping),
    /// The track has ended: everything is here, or was waited for. A live sender that is only watched (no file is written) is then
    /// left.
    Finished(TrackId),
    /// Nothing was heard from a sender for so long that it counts as lost (only shown), or it is back.
    Quiet(PeerId, bool),
    /// A sender is gone.
    SenderDown {
        /// Which.
        peer: PeerId,
        /// What it said, if it said goodbye.
        reason: Option<Reason>,
        /// Why.
        sentence: String,
    },
    /// Whether small datagrams of a sender come and those of pictures do not: the path takes none so long.
    Narrow {
        /// Which sender.
        peer: PeerId,
        /// Where the sender is.
        address: SocketAddr,
        /// They do not; or they do again.
        narrow: bool,
    },
    /// UDP does not pass from this sender.
    NoUdp(PeerId, SocketAddr),
    /// Somebody was turned away.
    TurnedAway(SocketAddr, String),
    /// A host cannot be reached.
    Unreachable {
        /// Which.
        host: HostId,
        /// What happened.
        error: Unreachable,
        /// It is not dialled again.
        fatal: bool,
    },
    /// Once a second.
    Stats(Box<ReceiverStats>),
}
