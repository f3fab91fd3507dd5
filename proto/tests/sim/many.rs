//! Many senders at one receiver: none is the worse for the others, and there are no more of them than there may be. What they
//! have it hold is in `memory.rs`.

use super::ceilings::{Figures, check};
use super::harness::World;
use super::netem::Params;
use super::oscillator::Oscillator;
use super::party::Party;
use super::receiving::{Sources, View, Views};
use super::scenarios::{Pair, SCREEN, Skews, figures, ms, receiving, secs, seed, sending, start};
use super::sending::Stream;
use super::source::Source;
use super::watched::Watched;
use eyeline_proto::session::MOST_SENDERS;
use eyeline_proto::wire::record::Want;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A waiting receiver of up to sixteen senders, and senders that dial it.
struct Grid {
    world: World,
    /// What each of them sends.
    stream: Stream,
    nodes: Vec<usize>,
    sources: Sources,
    views: Views,
    common: Rc<RefCell<Watched>>,
}

impl Grid {
    fn new(of: u64, stream: Stream) -> Grid {
        let mut world = World::new(seed(of), Params::lan());
        let clock = Oscillator::new(secs(1200), Skews::USUAL.receiver);
        let sources = Sources::default();
        let (program, (common, _), views) = Party::receiving(
            start(&world, &[]),
            SCREEN,
            (clock, clock),
            (MOST_SENDERS, MOST_SENDERS),
            (false, Want::ALL),
            &sources,
        );
        world.start(SCREEN, clock, &[], program);
        Grid { world, stream, nodes: Vec::new(), sources, views, common }
    }

    /// One more, a few milliseconds after the last, with a crystal of its own.
    fn join(&mut self) -> Rc<RefCell<Source>> {
        let number = self.nodes.len() as u64;
        let now = Duration::from_nanos(self.world.now);
        self.world.run_until(now + ms(7));
        let skews = Skews { sender: 12.0 - 3.0 * number as f64, ..Skews::USUAL };
        let (node, source) = sending(&mut self.world, &format!("10.0.1.{}", number + 1), skews, self.stream.clone(), &[SCREEN]);
        self.nodes.push(node);
        self.sources.borrow_mut().push(source.clone());
        source
    }

    fn full(of: u64, stream: Stream) -> Grid {
        let mut grid = Grid::new(of, stream);
        for _ in 0..MOST_SENDERS {
            grid.join();
        }
        grid
    }

    fn names(&self) -> Vec<String> {
        self.views.borrow().iter().map(|view| view.name.clone()).collect()
    }
}

/// Sixteen cameras and microphones on one screen, each as large as a tile is: each is as good as it is alone.
#[test]
fn grid_16() {
    let mut alone = Pair::new(60, &Params::lan(), Skews::USUAL, Stream::tile());
    alone.world.run_until(secs(6));
    let alone = alone.figures();
    let mut grid = Grid::full(60, Stream::tile());
    grid.world.run_until(secs(6));
    let views = grid.views.borrow();
    assert_eq!(views.len(), MOST_SENDERS);
    assert_eq!(grid.common.borrow().stats.tracks.len(), MOST_SENDERS);
    let to_screen = grid.world.sent_to.iter().filter(|(to, _)| to.ip().to_string() == SCREEN);
    let bytes = to_screen.map(|(_, traffic)| traffic.bytes).sum::<u64>() / MOST_SENDERS as u64;
    let mut all = Vec::new();
    for (place, View { name, watched, speaker, .. }) in views.iter().enumerate() {
        let source = &grid.sources.borrow()[place];
        let (source, watched) = (source.borrow(), watched.borrow());
        assert_eq!(source.name, *name, "in the order in which they came");
        let of_it = figures(&source, &watched, &speaker.borrow(), bytes);
        assert!(of_it.p95_ms < alone.p95_ms + 0.5, "{name}: p95 {} ms, alone {} ms", of_it.p95_ms, alone.p95_ms);
        assert!(of_it.sound_ms < alone.sound_ms + 5.0, "{name}: sound {} ms, alone {} ms", of_it.sound_ms, alone.sound_ms);
        assert!(of_it.gap_ms <= alone.gap_ms, "{name}: without sound for {} ms, alone {} ms", of_it.gap_ms, alone.gap_ms);
        let mbit = source.body_bytes as f64 * 8.0 / 6e6;
        assert!((2.0..3.0).contains(&mbit), "{name} sends {mbit} Mbit/s");
        assert!(watched.whole + 8 > source.pictures, "{name}: {} of {} pictures", watched.whole, source.pictures);
        let report = &source.stats.peers[0].track;
        // What the sender knows is up to a second old.
        let shown = watched.shown.len() as u64;
        assert!((shown - 45..=shown).contains(&u64::from(report.shown)), "{name}: of {shown} it is told {}", report.shown);
        all.push(of_it);
    }
    check("grid_16", &Figures::worst(all));
}

/// One loses its power. The others lose nothing, ask for nothing and wait for nothing.
#[test]
fn one_of_16_vanishes() {
    let mut grid = Grid::full(61, Stream::tile());
    grid.world.run_until(secs(2));
    let gone = 5;
    let node = grid.nodes[gone];
    grid.world.power_off(node);
    grid.world.run_until(secs(6));
    let (views, common) = (grid.views.borrow(), grid.common.borrow());
    assert_eq!(views.len(), MOST_SENDERS, "nobody came anew");
    for (place, View { name, watched, speaker, .. }) in views.iter().enumerate() {
        let watched = watched.borrow();
        let told: Vec<&str> = watched.log.iter().map(|(_, what)| what.as_str()).filter(|what| what.contains("quiet")).collect();
        if place == gone {
            assert_eq!(told, ["quiet true"]);
            continue;
        }
        assert_eq!((told, watched.lost, watched.partial), (vec![], 0, 0), "{name}");
        assert!(watched.frozen < 60_000_000, "{name} stood still for {} ms", watched.frozen / 1_000_000);
        assert_eq!(speaker.borrow().gap(), Duration::ZERO, "{name} is heard all the time");
    }
    assert_eq!(common.stats.total.nacks, 0, "nothing was lost on the way");
    assert_eq!(common.stats.tracks.iter().filter(|track| track.quiet).count(), 1);
}

/// The seventeenth is told why not, dials on, and has a place as soon as one is free. The sixteen hear nothing of it.
#[test]
fn the_17th_is_told_that_it_is_full_and_gets_the_place_when_one_leaves() {
    let mut grid = Grid::full(62, Stream::small());
    grid.world.run_until(ms(500));
    let late = grid.join();
    grid.world.run_until(secs(3));
    let told =
        |late: &Rc<RefCell<Source>>| late.borrow().log.iter().filter(|(_, what)| what.contains("it already receives")).count();
    assert!(told(&late) >= 2, "{:?}", late.borrow().log);
    assert!(!late.borrow().log.iter().any(|(_, what)| what.contains("fatal=true")), "{:?}", late.borrow().log);
    assert_eq!(grid.names().len(), MOST_SENDERS);
    let node = grid.nodes[3];
    grid.world.power_off(node);
    grid.world.run_until(secs(16));
    assert_eq!(grid.names().last(), Some(&late.borrow().name), "{:?}", late.borrow().log);
    assert_eq!(grid.names().len(), MOST_SENDERS + 1);
    for (place, View { name, watched, .. }) in grid.views.borrow().iter().enumerate() {
        let watched = watched.borrow();
        assert!(place == 3 || place == 16 || watched.log.iter().filter(|(_, what)| what.contains("up ")).count() == 1, "{name}");
        assert_eq!(watched.lost + watched.partial, 0, "{name}");
    }
}

/// Two hosts are dialled and one can be shown: the other is told that we are busy, and dialled again until there is a place.
#[test]
fn a_host_that_found_no_place_is_dialled_again_and_has_it_when_it_is_free() {
    let mut world = World::new(seed(63), Params::lan());
    let hosts = ["10.0.1.1", "10.0.1.2"];
    let both = hosts.map(|host| {
        let now = Duration::from_nanos(world.now);
        world.run_until(now + ms(7));
        sending(&mut world, host, Skews::USUAL, Stream::small(), &[])
    });
    let sources: Sources = Rc::new(RefCell::new(both.iter().map(|(_, source)| source.clone()).collect()));
    let (_, (watched, _)) = receiving(&mut world, SCREEN, Skews::USUAL, false, &sources, &hosts);
    world.run_until(secs(2));
    let first = watched.borrow().senders.clone();
    let shown = usize::from(first[0].1 == both[1].1.borrow().name);
    let (other, was_told) = (both[1 - shown].1.borrow().name.clone(), both[1 - shown].1.borrow().log.clone());
    assert!(
        first.len() == 1 && was_told.iter().any(|(_, what)| what.contains("already shows another")),
        "{first:?} {was_told:?}"
    );
    world.power_off(both[shown].0);
    world.run_until(secs(16));
    let senders: Vec<String> = watched.borrow().senders.iter().map(|(_, name)| name.clone()).collect();
    assert_eq!(senders, [first[0].1.clone(), other]);
}
