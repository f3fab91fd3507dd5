//! What a relay carries: one publisher, a real moq-relay, and 10, 50 and 100 who take all of it, each over a connection of its own.
//!
//! `./bench relay` runs it. Publisher, relay and all who take are on this machine, and share its cores; what is counted is the relay's
//! own use of them. Frames are random bytes of the length that pictures have: 100 kB where each is sent whole (24 Mbit/s at 30 a
//! second), 12.5 kB where only what changed is (3 Mbit/s), in one group a picture, eight frames each, as slices are.

#![allow(clippy::disallowed_methods, reason = "plays in real time")]

use bytes::Bytes;
use eyeline::relay::{Company, Config, Follow, Outlet, Relay, Stream, Wishes};
use eyeline_proto::media::layers;
use eyeline_proto::time::MediaTime;
use rcgen::{CertificateParams, KeyPair};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PORT: u16 = 24843;
const PERIOD: Duration = Duration::from_nanos(33_333_333);
const SLICES: u8 = 8;

/// Until all are there, and as long as is measured.
const WARMS: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(10);

/// Bytes of a picture, and what it stands for.
const KINDS: [(usize, &str); 2] = [(100_000, "whole"), (12_500, "what changed")];

struct Node {
    child: Child,
    folder: PathBuf,
}

impl Node {
    fn start(folder: &Path) -> Node {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_string()]).expect("names");
        let certificate = certificate.self_signed(&key).expect("a certificate");
        let (pem, key_file) = (folder.join("relay.pem"), folder.join("relay.key"));
        std::fs::write(&pem, certificate.pem()).expect("a file");
        std::fs::write(&key_file, key.serialize_pem()).expect("a file");
        let place = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/relay")).output().expect("bash");
        let path = String::from_utf8_lossy(&place.stdout).trim().to_string();
        let mut command = Command::new(&path);
        command.arg("--listen").arg(format!("127.0.0.1:{PORT}")).arg("--listen-tls-cert").arg(&pem);
        command.arg("--listen-tls-key").arg(&key_file).args(["--auth-public", "**"]).env("RUST_LOG", "error");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{path}: {error}; scripts/install relay"));
        Node { child, folder: folder.into() }
    }

    /// Time on all cores so far.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // Behind the name: its state, and ten numbers before these two, in hundredths of a second.
        let behind: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = behind.get(11..13).unwrap_or_default().iter().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        Duration::from_millis(10 * ticks)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What came to all.
#[derive(Default)]
struct Came {
    latencies: Vec<Duration>,
    bytes: u64,
}

struct Taker {
    began: Instant,
    came: Arc<Mutex<Came>>,
}

impl Company for Taker {
    fn comes(&mut self, _: &str) -> Option<Box<dyn Follow>> {
        Some(Box::new(Taker { began: self.began, came: self.came.clone() }))
    }
}

impl Follow for Taker {
    fn group(&mut self, _: Stream, _: u64, frames: Vec<Bytes>) {
        // When the last frame was put in stands in each.
        let sent = frames.iter().filter_map(|frame| frame.first_chunk()).map(|nanos| u64::from_be_bytes(*nanos)).max();
        let took = self.began.elapsed().saturating_sub(Duration::from_nanos(sent.unwrap_or(0)));
        let mut came = self.came.lock().unwrap();
        came.latencies.push(took);
        came.bytes += frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
    }

    fn cut(&mut self, _: Stream) {}

    fn wishes(&mut self, _: Instant) -> Wishes {
        Wishes { layers: layers::LAYERS, whole: 0, sound: false }
    }
}

/// Puts pictures in until `until`.
fn play(outlet: &Outlet, (began, until): (Instant, Instant), next: &mut u64, bytes: usize) {
    let noise: Vec<u8> =
        (0..bytes / usize::from(SLICES)).map(|at| ((at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u8).collect();
    while Instant::now() < until {
        let due = began + PERIOD * u32::try_from(*next).unwrap_or(0);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let at = began.elapsed();
        for _ in 0..SLICES {
            let mut frame = noise.clone();
            frame[..8].copy_from_slice(&(at.as_nanos() as u64).to_be_bytes());
            outlet.frame(Stream::Layer(layers::of(*next)), (*next, SLICES), MediaTime::from_nanos(at.as_nanos() as u64), frame);
        }
        *next += 1;
    }
}

fn config(root: &Path, path: Option<&str>, company: Option<Box<dyn Company>>) -> Config {
    let url = format!("https://127.0.0.1:{PORT}/").parse().expect("an address");
    Config { url, roots: vec![root.into()], path: path.map(str::to_string), company }
}

fn measure(takers: usize, (bytes, kind): (usize, &str)) {
    let folder = std::env::temp_dir().join(format!("eyeline-bench-relay-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let node = Node::start(&folder);
    let root = folder.join("relay.pem");
    let (began, came) = (Instant::now(), Arc::<Mutex<Came>>::default());
    let publisher = Relay::start(config(&root, Some("bench/0"), None), |_| {}).expect("a publisher");
    let outlet = publisher.outlet().expect("it publishes").clone();
    let all: Vec<Relay> = (0..takers)
        .map(|_| {
            let taker = Taker { began, came: came.clone() };
            Relay::start(config(&root, None, Some(Box::new(taker))), |_| {}).expect("one who takes")
        })
        .collect();
    let mut next = 0;
    play(&outlet, (began, began + WARMS), &mut next, bytes);
    *came.lock().unwrap() = Came::default();
    let (before, cpu) = (next, node.cpu());
    play(&outlet, (began, began + WARMS + MEASURED), &mut next, bytes);
    let cores = (node.cpu() - cpu).as_secs_f64() / MEASURED.as_secs_f64();
    let mut came = std::mem::take(&mut *came.lock().unwrap());
    let due = (next - before) as f64 * takers as f64;
    came.latencies.sort();
    let ms = |share: f64| {
        came.latencies.get((came.latencies.len() as f64 * share) as usize).map_or(f64::NAN, |it| it.as_secs_f64() * 1000.0)
    };
    let gbit = came.bytes as f64 * 8.0 / MEASURED.as_secs_f64() / 1e9;
    println!(
        "| {takers:>3} | {kind:<12} | {:>5.1} % | {:>6.1} | {:>7.1} | {gbit:>6.3} | {cores:>5.2} | {:>5.2} |",
        100.0 * came.latencies.len() as f64 / due,
        ms(0.5),
        ms(0.99),
        cores / gbit,
    );
    drop((all, publisher));
}

fn main() {
    // cargo runs a bench to list or test it, too.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    println!("| who take | pictures    | came    | p50 ms | p99 ms  | Gbit/s | cores | cores a Gbit/s |");
    println!("|---|---|---|---|---|---|---|---|");
    for kind in KINDS.into_iter().rev() {
        for takers in [10, 50, 100] {
            measure(takers, kind);
        }
    }
}
