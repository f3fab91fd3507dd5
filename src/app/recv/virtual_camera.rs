//! `--v4l2-sink`: whose picture a virtual camera shows, and the words about it.

use super::super::failure::{Code, Failure};
use super::super::status::ExitCode;
use super::senders::Senders;
use crate::pipeline::track::Tracks;
use crate::present::writers::v4l2::VirtualCamera;
use eyeline_proto::session::TrackId;
use std::path::Path;

pub struct Shown {
    camera: VirtualCamera,
    /// Whose picture it shows.
    track: Option<TrackId>,
    over: bool,
}

impl Shown {
    /// Opens the device.
    pub fn open(path: &Path) -> Result<Shown, Failure> {
        let camera = VirtualCamera::open(path).code(ExitCode::Device)?;
        let (path, size) = (path.display(), camera.size());
        tracing::info!("{path} is a camera of {size}: grey, and then the large one, or who came first");
        Ok(Shown { camera, track: None, over: false })
    }

    /// Looks whose picture it shows now. An error is one without which there is nothing to go on for, unless there is a `window`.
    pub fn turn(&mut self, large: Option<TrackId>, senders: &Senders, tracks: &Tracks, window: bool) -> Result<(), Failure> {
        if let Some(error) = self.camera.take_failure() {
            self.over = true;
            if !window {
                return Err(error).code(ExitCode::Device);
            }
            tracing::error!("{error} (the window stays)");
        }
        let seen = senders.iter().filter(|(_, sender)| sender.pictures && !sender.closed && !sender.quiet);
        let track = chosen(self.track, large, seen.map(|(track, _)| *track));
        if self.over || track == self.track {
            return Ok(());
        }
        self.track = track;
        let path = self.camera.path().display();
        match track.and_then(|track| Some((senders.get(&track)?, tracks.get(track)?))) {
            Some((sender, shown)) => {
                tracing::info!("{path} shows {}", sender.name);
                self.camera.show(shown.canvas());
            }
            None => {
                tracing::info!("{path} shows nobody: no signal");
                self.camera.show_nothing();
            }
        }
        Ok(())
    }

    /// A picture of this track is ready.
    pub fn picture(&self, track: TrackId, tracks: &Tracks) {
        if let Some(shown) = tracks.get(track).filter(|_| self.track == Some(track)) {
            self.camera.show(shown.canvas());
        }
    }
}

/// Of those who are seen the large one; else whoever is shown already, or the first.
fn chosen(shown: Option<TrackId>, large: Option<TrackId>, seen: impl Iterator<Item = TrackId>) -> Option<TrackId> {
    let seen: Vec<_> = seen.collect();
    let is_seen = |track: &TrackId| seen.contains(track);
    large.filter(is_seen).or_else(|| shown.filter(is_seen)).or_else(|| seen.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyeline_proto::session::PeerId;

    #[test]
    fn the_large_one_is_shown_else_whoever_is_shown_already_else_the_first() {
        let [a, b, c] = [1, 2, 3].map(|peer| TrackId::own(PeerId(peer)));
        let all = || [a, b, c].into_iter();
        assert_eq!(chosen(None, None, all()), Some(a));
        assert_eq!(chosen(Some(b), None, all()), Some(b), "it does not jump when somebody comes");
        assert_eq!(chosen(Some(b), Some(c), all()), Some(c));
        assert_eq!(chosen(Some(b), Some(c), [a, b].into_iter()), Some(b), "the large one closed its camera");
        assert_eq!(chosen(Some(b), Some(b), [a].into_iter()), Some(a));
        assert_eq!(chosen(Some(b), Some(b), [].into_iter()), None);
    }
}
