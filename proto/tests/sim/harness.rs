//! The world: virtual time, an event queue, hosts that run the shipped session cores, and links between their addresses.
//!
//! Each core is driven as its contract says: after every input it is polled until `Wait`, and woken exactly at the deadline it
//! named, on its own host's clock. The harness panics where a core breaks its side: asks to be woken for ever at one moment, or
//! writes to a connection that is not writable.

use super::netem::{Link, Params};
use super::oscillator::{Base, Oscillator};
use super::tcp::{Connection, Segment};
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::session::{Command, HostId, Output, SocketId};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The port everybody waits on.
pub const PORT: u16 = 9688;

/// IPv4 and UDP headers.
const UDP_OVERHEAD: usize = 28;

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
    /// Whose, and which request of its.
    Speaker(u64, u64),
    /// A picture that was held may be due.
    Due,
}

/// One process: a session core and what stands for the rest of the application.
pub trait Program {
    fn handle_datagram(&mut self, at: Moment, from: SocketAddr, bytes: &mut [u8]);
    fn handle_too_long(&mut self, at: Moment, to: SocketAddr, len: usize);
    fn handle_accepted(&mut self, at: Moment, socket: SocketId, from: SocketAddr);
    fn handle_dialled(&mut self, at: Moment, host: HostId, outcome: Result<(SocketId, SocketAddr), DialError>);
    fn handle_bytes(&mut self, at: Moment, socket: SocketId, bytes: &[u8]);
    fn handle_closed(&mut self, at: Moment, socket: SocketId);
    fn handle_writable(&mut self, at: Moment, socket: SocketId, writable: bool);
    fn handle_timeout(&mut self, at: Moment);
    fn tick(&mut self, at: Moment, tick: Tick);
    /// Somebody at it wants something.
    fn command(&mut self, at: Moment, command: Command);
    /// Deals with its own events; `None` where there was one.
    fn poll(&mut self, at: Moment, buffer: &mut Vec<u8>) -> Option<Output<()>>;
    /// It was suspended and goes on: camera and sound card begin anew.
    fn wake(&mut self, at: Moment);
    /// True times of ticks it wants.
    fn take_ticks(&mut self) -> Vec<(u64, Tick)>;
}

pub(super) struct Node {
    pub(super) clock: Oscillator,
    pub(super) udp: SocketAddr,
    pub(super) program: Box<dyn Program>,
    pub(super) hosts: Vec<SocketAddr>,
    pub(super) timer: u64,
    pub(super) spin: (u64, u32),
    pub(super) alive: bool,
    /// It takes connections.
    pub(super) listens: bool,
    /// The process is stopped: what its kernel keeps for it.
    stopped: Option<VecDeque<Input>>,
}

type Input = Box<dyn FnOnce(&mut dyn Program, Moment)>;

/// Datagrams and pieces of streams that a kernel keeps for a process that does not read: 208 KiB, Linux's default, of them.
const KEPT: usize = 180;

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

type Call = Box<dyn FnOnce(&mut World)>;

pub(super) enum Event {
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
    /// Bytes that arrived at each host, UDP and TCP.
    pub arrived: BTreeMap<IpAddr, u64>,
    /// From, to: TCP's segments are lost while datagrams pass.
    pub tcp_outage: Option<(Duration, Duration)>,
    /// What every host's interface takes, IP header included: the kernel refuses longer datagrams.
    pub interface_mtu: usize,
    /// A firewall that lets no datagram through.
    pub udp_blocked: bool,
    /// One that lets none through to this address.
    pub udp_blocked_to: Option<IpAddr>,
    /// Behind firewalls that let in what comes from where something was sent to before.
    pub firewalled: BTreeMap<IpAddr, BTreeSet<SocketAddr>>,
    queue: BinaryHeap<Entry>,
    order: u64,
    pub(super) nodes: Vec<Node>,
    by_address: HashMap<SocketAddr, usize>,
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) next_connection: u64,
    buffer: Vec<u8>,
    pub(super) draining: bool,
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
            arrived: BTreeMap::new(),
            tcp_outage: None,
            interface_mtu: 1500,
            udp_blocked: false,
            udp_blocked_to: None,
            firewalled: BTreeMap::new(),
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
        let hosts: Vec<SocketAddr> = hosts.iter().map(|host| address(host)).collect();
        let listens = hosts.is_empty();
        self.nodes.push(Node {
            clock,
            udp: address(ip),
            program,
            hosts,
            timer: 0,
            spin: (0, 0),
            alive: true,
            listens,
            stopped: None,
        });
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

    /// A node that dials takes connections, too.
    pub fn listen(&mut self, node: usize) {
        self.nodes[node].listens = true;
    }

    /// The machine sleeps: what comes is lost, nothing runs.
    pub fn suspend(&mut self, node: usize) {
        self.nodes[node].alive = false;
    }

    /// It goes on where it was; its clock may or may not have stood still.
    pub fn wake(&mut self, node: usize) {
        self.nodes[node].alive = true;
        self.wake_connections(node);
        self.input(node, |program, at| {
            program.wake(at);
            program.handle_timeout(at);
        });
    }

    /// The process is stopped (SIGSTOP): its kernel goes on, keeps what comes and drops what is too much; cameras and sound cards
    /// go on.
    pub fn stop(&mut self, node: usize) {
        self.nodes[node].stopped = Some(VecDeque::new());
    }

    /// It goes on, with what its kernel kept.
    pub fn go_on(&mut self, node: usize) {
        let kept = self.nodes[node].stopped.take().unwrap_or_default();
        for input in kept {
            self.input(node, input);
        }
        self.input(node, |program, at| {
            program.wake(at);
            program.handle_timeout(at);
        });
    }

    /// The cable goes into another socket: new address, and connections of the old one are heard of no more.
    pub fn move_to(&mut self, node: usize, ip: &str) {
        let to = SocketAddr::new(ip.parse().unwrap(), PORT);
        self.rebind(node, to);
        self.cut_connections(node);
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

    /// Changes both directions between two hosts from now on.
    pub fn retune(&mut self, a: &str, b: &str, change: impl Fn(&mut Params)) {
        let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
        for key in [(a, b), (b, a)] {
            change(&mut self.links.get_mut(&key).expect("a link between them").params);
        }
    }

    /// Packets offered to one direction of a link so far, and how many of them it dropped.
    pub fn fate(&self, from: &str, to: &str) -> (u64, u64) {
        let link = self.links.get(&(from.parse().unwrap(), to.parse().unwrap()));
        link.map_or((0, 0), |link| (link.offered, link.dropped))
    }

    fn link_seed(&self, (from, to): (IpAddr, IpAddr)) -> u64 {
        let text = format!("{from}>{to}");
        text.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    pub fn at(&mut self, at: Duration, call: impl FnOnce(&mut World) + 'static) {
        self.schedule(at.as_nanos() as u64, Event::Call(Box::new(call)));
    }

    /// Somebody at a node wants something.
    pub fn command(&mut self, node: usize, command: Command) {
        self.input(node, |program, at| program.command(at, command));
    }

    /// Puts a datagram on the wire as if it came from `from`.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.travel_udp(from, to, bytes);
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

    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.queue.push(Entry { at: at.max(self.now), order: self.order, event });
    }

    pub(super) fn moment(&self, node: usize) -> Moment {
        Moment { local: self.base.instant(self.nodes[node].clock.shows(self.now)), true_ns: self.now }
    }

    /// An input to a node, then everything it wants done.
    pub(super) fn input(&mut self, node: usize, input: impl FnOnce(&mut dyn Program, Moment) + 'static) {
        if let Some(kept) = &mut self.nodes[node].stopped {
            kept.push_back(Box::new(input));
        } else if self.nodes[node].alive {
            let at = self.moment(node);
            input(&mut *self.nodes[node].program, at);
            self.drain(node);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Timer(node, timer) => {
                if self.nodes[node].timer == timer && self.runs(node) {
                    self.count_spin(node);
                    self.input(node, |program, at| program.handle_timeout(at));
                }
            }
            Event::Datagram { from, to, mut bytes } => {
                if let Some(node) = self.by_address.get(&to).copied()
                    && self.nodes[node].stopped.as_ref().is_none_or(|kept| kept.len() < KEPT)
                {
                    self.input(node, move |program, at| program.handle_datagram(at, from, &mut bytes));
                }
            }
            Event::Tick(node, _) if !self.runs(node) => {}
            Event::Tick(node, tick) => self.input(node, move |program, at| program.tick(at, tick)),
            Event::Call(call) => call(self),
            Event::Syn(id) => self.handle_syn(id),
            Event::SynAck(id) => self.handle_syn_ack(id),
            Event::SynTimeout(id) => self.handle_syn_timeout(id),
            Event::Refused(id) => self.handle_refused(id),
            Event::Segment(id, side, segment) => self.handle_segment(id, side, segment),
            Event::Reset(id, side) => self.tell_closed(id, side),
            Event::Retransmit(id, side, at) => self.handle_retransmit(id, side, at),
        }
    }

    fn runs(&self, node: usize) -> bool {
        self.nodes[node].alive && self.nodes[node].stopped.is_none()
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
                    if segment + UDP_OVERHEAD > self.interface_mtu {
                        self.nodes[node].program.handle_too_long(at, to, segment);
                        continue;
                    }
                    for datagram in buffer[..len].chunks(segment) {
                        self.travel_udp(from, to, datagram.to_vec());
                    }
                }
                Output::Bytes { socket } => self.write(socket, &buffer),
                Output::Close { socket } => self.close(socket),
                Output::Dial { host, also } => self.dial(node, host, also),
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

    /// The longest packet that passes.
    pub(super) fn takes(&self, from: IpAddr, to: IpAddr) -> usize {
        self.links.get(&(from, to)).map(|link| link.params.mtu).filter(|mtu| *mtu > 0).unwrap_or(usize::MAX)
    }

    pub(super) fn transit(&mut self, from: IpAddr, to: IpAddr, len: usize) -> [Option<u64>; 2] {
        let (now, key) = (self.now, (from, to));
        if !self.links.contains_key(&key) {
            let seed = self.link_seed(key);
            self.links.insert(key, Link::new(self.default.clone(), seed));
        }
        let fate = self.links.get_mut(&key).map_or([None; 2], |link| link.transit(now, len));
        *self.arrived.entry(to).or_default() += if fate[0].is_some() { len as u64 } else { 0 };
        fate
    }

    fn travel_udp(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let traffic = self.sent_to.entry(to).or_default();
        traffic.datagrams += 1;
        traffic.bytes += (bytes.len() + UDP_OVERHEAD) as u64;
        traffic.longest = traffic.longest.max(bytes.len());
        if let Some(tap) = &mut self.tap {
            tap.push(Captured { from, to, bytes: bytes.clone() });
        }
        if self.udp_blocked || self.udp_blocked_to == Some(to.ip()) {
            return;
        }
        if let Some(let_in) = self.firewalled.get_mut(&from.ip()) {
            let_in.insert(to);
        }
        if self.firewalled.get(&to.ip()).is_some_and(|let_in| !let_in.contains(&from)) {
            return;
        }
        for at in self.transit(from.ip(), to.ip(), bytes.len() + UDP_OVERHEAD).into_iter().flatten() {
            self.schedule(at, Event::Datagram { from, to, bytes: bytes.clone() });
        }
    }
}
