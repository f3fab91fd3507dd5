//! What is in files, read by another's demuxer.

use super::*;
use crate::codec::stitch;
use crate::codec::testing;
use crate::pipeline::sink::EncodedSink;
use crate::pipeline::tee::Own;
use crate::present::writers::Overwrite;
use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::{Body, Picture, Sampling, Size};
use eyeline_proto::session::{PeerId, TrackId};
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::slice::Head;
use matroska_demuxer::{Frame, MatroskaFile};
use std::fs::File;
use std::path::PathBuf;

const SIZE: Size = Size { width: 64, height: 48 };

/// A block's track, from 0, its time in ms and its bytes.
type Read = (usize, u64, Vec<u8>);

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("eyeline-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn target(&self, name: &str) -> Target {
        Target::claim(Some(&self.0.join(name)), Overwrite::Own).unwrap()
    }

    /// Of a file, the names of its tracks, and its blocks.
    fn read(&self, name: &str) -> (Vec<String>, Vec<Read>) {
        let mut file = MatroskaFile::open(File::open(self.0.join(name)).unwrap()).unwrap();
        let names = file.tracks().iter().map(|track| track.name().unwrap_or_default().to_string()).collect();
        let (mut frame, mut blocks) = (Frame::default(), Vec::new());
        while file.next_frame(&mut frame).unwrap() {
            blocks.push((frame.track as usize - 1, frame.timestamp, frame.data.clone()));
        }
        (names, blocks)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn recorder(keep: Option<Duration>) -> (Tee, Recorder) {
    let tee = Tee::default();
    (tee.clone(), Recorder::new(tee, keep))
}

fn no_next() -> mkv::Next {
    Box::new(|| Err(writers::Error::ReaderGone))
}

fn at(ms: u64) -> MediaTime {
    MediaTime::ZERO.saturating_add(Duration::from_millis(ms))
}

/// A whole picture, by 40 ms from the one before.
fn picture(number: u64) -> Slice {
    let planes = testing::planes(SIZE, Sampling::Yuv420, number);
    let head = Head { capture: at(40 * number), ..testing::head(SIZE, Sampling::Yuv420, 80, 0, SIZE.height) };
    let mut slice = testing::slice(&planes, &head);
    slice.picture = number;
    slice
}

fn sound(number: u64) -> Numbered<MediaTime> {
    let samples: Vec<i16> = (0..480).map(|k| k as i16 + number as i16).collect();
    Numbered { number, block: Block { capture: at(10 * number), channels: 1, samples: samples.into() } }
}

/// Pictures of these numbers, and the sound of their time, come in order.
fn comes(sink: &mut dyn EncodedSink, numbers: std::ops::Range<u64>, start: Instant) {
    for number in numbers {
        let now = start + Duration::from_millis(40 * number + 5);
        sink.slice(&picture(number), now);
        sink.settled(Settled { picture: number, slices: 1, count: 1, unsent: false });
        (4 * number..4 * number + 4).for_each(|block| sink.sound(&sound(block), now));
    }
}

fn bytes_of(sound: &Numbered<MediaTime>) -> Vec<u8> {
    sound.block.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

#[test]
fn pictures_and_sound_of_all_are_recorded_as_they_came_at_their_own_times() {
    let folder = Folder::new("recorder-all");
    let (tee, recorder) = recorder(None);
    let mut sinks = ["lab", "attic"].map(|name| tee.sink(TrackId::own(PeerId(name.len() as u64)), name, false));
    let start = Instant::now();
    comes(&mut *sinks[0], 0..5, start);
    let recording = recorder.start(folder.target("a.mkv"), Split::default(), no_next()).unwrap();
    for sink in &mut sinks {
        comes(&mut **sink, 5..30, start);
    }
    let written = recording.finish().written.unwrap();
    assert!(!tee.is_on());
    comes(&mut *sinks[0], 30..35, start);
    assert!(written.sentence.contains("50 pictures and 2.00 s of sound"), "{}", written.sentence);
    let (names, blocks) = folder.read("a.mkv");
    assert_eq!(names, ["lab", "attic", "lab", "attic"], "pictures first");
    for who in 0..2 {
        let of = |track: usize| blocks.iter().filter(move |block| block.0 == track);
        let pictures: Vec<_> = of(who).collect();
        assert_eq!(pictures.len(), 25);
        for (number, (_, ms, jpeg)) in (5..).zip(&pictures) {
            assert!(ms.abs_diff((number - 5) * 40) <= 1, "picture {number} at {ms}");
            assert_eq!(*jpeg, stitch::jpeg(&[&picture(number)]).unwrap(), "picture {number}");
        }
        let heard: Vec<_> = of(who + 2).map(|(_, ms, bytes)| (*ms, bytes.clone())).collect();
        assert_eq!(heard.len(), 100);
        assert!(
            (20..)
                .zip(&heard)
                .all(|(number, (ms, bytes))| { *bytes == bytes_of(&sound(number)) && ms.abs_diff((number - 20) * 10) <= 1 })
        );
    }
}

#[test]
fn the_last_seconds_are_kept_and_written_as_often_as_one_likes() {
    let folder = Folder::new("recorder-last");
    let (tee, recorder) = recorder(Some(Duration::from_secs(1)));
    assert!(tee.is_on(), "pictures are wanted whole");
    let mut sink = tee.sink(TrackId::own(PeerId(1)), "lab", false);
    let start = Instant::now();
    comes(&mut *sink, 0..100, start);
    for name in ["a.mkv", "b.mkv"] {
        let written = recorder.write_kept(folder.target(name)).unwrap().unwrap().finish().unwrap();
        assert!(written.units > 0);
        let (_, blocks) = folder.read(name);
        let first = &blocks.iter().find(|block| block.0 == 0).unwrap().2;
        let newest = blocks.iter().rfind(|block| block.0 == 0).unwrap();
        assert_eq!(newest.2, stitch::jpeg(&[&picture(99)]).unwrap());
        assert!((900..=1050).contains(&newest.1), "{}", newest.1);
        assert!((74..77).any(|number| *first == stitch::jpeg(&[&picture(number)]).unwrap()));
    }
    assert!(self::recorder(None).1.write_kept(folder.target("c.mkv")).unwrap().is_none());
}

#[test]
fn a_split_recording_lacks_nothing_and_each_file_begins_with_a_picture() {
    let folder = Folder::new("recorder-split");
    let (tee, recorder) = recorder(None);
    let mut sink = tee.sink(TrackId::own(PeerId(1)), "lab", false);
    let (mut number, path) = (1, folder.0.clone());
    let next = move || {
        number += 1;
        Target::claim(Some(&path.join(format!("a-{number}.mkv"))), Overwrite::Own)
    };
    let split = Split { after: Some(Duration::from_secs(1)), bytes: None };
    let recording = recorder.start(folder.target("a.mkv"), split, Box::new(next)).unwrap();
    comes(&mut *sink, 0..60, Instant::now());
    recording.finish().written.unwrap();
    let files = ["a.mkv", "a-2.mkv", "a-3.mkv"].map(|name| folder.read(name).1);
    let all = |track| files.iter().flatten().filter(|block| block.0 == track).map(|block| block.2.clone()).collect::<Vec<_>>();
    // A track's number is its place among those that came first.
    let pictures: Vec<_> = (0..60).map(|number| stitch::jpeg(&[&picture(number)]).unwrap()).collect();
    assert_eq!(all(0), pictures);
    assert_eq!(all(1), (0..240).map(|number| bytes_of(&sound(number))).collect::<Vec<_>>());
    assert!(files[1..].iter().all(|blocks| blocks[0].0 == 0 && blocks[0].1 == 0), "a picture at its beginning");
}

#[test]
fn our_own_jpegs_are_recorded_byte_for_byte_and_raw_pictures_at_the_quality_asked_for() {
    let folder = Folder::new("recorder-own");
    let (tee, recorder) = recorder(None);
    let own = Own::new(&tee, "desk", 90, true);
    let recording = recorder.start(folder.target("a.mkv"), Split::default(), no_next()).unwrap();
    let jpeg = stitch::jpeg(&[&picture(3)]).unwrap();
    let planes = testing::planes(SIZE, Sampling::Yuv420, 7);
    own.picture(&Picture::new(Instant::now(), SIZE, Body::Jpeg(jpeg.clone().into())));
    own.picture(&Picture::new(Instant::now(), SIZE, Body::Planes(Sampling::Yuv420, planes.clone().into())));
    own.sound(&sound(0).block.at(Instant::now()));
    drop(own);
    recording.finish().written.unwrap();
    let (names, blocks) = folder.read("a.mkv");
    assert_eq!(names, ["desk", "desk"]);
    let pictures: Vec<_> = blocks.iter().filter(|block| block.0 == 0).map(|block| &block.2).collect();
    assert_eq!(*pictures[0], jpeg);
    let encoded = testing::head(SIZE, Sampling::Yuv420, 90, 0, SIZE.height);
    assert_eq!(*pictures[1], stitch::jpeg(&[&testing::slice(&planes, &encoded)]).unwrap());
}
