//! What other programs make of recordings, and what is left of one that is played to others.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/program.rs"]
mod program;

use folder::Folder;
use nix::sys::signal::Signal;
use program::{free_port, recv, send};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What ffmpeg's program prints. That a file ends amid a block, as one does whose writer was killed, is no failure.
fn asked(program: &str, args: &str, path: &Path) -> Vec<u8> {
    let (before, after) = args.split_once(" FILE").unwrap_or((args, ""));
    let mut command = Command::new(program);
    command.args(before.split_whitespace()).arg(path).args(after.split_whitespace());
    let output = command.output().unwrap_or_else(|error| panic!("{program} is needed ({error}): install ffmpeg"));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn until_large(path: &Path, bytes: u64) {
    let began = Instant::now();
    while fs::metadata(path).map_or(0, |file| file.len()) < bytes {
        assert!(began.elapsed() < Duration::from_secs(60), "{} stays small", path.display());
        std::thread::yield_now();
    }
}

/// The JPEGs, one behind the other, and the samples, as they are in the file.
fn content(path: &Path) -> [Vec<u8>; 2] {
    let pictures = asked("ffmpeg", "-v fatal -i FILE -map 0:v:0 -c copy -f mjpeg -", path);
    [pictures, asked("ffmpeg", "-v fatal -i FILE -map 0:a:0 -c copy -f s16le -", path)]
}

/// Of each picture that is decoded.
fn hashes(args: &str, path: &Path) -> Vec<String> {
    let listed = String::from_utf8(asked("ffmpeg", args, path)).unwrap();
    let lines = listed.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next().map(|hash| hash.trim().to_string())).collect()
}

#[test]
fn a_recording_that_was_killed_is_read_and_sought_in_by_ffmpeg_and_played_to_others_byte_for_byte() {
    let (folder, port) = (Folder::new("played"), free_port());
    let [first, second] = ["first.mkv", "second.mkv"].map(|name| folder.0.join(name));
    let mut camera = send(&format!("--test -s 320x240 -p {port} --name lab --record {}", first.display()));
    camera.said("recording to");
    until_large(&first, 900_000);
    camera.signal(Signal::SIGKILL);
    drop(camera);
    let entries =
        "-v fatal -count_packets -show_entries stream=codec_name,width,height,nb_read_packets:stream_tags=title -of csv=p=0";
    let streams = String::from_utf8(asked("ffprobe", entries, &first)).unwrap();
    let lines: Vec<_> = streams.lines().map(|line| line.split(',').collect::<Vec<_>>()).collect();
    let ["mjpeg", "320", "240", pictures, "lab"] = lines[0][..] else { panic!("{streams}") };
    let ["pcm_s16le", blocks, "lab"] = lines[1][..] else { panic!("{streams}") };
    let [pictures, blocks]: [u64; 2] = [pictures, blocks].map(|number| number.parse().unwrap());
    assert!(pictures > 30 && blocks.abs_diff(pictures * 10 / 3) < 60, "{streams}");
    // The very picture that is there a second later, however it was come to.
    let all = hashes("-v fatal -i FILE -map 0:v:0 -f framemd5 -", &first);
    let sought = hashes("-v fatal -ss 1 -i FILE -map 0:v:0 -frames:v 1 -f framemd5 -", &first);
    let place = all.iter().position(|hash| *hash == sought[0]);
    assert!(matches!(place, Some(29..=32)), "{place:?} of {} pictures, 30 a second", all.len());
    let port = free_port();
    let mut film = send(&format!("--file {} -p {port}", first.display()));
    film.said("waiting on port");
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --record {}", second.display()));
    recv.said("the end: everything is here");
    assert_eq!(recv.ended(), 0);
    assert_eq!(film.ended(), 0);
    let ([pictures, sound], [others, heard]) = (content(&first), content(&second));
    assert!(pictures == others, "{} bytes of JPEGs became {}", pictures.len(), others.len());
    assert!(sound.starts_with(&heard) && sound.len() - heard.len() < 96_000, "{} of {} bytes of sound", heard.len(), sound.len());
}
