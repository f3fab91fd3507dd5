//! What pairing takes of SPAKE2, with the arithmetic of a toy: one password gives both sides one key, and nothing is secret.
//!
//! The real one wants the real curve, whose place another toy has here (`curve25519-dalek`). What a stranger may send in its
//! place is tried against the real one in `proto/tests/sim/pairing.rs`.

use std::marker::PhantomData;

pub struct Ed25519Group;

pub struct Password(Vec<u8>);

impl Password {
    pub fn new(password: impl AsRef<[u8]>) -> Password {
        Password(password.as_ref().to_vec())
    }
}

pub struct Identity;

impl Identity {
    pub fn new(_: &[u8]) -> Identity {
        Identity
    }
}

pub struct Spake2<G> {
    password: [u8; 32],
    theirs: u8,
    group: PhantomData<G>,
}

/// The message is of another length, or of the same side.
pub struct Error;

impl<G> Spake2<G> {
    pub fn start_a(password: &Password, _: &Identity, _: &Identity) -> (Spake2<G>, Vec<u8>) {
        Self::start(password, [0x41, 0x42])
    }

    pub fn start_b(password: &Password, _: &Identity, _: &Identity) -> (Spake2<G>, Vec<u8>) {
        Self::start(password, [0x42, 0x41])
    }

    fn start(password: &Password, [ours, theirs]: [u8; 2]) -> (Spake2<G>, Vec<u8>) {
        let mut key = [0; 32];
        key.iter_mut().zip(&password.0).for_each(|(key, byte)| *key = *byte);
        (Spake2 { password: key, theirs, group: PhantomData }, [&[ours][..], &[7; 32]].concat())
    }

    pub fn finish(self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match message {
            [side, point @ ..] if *side == self.theirs && point.len() == 32 => Ok(self.password.to_vec()),
            _ => Err(Error),
        }
    }
}
