//! Whether the peer of a link is there: what its TCP connection says, and what its datagrams say.
//!
//! The two fail apart. A cable that was out for a minute lets datagrams pass at once and TCP only when its retransmission timer
//! fires; a firewall may block UDP alone; a process that was killed is silent on both. So each has an enum of its own:
//!
//! * [`Liveness`] is the link's, and follows its TCP connection. What becomes of the link, who may have its place, and whether
//!   the host is dialled again is asked of it.
//! * [`Datagrams`] is the path's, and says when datagrams came. It changes nothing of the link by itself: the questions that need
//!   both take it as a [`LastDatagram`].
//!
//! ```text
//!  event                    Connected   Doubted     Suspect     Detached    Retired
//!  bytes came               Connected   Connected   Connected
//!  one of us moved          Doubted
//!  nothing came in time     Suspect     Suspect
//!  a silence ended, no
//!  bytes came since         Suspect     Suspect
//!  the connection closed    Detached    Detached    Detached                Retired
//!  another took its place   Retired     Retired     Retired     Retired     Retired
//! ```
//!
//! There is no state for a link that is gone: `endpoint` forgets it. One whose hello did not come yet is `Connected` and nothing
//! else; how far its handshake is says `handshake`. Whether UDP is cut while TCP goes on is `udp_watch`' matter.

use super::SocketId;
use std::time::{Duration, Instant};

/// Three probes and a little: a peer unheard for this long may be behind a connection that hangs.
pub const SILENT: Duration = Duration::from_millis(750);

/// A peer unheard for this long is *quiet*: it gets no media, only pings.
pub const QUIET: Duration = Duration::from_secs(3);

/// A peer that connected to us has this long after its hello to show any sign of life: a datagram, or a record where UDP does not
/// pass, which each side tells the other after half of that time (`udp_watch`).
pub const FIRST_SIGN: Duration = Duration::from_secs(3);

/// How long keys live without a word from the peer: a pulled cable, a suspended laptop.
pub const KEY_LIFE: Duration = Duration::from_secs(15 * 60);

/// One of us has changed its address: TCP gets this long to show that it came along, a probe's time.
const DOUBT: Duration = Duration::from_millis(250);

/// What a replaced link may still take: more than any round trip.
const RETIRED: Duration = Duration::from_secs(1);

/// A peer that is there is heard as often: it pings.
const HEARD_WITHIN: Duration = Duration::from_millis(300);

/// What lay in queues while somebody stood still has passed so long after.
const SETTLES: Duration = Duration::from_millis(300);

/// What is known of a link's TCP connection. See the module text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// The connection is there. Bytes came over it last, or it was made, at `heard`.
    Connected {
        socket: SocketId,
        /// When bytes came last.
        heard: Instant,
    },
    /// One of us is at another address since `since`, and nothing came over the connection from then on.
    Doubted {
        socket: SocketId,
        /// When bytes came last.
        heard: Instant,
        /// When it was noticed first.
        since: Instant,
    },
    /// The connection may hang: a dialler connects anew beside it. Bytes that come after all clear it.
    Suspect {
        socket: SocketId,
        /// When bytes came last.
        heard: Instant,
    },
    /// The connection broke without a goodbye: the link lives by its keys, as long as datagrams come and [`KEY_LIFE`] more.
    Detached,
    /// Another link of the same peer took its place: until `until` it takes what was on its way.
    Retired {
        /// When it is forgotten.
        until: Instant,
        /// The connection, where there is one still.
        socket: Option<SocketId>,
    },
}

impl Liveness {
    /// A connection was made.
    pub fn new(now: Instant, socket: SocketId) -> Self {
        Liveness::Connected { socket, heard: now }
    }

    /// Bytes came over the connection: it does not hang, and whoever moved took it along.
    pub fn bytes_came(&mut self, now: Instant) {
        match *self {
            Liveness::Connected { socket, .. } | Liveness::Doubted { socket, .. } | Liveness::Suspect { socket, .. } => {
                *self = Liveness::Connected { socket, heard: now };
            }
            Liveness::Detached | Liveness::Retired { .. } => {}
        }
    }

    /// One of us was found at another address.
    pub fn moved(&mut self, now: Instant) {
        if let Liveness::Connected { socket, heard } = *self {
            *self = Liveness::Doubted { socket, heard, since: now };
        }
    }

    /// Datagrams come again, after none since `last`. Whether the connection is of no use: where it gave nothing since then it
    /// is suspect from now on.
    pub fn silence_ended(&mut self, last: Instant) -> bool {
        match *self {
            Liveness::Connected { heard, .. } | Liveness::Doubted { heard, .. } if heard > last => false,
            Liveness::Connected { .. } | Liveness::Doubted { .. } => {
                self.hangs();
                true
            }
            Liveness::Suspect { .. } | Liveness::Detached => true,
            Liveness::Retired { .. } => false,
        }
    }

    /// [`Liveness::silence_deadline`] has passed: neither bytes nor datagrams came for long enough.
    pub fn hangs(&mut self) {
        if let Liveness::Connected { socket, heard } | Liveness::Doubted { socket, heard, .. } = *self {
            *self = Liveness::Suspect { socket, heard };
        }
    }

    /// The connection is closed, by the other side or the network.
    pub fn closed(&mut self) {
        *self = match *self {
            Liveness::Retired { until, .. } => Liveness::Retired { until, socket: None },
            _ => Liveness::Detached,
        };
    }

    /// Another link took its place.
    pub fn retire(&mut self, now: Instant) {
        *self = Liveness::Retired { until: now + RETIRED, socket: self.socket() };
    }

    /// The TCP connection, while there is one.
    pub fn socket(&self) -> Option<SocketId> {
        match *self {
            Liveness::Connected { socket, .. } | Liveness::Doubted { socket, .. } | Liveness::Suspect { socket, .. } => {
                Some(socket)
            }
            Liveness::Detached => None,
            Liveness::Retired { socket, .. } => socket,
        }
    }

    /// When it is forgotten, where another link took its place.
    pub fn retired_until(&self) -> Option<Instant> {
        match *self {
            Liveness::Retired { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Whether another link took its place.
    pub fn is_retired(&self) -> bool {
        self.retired_until().is_some()
    }

    /// Whether its peer can only be heard by datagrams, until it comes back: the connection broke.
    pub fn is_detached(&self) -> bool {
        matches!(self, Liveness::Detached)
    }

    /// Whether its peer may be about to come back: the connection broke or hangs.
    pub fn is_lost(&self) -> bool {
        matches!(self, Liveness::Suspect { .. } | Liveness::Detached)
    }

    /// When the connection is suspect, if nothing more comes.
    pub fn silence_deadline(&self, datagram: LastDatagram) -> Option<Instant> {
        match *self {
            Liveness::Connected { heard, .. } => Some(datagram.or_hello().max(heard) + SILENT),
            Liveness::Doubted { heard, since, .. } => Some((datagram.or_hello().max(heard) + SILENT).min(since + DOUBT)),
            Liveness::Suspect { .. } | Liveness::Detached | Liveness::Retired { .. } => None,
        }
    }

    /// From when on the link does not live any more, if nothing more comes: its connection is of no use, or datagrams came and
    /// are silent for so long.
    pub fn dead_from(&self, datagram: LastDatagram, silence: Duration) -> Option<Instant> {
        match self {
            Liveness::Connected { .. } | Liveness::Doubted { .. } => datagram.last.map(|last| last + silence),
            Liveness::Suspect { .. } | Liveness::Detached | Liveness::Retired { .. } => Some(datagram.began),
        }
    }

    /// Whether nothing at all is heard of its peer.
    pub fn is_silent(&self, now: Instant, datagram: LastDatagram) -> bool {
        self.heard(datagram).is_none_or(|heard| now >= heard + SILENT)
    }

    /// Whether somebody else may have its peer's place: its connection broke or hangs, or nothing is heard of it; `restarts`: for
    /// a newcomer from its own machine it is believed sooner that it started again. A retired link's peer has come back.
    pub fn is_gone(&self, now: Instant, datagram: LastDatagram, restarts: bool) -> bool {
        match self {
            Liveness::Connected { .. } | Liveness::Doubted { .. } => {
                let quiet = datagram.last.is_some() && self.heard(datagram).is_some_and(|heard| now >= heard + QUIET);
                quiet || (restarts && self.is_silent(now, datagram))
            }
            Liveness::Suspect { .. } | Liveness::Detached => true,
            Liveness::Retired { .. } => false,
        }
    }

    /// When its keys have grown old. While the connection is there and UDP never passed (`blocked`), nothing says that they do.
    pub fn keys_end(&self, datagram: LastDatagram, blocked: bool) -> Option<Instant> {
        let end = datagram.or_hello() + KEY_LIFE;
        match self {
            Liveness::Connected { .. } | Liveness::Doubted { .. } | Liveness::Suspect { .. } => (!blocked).then_some(end),
            Liveness::Detached => Some(end),
            Liveness::Retired { .. } => None,
        }
    }

    /// When anything came last, also where UDP is blocked and all is told over TCP; `None` without a connection.
    fn heard(&self, datagram: LastDatagram) -> Option<Instant> {
        match *self {
            Liveness::Connected { heard, .. } | Liveness::Doubted { heard, .. } | Liveness::Suspect { heard, .. } => {
                Some(datagram.or_hello().max(heard))
            }
            Liveness::Detached | Liveness::Retired { .. } => None,
        }
    }
}

/// When datagrams of a link's peer came, for what is asked of its [`Liveness`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastDatagram {
    /// When the last one did, over this link or the one before it.
    pub last: Option<Instant>,
    /// When the link began.
    pub began: Instant,
}

impl LastDatagram {
    /// When a datagram of this link came last, or it began.
    pub fn or_hello(self) -> Instant {
        self.last.map_or(self.began, |last| last.max(self.began))
    }
}

/// What is known of the datagrams of a link. See the module text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagrams {
    /// None was opened with the keys of this link.
    Awaited {
        /// From when on one could have come.
        since: Instant,
        /// When one of the same peer came last, over the link before this one.
        former: Option<Instant>,
    },
    /// They come, or came.
    Heard {
        /// When the last one did.
        last: Instant,
        /// When one ended a silence.
        resumed: Option<Instant>,
    },
}

impl Datagrams {
    /// The keys are agreed upon.
    pub fn new(now: Instant) -> Self {
        Datagrams::Awaited { since: now, former: None }
    }

    /// One was opened.
    pub fn came(&mut self, now: Instant) {
        let resumed = match *self {
            Datagrams::Awaited { .. } => None,
            Datagrams::Heard { resumed, .. } => resumed,
        };
        let ends_silence = self.last().is_some_and(|last| now >= last + HEARD_WITHIN);
        *self = Datagrams::Heard { last: now, resumed: if ends_silence { Some(now) } else { resumed } };
    }

    /// The link takes the place of one that has these. What came over itself is newer.
    pub fn follow(&mut self, before: &Datagrams) {
        if let Datagrams::Awaited { former, .. } = self {
            *former = before.last();
        }
    }

    /// This process stood still until now: what did not come may lie in the socket.
    pub fn stood_still(&mut self, now: Instant) {
        if let Datagrams::Awaited { since, .. } = self {
            *since = now;
        }
    }

    /// When one came last, of this link or the one before.
    pub fn last(&self) -> Option<Instant> {
        match *self {
            Datagrams::Awaited { former, .. } => former,
            Datagrams::Heard { last, .. } => Some(last),
        }
    }

    /// Since when one could have come and none did; `None` once one has.
    pub fn awaited_since(&self) -> Option<Instant> {
        match *self {
            Datagrams::Awaited { since, .. } => Some(since),
            Datagrams::Heard { .. } => None,
        }
    }

    /// None came for too long, or ever.
    pub fn are_quiet(&self, now: Instant) -> bool {
        self.last().is_none_or(|last| now >= last + QUIET)
    }

    /// Whether they come, and have for a while: what is late then is late by the path, not because one of us stood still.
    pub fn are_steady(&self, now: Instant) -> bool {
        let resumed = match *self {
            Datagrams::Awaited { .. } => None,
            Datagrams::Heard { resumed, .. } => resumed,
        };
        let since = |at: Option<Instant>, within: Duration| at.is_some_and(|at| now < at + within);
        since(self.last(), HEARD_WITHIN) && !since(resumed, SETTLES)
    }
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
