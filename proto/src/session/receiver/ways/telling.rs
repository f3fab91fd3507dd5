//! What came by either of a track's two ways, as the application is told of it: each picture by one of them, each block once, all by
//! the meeting point's clock.

use super::{State, Way};
use crate::media::slice::Slice;
use crate::session::events::Event;
use crate::time::MediaTime;
use std::collections::VecDeque;
use std::time::Instant;

impl Way {
    /// Something came directly.
    pub(super) fn directly(&mut self, now: Instant, event: Event, out: &mut VecDeque<Event>) {
        // Before its clock is known nothing can be made of it.
        if self.state == State::Forwarded || self.clocks.1.is_none() {
            return;
        }
        let told = self.told;
        match event {
            Event::Slice(_, slice) => {
                let picture = slice.picture;
                if self.state == State::Beginning {
                    self.from.get_or_insert(picture);
                }
                if picture >= self.settled && self.is_of_direct(picture) {
                    out.extend(self.slice_by_point(&slice, now).map(|slice| Event::Slice(told, slice)));
                }
            }
            Event::Settled(_, settled) => {
                if self.state == State::Beginning && self.from.is_some_and(|from| settled.picture >= from) {
                    if self.from.is_some_and(|from| self.settled < from) {
                        self.held_since.get_or_insert(now);
                        self.held.push_back(event);
                        return;
                    }
                    self.is_direct(now, out);
                }
                if settled.picture >= self.settled && self.is_of_direct(settled.picture) {
                    self.settled = settled.picture + 1;
                    out.push_back(Event::Settled(told, settled));
                }
            }
            Event::Part(_, part) => {
                if self.state == State::Beginning {
                    self.held.push_back(Event::Part(told, part));
                } else {
                    out.push_back(Event::Part(told, part));
                }
            }
            Event::Sound(_, mut sound) => {
                self.came = true;
                let Some(capture) = self.by_point(sound.block.capture, now) else { return };
                if self.blocks.0.accept(sound.number) {
                    sound.block = sound.block.at(capture);
                    out.push_back(Event::Sound(told, sound));
                }
            }
            Event::Packet { mut sound, first, .. } => {
                self.came = true;
                let Some(capture) = self.by_point(sound.block.capture, now) else { return };
                sound.block = sound.block.at(capture);
                self.packet(Event::Packet { track: told, sound, first }, out);
            }
            // The rest is told as it is forwarded.
            _ => {}
        }
    }

    /// Something came by way of the meeting point.
    pub(super) fn forwarded(&mut self, now: Instant, event: Event, out: &mut VecDeque<Event>) {
        match &event {
            Event::Slice(_, slice) => {
                if self.state == State::Returning {
                    self.from.get_or_insert(slice.picture);
                }
                if slice.picture >= self.settled && self.is_forwarded(slice.picture) {
                    out.push_back(event);
                }
            }
            Event::Settled(_, settled) => {
                if settled.picture < self.settled || !self.is_forwarded(settled.picture) {
                    return;
                }
                self.settled = settled.picture + 1;
                let ends = self.from.is_some_and(|from| self.settled >= from);
                out.push_back(event);
                match self.state {
                    State::Beginning if ends && !self.held.is_empty() => self.is_direct(now, out),
                    State::Returning if ends => self.becomes(now, State::Forwarded),
                    _ => {}
                }
            }
            Event::Part(..) if self.state == State::Direct => {}
            Event::Sound(_, sound) => {
                if self.blocks.0.accept(sound.number) {
                    out.push_back(event);
                }
            }
            Event::Packet { .. } => self.packet(event, out),
            _ => out.push_back(event),
        }
    }

    /// A block came as a packet: once, and as the first of its block where that did not come as samples.
    fn packet(&mut self, event: Event, out: &mut VecDeque<Event>) {
        let Event::Packet { track, sound, first } = event else { return };
        if self.blocks.1.accept(sound.number) {
            let first = self.blocks.0.accept(sound.number) && first;
            out.push_back(Event::Packet { track, sound, first });
        }
    }

    /// Whether this picture is shown as it comes directly.
    fn is_of_direct(&self, picture: u64) -> bool {
        match self.state {
            State::Forwarded => false,
            State::Beginning => self.from.is_some_and(|from| picture >= from),
            State::Direct => true,
            State::Returning => self.from.is_none_or(|from| picture < from),
        }
    }

    /// Whether it is as it is forwarded.
    fn is_forwarded(&self, picture: u64) -> bool {
        match self.state {
            State::Forwarded => true,
            State::Beginning => self.from.is_none_or(|from| picture < from),
            State::Direct => false,
            // What is between the last that came directly and the first that is forwarded is lost: it is told of by the latter.
            State::Returning => true,
        }
    }

    /// A time of the guest's clock, by the meeting point's.
    fn by_point(&self, capture: MediaTime, now: Instant) -> Option<MediaTime> {
        let (Some(point), Some(guest)) = self.clocks else { return None };
        guest.captured(capture, now).map(|captured| point.to_media(captured))
    }

    fn slice_by_point(&self, slice: &Slice, now: Instant) -> Option<Slice> {
        let capture = self.by_point(slice.capture(), now)?;
        let mut told = slice.clone();
        told.stamp_capture(capture);
        Some(told)
    }
}
