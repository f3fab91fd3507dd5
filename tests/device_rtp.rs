//! What players that are not ours make of our RTP: the same pictures bit for bit, the same samples, together.
//!
//! Needs `ffmpeg` and GStreamer. Each player waits at ports of its own on this machine, and is given two seconds as they come.

#![allow(clippy::disallowed_methods, reason = "plays in real time")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/program.rs"]
mod program;
#[path = "support/rtp.rs"]
mod rtp;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eyeline::net::rtp::Ports;
use eyeline_proto::media::rtp::sdp::Session;
use eyeline_proto::picture::Sampling;
use eyeline_proto::sound::BLOCK_FRAMES;
use folder::Folder;
use program::{free_port, recv, send};
use rtp::{BLOCKS_A_PICTURE, Form, HERE, OURS, PATIENCE, PICTURES, SIZE, block, look, pictures, play, ports};

/// Waits until somebody has all of these ports.
fn until_listened(ports: &[u16], player: &mut Player) {
    let began = Instant::now();
    let is_taken = |port: &u16| {
        let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        tables.iter().any(|table| {
            table.lines().any(|line| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&format!(":{port:04X}"))))
        })
    };
    while !ports.iter().all(is_taken) {
        assert!(began.elapsed() < PATIENCE, "the player does not wait for us");
        assert!(player.0.try_wait().unwrap().is_none(), "the player has ended");
        std::thread::yield_now();
    }
}

/// A player, gone with its test.
struct Player(Child);

impl Player {
    fn start(command: &mut Command) -> Player {
        Player(command.stdin(Stdio::null()).spawn().expect("ffmpeg and GStreamer are needed: scripts/install rig"))
    }

    /// Until it has ended by itself.
    fn ends(&mut self) {
        let began = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "the player goes on");
            std::thread::yield_now();
        }
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The file that a player is given.
fn described(folder: &Folder, port: u16) -> std::path::PathBuf {
    let Ports { pictures, sound } = Ports::at(port);
    let name = "a test".to_string();
    let session = Session { name, id: 1, from: HERE, to: HERE, pictures: Some(pictures), sound: Some((sound, 2)) };
    let path = folder.0.join("eyeline.sdp");
    fs::write(&path, session.describe()).unwrap();
    path
}

fn ffmpeg(sdp: &Path) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning", "-protocol_whitelist", "file,udp,rtp", "-i"]).arg(sdp);
    command
}

/// The files of this ending, in order.
fn files(folder: &Folder, ending: &str) -> Vec<Vec<u8>> {
    let names = folder.names().into_iter().filter(|name| name.ends_with(ending));
    names.map(|name| fs::read(folder.0.join(name)).unwrap()).collect()
}

/// What came is what was sent, one after the other; some are lost while a player begins, or where this machine is busy.
fn assert_in_order<T: PartialEq>(came: &[T], sent: &[T], what: &str) {
    let mut places = came.iter().map(|one| sent.iter().position(|other| other == one));
    let places: Vec<usize> = places.by_ref().map(|place| place.unwrap_or_else(|| panic!("{what}: this was not sent"))).collect();
    println!("{what}: {} of {} came", places.len(), sent.len());
    assert!(places.is_sorted_by(|a, b| a < b) && 2 * places.len() > sent.len(), "{what}: {places:?}");
}

/// Blocks, big endian, as they are found in what a player wrote; the last is left out, for it may be cut off.
fn blocks(bytes: &[u8]) -> Vec<Vec<i16>> {
    let samples: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
    samples.chunks_exact(2 * BLOCK_FRAMES).map(<[i16]>::to_vec).collect()
}

fn all_blocks() -> Vec<Vec<i16>> {
    (0..PICTURES * BLOCKS_A_PICTURE).map(block).collect()
}

fn ffmpeg_takes(name: &str, form: Form) {
    let (folder, port, jpegs) = (Folder::new(name), ports(), pictures(form));
    let mut command = ffmpeg(&described(&folder, port));
    command
        .args(["-map", "0:v", "-c", "copy", "-f", "image2"])
        .arg(folder.0.join("%03d.jpg"))
        .args(["-map", "0:a", "-c", "copy", "-f", "data"])
        .arg(folder.0.join("sound.raw"));
    let mut player = Player::start(&mut command);
    until_listened(&[port, port + 1, port + 2, port + 3], &mut player);
    play(port, &jpegs, Duration::ZERO);
    // It ends by itself, for both streams said goodbye.
    player.ends();
    let came: Vec<_> = files(&folder, ".jpg").iter().map(|jpeg| look(jpeg)).collect();
    let sent: Vec<_> = jpegs.iter().map(|jpeg| look(jpeg)).collect();
    assert_in_order(&came, &sent, "pictures");
    assert_in_order(&blocks(&fs::read(folder.0.join("sound.raw")).unwrap()), &all_blocks(), "blocks");
}

#[test]
fn ffmpeg_takes_pictures_bit_for_bit_and_every_sample_and_ends_at_the_farewell() {
    ffmpeg_takes("rtp-ours", OURS);
}

#[test]
fn ffmpeg_takes_pictures_whose_tables_travel() {
    ffmpeg_takes("rtp-tables", Form { sampling: Sampling::Yuv422, quality: 100, restart: 20 });
}

#[test]
fn ffmpeg_takes_pictures_without_restart_markers() {
    ffmpeg_takes("rtp-whole", Form { restart: 0, ..OURS });
}

/// With what both say of the world's clock; by arrival, they would begin together.
#[test]
fn ffmpeg_brings_sound_and_pictures_together_by_when_they_were_caught() {
    let (folder, port, jpegs) = (Folder::new("rtp-together"), ports(), pictures(OURS));
    let mut command = ffmpeg(&described(&folder, port));
    command.args(["-copyts", "-map", "0:v", "-map", "0:a", "-c", "copy", "-f", "framecrc"]).arg(folder.0.join("times"));
    let mut player = Player::start(&mut command);
    until_listened(&[port, port + 1, port + 2, port + 3], &mut player);
    let ahead = Duration::from_millis(300);
    play(port, &jpegs, ahead);
    player.ends();
    // Lines of stream, dts, pts, duration, bytes, checksum; the time bases stand in front.
    let text = fs::read_to_string(folder.0.join("times")).unwrap();
    let base = |stream: usize| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("#tb {stream}:"))).unwrap();
        let (above, below) = line.rsplit_once(' ').unwrap().1.split_once('/').unwrap();
        above.parse::<f64>().unwrap() / below.parse::<f64>().unwrap()
    };
    let last = |stream: usize| {
        let line = text.lines().rfind(|line| line.starts_with(&format!("{stream},"))).unwrap();
        line.split(',').nth(2).unwrap().trim().parse::<f64>().unwrap() * base(stream)
    };
    let apart = last(0) - last(1);
    println!("pictures are {apart:.3} s behind the sound they came with");
    assert!((apart - ahead.as_secs_f64()).abs() < 0.08, "{text}");
}

fn gstreamer_takes(name: &str, form: Form) {
    let (folder, port, jpegs) = (Folder::new(name), ports(), pictures(form));
    let Ports { pictures: video, sound } = Ports::at(port);
    let caps = "application/x-rtp,media=video,payload=26,clock-rate=90000,encoding-name=JPEG";
    let heard = "application/x-rtp,media=audio,payload=97,clock-rate=48000,encoding-name=L16,channels=2";
    let mut command = Command::new("gst-launch-1.0");
    command
        .args([
            "-q",
            "-e",
            "udpsrc",
            &format!("port={video}"),
            &format!("caps={caps}"),
            "!",
            "rtpjpegdepay",
            "!",
            "tee",
            "name=t",
        ])
        .args(["t.", "!", "queue", "!", "multifilesink", &format!("location={}/%03d.jpg", folder.0.display())])
        .args(["t.", "!", "queue", "!", "jpegdec", "!", "video/x-raw,width=320,height=240", "!"])
        .args(["multifilesink", &format!("location={}/%03d.raw", folder.0.display())])
        .args(["udpsrc", &format!("port={sound}"), &format!("caps={heard}"), "!", "rtpL16depay", "!"])
        .args(["filesink", "buffer-mode=unbuffered", &format!("location={}/sound", folder.0.display())]);
    let mut player = Player::start(&mut command);
    until_listened(&[video, sound], &mut player);
    play(port, &jpegs, Duration::ZERO);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(player.0.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    player.ends();
    let came: Vec<_> = files(&folder, ".jpg").iter().map(|jpeg| look(jpeg)).collect();
    let sent: Vec<_> = jpegs.iter().map(|jpeg| look(jpeg)).collect();
    assert_in_order(&came, &sent, "pictures");
    assert_eq!(files(&folder, ".raw").len(), came.len(), "all of them were decoded");
    assert_in_order(&blocks(&fs::read(folder.0.join("sound")).unwrap()), &all_blocks(), "blocks");
}

#[test]
fn gstreamer_takes_pictures_bit_for_bit_and_every_sample() {
    gstreamer_takes("rtp-gst-ours", OURS);
}

#[test]
fn gstreamer_takes_pictures_whose_tables_travel() {
    gstreamer_takes("rtp-gst-tables", Form { sampling: Sampling::Yuv422, quality: 100, restart: 20 });
}

/// Two seconds of what a program sends to a player; how many pictures, and samples of one channel, those are.
fn plays(sdp: &Path) -> (usize, usize) {
    let played = |map: &str, format: &[&str]| {
        let mut command = ffmpeg(sdp);
        command.args(["-t", "2", "-map", map]).args(format).arg("-").stdout(Stdio::piped());
        command.stdin(Stdio::null()).output().expect("ffmpeg is needed: scripts/install rig").stdout
    };
    let pictures = played("0:v", &["-f", "rawvideo", "-pix_fmt", "gray"]);
    let sound = played("0:a", &["-f", "s16le", "-ac", "1"]);
    assert!(sound.chunks_exact(2).any(|pair| i16::from_le_bytes([pair[0], pair[1]]) > 1000), "the tone is heard");
    (pictures.len() / (SIZE.width * SIZE.height) as usize, sound.len() / 2)
}

#[test]
fn what_is_sent_and_what_is_received_is_played_from_the_file_that_was_written() {
    let (folder, port) = (Folder::new("rtp-programs"), free_port());
    let described = |name: &str| folder.0.join(name);
    let player = |name: &str| format!("--rtp 127.0.0.1:{} --sdp {}", ports(), described(name).display());
    let mut send = send(&format!("--test -s 320x240 -r 30 -p {port} {}", player("send.sdp")));
    send.said("or: vlc ");
    send.said("or: gst-launch-1.0 udpsrc port=");
    send.said("waiting on port");
    let mut recv = recv(&format!("--host 127.0.0.1:{port} {}", player("recv.sdp")));
    recv.said("or: vlc ");
    recv.said("is sending");
    for name in ["send.sdp", "recv.sdp"] {
        let (pictures, samples) = plays(&described(name));
        println!("{name}: {pictures} pictures, {samples} samples in two seconds");
        // A player that begins in the middle, on a machine that is busy.
        assert!((30..=62).contains(&pictures) && samples > 48_000, "{name}: {pictures} pictures, {samples} samples");
    }
}

#[test]
fn what_rtp_does_not_carry_is_encoded_anew_and_that_is_said_once() {
    let folder = Folder::new("rtp-anew");
    let sdp = folder.0.join("odd.sdp");
    let mut send =
        send(&format!("--test -s 322x242 -r 30 -p {} --rtp 127.0.0.1:{} --sdp {}", free_port(), ports(), sdp.display()));
    send.said("pictures for the player are encoded anew: it is 322x242");
    let mut command = ffmpeg(&sdp);
    command.args(["-frames:v", "5", "-map", "0:v", "-f", "rawvideo", "-pix_fmt", "gray", "-"]).stdout(Stdio::piped());
    let seen = command.stdin(Stdio::null()).output().unwrap().stdout;
    assert_eq!(seen.len(), 5 * 320 * 240);
}
