//! Tests of the y4m writer. Pictures are two by two pixels whose luma is their number.

use super::super::Writer as _;
use super::super::sink::tests::{SmallDisk, Temporary, target};
use super::super::{LONGEST_LEAD, arrival};
use super::*;
use eyeline_proto::time::MediaTime;
use std::time::Duration;

const MS: u64 = 1_000_000;
const SIZE: Size = Size { width: 2, height: 2 };

/// Live, of a stream that says ten a second.
fn picture(number: u64, ms: u64) -> Picture {
    let planes = vec![number as u8; 6].into();
    let (captured, received) = (MediaTime::from_nanos(ms * MS), arrival(ms * MS));
    let moment = Moment { session: 1, captured, position: None, received };
    Picture { moment, number, rate: Rate::new(10, 1), size: SIZE, sampling: Sampling::Yuv420, planes }
}

/// The same of a film, played at `ms`.
fn film(number: u64, ms: u64, position_ms: u64) -> Picture {
    let live = picture(number, ms);
    Picture { moment: Moment { position: Some(Duration::from_millis(position_ms)), ..live.moment }, ..live }
}

fn session(session: u64, picture: Picture) -> Picture {
    Picture { moment: Moment { session, ..picture.moment }, ..picture }
}

/// Luma of each frame written, and the summary.
fn written(pictures: impl IntoIterator<Item = Picture>) -> (Vec<u8>, Written) {
    let disk = SmallDisk::of(1 << 20);
    let mut writer = Writer::to(Sink::to(disk.clone()), Timeline::new());
    for picture in pictures {
        writer.write(picture).unwrap();
    }
    let summary = writer.finish().unwrap();
    (lumas(&disk.content()), summary)
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
        let rate = Rate::new(30_000, 1001);
        let mut writer = Writer::new(target(&path.0), Timeline::new());
        let size = Size { width: 5, height: 3 };
        let planes = (0..sampling.bytes(size) as u8).collect::<Vec<u8>>();
        writer.write(Picture { rate, size, sampling, planes: planes.clone().into(), ..picture(0, 0) }).unwrap();
        writer.finish().unwrap();
        let header = format!("YUV4MPEG2 W5 H3 F30000:1001 Ip A1:1 {word} XCOLORRANGE=FULL\nFRAME\n");
        assert_eq!(std::fs::read(&path.0).unwrap(), [header.as_bytes(), &planes].concat());
    }
}

#[test]
fn a_sampling_that_y4m_has_no_word_for_is_written_in_full_colour() {
    let path = Temporary::new("C440");
    let mut writer = Writer::new(target(&path.0), Timeline::new());
    let size = Size { width: 4, height: 4 };
    let planes = [vec![90; 16], vec![40; 8], vec![200; 8]].concat().into();
    writer.write(Picture { size, sampling: Sampling::Yuv440, planes, ..picture(0, 0) }).unwrap();
    writer.finish().unwrap();
    let written = std::fs::read(&path.0).unwrap();
    assert!(written.starts_with(b"YUV4MPEG2 W4 H4 ") && written.windows(5).any(|word| word == b" C444"));
    assert!(written.ends_with(&[[90; 16], [40; 16], [200; 16]].concat()));
}

#[test]
fn every_picture_is_one_frame_where_none_is_lost() {
    let jitter = [0, 104, 197, 290, 412, 480, 655, 690];
    let (lumas, summary) = written((0..8).map(|n| picture(n, 1000 + jitter[n as usize])));
    assert_eq!((lumas, summary.filled, summary.left_out), ((0..8).collect(), 0, 0));
}

#[test]
fn a_lost_picture_is_the_one_before_again() {
    let (lumas, summary) = written([0, 1, 4, 5].map(|n| picture(n, n * 100)));
    assert_eq!((lumas, summary.filled), (vec![0, 1, 1, 1, 4, 5], 2));
    assert!(summary.sentence.contains("6 pictures, 2 of them repeated"), "{}", summary.sentence);
}

#[test]
fn a_camera_that_slows_down_keeps_its_place_in_time() {
    let (lumas, _) = written((0..6).map(|n| picture(n, n * 200)));
    assert_eq!(lumas, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]);
}

#[test]
fn a_camera_a_little_too_slow_does_not_fall_behind_in_an_hour() {
    // 9.99 instead of 10 pictures a second: 36 frames too few in an hour without correction.
    let pictures = 35_964;
    let disk = SmallDisk::of(1 << 20);
    let mut writer = Writer::to(Sink::to(disk), Timeline::new());
    for number in 0..pictures {
        writer.write(picture(number, number * 100_100 / 1000)).unwrap();
    }
    let summary = writer.finish().unwrap();
    assert!((35_998..=36_001).contains(&summary.units), "{}", summary.units);
}

#[test]
fn more_pictures_than_the_rate_has_room_for_are_left_out() {
    let (lumas, summary) = written((0..40).map(|n| picture(n, n * 50)));
    assert!((20..=22).contains(&lumas.len()), "2 s at 10 pictures a second: {lumas:?}");
    assert_eq!(summary.left_out + summary.units, 40);
}

#[test]
fn late_and_doubled_pictures_change_nothing() {
    let (lumas, summary) = written([0, 2, 1, 2, 3].map(|n| picture(n, n * 100)));
    assert_eq!((lumas, summary.left_out), (vec![0, 0, 2, 3], 2));
}

#[test]
fn a_hole_no_network_makes_is_cut_and_what_follows_is_not() {
    let (lumas, summary) = written([picture(0, 0), picture(1 << 60, u64::MAX / MS), picture((1 << 60) + 1, u64::MAX / MS)]);
    assert_eq!((lumas.len(), summary.filled), (102, 100));
    let (lumas, _) = written([picture(0, 0), picture(3000, 300_000), picture(3001, 300_100), picture(3003, 300_300)]);
    assert_eq!(lumas.len(), 102 + 1 + 2, "after the cut one period is one frame again");
}

#[test]
fn pictures_that_come_at_once_fill_no_more_than_what_can_have_been_kept_for_us() {
    let most = 10 * LONGEST_LEAD.as_secs() as usize;
    let moment = |n, ms| Moment { received: arrival(n), ..picture(n, ms).moment };
    // Ten seconds after each other, and a film that goes on from elsewhere with each.
    let (live, _) = written((0..50).map(|n| Picture { moment: moment(n, n * 10_000), ..picture(n, 0) }));
    let film = |n| Moment { position: Some(Duration::from_secs(n * 10)), ..moment(n, 0) };
    let (film, _) = written((0..50).map(|n| Picture { moment: film(n), ..picture(n, 0) }));
    assert!(live.len() <= most + 2 && film.len() <= most + 2, "{} and {} of {most}", live.len(), film.len());
}

#[test]
fn another_session_follows_without_a_hole() {
    let next = |number, ms| session(2, picture(number, ms));
    let (lumas, _) = written([picture(7, 900), picture(8, 1000), next(0, 5), next(1, 105)]);
    assert_eq!(lumas, [7, 8, 0, 1]);
}

#[test]
fn a_film_stands_at_its_own_times_whatever_made_it_wait() {
    // It stood still for 600 ms after the second picture; it has none from 500 ms to 900; and the rate doubles.
    let pictures = [(0, 0, 0), (1, 100, 100), (2, 800, 200), (3, 900, 300), (4, 1100, 500), (5, 1500, 900)];
    let faster = (6..12).map(|n| (n, 1500 + (n - 5) * 50, 900 + (n - 5) * 50));
    let (lumas, summary) = written(pictures.into_iter().chain(faster).map(|(n, ms, position)| film(n, ms, position)));
    assert_eq!(lumas, [0, 1, 2, 3, 3, 4, 4, 4, 4, 5, 6, 8, 10]);
    assert_eq!((summary.filled, summary.left_out), (4, 3));
}

#[test]
fn an_unknown_rate_is_measured_and_every_picture_is_there() {
    let unknown = |n| Picture { rate: None, ..picture(n, n * 40) };
    let disk = SmallDisk::of(1 << 20);
    let mut writer = Writer::to(Sink::to(disk.clone()), Timeline::new());
    for n in 0..50 {
        writer.write(unknown(n)).unwrap();
    }
    assert_eq!(writer.finish().unwrap().units, 50);
    assert!(disk.content().starts_with(b"YUV4MPEG2 W2 H2 F25:1 "));
    let (lumas, _) = written((0..3).map(unknown));
    assert_eq!(lumas, [0, 1, 2], "however few they are");
    let (lumas, _) = written([unknown(0), unknown(1), picture(2, 80), picture(5, 500)]);
    assert_eq!(lumas, [0, 1, 1, 1, 1, 5], "what the sender says in the meantime counts");
}

#[test]
fn nothing_is_left_where_no_picture_came() {
    let path = Temporary::new("none.y4m");
    let writer = Writer::new(target(&path.0), Timeline::new());
    assert_eq!(writer.finish().unwrap().units, 0);
    assert!(!path.0.exists());
}

#[test]
fn the_first_size_and_sampling_are_kept() {
    let size = Size { width: 8, height: 8 };
    let other = Picture { size, sampling: Sampling::Yuv444, planes: vec![77; 192].into(), ..picture(1, 100) };
    let (lumas, _) = written([picture(0, 0), other, picture(2, 200)]);
    assert_eq!(lumas, [0, 77, 2]);
}

#[test]
fn planes_that_are_not_what_their_size_says_are_left_out() {
    let short = Picture { planes: vec![1; 5].into(), ..picture(0, 0) };
    let none = Picture { size: Size { width: 0, height: 2 }, planes: vec![].into(), ..picture(1, 0) };
    let (lumas, summary) = written([none, picture(5, 0), short]);
    assert_eq!((lumas, summary.left_out), (vec![5], 2));
}

#[test]
fn a_full_disk_leaves_whole_frames_and_one_sentence() {
    let header = "YUV4MPEG2 W2 H2 F10:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n".len();
    let disk = SmallDisk::of(header + 2 * 12 + 11);
    let mut writer = Writer::to(Sink::to(disk.clone()), Timeline::new());
    writer.write(picture(0, 0)).unwrap();
    writer.write(picture(1, 100)).unwrap();
    let error = writer.write(picture(2, 200)).unwrap_err().to_string();
    assert!(error.starts_with("no space left for test") && error.contains("it keeps 2 pictures"), "{error}");
    assert_eq!(lumas(&disk.content()), [0, 1]);
}

#[test]
fn where_nobody_waits_any_longer_holes_stay_open() {
    let (disk, timeline) = (SmallDisk::of(1 << 20), Timeline::new());
    let mut writer = Writer::to(Sink::to(disk.clone()), timeline.clone());
    (0..5).for_each(|number| writer.write(picture(number, number * 100)).unwrap());
    timeline.hurry();
    writer.write(picture(40, 4000)).unwrap();
    let summary = writer.finish().unwrap();
    assert_eq!((lumas(&disk.content()), summary.filled), (vec![0, 1, 2, 3, 4, 40], 0));
}
