//! What a session is made with, what the application says to it, and what it is told.

use super::keyring::{Invitation, Keys, Pair, Standing};
use super::link::{Identity, LinkId};
use super::sound_form::Wish;
use super::stats::Stats;
use super::unreachable::Unreachable;
use super::{HostId, PeerId, TrackId};
use crate::media::clock::{Epoch, Mapping};
use crate::media::depacketizer::Settled;
use crate::media::rate_control::Bitrate;
use crate::media::slice::{Part, Slice};
use crate::picture::mcu_set::Owed;
use crate::sound::{Block, Numbered, Packet};
use crate::time::MediaTime;
use crate::wire::record::{Film, Format, Reason, Steer, Track, Want};
use std::net::SocketAddr;

/// The most senders that are received from at once, and the most tracks: as many tiles as a window has room for that somebody
/// still sees something in, and as many voices as are mixed.
pub const MOST_SENDERS: usize = 16;

/// How a session is set up.
pub struct Config {
    /// Who we are, what we offer (`lossless`: a film) and want (`lossless`: a file is written), whether we forward.
    pub me: Identity,
    /// How many hosts to dial.
    pub hosts: usize,
    /// Dial or wait again when a link is lost.
    pub reconnect: bool,
    /// This process's media clock.
    pub epoch: Epoch,
    /// What our own track is, where we offer one.
    pub format: Format,
    /// No receiver is sent more, by the user's wish.
    pub cap: Option<Bitrate>,
    /// In which form live sound of our own is sent, by the user's wish.
    pub sound: Wish,
    /// How many senders to receive from at once, and how many tracks, at most [`MOST_SENDERS`].
    pub senders: usize,
    /// What we have use for of a track until the application says something else of it.
    pub want: Want,
    /// The keys of machines it was paired with, and whether another one may be.
    pub keys: Keys,
}

impl Config {
    /// Of a session that dials nobody, waits again for who is lost, and receives from as many as it may.
    pub fn new(me: Identity, epoch: Epoch) -> Self {
        let (format, cap, sound) = (Format::default(), None, Wish::Auto);
        let (senders, want) = (MOST_SENDERS, Want::ALL);
        Config { me, hosts: 0, reconnect: true, epoch, format, cap, sound, senders, want, keys: Keys::default() }
    }
}

/// What the application says.
pub enum Command {
    /// A slice of our track is encoded. Pictures are numbered from 0 without gaps, in order; slices of a picture come in any
    /// order.
    Slice(Slice),
    /// A block of our track's sound was caught; its Opus packet, too, while some want that ([`Event::WantsPackets`]).
    Sound(Block<MediaTime>, Option<Packet>),
    /// Our stream changed.
    Format(Format),
    /// Our microphone is muted, our camera closed, or no longer.
    Silence {
        /// No sound comes.
        muted: bool,
        /// No pictures come.
        closed: bool,
    },
    /// The live source is closed, for nobody watches: whoever comes next begins with its next picture.
    Closed,
    /// Our film is there, and may be steered by its only viewer. What is each viewer's own of it, and its first picture, are
    /// filled in.
    Film {
        film: Film,
        /// All slices and blocks so far are of another place: who was not sent them yet is not sent them any more.
        jumped: bool,
    },
    /// Our film is over.
    End,
    /// So many more pictures of this track were shown.
    Shown(TrackId, u32),
    /// A slice of this picture of this track was not drawn: who sends it is to send again what was in it.
    Missed(TrackId, u64),
    /// What is shown of this track is of no use any more: all of it is to be sent again.
    Refresh(TrackId),
    /// Every picture of this track below this number is written: a film's sender may go on.
    Written(TrackId, u64),
    /// What we have use for of this track.
    Want(TrackId, Want),
    /// What we want of the film that is this track.
    Steer(TrackId, Steer),
    /// Find out what rate the path to this peer takes: it is in its statistics some seconds later.
    Measure(PeerId),
    /// Dial this host, too, which is the next of its number, as those of [`Config::hosts`] are.
    /// With the key of that pair, where it is one.
    Dial(HostId, Option<Pair>),
    /// Let in whoever calls so, or not.
    Answer {
        /// What [`Event::Rings`] called it.
        call: LinkId,
        taken: bool,
    },
    /// Where our socket is by our machine's own account: meeting points tell it to guests behind the same router.
    Addresses(Vec<SocketAddr>),
    /// Say this to all; cut at [`MAX_TEXT`](crate::wire::record::MAX_TEXT) bytes.
    Text(String),
    /// Say goodbye to everybody, with this sentence.
    Stop(String),
}

/// What the application is told.
#[derive(Debug)]
pub enum Event {
    /// A peer that wants what we have said hello.
    PeerUp {
        /// What it is called from now on.
        peer: PeerId,
        name: String,
        /// Where it is.
        address: SocketAddr,
        /// The host that was dialled for it, if we dialled.
        host: Option<HostId>,
        /// It was here before.
        again: bool,
        /// It has something for us, too, or forwards.
        sends: bool,
    },
    /// A peer that wanted what we have is gone.
    PeerDown {
        peer: PeerId,
        name: String,
        /// What it said, if it said goodbye.
        reason: Option<Reason>,
        sentence: String,
        /// It was given all of the film, and its end.
        complete: bool,
    },
    /// A code is to be shown, by which a machine is paired with us.
    Invitation(Invitation),
    /// Somebody dials us and is not let in yet: whether he is, says [`Command::Answer`].
    Rings {
        /// What this call is called.
        call: LinkId,
        name: String,
        /// Where it is.
        address: SocketAddr,
        /// Whether it proved to be who it says.
        standing: Standing,
    },
    /// He is let in, or not, or has hung up.
    RingOver(LinkId),
    /// It rings where we dialled.
    Calling {
        host: HostId,
        /// What it is called there.
        name: String,
    },
    /// We are paired with a machine, and by way of this host where we dialled it: its key is to be kept. It says hello next.
    Paired(Pair, Option<HostId>),
    /// Who says hello next proved to be the machine that was paired with under this name.
    Known(PeerId, String),
    /// Who says hello next is called as a machine that was paired with, and did not prove to be that one.
    Unproved {
        peer: PeerId,
        name: String,
        address: SocketAddr,
        /// We dialled it, as something else.
        dialled: bool,
    },
    /// Whether anybody watches: the camera may be opened, or closed.
    Watched(bool),
    /// Whether a film's reader must wait.
    Pressure(bool),
    /// What the best receiver's path takes for our pictures, whenever it is another; `None` for no limit.
    Target(Option<Bitrate>),
    /// The most that any receiver has use for of our track, whenever that is something else.
    Wanted(Want),
    /// What receivers lack of our pictures, whenever that is something else: the next ones are to refresh it.
    Owed(Owed),
    /// What the only viewer of our film wants of it; also that it go on, where who had paused it is its only viewer no more.
    Steer(Steer),
    /// Whether anybody is to be sent our live sound as Opus packets.
    WantsPackets(bool),
    /// After [`Command::End`]: everybody has everything, or had time enough.
    Delivered {
        /// Somebody who is still here has everything.
        complete: bool,
        /// The names of those who are still here and have not.
        lacking: Vec<String>,
    },
    /// A peer that has something for us is here.
    SenderUp {
        /// What it is called from now on.
        peer: PeerId,
        name: String,
        /// Where it is.
        address: SocketAddr,
        /// The host that was dialled for it, if we dialled.
        host: Option<HostId>,
        /// It was here before and continues.
        again: bool,
        /// It skips nothing: it plays a film.
        film: bool,
        /// It sends pictures of its own; else sound alone, or nothing.
        pictures: bool,
        /// It forwards what others send to it.
        forwards: bool,
    },
    /// A peer that had something for us is gone, or lost its place; all its tracks are.
    SenderDown {
        peer: PeerId,
        /// What it said, if it said goodbye.
        reason: Option<Reason>,
        sentence: String,
    },
    /// Pictures and sound of a track are received from now on, under this name. What one sends itself is told of right after its
    /// [`Event::SenderUp`].
    TrackUp {
        /// What it is called from now on.
        track: TrackId,
        /// Whose it is.
        name: String,
        /// Nothing is skipped: its sender plays a film.
        film: bool,
    },
    /// A track is received no longer.
    TrackDown {
        track: TrackId,
        /// Its sender said that it is over; else its connection went, or the same comes by another way.
        over: bool,
    },
    /// A track that is forwarded comes from its sender directly from now on, or by way of the meeting point again. It is called and
    /// counted as before.
    Direct(TrackId, bool),
    /// This peer forwards a track of this name which is not received: there is room for no more.
    NoRoom(PeerId, String),
    /// What a track is: what it has, its name, whose it is. Before anything else of it, mostly, and whenever that changes.
    Track(TrackId, Track),
    /// Where the film is that is this track, whenever that is something else than what was played since.
    Film(TrackId, Film),
    /// A slice is whole.
    Slice(TrackId, Slice),
    /// What came of a slice whose picture will not become whole; before that picture's [`Event::Settled`].
    Part(TrackId, Part),
    /// A picture is whole, or will not become so. In order, each number once.
    Settled(TrackId, Settled),
    /// A block of sound, by its sender's clock.
    Sound(TrackId, Numbered<MediaTime>),
    /// A block of sound as an Opus packet, by its sender's clock.
    Packet {
        track: TrackId,
        sound: Numbered<MediaTime, Packet>,
        /// The block is here for the first time. Else it was here as samples, and what decodes those behind it is to know it.
        first: bool,
    },
    /// How a sender's clock maps to ours, whenever it is known better. All its tracks are by it.
    Clock(PeerId, Mapping),
    /// The track has ended: everything is here, or was waited for. A live sender that is only watched (no file is written) is
    /// then left.
    Ended(TrackId),
    /// Nothing was heard from a sender for so long that it counts as lost (only shown), or it is back.
    Quiet(PeerId, bool),
    /// Somebody says something.
    Text {
        name: String,
        /// What: one line, made printable.
        line: String,
    },
    /// So many lines were left out in the last seconds: more was said than anybody reads.
    TextLeftOut(u64),
    /// Whether small datagrams pass and those of pictures do not: the path takes none so long.
    Narrow {
        /// The peer's name.
        name: String,
        /// Where it is.
        address: SocketAddr,
        /// They do not; or they do again.
        narrow: bool,
    },
    /// UDP does not pass between us and the peer there.
    NoUdp(SocketAddr),
    /// Somebody was turned away.
    TurnedAway(SocketAddr, String),
    /// A host cannot be reached.
    Unreachable {
        host: HostId,
        error: Unreachable,
        /// It is not dialled again.
        fatal: bool,
    },
    /// Once a second.
    Stats(Box<Stats>),
}
