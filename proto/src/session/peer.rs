//! One receiver, as the sender sees it: what it asked for again, what it reported, how fast it may be sent to. How far it is with
//! each track is a [`Subscription`]'s.
//!
//! Nothing one peer does slows another: what all share are the tracks' logs, and each peer has cursors of its own into them. Its
//! tracks share its path by bytes (`turns.rs`), and of each what it asked for again goes first. A run of datagrams is of one
//! track. Capacity: [`MAX_RESEND`] fragments to be sent again; what is asked for beyond that, and beyond what `repairs.rs`
//! allows, may be asked for later.

mod choice;
mod sound;
mod subscription;
mod turns;

pub(super) use subscription::Subscription;

use self::turns::Turns;
use super::PeerId;
use super::flow::{Flow, Told};
use super::outbound::Outbound;
use super::path::Path;
use super::repairs::Repairs;
use super::sent::{Sent, SentFragment};
use super::stats::PeerStats;
use crate::media::clock::Epoch;
use crate::media::rate_control::Bitrate;
use crate::media::{fec, pacer};
use crate::time::MediaTime;
use crate::wire::datagram::{FRAGMENT_LEN, Message, Nack, SHARD_LEN};
use crate::wire::record::{Media, OWN_TRACK};
use crate::wire::report::Report;
use std::collections::VecDeque;
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

pub(super) struct Peer {
    /// What events call it.
    pub id: PeerId,
    pub process: [u8; 16],
    /// What it wants.
    pub wants: Media,
    /// It decodes Opus, and writes no file.
    pub takes_packets: bool,
    /// Another guest of a meeting: it is sent our own track alone, and by datagrams alone.
    pub direct: bool,
    /// So many seconds its way has been too narrow, and another was better.
    pub narrow_for: u32,
    /// Of one that is not direct, what its path took when it was sent pictures last, where that mattered.
    pub took: Option<Bitrate>,
    /// Its address proved itself.
    pub validated: bool,
    /// Its last report.
    pub report: Report,
    /// What is counted of it.
    pub stats: PeerStats,
    /// How fast it may be sent to.
    pub flow: Flow,
    /// The tracks it is sent, in their order.
    pub subscriptions: Vec<Subscription>,
    sent: Sent,
    resend: VecDeque<SentFragment>,
    /// Shards of the picture of a track that was sent last, to follow it; those of a newer one replace them.
    parity: VecDeque<(u8, Vec<u8>)>,
    /// What may be repeated.
    pub repairs: Repairs,
    /// It was said that nothing large reaches it.
    pub too_narrow: bool,
    turns: Turns,
}

impl Peer {
    /// Whether a track is sent to it.
    pub fn is_for(&self, track: &Outbound) -> bool {
        track.track.origin != self.process && (!self.direct || track.number() == OWN_TRACK)
    }

    /// One that was sent nothing yet, and is subscribed to nothing.
    pub fn new(
        id: PeerId,
        (process, wants, knows_opus): ([u8; 16], Media, bool),
        stats: PeerStats,
        (flow, repairs): (Flow, Repairs),
    ) -> Self {
        Peer {
            id,
            process,
            wants,
            takes_packets: knows_opus && !wants.lossless,
            direct: false,
            narrow_for: 0,
            took: None,
            validated: false,
            report: Report::default(),
            stats,
            flow,
            subscriptions: Vec::new(),
            sent: Sent::new(),
            resend: VecDeque::new(),
            parity: VecDeque::new(),
            repairs,
            too_narrow: false,
            turns: Turns::new(),
        }
    }

    /// Whether it may be owed something else than when this was asked last.
    pub fn owes_anew(&mut self) -> bool {
        self.subscriptions.iter_mut().fold(false, |anew, subscription| subscription.delivery.take_changed() | anew)
    }

    /// How far it was sent its tracks, all in all.
    pub fn place(&self) -> (u64, u64) {
        let cursors = self.subscriptions.iter().map(|subscription| subscription.cursor);
        cursors.fold((0, 0), |(slices, fragments), cursor| (slices + cursor.slice, fragments + u64::from(cursor.fragment)))
    }

    /// Its subscription to this track.
    pub fn subscription(&mut self, track: u8) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.track() == track)
    }

    /// The track is no more.
    pub fn unsubscribe(&mut self, track: u8) {
        self.subscriptions.retain(|subscription| subscription.track() != track);
        self.drop_shards(|of, _| of == track);
    }

    /// Whether anything is there to be sent to it.
    pub fn wants_pictures(&self, tracks: &[Outbound]) -> bool {
        self.validated && self.wants.pictures && (self.repeats(tracks) || self.next_fresh(tracks).is_some())
    }

    /// Until when it may be sent nothing, if anything is there to be sent and has to wait.
    pub fn holds(&self, now: Instant, tracks: &[Outbound]) -> Option<Instant> {
        let new = !self.repeats(tracks)
            && self.next_fresh(tracks).is_some_and(|(place, of)| self.subscriptions[place].waits_as_a_picture(&tracks[of].log));
        self.flow.holds(now, new)
    }

    /// It told how reception goes. Says whether it settled anything since.
    pub fn handle_report(&mut self, now: Instant, report: &Report, epoch: &Epoch, tracks: &[Outbound], path: &mut Path) -> bool {
        let mut moved = false;
        for subscription in &mut self.subscriptions {
            let of = tracks.iter().find(|track| track.number() == subscription.track());
            if let Some((told, of)) = report.tracks.get(subscription.track()).zip(of) {
                moved |= subscription.handle_report(told, of.pictures);
            }
        }
        path.reported(now, report.received);
        let told = self.subscriptions.iter().filter(|subscription| report.tracks.get(subscription.track()).is_some());
        let wait = told
            .map(|subscription| subscription.report.wait_ms)
            .min()
            .filter(|wait| *wait < u16::MAX)
            .map(|wait| Duration::from_millis(wait.into()));
        let sound = self.over_tcp(now, tracks);
        let whole = self.subscriptions.iter().filter(|subscription| subscription.sees());
        let whole = whole.filter_map(|subscription| tracks.iter().find(|track| track.number() == subscription.track()));
        let whole = whole.map(Outbound::whole_rate).sum();
        let told = Told { sent: &self.sent, epoch, path, sound, whole, wait };
        self.flow.handle_report(now, (&self.report, report), told);
        self.report = *report;
        moved
    }

    /// What goes to it over TCP, bytes a second: the sound of its tracks, but for what copies bring, which are in its accounts.
    pub fn over_tcp(&self, now: Instant, tracks: &[Outbound]) -> f64 {
        if !self.wants.sound {
            return 0.0;
        }
        let whole = self.subscriptions.iter().filter(|subscription| !subscription.copies.is_on(now));
        whole.filter_map(|subscription| rate(subscription, tracks)).sum()
    }

    /// The sound of all its tracks, bytes a second.
    pub fn sound_rate(&self, tracks: &[Outbound]) -> f64 {
        self.subscriptions.iter().filter_map(|subscription| rate(subscription, tracks)).sum()
    }

    /// Nothing was heard of it for long: what it could ask for is of no use when it is back, and it may never be.
    pub fn forget(&mut self) {
        self.sent.forget();
        // When it is back it is sent all of the picture, as one that comes is.
        self.subscriptions.iter_mut().for_each(|subscription| subscription.delivery.lose_all());
        self.resend = VecDeque::new();
        self.drop_shards(|_, _| true);
    }

    /// Whether older pictures are worth keeping for it: those it takes long to be sent.
    pub fn is_slow(&self) -> bool {
        self.flow.is_paced()
    }

    /// It misses packets: what was in them is queued again, unless it was caught before `horizon` and is of no use any more, as
    /// far as it may be repeated. The path takes datagrams of `size` bytes.
    pub fn handle_nack(
        &mut self,
        now: Instant,
        nack: &Nack,
        (rtt, size): (Duration, usize),
        horizon: MediaTime,
        tracks: &[Outbound],
    ) {
        self.stats.nacks += 1;
        let payload = payload_of(size);
        let Peer { sent, resend, repairs, subscriptions, .. } = self;
        sent.take_lost(now, nack, rtt, |piece| {
            let Some(log) = tracks.iter().find(|track| track.number() == piece.track).map(|track| &track.log) else {
                return true;
            };
            let Some(subscription) = subscriptions.iter_mut().find(|subscription| subscription.track() == piece.track) else {
                return true;
            };
            let Some(slice) = log.slice(piece.slice).filter(|slice| slice.capture() >= horizon) else { return true };
            if subscription.is_cut_otherwise(piece.slice, piece.cut) {
                return true;
            }
            let len = slice.fragment(piece.fragment, piece.cut.into()).1.len();
            let (cut, fragments) = match len > payload {
                true => subscription::anew(slice, piece.cut.into(), payload),
                false => (piece.cut.into(), 1),
            };
            let bytes = if len > payload { slice.bytes().len() } else { len };
            let bytes = bytes + usize::from(fragments) * (Path::OVERHEAD + FRAGMENT_LEN);
            if resend.len() + usize::from(fragments) > MAX_RESEND || !repairs.take(now, bytes) {
                return false;
            }
            if len > payload {
                subscription.cut_anew(log, piece.slice, cut);
                resend.extend((0..fragments).map(|fragment| SentFragment { fragment, cut: cut as u16, ..piece }));
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
        tracks: &mut [Outbound],
        (path, size): (&mut Path, usize),
        buffer: &mut Vec<u8>,
    ) -> usize {
        let run = if self.flow.is_paced() { PACED_RUN } else { MAX_RUN };
        let (run, payload) = ((run / (size - SHARD_MORE)).max(1), payload_of(size));
        let mut fresh = false;
        let mut segment = 0;
        if self.repeats(tracks) {
            let ahead = self.ahead(tracks);
            segment = self.fill_resends(now, (run, payload), (tracks, &ahead), path, buffer);
            if segment == 0 {
                segment = self.fill_parity((run, size), &ahead, path, buffer);
            }
        }
        if segment == 0 {
            (segment, fresh) = self.fill_fresh(now, (run, payload), tracks, path, buffer);
        }
        if segment > 0 {
            let datagrams = buffer.len().div_ceil(segment);
            if fresh {
                self.repairs.sent(now, buffer.len());
            }
            let fresh = if fresh { buffer.len() - datagrams * (Path::OVERHEAD + FRAGMENT_LEN) } else { 0 };
            self.flow.sent(now, (datagrams, buffer.len()), fresh);
            buffer.chunks(segment).for_each(|datagram| path.left(datagram.len()));
            self.stats.bytes += buffer.len() as u64;
            self.stats.datagrams += datagrams as u64;
        }
        segment
    }

    /// All shards of one run of slices have one length, those of another may be shorter. None is of a track that is `ahead`.
    fn fill_parity(&mut self, (run, size): (usize, usize), ahead: &[u8], path: &mut Path, buffer: &mut Vec<u8>) -> usize {
        // Those of a picture that was cut for a path that took more.
        self.drop_shards(|_, len| len > size);
        let mut segment = 0;
        for _ in 0..run {
            let Some(at) = self.parity.iter().position(|(track, _)| !ahead.contains(track)) else { break };
            let (track, message) = &self.parity[at];
            let (track, len) = (*track, message.len() + Path::OVERHEAD);
            if segment != 0 && len > segment {
                break;
            }
            path.seal(buffer, |out| out.extend_from_slice(message));
            self.parity.remove(at);
            self.charge(track, len);
            self.stats.parity += 1;
            segment = segment.max(len);
            if len < segment {
                break;
            }
        }
        segment
    }

    /// A slice was sent to its end: if its picture was, its shards follow, where the path needs any, as far as they may.
    fn slice_sent(&mut self, now: Instant, place: usize, slice: u64, track: &mut Outbound) {
        let Some(cut) = self.subscriptions[place].slice_sent(slice, &track.log) else { return };
        let loss = self.flow.unmended_loss();
        if loss > 0.0 && !track.lossless {
            let number = track.number();
            self.drop_shards(|of, _| of == number);
            let count = track.log.slice(slice).map_or(0, |slice| self.subscriptions[place].count_of(slice));
            let messages = track.parity.messages(&track.log, (slice, count), cut, loss).iter();
            let repairs = &mut self.repairs;
            let paid = messages.take_while(|message| repairs.take(now, message.len() + Path::OVERHEAD));
            self.parity.extend(paid.map(|message| (number, message.clone())));
        }
    }

    /// Shards that are not sent after all cost nothing: those of a track whose datagrams have such a length.
    fn drop_shards(&mut self, dropped: impl Fn(u8, usize) -> bool) {
        let Peer { parity, repairs, .. } = self;
        parity.retain(|(track, message)| {
            let len = message.len() + Path::OVERHEAD;
            let kept = !dropped(*track, len);
            if !kept {
                repairs.give_back(len);
            }
            kept
        });
    }

    /// Pieces of tracks that are `ahead` wait, and hold up no others.
    fn fill_resends(
        &mut self,
        now: Instant,
        (run, payload): (usize, usize),
        (tracks, ahead): (&[Outbound], &[u8]),
        path: &mut Path,
        buffer: &mut Vec<u8>,
    ) -> usize {
        let (mut segment, mut left, mut let_go) = (0, run, false);
        while let Some(at) = self.resend.iter().position(|piece| !ahead.contains(&piece.track)).filter(|_| left > 0) {
            let piece = self.resend[at];
            let log = tracks.iter().find(|track| track.number() == piece.track).map(|track| &track.log);
            let Some(slice) = log.and_then(|log| log.slice(piece.slice)) else {
                self.resend.remove(at);
                continue;
            };
            let Some(of) = self.subscriptions.iter().find(|of| of.track() == piece.track) else {
                self.resend.remove(at);
                continue;
            };
            let (head, piece_payload) = of.fragment(slice, piece.fragment, piece.cut.into());
            let len = piece_payload.len() + Path::OVERHEAD + FRAGMENT_LEN;
            if piece_payload.len() > payload {
                // The path takes less than when it was asked for. It is asked for again, and then cut anew.
                self.resend.remove(at);
                self.repairs.give_back(len);
                if !std::mem::replace(&mut let_go, true) {
                    self.sent.ask_anew(payload);
                }
                continue;
            }
            if segment != 0 && len > segment {
                break;
            }
            let number = path.seal(buffer, |out| Message::Fragment(piece.track, head, piece_payload).encode(out));
            self.sent.record(now, number, piece, slice.picture, len);
            self.charge(piece.track, len);
            self.resend.remove(at);
            self.stats.resent += 1;
            (segment, left) = (segment.max(len), left - 1);
            if len < segment {
                break;
            }
        }
        segment
    }

    /// A run of one track; whether there was anything.
    fn fill_fresh(
        &mut self,
        now: Instant,
        (run, payload): (usize, usize),
        tracks: &mut [Outbound],
        path: &mut Path,
        buffer: &mut Vec<u8>,
    ) -> (usize, bool) {
        while let Some((place, of)) = self.next_fresh(tracks) {
            self.take_turn((place, of), tracks);
            let (subscription, track) = (&mut self.subscriptions[place], &mut tracks[of]);
            let paced = self.flow.is_paced();
            self.stats.skipped += subscription.catch_up(now, track, paced);
            let Some(sending) = subscription.sending(now, track, payload) else { continue };
            let number = track.number();
            for _ in 0..run {
                let Some((piece, picture, (head, payload))) = subscription.next_fragment(&track.log) else { break };
                let before = buffer.len();
                let packet = path.seal(buffer, |out| Message::Fragment(number, head, payload).encode(out));
                self.sent.record(now, packet, piece, picture, buffer.len() - before);
                if subscription.is_past(sending) {
                    break;
                }
            }
            let cut = subscription.cut_of_slice();
            subscription.served += buffer.len() as u64;
            if subscription.is_past(sending) {
                self.slice_sent(now, place, sending, track);
            }
            return (buffer.len().min(cut + Path::OVERHEAD + FRAGMENT_LEN), true);
        }
        (0, false)
    }
}

/// Bytes a second of the sound of a subscription, as it is sent.
fn rate(subscription: &Subscription, tracks: &[Outbound]) -> Option<f64> {
    let track = tracks.iter().find(|track| track.number() == subscription.track())?;
    Some(subscription.sound_rate(track))
}
