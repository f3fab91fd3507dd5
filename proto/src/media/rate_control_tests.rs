//! A queue in front of a link, and reports of how pictures passed it.

use super::*;

/// A queue in front of a link of `speed` bytes a second, pictures of what the controller allows, reports of three.
struct Path {
    now: Instant,
    us: f64,
    busy_us: f64,
    speed: f64,
    jitter: fn(u64) -> f64,
    skip: f64,
    controller: Controller,
    sent: f64,
    longest: f64,
}

const PERIOD_US: f64 = 33_333.0;

impl Path {
    fn new(speed: f64) -> Path {
        let controller = Controller::new();
        let now = Instant::now();
        Path { now, us: 0.0, busy_us: 0.0, speed, jitter: |_| 0.0, skip: 0.0, controller, sent: 0.0, longest: 0.0 }
    }

    /// Sends for so long at most `natural` bytes a second.
    fn run(&mut self, time: Duration, natural: f64) {
        let reports = (time.as_secs_f64() * 10.0) as u64;
        (self.sent, self.longest) = (0.0, 0.0);
        for report in 0..reports {
            let mut passages = Vec::new();
            let mut offered = 0.0;
            for _ in 0..3 {
                let rate = self.controller.rate().map_or(natural, |rate| rate.bytes().min(natural));
                let bytes = rate * PERIOD_US / 1e6;
                self.us += PERIOD_US;
                let pace = self.controller.capacity().map_or(125e6, |capacity| capacity.bytes() * 2.5);
                let held = self.skip.min(bytes);
                self.skip -= held;
                if held > 0.0 {
                    continue;
                }
                offered += bytes * 10.0;
                self.sent += bytes;
                let first = self.busy_us.max(self.us) + (self.jitter)(report);
                let sending = bytes / pace * 1e6;
                let last = (self.busy_us.max(self.us) + bytes / self.speed * 1e6).max(self.us + sending);
                self.busy_us = last;
                self.longest = self.longest.max(first - self.us);
                passages.push(Passage {
                    first_us: (first - self.us) as i64,
                    last_us: (last - self.us - sending) as i64,
                    span: Duration::from_micros((last - first).max(1.0) as u64),
                    bytes: bytes as u32,
                    ..Passage::NONE
                });
            }
            self.now += Duration::from_millis(100);
            let excess =
                self.controller.handle_report(self.now, &passages, (offered, offered, offered), Duration::from_millis(2));
            self.skip += excess.unwrap_or(0.0);
        }
    }
}

#[test]
fn a_path_that_is_fast_enough_is_left_alone() {
    for natural in [0.3e6, 2e6, 8e6] {
        let mut path = Path::new(12.5e6);
        path.run(Duration::from_secs(60), natural);
        assert_eq!(path.controller.rate(), None, "{natural}");
    }
}

#[test]
fn a_source_that_pauses_for_hours_leaves_no_bottleneck_behind() {
    let mut path = Path::new(1e6);
    path.run(Duration::from_secs(10), 3e6);
    assert!(path.controller.rate().is_some());
    for second in 0..3600 {
        path.controller.handle_report(path.now + Duration::from_secs(second), &[], (0.0, 0.0, 0.0), Duration::from_millis(2));
    }
    assert_eq!(path.controller.rate(), None);
}

#[test]
fn scatter_alone_is_no_bottleneck() {
    let mut path = Path::new(12.5e6);
    path.jitter = |report| (report * 7919 % 31) as f64 * 1000.0;
    path.run(Duration::from_secs(120), 3e6);
    assert_eq!(path.controller.rate(), None);
}

/// Jitter that keeps order: one packet is late, and what left behind it comes with it.
#[test]
fn pictures_that_come_all_at_once_waited_in_no_queue() {
    let mut controller = Controller::new();
    let passage = |late: i64, span: i64| Passage {
        first_us: late,
        last_us: late + span,
        span: Duration::from_micros(span as u64),
        bytes: 28_000,
        ..Passage::NONE
    };
    let now = Instant::now();
    controller.handle_report(now, &[passage(0, 0)], (0.9e6, 0.9e6, 0.9e6), Duration::from_millis(2));
    for report in 1..100 {
        let late = passage(60_000, 0);
        let passages = [passage(60_000, 30_000), late, late];
        let at = now + Duration::from_millis(100 * report);
        controller.handle_report(at, &passages, (0.9e6, 0.9e6, 0.9e6), Duration::from_millis(2));
        assert_eq!(controller.rate(), None);
    }
}

/// Of each picture two packets come together, 120 ms late, and the rest finds the queue full.
#[test]
fn a_queue_that_was_full_from_the_first_picture_on_is_found_by_what_leaves_it() {
    let mut controller = Controller::new();
    let passage = |late, holed| Passage { first_us: late, last_us: late, bytes: 2781, holed, ..Passage::NONE };
    let now = Instant::now();
    controller.handle_report(now, &[passage(0, false)], (1.5e6, 0.38e6, 1.5e6), Duration::from_millis(2));
    for report in 1..4 {
        let late = passage(117_000, true);
        let at = now + Duration::from_millis(100 * report);
        controller.handle_report(at, &[late, late, late], (1.5e6, 0.38e6, 1.5e6), Duration::from_millis(120));
    }
    let rate = controller.rate().expect("a bottleneck").bytes();
    assert!((0.3e6..0.38e6).contains(&rate), "{rate}");
}

#[test]
fn a_cliff_is_found_within_a_second_and_its_queue_drained() {
    let mut path = Path::new(12.5e6);
    path.run(Duration::from_secs(5), 3e6);
    path.speed = 1e6;
    path.run(Duration::from_secs(1), 3e6);
    let rate = path.controller.rate().expect("a bottleneck").bytes();
    assert!((0.8e6..1e6).contains(&rate), "{rate}");
    path.run(Duration::from_secs(1), 3e6);
    path.run(Duration::from_secs(10), 3e6);
    assert!(path.sent > 8.5e6, "it takes 10e6 and got {}", path.sent);
    assert!(path.longest < 30e3, "a picture waited {} us", path.longest);
}

/// A still scene says nothing of the path, for however long: when all of it changes again, what it takes is known.
#[test]
fn a_path_that_pictures_of_hardly_any_change_leave_idle_keeps_its_speed() {
    let mut path = Path::new(1e6);
    path.run(Duration::from_secs(10), 3e6);
    let known = path.controller.rate().expect("a bottleneck");
    let small = |n: i64| Passage { first_us: n % 7 * 100, last_us: n % 7 * 100, bytes: 300, ..Passage::NONE };
    for report in 0..1200 {
        let at = path.now + Duration::from_millis(100 * report);
        let passages = [small(report as i64), small(2), small(3)];
        path.controller.handle_report(at, &passages, (10_000.0, 10_000.0, 3e6), Duration::from_millis(2));
    }
    assert_eq!(path.controller.rate(), Some(known), "two minutes later");
    for report in 1200..1300 {
        let at = path.now + Duration::from_millis(100 * report);
        path.controller.handle_report(at, &[small(1); 3], (10_000.0, 10_000.0, 0.2e6), Duration::from_millis(2));
    }
    assert_eq!(path.controller.rate(), None, "whole pictures would fit many times");
}

#[test]
fn new_room_is_taken_within_five_seconds_and_then_nothing_is_held() {
    let mut path = Path::new(1e6);
    path.run(Duration::from_secs(10), 3e6);
    assert!(path.controller.rate().is_some());
    path.speed = 5e6;
    path.run(Duration::from_secs(4), 3e6);
    path.run(Duration::from_secs(1), 3e6);
    assert!(path.sent > 0.95 * 3e6, "{}", path.sent);
    path.run(Duration::from_secs(20), 2e6);
    assert_eq!(path.controller.rate(), None);
}
