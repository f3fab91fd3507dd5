//! Films that are held: by a path slower than they are, by a viewer that gets nowhere.

use super::netem::Params;
use super::scenarios::{CAMERA, Pair, Skews, ms, receiving, secs};
use super::sending::Stream;

/// A film of 8 Mbit/s beside sound over a path of 6: it plays slower, to its last picture, and its sound waits for the picture.
#[test]
fn a_film_over_a_path_slower_than_itself_keeps_its_end_and_its_sound_in_step() {
    let film = Stream { period: ms(40), slices: 4, slice_bytes: 10_000, film: Some(250), ..Stream::camera() };
    let params = Params { delay: ms(5), jitter: ms(1), rate: 6_000_000, queue: ms(200), ..Params::default() };
    let mut pair = Pair::new(81, &params, Skews::USUAL, film);
    pair.world.run_until(secs(40));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let said = || format!("{:?}\n{:?}", source.log, watched.log);
    let numbers: Vec<u64> = watched.settled.iter().map(|settled| settled.picture).collect();
    assert_eq!(numbers, (0..250).collect::<Vec<_>>(), "{}", said());
    assert!(watched.settled.iter().all(eyeline_proto::media::depacketizer::Settled::is_whole), "{}", said());
    assert_eq!(watched.blocks.len() as u64, source.blocks, "{}", said());
    assert!(watched.finished.is_some(), "{}", said());
    // The picture's own way through 200 ms of queue is part of it.
    assert!(watched.sound_ahead < ms(600), "sound was {:?} ahead", watched.sound_ahead);
}

/// Two watch a film, one of them says of no picture that it has it: the other sees all of it, and hardly later.
#[test]
fn a_stuck_viewer_does_not_stop_a_film() {
    let film = Stream { period: ms(20), slices: 4, slice_bytes: 3000, film: Some(500), ..Stream::camera() };
    let mut pair = Pair::new(82, &Params::lan(), Skews::USUAL, film);
    let (_, (stuck, _)) = receiving(&mut pair.world, "10.0.0.3", Skews::USUAL, true, &pair.sources, &[CAMERA]);
    stuck.borrow_mut().stuck = true;
    pair.world.run_until(secs(20));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let said = || format!("{:?}\n{:?}", source.log, watched.log);
    assert_eq!(watched.whole, 500, "{}", said());
    let ended = watched.finished.unwrap_or_else(|| panic!("it ended\n{}", said()));
    assert!(ended < 13_000_000_000, "a film of 10 s was held for 2 s at most: {} ms\n{}", ended / 1_000_000, said());
    assert!(stuck.borrow().whole > 300, "it is served from what is kept: {}", stuck.borrow().whole);
}
