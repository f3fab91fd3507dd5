//! `--file -`: another program's pictures, live. JPEGs arrive as they were, byte for byte where it counts.

use crate::film::{ffmpeg, folder};
use crate::measure::{Jpeg, Y4m, jpegs};
use crate::program::{Out, Program, SEND, free_port, recv};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// Pictures written before the player is stopped: however late the programs are, so many come.
const WRITTEN: usize = 30;
/// Pictures in a row of which none is missing, somewhere among those: a third of a second in which the machine was not too busy.
const UNBROKEN: usize = 5;

/// What became of a stream.
struct Outcome {
    /// What the player wrote.
    played: Vec<u8>,
    /// What `recv --output` wrote, [`WRITTEN`] pictures at least.
    written: Vec<u8>,
    /// From the start of the player to the end.
    took: Duration,
}

/// Plays what has no end into `send --file -` at its own pace, which says what it is, until enough is written.
fn play(dir: &Path, input: &[&str], said: &str, output: &str) -> Outcome {
    let port = free_port();
    let out = dir.join(output);
    let mut recv = recv(&format!("-p {port} --output {} --stats json", out.display()));
    recv.said("waiting on port");
    let began = Instant::now();
    let mut player = ffmpeg(&["-re"]).args(input).stdout(Stdio::piped()).spawn().expect("ffmpeg is needed: apt install ffmpeg");
    let mut send = Program::spawn(SEND, &format!("--file - --host 127.0.0.1:{port}"), Stdio::piped(), Out::Stats);
    let (mut from, mut to) = (player.stdout.take().unwrap(), send.stdin());
    let relay = thread::spawn(move || {
        let (mut all, mut piece) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            let length = from.read(&mut piece).unwrap();
            if length == 0 {
                return all;
            }
            to.write_all(&piece[..length]).unwrap();
            all.extend_from_slice(&piece[..length]);
        }
    });
    send.said(&format!("stdin: {said}"));
    recv.stats_with(|stats| stats["shown"].as_u64() >= Some(WRITTEN as u64));
    // It ends with a whole picture.
    kill(Pid::from_raw(player.id() as i32), Signal::SIGTERM).unwrap();
    let played = relay.join().unwrap();
    player.wait().unwrap();
    recv.said("the end: everything is here");
    assert_eq!((recv.ended(), send.ended()), (0, 0));
    Outcome { played, written: std::fs::read(out).unwrap(), took: began.elapsed() }
}

#[test]
fn jpegs_on_stdin_arrive_with_their_own_tables_and_scan_data() {
    let dir = folder("stdin");
    for (name, how) in [
        ("optimal.mjpeg", &["-pix_fmt", "yuvj420p", "-huffman", "optimal"][..]),
        ("default.mjpeg", &["-pix_fmt", "yuvj422p", "-huffman", "default"]),
    ] {
        let source = ["-f", "lavfi", "-i", "mandelbrot=s=320x240:r=15", "-c:v", "mjpeg", "-q:v", "4"];
        let input = [&source[..], how, &["-f", "mjpeg", "-"]].concat();
        let outcome = play(&dir, &input, "JPEGs, 320x240", &format!("out-{name}"));
        let (wanted, mut arrived): (Vec<Jpeg>, Vec<Jpeg>) = (jpegs(&outcome.played), jpegs(&outcome.written));
        // One stands for those that were missing after it.
        arrived.dedup();
        // Live, the newest wins, and the first may be gone before anybody watches.
        assert!(arrived.len() >= WRITTEN, "{name}: {} of {}", arrived.len(), wanted.len());
        let (mut next, mut run, mut longest) = (0, 0, 0);
        for (k, picture) in arrived.iter().enumerate() {
            let skipped = wanted[next..].iter().position(|wanted| wanted == picture);
            let skipped = skipped.unwrap_or_else(|| panic!("{name}: picture {k} is none of those played, or not in order"));
            run = if skipped == 0 { run + 1 } else { 1 };
            (next, longest) = (next + skipped + 1, longest.max(run));
        }
        assert!(longest >= UNBROKEN, "{name}: {longest} in a row, of {} there are {}", wanted.len(), arrived.len());
    }
}

#[test]
fn a_stream_on_stdin_that_nobody_watched_is_said_to_have_been_seen_by_nobody() {
    let input = ["-f", "lavfi", "-i", "testsrc2=s=64x64:r=15:d=1", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"];
    let mut player = ffmpeg(&input).stdout(Stdio::piped()).spawn().unwrap();
    let stdin = player.stdout.take().unwrap().into();
    let mut send = Program::spawn(SEND, &format!("--file - -p {}", free_port()), stdin, Out::Stats);
    send.said("stdin is over, and nobody watched; a film waits for who watches: --file FILM");
    assert_eq!((send.ended(), player.wait().unwrap().success()), (0, true));
}

#[test]
fn a_y4m_stream_on_stdin_arrives_with_its_size() {
    let dir = folder("stdin-y4m");
    let input = ["-f", "lavfi", "-i", "testsrc2=s=322x182:r=15", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"];
    let outcome = play(&dir, &input, "y4m, 322x182, 15 pictures a second", "out.y4m");
    let (wanted, mut arrived) = (Y4m::parse(&outcome.played), Y4m::parse(&outcome.written));
    assert_eq!(arrived.size, (322, 182));
    assert!(arrived.header.contains(" F15:1 "), "{}", arrived.header);
    // One is written again for each that is missing after it, but no more than there was time for.
    let lasts = arrived.pictures.len() as f64 / 15.0;
    assert!(lasts < outcome.took.as_secs_f64(), "{lasts} s of pictures in {:?}", outcome.took);
    let runs = arrived.pictures.chunk_by(|picture, next| picture != next).map(<[Vec<u8>]>::len);
    let longest = runs.max().unwrap();
    assert!(longest >= UNBROKEN, "{longest} in a row that are not written again");
    arrived.pictures.dedup();
    let (distinct, played) = (arrived.pictures.len(), wanted.pictures.len());
    assert!((WRITTEN..=played).contains(&distinct), "{distinct} of {played}");
}
