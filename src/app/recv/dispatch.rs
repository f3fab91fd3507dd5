//! On the net thread: who gets what. Slices go to the decoder and the file, sound to the speaker and the file, the rest to the
//! main thread. Nothing here waits: a slot that is full loses its oldest.

use super::super::notes::Notes;
use super::files;
use super::{Note, SharedFeed};
use crate::pipeline::decode::Job;
use crate::pipeline::hold_queue;
use crate::pipeline::lock;
use crate::pipeline::track::{Current, Track};
use eyeline_proto::media::backlog::Backlog;
use eyeline_proto::media::depacketizer::Part;
use eyeline_proto::media::hold::Hold;
use eyeline_proto::session::receiver::{Event, SenderId};
use eyeline_proto::wire::slice::Head;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// See the module text.
pub struct Dispatch {
    feed: Option<SharedFeed>,
    files: Option<files::Inlet>,
    decoder: Outlet,
    /// The sender that is shown, here and for the main thread.
    track: Arc<Track>,
    current: Current,
    /// As it is before anything is measured.
    hold: Hold,
    notes: Notes<Note>,
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

impl Dispatch {
    /// Nothing has come yet.
    pub fn new(
        feed: Option<SharedFeed>,
        files: Option<files::Inlet>,
        (current, hold): (Current, Hold),
        notes: Notes<Note>,
    ) -> Self {
        let (decoder, track) = (Outlet::default(), current.get());
        Dispatch { feed, files, decoder, track, current, hold, notes, backlog: Backlog::default(), film: false }
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

    /// When the picture of this slice is to be seen; `None`: at once. Nothing is caught in the future, so no sender has us wait
    /// longer than we hold.
    fn due(&self, now: Instant, body: &[u8]) -> Option<Instant> {
        let held = lock(&self.track.hold).picture_due()?;
        self.captured(now, body)?.min(now).checked_add(held)
    }

    /// Whether this slice lay in the kernel while we stood still.
    fn is_backlog(&mut self, now: Instant, body: &[u8]) -> bool {
        let Some(captured) = self.captured(now, body).filter(|_| !self.film) else { return false };
        self.backlog.holds(now, now.saturating_duration_since(captured))
    }

    /// Another sender: nothing that is kept of the last one is of use for it.
    fn start_over(&mut self, sender: SenderId, film: bool) {
        (self.backlog, self.film) = (Backlog::default(), film);
        self.track = Track::new(sender, self.hold.clone());
        self.current.replace(self.track.clone());
        if let Some(decoder) = self.decoder.get() {
            decoder.clear();
        }
        if let Some(files) = &mut self.files {
            files.start_over(sender, film);
        }
        if let Some(feed) = &self.feed {
            lock(feed).reset();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Slice(slice, _) => {
                let received = Instant::now();
                if let Some(files) = &mut self.files {
                    files.slice(&slice, received);
                }
                if self.is_backlog(received, slice.body()) {
                    return;
                }
                if let Some(decoder) = self.decoder.get() {
                    let (picture, count, due) = (slice.picture, slice.count, self.due(received, slice.body()));
                    let (body, present, released) = (slice.into_bytes(), None, received);
                    let reel = self.track.reel.clone();
                    decoder.push(Job { reel, picture, count, body, start: 4, present, received, released }, due);
                }
            }
            Event::Part(part) => {
                let received = Instant::now();
                if let Some(files) = &mut self.files {
                    files.part(&part, received);
                }
                if let Some(decoder) = self.decoder.get() {
                    let Part { picture, count, body, present, ended, .. } = part;
                    let (present, due, released) = (Some((present, ended)), self.due(received, &body), received);
                    let reel = self.track.reel.clone();
                    decoder.push(Job { reel, picture, count, body, start: 0, present, received, released }, due);
                }
            }
            Event::Settled(settled) => {
                if let Some(files) = &mut self.files {
                    files.settled(settled);
                }
                if let Some(decoder) = self.decoder.get().filter(|_| !settled.is_whole()) {
                    decoder.settled_in_part(&self.track.reel, settled.picture);
                }
            }
            Event::Sound { number, capture, channels, samples } => {
                if let Some(files) = &mut self.files {
                    files.sound(number, capture, channels, &samples);
                }
                if let Some(feed) = &self.feed {
                    let samples: Vec<i16> = samples.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
                    lock(feed).block(Instant::now(), number, capture, channels, &samples);
                }
            }
            Event::Clock(mapping) => {
                *lock(&self.track.mapping) = Some(mapping);
                if let Some(feed) = &self.feed {
                    lock(feed).mapping(mapping);
                }
            }
            event => {
                match &event {
                    Event::SenderUp { sender, again: false, film, .. } => self.start_over(*sender, *film),
                    Event::Format(format) => {
                        if let Some(files) = &mut self.files {
                            files.format(*format);
                        }
                    }
                    _ => {}
                }
                self.notes.tell(Note::Net(event));
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
    use eyeline_proto::media::depacketizer::Slice;
    use eyeline_proto::media::hold::Latency;
    use eyeline_proto::picture::{Sampling, Size};
    use eyeline_proto::time::MediaTime;
    use std::net::SocketAddr;
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    fn slice(picture: u64, capture: MediaTime) -> Event {
        let size = Size { width: 16, height: 16 };
        let planes = testing::planes(size, Sampling::Grey, picture);
        let head = Head { capture, ..testing::head(size, Sampling::Grey, 80, 0, 16) };
        let body = [&[0; 4][..], &testing::slice(&planes, &head)].concat();
        Event::Slice(Slice::new(picture, 0, 1, body), true)
    }

    fn up(sender: u64) -> Event {
        let (name, address) = (String::new(), SocketAddr::from(([10, 0, 0, 1], 1)));
        Event::SenderUp { sender: SenderId(sender), name, address, host: None, again: false, film: false, pictures: true }
    }

    /// Pictures held for 200 ms, as `--latency 200` asks; buffers come back when they are decoded.
    fn dispatch() -> (Dispatch, Pool, hold_queue::Thread, Receiver<()>) {
        let hold = Hold::new(Latency::Fixed(Duration::from_millis(200)));
        let current = Current::new(Track::new(SenderId::default(), hold.clone()));
        let dispatch = Dispatch::new(None, None, (current, hold), Notes::new());
        let (tell, told) = mpsc::channel();
        let pool = Pool::new(1, Slot::newest(), move |_| tell.send(()).unwrap_or_default()).unwrap();
        let (inlet, thread) = hold_queue::Inlet::new(pool.inlet()).unwrap();
        dispatch.outlet().decode_with(Some(inlet));
        (dispatch, pool, thread, told)
    }

    #[test]
    fn a_newcomers_pictures_are_not_judged_by_the_clock_of_the_sender_before() {
        let (mut dispatch, _pool, _thread, told) = dispatch();
        dispatch.handle(up(0));
        // By this clock what is caught now is due in half a minute, and what was caught at 0 is long past.
        let ahead = MediaTime::ZERO.saturating_add(Duration::from_secs(30));
        dispatch.handle(Event::Clock(Mapping::assumed(Instant::now() + Duration::from_secs(30), ahead)));
        let (before, mapping) = (dispatch.track.clone(), *lock(&dispatch.track.mapping));
        assert!(mapping.is_some());
        dispatch.handle(up(1));
        assert!(lock(&dispatch.track.mapping).is_none(), "until its first pong nothing is known of its clock");
        assert_eq!(dispatch.current.get().reel.sender(), SenderId(1));
        dispatch.handle(slice(0, ahead));
        told.recv_timeout(Duration::from_secs(20)).expect("a picture of an unknown clock is due at once");
        // A late word of the former clock changes what nobody looks at any more.
        *lock(&before.mapping) = mapping;
        dispatch.handle(slice(1, ahead));
        told.recv_timeout(Duration::from_secs(20)).expect("so is the next");
    }

    #[test]
    fn capture_times_that_cannot_be_hold_nothing_up() {
        let (mut dispatch, _pool, _thread, told) = dispatch();
        dispatch.handle(up(0));
        dispatch.handle(Event::Clock(Mapping::assumed(Instant::now(), MediaTime::ZERO.saturating_add(Duration::from_secs(900)))));
        for (picture, nanos) in [(0, u64::MAX), (1, 0), (2, i64::MAX as u64), (3, 900_900_000_000), (4, 1 << 62)] {
            dispatch.handle(slice(picture, MediaTime::from_nanos(nanos)));
            told.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("picture {picture} is held"));
        }
    }
}
