//! What receivers have use for: nobody is sent more, and who encodes is told the most that anybody has.

use super::calls::Gathering;
use super::meetings::POINT;
use super::rates::narrow;
use super::scenarios::{ms, secs};
use super::sending::Stream;
use eyeline_proto::session::Command;
use eyeline_proto::wire::record::Want;

/// Says what one has use for of another's track.
fn wants(gathering: &mut Gathering, who: usize, whose: &str, want: Want) {
    let track = gathering.view(who, whose).track;
    gathering.command(who, Command::Want(track, want));
}

/// What the encoder of this one was told last.
fn told(gathering: &Gathering, name: &str) -> Option<Want> {
    gathering.source(name).borrow().wanted.last().map(|(_, want)| *want)
}

/// Pictures and blocks that came of another so far.
fn came(gathering: &Gathering, who: usize, whose: &str) -> (u64, usize) {
    let view = gathering.view(who, whose);
    let watched = view.watched.borrow();
    (watched.whole, watched.blocks.len())
}

const SMALL: Want = Want { pixels: 320 * 180, ..Want::ALL };
const HEARD: Want = Want { pictures: false, ..Want::ALL };
const SEEN: Want = Want { sound: false, rate: 2_000_000, ..Want::ALL };

/// Two watch: who wants no pictures is sent none, and who wants no sound none of that; the other goes on. The encoder is told the
/// most that any of them has use for.
#[test]
fn who_wants_no_pictures_is_sent_none_and_the_encoder_is_told_the_most_of_all() {
    let mut gathering = Gathering::new(120);
    gathering.send("10.0.6.1", "camera", Stream::call(), &[]);
    let one = gathering.recv("10.0.6.2", "one", &["10.0.6.1"]);
    let other = gathering.recv("10.0.6.3", "other", &["10.0.6.1"]);
    gathering.pass(secs(1));
    assert_eq!(told(&gathering, "camera"), None, "all is wanted, as was thought");
    wants(&mut gathering, one, "camera", HEARD);
    gathering.pass(ms(100));
    let before = [one, other].map(|who| came(&gathering, who, "camera"));
    gathering.pass(secs(2));
    let after = [one, other].map(|who| came(&gathering, who, "camera"));
    assert_eq!(after[0].0, before[0].0, "not one picture");
    assert!(after[0].1 > before[0].1 + 190 && after[1].0 > before[1].0 + 58, "{before:?} {after:?}");
    assert_eq!(told(&gathering, "camera"), None, "the other wants all still");
    wants(&mut gathering, other, "camera", SMALL);
    gathering.pass(ms(100));
    assert_eq!(told(&gathering, "camera"), Some(SMALL));
    wants(&mut gathering, one, "camera", SEEN);
    gathering.pass(ms(100));
    assert_eq!(told(&gathering, "camera"), Some(Want::ALL), "one has no limit of pixels, the other none of rate");
    let before = came(&gathering, one, "camera");
    gathering.pass(secs(2));
    let after = came(&gathering, one, "camera");
    assert!(after.1 == before.1 && after.0 > before.0 + 55, "{before:?} {after:?}");
    wants(&mut gathering, one, "camera", HEARD);
    wants(&mut gathering, other, "camera", HEARD);
    gathering.pass(ms(100));
    assert_eq!(told(&gathering, "camera").map(|want| (want.pictures, want.sound)), Some((false, true)), "nobody sees anything");
}

/// One who wanted all loses its power: pictures are made as small as the other sees them. Where nobody is heard of at all, they
/// go on as they were, for whoever is back first.
#[test]
fn what_those_wanted_who_are_gone_is_forgotten() {
    let mut gathering = Gathering::new(124);
    gathering.send("10.0.6.1", "camera", Stream::call(), &[]);
    let small = gathering.recv("10.0.6.2", "small", &["10.0.6.1"]);
    let large = gathering.recv("10.0.6.3", "large", &["10.0.6.1"]);
    gathering.pass(secs(1));
    wants(&mut gathering, small, "camera", SMALL);
    gathering.pass(secs(1));
    assert_eq!(told(&gathering, "camera"), None, "the other wants all");
    gathering.power_off(large);
    gathering.pass(secs(9));
    assert_eq!(told(&gathering, "camera"), None, "it may be back in a moment");
    gathering.pass(secs(3));
    assert_eq!(told(&gathering, "camera"), Some(SMALL));
    gathering.power_off(small);
    gathering.pass(secs(30));
    assert_eq!(told(&gathering, "camera"), Some(SMALL));
}

/// The same, passed on: nobody here decodes Opus, so sound is wanted as samples.
fn as_samples(want: Want) -> Want {
    Want { samples: true, ..want }
}

/// A meeting point without a person: what is wanted of a track is what those have use for to whom it is forwarded.
#[test]
fn a_forwarder_passes_the_wish_on() {
    let mut gathering = Gathering::new(121);
    let point = gathering.call(POINT, "point", Stream::none(), &[]);
    let bob = gathering.call("10.0.4.2", "bob", Stream::call(), &[POINT]);
    gathering.pass(secs(1));
    // Nobody sees or hears anything there.
    let nothing = Want { pictures: false, sound: false, ..Want::ALL };
    wants(&mut gathering, point, "bob", nothing);
    gathering.pass(secs(1));
    assert_eq!(told(&gathering, "bob").map(|want| (want.pictures, want.sound)), Some((false, false)));
    let cid = gathering.call("10.0.4.3", "cid", Stream::call(), &[POINT]);
    let began = gathering.world.now;
    gathering.pass(secs(2));
    assert_eq!(told(&gathering, "bob"), Some(as_samples(Want::ALL)), "there is one who wants all");
    let first = gathering.view(cid, "bob").watched.borrow().first_whole.expect("it is seen");
    assert!(first - began < 300_000_000, "after {} ms", (first - began) / 1_000_000);
    wants(&mut gathering, cid, "bob", SMALL);
    gathering.pass(secs(1));
    assert_eq!(told(&gathering, "bob"), Some(as_samples(SMALL)));
    for wait in [300, 430, 560, 690] {
        wants(&mut gathering, cid, "bob", HEARD);
        gathering.pass(ms(wait));
        wants(&mut gathering, cid, "bob", SMALL);
        gathering.pass(ms(30));
        assert_eq!(told(&gathering, "bob"), Some(as_samples(SMALL)), "at once");
    }
    wants(&mut gathering, cid, "bob", HEARD);
    gathering.pass(secs(1));
    assert_eq!(told(&gathering, "bob").map(|want| (want.pictures, want.sound)), Some((false, true)));
    let before = came(&gathering, point, "bob");
    gathering.pass(secs(1));
    let after = came(&gathering, point, "bob");
    assert!(after.0 == before.0 && after.1 > before.1 + 90, "not even the meeting point is sent pictures: {before:?} {after:?}");
    assert!(gathering.sees(bob) == ["cid"] && came(&gathering, bob, "cid").0 > 100, "cid is seen by bob as before");
}

/// Nobody is at the meeting point: its senders send nothing while nobody watches, then what those who watch have use for and
/// their paths take, and all again when one has no limit.
#[test]
fn a_point_without_a_person_wants_what_others_take_and_no_more() {
    let mut gathering = Gathering::new(123);
    let point = gathering.point(POINT, "point");
    gathering.call("10.0.4.2", "bob", Stream::call(), &[POINT]);
    gathering.pass(secs(1));
    let before = came(&gathering, point, "bob");
    gathering.pass(secs(1));
    assert_eq!(told(&gathering, "bob").map(|want| (want.pictures, want.sound)), Some((false, false)));
    assert_eq!(came(&gathering, point, "bob"), before, "nothing is sent to nobody");
    gathering.world.connect(POINT, "10.0.4.3", &narrow(2));
    gathering.recv("10.0.4.3", "cid", &[POINT]);
    let began = gathering.world.now;
    gathering.pass(secs(6));
    let want = told(&gathering, "bob").expect("a wish");
    assert!(want.pictures && want.sound && (200_000..2_000_000).contains(&want.rate), "{want:?}");
    gathering.recv("10.0.4.4", "dan", &[POINT]);
    gathering.pass(secs(2));
    assert_eq!(told(&gathering, "bob"), Some(as_samples(Want::ALL)), "dan's path has no limit that is known");
    let first = gathering.view(point, "bob").watched.borrow().whole_at.iter().find(|at| **at > began).copied();
    assert!(first.is_some_and(|first| first - began < 300_000_000), "{first:?}");
    let log = gathering.source("bob").borrow().log.clone();
    assert!(!log.iter().any(|(_, what)| what.starts_with("down")), "{log:?}");
}

/// Who comes back over another connection is still sent only what it wants, also where it said so while it was away.
#[test]
fn what_is_wanted_outlives_a_connection() {
    let mut gathering = Gathering::new(122);
    gathering.send("10.0.6.1", "camera", Stream::call(), &[]);
    let wall = gathering.recv("10.0.6.2", "wall", &["10.0.6.1"]);
    gathering.pass(secs(1));
    wants(&mut gathering, wall, "camera", SMALL);
    gathering.pass(ms(100));
    let node = gathering.members[wall].node;
    gathering.world.move_to(node, "10.0.6.9");
    gathering.pass(ms(100));
    wants(&mut gathering, wall, "camera", HEARD);
    gathering.pass(secs(4));
    let log = gathering.source("camera").borrow().log.clone();
    assert!(log.iter().any(|(_, what)| what.ends_with("again")), "{log:?}");
    assert_eq!(told(&gathering, "camera").map(|want| (want.pictures, want.sound)), Some((false, true)), "{log:?}");
}
