//! A track's pictures to its canvas and its sound to its voice, each when it is due.

use super::decode::Job;
use super::sink::{EncodedSink, Sound};
use super::track::Track;
use crate::threads::lock;
use eyeline_proto::media::backlog::Backlog;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::depacketizer::{Part, Settled, Slice};
use eyeline_proto::wire::slice::Head;
use std::sync::Arc;
use std::time::Instant;

/// See the module text.
pub struct Show {
    track: Arc<Track>,
    backlog: Backlog,
    /// The sender skips nothing, and nothing of it is skipped here.
    film: bool,
}

impl Show {
    /// Nothing of this track has come.
    pub fn new(track: Arc<Track>, film: bool) -> Self {
        Show { track, backlog: Backlog::default(), film }
    }

    /// When the picture of this slice, which is here `now`, was caught, on our clock.
    fn captured(&self, now: Instant, body: &[u8]) -> Option<Instant> {
        let (head, _) = Head::decode(body).ok()?;
        (*lock(&self.track.mapping))?.captured(head.capture, now)
    }

    /// When a picture that was caught then, on our clock, is to be seen; `None`: at once. Nothing is caught in the future, so no sender
    /// has us wait longer than we hold.
    fn due(&self, now: Instant, captured: Option<Instant>) -> Option<Instant> {
        let held = lock(&self.track.hold).picture_due()?;
        captured?.min(now).checked_add(held)
    }

    /// Whether a slice of it lay in the kernel while we stood still.
    fn is_backlog(&mut self, now: Instant, captured: Option<Instant>) -> bool {
        let Some(captured) = captured.filter(|_| !self.film) else { return false };
        self.backlog.holds(now, now.saturating_duration_since(captured))
    }
}

impl EncodedSink for Show {
    fn clock(&mut self, mapping: Mapping) {
        *lock(&self.track.mapping) = Some(mapping);
        if let Some(voice) = &self.track.voice {
            lock(voice).mapping(mapping);
        }
    }

    fn slice(&mut self, slice: &Slice, received: Instant) {
        let captured = self.captured(received, &slice.body);
        let due = self.due(received, captured);
        let stale = self.is_backlog(received, captured);
        let Some(pictures) = self.track.pictures.as_ref().filter(|_| !stale) else { return };
        let &Slice { picture, count, .. } = slice;
        let (body, present, released) = (slice.body.clone(), None, received);
        pictures.push(Job { picture, count, body, present, received, released }, due);
    }

    fn part(&mut self, part: &Part, received: Instant) {
        let due = self.due(received, self.captured(received, &part.body));
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
