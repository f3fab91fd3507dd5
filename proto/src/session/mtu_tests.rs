//! Paths that take datagrams of one length and swallow longer ones.

use super::*;

const RTT: Duration = Duration::from_millis(20);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A path that takes datagrams up to what a function of time says, and answers everything else.
struct Rig {
    search: Search,
    start: Instant,
    now: Instant,
    probes: Vec<usize>,
    large: u64,
    came: u64,
}

impl Rig {
    #[expect(clippy::disallowed_methods)] // one real instant to count from
    fn new() -> Rig {
        let start = Instant::now();
        let mut search = Search::default();
        search.begin(start);
        Rig { search, start, now: start, probes: Vec::new(), large: 0, came: 0 }
    }

    fn run(&mut self, until: Duration, takes: impl Fn(usize) -> bool) {
        let mut answers: VecDeque<(Instant, u16)> = VecDeque::new();
        let mut report = self.now + ms(100);
        while self.now < self.start + until {
            while let Some((number, size)) = self.search.poll(self.now, RTT) {
                self.probes.push(size);
                if takes(size) {
                    answers.push_back((self.now + RTT, number));
                }
                answers.push_back((self.now + RTT, number + 1));
            }
            while answers.front().is_some_and(|(at, _)| *at <= self.now) {
                self.search.acknowledged(self.now, answers.pop_front().unwrap().1, Duration::ZERO);
            }
            if self.now >= report {
                report += ms(100);
                let size = self.search.size().unwrap_or(0);
                self.large += 300;
                self.came += if takes(size) && size > 0 { 300 } else { 3 };
                self.search.reported(self.now, self.large, self.large, self.came);
            }
            self.now += ms(1);
        }
    }
}

#[test]
fn what_is_found_is_what_the_path_takes_less_one_percent() {
    for takes in [1000, 1032, 1072, 1100, 1232, 1300, 1344, 1392, 1420, 1452, 1472, 8952, 9000] {
        let mut rig = Rig::new();
        rig.run(ms(2500), |size| size <= takes);
        let found = rig.search.size().unwrap();
        let most = if takes < MOST { takes.min(ETHERNET) } else { MOST };
        assert!(found <= most && found + RESOLUTION >= most, "{found} on a path that takes {takes}");
        assert!(rig.search.deadline().is_none_or(|due| due > rig.now + ms(100_000)), "and then it rests");
    }
}

#[test]
fn an_ordinary_path_is_known_after_one_round_trip_and_four_probes() {
    let mut rig = Rig::new();
    rig.run(ms(22), |size| size <= 1472);
    assert_eq!((rig.search.size(), &rig.probes[..]), (Some(ETHERNET), &[MOST, ETHERNET, 1232, FLOOR][..]));
    rig.search.refused(rig.now, MOST);
    rig.run(ms(2000), |size| size <= 1472);
    assert_eq!(rig.probes.len(), 4, "the interface said the rest");
}

#[test]
fn a_black_hole_is_found_within_a_second_and_left_when_it_closes() {
    let mut rig = Rig::new();
    rig.run(ms(1000), |size| size <= 1472);
    rig.run(ms(1600), |size| size <= 1072);
    assert!((1000..=1072).contains(&rig.search.size().unwrap()), "{:?}", rig.search.size());
    rig.run(ms(605_000), |size| size <= 1472);
    assert_eq!(rig.search.size(), Some(ETHERNET), "looked for again after ten minutes");
}

#[test]
fn an_outage_is_no_black_hole() {
    let mut rig = Rig::new();
    rig.run(ms(1000), |size| size <= 1472);
    rig.search.reported(rig.now, rig.large + 300, rig.large + 300, rig.came);
    for _ in 0..3000 {
        rig.now += ms(1);
        while rig.search.poll(rig.now, RTT).is_some() {}
    }
    assert_eq!(rig.search.size(), Some(ETHERNET));
}

/// Answers take a second from now on, and come in order.
#[test]
fn a_size_whose_answers_are_late_is_not_left() {
    let mut rig = Rig::new();
    rig.run(ms(1000), |size| size <= 1472);
    rig.search.reported(rig.now, rig.large + 300, rig.large + 300, rig.came);
    let mut late = VecDeque::new();
    for _ in 0..3000 {
        rig.now += ms(1);
        while let Some((number, _)) = rig.search.poll(rig.now, RTT) {
            late.extend([(rig.now + ms(1000), number), (rig.now + ms(1000), number + 1)]);
        }
        while late.front().is_some_and(|(at, _)| *at <= rig.now) {
            rig.search.acknowledged(rig.now, late.pop_front().unwrap().1, ms(5));
        }
        assert_eq!(rig.search.size(), Some(ETHERNET));
    }
}

#[test]
fn a_path_on_which_nothing_large_comes_is_known_within_two_seconds_and_asked_again() {
    let mut rig = Rig::new();
    rig.run(ms(2000), |size| size <= 900);
    assert_eq!(rig.search.size(), None);
    rig.run(ms(3000), |size| size <= 1472);
    assert_eq!(rig.search.size(), Some(ETHERNET));
    rig.search.refused(rig.now, 950);
    assert_eq!(rig.search.size(), None, "the interface takes no more");
}

#[test]
fn what_passed_is_used_until_it_is_known_not_to_pass_where_the_path_may_be_another() {
    let mut rig = Rig::new();
    rig.run(ms(1000), |size| size <= 1472);
    rig.search.path_may_be_another(rig.now);
    assert_eq!(rig.search.size(), Some(ETHERNET));
    rig.run(ms(1100), |size| size <= 8952);
    assert_eq!(rig.search.size(), Some(MOST));
    rig.search.path_may_be_another(rig.now);
    rig.run(ms(2000), |size| size <= 1072);
    assert!((1056..=1072).contains(&rig.search.size().unwrap()), "{:?}", rig.search.size());
}

#[test]
fn an_interface_that_takes_less_from_now_on_is_believed() {
    let mut rig = Rig::new();
    rig.run(ms(1000), |size| size <= 1472);
    rig.search.refused(rig.now, 1452);
    assert_eq!(rig.search.size(), Some(FLOOR));
    rig.run(ms(1500), |size| size <= 1392);
    assert!((1376..=1392).contains(&rig.search.size().unwrap()), "{:?}", rig.search.size());
}

#[test]
fn lost_probes_are_forgiven_once() {
    let mut rig = Rig::new();
    rig.run(ms(22), |size| size <= 1472);
    assert_eq!([rig.search.forgive(5), rig.search.forgive(5)], [1, 0]);
}
