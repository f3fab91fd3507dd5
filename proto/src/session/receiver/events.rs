//! What a receiving session is made with, what the application says to it, and what it is told.

use super::source::SenderId;
use crate::media::clock::{Epoch, Mapping};
use crate::media::depacketizer::{Part, Settled, Slice};
use crate::session::HostId;
use crate::session::link::Identity;
use crate::session::stats::ReceiverStats;
use crate::session::unreachable::Unreachable;
use crate::time::MediaTime;
use crate::wire::record::{End, Format, Reason};
use std::net::SocketAddr;

/// How a receiver is set up.
pub struct Config {
    /// Who we are; what we want is `lossless` when a file is written.
    pub me: Identity,
    /// How many hosts to dial.
    pub hosts: usize,
    /// Dial or wait again when the sender is lost.
    pub reconnect: bool,
    /// This process's clock.
    pub epoch: Epoch,
}

/// What the application says.
pub enum Command {
    /// So many more pictures of this sender were shown.
    Shown(SenderId, u32),
    /// Every picture of this sender below this number is written: a film's sender may go on.
    Written(SenderId, u64),
    /// A used slice's buffer.
    Recycle(Vec<u8>),
    /// Say goodbye, with this sentence.
    Stop(String),
}

/// What the application is told.
pub enum Event {
    /// A sender is here.
    SenderUp {
        /// What it is called in commands. What comes from now on is its.
        sender: SenderId,
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
    /// What it sends, whenever that changes.
    Format(Format),
    /// Datagrams flow.
    Path,
    /// A slice is whole; `whole` if that made the picture whole.
    Slice(Slice, bool),
    /// What came of a slice whose picture will not become whole; before that picture's [`Event::Settled`].
    Part(Part),
    /// A picture is whole, or will not become so. In order, each number once.
    Settled(Settled),
    /// A block of sound.
    Sound {
        /// Its number.
        number: u64,
        /// When its first sample was caught.
        capture: MediaTime,
        /// 1 or 2.
        channels: u8,
        /// Interleaved s16, little endian.
        samples: Vec<u8>,
    },
    /// How the sender's clock maps to ours, whenever it is known better.
    Clock(Mapping),
    /// How much there is in all; then [`Event::Finished`].
    End(End),
    /// Everything is here, or was waited for. A live sender that is only watched (no file is written) is then left.
    Finished,
    /// Nothing was heard from the sender for so long that it counts as lost (only shown), or it is back.
    Quiet(bool),
    /// The sender is gone.
    SenderDown {
        /// What it said, if it said goodbye.
        reason: Option<Reason>,
        /// Why.
        sentence: String,
    },
    /// Whether small datagrams of the sender come and those of pictures do not: the path takes none so long.
    Narrow {
        /// Where the sender is.
        address: SocketAddr,
        /// They do not; or they do again.
        narrow: bool,
    },
    /// UDP does not pass.
    NoUdp(SocketAddr),
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
