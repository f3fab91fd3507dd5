//! The clear beginning of a TCP connection: opening, answer and the Noise handshake in them. What it comes to is a [`Transport`],
//! over which `link` says hello.
//!
//! Holds one connection's state and no bytes: those that came are lent to it, and those to be written are handed back.

use super::fault::Fault;
use super::unreachable::Unreachable;
use crate::crypto::{self, Handshake, Psk, Side, Transport};
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
    /// A dialler waiting for the answer.
    Dialling(Box<Handshake>),
}

/// What a step comes to.
pub enum Step {
    /// More bytes are needed, or more time.
    Hungry(State),
    /// The handshake is done.
    Done {
        /// Seals and opens records from now on.
        transport: Box<Transport>,
        /// The handshake hash: it names this connection at both ends.
        hash: [u8; 32],
        /// To be written in clear before any record: the listener's answer.
        answer: Option<Vec<u8>>,
    },
}

/// An opening or answer, and the handshake message or sentence behind it.
type Preamble = ([u8; preamble::LEN], Vec<u8>);

impl State {
    /// A connection that we dialled, and the opening that is to be written.
    pub fn dial(psk: Option<&Psk>) -> Result<(State, Vec<u8>), Fault> {
        let keyed = psk.is_some();
        // The first message's length goes into the opening, and the opening is the prologue.
        let len = if keyed { 48 } else { 32 };
        let opening = Opening::new(keyed, len).encode();
        let mut handshake = Handshake::new(Side::Dialler, psk, &opening).map_err(broken)?;
        let message = handshake.write().map_err(broken)?;
        debug_assert_eq!(message.len(), usize::from(len));
        Ok((State::Dialling(Box::new(handshake)), [&opening[..], &message].concat()))
    }

    /// Until when the opening is not looked at.
    pub fn held_until(&self) -> Option<Instant> {
        match self {
            State::Held(until) => Some(*until),
            State::Listening | State::Dialling(_) => None,
        }
    }

    /// The most bytes that are worth keeping: nobody says more before the answer than an opening.
    pub fn room(&self) -> usize {
        if self.held_until().is_some() { MAX_OPENING } else { usize::MAX }
    }

    /// One step on with the bytes that came from `remote`; those that it takes are removed.
    pub fn step(self, now: Instant, remote: SocketAddr, psk: Option<&Psk>, inbox: &mut Vec<u8>) -> Result<Step, Fault> {
        match self {
            State::Held(until) if now < until => Ok(Step::Hungry(self)),
            State::Held(_) | State::Listening => answer(psk, inbox),
            State::Dialling(handshake) => hear_answer(handshake, remote, inbox),
        }
    }
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

/// The listener's step.
fn answer(psk: Option<&Psk>, inbox: &mut Vec<u8>) -> Result<Step, Fault> {
    let turned_away = |refusal, sentence: &str| Fault::TurnedAway(refusal, sentence.to_string());
    let strange = || turned_away(Refusal::Other, "This is Eyeline, a camera link; what came is not Eyeline.\n");
    let Some((head, body)) = take_preamble(inbox, strange)? else { return Ok(Step::Hungry(State::Listening)) };
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
    if opening.keyed != psk.is_some() {
        return Err(turned_away(
            Refusal::KeyMissing,
            match opening.keyed {
                true => "the dialling side has a key and the waiting side has none: start both with the same --key",
                false => "the waiting side wants a key: start the dialling side with the same --key",
            },
        ));
    }
    let mut handshake = Handshake::new(Side::Listener, psk, &head).map_err(broken)?;
    match handshake.read(&body) {
        Ok(()) => {}
        Err(error @ crypto::Error::KeysDiffer) => return Err(turned_away(Refusal::KeyWrong, &error.to_string())),
        Err(error) => return Err(broken(error)),
    }
    let message = handshake.write().map_err(broken)?;
    let answer = Answer { version: VERSION, refusal: None, len: message.len() as u16 };
    done(handshake, Some([&answer.encode()[..], &message].concat()))
}

/// The dialler's step.
fn hear_answer(mut handshake: Box<Handshake>, from: SocketAddr, inbox: &mut Vec<u8>) -> Result<Step, Fault> {
    let strange = || Fault::Refused(Unreachable::NotEyeline(from));
    let Some((head, body)) = take_preamble(inbox, strange)? else { return Ok(Step::Hungry(State::Dialling(handshake))) };
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
    handshake.read(&body).map_err(broken)?;
    done(*handshake, None)
}

fn done(handshake: Handshake, answer: Option<Vec<u8>>) -> Result<Step, Fault> {
    let hash = handshake.hash();
    let transport = Box::new(handshake.into_transport().map_err(broken)?);
    Ok(Step::Done { transport, hash, answer })
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
