//! The fuzzers' committed corpus, replayed: what once broke stays mended, without nightly and without libFuzzer.
//!
//! `EYELINE_WRITE_CORPUS=1` writes the seeds anew; what a fuzzer found is put beside them by hand.

#[path = "../fuzz/codec_targets.rs"]
mod codec_targets;
#[path = "../fuzz/targets.rs"]
mod targets;

use eyeline::codec::band_encoder::BandEncoder;
use eyeline::codec::coefficients::Coefficients;
use eyeline::codec::settings::Settings;
use eyeline::codec::stitch;
use eyeline_proto::media::parts::Parts;
use eyeline_proto::media::slice::{LENGTH_PREFIX, Slice};
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::{Message, Nack, Ranges};
use eyeline_proto::wire::mcus::{Mcus, Selection};
use eyeline_proto::wire::record::{Record, Text, Want};
use eyeline_proto::wire::report::{Report, TrackReport, Train};
use eyeline_proto::wire::slice::{Head, Tables};
use std::path::PathBuf;
use std::time::Duration;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Runs a target over its corpus, after writing `seeds` if asked to.
fn replay(name: &str, target: fn(&[u8]), seeds: impl Fn() -> Vec<(String, Vec<u8>)>) {
    let folder = corpus(name);
    if std::env::var_os("EYELINE_WRITE_CORPUS").is_some() {
        std::fs::create_dir_all(&folder).expect("a folder");
        for (name, bytes) in seeds() {
            std::fs::write(folder.join(name), bytes).expect("a file");
        }
    }
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let data = std::fs::read(entry.expect("an entry").path()).expect("a file");
        target(&data);
        // Its neighbours, too: one byte missing, one flipped.
        target(&data[..data.len().saturating_sub(1)]);
        for at in (0..data.len()).step_by(data.len() / 16 + 1) {
            let mut other = data.clone();
            other[at] ^= 0x41;
            target(&other);
        }
        count += 1;
    }
    assert!(count >= 4, "{name}: only {count} files");
}

/// The lines of a file of vectors.
fn vectors(file: &str) -> Vec<(String, Vec<u8>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto/tests/vectors").join(file);
    let text = std::fs::read_to_string(path).expect("the vectors are committed");
    let unhex = |text: &str| {
        text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    };
    text.lines().filter_map(|line| line.split_once(' ')).map(|(name, bytes)| (name.to_string(), unhex(bytes))).collect()
}

#[test]
fn datagrams_of_the_corpus_are_survived() {
    replay("datagram", targets::datagram, || vectors("datagrams.hex"));
}

#[test]
fn records_of_the_corpus_are_survived() {
    replay("record", targets::record, || vectors("records.hex"));
}

#[test]
fn slice_heads_of_the_corpus_are_survived() {
    replay("slice_head", targets::slice_head, || vectors("slices.hex"));
}

/// A small band, with a restart marker each MCU row.
fn band(sampling: Sampling) -> Slice {
    slice(sampling, None)
}

/// Every other MCU of it.
fn packed_band(sampling: Sampling) -> Slice {
    let mcus = sampling.mcus(Size { width: 48, height: 32 });
    let mcus = (mcus.width * mcus.height) as usize;
    let selection = Selection::new(mcus, (0..mcus).step_by(2)).expect("a few");
    slice(sampling, Some(selection.mcus()))
}

/// The same of a camera's JPEG, with its quantisers.
fn cut_band(sampling: Sampling) -> Slice {
    let jpeg = stitch::jpeg(&[&band(sampling)]).expect("joins");
    let mut picture = Coefficients::default();
    picture.read(&jpeg).expect("ours is as good as a camera's");
    let (sampling, size) = picture.kind().expect("it was read");
    let (mut changed, none) = (McuSet::new(size, sampling), McuSet::new(size, sampling));
    (0..changed.of()).step_by(2).for_each(|mcu| changed.insert(mcu));
    let settings = Settings { quality: 60, position: None };
    picture.slices(0, MediaTime::ZERO, settings, &Parts::some([&changed, &none, &none], 30.0)).unwrap().remove(0)
}

fn slice(sampling: Sampling, mcus: Option<Mcus<'_>>) -> Slice {
    let size = Size { width: 48, height: 32 };
    let head = Head {
        sampling,
        tables: Tables::Own(60),
        size,
        top: 0,
        rows: 32,
        restart: if mcus.is_some() { 5 } else { sampling.mcus(size).width as u16 },
        capture: MediaTime::ZERO,
        queued: Duration::ZERO,
        encoded: Duration::ZERO,
        shared: 1,
        owed: 1,
        position: None,
        mcus,
    };
    let planes: Vec<u8> = (0..sampling.bytes(size)).map(|at| (at * 37 % 251) as u8).collect();
    let mut encoder = BandEncoder::new().expect("starts");
    Slice::new(0, 0, 1, &head, encoder.encode(&planes, &head).expect("encodes"))
}

#[test]
fn jpeg_bands_of_the_corpus_are_survived() {
    replay("jpeg_band", codec_targets::jpeg_band, || {
        let samplings =
            [("grey", Sampling::Grey), ("420", Sampling::Yuv420), ("422", Sampling::Yuv422), ("444", Sampling::Yuv444)];
        let seed = |name: String, slice: Slice| (name, [&[0, 90][..], &slice.bytes()[LENGTH_PREFIX..]].concat());
        let whole = samplings.map(|(name, sampling)| seed(name.to_string(), band(sampling)));
        let packed = samplings.map(|(name, sampling)| seed(format!("packed-{name}"), packed_band(sampling)));
        let cut = samplings.map(|(name, sampling)| seed(format!("cut-{name}"), cut_band(sampling)));
        whole.into_iter().chain(packed).chain(cut).collect()
    });
}

fn step(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn wait(ms: u16) -> Vec<u8> {
    [&[4][..], &ms.to_be_bytes()].concat()
}

#[test]
fn scripts_of_the_corpus_are_survived_by_the_receiver() {
    replay("receiver", targets::receiver, || {
        let slice = band(Sampling::Yuv422);
        let fragment = |picture: u8, index: u8, last: u8, payload: &[u8]| {
            step(0, &[&[1, 0, 0, 0, 0, picture, 0, 0, 0, index, 0, last][..], payload].concat())
        };
        let (one, two) = slice.bytes().split_at(slice.bytes().len() / 2);
        let picture = [fragment(0, 0, 1, one), fragment(0, 1, 1, two), wait(40)].concat();
        let holes = [fragment(3, 0, 2, one), wait(60), fragment(9, 2, 2, two), fragment(200, 0, 0, two), wait(5000)].concat();
        // Of the track that it has, and of those that the vectors are of.
        let own = |bytes: &[u8]| {
            let mut own = bytes.to_vec();
            own[1] = 0;
            own
        };
        let both = |kind, bytes: &[u8]| [step(kind, bytes), step(kind, &own(bytes))].concat();
        let each = |file: &str, kind| vectors(file).iter().flat_map(|(_, bytes)| both(kind, bytes)).collect::<Vec<u8>>();
        let messages = [each("datagrams.hex", 0), wait(3), each("datagrams.hex", 2), wait(200)].concat();
        let records: Vec<u8> = vectors("records.hex")
            .iter()
            .filter(|(name, _)| !name.starts_with("hello") && !name.starts_with("goodbye"))
            .flat_map(|(_, bytes)| both(1, bytes))
            .collect();
        let leaving = [records.clone(), each("records.hex", 1), wait(1000), step(5, &[]), wait(60_000)].concat();
        let noise = [step(3, &[0, 5, 1, 2, 3, 4, 5]), step(2, b"noise"), wait(10)].concat();
        let far = [picture.clone(), step(0, &[1, 0, 0, 3, 0x4B, 0xBF, 0, 0, 0, 0, 0, 0, 9]), wait(100)].concat();
        live_and_film([
            ("picture", picture),
            ("holes", holes),
            ("messages", messages),
            ("records", [records, wait(2500)].concat()),
            ("leaving", leaving),
            ("noise", noise),
            ("far", far),
        ])
    });
}

/// Each script of a live sender, and the same of a film.
fn live_and_film<const N: usize>(scripts: [(&str, Vec<u8>); N]) -> Vec<(String, Vec<u8>)> {
    let both = scripts.into_iter().flat_map(|(name, bytes)| {
        let mut film = bytes.clone();
        film[0] |= targets::FILM;
        [(name.to_string(), bytes), (format!("{name}-film"), film)]
    });
    both.collect()
}

#[test]
fn scripts_of_the_corpus_are_survived_by_the_sender() {
    replay("sender", targets::sender, || {
        // Its own picture, and one that it forwards: a few packets each, numbered from 0.
        let sent = || [step(6, &[0x55; 3000]), step(7, &[0xAA; 900]), wait(33)].concat();
        let stream: Vec<u8> = (0..6).flat_map(|_| sent()).collect();
        let say = |message: &Message<'_>| {
            let mut plain = Vec::new();
            message.encode(&mut plain);
            step(0, &plain)
        };
        let tell = |record: Record| {
            let mut plain = Vec::new();
            record.encode(&mut plain);
            step(1, &plain)
        };
        let nack = |mut numbers: std::ops::Range<u64>, tail| {
            let (highest, mut missing) = (numbers.end, Ranges::new());
            assert!(numbers.all(|number| missing.push(number)));
            say(&Message::Nack(Nack { highest, tail, patience_ms: 500, missing }))
        };
        let report = |highest, lost| {
            let mut report =
                Report { highest, received: highest - lost, lost, bytes: highest.saturating_mul(1000), ..Report::default() };
            report.trains.push(Train { first: 2, packets: 3, at_us: 70_000, span_us: 900, bytes: 3000 });
            for track in 0..3 {
                report.tracks.put(TrackReport { track, settled: highest / 4, shown: 2, wait_ms: 50, missed: highest << 3 });
            }
            say(&Message::Report(report))
        };
        let want = |track, pixels, rate| tell(Record::Want(track, Want { pixels, rate, ..Want::ALL }));
        let text = |id: u8, line: &str| tell(Record::Text(Text { origin: [id; 16], name: "who".into(), line: line.into() }));
        let asks = [nack(2..9, false), wait(5), nack(2..9, true), nack(0..40, true), wait(20)].concat();
        let slow: Vec<u8> = (1..20).flat_map(|n| [sent(), report(n * 6, n * 2)].concat()).collect();
        let wants = [want(0, 1, 0), sent(), want(1, 0, 1), want(9, 5, 5), sent(), want(0, 0, 1000), wait(500)].concat();
        let own_line = text(2, "hello");
        let texts = [own_line.repeat(7), text(9, "of another"), text(3, "in a name that is not its own"), wait(900)].concat();
        let each = |file: &str, kind| vectors(file).iter().flat_map(|(_, bytes)| step(kind, bytes)).collect::<Vec<u8>>();
        let records: Vec<u8> = vectors("records.hex")
            .iter()
            .filter(|(name, _)| !name.starts_with("hello") && !name.starts_with("goodbye"))
            .flat_map(|(_, bytes)| step(1, bytes))
            .collect();
        let second = wait(1100);
        let far = [nack(u64::MAX - 9..u64::MAX, true), report(u64::MAX, 0), wait(100), sent()].concat();
        let leaving = [each("records.hex", 1), wait(1000), sent(), step(5, &[]), wait(60_000), sent()].concat();
        live_and_film([
            ("asks", [&stream[..], &asks, &stream, &asks, &second].concat()),
            ("slow", [slow, second].concat()),
            ("wants", [&stream[..], &wants, &stream].concat()),
            ("texts", [&stream[..], &texts].concat()),
            ("messages", [&stream[..], &each("datagrams.hex", 0), &wait(3), &each("datagrams.hex", 2), &wait(200)].concat()),
            ("records", [&stream[..], &records, &stream, &wait(2500)].concat()),
            ("far", [&stream[..], &far].concat()),
            ("leaving", [&stream[..], &leaving].concat()),
        ])
    });
}

/// The seeds are no use where what they say is turned away before it reaches anything.
#[test]
fn the_peer_of_the_scripts_is_sent_pictures_and_what_it_asks_for_and_is_believed() {
    for (name, resends) in [("asks", true), ("asks-film", true), ("slow", false)] {
        let script = std::fs::read(corpus("sender").join(name)).expect("the corpus is committed");
        let stats = targets::talk_to_sender(&script).expect("a second goes by");
        let [hostile, honest] = &stats.sending.peers[..] else { panic!("{name}: both are here") };
        let asked = (hostile.nacks > 0, hostile.resent > 0);
        assert!(hostile.bytes > 20_000 && asked == (resends, resends), "{name}: {hostile:?}");
        assert!(hostile.report.received > 0 || resends, "{name}: {hostile:?}");
        assert_eq!((honest.nacks, honest.resent), (0, 0), "{name}");
        assert!(stats.receiving.total.whole >= 6, "{name}: what is forwarded came");
    }
}
