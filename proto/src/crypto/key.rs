//! Key material: random keys, and the key two people agree on by passphrase.
//!
//! Invariant: key bytes never reach a log (`Debug` hides them) and are overwritten when dropped, as well as safe code can.
//! Where passphrases come from (flag, file, environment) is the application's affair. Argon2id is RFC 9106.

use super::Error;
use zeroize::Zeroizing;

/// Argon2id memory: 19 MiB, OWASP's first recommendation, and little enough for a small board.
const ARGON2_KIB: u32 = 19 * 1024;
/// Argon2id passes that go with that memory (OWASP, password storage).
const ARGON2_PASSES: u32 = 2;
/// Argon2id lanes: one, so that every machine computes the same in the same way.
const ARGON2_LANES: u32 = 1;
/// The salt is fixed and public: both sides must reach one key from the passphrase alone, before they have exchanged a byte. What
/// it costs is that one table of guesses serves against everybody, which a strong passphrase (`--key new`) makes useless.
const SALT: &[u8] = b"eyeline psk v1\0\0";

/// A 256-bit symmetric key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// A fresh key from the operating system's randomness.
    pub fn random() -> Key {
        Key(Zeroizing::new(random()))
    }

    /// A key that came from the other side, sealed.
    pub fn from_bytes(bytes: [u8; 32]) -> Key {
        Key(Zeroizing::new(bytes))
    }

    /// The bytes, to be sealed and sent.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(hidden)")
    }
}

/// Bytes from the operating system's randomness.
///
/// # Panics
/// When the operating system has none to give, which no supported system does after boot: nothing secret could be made then.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// The pre-shared key of a passphrase, for the `psk0` handshake. Made once at start: it takes tens of milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psk(Key);

impl Psk {
    /// Argon2id over the passphrase. White space around it does not count: key files end in a newline.
    pub fn derive(passphrase: &str) -> Result<Psk, Error> {
        let passphrase = passphrase.trim();
        if passphrase.is_empty() {
            return Err(Error::EmptyPassphrase);
        }
        let params = argon2::Params::new(ARGON2_KIB, ARGON2_PASSES, ARGON2_LANES, Some(32)).map_err(|_| Error::Misuse)?;
        let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut key = Key(Zeroizing::new([0; 32]));
        argon2.hash_password_into(passphrase.as_bytes(), SALT, &mut *key.0).map_err(|_| Error::Derivation)?;
        Ok(Psk(key))
    }

    /// One that two machines keep (`pairing`).
    pub fn from_bytes(bytes: [u8; 32]) -> Psk {
        Psk(Key::from_bytes(bytes))
    }

    /// Its bytes, to be kept where nobody else reads them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    #[test]
    fn a_passphrase_always_gives_the_same_key() {
        let psk = Psk::derive("correct horse battery staple").expect("derives");
        assert_eq!(hex(psk.as_bytes()), "e3c05f7657f4fc70b3a89b67b9412e79c2d61f7737e562ae5f5998ced8ff50fb");
    }

    #[test]
    fn white_space_around_a_passphrase_does_not_count_and_within_it_does() {
        let plain = Psk::derive("a b").expect("derives");
        assert_eq!(plain.as_bytes(), Psk::derive(" a b\r\n").expect("derives").as_bytes());
        assert_ne!(plain.as_bytes(), Psk::derive("ab").expect("derives").as_bytes());
        assert_eq!(Psk::derive(" \n").expect_err("empty"), Error::EmptyPassphrase);
    }

    #[test]
    fn keys_are_overwritten_when_they_are_dropped() {
        fn is_overwritten(_: &impl zeroize::ZeroizeOnDrop) {}
        let Key(bytes) = &Key::random();
        is_overwritten(bytes);
        let Psk(Key(bytes)) = &Psk::derive("correct horse battery staple").expect("derives");
        is_overwritten(bytes);
    }

    #[test]
    fn keys_do_not_show_themselves() {
        let key = Key::from_bytes([0xab; 32]);
        let psk = Psk(key.clone());
        for text in [format!("{key:?}"), format!("{psk:?}")] {
            assert!(!text.contains("171") && !text.contains("ab, "), "{text}");
            assert!(text.contains("hidden"), "{text}");
        }
        assert_ne!(Key::random(), Key::random());
    }
}
