//! What fits and what does not, and payloads byte by byte.

use super::super::testing::{Made, jpeg, made};
use super::*;
use proptest::prelude::*;

fn payloads(jpeg: &[u8], longest: usize) -> Vec<Vec<u8>> {
    let picture = Picture::new(jpeg).unwrap();
    let write = |fragment: &Fragment| {
        let mut out = Vec::new();
        picture.write(fragment, &mut out);
        out
    };
    picture.fragments(longest).iter().map(write).collect()
}

/// 32x16 in 4:2:0: two MCUs, with a marker between them.
fn two_intervals(quantisers: &Quantisers) -> Vec<u8> {
    let mut out = Vec::new();
    tables::header_with(&mut out, quantisers, Sampling::Yuv420, Size { width: 32, height: 16 }, 1);
    out.extend([1, 2, 0xFF, 0, 3, 0xFF, RST0, 4, 5, 0xFF, EOI]);
    out
}

#[test]
fn a_payload_has_the_headers_of_rfc_2435_in_front_of_its_bytes_of_the_scan() {
    let expected: &[u8] = &[
        0, 0, 0, 0, // not interlaced, offset 0
        65, 80, 4, 2, // 4:2:0 with restart markers, Q, 32 and 16 by eights
        0, 1, 0xC0, 0, // a marker each MCU; begins and ends with an interval, the first
        1, 2, 0xFF, 0, 3, 0xFF, RST0, 4, 5,
    ];
    assert_eq!(payloads(&two_intervals(&tables::quantisers(80)), 1400), [expected]);
}

#[test]
fn tables_of_no_quality_travel_in_the_first_packet() {
    let mut quantisers = tables::quantisers(80);
    quantisers[1][63] ^= 1;
    let sent = payloads(&two_intervals(&quantisers), 1400);
    assert_eq!(sent[0][..12], [0, 0, 0, 0, 65, 255, 4, 2, 0, 1, 0xC0, 0]);
    assert_eq!(sent[0][12..16], [0, 0, 0, 128], "tables of 8 bits, 128 bytes of them");
    assert_eq!(sent[0][16..144], *quantisers.as_flattened());
    assert_eq!(sent[0][144..], [1, 2, 0xFF, 0, 3, 0xFF, RST0, 4, 5]);
    let of_quality_100 = payloads(&two_intervals(&tables::quantisers(100)), 1400);
    assert_eq!(of_quality_100[0][5], 255, "RFC 2435 has qualities up to 99");
}

#[test]
fn packets_hold_whole_intervals_and_one_that_is_longer_has_packets_of_its_own() {
    let lens = [100, 100, 700, 90, 90];
    let intervals: Vec<Vec<u8>> = lens.iter().map(|len| vec![7; *len]).collect();
    let kind = Kind { sampling: Sampling::Yuv422, quality: 50, size: Size { width: 64, height: 40 }, restart: 4 };
    let jpeg = jpeg(kind, &tables::quantisers(50), &intervals);
    let cut: Vec<_> = payloads(&jpeg, 300)
        .iter()
        .map(|payload| {
            let Payload { offset, intervals, scan, .. } = Payload::decode(payload).unwrap();
            let Intervals { begins, ends, first } = intervals.unwrap();
            (offset, scan.len(), begins, ends, first)
        })
        .collect();
    let expected = [
        (0, 204, true, true, 0),
        (204, 288, true, false, 2),
        (492, 288, false, false, 2),
        (780, 126, false, true, 2),
        (906, 182, true, true, 3),
    ];
    assert_eq!(cut, expected);
}

#[test]
fn more_intervals_than_have_a_number_are_cut_anywhere() {
    let kind = Kind { sampling: Sampling::Yuv422, quality: 50, size: Size { width: 2040, height: 2040 }, restart: 1 };
    let intervals = vec![vec![1]; kind.intervals()];
    let sent = payloads(&jpeg(kind, &tables::quantisers(50), &intervals), 1400);
    assert!(kind.intervals() > 0x3FFF && sent.iter().all(|payload| payload[8..12] == [0, 1, 0xFF, 0xFF]));
}

#[test]
fn without_restart_markers_there_is_no_header_of_theirs() {
    let kind = Kind { sampling: Sampling::Yuv422, quality: 7, size: Size { width: 16, height: 8 }, restart: 0 };
    let sent = payloads(&jpeg(kind, &tables::quantisers(7), &[vec![9; 3]]), 1400);
    assert_eq!(sent, [[0, 0, 0, 0, 0, 7, 2, 1, 9, 9, 9]]);
}

#[test]
fn what_does_not_fit_says_so() {
    let size = Size { width: 32, height: 16 };
    let with = |sampling, size, restart| {
        let mut out = Vec::new();
        tables::header(&mut out, 80, sampling, size, restart);
        out.extend([1, 0xFF, EOI]);
        Picture::new(&out).map(|_| ())
    };
    for sampling in [Sampling::Grey, Sampling::Yuv444, Sampling::Yuv440] {
        assert_eq!(with(sampling, size, 0), Err(Unfit::Sampling(sampling)));
    }
    for (width, height) in [(1366, 768), (2048, 8), (8, 2048), (8, 4)] {
        let size = Size { width, height };
        assert_eq!(with(Sampling::Yuv420, size, 0), Err(Unfit::Size(size)));
    }
    assert_eq!(with(Sampling::Yuv420, size, 1), Err(Unfit::Markers), "one is missing");
    assert!(with(Sampling::Yuv420, size, 0).is_ok());
    let good = two_intervals(&tables::quantisers(80));
    let changed = |from: usize, byte: u8| {
        let mut bad = good.clone();
        bad[from] = byte;
        Picture::new(&bad).map(|_| ())
    };
    let place = |marker: u8| good.windows(2).position(|pair| pair == [0xFF, marker]).unwrap();
    assert_eq!(changed(good.len() - 5, RST0 + 1), Err(Unfit::Markers));
    assert_eq!(changed(place(DHT) + 5 + 16, 1), Err(Unfit::Huffman), "a symbol is another");
    assert_eq!(changed(place(SOF0) + 18, 0), Err(Unfit::Quantisers), "red has the table of luma");
    assert!(matches!(changed(place(SOF0) + 1, 0xC2), Err(Unfit::Jpeg(Refusal::Unfit(_)))), "progressive");
    assert!(matches!(changed(place(DQT) + 4, 0x10), Err(Unfit::Jpeg(_))), "16 bits");
    for len in 0..good.len() {
        assert!(Picture::new(&good[..len]).is_err(), "{len}");
    }
}

#[test]
fn payloads_of_no_meaning_are_refused() {
    let good: &[u8] = &[0, 0, 0, 0, 65, 80, 4, 2, 0, 1, 0xC0, 0, 1, 2, 3];
    let with = |at: usize, byte: u8| {
        let mut other = good.to_vec();
        other[at] = byte;
        Payload::decode(&other).is_some()
    };
    assert!(Payload::decode(good).is_some());
    // A field of an interlaced picture, a type without a meaning, two values of Q, no width, no height, no MCUs between markers.
    for (at, byte) in [(0, 1), (0, 2), (4, 66), (4, 2), (4, 193), (5, 0), (5, 100), (5, 127), (6, 0), (7, 0), (9, 0)] {
        assert!(!with(at, byte), "{byte} at {at}");
    }
    assert!((0..12).all(|len| Payload::decode(&good[..len]).is_none()));
    let tables = |precision: u8, len: u8, table: u8| {
        let payload = [&[0, 0, 0, 0, 1, 200, 4, 2, 0, precision, 0, len][..], &[table; 130]].concat();
        Payload::decode(&payload).map(|payload| (payload.quantisers.map(|[luma, _]| luma[0]), payload.scan.len()))
    };
    assert_eq!(tables(0, 128, 7), Some((Some(7), 2)));
    assert_eq!(tables(0, 64, 7), Some((Some(7), 66)), "one for both");
    assert_eq!(tables(0, 0, 7), Some((None, 130)), "those that came before");
    assert_eq!([tables(1, 128, 7), tables(0, 131, 7), tables(0, 30, 7), tables(0, 128, 0)], [None; 4]);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Payload::decode(&bytes);
        let _ = Picture::new(&[&[0xFF, 0xD8], &bytes[..]].concat());
    }

    #[test]
    fn no_payload_is_longer_than_it_may_be_and_all_bytes_are_there_in_order(made in made(), longest in 300_usize..1500) {
        let Made { jpeg, .. } = &made;
        let sent = payloads(jpeg, longest);
        let mut scan = Vec::new();
        for payload in &sent {
            prop_assert!(payload.len() <= longest);
            let payload = Payload::decode(payload).unwrap();
            prop_assert_eq!(payload.offset, scan.len());
            prop_assert_eq!(payload.kind, Picture::new(jpeg).unwrap().kind());
            scan.extend_from_slice(payload.scan);
        }
        prop_assert!(jpeg[..jpeg.len() - 2].ends_with(&scan));
    }
}
