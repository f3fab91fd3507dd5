//! `call` for real, on the loopback interface: everybody has everybody else's pictures, whatever becomes of one of them, and what
//! is said reaches all.
//!
//! No device and no window; what is tried here is who gets what.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use nix::sys::signal::Signal;
use program::{CALL, Out, Program, command, free_port, recv, send};
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

const TEST: &str = "--test -s 320x240 -r 30";

/// A person without window and speaker, whose stdin is said to all.
fn call(name: &str, args: &str) -> Program {
    let args = format!("--no-window --no-audio --chat {TEST} --stats json --name {name} {args}");
    Program::spawn(CALL, &args, Stdio::piped(), Out::Stats)
}

/// A person without window, who speaks (the test tone) and whose machine has no speaker.
fn speaking(name: &str, args: &str) -> Program {
    let mut command = command(CALL, &format!("--no-window {TEST} --stats json --name {name} {args}"));
    command.env("PULSE_SERVER", "unix:/nonexistent/pulse").env("ALSA_CONFIG_PATH", "/dev/null");
    Program::launch(command, Stdio::null(), Out::Stats)
}

/// Nobody, at a port.
fn point(port: u16) -> Program {
    Program::start(CALL, &format!("--no-window --no-audio --no-video --name point -p {port} --stats json"))
}

/// The fields of a track that count its whole pictures, and its blocks of sound.
const PICTURES: &str = "whole";
const SOUND: &str = "blocks";

/// The names of those of whom this comes, in order, and how much came of each.
fn came(stats: &Value, what: &str) -> Vec<(String, u64)> {
    let tracks = stats["tracks"].as_array().cloned().unwrap_or_default();
    let of = |track: &Value| {
        let count = track[what].as_u64().filter(|count| *count > 0 && track["quiet"] == false)?;
        Some((track["name"].as_str()?.to_string(), count))
    };
    let mut came: Vec<_> = tracks.iter().filter_map(of).collect();
    came.sort();
    came
}

/// Whether this comes of exactly these.
fn comes_of(stats: &Value, what: &str, others: &[&str]) -> bool {
    came(stats, what).iter().map(|(name, _)| name).eq(others)
}

/// Waits until pictures of exactly these come.
fn sees(program: &mut Program, others: &[&str]) {
    program.stats_with(|stats| stats["role"] == "recv" && comes_of(stats, PICTURES, others));
}

/// Waits until pictures and sound of exactly these come.
fn sees_and_hears(program: &mut Program, others: &[&str]) {
    let whole = |stats: &Value| [PICTURES, SOUND].iter().all(|what| comes_of(stats, what, others));
    program.stats_with(|stats| stats["role"] == "recv" && whole(stats));
}

/// Waits until more pictures came of each of these, and, of those who speak, more sound.
fn goes_on(program: &mut Program, others: &[&str]) {
    let receiving = |stats: &Value| stats["role"] == "recv";
    let before = program.stats_with(receiving);
    let of = |stats: &Value, what: &str, name: &str| came(stats, what).into_iter().find(|(other, _)| other == name);
    let more = |stats: &Value, what: &str, name: &str| match of(&before, what, name) {
        None if what == SOUND => true,
        before => of(stats, what, name).is_some_and(|(_, now)| now > before.map_or(0, |(_, count)| count) + 5),
    };
    let all = |stats: &Value, name: &str| [PICTURES, SOUND].iter().all(|what| more(stats, what, name));
    program.stats_with(|stats| receiving(stats) && others.iter().all(|name| all(stats, name)));
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

/// Four, one of whom is the meeting point as people have it: who was there first.
#[test]
fn four_calls_see_and_hear_each_other_while_one_stands_still_and_when_the_meeting_point_was_killed() {
    let port = free_port();
    let names = ["Ada", "Ben", "Cleo", "Dan"];
    let others = |of: usize| names.iter().copied().filter(|name| *name != names[of]).collect::<Vec<_>>();
    let mut ada = speaking("Ada", &format!("-p {port}"));
    ada.said("waiting on port");
    let mut dialling = ["Ben", "Cleo", "Dan"].map(|name| speaking(name, &format!("--host 127.0.0.1:{port}")));
    let all_meet = |ada: &mut Program, dialling: &mut [Program; 3]| {
        for (of, one) in std::iter::once(ada).chain(dialling).enumerate() {
            sees_and_hears(one, &others(of));
            goes_on(one, &others(of));
        }
    };
    all_meet(&mut ada, &mut dialling);

    // One stands still: of the two others each sees and hears all the same, and hears of nobody else's trouble.
    dialling[0].signal(Signal::SIGSTOP);
    ada.said("no signal from Ben");
    let [_, cleo, dan] = &mut dialling;
    for (one, others) in [(&mut ada, &["Cleo", "Dan"]), (cleo, &["Ada", "Dan"]), (dan, &["Ada", "Cleo"])] {
        goes_on(one, others);
        goes_on(one, others);
        assert!(others.iter().all(|other| !one.heard().contains(&format!("no signal from {other}"))), "{}", one.heard());
    }
    dialling[0].signal(Signal::SIGCONT);
    dialling[0].forget_stats();
    all_meet(&mut ada, &mut dialling);

    // The meeting point is killed, and started again: nobody else does anything.
    ada.signal(Signal::SIGKILL);
    drop(ada);
    let mut ada = speaking("Ada", &format!("-p {port}"));
    for one in &mut dialling {
        one.said("Ada was started again");
        one.said("Ada (127.0.0.1");
        one.forget_stats();
    }
    all_meet(&mut ada, &mut dialling);
    for one in std::iter::once(&mut ada).chain(&mut dialling) {
        assert_eq!(one.stop(Signal::SIGTERM), 0);
    }
}
