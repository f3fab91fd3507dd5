//! What a receiver has use for of a track.
//!
//! ```text
//!  0       1        5
//!  media   pixels   rate
//!  u8      u32      u64 bit/s
//! ```
//!
//! `media`: bit 0 pictures, bit 1 sound, bit 2 each picture whole, bit 3, beside that, not for all who are behind the receiver,
//! bit 4 its sound as samples.

use super::{Error, Reader};

const PICTURES: u8 = 1;
const SOUND: u8 = 2;
const WHOLE: u8 = 4;
const NOT_ALL: u8 = 8;
const SAMPLES: u8 = 16;

/// The most a receiver has use for of a track of its peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    /// It is shown.
    pub pictures: bool,
    /// It is heard.
    pub sound: bool,
    /// Pixels that a picture is shown on; 0 where all are of use.
    pub pixels: u32,
    /// Bits a second that pictures may take; 0 for any.
    pub rate: u64,
    /// By whom each picture is wanted with all of its MCUs: it is written as it comes.
    pub whole: Whole,
    /// Its sound is passed on to some who decode no Opus: as samples alone it is of use to all of them.
    pub samples: bool,
}

impl Want {
    /// All there is.
    pub const ALL: Want = Want { pictures: true, sound: true, pixels: 0, rate: 0, whole: Whole::Nobody, samples: false };

    /// Neither pictures nor sound.
    pub const NOTHING: Want = Want { pictures: false, sound: false, ..Want::ALL };
}

/// Who wants each picture whole, of one receiver and those to whom it passes pictures on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Whole {
    /// Whoever sees them takes what changed.
    #[default]
    Nobody,
    /// Some do, and to the others they are not to be sent so.
    Somebody,
    /// All do.
    Everybody,
}

impl Want {
    /// Appends its bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let whole = match self.whole {
            Whole::Nobody => 0,
            Whole::Somebody => WHOLE | NOT_ALL,
            Whole::Everybody => WHOLE,
        };
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        out.push(bit(self.pictures, PICTURES) | bit(self.sound, SOUND) | whole | bit(self.samples, SAMPLES));
        out.extend_from_slice(&self.pixels.to_be_bytes());
        out.extend_from_slice(&self.rate.to_be_bytes());
    }

    /// From the fields of a record. Bits that are not in use are ignored.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Want, Error> {
        let (media, pixels, rate) = (reader.u8("media")?, reader.u32("pixels")?, reader.u64("rate")?);
        let whole = match (media & WHOLE != 0, media & NOT_ALL != 0) {
            (false, _) => Whole::Nobody,
            (true, true) => Whole::Somebody,
            (true, false) => Whole::Everybody,
        };
        let [pictures, sound, samples] = [PICTURES, SOUND, SAMPLES].map(|bit| media & bit != 0);
        Ok(Want { pictures, sound, pixels, rate, whole, samples })
    }
}
