//! All that is kept of the sender that is shown. Another sender gets another: what is under way of the one before cannot reach
//! it.

use super::decode::SharedReel;
use super::lock;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::hold::Hold;
use eyeline_proto::session::TrackId;
use std::sync::{Arc, Mutex};

/// See the module text.
pub struct Track {
    /// Its pictures.
    pub reel: Arc<SharedReel>,
    /// Its clock, as it is known now; `None` before the first answer to a ping.
    pub mapping: Mutex<Option<Mapping>>,
    /// When its pictures and its sound are due.
    pub hold: Mutex<Hold>,
}

impl Track {
    /// Nothing is known of this sender yet.
    pub fn new(track: TrackId, hold: Hold) -> Arc<Self> {
        Arc::new(Track { reel: SharedReel::new(track), mapping: Mutex::default(), hold: Mutex::new(hold) })
    }
}

/// The track that is shown: the net thread puts another in its place, the main thread looks.
#[derive(Clone)]
pub struct Current(Arc<Mutex<Arc<Track>>>);

impl Current {
    /// Shows this one.
    pub fn new(track: Arc<Track>) -> Self {
        Current(Arc::new(Mutex::new(track)))
    }

    /// From now on this one. Of the one before nothing more gets ready.
    pub fn replace(&self, track: Arc<Track>) {
        let former = std::mem::replace(&mut *lock(&self.0), track);
        former.reel.end();
    }

    /// The one that is shown.
    pub fn get(&self) -> Arc<Track> {
        lock(&self.0).clone()
    }
}
