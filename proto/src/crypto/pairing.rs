//! A strong key out of six digits: SPAKE2 (Abdalla and Pointcheval 2005) over Ed25519, by the `spake2` crate.
//!
//! **Problem.** Digits that are read aloud can be guessed in a second by whoever recorded a handshake that is keyed with them, as
//! `NNpsk0` is with a passphrase.
//!
//! **Choice.** Each side sends one masked point. Whoever listens learns nothing; whoever takes part has committed to one guess,
//! and the handshake that follows, keyed with what came out, tells whether it was right. So a guess costs a connection, and these
//! are counted (`session/keyring.rs`).
//!
//! What comes out makes two keys, so that the one that is kept was never used on the way to it.

use super::handshake::Side;
use super::key::Psk;
use super::{Error, random};
use ring::hmac;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

/// Bytes of each side's message: which side it is of, and a point.
pub const MESSAGE: usize = 33;

/// Digits of a code.
pub const DIGITS: usize = 6;

const DIALLER: &[u8] = b"eyeline dialler";
const LISTENER: &[u8] = b"eyeline listener";

/// Six digits that are shown on one machine and typed on the other. Never printed by `Debug`, overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<String>);

impl Code {
    /// A fresh one.
    pub fn random() -> Code {
        // 2⁶⁴ is so much larger than 10⁶ that no code is likelier than another by anything that counts.
        let number = u64::from_be_bytes(random()) % 10_u64.pow(DIGITS as u32);
        Code(Zeroizing::new(format!("{number:06}")))
    }

    /// What somebody typed: six digits, with spaces or dashes between them or none.
    pub fn parse(text: &str) -> Option<Code> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').take(DIGITS + 1).collect();
        let is_code = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| Code(Zeroizing::new(digits)))
    }

    /// For people: two groups of three.
    pub fn spaced(&self) -> String {
        let (one, other) = self.0.split_at(DIGITS / 2);
        format!("{one} {other}")
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(hidden)")
    }
}

/// The two keys that come out of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Of the handshake that follows on the same connection: where the codes differ, it fails.
    pub once: Psk,
    /// Of every later one, once that succeeded.
    pub kept: Psk,
}

/// One side's half of an exchange, until the other's message comes.
pub struct Pairing(Spake2<Ed25519Group>);

impl Pairing {
    /// Our half, and our message.
    pub fn start(side: Side, code: &Code) -> (Pairing, Vec<u8>) {
        let password = Password::new(code.0.as_bytes());
        let (dialler, listener) = (Identity::new(DIALLER), Identity::new(LISTENER));
        let (state, message) = match side {
            Side::Dialler => Spake2::start_a(&password, &dialler, &listener),
            Side::Listener => Spake2::start_b(&password, &dialler, &listener),
        };
        (Pairing(state), message)
    }

    /// With the other side's message. That both had one code shows only in the handshake that follows.
    pub fn finish(self, message: &[u8]) -> Result<Agreed, Error> {
        let shared = Zeroizing::new(self.0.finish(message).map_err(|_| Error::Malformed)?);
        let root = hmac::Key::new(hmac::HMAC_SHA256, &shared);
        let derived = |what: &[u8]| {
            let mut key = [0; 32];
            key.copy_from_slice(hmac::sign(&root, what).as_ref());
            Psk::from_bytes(key)
        };
        Ok(Agreed { once: derived(b"eyeline pairing handshake v1"), kept: derived(b"eyeline pair v1") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        Code::parse(text).expect("a code")
    }

    fn agree(dialler: &str, listener: &str) -> (Agreed, Agreed) {
        let (ours, first) = Pairing::start(Side::Dialler, &code(dialler));
        let (theirs, second) = Pairing::start(Side::Listener, &code(listener));
        assert_eq!((first.len(), second.len()), (MESSAGE, MESSAGE));
        (ours.finish(&second).expect("a point"), theirs.finish(&first).expect("a point"))
    }

    #[test]
    fn one_code_gives_both_the_same_two_keys_new_ones_each_time_and_two_codes_give_others() {
        let (one, other) = agree("123456", "123 456");
        assert_eq!(one, other);
        assert_ne!(one.once, one.kept);
        assert_ne!(agree("123456", "123456").0.kept, one.kept);
        let (one, other) = agree("123456", "123457");
        assert!(one.once != other.once && one.kept != other.kept);
    }

    #[test]
    fn what_is_no_point_or_comes_from_the_same_side_is_refused() {
        for message in [&[][..], &[0; MESSAGE], &[0x42; MESSAGE], &[0x41; MESSAGE - 1], &[0xff; MESSAGE]] {
            let (ours, _) = Pairing::start(Side::Dialler, &code("123456"));
            assert_eq!(ours.finish(message).err(), Some(Error::Malformed), "{message:?}");
        }
        let (ours, _) = Pairing::start(Side::Dialler, &code("123456"));
        let (_, reflected) = Pairing::start(Side::Dialler, &code("123456"));
        assert_eq!(ours.finish(&reflected).err(), Some(Error::Malformed));
    }

    #[test]
    fn a_code_is_six_digits_however_they_are_grouped_and_hides_itself() {
        for text in ["493027", " 493 027 ", "493-027", "4 9 3 0 2 7"] {
            assert_eq!(code(text), code("493027"));
        }
        for text in ["", "49302", "4930271", "49302x", "４９３０２７"] {
            assert_eq!(Code::parse(text), None, "{text}");
        }
        assert_eq!(code("493027").spaced(), "493 027");
        assert_eq!(format!("{:?}", code("493027")), "Code(hidden)");
        let many: std::collections::BTreeSet<String> = (0..100).map(|_| Code::random().spaced()).collect();
        assert!(many.len() > 95 && many.iter().all(|code| code.len() == DIGITS + 1), "{many:?}");
    }
}
