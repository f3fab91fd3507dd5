//! Many senders at one receiver: none is the worse for the others, there are no more of them than there may be, and what they
//! have it hold is bounded for all together.

use super::ceilings::check;
use super::harness::World;
use super::netem::Params;
use super::oscillator::Oscillator;
use super::party::Party;
use super::receiving::{Sources, View, Views};
use super::scenarios::{Pair, SCREEN, Skews, figures, ms, receiving, secs, seed, sending, start};
use super::sending::Stream;
use super::source::Source;
use super::speaker::Speaker;
use super::stranger::{Stranger, Victim};
use super::viewer::Watched;
use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::session::Core;
use eyeline_proto::session::MOST_SENDERS;
use eyeline_proto::session::{Command, Event};
use eyeline_proto::wire::datagram::{FragmentHead, Message};
use eyeline_proto::wire::record::{OWN_TRACK, Reason, Record};
use std::cell::RefCell;
use std::rc::Rc;

/// What all senders together may have a receiver hold of unfinished pictures: what one may, and 2 MiB more for each.
const BUDGET: u64 = (64 << 20) + 16 * (2 << 20);

/// A waiting receiver of up to sixteen senders, and senders that dial it.
struct Grid {
    world: World,
    nodes: Vec<usize>,
    sources: Sources,
    views: Views,
    common: Rc<RefCell<Watched>>,
}

impl Grid {
    fn new(of: u64) -> Grid {
        let mut world = World::new(seed(of), Params::lan());
        let clock = Oscillator::new(secs(1200), Skews::USUAL.receiver);
        let sources = Sources::default();
        let (program, (common, _), views) =
            Party::receiving(start(&world, &[]), SCREEN, (clock, clock), MOST_SENDERS, false, &sources);
        world.start(SCREEN, clock, &[], program);
        Grid { world, nodes: Vec::new(), sources, views, common }
    }

    /// One more, a few milliseconds after the last, with a crystal of its own.
    fn join(&mut self) -> Rc<RefCell<Source>> {
        let number = self.nodes.len() as u64;
        let now = std::time::Duration::from_nanos(self.world.now);
        self.world.run_until(now + ms(7));
        let skews = Skews { sender: 12.0 - 3.0 * number as f64, ..Skews::USUAL };
        let (node, source) = sending(&mut self.world, &format!("10.0.1.{}", number + 1), skews, Stream::small(), &[SCREEN]);
        self.nodes.push(node);
        self.sources.borrow_mut().push(source.clone());
        source
    }

    fn full(of: u64) -> Grid {
        let mut grid = Grid::new(of);
        for _ in 0..MOST_SENDERS {
            grid.join();
        }
        grid
    }

    fn names(&self) -> Vec<String> {
        self.views.borrow().iter().map(|view| view.name.clone()).collect()
    }
}

/// Sixteen cameras on one screen: each is as good as it is alone.
#[test]
fn grid_16() {
    let mut alone = Pair::new(60, &Params::lan(), Skews::USUAL, Stream::small());
    alone.world.run_until(secs(4));
    let alone = alone.figures();
    let mut grid = Grid::full(60);
    grid.world.run_until(secs(4));
    let views = grid.views.borrow();
    assert_eq!(views.len(), MOST_SENDERS);
    assert_eq!(grid.common.borrow().stats.tracks.len(), MOST_SENDERS);
    let to_screen = grid.world.sent_to.iter().filter(|(to, _)| to.ip().to_string() == SCREEN);
    let bytes = to_screen.map(|(_, traffic)| traffic.bytes).sum::<u64>() / MOST_SENDERS as u64;
    let no_sound = Speaker::new(grid.world.base, Oscillator::new(secs(1), 0.0));
    let mut worst = None;
    for (place, View { name, watched, .. }) in views.iter().enumerate() {
        let source = &grid.sources.borrow()[place];
        let (source, watched) = (source.borrow(), watched.borrow());
        assert_eq!(source.name, *name, "in the order in which they came");
        let of_it = figures(&source, &watched, &no_sound, bytes);
        assert!(of_it.p95_ms < alone.p95_ms + 0.5, "{name}: p95 {} ms, alone {} ms", of_it.p95_ms, alone.p95_ms);
        assert!(watched.whole + 8 > source.pictures, "{name}: {} of {} pictures", watched.whole, source.pictures);
        let report = &source.stats.peers[0].track;
        // What the sender knows is up to a second old.
        let shown = watched.shown.len() as u64;
        assert!((shown - 45..=shown).contains(&u64::from(report.shown)), "{name}: of {shown} it is told {}", report.shown);
        worst = worst.filter(|worst: &super::ceilings::Figures| worst.p95_ms > of_it.p95_ms).or(Some(of_it));
    }
    check("grid_16", &worst.expect("sixteen"));
}

/// One loses its power. The others lose nothing, ask for nothing and wait for nothing.
#[test]
fn one_of_16_vanishes() {
    let mut grid = Grid::full(61);
    grid.world.run_until(secs(2));
    let gone = 5;
    let node = grid.nodes[gone];
    grid.world.power_off(node);
    grid.world.run_until(secs(6));
    let (views, common) = (grid.views.borrow(), grid.common.borrow());
    assert_eq!(views.len(), MOST_SENDERS, "nobody came anew");
    for (place, View { name, watched, .. }) in views.iter().enumerate() {
        let watched = watched.borrow();
        let told: Vec<&str> = watched.log.iter().map(|(_, what)| what.as_str()).filter(|what| what.contains("quiet")).collect();
        if place == gone {
            assert_eq!(told, ["quiet true"]);
            continue;
        }
        assert_eq!((told, watched.lost, watched.partial), (vec![], 0, 0), "{name}");
        assert!(watched.frozen < 60_000_000, "{name} stood still for {} ms", watched.frozen / 1_000_000);
    }
    assert_eq!(common.stats.total.nacks, 0, "nothing was lost on the way");
    assert_eq!(common.stats.tracks.iter().filter(|track| track.quiet).count(), 1);
}

/// The seventeenth is told why not, dials on, and has a place as soon as one is free. The sixteen hear nothing of it.
#[test]
fn the_17th_is_told_that_it_is_full_and_gets_the_place_when_one_leaves() {
    let mut grid = Grid::full(62);
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
        let now = std::time::Duration::from_nanos(world.now);
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

/// Who comes up and who goes down, in order.
fn changes(victim: &Victim) -> (usize, usize) {
    let count = |of: fn(&Event) -> bool| victim.events.iter().filter(|event| of(event)).count();
    (count(|event| matches!(event, Event::SenderUp { .. })), count(|event| matches!(event, Event::SenderDown { .. })))
}

/// Bytes that are put together, as the last statistics say.
fn held(victim: &Victim) -> u64 {
    let held = |event: &Event| match event {
        Event::Stats(stats) => Some(stats.receiving.total.assembly_bytes),
        _ => None,
    };
    victim.events.iter().rev().find_map(held).expect("once a second")
}

/// A piece of a picture of 128 slices that never become whole.
fn piece(number: u32, slice: u8, index: u16) -> Message<'static> {
    static BYTES: [u8; 50_000] = [0; 50_000];
    Message::Fragment(OWN_TRACK, FragmentHead { picture: number, slice, last_slice: 127, index, last_index: 60 }, &BYTES)
}

/// 300 senders, each with a picture. The first sixteen stay, the others are turned away; then the sixteen send as much as they
/// can of pictures that never become whole.
#[test]
fn three_hundred_senders_knock_and_sixteen_stay() {
    let mut victim = Victim::of_many(true, MOST_SENDERS);
    let mut here: Vec<Stranger> = Vec::new();
    for number in 0..300_u64 {
        let host = 1 + (number % 250) as u8;
        let mut stranger = Stranger::come_as(&mut victim, (host, 1 + number as u16), 1 + number, [0; 16]);
        stranger.format(&mut victim);
        stranger.picture(&mut victim, 0);
        here.push(stranger);
    }
    assert_eq!(changes(&victim), (MOST_SENDERS, 0));
    assert_eq!(victim.closed.len(), 300 - MOST_SENDERS);
    let mut send = |victim: &mut Victim, slices: std::ops::Range<u8>, most: u16| {
        for (slice, index) in slices.flat_map(|slice| (0..most).map(move |index| (slice, index))) {
            for stranger in &mut here[..MOST_SENDERS] {
                stranger.datagram(victim, &piece(1, slice, index));
            }
            // One of those that were turned away goes on all the same.
            here[200].datagram(victim, &piece(1, slice, index));
        }
    };
    // 5.5 million bytes each.
    send(&mut victim, 0..2, 55);
    victim.pass(secs(1));
    assert!(held(&victim) > 80 << 20, "{} bytes are held", held(&victim));
    assert_eq!(changes(&victim), (MOST_SENDERS, 0));
    // And twelve more.
    send(&mut victim, 2..6, 60);
    here[0].record(&mut victim, &Record::Goodbye(Reason::Quit, String::new()));
    let mut late = Stranger::come_as(&mut victim, (251, 1000), 1000, [0; 16]);
    late.picture(&mut victim, 0);
    assert_eq!(changes(&victim), (MOST_SENDERS + 1, 1), "one has left, and who comes next has the place");
    victim.session.handle_command(victim.now, Command::Stop(String::new()));
    victim.pass(ms(10));
    assert!(held(&victim) <= BUDGET, "{} bytes of {BUDGET} are held", held(&victim));
}

/// One sender takes all there is for everybody. Another still gets its own share, and no more; and all of it back when the first
/// is gone.
#[test]
fn a_sender_of_a_huge_picture_takes_no_room_that_is_anothers() {
    let mut victim = Victim::of_many(true, MOST_SENDERS);
    let [mut huge, mut large, mut small] = [1, 2, 3].map(|host| Stranger::join(&mut victim, host));
    for stranger in [&mut huge, &mut large, &mut small] {
        stranger.format(&mut victim);
        stranger.picture(&mut victim, 0);
    }
    let settled = |victim: &Victim, of: u64| {
        let of = |event: &Event| match event {
            Event::Settled(track, settled) if track.peer.0 == of => Some(*settled),
            _ => None,
        };
        victim.events.iter().filter_map(of).collect::<Vec<Settled>>()
    };
    for (slice, index) in (0..22).flat_map(|slice| (0..60).map(move |index| (slice, index))) {
        huge.datagram(&mut victim, &piece(1, slice, index));
    }
    for (slice, index) in (0..2).flat_map(|slice| (0..60).map(move |index| (slice, index))).take(105) {
        large.datagram(&mut victim, &piece(1, slice, index));
    }
    let before = [0, 1].map(|peer| settled(&victim, peer).len());
    assert_eq!(before, [1, 1], "both are waited for, and less than one piece is left for anybody");
    // 1.9 MiB are its own.
    for index in 0..38 {
        small.datagram(&mut victim, &piece(1, 0, index));
    }
    assert_eq!(settled(&victim, 2).len(), 1, "its picture is waited for, however much the other holds");
    for index in 38..48 {
        small.datagram(&mut victim, &piece(1, 0, index));
    }
    assert_eq!(settled(&victim, 2).len(), 2, "there is no more, and it alone goes without");
    assert_eq!([0, 1].map(|peer| settled(&victim, peer).len()), before, "the others keep what they have");
    huge.record(&mut victim, &Record::Goodbye(Reason::Quit, String::new()));
    for (slice, index) in (0..4).flat_map(|slice| (0..48).map(move |index| (slice, index))) {
        small.datagram(&mut victim, &piece(2, slice, index));
    }
    assert_eq!(settled(&victim, 2).len(), 2, "nine megabytes are nothing now");
}
