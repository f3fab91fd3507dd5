//! YUV4MPEG2: raw planes with a line of text before each picture; what `ffmpeg`, `mpv` and x264 read from files and pipes.
//! Described in mjpegtools' yuv4mpeg(5); `XCOLORRANGE=FULL` is ffmpeg's word for our full-range planes.
//!
//! A y4m stream has one size, one sampling and one rate. The first picture decides size and sampling; later ones are made to fit.
//! At a constant rate each picture must come at its place: picture n shows what was caught n periods after the start. Picture
//! numbers say what was lost, capture times what never was (a camera that slowed down in the dark, a sender that sends fewer); both
//! holes are filled by repeating the picture before. Jitter of up to a period moves nothing. Where more pictures come than the rate
//! has room for, some are left out: otherwise sound and picture of a long recording drift apart. Of films
//! the numbers alone are believed, for their times also tell when the player was held up; those of a varying rate get one frame a
//! picture, their times are lost.

use std::path::Path;

use super::sink::Sink;
use super::{Error, LONGEST_HOLE, Timeline, Written};
use crate::fit::Fit;
use crate::picture::{Buffer, Sampling, Size};
use crate::time::MediaTime;

/// Pictures a second, as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    num: u32,
    den: u32,
}

impl Rate {
    /// What cannot be one, or is beyond any camera (240 a second) or slide show (one in ten seconds), becomes 30: the header
    /// needs some rate, and a peer's word must not decide how much is repeated.
    pub fn new(num: u32, den: u32) -> Self {
        let plausible = den > 0 && u64::from(num) <= 240 * u64::from(den) && u64::from(num) * 10 >= u64::from(den);
        if plausible { Rate { num, den } } else { Rate { num: 30, den: 1 } }
    }

    fn periods(self, nanos: i64) -> f64 {
        nanos as f64 * f64::from(self.num) / f64::from(self.den) / 1e9
    }

    fn periods_in_longest_hole(self) -> f64 {
        self.periods(LONGEST_HOLE.as_nanos() as i64).floor()
    }

    fn nanos(self, periods: u64) -> u64 {
        let nanos = u128::from(periods) * u128::from(self.den) * 1_000_000_000 / u128::from(self.num);
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

/// When a picture is a frame of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Holes are filled, so that every frame lasts one period.
    Constant(Rate),
    /// The same by the numbers alone: a film whose player or network had to stand still for a while lasts no longer for it.
    Numbered(Rate),
    /// Every picture once; the rate merely stands in the header.
    Variable(Rate),
}

/// One decoded picture.
pub struct Picture {
    /// Grows whenever another sender, or the same one started anew, is shown.
    pub session: u64,
    /// The sender's number of it; a gap is a loss.
    pub number: u64,
    /// On that session's media clock.
    pub captured: MediaTime,
    /// Luma's size.
    pub size: Size,
    /// Of the colour planes.
    pub sampling: Sampling,
    /// Y, Cb, Cr: full range, tight, `sampling.bytes(size)` in all. Others are left out.
    pub planes: Buffer,
}

/// See the module text.
pub struct Writer {
    sink: Sink,
    timeline: Timeline,
    pace: Pace,
    shape: Option<(Size, Sampling, Fit)>,
    /// The planes of the last frame written, for repeating.
    last: Option<Buffer>,
    /// Session and number of the last picture that came.
    seen: Option<(u64, u64)>,
    /// Periods cut out of holes that were too long.
    cut: f64,
    frames: u64,
    repeated: u64,
    left_out: u64,
}

impl Writer {
    /// A new file, or stdout where there is no path.
    pub fn create(path: Option<&Path>, pace: Pace, timeline: Timeline) -> Result<Self, Error> {
        Ok(Self::to(Sink::open(path)?, pace, timeline))
    }

    fn to(sink: Sink, pace: Pace, timeline: Timeline) -> Self {
        let (shape, last, seen) = (None, None, None);
        Writer { sink, timeline, pace, shape, last, seen, cut: 0.0, frames: 0, repeated: 0, left_out: 0 }
    }

    /// How many repeats go before this picture; `None` when there is no place for it.
    fn repeats(&mut self, picture: &Picture) -> Option<u64> {
        let gap = match self.seen {
            Some((session, number)) if session == picture.session => picture.number.checked_sub(number)?.checked_sub(1)?,
            _ => 0,
        };
        let position = self.timeline.begin(picture.session, picture.captured)?;
        self.seen = Some((picture.session, picture.number));
        let rate = match self.pace {
            Pace::Constant(rate) => rate,
            Pace::Numbered(rate) => return Some(gap.min(rate.periods_in_longest_hole() as u64)),
            Pace::Variable(_) => return Some(0),
        };
        // How many periods this picture's place lies beyond the next free one.
        let beyond = rate.periods(position) - self.cut - self.frames as f64;
        let gap = gap as f64;
        let mut repeats = match beyond - gap {
            early if early <= -1.0 => beyond.ceil().max(0.0),
            late if late >= 1.0 => beyond.floor(),
            _ => gap,
        };
        if beyond - repeats <= -1.5 {
            return None;
        }
        let longest = rate.periods_in_longest_hole();
        if repeats > longest {
            self.cut += repeats - longest;
            repeats = longest;
        }
        Some(repeats as u64)
    }

    /// The planes in the shape of the file; the first picture decides it and writes the header.
    fn shaped(&mut self, picture: Picture) -> Result<Buffer, Error> {
        let Picture { size, sampling, planes, .. } = picture;
        let Some((first_size, first_sampling, fit)) = &mut self.shape else {
            let (Pace::Constant(rate) | Pace::Numbered(rate) | Pace::Variable(rate)) = self.pace;
            let sampling_word = match sampling {
                Sampling::Grey => "mono",
                Sampling::Yuv420 => "420jpeg",
                Sampling::Yuv422 => "422",
                Sampling::Yuv444 => "444",
            };
            let (Rate { num, den }, Size { width, height }) = (rate, size);
            let header = format!("YUV4MPEG2 W{width} H{height} F{num}:{den} Ip A1:1 C{sampling_word} XCOLORRANGE=FULL\n");
            self.sink.unit(&[header.as_bytes()]).map_err(|error| self.sink.error(error, "nothing".into()))?;
            self.shape = Some((size, sampling, Fit::into(size, sampling)));
            return Ok(planes);
        };
        let same = (size, sampling) == (*first_size, *first_sampling);
        Ok(if same { planes } else { fit.convert(size, sampling, &planes).into() })
    }

    fn frame(&mut self, planes: &[u8]) -> Result<(), Error> {
        self.sink.unit(&[b"FRAME\n", planes]).map_err(|error| self.sink.error(error, count(self.frames)))?;
        self.frames += 1;
        Ok(())
    }
}

impl super::Writer for Writer {
    type Unit = Picture;

    fn write(&mut self, picture: Picture) -> Result<(), Error> {
        let area = u64::from(picture.size.width) * u64::from(picture.size.height);
        let whole = area > 0 && picture.planes.len() == picture.sampling.bytes(picture.size);
        let Some(repeats) = whole.then(|| self.repeats(&picture)).flatten() else {
            self.left_out += 1;
            return Ok(());
        };
        let planes = self.shaped(picture)?;
        // Sound may have begun before the first picture: then that one stands for what was not seen.
        let before = self.last.take();
        for _ in 0..repeats {
            self.frame(before.as_ref().unwrap_or(&planes))?;
            self.repeated += 1;
        }
        self.frame(&planes)?;
        self.last = Some(planes);
        let (Pace::Constant(rate) | Pace::Numbered(rate) | Pace::Variable(rate)) = self.pace;
        self.timeline.reached(rate.nanos(self.frames));
        Ok(())
    }

    fn finish(self) -> Result<Written, Error> {
        let name = self.sink.name().to_string();
        let mut sentence = format!("{name}: {}", count(self.frames));
        if self.repeated > 0 {
            sentence += &format!(", {} of them repeated for missing ones", self.repeated);
        }
        if self.left_out > 0 {
            sentence += &format!("; {} more came late or had no place at this rate", self.left_out);
        }
        Ok(Written { name, units: self.frames, filled: self.repeated, left_out: self.left_out, sentence })
    }
}

/// `1 picture`, `7 pictures`.
pub(super) fn count(pictures: u64) -> String {
    if pictures == 1 { "1 picture".into() } else { format!("{pictures} pictures") }
}

#[cfg(test)]
mod tests;
