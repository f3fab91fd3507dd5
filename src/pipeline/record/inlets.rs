//! On the net thread: what comes of a track is put into the queues of its files. Nothing here waits.
//!
//! Either all tracks follow each other in one set of files, or each has its own. Its queues are there from its beginning, so that
//! nothing is lost while somebody makes its files ([`Inlets::take`]); they close, and the files are finished, when its [`Inlet`]
//! is dropped.
//!
//! Capacity of a track's queues: [`PICTURES`] settled pictures, and what the [`Room`] of all has for it, with what is not settled
//! yet; [`BLOCKS`] blocks of sound. The oldest go, and the writer fills the hole: who sends a live one is told that it was
//! missed, for what follows may be only what changed. A film's sender stops far below that, for it is told only of pictures that
//! are written. Of tracks that are over before somebody made their files [`FORGOTTEN`] are kept.

use super::super::back::Back;
use super::super::sink::EncodedSink;
use super::mixing::{self, Mixing};
use super::room::{Held, Room, Tenant};
use crate::present::writers::{mix, wav};
use crate::slot::Slot;
use crate::threads::lock;
use eyeline_proto::media::assemble::{AccessUnit, Assembly};
use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::media::slice::{Part, Slice};
use eyeline_proto::rate::Rate;
use eyeline_proto::session::{Command, TrackId};
use eyeline_proto::sound::Numbered;
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::Format;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Settled pictures waiting: four times what a film's sender lets be under way.
const PICTURES: usize = 240;

/// Blocks of sound waiting: ten seconds.
const BLOCKS: usize = 1000;

/// As many as there are senders at once.
const FORGOTTEN: usize = 16;

/// What is to be written of tracks, beside the mix of their sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct What {
    pub pictures: bool,
    pub sound: bool,
}

/// A settled picture, and whose.
pub(super) struct Unit {
    pub track: TrackId,
    /// Grows whenever another track, or the same one anew, is written.
    pub session: u64,
    pub picture: AccessUnit,
    /// Of the stream, where the sender says one.
    pub rate: Option<Rate>,
    /// Its bytes, for as long as it is kept.
    pub held: Held,
}

/// What waits for one set of files. Clones are the same queues.
#[derive(Clone)]
pub struct Queues {
    pub(super) pictures: Option<Arc<Slot<Unit>>>,
    pub(super) sound: Option<Arc<Slot<wav::Unit>>>,
    pub(super) mix: Option<Arc<Slot<mix::Unit>>>,
}

impl Queues {
    fn new(what: What) -> Self {
        let (pictures, sound) = (what.pictures.then(|| Slot::dropping(PICTURES)), what.sound.then(|| Slot::dropping(BLOCKS)));
        Queues { pictures, sound, mix: None }
    }

    /// Nothing more is taken; what is inside is written.
    pub fn close(&self) {
        if let Some(pictures) = &self.pictures {
            pictures.close();
        }
        if let Some(sound) = &self.sound {
            sound.close();
        }
        if let Some(mix) = &self.mix {
            mix.close();
        }
    }
}

/// Queues of tracks whose files nobody has made yet.
type Unopened = Arc<Mutex<BTreeMap<TrackId, Queues>>>;

#[derive(Clone)]
enum To {
    One(Queues),
    Each(What, Unopened),
}

/// What tracks' inlets are made of. Clones are the same.
#[derive(Clone)]
pub struct Inlets {
    to: To,
    room: Room,
    /// Where the session is told of pictures that are not written.
    back: Back,
    mix: Option<Arc<Slot<mix::Unit>>>,
    /// How many tracks were written: each is a session of its own, those of one peer, too.
    sessions: Arc<AtomicU64>,
}

impl Inlets {
    /// All tracks follow each other behind these queues.
    pub fn one(what: What, back: Back) -> (Self, Queues) {
        let queues = Queues::new(what);
        (Inlets::new(To::One(queues.clone()), back), queues)
    }

    /// Each track has its own.
    pub fn each(what: What, back: Back) -> Self {
        Inlets::new(To::Each(what, Unopened::default()), back)
    }

    fn new(to: To, back: Back) -> Self {
        Inlets { to, room: Room::default(), back, mix: None, sessions: Arc::default() }
    }

    /// And the sound of all goes behind these, mixed.
    pub fn with_mix(self) -> (Self, Queues) {
        let mix = Some(Slot::dropping(mixing::BLOCKS));
        (Inlets { mix: mix.clone(), ..self }, Queues { pictures: None, sound: None, mix })
    }

    /// What all that waits for the disk shares.
    pub fn room(&self) -> Room {
        self.room.clone()
    }

    /// Whether a track's files end with it.
    pub fn are_of_each(&self) -> bool {
        matches!(self.to, To::Each(..))
    }

    /// All that writes one track.
    pub fn sinks(&self, id: TrackId, film: bool) -> Vec<Box<dyn EncodedSink>> {
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let mixing = self.mix.as_ref().map(|blocks| Box::new(Mixing::new(blocks.clone(), session)) as Box<dyn EncodedSink>);
        let own = !matches!(self.to, To::Each(What { pictures: false, sound: false }, _));
        let own = own.then(|| Box::new(self.track(id, session, film)) as Box<dyn EncodedSink>);
        own.into_iter().chain(mixing).collect()
    }

    fn track(&self, id: TrackId, session: u64, film: bool) -> Inlet {
        let (queues, unopened) = match &self.to {
            To::One(queues) => (queues.clone(), None),
            To::Each(what, unopened) => {
                let queues = Queues::new(*what);
                lock(unopened).insert(id, queues.clone());
                (queues, Some(unopened.clone()))
            }
        };
        let tenant = self.room.tenant(film);
        let (assembly, assembling) = (Assembly::new(0), tenant.hold(0));
        let (back, format) = (self.back.clone(), Format::default());
        Inlet { queues, unopened, tenant, back, assembly, assembling, id, session, film, format, came: false }
    }

    /// The queues of a track whose files are not made yet, for who makes them now.
    pub fn take(&self, id: TrackId) -> Option<Queues> {
        match &self.to {
            To::One(_) => None,
            To::Each(_, unopened) => lock(unopened).remove(&id),
        }
    }
}

/// Of one track: collects slices until their picture is settled.
struct Inlet {
    queues: Queues,
    /// Where it has files of its own.
    unopened: Option<Unopened>,
    tenant: Arc<Tenant>,
    back: Back,
    assembly: Assembly,
    /// Bytes of it.
    assembling: Held,
    id: TrackId,
    session: u64,
    film: bool,
    format: Format,
    came: bool,
}

impl Inlet {
    /// Makes room for so many bytes more, if it can.
    fn make_room(&mut self, bytes: usize) {
        let Some(pictures) = &self.queues.pictures else { return };
        while self.tenant.free() < bytes
            && let Some(oldest) = pictures.try_take()
        {
            self.missed(oldest.track, oldest.picture.number);
        }
        self.assembly.set_limit(self.assembling.bytes() + self.tenant.free());
    }

    /// A picture came and is not written: what was in it is to come again, unless each has all.
    fn missed(&self, track: TrackId, picture: u64) {
        if !self.film {
            self.back.tell(Command::Missed(track, picture));
        }
    }
}

impl EncodedSink for Inlet {
    fn format(&mut self, format: Format) {
        self.format = format;
    }

    fn slice(&mut self, slice: &Slice, received: Instant) {
        if self.queues.pictures.is_some() {
            self.make_room(slice.bytes().len());
            self.assembly.slice(slice.clone(), received);
            self.assembling.set(self.assembly.bytes());
        }
    }

    fn part(&mut self, part: &Part, received: Instant) {
        if self.queues.pictures.is_some() {
            self.make_room(part.slice.bytes().len());
            self.assembly.part(part.clone(), received);
            self.assembling.set(self.assembly.bytes());
        }
    }

    fn settled(&mut self, settled: Settled) {
        let Some(pictures) = &self.queues.pictures else { return };
        let unit = self.assembly.settled(settled);
        self.assembling.set(self.assembly.bytes());
        // Of one that is not whole the session knows itself.
        if settled.is_whole() && !unit.as_ref().is_some_and(AccessUnit::is_whole) {
            self.missed(self.id, settled.picture);
        }
        // Nothing came of it: the gap in the numbers tells the writer.
        let Some(picture) = unit else { return };
        let held = self.tenant.hold(picture.bytes());
        self.came = true;
        // Closed where its writer ended early, which who made it finds out.
        let unit = Unit { track: self.id, session: self.session, picture, rate: self.format.rate, held };
        let dropped = pictures.push_over(unit).into_iter().flatten();
        dropped.for_each(|dropped| self.missed(dropped.track, dropped.picture.number));
    }

    fn sound(&mut self, sound: &Numbered<MediaTime>, received: Instant) {
        let Some(blocks) = &self.queues.sound else { return };
        let (session, film, sound) = (self.session, self.film, sound.clone());
        self.came = true;
        let _ = blocks.push(wav::Unit { session, sound, received, film });
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let Some(unopened) = &self.unopened else { return };
        self.queues.close();
        let mut unopened = lock(unopened);
        if !self.came || unopened.len() > FORGOTTEN {
            unopened.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing;
    use eyeline_proto::picture::{Sampling, Size};
    use eyeline_proto::session::PeerId;
    use eyeline_proto::sound::{BLOCK_FRAMES, Block};

    const PICTURES_ALONE: What = What { pictures: true, sound: false };

    /// The only slice of a picture.
    fn slice(picture: u64) -> Slice {
        let size = Size { width: 16, height: 16 };
        let head = testing::head(size, Sampling::Grey, 80, 0, 16);
        let mut slice = testing::slice(&testing::planes(size, Sampling::Grey, 1), &head);
        slice.picture = picture;
        slice
    }

    /// One whole picture comes.
    fn picture(inlet: &mut Inlet, picture: u64) {
        inlet.slice(&slice(picture), Instant::now());
        inlet.settled(Settled { picture, slices: 1, count: 1, unsent: false });
    }

    fn numbers(queues: &Queues) -> Vec<u64> {
        let pictures = queues.pictures.as_ref().unwrap();
        std::iter::from_fn(|| pictures.try_take()).map(|unit| unit.picture.number).collect()
    }

    #[test]
    fn each_track_has_its_own_queues_from_its_beginning_and_they_close_with_it() {
        let inlets = Inlets::each(PICTURES_ALONE, Back::default());
        let [first, second] = [0, 1].map(|peer| TrackId::own(PeerId(peer)));
        let (mut one, mut other) = (inlets.track(first, 0, false), inlets.track(second, 1, false));
        picture(&mut one, 5);
        picture(&mut other, 9);
        let queues = inlets.take(first).unwrap();
        assert!(inlets.take(first).is_none(), "once");
        picture(&mut one, 6);
        drop(one);
        assert!(queues.pictures.as_ref().unwrap().is_closed());
        assert_eq!(numbers(&queues), [5, 6]);
        drop(other);
        assert_eq!(numbers(&inlets.take(second).unwrap()), [9], "its files can still be made");
    }

    #[test]
    fn of_those_who_come_and_go_while_nobody_makes_their_files_few_are_kept() {
        let inlets = Inlets::each(PICTURES_ALONE, Back::default());
        for peer in 0..1000 {
            let mut inlet = inlets.track(TrackId::own(PeerId(peer)), peer, false);
            if peer % 2 == 0 {
                picture(&mut inlet, 0);
            }
        }
        let kept = (0..1000).filter(|&peer| inlets.take(TrackId::own(PeerId(peer))).is_some()).count();
        assert_eq!(kept, FORGOTTEN);
    }

    #[test]
    fn tracks_of_one_set_of_files_follow_each_other() {
        let (inlets, queues) = Inlets::one(PICTURES_ALONE, Back::default());
        for peer in 0..3 {
            picture(&mut inlets.track(TrackId::own(PeerId(peer)), peer, false), peer);
        }
        assert!(!queues.pictures.as_ref().unwrap().is_closed() && inlets.take(TrackId::default()).is_none());
        assert_eq!(numbers(&queues), [0, 1, 2]);
    }

    #[test]
    fn each_track_is_a_session_of_its_own_whoever_forwards_it_and_a_later_one_has_a_higher_number() {
        let both = What { pictures: true, sound: true };
        let (inlets, queues) = Inlets::one(both, Back::default());
        let (inlets, mixed) = inlets.with_mix();
        let block = Block { capture: MediaTime::ZERO, channels: 1, samples: [1; BLOCK_FRAMES].into() };
        let sound = Numbered { number: 7, block };
        // A meeting point's second and first, then somebody who came before it.
        for (peer, track) in [(5, 2), (5, 1), (3, 0)] {
            for sink in &mut inlets.sinks(TrackId { peer: PeerId(peer), track }, false) {
                sink.slice(&slice(4), Instant::now());
                sink.settled(Settled { picture: 4, slices: 1, count: 1, unsent: false });
                sink.sound(&sound, Instant::now());
            }
        }
        let (pictures, blocks) = (queues.pictures.unwrap(), queues.sound.unwrap());
        let together = mixed.mix.unwrap();
        let of_pictures = std::iter::from_fn(|| pictures.try_take()).map(|unit| unit.session);
        let of_sound = std::iter::from_fn(|| blocks.try_take()).map(|block| block.session);
        let of_mix = std::iter::from_fn(|| together.try_take()).map(|block| block.track);
        assert_eq!([of_pictures.collect(), of_sound.collect(), of_mix.collect::<Vec<u64>>()], [[0, 1, 2]; 3]);
    }

    #[test]
    fn who_sends_live_is_told_of_each_picture_that_came_and_is_not_written() {
        let missed = Arc::new(Mutex::new(Vec::new()));
        let (back, told) = (Back::default(), missed.clone());
        back.connect(move |command| match command {
            Command::Missed(track, picture) => lock(&told).push((track.peer, picture)),
            _ => unreachable!("nothing else is said"),
        });
        let (inlets, queues) = Inlets::one(PICTURES_ALONE, back);
        let (live, film) = (PeerId(1), PeerId(2));
        let mut inlet = inlets.track(TrackId::own(live), 0, false);
        (0..PICTURES as u64 + 3).for_each(|number| picture(&mut inlet, number));
        assert_eq!(*lock(&missed), [0, 1, 2].map(|number| (live, number)));
        // There was no room for one, so it is not there when it is settled.
        inlet.settled(Settled { picture: 500, slices: 1, count: 1, unsent: false });
        inlet.settled(Settled { picture: 501, slices: 0, count: 1, unsent: false });
        assert_eq!(lock(&missed)[3..], [(live, 500)], "of the other the session knows itself");
        let mut large = Slice::new(0, 0, 1, &slice(0).head(), &vec![7; 4 << 20]);
        for number in 600..640 {
            large.picture = number;
            inlet.slice(&large, Instant::now());
            inlet.settled(Settled { picture: number, slices: 1, count: 1, unsent: false });
        }
        let (kept, told) = (numbers(&queues), lock(&missed).len() as u64);
        assert_eq!(told + kept.len() as u64, PICTURES as u64 + 3 + 1 + 40, "each is there, or told of");
        let mut inlet = inlets.track(TrackId::own(film), 1, true);
        (0..PICTURES as u64 + 3).for_each(|number| picture(&mut inlet, number));
        assert_eq!(lock(&missed).len() as u64, told, "a film's pictures have all");
    }

    #[test]
    fn a_track_that_nobody_writes_loses_its_own_oldest_pictures_and_no_other_ones() {
        let inlets = Inlets::each(PICTURES_ALONE, Back::default());
        let [first, second] = [0, 1].map(|peer| TrackId::own(PeerId(peer)));
        let (mut heavy, mut light) = (inlets.track(first, 0, false), inlets.track(second, 1, false));
        picture(&mut light, 0);
        let mut large = Slice::new(0, 0, 1, &slice(0).head(), &vec![7; 4 << 20]);
        for picture in 0..40 {
            large.picture = picture;
            heavy.slice(&large, Instant::now());
            heavy.settled(Settled { picture, slices: 1, count: 1, unsent: false });
        }
        let kept: Vec<u64> = (11..40).collect();
        assert_eq!(numbers(&inlets.take(first).unwrap()), kept, "128 MiB less the other's share");
        assert_eq!(numbers(&inlets.take(second).unwrap()), [0]);
    }
}
