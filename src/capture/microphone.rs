//! The microphone: 10 ms blocks of s16 at 48 kHz, each with the moment its first sample was caught.
//!
//! Three parts. [`Tap`] is all that runs in the audio callback: samples and one stamp into a ring (`sound_card/ring.rs`), nothing
//! allocated, locked or freed. [`Packer`] takes them out on a thread of ours, cuts them into blocks whatever sizes came in, and
//! gives each block the time of the card's own sample count ([`Card`]), so that stamps neither wobble with callbacks nor drift
//! from the clock. The thread between them opens the device and, when it is lost (unplugged, server restarted), opens it again for
//! ever.
//!
//! The thread looks every 2 ms. When the ring is full, newest sound is lost, counted, and time goes on by what was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait as _, StreamTrait as _};
use cpal::{FromSample, SampleFormat, SizedSample};

use crate::slot::{Closed, Slot};
use crate::sound_card::{self, Chosen, DeviceThread, Direction, Listed, Lost, Pulse, Watchdog, ring};
use crate::voice_processing::VoiceProcessing;
use eyeline_proto::media::drift::Card;
use eyeline_proto::sound::{BLOCK_FRAMES, Block, RATE};

pub use crate::sound_card::Error;

/// How often the thread looks into the ring: a fifth of a block.
const LOOK: Duration = Duration::from_millis(2);

/// The callback's half of the ring.
pub struct Tap {
    ring: ring::Writer<i16>,
    from: usize,
    to: usize,
}

/// The thread's half of the ring. See the module text.
pub struct Packer {
    ring: ring::Reader<i16>,
    channels: usize,
    card: Card,
    /// Frames the device has made so far, lost ones included.
    frame: u64,
    pending: Vec<i16>,
    lost: u64,
    /// Frames to throw away before anything is believed.
    warm_up: u64,
}

/// Two halves for a device of so many channels: of more than two, the first two are taken.
pub fn ring(channels: u16) -> (Tap, Packer) {
    let (from, to) = (usize::from(channels.max(1)), usize::from(channels.clamp(1, 2)));
    let (writer, ring) = ring::ring(to);
    let pending = Vec::with_capacity(BLOCK_FRAMES * to);
    let packer = Packer { ring, channels: to, card: Card::new(RATE), frame: 0, pending, lost: 0, warm_up: 0 };
    (Tap { ring: writer, from, to }, packer)
}

impl Tap {
    /// What the audio callback does: `data` is interleaved, its first frame was caught `age` before `now`.
    pub fn capture<T: Copy>(&mut self, now: Instant, age: Duration, data: &[T])
    where
        i16: FromSample<T>,
    {
        let (at, to) = (now.checked_sub(age).unwrap_or(now), self.to);
        let frames = data.chunks_exact(self.from);
        self.ring.put(at, frames.len(), frames.flat_map(|frame| &frame[..to]).map(|sample| i16::from_sample_(*sample)));
    }
}

impl Packer {
    /// Gives away every whole block there is.
    pub fn pump(&mut self, mut give: impl FnMut(Block<Instant>) -> Result<(), Closed>) -> Result<(), Closed> {
        self.ring.each(|stamp, parts| {
            if stamp.lost > 0 {
                self.lost += stamp.lost + (self.pending.len() / self.channels) as u64;
                self.frame += stamp.lost;
                self.pending.clear();
            }
            if self.warm_up > 0 {
                self.warm_up = self.warm_up.saturating_sub(stamp.frames as u64);
                return Ok(());
            }
            self.card.observe(self.frame, stamp.at);
            for mut rest in parts {
                while !rest.is_empty() {
                    let wanted = rest.len().min(BLOCK_FRAMES * self.channels - self.pending.len());
                    let (taken, later) = rest.split_at(wanted);
                    self.pending.extend_from_slice(taken);
                    self.frame += (wanted / self.channels) as u64;
                    rest = later;
                    if self.pending.len() == BLOCK_FRAMES * self.channels {
                        let samples = self.pending.as_slice().into();
                        self.pending.clear();
                        let capture = self.card.instant(self.frame - BLOCK_FRAMES as u64).unwrap_or(stamp.at);
                        give(Block { capture, channels: self.channels as u8, samples })?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Throws the next `frames` away: a device's beginning.
    pub fn warm_up(&mut self, frames: u64) {
        self.warm_up = frames;
    }

    /// Frames lost because nobody took them.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// What went missing of a microphone's sound.
#[derive(Debug, Default)]
struct Losses {
    lost_frames: AtomicU64,
    reopened: AtomicU64,
}

/// A microphone that was found, to be opened later, whether it is there then or not.
#[derive(Debug, Clone)]
pub struct Known {
    /// What finds it again; `None`: whatever is the default then.
    which: Option<String>,
    /// What people call it.
    name: String,
    /// 1 or 2.
    pub channels: u16,
}

/// A microphone that is open, or being got back. Dropped: closed.
pub struct Microphone {
    known: Known,
    losses: Arc<Losses>,
    _thread: DeviceThread,
}

impl Microphone {
    /// Opens the device called `which` (number, name, part of a name; `None`: the default) and brings its blocks into `sound`
    /// until that is closed or this is dropped. Returns once sound flows.
    pub fn open(which: Option<&str>, sound: Arc<Slot<Block<Instant>>>) -> Result<Microphone, Error> {
        let which = which.map(str::to_owned);
        let (opened, outcome) = mpsc::sync_channel(1);
        let (losses, keeper) = Self::start(move |losses, stop| {
            let active = match open(which.as_deref(), 0) {
                Ok(active) => active,
                Err(error) => return drop(opened.send(Err(error))),
            };
            let Chosen { name, channels, id, .. } = &active.chosen;
            // Numbers move when a device goes.
            let known = Known { which: which.map(|_| id.clone()), name: name.clone(), channels: (*channels).clamp(1, 2) };
            let _ = opened.send(Ok(known.clone()));
            keep(active, &known, &sound, None, losses, stop);
        })?;
        let known = outcome.recv_timeout(sound_card::PATIENCE).map_err(|_| Error::Hangs)??;
        Ok(Microphone { known, losses, _thread: keeper })
    }

    /// Opens one that was found before. It may have gone since: then it is waited for. What it hears is cleaned, where that is
    /// wanted.
    pub fn reopen(known: &Known, sound: Arc<Slot<Block<Instant>>>, voice: Option<VoiceProcessing>) -> Result<Microphone, Error> {
        let asked = known.clone();
        let (losses, keeper) = Self::start(move |losses, stop| {
            let again = |shortest| open(asked.which.as_deref(), shortest);
            let away = Lost::Gone("it is not there".into());
            let active = again(0).ok();
            let active = active.or_else(|| sound_card::get_back((Direction::Input, &asked.name), &away, &mut 0, stop, again));
            if let Some(active) = active {
                keep(active, &asked, &sound, voice.as_ref(), losses, stop);
            }
        })?;
        Ok(Microphone { known: known.clone(), losses, _thread: keeper })
    }

    fn start(work: impl FnOnce(&Losses, &AtomicBool) + Send + 'static) -> Result<(Arc<Losses>, DeviceThread), Error> {
        let losses = Arc::new(Losses::default());
        let counted = losses.clone();
        let keeper = DeviceThread::start("microphone", move |stop| work(&counted, stop)).map_err(|_| Error::Hangs)?;
        Ok((losses, keeper))
    }

    /// To open it again later.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.known.name
    }

    /// 1 or 2.
    pub fn channels(&self) -> u16 {
        self.known.channels
    }

    /// Frames lost on the way out of the callback.
    pub fn lost_frames(&self) -> u64 {
        self.losses.lost_frames.load(Ordering::Relaxed)
    }

    /// How often it was lost and came back.
    pub fn reopened(&self) -> u64 {
        self.losses.reopened.load(Ordering::Relaxed)
    }
}

/// The microphones there are.
pub fn list() -> Vec<Listed> {
    sound_card::list(Direction::Input)
}

/// An open stream and what is needed to look after it.
struct Active {
    stream: cpal::Stream,
    chosen: Chosen,
    packer: Packer,
    watch: Watchdog,
}

/// The thread's life from its open device on: pump, get back.
fn keep(
    mut active: Active,
    known: &Known,
    sound: &Slot<Block<Instant>>,
    voice: Option<&VoiceProcessing>,
    losses: &Losses,
    stop: &AtomicBool,
) {
    let mut shortest = 0;
    while let Some(lost) = pump(&mut active, sound, voice, losses, stop) {
        let name = active.chosen.name;
        sound_card::retire(active.stream, active.chosen.alsa);
        let open = |shortest| open(known.which.as_deref(), shortest);
        let Some(again) = sound_card::get_back((Direction::Input, &name), &lost, &mut shortest, stop, open) else { return };
        losses.reopened.fetch_add(1, Ordering::Relaxed);
        active = again;
    }
    sound_card::retire(active.stream, active.chosen.alsa);
}

/// Brings blocks until the stream is lost (why) or not wanted any more (`None`).
fn pump(
    active: &mut Active,
    sound: &Slot<Block<Instant>>,
    voice: Option<&VoiceProcessing>,
    losses: &Losses,
    stop: &AtomicBool,
) -> Option<Lost> {
    let before = losses.lost_frames.load(Ordering::Relaxed);
    // Another device is another echo: nothing that was learnt holds.
    let mut processor = voice.map(|voice| voice.processor(active.chosen.channels));
    let mut clean = |block| match &mut processor {
        Some(processor) => processor.process(block),
        None => block,
    };
    while sound_card::pause(stop, LOOK) {
        if active.packer.pump(|block| sound.push(clean(block))).is_err() {
            return None;
        }
        losses.lost_frames.store(before + active.packer.lost(), Ordering::Relaxed);
        if let Some(lost) = active.watch.lost(Instant::now()) {
            return Some(lost);
        }
    }
    None
}

/// Opens with the first of the buffer sizes from `shortest` on that is taken.
fn open(which: Option<&str>, shortest: usize) -> Result<Active, Error> {
    let chosen = sound_card::choose(Direction::Input, which)?;
    let mut refused = None;
    for size in sound_card::BUFFER_SIZES.into_iter().skip(shortest) {
        let (tap, mut packer) = ring(chosen.channels);
        packer.warm_up(sound_card::WARM_UP);
        let pulse = Arc::new(Pulse::default());
        let config = chosen.config(size);
        let built = match chosen.format {
            SampleFormat::I16 => build::<i16>(&chosen.device, config, tap, &pulse),
            SampleFormat::I32 => build::<i32>(&chosen.device, config, tap, &pulse),
            _ => build::<f32>(&chosen.device, config, tap, &pulse),
        };
        match built.and_then(|stream| stream.play().map(|()| stream)) {
            Ok(stream) => return Ok(Active { stream, chosen, packer, watch: Watchdog::new(pulse, shortest) }),
            Err(error) => refused = Some(error),
        }
    }
    let reason = refused.unwrap_or_else(|| cpal::Error::new(cpal::ErrorKind::Other));
    Err(Error::Refused { direction: Direction::Input, name: chosen.name, reason })
}

fn build<T>(
    device: &cpal::Device,
    config: cpal::StreamConfig,
    mut tap: Tap,
    pulse: &Arc<Pulse>,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample,
    i16: FromSample<T>,
{
    let (beats, errors) = (pulse.clone(), pulse.clone());
    device.build_input_stream(
        config,
        move |data: &[T], info: &cpal::InputCallbackInfo| {
            beats.beat();
            let stamp = info.timestamp();
            let age = stamp.callback.checked_duration_since(stamp.capture).unwrap_or_default();
            tap.capture(Instant::now(), age, data);
        },
        move |error| errors.error(&error),
        Some(sound_card::BUILD_TIMEOUT),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::media::clock::seconds_between;

    /// Runs callbacks of these sizes through the ring; frame `n` has the value `n`.
    fn blocks(channels: u16, sizes: impl IntoIterator<Item = usize>, wobble: f64) -> Vec<(f64, Block<Instant>)> {
        let (mut tap, mut packer) = ring(channels);
        let (start, mut frame, mut out) = (Instant::now(), 0usize, Vec::new());
        for (n, size) in sizes.into_iter().enumerate() {
            let data: Vec<i16> =
                (frame..frame + size).flat_map(|f| (0..channels).map(move |c| (f + usize::from(c)) as i16)).collect();
            frame += size;
            let late = if n % 2 == 0 { wobble } else { -wobble };
            let now = start + Duration::from_secs_f64(1.0 + frame as f64 / 48_000.0);
            tap.capture(now, Duration::from_secs_f64(size as f64 / 48_000.0 + late), &data);
            packer
                .pump(|block| {
                    out.push((seconds_between(block.capture, start) - 1.0, block));
                    Ok(())
                })
                .unwrap();
        }
        out
    }

    #[test]
    fn callbacks_of_any_size_become_blocks_of_ten_milliseconds_with_every_sample_in_order() {
        for channels in [1, 2, 6] {
            let out = blocks(channels, [1, 479, 480, 960, 24, 112, 12, 1337].into_iter().cycle().take(80), 0.0);
            let kept = usize::from(channels.min(2));
            assert!(out.len() > 60);
            for (n, (_, block)) in out.iter().enumerate() {
                assert_eq!((block.samples.len(), usize::from(block.channels)), (480 * kept, kept));
                let first = (n * 480) as i16;
                assert!(block.samples.chunks(kept).zip(0..).all(|(f, i)| f[0] == first.wrapping_add(i)));
                assert!(kept == 1 || block.samples[1] == first.wrapping_add(1));
            }
        }
    }

    #[test]
    fn stamps_that_wobble_by_three_milliseconds_give_times_that_do_not() {
        let out = blocks(1, (0..1000).map(|_| 480), 3e-3);
        for (n, (at, _)) in out.iter().enumerate().skip(300) {
            assert!((at - n as f64 * 0.01).abs() < 0.5e-3, "block {n} at {at}");
        }
        assert!(out.windows(2).skip(300).all(|w| (w[1].0 - w[0].0 - 0.01).abs() < 0.2e-3));
    }

    #[test]
    fn what_nobody_takes_is_lost_counted_and_time_goes_on_by_it() {
        let (mut tap, mut packer) = ring(1);
        let start = Instant::now();
        let callback = |tap: &mut Tap, n: u64| {
            tap.capture(start + Duration::from_millis(10 * n + 10), Duration::from_millis(10), &[n as i16; 480]);
        };
        for n in 0..150 {
            callback(&mut tap, n); // one second fits
        }
        let mut out = Vec::new();
        let mut take = |packer: &mut Packer| {
            packer
                .pump(|b| {
                    out.push(b);
                    Ok(())
                })
                .unwrap()
        };
        take(&mut packer);
        for n in 150..160 {
            callback(&mut tap, n);
        }
        take(&mut packer);
        assert_eq!((out.len(), packer.lost()), (110, 50 * 480));
        assert_eq!((out[99].samples[0], out[100].samples[0]), (99, 150));
        let gap = seconds_between(out[100].capture, out[99].capture);
        assert!((gap - 0.51).abs() < 1e-3, "{gap}");
    }

    #[test]
    fn a_closed_slot_ends_it() {
        let (mut tap, mut packer) = ring(1);
        tap.capture(Instant::now(), Duration::ZERO, &[0i16; 480]);
        assert_eq!(packer.pump(|_| Err(Closed)), Err(Closed));
    }
}
