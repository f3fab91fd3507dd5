//! The audio buffer, block by block.

use super::*;
use crate::sound::BLOCK_FRAMES;

const MS: u64 = 1_000_000;

/// Block `sequence` caught at `ms`, every sample `sequence + 1`.
fn block_at(sequence: u64, ms: u64) -> Numbered<MediaTime, Inline> {
    let samples = &[sequence as i16 + 1; BLOCK_FRAMES][..];
    let block = Block { capture: MediaTime::from_nanos(ms * MS), channels: 1, samples };
    Numbered { number: sequence, block }.inline().unwrap()
}

fn block(sequence: u64) -> Numbered<MediaTime, Inline> {
    block_at(sequence, sequence * 10)
}

/// What is read, run by run: the sample (0 for a hole, -1 for nothing) and how often.
fn runs(buffer: &mut AudioBuffer, frames: usize) -> Vec<(i32, usize)> {
    let mut runs: Vec<(i32, usize)> = Vec::new();
    for _ in 0..frames {
        let seen = match buffer.read() {
            Frame::Sound([left, right]) => {
                assert_eq!(left, right);
                (left * 32768.0) as i32
            }
            Frame::Hole => 0,
            Frame::Empty => -1,
        };
        match runs.last_mut() {
            Some((last, count)) if *last == seen => *count += 1,
            _ => runs.push((seen, 1)),
        }
    }
    runs
}

#[test]
fn blocks_out_of_order_and_twice_are_read_once_and_in_order() {
    let mut buffer = AudioBuffer::new();
    for (sequence, outcome) in [(1, Pushed::Kept), (0, Pushed::Kept), (2, Pushed::Kept), (1, Pushed::Duplicate)] {
        assert_eq!(buffer.push(&block(sequence)), outcome);
    }
    assert_eq!(buffer.level(), Duration::from_millis(30));
    assert_eq!(runs(&mut buffer, 1441), [(1, 480), (2, 480), (3, 480), (-1, 1)]);
    assert_eq!(buffer.push(&block(2)), Pushed::Duplicate, "played, and known for it");
    assert_eq!(buffer.push(&block(3)), Pushed::Kept);
    assert_eq!(runs(&mut buffer, 480), [(4, 480)]);
}

#[test]
fn a_lost_block_leaves_a_hole_of_its_length() {
    let mut buffer = AudioBuffer::new();
    for sequence in [0, 2] {
        buffer.push(&block(sequence));
    }
    assert_eq!(runs(&mut buffer, 1440), [(1, 480), (0, 480), (3, 480)]);
    assert_eq!(buffer.push(&block(1)), Pushed::Late);
}

#[test]
fn a_microphone_that_was_away_leaves_a_hole_of_that_time_and_at_most_two_seconds() {
    for (away, hole) in [(3, 0), (70, 60 * 48), (100_000, 96_000)] {
        let mut buffer = AudioBuffer::new();
        buffer.push(&block_at(0, 0));
        buffer.push(&block_at(1, 10 + away - away.min(10)));
        let seen = runs(&mut buffer, 480 + hole + 480);
        let expected = [(1, 480), (0, hole), (2, 480)];
        assert!(seen.iter().eq(expected.iter().filter(|(_, n)| *n > 0)), "{away} ms: {seen:?}");
    }
}

#[test]
fn seeking_passes_over_sound_and_says_how_much() {
    let mut buffer = AudioBuffer::new();
    for sequence in 0..10 {
        buffer.push(&block(sequence));
    }
    runs(&mut buffer, 100);
    assert_eq!(buffer.seek(MediaTime::from_nanos(25 * MS)), 1200 - 100);
    assert_eq!(buffer.head_time(), Some(MediaTime::from_nanos(25 * MS)));
    assert_eq!(runs(&mut buffer, 480), [(3, 240), (4, 240)]);
    assert_eq!(buffer.seek(MediaTime::ZERO), 0, "never back");
    buffer.seek(MediaTime::from_nanos(9_999 * MS));
    assert_eq!(runs(&mut buffer, 2), [(10, 1), (-1, 1)], "never beyond the newest block");
}

#[test]
fn holding_puts_a_hole_before_the_next_frame_and_the_head_goes_back_by_it() {
    let mut buffer = AudioBuffer::new();
    buffer.push(&block(0));
    runs(&mut buffer, 240);
    buffer.hold(96);
    assert_eq!(buffer.head_time(), Some(MediaTime::from_nanos(3 * MS)));
    assert_eq!(runs(&mut buffer, 337), [(1 - 1, 96), (1, 240), (-1, 1)]);
}

#[test]
fn what_is_passed_over_is_neither_read_nor_taken_again_and_the_next_begins_without_a_hole() {
    let mut buffer = AudioBuffer::new();
    buffer.pass_to(0);
    (0..4).for_each(|sequence| assert_eq!(buffer.push(&block(sequence)), Pushed::Kept));
    assert_eq!(runs(&mut buffer, 240), [(1, 240)]);
    buffer.pass_to(4);
    buffer.pass_to(2);
    assert_eq!((runs(&mut buffer, 100), buffer.level(), buffer.head_time()), (vec![(-1, 100)], Duration::ZERO, None));
    assert_eq!([1, 3].map(|sequence| buffer.push(&block(sequence))), [Pushed::Duplicate; 2]);
    assert_eq!(buffer.push(&block_at(4, 900)), Pushed::Kept);
    assert_eq!(runs(&mut buffer, 481), [(5, 480), (-1, 1)]);
}

#[test]
fn what_came_of_the_new_place_before_the_old_one_is_passed_over_is_heard() {
    let mut buffer = AudioBuffer::new();
    (0..4).for_each(|sequence| assert_eq!(buffer.push(&block(sequence)), Pushed::Kept));
    assert_eq!(buffer.push(&block_at(4, 900)), Pushed::Kept);
    buffer.pass_to(4);
    assert_eq!(runs(&mut buffer, 481), [(5, 480), (-1, 1)]);
}

#[test]
fn it_never_holds_more_than_its_capacity() {
    let mut buffer = AudioBuffer::new();
    for sequence in 0..CAPACITY as u64 {
        assert_eq!(buffer.push(&block(sequence)), Pushed::Kept);
    }
    assert_eq!(buffer.push(&block(CAPACITY as u64)), Pushed::Restarted);
    assert_eq!(buffer.level(), Duration::from_millis(10));
}

#[test]
fn a_sender_that_counts_anew_is_heard_again_after_a_second() {
    let mut buffer = AudioBuffer::new();
    buffer.push(&block_at(5000, 0));
    runs(&mut buffer, 480);
    let outcomes: Vec<Pushed> = (0..100).map(|n| buffer.push(&block(n))).collect();
    assert!(outcomes[..99].iter().all(|o| *o == Pushed::Late));
    assert_eq!((outcomes[99], buffer.push(&block(100))), (Pushed::Restarted, Pushed::Kept));
}

#[test]
fn stereo_keeps_its_sides_mono_is_on_both_and_the_end_of_a_shorter_block_is_its_own() {
    let mut buffer = AudioBuffer::new();
    for (number, channels, samples) in [(0, 2, &[1, -1, 2, -2][..]), (1, 1, &[3, 4]), (2, 2, &[5, -5])] {
        let block = Block { capture: MediaTime::ZERO, channels, samples };
        buffer.push(&Numbered { number, block }.inline().unwrap());
    }
    for frame in [[1, -1], [2, -2], [3, 3], [4, 4], [5, -5]] {
        assert_eq!(buffer.read(), Frame::Sound(frame.map(|sample: i16| f32::from(sample) / 32768.0)));
    }
    assert_eq!(buffer.read(), Frame::Empty);
}

#[test]
fn no_number_or_stamp_panics() {
    let mut buffer = AudioBuffer::new();
    for sequence in [u64::MAX, 0, u64::MAX - 3, 7, u64::MAX, u64::MAX] {
        for capture in [0, u64::MAX, 1 << 63] {
            let mut block = block(0);
            (block.number, block.block.capture) = (sequence, MediaTime::from_nanos(capture));
            buffer.push(&block);
            runs(&mut buffer, 500);
            buffer.hold(i64::MIN);
            buffer.hold(i64::MAX);
            buffer.seek(MediaTime::from_nanos(capture));
            let _ = (buffer.level(), buffer.first_sound());
        }
    }
}
