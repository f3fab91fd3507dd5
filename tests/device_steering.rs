//! A film and whoever watches it alone: it stands still and goes on with the very next picture, and goes on from another place, with
//! picture and sound together. Through the real `ffmpeg`, and through the real programs with a window on a screen of the test's own.
//!
//! The films' pictures are each of one grey, by which their number is read; their sound is a ramp, by which its place is.

#![allow(clippy::disallowed_methods, reason = "plays in real time")]

#[path = "support/on_screen.rs"]
mod on_screen;
#[path = "support/program.rs"]
mod program;
mod screen;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eyeline::capture::file::{Film, Jump, Options};
use eyeline::slot::{Slot, Taken};
use eyeline_proto::picture::{Body, Picture};
use eyeline_proto::sound::Block;
use on_screen::{on, until, window};
use program::{Program, RECV, free_port, recv, send};
use screen::{Area, Screen};
use serde_json::Value;

/// Pictures a second of the films, and how many there are.
const RATE: u32 = 25;
const COUNT: u32 = 250;

/// Nothing comes while a film stands still: so long is looked.
const SILENCE: Duration = Duration::from_millis(300);

const LEFT: u32 = 0xff51;
const RIGHT: u32 = 0xff53;

/// A film of ten seconds.
fn film(name: &str, codec: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("steering");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    let grey = "nullsrc=s=64x48:r=25:d=10,format=yuvj420p,geq=lum=N:cb=128:cr=128,scale=320x240:flags=neighbor";
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", grey, "-f", "lavfi", "-i", "aevalsrc='t/11':s=48000:d=10"])
        .args(codec.split_whitespace())
        .args(["-color_range", "pc", "-c:a", "pcm_s16le"])
        .arg(&path)
        .stdin(Stdio::null())
        .status()
        .expect("ffmpeg is needed: apt install ffmpeg");
    assert!(status.success(), "{name}");
    path
}

/// A film that plays into slots.
struct Playing {
    film: Film,
    pictures: Arc<Slot<Picture>>,
    blocks: Arc<Mutex<Vec<Block<Instant>>>>,
    /// When each picture was caught, its position, and its number.
    seen: Vec<(Instant, Duration, u32)>,
}

impl Playing {
    fn start(path: &Path, options: &Options) -> Playing {
        let (pictures, sound, blocks) = (Slot::waiting(2), Slot::waiting(8), Arc::<Mutex<Vec<Block<Instant>>>>::default());
        let film = Film::open(Film::probe(path, options).unwrap(), pictures.clone(), sound.clone()).unwrap();
        let to = blocks.clone();
        // It ends with the film, which closes its slots.
        std::thread::spawn(move || std::iter::from_fn(|| sound.take()).for_each(|block| to.lock().unwrap().push(block)));
        Playing { film, pictures, blocks, seen: Vec::new() }
    }

    fn keep(&mut self, picture: &Picture) -> u32 {
        let Body::Planes(_, planes) = &picture.body else { panic!("films come as planes") };
        let number = u32::from(planes[planes.len() / 3]);
        self.seen.push((picture.captured, picture.position.unwrap(), number));
        number
    }

    /// The number of the next picture; `None` at the end.
    fn next(&mut self) -> Option<u32> {
        let picture = self.pictures.take()?;
        Some(self.keep(&picture))
    }

    fn take(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.next().expect("the film goes on")).collect()
    }

    /// The pictures that come until none does.
    fn rest(&mut self) -> Vec<u32> {
        let mut rest = Vec::new();
        while let Taken::Value(picture) = self.pictures.take_until(Instant::now() + SILENCE, Instant::now) {
            rest.push(self.keep(&picture));
        }
        rest
    }

    /// Has it go elsewhere, and drops what was given out of before, as an encoder does. The number of the first picture from there.
    fn go_to(&mut self, place: Duration) -> (Jump, u32) {
        let mut told = None;
        self.film.go_to(place, |jump| told = Some(jump));
        let jump = told.expect("it is told at once");
        loop {
            let picture = self.pictures.take().expect("the film goes on");
            if picture.captured > jump.at.unwrap() {
                return (jump, self.keep(&picture));
            }
        }
    }

    /// When the sound that came last began by the film's own time, were it played from its beginning: of blocks since then.
    fn sound_since(&self, since: Instant) -> Vec<f64> {
        let blocks = self.blocks.lock().unwrap();
        let place = |block: &Block<Instant>| f64::from(block.samples[0]) / 32768.0 * 11.0;
        let after = blocks.iter().filter(|block| block.capture > since);
        after.map(|block| (block.capture - since).as_secs_f64() - place(block)).collect()
    }
}

fn at(number: u32) -> Duration {
    Duration::from_secs(1) * number / RATE
}

/// Its sound goes on for twice as long as its pictures, and is not wanted: five seconds are promised of which there is nothing.
#[test]
fn a_film_that_goes_where_nothing_is_left_of_it_is_over() {
    let path = film("short.mkv", "-c:v ffv1 -frames:v 125");
    let options = Options { want_audio: false, ..Options::default() };
    let mut playing = Playing::start(&path, &options);
    playing.take(5);
    playing.film.go_to(Duration::from_secs(8), |_| {});
    while playing.next().is_some() {}
}

#[test]
fn a_film_stands_still_and_goes_on_with_the_very_next_picture_and_sample() {
    let mut playing = Playing::start(&film("stands.mkv", "-c:v ffv1"), &Options::default());
    let mut numbers = playing.take(20);
    assert!(playing.film.pause(true));
    numbers.extend(playing.rest());
    let stood = numbers.len();
    assert!(stood <= 20 + 4, "two in the slot, one at the door, one on its way: {numbers:?}");
    assert!(playing.rest().is_empty(), "it stands still");
    assert!(playing.film.pause(false));
    numbers.extend(playing.take(20));
    assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>(), "nothing was skipped, and nothing came twice");
    let passed = playing.seen[stood].0 - playing.seen[stood - 1].0;
    assert!(passed >= SILENCE, "its clock stood still: {passed:?}");
    // Each block follows the one before in the ramp.
    let blocks = playing.blocks.lock().unwrap().clone();
    let firsts: Vec<i16> = blocks.iter().map(|block| block.samples[0]).collect();
    assert!(firsts.windows(2).all(|two| (28..=32).contains(&(two[1] - two[0]))), "{firsts:?}");
}

#[test]
fn a_film_goes_on_at_the_picture_of_the_place_with_its_sound_and_its_clock_never_goes_back() {
    for (name, codec) in [("goes.mkv", "-c:v ffv1"), ("coded.mkv", "-c:v libx264 -preset ultrafast -qp 0 -g 100")] {
        let path = film(name, codec);
        let mut playing = Playing::start(&path, &Options::default());
        playing.take(10);
        let (jump, first) = playing.go_to(Duration::from_secs(5));
        assert_eq!((first, jump.place), (125, Duration::from_secs(5)), "{name}");
        assert_eq!(playing.take(30), (126..156).collect::<Vec<_>>(), "{name}");
        let (captured, position, number) = *playing.seen.last().unwrap();
        assert_eq!(playing.film.place(position), (jump.played, jump.place), "{name}");
        assert_eq!((position - jump.played + jump.place).as_millis(), at(number).as_millis(), "{name}");
        // Picture and sound are of one place, as far as this machine is never too busy for a tenth of a second.
        let since = jump.at.unwrap();
        let seen = (captured - since).as_secs_f64() - at(number).as_secs_f64();
        let apart = playing.sound_since(since).iter().map(|heard| (heard - seen).abs()).fold(f64::MAX, f64::min);
        assert!(apart < 0.005, "{name}: {apart} s apart");
        // Back, to a place between two pictures: the next one.
        let (_, first) = playing.go_to(Duration::from_millis(2001));
        assert_eq!(first, 51, "{name}");
        // Three at once: the last counts.
        playing.film.go_to(Duration::from_secs(1), drop);
        playing.film.go_to(Duration::from_secs(7), drop);
        assert_eq!(playing.go_to(Duration::from_secs(3)).1, 75, "{name}");
        let (times, positions): (Vec<_>, Vec<_>) = playing.seen.iter().map(|seen| (seen.0, seen.1)).unzip();
        assert!(times.is_sorted() && positions.is_sorted(), "{name}: {positions:?}");
    }
}

#[test]
fn while_it_stands_still_one_picture_of_another_place_is_seen_and_beyond_its_end_its_last_second() {
    let mut playing = Playing::start(&film("looks.mkv", "-c:v ffv1"), &Options::default());
    playing.take(5);
    assert!(playing.film.pause(true));
    assert_eq!(playing.go_to(Duration::from_secs(8)).1, 200);
    assert!(playing.rest().is_empty(), "that one alone");
    assert!(playing.film.pause(false));
    assert_eq!(playing.take(3), [201, 202, 203]);
    assert_eq!(playing.go_to(Duration::from_secs(3600)).1, 225);
    let mut last = 225;
    while let Some(number) = playing.next() {
        assert_eq!(number, last + 1);
        last = number;
    }
    assert_eq!((last, playing.film.failed().is_none()), (COUNT - 1, true));
}

#[test]
fn a_film_that_is_read_to_its_end_still_goes_back_and_a_loop_begins_again_after_it() {
    let path = film("back.mkv", "-c:v ffv1");
    let mut playing = Playing::start(&path, &Options { looped: true, ..Options::default() });
    playing.take(3);
    assert_eq!(playing.go_to(Duration::from_secs(9)).1, 225);
    playing.take(24);
    assert_eq!(playing.take(2), [0, 1], "from the beginning");
    let position = playing.seen.last().unwrap().1;
    assert_eq!((playing.film.place(position).1, playing.go_to(Duration::from_millis(8501)).1), (Duration::ZERO, 213));
    let once = Options { want_audio: false, ..Options::default() };
    let mut playing = Playing::start(&path, &once);
    playing.take(3);
    assert_eq!(playing.go_to(Duration::from_millis(9000)).1, 225);
    // A second of so small pictures is read in a moment.
    playing.take(12);
    assert_eq!(playing.go_to(Duration::from_secs(4)).1, 100);
}

/// Whoever takes its pictures is behind: the reader has read and given out all, and the last ones wait.
#[test]
fn a_film_whose_last_pictures_wait_to_be_taken_still_goes_back() {
    let options = Options { want_audio: false, ..Options::default() };
    let mut playing = Playing::start(&film("waits.mkv", "-c:v ffv1"), &options);
    playing.take(3);
    assert_eq!(playing.go_to(Duration::from_secs(9)).1, 225);
    playing.take(21);
    // By its clock three more are due, and the end.
    let (_nobody, behind) = std::sync::mpsc::channel::<()>();
    assert!(behind.recv_timeout(Duration::from_secs(1)).is_err());
    assert_eq!(playing.go_to(Duration::from_secs(4)).1, 100);
    assert_eq!(playing.take(3), [101, 102, 103]);
}

/// Those who watch have not seen its last pictures yet: to drop them would show neither the end nor another place.
#[test]
fn a_film_that_was_given_out_to_its_end_goes_nowhere_and_stands_still_no_more() {
    let options = Options { want_audio: false, ..Options::default() };
    let mut playing = Playing::start(&film("over.mkv", "-c:v ffv1"), &options);
    playing.take(3);
    assert_eq!(playing.go_to(Duration::from_secs(9)).1, 225);
    while playing.next().is_some() {}
    let place = playing.film.place(playing.seen.last().unwrap().1);
    playing.film.go_to(Duration::from_secs(4), |jump| panic!("{jump:?}"));
    assert!(!playing.film.pause(true), "it is over");
    assert_eq!((playing.seen.last().unwrap().2, playing.film.place(Duration::MAX)), (COUNT - 1, place));
}

/// The number of the picture that is seen.
fn seen(screen: &Screen, area: Area, name: &str) -> u32 {
    let shot = screen.shot(name);
    shot.at(area.x + area.width / 4, area.y + area.height / 2) & 0xff
}

/// Waits for a picture after `last`.
fn after(screen: &Screen, area: Area, last: u32) -> u32 {
    until(&format!("a picture after {last}"), || Some(seen(screen, area, "after")).filter(|number| *number > last))
}

fn film_of(stats: &Value) -> &Value {
    &stats["tracks"][0]["film"]
}

/// The number of the picture that stands in the window for a second of the statistics.
fn stands(screen: &Screen, area: Area, recv: &mut Program) -> u32 {
    let mut before = None;
    until("a picture that stands still", || {
        recv.forget_stats();
        recv.stats();
        let number = seen(screen, area, "stands");
        (before.replace(number) == Some(number)).then_some(number)
    })
}

/// The numbers of the pictures in a file, those that repeat left out.
fn written(y4m: &Path) -> Vec<u32> {
    let bytes = std::fs::read(y4m).unwrap();
    let head = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let one = b"FRAME\n".len() + 320 * 240 * 3 / 2;
    bytes[head..].chunks_exact(one).map(|frame| u32::from(frame[one / 3])).collect()
}

/// Sends a film, and watches it in a window that has its size and the keyboard.
fn watch(screen: &Screen, film: &Path, more: &str) -> (Program, Program, Area, u16) {
    let port = free_port();
    let mut send = send(&format!("--file {} -q 100 -p {port} --name lab", film.display()));
    send.said("waiting on port");
    let mut recv = on(screen, RECV, &format!("--host 127.0.0.1:{port} --stats json {more}"));
    recv.said("lab (127.0.0.1:");
    let id = window(screen);
    let area = until("a window of the picture's size", || {
        screen.nudge_manager();
        Some(screen.area(id)).filter(|area| (area.width, area.height) == (320, 240))
    });
    (send, recv, area, port)
}

#[test]
fn space_pauses_the_film_of_whoever_watches_alone_and_arrows_go_five_seconds() {
    let screen = Screen::with_manager(640, 480);
    let path = film("alone.mkv", "-c:v ffv1");
    let y4m = path.with_file_name("alone.y4m");
    let (mut send, mut recv, area, _) = watch(&screen, &path, &format!("--output {} --overwrite", y4m.display()));
    after(&screen, area, 10);
    screen.key(' ' as u32);
    let stats = recv.stats_with(|stats| film_of(stats)["paused"] == true);
    assert_eq!(film_of(&stats)["length_s"], 10.0);
    let stood = stands(&screen, area, &mut recv);
    let place = film_of(&recv.stats())["place_s"].as_f64().unwrap();
    assert!((place * f64::from(RATE) - f64::from(stood)).abs() <= 1.0, "picture {stood} at {place} s");
    screen.key(' ' as u32);
    recv.stats_with(|stats| film_of(stats)["paused"] == false);
    let number = after(&screen, area, stood);
    screen.key(RIGHT);
    let number = after(&screen, area, number + 100);
    screen.key(LEFT);
    until("a picture before", || (seen(&screen, area, "left") < number - 50).then_some(()));
    screen.key('q' as u32);
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    send.said("stopped watching");
    let numbers = written(&y4m);
    let jumps: Vec<i64> = numbers.windows(2).map(|two| i64::from(two[1]) - i64::from(two[0])).filter(|by| *by != 1).collect();
    // From the picture that was seen when the key was struck; some more are written before the film goes elsewhere.
    let [on, back] = jumps[..] else { panic!("two jumps and no hole: {jumps:?} in {numbers:?}") };
    assert!((100..=126).contains(&on) && (-150..=-124).contains(&back), "{jumps:?}");
    assert!(numbers.contains(&(stood + 1)) && numbers[0] == 0, "{numbers:?}");
}

/// Two seconds of it, fifty pictures, are held here.
#[test]
fn a_film_that_is_held_by_latency_and_goes_elsewhere_shows_nothing_more_of_where_it_was() {
    let screen = Screen::with_manager(640, 480);
    let (_send, mut recv, area, _) = watch(&screen, &film("held.mkv", "-c:v ffv1"), "--latency 2s");
    let number = after(&screen, area, 10);
    screen.key(RIGHT);
    let mut last = number;
    let there = until("a picture of five seconds later", || {
        let now = seen(&screen, area, "held");
        last = if now > number + 100 { last } else { last.max(now) };
        (now > number + 100).then_some(now)
    });
    // Some are shown before the sender hears of the key, and says that it went.
    assert!(last < number + 25, "from {number} on, {last} was shown before {there}");
    screen.key('q' as u32);
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
}

/// No picture says how far it is.
#[test]
fn a_film_of_sound_alone_stands_still_where_it_was_heard_last() {
    let (screen, port) = (Screen::with_manager(640, 480), free_port());
    let path = film("heard.mkv", "-c:v ffv1");
    let mut send = send(&format!("--file {} --no-video -p {port} --name lab", path.display()));
    send.said("waiting on port");
    let mut recv = on(&screen, RECV, &format!("--host 127.0.0.1:{port} --stats json"));
    window(&screen);
    let place = |stats: &Value| film_of(stats)["place_s"].as_f64();
    recv.stats_with(|stats| place(stats) > Some(2.0));
    screen.key(' ' as u32);
    let paused = recv.stats_with(|stats| film_of(stats)["paused"] == true);
    assert!(place(&paused) > Some(1.8), "{paused}");
    screen.key(RIGHT);
    let on = recv.stats_with(|stats| place(stats) > Some(6.0));
    assert!(place(&on) < Some(9.1), "{on}");
    screen.key('q' as u32);
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    send.said("stopped watching");
}

#[test]
fn where_another_watches_space_freezes_the_picture_and_the_film_goes_on() {
    let screen = Screen::with_manager(640, 480);
    let (mut send, mut first, area, port) = watch(&screen, &film("both.mkv", "-c:v ffv1"), "--no-audio");
    after(&screen, area, 5);
    screen.key(' ' as u32);
    first.stats_with(|stats| film_of(stats)["paused"] == true);
    let stood = stands(&screen, area, &mut first);
    // Who comes could not let it go on.
    let mut second = recv(&format!("--host 127.0.0.1:{port} --stats json"));
    second.said("is sending");
    first.stats_with(|stats| film_of(stats)["paused"] == false && film_of(stats)["others"] == 1);
    after(&screen, area, stood);
    screen.key(' ' as u32);
    let frozen = stands(&screen, area, &mut first);
    let later = second.stats_with(|stats| film_of(stats)["place_s"].as_f64() > Some(f64::from(frozen + 5) / f64::from(RATE)));
    assert_eq!((film_of(&later)["paused"].as_bool(), seen(&screen, area, "frozen")), (Some(false), frozen));
    // Nor does it go elsewhere.
    screen.key(LEFT);
    screen.key(' ' as u32);
    let number = after(&screen, area, frozen + 5);
    assert_eq!(second.stop(nix::sys::signal::Signal::SIGTERM), 0);
    first.stats_with(|stats| film_of(stats)["others"] == 0);
    assert!(after(&screen, area, number) > number);
    screen.key('q' as u32);
    assert_eq!(first.ended(), 0, "{}", first.heard());
    send.said("stopped watching");
}
