//! One sender's pictures on their way to the canvas: which are worth decoding, and when one is *ready* to be shown.
//!
//! Slices are decoded in the order in which they come. A picture is ready when its last slice is decoded, or, in part, when the
//! session settles it without the rest; each once, and none that is older than one that was. After a stall seconds of pictures
//! come at once: those that did not begin to be decoded and are two behind the newest are passed over. One that began is
//! finished, so that a slow decoder shows whole pictures, too.
//!
//! Where a picture has only what is new in it, a slice that is not drawn leaves a hole that stays. Of which pictures one was not
//! drawn is told their sender ([`Reel::missed`]), whatever became of it: passed over, dropped, stale or damaged. Not told is what
//! newer pictures cover wholly, and what the session knows itself, for it did not give out a whole slice.
//!
//! Another sender counts its pictures from its own start, so it gets a reel of its own; the one before is ended.
//!
//! Capacity: [`COUNTED`] pictures are counted at once; the oldest is forgotten.

use crate::picture::Size;
use crate::time::MediaTime;
use crate::wire::slice::Head;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Pictures whose slices are counted at once: as many as a film's sender has under way. Live there are eleven at most, where
/// packets overtake each other, and one more may wait to be decoded.
const COUNTED: usize = 64;

/// Of so many pictures it is remembered that a slice was missed: as many as may be under way at once, from a film's sender.
const TOLD: usize = 256;

/// A picture on the canvas, with the moments of its way.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    pub picture: u64,
    pub size: Size,
    /// When the light was caught, on the sender's clock.
    pub capture: MediaTime,
    /// Its time in its film, all that was played before counted; `None` of a live one.
    pub position: Option<Duration>,
    /// From capture to the encoder.
    pub queued: Duration,
    /// From there until its last slice was encoded.
    pub encoded: Duration,
    /// When its last slice came.
    pub received: Instant,
    /// When that was let go to be decoded: then, or later where pictures are held.
    pub released: Instant,
    /// When that was decoded.
    pub decoded: Instant,
    /// Nothing is missing.
    pub whole: bool,
}

impl Ready {
    /// For how long it was held back before it was decoded.
    pub fn held(&self) -> Duration {
        self.released.saturating_duration_since(self.received)
    }

    /// How long decoding and presenting it took, where it was with the display at `at`; `None` of one in part, which waited for
    /// what never came.
    pub fn lead(&self, at: Instant) -> Option<Duration> {
        self.whole.then(|| at.saturating_duration_since(self.released))
    }
}

/// A whole slice that was decoded.
pub struct Decoded<'a> {
    /// Its picture's number.
    pub picture: u64,
    /// Slices that has.
    pub count: u8,
    /// What it says of itself.
    pub head: &'a Head<'a>,
    /// When it was whole.
    pub received: Instant,
    /// When it was let go to be decoded.
    pub released: Instant,
    /// When it was decoded.
    pub decoded: Instant,
}

/// What becomes of a slice whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is to be decoded.
    Decode,
    /// Its picture is too far behind to be begun.
    PassOver,
    /// Its sender is not shown any more.
    Ended,
}

struct Count {
    ready: Ready,
    done: u8,
    of: u8,
    announced: bool,
}

#[derive(Default)]
pub struct Reel {
    ended: bool,
    /// The newest picture of which anything came.
    newest: u64,
    /// The newest picture of which anything was decoded.
    begun: Option<u64>,
    counts: VecDeque<Count>,
    /// The newest picture that was announced.
    announced: Option<u64>,
    /// Pictures of which it was told that a slice is missed.
    told: BTreeSet<u64>,
}

impl Reel {
    /// Something of this picture waits to be decoded.
    pub fn came(&mut self, picture: u64) {
        self.newest = self.newest.max(picture);
    }

    /// A decoder has come to a slice of this picture.
    pub fn turn(&mut self, picture: u64) -> Turn {
        if self.ended {
            return Turn::Ended;
        }
        if self.begun.is_some_and(|begun| picture <= begun) {
            return Turn::Decode;
        }
        if picture + 1 < self.newest {
            return Turn::PassOver;
        }
        self.begun = Some(picture);
        Turn::Decode
    }

    /// A slice is on the canvas; the picture that is ready by it. Whoever is told shows it before it asks again.
    pub fn decoded(&mut self, slice: &Decoded<'_>) -> Option<Ready> {
        let place = match self.place(slice.picture) {
            Some(place) => place,
            None => {
                if self.counts.len() == COUNTED {
                    self.counts.pop_front();
                }
                self.counts.push_back(Count::new(slice));
                self.counts.len() - 1
            }
        };
        let count = &mut self.counts[place];
        count.done = count.done.saturating_add(1);
        let ready = &mut count.ready;
        ready.encoded = ready.encoded.max(slice.head.encoded);
        ready.received = ready.received.max(slice.received);
        ready.released = ready.released.max(slice.released);
        ready.decoded = slice.decoded;
        if count.done != count.of {
            return None;
        }
        count.ready.whole = true;
        self.announce(place)
    }

    /// Nothing more comes of this picture: what there is of it is ready.
    pub fn settled_in_part(&mut self, picture: u64) -> Option<Ready> {
        self.announce(self.place(picture)?)
    }

    /// A slice of this picture came whole and is not drawn. Whether that is to be told: of each picture once, and of none of a
    /// track that is over.
    #[must_use]
    pub fn missed(&mut self, picture: u64) -> bool {
        let tell = !self.ended && self.told.insert(picture);
        if self.told.len() > TOLD {
            self.told.pop_first();
        }
        tell
    }

    /// Another sender is shown: nothing more of this one is decoded or gets ready.
    pub fn end(&mut self) {
        self.ended = true;
    }

    fn place(&self, picture: u64) -> Option<usize> {
        self.counts.iter().position(|count| count.ready.picture == picture)
    }

    /// The picture counted at `place` is ready, where it is not older than one that was.
    fn announce(&mut self, place: usize) -> Option<Ready> {
        let count = self.counts.get_mut(place).filter(|count| !count.announced && !self.ended)?;
        count.announced = true;
        if self.announced.is_some_and(|newest| newest >= count.ready.picture) {
            return None;
        }
        self.announced = Some(count.ready.picture);
        Some(count.ready)
    }
}

impl Count {
    /// Nothing is counted yet of the picture of this slice.
    fn new(slice: &Decoded<'_>) -> Count {
        let Decoded { picture, count, head, received, released, decoded } = *slice;
        let Head { size, capture, position, queued, encoded, .. } = *head;
        let ready = Ready { picture, size, capture, position, queued, encoded, received, released, decoded, whole: false };
        Count { ready, done: 0, of: count, announced: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::slice::testing;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A slice of a picture of two was decoded `after` the start.
    fn decoded(reel: &mut Reel, start: Instant, picture: u64, after: u64) -> Option<Ready> {
        let (capture, queued, encoded) = (MediaTime::from_nanos(picture), ms(1), ms(100 - after));
        let head = Head { capture, queued, encoded, ..testing::head() };
        let (received, released) = (start + ms(after), start + ms(after + 1));
        let decoded = start + ms(after + 2);
        reel.decoded(&Decoded { picture, count: 2, head: &head, received, released, decoded })
    }

    #[test]
    fn of_a_backlog_only_the_newest_is_decoded_and_what_began_is_finished() {
        let mut reel = Reel::default();
        reel.came(10);
        assert_eq!(reel.turn(10), Turn::Decode);
        (11..=130).for_each(|picture| reel.came(picture));
        assert_eq!(reel.turn(10), Turn::Decode, "its other slices");
        let worth: Vec<u64> = (11..=130).filter(|picture| reel.turn(*picture) == Turn::Decode).collect();
        assert_eq!(worth, [129, 130]);
    }

    #[test]
    fn a_decoder_that_never_keeps_up_still_shows_every_other_picture_or_so() {
        let (mut reel, mut worth) = (Reel::default(), Vec::new());
        // Three pictures come while one is decoded.
        for picture in 0..300 {
            reel.came((picture + 1) * 3);
            let next = worth.last().map_or(0, |last| last + 1);
            worth.extend((next..=(picture + 1) * 3).find(|picture| reel.turn(*picture) == Turn::Decode));
        }
        assert!(worth.len() == 300 && worth.last() >= Some(&896), "{:?}", worth.last());
    }

    #[test]
    fn a_picture_is_ready_by_its_last_slice_whose_moments_it_bears() {
        let (mut reel, start) = (Reel::default(), Instant::now());
        assert!(decoded(&mut reel, start, 7, 0).is_none());
        let ready = decoded(&mut reel, start, 7, 10).expect("both are there");
        assert!(ready.whole && ready.picture == 7 && ready.capture == MediaTime::from_nanos(7));
        assert_eq!([ready.received, ready.released, ready.decoded], [10, 11, 12].map(|after| start + ms(after)));
        assert_eq!(ready.encoded, ms(100), "of the slice that took longest");
        assert_eq!((ready.held(), ready.lead(start + ms(15))), (ms(1), Some(ms(4))));
        assert!(reel.settled_in_part(7).is_none(), "once");
    }

    #[test]
    fn what_is_settled_in_part_is_ready_as_it_is_and_nothing_older_follows() {
        let (mut reel, start) = (Reel::default(), Instant::now());
        decoded(&mut reel, start, 1, 0);
        decoded(&mut reel, start, 2, 1);
        let ready = reel.settled_in_part(2).expect("a slice of it is there");
        assert!(!ready.whole && ready.picture == 2);
        assert_eq!(ready.lead(start + ms(60)), None, "it waited for its other slice");
        assert!(decoded(&mut reel, start, 1, 2).is_none(), "a newer one was shown");
        assert!(reel.settled_in_part(3).is_none(), "nothing came of it");
        assert!(decoded(&mut reel, start, 2, 3).is_none(), "its last slice, too late");
    }

    #[test]
    fn of_a_sender_that_is_not_shown_any_more_nothing_is_decoded_or_ready() {
        let (mut reel, start) = (Reel::default(), Instant::now());
        assert_eq!(reel.turn(0), Turn::Decode);
        decoded(&mut reel, start, 0, 0);
        reel.end();
        assert_eq!((reel.turn(0), reel.turn(5)), (Turn::Ended, Turn::Ended));
        assert!(decoded(&mut reel, start, 0, 1).is_none() && reel.settled_in_part(0).is_none());
        assert!(!reel.missed(5), "nobody is there to send it again");
    }

    #[test]
    fn of_each_picture_it_is_told_once_that_a_slice_was_missed() {
        let mut reel = Reel::default();
        assert_eq!([7, 7, 9, 8, 7, 9].map(|picture| reel.missed(picture)), [true, false, true, true, false, false]);
        let told: Vec<u64> = (10..5000).flat_map(|picture| [picture, picture]).filter(|picture| reel.missed(*picture)).collect();
        assert_eq!(told, (10..5000).collect::<Vec<_>>());
        assert_eq!(reel.told.len(), TOLD);
    }
}
