//! The fuzzers' committed corpus, replayed: what once broke stays mended, without nightly and without libFuzzer.
//!
//! `EYELINE_WRITE_CORPUS=1` writes the seeds anew; what a fuzzer found is put beside them by hand.

#[path = "../fuzz/codec_targets.rs"]
mod codec_targets;
#[path = "../fuzz/targets.rs"]
mod targets;

use eyeline::codec::band_encoder::BandEncoder;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::time::MediaTime;
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

/// A small band of each sampling, with a restart marker each MCU row.
fn band(sampling: Sampling) -> Vec<u8> {
    let size = Size { width: 48, height: 32 };
    let head = Head {
        sampling,
        tables: Tables::Own(60),
        size,
        top: 0,
        rows: 32,
        restart: if matches!(sampling, Sampling::Grey | Sampling::Yuv444) { 6 } else { 3 },
        capture: MediaTime::ZERO,
        queued: Duration::ZERO,
        encoded: Duration::ZERO,
        position: None,
    };
    let planes: Vec<u8> = (0..sampling.bytes(size)).map(|at| (at * 37 % 251) as u8).collect();
    let body = BandEncoder::new().expect("starts").encode(&planes, &head).expect("encodes");
    body[4..].to_vec()
}

#[test]
fn jpeg_bands_of_the_corpus_are_survived() {
    replay("jpeg_band", codec_targets::jpeg_band, || {
        let samplings =
            [("grey", Sampling::Grey), ("420", Sampling::Yuv420), ("422", Sampling::Yuv422), ("444", Sampling::Yuv444)];
        samplings.map(|(name, sampling)| (name.to_string(), [&[0, 90][..], &band(sampling)].concat())).to_vec()
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
        let body = band(Sampling::Yuv422);
        let slice = [&(body.len() as u32).to_be_bytes()[..], &body].concat();
        let fragment = |picture: u8, index: u8, last: u8, payload: &[u8]| {
            step(0, &[&[1, 0, 0, 0, 0, picture, 0, 0, 0, index, 0, last][..], payload].concat())
        };
        let (one, two) = slice.split_at(slice.len() / 2);
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
        [
            ("picture", picture),
            ("holes", holes),
            ("messages", messages),
            ("records", [records, wait(2500)].concat()),
            ("leaving", leaving),
            ("noise", noise),
            ("far", far),
        ]
        .into_iter()
        .flat_map(|(name, bytes)| {
            let mut film = bytes.clone();
            film[0] |= targets::FILM;
            [(name.to_string(), bytes), (format!("{name}-film"), film)]
        })
        .collect()
    });
}
