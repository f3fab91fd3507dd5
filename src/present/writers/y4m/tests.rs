//! Tests of the y4m writer. Pictures are two by two pixels whose luma is their number.

use super::super::Writer as _;
use super::super::sink::tests::{SmallDisk, Temporary};
use super::*;

const MS: u64 = 1_000_000;
const TEN: Pace = Pace::Constant(Rate { num: 10, den: 1 });
const SIZE: Size = Size { width: 2, height: 2 };

fn picture(number: u64, ms: u64) -> Picture {
    let planes = vec![number as u8; 6].into();
    Picture { session: 1, number, captured: MediaTime::from_nanos(ms * MS), size: SIZE, sampling: Sampling::Yuv420, planes }
}

/// Luma of each frame written, and the summary.
fn written(pace: Pace, pictures: impl IntoIterator<Item = Picture>) -> (Vec<u8>, Written) {
    let disk = SmallDisk::of(1 << 20);
    let mut writer = Writer::to(Sink::to(disk.clone()), pace, Timeline::new());
    for picture in pictures {
        writer.write(picture).unwrap();
    }
    (lumas(&disk.content()), writer.finish().unwrap())
}

fn lumas(content: &[u8]) -> Vec<u8> {
    let header = content.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let frames = content[header..].chunks(12);
    frames.map(|frame| if frame.starts_with(b"FRAME\n") && frame.len() == 12 { frame[6] } else { panic!("{frame:?}") }).collect()
}

#[test]
fn the_header_says_size_rate_sampling_and_range() {
    for (sampling, word) in
        [(Sampling::Grey, "Cmono"), (Sampling::Yuv420, "C420jpeg"), (Sampling::Yuv422, "C422"), (Sampling::Yuv444, "C444")]
    {
        let path = Temporary::new(word);
        let rate = Pace::Constant(Rate::new(30_000, 1001));
        let mut writer = Writer::create(Some(&path.0), rate, Timeline::new()).unwrap();
        let size = Size { width: 5, height: 3 };
        let planes = (0..sampling.bytes(size) as u8).collect::<Vec<u8>>();
        writer.write(Picture { size, sampling, planes: planes.clone().into(), ..picture(0, 0) }).unwrap();
        writer.finish().unwrap();
        let header = format!("YUV4MPEG2 W5 H3 F30000:1001 Ip A1:1 {word} XCOLORRANGE=FULL\nFRAME\n");
        assert_eq!(std::fs::read(&path.0).unwrap(), [header.as_bytes(), &planes].concat());
    }
}

#[test]
fn every_picture_is_one_frame_where_none_is_lost() {
    let jitter = [0, 104, 197, 290, 412, 480, 655, 690];
    let (lumas, summary) = written(TEN, (0..8).map(|n| picture(n, 1000 + jitter[n as usize])));
    assert_eq!((lumas, summary.filled, summary.left_out), ((0..8).collect(), 0, 0));
}

#[test]
fn a_lost_picture_is_the_one_before_again() {
    let (lumas, summary) = written(TEN, [0, 1, 4, 5].map(|n| picture(n, n * 100)));
    assert_eq!((lumas, summary.filled), (vec![0, 1, 1, 1, 4, 5], 2));
    assert!(summary.sentence.contains("6 pictures, 2 of them repeated"), "{}", summary.sentence);
}

#[test]
fn a_camera_that_slows_down_keeps_its_place_in_time() {
    let (lumas, _) = written(TEN, (0..6).map(|n| picture(n, n * 200)));
    assert_eq!(lumas, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]);
}

#[test]
fn a_camera_a_little_too_slow_does_not_fall_behind_in_an_hour() {
    // 9.99 instead of 10 pictures a second: 36 frames too few in an hour without correction.
    let pictures = 35_964;
    let disk = SmallDisk::of(1 << 20);
    let mut writer = Writer::to(Sink::to(disk), TEN, Timeline::new());
    for number in 0..pictures {
        writer.write(picture(number, number * 100_100 / 1000)).unwrap();
    }
    let summary = writer.finish().unwrap();
    assert!((35_998..=36_001).contains(&summary.units), "{}", summary.units);
}

#[test]
fn more_pictures_than_the_rate_has_room_for_are_left_out() {
    let (lumas, summary) = written(TEN, (0..40).map(|n| picture(n, n * 50)));
    assert!((20..=22).contains(&lumas.len()), "2 s at 10 pictures a second: {lumas:?}");
    assert_eq!(summary.left_out + summary.units, 40);
}

#[test]
fn late_and_doubled_pictures_change_nothing() {
    let (lumas, summary) = written(TEN, [0, 2, 1, 2, 3].map(|n| picture(n, n * 100)));
    assert_eq!((lumas, summary.left_out), (vec![0, 0, 2, 3], 2));
}

#[test]
fn a_hole_no_network_makes_is_cut_and_what_follows_is_not() {
    let (lumas, summary) = written(TEN, [picture(0, 0), picture(1 << 60, u64::MAX / MS), picture((1 << 60) + 1, u64::MAX / MS)]);
    assert_eq!((lumas.len(), summary.filled), (103, 100));
    let (lumas, _) = written(TEN, [picture(0, 0), picture(3000, 300_000), picture(3001, 300_100), picture(3003, 300_300)]);
    assert_eq!(lumas.len(), 1 + 100 + 2 + 2, "after the cut one period is one frame again");
}

#[test]
fn another_session_follows_without_a_hole() {
    let next = |number, ms| Picture { session: 2, ..picture(number, ms) };
    let (lumas, _) = written(TEN, [picture(7, 900), picture(8, 1000), next(0, 5), next(1, 105)]);
    assert_eq!(lumas, [7, 8, 0, 1]);
}

#[test]
fn a_film_of_varying_rate_is_one_frame_a_picture() {
    let variable = Pace::Variable(Rate::new(24, 1));
    let (lumas, summary) = written(variable, [(0, 0), (1, 5000), (2, 5001), (5, 5002)].map(|(n, ms)| picture(n, ms)));
    assert_eq!((lumas, summary.filled), (vec![0, 1, 2, 5], 0));
}

#[test]
fn a_film_that_had_to_stand_still_lasts_no_longer_and_what_it_lost_is_repeated() {
    let film = Pace::Numbered(Rate::new(10, 1));
    let pictures = [(0, 0), (1, 100), (2, 900), (3, 1000), (6, 1300)].map(|(n, ms)| picture(n, ms));
    let (lumas, summary) = written(film, pictures);
    assert_eq!((lumas, summary.filled), (vec![0, 1, 2, 3, 3, 3, 6], 2));
}

#[test]
fn the_first_size_and_sampling_are_kept() {
    let size = Size { width: 8, height: 8 };
    let other = Picture { size, sampling: Sampling::Yuv444, planes: vec![77; 192].into(), ..picture(1, 100) };
    let (lumas, _) = written(TEN, [picture(0, 0), other, picture(2, 200)]);
    assert_eq!(lumas, [0, 77, 2]);
}

#[test]
fn planes_that_are_not_what_their_size_says_are_left_out() {
    let short = Picture { planes: vec![1; 5].into(), ..picture(0, 0) };
    let none = Picture { size: Size { width: 0, height: 2 }, planes: vec![].into(), ..picture(1, 0) };
    let (lumas, summary) = written(TEN, [none, picture(5, 0), short]);
    assert_eq!((lumas, summary.left_out), (vec![5], 2));
}

#[test]
fn a_full_disk_leaves_whole_frames_and_one_sentence() {
    let header = "YUV4MPEG2 W2 H2 F10:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n".len();
    let disk = SmallDisk::of(header + 2 * 12 + 11);
    let mut writer = Writer::to(Sink::to(disk.clone()), TEN, Timeline::new());
    writer.write(picture(0, 0)).unwrap();
    writer.write(picture(1, 100)).unwrap();
    let error = writer.write(picture(2, 200)).unwrap_err().to_string();
    assert!(error.starts_with("no space left for test") && error.contains("it keeps 2 pictures"), "{error}");
    assert_eq!(lumas(&disk.content()), [0, 1]);
}

#[test]
fn rates_no_camera_has_are_not_believed() {
    for (num, den) in [(0, 1), (1, 0), (241, 1), (1, 11), (u32::MAX, 1)] {
        assert_eq!(Rate::new(num, den), Rate { num: 30, den: 1 }, "{num}/{den}");
    }
    assert_eq!(Rate::new(25, 2), Rate { num: 25, den: 2 });
}
