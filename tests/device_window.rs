//! The real window on a real X server (Xvfb): what is on the screen, and what keys and the window manager do to it.
//!
//! Each test has a screen of its own. The window lives in a child process, this very program asked for
//! [`the_window_of_the_tests_below`]; it prints a line whenever it painted or was asked for something, and the tests wait
//! for those lines. `EYELINE_SCREENSHOTS=folder` keeps what the tests saw.

#![allow(clippy::disallowed_methods)] // at the edge: asks the time

mod screen;
#[path = "support/shower.rs"]
mod shower;

use std::time::{Duration, Instant};

use eyeline::present::canvas::Canvas;
use eyeline::present::overlay::Overlay;
use eyeline::present::window::{Action, Look, Options, Window};
use eyeline_proto::picture::Size;
use screen::{Area, PATIENCE, Screen, Shot};
use shower::Shower;
use x11rb::protocol::xproto::{AtomEnum, ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, PropMode, WindowClass};
use x11rb::wrapper::ConnectionExt as _;

const PICTURE: Size = Size { width: 640, height: 480 };

/// Red grows to the right, green downwards.
fn pattern(size: Size, x: u32, y: u32) -> u32 {
    (x * 255 / (size.width - 1)) << 16 | (y * 255 / (size.height - 1)) << 8 | 0x60
}

fn paint(canvas: &Canvas, number: u64, size: Size) {
    let mut band = canvas.rows(number, size, 0..size.height).unwrap();
    for (at, pixel) in (0..).zip(band.pixels()) {
        *pixel = pattern(size, at % size.width, at / size.width);
    }
}

/// The test that is the window.
const CHILD: &str = "the_window_of_the_tests_below";

/// Started by the tests below, never by itself. Reads commands, one a line, from its standard input.
#[test]
#[ignore = "it is the window the other tests look at"]
fn the_window_of_the_tests_below() {
    let how = shower::how();
    let size = if how.contains("large") { Size { width: 3840, height: 2160 } } else { PICTURE };
    let geometry = how.split_whitespace().find_map(|word| word.strip_prefix("geometry=")).map(|text| text.parse().unwrap());
    let options = Options {
        title: "pattern\0\n".into(),
        geometry: geometry.unwrap_or_default(),
        fullscreen: how.contains("full"),
        above: how.contains("above"),
        borderless: how.contains("borderless"),
        ..Options::of(size)
    };
    let opened = if how.contains("plain") { Window::open_plain(&options) } else { Window::open(&options) };
    let mut window = match opened {
        Ok(window) => window,
        Err(error) => return println!("\nerror {error}"),
    };
    let canvas = Canvas::new();
    paint(&canvas, 0, size);
    let (commands, began) = (shower::commands(), Instant::now());
    let (mut overlay, mut look, mut nothing, mut clock) = (Overlay::default(), Look::default(), None, None);
    let mut number = 0;
    loop {
        // Stands in for the slot a picture comes through.
        let command = commands.recv_timeout(Duration::from_millis(10));
        let mut is_new = command.is_ok();
        match command.as_deref().unwrap_or_default().split_once(' ') {
            Some(("lines", text)) => overlay.lines = text.split('|').map(String::from).collect(),
            Some(("note", text)) => overlay.note(text, Instant::now()),
            Some(("volume", percent)) => overlay.note_volume(percent.parse().unwrap(), Instant::now()),
            // For as long as anybody may want to look at it.
            Some(("volume-stays", percent)) => overlay.note_volume(percent.parse().unwrap(), Instant::now() + PATIENCE * 10),
            // It stands at so many milliseconds.
            Some(("clock", millis)) => clock = Some(began + Duration::from_millis(millis.parse().unwrap())),
            Some(("grey", millis)) => look.greyed = Some(Duration::from_millis(millis.parse().unwrap())),
            Some(("nothing", text)) => nothing = Some(text.to_string()),
            Some(("title", text)) => window.set_title(text),
            // Of the next picture sixteen rows from here on are white.
            Some(("white", top)) => {
                let top: u32 = top.parse().unwrap();
                number += 1;
                canvas.rows(number, size, top..top + 16).unwrap().pixels().fill(0x00ff_ffff);
            }
            Some(("where", _)) => println!("\nat {}", window.geometry().map_or("nowhere".to_string(), |it| it.to_string())),
            Some(("fit", width)) => drop(window.fit(Size { width: width.parse().unwrap(), height: 500 })),
            _ => {}
        }
        for action in window.events(clock.unwrap_or_else(Instant::now)) {
            println!("\naction {action:?}");
            is_new = true;
            match action {
                Action::Quit => return,
                Action::ToggleFullscreen => window.set_fullscreen(!window.is_fullscreen()),
                Action::LeaveFullscreen => window.set_fullscreen(false),
                Action::Help => overlay.help = !overlay.help,
                Action::Mute => overlay.muted = !overlay.muted,
                Action::Freeze => overlay.frozen = !overlay.frozen,
                _ => {}
            }
        }
        if is_new || window.wants_paint() {
            let shown = match &nothing {
                Some(text) => window.show_nothing(text, &overlay),
                None => window.show(canvas.view(), &overlay, look),
            };
            let shown = shown.unwrap();
            println!("\nshown {} {}", shown.window, if shown.copied { "copied" } else { "as it lies" });
        }
        if command.is_ok() {
            println!("\ndone");
        }
    }
}

/// Whether the picture stands in this place, give or take what scaling rounds.
fn shows(shot: &Shot, place: Area) -> bool {
    (0..=8).flat_map(|row| (0..=8).map(move |column| (column, row))).all(|(column, row)| {
        let (x, y) = (place.x + (place.width - 1) * column / 8, place.y + (place.height - 1) * row / 8);
        let (seen, part) = (shot.at(x, y), |at: i32| at * 255 / 8);
        let near = |seen: u32, wanted: i32| (seen as i32 & 0xff).abs_diff(wanted) <= 4;
        near(seen >> 16, part(column)) && near(seen >> 8, part(row)) && near(seen, 0x60)
    })
}

fn begin(screen: &Screen, how: &str) -> (Shower, u32) {
    shower::begin(screen, CHILD, how)
}

fn whole(screen: &Screen) -> Area {
    Area { x: 0, y: 0, width: screen.width.into(), height: screen.height.into() }
}

fn is_shown_exactly(screen: &Screen, how: &str, way: &str) {
    let (shower, window) = begin(screen, how);
    let area = screen.area(window);
    assert_eq!((area.width, area.height), (640, 480));
    let exact = |shot: &Shot| {
        (0..640 * 480)
            .all(|at| shot.at(area.x + at % 640, area.y + at / 640) == pattern(PICTURE, at as u32 % 640, at as u32 / 640))
    };
    shower.painted("the picture, pixel for pixel", || exact(&screen.shot("exact")).then_some(()));
    shower.until(&format!("shown 640x480 {way}"));
}

#[test]
fn a_picture_is_shown_pixel_for_pixel_in_a_window_of_its_size() {
    is_shown_exactly(&Screen::with_manager(1280, 800), "", "as it lies");
}

#[test]
fn it_is_shown_without_shared_memory_too() {
    is_shown_exactly(&Screen::start(1280, 800, &["-extension", "MIT-SHM"]), "", "copied");
    is_shown_exactly(&Screen::start(1280, 800, &[]), "plain", "copied");
}

#[test]
fn a_resized_window_shows_the_picture_scaled_between_black_bars() {
    let screen = Screen::with_manager(1280, 1000);
    let (shower, window) = begin(&screen, "");
    screen.x.configure_window(window, &ConfigureWindowAux::new().width(1000).height(900)).unwrap().check().unwrap();
    shower.until("shown 1000x900");
    shower.painted("the picture between bars", || {
        let (shot, area) = (screen.shot("resized"), screen.area(window));
        let bars = [0, 74, 825, 899].iter().all(|row| (0..1000).all(|x| shot.at(area.x + x, area.y + row) == 0));
        (bars && shows(&shot, Area { y: area.y + 75, height: 750, ..area })).then_some(())
    });
    screen.x.configure_window(window, &ConfigureWindowAux::new().width(200).height(90)).unwrap().check().unwrap();
    shower.until("shown 200x90");
    shower.painted("the picture in a small window", || {
        let (shot, area) = (screen.shot("small"), screen.area(window));
        shows(&shot, Area { x: area.x + 40, width: 120, ..area }).then_some(())
    });
}

/// Rows are drawn one after the other, each over what the window shows already.
#[test]
fn what_is_new_of_a_picture_is_seen_where_all_of_it_would_be_and_the_rest_stays() {
    let screen = Screen::with_manager(1280, 1000);
    for (width, height, scale) in [(640, 480, 1), (1280, 960, 2)] {
        let (mut shower, window) = begin(&screen, "");
        let size = ConfigureWindowAux::new().width(width).height(height);
        screen.x.configure_window(window, &size).unwrap().check().unwrap();
        shower.until(&format!("shown {width}x{height}"));
        let mut white = Vec::new();
        for top in [400, 32, 224] {
            shower.say(&format!("white {top}"));
            white.push(top);
            shower.painted("white rows over the picture", || {
                let (shot, area) = (screen.shot("rows"), screen.area(window));
                let at = |x: i32, row: i32| shot.at(area.x + x * scale, area.y + row * scale);
                let is_white = |row: i32| white.iter().any(|top| (*top..top + 16).contains(&row));
                // Where white meets the picture they are blended.
                let edge = |row: i32| white.iter().any(|top| (row - top).abs() < 2 || (row - top - 15).abs() < 2);
                let near = |seen: u32, x: u32, row: u32| {
                    let wanted = pattern(PICTURE, x, row);
                    (0..3).all(|byte| (seen >> (8 * byte) & 0xff).abs_diff(wanted >> (8 * byte) & 0xff) <= 2)
                };
                let right = |x: i32, row: i32| match is_white(row) {
                    true => at(x, row) == 0x00ff_ffff,
                    false => near(at(x, row), x as u32, row as u32),
                };
                let all = (0..480).filter(|row| !edge(*row)).flat_map(|row| (0..640).step_by(7).map(move |x| (x, row)));
                all.into_iter().all(|(x, row)| right(x, row)).then_some(())
            });
        }
    }
}

#[test]
fn a_window_takes_the_size_of_a_picture_unless_somebody_gave_it_another() {
    for screen in [Screen::with_manager(1280, 1000), Screen::start(1280, 1000, &[])] {
        let (mut shower, window) = begin(&screen, "");
        shower.say("fit 700");
        shower.until("shown 700x500");
        screen.x.configure_window(window, &ConfigureWindowAux::new().width(600).height(400)).unwrap().check().unwrap();
        shower.until("shown 600x400");
        shower.say("fit 900");
        shower.until("done");
        shower.poll();
        let area = screen.area(window);
        assert_eq!((area.width, area.height), (600, 400));
    }
}

#[test]
fn a_window_stands_where_it_is_asked_to_with_its_frame_and_says_so_for_the_next_time() {
    let screen = Screen::with_manager(1280, 1000);
    for (asked, said) in [("400x300+200+150", "400x300+200+150"), ("+30+40", "+30+40"), ("400x300-0-0", "400x300")] {
        let (mut shower, window) = begin(&screen, &format!("geometry={asked}"));
        shower.painted("the window in its place", || {
            let (area, [left, right, top, bottom]) = (screen.area(window), screen.frame(window));
            assert!(top > 0, "this manager gives windows a title bar");
            let corner = (area.x - left, area.y - top);
            let is_there = match asked {
                "400x300+200+150" => (area.width, area.height, corner) == (400, 300, (200, 150)),
                "+30+40" => (area.width, area.height, corner) == (640, 480, (30, 40)),
                _ => (area.x + area.width + right, area.y + area.height + bottom) == (1280, 1000),
            };
            is_there.then_some(())
        });
        // A size that was asked for is not changed by a picture; a place stays, whatever the size.
        shower.say("fit 700");
        let wide = if asked.starts_with('4') { 400 } else { 700 };
        shower.until("done");
        shower.until(&format!("shown {wide}x"));
        shower.say("where now");
        let at = shower.until("at ");
        assert!(at.starts_with(&format!("at {said}")), "{asked}: {at}");
    }
    let (mut shower, _) = begin(&screen, "geometry=400x300+200+150 full");
    shower.until("shown 1280x1000");
    shower.say("where now");
    assert_eq!(shower.until("at "), "at nowhere", "it does not stay over the whole screen");
}

#[test]
fn a_window_has_an_icon_and_stays_above_others_without_a_frame_where_that_is_asked() {
    let screen = Screen::with_manager(1280, 1000);
    let (shower, window) = begin(&screen, "above borderless");
    let (state, above) = (screen.atom("_NET_WM_STATE"), screen.atom("_NET_WM_STATE_ABOVE"));
    shower.painted("its state", || screen.words(window, state).contains(&above).then_some(()));
    shower.painted("no title bar", || (screen.frame(window)[2] < 5).then_some(()));
    assert_eq!(screen.words(window, screen.atom("_NET_WM_ICON"))[..2], [128, 128]);
    let other = Screen::with_manager(1280, 1000);
    let (_shower, window) = begin(&other, "");
    assert!(!other.words(window, other.atom("_NET_WM_STATE")).contains(&above) && other.frame(window)[2] > 5);
}

#[test]
fn the_wheel_changes_the_volume_only_over_the_window() {
    let screen = Screen::start(1280, 1000, &[]);
    let (mut shower, window) = begin(&screen, "geometry=+0+0");
    let area = screen.area(window);
    screen.point(area.x + 900, area.y + 900);
    screen.wheel(true);
    assert_eq!(shower.poll(), [""; 0]);
    screen.point(area.x + 100, area.y + 100);
    screen.wheel(true);
    screen.wheel(false);
    assert_eq!(shower.poll(), ["action VolumeUp", "action VolumeDown"]);
}

#[test]
fn on_a_display_of_small_pixels_letters_are_larger_and_the_picture_is_pixel_for_pixel() {
    let screen = Screen::with_manager(1280, 1000);
    let height = |dpi: &[u8]| {
        let resources = AtomEnum::RESOURCE_MANAGER;
        let change = screen.x.change_property8(PropMode::REPLACE, screen.root, resources, AtomEnum::STRING, dpi);
        change.unwrap().check().unwrap();
        let (mut shower, window) = begin(&screen, "");
        let area = screen.area(window);
        assert_eq!((area.width, area.height), (640, 480));
        shower.say("lines HHHH");
        let corner = Area { width: 200, height: 100, ..area };
        shower.painted("letters", || {
            let shot = screen.shot("dpi");
            let lit = (0..100).filter(|y| shot.count(Area { y: area.y + y, height: 1, ..corner }, 0x00f2_f2f2) > 2).count();
            (lit > 0).then_some(lit)
        })
    };
    let (usual, large) = (height(b"Xft.dpi:\t96\n"), height(b"Xft.dpi:\t192\n"));
    assert!(usual >= 8 && large * 10 > usual * 12, "{usual} {large}");
}

fn full_screen_and_back(screen: &Screen) {
    let (shower, window) = begin(screen, "");
    let before = screen.area(window);
    for (on, off) in [('f', 0xff1b), ('f', 'f' as u32)] {
        screen.key(on as u32);
        shower.until("action ToggleFullscreen");
        shower.painted("the picture over the whole screen", || {
            let wide = Area { x: 128, width: 1024, y: 0, height: 768 };
            (screen.area(window) == whole(screen) && shows(&screen.shot("full"), wide)).then_some(())
        });
        screen.key(off);
        shower.painted("the window as it was", || {
            (screen.area(window) == before && shows(&screen.shot("back"), before)).then_some(())
        });
    }
}

#[test]
fn full_screen_covers_the_screen_and_gives_it_back_under_a_window_manager() {
    full_screen_and_back(&Screen::with_manager(1280, 768));
}

#[test]
fn full_screen_covers_the_screen_and_gives_it_back_without_a_window_manager() {
    full_screen_and_back(&Screen::start(1280, 768, &[]));
}

#[test]
fn it_can_begin_in_full_screen_and_follows_the_window_manager_out_of_it() {
    let screen = Screen::with_manager(1280, 768);
    let (shower, window) = begin(&screen, "full");
    shower.painted("the whole screen", || (screen.area(window) == whole(&screen)).then_some(()));
    let state = screen.atom("_NET_WM_STATE_FULLSCREEN");
    screen.ask_manager(window, "_NET_WM_STATE", [0, state, 0, 2, 0]);
    shower.painted("the window", || (screen.area(window).width == 640).then_some(()));
    // It knows that it is a window now: the next toggle covers the screen again.
    screen.key(0xffc8); // F11
    shower.painted("the whole screen again", || (screen.area(window) == whole(&screen)).then_some(()));
}

#[test]
fn a_picture_larger_than_the_screen_begins_in_a_window_that_fits() {
    let screen = Screen::with_manager(1280, 768);
    let (shower, window) = begin(&screen, "large");
    let area = screen.area(window);
    assert_eq!((area.width, area.height), (1152, 648));
    shower.painted("the picture", || shows(&screen.shot("large"), area).then_some(()));
}

#[test]
fn keys_are_understood_and_q_ends_it() {
    let screen = Screen::with_manager(1280, 768);
    let (shower, _) = begin(&screen, "");
    let keys = [
        (' ', "Freeze"),
        ('m', "Mute"),
        ('+', "VolumeUp"),
        ('-', "VolumeDown"),
        ('0', "All"),
        ('9', "Pick(8)"),
        ('i', "Stats"),
        ('?', "Help"),
    ];
    for (key, action) in keys {
        screen.key(key as u32);
        assert_eq!(shower.until("action"), format!("action {action}"));
    }
    screen.key('q' as u32);
    assert_eq!(shower.until("action"), "action Quit");
    assert!(shower.exit().success());
}

/// What each key does under this layout: its place, with shift or not, and the action or nothing.
fn under_layout(layout: &str, strokes: &[(&str, bool, &str)]) {
    let screen = Screen::with_manager(800, 600);
    let (shower, _) = begin(&screen, "");
    screen.layout(layout);
    for (place, is_shifted, action) in strokes {
        screen.strike(place, *is_shifted);
        if action.is_empty() {
            // The next one's action is the first to be heard then.
            continue;
        }
        assert_eq!(shower.until("action"), format!("action {action}"), "{layout}: {place}, shift {is_shifted}");
    }
}

const BY_PLACE: [(&str, bool, &str); 11] = [
    ("AC04", false, "ToggleFullscreen"),
    ("AC04", true, "ToggleFullscreen"),
    ("AB07", false, "Mute"),
    ("AD08", false, "Stats"),
    ("AC06", false, "Help"),
    ("SPCE", false, "Freeze"),
    ("AE09", false, "Pick(8)"),
    ("AE10", false, "All"),
    ("KP9", false, "Pick(8)"),
    ("KP0", false, "All"),
    ("AD01", false, "Quit"),
];

#[test]
fn under_a_russian_layout_letters_count_by_their_place_and_the_question_mark_by_its_symbol() {
    under_layout("ru", &[&[("AE07", true, "Help")][..], &BY_PLACE[..]].concat());
}

#[test]
fn under_a_greek_layout_letters_count_by_their_place() {
    under_layout("gr", &[&[("AB10", true, "Help")][..], &BY_PLACE[..]].concat());
}

#[test]
fn under_a_french_layout_letters_count_by_their_symbol_and_digits_need_no_shift() {
    let strokes = [
        // An a and a comma, which stand where q and m are on a US keyboard.
        ("AD01", false, ""),
        ("AB07", false, ""),
        ("AE09", false, "Pick(8)"),
        ("AE09", true, "Pick(8)"),
        ("AE10", false, "All"),
        ("KP0", false, "All"),
        ("AC10", false, "Mute"),
        ("AB07", true, "Help"),
        ("AC01", false, "Quit"),
    ];
    under_layout("fr", &strokes);
}

#[test]
fn a_layout_that_is_switched_while_it_runs_counts_at_once() {
    let screen = Screen::with_manager(800, 600);
    let (shower, _) = begin(&screen, "");
    for (layout, place, action) in
        [("fr", "AC10", "Mute"), ("us", "AB07", "Mute"), ("ru", "AB07", "Mute"), ("fr", "AC01", "Quit")]
    {
        screen.layout(layout);
        screen.strike(place, false);
        assert_eq!(shower.until("action"), format!("action {action}"), "{layout}");
    }
}

#[test]
fn a_double_click_asks_for_full_screen() {
    // Without a manager: one looks at clicks first and passes them on in its own time.
    let screen = Screen::start(1280, 768, &[]);
    let (mut shower, window) = begin(&screen, "");
    let area = screen.area(window);
    screen.point(area.x + 100, area.y + 100);
    // The window's clock stands still between them, however long it takes to see each.
    let clicks = [(0, true), (50, false), (300, true), (350, false)].map(|(millis, is_down)| {
        shower.say(&format!("clock {millis}"));
        shower.until("done");
        screen.button(is_down);
        shower.poll()
    });
    let [pick, fill] = ["action Click { x: 100, y: 100 }", "action ToggleFullscreen"].map(|action| vec![action.to_string()]);
    assert_eq!(clicks, [pick, vec![], fill, vec![]]);
}

#[test]
fn closing_the_window_ends_it_in_good_order() {
    let screen = Screen::with_manager(1280, 768);
    let (shower, window) = begin(&screen, "");
    screen.ask_manager(window, "_NET_CLOSE_WINDOW", [0, 2, 0, 0, 0]);
    assert_eq!(shower.until("action"), "action Quit");
    assert!(shower.exit().success());
}

#[test]
fn words_stand_over_the_picture() {
    let screen = Screen::with_manager(1280, 768);
    let (mut shower, window) = begin(&screen, "");
    let area = screen.area(window);
    let count = |name: &str, place: Area, colour: u32| screen.shot(name).count(place, colour);
    let top_left = Area { width: 320, height: 240, ..area };
    let top_right = Area { x: area.x + 320, ..top_left };
    let bottom = Area { y: area.y + 360, height: 120, ..area };
    assert_eq!(count("plain", area, 0x00f2_f2f2), 0);
    shower.say("lines 29.9 pictures/s|glass to glass 41 ms|lost 0.0 %");
    shower.painted("the lines", || (count("lines", top_left, 0x00f2_f2f2) > 300).then_some(()));
    shower.say("volume-stays 70");
    shower.painted("the note", || (count("volume", bottom, 0x00f2_f2f2) > 200).then_some(()));
    shower.say("volume 70");
    shower.painted("the end of the note", || (count("volume-gone", bottom, 0x00f2_f2f2) == 0).then_some(()));
    let coloured = |name: &str| [0x00ff_6b5e, 0x00ff_c24b].map(|colour| count(name, top_right, colour));
    let plain = coloured("no-badges");
    screen.key('m' as u32);
    screen.key(' ' as u32);
    shower.painted("the badges", || {
        let seen = coloured("badges");
        (seen[0] > plain[0] + 30 && seen[1] > plain[1] + 30).then_some(())
    });
    screen.key('?' as u32);
    let middle = Area { x: area.x + 160, y: area.y + 120, width: 320, height: 240 };
    shower.painted("the page of keys", || (count("help", middle, 0x00f2_f2f2) > 600).then_some(()));
    screen.key('?' as u32);
    shower.say("grey 3240");
    shower.painted("the greyed picture", || {
        let shot = screen.shot("grey");
        let pixel = shot.at(area.x + 600, area.y + 440);
        let (red, green, blue) = (pixel >> 16 & 0xff, pixel >> 8 & 0xff, pixel & 0xff);
        (red == green && green == blue && (60..128).contains(&red)).then_some(())
    });
    assert!(count("grey", middle, 0x00f2_f2f2) > 150, "no word about the signal");
    shower.say("nothing waiting for 192.168.1.20");
    shower.painted("a black window", || (screen.shot("nothing").at(area.x + 600, area.y + 440) == 0).then_some(()));
    assert!(count("nothing", middle, 0x00f2_f2f2) > 150, "no word about the waiting");
}

#[test]
fn an_uncovered_window_is_painted_again() {
    let screen = Screen::with_manager(1280, 768);
    let (shower, window) = begin(&screen, "");
    let area = screen.area(window);
    shower.painted("the picture", || shows(&screen.shot("before"), area).then_some(()));
    let cover = x11rb::connection::Connection::generate_id(&screen.x).unwrap();
    let white = CreateWindowAux::new().override_redirect(1).background_pixel(0x00ff_ffff);
    let (depth, class) = (x11rb::COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
    screen.x.create_window(depth, cover, screen.root, 0, 0, screen.width, screen.height, 0, class, 0, &white).unwrap();
    screen.x.map_window(cover).unwrap().check().unwrap();
    assert_eq!(screen.shot("covered").at(area.x + 5, area.y + 5), 0x00ff_ffff);
    screen.x.destroy_window(cover).unwrap().check().unwrap();
    shower.painted("the picture again", || shows(&screen.shot("uncovered"), area).then_some(()));
}

#[test]
fn the_title_shows_what_cannot_be_printed_as_one_sign() {
    let screen = Screen::with_manager(1280, 768);
    let (mut shower, window) = begin(&screen, "");
    let name = screen.atom("_NET_WM_NAME");
    assert_eq!(screen.bytes(window, name), "pattern\u{fffd}\u{fffd}".as_bytes());
    assert_eq!(screen.bytes(window, AtomEnum::WM_NAME.into()), "pattern\u{fffd}\u{fffd}".as_bytes());
    shower.say("title lab – 30\x07 fps");
    shower.painted("the new title", || (screen.bytes(window, name) == "lab – 30\u{fffd} fps".as_bytes()).then_some(()));
}

#[test]
fn without_a_display_it_says_what_to_do() {
    let line = Shower::start(CHILD, None, "").until("error");
    assert!(line.contains("DISPLAY is not set") && line.contains("desktop session"), "{line}");
    let mut screen = Screen::start(320, 200, &[]);
    screen.name = ":999".into();
    let line = Shower::start(CHILD, Some(&screen), "").until("error");
    assert!(line.contains(":999") && line.contains("Check DISPLAY"), "{line}");
}
