//! Which senders have a place, where there are more of them: those that send.
//!
//! **Problem.** A receiver has places for so many senders and tells the next that there is none. A hello costs nothing: whoever
//! says one and then sends nothing, by malice or because its camera hangs, would hold its place for ever.
//!
//! **Choice.** A sender holds its place by what it sends: a slice that is one, or a block of sound (`proof.rs`). Where all places
//! are taken and not all of those who have them sent one, others who say hello are not turned away: they *wait* ([`Waiting`]),
//! and who sends first is taken. Once all have proved to send, those who wait are told that there is no place. A sender that
//! proved it and then fell silent for five seconds may be taken over, too; where it wants something of us, as at a meeting, it
//! keeps its connection by which it gets that, and waits for a place for what it may send.
//!
//! **Rejected.** Taking the newcomer's word at once: two honest senders that start together would throw each other out. A time
//! limit alone: the newcomer would be told "busy" before it is over, and go.
//!
//! Capacity: the peers there may be (`admission`); of one that waits only packet numbers and its format are kept.

use super::inbound::{Described, Feedback};
use crate::session::PeerId;
use crate::session::link::LinkId;
use crate::wire::record::Reason;
use std::collections::BTreeMap;
use std::time::Instant;

/// A sender that waits for its place.
pub(super) struct Waiter {
    pub peer: PeerId,
    pub feedback: Feedback,
    pub described: Described,
    /// It had a place, and what we have is wanted there: its connection is not for its sending alone.
    pub stays: bool,
    /// When one that stays is told next how what it sends comes: it would send at the rate of a path of long ago else.
    pub next_report: Instant,
}

/// What one is told where so many senders have all places there are, and whether that passes.
pub(super) fn no_place(senders: usize) -> (Reason, String) {
    match senders {
        1 => {
            let sentence = "already shows another sender: stop that one, or start another recv there with another --port";
            (Reason::Busy, sentence.to_string())
        }
        most => (Reason::Full, format!("it already receives from {most} senders, the most it takes")),
    }
}

/// What is said on our side of one that is told so.
pub(super) fn turned_away(senders: usize) -> String {
    match senders {
        1 => "there is a place for one sender here, and another has it".to_string(),
        most => format!("all {most} places for senders are taken"),
    }
}

#[derive(Default)]
pub(super) struct Waiting(BTreeMap<LinkId, Waiter>);

impl Waiting {
    pub fn add(&mut self, waiter: Waiter) {
        self.0.insert(waiter.feedback.link, waiter);
    }

    pub fn get(&mut self, link: LinkId) -> Option<&mut Waiter> {
        self.0.get_mut(&link)
    }

    pub fn remove(&mut self, link: LinkId) -> Option<Waiter> {
        self.0.remove(&link)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that stay.
    pub fn staying(&mut self) -> impl Iterator<Item = &mut Waiter> {
        self.0.values_mut().filter(|waiter| waiter.stays)
    }

    /// When one of those is told next.
    pub fn next_report(&self) -> Option<Instant> {
        self.0.values().filter(|waiter| waiter.stays).map(|waiter| waiter.next_report).min()
    }

    /// The one that came first.
    pub fn first(&self) -> Option<LinkId> {
        self.0.keys().next().copied()
    }

    /// Those who wait no longer where all places are needed.
    pub fn take_hopeless(&mut self) -> Vec<LinkId> {
        let (stay, hopeless) = std::mem::take(&mut self.0).into_iter().partition(|(_, waiter)| waiter.stays);
        self.0 = stay;
        hopeless.into_keys().collect()
    }
}
