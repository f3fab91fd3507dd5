//! Films through the real `ffmpeg`: every picture once, in order, at its own time, with its sound.
//!
//! Needs `ffmpeg` and `ffprobe`. Films are a second or two long and play in real time, so the cases run beside each other.

#![allow(clippy::disallowed_methods, reason = "plays in real time")]

#[path = "support/ticks.rs"]
mod ticks;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use eyeline::capture::file::{Error, Film, Options, Playback};
use eyeline::capture::y4m::{self, Live};
use eyeline::slot::Slot;
use eyeline_proto::picture::{Body, Picture, Sampling, Size};
use eyeline_proto::rate::Rate;
use eyeline_proto::sound::{BLOCK_FRAMES, Block, RATE};
use ticks::Ticks;

/// Makes a film by the arguments of an ffmpeg command without input, and names it.
fn film(name: &str, arguments: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("films");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(&path)
        .stdin(Stdio::null())
        .status()
        .expect("ffmpeg is needed: apt install ffmpeg");
    assert!(status.success(), "ffmpeg {arguments}");
    path
}

fn ffprobe(path: &Path, arguments: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "default=nk=1:nw=1"])
        .args(arguments.split_whitespace())
        .arg(path)
        .output()
        .expect("ffprobe is needed: apt install ffmpeg");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What was seen of a picture.
struct Seen {
    captured: Instant,
    taken: Instant,
    /// In the film.
    position: Duration,
    size: Size,
    planes: Vec<u8>,
}

impl Seen {
    fn of(picture: &Picture) -> Self {
        let taken = Instant::now();
        let Body::Planes(Sampling::Yuv420, planes) = &picture.body else { panic!("films come as 4:2:0 planes") };
        assert_eq!(planes.len(), Sampling::Yuv420.bytes(picture.size));
        // A still has none.
        let position = picture.position.unwrap_or_default();
        Seen { captured: picture.captured, taken, position, size: picture.size, planes: planes.to_vec() }
    }

    fn luma(&self, x: u32, y: u32) -> u8 {
        self.planes[(y * self.size.width + x) as usize]
    }

    fn is_white(&self) -> bool {
        self.luma(self.size.width / 2, self.size.height / 2) > 128
    }
}

struct Played {
    pictures: Vec<Seen>,
    blocks: Vec<Block<Instant>>,
}

impl Played {
    fn times(&self) -> impl Iterator<Item = Instant> {
        self.pictures.iter().map(|picture| picture.captured)
    }

    /// How far the first white picture from `picture` on and the first sample louder than a quarter of full scale from `frame` on
    /// are apart, in the film's own time.
    ///
    /// Where this machine was too busy the film's clock stands still for more than 100 ms, for pictures and sound alike. Each
    /// picture and block says when the film began by the clock as it then was; the clock that most of both went by is the one
    /// with which they are the least apart.
    fn apart(&self, picture: usize, frame: usize) -> Duration {
        let flash = picture + self.pictures[picture..].iter().position(Seen::is_white).unwrap();
        let loud = |block: &Block<Instant>| {
            block.samples.iter().step_by(block.channels.into()).map(|s| s.unsigned_abs() > 8192).collect()
        };
        let beep = frame + self.blocks.iter().flat_map::<Vec<bool>, _>(loud).skip(frame).position(|loud| loud).unwrap();
        let flashes = self.pictures[flash..].iter().map(|seen| seen.captured - seen.position + self.pictures[flash].position);
        let blocks = self.blocks.iter().enumerate().skip(beep / BLOCK_FRAMES);
        let beeps: Vec<Instant> =
            blocks.map(|(k, block)| block.capture - sample_time(k * BLOCK_FRAMES) + sample_time(beep)).collect();
        let apart = |flash: Instant| beeps.iter().map(move |beep| flash.max(*beep) - flash.min(*beep));
        flashes.flat_map(apart).min().unwrap()
    }
}

fn sample_time(k: usize) -> Duration {
    Duration::from_nanos(k as u64 * 1_000_000_000 / u64::from(RATE))
}

/// Plays to the end, or until so many pictures were taken.
fn play_until(playback: Playback, most: usize) -> Played {
    let (pictures, sound) = (Slot::waiting(2), Slot::waiting(8));
    let film = Film::open(playback, Arc::clone(&pictures), Arc::clone(&sound)).unwrap();
    let blocks = std::thread::spawn(move || std::iter::from_fn(|| sound.take()).collect());
    let seen = std::iter::from_fn(|| pictures.take()).take(most).map(|picture| Seen::of(&picture)).collect();
    if pictures.is_closed() {
        assert!(film.failed().is_none(), "{:?}", film.failed());
    }
    drop(film);
    Played { pictures: seen, blocks: blocks.join().unwrap() }
}

fn play(playback: Playback) -> Played {
    play_until(playback, usize::MAX)
}

fn probe(path: &Path) -> Playback {
    Film::probe(path, &Options::default()).unwrap()
}

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

/// Times must be as expected to within `off`, but for where this machine was too busy: there the film stands still for more than
/// 100 ms, and all that follows is later by so much. Says how much that was in all.
fn assert_times(times: impl Iterator<Item = Instant>, off: Duration, expected: impl Fn(usize) -> Duration) -> Duration {
    let (mut start, mut lost) = (None, Duration::ZERO);
    for (k, time) in times.enumerate() {
        let time = time - *start.get_or_insert(time - expected(k));
        let due = expected(k) + lost;
        if time.abs_diff(due) > off {
            assert!(time > due + Duration::from_millis(100), "{k} came at {time:?} where {due:?} was expected");
            lost = time - expected(k);
        }
    }
    lost
}

/// Blocks follow each other without a gap, and all but the last are whole.
fn assert_sound_is_whole(blocks: &[Block<Instant>], channels: u8) {
    assert_times(blocks.iter().map(|block| block.capture), Duration::ZERO, |k| sample_time(k * BLOCK_FRAMES));
    for (k, block) in blocks.iter().enumerate() {
        let frames = block.samples.len() / usize::from(channels);
        assert_eq!(block.channels, channels);
        assert!(frames == BLOCK_FRAMES || k == blocks.len() - 1, "block {k} has {frames} frames");
    }
}

fn a_constant_rate_film(rate: &str, container: &str) {
    let name = format!("constant-{}.{container}", rate.replace('/', "-"));
    let path = film(&name, &format!("-f lavfi -i testsrc2=s=160x90:r={rate}:d=1.5 -c:v libx264 -preset veryfast"));
    let counted = ffprobe(&path, "-select_streams v -count_frames -show_entries stream=nb_read_frames");
    let playback = probe(&path);
    let video = playback.video.clone().unwrap();
    let exact = Rate::parse(&format!("{rate}/1")).or(Rate::parse(rate)).unwrap();
    assert_eq!((video.rate.at(1001), video.variable), (exact.at(1001), false));
    assert_eq!(playback.sound, None);
    let played = play(playback);
    assert_eq!(played.pictures.len().to_string(), counted[0]);
    assert_times(played.times(), Duration::ZERO, |k| exact.at(k as u64));
    assert!(played.pictures.iter().all(|picture| picture.taken >= picture.captured), "none came before its time");
    assert!(played.blocks.is_empty());
}

#[test]
fn every_picture_of_24_a_second_comes_once_at_its_exact_time() {
    a_constant_rate_film("24", "mp4");
}

#[test]
fn every_picture_of_23_976_a_second_comes_once_at_its_exact_time() {
    a_constant_rate_film("24000/1001", "mkv");
}

#[test]
fn every_picture_of_25_a_second_comes_once_at_its_exact_time() {
    a_constant_rate_film("25", "ts");
}

#[test]
fn every_picture_of_29_97_a_second_comes_once_at_its_exact_time() {
    a_constant_rate_film("30000/1001", "mp4");
}

#[test]
fn every_picture_of_60_a_second_comes_once_at_its_exact_time() {
    a_constant_rate_film("60", "mkv");
}

#[test]
fn a_variable_rate_film_keeps_its_own_times() {
    let uneven = "select='not(mod(n,4))+not(mod(n,7))+between(n,40,50)'";
    let path = film("variable.mp4", &format!("-f lavfi -i testsrc2=s=160x90:r=50:d=2 -vf {uneven} -fps_mode vfr -c:v libx264"));
    let stamps = ffprobe(&path, "-select_streams v -show_entries frame=pts_time");
    let playback = probe(&path);
    assert!(playback.video.as_ref().unwrap().variable);
    let played = play(playback);
    assert_eq!(played.pictures.len(), stamps.len());
    let stamps: Vec<_> = stamps.iter().map(|stamp| Duration::from_secs_f64(stamp.parse().unwrap())).collect();
    assert_times(played.times(), Duration::from_micros(1100), |k| stamps[k]);
}

#[test]
fn odd_sizes_survive_with_their_last_row_and_column() {
    let draw = "drawbox=x=640:y=0:w=1:h=359:c=white:t=fill,drawbox=x=0:y=358:w=641:h=1:c=white:t=fill";
    let source = format!("-f lavfi -i color=black:s=641x359:r=10:d=0.3,format=yuv444p,{draw} -c:v ffv1");
    let played = play(probe(&film("odd.mkv", &source)));
    assert_eq!(played.pictures.len(), 3);
    for picture in &played.pictures {
        assert_eq!(picture.size, size(641, 359));
        let corners = [(0, 0), (640, 0), (0, 358), (639, 357), (640, 358)].map(|(x, y)| picture.luma(x, y) > 200);
        assert_eq!(corners, [false, true, true, false, true]);
    }
}

#[test]
fn a_film_lying_on_its_side_is_turned_upright() {
    let draw = "drawbox=x=0:y=0:w=320:h=90:c=white:t=fill";
    let plain = film("upright.mp4", &format!("-f lavfi -i color=black:s=320x180:r=10:d=0.3,{draw} -c:v libx264"));
    let turned = film("turned.mp4", &format!("-i {} -c copy -metadata:s:v rotate=90", plain.display()));
    let playback = probe(&turned);
    assert_eq!(playback.video.as_ref().unwrap().size, size(180, 320));
    let played = play(playback);
    assert_eq!(played.pictures.len(), 3);
    let sides = [10, 170].map(|x| played.pictures[0].luma(x, 160) > 200);
    assert_eq!(sides, [true, false], "turned a quarter to the left, what was above is on the left");
}

#[test]
fn wide_pixels_become_square_and_a_width_is_kept_to() {
    let path = film("wide.mkv", "-f lavfi -i testsrc2=s=160x90:r=10:d=0.3,setsar=2/1 -c:v libx264");
    assert_eq!(play(probe(&path)).pictures[0].size, size(320, 90));
    let playback = Film::probe(&path, &Options { width: Some(101), ..Options::default() }).unwrap();
    assert_eq!(play(playback).pictures[0].size, size(101, 28));
}

#[test]
fn every_matrix_and_range_becomes_full_range_bt601() {
    for (name, matrix, range) in [("709-tv", "bt709", "tv"), ("601-tv", "smpte170m", "tv"), ("709-pc", "bt709", "pc")] {
        let scale = if matrix == "bt709" { "bt709" } else { "bt601" };
        let filter = format!("scale=out_color_matrix={scale}:out_range={range},format=yuv420p");
        let tags = format!("-colorspace {matrix} -color_primaries bt709 -color_trc bt709 -color_range {range}");
        let source = "-f lavfi -i color=red:s=64x64:r=10:d=0.2,format=rgb24";
        let path = film(&format!("red-{name}.mkv"), &format!("{source} -vf {filter} {tags} -c:v libx264 -qp 0"));
        let picture = &play(probe(&path)).pictures[0];
        let n = 64 * 64;
        let red = [picture.planes[n / 2], picture.planes[n + 100], picture.planes[n + n / 4 + 100]];
        for (got, wanted) in red.iter().zip([76u8, 85, 255]) {
            assert!(got.abs_diff(wanted) <= 2, "{name}: {red:?}");
        }
    }
}

#[test]
fn mono_stays_mono_and_surround_becomes_stereo() {
    let mono = film("mono.m4a", "-f lavfi -i sine=440:r=44100:d=1 -ac 1 -c:a aac");
    let playback = probe(&mono);
    assert_eq!((playback.video.is_none(), playback.sound.as_ref().unwrap().channels), (true, 1));
    let played = play(playback);
    assert_sound_is_whole(&played.blocks, 1);
    let frames: usize = played.blocks.iter().map(|block| block.samples.len()).sum();
    assert!(frames.abs_diff(48_000) < 1200, "{frames} frames of one second, give or take a coder's frame");

    let surround = film("surround.mkv", "-f lavfi -i sine=440:d=1 -af pan=5.1|FC=c0|FL=c0|FR=c0 -c:a flac");
    let played = play(probe(&surround));
    assert_sound_is_whole(&played.blocks, 2);
    assert!(played.pictures.is_empty());
    let frames: usize = played.blocks.iter().map(|block| block.samples.len() / 2).sum();
    assert_eq!(frames, 48_000);
}

/// Black and silence with a white flash and a beep from 0.5 s to 0.6 s; pictures and sound last as long as said.
fn flash_and_beep(length: f64, sound: f64) -> String {
    format!(
        "-f lavfi -i color=black:s=64x64:r=30:d={length},drawbox=c=white:t=fill:enable='between(t,0.499,0.599)' \
         -f lavfi -i aevalsrc='0.9*cos(2*PI*1000*t)*between(t,0.5,0.6)':s=48000:d={sound}"
    )
}

#[test]
fn a_flash_and_a_beep_of_one_moment_are_given_the_same_time() {
    // A coder's delay puts the sound's first stamp before the picture's, off the grid of periods.
    let coded = "-c:v libx264 -c:a aac -b:a 192k";
    for (name, codecs) in
        [("beep.mkv", "-c:v ffv1 -c:a pcm_s16le"), ("beep.mp4", coded), ("coded.mkv", coded), ("beep.ts", coded)]
    {
        let path = film(name, &format!("{} {codecs}", flash_and_beep(1.0, 1.0)));
        let played = play(probe(&path));
        assert_eq!(played.pictures.len(), 30, "{name}");
        assert_sound_is_whole(&played.blocks, 1);
        assert!(played.pictures[15].is_white() && !played.pictures[14].is_white(), "{name}");
        let apart = played.apart(0, 0);
        assert!(apart < Duration::from_millis(2), "{name}: {apart:?} apart");
    }
}

#[test]
fn sound_that_begins_late_and_ends_early_keeps_its_place() {
    let video = "-f lavfi -i color=black:s=64x64:r=30:d=1.5,drawbox=c=white:t=fill:enable='between(t,0.999,1.099)'";
    let audio = "-itsoffset 0.8 -f lavfi -i aevalsrc='0.9*cos(2*PI*1000*t)*gte(t,0.2)':s=48000:d=0.4";
    let path = film("late.mkv", &format!("{video} {audio} -c:v ffv1 -c:a pcm_s16le"));
    let played = play(probe(&path));
    assert_eq!(played.pictures.len(), 45);
    assert_times(played.times(), Duration::ZERO, |k| Rate::DEFAULT.at(k as u64));
    assert_sound_is_whole(&played.blocks, 1);
    assert!(played.apart(0, 0) < Duration::from_millis(2), "{:?}", played.apart(0, 0));
}

#[test]
fn stamps_off_the_grid_of_the_nominal_rate_are_kept() {
    let path = film(
        "off-grid.mkv",
        "-f lavfi -i testsrc2=s=160x90:r=30:d=1 -vf settb=1/1000,setpts='(N*1.1+mod(N,3)*0.2)/30/TB' -fps_mode passthrough -enc_time_base 1:1000 -c:v ffv1",
    );
    let stamps = ffprobe(&path, "-select_streams v -show_entries frame=pts_time");
    let played = play(probe(&path));
    assert_eq!(played.pictures.len(), stamps.len());
    let stamps: Vec<_> = stamps.iter().map(|stamp| Duration::from_secs_f64(stamp.parse().unwrap())).collect();
    assert_times(played.times(), Duration::from_micros(1100), |k| stamps[k]);
}

#[test]
fn a_short_sound_neither_stops_the_pictures_nor_is_moved() {
    // 166 MB of pictures, so that the film is not read to its end before the sound's last samples are due: queues hold 128 MiB.
    let source = "-f lavfi -i color=red:s=1280x720:r=30:d=4 -f lavfi -i sine=440:r=44100:d=0.2";
    let path = film("short.mkv", &format!("{source} -c:v libx264 -preset ultrafast -c:a aac"));
    let played = play(probe(&path));
    assert_eq!(played.pictures.len(), 120);
    let lost = assert_times(played.times(), Duration::ZERO, |k| Rate::DEFAULT.at(k as u64));
    let silent = play(Film::probe(&path, &Options { want_audio: false, ..Options::default() }).unwrap());
    let anyway = assert_times(silent.times(), Duration::ZERO, |k| Rate::DEFAULT.at(k as u64));
    let most = Duration::from_secs(1) + 2 * anyway;
    assert!(lost < most, "{lost:?} were lost in waiting for the sound's last samples, {anyway:?} without sound");
    assert_sound_is_whole(&played.blocks, 1);
}

#[test]
fn a_hole_in_the_sound_is_silence_and_what_follows_keeps_its_place() {
    let hole = "-af aselect='not(between(t,0.1,0.4))'";
    let path = film("hole.mkv", &format!("{} {hole} -c:v ffv1 -c:a pcm_s16le", flash_and_beep(1.0, 1.0)));
    let played = play(probe(&path));
    assert_sound_is_whole(&played.blocks, 1);
    assert!(played.apart(0, 0) < Duration::from_millis(2), "{:?}", played.apart(0, 0));
}

#[test]
fn a_loop_begins_anew_with_picture_and_sound_together() {
    // The sound is longer: each pass lasts 700 ms, the picture stands for the last 100.
    let path = film("loop.mkv", &format!("{} -c:v ffv1 -c:a pcm_s16le", flash_and_beep(0.6, 0.7)));
    let playback = Film::probe(&path, &Options { looped: true, ..Options::default() }).unwrap();
    let played = play_until(playback, 18 * 3);
    assert_eq!(played.pictures.len(), 18 * 3);
    let pass = Duration::from_millis(700);
    assert_times(played.times(), Duration::ZERO, |k| pass * (k / 18) as u32 + Rate::DEFAULT.at(k as u64 % 18));
    assert_sound_is_whole(&played.blocks, 1);
    for pass in 0..2 {
        let apart = played.apart(pass * 18, pass * 33_600);
        assert!(apart < Duration::from_millis(1), "pass {pass}: {apart:?}");
    }
}

#[test]
fn a_slow_consumer_loses_nothing_and_picture_and_sound_stay_in_step() {
    let path = film("slow.mkv", &format!("{} -c:v ffv1 -c:a pcm_s16le", flash_and_beep(1.0, 1.0)));
    let (pictures, sound) = (Slot::waiting(1), Slot::waiting(1000));
    let film = Film::open(probe(&path), Arc::clone(&pictures), Arc::clone(&sound)).unwrap();
    let mut seen = Vec::new();
    while let Some(picture) = pictures.take() {
        seen.push(Seen::of(&picture));
        if seen.len() == 5 {
            // A receiver that stands still for half a second: nobody sends on this channel.
            let (_nobody, busy) = mpsc::channel::<()>();
            assert!(busy.recv_timeout(Duration::from_millis(500)).is_err());
        }
    }
    assert!(film.failed().is_none());
    assert_eq!(seen.len(), 30);
    let blocks: Vec<Block<Instant>> = std::iter::from_fn(|| sound.try_take()).collect();
    assert_eq!(blocks.iter().map(|block| block.samples.len()).sum::<usize>(), 48_000, "not a sample is missing");
    let played = Played { pictures: seen, blocks };
    let flash = played.pictures.iter().find(|picture| picture.is_white()).unwrap();
    let late = flash.captured - played.pictures[0].captured - Duration::from_millis(500);
    assert!(late > Duration::from_millis(300), "the clock moved by what was lost: {late:?}");
    let apart = played.apart(0, 0);
    assert!(apart < Duration::from_millis(2), "{apart:?} apart after the pause");
}

#[test]
fn a_film_can_be_left_at_any_moment_and_its_child_is_gone() {
    let path = film("left.mkv", "-f lavfi -i testsrc2=s=640x360:r=30:d=20 -c:v libx264 -preset ultrafast");
    let (pictures, sound) = (Slot::waiting(1), Slot::waiting(1));
    let film = Film::open(probe(&path), Arc::clone(&pictures), Arc::clone(&sound)).unwrap();
    assert!(pictures.take().is_some());
    let ticks = Ticks::start();
    drop(film);
    assert!(ticks.elapsed() < Duration::from_secs(2), "{:?}", ticks.elapsed());
    assert!(pictures.is_closed() && sound.is_closed());
    assert_eq!(children(&path), 0);
}

#[test]
fn a_damaged_film_plays_as_far_as_it_goes() {
    let path = film("whole.mkv", "-f lavfi -i testsrc2=s=160x90:r=30:d=2 -c:v libx264 -g 10");
    let bytes = std::fs::read(&path).unwrap();
    let cut = path.with_file_name("cut.mkv");
    std::fs::write(&cut, &bytes[..bytes.len() * 6 / 10]).unwrap();
    let played = play(probe(&cut));
    assert!((10..59).contains(&played.pictures.len()), "{}", played.pictures.len());
}

#[test]
fn what_is_no_film_is_told_in_one_clear_line() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-films");
    std::fs::create_dir_all(&dir).unwrap();
    // ffmpeg shows a long enough text as a terminal would.
    let notes = "one line of many\n".repeat(500);
    for (name, bytes) in [("empty.mp4", &b""[..]), ("text.mp4", b"not a film\n"), ("notes.txt", notes.as_bytes())] {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
    let said = |name: &str| {
        let error = Film::probe(&dir.join(name), &Options::default()).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        error.replace(&format!("{}/", dir.display()), "")
    };
    assert_eq!(said("missing.mp4"), "there is no file missing.mp4");
    assert_eq!(said("empty.mp4"), "empty.mp4 is not a film that ffmpeg can play: it is empty");
    assert_eq!(said("text.mp4"), "text.mp4 is not a film that ffmpeg can play: moov atom not found");
    assert_eq!(said("notes.txt"), "notes.txt is not a film that ffmpeg can play: it is text");
    assert!(said("").contains("it is a directory"));
    let silent = film("silent.mkv", "-f lavfi -i testsrc2=s=160x90:r=30:d=0.2 -c:v libx264");
    let options = Options { want_video: false, ..Options::default() };
    assert!(matches!(Film::probe(&silent, &options), Err(Error::Nothing { wanted: "sound", .. })));
}

/// How bright the middle row is at these columns.
fn middle<const N: usize>(picture: &Seen, columns: [u32; N]) -> [u8; N] {
    columns.map(|x| picture.luma(x, picture.size.height / 2))
}

#[test]
fn pictures_of_another_shape_are_fitted_into_the_first_ones_with_black_beside_them() {
    let part = |name: &str, size: &str, extra: &str| {
        let path = film(name, &format!("-f lavfi -i color=white:s={size}:r=10:d=0.5 {extra} -c:v libx264 -bf 0 -f mpegts"));
        std::fs::read(path).unwrap()
    };
    let whole = Path::new(env!("CARGO_TARGET_TMPDIR")).join("films/turns.ts");
    let parts =
        [part("wide.ts", "320x240", ""), part("tall.ts", "240x320", ""), part("squeezed.ts", "320x240", "-vf setsar=1/2")];
    std::fs::write(&whole, parts.concat()).unwrap();
    let played = play(probe(&whole));
    assert!(played.pictures.iter().all(|picture| picture.size == size(320, 240)));
    // Tall ones and those with narrow pixels have bars of 70 and 80 columns.
    let seen: Vec<_> = played.pictures.iter().map(|picture| middle(picture, [0, 66, 74, 96, 104, 160, 319])).collect();
    let like = |bright: [bool; 7]| {
        seen.iter().filter(|row| row.map(|luma| luma > 200) == bright && row.iter().all(|luma| !(3..200).contains(luma))).count()
    };
    assert!(like([true; 7]) >= 4, "{seen:?}");
    assert!(like([false, false, true, true, true, true, false]) >= 4, "{seen:?}");
    assert!(like([false, false, false, true, true, true, false]) >= 4, "{seen:?}");
}

/// A JPEG with its left half white and this Exif orientation.
fn jpeg_on_its_side(name: &str, orientation: u8) -> PathBuf {
    let draw = "drawbox=x=0:y=0:w=160:h=240:c=white:t=fill";
    let path = film(name, &format!("-f lavfi -i color=black:s=320x240:d=0.04,{draw} -frames:v 1 -q:v 2"));
    let bytes = std::fs::read(&path).unwrap();
    let exif =
        [&b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0], &[0; 4]].concat();
    std::fs::write(&path, [&bytes[..2], &exif, &bytes[2..]].concat()).unwrap();
    path
}

/// Plays a still for a moment.
fn play_still(path: &Path) -> Seen {
    let playback = Playback { still: Some(Duration::ZERO), ..probe(path) };
    assert!(playback.video.as_ref().unwrap().still);
    play(playback).pictures.remove(0)
}

#[test]
fn a_still_is_turned_and_mirrored_as_its_orientation_says() {
    for (orientation, upright, white) in [
        (1, size(320, 240), (10, 120)),
        (2, size(320, 240), (310, 120)),
        (5, size(240, 320), (120, 10)),
        (6, size(240, 320), (120, 10)),
        (8, size(240, 320), (120, 310)),
    ] {
        let picture = play_still(&jpeg_on_its_side(&format!("exif{orientation}.jpg"), orientation));
        assert_eq!(picture.size, upright, "orientation {orientation}");
        let dark = (picture.size.width - 1 - white.0, picture.size.height - 1 - white.1);
        assert!(picture.luma(white.0, white.1) > 200 && picture.luma(dark.0, dark.1) < 50, "orientation {orientation}");
    }
}

#[test]
fn a_mirrored_film_is_mirrored_and_not_turned_by_half() {
    let draw = "drawbox=x=0:y=0:w=160:h=120:c=white:t=fill";
    let path = film("mirrored.mp4", &format!("-f lavfi -i color=black:s=320x240:r=10:d=0.3,{draw} -c:v libx264"));
    let mut bytes = std::fs::read(&path).unwrap();
    // The matrix of the track's header: 40 bytes behind the version of a version 0 header.
    let matrix = bytes.windows(4).position(|word| word == b"tkhd").unwrap() + 4 + 40;
    assert_eq!(bytes[matrix..matrix + 4], 0x1_0000u32.to_be_bytes());
    bytes[matrix..matrix + 4].copy_from_slice(&(-0x1_0000i32).to_be_bytes());
    bytes[matrix + 24..matrix + 28].copy_from_slice(&(320u32 << 16).to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    let played = play(probe(&path));
    let corners = [(10, 10), (310, 10), (10, 230), (310, 230)].map(|(x, y)| played.pictures[0].luma(x, y) > 200);
    assert_eq!(corners, [false, true, false, false]);
}

#[test]
fn pictures_woven_of_two_fields_are_taken_apart() {
    let woven = "geq=lum='16+219*gt(mod(X+N*8,64),32)':cb=128:cr=128,tinterlace=mode=interleave_top";
    let coded = "-c:v mpeg2video -q:v 2 -flags +ildct+ilme";
    let path = film("woven.mpg", &format!("-f lavfi -i color=black:s=64x64:r=50:d=1,{woven} {coded}"));
    let combs = |playback: Playback| {
        let played = play(playback);
        let picture = &played.pictures[played.pictures.len() / 2];
        let places = (8..55).flat_map(|y| (0..64).map(move |x| (x, y)));
        places.filter(|&(x, y)| picture.luma(x, y).abs_diff(picture.luma(x, y + 1)) > 100).count()
    };
    let playback = probe(&path);
    let mut as_they_are = playback.clone();
    as_they_are.video.as_mut().unwrap().treatment.interlaced = false;
    assert_eq!((combs(playback), combs(as_they_are) > 300), (0, true));
}

#[test]
fn what_is_transparent_lies_on_black() {
    let clear = "geq=r=255:g=255:b=255:a='255*gte(X,80)'";
    let path = film("clear.png", &format!("-f lavfi -i color=white:s=160x120:d=0.04,format=rgba,{clear} -frames:v 1"));
    let picture = play_still(&path);
    assert_eq!(middle(&picture, [10, 70, 90, 150]).map(|luma| luma > 200), [false, false, true, true]);
    assert!(picture.luma(10, 60) < 3);
}

#[test]
fn a_still_is_decoded_once_and_given_again_and_at_once_to_whoever_comes() {
    let path = film("still.png", "-f lavfi -i testsrc2=s=320x240:d=0.04 -frames:v 1");
    let playback = Film::probe(&path, &Options { looped: true, still: None, ..Options::default() }).unwrap();
    let (pictures, sound) = (Slot::waiting(2), Slot::waiting(2));
    let film = Film::open(playback, Arc::clone(&pictures), Arc::clone(&sound)).unwrap();
    let next = || Seen::of(&pictures.take().unwrap());
    // None comes before its time, and of three the one that is the least late is looked at.
    let waits = [(); 3].map(|()| {
        let first = next();
        film.show_again();
        let (second, third) = (next(), next());
        assert!(first.planes == second.planes && second.planes == third.planes);
        (second.captured - first.captured, third.captured - second.captured)
    });
    let (again, usual) = (waits.map(|wait| wait.0).into_iter().min(), waits.map(|wait| wait.1).into_iter().min());
    assert!(again < usual, "{again:?} for who came, {usual:?} else");
    assert_eq!(children(&path), 0);
    drop(film);
    assert!(pictures.is_closed());
    // Not looped it ends by itself.
    let played = play(Playback { still: Some(Duration::from_millis(700)), ..probe(&path) });
    assert!((1..=2).contains(&played.pictures.len()), "{} in 700 ms", played.pictures.len());
}

/// How many processes have this film in their command line.
fn children(path: &Path) -> usize {
    let mine = format!("file:{}", path.display());
    let running =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    running.filter(|line| String::from_utf8_lossy(line).contains(&mine)).count()
}

#[test]
fn a_short_loop_is_decoded_once() {
    let path = film("short-loop.mkv", "-f lavfi -i testsrc2=s=160x90:r=25:d=0.4 -c:v ffv1");
    let playback = Film::probe(&path, &Options { looped: true, ..Options::default() }).unwrap();
    let (pictures, sound) = (Slot::waiting(1), Slot::waiting(1));
    let film = Film::open(playback, Arc::clone(&pictures), sound).unwrap();
    let seen: Vec<Seen> = (0..40).map(|_| Seen::of(&pictures.take().unwrap())).collect();
    assert_eq!(children(&path), 0);
    drop(film);
    for (k, picture) in seen.iter().enumerate() {
        assert!(picture.planes == seen[k % 10].planes, "{k}");
    }
    assert_times(seen.iter().map(|picture| picture.captured), Duration::ZERO, |k| Duration::from_millis(40 * k as u64));
}

#[test]
fn a_percent_sign_is_part_of_a_name_and_what_is_cut_off_is_told_so() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("percent");
    std::fs::create_dir_all(&dir).unwrap();
    let plain = film("plain.png", "-f lavfi -i color=white:s=64x48:d=0.04 -frames:v 1");
    std::fs::copy(&plain, dir.join("a%03d.png")).unwrap();
    let other = film("other.png", "-f lavfi -i color=black:s=32x24:d=0.04 -frames:v 1");
    std::fs::copy(&other, dir.join("a001.png")).unwrap();
    let picture = play_still(&dir.join("a%03d.png"));
    assert_eq!((picture.size, picture.is_white()), (size(64, 48), true));

    let whole = film("to-cut.mp4", "-f lavfi -i testsrc2=s=160x90:r=30:d=1 -c:v libx264");
    let cut = dir.join("cut.mp4");
    let bytes = std::fs::read(whole).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let error = Film::probe(&cut, &Options::default()).unwrap_err().to_string();
    assert!(error.ends_with("is not a film that ffmpeg can play: moov atom not found"), "{error}");
}

/// What ffmpeg writes into a pipe, as the live source takes it.
fn piped(arguments: &str) -> (Vec<Picture>, Option<y4m::Error>) {
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(arguments.split_whitespace())
        .arg("pipe:1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("ffmpeg is needed: apt install ffmpeg");
    let pictures = Slot::waiting(4);
    let live = Live::open(child.stdout.take().unwrap().into(), Arc::clone(&pictures)).unwrap();
    let seen = std::iter::from_fn(|| pictures.take()).collect();
    let failed = live.failed();
    // Where the stream is refused, ffmpeg's pipe breaks and it ends with an error.
    drop(live);
    assert_eq!(child.wait().unwrap().success(), failed.is_none());
    (seen, failed)
}

#[test]
fn what_ffmpeg_pipes_in_is_taken_whole() {
    let source = "-f lavfi -i testsrc=s=641x359:r=30:d=1";
    for (options, sampling) in [
        ("-pix_fmt yuv420p", Sampling::Yuv420),
        ("-pix_fmt yuvj422p", Sampling::Yuv422),
        ("-pix_fmt yuv444p", Sampling::Yuv444),
        ("-pix_fmt gray -strict -1", Sampling::Grey),
    ] {
        let (pictures, failed) = piped(&format!("{source} {options} -f yuv4mpegpipe"));
        assert!(failed.is_none(), "{options}: {failed:?}");
        assert_eq!(pictures.len(), 30, "{options}");
        let fits = |body: &Body| matches!(body, Body::Planes(kind, planes) if *kind == sampling && planes.len() == sampling.bytes(size(641, 359)));
        assert!(pictures.iter().all(|picture| picture.size == size(641, 359) && fits(&picture.body)), "{options}");
    }
    let (pictures, failed) = piped(&format!("{source} -c:v mjpeg -q:v 3 -f mjpeg"));
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(pictures.len(), 30);
    for picture in &pictures {
        let Body::Jpeg(jpeg) = &picture.body else { panic!("a JPEG stays one") };
        assert_eq!((picture.size, &jpeg[..2], &jpeg[jpeg.len() - 2..]), (size(641, 359), &[0xFF, 0xD8][..], &[0xFF, 0xD9][..]));
    }
    let (pictures, failed) = piped(&format!("{source} -pix_fmt yuv420p10le -strict -1 -f yuv4mpegpipe"));
    assert!(pictures.is_empty() && matches!(failed, Some(y4m::Error::Colour(_))), "{failed:?}");
}
