//! A random walk through all a path can do: each seed rolls a path, and every two seconds another one, with outages, suspended
//! processes and changed addresses between; then the path is good again, and everything must be as if nothing had been.
//!
//! 50 seeds in `./check`, 1,000 in `./check --long`; `EYELINE_SIM_SEED` turns them all.

use super::harness::World;
use super::netem::{Bursts, Dice, Params};
use super::scenarios::{CAMERA, Pair, SCREEN, Skews, ms, secs, seed};
use super::sending::Stream;
use std::time::Duration;

/// How long the path is bad, and how long it is good before and after.
const CALM: u64 = 4;
const STORM: u64 = 16;
const AFTER: u64 = 20;

/// Any path: most are bearable, some are not.
fn path(dice: &mut Dice) -> Params {
    let mut pick = |choices: &[f64]| choices[(dice.next() % choices.len() as u64) as usize];
    let micros = |us: f64| Duration::from_micros(us as u64);
    Params {
        delay: micros(pick(&[200.0, 2_000.0, 15_000.0, 30_000.0, 75_000.0])),
        jitter: micros(pick(&[100.0, 1_000.0, 10_000.0, 30_000.0])),
        loss: pick(&[0.0, 0.0, 0.01, 0.05, 0.2]),
        bursts: Bursts { enter: pick(&[0.0, 0.0, 0.001, 0.01]), leave: 0.05, loss: 0.7 },
        reorder: pick(&[0.0, 0.0, 0.02, 0.1]),
        reorder_by: micros(pick(&[1_000.0, 5_000.0])),
        duplicate: pick(&[0.0, 0.0, 0.1]),
        rate: pick(&[1e9, 1e8, 4e7, 1e7, 4e6]) as u64,
        queue: micros(pick(&[20_000.0, 200_000.0])),
        ..Params::default()
    }
}

fn walk(of: u64) {
    let mut dice = Dice::new(seed(0x57A1_0000 + of));
    let ppm = |dice: &mut Dice| dice.unit() * 600.0 - 300.0;
    let skews = Skews { sender: ppm(&mut dice), receiver: 0.0, microphone: ppm(&mut dice), speaker: ppm(&mut dice) };
    let good = Params { delay: ms(2), ..Params::lan() };
    // Pictures of 25 KB: a thousand walks are to be done in minutes.
    let stream = Stream { slices: 4, slice_bytes: 6000, ..Stream::camera() };
    let mut pair = Pair::new(0x57A1_0000 + of, &good, skews, stream);
    let receiver = pair.receiver;
    let mut story = Vec::new();
    for step in 0..STORM / 2 {
        let (at, mut next) = (secs(CALM + 2 * step), path(&mut dice));
        if dice.happens(0.2) {
            next.outages = vec![(at, at + Duration::from_millis(200 + dice.next() % 4000))];
        }
        if dice.happens(0.15) {
            let port = 40_000 + (dice.next() % 1000) as u16;
            story.push(format!("{} s: address 10.0.0.2:{port}", at.as_secs()));
            pair.world.at(at, move |world| world.rebind(receiver, std::net::SocketAddr::new(SCREEN.parse().unwrap(), port)));
        }
        story.push(format!(
            "{} s: {:?} +{:?} loss {} bursts {} reorder {} rate {} queue {:?} outage {:?}",
            at.as_secs(),
            next.delay,
            next.jitter,
            next.loss,
            next.bursts.enter,
            next.reorder,
            next.rate,
            next.queue,
            next.outages
        ));
        pair.world.at(at, move |world| retune(world, &next));
    }
    let calm = secs(CALM + STORM);
    pair.world.at(calm, move |world| retune(world, &good));
    for second in 1..=CALM + STORM {
        pair.world.run_until(secs(second));
        let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
        assert!(
            watched.stats.total.assembly_bytes < 20 << 20,
            "walk {of}: {} bytes are put together",
            watched.stats.total.assembly_bytes
        );
        assert!(source.stats.log_bytes < 17 << 20, "walk {of}: the log has {} bytes", source.stats.log_bytes);
    }
    pair.world.run_until(calm + secs(AFTER));

    let (watched, source, speaker) = (pair.watched.borrow(), pair.source.borrow(), pair.speaker.borrow());
    let told = || {
        format!(
            "walk {of}\n{}\nreceiver {:?}\nsender {:?}\ntargets {:?} step {:?}",
            story.join("\n"),
            watched.log,
            source.log,
            source.targets.iter().rev().take(12).collect::<Vec<_>>(),
            source.steps.last()
        )
    };
    let settled: Vec<u64> = watched.settled.iter().map(|settled| settled.picture).collect();
    assert!(settled.is_sorted_by(|a, b| a < b), "a picture came twice or behind a later one: {}", told());
    let from = (calm + secs(AFTER - 4)).as_nanos() as u64;
    // Sound that was late comes back by five milliseconds a second, unheard, and pictures wait for it; what they wait is no queue.
    let shown = watched.shown_at.iter().zip(watched.latencies.iter().zip(&watched.held)).filter(|(at, _)| **at > from);
    let late: Vec<u64> = shown.map(|(_, (latency, held))| (latency - held) / 1_000_000).collect();
    assert!(late.len() >= 4 * 28, "only {} pictures in the last four seconds: {}", late.len(), told());
    assert!(late.iter().all(|latency| *latency < 40), "latency did not return: {:?} {}", late.iter().max(), told());
    let heard: Vec<u64> = speaker.latencies.iter().filter(|(at, _)| *at > from).map(|(_, latency)| latency / 1_000_000).collect();
    assert!(heard.len() > 350, "{} blocks were heard in the last four seconds: {}", heard.len(), told());
    assert!(heard.iter().all(|latency| *latency < 300), "sound is late: {:?} {}", heard.iter().max(), told());
}

fn retune(world: &mut World, to: &Params) {
    world.retune(CAMERA, SCREEN, |params| *params = to.clone());
}

#[test]
fn whatever_a_path_does_it_is_as_before_afterwards() {
    let walks = if std::env::var_os("EYELINE_SIM_LONG").is_some() { 1000 } else { 50 };
    for of in 0..walks {
        walk(of);
    }
}
