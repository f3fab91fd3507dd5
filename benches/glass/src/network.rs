//! The network bench: each peer plays the same live picture over a link that loses, delays, chokes or is pulled; what came of it
//! is read off the displayed pixels.
//!
//! Each scenario begins on a clean link, so that every program has a picture to lose, and then follows its script. A picture is
//! *whole* when all of it was on the screen, no stripe of an older one among it; the *longest freeze* is the longest time in
//! which no part of it became newer.

use crate::clock::{now_us, sleep_until};
use crate::glass::LOOP;
use crate::impair::Conditions;
use crate::network_report;
use crate::outcome::{Outcome, Pulled, Rates};
use crate::peers::{self, Peer};
use crate::play::Stage;
use crate::rig;
use crate::scenarios::{SCENARIOS, Scenario, Script};
use crate::scene::{self, Probes, Shape};
use crate::screen::Barcoded;
use crate::source;
use crate::stats::{Figures, Log, quantile};
use crate::tun::{Cable, Sample};
use std::path::PathBuf;

/// Pictures a second, of 1280x720.
const FPS: u64 = 30;

/// From the first picture to the first change of the link: programs warm up.
const WARM_UP_US: u64 = 2_000_000;

/// What changes becomes settled before it is measured.
const SETTLE_US: u64 = 1_000_000;

/// Latency is back when it is at most this much above what it was: a picture of 20 KB alone needs half of it at 5 Mbit/s.
const BACK_MS: f64 = 75.0;

/// Those beside whom Eyeline is put, and Eyeline.
pub fn everybody() -> Vec<&'static Peer> {
    let find = |key: &str| peers::ALL.iter().find(|peer| peer.key == key);
    let peers = ["gst-jpeg", "gst-h264", "ffplay", "eyeline"].into_iter().filter_map(find);
    peers.flat_map(|peer| [Some(peer), (peer.key == "ffplay").then_some(&peers::FFPLAY_TS)]).flatten().collect()
}

/// What is asked for.
pub struct Options {
    /// How long a steady scenario is measured.
    pub seconds: f64,
    /// Which, in order.
    pub scenarios: Vec<&'static Scenario>,
    /// Whom.
    pub peers: Vec<&'static Peer>,
    /// Decides what is lost.
    pub seed: u64,
    /// Where `send` and `recv` are.
    pub programs: PathBuf,
    /// Where the peers' scripts are.
    pub scripts: PathBuf,
}

impl Options {
    /// Everything usual.
    pub fn usual() -> Options {
        Options {
            seconds: 10.0,
            scenarios: SCENARIOS.iter().filter(|scenario| scenario.usual).collect(),
            peers: everybody(),
            seed: 1,
            programs: PathBuf::from("target/release"),
            scripts: PathBuf::from("benches/glass/peers"),
        }
    }
}

/// Runs everything and prints the tables.
pub fn run(options: &Options) -> Result<(), String> {
    let way = Cable::new(options.seed).and_then(|cable| cable.probe())?;
    println!("the way through a clean link takes {:.2} ms, at the 99th percentile {:.2} ms", way[0] / 1e3, way[1] / 1e3);
    let shape = Shape { rows_marked: true, ..Shape::new(1280, 720, LOOP)? };
    let mut frames = scene::render(shape);
    let probes = Probes::new(shape, &frames);
    let plain = source::plain_jpeg_bytes(shape, &frames)?;
    println!("1280x720@{FPS}, as plain JPEGs {:.1} Mbit/s; seed {}", plain * 8.0 * FPS as f64 / 1e6, options.seed);
    let mut outcomes = Vec::new();
    for scenario in &options.scenarios {
        for peer in &options.peers {
            let outcome = measure(options, scenario, peer, shape, &probes, &mut frames);
            match &outcome {
                Ok(outcome) => rig::progress(&format!("{}, {}: {}", scenario.name, peer.title, outcome.brief())),
                Err(why) => rig::progress(&format!("{}, {}: {why}", scenario.name, peer.title)),
            }
            outcomes.push((*scenario, *peer, outcome.ok()));
        }
    }
    network_report::print(&outcomes);
    Ok(())
}

fn measure(
    options: &Options,
    scenario: &Scenario,
    peer: &Peer,
    shape: Shape,
    probes: &Probes,
    frames: &mut [Vec<u8>],
) -> Result<Outcome, String> {
    let cable = Cable::new(options.seed)?;
    let piece = Barcoded { shape, probes };
    let stage = Stage { piece: &piece, fps: FPS, programs: &options.programs, scripts: &options.scripts, cable: Some(&cable) };
    let played = stage.play(peer, frames, |_, _, seen_us| Ok(follow(scenario.script, &cable, options.seconds, seen_us)))?;
    let seen = Seen { log: &played.seen, marks: &played.scene, samples: cable.samples() };
    if std::env::var_os("EYELINE_BENCH_STAGES").is_some() {
        let [p50, p99] = cable.late_us();
        rig::progress(&format!("    packets left the link {p50:.0} us late, at the 99th percentile {p99:.0} us"));
    }
    Ok(seen.outcome(scenario.script))
}

/// Lets the link do what the script says. Returns the times that part it: of each change, and of the end.
fn follow(script: Script, cable: &Cable, seconds: f64, seen_us: u64) -> Vec<u64> {
    let mut at = seen_us + WARM_UP_US;
    let mut marks = Vec::new();
    let mut step = |conditions: Option<Conditions>, lasts_us: u64| {
        sleep_until(at);
        if let Some(conditions) = conditions {
            cable.set(conditions);
        }
        marks.push(now_us());
        at += lasts_us;
    };
    let near = Conditions { delay_us: 1_000, ..Conditions::CLEAN };
    match script {
        Script::Steady(conditions) => {
            step(Some(conditions), SETTLE_US);
            step(None, (seconds * 1e6) as u64);
        }
        Script::Rates(rates, queue) => {
            step(Some(near), 3_000_000);
            for rate in rates {
                step(Some(Conditions { rate: Some(rate * 1_000_000), queue, ..near }), 10_000_000);
            }
        }
        Script::Pulled(seconds) => {
            step(Some(near), 3_000_000);
            step(Some(Conditions { up: false, ..near }), seconds * 1_000_000);
            step(Some(near), 6_000_000);
        }
    }
    step(None, 0);
    // Pictures under way are still seen.
    sleep_until(at + 1_000_000);
    marks
}

struct Seen<'a> {
    log: &'a Log,
    marks: &'a [u64],
    samples: Vec<Sample>,
}

impl Seen<'_> {
    fn outcome(&self, script: Script) -> Outcome {
        let marks = self.marks;
        let (from, to) = match script {
            Script::Steady(_) => (marks[1], marks[2]),
            Script::Rates(..) | Script::Pulled(_) => (marks[0], marks[marks.len() - 1]),
        };
        let figures = Figures::of(self.log, FPS as f64, from, to);
        let [p50, _, p99, _] = figures.latency;
        Outcome {
            whole: (figures.shown - figures.damaged) / figures.expected,
            shown: figures.shown / figures.expected,
            freeze_ms: self.log.freeze_ms(from, to),
            p50,
            p99,
            mbit: self.mbit(from, to, |sample| sample.counts.bytes),
            rates: matches!(script, Script::Rates(..)).then(|| self.rates(script)),
            pulled: matches!(script, Script::Pulled(_)).then(|| self.pulled()),
        }
    }

    /// Mean rate of a counter over a time.
    fn mbit(&self, from: u64, to: u64, count: impl Fn(&Sample) -> u64) -> f64 {
        let mut within = self.samples.iter().filter(|sample| (from..to).contains(&sample.at_us));
        match (within.next(), within.next_back()) {
            (Some(first), Some(last)) => (count(last) - count(first)) as f64 * 8.0 / (last.at_us - first.at_us) as f64,
            _ => f64::NAN,
        }
    }

    fn p50(&self, from: u64, to: u64) -> f64 {
        Figures::of(self.log, FPS as f64, from, to).latency[0]
    }

    fn rates(&self, script: Script) -> Rates {
        let Script::Rates(nominal, _) = script else { return Rates::nothing() };
        let mut rates = Rates::nothing();
        let before = self.p50(self.marks[0], self.marks[1]);
        for (i, nominal) in nominal.into_iter().enumerate() {
            let (from, to) = (self.marks[i + 1], self.marks[i + 2]);
            let half = (from + to) / 2;
            rates.settle_ms[i] = self.settle_ms(from, to, before + BACK_MS);
            rates.p50[i] = self.p50(half, to);
            rates.share[i] = self.mbit(half, to, |sample| sample.counts.passed) / nominal as f64;
            let packets = self.mbit(half, to, |sample| sample.counts.packets);
            rates.dropped[i] = self.mbit(half, to, |sample| sample.counts.dropped) / packets;
            let mut standing: Vec<f64> = self
                .samples
                .iter()
                .filter(|sample| (half..to).contains(&sample.at_us))
                .map(|sample| sample.standing_us as f64 / 1e3)
                .collect();
            rates.standing_ms[i] = quantile(&mut standing, 0.5);
            rates.standing95_ms[i] = quantile(&mut standing, 0.95);
        }
        rates
    }

    /// From `from` to the last picture before `to` that was too late.
    fn settle_ms(&self, from: u64, to: u64, limit_ms: f64) -> f64 {
        let shown: Vec<_> = self.log.shown.iter().filter(|shown| (from..to).contains(&shown.seen_us)).collect();
        let late = shown.iter().filter(|shown| shown.seen_us.saturating_sub(shown.mark.emit_us) as f64 / 1e3 > limit_ms);
        let settled = late.map(|shown| shown.seen_us).max().unwrap_or(from);
        // Late to the end is never, and so is nothing to see.
        let last = shown.last().map_or(0, |shown| shown.seen_us);
        if settled + 1_000_000 > to || last + 1_000_000 < to { f64::INFINITY } else { (settled - from) as f64 / 1e3 }
    }

    fn pulled(&self) -> Pulled {
        let [before, _, back, end] = [0, 1, 2, 3].map(|i| self.marks[i]);
        let first = self.log.fresh.iter().find(|at| **at >= back);
        Pulled {
            back_ms: first.map_or(f64::INFINITY, |at| (at - back) as f64 / 1e3),
            p50: [self.p50(before, self.marks[1]), self.p50(end - 3_000_000, end)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Mark;
    use crate::stats::Shown;

    /// A picture every 33 ms over ten seconds, each late by what `latency_ms` says of its time; none where it says nothing.
    fn log(latency_ms: impl Fn(u64) -> Option<u64>) -> Log {
        let mut log = Log::default();
        for id in 0..300u16 {
            let emit_us = u64::from(id) * 33_333;
            if let Some(latency_ms) = latency_ms(emit_us / 1000) {
                let seen_us = emit_us + latency_ms * 1000;
                log.shown.push(Shown { mark: Mark { emit_us, id }, seen_us, wrong: 0.0, wrong_rows: 0 });
                log.fresh.push(seen_us);
            }
        }
        log
    }

    fn settle_ms(log: &Log) -> f64 {
        Seen { log, marks: &[], samples: Vec::new() }.settle_ms(0, 10_000_000, 100.0)
    }

    #[test]
    fn latency_is_back_with_the_last_late_picture() {
        assert_eq!(settle_ms(&log(|_| Some(10))), 0.0);
        let settled = settle_ms(&log(|at| Some(if at < 2_000 { 200 } else { 10 })));
        assert!((2_100.0..2_300.0).contains(&settled), "{settled}");
    }

    #[test]
    fn late_to_the_end_and_nothing_to_see_are_never() {
        assert_eq!(settle_ms(&log(|_| Some(200))), f64::INFINITY);
        assert_eq!(settle_ms(&log(|at| (at < 5_000).then_some(10))), f64::INFINITY);
        assert_eq!(settle_ms(&log(|_| None)), f64::INFINITY);
    }

    #[test]
    fn a_freeze_is_the_longest_gap_and_counts_to_the_end() {
        let gap = log(|at| (!(3_000..4_000).contains(&at)).then_some(10)).freeze_ms(0, 10_000_000);
        assert!((1_000.0..1_070.0).contains(&gap), "{gap}");
        let end = log(|at| (at < 5_000).then_some(10)).freeze_ms(0, 10_000_000);
        assert!((4_950.0..5_050.0).contains(&end), "{end}");
    }

    #[test]
    fn a_pulled_link_is_back_with_the_first_newer_picture() {
        let log = log(|at| (!(3_000..5_200).contains(&at)).then_some(10));
        let marks = [0, 3_000_000, 5_000_000, 9_900_000];
        let pulled = Seen { log: &log, marks: &marks, samples: Vec::new() }.pulled();
        assert!((200.0..250.0).contains(&pulled.back_ms), "{}", pulled.back_ms);
        assert_eq!(pulled.p50, [10.0, 10.0]);
    }

    #[test]
    fn a_bottleneck_s_share_is_of_the_bytes_that_came_through() {
        let sample = |i: u64| Sample {
            at_us: i * 50_000,
            standing_us: 12_000,
            counts: crate::impair::Counts { passed: i * 50_000 / 8 * 4, ..Default::default() },
        };
        let log = log(|_| Some(10));
        let samples = (0..200).map(sample).collect();
        let marks = [0, 1_000_000, 4_000_000, 7_000_000, 10_000_000];
        let seen = Seen { log: &log, marks: &marks, samples };
        let rates = seen.rates(Script::Rates([20, 5, 20], crate::impair::Queue::Time(0)));
        assert!((rates.share[1] - 0.8).abs() < 0.01 && (rates.share[2] - 0.2).abs() < 0.01, "{:?}", rates.share);
        assert_eq!(rates.standing_ms, [12.0; 3]);
    }
}
