//! Who is taken, when what was caught, and bytes of anybody.

#![allow(clippy::disallowed_methods, reason = "any moment will do")]

use super::super::jpeg::{Kind, Picture};
use super::super::packet::{Beginning, Stream as Sending};
use super::super::pcm::{self, Pcm};
use super::super::testing;
use super::*;
use crate::media::jpeg::tables;
use crate::picture::{Sampling, Size};
use proptest::prelude::*;

fn jpeg() -> Vec<u8> {
    let kind = Kind { sampling: Sampling::Yuv420, quality: 80, size: Size { width: 64, height: 48 }, restart: 4 };
    testing::jpeg(kind, &tables::quantisers(80), &[vec![1; 500], vec![2; 500], vec![3; 500]])
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Somebody who sends pictures and sound.
struct Sender {
    from: SocketAddr,
    pictures: Sending,
    sound: Pcm,
}

impl Sender {
    fn new(from: &str, ssrc: u32) -> Self {
        let beginning = Beginning { ssrc, sequence: 9, timestamp: 77 };
        let pictures = Sending::new(jpeg::PAYLOAD_TYPE, jpeg::RATE, beginning);
        let sound = Pcm::new(Sending::new(pcm::PAYLOAD_TYPE, RATE, Beginning { ssrc: ssrc + 1, ..beginning }), 1);
        Sender { from: at(from), pictures, sound }
    }

    fn picture(&mut self, receiver: &mut Receiver, now: Instant, caught: Duration) {
        let jpeg = jpeg();
        let picture = Picture::new(&jpeg).unwrap();
        let fragments = picture.fragments(600);
        let timestamp = self.pictures.timestamp(caught);
        for (number, fragment) in fragments.iter().enumerate() {
            let mut payload = Vec::new();
            picture.write(fragment, &mut payload);
            let header = self.pictures.header(timestamp, number + 1 == fragments.len(), payload.len());
            receiver.handle_packet(now, Medium::Pictures, self.from, &[&header.encode()[..], &payload].concat());
        }
    }

    fn block(&mut self, receiver: &mut Receiver, now: Instant, caught: Duration) {
        let block = Block { capture: caught, channels: 1, samples: vec![5; 480].into() };
        let from = self.from;
        self.sound.push(&block, |packet| receiver.handle_packet(now, Medium::Sound, from, packet));
    }

    fn report(&self, receiver: &mut Receiver, medium: Medium, wall: Duration, caught: Duration, last: bool) {
        let stream = if medium == Medium::Pictures { &self.pictures } else { self.sound.stream() };
        let mut packet = Vec::new();
        rtcp::report(&mut packet, wall, &stream.sent(caught), "it", last);
        receiver.handle_report(medium, self.from, &packet);
    }
}

fn events(receiver: &mut Receiver) -> Vec<Event> {
    std::iter::from_fn(|| receiver.poll()).collect()
}

fn pictures(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Picture(..))).count()
}

#[test]
fn pictures_come_back_byte_for_byte_and_another_has_the_place_only_when_the_first_is_silent() {
    let (mut receiver, begin) = (Receiver::default(), Instant::now());
    let (mut ours, mut other) = (Sender::new("10.0.0.1:4000", 1), Sender::new("10.0.0.2:4000", 1));
    ours.picture(&mut receiver, begin, ms(0));
    assert_eq!(events(&mut receiver), [Event::Came(Medium::Pictures, ours.from), Event::Picture(begin, jpeg())]);
    for number in 1..4 {
        other.picture(&mut receiver, begin + ms(number), ms(number));
    }
    assert_eq!(events(&mut receiver), [Event::Other(Medium::Pictures, other.from)], "said once");
    other.block(&mut receiver, begin + ms(5), ms(5));
    other.block(&mut receiver, begin + ms(6), ms(15));
    other.block(&mut receiver, begin + ms(7), ms(25));
    assert_eq!(events(&mut receiver), [], "nor is its sound taken");
    // The same machine, started anew: another number of its stream.
    let mut anew = Sender::new("10.0.0.1:4001", 8);
    anew.picture(&mut receiver, begin + SILENCE - ms(1), ms(0));
    assert_eq!(events(&mut receiver), []);
    let now = begin + SILENCE;
    other.picture(&mut receiver, now, ms(2000));
    assert_eq!(events(&mut receiver), [Event::Came(Medium::Pictures, other.from), Event::Picture(now, jpeg())]);
    assert_eq!(receiver.deadline(), Some(now + GONE));
    receiver.handle_timeout(now + GONE - ms(1));
    assert_eq!(events(&mut receiver), []);
    receiver.handle_timeout(now + GONE);
    assert_eq!((events(&mut receiver), receiver.deadline()), (vec![Event::Gone(Medium::Pictures)], None));
}

#[test]
fn a_farewell_makes_way_at_once_but_only_that_of_the_one_that_is_taken() {
    let (mut receiver, now) = (Receiver::default(), Instant::now());
    let (mut ours, mut other) = (Sender::new("10.0.0.1:4000", 1), Sender::new("10.0.0.2:4000", 1));
    ours.picture(&mut receiver, now, ms(0));
    let forged = Sender::new("10.0.0.3:9", 1);
    forged.report(&mut receiver, Medium::Pictures, ms(9), ms(0), true);
    Sender::new("10.0.0.1:4000", 2).report(&mut receiver, Medium::Pictures, ms(9), ms(0), true);
    assert_eq!(events(&mut receiver).len(), 2);
    ours.report(&mut receiver, Medium::Pictures, ms(9), ms(0), true);
    other.picture(&mut receiver, now, ms(0));
    assert_eq!(events(&mut receiver), [Event::Gone(Medium::Pictures)], "nobody comes and goes all the time");
    other.picture(&mut receiver, now + APART, ms(500));
    let told = events(&mut receiver);
    assert_eq!(told[0], Event::Came(Medium::Pictures, other.from));
    assert_eq!(pictures(&told), 1);
}

#[test]
fn what_of_the_last_picture_is_there_is_shown_at_the_end() {
    let (mut receiver, now) = (Receiver::default(), Instant::now());
    let jpeg = jpeg();
    let picture = Picture::new(&jpeg).unwrap();
    let mut stream = Sending::new(jpeg::PAYLOAD_TYPE, jpeg::RATE, Beginning { ssrc: 1, sequence: 0, timestamp: 0 });
    let mut payload = Vec::new();
    picture.write(&picture.fragments(600)[0], &mut payload);
    let header = stream.header(0, false, payload.len());
    receiver.handle_packet(now, Medium::Pictures, at("10.0.0.1:1"), &[&header.encode()[..], &payload].concat());
    receiver.handle_timeout(now + GONE);
    let told = events(&mut receiver);
    assert!(matches!(&told[..], [Event::Came(..), Event::Picture(..), Event::Gone(_)]), "{told:?}");
}

/// How much later than its pictures its sound is said to be caught, of which the pictures come 150 ms late.
fn apart(reported: bool) -> i128 {
    let (mut receiver, begin) = (Receiver::default(), Instant::now());
    let mut sender = Sender::new("10.0.0.1:4000", 1);
    let (mut seen, mut heard) = (begin, begin);
    if reported {
        // In front of the first packets, as ours are.
        sender.report(&mut receiver, Medium::Pictures, ms(1_000_000), ms(0), false);
        sender.report(&mut receiver, Medium::Sound, ms(1_000_000), ms(0), false);
    }
    for at in (0..2000).step_by(10) {
        sender.block(&mut receiver, begin + ms(at + 10), ms(at));
        if at % 40 == 0 && at >= 160 {
            sender.picture(&mut receiver, begin + ms(at), ms(at - 150));
        }
        for event in events(&mut receiver) {
            match event {
                // Of it the one before is given out whole.
                Event::Sound(block) => heard = block.capture - ms(at),
                Event::Picture(caught, _) => seen = caught - ms(at - 150),
                _ => {}
            }
        }
    }
    let nanos = |later: Instant, than: Instant| later.saturating_duration_since(than).as_nanos() as i128;
    (nanos(seen, heard) - nanos(heard, seen)) / 1_000_000
}

#[test]
fn reports_bring_sound_and_pictures_together() {
    let (without, with) = (apart(false), apart(true));
    assert!((135..=150).contains(&without) && with.abs() <= 3, "{without} {with}");
}

#[test]
fn what_is_of_no_use_is_told_once() {
    let (mut receiver, now, from) = (Receiver::default(), Instant::now(), at("10.0.0.1:1"));
    let packet = |payload_type| Header { marker: true, payload_type, sequence: 1, timestamp: 2, ssrc: 3 }.encode();
    for medium in [Medium::Pictures, Medium::Sound] {
        for payload_type in [10, 10, 0] {
            receiver.handle_packet(now, medium, from, &packet(payload_type));
        }
    }
    let told = events(&mut receiver);
    let unfit = |medium, why| Event::Unfit(medium, from, why);
    assert_eq!(told, [unfit(Medium::Pictures, Unfit::NotJpeg(10)), unfit(Medium::Sound, Unfit::Rate)]);
    assert_eq!(receiver.deadline(), None, "and has no place");
}

proptest! {
    #[test]
    fn any_packets_are_survived(some in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..90)), 0..60)) {
        let (mut receiver, mut now) = (Receiver::default(), Instant::now());
        for (pictures, report, honest, mut bytes) in some {
            now += ms(300);
            let medium = if pictures { Medium::Pictures } else { Medium::Sound };
            if honest && bytes.len() > 20 {
                // So that what is behind the header is looked at.
                (bytes[0], bytes[1]) = (0x80, if pictures { 26 } else { 97 });
                let head = [0, 0, 0, bytes[15], 1 | bytes[16] & 64, 60, 8, 8];
                bytes[12..20].copy_from_slice(&head);
            }
            match report {
                true => receiver.handle_report(medium, at("10.0.0.1:1"), &bytes),
                false => receiver.handle_packet(now, medium, at("10.0.0.1:1"), &bytes),
            }
            receiver.handle_timeout(now);
            while receiver.poll().is_some() {}
        }
    }
}
