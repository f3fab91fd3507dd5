//! Whoever dials is let in once somebody says so: it rings until then, at both ends.
//!
//! **Problem.** Who is called at home does not want to be seen the moment somebody dials. But a dialler that is up would send its
//! camera to a side that drops it, and one that hears nothing would take the link for dead and dial another.
//!
//! **Choice.** The hello of a waiting side says that it asks. Both ends then keep the link *open* as one whose peer has not
//! proved who it is (`claims`): its role is not told of it, addresses are proved, and what is said is kept, which is nothing.
//! Where it is let in the waiting side says [`Record::Taken`]; where it is not, a goodbye, after which nobody dials by itself
//! again. Who comes back by its token is not asked about. A program that does not know of this sends at once, and what it sends
//! waits, up to a megabyte.
//!
//! Who rings holds the place of a stranger (`admission`): there are few, fewer of one address, and the oldest gives way. Who was
//! declined does not ring again for [`QUIET`], whatever he says his name is, as long as he comes from there.
//!
//! Capacity: [`MOST_DECLINED`] addresses; of more, the first is forgotten.

use super::super::addresses::network;
use super::super::link::{Link, LinkId};
use super::super::unreachable::Unreachable;
use super::{Endpoint, Notice};
use crate::crypto::Side;
use crate::wire::record::{Reason, Record};
use std::time::{Duration, Instant};

/// So long it rings: who has not come to the machine by then is not there.
pub const RINGS: Duration = Duration::from_secs(60);

/// An address that was declined does not ring for so long.
pub const QUIET: Duration = Duration::from_secs(60);

/// Addresses that were declined lately.
const MOST_DECLINED: usize = 64;

/// The dialler waits longer, to be told the end by the other side.
const LONGER: Duration = Duration::from_secs(5);

impl Endpoint {
    /// Whether somebody is asked first, here or there.
    pub(super) fn rings(&mut self, now: Instant, id: LinkId) -> bool {
        let host = self.dialer.of(id);
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.claim.is_answered()) else { return false };
        let from = network(link.remote.ip());
        match link.side {
            Side::Listener if self.me.asks => {
                self.declined.retain(|(_, until)| now < *until);
                link.claim.ask(now + RINGS);
                if self.declined.iter().any(|(address, _)| *address == from) {
                    link.claim.answered();
                    self.leave(id, Reason::Declined, "the call was declined a moment ago");
                } else {
                    self.notices.push_back(Notice::Rings(id));
                }
                true
            }
            Side::Dialler if link.hello.as_ref().is_some_and(|hello| hello.asks()) => {
                link.claim.ask(now + RINGS + LONGER);
                let others = host.map(|host| self.dialer.rings(host, id)).unwrap_or_default();
                others.into_iter().for_each(|other| self.remove(other));
                self.notices.extend(host.map(|host| Notice::Calling(host, id)));
                true
            }
            _ => false,
        }
    }

    /// Whether it rings for this link.
    pub(super) fn is_asked(&self, id: LinkId) -> bool {
        self.links.get(&id).is_some_and(|link| link.claim.asked_until().is_some())
    }

    /// Somebody here has answered.
    pub fn answer(&mut self, now: Instant, id: LinkId, taken: bool) {
        if !self.is_asked(id) || self.links.get(&id).is_some_and(|link| link.side == Side::Dialler) {
            return;
        }
        if taken {
            self.notices.push_back(Notice::RingOver(id));
            self.is_let_in(now, id);
            return;
        }
        if let Some(from) = self.links.get(&id).map(|link| network(link.remote.ip())) {
            if self.declined.len() >= MOST_DECLINED {
                self.declined.remove(0);
            }
            self.declined.push((from, now + QUIET));
        }
        self.leave(id, Reason::Declined, "the call was declined");
    }

    /// Nobody is asked any more. Another link of its process may have come up meanwhile, as where both dial each other: that is
    /// looked at as of every link (`claims`).
    fn is_let_in(&mut self, now: Instant, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.claim.answered();
            // It has the time of a handshake to prove that it is the same.
            link.began = link.began.max(now);
        }
        self.judge(now, id);
    }

    /// A link is up: nobody is to be asked about others that are of the same process, if what they say is true.
    pub(super) fn rings_no_more(&mut self, now: Instant, up: LinkId) {
        let Some(process) = self.hello(up).map(|hello| hello.id) else { return };
        let same = |(id, link): &(&LinkId, &Link)| {
            **id != up && link.claim.asked_until().is_some() && link.hello.as_ref().is_some_and(|hello| hello.id == process)
        };
        let ringing: Vec<(LinkId, Side)> = self.links.iter().filter(same).map(|(id, link)| (*id, link.side)).collect();
        for (id, side) in ringing {
            if side == Side::Listener {
                self.notices.push_back(Notice::RingOver(id));
            }
            self.is_let_in(now, id);
        }
    }

    /// Nobody has, for too long.
    pub(super) fn look_at_ring(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (side, remote) = (link.side, link.remote);
        if link.claim.asked_until().is_none_or(|until| now < until) {
            return;
        }
        let host = self.dialer.of(id);
        match (side, host) {
            (Side::Dialler, Some(host)) => {
                self.leave(id, Reason::Quit, "nobody answered");
                self.refused(now, host, Unreachable::Silent(remote), false);
            }
            _ => {
                self.leave(id, Reason::Declined, "nobody answered");
            }
        }
    }

    /// The other side was asked, and let us in, or was not asked.
    pub(super) fn told_taken(&mut self, now: Instant, id: LinkId) {
        if self.is_asked(id) && self.links.get(&id).is_some_and(|link| link.side == Side::Dialler) {
            self.is_let_in(now, id);
        }
    }

    /// Whoever dialled us may go on: also one that was not asked about, for it may think that it is.
    pub(super) fn tell_taken(&mut self, id: LinkId) {
        if self.me.asks && self.links.get(&id).is_some_and(|link| link.side == Side::Listener) {
            self.send(id, &Record::Taken);
        }
    }
}
