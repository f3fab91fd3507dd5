//! WAV: s16 samples at 48 kHz as the sender caught them, before any resampling (RIFF WAVE, format 1).
//!
//! Sound is placed by its block numbers: block n lies n blocks after the first, what is missing between is silence. Time decides
//! only where a session's first block goes: sample 0 of the file is what was caught together with the first picture written,
//! so earlier sound is cut and later sound preceded by silence, to the sample. Until that picture is there blocks are held.
//!
//! The header is written over once a second of sound, so that a file left by a crash plays up to its last second; and at the end.
//! Mono or stereo is decided by the first block; others are converted.

use std::collections::VecDeque;
use std::path::Path;

use super::sink::Sink;
use super::{Error, LONGEST_HOLE, Timeline, Written};
use crate::sound::{BLOCK_FRAMES, RATE};
use crate::time::MediaTime;

/// Bytes before the samples.
const HEADER: usize = 44;

/// Blocks held for the first picture: 3 s. A picture can be 2 s late (a retransmission is waited for so long); if none has come
/// by then, sound starts by itself.
const HELD: usize = 300;

/// Frames filling a hole at most.
const LONGEST_FRAMES: u64 = RATE as u64 * LONGEST_HOLE.as_secs();

/// Whose first unit is time zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// Pictures are written too: theirs.
    Pictures,
    /// Sound is written alone.
    Sound,
}

/// One block as it came.
pub struct Block {
    /// Grows whenever another sender, or the same one started anew, is shown.
    pub session: u64,
    /// The sender's number of it; a gap is a loss.
    pub number: u64,
    /// When its first sample was caught, on that session's media clock.
    pub captured: MediaTime,
    /// 1 or 2.
    pub channels: u8,
    /// Interleaved; `BLOCK_FRAMES` a channel, fewer where a film ends.
    pub samples: Vec<i16>,
}

/// The session being written.
struct Run {
    session: u64,
    /// Where block 0 would begin, in frames of the file. Negative where sound began before the picture.
    origin: i128,
    last: u64,
}

/// See the module text.
pub struct Writer {
    sink: Sink,
    timeline: Timeline,
    lead: Lead,
    channels: Option<u8>,
    held: VecDeque<Block>,
    run: Option<Run>,
    frames: u64,
    /// Frames when the header was last written.
    stated: u64,
    silent: u64,
    left_out: u64,
    /// Frames a file can hold.
    most: u64,
}

impl Writer {
    /// A new file.
    pub fn create(path: &Path, lead: Lead, timeline: Timeline) -> Result<Self, Error> {
        Self::to(Sink::open(Some(path))?, lead, timeline)
    }

    fn to(sink: Sink, lead: Lead, timeline: Timeline) -> Result<Self, Error> {
        let (channels, held, run) = (None, VecDeque::new(), None);
        let (frames, stated, silent, left_out, most) = (0, 0, 0, 0, 0);
        let mut writer = Writer { sink, timeline, lead, channels, held, run, frames, stated, silent, left_out, most };
        let header = writer.header();
        writer.sink.unit(&[&header]).map_err(|error| writer.error(error))?;
        Ok(writer)
    }

    fn error(&self, cause: std::io::Error) -> Error {
        self.sink.error(cause, self.kept())
    }

    fn kept(&self) -> String {
        format!("{:.2} s of sound", self.frames as f64 / f64::from(RATE))
    }

    fn header(&self) -> [u8; HEADER] {
        let channels = u16::from(self.channels.unwrap_or(1));
        let align = 2 * channels;
        // What counts bytes fits: `most` sees to it.
        let data = (self.frames * u64::from(align)) as u32;
        let mut header = [0; HEADER];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            header[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(b"RIFF");
        put(&(data + HEADER as u32 - 8).to_le_bytes());
        put(b"WAVEfmt ");
        put(&16u32.to_le_bytes());
        put(&1u16.to_le_bytes()); // PCM
        put(&channels.to_le_bytes());
        put(&RATE.to_le_bytes());
        put(&(RATE * u32::from(align)).to_le_bytes());
        put(&align.to_le_bytes());
        put(&16u16.to_le_bytes());
        put(b"data");
        put(&data.to_le_bytes());
        header
    }

    fn state(&mut self) -> Result<(), Error> {
        let header = self.header();
        match self.sink.rewrite(0, &header) {
            // A pipe or a device keeps the header it got.
            Err(error) if error.kind() == std::io::ErrorKind::NotSeekable => {}
            result => result.map_err(|error| self.error(error))?,
        }
        self.stated = self.frames;
        Ok(())
    }

    /// Appends frames; the file is never longer than its header can say.
    fn append(&mut self, samples: &[i16]) -> Result<(), Error> {
        let channels = usize::from(self.channels.unwrap_or(1));
        let room = usize::try_from(self.most - self.frames).unwrap_or(usize::MAX).saturating_mul(channels);
        let fitting = &samples[..samples.len().min(room)];
        let bytes: Vec<u8> = fitting.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let outcome = self.sink.unit(&[&bytes]);
        if outcome.is_ok() {
            self.frames += (fitting.len() / channels) as u64;
            self.timeline.reached(nanos(self.frames));
        }
        if outcome.is_err() || fitting.len() < samples.len() || self.frames >= self.stated + u64::from(RATE) {
            let stated = self.state();
            outcome.map_err(|error| self.error(error))?;
            stated?;
        }
        if fitting.len() < samples.len() {
            return Err(Error::TooLong { name: self.sink.name().into(), kept: self.kept() });
        }
        Ok(())
    }

    fn silence(&mut self, mut frames: u64) -> Result<(), Error> {
        let channels = usize::from(self.channels.unwrap_or(1));
        let quiet = [0; 2 * BLOCK_FRAMES];
        self.silent += frames;
        while frames > 0 {
            let now = frames.min(BLOCK_FRAMES as u64);
            self.append(&quiet[..now as usize * channels])?;
            frames -= now;
        }
        Ok(())
    }

    /// Where block 0 of this block's session would begin; `None` while that is not known.
    fn origin(&self, block: &Block, alone: bool) -> Option<i128> {
        let position = match self.lead {
            Lead::Pictures if !alone => self.timeline.position(block.session, block.captured)?,
            _ => self.timeline.begin(block.session, block.captured)?,
        };
        let rate = i128::from(RATE);
        let start = (i128::from(position) * rate + 500_000_000).div_euclid(1_000_000_000);
        // What lies far off is the work of a wrong clock: such sound begins at once.
        let free = i128::from(self.frames);
        let near = (start - free).unsigned_abs() <= u128::from(LONGEST_FRAMES);
        Some(if near { start } else { free } - i128::from(block.number) * BLOCK_FRAMES as i128)
    }

    /// Writes the held blocks whose place is known; all of them when sound is `alone`.
    fn release(&mut self, alone: bool) -> Result<(), Error> {
        while let Some(block) = self.held.front() {
            let continued = self.run.as_ref().filter(|run| run.session == block.session).map(|run| (run.origin, Some(run.last)));
            let known = continued.or_else(|| self.origin(block, alone || self.held.len() > HELD).map(|origin| (origin, None)));
            // Held for the first picture of its session; or its session is over, and only its writer was slow.
            let Some((origin, last)) = known else {
                let newest = self.held.back().is_some_and(|newest| newest.session != block.session);
                if !(newest || alone || self.held.len() > HELD) {
                    break;
                }
                self.held.pop_front();
                self.left_out += 1;
                continue;
            };
            let Some(block) = self.held.pop_front() else { break };
            if last.is_some_and(|last| block.number <= last) {
                self.left_out += 1;
                continue;
            }
            self.run = Some(Run { session: block.session, origin, last: block.number });
            self.place(block)?;
        }
        Ok(())
    }

    fn place(&mut self, block: Block) -> Result<(), Error> {
        let channels = match self.channels {
            Some(channels) => channels,
            None => {
                self.channels = Some(block.channels);
                let bytes_a_frame = 2 * u64::from(block.channels);
                self.most = (u64::from(u32::MAX) - HEADER as u64) / bytes_a_frame;
                block.channels
            }
        };
        let Some(run) = &mut self.run else { return Ok(()) };
        let mut start = run.origin + i128::from(block.number) * BLOCK_FRAMES as i128;
        let hole = start - i128::from(self.frames);
        if hole > i128::from(LONGEST_FRAMES) {
            let cut = hole - i128::from(LONGEST_FRAMES);
            run.origin -= cut;
            start -= cut;
        }
        let samples = converted(block.samples, block.channels, channels);
        match u64::try_from(start - i128::from(self.frames)) {
            Ok(hole) => self.silence(hole)?,
            Err(_) => {
                // Begun before the picture, or over what the session before left: cut to the sample.
                let early = usize::try_from(i128::from(self.frames) - start).unwrap_or(usize::MAX);
                let from = early.saturating_mul(usize::from(channels)).min(samples.len());
                return self.append(&samples[from..]);
            }
        }
        self.append(&samples)
    }
}

fn nanos(frames: u64) -> u64 {
    u64::try_from(u128::from(frames) * 1_000_000_000 / u128::from(RATE)).unwrap_or(u64::MAX)
}

fn converted(samples: Vec<i16>, from: u8, to: u8) -> Vec<i16> {
    match (from, to) {
        (1, 2) => samples.iter().flat_map(|&sample| [sample, sample]).collect(),
        (2, 1) => samples.chunks_exact(2).map(|both| both[0].midpoint(both[1])).collect(),
        _ => samples,
    }
}

impl super::Writer for Writer {
    type Unit = Block;

    fn write(&mut self, block: Block) -> Result<(), Error> {
        let (len, channels) = (block.samples.len(), usize::from(block.channels));
        if !matches!(channels, 1 | 2) || !len.is_multiple_of(channels) || len > BLOCK_FRAMES * channels {
            self.left_out += 1;
            return Ok(());
        }
        self.held.push_back(block);
        self.release(false)
    }

    fn finish(mut self) -> Result<Written, Error> {
        self.release(true)?;
        self.state()?;
        let name = self.sink.name().to_string();
        let mut sentence = format!("{name}: {}", self.kept());
        if self.silent > 0 {
            let seconds = self.silent as f64 / f64::from(RATE);
            sentence += &format!(", {seconds:.2} s of it silence where sound was missing");
        }
        Ok(Written { name, units: self.frames, filled: self.silent, left_out: self.left_out, sentence })
    }
}

#[cfg(test)]
mod tests;
