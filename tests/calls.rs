//! `call` for real, on the loopback interface: everybody has everybody else's pictures, whatever becomes of one of them, and what
//! is said reaches all.
//!
//! No device and no window; what is tried here is who gets what.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use nix::sys::signal::Signal;
use program::{CALL, Out, Program, free_port, recv, send};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

const TEST: &str = "--test -s 320x240 -r 30";

/// A person without window and speaker, whose stdin is said to all.
fn call(name: &str, args: &str) -> Program {
    let args = format!("--no-window --no-audio --chat {TEST} --stats json --name {name} {args}");
    Program::spawn(CALL, &args, Stdio::piped(), Out::Stats)
}

/// Nobody, at a port.
fn point(port: u16) -> Program {
    Program::start(CALL, &format!("--no-window --no-audio --no-video --name point -p {port} --stats json"))
}

/// The names of those whose pictures come, in order, and how many came of each.
fn seen(stats: &Value) -> Vec<(String, u64)> {
    let tracks = stats["tracks"].as_array().cloned().unwrap_or_default();
    let of = |track: &Value| {
        let whole = track["whole"].as_u64().filter(|whole| *whole > 0 && track["quiet"] == false)?;
        Some((track["name"].as_str()?.to_string(), whole))
    };
    let mut seen: Vec<_> = tracks.iter().filter_map(of).collect();
    seen.sort();
    seen
}

fn names(stats: &Value) -> Vec<String> {
    seen(stats).into_iter().map(|(name, _)| name).collect()
}

/// Waits until pictures of exactly these come.
fn sees(program: &mut Program, others: &[&str]) {
    program.stats_with(|stats| stats["role"] == "recv" && names(stats) == others);
}

/// Waits until more pictures came of each of these.
fn goes_on(program: &mut Program, others: &[&str]) {
    let receiving = |stats: &Value| stats["role"] == "recv";
    let before = seen(&program.stats_with(receiving));
    let more = |stats: &Value, name: &str| {
        let of = |seen: &[(String, u64)]| seen.iter().find(|(other, _)| other == name).map_or(0, |(_, whole)| *whole);
        of(&seen(stats)) > of(&before) + 5
    };
    program.stats_with(|stats| receiving(stats) && others.iter().all(|name| more(stats, name)));
}

#[test]
fn a_call_to_which_nobody_comes_ends_as_recv_does() {
    let mut alone = Program::start(CALL, &format!("--no-window --no-audio {TEST} -p {} --duration 100ms", free_port()));
    assert_eq!(alone.ended(), 4, "{}", alone.heard());
    assert!(alone.heard().contains("error: nobody came within --duration (waiting on port"), "{}", alone.heard());
}

/// Of the three things a call does none needs a device but the one that is wanted.
#[test]
fn who_has_no_devices_takes_part_without() {
    let args = format!("--no-window --no-video -p {} --duration 100ms", free_port());
    let mut watcher = Program::start(CALL, &args);
    assert_eq!(watcher.ended(), 4, "{}", watcher.heard());
}

#[test]
fn a_call_that_is_not_to_dial_again_ends_when_whom_it_dialled_leaves() {
    let port = free_port();
    let mut watcher = recv(&format!("-p {port}"));
    watcher.said("waiting on port");
    let dialling = format!("--no-window --no-audio {TEST} -p {} --host 127.0.0.1:{port} --no-reconnect", free_port());
    let mut call = Program::start(CALL, &dialling);
    watcher.said("is here");
    assert_eq!(watcher.stop(Signal::SIGTERM), 0);
    assert_eq!(call.ended(), 4, "{}", call.heard());
    assert!(call.heard().contains("stopped watching"), "{}", call.heard());
}

/// The others are still seen, and what is wrong with ours is the exit code.
#[test]
fn a_call_whose_source_is_no_picture_goes_on_and_fails_at_its_end() {
    let port = free_port();
    let mut ada = call("Ada", &format!("-p {port}"));
    ada.said("waiting on port");
    let garbage = format!("--no-window --no-audio --file - --stats json --name Ben -p {} --host 127.0.0.1:{port}", free_port());
    let mut ben = Program::spawn(CALL, &garbage, Stdio::piped(), Out::Stats);
    let mut stdin = ben.stdin();
    // Nobody reads on once it is seen what it is.
    std::thread::spawn(move || stdin.write_all(&vec![b'x'; 3 << 20]));
    ben.said("error: what comes on stdin is neither y4m nor JPEGs");
    ada.said("Ben shows no picture");
    sees(&mut ben, &["Ada"]);
    goes_on(&mut ben, &["Ada"]);
    assert_eq!(ben.stop(Signal::SIGTERM), 1, "{}", ben.heard());
}

#[test]
fn two_calls_see_and_read_each_other_also_where_both_dial() {
    let (here, there) = (free_port(), free_port());
    let mut ada = call("Ada", &format!("-p {here} --host 127.0.0.1:{there} --wait"));
    let mut ben = call("Ben", &format!("-p {there} --host 127.0.0.1:{here} --wait"));
    sees(&mut ada, &["Ben"]);
    sees(&mut ben, &["Ada"]);
    ada.stdin().write_all("how do you do\u{7}\n".as_bytes()).unwrap();
    assert!(ben.said("Ada: ").ends_with("how do you do\u{fffd}"), "what steers a terminal is replaced");
    ben.stop(Signal::SIGTERM);
    ada.said("Ben stopped sending");
    assert_eq!(ada.stop(Signal::SIGTERM), 0);
    let total = |ada: &mut Program, role| ada.stats_with(|stats| stats["role"] == role && stats["total"] == true);
    let (sent, came) = (total(&mut ada, "send"), total(&mut ada, "recv"));
    assert!(sent["pictures"].as_u64() > Some(0) && sent["peers_seen"].as_u64() > Some(0), "{sent}");
    assert!(came["whole"].as_u64() > Some(0), "{came}");
}

#[test]
fn a_meeting_holds_whatever_becomes_of_one_of_them() {
    let port = free_port();
    let mut meeting = point(port);
    meeting.said("waiting on port");
    let at = format!("--host 127.0.0.1:{port}");
    let (mut ada, mut ben) = (call("Ada", &at), call("Ben", &at));
    let mut door = send(&format!("{TEST} --name door --stats json {at}"));
    let mut watcher = recv(&format!("{at} --stats json"));
    let here = "point (127.0.0.1";
    sees(&mut ada, &["Ben", "door"]);
    sees(&mut ben, &["Ada", "door"]);
    sees(&mut watcher, &["Ada", "Ben", "door"]);
    for one in [&mut ada, &mut ben, &mut watcher] {
        one.said(here);
        one.said("door is sending, by way of point");
    }
    ada.stdin().write_all("hello\n".as_bytes()).unwrap();
    for reader in [&mut ben, &mut watcher, &mut meeting] {
        reader.said("Ada: hello");
    }

    // One stands still: the others go on without it, and it is there again.
    ben.signal(Signal::SIGSTOP);
    meeting.said("no signal from Ben");
    goes_on(&mut ada, &["door"]);
    goes_on(&mut watcher, &["Ada", "door"]);
    ben.signal(Signal::SIGCONT);
    goes_on(&mut ada, &["Ben", "door"]);
    goes_on(&mut ben, &["Ada", "door"]);

    // One leaves.
    assert_eq!(door.stop(Signal::SIGTERM), 0);
    for one in [&mut meeting, &mut ada, &mut ben, &mut watcher] {
        one.said("door stopped sending");
    }
    sees(&mut ada, &["Ben"]);
    sees(&mut watcher, &["Ada", "Ben"]);

    // The meeting point is killed, and another stands in its place.
    meeting.signal(Signal::SIGKILL);
    drop(meeting);
    let mut meeting = point(port);
    for (one, others) in [(&mut ada, &["Ben"][..]), (&mut ben, &["Ada"]), (&mut watcher, &["Ada", "Ben"])] {
        one.said(here);
        sees(one, others);
        goes_on(one, others);
    }
    assert_eq!(meeting.stop(Signal::SIGTERM), 0);
}
