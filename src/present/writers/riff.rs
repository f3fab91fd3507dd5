//! A WAV file as bytes: s16 samples at 48 kHz behind a header (RIFF WAVE, format 1). What stands where is its writers' concern.
//!
//! The header comes with the first samples and is written over once a second of sound, so that a file left by a crash plays up to
//! its last second; and at the end.

use super::sink::Sink;
use super::{Error, Progress};
use eyeline_proto::sound::RATE;

/// Bytes before the samples.
pub(super) const HEADER: usize = 44;

pub(super) struct Riff {
    sink: Sink,
    channels: Option<u8>,
    frames: u64,
    /// Frames when the header was last written.
    stated: u64,
    /// Frames a file can hold.
    most: u64,
}

impl Riff {
    /// Leaves everything as it is until the first samples.
    pub fn new(sink: Sink) -> Self {
        Riff { sink, channels: None, frames: 0, stated: 0, most: 0 }
    }

    /// Mono or stereo, as it was said first.
    pub fn channels(&mut self, first: u8) -> u8 {
        let bytes_a_frame = 2 * u64::from(first);
        if self.channels.is_none() {
            self.most = (u64::from(u32::MAX) - HEADER as u64) / bytes_a_frame;
        }
        *self.channels.get_or_insert(first)
    }

    /// Frames in it.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    pub fn name(&self) -> &str {
        self.sink.name()
    }

    /// Of the file.
    pub fn progress(&self) -> Progress {
        self.sink.progress()
    }

    /// How much sound it holds.
    pub fn kept(&self) -> String {
        format!("{:.2} s of sound", self.frames as f64 / f64::from(RATE))
    }

    fn error(&self, cause: std::io::Error) -> Error {
        self.sink.error(cause, self.kept())
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

    /// The header says what the file holds.
    pub fn state(&mut self) -> Result<(), Error> {
        let header = self.header();
        match self.sink.rewrite(0, &header) {
            // A pipe or a device keeps the header it got.
            Err(error) if error.kind() == std::io::ErrorKind::NotSeekable => {}
            result => result.map_err(|error| self.error(error))?,
        }
        self.stated = self.frames;
        Ok(())
    }

    /// Appends interleaved samples; the file is never longer than its header can say.
    pub fn append(&mut self, samples: &[i16]) -> Result<(), Error> {
        let channels = usize::from(self.channels(1));
        let room = usize::try_from(self.most.saturating_sub(self.frames)).unwrap_or(usize::MAX).saturating_mul(channels);
        let fitting = &samples[..samples.len().min(room)];
        if samples.is_empty() {
            return Ok(());
        }
        let header = if self.frames == 0 { &self.header()[..] } else { &[] };
        let bytes: Vec<u8> = fitting.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let outcome = self.sink.unit(&[header, &bytes]);
        if outcome.is_ok() {
            self.frames += (fitting.len() / channels) as u64;
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

    /// Frames it can hold.
    #[cfg(test)]
    pub fn most(&mut self) -> &mut u64 {
        &mut self.most
    }
}
