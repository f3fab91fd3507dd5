//! What `ffmpeg` reads from an address (`rtsp://…`, `http://…`): live, the newest wins, or a film that lies there.
//!
//! One connection is made and kept, for many a source serves only one: nothing is asked of `ffprobe` first. Which of both it is,
//! is told by the length that `ffmpeg` says on opening. A film that lies on a server is then opened as any other.
//!
//! Live pictures go through the filters of a film, each fitted into the shape that they have at first (`opening.rs`), and out as
//! they come, each with the time at which it was caught (`media::arrival`).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use super::matroska::{Packets, Stream};
use super::opening::{self, Opening, Question};
use super::silence::{Awaited, OVER, OVER_RTP, Silence, given_up};
use super::timeline::Sounds;
use super::{Error, Options, command, is_address, probe};
use crate::slot::{Closed, Slot};
use crate::threads::lock;
use eyeline_proto::media::arrival::{Base, Caught};
use eyeline_proto::picture::{Body, BufferPool, MAX_SIDE, Picture, Sampling, Size};
use eyeline_proto::sound::Block;

/// What an address turned out to be.
pub enum Opened {
    /// A live source, connected.
    Live(Box<Connection>),
    /// A film: to be played as one.
    Film,
}

/// A live source whose first data have come.
pub struct Connection {
    name: PathBuf,
    child: Arc<Mutex<Child>>,
    packets: Packets<Awaited<ChildStdout>>,
    words: JoinHandle<Option<String>>,
    silence: Silence,
    /// Whether its stamps are counted, not read from a clock.
    counted: bool,
    /// The pictures' size, if it has pictures.
    pub size: Option<Size>,
    /// Pictures a second, where the source says so.
    pub rate: Option<f64>,
    /// The sound's channels; 0 where there is none.
    pub channels: u8,
}

/// Ends what reads from an address, from another thread: while it connects, and later.
#[derive(Clone, Default)]
pub struct Leash(Arc<Mutex<Held>>);

#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Child(Arc<Mutex<Child>>),
    Cut,
}

impl Leash {
    /// What it holds is ended, and so is what it would hold later.
    pub fn cut(&self) {
        if let Held::Child(child) = std::mem::replace(&mut *lock(&self.0), Held::Cut) {
            let _ = lock(&child).kill();
        }
    }

    pub fn is_cut(&self) -> bool {
        matches!(*lock(&self.0), Held::Cut)
    }

    fn hold(&self, child: &Arc<Mutex<Child>>) {
        let mut held = lock(&self.0);
        match *held {
            Held::Cut => drop(lock(child).kill()),
            _ => *held = Held::Child(child.clone()),
        }
    }
}

/// Connects, and waits for the first pictures and sound, for as long as a source may be silent, or until the leash is cut.
pub fn connect(address: &Path, options: &Options, leash: &Leash) -> Result<Opened, Error> {
    let Begun { child, stdout, words, open, first } = open(address, options, leash)?;
    // Servers of live streams pace them; of a film on a web server nobody does.
    if first.has_length && is_web(address) {
        let _ = over(&child, words);
        return Ok(Opened::Film);
    }
    let failed = |words, why: &str| Err(failed(address, over(&child, words), why));
    let largest = Sampling::Yuv420.bytes(Size { width: MAX_SIDE, height: MAX_SIDE });
    let silence = Silence::new(if is_address(address.as_os_str()) { OVER } else { OVER_RTP });
    let packets = match Packets::open(Awaited::new(stdout, shown(address), silence.clone()), largest) {
        Ok(packets) => packets,
        Err(_) => return failed(words, &silence.why().unwrap_or_else(|| "nothing came from it".into())),
    };
    let channels = packets.channels().unwrap_or(0).min(2) as u8;
    let narrow = |side: u64| u32::try_from(side).unwrap_or(u32::MAX);
    let size = match packets.size().map(|(width, height)| Size { width: narrow(width), height: narrow(height) }) {
        Some(size) if size.is_possible() => Some(size),
        Some(_) => return failed(words, "its pictures are larger than 8192x8192"),
        None => None,
    };
    // Where pictures come, ffmpeg has asked how to filter them, and has said before that what they are.
    let Opening { counted, pictures, .. } = open.try_iter().last().unwrap_or(first);
    let rate = pictures.filter(|_| !counted).and_then(|pictures| pictures.rate);
    let name = address.into();
    Ok(Opened::Live(Box::new(Connection { name, child, packets, words, silence, counted, size, rate, channels })))
}

/// A child that has opened its input.
struct Begun {
    child: Arc<Mutex<Child>>,
    stdout: ChildStdout,
    words: JoinHandle<Option<String>>,
    /// What it says of it from then on.
    open: Receiver<Opening>,
    first: Opening,
}

/// Starts ffmpeg in the way that this one understands, and waits until it has opened its input.
fn open(address: &Path, options: &Options, leash: &Leash) -> Result<Begun, Error> {
    let [usual, newer] = command::FILTER_FROM_STDIN;
    match begin(address, options, leash, usual) {
        // It says so before it connects.
        Err(Error::Address { why, .. }) if why.contains("Unrecognized option") => begin(address, options, leash, newer),
        begun => begun,
    }
}

fn begin(address: &Path, options: &Options, leash: &Leash, filter: &str) -> Result<Begun, Error> {
    let not_started = |error| probe::not_started("ffmpeg", &error);
    let (question, stdin) = Question::new().map_err(not_started)?;
    let mut command = command::live(address, options, filter);
    let mut child = command.stdin(stdin).spawn().map_err(not_started)?;
    // Else we would hold the child's end of the question ourselves.
    drop(command);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        end(&mut child);
        return Err(failed(address, None, "ffmpeg has no pipes"));
    };
    let child = Arc::new(Mutex::new(child));
    leash.hold(&child);
    let (opened, open) = mpsc::channel();
    let words = std::thread::Builder::new().name("film stderr".into()).spawn(move || opening::listen(stderr, question, &opened));
    let words = words.map_err(|error| {
        end(&mut lock(&child));
        Error::Thread(error.to_string())
    })?;
    match open.recv_timeout(OVER) {
        Ok(first) => Ok(Begun { child, stdout, words, open, first }),
        Err(RecvTimeoutError::Disconnected) => Err(failed(address, over(&child, words), "ffmpeg cannot open it")),
        Err(RecvTimeoutError::Timeout) => Err(failed(address, over(&child, words), &given_up(OVER))),
    }
}

/// Ends a child; gives what it said was wrong.
fn over(child: &Mutex<Child>, words: JoinHandle<Option<String>>) -> Option<String> {
    end(&mut lock(child));
    words.join().ok().flatten()
}

fn failed(address: &Path, said: Option<String>, why: &str) -> Error {
    Error::Address { address: address.into(), why: said.map_or_else(|| why.to_owned(), |said| quoted(&said, address)) }
}

/// An address as it may stand in a log: without the name and the password that many a camera wants in it.
pub fn shown(address: &Path) -> String {
    let text = address.display().to_string();
    let Some((scheme, rest)) = text.split_once("://") else { return text };
    let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..host_ends].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => text,
    }
}

/// What ffmpeg says of an address, which it likes to repeat.
fn quoted(said: &str, address: &Path) -> String {
    format!("ffmpeg says: {}", said.replace(&address.display().to_string(), &shown(address)))
}

fn is_web(address: &Path) -> bool {
    let scheme = address.to_str().and_then(|text| text.split_once("://")).map_or("", |(scheme, _)| scheme);
    ["http", "https", "ftp", "sftp"].iter().any(|web| scheme.eq_ignore_ascii_case(web))
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A live source at work. Dropping it ends its child and its thread, and closes both slots.
pub struct Address {
    child: Arc<Mutex<Child>>,
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block<Instant>>>,
    failure: Arc<Mutex<Option<Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl Address {
    /// Gives out what comes. Slots should be [`Slot::newest`] and [`Slot::dropping`]; both are closed at the end.
    pub fn open(
        connection: Connection,
        pictures: Arc<Slot<Picture>>,
        sound: Arc<Slot<Block<Instant>>>,
    ) -> Result<Address, Error> {
        let Connection { name, child, mut packets, words, silence, counted, size, channels, .. } = connection;
        let failure = Arc::new(Mutex::new(None));
        let mut address = Address {
            child: child.clone(),
            pictures: pictures.clone(),
            sound: sound.clone(),
            failure: failure.clone(),
            thread: None,
        };
        let run = move || {
            let ended = give(&mut packets, Base::new(counted), size, channels, &pictures, &sound);
            let _ = lock(&child).kill();
            let said = words.join().ok().flatten();
            let _ = lock(&child).wait();
            let why = match (ended, said) {
                (Ended::Over { .. }, _) if silence.why().is_some() => silence.why(),
                (Ended::Told | Ended::Over { given: true }, _) => None,
                (Ended::Broken(why), _) => Some(why),
                (Ended::Over { given: false }, Some(said)) => Some(quoted(&said, &name)),
                (Ended::Over { given: false }, None) => Some("nothing came from it".into()),
            };
            *lock(&failure) = why.map(|why| Error::Address { address: name, why });
            pictures.close();
            sound.close();
        };
        let thread = std::thread::Builder::new().name("film reader".into()).spawn(run);
        address.thread = Some(thread.map_err(|error| Error::Thread(error.to_string()))?);
        Ok(address)
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            crate::threads::join(thread);
        }
    }

    /// Why it ended, if neither at its end nor because it was told to.
    pub fn failed(&self) -> Option<Error> {
        lock(&self.failure).clone()
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.pictures.close();
        self.sound.close();
        let _ = lock(&self.child).kill();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

enum Ended {
    Told,
    Over { given: bool },
    Broken(String),
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Ended::Told
    }
}

fn give(
    packets: &mut Packets<impl Read>,
    base: Base,
    size: Option<Size>,
    channels: u8,
    pictures: &Slot<Picture>,
    sound: &Slot<Block<Instant>>,
) -> Ended {
    let mut given = false;
    match give_all(packets, base, size, channels, pictures, sound, &mut given) {
        Ok(()) => Ended::Over { given },
        Err(ended) => ended,
    }
}

fn give_all(
    packets: &mut Packets<impl Read>,
    mut base: Base,
    size: Option<Size>,
    channels: u8,
    pictures: &Slot<Picture>,
    sound: &Slot<Block<Instant>>,
    given: &mut bool,
) -> Result<(), Ended> {
    let (pool, mut seen, mut heard) = (BufferPool::new(), Caught::default(), Caught::default());
    let mut sounds = Sounds::new(channels.max(1));
    let mut sound_began = false;
    // A stream that breaks off is at its end: that is how live ones end.
    while let Ok(Some((stream, stamp, bytes))) = packets.next() {
        let now = Instant::now();
        let start = base.arrived(stamp, now);
        match (stream, size) {
            (Stream::Pictures, Some(size)) if bytes.len() == Sampling::Yuv420.bytes(size) => {
                let mut planes = pool.take(bytes.len());
                planes.copy_from_slice(bytes);
                let caught = seen.at(start, stamp, now);
                pictures.push(Picture::new(caught, size, Body::Planes(Sampling::Yuv420, planes)))?;
            }
            (Stream::Pictures, _) => return Err(Ended::Broken("the size of its pictures has changed: start send again".into())),
            (Stream::Sound, _) => {
                let place = (!std::mem::replace(&mut sound_began, true)).then_some(stamp);
                while let Some((_, silence)) = place.and_then(|place| sounds.begin_pass(place)) {
                    drop(silence);
                }
                sounds.append(bytes);
                while let Some((time, samples)) = sounds.pop() {
                    sound.push(Block { capture: heard.at(start, time, now), channels, samples })?;
                }
            }
        }
        *given = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_an_address_is_not_shown() {
        let shown = |address: &str| shown(Path::new(address));
        assert_eq!(shown("rtsp://admin:p%2F@ss@door:554/a@b"), "rtsp://door:554/a@b");
        assert_eq!(shown("http://door?user=a@b"), "http://door?user=a@b");
        assert_eq!(quoted("rtsp://a:b@door/: gone", Path::new("rtsp://a:b@door/")), "ffmpeg says: rtsp://door/: gone");
        assert_eq!(shown("film@home.mp4"), "film@home.mp4");
    }

    #[test]
    fn films_lie_on_web_servers() {
        assert!(is_web(Path::new("HTTPS://a/b")) && !is_web(Path::new("rtsp://a/b")));
    }
}
