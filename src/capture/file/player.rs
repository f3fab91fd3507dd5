//! Plays a film: runs the child of each pass, or plays again what was kept of the first, and gives out what is due.

mod giving;
#[cfg(test)]
mod tests;

use std::process::{Child, ChildStderr, ChildStdout, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::warn;

use super::clock::Clock;
use super::feed::{self, Feed};
use super::kept::Kept;
use super::matroska::{Packets, Stream};
use super::places::Places;
use super::stderr::Stderr;
use super::timeline::{Pictures, Sounds};
use super::{Error, Playback, command, probe, stderr};
use crate::capture::y4m::jpegs::MAX_PICTURE;
use crate::slot::Slot;
use crate::threads::lock;
use eyeline_proto::picture::{BufferPool, Picture, Sampling};
use eyeline_proto::sound::Block;

/// A pipe large enough that ffmpeg is not woken for every page of a picture; what an unprivileged process may ask for.
const PIPE: i32 = 1 << 20;

/// Bytes of a JPEG that is taken as it is.
const MOST_JPEG: usize = MAX_PICTURE;

/// How long after the first packet the film begins: decoders start unevenly, and a film that stands still in its first moment looks broken.
const PREROLL: Duration = Duration::from_millis(200);

/// A still is given again no sooner than this, however many begin to watch.
const STILL_LEAST: Duration = Duration::from_millis(100);

/// So much of a film is left to be seen of whatever place it goes to.
const LAST: Duration = Duration::from_secs(1);

/// A block of sound.
const BLOCK: Duration = Duration::from_millis(10);

/// What the threads of one film share.
pub struct Player {
    playback: Playback,
    clock: Clock,
    feed: Feed,
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block<Instant>>>,
    child: Mutex<Option<Child>>,
    failure: Mutex<Option<Error>>,
    still: Mutex<Still>,
    still_changed: Condvar,
    places: Mutex<Places>,
    /// Locked while it jumps: its reader does not end meanwhile.
    onward: Mutex<Onward>,
}

/// What its reader does once all it read was given out, or is past.
#[derive(Default)]
enum Onward {
    /// It ends.
    #[default]
    End,
    /// It goes on there.
    Jump(Jump),
    /// It has ended, and goes nowhere any more.
    Ended,
}

/// The film goes on at another place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jump {
    era: u64,
    /// What was given out until then is of another place, and nothing later is.
    pub at: Option<Instant>,
    /// The film's clock from there on.
    pub played: Duration,
    pub place: Duration,
}

/// What is asked of a still.
#[derive(Default)]
struct Still {
    again: bool,
    stopped: bool,
}

/// One pass on its way through the timelines.
struct Pass<'a> {
    era: u64,
    /// Of the film's clock.
    begin: Duration,
    /// Of the film.
    place: Duration,
    pictures: Pictures,
    sounds: &'a mut Sounds,
    sound_began: bool,
    pool: &'a BufferPool,
    /// Of a raw picture; of a JPEG at most.
    picture_bytes: usize,
}

/// Why a packet was not taken.
enum Refused {
    Stopped,
    Wrong(String),
}

impl From<feed::Stopped> for Refused {
    fn from(_: feed::Stopped) -> Self {
        Refused::Stopped
    }
}

/// A child's pipes: what it plays and what it says.
pub type Pipes = (ChildStdout, ChildStderr);

impl Player {
    /// Nothing runs yet.
    pub fn new(playback: Playback, pictures: Arc<Slot<Picture>>, sound: Arc<Slot<Block<Instant>>>) -> Self {
        let feed = Feed::new(playback.video.is_some(), playback.sound.is_some());
        Player {
            playback,
            clock: Clock::default(),
            feed,
            pictures,
            sound,
            child: Mutex::default(),
            failure: Mutex::default(),
            still: Mutex::default(),
            still_changed: Condvar::new(),
            places: Mutex::default(),
            onward: Mutex::default(),
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        lock(&self.child)
    }

    /// Why playing ended, if it failed.
    pub fn failed(&self) -> Option<Error> {
        lock(&self.failure).clone()
    }

    /// Waits for a child that nobody waited for: that of a film whose threads could not be started.
    pub fn reap(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.wait();
        }
    }

    fn kill(&self) {
        if let Some(child) = self.child().as_mut() {
            let _ = child.kill();
        }
    }

    /// Ends everything soon: closes both slots, kills the child, wakes the threads.
    pub fn stop(&self) {
        // In this order: a child started after the kill would have seen the clock stopped.
        self.clock.stop();
        self.feed.stop();
        lock(&self.still).stopped = true;
        self.still_changed.notify_all();
        self.close();
        self.kill();
    }

    /// Has a still given again soon.
    pub fn show_again(&self) {
        lock(&self.still).again = true;
        self.still_changed.notify_all();
    }

    /// The film stands still, or goes on; false where it cannot stand still, as all of it was given out.
    pub fn pause(&self, on: bool) -> bool {
        let onward = lock(&self.onward);
        // What stands still goes on whatever became of its reader.
        let heeded = !on || !matches!(*onward, Onward::Ended);
        if heeded {
            self.clock.pause(on);
        }
        heeded
    }

    /// Has the film go on at this place, after `tell` was told of it; not later than a moment before its end. Where all of it was
    /// given out nothing is told: what is under way of it is seen to its end.
    pub fn go_to(&self, place: Duration, tell: impl FnOnce(Jump)) {
        let mut onward = lock(&self.onward);
        if matches!(*onward, Onward::Ended) {
            return;
        }
        let last = self.playback.length.map_or(Duration::MAX, |length| length.saturating_sub(LAST));
        let (era, at, reached) = self.clock.go_elsewhere();
        let jump = Jump { era, at: Some(at), played: reached + self.period(), place: place.min(last) };
        lock(&self.places).jump(jump.played, jump.place);
        tell(jump);
        self.feed.flush(era);
        // Before its reader knows of the jump, and has started another.
        self.kill();
        *onward = Onward::Jump(jump);
    }

    /// How long a picture or a block lasts.
    fn period(&self) -> Duration {
        self.playback.video.as_ref().map_or(Duration::ZERO, |video| video.rate.period()).max(BLOCK)
    }

    /// How far sound is that no picture goes with; `None` where there are pictures, whose positions say it.
    pub fn heard(&self) -> Option<Duration> {
        self.playback.video.is_none().then(|| self.clock.reached())
    }

    /// The last time of the film's clock, up to this one, from which on it was where it is, and where that was.
    pub fn place(&self, played: Duration) -> (Duration, Duration) {
        lock(&self.places).at(played)
    }

    fn close(&self) {
        self.pictures.close();
        self.sound.close();
    }

    /// Starts ffmpeg for the first pass.
    pub fn start(&self) -> Result<Pipes, Error> {
        self.start_child(0, Duration::ZERO)
    }

    /// Starts ffmpeg for a pass from this place on.
    fn start_child(&self, era: u64, from: Duration) -> Result<Pipes, Error> {
        let mut slot = self.child();
        let mut command = command::play(&self.playback, from);
        let mut child = command.spawn().map_err(|error| probe::not_started("ffmpeg", &error))?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        if self.clock.is_past(era) {
            let _ = child.kill();
        }
        *slot = Some(child);
        let pipes = pipes.ok_or_else(|| Error::NotStarted { program: "ffmpeg", why: "it has no pipes".into() })?;
        let _ = nix::fcntl::fcntl(&pipes.0, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE));
        Ok(pipes)
    }

    /// The reader's whole life; it ends the givers' too.
    pub fn run(&self, first: Pipes, givers: Vec<JoinHandle<()>>) {
        let (mut jump, mut first) = (Jump::default(), Some(first));
        let outcome = loop {
            let played = self.play(&jump, first.take());
            match played {
                Ok(end) => {
                    // Of a place behind which there was nothing no packet has begun the era.
                    self.clock.begin(jump.era, Instant::now(), jump.played);
                    self.give_all(&jump, end);
                }
                // What came of a film that broke can be seen, too.
                Err(_) => self.give_all(&jump, self.feed.newest() + self.period()),
            }
            match self.next_jump() {
                Some(next) => jump = next,
                None if self.clock.stopped() => break Ok(()),
                None => break played.map(drop),
            }
        };
        self.feed.end();
        for giver in givers {
            let _ = giver.join();
        }
        if let Err(error) = outcome {
            *lock(&self.failure) = Some(error);
        }
        self.close();
    }

    /// Waits until all that was read was given out, and the last picture, or where there are none the last sound, was taken: until
    /// then it can go on elsewhere. Or until that is past.
    fn give_all(&self, jump: &Jump, end: Duration) {
        if !self.feed.is_drained(jump.era) {
            return;
        }
        // The last picture is shown as long as every other was.
        if self.clock.wait(Stream::Pictures, jump.era, end, true).is_some() {
            match self.playback.video {
                Some(_) => self.pictures.emptied(),
                None => self.sound.emptied(),
            }
        }
    }

    /// Where it goes on; `None` where it is over.
    fn next_jump(&self) -> Option<Jump> {
        let mut onward = lock(&self.onward);
        match std::mem::replace(&mut *onward, Onward::Ended) {
            Onward::Jump(jump) if !self.clock.stopped() => {
                *onward = Onward::End;
                Some(jump)
            }
            _ => None,
        }
    }

    /// Plays all passes of an era; says when the last one ends.
    fn play(&self, jump: &Jump, mut first: Option<Pipes>) -> Result<Duration, Error> {
        let pool = BufferPool::new();
        let mut sounds = Sounds::new(self.playback.sound.as_ref().map_or(1, |sound| sound.channels));
        let still = self.playback.video.as_ref().is_some_and(|video| video.still);
        let looped = self.playback.looped && !still;
        // The first pass that is a whole one is kept, if it can be.
        let (mut kept, mut tried) = (None::<Vec<_>>, !looped);
        let (mut end, mut place) = (jump.played, jump.place);
        loop {
            let pass = self.begin_pass((jump.era, end, place), &mut sounds, &pool);
            end = match (&kept, place.is_zero()) {
                (Some(packets), true) => self.again(packets, pass),
                _ => {
                    let pipes = first.take().map_or_else(|| self.start_child(jump.era, place), Ok)?;
                    let mut keeping = (!tried && place.is_zero()).then(Kept::default);
                    tried |= keeping.is_some();
                    let end = self.pass(pipes, pass, keeping.as_mut())?;
                    kept = kept.or(keeping.and_then(Kept::whole));
                    end
                }
            };
            if !looped || self.clock.is_past(jump.era) {
                break;
            }
            place = Duration::ZERO;
        }
        if let Some((time, samples)) = sounds.rest() {
            let _ = self.feed.push_sound(jump.era, time, samples);
        }
        Ok(end)
    }

    fn begin_pass<'a>(
        &self,
        (era, begin, place): (u64, Duration, Duration),
        sounds: &'a mut Sounds,
        pool: &'a BufferPool,
    ) -> Pass<'a> {
        let mut places = lock(&self.places);
        if !self.clock.is_past(era) {
            places.note(begin, place);
        }
        drop(places);
        let video = self.playback.video.as_ref();
        let pictures = Pictures::new(
            video.filter(|video| !video.variable).map(|video| video.rate),
            video.map_or(Duration::ZERO, |video| video.rate.period()),
        );
        let picture_bytes = match video {
            Some(video) if video.jpegs => MOST_JPEG,
            Some(video) => Sampling::Yuv420.bytes(video.size),
            None => 0,
        };
        Pass { era, begin, place, pictures, sounds, sound_began: false, pool, picture_bytes }
    }

    /// Reads one child to its end; says when both pictures and sound have ended.
    fn pass(&self, (stdout, said): Pipes, mut pass: Pass<'_>, kept: Option<&mut Kept>) -> Result<Duration, Error> {
        let listener = std::thread::Builder::new().name("film stderr".into()).spawn(move || stderr::listen(said));
        let outcome = self.read(stdout, &mut pass, kept);
        if outcome.is_err() || self.clock.is_past(pass.era) {
            self.kill();
        }
        // When the child has closed its stderr it is ending; then the wait is short.
        let words = listener.map_err(|error| Error::Thread(error.to_string()))?.join().unwrap_or_default();
        let status = self.child().take().map(|mut child| child.wait());
        let end = pass.end();
        if self.clock.is_past(pass.era) {
            return Ok(end);
        }
        // From a place near its end nothing may be left of it.
        self.judge(outcome, status, words, end > pass.begin || !pass.place.is_zero())?;
        Ok(end)
    }

    /// Plays what was kept once more; says when it ends.
    fn again(&self, packets: &[(Stream, Duration, Vec<u8>)], mut pass: Pass<'_>) -> Duration {
        for (stream, stamp, bytes) in packets {
            if self.feed_packet(&mut pass, *stream, *stamp, bytes).is_err() {
                break;
            }
        }
        pass.end()
    }

    fn judge(
        &self,
        outcome: Result<(), String>,
        status: Option<std::io::Result<ExitStatus>>,
        words: Stderr,
        played: bool,
    ) -> Result<(), Error> {
        let broken = |why| Error::Broken { path: self.playback.origin.name.clone(), why };
        let succeeded = matches!(&status, Some(Ok(status)) if status.success());
        match (outcome, words.last) {
            (Ok(()), None) if succeeded && played => Ok(()),
            (Ok(()), Some(last)) if succeeded && played => {
                let path = self.playback.origin.name.display();
                warn!("{path} is damaged and was played as far as it goes: ffmpeg says: {last} ({} lines)", words.lines);
                Ok(())
            }
            (_, Some(last)) => Err(broken(last)),
            (Err(why), None) => Err(broken(format!("nothing, but its stream broke: {why}"))),
            (Ok(()), None) if succeeded => Err(broken("nothing, and it found neither pictures nor sound".into())),
            (Ok(()), None) => Err(broken(match status {
                Some(Ok(status)) => format!("nothing, but it ended with {status}"),
                _ => "nothing, and how it ended is not known".into(),
            })),
        }
    }

    fn read(&self, stdout: ChildStdout, pass: &mut Pass<'_>, mut kept: Option<&mut Kept>) -> Result<(), String> {
        let mut packets = Packets::open(stdout, pass.picture_bytes).map_err(|error| error.to_string())?;
        while let Some((stream, stamp, bytes)) = packets.next().map_err(|error| error.to_string())? {
            self.clock.begin(pass.era, Instant::now() + PREROLL, pass.begin);
            if let Some(kept) = &mut kept {
                kept.push(stream, stamp, bytes);
            }
            match self.feed_packet(pass, stream, stamp, bytes) {
                Ok(()) => {}
                Err(Refused::Stopped) => break,
                Err(Refused::Wrong(why)) => return Err(why),
            }
        }
        Ok(())
    }

    fn feed_packet(&self, pass: &mut Pass<'_>, stream: Stream, stamp: Duration, bytes: &[u8]) -> Result<(), Refused> {
        let stamp = pass.begin + stamp;
        match stream {
            Stream::Pictures if bytes.len() == pass.picture_bytes || self.are_jpegs() => {
                let mut pixels = pass.pool.take(bytes.len());
                pixels.copy_from_slice(bytes);
                Ok(self.feed.push_picture(pass.era, pass.pictures.time(stamp), pixels)?)
            }
            Stream::Pictures => {
                Err(Refused::Wrong(format!("a picture of {} bytes where {} were due", bytes.len(), pass.picture_bytes)))
            }
            Stream::Sound => {
                // Only where a pass begins does a stamp place the sound; after that samples are counted.
                let place = (!std::mem::replace(&mut pass.sound_began, true)).then_some(stamp);
                Ok(self.feed_sound(pass.era, pass.sounds, place, bytes)?)
            }
        }
    }

    fn feed_sound(&self, era: u64, sounds: &mut Sounds, place: Option<Duration>, bytes: &[u8]) -> Result<(), feed::Stopped> {
        while let Some((time, silence)) = place.and_then(|place| sounds.begin_pass(place)) {
            self.feed.push_sound(era, time, silence)?;
        }
        sounds.append(bytes);
        while let Some((time, samples)) = sounds.pop() {
            self.feed.push_sound(era, time, samples)?;
        }
        Ok(())
    }
}

impl Pass<'_> {
    /// When both pictures and sound have ended.
    fn end(&self) -> Duration {
        self.pictures.end().max(self.sounds.end()).max(self.begin)
    }
}
