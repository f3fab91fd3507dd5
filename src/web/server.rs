//! One listening socket, one thread, and all who ask there (RFC 9112, as much of it as browsers and scrapers need).
//!
//! The thread waits for all its connections at once and holds up nobody. Whoever asks may be anybody: a head is at most
//! [`head::MOST_HEAD`] bytes, each connection is closed after its one answer or after [`PATIENCE`], and where more than
//! [`Setup::most`] ask, the oldest of them goes: who means it is answered within milliseconds. A [`Guest`] stays: how many of them there are is the site's to say.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::answer;
use super::head::{self, Request};
pub use super::stream::Stream;

/// How long a connection may take, all in all.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody is let in for so long where the system gives no socket.
const REST: Duration = Duration::from_secs(1);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    pub from: SocketAddr,
    /// It is this very machine, whatever its address.
    pub is_own: bool,
}

/// What is at an address. All of it is called on the server's thread, and must not wait.
pub trait Site: Send + 'static {
    /// Somebody asks.
    fn answer(&mut self, request: &Request, caller: Caller) -> Answer;
}

/// What somebody gets.
pub enum Answer {
    /// These bytes, with their head.
    Bytes(Vec<u8>),
    /// He stays.
    Stays(Box<dyn Guest>),
}

/// Somebody who stays.
pub trait Guest: Send {
    /// It begins, with what came behind the head.
    fn begin(&mut self, stream: &mut Stream, behind: &[u8], now: Instant);

    /// Reads and writes whatever goes without waiting, for there is something on its connection, or elsewhere. `false`, or an
    /// error, but for those that say that it would have to wait: it leaves.
    fn go_on(&mut self, stream: &mut Stream, now: Instant) -> io::Result<bool>;

    /// It has not said yet what lets it in: it counts among those who ask.
    fn is_stranger(&self) -> bool {
        false
    }

    /// There is something to be written, and the connection has no room.
    fn is_writing(&self) -> bool;

    /// When it is to go on, whatever comes.
    fn due(&self) -> Option<Instant>;
}

/// What makes a connection of a socket that came; an error where nothing can be made of it.
type Wrap = Box<dyn Fn(TcpStream) -> io::Result<Stream> + Send>;

/// How a server is to be.
pub struct Setup {
    /// Its thread's name.
    pub name: &'static str,
    /// Connections at once, beside guests that are let in.
    pub most: usize,
    /// How long one may take.
    pub patience: Duration,
    /// What is spoken: TLS or nothing beside HTTP.
    pub wrap: Wrap,
}

/// Tells a server's guests that there is something new. Clones tell the same server.
#[derive(Clone)]
pub struct Bell(Arc<Rope>);

struct Rope {
    rung: AtomicBool,
    to: PipeWriter,
}

impl Bell {
    /// Never waits, and costs nothing while the last ring has not been heard.
    pub fn ring(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel) {
            // It has room for one byte: there is never a second.
            let _ = (&self.0.to).write(&[0]);
        }
    }
}

/// See the module text. Dropping it ends its thread at once.
pub struct Server {
    /// Closed to stop the thread.
    tell: Option<PipeWriter>,
    at: SocketAddr,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers there with what the site says, which is made with the bell by which its guests are told of news.
    pub fn start<S: Site>(listener: TcpListener, setup: Setup, site: impl FnOnce(Bell) -> S) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let ((told, tell), (news, to)) = (io::pipe()?, io::pipe()?);
        let bell = Bell(Arc::new(Rope { rung: AtomicBool::new(false), to }));
        let site = site(bell.clone());
        let name = setup.name;
        let heard = bell.clone();
        let work = Work { listener, told, news, heard, setup, site, visits: Vec::new(), rests_until: None };
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || work.run())?;
        Ok(Server { tell: Some(tell), at, bell, thread: Some(thread) })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// By which its guests are told of news.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell.take();
        if let Some(thread) = self.thread.take() {
            let finished = thread.join();
            debug_assert!(finished.is_ok(), "the server panicked");
        }
    }
}

struct Work<S> {
    listener: TcpListener,
    told: PipeReader,
    news: PipeReader,
    heard: Bell,
    setup: Setup,
    site: S,
    visits: Vec<Visit>,
    rests_until: Option<Instant>,
}

impl<S: Site> Work<S> {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            self.visits.retain(|visit| visit.until.is_none_or(|until| now < until));
            self.rests_until = self.rests_until.filter(|until| now < *until);
            let lets_in = self.rests_until.is_none();
            let due = self.visits.iter().filter_map(Visit::due).chain(self.rests_until).min();
            let mut fds =
                vec![PollFd::new(self.told.as_fd(), PollFlags::POLLIN), PollFd::new(self.news.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.visits.iter().map(|visit| PollFd::new(visit.stream.as_fd(), visit.waits_for())));
            fds.extend(lets_in.then(|| PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)));
            if poll(&mut fds, timeout(due, now)).is_err_and(|error| error != nix::errno::Errno::EINTR) {
                return;
            }
            let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
            if is_ready(&fds[0]) {
                return;
            }
            let news = is_ready(&fds[1]);
            let ready: Vec<bool> = fds[2..].iter().map(is_ready).collect();
            drop(fds);
            if news {
                let _ = self.news.read(&mut [0; 64]);
                // What is rung from now on is heard.
                self.heard.0.rung.store(false, Ordering::Release);
            }
            let now = Instant::now();
            let mut ready = ready.into_iter();
            let site = &mut self.site;
            self.visits.retain_mut(|visit| {
                let is_due = visit.is_guest() && (news || visit.due().is_some_and(|due| now >= due));
                if !ready.next().unwrap_or(false) && !is_due {
                    return true;
                }
                visit.go_on(site, now)
            });
            if lets_in && ready.next().unwrap_or(false) {
                self.let_in(now);
            }
        }
    }

    fn let_in(&mut self, now: Instant) {
        match self.listener.accept() {
            Ok((socket, from)) => {
                // The kernel gives both ends one address where a machine dials itself, and takes no such packet from a network.
                let is_own = socket.local_addr().is_ok_and(|to| to.ip().to_canonical() == from.ip().to_canonical());
                if self.visits.iter().filter(|visit| visit.asks()).count() >= self.setup.most
                    && let Some(oldest) = self.visits.iter().position(Visit::asks)
                {
                    self.visits.remove(oldest);
                }
                // One that cannot be told not to block is not let in.
                if socket.set_nonblocking(true).is_ok()
                    && let Ok(stream) = (self.setup.wrap)(socket)
                {
                    self.visits.push(Visit {
                        stream,
                        caller: Caller { from, is_own },
                        until: Some(now + self.setup.patience),
                        step: Step::Asks(Vec::new()),
                    });
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                tracing::debug!("nobody is let in to {} for a while: {error}", self.setup.name);
                self.rests_until = Some(now + REST);
            }
        }
    }
}

/// Until `due`, a millisecond more, so that it is over then.
fn timeout(due: Option<Instant>, now: Instant) -> PollTimeout {
    let Some(due) = due else { return PollTimeout::NONE };
    let millis = due.saturating_duration_since(now).as_millis() + 1;
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

/// One connection.
struct Visit {
    stream: Stream,
    caller: Caller,
    /// When it is closed, whatever comes; `None` of a guest.
    until: Option<Instant>,
    step: Step,
}

enum Step {
    /// This much came of what is asked.
    Asks(Vec<u8>),
    /// The answer, and how much of it is written.
    Gets(Vec<u8>, usize),
    Stays(Box<dyn Guest>),
    /// All is written. What still comes is read, or the answer would be lost with the connection.
    Leaves,
}

impl Visit {
    fn is_guest(&self) -> bool {
        matches!(self.step, Step::Stays(_))
    }

    /// It is let in to nothing yet.
    fn asks(&self) -> bool {
        if let Step::Stays(guest) = &self.step { guest.is_stranger() } else { true }
    }

    fn due(&self) -> Option<Instant> {
        match &self.step {
            Step::Stays(guest) => guest.due(),
            _ => self.until,
        }
    }

    fn waits_for(&self) -> PollFlags {
        let writes = match &self.step {
            Step::Gets(..) => true,
            Step::Stays(guest) => guest.is_writing(),
            Step::Asks(_) | Step::Leaves => false,
        };
        self.stream.waits_for(writes)
    }

    /// Whether it goes on.
    fn go_on(&mut self, site: &mut impl Site, now: Instant) -> bool {
        match self.take_steps(site, now) {
            Ok(goes_on) => goes_on,
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// As many as go without waiting: under TLS, what came may have been read from the socket already.
    fn take_steps(&mut self, site: &mut impl Site, now: Instant) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        loop {
            match &mut self.step {
                Step::Asks(head) => {
                    let n = self.stream.read(&mut bytes)?;
                    if n == 0 {
                        return Ok(false);
                    }
                    head.extend_from_slice(&bytes[..n]);
                    let Some(read) = head::read(head) else { continue };
                    let head = std::mem::take(head);
                    self.step = match read.map(|request| (site.answer(&request, self.caller), request.len)) {
                        Ok((Answer::Bytes(bytes), _)) => Step::Gets(bytes, 0),
                        Ok((Answer::Stays(mut guest), len)) => {
                            self.until = None;
                            guest.begin(&mut self.stream, &head[len..], now);
                            Step::Stays(guest)
                        }
                        Err(head::Nonsense) => Step::Gets(answer::sentence("400 Bad Request", "this is not HTTP"), 0),
                    };
                }
                Step::Gets(answer, written) => {
                    *written += self.stream.write(&answer[*written..])?;
                    if *written == answer.len() {
                        self.stream.finish()?;
                        self.step = Step::Leaves;
                    }
                }
                Step::Stays(guest) => return guest.go_on(&mut self.stream, now),
                // Once a turn: whoever goes on talking has others beside him.
                Step::Leaves => return Ok(self.stream.read(&mut bytes)? > 0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 4;

    struct Word(&'static str);

    impl Site for Word {
        fn answer(&mut self, request: &Request, caller: Caller) -> Answer {
            assert!(request.path.starts_with('/'));
            Answer::Bytes(answer::sentence("200 OK", if caller.is_own { self.0 } else { "another's" }))
        }
    }

    fn serve(patience: Duration) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wrap: Wrap = Box::new(|socket| Ok(Stream::Plain(socket)));
        Server::start(listener, Setup { name: "web", most: MOST, patience, wrap }, |_| Word("all")).unwrap()
    }

    fn ask(server: &Server, words: &[u8]) -> String {
        say(TcpStream::connect(server.address()).unwrap(), words)
    }

    fn say(mut stream: TcpStream, words: &[u8]) -> String {
        // A server that has heard enough may not read all.
        let _ = stream.write_all(words);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn who_asks_is_answered_and_what_is_no_question_is_refused() {
        let server = serve(PATIENCE);
        let given = ask(&server, b"GET / HTTP/1.1\r\nHost: localhost:9100\r\n\r\n");
        assert!(given.starts_with("HTTP/1.1 200 OK\r\n") && given.contains("Content-Length: 4\r\n"), "{given}");
        assert!(given.ends_with("\r\n\r\nall\n"), "{given}");
        let endless = [&b"GET /metrics HTTP/1.1\r\nX: "[..], &[b'a'; 3 * head::MOST_HEAD]].concat();
        for words in [&b"\x16\x03\x01\x02\x00\x01\r\n\r\n"[..], &endless] {
            let answer = ask(&server, words);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
    }

    #[test]
    fn this_very_machine_is_known_by_the_address_that_both_ends_have() {
        let server = serve(PATIENCE);
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect(&server.address().into()).unwrap();
        assert!(say(socket.into(), b"GET / HTTP/1.1\r\n\r\n").ends_with("another's\n"));
        assert!(ask(&server, b"GET / HTTP/1.1\r\n\r\n").ends_with("all\n"));
    }

    #[test]
    fn who_only_holds_a_connection_is_thrown_out_when_others_come_and_holds_up_nobody() {
        let server = serve(PATIENCE);
        let mut silent: Vec<TcpStream> = (0..3 * MOST).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        silent[0].write_all(b"GET /met").unwrap();
        let asked = Instant::now();
        assert!(ask(&server, b"GET /metrics HTTP/1.1\r\n\r\n").ends_with("all\n"));
        assert!(asked.elapsed() < PATIENCE);
        assert_eq!(silent[0].read(&mut [0]).unwrap_or(0), 0, "the first of them is gone");
        drop(server);
        assert!(silent.iter_mut().all(|stream| stream.read(&mut [0]).unwrap_or(0) == 0), "nobody is left");
    }

    #[test]
    fn who_comes_after_a_long_silence_is_let_in_like_anybody() {
        let server = serve(Duration::from_millis(100));
        assert!(ask(&server, b"GET /metrics HTTP/1.1\r\n\r\n").ends_with("all\n"));
        // Its patience is over when the connection is.
        assert_eq!(TcpStream::connect(server.address()).unwrap().read(&mut [0]).unwrap(), 0);
        assert!(ask(&server, b"GET /metrics HTTP/1.1\r\n\r\n").ends_with("all\n"));
    }
}
