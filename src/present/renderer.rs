//! The two ends of a speaker's ring. [`Feed`] is the net thread's: blocks, clock, volume in, statistics back through atomics.
//! [`Renderer`] is all that runs in the audio callback: it empties the ring into [`Playout`] and lets that fill what the card
//! asks for; nothing there allocates, locks or frees.
//!
//! The ring holds 128 messages (1.28 s of blocks). When it is full, because no callback came for so long, new blocks are
//! dropped and counted: playout sheds the old ones anyway when it runs again. A fresh renderer (the device was lost) makes a
//! fresh ring; the feed notices, and says again what it had said.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cpal::FromSample;

use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::playout::{Block, Config, Playout, Stats};
use eyeline_proto::sound::RATE;
use eyeline_proto::time::MediaTime;

/// Messages on their way to the callback.
const RING: usize = 128;
/// Frames rendered at once.
const CHUNK: usize = 480;
/// Gain a frame: from nothing to all in 10 ms, so that no change clicks.
const RAMP: f32 = 1.0 / 480.0;
/// Loudest: +6 dB.
const LOUDEST: f32 = 2.0;

/// From the feed to the callback.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are blocks, and a box would be freed in the callback")]
#[derive(Debug, Clone, Copy)]
enum Message {
    Block(Instant, Block),
    Mapping(Mapping),
    Target(Option<Duration>),
    Gain(f32),
    Reset,
}

/// Playout's statistics in atomics: each value is right, two of them may be of neighbouring callbacks.
#[derive(Debug, Default)]
struct Gauges([AtomicU64; 13]);

impl Gauges {
    fn store(&self, s: &Stats) {
        // Durations by their nanoseconds plus one, so that zero is "none".
        let nanos = |d: Option<Duration>| d.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX - 1) + 1);
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
        self.0.iter().zip(values).for_each(|(gauge, value)| gauge.store(value, Ordering::Relaxed));
    }

    fn load(&self) -> Stats {
        let value = |n: usize| self.0[n].load(Ordering::Relaxed);
        let time = |n: usize| value(n).checked_sub(1).map(Duration::from_nanos);
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

/// `s` with the counters of `past` added.
fn with_past(s: Stats, past: &Stats) -> Stats {
    Stats {
        underflows: s.underflows + past.underflows,
        concealed: s.concealed + past.concealed,
        late: s.late + past.late,
        duplicates: s.duplicates + past.duplicates,
        overflows: s.overflows + past.overflows,
        shed: s.shed + past.shed,
        ..s
    }
}

/// What changes when a new renderer takes over. Locked by the feed and the thread, never by a callback.
#[derive(Default)]
struct Handover {
    outbox: Option<rtrb::Producer<Message>>,
    gauges: Arc<Gauges>,
    past: Stats,
}

/// What the feed and the thread that looks after the device share.
#[derive(Default)]
pub(super) struct Shared {
    generation: AtomicU64,
    /// How often the device came back.
    pub(super) reopened: AtomicU64,
    handover: Mutex<Handover>,
}

impl Shared {
    fn handover(&self) -> MutexGuard<'_, Handover> {
        self.handover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fresh renderer, and the feed's way to it.
    pub(super) fn renderer(&self, channels: u16, config: Config) -> Renderer {
        let (outbox, inbox) = rtrb::RingBuffer::new(RING);
        let gauges = Arc::new(Gauges::default());
        let mut handover = self.handover();
        handover.past = with_past(handover.gauges.load(), &handover.past);
        handover.outbox = Some(outbox);
        handover.gauges = gauges.clone();
        self.generation.fetch_add(1, Ordering::Release);
        Renderer::new(inbox, gauges, usize::from(channels.max(1)), config)
    }
}

/// What the audio callback does. See the module text.
pub struct Renderer {
    playout: Playout,
    inbox: rtrb::Consumer<Message>,
    gauges: Arc<Gauges>,
    channels: usize,
    gain: f32,
    wanted_gain: f32,
    rendered: Box<[f32]>,
    /// Frames of silence before anything is believed.
    warm_up: u64,
}

impl Renderer {
    fn new(inbox: rtrb::Consumer<Message>, gauges: Arc<Gauges>, channels: usize, config: Config) -> Self {
        let rendered = vec![0.0; CHUNK * channels].into_boxed_slice();
        Renderer { playout: Playout::new(config), inbox, gauges, channels, gain: 1.0, wanted_gain: 1.0, rendered, warm_up: 0 }
    }

    /// Gives silence for the next `frames`: a device's beginning.
    pub fn warm_up(&mut self, frames: u64) {
        self.warm_up = frames;
    }

    /// Fills `out`, whose first frame leaves the speaker `ahead` of `now`.
    pub fn render<T: FromSample<f32>>(&mut self, now: Instant, ahead: Duration, out: &mut [T]) {
        while let Ok(message) = self.inbox.pop() {
            match message {
                Message::Block(arrived, block) => self.playout.push(arrived, &block),
                Message::Mapping(mapping) => self.playout.set_mapping(mapping),
                Message::Target(target) => self.playout.set_target(target),
                Message::Gain(gain) => self.wanted_gain = gain,
                Message::Reset => self.playout.reset(),
            }
        }
        if self.warm_up > 0 {
            self.warm_up = self.warm_up.saturating_sub((out.len() / self.channels) as u64);
            out.fill_with(|| T::from_sample_(0.0));
            return;
        }
        let mut at = now.checked_add(ahead).unwrap_or(now);
        for part in out.chunks_mut(CHUNK * self.channels) {
            let rendered = &mut self.rendered[..part.len()];
            self.playout.fill(now, at, rendered, self.channels);
            for (frame, sound) in part.chunks_mut(self.channels).zip(rendered.chunks(self.channels)) {
                self.gain += (self.wanted_gain - self.gain).clamp(-RAMP, RAMP);
                for (to, from) in frame.iter_mut().zip(sound) {
                    *to = T::from_sample_((from * self.gain).clamp(-1.0, 1.0));
                }
            }
            at += Duration::from_nanos((part.len() / self.channels) as u64 * 1_000_000_000 / u64::from(RATE));
        }
        self.gauges.store(&self.playout.stats());
    }
}

/// The net thread's end of the speaker.
pub struct Feed {
    shared: Arc<Shared>,
    generation: u64,
    outbox: Option<rtrb::Producer<Message>>,
    mapping: Option<Mapping>,
    target: Option<Duration>,
    volume: f32,
    muted: bool,
    dropped: u64,
}

impl Feed {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (generation, outbox, mapping, target) = (0, None, None, None);
        Feed { shared, generation, outbox, mapping, target, volume: 1.0, muted: false, dropped: 0 }
    }

    /// A feed and a renderer with no device between them: what a test drives in the callback's place.
    pub fn detached(channels: u16, config: Config) -> (Feed, Renderer) {
        let shared = Arc::new(Shared::default());
        let renderer = shared.renderer(channels, config);
        (Feed::new(shared), renderer)
    }

    /// A block that `arrived` now: the sender's number, when its first frame was caught, 1 or 2 channels, interleaved samples
    /// (10 ms at most). False when it was dropped: malformed, or nobody plays.
    pub fn block(&mut self, arrived: Instant, sequence: u64, capture: MediaTime, channels: u8, samples: &[i16]) -> bool {
        let kept = Block::new(sequence, capture, channels, samples).is_some_and(|b| self.say(Message::Block(arrived, b)));
        self.dropped += u64::from(!kept);
        kept
    }

    /// How the sender's clock runs. To be said after every ping.
    pub fn mapping(&mut self, mapping: Mapping) {
        self.mapping = Some(mapping);
        self.say(Message::Mapping(mapping));
    }

    /// Capture to speaker, at least; `None`: as little as jitter allows.
    pub fn target(&mut self, latency: Option<Duration>) {
        if std::mem::replace(&mut self.target, latency) != latency {
            self.say(Message::Target(latency));
        }
    }

    /// 1 is as it came, 0 silence, 2 the loudest.
    pub fn volume(&mut self, volume: f32) {
        self.volume = if volume.is_finite() { volume.clamp(0.0, LOUDEST) } else { 1.0 };
        self.say(Message::Gain(self.gain()));
    }

    /// Silence, whatever the volume.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
        self.say(Message::Gain(self.gain()));
    }

    /// Another sender comes: its sound, numbers and clock have nothing to do with the last one's.
    pub fn reset(&mut self) {
        self.mapping = None;
        self.say(Message::Reset);
    }

    /// What playout is doing; counters since the speaker was opened first.
    pub fn stats(&self) -> Stats {
        let handover = self.shared.handover();
        with_past(handover.gauges.load(), &handover.past)
    }

    /// Blocks dropped before they reached the callback.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How often the device was lost and came back.
    pub fn reopened(&self) -> u64 {
        self.shared.reopened.load(Ordering::Relaxed)
    }

    fn gain(&self) -> f32 {
        if self.muted { 0.0 } else { self.volume }
    }

    fn say(&mut self, message: Message) -> bool {
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            self.outbox = self.shared.handover().outbox.take();
            // What a new renderer does not know; the ring is empty, all fit.
            let known =
                [Some(Message::Target(self.target)), Some(Message::Gain(self.gain())), self.mapping.map(Message::Mapping)];
            if let Some(outbox) = &mut self.outbox {
                for message in known.into_iter().flatten() {
                    let _ = outbox.push(message);
                }
            }
        }
        self.outbox.as_mut().is_some_and(|outbox| outbox.push(message).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a constant of one quarter through a detached speaker, 10 ms at a time.
    struct Rig {
        feed: Feed,
        renderer: Renderer,
        start: Instant,
        n: u64,
    }

    impl Rig {
        fn new() -> Self {
            let (feed, renderer) = Feed::detached(2, Config::default());
            Rig { feed, renderer, start: Instant::now(), n: 0 }
        }

        fn step(&mut self) -> Vec<f32> {
            let now = self.start + Duration::from_millis(10 * self.n);
            self.feed.block(now, self.n, MediaTime::from_nanos(self.n * 10_000_000), 1, &[8192; 480]);
            let mut out = vec![0.0f32; 960];
            self.renderer.render(now, Duration::from_millis(20), &mut out);
            self.n += 1;
            out
        }

        fn run(&mut self, steps: usize) -> Vec<f32> {
            (0..steps).flat_map(|_| self.step()).collect()
        }
    }

    #[test]
    fn volume_and_mute_arrive_in_a_ramp_without_a_step() {
        let mut rig = Rig::new();
        rig.run(50);
        assert!((rig.step()[0] - 0.25).abs() < 1e-3);
        rig.feed.volume(0.5);
        let mut seen = rig.run(5);
        assert!((seen.last().unwrap() - 0.125).abs() < 1e-3);
        rig.feed.mute(true);
        seen.extend(rig.run(5));
        assert_eq!(seen.last(), Some(&0.0));
        rig.feed.volume(f32::NAN);
        rig.feed.mute(false);
        seen.extend(rig.run(5));
        assert!((seen.last().unwrap() - 0.25).abs() < 1e-3);
        let step = seen.windows(3).map(|w| (w[2] - w[0]).abs()).fold(0.0, f32::max);
        assert!(step <= 0.25 * RAMP * 1.1, "{step}");
    }

    #[test]
    fn a_ring_nobody_empties_drops_new_blocks_and_counts_them() {
        let mut rig = Rig::new();
        let kept = (0..200).filter(|n| rig.feed.block(rig.start, *n, MediaTime::ZERO, 1, &[0; 480])).count();
        assert!((120..=RING).contains(&kept), "{kept}");
        assert_eq!(rig.feed.dropped(), 200 - kept as u64);
        assert!(!rig.feed.block(rig.start, 0, MediaTime::ZERO, 3, &[0; 480]), "three channels are no block");
    }

    #[test]
    fn a_new_renderer_is_told_what_the_old_one_knew_and_counters_go_on() {
        let mut rig = Rig::new();
        rig.run(50);
        rig.feed.mute(true);
        rig.n += 200; // two seconds of nothing: underflow
        rig.run(50);
        let before = rig.feed.stats();
        rig.renderer = rig.feed.shared.renderer(2, Config::default());
        let out = rig.run(50);
        assert!(out.iter().all(|s| s.abs() < 0.25 * 1.01) && out.last() == Some(&0.0), "still muted");
        assert!(before.concealed > 0 && rig.feed.stats().concealed >= before.concealed, "{before:?}");
    }

    #[test]
    fn gauges_give_back_what_was_put_in() {
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
        gauges.store(&stats);
        assert_eq!(gauges.load(), stats);
    }
}
