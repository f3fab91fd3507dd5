//! What a sending session is made with, what the application says to it, and what it is told.

use crate::media::clock::Epoch;
use crate::media::packetizer::Slice;
use crate::media::rate_control::Bitrate;
use crate::session::HostId;
use crate::session::link::{Identity, LinkId};
use crate::session::sound_log::SoundBlock;
use crate::session::stats::SenderStats;
use crate::session::unreachable::Unreachable;
use crate::wire::record::{Format, Reason};
use std::net::SocketAddr;

/// How a sender is set up.
pub struct Config {
    /// Who we are; what we offer is `lossless` for a film.
    pub me: Identity,
    /// How many hosts to dial.
    pub hosts: usize,
    /// Dial again when a link is lost.
    pub reconnect: bool,
    /// The media clock's epoch.
    pub epoch: Epoch,
    /// What the stream is.
    pub format: Format,
    /// No receiver is sent more, by the user's wish.
    pub cap: Option<Bitrate>,
}

/// What the application says.
pub enum Command {
    /// A slice is encoded. Pictures are numbered from 0 without gaps, in order; slices of a picture come in any order.
    Slice(Slice),
    /// A block of sound was caught.
    Sound(SoundBlock),
    /// The stream changed.
    Format(Format),
    /// The live source is closed, for nobody watches: whoever comes next begins with its next picture.
    Closed,
    /// The film is over.
    End,
    /// Say goodbye to everybody, with this sentence.
    Stop(String),
}

/// What the application is told.
#[derive(Debug)]
pub enum Event {
    /// A peer said hello.
    PeerUp {
        /// Its link.
        peer: LinkId,
        /// Its name.
        name: String,
        /// Where it is.
        address: SocketAddr,
        /// The host that was dialled for it, if we dialled.
        host: Option<HostId>,
        /// It was here before.
        again: bool,
    },
    /// A peer is gone.
    PeerDown {
        /// Its link.
        peer: LinkId,
        /// Its name.
        name: String,
        /// What it said, if it said goodbye.
        reason: Option<Reason>,
        /// Why.
        sentence: String,
        /// It was given all of the film, and its end.
        complete: bool,
    },
    /// Whether anybody watches: the camera may be opened, or closed.
    Watched(bool),
    /// Whether a film's reader must wait.
    Pressure(bool),
    /// What the best receiver's path takes for pictures, whenever it is another; `None` for no limit.
    Target(Option<Bitrate>),
    /// UDP does not pass to this peer.
    NoUdp(SocketAddr),
    /// Whether the path to a peer takes nothing that could carry a piece of a picture: its pictures wait.
    Narrow {
        /// Its name.
        name: String,
        /// Where it is.
        address: SocketAddr,
        /// It does not; or it does again.
        narrow: bool,
    },
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
    Stats(Box<SenderStats>),
    /// After [`Command::End`]: everybody has everything, or had time enough.
    Finished,
}
