//! Tests of the WAV writer. Every sample of block n has the value n + 1, so that silence is told apart.

use super::super::Writer as _;
use super::super::riff::HEADER;
use super::super::sink::tests::{SmallDisk, Temporary, target};
use super::super::{LONGEST_LEAD, Moment, arrival};
use super::*;
use std::sync::Arc;
use std::time::Duration;

/// A block lasts 10 ms.
const BLOCK: u64 = 10_000_000;
const LEN: usize = BLOCK_FRAMES;

fn block(number: u64, nanos: u64) -> Unit {
    of(1, [number as i16 + 1; LEN].into(), number, nanos)
}

/// One of so many channels and these samples.
fn of(channels: u8, samples: Arc<[i16]>, number: u64, nanos: u64) -> Unit {
    let block = Block { capture: MediaTime::from_nanos(nanos), channels, samples };
    Unit { session: 1, sound: Numbered { number, block }, received: arrival(nanos), film: false }
}

fn picture(timeline: &Timeline, session: u64, nanos: u64) {
    timeline.picture(Moment { session, captured: MediaTime::from_nanos(nanos), position: None, received: arrival(nanos) });
}

/// A picture of a film by its times in ms.
fn film_picture(timeline: &Timeline, captured: u64, position: u64) {
    let (captured, received) = (MediaTime::from_nanos(captured * 1_000_000), arrival(captured * 1_000_000));
    timeline.picture(Moment { session: 1, captured, position: Some(Duration::from_millis(position)), received });
}

/// A block of its sound, caught at this ms.
fn film_sound(number: u64, captured: u64) -> Unit {
    Unit { film: true, ..block(number, captured * 1_000_000) }
}

fn writer(disk: &SmallDisk, lead: Lead, timeline: &Timeline) -> Writer {
    Writer::to(Sink::to(disk.clone()), lead, timeline.clone())
}

/// What a reader of WAV files finds: value and length of each run of equal samples.
fn runs(content: &[u8]) -> Vec<(i16, usize)> {
    let reader = hound::WavReader::new(content).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 48_000, 16));
    let mut runs: Vec<(i16, usize)> = Vec::new();
    for sample in reader.into_samples::<i16>().map(Result::unwrap) {
        match runs.last_mut() {
            Some((value, len)) if *value == sample => *len += 1,
            _ => runs.push((sample, 1)),
        }
    }
    runs
}

/// What is written of these blocks when sound is written alone.
fn alone(blocks: impl IntoIterator<Item = Unit>) -> (Vec<(i16, usize)>, Written) {
    let disk = SmallDisk::of(20 << 20);
    let mut writer = writer(&disk, Lead::Sound, &Timeline::new());
    for block in blocks {
        writer.write(block).unwrap();
    }
    let written = writer.finish().unwrap();
    (runs(&disk.content()), written)
}

#[test]
fn blocks_stand_one_after_the_other_however_their_stamps_wobble() {
    let (found, written) = alone([block(5, 0), block(6, BLOCK + 3_000_000), block(7, 2 * BLOCK - 4_000_000)]);
    assert_eq!((found, written.units, written.filled), (vec![(6, LEN), (7, LEN), (8, LEN)], 3 * LEN as u64, 0));
}

#[test]
fn lost_blocks_become_silence_and_late_ones_are_left_out() {
    let (found, written) = alone([0, 3, 2, 4].map(|n| block(n, n * BLOCK)));
    assert_eq!(found, [(1, LEN), (0, 2 * LEN), (4, LEN), (5, LEN)]);
    assert_eq!((written.filled, written.left_out), (2 * LEN as u64, 1));
    assert!(written.sentence.ends_with("0.05 s of sound, 0.02 s of it silence where sound was missing"), "{}", written.sentence);
}

#[test]
fn sound_starts_with_the_first_picture_to_the_sample() {
    // The picture was caught 1.5 blocks and 3 samples after the first sound: 3 samples are 62 500 ns,
    // and the nearest sample is meant.
    let disk = SmallDisk::of(1 << 20);
    let timeline = Timeline::new();
    let mut writer = writer(&disk, Lead::Pictures, &timeline);
    writer.write(block(0, 1_000_000_000)).unwrap();
    writer.write(block(1, 1_010_000_000)).unwrap();
    assert_eq!(disk.content().len(), 0, "held until the picture is there");
    picture(&timeline, 1, 1_015_062_501);
    writer.write(block(2, 1_020_000_000)).unwrap();
    writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), [(2, LEN / 2 - 3), (3, LEN)]);
}

#[test]
fn sound_that_begins_after_the_picture_is_preceded_by_silence() {
    let disk = SmallDisk::of(1 << 20);
    let timeline = Timeline::new();
    picture(&timeline, 1, 1_000_000_000);
    let mut writer = writer(&disk, Lead::Pictures, &timeline);
    writer.write(block(9, 1_002_500_000)).unwrap();
    writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), [(0, 120), (10, LEN)]);
}

#[test]
fn without_any_picture_sound_starts_by_itself_after_three_seconds() {
    let disk = SmallDisk::of(1 << 20);
    let mut writer = writer(&disk, Lead::Pictures, &Timeline::new());
    for number in 0..HELD as u64 {
        writer.write(block(number, number * BLOCK)).unwrap();
    }
    assert_eq!(disk.content().len(), 0);
    writer.write(block(300, 300 * BLOCK)).unwrap();
    assert_eq!(disk.content().len(), HEADER + 301 * LEN * 2);
}

#[test]
fn what_is_held_at_the_end_is_written() {
    let disk = SmallDisk::of(1 << 20);
    let mut writer = writer(&disk, Lead::Pictures, &Timeline::new());
    writer.write(block(3, 0)).unwrap();
    writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), [(4, LEN)]);
}

#[test]
fn another_session_starts_where_the_files_are() {
    let next = |number, nanos| Unit { session: 2, ..block(number, nanos) };
    let (found, _) = alone([block(7, 500), block(8, BLOCK), next(0, 20), next(2, 2 * BLOCK)]);
    assert_eq!(found, [(8, LEN), (9, LEN), (1, LEN), (0, LEN), (3, LEN)]);
    // With pictures: the second session's picture stands at 30 ms of the files, its sound begins 5 ms later.
    let disk = SmallDisk::of(1 << 20);
    let timeline = Timeline::new();
    let mut writer = writer(&disk, Lead::Pictures, &timeline);
    picture(&timeline, 1, 0);
    writer.write(block(0, 0)).unwrap();
    timeline.reached(30_000_000);
    writer.write(next(0, 5_000_000)).unwrap();
    picture(&timeline, 2, 0);
    writer.write(next(1, 15_000_000)).unwrap();
    writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), [(1, LEN), (0, 2 * LEN + 240), (1, LEN), (2, LEN)]);
}

#[test]
fn a_hole_no_network_makes_is_cut_to_ten_seconds() {
    let (found, _) = alone([block(0, 0), block(1 << 50, u64::MAX / 4), block((1 << 50) + 2, u64::MAX / 4 + 2 * BLOCK)]);
    assert_eq!(found, [(1, LEN), (0, 480_000), (1, LEN), (0, LEN), (3, LEN)]);
    let disk = SmallDisk::of(1 << 20);
    let timeline = Timeline::new();
    picture(&timeline, 1, 0);
    let mut writer = writer(&disk, Lead::Pictures, &timeline);
    writer.write(block(u64::MAX, 0)).unwrap();
    writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), [(0, LEN)], "a number that is far off does not move sound");
}

/// The most that may be written of what comes within 10 ms.
const MOST: u64 = RATE as u64 * LONGEST_LEAD.as_secs() + 2 * LEN as u64;

#[test]
fn what_comes_at_once_fills_no_more_than_what_can_have_been_kept_for_us() {
    for film in [true, false] {
        // By its number an hour after the first, or 26 days; by their times ten seconds after each other.
        let numbers = [360_000, u64::MAX].map(|number| vec![block(0, 0), block(number, BLOCK)]);
        let times = (0..50).map(|n| Unit { received: arrival(BLOCK), ..block(n, n * 10_000_000_000) }).collect();
        for blocks in numbers.into_iter().chain([times]) {
            let (_, written) = alone(blocks.into_iter().map(|block| Unit { film, ..block }));
            assert!(written.units <= MOST + 50 * LEN as u64, "{}", written.sentence);
        }
    }
}

#[test]
fn a_film_of_which_minutes_are_missing_keeps_its_length_and_goes_on_behind_a_hole_that_cannot_be() {
    let film = |number, nanos| Unit { film: true, ..block(number, nanos) };
    let minutes = 18_000;
    let (found, _) = alone([film(0, 0), film(minutes, minutes * BLOCK), film(minutes + 1, (minutes + 1) * BLOCK)]);
    assert_eq!(found[1], (0, (minutes as usize - 1) * LEN), "what a sender could not keep while nothing came through");
    assert_eq!(found.len(), 4);
    // The numbers jump by an hour in a moment: what follows is where it belongs behind the cut.
    let (found, _) = alone([film(0, 0), film(360_000, BLOCK), film(360_001, 2 * BLOCK), film(360_003, 4 * BLOCK)]);
    assert!(found[1].0 == 0 && (found[1].1 as u64) <= MOST, "{found:?}");
    assert_eq!(found[2..].iter().map(|(_, frames)| *frames).collect::<Vec<_>>(), [LEN, LEN, LEN, LEN]);
}

#[test]
fn a_microphone_that_was_gone_for_three_minutes_while_pictures_came_is_silent_for_three_minutes() {
    let disk = SmallDisk::of(20 << 20);
    let timeline = Timeline::new();
    let mut writer = writer(&disk, Lead::Pictures, &timeline);
    picture(&timeline, 1, 0);
    writer.write(block(0, 0)).unwrap();
    (0..1800).for_each(|k| picture(&timeline, 1, k * 10 * BLOCK));
    for number in [1, 2] {
        writer.write(block(number, 180_000_000_000 + number * BLOCK)).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), [(1, LEN), (0, 18_000 * LEN), (2, LEN), (3, LEN)]);
}

#[test]
fn a_microphone_that_was_gone_for_a_while_leaves_silence_of_that_length() {
    let (found, written) = alone([0, 1, 2].map(|n| block(n, n * BLOCK + if n == 2 { 3_000_000_000 } else { 0 })));
    assert_eq!((found, written.filled), (vec![(1, LEN), (2, LEN), (0, 144_000), (3, LEN)], 144_000));
}

#[test]
fn a_sound_card_that_runs_slower_than_the_clock_does_not_walk_away_from_it() {
    // 0.1 % in 40 s: 40 ms, and stamps that wobble by 2 ms.
    for (length, expected) in [(10_010_000, 4000 * 480 + 1920), (9_990_000, 4000 * 480 - 1920)] {
        let disk = SmallDisk::of(10 << 20);
        let mut writer = writer(&disk, Lead::Sound, &Timeline::new());
        for n in 0..4000 {
            writer.write(block(n, n * length + n % 3 * 1_000_000)).unwrap();
            let due = (n * length / 1000 * 48 / 1000) as i64;
            assert!((writer.file.frames() as i64 - LEN as i64 - due).abs() < 480, "block {n}");
        }
        let written = writer.finish().unwrap();
        assert!(written.units.abs_diff(expected) < 480, "{}", written.units);
        assert_eq!(written.filled, 0);
    }
}

#[test]
fn a_stretched_block_is_the_same_sound() {
    let ramp: Vec<i16> = (0..480).flat_map(|k| [k * 10, -k * 10]).collect();
    for (by, len) in [(1, 481), (-1, 479), (0, 480)] {
        let out = stretched(Cow::Borrowed(&ramp), 2, by);
        assert_eq!((out.len(), &out[..2], &out[out.len() - 2..]), (2 * len, &[0, 0][..], &[4790, -4790][..]));
        assert!(out.chunks(2).zip(0..).all(|(frame, k)| (frame[0] - k * 10).abs() <= 10 && frame[1] == -frame[0]));
    }
    assert_eq!(*stretched(Cow::Borrowed(&[7]), 1, -1), [7]);
}

#[test]
fn the_sound_of_a_film_keeps_to_its_pictures_whether_it_stood_still_or_has_none_for_a_while() {
    let disk = SmallDisk::of(1 << 20);
    let timeline = Timeline::new();
    let (picture, sound) = (|captured, position| film_picture(&timeline, captured, position), film_sound);
    let mut writer = writer(&disk, Lead::Pictures, &timeline);
    picture(0, 0);
    writer.write(sound(0, 0)).unwrap();
    // For a second it stands still; then 200 ms without sound.
    writer.write(sound(1, 1010)).unwrap();
    writer.write(sound(2, 1220)).unwrap();
    assert_eq!(disk.content().len(), HEADER + 2 * LEN, "nobody knows yet whether it stood still");
    picture(1040, 40);
    writer.write(sound(3, 1230)).unwrap();
    picture(1240, 240);
    writer.write(sound(4, 1240)).unwrap();
    writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), [(1, LEN), (2, LEN), (0, 200 * 48), (3, LEN), (4, LEN), (5, LEN)]);
}

#[test]
fn the_sound_of_a_film_that_stood_still_before_its_first_picture_begins_with_it() {
    let disk = SmallDisk::of(1 << 20);
    let timeline = Timeline::new();
    let (picture, sound) = (|captured, position| film_picture(&timeline, captured, position), film_sound);
    let mut writer = writer(&disk, Lead::Pictures, &timeline);
    for number in 0..30 {
        writer.write(sound(number, number * 10)).unwrap();
    }
    // The picture of the film's first moment comes 300 ms late: from there on all of the film is late by that.
    picture(300, 0);
    for number in 30..60 {
        writer.write(sound(number, 300 + number * 10)).unwrap();
    }
    assert!(disk.content().is_empty(), "nobody knows yet whether it stood still after the picture, too");
    picture(600, 300);
    picture(900, 600);
    writer.write(sound(60, 900)).unwrap();
    let written = writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), (1..=61).map(|value| (value, LEN)).collect::<Vec<_>>());
    assert_eq!((written.filled, written.left_out), (0, 0));
}

#[test]
fn the_sound_of_a_film_that_stood_still_twice_between_two_pictures_is_not_moved() {
    let disk = SmallDisk::of(1 << 20);
    let timeline = Timeline::new();
    let (picture, sound) = (|captured, position| film_picture(&timeline, captured, position), film_sound);
    let mut writer = writer(&disk, Lead::Pictures, &timeline);
    picture(0, 0);
    writer.write(sound(0, 0)).unwrap();
    // By 110 ms before this block, and by 120 ms more before the one after it.
    writer.write(sound(1, 10 + 110)).unwrap();
    writer.write(sound(2, 20 + 230)).unwrap();
    picture(40 + 230, 40);
    (3..6).for_each(|number| writer.write(sound(number, number * 10 + 230)).unwrap());
    picture(80 + 230, 80);
    let written = writer.finish().unwrap();
    assert_eq!(runs(&disk.content()), (1..=6).map(|value| (value, LEN)).collect::<Vec<_>>());
    assert_eq!((written.filled, written.left_out), (0, 0));
}

#[test]
fn the_first_block_decides_between_mono_and_stereo() {
    let stereo = |number| of(2, [10, 20].repeat(LEN).into(), number, number * BLOCK);
    let (found, _) = alone([block(0, 0), stereo(1)]);
    assert_eq!(found, [(1, LEN), (15, LEN)]);
    let disk = SmallDisk::of(1 << 20);
    let mut writer = writer(&disk, Lead::Sound, &Timeline::new());
    for block in [stereo(0), block(1, BLOCK)] {
        writer.write(block).unwrap();
    }
    writer.finish().unwrap();
    let content = disk.content();
    let reader = hound::WavReader::new(&content[..]).unwrap();
    assert_eq!((reader.spec().channels, reader.duration()), (2, 2 * LEN as u32));
    assert_eq!(reader.into_samples::<i16>().skip(2 * LEN - 2).take(4).map(Result::unwrap).collect::<Vec<_>>(), [10, 20, 2, 2]);
}

#[test]
fn blocks_that_are_none_are_left_out() {
    let wrong = [(0, LEN), (3, LEN), (1, LEN + 1), (2, 3)];
    let wrong = wrong.map(|(channels, len)| of(channels, vec![9; len].into(), 1, 0));
    let (found, written) = alone([block(0, 0)].into_iter().chain(wrong));
    assert_eq!((found, written.left_out), (vec![(1, LEN)], 4));
}

#[test]
fn a_file_without_an_end_plays_up_to_its_last_second() {
    let disk = SmallDisk::of(1 << 20);
    let mut writer = writer(&disk, Lead::Sound, &Timeline::new());
    for number in 0..250 {
        writer.write(block(number, number * BLOCK)).unwrap();
    }
    let content = disk.content();
    assert_eq!(hound::WavReader::new(&content[..]).unwrap().duration(), 96_000);
}

#[test]
fn a_file_that_was_there_is_untouched_until_there_is_sound_and_a_new_one_is_gone_without() {
    let (old, new) = (Temporary::new("old.wav"), Temporary::new("new.wav"));
    std::fs::write(&old.0, "precious").unwrap();
    for path in [&old.0, &new.0] {
        let mut writer = Writer::new(target(path), Lead::Pictures, Timeline::new());
        // Of a session that is over, and of which no picture was seen.
        writer.write(block(0, 0)).unwrap();
        writer.write(Unit { session: 2, ..of(3, [1; LEN].into(), 0, 0) }).unwrap();
        drop(writer);
        assert_eq!(Writer::new(target(path), Lead::Sound, Timeline::new()).finish().unwrap().units, 0);
    }
    assert_eq!((std::fs::read(&old.0).unwrap(), new.0.exists()), (b"precious".to_vec(), false));
    let mut writer = Writer::new(target(&old.0), Lead::Sound, Timeline::new());
    writer.write(block(0, 0)).unwrap();
    writer.finish().unwrap();
    assert_eq!(runs(&std::fs::read(&old.0).unwrap()), [(1, LEN)]);
}

#[test]
fn a_full_disk_leaves_whole_blocks_a_true_header_and_one_sentence() {
    let disk = SmallDisk::of(HEADER + 2 * 2 * LEN + 7);
    let mut writer = writer(&disk, Lead::Sound, &Timeline::new());
    writer.write(block(0, 0)).unwrap();
    writer.write(block(1, BLOCK)).unwrap();
    let error = writer.write(block(2, 2 * BLOCK)).unwrap_err().to_string();
    assert!(error.starts_with("no space left for test") && error.contains("it keeps 0.02 s of sound"), "{error}");
    assert_eq!(runs(&disk.content()), [(1, LEN), (2, LEN)]);
    let mut writer = Writer::new(target("/dev/full"), Lead::Sound, Timeline::new());
    let error = writer.write(block(0, 0)).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
}

#[test]
fn at_four_gibibytes_it_stops_with_a_true_header() {
    let disk = SmallDisk::of(1 << 20);
    let mut writer = writer(&disk, Lead::Sound, &Timeline::new());
    writer.write(block(0, 0)).unwrap();
    assert_eq!(*writer.file.most(), (u64::from(u32::MAX) - 44) / 2);
    *writer.file.most() = LEN as u64 + 100;
    let error = writer.write(block(1, BLOCK)).unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
    assert_eq!(runs(&disk.content()), [(1, LEN), (2, 100)]);
}
