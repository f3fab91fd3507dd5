//! What the page for browsers shows and plays, read off its pixels and off the browser's loudspeaker, and what others get who ask
//! for pictures.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/program.rs"]
mod program;
#[path = "support/sound_server.rs"]
mod sound_server;

use browser::Browser;
use folder::Folder;
use font8x8::UnicodeFonts;
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, SEND, free_port};
use serde_json::Value;
use sound_server::SoundServer;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const TOKEN: &str = "a-secret-of-these-tests";
const TEST: &str = "--test -s 640x360 -r 30";

/// A sender with a page, and where that is.
fn paged(args: &str, out: Out) -> (Program, u16) {
    let web = free_port();
    let args = format!("{TEST} -p {} --web {web} --web-token {TOKEN} {args}", free_port());
    let mut send = Program::spawn(SEND, &args, Stdio::null(), out);
    send.said("waiting on port");
    (send, web)
}

/// A page that can be measured.
fn look(browser: &Browser, address: &str) {
    browser.before(include_str!("support/test_picture.js"));
    browser.open(address);
    browser.until("eye.number() !== null");
}

/// A picture as it was seen: its number, and its age in milliseconds, which is that of the clock in it.
fn seen(picture: &Value) -> (u64, f64) {
    let lines: Vec<u8> = picture["clock"].as_array().unwrap().iter().map(|line| line.as_u64().unwrap() as u8).collect();
    let letter = |dots: &[u8]| ('0'..='9').chain([':', '.']).find(|letter| font8x8::BASIC_FONTS.get(*letter).unwrap() == *dots);
    let clock: Option<String> = lines.chunks_exact(8).map(letter).collect();
    let clock = clock.unwrap_or_else(|| panic!("this is no clock: {lines:?}"));
    let field = |range: std::ops::Range<usize>| clock[range].parse::<f64>().unwrap();
    let caught = ((field(0..2) * 60.0 + field(3..5)) * 60.0 + field(6..12)) * 1000.0;
    const DAY: f64 = 86_400_000.0;
    // Midnight may have passed since, and the clock is cut to milliseconds.
    let age = (picture["at"].as_f64().unwrap() % DAY - caught + DAY / 2.0).rem_euclid(DAY) - DAY / 2.0;
    (picture["number"].as_u64().unwrap(), age)
}

/// Asserts that pictures come in order, nearly all of them, and soon. How soon is the bench's to say.
fn assert_live(browser: &Browser, what: &str) {
    // The first ones are the browser's warming up.
    browser.value("eye.watch(30)");
    let pictures = browser.value("eye.watch(60)");
    let pictures: Vec<(u64, f64)> = pictures.as_array().unwrap().iter().map(seen).collect();
    let mut ages: Vec<f64> = pictures.iter().map(|(_, age)| *age).collect();
    ages.sort_by(f64::total_cmp);
    let went = pictures[59].0 - pictures[0].0 + 1;
    println!("{what}: 60 of {went} pictures, {:.0} ms old, the oldest {:.0}, the youngest {:.0}", ages[30], ages[59], ages[0]);
    assert!(pictures.windows(2).all(|pair| pair[0].0 < pair[1].0), "{pictures:?}");
    assert!(went < 120, "half of them are seen: {pictures:?}");
    assert!(ages[0] > -2.0 && ages[30] < 500.0, "{pictures:?}");
}

/// Sound is on, with a tap where the browser wants one.
fn listen(browser: &Browser) {
    browser.until("!document.querySelector('#tap').hidden || document.querySelector('#sound').ariaPressed === 'true'");
    if browser.value("document.querySelector('#sound').ariaPressed") == "false" {
        browser.click("#sound");
    }
    browser.until("document.querySelector('#sound').ariaPressed === 'true'");
}

/// So many seconds of what the speaker plays from now on.
fn recorded(server: &SoundServer, seconds: usize) -> Vec<i16> {
    let mut command = server.tool("parec");
    command.args(["--raw", "--format=s16le", "--rate=48000", "--channels=1", "--latency-msec=10", "-d", "speaker.monitor"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("parec is in pulseaudio-utils");
    let mut bytes = vec![0; seconds * 96_000];
    child.stdout.take().unwrap().read_exact(&mut bytes).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Amplitude of one frequency (Goertzel).
fn amplitude(samples: &[i16], hertz: f64) -> f64 {
    let (re, im) = (0..).zip(samples).fold((0.0, 0.0), |(re, im), (n, sample)| {
        let angle = std::f64::consts::TAU * hertz * f64::from(n) / 48_000.0;
        (re + f64::from(*sample) * angle.cos(), im + f64::from(*sample) * angle.sin())
    });
    2.0 * (re * re + im * im).sqrt() / samples.len() as f64
}

/// Waits until the test tone is heard as it was said, for a second nearly without a gap; then turns it off.
fn assert_heard(browser: &Browser, server: &SoundServer, what: &str) {
    let mut levels = (0.0, usize::MAX);
    for _ in 0..10 {
        let samples = recorded(server, 2);
        // The tone is 26 dB below full scale, in the mean 1158 of 32767.
        let power = |piece: &[i16]| piece.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / piece.len() as f64;
        let silent = samples.chunks_exact(240).filter(|piece| power(piece).sqrt() < 300.0).count();
        let mut tones: Vec<f64> = samples.chunks_exact(2400).map(|piece| amplitude(piece, 440.0)).collect();
        tones.sort_by(f64::total_cmp);
        levels = (tones[tones.len() / 2], silent);
        println!("{what}: a level of {:.0}, {} ms silent of 2000", levels.0, 5 * silent);
        if silent <= 2 {
            break;
        }
    }
    assert!((1500.0..1780.0).contains(&levels.0) && levels.1 <= 2, "{what}: it was said at 1638, without a gap: {levels:?}");
    browser.click("#sound");
    browser.until("document.querySelector('#sound').ariaPressed === 'false'");
    // What was on its way is played.
    recorded(server, 1);
    let loudest = recorded(server, 1).iter().map(|sample| sample.unsigned_abs()).max();
    assert_eq!(loudest, Some(0), "{what}: it is off");
}

#[test]
fn pictures_are_seen_in_order_and_soon_and_the_tone_is_heard_without_a_gap() {
    let folder = Folder::new("web-sound");
    let server = SoundServer::start(&folder.0);
    let (_send, web) = paged("", Out::Raw);
    let browser = Browser::start_with(1280, 800, |command| {
        command.envs(SoundServer::environment(&folder.0)).env_remove("PULSE_RUNTIME_PATH");
    });
    look(&browser, &format!("http://127.0.0.1:{web}/#{TOKEN}"));
    assert_eq!(browser.value("'ImageDecoder' in globalThis"), true);
    assert_live(&browser, "on this machine");
    listen(&browser);
    assert_heard(&browser, &server, "through a worklet");
}

/// Without TLS, and not on this machine, browsers have neither `ImageDecoder` nor worklets.
#[test]
fn in_the_clear_by_a_name_the_same_is_seen_and_heard_by_other_means() {
    let folder = Folder::new("web-clear");
    let server = SoundServer::start(&folder.0);
    let (_send, web) = paged("--web-name cam.example", Out::Raw);
    let browser = Browser::start_with(1280, 800, |command| {
        command.envs(SoundServer::environment(&folder.0)).env_remove("PULSE_RUNTIME_PATH");
    });
    look(&browser, &format!("http://cam.example:{web}/#{TOKEN}"));
    assert_eq!(browser.value("isSecureContext || 'ImageDecoder' in globalThis"), false);
    assert_live(&browser, "in the clear");
    listen(&browser);
    assert_heard(&browser, &server, "scheduled");
}

#[test]
fn under_tls_a_name_is_a_secure_place() {
    let (_send, web) = paged("--web-name cam.example --web-tls", Out::Raw);
    let browser = Browser::start(1280, 800);
    look(&browser, &format!("https://cam.example:{web}/#{TOKEN}"));
    assert_eq!(browser.value("isSecureContext && 'ImageDecoder' in globalThis"), true);
    assert_live(&browser, "under TLS");
}

#[test]
fn nothing_is_encoded_while_nobody_looks_and_ffmpeg_reads_what_cameras_give() {
    let (mut send, web) = paged("--stats json", Out::Stats);
    for _ in 0..2 {
        assert_eq!(send.stats()["encoded_bytes"], 0);
    }
    let ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-i", &format!("http://127.0.0.1:{web}/stream.mjpeg?token={TOKEN}")])
        .args(["-frames:v", "60", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is needed: scripts/install rig");
    let (out, errors) = (String::from_utf8_lossy(&ffmpeg.stdout), String::from_utf8_lossy(&ffmpeg.stderr));
    let mut sums: Vec<&str> =
        out.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(", ").last()).collect();
    assert!(ffmpeg.status.success() && errors.is_empty() && sums.len() == 60, "{errors}\n{out}");
    sums.sort_unstable();
    sums.dedup();
    assert_eq!(sums.len(), 60, "each is another picture");
    assert!(send.stats_with(|stats| stats["encoded_bytes"].as_u64() > Some(0)).is_object());
    send.said("nobody watches: the source is closed");
    send.forget_stats();
    let encoded = send.stats()["encoded_bytes"].as_u64();
    assert_eq!([send.stats(), send.stats()].map(|stats| stats["encoded_bytes"].as_u64()), [encoded; 2]);
}

/// Somebody who reads what comes, or nothing after the first byte, until told to leave.
fn asks(web: u16, told: Option<&Arc<AtomicBool>>) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", web)).unwrap();
    stream.write_all(format!("GET /stream.mjpeg?token={TOKEN} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    if let Some(told) = told.cloned() {
        let mut reads = stream.try_clone().unwrap();
        thread::spawn(move || while !told.load(Ordering::Relaxed) && reads.read(&mut [0; 65_536]).is_ok_and(|n| n > 0) {});
    }
    stream
}

#[test]
fn who_reads_nothing_is_thrown_out_in_the_end_and_a_page_to_which_it_was_full_then_shows_pictures() {
    let (mut send, web) = paged("", Out::Raw);
    let told = Arc::new(AtomicBool::new(false));
    let _readers: Vec<TcpStream> = (0..15).map(|_| asks(web, Some(&told))).collect();
    let _silent = asks(web, None);
    let browser = Browser::start(1280, 800);
    browser.open(&format!("http://127.0.0.1:{web}/#{TOKEN}"));
    browser.until("document.querySelector('#word').textContent.startsWith('16 ')");
    let before = send.peak();
    send.said("is gone: 15 browsers show it");
    browser.until("document.querySelector('#word').textContent === '' && document.querySelector('figure canvas').width === 640");
    let (after, most) = (send.peak(), before + (32 << 20));
    println!("{} MiB at most, before it was thrown out {}", after >> 20, before >> 20);
    assert!(after < most, "{after} bytes");
    told.store(true, Ordering::Relaxed);
}

/// Tiles and chat are inside the page and not on each other, and what turns the sound on is not under the chat.
const APART: &str = "(() => { const places = (selector) => [...document.querySelectorAll(selector)].map((thing) => \
                     thing.getBoundingClientRect()); const apart = (one, other) => one.right <= other.left || other.right <= one.left || \
                     one.bottom <= other.top || other.bottom <= one.top; const all = places('figure:not(.away), #chat:not([hidden])'); \
                     return all.every((one, at) => one.width > 0 && one.left >= 0 && one.top >= 0 && one.right <= innerWidth + 1 && \
                     one.bottom <= innerHeight + 1 && all.slice(at + 1).every((other) => apart(one, other))) && \
                     places('#tap:not([hidden])').every((tap) => places('#chat:not([hidden])').every((chat) => apart(tap, chat))); })()";

#[test]
fn tiles_and_chat_stand_apart_on_a_desktop_and_on_a_phone() {
    let (port, web) = (free_port(), free_port());
    let call = |args: &str| Program::start(CALL, &format!("--no-window --no-audio {args}"));
    let mut anna = call(&format!("{TEST} --name Anna -p {port} --web {web} --web-token {TOKEN}"));
    anna.said("waiting on port");
    let browsers = [("desktop", 1280, 800), ("phone", 390, 844), ("phone-across", 844, 390)];
    let browsers = browsers.map(|(name, width, height)| (name, Browser::start(width, height)));
    for (name, browser) in &browsers {
        browser.open(&format!("http://127.0.0.1:{web}/#{TOKEN}"));
        browser.until(&format!("document.querySelectorAll('figure').length > 0 && {APART}"));
        browser.until("document.querySelector('#word').textContent === ''");
        browser.picture(&format!("web-{name}-1.png"));
    }
    let others = ["Ben", "Cleo from the other side of the river", "Дмитрий"];
    let sizes = ["640x360", "640x480", "360x640"];
    let mut others: Vec<Program> = others
        .into_iter()
        .zip(sizes)
        .map(|(name, size)| {
            let mut command =
                program::command(CALL, &format!("--no-window --no-audio --chat --test -s {size} -r 10 --host 127.0.0.1:{port}"));
            command.arg("--name").arg(name);
            Program::launch(command, Stdio::piped(), Out::Raw)
        })
        .collect();
    let mut stdin = others[0].stdin();
    for (name, browser) in &browsers {
        browser.until(&format!("document.querySelectorAll('figure').length === 4 && {APART}"));
        browser.until("[...document.querySelectorAll('canvas')].every((canvas) => canvas.width >= 360)");
        browser.picture(&format!("web-{name}-4.png"));
        browser.click("#talk");
        stdin
            .write_all(format!("hello {name}, is the picture there? This line is longer than the chat is wide.\n").as_bytes())
            .unwrap();
        browser.until("document.querySelectorAll('#lines li').length > 0");
        browser.until(APART);
        browser.picture(&format!("web-{name}-4-chat.png"));
    }
    assert_eq!(anna.stop(Signal::SIGTERM), 0);
}
