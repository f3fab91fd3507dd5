//! Sealing datagrams, each by itself: ChaCha20-Poly1305 (RFC 8439) under a packet number that is never used twice.
//!
//! Invariant the caller keeps: under one key no number is sealed twice. The nonce is four zero bytes and the number, big endian,
//! so a packet carries no nonce of its own. The header travels in clear and is authenticated with the body.
//!
//! Why not AES-GCM: it is faster only where the processor has AES and carry-less multiplication, which the small boards people
//! put cameras on (Raspberry Pi up to 4, for one) have not; in software it is slow, or leaks the key through its timing. ChaCha20
//! is constant-time by construction and near a gigabyte a second on the same boards' NEON, far above any video.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use super::Key;

/// Bytes a seal adds.
pub const TAG: usize = 16;

/// A packet did not open: forged, damaged, or sealed under another key. Count it, drop it, tell nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a datagram did not open: it is damaged, forged, or from another session; it was dropped")]
pub struct OpenError;

/// Seals one direction's packets.
pub struct Sealer(LessSafeKey);

impl Sealer {
    /// For the packets of one direction.
    pub fn new(key: &Key) -> Sealer {
        Sealer(aead_key(key))
    }

    /// Encrypts `body` in place; the returned tag goes behind it. `header` is what stands before it in clear.
    pub fn seal(&self, number: u64, header: &[u8], body: &mut [u8]) -> [u8; TAG] {
        let tag = self.0.seal_in_place_separate_tag(nonce(number), Aad::from(header), body);
        let tag = tag.expect("a datagram is shorter than the cipher's limit of 256 GiB");
        tag.as_ref().try_into().expect("Poly1305 has a tag of 16 bytes")
    }
}

/// Opens the other direction's packets.
pub struct Opener(LessSafeKey);

impl Opener {
    /// For the packets of one direction.
    pub fn new(key: &Key) -> Opener {
        Opener(aead_key(key))
    }

    /// Decrypts `sealed` (body and tag) in place and gives the body, or refuses. After a refusal its bytes are worthless.
    pub fn open<'a>(&self, number: u64, header: &[u8], sealed: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        self.0.open_in_place(nonce(number), Aad::from(header), sealed).map_err(|_| OpenError)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(hidden)")
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(hidden)")
    }
}

fn aead_key(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_bytes()).expect("the key has ChaCha20's 32 bytes"))
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{hex, unhex};

    const HEADER: &[u8] = b"header in clear";
    const BODY: &[u8] = b"a body of forty bytes, none of them kept";

    fn sealed(number: u64) -> Vec<u8> {
        let mut packet = BODY.to_vec();
        let tag = Sealer::new(&Key::from_bytes([7; 32])).seal(number, HEADER, &mut packet);
        packet.extend_from_slice(&tag);
        packet
    }

    fn open(number: u64, header: &[u8], mut packet: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        Opener::new(&Key::from_bytes([7; 32])).open(number, header, &mut packet).map(|body| body.to_vec())
    }

    #[test]
    fn what_was_sealed_opens() {
        for number in [0, 1, u64::from(u32::MAX) + 1, u64::MAX] {
            assert_eq!(open(number, HEADER, sealed(number)).as_deref(), Ok(BODY));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_sealed_packet_and_of_its_header_fails_to_open() {
        let packet = sealed(5);
        for bit in 0..packet.len() * 8 {
            let mut flipped = packet.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(5, HEADER, flipped), Err(OpenError), "bit {bit} of the packet");
        }
        for bit in 0..HEADER.len() * 8 {
            let mut header = HEADER.to_vec();
            header[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(5, &header, packet.clone()), Err(OpenError), "bit {bit} of the header");
        }
        for bit in 0..64 {
            assert_eq!(open(5 ^ (1 << bit), HEADER, packet.clone()), Err(OpenError), "bit {bit} of the number");
        }
    }

    #[test]
    fn every_truncation_and_an_extra_byte_fail_to_open() {
        let packet = sealed(5);
        for len in 0..packet.len() {
            assert_eq!(open(5, HEADER, packet[..len].to_vec()), Err(OpenError), "{len} bytes");
        }
        assert_eq!(open(5, HEADER, [packet, vec![0]].concat()), Err(OpenError));
    }

    #[test]
    fn another_key_does_not_open() {
        let mut packet = sealed(5);
        assert_eq!(Opener::new(&Key::from_bytes([8; 32])).open(5, HEADER, &mut packet), Err(OpenError));
    }

    #[test]
    fn a_sealed_packet_has_these_bytes() {
        assert_eq!(
            hex(&sealed(0x0102_0304_0506_0708)),
            "b2e72f3f07647b1cba86a958165a2ec9482d729147f910b95c6131f30556d21139c480a9ae5a2c7105a5f718f8a01ba63594f79a2439b1e3"
        );
    }

    /// RFC 8439, appendix A.5: its nonce happens to be four zero bytes and 0x0102030405060708.
    #[test]
    fn the_packet_of_rfc_8439_appendix_a5_opens() {
        let key = unhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
        let mut sealed = unhex(
            "64a0861575861af460f062c79be643bd 5e805cfd345cf389f108670ac76c8cb2 4c6cfc18755d43eea09ee94e382d26b0
             bdb7b73c321b0100d4f03b7f355894cf 332f830e710b97ce98c8a84abd0b9481 14ad176e008d33bd60f982b1ff37c855
             9797a06ef4f0ef61c186324e2b350638 3606907b6a7c02b0f9f6157b53c867e4 b9166c767b804d46a59b5216cde7a4e9
             9040c5a40433225ee282a1b0a06c523e af4534d7f83fa1155b0047718cbc546a 0d072b04b3564eea1b422273f548271a
             0bb2316053fa76991955ebd63159434e cebb4e466dae5a1073a6727627097a10 49e617d91d361094fa68f0ff77987130
             305beaba2eda04df997b714d6c6f2c29 a6ad5cb4022b02709b eead9d67890cbb22392336fea1851f38",
        );
        let key = Key::from_bytes(key.try_into().expect("32 bytes"));
        let opener = Opener::new(&key);
        let body = opener.open(0x0102_0304_0506_0708, &unhex("f33388860000000000004e91"), &mut sealed).expect("opens");
        let text = std::str::from_utf8(body).expect("text");
        assert!(text.starts_with("Internet-Drafts are draft documents valid for a maximum of six months"), "{text}");
        assert_eq!(text.len(), 265);
    }
}
