//! `--metrics`: the real programs, read as Prometheus reads them.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;

use nix::sys::signal::Signal;
use program::{CALL, Program, SEND, free_port, recv, send};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What is answered at this port.
fn ask(port: u16, words: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // Who has heard enough may not read all.
    let _ = stream.write_all(words.as_bytes());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The value of this sample.
fn sample(page: &str, name: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Reads the page until this sample is as wanted, and gives the page.
fn read_until(port: u16, name: &str, wanted: impl Fn(f64) -> bool) -> String {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask(port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let (head, page) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
        if sample(page, name).is_some_and(&wanted) {
            return page.to_string();
        }
        assert!(Instant::now() < until, "{name} never is as wanted:\n{page}");
    }
}

#[test]
fn what_the_programs_measure_is_read_over_http_without_a_line_on_stdout() {
    let [port, sends, receives] = [free_port(), free_port(), free_port()];
    let mut send = send(&format!("--test --name lab -s 320x240 -p {port} --metrics {sends}"));
    send.said(&format!("metrics: http://127.0.0.1:{sends}/metrics"));
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --name attic --metrics 127.0.0.1:{receives}"));
    recv.said(&format!("metrics: http://127.0.0.1:{receives}/metrics"));
    let page = read_until(receives, "eyeline_recv_shown_total", |shown| shown > 30.0);
    for name in [
        "eyeline_recv_latency_ms{stage=\"all\",quantile=\"0.5\"}",
        "eyeline_recv_track_whole_total{name=\"lab\",sender=\"0\",track=\"0\"}",
        "eyeline_recv_track_width{name=\"lab\",sender=\"0\",track=\"0\"}",
        "eyeline_recv_rejected_total{reason=\"forged\"}",
    ] {
        assert!(sample(&page, name).is_some(), "{name} is not in\n{page}");
    }
    let page = read_until(sends, "eyeline_send_pictures_total", |pictures| pictures > 30.0);
    assert!(page.contains("eyeline_send_peer_bytes_total{name=\"attic\",address=\"127.0.0.1:"), "{page}");
    assert!(page.contains("# TYPE eyeline_send_fps gauge\n") && page.contains("# TYPE eyeline_send_slices_total counter\n"));
    for (words, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", "405"),
        ("\x01\x02\x03\r\n\r\n", "400"),
        (&format!("GET /metrics HTTP/1.1\r\n{}", "X: y\r\n".repeat(2000)), "400"),
    ] {
        let answer = ask(sends, words);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    // Who says nothing is in nobody's way, also at the end.
    let _silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(("127.0.0.1", sends)).unwrap()).collect();
    assert_eq!((recv.stop(Signal::SIGINT), send.stop(Signal::SIGINT)), (0, 0));
    assert_eq!((recv.seconds_unread(), send.seconds_unread()), (0, 0));
}

#[test]
fn a_port_that_is_taken_ends_the_program_before_it_opens_anything_else() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for program in [SEND, CALL] {
        let args = format!("--test --no-audio -p {} --metrics {port}", free_port());
        let args = if program == CALL { format!("{args} --no-window") } else { args };
        let mut program = Program::start(program, &args);
        let line = program.said("of --metrics is taken by");
        assert!(line.contains(&format!("error: TCP port {port} ")) && line.contains("choose another"), "{line}");
        assert_eq!(program.ended(), 1);
    }
}
