//! Both programs, and a path that goes away: the cable is pulled, a process is stopped as a suspended machine's is. The picture comes back
//! by itself, at once, the newest first, and its latency is what it was.

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

/// A quiet second: the median latency of it.
fn usual(recv: &mut Program) -> f64 {
    recv.stats_with(|stats| stats["fps"].as_u64() >= Some(20));
    p50(&recv.stats_with(|stats| stats["fps"].as_u64() >= Some(20)))
}

/// The first second with a gap in it that is at least `away` long (of a hundred pictures or fewer the 99th percentile is the longest).
fn gap(recv: &mut Program, away: Duration) -> (f64, f64) {
    let long = |stats: &Value| stats["interval_ms"]["p99"].as_f64().filter(|max| *max >= away.as_secs_f64() * 1e3 - 50.0);
    let stats = recv.stats_with(|stats| long(stats).is_some());
    (long(&stats).unwrap(), p50(&stats))
}

/// On a machine that builds something else beside it: as it was, by the figures of a whole second.
fn as_before(recv: &mut Program, before: f64) {
    recv.stats_with(|stats| p50(stats) < before * 2.0 + 10.0 && stats["fps"].as_u64() >= Some(20));
}

/// Time without a picture beyond the outage.
const BACK: f64 = 500.0;

#[test]
fn a_pulled_cable_is_back_within_half_a_second_with_the_newest_picture() {
    let (front, back) = (free_port(), free_port());
    let mut send = send(&format!("--test -s 640x480 --no-audio -p {back}"));
    send.said("waiting on port");
    let proxy = Proxy::start(front, back, u64::MAX, 1);
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
        println!("cut for {} ms: {more:.0} ms more without a picture; p50 {before:.1} and then {p50:.1} ms", away.as_millis());
        assert!(more < BACK, "{more} ms");
        assert_eq!(recv.heard().contains("for 3 s: waiting for it to come back"), words, "{}", recv.heard());
        // TCP hung as well: it was dialled afresh, and the peer is the same.
        recv.said("is back");
        as_before(&mut recv, before);
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
            let who = if receiver { "recv" } else { "send" };
            println!("{who} stopped for {} ms: {more:.0} ms more; p50 {before:.1} and then {p50:.1} ms", away.as_millis());
            assert!(more < BACK, "{more} ms");
            // The picture that was in the sender's encoder may be as old as the stop; what lay in our kernel is not shown.
            assert!(!receiver || p50 < before + 200.0, "{p50} ms");
            // A backlog shown would be seconds old.
            as_before(&mut recv, before);
        }
    }
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    let blamed = |program: &Program| program.heard().contains("no UDP comes through");
    assert!(!blamed(&recv) && !blamed(&send), "no firewall stood still: {} {}", recv.heard(), send.heard());
}
