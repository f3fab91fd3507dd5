//! The net thread over real loopback sockets, with a core that does what the test says and tells what it hears.
//!
//! Nothing here waits for time to pass: every wait is for an event, and its limit only ends a test that has failed.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Config, Counters, Error, Handle, Protocol, spawn};
use crate::session::{Core, HostId, Output, StreamId};

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
    /// Given to the stream in pieces of 64 KiB, while it is writable.
    Write {
        stream: StreamId,
        bytes: Vec<u8>,
    },
    Close(StreamId),
    Dial(usize),
    Wake(Instant),
}

/// What the core tells the test.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Datagram(SocketAddr, Vec<u8>),
    Accepted(StreamId, SocketAddr),
    Dialled(usize, Result<(StreamId, SocketAddr), String>),
    Bytes(StreamId, Vec<u8>),
    Closed(StreamId),
    Writable(StreamId, bool),
    Timeout(Instant),
}

#[derive(Default)]
struct Toy {
    outputs: VecDeque<(Output<Heard>, Vec<u8>)>,
    blocked: Vec<StreamId>,
    wake: Option<Instant>,
}

impl Toy {
    fn say(&mut self, heard: Heard) {
        self.outputs.push_back((Output::Event(heard), Vec::new()));
    }
}

impl Core for Toy {
    type Command = Do;
    type Event = Heard;

    fn handle_command(&mut self, _: Instant, command: Do) {
        match command {
            Do::Send { to, segment, bytes } => {
                self.outputs.push_back((Output::Datagrams { to, segment, len: bytes.len() }, bytes));
            }
            Do::Write { stream, bytes } => {
                self.outputs.extend(bytes.chunks(1 << 16).map(|bytes| (Output::Stream { stream }, bytes.to_vec())));
            }
            Do::Close(stream) => self.outputs.push_back((Output::Close { stream }, Vec::new())),
            Do::Dial(host) => self.outputs.push_back((Output::Dial { host: HostId(host) }, Vec::new())),
            Do::Wake(at) => self.wake = Some(at),
        }
    }

    fn handle_datagram(&mut self, _: Instant, from: SocketAddr, bytes: &mut [u8]) {
        self.say(Heard::Datagram(from, bytes.to_vec()));
    }

    fn handle_accepted(&mut self, _: Instant, stream: StreamId, from: SocketAddr) {
        self.say(Heard::Accepted(stream, from));
    }

    fn handle_dialled(&mut self, _: Instant, host: HostId, outcome: Result<(StreamId, SocketAddr), String>) {
        self.say(Heard::Dialled(host.0, outcome));
    }

    fn handle_stream(&mut self, _: Instant, stream: StreamId, bytes: &[u8]) {
        self.say(Heard::Bytes(stream, bytes.to_vec()));
    }

    fn handle_stream_closed(&mut self, _: Instant, stream: StreamId) {
        self.say(Heard::Closed(stream));
    }

    fn handle_writable(&mut self, _: Instant, stream: StreamId, writable: bool) {
        self.blocked.retain(|blocked| *blocked != stream);
        if !writable {
            self.blocked.push(stream);
        }
        self.say(Heard::Writable(stream, writable));
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.wake.is_some_and(|wake| wake <= now) {
            self.wake = None;
            self.say(Heard::Timeout(now));
        }
    }

    fn poll(&mut self, _: Instant, buffer: &mut Vec<u8>) -> Output<Heard> {
        let may_go = |(output, _): &(Output<Heard>, _)| match output {
            Output::Stream { stream } | Output::Close { stream } => !self.blocked.contains(stream),
            _ => true,
        };
        let Some((output, bytes)) = self.outputs.iter().position(may_go).and_then(|at| self.outputs.remove(at)) else {
            return Output::Wait(self.wake);
        };
        buffer.extend_from_slice(&bytes);
        output
    }
}

struct Net {
    handle: Handle<Do>,
    heard: mpsc::Receiver<Heard>,
}

impl Net {
    fn start(bind: IpAddr, listen: bool, hosts: &[(&str, u16)]) -> Net {
        let hosts = hosts.iter().map(|(host, port)| (host.to_string(), *port)).collect();
        let (say, heard) = mpsc::channel();
        let config = Config { bind, port: 0, listen, hosts };
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

    fn counters(&self) -> Counters {
        self.handle.counters()
    }

    fn hear_datagrams(&self, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let datagram = |_| match self.hear() {
            Heard::Datagram(from, bytes) => (from, bytes),
            other => panic!("{other:?} instead of a datagram"),
        };
        (0..count).map(datagram).collect()
    }

    /// Reads until `len` bytes of the stream came; panics on anything else but writability.
    fn hear_bytes(&self, stream: StreamId, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            match self.hear() {
                Heard::Bytes(from, bytes) if from == stream => all.extend(bytes),
                Heard::Writable(..) => {}
                other => panic!("{other:?} instead of bytes"),
            }
        }
        all
    }

    fn hear_accepted(&self) -> (StreamId, SocketAddr) {
        match self.hear() {
            Heard::Accepted(stream, from) => (stream, from),
            other => panic!("{other:?} instead of a connection"),
        }
    }

    fn hear_dialled(&self) -> Result<(StreamId, SocketAddr), String> {
        match self.hear() {
            Heard::Dialled(0, outcome) => outcome,
            other => panic!("{other:?} instead of the end of a dial"),
        }
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at >> 10) as u8).collect()
}

fn connect(net: &Net, ip: IpAddr) -> (TcpStream, StreamId) {
    let socket = TcpStream::connect((ip, net.port())).expect("it listens");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let (stream, from) = net.hear_accepted();
    assert_eq!(from, socket.local_addr().expect("connected"));
    (socket, stream)
}

fn a_run_arrives(one: &Net, other: &Net, ip: IpAddr) {
    let run = bytes(100 * 1200 - 500);
    one.tell(Do::Send { to: SocketAddr::new(ip, other.port()), segment: 1200, bytes: run.clone() });
    for (at, (from, datagram)) in other.hear_datagrams(100).into_iter().enumerate() {
        assert_eq!(from, SocketAddr::new(ip, one.port()), "datagram {at}");
        assert_eq!(datagram, run[at * 1200..run.len().min((at + 1) * 1200)], "datagram {at}");
    }
}

#[test]
fn a_run_of_100_segments_arrives_equal_in_both_directions_over_v4_and_v6() {
    for (bind, ip) in [(V4, V4), (V6, V6), (ANY, V4), (ANY, V6)] {
        let (one, other) = (Net::start(bind, true, &[]), Net::start(bind, false, &[]));
        a_run_arrives(&one, &other, ip);
        a_run_arrives(&other, &one, ip);
        let (sent, received) = (one.counters(), other.counters());
        assert_eq!((sent.datagrams_out, sent.bytes_out), (100, 100 * 1200 - 500));
        assert_eq!((received.datagrams_in, received.bytes_in), (100, 100 * 1200 - 500));
        assert!(received.receive_buffer > 0);
    }
}

#[test]
fn a_picture_of_500_datagrams_in_one_run_arrives_and_the_sender_still_receives() {
    let (one, other) = (Net::start(V4, false, &[]), Net::start(V4, false, &[]));
    let run = bytes(500 * 300);
    one.tell(Do::Send { to: SocketAddr::new(V4, other.port()), segment: 300, bytes: run.clone() });
    other.tell(Do::Send { to: SocketAddr::new(V4, one.port()), segment: 300, bytes: b"back".to_vec() });
    let arrived: Vec<u8> = other.hear_datagrams(500).into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert_eq!(arrived, run);
    assert_eq!(one.hear_datagrams(1)[0].1, b"back");
}

#[test]
fn datagrams_that_cannot_be_sent_are_counted_and_the_next_one_goes() {
    let (one, other) = (Net::start(V4, false, &[]), Net::start(V4, false, &[]));
    let to = SocketAddr::new(V4, other.port());
    one.tell(Do::Send { to, segment: 65_508, bytes: bytes(65_508) }); // longer than any datagram
    one.tell(Do::Send { to: "[::1]:9".parse().expect("an address"), segment: 9, bytes: bytes(9) }); // not with this socket
    one.tell(Do::Send { to: SocketAddr::new(V4, 0), segment: 10, bytes: bytes(100) }); // no such port
    let nobody = UdpSocket::bind((V4, 0)).and_then(|socket| socket.local_addr()).expect("a port nobody has any more");
    one.tell(Do::Send { to: nobody, segment: 9, bytes: bytes(9) }); // answered by ICMP
    one.tell(Do::Send { to, segment: 1000, bytes: bytes(64_000) });
    assert_eq!(other.hear_datagrams(64).len(), 64);
    let counters = one.counters();
    assert_eq!((counters.too_long, counters.send_errors, counters.datagrams_out), (1, 1 + 10, 1 + 64));
}

#[test]
fn empty_datagrams_do_no_harm() {
    let net = Net::start(V4, false, &[]);
    let socket = UdpSocket::bind((V4, 0)).expect("loopback");
    for datagram in [&b""[..], b"", b"x"] {
        socket.send_to(datagram, (V4, net.port())).expect("sent");
    }
    assert_eq!(net.hear_datagrams(1)[0].1, b"x");
}

#[test]
fn a_dialled_connection_carries_bytes_both_ways_over_v4_and_v6_and_by_name() {
    for (bind, host) in [(V4, "127.0.0.1"), (V6, "[::1]"), (ANY, "127.0.0.1"), (ANY, "::1"), (ANY, "localhost")] {
        let listener = Net::start(bind, true, &[]);
        let dialler = Net::start(ANY, false, &[(host, listener.port())]);
        dialler.tell(Do::Dial(0));
        let (ours, to) = dialler.hear_dialled().expect("it listens");
        let (theirs, from) = listener.hear_accepted();
        assert_eq!(to.port(), listener.port());
        assert_eq!(from.ip(), to.ip(), "one peer, one address");
        dialler.tell(Do::Write { stream: ours, bytes: b"there".to_vec() });
        assert_eq!(listener.hear(), Heard::Bytes(theirs, b"there".to_vec()));
        listener.tell(Do::Write { stream: theirs, bytes: b"back".to_vec() });
        assert_eq!(dialler.hear(), Heard::Bytes(ours, b"back".to_vec()));
        dialler.tell(Do::Close(ours));
        assert_eq!(dialler.hear(), Heard::Closed(ours));
        assert_eq!(listener.hear(), Heard::Closed(theirs));
    }
}

#[test]
fn a_slow_reader_makes_the_stream_unwritable_and_everything_arrives_in_the_end() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, stream) = connect(&net, V4);
    let all = bytes(16 << 20); // more than both kernels hold
    net.tell(Do::Write { stream, bytes: all.clone() });
    assert_eq!(net.hear(), Heard::Writable(stream, false));
    net.tell(Do::Wake(Instant::now()));
    assert!(matches!(net.hear(), Heard::Timeout(_)), "the thread is not held up by it");
    let mut arrived = vec![0; all.len()];
    socket.read_exact(&mut arrived).expect("all of it");
    assert!(arrived == all, "the bytes are others");
    assert_eq!(net.hear(), Heard::Writable(stream, true));
}

#[test]
fn much_on_one_stream_does_not_keep_datagrams_waiting() {
    let (say, heard) = mpsc::channel();
    let (open_gate, gate) = mpsc::channel::<()>();
    let mut gate = Some(gate);
    let config = Config { bind: V4, port: 0, listen: true, hosts: Vec::new() };
    let handle = spawn(Toy::default(), config, move |event| {
        let first_bytes = matches!(event, Heard::Bytes(..));
        say.send(event).unwrap_or_default();
        if first_bytes && let Some(gate) = gate.take() {
            gate.recv_timeout(LIMIT).unwrap_or_default(); // holds the net thread while the test piles work up
        }
    });
    let net = Net { handle: handle.expect("loopback is there"), heard };
    let (mut socket, stream) = connect(&net, V4);
    socket.write_all(b"x").expect("written");
    assert_eq!(net.hear(), Heard::Bytes(stream, b"x".to_vec()));
    let (filled, full) = mpsc::channel();
    let writer = std::thread::spawn(move || {
        socket.write_all(&bytes(256 << 10)).expect("more than three reads of them fit into the kernel");
        filled.send(()).expect("the test waits for it");
        socket.write_all(&bytes(4 << 20))
    });
    full.recv_timeout(LIMIT).expect("filled");
    UdpSocket::bind((V4, 0)).and_then(|udp| udp.send_to(b"ping", (V4, net.port()))).expect("sent");
    open_gate.send(()).expect("it waits");
    let mut chunks = 0;
    loop {
        match net.hear() {
            Heard::Bytes(_, bytes) => assert!(bytes.len() <= 64 << 10, "{} bytes at once", bytes.len()),
            Heard::Datagram(..) => break,
            other => panic!("{other:?}"),
        }
        chunks += 1;
    }
    assert!(chunks <= 1, "{chunks} reads of the stream came before the datagram");
    net.hear_bytes(stream, 1);
    drop(net);
    let _ = writer.join().expect("ended"); // cut off by our end, or not
}

#[test]
fn dialling_where_nobody_waits_says_so() {
    let nobody = TcpListener::bind((V4, 0)).and_then(|socket| socket.local_addr()).expect("a port nobody has any more");
    let net = Net::start(ANY, false, &[("127.0.0.1", nobody.port())]);
    net.tell(Do::Dial(0));
    let port = nobody.port();
    let sentence = format!("nobody is waiting on 127.0.0.1:{port}: is `send` or `recv` running there, and on port {port}?");
    assert_eq!(net.hear_dialled(), Err(sentence));
}

#[test]
fn dialling_an_unknown_host_says_so_and_does_not_hold_anything_up() {
    let net = Net::start(ANY, false, &[("no-such-host.invalid", 9688)]);
    net.tell(Do::Dial(0));
    net.tell(Do::Dial(0)); // still being looked up: one answer for both
    let sentence = net.hear_dialled().expect_err("there is no such host");
    assert!(sentence.starts_with("unknown host no-such-host.invalid"), "{sentence}");
    net.tell(Do::Wake(Instant::now()));
    assert!(matches!(net.hear(), Heard::Timeout(_)), "one answer only");
}

#[test]
fn a_host_is_dialled_again_after_a_failure() {
    let listener = TcpListener::bind((V4, 0)).expect("loopback");
    let at = listener.local_addr().expect("bound");
    drop(listener);
    let net = Net::start(V4, false, &[("127.0.0.1", at.port())]);
    net.tell(Do::Dial(0));
    net.hear_dialled().expect_err("nobody is there yet");
    let _listener = TcpListener::bind(at).expect("it was free a moment ago");
    net.tell(Do::Dial(0));
    assert_eq!(net.hear_dialled().expect("somebody is there now").1, at);
}

#[test]
fn a_taken_port_is_named_with_its_protocol_and_holder() {
    let first = Net::start(ANY, true, &[]);
    let config = Config { bind: ANY, port: first.port(), listen: true, hosts: Vec::new() };
    let taken = spawn(Toy::default(), config.clone(), |_| {}).map(|_| ()).expect_err("taken");
    assert!(matches!(taken, Error::PortTaken { protocol: Protocol::Tcp, .. }), "{taken:?}");
    let comm = std::fs::read_to_string("/proc/self/comm").expect("this is Linux");
    let (port, name, pid) = (first.port(), comm.trim_end(), std::process::id());
    assert_eq!(
        taken.to_string(),
        format!("TCP port {port} is taken by `{name}` (process {pid}): stop that program, or choose another port with --port")
    );
    let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("loopback");
    let port = udp.local_addr().expect("bound").port();
    let taken = spawn(Toy::default(), Config { port, ..config }, |_| {}).map(|_| ()).expect_err("taken");
    assert!(taken.to_string().starts_with(&format!("UDP port {port} is taken by `{name}` (process {pid})")), "{taken}");
}

#[test]
fn a_dialling_side_runs_beside_a_waiting_one_with_the_same_port_asked_for() {
    let first = Net::start(ANY, true, &[]);
    let config = Config { bind: ANY, port: first.port(), listen: false, hosts: Vec::new() };
    let second = spawn(Toy::default(), config, |_| {}).expect("takes another port");
    assert_ne!(second.local_addr().port(), first.port());
}

#[test]
fn an_address_of_another_machine_is_refused_with_advice() {
    let bind = "192.0.2.1".parse().expect("an address");
    let refused = spawn(Toy::default(), Config { bind, port: 0, listen: true, hosts: Vec::new() }, |_| {}).map(|_| ());
    let sentence = refused.expect_err("not ours").to_string();
    assert!(sentence.contains("does not have the address 192.0.2.1") && sentence.contains("--bind"), "{sentence}");
}

#[test]
fn deadlines_fire_never_early_and_to_a_fraction_of_a_millisecond() {
    let net = Net::start(V4, false, &[]);
    let mut least = Duration::MAX;
    for _ in 0..20 {
        let deadline = Instant::now() + Duration::from_micros(5100);
        net.tell(Do::Wake(deadline));
        let Heard::Timeout(at) = net.hear() else { panic!("something else was heard") };
        assert!(at >= deadline);
        least = least.min(at - deadline);
    }
    // Rounded up to milliseconds every one of them would be 0.9 ms late.
    assert!(least < Duration::from_micros(700), "{least:?} late at best");
    assert!(net.counters().wakeups <= 20 * 2 + 5, "{} wake-ups for 20 deadlines", net.counters().wakeups);
}

#[test]
fn commands_given_before_the_end_take_effect_and_what_tcp_holds_back_is_written() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, stream) = connect(&net, V4);
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        socket.read_to_end(&mut all).map(|_| all)
    });
    let last = bytes(4 << 20);
    net.tell(Do::Write { stream, bytes: last.clone() });
    drop(net);
    let arrived = reader.join().expect("read").expect("no reset");
    assert!(arrived == last, "{} of {} bytes arrived", arrived.len(), last.len());
}

#[test]
fn stopping_waits_for_nobody_who_does_not_read() {
    let net = Net::start(V4, true, &[]);
    let (_socket, stream) = connect(&net, V4);
    net.tell(Do::Write { stream, bytes: bytes(16 << 20) });
    assert_eq!(net.hear(), Heard::Writable(stream, false));
    let from = Instant::now();
    drop(net);
    assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
}

#[test]
fn last_words_before_a_close_arrive_although_the_other_side_goes_on_talking() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, stream) = connect(&net, V4);
    socket.write_all(b"GET / HTTP/1.1\r\n").expect("written");
    assert_eq!(net.hear_bytes(stream, 16).len(), 16);
    net.tell(Do::Write { stream, bytes: b"busy".to_vec() });
    net.tell(Do::Close(stream));
    assert_eq!(net.hear(), Heard::Closed(stream));
    socket.write_all(&bytes(100_000)).expect("still taken");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("no reset");
    assert_eq!(answer, b"busy");
}

#[test]
fn a_peers_last_words_are_heard_although_writing_to_it_fails_already() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, stream) = connect(&net, V4);
    // Unread bytes make its close a reset, which makes our writes fail.
    net.tell(Do::Write { stream, bytes: b"unread".to_vec() });
    let mut first = [0; 1];
    socket.read_exact(&mut first).expect("one byte of them");
    socket.write_all(b"end of stream").expect("written");
    drop(socket);
    for _ in 0..3 {
        net.tell(Do::Write { stream, bytes: b"report".to_vec() });
    }
    assert_eq!(net.hear_bytes(stream, 13), b"end of stream");
    assert_eq!(net.hear(), Heard::Closed(stream));
}

#[test]
fn urgent_bytes_are_bytes_and_do_not_keep_the_thread_awake() {
    let net = Net::start(V4, true, &[]);
    let (socket, stream) = connect(&net, V4);
    socket2::SockRef::from(&socket).send_out_of_band(b"!").expect("sent");
    assert_eq!(net.hear(), Heard::Bytes(stream, b"!".to_vec()));
    let before = net.counters().wakeups;
    net.tell(Do::Wake(Instant::now() + Duration::from_millis(50)));
    assert!(matches!(net.hear(), Heard::Timeout(_)));
    assert!(net.counters().wakeups <= before + 4, "{} wake-ups in 50 ms", net.counters().wakeups - before);
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once_and_make_room_when_others_end() {
    let net = Net::start(V4, true, &[]);
    let mut open: Vec<(TcpStream, StreamId)> = (0..288).map(|_| connect(&net, V4)).collect();
    let mut beyond = TcpStream::connect((V4, net.port())).expect("the backlog takes it");
    beyond.set_read_timeout(Some(LIMIT)).expect("a limit");
    assert_eq!(beyond.read(&mut [0; 1]).expect("closed, not silent"), 0);
    assert_eq!(net.counters().turned_away, 1);
    let (socket, stream) = open.pop().expect("288 of them");
    drop(socket);
    assert_eq!(net.hear(), Heard::Closed(stream));
    let (_socket, another) = connect(&net, V4);
    assert!(open.iter().all(|(_, stream)| *stream != another), "a stream's name is never used twice");
    assert_ne!(another, stream);
}

#[test]
fn thousands_of_commands_arrive_in_order_and_none_is_lost() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, stream) = connect(&net, V4);
    let commands = net.handle.commands();
    let pusher = std::thread::spawn(move || {
        for number in 0..20_000u32 {
            commands.command(Do::Write { stream, bytes: number.to_be_bytes().to_vec() });
        }
    });
    let mut arrived = vec![0; 20_000 * 4];
    socket.read_exact(&mut arrived).expect("all of them");
    pusher.join().expect("pushed");
    assert!(arrived == (0..20_000u32).flat_map(u32::to_be_bytes).collect::<Vec<u8>>(), "some are missing, or out of order");
}
