//! A window in a child process: this very program, asked for an ignored test. It reads commands, one a line, from its standard input,
//! prints a line whenever it painted or was asked for something, and the tests wait for those lines.

#![allow(dead_code)] // each test program uses a part of it

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use crate::screen::{PATIENCE, Screen};
use x11rb::protocol::xproto::{ConnectionExt as _, InputFocus};

/// How the child is to be is said in the environment.
const HOW: &str = "EYELINE_TEST_WINDOW";

/// In the child: how it is to be.
pub fn how() -> String {
    std::env::var(HOW).expect("another test starts this one")
}

/// In the child: what the tests say.
pub fn commands() -> Receiver<String> {
    let (sender, commands) = mpsc::channel();
    std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    commands
}

/// The child process with its window.
pub struct Shower {
    child: Child,
    lines: Receiver<String>,
}

impl Shower {
    /// Runs this very program, asked for one ignored test.
    pub fn start(test: &str, screen: Option<&Screen>, how: &str) -> Shower {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--ignored", "--nocapture", test]).env(HOW, how);
        match screen {
            Some(screen) => command.env("DISPLAY", &screen.name),
            None => command.env_remove("DISPLAY"),
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Shower { child, lines }
    }

    pub fn say(&mut self, command: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command}").unwrap();
    }

    /// Has the window look for events, at the least all that happened before; says what actions came of it.
    pub fn poll(&mut self) -> Vec<String> {
        self.say("poll");
        let deadline = Instant::now() + PATIENCE;
        let lines = std::iter::from_fn(|| self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok());
        lines.take_while(|line| line != "done").filter(|line| line.starts_with("action")).collect()
    }

    /// Reads what the window prints until a line begins so.
    pub fn until(&self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("the window never said {start:?}"));
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Looks each time the window painted, until `look` sees what it wants.
    pub fn painted<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(seen) = look() {
                return seen;
            }
            self.until("shown");
        }
        panic!("never seen: {what}");
    }

    pub fn exit(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Shower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child with its window, which has the keyboard.
pub fn begin(screen: &Screen, test: &str, how: &str) -> (Shower, u32) {
    let shower = Shower::start(test, Some(screen), how);
    let window = shower.painted("the window", || {
        screen.nudge_manager();
        screen.find()
    });
    // Keys go to the window that has the focus; a manager gives it in its own time, without one nobody does.
    screen.x.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME).unwrap().check().unwrap();
    shower.painted("its focus", || (screen.x.get_input_focus().unwrap().reply().unwrap().focus == window).then_some(()));
    (shower, window)
}
