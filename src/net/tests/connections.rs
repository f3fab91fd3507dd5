//! TCP connections, from their first byte to their end.

use std::io::{Read, Write};

use super::*;
use crate::net::tcp::MOST_CONNECTIONS;

#[test]
fn a_slow_reader_makes_the_connection_unwritable_and_everything_arrives_in_the_end() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, id) = connect(&net, V4);
    let all = bytes(16 << 20); // more than both kernels hold
    net.tell(Do::Write { id, bytes: all.clone() });
    assert_eq!(net.hear(), Heard::Writable(id, false));
    net.hear_timeout(Instant::now()); // the thread is not held up by it
    let mut arrived = vec![0; all.len()];
    socket.read_exact(&mut arrived).expect("all of it");
    assert!(arrived == all, "the bytes are others");
    assert_eq!(net.hear(), Heard::Writable(id, true));
}

#[test]
fn last_words_before_a_close_arrive_although_the_other_side_goes_on_talking() {
    let net = Net::start(V4, true, &[]);
    let (mut socket, id) = connect(&net, V4);
    socket.write_all(b"GET / HTTP/1.1\r\n").expect("written");
    assert_eq!(net.hear_bytes(id, 16).len(), 16);
    net.tell(Do::Write { id, bytes: b"busy".to_vec() });
    net.tell(Do::Close(id));
    assert_eq!(net.hear(), Heard::Closed(id));
    socket.write_all(&bytes(100_000)).expect("still taken");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("no reset");
    assert_eq!(answer, b"busy");
}

#[test]
fn urgent_bytes_are_bytes_and_do_not_keep_the_thread_awake() {
    let net = Net::start(V4, true, &[]);
    let (socket, id) = connect(&net, V4);
    socket2::SockRef::from(&socket).send_out_of_band(b"!").expect("sent");
    assert_eq!(net.hear(), Heard::Bytes(id, b"!".to_vec()));
    let before = net.traffic().wakeups;
    net.hear_timeout(Instant::now() + Duration::from_millis(50));
    assert!(net.traffic().wakeups <= before + 4, "{} wake-ups in 50 ms", net.traffic().wakeups - before);
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once_and_make_room_when_others_end() {
    let net = Net::start(V4, true, &[]);
    let mut open: Vec<(TcpStream, SocketId)> = (0..MOST_CONNECTIONS).map(|_| connect(&net, V4)).collect();
    let mut beyond = TcpStream::connect((V4, net.port())).expect("the backlog takes it");
    beyond.set_read_timeout(Some(LIMIT)).expect("a limit");
    assert_eq!(beyond.read(&mut [0; 1]).expect("closed, not silent"), 0);
    assert_eq!(net.traffic().turned_away, 1);
    let (socket, id) = open.pop().expect("as many as there may be");
    drop(socket);
    assert_eq!(net.hear(), Heard::Closed(id));
    let (_socket, another) = connect(&net, V4);
    assert!(open.iter().all(|(_, id)| *id != another), "a connection's name is never used twice");
    assert_ne!(another, id);
}
