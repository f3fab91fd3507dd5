//! The scenarios, one test each. Figures are held against `ceilings.toml`; what else must be true is asserted here.

use super::ceilings::{Figures, check};
use super::harness::World;
use super::netem::{Bursts, Params};
use super::oscillator::Oscillator;
use super::party::{Party, Start};
use super::receiving::{Shared, Sources};
use super::sending::Stream;
use super::source::Source;
use super::speaker::Speaker;
use super::watched::Watched;
use eyeline_proto::session::sound_form::Wish;
use eyeline_proto::wire::record::Want;
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
    let turn =
        std::env::var("EYELINE_SIM_SEED").ok().map_or(0, |text| text.parse::<u64>().expect("EYELINE_SIM_SEED is a number"));
    of ^ turn.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A sender that waits and one receiver that dials it.
pub struct Pair {
    pub world: World,
    pub sender: usize,
    pub receiver: usize,
    pub source: Rc<RefCell<Source>>,
    pub sources: Sources,
    pub watched: Rc<RefCell<Watched>>,
    pub speaker: Rc<RefCell<Speaker>>,
}

/// Parts per million of the four crystals.
#[derive(Clone, Copy, Default)]
pub struct Skews {
    pub sender: f64,
    pub receiver: f64,
    pub microphone: f64,
    pub speaker: f64,
}

impl Skews {
    /// What any four crystals do.
    pub const USUAL: Skews = Skews { sender: 12.0, receiver: -9.0, microphone: 31.0, speaker: -24.0 };
}

/// Both machines' clocks may stand still for a while, from and to.
pub type Pauses = ((Duration, Duration), (Duration, Duration));

/// Now, and it dials these hosts.
pub fn start(world: &World, hosts: &[&str]) -> Start {
    Start { base: world.base, at: world.now, hosts: hosts.len(), opus: None, direct: false }
}

pub fn sending(world: &mut World, ip: &str, skews: Skews, stream: Stream, hosts: &[&str]) -> (usize, Rc<RefCell<Source>>) {
    sending_with(world, ip, skews, stream, hosts, (Duration::ZERO, Duration::ZERO))
}

fn sending_with(
    world: &mut World,
    ip: &str,
    skews: Skews,
    stream: Stream,
    hosts: &[&str],
    (from, to): (Duration, Duration),
) -> (usize, Rc<RefCell<Source>>) {
    let clock = Oscillator::new(secs(5000), skews.sender).standing(from, to);
    let clocks = (clock, Oscillator::new(secs(1), skews.microphone));
    let name = format!("camera at {} ms", world.now / 1_000_000);
    let (program, source) = Party::sending(start(world, hosts), &name, clocks, stream);
    (world.start(ip, clocks.0, hosts, program), source)
}

pub fn receiving(
    world: &mut World,
    ip: &str,
    skews: Skews,
    lossless: bool,
    sources: &Sources,
    hosts: &[&str],
) -> (usize, Shared) {
    receiving_with(world, ip, skews, lossless, sources, hosts, (Duration::ZERO, Duration::ZERO))
}

fn receiving_with(
    world: &mut World,
    ip: &str,
    skews: Skews,
    lossless: bool,
    sources: &Sources,
    hosts: &[&str],
    (from, to): (Duration, Duration),
) -> (usize, Shared) {
    let clock = Oscillator::new(secs(1200), skews.receiver).standing(from, to);
    let clocks = (clock, Oscillator::new(secs(77), skews.speaker));
    let (program, shared, _) = Party::receiving(start(world, hosts), ip, clocks, (1, 1), (lossless, Want::ALL), sources);
    (world.start(ip, clock, hosts, program), shared)
}

impl Pair {
    pub fn new(of: u64, params: &Params, skews: Skews, stream: Stream) -> Pair {
        let mut world = World::new(seed(of), Params::lan());
        world.connect(CAMERA, SCREEN, params);
        let lossless = stream.film.is_some();
        let (sender, source) = sending(&mut world, CAMERA, skews, stream, &[]);
        let sources: Sources = Rc::new(RefCell::new(vec![source.clone()]));
        let (receiver, (watched, speaker)) = receiving(&mut world, SCREEN, skews, lossless, &sources, &[CAMERA]);
        Pair { world, sender, receiver, source, sources, watched, speaker }
    }

    /// A camera and a screen that decodes Opus, which is sent as its user wishes.
    pub fn with_opus(of: u64, params: &Params, stream: Stream, wish: Wish) -> Pair {
        let mut world = World::new(seed(of), Params::lan());
        world.connect(CAMERA, SCREEN, params);
        let skews = Skews::USUAL;
        let opus = |start: Start| Start { opus: Some(wish), ..start };
        let clock = Oscillator::new(secs(5000), skews.sender);
        let clocks = (clock, Oscillator::new(secs(1), skews.microphone));
        let (program, source) = Party::sending(opus(start(&world, &[])), "camera at 0 ms", clocks, stream);
        let sender = world.start(CAMERA, clock, &[], program);
        let sources: Sources = Rc::new(RefCell::new(vec![source.clone()]));
        let clock = Oscillator::new(secs(1200), skews.receiver);
        let (begins, clocks) = (opus(start(&world, &[CAMERA])), (clock, Oscillator::new(secs(77), skews.speaker)));
        let (program, (watched, speaker), _) = Party::receiving(begins, SCREEN, clocks, (1, 1), (false, Want::ALL), &sources);
        let receiver = world.start(SCREEN, clock, &[CAMERA], program);
        Pair { world, sender, receiver, source, sources, watched, speaker }
    }

    /// A camera and a screen whose clocks stand still for a while.
    pub fn with_pauses(of: u64, params: &Params, (sender, receiver): Pauses) -> Pair {
        let mut world = World::new(seed(of), Params::lan());
        world.connect(CAMERA, SCREEN, params);
        let (sender, source) = sending_with(&mut world, CAMERA, Skews::USUAL, Stream::camera(), &[], sender);
        let sources: Sources = Rc::new(RefCell::new(vec![source.clone()]));
        let (receiver, (watched, speaker)) =
            receiving_with(&mut world, SCREEN, Skews::USUAL, false, &sources, &[CAMERA], receiver);
        Pair { world, sender, receiver, source, sources, watched, speaker }
    }

    pub fn figures(&self) -> Figures {
        let to_screen = self.world.sent_to.iter().filter(|(to, _)| to.ip().to_string() == SCREEN);
        let bytes: u64 = to_screen.map(|(_, traffic)| traffic.bytes).sum();
        let mut figures = figures(&self.source.borrow(), &self.watched.borrow(), &self.speaker.borrow(), bytes);
        if self.watched.borrow().finished.is_none() {
            figures.frozen_ms =
                figures.frozen_ms.max((self.world.now - self.watched.borrow().last_band.unwrap_or(0)) as f64 / 1e6);
        }
        figures
    }
}

/// Sound and clock estimate have so long to settle before lip error is measured.
const SETTLES: u64 = 3_000_000_000;

fn percentile(nanos: impl Iterator<Item = u64>, percent: usize) -> f64 {
    let mut sorted: Vec<u64> = nanos.collect();
    sorted.sort_unstable();
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |nanos| *nanos as f64 / 1e6)
}

pub fn figures(source: &Source, watched: &Watched, speaker: &Speaker, bytes: u64) -> Figures {
    let video = |percent| percentile(watched.latencies.iter().copied(), percent);
    let sound =
        |percent| percentile(speaker.latencies.iter().filter(|(at, _)| *at > SETTLES).map(|(_, latency)| *latency), percent);
    let lip = [sound(1), sound(99)].iter().map(|sound| (video(50) - sound).abs()).fold(0.0, f64::max);
    Figures {
        p50_ms: video(50),
        p95_ms: video(95),
        p99_ms: video(99),
        partial: watched.partial as f64,
        lost: watched.lost as f64,
        frozen_ms: watched.frozen as f64 / 1e6,
        sound_ms: if source.has_microphone() { sound(95) } else { 0.0 },
        lip_ms: if source.has_microphone() { lip } else { 0.0 },
        gap_ms: if source.has_microphone() { speaker.gap().as_secs_f64() * 1e3 } else { 0.0 },
        overhead: bytes as f64 / source.body_bytes as f64,
        resent: source.resent() as f64,
        clock_us: watched.clock_error as f64 / 1e3,
        back_ms: 0.0,
    }
}

/// Runs a pair and checks its figures; what came must be nearly what was sent.
pub fn run(name: &str, mut pair: Pair, length: Duration) -> Pair {
    pair.world.run_until(length);
    let first = pair.watched.borrow().settled.first().map_or(0, |settled| settled.picture);
    let pictures = pair.source.borrow().pictures - first;
    let (came, lost, shown) = {
        let watched = pair.watched.borrow();
        (watched.whole + watched.partial, watched.lost, watched.latencies.len() as u64)
    };
    // One that was whole when a newer one was seen already is not shown.
    if came + lost + 3 < pictures || shown + pictures / 33 < came {
        println!("sender {:?}\nreceiver {:?}", pair.source.borrow().log, pair.watched.borrow().log);
        panic!("{name}: of {pictures} pictures {came} came, and {shown} were shown");
    }
    check(name, &pair.figures());
    pair
}

#[test]
fn lan() {
    let pair = run("lan", Pair::new(1, &Params::lan(), Skews::USUAL, Stream::camera()), secs(20));
    assert_eq!(pair.watched.borrow().stats.total.nacks, 0, "nothing was lost, nothing is asked for");
    assert_eq!(pair.watched.borrow().counters, Default::default());
}

pub fn lossy(loss: f64) -> Params {
    Params { delay: ms(2), jitter: ms(1), loss, rate: 100_000_000, queue: ms(50), ..Params::default() }
}

#[test]
fn loss_1() {
    let pair = run("loss_1", Pair::new(2, &lossy(0.01), Skews::USUAL, Stream::camera()), secs(20));
    assert!(pair.source.borrow().resent() > 300, "about {} packets were lost", 20 * 30 * 108 / 100);
}

#[test]
fn loss_5() {
    run("loss_5", Pair::new(3, &lossy(0.05), Skews::USUAL, Stream::camera()), secs(20));
}

/// A bad state of 20 packets' mean length in which half are lost, one packet in a thousand enters it.
#[test]
fn loss_in_bursts() {
    let bursts = Bursts { enter: 0.001, leave: 0.05, loss: 0.5 };
    run("loss_in_bursts", Pair::new(4, &Params { bursts, ..lossy(0.0) }, Skews::USUAL, Stream::camera()), secs(20));
}

#[test]
fn reorder() {
    let params = Params { reorder: 0.02, reorder_by: ms(1), ..lossy(0.0) };
    run("reorder", Pair::new(5, &params, Skews::USUAL, Stream::camera()), secs(20));
}

/// One in ten is overtaken: it costs a few answers to questions that were not needed, and no picture.
#[test]
fn reorder_10() {
    let params = Params { reorder: 0.1, reorder_by: ms(1), ..lossy(0.0) };
    run("reorder_10", Pair::new(48, &params, Skews::USUAL, Stream::camera()), secs(20));
}

#[test]
fn duplicates() {
    let params = Params { duplicate: 0.1, ..Params::lan() };
    let pair = run("duplicates", Pair::new(6, &params, Skews::USUAL, Stream::camera()), secs(10));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    assert!(watched.counters.replayed > 1000, "{:?}", watched.counters);
    assert!(source.counters.replayed > 5, "{:?}", source.counters);
    assert_eq!((watched.stats.total.nacks, watched.stats.total.late), (0, 0), "a copy is dropped before anybody looks into it");
}

/// The sender's crystal gains on the receiver's, 0.36 s in an hour, or loses as much: the latency stays, for pictures and for
/// sound.
fn skewed(name: &str, of: u64, ppm: f64, stream: Stream, length: Duration) {
    let skews = Skews { sender: ppm / 2.0, receiver: -ppm / 2.0, microphone: -ppm, speaker: ppm };
    let pair = run(name, Pair::new(of, &Params::lan(), skews, stream), length);
    let (watched, speaker) = (pair.watched.borrow(), pair.speaker.borrow());
    let mean = |part: &[u64]| part.iter().sum::<u64>() as f64 / part.len() as f64 / 1e6;
    let minute = 60 * 30;
    let (early, late) = (mean(&watched.latencies[..minute]), mean(&watched.latencies[watched.latencies.len() - minute..]));
    assert!((late - early).abs() < 0.5, "latency went from {early} to {late} ms");
    let heard: Vec<u64> = speaker.latencies.iter().map(|(_, latency)| *latency).collect();
    if pair.source.borrow().has_microphone() {
        let minute = 60 * 100;
        let (second, last) = (mean(&heard[minute..2 * minute]), mean(&heard[heard.len() - minute..]));
        assert!((last - second).abs() < 2.0, "sound went from {second} to {last} ms");
    }
    let estimated = watched.skew_ppm;
    assert!((estimated - ppm).abs() < 5.0, "the estimate is {estimated} ppm");
}

#[test]
fn skew_plus_100ppm() {
    skewed("skew_plus_100ppm", 7, 100.0, Stream::small(), secs(3600));
}

#[test]
fn skew_minus_100ppm() {
    skewed("skew_minus_100ppm", 8, -100.0, Stream::small(), secs(3600));
}

/// Ten minutes with sound: unsteered, it would be 60 ms early or late at their end, or run dry.
#[test]
fn skew_sound_plus_100ppm() {
    skewed("skew_sound_plus_100ppm", 18, 100.0, Stream { channels: 1, ..Stream::small() }, secs(600));
}

#[test]
fn skew_sound_minus_100ppm() {
    skewed("skew_sound_minus_100ppm", 19, -100.0, Stream { channels: 1, ..Stream::small() }, secs(600));
}

/// One receiver from the start, another that comes ten seconds later on a worse link: it sees a picture within a frame period of
/// its path, and the first notices nothing.
#[test]
fn late_joiner() {
    let mut pair = Pair::new(9, &Params::lan(), Skews::USUAL, Stream::camera());
    let params = Params { delay: ms(10), ..lossy(0.01) };
    // The opening is measured in round trips, so nothing of it may be lost.
    pair.world.connect(CAMERA, "10.0.0.3", &Params { loss: 0.0, ..params.clone() });
    pair.world.at(ms(10_300), move |world| world.connect(CAMERA, "10.0.0.3", &params));
    pair.world.run_until(ms(10_007));
    let began = pair.world.now;
    let (_, (late, _)) = receiving(&mut pair.world, "10.0.0.3", Skews::USUAL, false, &pair.sources, &[CAMERA]);
    let pair = run("late_joiner", pair, secs(15));
    let late = late.borrow();
    let first = late.first_whole.expect("it saw something") - began;
    // TCP's opening, handshake, hello and challenge are four round trips of 20 ms; then a picture.
    assert!(first < 150_000_000, "the first picture came after {} ms", first / 1_000_000);
    // A challenge goes out with the sender's hello, and is answered a round trip later.
    let path = late.log.iter().find(|(_, what)| what.starts_with("up ")).expect("a sender").0 + 20;
    assert!(late.first_whole.expect("seen") / 1_000_000 - path < 33 + 20, "a picture within a frame period of the path");
    // A picture loses one packet in the mean; where the answer is lost, too, a second one would come after its deadline.
    assert!(late.latencies.len() >= 144 && late.whole >= 130, "{} shown, {} whole", late.latencies.len(), late.whole);
    assert_eq!(pair.source.borrow().stats.peers.len(), 2);
}

/// Nobody watches for a while, and the camera is closed. Who comes then sees nothing of what was caught before.
#[test]
fn who_comes_after_the_source_was_closed_begins_with_what_is_caught_then() {
    let stream = Stream { closes: true, channels: 0, ..Stream::camera() };
    let mut pair = Pair::new(9, &Params::lan(), Skews::USUAL, stream);
    let first = pair.receiver;
    pair.world.at(secs(2), move |world| world.power_off(first));
    pair.world.connect(CAMERA, "10.0.0.3", &Params::lan());
    pair.world.run_until(secs(9));
    assert!(!pair.source.borrow().watched, "nobody watches: {:?}", pair.source.borrow().log);
    let (_, (late, _)) = receiving(&mut pair.world, "10.0.0.3", Skews::USUAL, false, &pair.sources, &[CAMERA]);
    pair.world.run_until(secs(11));
    let late = late.borrow();
    let oldest = late.latencies.iter().max().expect("it saw something") / 1_000_000;
    assert!(oldest < 200, "a picture of {oldest} ms ago was shown as if it were live");
}

/// The power of one of two receivers goes. The other notices nothing, and the sender stops sending to the one that is gone.
#[test]
fn receiver_vanishes() {
    let mut pair = Pair::new(10, &Params::lan(), Skews::USUAL, Stream::camera());
    let (gone, (other, _)) = receiving(&mut pair.world, "10.0.0.3", Skews::USUAL, false, &pair.sources, &[CAMERA]);
    pair.world.at(secs(4), move |world| world.power_off(gone));
    pair.world.run_until(secs(8));
    assert!(other.borrow().whole > 115);
    let to_gone = |pair: &Pair| {
        let traffic = pair.world.sent_to.iter().find(|(to, _)| to.ip().to_string() == "10.0.0.3");
        traffic.map_or(0, |(_, traffic)| traffic.bytes)
    };
    let before = to_gone(&pair);
    let pair = run("receiver_vanishes", pair, secs(14));
    let pings = to_gone(&pair) - before;
    assert!(pings < 6 * 5 * 200, "{pings} bytes in six seconds are more than probes");
}

/// A film over a lossy path with an outage: every picture whole, in order, none left out, and the reader held back meanwhile.
fn film(of: u64) -> Pair {
    let film = Stream { period: ms(10), slices: 4, slice_bytes: 6000, film: Some(1500), ..Stream::camera() };
    let mut params = lossy(0.02);
    params.outages = vec![(secs(6), ms(7200))];
    let mut pair = Pair::new(of, &params, Skews::USUAL, film);
    pair.world.run_until(secs(30));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let numbers: Vec<u64> = watched.settled.iter().map(|settled| settled.picture).collect();
    assert_eq!(numbers, (0..1500).collect::<Vec<_>>(), "in order, each once\n{:?}\n{:?}", source.log, watched.log);
    let broken: Vec<_> = watched.settled.iter().filter(|settled| !settled.is_whole()).collect();
    assert!(broken.is_empty(), "{broken:?}\n{:?}\n{:?}\n{:?}", source.log, watched.log, source.stats.peers);
    assert_eq!(watched.blocks, (0..1500).collect::<Vec<_>>(), "sound, too\n{:?}\n{:?}", source.log, watched.log);
    assert!(source.pressed > 0, "an outage of 1.2 s at 100 pictures a second is beyond the window of 60");
    let ended = watched.finished.unwrap_or_else(|| panic!("it ended\n{:?}\n{:?}", source.log, watched.log));
    assert!(ended < 21_000_000_000, "ended at {} ms", ended / 1_000_000);
    drop((watched, source));
    pair
}

#[test]
fn film_loss_2() {
    check("film_loss_2", &film(11).figures());
}

/// What is rare shows in numbers: which packets an outage cuts off, and what comes first after it.
#[test]
fn films_are_whole_whatever_the_dice() {
    for of in 100..120 {
        film(of);
    }
}

/// The sender dies and is started again on the same host two seconds later, with new keys and a new identity.
#[test]
fn sender_restart() {
    let mut pair = Pair::new(12, &Params::lan(), Skews::USUAL, Stream::camera());
    let sender = pair.sender;
    pair.world.at(secs(4), move |world| world.kill(sender));
    restarted("sender_restart", pair);
}

/// The same, but its machine lost power: nobody closes the connection, and nothing says that it is gone.
#[test]
fn sender_power_loss() {
    let mut pair = Pair::new(13, &Params::lan(), Skews::USUAL, Stream::camera());
    let sender = pair.sender;
    pair.world.at(secs(4), move |world| world.power_off(sender));
    restarted("sender_power_loss", pair);
}

fn restarted(name: &str, mut pair: Pair) {
    pair.world.run_until(secs(6));
    let (_, second) = sending(&mut pair.world, CAMERA, Skews { sender: 40.0, ..Skews::USUAL }, Stream::camera(), &[]);
    pair.sources.borrow_mut().push(second.clone());
    pair.world.run_until(secs(12));
    let watched = pair.watched.borrow();
    let back = watched.whole_at.iter().find(|at| **at > 6_000_000_000);
    let back = back.unwrap_or_else(|| panic!("no picture of the new sender\n{:?}\n{:?}", watched.log, second.borrow().log));
    println!("{name}: the first picture {} ms after the restart", (back - 6_000_000_000) / 1_000_000);
    assert!(*back < 7_500_000_000, "{:?}", watched.log);
    assert!(watched.senders.len() == 2 && watched.whole > 4 * 29 + 4 * 29, "{:?}", watched.log);
    drop(watched);
    check(name, &pair.figures());
}

/// TCP stands still for 300 ms (its segments are lost; datagrams pass): the picture does not care, and the sound comes back.
#[test]
fn tcp_stall_300ms() {
    let mut pair = Pair::new(14, &Params::lan(), Skews::USUAL, Stream::camera());
    pair.world.tcp_outage = Some((secs(5), ms(5300)));
    run("tcp_stall_300ms", pair, secs(10));
}

/// A NAT gives the receiver another address in the middle: the picture resumes there without TCP taking part.
#[test]
fn rebinding() {
    let mut pair = Pair::new(15, &Params::lan(), Skews::USUAL, Stream::camera());
    let receiver = pair.receiver;
    pair.world.at(secs(4), move |world| world.rebind(receiver, "10.0.0.2:50505".parse().unwrap()));
    let pair = run("rebinding", pair, secs(8));
    assert!(pair.watched.borrow().frozen < 500_000_000);
    assert_eq!(pair.watched.borrow().senders.len(), 1, "the same connection");
}

/// An outage of five seconds: both sides say so, keep their keys, and go on at once when it ends.
#[test]
fn outage_5s() {
    let params = Params { outages: vec![(secs(4), secs(9))], ..Params::lan() };
    let mut pair = Pair::new(16, &params, Skews::USUAL, Stream::camera());
    pair.world.run_until(secs(15));
    let watched = pair.watched.borrow();
    let back = watched.whole_at.iter().find(|at| **at > 9_000_000_000).copied();
    let back = back.unwrap_or_else(|| panic!("no picture after the outage\n{:?}\n{:?}", watched.log, pair.source.borrow().log));
    assert!(
        back < 9_500_000_000,
        "back after {} ms\n{:?}\n{:?}",
        (back - 9_000_000_000) / 1_000_000,
        watched.log,
        pair.source.borrow().log
    );
    assert!(watched.log.iter().any(|(at, what)| what == "quiet true" && (6900..7200).contains(at)), "{:?}", watched.log);
    drop(watched);
    check("outage_5s", &pair.figures());
}

/// A path on which no datagram passes: both sides say so once and go on waiting; nobody spins.
#[test]
fn udp_blocked() {
    let mut pair = Pair::new(17, &Params::lan(), Skews::USUAL, Stream::camera());
    pair.world.udp_blocked = true;
    pair.world.run_until(secs(10));
    for log in [&pair.watched.borrow().log, &pair.source.borrow().log] {
        let said: Vec<_> = log.iter().filter(|(_, what)| what.starts_with("no udp")).collect();
        assert!(said.len() == 1 && (1900..2200).contains(&said[0].0), "{log:?}");
    }
}
