//! One who publishes beside us: what comes of him is opened, put in order, and given to a session that visits ours.

use super::{PACKET, PICTURES, SAMPLES, SOUND, WHOLE};
use crate::codec::opus::decoder::Decoder;
use crate::pipeline::visit::Visit;
use crate::relay::{Follow, Stream, Wishes};
use bytes::Bytes;
use eyeline_proto::crypto::room::{Place, Reader};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::layers::{self, Choice, Follower};
use eyeline_proto::media::one_way::OneWay;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::Owed;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{Command, Event};
use eyeline_proto::sound::Block;
use eyeline_proto::wire::record::{Format, Media, Want, Whole};
use eyeline_proto::wire::{self, sound};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::threads::lock;

/// A picture that is behind the quickest by so much tells that its path takes less.
const LATE: Duration = Duration::from_millis(250);

/// What is lacked here is owed by the encoder's next pictures, mostly; after so long a whole one is asked for.
const OWED: Duration = Duration::from_millis(500);

/// What the session here has use for.
struct Here {
    watched: bool,
    want: Want,
    /// Since when it lacks something; all of it.
    owed: Option<(Instant, bool)>,
}

/// See the module text.
pub(super) struct Attendee {
    reader: Reader,
    visit: Option<Visit>,
    here: Arc<Mutex<Here>>,
    epoch: Epoch,
    follower: Follower<Vec<Slice>>,
    choice: Choice,
    times: OneWay,
    /// The number of the next picture, as it is passed on.
    next: u64,
    opus: Decoder,
    format: Format,
    /// Something of it did not open, which was said.
    refused: bool,
    /// How many there are: one less when this is gone.
    present: Arc<AtomicUsize>,
}

impl Attendee {
    pub(super) fn new(reader: Reader, me: Identity, meets: SocketAddr, epoch: Epoch, present: Arc<AtomicUsize>) -> Self {
        present.fetch_add(1, Ordering::Relaxed);
        let here = Arc::new(Mutex::new(Here { watched: false, want: Want::ALL, owed: None }));
        let heeds = here.clone();
        let on_event = move |event: Event| {
            let mut here = lock(&heeds);
            match event {
                Event::Watched(watched) => here.watched = watched,
                Event::Wanted(want) => here.want = want,
                Event::Owed(Owed::Nothing) => here.owed = None,
                Event::Owed(owed) => {
                    let all = owed == Owed::All;
                    let (since, was_all) = here.owed.unwrap_or((Instant::now(), false));
                    here.owed = Some((since, was_all || all));
                }
                _ => {}
            }
        };
        let format = Format { rate: None, variable: true, size: None, channels: 1, first: 0 };
        let (name, me) = (me.name.clone(), Identity { offers: Media { lossless: false, ..Media::LIVE }, ..me });
        let visit = Visit::begin(me, epoch, format, on_event)
            .inspect(|visit| visit.dial(meets))
            .inspect_err(|error| tracing::error!("{name} cannot be taken in from the relay: {error}"));
        let (follower, choice, times, opus) =
            (Follower::default(), Choice::new(Instant::now()), OneWay::default(), Decoder::default());
        Attendee {
            reader,
            visit: visit.ok(),
            here,
            epoch,
            follower,
            choice,
            times,
            next: 0,
            opus,
            format,
            refused: false,
            present,
        }
    }

    fn command(&self, command: Command) {
        if let Some(visit) = &self.visit {
            visit.commands().command(command);
        }
    }

    fn open(&mut self, place: Place, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = sealed.to_vec();
        match self.reader.open(place, &mut bytes).map(|body| body.len()) {
            Ok(len) => {
                bytes.truncate(len);
                Some(bytes)
            }
            Err(_) => {
                if !std::mem::replace(&mut self.refused, true) {
                    tracing::warn!("somebody publishes in this room with another --key: nothing is shown of that");
                }
                None
            }
        }
    }

    /// The slices of a picture, where it is one. They were written as they were ready.
    fn slices(&mut self, stream: u8, group: u64, frames: &[Bytes]) -> Option<Vec<Slice>> {
        let many = u8::try_from(frames.len()).ok()?;
        let mut slices: Vec<Option<Slice>> = vec![None; frames.len()];
        for frame in frames {
            let (&index, sealed) = frame.split_first()?;
            let body = self.open(Place { stream, group, frame: index }, sealed)?;
            let (&count, bytes) = body.split_first()?;
            let place = slices.get_mut(usize::from(index)).filter(|place| count == many && place.is_none())?;
            *place = Some(Slice::read(group, index, count, bytes.into()).ok()?);
        }
        slices.into_iter().collect()
    }

    /// The layer by which it is judged what the path takes, where a stream says anything of that: a whole picture that somebody asked
    /// for once is late by itself.
    fn counted(&self, stream: Stream) -> Option<usize> {
        match (stream, lock(&self.here).want.whole) {
            (Stream::Layer(layer), Whole::Nobody) => Some(layer),
            (Stream::Whole(layer), Whole::Somebody | Whole::Everybody) => Some(layer),
            _ => None,
        }
    }

    fn picture(&mut self, stream: Stream, number: u64, frames: &[Bytes]) {
        let sealed_as = if let Stream::Whole(_) = stream { WHOLE } else { PICTURES };
        let Some(slices) = self.slices(sealed_as, number, frames) else { return };
        let Some(first) = slices.first() else { return };
        if let Some(layer) = self.counted(stream) {
            let (_, late) = self.times.came(first.capture(), self.epoch.media_time(Instant::now()));
            if late < LATE { self.choice.came(layer) } else { self.choice.cut(layer) }
        }
        let all = slices.iter().all(|slice| slice.head().mcus.is_none());
        for slices in self.follower.comes(number, all, slices) {
            self.show(slices);
        }
    }

    /// Passes a picture on, under the next number, with its time by our clock.
    fn show(&mut self, slices: Vec<Slice>) {
        let Some(capture) = slices.first().map(Slice::capture) else { return };
        let (capture, _) = self.times.came(capture, self.epoch.media_time(Instant::now()));
        let (number, count) = (self.next, slices.len() as u8);
        self.next += 1;
        for slice in slices {
            let index = slice.index;
            let mut slice = slice.alone(number, index, count);
            slice.stamp_capture(capture);
            self.command(Command::Slice(slice));
        }
    }

    fn sound(&mut self, group: u64, frame: &Bytes) -> Option<()> {
        let body = self.open(Place { stream: SOUND, group, frame: 0 }, frame)?;
        let (&form, bytes) = body.split_first()?;
        let reader = wire::Reader::new(bytes);
        let now = Instant::now();
        let block = match form {
            SAMPLES => sound::decode(reader).ok()?.block,
            PACKET => {
                let packet = sound::decode_packet(reader).ok()?;
                let samples = self.opus.decode(now, &packet).ok()?;
                Block { capture: packet.block.capture, channels: packet.block.channels, samples }
            }
            _ => return None,
        };
        if block.channels != self.format.channels {
            self.format.channels = block.channels;
            self.command(Command::Format(self.format));
        }
        let (capture, _) = self.times.came(block.capture, self.epoch.media_time(now));
        self.command(Command::Sound(block.at(capture), None));
        Some(())
    }
}

impl Follow for Attendee {
    fn group(&mut self, stream: Stream, number: u64, frames: Vec<Bytes>) {
        match stream {
            Stream::Layer(layer) | Stream::Whole(layer) if layers::of(number) == layer => self.picture(stream, number, &frames),
            Stream::Sound => {
                // What is no sound is none.
                let _ = frames.first().and_then(|frame| self.sound(number, frame));
            }
            _ => {}
        }
    }

    fn cut(&mut self, stream: Stream) {
        if let Some(layer) = self.counted(stream) {
            self.choice.cut(layer);
        }
    }

    fn wishes(&mut self, now: Instant) -> Wishes {
        let mut here = lock(&self.here);
        let (pictures, sound) = (here.watched && here.want.pictures, here.watched && here.want.sound);
        let due = |(since, all): &mut (Instant, bool)| *all || now.saturating_duration_since(*since) >= OWED;
        let owed = here.owed.take_if(due).is_some();
        let whole = here.want.whole != Whole::Nobody;
        drop(here);
        if owed || !pictures {
            // What comes next is to be all of a picture.
            self.follower.forget();
        }
        let layers = if pictures { self.choice.layers(now) } else { 0 };
        match whole {
            // JPEGs are joined of what comes.
            true => Wishes { layers: 0, whole: layers, sound },
            false => Wishes { layers, whole: usize::from(pictures && self.follower.lacks()), sound },
        }
    }
}

impl Drop for Attendee {
    fn drop(&mut self) {
        // Its goodbye takes a while, for which the relay's thread has no time.
        let visit = self.visit.take();
        let _ = std::thread::Builder::new().name("attendee-leaves".into()).spawn(move || drop(visit));
        self.present.fetch_sub(1, Ordering::Relaxed);
    }
}
