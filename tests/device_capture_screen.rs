//! A screen as the source, with the real programs on an X server (Xvfb) of the test's own: what is drawn on it arrives, in its
//! colours and soon, a still screen costs a picture a second, and a window, a part and a lost screen are what they are said to
//! be. What comes and goes, and what is asked of the display, `device_capture_display.rs` has.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/on_screen.rs"]
mod on_screen;
#[path = "support/program.rs"]
mod program;
mod screen;
#[path = "support/sent_screen.rs"]
mod sent_screen;
#[path = "support/sound_server.rs"]
mod sound_server;

use std::process::Stdio;

use nix::sys::signal::Signal;
use on_screen::on;
use program::{Out, Program, SEND, command, free_port};
use screen::Screen;
use sent_screen::{BLUE, GREEN, Picture, RED, Sent, brush, fill, window};
use sound_server::SoundServer;
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _, InputFocus, Rectangle};

#[test]
fn what_is_drawn_arrives_in_its_colours_and_in_its_place_and_a_still_screen_costs_a_picture_a_second() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(700, 580);
    let id = window(&screen, (101, 67), (200, 150), RED);
    let mut sent = Sent::of(&screen, "");
    let picture = sent.until("a red window", |picture| picture.is((200, 100), RED));
    assert_eq!((picture.width, picture.height), (800, 600));
    // To the pixel: the rim is sharp in every plane, but for what JPEG makes of an edge.
    let left = (80..120).find(|x| picture.at(*x, 140)[0] > 112).unwrap();
    let top = (50..90).find(|y| picture.at(200, *y)[0] > 112).unwrap();
    assert_eq!((left, top), (101, 67));
    assert!(picture.is((50, 300), 0) && picture.is((500, 300), 0), "the root is black");

    let brush = (id, brush(&screen, id));
    fill(&screen, brush, GREEN, Rectangle { x: 40, y: 30, width: 60, height: 40 });
    let picture = sent.until("a green part of it", |picture| picture.is((160, 110), GREEN));
    assert!(picture.is((120, 80), RED) && picture.is((280, 200), RED), "and nothing else");

    screen.x.configure_window(id, &ConfigureWindowAux::new().x(500).y(400)).unwrap().check().unwrap();
    let picture = sent.until("the window elsewhere", |picture| picture.is((600, 500), RED));
    assert!(picture.is((200, 100), 0), "and no more where it was");

    sent.second(|more| more <= 2);
    for colour in [BLUE, GREEN].repeat(10) {
        fill(&screen, brush, colour, Rectangle { x: 0, y: 0, width: 200, height: 150 });
        sent.until("another colour", |picture| picture.is((600, 500), colour));
    }
    sent.second(|more| more <= 2);
    assert_eq!((sent.recv.stop(Signal::SIGTERM), sent.send.stop(Signal::SIGTERM)), (0, 0));
}

#[test]
fn the_cursor_is_drawn_where_it_points_and_leaves_nothing_behind() {
    let screen = Screen::start(640, 480, &[]);
    let _id = window(&screen, (0, 0), (640, 480), GREEN);
    // The server's own cursor is black and white.
    let grey = |picture: &Picture, x: usize, y: usize| {
        let around = (y..y + 12).flat_map(|y| (x..x + 12).map(move |x| (x, y)));
        around.filter(|(x, y)| !picture.is((*x, *y), GREEN)).count()
    };
    screen.point(100, 100);
    let sent = Sent::of(&screen, "");
    sent.until("the cursor", |picture| grey(picture, 95, 95) > 8 && grey(picture, 400, 300) == 0);
    screen.point(405, 305);
    sent.until("the cursor elsewhere", |picture| grey(picture, 95, 95) == 0 && grey(picture, 400, 300) > 8);
}

#[test]
fn a_window_is_sent_alone_follows_its_size_and_its_end_is_an_end() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(790, 590);
    let behind = window(&screen, (0, 0), (800, 600), BLUE);
    let id = window(&screen, (300, 200), (240, 160), RED);
    screen.x.set_input_focus(InputFocus::PARENT, id, x11rb::CURRENT_TIME).unwrap().check().unwrap();
    let mut sent = Sent::of(&screen, "window");
    let picture = sent.until("the window", |picture| picture.is((100, 100), RED));
    assert_eq!((picture.width, picture.height), (240, 160));
    fill(&screen, (behind, brush(&screen, behind)), GREEN, Rectangle { x: 0, y: 0, width: 800, height: 600 });
    // y4m keeps its first size: what is wider stands between bars.
    screen.x.configure_window(id, &ConfigureWindowAux::new().width(480)).unwrap().check().unwrap();
    sent.until("a wider window", |picture| picture.is((120, 80), RED) && picture.is((120, 10), 0));
    screen.x.destroy_window(id).unwrap().check().unwrap();
    sent.send.said("is not there any more");
    assert_eq!(sent.send.ended(), 3, "{}", sent.send.heard());
}

#[test]
fn a_part_is_sent_alone_and_a_display_that_dies_is_an_error() {
    let mut screen = Screen::start(800, 600, &[]);
    screen.point(790, 590);
    let _id = window(&screen, (300, 200), (100, 100), RED);
    let mut sent = Sent::of(&screen, "201x101+250+180");
    let picture = sent.until("the part", |picture| picture.is((100, 60), RED));
    assert_eq!((picture.width, picture.height, picture.is((20, 60), 0)), (201, 101, true));
    screen.kill_server();
    sent.send.said("the display is lost");
    assert_eq!(sent.send.ended(), 3, "{}", sent.send.heard());
}

#[test]
fn what_is_not_there_is_told_before_anybody_waits() {
    let screen = Screen::start(320, 240, &[]);
    for (which, words) in [
        ("VGA-9", "no monitor is called \"VGA-9\"; there are: 0 "),
        ("100x100+400+0", "100x100+400+0 is not on the screen, which is 320x240"),
        ("0x7fffffff", "window 0x7fffffff is not there any more"),
        ("window", "no window has the keyboard"),
    ] {
        let mut send = on(&screen, SEND, &format!("--screen {which} --no-audio -p {}", free_port()));
        send.said(words);
        assert_eq!(send.ended(), 3, "{which}");
    }
    let started = |wayland: &str| {
        let mut command = command(SEND, &format!("--screen --no-audio -p {}", free_port()));
        command.env("WAYLAND_DISPLAY", wayland).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        Program::launch(command, Stdio::null(), Out::Stats)
    };
    let mut send = started("");
    send.said("$DISPLAY names none");
    assert_eq!(send.ended(), 3);
    let mut send = started("wayland-0");
    send.said(if cfg!(feature = "wayland") { "no portal answers here" } else { "`send --camera OBS`" });
    assert_eq!(send.ended(), 3);
    let mut list = on(&screen, SEND, "--list --stats json");
    assert_eq!(list.stats()["monitors"][0]["width"], 320);
}

#[test]
fn speakers_are_what_this_machine_plays_and_without_a_server_that_is_told() {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("capture-screen-sound");
    let _ = std::fs::remove_dir_all(&dir);
    let server = SoundServer::start(&dir);
    let start = |args: &str, sound: &[(&'static str, String)]| {
        let mut command = command(SEND, &format!("--no-video --mic speakers {args} -p {}", free_port()));
        command.envs(sound.iter().map(|(name, value)| (*name, value.clone()))).env_remove("PULSE_RUNTIME_PATH");
        command.env("ALSA_CONFIG_PATH", "/dev/null");
        Program::launch(command, Stdio::null(), Out::Stats)
    };
    let mut send = start("", &SoundServer::environment(&dir));
    let said = send.said("microphone");
    assert!(said.to_lowercase().contains("monitor of speaker"), "{said}");
    send.said("waiting on port");
    assert_eq!(send.stop(Signal::SIGTERM), 0);
    drop(server);
    let mut send = start("", &[("PULSE_SERVER", "unix:/nonexistent/pulse".into())]);
    assert_eq!(send.ended(), 3, "{}", send.heard());
}
