//! Keeps a camera: one that is unplugged is told once, looked for, and opened again where it comes back, perhaps as another
//! `/dev/videoN`. Meanwhile peers stay and sound goes on.
//!
//! Whoever takes pictures waits here; nobody else is needed. A camera that is gone has closed its slot, so each gets a slot of its own. It
//! is looked for by its lasting name (`camera::Setup::again`) every [`LOOK`], and no other is taken: a person who pulled a camera
//! out has not asked for the one in the lid. A directory watch would be told some milliseconds after a node appears and before
//! its permissions are set; a look costs under a millisecond.

use super::counts::Counts;
use super::pictures::SharedSetup;
use crate::capture::camera::{self, Camera, Chosen};
use crate::slot::Slot;
use crate::threads::{lock, wait_while};
use eyeline_proto::picture::Picture;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Between two looks for a camera that is gone.
const LOOK: Duration = Duration::from_millis(500);

/// What is told of a camera, on the thread of whoever takes its pictures.
pub enum Note {
    /// It is gone, and looked for.
    Gone(camera::Error),
    /// It is there, after it was away or all the time, and cannot be used: it is tried again.
    Refused { why: camera::Error, was_away: bool },
    /// It is back, with this.
    Back(Chosen),
}

struct State {
    camera: Option<Camera>,
    pictures: Arc<Slot<Picture>>,
    /// Why there is no camera.
    failed: Option<camera::Error>,
    /// By cameras before this one.
    counted: Counts,
    stopped: bool,
}

pub struct Supervisor {
    setup: SharedSetup,
    reconnect: bool,
    tell: Box<dyn Fn(Note) + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Supervisor {
    /// Opens the camera. `reconnect`: one that is gone is waited for, from the start if need be, and that is told.
    pub fn open(
        setup: &SharedSetup,
        reconnect: bool,
        tell: impl Fn(Note) + Send + Sync + 'static,
    ) -> Result<Arc<Supervisor>, camera::Error> {
        let pictures = Slot::newest();
        let (camera, failed) = match Camera::open(&lock(setup), pictures.clone()) {
            Ok(camera) => (Some(camera), None),
            Err(error @ camera::Error::Unplugged { .. }) if reconnect => {
                pictures.close();
                (None, Some(error))
            }
            Err(error) => return Err(error),
        };
        let state = Mutex::new(State { camera, pictures, failed, counted: Counts::default(), stopped: false });
        let tell = Box::new(tell);
        Ok(Arc::new(Supervisor { setup: setup.clone(), reconnect, tell, state, changed: Condvar::new() }))
    }

    /// The next picture, however long its camera was away; `None` when it was stopped, or may not wait.
    pub fn take(&self) -> Option<Picture> {
        loop {
            let pictures = lock(&self.state).pictures.clone();
            if let Some(picture) = pictures.take() {
                return Some(picture);
            }
            if !self.find_again() {
                return None;
            }
        }
    }

    fn find_again(&self) -> bool {
        let mut state = lock(&self.state);
        if let Some(camera) = state.camera.take() {
            state.counted = state.counted + counts(&camera);
            state.failed = camera.failed();
            drop(state);
            drop(camera); // which may wait for its driver
            state = lock(&self.state);
        }
        let Some(why) = state.failed.clone().filter(|_| self.reconnect && !state.stopped) else { return false };
        drop(state);
        let mut refusals = Refusals::after(why.clone());
        (self.tell)(Note::Gone(why));
        loop {
            match self.look() {
                Ok((camera, pictures)) => {
                    let mut state = lock(&self.state);
                    if state.stopped {
                        return false;
                    }
                    state.counted.replaced += state.pictures.dropped();
                    let back = Note::Back(camera.chosen().clone());
                    (state.camera, state.pictures, state.failed) = (Some(camera), pictures, None);
                    drop(state);
                    (self.tell)(back);
                    return true;
                }
                Err(error) => {
                    tracing::trace!("the camera is not back: {error}");
                    if let Some(why) = refusals.news(error) {
                        (self.tell)(Note::Refused { why, was_away: refusals.was_away });
                    }
                }
            }
            if wait_while(&self.changed, lock(&self.state), LOOK, |state| !state.stopped).stopped {
                return false;
            }
        }
    }

    fn look(&self) -> Result<(Camera, Arc<Slot<Picture>>), camera::Error> {
        let again = lock(&self.setup).again().clone();
        let setup = Camera::probe(&again)?;
        let pictures = Slot::newest();
        let camera = Camera::open(&setup, pictures.clone())?;
        *lock(&self.setup) = setup;
        Ok((camera, pictures))
    }

    /// Ends [`Supervisor::take`], which then lets go of the camera.
    pub fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        state.pictures.close();
        self.changed.notify_all();
    }

    /// Why there is no camera, where that is the end.
    pub fn failed(&self) -> Option<camera::Error> {
        lock(&self.state).failed.clone().filter(|_| !self.reconnect)
    }

    /// What all its cameras lost.
    pub fn counts(&self) -> Counts {
        let state = lock(&self.state);
        let replaced = Counts { replaced: state.pictures.dropped(), ..Counts::default() };
        let now = state.camera.as_ref().map(counts).unwrap_or_default();
        state.counted + now + replaced
    }
}

/// Why a camera that is there cannot be used, each look.
struct Refusals {
    /// It was not there at some time.
    was_away: bool,
    last: Option<camera::Error>,
    told: Option<camera::Error>,
}

impl Refusals {
    /// This was told when it went.
    fn after(why: camera::Error) -> Refusals {
        Refusals { was_away: !why.is_of_one_that_is_there(), last: None, told: Some(why) }
    }

    /// What is to be told after a look that ended so: why, once it is the same twice. A node that has just appeared may have no
    /// permissions yet, and others look at it, too.
    fn news(&mut self, error: camera::Error) -> Option<camera::Error> {
        let why = Some(error).filter(camera::Error::is_of_one_that_is_there);
        self.was_away |= why.is_none();
        let lasts = std::mem::replace(&mut self.last, why.clone()) == why;
        let news = why.filter(|why| lasts && self.told.as_ref() != Some(why));
        self.told = news.clone().or(self.told.take());
        news
    }
}

/// What one camera lost.
fn counts(camera: &Camera) -> Counts {
    let camera::Counters { damaged, missed, .. } = camera.counters();
    Counts { damaged, missed, ..Counts::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_camera_that_is_there_cannot_be_used_is_told_once_and_again_where_it_is_another_reason() {
        let device = || "Webcam (/dev/video0)".to_string();
        let gone = camera::Error::Unplugged { device: device() };
        let forbidden = camera::Error::Permission { device: device() };
        let refuses = camera::Error::Control { device: device(), why: "refuses --zoom".into() };
        let busy = camera::Error::Busy { device: device(), holder: "cheese (pid 7)".into() };
        let mut refusals = Refusals::after(gone.clone());
        let looks = [&gone, &gone, &forbidden, &refuses, &refuses, &refuses, &gone, &refuses, &refuses, &busy, &busy];
        let told: Vec<_> = looks.into_iter().map(|error| refusals.news(error.clone()).is_some()).collect();
        assert_eq!(told, [false, false, false, false, true, false, false, false, false, false, true]);
    }

    #[test]
    fn of_a_camera_that_never_left_it_is_not_said_again_why_nor_that_it_is_back() {
        let device = || "Webcam (/dev/video0)".to_string();
        let busy = camera::Error::Busy { device: device(), holder: "cheese (pid 7)".into() };
        let hangs = camera::Error::Hangs { device: device() };
        let gone = camera::Error::Unplugged { device: device() };
        let mut refusals = Refusals::after(busy.clone());
        let looks = [&busy, &busy, &hangs, &hangs, &gone, &busy, &busy];
        let told: Vec<_> = looks.into_iter().map(|error| (refusals.news(error.clone()).is_some(), refusals.was_away)).collect();
        let (stays, left) = ((false, false), (false, true));
        assert_eq!(told, [stays, stays, stays, (true, false), left, left, (true, true)]);
    }
}
