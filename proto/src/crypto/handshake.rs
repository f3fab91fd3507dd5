//! The Noise handshake on a TCP connection, and the sealed records after it.
//!
//! Without a key `Noise_NN_25519_ChaChaPoly_BLAKE2s`: secrecy against listeners, no proof who is there. With one
//! `Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s`: both sides prove that they know it, the dialler in its very first message, so a
//! waiting side answers nobody who does not. (noiseprotocol.org, revision 34, through `snow`.)
//!
//! ```text
//! dialler → listener   e (32)                with a key: psk, e (32), tag (16)
//! listener → dialler   e (32), ee, tag (16)
//! then records         length (u16, big endian), ciphertext with its tag
//! ```
//!
//! The two messages have fixed lengths, so a key on one side only is told from two different keys. Framing the handshake's
//! messages and its time limit are the session's. Whatever both sides have sent in clear before belongs into the prologue.

use super::{Error, Psk, TAG};

/// Neither side has shown anything but a fresh public key.
const PLAIN: &str = "Noise_NN_25519_ChaChaPoly_BLAKE2s";
/// The same, mixed with a key both sides know from the first message on.
const KEYED: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// A Curve25519 public key on its own: the dialler's message without a key.
const BARE_MESSAGE: usize = 32;
/// A public key and the tag over an empty payload: every other message.
const TAGGED_MESSAGE: usize = 32 + TAG;

/// Which end of the TCP connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Opened the connection, speaks first.
    Dialler,
    Listener,
}

/// A handshake under way: the dialler writes, the listener reads and writes, the dialler reads.
pub struct Handshake {
    noise: snow::HandshakeState,
    keyed: bool,
}

impl Handshake {
    /// Starts on a fresh connection. `prologue` is what must be equal on both sides although it is not sent in here.
    pub fn new(side: Side, psk: Option<&Psk>, prologue: &[u8]) -> Result<Handshake, Error> {
        Self::start(side, psk, prologue, None)
    }

    /// `ephemeral` fixes the key pair, which only a test vector may.
    fn start(side: Side, psk: Option<&Psk>, prologue: &[u8], ephemeral: Option<&[u8; 32]>) -> Result<Handshake, Error> {
        let pattern = if psk.is_some() { KEYED } else { PLAIN };
        let build = || {
            let mut builder = snow::Builder::new(pattern.parse()?).prologue(prologue)?;
            if let Some(psk) = psk {
                builder = builder.psk(0, psk.as_bytes())?;
            }
            if let Some(ephemeral) = ephemeral {
                builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
            }
            match side {
                Side::Dialler => builder.build_initiator(),
                Side::Listener => builder.build_responder(),
            }
        };
        let noise = build().map_err(|_: snow::Error| Error::Misuse)?;
        Ok(Handshake { noise, keyed: psk.is_some() })
    }

    /// Our next message: 32 or 48 bytes.
    pub fn write(&mut self) -> Result<Vec<u8>, Error> {
        let mut message = vec![0; TAGGED_MESSAGE];
        let len = self.noise.write_message(&[], &mut message).map_err(|_| Error::Misuse)?;
        message.truncate(len);
        Ok(message)
    }

    /// Their next message, whole. After an error the handshake is over and the connection to be closed.
    pub fn read(&mut self, message: &[u8]) -> Result<(), Error> {
        if !self.noise.is_my_turn() && !self.is_finished() {
            self.check_length(message.len())?;
            // Nothing but an empty payload fits into a message of the right length.
            return match self.noise.read_message(message, &mut []) {
                Ok(_) => Ok(()),
                Err(_) if self.keyed => Err(Error::KeysDiffer),
                Err(_) => Err(Error::Malformed),
            };
        }
        Err(Error::Misuse)
    }

    /// The lengths say whether the other side has a key; and without this a listener with none would take the dialler's tag for
    /// a payload in clear.
    fn check_length(&self, len: usize) -> Result<(), Error> {
        let first = !self.noise.is_initiator();
        match len {
            BARE_MESSAGE if first && !self.keyed => Ok(()),
            BARE_MESSAGE if first => Err(Error::PeerHasNoKey),
            TAGGED_MESSAGE if first && !self.keyed => Err(Error::WeHaveNoKey),
            TAGGED_MESSAGE => Ok(()),
            _ => Err(Error::Malformed),
        }
    }

    /// Whether both messages have been exchanged.
    pub fn is_finished(&self) -> bool {
        self.noise.is_handshake_finished()
    }

    /// The handshake hash, once [`Handshake::is_finished`]: the same at both ends, and of no other connection (Noise §11.2). It
    /// is no secret.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.noise.get_handshake_hash());
        hash
    }

    /// The sealed connection, once [`Handshake::is_finished`].
    pub fn into_transport(self) -> Result<Transport, Error> {
        Ok(Transport { noise: self.noise.into_transport_mode().map_err(|_| Error::Misuse)? })
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("keyed", &self.keyed).field("finished", &self.is_finished()).finish()
    }
}

/// A finished handshake: seals and opens records, each direction in order.
pub struct Transport {
    noise: snow::TransportState,
}

impl Transport {
    /// The longest plain record: what a u16 length leaves after the tag.
    pub const MAX_PLAIN: usize = u16::MAX as usize - TAG;

    /// Appends one record to `out`: u16 length, big endian, of the ciphertext, then the ciphertext.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let len = u16::try_from(plain.len() + TAG).map_err(|_| Error::Misuse)?;
        let start = out.len();
        out.extend_from_slice(&len.to_be_bytes());
        out.resize(start + 2 + usize::from(len), 0);
        match self.noise.write_message(plain, &mut out[start + 2..]) {
            Ok(_) => Ok(()),
            Err(_) => {
                out.truncate(start);
                Err(Error::Misuse)
            }
        }
    }

    /// Opens one record's ciphertext (without its length) and appends the plain bytes to `out`. An error ends the connection:
    /// the two sides' counters no longer agree.
    pub fn open(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let plain = sealed.len().checked_sub(TAG).filter(|len| *len <= Self::MAX_PLAIN).ok_or(Error::DamagedRecord)?;
        let start = out.len();
        out.resize(start + plain, 0);
        match self.noise.read_message(sealed, &mut out[start..]) {
            Ok(_) => Ok(()),
            Err(_) => {
                out.truncate(start);
                Err(Error::DamagedRecord)
            }
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    fn psk(passphrase: &str) -> Psk {
        Psk::derive(passphrase).expect("derives")
    }

    fn shake(dialler: Option<&Psk>, listener: Option<&Psk>) -> Result<(Transport, Transport), Error> {
        let mut dialler = Handshake::new(Side::Dialler, dialler, b"prologue")?;
        let mut listener = Handshake::new(Side::Listener, listener, b"prologue")?;
        listener.read(&dialler.write()?)?;
        dialler.read(&listener.write()?)?;
        assert!(dialler.is_finished() && listener.is_finished());
        Ok((dialler.into_transport()?, listener.into_transport()?))
    }

    fn sealed(transport: &mut Transport, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        transport.seal(plain, &mut out).expect("seals");
        out
    }

    #[test]
    fn records_of_every_size_travel_both_ways_with_and_without_a_key() {
        let key = psk("k");
        for key in [None, Some(&key)] {
            let (mut one, mut other) = shake(key, key).expect("shakes");
            for len in [0, 1, 1000, Transport::MAX_PLAIN] {
                let plain: Vec<u8> = (0..len).map(|at| at as u8).collect();
                for _ in 0..2 {
                    let record = sealed(&mut one, &plain);
                    assert_eq!(usize::from(u16::from_be_bytes([record[0], record[1]])), record.len() - 2);
                    let mut opened = b"before".to_vec();
                    other.open(&record[2..], &mut opened).expect("opens");
                    assert_eq!(opened, [b"before", plain.as_slice()].concat());
                    std::mem::swap(&mut one, &mut other);
                }
            }
        }
    }

    #[test]
    fn a_record_longer_than_the_limit_is_refused_and_leaves_nothing_behind() {
        let (mut one, _) = shake(None, None).expect("shakes");
        let mut out = b"before".to_vec();
        assert_eq!(one.seal(&vec![0; Transport::MAX_PLAIN + 1], &mut out), Err(Error::Misuse));
        assert_eq!(out, b"before");
    }

    #[test]
    fn both_ends_have_one_handshake_hash_and_every_connection_another() {
        let hashes = || {
            let mut dialler = Handshake::new(Side::Dialler, None, b"").expect("starts");
            let mut listener = Handshake::new(Side::Listener, None, b"").expect("starts");
            listener.read(&dialler.write().expect("writes")).expect("reads");
            dialler.read(&listener.write().expect("writes")).expect("reads");
            (dialler.hash(), listener.hash())
        };
        let (one, other) = (hashes(), hashes());
        assert!(one.0 == one.1 && other.0 == other.1 && one.0 != other.0);
    }

    #[test]
    fn a_wrong_key_fails_at_the_listeners_first_message() {
        let mut dialler = Handshake::new(Side::Dialler, Some(&psk("one")), b"").expect("starts");
        let mut listener = Handshake::new(Side::Listener, Some(&psk("other")), b"").expect("starts");
        assert_eq!(listener.read(&dialler.write().expect("writes")), Err(Error::KeysDiffer));
    }

    #[test]
    fn a_key_on_one_side_only_fails_and_says_on_which() {
        let key = psk("k");
        assert_eq!(shake(Some(&key), None).err(), Some(Error::WeHaveNoKey));
        assert_eq!(shake(None, Some(&key)).err(), Some(Error::PeerHasNoKey));
    }

    #[test]
    fn different_prologues_fail() {
        let mut dialler = Handshake::new(Side::Dialler, None, b"version 1").expect("starts");
        let mut listener = Handshake::new(Side::Listener, None, b"version 2").expect("starts");
        listener.read(&dialler.write().expect("writes")).expect("nothing to check yet");
        assert_eq!(dialler.read(&listener.write().expect("writes")), Err(Error::Malformed));
    }

    #[test]
    fn every_flipped_bit_of_both_messages_fails_with_a_key() {
        let key = psk("k");
        let new = |side| Handshake::new(side, Some(&key), b"").expect("starts");
        for bit in 0..TAGGED_MESSAGE * 8 {
            let (mut dialler, mut listener) = (new(Side::Dialler), new(Side::Listener));
            let mut message = dialler.write().expect("writes");
            let mut flipped = message.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(listener.read(&flipped), Err(Error::KeysDiffer), "bit {bit} of the first message");
            listener = new(Side::Listener);
            listener.read(&message).expect("whole");
            message = listener.write().expect("writes");
            message[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(dialler.read(&message), Err(Error::KeysDiffer), "bit {bit} of the second message");
        }
    }

    #[test]
    fn messages_of_a_wrong_length_or_out_of_turn_are_refused() {
        let new = |side| Handshake::new(side, None, b"").expect("starts");
        for len in (0..200).filter(|len| *len != BARE_MESSAGE && *len != TAGGED_MESSAGE) {
            assert_eq!(new(Side::Listener).read(&vec![1; len]), Err(Error::Malformed), "{len} bytes");
        }
        let mut dialler = new(Side::Dialler);
        assert_eq!(dialler.read(&[0; TAGGED_MESSAGE]), Err(Error::Misuse));
        dialler.write().expect("writes");
        assert_eq!(dialler.read(&[0; BARE_MESSAGE]), Err(Error::Malformed));
        assert_eq!(dialler.write().err(), Some(Error::Misuse));
        assert_eq!(new(Side::Listener).into_transport().err(), Some(Error::Misuse));
    }

    #[test]
    fn a_flipped_bit_a_replay_and_a_gap_in_the_records_fail_to_open() {
        let (mut one, mut other) = shake(None, None).expect("shakes");
        let (first, second) = (sealed(&mut one, b"first"), sealed(&mut one, b"second"));
        let mut out = Vec::new();
        for bit in 0..(first.len() - 2) * 8 {
            let mut flipped = first[2..].to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(other.open(&flipped, &mut out), Err(Error::DamagedRecord), "bit {bit}");
        }
        assert_eq!(other.open(&second[2..], &mut out), Err(Error::DamagedRecord), "a gap");
        other.open(&first[2..], &mut out).expect("opens");
        assert_eq!(other.open(&first[2..], &mut out), Err(Error::DamagedRecord), "a replay");
        assert_eq!(other.open(&[0; TAG - 1], &mut out), Err(Error::DamagedRecord), "too short for a tag");
        assert_eq!(out, b"first");
    }

    #[test]
    fn a_handshake_with_fixed_keys_has_these_bytes() {
        let key = Psk::derive("correct horse battery staple").expect("derives");
        let vectors = [
            (
                None,
                [
                    "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209",
                    "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d5938ba22999460ba9f4977ba763ab337bf",
                    "0016ad3303161548f39a89632e5591e6a3d942e58f39bd13",
                ],
            ),
            (
                Some(&key),
                [
                    "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a2091c10fbe8eec864c77a15f8ad99aacbac",
                    "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59ff90d244cbd8e6da82f9195413f36086",
                    "00162142772c577048467673e8ffce0e57b89b19352cce03",
                ],
            ),
        ];
        for (psk, [first, second, record]) in vectors {
            let mut dialler = Handshake::start(Side::Dialler, psk, b"prologue", Some(&[1; 32])).expect("starts");
            let mut listener = Handshake::start(Side::Listener, psk, b"prologue", Some(&[2; 32])).expect("starts");
            let message = dialler.write().expect("writes");
            assert_eq!(hex(&message), first);
            listener.read(&message).expect("reads");
            let message = listener.write().expect("writes");
            assert_eq!(hex(&message), second);
            dialler.read(&message).expect("reads");
            assert_eq!(hex(&sealed(&mut dialler.into_transport().expect("finished"), b"record")), record);
        }
    }
}
