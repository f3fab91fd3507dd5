//! A screen as the source, and its display (Xvfb): monitors that are off and back, of another size, windows that are minimized;
//! and how much is asked of the display, counted on the wire between.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/program.rs"]
mod program;
mod screen;
#[path = "support/sent_screen.rs"]
mod sent_screen;
#[path = "support/x_wire.rs"]
mod x_wire;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use screen::{PATIENCE, Screen};
use sent_screen::{BLUE, GREEN, RED, Sent, brush, fill, window};
use x_wire::Wire;
use x11rb::connection::RequestConnection as _;
use x11rb::protocol::randr::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, QUERY_POINTER_REQUEST, Rectangle};
use x11rb::protocol::{damage, shm, xfixes};
use x11rb::wrapper::ConnectionExt as _;

/// A monitor of that name, there.
fn monitor(screen: &Screen, name: &str, (x, y): (i16, i16), (width, height): (u16, u16)) {
    let info = randr::MonitorInfo {
        name: screen.atom(name),
        primary: false,
        automatic: false,
        x,
        y,
        width,
        height,
        width_in_millimeters: 0,
        height_in_millimeters: 0,
        outputs: Vec::new(),
    };
    screen.x.randr_set_monitor(screen.root, info).unwrap().check().unwrap();
}

fn unplug(screen: &Screen, name: &str) {
    screen.x.randr_delete_monitor(screen.root, screen.atom(name)).unwrap().check().unwrap();
}

fn number_of(screen: &Screen, extension: &'static str) -> u8 {
    screen.x.extension_information(extension).unwrap().unwrap().major_opcode
}

fn all(width: u16, height: u16) -> Rectangle {
    Rectangle { x: 0, y: 0, width, height }
}

#[test]
fn while_a_monitor_is_off_nothing_is_asked_and_what_was_drawn_meanwhile_is_there_when_it_is_back() {
    let screen = Screen::start(800, 600, &[]);
    // Within it, where the cursor is seen.
    screen.point(390, 590);
    monitor(&screen, "LEFT", (0, 0), (400, 600));
    let id = window(&screen, (100, 100), (200, 200), RED);
    let (brush, wire) = (brush(&screen, id), Wire::to(&screen.name));
    let mut sent = Sent::over(&wire.name, "LEFT", |_| {});
    let picture = sent.until("the monitor", |picture| picture.is((200, 200), RED));
    assert_eq!((picture.width, picture.height), (400, 600));
    unplug(&screen, "LEFT");
    sent.send.said("monitor LEFT is off");
    wire.asked();
    fill(&screen, (id, brush), GREEN, all(200, 200));
    screen.point(50, 50);
    (0..2000).for_each(|_| screen.x.sync().unwrap());
    let asked = wire.asked();
    assert!(asked.iter().all(|(number, ..)| *number != QUERY_POINTER_REQUEST), "{} requests", asked.len());
    monitor(&screen, "LEFT", (0, 0), (400, 600));
    sent.send.said("monitor LEFT is back: 400x600");
    sent.until("what was drawn meanwhile", |picture| picture.is((200, 200), GREEN));
}

#[test]
fn a_monitor_that_is_off_when_somebody_begins_to_watch_is_waited_for() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(790, 590);
    monitor(&screen, "LEFT", (0, 0), (400, 600));
    window(&screen, (100, 100), (200, 200), RED);
    let mut sent = Sent::over(&screen.name, "LEFT", |_| unplug(&screen, "LEFT"));
    sent.send.said("monitor LEFT is off");
    monitor(&screen, "LEFT", (50, 0), (400, 600));
    sent.send.said("monitor LEFT is back: 400x600");
    sent.until("it, where it stands now", |picture| picture.is((60, 200), RED) && picture.is((40, 200), 0));
}

#[test]
fn a_screen_of_another_size_is_sent_in_that_size() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(390, 290);
    window(&screen, (100, 100), (200, 150), RED);
    let mut sent = Sent::of(&screen, "all");
    sent.until("all of it", |picture| picture.is((200, 150), RED));
    // Before the screen may be smaller, what shows it is switched off.
    let resources = screen.x.randr_get_screen_resources(screen.root).unwrap().reply().unwrap();
    for crtc in resources.crtcs {
        let off = screen.x.randr_set_crtc_config(crtc, 0, 0, 0, 0, 0, randr::Rotation::ROTATE0, &[]);
        off.unwrap().reply().unwrap();
    }
    screen.x.randr_set_screen_size(screen.root, 400, 300, 100, 75).unwrap().check().unwrap();
    sent.send.said("all monitors is 400x300 now");
    // y4m keeps its first size.
    sent.until("it, twice as large", |picture| picture.is((400, 300), RED) && picture.is((580, 480), RED));
}

#[test]
fn of_a_screen_that_is_scaled_each_thing_that_is_drawn_arrives_in_its_place() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(790, 590);
    let id = window(&screen, (100, 100), (200, 200), RED);
    let (sent, brush) = (Sent::of(&screen, "all --width 400"), brush(&screen, id));
    let picture = sent.until("the window", |picture| picture.is((100, 100), RED));
    assert_eq!((picture.width, picture.height), (400, 300));
    for (at, colour) in [(20, GREEN), (60, BLUE), (100, GREEN)] {
        fill(&screen, (id, brush), colour, Rectangle { x: at, y: at, width: 32, height: 32 });
        let middle = 50 + at as usize / 2 + 8;
        let picture = sent.until("what was drawn", |picture| picture.is((middle, middle), colour));
        assert!(picture.is((middle - 14, middle + 14), RED), "and nothing beside it");
    }
}

#[test]
fn a_minimized_window_is_told_of() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(790, 590);
    let id = window(&screen, (100, 100), (200, 200), RED);
    let mut sent = Sent::of(&screen, &format!("{id:#x}"));
    sent.until("the window", |picture| picture.is((100, 100), RED));
    screen.x.unmap_window(id).unwrap().check().unwrap();
    sent.send.said("cannot be seen now");
    screen.x.map_window(id).unwrap().check().unwrap();
    sent.send.said("is back: 200x200");
    let brush = brush(&screen, id);
    fill(&screen, (id, brush), BLUE, all(200, 200));
    sent.until("what is drawn in it", |picture| picture.is((100, 100), BLUE));
}

#[test]
fn what_is_drawn_while_an_answer_is_waited_for_is_asked_for_at_once() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(790, 590);
    let id = window(&screen, (100, 100), (200, 200), RED);
    let (wire, subtract) = (Wire::to(&screen.name), (number_of(&screen, damage::X11_EXTENSION_NAME), damage::SUBTRACT_REQUEST));
    let sent = Sent::over(&wire.name, "", |_| {});
    sent.until("the window", |picture| picture.is((200, 200), RED));
    for colour in [GREEN, BLUE, RED] {
        // By another connection: the server has it before the question where the mouse is, so it says so before it answers.
        let (to, drawn) = channel();
        let (x, _) = x11rb::connect(Some(&screen.name)).unwrap();
        let (mut brush, mut looks) = (None, 0);
        wire.before(move |number, _| {
            looks += usize::from(number == QUERY_POINTER_REQUEST);
            if looks == 2 && brush.is_none() {
                let gc = x11rb::connection::Connection::generate_id(&x).unwrap();
                let values = x11rb::protocol::xproto::CreateGCAux::new().foreground(colour);
                x.create_gc(gc, id, &values).unwrap();
                x.poly_fill_rectangle(id, gc, &[all(200, 200)]).unwrap();
                x.sync().unwrap();
                brush = Some(gc);
                // The test may have ended.
                let _ = to.send(());
            } else if brush.is_some() {
                let _ = to.send(());
            }
        });
        wire.asked();
        // The question, and what is asked next.
        (0..2).for_each(|_| drawn.recv_timeout(PATIENCE).unwrap());
        sent.until("another colour", |picture| picture.is((200, 200), colour));
        let asked: Vec<_> = wire.asked().into_iter().map(|(number, minor, _)| (number, minor)).collect();
        let first = asked.iter().position(|request| *request == subtract).unwrap();
        let looks = asked[..first].iter().filter(|(number, _)| *number == QUERY_POINTER_REQUEST).count();
        assert_eq!(looks, 2, "it was slept on: {asked:?}");
    }
}

#[test]
fn what_is_drawn_on_another_monitor_is_asked_for_once_a_period() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(390, 590);
    monitor(&screen, "LEFT", (0, 0), (400, 600));
    let id = window(&screen, (500, 100), (200, 200), RED);
    let (wire, fetch) = (Wire::to(&screen.name), number_of(&screen, xfixes::X11_EXTENSION_NAME));
    let sent = Sent::over(&wire.name, "LEFT -r 2", |_| {});
    sent.until("the first picture", |_| true);
    // Each time it was answered what was drawn, and asks where the mouse is, more is.
    let (to, fetched) = channel();
    let (x, _) = x11rb::connect(Some(&screen.name)).unwrap();
    let mut answered = false;
    wire.before(move |number, minor| {
        if (number, minor) == (fetch, xfixes::FETCH_REGION_REQUEST) {
            answered = true;
            // The test may have ended.
            let _ = to.send(Instant::now());
        } else if number == QUERY_POINTER_REQUEST && std::mem::take(&mut answered) {
            x.clear_area(false, id, 0, 0, 200, 200).unwrap();
            x.sync().unwrap();
        }
    });
    screen.x.clear_area(false, id, 0, 0, 200, 200).unwrap().check().unwrap();
    let times: Vec<_> = (0..6).map(|_| fetched.recv_timeout(PATIENCE).unwrap()).collect();
    // Five periods of half a second, on a machine that was late for the first of them.
    assert!(times[5] - times[0] >= Duration::from_millis(1500), "six times in {:?}", times[5] - times[0]);
}

#[test]
fn a_display_that_shares_no_memory_is_asked_for_it_once() {
    let screen = Screen::start(800, 600, &[]);
    screen.point(790, 590);
    let id = window(&screen, (100, 100), (200, 200), RED);
    let (wire, brush, share) = (Wire::to(&screen.name), brush(&screen, id), number_of(&screen, shm::X11_EXTENSION_NAME));
    let sent = Sent::over(&wire.name, "", |_| {});
    for colour in [GREEN, BLUE, RED] {
        fill(&screen, (id, brush), colour, all(200, 200));
        sent.until("another colour", |picture| picture.is((200, 200), colour));
    }
    // Only the connection that looks at pixels asks: `send` made others before.
    let asked = wire.asked();
    assert_eq!(asked.iter().filter(|(number, minor, _)| (*number, *minor) == (share, shm::QUERY_VERSION_REQUEST)).count(), 1);
}
