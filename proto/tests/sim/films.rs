//! Films that are held: by a path slower than they are, by a viewer that gets nowhere. And films that are steered.

use super::calls::Gathering;
use super::meetings::POINT;
use super::netem::Params;
use super::scenarios::{CAMERA, Pair, Skews, ms, receiving, secs};
use super::sending::Stream;
use eyeline_proto::session::{Command, PeerId, TrackId};
use eyeline_proto::wire::record::{Film, Steer};
use std::time::Duration;

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

const PAUSE: Steer = Steer { paused: Some(true), to: None };
const GO_ON: Steer = Steer { paused: Some(false), to: None };

fn to(place: Duration) -> Steer {
    Steer { paused: None, to: Some(place) }
}

/// Over a path slower than it seconds of a film are under way. It goes elsewhere: none of those is waited for, the new place is seen
/// at once, and from there on nothing is skipped.
#[test]
fn a_film_that_goes_elsewhere_drops_what_is_under_way_and_is_whole_from_there() {
    let film = Stream { period: ms(40), slices: 4, slice_bytes: 10_000, film: Some(500), ..Stream::camera() };
    let params = Params { delay: ms(5), jitter: ms(1), loss: 0.01, rate: 6_000_000, queue: ms(200), ..Params::default() };
    let mut pair = Pair::new(83, &params, Skews::USUAL, film);
    pair.world.run_until(secs(12));
    let asked = pair.world.now;
    pair.world.command(pair.receiver, Command::Steer(TrackId::own(PeerId(0)), to(secs(60))));
    pair.world.run_until(secs(50));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let said = || format!("{:?}\n{:?}", watched.log, watched.films);
    assert_eq!(source.steered.iter().map(|(_, steer)| *steer).collect::<Vec<_>>(), [to(secs(60))], "{}", said());
    let (told, Film { first, place, steered, .. }) = watched.films[1];
    assert!(place == secs(60) && steered && told < asked + 300_000_000, "{}", said());
    let numbers: Vec<u64> = watched.settled.iter().map(|settled| settled.picture).collect();
    let before = numbers.iter().position(|number| *number >= first).expect("it goes on");
    let dropped = first - numbers[before - 1] - 1;
    assert!(dropped > 20, "seconds were under way: {dropped} pictures, {}", said());
    assert_eq!(numbers[before..], (first..500).collect::<Vec<_>>(), "{}", said());
    assert!(watched.settled.iter().all(eyeline_proto::media::depacketizer::Settled::is_whole), "{}", said());
    // With what is under way still sent before it, it would be a quarter of a second.
    let seen = watched.shown_at[before];
    assert!(seen < asked + 200_000_000, "seen after {} ms: {}", (seen - asked) / 1_000_000, said());
    assert!(watched.finished.is_some() && *watched.blocks.last().unwrap() == source.blocks - 1, "{}", said());
}

/// Whoever writes a film has always so much of it before him as may be under way: it goes on wherever it goes, and whenever.
#[test]
fn a_film_that_goes_elsewhere_again_and_again_never_waits_for_what_it_left_behind() {
    let film = Stream { period: ms(40), slices: 4, slice_bytes: 40_000, film: Some(340), ..Stream::camera() };
    let params = Params { delay: ms(5), jitter: ms(1), rate: 3_000_000, queue: ms(200), ..Params::default() };
    let mut pair = Pair::new(84, &params, Skews::USUAL, film);
    for jump in 0..8 {
        pair.world.run_until(secs(8) + ms(487) * jump);
        let place = secs(60 + u64::from(jump));
        pair.world.command(pair.receiver, Command::Steer(TrackId::own(PeerId(0)), to(place)));
    }
    pair.world.run_until(secs(90));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let said = || format!("{:?}\n{:?}", watched.log, watched.films);
    let firsts: Vec<u64> = watched.films.iter().map(|(_, film)| film.first).collect();
    let numbers: Vec<u64> = watched.settled.iter().map(|settled| settled.picture).collect();
    assert!(source.steered.len() == 8 && watched.finished.is_some(), "{firsts:?} {numbers:?} {}", said());
    assert_eq!(watched.settled.last().map(|settled| settled.picture), Some(339), "{}", said());
}

/// Whoever watches alone pauses a film, and it goes on when another comes, who could not let it, or when he leaves. While two watch
/// neither steers it, and who forwards it has others behind him.
#[test]
fn a_film_is_steered_by_who_watches_it_alone() {
    let mut gathering = Gathering::new(84);
    let film = Stream { film: Some(100_000), ..Stream::tile() };
    gathering.send("10.0.6.1", "film", film.clone(), &[]);
    let one = gathering.recv("10.0.6.2", "one", &["10.0.6.1"]);
    gathering.pass(secs(1));
    let steer = |gathering: &mut Gathering, who, steer| {
        let track = gathering.view(who, "film").track;
        gathering.command(who, Command::Steer(track, steer));
        gathering.pass(ms(500));
    };
    let steered =
        |gathering: &Gathering| gathering.source("film").borrow().steered.iter().map(|(_, steer)| *steer).collect::<Vec<_>>();
    let told = |gathering: &Gathering, who| {
        let watched = gathering.view(who, "film").watched;
        let film = watched.borrow().films.last().expect("it is told").1;
        (film.steered, film.others, film.paused)
    };
    steer(&mut gathering, one, PAUSE);
    assert_eq!((steered(&gathering), told(&gathering, one)), (vec![PAUSE], (true, 0, true)));
    let other = gathering.recv("10.0.6.3", "other", &["10.0.6.1"]);
    gathering.pass(secs(1));
    assert_eq!(steered(&gathering), [PAUSE, GO_ON], "who comes could not let it go on");
    assert_eq!([one, other].map(|who| told(&gathering, who)), [(false, 1, false); 2]);
    steer(&mut gathering, one, to(secs(9)));
    steer(&mut gathering, other, PAUSE);
    assert_eq!(steered(&gathering).len(), 2, "neither is alone");
    gathering.power_off(one);
    gathering.pass(secs(12));
    assert_eq!(told(&gathering, other), (true, 0, false), "nothing is heard of the other");
    steer(&mut gathering, other, PAUSE);
    gathering.command(other, Command::Stop(String::new()));
    gathering.pass(secs(1));
    assert_eq!(steered(&gathering)[2..], [PAUSE, GO_ON], "he left");
    let mut meeting = Gathering::new(85);
    let point = meeting.point(POINT, "point");
    meeting.send("10.0.6.1", "film", film, &[POINT]);
    meeting.pass(secs(1));
    assert_eq!(told(&meeting, point), (false, 0, false));
    steer(&mut meeting, point, PAUSE);
    assert_eq!(steered(&meeting), []);
}

/// A thousand wishes in a second are told four times, the newest of each kind; and nothing is told of what is no film.
#[test]
fn wishes_are_joined_and_the_newest_counts() {
    let mut gathering = Gathering::new(86);
    gathering.send("10.0.6.1", "film", Stream { film: Some(100_000), ..Stream::tile() }, &[]);
    gathering.send("10.0.6.4", "camera", Stream::tile(), &[]);
    let one = gathering.recv("10.0.6.2", "one", &["10.0.6.1", "10.0.6.4"]);
    gathering.pass(secs(1));
    for at in 0..1000 {
        for whose in ["film", "camera"] {
            let track = gathering.view(one, whose).track;
            gathering.command(one, Command::Steer(track, to(ms(at)).then(if at % 2 == 0 { PAUSE } else { GO_ON })));
        }
        gathering.pass(ms(1));
    }
    gathering.pass(secs(1));
    let film = gathering.source("film");
    let steered = film.borrow().steered.clone();
    assert!((4..=6).contains(&steered.len()), "{steered:?}");
    assert!(steered.windows(2).all(|two| two[1].0 >= two[0].0 + 249_000_000), "{steered:?}");
    assert_eq!(steered.last().map(|(_, steer)| *steer), Some(to(ms(999)).then(GO_ON)));
    assert!(gathering.source("camera").borrow().steered.is_empty());
    assert!(gathering.view(one, "camera").watched.borrow().films.is_empty());
    assert_eq!(gathering.view(one, "film").watched.borrow().lost, 0);
}

/// A wish that waits for the one before it is granted only if whoever has it is still alone by then.
#[test]
fn a_wish_that_waits_is_dropped_where_another_comes_meanwhile() {
    for wish in [PAUSE, to(secs(20))] {
        let mut gathering = Gathering::new(87);
        gathering.send("10.0.6.1", "film", Stream { film: Some(100_000), ..Stream::tile() }, &[]);
        let one = gathering.recv("10.0.6.2", "one", &["10.0.6.1"]);
        gathering.pass(secs(1));
        let track = gathering.view(one, "film").track;
        gathering.command(one, Command::Steer(track, to(secs(9))));
        gathering.command(one, Command::Steer(track, wish));
        // Some round trips later he is there, as the second wish waits.
        let other = gathering.recv("10.0.6.3", "other", &["10.0.6.1"]);
        gathering.pass(secs(1));
        let film = gathering.source("film");
        let steered: Vec<Steer> = film.borrow().steered.iter().map(|(_, steer)| *steer).collect();
        assert_eq!(gathering.view(other, "film").watched.borrow().films.last().map(|told| told.1.others), Some(1));
        assert_eq!(steered, [to(secs(9))], "{wish:?}");
    }
}
