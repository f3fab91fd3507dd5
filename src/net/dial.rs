//! Dialling: from a host of the command line to a TCP connection, or one sentence that says why not.
//!
//! All addresses of a name are tried in the resolver's order, the next one [`STAGGER`] after the last or as soon as that
//! failed, all side by side; the first to answer wins (the heart of RFC 8305). A host that is dialled again while it is being dialled
//! gets fresh attempts beside the old ones: after an outage an old attempt may sit in TCP's back-off for seconds. They do not outlive
//! the old ones, so that a host dialled again and again is looked up anew. One answer comes for all of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

use super::address::toward_core;
use super::poll::{Watched, Watcher};
use super::resolve;
use crate::session::HostId;

/// How long one attempt may take. TCP repeats its first packet after 1 s, so two of them may be lost.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Head start of an address over the next one: RFC 8305's connection attempt delay.
const STAGGER: Duration = Duration::from_millis(250);
/// Attempts at one host side by side; with one more the oldest is given up.
const MOST_ATTEMPTS: usize = 8;

/// How a dial ended.
pub(super) type Outcome = Result<(Watched<TcpStream>, SocketAddr), String>;

/// The dials under way.
pub(super) struct Dials {
    watcher: Watcher,
    hosts: Vec<(String, u16)>,
    /// Where connections come from, if the user said so.
    source: Option<IpAddr>,
    under_way: BTreeMap<HostId, Dial>,
    outcomes: VecDeque<(HostId, Outcome)>,
}

struct Dial {
    /// Empty while the name is being looked up.
    addresses: Vec<SocketAddr>,
    waiting: VecDeque<SocketAddr>,
    attempts: VecDeque<Attempt>,
    /// When the next waiting address may be tried beside those under way.
    next_at: Instant,
    failure: Option<(Failure, SocketAddr)>,
    /// When the last attempt ends, once it was dialled again.
    until: Option<Instant>,
}

struct Attempt {
    socket: Watched<TcpStream>,
    to: SocketAddr,
    deadline: Instant,
}

/// Why an address did not answer; the later ones tell more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    Other(String),
    NoRoute,
    TimedOut,
    Refused,
}

impl Dials {
    pub(super) fn new(watcher: Watcher, hosts: Vec<(String, u16)>, bind: IpAddr) -> Dials {
        let source = (!bind.is_unspecified()).then_some(bind);
        Dials { watcher, hosts, source, under_way: BTreeMap::new(), outcomes: VecDeque::new() }
    }

    /// Starts to dial, or dials afresh. A name is given back to be looked up; its answer goes to [`Dials::handle_resolved`].
    pub(super) fn start(&mut self, now: Instant, host: HostId) -> Option<(String, u16)> {
        let Some((name, port)) = self.hosts.get(host.0) else {
            self.outcomes.push_back((host, Err(format!("there is no host number {} to dial: please report this", host.0))));
            return None;
        };
        if let Some(dial) = self.under_way.get_mut(&host) {
            dial.waiting = dial.addresses.iter().copied().collect();
            dial.next_at = now;
            dial.until = dial.until.or_else(|| dial.attempts.back().map(|attempt| attempt.deadline));
            self.advance(now, host);
            return None;
        }
        let addresses: Vec<SocketAddr> = resolve::literal(name, *port).into_iter().collect();
        let wanted = addresses.is_empty().then(|| (name.clone(), *port));
        let waiting = addresses.iter().copied().collect();
        let dial = Dial { addresses, waiting, attempts: VecDeque::new(), next_at: now, failure: None, until: None };
        self.under_way.insert(host, dial);
        if wanted.is_none() {
            self.advance(now, host);
        }
        wanted
    }

    /// The resolver's answer.
    pub(super) fn handle_resolved(&mut self, now: Instant, host: HostId, answer: Result<Vec<SocketAddr>, String>) {
        let Some(dial) = self.under_way.get_mut(&host) else { return };
        match answer {
            Ok(addresses) => {
                dial.waiting = addresses.iter().copied().collect();
                dial.addresses = addresses;
                self.advance(now, host);
            }
            Err(sentence) => self.end(host, Err(sentence)),
        }
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
                    dial.note(Failure::of(&error), attempt.to);
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
                dial.note(Failure::TimedOut, to);
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
        if dial.addresses.is_empty() {
            return; // still being looked up
        }
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
                Err(error) => dial.note(Failure::of(&error), to),
            }
        }
        if dial.attempts.is_empty() {
            let (failure, to) = match dial.failure.take() {
                Some(failure) => failure,
                None => (Failure::TimedOut, dial.addresses[0]),
            };
            let (name, port) = &self.hosts[host.0];
            let sentence = failure.sentence(name, *port, to);
            self.end(host, Err(sentence));
        }
    }

    fn end(&mut self, host: HostId, outcome: Outcome) {
        self.under_way.remove(&host);
        self.outcomes.push_back((host, outcome));
    }
}

impl Dial {
    /// Keeps the failure that tells most.
    fn note(&mut self, failure: Failure, to: SocketAddr) {
        if self.failure.as_ref().is_none_or(|(known, _)| *known < failure) {
            self.failure = Some((failure, to));
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

impl Failure {
    fn of(error: &io::Error) -> Failure {
        match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Failure::Refused,
            Some(libc::ETIMEDOUT) => Failure::TimedOut,
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EADDRNOTAVAIL) => Failure::NoRoute,
            _ => Failure::Other(error.to_string()),
        }
    }

    fn sentence(&self, name: &str, port: u16, to: SocketAddr) -> String {
        let given = resolve::literal(name, port).is_some();
        let host = if given { to.to_string() } else { format!("{name}:{port} ({})", to.ip()) };
        match self {
            Failure::Refused => {
                format!("nobody is waiting on {host}: is `send` or `recv` running there, and on port {port}?")
            }
            Failure::TimedOut => format!(
                "{host} does not answer: check the address, that the machine is on, and that its firewall lets TCP and UDP port \
                 {port} in"
            ),
            Failure::NoRoute => format!("there is no route to {host}: check the address and this machine's network"),
            Failure::Other(error) => format!("{host} cannot be reached: {error}"),
        }
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

    #[test]
    fn the_failure_that_tells_most_is_the_one_told() {
        let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), 9688);
        let now = Instant::now();
        let mut dial = Dial {
            addresses: Vec::new(),
            waiting: VecDeque::new(),
            attempts: VecDeque::new(),
            next_at: now,
            failure: None,
            until: None,
        };
        dial.note(Failure::NoRoute, at("fd00::1"));
        dial.note(Failure::Refused, at("10.0.0.1"));
        dial.note(Failure::TimedOut, at("10.0.0.2"));
        assert_eq!(dial.failure, Some((Failure::Refused, at("10.0.0.1"))));
    }

    #[test]
    fn failures_name_host_port_and_what_to_do() {
        let to: SocketAddr = "10.0.0.1:9688".parse().expect("an address");
        let refused = Failure::Refused.sentence("camera", 9688, to);
        assert_eq!(refused, "nobody is waiting on camera:9688 (10.0.0.1): is `send` or `recv` running there, and on port 9688?");
        let silent = Failure::TimedOut.sentence("10.0.0.1", 9688, to);
        assert!(silent.starts_with("10.0.0.1:9688 does not answer") && silent.contains("firewall"), "{silent}");
        let error = io::Error::from_raw_os_error(libc::EHOSTUNREACH);
        assert!(Failure::of(&error).sentence("camera", 1, to).starts_with("there is no route to camera:1 (10.0.0.1)"));
    }
}
