//! What one who forwards may tell of, true or not: it costs nobody else his place, his link or his tracks.

use super::scenarios::{ms, secs};
use super::sending::identity;
use super::stranger::{Stranger, Victim};
use eyeline_proto::picture::Size;
use eyeline_proto::rate::Rate;
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{Core, Event, MOST_SENDERS, TrackId};
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::{FragmentHead, Message};
use eyeline_proto::wire::record::{FORWARDS, Format, Hello, Media, OWN_TRACK, Reason, Record, Text, Track};
use std::collections::BTreeSet;

fn forwards(hello: &mut Hello) {
    hello.capabilities |= FORWARDS;
}

/// A meeting point without a camera.
fn a_point() -> Victim {
    Victim::with(Identity { forwards: true, ..identity("point", Media::NONE, Media::LIVE) }, MOST_SENDERS)
}

/// A track of a process far away.
fn track(number: u8, origin: [u8; 16]) -> Track {
    let format = Format { rate: Rate::new(30, 1), size: Some(Size { width: 64, height: 48 }), channels: 1, ..Format::default() };
    let label = format!("origin {}", origin[0]);
    Track { number, media: Media::LIVE, muted: false, closed: false, origin, label, format }
}

fn over(number: u8, origin: [u8; 16]) -> Track {
    Track { media: Media::NONE, format: Format::default(), ..track(number, origin) }
}

/// The origin of a process nobody is linked to.
fn far(number: u8) -> [u8; 16] {
    let mut origin = [0xFA; 16];
    origin[0] = number;
    origin
}

/// Each track that came or was over, in order.
fn changes(victim: &Victim) -> Vec<(TrackId, bool)> {
    let change = |event: &Event| match event {
        Event::TrackUp { track, .. } => Some((*track, true)),
        Event::TrackDown { track, .. } => Some((*track, false)),
        _ => None,
    };
    victim.events.iter().filter_map(change).collect()
}

/// The tracks that are received now: whose, the so manieth peer's, and which.
fn received(victim: &Victim) -> BTreeSet<(u64, u8)> {
    let mut received = BTreeSet::new();
    for (track, up) in changes(victim) {
        let id = (track.peer.0, track.track);
        assert!(if up { received.insert(id) } else { received.remove(&id) }, "{track:?} came or went twice");
    }
    received
}

/// How many slices came of a track.
fn slices(victim: &Victim, of: (u64, u8)) -> usize {
    let of_it = |event: &&Event| matches!(event, Event::Slice(track, _) if (track.peer.0, track.track) == of);
    victim.events.iter().filter(of_it).count()
}

/// There are places for sixteen tracks. Who tells of 255 takes none that are others': neither of those that are received, nor of
/// one who comes later with his own.
#[test]
fn a_forwarder_that_tells_of_255_tracks_takes_no_place_of_others() {
    let mut victim = Victim::of_many(false, MOST_SENDERS);
    let mut honest = Stranger::come_with(&mut victim, 1, forwards);
    (1..=3).for_each(|number| honest.tell(&mut victim, track(number, far(number))));
    let mut hostile = Stranger::come_with(&mut victim, 2, forwards);
    for number in 1..=255 {
        hostile.tell(&mut victim, track(number, far(number)));
        // Both are heard.
        for stranger in [&mut honest, &mut hostile] {
            stranger.picture(&mut victim, number.into());
        }
        victim.pass(ms(30));
    }
    let honests = [(0, 0), (0, 1), (0, 2), (0, 3)];
    assert_eq!(received(&victim).len(), MOST_SENDERS);
    assert!(honests.iter().all(|track| received(&victim).contains(track)), "{:?}", received(&victim));
    let _late = Stranger::join(&mut victim, 3);
    assert_eq!(received(&victim).len(), MOST_SENDERS);
    assert!(honests.iter().chain([&(2, 0)]).all(|track| received(&victim).contains(track)), "{:?}", received(&victim));
    hostile.record(&mut victim, &Record::Goodbye(Reason::Quit, String::new()));
    assert_eq!(received(&victim), honests.into_iter().chain([(2, 0)]).collect());
    assert_eq!(victim.closed.len(), 1, "and nobody else went");
}

/// A number that is used again is another track, and nothing of the one before is taken for its.
#[test]
fn a_number_that_is_used_again_is_another_track() {
    let mut victim = Victim::of_many(false, MOST_SENDERS);
    let mut point = Stranger::come_with(&mut victim, 1, forwards);
    point.tell(&mut victim, track(5, far(1)));
    point.picture_of(&mut victim, 5, 7);
    point.tell(&mut victim, track(5, far(2)));
    victim.pass(secs(2));
    point.picture_of(&mut victim, 5, 0);
    let of_five: Vec<bool> = changes(&victim).iter().filter(|(track, _)| track.track == 5).map(|(_, up)| *up).collect();
    assert_eq!((of_five.as_slice(), slices(&victim, (0, 5))), (&[true, false, true][..], 2));
    let settled: Vec<u64> = victim
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Settled(track, settled) if track.track == 5 => Some(settled.picture),
            _ => None,
        })
        .collect();
    assert_eq!(settled, [7, 0], "picture 0 is none of the former's");
    point.tell(&mut victim, over(5, far(2)));
    point.picture_of(&mut victim, 5, 1);
    assert_eq!((received(&victim), slices(&victim, (0, 5))), ([(0, 0)].into(), 2));
}

/// One's own track does not come back to one, and that of one who is linked is taken from him, for as long as he is.
#[test]
fn nobody_gets_his_own_track_nor_twice_that_of_another() {
    let mut victim = Victim::of_many(false, MOST_SENDERS);
    let own = identity("file", Media::NONE, Media::LIVE).id;
    let mut point = Stranger::come_with(&mut victim, 1, forwards);
    point.tell(&mut victim, track(1, own));
    point.tell(&mut victim, track(2, [3; 16]));
    point.tell(&mut victim, track(3, [3; 16]));
    assert_eq!(received(&victim), [(0, 0), (0, 2)].into(), "each origin once, and not ours");
    let mut direct = Stranger::join(&mut victim, 3);
    assert_eq!(received(&victim), [(0, 0), (1, 0)].into());
    direct.record(&mut victim, &Record::Goodbye(Reason::Quit, String::new()));
    victim.pass(secs(2));
    assert_eq!(received(&victim), [(0, 0), (0, 2)].into());
}

/// Who does not forward has no tracks but its own, and that is its own whatever it says.
#[test]
fn who_does_not_forward_shows_as_nobody_else() {
    let mut victim = a_point();
    let mut ann = Stranger::come_with(&mut victim, 1, |hello| hello.wants = Media::LIVE);
    let mut cheat = Stranger::join(&mut victim, 2);
    cheat.tell(&mut victim, track(1, far(1)));
    cheat.tell(&mut victim, track(OWN_TRACK, [9; 16]));
    cheat.answer_pings(&mut victim);
    assert_eq!(received(&victim), [(0, 0), (1, 0)].into());
    let told = ann.tracks(&mut victim);
    assert_eq!(told.iter().map(|track| track.origin).collect::<Vec<_>>(), [[2; 16]], "it is forwarded as what it is");
}

/// What a newcomer says as packets goes on from its first one, to those who were here and have said nothing since.
#[test]
fn a_newcomers_packets_are_passed_on_from_the_first_one() {
    let point = Identity { forwards: true, opus: true, ..identity("point", Media::NONE, Media::LIVE) };
    let mut victim = Victim::with(point, MOST_SENDERS);
    let mut ann = Stranger::come_with(&mut victim, 1, |hello| hello.wants = Media::LIVE);
    let mut ben = Stranger::join(&mut victim, 2);
    ben.tell(&mut victim, track(OWN_TRACK, [2; 16]));
    ben.answer_pings(&mut victim);
    for number in 0..3_u64 {
        // As old as the clock that was told.
        let capture = MediaTime::from_nanos(280_000_000 + number * 10_000_000);
        let block = Block { capture, channels: 1, samples: [0xF0; 60].into() };
        ben.record(&mut victim, &Record::Packet(OWN_TRACK, Numbered { number, block }));
    }
    let packet = |plain: Vec<u8>| match Record::decode(&plain) {
        Ok(Record::Packet(_, sound)) => Some(sound.number),
        _ => None,
    };
    assert_eq!(ann.told(&mut victim).into_iter().filter_map(packet).collect::<Vec<_>>(), [0, 1, 2]);
}

/// What is of a track that was not told of is skipped, and is no loss.
#[test]
fn pieces_of_tracks_that_are_not_there_are_skipped() {
    let mut victim = Victim::of_many(false, MOST_SENDERS);
    let mut point = Stranger::come_with(&mut victim, 1, forwards);
    point.tell(&mut victim, track(1, far(1)));
    for number in 0..300_u32 {
        let head = FragmentHead { picture: number, slice: 0, last_slice: 0, index: 0, last_index: 0 };
        point.datagram(&mut victim, &Message::Fragment(2 + (number % 250) as u8, head, &[0; 900]));
        point.picture_of(&mut victim, 1, number);
    }
    victim.pass(secs(1));
    assert_eq!((received(&victim), slices(&victim, (0, 1))), ([(0, 0), (0, 1)].into(), 300));
    let report = point.report(&mut victim);
    assert_eq!((report.lost, report.received), (0, report.highest + 1));
    let skipped = victim.events.iter().rev().find_map(|event| match event {
        Event::Stats(stats) => Some((stats.counters.skipped, stats.receiving.total.assembly_bytes)),
        _ => None,
    });
    assert_eq!(skipped, Some((300, 0)));
}

/// At a meeting point one tells of his track ten thousand times, each time otherwise, and at last takes it back in between. The
/// others are told now and then, and how it stands at last; also one who reads nothing meanwhile keeps his link.
#[test]
fn who_floods_the_meeting_with_tracks_throws_nobody_out() {
    let mut victim = a_point();
    let [mut reads, mut stalled] = [1, 2].map(|host| Stranger::come_with(&mut victim, host, |hello| hello.wants = Media::LIVE));
    let mut hostile = Stranger::join(&mut victim, 3);
    hostile.tell(&mut victim, track(OWN_TRACK, [3; 16]));
    hostile.answer_pings(&mut victim);
    victim.session.handle_writable(victim.now, stalled.socket(), false);
    let told = |number: usize| {
        let told = if number > 5000 && number % 3 == 2 { over(OWN_TRACK, [3; 16]) } else { track(OWN_TRACK, [3; 16]) };
        Record::Track(Track { label: format!("my {number}th name"), ..told })
    };
    for second in 0..10 {
        let told: Vec<Record> = (0..1000).map(|number| told(second * 1000 + number)).collect();
        if second == 0 {
            told.iter().for_each(|record| hostile.record(&mut victim, record));
        } else {
            hostile.records(&mut victim, &told);
        }
        // And both of those who hear it say what they may.
        for (stranger, origin) in [(&mut reads, [1; 16]), (&mut hostile, [3; 16])] {
            for line in 0..6 {
                let text = Text { origin, name: String::new(), line: format!("{second}.{line}") };
                stranger.record(&mut victim, &Record::Text(text));
            }
        }
        victim.pass(secs(1));
    }
    let last = Track { label: "my last name".to_string(), ..track(OWN_TRACK, [3; 16]) };
    hostile.tell(&mut victim, last);
    victim.pass(secs(3));
    victim.session.handle_writable(victim.now, stalled.socket(), true);
    victim.pass(ms(20));
    assert!(victim.closed.is_empty(), "{:?}", victim.closed);
    let ups = changes(&victim).iter().filter(|(track, up)| track.peer.0 == 2 && *up).count();
    assert!(ups <= 30, "its tile came {ups} times in ten seconds");
    for (stranger, most) in [(&mut reads, 150), (&mut stalled, 64)] {
        let told: Vec<Track> = stranger.tracks(&mut victim).into_iter().filter(|track| track.origin == [3; 16]).collect();
        assert!(told.len() <= most, "{} records", told.len());
        assert_eq!(told.last().map(|track| track.label.as_str()), Some("my last name"));
    }
}

/// Who spoke and is quiet now loses its place where sixteen others send, but not the connection by which it sees and hears them;
/// nor when that breaks and it comes back. As soon as there is a place again, it has it when it speaks.
#[test]
fn who_is_quiet_at_a_full_meeting_still_watches_it() {
    let mut victim = a_point();
    let mut quiet = Stranger::come_with(&mut victim, 100, |hello| hello.wants = Media::LIVE);
    quiet.format(&mut victim);
    quiet.sound(&mut victim, 0);
    for _ in 0..12 {
        victim.pass(ms(500));
        quiet.datagram(&mut victim, &Message::Ping(5));
    }
    let mut others = Vec::new();
    for host in 1..=MOST_SENDERS as u8 {
        let mut other = Stranger::join(&mut victim, host);
        other.format(&mut victim);
        other.sound(&mut victim, 0);
        assert_eq!((host, &victim.closed), (host, &vec![]));
        others.push(other);
    }
    assert_eq!(victim.names().iter().filter(|name| *name == "down").count(), 1, "{:?}", victim.names());
    assert_eq!(quiet.tracks(&mut victim), []);
    others[0].answer_pings(&mut victim);
    let told = quiet.tracks(&mut victim);
    assert_eq!(
        told.iter().map(|track| track.label.as_str()).collect::<Vec<_>>(),
        ["camera"],
        "what is forwarded is told to it, too"
    );

    victim.session.handle_closed(victim.now, quiet.socket());
    let mut quiet = Stranger::come_as(&mut victim, (100, 100), 300, quiet.token);
    assert_eq!(victim.closed, [], "it comes back to where it was");
    quiet.picture(&mut victim, 7);
    victim.pass(ms(200));
    let report = quiet.report(&mut victim);
    assert_eq!(
        (report.received, report.highest + 1),
        (quiet.next, quiet.next),
        "nobody has room for it, and it hears how it comes"
    );
    others[0].record(&mut victim, &Record::Goodbye(Reason::Quit, String::new()));
    quiet.format(&mut victim);
    quiet.sound(&mut victim, 1);
    assert_eq!(victim.names().last().map(String::as_str), Some("host 100"));
}

/// Whose tile is to go at once, and whose is to stay for a while: it may be there again by another way.
#[test]
fn a_track_that_is_over_is_told_from_one_that_is_lost() {
    let mut victim = Victim::of_many(false, MOST_SENDERS);
    let mut point = Stranger::come_with(&mut victim, 1, forwards);
    for number in 1..=3 {
        point.tell(&mut victim, track(number, far(number)));
    }
    point.tell(&mut victim, over(1, far(1)));
    let mut direct = Stranger::come_with(&mut victim, 2, |hello| hello.id = far(2));
    direct.format(&mut victim);
    point.record(&mut victim, &Record::Goodbye(Reason::Failed, String::new()));
    let down = |event: &Event| match event {
        Event::TrackDown { track, over } if !track.is_own() => Some((track.track, *over)),
        _ => None,
    };
    let down: Vec<_> = victim.events.iter().filter_map(down).collect();
    assert_eq!(down, [(1, true), (2, false), (3, false)]);
}
