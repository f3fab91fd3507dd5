//! A token bucket that drops, and what it is told from: dice, radios, outages.

use super::*;

/// A path that a camera is sent over in reports of a tenth of a second: a token bucket, then dice.
struct Path {
    now: Instant,
    /// Bytes a second, and the most that the bucket holds.
    rate: f64,
    bucket: f64,
    tokens: f64,
    dice: f64,
    detector: Detector,
    seed: u64,
}

/// What happened in a while: of what was sent so much was dropped, and of what passes so much was used.
struct Span {
    dropped: f64,
    used: f64,
}

const CAMERA: f64 = 3e6;
const PACKET: f64 = 1000.0;

impl Path {
    fn new(rate: f64, bucket: f64, dice: f64) -> Path {
        Path { now: Instant::now(), rate, bucket, tokens: bucket, dice, detector: Detector::new(), seed: 1 }
    }

    fn unit(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 11) as f64 / (1u64 << 53) as f64
    }

    fn run(&mut self, time: Duration) -> Span {
        let (mut sent, mut came) = (0, 0);
        for _ in 0..time.as_millis() / 100 {
            let offered = self.detector.limit().unwrap_or(f64::INFINITY).min(CAMERA);
            let packets = (offered * 0.1 / PACKET) as u64;
            let mut passed = 0;
            for _ in 0..packets {
                self.tokens = (self.tokens + self.rate * 0.1 / packets as f64).min(self.bucket);
                if self.tokens >= PACKET {
                    self.tokens -= PACKET;
                    passed += u64::from(self.unit() >= self.dice);
                }
            }
            self.now += Duration::from_millis(100);
            let (lost, arrived) = (packets - passed, passed as f64 * PACKET * 10.0);
            let rtt = Duration::from_millis(20);
            self.detector.handle_report(self.now, Seen { packets, lost, arrived, offered, queued: false, rtt });
            (sent, came) = (sent + packets, came + passed);
        }
        let dropped = (sent - came) as f64 / sent as f64;
        Span { dropped, used: came as f64 * PACKET / time.as_secs_f64() / self.rate.min(CAMERA) }
    }
}

#[test]
fn what_a_policer_passes_is_found_within_two_seconds_and_held() {
    for rate in [0.3e6, 0.6e6, 1.2e6, 1.8e6] {
        for bucket in [20e3, 150e3] {
            let mut path = Path::new(rate, bucket, 0.0);
            path.run(Duration::from_secs(2));
            let span = path.run(Duration::from_secs(60));
            assert!(span.dropped < 0.05 && span.used > 0.8, "{rate} {bucket}: {} {}", span.dropped, span.used);
        }
    }
}

#[test]
fn dice_are_no_policer_however_they_fall() {
    for dice in [0.01, 0.05, 0.1, 0.2] {
        let mut path = Path::new(f64::MAX, 1e6, dice);
        for second in 0..300 {
            path.run(Duration::from_secs(1));
            assert_eq!(path.detector.limit(), None, "{dice} after {second} s");
        }
    }
    // What looks like one is tested more and more seldom.
    let mut path = Path::new(f64::MAX, 1e6, 0.4);
    let limited = (0..3000).filter(|_| {
        path.run(Duration::from_millis(100));
        path.detector.limit().is_some()
    });
    assert!(limited.count() < 60);
}

#[test]
fn what_the_path_loses_beside_a_policer_is_not_mistaken_for_it() {
    let mut path = Path::new(1.2e6, 40e3, 0.1);
    path.run(Duration::from_secs(3));
    let span = path.run(Duration::from_secs(60));
    assert!(span.dropped < 0.1 + 0.05 && span.used > 0.75, "{} {}", span.dropped, span.used);
}

#[test]
fn losses_that_come_while_a_limit_is_held_do_not_lower_it_for_good() {
    let mut path = Path::new(1.2e6, 40e3, 0.0);
    path.run(Duration::from_secs(5));
    path.dice = 0.1;
    path.run(Duration::from_secs(10));
    let span = path.run(Duration::from_secs(20));
    assert!(span.used > 0.75, "{}", span.used);
}

#[test]
fn bad_moments_of_a_radio_do_not_wear_a_limit_down() {
    let mut path = Path::new(1.2e6, 40e3, 0.0);
    path.run(Duration::from_secs(10));
    for _ in 0..60 {
        path.dice = 0.4;
        path.run(Duration::from_millis(200));
        path.dice = 0.0;
        path.run(Duration::from_millis(2800));
    }
    let span = path.run(Duration::from_secs(10));
    assert!(span.used > 0.75, "{}", span.used);
}

#[test]
fn a_policer_that_is_gone_holds_nothing_after_a_while() {
    let mut path = Path::new(0.6e6, 40e3, 0.0);
    path.run(Duration::from_secs(10));
    assert!(path.detector.limit().is_some());
    path.rate = f64::MAX;
    path.run(Duration::from_secs(60));
    assert_eq!(path.detector.limit(), None);
}

#[test]
fn a_test_ends_however_few_packets_there_are() {
    let (mut detector, start) = (Detector::new(), Instant::now());
    let rtt = Duration::from_millis(20);
    let report = |detector: &mut Detector, at: u64, packets, lost| {
        let seen = Seen { packets, lost, arrived: 5e4, offered: 1e5, queued: false, rtt };
        detector.handle_report(start + Duration::from_millis(100 * at), seen);
        detector.limit()
    };
    assert!((0..20).any(|at| report(&mut detector, at, 30, 20).is_some()), "suspected");
    // The path is free, and of single large packets there are three between two reports.
    assert!((20..600).any(|at| report(&mut detector, at, 3, 0).is_none()), "{:?}", detector.limit());
}

#[test]
fn an_outage_is_no_policer() {
    let mut path = Path::new(f64::MAX, 1e6, 0.999);
    path.run(Duration::from_secs(2));
    path.dice = 0.0;
    path.run(Duration::from_secs(1));
    assert_eq!(path.detector.limit(), None);
}

#[test]
fn what_is_lost_behind_a_queue_is_no_policers() {
    let (mut detector, now) = (Detector::new(), Instant::now());
    for report in 0..100 {
        let rtt = Duration::from_millis(20);
        let seen = Seen { packets: 300, lost: 200, arrived: 1e5, offered: 3e5, queued: true, rtt };
        detector.handle_report(now + Duration::from_millis(100 * report), seen);
    }
    assert_eq!(detector.limit(), None);
}
