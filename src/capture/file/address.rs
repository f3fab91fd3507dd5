//! What `ffmpeg` reads from an address (`rtsp://…`, `http://…`): live, the newest wins, or a film that lies there.
//!
//! One connection is made and kept, for many a source serves only one: nothing is asked of `ffprobe` first. Which of both it is,
//! is told by the length that `ffmpeg` says on opening. A film that lies on a server is then opened as any other.
//!
//! Live pictures go out as they come. Their time is their stamp on the clock of the source, which is related to ours by the
//! earliest arrival: that of the least delay (`Base`).

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::matroska::{Packets, Stream};
use super::silence::{Awaited, OVER, Silence, given_up};
use super::timeline::Sounds;
use super::words::part;
use super::{Error, Options, probe};
use crate::slot::{Closed, Slot};
use eyeline_proto::picture::{Body, MAX_SIDE, Picture, Pool, Sampling, Size};
use eyeline_proto::sound::{self, Block};

/// Longer lines are nothing that is waited for.
const MAX_LINE: u64 = 64 << 10;

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
    child: Child,
    packets: Packets<Awaited<ChildStdout>>,
    words: JoinHandle<Option<String>>,
    silence: Silence,
    /// The pictures' size, if it has pictures.
    pub size: Option<Size>,
    /// The sound's channels; 0 where there is none.
    pub channels: u8,
}

/// Connects, and waits for the first pictures and sound, for as long as a source may be silent.
pub fn connect(address: &Path, options: &Options) -> Result<Opened, Error> {
    let failed = |why: String| Error::Address { address: address.into(), why };
    let mut child = command(address, options).spawn().map_err(|error| probe::not_started("ffmpeg", &error))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(failed("ffmpeg has no pipes".into()));
    };
    let (opened, open) = mpsc::channel();
    let words = std::thread::Builder::new().name("film words".into()).spawn(move || listen(stderr, &opened));
    let words = match words {
        Ok(words) => words,
        Err(error) => {
            end(&mut child);
            return Err(Error::Thread(error.to_string()));
        }
    };
    let over = |mut child: Child, words: JoinHandle<Option<String>>, why: &str| {
        end(&mut child);
        Err(failed(words.join().ok().flatten().map_or_else(|| why.to_owned(), |said| quoted(&said, address))))
    };
    // Servers of live streams pace them; of a film on a web server nobody does.
    match open.recv_timeout(OVER) {
        Err(RecvTimeoutError::Disconnected) => return over(child, words, "ffmpeg cannot open it"),
        Err(RecvTimeoutError::Timeout) => return over(child, words, &given_up()),
        Ok(Length::Known) if is_web(address) => {
            end(&mut child);
            let _ = words.join();
            return Ok(Opened::Film);
        }
        Ok(_) => {}
    }
    let largest = Sampling::Yuv420.bytes(Size { width: MAX_SIDE, height: MAX_SIDE });
    let silence = Silence::default();
    let packets = match Packets::open(Awaited::new(stdout, shown(address), silence.clone()), largest) {
        Ok(packets) => packets,
        Err(_) => return over(child, words, &silence.why().unwrap_or_else(|| "nothing came from it".into())),
    };
    let channels = packets.channels().unwrap_or(0).min(2) as u8;
    let narrow = |side: u64| u32::try_from(side).unwrap_or(u32::MAX);
    let size = match packets.size().map(|(width, height)| Size { width: narrow(width), height: narrow(height) }) {
        Some(size) if size.is_possible() => Some(size),
        Some(_) => return over(child, words, "its pictures are larger than 8192x8192"),
        None => None,
    };
    Ok(Opened::Live(Box::new(Connection { name: address.into(), child, packets, words, silence, size, channels })))
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

fn command(address: &Path, options: &Options) -> Command {
    let mut command = probe::tool("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-nostats", "-v", "level+info"]);
    // A second shows what streams there are; the default of five is long where somebody watches.
    command.args(["-analyzeduration", "1000000", "-fpsprobesize", "0", "-flags", "low_delay"]);
    if address.to_str().is_some_and(|text| text.to_ascii_lowercase().starts_with("rtsp")) {
        // Over UDP many a camera's pictures come damaged, and firewalls let none of them through.
        command.args(["-rtsp_transport", "tcp"]);
    }
    command.arg("-i").arg(address).args(["-sn", "-dn"]);
    if options.want_video {
        let square =
            "scale=w='max(1,round(iw*max(sar,1)))':h='max(1,round(ih*max(1/sar,1)))':eval=frame:flags=bicubic+accurate_rnd";
        let filter = format!("{square}:out_range=full:out_color_matrix=bt601,format=yuvj420p");
        command.args(["-c:v", "rawvideo", "-vf", &filter, "-fps_mode", "passthrough", "-enc_time_base", "1:90000"]);
    } else {
        command.arg("-vn");
    }
    if options.want_audio {
        command.args(["-c:a", "pcm_s16le", "-af", &format!("aresample={}:async=1", sound::RATE), "-ac", "2"]);
    } else {
        command.arg("-an");
    }
    // A stream that is late holds the other for a tenth of a second at most.
    command.args(["-map_metadata", "-1", "-map_chapters", "-1", "-max_interleave_delta", "100000", "-flush_packets", "1"]);
    command.args(["-f", "matroska", "-live", "1", "pipe:1"]);
    // In our own process group: Ctrl-C while it connects must end it with us.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Whether a source says how long it is.
#[derive(Debug, PartialEq, Eq)]
enum Length {
    Known,
    Unknown,
}

/// Listens to a child that names the level of each line: tells `opened` when it has opened its input, and gives its first error.
fn listen(from: impl Read, opened: &Sender<Length>) -> Option<String> {
    let mut from = BufReader::new(from);
    let (mut line, mut error) = (Vec::new(), None);
    loop {
        line.clear();
        match from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return error,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if let Some((_, duration)) = text.split_once("Duration: ") {
            let length = if duration.starts_with("N/A") { Length::Unknown } else { Length::Known };
            let _ = opened.send(length);
        }
        if let Some((speaker, said)) = text.split_once("[error] ").or(text.split_once("[fatal] ")) {
            let whole = format!("{speaker}{said}");
            let said = part(&whole).unwrap_or(said).trim();
            let clean: String = said.chars().filter(|c| !c.is_control()).collect();
            error.get_or_insert(clean);
        }
    }
}

/// The earliest arrivals: where the zero of the source's stamps lies on our clock.
///
/// It rises by a thousandth of the time that goes by, more than two clocks drift apart, so that it follows a slower one too; and
/// at once where a source stood still for a second.
#[derive(Default)]
struct Base {
    start: Option<(Instant, Instant)>,
    last: Option<Instant>,
}

impl Base {
    const STOOD_STILL: Duration = Duration::from_secs(1);

    /// What is stamped `stamp` arrived at `now`: says when it was caught.
    fn caught(&mut self, stamp: Duration, now: Instant) -> Instant {
        let zero = now.checked_sub(stamp).unwrap_or(now);
        let start = match self.start {
            Some((start, noted)) if zero > start && zero - start < Self::STOOD_STILL => zero.min(start + (now - noted) / 1000),
            _ => zero,
        };
        self.start = Some((start, now));
        self.at(start, stamp, now)
    }

    fn at(&mut self, start: Instant, stamp: Duration, now: Instant) -> Instant {
        let caught = (start + stamp).min(now);
        let caught = self.last.map_or(caught, |last| caught.max(last));
        self.last = Some(caught);
        caught
    }
}

/// A live source at work. Dropping it ends its child and its thread, and closes both slots.
pub struct Address {
    child: Arc<Mutex<Child>>,
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block>>,
    failure: Arc<Mutex<Option<Error>>>,
    thread: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Address {
    /// Gives out what comes. Slots should be [`Slot::newest`] and [`Slot::dropping`]; both are closed at the end.
    pub fn open(connection: Connection, pictures: Arc<Slot<Picture>>, sound: Arc<Slot<Block>>) -> Result<Address, Error> {
        let Connection { name, child, mut packets, words, silence, size, channels } = connection;
        let child = Arc::new(Mutex::new(child));
        let failure = Arc::new(Mutex::new(None));
        let mut address = Address {
            child: child.clone(),
            pictures: pictures.clone(),
            sound: sound.clone(),
            failure: failure.clone(),
            thread: None,
        };
        let run = move || {
            let ended = give(&mut packets, size, channels, &pictures, &sound);
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
    size: Option<Size>,
    channels: u8,
    pictures: &Slot<Picture>,
    sound: &Slot<Block>,
) -> Ended {
    let mut given = false;
    match give_all(packets, size, channels, pictures, sound, &mut given) {
        Ok(()) => Ended::Over { given },
        Err(ended) => ended,
    }
}

fn give_all(
    packets: &mut Packets<impl Read>,
    size: Option<Size>,
    channels: u8,
    pictures: &Slot<Picture>,
    sound: &Slot<Block>,
    given: &mut bool,
) -> Result<(), Ended> {
    let (pool, mut base, mut heard) = (Pool::new(), Base::default(), Base::default());
    let mut sounds = Sounds::new(channels.max(1));
    let mut sound_began = false;
    // A stream that breaks off is at its end: that is how live ones end.
    while let Ok(Some((stream, stamp, bytes))) = packets.next() {
        let now = Instant::now();
        let caught = base.caught(stamp, now);
        match (stream, size) {
            (Stream::Pictures, Some(size)) if bytes.len() == Sampling::Yuv420.bytes(size) => {
                let mut planes = pool.take(bytes.len());
                planes.copy_from_slice(bytes);
                pictures.push(Picture::new(caught, size, Body::Planes(Sampling::Yuv420, planes)))?;
            }
            (Stream::Pictures, _) => return Err(Ended::Broken("the size of its pictures has changed: start send again".into())),
            (Stream::Sound, _) => {
                let place = (!std::mem::replace(&mut sound_began, true)).then_some(stamp);
                while let Some((_, silence)) = place.and_then(|place| sounds.begin_pass(place)) {
                    drop(silence);
                }
                sounds.append(bytes);
                let start = base.start.map_or(now, |(start, _)| start);
                while let Some((time, samples)) = sounds.pop() {
                    sound.push(Block { captured: heard.at(start, time, now), channels, samples })?;
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
    fn a_picture_was_caught_where_the_least_delayed_one_says() {
        let (zero, ms) = (Instant::now() + Duration::from_secs(100), Duration::from_millis);
        let mut base = Base::default();
        // The first comes 300 ms late, the others 20 ms: what was caught never goes back, and is never after it came.
        let caught: Vec<_> = [(0, 300), (40, 300), (80, 300), (400, 420), (440, 500), (480, 500)]
            .map(|(stamp, at)| base.caught(ms(stamp), zero + ms(at)) - zero)
            .into();
        assert_eq!(caught[..4], [300, 300, 300, 420].map(ms));
        assert!(caught[4].abs_diff(ms(460)) < ms(1), "{caught:?}: delayed by 60 on the way");
        assert!(caught[5].abs_diff(ms(500)) < ms(1), "{caught:?}");
    }

    #[test]
    fn a_source_that_stood_still_goes_on_from_now() {
        let (zero, ms) = (Instant::now() + Duration::from_secs(100), Duration::from_millis);
        let mut base = Base::default();
        base.caught(ms(0), zero);
        assert_eq!(base.caught(ms(40), zero + ms(5000)), zero + ms(5000));
        assert_eq!(base.caught(ms(80), zero + ms(5040)), zero + ms(5040));
    }

    #[test]
    fn a_slower_clock_is_followed() {
        let zero = Instant::now() + Duration::from_secs(100);
        let mut base = Base::default();
        for second in 0..600u64 {
            let stamp = Duration::from_secs(second);
            let now = zero + Duration::from_micros(second * 1_000_200);
            let late = now - base.caught(stamp, now);
            assert!(late < Duration::from_millis(1), "{late:?} after {second} s");
        }
    }

    #[test]
    fn what_a_child_says_tells_live_from_film_and_why_it_failed() {
        let heard = |text: &str| {
            let (opened, open) = mpsc::channel();
            (listen(text.as_bytes(), &opened), open.try_recv().ok())
        };
        let info = "[info] Input #0, mpegts, from 'http://a/':\n[info]   Duration: ";
        assert_eq!(heard(&format!("{info}N/A, start: 1.4\n")), (None, Some(Length::Unknown)));
        assert_eq!(heard(&format!("{info}00:00:03.00, start: 0\n")), (None, Some(Length::Known)));
        let refused =
            "[tcp @ 0x55] [error] Connection to tcp://a:1 failed: Connection refused\n[error] tcp://a:1: Connection refused\n";
        assert_eq!(heard(refused).0.as_deref(), Some("Connection to tcp://a:1 failed: Connection refused"));
    }

    #[test]
    fn what_is_secret_in_an_address_is_not_shown() {
        let shown = |address: &str| shown(Path::new(address));
        assert_eq!(shown("rtsp://admin:p%2F@ss@door:554/a@b"), "rtsp://door:554/a@b");
        assert_eq!(shown("http://door?user=a@b"), "http://door?user=a@b");
        assert_eq!(quoted("rtsp://a:b@door/: gone", Path::new("rtsp://a:b@door/")), "ffmpeg says: rtsp://door/: gone");
        assert_eq!(shown("film@home.mp4"), "film@home.mp4");
    }

    #[test]
    fn rtsp_goes_over_tcp_and_an_address_is_given_as_it_is() {
        let line = |address: &str, options: &Options| {
            let command = command(Path::new(address), options);
            command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let rtsp = line("rtsp://door/stream", &Options::default());
        assert!(rtsp.contains("-rtsp_transport tcp -i rtsp://door/stream"), "{rtsp}");
        let http = line("http://door/", &Options { want_audio: false, ..Options::default() });
        assert!(http.contains("-an") && !http.contains("rtsp"), "{http}");
        assert!(is_web(Path::new("HTTPS://a/b")) && !is_web(Path::new("rtsp://a/b")));
    }
}
