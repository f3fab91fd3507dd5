//! Found by name: a waiting program says on its network what it is called and where it waits, and finds the others that do
//! (multicast DNS, RFC 6762, and DNS-SD, RFC 6763; the crate `mdns-sd` speaks both).
//!
//! One [`Directory`] a run. Its first use starts the crate's thread and one of ours, `neighbours`, which keeps the [`listing`] up to
//! date; who neither says nor asks anything starts none. Nothing here is waited for but in [`Directory::find`], on a thread that looks
//! a name up, and at the end, for [`GOODBYE`] at most. Where there is no network, no multicast or no way to port 5353, nothing is
//! found, and nothing fails.
//!
//! Our records have a host name of their own, so that no clash of names touches the machine's. Loopback is left out where there is
//! another interface: two programs of one name would stand there as one.
//!
//! Capacity: the listing's; the crate keeps whatever records strangers send, so that with more than [`MOST_RECORDS`] it is ended and
//! begun anew after [`REST`].

mod check;
mod listing;
mod record;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mdns_sd::{
    DaemonEvent, DaemonStatus, HostnameResolutionEvent, IfKind, RRType, Receiver, RecvTimeoutError, ResolvedService, ScopedIp,
    ServiceDaemon, ServiceEvent, ServiceInfo,
};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::{By, Host};
use crate::threads::{join, lock, wait_for};
pub use check::is_heard;
use eyeline_proto::crypto;
use eyeline_proto::wire::record::Media;
use listing::{Listing, Service};
pub use listing::{MOST, Neighbour};
pub use record::Role;
use record::{Id, Record, SERVICE};

/// How long the goodbye may hold up the end.
pub const GOODBYE: Duration = Duration::from_millis(200);

/// Who is there has answered by then: half a second after its start a program waits to be asked, and answers within a tenth.
pub const ANSWERS: Duration = Duration::from_millis(1500);

/// Addresses of one program come one by one, in packets right behind each other.
const SETTLES: Duration = Duration::from_millis(150);

/// Who is called so, too, has answered so long after it was asked first: one answer is not the only one.
const ALL_ANSWER: Duration = Duration::from_millis(400);

/// So often it is looked for another address of this machine; the crate's own 5 s are long for who walks from Wi-Fi to a cable.
const ADDRESS_CHECK_SECONDS: u32 = 2;

/// Who was dialled in vain and does not answer for so long is not there.
const DOUBT: Duration = Duration::from_secs(2);

/// So often it is looked how many records there are, and whether another has our name.
const TICK: Duration = Duration::from_secs(1);

/// Sixteen for each program there is room for, and as many for whatever else is on the network.
const MOST_RECORDS: i64 = 32 * MOST as i64;

/// For so long nobody is found where somebody floods the network.
const REST: Duration = Duration::from_secs(60);

/// What the crate counts of records it keeps.
const RECORDS: [&str; 6] = ["cached-ptr", "cached-srv", "cached-addr", "cached-txt", "cached-nsec", "cached-subtype"];

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
    thread: Option<JoinHandle<()>>,
    ended: bool,
    listing: Listing,
    announced: Option<ServiceInfo>,
    tell: Option<Tell>,
}

/// What the crate tells of.
struct Open {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    monitor: Receiver<DaemonEvent>,
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
        let state =
            State { daemon: None, asked: Instant::now(), thread: None, ended: false, listing, announced: None, tell: None };
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

    /// Begins to ask, so that answers are there when somebody wants them.
    pub fn start(&self) {
        self.0.start(&mut lock(&self.0.state));
    }

    /// Where those are that are called so, asked for [`ANSWERS`] at most. Of one that is asked for again, which could not be dialled
    /// then, it is found out whether it still answers; whoever does not is not there the next time.
    pub(super) fn find(&self, host: &Host) -> Vec<Vec<SocketAddr>> {
        let until = Instant::now() + ANSWERS;
        self.start();
        let stem = host.name.to_lowercase().strip_suffix(".local").map(str::to_string);
        let machine = stem.as_ref().and_then(|stem| {
            let daemon = self.0.daemon(until)?;
            daemon.resolve_hostname(&format!("{stem}.local."), Some(ANSWERS.as_millis() as u64)).ok()
        });
        let mut addresses: Vec<(IpAddr, u32)> = Vec::new();
        let mut state = lock(&self.0.state);
        loop {
            let called = match host.by {
                By::Announcement => state.listing.instance(&host.name),
                By::Name => state.listing.called(stem.as_ref().unwrap_or(&host.name), host.port),
            };
            let now = Instant::now();
            addresses.extend(machine.iter().flat_map(|machine| machine.try_iter()).flat_map(machine_addresses));
            if let Some(called) = called {
                let wait = (called.since + SETTLES).max(state.asked + ALL_ANSWER).min(until).saturating_duration_since(now);
                if wait.is_zero() {
                    for (full, daemon) in called.again.into_iter().zip(state.daemon.iter().cycle()) {
                        tell_crate(daemon.verify(full, DOUBT));
                    }
                    return called.places;
                }
                state = wait_for(&self.0.changed, state, wait);
            } else if !addresses.is_empty() {
                return vec![listing::places(host.port, &addresses)];
            } else if now >= until || state.ended {
                return Vec::new();
            } else {
                // What is heard of a machine wakes nobody here.
                let most = if machine.is_some() { SETTLES } else { ANSWERS };
                state = wait_for(&self.0.changed, state, most.min(until - now));
            }
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

/// A goodbye on its way.
pub struct Leaving {
    said: Option<Receiver<DaemonStatus>>,
    thread: Option<JoinHandle<()>>,
    until: Instant,
}

impl Leaving {
    /// Waits until it is said, until [`GOODBYE`] after it was begun at most.
    pub fn wait(self) {
        let said = self.said.is_none_or(|said| said.recv_deadline(self.until).is_ok());
        // Else it may be held up by what holds up the crate.
        if let Some(thread) = self.thread.filter(|_| said) {
            join(thread);
        }
    }
}

impl Inner {
    fn start(self: &Arc<Self>, state: &mut State) {
        if state.thread.is_some() || state.ended {
            return;
        }
        let inner = Arc::clone(self);
        match thread::Builder::new().name("neighbours".into()).spawn(move || inner.run()) {
            Ok(thread) => state.thread = Some(thread),
            Err(error) => tracing::debug!("there is no thread to find others by name: {error}"),
        }
    }

    fn run(&self) {
        while let Some(open) = self.open() {
            if self.follow(&open) == Ended::Left {
                return;
            }
            tracing::warn!("this network is flooded with mDNS: nobody is found by name for a minute");
            tell_crate(open.daemon.shutdown());
            let mut state = lock(&self.state);
            (state.daemon, _) = (None, state.listing.clear());
            self.tell_neighbours(&state);
            let until = Instant::now() + REST;
            while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| !state.ended) {
                state = wait_for(&self.changed, state, left);
            }
        }
    }

    fn open(&self) -> Option<Open> {
        let mut state = lock(&self.state);
        if state.ended {
            return None;
        }
        let opened = ServiceDaemon::new().and_then(|daemon| {
            if interfaces().next().is_some() {
                daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
            }
            daemon.set_ip_check_interval(ADDRESS_CHECK_SECONDS)?;
            let monitor = daemon.monitor()?;
            if let Some(info) = &state.announced {
                daemon.register(info.clone())?;
            }
            let events = daemon.browse(SERVICE)?;
            Ok(Open { daemon, events, monitor })
        });
        match opened {
            Ok(open) => {
                (state.daemon, state.asked) = (Some(open.daemon.clone()), Instant::now());
                self.changed.notify_all();
                Some(open)
            }
            Err(error) => {
                tracing::debug!("nobody is found by name: {error}");
                None
            }
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

    /// Keeps the listing up to date until it is over, or too much; tells of it once it has settled.
    fn follow(&self, open: &Open) -> Ended {
        let (mut next, mut settled) = (Instant::now() + TICK, None::<Instant>);
        loop {
            match open.events.recv_deadline(settled.unwrap_or(next).min(next)) {
                Ok(event) if self.take(&event) => settled = Some(Instant::now() + SETTLES),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if lock(&self.state).ended => return Ended::Left,
                // It fell behind, and is told no more.
                Err(RecvTimeoutError::Disconnected) => return Ended::Flooded,
            }
            let now = Instant::now();
            if settled.is_some_and(|settled| now >= settled.min(next)) {
                settled = None;
                self.tell_neighbours(&lock(&self.state));
            }
            if now >= next {
                next = now + TICK;
                open.monitor.try_iter().for_each(|event| self.take_name(event));
                if records(&open.daemon) > MOST_RECORDS {
                    return Ended::Flooded;
                }
            }
        }
    }

    /// Whether the listing is another one now.
    fn take(&self, event: &ServiceEvent) -> bool {
        let mut state = lock(&self.state);
        let changed = match event {
            ServiceEvent::ServiceResolved(resolved) => {
                service(resolved).is_some_and(|service| state.listing.resolved(Instant::now(), &resolved.fullname, service))
            }
            ServiceEvent::ServiceRemoved(_, full) => state.listing.removed(full),
            _ => false,
        };
        if changed {
            self.changed.notify_all();
        }
        changed
    }

    fn take_name(&self, event: DaemonEvent) {
        match event {
            DaemonEvent::NameChange(change) if change.rr_type == RRType::SRV => {
                let state = lock(&self.state);
                if let (Some(name), Some(tell)) = (record::instance_of(&change.new_name), &state.tell) {
                    tell(Heard::Renamed(name));
                }
            }
            DaemonEvent::Error(error) => tracing::debug!("mDNS: {error}"),
            _ => {}
        }
    }

    fn tell_neighbours(&self, state: &MutexGuard<'_, State>) {
        if let Some(tell) = &state.tell {
            tell(Heard::Neighbours(state.listing.neighbours()));
        }
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

#[derive(PartialEq, Eq)]
enum Ended {
    Left,
    Flooded,
}

/// What the crate does not take now it does not take; there is another time.
fn tell_crate<T>(told: mdns_sd::Result<T>) {
    if let Err(error) = told {
        tracing::debug!("mDNS: {error}");
    }
}

fn records(daemon: &ServiceDaemon) -> i64 {
    let counted = daemon.get_metrics().ok().and_then(|metrics| metrics.recv_timeout(TICK).ok()).unwrap_or_default();
    RECORDS.iter().filter_map(|name| counted.get(*name)).sum()
}

/// Of a program of ours.
fn service(resolved: &ResolvedService) -> Option<Service> {
    let record = Record::decode(|key| resolved.get_property_val_str(key))?;
    let addresses = resolved.addresses.iter().map(address).collect();
    Some(Service { instance: record::instance_of(&resolved.fullname)?, record, port: resolved.port, addresses })
}

fn address(scoped: &ScopedIp) -> (IpAddr, u32) {
    match scoped {
        ScopedIp::V6(v6) => (IpAddr::V6(*v6.addr()), v6.scope_id().index),
        other => (other.to_ip_addr(), 0),
    }
}

fn machine_addresses(event: HostnameResolutionEvent) -> Vec<(IpAddr, u32)> {
    match event {
        HostnameResolutionEvent::AddressesFound(_, found) => found.iter().map(address).collect(),
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
