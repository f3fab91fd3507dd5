//! Cameras that are not ours, taken in: RTP that comes to ports of this machine, and whatever `ffmpeg` reads live. Each is a
//! [`Guest`] for as long as it sends, so it leaves and comes back as any sender does.

use super::guest::{self, Guest};
use crate::capture::file::address::{self, Address, Leash, Opened};
use crate::capture::file::{self, Options};
use crate::capture::rtp::{self, Ports, Rtp};
use crate::slot::{Slot, Taken};
use crate::threads::join;
use eyeline_proto::media::rtp::receiver::{Event, Medium, Unfit};
use eyeline_proto::session::link::Identity;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What cannot be read is tried again no sooner than so long after the last time.
const AGAIN: Duration = Duration::from_secs(2);

/// Who comes, and where: the session of this program.
#[derive(Clone)]
pub struct Visitor {
    pub me: Identity,
    pub to: SocketAddr,
}

/// What is told of it, on its thread.
#[derive(Debug)]
pub enum Note {
    /// RTP is taken from there from now on.
    Came(Medium, SocketAddr),
    /// Somebody else sends it as well.
    Other(Medium, SocketAddr),
    /// What comes from there is of no use.
    Unfit(Medium, SocketAddr, Unfit),
    /// It cannot be shown.
    NotShown(guest::Error),
    /// Nothing can be read of it; it is tried again.
    Failed(file::Error),
    /// It is a film, and nothing live.
    Film,
}

/// Why it cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Rtp(#[from] rtp::Error),
    #[error("the operating system gives no thread ({0})")]
    Thread(#[from] std::io::Error),
}

/// One that is taken in. Dropped: it has left.
pub enum Incoming {
    Rtp { _thread: Rtp },
    Stream(Stream),
}

impl Incoming {
    /// Takes in what comes to these ports.
    pub fn rtp(ports: Ports, visitor: Visitor, mut tell: impl FnMut(Note) + Send + 'static) -> Result<Incoming, Error> {
        let mut visit = Visit { visitor, guest: None, lives: [false; 2] };
        let _thread = Rtp::start(ports, move |event| visit.handle(event, &mut tell))?;
        Ok(Incoming::Rtp { _thread })
    }

    /// Takes in what `ffmpeg` reads from this address, or as a session description in a file says.
    pub fn stream(from: PathBuf, visitor: Visitor, tell: impl FnMut(Note) + Send + 'static) -> Result<Incoming, Error> {
        Ok(Incoming::Stream(Stream::start(from, visitor, tell)?))
    }
}

/// RTP's guest, there while something comes.
struct Visit {
    visitor: Visitor,
    guest: Option<Guest>,
    /// Whether there are pictures, and sound.
    lives: [bool; 2],
}

impl Visit {
    fn handle(&mut self, event: Event, tell: &mut impl FnMut(Note)) {
        match event {
            Event::Came(medium, from) => {
                self.lives[medium as usize] = true;
                tell(Note::Came(medium, from));
                if self.guest.is_none() {
                    let Visitor { me, to } = self.visitor.clone();
                    match Guest::come(me, to, (true, 2)) {
                        Ok(guest) => self.guest = Some(guest),
                        Err(error) => tell(Note::NotShown(error)),
                    }
                }
            }
            Event::Picture(at, jpeg) => {
                if let Some(guest) = &self.guest {
                    // One whose size no camera has is left out.
                    let _ = guest.give_jpeg(at, jpeg);
                }
            }
            Event::Sound(block) => self.guest.iter().for_each(|guest| guest.give_sound(block.clone())),
            Event::Gone(medium) => {
                self.lives[medium as usize] = false;
                if self.lives == [false; 2] {
                    self.guest = None;
                }
            }
            Event::Other(medium, from) => tell(Note::Other(medium, from)),
            Event::Unfit(medium, from, why) => tell(Note::Unfit(medium, from, why)),
        }
    }
}

/// What reads an address again and again.
pub struct Stream {
    leash: Leash,
    /// Closed: it is over.
    told: Arc<Slot<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    fn start(from: PathBuf, visitor: Visitor, mut tell: impl FnMut(Note) + Send + 'static) -> std::io::Result<Stream> {
        let (leash, told) = (Leash::default(), Slot::newest());
        let (held, bell) = (leash.clone(), told.clone());
        let run = move || {
            while !held.is_cut() {
                let begun = Instant::now();
                match read(&from, &visitor, &held) {
                    Err(Ended::Film) => return tell(Note::Film),
                    // It broke off because we did.
                    _ if held.is_cut() => return,
                    Err(Ended::Failed(error)) => tell(Note::Failed(error)),
                    Err(Ended::NotShown(error)) => tell(Note::NotShown(error)),
                    Ok(()) => {}
                }
                if bell.take_until(begun + AGAIN, Instant::now) == Taken::Closed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("stream in".into()).spawn(run)?;
        Ok(Stream { leash, told, thread: Some(thread) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.told.close();
        self.leash.cut();
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

enum Ended {
    Film,
    Failed(file::Error),
    NotShown(guest::Error),
}

/// Reads it to its end.
fn read(from: &std::path::Path, visitor: &Visitor, leash: &Leash) -> Result<(), Ended> {
    let Opened::Live(connection) = address::connect(from, &Options::default(), leash).map_err(Ended::Failed)? else {
        return Err(Ended::Film);
    };
    let (media, Visitor { me, to }) = ((connection.size.is_some(), connection.channels), visitor.clone());
    let guest = Guest::come(me, to, media).map_err(Ended::NotShown)?;
    let (pictures, sound) = guest.inlets();
    let mut address = Address::open(*connection, pictures, sound).map_err(Ended::Failed)?;
    address.wait();
    address.failed().map_or(Ok(()), |error| Err(Ended::Failed(error)))
}
