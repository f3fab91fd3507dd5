//! The net thread over real loopback sockets, with a core that does what the test says and tells what it hears.
//!
//! Nothing here waits for time to pass: every wait is for an event, and its limit only ends a test that has failed.

mod commands;
mod connections;
mod datagrams;
mod floods;
mod places;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{By, Config, Directory, Handle, Host, LAST_FLUSH, Traffic, spawn};
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::session::{Core, HostId, Output, SocketId};

/// After this without an event a test has failed.
const LIMIT: Duration = Duration::from_secs(10);

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// What the test tells the core.
#[derive(Debug)]
enum Do {
    Send {
        to: SocketAddr,
        segment: usize,
        bytes: Vec<u8>,
    },
    /// Given to the connection in pieces of 64 KiB, while it is writable.
    Write {
        id: SocketId,
        bytes: Vec<u8>,
    },
    Close(SocketId),
    Dial(usize),
    Wake(Instant),
    /// From now on never content: wants to be called at a moment that is gone.
    Nag,
}

/// What the core tells the test.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Datagram(SocketAddr, Vec<u8>),
    TooLong(SocketAddr, usize),
    Accepted(SocketId, SocketAddr),
    Dialled(usize, Result<(SocketId, SocketAddr), DialError>),
    Bytes(SocketId, Vec<u8>),
    Closed(SocketId),
    Writable(SocketId, bool),
    Timeout(Instant),
}

#[derive(Default)]
struct Toy {
    outputs: VecDeque<(Output<Heard>, Vec<u8>)>,
    blocked: Vec<SocketId>,
    wake: Option<Instant>,
    nags: Option<Instant>,
}

impl Toy {
    fn say(&mut self, heard: Heard) {
        self.outputs.push_back((Output::Event(heard), Vec::new()));
    }
}

impl Core for Toy {
    type Command = Do;
    type Event = Heard;

    fn handle_command(&mut self, now: Instant, command: Do) {
        match command {
            Do::Send { to, segment, bytes } => {
                self.outputs.push_back((Output::Datagrams { to, segment, len: bytes.len() }, bytes));
            }
            Do::Write { id, bytes } => {
                self.outputs.extend(bytes.chunks(1 << 16).map(|bytes| (Output::Bytes { socket: id }, bytes.to_vec())));
            }
            Do::Close(id) => self.outputs.push_back((Output::Close { socket: id }, Vec::new())),
            Do::Dial(host) => self.outputs.push_back((Output::Dial { host: HostId(host), also: None }, Vec::new())),
            Do::Wake(at) => self.wake = Some(at),
            Do::Nag => self.nags = Some(now),
        }
    }

    fn handle_datagram(&mut self, _: Instant, from: SocketAddr, bytes: &mut [u8]) {
        self.say(Heard::Datagram(from, bytes.to_vec()));
    }

    fn handle_too_long(&mut self, _: Instant, to: SocketAddr, len: usize) {
        self.say(Heard::TooLong(to, len));
    }

    fn handle_accepted(&mut self, _: Instant, id: SocketId, from: SocketAddr, _: bool) {
        self.say(Heard::Accepted(id, from));
    }

    fn handle_dialled(&mut self, _: Instant, host: HostId, outcome: Result<(SocketId, SocketAddr), DialError>) {
        self.say(Heard::Dialled(host.0, outcome));
    }

    fn handle_bytes(&mut self, _: Instant, id: SocketId, bytes: &[u8]) {
        self.say(Heard::Bytes(id, bytes.to_vec()));
    }

    fn handle_closed(&mut self, _: Instant, id: SocketId) {
        self.say(Heard::Closed(id));
    }

    fn handle_writable(&mut self, _: Instant, id: SocketId, writable: bool) {
        self.blocked.retain(|blocked| *blocked != id);
        if !writable {
            self.blocked.push(id);
        }
        self.say(Heard::Writable(id, writable));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.wake.is_some_and(|wake| wake <= now) {
            self.wake = None;
            self.say(Heard::Timeout(now));
        }
    }

    fn poll(&mut self, _: Instant, buffer: &mut Vec<u8>) -> Output<Heard> {
        let may_go = |(output, _): &(Output<Heard>, _)| match output {
            Output::Bytes { socket } | Output::Close { socket } => !self.blocked.contains(socket),
            _ => true,
        };
        let Some((output, bytes)) = self.outputs.iter().position(may_go).and_then(|at| self.outputs.remove(at)) else {
            return Output::Wait(self.nags.or(self.wake));
        };
        buffer.extend_from_slice(&bytes);
        output
    }
}

fn config(bind: IpAddr, port: u16, listen: bool) -> Config {
    Config { bind, port, listen, hosts: Vec::new(), directory: Directory::default(), last_flush: LAST_FLUSH }
}

struct Net {
    handle: Handle<Do>,
    heard: mpsc::Receiver<Heard>,
}

impl Net {
    fn start(bind: IpAddr, listen: bool, hosts: &[(&str, u16)]) -> Net {
        let host = |(name, port): &(&str, u16)| Host { name: name.to_string(), port: *port, by: By::Name };
        let hosts = hosts.iter().map(host).collect();
        Net::with(Config { hosts, ..config(bind, 0, listen) })
    }

    fn with(config: Config) -> Net {
        let (say, heard) = mpsc::channel();
        let handle = spawn(Toy::default(), config, move |event| say.send(event).unwrap_or_default()).expect("loopback is there");
        Net { handle, heard }
    }

    fn tell(&self, what: Do) {
        self.handle.command(what);
    }

    fn hear(&self) -> Heard {
        self.heard.recv_timeout(LIMIT).expect("the core hears something")
    }

    fn port(&self) -> u16 {
        self.handle.local_addr().port()
    }

    fn traffic(&self) -> Traffic {
        self.handle.traffic()
    }

    /// Has the core wait for this moment; gives the one at which it was called.
    fn hear_timeout(&self, at: Instant) -> Instant {
        self.tell(Do::Wake(at));
        match self.hear() {
            Heard::Timeout(at) => at,
            other => panic!("{other:?} instead of a timeout"),
        }
    }

    fn hear_datagrams(&self, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let datagram = |_| match self.hear() {
            Heard::Datagram(from, bytes) => (from, bytes),
            other => panic!("{other:?} instead of a datagram"),
        };
        (0..count).map(datagram).collect()
    }

    /// Reads until `len` bytes of the connection came; panics on anything else but writability.
    fn hear_bytes(&self, id: SocketId, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            match self.hear() {
                Heard::Bytes(from, bytes) if from == id => all.extend(bytes),
                Heard::Writable(..) => {}
                other => panic!("{other:?} instead of bytes"),
            }
        }
        all
    }

    fn hear_accepted(&self) -> (SocketId, SocketAddr) {
        match self.hear() {
            Heard::Accepted(id, from) => (id, from),
            other => panic!("{other:?} instead of a connection"),
        }
    }

    fn hear_dialled(&self) -> Result<(SocketId, SocketAddr), DialError> {
        match self.hear() {
            Heard::Dialled(0, outcome) => outcome,
            other => panic!("{other:?} instead of the end of a dial"),
        }
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at >> 10) as u8).collect()
}

fn connect(net: &Net, ip: IpAddr) -> (TcpStream, SocketId) {
    let socket = TcpStream::connect((ip, net.port())).expect("it listens");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let (id, from) = net.hear_accepted();
    assert_eq!(from, socket.local_addr().expect("connected"));
    (socket, id)
}
