//! Both programs, and a path that goes away: the cable is pulled, a process is stopped as a suspended machine's is. The picture
//! comes back by itself, at once, the newest first, and its latency is what it was.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;

use nix::sys::signal::Signal;
use program::{Program, free_port, recv, send};
use proxy::Proxy;
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

fn p50(stats: &Value) -> f64 {
    stats["latency_ms"]["all"]["p50"].as_f64().unwrap_or(f64::NAN)
}

/// What is usual on a machine as busy as this one is now.
#[derive(Debug, Clone, Copy)]
struct Usual {
    /// The lowest rate of a second.
    fps: u64,
    /// The longest time without a picture, ms.
    interval: f64,
    /// The highest median latency of a second, ms.
    latency: f64,
}

/// Some seconds in which pictures come, and nothing else happens.
fn usual(recv: &mut Program) -> Usual {
    let mut usual = Usual { fps: u64::MAX, interval: 0.0, latency: 0.0 };
    recv.forget_stats();
    // The next line may be of a second that began before.
    recv.stats_with(|stats| stats["fps"].as_u64() >= Some(1));
    for _ in 0..3 {
        let stats = recv.stats_with(|stats| p50(stats).is_finite() && stats["interval_ms"]["p99"].is_f64());
        usual.fps = usual.fps.min(stats["fps"].as_u64().unwrap());
        usual.interval = usual.interval.max(stats["interval_ms"]["p99"].as_f64().unwrap());
        usual.latency = usual.latency.max(p50(&stats));
    }
    usual
}

/// The first second with a gap in it that is at least `away` long (of a hundred pictures or fewer the 99th percentile is the
/// longest).
fn gap(recv: &mut Program, away: Duration) -> (f64, f64) {
    let long = |stats: &Value| stats["interval_ms"]["p99"].as_f64().filter(|max| *max >= away.as_secs_f64() * 1e3 - 50.0);
    let stats = recv.stats_with(|stats| long(stats).is_some());
    (long(&stats).unwrap(), p50(&stats))
}

/// On a machine that builds something else beside it: as it was, by the figures of a whole second.
fn as_before(recv: &mut Program, before: Usual) {
    let as_many = |stats: &Value| stats["fps"].as_u64().is_some_and(|fps| fps * 3 >= before.fps * 2);
    recv.stats_with(|stats| p50(stats) < before.latency * 2.0 + 10.0 && as_many(stats));
}

/// Time without a picture beyond the outage, ms, half a second on a machine at rest: three times as long as nothing was shown at
/// most before or after it is part of it.
fn allowed(before: Usual, after: Usual) -> f64 {
    350.0 + 3.0 * before.interval.max(after.interval)
}

#[test]
fn a_pulled_cable_is_back_within_half_a_second_with_the_newest_picture() {
    let (front, back) = (free_port(), free_port());
    let mut send = send(&format!("--test -s 640x480 --no-audio -p {back}"));
    send.said("waiting on port");
    let proxy = Proxy::start(front, back, u64::MAX, 1);
    // To whom nothing happens: it shows what the machine does.
    let mut beside = recv(&format!("--host 127.0.0.1:{back} --stats json"));
    let mut recv = recv(&format!("--host 127.0.0.1:{front} --stats json"));
    let before = usual(&mut recv);
    for (length, words) in [(1000, false), (4000, true)] {
        recv.forget_stats();
        proxy.cut(true);
        let pulled = Instant::now();
        thread::sleep(Duration::from_millis(length));
        let away = pulled.elapsed();
        proxy.cut(false);
        let (longest, p50) = gap(&mut recv, away);
        let more = longest - away.as_secs_f64() * 1e3;
        assert_eq!(recv.heard().contains("for 3 s: waiting for it to come back"), words, "{}", recv.heard());
        // TCP hung as well: it was dialled afresh, and the peer is the same.
        recv.said("is back");
        as_before(&mut recv, before);
        let after = usual(&mut beside);
        println!("cut for {away:?}: {more:.0} ms more without a picture; p50 {p50:.1} ms; {before:?}, {after:?}");
        assert!(more < allowed(before, after), "{more} ms; {before:?}, {after:?}");
    }
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    assert!(!send.heard().contains("is gone: it did"), "{}", send.heard());
}

/// Stopped, its kernel goes on taking what comes: there is a backlog when it continues.
#[test]
fn a_stopped_process_goes_on_with_the_newest_picture_and_not_with_its_backlog() {
    let port = free_port();
    let mut send = send(&format!("--test -s 640x480 --no-audio -p {port}"));
    send.said("waiting on port");
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    let before = usual(&mut recv);
    for receiver in [true, false] {
        for length in [3000, 5000] {
            recv.forget_stats();
            let stopped = if receiver { &recv } else { &send };
            stopped.signal(Signal::SIGSTOP);
            let begun = Instant::now();
            thread::sleep(Duration::from_millis(length));
            let away = begun.elapsed();
            stopped.signal(Signal::SIGCONT);
            let (longest, p50) = gap(&mut recv, away);
            let more = longest - away.as_secs_f64() * 1e3;
            // A backlog shown would be seconds old.
            as_before(&mut recv, before);
            let after = usual(&mut recv);
            let who = if receiver { "recv" } else { "send" };
            println!("{who} stopped for {away:?}: {more:.0} ms more; p50 {p50:.1} ms; {before:?}, {after:?}");
            assert!(more < allowed(before, after), "{more} ms; {before:?}, {after:?}");
            // The picture that was in the sender's encoder may be as old as the stop; what lay in our kernel is not shown.
            let latency = before.latency.max(after.latency) + 3.0 * before.interval.max(after.interval);
            assert!(!receiver || p50 < latency + 200.0, "{p50} ms; {before:?}, {after:?}");
        }
    }
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    let blamed = |program: &Program| program.heard().contains("no UDP comes through");
    assert!(!blamed(&recv) && !blamed(&send), "no firewall stood still: {} {}", recv.heard(), send.heard());
}
