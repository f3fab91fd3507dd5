//! The life of an open stream: whether it runs, when it is lost, how it is got back, how its thread ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cpal::ErrorKind;
use tracing::{info, warn};

use super::{Direction, Error, bounded};
use crate::threads::lock;

/// A stream that brings nothing for so long is opened anew.
pub const SILENT_STREAM: Duration = Duration::from_secs(3);
/// So long a thread that was told to stop is waited for; it may hang in a driver.
const FAREWELL: Duration = Duration::from_millis(200);
/// So many overruns or underruns within so long say that the buffer is too short for the card.
const XRUNS: u64 = 4;
const XRUNS_WITHIN: Duration = Duration::from_secs(5);

/// What a stream's callbacks tell the thread that looks after it. Touched with atomics alone.
#[derive(Debug, Default)]
pub struct Pulse {
    lost: AtomicBool,
    callbacks: AtomicU64,
    xruns: AtomicU64,
    reason: Mutex<Option<cpal::Error>>,
}

impl Pulse {
    /// From the data callback: it runs.
    pub fn beat(&self) {
        self.callbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// From the data callback: it panicked and will do nothing more.
    pub fn broken(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// From the error callback, which is not the data callback and may come 100 000 times a second from a dead server.
    pub fn error(&self, error: &cpal::Error) {
        match error.kind() {
            ErrorKind::Xrun => {
                self.xruns.fetch_add(1, Ordering::Relaxed);
                return;
            }
            ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => return,
            _ => {}
        }
        if !self.lost.swap(true, Ordering::AcqRel) {
            *lock(&self.reason) = Some(error.clone());
        }
    }
}

/// Why a stream must be opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The device or its server went away, in words.
    Gone(String),
    /// It works, but its buffer is too short for it.
    Starved,
}

/// Watches one stream's [`Pulse`].
pub struct Watchdog {
    pulse: Arc<Pulse>,
    seen: u64,
    since: Instant,
    xruns: (u64, Instant),
    /// A longer buffer can still be had.
    longer: bool,
}

impl Watchdog {
    /// From now on. `shortest` is the place in [`BUFFER_SIZES`](super::BUFFER_SIZES) the stream was opened from: a longer buffer
    /// is tried once.
    pub fn new(pulse: Arc<Pulse>, shortest: usize) -> Self {
        let now = Instant::now();
        Watchdog { pulse, seen: 0, since: now, xruns: (0, now), longer: shortest == 0 }
    }

    /// Why the stream is lost, once it is.
    pub fn lost(&mut self, now: Instant) -> Option<Lost> {
        let callbacks = self.pulse.callbacks.load(Ordering::Relaxed);
        if callbacks != self.seen {
            (self.seen, self.since) = (callbacks, now);
        }
        if self.pulse.lost.load(Ordering::Acquire) {
            let reason = lock(&self.pulse.reason).take();
            return Some(Lost::Gone(reason.map_or_else(|| "it stopped".to_owned(), |reason| reason.to_string())));
        }
        if now.saturating_duration_since(self.since) > SILENT_STREAM {
            return Some(Lost::Gone(format!("nothing from it for {} s", SILENT_STREAM.as_secs())));
        }
        let xruns = self.pulse.xruns.load(Ordering::Relaxed);
        if now.saturating_duration_since(self.xruns.1) > XRUNS_WITHIN {
            self.xruns = (xruns, now);
        }
        (self.longer && xruns - self.xruns.0 >= XRUNS).then_some(Lost::Starved)
    }
}

/// Waits between attempts to get a device back: 0.5 s, 1 s, then 2 s for ever.
#[derive(Debug, Default)]
struct Backoff(u32);

impl Backoff {
    /// How long to wait before the next attempt.
    fn wait(&mut self) -> Duration {
        let wait = Duration::from_millis(500 << self.0);
        self.0 = (self.0 + 1).min(2);
        wait
    }
}

/// Opens again what was lost, for as long as that takes, and says so; `None` when told to stop. `open` is given the place in
/// [`BUFFER_SIZES`](super::BUFFER_SIZES) to begin with, which is kept in `shortest`.
pub fn get_back<T>(
    (direction, name): (Direction, &str),
    lost: &Lost,
    shortest: &mut usize,
    stop: &AtomicBool,
    mut open: impl FnMut(usize) -> Result<T, Error>,
) -> Option<T> {
    let noun = direction.noun();
    let mut opened = None;
    match lost {
        Lost::Gone(reason) => warn!("{noun} {name} is lost ({reason}); trying to get it back"),
        Lost::Starved => {
            *shortest = 1;
            info!("{noun} {name} needs a longer buffer: 20 ms from now on");
            opened = open(*shortest).ok();
        }
    }
    let mut backoff = Backoff::default();
    while opened.is_none() {
        if !pause(stop, backoff.wait()) {
            return None;
        }
        opened = open(*shortest).ok();
        if opened.is_some() {
            info!("{noun} {name} is back");
        }
    }
    opened
}

/// Drops a stream without being held up by it.
pub fn retire(stream: cpal::Stream, alsa: bool) {
    if !alsa {
        return drop(stream);
    }
    let _ = bounded(FAREWELL, move || drop(stream)); // hangs for ever when the server behind a plugin died
}

/// A device's own thread: named, told to stop and joined when dropped, but abandoned where it hangs in a driver.
pub struct DeviceThread {
    stop: Arc<AtomicBool>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl DeviceThread {
    /// Starts `work`, which looks at the flag and parks no longer than it must.
    pub fn start(name: &str, work: impl FnOnce(&AtomicBool) + Send + 'static) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, ended) = mpsc::sync_channel(1);
        let flag = stop.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            work(&flag);
            drop(sender);
        })?;
        Ok(DeviceThread { stop, ended, thread: Some(thread) })
    }
}

impl Drop for DeviceThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if self.ended.recv_timeout(FAREWELL) == Err(mpsc::RecvTimeoutError::Disconnected) {
            let _ = thread.join();
        }
    }
}

/// Parks this thread until it is told to stop or `wait` is over; true while it is to go on.
pub fn pause(stop: &AtomicBool, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    while !stop.load(Ordering::Acquire) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_wait_half_a_second_then_one_then_two_for_ever() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..5).map(|_| backoff.wait().as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 2000, 2000]);
    }

    #[test]
    fn a_stream_is_lost_by_an_error_or_by_silence_and_starved_by_many_xruns_but_not_by_one() {
        let pulse = Arc::new(Pulse::default());
        let (mut watch, start) = (Watchdog::new(pulse.clone(), 0), Instant::now());
        pulse.error(&cpal::Error::new(ErrorKind::Xrun));
        pulse.beat();
        assert_eq!(watch.lost(start + Duration::from_secs(2)), None);
        assert!(matches!(watch.lost(start + Duration::from_secs(6)), Some(Lost::Gone(why)) if why.contains("3 s")));
        pulse.beat();
        assert_eq!(watch.lost(start + Duration::from_secs(7)), None);
        for _ in 0..XRUNS {
            pulse.error(&cpal::Error::new(ErrorKind::Xrun));
        }
        assert_eq!(watch.lost(start + Duration::from_secs(7)), Some(Lost::Starved));
        pulse.error(&cpal::Error::new(ErrorKind::StreamInvalidated));
        assert!(matches!(watch.lost(start + Duration::from_secs(7)), Some(Lost::Gone(_))));
    }

    #[test]
    fn a_thread_that_hangs_is_abandoned_and_one_that_does_not_is_joined() {
        let (hold, held) = mpsc::channel::<()>();
        let stuck = DeviceThread::start("stuck", move |_| {
            let _ = held.recv();
        })
        .unwrap();
        let (end, ended) = mpsc::channel();
        thread::spawn(move || {
            drop(stuck);
            end.send(())
        });
        ended.recv_timeout(Duration::from_secs(20)).expect("nobody waits for one that hangs");
        drop(hold);
        let parked = DeviceThread::start("parked", |stop| assert!(!pause(stop, Duration::from_secs(60)))).unwrap();
        drop(parked);
    }
}
