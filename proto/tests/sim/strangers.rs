//! Senders made by hand, at a receiver that waits: what they may say that it does not know, and what they do not get by it.

use super::by_hand::{UNKNOWN, challenge};
use super::scenarios::{ms, secs};
use super::sending::identity;
use super::stranger::{Stranger, Victim};
use eyeline_proto::session::link::Identity;
use eyeline_proto::session::{Command, Core, Event, PeerId, SocketId, TrackId};
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::{FragmentHead, Message, Shard};
use eyeline_proto::wire::record::{End, Media, OWN_TRACK, Reason, Record};
use eyeline_proto::wire::sound::{Packets, Piece};
use std::time::Duration;

/// What the so manieth sender sends.
fn track(number: u64) -> TrackId {
    TrackId::own(PeerId(number))
}

/// A later program's messages between pictures and sound: no NACK, no copy of sound, no loss in the reports, and the link goes
/// on.
#[test]
fn unknown_kind_is_no_loss() {
    let mut victim = Victim::new(false);
    let mut newer = Stranger::join(&mut victim, 1);
    newer.format(&mut victim);
    for number in 0..120 {
        newer.picture(&mut victim, number);
        for kind in UNKNOWN {
            newer.raw_datagram(&mut victim, [&[kind][..], &[7; 40]].concat());
            if kind >= 64 {
                newer.raw_record(&mut victim, &[kind, 1, 2, 3]);
            }
        }
        // Malformed ones of kinds it knows came as well.
        newer.raw_datagram(&mut victim, vec![1, 0, 0]);
        newer.raw_datagram(&mut victim, Vec::new());
        for block in 0..3 {
            newer.sound(&mut victim, u64::from(number) * 3 + block);
            victim.pass(ms(10));
        }
    }
    let heard = newer.heard(&mut victim);
    let asks = |plain: &&Vec<u8>| matches!(Message::decode(plain), Ok(Message::Nack(_) | Message::SoundRequest(..)));
    assert_eq!(heard.iter().filter(asks).count(), 0, "nothing is missing");
    victim.pass(ms(200));
    let report = newer.report(&mut victim);
    assert_eq!((report.highest + 1, report.received, report.lost), (newer.next, newer.next, 0));
    assert_eq!((victim.closed.as_slice(), victim.names().as_slice()), (&[][..], &["host 1".to_string()][..]));
    let stats = victim.events.iter().rev().find_map(|event| match event {
        Event::Stats(stats) => Some(stats.counters),
        _ => None,
    });
    let counted = stats.map(|counters| (counters.unknown, counters.skipped > 1000));
    assert_eq!(counted, Some((0, true)), "skipped, and not taken for a stranger's");
}

/// A later program has more than one track. What is of another than its own is skipped: no mistake, no loss, nothing shown or
/// played.
#[test]
fn what_is_of_a_track_that_is_not_there_is_skipped() {
    let mut victim = Victim::new(false);
    let mut newer = Stranger::join(&mut victim, 1);
    newer.format(&mut victim);
    newer.describe(&mut victim, 7);
    for number in 0..60 {
        newer.picture(&mut victim, number);
        let head = FragmentHead { picture: 900 + number, slice: 0, last_slice: 0, index: 0, last_index: 0 };
        newer.datagram(&mut victim, &Message::Fragment(7, head, &[0, 0, 0, 4, 1, 2, 3, 4]));
        let [last_indices, payload] = [&[0, 0][..], b"even"];
        let shard = Shard { picture: number, last_slice: 0, first_slice: 0, index: 0, recovery: 1, last_indices, payload };
        newer.datagram(&mut victim, &Message::Shard(7, shard));
        let (number, capture) = (u64::from(number), MediaTime::ZERO);
        for index in 0..2 {
            let half = Piece { number, capture, channels: 1, frames: 480, index, payload: &[0; 480] };
            newer.datagram(&mut victim, &Message::Piece(7, half));
        }
        newer.record(
            &mut victim,
            &Record::Sound(7, Numbered { number, block: Block { capture, channels: 1, samples: [0; 480].into() } }),
        );
        newer.record(&mut victim, &Record::End(7, End { pictures: 0, blocks: 0 }));
        victim.pass(ms(30));
    }
    victim.pass(ms(200));
    let slices = victim.events.iter().filter(|event| matches!(event, Event::Slice(..))).count();
    let sounds = victim.events.iter().filter(|event| matches!(event, Event::Sound(..))).count();
    let described = victim.events.iter().filter(|event| matches!(event, Event::Track(..))).count();
    assert_eq!((slices, sounds, described), (60, 0, 1), "its own track alone");
    let report = newer.report(&mut victim);
    assert_eq!((report.highest + 1, report.received, report.lost), (newer.next, newer.next, 0));
    assert_eq!(report.tracks.as_slice().iter().map(|track| (track.track, track.settled)).collect::<Vec<_>>(), [(OWN_TRACK, 60)]);
    assert_eq!((victim.closed.as_slice(), victim.names().as_slice()), (&[][..], &["host 1".to_string()][..]));
    let skipped = victim.events.iter().rev().find_map(|event| match event {
        Event::Stats(stats) => Some((stats.counters.unknown, stats.counters.skipped)),
        _ => None,
    });
    assert!(skipped.is_some_and(|(unknown, skipped)| unknown == 0 && skipped > 6 * 30), "{skipped:?}");
}

/// A film is never sent as packets, nor is anything to who has not said that it decodes them: such packets are skipped, and prove
/// nothing. That its datagrams came is no loss all the same.
#[test]
fn packets_of_a_film_and_those_that_nobody_asked_for_are_skipped() {
    for (opus, film, heard) in [(true, false, true), (true, true, false), (false, false, false)] {
        let mut victim = Victim::with(Identity { opus, ..identity("screen", Media::NONE, Media::LIVE) }, 1);
        let mut sender = Stranger::come_with(&mut victim, 1, |hello| hello.offers.lossless = film);
        sender.format(&mut victim);
        for number in 0..10_u64 {
            let block = Block { capture: MediaTime::from_nanos(number * 10_000_000), channels: 1, samples: [0xF0; 60].into() };
            if number % 2 == 0 {
                sender.record(&mut victim, &Record::Packet(OWN_TRACK, Numbered { number, block }));
            } else {
                let newest = Block { capture: block.capture, channels: 1, samples: &block.samples[..] };
                sender.datagram(&mut victim, &Message::Packets(OWN_TRACK, Packets { number, newest, before: None }));
            }
        }
        victim.pass(secs(1));
        let came = victim.events.iter().filter(|event| matches!(event, Event::Packet { .. })).count();
        assert_eq!(came, if heard { 10 } else { 0 }, "opus {opus}, film {film}");
        let skipped = victim.events.iter().rev().find_map(|event| match event {
            Event::Stats(stats) => Some(stats.counters.skipped),
            _ => None,
        });
        assert_eq!((skipped, victim.closed.len()), (Some(10 - came as u64), 0));
        assert_eq!(sender.report(&mut victim).lost, 0);
    }
}

/// A slice that a later program packed in a way of its own cannot be drawn; what comes beside it can.
#[test]
fn a_slice_that_is_packed_in_an_unknown_way_costs_itself_alone() {
    let mut victim = Victim::new(false);
    let mut newer = Stranger::join(&mut victim, 1);
    newer.format(&mut victim);
    for number in 0..90 {
        newer.packed_picture(&mut victim, (OWN_TRACK, number), if number % 3 == 0 { 0x10 } else { 0 });
        victim.pass(ms(30));
    }
    let slices = victim.events.iter().filter(|event| matches!(event, Event::Slice(..))).count();
    let whole = victim.events.iter().filter(|event| matches!(event, Event::Settled(_, settled) if settled.is_whole())).count();
    assert_eq!((slices, whole), (60, 90), "it came, and is of no use");
    assert_eq!((victim.closed.as_slice(), victim.names().as_slice()), (&[][..], &["host 1".to_string()][..]));
}

/// A hello, and then nothing but pings: a sender that sends takes its place, whenever it comes.
#[test]
fn a_mute_sender_gives_way() {
    for later in [ms(100), secs(20)] {
        let mut victim = Victim::new(false);
        let mut mute = Stranger::join(&mut victim, 1);
        for _ in 0..later.as_millis() / 100 {
            mute.datagram(&mut victim, &Message::Ping(5));
            victim.pass(ms(100));
        }
        let mut other_mute = Stranger::join(&mut victim, 2);
        let mut real = Stranger::join(&mut victim, 3);
        assert_eq!(victim.closed, [], "nobody is told that we are busy before anybody sends");
        real.format(&mut victim);
        other_mute.datagram(&mut victim, &Message::Ping(5));
        real.picture(&mut victim, 0);
        assert_eq!(victim.names(), ["host 1", "down", "host 3"]);
        assert!(victim.events.iter().any(|event| matches!(event, Event::Track(..))), "what it said while it waited is told");
        assert_eq!(victim.events.iter().filter(|event| matches!(event, Event::Slice(..))).count(), 1);
        let mut closed = std::mem::take(&mut victim.closed);
        closed.sort_unstable();
        assert_eq!(closed, [SocketId(1), SocketId(2)], "who sends nothing is told that we are busy");
        // Now there is one that sends: who comes later is told at once.
        Stranger::join(&mut victim, 4);
        assert_eq!(std::mem::take(&mut victim.closed), [SocketId(4)]);
        // Reports count the whole connection: a sender that waited has lost nothing.
        victim.pass(ms(200));
        let report = real.report(&mut victim);
        assert_eq!((report.highest + 1, report.received, report.lost), (real.next, real.next, 0));
        // It falls silent, and only pings; another sends.
        for _ in 0..60 {
            real.datagram(&mut victim, &Message::Ping(5));
            victim.pass(ms(100));
        }
        let mut next = Stranger::join(&mut victim, 5);
        next.sound(&mut victim, 0);
        assert_eq!(victim.names()[3..], ["down", "host 5"]);
        assert_eq!(victim.closed, [SocketId(3)]);
    }
}

/// Somebody speaks behind a firewall that lets no datagram through, or none any more. Another of the same machine, of the same
/// name, is no reason to take it for gone.
#[test]
fn who_is_heard_over_tcp_alone_keeps_its_place() {
    for join in [Stranger::join, Stranger::join_without_udp] {
        let mut victim = Victim::new(false);
        let mut first = join(&mut victim, 1);
        first.format(&mut victim);
        for number in 0..40 {
            first.sound(&mut victim, number);
            victim.pass(ms(100));
        }
        let mut second = Stranger::come_as(&mut victim, (1, 2), 2, [0; 16]);
        second.picture(&mut victim, 0);
        victim.pass(ms(100));
        assert_eq!((victim.names().as_slice(), victim.closed.as_slice()), (&["host 1".to_string()][..], &[SocketId(2)][..]));
    }
}

/// Pieces that never make a slice, and slices that are none, hold a place no longer than a picture may take.
#[test]
fn who_sends_rubbish_gives_way_like_one_who_sends_nothing() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::join(&mut victim, 1);
    for number in 0..30 {
        let head = FragmentHead { picture: number, slice: 0, last_slice: 0, index: 0, last_index: 0 };
        stranger.datagram(&mut victim, &Message::Fragment(OWN_TRACK, head, &[0, 0, 0, 4, 1, 2, 3, 4]));
        victim.pass(ms(100));
    }
    let mut real = Stranger::join(&mut victim, 2);
    real.picture(&mut victim, 0);
    assert_eq!(victim.names(), ["host 1", "down", "host 2"]);
}

/// An end is believed of a sender that said what it sends, sent some of it, and does not contradict what came; and once.
#[test]
fn an_end_without_media_ends_nothing() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::come(&mut victim, 1, 1, [0; 16], true);
    let end = |pictures, blocks| Record::End(OWN_TRACK, End { pictures, blocks });
    stranger.record(&mut victim, &end(0, 0));
    victim.pass(secs(3));
    stranger.format(&mut victim);
    for absurd in [0, 10, u64::MAX] {
        stranger.record(&mut victim, &end(absurd, absurd));
    }
    victim.pass(secs(3));
    stranger.record(&mut victim, &Record::Goodbye(Reason::Quit, "bye".to_string()));
    victim.pass(secs(3));
    assert_eq!(victim.names(), ["host 1", "down"], "nothing was sent, nothing ends");

    let mut real = Stranger::come(&mut victim, 2, 2, [0; 16], true);
    real.format(&mut victim);
    for number in 0..10 {
        real.picture(&mut victim, number);
        victim.pass(ms(30));
    }
    real.record(&mut victim, &end(9, 0));
    victim.pass(secs(3));
    assert_eq!(victim.finished(), 0, "more came than it says there is");
    real.record(&mut victim, &end(10, 0));
    victim.pass(ms(20));
    for _ in 0..3 {
        real.record(&mut victim, &end(10, 0));
        victim.pass(secs(3));
    }
    assert_eq!(victim.finished(), 1, "a stream ends once");
}

/// What is missing at the end is waited for two seconds, however often the end is said.
#[test]
fn an_end_that_is_said_again_and_again_is_not_put_off() {
    let mut victim = Victim::new(false);
    let mut sender = Stranger::join(&mut victim, 1);
    sender.format(&mut victim);
    sender.picture(&mut victim, 0);
    for _ in 0..4 {
        sender.record(&mut victim, &Record::End(OWN_TRACK, End { pictures: 1, blocks: 5 }));
        victim.pass(secs(1));
    }
    // A live sender that is only watched is left then, and the next may come.
    assert_eq!(victim.names(), ["host 1", "finished", "down"]);
    assert_eq!(victim.closed, [SocketId(1)]);
    Stranger::join(&mut victim, 2).picture(&mut victim, 0);
    assert_eq!(victim.names().last().map(String::as_str), Some("host 2"));
}

/// Everything in a report but the pictures counts from where its connection began, also where the last of the one before comes
/// late.
#[test]
fn a_report_counts_from_where_its_connection_began() {
    let mut victim = Victim::new(false);
    let mut first = Stranger::join(&mut victim, 1);
    first.format(&mut victim);
    for number in 0..100 {
        first.picture(&mut victim, number);
        victim.session.handle_command(victim.now, Command::Shown(track(0), 1));
        victim.pass(ms(30));
    }
    victim.pass(ms(200));
    assert_eq!(first.report(&mut victim).tracks.get(OWN_TRACK).map(|track| track.shown), Some(100));
    let mut second = Stranger::come(&mut victim, 1, 7, first.token, false);
    assert_eq!(victim.names(), ["host 1", "host 1 again"]);
    second.picture(&mut victim, 100);
    first.picture(&mut victim, 101);
    second.picture(&mut victim, 102);
    victim.session.handle_command(victim.now, Command::Shown(track(0), 3));
    victim.pass(ms(200));
    let report = second.report(&mut victim);
    assert_eq!((report.highest + 1, report.received, report.lost), (second.next, second.next, 0));
    let track = report.tracks.get(OWN_TRACK).expect("its track");
    assert_eq!((track.settled, track.shown), (103, 3));
    assert!(report.bytes < 1000, "{} bytes of a few datagrams", report.bytes);
}

/// A disk that is slow to say that a film is written speaks of that film, not of the next.
#[test]
fn what_was_written_and_shown_of_a_former_sender_says_nothing_of_the_next() {
    let mut victim = Victim::new(true);
    let mut first = Stranger::come(&mut victim, 1, 1, [0; 16], true);
    first.format(&mut victim);
    first.picture(&mut victim, 0);
    first.record(&mut victim, &Record::Goodbye(Reason::Quit, String::new()));
    let mut second = Stranger::come(&mut victim, 2, 2, [0; 16], true);
    second.format(&mut victim);
    for number in 0..5 {
        second.picture(&mut victim, number);
    }
    victim.session.handle_command(victim.now, Command::Written(track(1), 4));
    victim.session.handle_command(victim.now, Command::Written(track(0), 1));
    victim.session.handle_command(victim.now, Command::Shown(track(0), 9));
    victim.pass(ms(200));
    let report = second.report(&mut victim);
    let track = report.tracks.get(OWN_TRACK).expect("its track");
    assert_eq!((track.settled, track.shown), (4, 0));
}

/// The process is stopped before the first datagram comes: it did not look. Only time that it watched counts.
#[test]
fn a_standstill_is_not_called_a_firewall() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::join_without_udp(&mut victim, 1);
    stranger.format(&mut victim);
    victim.pass(ms(300));
    victim.now += secs(5);
    victim.session.handle_timeout(victim.now);
    victim.drain();
    victim.pass(ms(1900));
    let blamed = |victim: &Victim| victim.events.iter().any(|event| matches!(event, Event::NoUdp(..)));
    assert!(!blamed(&victim), "two seconds have not been watched");
    victim.pass(ms(200));
    assert!(blamed(&victim));
}

/// Half a block takes the place of who sends nothing, and is an attempt: the next half takes it back from nobody.
#[test]
fn two_that_send_halves_of_blocks_do_not_change_places_with_each() {
    let mut victim = Victim::new(false);
    let mut first = Stranger::join(&mut victim, 1);
    let mut second = Stranger::join(&mut victim, 2);
    let half = [0; 480];
    for number in 0..50 {
        for stranger in [&mut second, &mut first] {
            let half = Piece { number, capture: MediaTime::ZERO, channels: 1, frames: 480, index: 0, payload: &half };
            stranger.datagram(&mut victim, &Message::Piece(OWN_TRACK, half));
        }
    }
    assert_eq!(victim.names().iter().filter(|name| *name == "down").count(), 1, "{:?}", victim.names());
}

/// Sound at many times the pace of time: what an outage may have held back is taken, then no more than is spoken meanwhile.
#[test]
fn sound_is_taken_no_faster_than_it_can_have_been_spoken() {
    let mut victim = Victim::new(false);
    let mut stranger = Stranger::join(&mut victim, 1);
    (0..3000).for_each(|number| stranger.sound(&mut victim, number));
    let taken = |victim: &Victim| victim.events.iter().filter(|event| matches!(event, Event::Sound(..))).count();
    assert_eq!(taken(&victim), 505, "five seconds");
    victim.now += Duration::from_secs(1);
    (3000..6000).for_each(|number| stranger.sound(&mut victim, number));
    assert_eq!(taken(&victim), 606, "and one more");
    assert!(victim.closed.is_empty());
}

/// Who slept knows of no silence and takes its connection for well; what is at the waiting side, which cannot dial, says that it
/// is to be looked at: where nothing came over it, and all the more where it is gone.
#[test]
fn who_is_heard_after_a_silence_is_challenged_anew_where_its_connection_hangs_or_is_gone() {
    for (gone, says, asked) in [(false, false, true), (false, true, false), (true, false, true)] {
        let mut victim = Victim::new(false);
        let mut sender = Stranger::join(&mut victim, 1);
        sender.format(&mut victim);
        sender.picture(&mut victim, 0);
        victim.pass(ms(500));
        if gone {
            victim.session.handle_closed(victim.now, sender.socket());
        }
        victim.pass(ms(500));
        if says {
            sender.sound(&mut victim, 0);
        }
        sender.heard(&mut victim);
        sender.datagram(&mut victim, &Message::Ping(0));
        victim.pass(ms(50));
        let challenges = sender.heard(&mut victim).iter().filter_map(|plain| challenge(plain)).count();
        assert_eq!(challenges > 0, asked, "its connection is gone: {gone}; something came over it: {says}");
    }
}
