//! The world: virtual time, an event queue, hosts that run the shipped session cores, and links between their addresses.
//!
//! Each core is driven as its contract says: after every input it is polled until `Wait`, and woken exactly at the deadline it
//! named, on its own host's clock. The harness panics where a core breaks its side: asks to be woken for ever at one moment, or writes to
//! a connection that is not writable.

use super::netem::{Link, Params};
use super::oscillator::{Base, Oscillator};
use super::tcp::{End, Segment};
use eyeline::session::{HostId, Output, StreamId};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The port everybody waits on.
pub const PORT: u16 = 9688;

/// IPv4 and UDP headers.
const UDP_OVERHEAD: usize = 28;

/// IPv4 and TCP headers with time stamps.
const TCP_OVERHEAD: usize = 52;

/// Wakings of one core at one moment before it counts as spinning.
const MAX_SPIN: u32 = 500;

/// A moment, as a program sees it and as it is.
#[derive(Clone, Copy)]
pub struct Moment {
    pub local: Instant,
    pub true_ns: u64,
}

/// What a program asks to be called for: its camera, its microphone, its film.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    Camera(u64),
    Slice(u64, u8),
    Microphone(u64),
    Film,
}

/// One process: a session core and what stands for the rest of the application.
pub trait Program {
    fn handle_datagram(&mut self, at: Moment, from: SocketAddr, bytes: &mut [u8]);
    fn handle_accepted(&mut self, at: Moment, stream: StreamId, from: SocketAddr);
    fn handle_dialled(&mut self, at: Moment, host: HostId, outcome: Result<(StreamId, SocketAddr), String>);
    fn handle_stream(&mut self, at: Moment, stream: StreamId, bytes: &[u8]);
    fn handle_stream_closed(&mut self, at: Moment, stream: StreamId);
    fn handle_writable(&mut self, at: Moment, stream: StreamId, writable: bool);
    fn handle_timeout(&mut self, at: Moment);
    fn tick(&mut self, at: Moment, tick: Tick);
    /// Deals with its own events; `None` where there was one.
    fn poll(&mut self, at: Moment, buffer: &mut Vec<u8>) -> Option<Output<()>>;
    /// True times of ticks it wants.
    fn take_ticks(&mut self) -> Vec<(u64, Tick)>;
}

struct Node {
    clock: Oscillator,
    udp: SocketAddr,
    program: Box<dyn Program>,
    hosts: Vec<SocketAddr>,
    timer: u64,
    spin: (u64, u32),
    alive: bool,
}

/// A datagram seen on its way.
#[derive(Clone)]
pub struct Captured {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// What went to one address.
#[derive(Clone, Copy, Default, Debug)]
pub struct Traffic {
    pub datagrams: u64,
    pub bytes: u64,
    pub longest: usize,
}

struct Connection {
    nodes: [usize; 2],
    addresses: [SocketAddr; 2],
    ends: [End; 2],
    host: HostId,
    tries: u32,
}

type Call = Box<dyn FnOnce(&mut World)>;

enum Event {
    Timer(usize, u64),
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Syn(u64),
    SynAck(u64),
    SynTimeout(u64),
    Refused(u64),
    Segment(u64, usize, Segment),
    Reset(u64, usize),
    Retransmit(u64, usize, u64),
    Tick(usize, Tick),
    Call(Call),
}

struct Entry {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order)) // the heap gives the greatest first
    }
}

pub struct World {
    pub now: u64,
    pub base: Base,
    pub default: Params,
    pub seed: u64,
    /// Datagrams on their way, while somebody listens.
    pub tap: Option<Vec<Captured>>,
    /// What was sent to each address over UDP.
    pub sent_to: BTreeMap<SocketAddr, Traffic>,
    /// From, to: TCP's segments are lost while datagrams pass.
    pub tcp_outage: Option<(Duration, Duration)>,
    /// A firewall that lets no datagram through.
    pub udp_blocked: bool,
    queue: BinaryHeap<Entry>,
    order: u64,
    nodes: Vec<Node>,
    by_address: HashMap<SocketAddr, usize>,
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    buffer: Vec<u8>,
    draining: bool,
}

fn stream(connection: u64, side: usize) -> StreamId {
    StreamId(connection * 2 + side as u64)
}

impl World {
    pub fn new(seed: u64, default: Params) -> World {
        World {
            now: 0,
            base: Base::new(),
            default,
            seed,
            tap: None,
            sent_to: BTreeMap::new(),
            tcp_outage: None,
            udp_blocked: false,
            queue: BinaryHeap::new(),
            order: 0,
            nodes: Vec::new(),
            by_address: HashMap::new(),
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 1,
            buffer: Vec::new(),
            draining: false,
        }
    }

    /// Starts a process on a host of its own, or on the host of a process that is gone. `hosts` are dialled.
    pub fn start(&mut self, ip: &str, clock: Oscillator, hosts: &[&str], program: Box<dyn Program>) -> usize {
        let address = |ip: &str| SocketAddr::new(ip.parse().unwrap(), PORT);
        let id = self.nodes.len();
        let hosts = hosts.iter().map(|host| address(host)).collect();
        self.nodes.push(Node { clock, udp: address(ip), program, hosts, timer: 0, spin: (0, 0), alive: true });
        self.by_address.insert(address(ip), id);
        self.drain(id);
        id
    }

    /// The power goes: nothing more is heard, connections stay half open.
    pub fn power_off(&mut self, node: usize) {
        self.nodes[node].alive = false;
        let address = self.nodes[node].udp;
        self.by_address.remove(&address);
    }

    /// The process dies: its kernel closes its connections.
    pub fn kill(&mut self, node: usize) {
        self.power_off(node);
        let ends: Vec<(u64, usize)> = self
            .connections
            .iter()
            .flat_map(|(id, c)| [(*id, c, 0), (*id, c, 1)])
            .filter_map(|(id, c, side)| (c.nodes[side] == node && !c.ends[side].closed).then_some((id, side)))
            .collect();
        for (id, side) in ends {
            self.travel_tcp(id, side, 0, Event::Reset(id, 1 - side));
        }
    }

    /// A NAT gives a node another address; TCP connections live on.
    pub fn rebind(&mut self, node: usize, to: SocketAddr) {
        let old = std::mem::replace(&mut self.nodes[node].udp, to);
        self.by_address.remove(&old);
        self.by_address.insert(to, node);
    }

    /// Sets both directions between two hosts.
    pub fn connect(&mut self, a: &str, b: &str, params: &Params) {
        self.connect_one_way(a, b, params.clone());
        self.connect_one_way(b, a, params.clone());
    }

    pub fn connect_one_way(&mut self, from: &str, to: &str, params: Params) {
        let key = (from.parse().unwrap(), to.parse().unwrap());
        let seed = self.link_seed(key);
        self.links.insert(key, Link::new(params, seed));
    }

    fn link_seed(&self, (from, to): (IpAddr, IpAddr)) -> u64 {
        let text = format!("{from}>{to}");
        text.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    pub fn at(&mut self, at: Duration, call: impl FnOnce(&mut World) + 'static) {
        self.schedule(at.as_nanos() as u64, Event::Call(Box::new(call)));
    }

    /// Puts a datagram on the wire as if it came from `from`.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.travel_udp(from, to, bytes);
    }

    pub fn tcp_retransmissions(&self) -> u64 {
        self.connections.values().flat_map(|c| &c.ends).map(|end| end.retransmitted).sum()
    }

    pub fn run_until(&mut self, end: Duration) {
        let end = end.as_nanos() as u64;
        while self.queue.peek().is_some_and(|entry| entry.at <= end) {
            let Some(entry) = self.queue.pop() else { break };
            self.now = entry.at;
            self.handle(entry.event);
        }
        self.now = end;
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.queue.push(Entry { at: at.max(self.now), order: self.order, event });
    }

    fn moment(&self, node: usize) -> Moment {
        Moment { local: self.base.instant(self.nodes[node].clock.shows(self.now)), true_ns: self.now }
    }

    /// An input to a node, then everything it wants done.
    fn input(&mut self, node: usize, input: impl FnOnce(&mut dyn Program, Moment)) {
        if self.nodes[node].alive {
            let at = self.moment(node);
            input(&mut *self.nodes[node].program, at);
            self.drain(node);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Timer(node, timer) => {
                if self.nodes[node].timer == timer {
                    self.count_spin(node);
                    self.input(node, |program, at| program.handle_timeout(at));
                }
            }
            Event::Datagram { from, to, mut bytes } => {
                if let Some(node) = self.by_address.get(&to).copied() {
                    self.input(node, |program, at| program.handle_datagram(at, from, &mut bytes));
                }
            }
            Event::Tick(node, tick) => self.input(node, |program, at| program.tick(at, tick)),
            Event::Call(call) => call(self),
            Event::Syn(id) => self.handle_syn(id),
            Event::SynAck(id) => self.handle_syn_ack(id),
            Event::SynTimeout(id) => self.handle_syn_timeout(id),
            Event::Refused(id) => {
                let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[0].established) else { return };
                connection.ends[0].closed = true;
                let (node, host) = (connection.nodes[0], connection.host);
                self.connections.remove(&id);
                self.input(node, |program, at| program.handle_dialled(at, host, Err("connection refused".to_string())));
            }
            Event::Segment(id, side, segment) => self.handle_segment(id, side, segment),
            Event::Reset(id, side) => self.tell_closed(id, side),
            Event::Retransmit(id, side, at) => {
                let now = self.now;
                let Some(connection) = self.connections.get_mut(&id) else { return };
                if connection.ends[side].timer == Some(at) && self.nodes[connection.nodes[side]].alive {
                    let segment = connection.ends[side].timeout(now);
                    self.send_segments(id, side, segment.into_iter().collect());
                }
            }
        }
    }

    fn count_spin(&mut self, node: usize) {
        let spin = &mut self.nodes[node].spin;
        *spin = if spin.0 == self.now { (self.now, spin.1 + 1) } else { (self.now, 0) };
        let (at, times) = *spin;
        assert!(times < MAX_SPIN, "node {node} asks to be woken at {} ms for ever", at / 1_000_000);
    }

    fn drain(&mut self, node: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.draining = true;
        loop {
            let at = self.moment(node);
            let Some(output) = self.nodes[node].program.poll(at, &mut buffer) else { continue };
            match output {
                Output::Datagrams { to, segment, len } => {
                    let from = self.nodes[node].udp;
                    assert!(segment > 0 && len <= buffer.len(), "an empty run");
                    for datagram in buffer[..len].chunks(segment) {
                        self.travel_udp(from, to, datagram.to_vec());
                    }
                }
                Output::Stream { stream } => self.write(stream, &buffer),
                Output::Close { stream } => self.close(stream),
                Output::Dial { host } => self.dial(node, host),
                Output::Event(()) => {}
                Output::Wait(deadline) => {
                    self.nodes[node].timer += 1;
                    let timer = self.nodes[node].timer;
                    if let Some(deadline) = deadline {
                        let at = self.nodes[node].clock.when(self.base.nanos(deadline));
                        self.schedule(at, Event::Timer(node, timer));
                    }
                    break;
                }
            }
        }
        self.buffer = buffer;
        self.draining = false;
        for (at, tick) in self.nodes[node].program.take_ticks() {
            self.schedule(at, Event::Tick(node, tick));
        }
    }

    fn transit(&mut self, from: IpAddr, to: IpAddr, len: usize) -> [Option<u64>; 2] {
        let (now, key) = (self.now, (from, to));
        if !self.links.contains_key(&key) {
            let seed = self.link_seed(key);
            self.links.insert(key, Link::new(self.default.clone(), seed));
        }
        self.links.get_mut(&key).map_or([None; 2], |link| link.transit(now, len))
    }

    fn travel_udp(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let traffic = self.sent_to.entry(to).or_default();
        traffic.datagrams += 1;
        traffic.bytes += (bytes.len() + UDP_OVERHEAD) as u64;
        traffic.longest = traffic.longest.max(bytes.len());
        if let Some(tap) = &mut self.tap {
            tap.push(Captured { from, to, bytes: bytes.clone() });
        }
        if self.udp_blocked {
            return;
        }
        for at in self.transit(from.ip(), to.ip(), bytes.len() + UDP_OVERHEAD).into_iter().flatten() {
            self.schedule(at, Event::Datagram { from, to, bytes: bytes.clone() });
        }
    }

    fn travel_tcp(&mut self, id: u64, from_side: usize, len: usize, event: Event) {
        let Some(connection) = self.connections.get(&id) else { return };
        let now = Duration::from_nanos(self.now);
        if self.tcp_outage.is_some_and(|(from, to)| (from..to).contains(&now)) {
            return;
        }
        let (from, to) = (connection.addresses[from_side].ip(), connection.addresses[1 - from_side].ip());
        if let Some(at) = self.transit(from, to, len + TCP_OVERHEAD)[0] {
            self.schedule(at, event);
        }
    }

    fn dial(&mut self, node: usize, host: HostId) {
        let id = self.next_connection;
        self.next_connection += 1;
        let to = self.nodes[node].hosts[host.0];
        let from = SocketAddr::new(self.nodes[node].udp.ip(), 40_000 + (id % 20_000) as u16);
        let ends = [End::new(), End::new()];
        self.connections.insert(id, Connection { nodes: [node, usize::MAX], addresses: [from, to], ends, host, tries: 0 });
        self.travel_tcp(id, 0, 0, Event::Syn(id));
        self.schedule(self.now + 1_000_000_000, Event::SynTimeout(id));
    }

    fn handle_syn_timeout(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[0].established) else { return };
        connection.tries += 1;
        let (tries, node, host) = (connection.tries, connection.nodes[0], connection.host);
        if tries < 4 {
            self.travel_tcp(id, 0, 0, Event::Syn(id));
            self.schedule(self.now + (1_000_000_000 << tries), Event::SynTimeout(id));
        } else {
            self.connections.remove(&id);
            self.input(node, |program, at| program.handle_dialled(at, host, Err("connection timed out".to_string())));
        }
    }

    fn handle_syn(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        let [from, to] = connection.addresses;
        if connection.nodes[1] != usize::MAX {
            return self.travel_tcp(id, 1, 0, Event::SynAck(id));
        }
        match self.listener(to) {
            Some(node) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.nodes[1] = node;
                    connection.ends[1].established = true;
                }
                self.travel_tcp(id, 1, 0, Event::SynAck(id));
                self.input(node, |program, at| program.handle_accepted(at, stream(id, 1), from));
            }
            // The machine is there, the program is not. (A machine that is off answers nothing, and looks the same from here.)
            None => self.travel_tcp(id, 1, 0, Event::Refused(id)),
        }
    }

    fn listener(&self, to: SocketAddr) -> Option<usize> {
        self.nodes.iter().rposition(|node| node.alive && node.udp.ip() == to.ip() && node.hosts.is_empty())
    }

    fn handle_syn_ack(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[0].established) else { return };
        connection.ends[0].established = true;
        let (node, host, to) = (connection.nodes[0], connection.host, connection.addresses[1]);
        self.input(node, |program, at| program.handle_dialled(at, host, Ok((stream(id, 0), to))));
    }

    fn write(&mut self, to: StreamId, bytes: &[u8]) {
        let (id, side) = (to.0 / 2, (to.0 % 2) as usize);
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[side].closed) else { return };
        assert!(connection.ends[side].writable, "written to while not writable");
        connection.ends[side].write(bytes);
        self.pump(id, side);
    }

    fn close(&mut self, to: StreamId) {
        let (id, side) = (to.0 / 2, (to.0 % 2) as usize);
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[side].closed) else { return };
        connection.ends[side].close();
        connection.ends[side].closed = true;
        let node = connection.nodes[side];
        self.pump(id, side);
        self.schedule(
            self.now,
            Event::Call(Box::new(move |world| {
                world.input(node, |program, at| program.handle_stream_closed(at, stream(id, side)));
            })),
        );
    }

    fn tell_closed(&mut self, id: u64, side: usize) {
        let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.ends[side].closed) else { return };
        connection.ends[side].closed = true;
        let node = connection.nodes[side];
        if node != usize::MAX {
            self.input(node, |program, at| program.handle_stream_closed(at, stream(id, side)));
        }
    }

    fn pump(&mut self, id: u64, side: usize) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let segments = connection.ends[side].pump(now);
        self.send_segments(id, side, segments);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (node, end) = (connection.nodes[side], &mut connection.ends[side]);
        if let Some(writable) = end.update_writable()
            && !end.closed
            && node != usize::MAX
        {
            if self.draining {
                let at = self.moment(node);
                self.nodes[node].program.handle_writable(at, stream(id, side), writable);
            } else {
                self.input(node, |program, at| program.handle_writable(at, stream(id, side), writable));
            }
        }
    }

    fn send_segments(&mut self, id: u64, side: usize, segments: Vec<Segment>) {
        for segment in segments {
            self.travel_tcp(id, side, segment.bytes.len(), Event::Segment(id, 1 - side, segment));
        }
        if let Some(at) = self.connections.get(&id).and_then(|c| c.ends[side].timer) {
            self.schedule(at, Event::Retransmit(id, side, at));
        }
    }

    fn handle_segment(&mut self, id: u64, side: usize, segment: Segment) {
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (node, address) = (connection.nodes[side], connection.addresses[side]);
        if node == usize::MAX || !self.nodes[node].alive {
            // A host that came back knows nothing of this connection and says so.
            let back = self.listener(address).is_some();
            if back {
                self.travel_tcp(id, side, 0, Event::Reset(id, 1 - side));
            }
            return;
        }
        let (came, out) = connection.ends[side].receive(now, segment);
        let closed = connection.ends[side].closed;
        self.send_segments(id, side, out);
        self.pump(id, side);
        if closed {
            return;
        }
        if !came.bytes.is_empty() {
            self.input(node, |program, at| program.handle_stream(at, stream(id, side), &came.bytes));
        }
        if came.fin {
            self.tell_closed(id, side);
        }
    }
}
