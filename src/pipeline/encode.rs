//! Between a source and the session: pictures become numbered slices, sound becomes blocks, both on the media clock.

use super::sink::EncodedSink;
use crate::codec::encoder::{self, Coded};
use crate::codec::replenisher::Replenisher;
use crate::codec::scale;
use crate::codec::settings::{Error, Settings};
use crate::net::Commands;
use crate::threads::{lock, wait};
use eyeline_proto::media::clock::Epoch;
use eyeline_proto::media::ladder::{Ladder, Step};
use eyeline_proto::media::rate_control::Bitrate;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Body, BufferPool, Picture, Size, View};
use eyeline_proto::rate::Rate;
use eyeline_proto::session::Command;
use eyeline_proto::sound::Block;
use eyeline_proto::wire::record::{Format, Want, Whole};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// More threads than this gain nothing: at 1080p a band is 0.4 ms of work by then.
const MAX_WORKERS: usize = 4;

/// Sides of pictures that are shown smaller than they are, in 24ths: eighths, as the JPEG decoder scales, and what tiles of a
/// grid of two, three or four in a row need.
const USEFUL_SIZES: [u32; 10] = [3, 4, 6, 8, 9, 12, 15, 16, 18, 21];

/// A picture of so many hundredths of the pixels asked for is enough: nobody sees that it is scaled by so little.
const NEAR: u64 = 92;

/// How pictures are to be encoded.
pub struct Config {
    /// JPEG quality where the path allows it, 1 to 100.
    pub quality: u8,
    /// What the session was told of them.
    pub format: Format,
    /// Nothing may be skipped.
    pub film: bool,
    /// No wider than this.
    pub width: Option<u32>,
    /// This process's clock.
    pub epoch: Epoch,
    /// Only what changed is sent, where that is less.
    pub replenish: bool,
}

pub struct Encoder {
    threads: encoder::EncoderThreads,
    commands: Commands<Command>,
    buffers: BufferPool,
    epoch: Epoch,
    steps: Mutex<Steps>,
    /// What says what changed, where only that is sent.
    replenisher: Option<Mutex<Replenisher>>,
    /// What receivers lack.
    owed: Mutex<Owed>,
    film: bool,
    /// A sink of this process has use for every picture.
    seen_here: bool,
    width: Option<u32>,
    next: AtomicU64,
    announced: Mutex<Format>,
    held: Mutex<bool>,
    released: Condvar,
    encode_us: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    /// The last failure.
    why_failed: Mutex<Option<String>>,
    passed: AtomicU64,
    coded_permille: AtomicU64,
    left_out: AtomicU64,
    /// The user lets no sound, no pictures pass.
    silent: [AtomicBool; 2],
}

impl Encoder {
    /// Its threads wait for work. `sink` is given each slice as it is sent.
    pub fn new(config: Config, commands: Commands<Command>, sink: Option<Box<dyn EncodedSink>>) -> Result<Self, Error> {
        let Config { quality, format, film, width, epoch, replenish } = config;
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
        let seen_here = sink.is_some();
        let (slices, sink) = (commands.clone(), sink.map(Mutex::new));
        let on_slice = move |slice: Slice| {
            // All of it again is for others.
            let owed = slice.head().owed;
            if let Some(sink) = sink.as_ref().filter(|_| slice.index < owed) {
                let mut ours = slice.clone();
                ours.count = slice.count.min(owed);
                lock(sink).slice(&ours, Instant::now());
            }
            slices.command(Command::Slice(slice));
        };
        let ladder = Ladder::new(quality, film, format.rate.map_or(Duration::ZERO, Rate::period));
        Ok(Encoder {
            threads: encoder::EncoderThreads::new(workers, on_slice)?,
            commands,
            buffers: BufferPool::new(),
            epoch,
            steps: Mutex::new(Steps { ladder, target: None, want: Want::ALL, last: None, turn: 0 }),
            replenisher: (replenish && !film).then(Mutex::default),
            owed: Mutex::new(Owed::Nothing),
            film,
            seen_here,
            width,
            next: AtomicU64::new(0),
            announced: Mutex::new(format),
            held: Mutex::new(false),
            released: Condvar::new(),
            encode_us: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            why_failed: Mutex::default(),
            passed: AtomicU64::new(0),
            coded_permille: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            silent: [const { AtomicBool::new(false) }; 2],
        })
    }

    /// Encodes one picture and hands its slices on as they are ready. Waits while the session holds a film back.
    pub fn encode(&self, picture: Picture) {
        let mut held = lock(&self.held);
        while *held {
            held = wait(&self.released, held);
        }
        drop(held);
        if self.silent[1].load(Ordering::Relaxed) {
            return;
        }
        let (begun, position) = (Instant::now(), picture.position);
        let mut steps = lock(&self.steps);
        let (wanted, whole) = (self.wanted(&picture, steps.want), steps.want.whole);
        let step = steps.next(&picture, wanted, (self.film, self.seen_here));
        drop(steps);
        let Some(step) = step else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let picture = match self.fit(picture, wanted, step) {
            Ok(picture) => picture,
            Err(error) => return self.lost(&error),
        };
        self.announce(picture.size);
        let capture = self.epoch.media_time(picture.captured);
        let number = self.next.load(Ordering::Relaxed);
        let mut replenisher = self.replenisher.as_ref().map(lock);
        let Plan { coded, step, by_share } = self.plan(replenisher.as_deref_mut(), &picture, step, whole);
        let settings = Settings { quality: step.quality, position };
        match self.threads.encode(number, picture, capture, settings, coded) {
            Ok(encoded) => {
                // Only what was encoded has a number: the session wants no gaps.
                self.next.store(number + 1, Ordering::Relaxed);
                self.bytes.fetch_add(encoded.bytes as u64, Ordering::Relaxed);
                self.passed.fetch_add(u64::from(encoded.passed_through), Ordering::Relaxed);
                self.encode_us.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
                let ladder = &mut lock(&self.steps).ladder;
                match by_share {
                    _ if encoded.passed_through => {}
                    false => ladder.note_encoded(step, encoded.bytes),
                    true => ladder.note_part(step, encoded.share, encoded.shared_bytes),
                }
                self.coded_permille.fetch_add((encoded.share * 1000.0) as u64, Ordering::Relaxed);
            }
            Err(error) => {
                if matches!(error, Error::Torn(_)) {
                    // Some of it is sent.
                    self.next.store(number + 1, Ordering::Relaxed);
                }
                // What is taken for sent was not.
                replenisher.iter_mut().for_each(|replenisher| replenisher.forget());
                self.lost(&error);
            }
        }
    }

    /// What of a picture is coded, and at which quality: what changed and what is owed, unless everybody wants it `whole`.
    fn plan<'a>(&self, replenisher: Option<&'a mut Replenisher>, picture: &Picture, step: Step, whole: Whole) -> Plan<'a> {
        let all = Plan { coded: Coded::All, step, by_share: false };
        let Some(replenisher) = replenisher else { return all };
        let Body::Planes(sampling, planes) = &picture.body else {
            replenisher.forget();
            return all;
        };
        if whole == Whole::Everybody {
            replenisher.forget();
            return all;
        }
        let owed = lock(&self.owed).clone();
        let parts = replenisher.look(planes, (*sampling, picture.size), &owed, picture.captured);
        let ladder = &lock(&self.steps).ladder;
        let quality = |share| ladder.quality_of(step, share);
        let share = |set: &McuSet| set.len() as f64 / set.of().max(1) as f64;
        let (coded, changed) = match parts {
            None => (Coded::All, 1.0),
            // What is owed takes nothing from those who are not sent it.
            Some((changed, owed)) => {
                let owed_quality = quality(share(changed) + share(owed));
                let whole = (whole == Whole::Somebody).then(|| ladder.quality_beside(step, share(changed)));
                (Coded::Some { changed, owed, owed_quality, whole }, share(changed))
            }
        };
        Plan { coded, step: Step { quality: quality(changed), ..step }, by_share: true }
    }

    /// The size that the user and those who see it want, where the path takes it.
    fn wanted(&self, picture: &Picture, want: Want) -> Size {
        let seen = picture.seen();
        let wanted = self.width.map_or(seen, |width| seen.at_width(width));
        if self.film { wanted } else { useful(wanted, want.pixels) }
    }

    /// The picture upright, with square pixels, of the `wanted` size or what the path takes of it; a camera's JPEG that may not
    /// go as it is becomes planes.
    fn fit(&self, picture: Picture, wanted: Size, step: Step) -> Result<Picture, Error> {
        let size = match step.eighths {
            8 => wanted,
            eighths => wanted.at_width(even(wanted.width * u32::from(eighths) / 8)),
        };
        let anew = picture.view != View::PLAIN || (matches!(picture.body, Body::Jpeg(_)) && !step.as_it_is);
        if size == picture.size && !anew { Ok(picture) } else { scale::to_size(picture, size, &self.buffers) }
    }

    /// What the best receiver's path takes for pictures.
    pub fn set_target(&self, target: Option<Bitrate>) {
        lock(&self.steps).target = target;
    }

    /// The most that anybody has use for: pictures are made no larger than they are shown, and none where none are.
    pub fn set_wanted(&self, want: Want) {
        let none = Want { pictures: false, ..Want::ALL };
        lock(&self.steps).want = if want.pictures { want } else { none };
    }

    /// What receivers lack: it is sent again.
    pub fn set_owed(&self, owed: Owed) {
        *lock(&self.owed) = owed;
    }

    /// Why there is nothing to see, where pictures came and none of them could be used.
    pub fn useless(&self) -> Option<String> {
        let why = lock(&self.why_failed).clone()?;
        let failed = self.failed.load(Ordering::Relaxed);
        (self.next.load(Ordering::Relaxed) == 0).then(|| format!("not one of {failed} pictures could be used: {why}"))
    }

    fn lost(&self, error: &dyn std::error::Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *lock(&self.why_failed) = Some(error.to_string());
        tracing::debug!("a picture was left out: {error}");
    }

    /// The rate that a stream says of itself; what the user says of it stands.
    pub fn set_rate(&self, rate: Rate) {
        let mut announced = lock(&self.announced);
        if announced.rate.is_none() {
            announced.rate = Some(rate);
            self.commands.command(Command::Format(*announced));
        }
    }

    /// Tells the session when the size is another than it was told.
    fn announce(&self, size: Size) {
        let mut announced = lock(&self.announced);
        if announced.size != Some(size) {
            announced.size = Some(size);
            self.commands.command(Command::Format(*announced));
        }
    }

    /// Hands a block of sound to the session.
    pub fn send_sound(&self, block: Block<Instant>) {
        if self.silent[0].load(Ordering::Relaxed) {
            return;
        }
        let capture = self.epoch.media_time(block.capture);
        self.commands.command(Command::Sound(block.at(capture)));
    }

    /// Lets no sound (`muted`), no pictures (`closed`) pass.
    pub fn silence(&self, muted: bool, closed: bool) {
        self.silent[0].store(muted, Ordering::Relaxed);
        self.silent[1].store(closed, Ordering::Relaxed);
    }

    /// A film's pictures wait (`true`) or go on.
    pub fn hold(&self, on: bool) {
        *lock(&self.held) = on;
        self.released.notify_all();
    }

    /// At the end: what is not encoded yet is left out, and nobody waits.
    pub fn stop(&self) {
        self.threads.stop();
        self.hold(false);
    }

    /// What it did since the start.
    pub fn counters(&self) -> EncoderCounts {
        EncoderCounts {
            encode_us: self.encode_us.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            passed_through: self.passed.load(Ordering::Relaxed),
            left_out: self.left_out.load(Ordering::Relaxed),
            coded: self.coded_permille.load(Ordering::Relaxed) as f64 / 1000.0,
        }
    }
}

/// How a picture is coded.
struct Plan<'a> {
    coded: Coded<'a>,
    step: Step,
    /// Its quality follows how much of it is coded.
    by_share: bool,
}

/// The smallest size that shows all anybody has use for, which is so many `pixels` (0: all there are), in steps of the side: one
/// that follows every turn of a window would be another picture each time.
fn useful(size: Size, pixels: u32) -> Size {
    let all = u64::from(size.width) * u64::from(size.height);
    let enough = |parts: &&u32| all * u64::from(**parts * **parts) / 576 * 100 >= u64::from(pixels) * NEAR;
    match USEFUL_SIZES.iter().find(enough) {
        Some(parts) if pixels > 0 => size.at_width(even(size.width * parts / 24)),
        _ => size,
    }
}

/// The next even width, and no picture is without any.
fn even(width: u32) -> u32 {
    width.max(1).next_multiple_of(2)
}

/// How each picture is to be encoded, one after the other.
struct Steps {
    ladder: Ladder,
    /// What the best receiver's path takes.
    target: Option<Bitrate>,
    /// What anybody has use for.
    want: Want,
    /// When the last picture was caught.
    last: Option<Instant>,
    turn: u32,
}

impl Steps {
    /// For the next picture, which is to be of the `wanted` size; `None` where it is to be left out. Who is `seen_here` has use
    /// for pictures where no receiver has.
    fn next(&mut self, picture: &Picture, wanted: Size, (film, seen_here): (bool, bool)) -> Option<Step> {
        if let Some(last) = self.last.replace(picture.captured) {
            self.ladder.note_period(picture.captured.saturating_duration_since(last));
        }
        if let (Body::Jpeg(jpeg), View::PLAIN) = (&picture.body, picture.view) {
            self.ladder.note_foreign(jpeg.len(), u64::from(picture.size.width) * u64::from(picture.size.height));
        }
        self.ladder.set_pixels(u64::from(wanted.width) * u64::from(wanted.height));
        let rate = Some(self.want.rate).filter(|rate| *rate > 0 && !film).map(Bitrate);
        self.ladder.set_target(self.target.into_iter().chain(rate).min());
        let step = self.ladder.step();
        self.turn = self.turn.wrapping_add(1);
        let sent = (self.want.pictures || seen_here) && self.turn.is_multiple_of(step.every);
        (film || sent).then_some(step)
    }
}

/// What the encoder did since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct EncoderCounts {
    /// Time spent, µs.
    pub encode_us: u64,
    /// Bytes of slices.
    pub bytes: u64,
    /// Pictures left out because they could not be encoded.
    pub failed: u64,
    /// Pictures passed through as the camera made them.
    pub passed_through: u64,
    /// Pictures left out because the path does not take them.
    pub left_out: u64,
    /// Of all pictures' MCUs those that were coded, in pictures.
    pub coded: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_made_as_small_as_a_grid_shows_it() {
        let whole = Size { width: 1280, height: 720 };
        let made = |width: u32, height: u32| useful(whole, width * height).to_string();
        // Tiles of two, three and four in a row of a window of its size; of five, and of a row in a window a little larger.
        let tiles = [(638, 358), (424, 238), (316, 177), (252, 141), (430, 241)];
        assert_eq!(tiles.map(|(width, height)| made(width, height)), ["640x360", "426x240", "320x180", "320x180", "426x240"]);
        assert_eq!([made(0, 0), made(1280, 720), made(4000, 3000), made(1, 1)], ["1280x720", "1280x720", "1280x720", "160x90"]);
        let tiny = useful(Size { width: 6, height: 600 }, 1);
        assert!(tiny.width == 2 && tiny.is_possible(), "{tiny}");
    }
}
