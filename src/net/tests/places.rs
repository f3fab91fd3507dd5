//! Ports, addresses and names: waiting and dialling.

use std::net::{TcpListener, UdpSocket};

use super::super::{Error, Protocol};
use super::*;

#[test]
fn a_dialled_connection_carries_bytes_both_ways_over_v4_and_v6_and_by_name() {
    for (bind, host) in [(V4, "127.0.0.1"), (V6, "[::1]"), (ANY, "127.0.0.1"), (ANY, "::1"), (ANY, "localhost")] {
        let listener = Net::start(bind, true, &[]);
        let dialler = Net::start(ANY, false, &[(host, listener.port())]);
        dialler.tell(Do::Dial(0));
        let (ours, to) = dialler.hear_dialled().expect("it listens");
        let (theirs, from) = listener.hear_accepted();
        assert_eq!(to.port(), listener.port());
        assert_eq!(from.ip(), to.ip(), "one peer, one address");
        dialler.tell(Do::Write { id: ours, bytes: b"there".to_vec() });
        assert_eq!(listener.hear(), Heard::Bytes(theirs, b"there".to_vec()));
        listener.tell(Do::Write { id: theirs, bytes: b"back".to_vec() });
        assert_eq!(dialler.hear(), Heard::Bytes(ours, b"back".to_vec()));
        dialler.tell(Do::Close(ours));
        assert_eq!(dialler.hear(), Heard::Closed(ours));
        assert_eq!(listener.hear(), Heard::Closed(theirs));
    }
}

#[test]
fn dialling_where_nobody_waits_says_so() {
    let nobody = TcpListener::bind((V4, 0)).and_then(|socket| socket.local_addr()).expect("a port nobody has any more");
    let net = Net::start(ANY, false, &[("127.0.0.1", nobody.port())]);
    net.tell(Do::Dial(0));
    assert_eq!(net.hear_dialled(), Err(DialError::Refused { host: nobody.to_string(), port: nobody.port() }));
}

#[test]
fn dialling_an_unknown_host_says_so_and_does_not_hold_anything_up() {
    let net = Net::start(ANY, false, &[("no-such-host.invalid", 9688)]);
    net.tell(Do::Dial(0));
    net.tell(Do::Dial(0)); // still being looked up: one answer for both
    let error = net.hear_dialled().expect_err("there is no such host");
    assert!(matches!(&error, DialError::UnknownName { name, .. } if name == "no-such-host.invalid"), "{error:?}");
    net.hear_timeout(Instant::now()); // and nothing before it: one answer only
}

#[test]
fn a_host_is_dialled_again_after_a_failure() {
    let listener = TcpListener::bind((V4, 0)).expect("loopback");
    let at = listener.local_addr().expect("bound");
    drop(listener);
    let net = Net::start(V4, false, &[("127.0.0.1", at.port())]);
    net.tell(Do::Dial(0));
    net.hear_dialled().expect_err("nobody is there yet");
    let _listener = TcpListener::bind(at).expect("it was free a moment ago");
    net.tell(Do::Dial(0));
    assert_eq!(net.hear_dialled().expect("somebody is there now").1, at);
}

#[test]
fn a_taken_port_is_named_with_its_protocol_and_holder() {
    let first = Net::start(ANY, true, &[]);
    let config = config(ANY, first.port(), true);
    let taken = spawn(Toy::default(), config.clone(), |_| {}).map(|_| ()).expect_err("taken");
    assert!(matches!(taken, Error::PortTaken { protocol: Protocol::Tcp, .. }), "{taken:?}");
    let comm = std::fs::read_to_string("/proc/self/comm").expect("this is Linux");
    let (port, name, pid) = (first.port(), comm.trim_end(), std::process::id());
    assert_eq!(
        taken.to_string(),
        format!("TCP port {port} is taken by `{name}` (process {pid}): stop that program, or choose another port with --port")
    );
    drop(first);
    let _udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("free again");
    let taken = spawn(Toy::default(), config, |_| {}).map(|_| ()).expect_err("taken");
    assert!(taken.to_string().starts_with(&format!("UDP port {port} is taken by `{name}` (process {pid})")), "{taken}");
}

#[test]
fn a_dialling_side_runs_beside_a_waiting_one_with_the_same_port_asked_for() {
    let first = Net::start(ANY, true, &[]);
    let second = spawn(Toy::default(), config(ANY, first.port(), false), |_| {}).expect("takes another port");
    assert_ne!(second.local_addr().port(), first.port());
}

#[test]
fn an_address_of_another_machine_is_refused_with_advice() {
    let bind = "192.0.2.1".parse().expect("an address");
    let refused = spawn(Toy::default(), config(bind, 0, true), |_| {}).map(|_| ());
    let sentence = refused.expect_err("not ours").to_string();
    assert!(sentence.contains("does not have the address 192.0.2.1") && sentence.contains("--bind"), "{sentence}");
}
