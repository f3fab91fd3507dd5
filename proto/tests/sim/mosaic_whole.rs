//! Pictures that are only what changed, and some receivers want each of them whole: the others are sent not a byte more for it.

use super::harness::World;
use super::meetings::POINT;
use super::mosaic::{NEVER, bytes_to, is_right, join, latencies, meeting, pair, path, stream, tell};
use super::netem::Params;
use super::oscillator::Oscillator;
use super::party::Party;
use super::rates::narrow;
use super::receiving::{Shared, Sources};
use super::scenarios::{CAMERA, SCREEN, Skews, receiving, secs, seed, sending, start};
use super::watched::Watched;
use eyeline_proto::session::{Command, PeerId, TrackId};
use eyeline_proto::wire::record::{Want, Whole};

const WRITER: &str = "10.0.0.9";

const WHOLE: Want = Want { whole: Whole::Everybody, ..Want::ALL };

/// One that writes what comes, over such a path.
fn write(world: &mut World, ip: &str, sources: &Sources, params: &Params, want: Want) -> Shared {
    world.connect(CAMERA, ip, params);
    let clocks = (Oscillator::new(secs(1500), 7.0), Oscillator::new(secs(33), 5.0));
    let (program, shared, _) = Party::receiving(start(world, &[CAMERA]), ip, clocks, (1, 1), (true, want), sources);
    world.start(ip, clocks.0, &[CAMERA], program);
    shared
}

/// Every picture that came was all of its bands.
fn joined(name: &str, watched: &Watched, pictures: u64) {
    tell(name, watched);
    // It was told of one as it came that was not made for it yet.
    assert!((watched.unjoined, watched.partial) == (0, 0) && watched.lost <= 2, "{name}");
    assert!(watched.whole >= pictures, "{name}: {} pictures", watched.whole);
}

/// A viewer alone, and beside one that writes JPEGs as they come: the viewer is sent the same.
#[test]
fn mosaic_whole_beside_a_viewer() {
    let bytes = |writes: bool| {
        let mut pair = pair(730, &Params::lan(), 14);
        pair.world.run_until(secs(2));
        let writer = writes.then(|| write(&mut pair.world, WRITER, &pair.sources, &Params::lan(), WHOLE));
        pair.world.run_until(secs(3));
        let before = bytes_to(&pair.world, SCREEN);
        pair.world.run_until(secs(14));
        let watched = pair.watched.borrow();
        is_right("mosaic_whole_beside_a_viewer", &watched, NEVER);
        assert_eq!((watched.lost, watched.partial), (0, 0));
        if let Some((writer, _)) = writer {
            joined("mosaic_whole_writer", &writer.borrow(), 350);
            let (viewer, writer) = (bytes_to(&pair.world, SCREEN), bytes_to(&pair.world, WRITER));
            println!("mosaic_whole: {} kB to the viewer, {} kB to the writer", viewer / 1000, writer / 1000);
            assert!(writer > 3 * viewer);
        }
        let all = latencies(&watched, secs(3), secs(14));
        (bytes_to(&pair.world, SCREEN), bytes_to(&pair.world, SCREEN) - before, all[all.len() * 95 / 100])
    };
    let (alone, beside) = (bytes(false), bytes(true));
    println!("mosaic_whole_beside_a_viewer: {alone:?} and {beside:?}: bytes, of them since the third second, p95");
    assert!(alone.1.abs_diff(beside.1) < alone.1 / 100 && alone.0.abs_diff(beside.0) < alone.0 / 100);
    assert!(beside.2 <= alone.2 + 1);
}

/// A viewer that loses, or whose path is narrow, takes what it lacks and not all of it.
#[test]
fn mosaic_whole_beside_a_viewer_that_lacks_something() {
    for (name, params, but) in [("lossy", path(40, 0.1), NEVER), ("narrow", narrow(6), (secs(0), secs(5)))] {
        let run = |writes: bool| {
            let mut pair = pair(731, &Params::lan(), 20);
            let (watched, _) = join(&mut pair, "10.0.0.3", &params);
            pair.world.run_until(secs(5));
            let writer = writes.then(|| write(&mut pair.world, WRITER, &pair.sources, &Params::lan(), WHOLE));
            pair.world.run_until(secs(20));
            is_right(name, &watched.borrow(), but);
            if let Some((writer, _)) = writer {
                joined(name, &writer.borrow(), 400);
            }
            let shown = latencies(&watched.borrow(), secs(6), secs(20)).len();
            (bytes_to(&pair.world, "10.0.0.3"), shown)
        };
        let (alone, beside) = (run(false), run(true));
        println!("mosaic_whole_beside_a_viewer_that_lacks_something, {name}: {alone:?} and {beside:?} bytes, pictures");
        assert!(alone.0.abs_diff(beside.0) < alone.0 / 20, "{name}");
        assert!(beside.1 + 8 > alone.1, "{name}: as many pictures are shown");
    }
}

/// One begins to write amid, stops, and begins again: each picture in these times is whole for it, and it sees all the while.
#[test]
fn mosaic_whole_on_and_off() {
    let mut pair = pair(732, &path(20, 0.01), 16);
    let (other, _) = join(&mut pair, "10.0.0.3", &path(20, 0.01));
    let (receiver, track) = (pair.receiver, TrackId::own(PeerId(0)));
    for (at, want) in [(3, WHOLE), (6, Want::ALL), (9, WHOLE), (10, Want::ALL)] {
        pair.world.at(secs(at), move |world| world.command(receiver, Command::Want(track, want)));
    }
    let mut rates = Vec::new();
    for until in [3, 6, 9, 10, 16] {
        let before = bytes_to(&pair.world, SCREEN);
        let began = pair.world.now;
        pair.world.run_until(secs(until));
        rates.push((bytes_to(&pair.world, SCREEN) - before) * 8_000_000 / (pair.world.now - began));
    }
    println!("mosaic_whole_on_and_off: {rates:?} kbit/s to one that wants them whole, and not, and so on");
    is_right("mosaic_whole_on_and_off", &pair.watched.borrow(), NEVER);
    is_right("mosaic_whole_on_and_off, the other", &other.borrow(), NEVER);
    assert!(rates[1] > 3 * rates[2] && rates[3] > 3 * rates[4], "{rates:?}");
    let wishes: Vec<Whole> = pair.source.borrow().wanted.iter().map(|(_, want)| want.whole).collect();
    assert_eq!(wishes, [Whole::Somebody, Whole::Nobody, Whole::Somebody, Whole::Nobody]);
}

/// All want them whole: they are sent once, for all. Then one comes who does not.
#[test]
fn mosaic_whole_for_all() {
    let mut world = World::new(seed(733), Params::lan());
    let (_, source) = sending(&mut world, CAMERA, Skews::USUAL, stream(14), &[]);
    let sources = Sources::new(vec![source.clone()].into());
    let writers = [WRITER, "10.0.0.8"].map(|ip| write(&mut world, ip, &sources, &Params::lan(), WHOLE).0);
    world.run_until(secs(6));
    assert_eq!(source.borrow().wanted.last().map(|(_, want)| want.whole), Some(Whole::Everybody));
    let (viewer, _) = receiving(&mut world, SCREEN, Skews::USUAL, false, &sources, &[CAMERA]).1;
    world.run_until(secs(14));
    assert_eq!(source.borrow().wanted.last().map(|(_, want)| want.whole), Some(Whole::Somebody));
    writers.iter().for_each(|watched| joined("mosaic_whole_for_all", &watched.borrow(), 400));
    is_right("mosaic_whole_for_all, the viewer", &viewer.borrow(), NEVER);
    assert!(bytes_to(&world, SCREEN) * 4 < bytes_to(&world, WRITER));
}

/// Whoever writes what it draws anew does not want them whole: what comes is right all the same.
#[test]
fn mosaic_written_from_what_changed() {
    let mut pair = pair(734, &path(20, 0.02), 20);
    pair.world.run_until(secs(2));
    let (writer, _) = write(&mut pair.world, WRITER, &pair.sources, &path(20, 0.02), Want::ALL);
    pair.world.run_until(secs(20));
    let watched = writer.borrow();
    tell("mosaic_written_from_what_changed", &watched);
    assert_eq!(watched.wrong, 0);
    let (viewer, writer) = (bytes_to(&pair.world, SCREEN), bytes_to(&pair.world, WRITER));
    println!("mosaic_written_from_what_changed: {viewer} bytes to the viewer, {writer} to the writer");
    assert!(writer < viewer);
}

/// Behind a meeting point: one of those who see bob writes.
#[test]
fn mosaic_whole_behind_a_point() {
    let bytes = |writes: bool| {
        let mut gathering = meeting(735, [&Params::lan(), &Params::lan()], 14);
        gathering.pass(secs(4));
        let writer = writes.then(|| gathering.recv_writing("10.0.4.9", "eve", WHOLE, &[POINT]));
        gathering.pass(secs(1));
        let to = |gathering: &super::calls::Gathering, ip| bytes_to(&gathering.world, ip);
        let before = to(&gathering, "10.0.4.3");
        gathering.pass(secs(9));
        for (who, whose) in [(1, "cid"), (2, "bob")] {
            is_right(
                &format!("mosaic_whole_behind_a_point {who} sees {whose}"),
                &gathering.view(who, whose).watched.borrow(),
                NEVER,
            );
        }
        for whose in writer.iter().flat_map(|_| ["bob", "cid"]) {
            let view = gathering.view(writer.expect("it is there"), whose);
            joined(&format!("mosaic_whole_behind_a_point, {whose} written"), &view.watched.borrow(), 270);
            assert_eq!(gathering.source(whose).borrow().wanted.last().map(|(_, want)| want.whole), Some(Whole::Somebody));
        }
        to(&gathering, "10.0.4.3") - before
    };
    let (alone, beside) = (bytes(false), bytes(true));
    println!("mosaic_whole_behind_a_point: {alone} and {beside} bytes to one who sees");
    // It is told of what it sends itself, which is more.
    assert!(alone.abs_diff(beside) < alone / 50);
}
