//! What is published through a relay, sealed from end to end with the key of those who meet there.
//!
//! Each publisher has a random identifier, and its key follows from that and the shared one by HKDF (RFC 5869), so nothing is
//! agreed on: whoever has the key opens what comes. The relay sees where things belong, how long they are and when they were
//! caught, and can hold them back, or give them again to who has not seen them; it can neither read nor make any.
//!
//! Invariant the caller keeps: nothing is sealed twice for one [`Place`].

use super::seal::{OpenError, Opener, Sealer};
use super::{Key, Psk, random};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

/// Says what the key is for.
const PURPOSE: &[u8] = b"eyeline relay v1";

/// Where something lies in what somebody publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which stream, below [`STREAMS`].
    pub stream: u8,
    /// Which group of it, below [`GROUPS`].
    pub group: u64,
    /// Which frame of that.
    pub frame: u8,
}

/// So many streams, and groups, can be told apart.
pub const STREAMS: u8 = 16;
pub const GROUPS: u64 = 1 << 52;

impl Place {
    /// A number for each place, `None` of one that cannot be.
    fn number(self) -> Option<u64> {
        let can_be = self.stream < STREAMS && self.group < GROUPS;
        can_be.then(|| u64::from(self.stream) << 60 | u64::from(self.frame) << 52 | self.group)
    }
}

/// Names one publisher: it was chosen at random when that began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublisherId(pub [u8; 16]);

impl PublisherId {
    /// Another one each time.
    pub fn new() -> Self {
        PublisherId(random())
    }
}

impl Default for PublisherId {
    fn default() -> Self {
        PublisherId::new()
    }
}

/// Seals what one publisher publishes.
pub struct Publisher {
    sealer: Sealer,
    name: Vec<u8>,
}

impl Publisher {
    /// Of this `name`, which is in clear and sealed with everything.
    pub fn new(psk: &Psk, id: PublisherId, name: &str) -> Publisher {
        Publisher { sealer: Sealer::new(&key(psk, id)), name: name.into() }
    }

    /// Encrypts what follows the first bytes, so many, and puts its tag behind it.
    ///
    /// # Panics
    /// Of a place that cannot be: after 2⁵² groups.
    pub fn seal(&self, place: Place, clear: usize, frame: &mut Vec<u8>) {
        let number = place.number().expect("there are fewer groups");
        let tag = self.sealer.seal(number, &self.name, &mut frame[clear..]);
        frame.extend_from_slice(&tag);
    }
}

/// Opens what one publisher publishes.
pub struct Reader {
    opener: Opener,
    name: Vec<u8>,
}

impl Reader {
    /// Of the one of this `name`.
    pub fn new(psk: &Psk, id: PublisherId, name: &str) -> Reader {
        Reader { opener: Opener::new(&key(psk, id)), name: name.into() }
    }

    /// Decrypts a body and its tag in place, and gives the body; or refuses what is not from there.
    pub fn open<'a>(&self, place: Place, sealed: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        self.opener.open(place.number().ok_or(OpenError)?, &self.name, sealed)
    }
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

fn key(psk: &Psk, PublisherId(id): PublisherId) -> Key {
    let mut bytes = [0; 32];
    let derived = Salt::new(HKDF_SHA256, &id).extract(psk.as_bytes());
    let filled = derived.expand(&[PURPOSE], Length).and_then(|okm| okm.fill(&mut bytes));
    filled.expect("HKDF gives 32 bytes");
    Key::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    const PLACE: Place = Place { stream: 2, group: 77, frame: 3 };

    fn psk() -> Psk {
        Psk::from_bytes([9; 32])
    }

    fn sealed(place: Place) -> Vec<u8> {
        let mut body = b"a slice".to_vec();
        Publisher::new(&psk(), PublisherId([1; 16]), "anna").seal(place, 0, &mut body);
        body
    }

    #[test]
    fn what_is_published_opens_there_and_nowhere_else() {
        let open = |psk: Psk, id: u8, name: &str, place: Place| {
            let reader = Reader::new(&psk, PublisherId([id; 16]), name);
            reader.open(place, &mut sealed(PLACE)).map(|body| body.to_vec())
        };
        assert_eq!(open(psk(), 1, "anna", PLACE).as_deref(), Ok(&b"a slice"[..]));
        for refused in [
            open(Psk::from_bytes([8; 32]), 1, "anna", PLACE),
            open(psk(), 2, "anna", PLACE),
            open(psk(), 1, "bert", PLACE),
            open(psk(), 1, "anna", Place { stream: 1, ..PLACE }),
            open(psk(), 1, "anna", Place { group: 78, ..PLACE }),
            open(psk(), 1, "anna", Place { frame: 4, ..PLACE }),
            open(psk(), 1, "anna", Place { group: GROUPS + 77, ..PLACE }),
            open(psk(), 1, "anna", Place { stream: STREAMS + 2, ..PLACE }),
        ] {
            assert_eq!(refused, Err(OpenError));
        }
    }

    #[test]
    fn a_sealed_slice_has_these_bytes() {
        assert_eq!(hex(&sealed(PLACE)), "94f03f71dad91cf8de95307fd2befdc924873e13d29a5f");
    }

    #[test]
    fn every_place_has_a_number_of_its_own() {
        let edges = [0, 1, GROUPS - 1];
        let numbers: std::collections::BTreeSet<u64> = (0..STREAMS)
            .flat_map(|stream| (0..=255).flat_map(move |frame| edges.map(|group| Place { stream, group, frame })))
            .map(|place| place.number().unwrap())
            .collect();
        assert_eq!(numbers.len(), 16 * 256 * edges.len());
    }
}
