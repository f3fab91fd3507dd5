//! What goes wrong between people and programs, with the real binaries: for each the line that is printed, once, and the exit
//! code. No device and no display is needed.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/gate.rs"]
mod gate;
#[path = "support/program.rs"]
mod program;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use gate::{Gate, Way};
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND, command, free_port, recv, send};

/// A small picture and no tone: what is tried here are words.
const TEST: &str = "--test -s 320x240 --no-audio";

/// `call` without window and speaker.
fn call(args: &str) -> Program {
    Program::start(CALL, &format!("--no-window {TEST} {args}"))
}

/// Each of the programs with these flags.
fn each(args: &str) -> [Program; 3] {
    [recv(args), send(&format!("{TEST} {args}")), call(args)]
}

/// How often `part` was said.
fn times(program: &Program, part: &str) -> usize {
    program.heard().matches(part).count()
}

/// Waits for the end, which must be this code and this one line of error.
fn fails(program: &mut Program, code: i32, line: &str) {
    assert_eq!(program.ended(), code, "{}", program.heard());
    let errors: Vec<_> = program.heard().lines().filter(|line| line.starts_with("error: ")).map(str::to_string).collect();
    assert_eq!(errors, [format!("error: {line}")]);
}

#[test]
fn who_has_another_key_or_none_is_turned_away_with_a_sentence_and_the_waiting_side_goes_on() {
    let cases = [
        (
            "--key one-long-passphrase",
            "--key another-passphrase",
            "the two sides have different keys: start both with the same --key",
        ),
        (
            "--key one-long-passphrase",
            "",
            "the waiting side wants a key: start the dialling side with the same --key; or pair the two: start the waiting side with --pair, \
             then the dialling side with --pair, and type there the code that the first shows",
        ),
        (
            "",
            "--key one-long-passphrase",
            "the dialling side has a key and the waiting side has none: start both with the same --key; or pair the two: start the waiting side with \
             --pair, then the dialling side with --pair, and type there the code that the first shows",
        ),
    ];
    for (waiting, dialling, sentence) in cases {
        let port = free_port();
        let mut send = send(&format!("{TEST} -p {port} {waiting}"));
        send.said("waiting on port");
        let mut stranger = recv(&format!("--host 127.0.0.1:{port} {dialling}"));
        let refusal = format!("127.0.0.1:{port} turned us away: {sentence}");
        if dialling.is_empty() {
            fails(&mut stranger, 1, &refusal);
        } else {
            // Who has a key is not ended by what proves nothing.
            stranger.said(&format!("warning: {refusal} (dialling on until it answers)"));
            assert_eq!(stranger.stop(Signal::SIGTERM), 0);
            fails(&mut recv(&format!("--host 127.0.0.1:{port} {dialling} --no-reconnect")), 4, &refusal);
        }
        assert!(send.said("was turned away").ends_with(&format!("was turned away: {sentence}")), "{}", send.heard());
        let mut friend = recv(&format!("--host 127.0.0.1:{port} {waiting}"));
        friend.said("is sending");
        assert_eq!(send.stop(Signal::SIGTERM), 0);
        // Who is turned away again is counted.
        assert_eq!(times(&send, "was turned away"), 1, "{}", send.heard());
    }
}

#[test]
fn two_senders_or_two_receivers_are_told_so() {
    let port = free_port();
    let mut first = send(&format!("{TEST} -p {port}"));
    first.said("waiting on port");
    let mut second = send(&format!("{TEST} --host 127.0.0.1:{port}"));
    fails(&mut second, 1, &format!("127.0.0.1:{port} turned us away: both sides run `send`: run `recv` on one of them"));
    first.said("both sides run `send`");
    let port = free_port();
    let mut first = recv(&format!("-p {port}"));
    first.said("waiting on port");
    let mut second = recv(&format!("--host 127.0.0.1:{port}"));
    fails(&mut second, 1, &format!("127.0.0.1:{port} turned us away: both sides run `recv`: run `send` on one of them"));
}

#[test]
fn a_port_that_is_taken_is_named_with_who_has_it() {
    let port = free_port();
    let mut first = send(&format!("{TEST} -p {port}"));
    first.said("waiting on port");
    let sentence = format!(
        "TCP port {port} is taken by `send` (process {}): stop that program, or choose another port with --port",
        first.id()
    );
    each(&format!("-p {port}")).iter_mut().for_each(|program| fails(program, 1, &sentence));
}

#[test]
fn an_unknown_host_is_dialled_on_as_an_address_is_and_said_once() {
    let unknown = "unknown host no-such-host.invalid (";
    for mut program in each("--stats json --host no-such-host.invalid") {
        let line = program.said(unknown);
        assert!(line.starts_with("warning: ") && line.ends_with("(dialling on until it answers)"), "{line}");
        (0..3).for_each(|_| drop(program.stats()));
        assert_eq!(times(&program, unknown), 1, "{}", program.heard());
        assert_eq!(program.stop(Signal::SIGTERM), 0);
    }
    for mut program in each("--no-reconnect --host no-such-host.invalid") {
        assert_eq!(program.ended(), 4, "{}", program.heard());
        assert!(program.said("error: ").starts_with(&format!("error: {unknown}")), "{}", program.heard());
        assert_eq!(times(&program, unknown), 1, "{}", program.heard());
    }
    let port = free_port();
    let mut send = send(&format!("{TEST} --host no-such-host.invalid --host 127.0.0.1:{port} --stats json"));
    send.said(unknown);
    // Both are dialled on.
    (0..3).for_each(|_| drop(send.stats()));
    let mut recv = recv(&format!("-p {port}"));
    recv.said("is sending");
    send.said("watches");
    assert_eq!(times(&send, unknown), 1, "{}", send.heard());
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}

#[test]
fn a_link_local_address_without_its_interface_ends_it_with_the_cure() {
    for mut program in each("--host fe80::1") {
        assert_eq!(program.ended(), 1, "{}", program.heard());
        let line = program.said("error: ");
        assert!(line.starts_with("error: fe80::1 is on one interface's network only: add %INTERFACE, "), "{line}");
    }
    let mut elsewhere = recv("--host fe80::1%no-such-if --no-reconnect");
    assert_eq!(elsewhere.ended(), 4, "{}", elsewhere.heard());
    assert!(
        elsewhere.said("error: ").starts_with("error: there is no interface no-such-if: this machine has "),
        "{}",
        elsewhere.heard()
    );
}

#[test]
fn a_program_without_file_descriptors_says_that_it_is_the_one_and_goes_on() {
    let port = free_port();
    let mut command = Command::new("bash");
    let line = format!("ulimit -n 24; exec {SEND} {TEST} -p {port}");
    command.args(["-c", &line]).env_remove("EYELINE_KEY");
    let mut send = Program::launch(command, Stdio::null(), Out::Stats);
    send.said("waiting on port");
    let strangers: Vec<_> = (0..32).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let line = send.said("a connection is not taken in");
    let own = "this program has no file descriptor left (it may have 24): raise that with `ulimit -n`";
    assert!(line.starts_with("warning: ") && line.contains(own), "{line}");
    drop(strangers);
    let mut recv = recv(&format!("--host 127.0.0.1:{port}"));
    recv.said("is sending");
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}

#[test]
fn where_nobody_waits_it_is_said_once_and_dialled_on_until_somebody_does() {
    let port = free_port();
    let nobody = format!("nobody is waiting on 127.0.0.1:{port}: is `send` or `call` running there, and on port {port}?");
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    recv.said(&format!("warning: {nobody} (dialling on until it answers)"));
    (0..3).for_each(|_| drop(recv.stats()));
    let mut send = send(&format!("{TEST} -p {port}"));
    recv.said("is sending");
    assert_eq!(times(&recv, &nobody), 1, "{}", recv.heard());
    assert_eq!(send.stop(Signal::SIGTERM), 0);
    recv.said("stopped sending");
    recv.said(&nobody); // it is news again
}

#[test]
fn where_nobody_waits_no_reconnect_ends_with_peer_lost() {
    let port = free_port();
    let mut programs = each(&format!("--host 127.0.0.1:{port} --no-reconnect"));
    for (program, others) in programs.iter_mut().zip(["`send` or `call`", "`recv` or `call`", "`send`, `recv` or `call`"]) {
        let sentence = format!("nobody is waiting on 127.0.0.1:{port}: is {others} running there, and on port {port}?");
        fails(program, 4, &sentence);
    }
}

/// Another program: says `banner` to whoever connects, and hangs up if `closes`. Counts connections.
fn other_program(banner: &'static [u8], closes: bool) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counter = count.clone();
    thread::spawn(move || {
        let mut open = Vec::new();
        for mut connection in listener.incoming().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
            // A dialler that has heard enough may be gone.
            let _ = connection.write_all(banner);
            if !closes {
                open.push(connection);
            }
        }
    });
    (port, count)
}

#[test]
fn another_program_on_the_port_is_recognised_by_its_first_bytes() {
    for (banner, closes) in [(&b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], false), (b"HTTP/1.1 400 Bad Request\r\n\r\n", true)] {
        let (port, count) = other_program(banner, closes);
        let sentence = format!("another program answers at 127.0.0.1:{port}: it is not Eyeline (is --port right on both sides?)");
        each(&format!("--host 127.0.0.1:{port}")).iter_mut().for_each(|program| fails(program, 1, &sentence));
        assert_eq!(count.load(Ordering::Relaxed), 3, "once each");
    }
}

#[test]
fn a_port_that_hangs_up_or_says_nothing_is_named_once_and_not_dialled_without_a_pause() {
    let (port, count) = other_program(b"", true);
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    let hangs_up = format!("127.0.0.1:{port} closed the connection before saying what it is: is that `send`, `recv` or `call`?");
    recv.said(&format!("warning: {hangs_up} (dialling on until it answers)"));
    (0..3).for_each(|_| drop(recv.stats()));
    let dialled = count.load(Ordering::Relaxed);
    assert!((2..=10).contains(&dialled), "{dialled} times in three seconds");
    assert_eq!(times(&recv, "closed the connection"), 1, "{}", recv.heard());
    fails(&mut program::recv(&format!("--host 127.0.0.1:{port} --no-reconnect")), 4, &hangs_up);

    let (port, _) = other_program(b"", false);
    let silent = format!("127.0.0.1:{port} accepted the connection and then said nothing: is that `send`, `recv` or `call`?");
    fails(&mut program::recv(&format!("--host 127.0.0.1:{port} --no-reconnect")), 4, &silent);
}

#[test]
fn another_program_that_dials_us_is_told_what_this_is_and_does_not_fill_the_screen() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port} --stats json"));
    send.said("waiting on port");
    for _ in 0..50 {
        let mut browser = TcpStream::connect(("127.0.0.1", port)).unwrap();
        browser.write_all(b"GET / HTTP/1.1\r\nHost: camera\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        browser.read_to_end(&mut answer).unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("This is Eyeline, a camera link"), "{answer:?}");
    }
    send.stats_with(|stats| stats["rejected"]["connections"] == 50);
    assert_eq!(times(&send, "was turned away: This is Eyeline, a camera link; what came is not Eyeline."), 1, "{}", send.heard());
}

#[test]
fn another_version_is_told_which_side_to_update() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let mut newer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    newer.write_all(b"EYEL\xc8\0\0\x20").unwrap();
    newer.write_all(&[7; 32]).unwrap();
    let mut answer = Vec::new();
    newer.read_to_end(&mut answer).unwrap();
    let sentence = "the dialling side speaks protocol 200 and the waiting side protocol 2: update the waiting side";
    assert!(answer.starts_with(b"EYEL") && String::from_utf8_lossy(&answer).ends_with(sentence), "{answer:?}");
    send.said(sentence);

    let (port, _) = other_program(b"EYEL\xc8\x01\0\x0bupdate this", false);
    let newer = format!("the peer at 127.0.0.1:{port} speaks protocol 200: update this side");
    each(&format!("--host 127.0.0.1:{port}")).iter_mut().for_each(|program| fails(program, 1, &newer));
    let answer = b"EYEL\x01\x01\0\x54this side speaks version 1 of the protocol and the dialling side 2: update the older";
    let (port, _) = other_program(answer, false);
    let older = format!("the peer at 127.0.0.1:{port} speaks protocol 1 (Eyeline 0.1): update it");
    each(&format!("--host 127.0.0.1:{port}")).iter_mut().for_each(|program| fails(program, 1, &older));
}

#[test]
fn udp_that_is_blocked_is_named_with_its_port_and_the_firewall_on_both_sides() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let gate = Gate::start(port, |_: Way, _: &[u8]| false);
    let mut recv = recv(&format!("--host 127.0.0.1:{} --stats json", gate.port));
    for (program, named) in [(&mut recv, gate.port), (&mut send, port)] {
        let line = program.said("no UDP comes through");
        let sentence = format!("pictures need UDP port {named}; open it in the firewall of the waiting side");
        assert!(line.starts_with("warning: TCP reaches 127.0.0.1:") && line.ends_with(&sentence), "{line}");
    }
    (0..2).for_each(|_| drop(recv.stats()));
    assert_eq!((times(&recv, "no UDP"), times(&send, "no UDP")), (1, 1), "{}", recv.heard());
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
}

#[test]
fn udp_that_is_cut_in_the_middle_of_a_run_is_named_by_both_sides_though_there_is_no_sound() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port} --stats json"));
    send.said("waiting on port");
    let cut = Arc::new(AtomicBool::new(false));
    let closed = cut.clone();
    let gate = Gate::start(port, move |_: Way, _: &[u8]| !closed.load(Ordering::Relaxed));
    let mut recv = recv(&format!("--host 127.0.0.1:{} --stats json", gate.port));
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(30));
    [&mut recv, &mut send].into_iter().for_each(Program::forget_stats);
    cut.store(true, Ordering::Relaxed);
    for (program, named) in [(&mut recv, gate.port), (&mut send, port)] {
        let line = program.said("no UDP comes through");
        assert!(line.contains(&format!("pictures need UDP port {named}; open it in the firewall")), "{line}");
        // By the program's own clock, which tells its statistics each second.
        let seconds = program.seconds_unread();
        assert!(seconds <= 3, "said after {seconds} seconds: {}", program.heard());
    }
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
}

/// A name for the disk that is always full.
fn full_disk(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    // Left over from nobody: the process id is ours.
    let _ = std::fs::remove_file(&path);
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    path
}

#[test]
fn a_full_disk_is_named_with_the_file_and_what_it_keeps() {
    let port = free_port();
    let mut send = send(&format!("--test -s 320x240 -p {port}"));
    send.said("waiting on port");
    for (flag, name) in [("--output", "full.y4m"), ("--output", "full.mjpeg"), ("--audio-output", "full.wav")] {
        let path = full_disk(name);
        let mut recv = Program::start(RECV, &format!("--no-window --host 127.0.0.1:{port} {flag} {}", path.display()));
        assert_eq!(recv.ended(), 1, "{}", recv.heard());
        let line = recv.said("error: ");
        let start = format!("error: no space left for {} (No space left on device (os error 28)); it keeps ", path.display());
        let kept = line.strip_prefix(&start).and_then(|rest| rest.strip_suffix(": free some space, or write elsewhere"));
        assert!(kept.is_some_and(|kept| kept == "nothing" || kept.starts_with("0 ") || kept.starts_with("0.00 ")), "{line}");
        assert_eq!(times(&recv, "error: "), 1, "{}", recv.heard());
        std::fs::remove_file(path).unwrap();
    }
    let lost =
        "cannot create /nonexistent/a.y4m: there is no folder /nonexistent: make it (mkdir -p /nonexistent), or write elsewhere";
    fails(&mut recv(&format!("--host 127.0.0.1:{port} --output /nonexistent/a.y4m")), 1, lost);
}

/// Nobody waits, and then somebody with another key.
#[test]
fn an_outage_that_turns_into_another_trouble_says_so_at_once() {
    let port = free_port();
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --key one-long-passphrase"));
    recv.said(&format!("nobody is waiting on 127.0.0.1:{port}"));
    let mut send = send(&format!("{TEST} -p {port} --key another-passphrase"));
    send.said("waiting on port");
    recv.said(&format!("127.0.0.1:{port} turned us away: the two sides have different keys"));
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
}

#[test]
fn without_a_display_it_is_said_before_anybody_is_told_that_we_are_here() {
    let set = "DISPLAY is not set. Start it in a desktop session, or";
    let said = |rest: &str| format!("there is no display to open a window on: {set} {rest}");
    let mut recv = Program::start(RECV, &format!("--no-audio -p {}", free_port()));
    fails(&mut recv, 3, &said("use --no-window"));
    let mut call = Program::start(CALL, &format!("{TEST} -p {}", free_port()));
    fails(&mut call, 3, &said("use --no-window"));
    let mut send = send(&format!("{TEST} --preview -p {}", free_port()));
    fails(&mut send, 3, &said("leave out --preview"));
    assert_eq!([&recv, &send, &call].map(|program| times(program, "waiting")), [0; 3]);
    let mut recv = Program::start(RECV, &format!("--no-audio -p {} --output /nonexistent/a.y4m", free_port()));
    recv.ended();
    assert!(recv.heard().contains("error: cannot create /nonexistent/a.y4m"), "before any device: {}", recv.heard());
    let mut command = command(RECV, &format!("--no-audio -p {}", free_port()));
    command.env("DISPLAY", ":999");
    let mut recv = Program::launch(command, Stdio::null(), Out::Stats);
    assert_eq!(recv.ended(), 3);
    let line = recv.said("error: ");
    assert!(
        line.contains("cannot open the display \":999\"")
            && line.ends_with("Check DISPLAY and the right to use it, or use --no-window"),
        "{line}"
    );
}
