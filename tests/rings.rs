//! `call --ask`: whoever dials rings until somebody lets him in, with the real programs.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use nix::sys::signal::Signal;
use program::{CALL, Out, Program, free_port, recv};
use std::io::Write as _;
use std::process::{ChildStdin, Stdio};

const TEST: &str = "--no-window --no-audio --test -s 320x240";

/// Somebody who is asked, and answers on stdin.
fn asked(port: u16) -> (Program, ChildStdin) {
    let mut anna =
        Program::spawn(CALL, &format!("{TEST} --name Anna -p {port} --ask --chat --stats json"), Stdio::piped(), Out::Stats);
    anna.said("waiting on port");
    let stdin = anna.stdin();
    (anna, stdin)
}

fn calling(port: u16) -> Program {
    let mut ben = Program::start(CALL, &format!("{TEST} --name Ben --host 127.0.0.1:{port} --stats json"));
    ben.said("calling 127.0.0.1");
    ben.said("it rings at Anna");
    ben
}

fn sees_one(program: &mut Program) {
    let seen = |stats: &serde_json::Value| {
        let tracks = stats["tracks"].as_array().cloned().unwrap_or_default();
        tracks.iter().any(|track| track["whole"].as_u64() > Some(5))
    };
    program.stats_with(|stats| stats["role"] == "recv" && seen(stats));
}

#[test]
fn who_calls_is_neither_seen_nor_sees_until_somebody_lets_him_in_and_a_hang_up_is_told() {
    let port = free_port();
    let (mut anna, mut answers) = asked(port);
    let mut ben = calling(port);
    let line = anna.said("calls: y lets in, n does not");
    assert!(line.contains("Ben (127.0.0.1"), "{line}");
    for who in [&mut anna, &mut ben] {
        let stats = who.stats_with(|stats| stats["role"] == "recv");
        assert_eq!(stats["tracks"].as_array().map_or(0, Vec::len), 0, "{stats}");
    }
    // Words that are no answer are said to those who are here, of whom there is none.
    answers.write_all(b"hello\n").unwrap();
    anna.said("you, to nobody: hello");
    answers.write_all(b"y\n").unwrap();
    sees_one(&mut anna);
    sees_one(&mut ben);
    // A `y` is a word like any other now.
    answers.write_all(b"y\n").unwrap();
    ben.said("Anna: y");
    assert_eq!(ben.stop(Signal::SIGTERM), 0);
    anna.said("Ben stopped sending");
}

#[test]
fn who_is_declined_is_told_so_and_ends() {
    let port = free_port();
    let (mut anna, mut answers) = asked(port);
    let mut ben = calling(port);
    anna.said("Ben (127.0.0.1");
    // Another one rings meanwhile; he is asked about next.
    let mut watcher = recv(&format!("--name Cleo --host 127.0.0.1:{port}"));
    anna.said("Cleo (127.0.0.1");
    answers.write_all(b"No\n").unwrap();
    ben.said("the call was declined");
    assert_eq!(ben.ended(), 1);
    anna.said("declined Ben");
    anna.said("Cleo still calls: y or n");
    // An answer that comes at once may have been meant for the one before.
    answers.write_all(b"y\n").unwrap();
    anna.said("who calls now is another than a moment ago: press it again");
    anna.forget_stats();
    anna.stats();
    anna.stats();
    answers.write_all(b"y\n").unwrap();
    watcher.said("Anna (127.0.0.1");
}

#[test]
fn who_hangs_up_before_the_answer_rings_no_more() {
    let port = free_port();
    let (mut anna, mut answers) = asked(port);
    let mut ben = calling(port);
    anna.said("Ben (127.0.0.1");
    assert_eq!(ben.stop(Signal::SIGTERM), 0);
    anna.said("Ben calls no more");
    answers.write_all(b"y\n").unwrap();
    anna.said("you, to nobody: y");
}

#[test]
fn where_nobody_can_be_asked_it_is_told() {
    let mut call = Program::start(CALL, &format!("{TEST} --ask"));
    call.said("--ask has nobody to ask");
    assert_eq!(call.ended(), 2);
}

/// Whom somebody dials himself he need not be asked about, and two links of the same two are one in the end.
#[test]
fn two_that_dial_each_other_meet_once_and_nothing_rings_then_although_one_asks() {
    let (here, there) = (free_port(), free_port());
    let waits = |name: &str, port: u16, other: u16| {
        format!("{TEST} --name {name} -p {port} --wait --host 127.0.0.1:{other} --chat --stats json")
    };
    let mut anna = Program::spawn(CALL, &format!("{} --ask", waits("Anna", here, there)), Stdio::piped(), Out::Stats);
    let mut words = anna.stdin();
    let mut ben = Program::start(CALL, &waits("Ben", there, here));
    sees_one(&mut anna);
    sees_one(&mut ben);
    words.write_all(b"y\n").unwrap();
    ben.said("Anna: y");
    for who in [&mut anna, &mut ben] {
        let stats = who.stats_with(|stats| stats["role"] == "recv");
        assert_eq!(stats["tracks"].as_array().map_or(0, Vec::len), 1, "{stats}");
        assert!(!who.heard().contains("declined"), "{}", who.heard());
    }
}
