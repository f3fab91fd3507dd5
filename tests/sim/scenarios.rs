//! The scenarios, one test each. Figures are held against `ceilings.toml`; what else must be true is asserted here.

use super::ceilings::{Figures, check};
use super::harness::{Program, World};
use super::netem::{Bursts, Params};
use super::oscillator::Oscillator;
use super::receiving::{Receiving, Shared, Speaker, Watched};
use super::sending::{Sending, Source, Stream};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub const CAMERA: &str = "10.0.0.1";
pub const SCREEN: &str = "10.0.0.2";

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The scenario's own seed, turned by `EYELINE_SIM_SEED`.
pub fn seed(of: u64) -> u64 {
    let turn = std::env::var("EYELINE_SIM_SEED").ok().map_or(0, |text| text.parse::<u64>().expect("EYELINE_SIM_SEED is a number"));
    of ^ turn.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A sender that waits and one receiver that dials it.
pub struct Pair {
    pub world: World,
    pub sender: usize,
    pub receiver: usize,
    pub source: Rc<RefCell<Source>>,
    pub watched: Rc<RefCell<Watched>>,
    pub speaker: Rc<RefCell<dyn Speaker>>,
}

/// Parts per million of the four crystals.
#[derive(Clone, Copy, Default)]
pub struct Skews {
    pub sender: f64,
    pub receiver: f64,
    pub microphone: f64,
}

impl Skews {
    /// What any four crystals do.
    pub const USUAL: Skews = Skews { sender: 12.0, receiver: -9.0, microphone: 31.0 };
}

pub fn sending(
    world: &mut World,
    ip: &str,
    skews: Skews,
    stream: Stream,
    hosts: &[&str],
) -> (usize, Rc<RefCell<Source>>) {
    let clocks = (Oscillator::new(secs(5000), skews.sender), Oscillator::new(secs(1), skews.microphone));
    let name = format!("camera at {} ms", world.now / 1_000_000);
    let (program, source) = Sending::new(world.base, world.now, &name, clocks, hosts.len(), stream);
    let ticks: Box<dyn Program> = program;
    (world.start(ip, clocks.0, hosts, ticks), source)
}

pub fn receiving(
    world: &mut World,
    ip: &str,
    skews: Skews,
    patient: bool,
    sources: &[Rc<RefCell<Source>>],
    hosts: &[&str],
) -> (usize, Shared) {
    let clock = Oscillator::new(secs(1200), skews.receiver);
    let (program, shared) = Receiving::new(world.base, world.now, ip, clock, hosts.len(), patient, sources);
    (world.start(ip, clock, hosts, program), shared)
}

impl Pair {
    pub fn new(of: u64, params: &Params, skews: Skews, stream: Stream) -> Pair {
        let mut world = World::new(seed(of), Params::lan());
        world.connect(CAMERA, SCREEN, params);
        let patient = stream.film.is_some();
        let (sender, source) = sending(&mut world, CAMERA, skews, stream, &[]);
        let (receiver, (watched, speaker)) = receiving(&mut world, SCREEN, skews, patient, &[source.clone()], &[CAMERA]);
        Pair { world, sender, receiver, source, watched, speaker }
    }

    pub fn figures(&self) -> Figures {
        let to_screen = self.world.sent_to.iter().filter(|(to, _)| to.ip().to_string() == SCREEN);
        let bytes: u64 = to_screen.map(|(_, traffic)| traffic.bytes).sum();
        figures(&self.source.borrow(), &self.watched.borrow(), &*self.speaker.borrow(), bytes)
    }
}

pub fn figures(source: &Source, watched: &Watched, speaker: &dyn Speaker, bytes: u64) -> Figures {
    let mut latencies = watched.latencies.clone();
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let at = (latencies.len() * percent / 100).min(latencies.len().saturating_sub(1));
        latencies.get(at).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
    };
    Figures {
        p50_ms: percentile(50),
        p95_ms: percentile(95),
        p99_ms: percentile(99),
        partial: watched.partial as f64,
        lost: watched.lost as f64,
        frozen_ms: watched.frozen as f64 / 1e6,
        gap_ms: speaker.gap().as_secs_f64() * 1e3,
        overhead: bytes as f64 / source.body_bytes as f64,
        resent: source.resent() as f64,
        clock_us: watched.clock_error as f64 / 1e3,
    }
}

/// Runs a pair and checks its figures; what came must be nearly what was sent.
fn run(name: &str, mut pair: Pair, length: Duration) -> Pair {
    pair.world.run_until(length);
    let (pictures, shown) = (pair.source.borrow().pictures, pair.watched.borrow().latencies.len() as u64);
    if shown + pair.watched.borrow().lost + 3 < pictures {
        println!("sender {:?}\nreceiver {:?}", pair.source.borrow().log, pair.watched.borrow().log);
        panic!("{name}: of {pictures} pictures {shown} were shown");
    }
    check(name, &pair.figures());
    pair
}

#[test]
fn lan() {
    let pair = run("lan", Pair::new(1, &Params::lan(), Skews::USUAL, Stream::camera()), secs(20));
    assert_eq!(pair.watched.borrow().stats.nacks, 0, "nothing was lost, nothing is asked for");
    assert_eq!(pair.watched.borrow().stats.counters, Default::default());
}
