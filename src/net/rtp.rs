//! Pictures and sound to a player that is not ours: RTP over UDP, from a thread of its own.
//!
//! Whoever gives them never waits: of pictures the newest stays until the thread takes it, of sound two tenths of a second. It sends
//! pictures to the host's port and sound to the second port after it, each with its sender reports one port further (RFC 3550
//! §11). A picture goes out in small bursts ([`pace`]), and all ends with a farewell. What comes back is not read: there is
//! one listener, to whom nothing is adapted.
//!
//! It goes in the clear, to the one host that was named. A host that is not known is asked for again and again; so long nothing
//! is sent.

mod pace;
#[cfg(test)]
mod tests;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::discovery::Directory;
use super::{Error, Host};
use crate::slot::Slot;
use crate::threads;
use eyeline_proto::session::unreachable::DialError;
use eyeline_proto::sound::Block;

/// The last port that pictures may go to: three more are needed.
pub const LAST_PORT: u16 = u16::MAX - 3;

/// Blocks of sound that wait: two tenths of a second.
const BLOCKS: usize = 20;

/// What is sent where.
#[derive(Debug, Clone)]
pub struct Config {
    /// To whom. Its port is that of pictures, at most [`LAST_PORT`].
    pub to: Host,
    /// Where names are asked for that name servers do not know.
    pub directory: Directory,
    /// Channels of the sound, 1 or 2; `None` where none is announced.
    pub channels: Option<u8>,
}

/// What becomes of it.
#[derive(Debug)]
pub enum Event {
    /// The host's address is known, and how we reach it: now it is sent to.
    Found { to: SocketAddr, from: IpAddr },
    /// It is not, for now.
    NotFound(DialError),
    /// There is no socket to send with, for now.
    NoSocket(std::io::Error),
}

/// The ports at the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    pub pictures: u16,
    pub sound: u16,
}

impl Ports {
    /// Those that follow from that of pictures.
    pub fn at(pictures: u16) -> Self {
        Ports { pictures, sound: pictures.saturating_add(2) }
    }
}

/// A whole JPEG, and when its light was caught.
pub struct Picture {
    pub captured: Instant,
    pub jpeg: Vec<u8>,
}

/// What went out so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub pictures: u64,
    pub blocks: u64,
    pub packets: u64,
    /// Pictures that RTP cannot carry: to be encoded anew before they come here.
    pub unfit: u64,
    /// Packets that the system did not take.
    pub failed: u64,
    /// Pictures that a newer one replaced, and blocks that were too many.
    pub replaced: u64,
    pub dropped_blocks: u64,
}

#[derive(Default)]
struct Counters {
    pictures: AtomicU64,
    blocks: AtomicU64,
    packets: AtomicU64,
    unfit: AtomicU64,
    failed: AtomicU64,
}

/// What the thread is given.
struct Inlets {
    pictures: Arc<Slot<Picture>>,
    sound: Arc<Slot<Block<Instant>>>,
    /// Where the host is, or why nobody knows.
    answers: Arc<Slot<Result<Vec<SocketAddr>, DialError>>>,
    /// One of these is not empty any more.
    bell: Arc<Slot<()>>,
    counters: Counters,
}

impl Inlets {
    fn ring(&self) {
        // Where it is closed nobody listens any more.
        let _ = self.bell.push(());
    }
}

/// The thread, from outside. Dropping it sends what is there, says goodbye and joins it.
pub struct Rtp {
    inlets: Arc<Inlets>,
    thread: Option<JoinHandle<()>>,
}

impl Rtp {
    /// Starts it. `on_event` is called on its thread, and must return soon.
    pub fn start(config: Config, on_event: impl FnMut(Event) + Send + 'static) -> Result<Rtp, Error> {
        let (pictures, sound, answers, bell) = (Slot::newest(), Slot::dropping(BLOCKS), Slot::newest(), Slot::newest());
        let inlets = Arc::new(Inlets { pictures, sound, answers, bell, counters: Counters::default() });
        let worker = worker::Worker::new(config, Arc::clone(&inlets), on_event);
        let thread = thread::Builder::new().name("rtp".into()).spawn(move || worker.run())?;
        Ok(Rtp { inlets, thread: Some(thread) })
    }

    /// Gives it a picture; never waits.
    pub fn picture(&self, picture: Picture) {
        if self.inlets.pictures.push(picture).is_ok() {
            self.inlets.ring();
        }
    }

    /// Gives it a block of sound; never waits.
    pub fn sound(&self, block: Block<Instant>) {
        if self.inlets.sound.push(block).is_ok() {
            self.inlets.ring();
        }
    }

    pub fn counts(&self) -> Counts {
        let Inlets { pictures, sound, counters, .. } = &*self.inlets;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            pictures: count(&counters.pictures),
            blocks: count(&counters.blocks),
            packets: count(&counters.packets),
            unfit: count(&counters.unfit),
            failed: count(&counters.failed),
            replaced: pictures.dropped(),
            dropped_blocks: sound.dropped(),
        }
    }
}

impl Drop for Rtp {
    fn drop(&mut self) {
        self.inlets.pictures.close();
        self.inlets.sound.close();
        self.inlets.bell.close();
        if let Some(thread) = self.thread.take() {
            threads::join(thread);
        }
    }
}
