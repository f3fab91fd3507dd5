//! `--file -`: another program's pictures, live. JPEGs arrive as they were, byte for byte where it counts.

use crate::film::{ffmpeg, folder};
use crate::measure::{Jpeg, Y4m, jpegs};
use crate::program::{Out, Program, SEND, free_port, recv};
use std::process::Stdio;

/// Pictures played into `send`, two seconds of them.
const PLAYED: usize = 30;

/// Plays a file into `send --file -` at its own pace, which says what it is; gives what `recv --output` wrote.
fn played(dir: &std::path::Path, input: &[&str], said: &str, output: &str) -> Vec<u8> {
    let port = free_port();
    let out = dir.join(output);
    let mut recv = recv(&format!("-p {port} --output {}", out.display()));
    recv.said("waiting on port");
    let mut player = ffmpeg(&["-re"]).args(input).stdout(Stdio::piped()).spawn().expect("ffmpeg is needed: apt install ffmpeg");
    let stdin = player.stdout.take().unwrap().into();
    let mut send = Program::spawn(SEND, &format!("--file - --host 127.0.0.1:{port}"), stdin, Out::Stats);
    send.said(&format!("stdin: {said}"));
    recv.said("the end: everything is here");
    assert_eq!((recv.ended(), send.ended()), (0, 0));
    assert!(player.wait().unwrap().success());
    std::fs::read(out).unwrap()
}

fn jpegs_of(dir: &std::path::Path, name: &str, how: &[&str]) -> (String, Vec<Jpeg>) {
    let path = dir.join(name).to_str().unwrap().to_string();
    let source = ["-f", "lavfi", "-i", "mandelbrot=s=320x240:r=15", "-frames:v", "30", "-c:v", "mjpeg", "-q:v", "4"];
    assert!(ffmpeg(&source).args(how).args(["-f", "mjpeg", &path]).status().unwrap().success());
    let pictures = jpegs(&std::fs::read(&path).unwrap());
    assert_eq!(pictures.len(), PLAYED);
    (path, pictures)
}

#[test]
fn jpegs_on_stdin_arrive_with_their_own_tables_and_scan_data() {
    let dir = folder("stdin");
    for (name, how) in [
        ("optimal.mjpeg", &["-pix_fmt", "yuvj420p", "-huffman", "optimal"][..]),
        ("default.mjpeg", &["-pix_fmt", "yuvj422p", "-huffman", "default"]),
    ] {
        let (path, wanted) = jpegs_of(&dir, name, how);
        let input = ["-framerate", "15", "-f", "mjpeg", "-i", &path, "-c", "copy", "-f", "mjpeg", "-"];
        let mut arrived = jpegs(&played(&dir, &input, "JPEGs, 320x240", &format!("out-{name}")));
        // One stands for those that were missing after it.
        arrived.dedup();
        // Live, the newest wins, and the first may be gone before anybody watches.
        assert!(arrived.len() > PLAYED / 2 && arrived.len() <= PLAYED, "{name}: {} of {PLAYED}", arrived.len());
        let mut rest = wanted.iter();
        for (k, picture) in arrived.iter().enumerate() {
            assert!(rest.any(|wanted| wanted == picture), "{name}: picture {k} is none of those played, or not in order");
        }
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
    let input = ["-f", "lavfi", "-i", "testsrc2=s=322x182:r=15:d=2", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"];
    let arrived = Y4m::parse(&played(&dir, &input, "y4m, 322x182, 15 pictures a second", "out.y4m"));
    assert_eq!(arrived.size, (322, 182));
    assert!(arrived.header.contains(" F15:1 "), "{}", arrived.header);
    assert!(arrived.pictures.len() > PLAYED / 2 && arrived.pictures.len() <= PLAYED + 1, "{}", arrived.pictures.len());
}
