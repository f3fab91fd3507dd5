//! Plays a film: runs the child of each pass, reads it, and gives out what is due.

use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::warn;

use super::clock::Clock;
use super::feed::{self, Feed, Timed};
use super::matroska::{Packets, Stream};
use super::timeline::{Pictures, Sounds};
use super::words::Words;
use super::{Error, Plan, Sound, Video, probe, words};
use crate::picture::{Body, Picture, Pool, Sampling};
use crate::slot::Slot;
use crate::sound::{self, Block};

/// A pipe large enough that ffmpeg is not woken for every page of a picture; what an unprivileged process may ask for.
const PIPE: i32 = 1 << 20;

/// How long after the first packet the film begins: decoders start unevenly, and a film that stands still in its first moment looks broken.
const PREROLL: Duration = Duration::from_millis(200);

/// What the threads of one film share.
pub struct Player {
    plan: Plan,
    clock: Clock,
    feed: Feed,
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block>>,
    child: Mutex<Option<Child>>,
    failure: Mutex<Option<Error>>,
}

/// A child's pipes: what it plays and what it says.
pub type Pipes = (ChildStdout, ChildStderr);

impl Player {
    /// Nothing runs yet.
    pub fn new(plan: Plan, pictures: Arc<Slot<Picture>>, sound: Arc<Slot<Block>>) -> Self {
        let feed = Feed::new(plan.video.is_some(), plan.sound.is_some());
        Player { plan, clock: Clock::default(), feed, pictures, sound, child: Mutex::default(), failure: Mutex::default() }
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why playing ended, if it failed.
    pub fn failed(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        self.close();
        self.kill();
    }

    fn close(&self) {
        self.pictures.close();
        self.sound.close();
    }

    /// Starts ffmpeg for the next pass.
    pub fn start_child(&self) -> Result<Pipes, Error> {
        let mut slot = self.child();
        let mut command = play_command(&self.plan);
        let mut child = command.spawn().map_err(|error| probe::not_started("ffmpeg", &error))?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        if self.clock.stopped() {
            let _ = child.kill();
        }
        *slot = Some(child);
        let pipes = pipes.ok_or_else(|| Error::NotStarted { program: "ffmpeg", why: "it has no pipes".into() })?;
        let _ = nix::fcntl::fcntl(&pipes.0, nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE));
        Ok(pipes)
    }

    /// The reader's whole life; it ends the givers' too.
    pub fn run(&self, first: Pipes, givers: Vec<JoinHandle<()>>) {
        let played = self.play(first);
        self.feed.end();
        for giver in givers {
            let _ = giver.join();
        }
        match played {
            // The last picture is shown as long as every other was.
            Ok(end) => drop(self.clock.wait(Stream::Pictures, end, true)),
            Err(error) => *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
        }
        self.close();
    }

    /// Plays all passes; says when the last one ends.
    fn play(&self, first: Pipes) -> Result<Duration, Error> {
        let pool = Pool::new();
        let mut sounds = Sounds::new(self.plan.sound.as_ref().map_or(1, |sound| sound.channels));
        let mut pipes = first;
        let mut begin = Duration::ZERO;
        loop {
            let end = self.pass(pipes, begin, &pool, &mut sounds)?;
            if !self.plan.looped || self.clock.stopped() {
                if let Some((time, samples)) = sounds.rest() {
                    let _ = self.feed.push_sound(time, samples);
                }
                return Ok(end);
            }
            begin = end;
            pipes = self.start_child()?;
        }
    }

    /// Reads one child to its end; says when both pictures and sound have ended.
    fn pass(&self, (stdout, stderr): Pipes, begin: Duration, pool: &Pool, sounds: &mut Sounds) -> Result<Duration, Error> {
        let listener = std::thread::Builder::new().name("film words".into()).spawn(move || words::listen(stderr));
        let video = self.plan.video.as_ref();
        let rate = video.map(|video| video.rate);
        let mut pictures = Pictures::new(
            video.filter(|video| !video.variable).map(|video| video.rate),
            rate.map_or(Duration::ZERO, |rate| rate.period()),
        );
        let outcome = self.read(stdout, begin, pool, &mut pictures, sounds);
        if outcome.is_err() || self.clock.stopped() {
            self.kill();
        }
        // When the child has closed its stderr it is ending; then the wait is short.
        let words = listener.map_err(|error| Error::Thread(error.to_string()))?.join().unwrap_or_default();
        let status = self.child().take().map(|mut child| child.wait());
        let end = pictures.end().max(sounds.end());
        if self.clock.stopped() {
            return Ok(end);
        }
        self.judge(outcome, status, words, end > begin)?;
        Ok(end)
    }

    fn judge(
        &self,
        outcome: Result<(), String>,
        status: Option<std::io::Result<ExitStatus>>,
        words: Words,
        played: bool,
    ) -> Result<(), Error> {
        let broken = |why| Error::Broken { path: self.plan.path.clone(), why };
        let succeeded = matches!(&status, Some(Ok(status)) if status.success());
        match (outcome, words.last) {
            (Ok(()), None) if succeeded && played => Ok(()),
            (Ok(()), Some(last)) if succeeded && played => {
                let path = self.plan.path.display();
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

    fn read(
        &self,
        stdout: ChildStdout,
        begin: Duration,
        pool: &Pool,
        pictures: &mut Pictures,
        sounds: &mut Sounds,
    ) -> Result<(), String> {
        let size = self.plan.video.as_ref().map(|video| video.size);
        let picture_bytes = size.map_or(0, |size| Sampling::Yuv420.bytes(size));
        let mut packets = Packets::open(stdout, picture_bytes).map_err(|error| error.to_string())?;
        let mut sound_began = false;
        while let Some((stream, stamp, bytes)) = packets.next().map_err(|error| error.to_string())? {
            self.clock.begin(Instant::now() + PREROLL);
            let stamp = begin + stamp;
            let pushed = match stream {
                Stream::Pictures if bytes.len() == picture_bytes => {
                    let mut pixels = pool.take(bytes.len());
                    pixels.copy_from_slice(bytes);
                    self.feed.push_picture(pictures.time(stamp), pixels)
                }
                Stream::Pictures => return Err(format!("a picture of {} bytes where {picture_bytes} were due", bytes.len())),
                Stream::Sound => {
                    // Only where a pass begins does a stamp place the sound; after that samples are counted.
                    let place = (!std::mem::replace(&mut sound_began, true)).then_some(stamp);
                    self.feed_sound(sounds, place, bytes)
                }
            };
            if pushed.is_err() {
                break;
            }
        }
        Ok(())
    }

    fn feed_sound(&self, sounds: &mut Sounds, place: Option<Duration>, bytes: &[u8]) -> Result<(), feed::Stopped> {
        while let Some((time, silence)) = place.and_then(|place| sounds.begin_pass(place)) {
            self.feed.push_sound(time, silence)?;
        }
        sounds.append(bytes);
        while let Some((time, samples)) = sounds.pop() {
            self.feed.push_sound(time, samples)?;
        }
        Ok(())
    }

    /// Gives each picture out when its time has come.
    pub fn give_pictures(&self) {
        let Some(size) = self.plan.video.as_ref().map(|video| video.size) else { return };
        while let Some(Timed { time, stray, data }) = self.feed.pop_picture() {
            let Some(captured) = self.clock.wait(Stream::Pictures, time, !stray) else { return };
            let picture = Picture::new(captured, size, Body::Planes(Sampling::Yuv420, data));
            let picture = Picture { position: Some(time), ..picture };
            if self.clock.pushing(Stream::Pictures, || self.pictures.push(picture)).is_err() {
                return self.stop();
            }
        }
    }

    /// Gives each block out when its time has come.
    pub fn give_sound(&self) {
        let channels = self.plan.sound.as_ref().map_or(1, |sound| sound.channels);
        while let Some(Timed { time, stray, data }) = self.feed.pop_sound() {
            let Some(captured) = self.clock.wait(Stream::Sound, time, !stray) else { return };
            let block = Block { captured, channels, samples: data };
            if self.clock.pushing(Stream::Sound, || self.sound.push(block)).is_err() {
                return self.stop();
            }
        }
    }
}

/// The one ffmpeg command a pass is played by.
fn play_command(plan: &Plan) -> Command {
    let mut command = probe::tool("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-v", "error"]);
    probe::input_arguments(&mut command, &plan.path);
    if let Some(Video { index, size, .. }) = &plan.video {
        let filter = format!(
            "scale={}:{}:flags=bicubic+accurate_rnd:out_range=full:out_color_matrix=bt601,format=yuvj420p",
            size.width, size.height
        );
        command.args(["-map", &format!("0:{index}"), "-c:v", "rawvideo", "-vf", &filter]);
        // Without a time base of its own the encoder rounds every stamp to a multiple of the nominal period.
        command.args(["-fps_mode", "passthrough", "-enc_time_base", "1:90000"]);
    }
    if let Some(Sound { index, channels }) = &plan.sound {
        // `async=1` fills holes in the stamps with silence, so that counting samples and reading stamps come to the same.
        let filter = format!("aresample={}:async=1", sound::RATE);
        command.args(["-map", &format!("0:{index}"), "-c:a", "pcm_s16le", "-af", &filter, "-ac", &channels.to_string()]);
    }
    // Metadata would make the head long. A stream that has ended must not make the muxer hoard the other for ten seconds, its default.
    command.args(["-map_metadata", "-1", "-map_chapters", "-1", "-max_interleave_delta", "500000"]);
    command.args(["-f", "matroska", "-live", "1", "pipe:1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C is for us: a child that dies of it would look like a broken film.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}
