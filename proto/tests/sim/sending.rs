//! What sends in a process ([`Camera`]): in place of camera, encoder, microphone and film what makes slices and blocks at their
//! pace. `party.rs` drives the shipped `Session` with it.
//!
//! The camera runs on the sender's clock, the microphone on a crystal of its own; both stamp what they catch with the sender's
//! clock, as drivers do. A picture's slices are ready one after the other over its encode time.

use super::harness::{Moment, Tick};
use super::oscillator::Oscillator;
use super::partial::{Changes, PartialEncoder};
use super::scan::fill_scan;
use super::source::Source;
use super::speaker::sample;
use eyeline_proto::media::foreign::{Fitness, Passthrough};
use eyeline_proto::media::ladder::Ladder;
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{Command, Event};
use eyeline_proto::sound::{BLOCK_FRAMES, Block, Packet};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::record::{Film, Format, Media};
use eyeline_proto::wire::slice::{self, Head, Tables};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub const BLOCK: Duration = Duration::from_millis(10);

/// A slice's length and head, bytes.
const HEAD: usize = LENGTH_PREFIX + slice::FIXED_LEN;

/// What is sent.
#[derive(Clone)]
pub struct Stream {
    pub period: Duration,
    pub slices: u8,
    pub slice_bytes: usize,
    /// From capture until the last slice is ready.
    pub encode: Duration,
    /// Of sound; 0 for none.
    pub channels: u8,
    /// A film of so many pictures, which waits for a watcher and skips nothing.
    pub film: Option<u64>,
    /// The user's `--bitrate`.
    pub cap: Option<Bitrate>,
    /// The camera is closed while nobody watches.
    pub closes: bool,
    /// Its pictures are only what changed.
    pub changes: Option<Changes>,
}

impl Stream {
    /// 1280×720 at 30 pictures a second, quality 80: about 100 KB a picture.
    pub fn camera() -> Stream {
        Stream {
            period: Duration::from_nanos(33_333_333),
            slices: 12,
            slice_bytes: 8200,
            encode: Duration::from_millis(6),
            channels: 2,
            film: None,
            cap: None,
            closes: false,
            changes: None,
        }
    }

    /// Pictures of two datagrams and no sound: for an hour in seconds.
    pub fn small() -> Stream {
        Stream { slices: 2, slice_bytes: 900, encode: Duration::from_millis(2), channels: 0, ..Stream::camera() }
    }

    /// 15 KB a picture and mono: what a call of several sends.
    pub fn call() -> Stream {
        Stream { slices: 4, slice_bytes: 3800, encode: Duration::from_millis(4), channels: 1, ..Stream::camera() }
    }

    /// 10 KB a picture and mono, 2.4 Mbit/s: a tile among many. Each slice is three datagrams.
    pub fn tile() -> Stream {
        Stream { slice_bytes: 2500, ..Stream::call() }
    }

    /// Neither camera nor microphone.
    pub fn none() -> Stream {
        Stream { slices: 0, channels: 0, ..Stream::camera() }
    }

    /// What a session says that it offers.
    pub fn media(&self) -> Media {
        Media { pictures: self.slices > 0, sound: self.channels > 0, lossless: self.film.is_some() }
    }

    /// What it says of it.
    pub fn format(&self) -> Format {
        if self.slices == 0 {
            return Format::default();
        }
        Format {
            rate: Rate::new(30, 1),
            size: Some(Size { width: 1280, height: 720 }),
            channels: self.channels,
            ..Format::default()
        }
    }
}

/// See the module text.
pub struct Camera {
    stream: Stream,
    source: Rc<RefCell<Source>>,
    clock: Oscillator,
    microphone: Oscillator,
    start: u64,
    /// A picture, and what the sender's clock showed when it was caught: the others are counted from it.
    first: (u64, u64),
    first_block: (u64, u64),
    /// The picture and the block that are due: after a suspension there may be two ticks for each.
    due: (u64, u64),
    pub commands: Vec<Command>,
    pub ticks: Vec<(u64, Tick)>,
    /// Who sits there muted the microphone, closed the camera.
    silent: (bool, bool),
    /// Somebody wants packets of what is heard.
    packets: bool,
    /// Of a film: when its first picture was due, whether it is held back, whether it is over.
    film: Option<u64>,
    held: bool,
    over: bool,
    ladder: Ladder,
    /// What encodes where pictures are only what changed, and slices of its that are not ready.
    partial: Option<PartialEncoder>,
    encoding: Vec<Slice>,
    /// The camera's picture, the number it was sent under, its slices' bytes.
    current: (u64, usize),
    encoded: u64,
}

/// What stands for an Opus packet of a block that begins with this frame: as many bytes as 64 kbit/s make, more or less.
fn packet(first: u64) -> Packet {
    let noise = [first as u8; 90];
    first.to_be_bytes().iter().chain(&noise[..60 + first as usize / 480 % 30]).copied().collect()
}

/// The samples of a block of which this is the packet.
pub fn decoded(packet: &Block<MediaTime, Packet>) -> Block<MediaTime> {
    let first = u64::from_be_bytes(packet.samples[..8].try_into().expect("one of ours"));
    let frames = first..first + BLOCK_FRAMES as u64;
    let samples = frames.flat_map(|number| std::iter::repeat_n(sample(number), packet.channels.into())).collect();
    Block { capture: packet.capture, channels: packet.channels, samples }
}

/// Who sends pictures and sound.
pub fn a_sender(name: &str, film: bool) -> Identity {
    identity(name, Media { lossless: film, ..Media::LIVE }, Media::NONE)
}

/// Who wants pictures and sound.
pub fn a_receiver(name: &str, file: bool) -> Identity {
    identity(name, Media::NONE, Media { lossless: file, ..Media::LIVE })
}

pub fn identity(name: &str, offers: Media, wants: Media) -> Identity {
    let mut id = [0; 16];
    for (at, byte) in name.bytes().take(16).enumerate() {
        id[at] = byte;
    }
    Identity { offers, wants, forwards: false, asks: false, opus: false, direct: false, psk: None, id, name: name.to_string() }
}

impl Camera {
    /// Starts at true time `start`.
    pub fn new(start: u64, name: &str, clocks: (Oscillator, Oscillator), stream: Stream) -> (Camera, Rc<RefCell<Source>>) {
        let (clock, microphone) = clocks;
        let listens = (stream.film.is_none() && stream.channels > 0).then_some(microphone);
        let source = Rc::new(RefCell::new(Source::new(name, start, clock, listens)));
        let mut ticks = Vec::new();
        if stream.film.is_none() {
            if stream.slices > 0 {
                ticks.push((start + 1_000_000, Tick::Camera(0)));
            }
            if stream.channels > 0 {
                ticks.push((start + 1_000_000, Tick::Microphone(0)));
            }
        }
        let ladder = Ladder::new(80, stream.film.is_some(), stream.period, Passthrough::Auto);
        let current = (0, stream.slice_bytes);
        let partial = stream.changes.clone().map(|changes| PartialEncoder::new(changes, source.borrow().salt));
        let camera = Camera {
            ladder,
            partial,
            encoding: Vec::new(),
            current,
            encoded: 0,
            stream,
            source: source.clone(),
            clock,
            microphone,
            start,
            first: (0, clock.shows(start + 1_000_000)),
            first_block: (0, microphone.shows(start + 1_000_000)),
            due: (0, 0),
            commands: Vec::new(),
            ticks,
            silent: (false, false),
            packets: false,
            film: None,
            held: false,
            over: false,
        };
        (camera, source)
    }

    /// Who sits there mutes the microphone, or closes the camera.
    pub fn silence(&mut self, muted: bool, closed: bool) {
        self.silent = (muted, closed);
    }

    fn slice(&self, picture: u64, index: u8, capture: MediaTime) -> Slice {
        let count = self.stream.slices;
        // The last one has what is left.
        let each = 720 / u16::from(count) / 8 * 8;
        let top = u16::from(index) * each;
        let rows = if index + 1 == count { 720 - top } else { each };
        let head = Head {
            sampling: Sampling::Yuv422,
            tables: Tables::Own(80),
            size: Size { width: 1280, height: 720 },
            top,
            rows,
            restart: 80,
            capture,
            queued: Duration::ZERO,
            encoded: self.stream.encode,
            shared: count,
            owed: count,
            position: None,
            mcus: None,
        };
        let mut scan = vec![0; self.current.1];
        fill_scan(self.source.borrow().salt, picture, index, &mut scan);
        Slice::new(picture, index, count, &head, &scan)
    }

    fn push_slice(&mut self, slice: Slice) {
        let mut source = self.source.borrow_mut();
        source.pictures = source.pictures.max(slice.picture + 1);
        if source.captures.len() as u64 == slice.picture {
            let captured = source.true_time(slice.capture());
            source.captures.push(captured);
        }
        source.body_bytes += slice.bytes().len() as u64;
        self.commands.push(Command::Slice(slice));
    }

    /// `first`: the number of the block's first frame, by the crystal that counts them.
    fn push_sound(&mut self, capture: MediaTime, first: u64) {
        let mut source = self.source.borrow_mut();
        source.blocks += 1;
        let channels = self.stream.channels;
        let frames = first..first + BLOCK_FRAMES as u64;
        let samples = frames.flat_map(|number| std::iter::repeat_n(sample(number), channels.into())).collect();
        let packet = self.packets.then(|| packet(first));
        self.commands.push(Command::Sound(Block { capture, channels, samples }, packet));
    }

    fn camera(&mut self, at: Moment, picture: u64) {
        if picture != self.due.0 {
            return;
        }
        self.due.0 += 1;
        let step = self.ladder.step(Fitness::Anew);
        self.ticks.push((self.captured(picture + 1), Tick::Camera(picture + 1)));
        if self.is_closed() {
            return;
        }
        if !picture.is_multiple_of(u64::from(step.every)) {
            return;
        }
        let encode = self.stream.encode.as_nanos() as u64;
        let shown = self.clock.shows(at.true_ns);
        if let Some(partial) = &mut self.partial {
            let source = &mut *self.source.borrow_mut();
            let captured = self.clock.when(self.first.1 + (picture - self.first.0) * self.stream.period.as_nanos() as u64);
            let per_mcu = f64::from(self.stream.slices) * self.stream.slice_bytes as f64 / 3600.0;
            let caught = (self.encoded, source.media(captured), captured);
            self.encoding = partial.encode(caught, (source.salt, per_mcu), (&mut self.ladder, step), &mut source.coded);
            source.steps.push((at.true_ns, step));
            self.encoded += 1;
            let count = self.encoding.len() as u64;
            for index in 0..count {
                self.ticks.push((self.clock.when(shown + encode * (index + 1) / count), Tick::Slice(picture, index as u8)));
            }
            return;
        }
        // What an encoder would make of it: not quite what the ladder thinks.
        let (quality, side) = (f64::from(step.quality) / 80.0, f64::from(step.eighths) / 8.0);
        let bytes = (self.stream.slice_bytes as f64 * quality.powf(0.9) * side.powf(1.7)) as usize;
        self.ladder.note_encoded(step, (bytes + HEAD) * usize::from(self.stream.slices));
        self.source.borrow_mut().steps.push((at.true_ns, step));
        self.current = (self.encoded, bytes.max(100));
        self.encoded += 1;
        for slice in 0..self.stream.slices {
            let ready = shown + encode * (u64::from(slice) + 1) / u64::from(self.stream.slices);
            self.ticks.push((self.clock.when(ready), Tick::Slice(picture, slice)));
        }
    }

    fn is_closed(&self) -> bool {
        self.silent.1 || (self.stream.closes && !self.source.borrow().watched)
    }

    /// The true time of picture `picture`'s capture.
    fn captured(&self, picture: u64) -> u64 {
        let (number, shown) = self.first;
        self.clock.when(shown + picture.saturating_sub(number) * self.stream.period.as_nanos() as u64)
    }

    fn microphone(&mut self, at: Moment, block: u64) {
        if block != self.due.1 {
            return;
        }
        self.due.1 += 1;
        // The block that just ended began one block ago, on the microphone's own clock.
        let shown = self.microphone.shows(at.true_ns);
        let began = self.microphone.when(shown - BLOCK.as_nanos() as u64);
        if block > 0 && !self.silent.0 {
            let capture = self.source.borrow().media(began);
            let since = self.microphone.shows(began) - self.microphone.shows(self.start + 1_000_000);
            let blocks = (since + BLOCK.as_nanos() as u64 / 2) / BLOCK.as_nanos() as u64;
            self.push_sound(capture, blocks * BLOCK_FRAMES as u64);
        }
        let (number, shown) = self.first_block;
        let next = shown + (block + 1 - number) * BLOCK.as_nanos() as u64;
        self.ticks.push((self.microphone.when(next), Tick::Microphone(block + 1)));
    }

    fn film(&mut self, at: Moment) {
        let (Some(began), Some(length)) = (self.film, self.stream.film) else { return };
        if self.held || self.over {
            return;
        }
        let picture = self.source.borrow().pictures;
        let period = self.stream.period.as_nanos() as u64;
        let due = began + picture * period;
        let blocks = self.source.borrow().blocks;
        for block in blocks..(picture * period / BLOCK.as_nanos() as u64) {
            let capture = self.source.borrow().media(began + block * BLOCK.as_nanos() as u64);
            self.push_sound(capture, block * BLOCK_FRAMES as u64);
        }
        if picture == length {
            self.over = true;
            self.commands.push(Command::End);
            return;
        }
        let capture = self.source.borrow().media(due);
        for slice in 0..self.stream.slices {
            let slice = self.slice(picture, slice, capture);
            self.push_slice(slice);
        }
        self.ticks.push(((due + period).max(at.true_ns), Tick::Film));
    }

    /// What a session tells its application; whether it is for who sends.
    pub fn handle_event(&mut self, at: Moment, event: &Event) -> bool {
        let mut source = self.source.borrow_mut();
        let mut note = |sentence: String| source.log.push((at.true_ns / 1_000_000, sentence));
        match event {
            Event::PeerUp { name, again, .. } => note(format!("up {name}{}", if *again { " again" } else { "" })),
            Event::PeerDown { name, reason, sentence, .. } => note(format!("down {name} {reason:?} {sentence}")),
            Event::NoUdp(address) => note(format!("no udp {address}")),
            Event::TextLeftOut(count) => note(format!("{count} lines left out")),
            Event::Narrow { narrow, .. } => note(format!("narrow {narrow}")),
            Event::TurnedAway(from, sentence) => note(format!("turned away {from}: {sentence}")),
            Event::Unreachable { error, fatal, .. } => note(format!("unreachable fatal={fatal}: {error}")),
            Event::Watched(on) => {
                let on = *on;
                note(format!("watched {on}"));
                source.watched = on;
                if !on && self.stream.closes {
                    self.commands.push(Command::Closed);
                }
                if on && self.stream.film.is_some() && self.film.is_none() {
                    self.film = Some(at.true_ns);
                    self.ticks.push((at.true_ns, Tick::Film));
                    self.commands.push(Command::Film { film: Film { sought: true, ..Film::default() }, jumped: false });
                }
            }
            // It does not stand still: what a viewer sees of it is the player's, and told of all the same.
            Event::Steer(steer) => {
                source.steered.push((at.true_ns, *steer));
                let (paused, place) = (steer.paused.unwrap_or_default(), steer.to.unwrap_or_default());
                let film = Film { paused, place, sought: true, ..Film::default() };
                self.commands.push(Command::Film { film, jumped: steer.to.is_some() });
            }
            Event::Pressure(on) => {
                let on = *on;
                note(format!("pressure {on}"));
                source.pressed += u32::from(on);
                if self.held && !on {
                    self.ticks.push((at.true_ns, Tick::Film));
                }
                self.held = on;
            }
            Event::Target(target) => {
                self.ladder.set_target(*target);
                source.targets.push((at.true_ns, *target));
            }
            Event::Wanted(want) => {
                self.partial.iter_mut().for_each(|partial| partial.whole = want.whole);
                source.wanted.push((at.true_ns, *want));
            }
            Event::WantsPackets(on) => {
                self.packets = *on;
                source.packets.push((at.true_ns, *on));
            }
            Event::Owed(owed) => self.partial.iter_mut().for_each(|partial| partial.owed = owed.clone()),
            Event::Stats(stats) => (source.stats, source.counters) = (stats.sending.clone(), stats.counters),
            Event::Delivered { .. } => {
                note("finished".to_string());
                source.finished = Some(at.true_ns);
            }
            _ => return false,
        }
        true
    }

    /// Something is due.
    pub fn tick(&mut self, at: Moment, tick: Tick) {
        match tick {
            Tick::Camera(picture) => self.camera(at, picture),
            Tick::Slice(..) if self.is_closed() => {}
            Tick::Slice(_, index) if self.partial.is_some() => {
                let slice = self.encoding[usize::from(index)].clone();
                self.push_slice(slice);
            }
            Tick::Slice(picture, index) => {
                let capture = self.source.borrow().media(self.captured(picture));
                let slice = self.slice(self.current.0, index, capture);
                self.push_slice(slice);
            }
            Tick::Microphone(block) => self.microphone(at, block),
            Tick::Film => self.film(at),
            Tick::Speaker(..) | Tick::Due => unreachable!("a camera shows nothing"),
        }
    }

    /// The machine was suspended and goes on.
    pub fn wake(&mut self, at: Moment) {
        // The tick of the next picture, and of the next block, went by unheard.
        let next = self.source.borrow().pictures;
        self.first = (next, self.clock.shows(at.true_ns));
        self.due.0 = next;
        if self.stream.slices > 0 {
            self.ticks.push((at.true_ns, Tick::Camera(next)));
        }
        if self.stream.channels > 0 {
            let block = self.source.borrow().blocks + 1;
            self.due.1 = block;
            // On the grid of its blocks, so that its frames keep their numbers.
            let (first, period) = (self.microphone.shows(self.start + 1_000_000), BLOCK.as_nanos() as u64);
            let passed = (self.microphone.shows(at.true_ns) - first) / period;
            self.first_block = (block, first + (passed + 2) * period);
            self.ticks.push((self.microphone.when(self.first_block.1), Tick::Microphone(block)));
        }
    }
}
