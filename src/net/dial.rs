//! Dialling: from a host of the command line to a TCP connection, or why there is none.
//!
//! All addresses of a name are tried, IPv6 and IPv4 in turn (`resolve`), the next one [`STAGGER`] after the last or as soon as
//! that failed, all side by side; the first to answer wins (RFC 8305), and datagrams follow it. Where the core knows of a place
//! beside those, it is tried first, while the name is still being looked up. They fail as one: with the failure that tells most.
//! A host that is dialled again while it is being dialled gets fresh attempts beside the old ones: after an outage an old attempt
//! may sit in TCP's back-off for seconds. They do not outlive the old ones, so that a host dialled again and again is looked up
//! anew. One answer comes for all of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

use super::address::toward_core;
use super::poll::{Watched, Watcher};
use super::{By, Host, resolve, shortage};
use eyeline_proto::session::HostId;
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::wire::text::printable;

/// How long one attempt may take. TCP repeats its first packet after 1 s, so two of them may be lost.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Head start of an address over the next one: RFC 8305's connection attempt delay.
const STAGGER: Duration = Duration::from_millis(250);
/// Attempts at one host side by side; with one more the oldest is given up.
const MOST_ATTEMPTS: usize = 8;

/// How a dial ended.
pub(super) type Outcome = Result<(Watched<TcpStream>, SocketAddr), DialError>;

/// The dials under way.
pub(super) struct Dials {
    watcher: Watcher,
    hosts: Vec<Host>,
    /// Where connections come from, if the user said so.
    source: Option<IpAddr>,
    under_way: BTreeMap<HostId, Dial>,
    outcomes: VecDeque<(HostId, Outcome)>,
}

struct Dial {
    /// The name is being looked up.
    looking: bool,
    addresses: Vec<SocketAddr>,
    waiting: VecDeque<SocketAddr>,
    attempts: VecDeque<Attempt>,
    /// When the next waiting address may be tried beside those under way.
    next_at: Instant,
    failure: Option<DialError>,
    /// When the last attempt ends, once it was dialled again.
    until: Option<Instant>,
}

struct Attempt {
    socket: Watched<TcpStream>,
    to: SocketAddr,
    deadline: Instant,
}

impl Dials {
    pub(super) fn new(watcher: Watcher, hosts: Vec<Host>, bind: IpAddr) -> Dials {
        let source = (!bind.is_unspecified()).then_some(bind);
        Dials { watcher, hosts, source, under_way: BTreeMap::new(), outcomes: VecDeque::new() }
    }

    /// One more may be dialled, by the next number.
    pub(super) fn add(&mut self, host: Host) {
        self.hosts.push(host);
    }

    /// Starts to dial, or dials afresh. A name is given back to be looked up; its answer goes to [`Dials::handle_resolved`].
    /// `also`: a place to try beside the addresses that the host is given by.
    pub(super) fn start(&mut self, now: Instant, host: HostId, also: Option<SocketAddr>) -> Option<Host> {
        let Some(wanted) = self.hosts.get(host.0) else {
            let why = "it is not among those to dial: please report this".to_string();
            self.outcomes.push_back((host, Err(DialError::Other { host: format!("host number {}", host.0), why })));
            return None;
        };
        if let Some(dial) = self.under_way.get_mut(&host) {
            dial.try_first(also);
            dial.waiting = dial.addresses.iter().copied().collect();
            dial.next_at = now;
            dial.until = dial.until.or_else(|| dial.attempts.back().map(|attempt| attempt.deadline));
            self.advance(now, host);
            return None;
        }
        let given = literal(wanted);
        if let Some(error) = given.and_then(resolve::without_zone) {
            self.outcomes.push_back((host, Err(error)));
            return None;
        }
        let mut dial = Dial {
            looking: given.is_none(),
            addresses: given.into_iter().collect(),
            waiting: given.into_iter().collect(),
            attempts: VecDeque::new(),
            next_at: now,
            failure: None,
            until: None,
        };
        let wanted = dial.looking.then(|| wanted.clone());
        dial.try_first(also);
        self.under_way.insert(host, dial);
        self.advance(now, host);
        wanted
    }

    /// The resolver's answer.
    pub(super) fn handle_resolved(&mut self, now: Instant, host: HostId, answer: Result<Vec<SocketAddr>, DialError>) {
        let Some(dial) = self.under_way.get_mut(&host) else { return };
        dial.looking = false;
        match answer {
            Ok(addresses) => addresses.into_iter().for_each(|address| dial.try_last(address)),
            Err(error) => dial.note(error),
        }
        self.advance(now, host);
    }

    /// An event of one of our sockets. `false`: it is none of ours.
    pub(super) fn handle_event(&mut self, now: Instant, key: usize) -> bool {
        let ours = |dial: &Dial| dial.attempts.iter().position(|attempt| attempt.socket.key() == key);
        let Some((host, at)) = self.under_way.iter().find_map(|(host, dial)| Some((*host, ours(dial)?))) else { return false };
        let Some(dial) = self.under_way.get_mut(&host) else { return false };
        match dial.attempts[at].state() {
            Ok(false) => {}
            Ok(true) => {
                if let Some(attempt) = dial.attempts.remove(at) {
                    self.end(host, Ok((attempt.socket, attempt.to)));
                }
            }
            Err(error) => {
                if let Some(attempt) = dial.attempts.remove(at) {
                    dial.note(failure(&self.hosts[host.0], attempt.to, &error));
                }
                dial.next_at = now;
                self.advance(now, host);
            }
        }
        true
    }

    /// The next moment at which [`Dials::handle_timeout`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let next = |dial: &Dial| (!dial.waiting.is_empty()).then_some(dial.next_at);
        let ends = |dial: &Dial| dial.attempts.iter().map(|attempt| attempt.deadline).min();
        self.under_way.values().flat_map(|dial| [next(dial), ends(dial)]).flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let hosts: Vec<HostId> = self.under_way.keys().copied().collect();
        for host in hosts {
            let Some(dial) = self.under_way.get_mut(&host) else { continue };
            // Attempts are in the order of their deadlines.
            while let Some(to) = dial.attempts.front().filter(|attempt| attempt.deadline <= now).map(|attempt| attempt.to) {
                dial.attempts.pop_front();
                dial.note(timed_out(&self.hosts[host.0], to));
            }
            self.advance(now, host);
        }
    }

    /// A dial that ended.
    pub(super) fn poll(&mut self) -> Option<(HostId, Outcome)> {
        self.outcomes.pop_front()
    }

    /// Starts the attempts that are due, and ends a dial that has none left.
    fn advance(&mut self, now: Instant, host: HostId) {
        let Some(dial) = self.under_way.get_mut(&host) else { return };
        while dial.attempts.is_empty() || dial.next_at <= now {
            let Some(to) = dial.waiting.pop_front() else { break };
            match connect(to, self.source).and_then(|socket| self.watcher.watch(socket, false, true)) {
                Ok(socket) => {
                    let deadline = dial.until.map_or(now + TIMEOUT, |until| until.min(now + TIMEOUT));
                    dial.attempts.push_back(Attempt { socket, to, deadline });
                    if dial.attempts.len() > MOST_ATTEMPTS {
                        dial.attempts.pop_front();
                    }
                    dial.next_at = now + STAGGER;
                }
                Err(error) => dial.note(failure(&self.hosts[host.0], to, &error)),
            }
        }
        if dial.attempts.is_empty() && !dial.looking {
            let wanted = &self.hosts[host.0];
            let error =
                dial.failure.take().unwrap_or_else(|| DialError::TimedOut { host: wanted.to_string(), port: wanted.port });
            self.end(host, Err(error));
        }
    }

    fn end(&mut self, host: HostId, outcome: Outcome) {
        self.under_way.remove(&host);
        self.outcomes.push_back((host, outcome));
    }
}

impl Dial {
    /// A place to be tried before the others.
    fn try_first(&mut self, place: Option<SocketAddr>) {
        if let Some(place) = place.filter(|place| !self.addresses.contains(place)) {
            self.addresses.insert(0, place);
            self.waiting.push_front(place);
        }
    }

    fn try_last(&mut self, place: SocketAddr) {
        if !self.addresses.contains(&place) {
            self.addresses.push(place);
            self.waiting.push_back(place);
        }
    }

    /// Keeps the failure that tells most.
    fn note(&mut self, failure: DialError) {
        if self.failure.as_ref().is_none_or(|known| tells(known) < tells(&failure)) {
            self.failure = Some(failure);
        }
    }
}

impl Attempt {
    /// Whether it is connected.
    fn state(&self) -> io::Result<bool> {
        let socket = self.socket.get();
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match (socket.peer_addr(), socket.local_addr()) {
            // Dialling a port of this machine that nobody waits on can meet itself coming out of the same port.
            (Ok(peer), Ok(local)) if peer == local => Err(io::Error::from_raw_os_error(libc::ECONNREFUSED)),
            (Ok(_), _) => Ok(true),
            (Err(error), _) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            (Err(error), _) => Err(error),
        }
    }
}

/// How much a failure tells: of several addresses of one name, the one that is told.
fn tells(failure: &DialError) -> u8 {
    match failure {
        DialError::Other { .. } => 0,
        DialError::UnknownName { .. } | DialError::Several { .. } | DialError::NoAddress { .. } => 1,
        DialError::NoRoute { .. } => 2,
        DialError::TimedOut { .. } => 3,
        DialError::Refused { .. } => 4,
        DialError::NoZone { .. } | DialError::UnknownZone { .. } | DialError::LinkLocalAlone { .. } => 5,
        // Ours, whatever the others say.
        DialError::Shortage { .. } => 6,
    }
}

/// The address, where the host is given as one.
fn literal(host: &Host) -> Option<SocketAddr> {
    (host.by == By::Name).then(|| resolve::literal(&host.name, host.port)).flatten()
}

/// The host as it was given, and the address where that is another; its port, where that is.
fn told_as(host: &Host, to: SocketAddr) -> String {
    match literal(host) {
        Some(given) if given == to => to.to_string(),
        Some(given) => format!("{given} ({})", to.ip()),
        None if host.by == By::Name && host.port == to.port() => format!("{host} ({})", to.ip()),
        None => format!("{} ({to})", printable(&host.name)),
    }
}

fn timed_out(host: &Host, to: SocketAddr) -> DialError {
    DialError::TimedOut { host: told_as(host, to), port: to.port() }
}

fn failure(given: &Host, to: SocketAddr, error: &io::Error) -> DialError {
    let (host, port) = (told_as(given, to), to.port());
    if let Some(shortage) = shortage::of(error) {
        return DialError::Shortage { host, shortage };
    }
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => DialError::Refused { host, port },
        Some(libc::ETIMEDOUT) => DialError::TimedOut { host, port },
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL) => DialError::NoRoute { host },
        _ => DialError::Other { host, why: error.to_string() },
    }
}

/// Starts to connect; the outcome is announced by the socket becoming writable.
fn connect(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source.map(|ip| toward_core(SocketAddr::new(ip, 0))).filter(|ip| ip.is_ipv4() == to.is_ipv4()) {
        socket.bind(&source.into())?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => Ok(socket.into()),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn at(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().expect("an address"), 9688)
    }

    fn named(name: &str, port: u16) -> Host {
        Host { name: name.to_string(), port, by: By::Name }
    }

    fn dials(name: &str, port: u16) -> Dials {
        let watcher = Watcher::new().expect("a poller");
        Dials::new(watcher, vec![named(name, port)], "::".parse().expect("an address"))
    }

    const HOST: HostId = HostId(0);

    #[test]
    fn the_failure_that_tells_most_is_the_one_told_and_a_shortage_of_ours_before_all() {
        let camera = named("camera", 9688);
        let failed = |code, ip| failure(&camera, at(ip), &io::Error::from_raw_os_error(code));
        let mut dial = Dial {
            looking: false,
            addresses: Vec::new(),
            waiting: VecDeque::new(),
            attempts: VecDeque::new(),
            next_at: Instant::now(),
            failure: None,
            until: None,
        };
        dial.note(failed(libc::ENETUNREACH, "fd00::1"));
        dial.note(failed(libc::ECONNREFUSED, "10.0.0.1"));
        dial.note(failed(libc::ETIMEDOUT, "10.0.0.2"));
        assert_eq!(dial.failure, Some(DialError::Refused { host: "camera:9688 (10.0.0.1)".to_string(), port: 9688 }));
        dial.note(failed(libc::EMFILE, "10.0.0.3"));
        assert!(matches!(dial.failure, Some(DialError::Shortage { .. })), "{:?}", dial.failure);
    }

    #[test]
    fn failures_name_the_host_and_what_to_do() {
        let camera = named("camera", 9688);
        let failed = |code| failure(&camera, at("10.0.0.1"), &io::Error::from_raw_os_error(code)).to_string();
        assert_eq!(failed(libc::ECONNREFUSED), "nobody is waiting on camera:9688 (10.0.0.1)");
        let silent = timed_out(&named("10.0.0.1", 9688), at("10.0.0.1")).to_string();
        assert!(silent.starts_with("10.0.0.1:9688 does not answer") && silent.contains("firewall"), "{silent}");
        assert!(failed(libc::EHOSTUNREACH).starts_with("there is no route to camera:9688 (10.0.0.1)"));
    }

    /// A port of loopback that refuses, and one that is waited on.
    fn ports() -> (TcpListener, SocketAddr, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let open = listener.local_addr().expect("bound");
        let closed = TcpListener::bind("127.0.0.2:0").expect("loopback").local_addr().expect("bound");
        (listener, open, closed)
    }

    /// A port that answers nothing: as many wait to be taken in as may.
    fn silent() -> (Socket, Vec<Socket>, SocketAddr) {
        let new = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let listener = new();
        listener.bind(&SocketAddr::from(([127, 0, 0, 4], 0)).into()).expect("loopback");
        listener.listen(0).expect("it listens");
        let address = listener.local_addr().expect("bound");
        let waiting = (0..4).map(|_| {
            let socket = new();
            socket.set_nonblocking(true).expect("a flag");
            let _ = socket.connect(&address);
            socket
        });
        let waiting = waiting.collect();
        (listener, waiting, address.as_socket().expect("IPv4"))
    }

    /// Until the dial ends: what the poller of the net thread would do.
    fn outcome(dials: &mut Dials) -> Outcome {
        let mut events = polling::Events::new();
        loop {
            if let Some((_, outcome)) = dials.poll() {
                return outcome;
            }
            events.clear();
            let poller = dials.watcher.poller().clone();
            let until = dials.deadline().expect("something is awaited");
            poller.wait_deadline(&mut events, until).expect("it polls");
            for event in events.iter() {
                dials.handle_event(Instant::now(), event.key);
            }
            dials.handle_timeout(Instant::now());
        }
    }

    #[test]
    fn all_addresses_of_a_name_are_tried_and_the_one_that_answers_wins() {
        let (_listener, open, closed) = ports();
        let mut dials = dials("camera", open.port());
        assert_eq!(dials.start(Instant::now(), HOST, None), Some(named("camera", open.port())));
        let (_full, _waiting, silent) = silent();
        dials.handle_resolved(Instant::now(), HOST, Ok(vec![silent, closed, open]));
        assert_eq!(outcome(&mut dials).expect("one of them answers").1, open);
        assert!(dials.under_way.is_empty());
    }

    #[test]
    fn all_addresses_of_a_name_fail_as_one() {
        let (_listener, _, closed) = ports();
        let mut dials = dials("camera", closed.port());
        dials.start(Instant::now(), HOST, None);
        let other = SocketAddr::new("127.0.0.3".parse().expect("an address"), closed.port());
        dials.handle_resolved(Instant::now(), HOST, Ok(vec![closed, other]));
        assert!(matches!(outcome(&mut dials), Err(DialError::Refused { .. })));
        assert!(dials.poll().is_none() && dials.under_way.is_empty(), "told once");
    }

    #[test]
    fn a_place_that_the_core_knows_is_tried_while_the_name_is_looked_up_and_whatever_comes_of_that() {
        let (_listener, open, _) = ports();
        let mut dials = dials("camera", open.port());
        assert!(dials.start(Instant::now(), HOST, Some(open)).is_some());
        let unknown = DialError::UnknownName { name: "camera".to_string(), why: "gone".to_string() };
        dials.handle_resolved(Instant::now(), HOST, Err(unknown));
        assert_eq!(outcome(&mut dials).expect("it answers").1, open);
    }

    #[test]
    fn a_link_local_address_without_its_interface_is_not_dialled_at_all() {
        let mut dials = dials("fe80::1", 9688);
        assert_eq!(dials.start(Instant::now(), HOST, None), None);
        assert!(matches!(dials.poll(), Some((HOST, Err(DialError::NoZone { .. })))));
        assert!(dials.under_way.is_empty());
    }
}
