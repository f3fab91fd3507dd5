//! All state of one sender: what it sends is put together, what is missing is asked for. Dropped with it, and made anew with another;
//! nothing here knows of another sender but through [`Shared`].
//!
//! Slices leave as events the moment they are whole; pictures are settled in order.

mod ending;
mod feedback;
mod narrow;
mod proof;

pub(super) use feedback::Feedback;

use self::ending::Ending;
use self::proof::Proof;
use super::budget::Budget;
use super::events::Event;
use crate::media::clock::Estimate;
use crate::media::depacketizer::{Buffers, Depacketizer, Limits, Pushed, Settled, Slice};
use crate::media::recovery::Recovery;
use crate::session::TrackId;
use crate::session::hearing::Hearing;
use crate::session::link::LinkId;
use crate::session::path::{Control, Path, QUIET, Rtt};
use crate::session::stats::Received;
use crate::time::MediaTime;
use crate::wire::datagram::{FragmentHead, Message};
use crate::wire::record::{End, OWN_TRACK, Track};
use crate::wire::slice::Head;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A picture is shown in part one picture period after it should have come, within these bounds.
const LIVE_WAIT: (Duration, Duration) = (Duration::from_millis(16), Duration::from_millis(50));

/// Live pictures being put together at once, and their bytes.
const LIVE_LIMITS: Limits = Limits { pictures: 2, bytes: 16 << 20, wait: LIVE_WAIT.1, newest_wins: true };

/// A file that is written waits for a retransmission this long; the pictures of that time at 120 a second, and their bytes.
const PATIENT_LIMITS: Limits =
    Limits { pictures: 256, bytes: super::budget::COMMON, wait: Duration::from_secs(2), newest_wins: false };

/// Between two reports.
const REPORT: Duration = Duration::from_millis(100);

/// What we want of senders.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    pub pictures: bool,
    pub sound: bool,
    /// A file is written.
    pub patient: bool,
}

/// What all senders have in common.
#[derive(Default)]
pub(super) struct Shared {
    pub events: VecDeque<Event>,
    pub buffers: Buffers,
    pub budget: Budget,
}

/// A block of sound that came over TCP, out of the endpoint's buffer.
pub(super) struct Block {
    pub number: u64,
    pub capture: MediaTime,
    pub channels: u8,
    pub samples: Vec<u8>,
}

/// See the module text.
pub(super) struct Inbound {
    pub track: TrackId,
    wants: Wants,
    /// It skips nothing.
    film: bool,
    /// What counts since its connection began.
    pub feedback: Feedback,
    /// The link before it, of which the last may still be on its way.
    former: Option<LinkId>,
    clock: Estimate,
    depacketizer: Depacketizer,
    recovery: Recovery,
    /// Bytes of both, as the budget knows them.
    held: usize,
    next_report: Instant,
    quiet: bool,
    hearing: Hearing,
    /// Copies of sound help: nothing of it waits for what TCP brings late.
    wants_copies: bool,
    /// Number after the last block of sound.
    blocks: u64,
    /// Where a file is written, the sender is told of pictures in it, not of pictures that came.
    written: Option<u64>,
    last_picture: Option<(Instant, Duration)>,
    /// What it says that it sends.
    described: Option<Track>,
    pub proof: Proof,
    ending: Ending,
    /// What is counted elsewhere is added by [`Inbound::received`].
    counts: Received,
    /// Packets that its earlier connections lost.
    lost_before: u64,
}

impl Inbound {
    /// Nothing of it has been looked at yet but its packet numbers.
    pub fn new(now: Instant, track: TrackId, film: bool, feedback: Feedback, wants: Wants) -> Self {
        let limits = if film || wants.patient { PATIENT_LIMITS } else { LIVE_LIMITS };
        Inbound {
            track,
            wants,
            film,
            former: None,
            clock: Estimate::new(),
            depacketizer: Depacketizer::new(limits),
            recovery: Recovery::default(),
            held: 0,
            next_report: now + REPORT,
            quiet: false,
            hearing: Hearing::new(feedback.next_expected()),
            wants_copies: wants.sound && !(film && wants.patient),
            blocks: 0,
            written: None,
            last_picture: None,
            described: None,
            proof: Proof::new(),
            ending: Ending::Open,
            counts: Received::default(),
            lost_before: 0,
            feedback,
        }
    }

    /// The link in use.
    pub fn link(&self) -> LinkId {
        self.feedback.link
    }

    /// Whether pictures that come over `link` are its.
    pub fn is_of(&self, link: LinkId) -> bool {
        self.feedback.link == link || self.former == Some(link)
    }

    /// The same process came back: pictures and blocks go on, and all that is counted by connection starts afresh.
    pub fn reconnected(&mut self, link: LinkId) {
        self.lost_before += self.feedback.lost();
        let fresh = Feedback::new(link, self.depacketizer.is_patient());
        self.former = Some(std::mem::replace(&mut self.feedback, fresh).link);
        self.hearing.reconnected();
        if self.film {
            // Nothing is skipped: the sender begins again with the oldest picture that is not settled.
            self.depacketizer.forget_pieces();
        }
    }

    /// It gives up its place, and what it holds is given back; what is left is what a sender that waits has.
    pub fn leave(mut self, shared: &mut Shared) -> (Feedback, Option<Track>) {
        shared.budget.changed(std::mem::take(&mut self.held), 0);
        (self.feedback, self.described)
    }

    /// What came of it so far.
    pub fn received(&self) -> Received {
        let heard = self.hearing.counts();
        Received {
            lost_packets: self.lost_before + self.feedback.lost(),
            copied_blocks: heard.copied,
            duplicate_blocks: heard.duplicates,
            assembly_bytes: self.depacketizer.bytes() as u64,
            ..self.counts
        }
    }

    /// Nothing is heard of it.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// It can be left when its stream is over: it is live, and somebody only watches.
    pub fn is_watched(&self) -> bool {
        !self.film && !self.wants.patient
    }

    /// This process stood still.
    pub fn stood_still(&mut self, now: Instant) {
        self.hearing.stood_still(now);
    }

    /// So many more pictures were shown.
    pub fn shown(&mut self, more: u32) {
        self.feedback.shown(more);
    }

    /// Every picture below is written.
    pub fn written(&mut self, next: u64) {
        self.written = Some(next);
    }

    /// A datagram of so many bytes came over the connection in use, `data` if it carried a piece of a picture.
    pub fn datagram_came(&mut self, now: Instant, number: u64, bytes: usize, data: bool) {
        self.feedback.datagram_came(now, number, bytes, data);
        self.hearing.datagram_came(now, number, self.feedback.overtaken(now));
    }

    /// This packet was a probe that was too long for the path: it is asked for by nobody, and the path loses nothing.
    pub fn is_no_loss(&mut self, now: Instant, number: u64) {
        self.feedback.is_no_loss(now, number);
        self.hearing.datagram_came(now, number, self.feedback.overtaken(now));
    }

    /// Its clock was asked, and answered.
    pub fn clock_came(&mut self, now: Instant, asked: Instant, received: MediaTime, replied: MediaTime, shared: &mut Shared) {
        self.clock.sample(now, asked, received, replied);
        let peer = self.track.peer;
        shared.events.extend(self.clock.mapping().map(|mapping| Event::Clock(peer, mapping)));
    }

    /// It says what it sends.
    pub fn described(&mut self, track: Track, shared: &mut Shared) {
        if self.depacketizer.is_patient() {
            self.depacketizer.begin_at(track.format.first);
        }
        // A sender may say it as often as it likes; it is news once.
        if self.described.as_ref() != Some(&track) {
            self.described = Some(track.clone());
            shared.events.push_back(Event::Track(self.track, track));
        }
    }

    /// A datagram of media, of so many bytes, at `at_us` on our media clock. Says whether it is the first that proves that it sends.
    pub fn message(
        &mut self,
        now: Instant,
        (link, number): (LinkId, u64),
        message: &Message<'_>,
        (bytes, at_us): (usize, u64),
        shared: &mut Shared,
    ) -> bool {
        self.counts.datagrams += 1;
        self.counts.bytes += bytes as u64;
        // Packet numbers, and what is told of them, are a connection's.
        let current = link == self.feedback.link;
        if current {
            self.datagram_came(now, number, bytes, matches!(message, Message::Fragment(..)));
        }
        match message {
            // All of it comes over the new connection, cut for that.
            Message::Fragment(..) if self.film && !current => false,
            Message::Fragment(_, head, payload) if self.wants.pictures => {
                self.proof.tries(now);
                if current {
                    self.feedback.piece_came(now, head, (number, bytes), at_us);
                }
                self.recovery.push_fragment(now, *head, payload);
                let proved = self.take_fragment(now, *head, payload, shared);
                self.take_recovered(now, shared) | proved
            }
            Message::Shard(_, shard) if self.wants.pictures => {
                self.recovery.push_shard(now, shard);
                self.take_recovered(now, shared)
            }
            Message::Piece(_, piece) if self.wants.sound => self.hearing.piece_came(now, piece).is_some_and(|whole| {
                let (number, capture, channels, samples) = (whole.number, whole.capture, whole.channels, whole.samples);
                self.take_sound(now, Block { number, capture, channels, samples }, shared)
            }),
            // A receiver is asked for nothing; the rest is the path's.
            _ => false,
        }
    }

    /// A block came over TCP. Says whether it is the first that proves that it sends.
    pub fn block_came(&mut self, now: Instant, block: Block, shared: &mut Shared) -> bool {
        let frames = block.samples.len() / (2 * usize::from(block.channels));
        self.wants.sound
            && self.hearing.block_came(now, block.number, block.capture, frames)
            && self.take_sound(now, block, shared)
    }

    fn take_fragment(&mut self, now: Instant, head: FragmentHead, payload: &[u8], shared: &mut Shared) -> bool {
        match self.depacketizer.push(now, head, payload, &mut shared.buffers) {
            Pushed::Stored => self.ending.goes_on(now),
            Pushed::Slice(slice) => {
                self.ending.goes_on(now);
                let evidence = self.proof.wants_evidence(now) && is_one(&slice);
                self.counts.slices += 1;
                shared.events.push_back(Event::Slice(self.track, slice));
                return evidence && self.proof.sent(now);
            }
            Pushed::Late => self.counts.late += 1,
            Pushed::Bad => self.counts.bad += 1,
        }
        false
    }

    fn take_recovered(&mut self, now: Instant, shared: &mut Shared) -> bool {
        let mut proved = false;
        while let Some((head, payload)) = self.recovery.poll() {
            self.counts.recovered += 1;
            proved |= self.take_fragment(now, head, &payload, shared);
        }
        self.settle(now, shared);
        proved
    }

    /// The first copy of a block is here.
    fn take_sound(&mut self, now: Instant, block: Block, shared: &mut Shared) -> bool {
        self.ending.goes_on(now);
        self.blocks = self.blocks.max(block.number.saturating_add(1));
        self.counts.blocks += 1;
        let (track, Block { number, capture, channels, samples }) = (self.track, block);
        shared.events.push_back(Event::Sound { track, number, capture, channels, samples });
        self.proof.sent(now)
    }

    /// What is whole, or is waited for no longer.
    pub fn settle(&mut self, now: Instant, shared: &mut Shared) {
        let room = shared.budget.room(self.held);
        // What is kept for shards makes no room of what is put together.
        self.recovery.set_room(room / 2);
        self.depacketizer.set_room(room - self.recovery.bytes().min(room / 2));
        while let Some(settled) = self.depacketizer.poll_settled(now, &mut shared.buffers) {
            self.count(settled);
            if settled.count > 0 && !self.wants.patient {
                // The wait follows the picture period as it is seen.
                let period = self
                    .last_picture
                    .map_or(LIVE_WAIT.1, |(at, period)| (period * 7 + now.saturating_duration_since(at).min(LIVE_WAIT.1)) / 8);
                self.last_picture = Some((now, period));
                if !self.depacketizer.is_patient() {
                    self.depacketizer.set_wait(period.clamp(LIVE_WAIT.0, LIVE_WAIT.1));
                    self.depacketizer.set_overtaken(self.feedback.overtaken(now), period);
                }
            }
            self.tell_settled(settled, shared);
        }
        if !self.depacketizer.is_waiting() {
            self.feedback.settle(now);
        }
        let holds = self.depacketizer.bytes() + self.recovery.bytes();
        shared.budget.changed(std::mem::replace(&mut self.held, holds), holds);
    }

    fn count(&mut self, settled: Settled) {
        let counter = match settled {
            whole if whole.is_whole() => &mut self.counts.whole,
            Settled { count: 0, .. } => &mut self.counts.lost,
            _ => &mut self.counts.partial,
        };
        *counter += 1;
    }

    fn tell_settled(&mut self, settled: Settled, shared: &mut Shared) {
        let track = self.track;
        let parts = std::iter::from_fn(|| self.depacketizer.poll_part());
        shared.events.extend(parts.map(|part| Event::Part(track, part)));
        shared.events.push_back(Event::Settled(track, settled));
    }

    /// The sender says that its stream ends. Believed once, of a sender that said what it sends, and not where more than that
    /// came; whether it sent anything at all is asked when the stream ends ([`Inbound::finish_end`]), for the record may overtake
    /// the last picture.
    pub fn end_said(&mut self, now: Instant, end: End) {
        let contradicts = end.pictures < self.depacketizer.end() || end.blocks < self.blocks;
        if matches!(self.ending, Ending::Open) && self.described.is_some() && !contradicts {
            self.ending.said(now, end);
            self.depacketizer.expect_up_to(now, end.pictures);
        }
    }

    /// Number after the last picture, once everything is here, or the wait is over, or (`gone`) nothing more can come. Said once.
    fn has_ended(&mut self, now: Instant, gone: bool) -> Option<u64> {
        let Ending::Said(end, deadline) = self.ending else { return None };
        let pictures = !self.wants.pictures || self.depacketizer.settled() >= end.pictures;
        let blocks = !self.wants.sound || self.blocks >= end.blocks;
        let proven = self.proof.is_proven();
        if !(pictures && blocks && proven) && now < deadline && !gone {
            return None;
        }
        self.ending = if proven { Ending::Over } else { Ending::Open };
        proven.then_some(end.pictures)
    }

    /// Finishes a stream that has ended, and says whether it did just now. `gone`: nothing more can come.
    pub fn finish_end(&mut self, now: Instant, gone: bool, shared: &mut Shared) -> bool {
        let Some(end) = self.has_ended(now, gone) else { return false };
        while let Some(settled) = self.depacketizer.give_up(end, &mut shared.buffers) {
            self.count(settled);
            self.tell_settled(settled, shared);
        }
        shared.events.push_back(Event::Finished(self.track));
        true
    }

    /// What is to be asked for now that something came, or time went by.
    pub fn requests(&mut self, now: Instant, rtt: Rtt) -> impl Iterator<Item = Control> + use<> {
        let nack = self.feedback.nack(now, rtt, &self.depacketizer);
        self.counts.nacks += u64::from(nack.is_some());
        let wanted = if self.wants_copies { self.hearing.poll(now) } else { None };
        nack.map(|nack| Control::Nack(Box::new(nack))).into_iter().chain(wanted.map(|wanted| Control::Wanted(OWN_TRACK, wanted)))
    }

    /// What it is told ten times a second.
    pub fn report(&mut self, now: Instant, at_us: u64) -> Option<Control> {
        if now < self.next_report {
            return None;
        }
        self.next_report = now + REPORT;
        let settled = self.depacketizer.settled();
        let settled = self.written.map_or(settled, |written| settled.min(written));
        Some(Control::Report(Box::new(self.feedback.report(at_us, settled, &self.depacketizer))))
    }

    /// What the application is told of its path: whether anything, and anything long, comes through. `reported`: it is time to look.
    pub fn watch(&mut self, now: Instant, path: Option<&Path>, reported: bool, shared: &mut Shared) {
        let peer = self.track.peer;
        if reported
            && let Some(narrow) = self.feedback.watch_narrow(now).filter(|_| self.wants.pictures)
            && let Some(address) = path.and_then(Path::address)
        {
            shared.events.push_back(Event::Narrow { peer, address, narrow });
        }
        let quiet = path.is_none_or(|path| path.heard().is_some() && path.is_quiet(now));
        if std::mem::replace(&mut self.quiet, quiet) != quiet {
            shared.events.push_back(Event::Quiet(peer, quiet));
        }
    }

    /// When something is to be done although nothing comes.
    pub fn deadline(&self, now: Instant, rtt: Rtt, heard: Option<Instant>) -> Option<Instant> {
        let copies = self.hearing.deadline(now).filter(|_| self.wants_copies);
        let silence = heard.filter(|_| !self.quiet).map(|heard| heard + QUIET);
        let nack = self.feedback.nack_deadline(now, rtt, &self.depacketizer);
        let pictures = self.depacketizer.deadline();
        [Some(self.next_report), self.ending.deadline(), pictures, copies, silence, nack].into_iter().flatten().min()
    }
}

/// Whether it can be a slice of a picture: any bytes can be called one.
fn is_one(slice: &Slice) -> bool {
    Head::decode(&slice.body).is_ok()
}
