//! The test source: a moving picture and a tone, made here, so that a link can be seen, heard and measured without a device.
//!
//! Picture `k` is due at `start + k / rate`, block `n` at `start + n * 10 ms`; each is pushed at that moment and stamped with it, to the
//! nanosecond. The number in a picture (`pattern/draw.rs` draws the layout) is `k`: where this machine was too busy, numbers are left out, never late.
//!
//! Lip sync: in the first 100 ms of every second since `start` the flash square is white and the sound is a 1 kHz beep; else the square
//! is black and the sound is a quiet 440 Hz. The beep begins with the second's first sample, the flash with the first picture of the second (at
//! whole rates, exactly then).

mod draw;

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use self::draw::{Layout, Rect, read_number};
use crate::slot::Slot;
use crate::threads::{lock, wait_for};
use eyeline_proto::picture::{Body, BufferPool, MAX_SIDE, Picture, Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::sound::{BLOCK_FRAMES, Block, RATE};

/// How long flash and beep last.
const FLASH: Duration = Duration::from_millis(100);

/// Both threads are up before the first picture is due.
const LEAD: Duration = Duration::from_millis(20);

/// A block later than this is left out: the machine stood still, and nobody wants to hear of it in a burst.
const SOUND_LATE: Duration = Duration::from_millis(200);

/// The tone, 26 dB below full scale: heard, and not for long resented.
const TONE: (f64, f64) = (440.0, 0.05);

/// The beep, 6 dB below full scale.
const BEEP: (f64, f64) = (1000.0, 0.5);

/// Whether a picture or sample at `time` after the start belongs to flash and beep.
fn flashes(time: Duration) -> bool {
    Duration::from_nanos(time.subsec_nanos().into()) < FLASH
}

/// What to make.
#[derive(Debug, Clone)]
pub struct Options {
    /// Between 64x64 and 8192x8192.
    pub size: Size,
    /// Pictures a second.
    pub rate: Rate,
    pub want_video: bool,
    pub want_audio: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { size: Size { width: 1280, height: 720 }, rate: Rate::DEFAULT, want_video: true, want_audio: true }
    }
}

/// Why there is no test picture.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Too small to draw in, or too large to send.
    #[error("a test picture of {0} cannot be made; choose a --size between 64x64 and 8192x8192")]
    Size(Size),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(String),
}

/// The test source at work. Dropping it ends its threads at once and closes both slots.
pub struct Pattern {
    alarm: Arc<Alarm>,
    start: Instant,
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block<Instant>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pattern {
    /// Whether it can be drawn at this size: to be asked before anybody is promised a picture.
    pub fn check(size: Size) -> Result<(), Error> {
        let sides = 64..=MAX_SIDE;
        if sides.contains(&size.width) && sides.contains(&size.height) { Ok(()) } else { Err(Error::Size(size)) }
    }

    /// Starts. The slot of what is not wanted is closed.
    pub fn start(options: &Options, pictures: Arc<Slot<Picture>>, sound: Arc<Slot<Block<Instant>>>) -> Result<Pattern, Error> {
        let Options { size, rate, want_video, want_audio } = *options;
        if want_video {
            Pattern::check(size)?;
        }
        let start = Instant::now() + LEAD;
        let mut pattern = Pattern { alarm: Arc::default(), start, pictures, sound, threads: Vec::new() };
        if want_video {
            let (alarm, slot) = (pattern.alarm.clone(), pattern.pictures.clone());
            pattern.spawn("test picture", move || show(&alarm, &slot, start, size, rate))?;
        } else {
            pattern.pictures.close();
        }
        if want_audio {
            let (alarm, slot) = (pattern.alarm.clone(), pattern.sound.clone());
            pattern.spawn("test tone", move || sing(&alarm, &slot, start))?;
        } else {
            pattern.sound.close();
        }
        Ok(pattern)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(run);
        self.threads.push(thread.map_err(|error| Error::Thread(error.to_string()))?);
        Ok(())
    }

    /// When picture 0 and sample 0 are due.
    pub fn began(&self) -> Instant {
        self.start
    }

    /// Why it ended by itself: never, so far.
    pub fn failed(&self) -> Option<Error> {
        None
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        self.alarm.stop();
        self.pictures.close();
        self.sound.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Wakes at a moment, or when told to stop.
#[derive(Default)]
struct Alarm {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    fn stop(&self) {
        *lock(&self.stopped) = true;
        self.changed.notify_all();
    }

    /// Whether `moment` came; false once stopped.
    fn wait(&self, moment: Instant) -> bool {
        let mut stopped = lock(&self.stopped);
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if *stopped || left.is_zero() {
                return !*stopped;
            }
            stopped = wait_for(&self.changed, stopped, left);
        }
    }
}

/// The picture after `last` to make when so much has `elapsed`: where the next is late by more than a period, the one that is due.
fn next_picture(last: u64, rate: Rate, elapsed: Duration) -> u64 {
    let next = last + 1;
    if elapsed > rate.at(next + 1) { rate.nearest(elapsed).max(next) } else { next }
}

fn show(alarm: &Alarm, slot: &Slot<Picture>, start: Instant, size: Size, rate: Rate) {
    let artist = draw::Artist::new(size, &rate.to_string());
    let pool = BufferPool::new();
    let mut k = 0;
    loop {
        let time = rate.at(k);
        let captured = start + time;
        // What the wall clock will say when the picture is due: it is drawn before, so that drawing costs no latency.
        let ahead = captured.saturating_duration_since(Instant::now());
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + ahead;
        let mut planes = pool.take(artist.bytes());
        // The number wraps after four years of 30 a second.
        artist.draw(&mut planes, k as u32, time, wall);
        if !alarm.wait(captured) || slot.push(Picture::new(captured, size, Body::Planes(Sampling::Yuv420, planes))).is_err() {
            return;
        }
        k = next_picture(k, rate, start.elapsed());
    }
}

/// One second of sound; all seconds are alike, since both frequencies are whole.
fn second() -> Vec<i16> {
    let sample = |k: u32| {
        let time = f64::from(k) / f64::from(RATE);
        let (frequency, level) = if time < FLASH.as_secs_f64() { BEEP } else { TONE };
        ((2.0 * std::f64::consts::PI * frequency * time).sin() * level * f64::from(i16::MAX)).round() as i16
    };
    (0..RATE).map(sample).collect()
}

fn sing(alarm: &Alarm, slot: &Slot<Block<Instant>>, start: Instant) {
    let second = second();
    let block = Duration::from_secs(1) * BLOCK_FRAMES as u32 / RATE;
    let mut time = Duration::ZERO;
    loop {
        let capture = start + time;
        if !alarm.wait(capture) {
            return;
        }
        let from = (time.subsec_millis() / 10) as usize * BLOCK_FRAMES;
        let samples = second[from..from + BLOCK_FRAMES].into();
        if slot.push(Block { capture, channels: 1, samples }).is_err() {
            return;
        }
        time += block;
        let late = start.elapsed().saturating_sub(time);
        if late > SOUND_LATE {
            time += block * u32::try_from(late.as_millis() / 10).unwrap_or(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beep_has_exactly_its_samples_and_the_tone_goes_on_where_it_was() {
        let second = second();
        assert_eq!(second.len(), 48_000);
        let loudest = |from: usize, to: usize| second[from..to].iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!(loudest(1, 13) > 16_000 && loudest(4788, 4800) > 16_000, "from the first cycle to the last");
        assert!(loudest(4800, 48_000) < 1700, "quiet from sample 4800 on");
        // Both begin and end at a crossing of zero: no click.
        assert_eq!((second[0], second[4800]), (0, 0));
        let crossings = |from: usize, to: usize| second[from..to].windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert_eq!(crossings(0, 4801), 100, "1 kHz for 100 ms");
        assert_eq!(
            crossings(4800, 48_000) + 1,
            440 * 9 / 10,
            "440 Hz for 900 ms; the last crossing is the next second's first sample"
        );
    }

    #[test]
    fn pictures_and_blocks_are_stamped_with_the_moment_they_are_due_and_come_no_earlier() {
        let (pictures, sound) = (Slot::waiting(100), Slot::waiting(100));
        let rate = Rate::new(60, 1).unwrap();
        let options = Options { size: Size { width: 640, height: 360 }, rate, ..Options::default() };
        let pattern = Pattern::start(&options, pictures.clone(), sound.clone()).unwrap();
        let mut before = None;
        for _ in 0..10 {
            let picture = pictures.take().unwrap();
            assert!(Instant::now() >= picture.captured);
            let Body::Planes(Sampling::Yuv420, planes) = &picture.body else { panic!("the test picture is planes") };
            let number = read_number(planes, picture.size);
            assert_eq!(picture.captured, pattern.began() + rate.at(number.into()));
            assert!(before < Some(number));
            before = Some(number);
        }
        let second = second();
        for _ in 0..15 {
            let block = sound.take().unwrap();
            assert!(Instant::now() >= block.capture);
            let from = ((block.capture - pattern.began()).as_millis() as usize * 48) % 48_000;
            assert_eq!(*block.samples, second[from..from + BLOCK_FRAMES]);
        }
        drop(pattern);
        assert!(pictures.is_closed() && sound.is_closed());
    }

    #[test]
    fn a_machine_that_stood_still_goes_on_with_the_picture_that_is_due() {
        let rate = Rate::new(30, 1).unwrap();
        assert_eq!(next_picture(5, rate, Duration::from_millis(170)), 6);
        assert_eq!(next_picture(5, rate, Duration::from_millis(225)), 6, "a little late is given all the same");
        assert_eq!(next_picture(5, rate, Duration::from_secs(10)), 300);
    }

    #[test]
    fn what_is_not_wanted_is_closed_and_a_senseless_size_is_refused() {
        let (pictures, sound) = (Slot::newest(), Slot::dropping(4));
        let options = Options { want_audio: false, ..Options::default() };
        let pattern = Pattern::start(&options, pictures.clone(), sound.clone()).unwrap();
        assert!(sound.is_closed() && !pictures.is_closed());
        drop(pattern);
        let options = Options { size: Size { width: 63, height: 720 }, ..Options::default() };
        assert!(matches!(Pattern::start(&options, pictures, sound), Err(Error::Size(_))));
    }
}
