use super::*;

const PERIOD: Duration = Duration::from_micros(33_333);

/// What an encoder would answer for a picture of `whole` bytes at quality 80, whose costs are a little unlike ours.
fn encode(whole: f64, step: Step) -> usize {
    (whole * cost(f64::from(step.quality)).powf(1.15) * size_cost(step.eighths).powf(0.9)) as usize
}

fn settle(ladder: &mut Ladder, whole: f64) -> (Step, f64) {
    let (mut step, mut rate) = (ladder.step(Fitness::Changed), 0.0);
    for _ in 0..30 {
        step = ladder.step(Fitness::Changed);
        let bytes = encode(whole, step);
        ladder.note_encoded(step, bytes);
        rate = bytes as f64 / PERIOD.as_secs_f64() / f64::from(step.every);
    }
    (step, rate)
}

#[test]
fn without_a_target_all_is_at_its_best() {
    let mut ladder = Ladder::new(90, false, PERIOD, Passthrough::Auto);
    let (step, _) = settle(&mut ladder, 1e6);
    assert_eq!(step, Step { quality: 90, eighths: 8, every: 1, foreign: Way::Whole });
}

#[test]
fn quality_goes_first_then_size_then_rate_and_each_target_is_met() {
    let mut seen = Vec::new();
    for target in [30_000_000, 12_000_000, 5_000_000, 2_000_000, 800_000, 200_000] {
        let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        ladder.set_target(Some(Bitrate(target)));
        let (step, rate) = settle(&mut ladder, 100_000.0);
        assert!(rate <= 1.1 * target as f64 / 8.0, "{target}: {rate} with {step:?}");
        assert!(rate >= (0.5 * target as f64 / 8.0).min(0.95 * 3e6), "{target}: {rate} with {step:?}");
        seen.push((step.quality, step.eighths, step.every));
    }
    assert!(seen[0] == (80, 8, 1) && (35..60).contains(&seen[1].0) && seen[1].1 == 8, "{seen:?}");
    assert!(seen.is_sorted_by_key(|(_, eighths, every)| (8 - eighths, *every)), "{seen:?}");
    assert!(seen[5].1 == 2 && seen[5].2 > 1, "{seen:?}");
}

#[test]
fn a_target_that_swings_a_little_does_not_change_the_size() {
    let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
    let mut sizes = Vec::new();
    for turn in 0..200 {
        ladder.set_target(Some(Bitrate(9_500_000 + 1_000_000 * (turn % 3))));
        let step = ladder.step(Fitness::Changed);
        ladder.note_encoded(step, encode(100_000.0, step));
        sizes.push(step.eighths);
    }
    sizes.dedup();
    assert!(sizes.len() <= 2, "{sizes:?}");
}

#[test]
fn pictures_of_another_size_are_at_once_of_the_quality_that_is_theirs() {
    let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
    ladder.set_pixels(1280 * 720);
    settle(&mut ladder, 100_000.0);
    // A ninth of the pixels, which cost 15,450 bytes at quality 80, and may cost 12,500.
    ladder.set_pixels(1280 * 720 / 9);
    ladder.set_target(Some(Bitrate(3_000_000)));
    let first = ladder.step(Fitness::Changed);
    let (settled, _) = settle(&mut ladder, 100_000.0 * (1.0_f64 / 3.0).powf(POWER));
    assert!((60..80).contains(&settled.quality), "{settled:?}");
    assert!(first.quality.abs_diff(settled.quality) <= 5 && first.eighths == 8, "{first:?}, then {settled:?}");
    // Of a camera's own JPEGs no more is known than their bytes.
    let mut camera = Ladder::new(80, false, PERIOD, Passthrough::Auto);
    camera.note_foreign(100_000, 1280 * 720);
    camera.set_pixels(1280 * 720 / 9);
    camera.set_target(Some(Bitrate(3_000_000)));
    let guessed = camera.step(Fitness::Anew);
    assert!(guessed.quality.abs_diff(settled.quality) <= 5 && guessed.eighths == 8, "{guessed:?}");
    // And back: the first picture does not fill the queue.
    ladder.set_pixels(1280 * 720);
    ladder.set_target(Some(Bitrate(12_000_000)));
    let first = ladder.step(Fitness::Changed);
    assert!((encode(100_000.0, first) as f64) < 1.1 * 12e6 / 8.0 / 30.0, "{first:?}");
}

/// On 2 Mbit/s a head by which 12 % changes is encoded well and at full size, and a cut of the scene costs no more than what
/// was saved, and what the least quality takes.
#[test]
fn of_a_picture_that_is_only_what_changed_the_quality_is_chosen_by_how_much_that_is() {
    let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
    ladder.set_target(Some(Bitrate(2_000_000)));
    let budget = 2e6 / 8.0 / 30.0;
    let mut picture = |share: f64| {
        let step = ladder.step(Fitness::Changed);
        let step = Step { quality: ladder.quality_of(step, share), ..step };
        let bytes = (encode(100_000.0, step) as f64 * share) as usize;
        ladder.note_part(step, share, bytes, 0);
        (step, bytes as f64)
    };
    let head: Vec<(Step, f64)> = (0..90).map(|_| picture(0.12)).skip(60).collect();
    assert!(head.iter().all(|(step, _)| (step.eighths, step.every) == (8, 1) && (40..70).contains(&step.quality)), "{head:?}");
    let mean = head.iter().map(|(_, bytes)| bytes).sum::<f64>() / 30.0;
    assert!((0.8..1.05).contains(&(mean / budget)), "{} of the budget", mean / budget);
    for _ in 0..30 {
        picture(0.0);
    }
    let (cut, bytes) = picture(1.0);
    assert!(cut.quality == 10 && cut.eighths == 8 && bytes < 4.0 * budget, "{cut:?} {bytes}");
    // That is paid back, and then the head is as good as it was.
    let after: Vec<(Step, f64)> = (0..30).map(|_| picture(0.12)).collect();
    assert!(after[0].1 < 0.5 * budget, "{after:?}");
    assert!(after[20..].iter().all(|(step, _)| (40..70).contains(&step.quality)), "{after:?}");
}

/// Twice the same on a narrow path, and once all that may be is refined: what moves is as good, in each picture.
#[test]
fn what_is_refined_takes_nothing_from_what_moves() {
    let (mut with, mut without) =
        (Ladder::new(80, false, PERIOD, Passthrough::Auto), Ladder::new(80, false, PERIOD, Passthrough::Auto));
    let mut refined = [0.0; 4];
    for number in 0..400 {
        let moves = number / 100;
        // Nothing, a finger, a head, nothing.
        let share = if number == 0 { 1.0 } else { [0.0, 0.03, 0.12, 0.0][moves] };
        let mut qualities = Vec::new();
        for (ladder, refines) in [(&mut with, true), (&mut without, false)] {
            ladder.set_target(Some(Bitrate(2_000_000)));
            let step = ladder.step(Fitness::Anew);
            let spare = if refines { ladder.spare(step, share) } else { 0.0 };
            let step = Step { quality: ladder.quality_of(step, share), ..step };
            let fine = (100_000.0 * cost(92.0) * spare) as usize;
            ladder.note_part(step, share, (encode(100_000.0, step) as f64 * share) as usize, fine);
            refined[moves] += spare / 100.0;
            qualities.push((step.eighths, step.every, step.quality));
        }
        assert_eq!(qualities[0], qualities[1], "picture {number}");
    }
    assert!(refined[0] > 0.03 && refined[1] > 0.02 && refined[2] < 0.001 && refined[3] > 0.03, "{refined:?}");
    // Where nothing is held back there is room, and before anything is known there is none.
    assert_eq!(Ladder::new(80, false, PERIOD, Passthrough::Auto).spare(with.step(Fitness::Anew), 0.1), 1.0);
    let mut unknown = Ladder::new(80, false, PERIOD, Passthrough::Auto);
    unknown.set_target(Some(Bitrate(2_000_000)));
    assert_eq!(unknown.spare(with.step(Fitness::Anew), 0.1), 0.0);
}

#[test]
fn what_is_refined_is_better_than_the_best_or_as_good() {
    let finest = |best| Ladder::new(best, false, PERIOD, Passthrough::Auto).finest();
    assert_eq!([10, 80, 89, 92, 95, 98, 100].map(finest), [92, 92, 92, 95, 97, 98, 100]);
}

/// Each change of size is a picture of which all is coded: it does not lead to the next.
#[test]
fn a_size_that_is_found_is_kept_though_each_change_of_it_codes_all() {
    for target in [2_000_000, 5_000_000, 10_000_000] {
        let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
        ladder.set_target(Some(Bitrate(target)));
        let (mut sizes, mut last) = (Vec::new(), 0);
        for _ in 0..600 {
            let step = ladder.step(Fitness::Changed);
            let share = if step.eighths == last { 0.13 } else { 1.0 };
            last = step.eighths;
            let step = Step { quality: ladder.quality_of(step, share), ..step };
            ladder.note_part(step, share, (encode(100_000.0, step) as f64 * share) as usize, 0);
            sizes.push(step.eighths);
        }
        sizes.dedup();
        assert!(sizes.len() <= 6, "{target}: {sizes:?}");
    }
}

#[test]
fn a_film_keeps_its_size_and_all_its_pictures() {
    let mut ladder = Ladder::new(80, true, PERIOD, Passthrough::Auto);
    ladder.set_target(Some(Bitrate(500_000)));
    let (step, _) = settle(&mut ladder, 100_000.0);
    assert_eq!((step.eighths, step.every, step.quality), (8, 1, 10));
}

#[test]
fn a_cameras_jpeg_is_encoded_anew_only_while_it_does_not_fit() {
    let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
    ladder.note_foreign(100_000, 1280 * 720);
    let mut way = |target: Option<u64>| {
        ladder.set_target(target.map(Bitrate));
        ladder.step(Fitness::Whole).foreign
    };
    assert_eq!([way(None), way(Some(30_000_000))], [Way::Whole; 2]);
    assert_eq!(way(Some(20_000_000)), Way::Anew);
    assert_eq!(way(Some(25_000_000)), Way::Anew, "it would be cut again at once");
    assert_eq!(way(Some(30_000_000)), Way::Whole);
}

/// What changed goes as it is; a cut of the scene, which would take ten pictures' time, is encoded anew.
#[test]
fn of_a_cameras_jpeg_what_changed_is_afforded_and_a_cut_is_not() {
    let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::Auto);
    ladder.set_target(Some(Bitrate(4_000_000)));
    for _ in 0..30 {
        ladder.note_foreign(160_000, 1280 * 720);
        let step = ladder.step(Fitness::Changed);
        assert_eq!((step.foreign, step.eighths, step.every), (Way::Changed, 8, 1));
        assert!(ladder.affords(0.1) && !ladder.affords(1.0));
        ladder.note_changed(step, 0.08, Some(13_000));
    }
    let step = ladder.step(Fitness::Changed);
    assert!(ladder.affords(0.15) && ladder.quality_of(step, 1.0) < 40, "what was saved is spent");
    ladder.note_changed(step, 1.0, None);
    assert_eq!(ladder.step(Fitness::Changed).foreign, Way::Changed);
}

#[test]
fn all_of_a_picture_beside_what_changed_takes_what_a_picture_may_and_nothing_of_what_was_saved() {
    let mut ladder = Ladder::new(95, false, PERIOD, Passthrough::Auto);
    let step = ladder.step(Fitness::Anew);
    assert_eq!(ladder.quality_beside(step, 0.1), step.quality, "as good as can be, while nothing is held back");
    ladder.note_encoded(Step { quality: 80, ..step }, 100_000);
    ladder.set_target(Some(Bitrate(24_000_000)));
    for _ in 0..20 {
        ladder.note_part(Step { quality: 80, ..step }, 0.1, 10_000, 0);
    }
    let (beside, alone) = (ladder.quality_beside(step, 0.1), ladder.quality_of(step, 1.1));
    let bytes = 110_000.0 * cost(f64::from(beside));
    assert!((90_000.0..=100_000.0).contains(&bytes) && alone > beside, "{beside}: {bytes} bytes, {alone}");
}

/// Nothing is encoded anew, and no debt grows without end.
#[test]
fn where_nothing_is_encoded_anew_pictures_are_left_out_after_a_cut_of_the_scene() {
    let mut ladder = Ladder::new(80, false, PERIOD, Passthrough::On);
    ladder.set_target(Some(Bitrate(4_000_000)));
    let mut picture = |bytes: usize| {
        ladder.note_foreign(160_000, 1280 * 720);
        let step = ladder.step(Fitness::Changed);
        assert_eq!(step.foreign, Way::Changed);
        let sent = !ladder.pays(step);
        if sent {
            ladder.note_changed(step, bytes as f64 / 160_000.0, Some(bytes));
        }
        sent
    };
    assert!((0..30).all(|_| picture(13_000)));
    assert!(picture(160_000), "ten pictures' worth");
    let left_out = (0..30).filter(|_| !picture(13_000)).count();
    assert_eq!(left_out, 3, "what was owed beyond a picture's worth");
}
