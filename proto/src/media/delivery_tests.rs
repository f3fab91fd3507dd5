//! A sender that codes what it likes, a way that loses, reorders and repeats slices, and a canvas: whatever happens, nothing is
//! wrong on the canvas that the sender takes for right.

use super::*;
use crate::media::coverage::Coverage;
use crate::media::missed::Missed;
use crate::media::slice::testing;
use crate::wire::mcus::Selection;
use proptest::prelude::*;

/// 10 columns and 6 rows of MCUs, in two bands.
const SIZE: Size = Size { width: 160, height: 96 };
const MCUS: usize = 60;

fn head(size: Size) -> Head<'static> {
    Head { sampling: Sampling::Yuv420, size, rows: size.height as u16, restart: 20, ..testing::head() }
}

/// A slice of a band, 30 MCUs.
struct Slice {
    picture: u64,
    band: usize,
    mcus: Vec<usize>,
}

impl Slice {
    fn with<T>(&self, look: impl FnOnce(&Head<'_>) -> T) -> T {
        let named = Selection::new(MCUS / 2, self.mcus.iter().copied()).expect("few");
        look(&Head { top: self.band as u16 * 48, rows: 48, mcus: Some(named.mcus()), ..head(SIZE) })
    }
}

fn sent(delivery: &mut Delivery, picture: u64, mcus: &[usize]) {
    let named = Selection::new(MCUS, mcus.iter().copied()).expect("few");
    delivery.sent(picture, &Head { mcus: Some(named.mcus()), ..head(SIZE) });
}

fn owed(delivery: &Delivery) -> Vec<usize> {
    match delivery.owed() {
        Owed::Nothing => Vec::new(),
        Owed::Some(set) => set.iter().collect(),
        Owed::All => (0..MCUS).collect(),
    }
}

/// Numbers that look random (xorshift64*, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

struct World {
    dice: Dice,
    delivery: Delivery,
    /// The picture in which each MCU was coded last.
    coded: Vec<u64>,
    canvas: Coverage,
    missed: Missed,
    /// Slices on their way, and how many of each picture there are.
    way: Vec<Slice>,
    /// Of pictures not settled: slices there are, and came.
    came: Vec<(u64, usize, Vec<usize>)>,
    settled: u64,
    reported: (u64, u64),
}

impl World {
    fn new(seed: u64) -> World {
        World {
            dice: Dice(seed | 1),
            delivery: Delivery::default(),
            coded: vec![0; MCUS],
            canvas: Coverage::new(Sampling::Yuv420.mcus(SIZE)),
            missed: Missed::default(),
            way: Vec::new(),
            came: Vec::new(),
            settled: 0,
            reported: (0, 0),
        }
    }

    /// A picture of which these MCUs changed is sent, with what is owed, or skipped.
    fn picture(&mut self, picture: u64, changed: &[usize], skipped: bool) {
        let mut mcus: Vec<usize> = changed.to_vec();
        changed.iter().for_each(|mcu| self.coded[*mcu] = picture);
        if !skipped {
            mcus.extend(owed(&self.delivery));
        }
        mcus.sort_unstable();
        mcus.dedup();
        let (upper, lower): (Vec<usize>, Vec<usize>) = mcus.into_iter().partition(|mcu| *mcu < MCUS / 2);
        let lower = lower.into_iter().map(|mcu| mcu - MCUS / 2).collect();
        for (band, mcus) in [upper, lower].into_iter().enumerate() {
            let slice = Slice { picture, band, mcus };
            if skipped {
                slice.with(|head| self.delivery.passed_over(head));
            } else {
                slice.with(|head| self.delivery.sent(picture, head));
                self.way.push(slice);
            }
        }
        self.came.push((picture, 2, Vec::new()));
    }

    /// A slice arrives, or does not; now and then twice.
    fn arrive(&mut self, losing: bool) {
        if self.way.is_empty() {
            return;
        }
        let at = self.dice.roll(self.way.len().min(4) as u64) as usize;
        let again = self.dice.one_in(10);
        let slice = if again { &self.way[at] } else { &self.way.swap_remove(at) };
        if losing && !again && self.dice.one_in(4) {
            return;
        }
        let (picture, band) = (slice.picture, slice.band);
        let slice = Slice { picture, band, mcus: slice.mcus.clone() };
        if picture < self.settled {
            // It comes too late to count, and is drawn where nothing is newer all the same.
            return slice.with(|head| self.canvas.drawn(picture, head.runs()));
        }
        if let Some((_, _, bands)) = self.came.iter_mut().find(|known| known.0 == picture) {
            if !bands.contains(&band) {
                bands.push(band);
            }
            if losing && self.dice.one_in(20) {
                // It came, and could not be drawn.
                self.missed.missed(picture);
            } else {
                slice.with(|head| self.canvas.drawn(picture, head.runs()));
            }
        }
    }

    fn settle(&mut self) {
        if self.came.is_empty() {
            return;
        }
        let (picture, of, bands) = self.came.remove(0);
        self.missed.settled(picture, bands.len() == of);
        self.settled = picture + 1;
    }

    fn report(&mut self) {
        self.reported = (self.settled, self.missed.bits());
        self.delivery.reported(self.settled, self.missed.bits());
    }

    /// Nothing on the canvas is wrong that is neither owed nor under way.
    fn check(&self) {
        let owed = owed(&self.delivery);
        for mcu in 0..MCUS {
            let right = self.canvas.shown(mcu).is_some_and(|shown| shown >= self.coded[mcu]) || self.coded[mcu] == 0;
            let under_way = match self.delivery.mcus.get(mcu) {
                Some(&HAS) => false,
                Some(&LACKS) | None => true,
                Some(slot) => self.delivery.slots[usize::from(*slot) - 1] > self.reported.0,
            };
            assert!(right || under_way || owed.contains(&mcu), "MCU {mcu}: a hole that nobody knows of");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_is_lost_reordered_or_repeated_one_report_and_one_picture_later_the_canvas_is_right(seed in any::<u64>()) {
        let mut world = World::new(seed);
        let mut picture = 1;
        for _ in 0..400 {
            match world.dice.roll(8) {
                0 | 1 => {
                    let share = 1 + world.dice.roll(20);
                    let changed: Vec<usize> = (0..MCUS).filter(|_| world.dice.one_in(share)).collect();
                    let skipped = world.dice.one_in(8);
                    world.picture(picture, &changed, skipped);
                    picture += 1;
                }
                2..=5 => world.arrive(true),
                6 => world.settle(),
                // Of two reports one is lost.
                _ => if world.dice.one_in(2) { world.report() },
            }
            world.check();
        }
        while !world.came.is_empty() {
            world.arrive(true);
            world.settle();
        }
        world.way.clear();
        world.report();
        world.check();
        world.picture(picture, &[], false);
        while !world.way.is_empty() {
            world.arrive(false);
        }
        for mcu in 0..MCUS {
            prop_assert!(world.coded[mcu] == 0 || world.canvas.shown(mcu) >= Some(world.coded[mcu]), "MCU {}", mcu);
        }
    }
}

#[test]
fn what_was_missed_is_owed_until_it_is_sent_again_and_what_was_sent_since_is_not() {
    let mut delivery = Delivery::default();
    assert_eq!(delivery.owed(), Owed::All, "it has nothing yet");
    delivery.sent(0, &head(SIZE));
    assert!(!delivery.is_owed());
    sent(&mut delivery, 1, &[3, 4]);
    sent(&mut delivery, 2, &[4, 5]);
    delivery.reported(2, 0b01);
    assert_eq!(owed(&delivery), [3], "4 was sent again in picture 2");
    delivery.reported(3, 0b11);
    assert_eq!(owed(&delivery), [3, 4, 5]);
    sent(&mut delivery, 3, &[3, 4, 5]);
    delivery.reported(4, 0b110);
    assert!(!delivery.is_owed(), "it is told of pictures 1 and 2 for long");
    delivery.reported(4, 0b111);
    assert_eq!(owed(&delivery), [3, 4, 5], "and of 3 after all");
}

#[test]
fn one_that_comes_back_has_what_it_was_reported_to_have_and_nothing_that_was_under_way() {
    let mut delivery = Delivery::default();
    delivery.sent(0, &head(SIZE));
    sent(&mut delivery, 1, &[3, 4]);
    sent(&mut delivery, 2, &[5, 6]);
    delivery.reported(2, 0);
    let mut delivery = delivery.resumed();
    assert_eq!(owed(&delivery), [5, 6]);
    sent(&mut delivery, 3, &[5, 6]);
    delivery.reported(4, 0b10);
    assert!(!delivery.is_owed(), "picture 2 was another connection's");
    delivery.reported(4, 0b110);
    assert_eq!(owed(&delivery), [3, 4], "picture 1 was not drawn after all");
}

#[test]
fn what_no_report_spoke_of_is_owed() {
    let mut delivery = Delivery::default();
    delivery.sent(0, &head(SIZE));
    (1..100).for_each(|picture| sent(&mut delivery, picture, &[picture as usize % 50]));
    delivery.reported(100, 0);
    assert_eq!(owed(&delivery), (50..60).collect::<Vec<_>>(), "of the first picture nobody can say any more");
    let mut delivery = Delivery::default();
    delivery.sent(0, &head(SIZE));
    delivery.reported(1, 0);
    (1..300).for_each(|picture| sent(&mut delivery, picture, &[picture as usize % 50]));
    assert!(!delivery.is_owed(), "everything was sent again lately");
    sent(&mut delivery, 300, &[]);
    sent(&mut delivery, 301, &[7]);
    (302..450).for_each(|picture| sent(&mut delivery, picture, &[8]));
    assert!(owed(&delivery).contains(&7), "no report for as long as pictures are remembered");
}

#[test]
fn a_slice_that_is_passed_on_late_hides_nothing_that_is_newer() {
    let mut delivery = Delivery::default();
    delivery.sent(0, &head(SIZE));
    delivery.reported(1, 0);
    sent(&mut delivery, 2, &[3, 4]);
    sent(&mut delivery, 1, &[4, 5]);
    delivery.reported(3, 0b01);
    assert_eq!(owed(&delivery), [3, 4]);
    sent(&mut delivery, 1, &[3]);
    assert_eq!(owed(&delivery), [3, 4], "that is not what it lacks");
}

#[test]
fn of_pictures_of_another_size_it_has_nothing_and_of_giant_ones_nothing_is_kept() {
    let mut delivery = Delivery::default();
    delivery.sent(0, &head(SIZE));
    let larger = Size { width: 320, ..SIZE };
    delivery.sent(1, &Head { rows: 48, ..head(larger) });
    assert_eq!(owed(&delivery), (60..120).collect::<Vec<_>>(), "the lower half");
    let mut set = McuSet::new(SIZE, Sampling::Yuv420);
    set.insert(0);
    delivery.lacks(&Owed::Some(set));
    assert_eq!(owed(&delivery).len(), 60, "that was said of the former size");
    delivery.sent(2, &head(Size { width: 8192, height: 8192 }));
    assert!(!delivery.is_owed() && delivery.mcus.is_empty());
    delivery.lacks(&Owed::All);
    assert_eq!(delivery.owed(), Owed::All);
}
