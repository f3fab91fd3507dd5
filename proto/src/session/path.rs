//! The datagram side of one link: sealing and opening, where the peer is, whether it is still there.
//!
//! Where the peer is, and which address has yet to prove itself, is `whereabouts`' text.
//!
//! Capacity: [`MAX_PENDING`] control messages; on overflow the oldest is dropped: each is sent again by its own timer. Beside them
//! [`MAX_ANSWERS`] to probes, which come many at once and keep nothing else from being said.

use super::gauge::{self, Gauge, Measured};
use super::liveness::Datagrams;
use super::mtu::Search;
use super::whereabouts::Whereabouts;
use crate::crypto::{Key, Opener, ReplayWindow, Sealer, TAG};
use crate::media::clock::Epoch;
use crate::seq;
use crate::time::MediaTime;
use crate::wire::datagram::{HEADER_LEN, Header, Message, Nack};
use crate::wire::report::{Misses, Report};
use crate::wire::sound::SoundRequest;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Control messages waiting to be sealed.
const MAX_PENDING: usize = 32;

/// Probes to be answered: two batches of what the socket gives at once, joined as they may be.
const MAX_ANSWERS: usize = 4096;

/// Between two pings while the clock estimate is young.
const EAGER_PING: Duration = Duration::from_millis(50);

/// Pings sent eagerly: half a second of them.
const EAGER_PINGS: u32 = 10;

/// Between two pings afterwards: also what keeps a NAT's mapping and shows that the peer is there.
const PING: Duration = Duration::from_millis(250);

/// Between two pings where a silence is to be noticed at once.
const CLOSE_PING: Duration = Duration::from_millis(50);

/// Probes of the path wait so long for the first ping to be under way: longer than a large one takes on 10 Mbit/s.
const AFTER_PING: Duration = Duration::from_millis(10);

/// Why a datagram was not opened. All are counted, none hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Too short for a header.
    Short,
    /// Came twice, or is too old to tell.
    Replayed,
    /// Does not open: forged or damaged.
    Forged,
}

/// A control message waiting to be sealed.
#[derive(Debug, Clone)]
pub enum Control {
    /// To an address that has yet to prove itself.
    Challenge(SocketAddr, [u8; 8]),
    /// Our proof, to where it was asked for.
    Response(SocketAddr, [u8; 8]),
    /// What is the time with you?
    Ping,
    /// The answer to a ping that came at this moment.
    Pong(u64, MediaTime),
    /// Send again, please.
    Nack(Box<Nack>),
    /// How reception goes.
    Report(Box<Report>),
    /// Does a datagram of this many bytes pass, as short as can be for 0? Its number comes back.
    Probe(u16, usize),
    /// What is wanted beside TCP of the sound of a track.
    SoundRequest(u8, SoundRequest),
    /// A picture of a track was missed.
    Misses(u8, Misses),
}

/// Round-trip time: the least seen lately and a smoothed one (RFC 6298).
#[derive(Debug, Clone, Copy, Default)]
pub struct Rtt {
    /// Smoothed; zero before the first sample.
    pub smoothed: Duration,
    /// Mean deviation.
    pub deviation: Duration,
}

impl Rtt {
    fn sample(&mut self, rtt: Duration) {
        if self.smoothed == Duration::ZERO {
            (self.smoothed, self.deviation) = (rtt, rtt / 2);
        } else {
            self.deviation = (self.deviation * 3 + rtt.abs_diff(self.smoothed)) / 4;
            self.smoothed = (self.smoothed * 7 + rtt) / 8;
        }
    }
}

/// What the two sides gave each other for one link.
pub struct Keys {
    /// They put this on datagrams to us.
    pub local_connection: u32,
    /// And seal them with this.
    pub local_key: Key,
    /// We put this on datagrams to them.
    pub remote_connection: u32,
    /// And seal them with this.
    pub remote_key: Key,
}

/// What a datagram was, once opened.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one call")]
pub enum Opened<'a> {
    /// For the role: pictures, NACKs, reports, sound.
    Message(u64, Message<'a>),
    /// A clock exchange: its packet number, when we asked, when it came there, when it was answered there.
    Clock(u64, Instant, MediaTime, MediaTime),
    /// The path proved itself with this packet.
    Validated(u64),
    Done(u64),
    /// A short probe, and the number of the packet before it, which was a long one and did not come: that is no loss.
    Probe {
        /// Its packet number.
        number: u64,
        /// The number before it.
        lost: u64,
    },
    /// Authentic, but no message known here: a newer peer's, or nonsense. It came, so it is no loss.
    Skipped(u64),
}

pub struct Path {
    local_connection: u32,
    opener: Opener,
    replay: ReplayWindow,
    remote_connection: u32,
    sealer: Sealer,
    next: u64,
    whereabouts: Whereabouts,
    pending: VecDeque<Control>,
    /// Numbers of probes that came and are not answered.
    answers: VecDeque<u16>,
    datagrams: Datagrams,
    /// The challenge that came last.
    challenge: Option<[u8; 8]>,
    /// One of us was found at another address: another challenge came after it, or the peer proved to be elsewhere.
    moved: bool,
    pings: u32,
    next_ping: Instant,
    /// Between two pings, once the clock estimate is no more young.
    ping: Duration,
    /// When a ping was answered last.
    answered: Option<Instant>,
    rtt: Rtt,
    search: Search,
    /// The peer's probe that came last.
    probed: Option<u16>,
    /// What measures its rate, where that is asked for.
    gauge: Option<Gauge>,
    /// Large datagrams that left.
    large: u64,
}

impl Path {
    /// A path with fresh keys. `dialled` is where we were told to go, if it was us who dialled.
    pub fn new(now: Instant, keys: &Keys, dialled: Option<SocketAddr>) -> Self {
        Path {
            local_connection: keys.local_connection,
            opener: Opener::new(&keys.local_key),
            replay: ReplayWindow::new(),
            remote_connection: keys.remote_connection,
            sealer: Sealer::new(&keys.remote_key),
            next: 0,
            whereabouts: Whereabouts::new(now, dialled),
            pending: VecDeque::new(),
            answers: VecDeque::new(),
            datagrams: Datagrams::new(now),
            challenge: None,
            moved: false,
            pings: 0,
            next_ping: now,
            ping: PING,
            answered: None,
            rtt: Rtt::default(),
            search: Search::default(),
            probed: None,
            gauge: None,
            large: 0,
        }
    }

    /// The peer may be at any of these addresses; and that datagrams stop is to be noticed at once.
    pub fn is_direct(&mut self, now: Instant, addresses: &[SocketAddr]) {
        self.whereabouts.may_be_at(now, addresses);
        self.ping = CLOSE_PING;
    }

    /// When a ping was answered last: until then datagrams went both ways.
    pub fn answered(&self) -> Option<Instant> {
        self.answered
    }

    /// The same peer came back with new keys. What was known of it holds on; where it is, only if it was heard there until `since`: then
    /// media need not wait for a challenge to go to and fro.
    pub fn inherit(&mut self, now: Instant, former: &Path, since: Instant) {
        self.datagrams.follow(&former.datagrams);
        self.rtt = former.rtt;
        if former.heard().is_some_and(|heard| heard >= since) {
            self.whereabouts.inherit(former.address());
            (self.next_ping, self.answered) = (now, former.answered);
        }
    }

    /// Since when a datagram under these keys could have come and none did; `None` once one has.
    pub fn awaited_since(&self) -> Option<Instant> {
        self.datagrams.awaited_since()
    }

    /// This process stood still until now: what did not come may lie in the socket.
    pub fn stood_still(&mut self, now: Instant) {
        self.datagrams.stood_still(now);
    }

    /// Whether the peer is there and has been for a while.
    pub fn is_steady(&self, now: Instant) -> bool {
        self.datagrams.are_steady(now)
    }

    /// Asks the peer to prove again where it is, and its clock anew: it was silent for long.
    pub fn challenge_anew(&mut self, now: Instant) {
        self.whereabouts.challenge_anew(now);
        self.look_anew(now);
    }

    fn look_anew(&mut self, now: Instant) {
        (self.pings, self.next_ping) = (0, now);
    }

    /// Whether one of us was found at another address since the last call: the peer challenged us anew, or proved to be elsewhere.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// The connection id the peer puts on datagrams to us.
    pub fn local_connection(&self) -> u32 {
        self.local_connection
    }

    /// Where media goes: proved, and heard from lately.
    pub fn usable(&self, now: Instant) -> Option<SocketAddr> {
        self.address().filter(|_| !self.is_quiet(now))
    }

    /// Where pictures go, and the longest datagram the path is known to take.
    pub fn carries(&self, now: Instant) -> Option<(SocketAddr, usize)> {
        self.usable(now).zip(self.search.size())
    }

    /// The longest datagram the path is known to take; `None` where it takes nothing large.
    pub fn size(&self) -> Option<usize> {
        self.search.size()
    }

    /// Nothing that could carry a piece of a picture passes.
    pub fn is_too_narrow(&self) -> bool {
        self.search.size().is_none()
    }

    /// Looks for the longest datagram the path takes, for it may be another one. The clock is asked first: probes are long, and what waits
    /// behind them measures them.
    pub fn search(&mut self, now: Instant) {
        self.search.path_may_be_another(now + AFTER_PING);
    }

    fn probe(&mut self, now: Instant) {
        let answer = self.rtt.smoothed + self.rtt.deviation * 2;
        while let Some((number, size)) = self.search.poll(now, answer) {
            self.queue(Control::Probe(number, size));
            self.queue(Control::Probe(number.wrapping_add(1), 0));
        }
        let (passes, rtt) = (self.usable(now).and(self.search.size()), self.rtt.smoothed);
        for _ in 0..gauge::AT_ONCE {
            let Some((number, size)) = self.gauge.as_mut().and_then(|gauge| gauge.poll(now, passes, rtt)) else { break };
            self.queue(Control::Probe(number, size));
        }
    }

    /// Measures what rate it takes: that needs some seconds, and fills it.
    pub fn measure(&mut self, now: Instant) {
        self.gauge = Some(Gauge::new(now));
    }

    /// What it takes, once that is known.
    pub fn measured(&self) -> Option<Measured> {
        self.gauge.as_ref()?.measured()
    }

    /// A datagram with a piece of a picture left.
    pub fn left(&mut self, len: usize) {
        self.large += u64::from(self.search.is_large(len));
    }

    /// Whether it was found since the last call that the path takes less than it did.
    pub fn take_narrowed(&mut self) -> bool {
        self.search.take_left()
    }

    /// The peer reports that so many datagrams came.
    pub fn reported(&mut self, now: Instant, came: u64) {
        self.search.reported(now, self.next, self.large, came);
    }

    /// How many of so many lost packets may have been probes that were too long for the path.
    pub fn forgive(&mut self, lost: u64) -> u64 {
        self.search.forgive(lost)
    }

    /// The kernel takes no datagram of this length for where the peer is.
    pub fn refused(&mut self, now: Instant, len: usize) {
        self.search.refused(now, len);
    }

    /// Where the peer last proved to be.
    pub fn address(&self) -> Option<SocketAddr> {
        self.whereabouts.address()
    }

    /// Unheard for too long, or never heard.
    pub fn is_quiet(&self, now: Instant) -> bool {
        self.datagrams.are_quiet(now)
    }

    /// When anything that opened last came, over the path of the link before this one where nothing did since.
    pub fn heard(&self) -> Option<Instant> {
        self.datagrams.last()
    }

    /// Round-trip time as the pings see it.
    pub fn rtt(&self) -> Rtt {
        self.rtt
    }

    /// Opens a datagram in place and deals with what is the path's own.
    pub fn open<'a>(
        &mut self,
        now: Instant,
        epoch: &Epoch,
        from: SocketAddr,
        header: Header,
        bytes: &'a mut [u8],
    ) -> Result<Opened<'a>, Rejected> {
        let (number, len) = (seq::widen(header.number, self.replay.next_expected()), bytes.len());
        if !self.replay.would_accept(number) {
            return Err(Rejected::Replayed);
        }
        let (head, sealed) = bytes.split_at_mut_checked(HEADER_LEN).ok_or(Rejected::Short)?;
        let plain = self.opener.open(number, head, sealed).map_err(|_| Rejected::Forged)?;
        self.replay.accept(number);
        self.datagrams.came(now);
        self.whereabouts.came(now, from, len);
        let Ok(message) = Message::decode(plain) else { return Ok(Opened::Skipped(number)) };
        match message {
            Message::Challenge(token) => {
                if self.challenge.replace(token).is_some_and(|before| before != token) {
                    self.moved = true;
                    self.look_anew(now);
                }
                self.whereabouts.answering(from);
                self.queue(Control::Response(from, token));
            }
            Message::Response(token) => {
                let rtt = (self.rtt.smoothed > Duration::ZERO).then(|| self.rtt.smoothed + 2 * self.rtt.deviation);
                let before = self.address();
                if self.whereabouts.handle_response(now, from, token, rtt) {
                    self.proved(now, before);
                    return Ok(Opened::Validated(number));
                }
            }
            Message::Ping(asked) => self.queue(Control::Pong(asked, epoch.media_time(now))),
            Message::Pong { asked, received, replied } => {
                let asked = epoch.instant(MediaTime::from_nanos(asked));
                if asked > now {
                    return Ok(Opened::Skipped(number));
                }
                self.rtt.sample((now - asked).saturating_sub(replied.saturating_since(received)));
                self.answered = Some(now);
                return Ok(Opened::Clock(number, asked, received, replied));
            }
            Message::Probe(probe) => {
                if self.answers.len() < MAX_ANSWERS {
                    self.answers.push_back(probe);
                }
                let before = self.probed.replace(probe);
                // Numbers begin at 0, and the long ones, which may be lost, are even.
                if probe % 2 == 1 && before != Some(probe.wrapping_sub(1)) {
                    return Ok(Opened::Probe { number, lost: number.saturating_sub(1) });
                }
            }
            Message::ProbeAck(number) => {
                self.search.acknowledged(now, number, self.rtt.deviation);
                self.gauge.iter_mut().for_each(|gauge| gauge.acknowledged(now, number));
            }
            message => return Ok(Opened::Message(number, message)),
        }
        Ok(Opened::Done(number))
    }

    /// An address was proved; `before`: the one until now.
    fn proved(&mut self, now: Instant, before: Option<SocketAddr>) {
        self.moved |= before.is_some() && before != self.address();
        self.next_ping = now;
    }

    /// Queues a control message.
    pub fn queue(&mut self, control: Control) {
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(control);
    }

    /// Whatever is due by now becomes a control message. Whether the peer is at another address from now on.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let (before, mut challenges) = (self.address(), Vec::new());
        let moved = self.whereabouts.handle_timeout(now, |to, token| challenges.push(Control::Challenge(to, token)));
        challenges.into_iter().for_each(|challenge| self.queue(challenge));
        if moved {
            self.proved(now, before);
        }
        if self.is_quiet(now) {
            self.search.postpone(now + PING);
        }
        self.probe(now);
        if self.address().is_some() && now >= self.next_ping {
            self.pings += 1;
            self.next_ping = now + if self.pings <= EAGER_PINGS { EAGER_PING } else { self.ping };
            self.queue(Control::Ping);
        }
        moved
    }

    /// When [`Path::handle_timeout`] has something to do; never, while no address is known to ask.
    pub fn deadline(&self) -> Option<Instant> {
        let ping = self.address().map(|_| self.next_ping);
        let gauge = self.gauge.as_ref().and_then(Gauge::deadline);
        ping.into_iter().chain(self.whereabouts.deadline()).chain(self.search.deadline()).chain(gauge).min()
    }

    /// Seals one waiting control message into `out` and says where it goes.
    pub fn poll_control(&mut self, now: Instant, epoch: &Epoch, out: &mut Vec<u8>) -> Option<SocketAddr> {
        while let Some(control) = self.pending.pop_front() {
            let (time, address) = (epoch.media_time(now), self.address());
            if let (Control::Probe(number, size), Some(to)) = (&control, address) {
                self.seal(out, |out| {
                    let end = out.len() + size.saturating_sub(Self::OVERHEAD);
                    Message::Probe(*number).encode(out);
                    out.resize(end.max(out.len()), 0);
                });
                return Some(to);
            }
            let (to, message) = match control {
                Control::Challenge(to, token) => (Some(to), Message::Challenge(token)),
                Control::Response(to, token) => (Some(to), Message::Response(token)),
                Control::Ping => (address, Message::Ping(time.as_nanos())),
                Control::Pong(asked, received) => (address, Message::Pong { asked, received, replied: time }),
                Control::Nack(nack) => (address, Message::Nack(*nack)),
                Control::Report(report) => (address, Message::Report(*report)),
                Control::Probe(number, _) => (None, Message::Probe(number)),
                Control::SoundRequest(track, wanted) => (address, Message::SoundRequest(track, wanted)),
                Control::Misses(track, misses) => (address, Message::Misses(track, misses)),
            };
            if let Some(to) = to {
                self.seal(out, |out| message.encode(out));
                return Some(to);
            }
        }
        let (number, to) = (self.answers.pop_front()?, self.address()?);
        self.seal(out, |out| Message::ProbeAck(number).encode(out));
        Some(to)
    }

    /// Appends one sealed datagram, its message written by `write`; says its packet number.
    pub fn seal(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let number = self.next;
        self.next += 1;
        let start = out.len();
        let header = Header { connection: self.remote_connection, number: number as u32 }.encode();
        out.extend_from_slice(&header);
        write(out);
        let tag = self.sealer.seal(number, &header, &mut out[start + HEADER_LEN..]);
        out.extend_from_slice(&tag);
        number
    }

    /// Bytes a datagram has beside its message.
    pub const OVERHEAD: usize = HEADER_LEN + TAG;
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
