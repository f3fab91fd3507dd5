//! On the net thread: each track's pictures and sound to its sinks, the rest to whoever runs the program. Nothing here waits.
//!
//! A track opens when it comes, and ends when another one comes after it was left: until then its last picture is seen, in the window.

use super::back::Back;
use super::decode::Announced;
use super::record;
use super::show::Show;
use super::sink::EncodedSink;
use super::tee::Tee;
use super::track::{Screening, Track, Tracks};
use crate::codec::opus;
use crate::present::mixer::Mixer;
use eyeline_proto::media::hold::Hold;
use eyeline_proto::media::schedule::Schedule;
use eyeline_proto::session::{Event, PeerId, TrackId};
use eyeline_proto::sound::{Block, Numbered, Packet};
use eyeline_proto::time::MediaTime;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// What tracks are opened with.
pub struct Config {
    /// Where they are found by others.
    pub tracks: Tracks,
    /// Where pictures that are ready are announced.
    pub announced: Announced,
    /// Where it is told what of them was not drawn.
    pub back: Back,
    /// As it is before anything is measured.
    pub hold: Hold,
    /// What decodes their pictures, if they are to be seen.
    pub screening: Option<Arc<Screening>>,
    /// Where they are heard, if they are.
    pub mixer: Option<Mixer>,
    /// Where they are written, if they are.
    pub files: Option<record::Inlets>,
    /// Where they are taken whole, while they are.
    pub tee: Tee,
}

/// What takes one track.
struct Sinks {
    /// What makes samples of its packets: for all that takes it they are one sound.
    opus: opus::decoder::Decoder,
    shown: Box<dyn EncodedSink>,
    /// `None` once it was left: nobody who comes later is to see it.
    taken: Option<Box<dyn EncodedSink>>,
    written: Vec<Box<dyn EncodedSink>>,
}

pub struct Fanout {
    config: Config,
    sinks: BTreeMap<TrackId, Sinks>,
    /// Tracks that are gone, and seen until another comes.
    left: BTreeSet<TrackId>,
    tell: Box<dyn FnMut(Event) + Send>,
}

impl Sinks {
    fn all(&mut self) -> impl Iterator<Item = &mut Box<dyn EncodedSink>> {
        self.written.iter_mut().chain(&mut self.taken).chain([&mut self.shown])
    }
}

impl Fanout {
    /// Nobody is here yet.
    pub fn new(config: Config, tell: impl FnMut(Event) + Send + 'static) -> Self {
        Fanout { config, sinks: BTreeMap::new(), left: BTreeSet::new(), tell: Box::new(tell) }
    }

    /// What `net` calls for each event.
    pub fn into_callback(mut self) -> impl FnMut(Event) + Send + 'static {
        move |event| self.handle(event)
    }

    fn sinks(&mut self, track: TrackId) -> impl Iterator<Item = &mut Box<dyn EncodedSink>> {
        self.sinks.get_mut(&track).into_iter().flat_map(Sinks::all)
    }

    /// A track is there. Those that were left are over now.
    fn up(&mut self, id: TrackId, name: &str, film: bool) {
        for over in std::mem::take(&mut self.left) {
            self.end(over);
        }
        self.open(id, name, film);
    }

    /// A sender is back and goes on where it was; but not with files that ended with it.
    fn back(&mut self, peer: PeerId, film: bool) {
        for (id, sinks) in self.sinks.iter_mut().filter(|(id, sinks)| id.peer == peer && sinks.written.is_empty()) {
            sinks.written = written(&self.config, *id, film);
        }
    }

    fn open(&mut self, id: TrackId, name: &str, film: bool) {
        let Config { tracks, announced, back, hold, screening, mixer, tee, .. } = &self.config;
        let voice = mixer.as_ref().and_then(Mixer::voice);
        let schedule = Schedule::new(hold.clone(), film);
        let track = Track::new(id, schedule, (announced, back), screening.as_deref(), voice);
        tracks.add(track.clone());
        let (taken, written) = (tee.sink(id, name, film), written(&self.config, id, film));
        let opus = opus::decoder::Decoder::default();
        self.sinks.insert(id, Sinks { opus, shown: Box::new(Show::new(track)), taken: Some(taken), written });
    }

    /// All of these tracks that is to be written has come: files of their own are finished now, while what is seen of them may
    /// stay.
    fn finish_files(&mut self, of: impl Fn(TrackId) -> bool) {
        if self.config.files.as_ref().is_some_and(record::Inlets::are_of_each) {
            self.sinks.iter_mut().filter(|(track, _)| of(**track)).for_each(|(_, sinks)| sinks.written.clear());
        }
    }

    fn end(&mut self, id: TrackId) {
        self.sinks.remove(&id);
        self.config.tracks.remove(id);
    }

    /// A block of sound came as a packet. The `first` copy of it is heard.
    fn packet(&mut self, id: TrackId, sound: &Numbered<MediaTime, Packet>, first: bool, received: Instant) {
        let Some(sinks) = self.sinks.get_mut(&id) else { return };
        let heard = self.config.mixer.is_some() || !sinks.written.is_empty() || self.config.tee.is_on();
        if !heard {
            // It is passed on as it came, and its decoder begins anew where somebody hears it later.
            return;
        }
        match sinks.opus.decode(received, sound) {
            Ok(samples) if first => {
                let Block { capture, channels, .. } = sound.block;
                let sound = Numbered { number: sound.number, block: Block { capture, channels, samples } };
                sinks.all().for_each(|sink| sink.sound(&sound, received));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!("a block of sound is lost: {error}");
                if let Some(track) = self.config.tracks.get(id) {
                    track.undecoded();
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let received = Instant::now();
        match event {
            Event::Slice(track, slice) => self.sinks(track).for_each(|sink| sink.slice(&slice, received)),
            Event::Part(track, part) => self.sinks(track).for_each(|sink| sink.part(&part, received)),
            Event::Settled(track, settled) => self.sinks(track).for_each(|sink| sink.settled(settled)),
            Event::Sound(track, sound) => self.sinks(track).for_each(|sink| sink.sound(&sound, received)),
            Event::Packet { track, sound, first } => self.packet(track, &sound, first, received),
            Event::Clock(peer, mapping) => {
                let theirs = self.sinks.iter_mut().filter(|(track, _)| track.peer == peer);
                theirs.flat_map(|(_, sinks)| sinks.all()).for_each(|sink| sink.clock(mapping));
            }
            event => {
                match &event {
                    Event::SenderUp { peer, again: true, film, .. } => self.back(*peer, *film),
                    Event::TrackUp { track, name, film } => self.up(*track, name, *film),
                    Event::TrackDown { track, .. } => {
                        self.left.insert(*track);
                        if let Some(sinks) = self.sinks.get_mut(track) {
                            sinks.taken = None;
                        }
                        self.finish_files(|left| left == *track);
                    }
                    Event::Ended(ended) => self.finish_files(|track| track == *ended),
                    Event::Film(track, film) => self.sinks(*track).for_each(|sink| sink.goes_on_at(film.first, film.first_block)),
                    Event::Track(track, announced) => self.sinks(*track).for_each(|sink| sink.format(announced.format)),
                    _ => {}
                }
                (self.tell)(event);
            }
        }
    }
}

/// All that writes this track.
fn written(config: &Config, id: TrackId, film: bool) -> Vec<Box<dyn EncodedSink>> {
    config.files.as_ref().map(|files| files.sinks(id, film)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::fair_queue::FairQueue;
    use super::*;
    use crate::codec::testing;
    use crate::slot::Taken;
    use eyeline_proto::media::clock::Mapping;
    use eyeline_proto::media::hold::Latency;
    use eyeline_proto::picture::{Sampling, Size};
    use eyeline_proto::time::MediaTime;
    use eyeline_proto::wire::record::Film;
    use eyeline_proto::wire::slice::Head;
    use std::net::SocketAddr;
    use std::time::Duration;

    const PEERS: [PeerId; 3] = [PeerId(0), PeerId(1), PeerId(2)];

    fn slice(peer: PeerId, picture: u64, capture: MediaTime) -> Event {
        let size = Size { width: 16, height: 16 };
        let planes = testing::planes(size, Sampling::Grey, picture);
        let head = Head { capture, ..testing::head(size, Sampling::Grey, 80, 0, 16) };
        let mut slice = testing::slice(&planes, &head);
        slice.picture = picture;
        Event::Slice(TrackId::own(peer), slice)
    }

    fn up(peer: PeerId) -> Event {
        Event::TrackUp { track: TrackId::own(peer), name: String::new(), film: false }
    }

    fn back(peer: PeerId) -> Event {
        let (name, address) = (String::new(), SocketAddr::from(([10, 0, 0, 1], 1)));
        Event::SenderUp { peer, name, address, host: None, again: true, film: false, pictures: true, forwards: false }
    }

    /// Pictures held for so long, as `--latency` asks.
    fn fanout(held: Duration) -> (Fanout, Tracks, Announced) {
        let (tracks, announced) = (Tracks::default(), FairQueue::newest());
        let hold = Hold::new(Latency::Fixed(held));
        let screening = Some(Arc::new(Screening::start(1).unwrap()));
        let (announced_to, back) = (announced.clone(), Back::default());
        let (mixer, files, tee) = (None, None, Tee::default());
        let config = Config { tracks: tracks.clone(), announced: announced_to, back, hold, screening, mixer, files, tee };
        (Fanout::new(config, drop), tracks, announced)
    }

    fn next(announced: &Announced) -> (PeerId, u64) {
        match announced.take_until(Instant::now() + Duration::from_secs(20), Instant::now) {
            Taken::Value(ready) => (ready.track.peer, ready.picture.picture),
            nothing => panic!("nothing more is shown: {nothing:?}"),
        }
    }

    /// A capture time, and how a clock runs by which that is now.
    fn clock() -> (MediaTime, Mapping) {
        let capture = MediaTime::ZERO.saturating_add(Duration::from_secs(900));
        (capture, Mapping::assumed(Instant::now(), capture))
    }

    #[test]
    fn each_track_is_judged_by_its_own_clock() {
        let (mut fanout, _tracks, announced) = fanout(Duration::from_secs(60));
        let (capture, mapping) = clock();
        PEERS.into_iter().for_each(|peer| fanout.handle(up(peer)));
        fanout.handle(Event::Clock(PEERS[0], mapping));
        PEERS.into_iter().for_each(|peer| fanout.handle(slice(peer, 0, capture)));
        let mut at_once = [next(&announced), next(&announced)];
        at_once.sort_unstable();
        assert_eq!(at_once, [(PEERS[1], 0), (PEERS[2], 0)], "of unknown clocks, so due at once");
        assert!(announced.try_take().is_none(), "the first one's is due in a minute");
    }

    #[test]
    fn a_track_stays_while_its_sender_may_come_back_and_ends_when_another_takes_the_place() {
        let (mut fanout, tracks, announced) = fanout(Duration::from_millis(200));
        let [id, other] = [PEERS[0], PEERS[1]].map(TrackId::own);
        fanout.handle(up(PEERS[0]));
        let before = Arc::downgrade(&tracks.get(id).unwrap());
        fanout.handle(back(PEERS[0]));
        assert!(Arc::ptr_eq(&before.upgrade().unwrap(), &tracks.get(id).unwrap()), "it is the same");
        assert_eq!(fanout.config.tee.names(), [""]);
        fanout.handle(Event::TrackDown { track: id, over: true });
        assert!(tracks.get(id).is_some(), "what was seen last is seen on");
        assert!(fanout.config.tee.names().is_empty(), "but nobody takes it as if it were there");
        fanout.handle(up(PEERS[1]));
        assert!(tracks.get(id).is_none() && before.upgrade().is_none(), "nobody holds what is over");
        fanout.handle(slice(PEERS[0], 7, MediaTime::ZERO));
        fanout.handle(slice(PEERS[1], 0, MediaTime::ZERO));
        assert_eq!(next(&announced), (PEERS[1], 0), "what is late of the one before goes nowhere");
        assert!(tracks.get(other).is_some());
        fanout.handle(up(PEERS[0]));
        assert!(tracks.get(id).is_some(), "it came back after all");
    }

    #[test]
    fn what_is_held_of_the_place_that_a_film_left_is_dropped_and_what_comes_of_the_new_one_is_not() {
        let (mut fanout, _tracks, announced) = fanout(Duration::from_secs(60));
        let (id, (capture, mapping)) = (TrackId::own(PEERS[0]), clock());
        fanout.handle(Event::TrackUp { track: id, name: String::new(), film: true });
        fanout.handle(Event::Clock(PEERS[0], mapping));
        let slices: Vec<_> = (0..4)
            .map(|picture| match slice(PEERS[0], picture, capture) {
                Event::Slice(_, slice) => slice,
                other => panic!("{other:?}"),
            })
            .collect();
        slices.iter().for_each(|slice| fanout.handle(Event::Slice(id, slice.clone())));
        let mut held_at = |first| {
            fanout.handle(Event::Film(id, Film { first, ..Film::default() }));
            slices.iter().map(|slice| Arc::strong_count(slice.bytes()) > 1).collect::<Vec<_>>()
        };
        assert_eq!(held_at(0), [true; 4], "it plays on");
        assert_eq!([held_at(3), held_at(3)], [[false, false, false, true]; 2]);
        assert!(announced.try_take().is_none());
    }

    #[test]
    fn capture_times_that_cannot_be_hold_nothing_up() {
        let (mut fanout, _tracks, announced) = fanout(Duration::from_millis(200));
        fanout.handle(up(PEERS[0]));
        fanout.handle(Event::Clock(PEERS[0], clock().1));
        for (picture, nanos) in [(0, u64::MAX), (1, 0), (2, i64::MAX as u64), (3, 900_900_000_000), (4, 1 << 62)] {
            fanout.handle(slice(PEERS[0], picture, MediaTime::from_nanos(nanos)));
            assert_eq!(next(&announced), (PEERS[0], picture));
        }
    }
}
