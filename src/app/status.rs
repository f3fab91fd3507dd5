//! How a program behaves towards the person and the shell that started it: lines on stderr, signals, exit codes.
//!
//! stdout is never touched here. A line is plain text: what a peer, a device or a film calls itself may stand in it, so control
//! characters are shown, not obeyed, and those that hide or turn text around are replaced (`wire::text`). SIGPIPE is ignored
//! (Rust's start-up does that): a reader that went away is an error of the write.

use std::fmt::{self, Write as _};
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer as _, filter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::args::{Log, Verbosity};
use super::console;
use eyeline_proto::wire::text::{REPLACEMENT, characters};

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// As wanted: end of the film or stream, `q`, a first signal, `--duration`.
    Ok = 0,
    /// Something went wrong that is none of the following.
    Failed = 1,
    Usage = 2,
    /// A camera, microphone, speaker or window is missing or broke.
    Device = 3,
    /// The peer is gone or was never there, and is not waited for.
    PeerLost = 4,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code as u8)
    }
}

/// From here on `tracing::{info,warn,error}!` print lines on stderr. Once a process; a second call changes nothing.
pub fn install(log: Log) {
    let lines = Lines { start: Instant::now(), timed: log.verbosity >= Verbosity::Verbose, color: log.color };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(lines)
        .with_writer(|| console::Words)
        // It would report a stderr nobody reads by a panicking `eprintln!`.
        .log_internal_errors(false)
        .with_filter(filter::filter_fn(move |about| wanted(about, log.verbosity)));
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

fn wanted(about: &Metadata<'_>, verbosity: Verbosity) -> bool {
    let most = match verbosity {
        Verbosity::Quiet => Level::ERROR,
        Verbosity::Normal => Level::INFO,
        Verbosity::Verbose => Level::DEBUG,
        Verbosity::Debug => Level::TRACE,
    };
    // Other crates do not speak in sentences for users.
    let ours = about.target().starts_with("eyeline");
    *about.level() <= most && (ours || (verbosity >= Verbosity::Verbose && *about.level() <= Level::WARN))
}

/// One line a fact: `warning: ` or `error: ` before it where it is one, the seconds since the start with `-v`.
struct Lines {
    start: Instant,
    timed: bool,
    color: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = Text::default();
        event.record(&mut text);
        let seconds = self.timed.then(|| self.start.elapsed().as_secs_f64());
        out.write_str(&line(*event.metadata().level(), self.color, seconds, &text.0))
    }
}

fn line(level: Level, color: bool, seconds: Option<f64>, text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 32);
    if let Some(seconds) = seconds {
        let _ = write!(line, "{seconds:9.3} ");
    }
    let (word, paint) = match level {
        Level::ERROR => ("error: ", "\x1b[1;31m"),
        Level::WARN => ("warning: ", "\x1b[1;33m"),
        _ => ("", ""),
    };
    let painted = color && !word.is_empty();
    line.push_str(if painted { paint } else { "" });
    line.push_str(word);
    line.push_str(if painted { "\x1b[0m" } else { "" });
    for (c, may) in characters(text.trim_end()) {
        match c {
            // A list inside one message: its lines are indented, so that none can pass for a message of ours.
            '\n' => line.push_str("\n  "),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(if may { c } else { REPLACEMENT }),
        }
    }
    line.push('\n');
    line
}

/// The message, then other fields as `name=value`.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Signals that come within such a time are one. Whoever closes a terminal sends SIGHUP, and then so does the shell in it;
/// `timeout` tells its child, and then the whole group.
const MOMENT: Duration = Duration::from_millis(500);

/// Set by the first SIGINT, SIGTERM or SIGHUP; the second, [`MOMENT`] later or more, ends the process at once with 128 + its
/// number. One a process.
pub struct Stop {
    flag: Arc<AtomicBool>,
    /// Set by SIGUSR1: a picture is to be kept.
    snapshot: Arc<AtomicBool>,
    /// The next signal is a second one.
    armed: Arc<AtomicBool>,
    pokes: Vec<SigId>,
    waker: Option<Waker>,
}

/// The thread that turns a byte written by the signal handler into a call of `wake`.
struct Waker {
    poke: UnixStream,
    leave: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Stop {
    /// Takes over these signals, but SIGHUP where it is ignored: then whoever started us (`nohup`) wants us to outlive the
    /// terminal. `wake` is called on a thread of its own when the first one comes: it may send on a channel, close a slot or poke
    /// a poller, so that whoever waits there looks at [`Stop::requested`].
    pub fn on_signals(wake: impl Fn() + Send + 'static) -> std::io::Result<Stop> {
        let mut stop =
            Stop { flag: Arc::default(), snapshot: Arc::default(), armed: Arc::default(), pokes: Vec::new(), waker: None };
        let (poke, mut poked) = UnixStream::pair()?;
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, stop.armed.clone())?;
            signal_hook::flag::register(signal, stop.flag.clone())?;
            stop.pokes.push(signal_hook::low_level::pipe::register(signal, poke.try_clone()?)?);
        }
        stop.pokes.push(signal_hook::flag::register(SIGUSR1, stop.snapshot.clone())?);
        let leave = Arc::new(AtomicBool::new(false));
        let (left, armed) = (leave.clone(), stop.armed.clone());
        let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut first: Option<Instant> = None;
            loop {
                match poked.read_exact(&mut [0]) {
                    Ok(()) if left.load(Ordering::SeqCst) => return,
                    Ok(()) => wake(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
                // It is looked at again when another comes, or when the moment is over.
                let over = first.get_or_insert_with(Instant::now).elapsed() >= MOMENT;
                armed.fetch_or(over, Ordering::SeqCst);
                let _ = poked.set_read_timeout((!over).then_some(MOMENT));
            }
        })?;
        stop.waker = Some(Waker { poke, leave, thread });
        Ok(stop)
    }

    /// Whether a picture was asked for since this was asked last.
    pub fn snapshot_asked(&self) -> bool {
        self.snapshot.swap(false, Ordering::SeqCst)
    }

    /// Whether the program should come to its orderly end.
    pub fn requested(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }
}

/// Whether this process was started with the signal ignored. `/proc` tells it without taking the handler's place.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Drop for Stop {
    /// Nobody asks any more: from here on the first signal ends the process at once.
    fn drop(&mut self) {
        self.armed.store(true, Ordering::SeqCst);
        for poke in self.pokes.drain(..) {
            signal_hook::low_level::unregister(poke);
        }
        if let Some(Waker { mut poke, leave, thread }) = self.waker.take() {
            leave.store(true, Ordering::SeqCst);
            // Should the pipe be full of pokes the thread is awake already.
            let _ = poke.write(&[0]);
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_fact_is_a_plain_line_and_trouble_says_so() {
        assert_eq!(line(Level::INFO, true, None, "waiting on port 9688"), "waiting on port 9688\n");
        assert_eq!(line(Level::WARN, false, None, "no microphone"), "warning: no microphone\n");
        assert_eq!(line(Level::ERROR, true, None, "no camera"), "\x1b[1;31merror: \x1b[0mno camera\n");
        assert_eq!(line(Level::DEBUG, false, Some(1.5), "resent"), "    1.500 resent\n");
    }

    #[test]
    fn a_name_cannot_command_the_terminal_or_forge_a_line() {
        let name = "cam\x1b[2J\r\nerror: pay here\u{9b}";
        assert_eq!(line(Level::INFO, false, None, name), "cam\\u{1b}[2J\\r\n  error: pay here\\u{9b}\n");
        let turned = "film \u{202e}gpj.exe\u{200b} of \u{e000}";
        assert_eq!(line(Level::WARN, false, None, turned), "warning: film \u{fffd}gpj.exe\u{fffd} of \u{fffd}\n");
    }

    #[test]
    fn exit_codes_are_those_of_the_help() {
        use ExitCode::*;
        assert_eq!([Ok, Failed, Usage, Device, PeerLost].map(|code| code as u8), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_signal_sets_the_flag_and_wakes_who_waits() {
        let (tell, told) = mpsc::channel();
        let stop = Stop::on_signals(move || tell.send(()).unwrap()).unwrap();
        assert!(!stop.requested());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(stop.requested());
        drop(stop);
        assert_eq!(told.recv(), Err(mpsc::RecvError), "the thread is gone and its closure with it");
    }

    /// Runs one of the tests below again in a process of its own, which a signal is to end.
    fn exit_code_of(test: &str) -> Option<i32> {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args([&format!("app::status::tests::{test}"), "--exact"]).env(CHILD, "1").output().unwrap().status.code()
    }

    const CHILD: &str = "EYELINE_TEST_IS_ENDED_BY_A_SIGNAL";

    #[test]
    fn the_second_signal_ends_the_process_at_once() {
        if std::env::var_os(CHILD).is_none() {
            assert_eq!(exit_code_of("the_second_signal_ends_the_process_at_once"), Some(128 + SIGINT));
            return;
        }
        let _stop = Stop::on_signals(|| {}).unwrap();
        signal_hook::low_level::raise(SIGTERM).unwrap();
        loop {
            signal_hook::low_level::raise(SIGINT).unwrap();
        }
    }

    #[test]
    fn signals_of_one_moment_are_one() {
        if std::env::var_os(CHILD).is_none() {
            let begun = Instant::now();
            let code = exit_code_of("signals_of_one_moment_are_one");
            // On a machine that stood still between two of them they are of two moments.
            let second = begun.elapsed() >= MOMENT && [SIGINT, SIGTERM].iter().any(|signal| code == Some(128 + signal));
            assert!(code == Some(7) || second, "{code:?} after {:?}", begun.elapsed());
            return;
        }
        let (tell, told) = mpsc::channel();
        let stop = Stop::on_signals(move || tell.send(()).unwrap_or_default()).unwrap();
        // SIGHUP is not taken over below `nohup`.
        for signal in [SIGINT, SIGINT, SIGTERM] {
            signal_hook::low_level::raise(signal).unwrap();
            // The thread looks at the time of one before it tells of the next.
            told.recv().unwrap();
        }
        std::process::exit(if stop.requested() { 7 } else { 0 });
    }

    #[test]
    fn once_nobody_asks_the_first_signal_ends_the_process() {
        if std::env::var_os(CHILD).is_none() {
            assert_eq!(exit_code_of("once_nobody_asks_the_first_signal_ends_the_process"), Some(128 + SIGTERM));
            return;
        }
        drop(Stop::on_signals(|| {}).unwrap());
        signal_hook::low_level::raise(SIGTERM).unwrap();
    }
}
