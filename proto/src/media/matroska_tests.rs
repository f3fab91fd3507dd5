//! Files made of what the muxer says, read by another's demuxer.

use super::*;
use matroska_demuxer::{Frame, MatroskaFile, TrackType};
use proptest::prelude::*;
use std::io::Cursor;

const SIZE: Size = Size { width: 1280, height: 720 };

fn track(name: &str, media: Media) -> Track {
    Track { name: name.into(), media, default: true }
}

fn both() -> Vec<Track> {
    vec![track("Küche", Media::Jpegs(SIZE)), track("Küche", Media::Pcm { channels: 2 })]
}

/// A file as a disk would have it.
struct Disk {
    muxer: Muxer,
    bytes: Vec<u8>,
}

impl Disk {
    fn new(can_go_back: bool, tracks: Vec<Track>) -> Disk {
        let began = Duration::from_secs(1_795_000_000);
        let (muxer, bytes) = Muxer::new(can_go_back, began, "Eyeline 0.2", tracks);
        Disk { muxer, bytes }
    }

    fn over(&mut self, over: Vec<(u64, Vec<u8>)>) {
        for (at, bytes) in over {
            let at = at as usize;
            self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn block(&mut self, track: usize, ms: u64, content: &[u8]) {
        let Step { head, over } = self.muxer.block(track, Duration::from_millis(ms), content.len());
        self.bytes.extend(head);
        self.bytes.extend_from_slice(content);
        self.over(over);
        assert_eq!(self.muxer.bytes(), self.bytes.len() as u64);
    }

    fn end(mut self) -> Vec<u8> {
        let over = self.muxer.end(self.bytes.len() as u64, Duration::from_millis(33));
        self.over(over);
        self.bytes
    }
}

/// Track, time in ms and content of each block that is whole.
fn blocks(bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let mut file = MatroskaFile::open(Cursor::new(bytes)).expect("its head is there");
    let mut frame = Frame::default();
    std::iter::from_fn(|| file.next_frame(&mut frame).ok()?.then(|| (frame.track, frame.timestamp, frame.data.clone()))).collect()
}

/// Ten minutes of pictures and sound, by a few bytes each.
fn recording(seconds: u64) -> (Disk, Vec<(u64, u64, Vec<u8>)>) {
    let (mut disk, mut all) = (Disk::new(true, both()), Vec::new());
    for tenth in 0..seconds * 10 {
        for (track, ms) in [(0, tenth * 100), (1, tenth * 100 + 3)] {
            let content = format!("{track} {ms}").into_bytes();
            disk.block(track, ms, &content);
            all.push((track as u64 + 1, ms, content));
        }
    }
    (disk, all)
}

#[test]
fn what_is_recorded_is_read_back_with_its_names_times_and_bytes() {
    let (disk, all) = recording(30);
    let bytes = disk.end();
    let file = MatroskaFile::open(Cursor::new(&bytes)).unwrap();
    let [pictures, sound] = file.tracks() else { panic!("{} tracks", file.tracks().len()) };
    assert_eq!((pictures.track_type(), pictures.name(), pictures.codec_id()), (TrackType::Video, Some("Küche"), "V_MJPEG"));
    let video = pictures.video().unwrap();
    assert_eq!((video.pixel_width().get(), video.pixel_height().get()), (1280, 720));
    assert_eq!((sound.track_type(), sound.codec_id()), (TrackType::Audio, "A_PCM/INT/LIT"));
    let audio = sound.audio().unwrap();
    assert_eq!((audio.channels().get(), audio.sampling_frequency(), audio.bit_depth().map(u64::from)), (2, 48_000.0, Some(16)));
    assert_eq!(file.info().duration(), Some(29_936.0));
    assert_eq!(file.info().date_utc(), Some((1_795_000_000 - 978_307_200) * 1_000_000_000));
    assert_eq!(blocks(&bytes), all);
}

#[test]
fn a_file_that_was_killed_has_all_that_was_in_it_and_its_cues_but_for_a_second() {
    let (disk, all) = recording(30);
    assert_eq!(blocks(&disk.bytes), all, "nobody brought it to its end");
    let cut = &disk.bytes[..disk.bytes.len() - 3];
    assert_eq!(blocks(cut), all[..all.len() - 1], "one block was cut off");
    let mut file = MatroskaFile::open(Cursor::new(cut)).unwrap();
    assert!(file.info().duration().is_some_and(|ms| ms >= 28_900.0), "{:?}", file.info().duration());
    file.seek(20_000).unwrap();
    let mut frame = Frame::default();
    assert!(file.next_frame(&mut frame).unwrap());
    assert!((19_000..=20_000).contains(&frame.timestamp), "{}", frame.timestamp);
}

#[test]
fn tracks_come_while_it_is_recorded_until_there_is_no_place_for_more() {
    let mut disk = Disk::new(true, Vec::new());
    let mut added = 0;
    while let Some((index, over)) = disk.muxer.add_track(track(&"n".repeat(64), Media::Jpegs(SIZE))) {
        assert_eq!(index, added);
        disk.over(vec![over]);
        disk.block(index, added as u64 * 40, b"x");
        added += 1;
        let file = MatroskaFile::open(Cursor::new(&disk.bytes)).unwrap();
        assert_eq!(file.tracks().len(), added);
    }
    assert!(added >= 40, "sixteen senders and oneself, both of each: {added}");
    assert_eq!(blocks(&disk.bytes).len(), added);
}

#[test]
fn where_cues_have_no_more_place_there_are_fewer_over_all_of_it() {
    let mut disk = Disk::new(true, both());
    // Only heads: what is in blocks lies nowhere.
    let (mut written, mut cues) = (0, Vec::new());
    for second in 0..10_000u64 {
        let step = disk.muxer.block(0, Duration::from_secs(second), 100_000);
        assert!(step.head.len() > 12, "a cluster begins");
        if let Some((_, bytes)) = step.over.into_iter().find(|(at, _)| *at == disk.muxer.places.cues) {
            assert!(bytes.len() <= CUES_LEN);
            (written, cues) = (written + 1, bytes);
        }
    }
    assert!(written < 7000, "they are written only where there is one more: {written}");
    assert_eq!(cues[..4], [0x1C, 0x53, 0xBB, 0x6B]);
    let times: Vec<u64> = disk.muxer.cues.iter().map(|cue| number(cue, 2)).collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.max() <= Some(16_000) && times.len() > 1000, "{} cues", times.len());
    assert!(times.last() >= Some(&9_980_000), "{times:?}");
}

/// The number that is an element of one byte's id at this place.
fn number(bytes: &[u8], at: usize) -> u64 {
    let len = usize::from(bytes[at + 1] & 0x7F);
    bytes[at + 2..at + 2 + len].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[test]
fn each_sender_can_be_sought_in() {
    let mut disk = Disk::new(true, vec![track("lab", Media::Jpegs(SIZE)), track("attic", Media::Jpegs(SIZE))]);
    for k in 0..300 {
        disk.block(0, k * 100, b"lab");
        disk.block(1, k * 100 + 1, b"attic");
    }
    let positions = disk.muxer.cues[3].windows(3).filter(|part| part[0] == 0xF7 && part[1] == 0x81).map(|part| part[2]);
    assert_eq!(positions.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn more_tracks_than_there_is_a_place_for_are_left_out_and_the_file_is_whole() {
    let many = |count| (0..count).map(|_| track(&"ä".repeat(200), Media::Pcm { channels: 1 })).collect::<Vec<_>>();
    for can_go_back in [true, false] {
        let mut disk = Disk::new(can_go_back, many(300));
        let count = disk.muxer.tracks().len();
        assert!((40..=MOST_TRACKS).contains(&count), "{count}");
        disk.block(count - 1, 0, b"last");
        assert_eq!(blocks(&disk.end()), [(count as u64, 0, b"last".to_vec())]);
    }
}

#[test]
fn what_cannot_be_gone_back_in_is_only_ever_added_to() {
    let mut disk = Disk::new(false, both());
    assert!(disk.muxer.add_track(track("late", Media::Jpegs(SIZE))).is_none());
    let mut all = Vec::new();
    for k in 0..100 {
        let step = disk.muxer.block((k % 2) as usize, Duration::from_millis(k * 50), 1);
        assert_eq!(step.over, []);
        disk.bytes.extend(step.head);
        disk.bytes.push(k as u8);
        all.push((k % 2 + 1, k * 50, vec![k as u8]));
    }
    assert_eq!(disk.muxer.end(disk.bytes.len() as u64, Duration::ZERO), []);
    assert_eq!(blocks(&disk.bytes), all);
}

#[test]
fn where_the_disk_took_no_more_the_file_ends_with_its_last_block() {
    let (mut disk, all) = recording(3);
    let len = disk.bytes.len() as u64;
    // One that begins a cluster, and was not written.
    disk.muxer.block(0, Duration::from_secs(5), 1000);
    let over = disk.muxer.end(len, Duration::ZERO);
    disk.over(over);
    assert_eq!(blocks(&disk.bytes), all);
}

proptest! {
    /// Times as peers say them: backwards, far off, as large as there are.
    #[test]
    fn no_time_makes_a_file_that_cannot_be_read(times in prop::collection::vec((0usize..3, any::<u64>()), 1..60)) {
        let mut disk = Disk::new(true, both());
        for (track, ms) in &times {
            disk.block(*track, ms >> (track * 20), b"content");
        }
        let found = blocks(&disk.end());
        prop_assert_eq!(found.len(), times.len());
        prop_assert!(found.iter().all(|(.., content)| content == b"content"));
    }
}
