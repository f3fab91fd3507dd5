//! JPEGs on stdin, as a camera makes them, through the real programs: whole, what changed of them, or encoded anew, and the line
//! that says so.
//!
//! No device, no window, no other program. What the children say is waited for with a deadline; nothing is slept through.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;
#[path = "../benches/support/scenes.rs"]
#[allow(dead_code, reason = "others make use of more of it")]
mod scenes;

use eyeline::codec::encoder::{Coded, EncoderThreads};
use eyeline::codec::settings::Settings;
use eyeline::codec::stitch;
use eyeline_proto::media::slice::Slice;
use eyeline_proto::picture::{Body, Picture, Sampling, Size};
use eyeline_proto::time::MediaTime;
use nix::sys::signal::Signal;
use program::{Out, Program, SEND, free_port, recv};
use scenes::{Moment, Noise, Room};
use serde_json::Value;
use std::f32::consts::TAU;
use std::io::Write;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const SIZE: Size = Size { width: 640, height: 360 };

/// A head that goes to and fro in a room, once a second.
fn webcam() -> Vec<Vec<u8>> {
    webcam_in(3)
}

/// In the room of this number.
fn webcam_in(room: u64) -> Vec<Vec<u8>> {
    let room = Room::new(SIZE.width as usize, SIZE.height as usize, Some((2, 2)), room);
    let (sender, receiver) = channel();
    let pool = EncoderThreads::new(1, move |slice| sender.send(slice).unwrap()).unwrap();
    let settings = Settings { quality: 85, position: None };
    (0..25)
        .map(|number| {
            let head = Some((0.5 + 0.1 * (TAU * number as f32 / 25.0).sin(), 0.55));
            let noise = Noise { sigma: 1.5, smooth: false };
            let planes = room.picture(number, &Moment { head, noise, ..Moment::default() });
            let picture = Picture::new(Instant::now(), SIZE, Body::Planes(Sampling::Yuv420, planes.into()));
            pool.encode(number, picture, MediaTime::ZERO, settings, Coded::All).unwrap();
            let slices: Vec<Slice> = receiver.try_iter().collect();
            stitch::jpeg(&slices.iter().collect::<Vec<_>>()).unwrap()
        })
        .collect()
}

/// `send` with these JPEGs over and over, 25 a second, until it is told to stop.
fn send(jpegs: &[Vec<u8>], flags: &str, port: u16) -> Program {
    let mut send = Program::spawn(SEND, &format!("--file - -r 25 -p {port} {flags}"), Stdio::piped(), Out::Stats);
    let (mut stdin, jpegs) = (send.stdin(), jpegs.to_vec());
    thread::spawn(move || {
        let pace = channel::<()>();
        for jpeg in jpegs.iter().cycle() {
            if stdin.write_all(jpeg).is_err() {
                return;
            }
            // Nothing is waited for but the time.
            let _ = pace.1.recv_timeout(Duration::from_millis(40));
        }
    });
    send.said("waiting on port");
    send
}

fn number(stats: &Value, field: &str) -> u64 {
    stats[field].as_u64().unwrap_or_else(|| panic!("no {field} in {stats}"))
}

/// What came of three seconds: pictures, those passed through, MCUs coded in pictures, and Mbit/s.
fn three_seconds(send: &mut Program) -> (u64, u64, f64, f64) {
    let (before, begun) = (send.stats(), Instant::now());
    let after = (0..3).map(|_| send.stats()).last().unwrap();
    let grown = |field| number(&after, field) - number(&before, field);
    let coded = after["coded"].as_f64().unwrap() - before["coded"].as_f64().unwrap();
    (grown("pictures"), grown("passed_through"), coded, grown("bytes") as f64 * 8e-6 / begun.elapsed().as_secs_f64())
}

#[test]
fn jpegs_go_whole_where_there_is_room_and_else_what_changed_of_them_as_it_was_made() {
    let jpegs = webcam();
    let mbit = jpegs.iter().map(Vec::len).sum::<usize>() as f64 * 8e-6;
    for (flags, line) in [
        (String::new(), "JPEGs go as they were made: the path has room for them"),
        (format!("-b {}k", (300.0 * mbit) as u32), "of JPEGs what changes goes as it was made: --bitrate allows no more"),
        ("--passthrough off".into(), "JPEGs are encoded anew: --passthrough off"),
    ] {
        let port = free_port();
        let mut send = send(&jpegs, &format!("{flags} --stats json"), port);
        let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
        send.said(line);
        recv.stats_with(|stats| number(stats, "whole") >= 15);
        send.forget_stats();
        let (pictures, passed, coded, sent) = three_seconds(&mut send);
        println!("{flags}: {pictures} pictures, {passed} passed through, {coded} coded, {sent:.2} of {mbit:.2} Mbit/s");
        assert!(pictures >= 30, "{flags}: {pictures}");
        let share = coded / pictures as f64;
        match &flags[..] {
            "" => assert!(passed == pictures && (0.99..1.01).contains(&share)),
            "--passthrough off" => assert!(passed == 0 && share < 0.5),
            _ => assert!(passed == 0 && share < 0.35 && sent < 0.3 * mbit),
        }
        assert_eq!(recv.stop(Signal::SIGINT), 0);
        assert_eq!(send.stop(Signal::SIGINT), 0);
    }
}

/// As where a camera's settings are changed while it runs.
#[test]
fn jpegs_that_are_of_another_kind_from_one_to_the_next_are_called_what_they_are_and_counted() {
    let jpegs = webcam();
    let progressive = |jpeg: &Vec<u8>| {
        let (frame, mut other) = (jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap(), jpeg.clone());
        other[frame + 1] = 0xC2;
        other
    };
    let mut send = Program::spawn(SEND, &format!("--file - -p {} --stats json", free_port()), Stdio::piped(), Out::Stats);
    let mut stdin = send.stdin();
    stdin.write_all(&jpegs[..5].concat()).unwrap();
    stdin.write_all(&jpegs[5..].iter().map(progressive).collect::<Vec<_>>().concat()).unwrap();
    send.said("a JPEG on stdin is left out, for it is progressive; baseline ones of at most 8192x8192 are taken");
    drop(stdin);
    send.said("20 JPEGs on stdin were left out so far; the last one is progressive");
    assert_eq!(send.ended(), 0);
    assert!(!send.heard().contains("belong"), "{}", send.heard());
    assert_eq!(number(&send.stats_with(|stats| stats["total"] == true), "damaged"), 20);
}

#[test]
fn of_jpegs_that_are_left_out_for_want_of_room_it_is_said_how_many_and_what_helps() {
    let (jpegs, port) = (webcam(), free_port());
    // From one room to another and back: all of each picture is new.
    let cuts: Vec<Vec<u8>> = jpegs.iter().zip(webcam_in(4)).flat_map(|(one, other)| [one.clone(), other]).collect();
    let mbit = jpegs.iter().map(Vec::len).sum::<usize>() as f64 * 8e-6;
    let mut send = send(&cuts, &format!("--passthrough on -b {}k --stats json", (300.0 * mbit) as u32), port);
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    let line = send.said(" were left out: ");
    assert!(line.contains("--bitrate allows no more, and --passthrough on never encodes them anew"), "{line}");
    assert!(number(&send.stats(), "left_out") > 0);
    assert_eq!(recv.stop(Signal::SIGINT), 0);
    assert_eq!(send.stop(Signal::SIGINT), 0);
}
