//! What else can be asked of a film and of the files: JPEGs, a pipe, a width, a loop, and who ends when.

use crate::film::{Film, Recipe, ffmpeg_output, folder};
use crate::measure::{Y4m, jpegs, psnr};
use crate::program::{Out, Program, RECV, free_port, recv, send};
use nix::sys::signal::Signal;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

const SMALL: Recipe = Recipe {
    name: "small.mkv",
    size: "320x240",
    rate: "20",
    filter: "trim=duration=1.2",
    sound: "atrim=duration=1.2",
    output: "-c:v libx264 -preset veryfast -crf 16 -c:a flac",
    copied: "",
};

/// `send` with a small film, waiting on this port.
fn waiting(dir: &Path, args: &str) -> (Film, Program, u16) {
    let film = SMALL.make(dir);
    let port = free_port();
    let mut send = send(&format!("--file {} -p {port} {args}", film.text()));
    send.said("waiting on port");
    (film, send, port)
}

#[test]
fn pictures_written_as_jpegs_are_jpegs_to_other_programs_too() {
    let dir = folder("jpegs");
    let (film, mut send, port) = waiting(&dir, "-q 90");
    let out = dir.join("out.mjpeg");
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --output {}", out.display()));
    assert_eq!((recv.ended(), send.ended()), (0, 0));
    let wanted = film.pictures((320, 240));
    assert_eq!(jpegs(&std::fs::read(&out).unwrap()).len(), wanted.len());
    let filter = "scale=out_range=full,format=yuvj420p,extractplanes=y";
    let args = ["-f", "mjpeg", "-xerror", "-i", out.to_str().unwrap(), "-vf", filter, "-fps_mode", "passthrough"];
    let luma = ffmpeg_output(&[&args[..], &["-f", "rawvideo", "-"]].concat());
    let arrived: Vec<_> = luma.chunks_exact(320 * 240).collect();
    assert_eq!(arrived.len(), wanted.len());
    for (k, (arrived, wanted)) in arrived.iter().zip(&wanted).enumerate() {
        let alike = psnr(arrived, wanted);
        assert!(alike >= 36.0, "picture {k}: {alike:.1} dB");
    }
}

#[test]
fn a_pipe_gets_the_whole_film_and_nothing_else() {
    let (film, mut send, port) = waiting(&folder("pipe"), "-q 90");
    let args = format!("--no-window --no-audio --output - --host 127.0.0.1:{port}");
    let mut recv = Program::spawn(RECV, &args, Stdio::null(), Out::Raw);
    let mut bytes = Vec::new();
    recv.stdout().read_to_end(&mut bytes).unwrap();
    assert_eq!((recv.ended(), send.ended()), (0, 0));
    assert_eq!(Y4m::parse(&bytes).pictures.len(), film.times().len());
}

#[test]
fn a_reader_of_the_pipe_that_has_seen_enough_ends_recv_in_order() {
    let (_, mut send, port) = waiting(&folder("early"), "--loop");
    let args = format!("--no-window --no-audio --output - --host 127.0.0.1:{port}");
    let mut recv = Program::spawn(RECV, &args, Stdio::null(), Out::Raw);
    let mut some = vec![0; 200_000];
    let mut stdout = recv.stdout();
    stdout.read_exact(&mut some).unwrap();
    drop(stdout);
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    send.said("stopped watching");
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}

#[test]
fn a_looped_film_begins_anew_until_somebody_ends_it_and_the_files_are_whole() {
    let dir = folder("loop");
    let (film, mut send, port) = waiting(&dir, "-q 90 --loop");
    let (y4m, wav) = (dir.join("out.y4m"), dir.join("out.wav"));
    let files = format!("--output {} --audio-output {}", y4m.display(), wav.display());
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --stats json {files}"));
    let once = film.times().len();
    recv.stats_with(|stats| stats["whole"].as_u64().unwrap() as usize > 2 * once + 5);
    assert_eq!(recv.stop(Signal::SIGINT), 0);
    assert_eq!(send.stop(Signal::SIGTERM), 0);
    let (arrived, wanted) = (Y4m::read(&y4m), film.pictures((320, 240)));
    assert!(arrived.pictures.len() > 2 * once + 5);
    for (k, picture) in arrived.pictures.iter().enumerate() {
        let alike = psnr(picture, &wanted[k % once]);
        assert!(alike >= 36.0, "picture {k}: {alike:.1} dB");
    }
    let (sound, channels) = crate::measure::wav(&wav);
    let (heard, seen) = (sound.len() as f64 / channels as f64 / 48_000.0, arrived.pictures.len() as f64 * arrived.period);
    assert!((heard - seen).abs() < 0.5, "{heard:.2} s of sound for {seen:.2} s of pictures");
}

#[test]
fn a_width_is_kept_to_and_the_height_follows() {
    let dir = folder("width");
    let (film, mut send, port) = waiting(&dir, "-q 90 --width 161");
    let out = dir.join("out.y4m");
    let mut recv = recv(&format!("--host 127.0.0.1:{port} --output {}", out.display()));
    assert_eq!((recv.ended(), send.ended()), (0, 0));
    let arrived = Y4m::read(&out);
    assert_eq!((arrived.size, arrived.pictures.len()), ((161, 121), film.times().len()));
}

#[test]
fn the_end_of_a_film_ends_everybody_who_watched_it_and_one_who_left_before_changes_nothing() {
    let dir = folder("three");
    let film = SMALL.make(&dir);
    let ports = [(); 2].map(|()| free_port());
    let outs = ports.map(|port| dir.join(format!("{port}.y4m")));
    let mut recvs: Vec<_> =
        ports.iter().zip(&outs).map(|(port, out)| recv(&format!("-p {port} --output {} --stats json", out.display()))).collect();
    for recv in &mut recvs {
        recv.said("waiting on port");
    }
    let hosts = ports.map(|port| format!("--host 127.0.0.1:{port}")).join(" ");
    let mut send = send(&format!("--file {} {hosts}", film.text()));
    let mut leaves = recvs.pop().unwrap();
    leaves.stats_with(|stats| stats["whole"].as_u64() > Some(3));
    assert_eq!(leaves.stop(Signal::SIGTERM), 0);
    let mut stays = recvs.pop().unwrap();
    assert_eq!((stays.ended(), send.ended()), (0, 0));
    assert_eq!(Y4m::read(&outs[0]).pictures.len(), film.times().len());
    assert!((4..=film.times().len()).contains(&Y4m::read(&outs[1]).pictures.len()));
}

#[test]
fn films_of_several_senders_are_each_whole_in_files_of_their_own() {
    let dir = folder("each");
    let films = [
        Recipe { name: "one.mkv", ..SMALL },
        Recipe {
            name: "other.mkv",
            size: "272x208",
            filter: "trim=duration=1.2,hflip",
            sound: "atrim=duration=1.2,volume=0.5",
            ..SMALL
        },
    ];
    let films = films.map(|recipe| recipe.make(&dir));
    let out = dir.join("out");
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir(&out).unwrap();
    let ports = [(); 2].map(|()| free_port());
    let mut sends: Vec<_> =
        films.iter().zip(ports).map(|(film, port)| send(&format!("--file {} -q 90 -p {port}", film.text()))).collect();
    sends.iter_mut().for_each(|send| drop(send.said("waiting on port")));
    let files = format!("--output {0}/{{name}}.y4m --audio-output {0}/{{name}}.wav", out.display());
    let mut recv = recv(&format!("--host 127.0.0.1:{} --host 127.0.0.1:{} {files}", ports[0], ports[1]));
    recv.said("the end: everything is here");
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    assert!(sends.iter_mut().all(|send| send.ended() == 0));
    let mut arrived: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    arrived.retain(|path| path.extension().is_some_and(|kind| kind == "y4m"));
    assert_eq!(arrived.len(), 2, "{}", recv.heard());
    for (film, size) in films.iter().zip([(320, 240), (272, 208)]) {
        let wanted = film.pictures(size);
        // Who comes first has the name without a number.
        let (path, pictures) =
            arrived.iter().map(|path| (path, Y4m::read(path))).find(|(_, y4m)| y4m.size == size).expect("a file of this size");
        assert_eq!(pictures.pictures.len(), wanted.len(), "{}", film.text());
        for (k, (arrived, wanted)) in pictures.pictures.iter().zip(&wanted).enumerate() {
            let alike = psnr(arrived, wanted);
            assert!(alike >= 36.0, "{}, picture {k}: {alike:.1} dB", film.text());
        }
        let (sound, channels) = crate::measure::wav(&path.with_extension("wav"));
        let wanted = film.sound(channels);
        let (alike, _) = crate::measure::correlation(&sound, &wanted, -480..=480);
        assert!(alike > 0.99 && sound.len().abs_diff(wanted.len()) < 4800, "{}: {alike}, {} samples", film.text(), sound.len());
    }
}
