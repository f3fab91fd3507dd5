//! The clear beginning of a TCP connection: opening, answer and the Noise handshake in them. What it comes to is a [`Transport`],
//! over which `link` says hello. Where a code was typed, an opening and an answer that make a key of it come first.
//!
//! Holds one connection's state and no bytes: those that came are lent to it, and those to be written are handed back.

use super::fault::Fault;
use super::keyring::{Dial, Keyring, Proof};
use super::unreachable::Unreachable;
use crate::crypto::{self, Agreed, Handshake, PAIRING_MESSAGE, Pairing, Psk, Side, Transport};
use crate::wire::VERSION;
use crate::wire::preamble::{self, Answer, Opening, Refusal};
use crate::wire::text::printable;
use std::net::SocketAddr;
use std::time::Instant;

/// An opening and the longest handshake message.
const MAX_OPENING: usize = preamble::LEN + preamble::MAX_BODY;

/// How far it is.
pub enum State {
    /// A listener that does not look at the opening before this moment (`guesses`).
    Held(Instant),
    /// A listener waiting for the opening.
    Listening,
    /// A listener waiting for the opening of one who was told the same key.
    Expecting(Box<Psk>),
    /// A listener that made keys of a code, waiting for the opening that shows whether the dialler has the same.
    Proving(Box<Agreed>),
    /// A dialler waiting for the other half of a key.
    Pairing(Box<Pairing>),
    /// A dialler waiting for the answer, which proves who it is of.
    Dialling(Box<Handshake>, Proof),
}

/// What a step comes to.
pub enum Step {
    /// More bytes are needed, or more time.
    Hungry(State),
    /// This is to be written in clear, and it goes on.
    Said(State, Vec<u8>),
    /// The handshake is done.
    Done {
        /// Seals and opens records from now on.
        transport: Box<Transport>,
        /// The handshake hash: it names this connection at both ends.
        hash: [u8; 32],
        /// How it is known who is at the other end.
        proof: Proof,
        /// To be written in clear before any record: the listener's answer.
        answer: Option<Vec<u8>>,
    },
}

/// An opening with its bytes, and the message behind it.
type Opened = (Opening, [u8; preamble::LEN], Vec<u8>);

/// An opening or answer, and the handshake message or sentence behind it.
type Preamble = ([u8; preamble::LEN], Vec<u8>);

impl State {
    /// A connection that we dialled, and the opening that is to be written.
    pub fn dial(dial: Dial) -> Result<(State, Vec<u8>), Fault> {
        match dial {
            Dial::Plain => open(None, Proof::Nothing),
            Dial::Keyed(psk, proof) => open(Some(&psk), proof),
            Dial::Pairing(code) => {
                let (ours, message) = Pairing::start(Side::Dialler, &code);
                let opening = Opening::pairing(message.len() as u16).encode();
                Ok((State::Pairing(Box::new(ours)), [&opening[..], &message].concat()))
            }
        }
    }

    /// Until when the opening is not looked at.
    pub fn held_until(&self) -> Option<Instant> {
        match self {
            State::Held(until) => Some(*until),
            _ => None,
        }
    }

    /// The most bytes that are worth keeping: nobody says more before the answer than an opening.
    pub fn room(&self) -> usize {
        if self.held_until().is_some() { MAX_OPENING } else { usize::MAX }
    }

    /// One step on with the bytes that came from `remote`, which needs no key where it is `near`; those that it takes are
    /// removed.
    pub fn step(
        self,
        now: Instant,
        (remote, near): (SocketAddr, bool),
        keys: &mut Keyring,
        inbox: &mut Vec<u8>,
    ) -> Result<Step, Fault> {
        match self {
            State::Held(until) if now < until => Ok(Step::Hungry(self)),
            State::Held(_) | State::Listening => {
                let Some((opening, head, body)) = take_opening(inbox)? else { return Ok(Step::Hungry(State::Listening)) };
                if opening.pairs { pair(now, keys, &body) } else { answer(near, keys, opening, &head, &body) }
            }
            State::Expecting(psk) => {
                let Some((_, head, body)) = take_opening(inbox)? else { return Ok(Step::Hungry(State::Expecting(psk))) };
                shake(Handshake::new(Side::Listener, Some(&psk), &head).map_err(broken)?, &body, Proof::Nothing)
            }
            State::Proving(agreed) => prove(agreed, inbox),
            State::Pairing(ours) => hear_half(ours, remote, inbox),
            State::Dialling(handshake, proof) => hear_answer(handshake, proof, remote, inbox),
        }
    }
}

/// The opening of a handshake that we begin.
fn open(psk: Option<&Psk>, proof: Proof) -> Result<(State, Vec<u8>), Fault> {
    let keyed = psk.is_some();
    // The first message's length goes into the opening, and the opening is the prologue.
    let len = if keyed { 48 } else { 32 };
    let opening = Opening::new(keyed, len).encode();
    let mut handshake = Handshake::new(Side::Dialler, psk, &opening).map_err(broken)?;
    let message = handshake.write().map_err(broken)?;
    debug_assert_eq!(message.len(), usize::from(len));
    Ok((State::Dialling(Box::new(handshake), proof), [&opening[..], &message].concat()))
}

/// Opening or answer, with its body, once whole; `strange`: what is to be said as soon as the first bytes are not ours.
fn take_preamble(inbox: &mut Vec<u8>, strange: impl FnOnce() -> Fault) -> Result<Option<Preamble>, Fault> {
    let seen = inbox.len().min(preamble::MAGIC.len());
    if inbox[..seen] != preamble::MAGIC[..seen] {
        return Err(strange());
    }
    let Some(head) = inbox.first_chunk::<{ preamble::LEN }>().copied() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([head[6], head[7]]));
    if len > preamble::MAX_BODY {
        return Err(Fault::Protocol(format!("a handshake message of {len} bytes")));
    }
    if inbox.len() < preamble::LEN + len {
        return Ok(None);
    }
    let body = inbox[preamble::LEN..preamble::LEN + len].to_vec();
    inbox.drain(..preamble::LEN + len);
    Ok(Some((head, body)))
}

fn turned_away(refusal: Refusal, sentence: &str) -> Fault {
    Fault::TurnedAway(refusal, sentence.to_string())
}

/// A dialler's opening of our version, with its bytes and its message, once whole.
fn take_opening(inbox: &mut Vec<u8>) -> Result<Option<Opened>, Fault> {
    let strange = || turned_away(Refusal::Other, "This is Eyeline, a camera link; what came is not Eyeline.\n");
    let Some((head, body)) = take_preamble(inbox, strange)? else { return Ok(None) };
    let opening = Opening::decode(&head).map_err(|error| Fault::Protocol(error.to_string()))?;
    if opening.version != VERSION {
        let older = if opening.version < VERSION { "dialling" } else { "waiting" };
        let sentence = format!(
            "the dialling side speaks {} and the waiting side {}: update the {older} side",
            preamble::spoken(opening.version),
            preamble::spoken(VERSION)
        );
        return Err(turned_away(Refusal::Version, &sentence));
    }
    Ok(Some((opening, head, body)))
}

/// The listener's step where the dialler has a key, or none.
fn answer(near: bool, keys: &Keyring, opening: Opening, head: &[u8], body: &[u8]) -> Result<Step, Fault> {
    if !opening.keyed {
        if !keys.lets_in_unknown() {
            return Err(turned_away(Refusal::KeyMissing, &unlike(keys, false)));
        }
        if !near {
            return Err(turned_away(Refusal::Address, KEYLESS));
        }
        let handshake = Handshake::new(Side::Listener, None, head).map_err(broken)?;
        return shake(handshake, body, Proof::Nothing);
    }
    let mut refusal = Refusal::KeyMissing;
    for (key, proof) in keys.candidates() {
        let handshake = Handshake::new(Side::Listener, Some(key), head).map_err(broken)?;
        match shake(handshake, body, proof) {
            Err(Fault::TurnedAway(Refusal::KeyWrong, _)) => refusal = Refusal::KeyWrong,
            outcome => return outcome,
        }
    }
    Err(turned_away(refusal, &unlike(keys, true)))
}

/// What a dialler is told that has none of our keys; `keyed`: it has another. A key that nobody has is no advice.
fn unlike(keys: &Keyring, keyed: bool) -> String {
    let (what, cure) = match (keyed, keys.has_shared()) {
        (false, true) => ("the waiting side wants a key", "start the dialling side with the same --key"),
        (false, false) => return format!("the waiting side lets in only machines that it was paired with: {PAIR}"),
        (true, true) => return crypto::Error::KeysDiffer.to_string(),
        (true, false) if keys.candidates().next().is_none() => {
            ("the dialling side has a key and the waiting side has none", "start both with the same --key")
        }
        (true, false) => ("the dialling side has a key that the waiting side does not know", "start both with the same --key"),
    };
    format!("{what}: {cure}; or {PAIR}")
}

/// What makes two machines know each other.
const PAIR: &str = "pair the two: start the waiting side with --pair, then the dialling side with --pair, and type there the code \
     that the first shows";

/// What is told to those who have no key where one is needed.
pub const KEYLESS: &str =
    "without a key only private addresses are let in: start both sides with the same --key, or pair them with --pair";

/// The listener's step where the dialler has a code.
fn pair(now: Instant, keys: &mut Keyring, message: &[u8]) -> Result<Step, Fault> {
    let (agreed, ours) = keys.pair(now, message).map_err(|refused| turned_away(refused.refusal(), &refused.to_string()))?;
    let answer = Answer { version: VERSION, refusal: None, len: ours.len() as u16 };
    Ok(Step::Said(State::Proving(Box::new(agreed)), [&answer.encode()[..], &ours].concat()))
}

/// The listener's step once a key was made of the code.
fn prove(agreed: Box<Agreed>, inbox: &mut Vec<u8>) -> Result<Step, Fault> {
    let Some((opening, head, body)) = take_opening(inbox)? else { return Ok(Step::Hungry(State::Proving(agreed))) };
    if !opening.keyed {
        return Err(Fault::Protocol("a code, and then no key".to_string()));
    }
    let handshake = Handshake::new(Side::Listener, Some(&agreed.once), &head).map_err(broken)?;
    shake(handshake, &body, Proof::Pairing(agreed.kept)).map_err(|fault| match fault {
        Fault::TurnedAway(Refusal::KeyWrong, _) => {
            turned_away(Refusal::KeyWrong, "the code is wrong: type the one that the waiting side shows now")
        }
        fault => fault,
    })
}

/// The dialler's message is read, and ours is the answer.
fn shake(mut handshake: Handshake, message: &[u8], proof: Proof) -> Result<Step, Fault> {
    match handshake.read(message) {
        Ok(()) => {}
        Err(error @ crypto::Error::KeysDiffer) => return Err(turned_away(Refusal::KeyWrong, &error.to_string())),
        Err(error) => return Err(broken(error)),
    }
    let message = handshake.write().map_err(broken)?;
    let answer = Answer { version: VERSION, refusal: None, len: message.len() as u16 };
    done(handshake, proof, Some([&answer.encode()[..], &message].concat()))
}

/// An answer that does not refuse us, once whole: what is behind it.
fn take_answer(from: SocketAddr, inbox: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Fault> {
    let strange = || Fault::Refused(Unreachable::NotEyeline(from));
    let Some((head, body)) = take_preamble(inbox, strange)? else { return Ok(None) };
    let answer = Answer::decode(&head).map_err(|error| Fault::Protocol(error.to_string()))?;
    // Another version's reasons are its own; where it goes on, what follows is another handshake.
    if answer.version != VERSION {
        return Err(Fault::Refused(Unreachable::Version { from, version: answer.version }));
    }
    if let Some(refusal) = answer.refusal {
        let sentence = printable(&String::from_utf8_lossy(&body));
        return Err(Fault::Refused(match refusal {
            Refusal::Full => Unreachable::Full { from, sentence },
            refusal => Unreachable::TurnedAway { from, refusal, sentence },
        }));
    }
    Ok(Some(body))
}

/// The dialler's step with a code: the key that is made of it is tried at once.
fn hear_half(ours: Box<Pairing>, from: SocketAddr, inbox: &mut Vec<u8>) -> Result<Step, Fault> {
    let Some(message) = take_answer(from, inbox)? else { return Ok(Step::Hungry(State::Pairing(ours))) };
    if message.len() != PAIRING_MESSAGE {
        return Err(Fault::Protocol(format!("a pairing message of {} bytes", message.len())));
    }
    let agreed = ours.finish(&message).map_err(broken)?;
    let (state, opening) = open(Some(&agreed.once), Proof::Pairing(agreed.kept))?;
    Ok(Step::Said(state, opening))
}

/// The dialler's last step.
fn hear_answer(mut handshake: Box<Handshake>, proof: Proof, from: SocketAddr, inbox: &mut Vec<u8>) -> Result<Step, Fault> {
    let Some(message) = take_answer(from, inbox)? else { return Ok(Step::Hungry(State::Dialling(handshake, proof))) };
    handshake.read(&message).map_err(broken)?;
    done(*handshake, proof, None)
}

fn done(handshake: Handshake, proof: Proof, answer: Option<Vec<u8>>) -> Result<Step, Fault> {
    let hash = handshake.hash();
    let transport = Box::new(handshake.into_transport().map_err(broken)?);
    Ok(Step::Done { transport, hash, proof, answer })
}

/// A sentence in clear for somebody turned away, cut to what an answer holds.
pub fn refuse(refusal: Refusal, sentence: &str) -> Vec<u8> {
    let answer = Answer { version: VERSION, refusal: Some(refusal), len: sentence.len().min(preamble::MAX_BODY) as u16 };
    let sentence = &sentence.as_bytes()[..usize::from(answer.len)];
    [&answer.encode()[..], sentence].concat()
}

fn broken(error: crypto::Error) -> Fault {
    Fault::Protocol(error.to_string())
}
