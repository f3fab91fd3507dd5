//! `call --ask` with a window, on a screen of the test's own: who calls is asked about there, and a key answers.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/on_screen.rs"]
mod on_screen;
#[path = "support/program.rs"]
mod program;
mod screen;

use nix::sys::signal::Signal;
use on_screen::{on, window};
use program::{CALL, Program, free_port};
use screen::Screen;

#[test]
fn y_in_the_window_lets_in_who_calls_and_n_declines_the_next() {
    const CALLER: &str = "--no-window --no-audio --test -s 320x240 -r 10 --stats json";
    let (screen, port) = (Screen::start(800, 600, &[]), free_port());
    let mut anna = on(&screen, CALL, &format!("--no-audio --test -s 320x240 -r 10 --stats json --name Anna -p {port} --ask"));
    anna.said("waiting on port");
    window(&screen);
    // While nobody calls, the keys answer nobody.
    screen.key('y'.into());
    let mut ben = Program::start(CALL, &format!("{CALLER} --name Ben --host 127.0.0.1:{port}"));
    ben.said("it rings at Anna");
    let line = anna.said("Ben (127.0.0.1");
    assert!(line.contains("calls: y lets in, n does not"), "{line}");
    screen.key('y'.into());
    let seen = |stats: &serde_json::Value| stats["role"] == "recv" && stats["whole"].as_u64() > Some(5);
    anna.stats_with(seen);
    ben.stats_with(seen);

    let mut cleo = Program::start(CALL, &format!("{CALLER} --name Cleo --host 127.0.0.1:{port}"));
    anna.said("Cleo (127.0.0.1");
    screen.key('n'.into());
    anna.said("declined Cleo");
    cleo.said("the call was declined");
    assert_eq!((cleo.ended(), ben.stop(Signal::SIGTERM), anna.stop(Signal::SIGTERM)), (1, 0, 0));
}
