//! Every message ↔ committed bytes (`vectors/*.hex`), and what must not be taken for one. PROTOCOL.md draws what stands here.
//!
//! A vector that changes is another protocol: raise `wire::VERSION` with it. `EYELINE_WRITE_VECTORS=1` writes the files anew.

use eyeline_proto::crypto::{Handshake, Key, Opener, Psk, Sealer, Side, TAG};
use eyeline_proto::picture::mcu_set::{McuSet, Owed};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::sound::{Block, Numbered, Packet};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::{FragmentHead, HEADER_LEN, Header, Message, Nack, Ranges, Shard};
use eyeline_proto::wire::mcus::Mcus;
use eyeline_proto::wire::preamble::{self, Answer, Opening, Refusal};
use eyeline_proto::wire::record::{
    End, Film, Format, Hello, Media, Reason, Record, Relayed, Rendezvous, Steer, Text, Track, Want, Whole,
};
use eyeline_proto::wire::report::{MAX_TRACKS, Misses, Report, TrackReport, TrackReports, Train, Trains};
use eyeline_proto::wire::slice::{Head, Tables};
use eyeline_proto::wire::sound::{Packets, Piece, SoundRequest};
use eyeline_proto::wire::{Error, Reader, VERSION};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).expect("a hex digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The committed bytes by name, after comparing them with what the code writes now.
fn committed(file: &str, written: &[(&str, Vec<u8>)]) -> BTreeMap<String, Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let mut text = String::new();
    for (name, bytes) in written {
        writeln!(text, "{name} {}", hex(bytes)).expect("a string grows");
    }
    if std::env::var_os("EYELINE_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).expect("the file can be written");
    }
    let stored = std::fs::read_to_string(&path).expect("the vectors are committed");
    for (new, old) in text.lines().zip(stored.lines()) {
        assert_eq!(new, old, "{file}");
    }
    assert_eq!(text.lines().count(), stored.lines().count(), "{file}");
    let lines = stored.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, bytes)| (name.to_string(), unhex(bytes))).collect()
}

fn sound() -> Numbered<MediaTime> {
    let capture = MediaTime::from_nanos(0x1112_1314_1516_1718);
    let block = Block { capture, channels: 2, samples: [1, 2, -1, -0x8000].into() };
    Numbered { number: 0x0102_0304_0506_0708, block }
}

fn packet(number: u64) -> Numbered<MediaTime, Packet> {
    let capture = MediaTime::from_nanos(0x1112_1314_1516_1718);
    Numbered { number, block: Block { capture, channels: 2, samples: (*b"packet").into() } }
}

fn nack() -> Nack {
    let mut missing = Ranges::new();
    assert!([5, 6, 7, 9, 0x0102_0304_0506].into_iter().all(|number| missing.push(number)));
    Nack { highest: 0x0102_0304_0507, tail: true, patience_ms: 66, missing }
}

/// Name, message, and how many of its first bytes no shorter message of the same kind could be.
fn messages() -> Vec<(&'static str, Message<'static>, usize)> {
    let fragment = FragmentHead { picture: 0x0102_0304, slice: 5, last_slice: 6, index: 0x0708, last_index: 0x090A };
    let shard = Shard {
        picture: 0x0102_0304,
        last_slice: 8,
        first_slice: 5,
        index: 1,
        recovery: 2,
        last_indices: &[0, 7, 0, 8],
        payload: b"shards",
    };
    let mut trains = Trains::default();
    trains.push(Train { first: 0x1111_1111, packets: 0x1212, at_us: 0x1313_1313, span_us: 0x1414_1414, bytes: 0x1515_1515 });
    trains.push(Train { first: 0x2121_2121, packets: 0x2222, at_us: 0x2323_2323, span_us: 0x2424_2424, bytes: 0x2525_2525 });
    let mut tracks = TrackReports::default();
    tracks.put(TrackReport { track: 3, settled: 0x0505_0505_0505_0505, shown: 0x0606_0606, wait_ms: 0x0707, missed: 0x1515 });
    tracks.put(TrackReport {
        track: 9,
        settled: 0x0808_0808_0808_0808,
        shown: 0x0909_0909,
        wait_ms: 0x0A0A,
        missed: 0x1616_0000_0000_0000,
    });
    let report = Report {
        highest: 0x0101_0101_0101_0101,
        received: 0x0202_0202_0202_0202,
        lost: 0x0303_0303_0303_0303,
        bytes: 0x0404_0404_0404_0404,
        trains,
        tracks,
    };
    let pong = Message::Pong {
        asked: 0x0102_0304_0506_0708,
        received: MediaTime::from_nanos(0x1112_1314_1516_1718),
        replied: MediaTime::from_nanos(0x2122_2324_2526_2728),
    };
    let piece = Piece {
        number: 0x01_0203_0405,
        capture: MediaTime::from_nanos(0x1112_1314_1516_1718),
        channels: 2,
        frames: 3,
        index: 2,
        payload: b"8 bytes.",
    };
    let block = |channels, nanos, samples| Block { capture: MediaTime::from_nanos(nanos), channels, samples };
    let packets = Packets {
        number: 0x0102_0304_0506_0708,
        newest: block(2, 0x1112_1314_1516_1718, &b"newest"[..]),
        before: Some(block(1, 0x2122_2324_2526_2728, b"before")),
    };
    vec![
        ("fragment", Message::Fragment(3, fragment, b"scan"), 13),
        ("shard", Message::Shard(3, shard), 17),
        ("nack", Message::Nack(nack()), 43),
        ("nack-empty", Message::Nack(Nack { tail: false, missing: Ranges::new(), ..nack() }), 13),
        ("challenge", Message::Challenge(*b"12345678"), 9),
        ("response", Message::Response(*b"12345678"), 9),
        ("ping", Message::Ping(0x0102_0304_0506_0708), 9),
        ("pong", pong, 25),
        ("report", Message::Report(report), 117),
        ("report-empty", Message::Report(Report { trains: Trains::default(), tracks: TrackReports::default(), ..report }), 35),
        ("report-track", Message::Report(Report { trains: Trains::default(), ..report }), 81),
        ("probe", Message::Probe(0x0102), 3),
        ("probe-ack", Message::ProbeAck(0x0102), 3),
        ("piece", Message::Piece(3, piece), 20),
        ("piece-mono", Message::Piece(3, Piece { channels: 1, frames: 4, payload: b"pair", ..piece }), 18),
        ("sound_request", Message::SoundRequest(3, SoundRequest { next: 0x0102_0304_0506_0708, pieces: 3 }), 11),
        ("packets", Message::Packets(3, packets), 36),
        ("packets-first", Message::Packets(3, Packets { before: None, ..packets }), 20),
        ("misses", Message::Misses(3, Misses { settled: 0x0102_0304_0506_0708, missed: 0x1112_1314_1516_1718 }), 18),
    ]
}

fn rendezvous() -> Rendezvous {
    let addresses = ["192.168.1.7:9688", "[2001:db8::7]:40000"].map(|address| address.parse().expect("an address")).to_vec();
    Rendezvous { guest: [0xB7; 16], attempt: 0x0102_0304, key: [0xC7; 32], dials: false, addresses }
}

#[test]
fn every_datagram_message_has_its_committed_bytes_and_comes_back_from_them() {
    let encode = |message: &Message<'_>| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes
    };
    let written: Vec<_> = messages().iter().map(|(name, message, _)| (*name, encode(message))).collect();
    let stored = committed("datagrams.hex", &written);
    let mut kinds = Vec::new();
    for (name, message, fixed) in messages() {
        let bytes = &stored[name];
        assert_eq!(Message::decode(bytes), Ok(message), "{name}");
        for len in 0..fixed {
            assert!(Message::decode(&bytes[..len]).is_err(), "{name} cut to {len} bytes");
        }
        assert!(Message::decode(&bytes[..fixed]).is_ok(), "{name}: {fixed} bytes are its least");
        kinds.push(bytes[0]);
        let open_end = matches!(
            message,
            Message::Fragment(..) | Message::Shard(..) | Message::Piece(..) | Message::Packets(..) | Message::Probe(_)
        );
        assert_eq!(Message::decode(&[bytes.as_slice(), &[0; 4]].concat()).is_ok(), open_end, "{name} with bytes behind it");
    }
    kinds.dedup();
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 14], "each kind has a vector");
    assert!([0, 9, 16, 99, 255].iter().all(|kind| Message::decode(&[&[*kind][..], &[0; 60]].concat()).is_err()));
}

/// What no honest sender says of packets: none, one longer than a frame may be, one before the first, bits that mean nothing.
#[test]
fn packets_that_cannot_be_are_refused() {
    let packets = |number: u8, form: u8, before: Option<u16>, newest: usize| {
        let mut bytes = [&[15, 3, 0, 0, 0, 0, 0, 0, 0, number, form][..], &[9; 8]].concat();
        if let Some(len) = before {
            bytes.extend_from_slice(&[8; 8]);
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend(std::iter::repeat_n(7, len.into()));
        }
        bytes.extend(std::iter::repeat_n(6, newest));
        Message::decode(&bytes).is_ok()
    };
    assert!(packets(1, 7, Some(1275), 1275) && packets(0, 1, None, 1) && packets(1, 2, Some(1), 1));
    assert!(
        !packets(1, 2, Some(0), 1) && !packets(1, 2, Some(1276), 1) && !packets(1, 2, Some(1), 0) && !packets(1, 0, None, 1276)
    );
    assert!(!packets(0, 2, Some(1), 1) && !packets(1, 4, None, 9) && !packets(1, 8, None, 9) && !packets(1, 0x80, None, 9));
    let record =
        |channels: u8, len: usize| Record::decode(&[&[10, 3][..], &[0; 16], &[channels], &vec![5; len]].concat()).is_ok();
    assert!(record(1, 1) && record(2, 1275));
    assert!(!record(0, 9) && !record(3, 9) && !record(1, 0) && !record(1, 1276));
}

/// What no honest piece or report says.
#[test]
fn pieces_and_reports_that_cannot_be_are_refused() {
    let piece =
        |form: u8, payload: usize| [&[12, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9][..], &[form], &vec![7; payload]].concat();
    for (form, payload, frames) in [(0, 2, 2), (0x08, 2, 1), (0x04, 4, 2), (0x0F, 960, 479), (0, 480, 480)] {
        match Message::decode(&piece(form, payload)) {
            Ok(Message::Piece(3, piece)) => assert_eq!((piece.frames, piece.number), (frames, 1), "{form:x}"),
            other => panic!("{form:x}: {other:?}"),
        }
    }
    for (form, payload) in [(0, 0), (0, 3), (0x04, 2), (0x04, 6), (0, 482), (0x04, 964), (0x10, 2), (0x80, 2)] {
        assert!(Message::decode(&piece(form, payload)).is_err(), "{form:x} of {payload} bytes");
    }
    let report = |tracks: &[u8]| {
        let tracks =
            [&[tracks.len() as u8][..], &tracks.iter().flat_map(|track| [&[*track][..], &[0; 22]].concat()).collect::<Vec<u8>>()]
                .concat();
        Message::decode(&[&[8][..], &[0; 32], &[0], &tracks].concat()).is_ok()
    };
    let numbers: Vec<u8> = (0..=MAX_TRACKS as u8).collect();
    assert!(report(&[]) && report(&numbers[1..]) && !report(&numbers) && !report(&[4, 5, 4]));
}

fn hello() -> Hello {
    Hello {
        offers: Media::NONE,
        wants: Media::LIVE,
        capabilities: 0x0102_0304,
        id: [1; 16],
        resume: [2; 16],
        token: [3; 16],
        connection: 0x0405_0607,
        key: [8; 32],
        name: "Küche".to_string(),
    }
}

fn records() -> Vec<(&'static str, Record)> {
    let film = Media { pictures: true, sound: false, lossless: true };
    let file = Media { pictures: false, sound: true, lossless: true };
    let format = Format {
        rate: Rate::new(30_000, 1001),
        variable: true,
        size: Some(Size { width: 1280, height: 720 }),
        channels: 2,
        first: 0x0102_0304_0506_0708,
    };
    let track =
        Track {
            number: 3, media: Media::LIVE, muted: false, closed: false, origin: [5; 16], label: "Küche".to_string(), format
        };
    let want = Want {
        pictures: true,
        sound: false,
        pixels: 0x0102_0304,
        rate: 0x0102_0304_0506_0708,
        whole: Whole::Everybody,
        samples: false,
    };
    let mut lacking = McuSet::new(Size { width: 1280, height: 720 }, Sampling::Yuv420);
    lacking.insert_runs([2..5, 3599..3600].into_iter());
    let text = Text { origin: [5; 16], name: "Küche".to_string(), line: "Komm essen!".to_string() };
    let film_at = Film {
        paused: false,
        steered: true,
        sought: true,
        others: 0,
        played: Duration::from_nanos(0x1112_1314_1516_1718),
        place: Duration::from_nanos(0x2122_2324_2526_2728),
        length: Some(Duration::from_nanos(0x3132_3334_3536_3738)),
        first: 0x0142_4344_4546_4748,
        first_block: 0x0252_5354_5556_5758,
    };
    vec![
        ("hello-receiver", Record::Hello(hello())),
        ("hello-sender", Record::Hello(Hello { offers: film, wants: Media::NONE, name: String::new(), ..hello() })),
        ("hello-both", Record::Hello(Hello { offers: Media::LIVE, wants: file, ..hello() })),
        ("track", Record::Track(track.clone())),
        ("track-pictures", Record::Track(Track { media: film, format: Format { channels: 0, ..format }, ..track.clone() })),
        ("track-silent", Record::Track(Track { muted: true, closed: true, ..track.clone() })),
        ("track-over", Record::Track(Track { media: Media::NONE, format: Format::default(), ..track.clone() })),
        ("track-sound", Record::Track(Track { media: file, format: Format { channels: 1, ..Format::default() }, ..track })),
        ("sound", Record::Sound(3, sound())),
        ("end", Record::End(3, End { pictures: 0x0102, blocks: 0x0304 })),
        ("goodbye-quit", Record::Goodbye(Reason::Quit, "bye".to_string())),
        ("goodbye-busy", Record::Goodbye(Reason::Busy, "this receiver shows another sender".to_string())),
        ("goodbye-protocol", Record::Goodbye(Reason::Protocol, String::new())),
        ("goodbye-failed", Record::Goodbye(Reason::Failed, String::new())),
        ("goodbye-renew", Record::Goodbye(Reason::Renew, String::new())),
        ("goodbye-replaced", Record::Goodbye(Reason::Replaced, String::new())),
        ("goodbye-declined", Record::Goodbye(Reason::Declined, "the call was declined".to_string())),
        ("taken", Record::Taken),
        ("rendezvous", Record::Rendezvous(rendezvous())),
        ("rendezvous-dials", Record::Rendezvous(Rendezvous { dials: true, addresses: Vec::new(), ..rendezvous() })),
        ("addresses", Record::Addresses(rendezvous().addresses)),
        ("addresses-none", Record::Addresses(Vec::new())),
        ("relayed", Record::Relayed(Relayed { guest: [0xB7; 16], attempt: 0x0102_0304, bytes: b"bytes".to_vec() })),
        ("relayed-closed", Record::Relayed(Relayed { guest: [0xB7; 16], attempt: 0x0102_0304, bytes: Vec::new() })),
        ("goodbye-full", Record::Goodbye(Reason::Full, String::new())),
        ("text", Record::Text(text)),
        ("want", Record::Want(3, want)),
        ("want-whole-for-some", Record::Want(3, Want { whole: Whole::Somebody, ..want })),
        ("want-samples", Record::Want(3, Want { whole: Whole::Nobody, samples: true, ..want })),
        ("want-nothing", Record::Want(3, Want::default())),
        ("refresh", Record::Refresh(3, Owed::Some(lacking))),
        ("refresh-all", Record::Refresh(3, Owed::All)),
        ("packet", Record::Packet(3, packet(0x0102_0304_0506_0708))),
        ("heard-not", Record::Heard(false)),
        ("heard", Record::Heard(true)),
        ("same", Record::Same([0xA7; 32])),
        ("steer-pause", Record::Steer(3, Steer { paused: Some(true), to: None })),
        ("steer-on", Record::Steer(3, Steer { paused: Some(false), to: None })),
        ("steer-to", Record::Steer(3, Steer { paused: None, to: Some(Duration::from_nanos(0x0102_0304_0506_0708)) })),
        ("film", Record::Film(3, film_at)),
        ("film-paused", Record::Film(3, Film { paused: true, length: None, others: 0x0102, ..film_at })),
    ]
}

#[test]
fn every_record_has_its_committed_bytes_and_comes_back_from_them() {
    let encode = |record: &Record| {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        bytes
    };
    let written: Vec<_> = records().iter().map(|(name, record)| (*name, encode(record))).collect();
    let stored = committed("records.hex", &written);
    for (name, record) in records() {
        let bytes = &stored[name];
        assert_eq!(Record::decode(bytes).as_ref(), Ok(&record), "{name}");
        let shortest = match record {
            Record::Sound(..) => 23,
            Record::Packet(..) => 20,
            Record::Relayed(_) => 21,
            _ => bytes.len(),
        };
        for len in 0..shortest {
            assert!(Record::decode(&bytes[..len]).is_err(), "{name} cut to {len} bytes");
        }
        if shortest == bytes.len() && !matches!(record, Record::Relayed(_)) {
            assert!(Record::decode(&[bytes.as_slice(), &[0]].concat()).is_err(), "{name} with a byte behind it");
        }
    }
}

/// What a later program says more is skipped where that may be, and is a mistake elsewhere.
#[test]
fn fields_and_records_of_later_programs_are_skipped() {
    let mut bytes = Vec::new();
    Record::Hello(hello()).encode(&mut bytes);
    let fields: &[u8] = &[0, 0, 0, 77, 0, 3, 1, 2, 3, 255, 1, 0];
    let mut more = [&bytes, fields, &[9; 256]].concat();
    assert_eq!(Record::decode(&more), Ok(Record::Hello(hello())));
    (more[1], more[2]) = (more[1] | 0xF8, more[2] | 0xF8);
    assert_eq!(Record::decode(&more), Ok(Record::Hello(hello())), "media that are not known");
    for len in bytes.len() + 1..more.len() {
        let whole = [3, 9].contains(&(len - bytes.len()));
        assert_eq!(Record::decode(&more[..len]).is_ok(), whole, "cut to {len} bytes");
    }
    for kind in 0..=255 {
        let bytes = [kind];
        let decoded = Record::decode(&bytes);
        match kind {
            67 => assert_eq!(decoded, Ok(Record::Taken)),
            1..=10 | 64..=66 | 68..=70 => assert!(matches!(decoded, Err(Error::Truncated { .. })), "{kind}"),
            71.. => assert!(matches!(decoded, Err(Error::Unknown { .. })), "{kind}"),
            _ => assert!(matches!(decoded, Err(Error::Invalid { field: "record kind", .. })), "{kind}"),
        }
    }
}

#[test]
fn a_name_is_cut_at_a_character_and_control_characters_are_replaced() {
    let name = "ü".repeat(200);
    let mut bytes = Vec::new();
    Record::Hello(Hello { name, ..hello() }).encode(&mut bytes);
    let Ok(Record::Hello(back)) = Record::decode(&bytes) else { panic!("no hello") };
    assert_eq!(back.name, "ü".repeat(127));
    let mut bytes = Vec::new();
    Record::Goodbye(Reason::Quit, "\x1b[2Jhi".to_string()).encode(&mut bytes);
    assert_eq!(Record::decode(&bytes), Ok(Record::Goodbye(Reason::Quit, "\u{fffd}[2Jhi".to_string())));
    // What hides, or turns the text around it, is as little let through to a terminal or a title.
    for c in ['\u{202e}', '\u{200b}', '\u{feff}', '\u{e000}'] {
        let mut bytes = Vec::new();
        Record::Goodbye(Reason::Quit, format!("a{c}b")).encode(&mut bytes);
        assert_eq!(Record::decode(&bytes), Ok(Record::Goodbye(Reason::Quit, "a\u{fffd}b".to_string())));
    }
}

fn heads() -> Vec<(&'static str, Head<'static>)> {
    let own = Head {
        sampling: Sampling::Yuv420,
        tables: Tables::Own(80),
        size: Size { width: 1280, height: 720 },
        top: 48,
        rows: 32,
        restart: 80,
        capture: MediaTime::from_nanos(0x0102_0304_0506_0708),
        queued: Duration::from_micros(1230),
        encoded: Duration::from_micros(4560),
        shared: 3,
        owed: 5,
        position: None,
        mcus: None,
    };
    let foreign = Head { tables: Tables::Foreign(b"\xFF\xDBtables"), sampling: Sampling::Yuv422, restart: 0, ..own };
    let grey = Head { sampling: Sampling::Grey, tables: Tables::Own(100), ..own };
    let full = Head { sampling: Sampling::Yuv444, tables: Tables::Own(1), top: 0, rows: 720, ..own };
    let tall = Head { sampling: Sampling::Yuv440, ..own };
    let film = Head { position: Some(Duration::from_nanos(0x2122_2324_2526_2728)), ..own };
    let of_160 = |bytes| Some(Mcus::decode(&mut Reader::new(bytes), 160).expect("MCUs of a band of 160"));
    let packed = Head { mcus: of_160(b"\x00\x03\x01\x00\x02\x4F\x01"), ..own };
    let empty = Head { mcus: of_160(b"\x00\x00\x01"), ..film };
    vec![
        ("own", own),
        ("foreign", foreign),
        ("grey", grey),
        ("full", full),
        ("tall", tall),
        ("film", film),
        ("packed", packed),
        ("empty", empty),
    ]
}

#[test]
fn every_slice_head_has_its_committed_bytes_and_comes_back_from_them() {
    let encode = |head: &Head<'_>| {
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        bytes
    };
    let written: Vec<_> = heads().iter().map(|(name, head)| (*name, encode(head))).collect();
    let stored = committed("slices.hex", &written);
    for (name, head) in heads() {
        let bytes = &stored[name];
        assert_eq!(Head::decode(&[bytes.as_slice(), b"scan"].concat()), Ok((head, &b"scan"[..])), "{name}");
        for len in 0..bytes.len() {
            assert!(Head::decode(&bytes[..len]).is_err(), "{name} cut to {len} bytes");
        }
        for later in [0x10, 0x20, 0x38, 0x06] {
            assert!(Head::decode(&[&[bytes[0] | later], &bytes[1..]].concat()).is_err(), "{name} with bits {later:x}");
        }
    }
}

#[test]
fn openings_and_answers_have_their_committed_bytes() {
    let refusals = [
        ("answer-version", Refusal::Version),
        ("answer-key-missing", Refusal::KeyMissing),
        ("answer-key-wrong", Refusal::KeyWrong),
        ("answer-address", Refusal::Address),
        ("answer-full", Refusal::Full),
        ("answer-other", Refusal::Other),
    ];
    let mut written = vec![
        ("opening", Opening::new(false, 32).encode().to_vec()),
        ("opening-keyed", Opening::new(true, 48).encode().to_vec()),
        ("answer", Answer { version: VERSION, refusal: None, len: 48 }.encode().to_vec()),
    ];
    for (name, refusal) in refusals {
        written.push((name, Answer { version: VERSION, refusal: Some(refusal), len: 300 }.encode().to_vec()));
    }
    let stored = committed("preambles.hex", &written);
    for (name, bytes) in &stored {
        let bytes = bytes.first_chunk::<{ preamble::LEN }>().expect("eight bytes");
        if name.starts_with("opening") {
            assert_eq!(Opening::decode(bytes).map(|opening| opening.encode()), Ok(*bytes), "{name}");
        } else {
            assert_eq!(Answer::decode(bytes).map(|answer| answer.encode()), Ok(*bytes), "{name}");
        }
        for at in 0..4 {
            let mut other = *bytes;
            other[at] ^= 1;
            assert!(Opening::decode(&other).is_err() && Answer::decode(&other).is_err(), "the magic's byte {at}");
        }
    }
}

/// Header, sealed message, tag, as `session::path` puts them together.
fn sealed(number: u64) -> Vec<u8> {
    let header = Header { connection: 0x0A0B_0C0D, number: number as u32 }.encode();
    let mut body = Vec::new();
    Message::Ping(0x0102_0304_0506_0708).encode(&mut body);
    let tag = Sealer::new(&Key::from_bytes([7; 32])).seal(number, &header, &mut body);
    [&header[..], &body, &tag].concat()
}

fn open(datagram: &[u8], high: u64) -> Option<Vec<u8>> {
    let mut datagram = datagram.to_vec();
    let header = Header::decode(&datagram).ok()?;
    let (head, body) = datagram.split_at_mut(HEADER_LEN);
    let opener = Opener::new(&Key::from_bytes([7; 32]));
    opener.open(high << 32 | u64::from(header.number), head, body).ok().map(|plain| plain.to_vec())
}

#[test]
fn every_flipped_bit_of_a_sealed_datagram_and_every_truncation_fails_to_open() {
    let written = [("ping-5", sealed(5)), ("ping-after-the-wrap", sealed(1 << 32 | 5))];
    let stored = committed("sealed.hex", &written);
    let datagram = &stored["ping-5"];
    assert_eq!(datagram.len(), HEADER_LEN + 9 + TAG);
    assert!(open(datagram, 0).is_some_and(|plain| Message::decode(&plain) == Ok(Message::Ping(0x0102_0304_0506_0708))));
    for bit in 0..datagram.len() * 8 {
        let mut flipped = datagram.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open(&flipped, 0), None, "bit {bit}");
    }
    for len in 0..datagram.len() {
        assert_eq!(open(&datagram[..len], 0), None, "{len} bytes");
    }
    let wrapped = &stored["ping-after-the-wrap"];
    assert_eq!((wrapped[..HEADER_LEN] == datagram[..HEADER_LEN], open(wrapped, 0)), (true, None), "the nonce has all 64 bits");
    assert!(open(wrapped, 1).is_some());
}

/// The TCP conversation made with `snow` and `argon2` alone, as PROTOCOL.md §2 tells it; fixed ephemeral keys make its bytes the
/// same each time. Both of our sides must understand it.
fn transcript(passphrase: Option<&str>) -> Vec<(&'static str, Vec<u8>)> {
    let psk = passphrase.map(|passphrase| {
        let params = argon2::Params::new(19 * 1024, 2, 1, Some(32)).expect("fair");
        let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut key = [0; 32];
        argon2.hash_password_into(passphrase.as_bytes(), b"eyeline psk v1\0\0", &mut key).expect("derives");
        key
    });
    let pattern = match psk {
        None => "Noise_NN_25519_ChaChaPoly_BLAKE2s",
        Some(_) => "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s",
    };
    let len = if psk.is_some() { 48 } else { 32 };
    let opening = [b"EYEL".as_slice(), &[2, u8::from(psk.is_some()), 0, len]].concat();
    let builder = |ephemeral: &'static [u8; 32]| {
        let mut builder = snow::Builder::new(pattern.parse().expect("a pattern")).prologue(&opening).expect("set once");
        if let Some(psk) = &psk {
            builder = builder.psk(0, psk).expect("set once");
        }
        builder.fixed_ephemeral_key_for_testing_only(ephemeral)
    };
    let dial = || {
        let mut dialler = builder(&[0x11; 32]).build_initiator().expect("builds");
        let mut message = vec![0; 100];
        let len = dialler.write_message(&[], &mut message).expect("writes");
        message.truncate(len);
        (dialler, message)
    };
    let (mut dialler, first) = dial();
    let mut listener = builder(&[0x22; 32]).build_responder().expect("builds");
    listener.read_message(&first, &mut []).expect("reads");
    let mut second = vec![0; 100];
    let written = listener.write_message(&[], &mut second).expect("writes");
    second.truncate(written);
    dialler.read_message(&second, &mut []).expect("reads");

    // Our listener understands their first message, and our dialler would have sent one like it.
    let ours = passphrase.map(|passphrase| Psk::derive(passphrase).expect("derives"));
    let mut listening = Handshake::new(Side::Listener, ours.as_ref(), &opening).expect("starts");
    assert_eq!(listening.read(&first), Ok(()));
    let mut dialling = Handshake::new(Side::Dialler, ours.as_ref(), &opening).expect("starts");
    assert_eq!(dialling.write().expect("writes").len(), first.len());
    // One bit of the opening changed on the way: the prologue differs, and nothing opens.
    let mut tampered = opening.clone();
    tampered[5] ^= 4;
    let mut suspicious = Handshake::new(Side::Listener, ours.as_ref(), &tampered).expect("starts");
    let message = suspicious.read(&first).and_then(|()| suspicious.write());
    assert!(message.is_err() || message.is_ok_and(|message| dial().0.read_message(&message, &mut []).is_err()));

    let mut hello_record = Vec::new();
    Record::Hello(hello()).encode(&mut hello_record);
    let mut dialler = dialler.into_transport_mode().expect("shaken");
    let mut record = vec![0; 2 + hello_record.len() + 16];
    dialler.write_message(&hello_record, &mut record[2..]).expect("seals");
    let sealed_len = (hello_record.len() + 16) as u16;
    record[..2].copy_from_slice(&sealed_len.to_be_bytes());
    let answer = [b"EYEL".as_slice(), &[2, 0, 0, 48]].concat();
    let (one, two) = if psk.is_some() { ("keyed-dialler", "keyed-listener") } else { ("dialler", "listener") };
    vec![(one, [opening, first, record].concat()), (two, [answer, second].concat())]
}

#[test]
fn the_conversation_over_tcp_has_its_committed_form() {
    let written = [transcript(None), transcript(Some("correct horse battery staple"))].concat();
    let stored = committed("handshakes.hex", &written);
    let lengths: Vec<usize> = written.iter().map(|(name, _)| stored[*name].len()).collect();
    let hello = 2 + 98 + 16;
    assert_eq!(lengths, [8 + 32 + hello, 8 + 48, 8 + 48 + hello, 8 + 48]);
}
