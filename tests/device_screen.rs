//! The real programs on a real X server (Xvfb): the test picture of `send` in the window of `recv` and in `--preview`, what the
//! keys do to it, and what is seen of a picture that lost a band. `EYELINE_SCREENSHOTS=folder` keeps what the tests saw.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/gate.rs"]
mod gate;
#[path = "support/on_screen.rs"]
mod on_screen;
#[path = "support/program.rs"]
mod program;
#[path = "support/proxy.rs"]
mod proxy;
mod screen;
#[path = "support/sound_server.rs"]
mod sound_server;

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use eyeline::capture::pattern::read_number;
use eyeline_proto::picture::Size;
use folder::Folder;
use gate::{Gate, Way};
use nix::sys::signal::Signal;
use on_screen::{on, on_with, until, window};
use program::{Out, Program, RECV, SEND, command, free_port, send};
use proxy::Proxy;
use screen::{Area, Screen, Shot};
use serde_json::Value;
use sound_server::SoundServer;
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _, Window};

const PICTURE: Size = Size { width: 640, height: 480 };
const TEST: &str = "--test -s 640x480 -r 30 --no-audio --stats json";
const ESCAPE: u32 = 0xff1b;

/// Waits until the window is as large as the picture, which it makes itself, around its middle; and moves it to a known place.
fn fitted(screen: &Screen, id: Window) -> Area {
    until("a window of the picture's size", || Some(screen.area(id)).filter(|area| (area.width, area.height) == (640, 480)));
    put(screen, id, PICTURE)
}

/// Moves the window to where no manager puts it by itself, in this size.
fn put(screen: &Screen, id: Window, size: Size) -> Area {
    let wanted = ConfigureWindowAux::new().x(90).y(70).width(size.width).height(size.height);
    screen.x.configure_window(id, &wanted).unwrap().check().unwrap();
    let is_there = |area: &Area| (90..140).contains(&area.x) && (70..140).contains(&area.y);
    let has_size = |area: &Area| (area.width as u32, area.height as u32) == (size.width, size.height);
    until("the window in its place", || {
        screen.nudge_manager();
        Some(screen.area(id)).filter(|area| is_there(area) && has_size(area))
    })
}

/// The luma of `place`, as large as `size`, nearest pixels.
fn luma(shot: &Shot, place: Area, size: Size) -> Vec<u8> {
    let (width, height) = (size.width as i32, size.height as i32);
    let at = |n: i32| shot.at(place.x + (n % width) * place.width / width, place.y + (n / width) * place.height / height);
    let grey = |pixel: u32| ((pixel >> 16 & 255) * 299 + (pixel >> 8 & 255) * 587 + (pixel & 255) * 114) / 1000;
    (0..width * height).map(|n| grey(at(n)) as u8).collect()
}

/// The number of the test picture seen in `place`; none where it cannot be one of the first two minutes, for a screenshot may
/// catch a window half drawn.
fn seen(shot: &Shot, place: Area) -> Option<u32> {
    Some(read_number(&luma(shot, place, PICTURE), PICTURE)).filter(|number| (1..3600).contains(number))
}

/// Waits for a picture after `last` in `place`. A window that is half drawn shows any number: one counts that follows another
/// within the five seconds that lie between two shots at most.
fn goes_on(screen: &Screen, name: &str, place: Area, last: u32) -> u32 {
    follows(screen, name, last, |shot| seen(shot, place))
}

fn follows(screen: &Screen, name: &str, last: u32, read: impl Fn(&Shot) -> Option<u32>) -> u32 {
    let mut before = None;
    until(&format!("{name}: a picture after {last}"), || {
        let number = read(&screen.shot(name))?;
        let follows = before.replace(number).is_some_and(|before| (before + 1..before + 150).contains(&number));
        (follows && number > last).then_some(number)
    })
}

/// The number of the picture that stands still in `place`: two shots show the same.
fn stands(screen: &Screen, name: &str, place: Area) -> u32 {
    let mut before = None;
    until(&format!("{name}: a picture that stands"), || {
        let number = seen(&screen.shot(name), place)?;
        (before.replace(number) == Some(number)).then_some(number)
    })
}

/// The places where two shots differ by more than compression does.
fn changed(before: &Shot, after: &Shot, place: Area) -> usize {
    let pixels = (place.y..place.y + place.height).flat_map(|y| (place.x..place.x + place.width).map(move |x| (x, y)));
    let apart = |a: u32, b: u32| [16, 8, 0].iter().any(|shift| (a >> shift & 255).abs_diff(b >> shift & 255) > 40);
    pixels.filter(|(x, y)| apart(before.at(*x, *y), after.at(*x, *y))).count()
}

/// Waits until twenty more pictures came, from now on.
fn twenty_more(recv: &mut Program) {
    recv.forget_stats();
    let before = recv.stats();
    recv.stats_with(|stats| stats["whole"].as_u64() >= before["whole"].as_u64().map(|whole| whole + 20));
}

/// The upper left, where the overlay writes and the test picture stands still.
fn corner(area: Area) -> Area {
    Area { width: 400, height: 100, ..area }
}

#[test]
fn the_test_picture_is_in_the_window_and_every_key_does_what_the_help_says() {
    let screen = Screen::with_manager(1280, 800);
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let mut recv = on(&screen, RECV, &format!("--host 127.0.0.1:{port} --stats json"));
    recv.said("is sending");
    let id = window(&screen);
    let area = fitted(&screen, id);
    let mut number = goes_on(&screen, "picture", area, 0);
    number = goes_on(&screen, "picture", area, number);
    let plain = screen.shot("picture");

    // The overlay: on, then off.
    screen.key('i' as u32);
    let lines = |shot: &Shot| changed(&plain, shot, corner(area));
    until("the overlay", || (lines(&screen.shot("overlay")) > 500).then_some(()));
    number = goes_on(&screen, "overlay", area, number);
    screen.key('i' as u32);
    until("no overlay", || (lines(&screen.shot("no-overlay")) == 0).then_some(()));
    // The help.
    screen.key('?' as u32);
    until("the help", || (changed(&plain, &screen.shot("help"), area) > 20_000).then_some(()));
    screen.key('?' as u32);
    until("no help", || (lines(&screen.shot("no-help")) == 0).then_some(()));

    // Frozen: the number stays while pictures come; then it jumps to now.
    screen.key(' ' as u32);
    twenty_more(&mut recv);
    let frozen = stands(&screen, "frozen", area);
    twenty_more(&mut recv);
    assert_eq!(stands(&screen, "frozen", area), frozen);
    screen.key(' ' as u32);
    number = goes_on(&screen, "thawed", area, frozen.max(number) + 20);

    // Without sound m says so, on the part of the picture that stands still, and the picture goes on. The note stays for a second
    // and a half, or for as long as the key is struck again before each look.
    let foot = Area { x: area.x + 180, y: area.y + 400, width: 280, height: 60 };
    until("a note", || {
        screen.key('m' as u32);
        (changed(&plain, &screen.shot("note"), foot) > 500).then_some(())
    });
    number = goes_on(&screen, "note", area, number);

    // Full screen and back.
    screen.key('f' as u32);
    let whole = Area { x: 0, y: 0, width: 1280, height: 800 };
    until("the whole screen", || (screen.area(id) == whole).then_some(()));
    // 4:3 between bars.
    let (wide, bar) = (Area { x: 107, y: 0, width: 1066, height: 800 }, Area { x: 0, y: 0, width: 100, height: 800 });
    until("black bars", || {
        let shot = screen.shot("fullscreen");
        (bar.x..bar.width).all(|x| shot.at(x, 400) == 0).then_some(())
    });
    number = goes_on(&screen, "fullscreen", wide, number);
    screen.key(ESCAPE);
    until("the window as it was", || (screen.area(id) == area).then_some(()));
    number = goes_on(&screen, "back", area, number);

    // Resized: smaller, and of another shape.
    let area = put(&screen, id, Size { width: 1000, height: 600 });
    goes_on(&screen, "resized", Area { x: area.x + 100, width: 800, ..area }, number);
    screen.key('q' as u32);
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    send.said("stopped watching");
}

/// Waits for the window to be called so.
fn titled(screen: &Screen, window: Window, title: &str) {
    let name = screen.atom("_NET_WM_NAME");
    until(&format!("the title {title:?}"), || (screen.bytes(window, name) == title.as_bytes()).then_some(()));
}

#[test]
fn window_title_and_line_say_what_is_awaited() {
    let screen = Screen::with_manager(1280, 800);
    let port = free_port();
    let mut recv = on(&screen, RECV, &format!("127.0.0.1:{port} --no-audio --stats json"));
    let id = window(&screen);
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let name = name.trim();
    titled(&screen, id, &format!("dialling 127.0.0.1:{port} - Eyeline"));
    recv.said("dialling on until it answers");
    let area = screen.area(id);
    until("words about it", || (screen.shot("awaited").count(area, 0x00f2_f2f2) > 500).then_some(()));
    let mut send_sound = send(&format!("--test --no-video -p {port}"));
    recv.said(&format!("{name} (127.0.0.1:{port}) is sending sound only"));
    titled(&screen, id, &format!("{name}, sound only - Eyeline"));
    drop(screen.shot("sound-only"));
    assert_eq!(send_sound.stop(Signal::SIGTERM), 0);
    recv.said(&format!("{name} stopped sending"));
    recv.said(&format!("dialling 127.0.0.1:{port}"));
    titled(&screen, id, &format!("dialling 127.0.0.1:{port} - Eyeline"));
    let mut send_pictures = send(&format!("{TEST} -p {port}"));
    titled(&screen, id, &format!("{name} - Eyeline"));
    recv.stats_with(|stats| stats["shown"].as_u64() > Some(5));
    // Of a sender that is gone no figures are shown as if they were now.
    screen.key('i' as u32);
    assert_eq!(send_pictures.stop(Signal::SIGTERM), 0);
    let gone = recv.stats_with(|stats| stats["quiet"] == true);
    assert!(gone["rtt_ms"].is_null(), "{gone}");
    drop(screen.shot("gone"));
    drop(recv);
    let mut waits = on(&screen, RECV, &format!("-p {port} --no-audio"));
    let id = window(&screen);
    titled(&screen, id, &format!("waiting on port {port} - Eyeline"));
    drop(screen.shot("waiting"));
    screen.key('q' as u32);
    assert_eq!(waits.ended(), 0, "{}", waits.heard());
}

#[test]
fn a_window_comes_back_where_it_was_closed_and_as_large_as_the_user_made_it() {
    let (screen, folder, port) = (Screen::with_manager(1280, 960), Folder::new("remembered"), free_port());
    let start = |args: &str| {
        let mut command = command(RECV, &format!("--no-audio --port {port} {args}"));
        command.env("XDG_STATE_HOME", &folder.0);
        let mut recv = on_with(&screen, command);
        recv.said("waiting on port");
        let id = window(&screen);
        (recv, id)
    };
    let (mut recv, id) = start("");
    let small = Size { width: 500, height: 300 };
    let there = put(&screen, id, small);
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
    let (mut recv, id) = start("");
    until("the window where it was", || Some(screen.area(id)).filter(|area| *area == there));
    screen.key('q' as u32);
    assert_eq!(recv.ended(), 0);
    let (mut recv, id) = start("--geometry 320x200+0+0 --title lab");
    until("the window where it is asked to be", || {
        let (area, frame) = (screen.area(id), screen.frame(id));
        ((area.width, area.height, area.x - frame[0], area.y - frame[2]) == (320, 200, 0, 0)).then_some(())
    });
    titled(&screen, id, "lab");
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
    let (mut recv, id) = start("--geometry picture");
    until("a window of the usual size", || (screen.area(id).width > 1000).then_some(()));
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
}

#[test]
fn the_close_button_and_a_signal_end_it_in_order_and_a_display_that_dies_does_not() {
    let mut screen = Screen::with_manager(800, 600);
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let start = |screen: &Screen| {
        let mut recv = on(screen, RECV, &format!("--no-audio --host 127.0.0.1:{port} --stats json"));
        recv.stats_with(|stats| stats["shown"].as_u64() > Some(5));
        let window = window(screen);
        (recv, window)
    };
    let (mut recv, window) = start(&screen);
    screen.ask_manager(window, "_NET_CLOSE_WINDOW", [0, 2, 0, 0, 0]);
    screen.nudge_manager();
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    let (mut recv, _) = start(&screen);
    assert_eq!(recv.stop(Signal::SIGTERM), 0, "{}", recv.heard());
    // Xlib ends a program that lost its display; nothing of ours runs then.
    let (mut recv, _) = start(&screen);
    screen.kill_server();
    assert_eq!(recv.ended(), 1, "{}", recv.heard());
    let said = recv.heard();
    let by_xlib = ["X connection to", "on X server"]; // depends on what it was doing
    assert!(!said.contains("slow way") && by_xlib.iter().any(|words| said.contains(words)), "{said}");
    send.stats_with(|stats| stats["peers"].as_array().is_some_and(|peers| peers.iter().all(|peer| peer["quiet"] == true)));
    assert_eq!(send.stop(Signal::SIGTERM), 0);
}

#[test]
fn the_preview_shows_what_is_sent_and_its_q_ends_send() {
    let screen = Screen::with_manager(1280, 800);
    let port = free_port();
    let mut send = on(&screen, SEND, &format!("{TEST} --preview -p {port}"));
    send.said("waiting on port");
    let id = window(&screen);
    drop(screen.shot("preview-waiting"));
    let mut recv = program::recv(&format!("--host 127.0.0.1:{port} --stats json"));
    recv.said("is sending");
    let area = fitted(&screen, id);
    let number = goes_on(&screen, "preview", area, 0);
    goes_on(&screen, "preview", area, number);
    screen.key('q' as u32);
    assert_eq!(send.ended(), 0, "{}", send.heard());
    recv.said("stopped sending");
}

/// A film of so many seconds in this folder.
fn film(folder: &Folder, name: &str, seconds: u32) {
    let words = format!("-loglevel error -f lavfi -i testsrc=size=320x240:rate=25:duration={seconds} -c:v mjpeg -y");
    let made = Command::new("ffmpeg").args(words.split(' ')).arg(folder.0.join(name)).status();
    assert!(made.expect("ffmpeg is needed: apt install ffmpeg").success());
}

#[test]
fn a_film_that_was_dropped_is_ended_in_order_and_what_was_asked_once_is_done_once() {
    let (screen, folder, port) = (Screen::with_manager(1280, 800), Folder::new("dropped-ended"), free_port());
    film(&folder, "long.mkv", 20);
    let picture = folder.0.join("once.jpg");
    let mut send = on(&screen, SEND, &format!("{TEST} --preview -p {port} --snapshot {}", picture.display()));
    let id = window(&screen);
    let mut recv = program::recv(&format!("--host 127.0.0.1:{port} --stats json"));
    until("the snapshot", || std::fs::read(&picture).ok().filter(|bytes| !bytes.is_empty()));
    let kept = std::fs::read(&picture).unwrap();
    assert!(screen.drop_on(id, &format!("file://{}/long.mkv\r\n", folder.0.display())));
    recv.said("stopped sending: long.mkv is sent next");
    recv.said("is sending");
    recv.forget_stats();
    twenty_more(&mut recv);
    assert_eq!(send.stop(Signal::SIGTERM), 0, "{}", send.heard());
    recv.said("stopped sending");
    assert!(std::fs::read(&picture).unwrap() == kept, "it is of what was sent first");
}

#[test]
fn a_film_dropped_on_the_preview_is_sent_next_and_what_is_none_changes_nothing() {
    let (screen, folder, port) = (Screen::with_manager(1280, 800), Folder::new("dropped"), free_port());
    film(&folder, "a film.mkv", 1);
    std::fs::write(folder.0.join("words.txt"), "no film").unwrap();
    let mut send = on(&screen, SEND, &format!("{TEST} --preview -p {port}"));
    let id = window(&screen);
    let mut recv = program::recv(&format!("--host 127.0.0.1:{port} --stats json"));
    recv.stats_with(|stats| stats["whole"].as_u64() > Some(5));
    let name = |file: &str| format!("file://{}/{file}\r\n", folder.0.display());
    assert!(screen.drop_on(id, &name("words.txt")));
    send.said("words.txt");
    recv.forget_stats();
    twenty_more(&mut recv);
    assert!(screen.drop_on(id, &name("a%20film.mkv")));
    recv.said("stopped sending: a film.mkv is sent next");
    send.said("a film.mkv: 320x240, 25 pictures a second");
    // It is sent to its end, which is the end of both.
    assert_eq!((recv.ended(), send.ended()), (0, 0), "{} {}", recv.heard(), send.heard());
}

/// Bytes of a picture as `send` made them in the last second; `None` in a second without one.
fn a_picture(before: &Value, now: &Value) -> Option<u64> {
    let more = |field: &str| Some(now[field].as_u64()? - before[field].as_u64()?);
    more("encoded_bytes")?.checked_div(more("pictures")?)
}

/// Waits until a picture takes as many bytes as wanted.
fn costs(send: &mut Program, wanted: impl Fn(u64) -> bool) -> u64 {
    let mut before = send.stats();
    until("pictures that cost so much", || {
        let now = send.stats();
        let bytes = a_picture(&before, &now).filter(|bytes| wanted(*bytes));
        before = now;
        bytes
    })
}

#[test]
fn a_sender_makes_its_pictures_as_large_as_they_are_seen() {
    let (screen, port) = (Screen::start(1280, 800, &[]), free_port());
    let dials = || send(&format!("--test -s 1280x720 -r 15 --no-audio --stats json --host 127.0.0.1:{port}"));
    let mut recv = on(&screen, RECV, &format!("--no-audio -p {port}"));
    recv.said("waiting on port");
    let mut one = dials();
    let alone = costs(&mut one, |bytes| bytes > 0);
    let mut others: Vec<Program> = (0..3).map(|_| dials()).collect();
    let among_four = costs(&mut one, |bytes| bytes < alone / 2);
    costs(&mut others[0], |bytes| bytes < alone / 2);
    others.iter_mut().for_each(|other| assert_eq!(other.stop(Signal::SIGTERM), 0));
    let again = costs(&mut one, |bytes| bytes > alone * 3 / 4);
    eprintln!("bytes of a picture: alone {alone}, among four {among_four}, alone again {again}");
    assert_eq!(recv.stop(Signal::SIGTERM), 0);
}

#[test]
fn a_minimized_window_is_sent_no_pictures_and_has_them_at_once_when_it_is_seen_again() {
    let screen = Screen::with_manager(1280, 800);
    let port = free_port();
    let mut send = send(&format!("{TEST} -p {port}"));
    send.said("waiting on port");
    let mut recv = on(&screen, RECV, &format!("--no-audio --host 127.0.0.1:{port} --stats json"));
    let id = window(&screen);
    twenty_more(&mut recv);
    // 3: iconic (ICCCM 4.1.4).
    screen.ask_manager(id, "WM_CHANGE_STATE", [3, 0, 0, 0, 0]);
    let whole = std::cell::Cell::new(None);
    let stats = recv.stats_with(|stats| whole.replace(stats["whole"].as_u64()) == stats["whole"].as_u64());
    assert_eq!(stats["quiet"], false, "its sender is there all the same: {stats}");
    screen.x.map_window(id).unwrap().check().unwrap();
    twenty_more(&mut recv);
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
}

/// The loudest sample of a second, a beep among them, as it leaves the speaker.
fn heard(server: &SoundServer) -> i32 {
    let mut record = server.tool("parec");
    record.args(["--device=speaker.monitor", "--raw", "--format=s16le", "--rate=48000", "--channels=1", "--latency-msec=20"]);
    let mut record = record.stdout(Stdio::piped()).spawn().expect("parec is in pulseaudio-utils");
    let mut bytes = vec![0; 48_000 * 2 * 12 / 10];
    record.stdout.take().unwrap().read_exact(&mut bytes).unwrap();
    // It would go on for ever.
    record.kill().unwrap();
    record.wait().unwrap();
    bytes.chunks_exact(2).map(|sample| i32::from(i16::from_le_bytes([sample[0], sample[1]])).abs()).max().unwrap()
}

#[test]
fn m_plus_and_minus_change_what_is_heard() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("screen-{}", std::process::id()));
    let server = SoundServer::start(&dir);
    let screen = Screen::with_manager(800, 600);
    let port = free_port();
    let mut send = send(&format!("--test -s 320x240 -p {port}"));
    send.said("waiting on port");
    let mut command = command(RECV, &format!("--host 127.0.0.1:{port} --stats json"));
    command.env("DISPLAY", &screen.name).envs(SoundServer::environment(&dir)).env_remove("PULSE_RUNTIME_PATH");
    let mut recv = Program::launch(command, Stdio::null(), Out::Stats);
    recv.said("speaker speaker");
    recv.stats_with(|stats| stats["blocks"].as_u64() > Some(100));
    window(&screen);
    let loud = until("the beep", || Some(heard(&server)).filter(|heard| *heard > 10_000));
    screen.key('m' as u32);
    until("silence", || (heard(&server) == 0).then_some(()));
    drop(screen.shot("muted"));
    screen.key('m' as u32);
    until("the beep again", || (heard(&server) > loud * 9 / 10).then_some(()));
    (0..10).for_each(|_| screen.key('-' as u32));
    let half = until("half as loud", || Some(heard(&server)).filter(|heard| *heard < loud * 6 / 10));
    drop(screen.shot("volume"));
    assert!(half > loud * 4 / 10, "{half} of {loud}");
    (0..10).for_each(|_| screen.key('+' as u32));
    until("as loud as before", || (heard(&server) > loud * 9 / 10).then_some(()));
    screen.key('q' as u32);
    assert_eq!(recv.ended(), 0, "{}", recv.heard());
    drop(server);
    std::fs::remove_dir_all(dir).unwrap();
}

/// One encoder thread sends a picture's slices from the top down, each a run of full datagrams and a shorter one. The last runs
/// of each picture, with the number in them, are lost, and so is every word back, so that nothing is sent again.
#[test]
fn a_lost_band_keeps_its_last_good_pixels_while_the_rest_moves_on() {
    // What the loopback interface is known to take after a round trip.
    const FULL: usize = eyeline_proto::session::mtu::MOST;
    let screen = Screen::with_manager(1600, 900);
    let port = free_port();
    let mut slow = Command::new("taskset");
    slow.args(["-c", "0", SEND, "--test", "--replenish", "off", "-s", "1280x720", "-r", "4", "--no-audio", "-p"])
        .arg(port.to_string());
    slow.args(["--stats", "json"]).env_remove("EYELINE_KEY").env_remove("DISPLAY");
    let mut send = Program::launch(slow, Stdio::null(), Out::Stats);
    send.said("waiting on port");
    let (losing, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (on_way, counted) = (losing.clone(), lost.clone());
    // Runs of this picture so far, whether one of them was lost, and how many the pictures before had: a machine that stands
    // still tears a picture apart, but not most of them.
    let (mut runs, mut hit, mut last, mut before) = (0, false, Instant::now(), Vec::new());
    let gate = Gate::start(port, move |way, bytes| {
        let losing = on_way.load(Ordering::Relaxed);
        if way == Way::Up {
            return !losing;
        }
        if bytes.len() < 100 {
            return true; // no picture
        }
        if last.elapsed() > Duration::from_millis(150) {
            before.extend((!losing).then_some(runs));
            before.sort_unstable();
            (runs, hit) = (0, false);
        }
        last = Instant::now();
        let usual: usize = before.get(before.len() / 2).copied().unwrap_or(usize::MAX);
        // Two, for the number of slices is not always the same.
        let dropped = losing && runs + 2 >= usual;
        runs += usize::from(bytes.len() < FULL);
        counted.fetch_add(u64::from(dropped && !hit), Ordering::Relaxed);
        hit |= dropped;
        !dropped
    });
    let mut recv = on(&screen, RECV, &format!("--no-audio --host 127.0.0.1:{} --stats json", gate.port));
    recv.stats_with(|stats| stats["shown"].as_u64() > Some(10));
    let area = screen.area(window(&screen));
    let size = Size { width: 1280, height: 720 };
    assert_eq!((area.width, area.height), (1280, 720));
    let read = |shot: &Shot| read_number(&luma(shot, area, size), size);
    let sound = follows(&screen, "band-before", 0, |shot| Some(read(shot)));
    recv.forget_stats();
    let before = recv.stats();

    losing.store(true, Ordering::Relaxed);
    until("the number standing still", || (lost.load(Ordering::Relaxed) >= 2).then_some(()));
    let first = screen.shot("band-lost-1");
    let motion = Area { y: area.y + 720 * 65 / 100, height: 720 * 13 / 100, ..area };
    let second = until("motion", || Some(screen.shot("band-lost-2")).filter(|shot| changed(&first, shot, motion) > 500));
    let third = until("more motion", || Some(screen.shot("band-lost-3")).filter(|shot| changed(&second, shot, motion) > 500));
    let stuck = [&first, &second, &third].map(read);
    until("enough lost", || (lost.load(Ordering::Relaxed) >= 5).then_some(()));
    losing.store(false, Ordering::Relaxed);
    println!("numbers {stuck:?} after {sound}; {} pictures hit", lost.load(Ordering::Relaxed));
    assert!(stuck[0] >= sound && stuck.iter().all(|number| *number == stuck[0]), "the last good number stays: {stuck:?}");
    let after = recv.stats_with(|stats| stats["partial"].as_u64() >= before["partial"].as_u64().map(|partial| partial + 3));
    assert!(after["shown_in_part"].as_u64() >= Some(3), "{after}");
    until("whole pictures again", || Some(screen.shot("band-after")).filter(|shot| read(shot) > stuck[0] + 5));
}

/// The longest it takes, of twenty times, until a picture in `place` is seen to follow another: what the programs, the display
/// and the test need for it on a machine as busy as this one is now.
fn longest_wait(screen: &Screen, place: Area) -> Duration {
    let look = || until("a picture", || seen(&screen.shot("pace"), place));
    let wait = |_| {
        let (began, last) = (Instant::now(), look());
        until("another picture", || (look() != last).then_some(()));
        began.elapsed()
    };
    (0..20).map(wait).max().unwrap()
}

/// The cable is pulled: after three seconds the last picture is grey under "no signal 3.0 s", the time counts up, and half a
/// second after the cable is back the picture moves in colour again.
#[test]
fn an_outage_greys_the_last_picture_counts_the_seconds_and_ends_at_once() {
    let screen = Screen::with_manager(1280, 800);
    let (front, back) = (free_port(), free_port());
    let mut send = send(&format!("{TEST} -p {back}"));
    send.said("waiting on port");
    let proxy = Proxy::start(front, back, u64::MAX, 1);
    let mut recv = on(&screen, RECV, &format!("--host 127.0.0.1:{front} --stats json"));
    recv.said("is sending");
    let id = window(&screen);
    let area = fitted(&screen, id);
    goes_on(&screen, "before", area, 0);
    let colours = screen.shot("before").coloured(area);
    assert!(colours > 10_000, "{colours}");
    let usual = longest_wait(&screen, area);

    proxy.cut(true);
    recv.said("for 3 s: waiting for it to come back");
    until("grey", || (screen.shot("lost").coloured(area) < colours / 50).then_some(()));
    let (first, began) = (screen.shot("lost"), Instant::now());
    // The words count tenths of a second, and nothing else changes.
    let next = until("the next tenth", || Some(screen.shot("lost-later")).filter(|shot| changed(&first, shot, area) > 20));
    let tenth = began.elapsed();
    assert!(changed(&first, &next, area) < 5000);

    proxy.cut(false);
    let began = Instant::now();
    until("colours", || (screen.shot("again").coloured(area) > colours / 2).then_some(()));
    let back = began.elapsed();
    goes_on(&screen, "again", area, 0);
    let usual = usual.max(longest_wait(&screen, area));
    println!("the next tenth {tenth:?}, in colour {back:?} after the cable was back; a picture takes {usual:?} at most");
    assert!(tenth < Duration::from_millis(500) + 4 * usual, "{tenth:?}");
    assert!(back < Duration::from_millis(300) + 4 * usual, "{back:?}");
    assert_eq!((recv.stop(Signal::SIGTERM), send.stop(Signal::SIGTERM)), (0, 0));
}
