//! One of the real programs as a child: what it says is an event, waited for with a deadline; it is gone with the test.
//!
//! stderr is read line by line; so is stdout, as the JSON of `--stats json`, unless the test takes it raw. A deadline that passes
//! fails the test with all that was said.

#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub const SEND: &str = env!("CARGO_BIN_EXE_send");
pub const RECV: &str = env!("CARGO_BIN_EXE_recv");
pub const CALL: &str = env!("CARGO_BIN_EXE_call");

/// Longer than anything here takes on a machine that builds something else beside it.
const PATIENCE: Duration = Duration::from_secs(60);

enum Event {
    Said(String),
    Stats(Value),
    /// stderr is closed: the program ended.
    Ended,
}

/// What becomes of a program's stdout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Out {
    /// Its lines are JSON.
    Stats,
    /// The test reads it.
    Raw,
    /// Where the command says.
    Elsewhere,
}

pub struct Program {
    name: String,
    child: Child,
    events: Receiver<Event>,
    /// Lines not waited for yet.
    unread: VecDeque<String>,
    /// Statistics not asked for yet.
    stats: VecDeque<Value>,
    /// All that was said.
    heard: Vec<String>,
    ended: bool,
}

/// `recv` without window and speaker.
pub fn recv(args: &str) -> Program {
    Program::start(RECV, &format!("--no-window --no-audio {args}"))
}

pub fn send(args: &str) -> Program {
    Program::start(SEND, args)
}

/// The program with nothing in its environment, and no config file, that changes its words, but for one that keeps it off the
/// network of whoever runs the test; no display, and no memory of windows.
pub fn command(path: &str, args: &str) -> Command {
    let mut command = Command::new(path);
    command.args(args.split_whitespace()).env("XDG_CONFIG_HOME", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/quiet"));
    command.env("XDG_STATE_HOME", "/dev/null");
    command.env_remove("EYELINE_KEY").env_remove("CLICOLOR_FORCE").env_remove("DISPLAY");
    command.env_remove("WAYLAND_DISPLAY").env_remove("XDG_SESSION_TYPE");
    command
}

impl Program {
    pub fn start(path: &str, args: &str) -> Program {
        Program::spawn(path, args, Stdio::null(), Out::Stats)
    }

    /// With something other than nothing at its stdin.
    pub fn spawn(path: &str, args: &str, stdin: Stdio, out: Out) -> Program {
        Program::launch(command(path, args), stdin, out)
    }

    /// A command made by [`command`], changed as the test needs it.
    pub fn launch(mut command: Command, stdin: Stdio, out: Out) -> Program {
        command.stdin(stdin).stderr(Stdio::piped());
        if out != Out::Elsewhere {
            command.stdout(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        let (to, events) = mpsc::channel();
        if out == Out::Stats {
            let stdout = child.stdout.take().unwrap();
            read_lines(stdout, to.clone(), |line| Event::Stats(serde_json::from_str(&line).expect("a line of JSON")), None);
        }
        read_lines(child.stderr.take().unwrap(), to, Event::Said, Some(Event::Ended));
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let path = command.get_program().to_string_lossy();
        let name = format!("{} {}", path.rsplit('/').next().unwrap(), words.join(" "));
        let (unread, stats, heard) = Default::default();
        Program { name, child, events, unread, stats, heard, ended: false }
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Waits for a line with `part` in it, the first that was not waited for yet. Lines before it are passed over.
    pub fn said(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            while let Some(line) = self.unread.pop_front() {
                if line.contains(part) {
                    return line;
                }
            }
            let said = !self.ended && self.listen(until);
            assert!(said, "{}: never said {part:?}, but:\n{}", self.name, self.heard.join("\n"));
        }
    }

    /// Waits for the next second's statistics.
    pub fn stats(&mut self) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(stats) = self.stats.pop_front() {
                return stats;
            }
            let said = self.listen(until);
            assert!(said, "{}: no more statistics, but:\n{}", self.name, self.heard.join("\n"));
        }
    }

    /// Waits for statistics as wanted.
    pub fn stats_with(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(Instant::now() < until, "{}: the last statistics: {stats}\n{}", self.name, self.heard.join("\n"));
        }
    }

    /// Seconds of statistics that came and were not asked for.
    pub fn seconds_unread(&self) -> usize {
        self.stats.len()
    }

    /// Statistics from before now are nobody's.
    pub fn forget_stats(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.hear(event);
        }
        self.stats.clear();
    }

    /// Waits until it ended by itself, and says how: its exit code.
    pub fn ended(&mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        while !self.ended {
            assert!(self.listen(until), "{}: does not end:\n{}", self.name, self.heard.join("\n"));
        }
        let status = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| panic!("{}: {status}:\n{}", self.name, self.heard.join("\n")))
    }

    /// Asks it to end as a shell would, and says how it did.
    pub fn stop(&mut self, signal: Signal) -> i32 {
        self.signal(signal);
        self.ended()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory it ever held, in bytes.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// All that was said so far.
    pub fn heard(&self) -> String {
        self.heard.join("\n")
    }

    /// Takes one event; whether one came.
    fn listen(&mut self, until: Instant) -> bool {
        match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(event) => self.hear(event),
            Err(_) => return false,
        }
        true
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Said(line) => {
                self.heard.push(line.clone());
                self.unread.push_back(line);
            }
            Event::Stats(stats) => self.stats.push_back(stats),
            Event::Ended => self.ended = true,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            while let Ok(event) = self.events.recv_timeout(Duration::from_secs(1)) {
                self.hear(event);
            }
            eprintln!("--- {}\n{}", self.name, self.heard.join("\n"));
        }
    }
}

fn read_lines(
    from: impl Read + Send + 'static,
    to: Sender<Event>,
    event: impl Fn(String) -> Event + Send + 'static,
    last: Option<Event>,
) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(event(line)).is_err() {
                return;
            }
        }
        if let Some(last) = last {
            // Whoever listened may be gone.
            let _ = to.send(last);
        }
    });
}

/// A port nobody uses, for UDP and TCP alike; below those the kernel gives to whoever dials. It is this process's until it ends:
/// a name in the abstract namespace stands for it, so that no other test, here or in another process, takes it before the program
/// has it.
pub fn free_port() -> u16 {
    let mut random = [0; 2];
    loop {
        File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let port = 10_000 + u16::from_le_bytes(random) % 22_000;
        let name = SocketAddr::from_abstract_name(format!("eyeline-test-port-{port}")).unwrap();
        let Ok(place) = UnixListener::bind_addr(&name) else { continue };
        if TcpListener::bind(("::", port)).is_ok() && UdpSocket::bind(("::", port)).is_ok() {
            std::mem::forget(place);
            return port;
        }
    }
}
