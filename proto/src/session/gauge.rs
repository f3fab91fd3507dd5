//! What rate a path takes: trains of probes (PROTOCOL 5.10), each twice as fast as the one before, for who asks before there is
//! anything to send.
//!
//! A train of which about as much comes back as of the slowest says that the path takes its rate. The first of which less does, or
//! that takes longer to come than it took to send, or that we could not send as fast, is the last: it says how fast things come
//! out of the path. Answers are short, so the way back hardly counts. Pure: the path sends what is due.

use crate::media::rate_control::Bitrate;
use std::time::{Duration, Instant};

/// Numbers from here on, all even, are of trains: the search for the longest datagram counts from 0.
const FIRST: u16 = 0x8000;

/// Rates of the trains, in Mbit/s.
const RATES: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// How long each is.
const TRAIN: Duration = Duration::from_millis(300);

/// Before the first: the longest datagram is looked for meanwhile.
const BEFORE: Duration = Duration::from_secs(1);

/// After the last probe of a train its answers are waited for so long, and for two round trips.
const PATIENCE: Duration = Duration::from_millis(200);

/// Two round trips count for no more than this.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);

/// Of a train that the path takes so much leaves in time, and so much comes of what comes of the slowest, of which half does.
const SENT: f64 = 0.8;
const TAKEN: f64 = 0.8;
const LEAST: f64 = 0.5;

/// The last of a train say nothing of how long it took to come: one may be late for another reason.
const LATE: f64 = 0.9;

/// Loss is told from trains up to this many Mbit/s: of faster ones a program that is busy for a moment loses answers itself.
const TELLS_LOSS: u64 = 8;

/// How often it looks for what is due.
const TURN: Duration = Duration::from_millis(1);

/// Probes at once, where time has passed for more.
pub const AT_ONCE: usize = 8;

/// Longer ones are in pieces on most paths.
const LONGEST: usize = 1452;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub rate: Bitrate,
    /// The path takes more than was tried.
    pub more: bool,
    /// The share that was lost below that rate, 0 to 1.
    pub loss: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Train {
    sent: u32,
    came: u32,
    bytes: u64,
    /// When the first answer came, and the last of those that say how long it took.
    span: Option<(Instant, Instant)>,
    /// Once its answers were waited for.
    verdict: Option<bool>,
}

/// See the module text.
#[derive(Debug)]
pub struct Gauge {
    began: Instant,
    /// When to look again.
    next: Instant,
    /// Which train each probe is of.
    probes: Vec<u8>,
    size: usize,
    trains: [Train; RATES.len()],
    ended: bool,
}

impl Gauge {
    pub fn new(now: Instant) -> Gauge {
        let began = now + BEFORE;
        Gauge { began, next: began, probes: Vec::new(), size: 0, trains: Default::default(), ended: false }
    }

    /// The next probe that is due: number and size. `passes` is the longest datagram that does, if any of use does.
    pub fn poll(&mut self, now: Instant, passes: Option<usize>, rtt: Duration) -> Option<(u16, usize)> {
        if self.ended || now < self.began {
            return None;
        }
        let Some(passes) = passes else {
            // What was found until now was of a path that is gone.
            *self = Gauge::new(now);
            return None;
        };
        self.next = now + TURN;
        if self.size == 0 {
            self.size = passes.min(LONGEST);
        }
        let passed = now - self.began;
        let patience = PATIENCE + (rtt * 2).min(LONGEST_PATIENCE);
        for train in (0..RATES.len()).filter(|train| passed >= TRAIN * (*train as u32 + 1) + patience) {
            let verdict = self.trains[train].verdict.unwrap_or_else(|| self.is_taken(train));
            self.trains[train].verdict = Some(verdict);
            self.ended |= !verdict || train + 1 == RATES.len();
        }
        if self.ended {
            return None;
        }
        let at = (passed.as_nanos() / TRAIN.as_nanos()) as usize;
        let train = self.trains.get_mut(at)?;
        let due = (passed - TRAIN * at as u32).as_secs_f64() * RATES[at] as f64 * 1e6 / 8.0 / self.size as f64;
        let number = u16::try_from(self.probes.len()).ok().filter(|number| *number < FIRST / 2)?;
        if f64::from(train.sent) > due {
            return None;
        }
        train.sent += 1;
        self.probes.push(at as u8);
        Some((FIRST + 2 * number, self.size))
    }

    /// A probe's number came back, perhaps of another's.
    pub fn acknowledged(&mut self, now: Instant, number: u16) {
        let Some(train) = number.checked_sub(FIRST).and_then(|number| self.probes.get_mut(usize::from(number / 2))) else {
            return;
        };
        // Twice is once.
        let which = usize::from(std::mem::replace(train, u8::MAX));
        let wanted = self.wanted(which);
        let Some(train) = self.trains.get_mut(which) else { return };
        train.came += 1;
        let (first, last) = train.span.unwrap_or((now, now));
        let tells = train.came == 1 || f64::from(train.came) <= LATE * wanted;
        train.bytes += if tells { self.size as u64 } else { 0 };
        train.span = Some((first, if tells { now } else { last }));
    }

    /// When [`Gauge::poll`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.ended).then_some(self.next)
    }

    /// What was found, once it is over and anything came.
    pub fn measured(&self) -> Option<Measured> {
        let taken = self.trains.iter().take_while(|train| train.verdict == Some(true)).count();
        let more = taken == RATES.len();
        // The last that was taken may have filled the path already.
        let below = if more { taken } else { taken.saturating_sub(1).max(1) };
        let below = below.min(RATES.iter().filter(|rate| **rate <= TELLS_LOSS).count());
        let (sent, came) = self.trains[..below].iter().fold((0, 0), |(sent, came), train| (sent + train.sent, came + train.came));
        if !self.ended || came == 0 {
            return None;
        }
        let last = taken.saturating_sub(1)..(taken + 1).min(RATES.len());
        let rate = self.trains[last].iter().map(Train::rate).fold(0.0, f64::max);
        Some(Measured { rate: Bitrate::from_bytes(rate), more, loss: f64::from(sent - came) / f64::from(sent) })
    }

    /// How many probes a train should have.
    fn wanted(&self, train: usize) -> f64 {
        let rate = RATES.get(train).map_or(0.0, |rate| *rate as f64 * 1e6 / 8.0);
        TRAIN.as_secs_f64() * rate / self.size.max(1) as f64
    }

    fn is_taken(&self, train: usize) -> bool {
        let wanted = self.wanted(train);
        let (slowest, train) = (self.trains[0].came_of_it(), &self.trains[train]);
        let (left, came) = (f64::from(train.sent) >= SENT * wanted, train.came_of_it() >= TAKEN * slowest);
        slowest >= LEAST && left && came && train.took() < TRAIN * 3 / 2
    }
}

impl Train {
    fn came_of_it(&self) -> f64 {
        f64::from(self.came) / f64::from(self.sent.max(1))
    }

    /// From the first answer to the last.
    fn took(&self) -> Duration {
        self.span.map(|(first, last)| last - first).unwrap_or_default()
    }

    /// Bytes a second, of what says how long it took.
    fn rate(&self) -> f64 {
        self.bytes as f64 / self.took().max(TRAIN.mul_f64(LATE)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A path that takes so many Mbit/s, has room for so many bytes, loses one in so many, and answers after 20 ms; one answer in
    /// each train as much later as this. Its sender looks so often.
    struct Wire {
        rate: f64,
        room: f64,
        loses: u32,
        queue: f64,
        late: Duration,
        every: Duration,
    }

    const WIRE: Wire = Wire { rate: 1000.0, room: 1e6, loses: u32::MAX, queue: 0.0, late: Duration::ZERO, every: Duration::ZERO };

    fn gauge(mut wire: Wire) -> Option<Measured> {
        let began = Instant::now();
        let (mut gauge, mut now, mut seen) = (Gauge::new(began), began, began);
        let (mut answers, mut count) = (VecDeque::new(), 0u32);
        while let Some(next) = gauge.deadline() {
            now = now.max(next).max(seen + wire.every);
            assert!(now < began + Duration::from_secs(10), "it ends");
            wire.queue = (wire.queue - wire.rate * 125_000.0 * (now - seen).as_secs_f64()).max(0.0);
            seen = now;
            while let Some(at) = answers.iter().position(|(at, _)| *at <= now) {
                let Some((at, number)) = answers.remove(at) else { break };
                gauge.acknowledged(at, number);
            }
            for _ in 0..AT_ONCE {
                let Some((number, size)) = gauge.poll(now, Some(1452), Duration::from_millis(20)) else { break };
                assert!(number >= FIRST && number % 2 == 0 && size == 1452);
                count += 1;
                if count % wire.loses != 0 && wire.queue + size as f64 <= wire.room {
                    wire.queue += size as f64;
                    let late = if gauge.trains[usize::from(gauge.probes[gauge.probes.len() - 1])].sent == 20 {
                        wire.late
                    } else {
                        Duration::ZERO
                    };
                    let waits = Duration::from_secs_f64(wire.queue / wire.rate / 125_000.0) + late;
                    answers.push_back((now + waits + Duration::from_millis(20), number));
                }
            }
        }
        gauge.measured()
    }

    #[test]
    fn the_rate_is_that_of_the_path_whether_it_queues_or_drops_and_what_is_lost_below_it_is_told_apart() {
        for rate in [1.5, 3.0, 10.0, 15.0, 25.0] {
            for room in [20_000.0, 1e6] {
                for (loses, loss) in [(u32::MAX, 0.0), (20, 0.05)] {
                    let found = gauge(Wire { rate, room, loses, ..WIRE }).unwrap();
                    let share = found.rate.0 as f64 / 1e6 / rate;
                    assert!((0.85..1.1).contains(&share) && !found.more, "{found:?} of {rate} Mbit/s, room {room}, {loss}");
                    assert!((found.loss - loss).abs() < 0.03, "{found:?} of {rate} Mbit/s, room {room}, {loss}");
                }
            }
        }
    }

    #[test]
    fn a_path_without_a_limit_takes_more_than_was_tried_and_one_that_takes_nothing_has_none() {
        let found = gauge(WIRE).unwrap();
        assert!(found.more && found.loss == 0.0 && (58_000_000..66_000_000).contains(&found.rate.0), "{found:?}");
        assert_eq!(gauge(Wire { rate: 1.0, room: 0.0, ..WIRE }), None);
    }

    #[test]
    fn one_late_answer_says_nothing_and_a_sender_that_cannot_send_as_fast_does_not_say_that_more_passes() {
        let found = gauge(Wire { late: Duration::from_millis(180), ..WIRE }).unwrap();
        assert!(found.more && found.loss == 0.0, "{found:?}");
        // 8 in 5 ms are 18 Mbit/s.
        let found = gauge(Wire { every: Duration::from_millis(5), ..WIRE }).unwrap();
        assert!(!found.more && (14_000_000..20_000_000).contains(&found.rate.0), "{found:?}");
    }

    #[test]
    fn while_nothing_passes_it_waits_and_does_not_hurry() {
        let (mut now, mut looks) = (Instant::now(), 0);
        let (mut gauge, end) = (Gauge::new(now), now + Duration::from_secs(20));
        while now < end {
            now = gauge.deadline().unwrap();
            looks += 1;
            assert_eq!(gauge.poll(now, None, Duration::ZERO), None);
        }
        assert!(looks < 30, "{looks} looks in 20 s");
        assert!(gauge.poll(now + BEFORE, Some(1000), Duration::ZERO).is_some());
    }

    #[test]
    fn an_answer_counts_once_and_one_to_no_probe_of_ours_not_at_all() {
        let began = Instant::now();
        let mut gauge = Gauge::new(began);
        let (number, _) = gauge.poll(began + BEFORE, Some(1000), Duration::ZERO).unwrap();
        for number in [number, number, number + 2, 0, 1, u16::MAX] {
            gauge.acknowledged(began + BEFORE, number);
        }
        assert_eq!((gauge.trains[0].sent, gauge.trains[0].came), (1, 1));
    }
}
