//! Devices that are missing, busy, taken away or full, with the real binaries: the line that is printed, once, and the exit code.
//! The camera is emulated (`emulated_camera.c`), the sound server is the test's own.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/emulator.rs"]
mod emulator;
#[path = "support/program.rs"]
mod program;
#[path = "support/sound_server.rs"]
mod sound_server;

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use emulator::emulator;
use nix::sys::signal::Signal;
use program::{Out, Program, RECV, SEND, command, free_port};
use sound_server::SoundServer;

const CAMERA: &str = "Emulated Camera (/dev/video0)";
const NO_MICROPHONE: &str = "there is no microphone: plug one in or start the sound server (PulseAudio, PipeWire)";
const NO_SPEAKER: &str = "there is no speaker: plug one in or start the sound server (PulseAudio, PipeWire)";

/// The program with the emulated camera and without any sound.
fn start(path: &str, args: &str, settings: &[(&str, &str)]) -> Program {
    let mut command = command(path, args);
    command.env("LD_PRELOAD", emulator()).env("EMUCAM_FORMATS", "YUYV").envs(settings.iter().copied());
    command.env("PULSE_SERVER", "unix:/nonexistent/pulse").env("ALSA_CONFIG_PATH", "/dev/null");
    Program::launch(command, Stdio::null(), Out::Stats)
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
fn no_camera_names_the_way_without_and_is_a_device_error() {
    let none = [("EMUCAM_NODES", "0")];
    let waits = |more: &str| format!("--no-audio -p {} {more}", free_port());
    let sentence = "no camera found (there is no /dev/video*); plug one in, or send a test picture with `--test`";
    fails(&mut start(SEND, &waits(""), &none), 3, sentence);
    let unknown = "there is no camera `7`; there is: none (`--list` shows more, `--test` needs none)";
    fails(&mut start(SEND, &waits("--camera 7"), &none), 3, unknown);
    let other = format!("there is no camera `other`; there is: {CAMERA} (`--list` shows more, `--test` needs none)");
    fails(&mut start(SEND, &waits("--camera other"), &[]), 3, &other);
}

#[test]
fn the_doctor_says_what_rate_comes_of_the_camera_that_would_be_taken() {
    let camera = |args: &str, settings: &[(&str, &str)]| {
        let mut send = start(SEND, &format!("--doctor --no-audio --stats json -p {} {args}", free_port()), settings);
        let told = send.stats();
        let found = told["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "camera").unwrap().clone();
        (found["verdict"].as_str().unwrap().to_string(), found["found"].as_str().unwrap().to_string())
    };
    let (_, found) = camera("", &[]);
    assert!(found.starts_with(CAMERA) && found.ends_with(" a second came"), "{found}");
    let (verdict, found) = camera("--camera other", &[]);
    assert!(verdict == "wrong" && found.starts_with("there is no camera `other`"), "{found}");
}

#[test]
fn a_camera_that_cannot_be_set_as_wished_says_what_it_can_and_is_a_device_error() {
    let waits = |more: &str| format!("--no-audio -p {} {more}", free_port());
    let long = format!("{CAMERA} takes --exposure auto, 0.3ms to 204.7ms, not 1s");
    fails(&mut start(SEND, &waits("--exposure 1s"), &[]), 3, &long);
    let lacks = format!(
        "{CAMERA} has nothing to set with --focus: leave it out, or choose another with `--camera` (`--list` shows what each has)"
    );
    fails(&mut start(SEND, &waits("--focus near"), &[("EMUCAM_CONTROLS", "0")]), 3, &lacks);
}

#[test]
fn a_camera_that_is_busy_or_forbidden_says_what_to_do() {
    let waits = format!("--no-audio -p {}", free_port());
    let busy = format!("{CAMERA} is busy: another program uses it; close that, or choose another with `--camera`");
    fails(&mut start(SEND, &waits, &[("EMUCAM_BUSY", "1")]), 3, &busy);
    let forbidden =
        "no permission to open /dev/video0: add yourself to the group `video` (`sudo usermod -aG video $USER`) and log in again";
    fails(&mut start(SEND, &waits, &[("EMUCAM_OPEN_ERRNO", "13")]), 3, forbidden);
}

#[test]
fn a_camera_unplugged_in_use_comes_back_under_another_number_and_nobody_leaves() {
    let here = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("plugged-{}", std::process::id()));
    let port = free_port();
    let gone = here.with_extension("gone");
    let [unplug, replug] =
        [("EMUCAM_UNPLUG_WHEN", &gone), ("EMUCAM_REPLUG_WHEN", &here)].map(|(key, path)| (key, path.to_str().unwrap()));
    let settings = [unplug, replug, ("EMUCAM_MOVE", "4")];
    let mut send = start(SEND, &format!("--no-audio -p {port} --stats json"), &settings);
    send.said("waiting on port");
    let mut recv = start(RECV, &format!("--no-window --no-audio --host 127.0.0.1:{port} --stats json"), &[]);
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(10));
    std::fs::write(&gone, "").unwrap();
    send.said(&format!("warning: {CAMERA} is unplugged; plug it in again (it then goes on by itself)"));
    // It is looked for meanwhile, and the link lives: those under way come, and then none for a second.
    recv.forget_stats();
    let whole = std::cell::Cell::new(None);
    let still = recv.stats_with(|stats| whole.replace(stats["whole"].as_u64()) == stats["whole"].as_u64());
    assert_eq!(still["quiet"], false, "{still}");
    std::fs::write(&here, "").unwrap();
    send.said("the camera is back: Emulated Camera (/dev/video4): YUYV");
    recv.stats_with(|stats| stats["whole"].as_u64() >= still["whole"].as_u64().map(|whole| whole + 30));
    // Nobody watches, then somebody does: it is found where it was last.
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
    send.said("nobody watches");
    let mut recv = start(RECV, &format!("--no-window --no-audio --host 127.0.0.1:{port} --stats json"), &[]);
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(10));
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    assert_eq!((times(&send, "is unplugged"), times(&send, "is back")), (1, 1), "{}", send.heard());
    [gone, here].iter().for_each(|file| std::fs::remove_file(file).unwrap());
}

/// What refuses it may be over soon: another program, a driver that is not ready.
#[test]
fn a_camera_that_comes_back_and_cannot_be_set_as_before_is_told_of_once_and_tried_again() {
    let port = free_port();
    let file = |end: &str| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("again-{port}.{end}"));
    let (gone, here, refuses) = (file("gone"), file("here"), file("refuses"));
    let [unplug, replug, when] =
        [("EMUCAM_UNPLUG_WHEN", &gone), ("EMUCAM_REPLUG_WHEN", &here), ("EMUCAM_REFUSES_WHEN", &refuses)]
            .map(|(key, path)| (key, path.to_str().unwrap()));
    let settings = [unplug, replug, when, ("EMUCAM_REFUSES", "zoom")];
    let mut send = start(SEND, &format!("--no-audio --zoom 2x -p {port}"), &settings);
    send.said("waiting on port");
    let mut recv = start(RECV, &format!("--no-window --no-audio --host 127.0.0.1:{port} --stats json"), &[]);
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(10));
    [&refuses, &gone].iter().for_each(|file| std::fs::write(file, "").unwrap());
    send.said("is unplugged");
    std::fs::write(&here, "").unwrap();
    send.said(&format!("warning: the camera is there again, but {CAMERA} refuses --zoom (Input/output error (os error 5))"));
    // Some looks later.
    recv.forget_stats();
    (0..2).for_each(|_| drop(recv.stats()));
    std::fs::remove_file(&refuses).unwrap();
    send.said("the camera is back");
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    assert_eq!(times(&send, "refuses --zoom"), 1, "{}", send.heard());
    [gone, here].iter().for_each(|file| std::fs::remove_file(file).unwrap());
}

/// While it is away `send` stops at once when told to.
#[test]
fn a_camera_that_stays_away_keeps_nobody_from_stopping() {
    let port = free_port();
    let mut send = start(SEND, &format!("--no-audio -p {port}"), &[("EMUCAM_UNPLUG_AT", "40")]);
    send.said("waiting on port");
    let mut recv = start(RECV, &format!("--no-window --no-audio --host 127.0.0.1:{port} --stats json"), &[]);
    send.said("is unplugged");
    assert_eq!((send.stop(Signal::SIGTERM), recv.stop(Signal::SIGTERM)), (0, 0));
}

#[test]
fn without_reconnecting_a_camera_unplugged_in_use_ends_send_and_tells_who_watches_why() {
    for microphone in ["--no-audio", ""] {
        let port = free_port();
        let gone = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("unplugged-{}-{port}", std::process::id()));
        let settings = [("EMUCAM_UNPLUG_WHEN", gone.to_str().unwrap())];
        let mut send = start(SEND, &format!("{microphone} -p {port} --no-reconnect"), &settings);
        send.said("waiting on port");
        let mut recv = start(RECV, &format!("--no-window --no-audio --host 127.0.0.1:{port} --stats json"), &[]);
        recv.stats_with(|stats| stats["whole"].as_u64() >= Some(10));
        std::fs::write(&gone, "").unwrap();
        fails(&mut send, 3, &format!("{CAMERA} is unplugged; plug it in again"));
        assert_eq!(times(&send, "camera Emulated"), 1, "{}", send.heard());
        recv.said(&format!("stopped sending: {CAMERA} is unplugged; plug it in again"));
        recv.said("dialling 127.0.0.1");
        assert_eq!(recv.stop(Signal::SIGTERM), 0);
        std::fs::remove_file(gone).unwrap();
    }
}

#[test]
fn without_sound_both_go_on_with_pictures_unless_it_was_asked_for() {
    let port = free_port();
    let mut send = start(SEND, &format!("-p {port}"), &[]);
    send.said(&format!("warning: going on without sound: {NO_MICROPHONE}, or say --no-audio"));
    send.said("waiting on port");
    let mut recv = start(RECV, &format!("--no-window --host 127.0.0.1:{port} --stats json"), &[]);
    recv.said(&format!("warning: going on without sound: {NO_SPEAKER}, or say --no-audio"));
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(10));
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    assert_eq!((times(&recv, "sound"), times(&send, "without sound")), (2, 1), "{}\n{}", recv.heard(), send.heard());

    let port = free_port();
    let leave_out = |what: &str, flag: &str| format!("{what}, or leave out {flag} to go on without sound");
    fails(&mut start(SEND, &format!("-p {port} --require-audio"), &[]), 3, &leave_out(NO_MICROPHONE, "--require-audio"));
    fails(&mut start(RECV, &format!("-p {port} --no-window --speaker loud"), &[]), 3, &leave_out(NO_SPEAKER, "--speaker"));
    let mut silent = start(SEND, &format!("-p {port} --no-video"), &[]);
    fails(&mut silent, 3, &format!("{NO_MICROPHONE}, or leave out --no-video"));
    assert_eq!(times(&silent, "warning"), 0, "{}", silent.heard());
}

#[test]
fn a_sound_server_killed_in_use_is_said_once_and_sound_comes_back_with_it() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("errors-{}", std::process::id()));
    let mut server = SoundServer::start(&dir);
    let launch = |path: &str, args: &str| {
        let mut command = command(path, args);
        command.envs(SoundServer::environment(&dir)).env_remove("PULSE_RUNTIME_PATH").env("ALSA_CONFIG_PATH", "/dev/null");
        Program::launch(command, Stdio::null(), Out::Stats)
    };
    let port = free_port();
    // The microphone goes with the test picture as it does with a camera.
    let mut send = launch(SEND, &format!("--test -s 320x240 --mic virtmic -p {port} --stats json"));
    send.said("microphone virtmic");
    send.said("waiting on port");
    let mut recv = launch(RECV, &format!("--no-window --host 127.0.0.1:{port} --stats json"));
    recv.said("speaker speaker");
    recv.stats_with(|stats| stats["blocks"].as_u64() >= Some(50));
    server.kill();
    recv.said("warning: speaker speaker is lost");
    send.said("warning: microphone virtmic is lost");
    let before = recv.stats();
    let after = recv.stats_with(|stats| stats["whole"].as_u64() >= before["whole"].as_u64().map(|whole| whole + 60));
    server.restart();
    recv.said("speaker speaker is back");
    send.said("microphone virtmic is back");
    recv.stats_with(|stats| stats["blocks"].as_u64() >= after["blocks"].as_u64().map(|blocks| blocks + 50));
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    assert_eq!((times(&recv, "is lost"), times(&send, "is lost")), (1, 1), "{}\n{}", recv.heard(), send.heard());
    drop(server);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_microphone_asked_for_by_its_name_must_be_there_and_is_waited_for_when_it_has_gone() {
    let missing = format!("--test -s 320x240 --mic trombone -p {}", free_port());
    fails(&mut start(SEND, &missing, &[]), 3, &format!("{NO_MICROPHONE}, or leave out --mic to go on without it"));
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("named-{}", std::process::id()));
    let mut server = SoundServer::start(&dir);
    let launch = |path: &str, args: &str| {
        let mut command = command(path, args);
        command.envs(SoundServer::environment(&dir)).env_remove("PULSE_RUNTIME_PATH").env("ALSA_CONFIG_PATH", "/dev/null");
        Program::launch(command, Stdio::null(), Out::Stats)
    };
    let mut unknown = launch(SEND, &missing);
    assert_eq!(unknown.ended(), 3, "{}", unknown.heard());
    let line = unknown.said("error: ");
    assert!(line.contains("no microphone is called \"trombone\"; there are: 0 virtmic"), "{line}");
    let port = free_port();
    let mut send = launch(SEND, &format!("--test -s 320x240 --mic virtmic -p {port}"));
    send.said("waiting on port");
    // Nobody watches yet, so it is closed.
    server.kill();
    let sound = dir.join("sound.wav");
    let recv = format!("--no-window --no-audio --audio-output {} --host 127.0.0.1:{port} --stats json", sound.display());
    let mut recv = launch(RECV, &recv);
    send.said("warning: microphone virtmic is lost (it is not there)");
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(10));
    server.restart();
    send.said("microphone virtmic is back");
    recv.stats_with(|stats| stats["blocks"].as_u64() >= Some(50));
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
    drop(server);
    std::fs::remove_dir_all(dir).unwrap();
}

/// A disk of a megabyte, in a mount namespace that ends with the program.
#[test]
fn a_disk_that_fills_keeps_what_was_written_and_says_how_much() {
    let port = free_port();
    let mut send = start(SEND, &format!("--test -s 640x480 -p {port}"), &[]);
    send.said("waiting on port");
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}", std::process::id()));
    std::fs::create_dir_all(&disk).unwrap();
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let namespace = if is_root { "-m" } else { "-rm" };
    for (flag, name, kept) in [
        ("--output", "a.mjpeg", "pictures"),
        ("--output", "a.y4m", "picture"),
        ("--audio-output", "a.wav", "s of sound"),
        ("--record", "a.mkv", "pictures and"),
    ] {
        let of_pictures = if flag == "--record" { "-select_streams v" } else { "" };
        let path = disk.join(name);
        let line = format!(
            "mount -t tmpfs -o size=1m tmpfs {} && {RECV} --no-window --host 127.0.0.1:{port} {flag} {}; code=$?; \
             {{ ffprobe -v error {of_pictures} -count_frames -show_entries stream=nb_read_frames,duration -of csv=p=0 {} 2>&1; exit $code; }}",
            disk.display(),
            path.display(),
            path.display()
        );
        let mut command = Command::new("unshare");
        command
            .args([namespace, "bash", "-c", &line])
            .env("PULSE_SERVER", "unix:/nonexistent/pulse")
            .env("ALSA_CONFIG_PATH", "/dev/null");
        let output = command.stdin(Stdio::null()).output().expect("unshare is in util-linux");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        let [error] = errors[..] else { panic!("{said}") };
        let start = format!("error: no space left for {} (No space left on device (os error 28)); it keeps ", path.display());
        let kept_so = error.strip_prefix(&start).and_then(|rest| rest.strip_suffix(": free some space, or write elsewhere"));
        let (number, unit) = kept_so.and_then(|kept| kept.split_once(' ')).unwrap_or_else(|| panic!("{error}"));
        assert!(unit.starts_with(kept), "{error}");
        // What it keeps is whole: another program finds as much in it.
        let probe = String::from_utf8(output.stdout).unwrap();
        let found = probe.trim().split(',').find_map(|word| word.parse::<f64>().ok()).unwrap_or_default();
        if flag != "--audio-output" {
            let found = probe.trim().rsplit(',').find_map(|word| word.parse::<f64>().ok()).unwrap_or_default();
            assert_eq!(Ok(found), number.parse(), "{error}\n{probe}");
        } else {
            assert!((found - number.parse::<f64>().unwrap()).abs() < 0.02, "{error}\n{probe}");
        }
    }
    std::fs::remove_dir(disk).unwrap();
}
