//! `--record` with the real programs: what is in the files, also of programs that were killed while they wrote them.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/program.rs"]
mod program;

use folder::Folder;
use matroska_demuxer::{Frame, MatroskaFile, TrackType};
use nix::sys::signal::Signal;
use program::{Out, Program, RECV, SEND, free_port, recv, send};
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A track of a file: its name, whether it is of pictures, and its blocks with their times in ms.
struct Recorded {
    name: String,
    pictures: bool,
    blocks: Vec<(u64, Vec<u8>)>,
}

/// All that is whole in a file, however it ends.
fn recorded(path: &Path) -> Vec<Recorded> {
    let mut file = MatroskaFile::open(File::open(path).unwrap()).unwrap();
    let track = |track: &matroska_demuxer::TrackEntry| Recorded {
        name: track.name().unwrap_or_default().to_string(),
        pictures: track.track_type() == TrackType::Video,
        blocks: Vec::new(),
    };
    let mut tracks: Vec<_> = file.tracks().iter().map(track).collect();
    let mut frame = Frame::default();
    while let Ok(true) = file.next_frame(&mut frame) {
        tracks[frame.track as usize - 1].blocks.push((frame.timestamp, frame.data.clone()));
    }
    tracks
}

/// Until a file has so many bytes.
fn until_large(path: &Path, bytes: u64) {
    let began = Instant::now();
    while fs::metadata(path).map_or(0, |file| file.len()) < bytes {
        assert!(began.elapsed() < Duration::from_secs(60), "{} stays small", path.display());
        std::thread::yield_now();
    }
}

fn of_pictures(tracks: &[Recorded]) -> &Recorded {
    tracks.iter().find(|track| track.pictures).expect("pictures")
}

fn of_sound(tracks: &[Recorded]) -> &Recorded {
    tracks.iter().find(|track| !track.pictures).expect("sound")
}

#[test]
fn who_is_killed_leaves_a_file_with_all_that_was_in_it_and_the_sender_records_unwatched() {
    let (folder, port) = (Folder::new("killed"), free_port());
    let [own, theirs] = ["own.mkv", "theirs.mkv"].map(|name| folder.0.join(name));
    let mut send = send(&format!("--test -s 320x240 -p {port} --name lab --record {}", own.display()));
    send.said("recording to");
    until_large(&own, 200_000);
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --record {}", theirs.display()));
    recv.said("is sending");
    until_large(&theirs, 500_000);
    recv.signal(Signal::SIGKILL);
    send.signal(Signal::SIGKILL);
    for path in [&own, &theirs] {
        let tracks = recorded(path);
        assert!(tracks.iter().all(|track| track.name == "lab"), "{}", path.display());
        let (pictures, sound) = (of_pictures(&tracks), of_sound(&tracks));
        assert!(pictures.blocks.iter().all(|(_, jpeg)| jpeg.starts_with(&[0xFF, 0xD8]) && jpeg.ends_with(&[0xFF, 0xD9])));
        let times: Vec<_> = pictures.blocks.iter().map(|block| block.0).collect();
        assert!(times.is_sorted() && pictures.blocks.len() > 10, "{times:?}");
        let last = *times.last().unwrap();
        assert!(sound.blocks.iter().all(|(_, samples)| samples.len() == 960));
        let heard = sound.blocks.len() as u64 * 10;
        assert!(heard.abs_diff(last) < 700, "{heard} ms of sound beside {last} ms of pictures");
    }
}

#[test]
fn a_recording_through_a_pipe_is_read_as_it_comes_and_who_reads_no_more_ends_it_well() {
    let port = free_port();
    let mut send = send(&format!("--test -s 320x240 -p {port}"));
    send.said("waiting on port");
    let line = format!("--no-window --no-audio --host 127.0.0.1:{port} --record -");
    let mut recv = Program::spawn(RECV, &line, Stdio::null(), Out::Raw);
    let mut out = recv.stdout();
    let mut bytes = vec![0; 400_000];
    std::io::Read::read_exact(&mut out, &mut bytes).unwrap();
    drop(out);
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    let mut file = MatroskaFile::open(std::io::Cursor::new(bytes)).unwrap();
    assert_eq!(file.tracks().len(), 2);
    let (mut frame, mut count) = (Frame::default(), 0);
    while let Ok(true) = file.next_frame(&mut frame) {
        count += 1;
    }
    assert!(count > 30, "{count} blocks");
}

#[test]
fn what_is_there_by_the_name_stays_and_the_recording_gets_a_number() {
    let (folder, port) = (Folder::new("numbered"), free_port());
    let path = folder.0.join("talk.mkv");
    fs::write(&path, "precious").unwrap();
    let mut send = Program::start(SEND, &format!("--test -s 320x240 -p {port} --record {}", path.display()));
    send.said("recording to");
    until_large(&folder.0.join("talk-2.mkv"), 150_000);
    assert_eq!(send.stop(Signal::SIGINT), 0);
    assert!(send.heard().contains("talk-2.mkv: 0:"), "{}", send.heard());
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(folder.names(), ["talk-2.mkv", "talk.mkv"]);
}
