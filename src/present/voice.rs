//! One voice of the speaker, as the audio callback has it: it empties its ring into a [`Playout`] and adds what that gives to the mix.
//!
//! A voice is lent to one holder after the other, each with a number of its own (`feed.rs`). When its holder leaves it fades out within
//! 10 ms and is as new; what the next one has said meanwhile waits in the ring. Nothing here allocates, locks or frees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::meter::Meter;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::playout::{Config, Playout, Stats};
use eyeline_proto::media::requests::Request;
use eyeline_proto::media::resampler::CHANNELS;
use eyeline_proto::sound::{Inline, Numbered};
use eyeline_proto::time::MediaTime;

/// Messages on their way to the callback: 1.28 s of blocks.
pub(super) const RING: usize = 128;
/// Gain a frame: from nothing to all in 10 ms, so that no change clicks.
pub(super) const RAMP: f32 = 1.0 / 480.0;
/// Whoever holds a voice that nobody holds.
pub(super) const NOBODY: u64 = 0;

/// From the feed to the callback.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are blocks, and a box would be freed in the callback")]
#[derive(Debug, Clone, Copy)]
pub(super) enum Message {
    Block(Instant, Numbered<MediaTime, Inline>),
    Mapping(Mapping),
    /// Blocks below this number are of another place.
    Flush(u64),
}

/// A message and the number of the holder that said it.
pub(super) type Said = (u64, Message);

/// What a holder has set, for this renderer and the next: it outlives rings and devices.
#[derive(Debug)]
pub(super) struct Dials {
    /// Whose voice it is; [`NOBODY`] while it is free.
    holder: AtomicU64,
    /// As bits.
    gain: AtomicU32,
    /// Nanoseconds plus one; zero: none.
    target: AtomicU64,
}

impl Dials {
    pub(super) fn new() -> Self {
        Dials { holder: AtomicU64::new(NOBODY), gain: AtomicU32::new(1.0f32.to_bits()), target: AtomicU64::new(0) }
    }

    pub(super) fn holder(&self) -> u64 {
        self.holder.load(Ordering::Acquire)
    }

    pub(super) fn set_holder(&self, holder: u64) {
        self.holder.store(holder, Ordering::Release);
    }

    pub(super) fn set_gain(&self, gain: f32) {
        self.gain.store(gain.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn set_target(&self, target: Option<Duration>) {
        self.target.store(nanos(target), Ordering::Relaxed);
    }

    fn gain(&self) -> f32 {
        f32::from_bits(self.gain.load(Ordering::Relaxed))
    }

    fn target(&self) -> Option<Duration> {
        duration(self.target.load(Ordering::Relaxed))
    }
}

/// Durations by their nanoseconds plus one, so that zero is "none".
fn nanos(duration: Option<Duration>) -> u64 {
    duration.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX - 1).saturating_add(1))
}

fn duration(nanos: u64) -> Option<Duration> {
    nanos.checked_sub(1).map(Duration::from_nanos)
}

/// Playout's statistics and the voice's newest levels in atomics: each value is right, two of them may be of neighbouring callbacks.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// Whose they are.
    holder: AtomicU64,
    values: [AtomicU64; 13],
    /// As the meter has them.
    levels: AtomicU64,
}

impl Gauges {
    fn store(&self, holder: u64, s: &Stats, levels: u64) {
        let values = [
            nanos(Some(s.level)),
            nanos(Some(s.target)),
            nanos(s.latency),
            nanos(s.target_latency),
            nanos(Some(s.jitter)),
            s.correction_ppm.to_bits(),
            s.card_ppm.to_bits(),
            s.underflows,
            s.concealed,
            s.late,
            s.duplicates,
            s.overflows,
            s.shed,
        ];
        self.values.iter().zip(values).for_each(|(gauge, value)| gauge.store(value, Ordering::Relaxed));
        self.levels.store(levels, Ordering::Relaxed);
        self.holder.store(holder, Ordering::Release);
    }

    /// This holder's newest levels; none before its first callback.
    pub(super) fn levels(&self, holder: u64) -> u64 {
        if self.holder.load(Ordering::Acquire) == holder { self.levels.load(Ordering::Relaxed) } else { 0 }
    }

    /// What this holder's playout is doing; nothing before its first callback.
    pub(super) fn load(&self, holder: u64) -> Stats {
        if self.holder.load(Ordering::Acquire) != holder {
            return Stats::default();
        }
        let value = |n: usize| self.values[n].load(Ordering::Relaxed);
        let time = |n: usize| duration(value(n));
        Stats {
            level: time(0).unwrap_or_default(),
            target: time(1).unwrap_or_default(),
            latency: time(2),
            target_latency: time(3),
            jitter: time(4).unwrap_or_default(),
            correction_ppm: f64::from_bits(value(5)),
            card_ppm: f64::from_bits(value(6)),
            underflows: value(7),
            concealed: value(8),
            late: value(9),
            duplicates: value(10),
            overflows: value(11),
            shed: value(12),
        }
    }
}

pub(super) struct Voice {
    inbox: rtrb::Consumer<Said>,
    dials: Arc<Dials>,
    gauges: Arc<Gauges>,
    playout: Playout,
    holder: u64,
    /// `None` while nothing was mixed: the first sound begins with the gain that is set.
    gain: Option<f32>,
    meter: Meter,
}

impl Voice {
    /// A voice and the end of its ring that is the feed's.
    pub(super) fn new(dials: Arc<Dials>, gauges: Arc<Gauges>, config: Config) -> (rtrb::Producer<Said>, Voice) {
        let (outbox, inbox) = rtrb::RingBuffer::new(RING);
        let voice =
            Voice { inbox, dials, gauges, playout: Playout::new(config), holder: NOBODY, gain: None, meter: Meter::default() };
        (outbox, voice)
    }

    /// Takes what was said.
    pub(super) fn listen(&mut self) {
        let holder = self.dials.holder();
        if self.holder == NOBODY {
            self.holder = holder;
        }
        while let Ok((from, _)) = self.inbox.peek() {
            // Of holders before, also of one that left between two callbacks, it goes; of the next one it waits.
            let now = *from == self.holder;
            if *from > self.holder {
                break;
            }
            if let Ok((_, message)) = self.inbox.pop()
                && now
                && self.holder == holder
            {
                match message {
                    Message::Block(arrived, sound) => self.playout.push(arrived, &sound),
                    Message::Mapping(mapping) => self.playout.set_mapping(mapping),
                    Message::Flush(first) => self.playout.flush(first),
                }
            }
        }
        if self.holder != NOBODY && self.holder == holder {
            self.playout.set_target(self.dials.target());
        }
    }

    /// Adds this voice's part of a request to `bus`, interleaved stereo; `scratch` is as long.
    pub(super) fn mix(&mut self, request: &Request, scratch: &mut [f32], bus: &mut [f32]) {
        if self.holder == NOBODY {
            return;
        }
        let leaves = self.dials.holder() != self.holder;
        let wanted = if leaves { 0.0 } else { self.dials.gain() };
        let sounds = self.playout.fill(request, scratch);
        // Nobody hears a step in silence.
        let mut gain = self.gain.filter(|_| sounds).unwrap_or(if leaves { 1.0 } else { wanted });
        if sounds {
            self.meter.sound(scratch);
            for (to, from) in bus.chunks_exact_mut(CHANNELS).zip(scratch.chunks_exact(CHANNELS)) {
                gain += (wanted - gain).clamp(-RAMP, RAMP);
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from * gain);
            }
        } else {
            self.meter.silence(scratch.len() / CHANNELS);
        }
        self.gain = Some(gain);
        if leaves && (!sounds || gain == 0.0) {
            self.playout.reset();
            (self.holder, self.gain, self.meter) = (NOBODY, None, Meter::default());
        }
    }

    /// Says how it goes.
    pub(super) fn report(&self) {
        if self.holder != NOBODY {
            self.gauges.store(self.holder, &self.playout.stats(), self.meter.newest());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_give_back_what_was_put_in_and_only_to_whom_it_is_of() {
        let stats = Stats {
            level: Duration::from_millis(1),
            target: Duration::from_millis(2),
            latency: None,
            target_latency: Some(Duration::ZERO),
            jitter: Duration::from_millis(3),
            correction_ppm: -4.5,
            card_ppm: 6.5,
            underflows: 7,
            concealed: 8,
            late: 9,
            duplicates: 10,
            overflows: 11,
            shed: 12,
        };
        let gauges = Gauges::default();
        gauges.store(3, &stats, 14);
        assert_eq!((gauges.load(3), gauges.load(4)), (stats, Stats::default()));
        assert_eq!((gauges.levels(3), gauges.levels(4)), (14, 0));
    }
}
