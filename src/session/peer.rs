//! One receiver, as the sender sees it: how far it was sent the log, what it asked for again, what it reported.
//!
//! Each peer has cursors of its own into what all share, so none slows another. Capacity: [`MAX_RESEND`] fragments to be sent
//! again; what is asked for beyond that is not.

use super::flow::{Flow, Told};
use super::parity::Parity;
use super::path::Path;
use super::sent::{Piece, Sent};
use super::sound_copies::SoundCopies;
use super::stats::PeerStats;
use crate::media::clock::Epoch;
use crate::media::packetizer::{Cursor, Log};
use crate::media::{fec, pacer};
use crate::time::MediaTime;
use crate::wire::datagram::{FRAGMENT_LEN, Message, Nack, SHARD_LEN};
use crate::wire::report::Report;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of a datagram with a fragment: fits every path (RFC 9000 §14 asks for 1200 as well), tunnels included.
pub const DATAGRAM: usize = 1200;

/// A shard over fragments of that length is longer: by its length and by two bytes for each slice it spans. It still fits where IPv6 passes.
const _: () = assert!(DATAGRAM - FRAGMENT_LEN + SHARD_LEN + fec::LENGTH + 1 + 2 * fec::MAX_RUN <= 1280 - 48);

/// Payload bytes of a fragment in a datagram of `DATAGRAM` bytes.
const PAYLOAD: usize = DATAGRAM - Path::OVERHEAD - FRAGMENT_LEN;

/// Datagrams in one run: what a GSO send takes at most (64), and below 64 KiB. Paced, [`pacer::RUN`].
const MAX_RUN: usize = 48;

/// Fragments waiting to be sent again to one peer: a burst of the log's size; more is a peer that asks for everything.
const MAX_RESEND: usize = 8192;

/// A film's viewer gets on while it settles so many pictures in the time of `sender/film.rs`: two a second are a slide show.
const LEAST_SETTLED: u64 = 4;

/// See the module text.
pub(super) struct Peer {
    /// The next fragment it has not been sent.
    pub cursor: Cursor,
    /// The next block of sound it has not been sent.
    pub sound: u64,
    /// What it is sent of sound beside TCP.
    pub copies: SoundCopies,
    /// It wants pictures.
    pub pictures: bool,
    /// It wants sound.
    pub wants_sound: bool,
    /// Its address proved itself.
    pub validated: bool,
    /// Its last report.
    pub report: Report,
    /// It was told of the end.
    pub end_sent: bool,
    /// What is counted of it.
    pub stats: PeerStats,
    /// How fast it may be sent to.
    pub flow: Flow,
    sent: Sent,
    resend: VecDeque<Piece>,
    /// Shards of the picture that was sent last, to follow it; those of a newer one replace them.
    parity: VecDeque<Vec<u8>>,
    /// The picture being sent, and how many of its slices were, from the first on.
    slices: (u64, u8),
    /// When it had settled everything, or settled enough more than the number given.
    progress: (Instant, u64),
}

/// What all peers share.
pub(super) struct Shared<'a> {
    /// The slices.
    pub log: &'a Log,
    /// Nothing is skipped.
    pub patient: bool,
    /// Makes shards.
    pub parity: &'a mut Parity,
}

impl Peer {
    /// One that was sent nothing yet.
    pub fn new(
        now: Instant,
        (cursor, sound): (Cursor, u64),
        wants: (bool, bool),
        report: Report,
        stats: PeerStats,
        flow: Flow,
    ) -> Self {
        let (pictures, wants_sound) = wants;
        let (sent, resend, parity, slices) = (Sent::new(), VecDeque::new(), VecDeque::new(), (0, 0));
        Peer {
            cursor,
            sound,
            copies: SoundCopies::default(),
            pictures,
            wants_sound,
            validated: false,
            report,
            end_sent: false,
            stats,
            flow,
            sent,
            resend,
            parity,
            slices,
            progress: (now, report.settled),
        }
    }

    /// A film has so many pictures by now. Whether the peer gets on with them is seen here.
    pub fn note_progress(&mut self, now: Instant, pictures: u64) {
        let settled = self.report.settled;
        if settled >= pictures.min(self.progress.1 + LEAST_SETTLED) {
            self.progress = (now, settled);
        }
    }

    /// When it last had settled everything, or enough more than before.
    pub fn progress(&self) -> Instant {
        self.progress.0
    }

    /// Whether anything is there to be sent to it.
    pub fn wants_pictures(&self, log: &Log) -> bool {
        let waiting = !self.resend.is_empty() || !self.parity.is_empty();
        self.validated && self.pictures && (waiting || log.clamp(self.cursor) < log.end())
    }

    /// Until when it may be sent nothing, if anything is there to be sent and has to wait.
    pub fn holds(&self, now: Instant, log: &Log) -> Option<Instant> {
        let next = if self.resend.is_empty() && self.parity.is_empty() {
            log.slice(log.clamp(self.cursor).slice).map(|slice| slice.picture)
        } else {
            None
        };
        self.flow.holds(now, next)
    }

    /// It told how reception goes.
    pub fn handle_report(&mut self, now: Instant, report: Report, epoch: &Epoch, (rtt, sound): (Duration, f64)) {
        let told = Told { sent: &self.sent, epoch, rtt, sound: self.over_tcp(now, sound) };
        self.flow.handle_report(now, (&self.report, &report), told);
        self.report = report;
    }

    /// What goes to it over TCP, where `sound` is what the blocks are, bytes a second. Copies are in its accounts.
    pub fn over_tcp(&self, now: Instant, sound: f64) -> f64 {
        if self.wants_sound && !self.copies.is_on(now) { sound } else { 0.0 }
    }

    /// Nothing was heard of it for long: what it could ask for is of no use when it is back, and it may never be.
    pub fn forget(&mut self) {
        self.sent.forget();
        self.resend = VecDeque::new();
        self.parity = VecDeque::new();
    }

    /// Whether older pictures are worth keeping for it: those it takes long to be sent.
    pub fn is_slow(&self) -> bool {
        self.flow.is_paced()
    }

    /// It misses packets: what was in them is queued again, unless it was caught before `horizon` and is of no use any more.
    pub fn handle_nack(&mut self, now: Instant, nack: &Nack, rtt: Duration, horizon: MediaTime, log: &Log) {
        self.stats.nacks += 1;
        let resend = &mut self.resend;
        self.sent.take_lost(now, nack, rtt, |piece| {
            let wanted = log.slice(piece.slice).is_some_and(|slice| slice.capture >= horizon);
            if wanted && resend.len() < MAX_RESEND {
                resend.push_back(piece);
            }
        });
    }

    /// Appends a run of datagrams and says the length of each but the last; 0 if there is nothing to send.
    pub fn fill(&mut self, now: Instant, shared: &mut Shared<'_>, path: &mut Path, buffer: &mut Vec<u8>) -> usize {
        let run = if self.flow.is_paced() { pacer::RUN } else { MAX_RUN };
        let mut fresh = None;
        let mut segment = self.fill_resends(now, run, shared.log, path, buffer);
        if segment == 0 {
            segment = self.fill_parity(run, path, buffer);
        }
        if segment == 0 {
            (segment, fresh) = self.fill_fresh(now, run, shared, path, buffer);
        }
        if segment > 0 {
            let datagrams = buffer.len().div_ceil(segment);
            let fresh = fresh.map(|picture| (picture, buffer.len() - datagrams * (Path::OVERHEAD + FRAGMENT_LEN)));
            self.flow.sent(now, (datagrams, buffer.len()), fresh);
            self.stats.bytes += buffer.len() as u64;
            self.stats.datagrams += datagrams as u64;
        }
        segment
    }

    /// All shards of one run of slices have one length, those of another may be shorter.
    fn fill_parity(&mut self, run: usize, path: &mut Path, buffer: &mut Vec<u8>) -> usize {
        let mut segment = 0;
        for _ in 0..run {
            let Some(message) = self.parity.front() else { break };
            let len = message.len() + Path::OVERHEAD;
            if segment != 0 && len > segment {
                break;
            }
            path.seal(buffer, |out| out.extend_from_slice(message));
            self.parity.pop_front();
            self.stats.parity += 1;
            segment = segment.max(len);
            if len < segment {
                break;
            }
        }
        segment
    }

    /// A slice was sent to its end: if its picture was, its shards follow, where the path needs any.
    fn slice_sent(&mut self, slice: u64, shared: &mut Shared<'_>) {
        let Some((picture, count)) = shared.log.slice(slice).map(|slice| (slice.picture, slice.count)) else { return };
        self.slices = if self.slices.0 == picture { (picture, self.slices.1.saturating_add(1)) } else { (picture, 1) };
        let loss = self.flow.unmended_loss();
        if self.slices.1 == count && loss > 0.0 && !shared.patient {
            self.parity.clear();
            self.parity.extend(shared.parity.messages(shared.log, slice, PAYLOAD, loss).iter().cloned());
        }
    }

    fn fill_resends(&mut self, now: Instant, run: usize, log: &Log, path: &mut Path, buffer: &mut Vec<u8>) -> usize {
        let mut segment = 0;
        for _ in 0..run {
            let Some(piece) = self.resend.front().copied() else { break };
            let Some(slice) = log.slice(piece.slice) else {
                self.resend.pop_front();
                continue;
            };
            let (head, payload) = slice.fragment(piece.fragment, PAYLOAD);
            let len = payload.len() + Path::OVERHEAD + FRAGMENT_LEN;
            if segment != 0 && len > segment {
                break;
            }
            let number = path.seal(buffer, |out| Message::Fragment(head, payload).encode(out));
            self.sent.record(now, number, piece, slice.picture, len);
            self.resend.pop_front();
            self.stats.resent += 1;
            segment = segment.max(len);
            if len < segment {
                break;
            }
        }
        segment
    }

    fn fill_fresh(
        &mut self,
        now: Instant,
        run: usize,
        shared: &mut Shared<'_>,
        path: &mut Path,
        buffer: &mut Vec<u8>,
    ) -> (usize, Option<u64>) {
        let (log, patient) = (shared.log, shared.patient);
        let newest = log.newest_picture();
        let mut cursor = log.clamp(self.cursor);
        // Newest wins: of the picture before the newest the rest may still go out, of older ones nothing. On a slow path what was begun is
        // finished, for nothing else would ever be whole there.
        let finish = self.flow.is_paced() && log.slice(cursor.slice).is_some_and(|slice| self.flow.began(slice.picture));
        if !patient && !finish && cursor < newest {
            let behind = log.slice(cursor.slice).zip(log.slice(newest.slice)).map_or(0, |(old, new)| new.picture - old.picture);
            if behind > u64::from(!self.flow.is_paced()) {
                self.stats.skipped += behind - 1;
                cursor = newest;
            }
        }
        let Some(slice) = log.slice(cursor.slice) else {
            self.cursor = cursor;
            return (0, None);
        };
        let (last, picture, sending) = (slice.fragments(PAYLOAD), slice.picture, cursor.slice);
        for _ in 0..run {
            let (head, payload) = slice.fragment(cursor.fragment, PAYLOAD);
            let before = buffer.len();
            let number = path.seal(buffer, |out| Message::Fragment(head, payload).encode(out));
            let len = buffer.len() - before;
            let piece = Piece { slice: cursor.slice, fragment: cursor.fragment, again: 0 };
            self.sent.record(now, number, piece, picture, len);
            cursor.fragment += 1;
            if cursor.fragment == last {
                cursor = Cursor { slice: cursor.slice + 1, fragment: 0 };
                break;
            }
        }
        self.cursor = cursor;
        if cursor.slice > sending {
            self.slice_sent(sending, shared);
        }
        (buffer.len().min(DATAGRAM), Some(picture))
    }
}
