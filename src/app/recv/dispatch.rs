//! On the net thread: who gets what. Slices go to the decoder and the file, sound to the speaker and the file, the rest to the
//! main thread. Nothing here waits but for a film's file, which holds the net thread no longer than its disk does.

use super::super::decode::Job;
use super::files;
use super::gate::Gate;
use super::stall::Stall;
use super::{Note, SharedFeed, SharedHold, SharedMapping, lock};
use crate::media::depacketizer::Part;
use crate::session::receiver::Event;
use crate::wire::slice::Head;
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// See the module text.
pub struct Dispatch {
    feed: Option<SharedFeed>,
    files: Option<files::Inlet>,
    decoder: Outlet,
    mapping: SharedMapping,
    hold: SharedHold,
    notes: Sender<Note>,
    stall: Stall,
    /// The sender skips nothing, and nothing of it is skipped here.
    film: bool,
}

/// Where slices to be decoded go: known only once the net thread's commands are, for used buffers go back there.
#[derive(Clone, Default)]
pub struct Outlet(Arc<OnceLock<Option<Gate>>>);

impl Outlet {
    /// Decode with these threads, or not at all.
    pub fn decode_with(&self, gate: Option<Gate>) {
        // Set once, by whoever made it.
        let _ = self.0.set(gate);
    }

    fn get(&self) -> Option<&Gate> {
        self.0.get()?.as_ref()
    }
}

impl Dispatch {
    /// Nothing has come yet.
    pub fn new(
        feed: Option<SharedFeed>,
        files: Option<files::Inlet>,
        (mapping, hold): (SharedMapping, SharedHold),
        notes: Sender<Note>,
    ) -> Self {
        Dispatch { feed, files, decoder: Outlet::default(), mapping, hold, notes, stall: Stall::default(), film: false }
    }

    /// To say later who decodes.
    pub fn outlet(&self) -> Outlet {
        self.decoder.clone()
    }

    /// What `net` calls for each event.
    pub fn into_callback(mut self) -> impl FnMut(Event) + Send + 'static {
        move |event| self.handle(event)
    }

    /// When the picture of this slice is to be seen; `None`: at once.
    fn due(&self, body: &[u8]) -> Option<Instant> {
        let held = lock(&self.hold).picture_due()?;
        let (head, _) = Head::decode(body).ok()?;
        (*lock(&self.mapping))?.to_local(head.capture).checked_add(held)
    }

    /// Whether this slice lay in the kernel while we stood still.
    fn is_backlog(&mut self, now: Instant, body: &[u8]) -> bool {
        let Ok((head, _)) = Head::decode(body) else { return false };
        let Some(mapping) = (*lock(&self.mapping)).filter(|_| !self.film) else { return false };
        self.stall.is_backlog(now, now.saturating_duration_since(mapping.to_local(head.capture)))
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
                    let (picture, count, due) = (slice.picture, slice.count, self.due(slice.body()));
                    let (body, present, released) = (slice.into_bytes(), None, received);
                    decoder.push(Job { picture, count, body, start: 4, present, received, released }, due);
                }
            }
            Event::Part(part) => {
                let received = Instant::now();
                if let Some(files) = &mut self.files {
                    files.part(&part, received);
                }
                if let Some(decoder) = self.decoder.get() {
                    let Part { picture, count, body, present, ended, .. } = part;
                    let (present, due, released) = (Some((present, ended)), self.due(&body), received);
                    decoder.push(Job { picture, count, body, start: 0, present, received, released }, due);
                }
            }
            Event::Settled(settled) => {
                if let Some(files) = &mut self.files {
                    files.settled(settled);
                }
                if let Some(decoder) = self.decoder.get().filter(|_| !settled.is_whole()) {
                    decoder.settled_in_part(settled.picture);
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
                *lock(&self.mapping) = Some(mapping);
                if let Some(feed) = &self.feed {
                    lock(feed).mapping(mapping);
                }
            }
            event => {
                match &event {
                    Event::SenderUp { again: false, film, .. } => {
                        (self.stall, self.film) = (Stall::default(), *film);
                        if let Some(decoder) = self.decoder.get() {
                            decoder.start_over();
                        }
                        if let Some(files) = &mut self.files {
                            files.start_over(*film);
                        }
                        if let Some(feed) = &self.feed {
                            lock(feed).reset();
                        }
                        lock(&self.hold).reset();
                    }
                    Event::Format(format) => {
                        if let Some(files) = &mut self.files {
                            files.format(*format);
                        }
                    }
                    _ => {}
                }
                // The main thread goes last; what comes after that nobody wants.
                let _ = self.notes.send(Note::Net(event));
            }
        }
    }
}
