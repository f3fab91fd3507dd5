//! Which sender is shown, where there are several: the one that sends.
//!
//! **Problem.** A receiver shows one sender and tells the next that it is busy. A hello costs nothing: whoever says one and then
//! sends nothing, by malice or because its camera hangs, would hold the receiver for ever.
//!
//! **Choice.** A sender holds its place by what it sends: a slice that is one, or a block of sound (`proof.rs`). Until there is
//! one, others who say hello are not told that we are busy: they *wait* ([`Waiting`]), and who sends first is taken. Once
//! somebody has proved to send, those who wait are told that we are busy. A sender that proved it and then fell silent for
//! [`MUTE`](super::proof::MUTE) may be taken over, too.
//!
//! **Rejected.** Taking the newcomer's word at once: two honest senders that start together would throw each other out. A time
//! limit alone: the newcomer would be told "busy" before it is over, and go.
//!
//! Capacity: the peers there may be (`admission`); of one that waits only packet numbers and what it says of its track are kept.

use super::source::Connection;
use crate::session::link::LinkId;
use crate::wire::record::Track;
use std::collections::BTreeMap;

/// A sender that waits for its place.
pub(super) struct Waiter {
    pub connection: Connection,
    pub described: Option<Track>,
}

/// See the module text.
#[derive(Default)]
pub(super) struct Waiting(BTreeMap<LinkId, Waiter>);

impl Waiting {
    pub fn add(&mut self, waiter: Waiter) {
        self.0.insert(waiter.connection.link, waiter);
    }

    pub fn get(&mut self, link: LinkId) -> Option<&mut Waiter> {
        self.0.get_mut(&link)
    }

    pub fn remove(&mut self, link: LinkId) -> Option<Waiter> {
        self.0.remove(&link)
    }

    /// The one that came first.
    pub fn first(&self) -> Option<LinkId> {
        self.0.keys().next().copied()
    }

    /// All of them, who wait no longer.
    pub fn take(&mut self) -> impl Iterator<Item = LinkId> {
        std::mem::take(&mut self.0).into_keys()
    }
}
