//! On the net thread: of one track, pictures are collected until they are settled, and everything is given its time by our clock.
//!
//! Times are the sender's, laid beside ours once. Only where the two clocks have gone apart by [`APART`] they are laid anew: so
//! what lies between two pictures, or two blocks of sound, stays what it was.

use super::{Content, Source, Tee, Unit};
use crate::pipeline::record::{Held, Tenant};
use crate::pipeline::sink::EncodedSink;
use eyeline_proto::media::assemble::{AccessUnit, Assembly};
use eyeline_proto::media::clock::{Mapping, offset};
use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::media::slice::{Part, Slice};
use eyeline_proto::session::{Command, TrackId};
use eyeline_proto::sound::Numbered;
use eyeline_proto::time::MediaTime;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// By less nobody sees that sound and picture of two senders are apart (BT.1359).
const APART: Duration = Duration::from_millis(40);

/// See the module text.
pub(super) struct Intake {
    tee: Tee,
    id: TrackId,
    source: Arc<Source>,
    film: bool,
    assembly: Assembly,
    /// Room for it, and what it takes of that, from the first slice on that is collected.
    room: Option<(Arc<Tenant>, Held)>,
    times: Times,
}

/// When what a sender caught was, by our clock.
#[derive(Default)]
struct Times {
    mapping: Option<Mapping>,
    /// One moment on both.
    laid: Option<(MediaTime, Instant)>,
}

impl Intake {
    pub fn new(tee: Tee, id: TrackId, name: &str, film: bool) -> Self {
        let source = tee.source(name);
        Intake { tee, id, source, film, assembly: Assembly::new(0), room: None, times: Times::default() }
    }

    fn collect(&mut self, add: impl FnOnce(&mut Assembly)) {
        if !self.tee.is_on() {
            return;
        }
        let (tenant, held) = self.room.get_or_insert_with(|| {
            let tenant = self.tee.0.room.tenant(self.film);
            let held = tenant.hold(0);
            (tenant, held)
        });
        self.assembly.set_limit(held.bytes() + tenant.free());
        add(&mut self.assembly);
        held.set(self.assembly.bytes());
    }

    fn push(&self, at: Instant, content: Content) {
        self.tee.push(Unit { source: self.source.clone(), at, content });
    }
}

impl EncodedSink for Intake {
    fn clock(&mut self, mapping: Mapping) {
        self.times.mapping = Some(mapping);
    }

    fn slice(&mut self, slice: &Slice, received: Instant) {
        self.collect(|assembly| assembly.slice(slice.clone(), received));
    }

    fn part(&mut self, part: &Part, received: Instant) {
        self.collect(|assembly| assembly.part(part.clone(), received));
    }

    fn settled(&mut self, settled: Settled) {
        let unit = self.assembly.settled(settled);
        if !self.tee.is_on() {
            self.room = None;
            return;
        }
        if let Some((_, held)) = &mut self.room {
            held.set(self.assembly.bytes());
        }
        // Of one that is not whole the session knows itself; of a film it is told of nothing else.
        if settled.is_whole() && !unit.as_ref().is_some_and(AccessUnit::is_whole) && !self.film {
            self.tee.0.back.tell(Command::Missed(self.id, settled.picture));
        }
        if let Some(unit) = unit {
            let at = self.times.of(unit.capture, unit.received);
            self.push(at, Content::Slices(unit));
        }
    }

    fn sound(&mut self, sound: &Numbered<MediaTime>, received: Instant) {
        let block = &sound.block;
        if self.tee.is_on() && block.is_possible() && !block.samples.is_empty() {
            let at = self.times.of(block.capture, received);
            self.push(at, Content::Sound(block.channels, block.samples.clone()));
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.source.is_over();
    }
}

impl Times {
    /// When that was. What cannot have been is as of when it came.
    fn of(&mut self, capture: MediaTime, received: Instant) -> Instant {
        let exact = self.mapping.and_then(|mapping| mapping.captured(capture, received)).unwrap_or(received);
        let laid = self.laid.map(|(media, local)| offset(local, capture.signed_since(media)));
        let apart = |laid: &Instant| laid.saturating_duration_since(exact).max(exact.saturating_duration_since(*laid));
        match laid.filter(|laid| apart(laid) < APART) {
            Some(laid) => laid,
            None => {
                self.laid = Some((capture, exact));
                exact
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_moments_stays_and_only_a_clock_that_went_far_off_is_laid_anew() {
        let start = Instant::now();
        let at = |ms: u64| MediaTime::ZERO.saturating_add(Duration::from_millis(ms));
        let ms = Duration::from_millis;
        let mut times = Times { mapping: Some(Mapping::assumed(start + ms(1000), at(500))), laid: None };
        assert_eq!(times.of(at(500), start + ms(1010)), start + ms(1000));
        times.mapping = Some(Mapping::assumed(start + ms(1030), at(500)));
        assert_eq!(times.of(at(533), start + ms(1100)), start + ms(1033), "by 30 ms nobody sees it");
        times.mapping = Some(Mapping::assumed(start + ms(1045), at(500)));
        assert_eq!(times.of(at(566), start + ms(1200)), start + ms(1111));
        assert_eq!(times.of(at(576), start + ms(1200)), start + ms(1121), "and from there");
    }

    #[test]
    fn what_is_said_to_be_of_next_year_is_of_now() {
        let start = Instant::now();
        let mut times = Times { mapping: Some(Mapping::assumed(start, MediaTime::ZERO)), laid: None };
        for nanos in [u64::MAX, 1 << 60, 0] {
            let at = times.of(MediaTime::from_nanos(nanos), start);
            assert_eq!(at, start);
        }
    }
}
