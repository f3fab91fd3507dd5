//! The clear opening of a TCP connection: who speaks, which version, with a key or without.
//!
//! ```text
//! dialler   "EYEL" version(u8) flags(u8) length(u16) ++ first handshake message
//! listener  "EYEL" version(u8) status(u8) length(u16) ++ second handshake message (status 0) or a sentence (UTF-8)
//! ```
//!
//! A wrong program or version is thus told so in words; nothing secret is in it. Its 8 bytes are the handshake's prologue.

use super::VERSION;

/// What every connection starts with.
pub const MAGIC: [u8; 4] = *b"EYEL";

/// Bytes before the handshake message or sentence.
pub const LEN: usize = 8;

/// The longest handshake message or sentence: a Noise NN message with an empty payload has 32 to 48 bytes.
pub const MAX_BODY: usize = 512;

/// Why a listener turns a dialler away before the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Another version of the protocol.
    Version = 1,
    /// One side has a key and the other has none.
    KeyMissing = 3,
    KeyWrong = 4,
    /// The address is not let in without a key.
    Address = 5,
    /// Too many peers.
    Full = 6,
    /// Nobody is paired with now.
    NoPairing = 7,
    /// Something newer than this list.
    Other = 255,
}

/// What the dialler says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Its protocol version.
    pub version: u8,
    /// Whether it has a key.
    pub keyed: bool,
    /// Whether it has a code instead, and what follows is no handshake message but one that makes a key of it.
    pub pairs: bool,
    /// Bytes of the handshake message that follows.
    pub len: u16,
}

/// What the listener answers first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its protocol version.
    pub version: u8,
    /// Why not, where it does not go on.
    pub refusal: Option<Refusal>,
    /// Bytes of the handshake message or sentence that follows.
    pub len: u16,
}

/// The first bytes are not Eyeline's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is not Eyeline")]
pub struct NotEyeline;

const KEYED: u8 = 1;
const PAIRS: u8 = 2;

impl Opening {
    pub fn encode(&self) -> [u8; LEN] {
        let (keyed, pairs) = (if self.keyed { KEYED } else { 0 }, if self.pairs { PAIRS } else { 0 });
        put([self.version, keyed | pairs], self.len)
    }

    /// From its bytes. Unknown flags are a later program's business, and those of another version mean nothing here.
    pub fn decode(bytes: &[u8; LEN]) -> Result<Opening, NotEyeline> {
        let ([version, flags], len) = take(bytes)?;
        Ok(Opening { version, keyed: flags & KEYED != 0, pairs: flags & PAIRS != 0, len })
    }
}

impl Answer {
    pub fn encode(&self) -> [u8; LEN] {
        put([self.version, self.refusal.map_or(0, |refusal| refusal as u8)], self.len)
    }

    /// From its bytes.
    pub fn decode(bytes: &[u8; LEN]) -> Result<Answer, NotEyeline> {
        let ([version, status], len) = take(bytes)?;
        let refusal = match status {
            0 => None,
            1 => Some(Refusal::Version),
            3 => Some(Refusal::KeyMissing),
            4 => Some(Refusal::KeyWrong),
            5 => Some(Refusal::Address),
            6 => Some(Refusal::Full),
            7 => Some(Refusal::NoPairing),
            _ => Some(Refusal::Other),
        };
        Ok(Answer { version, refusal, len })
    }
}

/// A version of the protocol in words, with the programs that speak it where those can be told.
pub fn spoken(version: u8) -> String {
    match version {
        1 => "protocol 1 (Eyeline 0.1)".to_string(),
        version => format!("protocol {version}"),
    }
}

fn put(middle: [u8; 2], len: u16) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&middle);
    bytes[6..].copy_from_slice(&len.to_be_bytes());
    bytes
}

fn take(bytes: &[u8; LEN]) -> Result<([u8; 2], u16), NotEyeline> {
    if bytes[..4] != MAGIC {
        return Err(NotEyeline);
    }
    Ok(([bytes[4], bytes[5]], u16::from_be_bytes([bytes[6], bytes[7]])))
}

impl Opening {
    /// This version's opening.
    pub fn new(keyed: bool, len: u16) -> Self {
        Opening { version: VERSION, keyed, pairs: false, len }
    }

    /// The same, before a key is made of a code.
    pub fn pairing(len: u16) -> Self {
        Opening { version: VERSION, keyed: false, pairs: true, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_and_answers_come_back() {
        for keyed in [false, true] {
            let opening = Opening::new(keyed, 48);
            assert_eq!(Opening::decode(&opening.encode()), Ok(opening));
        }
        let opening = Opening::pairing(33);
        assert_eq!(opening.encode(), *b"EYEL\x02\x02\0\x21");
        assert_eq!(Opening::decode(&opening.encode()), Ok(opening));
        for refusal in [
            None,
            Some(Refusal::Version),
            Some(Refusal::KeyWrong),
            Some(Refusal::Full),
            Some(Refusal::NoPairing),
            Some(Refusal::Other),
        ] {
            let answer = Answer { version: 7, refusal, len: 300 };
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
    }

    #[test]
    fn another_program_is_told_apart() {
        assert_eq!(Opening::decode(b"GET / HT"), Err(NotEyeline));
        assert_eq!(Answer::decode(b"SSH-2.0-"), Err(NotEyeline));
    }
}
