//! Records: what goes over TCP once the handshake is done, each sealed on its own.
//!
//! ```text
//!  u16 length ++ sealed(kind u8 ++ body) ++ 16 bytes of tag
//! ```
//!
//! Bodies are drawn in PROTOCOL.md §4.

use super::preamble::Role;
use super::sound::Sound;
use super::{Error, Reader, put_text};
use crate::picture::MAX_SIDE;

/// First record of both sides: who I am, and how to reach me by UDP.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// What I am.
    pub role: Role,
    /// A sender has pictures, a receiver wants them.
    pub pictures: bool,
    /// A sender has sound, a receiver wants it.
    pub sound: bool,
    /// It skips records of kinds that it does not know, and knows [`Record::Heard`].
    pub skips: bool,
    /// A sender sends a film and skips nothing; a receiver writes a file and waits for retransmissions.
    pub patient: bool,
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

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hello {{ {:?} {:?}, connection {:08x} }}", self.role, self.name, self.connection)
    }
}

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
    /// It failed.
    Failed = 3,
    /// The keys have grown old; come again.
    Renew = 4,
    /// A newer connection of the same peer took over.
    Replaced = 5,
}

/// What the stream is; sent before its first picture and whenever it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// Pictures in `rate.1` seconds; (0, _) where nobody knows.
    pub rate: (u32, u32),
    /// The time between pictures varies.
    pub variable: bool,
    /// Picture size, 0×0 where there are none.
    pub size: (u16, u16),
    /// Channels of sound, 0 where there is none.
    pub channels: u8,
    /// The first picture that this peer is sent.
    pub first: u64,
}

/// The end of a film: how much there was in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Number after the last picture.
    pub pictures: u64,
    /// Number after the last block of sound.
    pub blocks: u64,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record<'a> {
    /// Who I am.
    Hello(Hello),
    /// What the stream is.
    Format(Format),
    /// Ten milliseconds of sound.
    Sound(Sound<'a>),
    /// Nothing comes after these numbers.
    End(End),
    /// I leave, and why.
    Goodbye(Reason, String),
    /// Whether datagrams of yours reach me.
    Heard(bool),
}

mod kind {
    pub const HELLO: u8 = 1;
    pub const FORMAT: u8 = 2;
    pub const SOUND: u8 = 3;
    pub const END: u8 = 4;
    pub const GOODBYE: u8 = 5;
    pub const HEARD: u8 = 64;
}

/// Numbers of pictures end here, so that those after them can be counted: ten thousand years at 1000 a second are fewer.
const MOST_PICTURES: u64 = 1 << 62;

const RECEIVER: u8 = 1;
const PICTURES: u8 = 2;
const SOUND: u8 = 4;
const PATIENT: u8 = 8;
const SKIPS: u8 = 16;

impl<'a> Record<'a> {
    /// Appends the record's plain bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Hello(hello) => hello.encode(out),
            Record::Format(format) => {
                out.push(kind::FORMAT);
                out.extend_from_slice(&format.rate.0.to_be_bytes());
                out.extend_from_slice(&format.rate.1.to_be_bytes());
                out.push(u8::from(format.variable));
                out.extend_from_slice(&format.size.0.to_be_bytes());
                out.extend_from_slice(&format.size.1.to_be_bytes());
                out.push(format.channels);
                out.extend_from_slice(&format.first.to_be_bytes());
            }
            Record::Sound(sound) => {
                out.push(kind::SOUND);
                sound.encode(out);
            }
            Record::End(end) => {
                out.push(kind::END);
                out.extend_from_slice(&end.pictures.to_be_bytes());
                out.extend_from_slice(&end.blocks.to_be_bytes());
            }
            Record::Goodbye(reason, sentence) => {
                out.extend_from_slice(&[kind::GOODBYE, *reason as u8]);
                put_text(out, sentence);
            }
            Record::Heard(heard) => out.extend_from_slice(&[kind::HEARD, u8::from(*heard)]),
        }
    }

    /// From an opened record.
    pub fn decode(bytes: &'a [u8]) -> Result<Record<'a>, Error> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8("record kind")?;
        let record = match kind {
            kind::HELLO => Record::Hello(Hello::decode(&mut reader)?),
            kind::FORMAT => Record::Format(Format::decode(&mut reader)?),
            kind::SOUND => return Sound::decode(reader).map(Record::Sound),
            kind::END => Record::End(End { pictures: reader.u64("picture count")?, blocks: reader.u64("block count")? }),
            kind::GOODBYE => {
                let reason = match reader.u8("reason")? {
                    0 => Reason::Quit,
                    1 => Reason::Busy,
                    2 => Reason::Protocol,
                    3 => Reason::Failed,
                    4 => Reason::Renew,
                    5 => Reason::Replaced,
                    other => return Err(reader.invalid("reason", u64::from(other), 1)),
                };
                Record::Goodbye(reason, reader.text("sentence")?)
            }
            kind::HEARD => match reader.u8("heard")? {
                heard @ 0..=1 => Record::Heard(heard == 1),
                other => return Err(reader.invalid("heard", u64::from(other), 1)),
            },
            kind => return Err(Error::Unknown { field: "record kind", kind }),
        };
        reader.end().map(|()| record)
    }
}

impl Hello {
    fn encode(&self, out: &mut Vec<u8>) {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let flags = flag(self.role == Role::Receiver, RECEIVER)
            | flag(self.pictures, PICTURES)
            | flag(self.sound, SOUND)
            | flag(self.patient, PATIENT)
            | flag(self.skips, SKIPS);
        out.extend_from_slice(&[kind::HELLO, flags]);
        for field in [&self.id, &self.resume, &self.token] {
            out.extend_from_slice(field);
        }
        out.extend_from_slice(&self.connection.to_be_bytes());
        out.extend_from_slice(&self.key);
        put_text(out, &self.name);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Hello, Error> {
        let flags = reader.u8("hello flags")?;
        Ok(Hello {
            role: if flags & RECEIVER != 0 { Role::Receiver } else { Role::Sender },
            pictures: flags & PICTURES != 0,
            sound: flags & SOUND != 0,
            patient: flags & PATIENT != 0,
            skips: flags & SKIPS != 0,
            id: reader.array("id")?,
            resume: reader.array("resume token")?,
            token: reader.array("token")?,
            connection: reader.u32("connection id")?,
            key: reader.array("datagram key")?,
            name: reader.text("name")?,
        })
    }
}

impl Format {
    fn decode(reader: &mut Reader<'_>) -> Result<Format, Error> {
        let rate = (reader.u32("rate")?, reader.u32("rate base")?);
        let variable = match reader.u8("variable flag")? {
            flag @ 0..=1 => flag == 1,
            flag => return Err(reader.invalid("variable flag", u64::from(flag), 1)),
        };
        let size = (reader.u16("width")?, reader.u16("height")?);
        if u32::from(size.0.max(size.1)) > MAX_SIDE {
            return Err(reader.invalid("picture size", u64::from(size.0.max(size.1)), 4));
        }
        let channels = reader.u8("channels")?;
        if channels > 2 {
            return Err(reader.invalid("channels", u64::from(channels), 1));
        }
        let first = reader.u64("first picture")?;
        if first > MOST_PICTURES {
            return Err(reader.invalid("first picture", first, 8));
        }
        Ok(Format { rate, variable, size, channels, first })
    }
}
