//! Found by name: a waiting program says on its network what it is called and where it waits, and finds the others that do
//! (multicast DNS, RFC 6762, and DNS-SD, RFC 6763; the crate `mdns-sd` speaks both).
//!
//! One [`Directory`] a run. Its first use starts the crate's thread and one of ours, `neighbours`, which keeps the [`listing`] up
//! to date; who neither says nor asks anything starts none. Nothing here is waited for but in [`Directory::find`], on a thread
//! that looks a name up, and at the end, for [`GOODBYE`] at most. Where there is no network, no multicast or no way to port 5353,
//! nothing is found, and nothing fails.
//!
//! Our records have a host name of their own, so that no clash of names touches the machine's. Loopback is left out where there
//! is another interface: two programs of one name would stand there as one.
//!
//! Capacity: the listing's; the crate keeps whatever records strangers send, so that with more than 2048 it is ended and begun
//! anew after a minute (`follow`).

mod check;
mod follow;
mod listing;
mod networks;
mod record;

use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mdns_sd::{DaemonStatus, HostnameResolutionEvent, IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceInfo};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::{By, Host};
use crate::threads::{join, lock, wait_for};
pub use check::is_heard;
use eyeline_proto::crypto;
use eyeline_proto::wire::record::Media;
use listing::{Address, Called, Listing, Service};
pub use listing::{MOST, Neighbour};
use networks::Networks;
pub use record::{Id, Role};
use record::{Record, SERVICE};

/// How long the goodbye may hold up the end.
pub const GOODBYE: Duration = Duration::from_millis(200);

/// Who is there has answered by then: half a second after its start a program waits to be asked, and answers within a tenth.
pub const ANSWERS: Duration = Duration::from_millis(1500);

/// Addresses of one program come one by one, in packets right behind each other.
const SETTLES: Duration = Duration::from_millis(150);

/// Who is called so, too, has answered so long after it was asked for the second time: one answer is not the only one. Whoever
/// has said its name within the last second, to us or to anybody, says nothing to the first query (RFC 6762 §6), and what is lost
/// of multicast nobody sends again; the second query comes a second after the first (§5.2), an answer within 120 ms (§6).
const ALL_ANSWER: Duration = Duration::from_millis(200);

/// What the crate says by then: that it begins to ask, that it asks, and that it asks again.
const ASKED_TWICE: u32 = 3;

/// Most who answer at all have answered so long after it was asked first.
pub(super) const SOON: Duration = Duration::from_millis(300);

/// Who was dialled in vain and does not answer for so long is not there.
const DOUBT: Duration = Duration::from_secs(2);

/// What a waiting program says of itself.
#[derive(Debug, Clone)]
pub struct Announcement {
    pub name: String,
    pub role: Role,
    pub offers: Media,
    pub wants: Media,
    /// Who has no key is not let in.
    pub keyed: bool,
    /// Where it waits; an unspecified address is every one.
    pub at: SocketAddr,
}

/// What there is to know, told on a thread of the directory.
#[derive(Debug)]
pub enum Heard {
    /// Who is there now, and of use to us.
    Neighbours(Vec<Neighbour>),
    /// Another is called as we are: this is what we are called now.
    Renamed(String),
}

type Tell = Arc<dyn Fn(Heard) + Send + Sync>;

/// See the module text. Clones are the same directory.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    id: Id,
    state: Mutex<State>,
    /// The listing is another one, or it is over.
    changed: Condvar,
}

struct State {
    /// While it is open.
    daemon: Option<ServiceDaemon>,
    /// When it was opened.
    asked: Instant,
    /// How often it has said since that it asks.
    searches: u32,
    /// When it asked for the second time.
    asked_twice: Option<Instant>,
    thread: Option<Neighbours>,
    ended: bool,
    listing: Listing,
    announced: Option<ServiceInfo>,
    tell: Option<Tell>,
}

/// Our thread.
struct Neighbours {
    thread: JoinHandle<()>,
    /// Nothing comes here; it is closed once the thread has nothing more to do.
    over: mpsc::Receiver<()>,
}

impl Default for Directory {
    /// Of a program that has nothing and wants nothing.
    fn default() -> Self {
        Directory::new(Media::NONE, Media::NONE)
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}

impl Directory {
    /// Of a program that has this for others, and wants this of them.
    pub fn new(offers: Media, wants: Media) -> Directory {
        let id = crypto::random();
        let listing = Listing::new(id, offers, wants);
        let state = State {
            daemon: None,
            asked: Instant::now(),
            searches: 0,
            asked_twice: None,
            thread: None,
            ended: false,
            listing,
            announced: None,
            tell: None,
        };
        Directory(Arc::new(Inner { id, state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Says from now on that somebody waits here. A program that only this machine reaches says nothing. Whether it is said.
    pub fn announce(&self, announcement: &Announcement) -> bool {
        let Some(info) = self.0.info(announcement) else { return false };
        let mut state = lock(&self.0.state);
        if let Some(daemon) = &state.daemon {
            tell_crate(daemon.register(info.clone()));
        }
        state.announced = Some(info);
        self.0.start(&mut state);
        true
    }

    /// Tells from now on who is there, whenever that is another one, and what we are called where that is not as we said.
    pub fn listen(&self, tell: impl Fn(Heard) + Send + Sync + 'static) {
        let mut state = lock(&self.0.state);
        state.tell = Some(Arc::new(tell));
        self.0.start(&mut state);
    }

    /// Who answers until then.
    pub fn look(&self, until: Instant) -> Vec<Neighbour> {
        self.start();
        let mut state = lock(&self.0.state);
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            state = wait_for(&self.0.changed, state, left);
        }
        state.listing.neighbours()
    }

    /// Begins to ask, so that answers are there when somebody wants them; there is room for whoever is called so.
    pub(super) fn expect(&self, host: &Host) {
        let mut state = lock(&self.0.state);
        state.listing.wants(stem(&host.name));
        self.0.start(&mut state);
    }

    /// Begins to ask.
    pub fn start(&self) {
        self.0.start(&mut lock(&self.0.state));
    }

    /// Where those are that are called so, asked for [`ANSWERS`] at most, and any machine of that name. Where one was found and it
    /// could not yet be asked twice, for this machine is busy, for as long again.
    pub(super) fn find(&self, host: &Host) -> Vec<Vec<SocketAddr>> {
        let until = Instant::now() + ANSWERS;
        self.expect(host);
        let machine =
            Some(stem(&host.name)).filter(|stem| host.by == By::Name && stem.len() < host.name.len()).and_then(|stem| {
                let daemon = self.0.daemon(until)?;
                daemon.resolve_hostname(&format!("{stem}.local."), Some(ANSWERS.as_millis() as u64)).ok()
            });
        self.search(host, machine.as_ref(), (until, until + ANSWERS))
    }

    /// Where those are that are called so and listed already, or soon where it is asked only since lately. More may answer.
    pub(super) fn listed(&self, host: &Host) -> Vec<Vec<SocketAddr>> {
        let state = lock(&self.0.state);
        let asked = if state.daemon.is_some() { state.asked } else { Instant::now() };
        drop(state);
        self.search(host, None, (asked + SOON, asked + SOON))
    }

    /// Where those are that are called so, where all of them have answered. Nothing is waited for.
    pub(super) fn settled(&self, host: &Host) -> Vec<Vec<SocketAddr>> {
        let mut state = lock(&self.0.state);
        let called = state.called(host).filter(|called| state.settles(host, called).is_some_and(|at| Instant::now() >= at));
        called.map(|called| state.dial(called)).unwrap_or_default()
    }

    /// Whether another program is listed as this announcement now.
    pub(super) fn is_another(&self, host: &Host) -> bool {
        matches!(host.by, By::Announcement(id) if lock(&self.0.state).listing.is_another(&host.name, id))
    }

    /// Until these moments at most: that somebody is found, and that all are.
    fn search(
        &self,
        host: &Host,
        machine: Option<&Receiver<HostnameResolutionEvent>>,
        (until, all): (Instant, Instant),
    ) -> Vec<Vec<SocketAddr>> {
        let mut addresses: Vec<Address> = Vec::new();
        let mut state = lock(&self.0.state);
        loop {
            let now = Instant::now();
            addresses.extend(machine.iter().flat_map(|machine| machine.try_iter()).flat_map(machine_addresses));
            let places = listing::places(host.port, &addresses);
            let wait = if let Some(called) = state.called(host) {
                let wait = state.settles(host, &called).map_or(all, |at| at.min(all)).saturating_duration_since(now);
                if wait.is_zero() {
                    return state.dial(called);
                }
                wait
            } else if !places.is_empty() {
                return vec![places];
            } else if now >= until || state.ended {
                return Vec::new();
            } else {
                // What is heard of a machine wakes nobody here.
                let most = if machine.is_some() { SETTLES } else { ANSWERS };
                most.min(until - now)
            };
            state = wait_for(&self.0.changed, state, wait);
        }
    }

    /// Says goodbye, and nothing from then on. See [`Leaving::wait`].
    pub fn leave(&self) -> Leaving {
        let mut state = lock(&self.0.state);
        state.ended = true;
        let (daemon, thread) = (state.daemon.take(), state.thread.take());
        drop(state);
        self.0.changed.notify_all();
        let said = daemon.and_then(|daemon| daemon.shutdown().ok());
        Leaving { said, thread, until: Instant::now() + GOODBYE }
    }
}

impl State {
    fn called(&self, host: &Host) -> Option<Called> {
        match host.by {
            By::Announcement(id) => self.listing.instance(&host.name, id),
            By::Name => self.listing.called(stem(&host.name), host.port),
        }
    }

    /// When all have answered who are called so; `None`: it was not asked twice yet. One that was chosen is the only one.
    fn settles(&self, host: &Host, called: &Called) -> Option<Instant> {
        let told = called.since + SETTLES;
        match host.by {
            By::Announcement(_) => Some(told),
            By::Name => self.asked_twice.map(|asked| told.max(asked + ALL_ANSWER)),
        }
    }

    /// Where they are, to be dialled. Of one that is asked for again, which could not be dialled then, it is found out whether it
    /// still answers; whoever does not is not there the next time.
    fn dial(&mut self, called: Called) -> Vec<Vec<SocketAddr>> {
        for (full, daemon) in self.listing.dialled(&called).into_iter().zip(self.daemon.iter().cycle()) {
            tell_crate(daemon.verify(full, DOUBT));
        }
        called.places
    }

    /// The crate says that it asks.
    fn asks(&mut self, now: Instant) {
        self.searches = self.searches.saturating_add(1);
        if self.searches == ASKED_TWICE {
            self.asked_twice = Some(now);
        }
    }
}

/// A goodbye on its way.
pub struct Leaving {
    said: Option<Receiver<DaemonStatus>>,
    thread: Option<Neighbours>,
    until: Instant,
}

impl Leaving {
    /// Waits until it is said, until [`GOODBYE`] after it was begun at most.
    pub fn wait(self) {
        if let Some(said) = self.said {
            let _ = said.recv_deadline(self.until);
        }
        let Some(Neighbours { thread, over }) = self.thread else { return };
        // What holds up the crate may hold it up, too.
        if over.recv_timeout(self.until.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Disconnected) {
            join(thread);
        }
    }
}

/// The name of a program on the machine `kitchen.local` is `kitchen`.
fn stem(name: &str) -> &str {
    let stem = name.len().checked_sub(".local".len()).and_then(|at| name.split_at_checked(at));
    stem.filter(|(_, suffix)| suffix.eq_ignore_ascii_case(".local")).map_or(name, |it| it.0)
}

impl Inner {
    fn start(self: &Arc<Self>, state: &mut State) {
        if state.thread.is_some() || state.ended {
            return;
        }
        let inner = Arc::clone(self);
        let (runs, over) = mpsc::channel();
        let run = move || {
            let _runs = runs;
            inner.run();
        };
        match thread::Builder::new().name("neighbours".into()).spawn(run) {
            Ok(thread) => state.thread = Some(Neighbours { thread, over }),
            Err(error) => tracing::debug!("there is no thread to find others by name: {error}"),
        }
    }

    /// The crate, once it is there.
    fn daemon(&self, until: Instant) -> Option<ServiceDaemon> {
        let mut state = lock(&self.state);
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| state.daemon.is_none() && !state.ended) {
            state = wait_for(&self.changed, state, left);
        }
        state.daemon.clone()
    }

    fn info(&self, announcement: &Announcement) -> Option<ServiceInfo> {
        let Announcement { name, role, offers, wants, keyed, at } = announcement;
        let (ip, instance) = (at.ip(), record::instance(name));
        if ip.is_loopback() || instance.is_empty() {
            return None;
        }
        let record = Record { id: self.id, role: *role, offers: *offers, wants: *wants, keyed: *keyed };
        let [a, b, c, d, ..] = self.id;
        let host = format!("eyeline-{a:02x}{b:02x}{c:02x}{d:02x}.local.");
        let made = if ip.is_unspecified() {
            ServiceInfo::new(SERVICE, instance, &host, "", at.port(), &record.encode()[..]).map(ServiceInfo::enable_addr_auto)
        } else {
            ServiceInfo::new(SERVICE, instance, &host, ip, at.port(), &record.encode()[..]).map(|mut info| {
                info.set_interfaces(vec![IfKind::Addr(ip)]);
                info
            })
        };
        made.inspect_err(|error| tracing::debug!("{instance} cannot be found by name: {error}")).ok()
    }
}

/// What the crate does not take now it does not take; there is another time.
fn tell_crate<T>(told: mdns_sd::Result<T>) {
    if let Err(error) = told {
        tracing::debug!("mDNS: {error}");
    }
}

/// Of a program of ours.
fn service(resolved: &ResolvedService, networks: &Networks) -> Option<Service> {
    let record = Record::decode(|key| resolved.get_property_val_str(key))?;
    let addresses = resolved.addresses.iter().map(|address| networks.address(address)).collect();
    Some(Service { instance: record::instance_of(&resolved.fullname)?, record, port: resolved.port, addresses })
}

fn machine_addresses(event: HostnameResolutionEvent) -> Vec<Address> {
    match event {
        HostnameResolutionEvent::AddressesFound(_, found) => {
            let networks = Networks::now();
            found.iter().map(|address| networks.address(address)).collect()
        }
        _ => Vec::new(),
    }
}

/// Interfaces of this machine that are up and have an address, but for loopback: by their flags.
fn interfaces() -> impl Iterator<Item = InterfaceFlags> {
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    let addressed = getifaddrs().into_iter().flatten().filter(|interface| {
        interface
            .address
            .as_ref()
            .is_some_and(|address| address.as_sockaddr_in().is_some() || address.as_sockaddr_in6().is_some())
    });
    addressed
        .map(|interface| interface.flags)
        .filter(move |flags| flags.contains(up) && !flags.contains(InterfaceFlags::IFF_LOOPBACK))
}

/// What keeps others from being found, as far as this machine's interfaces tell.
pub fn obstacle() -> Option<&'static str> {
    match interfaces().collect::<Vec<_>>()[..] {
        [] => Some("this machine has no network yet"),
        ref some if some.iter().any(|flags| flags.contains(InterfaceFlags::IFF_MULTICAST)) => None,
        _ => Some("this machine's network takes no multicast"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_waits_for_a_thread_that_is_held_up_no_longer_than_for_a_goodbye() {
        let (hold, held) = mpsc::channel::<()>();
        let (runs, over) = mpsc::channel();
        let thread = thread::spawn(move || {
            let _runs = runs;
            let _ = held.recv();
        });
        let (began, until) = (Instant::now(), Instant::now() + GOODBYE);
        Leaving { said: None, thread: Some(Neighbours { thread, over }), until }.wait();
        assert!((GOODBYE..10 * GOODBYE).contains(&began.elapsed()), "{:?}", began.elapsed());
        drop(hold);
    }
}
