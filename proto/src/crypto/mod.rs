//! Secrecy and authenticity: keys, sealed packets, the replay window and the Noise handshake.
//!
//! This layer knows no message: it turns bytes into sealed bytes and back, and says whether a packet number is new. What the
//! bytes mean is `wire`'s, who may speak with whom is `session`'s. It holds no clock and no socket; the only thing it takes
//! from outside is the operating system's randomness.
//!
//! Two independent channels come out of it. A TCP connection is a Noise session ([`Handshake`], then [`Transport`]). Datagrams
//! are sealed one by one ([`Sealer`], [`Opener`], [`ReplayWindow`]) under fresh random keys, one per direction, that the two
//! sides hand each other inside the Noise session: never derived from the handshake hash, which is public.
//! What goes through a relay to many is sealed with a key that follows from the shared one ([`room`]).

mod handshake;
mod key;
mod pairing;
mod replay;
pub mod room;
mod same;
mod seal;

pub use handshake::{Handshake, Side, Transport};
pub use key::{Key, Psk, random};
pub use pairing::{Agreed, Code, MESSAGE as PAIRING_MESSAGE, Pairing};
pub use replay::ReplayWindow;
pub use same::{prove_same, proves_same};
pub use seal::{OpenError, Opener, Sealer, TAG};

/// Why a key could not be made or a handshake did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An empty passphrase would look like protection and be none.
    #[error("the key is empty: give --key a passphrase, or `--key new` to have one made")]
    EmptyPassphrase,
    /// Argon2 could not get its 19 MiB.
    #[error("the key could not be prepared: 19 MiB of memory are needed for a moment, free some and start again")]
    Derivation,
    /// Both sides have a passphrase, and not the same one; or somebody tampered with the handshake.
    #[error("the two sides have different keys: start both with the same --key")]
    KeysDiffer,
    /// We have a passphrase, the other side has none.
    #[error("the other side has no key but this one does: start the other side with the same --key")]
    PeerHasNoKey,
    /// The other side has a passphrase, we have none.
    #[error("the other side has a key but this one does not: start this side with the same --key")]
    WeHaveNoKey,
    /// What came is no handshake message: another program, or another version.
    #[error("what came is not an Eyeline handshake: check that both sides run the same version")]
    Malformed,
    /// A handshake or transport was used out of turn, or beyond its limits: a defect of the caller.
    #[error("the encrypted connection was used out of turn: please report this")]
    Misuse,
    /// A sealed record did not open: the connection was tampered with or is out of step, and cannot go on.
    #[error("a record of the encrypted connection did not open: the connection is damaged and has to be made anew")]
    DamagedRecord,
}

/// Bytes from hex, for the vectors of this layer's tests.
#[cfg(test)]
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("a hex digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Hex from bytes, for the vectors of this layer's tests.
#[cfg(test)]
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
