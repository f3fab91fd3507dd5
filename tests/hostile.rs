//! Strangers at the port while a stream runs, with the real binaries: garbage, half-open and slow connections, forged addresses.
//! It is counted, nothing grows, and no picture is lost.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/by_hand.rs"]
mod by_hand;
#[path = "support/garbage.rs"]
mod garbage;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/program.rs"]
mod program;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use by_hand::ByHand;
use eyeline::codec::decoder::{Decoder, RgbMut};
use eyeline::codec::encoder::{Coded, EncoderThreads};
use eyeline::codec::settings::Settings;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::{Body, Picture, Sampling, Size};
use eyeline_proto::session::liveness::FIRST_SIGN;
use eyeline_proto::session::places::{MAX_OF_ADDRESS, MAX_PEERS};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::{FragmentHead, Message};
use eyeline_proto::wire::record::{Media, OWN_TRACK};
use garbage::{CONNECTIONS, DATAGRAMS, Garbage, Kernel, flood, knock};
use gate::{Gate, Way};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use program::{CALL, Out, Program, RECV, free_port, recv, send};
use serde_json::Value;

const TEST: &str = "--test -s 640x480 -r 30 --stats json";
/// What may come and go with buffers that are filled for the first time.
const GROWTH: u64 = 2 << 20;

/// Bytes of memory the process holds.
fn resident(program: &Program) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", program.id())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn number(stats: &Value, field: &str) -> u64 {
    stats[field].as_u64().unwrap_or_else(|| panic!("no {field} in {stats}"))
}

fn rejected(stats: &Value) -> (u64, u64) {
    let of = |field: &str| stats["rejected"][field].as_u64().unwrap();
    (of("unknown") + of("forged") + of("replayed"), of("connections"))
}

/// The port of a dialling side's datagrams, as the kernel knows it.
fn udp_port(program: &Program) -> u16 {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{}/fd", program.id()))
        .unwrap()
        .filter_map(|fd| {
            Some(std::fs::read_link(fd.ok()?.path()).ok()?.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').into())
        })
        .collect();
    let table = std::fs::read_to_string("/proc/net/udp6").unwrap() + &std::fs::read_to_string("/proc/net/udp").unwrap();
    let ours = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (inode, local) = (words.get(9)?, words.get(1)?.rsplit_once(':')?.1);
        sockets.iter().any(|socket| socket == inode).then(|| u16::from_str_radix(local, 16).unwrap())
    };
    table.lines().find_map(ours).expect("it has a UDP socket")
}

/// No picture was lost, but for one a datagram that the kernel had no room for, as where the program did not run for a while.
fn assert_none_lost(stats: &Value, program: &Program) {
    let dropped = Kernel::of(udp_port(program)).dropped;
    assert!(number(stats, "lost") + number(stats, "partial") <= dropped, "{dropped} dropped: {stats}");
}

/// `call` without window and speaker.
fn call(args: &str) -> Program {
    Program::start(CALL, &format!("--no-window --no-audio {args}"))
}

/// The next statistics of what it receives; `call` has some of what it sends, too.
fn received(program: &mut Program) -> Value {
    program.stats_with(|stats| stats["role"] == "recv")
}

/// Waits until so many pictures came whole.
fn has_received(program: &mut Program, pictures: u64) {
    program.stats_with(|stats| stats["role"] == "recv" && number(stats, "whole") >= pictures);
}

/// Waits until more pictures came.
fn goes_on(program: &mut Program) {
    program.forget_stats();
    let shown = number(&received(program), "whole");
    has_received(program, shown + 16);
}

/// Streams, lets strangers at `port`, and looks at the first of the programs, which waits there; the last ones receive, so many.
fn is_unmoved(programs: &mut [Program], receiving: usize, port: u16, garbage: &mut Garbage) {
    let first_receiving = programs.len() - receiving;
    programs[first_receiving..].iter_mut().for_each(|receiver| has_received(receiver, 60));
    // The first thousand fill what is filled once: tables, buffers, the allocator's places.
    drop(knock(port, garbage));
    flood(port, garbage);
    let victim = &mut programs[0];
    victim.forget_stats();
    let (before, kernel) = ((rejected(&victim.stats()), resident(victim)), Kernel::of(port));
    let open = knock(port, garbage);
    flood(port, garbage);
    // What the kernel had no room for nobody has seen.
    let dropped = Kernel::of(port).dropped - kernel.dropped;
    let wanted = (before.0.0 + DATAGRAMS as u64 - 100 - dropped, before.0.1 + CONNECTIONS as u64 * 9 / 10);
    drop(open);
    let after = victim.stats_with(|stats| rejected(stats).0 >= wanted.0 && rejected(stats).1 >= wanted.1);
    let memory = (before.1, resident(victim));
    println!("{port}: rejected {:?} -> {:?}, {dropped} dropped, resident {memory:?}", before.0, rejected(&after));
    assert!(memory.1 <= memory.0 + GROWTH, "from {} to {} bytes", memory.0, memory.1);
    for receiver in &mut programs[first_receiving..] {
        receiver.forget_stats();
        let stats = received(receiver);
        println!("{stats}");
        assert_none_lost(&stats, receiver);
        goes_on(receiver);
    }
    let victim = &mut programs[0];
    assert!(victim.heard().matches("was turned away").count() <= 30, "{}", victim.heard());
    assert_eq!(victim.stop(Signal::SIGTERM), 0);
}

#[test]
fn garbage_at_a_waiting_sender_is_counted_and_costs_nothing() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    is_unmoved(&mut [send, recv], 1, port, &mut Garbage(0x9e37_79b9_7f4a_7c15));
}

#[test]
fn garbage_at_the_dialling_side_is_counted_and_costs_nothing() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    recv.stats_with(|stats| number(stats, "whole") >= 60);
    let (port, mut garbage) = (udp_port(&recv), Garbage(0x6a09_e667_f3bc_c908));
    flood(port, &mut garbage);
    recv.forget_stats();
    let (before, kernel) = ((rejected(&recv.stats()).0, resident(&recv)), Kernel::of(port));
    flood(port, &mut garbage);
    // What the kernel had no room for nobody has seen.
    let dropped = Kernel::of(port).dropped - kernel.dropped;
    let after = recv.stats_with(|stats| rejected(stats).0 >= before.0 + DATAGRAMS as u64 - 100 - dropped);
    let memory = (before.1, resident(&recv));
    println!("{port}: rejected {} -> {}, {dropped} dropped, resident {memory:?}", before.0, rejected(&after).0);
    assert!(memory.1 <= memory.0 + GROWTH, "from {} to {} bytes", memory.0, memory.1);
    assert_none_lost(&after, &recv);
    recv.stats_with(|stats| number(stats, "whole") > number(&after, "whole") + 15);
}

#[test]
fn garbage_at_a_waiting_receiver_is_counted_and_costs_nothing() {
    let port = free_port();
    let mut recv = recv(&format!("-p {port} --stats json"));
    recv.said("waiting on port");
    let _send = send(&format!("{TEST} --host 127.0.0.1:{port}"));
    is_unmoved(&mut [recv], 1, port, &mut Garbage(0x2545_f491_4f6c_dd1d));
}

#[test]
fn garbage_at_a_waiting_call_is_counted_and_costs_nothing() {
    let port = free_port();
    let mut waiting = call(&format!("{TEST} -p {port}"));
    waiting.said("waiting on port");
    let dialling = call(&format!("{TEST} --host 127.0.0.1:{port}"));
    is_unmoved(&mut [waiting, dialling], 2, port, &mut Garbage(0x510e_527f_ade6_82d1));
}

#[test]
fn a_strangers_handshake_is_ended_in_time_and_a_peer_still_gets_in() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let begun = Instant::now();
    let mut silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    recv.stats_with(|stats| number(stats, "whole") > 10);
    for stream in &mut silent {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A reset is an end as well.
        assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0, "nobody said hello");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "a handshake may take 5 s");
}

/// A peer for each place, from four addresses, that wants all and offers this.
fn everywhere(port: u16, offers: Media) -> impl Iterator<Item = ByHand> {
    (0..MAX_PEERS).map(move |n| ByHand::greet(port, [127, 0, 1, (n / MAX_OF_ADDRESS) as u8], (offers, Media::LIVE)))
}

/// The programs that send, flags that leave out their devices, and what a peer may offer to each.
const SENDING: [(&str, &str, Media); 2] = [(program::SEND, "", Media::NONE), (CALL, "--no-window --no-audio", Media::LIVE)];

/// As many hellos as there are places for peers, from four addresses, and not a word more.
#[test]
fn idle_peers_on_every_place_keep_nobody_out() {
    let port = free_port();
    for (path, flags, offers) in SENDING {
        let mut waiting = Program::start(path, &format!("{flags} {TEST} -p {port}"));
        waiting.said("waiting on port");
        let idle: Vec<ByHand> = everywhere(port, offers).collect();
        let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
        has_received(&mut recv, 11);
        for mut peer in idle {
            let end = std::iter::repeat_with(|| peer.stream.read(&mut [0; 4096])).find(|read| !matches!(read, Ok(1..)));
            // A reset is an end as well.
            let waits = matches!(end, Some(Err(error)) if error.kind() == ErrorKind::WouldBlock);
            assert!(!waits, "it keeps its place for longer than {FIRST_SIGN:?}");
        }
        goes_on(&mut recv);
        assert_eq!(waiting.stop(Signal::SIGTERM), 0);
    }
}

/// An authentic datagram, held back on its way and sent from an address of the attacker's choice: all it gets is challenges,
/// which it cannot answer, and the video stays where it was.
#[test]
fn an_authentic_datagram_from_a_forged_address_brings_no_video_there() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    // Every address in 127/8 is this machine's: the victim of the forgery can be watched.
    let victim = UdpSocket::bind("127.0.0.9:0").unwrap();
    victim.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let (forge, target) = (victim.try_clone().unwrap(), SocketAddr::from(([127, 0, 0, 1], port)));
    let (mut seen, mut forged) = (0, 0);
    let (tell, told) = mpsc::channel();
    let gate = Gate::start(port, move |way, bytes| {
        seen += usize::from(way == Way::Up);
        let taken = way == Way::Up && seen > 30 && seen % 4 == 0 && forged < 5;
        if taken {
            forged += 1;
            forge.send_to(bytes, target).unwrap();
            tell.send(()).unwrap();
        }
        !taken
    });
    let mut recv = recv(&format!("--host 127.0.0.1:{} --stats json", gate.port));
    for _ in 0..5 {
        told.recv_timeout(Duration::from_secs(30)).expect("the receiver says something four times a second");
    }
    let (mut bytes, mut challenges, mut most) = ([0; 2000], 0, 0);
    while let Ok(len) = victim.recv(&mut bytes) {
        challenges += 1;
        most = most.max(len);
        assert!(len <= 64 && challenges <= 100, "{challenges} datagrams, the last of {len} bytes");
    }
    assert!(challenges >= 1, "the forged address is never asked to prove itself: nothing was tried");
    println!("{challenges} challenges of at most {most} bytes");
    recv.forget_stats();
    let before = recv.stats();
    recv.stats_with(|stats| number(stats, "whole") > number(&before, "whole") + 15);
    assert_eq!(number(&before, "lost"), 0, "{before}");
}

/// What ARCHITECTURE.md says that `send` holds at most, its own pictures aside.
const SEND_CEILING: u64 = 512 << 20;

/// The same of `recv`.
const RECV_CEILING: u64 = 800 << 20;

/// And the canvas of the largest picture.
const CANVAS: u64 = 256 << 20;

/// The largest picture there may be.
const ENORMOUS: Size = Size { width: 8192, height: 8192 };

/// On every place a peer that holds back the end of its longest record, and before them strangers that hold back their openings.
#[test]
fn peers_on_every_place_that_say_half_of_all_they_may_cost_no_more_than_is_stated() {
    let port = free_port();
    for ((path, flags, offers), ceiling) in SENDING.into_iter().zip([SEND_CEILING, SEND_CEILING + RECV_CEILING]) {
        let mut waiting = Program::start(path, &format!("{flags} {TEST} -p {port}"));
        waiting.said("waiting on port");
        let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
        has_received(&mut recv, 11);
        let socket = UdpSocket::bind("127.0.1.0:0").unwrap();
        let mut peers: Vec<ByHand> = everywhere(port, offers).take(MAX_PEERS - 1).collect();
        for peer in &mut peers {
            peer.send(&socket, port, &Message::Challenge([1; 8]));
            // It may be closed on us in the middle.
            let _ = peer.stream.write_all(&[&[0xff, 0xff][..], &[0; 60_000]].concat());
        }
        let mut garbage = Garbage(0xbb67_ae85_84ca_a73b);
        let strangers = knock(port, &mut garbage);
        flood(port, &mut garbage);
        goes_on(&mut recv);
        let peak = waiting.peak();
        println!("{path}: {} MiB of {}", peak >> 20, ceiling >> 20);
        assert!(peak < ceiling, "{peak} bytes");
        drop((peers, strangers));
        assert_eq!(waiting.stop(Signal::SIGTERM), 0);
    }
}

/// The slices of one picture as large as pictures may be, with these samples.
fn enormous(samples: Vec<u8>) -> Vec<Slice> {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let pool = EncoderThreads::new(2, move |slice| tell.lock().unwrap().send(slice).unwrap()).unwrap();
    let picture = Picture::new(Instant::now(), ENORMOUS, Body::Planes(Sampling::Grey, samples.into()));
    let settings = Settings { quality: 80, position: None };
    pool.encode(0, picture, MediaTime::ZERO, settings, Coded::All).unwrap();
    drop(pool);
    told.iter().collect()
}

/// Bytes of a fragment of those.
const PAYLOAD: usize = 1100;

/// Sends one slice of a picture, but for the last fragments.
fn send_slice(sender: &mut ByHand, to: (&UdpSocket, u16), picture: u32, slice: &Slice, held_back: usize) {
    let last = slice.bytes().len().div_ceil(PAYLOAD) - 1;
    for (index, payload) in slice.bytes().chunks(PAYLOAD).enumerate().take(last + 1 - held_back) {
        let (last_slice, index, last_index) = (slice.count - 1, index as u16, last as u16);
        let head = FragmentHead { picture, slice: slice.index, last_slice, index, last_index };
        sender.send(to.0, to.1, &Message::Fragment(OWN_TRACK, head, payload));
    }
}

/// A sender of pictures as large as can be, faster than anybody decodes them, some whole and some without their end, to a
/// receiver that decodes, one that writes them, and one that passes them on.
#[test]
fn a_sender_of_enormous_pictures_costs_no_more_than_is_stated() {
    let mut garbage = Garbage(0x3c6e_f372_fe94_f82b);
    let mut noise = vec![0; Sampling::Grey.bytes(ENORMOUS)];
    noise.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&garbage.next().to_be_bytes()));
    // As heavy as noise makes it.
    let slices = enormous(noise);
    let bytes: usize = slices.iter().map(|slice| slice.bytes().len()).sum();
    let (received, both) = (RECV_CEILING + CANVAS, SEND_CEILING + RECV_CEILING + CANVAS);
    for (program, args, ceiling) in [(RECV, "", received), (RECV, "--output -", received), (CALL, "--test -s 320x240", both)] {
        let port = free_port();
        let mut victim = Program::spawn(program, &format!("--no-window --no-audio -p {port} {args}"), Stdio::null(), Out::Raw);
        victim.said("waiting on port");
        let mut written = victim.stdout();
        std::thread::spawn(move || std::io::copy(&mut written, &mut std::io::sink()));
        let watcher = (program == CALL).then(|| {
            let mut watcher = recv(&format!("--host 127.0.0.1:{port} --stats json"));
            has_received(&mut watcher, 11);
            watcher
        });
        let mut sender = ByHand::greet(port, [127, 0, 0, 1], (Media::LIVE, Media::NONE));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let pause = mpsc::channel::<()>();
        for picture in 0..6 {
            for slice in &slices {
                // Of every third slice the end is held back.
                send_slice(&mut sender, (&socket, port), picture, slice, usize::from(slice.index % 3 == 0));
                // Nothing is waited for but the time.
                let _ = pause.1.recv_timeout(Duration::from_millis(2));
            }
        }
        let peak = victim.peak();
        println!("{program} {args}: {} MiB of {} MiB a picture", peak >> 20, bytes >> 20);
        assert!(peak < ceiling, "{peak} bytes");
        assert_eq!(victim.stop(Signal::SIGTERM), 0);
        drop(watcher);
    }
}

/// Processor time a program has taken, all of its threads together.
fn spent(program: &Program) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
    // Behind the name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // The kernel tells it in hundredths of a second.
    Duration::from_millis(ticks * 10)
}

/// What this thread takes to decode a picture.
fn cost(slices: &[Slice]) -> Duration {
    let (mut decoder, width) = (Decoder::new().unwrap(), ENORMOUS.width as usize);
    let mut pixels = vec![0; width * ENORMOUS.height as usize];
    let time = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let begun = time();
    for slice in slices {
        let top = usize::from(slice.head().top);
        decoder.decode_rgb(slice, RgbMut::whole(&mut pixels[top * width..], width)).unwrap();
    }
    time() - begun
}

/// A sender of enormous pictures that are cheap to send, so that many wait to be decoded when the program is told to stop. It is
/// told by processor time, which a busy machine does not change: a second at most, or on a slow machine what two pictures take.
#[test]
fn who_is_told_to_stop_under_enormous_pictures_decodes_none_of_those_that_wait() {
    let slices = enormous(vec![128; Sampling::Grey.bytes(ENORMOUS)]);
    let cost = cost(&slices);
    for args in ["", "--output -"] {
        let port = free_port();
        let mut victim = Program::spawn(RECV, &format!("--no-window --no-audio -p {port} {args}"), Stdio::null(), Out::Raw);
        victim.said("waiting on port");
        let mut written = victim.stdout();
        std::thread::spawn(move || std::io::copy(&mut written, &mut std::io::sink()));
        let mut sender = ByHand::greet(port, [127, 0, 0, 1], (Media::LIVE, Media::NONE));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let pause = mpsc::channel::<()>();
        for picture in 0..24 {
            for slice in &slices {
                send_slice(&mut sender, (&socket, port), picture, slice, 0);
                // Nothing is waited for but the time.
                let _ = pause.1.recv_timeout(Duration::from_millis(1));
            }
        }
        let before = spent(&victim);
        let signalled = Instant::now();
        victim.signal(Signal::SIGTERM);
        // It has ended and is still known.
        let ended = waitid(Id::Pid(Pid::from_raw(victim.id() as i32)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        assert!(matches!(ended, Ok(WaitStatus::Exited(_, 0))), "{ended:?}");
        let after = spent(&victim) - before;
        println!(
            "{args}: {after:?} in {:?} after the signal, {before:?} before it; a picture costs {cost:?}",
            signalled.elapsed()
        );
        assert!(after < (cost * 2).max(Duration::from_secs(1)), "{after:?} after the signal; a picture costs {cost:?}");
        assert_eq!(victim.ended(), 0);
    }
}
