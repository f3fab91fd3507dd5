//! A film over a path that is slower than it is: how both programs end.

use crate::film::{Recipe, folder};
use crate::gate::{Gate, Way};
use crate::measure::{self, Y4m};
use crate::program::{free_port, recv, send};
use nix::sys::signal::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Bytes a second and bytes at once that the slow path takes, a third of what the film needs.
const RATE: f64 = 250_000.0;
const BURST: f64 = 20_000.0;

/// A film plays slower where the path is slower, and has come to its end when all of it has come to whoever watches.
#[test]
fn a_film_over_a_path_slower_than_itself_is_whole_and_ends_both_with_success() {
    let dir = folder("slow");
    let film = Recipe { name: "slow.mkv", ..Recipe::default() }.make(&dir);
    let port = free_port();
    let mut send = send(&format!("--file {} -q 90 -p {port}", film.text()));
    send.said("waiting on port");
    let [passed, dropped] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (counts, mut room, mut last) = ([passed.clone(), dropped.clone()], BURST, Instant::now());
    let gate = Gate::start(port, move |way: Way, bytes: &[u8]| {
        let now = Instant::now();
        room = BURST.min(room + RATE * (now - last).as_secs_f64());
        last = now;
        let passes = way == Way::Up || room >= bytes.len() as f64;
        if passes && way == Way::Down {
            room -= bytes.len() as f64;
        }
        counts[usize::from(!passes)].fetch_add(bytes.len(), Ordering::Relaxed);
        passes
    });
    let (y4m, wav) = (dir.join("slow.y4m"), dir.join("slow.wav"));
    let files = format!("--output {} --audio-output {}", y4m.display(), wav.display());
    let mut recv = recv(&format!("--host 127.0.0.1:{} {files}", gate.port));
    recv.said("the end: everything is here");
    assert_eq!(recv.ended(), 0);
    send.said("has seen the whole film");
    assert_eq!(send.ended(), 0);
    let [passed, dropped] = [passed, dropped].map(|count| count.load(Ordering::Relaxed));
    let (arrived, (sound, channels)) = (Y4m::read(&y4m), measure::wav(&wav));
    let seconds = sound.len() as f64 / channels as f64 / crate::film::RATE as f64;
    println!("{} pictures and {seconds:.2} s of sound; {passed} bytes passed, {dropped} dropped", arrived.pictures.len());
    assert_eq!(arrived.pictures.len(), film.times().len());
    assert!((seconds - 3.0).abs() < 0.02, "{seconds} s of sound");
    assert!(
        dropped > 0 && passed as f64 > 2.0 * 3.0 * RATE,
        "a path that is no slower: {passed} bytes passed, {dropped} dropped"
    );
}

/// Of the film so much comes, and then no datagram more: who watched is killed, and nobody says that the film was seen.
#[test]
fn a_film_whose_end_nobody_has_got_is_no_success() {
    let dir = folder("unseen");
    let film = Recipe { name: "unseen.mkv", ..Recipe::default() }.make(&dir);
    let port = free_port();
    let mut send = send(&format!("--file {} -q 90 -p {port}", film.text()));
    send.said("waiting on port");
    let mut passed = 0;
    let gate = Gate::start(port, move |way: Way, bytes: &[u8]| {
        passed += if way == Way::Down { bytes.len() } else { 0 };
        passed < 300_000
    });
    let mut recv = recv(&format!("--host 127.0.0.1:{} --output {}", gate.port, dir.join("unseen.y4m").display()));
    recv.said("no UDP comes through");
    recv.signal(Signal::SIGSTOP);
    send.said("the film is over");
    recv.signal(Signal::SIGKILL);
    assert_eq!(send.ended(), 4);
    send.said("error: nobody has seen the end of the film");
    assert!(!send.heard().contains("has seen the whole film"), "{}", send.heard());
}
