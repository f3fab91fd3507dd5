//! What one sends, as one sees it oneself: decoded from the very slices that go out.

use crate::pipeline::back::Back;
use crate::pipeline::decode::Announced;
use crate::pipeline::show::Show;
use crate::pipeline::sink::EncodedSink;
use crate::pipeline::track::{Screening, Track};
use crate::present::canvas::Canvas;
use eyeline_proto::media::hold::Hold;
use eyeline_proto::media::schedule::Schedule;
use eyeline_proto::session::{PeerId, TrackId};
use std::sync::Arc;

/// What it is announced as: no peer ever has this name.
pub const OWN: TrackId = TrackId::own(PeerId(u64::MAX));

pub struct OwnPicture {
    track: Arc<Track>,
}

impl OwnPicture {
    /// Decoded by the threads that decode the others'.
    pub fn new(screening: &Screening, announced: &Announced) -> Self {
        let (schedule, nobody) = (Schedule::new(Hold::default(), false), Back::default());
        OwnPicture { track: Track::new(OWN, schedule, (announced, &nobody), Some(screening), None) }
    }

    /// What the encoder shows its slices to.
    pub fn sink(&self) -> Box<dyn EncodedSink> {
        Box::new(Show::new(self.track.clone()))
    }

    /// Where it is drawn.
    pub fn canvas(&self) -> &Arc<Canvas> {
        self.track.canvas()
    }
}
