//! Meeting points and guests made by hand that misuse what is for datagrams that go directly.

use super::scenarios::{ms, secs};
use super::sending::identity;
use super::stranger::{Stranger, Victim};
use eyeline_proto::crypto::{Handshake, Psk, Side};
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{HostId, MOST_SENDERS};
use eyeline_proto::wire::preamble::Opening;
use eyeline_proto::wire::record::{DIRECT, FORWARDS, Hello, MOST_RELAYED, Media, Record, Relayed, Rendezvous};
use std::net::SocketAddr;

/// A meeting point without a camera that introduces its guests.
fn a_point() -> Victim {
    let me = Identity { forwards: true, direct: true, ..identity("point", Media::NONE, Media::LIVE) };
    Victim::with(me, MOST_SENDERS)
}

fn a_guest(hello: &mut Hello) {
    (hello.offers, hello.wants) = (Media::LIVE, Media::LIVE);
    hello.capabilities = DIRECT;
}

/// Two that were introduced, and what each was told of the other.
fn introduced(victim: &mut Victim) -> [(Stranger, Rendezvous); 2] {
    let mut guests = [1, 2].map(|host| Stranger::come_with(victim, host, a_guest));
    for guest in &mut guests {
        guest.record(victim, &Record::Addresses(vec!["192.168.7.7:9".parse().unwrap()]));
    }
    victim.pass(ms(300));
    guests.map(|mut guest| {
        let told = rendezvous(&mut guest, victim);
        let [told] = &told[..] else { panic!("{told:?}") };
        (guest, told.clone())
    })
}

fn rendezvous(guest: &mut Stranger, victim: &mut Victim) -> Vec<Rendezvous> {
    let told = guest.told(victim).into_iter().map(|plain| Record::decode(&plain));
    told.filter_map(|record| if let Ok(Record::Rendezvous(met)) = record { Some(met) } else { None }).collect()
}

fn relayed(guest: &mut Stranger, victim: &mut Victim) -> Vec<Relayed> {
    let told = guest.told(victim).into_iter().map(|plain| Record::decode(&plain));
    told.filter_map(|record| if let Ok(Record::Relayed(said)) = record { Some(said) } else { None }).collect()
}

#[test]
fn two_guests_are_told_the_same_key_and_where_the_other_is_seen_and_says_that_it_is() {
    let mut victim = a_point();
    let [(_, one), (_, other)] = introduced(&mut victim);
    assert!(one.key == other.key && one.attempt == other.attempt && one.dials != other.dials && one.guest != other.guest);
    for told in [&one, &other] {
        assert_eq!(told.addresses.len(), 2, "{told:?}");
        assert_eq!(told.addresses[1], "192.168.7.7:9".parse().unwrap());
    }
}

#[test]
fn who_floods_another_guest_loses_the_way_to_it_and_the_other_keeps_its_link() {
    let mut victim = a_point();
    let [(mut one, told), (mut other, _)] = introduced(&mut victim);
    let said = |bytes: usize| Record::Relayed(Relayed { guest: told.guest, attempt: told.attempt, bytes: vec![7; bytes] });
    one.record(&mut victim, &said(100));
    let first = relayed(&mut other, &mut victim);
    assert!(matches!(&first[..], [Relayed { bytes, .. }] if bytes.len() == 100));
    let flood: Vec<Record> = (0..1000).map(|_| said(MOST_RELAYED)).collect();
    one.records(&mut victim, &flood);
    let came = relayed(&mut other, &mut victim);
    assert!(came.len() < 30 && came.last().is_some_and(|last| last.bytes.is_empty()), "{} records", came.len());
    assert!(relayed(&mut one, &mut victim).iter().any(|said| said.bytes.is_empty()), "it is told that it is closed");
    victim.pass(secs(1));
    assert_eq!(victim.closed, [], "nobody is thrown out");
    one.record(&mut victim, &said(100));
    assert_eq!(relayed(&mut other, &mut victim), [], "and nothing more passes");
    victim.pass(secs(30));
    assert!(!rendezvous(&mut one, &mut victim).is_empty(), "they are introduced again later");
}

#[test]
fn nothing_is_passed_on_to_who_was_not_introduced() {
    let mut victim = a_point();
    let [(mut one, told), (mut other, _)] = introduced(&mut victim);
    let mut third = Stranger::come_with(&mut victim, 3, |hello| {
        a_guest(hello);
        hello.capabilities = 0;
    });
    third.told(&mut victim);
    for (guest, attempt) in [(told.guest, told.attempt + 1), ([9; 16], told.attempt)] {
        let said = Record::Relayed(Relayed { guest, attempt, bytes: vec![1] });
        one.record(&mut victim, &said);
        third.record(&mut victim, &said);
    }
    third.record(&mut victim, &Record::Relayed(Relayed { guest: told.guest, attempt: told.attempt, bytes: vec![1] }));
    assert_eq!(relayed(&mut other, &mut victim), []);
    assert_eq!(relayed(&mut third, &mut victim), []);
    assert!(victim.closed.is_empty());
}

/// A process that dialled a meeting point made by hand.
fn at_a_point() -> (Victim, Stranger) {
    let me = Identity { direct: true, ..identity("screen", Media::LIVE, Media::LIVE) };
    let mut victim = Victim::dialling(me, MOST_SENDERS, 1);
    victim.drain();
    let says = |hello: &mut Hello| hello.capabilities = FORWARDS | DIRECT;
    let point = Stranger::answer_with(&mut victim, (1, 1), 1, HostId(0), says);
    (victim, point)
}

/// The so manieth guest, who is there.
fn met(number: u16, dials: bool, addresses: &[SocketAddr]) -> Rendezvous {
    Rendezvous { guest: [number as u8 ^ 0xA5; 16], attempt: number.into(), key: [1; 32], dials, addresses: addresses.to_vec() }
}

/// What it is told of it tries, a few at a time, and what does not come to a hello is given up; whoever dialled it is not believed.
#[test]
fn a_meeting_point_that_tells_of_many_guests_is_believed_a_few_times() {
    let (mut victim, mut point) = at_a_point();
    let there = ["10.9.9.1:53".parse().unwrap()];
    for number in 0..200 {
        point.record(&mut victim, &Record::Rendezvous(met(number, number % 2 == 0, &there)));
    }
    let opened = relayed(&mut point, &mut victim);
    let (closed, openings): (Vec<_>, Vec<_>) = opened.iter().partition(|said| said.bytes.is_empty());
    assert!((1..=7).contains(&openings.len()) && closed.len() >= 190, "{} openings, {} refused", openings.len(), closed.len());
    for number in 0..200_u16 {
        let said = Relayed { guest: [number as u8 ^ 0xA5; 16], attempt: number.into(), bytes: vec![0x45; 3000] };
        point.record(&mut victim, &Record::Relayed(said));
    }
    victim.pass(secs(10));
    let given_up = relayed(&mut point, &mut victim);
    assert!(given_up.iter().filter(|said| said.bytes.is_empty()).count() >= openings.len(), "{given_up:?}");
    assert!(victim.closed.is_empty(), "the meeting point keeps its link");
    let mut dialler = Stranger::come_with(&mut victim, 2, |hello| hello.capabilities = FORWARDS | DIRECT);
    dialler.record(&mut victim, &Record::Rendezvous(met(201, true, &there)));
    assert!(relayed(&mut dialler, &mut victim).iter().all(|said| said.bytes.is_empty()));
}

/// To addresses that a meeting point makes up go three seconds of challenges and nothing else, and without a key none to public ones.
#[test]
fn what_is_sent_to_addresses_that_a_meeting_point_makes_up_is_little() {
    let (mut victim, mut point) = at_a_point();
    let private: Vec<SocketAddr> = (1..=6).map(|host| format!("10.9.9.{host}:53").parse().unwrap()).collect();
    let public: SocketAddr = "198.51.100.7:53".parse().unwrap();
    let told = met(7, false, &[&private[..], &[public]].concat());
    let (guest, attempt) = (told.guest, told.attempt);
    let psk = Psk::from_bytes(told.key);
    point.record(&mut victim, &Record::Rendezvous(told));
    // It plays the guest, too.
    let opening = Opening::new(true, 48).encode();
    let mut handshake = Handshake::new(Side::Dialler, Some(&psk), &opening).expect("starts");
    let message = handshake.write().expect("writes");
    let bytes = [&opening[..], &message].concat();
    point.record(&mut victim, &Record::Relayed(Relayed { guest, attempt, bytes }));
    let answer: Vec<u8> = relayed(&mut point, &mut victim).into_iter().flat_map(|said| said.bytes).collect();
    handshake.read(&answer[8..56]).expect("shakes");
    let (mut plain, mut sealed) = (Vec::new(), Vec::new());
    let (offers, wants, key) = (Media::LIVE, Media::LIVE, [9; 32]);
    let (resume, token, name) = ([0; 16], [3; 16], String::new());
    let hello = Hello { offers, wants, capabilities: DIRECT, id: guest, resume, token, connection: 77, key, name };
    Record::Hello(hello).encode(&mut plain);
    handshake.into_transport().expect("is done").seal(&plain, &mut sealed).expect("seals");
    victim.datagrams.clear();
    point.record(&mut victim, &Record::Relayed(Relayed { guest, attempt, bytes: sealed }));
    victim.pass(secs(20));
    let sent =
        |to: &SocketAddr| victim.datagrams.iter().filter(|(at, _)| at == to).map(|(_, bytes)| bytes.len()).collect::<Vec<_>>();
    for address in &private {
        let lengths = sent(address);
        assert!((20..=31).contains(&lengths.len()) && lengths.iter().all(|len| *len <= 33), "{address}: {lengths:?}");
    }
    assert_eq!(sent(&public), []);
}
