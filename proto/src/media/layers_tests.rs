use super::*;
use crate::picture::{Sampling, Size};
use proptest::prelude::*;

const SIZE: Size = Size { width: 64, height: 16 };

fn set(mcus: &[usize]) -> McuSet {
    let mut set = McuSet::new(SIZE, Sampling::Yuv420);
    mcus.iter().for_each(|mcu| set.insert(*mcu));
    set
}

#[test]
fn of_eight_pictures_one_is_of_layer_0_one_of_1_two_of_2_and_four_of_3() {
    assert_eq!((0..9).map(of).collect::<Vec<_>>(), [0, 3, 2, 3, 1, 3, 2, 3, 0]);
    assert_eq!(
        (0..9).map(base).collect::<Vec<_>>(),
        [None, Some(0), Some(0), Some(2), Some(0), Some(4), Some(4), Some(6), Some(0)]
    );
}

proptest! {
    /// A model of a canvas: of each MCU the number of the picture it was last changed in. Whatever layers a receiver takes, and
    /// whatever of these is lost, what it shows of a picture is what was sent of it.
    #[test]
    fn whatever_is_left_out_what_is_shown_is_as_it_was(
        changes in proptest::collection::vec(proptest::collection::vec(0usize..4, 0..3), 1..80),
        lost in proptest::collection::vec(any::<bool>(), 80),
        layers in 1usize..=LAYERS,
        wholes in proptest::collection::vec(0u8..10, 80),
        swaps in proptest::collection::vec(0u8..4, 80),
    ) {
        let (mut sender, mut sent, mut model) = (Changes::default(), Vec::new(), [0u64; 4]);
        for (number, changed) in (0u64..).zip(&changes) {
            changed.iter().for_each(|mcu| model[*mcu] = number + 1);
            let mut coded = set(changed);
            let all = wholes[number as usize] == 0;
            if all {
                sender.all(number, &coded);
                coded.fill();
            } else {
                let due = sender.due(number, &coded);
                coded.add(&due);
            }
            sent.push((number, all || coded.len() == coded.of(), coded, model));
        }
        let mut come: Vec<_> = sent.into_iter().filter(|(number, ..)| of(*number) < layers && !lost[*number as usize]).collect();
        for at in (1..come.len()).filter(|at| swaps[*at] == 0) {
            come.swap(at - 1, at);
        }
        let (mut follower, mut canvas, mut newest) = (Follower::default(), [0u64; 4], None);
        for (number, all, coded, model) in come {
            for (number, coded, model) in follower.comes(number, all, (number, coded, model)) {
                prop_assert!(newest.is_none_or(|newest| newest < number), "in order");
                newest = Some(number);
                coded.iter().for_each(|mcu| canvas[mcu] = model[mcu]);
                prop_assert_eq!(canvas, model, "picture {}", number);
            }
        }
    }
}

#[test]
fn nothing_is_left_out_where_nothing_is_lost_and_a_lost_picture_is_made_good_by_the_next_of_a_lower_layer() {
    let shown = |lost: &[u64]| {
        let mut follower = Follower::default();
        let mut shown = Vec::new();
        for number in (0..17).filter(|number| !lost.contains(number)) {
            shown.extend(follower.comes(number, number == 0, number));
        }
        shown
    };
    assert_eq!(shown(&[]), (0..17).collect::<Vec<_>>());
    assert_eq!(shown(&[3]), (0..17).filter(|number| *number != 3).collect::<Vec<_>>(), "nobody stands on it");
    assert_eq!(shown(&[2]), (0..17).filter(|number| ![2, 3].contains(number)).collect::<Vec<_>>());
    assert_eq!(shown(&[4]), [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
}

#[test]
fn a_whole_picture_is_lacked_at_the_beginning_and_where_one_of_layer_0_is_lost_and_then_no_more() {
    let mut follower = Follower::default();
    assert!(follower.lacks());
    assert!(follower.comes(5, false, 5).is_empty() && follower.comes(6, false, 6).is_empty());
    assert_eq!(follower.comes(4, true, 4), [4, 5, 6], "they waited for it");
    assert!(!follower.lacks());
    assert_eq!(follower.comes(7, false, 7), [7]);
    assert!(follower.comes(16, false, 16).is_empty() && follower.lacks());
    assert!(follower.comes(17, false, 17).is_empty() && follower.comes(3, true, 3).is_empty());
    assert_eq!(follower.comes(16, true, 16), [16, 17]);
    assert!(!follower.lacks());
}

#[test]
fn pictures_that_wait_are_few() {
    let mut follower = Follower::default();
    for number in 1..10_000 {
        assert!(follower.comes(number, false, number).is_empty());
    }
    assert!(follower.waiting.len() <= WAITING);
}

#[test]
fn a_layer_that_is_cut_short_is_given_up_and_tried_again_ever_later() {
    let start = Instant::now();
    let (mut choice, mut now, mut tries) = (Choice::new(start), start, Vec::new());
    let mut before = LAYERS;
    for _ in 0..3000 {
        now += Duration::from_millis(100);
        // The path takes layers 0 and 1 alone.
        choice.came(0);
        choice.came(1);
        for layer in 2..before {
            choice.cut(layer);
        }
        let layers = choice.layers(now);
        if layers > before {
            tries.push((now - start).as_secs());
        }
        before = layers;
    }
    assert_eq!(before, 2);
    let waits: Vec<u64> = tries.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(tries[0] < 7 && waits[0] < 12 && waits.iter().any(|wait| *wait > 60), "{tries:?}");
    // It takes all again.
    for _ in 0..3000 {
        now += Duration::from_millis(100);
        (0..LAYERS).for_each(|layer| choice.came(layer));
        before = choice.layers(now);
    }
    assert_eq!(before, LAYERS);
}

#[test]
fn one_layer_is_always_taken() {
    let mut now = Instant::now();
    let mut choice = Choice::new(now);
    for _ in 0..100 {
        now += LOOK;
        (0..LAYERS).for_each(|layer| choice.cut(layer));
        assert!(choice.layers(now) >= 1);
    }
}
