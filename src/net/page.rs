//! One page over HTTP, for whoever asks: `GET /metrics` (RFC 9112, as much of it as a scraper needs).
//!
//! It has a thread of its own, which waits for all of its few connections at once and holds up nobody else. Whoever asks may be
//! anybody: a head is at most [`MOST_HEAD`] bytes, each connection is closed after its one answer or after [`PATIENCE`], and while
//! there are [`MOST`] of them further ones wait in the kernel.

mod head;

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::bind::bind;
use super::{Error, Protocol};
use head::{Asked, MOST_HEAD};

/// Connections at once.
const MOST: usize = 4;

/// How long a connection may take, all in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody is let in for so long where the system gives no socket.
const REST: Duration = Duration::from_secs(1);

/// The page's server. Dropping it ends its thread at once.
pub struct Page {
    /// Closed to stop the thread.
    tell: Option<PipeWriter>,
    at: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// Answers at this address with what `page` gives, which is asked anew each time.
    pub fn serve(at: SocketAddr, page: impl Fn() -> String + Send + 'static) -> Result<Page, Error> {
        Self::serve_within(at, PATIENCE, page)
    }

    fn serve_within(at: SocketAddr, patience: Duration, page: impl Fn() -> String + Send + 'static) -> Result<Page, Error> {
        let listener: TcpListener = bind(Protocol::Tcp, at)?.into();
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let (told, tell) = io::pipe()?;
        let (is_local, visits) = (at.ip().is_loopback(), Vec::with_capacity(MOST));
        let server = Server { listener, told, page, is_local, patience, visits, rests_until: None };
        let thread = std::thread::Builder::new().name("metrics".into()).spawn(move || server.run())?;
        Ok(Page { tell: Some(tell), at, thread: Some(thread) })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.at
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.tell.take();
        if let Some(thread) = self.thread.take() {
            let finished = thread.join();
            debug_assert!(finished.is_ok(), "the page panicked");
        }
    }
}

struct Server<F> {
    listener: TcpListener,
    told: PipeReader,
    page: F,
    is_local: bool,
    patience: Duration,
    visits: Vec<Visit>,
    rests_until: Option<Instant>,
}

impl<F: Fn() -> String> Server<F> {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            self.visits.retain(|visit| now < visit.until);
            self.rests_until = self.rests_until.filter(|until| now < *until);
            let lets_in = self.visits.len() < MOST && self.rests_until.is_none();
            let due = self.visits.iter().map(|visit| visit.until).chain(self.rests_until).min();
            let mut fds = vec![PollFd::new(self.told.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.visits.iter().map(|visit| PollFd::new(visit.as_fd(), visit.waits_for())));
            fds.extend(lets_in.then(|| PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)));
            if poll(&mut fds, timeout(due, now)).is_err_and(|error| error != nix::errno::Errno::EINTR) {
                return;
            }
            let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
            if is_ready(&fds[0]) {
                return;
            }
            let ready: Vec<bool> = fds[1..].iter().map(is_ready).collect();
            drop(fds);
            let mut ready = ready.into_iter();
            let page = &self.page;
            self.visits.retain_mut(|visit| !ready.next().unwrap_or(false) || visit.go_on(page));
            if lets_in && ready.next().unwrap_or(false) {
                // It may have been waited for long.
                self.let_in(Instant::now());
            }
        }
    }

    fn let_in(&mut self, now: Instant) {
        match self.listener.accept() {
            Ok((stream, _)) => {
                // One that cannot be told not to block is not let in.
                if stream.set_nonblocking(true).is_ok() {
                    let (until, is_local, step) = (now + self.patience, self.is_local, Step::Asks(Vec::new()));
                    self.visits.push(Visit { stream, until, is_local, step });
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                tracing::debug!("nobody is let in to the metrics for a while: {error}");
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
    stream: TcpStream,
    /// When it is closed, whatever comes.
    until: Instant,
    /// Only this machine asks.
    is_local: bool,
    step: Step,
}

enum Step {
    /// This much came of what is asked.
    Asks(Vec<u8>),
    /// The answer, and how much of it is written.
    Gets(Vec<u8>, usize),
    /// All is written. What still comes is read, or the answer would be lost with the connection.
    Leaves,
}

impl Visit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn waits_for(&self) -> PollFlags {
        if matches!(self.step, Step::Gets(..)) { PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }

    /// Whether it goes on.
    fn go_on(&mut self, page: impl Fn() -> String) -> bool {
        match self.take_step(page) {
            Ok(goes_on) => goes_on,
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    fn take_step(&mut self, page: impl Fn() -> String) -> io::Result<bool> {
        let mut bytes = [0; 2048];
        match &mut self.step {
            Step::Asks(head) => {
                let n = self.stream.read(&mut bytes)?;
                if n == 0 {
                    return Ok(false);
                }
                head.extend_from_slice(&bytes[..n.min(MOST_HEAD + 1 - head.len().min(MOST_HEAD))]);
                if let Some(asked) = head::read(head, self.is_local) {
                    self.step = Step::Gets(answer(asked, page), 0);
                }
            }
            Step::Gets(answer, written) => {
                *written += self.stream.write(&answer[*written..])?;
                if *written == answer.len() {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.step = Step::Leaves;
                }
            }
            Step::Leaves => return Ok(self.stream.read(&mut bytes)? > 0),
        }
        Ok(true)
    }
}

fn answer(asked: Asked, page: impl Fn() -> String) -> Vec<u8> {
    let (status, kind, body) = match asked {
        Asked::Page => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", page()),
        Asked::Nothing => ("404 Not Found", "text/plain", "there is /metrics, and nothing else\n".to_string()),
        Asked::Otherwise => ("405 Method Not Allowed\r\nAllow: GET", "text/plain", "GET is all there is\n".to_string()),
        Asked::Elsewhere => ("403 Forbidden", "text/plain", "ask for localhost, or for an address\n".to_string()),
        Asked::Nonsense => ("400 Bad Request", "text/plain", "this is not HTTP\n".to_string()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    (head + &body).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    fn ask(page: &Page, words: &[u8]) -> String {
        let mut stream = TcpStream::connect(page.address()).unwrap();
        // A server that has heard enough may not read all.
        let _ = stream.write_all(words);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_page_is_given_to_whoever_asks_for_it_and_nothing_else_to_anybody() {
        let page = Page::serve(HERE, || "eyeline_up 1\n".to_string()).unwrap();
        let given = ask(&page, b"GET /metrics HTTP/1.1\r\nHost: localhost:9100\r\n\r\n");
        assert!(given.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{given}");
        assert!(given.contains("Content-Length: 13\r\n") && given.ends_with("\r\n\r\neyeline_up 1\n"), "{given}");
        let endless = [&b"GET /metrics HTTP/1.1\r\nX: "[..], &[b'a'; 3 * MOST_HEAD]].concat();
        for (words, status) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
            (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
            (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"),
            (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", "400"),
            (&endless, "400"),
        ] {
            let answer = ask(&page, words);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
    }

    #[test]
    fn who_only_holds_a_connection_is_thrown_out_and_holds_up_the_next_no_longer() {
        let page = Page::serve_within(HERE, Duration::from_millis(200), || "all\n".to_string()).unwrap();
        let mut silent: Vec<TcpStream> = (0..3 * MOST).map(|_| TcpStream::connect(page.address()).unwrap()).collect();
        silent[0].write_all(b"GET /met").unwrap();
        assert!(ask(&page, b"GET /metrics HTTP/1.1\r\n\r\n").ends_with("all\n"));
        drop(page);
        assert!(silent.iter_mut().all(|stream| stream.read(&mut [0]).unwrap_or(0) == 0), "nobody is left");
    }

    #[test]
    fn who_comes_after_a_long_silence_is_let_in_like_anybody() {
        let serve = || Page::serve_within(HERE, Duration::from_millis(100), || "all\n".to_string()).unwrap();
        let (page, other) = (serve(), serve());
        assert!(ask(&page, b"GET /metrics HTTP/1.1\r\n\r\n").ends_with("all\n"));
        // Its patience is over when the connection is.
        assert_eq!(TcpStream::connect(other.address()).unwrap().read(&mut [0]).unwrap(), 0);
        assert!(ask(&page, b"GET /metrics HTTP/1.1\r\n\r\n").ends_with("all\n"));
    }

    #[test]
    fn a_port_that_is_taken_is_told_with_who_has_it() {
        let page = Page::serve(HERE, String::new).unwrap();
        let again = Page::serve(page.address(), String::new);
        let Err(Error::PortTaken { port, by, .. }) = again else { panic!("it is taken") };
        assert!(port == page.address().port() && by.contains("process"), "{by}");
    }
}
