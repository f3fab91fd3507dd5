//! Records: what goes over TCP once the handshake is done, each sealed on its own.
//!
//! ```text
//!  u16 length ++ sealed(kind u8 ++ body) ++ 16 bytes of tag
//! ```
//!
//! Bodies are drawn in PROTOCOL.md §4.

pub use super::direct::{MOST_ADDRESSES, MOST_RELAYED, Relayed, Rendezvous};
use super::direct::{decode_addresses, encode_addresses};
pub use super::film::{Film, Steer};
use super::refresh;
use super::sound;
use super::text::printable;
pub use super::want::{Want, Whole};
use super::{Error, MOST_PICTURES, Reader, cut, put_text};
use crate::picture::mcu_set::Owed;
use crate::picture::{MAX_SIDE, Size};
use crate::rate::Rate;
use crate::sound::{Numbered, Packet};
use crate::time::MediaTime;
use std::net::SocketAddr;

/// Media that a side has or wants, and whether all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Media {
    pub pictures: bool,
    pub sound: bool,
    /// Nothing is skipped: whoever has it plays a film, whoever wants it writes a file and waits for retransmissions.
    pub lossless: bool,
}

impl Media {
    /// Pictures and sound as they happen: what is late may be skipped.
    pub const LIVE: Media = Media { pictures: true, sound: true, lossless: false };

    /// Neither pictures nor sound.
    pub const NONE: Media = Media { pictures: false, sound: false, lossless: false };

    /// Neither pictures nor sound.
    pub fn is_none(self) -> bool {
        !self.pictures && !self.sound
    }

    fn encode(self) -> u8 {
        u8::from(self.pictures) | u8::from(self.sound) << 1 | u8::from(self.lossless) << 2
    }

    /// Other bits are a later program's business.
    fn decode(bits: u8) -> Media {
        Media { pictures: bits & 1 != 0, sound: bits & 2 != 0, lossless: bits & 4 != 0 }
    }
}

/// First record of both sides: who I am, and how to reach me by UDP.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// What I have.
    pub offers: Media,
    /// What I want.
    pub wants: Media,
    /// What I can do beyond what each does, a bit each ([`FORWARDS`], [`OPUS`]); others are a later program's.
    pub capabilities: u32,
    /// Random, the same for the life of the process.
    pub id: [u8; 16],
    /// The token you gave me earlier, zeros if none: I am the one you know.
    pub resume: [u8; 16],
    /// The token with which you may come back.
    pub token: [u8; 16],
    /// Put this on every datagram to me.
    pub connection: u32,
    /// Seal every datagram to me with this.
    pub key: [u8; 32],
    /// A name to show, at most 255 bytes.
    pub name: String,
}

impl Hello {
    /// Whether it forwards each one's tracks to all others.
    pub fn forwards(&self) -> bool {
        self.capabilities & FORWARDS != 0
    }

    /// Whether somebody is asked before we are let in there.
    pub fn asks(&self) -> bool {
        self.capabilities & ASKS != 0
    }

    /// Whether it may be told where another guest of a meeting is.
    pub fn goes_directly(&self) -> bool {
        self.capabilities & DIRECT != 0
    }

    /// Whether it decodes Opus.
    pub fn knows_opus(&self) -> bool {
        self.capabilities & OPUS != 0
    }
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Hello { offers, wants, name, connection, .. } = self;
        write!(f, "Hello {{ {name:?} offers {offers:?}, wants {wants:?}, connection {connection:08x} }}")
    }
}

/// Capability: whoever dials me is let in once somebody here says so ([`Record::Taken`]).
pub const ASKS: u32 = 1 << 2;

/// Capability: I forward the tracks of each of my peers to all others. What I offer is my own track alone, which I may have none
/// of.
pub const FORWARDS: u32 = 1;

/// Capability: I decode Opus, so that sound may be sent to me as its packets.
pub const OPUS: u32 = 2;

/// Capability: I may be told where other guests of a meeting are, and they where I am, so that datagrams go directly
/// ([`Record::Rendezvous`]).
pub const DIRECT: u32 = 1 << 3;

/// Why a side leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// It was told to stop.
    Quit = 0,
    /// It shows somebody else.
    Busy = 1,
    /// The other side broke the protocol.
    Protocol = 2,
    Failed = 3,
    /// The keys have grown old; come again.
    Renew = 4,
    /// A newer connection of the same peer took over.
    Replaced = 5,
    /// It has no place for one more, and may have one later.
    Full = 6,
    /// Somebody was asked, and did not let us in.
    Declined = 7,
}

/// Number of the track that a side has from its hello on, where it offers anything: its own camera and microphone. Tracks that it
/// forwards have others, each told of by a [`Track`] before anything of it.
pub const OWN_TRACK: u8 = 0;

/// What a track is; sent before its first picture or block, and whenever that changes. One that has neither pictures nor sound is
/// over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its number among the sender's.
    pub number: u8,
    /// What it has of pictures and sound.
    pub media: Media,
    /// Its microphone is muted by who speaks into it: no sound comes for now.
    pub muted: bool,
    /// Its camera is closed by who sits before it: no pictures come for now.
    pub closed: bool,
    /// The id of the process whose camera and microphone it is of.
    pub origin: [u8; 16],
    /// A name to show, at most 255 bytes.
    pub label: String,
    /// How its pictures and sound are. What it has none of is as by default.
    pub format: Format,
}

/// How the pictures and the sound of a track are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// Pictures a second, where anybody knows.
    pub rate: Option<Rate>,
    /// The time between pictures varies.
    pub variable: bool,
    /// Picture size, where anybody knows; no side is longer than [`MAX_SIDE`].
    pub size: Option<Size>,
    /// Channels of sound, 0 without.
    pub channels: u8,
    /// The first picture that this peer is sent.
    pub first: u64,
}

/// A line that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The id of the process it was written at.
    pub origin: [u8; 16],
    /// Who wrote it, at most 255 bytes.
    pub name: String,
    /// What, at most [`MAX_TEXT`] bytes.
    pub line: String,
}

/// Bytes of a line of text.
pub const MAX_TEXT: usize = 500;

/// The end of a film: how much there was in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Number after the last picture.
    pub pictures: u64,
    /// Number after the last block of sound.
    pub blocks: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Who I am.
    Hello(Hello),
    /// What a track is.
    Track(Track),
    /// Ten milliseconds of sound of a track.
    Sound(u8, Numbered<MediaTime>),
    /// The same as an Opus packet, to who decodes it.
    Packet(u8, Numbered<MediaTime, Packet>),
    /// Nothing comes of a track after these numbers.
    End(u8, End),
    /// I leave, and why.
    Goodbye(Reason, String),
    /// Whether datagrams of yours reach me.
    Heard(bool),
    /// Somebody says something.
    Text(Text),
    /// What I have use for of a track of yours.
    Want(u8, Want),
    /// What I lack of the picture of a track of yours, beside what was lost on the way.
    Refresh(u8, Owed),
    /// I am the one at another connection of yours, too: the proof ([`crate::crypto::prove_same`]).
    Same([u8; 32]),
    /// What I want of a film of yours.
    Steer(u8, Steer),
    /// Where a film of mine is.
    Film(u8, Film),
    /// Somebody here says that you are let in.
    Taken,
    /// Another guest of mine is there: datagrams may go to it directly.
    Rendezvous(Rendezvous),
    /// Bytes of a connection between two guests, which goes through the meeting point.
    Relayed(Relayed),
    /// Where my machine is by its own account, at most [`MOST_ADDRESSES`]: who is behind the same router reaches me there.
    Addresses(Vec<SocketAddr>),
}

mod kind {
    pub const HELLO: u8 = 1;
    pub const TRACK: u8 = 2;
    pub const SOUND: u8 = 3;
    pub const END: u8 = 4;
    pub const GOODBYE: u8 = 5;
    pub const HEARD: u8 = 6;
    pub const TEXT: u8 = 7;
    pub const WANT: u8 = 8;
    pub const REFRESH: u8 = 9;
    pub const PACKET: u8 = 10;
    pub const SAME: u8 = 64;
    pub const STEER: u8 = 65;
    pub const FILM: u8 = 66;
    pub const TAKEN: u8 = 67;
    pub const RENDEZVOUS: u8 = 68;
    pub const RELAYED: u8 = 69;
    pub const ADDRESSES: u8 = 70;
}

/// Kinds from here on are a later program's, and skipped where they are not known. Of those below each is known to all who speak
/// this version, or is said only to who said that it knows it.
const FIRST_OPTIONAL: u8 = 64;

impl Record {
    /// Appends the record's plain bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Hello(hello) => hello.encode(out),
            Record::Track(track) => track.encode(out),
            Record::Sound(track, sound) => {
                out.extend_from_slice(&[kind::SOUND, *track]);
                sound::encode(sound, out);
            }
            Record::Packet(track, sound) => {
                out.extend_from_slice(&[kind::PACKET, *track]);
                sound::encode_packet(sound, out);
            }
            Record::End(track, end) => {
                out.extend_from_slice(&[kind::END, *track]);
                out.extend_from_slice(&end.pictures.to_be_bytes());
                out.extend_from_slice(&end.blocks.to_be_bytes());
            }
            Record::Goodbye(reason, sentence) => {
                out.extend_from_slice(&[kind::GOODBYE, *reason as u8]);
                put_text(out, sentence);
            }
            Record::Heard(heard) => out.extend_from_slice(&[kind::HEARD, u8::from(*heard)]),
            Record::Text(text) => text.encode(out),
            Record::Want(track, want) => {
                out.extend_from_slice(&[kind::WANT, *track]);
                want.encode(out);
            }
            Record::Refresh(track, owed) => {
                out.extend_from_slice(&[kind::REFRESH, *track]);
                refresh::encode(owed, out);
            }
            Record::Same(proof) => {
                out.push(kind::SAME);
                out.extend_from_slice(proof);
            }
            Record::Steer(track, steer) => {
                out.extend_from_slice(&[kind::STEER, *track]);
                steer.encode(out);
            }
            Record::Film(track, film) => {
                out.extend_from_slice(&[kind::FILM, *track]);
                film.encode(out);
            }
            Record::Taken => out.push(kind::TAKEN),
            Record::Rendezvous(rendezvous) => {
                out.push(kind::RENDEZVOUS);
                rendezvous.encode(out);
            }
            Record::Relayed(relayed) => {
                out.push(kind::RELAYED);
                relayed.encode(out);
            }
            Record::Addresses(addresses) => {
                out.push(kind::ADDRESSES);
                encode_addresses(addresses, out);
            }
        }
    }

    /// From an opened record.
    pub fn decode(bytes: &[u8]) -> Result<Record, Error> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8("record kind")?;
        let record = match kind {
            kind::HELLO => Record::Hello(Hello::decode(&mut reader)?),
            kind::TRACK => Record::Track(Track::decode(&mut reader)?),
            kind::SOUND => return Ok(Record::Sound(reader.u8("track")?, sound::decode(reader)?)),
            kind::PACKET => return Ok(Record::Packet(reader.u8("track")?, sound::decode_packet(reader)?)),
            kind::END => {
                let (track, pictures) = (reader.u8("track")?, reader.u64("picture count")?);
                Record::End(track, End { pictures, blocks: reader.u64("block count")? })
            }
            kind::GOODBYE => {
                let reason = match reader.u8("reason")? {
                    0 => Reason::Quit,
                    1 => Reason::Busy,
                    2 => Reason::Protocol,
                    3 => Reason::Failed,
                    4 => Reason::Renew,
                    5 => Reason::Replaced,
                    6 => Reason::Full,
                    7 => Reason::Declined,
                    other => return Err(reader.invalid("reason", u64::from(other), 1)),
                };
                Record::Goodbye(reason, reader.text("sentence")?)
            }
            kind::HEARD => match reader.u8("heard")? {
                heard @ 0..=1 => Record::Heard(heard == 1),
                other => return Err(reader.invalid("heard", u64::from(other), 1)),
            },
            kind::TEXT => Record::Text(Text::decode(&mut reader)?),
            kind::WANT => Record::Want(reader.u8("track")?, Want::decode(&mut reader)?),
            kind::REFRESH => Record::Refresh(reader.u8("track")?, refresh::decode(&mut reader)?),
            kind::SAME => Record::Same(reader.array("proof")?),
            kind::STEER => Record::Steer(reader.u8("track")?, Steer::decode(&mut reader)?),
            kind::FILM => Record::Film(reader.u8("track")?, Film::decode(&mut reader)?),
            kind::TAKEN => Record::Taken,
            kind::RENDEZVOUS => Record::Rendezvous(Rendezvous::decode(&mut reader)?),
            kind::ADDRESSES => Record::Addresses(decode_addresses(&mut reader)?),
            kind::RELAYED => return Relayed::decode(reader).map(Record::Relayed),
            kind @ FIRST_OPTIONAL.. => return Err(Error::Unknown { field: "record kind", kind }),
            kind => return Err(reader.invalid("record kind", u64::from(kind), 1)),
        };
        reader.end().map(|()| record)
    }
}

impl Hello {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[kind::HELLO, self.offers.encode(), self.wants.encode()]);
        out.extend_from_slice(&self.capabilities.to_be_bytes());
        for field in [&self.id, &self.resume, &self.token] {
            out.extend_from_slice(field);
        }
        out.extend_from_slice(&self.connection.to_be_bytes());
        out.extend_from_slice(&self.key);
        put_text(out, &self.name);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Hello, Error> {
        let hello = Hello {
            offers: Media::decode(reader.u8("offers")?),
            wants: Media::decode(reader.u8("wants")?),
            capabilities: reader.u32("capabilities")?,
            id: reader.array("id")?,
            resume: reader.array("resume token")?,
            token: reader.array("token")?,
            connection: reader.u32("connection id")?,
            key: reader.array("datagram key")?,
            name: reader.text("name")?,
        };
        // What a later program has to say of itself. No type of field is known yet; they are walked over where they lie.
        while !reader.is_empty() {
            reader.u8("hello field")?;
            let len = reader.u16("length of a hello field")?;
            reader.bytes(usize::from(len), "hello field")?;
        }
        Ok(hello)
    }
}

impl Text {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(kind::TEXT);
        out.extend_from_slice(&self.origin);
        put_text(out, &self.name);
        let line = cut(&self.line, MAX_TEXT);
        out.extend_from_slice(&(line.len() as u16).to_be_bytes());
        out.extend_from_slice(line.as_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Text, Error> {
        let (origin, name) = (reader.array("origin")?, reader.text("name")?);
        let len = usize::from(reader.u16("length of a text")?);
        if len > MAX_TEXT {
            return Err(reader.invalid("length of a text", len as u64, 2));
        }
        let line = printable(&String::from_utf8_lossy(reader.bytes(len, "text")?));
        Ok(Text { origin, name, line })
    }
}

/// Bits of a track's media beside what every media has.
mod state {
    pub const MUTED: u8 = 1 << 3;
    pub const CLOSED: u8 = 1 << 4;
}

impl Track {
    fn encode(&self, out: &mut Vec<u8>) {
        let muted = if self.muted { state::MUTED } else { 0 };
        let closed = if self.closed { state::CLOSED } else { 0 };
        out.extend_from_slice(&[kind::TRACK, self.number, self.media.encode() | muted | closed]);
        out.extend_from_slice(&self.origin);
        put_text(out, &self.label);
        let format = &self.format;
        if self.media.pictures {
            let (num, den) = format.rate.map_or((0, 1), |rate| (rate.num(), rate.den()));
            out.extend_from_slice(&num.to_be_bytes());
            out.extend_from_slice(&den.to_be_bytes());
            out.push(u8::from(format.variable));
            let (width, height) = format.size.map_or((0, 0), |size| (size.width as u16, size.height as u16));
            out.extend_from_slice(&width.to_be_bytes());
            out.extend_from_slice(&height.to_be_bytes());
            out.extend_from_slice(&format.first.to_be_bytes());
        }
        if self.media.sound {
            out.push(format.channels);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Track, Error> {
        let (number, bits) = (reader.u8("track")?, reader.u8("media")?);
        let (media, muted, closed) = (Media::decode(bits), bits & state::MUTED != 0, bits & state::CLOSED != 0);
        let (origin, label) = (reader.array("origin")?, reader.text("label")?);
        let mut format = Format::default();
        if media.pictures {
            format.decode_pictures(reader)?;
        }
        if media.sound {
            format.channels = match reader.u8("channels")? {
                channels @ 1..=2 => channels,
                channels => return Err(reader.invalid("channels", u64::from(channels), 1)),
            };
        }
        Ok(Track { number, media, muted, closed, origin, label, format })
    }
}

impl Format {
    fn decode_pictures(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        self.rate = Rate::new(reader.u32("rate")?, reader.u32("rate base")?);
        self.variable = match reader.u8("variable flag")? {
            flag @ 0..=1 => flag == 1,
            flag => return Err(reader.invalid("variable flag", u64::from(flag), 1)),
        };
        let size = Size { width: reader.u16("width")?.into(), height: reader.u16("height")?.into() };
        let longer = size.width.max(size.height);
        if longer > MAX_SIDE {
            return Err(reader.invalid("picture size", longer.into(), 4));
        }
        let first = reader.u64("first picture")?;
        if first > MOST_PICTURES {
            return Err(reader.invalid("first picture", first, 8));
        }
        (self.size, self.first) = (Some(size).filter(|size| size.is_possible()), first);
        Ok(())
    }
}
