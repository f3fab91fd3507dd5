//! There and back, with losses and without, and bytes of anybody.

use super::super::jpeg;
use super::super::packet::{Beginning, Stream};
use super::super::testing::{Made, jpeg as jpeg_of, made};
use super::*;
use proptest::prelude::*;
use std::time::Duration;

type Packet = (Header, Vec<u8>);

/// The packets of pictures, 40 ms from one to the next.
fn packets(jpegs: &[&[u8]], longest: usize) -> Vec<Vec<Packet>> {
    let mut stream = Stream::new(jpeg::PAYLOAD_TYPE, jpeg::RATE, Beginning { ssrc: 5, sequence: 65_530, timestamp: 77 });
    let each = jpegs.iter().enumerate().map(|(number, jpeg)| {
        let picture = jpeg::Picture::new(jpeg).unwrap();
        let fragments = picture.fragments(longest);
        let timestamp = stream.timestamp(Duration::from_millis(40 * number as u64));
        let packet = |(index, fragment)| {
            let mut payload = Vec::new();
            picture.write(fragment, &mut payload);
            (stream.header(timestamp, index + 1 == fragments.len(), payload.len()), payload)
        };
        fragments.iter().enumerate().map(packet).collect()
    });
    each.collect()
}

fn push_all(depacketizer: &mut Depacketizer, packets: &[Packet]) -> Vec<Picture> {
    packets.iter().flat_map(|(header, payload)| depacketizer.push(header, payload)).collect()
}

/// Other intervals: another picture of the same kind.
fn other(made: &Made) -> Made {
    let intervals: Vec<Vec<u8>> = made.intervals.iter().map(|bytes| [&[1], &bytes[..]].concat()).collect();
    let jpeg = jpeg_of(made.kind, &made.quantisers, &intervals);
    Made { intervals, jpeg, ..made.clone() }
}

/// Which intervals are there with all their bytes, the marker behind them, too.
fn own(made: &Made, packets: &[Packet]) -> Vec<bool> {
    let mut begin = 0;
    let each = made.intervals.iter().enumerate().map(|(number, interval)| {
        let marker = if number + 1 < made.intervals.len() { 2 } else { 0 };
        let (mut covered, end) = (begin, begin + interval.len() + marker);
        for (_, payload) in packets {
            let jpeg::Payload { offset, scan, .. } = jpeg::Payload::decode(payload).unwrap();
            if offset <= covered {
                covered = covered.max(offset + scan.len());
            }
        }
        begin = end;
        covered >= end
    });
    each.collect()
}

proptest! {
    #[test]
    fn any_jpeg_comes_back_byte_for_byte_in_whatever_order_its_packets_come(
        made in made(), longest in 300_usize..1500, order in any::<prop::sample::Index>(), twice: bool,
    ) {
        let mut sent = packets(&[&made.jpeg], longest).remove(0);
        let turn = order.index(sent.len());
        sent.rotate_left(turn);
        if twice {
            sent = sent.iter().flat_map(|packet| [packet.clone(), packet.clone()]).collect();
        }
        let came = push_all(&mut Depacketizer::default(), &sent);
        prop_assert_eq!(came, [Picture { timestamp: 77, whole: true, jpeg: made.jpeg }]);
    }

    #[test]
    fn of_a_picture_with_holes_what_came_is_its_own_and_the_rest_is_the_picture_before(
        made in made(), longest in 300_usize..1500, lost in prop::collection::vec(any::<bool>(), 64),
    ) {
        let (before, next) = (made.clone(), other(&made));
        let mut sent = packets(&[&before.jpeg, &next.jpeg, &before.jpeg], longest);
        let mut depacketizer = Depacketizer::default();
        prop_assert_eq!(push_all(&mut depacketizer, &sent[0]).len(), 1);
        let mut lost = lost.iter().cycle();
        sent[1].retain(|_| !*lost.next().unwrap());
        let mut came = push_all(&mut depacketizer, &sent[1]);
        came.extend(push_all(&mut depacketizer, &sent[2]));
        let (last, came) = came.split_last().unwrap();
        prop_assert!(last.whole && last.jpeg == before.jpeg, "what follows is not the worse for it");
        let own = own(&next, &sent[1]);
        if let [picture] = came {
            prop_assert_eq!(picture.whole, own.iter().all(|own| *own));
            let mixed: Vec<Vec<u8>> = own.iter().enumerate()
                .map(|(number, own)| if *own { next.intervals[number].clone() } else { before.intervals[number].clone() })
                .collect();
            let mixed = jpeg_of(made.kind, &made.quantisers, &mixed);
            prop_assert!(picture.jpeg == mixed);
        } else {
            let has_first = sent[1].first().is_some_and(|(_, payload)| jpeg::Payload::decode(payload).unwrap().offset == 0);
            let lacks_tables = made.kind.quality == 255 && !has_first;
            prop_assert!(came.is_empty() && (lacks_tables || made.kind.restart == 0 || !own.contains(&true)));
        }
    }

    #[test]
    fn any_bytes_are_survived_and_what_they_make_is_a_jpeg(
        noise in prop::collection::vec((any::<[u8; 3]>(), prop::collection::vec(any::<u8>(), 0..40)), 0..40),
        made in made(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut sent = packets(&[&made.jpeg, &made.jpeg], 400).concat();
        for (place, byte) in flips {
            let packet = place.index(sent.len());
            let payload = &mut sent[packet].1;
            // Mostly in the headers.
            let at = usize::from(byte) % payload.len().min(20);
            payload[at] ^= byte;
        }
        for cut in cuts {
            let packet = cut.index(sent.len());
            let payload = &mut sent[packet].1;
            payload.truncate(cut.index(payload.len().max(1)));
        }
        let header = |[a, b, c]: [u8; 3]| Header {
            marker: a & 1 != 0, payload_type: 26, sequence: b.into(), timestamp: (c & 3).into(), ssrc: 0,
        };
        sent.extend(noise.into_iter().map(|(head, payload)| (header(head), payload)));
        let mut depacketizer = Depacketizer::default();
        let mut came = push_all(&mut depacketizer, &sent);
        came.extend(depacketizer.finish());
        for picture in came {
            let (kept, _) = segments::of(&picture.jpeg).unwrap();
            prop_assert!(segments::parse(&kept).is_ok() && picture.jpeg.ends_with(&[0xFF, EOI]));
        }
    }
}

/// 4:2:0, 16 MCUs in four rows, with a marker a row.
fn four_rows() -> Made {
    let kind = Kind {
        sampling: crate::picture::Sampling::Yuv420,
        quality: 60,
        size: crate::picture::Size { width: 64, height: 64 },
        restart: 4,
    };
    let quantisers = tables::quantisers(60);
    let intervals: Vec<Vec<u8>> = (1..5).map(|row| vec![row; 500]).collect();
    let jpeg = jpeg_of(kind, &quantisers, &intervals);
    Made { kind, quantisers, intervals, jpeg }
}

#[test]
fn with_no_picture_before_what_is_missing_is_grey() {
    let made = four_rows();
    let mut sent = packets(&[&made.jpeg], 600).remove(0);
    assert_eq!(sent.len(), 4);
    sent.remove(2);
    let mut depacketizer = Depacketizer::default();
    assert!(push_all(&mut depacketizer, &sent).is_empty(), "it may still come");
    let picture = depacketizer.finish().unwrap();
    let mut mixed = made.intervals.clone();
    mixed[2] = grey(made.kind, 4).unwrap();
    assert!(!picture.whole && picture.jpeg == jpeg_of(made.kind, &made.quantisers, &mixed));
}

#[test]
fn what_comes_late_changes_nothing_and_a_sender_that_begins_anew_is_heard() {
    let made = four_rows();
    let sent = packets(&[&made.jpeg, &made.jpeg], 600);
    let mut depacketizer = Depacketizer::default();
    assert!(push_all(&mut depacketizer, &sent[0][..2]).is_empty());
    assert_eq!(push_all(&mut depacketizer, &sent[1]).len(), 2, "the one before, as far as it came, and this one");
    assert!(push_all(&mut depacketizer, &sent[0][2..]).is_empty());
    assert!(push_all(&mut depacketizer, &sent[1]).is_empty(), "it was shown");
    let mut anew = sent[0].clone();
    anew.iter_mut().for_each(|(header, _)| header.sequence = header.sequence.wrapping_sub(30_000));
    assert_eq!(push_all(&mut depacketizer, &anew).len(), 1);
}

#[test]
fn tables_of_a_value_of_q_that_keeps_them_need_to_come_once() {
    let made = four_rows();
    let mut sent = packets(&[&made.jpeg, &made.jpeg], 600);
    for (picture, tables) in [(0, 128_u8), (1, 0)] {
        for (index, (_, payload)) in sent[picture].iter_mut().enumerate() {
            payload[5] = 200;
            if index == 0 {
                let tables = [&[0, 0, 0, tables][..], &vec![9; tables.into()]].concat();
                payload.splice(12..12, tables);
            }
        }
    }
    let came = push_all(&mut Depacketizer::default(), &sent.concat());
    assert!(came.len() == 2 && came[0].jpeg == came[1].jpeg);
    let without = push_all(&mut Depacketizer::default(), &sent[1]);
    assert!(without.is_empty(), "nobody knows its tables");
}

#[test]
fn no_more_is_kept_than_the_longest_scan() {
    let mut depacketizer = Depacketizer::default();
    let header = |sequence: u32| Header { marker: false, payload_type: 26, sequence: sequence as u16, timestamp: 1, ssrc: 1 };
    for number in 0..10_000_u32 {
        let offset = (number * 1200).to_be_bytes();
        let payload = [&[0, offset[1], offset[2], offset[3], 1, 50, 100, 100][..], &[1; 1200]].concat();
        depacketizer.push(&header(number), &payload);
    }
    let (assembly, _) = depacketizer.newest.as_ref().unwrap();
    assert!(assembly.bytes.len() <= LONGEST && assembly.pieces.len() <= MOST_PACKETS);
}
