//! What others send us as RTP: the same pictures, the same samples, together; who is taken, and what becomes of the rest.
//!
//! Needs `ffmpeg` (with x264) and GStreamer. Each `recv` has ports of its own on this machine, and is given two seconds as they come.

#![allow(clippy::disallowed_methods, reason = "plays in real time")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/garbage.rs"]
mod garbage;
#[path = "support/program.rs"]
mod program;
#[path = "support/rtp.rs"]
mod rtp;

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use folder::Folder;
use garbage::Garbage;
use nix::sys::signal::Signal;
use program::{Program, free_port, recv, send};
use rtp::{BLOCKS_A_PICTURE, Form, HERE, OURS, PATIENCE, PICTURES, SIZE, block, pictures, play, ports};

/// A program that sends, gone with its test.
struct Sender(Child);

impl Sender {
    fn start(program: &str, line: &str) -> Sender {
        let mut command = Command::new(program);
        command.args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Sender(command.spawn().expect("ffmpeg and GStreamer are needed: scripts/install rig"))
    }

    fn ffmpeg(line: &str) -> Sender {
        Sender::start("ffmpeg", &format!("-nostdin -v error {line}"))
    }

    /// Until it has sent all.
    fn ends(mut self) {
        let began = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "it goes on");
            std::thread::yield_now();
        }
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `recv` that takes it in there.
fn takes_in(from: &str, more: &str) -> Program {
    recv(&format!("-p {} --rtp-in {from} {more}", free_port()))
}

/// It has written its files.
fn ended(mut recv: Program) {
    assert_eq!(recv.stop(Signal::SIGINT), 0);
}

/// The pictures of a film, decoded, and as many numbers.
fn decoded(input: &[&str]) -> Vec<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(input).args([
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuvj420p",
        "-",
    ]);
    let out = command.output().expect("ffmpeg is needed: scripts/install rig").stdout;
    out.chunks(SIZE.width as usize * SIZE.height as usize * 3 / 2).map(<[u8]>::to_vec).collect()
}

/// JPEGs in a folder, and what they look like.
fn jpegs_in(folder: &Folder, jpegs: &[Vec<u8>]) -> (PathBuf, Vec<Vec<u8>>) {
    for (number, jpeg) in jpegs.iter().enumerate() {
        fs::write(folder.0.join(format!("{number:03}.jpg")), jpeg).unwrap();
    }
    let all = folder.0.join("%03d.jpg");
    let looks = decoded(&["-i", all.to_str().unwrap()]);
    (all, looks)
}

/// What came is what was sent, one after the other; some may be lost where this machine is busy.
fn assert_in_order<T: PartialEq>(came: &[T], sent: &[T], what: &str) {
    let place = |one| sent.iter().position(|other| other == one).unwrap_or_else(|| panic!("{what}: this was not sent"));
    let places: Vec<usize> = came.iter().map(place).collect();
    println!("{what}: {} of {} came", places.len(), sent.len());
    assert!(places.is_sorted_by(|a, b| a < b) && 2 * places.len() > sent.len(), "{what}: {places:?}");
}

fn all_blocks() -> Vec<Vec<i16>> {
    (0..PICTURES * BLOCKS_A_PICTURE).map(block).collect()
}

/// What is in a recording: all pictures are those that were sent, and at least half of the blocks are there, in order and to the bit.
fn assert_recorded(file: &Path, sent: &[Vec<u8>]) {
    let file = file.to_str().unwrap();
    assert_in_order(&decoded(&["-i", file]), sent, "pictures");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i", file, "-map", "0:a", "-c:a", "copy", "-f", "s16le", "-"]);
    let bytes = command.output().unwrap().stdout;
    let samples: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let (mut at, mut found) = (0, 0);
    for block in all_blocks() {
        if let Some(place) = samples[at..].windows(block.len()).step_by(2).position(|window| window == block) {
            at += 2 * place + block.len();
            found += 1;
        }
    }
    println!("blocks: {found} of {} came", all_blocks().len());
    assert!(2 * found > all_blocks().len(), "{found}");
}

#[test]
fn what_ffmpeg_sends_comes_picture_by_picture_and_sample_by_sample() {
    let (folder, port) = (Folder::new("rtp-in-ffmpeg"), ports());
    // It takes restart markers for a part of the picture.
    let (jpegs, sent) = jpegs_in(&folder, &pictures(Form { restart: 0, ..OURS }));
    let sound: Vec<u8> = all_blocks().iter().flatten().flat_map(|sample| sample.to_le_bytes()).collect();
    fs::write(folder.0.join("sound.raw"), sound).unwrap();
    let came = folder.0.join("came.mkv");
    let mut recv = takes_in(&port.to_string(), &format!("--record {}", came.display()));
    recv.said("RTP is taken in at 127.0.0.1");
    let [pictures, raw] = [jpegs.display(), folder.0.join("sound.raw").display()].map(|path| path.to_string());
    Sender::ffmpeg(&format!(
        "-re -framerate 25 -i {pictures} -re -f s16le -ar 48000 -ac 2 -i {raw} -map 0:v -c:v copy -f rtp rtp://127.0.0.1:{port} \
         -map 1:a -c:a pcm_s16be -f rtp rtp://127.0.0.1:{}",
        port + 2
    ))
    .ends();
    recv.said(&format!("rtp {port} (["));
    recv.said(&format!("rtp {port} stopped sending"));
    ended(recv);
    assert_recorded(&came, &sent);
}

#[test]
fn what_gstreamer_sends_comes_too() {
    let (folder, port) = (Folder::new("rtp-in-gst"), ports());
    let came = folder.0.join("came.mjpeg");
    let mut recv = takes_in(&port.to_string(), &format!("--output {}", came.display()));
    recv.said("RTP is taken in at 127.0.0.1");
    let location = folder.0.join("%03d.jpg");
    Sender::start(
        "gst-launch-1.0",
        &format!(
            "-q videotestsrc is-live=true num-buffers=50 pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1,format=I420 ! \
             jpegenc ! tee name=t t. ! queue ! rtpjpegpay ! udpsink host=127.0.0.1 port={port} t. ! queue ! multifilesink location={} \
             audiotestsrc is-live=true num-buffers=100 ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! rtpL16pay ! \
             udpsink host=127.0.0.1 port={}",
            location.display(),
            port + 2
        ),
    )
    .ends();
    recv.said(&format!("rtp {port} stopped sending"));
    ended(recv);
    let sent = decoded(&["-i", location.to_str().unwrap()]);
    assert_in_order(&decoded(&["-i", came.to_str().unwrap()]), &sent, "pictures");
}

#[test]
fn what_we_send_comes_bit_for_bit_and_leaves_with_the_farewell() {
    let (folder, port, jpegs) = (Folder::new("rtp-in-ours"), ports(), pictures(OURS));
    let (_, sent) = jpegs_in(&folder, &jpegs);
    let came = folder.0.join("came.mkv");
    let mut recv = takes_in(&port.to_string(), &format!("--record {}", came.display()));
    recv.said("RTP is taken in at 127.0.0.1");
    play(port, &jpegs, Duration::ZERO);
    recv.said(&format!("rtp {port} stopped sending"));
    ended(recv);
    assert_recorded(&came, &sent);
}

/// With what the reports say of the world's clock; by arrival, they would begin together.
#[test]
fn sound_and_pictures_are_brought_together_by_when_they_were_caught() {
    let (folder, port) = (Folder::new("rtp-in-together"), ports());
    let file = folder.0.join("came.mkv");
    let mut recv = takes_in(&port.to_string(), &format!("--record {}", file.display()));
    recv.said("RTP is taken in at 127.0.0.1");
    // More would make the sound stale.
    let ahead = Duration::from_millis(140);
    play(port, &pictures(OURS), ahead);
    recv.said("stopped sending");
    ended(recv);
    let last = |stream: &str| -> f64 {
        let mut command = Command::new("ffprobe");
        command.args(["-v", "error", "-select_streams", stream, "-show_entries", "packet=pts_time", "-of", "csv=p=0"]).arg(&file);
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        text.lines().last().unwrap().trim_end_matches(',').parse().unwrap()
    };
    let apart = last("v") - last("a");
    println!("pictures are {apart:.3} s behind the sound they came with");
    assert!((apart - ahead.as_secs_f64()).abs() < 0.06, "{apart}");
}

#[test]
fn our_own_programs_go_through_rtp_and_one_that_is_killed_comes_back() {
    let (port, line) = (ports(), |port| format!("--test -s 320x240 -r 30 -p {} --rtp 127.0.0.1:{port}", free_port()));
    let mut recv = takes_in(&port.to_string(), "");
    recv.said("RTP is taken in at 127.0.0.1");
    let first = send(&line(port));
    recv.said("is sending");
    first.signal(Signal::SIGKILL);
    // Another number of another stream: it is taken once the first is silent.
    let mut second = send(&line(port));
    recv.said(&format!("rtp {port}: pictures from"));
    assert_eq!(second.stop(Signal::SIGINT), 0);
    recv.said("stopped sending");
    let _third = send(&line(port));
    recv.said("is sending");
}

#[test]
fn a_stranger_at_the_same_port_is_turned_away_and_garbage_harms_nobody() {
    let (folder, port, jpegs) = (Folder::new("rtp-in-stranger"), ports(), pictures(OURS));
    let (_, sent) = jpegs_in(&folder, &jpegs);
    let came = folder.0.join("came.mjpeg");
    let mut recv = takes_in(&port.to_string(), &format!("--output {}", came.display()));
    recv.said("RTP is taken in at 127.0.0.1");
    let over = Arc::new(AtomicBool::new(false));
    let (done, mut garbage) = (over.clone(), Garbage(7));
    let stranger = std::thread::spawn(move || {
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        while !done.load(Ordering::Relaxed) {
            let len = garbage.next() as usize % 1500;
            let mut packet: Vec<u8> = (0..len).map(|_| garbage.next() as u8).collect();
            // Half of it begins as a packet of a JPEG does, or of L16.
            let after = (garbage.next() % 4) as u16;
            if garbage.next().is_multiple_of(2) && len > 20 {
                (packet[0], packet[1]) = (0x80, if after == 0 { 26 } else { 97 });
                packet[12..20].copy_from_slice(&[0, 0, 0, 0, 1, 80, 40, 30]);
            }
            let _ = socket.send_to(&packet, (HERE, port + after));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    // Garbage that looks like a camera is taken for one.
    recv.said(&format!("rtp {port}: "));
    play(port, &pictures(Form { quality: 60, ..OURS }), Duration::ZERO);
    recv.said("was turned away");
    over.store(true, Ordering::Relaxed);
    stranger.join().unwrap();
    recv.said("stopped sending");
    play(port, &jpegs, Duration::ZERO);
    recv.said("is sending");
    recv.said("stopped sending");
    ended(recv);
    let came = decoded(&["-i", came.to_str().unwrap()]);
    let ours: Vec<_> = came.into_iter().filter(|look| sent.contains(look)).collect();
    assert_in_order(&ours, &sent, "pictures");
}

#[test]
fn what_is_of_no_use_is_said_with_what_to_do() {
    let port = ports();
    let mut recv = takes_in(&port.to_string(), "");
    recv.said("RTP is taken in at 127.0.0.1");
    let _sender = Sender::ffmpeg(&format!(
        "-re -f lavfi -i testsrc=s=320x240:r=25 -re -f lavfi -i sine -map 0:v -c:v mpeg4 -f rtp rtp://127.0.0.1:{port} \
         -map 1:a -ar 44100 -ac 2 -c:a pcm_s16be -f rtp rtp://127.0.0.1:{}",
        port + 2
    ));
    let mut lines = [recv.said("was turned away"), recv.said("was turned away")];
    lines.sort_by_key(|line| line.contains("44.1 kHz"));
    assert!(lines[0].contains("is no JPEG (RTP type 96; JPEG has 26)") && lines[0].contains("--rtp-in FILE.sdp"), "{lines:?}");
    assert!(lines[1].contains("44.1 kHz") && lines[1].contains("-ar 48000"), "{lines:?}");
}

#[test]
fn a_camera_with_h264_comes_in_as_its_description_says_and_again_when_it_was_started_anew() {
    let (folder, port) = (Folder::new("rtp-in-sdp"), ports());
    let description = format!(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=front door\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    );
    let (sdp, came) = (folder.0.join("door.sdp"), folder.0.join("came.y4m"));
    fs::write(&sdp, description).unwrap();
    let mut recv = takes_in(&sdp.display().to_string(), &format!("--stats json --output {}", came.display()));
    recv.said("front door is taken in from");
    let line = format!(
        "-re -f lavfi -i testsrc=s=320x240:r=25 -c:v libx264 -tune zerolatency -g 10 -pix_fmt yuv420p -f rtp rtp://127.0.0.1:{port}"
    );
    let first = Sender::ffmpeg(&line);
    recv.said("front door ([");
    let pictures = |stats: &serde_json::Value| stats["shown"].as_u64().unwrap_or(0);
    recv.stats_with(|stats| pictures(stats) > 10);
    drop(first);
    recv.said("it has sent nothing for 5 s (it is tried again)");
    let _second = Sender::ffmpeg(&line);
    recv.said("front door ([");
    let before = pictures(&recv.stats());
    recv.stats_with(|stats| pictures(stats) > before + 10);
    ended(recv);
    assert!(decoded(&["-i", came.to_str().unwrap()]).len() > 20);
}

#[test]
fn what_cannot_be_had_is_said_before_it_begins() {
    let folder = Folder::new("rtp-in-wrong");
    let film = folder.0.join("film.mp4");
    fs::write(&film, "a film").unwrap();
    let said = |from: &str, words: &str| {
        let mut recv = takes_in(from, "");
        recv.said(words);
        assert_eq!(recv.ended(), 1);
    };
    said(&film.display().to_string(), "is no session description (SDP); a port is written like 5004");
    said("no-such.sdp", "--rtp-in: no-such.sdp cannot be read");
    let port = ports();
    let _taken = UdpSocket::bind((HERE, port + 2)).unwrap();
    said(&port.to_string(), &format!("--rtp-in: UDP port {} is taken", port + 2));
}
