//! The sound of all senders in one WAV file, stereo: each block at the time it was caught on our clock, all of them added up,
//! within full scale (`media::limiter`). One voice alone passes bit for bit.
//!
//! Block n of a sender lies n blocks after its first as long as that agrees with its time, as in a file of its own (`wav.rs`):
//! where it does not, the time decides, and a sound card that runs away from it is brought back sample by sample. Time zero is
//! the first block's. Where nobody is heard is silence, of [`LONGEST_HOLE`](super::LONGEST_HOLE) at most.
//!
//! Sound is written when all who are heard have come so far, and a second has passed for who joins now; who is late is waited for
//! for [`LATEST`], as much as is kept of a film. What comes later is left out. Neither numbers nor times that a peer invents make
//! the file longer than the time that passed.

use super::riff::Riff;
use super::sink::Sink;
use super::wav::{JUMP, LONGEST_FRAMES, SLEW, converted, stretched};
use super::{Error, Progress, Target, Written};
use eyeline_proto::media::clock::seconds_between;
use eyeline_proto::media::limiter::Limiter;
use eyeline_proto::sound::{BLOCK_FRAMES, Numbered, RATE};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Of each frame.
const CHANNELS: usize = 2;

/// Frames by which anybody who is late is waited for: 10 s.
const LATEST: i64 = 10 * RATE as i64;

/// Frames for which who joins is waited for: 1 s, far more than a live sender is late.
const JOINING: i64 = RATE as i64;

/// Sound can come so long before it was caught: our clock and a sender's are known to within far less.
const EARLIEST: Duration = Duration::from_secs(1);

/// Blocks of one sender that wait to be written: 3 s.
const WAITING: usize = 300;

/// One block as it came.
pub struct Unit {
    /// Whose: another sender, or the same one started anew, has another.
    pub track: u64,
    /// By our clock.
    pub sound: Numbered<Instant>,
    /// When it came.
    pub received: Instant,
    /// For as long as it waits.
    pub ticket: Ticket,
}

/// A place among the blocks of a sender that wait.
pub struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    /// One of them; `None` where so many wait already: they are this sender's own, and nobody else loses one.
    pub fn take(waiting: &Arc<AtomicUsize>) -> Option<Self> {
        let free = |waiting: usize| (waiting < WAITING).then_some(waiting + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Ticket(waiting.clone()))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known of a sender that is heard; places are frames of the file.
#[derive(Clone, Copy)]
struct Run {
    /// Where its block 0 would begin.
    origin: i128,
    last: u64,
    end: i64,
    /// Whether its sound is being stretched (1) or shortened (-1) until it is back at its time.
    slewing: i128,
}

pub struct Writer {
    file: Riff,
    limiter: Limiter,
    zero: Option<Instant>,
    /// What is not written yet, from the end of the file on.
    sum: VecDeque<[f32; CHANNELS]>,
    runs: BTreeMap<u64, Run>,
    left_out: u64,
}

impl Writer {
    /// Writes to what was claimed, from the first sample on.
    pub fn new(target: Target) -> Self {
        Self::to(Sink::new(target))
    }

    fn to(sink: Sink) -> Self {
        let (zero, sum, runs) = (None, VecDeque::new(), BTreeMap::new());
        Writer { file: Riff::new(sink), limiter: Limiter::new(), zero, sum, runs, left_out: 0 }
    }

    /// Where the file ends.
    fn written(&self) -> i64 {
        i64::try_from(self.file.frames()).unwrap_or(i64::MAX)
    }

    /// Where the last that is heard ends.
    fn end(&self) -> i64 {
        self.written() + self.sum.len() as i64
    }

    /// Where this moment lies. A hole behind all that is heard which is too long is cut.
    fn place(&mut self, at: Instant) -> i64 {
        let zero = *self.zero.get_or_insert(at);
        let place = frames(at, zero);
        let too_long = place - self.end() - LONGEST_FRAMES as i64;
        if too_long <= 0 {
            return place;
        }
        let cut = Duration::from_secs_f64(too_long as f64 / f64::from(RATE));
        self.zero = zero.checked_add(cut);
        place - too_long
    }

    /// Adds a block where it belongs; what of it is written already, or would lie over its own sound, is cut.
    fn add(&mut self, unit: &Unit) {
        let Numbered { number, block } = &unit.sound;
        let known = self.runs.get(&unit.track).copied();
        let early = block.capture.saturating_duration_since(unit.received);
        if known.is_some_and(|run| *number <= run.last) || early > EARLIEST {
            self.left_out += 1;
            return;
        }
        let by_time = self.place(block.capture);
        let blocks = i128::from(*number) * BLOCK_FRAMES as i128;
        let by_number = known.map_or(i128::from(by_time), |run| run.origin + blocks);
        let off = i128::from(by_time) - by_number;
        let jumps = off.abs() > JUMP;
        let start = if jumps { i128::from(by_time) } else { by_number };
        let goes_on = off != 0 && known.is_some_and(|run| run.slewing == off.signum());
        let stretch = if !jumps && (off.abs() > SLEW || goes_on) { off.signum() } else { 0 };
        let samples = stretched(converted(block, CHANNELS as u8), CHANNELS as u8, stretch);
        let start_frame = i64::try_from(start).unwrap_or(i64::MAX);
        let free = self.written().max(known.map_or(i64::MIN, |run| run.end));
        let mut end = start_frame;
        for (at, frame) in (start_frame..).zip(samples.chunks_exact(CHANNELS)) {
            end = at + 1;
            if at < free {
                continue;
            }
            let place = (at - self.written()) as usize;
            if self.sum.len() <= place {
                self.sum.resize(place + 1, [0.0; CHANNELS]);
            }
            for (sum, sample) in self.sum[place].iter_mut().zip(frame) {
                *sum += f32::from(*sample) / 32768.0;
            }
        }
        self.left_out += u64::from(end <= free);
        let end = end.max(known.map_or(end, |run| run.end));
        self.runs.insert(unit.track, Run { origin: start + stretch - blocks, last: *number, end, slewing: stretch });
    }

    /// Where nobody is waited for any longer: all have come so far, or had the time to.
    fn settled(&self, received: Instant) -> i64 {
        let now = self.zero.map_or(0, |zero| frames(received, zero));
        let all = self.runs.values().map(|run| run.end).min().unwrap_or(0);
        all.min(now - JOINING).max(now - LATEST)
    }

    /// Writes up to there, in whole parts of 10 ms: so it is limited.
    fn write_up_to(&mut self, until: i64) -> Result<(), Error> {
        let count = usize::try_from(until - self.written()).unwrap_or(0).min(self.sum.len());
        self.write_frames(count - count % BLOCK_FRAMES)
    }

    fn write_frames(&mut self, count: usize) -> Result<(), Error> {
        let mut frames: Vec<f32> = self.sum.drain(..count).flatten().collect();
        self.limiter.limit(&mut frames);
        self.file.channels(CHANNELS as u8);
        let samples: Vec<i16> = frames.iter().map(|sample| (sample * 32768.0).round() as i16).collect();
        let outcome = self.file.append(&samples);
        let written = self.written();
        self.runs.retain(|_, run| run.end >= written);
        outcome
    }
}

impl super::Writer for Writer {
    type Unit = Unit;

    fn write(&mut self, unit: Unit) -> Result<(), Error> {
        let block = &unit.sound.block;
        if block.samples.is_empty() || !block.is_possible() {
            self.left_out += 1;
            return Ok(());
        }
        // What is late by less than others are waited for still has its place.
        self.add(&unit);
        self.write_up_to(self.settled(unit.received))
    }

    fn finish(mut self) -> Result<Written, Error> {
        self.write_frames(self.sum.len())?;
        self.file.state()?;
        let (name, kept) = (self.file.name().to_string(), self.file.kept());
        let mut sentence = format!("{name}: {kept}, of all together");
        if self.left_out > 0 {
            sentence += &format!("; {} more blocks came too late", self.left_out);
        }
        Ok(Written { name, units: self.file.frames(), filled: 0, left_out: self.left_out, sentence })
    }

    fn progress(&self) -> Progress {
        self.file.progress()
    }
}

/// Frames from `zero` to `at`.
fn frames(at: Instant, zero: Instant) -> i64 {
    (seconds_between(at, zero) * f64::from(RATE)).round() as i64
}

#[cfg(test)]
mod tests {
    use super::super::Writer as _;
    use super::super::sink::tests::SmallDisk;
    use super::*;
    use eyeline_proto::sound::Block;

    /// 10 ms in nanoseconds.
    const BLOCK: u64 = 10_000_000;

    /// The `number`th block of a sender, all of whose samples are this, caught at this time and here so much later.
    fn block(track: u64, number: u64, value: i16, captured: u64, later: u64) -> Unit {
        let [capture, received] = [captured, captured + later].map(super::super::arrival);
        let ticket = Ticket::take(&Arc::default()).unwrap();
        let block = Block { capture, channels: 1, samples: [value; BLOCK_FRAMES].into() };
        Unit { track, sound: Numbered { number, block }, received, ticket }
    }

    /// What is in a file of these: value and length of each run of equal frames.
    fn mixed(blocks: impl IntoIterator<Item = Unit>) -> (Vec<(i16, usize)>, Written) {
        let disk = SmallDisk::of(20 << 20);
        let mut writer = Writer::to(Sink::to(disk.clone()));
        for block in blocks {
            writer.write(block).unwrap();
            assert!(writer.sum.len() as i64 <= LATEST + 2 * JOINING, "{} frames wait", writer.sum.len());
        }
        let written = writer.finish().unwrap();
        let content = disk.content();
        if content.is_empty() {
            return (Vec::new(), written);
        }
        let reader = hound::WavReader::new(&content[..]).unwrap();
        assert_eq!((reader.spec().channels, reader.duration()), (2, written.units as u32));
        let samples: Vec<i16> = reader.into_samples().map(Result::unwrap).collect();
        let mut runs: Vec<(i16, usize)> = Vec::new();
        for frame in samples.chunks_exact(2) {
            assert_eq!(frame[0], frame[1]);
            match runs.last_mut() {
                Some((value, len)) if *value == frame[0] => *len += 1,
                _ => runs.push((frame[0], 1)),
            }
        }
        (runs, written)
    }

    const LEN: usize = BLOCK_FRAMES;

    #[test]
    fn one_voice_passes_bit_for_bit_and_two_are_added_where_both_were_caught() {
        let one = |from: u64| (from..from + 300).map(|n| block(1, n, 1001, n * BLOCK, 5_000_000));
        assert_eq!(mixed(one(0)).0, [(1001, 300 * LEN)]);
        // The other came a second later, and what it sends is longer on its way.
        let mut both: Vec<Unit> = one(0).chain((0..100).map(|n| block(2, n, -77, (100 + n) * BLOCK, 250_000_000))).collect();
        both.sort_by_key(|unit| unit.received);
        assert_eq!(mixed(both).0, [(1001, 100 * LEN), (1001 - 77, 100 * LEN), (1001, 100 * LEN)]);
    }

    #[test]
    fn who_is_late_by_seconds_is_waited_for_and_who_never_comes_is_not() {
        let quick = (0..2000).map(|n| block(1, n, 10, n * BLOCK, 0));
        let late = (0..500).map(|n| block(2, n, 7, n * BLOCK, if n == 0 { 0 } else { 8_000_000_000 }));
        let mut both: Vec<Unit> = quick.chain(late).collect();
        both.sort_by_key(|unit| unit.received);
        assert_eq!(mixed(both).0[0], (17, 500 * LEN), "all of it is where it was caught");
        let lost = [block(2, 0, 7, 0, 0)].into_iter().chain((0..2000).map(|n| block(1, n, 10, n * BLOCK, 0)));
        let after = [block(2, 1, 7, BLOCK, 19_000_000_000)];
        let (runs, written) = mixed(lost.chain(after));
        assert_eq!((runs, written.left_out), (vec![(17, LEN), (10, 1999 * LEN)], 1), "too late by far");
    }

    #[test]
    fn too_loud_together_is_turned_down_and_not_clipped() {
        let loud = |track| (0..50).map(move |n| block(track, n, if n < 40 { 30_000 } else { 1000 }, n * BLOCK, 0));
        let mut both: Vec<Unit> = loud(1).chain(loud(2)).collect();
        both.sort_by_key(|unit| (unit.sound.number, unit.track));
        let (runs, _) = mixed(both);
        assert_eq!(runs.iter().map(|(_, len)| len).sum::<usize>(), 50 * LEN);
        assert!(runs.iter().any(|(value, len)| *value > 32_000 && *len > 30 * LEN), "{runs:?}");
        // The gain stays down for a while, which a clipped sum would not.
        assert!(runs.iter().any(|(value, _)| (900..1500).contains(value)), "{runs:?}");
    }

    #[test]
    fn a_hole_is_silence_and_a_long_one_ten_seconds_of_it() {
        let second = 1_000_000_000;
        let at = [0, 3 * second, 3600 * second, 3600 * second + BLOCK];
        let blocks = at.into_iter().enumerate().map(|(n, at)| block(1, n as u64, 5, at, 0));
        let gap = 3 * RATE as usize - LEN;
        assert_eq!(mixed(blocks).0, [(5, LEN), (0, gap), (5, LEN), (0, LONGEST_FRAMES as usize), (5, 2 * LEN)]);
    }

    #[test]
    fn a_clock_that_is_known_better_or_runs_away_moves_sound_without_laying_it_over_itself() {
        // First it is taken to be caught when it came, and is 60 ms older; then the sound card is slower by 0.5 permille.
        let shifted = (0..20).map(|n| block(1, n, 9, n * BLOCK + 60_000_000, 0));
        let known = (20..3000).map(|n| block(1, n, 9, n * (BLOCK + 5_000), 0));
        let (runs, written) = mixed(shifted.chain(known));
        let heard: usize = runs.iter().filter(|(value, _)| *value == 9).map(|(_, len)| len).sum();
        assert_eq!(heard, written.units as usize, "no hole: {runs:?}");
        let due = 48.0 * (3000.0 * 10.005 - 60.0);
        assert!((written.units as f64 - due).abs() < 600.0, "{} frames, {due} are due", written.units);
    }

    #[test]
    fn nothing_a_peer_invents_makes_it_longer_than_the_time_that_passed() {
        let numbers = [0, u64::MAX, 5, u64::MAX / 2, 3].into_iter().map(|number| block(1, number, 3, BLOCK, 0));
        let ahead = (0..1000).map(|n| Unit { received: super::super::arrival(n), ..block(2, n, 3, n * 1_000_000_000, 0) });
        let at_once = (0..1000).map(|n| block(3, n, 3, 0, 20_000_000));
        let (_, written) = mixed(numbers.chain(ahead).chain(at_once));
        assert!(written.units < 3 * u64::from(RATE), "{} frames", written.units);
        let none = [0, 1, 961].map(|len| {
            let mut unit = block(4, 0, 0, 0, 0);
            (unit.sound.block.channels, unit.sound.block.samples) = (2, vec![0; len].into());
            unit
        });
        assert_eq!(mixed(none).1.units, 0);
    }

    #[test]
    fn of_one_sender_few_blocks_wait() {
        let waiting = Arc::default();
        let tickets: Vec<Ticket> = std::iter::from_fn(|| Ticket::take(&waiting)).collect();
        assert_eq!(tickets.len(), WAITING);
        drop(tickets);
        assert!(Ticket::take(&waiting).is_some());
    }
}
