//! The page for browsers, in a real one: what is seen there, who is let in, and what becomes of what it sends.

#![allow(clippy::disallowed_methods, reason = "deadlines for real programs")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/program.rs"]
mod program;

use browser::{Browser, get};
use nix::sys::signal::Signal;
use program::{CALL, Out, Program, RECV, SEND, command, free_port, send};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

const TOKEN: &str = "a-secret-of-these-tests";
const TEST: &str = "--test -s 320x240 -r 30";

/// The page of a program that is started with these flags.
fn paged(path: &str, args: &str, scheme: &str) -> (Program, u16, String) {
    let web = free_port();
    let program = Program::spawn(path, &format!("{args} --web {web} --web-token {TOKEN}"), Stdio::null(), Out::Raw);
    (program, web, format!("{scheme}://127.0.0.1:{web}/#{TOKEN}"))
}

/// The colour of the test picture's second bar, yellow, is in the second eighth of a tile's canvas.
const YELLOW: &str = "(([r, g, b]) => r > 150 && g > 150 && b < 60)(((canvas) => canvas.getContext('2d').getImageData(canvas.width * \
                      3 / 16, canvas.height / 8, 1, 1).data)(document.querySelector('figure canvas')))";

/// How many pictures the page has drawn; counted from the first time that this is asked.
const DRAWN: &str = "(globalThis.counts ??= (() => { const counts = { drawn: 0 }; const draw = CanvasRenderingContext2D.prototype.drawImage; \
                     CanvasRenderingContext2D.prototype.drawImage = function (...all) { counts.drawn += 1; return draw.apply(this, all); }; \
                     return counts; })()).drawn";

/// A page on which pictures go on.
fn sees(browser: &Browser) {
    browser.until(YELLOW);
    browser.until(&format!("{DRAWN} > 10"));
}

#[test]
fn what_is_sent_is_seen_and_its_source_is_open_only_while_somebody_looks() {
    let (mut send, web, address) = paged(SEND, &format!("{TEST} -p {} -v", free_port()), "http");
    let browser = Browser::start(1280, 800);
    browser.open(&address);
    send.said("a browser at 127.0.0.1 looks: 1 browser shows it");
    sees(&browser);
    assert_eq!(browser.value("[...document.querySelectorAll('figcaption')].length"), 1);
    browser.click("#info");
    browser.until("/ pictures\\/s .*picture \\d+ ms/s.test(document.querySelector('#figures').textContent)");
    browser.picture("web-desktop.png");
    browser.open("about:blank");
    send.said("the browser at 127.0.0.1 is gone: no browser shows it");
    send.said("nobody watches: the source is closed");
    // A snapshot opens it again.
    let still = get(web, &format!("/snapshot.jpg?token={TOKEN}"), "");
    assert!(still.starts_with("HTTP/1.1 200 OK") && still.contains("image/jpeg"), "{}", &still[..200]);
}

#[test]
fn each_sender_has_a_tile_a_click_makes_one_large_and_who_leaves_is_gone() {
    let port = free_port();
    let (mut recv, web, address) = paged(RECV, &format!("--no-window --no-audio -p {port}"), "http");
    recv.said("waiting on port");
    let _lab = send(&format!("{TEST} --name lab --host 127.0.0.1:{port}"));
    let mut attic = send(&format!("{TEST} --name attic --host 127.0.0.1:{port}"));
    let browser = Browser::start(390, 844);
    browser.open(&address);
    browser.until("[...document.querySelectorAll('figcaption')].map((name) => name.textContent).sort().join() === 'attic,lab'");
    sees(&browser);
    browser.click("#info");
    browser.until("/ pictures\\/s/.test(document.querySelector('#figures').textContent)");
    let edge = |script: &str| browser.value(script).as_f64().unwrap();
    let bottom = edge("document.querySelector('nav').getBoundingClientRect().bottom");
    assert!(
        edge("document.querySelector('#figures').getBoundingClientRect().top") >= bottom,
        "the figures lie under the buttons"
    );
    browser.picture("web-phone.png");
    browser.click("#info");
    browser.click("figure");
    browser.until("document.querySelectorAll('figure.away').length === 1");
    browser.click("figure");
    browser.until("document.querySelectorAll('figure.away').length === 0");
    attic.stop(Signal::SIGTERM);
    browser.until(
        "document.querySelector('#note').textContent === 'attic left' && [...document.querySelectorAll('figcaption')].map((name) => \
         name.textContent).join() === 'lab'",
    );
    // Who comes now is shown nobody who is gone.
    browser.open("about:blank");
    browser.open(&address);
    sees(&browser);
    assert_eq!(browser.value("document.querySelectorAll('figure').length"), 1);
    let nobody = get(web, &format!("/snapshot.jpg?track=attic&token={TOKEN}"), "");
    assert!(nobody.starts_with("HTTP/1.1 404 ") && nobody.ends_with("nobody here is called attic; there is lab\n"), "{nobody}");
}

#[test]
fn sound_begins_with_a_tap_and_ends_with_a_click() {
    let (mut send, _, address) = paged(SEND, &format!("{TEST} -p {}", free_port()), "http");
    send.said("waiting on port");
    let browser = Browser::start(1280, 800);
    // What goes to the loudspeaker is looked at on its way there.
    browser.before(
        "globalThis.heard = []; const connect = AudioNode.prototype.connect; AudioNode.prototype.connect = function (to, ...more) { if (this \
         instanceof AudioWorkletNode && to === this.context.destination) { const eye = this.context.createAnalyser(); connect.call(this, \
         eye); setInterval(() => { const data = new Float32Array(eye.fftSize); eye.getFloatTimeDomainData(data); \
         heard.push(Math.max(...data)); }, 20); } return connect.call(this, to, ...more); }",
    );
    browser.open(&address);
    sees(&browser);
    browser.until("!document.querySelector('#tap').hidden");
    browser.click("#tap");
    browser.until("document.querySelector('#sound').getAttribute('aria-pressed') === 'true'");
    browser.until("heard.some((loud) => loud > 0.03)");
    browser.click("#info");
    browser.until("/sound \\d+ ms in this browser/.test(document.querySelector('#figures').textContent)");
    browser.click("#sound");
    browser.until("document.querySelector('#sound').getAttribute('aria-pressed') === 'false'");
    browser.until("document.querySelector('#figures').textContent.includes('sound') === false");
}

#[test]
fn what_is_said_on_the_page_is_said_to_all_and_what_others_say_stands_on_it() {
    let port = free_port();
    let (mut call, _, address) = paged(CALL, &format!("{TEST} --no-window --no-audio -p {port}"), "http");
    call.said("waiting on port");
    let args = format!("{TEST} --no-window --no-audio --chat --name lab --host 127.0.0.1:{port}");
    let mut lab = Program::spawn(CALL, &args, Stdio::piped(), Out::Raw);
    call.said("lab (127.0.0.1");
    let browser = Browser::start(390, 844);
    browser.open(&address);
    sees(&browser);
    browser.click("#talk");
    let focus = || browser.value("document.activeElement.id");
    assert_eq!(focus(), "line", "what is typed is said");
    browser.value("document.querySelector('#who').focus()");
    browser.value(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }))",
    );
    assert_eq!(focus(), "line");
    browser.value("document.querySelector('#who').value = 'anna <b>'; document.querySelector('#line').value = 'hello & <i>'");
    browser.click("#say button");
    lab.said("anna <b>: hello & <i>");
    lab.stdin().write_all(b"hello anna\n").unwrap();
    browser.until("[...document.querySelectorAll('#lines li')].some((line) => line.textContent === 'labhello anna')");
    browser.until("[...document.querySelectorAll('#lines li')].some((line) => line.textContent === 'anna <b>hello & <i>')");
    browser.picture("web-chat.png");
}

#[test]
fn a_browsers_camera_and_microphone_come_in_like_any_sender_and_leave_with_its_page() {
    let port = free_port();
    let (mut recv, _, address) = paged(RECV, &format!("--no-window --no-audio -p {port} --web-tls"), "https");
    recv.said("waiting on port");
    let browser = Browser::start(390, 844);
    browser.open(&address);
    browser.until("!document.querySelector('#camera').hidden");
    browser.click("#camera");
    recv.said("phone ([::1]");
    // The made up camera is green, and has a clock.
    browser.until(
        "(([r, g, b]) => g > 100 && r < 60 && b < 60)(((canvas) => canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height - \
         9, 1, 1).data)(document.querySelector('figure canvas')))",
    );
    browser.until(&format!("{DRAWN} > 20"));
    browser.picture("web-camera.png");
    browser.click("#camera");
    recv.said("phone stopped sending");
    browser.click("#camera");
    recv.said("phone ([::1]");
    browser.open("about:blank");
    recv.said("phone stopped sending");
}

#[test]
fn a_page_comes_back_by_itself_when_the_program_does() {
    let (port, web) = (free_port(), free_port());
    let args = format!("{TEST} -p {port} --web {web} --web-token {TOKEN}");
    let start = || Program::spawn(SEND, &args, Stdio::null(), Out::Raw);
    let mut before = start();
    before.said("waiting on port");
    let browser = Browser::start(1280, 800);
    browser.open(&format!("http://127.0.0.1:{web}/#{TOKEN}"));
    sees(&browser);
    before.signal(Signal::SIGKILL);
    browser.until("document.querySelector('#word').textContent.startsWith('Connection lost')");
    drop(before);
    let mut after = start();
    after.said("a browser at 127.0.0.1 looks");
    browser.until("document.querySelector('#word').textContent === ''");
    let drawn = browser.value(DRAWN).as_u64().unwrap();
    browser.until(&format!("{DRAWN} > {}", drawn + 10));
}

#[test]
fn who_does_not_know_the_secret_sees_nothing_and_a_page_of_another_host_is_refused() {
    let (mut send, web, _) = paged(SEND, &format!("{TEST} -p {}", free_port()), "http");
    send.said("waiting on port");
    let browser = Browser::start(390, 844);
    browser.open(&format!("http://127.0.0.1:{web}/#another-secret-that-is-wrong"));
    send.said("was turned away: a browser that does not know the secret of the page");
    // It is seen, and nothing lies over it.
    let seen = |text: &str| {
        browser.until(&format!(
            "((why, box) => why.textContent.includes('{text}') && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) \
             === why)(document.querySelector('#why'), document.querySelector('#why').getBoundingClientRect())"
        ));
    };
    seen("not the one of this program now");
    browser.picture("web-wrong-secret.png");
    browser.value("document.querySelector('#secret').value = 'http://127.0.0.1:9690/'");
    browser.click("#door button");
    seen("There is no secret in that");
    assert_eq!(browser.value("document.querySelectorAll('figure').length"), 0);
    // A person types it.
    browser.value(&format!("document.querySelector('#secret').value = 'http://127.0.0.1:{web}/#{TOKEN}'"));
    browser.click("#door button");
    sees(&browser);
    // A name that leads here and is not ours.
    browser.open(&format!("http://evil.example:{web}/#{TOKEN}"));
    browser.until("document.body.innerText.includes('this machine is not called so')");
    let status = |path: &str, lines: &str| get(web, path, lines).split(' ').nth(1).unwrap_or_default().to_string();
    assert_eq!(["/metrics", "/snapshot.jpg", "/stream.mjpeg"].map(|path| status(path, "")), ["401"; 3]);
    assert_eq!(status("/stream.mjpeg?token=wrong", ""), "401");
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    assert_eq!(status("/socket", &format!("{upgrade}Origin: http://evil.example\r\n")), "403");
    assert_eq!(status("/socket", &format!("{upgrade}Origin: http://localhost\r\n")), "101");
    assert_eq!(status("/", "Host: evil.example\r\n"), "403");
    let metrics = get(web, "/metrics", &format!("Authorization: Bearer {TOKEN}\r\n"));
    assert!(metrics.contains("# TYPE eyeline_send_pictures_total counter"), "{metrics}");
}

#[test]
fn sixteen_look_at_most_and_those_who_read_nothing_slow_nobody() {
    let (mut send, web, address) = paged(SEND, &format!("--test -s 1280x720 -r 30 -p {}", free_port()), "http");
    send.said("waiting on port");
    let ask = |()| {
        let mut stream = TcpStream::connect(("127.0.0.1", web)).unwrap();
        stream.write_all(format!("GET /stream.mjpeg?token={TOKEN} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        // Of what comes it reads the first byte alone.
        stream.read_exact(&mut [0]).unwrap();
        stream
    };
    let mut silent: Vec<TcpStream> = (0..15).map(|_| ask(())).collect();
    let browser = Browser::start(1280, 800);
    browser.open(&address);
    sees(&browser);
    let full = get(web, &format!("/stream.mjpeg?token={TOKEN}"), "");
    assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("it is full: 16 look already"), "{full}");
    let drawn = browser.value(DRAWN).as_u64().unwrap();
    browser.until(&format!("{DRAWN} > {}", drawn + 60));
    assert!(send.peak() < 300 << 20, "{} bytes", send.peak());
    drop(silent.pop());
    send.said("the browser at 127.0.0.1 is gone: 15 browsers show it");
    ask(());
}

#[test]
fn under_tls_who_asks_in_the_clear_is_told_so() {
    let mut command = command(SEND, &format!("{TEST} -p {} --web-tls --web-token {TOKEN}", free_port()));
    let web = free_port();
    command.arg("--web").arg(web.to_string());
    let mut send = Program::launch(command, Stdio::null(), Out::Raw);
    send.said("in a browser: https://127.0.0.1");
    let answer = get(web, "/", "");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("put an s behind http"), "{answer}");
}
