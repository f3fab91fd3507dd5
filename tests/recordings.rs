//! What becomes of the files that `recv` is told to write, with the real programs: nothing is lost of what was there until there
//! is something to write, nothing is left where there was not, and no reader that stands still keeps `recv` from its end.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/by_hand.rs"]
mod by_hand;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use by_hand::ByHand;
use eyeline::codec::encoder::{Coded, EncoderThreads};
use eyeline::codec::passthrough;
use eyeline::codec::settings::Settings;
use eyeline_proto::picture::{Body, BufferPool, Picture, Sampling, Size};
use eyeline_proto::time::MediaTime;
use eyeline_proto::wire::datagram::{FragmentHead, Message};
use eyeline_proto::wire::record::{Media, OWN_TRACK};
use folder::Folder;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use program::{Out, Program, RECV, SEND, free_port, recv, send};

/// A file that is there already.
fn precious(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.0.join(name);
    fs::write(&path, "precious").unwrap();
    path
}

fn is_precious(path: &PathBuf) -> bool {
    fs::read(path).unwrap() == b"precious"
}

/// Waits for the end, which must be this code, and an error that says this.
fn fails(mut recv: Program, code: i32, part: &str) {
    assert_eq!(recv.ended(), code, "{}", recv.heard());
    let line = recv.said("error: ");
    assert!(line.contains(part), "{line}");
}

#[test]
fn where_nothing_came_what_was_there_is_as_it_was_and_nothing_is_left_that_was_not() {
    let folder = Folder::new("nothing");
    let old = [precious(&folder, "old.y4m"), precious(&folder, "old.wav")];
    for [pictures, sound] in [old.clone(), ["new.y4m", "new.wav"].map(|name| folder.0.join(name))] {
        let files = format!("--output {} --audio-output {}", pictures.display(), sound.display());
        let mut recv = recv(&format!("-p {} {files}", free_port()));
        recv.said("waiting on port");
        assert_eq!(recv.stop(Signal::SIGTERM), 0);
        for (what, file) in [("picture", &pictures), ("sound", &sound)] {
            let line = format!("no {what} came: {} is not written", file.display());
            assert!(recv.heard().contains(&line), "{}", recv.heard());
        }
        assert!(old.iter().all(is_precious));
        assert_eq!(folder.names(), ["old.wav", "old.y4m"]);
    }
}

#[test]
fn where_nothing_came_within_the_duration_the_exit_code_says_so() {
    let folder = Folder::new("due");
    let file = folder.0.join("new.y4m");
    let port = free_port();
    for files in [String::new(), format!("--output {}", file.display())] {
        let recv = recv(&format!("-p {port} --duration 300ms {files}"));
        fails(recv, 4, &format!("nothing came within --duration (waiting on port {port}: run `send --host "));
    }
    assert_eq!(folder.names(), Vec::<String>::new());
    // Something comes, but not what was to be written.
    let mut send = send(&format!("--test -s 320x240 --no-audio -p {port}"));
    send.said("waiting on port");
    let sound = folder.0.join("new.wav");
    let mut silent = recv(&format!("--host 127.0.0.1:{port} --duration 2s --audio-output {}", sound.display()));
    silent.said(&format!("warning: no sound came: {} is not written", sound.display()));
    fails(silent, 1, "there was nothing to write");
    let mut both =
        recv(&format!("--host 127.0.0.1:{port} --duration 3s --output {} --audio-output {}", file.display(), sound.display()));
    assert_eq!(both.ended(), 0, "{}", both.heard());
    assert_eq!(folder.names(), ["new.y4m"]);
}

#[test]
fn a_run_that_cannot_begin_leaves_every_file_as_it_was() {
    let folder = Folder::new("cannot");
    let (old, link) = (precious(&folder, "old.wav"), folder.0.join("link.y4m"));
    symlink("nowhere", &link).unwrap();
    let files = format!("--audio-output {} --output {}", old.display(), link.display());
    fails(recv(&format!("-p {} {files}", free_port())), 1, "link.y4m is a link to nowhere");
    assert!(is_precious(&old));
    let [pictures, sound] = ["new.y4m", "new.wav"].map(|name| folder.0.join(name));
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for sound in [&old, &sound] {
        let files = format!("--output {} --audio-output {}", pictures.display(), sound.display());
        let nameless = format!("--no-window --speaker no_such_speaker -p {} {files}", free_port());
        fails(Program::start(RECV, &nameless), 3, "--speaker");
        fails(recv(&format!("-p {port} {files}")), 1, &port.to_string());
        assert!(is_precious(&old));
        assert_eq!(folder.names(), ["link.y4m", "old.wav"]);
    }
}

#[test]
fn a_link_is_not_followed_to_a_file_that_is_written_over() {
    let folder = Folder::new("link");
    let kept = precious(&folder, "kept");
    let [link, sound] = ["link.y4m", "link.wav"].map(|name| folder.0.join(name));
    [&link, &sound].iter().for_each(|link| symlink(&kept, link).unwrap());
    for (flag, link) in [("--output", &link), ("--audio-output", &sound)] {
        let recv = recv(&format!("-p {} {flag} {}", free_port(), link.display()));
        let line = format!("{} is a link to {}; give another name, or say --overwrite", link.display(), kept.display());
        fails(recv, 1, &line);
    }
    assert!(is_precious(&kept));
    let mut said = recv(&format!("-p {} --output {} --overwrite", free_port(), link.display()));
    said.said("waiting on port");
    assert_eq!(said.stop(Signal::SIGTERM), 0);
    said.said(&format!("no picture came: {} is not written", link.display()));
    assert!(is_precious(&kept), "nothing was written over it");
}

#[test]
fn a_reader_of_the_pictures_that_stands_still_keeps_nobody_from_the_end() {
    let folder = Folder::new("still");
    let (pipe, sound) = (folder.0.join("pipe.y4m"), folder.0.join("sound.wav"));
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    // It has the pipe open and does not read. Opened for both it waits for nobody.
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let port = free_port();
    let mut send = send(&format!("--test -s 320x240 -p {port}"));
    send.said("waiting on port");
    let files = format!("--output {} --audio-output {}", pipe.display(), sound.display());
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json {files}"));
    // Far more than the pipe and the queue behind it hold.
    recv.stats_with(|stats| stats["whole"].as_u64() >= Some(60));
    assert_eq!(recv.stop(Signal::SIGTERM), 1, "{}", recv.heard());
    recv.said("pipe.y4m takes nothing any more; what was not written by now is lost");
    let there = fs::metadata(&sound).unwrap().len() - 44;
    assert_eq!(u64::from(hound::WavReader::open(&sound).unwrap().len()) * 2, there, "the sound beside it is whole");
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}

/// The size of the grey pictures, and bytes of one in a file.
const GREY: (usize, usize) = (96, 64);
const PLANES: usize = GREY.0 * GREY.1 * 3 / 2;

/// `send` with pictures of one grey, until it is told to stop.
fn grey(luma: u8, port: u16) -> Program {
    let mut send = Program::spawn(SEND, &format!("--file - -q 95 --host 127.0.0.1:{port}"), Stdio::piped(), Out::Stats);
    let mut stdin = send.stdin();
    let mut stream = format!("YUV4MPEG2 W{} H{} F20:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n", GREY.0, GREY.1).into_bytes();
    let frame = [&b"FRAME\n"[..], &vec![luma; GREY.0 * GREY.1], &vec![128; PLANES - GREY.0 * GREY.1]].concat();
    thread::spawn(move || {
        let pace = mpsc::channel::<()>();
        loop {
            stream.extend(&frame);
            if stdin.write_all(&std::mem::take(&mut stream)).is_err() {
                return;
            }
            // Nothing is waited for but the time.
            let _ = pace.1.recv_timeout(Duration::from_millis(50));
        }
    });
    send
}

/// How many pictures are in a file, all of which are of this grey.
fn pictures_of(luma: u8, path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    let header = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let frames = bytes[header..].chunks(PLANES + 6);
    frames.clone().for_each(|frame| {
        assert!(frame.starts_with(b"FRAME\n") && frame.len() == PLANES + 6, "{}: no whole picture", path.display());
        let strange = frame[6..][..GREY.0 * GREY.1].iter().find(|found| found.abs_diff(luma) > 4);
        assert_eq!(strange, None, "{}: a picture of somebody else", path.display());
    });
    frames.count()
}

/// Waits until so many more pictures of each of the senders there are have come.
fn more(recv: &mut Program, senders: usize, pictures: u64) {
    recv.forget_stats();
    let whole = |stats: &serde_json::Value| -> Vec<u64> {
        stats["tracks"].as_array().unwrap().iter().map(|track| track["whole"].as_u64().unwrap()).collect()
    };
    let before = whole(&recv.stats_with(|stats| whole(stats).len() == senders));
    recv.stats_with(|stats| {
        whole(stats).iter().zip(&before).filter(|(now, before)| **now >= **before + pictures).count() == senders
    });
}

#[test]
fn each_sender_has_files_of_its_own_which_are_finished_when_it_leaves() {
    let folder = Folder::new("each");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_string();
    let named = |behind: &str| folder.0.join(format!("{host}{behind}"));
    // A recording of yesterday is no sender's to write over.
    fs::write(named("-2.wav"), "precious").unwrap();
    let port = free_port();
    let pattern = folder.0.join("{name}");
    let files = format!("--output {0}.y4m --audio-output {0}.wav", pattern.display());
    let mut recv = recv(&format!("-p {port} --stats json {files}"));
    recv.said("waiting on port");
    let written = |behind: &str| {
        format!("is written to {} and {}", named(&format!("{behind}.y4m")).display(), named(&format!("{behind}.wav")).display())
    };
    let first = grey(60, port);
    recv.said(&written(""));
    let mut second = grey(180, port);
    recv.said(&written("-3"));
    let third = send(&format!("--test -s 160x120 --host 127.0.0.1:{port}"));
    recv.said(&written("-4"));
    more(&mut recv, 3, 20);
    assert_eq!(second.stop(Signal::SIGTERM), 0);
    // The others go on, and its file can be looked at.
    recv.said(&format!("{}: ", named("-3.y4m").display()));
    assert!(pictures_of(180, &named("-3.y4m")) >= 20);
    recv.said(&format!("no sound came of {host}: {} is not written", named("-3.wav").display()));
    let fourth = grey(120, port);
    recv.said(&written("-5"));
    more(&mut recv, 3, 20);
    assert_eq!(recv.stop(Signal::SIGTERM), 0, "{}", recv.heard());
    let left = ["-2.wav", "-3.y4m", "-4.wav", "-4.y4m", "-5.y4m", ".y4m"].map(|behind| format!("{host}{behind}"));
    assert_eq!(folder.names(), left);
    assert!(is_precious(&named("-2.wav")));
    assert!(pictures_of(60, &named(".y4m")) >= 40 && pictures_of(120, &named("-5.y4m")) >= 20);
    assert!(fs::read(named("-4.y4m")).unwrap().starts_with(b"YUV4MPEG2 W160 H120 F30:1 "));
    let wav = hound::WavReader::open(named("-4.wav")).unwrap();
    let frame = 160 * 120 * 3 / 2 + 6;
    let (heard, seen) =
        (f64::from(wav.duration()) / 48_000.0, (fs::metadata(named("-4.y4m")).unwrap().len() / frame) as f64 / 30.0);
    assert!((heard - seen).abs() < 1.0 && heard > 1.0, "{heard:.2} s of sound for {seen:.2} s of pictures");
    drop((first, third, fourth));
}

#[test]
fn a_sender_that_calls_itself_a_path_is_written_in_the_folder_and_nowhere_else() {
    let folder = Folder::new("hostile");
    fs::create_dir(folder.0.join("to")).unwrap();
    let port = free_port();
    let mut recv = recv(&format!("-p {port} --stats json --output {}/to/{{name}}.y4m", folder.0.display()));
    recv.said("waiting on port");
    let (tell, slices) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let pool = EncoderThreads::new(1, move |slice| tell.lock().unwrap().send(slice).unwrap()).unwrap();
    let size = Size { width: 96, height: 64 };
    let picture = Picture::new(std::time::Instant::now(), size, Body::Planes(Sampling::Grey, vec![90; 96 * 64].into()));
    pool.encode(0, picture, MediaTime::ZERO, Settings { quality: 80, position: None }, Coded::All).unwrap();
    drop(pool);
    let slices: Vec<_> = slices.iter().collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut senders = Vec::new();
    for (name, file) in [("../evil", "_evil.y4m"), ("/etc/passwd", "_etc_passwd.y4m"), ("", "sender.y4m"), ("..", "sender-2.y4m")]
    {
        let mut sender = ByHand::called(name, port, [127, 0, 0, 1], (Media::LIVE, Media::NONE));
        for slice in &slices {
            let head = FragmentHead { picture: 0, slice: slice.index, last_slice: slice.count - 1, index: 0, last_index: 0 };
            sender.send(&socket, port, &Message::Fragment(OWN_TRACK, head, slice.bytes()));
        }
        let line = recv.said(" is written to ");
        assert!(line.ends_with(&format!("/to/{file}")), "{line}");
        senders.push(sender);
    }
    recv.stats_with(|stats| stats["whole"] == senders.len());
    assert_eq!(recv.stop(Signal::SIGTERM), 0, "{}", recv.heard());
    assert_eq!(folder.names(), ["to"]);
    let mut names: Vec<_> = fs::read_dir(folder.0.join("to")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["_etc_passwd.y4m", "_evil.y4m", "sender-2.y4m", "sender.y4m"]);
}

#[test]
fn a_file_that_ends_early_ends_no_other_and_is_heard_of_in_the_exit_code() {
    let folder = Folder::new("early");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_string();
    // The second sender's name leads to a disk that is full. Were it the first's, there might be no other by then.
    symlink("/dev/full", folder.0.join(format!("{host}-2.y4m"))).unwrap();
    let port = free_port();
    let mut recv = recv(&format!("-p {port} --stats json --overwrite --output {}/{{name}}.y4m", folder.0.display()));
    recv.said("waiting on port");
    let _first = grey(180, port);
    recv.said(&format!("{host}.y4m"));
    let mut second = grey(60, port);
    recv.said(&format!("error: no space left for {}/{host}-2.y4m", folder.0.display()));
    more(&mut recv, 2, 20);
    assert_eq!(second.stop(Signal::SIGTERM), 0);
    more(&mut recv, 1, 5);
    assert_eq!(recv.stop(Signal::SIGTERM), 1, "{}", recv.heard());
    assert!(pictures_of(180, &folder.0.join(format!("{host}.y4m"))) >= 20);
}

#[test]
fn the_sound_of_all_is_one_file_and_goes_on_when_one_of_them_leaves() {
    let folder = Folder::new("mix");
    let port = free_port();
    let old = precious(&folder, "mix.wav");
    let files = format!("--output {0}/{{name}}.y4m --audio-output {0}/{{mix}}.wav", folder.0.display());
    let mut recv = recv(&format!("-p {port} --stats json {files}"));
    recv.said("waiting on port");
    let mut sends = [(); 2].map(|()| {
        let send = send(&format!("--test -s 160x120 --host 127.0.0.1:{port}"));
        recv.said(" is written to ");
        send
    });
    more(&mut recv, 2, 30);
    assert_eq!(sends[0].stop(Signal::SIGTERM), 0);
    recv.said(".y4m: ");
    more(&mut recv, 1, 30);
    assert_eq!(recv.stop(Signal::SIGTERM), 0, "{}", recv.heard());
    recv.said("mix-2.wav: ");
    assert!(recv.heard().contains(" s of sound, of all together"), "{}", recv.heard());
    assert_eq!(folder.names().len(), 4, "{:?}", folder.names());
    assert!(is_precious(&old));
    let wav = hound::WavReader::open(folder.0.join("mix-2.wav")).unwrap();
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 48_000));
    // Both were heard for a second, one of them for another.
    assert!(wav.duration() > 2 * 40_000, "{} frames", wav.duration());
    assert!(wav.into_samples::<i16>().any(|sample| sample.unwrap().unsigned_abs() > 1000));
}

/// A picture before which a square goes its way, in steps of its side.
const SCENE: (usize, usize) = (320, 192);
const SIDE: usize = 16;

/// The place and the grey of the square in a picture, from left to right and down.
fn square(picture: usize) -> (usize, usize, u8) {
    let columns = SCENE.0 / SIDE;
    (picture % columns * SIDE, picture / columns % (SCENE.1 / SIDE) * SIDE, 160 + (picture % 8 * 10) as u8)
}

/// `send` with pictures of the square, until it is told to stop.
fn moving(port: u16) -> Program {
    let mut send = Program::spawn(SEND, &format!("--file - -q 90 -p {port} --stats json"), Stdio::piped(), Out::Stats);
    let mut stdin = send.stdin();
    thread::spawn(move || {
        let (pace, luma) = (mpsc::channel::<()>(), SCENE.0 * SCENE.1);
        let mut stream = format!("YUV4MPEG2 W{} H{} F20:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n", SCENE.0, SCENE.1).into_bytes();
        for picture in 0.. {
            let begin = stream.len() + b"FRAME\n".len();
            stream.extend([&b"FRAME\n"[..], &vec![80; luma], &vec![128; luma / 2]].concat());
            let (left, top, grey) = square(picture);
            for row in top..top + SIDE {
                stream[begin + row * SCENE.0 + left..][..SIDE].fill(grey);
            }
            if stdin.write_all(&std::mem::take(&mut stream)).is_err() {
                return;
            }
            // Nothing is waited for but the time.
            let _ = pace.1.recv_timeout(Duration::from_millis(50));
        }
    });
    send
}

/// These planes show the square at one place of its way, and nothing else: no trace of where it was.
fn shows_one_square(what: &str, planes: &[u8]) {
    let luma = &planes[..SCENE.0 * SCENE.1];
    let bright = luma.iter().position(|luma| *luma > 120).expect("a square");
    let (left, top) = (bright % SCENE.0, bright / SCENE.0);
    let picture = left / SIDE + top / SIDE * (SCENE.0 / SIDE);
    assert_eq!((left, top), (square(picture).0, square(picture).1), "{what}: a part of the square");
    let grey = luma[bright];
    for (at, found) in luma.iter().enumerate() {
        let within = (left..left + SIDE).contains(&(at % SCENE.0)) && (top..top + SIDE).contains(&(at / SCENE.0));
        assert!(found.abs_diff(if within { grey } else { 80 }) < 8, "{what}: {found} at {}, {}", at % SCENE.0, at / SCENE.0);
    }
}

/// Beside who writes JPEGs as they come, what moves is all that the others are sent; and both files are right.
#[test]
fn of_what_moves_a_y4m_is_drawn_and_only_who_writes_jpegs_is_sent_whole_pictures() {
    let (folder, port) = (Folder::new("moving"), free_port());
    let mut send = moving(port);
    send.said("waiting on port");
    let files = ["drawn.y4m", "joined.mjpeg"].map(|name| folder.0.join(name));
    let mut writers = files.clone().map(|file| {
        let mut writer = recv(&format!("--host 127.0.0.1:{port} --stats json --output {}", file.display()));
        writer.stats_with(|stats| stats["whole"].as_u64().unwrap() >= 20);
        writer
    });
    let figures = |stats: &serde_json::Value| ["pictures", "coded"].map(|name| stats[name].as_f64().unwrap());
    let before = figures(&send.stats());
    let after = figures(&send.stats_with(|stats| figures(stats)[0] >= before[0] + 60.0));
    let (pictures, coded) = (after[0] - before[0], after[1] - before[1]);
    assert!(coded < pictures / 4.0, "{coded} of {pictures} pictures were coded for all");
    for writer in &mut writers {
        assert_eq!(writer.stop(Signal::SIGTERM), 0, "{}", writer.heard());
    }
    let drawn = fs::read(&files[0]).unwrap();
    let header = drawn.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let frames = drawn[header..].chunks(SCENE.0 * SCENE.1 * 3 / 2 + 6);
    assert!(frames.len() >= 60, "{} pictures", frames.len());
    frames.for_each(|frame| shows_one_square("drawn", &frame[6..]));
    let joined = fs::read(&files[1]).unwrap();
    let begins: Vec<usize> = (0..joined.len() - 1).filter(|at| joined[*at..].starts_with(&[0xFF, 0xD8])).collect();
    assert!(begins.len() >= 40, "{} pictures", begins.len());
    let (pool, ends) = (BufferPool::new(), begins[1..].iter().copied().chain([joined.len()]));
    for (begin, end) in begins.iter().zip(ends) {
        let (_, _, planes, _) = passthrough::decode(&joined[*begin..end], &pool).unwrap();
        shows_one_square("joined", &planes);
    }
}
