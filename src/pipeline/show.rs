//! A track's pictures to its canvas and its sound to its voice, each when it is due.

use super::decode::Job;
use super::sink::{EncodedSink, Sound};
use super::track::Track;
use crate::threads::lock;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::depacketizer::{Part, Settled, Slice};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::slice::Head;
use std::sync::Arc;
use std::time::Instant;

/// See the module text.
pub struct Show {
    track: Arc<Track>,
}

impl Show {
    /// Nothing of this track has come.
    pub fn new(track: Arc<Track>) -> Self {
        Show { track }
    }
}

/// When the picture was caught that this is of, by its sender's clock.
fn capture(body: &[u8]) -> Option<MediaTime> {
    Head::decode(body).ok().map(|(head, _)| head.capture)
}

impl EncodedSink for Show {
    fn clock(&mut self, mapping: Mapping) {
        lock(&self.track.schedule).clock(mapping);
        if let Some(voice) = &self.track.voice {
            lock(voice).mapping(mapping);
        }
    }

    fn slice(&mut self, slice: &Slice, received: Instant) {
        let Ok(due) = lock(&self.track.schedule).slice(received, capture(&slice.body)) else { return };
        let Some(pictures) = &self.track.pictures else { return };
        let &Slice { picture, count, .. } = slice;
        let (body, present, released) = (slice.body.clone(), None, received);
        pictures.push(Job { picture, count, body, present, received, released }, due);
    }

    fn part(&mut self, part: &Part, received: Instant) {
        let due = lock(&self.track.schedule).part(received, capture(&part.body));
        let Some(pictures) = &self.track.pictures else { return };
        let &Part { picture, count, ended, .. } = part;
        let (body, present, released) = (part.body.clone(), Some((part.present.clone(), ended)), received);
        pictures.push(Job { picture, count, body, present, received, released }, due);
    }

    fn settled(&mut self, settled: Settled) {
        if let Some(pictures) = self.track.pictures.as_ref().filter(|_| !settled.is_whole()) {
            pictures.settled_in_part(settled.picture);
        }
    }

    fn sound(&mut self, sound: &Sound<'_>) {
        if let Some(voice) = &self.track.voice {
            lock(voice).block(sound.received, sound.number, sound.capture, sound.channels, sound.samples);
        }
    }
}
