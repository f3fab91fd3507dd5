//! The thread that waits for a camera's buffers, and what becomes of each.
//!
//! It blocks every signal but [`KICK`]: a signal that lands while the V4L2 library waits breaks the stream for good, which is
//! a nuisance from a stranger and the one way in when the driver stalls. Any error but "gone" makes the stream anew; when
//! that fails, the whole camera, with pauses; after [`GIVE_UP`] of errors alone the camera has failed.

use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{SigSet, Signal};

use super::devices::{self, Layout};
use super::health::{Health, Orders};
use super::modes::{Format, Mode};
use super::source::{self, Broken, Filled, Source};
use super::{Chosen, Error, Setup};
use super::{mjpeg, raw};
use eyeline_proto::picture::{Body, BufferPool, Picture, Sampling, Size};

/// Ends a wait in the driver. Ignored by default and used by nobody else, so it can hit nothing but the wait.
const KICK: Signal = Signal::SIGURG;
/// Errors in a row before the camera is opened anew instead of its stream.
const STREAM_RESTARTS: u32 = 3;
/// Errors and nothing else for this long: the app should look for a camera again.
const GIVE_UP: Duration = Duration::from_secs(10);
/// The first pause before opening anew; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The first pictures of many an MJPEG camera are damaged in ways its markers do not show.
const UNSETTLED: u32 = 2;
/// Pictures in a row of one unexpected size before that size is believed.
const STEADY: u32 = 4;
/// At least this long between two warnings of one kind.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// A running reader, as its watch holds it.
pub(super) struct Reader {
    orders: Arc<Orders>,
    thread: JoinHandle<()>,
}

impl Reader {
    pub fn spawn(health: &Arc<Health>, setup: &Setup) -> Result<Reader, Error> {
        static HANDLER: OnceLock<bool> = OnceLock::new();
        // An empty handler: without one the signal would be ignored and the wait go on.
        let handled = HANDLER.get_or_init(|| signal_hook::flag::register(KICK as i32, Arc::default()).is_ok());
        if !handled {
            tracing::debug!("a stalled camera cannot be woken: there is no handler for {KICK}");
        }
        let orders = Arc::new(Orders::default());
        let run = {
            let (orders, health, setup) = (orders.clone(), health.clone(), setup.clone());
            move || {
                let work = std::panic::AssertUnwindSafe(|| run(&health, &orders, &setup));
                if std::panic::catch_unwind(work).is_err() {
                    let cause = "the driver gave an answer the V4L2 library does not understand".to_string();
                    health.fail(&orders, Error::Driver { device: setup.chosen.device.clone(), what: "read", cause });
                }
                health.ended(&orders);
            }
        };
        let thread = std::thread::Builder::new().name("camera".to_string()).spawn(run);
        let refused = |error: std::io::Error| Error::Driver {
            device: setup.chosen.device.clone(),
            what: "start a thread for",
            cause: error.to_string(),
        };
        Ok(Reader { orders, thread: thread.map_err(refused)? })
    }

    /// Interrupts the wait in the driver, until it returns or `within` is over. Whether it did.
    pub fn kick(&self, health: &Health, within: Duration) -> bool {
        let before = self.orders.returns.load(Ordering::Acquire);
        self.orders.kicked.store(true, Ordering::Release);
        self.kick_until(health, within, || self.orders.returns.load(Ordering::Acquire) != before)
    }

    /// Tells the thread to stop and waits for it, but not longer than `within`. Whether it did; if not, it is left behind and
    /// stops as soon as its driver lets it.
    pub fn stop(self, health: &Health, within: Duration) -> bool {
        self.orders.stop.store(true, Ordering::Release);
        health.wake();
        self.kick_until(health, within, || self.thread.is_finished()) && self.thread.join().is_ok()
    }

    fn kick_until(&self, health: &Health, within: Duration, done: impl Fn() -> bool) -> bool {
        /// The signal may land just before the wait begins and be lost, so it is sent until it works.
        const AGAIN: Duration = Duration::from_millis(5);
        let deadline = Instant::now() + within;
        while !done() && !self.thread.is_finished() {
            if Instant::now() >= deadline {
                return false;
            }
            // The handle is neither joined nor dropped, so the thread's name is valid even if it has ended.
            let _ = pthread_kill(self.thread.as_pthread_t(), KICK);
            health.pause(AGAIN, || done() || self.thread.is_finished());
        }
        true
    }
}

fn block_signals() {
    let mut signals = SigSet::all();
    for wanted in [KICK, Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL] {
        signals.remove(wanted);
    }
    if let Err(error) = signals.thread_block().and_then(|()| SigSet::from(KICK).thread_unblock()) {
        tracing::debug!("the camera's thread cannot set its signal mask: {error}");
    }
}

/// How streaming ended.
enum End {
    Stopped,
    Stalled,
    Broken(Broken),
}

fn run(health: &Health, orders: &Orders, setup: &Setup) {
    block_signals();
    let mut pause = FIRST_PAUSE;
    let mut warned = None;
    while !orders.stopped() {
        health.count().reopened.fetch_add(u64::from(health.was_opened()), Ordering::Relaxed);
        let before = health.count().pictures.load(Ordering::Relaxed);
        let end = match open(setup) {
            Ok((mut source, layout, mode)) => {
                let chosen = if setup.modes.first() == Some(&mode) {
                    setup.chosen.clone()
                } else {
                    Chosen::new(&setup.chosen.device, &mode, "its driver refuses what it offered before".to_string())
                };
                health.opened(orders, chosen);
                stream(&mut *source, Intake::new(health, mode, layout), orders, &mut warned, setup)
            }
            Err(broken) => End::Broken(broken),
        };
        let broken = match end {
            End::Stopped => return,
            End::Stalled => continue,
            End::Broken(broken) => broken,
        };
        if broken == Broken::Gone || !health.was_opened() || health.silence() > GIVE_UP {
            health.fail(orders, error(setup, broken, health));
            return;
        }
        if health.count().pictures.load(Ordering::Relaxed) != before {
            pause = FIRST_PAUSE;
        }
        health.pause(pause, || orders.stopped());
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Opens the first mode that works.
fn open(setup: &Setup) -> Result<(Box<dyn Source>, Layout, Mode), Broken> {
    let mut refusal = Broken::Failed("it offers no mode".to_string());
    for mode in &setup.modes {
        match source::open(setup.node, mode) {
            Ok((source, layout)) => return Ok((source, layout, *mode)),
            Err(Broken::Failed(why)) => {
                tracing::debug!("{} does not open as {mode}: {why}", setup.chosen.device);
                refusal = Broken::Failed(why);
            }
            Err(gone_or_busy) => return Err(gone_or_busy),
        }
    }
    Err(refusal)
}

fn stream(source: &mut dyn Source, mut intake: Intake<'_>, orders: &Orders, warned: &mut Option<Instant>, setup: &Setup) -> End {
    let health = intake.health;
    let (mut fruitless, mut begins) = (0, true);
    loop {
        let next = source.next(&mut |filled| intake.take(filled));
        orders.returns.fetch_add(1, Ordering::Release);
        health.count().set_missed(source.missed());
        if orders.stopped() || health.pictures().is_closed() {
            return End::Stopped;
        }
        let kicked = orders.kicked.swap(false, Ordering::AcqRel);
        let broken = match next {
            Ok(()) => {
                fruitless = 0;
                // Some cameras forget what was set when their stream begins, which is before its first buffer.
                if std::mem::take(&mut begins) {
                    set(setup);
                }
                continue;
            }
            Err(Broken::Gone) => return End::Broken(Broken::Gone),
            Err(_) if kicked && intake.quiet() => return End::Stalled,
            Err(broken) => broken,
        };
        fruitless += 1;
        if !kicked && warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
            *warned = Some(Instant::now());
            tracing::warn!("the camera stumbled ({}); its stream is made anew", words(&broken));
        }
        if fruitless > STREAM_RESTARTS {
            return End::Broken(broken);
        }
        health.count().reopened.fetch_add(1, Ordering::Relaxed);
        if let Err(broken) = source.restart() {
            return End::Broken(broken);
        }
        begins = true;
        intake.restarted();
    }
}

/// Sets once more what the user wishes of the camera: it took it before.
fn set(setup: &Setup) {
    if let Err((flag, error)) = devices::set(setup.node, &setup.settings) {
        tracing::warn!("{} does not keep {flag}: {error}", setup.chosen.device);
    }
}

fn words(broken: &Broken) -> &str {
    match broken {
        Broken::Gone => "it is gone",
        Broken::Busy => "another program took it",
        Broken::Failed(why) => why,
    }
}

fn error(setup: &Setup, broken: Broken, health: &Health) -> Error {
    let device = setup.chosen.device.clone();
    match broken {
        Broken::Gone => Error::Unplugged { device },
        Broken::Busy if health.left_behind() => Error::Hangs { device },
        Broken::Busy => Error::busy(&device, setup.node),
        Broken::Failed(cause) => Error::Driver { device, what: "read", cause },
    }
}

/// Makes pictures of buffers.
struct Intake<'a> {
    health: &'a Health,
    format: Format,
    size: Size,
    layout: Layout,
    pool: BufferPool,
    unsettled: u32,
    /// Nothing good came since the stream was made.
    quiet: bool,
    /// A size other than `size` that the last pictures had, and how many.
    odd: Option<(Size, u32)>,
    warned: Option<Instant>,
}

impl<'a> Intake<'a> {
    fn new(health: &'a Health, mode: Mode, layout: Layout) -> Self {
        let Mode { format, size, .. } = mode;
        let pool = BufferPool::new();
        Intake { health, format, size, layout, pool, unsettled: UNSETTLED, quiet: true, odd: None, warned: None }
    }

    fn restarted(&mut self) {
        self.unsettled = UNSETTLED;
        self.quiet = true;
    }

    /// Whether the stream gave nothing since it was made: making it anew once more will not help.
    fn quiet(&self) -> bool {
        self.quiet
    }

    fn take(&mut self, filled: Filled<'_>) {
        if self.unsettled > 0 && self.format == Format::Mjpeg {
            self.unsettled -= 1;
            return;
        }
        match self.picture(&filled) {
            Ok((size, body)) => {
                self.quiet = false;
                self.health.give(Picture::new(filled.captured, size, body));
            }
            Err(why) => {
                self.health.count().damaged.fetch_add(1, Ordering::Relaxed);
                if self.warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
                    self.warned = Some(Instant::now());
                    tracing::warn!("the camera gave a picture that is left out: {why}");
                }
            }
        }
    }

    fn picture(&mut self, filled: &Filled<'_>) -> Result<(Size, Body), String> {
        if filled.corrupt {
            return Err("its driver says that it is damaged".to_string());
        }
        let (size, layout, pool) = (self.size, self.layout, &self.pool);
        match self.format {
            Format::Mjpeg => {
                let shape = mjpeg::inspect(filled.bytes).map_err(|damage| damage.to_string())?;
                self.accept(shape.size)?;
                Ok((shape.size, Body::Jpeg(mjpeg::extract(filled.bytes, &shape, &self.pool))))
            }
            Format::Yuyv => raw::yuyv(filled.bytes, size, layout.stride, layout.colours, pool)
                .map(|planes| (size, Body::Planes(Sampling::Yuv422, planes)))
                .map_err(|short| short.to_string()),
            Format::Nv12 => raw::nv12(filled.bytes, size, layout.stride, layout.colours, pool)
                .map(|planes| (size, Body::Planes(Sampling::Yuv420, planes)))
                .map_err(|short| short.to_string()),
        }
    }

    /// One picture of another size is damage; a camera that keeps to another size than it promised (1088 rows for 1080) is
    /// believed.
    fn accept(&mut self, size: Size) -> Result<(), String> {
        if size == self.size {
            self.odd = None;
            return Ok(());
        }
        let seen = self.odd.filter(|(odd, _)| *odd == size).map_or(0, |(_, seen)| seen) + 1;
        self.odd = Some((size, seen));
        if seen >= STEADY && size.is_possible() {
            tracing::warn!("the camera promised {} and gives {size}", self.size);
            self.size = size;
            self.odd = None;
            return Ok(());
        }
        Err(format!("it is {size} instead of {}", self.size))
    }
}
