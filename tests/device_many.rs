//! Several real programs on real X servers (Xvfb) and a real sound server: what one does is seen and heard at another, and many
//! senders have room in one window. `EYELINE_SCREENSHOTS=folder` keeps what the tests saw.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/on_screen.rs"]
mod on_screen;
#[path = "support/program.rs"]
mod program;
mod screen;
#[path = "support/sound_server.rs"]
mod sound_server;

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;
use on_screen::{on, until, window};
use program::{CALL, Out, Program, RECV, SEND, command, free_port, send};
use screen::{Area, Screen, Shot};
use sound_server::SoundServer;

/// What the letters of a muted sender's mark are painted in.
const RED: u32 = 0x00ff_6b5e;

#[test]
fn a_muted_microphone_and_a_closed_camera_are_seen_at_the_others_until_they_are_open_again() {
    const TEST: &str = "--test -s 640x360 -r 10 --stats json";
    let [here, there] = [(); 2].map(|()| Screen::start(1280, 800, &[]));
    let port = free_port();
    let mut ada = on(&here, CALL, &format!("{TEST} --name Ada -p {port}"));
    ada.said("waiting on port");
    let mut ben = on(&there, CALL, &format!("{TEST} --name Ben --host 127.0.0.1:{port}"));
    let beyond = format!("--no-window --no-video --no-audio --stats json --name Cleo --host 127.0.0.1:{port}");
    let mut cleo = Program::start(CALL, &beyond);
    cleo.said("Ben is sending, by way of Ada");
    let shown = |stats: &serde_json::Value| stats["shown"].as_u64() > Some(5);
    ada.stats_with(shown);
    ben.stats_with(shown);
    window(&there);
    let id = here.find().expect("Ada's");
    // In the upper left are the colour bars; one's own picture stands elsewhere.
    let quarter = |area: Area| Area { width: area.width / 2, height: area.height / 2, ..area };
    let look = |name: &str| (here.shot(name), here.area(id));
    let (is_marked, is_pictured) = (
        |(shot, area): (Shot, Area)| shot.count(area, RED) > 30,
        |(shot, area): (Shot, Area)| shot.coloured(quarter(area)) > 10_000,
    );
    until("Ben's picture", || (is_pictured(look("open")) && !is_marked(look("open"))).then_some(()));

    there.key('m' as u32);
    until("that Ben is muted", || is_marked(look("muted")).then_some(()));
    drop(there.shot("muted-own"));
    assert!(is_pictured(look("muted")), "his picture is seen all the same");
    there.key('c' as u32);
    ada.said("Ben shows no picture");
    cleo.said("Ben shows no picture");
    until("no picture of Ben", || {
        let (shot, area) = look("closed");
        (shot.coloured(quarter(area)) == 0).then_some(())
    });
    drop(there.shot("closed-own"));
    assert!(is_marked(look("closed")), "he is muted all the same");

    there.key('m' as u32);
    until("that Ben is muted no more", || (!is_marked(look("unmuted"))).then_some(()));
    there.key('c' as u32);
    ada.said("Ben shows a picture again");
    cleo.said("Ben shows a picture again");
    until("Ben's picture again", || is_pictured(look("opened")).then_some(()));
    let received = |stats: &serde_json::Value| (stats["role"] == "recv").then(|| stats["whole"].as_u64());
    let opened = received(&ada.stats_with(|stats| received(stats).is_some()));
    ada.stats_with(|stats| received(stats) > opened);
    there.key('q' as u32);
    assert_eq!(ben.ended(), 0, "{}", ben.heard());
    assert_eq!((ada.stop(Signal::SIGTERM), cleo.stop(Signal::SIGTERM)), (0, 0));
}

/// In the order in which they come. The first nine have their digits before them, and two of them letters that Eyeline has not
/// and perhaps no font of the system. Behind them stand pairs of one script and as many letters: boxes in their place would be
/// alike.
const NAMES: [&str; 16] = [
    "robot",
    "kitchen",
    "hallway",
    "door",
    "roof",
    "gate",
    "王小明",
    "李大华",
    "Zoë",
    "Łukasz",
    "Алёна",
    "Борис",
    "محمد",
    "خالد",
    "Ελένη",
    "Πάνος",
];
const PAIRS: usize = 10;
const KITCHEN: usize = 1;

/// The largest part of a cell that is no black gap: the tile that stands in it. Of the test picture no part is black where it is
/// looked at: through the colour bars, and where the grey ramp is bright.
fn tile(shot: &Shot, cell: Area) -> Option<Area> {
    let is_black = |x: i32, y: i32| [16, 8, 0].iter().all(|shift| shot.at(x, y) >> shift & 255 < 8);
    let (row, column) = (cell.y + cell.height * 3 / 10, cell.x + cell.width * 2 / 5);
    let (columns, rows) = (cell.x..cell.x + cell.width, cell.y..cell.y + cell.height);
    let left = columns.clone().find(|x| !is_black(*x, row))?;
    let right = columns.rev().find(|x| !is_black(*x, row))?;
    let top = rows.clone().find(|y| !is_black(column, *y))?;
    let bottom = rows.rev().find(|y| !is_black(column, *y))?;
    Some(Area { x: left, y: top, width: right + 1 - left, height: bottom + 1 - top })
}

/// The tiles of a window of four rows of four.
fn tiles(shot: &Shot, area: Area) -> Option<Vec<Area>> {
    let (width, height) = (area.width / 4, area.height / 4);
    let cell = |n: i32| Area { x: area.x + n % 4 * width, y: area.y + n / 4 * height, width, height };
    (0..16).map(|n| tile(shot, cell(n))).collect()
}

/// Whether the test picture is in this tile: yellow, green and blue bars where they belong.
fn has_picture(shot: &Shot, tile: Area) -> bool {
    let bar = |of: i32| {
        // The flash takes a tenth of the width from them.
        let pixel = shot.at(tile.x + tile.width * 9 * (2 * of + 1) / 140, tile.y + tile.height * 3 / 10);
        [16, 8, 0].map(|shift| pixel >> shift & 255 > 0x60)
    };
    [bar(1), bar(3), bar(6)] == [[true, true, false], [false, true, false], [false, false, true]]
}

/// The letters of a tile's name, white on a dark box in its lower left, and its digit if it has one: their places, from the first
/// one's; their height.
fn letters(shot: &Shot, tile: Area) -> (BTreeSet<(i32, i32)>, i32) {
    let brightest = |x: i32, y: i32| [16, 8, 0].map(|shift| shot.at(x, y) >> shift & 255).into_iter().max();
    // A line of letters is a twentieth of a tile high, or what can be read; with what is around it a label takes less than twice
    // that.
    let rows = tile.y + tile.height * 9 / 10..tile.y + tile.height;
    // Below the letters a quarter of the picture's light is left, and beside the box the grey ramp goes on.
    let right = (tile.x..tile.x + tile.width).find(|x| brightest(*x, rows.end - 1) > Some(0x48)).unwrap_or(tile.x);
    let pixels = rows.flat_map(|y| (tile.x..right).map(move |x| (x, y)));
    let ink: Vec<_> = pixels.filter(|(x, y)| brightest(*x, *y) > Some(0x80)).collect();
    let left = ink.iter().map(|(x, _)| *x).min().unwrap_or_default();
    let top = ink.iter().map(|(_, y)| *y).min().unwrap_or_default();
    let bottom = ink.iter().map(|(_, y)| *y).max().unwrap_or_default();
    (ink.into_iter().map(|(x, y)| (x - left, y - top)).collect(), bottom + 1 - top)
}

/// Waits for sixteen tiles, of one size and with room for no larger ones, each with its picture and its name; gives the height of
/// the letters of "kitchen".
fn sixteen_tiles(screen: &Screen, name: &str, size: (i32, i32)) -> i32 {
    until(&format!("{name}: sixteen tiles"), || {
        let (shot, area) = (screen.shot(name), screen.area(screen.find()?));
        let tiles = tiles(&shot, area).filter(|_| (area.width, area.height) == size)?;
        let (width, height) = (tiles[0].width, tiles[0].height);
        let alike = |tile: &Area| tile.width.abs_diff(width) <= 1 && tile.height.abs_diff(height) <= 1;
        let fill = width * 4 > size.0 * 19 / 20 && height * 4 > size.1 * 19 / 20;
        let said: Vec<_> = tiles.iter().map(|tile| letters(&shot, *tile)).collect();
        let named =
            said.iter().all(|(ink, _)| ink.len() > 15) && said[PAIRS..].chunks_exact(2).all(|pair| pair[0].0 != pair[1].0);
        let seen = tiles.iter().all(|tile| alike(tile) && has_picture(&shot, *tile));
        (fill && named && seen).then(|| said[KITCHEN].1)
    })
}

#[test]
fn sixteen_senders_stand_in_a_grid_with_their_names_however_large_the_screen_and_the_next_has_the_first_place_that_is_free() {
    let screen = Screen::start(3840, 2160, &[]);
    let port = free_port();
    let mut recv = on(&screen, RECV, &format!("--no-audio -p {port} --stats json"));
    recv.said("waiting on port");
    let dials = |name: &str| send(&format!("--test -s 160x90 -r 2 --no-audio --name {name} --host 127.0.0.1:{port}"));
    let mut sends: Vec<Program> = NAMES
        .iter()
        .map(|name| {
            let send = dials(name);
            recv.said(&format!("{name} (127.0.0.1"));
            send
        })
        .collect();
    window(&screen);
    let small = sixteen_tiles(&screen, "sixteen-1280x720", (1280, 720));
    screen.key('f' as u32);
    let large = sixteen_tiles(&screen, "sixteen-3840x2160", (3840, 2160));
    println!("letters {small} pixels high at 1280x720, {large} at 3840x2160");
    assert!(large >= 2 * small, "letters {small} pixels high at 1280x720, {large} at 3840x2160");

    let mut next = dials("next");
    next.said("has no place for one more: it already receives from 16 senders, the most it takes");
    recv.said("was turned away: all 16 places for senders are taken");
    assert_eq!(sends.pop().unwrap().stop(Signal::SIGTERM), 0);
    recv.said(&format!("{} stopped sending", NAMES[15]));
    recv.said("next (127.0.0.1");
    next.said("watches");
    sixteen_tiles(&screen, "sixteen-and-next", (3840, 2160));
    assert_eq!((recv.stop(Signal::SIGTERM), next.stop(Signal::SIGTERM)), (0, 0));
}

/// What `send --test` sings, in Hz, but for a beep a second, at an amplitude of 1638; and another.
const SUNG: f64 = 440.0;
const SAID: f64 = 700.0;
/// How loud that one is said.
const LOUD: f64 = 6000.0;

/// Samples of a piece in which both of them, and the beep, go round a whole number of times: 50 ms.
const PIECE: usize = 2400;

/// How loud these are in a second of what leaves the speaker: the amplitude (Goertzel) in the middle one of its pieces, for on a
/// busy machine some are broken.
fn heard(server: &SoundServer) -> [f64; 2] {
    let mut record = server.tool("parec");
    record.args(["--device=speaker.monitor", "--raw", "--format=s16le", "--rate=48000", "--channels=1", "--latency-msec=20"]);
    let mut record = record.stdout(Stdio::piped()).spawn().expect("parec is in pulseaudio-utils");
    let mut bytes = vec![0; 48_000 * 2];
    record.stdout.take().unwrap().read_exact(&mut bytes).unwrap();
    // It would go on for ever.
    record.kill().unwrap();
    record.wait().unwrap();
    let samples: Vec<f64> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]).into()).collect();
    let amplitude = |piece: &[f64], hertz: f64| {
        let angle = |n: usize| std::f64::consts::TAU * hertz * n as f64 / 48_000.0;
        let (re, im) = piece
            .iter()
            .enumerate()
            .fold((0.0, 0.0), |(re, im), (n, sample)| (re + sample * angle(n).cos(), im + sample * angle(n).sin()));
        f64::hypot(re, im) * 2.0 / PIECE as f64
    };
    [SUNG, SAID].map(|hertz| {
        let mut pieces: Vec<f64> = samples.chunks_exact(PIECE).map(|piece| amplitude(piece, hertz)).collect();
        pieces.sort_by(f64::total_cmp);
        pieces[pieces.len() / 2]
    })
}

/// A program that is killed when it goes out of scope.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says the other tone into the microphone, for longer than anybody listens.
fn say(server: &SoundServer, dir: &Path) -> Running {
    let sample = |n: u32| ((std::f64::consts::TAU * SAID * f64::from(n) / 48_000.0).sin() * LOUD) as i16;
    let file = dir.join("said.raw");
    std::fs::write(&file, (0..48_000 * 120).flat_map(|n| sample(n).to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let mut command = server.tool("pacat");
    command.args([
        "--playback",
        "--raw",
        "--format=s16le",
        "--rate=48000",
        "--channels=1",
        "-d",
        "mic_feed",
        "--latency-msec=40",
    ]);
    Running(command.arg(file).spawn().expect("pacat is in pulseaudio-utils"))
}

#[test]
fn x_silences_the_large_ones_voice_and_minus_makes_it_softer_while_the_other_is_heard_as_before() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("many-{}", std::process::id()));
    let server = SoundServer::start(&dir);
    let screen = Screen::start(1280, 720, &[]);
    let port = free_port();
    let with_sound = |path: &str, args: &str| {
        let mut command = command(path, args);
        command.env("DISPLAY", &screen.name).envs(SoundServer::environment(&dir)).env_remove("PULSE_RUNTIME_PATH");
        Program::launch(command, Stdio::null(), Out::Stats)
    };
    let mut recv = with_sound(RECV, &format!("-p {port} --stats json"));
    recv.said("speaker speaker");
    recv.said("waiting on port");
    let _sings = send(&format!("--test -s 320x180 -r 2 --name sings --host 127.0.0.1:{port}"));
    recv.said("sings (127.0.0.1");
    let _speaks = with_sound(SEND, &format!("--no-video --mic virtmic --name speaks --host 127.0.0.1:{port}"));
    recv.said("speaks (127.0.0.1");
    let _said = say(&server, &dir);
    window(&screen);
    // Were it half as loud as it is, it would not be.
    let hears = |what: &str, of_the_other: std::ops::Range<f64>| {
        until(what, || Some(heard(&server)).filter(|[sung, said]| *sung > 1100.0 && of_the_other.contains(&(said / LOUD))));
    };
    hears("both", 0.8..1.1);
    // The second is made large.
    screen.key('2' as u32);
    screen.key('x' as u32);
    hears("the first alone", 0.0..0.02);
    drop(screen.shot("silenced"));
    screen.key('x' as u32);
    hears("both again", 0.8..1.1);
    (0..10).for_each(|_| screen.key('-' as u32));
    hears("the second half as loud", 0.4..0.6);
    drop(screen.shot("softer"));
    screen.key('q' as u32);
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    drop(server);
    std::fs::remove_dir_all(dir).unwrap();
}
