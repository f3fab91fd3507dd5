//! What becomes of everything when Xlib ends the process, because another client destroyed the window or the server went: an X
//! server of the test's own, and the real programs.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;
mod screen;

use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND, command, free_port, recv, send};
use screen::Screen;
use std::path::PathBuf;
use std::process::Stdio;
use x11rb::protocol::xproto::ConnectionExt as _;

const TEST: &str = "--test -s 320x240 -r 30 --stats json";

/// A program with a window, without sound.
fn on(screen: &Screen, path: &str, args: &str) -> Program {
    let mut command = command(path, args);
    command.env("DISPLAY", &screen.name).arg("--no-audio");
    Program::launch(command, Stdio::null(), Out::Stats)
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Gone {
    Window,
    Display,
}

fn goes(screen: &mut Screen, gone: Gone) {
    match gone {
        Gone::Window => screen.x.destroy_window(screen.find().unwrap()).unwrap().check().unwrap(),
        Gone::Display => screen.kill_server(),
    }
}

#[test]
fn files_are_finished_and_the_sender_told_when_the_window_is_destroyed_and_when_the_display_goes() {
    for gone in [Gone::Window, Gone::Display] {
        let mut screen = Screen::start(800, 600, &[]);
        let port = free_port();
        let mut send = send(&format!("{TEST} -p {port}"));
        send.said("waiting on port");
        let stem = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{gone:?}-gone"));
        let (pictures, sound) = (stem.with_extension("y4m"), stem.with_extension("wav"));
        let files = format!("--output {} --audio-output {}", pictures.display(), sound.display());
        let mut recv = on(&screen, RECV, &format!("--host 127.0.0.1:{port} {files} --stats json"));
        recv.stats_with(|stats| stats["whole"].as_u64() >= Some(45));
        goes(&mut screen, gone);
        assert!(matches!(recv.ended(), 1 | 3), "{}", recv.heard());
        recv.said("the files are finished");
        send.said("stopped watching");
        let there = std::fs::metadata(&sound).unwrap().len() - 44;
        assert_eq!(u64::from(hound::WavReader::open(&sound).unwrap().len()) * 2, there, "{gone:?}: {}", recv.heard());
        let bytes = std::fs::read(&pictures).unwrap();
        let header = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        assert_eq!((bytes.len() - header) % (6 + 320 * 240 * 3 / 2), 0, "{gone:?}: whole pictures");
        assert_eq!(send.stop(Signal::SIGTERM), 0);
    }
}

#[test]
fn others_are_told_when_a_window_is_destroyed_and_when_a_display_goes_also_where_nothing_is_written() {
    for gone in [Gone::Window, Gone::Display] {
        for (path, args, said) in [
            (RECV, String::new(), "stopped watching"),
            (SEND, format!("{TEST} --preview"), "stopped sending"),
            (CALL, TEST.to_string(), "stopped sending"),
        ] {
            let mut screen = Screen::start(800, 600, &[]);
            let port = free_port();
            let mut other =
                if path == RECV { send(&format!("{TEST} -p {port}")) } else { recv(&format!("--stats json -p {port}")) };
            other.said("waiting on port");
            let mut leaves = on(&screen, path, &format!("--host 127.0.0.1:{port} {args}"));
            if path == RECV {
                other.said("watches");
                other.stats_with(|stats| stats["peers"][0]["shown"].as_u64() >= Some(15));
            } else {
                other.stats_with(|stats| stats["whole"].as_u64() >= Some(15));
            }
            goes(&mut screen, gone);
            assert!(matches!(leaves.ended(), 1 | 3), "{}", leaves.heard());
            other.said(said);
            assert!(!other.heard().contains("is gone"), "{gone:?}: {}", other.heard());
            assert_eq!(other.stop(Signal::SIGTERM), 0);
        }
    }
}
