//! YUV4MPEG2: raw planes with a line of text before each picture; what `ffmpeg`, `mpv` and x264 read from files and pipes.
//! Described in mjpegtools' yuv4mpeg(5); `XCOLORRANGE=FULL` is ffmpeg's word for our full-range planes.
//!
//! A y4m stream has one size, one sampling and one rate. The first picture decides size and sampling; later ones are made to fit.
//! Which frame of the file a picture is, and how often it is repeated, is decided by its time (`placing.rs`).

use super::placing::{Due, Placing};
use super::sink::Sink;
use super::{Error, Moment, Progress, Target, Timeline, Written};
use crate::fit::Fit;
use eyeline_proto::picture::{Buffer, Sampling, Size};
use eyeline_proto::rate::Rate;

/// One decoded picture.
pub struct Picture {
    /// When it was caught.
    pub moment: Moment,
    /// The sender's number of it; a gap is a loss.
    pub number: u64,
    /// Of its stream, where the sender says one.
    pub rate: Option<Rate>,
    pub size: Size,
    /// Of the colour planes.
    pub sampling: Sampling,
    /// Y, Cb, Cr: full range, tight, `sampling.bytes(size)` in all. Others are left out.
    pub planes: Buffer,
}

pub struct Writer {
    sink: Sink,
    placing: Placing<Picture>,
    shape: Option<(Size, Sampling, Fit)>,
    /// Goes before the first frame, and not without it.
    header: String,
    /// The planes of the last frame written, for repeating.
    last: Option<Buffer>,
    frames: u64,
    repeated: u64,
    left_out: u64,
}

impl Writer {
    /// Writes to what was claimed, from the first picture on.
    pub fn new(target: Target, timeline: Timeline) -> Self {
        Self::to(Sink::new(target), timeline)
    }

    fn to(sink: Sink, timeline: Timeline) -> Self {
        let (shape, last) = (None, None);
        let header = String::new();
        Writer { sink, placing: Placing::new(timeline), shape, header, last, frames: 0, repeated: 0, left_out: 0 }
    }

    /// The planes in the shape of the file; the first picture decides it.
    fn shaped(&mut self, picture: Picture) -> Buffer {
        let Picture { size, sampling, planes, .. } = picture;
        if self.shape.is_none() {
            let (written, word) = match sampling {
                Sampling::Grey => (sampling, "mono"),
                Sampling::Yuv420 => (sampling, "420jpeg"),
                Sampling::Yuv422 => (sampling, "422"),
                // Of 4:4:0 y4m knows nothing.
                Sampling::Yuv444 | Sampling::Yuv440 => (Sampling::Yuv444, "444"),
            };
            let (rate, Size { width, height }) = (self.placing.rate(), size);
            let (num, den) = (rate.num(), rate.den());
            self.header = format!("YUV4MPEG2 W{width} H{height} F{num}:{den} Ip A1:1 C{word} XCOLORRANGE=FULL\n");
            self.shape = Some((size, written, Fit::into(size, written)));
        }
        let Some((first_size, first_sampling, fit)) = &mut self.shape else { return planes };
        let same = (size, sampling) == (*first_size, *first_sampling);
        if same { planes } else { fit.convert(size, sampling, &planes).into() }
    }

    fn frame(&mut self, planes: &[u8]) -> Result<bool, Error> {
        let unit = self.sink.unit_unless(|| self.placing.hurries(), &[self.header.as_bytes(), b"FRAME\n", planes]);
        let kept = || if self.frames == 0 { "nothing".into() } else { count(self.frames) };
        let written = unit.map_err(|error| self.sink.error(error, kept()))?;
        if written {
            self.header.clear();
            self.frames += 1;
        }
        Ok(written)
    }
}

impl Writer {
    fn put(&mut self, due: Due<Picture>) -> Result<(), Error> {
        for (repeats, picture) in due {
            let planes = self.shaped(picture);
            // Sound may have begun before the first picture: then that one stands for what was not seen.
            let before = self.last.take();
            for _ in 0..repeats {
                if self.placing.hurries() {
                    break;
                }
                self.repeated += u64::from(self.frame(before.as_ref().unwrap_or(&planes))?);
            }
            self.frame(&planes)?;
            self.last = Some(planes);
        }
        Ok(())
    }
}

impl super::Writer for Writer {
    type Unit = Picture;

    fn write(&mut self, picture: Picture) -> Result<(), Error> {
        let area = u64::from(picture.size.width) * u64::from(picture.size.height);
        if area == 0 || picture.planes.len() != picture.sampling.bytes(picture.size) {
            self.left_out += 1;
            return Ok(());
        }
        let due = self.placing.push(picture.moment, picture.number, picture.rate, picture.planes.len(), picture);
        self.put(due)
    }

    fn finish(mut self) -> Result<Written, Error> {
        let rest = self.placing.release();
        self.put(rest)?;
        self.left_out += self.placing.left_out;
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

    fn progress(&self) -> Progress {
        self.sink.progress()
    }
}

/// `1 picture`, `7 pictures`.
pub(super) fn count(pictures: u64) -> String {
    if pictures == 1 { "1 picture".into() } else { format!("{pictures} pictures") }
}

#[cfg(test)]
mod tests;
