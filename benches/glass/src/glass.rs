//! The glass bench: each peer in turn plays the same live picture, and the time is read off the displayed pixels.

use crate::clock::{now_us, sleep_until};
use crate::peers::{Context, Kind, Peer};
use crate::report::{self, Column, Row};
use crate::rig::{self, Display, Launch, Running, Scratch};
use crate::scene::{self, Probes, Shape};
use crate::screen;
use crate::source::{self, Format};
use crate::stats::{Figures, Log, quantile};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ChildStdout, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Not measured after the first picture was seen: programs warm up.
const SKIP_US: u64 = 2_000_000;

/// A peer that shows nothing for this long is given up.
const GIVE_UP_US: u64 = 25_000_000;

/// Pictures in the loop: enough that no codec sees the same one often, few enough to fit into memory at 4K.
const LOOP: usize = 40;

/// A size and rate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Pictures a second.
    pub fps: u64,
}

impl std::str::FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Case, String> {
        let parse = || {
            let (size, fps) = text.split_once('@').unwrap_or((text, "30"));
            let (width, height) = size.split_once('x')?;
            Some(Case { width: width.parse().ok()?, height: height.parse().ok()?, fps: fps.parse().ok()? })
        };
        parse().ok_or(format!("{text:?} is no size: write 1280x720@30"))
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}@{}", self.width, self.height, self.fps)
    }
}

/// What is asked for.
pub struct Options {
    /// Sizes, in order.
    pub cases: Vec<Case>,
    /// How long each peer is measured.
    pub seconds: f64,
    /// How often everything is done; figures are medians.
    pub runs: usize,
    /// Whom.
    pub peers: Vec<&'static Peer>,
    /// Where `send` and `recv` are.
    pub programs: PathBuf,
    /// Where the peers' scripts are.
    pub scripts: PathBuf,
}

/// Runs everything and prints the tables.
pub fn run(options: &Options) -> Result<(), String> {
    if !rig::own_network() {
        rig::progress(
            "no network of our own (needs root or user namespaces): Mbit/s will count everybody's bytes, and the MTU is the loopback's",
        );
    }
    for case in &options.cases {
        let shape = Shape::new(case.width, case.height, LOOP)?;
        let mut frames = scene::render(shape);
        let probes = Probes::new(shape, &frames);
        let plain = source::plain_jpeg_bytes(shape, &frames)?;
        let mut rows: Vec<(&Peer, Vec<Row>)> = options.peers.iter().map(|peer| (*peer, Vec::new())).collect();
        for run in 1..=options.runs {
            for (peer, rows) in &mut rows {
                let mut meter = Meter { options, case: *case, shape, probes: &probes, plain };
                match meter.measure(peer, &mut frames) {
                    Ok(row) => {
                        rig::progress(&format!("{case} {run}/{} {}: {}", options.runs, peer.title, row.brief()));
                        rows.push(row);
                    }
                    Err(why) => rig::progress(&format!("{case} {run}/{} {}: {why}", options.runs, peer.title)),
                }
            }
        }
        report::print(*case, options, plain, &rows);
    }
    Ok(())
}

struct Meter<'a> {
    options: &'a Options,
    case: Case,
    shape: Shape,
    probes: &'a Probes,
    plain: f64,
}

impl Meter<'_> {
    fn measure(&mut self, peer: &Peer, frames: &mut [Vec<u8>]) -> Result<Row, String> {
        let scratch = Scratch::new()?;
        let Case { width, height, fps } = self.case;
        // Larger than the picture: a program may want room for a frame around its window.
        let mut display = Display::start((width * 5 / 4).next_multiple_of(8), height * 5 / 4, &scratch.0, peer.cores)?;
        let context = Context {
            width,
            height,
            fps,
            port: free_port()?,
            directory: &scratch.0,
            programs: &self.options.programs,
            scripts: &self.options.scripts,
        };
        let launch = |mut command: std::process::Command, name, stdin: Stdio, stdout: Stdio| {
            command.env("DISPLAY", &display.name).stdin(stdin).stdout(stdout);
            Launch { command, name, cores: peer.cores }.start(&scratch.0)
        };
        let mut send = launch((peer.send)(&context), "send", Stdio::piped(), Stdio::null())?;
        let out = send.stdin().ok_or("the sender has no stdin")?;
        let (over, stop, seen_us) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        let lines = Mutex::new(Vec::new());
        let (shape, probes, pixels) = (self.shape, self.probes, &display.pixels);

        let (log, times) = thread::scope(|scope| {
            let source = scope.spawn(|| source::run(shape, frames, fps, peer.format, out, &stop));
            let watch = scope.spawn(|| screen::watch(pixels, shape, probes, &seen_us, &over));
            let times = (|| {
                if let Some(file) = peer.awaits {
                    wait_for(|| std::fs::metadata(scratch.0.join(file)).is_ok_and(|found| found.len() > 0), &mut send)?;
                }
                let mut recv = match peer.recv {
                    None => None,
                    Some(recv) => Some(launch(recv(&context), "recv", Stdio::null(), Stdio::piped())?),
                };
                if let Some(stdout) = recv.as_mut().and_then(Running::stdout) {
                    scope.spawn(|| collect(stdout, &lines));
                }
                self.window(&mut send, recv.as_mut(), &seen_us)
            })();
            over.store(true, Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
            drop(send);
            let log = watch.join().map_err(|_| "the meter panicked")?;
            source.join().map_err(|_| "the source panicked")??;
            times.map(|times| (log, times))
        })?;
        if !display.is_alive() {
            return Err("its X server died".into());
        }
        Ok(self.row(peer, &log, &times, &lines.into_inner().unwrap_or_default()))
    }

    /// Waits for the first picture, then over the time that counts; reads clocks at both ends of it.
    fn window(&self, send: &mut Running, mut recv: Option<&mut Running>, seen_us: &AtomicU64) -> Result<Times, String> {
        let give_up = now_us() + GIVE_UP_US;
        while seen_us.load(Ordering::Relaxed) == 0 {
            let gone = if send.is_alive() {
                recv.as_mut().and_then(|recv| (!recv.is_alive()).then(|| recv.words()))
            } else {
                Some(send.words())
            };
            match gone {
                Some(words) => return Err(format!("it ended: {words}")),
                None if now_us() > give_up => {
                    let other = recv.map_or_else(String::new, |recv| recv.words());
                    return Err(format!("it showed nothing: {} {other}", send.words()));
                }
                None => sleep_until(now_us() + 10_000),
            }
        }
        let from = seen_us.load(Ordering::Relaxed) + SKIP_US;
        let to = from + (self.options.seconds * 1e6) as u64;
        sleep_until(from);
        let read =
            |send: &Running, recv: Option<&Running>| [send.cpu_ms(), recv.map_or(0.0, Running::cpu_ms), rig::loopback_bytes()];
        let before = read(send, recv.as_deref());
        sleep_until(to);
        let after = read(send, recv.as_deref());
        let peak = [send.peak_mib(), recv.as_deref().map_or(f64::NAN, Running::peak_mib)];
        // Pictures under way are still seen, and a last line of statistics comes.
        sleep_until(to + 1_200_000);
        Ok(Times { from, to, used: [0, 1, 2].map(|i| after[i] - before[i]), peak })
    }

    fn row(&self, peer: &Peer, log: &Log, times: &Times, lines: &[Line]) -> Row {
        let figures = Figures::of(log, self.case.fps as f64, times.from, times.to);
        let pictures = figures.expected.max(1.0);
        let mut row = Row::new(&figures);
        row.set(Column::CpuSend, times.used[0] / pictures);
        row.set(Column::CpuRecv, times.used[1] / pictures);
        row.set(Column::MibSend, times.peak[0]);
        row.set(Column::MibRecv, times.peak[1]);
        row.set(Column::Mbit, times.used[2] * 8.0 / 1e3 / ((times.to - times.from) as f64 / 1e3));
        row.set(Column::Torn, log.torn as f64);
        let counted: Vec<&Line> =
            lines.iter().filter(|line| (times.from + 1_000_000..times.to + 1_000_000).contains(&line.at_us)).collect();
        if let (Kind::Eyeline, Some(first), Some(last)) = (peer.kind, counted.first(), counted.last()) {
            let mut p50: Vec<f64> = counted.iter().map(|line| line.p50).filter(|p50| p50.is_finite()).collect();
            row.set(Column::StatsP50, quantile(&mut p50, 0.5));
            let shown = last.shown - first.shown;
            if shown > 0.0 && peer.format == Format::Y4m {
                let (bytes, datagrams) = (last.bytes - first.bytes, last.datagrams - first.datagrams);
                row.set(Column::Payload, bytes / shown / self.plain);
                // IPv4 and UDP.
                row.set(Column::WithHeaders, (bytes + 28.0 * datagrams) / shown / self.plain);
            }
        }
        row
    }
}

struct Times {
    from: u64,
    to: u64,
    used: [f64; 3],
    peak: [f64; 2],
}

/// One second of `recv --stats json`.
struct Line {
    at_us: u64,
    p50: f64,
    shown: f64,
    bytes: f64,
    datagrams: f64,
}

fn collect(stdout: ChildStdout, lines: &Mutex<Vec<Line>>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        let number = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::NAN);
        let line = Line {
            at_us: now_us(),
            p50: number(&value["latency_ms"]["all"]["p50"]),
            shown: number(&value["shown"]),
            bytes: number(&value["bytes"]),
            datagrams: number(&value["datagrams"]),
        };
        if let Ok(mut lines) = lines.lock() {
            lines.push(line);
        }
        if std::env::var_os("EYELINE_BENCH_STAGES").is_some() {
            rig::progress(&format!("    {}", value["latency_ms"]));
        }
    }
}

fn wait_for(mut there: impl FnMut() -> bool, program: &mut Running) -> Result<(), String> {
    let give_up = now_us() + GIVE_UP_US;
    while !there() {
        if now_us() > give_up || !program.is_alive() {
            return Err(format!("it did not begin: {}", program.words()));
        }
        sleep_until(now_us() + 20_000);
    }
    Ok(())
}

/// A port that neither TCP nor UDP uses just now. Even, as RTP wants it, with the next one free for RTCP.
pub fn free_port() -> Result<u16, String> {
    use std::net::{TcpListener, UdpSocket};
    for _ in 0..100 {
        // Linux hands out odd ones.
        let other = TcpListener::bind("127.0.0.1:0").and_then(|tcp| tcp.local_addr()).map_err(|e| e.to_string())?.port();
        let port = other & !1;
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port + 1)).is_ok()
        {
            return Ok(port);
        }
    }
    Err("no free port".into())
}
