//! More peers than there are places: who gives way to a newcomer, and what is said to whom none gives way.

use super::by_hand::{Drained, answer, drain, private, receiver, sender, until_it_dials};
use super::oscillator::Base;
use super::raw::Raw;
use super::scenarios::{ms, secs};
use super::stranger::{Stranger, Victim};
use eyeline_proto::crypto::Psk;
use eyeline_proto::session::liveness::FIRST_SIGN;
use eyeline_proto::session::places::{MAX_OF_ADDRESS, MAX_PEERS};
use eyeline_proto::session::{Core, Event, HostId, MOST_SENDERS, Session, SocketId};
use eyeline_proto::wire::VERSION;
use eyeline_proto::wire::datagram::Message;
use eyeline_proto::wire::preamble::{Answer, Refusal};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const NOBODY: [u64; 0] = [];

/// A waiting sender and receivers made by hand, each over the connection of its number.
struct Crowd {
    session: Session,
    now: Instant,
    key: Option<Psk>,
    here: BTreeMap<u64, Raw>,
    next: u64,
    closed: Vec<u64>,
}

impl Crowd {
    fn new(key: Option<&Psk>) -> Crowd {
        let now = Base::new().instant(1_000_000_000);
        let session = sender(now, 0, key);
        Crowd { session, now, key: key.cloned(), here: BTreeMap::new(), next: 1, closed: Vec::new() }
    }

    /// One more from this host. `Err`: what it was told instead of an answer.
    fn join(&mut self, host: u8) -> Result<u64, (Answer, String)> {
        let number = self.next;
        self.next += 1;
        let (raw, did) = Raw::greet(&mut self.session, self.now, (host, number), self.key.as_ref());
        self.note(&did);
        match raw {
            Some(raw) => {
                self.here.insert(number, raw);
                Ok(number)
            }
            None => Err(answer(&did.written[0].1)),
        }
    }

    fn note(&mut self, did: &Drained<Event>) {
        self.closed.extend(did.closed.iter().map(|socket| socket.0));
    }

    /// So many from each of these hosts, who speak by UDP as well.
    fn fill(&mut self, hosts: impl Iterator<Item = u8>, each: usize) {
        for host in hosts {
            for _ in 0..each {
                let number = self.join(host).expect("there is room");
                self.ping(&[number]);
            }
        }
    }

    fn ping(&mut self, numbers: &[u64]) {
        for number in numbers {
            if let Some(raw) = self.here.get_mut(number) {
                raw.send(&mut self.session, self.now, &Message::Ping(0));
            }
        }
        let did = drain(&mut self.session, self.now);
        self.note(&did);
    }

    /// Time goes by, and all but these speak, four times a second.
    fn pass(&mut self, time: Duration, silent: &[u64]) {
        let speak: Vec<u64> = self.here.keys().copied().filter(|number| !silent.contains(number)).collect();
        let end = self.now + time;
        let mut speaks = self.now;
        while self.now < end {
            // Smaller steps than what looks like a process that stood still.
            self.now += ms(25);
            self.session.handle_timeout(self.now);
            let due = self.now >= speaks;
            self.ping(if due { &speak } else { &[] });
            speaks = if due { self.now + ms(250) } else { speaks };
        }
    }

    /// Its connection breaks, without a goodbye.
    fn breaks(&mut self, number: u64) {
        self.session.handle_closed(self.now, SocketId(number));
    }

    fn take_closed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.closed)
    }
}

/// As many hellos as there are places, and never a datagram: whoever comes gets a place, and after three seconds all are free.
#[test]
fn the_256_mute_peers_give_way() {
    let mut crowd = Crowd::new(None);
    for number in 0..MAX_PEERS {
        crowd.join((number / MAX_OF_ADDRESS) as u8).expect("there is room");
    }
    assert_eq!(crowd.take_closed(), NOBODY);
    let real = crowd.join(200).expect("a mute peer gives way");
    assert_eq!(crowd.take_closed(), [1], "the oldest");
    crowd.ping(&[real]);
    // They come again and again: who speaks keeps its place.
    for number in 0..MAX_PEERS {
        crowd.join((number / MAX_OF_ADDRESS) as u8).expect("the mute ones give way to each other");
    }
    assert!(!crowd.take_closed().contains(&real));
    let mute: Vec<u64> = crowd.here.keys().copied().filter(|number| *number != real).collect();
    crowd.pass(FIRST_SIGN - ms(250), &mute);
    assert_eq!(crowd.take_closed(), NOBODY);
    crowd.pass(ms(500), &mute);
    let closed = crowd.take_closed();
    assert_eq!((closed.len(), closed.contains(&real)), (MAX_PEERS - 1, false), "nobody holds a place without a word");
}

/// All places are of use but one that was just taken: its first datagram is on its way.
#[test]
fn who_has_just_come_is_not_thrown_out_by_the_next() {
    let mut crowd = Crowd::new(None);
    crowd.fill(0..255, 1);
    let last = crowd.join(255).expect("there is room");
    assert_eq!(crowd.here.len(), MAX_PEERS);
    let (told, _) = crowd.join(7).expect_err("it may speak any moment");
    assert_eq!(told.refusal, Some(Refusal::Full));
    crowd.take_closed();
    crowd.pass(ms(1100), &[last]);
    crowd.join(7).expect("it never spoke");
    assert_eq!(crowd.take_closed(), [last]);
}

#[test]
fn one_address_has_few_places_and_more_with_the_key() {
    let mut crowd = Crowd::new(None);
    crowd.fill(1..2, MAX_OF_ADDRESS);
    let (told, sentence) = crowd.join(1).expect_err("its neighbours are all of use");
    assert_eq!((told.refusal, sentence.contains("of one address")), (Some(Refusal::Full), true), "{sentence}");
    assert_eq!(crowd.take_closed(), [MAX_OF_ADDRESS as u64 + 1], "none gave way");
    crowd.join(2).expect("other addresses have room");
    // One of them dies: its own neighbour takes the place.
    crowd.pass(secs(4), &[7]);
    assert_eq!(crowd.take_closed(), NOBODY);
    crowd.join(1).expect("one is of no use");
    assert_eq!(crowd.take_closed(), [7]);

    let key = Psk::derive("one").expect("a key");
    let mut keyed = Crowd::new(Some(&key));
    keyed.fill(1..2, MAX_OF_ADDRESS + 10);
    assert_eq!(keyed.take_closed(), NOBODY);
}

/// Connections that broke, peers that only keep theirs: the longest silent of the first go before any of the second.
#[test]
fn peers_that_died_give_way_oldest_first() {
    let mut crowd = Crowd::new(None);
    crowd.fill(1..5, MAX_OF_ADDRESS);
    let (quiet, later, earlier) = (5, 30, 70);
    crowd.pass(secs(1), &[quiet]);
    crowd.pass(secs(1), &[quiet, earlier]);
    crowd.pass(secs(5), &[quiet, earlier, later]);
    crowd.breaks(later);
    crowd.breaks(earlier);
    // A connection that breaks while datagrams come is about to be dialled again.
    crowd.breaks(100);
    assert_eq!(crowd.take_closed(), NOBODY);
    let events = |crowd: &mut Crowd, host| {
        let number = crowd.next;
        crowd.next += 1;
        let (raw, did) = Raw::greet(&mut crowd.session, crowd.now, (host, number), None);
        crowd.note(&did);
        crowd.here.insert(number, raw.expect("somebody gives way"));
        crowd.ping(&[number]);
        let down = |event: &Event| match event {
            Event::PeerDown { sentence, .. } => Some(sentence.clone()),
            _ => None,
        };
        did.events.iter().filter_map(down).collect::<Vec<_>>()
    };
    for host in [10, 11] {
        let down = events(&mut crowd, host);
        assert!(matches!(&down[..], [sentence] if sentence.contains("all places were taken")), "{down:?}");
    }
    assert_eq!(crowd.take_closed(), NOBODY, "those two had no connection left");
    events(&mut crowd, 12);
    assert_eq!(crowd.take_closed(), [quiet]);
    crowd.ping(&[earlier, later]);
    let spare: Vec<u64> = vec![earlier, later];
    crowd.pass(ms(250), &spare);
    assert_eq!(crowd.take_closed(), NOBODY, "all others are as they were");
}

/// Peers that do all that peers do, from four addresses: the fifth gets its share, down to one each.
#[test]
fn a_crowd_gives_way_to_an_address_that_has_less() {
    let key = Psk::derive("one").expect("a key");
    let mut crowd = Crowd::new(Some(&key));
    crowd.fill(1..5, MAX_PEERS / 4);
    let last = crowd.next - 1;
    let newcomer = crowd.join(9).expect("the crowd gives way");
    assert_eq!(crowd.take_closed(), [last], "the one that came last of the largest");
    crowd.ping(&[newcomer]);

    let mut even = Crowd::new(Some(&key));
    even.fill(0..=255, 1);
    let (told, sentence) = even.join(3).expect_err("nobody has more than this address would have");
    assert_eq!((told.refusal, sentence.as_str()), (Some(Refusal::Full), "all 256 places are taken"));
    // One is missing: whoever dials may be it, which its hello will show.
    even.breaks(50);
    assert!(even.join(3).is_ok(), "it is heard to the end");
    even.pass(ms(10), &[]);
    assert_eq!(even.take_closed(), [257, 258], "and told then that there is no place");
}

/// "Full" passes: who is told so dials on, ever more seldom, also without a key and when it was never connected.
#[test]
fn where_all_places_are_taken_the_dialler_tries_again() {
    let mut now = Base::new().instant(0);
    let mut dialler = receiver(now, 1, None);
    let sentence = "all 256 places are taken";
    let full = Answer { version: VERSION, refusal: Some(Refusal::Full), len: sentence.len() as u16 }.encode();
    let mut pauses = Vec::new();
    assert_eq!(drain(&mut dialler, now).dials, 1);
    for socket in 1..7 {
        let socket = SocketId(socket);
        dialler.handle_dialled(now, HostId(0), Ok((socket, private(1, 9688))));
        drain(&mut dialler, now);
        dialler.handle_bytes(now, socket, &[&full[..], sentence.as_bytes()].concat());
        let did = drain(&mut dialler, now);
        dialler.handle_closed(now, socket);
        let told: Vec<_> = did
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Unreachable { error, fatal, .. } => Some((error.to_string(), *fatal)),
                _ => None,
            })
            .collect();
        assert_eq!(told, [(format!("10.0.1.1:9688 has no place for one more: {sentence}"), false)]);
        let next = until_it_dials(&mut dialler, now);
        pauses.push((next - now).as_millis());
        now = next;
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10_000]);
}

/// Hellos of senders on all sixteen places, and nothing behind them but pings: whoever sends has a place from its first picture
/// on, and those who send keep theirs, until there is none but of those.
#[test]
fn sixteen_mute_senders_give_way_to_each_that_sends() {
    for later in [ms(100), secs(20)] {
        let mut victim = Victim::of_many(false, MOST_SENDERS);
        let slices = |victim: &Victim| victim.events.iter().filter(|event| matches!(event, Event::Slice(..))).count();
        let places = 1..=MOST_SENDERS as u8;
        let mut mute: Vec<Stranger> = places.clone().map(|host| Stranger::join(&mut victim, host)).collect();
        let ping = |mute: &mut Vec<Stranger>, victim: &mut Victim| {
            mute.iter_mut().for_each(|mute| mute.datagram(victim, &Message::Ping(5)));
        };
        for _ in 0..later.as_millis() / 100 {
            ping(&mut mute, &mut victim);
            victim.pass(ms(100));
        }
        assert_eq!((victim.names().len(), slices(&victim)), (MOST_SENDERS, 0), "{:?}", victim.names());
        let mut real: Vec<Stranger> = Vec::new();
        for host in places.map(|place| 100 + place) {
            let mut one = Stranger::join(&mut victim, host);
            assert_eq!(victim.closed, [], "nobody is told that all places are taken by those that send nothing");
            one.format(&mut victim);
            ping(&mut mute, &mut victim);
            real.push(one);
            let (picture, before) = (real.len() as u32, slices(&victim));
            for (since, one) in real.iter_mut().rev().enumerate() {
                one.picture(&mut victim, since as u32);
            }
            assert_eq!(slices(&victim) - before, picture as usize, "each picture of each is received, from its first on");
            assert_eq!(victim.names().last(), Some(&format!("host {host}")));
            victim.pass(ms(33));
        }
        let names = victim.names();
        assert_eq!(names.iter().filter(|name| *name == "down").count(), MOST_SENDERS, "only mute ones: {names:?}");
        let mut closed: Vec<u64> = std::mem::take(&mut victim.closed).iter().map(|socket| socket.0).collect();
        closed.sort_unstable();
        assert_eq!(closed, (1..=MOST_SENDERS as u64).collect::<Vec<_>>(), "now the mute ones are told so");
        Stranger::join(&mut victim, 200);
        assert_eq!(victim.closed, [SocketId(200)], "and whoever comes next");
    }
}
