//! Tests of [`SoundReceiver`] on fabricated instants.

use super::*;
use crate::media::sound_pieces;

const FRAMES: u16 = 480;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[expect(clippy::disallowed_methods)] // one real instant to count from
fn start() -> Instant {
    Instant::now()
}

fn capture(number: u64) -> MediaTime {
    MediaTime::from_nanos(number * 10_000_000)
}

/// Block `number` over TCP, `late` after its time; what is wanted then and while waiting for it.
fn tcp(receiver: &mut SoundReceiver, start: Instant, number: u64, late: u64, wanted: &mut Vec<SoundRequest>) {
    let at = start + ms(number * 10 + late);
    wait(receiver, at, wanted);
    receiver.block_came(at, number, capture(number), usize::from(FRAMES));
    wanted.extend(receiver.poll(at));
}

/// Wakes it at every deadline until `until`.
fn wait(receiver: &mut SoundReceiver, until: Instant, wanted: &mut Vec<SoundRequest>) {
    let mut now = until - ms(5);
    while let Some(due) = receiver.deadline(now).filter(|due| *due <= until) {
        now = due.max(now + Duration::from_micros(1));
        wanted.extend(receiver.poll(now));
    }
}

fn piece(receiver: &mut SoundReceiver, at: Instant, number: u64, index: u8) -> Option<Numbered<MediaTime>> {
    let samples = [number as i16; 960];
    let mut payload = Vec::new();
    sound_pieces::cut(&samples, FRAMES, 2, index, &mut payload);
    receiver.piece_came(at, &Piece { number, capture: capture(number), channels: 2, frames: FRAMES, index, payload: &payload })
}

#[test]
fn while_tcp_is_in_time_within_its_jitter_nothing_is_wanted() {
    let (mut receiver, start, mut wanted) = (SoundReceiver::new(0), start(), Vec::new());
    for number in 0..3000 {
        tcp(&mut receiver, start, number, 2 + number * 7 % 18, &mut wanted);
        receiver.datagram_came(start + ms(number * 10), number, Duration::ZERO);
    }
    assert_eq!(wanted, []);
    assert_eq!(receiver.deadline(start + ms(30_020)).map(|due| due > start + ms(30_020)), Some(true), "it watches");
}

#[test]
fn a_block_that_does_not_come_is_noticed_and_copies_end_ten_seconds_later_with_a_word() {
    let (mut receiver, start, mut wanted) = (SoundReceiver::new(0), start(), Vec::new());
    for number in 0..200 {
        tcp(&mut receiver, start, number, 1, &mut wanted);
    }
    assert_eq!(wanted, []);
    let due = receiver.deadline(start + ms(1992)).expect("it watches");
    let late = due - (start + ms(2001));
    assert!((ms(25)..ms(30)).contains(&late), "{late:?}");
    assert_eq!(receiver.poll(due), Some(SoundRequest { next: 200, pieces: 2 }), "nothing is lost: halves will do");
    let (mut ended, mut said, mut number) = (None, 1, 200);
    while ended.is_none() {
        let at = start + ms(number * 10 + 1);
        for index in 0..2 {
            piece(&mut receiver, at.max(due), number, index);
        }
        while let Some(next) = receiver.deadline(at).filter(|next| *next <= at + ms(9)) {
            let Some(wanted) = receiver.poll(next.max(at)) else { break };
            assert_eq!(wanted.next, number + 1, "what came is told");
            said += 1;
            ended = (wanted.pieces == 0).then_some(at);
        }
        number += 1;
    }
    let lasted = ended.expect("it ended") - due;
    assert!((ms(9_980)..ms(10_020)).contains(&lasted), "{lasted:?}");
    assert!((240..280).contains(&said), "{said} requests in ten seconds");
    assert_eq!(receiver.counts().copied, number - 200);
}

#[test]
fn what_relapses_is_held_twice_as_long() {
    let (mut receiver, start, mut wanted) = (SoundReceiver::new(0), start(), Vec::new());
    let mut began = start;
    for expected in [10, 20, 40, 80, 160, 160] {
        let from = (began - start).as_millis() as u64 / 10;
        let first = from..from + 100;
        for number in first.clone() {
            tcp(&mut receiver, start, number, 1, &mut wanted);
        }
        let due = receiver.deadline(start + ms(first.end * 10)).expect("it watches");
        assert!(receiver.poll(due).is_some_and(|wanted| wanted.pieces > 0));
        let mut now = due;
        loop {
            now = receiver.deadline(now).expect("it asks").max(now);
            if receiver.poll(now).is_some_and(|wanted| wanted.pieces == 0) {
                break;
            }
        }
        assert_eq!((now - due).as_secs(), expected);
        began = now;
    }
}

#[test]
fn lost_datagrams_are_evidence_before_any_sound_is_late_and_overtaken_ones_are_none() {
    for (step, pieces) in [(250, 3), (20, 4)] {
        let (mut receiver, start, mut wanted) = (SoundReceiver::new(0), start(), Vec::new());
        let mut packet = 0;
        for number in 0..100 {
            tcp(&mut receiver, start, number, 1, &mut wanted);
            for _ in 0..20 {
                // Each fourth packet but one is overtaken by the next.
                let shown = match packet % 4 {
                    1 => packet + 1,
                    2 => packet - 1,
                    _ => packet,
                };
                packet += 1;
                if number < 30 || shown % step != 0 {
                    receiver.datagram_came(start + ms(number * 10), shown, Duration::ZERO);
                }
            }
            wanted.extend(receiver.poll(start + ms(number * 10 + 2)));
            assert!(number >= 30 || wanted.is_empty(), "overtaking is no loss");
        }
        assert_eq!(wanted.last().map(|wanted| wanted.pieces), Some(pieces), "one in {step}");
    }
}

#[test]
fn a_block_is_told_once_whichever_way_it_comes_first() {
    let (mut receiver, now) = (SoundReceiver::new(0), start());
    assert!(receiver.block_came(now, 0, capture(0), 480));
    assert_eq!(piece(&mut receiver, now, 0, 0), None);
    assert_eq!(piece(&mut receiver, now, 1, 3), None);
    let whole = piece(&mut receiver, now, 1, 1).expect("two pieces are a block");
    assert_eq!(*whole.block.samples, [1; 960]);
    assert_eq!(piece(&mut receiver, now, 1, 0), None);
    assert!(!receiver.block_came(now, 1, capture(1), 480));
    assert!(receiver.block_came(now, 2, capture(2), 480));
    assert_eq!((receiver.counts().copied, receiver.counts().duplicates, receiver.next), (1, 1, 3));
    assert!(receiver.block_came(now, 90, capture(90), 480));
    assert_eq!(receiver.next, 91 - GIVEN_UP, "what is 300 ms behind is not waited for");
    receiver.block_came(now, u64::MAX, MediaTime::from_nanos(u64::MAX), 480);
    receiver.block_came(now, u64::MAX - 1, MediaTime::from_nanos(u64::MAX), 480);
    receiver.datagram_came(now, u64::MAX, Duration::ZERO);
    assert!(
        receiver.poll(now + ms(3000)).is_none() && receiver.deadline(now).is_none_or(|due| due > now),
        "no sane peer says that"
    );
}

#[test]
fn a_packet_is_the_block_where_it_is_first_and_primes_what_follows_where_samples_were() {
    let (mut receiver, start) = (SoundReceiver::new(0), start());
    let packet = |receiver: &mut SoundReceiver, number: u64, over_tcp: bool| {
        receiver.packet_came(start + ms(number * 10), number, capture(number), over_tcp)
    };
    assert!(receiver.block_came(start, 0, capture(0), 480));
    assert_eq!([packet(&mut receiver, 0, true), packet(&mut receiver, 0, false)], [Came::Primer, Came::Again]);
    assert_eq!([packet(&mut receiver, 1, false), packet(&mut receiver, 1, true)], [Came::First, Came::Again]);
    assert!(!receiver.block_came(start + ms(12), 1, capture(1), 480), "its samples are too late");
    assert_eq!(piece(&mut receiver, start + ms(20), 2, 0), None);
    assert_eq!(packet(&mut receiver, 2, false), Came::First);
    assert_eq!(piece(&mut receiver, start + ms(21), 2, 1), None, "half of it came in pieces");
    let counts = receiver.counts();
    assert_eq!((counts.copied, counts.duplicates), (2, 3));
}
