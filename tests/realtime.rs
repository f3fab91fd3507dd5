//! The audio callbacks allocate nothing, free nothing and wait for nobody.
//!
//! What is driven here is what runs in the callbacks, [`Tap::capture`](microphone::Tap::capture) and
//! the speaker's `Renderer::render`, for ten seconds of sound with every trouble there is, while other threads
//! hold the other ends. The allocator counts what the armed thread does; the kernel counts how often it waited.

#![allow(unsafe_code)] // a global allocator cannot be had without

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use eyeline::capture::microphone;
use eyeline::present::mixer::{Mixer, VOICES};
use eyeline::voice_processing::Reference;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::echo_aligner::Aligner;
use eyeline_proto::media::playout::Config;
use eyeline_proto::sound::{Block, Numbered};
use eyeline_proto::time::MediaTime;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Asked for and not given back.
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: i64) {
    // Not there any more while a thread ends.
    let _ = ARMED.try_with(|armed| {
        if armed.get() {
            COUNT.set(COUNT.get() + 1);
            BYTES.set(BYTES.get() + bytes);
        }
    });
}

// SAFETY: every call is the system allocator's, unchanged; counting touches only constant-initialised thread locals, which
// allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often memory was asked for or given back within `work`.
fn counted(work: impl FnOnce()) -> u64 {
    COUNT.set(0);
    ARMED.set(true);
    work();
    ARMED.set(false);
    COUNT.get()
}

/// So often it may seem to wait in thousands of callbacks: reading the count and the first touch of memory can. A lock that
/// another thread holds all the time would be waited for hundreds of times.
const FEW: u64 = 20;

/// How often this thread gave up the processor to wait.
fn waits() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[expect(clippy::disallowed_methods)] // one real instant to count from
fn start() -> Instant {
    Instant::now()
}

#[test]
fn the_counting_counts() {
    let mut kept = Vec::new();
    assert_eq!(counted(|| kept.push(1u8)), 1);
    assert_eq!(counted(|| drop(kept)), 1);
    let before = waits();
    thread::park_timeout(Duration::from_millis(5));
    assert!(waits() > before, "a thread that waits is seen");
}

#[test]
fn the_microphones_callback_neither_allocates_nor_waits() {
    for channels in [1, 2, 6] {
        let (mut tap, mut packer) = microphone::ring(channels);
        let (done, taken) = (AtomicBool::new(false), Cell::new(0));
        let data = vec![0.25f32; 960 * usize::from(channels)];
        let (mut allocations, mut waited) = (0, 0);
        thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let mut blocks = 0;
                let mut last = false;
                while !std::mem::replace(&mut last, done.load(Ordering::Acquire)) {
                    packer
                        .pump(|_| {
                            blocks += 1;
                            Ok(())
                        })
                        .unwrap();
                }
                blocks
            });
            let (start, before) = (start(), waits());
            allocations = counted(|| {
                for n in 0..2000u64 {
                    let frames = [480, 240, 24, 1, 960, 0][n as usize % 6];
                    tap.capture(
                        start + Duration::from_millis(5 * n),
                        Duration::from_millis(7),
                        &data[..frames * usize::from(channels)],
                    );
                }
            });
            waited = waits() - before;
            done.store(true, Ordering::Release);
            taken.set(taker.join().unwrap());
        });
        // And once more with nobody at the other end: full rings.
        let (mut tap, _packer) = microphone::ring(channels);
        let start = start();
        allocations += counted(|| (0..2000).for_each(|_| tap.capture(start, Duration::ZERO, &data)));
        assert!(allocations == 0 && waited < FEW, "{channels} channels: {allocations} allocations, {waited} waits");
        assert!(taken.get() > 0);
    }
}

/// Ten seconds of a speaker's callbacks against everything a network and its users do to it, with all the voices it has: senders come
/// and go, and there is always one that stays. Gives allocations, waits, and how the one fared.
fn ten_seconds(channels: u16) -> (u64, u64, eyeline_proto::media::playout::Stats) {
    let (reference, mut aligner) = (Reference::default(), Aligner::new());
    let (mixer, mut renderer) = Mixer::detached(channels, Config::default(), Some(reference.clone()));
    let mut feeds: Vec<_> = (0..VOICES).map(|_| mixer.voice()).collect();
    let begin = start();
    let sound = [480, 960].map(|len| (0..len).map(|n| (n * 30) as i16).collect::<Arc<[i16]>>());
    let mut out = vec![0.0f32; 960 * usize::from(channels)];
    let (mut allocations, mut asked, mut next) = (0, 0u64, 0u64);
    let before = waits();
    for n in 0u64.. {
        // The speaker is 300 ppm fast and asks for odd sizes.
        let frames = [480, 480, 112, 960, 1, 24][n as usize % 6];
        let now = begin + Duration::from_nanos((asked as f64 / 48_014.4 * 1e9) as u64);
        asked += frames as u64;
        let due = now.duration_since(begin).as_millis() as u64 / 10;
        if due >= 1000 {
            break;
        }
        let stalled = (300..330).contains(&due); // 300 ms of nothing, then all at once
        while next < due && !stalled {
            let stereo = usize::from(next / 300 % 2 == 1);
            let block = |number: u64| {
                let samples = sound[stereo].clone();
                Numbered { number, block: Block { capture: capture(number), channels: 1 + stereo as u8, samples } }
            };
            for feed in feeds.iter_mut().flatten() {
                let mut come = |number: u64| feed.block(now, &block(number));
                match next % 97 {
                    13 => {}                                                 // lost
                    73 if next < 100 => drop((come(next), come(next - 60))), // late
                    15 => drop((come(next), come(next))),                    // twice
                    _ => drop(come(next)),
                }
            }
            next += 1;
        }
        // All but the first come and go: at every moment another one, now and then without a word.
        let guest = &mut feeds[1 + n as usize % (VOICES - 1)];
        if n % 37 < 20 {
            *guest = if guest.take().is_some() { None } else { mixer.voice() };
        }
        let of = n as usize % 2 * (n as usize % VOICES); // the first at every other turn
        let feed = feeds[of].as_mut();
        match (n % 400, feed) {
            (50, Some(feed)) => feed.mapping(Mapping::assumed(begin, MediaTime::from_nanos(n))),
            (100, Some(feed)) => feed.mute(true),
            (150, _) => mixer.mute(true),
            (151, _) => mixer.mute(false),
            (160, Some(feed)) => feed.mute(false),
            (200, Some(feed)) => feed.volume(0.3),
            (201, _) => mixer.volume(2.0),
            (250, Some(feed)) => feed.target(Some(Duration::from_millis(200))),
            (300, Some(feed)) => feed.target(None),
            (_, Some(feed)) => drop(feed.levels()),
            _ => {}
        }
        let part = &mut out[..frames * usize::from(channels)];
        allocations += counted(|| renderer.render(now, Duration::from_millis(15), part));
        assert!(part.iter().all(|sample| sample.abs() <= 1.0));
        // What is told to an echo canceller is read, and then it is not any more: full rings.
        if due < 500 {
            reference.read(&mut aligner);
        }
    }
    let stats = feeds[0].as_ref().map(|feed| feed.stats());
    (allocations, waits() - before, stats.unwrap())
}

fn capture(block: u64) -> MediaTime {
    MediaTime::from_nanos(block * 10_000_000)
}

#[test]
fn the_speakers_callback_neither_allocates_nor_waits_while_sixteen_voices_come_and_go_through_loss_stall_drift_and_keys() {
    for channels in [1, 2, 6] {
        let (allocations, waited, stats) = ten_seconds(channels);
        println!("{stats:?}");
        assert!(allocations == 0 && waited < FEW, "{channels} channels: {allocations} allocations, {waited} waits");
        assert!(stats.underflows > 0 && stats.shed > 0 && stats.concealed > 0 && stats.late > 0 && stats.duplicates > 0);
    }
}

/// What the documentation of the renderer says: it is made once, with the device.
#[test]
fn a_voice_takes_less_than_a_megabyte() {
    BYTES.set(0);
    ARMED.set(true);
    let (_mixer, renderer) = Mixer::detached(2, Config::default(), None);
    ARMED.set(false);
    let each = BYTES.get() / VOICES as i64;
    drop(renderer);
    println!("a voice takes {each} bytes");
    assert!((100_000..1_000_000).contains(&each), "{each}");
}
