//! What becomes of a film that breaks: a child that says so plays it.

use super::super::matroska::tests::{block, cluster, stream};
use super::super::{Origin, Treatment, Video};
use super::*;
use eyeline_proto::picture::Size;
use eyeline_proto::rate::Rate;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// Ten pictures of 4x4 a second, which nothing has begun to play.
fn player() -> Player {
    let origin = Origin::of(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))).unwrap();
    let (size, rate) = (Size { width: 4, height: 4 }, Rate::new(10, 1).unwrap());
    let (variable, still, jpegs, treatment) = (false, false, false, Treatment::default());
    let video = Some(Video { index: 0, size, rate, variable, grid: rate, still, jpegs, treatment });
    let playback = Playback { origin, video, sound: None, looped: false, length: None, still: None };
    Player::new(playback, Slot::waiting(1), Slot::waiting(1))
}

#[test]
fn what_stands_still_goes_on_even_where_nothing_more_is_read() {
    let player = player();
    assert!(player.pause(true));
    *lock(&player.onward) = Onward::Ended;
    assert!(player.pause(false));
    assert!(!player.pause(true), "it is over");
    player.clock.begin(0, Instant::now(), Duration::ZERO);
    assert!(player.clock.wait(Stream::Pictures, 0, Duration::ZERO, true).is_some());
}

#[test]
fn a_film_that_breaks_ends_when_what_came_of_it_was_seen() {
    let player = player();
    let pictures = [0, 100, 200].map(|at| block(1, at, &[7; 24]));
    let mut child = Command::new("sh");
    child.args(["-c", "cat; echo it is broken >&2; exit 1"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&stream(&cluster(0, &pictures))).unwrap();
    let pipes = child.stdout.take().zip(child.stderr.take()).unwrap();
    *player.child() = Some(child);
    player.pause(true);
    std::thread::scope(|scope| {
        scope.spawn(|| player.give_pictures());
        let reader = scope.spawn(|| player.run(pipes, Vec::new()));
        while player.child().is_some() {
            std::thread::yield_now();
        }
        // Nobody sends on this channel: time to find out that it broke.
        let (_nobody, silence) = mpsc::channel::<()>();
        assert!(silence.recv_timeout(Duration::from_millis(100)).is_err());
        let (stands, ended, failed) = (player.pause(true), reader.is_finished(), player.failed());
        player.pause(false);
        let seen = (0..3).filter(|_| player.pictures.take().is_some()).count();
        assert_eq!((stands, ended, seen), (true, false, 3));
        assert!(failed.is_none() && player.pictures.take().is_none());
    });
    assert!(matches!(player.failed(), Some(Error::Broken { why, .. }) if why == "it is broken"));
    assert!(!player.pause(true), "it is over");
}
