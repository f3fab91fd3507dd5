//! A peer that says the id of one that is here already: what it says is kept until it has proved to be that one, or is refused.
//! So is what one says of whom somebody is asked whether it is let in.
//!
//! Capacity: [`MOST_HELD`] bytes of records; [`MOST_PROOFS`] proofs, the newest, of each link.

use crate::crypto::{prove_same, proves_same};
use crate::wire::record::Record;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Of sound and all else that a peer says in five seconds.
const MOST_HELD: usize = 1 << 20;

/// A process has seldom more than two links to another at once.
const MOST_PROOFS: usize = 4;

/// Proofs that are looked at of one link each [`WHILE`]: each costs a hash for every link of that peer, and a record costs
/// nothing.
const MOST_HEARD: u32 = 16;
const WHILE: Duration = Duration::from_secs(5);

/// Of one link. One whose peer nobody else says to be has none of it.
#[derive(Default)]
pub struct Claim {
    /// It is not known yet whether the peer is who it says.
    open: bool,
    /// Somebody is asked whether to let it in, or us there, until then.
    asked: Option<Instant>,
    /// He has said that it is.
    answered: bool,
    /// What the peer said of other links of ours over this one.
    proofs: VecDeque<[u8; 32]>,
    /// How many it said, and from when on they are counted.
    heard: (u32, Option<Instant>),
    /// Handshake hashes of those of our links of which we said over this one that they are ours.
    told: Vec<[u8; 32]>,
    /// Plain records, the oldest first.
    held: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// What names a connection and is known only to its ends: its handshake hash, and the token that was given over it.
pub type End<'a> = (&'a [u8; 32], &'a [u8; 16]);

impl Claim {
    /// The peer is here already, it says.
    pub fn open(&mut self) {
        self.open = true;
    }

    /// Somebody is asked whether it is let in, or at the other side whether we are.
    pub fn ask(&mut self, until: Instant) {
        (self.open, self.asked) = (true, Some(until));
    }

    /// It is let in, as far as whoever was asked is concerned.
    pub fn answered(&mut self) {
        (self.asked, self.answered) = (None, true);
    }

    /// Whether nobody has to be asked any more.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// Until when somebody is asked, if anybody is.
    pub fn asked_until(&self) -> Option<Instant> {
        self.asked
    }

    /// It is who it says, or nobody else is; and it is let in.
    pub fn settle(&mut self) {
        (self.open, self.asked, self.told) = (false, None, Vec::new());
    }

    /// Whether that is not known yet.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// What is to be said over this link, whose handshake hash is `over`, of another one, unless it was: `of.1` is the token that
    /// the peer gave us over that.
    pub fn tell(&mut self, over: &[u8; 32], of: End<'_>) -> Option<Record> {
        if self.told.contains(of.0) {
            return None;
        }
        self.told.push(*of.0);
        Some(Record::Same(prove_same(of.1, over, of.0)))
    }

    /// The peer says that it is at another link of ours; whether that is news, and not too much of it.
    pub fn hear(&mut self, now: Instant, proof: [u8; 32]) -> bool {
        if self.heard.1.is_none_or(|since| now >= since + WHILE) {
            self.heard = (0, Some(now));
        }
        if self.heard.0 >= MOST_HEARD || self.proofs.contains(&proof) {
            return false;
        }
        self.heard.0 += 1;
        if self.proofs.len() >= MOST_PROOFS {
            self.proofs.pop_front();
        }
        self.proofs.push_back(proof);
        true
    }

    /// Whether it has said so of this one, over which we gave the token `of.1`.
    pub fn proves(&self, over: &[u8; 32], of: End<'_>) -> bool {
        self.proofs.iter().any(|proof| proves_same(proof, of.1, over, of.0))
    }

    /// Keeps a record; `false`: there are too many.
    pub fn hold(&mut self, plain: Vec<u8>) -> bool {
        // A short one takes more than its bytes.
        self.bytes += plain.len() + size_of::<Vec<u8>>();
        self.held.push_back(plain);
        self.bytes <= MOST_HELD
    }

    /// The next record that was kept, once the peer is known.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        if self.open {
            return None;
        }
        let next = self.held.pop_front();
        if next.is_none() {
            (self.held, self.bytes) = (VecDeque::new(), 0);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_proof_after_proof_is_listened_to_a_few_times_and_later_again() {
        #[allow(clippy::disallowed_methods)] // one real instant to count from
        let now = Instant::now();
        let mut claim = Claim::default();
        let heard = |claim: &mut Claim, now, from: u8| (from..from + 100).filter(|byte| claim.hear(now, [*byte; 32])).count();
        assert_eq!(heard(&mut claim, now, 0), 16);
        assert_eq!(heard(&mut claim, now + WHILE - Duration::from_millis(1), 100), 0);
        assert!(claim.hear(now + WHILE, [200; 32]));
        assert!(!claim.hear(now + WHILE, [200; 32]), "it was said");
    }
}
