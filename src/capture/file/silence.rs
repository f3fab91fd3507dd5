//! What a child writes of a live source that may fall silent.
//!
//! A camera that loses its power sends nothing any more, and no end either: a plain read would wait for ever, and the last picture
//! would stand as if it were live. A word is said after [`WORTH_A_WORD`], and after [`OVER`] (or [`OVER_RTP`]) the read fails as timed out, which
//! [`Silence`] tells too: who reads may take an error for the end. Streams in segments (HLS) come in bursts of up to ten seconds,
//! which is no silence.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Longer than the pause between two segments of most streams.
const WORTH_A_WORD: Duration = Duration::from_secs(8);

/// Three times the longest segments in use.
pub const OVER: Duration = Duration::from_secs(30);

/// The same of RTP as a session description says: there are no segments, and `ffmpeg` shows nothing of a sender that was started
/// anew, whose times are others.
pub const OVER_RTP: Duration = Duration::from_secs(5);

/// Whether a source has been given up for its silence.
#[derive(Clone)]
pub struct Silence {
    given_up: Arc<AtomicBool>,
    over: Duration,
}

impl Silence {
    /// Of one that is given up after so long.
    pub fn new(over: Duration) -> Self {
        Silence { given_up: Arc::default(), over }
    }

    /// What became of it, if it was given up.
    pub fn why(&self) -> Option<String> {
        self.given_up.load(Ordering::Relaxed).then(|| given_up(self.over))
    }
}

/// Why a source was given up.
pub fn given_up(over: Duration) -> String {
    format!("it has sent nothing for {} s", over.as_secs())
}

/// Reads `from` with a limit to its silence.
pub struct Awaited<R> {
    from: R,
    silence: Silence,
    /// What to call it.
    name: String,
    limits: (Duration, Duration),
}

impl<R: Read + AsFd> Awaited<R> {
    /// `name`: what it is called where its silence is told.
    pub fn new(from: R, name: String, silence: Silence) -> Self {
        let limits = (WORTH_A_WORD, silence.over);
        Awaited { from, silence, name, limits }
    }

    /// Whether there is something to read, or the end, within `limit`.
    fn is_ready(&self, limit: Duration) -> io::Result<bool> {
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, limit) {
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(ready) => return Ok(ready > 0),
            }
        }
    }
}

impl<R: Read + AsFd> Read for Awaited<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (word, over) = self.limits;
        if !self.is_ready(word.min(over))? {
            // Who is given up so soon is told of by whoever gives it up.
            let said = word < over;
            if said {
                tracing::warn!("nothing has come from {} for {} s", self.name, word.as_secs());
            }
            if !self.is_ready(over.saturating_sub(word))? {
                self.silence.given_up.store(true, Ordering::Relaxed);
                return Err(io::ErrorKind::TimedOut.into());
            }
            if said {
                tracing::info!("{} sends again", self.name);
            }
        }
        self.from.read(into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_source_that_falls_silent_is_given_up_and_its_end_is_one() {
        let (pipe, mut source) = io::pipe().unwrap();
        let limits = (Duration::from_millis(1), Duration::from_millis(20));
        let silence = Silence::new(OVER);
        let mut awaited = Awaited { from: pipe, silence: silence.clone(), name: "it".into(), limits };
        source.write_all(b"abc").unwrap();
        let mut bytes = [0; 8];
        assert_eq!((awaited.read(&mut bytes).unwrap(), silence.why()), (3, None));
        assert_eq!(awaited.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(silence.why().is_some());
        drop(source);
        assert_eq!(awaited.read(&mut bytes).unwrap(), 0);
    }
}
