//! Meeting points and guests made by hand that misuse what is for datagrams that go directly.

use super::scenarios::{ms, secs};
use super::sending::identity;
use super::stranger::{Stranger, Victim};
use eyeline_proto::session::MOST_SENDERS;
use eyeline_proto::session::link::Identity;
use eyeline_proto::wire::record::{DIRECT, FORWARDS, Hello, MOST_RELAYED, Media, Record, Relayed, Rendezvous};

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

/// What it is told of it tries, a few at a time; nothing goes to an address before somebody there has said hello, and what does not
/// come to one is given up.
#[test]
fn a_meeting_point_that_tells_of_many_guests_has_nothing_sent_to_them() {
    let mut victim = Victim::with(Identity { direct: true, ..identity("screen", Media::LIVE, Media::LIVE) }, MOST_SENDERS);
    let mut point = Stranger::come_with(&mut victim, 1, |hello| hello.capabilities = FORWARDS | DIRECT);
    victim.datagrams.clear();
    let addresses: Vec<_> = (1..=8).map(|host| format!("10.9.9.{host}:53").parse().unwrap()).collect();
    let met = |number: u16, dials| {
        let (guest, key, addresses) = ([number as u8 ^ 0xA5; 16], [1; 32], addresses.clone());
        Record::Rendezvous(Rendezvous { guest, attempt: number.into(), key, dials, addresses })
    };
    for number in 0..200 {
        point.record(&mut victim, &met(number, number % 2 == 0));
    }
    let opened = relayed(&mut point, &mut victim);
    let (closed, openings): (Vec<_>, Vec<_>) = opened.iter().partition(|said| said.bytes.is_empty());
    assert!(openings.len() <= 7 && closed.len() >= 190, "{} openings, {} refused", openings.len(), closed.len());
    for number in 0..200_u16 {
        let said = Relayed { guest: [number as u8 ^ 0xA5; 16], attempt: number.into(), bytes: vec![0x45; 3000] };
        point.record(&mut victim, &Record::Relayed(said));
    }
    victim.pass(secs(10));
    let there = |to: &std::net::SocketAddr| addresses.contains(to);
    assert_eq!(victim.datagrams.iter().filter(|(to, _)| there(to)).count(), 0);
    let given_up = relayed(&mut point, &mut victim);
    assert!(given_up.iter().filter(|said| said.bytes.is_empty()).count() >= openings.len(), "{given_up:?}");
    assert!(victim.closed.is_empty(), "the meeting point keeps its link");
}
