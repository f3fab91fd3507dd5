//! Which frame of a file of constant rate each picture is: the one of its time. What the y4m and the MJPEG writer share.
//!
//! Picture n of the file shows what was caught n periods after its start. Holes are filled by repeating the picture before,
//! whoever made them: a loss, a camera that slowed down in the dark, a film without pictures for a while. Where more pictures
//! come than the rate has room for, some are left out. So picture and sound stay within one period of each other to the end.
//! Jitter of up to a period moves nothing: within it, the numbers of pictures decide.
//!
//! The rate is what the sender says of its stream. Where it says none, the first pictures' capture times tell: they are held
//! until a second of them is there ([`ENOUGH`]), for a rate once written cannot be changed.

use eyeline_proto::rate::Rate;
use std::collections::VecDeque;
use std::time::Duration;

use super::timeline::{Moment, Timeline};

/// The rate is measured from so much of the stream, and so many pictures.
const ENOUGH: (Duration, usize) = (Duration::from_secs(1), 8);

/// It is measured from fewer where they are slow in coming.
const LONG: Duration = Duration::from_secs(3);

/// Bytes of pictures held to measure the rate: ten of 4K.
const MOST_HELD: usize = 128 << 20;

/// What can be a distance of two pictures: no camera gives more than 240 a second; nearer ones were held up together.
const NEAREST: Duration = Duration::from_millis(4);

/// Rates there are: what is measured within [`SNAP`] of one is that one.
const USUAL: [(u32, u32); 20] = [
    (1, 1),
    (2, 1),
    (3, 1),
    (4, 1),
    (5, 1),
    (6, 1),
    (15, 2),
    (8, 1),
    (10, 1),
    (12, 1),
    (25, 2),
    (15, 1),
    (20, 1),
    (24, 1),
    (25, 1),
    (30, 1),
    (50, 1),
    (60, 1),
    (90, 1),
    (120, 1),
];

/// See above. 24 and 25 are 4 % apart; the nearer one is taken.
const SNAP: f64 = 0.04;

/// Beyond any camera (240 a second) or slide show (one in ten seconds) it is not one: a peer's word must not decide how much is
/// repeated.
fn is_plausible(rate: Rate) -> bool {
    u64::from(rate.num()) <= 240 * u64::from(rate.den()) && u64::from(rate.num()) * 10 >= u64::from(rate.den())
}

/// How many pictures are due in that time, and of the next a part.
fn pictures_in(nanos: i64, rate: Rate) -> f64 {
    nanos as f64 * f64::from(rate.num()) / f64::from(rate.den()) / 1e9
}

/// The rate of pictures caught at these times, in nanoseconds: the usual distance counts, not what was lost or held up between.
/// Of one picture alone it is [`Rate::DEFAULT`].
fn measured(times: &[i64]) -> Rate {
    let mut distances: Vec<i64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    distances.retain(|&distance| distance >= NEAREST.as_nanos() as i64);
    distances.sort_unstable();
    let Some(&median) = distances.get(distances.len() / 2) else { return Rate::DEFAULT };
    distances.retain(|&distance| distance >= median / 2 && distance <= median.saturating_add(median / 2));
    let mean = distances.iter().map(|&distance| distance as f64).sum::<f64>() / distances.len() as f64;
    let measured = 1e9 / mean;
    let off = |rate: &Rate| (rate.per_second() / measured - 1.0).abs();
    let usual = USUAL.iter().filter_map(|&(num, den)| Rate::new(num, den));
    match usual.min_by(|a, b| off(a).total_cmp(&off(b))) {
        Some(rate) if off(&rate) <= SNAP => rate,
        _ => Rate::new((measured * 100.0).round() as u32, 100).filter(|rate| is_plausible(*rate)).unwrap_or(Rate::DEFAULT),
    }
}

/// A picture that waits for the rate to be known.
struct Early<P> {
    moment: Moment,
    number: u64,
    at: i64,
    picture: P,
}

pub(super) struct Placing<P> {
    timeline: Timeline,
    rate: Option<Rate>,
    early: VecDeque<Early<P>>,
    held: usize,
    /// Session and number of the last picture that came.
    seen: Option<(u64, u64)>,
    frames: u64,
    pub left_out: u64,
}

/// Pictures that go into the file now, and how often what was there before them goes once more.
pub(super) type Due<P> = Vec<(u64, P)>;

impl<P> Placing<P> {
    /// Whether nothing more is to be begun.
    pub fn hurries(&self) -> bool {
        self.timeline.hurries()
    }

    pub fn new(timeline: Timeline) -> Self {
        Placing { timeline, rate: None, early: VecDeque::new(), held: 0, seen: None, frames: 0, left_out: 0 }
    }

    /// Known once a picture was due.
    pub fn rate(&self) -> Rate {
        self.rate.unwrap_or(Rate::DEFAULT)
    }

    /// A picture of so many bytes came, of a stream of this rate, if that is known.
    pub fn push(&mut self, moment: Moment, number: u64, rate: Option<Rate>, bytes: usize, picture: P) -> Due<P> {
        // Asked for at once: sound waits to hear where the files begin.
        let Some(at) = self.timeline.picture(moment) else {
            self.left_out += 1;
            return Vec::new();
        };
        self.held += bytes;
        self.early.push_back(Early { moment, number, at, picture });
        self.rate = self.rate.or(rate.filter(|rate| is_plausible(*rate)));
        let span = self.early.front().map_or(0, |first| at.saturating_sub(first.at));
        let span = Duration::from_nanos(u64::try_from(span).unwrap_or(0));
        let enough = (span >= ENOUGH.0 && self.early.len() >= ENOUGH.1) || span >= LONG || self.held >= MOST_HELD;
        if self.rate.is_some() || enough { self.release() } else { Vec::new() }
    }

    /// All that is held.
    pub fn release(&mut self) -> Due<P> {
        let Some(first) = self.early.front() else { return Vec::new() };
        let session = first.moment.session;
        let times = || self.early.iter().filter(|early| early.moment.session == session).map(|early| early.at);
        let rate = *self.rate.get_or_insert_with(|| measured(&times().collect::<Vec<_>>()));
        self.held = 0;
        let early = std::mem::take(&mut self.early);
        early.into_iter().filter_map(|early| Some((self.place(&early, rate)?, early.picture))).collect()
    }

    /// How many repeats go before this picture; `None` when there is no place for it.
    fn place(&mut self, early: &Early<P>, rate: Rate) -> Option<u64> {
        let repeats = self.repeats(early, rate);
        match repeats {
            Some(repeats) => {
                self.frames += repeats + 1;
                self.timeline.reached(rate.at(self.frames).as_nanos() as u64);
            }
            None => self.left_out += 1,
        }
        repeats
    }

    fn repeats(&mut self, early: &Early<P>, rate: Rate) -> Option<u64> {
        let gap = match self.seen {
            Some((session, number)) if session == early.moment.session => early.number.checked_sub(number)?.checked_sub(1)?,
            _ => 0,
        };
        self.seen = Some((early.moment.session, early.number));
        // How many periods this picture's place lies beyond the next free one.
        let beyond = pictures_in(early.at, rate) - self.frames as f64;
        let gap = gap as f64;
        let repeats = match beyond - gap {
            early if early <= -1.0 => beyond.ceil().max(0.0),
            late if late >= 1.0 => beyond.floor(),
            _ => gap,
        };
        // In the middle of a file it would be seen more than a period after its time.
        (beyond - repeats > -1.0 || self.frames == 0).then_some(repeats as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate of pictures that come so many milliseconds after each other.
    fn measured_of(distances: impl IntoIterator<Item = f64>) -> (u32, u32) {
        let mut at = 0.0;
        let times = distances.into_iter().map(|ms| {
            at += ms * 1e6;
            at as i64
        });
        let rate = measured(&times.collect::<Vec<_>>());
        (rate.num(), rate.den())
    }

    #[test]
    fn the_usual_distance_of_the_first_pictures_is_the_rate() {
        for (rate, expected) in
            [(25.0, (25, 1)), (24.0, (24, 1)), (29.97, (30, 1)), (60.0, (60, 1)), (12.5, (25, 2)), (1.0, (1, 1))]
        {
            let period = 1000.0 / rate;
            assert_eq!(measured_of((0..25).map(|_| period)), expected);
            let jitter = [0.1, -0.12, 0.08, -0.02, -0.1, 0.06].into_iter().cycle();
            assert_eq!(measured_of(jitter.take(25).map(|off| period * (1.0 + off))), expected, "{rate} with jitter");
            let burst = (0..10).map(|_| 0.5).chain((0..12).map(|_| period));
            assert_eq!(measured_of(burst), expected, "{rate} after what was held up");
            let lossy = (0..25).map(|k| if k % 5 == 0 { 2.0 * period } else { period });
            assert_eq!(measured_of(lossy), expected, "{rate} with pictures missing");
        }
        assert_eq!(measured_of([]), (30, 1));
        assert_eq!(measured_of([0.0]), (30, 1));
        assert_eq!(measured_of([0.0, 58.0, 58.0]), (431, 25), "a rate of its own");
    }

    #[test]
    fn rates_no_camera_has_are_not_believed() {
        let believed = |num, den| is_plausible(Rate::new(num, den).unwrap());
        for (num, den) in [(241, 1), (1, 11), (u32::MAX, 1), (1, u32::MAX)] {
            assert!(!believed(num, den), "{num}/{den}");
        }
        assert!(believed(25, 2) && believed(240, 1) && believed(1, 10));
    }
}
