//! Hours with four oscillators that disagree: two hosts 300 ppm apart, two sound cards 300 ppm apart, in all four signs.
//!
//! Pictures of two datagrams, ten a second, and sound in mono, so that an hour takes seconds: `EYELINE_SIM_LONG=1` (`./check --long`)
//! makes a day of it. What must be true of each is in [`day`]; figures are held against `ceilings.toml` besides.

use super::ceilings::check;
use super::netem::Params;
use super::scenarios::{Pair, Skews, ms, secs};
use super::sending::Stream;
use eyeline_proto::media::hold::{EARLIEST, Hold, LATEST, Latency};
use std::time::Duration;

/// Playout, clock estimate and controller have so long to settle.
const SETTLED: Duration = Duration::from_secs(60);

fn hours() -> u64 {
    if std::env::var_os("EYELINE_SIM_LONG").is_some() { 24 } else { 1 }
}

/// Lip error of every picture shown after `from`: its latency less that of the sound heard as it was shown. Milliseconds, sorted.
pub fn lips(pair: &Pair, from: Duration) -> Vec<f64> {
    let (watched, speaker) = (pair.watched.borrow(), pair.speaker.borrow());
    let mut heard = speaker.latencies.iter().peekable();
    let mut last = None;
    let mut lips = Vec::new();
    for (shown, latency) in watched.shown_at.iter().zip(&watched.latencies) {
        while let Some((_, sound)) = heard.next_if(|(at, _)| at <= shown) {
            last = Some(*sound);
        }
        if let Some(sound) = last.filter(|_| *shown >= from.as_nanos() as u64) {
            lips.push((*latency as f64 - sound as f64) / 1e6);
        }
    }
    lips.sort_unstable_by(f64::total_cmp);
    lips
}

fn percentile(sorted: &[f64], percent: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * percent / 100.0) as usize]
}

/// Hosts and cards so many ppm apart.
fn day(name: &str, of: u64, (hosts, cards): (f64, f64), latency: Latency) {
    let skews = Skews { sender: hosts / 2.0, receiver: -hosts / 2.0, microphone: cards / 2.0, speaker: -cards / 2.0 };
    let stream = Stream { channels: 1, period: ms(100), ..Stream::small() };
    let mut pair = Pair::new(of, &Params::lan(), skews, stream);
    pair.watched.borrow_mut().hold = Hold::new(latency);
    pair.speaker.borrow_mut().look_at_each(10);
    pair.world.run_until(SETTLED);
    let before = pair.speaker.borrow().stats();
    pair.speaker.borrow_mut().watch_level();
    let first = pair.watched.borrow().latencies.len();
    pair.world.run_until(secs(3600 * hours()));

    let after = pair.speaker.borrow().stats();
    let steps = |stats: eyeline_proto::media::playout::Stats| (stats.underflows, stats.concealed, stats.shed, stats.late);
    assert_eq!(steps(before), steps(after), "an audible step");
    let off = pair.speaker.borrow().level_off();
    assert!(off < ms(10), "the buffer was {off:?} off its target");

    let lips = lips(&pair, SETTLED);
    let [low, median, high] = [2.5, 50.0, 97.5].map(|percent| percentile(&lips, percent));
    let mut late: Vec<f64> = pair.watched.borrow().latencies[first..].iter().map(|ns| *ns as f64 / 1e6).collect();
    late.sort_unstable_by(f64::total_cmp);
    let (least, most) = (late[0], late[late.len() - 1]);
    println!("{name}: pictures {least:.2} to {most:.2} ms, lips {low:.2} to {high:.2} ms, middle {median:.2}, level {off:?} off");
    match latency {
        Latency::Fixed(latency) => {
            let latency = latency.as_secs_f64() * 1e3;
            assert!((least - latency).abs() < 1.0 && (most - latency).abs() < 1.0, "a picture was early or late");
            assert!(low > -20.0 && high < 20.0, "lip error");
        }
        Latency::Auto => {
            assert!(most < 6.0, "a late picture");
            assert!(median - low < 20.0 && high - median < 20.0, "lip error moves");
            assert!(lips[0] > -LATEST * 1e3 && lips[lips.len() - 1] < EARLIEST * 1e3, "beyond BT.1359");
        }
    }
    check(name, &pair.figures());
}

const DELAYED: Latency = Latency::Fixed(Duration::from_millis(80));

#[test]
fn clocks_plus_plus_80ms() {
    day("clocks_80ms", 60, (300.0, 300.0), DELAYED);
}

#[test]
fn clocks_minus_plus_80ms() {
    day("clocks_80ms", 61, (-300.0, 300.0), DELAYED);
}

#[test]
fn clocks_plus_minus_auto() {
    day("clocks_auto", 62, (300.0, -300.0), Latency::Auto);
}

#[test]
fn clocks_minus_minus_auto() {
    day("clocks_auto", 63, (-300.0, -300.0), Latency::Auto);
}
