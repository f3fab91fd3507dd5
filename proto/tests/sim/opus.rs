//! Live sound as Opus packets: where a path is narrow, and where it loses.

use super::ceilings::check;
use super::mosaic;
use super::netem::Params;
use super::rates::narrow;
use super::scenarios::{CAMERA, Pair, SCREEN, lossy, ms, secs};
use super::sending::Stream;
use eyeline_proto::media::hold::{Hold, Latency};
use eyeline_proto::session::sound_form::{PRIMERS, Wish};
use std::time::Duration;

/// Blocks heard of which nothing came in time, a second.
fn concealed(pair: &Pair, length: Duration) -> f64 {
    pair.speaker.borrow().gap().as_secs_f64() * 100.0 / length.as_secs_f64()
}

/// Every block came once, and these as packets.
fn packets(pair: &Pair) -> Vec<u64> {
    let mut all = pair.watched.borrow().blocks.clone();
    let came = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), came, "a block was told twice");
    let mut packets = pair.watched.borrow().packets.clone();
    packets.sort_unstable();
    packets
}

/// At 5 % and 60 ms each packet is there with the next one: less than a block a second is concealed.
#[test]
fn opus_loss_5_rtt60() {
    let params = Params { delay: ms(30), ..lossy(0.05) };
    let mut pair = Pair::with_opus(140, &params, Stream::camera(), Wish::Opus);
    pair.world.run_until(secs(60));
    let (blocks, lost) = (packets(&pair).len(), concealed(&pair, secs(60)));
    let peer = pair.source.borrow().stats.peers[0].clone();
    println!("opus_loss_5_rtt60: {blocks} packets, {} copies, {lost:.2} blocks concealed a second", peer.copies);
    assert!(blocks > 5700, "{blocks} packets");
    assert!(lost <= 1.0, "{lost} blocks a second");
    check("opus_loss_5_rtt60", &pair.figures());
}

/// A head that speaks, and what it says, through a megabit. What it says waits behind its picture on such a path: with a quarter
/// of a second for that nothing of it is missing.
#[test]
fn a_talking_head_and_its_sound_fit_a_megabit() {
    let stream = Stream { channels: 1, ..mosaic::stream(1000) };
    let mut pair = Pair::with_opus(141, &narrow(1), stream, Wish::Auto);
    pair.watched.borrow_mut().hold = Hold::new(Latency::Fixed(ms(250)));
    pair.world.run_until(secs(10));
    let (shown, gap) = (pair.watched.borrow().shown_at.len(), pair.speaker.borrow().gap());
    pair.world.run_until(secs(40));
    let (shown, gap) = (pair.watched.borrow().shown_at.len() - shown, pair.speaker.borrow().gap() - gap);
    let began = packets(&pair)[0];
    println!("talking head: {} pictures a second, gap {gap:?}, packets from block {began}", shown / 30);
    assert!(shown >= 15 * 30, "{shown} pictures in 30 s");
    assert_eq!(gap, Duration::ZERO);
    check("talking_head_1_mbit", &pair.figures());
}

/// The same with as little latency as its jitter allows: some blocks come too late now and then.
#[test]
fn a_talking_head_through_a_megabit_is_heard_as_early_as_it_can_be() {
    let stream = Stream { channels: 1, ..mosaic::stream(1000) };
    let mut pair = Pair::with_opus(141, &narrow(1), stream, Wish::Auto);
    pair.world.run_until(secs(10));
    let (shown, gap) = (pair.watched.borrow().shown_at.len(), pair.speaker.borrow().gap());
    pair.world.run_until(secs(40));
    let (shown, gap) = (pair.watched.borrow().shown_at.len() - shown, pair.speaker.borrow().gap() - gap);
    println!("talking head at once: {} pictures a second, gap {gap:?}", shown / 30);
    assert!(shown >= 15 * 30, "{shown} pictures in 30 s");
    assert!(gap < ms(150), "{gap:?} of 30 s");
}

/// From 20 Mbit/s to 2 within five seconds, and back: packets there, samples again back, and nobody hears it. What a path that
/// falls drops of its queue, before and after, is another thing.
#[test]
fn the_form_of_sound_follows_the_path_without_a_gap() {
    let mut pair = Pair::with_opus(142, &narrow(20), Stream { channels: 1, ..mosaic::stream(1000) }, Wish::Auto);
    let falls = (1..=12).map(|step| (ms(10_000 + 400 * step), 20e6 * 0.1f64.powf(step as f64 / 12.0)));
    for (at, rate) in falls.chain([(secs(35), 20e6)]) {
        pair.world.at(at, move |world| world.retune(CAMERA, SCREEN, move |params| params.rate = rate as u64));
    }
    // The queue of a path that falls holds sound up, in either form: so long it may take.
    pair.watched.borrow_mut().hold = Hold::new(Latency::Fixed(ms(300)));
    let mut gaps = Vec::new();
    for at in (1..=600).map(|at| ms(at * 100)) {
        pair.world.run_until(at);
        gaps.push((at, pair.speaker.borrow().gap()));
    }
    let (packets, wanted) = (packets(&pair), pair.source.borrow().packets.clone());
    let (first, last) = (packets[0], packets[packets.len() - 1]);
    println!("follows: {wanted:?}, packets {first} to {last}, gap {:?} in all", pair.speaker.borrow().gap());
    assert!((1000..1600).contains(&first) && (3500..5900).contains(&last), "blocks {first} to {last}");
    assert_eq!(wanted.len(), 2, "no change but these two");
    let watched = pair.watched.borrow();
    let primers: Vec<u64> = (first - PRIMERS..first).collect();
    assert_eq!(watched.primers, primers, "what decodes the first has those before it");
    for change in [first, last] {
        let came = |number: &u64| watched.blocks.contains(number);
        assert!((change - 50..change + 100).all(|number| came(&number)), "a block is lost at the change at {change}");
        let (from, to) = (ms(change * 10), ms(change * 10 + 1000));
        let during: Vec<_> = gaps.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, gap)| *gap).collect();
        assert!(during.windows(2).all(|gaps| gaps[0] == gaps[1]), "something is concealed at the change at {change}");
    }
    drop(watched);
    check("opus_there_and_back", &pair.figures());
}

/// All at once: the queue of such a path holds up everything for a moment, samples longer than packets.
#[test]
fn where_a_path_falls_at_once_packets_are_back_sooner_than_samples() {
    let gap = |wish| {
        let mut pair = Pair::with_opus(143, &narrow(20), Stream { channels: 2, ..mosaic::stream(1000) }, wish);
        pair.world.at(secs(10), |world| world.retune(CAMERA, SCREEN, |params| params.rate = 2_000_000));
        pair.world.run_until(secs(20));
        let gap = pair.speaker.borrow().gap();
        println!("falls {wish:?}: gap {gap:?}, {} blocks of {}", pair.watched.borrow().blocks.len(), pair.source.borrow().blocks);
        gap
    };
    let (samples, packets) = (gap(Wish::Pcm), gap(Wish::Auto));
    assert!(packets < samples, "{packets:?} with packets, {samples:?} with samples");
}
