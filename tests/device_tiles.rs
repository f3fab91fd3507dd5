//! Many senders in one real window on a real X server (Xvfb): where their tiles stand, what keys and clicks do to them, and what
//! is written on them. `EYELINE_SCREENSHOTS=folder` keeps what the tests saw.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

mod screen;
#[path = "support/shower.rs"]
mod shower;

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyeline::present::canvas::Canvas;
use eyeline::present::overlay::Overlay;
use eyeline::present::scene::{Marks, Scene};
use eyeline::present::window::{Action, Bindings, Options, Window};
use eyeline_proto::picture::Size;
use screen::{Area, Screen, Shot};
use shower::Shower;
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _};

/// Of any script; all of Eyeline's own letters but the Chinese.
const NAMES: [&str; 16] = [
    "robot",
    "Алёна Кузнецова",
    "محمد علي",
    "王小明",
    "kitchen camera with a name that is far too long for its tile, whatever its size",
    "Ελένη",
    "lab 7",
    "Zoë",
    "",
    "door",
    "garden",
    "Łukasz",
    "roof",
    "gate",
    "cot",
    "desk",
];

/// The blue of a tile's picture, which scaling leaves as it is.
fn blue(tile: usize) -> u32 {
    0x20 + 0x0c * tile as u32
}

/// Red grows to the right, green downwards, and a ring stands in the middle.
fn paint(canvas: &Canvas, number: u64, size: Size, tile: usize) {
    let mut band = canvas.rows(number, size, 0..size.height).unwrap();
    for (at, pixel) in (0..).zip(band.pixels()) {
        let (x, y) = (at % size.width, at / size.width);
        let far = (x.abs_diff(size.width / 2).pow(2) + y.abs_diff(size.height / 2).pow(2)).isqrt();
        let ring = far * 12 / size.height == 4;
        let (red, green) = if ring { (0xff, 0xff) } else { (x * 255 / size.width, y * 255 / size.height) };
        *pixel = red << 16 | green << 8 | blue(tile);
    }
}

/// What one's own picture is painted as: the last tile, which is not there then.
const OWN: usize = 15;

/// The test that is the window.
const CHILD: &str = "the_window_of_the_tests_below";

/// Started by the tests below, never by itself. Reads commands, one a line, from its standard input.
#[test]
#[ignore = "it is the window the other tests look at"]
fn the_window_of_the_tests_below() {
    let how = shower::how();
    let options = Options { title: "tiles".into(), ..Options::of(Size { width: 1280, height: 720 }) };
    let mut window = Window::open(&options).unwrap();
    if how == "call" {
        window.bind(Bindings::Call);
    }
    let own = Arc::new(Canvas::new());
    let (commands, mut overlay, mut scene) = (shower::commands(), Overlay::default(), Scene::new());
    let canvases: Vec<Arc<Canvas>> = (0..16).map(|_| Arc::default()).collect();
    let mut number = 0;
    loop {
        let command = commands.recv_timeout(Duration::from_millis(10));
        let mut is_new = command.is_ok();
        let (verb, rest) = command.as_deref().unwrap_or_default().split_once(' ').unwrap_or_default();
        let tile: usize = rest.parse().unwrap_or_default();
        match verb {
            "join" => scene.join(tile, NAMES[tile].into(), canvases[tile].clone()),
            "leave" => scene.leave(tile, Instant::now()),
            "picture" => {
                number += 1;
                // Some cameras are 4:3, and one stands upright.
                let size = [(1280, 720), (640, 480), (480, 640)][if tile == 6 { 2 } else { usize::from(tile % 4 == 2) }];
                paint(&canvases[tile], number, Size { width: size.0, height: size.1 }, tile);
                scene.picture(tile);
            }
            "sound" => scene.say(tile, "sound only".into()),
            "quiet" => scene.quiet(tile, Some(Instant::now() - Duration::from_secs(3))),
            "mark" => scene.mark(tile, Marks { muted: true, camera_closed: false }),
            "close" => scene.mark(tile, Marks { muted: true, camera_closed: true }),
            "own" => {
                number += 1;
                paint(&own, number, Size { width: 640, height: 360 }, OWN);
                scene.set_own(Some(own.clone()));
                scene.own_picture();
            }
            "say" => {
                let (name, text) = rest.split_once('|').unwrap();
                overlay.said(name, text, Instant::now());
            }
            "lines" => overlay.lines = rest.split('|').map(String::from).collect(),
            _ => {}
        }
        for action in window.events(Instant::now()) {
            println!("\naction {action:?}");
            is_new = true;
            match action {
                Action::Quit => return,
                Action::ToggleFullscreen => window.set_fullscreen(!window.is_fullscreen()),
                Action::Help => overlay.help = !overlay.help,
                Action::Freeze => overlay.frozen = scene.toggle_frozen(),
                Action::Pick(index) => scene.pick(index.into()),
                Action::Next => scene.step(false),
                Action::Previous => scene.step(true),
                Action::All => scene.all(),
                Action::OwnPicture => drop(scene.toggle_own()),
                Action::Click { x, y } => scene.click(x, y, window.size()),
                _ => {}
            }
        }
        if is_new || window.wants_paint() {
            let (shown, _) = window.show_scene(&mut scene, "waiting on port 9688", &overlay).unwrap();
            println!("\nshown {}", shown.window);
        }
        if command.is_ok() {
            println!("\ndone");
        }
    }
}

/// Tiles from 0 on, each with a picture.
fn tiles(shower: &mut Shower, from: usize, to: usize) {
    for tile in from..to {
        shower.say(&format!("join {tile}"));
        shower.say(&format!("picture {tile}"));
        shower.poll();
    }
}

/// How many pixels of each tile's picture are seen in `area`: rings and what is grey aside, and words but for the edges of
/// letters.
fn seen(shot: &Shot, area: Area) -> Vec<usize> {
    let mut counts = vec![0; 16];
    for at in 0..area.width * area.height {
        let pixel = shot.at(area.x + at % area.width, area.y + at / area.width);
        let (red, green) = (pixel >> 16 & 0xff, pixel >> 8 & 0xff);
        let tile = (0..16).find(|tile| blue(*tile) == pixel & 0xff).filter(|_| red != green);
        tile.into_iter().for_each(|tile| counts[tile] += 1);
    }
    counts
}

/// Of a tile that is not there, the edges of letters may look like it.
const NONE: usize = 400;

/// Waits until as much as `wanted` says is seen of each tile.
fn shows(shower: &Shower, screen: &Screen, (name, area): (&str, Area), wanted: impl Fn(&[usize]) -> bool) {
    shower.painted(name, || {
        let shot = screen.shot(name);
        wanted(&seen(&shot, area)).then_some(())
    });
}

/// Whether that tile is far larger than all others, and the first `count` are seen.
fn large(tile: usize, count: usize) -> impl Fn(&[usize]) -> bool {
    move |pixels| (0..count).all(|other| pixels[other] > 500 && (other == tile || pixels[tile] > 3 * pixels[other]))
}

/// Whether the first `count` are of about one size; some are 4:3, one stands upright.
fn alike(count: usize) -> impl Fn(&[usize]) -> bool {
    move |pixels| (0..count).all(|tile| 5 * pixels[tile] > pixels[0]) && pixels[count..].iter().all(|pixels| *pixels < NONE)
}

#[test]
fn digits_tab_and_clicks_make_a_tile_large_and_nought_makes_all_alike() {
    let screen = Screen::with_manager(1400, 900);
    let (mut shower, window) = shower::begin(&screen, CHILD, "");
    tiles(&mut shower, 0, 5);
    let area = screen.area(window);
    shows(&shower, &screen, ("grid", area), alike(5));
    screen.key('3' as u32);
    shows(&shower, &screen, ("large", area), large(2, 5));
    screen.key(0xff09); // Tab
    shows(&shower, &screen, ("next", area), large(3, 5));
    screen.key('0' as u32);
    shows(&shower, &screen, ("all", area), alike(5));
    // The first tile is in the upper left.
    screen.point(area.x + 60, area.y + 150);
    screen.click();
    assert_eq!(shower.until("action Click"), "action Click { x: 60, y: 150 }");
    shows(&shower, &screen, ("clicked", area), large(0, 5));
    // Beside the window is none of ours.
    screen.point(area.x + area.width + 20, area.y + 150);
    screen.click();
    screen.point(area.x + 90, area.y + 150);
    screen.click();
    assert_eq!(shower.until("action Click"), "action Click { x: 90, y: 150 }");
    shower.say("leave 0");
    shows(&shower, &screen, ("left", area), |pixels| pixels[0] < NONE && alike(4)(&pixels[1..]));
}

#[test]
fn a_quiet_tile_greys_alone_and_words_stand_on_their_tiles() {
    let screen = Screen::with_manager(1400, 900);
    let (mut shower, window) = shower::begin(&screen, CHILD, "");
    tiles(&mut shower, 0, 4);
    for command in ["quiet 1", "join 4", "sound 4", "lines 29.9 pictures/s|latency  p50 12.3 ms"] {
        shower.say(command);
    }
    let area = screen.area(window);
    shows(&shower, &screen, ("quiet", area), |pixels| pixels[1] < NONE && [0, 2, 3].iter().all(|tile| pixels[*tile] > 10_000));
    // A new picture ends it.
    shower.say("picture 1");
    shows(&shower, &screen, ("again", area), |pixels| pixels[1] > 10_000);
}

const RETURN: u32 = 0xff0d;

#[test]
fn ones_own_picture_fills_the_window_until_somebody_comes_and_v_hides_it() {
    let screen = Screen::with_manager(1400, 900);
    let (mut shower, window) = shower::begin(&screen, CHILD, "call");
    shower.say("own 0");
    let area = screen.area(window);
    shows(&shower, &screen, ("own", area), |pixels| pixels[OWN] > 400_000);
    tiles(&mut shower, 0, 1);
    shows(&shower, &screen, ("own-beside-one", area), |pixels| pixels[0] > 400_000 && (10_000..60_000).contains(&pixels[OWN]));
    tiles(&mut shower, 1, 4);
    ["mark 1", "close 2"].iter().for_each(|command| shower.say(command));
    shows(&shower, &screen, ("own-beside-many", area), |pixels| {
        [0, 1, 3].iter().all(|tile| pixels[*tile] > 40_000) && pixels[2] < NONE && (10_000..60_000).contains(&pixels[OWN])
    });
    let red = |area: Area| screen.shot("own-beside-many").count(area, 0x00ff_6b5e);
    let right = Area { x: area.x + area.width / 2, y: area.y + area.height / 2 - 40, width: area.width / 2, height: 36 };
    assert!(red(right) > 30, "the second is said to be muted");
    screen.key('v' as u32);
    shows(&shower, &screen, ("own-hidden", area), |pixels| pixels[OWN] < NONE);
    screen.key('v' as u32);
    shows(&shower, &screen, ("own-again", area), |pixels| (10_000..60_000).contains(&pixels[OWN]));
}

#[test]
fn what_is_typed_is_said_in_the_letters_of_the_layout_and_what_others_write_stands_over_the_picture() {
    let screen = Screen::with_manager(1400, 900);
    let (mut shower, window) = shower::begin(&screen, CHILD, "call");
    shower.say("own 0");
    tiles(&mut shower, 0, 3);
    let area = screen.area(window);
    let (amber, left) =
        (0x00ff_c24b, Area { y: area.y + area.height / 2, width: area.width / 2, height: area.height / 2, ..area });
    let plain = screen.shot("unsaid").count(left, amber);
    for words in [
        "robot|hello, is anybody there?",
        "Алёна Кузнецова|Да, я здесь, и вижу вас хорошо. И вас, и остальных тоже, и очень рада",
        "محمد علي|مرحبا",
    ] {
        shower.say(&format!("say {words}"));
    }
    shower.painted("the words", || (screen.shot("said").count(left, amber) > plain + 200).then_some(()));
    screen.key(RETURN);
    assert_eq!(shower.until("action"), "action Typed");
    "Hi q".chars().for_each(|letter| screen.key(letter as u32));
    (0..4).for_each(|_| assert_eq!(shower.until("action"), "action Typed"));
    drop(screen.shot("typed"));
    screen.key(RETURN);
    assert_eq!(shower.until("action"), "action Say(\"Hi q\")");
    screen.layout("ru");
    screen.key(RETURN);
    screen.strike("AD01", false);
    screen.strike("AD01", true);
    screen.key(RETURN);
    assert_eq!([(); 4].map(|()| shower.until("action"))[3], "action Say(\"йЙ\")");
}

/// The smallest windows, for eyes.
#[test]
fn words_and_ones_own_picture_have_room_in_a_small_window() {
    let screen = Screen::with_manager(1400, 900);
    let (mut shower, window) = shower::begin(&screen, CHILD, "call");
    shower.say("own 0");
    tiles(&mut shower, 0, 2);
    shower.say("say robot|hello, is anybody there? I see nobody, and hear nobody, and it is late");
    screen.key(RETURN);
    shower.until("action Typed");
    for (width, height) in [(320, 240), (640, 480)] {
        let size = ConfigureWindowAux::new().width(width).height(height);
        screen.x.configure_window(window, &size).unwrap().check().unwrap();
        shower.until(&format!("shown {width}x{height}"));
        let name = format!("small-{width}x{height}");
        let area = screen.area(window);
        shows(&shower, &screen, (&name, area), |pixels| (0..2).chain([OWN]).all(|tile| pixels[tile] > 1000));
    }
    screen.key(0xff1b);
    screen.key('?' as u32);
    shower.until("action Help");
    shower.until("shown");
    drop(screen.shot("small-help"));
}

/// For eyes, with `EYELINE_SCREENSHOTS`; what is looked for here is that all are seen.
#[test]
fn any_number_of_tiles_is_seen_in_a_window_of_any_size() {
    let screen = Screen::with_manager(2000, 1200);
    let (mut shower, window) = shower::begin(&screen, CHILD, "");
    let mut joined = 0;
    for count in [1, 2, 3, 5, 9, 16] {
        tiles(&mut shower, joined, count);
        joined = count;
        for (width, height) in [(640, 480), (1280, 720), (1920, 1080)] {
            let size = ConfigureWindowAux::new().width(width).height(height);
            screen.x.configure_window(window, &size).unwrap().check().unwrap();
            shower.until(&format!("shown {width}x{height}"));
            let name = format!("tiles-{count}-{width}x{height}");
            shows(&shower, &screen, (&name, screen.area(window)), alike(count));
            if count > 1 {
                screen.key('2' as u32);
                let name = format!("large-{count}-{width}x{height}");
                shows(&shower, &screen, (&name, screen.area(window)), |pixels| {
                    pixels[..count].iter().all(|p| *p > 200) && pixels[1] > pixels[0]
                });
                screen.key('0' as u32);
                shower.until("action All");
            }
        }
    }
}
