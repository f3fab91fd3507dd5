//! Copies of sound beside TCP, for one peer: what it wants, what it has, and which pieces it is sent.
//!
//! Copies are made for as long as the peer says that it wants them (`sound_receiver` decides that there), each request good for
//! [`GOOD_FOR`]; and by the sender's own evidence, when TCP takes nothing or is gone. A block's halves are sent as soon as it is
//! caught, its recovery pieces with the next block, so that one burst does not take both. While copies flow TCP is given only
//! what they did not bring: a block waits for [`SoundCopies::hold`] until the peer may have said that it has it. A block of a
//! forwarded track that comes late, behind others that were copied, is copied as soon as it is there, all its pieces at once: it
//! has no time to lose.
//!
//! A block that goes as an Opus packet takes one datagram, with the packet of the block before it: what one loses the next one
//! brings.
//!
//! Holds no block: a number, and the log is asked.

use super::path::Path;
use super::sound_form::{self, Picked};
use super::sound_log::{self, Logged, SoundLog};
use crate::media::sound_pieces;
use crate::sound::Block;
use crate::time::MediaTime;
use crate::wire::datagram::Message;
use crate::wire::sound::{Packets, Piece, SoundRequest};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A request is repeated every 40 ms; when so many in a row are lost the peer is not there.
const GOOD_FOR: Duration = Duration::from_millis(500);

/// A peer says what it has every 40 ms, and blocks come every 10.
const SAID_WITHIN: Duration = Duration::from_millis(70);

/// Live, TCP must have it before it is stale (200 ms).
const MOST_HELD: Duration = Duration::from_millis(150);

/// A block TCP has not taken for so long is behind.
pub(super) const BEHIND: Duration = Duration::from_millis(35);

/// Copies with what recovers them may take this much of a path; the blocks alone are sent in any case.
const MOST_SHARE: f64 = 0.25;

/// Datagrams in one run: 16 KiB, a fraction of what GSO takes, so that pictures are not kept waiting.
const MAX_RUN: usize = 16;

/// Bytes of packets in a datagram: what passes everywhere, without what is around them.
const MOST_PACKETS: usize = 1000 - Path::OVERHEAD - Packets::HEAD_LEN;

/// Blocks copied at most when copies begin: live, older ones are stale.
const MOST_BEHIND: u64 = 20;

#[derive(Default)]
pub(super) struct SoundCopies {
    until: Option<Instant>,
    /// Pieces of each block.
    pieces: u8,
    /// The next block to be copied, and its next piece; the recovery pieces of the block copied before come behind its halves.
    next: u64,
    piece: u8,
    before: Option<u64>,
    /// Blocks before it that were not there, and their next piece.
    passed: VecDeque<(u64, u8)>,
    /// The block whose packet went out last.
    packet: Option<u64>,
    /// What went out last was packets.
    as_packets: bool,
    /// Every block below is there.
    have: u64,
}

impl SoundCopies {
    /// The peer says what it wants and has.
    pub fn handle_wanted(&mut self, now: Instant, wanted: SoundRequest, log: &SoundLog) {
        self.have = self.have.max(wanted.next.min(log.end()));
        match wanted.pieces {
            0 => self.until = None,
            pieces => self.begin(now, wanted.next, pieces, log),
        }
    }

    /// TCP takes nothing, and `next` is the first block it did not.
    pub fn tcp_is_behind(&mut self, now: Instant, next: u64, log: &SoundLog) {
        let pieces = self.pieces.max(2);
        self.begin(now, next, pieces, log);
    }

    /// Nothing else carries the sound: from now on all of it is copied.
    pub fn carry_all(&mut self, now: Instant, log: &SoundLog) {
        let pieces = self.pieces.max(2);
        self.begin(now, log.end(), pieces, log);
    }

    fn begin(&mut self, now: Instant, next: u64, pieces: u8, log: &SoundLog) {
        if !self.is_on(now) {
            self.skip_to(next.min(log.end()).max(log.end().saturating_sub(MOST_BEHIND)));
        }
        self.pieces = pieces;
        self.until = self.until.max(Some(now + GOOD_FOR));
    }

    /// Nothing passes: what was caught meanwhile is not copied when it does again, for it would be late by the outage, and sound
    /// with it.
    pub fn skip_to(&mut self, next: u64) {
        (self.next, self.piece) = (self.next.max(next), 0);
        self.before = self.next.checked_sub(1);
        self.passed.clear();
    }

    /// On a path whose bottleneck is known, losses come of what we send: pieces that recover others may not make it worse.
    /// `speed` is what it takes and `sound` what the blocks alone are, bytes a second.
    pub fn keep_below(&mut self, speed: f64, sound: f64) {
        let most = (speed * MOST_SHARE / sound.max(1.0) * 2.0) as u8;
        self.pieces = self.pieces.min(most.max(2));
    }

    /// Whether copies flow.
    pub fn is_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whether the peer has said that this block is there.
    pub fn has(&self, number: u64) -> bool {
        number < self.have
    }

    /// What of the copies is the blocks themselves, which TCP is late with; the rest repeats them.
    pub fn fresh_share(&self) -> f64 {
        if self.as_packets { 0.5 } else { 2.0 / f64::from(self.pieces.max(2)) }
    }

    /// For how long after its capture a block is kept from TCP, `rtt` away. A path that is known to take `speed` and has no room
    /// for the `sound` of both gets it once: what copies do not bring is stale before TCP would have it.
    pub fn hold(&self, now: Instant, rtt: Duration, (speed, sound): (Option<f64>, f64)) -> Duration {
        let narrow = speed.is_some_and(|speed| speed * MOST_SHARE < sound);
        match (self.is_on(now), narrow) {
            (false, _) => Duration::ZERO,
            (true, false) => (rtt + SAID_WITHIN).min(MOST_HELD),
            (true, true) => sound_log::STALE,
        }
    }

    /// Appends pieces of one length, or packets, and says it; 0 if there is nothing to send. What was caught before the first of
    /// `times` is left out, what was caught after the second waits.
    pub fn fill(
        &mut self,
        now: Instant,
        times: (MediaTime, MediaTime),
        (log, form): (&SoundLog, &sound_form::Choice),
        path: &mut Path,
        buffer: &mut Vec<u8>,
    ) -> usize {
        if !self.is_on(now) {
            return 0;
        }
        let ((stale, until), mut segment, mut run) = (times, 0, 0);
        self.pass_to(self.next, log);
        while let Some((number, index)) = self.turn(until, log) {
            let wanted = |number: &u64| index < self.pieces && !self.has(*number);
            let block = number.filter(wanted).and_then(|number| log.block(number)).filter(|block| block.capture >= stale);
            let Picked { samples, packet } =
                block.zip(number).map(|(block, number)| form.pick(number, &block.samples)).unwrap_or_default();
            if let (Some(number), 0, true) = (number, index, packet.is_some())
                && self.packet != Some(number)
            {
                // A run has one length, and this has another.
                if run > 0 {
                    break;
                }
                self.packet = Some(number);
                if packets(number, (log, form), path, buffer) {
                    self.as_packets = true;
                    return buffer.len();
                }
            }
            if let (Some(block), Some(number), Some(samples)) = (block, number, samples) {
                let (channels, frames) = (block.channels, (samples.len() / usize::from(block.channels.max(1))) as u16);
                let len = Piece::len_of(frames, channels);
                if run == MAX_RUN || (segment != 0 && len != segment) {
                    break;
                }
                (segment, run) = (len, run + 1);
                let capture = block.capture;
                path.seal(buffer, |out| {
                    let piece = Piece { number, capture, channels, frames, index, payload: &[] };
                    Message::Piece(log.track, piece).encode(out);
                    sound_pieces::cut(samples, frames, channels, index, out);
                });
            }
            self.turned(log);
        }
        self.as_packets = false;
        if segment == 0 { 0 } else { segment + Path::OVERHEAD + Piece::HEAD_LEN }
    }

    /// The place of a block that came late.
    fn late(&self, log: &SoundLog) -> Option<usize> {
        self.passed.iter().position(|(number, _)| log.block(*number).is_some())
    }

    /// What is next: a block, if there is one, and which piece of it.
    fn turn(&self, until: MediaTime, log: &SoundLog) -> Option<(Option<u64>, u8)> {
        if let Some((number, piece)) = self.late(log).and_then(|place| self.passed.get(place)) {
            return Some((Some(*number), *piece));
        }
        log.block(self.next).filter(|block| block.capture <= until)?;
        // Halves of this block, then what recovers the one before.
        Some((if self.piece < 2 { Some(self.next) } else { self.before }, self.piece))
    }

    fn turned(&mut self, log: &SoundLog) {
        let pieces = self.pieces.max(2);
        if let Some(place) = self.late(log) {
            self.passed[place].1 += 1;
            if self.passed[place].1 >= pieces {
                self.passed.remove(place);
            }
        } else if self.piece + 1 < pieces {
            self.piece += 1;
        } else {
            (self.before, self.piece) = (Some(self.next), 0);
            self.pass_to(self.next + 1, log);
        }
    }

    /// Moves on to the next block from `from` on that is there, and remembers those that are not, as long as they may come.
    fn pass_to(&mut self, from: u64, log: &SoundLog) {
        self.next = log.held_from(from);
        self.passed.extend((from.max(log.first())..self.next).map(|number| (number, 0)));
        while self.passed.front().is_some_and(|(number, _)| *number < log.first()) {
            self.passed.pop_front();
        }
    }
}

/// Appends a datagram with the packet of a block and, where there is one and both fit, that of the block before it. Whether it
/// fits.
fn packets(number: u64, (log, form): (&SoundLog, &sound_form::Choice), path: &mut Path, buffer: &mut Vec<u8>) -> bool {
    fn packet<'a>(number: u64, block: &'a Logged, form: &sound_form::Choice) -> Option<Block<MediaTime, &'a [u8]>> {
        let samples = form.pick(number, &block.samples).packet?;
        Some(Block { capture: block.capture, channels: block.channels, samples })
    }
    let of = |number: u64| log.block(number).and_then(|block| packet(number, block, form));
    let Some(newest) = of(number).filter(|newest| newest.samples.len() <= MOST_PACKETS) else { return false };
    let before = number.checked_sub(1).and_then(of);
    let before = before.filter(|before| before.samples.len() + newest.samples.len() <= MOST_PACKETS);
    path.seal(buffer, |out| Message::Packets(log.track, Packets { number, newest, before }).encode(out));
    true
}

#[cfg(test)]
mod tests {
    use super::super::path::{Keys, Opened};
    use super::*;
    use crate::crypto::Key;
    use crate::media::clock::Epoch;
    use crate::sound::Block;
    use crate::wire::datagram::Header;
    use std::net::SocketAddr;

    const OURS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    struct Rig {
        start: Instant,
        log: SoundLog,
        form: sound_form::Choice,
        copies: SoundCopies,
        sender: Path,
        receiver: Path,
    }

    impl Rig {
        #[expect(clippy::disallowed_methods)] // one real instant to count from
        fn new() -> Rig {
            let (start, local_key, remote_key) = (Instant::now(), Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
            let keys = Keys { local_connection: 1, local_key, remote_connection: 2, remote_key };
            let sender = Path::new(start, &keys, None);
            let Keys { local_connection, local_key, remote_connection, remote_key } = keys;
            let keys = Keys {
                local_connection: remote_connection,
                local_key: remote_key,
                remote_connection: local_connection,
                remote_key: local_key,
            };
            let receiver = Path::new(start, &keys, None);
            let (log, form, copies) = (SoundLog::new(0, false), sound_form::Choice::default(), SoundCopies::default());
            Rig { start, log, form, copies, sender, receiver }
        }

        fn catch(&mut self, blocks: u64) {
            for number in self.log.end()..self.log.end() + blocks {
                let capture = MediaTime::from_nanos(number * 10_000_000);
                self.log.push(sound_log::of_samples(Block { capture, channels: 2, samples: [number as i16; 960].into() }));
            }
        }

        fn wanted(&mut self, at_ms: u64, next: u64, pieces: u8) {
            self.copies.handle_wanted(self.start + Duration::from_millis(at_ms), SoundRequest { next, pieces }, &self.log);
        }

        /// Number and index of the pieces sent at this moment, run by run.
        fn sent(&mut self, at_ms: u64) -> Vec<Vec<(u64, u8)>> {
            let now = self.start + Duration::from_millis(at_ms);
            let stale = MediaTime::from_nanos(at_ms * 1_000_000).saturating_sub(Duration::from_millis(200));
            let mut runs = Vec::new();
            loop {
                let mut buffer = Vec::new();
                let (times, log) = ((stale, MediaTime::from_nanos(u64::MAX)), (&self.log, &self.form));
                let segment = self.copies.fill(now, times, log, &mut self.sender, &mut buffer);
                if segment == 0 {
                    return runs;
                }
                assert!(segment <= 1000 && buffer.len().is_multiple_of(segment), "{segment}");
                let open = |datagram: &mut [u8]| {
                    let header = Header::decode(datagram).unwrap();
                    match self.receiver.open(now, &Epoch::new(self.start), OURS, header, datagram) {
                        Ok(Opened::Message(_, Message::Piece(_, piece))) => (piece.number, piece.index),
                        _ => panic!("no piece"),
                    }
                };
                runs.push(buffer.chunks_mut(segment).map(open).collect());
            }
        }
    }

    #[test]
    fn halves_go_at_once_and_what_recovers_them_with_the_next_block() {
        let mut rig = Rig::new();
        rig.catch(10);
        assert_eq!(rig.sent(100), Vec::<Vec<_>>::new(), "nobody asked");
        rig.wanted(100, 9, 4);
        assert_eq!(rig.sent(100).concat(), [(9, 0), (9, 1)], "the peer has the block before");
        rig.catch(1);
        assert_eq!(rig.sent(110).concat(), [(10, 0), (10, 1), (9, 2), (9, 3)]);
        rig.wanted(115, 10, 3);
        rig.catch(2);
        assert_eq!(rig.sent(120).concat(), [(11, 0), (11, 1), (10, 2), (12, 0), (12, 1), (11, 2)]);
        rig.wanted(125, 13, 0);
        rig.catch(1);
        assert!(rig.sent(130).is_empty(), "no more were wanted");
    }

    #[test]
    fn a_block_that_comes_behind_others_is_copied_when_it_comes_and_whole() {
        let mut rig = Rig::new();
        let put = |rig: &mut Rig, number: u64| {
            let capture = MediaTime::from_nanos(number * 10_000_000);
            rig.log.put(number, sound_log::of_samples(Block { capture, channels: 2, samples: [0; 960].into() }));
        };
        put(&mut rig, 10);
        rig.wanted(110, 10, 4);
        assert_eq!(rig.sent(110).concat(), [(10, 0), (10, 1)]);
        put(&mut rig, 12);
        assert_eq!(
            rig.sent(130).concat(),
            [(12, 0), (12, 1), (10, 2), (10, 3)],
            "11 did not come, and 10 is recovered all the same"
        );
        put(&mut rig, 11);
        assert_eq!(rig.sent(140).concat(), [(11, 0), (11, 1), (11, 2), (11, 3)]);
        put(&mut rig, 15);
        assert_eq!(rig.sent(160).concat(), [(15, 0), (15, 1), (12, 2), (12, 3)]);
        rig.wanted(165, 14, 4);
        put(&mut rig, 13);
        put(&mut rig, 14);
        assert_eq!(rig.sent(170).concat(), [(14, 0), (14, 1), (14, 2), (14, 3)], "the peer has 13");
    }

    /// Number, bytes and bytes of the one before, of datagrams with packets sent at this moment.
    fn packets_sent(rig: &mut Rig, at_ms: u64) -> Vec<(u64, usize, Option<usize>)> {
        let now = rig.start + Duration::from_millis(at_ms);
        let times = (MediaTime::ZERO, MediaTime::from_nanos(u64::MAX));
        let mut sent = Vec::new();
        loop {
            let mut buffer = Vec::new();
            if rig.copies.fill(now, times, (&rig.log, &rig.form), &mut rig.sender, &mut buffer) == 0 {
                return sent;
            }
            assert!(buffer.len() <= 1000, "{}", buffer.len());
            assert_eq!(rig.copies.fresh_share(), 0.5, "each packet comes twice");
            let header = Header::decode(&buffer).unwrap();
            match rig.receiver.open(now, &Epoch::new(rig.start), OURS, header, &mut buffer) {
                Ok(Opened::Message(_, Message::Packets(_, packets))) => {
                    let before = packets.before.map(|before| before.samples.len());
                    sent.push((packets.number, packets.newest.samples.len(), before));
                }
                _ => panic!("no packets"),
            }
        }
    }

    #[test]
    fn a_block_that_goes_as_a_packet_takes_one_datagram_with_the_packet_before_it() {
        let mut rig = Rig::new();
        rig.form.pass_on(true);
        let put = |rig: &mut Rig, number: u64, len: usize| {
            let (capture, samples) = (MediaTime::from_nanos(number * 10_000_000), vec![number as u8; len].into());
            rig.log.put(number, sound_log::of_packet(Block { capture, channels: 1, samples }));
        };
        put(&mut rig, 10, 80);
        rig.wanted(110, 10, 2);
        assert_eq!(rig.copies.fresh_share(), 1.0, "of samples each is sent once");
        assert_eq!(packets_sent(&mut rig, 110), [(10, 80, None)], "there is none before it");
        put(&mut rig, 11, 90);
        put(&mut rig, 12, 100);
        assert_eq!(packets_sent(&mut rig, 130), [(11, 90, Some(80)), (12, 100, Some(90))]);
        put(&mut rig, 13, 900);
        put(&mut rig, 14, 1275);
        put(&mut rig, 15, 60);
        assert_eq!(packets_sent(&mut rig, 160), [(13, 900, None), (15, 60, None)], "what does not fit a datagram is left to TCP");
    }

    #[test]
    fn only_what_is_fresh_and_not_there_is_copied_in_short_runs_and_a_request_does_not_last() {
        let mut rig = Rig::new();
        rig.catch(32);
        rig.wanted(320, 0, 2);
        let runs = rig.sent(320);
        assert!(runs.iter().all(|run| run.len() <= MAX_RUN));
        let numbers: Vec<u64> = runs.concat().iter().map(|(number, _)| *number).collect();
        assert_eq!((numbers[0], numbers.len()), (12, 40), "200 ms of it");
        rig.catch(1);
        assert!(rig.sent(821).is_empty(), "half a second later nobody is there");
        rig.wanted(830, u64::MAX, 2);
        rig.catch(50);
        assert!(!rig.sent(831).is_empty(), "a number from nowhere stops nothing");
    }

    #[test]
    fn tcp_waits_only_while_copies_flow_and_never_until_sound_is_stale() {
        let mut rig = Rig::new();
        let (start, ms) = (rig.start, Duration::from_millis);
        assert_eq!(rig.copies.hold(start, ms(5), (None, 0.0)), Duration::ZERO);
        rig.copies.tcp_is_behind(start, 0, &rig.log);
        assert_eq!(rig.copies.hold(start, ms(5), (Some(1e6), 1e5)), ms(75));
        assert_eq!(rig.copies.hold(start, ms(500), (None, 1e5)), MOST_HELD);
        assert_eq!(rig.copies.hold(start, ms(5), (Some(3e5), 1e5)), sound_log::STALE, "no room for both");
        assert_eq!(rig.copies.hold(start + GOOD_FOR, ms(5), (None, 0.0)), Duration::ZERO);
    }
}
