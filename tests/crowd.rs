//! What many real senders cost the one who receives them.
//!
//! No device and no window: pictures are decoded to be measured, each as large as it comes. In a window's tiles they are smaller.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/garbage.rs"]
mod garbage;
#[path = "support/program.rs"]
mod program;

use garbage::{Garbage, knock};
use nix::sys::signal::Signal;
use program::{Program, free_port, recv, send};
use serde_json::Value;

/// Large pictures, and few of them: sixteen senders of these are what two cores carry.
const TEST: &str = "--test -s 1280x720 -r 2 --no-audio";

/// Senders that are received at once.
const SENDERS: usize = 16;

/// What one more may cost.
const OF_A_TRACK: u64 = 12 << 20;

/// Waits until so many pictures were decoded of each of so many senders.
fn shows(recv: &mut Program, senders: usize, pictures: u64) {
    let enough = |track: &Value| track["shown"].as_u64() >= Some(pictures) && track["size"] == serde_json::json!([1280, 720]);
    recv.stats_with(|stats| {
        stats["tracks"].as_array().is_some_and(|all| all.iter().filter(|track| enough(track)).count() == senders)
    });
}

/// The most memory of a receiver of so many senders, with a thousand strangers at its door or without.
fn held(senders: usize, are_there_strangers: bool) -> u64 {
    let port = free_port();
    let mut recv = recv(&format!("-p {port} --stats json"));
    recv.said("waiting on port");
    let sends: Vec<Program> = (0..senders).map(|n| send(&format!("{TEST} --name sender-{n} --host 127.0.0.1:{port}"))).collect();
    shows(&mut recv, senders, 4);
    let strangers = are_there_strangers.then(|| knock(port, &mut Garbage(0x1f83_d9ab_fb41_bd6b)));
    recv.forget_stats();
    let shown = recv.stats()["tracks"][0]["shown"].as_u64().unwrap();
    shows(&mut recv, senders, shown + 4);
    let peak = recv.peak();
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
    drop((sends, strangers));
    peak
}

#[test]
fn sixteen_senders_and_strangers_at_the_door_cost_little_more_than_one_sender_a_track() {
    let (one, all) = (held(1, false), held(SENDERS, true));
    println!(
        "{} KiB of one sender, {} KiB of {SENDERS} and strangers: {} KiB a track more",
        one >> 10,
        all >> 10,
        ((all - one) / (SENDERS as u64 - 1)) >> 10
    );
    assert!(all <= one + OF_A_TRACK * (SENDERS as u64 - 1), "{one} bytes of one sender, {all} of {SENDERS}");
}
