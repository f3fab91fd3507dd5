//! One peer on the stage: its two programs, the live source before it, the screen behind it, the meter that looks.

use crate::clock::{now_us, sleep_until};
use crate::peers::{Context, Peer};
use crate::piece::Piece;
use crate::rig::{self, Display, Launch, Running, Scratch};
use crate::scene::Shape;
use crate::source;
use crate::tun::{Cable, Side};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// A peer that shows nothing for this long is given up.
const GIVE_UP_US: u64 = 25_000_000;

/// Where something is played.
pub struct Stage<'a, P> {
    /// The pictures, and who looks at them.
    pub piece: &'a P,
    /// Pictures a second.
    pub fps: u64,
    /// Where `send` and `recv` are.
    pub programs: &'a Path,
    /// Where the peers' scripts are.
    pub scripts: &'a Path,
    /// Between the two sides; the loopback without.
    pub cable: Option<&'a Cable>,
}

/// What was seen of it.
pub struct Played<S, T> {
    /// What was on the screen.
    pub seen: S,
    /// What the receiver said of itself, second by second (Eyeline alone does).
    pub lines: Vec<Line>,
    /// What the scene made of it.
    pub scene: T,
}

impl<P: Piece> Stage<'_, P> {
    /// Starts the peer, waits for its first picture, and lets `scene` run with both programs (the second may be none) and the
    /// time of that picture. Everything ends with it.
    pub fn play<T>(
        &self,
        peer: &Peer,
        frames: &mut [Vec<u8>],
        scene: impl FnOnce(&mut Running, Option<&mut Running>, u64) -> Result<T, String>,
    ) -> Result<Played<P::Seen, T>, String> {
        let scratch = Scratch::new()?;
        let Shape { width, height, .. } = self.piece.shape();
        // Larger than the picture: a program may want room for a frame around its window.
        let mut display = Display::start((width * 5 / 4).next_multiple_of(8), height * 5 / 4, &scratch.0, peer.cores)?;
        let address = |side: Side| self.cable.map_or("127.0.0.1", |_| side.address());
        let context = Context {
            width,
            height,
            fps: self.fps,
            sender: address(Side::Sender),
            receiver: address(Side::Receiver),
            port: free_port()?,
            directory: &scratch.0,
            programs: self.programs,
            scripts: self.scripts,
        };
        let launch = |mut command: Command, name, side, stdin: Stdio, stdout: Stdio| {
            command.env("DISPLAY", &display.name).stdin(stdin).stdout(stdout);
            let network = self.cable.map(|cable| cable.network(side));
            Launch { command, name, cores: peer.cores, network }.start(&scratch.0)
        };
        let mut send = launch((peer.send)(&context), "send", Side::Sender, Stdio::piped(), Stdio::null())?;
        let out = send.stdin().ok_or("the sender has no stdin")?;
        let (over, stop, seen_us) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        let lines = Mutex::new(Vec::new());
        let (piece, pixels) = (self.piece, &display.pixels);

        let (seen, scene) = thread::scope(|scope| {
            let source = scope.spawn(|| source::run(piece, frames, self.fps, peer.format, out, &stop));
            let watch = scope.spawn(|| piece.watch(pixels, &seen_us, &over));
            let played = (|| {
                if let Some(file) = peer.awaits {
                    wait_for(|| std::fs::metadata(scratch.0.join(file)).is_ok_and(|found| found.len() > 0), &mut send)?;
                }
                let mut recv = match peer.recv {
                    None => None,
                    Some(recv) => Some(launch(recv(&context), "recv", Side::Receiver, Stdio::null(), Stdio::piped())?),
                };
                if let Some(stdout) = recv.as_mut().and_then(Running::stdout) {
                    scope.spawn(|| collect(stdout, &lines));
                }
                first_picture(&mut send, recv.as_mut(), &seen_us)?;
                scene(&mut send, recv.as_mut(), seen_us.load(Ordering::Relaxed))
            })();
            over.store(true, Ordering::Relaxed);
            stop.store(true, Ordering::Relaxed);
            drop(send);
            let seen = watch.join().map_err(|_| "the meter panicked")?;
            source.join().map_err(|_| "the source panicked")??;
            played.map(|played| (seen, played))
        })?;
        if !display.is_alive() {
            return Err("its X server died".into());
        }
        Ok(Played { seen, lines: lines.into_inner().unwrap_or_default(), scene })
    }
}

fn first_picture(send: &mut Running, mut recv: Option<&mut Running>, seen_us: &AtomicU64) -> Result<(), String> {
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
    Ok(())
}

/// One second of `recv --stats json`.
pub struct Line {
    /// When it came.
    pub at_us: u64,
    /// Median latency, ms.
    pub p50: f64,
    /// Pictures shown so far.
    pub shown: f64,
    /// Bytes of pictures' datagrams so far.
    pub bytes: f64,
    /// Datagrams of pictures so far.
    pub datagrams: f64,
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

/// Until something is there that `program` brings; an error when it ends before, or takes too long.
pub fn wait_for(mut there: impl FnMut() -> bool, program: &mut Running) -> Result<(), String> {
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
