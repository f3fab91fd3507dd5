//! Watches that a camera's pictures come, and does what can be done when they do not.
//!
//! A driver that stalls blocks its reader for ever, so the reader is never waited for without a limit. After
//! [`PATIENCE`] without a picture its wait is interrupted, which makes it restart the stream, then the camera; a reader that
//! does not even answer to that is left behind, holding whatever it holds, and a new one tries.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::health::Health;
use super::reader::Reader;
use super::{Chosen, Counters, Error, Setup};
use crate::slot::Slot;
use eyeline_proto::picture::Picture;

/// Without a picture for this long a camera counts as stalled (or four of its picture periods, if it is that slow).
const PATIENCE: Duration = Duration::from_secs(2);
/// Before its first picture a camera may need longer: some take seconds to wake.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// Attempts to wake a camera that stays silent become this rare.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// A driver that opens a camera for longer than this hangs.
const OPENING: Duration = Duration::from_secs(10);
/// How long a reader may take to answer or to stop before it is left behind.
const LET_GO: Duration = Duration::from_millis(200);

/// A streaming camera's threads. Dropped, they are stopped.
pub(super) struct Watchdog {
    health: Arc<Health>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Opens the camera and waits until it streams.
    pub fn start(setup: &Setup, pictures: Arc<Slot<Picture>>) -> Result<(Watchdog, Chosen), Error> {
        let health = Arc::new(Health::new(pictures));
        let reader = Reader::spawn(&health, setup)?;
        health.wait(OPENING, |state| state.chosen.is_some() || state.failed.is_some());
        let (chosen, failed) = {
            let state = health.lock();
            (state.chosen.clone(), state.failed.clone())
        };
        let Some(chosen) = chosen.filter(|_| failed.is_none()) else {
            reader.stop(&health, LET_GO);
            return Err(failed.unwrap_or(Error::Hangs { device: setup.chosen.device.clone() }));
        };
        let thread = {
            let (health, setup) = (health.clone(), setup.clone());
            std::thread::Builder::new().name("camera-watchdog".to_string()).spawn(move || run(&health, &setup, reader))
        };
        let refused =
            |error: std::io::Error| Error::Driver { device: chosen.device.clone(), what: "watch", cause: error.to_string() };
        Ok((Watchdog { health, thread: Some(thread.map_err(refused)?) }, chosen))
    }

    pub fn counters(&self) -> Counters {
        self.health.counters()
    }

    pub fn failed(&self) -> Option<Error> {
        self.health.lock().failed.clone()
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.health.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(health: &Arc<Health>, setup: &Setup, mut reader: Reader) {
    let period = Duration::from_secs(1) / setup.chosen.fps.max(1);
    let steady = PATIENCE.max(period * 4);
    let mut patience = FIRST_PATIENCE.max(steady);
    // What the silence is counted from: the last attempt, or a picture after it.
    let mut attempt = Instant::now();
    loop {
        let silence = health.silence().min(attempt.elapsed());
        if health.silence() < attempt.elapsed() {
            patience = steady;
        }
        if silence < patience {
            // Looked at often enough to see that the first picture has come and less patience is due.
            if health.wait((patience - silence).min(steady), |state| state.stop || state.ended || state.failed.is_some()) {
                break;
            }
            continue;
        }
        let device = &setup.chosen.device;
        tracing::warn!("no picture from {device} for {:.0} s; opening it anew", health.silence().as_secs_f64());
        attempt = Instant::now();
        patience = (patience * 2).clamp(FIRST_PATIENCE, LONGEST_PATIENCE);
        if reader.kick(health, LET_GO) {
            continue;
        }
        tracing::warn!("the driver of {device} does not answer; trying beside it");
        health.lock().left_behind = true;
        match Reader::spawn(health, setup) {
            Ok(beside) => drop(std::mem::replace(&mut reader, beside).stop(health, Duration::ZERO)),
            Err(error) => tracing::warn!("{error}"),
        }
    }
    if !reader.stop(health, LET_GO) {
        tracing::warn!("the driver of {} does not let go of it", setup.chosen.device);
    }
}
