//! Microphone to speaker through a real sound server, and through its death.
//!
//! The programs' own code: [`Microphone`] → blocks → [`Speaker`]. A tone is said into the virtual microphone and what the
//! speaker plays is recorded. The server's address is in the environment, which a test must not change for its own process,
//! so each test runs itself again as a child.

#![allow(clippy::disallowed_methods)] // a device test lives in real time

#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/sound_server.rs"]
mod sound_server;
#[path = "support/ticks.rs"]
mod ticks;

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use eyeline::capture::microphone::{self, Microphone};
use eyeline::present::mixer::Mixer;
use eyeline::present::speaker::{self, Speaker};
use eyeline::slot::{Slot, Taken};
use eyeline_proto::media::clock::{Epoch, Mapping};
use eyeline_proto::media::playout::{Config, Stats};
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;
use nix::sys::signal::Signal;
use program::{Program, RECV, SEND, free_port};
use proxy::{Proxy, Stalls};
use sound_server::SoundServer;
use ticks::Ticks;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pieces of 10 ms in which a tone is looked for.
const PIECE: usize = 480;
/// So many of them in a row are the least that a tone goes on unbroken: a second.
const UNBROKEN: usize = 100;
const AMPLITUDE: f64 = 12_000.0;
const HERTZ: f64 = 1000.0;

/// Runs `test` in a child process that finds the sound server of a directory of its own.
fn alone(name: &str, test: impl FnOnce(&Path)) {
    const DIR: &str = "EYELINE_TEST_SOUND_DIR";
    if let Some(dir) = std::env::var_os(DIR) {
        return test(Path::new(&dir));
    }
    // Short: the path of a socket has 108 bytes.
    let dir = std::env::temp_dir().join(format!("eyeline-{}-{}", name.len(), std::process::id()));
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(DIR, &dir)
        .envs(SoundServer::environment(&dir))
        .env_remove("PULSE_RUNTIME_PATH")
        .status()
        .unwrap();
    assert!(status.success(), "see above; the server's log is {}/pulse.log", dir.display());
    std::fs::remove_dir_all(dir).unwrap();
}

/// A program that is killed when it goes out of scope.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Pieces = Vec<(Instant, Vec<i16>)>;

/// What a monitor plays, with the time each piece came.
struct Recording {
    pieces: Arc<Mutex<Pieces>>,
    _program: Running,
}

impl Recording {
    fn start(server: &SoundServer, source: &str) -> Self {
        let mut command = server.tool("parec");
        command.args(["--raw", "--format=s16le", "--rate=48000", "--channels=1", "--latency-msec=5", "-d", source]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("parec is in pulseaudio-utils");
        let mut out = child.stdout.take().unwrap();
        let pieces = Arc::new(Mutex::new(Pieces::new()));
        let kept = pieces.clone();
        thread::spawn(move || {
            let mut bytes = [0u8; 480]; // 5 ms
            while out.read_exact(&mut bytes).is_ok() {
                let samples = bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
                kept.lock().unwrap().push((Instant::now(), samples));
            }
        });
        Recording { pieces, _program: Running(child) }
    }

    /// When the first piece with sound in it came.
    fn began(&self) -> Option<Instant> {
        let pieces = self.pieces.lock().unwrap();
        pieces.iter().find(|(_, samples)| samples.iter().any(|s| s.abs() > 1000)).map(|(at, _)| *at)
    }

    /// The longest that nothing came: the server, what records, or this test did not run for so long.
    fn longest_gap(&self) -> Duration {
        let pieces = self.pieces.lock().unwrap();
        pieces.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or_default()
    }

    /// Every sample that came since `from`.
    fn since(&self, from: Instant) -> Vec<i16> {
        let pieces = self.pieces.lock().unwrap();
        pieces.iter().filter(|(at, _)| *at >= from).flat_map(|(_, samples)| samples.iter().copied()).collect()
    }
}

/// Plays a tone on `sink` for longer than anybody listens, by a program that has `latency` milliseconds of it waiting in the
/// server.
fn play_tone(server: &SoundServer, dir: &Path, sink: &str, latency: u32) -> Running {
    let file: PathBuf = dir.join(format!("{sink}.raw"));
    let seconds = 2.0 * PATIENCE.as_secs_f64();
    let sample = |n: usize| ((std::f64::consts::TAU * HERTZ * n as f64 / 48_000.0).sin() * AMPLITUDE) as i16;
    let bytes: Vec<u8> = (0..(48_000.0 * seconds) as usize).flat_map(|n| [sample(n); 2]).flat_map(i16::to_le_bytes).collect();
    std::fs::write(&file, bytes).unwrap();
    let mut command = server.tool("pacat");
    command.args(["--playback", "--raw", "--format=s16le", "--rate=48000", "--channels=2", "-d", sink]);
    command.arg(format!("--latency-msec={latency}"));
    Running(command.arg(file).spawn().expect("pacat is in pulseaudio-utils"))
}

/// Amplitude of one frequency in `samples` (Goertzel).
fn amplitude(samples: &[i16], hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, s) in samples.iter().enumerate() {
        let angle = std::f64::consts::TAU * hertz * n as f64 / 48_000.0;
        re += f64::from(*s) * angle.cos();
        im += f64::from(*s) * angle.sin();
    }
    2.0 * (re * re + im * im).sqrt() / samples.len() as f64
}

/// Which pieces of `samples` are the tone and nothing else.
fn steady(samples: &[i16]) -> Vec<bool> {
    let is_tone = |piece: &[i16]| (amplitude(piece, HERTZ) - AMPLITUDE).abs() < AMPLITUDE * 0.02;
    samples.chunks_exact(PIECE).map(is_tone).collect()
}

/// The longest run of pieces that are the tone.
fn unbroken(steady: &[bool]) -> Range<usize> {
    let (mut best, mut run) = (0..0, 0..0);
    for (n, is_steady) in steady.iter().enumerate() {
        run = if *is_steady { run.start..n + 1 } else { n + 1..n + 1 };
        best = if run.len() > best.len() { run.clone() } else { best };
    }
    best
}

fn broken(steady: &[bool]) -> usize {
    steady.iter().filter(|is_steady| !**is_steady).count()
}

/// Asserts that `samples` are the tone, unbroken for a second at least. Not for the whole of it: a busy machine lets the server,
/// the microphone or the speaker starve for some milliseconds now and then. `control` is the same tone, played beside by a
/// program without a microphone.
fn assert_tone(samples: &[i16], control: &[i16], what: &str) {
    let (steady, control) = (steady(samples), broken(&steady(control)));
    let (best, broken) = (unbroken(&steady), broken(&steady));
    println!(
        "{what}: {} ms unbroken of {} ms, {broken} pieces of 10 ms broken, {control} of the control",
        best.len() * 10,
        steady.len() * 10
    );
    assert!(best.len() >= UNBROKEN && broken * 5 < steady.len() + control * 20, "{what}: the tone breaks");
    let whole = &samples[best.start * PIECE..best.end * PIECE];
    assert!(amplitude(&whole[..UNBROKEN * PIECE], HERTZ * 1.5) < 20.0, "{what}: something else sounds");
    let step = whole.windows(2).map(|w| i32::from(w[1]).abs_diff(i32::from(w[0]))).max().unwrap();
    assert!(f64::from(step) < AMPLITUDE * std::f64::consts::TAU * HERTZ / 48_000.0 * 1.05, "{what}: a step of {step}");
}

/// Carries blocks from microphone to speaker, as the network would, with the clock known.
struct Link {
    stop: Arc<AtomicBool>,
    stats: Arc<Mutex<(Stats, u64)>>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    fn start(sound: Arc<Slot<Block<Instant>>>, mixer: Mixer) -> Self {
        let mut feed = mixer.voice().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(Mutex::new((Stats::default(), 0)));
        let (stopped, told) = (stop.clone(), stats.clone());
        let thread = thread::spawn(move || {
            let begin = Instant::now() - Duration::from_secs(1);
            let epoch = Epoch::new(begin);
            feed.mapping(Mapping::assumed(begin, MediaTime::ZERO));
            for number in 0.. {
                let block = loop {
                    match sound.take_until(Instant::now() + Duration::from_millis(100), Instant::now) {
                        Taken::Value(block) => break block,
                        Taken::TimedOut if !stopped.load(Ordering::Acquire) => {}
                        _ => return,
                    }
                };
                let capture = epoch.media_time(block.capture);
                feed.block(Instant::now(), &Numbered { number, block: block.at(capture) });
                *told.lock().unwrap() = (feed.stats(), mixer.reopened());
                if stopped.load(Ordering::Acquire) {
                    return;
                }
            }
        });
        Link { stop, stats, thread: Some(thread) }
    }

    fn stats(&self) -> (Stats, u64) {
        *self.stats.lock().unwrap()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().map(JoinHandle::join);
    }
}

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !until() {
        assert!(Instant::now() < end, "waited {PATIENCE:?} for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Says a tone and checks what is heard of it from half a second after its beginning: for three seconds, and until a second of it
/// was unbroken.
fn check_tone(server: &SoundServer, dir: &Path, link: &Link, what: &str) {
    let [said, heard, control] =
        ["mic_feed", "speaker", "control"].map(|sink| Recording::start(server, &format!("{sink}.monitor")));
    wait("the recordings", || [&said, &heard, &control].iter().all(|r| !r.pieces.lock().unwrap().is_empty()));
    let _tones = [play_tone(server, dir, "control", 20), play_tone(server, dir, "mic_feed", 40)];
    wait("the tones", || heard.began().is_some() && control.began().is_some());
    let began = heard.began().unwrap();
    let from = began.max(control.began().unwrap()) + Duration::from_millis(500);
    wait("three seconds of it", || heard.since(from).len() > 3 * 48_000);
    wait("a second of it unbroken", || unbroken(&steady(&heard.since(from))).len() >= UNBROKEN);
    let (stats, _) = link.stats();
    let way = began.saturating_duration_since(said.began().unwrap());
    let stood_still = heard.longest_gap().max(said.longest_gap());
    println!("{what}: capture to speaker {:?}, said to heard {way:?}, stood still {stood_still:?}; {stats:?}", stats.latency);
    assert_tone(&heard.since(from), &control.since(from), what);
    let most = Duration::from_millis(250) + 2 * stood_still;
    assert!(stats.latency.is_some_and(|latency| latency < most), "{what}: {:?} of {most:?}", stats.latency);
}

#[test]
fn sound_goes_through_and_comes_back_when_its_server_was_killed() {
    alone("sound_goes_through_and_comes_back_when_its_server_was_killed", |dir| {
        let mut server = SoundServer::start(dir);
        let sound = Slot::dropping(20);
        let microphone = Microphone::open(Some("VIRT"), sound.clone()).unwrap();
        let speaker = Speaker::open(Some("speaker"), Config::default(), None).unwrap();
        println!("{} ({} channels) to {}", microphone.name(), microphone.channels(), speaker.name());
        let link = Link::start(sound, speaker.mixer().clone());
        check_tone(&server, dir, &link, "before");

        server.kill();
        server.restart();
        wait("the microphone to be back", || microphone.reopened() == 1);
        wait("the speaker to be back", || link.stats().1 == 1);
        check_tone(&server, dir, &link, "after");
        assert_eq!(microphone.lost_frames(), 0);
    });
}

#[test]
fn devices_are_listed_with_the_default_marked_and_wrong_names_are_refused_with_the_list() {
    alone("devices_are_listed_with_the_default_marked_and_wrong_names_are_refused_with_the_list", |dir| {
        let mut server = SoundServer::start(dir);
        let microphones = microphone::list();
        println!("{microphones:#?}");
        assert_eq!(microphones.iter().filter(|m| m.default).map(|m| m.name.as_str()).collect::<Vec<_>>(), ["virtmic"]);
        assert_eq!((microphones[0].id.as_str(), microphones[0].monitor, microphones[0].index), ("virtmic", false, 0));
        assert!(microphones[1..].iter().all(|m| m.monitor));
        let speakers = speaker::list();
        assert_eq!(speakers.iter().find(|s| s.default).unwrap().id, "speaker");

        let error = Microphone::open(Some("trombone"), Slot::dropping(1)).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("trombone") && error.contains("0 virtmic") && error.contains("--mic"), "{error}");
        server.kill();
        let ticks = Ticks::start();
        let error = Speaker::open(None, Config::default(), None).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("there is no speaker") && error.contains("plug one in"), "{error}");
        // A server that does not answer is waited for for five seconds; one that is gone is not.
        assert!(microphone::list().is_empty() && ticks.elapsed() < Duration::from_millis(2500), "{:?}", ticks.elapsed());
    });
}

/// Of a recording of the test tone: how many of its pieces of 5 ms are nearly silent, the most of them in a row, and the largest
/// step between two samples.
fn silences(samples: &[i16]) -> (usize, usize, u32) {
    let (mut all, mut run, mut longest) = (0, 0, 0);
    for piece in samples.chunks_exact(240) {
        let power = piece.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / 240.0;
        // The tone is 26 dB below full scale: 1158 in the mean.
        run = if power.sqrt() < 300.0 { run + 1 } else { 0 };
        all += usize::from(run > 0);
        longest = longest.max(run);
    }
    let step = samples.windows(2).map(|w| i32::from(w[1]).abs_diff(i32::from(w[0]))).max().unwrap_or(0);
    (all, longest, step)
}

/// Compressed it is the same tone, of the same level, without a gap.
#[test]
fn a_tone_that_goes_as_packets_is_heard_as_it_was_said() {
    alone("a_tone_that_goes_as_packets_is_heard_as_it_was_said", |dir| {
        let server = SoundServer::start(dir);
        let port = free_port();
        let mut send = Program::start(SEND, &format!("--test -s 640x360 --sound opus -p {port} --stats json"));
        send.said("waiting on port");
        let mut recv = Program::start(RECV, &format!("--no-window --speaker speaker --host 127.0.0.1:{port} --stats json"));
        recv.stats_with(|stats| stats["sound"]["latency_ms"].is_f64() && stats["opus_blocks"].as_u64() > Some(200));
        let [heard, control] = ["speaker", "control"].map(|sink| Recording::start(&server, &format!("{sink}.monitor")));
        let _tone = play_tone(&server, dir, "control", 20);
        wait("the recordings", || heard.began().is_some() && control.began().is_some());
        recv.forget_stats();
        let (before, from) = (recv.stats(), Instant::now());
        wait("five seconds of it", || heard.since(from).len() >= 240_000);
        let (samples, control) = (heard.since(from), control.since(from));
        recv.forget_stats();
        let after = recv.stats();
        let ((silent, longest, step), (server_silent, ..)) = (silences(&samples), silences(&control));
        let more = |field: &str| after[field].as_u64().unwrap() - before[field].as_u64().unwrap();
        let concealed = |stats: &serde_json::Value| stats["sound"]["concealed_frames"].as_u64().unwrap();
        let covered = (concealed(&after) - concealed(&before)) / 48;
        // Between two beeps: the tone alone, in the middle of pieces of 50 ms.
        let mut levels: Vec<f64> = samples.chunks_exact(2400).map(|piece| amplitude(piece, 440.0)).collect();
        levels.sort_by(f64::total_cmp);
        let level = levels[levels.len() / 2];
        println!(
            "{} ms silent, {} at once, {} of the control, {covered} ms concealed; a step of {step}, a level of {level:.0}; {after}",
            silent * 5,
            longest * 5,
            server_silent * 5
        );
        assert_eq!((&after["codec"], more("opus_blocks")), (&"opus".into(), more("blocks")));
        assert!((1550.0..1730.0).contains(&level), "it was said at 1638: {level}");
        let most = 50 + server_silent * 25;
        assert!(silent * 5 <= most && (covered as usize) <= most, "{} ms silent, {covered} concealed", silent * 5);
        assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    });
}

/// Both programs over a network that loses a twentieth of the datagrams and stops TCP for 300 ms every two seconds. TCP alone
/// would be silent for a seventh of the time.
#[test]
fn the_tone_goes_on_while_tcp_stalls_and_datagrams_are_lost() {
    alone("the_tone_goes_on_while_tcp_stalls_and_datagrams_are_lost", |dir| {
        let server = SoundServer::start(dir);
        let (port, front) = (free_port(), free_port());
        let mut send = Program::start(SEND, &format!("--test -s 640x360 -p {port} --stats json"));
        send.said("waiting on port");
        let stalls = Stalls { every: Duration::from_secs(2), lasts: Duration::from_millis(300) };
        let proxy = Proxy::stalling(front, port, 20, 4711, stalls);
        let mut recv = Program::start(RECV, &format!("--no-window --speaker speaker --host 127.0.0.1:{front} --stats json"));
        let plays =
            |stats: &serde_json::Value| stats["sound"]["latency_ms"].is_f64() && stats["copied_blocks"].as_u64() > Some(50);
        recv.stats_with(plays);
        recv.forget_stats();
        let before = recv.stats();
        let [heard, control] = ["speaker", "control"].map(|sink| Recording::start(&server, &format!("{sink}.monitor")));
        let _tone = play_tone(&server, dir, "control", 20);
        wait("the recordings", || heard.began().is_some() && control.began().is_some());
        let from = Instant::now();
        wait("ten seconds of it", || heard.since(from).len() >= 480_000);
        let (samples, control) = (heard.since(from), control.since(from));
        recv.forget_stats();
        let after = recv.stats();

        let concealed = |stats: &serde_json::Value| stats["sound"]["concealed_frames"].as_u64().unwrap();
        let ((silent, longest, step), (server_silent, ..)) = (silences(&samples), silences(&control));
        let covered = (concealed(&after) - concealed(&before)) / 48;
        println!(
            "of {} ms {} ms were silent, {} ms at once, {} ms of the control; {covered} ms concealed, the largest step {step}; passed and lost {:?}\n{}",
            samples.len() / 48,
            silent * 5,
            longest * 5,
            server_silent * 5,
            proxy.counts(),
            after
        );
        let most = 300 + server_silent * 25;
        assert!((covered as usize) < most && silent * 5 < most, "TCP alone makes 1500 ms of silence in ten seconds");
        let more = |field: &str| after[field].as_u64().unwrap() - before[field].as_u64().unwrap();
        assert!(more("blocks") > 0 && more("copied_blocks") * 10 > more("blocks") * 9, "what was heard came beside TCP");
        assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    });
}
