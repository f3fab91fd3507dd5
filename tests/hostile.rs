//! Strangers at the port while a stream runs, with the real binaries: garbage, half-open and slow connections, forged addresses. It is
//! counted, nothing grows, and no picture is lost.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/by_hand.rs"]
mod by_hand;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/program.rs"]
mod program;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use by_hand::ByHand;
use eyeline::codec::encoder::{EncodedSlice, Pool};
use eyeline::codec::settings::Settings;
use eyeline_proto::picture::{Body, Picture, Sampling, Size};
use eyeline_proto::session::link::MUTE;
use eyeline_proto::session::places::{MAX_OF_ADDRESS, MAX_PEERS};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::{FragmentHead, Message};
use eyeline_proto::wire::record::{Media, OWN_TRACK};
use gate::{Gate, Way};
use nix::sys::signal::Signal;
use program::{Out, Program, free_port, recv, send};
use serde_json::Value;

const TEST: &str = "--test -s 640x480 -r 30 --stats json";
const DATAGRAMS: usize = 20_000;
const CONNECTIONS: usize = 1000;
/// What may come and go with buffers that are filled for the first time.
const GROWTH: u64 = 2 << 20;

/// xorshift64: garbage that is the same each time.
struct Garbage(u64);

impl Garbage {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.next() as usize % most + 1;
        (0..len).map(|_| self.next() as u8).collect()
    }
}

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

/// Datagrams of every length: noise, and noise behind a header that looks like ours. In small runs, so that the kernel's buffer, which is
/// shared with the stream, is not what is tried here.
fn flood(port: u16, garbage: &mut Garbage) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let pause = mpsc::channel::<()>();
    for n in 0..DATAGRAMS {
        let mut bytes = garbage.bytes(1400);
        if n % 3 == 0 && bytes.len() > 8 {
            bytes[4..8].copy_from_slice(&(n as u32).to_be_bytes());
        }
        socket.send_to(&bytes, ("127.0.0.1", port)).unwrap();
        if n % 20 == 19 {
            // Nothing is waited for but the time.
            let _ = pause.1.recv_timeout(Duration::from_millis(2));
        }
    }
}

/// Connections of six kinds; those that stay open stay so until the end.
fn knock(port: u16, garbage: &mut Garbage) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for n in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut opening = b"EYEL\x01\0\0\x20".to_vec();
        opening[5] = n as u8 & 1; // either role: one of them is refused
        match n % 6 {
            0 => drop(stream.write_all(&garbage.bytes(4000))),
            // Half open: not a word.
            1 => {}
            // Slow: the magic, and then nothing.
            2 => stream.write_all(&opening[..(n / 6) % 8]).unwrap(),
            // A right opening, then noise for a handshake and for records.
            3 => {
                stream.write_all(&opening).unwrap();
                // It may be closed on us in the middle.
                let _ = stream.write_all(&garbage.bytes(4000));
            }
            // A length that would be too much.
            4 => stream.write_all(b"EYEL\x01\0\xff\xff").unwrap(),
            // Closed again at once.
            _ => drop(stream.shutdown(Shutdown::Both)),
        }
        open.push(stream);
    }
    open
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

/// Streams, lets strangers at `port`, and looks at the side they knock at.
fn is_unmoved(mut victim: Program, mut receiver: Option<Program>, port: u16, garbage: &mut Garbage) {
    {
        let receiver = receiver.as_mut().unwrap_or(&mut victim);
        receiver.stats_with(|stats| number(stats, "whole") >= 60);
    }
    // The first thousand fill what is filled once: tables, buffers, the allocator's places.
    drop(knock(port, garbage));
    flood(port, garbage);
    victim.forget_stats();
    let before = (rejected(&victim.stats()), resident(&victim));
    let open = knock(port, garbage);
    flood(port, garbage);
    let wanted = (before.0.0 + DATAGRAMS as u64 - 100, before.0.1 + CONNECTIONS as u64 * 9 / 10);
    drop(open);
    let after = victim.stats_with(|stats| rejected(stats).0 >= wanted.0 && rejected(stats).1 >= wanted.1);
    let memory = (before.1, resident(&victim));
    println!("{port}: rejected {:?} -> {:?}, resident {memory:?}", before.0, rejected(&after));
    assert!(memory.1 <= memory.0 + GROWTH, "from {} to {} bytes", memory.0, memory.1);
    let receiver = receiver.as_mut().unwrap_or(&mut victim);
    receiver.forget_stats();
    let stats = receiver.stats();
    println!("{stats}");
    assert_eq!((number(&stats, "lost"), number(&stats, "partial")), (0, 0), "{stats}");
    let shown = number(&stats, "whole");
    receiver.stats_with(|stats| number(stats, "whole") > shown + 15);
    assert!(victim.heard().matches("was turned away").count() <= 30, "{}", victim.heard());
    assert_eq!(victim.stop(Signal::SIGTERM), 0);
}

#[test]
fn garbage_at_a_waiting_sender_is_counted_and_costs_nothing() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    is_unmoved(send, Some(recv), port, &mut Garbage(0x9e37_79b9_7f4a_7c15));
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
    let before = (rejected(&recv.stats()).0, resident(&recv));
    flood(port, &mut garbage);
    let after = recv.stats_with(|stats| rejected(stats).0 >= before.0 + DATAGRAMS as u64 - 100);
    let memory = (before.1, resident(&recv));
    println!("{port}: rejected {} -> {}, resident {memory:?}", before.0, rejected(&after).0);
    assert!(memory.1 <= memory.0 + GROWTH, "from {} to {} bytes", memory.0, memory.1);
    assert_eq!((number(&after, "lost"), number(&after, "partial")), (0, 0), "{after}");
    recv.stats_with(|stats| number(stats, "whole") > number(&after, "whole") + 15);
}

#[test]
fn garbage_at_a_waiting_receiver_is_counted_and_costs_nothing() {
    let port = free_port();
    let mut recv = recv(&format!("-p {port} --stats json"));
    recv.said("waiting on port");
    let _send = send(&format!("{TEST} --host 127.0.0.1:{port}"));
    is_unmoved(recv, None, port, &mut Garbage(0x2545_f491_4f6c_dd1d));
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

/// A peer for each place, from four addresses.
fn everywhere(port: u16) -> impl Iterator<Item = ByHand> {
    (0..MAX_PEERS).map(move |n| ByHand::greet(port, [127, 0, 1, (n / MAX_OF_ADDRESS) as u8], (Media::NONE, Media::LIVE)))
}

/// As many hellos as there are places for peers, from four addresses, and not a word more.
#[test]
fn idle_peers_on_every_place_keep_nobody_out() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let idle: Vec<ByHand> = everywhere(port).collect();
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    recv.stats_with(|stats| number(stats, "whole") > 10);
    for mut peer in idle {
        let end = std::iter::repeat_with(|| peer.stream.read(&mut [0; 4096])).find(|read| !matches!(read, Ok(1..)));
        // A reset is an end as well.
        let waits = matches!(end, Some(Err(error)) if error.kind() == ErrorKind::WouldBlock);
        assert!(!waits, "it keeps its place for longer than {MUTE:?}");
    }
    recv.forget_stats();
    let shown = number(&recv.stats(), "whole");
    recv.stats_with(|stats| number(stats, "whole") > shown + 15);
}

/// An authentic datagram, held back on its way and sent from an address of the attacker's choice: all it gets is challenges, which
/// it cannot answer, and the video stays where it was.
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

/// The same of `recv`, and the canvas of the largest picture.
const RECV_CEILING: u64 = (800 + 256) << 20;

/// The most memory the process ever held, in bytes.
fn peak(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

/// On every place a peer that holds back the end of its longest record, and before them strangers that hold back their openings.
#[test]
fn peers_on_every_place_that_say_half_of_all_they_may_cost_no_more_than_is_stated() {
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    recv.stats_with(|stats| number(stats, "whole") > 10);
    let socket = UdpSocket::bind("127.0.1.0:0").unwrap();
    let mut peers: Vec<ByHand> = everywhere(port).take(MAX_PEERS - 1).collect();
    for peer in &mut peers {
        peer.send(&socket, port, &Message::Challenge([1; 8]));
        // It may be closed on us in the middle.
        let _ = peer.stream.write_all(&[&[0xff, 0xff][..], &[0; 60_000]].concat());
    }
    let mut garbage = Garbage(0xbb67_ae85_84ca_a73b);
    let strangers = knock(port, &mut garbage);
    flood(port, &mut garbage);
    recv.forget_stats();
    let shown = number(&recv.stats(), "whole");
    recv.stats_with(|stats| number(stats, "whole") > shown + 15);
    let peak = peak(&send);
    println!("send: {} MiB", peak >> 20);
    assert!(peak < SEND_CEILING, "{peak} bytes");
    drop((peers, strangers));
}

/// The slices of one picture as large as pictures may be, and as heavy as noise makes it.
fn enormous() -> Vec<EncodedSlice> {
    let size = Size { width: 8192, height: 8192 };
    let mut garbage = Garbage(0x3c6e_f372_fe94_f82b);
    let mut noise = vec![0; Sampling::Grey.bytes(size)];
    noise.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&garbage.next().to_be_bytes()));
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let pool = Pool::new(2, move |slice| tell.lock().unwrap().send(slice).unwrap()).unwrap();
    let picture = Picture::new(Instant::now(), size, Body::Planes(Sampling::Grey, noise.into()));
    let settings = Settings { quality: 80, position: None };
    pool.encode(0, picture, MediaTime::ZERO, settings).unwrap();
    drop(pool);
    told.iter().collect()
}

/// A sender of pictures as large as can be, faster than anybody decodes them, some whole and some without their end, to a receiver
/// that decodes and one that writes them.
#[test]
fn a_sender_of_enormous_pictures_costs_no_more_than_is_stated() {
    const PAYLOAD: usize = 1100;
    let slices = enormous();
    let bytes: usize = slices.iter().map(|slice| slice.body.len()).sum();
    for output in ["", "--output -"] {
        let port = free_port();
        let args = format!("--no-window --no-audio -p {port} {output}");
        let mut recv = Program::spawn(program::RECV, &args, Stdio::null(), Out::Raw);
        recv.said("waiting on port");
        let mut written = recv.stdout();
        std::thread::spawn(move || std::io::copy(&mut written, &mut std::io::sink()));
        let mut sender = ByHand::greet(port, [127, 0, 0, 1], (Media::LIVE, Media::NONE));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let pause = mpsc::channel::<()>();
        for picture in 0..6 {
            for slice in &slices {
                let last = slice.body.len().div_ceil(PAYLOAD) - 1;
                // Of every third slice the end is held back.
                let sent = slice.body.chunks(PAYLOAD).enumerate().filter(|(index, _)| slice.index % 3 > 0 || *index < last);
                for (index, payload) in sent {
                    let (last_slice, index, last_index) = (slice.count - 1, index as u16, last as u16);
                    let head = FragmentHead { picture, slice: slice.index, last_slice, index, last_index };
                    sender.send(&socket, port, &Message::Fragment(OWN_TRACK, head, payload));
                }
                // Nothing is waited for but the time.
                let _ = pause.1.recv_timeout(Duration::from_millis(2));
            }
        }
        let peak = peak(&recv);
        println!("recv {output}: {} MiB of {} MiB a picture", peak >> 20, bytes >> 20);
        assert!(peak < RECV_CEILING, "{peak} bytes");
        assert_eq!(recv.stop(Signal::SIGTERM), 0);
    }
}
