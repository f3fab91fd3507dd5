//! A track's pictures to its canvas and its sound to its voice, each when it is due.

use super::decode::Job;
use super::sink::EncodedSink;
use super::track::Track;
use crate::threads::lock;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::media::slice::{Part, Slice};
use eyeline_proto::sound::Numbered;
use eyeline_proto::time::MediaTime;
use std::sync::Arc;
use std::time::Instant;

pub struct Show {
    track: Arc<Track>,
    /// Of a film: the first picture and the first block of the place where it is.
    first: (u64, u64),
}

impl Show {
    /// Nothing of this track has come.
    pub fn new(track: Arc<Track>) -> Self {
        Show { track, first: (0, 0) }
    }
}

impl EncodedSink for Show {
    fn clock(&mut self, mapping: Mapping) {
        lock(&self.track.schedule).clock(mapping);
        if let Some(voice) = &self.track.voice {
            lock(voice).mapping(mapping);
        }
    }

    fn slice(&mut self, slice: &Slice, received: Instant) {
        let due = lock(&self.track.schedule).slice(received, slice.capture());
        let Some(pictures) = &self.track.pictures else { return };
        let Ok(due) = due else { return self.track.missed(slice.picture) };
        pictures.push(Job { slice: slice.clone(), present: None, received, released: received }, due);
    }

    fn part(&mut self, part: &Part, received: Instant) {
        let due = lock(&self.track.schedule).part(received, part.slice.capture());
        let Some(pictures) = &self.track.pictures else { return };
        let present = Some((part.present.clone(), part.ended));
        pictures.push(Job { slice: part.slice.clone(), present, received, released: received }, due);
    }

    fn settled(&mut self, settled: Settled) {
        if let Some(pictures) = self.track.pictures.as_ref().filter(|_| !settled.is_whole()) {
            pictures.settled_in_part(settled.picture);
        }
    }

    fn goes_on_at(&mut self, picture: u64, block: u64) {
        let before = std::mem::replace(&mut self.first, (picture, block));
        if let Some(pictures) = self.track.pictures.as_ref().filter(|_| picture > before.0) {
            pictures.goes_on_at(picture);
        }
        if let Some(voice) = self.track.voice.as_ref().filter(|_| block > before.1) {
            lock(voice).flush(block);
        }
    }

    fn sound(&mut self, sound: &Numbered<MediaTime>, received: Instant) {
        if let Some(voice) = &self.track.voice {
            lock(voice).block(received, sound);
        }
    }
}
