//! WAV: s16 samples at 48 kHz as the sender caught them, before any resampling (`riff.rs`).
//!
//! Sample 0 of the file is what was caught together with the first picture written, so earlier sound is cut and later sound
//! preceded by silence, to the sample. Until that picture is there blocks are held. From there on block n lies n blocks after the
//! first, what is missing between is silence, as long as that agrees with the time ([`JUMP`]): where the microphone was gone for
//! a while, or a loop of a film has less sound than pictures, the time decides. Between two such moments a sound card's clock
//! walks away from the sender's, by a second in three hours; [`SLEW`] has it brought back sample by sample.
//!
//! Of a film the time is its own, corrected for where it stood still by the pictures before and after (`timeline.rs`); a block
//! that seems far off waits for the latter. What came before the first picture is counted back from a block after it.
//!
//! Neither number nor time makes a hole that is longer than the time that passed and what was kept for us (`Timeline::furthest`):
//! it is cut, and what follows moves with it.
//!
//! Mono or stereo is decided by the first block; others are converted.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Instant;

use super::riff::Riff;
use super::sink::Sink;
use super::timeline::Place;
use super::{Error, LONGEST_HOLE, Progress, Target, Timeline, Written};
use eyeline_proto::sound::{BLOCK_FRAMES, Block, Numbered, RATE};
use eyeline_proto::time::MediaTime;

/// Blocks held for the first picture: 3 s. A picture can be 2 s late (a retransmission is waited for so long); if none has come
/// by then, sound starts by itself.
const HELD: usize = 300;

/// Frames filling a hole at most.
pub(super) const LONGEST_FRAMES: u64 = RATE as u64 * LONGEST_HOLE.as_secs();

/// Frames that time and number may differ by: 40 ms, a picture of 25 a second. Where they differ by more, sound was not captured.
pub(super) const JUMP: i128 = 1920;

/// Frames by which they differ before sound is stretched: 5 ms. Below it stamps wobble.
pub(super) const SLEW: i128 = 240;

/// Whose first unit is time zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// Pictures are written too: theirs.
    Pictures,
    /// Sound is written alone.
    Sound,
}

/// One block as it came.
pub struct Unit {
    /// Grows whenever another sender, or the same one started anew, is shown.
    pub session: u64,
    /// By that session's media clock.
    pub sound: Numbered<MediaTime>,
    /// When it came, on our clock.
    pub received: Instant,
    /// Of a film: its samples follow each other exactly.
    pub film: bool,
}

/// The session being written.
struct Run {
    session: u64,
    /// Where block 0 would begin, in frames of the file. Negative where sound began before the picture.
    origin: i128,
    last: u64,
    /// Whether sound is being stretched (1) or shortened (-1) until it is back at its time.
    slewing: i128,
}

pub struct Writer {
    file: Riff,
    timeline: Timeline,
    lead: Lead,
    held: VecDeque<Unit>,
    run: Option<Run>,
    silent: u64,
    left_out: u64,
}

impl Writer {
    /// Writes to what was claimed, from the first sample on.
    pub fn new(target: Target, lead: Lead, timeline: Timeline) -> Self {
        Self::to(Sink::new(target), lead, timeline)
    }

    fn to(sink: Sink, lead: Lead, timeline: Timeline) -> Self {
        let (file, held, run) = (Riff::new(sink), VecDeque::new(), None);
        Writer { file, timeline, lead, held, run, silent: 0, left_out: 0 }
    }

    fn append(&mut self, samples: &[i16]) -> Result<(), Error> {
        let outcome = self.file.append(samples);
        self.timeline.reached(nanos(self.file.frames()));
        outcome
    }

    fn silence(&mut self, mut frames: u64) -> Result<(), Error> {
        let channels = usize::from(self.file.channels(1));
        let quiet = [0; 2 * BLOCK_FRAMES];
        self.silent += frames;
        while frames > 0 {
            let now = frames.min(BLOCK_FRAMES as u64);
            self.append(&quiet[..now as usize * channels])?;
            frames -= now;
        }
        Ok(())
    }

    /// Where this block would begin by its number and by its time, in frames of the file; `None` while that is not known.
    fn begins(&self, unit: &Unit, alone: bool) -> Option<(i128, i128)> {
        let run = self.run.as_ref().filter(|run| run.session == unit.session);
        let Some(by_number) = run.map(|run| run.origin + i128::from(unit.sound.number) * BLOCK_FRAMES as i128) else {
            // What lies far off is the work of a wrong clock: such sound begins at once.
            let (start, free) = (self.first_begins(unit, alone)?, i128::from(self.file.frames()));
            let near = (start - free).unsigned_abs() <= u128::from(LONGEST_FRAMES);
            let start = if near { start } else { free };
            return Some((start, start));
        };
        if unit.film && self.lead == Lead::Sound {
            // Nobody says how long it stood still; its samples follow each other.
            return Some((by_number, by_number));
        }
        let place = self.place_of(unit, alone)?;
        let Some(before) = place.before.map(frames) else { return Some((by_number, by_number)) };
        match place.after.map(frames) {
            _ if (before - by_number).abs() <= JUMP => Some((by_number, before)),
            // Between the two the film stood still more than once, and so long by then as the number says.
            Some(after) if (after - JUMP..=before).contains(&by_number) => Some((by_number, by_number)),
            Some(after) if (after - by_number).abs() < (before - by_number).abs() => Some((by_number, after)),
            Some(_) => Some((by_number, before)),
            None => alone.then_some((by_number, by_number)),
        }
    }

    fn place_of(&self, unit: &Unit, alone: bool) -> Option<Place> {
        self.timeline.sound(unit.session, unit.sound.block.capture, unit.received, alone || self.lead == Lead::Sound)
    }

    /// Where the first block of a session begins. Of a film it is counted back from one whose place is certain: while the first
    /// picture was waited for the film may have stood still, and what was given before then has times that are too early.
    fn first_begins(&self, unit: &Unit, alone: bool) -> Option<i128> {
        let (place, number) = (self.place_of(unit, alone)?, unit.sound.number);
        let later = self.held.iter().filter(|later| later.session == unit.session && later.sound.number >= number);
        let certain = later.map(|later| (later.sound.number - number, self.place_of(later, alone).and_then(Place::certain)));
        let counted =
            certain.filter_map(|(blocks, place)| Some(frames(place?) - i128::from(blocks) * BLOCK_FRAMES as i128)).next();
        counted.or(place.after.or(place.before).filter(|_| alone || !unit.film).map(frames))
    }

    /// Writes the held blocks whose place is known; all of them when sound is `alone`.
    fn release(&mut self, alone: bool) -> Result<(), Error> {
        while let Some(unit) = self.held.front() {
            let last = self.run.as_ref().filter(|run| run.session == unit.session).map(|run| run.last);
            let alone = alone || self.held.len() > HELD;
            // Held for the first picture of its session, or the next one; or its session is over, and only its writer was slow.
            let Some(place) = self.begins(unit, alone) else {
                let newest = self.held.back().is_some_and(|newest| newest.session != unit.session);
                if !(newest || alone) {
                    break;
                }
                self.held.pop_front();
                self.left_out += 1;
                continue;
            };
            let Some(unit) = self.held.pop_front() else { break };
            if last.is_some_and(|last| unit.sound.number <= last) {
                self.left_out += 1;
                continue;
            }
            self.place(&unit, place)?;
        }
        Ok(())
    }

    fn place(&mut self, unit: &Unit, (by_number, by_time): (i128, i128)) -> Result<(), Error> {
        let Numbered { number, block } = &unit.sound;
        let channels = self.file.channels(block.channels);
        let off = by_time - by_number;
        let start = if off.abs() > JUMP { by_time } else { by_number };
        let start = start.min(frames(self.timeline.furthest(unit.received)).max(i128::from(self.file.frames())));
        let slewing = self.run.as_ref().filter(|run| run.session == unit.session).map_or(0, |run| run.slewing);
        let goes_on = off.signum() == slewing;
        // One frame more or less in a block is 2 ‰, which nobody hears.
        let stretch = if !unit.film && off.abs() <= JUMP && (off.abs() > SLEW || goes_on) { off.signum() } else { 0 };
        let origin = start + stretch - i128::from(*number) * BLOCK_FRAMES as i128;
        self.run = Some(Run { session: unit.session, origin, last: *number, slewing: stretch });
        let samples = stretched(converted(block, channels), channels, stretch);
        match u64::try_from(start - i128::from(self.file.frames())) {
            Ok(hole) => self.silence(hole)?,
            Err(_) => {
                // Begun before the picture, or over what the session before left: cut to the sample.
                let early = usize::try_from(i128::from(self.file.frames()) - start).unwrap_or(usize::MAX);
                let from = early.saturating_mul(usize::from(channels)).min(samples.len());
                return self.append(&samples[from..]);
            }
        }
        self.append(&samples)
    }
}

/// The same sound in one frame more (1) or less (-1): each frame lies between two of the old ones.
pub(super) fn stretched(samples: Cow<'_, [i16]>, channels: u8, by: i128) -> Cow<'_, [i16]> {
    let channels = usize::from(channels);
    let frames = samples.len() / channels;
    let Some(wanted) = usize::try_from(frames as i128 + by).ok().filter(|&wanted| by != 0 && wanted > 1) else { return samples };
    let mut out = Vec::with_capacity(wanted * channels);
    for k in 0..wanted {
        let at = (k * (frames - 1)) as f32 / (wanted - 1) as f32;
        let (first, part) = (at as usize, at.fract());
        let second = (first + 1).min(frames - 1);
        for channel in 0..channels {
            let [a, b] = [first, second].map(|frame| f32::from(samples[frame * channels + channel]));
            out.push((a + (b - a) * part).round() as i16);
        }
    }
    Cow::Owned(out)
}

fn frames(nanos: i64) -> i128 {
    (i128::from(nanos) * i128::from(RATE) + 500_000_000).div_euclid(1_000_000_000)
}

fn nanos(frames: u64) -> u64 {
    u64::try_from(u128::from(frames) * 1_000_000_000 / u128::from(RATE)).unwrap_or(u64::MAX)
}

/// A block's samples for so many channels.
pub(super) fn converted<T>(block: &Block<T>, channels: u8) -> Cow<'_, [i16]> {
    let samples = &block.samples;
    match (block.channels, channels) {
        (1, 2) => samples.iter().flat_map(|&sample| [sample, sample]).collect(),
        (2, 1) => samples.chunks_exact(2).map(|both| both[0].midpoint(both[1])).collect(),
        _ => Cow::Borrowed(samples),
    }
}

impl super::Writer for Writer {
    type Unit = Unit;

    fn write(&mut self, unit: Unit) -> Result<(), Error> {
        if !unit.sound.block.is_possible() {
            self.left_out += 1;
            return Ok(());
        }
        self.held.push_back(unit);
        self.release(false)
    }

    fn finish(mut self) -> Result<Written, Error> {
        self.release(true)?;
        self.file.state()?;
        let name = self.file.name().to_string();
        let mut sentence = format!("{name}: {}", self.file.kept());
        if self.silent > 0 {
            let seconds = self.silent as f64 / f64::from(RATE);
            sentence += &format!(", {seconds:.2} s of it silence where sound was missing");
        }
        Ok(Written { name, units: self.file.frames(), filled: self.silent, left_out: self.left_out, sentence })
    }

    fn progress(&self) -> Progress {
        self.file.progress()
    }
}

#[cfg(test)]
mod tests;
