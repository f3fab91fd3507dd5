//! The real programs on the loopback interface: who dials, who is let in, who may leave, and that nobody disturbs another.
//!
//! No device, no window, no other program. What the children say is waited for with a deadline; nothing is slept through.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use nix::sys::signal::Signal;
use program::{Out, Program, RECV, SEND, command, free_port, recv, send};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A small picture: what is tried here is who gets it.
const TEST: &str = "--test -s 320x240 -r 30 --stats json";

fn number(stats: &Value, field: &str) -> u64 {
    stats[field].as_u64().unwrap_or_else(|| panic!("no {field} in {stats}"))
}

fn peers(send: &Value) -> &[Value] {
    send["peers"].as_array().unwrap()
}

/// Peers that are given nothing, for nothing was heard of them for three seconds.
fn quiet(send: &Value) -> usize {
    peers(send).iter().filter(|peer| peer["quiet"] == true).count()
}

/// Waits until half a second of pictures was shown.
fn shows(recv: &mut Program) -> Value {
    recv.stats_with(|stats| number(stats, "whole") >= 15 && number(stats, "shown") >= 1)
}

/// A second in which pictures come.
fn goes_on(recv: &mut Program) {
    let before = number(&recv.stats(), "whole");
    recv.stats_with(|stats| number(stats, "whole") > before);
}

#[test]
fn recv_dials_a_waiting_send_by_name_and_by_both_kinds_of_address() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said(&format!("waiting on port {port} (UDP and TCP); "));
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let mut recv = recv(&format!("--host {host}:{port} --stats json"));
        recv.said(&format!("dialling {host}:{port}"));
        recv.said("is sending");
        send.said("watches");
        let stats = shows(&mut recv);
        assert_eq!((&stats["lost"], &stats["partial"], &stats["quiet"]), (&0.into(), &0.into(), &false.into()), "{host}");
        assert_eq!(recv.stop(Signal::SIGTERM), 0);
        send.said("stopped watching");
        send.said("nobody watches");
    }
    assert_eq!(send.stop(Signal::SIGINT), 0);
}

#[test]
fn send_dials_a_waiting_recv_by_name_and_by_both_kinds_of_address() {
    let port = free_port();
    let mut recv = recv(&format!("-p {port} --stats json"));
    recv.said(&format!("waiting on port {port} (UDP and TCP); "));
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let mut send = send(&format!("{TEST} --host {host} -p {port}"));
        send.said(&format!("dialling {host}:{port}"));
        send.said("watches");
        recv.said("is sending");
        goes_on(&mut recv);
        assert_eq!(send.stop(Signal::SIGINT), 0);
        recv.said("stopped sending");
        recv.said(&format!("waiting on port {port}: run `send --host "));
    }
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
}

#[test]
fn one_send_dials_two_receivers_and_ends_neither_with_the_other() {
    let ports = [free_port(), free_port()];
    let mut recvs = ports.map(|port| recv(&format!("-p {port} --stats json")));
    for recv in &mut recvs {
        recv.said("waiting on port");
    }
    let mut send = send(&format!("{TEST} --host 127.0.0.1:{} --host [::1]:{}", ports[0], ports[1]));
    let [first, second] = &mut recvs;
    shows(first);
    shows(second);
    assert_eq!(first.stop(Signal::SIGINT), 0);
    send.said("stopped watching");
    goes_on(second);
    assert_eq!(send.stop(Signal::SIGTERM), 0);
    second.said("stopped sending");
}

/// The intervals between pictures of one receiver over some seconds.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Pictures that came whole.
    whole: u64,
    /// Pictures shown.
    shown: u64,
    /// Pictures that came in part or not at all.
    missing: u64,
    /// The middle one of the seconds' p95, ms.
    interval: f64,
}

const SECONDS: usize = 3;

/// The last of these receivers has another sender, to whom nothing happens: it shows what the machine does in the same seconds.
fn paces(recvs: &mut [Program]) -> Vec<Pace> {
    recvs.iter_mut().for_each(Program::forget_stats);
    recvs.iter_mut().map(pace).collect()
}

fn pace(recv: &mut Program) -> Pace {
    let before = recv.stats();
    let mut intervals = Vec::new();
    let mut after = Value::Null;
    for _ in 0..SECONDS {
        after = recv.stats();
        // Of a second in which nothing was shown, that second.
        intervals.push(after["interval_ms"]["p95"].as_f64().unwrap_or(1000.0));
    }
    intervals.sort_by(f64::total_cmp);
    let grown = |field| number(&after, field) - number(&before, field);
    Pace {
        whole: grown("whole"),
        shown: grown("shown"),
        missing: grown("partial") + grown("lost"),
        interval: intervals[SECONDS / 2],
    }
}

/// The middle one of these.
fn median(paces: &[Pace], of: impl Fn(&Pace) -> f64) -> f64 {
    let mut all: Vec<f64> = paces.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The machine is shared with who knows whom: one receiver may be late once, by more than half a second, and all may be while the
/// control is. Whoever waited for a dead peer would be late by seconds, and a sender that did would make all of them late.
fn assert_as_before(before: &[Pace], after: &[Pace], event: &str) {
    let said = format!("{event}: {before:?}, then {after:?}");
    let ((before_control, before), (control, after)) = (before.split_last().unwrap(), after.split_last().unwrap());
    let missing = |paces: &[Pace]| paces.iter().map(|pace| pace.missing).sum::<u64>();
    let sent: u64 = before.iter().map(|pace| pace.whole).sum();
    let beside = control.missing * after.len() as u64;
    assert!(missing(after) <= missing(before) + beside + sent / 100, "{said}");
    for of in [|pace: &Pace| pace.whole as f64, |pace: &Pace| pace.shown as f64] {
        let share = (of(control) / of(before_control)).min(1.0);
        assert!(median(after, of) >= 0.8 * share * median(before, of), "{said}");
    }
    assert!(after.iter().zip(before).all(|(after, before)| after.whole * 2 >= before.whole.min(control.whole)), "{said}");
    let share = (control.whole as f64 / before_control.whole as f64).min(1.0);
    let lags = |(after, before): &(&Pace, &Pace)| (after.whole as f64) < 0.8 * share * before.whole as f64;
    assert!(after.iter().zip(before).filter(lags).count() * 4 <= after.len(), "not for a few of them, either: {said}");
    let interval = |pace: &Pace| pace.interval;
    assert!(median(after, interval) <= 2.0 * median(before, interval).max(control.interval).max(33.4), "{said}");
}

#[test]
fn sixteen_watch_and_neither_a_killed_nor_a_stopped_one_changes_the_pictures_of_the_others() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let mut recvs: Vec<_> = (0..16).map(|_| recv(&format!("--host 127.0.0.1:{port} --stats json"))).collect();
    for recv in &mut recvs {
        shows(recv);
    }
    send.stats_with(|stats| peers(stats).len() == 16 && quiet(stats) == 0);

    let (killed, stopped) = (recvs.pop().unwrap(), recvs.pop().unwrap());
    let other = free_port();
    let mut control = program::send(&format!("{TEST} -p {other}"));
    control.said("waiting on port");
    recvs.push(recv(&format!("--host 127.0.0.1:{other} --stats json")));
    recvs.iter_mut().for_each(|recv| drop(shows(recv)));
    let before = paces(&mut recvs);

    killed.signal(Signal::SIGKILL);
    assert_as_before(&before, &paces(&mut recvs), "one was killed");
    send.stats_with(|stats| quiet(stats) == 1);

    stopped.signal(Signal::SIGSTOP);
    assert_as_before(&before, &paces(&mut recvs), "one was stopped");
    send.stats_with(|stats| quiet(stats) == 2);
    assert_as_before(&before, &paces(&mut recvs), "one has been stopped for a while");

    stopped.signal(Signal::SIGCONT);
    let mut woken = stopped;
    woken.forget_stats();
    goes_on(&mut woken);
    assert_as_before(&before, &paces(&mut recvs), "it woke up");

    for recv in &mut recvs {
        assert_eq!(recv.stop(Signal::SIGINT), 0);
    }
    assert_eq!(woken.stop(Signal::SIGINT), 0);
    assert_eq!(control.stop(Signal::SIGTERM), 0);
    send.said("nobody watches");
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}

#[test]
fn watchers_come_and_go_at_any_time_and_find_pictures_at_once() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let mut stays = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    shows(&mut stays);
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT, Signal::SIGKILL] {
        let mut passes_by = recv(&format!("--host 127.0.0.1:{port} --stats json"));
        shows(&mut passes_by);
        passes_by.signal(signal);
        match signal {
            // Whoever breaks off without a word may come back.
            Signal::SIGKILL => drop(send.stats_with(|stats| quiet(stats) > 0)),
            _ => drop(send.said("stopped watching")),
        }
        goes_on(&mut stays);
    }
    let stats = stays.stats();
    assert_eq!((number(&stats, "lost"), number(&stats, "partial")), (0, 0), "{stats}");
    assert_eq!(stays.stop(Signal::SIGTERM), 0);
}

#[test]
fn only_the_same_key_is_let_in_and_each_side_is_told_why_not() {
    let port = free_port();
    let mut keyed = send(&format!("{TEST} -p {port} --key correct-horse-battery"));
    keyed.said("whoever has the key is let in");
    let said = "the two sides have different keys: start both with the same --key";
    let mut stranger = recv(&format!("--host 127.0.0.1:{port} --key something-else-entirely"));
    stranger.said(&format!("turned us away: {said} (dialling on until it answers)"));
    keyed.said(said);
    assert_eq!(stranger.stop(Signal::SIGTERM), 0);
    let said = "the waiting side wants a key: start the dialling side with the same --key";
    let mut stranger = recv(&format!("--host 127.0.0.1:{port}"));
    stranger.said(&format!("turned us away: {said}"));
    assert_eq!(stranger.ended(), 1);
    keyed.said(said);
    let mut friend = recv(&format!("--host 127.0.0.1:{port} --key correct-horse-battery --stats json"));
    shows(&mut friend);
    assert_eq!(friend.stop(Signal::SIGTERM), 0);
    assert_eq!(keyed.stop(Signal::SIGTERM), 0);
    assert!(!keyed.heard().contains("correct-horse"), "a key is never shown");

    let mut open = send(&format!("{TEST} -p {port}"));
    open.said("without --key");
    let mut stranger = recv(&format!("--host 127.0.0.1:{port} --key correct-horse-battery"));
    stranger.said("the dialling side has a key and the waiting side has none");
    assert_eq!(stranger.stop(Signal::SIGTERM), 0);
    assert_eq!(open.stop(Signal::SIGTERM), 0);
}

#[test]
fn a_second_sender_is_told_that_a_receiver_that_writes_a_file_is_busy_and_the_first_goes_on() {
    let (port, file) = (free_port(), std::env::temp_dir().join(format!("eyeline-busy-{}.mjpeg", std::process::id())));
    let mut recv = recv(&format!("-p {port} --stats json --overwrite --output {}", file.display()));
    recv.said("waiting on port");
    let mut first = send(&format!("{TEST} --host 127.0.0.1:{port}"));
    first.said("watches");
    shows(&mut recv);
    let mut second = send(&format!("{TEST} --host 127.0.0.1:{port}"));
    second.said("already shows another sender: stop that one, or start another recv there with another --port");
    assert_eq!(second.ended(), 4);
    recv.said("was turned away: there is a place for one sender here, and another has it");
    goes_on(&mut recv);
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn four_senders_are_received_at_once_and_one_that_leaves_or_falls_silent_disturbs_no_other() {
    let (port, lab) = (free_port(), free_port());
    let mut waiting = send(&format!("{TEST} -p {lab}"));
    waiting.said("waiting on port");
    let mut recv = recv(&format!("--host 127.0.0.1:{lab} --wait -p {port} --stats json"));
    recv.said("waiting on port");
    let mut dialling: Vec<Program> = (0..3).map(|_| send(&format!("{TEST} --host 127.0.0.1:{port}"))).collect();
    let tracks = |stats: &Value| stats["tracks"].as_array().cloned().unwrap_or_default();
    let heard =
        |stats: &Value| tracks(stats).iter().filter(|track| track["quiet"] == false && track["whole"].as_u64() > Some(0)).count();
    recv.stats_with(|stats| heard(stats) == 4);
    assert_eq!(dialling.pop().unwrap().stop(Signal::SIGTERM), 0);
    recv.said("stopped sending");
    recv.stats_with(|stats| tracks(stats).len() == 3 && heard(stats) == 3);
    dialling[0].signal(Signal::SIGSTOP);
    recv.said("for 3 s: waiting for it to come back");
    let before = recv.stats_with(|stats| tracks(stats).len() == 3 && heard(stats) == 2);
    recv.stats_with(|stats| {
        let both = tracks(&before).into_iter().zip(tracks(stats));
        both.filter(|(before, now)| now["whole"].as_u64() > before["whole"].as_u64().map(|whole| whole + 5)).count() == 2
    });
    dialling[0].signal(Signal::SIGCONT);
    recv.stats_with(|stats| heard(stats) == 3);
    assert_eq!(waiting.stop(Signal::SIGTERM), 0);
    recv.stats_with(|stats| tracks(stats).len() == 2 && heard(stats) == 2);
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
}

#[test]
fn a_sender_that_was_killed_and_started_again_is_shown_again_by_itself() {
    // The waiting one is killed, then the dialling one.
    let port = free_port();
    let mut waiting = send(&format!("{TEST} -p {port}"));
    waiting.said("waiting on port");
    let mut dials = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    shows(&mut dials);
    assert_eq!(waiting.stop(Signal::SIGTERM), 0);
    dials.said("stopped sending");
    dials.said("dialling 127.0.0.1");
    let mut again = send(&format!("{TEST} -p {port}"));
    dials.said("is sending");
    goes_on(&mut dials);
    again.said("watches");
    again.signal(Signal::SIGKILL);
    drop(again);
    let _again = send(&format!("{TEST} -p {port}"));
    dials.said("is sending");
    goes_on(&mut dials);

    let port = free_port();
    let mut waits = recv(&format!("-p {port} --stats json"));
    waits.said("waiting on port");
    for _ in 0..2 {
        let mut dialling = send(&format!("{TEST} --host 127.0.0.1:{port}"));
        waits.said("is sending");
        goes_on(&mut waits);
        dialling.said("watches");
        dialling.signal(Signal::SIGKILL);
    }
}

#[test]
fn without_reconnecting_a_lost_peer_is_the_end_and_exit_code_4() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let port = free_port();
        let mut send_1 = send(&format!("{TEST} -p {port}"));
        send_1.said("waiting on port");
        let mut recv_1 = recv(&format!("--host 127.0.0.1:{port} --no-reconnect --stats json"));
        shows(&mut recv_1);
        send_1.signal(signal);
        recv_1.said(" is lost and --no-reconnect was given");
        assert_eq!(recv_1.ended(), 4, "{signal}");

        let mut recv_2 = recv(&format!("-p {port} --stats json"));
        recv_2.said("waiting on port");
        let mut send_2 = send(&format!("{TEST} --host 127.0.0.1:{port} --no-reconnect"));
        shows(&mut recv_2);
        recv_2.signal(signal);
        send_2.said(" is lost and --no-reconnect was given");
        assert_eq!(send_2.ended(), 4, "{signal}");

        let mut send_3 = send(&format!("{TEST} -p {port} --no-reconnect"));
        send_3.said("waiting on port");
        let mut recv_3 = recv(&format!("--host 127.0.0.1:{port} --stats json"));
        shows(&mut recv_3);
        recv_3.signal(signal);
        send_3.said(" is lost and --no-reconnect was given");
        assert_eq!(send_3.ended(), 4, "{signal}");
    }
}

#[test]
fn after_the_duration_a_program_ends_as_if_it_was_told_to() {
    let port = free_port();
    let mut send_1 = send(&format!("{TEST} -p {port}"));
    send_1.said("waiting on port");
    let mut recv_1 = recv(&format!("--host 127.0.0.1:{port} --duration 5s --stats json"));
    recv_1.said("is sending");
    assert_eq!(recv_1.ended(), 0);
    send_1.said("stopped watching");
    assert_eq!(send_1.stop(Signal::SIGTERM), 0);
    assert_eq!(send(&format!("{TEST} -p {port} --duration 300ms")).ended(), 0);
}

#[test]
fn with_a_latency_given_pictures_are_shown_that_long_after_they_were_taken() {
    let port = free_port();
    let _send = send(&format!("{TEST} -p {port}"));
    // Holds nothing: how late pictures are on this machine at the moment.
    let mut beside = recv(&format!("--host 127.0.0.1:{port} --latency auto --stats json"));
    for (latency, expected) in [("auto", None), ("150ms", Some(150.0))] {
        let mut recv = recv(&format!("--host 127.0.0.1:{port} --latency {latency} --stats json"));
        let median = |stats: &Value, stage: &str| stats["latency_ms"][stage]["p50"].as_f64();
        match expected {
            None => {
                let stats = recv.stats_with(|stats| median(stats, "all").is_some());
                assert_eq!(median(&stats, "hold"), Some(0.0), "{stats}");
            }
            // The first second has pictures of before the clock was known; a busy machine may be late, never early.
            Some(expected) => {
                recv.stats_with(|stats| median(stats, "hold").is_some_and(|held| held > 50.0));
                beside.forget_stats();
                let all = |recv: &mut Program| median(&recv.stats_with(|stats| median(stats, "all").is_some()), "all").unwrap();
                let (held, late) = (all(&mut recv), all(&mut beside));
                assert!(
                    (expected - 15.0..expected + 60.0 + late).contains(&held),
                    "{held} ms, and {late} ms where nothing is held"
                );
            }
        }
        assert_eq!(recv.stop(Signal::SIGTERM), 0);
    }
}

/// What a sender did in some seconds.
#[derive(Debug)]
struct Sent {
    /// Pictures sent, and those for which an encoder had no time.
    pictures: u64,
    mbit: f64,
    /// From one line of statistics to another as they came, but no less than they are apart.
    seconds: f64,
}

/// What each of these did in the same seconds.
fn sent<const N: usize>(mut senders: [&mut Program; N]) -> [Sent; N] {
    const SECONDS: usize = 5;
    senders.iter_mut().for_each(|sender| sender.forget_stats());
    let before = senders.each_mut().map(|sender| (sender.stats(), Instant::now()));
    let mut before = before.into_iter();
    senders.map(|sender| {
        let (before, begun) = before.next().unwrap();
        let after = (0..SECONDS).map(|_| sender.stats()).last().unwrap();
        let seconds = begun.elapsed().as_secs_f64().max(SECONDS as f64);
        let grown = |field| number(&after, field) - number(&before, field);
        Sent { pictures: grown("pictures") + grown("replaced"), mbit: grown("bytes") as f64 * 8e-6, seconds }
    })
}

/// Quality, size and rate give way, in this order, and the cap holds whatever whole pictures would cost. What a busy machine lets
/// pass in the same seconds shows a sender without a cap.
#[test]
fn with_a_bit_rate_given_no_receiver_is_sent_more_and_the_picture_adapts() {
    let pair = |cap: &str| {
        let port = free_port();
        let mut send = send(&format!("--test --replenish off --no-audio -s 1280x720 -p {port} --stats json {cap}"));
        send.said("waiting on port");
        let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
        shows(&mut recv);
        (send, recv)
    };
    let (mut free, _watching) = pair("");
    for (cap, limit, share) in [("3M", 3.0, 0.75), ("400k", 0.4, 0.15)] {
        let (mut send, mut recv) = pair(&format!("-b {cap}"));
        // The first picture is made before anything is known of what it costs.
        send.stats();
        let [capped, control] = sent([&mut send, &mut free]);
        println!("{cap}: {capped:?}, {control:?}");
        assert!(control.mbit > 2.0 * limit * control.seconds, "nothing to cap: {control:?}");
        assert!(capped.mbit <= limit * capped.seconds, "{cap}: {capped:?}, {control:?}");
        // Of 30 a second.
        let let_pass = (control.pictures as f64 / (30.0 * control.seconds)).min(1.0);
        assert!(capped.mbit > limit / 2.0 * let_pass * capped.seconds, "{cap}: {capped:?}, {control:?}");
        assert!(capped.pictures as f64 >= share * control.pictures as f64, "{cap}: {capped:?}, {control:?}");
        assert_eq!(recv.stop(Signal::SIGINT), 0);
        assert_eq!(send.stop(Signal::SIGTERM), 0);
    }
}

/// The names of a recording that nobody else writes.
fn recording(name: &str) -> [std::path::PathBuf; 2] {
    ["y4m", "wav"].map(|kind| std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{kind}")))
}

/// What runs the tests may have been told to outlive its terminal, and then its children were, too.
const HANGUP_ENDS: &str = "--default-signal=HUP";

/// A sender of picture and tone, and who writes both, once there is a second of them.
fn recorded(command: Command, name: &str) -> (Program, Program, [std::path::PathBuf; 2]) {
    let port = free_port();
    let mut send = Program::start("env", &format!("{HANGUP_ENDS} {SEND} {TEST} -p {port}"));
    send.said("waiting on port");
    let files = recording(name);
    let mut command = command;
    command.args(["--no-window", "--no-audio", "--stats", "json", "--host", &format!("127.0.0.1:{port}")]);
    command.arg("--output").arg(&files[0]).arg("--audio-output").arg(&files[1]);
    let mut recv = Program::launch(command, Stdio::null(), Out::Stats);
    recv.stats_with(|stats| number(stats, "whole") >= 60);
    (send, recv, files)
}

/// Bytes of samples that the header of a WAV file promises, and those that are there.
fn wav_bytes(path: &std::path::Path) -> (u64, u64) {
    let there = std::fs::metadata(path).unwrap().len() - 44;
    let reader = hound::WavReader::open(path).unwrap();
    (u64::from(reader.len()) * 2, there)
}

#[test]
fn a_terminal_that_is_closed_ends_recv_in_order_and_one_it_was_to_outlive_does_not() {
    let (mut send, mut recv, [pictures, sound]) = recorded(command("env", &format!("{HANGUP_ENDS} {RECV}")), "hangup");
    assert_eq!(recv.stop(Signal::SIGHUP), 0);
    recv.said("hangup.wav: ");
    let (promised, there) = wav_bytes(&sound);
    assert_eq!(promised, there);
    assert!(std::fs::metadata(pictures).unwrap().len() > 0);
    assert_eq!(send.stop(Signal::SIGHUP), 0);

    let (mut send, mut recv, _) = recorded(command("env", &format!("--ignore-signal=HUP {RECV}")), "nohup");
    recv.signal(Signal::SIGHUP);
    recv.forget_stats();
    goes_on(&mut recv);
    goes_on(&mut recv);
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
}

#[test]
fn whoever_is_killed_leaves_files_that_lack_a_second_at_most() {
    let (mut send, mut recv, [pictures, sound]) = recorded(command(RECV, ""), "killed");
    recv.forget_stats();
    let last = recv.stats();
    // A busy machine may keep the threads that write for a second.
    recv.stats();
    recv.signal(Signal::SIGKILL);
    drop(recv);
    // What had been written by then but for a second. A frame may have been cut: what reads y4m leaves that one out.
    let pictures = std::fs::read(pictures).unwrap();
    let header = pictures.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    assert!(pictures.starts_with(b"YUV4MPEG2 W320 H240 F30:1 "));
    let frames: Vec<_> = pictures[header..].chunks(b"FRAME\n".len() + 320 * 240 * 3 / 2).collect();
    assert!(frames.iter().all(|frame| frame.starts_with(&b"FRAME\n"[..frame.len().min(6)])), "frame by frame");
    assert!(frames.len() as u64 + 30 >= number(&last, "shown"), "{} frames; {last}", frames.len());
    let (promised, there) = wav_bytes(&sound);
    assert!(promised <= there && there - promised <= 2 * 48_000, "{promised} of {there}");
    let samples: Vec<i16> = hound::WavReader::open(&sound).unwrap().into_samples().collect::<Result<_, _>>().unwrap();
    assert!(samples.len() as u64 + 48_000 >= number(&last, "shown") * 1600, "{} samples; {last}", samples.len());
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}

#[test]
fn statistics_end_with_a_line_of_totals_on_both_sides() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let mut recv = recv(&format!("127.0.0.1:{port} --stats json"));
    let second = shows(&mut recv);
    assert_eq!((&second["total"], &second["send_errors"]), (&Value::Null, &0.into()));
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    let total = recv.stats_with(|stats| stats["total"] == true);
    assert!(number(&total, "whole") >= number(&second, "whole") && number(&total, "shown") >= 1, "{total}");
    let all = &total["latency_ms"]["all"];
    assert!(all["p50"].as_f64().unwrap() > 0.0 && all["p99"].as_f64() >= all["p50"].as_f64(), "{total}");
    assert!(total["seconds"].as_f64().unwrap() > 0.0 && total["fps"].as_f64().unwrap() > 0.0, "{total}");
    assert_eq!((total.get("quiet"), total.get("rtt_ms")), (None, None), "of the last moment: {total}");
    let total = send.stats_with(|stats| stats["total"] == true);
    assert!(number(&total, "pictures") >= 15 && number(&total, "bytes") > 0, "{total}");
    assert_eq!(number(&total, "peers_seen"), 1, "{total}");
}

#[test]
fn who_waits_on_the_loopback_address_alone_says_that_only_this_machine_reaches_it() {
    let port = free_port();
    let mut send = send(&format!("{TEST} --bind 127.0.0.1 -p {port}"));
    send.said(&format!(
        "waiting on port {port} (UDP and TCP); only this machine reaches 127.0.0.1: recv --host 127.0.0.1:{port}"
    ));
    let mut recv = recv(&format!("--host 127.0.0.1:{port}"));
    recv.said("is sending");
}

/// The address named is not tried over a network, but the same machine reaches it too. With a key, for it may be a public one.
#[test]
fn the_address_that_a_waiting_program_names_is_one_that_works() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port} --key only-for-this-test"));
    let line = send.said("waiting on port");
    let (before, command) = line.split_once("recv --host ").unwrap();
    if before.contains("this machine has no address yet") {
        return; // nothing can be reached from outside, and it says so
    }
    let mut recv = recv(&format!("--host {} --key only-for-this-test", command.split(' ').next().unwrap()));
    recv.said("is sending");
}
