//! Pictures that are only what changed, for many, one of whom lies, or loses.

use super::calls::Gathering;
use super::meetings::POINT;
use super::mosaic::{MENDED, NEVER, bytes_to, in_call, is_right, join, latencies, path, stream, tell};
use super::scenarios::{Pair, SCREEN, Skews, ms, secs};
use super::sending::Stream;
use eyeline_proto::media::rate_control::Bitrate;

/// By the user's wish no more than 3 Mbit/s. One of two says of every picture that it missed it, and lacks everything: the other
/// is sent the same as if it were alone, and sees as much.
#[test]
fn mosaic_beside_a_liar() {
    let run = |liar: bool| {
        let stream = Stream { cap: Some(Bitrate(3_000_000)), channels: 0, ..stream(20) };
        let mut pair = Pair::new(740, &path(10, 0.0), Skews::USUAL, stream);
        pair.world.run_until(secs(2));
        if liar {
            let (watched, _) = join(&mut pair, "10.0.0.3", &path(10, 0.0));
            watched.borrow_mut().lies = true;
        }
        pair.world.run_until(secs(20));
        let watched = pair.watched.borrow();
        is_right("mosaic_beside_a_liar", &watched, NEVER);
        let shown = latencies(&watched, secs(5), secs(15));
        let bytes = ["10.0.0.3", SCREEN].map(|ip| bytes_to(&pair.world, ip));
        println!(
            "mosaic_beside_a_liar: {} pictures in ten seconds, p95 {} ms, {bytes:?}",
            shown.len(),
            shown[shown.len() * 95 / 100]
        );
        assert!(shown.len() >= 240 && shown[shown.len() * 95 / 100] < 80, "{} pictures", shown.len());
        // Whoever lies has no more than anybody.
        assert!(bytes[0] * 8 < 18 * 3_100_000);
        bytes[1]
    };
    let (alone, beside) = (run(false), run(true));
    assert!(alone.abs_diff(beside) < alone / 50, "{alone} and {beside} bytes");
}

/// The same behind a meeting point: who sends is asked by it no more often than it asks for anybody.
#[test]
fn mosaic_liar_at_a_meeting() {
    let run = |lies: bool| {
        let mut gathering = Gathering::new(741);
        gathering.point(POINT, "ann");
        let bob = gathering.call("10.0.4.2", "bob", in_call(14), &[POINT]);
        let cid = gathering.call("10.0.4.3", "cid", in_call(14), &[POINT]);
        let dan = gathering.recv("10.0.4.4", "dan", &[POINT]);
        gathering.pass(secs(2));
        gathering.view(dan, "bob").watched.borrow_mut().lies = lies;
        gathering.pass(secs(12));
        for (who, whose) in [(bob, "cid"), (cid, "bob")] {
            is_right(
                &format!("mosaic_liar_at_a_meeting {who} sees {whose}"),
                &gathering.view(who, whose).watched.borrow(),
                NEVER,
            );
        }
        [POINT, "10.0.4.3"].map(|ip| bytes_to(&gathering.world, ip))
    };
    let (alone, beside) = (run(false), run(true));
    println!("mosaic_liar_at_a_meeting: {alone:?} and {beside:?} bytes to the point and to who sees");
    assert!(alone[1].abs_diff(beside[1]) < alone[1] / 50, "who sees is sent the same");
    assert!(beside[0] < 4 * alone[0], "all of it now and then, and not with each picture");
}

/// Sixteen at a meeting point, of whom one loses a twentieth: everybody sees all others rightly.
#[test]
fn mosaic_meeting_of_16() {
    let mut gathering = Gathering::new(742);
    gathering.point(POINT, "ann");
    let names: Vec<String> = (0..16).map(|number| format!("caller {number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let ip = format!("10.0.4.{}", 20 + number);
        if number == 3 {
            gathering.world.connect(POINT, &ip, &path(30, 0.05));
        }
        gathering.call(&ip, name, in_call(7), &[POINT]);
        gathering.pass(ms(60));
    }
    gathering.pass(secs(6));
    for who in 1..=16 {
        for whose in names.iter().enumerate().filter(|(number, _)| number + 1 != who).map(|(_, name)| name) {
            let view = gathering.view(who, whose);
            let watched = view.watched.borrow();
            let lossy = who == 4 || *whose == names[3];
            if watched.wrong > 0 {
                tell(&format!("mosaic_meeting_of_16 {who} sees {whose}"), &watched);
            }
            assert_eq!(watched.wrong, 0, "{who} sees {whose}");
            assert!(watched.ghost < if lossy { 2 * MENDED.as_nanos() as u64 } else { 60_000_000 }, "{who} sees {whose}");
        }
    }
    let to_one = bytes_to(&gathering.world, "10.0.4.25") as f64 * 8.0 / 6.5e6;
    println!("mosaic_meeting_of_16: {to_one:.2} Mbit/s to one who sees fifteen");
    assert!(to_one < 12.0);
}
