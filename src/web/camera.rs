//! Cameras and microphones of pages, and where what they give goes.

use crate::threads::lock;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Pages that send theirs at once.
const MOST: usize = 4;

/// Where what a page's own camera and microphone give goes. Nothing of it waits.
pub trait Feed: Send {
    /// A picture that was caught then; whether it is one.
    fn picture(&mut self, at: Instant, jpeg: &[u8]) -> bool;
    /// 48 kHz, one channel.
    fn sound(&mut self, at: Instant, samples: Arc<[i16]>);
}

/// Takes in the camera of somebody who calls himself so, or says why not.
pub type Takes = Box<dyn Fn(&str) -> Result<Box<dyn Feed>, String> + Send + Sync>;

/// All that are taken in. Clones are the same.
#[derive(Clone)]
pub(super) struct Cameras {
    /// `None`: none is.
    takes: Option<Arc<Takes>>,
    /// What those are called that are.
    taken: Arc<Mutex<Vec<String>>>,
}

impl Cameras {
    pub fn new(takes: Option<Takes>) -> Cameras {
        Cameras { takes: takes.map(Arc::new), taken: Arc::default() }
    }

    pub fn are_taken(&self) -> bool {
        self.takes.is_some()
    }
}

/// A page's camera and microphone. Dropped: they are gone.
pub(super) struct Camera {
    /// What it is called: no other camera of a page is.
    pub name: String,
    /// There until it leaves.
    feed: Option<Box<dyn Feed>>,
    all: Cameras,
}

impl Camera {
    /// Takes one in, of this name, or of one like it that no other has.
    pub fn take(all: &Cameras, name: &str) -> Result<Camera, String> {
        let takes = all.takes.as_ref().ok_or("nobody here takes cameras in")?;
        let mut taken = lock(&all.taken);
        if taken.len() >= MOST {
            return Err(format!("{MOST} browsers send their cameras already"));
        }
        let is_free = |name: &String| !taken.contains(name);
        let numbered = (2..).map(|number| format!("{name} {number}"));
        let name = std::iter::once(name.to_string()).chain(numbered).find(is_free).unwrap_or_default();
        let feed = takes(&name)?;
        taken.push(name.clone());
        Ok(Camera { name, feed: Some(feed), all: all.clone() })
    }

    /// As [`Feed::picture`].
    pub fn picture(&mut self, at: Instant, jpeg: &[u8]) -> bool {
        self.feed.as_mut().is_none_or(|feed| feed.picture(at, jpeg))
    }

    /// As [`Feed::sound`].
    pub fn sound(&mut self, at: Instant, samples: Arc<[i16]>) {
        if let Some(feed) = &mut self.feed {
            feed.sound(at, samples);
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        lock(&self.all.taken).retain(|taken| *taken != self.name);
        let feed = self.feed.take();
        // It says goodbye, which may take a moment, and nobody who looks is to wait for that. Without a thread it is dropped here.
        let _ = std::thread::Builder::new().name("guest-leaves".into()).spawn(move || drop(feed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Feed for Nowhere {
        fn picture(&mut self, _: Instant, _: &[u8]) -> bool {
            true
        }

        fn sound(&mut self, _: Instant, _: Arc<[i16]>) {}
    }

    #[test]
    fn each_camera_has_a_name_of_its_own_and_there_are_so_many_at_most() {
        let takes: Takes = Box::new(|_| Ok(Box::new(Nowhere)));
        let all = Cameras::new(Some(takes));
        let take = || Camera::take(&all, "phone");
        let one = take().unwrap();
        let more: Vec<Camera> = (0..3).map(|_| take().unwrap()).collect();
        let names: Vec<&str> = more.iter().map(|camera| camera.name.as_str()).collect();
        assert_eq!((one.name.as_str(), names), ("phone", vec!["phone 2", "phone 3", "phone 4"]));
        assert!(take().is_err_and(|why| why == "4 browsers send their cameras already"));
        drop(one);
        assert_eq!(take().unwrap().name, "phone");
        let refuses = Cameras::new(Some(Box::new(|_| Err("no".to_string()))));
        assert!((0..5).all(|_| Camera::take(&refuses, "phone").is_err_and(|why| why == "no")), "none has a place");
        assert!(Camera::take(&Cameras::new(None), "phone").is_err());
    }
}
