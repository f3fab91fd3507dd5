//! Where a film is, and what its viewer wants of it: the bodies of records 66 and 65 (PROTOCOL.md §4.11, §4.12).
//!
//! ```text
//!  steer   0      1         film   0       1        3        11      19       27      35
//!          what   place            state   others   played   place   length   first   first block
//!          u8     u64              u8      u16      u64      u64     u64      u64     u64
//! ```
//!
//! Times are nanoseconds. *Played* is what pictures say in their heads as their position: it only grows, however the film is
//! steered. The *place* is where in the film that is.

use super::{Error, MOST_PICTURES, Reader};
use std::time::Duration;

const PAUSE: u8 = 1;
const GO_ON: u8 = 2;
const GO_TO: u8 = 4;

const PAUSED: u8 = 1;
const STEERED: u8 = 2;
const SOUGHT: u8 = 4;

/// What a viewer wants of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steer {
    /// It is to stand still, or to go on.
    pub paused: Option<bool>,
    /// It is to go on from there.
    pub to: Option<Duration>,
}

impl Steer {
    /// This, and `later` what was wanted after it.
    pub fn then(self, later: Steer) -> Steer {
        Steer { paused: later.paused.or(self.paused), to: later.to.or(self.to) }
    }

    /// Appends its bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let paused = self.paused.map_or(0, |paused| if paused { PAUSE } else { GO_ON });
        out.push(paused | self.to.map_or(0, |_| GO_TO));
        put(out, self.to.unwrap_or_default());
    }

    /// From the fields of a record. Bits that are not in use are ignored, and so is a place where none is meant.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Steer, Error> {
        let what = reader.u8("what is wanted of a film")?;
        let paused = match what & (PAUSE | GO_ON) {
            0 => None,
            PAUSE => Some(true),
            GO_ON => Some(false),
            _ => return Err(reader.invalid("what is wanted of a film", what.into(), 1)),
        };
        let place = take(reader, "place in a film")?;
        Ok(Steer { paused, to: (what & GO_TO != 0).then_some(place) })
    }
}

/// Where a film is, and who may steer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Film {
    /// It stands still because a viewer wants it so.
    pub paused: bool,
    /// The one who is told may steer it.
    pub steered: bool,
    /// It can go on from any place.
    pub sought: bool,
    /// How many others watch it.
    pub others: u16,
    /// A picture with this position is ...
    pub played: Duration,
    /// ... at this place, and those after it are as much further.
    pub place: Duration,
    /// How long the film is, where that is known.
    pub length: Option<Duration>,
    /// Pictures below this number are of another place, and not waited for.
    pub first: u64,
    /// And so are blocks of sound below this one.
    pub first_block: u64,
}

impl Film {
    /// Where in the film a picture of this position is.
    pub fn place_of(&self, position: Duration) -> Duration {
        let place = self.place.saturating_add(position.saturating_sub(self.played));
        self.length.map_or(place, |length| place.min(length))
    }

    /// Appends its bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        out.push(bit(self.paused, PAUSED) | bit(self.steered, STEERED) | bit(self.sought, SOUGHT));
        out.extend_from_slice(&self.others.to_be_bytes());
        [self.played, self.place, self.length.unwrap_or_default()].into_iter().for_each(|time| put(out, time));
        [self.first, self.first_block].into_iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
    }

    /// From the fields of a record. Bits that are not in use are ignored.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Film, Error> {
        let (state, others) = (reader.u8("state of a film")?, reader.u16("others who watch")?);
        let (played, place) = (take(reader, "time played")?, take(reader, "place in a film")?);
        let length = Some(take(reader, "length of a film")?).filter(|length| !length.is_zero());
        let mut number = |field| {
            let number = reader.u64(field)?;
            if number > MOST_PICTURES { Err(reader.invalid(field, number, 8)) } else { Ok(number) }
        };
        let (first, first_block) = (number("first picture")?, number("first block")?);
        let (paused, steered, sought) = (state & PAUSED != 0, state & STEERED != 0, state & SOUGHT != 0);
        Ok(Film { paused, steered, sought, others, played, place, length, first, first_block })
    }
}

/// What is longer than five centuries is cut there.
fn put(out: &mut Vec<u8>, time: Duration) {
    out.extend_from_slice(&u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).to_be_bytes());
}

fn take(reader: &mut Reader<'_>, field: &'static str) -> Result<Duration, Error> {
    reader.u64(field).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_later_counts_and_leaves_what_it_says_nothing_of() {
        let (pause, to) = (Steer { paused: Some(true), to: None }, |s| Steer { paused: None, to: Some(Duration::from_secs(s)) });
        let both = to(5).then(pause).then(to(10));
        assert_eq!(both, Steer { paused: Some(true), to: Some(Duration::from_secs(10)) });
        assert_eq!(both.then(Steer { paused: Some(false), to: None }).paused, Some(false));
    }

    #[test]
    fn a_picture_is_as_far_behind_the_place_as_it_was_played_after_it() {
        let seconds = Duration::from_secs;
        let film = Film { played: seconds(100), place: seconds(7), length: Some(seconds(30)), ..Film::default() };
        let places = [99, 100, 103, 1000].map(|position| film.place_of(seconds(position)).as_secs());
        assert_eq!(places, [7, 7, 10, 30], "before it nothing is known, and behind the end nothing is");
        let odd = Film { place: Duration::MAX, length: None, ..film };
        assert_eq!(odd.place_of(Duration::MAX), Duration::MAX);
    }
}
