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

use std::io::Read as _;
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
use eyeline_proto::time::MediaTime;
use nix::sys::signal::Signal;
use program::{Program, RECV, SEND, free_port};
use proxy::{Proxy, Stalls};
use sound_server::SoundServer;

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

    /// Every sample that came since `from`.
    fn since(&self, from: Instant) -> Vec<i16> {
        let pieces = self.pieces.lock().unwrap();
        pieces.iter().filter(|(at, _)| *at >= from).flat_map(|(_, samples)| samples.iter().copied()).collect()
    }
}

/// Says a tone of so many seconds into the microphone.
fn say_tone(server: &SoundServer, dir: &Path, seconds: f64) -> Running {
    let file: PathBuf = dir.join("tone.raw");
    let sample = |n: usize| ((std::f64::consts::TAU * HERTZ * n as f64 / 48_000.0).sin() * AMPLITUDE) as i16;
    let bytes: Vec<u8> = (0..(48_000.0 * seconds) as usize).flat_map(|n| [sample(n); 2]).flat_map(i16::to_le_bytes).collect();
    std::fs::write(&file, bytes).unwrap();
    let mut command = server.tool("pacat");
    command.args([
        "--playback",
        "--raw",
        "--format=s16le",
        "--rate=48000",
        "--channels=2",
        "--latency-msec=40",
        "-d",
        "mic_feed",
    ]);
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

/// Asserts that `samples` are the tone and nothing else, unbroken for a second at least. Not for the whole of it: a busy machine
/// lets the server itself starve for some milliseconds now and then, which no client can hide.
fn assert_tone(samples: &[i16], what: &str) {
    let pieces: Vec<f64> = samples.chunks_exact(480).map(|piece| amplitude(piece, HERTZ)).collect();
    let steady = |piece: &f64| (*piece - AMPLITUDE).abs() < AMPLITUDE * 0.02;
    let (mut best, mut run) = (0..0, 0..0);
    for (n, piece) in pieces.iter().enumerate() {
        run = if steady(piece) { run.start..n + 1 } else { n + 1..n + 1 };
        best = if run.len() > best.len() { run.clone() } else { best };
    }
    let broken = pieces.iter().filter(|piece| !steady(piece)).count();
    println!("{what}: {} ms unbroken of {} ms, {broken} pieces of 10 ms broken", best.len() * 10, pieces.len() * 10);
    assert!(best.len() >= 100 && broken * 5 < pieces.len(), "{what}: the tone breaks");
    let whole = &samples[best.start * 480..best.end * 480];
    assert!(amplitude(&whole[..48_000], HERTZ * 1.5) < 20.0, "{what}: something else sounds");
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
    fn start(sound: Arc<Slot<eyeline_proto::sound::Block>>, mixer: Mixer) -> Self {
        let mut feed = mixer.voice().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(Mutex::new((Stats::default(), 0)));
        let (stopped, told) = (stop.clone(), stats.clone());
        let thread = thread::spawn(move || {
            let begin = Instant::now() - Duration::from_secs(1);
            let epoch = Epoch::new(begin);
            feed.mapping(Mapping::assumed(begin, MediaTime::ZERO));
            for sequence in 0.. {
                let block = loop {
                    match sound.take_until(Instant::now() + Duration::from_millis(100), Instant::now) {
                        Taken::Value(block) => break block,
                        Taken::TimedOut if !stopped.load(Ordering::Acquire) => {}
                        _ => return,
                    }
                };
                feed.block(Instant::now(), sequence, epoch.media_time(block.captured), block.channels, &block.samples);
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

fn wait(what: &str, limit: u64, mut until: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(limit);
    while !until() {
        assert!(Instant::now() < end, "waited {limit} s for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Says a tone and checks what is heard of it, for three seconds from half a second after its beginning.
fn check_tone(server: &SoundServer, dir: &Path, link: &Link, what: &str) {
    let (said, heard) = (Recording::start(server, "mic_feed.monitor"), Recording::start(server, "speaker.monitor"));
    wait("both recordings", 5, || [&said, &heard].iter().all(|r| !r.pieces.lock().unwrap().is_empty()));
    let _tone = say_tone(server, dir, 5.0);
    wait("the tone", 5, || heard.began().is_some());
    let began = heard.began().unwrap();
    wait("three seconds of it", 5, || began.elapsed() > Duration::from_millis(3500));
    let (stats, _) = link.stats();
    let way = began.saturating_duration_since(said.began().unwrap());
    println!("{what}: capture to speaker {:?}, said to heard {way:?}; {stats:?}", stats.latency);
    assert_tone(&heard.since(began + Duration::from_millis(500)), what);
    assert!(stats.latency.is_some_and(|l| l < Duration::from_millis(250)), "{what}: {:?}", stats.latency);
}

#[test]
fn sound_goes_through_and_comes_back_when_its_server_was_killed() {
    alone("sound_goes_through_and_comes_back_when_its_server_was_killed", |dir| {
        let mut server = SoundServer::start(dir);
        let sound = Slot::dropping(20);
        let microphone = Microphone::open(Some("VIRT"), sound.clone()).unwrap();
        let speaker = Speaker::open(Some("speaker"), Config::default()).unwrap();
        println!("{} ({} channels) to {}", microphone.name(), microphone.channels(), speaker.name());
        let link = Link::start(sound, speaker.mixer().clone());
        check_tone(&server, dir, &link, "before");

        server.kill();
        server.restart();
        wait("the microphone to be back", 8, || microphone.reopened() == 1);
        wait("the speaker to be back", 8, || link.stats().1 == 1);
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
        let began = Instant::now();
        let error = Speaker::open(None, Config::default()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("there is no speaker") && error.contains("plug one in"), "{error}");
        assert!(microphone::list().is_empty() && began.elapsed() < Duration::from_secs(5));
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

/// Both programs over a network that loses a twentieth of the datagrams and stops TCP for 300 ms every two seconds. TCP alone would be
/// silent for a seventh of the time.
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
        let heard = Recording::start(&server, "speaker.monitor");
        wait("the recording", 5, || heard.began().is_some());
        let from = Instant::now();
        wait("ten seconds of it", 12, || from.elapsed() > Duration::from_secs(10));
        let samples = heard.since(from);
        recv.forget_stats();
        let after = recv.stats();

        let concealed = |stats: &serde_json::Value| stats["sound"]["concealed_frames"].as_u64().unwrap();
        let (silent, longest, step) = silences(&samples);
        let covered = (concealed(&after) - concealed(&before)) / 48;
        println!(
            "of {} ms {} ms were silent, {} ms at once; {covered} ms concealed, the largest step {step}; passed and lost {:?}\n{}",
            samples.len() / 48,
            silent * 5,
            longest * 5,
            proxy.counts(),
            after
        );
        assert!(samples.len() > 48 * 9000, "{} samples", samples.len());
        assert!(covered < 300 && silent * 5 < 300, "TCP alone makes 1500 ms of silence in ten seconds");
        let copied = |stats: &serde_json::Value| stats["copied_blocks"].as_u64().unwrap();
        assert!(copied(&after) > copied(&before) + 900, "what was heard came beside TCP");
        assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    });
}
