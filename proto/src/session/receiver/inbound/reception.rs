//! What comes of one track: put together, settled, heard, ended. Made when the track comes and dropped with it.
//!
//! Slices leave as events the moment they are whole; pictures are settled in order.

use super::super::budget;
use super::ending::Ending;
use super::pace::Pace;
use super::proof::Proof;
use super::{AcrossSenders, Wants};
use crate::media::depacketizer::{Buffers, Depacketizer, Limits, Pushed, Settled};
use crate::media::missed::{Missed, Told};
use crate::media::recovery::Recovery;
use crate::session::TrackId;
use crate::session::events::Event;
use crate::session::path::Rtt;
use crate::session::sound_receiver::{Came, SoundReceiver};
use crate::session::stats::Received;
use crate::sound::{Block, Form, Numbered, Packet};
use crate::time::MediaTime;
use crate::wire::datagram::{FragmentHead, Message};
use crate::wire::record::End;
use crate::wire::report::{Misses, TrackReport};
use crate::wire::sound::SoundRequest;
use std::time::{Duration, Instant};

/// A picture is shown in part one picture period after it should have come, within these bounds.
const LIVE_WAIT: (Duration, Duration) = (Duration::from_millis(16), Duration::from_millis(50));

/// Live pictures being put together at once, and their bytes.
const LIVE_LIMITS: Limits = Limits { pictures: 2, bytes: 16 << 20, wait: LIVE_WAIT.1, longest: LOSSLESS_WAIT, newest_wins: true };

/// A file that is written waits for a retransmission this long; the pictures of that time at 120 a second, and their bytes.
const LOSSLESS_WAIT: Duration = Duration::from_secs(2);
const LOSSLESS_LIMITS: Limits =
    Limits { pictures: 256, bytes: budget::COMMON, wait: LOSSLESS_WAIT, longest: LOSSLESS_WAIT, newest_wins: false };

/// Of a film that has more than its path takes many pictures are under way at once. Its sender keeps them so long.
const FILM_LIMITS: Limits = Limits { longest: Duration::from_secs(6), ..LOSSLESS_LIMITS };

pub(in crate::session::receiver) struct Reception {
    pub id: TrackId,
    wants: Wants,
    /// Its sender skips nothing.
    film: bool,
    depacketizer: Depacketizer,
    recovery: Recovery,
    /// Bytes of both, as the budget knows them.
    held: usize,
    sound: SoundReceiver,
    pace: Pace,
    /// Copies of sound help: nothing of it waits for what TCP brings late.
    wants_copies: bool,
    /// Its sender was told that there is no use for its sound.
    unheard: bool,
    /// Number after the last block of sound.
    blocks: u64,
    /// In which form the newest block came.
    pub form: Option<Form>,
    /// Where a file is written, the sender is told of pictures in it, not of pictures that came.
    written: Option<u64>,
    /// A film went elsewhere: of the pictures from the first number on, to the second, none will settle.
    skipped: Option<(u64, u64)>,
    /// Pictures shown or written, since its connection began.
    shown: u32,
    last_picture: Option<(Instant, Duration)>,
    missed: Missed,
    /// Something was missed that is not told yet.
    to_tell: bool,
    /// Slices of its pictures are of some MCUs alone.
    partial: bool,
    ending: Ending,
    /// Packets given up on its path when a piece of a picture came last over this connection.
    lost_packets: Option<u64>,
    /// What is counted elsewhere is added by [`Reception::received`].
    counts: Received,
}

impl Reception {
    /// Nothing of it came yet. Packets below number `first` are none of its.
    pub fn new(id: TrackId, film: bool, wants: Wants, first: u64) -> Self {
        let limits = match film {
            true => FILM_LIMITS,
            false if wants.lossless => LOSSLESS_LIMITS,
            false => LIVE_LIMITS,
        };
        Reception {
            id,
            wants,
            film,
            depacketizer: Depacketizer::new(limits),
            recovery: Recovery::default(),
            held: 0,
            sound: SoundReceiver::new(first),
            pace: Pace::new(film),
            wants_copies: wants.sound && !(film && wants.lossless),
            unheard: false,
            blocks: 0,
            form: None,
            written: None,
            skipped: None,
            shown: 0,
            last_picture: None,
            missed: Missed::default(),
            to_tell: false,
            partial: false,
            ending: Ending::Open,
            lost_packets: None,
            counts: Received::default(),
        }
    }

    /// Its sender came back over another connection.
    pub fn reconnected(&mut self) {
        self.sound.reconnected();
        (self.shown, self.lost_packets) = (0, None);
        if self.film {
            // Nothing is skipped: the sender begins again with the oldest picture that is not settled.
            self.depacketizer.forget_pieces();
        }
    }

    /// What it holds is given back.
    pub fn leave(self, across: &mut AcrossSenders) {
        across.budget.changed(self.held, 0);
    }

    /// What came of it so far.
    pub fn received(&self) -> Received {
        let heard = self.sound.counts();
        let mut received = self.counts;
        received += &Received {
            copied_blocks: heard.copied,
            duplicate_blocks: heard.duplicates,
            assembly_bytes: self.depacketizer.bytes() as u64,
            ..Received::default()
        };
        received
    }

    /// The application is told that one of its pictures is settled, whichever way it came.
    pub fn told(&mut self, settled: &Settled) {
        self.counts.count(settled);
    }

    /// The application is told of a block of its sound, `packet`: as an Opus packet.
    pub fn told_sound(&mut self, packet: bool) {
        self.counts.blocks += 1;
        self.counts.packets += u64::from(packet);
    }

    /// What came of it another way, by which nothing comes any more, counts as its.
    pub fn came_besides(&mut self, received: &Received) {
        self.counts += received;
    }

    /// This process stood still.
    pub fn stood_still(&mut self, now: Instant) {
        self.sound.stood_still(now);
    }

    /// So many more pictures were shown.
    pub fn shown(&mut self, more: u32) {
        self.shown = self.shown.saturating_add(more);
    }

    /// Every picture below is written.
    pub fn written(&mut self, next: u64) {
        self.written = Some(next);
    }

    /// A datagram came over the connection in use, on a path that overtakes by so much.
    pub fn datagram_came(&mut self, now: Instant, number: u64, overtaken: Duration) {
        self.sound.datagram_came(now, number, overtaken);
    }

    /// Its sender says that its microphone is muted, or is not.
    pub fn muted(&mut self, muted: bool) {
        if muted {
            self.sound.rests();
        }
    }

    /// Its sender is told whether its sound is of use.
    pub fn hears(&mut self, sound: bool) {
        self.unheard = !sound;
        self.muted(!sound);
    }

    /// It begins with this picture, where all is waited for.
    pub fn begins_at(&mut self, first: u64) {
        if self.depacketizer.is_patient() {
            self.depacketizer.begin_at(first);
        }
    }

    /// The film it is goes on with this picture: what is not whole of those before it never will be.
    pub fn goes_on_at(&mut self, first: u64, buffers: &mut Buffers) {
        let settled = self.depacketizer.settled();
        if !self.film || first <= settled {
            return;
        }
        self.depacketizer.skip_to(first, buffers);
        let before = self.skipped.filter(|(_, first)| *first >= settled).map_or(settled, |(before, _)| before);
        self.skipped = Some((before, first));
    }

    /// No sound is late until some has come.
    pub fn sound_rests(&mut self) {
        self.sound.rests();
    }

    /// A datagram of media, of so many bytes, which came over the connection in use (`current`) or the one before it; `gaps` are
    /// whether packets are missing on its path, and how many were given up. Says whether it is the first that proves that its
    /// sender sends.
    pub fn message(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        (bytes, current, overtaken): (usize, bool, Duration),
        (misses, lost): (bool, u64),
        proof: &mut Proof,
        across: &mut AcrossSenders,
    ) -> bool {
        self.counts.datagrams += 1;
        self.counts.bytes += bytes as u64;
        self.depacketizer.note_all_came(current && !misses && self.lost_packets == Some(lost));
        if current && matches!(message, Message::Fragment(..)) {
            self.lost_packets = Some(lost);
        }
        match message {
            // All of it comes over the new connection, cut for that.
            Message::Fragment(..) if self.film && !current => false,
            Message::Fragment(_, head, payload) if self.wants.pictures => {
                self.recovery.push_fragment(now, *head, payload);
                let proved = self.take_fragment(now, *head, payload, proof, across);
                self.take_recovered(now, overtaken, proof, across) | proved
            }
            Message::Shard(_, shard) if self.wants.pictures => {
                self.recovery.push_shard(now, shard);
                self.take_recovered(now, overtaken, proof, across)
            }
            Message::Piece(_, piece) if self.wants.sound => {
                let whole = self.sound.piece_came(now, piece);
                whole.is_some_and(|sound| self.take_sound(now, sound, proof, across))
            }
            Message::Packets(_, packets) if self.takes_packets() => {
                let before = packets.before.map(|block| Numbered { number: packets.number.saturating_sub(1), block });
                let newest = Numbered { number: packets.number, block: packets.newest };
                let mut proved = false;
                for Numbered { number, block: Block { capture, channels, samples } } in before.into_iter().chain([newest]) {
                    let block = Block { capture, channels, samples: samples.into() };
                    proved |= self.packet_came(now, Numbered { number, block }, false, proof, across);
                }
                proved
            }
            // The rest is the path's.
            _ => false,
        }
    }

    /// Whether its sound may come as Opus packets: never that of a film, nor any where we have not said that we decode them.
    pub fn takes_packets(&self) -> bool {
        self.wants.packets && !self.film
    }

    /// A block came as an Opus packet, over TCP or beside it. Says whether it is the first that proves that its sender sends.
    pub fn packet_came(
        &mut self,
        now: Instant,
        sound: Numbered<MediaTime, Packet>,
        over_tcp: bool,
        proof: &mut Proof,
        across: &mut AcrossSenders,
    ) -> bool {
        let first = match self.wants.sound {
            true => match self.sound.packet_came(now, sound.number, sound.block.capture, over_tcp) {
                Came::First => true,
                Came::Primer => false,
                Came::Again => return false,
            },
            false => return false,
        };
        if !self.takes_block(now, first.then_some(sound.number)) {
            return false;
        }
        if first {
            self.form = Some(Form::Opus);
        }
        across.events.push_back(Event::Packet { track: self.id, sound, first });
        first && proof.sent(now)
    }

    /// A block came over TCP. Says whether it is the first that proves that its sender sends.
    pub fn block_came(
        &mut self,
        now: Instant,
        sound: Numbered<MediaTime>,
        proof: &mut Proof,
        across: &mut AcrossSenders,
    ) -> bool {
        self.wants.sound
            && self.sound.block_came(now, sound.number, sound.block.capture, sound.block.frames())
            && self.take_sound(now, sound, proof, across)
    }

    fn take_fragment(
        &mut self,
        now: Instant,
        head: FragmentHead,
        payload: &[u8],
        proof: &mut Proof,
        across: &mut AcrossSenders,
    ) -> bool {
        match self.depacketizer.push(now, head, payload, &mut across.buffers) {
            Pushed::Stored => self.ending.goes_on(now),
            Pushed::Slice(slice) => {
                self.ending.goes_on(now);
                self.counts.slices += 1;
                self.partial |= slice.head().mcus.is_some();
                across.events.push_back(Event::Slice(self.id, slice));
                return proof.wants_evidence(now) && proof.sent(now);
            }
            // Any bytes can be called a slice: it came, and proves nothing.
            Pushed::Headless(picture) => {
                self.ending.goes_on(now);
                self.counts.slices += 1;
                self.missed.missed(picture);
            }
            Pushed::Late => self.counts.late += 1,
            Pushed::Bad => self.counts.bad += 1,
        }
        false
    }

    fn take_recovered(&mut self, now: Instant, overtaken: Duration, proof: &mut Proof, across: &mut AcrossSenders) -> bool {
        let mut proved = false;
        while let Some((head, payload)) = self.recovery.poll() {
            self.counts.recovered += 1;
            proved |= self.take_fragment(now, head, &payload, proof, across);
        }
        self.settle(now, overtaken, false, across);
        proved
    }

    /// The first copy of a block is here.
    fn take_sound(&mut self, now: Instant, sound: Numbered<MediaTime>, proof: &mut Proof, across: &mut AcrossSenders) -> bool {
        if !self.takes_block(now, Some(sound.number)) {
            return false;
        }
        self.form = Some(Form::Pcm);
        across.events.push_back(Event::Sound(self.id, sound));
        proof.sent(now)
    }

    /// Whether sound is taken now, of which this is the number where it is the first copy of its block.
    fn takes_block(&mut self, now: Instant, first: Option<u64>) -> bool {
        let takes = self.pace.takes(now);
        if !takes {
            self.counts.bad += 1;
        } else if let Some(number) = first {
            self.ending.goes_on(now);
            self.blocks = self.blocks.max(number.saturating_add(1));
        }
        takes
    }

    /// What is whole, or is waited for no longer, on a path that overtakes by so much. `all_came`: no packet is missing.
    pub fn settle(&mut self, now: Instant, overtaken: Duration, all_came: bool, across: &mut AcrossSenders) {
        if all_came && !self.film {
            self.depacketizer.nothing_is_missing();
        }
        let room = across.budget.room(self.held);
        // What is kept for shards makes no room of what is put together.
        self.recovery.set_room(room / 2);
        self.depacketizer.set_room(room - self.recovery.bytes().min(room / 2));
        while let Some(settled) = self.depacketizer.poll_settled(now, &mut across.buffers) {
            self.to_tell |= self.missed.settled(settled.picture, settled.is_whole());
            if settled.count > 0 && !self.wants.lossless {
                // The wait follows the picture period as it is seen.
                let period = self
                    .last_picture
                    .map_or(LIVE_WAIT.1, |(at, period)| (period * 7 + now.saturating_duration_since(at).min(LIVE_WAIT.1)) / 8);
                self.last_picture = Some((now, period));
                if !self.depacketizer.is_patient() {
                    self.depacketizer.set_wait(period.clamp(LIVE_WAIT.0, LIVE_WAIT.1));
                    self.depacketizer.set_overtaken(overtaken, period);
                }
            }
            self.tell_settled(settled, across);
        }
        let holds = self.depacketizer.bytes() + self.recovery.bytes();
        across.budget.changed(std::mem::replace(&mut self.held, holds), holds);
    }

    /// A picture came, and was not drawn. Whether it is so long ago that all is to be sent again.
    pub fn was_missed(&mut self, picture: u64) -> bool {
        let told = self.missed.missed(picture);
        self.to_tell |= told == Told::Next;
        told == Told::TooLate
    }

    /// What is to be told at once of pictures that were missed. Where each picture has all, the next one mends it.
    pub fn misses(&mut self) -> Option<Misses> {
        let tells = std::mem::take(&mut self.to_tell) && self.partial;
        self.missed.settled_up_to(self.depacketizer.settled());
        tells.then(|| Misses { settled: self.depacketizer.settled(), missed: self.missed.bits() })
    }

    /// Whether a picture is begun and not whole.
    pub fn is_waiting(&self) -> bool {
        self.depacketizer.is_waiting()
    }

    fn tell_settled(&mut self, settled: Settled, across: &mut AcrossSenders) {
        let track = self.id;
        let parts = std::iter::from_fn(|| self.depacketizer.poll_part());
        across.events.extend(parts.map(|part| Event::Part(track, part)));
        across.events.push_back(Event::Settled(track, settled));
    }

    /// The sender says that its stream ends. Believed once, and not where more than that came; whether it sent anything at all is
    /// asked when the stream ends ([`Reception::finish_end`]), for the record may overtake the last picture.
    pub fn end_said(&mut self, now: Instant, end: End) {
        let contradicts = end.pictures < self.depacketizer.end() || end.blocks < self.blocks;
        if matches!(self.ending, Ending::Open) && !contradicts {
            self.ending.said(now, end);
            self.depacketizer.expect_up_to(now, end.pictures);
        }
    }

    /// Number after the last picture, once everything is here, or the wait is over, or (`gone`) nothing more can come. Said once.
    fn has_ended(&mut self, now: Instant, gone: bool, proof: &Proof) -> Option<u64> {
        let Ending::Said(end, deadline) = self.ending else { return None };
        let pictures = !self.wants.pictures || self.depacketizer.settled() >= end.pictures;
        let blocks = !self.wants.sound || self.blocks >= end.blocks;
        let proven = proof.is_proven();
        if !(pictures && blocks && proven) && now < deadline && !gone {
            return None;
        }
        self.ending = if proven { Ending::Over } else { Ending::Open };
        proven.then_some(end.pictures)
    }

    /// Finishes a stream that has ended, and says whether it did just now. `gone`: nothing more can come.
    pub fn finish_end(&mut self, now: Instant, gone: bool, proof: &Proof, across: &mut AcrossSenders) -> bool {
        let Some(end) = self.has_ended(now, gone, proof) else { return false };
        while let Some(settled) = self.depacketizer.give_up(end, &mut across.buffers) {
            self.tell_settled(settled, across);
        }
        across.events.push_back(Event::Ended(self.id));
        true
    }

    /// How long after their capture, in ms, its pictures are of use to it, where anything that is missing is wanted: of a picture
    /// that began and whose deadline an answer meets, or, lossless, of any.
    pub fn patience(&self, now: Instant, rtt: Rtt, overtaken: Duration) -> Option<u16> {
        let pictures = &self.depacketizer;
        if pictures.is_patient() {
            // A film's sender keeps what is not settled, however old.
            return Some(u16::MAX);
        }
        let in_time = pictures.last_deadline().is_some_and(|deadline| now + rtt.smoothed <= deadline);
        // Live, a late answer is of no use.
        let patience = (pictures.wait() + overtaken).as_millis() as u16;
        (pictures.is_waiting() && in_time).then(|| patience.saturating_mul(2))
    }

    /// What is wanted of its sound beside TCP, if anything is to be said of that.
    pub fn wanted(&mut self, now: Instant) -> Option<SoundRequest> {
        if self.wants_copies && !self.unheard { self.sound.poll(now) } else { None }
    }

    /// How far it is.
    pub fn report(&mut self) -> TrackReport {
        let pictures = &self.depacketizer;
        // Whoever has written all that it was given before a film went elsewhere is where that goes on.
        let skips = |written: u64| self.skipped.filter(|(before, _)| written >= *before).map_or(0, |(_, first)| first);
        let written = self.written.map(|written| written.max(skips(written)));
        let settled = written.map_or(pictures.settled(), |written| pictures.settled().min(written));
        let wait_ms = if pictures.is_patient() { u16::MAX } else { pictures.wait().as_millis() as u16 };
        self.missed.settled_up_to(pictures.settled());
        // Who writes says when a picture is written: what was missed is told of those before that.
        let missed = self.missed.bits_below(settled);
        TrackReport { track: self.id.track, settled, shown: self.shown, wait_ms, missed }
    }

    /// When something is to be done although nothing comes.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let copies = self.sound.deadline(now).filter(|_| self.wants_copies && !self.unheard);
        [self.ending.deadline(), self.depacketizer.deadline(), copies].into_iter().flatten().min()
    }
}
