//! `--doctor` with the real programs: what it finds of a port that is taken, and of the way to somebody who is there, or is not.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use nix::sys::signal::Signal;
use program::{RECV, SEND, command, free_port, recv, send};
use serde_json::Value;
use std::net::UdpSocket;

/// What it found of one thing, and its exit code.
fn found(path: &str, args: &str, what: &str) -> (Value, Option<i32>) {
    let output = command(path, &format!("--doctor --stats json {args}")).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let wrong = told["findings"].as_array().unwrap().iter().any(|finding| finding["verdict"] == "wrong");
    assert_eq!((told["ok"] == true, output.status.code()), (!wrong, Some(i32::from(wrong))), "{told:#}");
    let finding = told["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == what);
    (finding.unwrap_or_else(|| panic!("nothing is said of {what}: {told:#}")).clone(), output.status.code())
}

#[test]
fn a_port_that_is_free_is_fine_and_of_one_that_is_taken_it_is_said_by_whom() {
    let port = free_port();
    let (free, _) = found(SEND, &format!("-p {port}"), &format!("port {port}"));
    assert_eq!(free["verdict"], "ok", "{free:#}");
    let _taken = UdpSocket::bind(("0.0.0.0", port)).unwrap();
    let (taken, code) = found(SEND, &format!("-p {port}"), &format!("port {port}"));
    assert_eq!((taken["verdict"].as_str(), code), (Some("wrong"), Some(1)), "{taken:#}");
    assert!(taken["found"].as_str().unwrap().contains("process"), "{taken:#}");
}

#[test]
fn the_way_to_somebody_who_is_there_has_a_round_trip_and_a_rate_and_to_nobody_it_is_wrong() {
    let port = free_port();
    let (nobody, _) = found(RECV, &format!("--host 127.0.0.1:{port}"), &format!("the way to 127.0.0.1:{port}"));
    assert_eq!(nobody["verdict"], "wrong", "{nobody:#}");
    let mut there = send(&format!("--test -s 320x240 -p {port} --name lab"));
    there.said("waiting on port");
    let (way, _) = found(RECV, &format!("--host 127.0.0.1:{port}"), &format!("the way to 127.0.0.1:{port}"));
    let words = way["found"].as_str().unwrap();
    assert!(words.starts_with("lab answers, round trip ") && words.contains(" Mbit/s came, "), "{way:#}");
}

#[test]
fn a_sender_is_told_what_rate_passes_to_who_is_there_and_nothing_is_seen_of_it_there() {
    let port = free_port();
    let mut there = recv(&format!("-p {port} --name lab --stats json"));
    there.said("waiting");
    let (way, _) = found(SEND, &format!("--test --host 127.0.0.1:{port}"), &format!("the way to 127.0.0.1:{port}"));
    let words = way["found"].as_str().unwrap();
    assert!(words.contains("datagrams of ") && words.contains(" pass there, "), "{way:#}");
    there.said("stopped sending");
    there.signal(Signal::SIGTERM);
    let total = there.stats_with(|line| line["total"] == true);
    assert_eq!((total["whole"].as_u64(), total["partial"].as_u64()), (Some(0), Some(0)), "{total:#}");
}
