//! `/stream.mjpeg` and `/snapshot.jpg`: JPEGs for whoever has no page, as cameras give them.
//!
//! A browser shows a part when it has the head of the next one. So each part is followed at once by that head, which says nothing
//! of the picture to come.

use super::answer;
use super::board::{Board, Picture};
use super::house::Seat;
use super::server::{Guest, Stream};
use super::viewer::keep_short;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A word that no JPEG has in it by accident.
const BOUNDARY: &str = "eyeline-6f1c2a9be0d4";

/// Other pages show these as images: who has the token may.
const OPEN: &str = "Cross-Origin-Resource-Policy: cross-origin\r\nReferrer-Policy: no-referrer\r\n";

/// How long a snapshot waits for a picture: a camera may have to be opened first.
const WAIT: Duration = Duration::from_secs(10);

/// Bytes on their way.
#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Writes what goes; whether that is all.
    fn write(&mut self, stream: &mut Stream) -> io::Result<bool> {
        while !self.is_empty() {
            match stream.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Whether who asked is still there. What he says is of no interest.
fn is_there(stream: &mut Stream) -> io::Result<bool> {
    // Once a turn: whoever goes on talking has others beside him.
    match stream.read(&mut [0; 4096]) {
        Ok(n) => Ok(n > 0),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whose pictures somebody wants.
struct Watched {
    board: Board,
    name: Option<String>,
    track: Option<u16>,
    seen: Option<u32>,
}

impl Watched {
    fn new(board: Board, name: Option<String>) -> Watched {
        Watched { board, name, track: None, seen: None }
    }

    /// The newest picture of it that was not seen; another track's where that one is gone.
    fn next(&mut self) -> Option<Arc<Picture>> {
        let found = self.board.find(self.name.as_deref())?;
        if self.track.is_none_or(|track| self.board.picture(track, None).is_none()) {
            (self.track, self.seen) = (Some(found), None);
        }
        let picture = self.board.picture(self.track?, self.seen)?;
        self.seen = Some(picture.number);
        Some(picture)
    }
}

/// Pictures one after the other, without end.
pub(super) struct Multipart {
    _seat: Seat,
    watched: Watched,
    outgoing: Outgoing,
}

impl Multipart {
    pub fn new(seat: Seat, board: Board, name: Option<String>) -> Multipart {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary={BOUNDARY}\r\nCache-Control: no-store\r\n\
             Connection: close\r\n{OPEN}\r\n--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n"
        );
        Multipart { _seat: seat, watched: Watched::new(board, name), outgoing: Outgoing { bytes: head.into_bytes(), written: 0 } }
    }
}

impl Guest for Multipart {
    fn begin(&mut self, stream: &mut Stream, _: &[u8], _: Instant) {
        // A socket that cannot be told so is as it is.
        let _ = keep_short(stream);
    }

    fn go_on(&mut self, stream: &mut Stream, _: Instant) -> io::Result<bool> {
        if !is_there(stream)? {
            return Ok(false);
        }
        while self.outgoing.write(stream)? {
            let Some(picture) = self.watched.next() else { break };
            let next = format!("\r\n--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n");
            self.outgoing = Outgoing { bytes: [&picture.jpeg[..], next.as_bytes()].concat(), written: 0 };
        }
        Ok(true)
    }

    fn is_writing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    fn due(&self) -> Option<Instant> {
        None
    }
}

/// One picture.
pub(super) struct Still {
    _seat: Seat,
    watched: Watched,
    until: Option<Instant>,
    answer: Option<Outgoing>,
}

impl Still {
    pub fn new(seat: Seat, board: Board, name: Option<String>) -> Still {
        Still { _seat: seat, watched: Watched::new(board, name), until: None, answer: None }
    }
}

impl Guest for Still {
    fn begin(&mut self, stream: &mut Stream, _: &[u8], now: Instant) {
        let _ = keep_short(stream);
        self.until = Some(now + WAIT);
    }

    fn go_on(&mut self, stream: &mut Stream, now: Instant) -> io::Result<bool> {
        if !is_there(stream)? {
            return Ok(false);
        }
        if self.answer.is_none() {
            let bytes = match self.watched.next() {
                Some(picture) => Some(answer::page("200 OK", "image/jpeg", OPEN, &picture.jpeg)),
                None if self.until.is_none_or(|until| now >= until) => {
                    Some(answer::sentence("503 Service Unavailable", "no picture came within 10 seconds"))
                }
                None => None,
            };
            self.answer = bytes.map(|bytes| Outgoing { bytes, written: 0 });
        }
        let Some(answer) = &mut self.answer else { return Ok(true) };
        if answer.write(stream)? {
            stream.finish()?;
            return Ok(false);
        }
        Ok(true)
    }

    fn is_writing(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| !answer.is_empty())
    }

    fn due(&self) -> Option<Instant> {
        if self.answer.is_none() { self.until } else { None }
    }
}
