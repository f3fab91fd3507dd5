//! What somebody on the path may try: replays, forgeries, and genuine datagrams under another address.

use super::harness::{Captured, World};
use super::netem::{Dice, Params};
use super::scenarios::{CAMERA, Pair, SCREEN, Skews, ms, run, secs, seed};
use super::sending::Stream;
use std::net::SocketAddr;

const ATTACKER: &str = "10.0.0.66:4444";

/// The longest datagram that is no media: a report. A challenge has 33 bytes.
const CHALLENGE: usize = 33;

fn attacker() -> SocketAddr {
    ATTACKER.parse().expect("an address")
}

/// One of the honest datagrams of late, and the dice.
fn pick(world: &mut World, dice: &mut Dice) -> Captured {
    let tap = world.tap.get_or_insert_default();
    tap.retain(|captured| captured.from != attacker());
    let recent = tap.len() - tap.len() / 4 - 1;
    tap[recent + dice.next() as usize % (tap.len() - recent)].clone()
}

/// Every 5 ms a replay, a forged datagram with a right header, a damaged one, and noise, to both sides.
#[test]
fn replayed_and_forged() {
    let mut pair = Pair::new(20, &Params::lan(), Skews::USUAL, Stream::camera());
    pair.world.tap = Some(Vec::new());
    let mut injected = 0;
    for at in (2000..9000).step_by(5) {
        injected += 1;
        pair.world.at(ms(at), move |world| {
            let mut dice = Dice::new(seed(at));
            let replay = pick(world, &mut dice);
            let mut damaged = pick(world, &mut dice);
            let at = dice.next() as usize % damaged.bytes.len();
            damaged.bytes[at] ^= 1 << (dice.next() % 8);
            let mut forged = pick(world, &mut dice);
            dice.fill(&mut forged.bytes[4..]);
            let mut noise = pick(world, &mut dice);
            noise.bytes.resize(dice.next() as usize % 1500, 0);
            dice.fill(&mut noise.bytes);
            for captured in [replay, damaged, forged, noise] {
                world.inject(attacker(), captured.to, captured.bytes);
            }
        });
    }
    let pair = run("replayed_and_forged", pair, secs(10));
    let (watched, source) = (pair.watched.borrow(), pair.source.borrow());
    let counted = [watched.counters, source.counters];
    let sum = |of: fn(&eyeline_proto::session::endpoint::Discarded) -> u64| counted.iter().map(of).sum::<u64>();
    assert_eq!(sum(|c| c.replayed) + sum(|c| c.forged) + sum(|c| c.unknown), 4 * injected, "{counted:?}");
    assert!(sum(|c| c.replayed) >= injected && sum(|c| c.forged) > injected && sum(|c| c.unknown) > injected / 2, "{counted:?}");
    assert_eq!((watched.stats.total.bad, watched.stats.total.nacks, watched.senders.len()), (0, 0, 1));
    assert!(!pair.world.sent_to.contains_key(&attacker()), "not one byte goes to the attacker");
}

/// Somebody on the path keeps the receiver's datagrams back and sends them on from an address of its own: they are genuine, so
/// that address is challenged; but as it cannot answer, the picture never goes there.
#[test]
fn genuine_datagrams_from_a_forged_address_bring_no_video_there() {
    let mut pair = Pair::new(21, &Params::lan(), Skews::USUAL, Stream::camera());
    let held_back = Params { outages: vec![(secs(3), ms(3400))], ..Params::lan() };
    pair.world.connect_one_way(SCREEN, CAMERA, held_back);
    pair.world.at(secs(3), |world| world.tap = Some(Vec::new()));
    pair.world.at(ms(3400), |world| {
        let kept = world.tap.take().unwrap_or_default();
        for captured in kept.into_iter().filter(|captured| captured.from.ip().to_string() == SCREEN) {
            world.inject(attacker(), captured.to, captured.bytes);
        }
    });
    pair.world.run_until(secs(8));
    let traffic = pair.world.sent_to.get(&attacker()).copied().unwrap_or_default();
    assert!(traffic.datagrams > 0, "the address was challenged, or nothing was tried");
    assert!(traffic.longest <= CHALLENGE && traffic.datagrams <= 10, "{traffic:?}");
    let watched = pair.watched.borrow();
    assert_eq!((watched.lost, watched.partial), (0, 0));
    assert!(watched.frozen < 60_000_000, "the picture stays where it was: frozen for {} ms", watched.frozen / 1_000_000);
}
