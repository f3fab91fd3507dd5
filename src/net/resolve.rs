//! Hosts to addresses, on a thread of their own: `getaddrinfo` blocks for seconds, the net thread never does. A name that no name
//! server knows may be what somebody on this network is called (`discovery.rs`).
//!
//! An address given as such costs no thread. A thread stuck in a name server's silence is left behind at exit; it holds
//! nothing but its channel.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::discovery::{Directory, SOON};
use super::{By, Host, address, shortage};
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::wire::text::printable;

/// How many addresses of one name are tried. A name with more is a load balancer's, not a camera's.
const MOST_ADDRESSES: usize = 8;

/// A name server that says nothing for so long may say nothing for ten seconds more.
const SILENCE: Duration = Duration::from_secs(2);

/// The address, where the host is given as one (`192.168.1.7`, `::1`, `[::1]`).
pub(super) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.parse::<IpAddr>().ok().map(|ip| address::toward_core(SocketAddr::new(ip, port)))
}

type Answer = Result<Vec<SocketAddr>, DialError>;

/// Looks a host up on its own thread and hands the answer, at least one address or why there is none, to `answer`.
pub(super) fn spawn(host: Host, directory: Directory, answer: impl FnOnce(Answer) + Send + 'static) -> io::Result<()> {
    let look = move || match host.by {
        By::Announcement(_) => answer(by_announcement(&host, &directory)),
        By::Name if may_be_neighbour(&host.name) => answer(by_name(&host, &directory)),
        By::Name => answer(look_up(&host.name, host.port)),
    };
    thread::Builder::new().name("resolve".into()).spawn(look)?;
    Ok(())
}

/// Only the program that was chosen: another may have taken its name since.
fn by_announcement(host: &Host, directory: &Directory) -> Answer {
    on_network(host, directory.find(host)).unwrap_or_else(|| {
        let another = "another program is called so on this network now, which was not chosen: choose it if it is the right one";
        Err(nowhere(host, if directory.is_another(host) { another } else { "it is gone from this network" }))
    })
}

/// Whether somebody on this network may be called so: a name without a dot, or one of multicast DNS, or none that name servers
/// take.
pub fn may_be_neighbour(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_one = lower != "localhost" && !lower.strip_suffix(".local").unwrap_or(&lower).contains(['.', ':']);
    is_one || is_of_people(name)
}

/// "Living room", "kitchen (2)": no name server knows a name with such letters, and none is asked.
fn is_of_people(name: &str) -> bool {
    name.chars().any(|letter| !letter.is_alphanumeric() && !matches!(letter, '-' | '.' | '_' | ':' | '%'))
}

/// Name servers first, and behind their addresses the one who is called so on this network, for it may wait on another port than
/// the one that was meant; this network alone where they do not know it, or say nothing for so long that somebody was heard there
/// before. It is asked meanwhile.
fn by_name(host: &Host, directory: &Directory) -> Answer {
    directory.expect(host);
    if is_of_people(&host.name) {
        let why = "nobody of that name answers on this network";
        return on_network(host, directory.find(host)).unwrap_or_else(|| Err(nowhere(host, why)));
    }
    let (tell, told) = mpsc::channel();
    let (name, port) = (host.name.clone(), host.port);
    let servers = thread::Builder::new().name("resolve".into()).spawn(move || {
        // Whoever asked may have found it elsewhere.
        let _ = tell.send(look_up(&name, port));
    });
    if let Err(error) = servers {
        return Err(DialError::Other { host: host.to_string(), why: format!("there is no thread to look it up ({error})") });
    }
    let silent = Instant::now() + SILENCE;
    let known = loop {
        match told.recv_timeout(SOON) {
            Ok(Ok(addresses)) => return Ok(beside(addresses, directory.listed(host))),
            Ok(Err(error)) if error.has_address() => return Err(error),
            Err(RecvTimeoutError::Timeout) if Instant::now() < silent => {
                if let Some(answer) = on_network(host, directory.settled(host)) {
                    return answer;
                }
            }
            known => break known,
        }
    };
    if let Some(answer) = on_network(host, directory.find(host)) {
        return answer;
    }
    let why = "no name server knows it, and nobody of that name answers on this network";
    match known.or_else(|_| told.recv()) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(DialError::UnknownName { .. })) | Err(_) => Err(nowhere(host, why)),
        Ok(Err(error)) => Err(error),
    }
}

/// And where the one is who was found on this network; of several nobody knows which is meant.
fn beside(mut addresses: Vec<SocketAddr>, mut found: Vec<Vec<SocketAddr>>) -> Vec<SocketAddr> {
    if let (Some(places), true) = (found.pop(), found.is_empty()) {
        let more: Vec<_> = places.into_iter().filter(|place| !addresses.contains(place)).collect();
        addresses.extend(more);
    }
    addresses
}

/// Where it is, as it was found on this network; `None` where it is not there.
fn on_network(host: &Host, mut found: Vec<Vec<SocketAddr>>) -> Option<Answer> {
    if found.len() > 1 {
        let places = found.iter().filter_map(|places| places.first()).map(ToString::to_string).collect();
        return Some(Err(DialError::Several { name: host.name.clone(), places }));
    }
    found.pop().map(|places| {
        tracing::debug!("{host} is on this network, at {places:?}");
        Ok(places)
    })
}

fn nowhere(host: &Host, why: &str) -> DialError {
    DialError::UnknownName { name: printable(&host.name), why: why.to_string() }
}

fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let found = (host, port).to_socket_addrs().map_err(|error| not_found(host, &error))?;
    of_use(host, interleave(found.map(address::toward_core)))
}

/// A link-local address without its interface cannot be dialled. A name may have nothing else for a while: its host still waits for
/// another from its network.
fn of_use(name: &str, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, DialError> {
    let name = name.to_string();
    if addresses.is_empty() {
        return Err(DialError::NoAddress { name });
    }
    addresses.retain(|address| without_zone(*address).is_none());
    if addresses.is_empty() { Err(DialError::LinkLocalAlone { name }) } else { Ok(addresses) }
}

fn not_found(name: &str, error: &io::Error) -> DialError {
    if let Some(shortage) = shortage::of(error).or_else(shortage::now) {
        return DialError::Shortage { host: name.to_string(), shortage };
    }
    if let Some((address, zone)) = name.split_once('%')
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return DialError::UnknownZone { zone: zone.to_string(), interfaces: link_local_interfaces() };
    }
    let why = error.to_string();
    let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
    DialError::UnknownName { name: name.to_string(), why: why.to_string() }
}

/// IPv6 and IPv4 in turn, IPv6 first, each in the resolver's order (RFC 8305 §4): one family that is broken costs one head start,
/// however many addresses of it there are.
fn interleave(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut families = [Vec::new(), Vec::new()];
    for address in found {
        let family = &mut families[usize::from(address.is_ipv4())];
        if !family.contains(&address) {
            family.push(address);
        }
    }
    let longest = families[0].len().max(families[1].len());
    (0..longest).flat_map(|at| families.iter().filter_map(move |family| family.get(at))).copied().take(MOST_ADDRESSES).collect()
}

/// What is wrong with a link-local address that names no interface.
pub(super) fn without_zone(address: SocketAddr) -> Option<DialError> {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() && v6.scope_id() == 0 => {
            Some(DialError::NoZone { address: *v6.ip(), interfaces: link_local_interfaces() })
        }
        _ => None,
    }
}

/// Interfaces of this machine that have link-local addresses, so that one can be reached there.
fn link_local_interfaces() -> Vec<String> {
    // Address, index, length of prefix, scope, flags, name; scope 20 is the link.
    let table = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut names: Vec<String> = table
        .lines()
        .filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, _, _, "20", _, name] => Some(name.to_string()),
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddrV6;

    #[test]
    fn link_local_addresses_of_a_name_are_left_out_and_no_end_where_there_is_no_other() {
        let [local, other]: [SocketAddr; 2] = ["[fe80::1]:7", "10.0.0.1:7"].map(|address| address.parse().expect("an address"));
        assert_eq!(of_use("robot.local", vec![local, other]), Ok(vec![other]));
        let alone = of_use("robot.local", vec![local]).expect_err("nothing to dial");
        assert!(matches!(alone, DialError::LinkLocalAlone { .. }) && !alone.is_final(), "it may have another in a moment");
    }

    #[test]
    fn who_is_called_so_on_this_network_is_tried_behind_the_addresses_that_name_servers_know_unless_several_are() {
        let [known, other, third]: [SocketAddr; 3] =
            ["10.0.0.1:9688", "10.0.0.1:7", "10.0.0.2:7"].map(|at| at.parse().expect("an address"));
        assert_eq!(beside(vec![known], vec![vec![known, other]]), [known, other]);
        assert_eq!(beside(vec![known], vec![vec![other], vec![third]]), [known]);
        assert_eq!(beside(vec![known], Vec::new()), [known]);
        let names = ["kitchen", "kitchen.local", "localhost", "LocalHost", "kitchen.lan", "::1", "fe80::1%eth0"];
        assert_eq!(names.map(may_be_neighbour), [true, true, false, false, false, false, false]);
        assert!(["Living room", "kitchen (2)", "St. John"].iter().all(|name| may_be_neighbour(name) && is_of_people(name)));
    }

    #[test]
    fn addresses_are_understood_with_and_without_brackets_and_names_are_not_taken_for_them() {
        assert_eq!(literal("127.0.0.1", 7), Some("127.0.0.1:7".parse().expect("an address")));
        assert_eq!(literal("::1", 7), Some("[::1]:7".parse().expect("an address")));
        assert_eq!(literal("[::1]", 7), Some("[::1]:7".parse().expect("an address")));
        assert_eq!(literal("::ffff:10.0.0.1", 7), Some("10.0.0.1:7".parse().expect("an address")));
        assert_eq!(literal("camera", 7), None);
    }

    #[test]
    fn localhost_is_found_without_doubles_and_nonsense_gives_a_sentence() {
        let mut found = look_up("localhost", 7).expect("every machine has it");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{found:?}");
        let len = found.len();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), len);
        let error = look_up("no-such-host.invalid", 7).expect_err("reserved never to exist");
        assert!(matches!(&error, DialError::UnknownName { name, .. } if name == "no-such-host.invalid"), "{error:?}");
    }

    #[test]
    fn addresses_are_tried_ipv6_first_and_the_families_in_turn() {
        let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), 7);
        let found = ["10.0.0.1", "10.0.0.2", "10.0.0.1", "2001:db8::1", "2001:db8::2", "10.0.0.3"].map(at);
        let expected = ["2001:db8::1", "10.0.0.1", "2001:db8::2", "10.0.0.2", "10.0.0.3"].map(at);
        assert_eq!(interleave(found.into_iter()), expected);
        let many = (1..=20).map(|n| at(&format!("10.0.0.{n}")));
        assert_eq!(interleave(many).len(), MOST_ADDRESSES);
    }

    #[test]
    fn a_link_local_address_wants_its_interface_and_one_that_is_not_there_is_named() {
        let bare = literal("fe80::1", 7).expect("an address");
        assert!(matches!(without_zone(bare), Some(DialError::NoZone { .. })));
        let zoned = SocketAddrV6::new("fe80::1".parse().expect("an address"), 7, 0, 2).into();
        assert_eq!((without_zone(zoned), without_zone(literal("::1", 7).expect("an address"))), (None, None));
        let error = look_up("fe80::1%no-such-if0", 7).expect_err("there is no such interface");
        assert!(matches!(&error, DialError::UnknownZone { zone, .. } if zone == "no-such-if0"), "{error:?}");
    }
}
