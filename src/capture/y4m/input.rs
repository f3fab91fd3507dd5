//! Reads from a pipe that may be silent for ever, and can be told to stop.
//!
//! Every read waits for the pipe and for the owner's word at once (`poll`), so the thread always ends; nothing is read ahead but a few
//! hundred bytes with a line, so pictures go from the pipe straight to where they belong.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// More than a line and less than it would cost to copy.
const AHEAD: usize = 512;

/// Why nothing more can be read.
#[derive(Debug)]
pub enum Stop {
    /// The owner said so.
    Told,
    /// The input ended within something.
    Cut,
    /// A line had no end where one was due.
    NoLine,
    /// The system says so.
    Failed(io::Error),
}

pub struct Input {
    file: File,
    told: PipeReader,
    ahead: Vec<u8>,
    /// When the last bytes came.
    arrived: Instant,
}

impl Input {
    /// Reads `fd` until the other end of `told` is closed.
    pub fn new(fd: OwnedFd, told: PipeReader) -> Self {
        // A larger pipe lets the writer go on while a picture is taken out; 1 MB is what an unprivileged process may ask for.
        let _ = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20));
        Input { file: fd.into(), told, ahead: Vec::with_capacity(AHEAD), arrived: Instant::now() }
    }

    /// When the bytes that the last call returned, or their first ones, came.
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Takes what is there, at least one byte unless the input has ended.
    pub fn some(&mut self, into: &mut [u8]) -> Result<usize, Stop> {
        if !self.ahead.is_empty() {
            let n = self.ahead.len().min(into.len());
            into[..n].copy_from_slice(&self.ahead[..n]);
            self.ahead.drain(..n);
            return Ok(n);
        }
        loop {
            let mut fds = [PollFd::new(self.told.as_fd(), PollFlags::POLLIN), PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(Stop::Failed(error.into())),
                Ok(_) if fds[0].any() != Some(false) => return Err(Stop::Told),
                Ok(_) => {}
            }
            match self.file.read(into) {
                Ok(n) => {
                    self.arrived = Instant::now();
                    return Ok(n);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(error) => return Err(Stop::Failed(error)),
            }
        }
    }

    fn look(&mut self) -> Result<bool, Stop> {
        let mut more = [0; AHEAD];
        let mut before = std::mem::take(&mut self.ahead);
        let n = self.some(&mut more)?;
        before.extend_from_slice(&more[..n]);
        self.ahead = before;
        Ok(n > 0)
    }

    /// The first bytes, left where they are; fewer than `n` only at the end.
    pub fn peek(&mut self, n: usize) -> Result<&[u8], Stop> {
        while self.ahead.len() < n && self.look()? {}
        Ok(&self.ahead[..n.min(self.ahead.len())])
    }

    /// The next line without its newline, and when its first byte came; `None` if the input ends before it.
    pub fn line(&mut self, longest: usize) -> Result<Option<(Vec<u8>, Instant)>, Stop> {
        if self.ahead.is_empty() && !self.look()? {
            return Ok(None);
        }
        let came = self.arrived;
        loop {
            if let Some(end) = self.ahead.iter().position(|&byte| byte == b'\n') {
                let line = self.ahead[..end].to_vec();
                self.ahead.drain(..=end);
                return Ok(Some((line, came)));
            }
            if self.ahead.len() > longest {
                return Err(Stop::NoLine);
            }
            if !self.look()? {
                return Err(Stop::Cut);
            }
        }
    }

    /// Fills `into`; `each` sees every part as soon as it is there, with where it begins.
    pub fn exact(&mut self, into: &mut [u8], mut each: impl FnMut(&mut [u8], usize)) -> Result<(), Stop> {
        let mut filled = 0;
        while filled < into.len() {
            let n = self.some(&mut into[filled..])?;
            if n == 0 {
                return Err(Stop::Cut);
            }
            each(&mut into[filled..filled + n], filled);
            filled += n;
        }
        Ok(())
    }
}
