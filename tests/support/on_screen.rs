//! One of the real programs with its window on a test's own screen.

#![allow(dead_code, reason = "each test program uses its part")]

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::program::{Out, Program, command};
use crate::screen::{PATIENCE, Screen};
use x11rb::protocol::xproto::{ConnectionExt as _, InputFocus, Window};

/// The program with a window on this screen, on a machine without sound.
pub fn on(screen: &Screen, path: &str, args: &str) -> Program {
    on_with(screen, command(path, args))
}

/// The same of a command made by [`command`].
pub fn on_with(screen: &Screen, mut command: Command) -> Program {
    command.env("DISPLAY", &screen.name).env("PULSE_SERVER", "unix:/nonexistent/pulse").env("ALSA_CONFIG_PATH", "/dev/null");
    Program::launch(command, Stdio::null(), Out::Stats)
}

/// Looks until `look` sees what it wants.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(seen) = look() {
            return seen;
        }
        std::thread::yield_now();
    }
    panic!("never seen: {what}");
}

/// The program's window, with the keyboard.
pub fn window(screen: &Screen) -> Window {
    let window = until("the window", || {
        screen.nudge_manager();
        screen.find()
    });
    screen.x.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME).unwrap().check().unwrap();
    until("its focus", || (screen.x.get_input_focus().unwrap().reply().unwrap().focus == window).then_some(()));
    window
}
