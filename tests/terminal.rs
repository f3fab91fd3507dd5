//! The line that says how it goes, at a terminal that is one: `script` (util-linux) gives the programs a pseudo-terminal, `stty` makes it
//! narrow, and what is written there is read as a terminal would show it.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{RECV, SEND, free_port, send};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A program at a terminal of its own.
struct Terminal {
    script: Child,
    bytes: Receiver<Vec<u8>>,
    /// Rows that are over, and the one in which the cursor stands, with its column.
    rows: Vec<String>,
    row: Vec<char>,
    column: usize,
    /// What the last row was each time something was taken away or written anew.
    drawn: Vec<String>,
    /// Where it writes its process id and its terminal's name.
    place: PathBuf,
}

impl Terminal {
    fn start(name: &str, columns: u32, program: &str, args: &str) -> Terminal {
        let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("terminal-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let shown = place.display();
        let shell = format!("stty cols {columns}; tty >{shown}/tty; echo $$ >{shown}/pid; exec {program} {args}");
        let mut script = Command::new("script");
        script.args(["-qfec", &shell, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh");
        script.env_remove("EYELINE_KEY").env_remove("NO_COLOR").env_remove("DISPLAY");
        let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, bytes) = mpsc::channel();
        let mut stdout = script.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut part) {
                if to.send(part[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let (rows, row, column, drawn) = Default::default();
        Terminal { script, bytes, rows, row, column, drawn, place }
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.place.join(file)).unwrap().trim().to_string()
    }

    /// Shows what comes until `wanted` is so.
    fn until(&mut self, what: &str, wanted: impl Fn(&Terminal) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !wanted(self) {
            match self.bytes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(part) => self.show(&part),
                Err(_) => panic!("never {what}: {:#?}, and now {:?}", self.rows, self.row.iter().collect::<String>()),
            }
        }
    }

    fn show(&mut self, part: &[u8]) {
        let text = String::from_utf8_lossy(part);
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\r' => {
                    self.drawn.push(self.row.iter().collect());
                    self.column = 0;
                }
                '\n' => {
                    self.rows.push(self.row.drain(..).collect());
                    self.column = 0;
                }
                '\x1b' => {
                    match chars.by_ref().find(char::is_ascii_alphabetic) {
                        Some('K') => self.row.truncate(self.column),
                        // Colours.
                        Some('m') => {}
                        other => panic!("{other:?} in {text:?}"),
                    }
                }
                c => {
                    match self.row.get_mut(self.column) {
                        Some(before) => *before = c,
                        None => self.row.push(c),
                    }
                    self.column += 1;
                }
            }
        }
    }

    /// All that it wrote until it ended, and its exit code.
    fn ended(&mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.bytes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(part) => self.show(&part),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.rows),
            }
        }
        self.script.wait().unwrap().code().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.read("pid").parse().unwrap()), signal).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

fn is_status(row: &str) -> bool {
    row.contains("/s ") && row.contains("Mbit/s")
}

#[test]
fn at_a_terminal_the_last_row_says_how_it_goes_and_words_stand_above_it() {
    let port = free_port();
    let sender = send(&format!("--test --name kitchen -s 320x240 -p {port}"));
    // Who measures has use for pictures without a window, too.
    let args = format!("--no-window --no-audio --metrics {} --host 127.0.0.1:{port}", free_port());
    let mut recv = Terminal::start("recv", 100, RECV, &args);
    recv.until("a status", |terminal| terminal.drawn.iter().any(|row| row.starts_with("kitchen 320x240 ") && is_status(row)));
    // Somebody goes while the line stands there.
    drop(sender);
    recv.until("a word", |terminal| terminal.rows.iter().any(|row| row.starts_with("warning: nobody is waiting on")));
    assert!(recv.rows.iter().all(|row| !is_status(row)), "{:#?}", recv.rows);
    recv.signal(Signal::SIGINT);
    assert_eq!(recv.ended(), 0);
    assert!(recv.row.is_empty() && recv.rows.iter().all(|row| !is_status(row)), "{:?}", recv.rows);
}

#[test]
fn the_row_is_never_as_wide_as_the_terminal_also_when_that_becomes_narrower_and_two_signals_leave_it_clean() {
    let port = free_port();
    let mut send = Terminal::start("send", 60, SEND, &format!("--test --no-audio -s 320x240 -p {port}"));
    send.until("waiting", |terminal| terminal.rows.iter().any(|row| row.contains("waiting on port")));
    let watches = program::recv(&format!("--host 127.0.0.1:{port} --name a-name-that-is-longer-than-a-narrow-terminal"));
    send.until("a status", |terminal| terminal.drawn.iter().any(|row| row.starts_with("to a-name")));
    assert!(
        send.drawn.iter().filter(|row| row.starts_with("to a-name")).all(|row| row.chars().count() == 59),
        "{:?}",
        send.drawn
    );
    let narrowed = Command::new("stty").args(["-F", &send.read("tty"), "cols", "24"]).status().unwrap();
    assert!(narrowed.success());
    send.drawn.clear();
    send.until("a narrow status", |terminal| terminal.drawn.iter().filter(|row| row.chars().count() == 23).count() > 2);
    send.signal(Signal::SIGTERM);
    send.signal(Signal::SIGINT);
    assert_eq!(send.ended(), 0);
    assert!(send.row.is_empty() && send.rows.iter().all(|row| !row.starts_with("to a-name")), "{:?}", send.rows);
    watches.signal(Signal::SIGKILL);
}
