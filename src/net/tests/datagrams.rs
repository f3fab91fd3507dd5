//! Datagrams out and in.

use std::io::Write;
use std::net::UdpSocket;

use super::*;

fn a_run_arrives(one: &Net, other: &Net, ip: IpAddr) {
    let run = bytes(100 * 1200 - 500);
    one.tell(Do::Send { to: SocketAddr::new(ip, other.port()), segment: 1200, bytes: run.clone() });
    for (at, (from, datagram)) in other.hear_datagrams(100).into_iter().enumerate() {
        assert_eq!(from, SocketAddr::new(ip, one.port()), "datagram {at}");
        assert_eq!(datagram, run[at * 1200..run.len().min((at + 1) * 1200)], "datagram {at}");
    }
}

#[test]
fn a_run_of_100_segments_arrives_equal_in_both_directions_over_v4_and_v6() {
    for (bind, ip) in [(V4, V4), (V6, V6), (ANY, V4), (ANY, V6)] {
        let (one, other) = (Net::start(bind, true, &[]), Net::start(bind, false, &[]));
        a_run_arrives(&one, &other, ip);
        a_run_arrives(&other, &one, ip);
        let (sent, received) = (one.traffic(), other.traffic());
        assert_eq!((sent.datagrams_out, sent.bytes_out), (100, 100 * 1200 - 500));
        assert_eq!((received.datagrams_in, received.bytes_in), (100, 100 * 1200 - 500));
        assert!(received.receive_buffer > 0);
    }
}

#[test]
fn a_picture_of_500_datagrams_in_one_run_arrives_and_the_sender_still_receives() {
    let (one, other) = (Net::start(V4, false, &[]), Net::start(V4, false, &[]));
    let run = bytes(500 * 300);
    one.tell(Do::Send { to: SocketAddr::new(V4, other.port()), segment: 300, bytes: run.clone() });
    other.tell(Do::Send { to: SocketAddr::new(V4, one.port()), segment: 300, bytes: b"back".to_vec() });
    let arrived: Vec<u8> = other.hear_datagrams(500).into_iter().flat_map(|(_, bytes)| bytes).collect();
    assert_eq!(arrived, run);
    assert_eq!(one.hear_datagrams(1)[0].1, b"back");
}

#[test]
fn datagrams_that_cannot_be_sent_are_counted_and_the_next_one_goes() {
    let (one, other) = (Net::start(V4, false, &[]), Net::start(V4, false, &[]));
    let to = SocketAddr::new(V4, other.port());
    one.tell(Do::Send { to, segment: 65_508, bytes: bytes(65_508) }); // longer than any datagram
    assert_eq!(one.hear(), Heard::TooLong(to, 65_508), "the core is told");
    one.tell(Do::Send { to: "[::1]:9".parse().expect("an address"), segment: 9, bytes: bytes(9) }); // not with this socket
    one.tell(Do::Send { to: SocketAddr::new(V4, 0), segment: 10, bytes: bytes(100) }); // no such port
    let nobody = UdpSocket::bind((V4, 0)).and_then(|socket| socket.local_addr()).expect("a port nobody has any more");
    one.tell(Do::Send { to: nobody, segment: 9, bytes: bytes(9) }); // answered by ICMP
    one.tell(Do::Send { to, segment: 1000, bytes: bytes(64_000) });
    assert_eq!(other.hear_datagrams(64).len(), 64);
    one.hear_timeout(Instant::now()); // counted is a moment after sent
    let traffic = one.traffic();
    assert_eq!((traffic.too_long, traffic.send_errors, traffic.datagrams_out), (1, 1 + 10, 1 + 64));
}

#[test]
fn empty_datagrams_do_no_harm() {
    let net = Net::start(V4, false, &[]);
    let socket = UdpSocket::bind((V4, 0)).expect("loopback");
    for datagram in [&b""[..], b"", b"x"] {
        socket.send_to(datagram, (V4, net.port())).expect("sent");
    }
    assert_eq!(net.hear_datagrams(1)[0].1, b"x");
}

#[test]
fn much_on_one_stream_does_not_keep_datagrams_waiting() {
    let (say, heard) = mpsc::channel();
    let (open_gate, gate) = mpsc::channel::<()>();
    let mut gate = Some(gate);
    let handle = spawn(Toy::default(), config(V4, 0, true), move |event| {
        let first_bytes = matches!(event, Heard::Bytes(..));
        say.send(event).unwrap_or_default();
        if first_bytes && let Some(gate) = gate.take() {
            gate.recv_timeout(LIMIT).unwrap_or_default(); // holds the net thread while the test piles work up
        }
    });
    let net = Net { handle: handle.expect("loopback is there"), heard };
    let (mut socket, id) = connect(&net, V4);
    socket.write_all(b"x").expect("written");
    assert_eq!(net.hear(), Heard::Bytes(id, b"x".to_vec()));
    let (filled, full) = mpsc::channel();
    let writer = std::thread::spawn(move || {
        socket.write_all(&bytes(256 << 10)).expect("more than three reads of them fit into the kernel");
        filled.send(()).expect("the test waits for it");
        socket.write_all(&bytes(4 << 20))
    });
    full.recv_timeout(LIMIT).expect("filled");
    UdpSocket::bind((V4, 0)).and_then(|udp| udp.send_to(b"ping", (V4, net.port()))).expect("sent");
    open_gate.send(()).expect("it waits");
    let mut chunks = 0;
    loop {
        match net.hear() {
            Heard::Bytes(_, bytes) => assert!(bytes.len() <= 64 << 10, "{} bytes at once", bytes.len()),
            Heard::Datagram(..) => break,
            other => panic!("{other:?}"),
        }
        chunks += 1;
    }
    assert!(chunks <= 1, "{chunks} reads of the connection came before the datagram");
    net.hear_bytes(id, 1);
    drop(net);
    let _ = writer.join().expect("ended"); // cut off by our end, or not
}
