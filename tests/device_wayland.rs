//! The screen of a Wayland desktop as the source, with the real programs, a real PipeWire, and a portal and pictures of the test's
//! own (`desktop`): what is drawn arrives, what is said of it counts, what is wrong is told. Built with `--features wayland` alone.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

mod desktop;
#[path = "support/program.rs"]
mod program;
mod screen;
#[path = "support/sent_screen.rs"]
mod sent_screen;

use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use desktop::Desktop;
use desktop::pictures::{Pictures, Show};
use desktop::portal::Portal;
use nix::sys::signal::Signal;
use program::{Out, Program, SEND, command, free_port};
use sent_screen::{BLUE, GREEN, RED, Sent};

/// A desktop that shows pictures of this size.
fn shown(name: &str, size: (u32, u32), red_first: bool) -> (Desktop, Portal, Pictures) {
    let desktop = Desktop::start(name);
    let portal = Portal::start(&desktop);
    let pictures = Pictures::start(&desktop, size, red_first);
    portal.known.lock().unwrap().node = pictures.node;
    (desktop, portal, pictures)
}

/// `send` on that desktop, that is not watched.
fn on(desktop: &Desktop, args: &str) -> Program {
    let mut command = command(SEND, &format!("--screen {args} --no-audio -p {}", free_port()));
    desktop.lend(&mut command);
    Program::launch(command, Stdio::null(), Out::Stats)
}

fn sent(desktop: &Desktop, args: &str) -> Sent {
    Sent::of_desktop(|command| desktop.lend(command), args, |_| {})
}

#[test]
fn what_is_drawn_arrives_in_its_colours_and_what_is_not_said_to_be_drawn_is_not_looked_at() {
    let (desktop, _portal, pictures) = shown("drawn", (320, 240), false);
    pictures.show(Show::all(RED));
    let mut sent = sent(&desktop, "");
    let picture = sent.until("a red screen", |picture| picture.is((160, 120), RED));
    assert_eq!((picture.width, picture.height), (320, 240));
    assert!(picture.is((0, 0), RED) && picture.is((319, 239), RED));
    // All of it is green, but that is not what is said.
    pictures.show(Show::all(GREEN).drawn((64, 48, 80, 40)));
    let picture = sent.until("a green part", |picture| picture.is((100, 60), GREEN));
    assert!(picture.is((60, 60), RED) && picture.is((148, 60), RED) && picture.is((100, 44), RED) && picture.is((100, 92), RED));
    // It costs a picture a second while nothing is drawn.
    sent.second(|more| more <= 2);
    for colour in [BLUE, GREEN].repeat(5) {
        pictures.show(Show::all(colour).drawn((0, 0, 320, 240)));
        sent.until("another colour", |picture| picture.is((10, 10), colour) && picture.is((310, 230), colour));
    }
    assert_eq!((sent.recv.stop(Signal::SIGTERM), sent.send.stop(Signal::SIGTERM)), (0, 0));
}

#[test]
fn words_of_red_first_what_is_seen_of_a_picture_and_another_size_are_taken_as_they_come() {
    let (desktop, _portal, pictures) = shown("sizes", (320, 240), true);
    pictures.show(Show::all(RED));
    let mut sent = sent(&desktop, "");
    sent.until("a red screen", |picture| picture.is((160, 120), RED));
    // What is torn is not shown, but what was drawn in it is read from the next.
    pictures.show(Show { torn: true, ..Show::all(BLUE).drawn((0, 0, 320, 240)) });
    pictures.show(Show::all(GREEN).drawn((0, 0, 8, 8)));
    sent.until("all of it green", |picture| picture.is((160, 120), GREEN) && picture.is((300, 200), GREEN));
    pictures.show(Show { crop: Some((10, 20, 120, 200)), ..Show::all(RED) });
    sent.send.said("the chosen monitor is 120x200 now");
    sent.until("a part of it", |picture| picture.is((160, 120), RED) && picture.is((20, 120), 0));
    pictures.resize(640, 240);
    pictures.show(Show::all(BLUE));
    sent.send.said("the chosen monitor is 640x240 now");
    // y4m keeps its first size: what is wider stands between bars.
    sent.until("a wider screen", |picture| picture.is((160, 120), BLUE) && picture.is((160, 20), 0));
}

#[test]
fn a_choice_is_kept_for_the_user_alone_and_shown_to_the_desktop_until_it_is_to_ask_again() {
    let (desktop, portal, _pictures) = shown("token", (320, 240), false);
    let asked = || portal.known.lock().unwrap().asked.clone();
    let mut first = on(&desktop, "");
    first.said("the desktop asks what to show");
    first.said("screen: the chosen monitor");
    first.said("waiting on port");
    assert_eq!(first.stop(Signal::SIGTERM), 0);
    let kept = std::fs::metadata(desktop.kept()).unwrap();
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);
    let mut second = on(&desktop, "");
    second.said("waiting on port");
    assert!(!second.heard().contains("the desktop asks"), "{}", second.heard());
    assert_eq!(second.stop(Signal::SIGTERM), 0);
    let mut third = on(&desktop, "ask");
    third.said("the desktop asks what to show");
    third.said("waiting on port");
    let mut window = on(&desktop, "window");
    window.said("waiting on port");
    assert_eq!(asked(), [(None, 3), (Some("token-1".into()), 3), (None, 3), (None, 2)]);
    assert_eq!(std::fs::read_to_string(desktop.kept()).unwrap(), "token-3\n", "of windows nothing is kept");
}

#[test]
fn what_the_desktop_refuses_or_ends_is_told_with_what_to_do() {
    let (mut desktop, portal, pictures) = shown("ends", (320, 240), false);
    pictures.show(Show::all(RED));
    let mut watched = sent(&desktop, "");
    watched.until("a red screen", |picture| picture.is((160, 120), RED));
    portal.end();
    watched.send.said("the desktop ended the sharing of its screen");
    assert_eq!(watched.send.ended(), 3);
    watched.recv.stop(Signal::SIGTERM);

    portal.known.lock().unwrap().refuses = true;
    let mut refused = on(&desktop, "ask");
    refused.said("the desktop was told not to show its screen");
    assert_eq!(refused.ended(), 3);
    portal.known.lock().unwrap().refuses = false;

    portal.known.lock().unwrap().kinds = 1;
    let mut windows = on(&desktop, "window");
    windows.said("this desktop's portal shows monitors and no windows");
    assert_eq!(windows.ended(), 3);
    for named in ["HDMI-1", "all", "100x100+0+0", "0x1c00007"] {
        let mut named = on(&desktop, named);
        named.said("cannot be named, its dialog asks what to show");
        assert_eq!(named.ended(), 3);
    }

    portal.known.lock().unwrap().shut = true;
    let mut shut = Sent::of_desktop(|command| desktop.lend(command), "", |_| {});
    shut.send.said("systemctl --user start pipewire");
    assert_eq!(shut.send.ended(), 3);
    portal.known.lock().unwrap().shut = false;

    pictures.show(Show::all(GREEN));
    let mut lost = sent(&desktop, "");
    lost.until("a green screen", |picture| picture.is((160, 120), GREEN));
    desktop.kill_pipewire();
    lost.send.said("PipeWire is lost");
    assert_eq!(lost.send.ended(), 3);
}

#[test]
fn rows_that_do_not_lie_in_their_memory_are_an_error_and_nothing_is_read() {
    let (desktop, _portal, pictures) = shown("rows", (320, 240), false);
    pictures.show(Show::all(RED));
    let mut sent = sent(&desktop, "");
    sent.until("a red screen", |picture| picture.is((160, 120), RED));
    pictures.show(Show { stride: Some(1 << 20), ..Show::all(GREEN) });
    sent.send.said("the desktop gives pictures that cannot be read");
    assert_eq!(sent.send.ended(), 3);
}

#[test]
fn without_a_portal_that_is_told_and_the_doctor_and_the_list_say_it_too() {
    let desktop = Desktop::bare("none");
    let mut send = on(&desktop, "");
    send.said("no portal answers here");
    assert_eq!(send.ended(), 3);
    let mut doctor = on(&desktop, "--doctor --stats json");
    let said = doctor.stats();
    let screen = said["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "screen").unwrap();
    assert_eq!(screen["verdict"], "wrong");
    let _portal = Portal::start(&desktop);
    let mut doctor = on(&desktop, "--doctor --stats json");
    let said = doctor.stats();
    let screen = said["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "screen").unwrap();
    assert_eq!(
        (&screen["verdict"], &screen["found"]),
        (&"ok".into(), &"the desktop's portal shows monitors and windows, and asks which".into())
    );
    let mut list = on(&desktop, "--list --stats json");
    assert_eq!(list.stats()["monitors"], serde_json::json!([]));
}
