//! One receiver, as the sender sees it: how far it was sent the log, what it asked for again, what it reported.
//!
//! Each peer has cursors of its own into what all share, so none slows another, and its slices are cut for its own path: the log
//! holds them whole. A slice is cut anew only where the path takes less than it did when the slice was begun, and then into more
//! fragments than before, by which its receiver knows. Capacity: [`MAX_RESEND`] fragments to be sent again; what is asked for
//! beyond that, and beyond what `repairs.rs` allows, may be asked for later.

mod sound;

use super::flow::{Flow, Told};
use super::parity::Parity;
use super::path::Path;
use super::repairs::Repairs;
use super::sent::{Piece, Sent};
use super::sound_copies::SoundCopies;
use super::stats::PeerStats;
use crate::media::clock::Epoch;
use crate::media::packetizer::{Cursor, Log, Slice};
use crate::media::{fec, pacer};
use crate::time::MediaTime;
use crate::wire::datagram::{FRAGMENT_LEN, Message, Nack, SHARD_LEN};
use crate::wire::record::OWN_TRACK;
use crate::wire::report::{Report, TrackReport};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// A shard over fragments is longer than they are: by its length, made even, and by two bytes for each slice it spans. What the
/// path takes is left to it.
const SHARD_MORE: usize = SHARD_LEN + fec::LENGTH + 1 + 2 * fec::MAX_RUN - FRAGMENT_LEN;

/// Payload bytes of a fragment where the path takes datagrams of `size` bytes.
const fn payload_of(size: usize) -> usize {
    size - SHARD_MORE - Path::OVERHEAD - FRAGMENT_LEN
}

/// Bytes in one run: 48 datagrams of 1200 bytes, below the 64 KiB a GSO send takes. Paced, [`pacer::RUN`] of them, however long
/// they are: it is bytes that fill a queue.
const MAX_RUN: usize = 48 * 1200;

/// See [`MAX_RUN`].
const PACED_RUN: usize = pacer::RUN * 1200;

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
    /// What it, or one before it, said of our track.
    pub track: TrackReport,
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
    /// What may be repeated.
    pub repairs: Repairs,
    /// It was said that nothing large reaches it.
    pub too_narrow: bool,
    /// The picture being sent, how many of its slices were, from the first on, and what they were cut into, 0 for no one length.
    slices: (u64, u8, usize),
    /// The length of the payloads the slice at the cursor is cut into, and its picture.
    cut: (usize, u64),
    /// Slices of the log that were cut anew, and into what.
    cut_anew: BTreeMap<u64, u16>,
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
        settled: u64,
        stats: PeerStats,
        (flow, repairs): (Flow, Repairs),
    ) -> Self {
        let (pictures, wants_sound) = wants;
        let (sent, resend, parity) = (Sent::new(), VecDeque::new(), VecDeque::new());
        Peer {
            cursor,
            sound,
            copies: SoundCopies::default(),
            pictures,
            wants_sound,
            validated: false,
            report: Report::default(),
            track: TrackReport { track: OWN_TRACK, settled, ..TrackReport::default() },
            end_sent: false,
            stats,
            flow,
            sent,
            resend,
            parity,
            repairs,
            too_narrow: false,
            slices: (u64::MAX, 0, 0),
            cut: (0, u64::MAX),
            cut_anew: BTreeMap::new(),
            progress: (now, settled),
        }
    }

    /// A film has so many pictures by now. Whether the peer gets on with them is seen here.
    pub fn note_progress(&mut self, now: Instant, pictures: u64) {
        let settled = self.track.settled;
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
    pub fn handle_report(&mut self, now: Instant, report: &Report, epoch: &Epoch, (path, sound): (&mut Path, f64)) {
        path.reported(now, report.received);
        let wait = Some(self.track.wait_ms).filter(|wait| *wait < u16::MAX).map(|wait| Duration::from_millis(wait.into()));
        let told = Told { sent: &self.sent, epoch, path, sound: self.over_tcp(now, sound), wait };
        self.flow.handle_report(now, (&self.report, report), told);
        self.report = *report;
    }

    /// It told how far it is with our track, which has so many pictures by now. Whether it settled any since; what it has settled
    /// stays so, whatever it says.
    pub fn handle_track(&mut self, told: TrackReport, pictures: u64) -> bool {
        let settled = told.settled.min(pictures).max(self.track.settled);
        let moved = settled > self.track.settled;
        self.track = TrackReport { settled, ..told };
        moved
    }

    /// What goes to it over TCP, where `sound` is what the blocks are, bytes a second. Copies are in its accounts.
    pub fn over_tcp(&self, now: Instant, sound: f64) -> f64 {
        if self.wants_sound && !self.copies.is_on(now) { sound } else { 0.0 }
    }

    /// Nothing was heard of it for long: what it could ask for is of no use when it is back, and it may never be.
    pub fn forget(&mut self) {
        self.sent.forget();
        self.resend = VecDeque::new();
        self.drop_shards(|_| true);
    }

    /// Whether older pictures are worth keeping for it: those it takes long to be sent.
    pub fn is_slow(&self) -> bool {
        self.flow.is_paced()
    }

    /// It misses packets: what was in them is queued again, unless it was caught before `horizon` and is of no use any more, as
    /// far as it may be repeated. The path takes datagrams of `size` bytes.
    pub fn handle_nack(&mut self, now: Instant, nack: &Nack, (rtt, size): (Duration, usize), horizon: MediaTime, log: &Log) {
        self.stats.nacks += 1;
        let payload = payload_of(size);
        let Peer { sent, resend, repairs, cut_anew, .. } = self;
        sent.take_lost(now, nack, rtt, |piece| {
            let Some(slice) = log.slice(piece.slice).filter(|slice| slice.capture >= horizon) else { return true };
            if cut_anew.get(&piece.slice).is_some_and(|cut| *cut != piece.cut) {
                return true;
            }
            let len = slice.fragment(piece.fragment, piece.cut.into()).1.len();
            let (cut, fragments) = match len > payload {
                true => anew(slice, piece.cut.into(), payload),
                false => (piece.cut.into(), 1),
            };
            let bytes = if len > payload { slice.body.len() } else { len };
            let bytes = bytes + usize::from(fragments) * (Path::OVERHEAD + FRAGMENT_LEN);
            if resend.len() + usize::from(fragments) > MAX_RESEND || !repairs.take(now, bytes) {
                return false;
            }
            let cut = cut as u16;
            if len > payload {
                let oldest = log.clamp(Cursor { slice: 0, fragment: 0 }).slice;
                cut_anew.retain(|slice, _| *slice >= oldest);
                cut_anew.insert(piece.slice, cut);
                resend.extend((0..fragments).map(|fragment| Piece { fragment, cut, ..piece }));
            } else {
                resend.push_back(piece);
            }
            true
        });
    }

    /// Appends a run of datagrams and says the length of each but the last; 0 if there is nothing to send. None is longer than
    /// `size`.
    pub fn fill(
        &mut self,
        now: Instant,
        shared: &mut Shared<'_>,
        (path, size): (&mut Path, usize),
        buffer: &mut Vec<u8>,
    ) -> usize {
        let run = if self.flow.is_paced() { PACED_RUN } else { MAX_RUN };
        let (run, payload) = ((run / (size - SHARD_MORE)).max(1), payload_of(size));
        let mut fresh = None;
        let mut segment = self.fill_resends(now, (run, payload), shared.log, path, buffer);
        if segment == 0 {
            segment = self.fill_parity(run, size, path, buffer);
        }
        if segment == 0 {
            (segment, fresh) = self.fill_fresh(now, (run, payload), shared, path, buffer);
        }
        if segment > 0 {
            let datagrams = buffer.len().div_ceil(segment);
            if fresh.is_some() {
                self.repairs.sent(now, buffer.len());
            }
            let fresh = fresh.map(|picture| (picture, buffer.len() - datagrams * (Path::OVERHEAD + FRAGMENT_LEN)));
            self.flow.sent(now, (datagrams, buffer.len()), fresh);
            buffer.chunks(segment).for_each(|datagram| path.left(datagram.len()));
            self.stats.bytes += buffer.len() as u64;
            self.stats.datagrams += datagrams as u64;
        }
        segment
    }

    /// All shards of one run of slices have one length, those of another may be shorter.
    fn fill_parity(&mut self, run: usize, size: usize, path: &mut Path, buffer: &mut Vec<u8>) -> usize {
        // Those of a picture that was cut for a path that took more.
        self.drop_shards(|len| len > size);
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

    /// A slice was sent to its end: if its picture was, its shards follow, where the path needs any, as far as they may.
    fn slice_sent(&mut self, now: Instant, slice: u64, shared: &mut Shared<'_>) {
        let Some((picture, count)) = shared.log.slice(slice).map(|slice| (slice.picture, slice.count)) else { return };
        let cut = self.cut.0;
        let (of, slices, one) = self.slices;
        self.slices =
            if of == picture { (of, slices.saturating_add(1), if one == cut { cut } else { 0 }) } else { (picture, 1, cut) };
        let loss = self.flow.unmended_loss();
        if self.slices.1 == count && self.slices.2 == cut && loss > 0.0 && !shared.patient {
            self.drop_shards(|_| true);
            let messages = shared.parity.messages(shared.log, slice, cut, loss).iter();
            let repairs = &mut self.repairs;
            self.parity.extend(messages.take_while(|message| repairs.take(now, message.len() + Path::OVERHEAD)).cloned());
        }
    }

    /// Shards that are not sent after all cost nothing: those whose datagrams have such a length.
    fn drop_shards(&mut self, dropped: impl Fn(usize) -> bool) {
        let Peer { parity, repairs, .. } = self;
        parity.retain(|message| {
            let len = message.len() + Path::OVERHEAD;
            let kept = !dropped(len);
            if !kept {
                repairs.give_back(len);
            }
            kept
        });
    }

    fn fill_resends(
        &mut self,
        now: Instant,
        (run, payload): (usize, usize),
        log: &Log,
        path: &mut Path,
        buffer: &mut Vec<u8>,
    ) -> usize {
        let (mut segment, mut left, mut let_go) = (0, run, false);
        while let Some(piece) = self.resend.front().copied().filter(|_| left > 0) {
            let Some(slice) = log.slice(piece.slice) else {
                self.resend.pop_front();
                continue;
            };
            let (head, piece_payload) = slice.fragment(piece.fragment, piece.cut.into());
            let len = piece_payload.len() + Path::OVERHEAD + FRAGMENT_LEN;
            if piece_payload.len() > payload {
                // The path takes less than when it was asked for. It is asked for again, and then cut anew.
                self.resend.pop_front();
                self.repairs.give_back(len);
                if !std::mem::replace(&mut let_go, true) {
                    self.sent.ask_anew(payload);
                }
                continue;
            }
            if segment != 0 && len > segment {
                break;
            }
            let number = path.seal(buffer, |out| Message::Fragment(OWN_TRACK, head, piece_payload).encode(out));
            self.sent.record(now, number, piece, slice.picture, len);
            self.resend.pop_front();
            self.stats.resent += 1;
            (segment, left) = (segment.max(len), left - 1);
            if len < segment {
                break;
            }
        }
        segment
    }

    fn fill_fresh(
        &mut self,
        now: Instant,
        (run, payload): (usize, usize),
        shared: &mut Shared<'_>,
        path: &mut Path,
        buffer: &mut Vec<u8>,
    ) -> (usize, Option<u64>) {
        let (log, patient) = (shared.log, shared.patient);
        let newest = log.newest_picture();
        let mut cursor = log.clamp(self.cursor);
        // Newest wins: of the picture before the newest the rest may still go out, of older ones nothing. On a slow path what was
        // begun is finished, for nothing else would ever be whole there.
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
        // A picture is cut into one length, for its shards' sake, unless the path takes no more of it.
        if cursor.fragment > 0 && self.cut_anew.get(&cursor.slice).is_some_and(|cut| usize::from(*cut) != self.cut.0) {
            // It was asked for, and all of it is sent by now, or waits to be.
            self.cursor = Cursor { slice: cursor.slice + 1, fragment: 0 };
            return self.fill_fresh(now, (run, payload), shared, path, buffer);
        }
        if payload < self.cut.0 && cursor.fragment > 0 {
            self.cut.0 = anew(slice, self.cut.0, payload).0;
            self.cut_anew.insert(cursor.slice, self.cut.0 as u16);
            cursor.fragment = 0;
        } else if cursor.fragment == 0 && (payload < self.cut.0 || slice.picture != self.cut.1) {
            self.cut = (payload, slice.picture);
        }
        let cut = self.cut.0;
        let (last, picture, sending) = (slice.fragments(cut), slice.picture, cursor.slice);
        for _ in 0..run {
            let (head, payload) = slice.fragment(cursor.fragment, cut);
            let before = buffer.len();
            let number = path.seal(buffer, |out| Message::Fragment(OWN_TRACK, head, payload).encode(out));
            let len = buffer.len() - before;
            let piece = Piece { slice: cursor.slice, fragment: cursor.fragment, cut: cut as u16, again: 0 };
            self.sent.record(now, number, piece, picture, len);
            cursor.fragment += 1;
            if cursor.fragment == last {
                cursor = Cursor { slice: cursor.slice + 1, fragment: 0 };
                break;
            }
        }
        self.cursor = cursor;
        if cursor.slice > sending {
            self.slice_sent(now, sending, shared);
        }
        (buffer.len().min(cut + Path::OVERHEAD + FRAGMENT_LEN), Some(picture))
    }
}

/// The length of payloads a slice is cut into anew, none longer than `payload`, and how many there are: more than of the `former` ones, so
/// that its receiver can tell them from those.
fn anew(slice: &Slice, former: usize, payload: usize) -> (usize, u16) {
    let cut = payload.min(slice.body.len().saturating_sub(1) / usize::from(slice.fragments(former).max(1))).max(1);
    (cut, slice.fragments(cut))
}
