//! A replenisher and a screen, of which it is known what is drawn on it.

use super::*;

/// Another than a drawn screen has.
const SIZE: Size = Size { width: 640, height: 368 };

/// A screen without noise, whose source knows what it drew.
struct Drawn {
    replenisher: Replenisher,
    planes: Vec<u8>,
    captured: Instant,
}

impl Drawn {
    const KIND: (Sampling, Size) = (Sampling::Yuv444, Size { width: 320, height: 200 });

    /// One of which the first picture was sent.
    fn new() -> Self {
        let planes = (0..Self::KIND.0.bytes(Self::KIND.1)).map(|at| (at * 7 % 251) as u8).collect();
        let mut screen = Drawn { replenisher: Replenisher::default(), planes, captured: Instant::now() };
        screen.replenisher.comes(None);
        assert!(screen.look(Duration::from_millis(33), &Owed::Nothing, 1.0).is_none(), "all of the first");
        screen
    }

    fn set(mcus: impl IntoIterator<Item = usize>) -> McuSet {
        let mut set = McuSet::new(Self::KIND.1, Self::KIND.0);
        mcus.into_iter().for_each(|mcu| set.insert(mcu));
        set
    }

    /// Draws one pixel of each of these MCUs otherwise.
    fn draw(&mut self, mcus: impl IntoIterator<Item = usize>) {
        mcus.into_iter().for_each(|mcu| self.planes[mcu / 40 * 8 * 320 + mcu % 40 * 8 + 3] ^= 1);
    }

    fn look(&mut self, passed: Duration, owed: &Owed, room: f64) -> Option<Due> {
        self.captured += passed;
        self.replenisher.look(&mut self.planes, Self::KIND, owed, self.captured, |_| room).cloned()
    }
}

const MOMENT: Duration = Duration::from_nanos(1);

#[test]
fn only_what_was_drawn_is_compared_and_of_that_the_least_difference_is_a_change() {
    let mut screen = Drawn::new();
    screen.draw([3, 700]);
    screen.replenisher.comes(Some(&Drawn::set([3, 4, 5])));
    let due = screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap();
    assert_eq!((due.changed, due.refined.len()), (Drawn::set([3]), 0), "one level of one pixel, and 700 is not looked at");
    screen.replenisher.comes(Some(&Drawn::set([700])));
    let due = screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap();
    assert_eq!(due.changed, Drawn::set([700]), "what was drawn before is found when it is looked at");
    screen.replenisher.comes(Some(&Drawn::set([])));
    assert!(screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap().changed.is_empty());
}

#[test]
fn what_was_drawn_in_pictures_that_were_left_out_is_looked_at_in_the_next() {
    let mut screen = Drawn::new();
    screen.draw([1, 2]);
    screen.replenisher.comes(Some(&Drawn::set([1])));
    screen.replenisher.comes(Some(&Drawn::set([2])));
    assert_eq!(screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap().changed, Drawn::set([1, 2]));
    // Of one picture nobody knows: all is compared, as a camera's.
    screen.draw([9]);
    let before = screen.planes.clone();
    screen.planes[..320 * 8].fill(255);
    screen.replenisher.comes(None);
    screen.replenisher.comes(Some(&Drawn::set([])));
    assert_eq!(screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap().changed.iter().filter(|mcu| *mcu < 40).count(), 40);
    screen.planes = before;
    screen.replenisher.comes(Some(&Drawn::set(0..40)));
    assert_eq!(screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap().changed.len(), 40);
    // A picture of another size was scaled, of which the source knows nothing.
    screen.replenisher.comes(Some(&McuSet::new(SIZE, Sampling::Yuv420)));
    screen.draw([77]);
    screen.planes[8 * 320..][..320 * 8].fill(255);
    assert!(screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap().changed.len() >= 40);
}

#[test]
fn on_a_still_screen_what_is_old_is_sent_finely_where_there_is_room_and_what_is_owed_is_owed() {
    let mut screen = Drawn::new();
    let all = Drawn::set([]).of();
    let (mut fine, mut seen) = (Drawn::set([]), 0);
    for _ in 0..4 {
        screen.replenisher.comes(Some(&Drawn::set([])));
        let due = screen.look(Duration::from_secs(1), &Owed::Nothing, 1.0).unwrap();
        assert!(due.changed.is_empty() && due.refined.len() <= all / 3 + 16, "{due:?}");
        fine.add(&due.refined);
        seen += due.refined.len();
    }
    assert!(fine.len() == all && seen >= all, "all of it within three seconds");
    screen.replenisher.comes(Some(&Drawn::set([])));
    let owed = Drawn::set([5, 6]);
    let due = screen.look(MOMENT, &Owed::Some(owed.clone()), 1.0).unwrap();
    assert_eq!((due.owed, due.changed.len() + due.refined.len()), (owed, 0));
    assert!(!screen.replenisher.is_waited_for());
    let mut look = |passed: u64, room: f64| {
        screen.replenisher.comes(Some(&Drawn::set([])));
        let due = screen.look(Duration::from_secs(passed), &Owed::Nothing, room).unwrap();
        (due.changed.len(), due.refined.len(), screen.replenisher.is_waited_for())
    };
    assert_eq!(look(1, 0.1), (0, all / 10, true), "what there is no room for waits");
    let (changed, refined, waited_for) = look(0, 1.0);
    assert!(changed == 0 && refined > all / 6 && !waited_for, "and comes when there is some");
    assert_eq!(look(1, 0.0), (0, 0, true));
    let (changed, ..) = look(3, 0.0);
    assert!((all / 4..all / 2).contains(&changed), "what waited so long is sent all the same: {changed} of {all}");
}

#[test]
fn after_a_film_on_all_of_the_screen_no_picture_is_sampled_and_the_rest_costs_nothing() {
    let mut screen = Drawn::new();
    let all = Drawn::set([]).of();
    for number in 0..30 {
        screen.planes.fill(number);
        screen.replenisher.comes(Some(&Drawn::set(0..all)));
        assert!(screen.look(MOMENT, &Owed::Nothing, 1.0).is_none(), "all of it changed");
    }
    screen.replenisher.comes(Some(&Drawn::set(0..all)));
    let due = screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap();
    assert_eq!((due.changed.len(), due.refined.len()), (0, 0), "drawn again, as it was");
}

#[test]
fn what_was_sent_coarsely_is_sent_again_as_soon_as_there_is_room_and_then_no_more() {
    let mut screen = Drawn::new();
    screen.replenisher.was_sent(true);
    assert!(!screen.replenisher.is_waited_for());
    screen.draw(10..20);
    screen.replenisher.comes(Some(&Drawn::set(10..20)));
    screen.look(MOMENT, &Owed::Nothing, 0.0).unwrap();
    screen.replenisher.was_sent(false);
    let mut refined = Vec::new();
    for room in [0.0, 0.004, 0.004, 1.0, 1.0] {
        screen.replenisher.comes(Some(&Drawn::set([])));
        let due = screen.look(MOMENT, &Owed::Nothing, room).unwrap();
        assert!(due.changed.is_empty());
        screen.replenisher.was_sent(true);
        refined.push((due.refined.len(), screen.replenisher.is_waited_for()));
    }
    assert_eq!(refined, [(0, true), (4, true), (4, true), (2, false), (0, false)]);
    // What changes meanwhile is sent as what it is.
    screen.draw(10..20);
    screen.replenisher.comes(Some(&Drawn::set(10..20)));
    screen.look(MOMENT, &Owed::Nothing, 0.0).unwrap();
    screen.replenisher.was_sent(false);
    screen.draw([12]);
    screen.replenisher.comes(Some(&Drawn::set([12])));
    let due = screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap();
    assert_eq!((due.changed, due.refined.len()), (Drawn::set([12]), 9));
}

#[test]
fn of_pictures_that_are_scaled_only_what_changed_in_the_source_is_looked_at() {
    let source = Size { width: 640, height: 2 * Drawn::KIND.1.height };
    let of = |mcus: &[usize]| {
        let mut set = McuSet::new(source, Sampling::Yuv444);
        mcus.iter().for_each(|mcu| set.insert(*mcu));
        set
    };
    let mut screen = Drawn::new();
    screen.draw([0, 700]);
    // Its upper left, twice as large.
    screen.replenisher.comes(Some(&of(&[0, 1])));
    assert_eq!(screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap().changed, Drawn::set([0]));
    screen.replenisher.comes(Some(&of(&[])));
    assert!(screen.look(MOMENT, &Owed::Nothing, 1.0).unwrap().changed.is_empty());
}
