//! What peers have a session hold: bounded for all together, a little for each, and nothing for who is turned away.
//!
//! Of unfinished pictures, which are by far the most, the session keeps an account. Everything else that it holds for a peer
//! (links, keys, logs, what is asked for, what is told) is seen in the process alone: [`grown`] runs a session in one of its own
//! and reads by how much that grew. It is the kernel's figure, in pages and with what the allocator keeps for itself, so its
//! bounds are in megabytes.

use super::scenarios::{ms, secs};
use super::stranger::{Stranger, Victim};
use eyeline_proto::media::depacketizer::Settled;
use eyeline_proto::session::{Command, Core, Event, MOST_SENDERS};
use eyeline_proto::wire::datagram::{FragmentHead, Message};
use eyeline_proto::wire::record::{OWN_TRACK, Reason, Record};

/// Bytes of unfinished pictures that are each sender's own; what it holds beyond is of what is there for all.
const EACH: u64 = 2 << 20;

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

/// What one sender has it hold that sends as much as it can of a picture that never becomes whole.
fn most_of_one() -> u64 {
    let mut victim = Victim::of_many(true, MOST_SENDERS);
    let mut alone = Stranger::join(&mut victim, 1);
    alone.format(&mut victim);
    alone.picture(&mut victim, 0);
    for (slice, index) in (0..22).flat_map(|slice| (0..60).map(move |index| (slice, index))) {
        alone.datagram(&mut victim, &piece(1, slice, index));
    }
    victim.pass(secs(1));
    held(&victim)
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
    let (all, one) = (held(&victim), most_of_one());
    println!("of unfinished pictures one sender has {one} bytes held, sixteen and 300 strangers {all}");
    assert!((60 << 20..70 << 20).contains(&one), "{one} bytes are one's");
    assert!(all <= one + (MOST_SENDERS as u64 - 1) * EACH, "{all} bytes are held, {one} of one alone");
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

/// Asks a process of this test for its figure: how many senders, how many strangers.
const ASKED: &str = "EYELINE_SIM_HOLDS";

/// Bytes of memory this process has.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux says");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("pages") * 4096
}

/// Bytes by which a process grows whose session so many send to, and so many others knock at: 720p, 100 KB a picture in twelve
/// slices, of which each lacks its last piece, and sound, for two seconds.
fn growth(senders: u64, strangers: u64) -> u64 {
    let come = |victim: &mut Victim, number: u64| {
        let host = 1 + (number % 250) as u8;
        let mut stranger = Stranger::come_as(victim, (host, 1 + number as u16), 1 + number, [0; 16]);
        stranger.format(victim);
        stranger.picture(victim, 0);
        stranger
    };
    let mut victim = Victim::of_many(false, MOST_SENDERS);
    let before = resident();
    let mut here: Vec<Stranger> = (0..senders).map(|number| come(&mut victim, number)).collect();
    for number in 0..strangers {
        come(&mut victim, senders + number);
    }
    let here_now = changes(&victim);
    for picture in 1..60 {
        for stranger in &mut here {
            for (slice, index) in (0..12).flat_map(|slice| (0..7).map(move |index| (slice, index))) {
                let head = FragmentHead { picture, slice, last_slice: 11, index, last_index: 7 };
                stranger.datagram(&mut victim, &Message::Fragment(OWN_TRACK, head, &[0; 1100]));
            }
            (0..3).for_each(|block| stranger.sound(&mut victim, u64::from(picture) * 3 + block));
        }
        // What the world keeps of it is not the session's.
        (victim.events, victim.datagrams) = Default::default();
        victim.pass(ms(33));
    }
    assert_eq!(here_now, (senders as usize, 0));
    resident() - before
}

/// The same, in a process of its own.
fn grown(senders: u64, strangers: u64) -> u64 {
    let mut this = std::process::Command::new(std::env::current_exe().expect("it runs"));
    this.args([
        "--exact",
        "memory::sixteen_senders_and_300_strangers_cost_what_one_does_and_a_mebibyte_for_each_more",
        "--nocapture",
    ]);
    let said = this.env(ASKED, format!("{senders} {strangers}")).output().expect("it runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let bytes = said.lines().find_map(|line| line.strip_prefix("grown by ")?.parse().ok());
    bytes.unwrap_or_else(|| panic!("it says no figure: {said}"))
}

#[test]
fn sixteen_senders_and_300_strangers_cost_what_one_does_and_a_mebibyte_for_each_more() {
    if let Ok(asked) = std::env::var(ASKED) {
        let (senders, strangers) = asked.split_once(' ').expect("two numbers");
        return println!("grown by {}", growth(senders.parse().expect("a number"), strangers.parse().expect("a number")));
    }
    let [one, sixteen, all] = [(1, 0), (16, 0), (16, 300)].map(|(senders, strangers)| grown(senders, strangers));
    println!("a process holds {one} bytes more for one sender, {sixteen} for sixteen, {all} for these and 300 strangers");
    // A track may cost 12 MiB in all; canvas, decoder and voice want most of it.
    assert!(sixteen <= one + 15 * (1 << 20), "{sixteen} bytes of sixteen senders, {one} of one");
    assert!(all <= sixteen + (2 << 20), "{all} bytes with 300 strangers, {sixteen} without");
}
