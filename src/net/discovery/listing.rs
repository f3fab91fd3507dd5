//! Who is on this network, as far as mDNS tells: pure, told of each record that came and of each that is gone.
//!
//! A service is resolved again whenever another of its records comes, each time with all that is known of it, so the newest
//! counts. Nothing of it proves anything: who was killed stays listed until its records grow old, and anybody may say anything.
//!
//! Capacity: [`MOST`] programs, each with [`MOST_ADDRESSES`] addresses; of more the rest is not listed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Instant;

use super::record::{Id, Record, Role};
use eyeline_proto::wire::record::Media;
use eyeline_proto::wire::text::printable;

/// More than a class has, and no window lists them all.
pub const MOST: usize = 64;

/// A program on a machine with more networks than this is reached by one of the first.
const MOST_ADDRESSES: usize = 8;

/// Letters of a name that are shown.
const MOST_LETTERS: usize = 40;

/// What mDNS says of one service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name, without that of the kind of service.
    pub instance: String,
    pub record: Record,
    pub port: u16,
    pub addresses: Vec<Address>,
}

/// An address that somebody says to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub ip: IpAddr,
    /// The interface where it was heard of, which counts for link-local ones; 0 where that is not known.
    pub interface: u32,
    /// It is of a network of ours; for one of loopback: it was heard of there.
    pub near: bool,
}

/// A program of ours that waits on this network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// What its service is called: by this it is looked up.
    pub instance: String,
    /// The same for people: printable, and not long.
    pub name: String,
    pub id: Id,
    pub role: Role,
    pub offers: Media,
    /// Who has no key is not let in.
    pub keyed: bool,
    /// Where it can be dialled, the most promising first; not empty.
    pub places: Vec<SocketAddr>,
}

/// See the module text.
#[derive(Debug)]
pub struct Listing {
    own: Id,
    /// What we have, and what we want.
    ours: (Media, Media),
    /// By their full names, in small letters.
    listed: BTreeMap<String, Listed>,
    /// For those who are called so there is always room, in small letters: whom we were told to dial.
    wanted: Vec<String>,
    /// There was no room for somebody.
    refused: bool,
    /// Who is wanted now may be among them.
    missed: bool,
}

#[derive(Debug)]
struct Listed {
    /// As it came: the crate knows it by no other case of its letters.
    full: String,
    neighbour: Neighbour,
    /// It has what we want, or wants what we have.
    useful: bool,
    /// When something else was said of it last.
    since: Instant,
    /// How often somebody was told to dial it since.
    asked: u32,
    /// The crate that told of it is no more.
    doubted: bool,
}

/// Who is called so.
#[derive(Debug, PartialEq, Eq)]
pub struct Called {
    /// Where each of them is.
    pub places: Vec<Vec<SocketAddr>>,
    /// When something else was said of one of them last.
    pub since: Instant,
    /// By what they are listed.
    keys: Vec<String>,
}

impl Listing {
    /// Of a program that says `own` of itself, has something for others and wants something of them.
    pub fn new(own: Id, offers: Media, wants: Media) -> Listing {
        let listed = BTreeMap::new();
        Listing { own, ours: (offers, wants), listed, wanted: Vec::new(), refused: false, missed: false }
    }

    /// There is to be room for who is called so.
    pub fn wants(&mut self, name: &str) {
        let name = name.to_lowercase();
        if !self.wanted.contains(&name) {
            self.missed = self.refused;
            self.wanted.push(name);
        }
    }

    /// Whether all is to be told again, for somebody had no room and would have it now.
    pub fn asks_again(&mut self) -> bool {
        let asks = self.refused && (self.missed || self.listed.len() < MOST);
        (self.refused, self.missed) = (self.refused && !asks, false);
        asks
    }

    /// Room for one more: who is of no use to us goes, and for who is wanted anybody else. Whether there is some.
    fn make_room(&mut self, useful: bool, wanted: bool) -> bool {
        if self.listed.len() < MOST {
            return true;
        }
        self.refused = true;
        let least = self.listed.iter().filter(|(_, listed)| !self.is_wanted(&listed.neighbour.instance));
        let least = least.min_by_key(|(_, listed)| listed.useful).filter(|(_, listed)| wanted || useful && !listed.useful);
        let least = least.map(|(key, _)| key.clone());
        least.is_some_and(|key| self.listed.remove(&key).is_some())
    }

    fn is_wanted(&self, instance: &str) -> bool {
        self.wanted.iter().any(|name| is_called(instance, name))
    }

    /// A service is there, or something else is known of it. Whether the list is another one.
    pub fn resolved(&mut self, now: Instant, full: &str, service: Service) -> bool {
        let key = full.to_lowercase();
        let places = places(service.port, &service.addresses);
        if service.record.id == self.own || places.is_empty() {
            return self.listed.remove(&key).is_some();
        }
        let Service { instance, record: Record { id, role, offers, wants, keyed }, .. } = service;
        let name = shown(&instance);
        // A call passes on what others bring.
        let brings = if role == Role::Call { Media::LIVE } else { offers };
        let useful = meets(self.ours.0, wants) || meets(brings, self.ours.1);
        if !self.listed.contains_key(&key) && !self.make_room(useful, self.is_wanted(&instance)) {
            return false;
        }
        let neighbour = Neighbour { instance, name, id, role, offers, keyed, places };
        if let Some(listed) = self.listed.get_mut(&key).filter(|listed| listed.neighbour == neighbour) {
            listed.full = full.to_string();
            listed.doubted = false;
            return false;
        }
        self.listed.insert(key, Listed { full: full.to_string(), neighbour, useful, since: now, asked: 0, doubted: false });
        true
    }

    /// A service said goodbye, or grew old. Whether the list is another one.
    pub fn removed(&mut self, full: &str) -> bool {
        self.listed.remove(&full.to_lowercase()).is_some()
    }

    /// Whoever tells is another from now on.
    pub fn doubts(&mut self) {
        self.listed.values_mut().for_each(|listed| listed.doubted = true);
    }

    /// All who are there have been told of again by now. Whether the list is another one.
    pub fn believes(&mut self) -> bool {
        let before = self.listed.len();
        self.listed.retain(|_, listed| !listed.doubted);
        self.listed.len() != before
    }

    /// Nothing is known any more.
    pub fn clear(&mut self) {
        self.listed.clear();
    }

    /// Those that are of use to us.
    pub fn neighbours(&self) -> Vec<Neighbour> {
        self.listed.values().filter(|listed| listed.useful).map(|listed| listed.neighbour.clone()).collect()
    }

    /// Who is called so, whatever the case of its letters, and whatever number was put behind it because another is, too. Where
    /// that leaves a choice, those who wait on this port, and those of use to us.
    pub fn called(&self, name: &str, port: u16) -> Option<Called> {
        let name = name.to_lowercase();
        let mut found: Vec<(&String, &Listed)> =
            self.listed.iter().filter(|(_, listed)| is_called(&listed.neighbour.instance, &name)).collect();
        prefer(&mut found, |listed| listed.useful);
        prefer(&mut found, |listed| listed.neighbour.places.iter().any(|place| place.port() == port));
        Called::of(found)
    }

    /// The one of exactly this name, as long as it is the same program.
    pub fn instance(&self, instance: &str, id: Id) -> Option<Called> {
        let is_it = |listed: &Listed| listed.neighbour.instance == instance && listed.neighbour.id == id;
        Called::of(self.listed.iter().filter(|(_, listed)| is_it(listed)).collect())
    }

    /// Whether exactly this name is another program's.
    pub fn is_another(&self, instance: &str, id: Id) -> bool {
        self.listed.values().any(|listed| listed.neighbour.instance == instance && listed.neighbour.id != id)
    }

    /// Somebody is told to dial these. The full names of those of which he is told for the second time since something else was
    /// said of them; later times say nothing more.
    pub fn dialled(&mut self, called: &Called) -> Vec<String> {
        let mut again = Vec::new();
        for key in &called.keys {
            let Some(listed) = self.listed.get_mut(key) else { continue };
            listed.asked = listed.asked.saturating_add(1);
            if listed.asked == 2 {
                again.push(listed.full.clone());
            }
        }
        again
    }
}

impl Called {
    /// One program may be listed twice, as `kitchen` and as `kitchen (2)`, where another has its name on one of its networks
    /// alone.
    fn of(found: Vec<(&String, &Listed)>) -> Option<Called> {
        let since = found.iter().map(|(_, listed)| listed.since).max()?;
        let mut programs: Vec<(Id, Vec<SocketAddr>)> = Vec::new();
        for Neighbour { id, places, .. } in found.iter().map(|(_, listed)| &listed.neighbour) {
            match programs.iter_mut().find(|program| program.0 == *id) {
                Some((_, known)) => {
                    let more: Vec<_> = places.iter().filter(|place| !known.contains(place)).copied().collect();
                    known.extend(more);
                    known.truncate(MOST_ADDRESSES);
                }
                None => programs.push((*id, places.clone())),
            }
        }
        let places = programs.into_iter().map(|program| program.1).collect();
        Some(Called { places, since, keys: found.into_iter().map(|(key, _)| key.clone()).collect() })
    }
}

/// Only those of which this is so, if there are any.
fn prefer(found: &mut Vec<(&String, &Listed)>, is: impl Fn(&Listed) -> bool) {
    if found.iter().any(|(_, listed)| is(listed)) {
        found.retain(|(_, listed)| is(listed));
    }
}

fn meets(offers: Media, wants: Media) -> bool {
    (offers.pictures && wants.pictures) || (offers.sound && wants.sound)
}

/// Whether an instance is called so, in small letters, but for a number behind it.
fn is_called(instance: &str, name: &str) -> bool {
    let instance = instance.to_lowercase();
    instance == name || without_number(&instance) == name
}

/// `kitchen` of `kitchen (2)`.
fn without_number(instance: &str) -> &str {
    let number = instance.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    number
        .filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
        .map_or(instance, |it| it.0)
}

fn shown(instance: &str) -> String {
    let letters = printable(instance.trim());
    match letters.char_indices().nth(MOST_LETTERS) {
        Some((at, _)) => format!("{}…", &letters[..at]),
        None => letters,
    }
}

/// Where to dial. Loopback is of use only where there is nothing else and it was heard of there: a machine that says so to others
/// would have each of them dial itself. IPv4 first, for most know their machines by it, link-local addresses behind all others,
/// and last whatever is of no network of ours: anybody may send everybody there.
pub fn places(port: u16, addresses: &[Address]) -> Vec<SocketAddr> {
    let place = |Address { ip, interface, near }: &Address| match ip {
        _ if port == 0 || ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() && !near => None,
        IpAddr::V4(v4) => (!v4.is_broadcast()).then(|| SocketAddr::new(*ip, port)),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            (*interface != 0).then(|| SocketAddrV6::new(*v6, port, 0, *interface).into())
        }
        IpAddr::V6(_) => Some(SocketAddr::new(*ip, port)),
    };
    let mut places: Vec<(bool, SocketAddr)> = addresses.iter().filter_map(|at| Some((!at.near, place(at)?))).collect();
    if places.iter().any(|(_, place)| !place.ip().is_loopback()) {
        places.retain(|(_, place)| !place.ip().is_loopback());
    }
    let is_local = |place: &SocketAddr| matches!(place.ip(), IpAddr::V6(v6) if v6.is_unicast_link_local());
    places.sort_by_key(|(far, place)| (*far, is_local(place), place.is_ipv6(), *place));
    let mut places: Vec<SocketAddr> = places.into_iter().map(|(_, place)| place).collect();
    places.dedup();
    places.truncate(MOST_ADDRESSES);
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OWN: Id = [9; 8];

    fn listing() -> Listing {
        Listing::new(OWN, Media::NONE, Media::LIVE)
    }

    fn service(instance: &str, id: u8, addresses: &[&str]) -> Service {
        let record = Record { id: [id; 8], role: Role::Send, offers: Media::LIVE, wants: Media::NONE, keyed: false };
        let address = |text: &&str| Address { ip: text.parse().expect("an address"), interface: 3, near: true };
        Service { instance: instance.into(), record, port: 9688, addresses: addresses.iter().map(address).collect() }
    }

    fn full(instance: &str) -> String {
        format!("{instance}._eyeline._tcp.local.")
    }

    /// The list after these came.
    fn with(services: &[Service]) -> Listing {
        let mut listing = listing();
        for service in services {
            listing.resolved(Instant::now(), &full(&service.instance), service.clone());
        }
        listing
    }

    fn texts(places: &[SocketAddr]) -> Vec<String> {
        places.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_trickles_in_is_one_entry_and_the_newest_counts() {
        let (mut listing, now) = (listing(), Instant::now());
        assert!(listing.resolved(now, &full("Lab"), service("Lab", 1, &["fe80::1"])));
        assert!(listing.resolved(now, &full("lab"), service("Lab", 1, &["fe80::1", "10.0.0.1", "fd00::1", "127.0.0.1"])));
        assert!(
            !listing.resolved(now, &full("lab"), service("Lab", 1, &["127.0.0.1", "10.0.0.1", "fd00::1", "fe80::1"])),
            "no news"
        );
        let listed = listing.neighbours();
        assert_eq!(listed.len(), 1);
        assert_eq!(texts(&listed[0].places), ["10.0.0.1:9688", "[fd00::1]:9688", "[fe80::1%3]:9688"]);
        assert!(listing.resolved(now, &full("lab"), service("Lab", 1, &["10.0.0.9"])), "its address is another");
        assert_eq!(texts(&listing.neighbours()[0].places), ["10.0.0.9:9688"]);
        assert!(listing.removed(&full("LAB")) && !listing.removed(&full("lab")) && listing.neighbours().is_empty());
    }

    #[test]
    fn loopback_counts_where_there_is_nothing_else_and_what_cannot_be_dialled_never() {
        let address = |(ip, interface): &(&str, u32)| {
            let ip: IpAddr = ip.parse().expect("an address");
            let near = if ip.is_loopback() { *interface == 1 } else { !ip.to_string().starts_with("192.0.2.") };
            Address { ip, interface: *interface, near }
        };
        let of = |addresses: &[(&str, u32)]| texts(&places(7, &addresses.iter().map(address).collect::<Vec<_>>()));
        assert_eq!(of(&[("127.0.0.1", 2), ("::1", 2)]), [""; 0], "who hears that elsewhere is not to dial himself");
        assert_eq!(
            of(&[("192.0.2.1", 2), ("fe80::7", 2), ("10.0.0.1", 2)]),
            ["10.0.0.1:7", "[fe80::7%2]:7", "192.0.2.1:7"],
            "a network of ours before any other"
        );
        assert_eq!(of(&[("127.0.0.1", 1), ("::1", 1)]), ["127.0.0.1:7", "[::1]:7"]);
        assert_eq!(of(&[("127.0.0.1", 1), ("fe80::7", 2)]), ["[fe80::7%2]:7"]);
        assert_eq!(of(&[("fe80::7", 0), ("0.0.0.0", 1), ("224.0.0.251", 1), ("255.255.255.255", 1), ("ff02::fb", 1)]), [""; 0]);
        let many: Vec<_> = (0..50).map(|n| Address { ip: IpAddr::from([10, 0, 0, n]), interface: 1, near: true }).collect();
        assert_eq!((places(7, &many).len(), places(0, &many).len()), (MOST_ADDRESSES, 0));
    }

    #[test]
    fn we_ourselves_and_who_is_of_no_use_to_us_are_not_listed() {
        let watcher = |id| {
            let record = Record { role: Role::Recv, offers: Media::NONE, wants: Media::LIVE, ..service("", id, &[]).record };
            Service { record, ..service("desk", id, &["10.0.0.2"]) }
        };
        assert!(with(&[service("lab", 9, &["10.0.0.1"]), watcher(1)]).neighbours().is_empty());
        let point = Record { role: Role::Call, offers: Media::NONE, ..service("", 2, &[]).record };
        assert_eq!(
            with(&[Service { record: point, ..service("hub", 2, &["10.0.0.3"]) }]).neighbours().len(),
            1,
            "others send there"
        );
        let mut sends = Listing::new(OWN, Media::LIVE, Media::NONE);
        sends.resolved(Instant::now(), &full("desk"), watcher(1));
        assert_eq!(sends.neighbours().len(), 1, "it wants what we have");
        assert!(with(&[watcher(1)]).called("desk", 9688).is_some(), "who is asked for by name says himself why not");
    }

    #[test]
    fn a_name_is_found_whatever_its_case_and_all_who_are_called_so_are_told() {
        let mut listing = with(&[service("Kitchen", 1, &["10.0.0.1"]), service("lab", 2, &["10.0.0.2"])]);
        let found = |listing: &Listing, name, port| listing.called(name, port).map(|called| called.places.len());
        assert_eq!((found(&listing, "kitchen", 9688), found(&listing, "attic", 9688)), (Some(1), None));
        assert_eq!(found(&listing, "kitchen", 7), Some(1), "it waits where it says");
        let second = Service { port: 7, ..service("kitchen (2)", 3, &["10.0.0.3"]) };
        listing.resolved(Instant::now(), &full("kitchen (2)"), second);
        assert_eq!((found(&listing, "KITCHEN", 9688), found(&listing, "kitchen", 7)), (Some(1), Some(1)), "by its port");
        assert_eq!(found(&listing, "kitchen", 8), Some(2));
        let instance = |name, id| listing.instance(name, [id; 8]).map(|called| texts(&called.places[0]));
        assert_eq!(instance("kitchen (2)", 3), Some(vec!["10.0.0.3:7".to_string()]));
        assert_eq!((instance("kitchen", 1), instance("kitchen (2)", 1)), (None, None), "exactly");
        assert!(listing.is_another("kitchen (2)", [1; 8]) && !listing.is_another("kitchen (2)", [3; 8]));
        assert_eq!(["a (2)", "a (b)", "a ()", "(2)", "a(2)"].map(without_number), ["a", "a (b)", "a ()", "(2)", "a(2)"]);
    }

    #[test]
    fn who_is_asked_for_again_is_doubted_until_something_else_is_said_of_him() {
        let (mut listing, start) = (with(&[service("Lab", 1, &["10.0.0.1"])]), Instant::now());
        let called = |listing: &Listing| listing.called("lab", 9688).expect("it is listed");
        // Whoever waits for one to settle asks many times, and dials once.
        let once = [(); 9].map(|()| called(&listing)).into_iter().next_back().expect("nine");
        let asked = [(); 3].map(|()| listing.dialled(&once));
        assert_eq!(
            asked,
            [vec![], vec![full("Lab")], vec![]],
            "as it came, and once, or the network would be asked with each dial"
        );
        let later = start + Duration::from_secs(5);
        listing.resolved(later, &full("Lab"), service("Lab", 2, &["10.0.0.1"]));
        let newer = called(&listing);
        assert_eq!((newer.since, listing.dialled(&newer)), (later, vec![]));
    }

    #[test]
    fn who_is_not_told_of_again_is_gone() {
        let mut listing = with(&[service("lab", 1, &["10.0.0.1"]), service("attic", 2, &["10.0.0.2"])]);
        listing.doubts();
        assert_eq!(listing.neighbours().len(), 2, "until then nothing is another");
        assert!(!listing.resolved(Instant::now(), &full("lab"), service("lab", 1, &["10.0.0.1"])));
        assert!(listing.believes() && !listing.believes());
        assert_eq!(listing.neighbours().into_iter().map(|one| one.name).collect::<Vec<_>>(), ["lab"]);
    }

    #[test]
    fn a_program_with_two_names_is_one() {
        let listing = with(&[service("kitchen", 1, &["10.0.0.1"]), service("kitchen (2)", 1, &["10.0.0.1", "10.1.0.1"])]);
        let called = listing.called("kitchen", 9688).expect("it is listed");
        assert_eq!(called.places.iter().map(|places| texts(places)).collect::<Vec<_>>(), [["10.0.0.1:9688", "10.1.0.1:9688"]]);
    }

    #[test]
    fn a_name_that_would_hide_something_or_fill_a_screen_is_shown_otherwise_and_there_are_never_many() {
        let listing = with(&[service("\u{1b}[2Jlab\u{202e}\n", 1, &["10.0.0.1"]), service(&"x".repeat(63), 2, &["10.0.0.1"])]);
        let names: Vec<_> = listing.neighbours().into_iter().map(|neighbour| neighbour.name).collect();
        assert_eq!(names, ["\u{fffd}[2Jlab\u{fffd}".to_string(), format!("{}…", "x".repeat(MOST_LETTERS))]);
        let mut listing = listing;
        for n in 0..10 * MOST {
            listing.resolved(Instant::now(), &full(&n.to_string()), service(&n.to_string(), 1, &["10.0.0.1"]));
        }
        assert_eq!(listing.neighbours().len(), MOST);
        assert!(listing.resolved(Instant::now(), &full("0"), service("0", 1, &["10.0.0.7"])), "who is listed may say more");
    }

    #[test]
    fn where_there_is_no_room_who_is_of_use_has_it_and_who_is_wanted_before_all() {
        let mut listing = listing();
        let hears = |listing: &mut Listing, service: &Service| {
            listing.resolved(Instant::now(), &full(&service.instance), service.clone())
        };
        let useless = |n: usize| {
            let record = Record { role: Role::Recv, offers: Media::NONE, ..service("", 1, &[]).record };
            Service { record, ..service(&format!("useless {n}"), 1, &["10.0.0.1"]) }
        };
        (0..2 * MOST).for_each(|n| _ = hears(&mut listing, &useless(n)));
        assert!(listing.neighbours().is_empty());
        (0..2 * MOST).for_each(|n| _ = hears(&mut listing, &service(&format!("x{n}"), 1, &["10.0.0.1"])));
        assert_eq!(listing.neighbours().len(), MOST);
        let kitchen = service("Kitchen", 2, &["10.0.0.2"]);
        assert!(!hears(&mut listing, &kitchen) && !listing.asks_again(), "there is no room");
        listing.wants("kitchen");
        assert!(listing.asks_again() && !listing.asks_again(), "once");
        assert!(hears(&mut listing, &kitchen) && listing.called("kitchen", 9688).is_some() && listing.listed.len() == MOST);
        (0..2 * MOST).for_each(|n| _ = hears(&mut listing, &service(&format!("y{n}"), 1, &["10.0.0.1"])));
        assert!(listing.called("kitchen", 9688).is_some());
        let one = listing.neighbours().into_iter().find(|one| one.instance != "Kitchen").expect("another");
        assert!(!listing.asks_again() && listing.removed(&full(&one.instance)) && listing.asks_again(), "there is room again");
    }
}
