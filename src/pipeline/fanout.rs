//! On the net thread: who gets what. Slices go to the decoder and the file, sound to the speaker and the file, the rest to whoever
//! runs the program. Nothing here waits: a slot that is full loses its oldest.

use super::decode::Job;
use super::track::{Current, Track};
use super::{hold_queue, lock, record};
use crate::present::speaker;
use eyeline_proto::media::backlog::Backlog;
use eyeline_proto::media::depacketizer::{Part, Slice};
use eyeline_proto::media::hold::Hold;
use eyeline_proto::session::TrackId;
use eyeline_proto::session::receiver::Event;
use eyeline_proto::wire::slice::Head;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// The speaker's ear: the net thread feeds it, the main thread turns it down. Not the audio callback's side.
pub type SharedFeed = Arc<Mutex<speaker::Feed>>;

/// See the module text.
pub struct Fanout {
    feed: Option<SharedFeed>,
    files: Option<record::Inlet>,
    decoder: Outlet,
    /// The sender that is shown, here and for the main thread.
    track: Arc<Track>,
    current: Current,
    /// As it is before anything is measured.
    hold: Hold,
    tell: Box<dyn FnMut(Event) + Send>,
    backlog: Backlog,
    /// The sender skips nothing, and nothing of it is skipped here.
    film: bool,
}

/// Where slices to be decoded go: known only once the net thread's commands are, for used buffers go back there.
#[derive(Clone, Default)]
pub struct Outlet(Arc<OnceLock<Option<hold_queue::Inlet>>>);

impl Outlet {
    /// Decode with these threads, or not at all.
    pub fn decode_with(&self, inlet: Option<hold_queue::Inlet>) {
        // Set once, by whoever made it.
        let _ = self.0.set(inlet);
    }

    fn get(&self) -> Option<&hold_queue::Inlet> {
        self.0.get()?.as_ref()
    }
}

impl Fanout {
    /// Nothing has come yet.
    pub fn new(
        feed: Option<SharedFeed>,
        files: Option<record::Inlet>,
        (current, hold): (Current, Hold),
        tell: impl FnMut(Event) + Send + 'static,
    ) -> Self {
        let (decoder, track) = (Outlet::default(), current.get());
        let tell = Box::new(tell);
        Fanout { feed, files, decoder, track, current, hold, tell, backlog: Backlog::default(), film: false }
    }

    /// To say later who decodes.
    pub fn outlet(&self) -> Outlet {
        self.decoder.clone()
    }

    /// What `net` calls for each event.
    pub fn into_callback(mut self) -> impl FnMut(Event) + Send + 'static {
        move |event| self.handle(event)
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

    /// A slice is whole. Its body is copied only where two want it.
    fn slice(&mut self, slice: Slice) {
        let received = Instant::now();
        let captured = self.captured(received, slice.body());
        let due = self.due(received, captured);
        let stale = self.is_backlog(received, captured);
        let decoder = self.decoder.get().filter(|_| !stale);
        let files = self.files.as_mut().filter(|files| files.takes_pictures());
        let Some(decoder) = decoder else {
            return files.map_or((), |files| files.slice(slice, received));
        };
        if let Some(files) = files {
            files.slice(slice.clone(), received);
        }
        let (picture, count, reel) = (slice.picture, slice.count, self.track.reel.clone());
        let (body, present, released) = (slice.into_bytes(), None, received);
        decoder.push(Job { reel, picture, count, body, start: 4, present, received, released }, due);
    }

    /// Something of a slice came.
    fn part(&mut self, part: Part) {
        let received = Instant::now();
        let due = self.due(received, self.captured(received, &part.body));
        let files = self.files.as_mut().filter(|files| files.takes_pictures());
        let Some(decoder) = self.decoder.get() else {
            return files.map_or((), |files| files.part(part, received));
        };
        if let Some(files) = files {
            files.part(part.clone(), received);
        }
        let (Part { picture, count, body, present, ended, .. }, reel) = (part, self.track.reel.clone());
        let (present, released) = (Some((present, ended)), received);
        decoder.push(Job { reel, picture, count, body, start: 0, present, received, released }, due);
    }

    /// Another sender: nothing that is kept of the last one is of use for it.
    fn start_over(&mut self, track: TrackId, film: bool) {
        (self.backlog, self.film) = (Backlog::default(), film);
        self.track = Track::new(track, self.hold.clone());
        self.current.replace(self.track.clone());
        if let Some(decoder) = self.decoder.get() {
            decoder.clear();
        }
        if let Some(files) = &mut self.files {
            files.start_over(track, film);
        }
        if let Some(feed) = &self.feed {
            lock(feed).reset();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Slice(_, slice) => self.slice(slice),
            Event::Part(_, part) => self.part(part),
            Event::Settled(_, settled) => {
                if let Some(files) = &mut self.files {
                    files.settled(settled);
                }
                if let Some(decoder) = self.decoder.get().filter(|_| !settled.is_whole()) {
                    decoder.settled_in_part(&self.track.reel, settled.picture);
                }
            }
            Event::Sound { number, capture, channels, samples, .. } => {
                if let Some(files) = &mut self.files {
                    files.sound(number, capture, channels, &samples);
                }
                if let Some(feed) = &self.feed {
                    let samples: Vec<i16> = samples.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
                    lock(feed).block(Instant::now(), number, capture, channels, &samples);
                }
            }
            Event::Clock(_, mapping) => {
                *lock(&self.track.mapping) = Some(mapping);
                if let Some(feed) = &self.feed {
                    lock(feed).mapping(mapping);
                }
            }
            event => {
                match &event {
                    Event::SenderUp { peer, again: false, film, .. } => self.start_over(TrackId::only(*peer), *film),
                    Event::Track(_, track) => {
                        if let Some(files) = &mut self.files {
                            files.format(track.format);
                        }
                    }
                    _ => {}
                }
                (self.tell)(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing;
    use crate::pipeline::decode::Pool;
    use crate::slot::Slot;
    use eyeline_proto::media::clock::Mapping;
    use eyeline_proto::media::hold::Latency;
    use eyeline_proto::picture::{Sampling, Size};
    use eyeline_proto::session::PeerId;
    use eyeline_proto::time::MediaTime;
    use std::net::SocketAddr;
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    fn slice(picture: u64, capture: MediaTime) -> Event {
        let size = Size { width: 16, height: 16 };
        let planes = testing::planes(size, Sampling::Grey, picture);
        let head = Head { capture, ..testing::head(size, Sampling::Grey, 80, 0, 16) };
        let body = [&[0; 4][..], &testing::slice(&planes, &head)].concat();
        Event::Slice(TrackId::default(), Slice::new(picture, 0, 1, body))
    }

    fn up(peer: u64) -> Event {
        let (name, address) = (String::new(), SocketAddr::from(([10, 0, 0, 1], 1)));
        Event::SenderUp { peer: PeerId(peer), name, address, host: None, again: false, film: false, pictures: true }
    }

    /// Pictures held for 200 ms, as `--latency 200` asks; buffers come back when they are decoded.
    fn fanout() -> (Fanout, Pool, hold_queue::Thread, Receiver<()>) {
        let hold = Hold::new(Latency::Fixed(Duration::from_millis(200)));
        let current = Current::new(Track::new(TrackId::default(), hold.clone()));
        let fanout = Fanout::new(None, None, (current, hold), drop);
        let (tell, told) = mpsc::channel();
        let pool = Pool::new(1, Slot::newest(), move |_| tell.send(()).unwrap_or_default()).unwrap();
        let (inlet, thread) = hold_queue::Inlet::new(pool.inlet()).unwrap();
        fanout.outlet().decode_with(Some(inlet));
        (fanout, pool, thread, told)
    }

    #[test]
    fn a_newcomers_pictures_are_not_judged_by_the_clock_of_the_sender_before() {
        let (mut fanout, _pool, _thread, told) = fanout();
        fanout.handle(up(0));
        // By this clock what is caught now is due in half a minute, and what was caught at 0 is long past.
        let ahead = MediaTime::ZERO.saturating_add(Duration::from_secs(30));
        fanout.handle(Event::Clock(PeerId(0), Mapping::assumed(Instant::now() + Duration::from_secs(30), ahead)));
        let (before, mapping) = (fanout.track.clone(), *lock(&fanout.track.mapping));
        assert!(mapping.is_some());
        fanout.handle(up(1));
        assert!(lock(&fanout.track.mapping).is_none(), "until its first pong nothing is known of its clock");
        assert_eq!(fanout.current.get().reel.track(), TrackId::only(PeerId(1)));
        fanout.handle(slice(0, ahead));
        told.recv_timeout(Duration::from_secs(20)).expect("a picture of an unknown clock is due at once");
        // A late word of the former clock changes what nobody looks at any more.
        *lock(&before.mapping) = mapping;
        fanout.handle(slice(1, ahead));
        told.recv_timeout(Duration::from_secs(20)).expect("so is the next");
    }

    #[test]
    fn capture_times_that_cannot_be_hold_nothing_up() {
        let (mut fanout, _pool, _thread, told) = fanout();
        fanout.handle(up(0));
        fanout.handle(Event::Clock(
            PeerId(0),
            Mapping::assumed(Instant::now(), MediaTime::ZERO.saturating_add(Duration::from_secs(900))),
        ));
        for (picture, nanos) in [(0, u64::MAX), (1, 0), (2, i64::MAX as u64), (3, 900_900_000_000), (4, 1 << 62)] {
            fanout.handle(slice(picture, MediaTime::from_nanos(nanos)));
            told.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("picture {picture} is held"));
        }
    }
}
